//! One named test for every folder of `fixtures/flow`: the custody that `scan` reports of a small C program,
//! compared byte for byte with what a reader of that program would write down (`expect.txt`). The same for the
//! miniature trees (`fixtures/trees/TREE.expect.txt`), whose conversion is compared with `TREE.diff` as well, compiled,
//! and run a second time, when nothing may be left to do. `TREE.wanted.txt` is to a tree what `fixtures/flow-wanted` is
//! to a case.
//!
//! A case folder holds `drivers/**/*.c` and `.h`, laid over the headers of `fixtures/trees/mini-5.2`. The C files must
//! compile, so that no case rests on code that could not exist. `UPDATE_EXPECT=1` (`cargo xtask bless`) rewrites
//! `expect.txt`; read the difference before committing it. With `GUPCONV_WANTED=1` (`cargo xtask wanted`) the cases of
//! `fixtures/flow-wanted` run instead: what the tool should say and does not say yet.
//!
//! Format of `expect.txt`, one block a site, in the order of the report:
//! ```text
//! PATH:LINE FUNCTION API -> VERDICT REASON [CASE n]
//!   release PATH:LINE CALLEE DIRTY SHAPE WHEN [own]
//!   gap CODE
//!   finding CODE
//! ```
//! The CASE of `pin_user_pages.rst` is left out where none fits. Each gap code is listed once. A program without a site
//! has the line `no sites`.

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// Parts of the miniature tree that a case is laid over: its headers, and what makes the folder a kernel tree.
const BASE: &[&str] = &["include", "lib", "mm", "Makefile", "Kbuild", "Kconfig", "MAINTAINERS"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("fixtures cannot be listed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn trials() -> io::Result<Vec<Trial>> {
    let wanted = env::var_os("GUPCONV_WANTED").is_some();
    let room = if wanted { "flow-wanted" } else { "flow" };
    let mut trials = Vec::new();
    for case in folders(&fixtures().join(room))? {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = case.clone();
        trials.push(Trial::test(format!("{room}/{name}"), move || flow(&folder)));
        trials.push(Trial::test(format!("compiles/{name}"), move || {
            compiles(&[&case.join("drivers")], &fixtures().join("trees/mini-5.2/include"))
        }));
    }
    if !wanted {
        trials.push(Trial::test("idioms", idioms));
    }
    let expected = if wanted { "wanted.txt" } else { "expect.txt" };
    for tree in folders(&fixtures().join("trees"))? {
        let name = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let [scanned, converted, first] = [tree.clone(), tree.clone(), tree.clone()];
        if !wanted && beside(&tree, "prerequisite.diff").exists() {
            trials.push(Trial::test(format!("prerequisite/{name}"), move || prerequisite(&first)));
        }
        let letter = tree.clone();
        if !wanted && beside(&tree, "all-gup.diff").exists() {
            trials.push(Trial::test(format!("all-gup/{name}"), move || {
                let diff = gupconv(&["convert", "--policy", "all-gup"], &letter)?;
                compare(&beside(&letter, "all-gup.diff"), &diff)
            }));
        }
        if beside(&tree, expected).exists() {
            trials.push(Trial::test(format!("scan/{name}"), move || {
                compare(&beside(&scanned, expected), &scan(&scanned)?)
            }));
        }
        if !wanted {
            trials.push(Trial::test(format!("convert/{name}"), move || convert(&converted)));
            trials.push(Trial::test(format!("compiles/{name}"), move || compiles_tree(&tree)));
        }
    }
    Ok(trials)
}

/// Folders directly under `at`, sorted; none when `at` does not exist.
fn folders(at: &Path) -> io::Result<Vec<PathBuf>> {
    if !at.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs `scan` on the case and compares.
/// Every case that the table of idioms in CONTRIBUTING.md names is there, each row has one and a near miss.
fn idioms() -> Result<(), Failed> {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md"))?;
    let table = guide.lines().skip_while(|l| !l.starts_with("| idiom |")).skip(2).take_while(|l| l.starts_with('|'));
    let mut rows = 0;
    for row in table {
        let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, shown, near] = columns[..] else { return Err(format!("three columns: {row}").into()) };
        for names in [shown, near] {
            let cases: Vec<&str> = names.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
            if cases.is_empty() {
                return Err(format!("a case is missing: {row}").into());
            }
            if let Some(lost) = cases.iter().find(|c| !fixtures().join("flow").join(c).join("expect.txt").is_file()) {
                return Err(format!("no case {lost}: {row}").into());
            }
        }
        rows += 1;
    }
    if rows == 0 { Err("no table of idioms".into()) } else { Ok(()) }
}

fn flow(case: &Path) -> Result<(), Failed> {
    let tree = tempfile::tempdir()?;
    for part in BASE {
        copy_to(&fixtures().join("trees/mini-5.2").join(part), &tree.path().join(part))?;
    }
    copy_to(&case.join("drivers"), &tree.path().join("drivers"))?;
    compare(&case.join("expect.txt"), &scan(tree.path())?)
}

/// Converts a copy of a miniature tree and checks the diff, the files written and a second run.
fn convert(tree: &Path) -> Result<(), Failed> {
    let temporary = tempfile::tempdir()?;
    let copy = temporary.path().join("tree");
    copy_to(tree, &copy)?;
    compare(&beside(tree, "diff"), &gupconv(&["convert"], &copy)?)?;
    gupconv(&["convert", "--write"], &copy)?;
    compiles_tree(&copy)?;
    let again = gupconv(&["convert"], &copy)?;
    if again.is_empty() { Ok(()) } else { Err(format!("a second run still converts:\n{again}").into()) }
}

/// The same for a tree that has no function to convert to, on top of the patch that adds them.
fn prerequisite(tree: &Path) -> Result<(), Failed> {
    let temporary = tempfile::tempdir()?;
    let copy = temporary.path().join("tree");
    copy_to(tree, &copy)?;
    let convert = ["convert", "--with-prerequisite"];
    compare(&beside(tree, "prerequisite.diff"), &gupconv(&convert, &copy)?)?;
    gupconv(&["convert", "--with-prerequisite", "--write"], &copy)?;
    compiles_tree(&copy)?;
    // The tree is one of v5.2 now: both ways of asking find nothing more.
    for again in [&convert[..1], &convert] {
        let left = gupconv(again, &copy)?;
        if !left.is_empty() {
            return Err(format!("{again:?} still converts:\n{left}").into());
        }
    }
    Ok(())
}

/// `TREE.suffix` beside the folder. (`Path::with_extension` would take the `.2` of `mini-5.2` for an extension.)
fn beside(tree: &Path, suffix: &str) -> PathBuf {
    let mut path = tree.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

fn scan(tree: &Path) -> Result<String, Failed> {
    render(&gupconv(&["scan", "--format", "jsonl"], tree)?)
}

/// What the program prints; any exit status but 0 is a failure.
fn gupconv(arguments: &[&str], tree: &Path) -> Result<String, Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_gupconv")).args(arguments).arg("--tree").arg(tree).output()?;
    if !run.status.success() {
        return Err(format!("{arguments:?}: {}\n{}", run.status, String::from_utf8_lossy(&run.stderr)).into());
    }
    Ok(String::from_utf8(run.stdout)?)
}

/// The text is what the file holds, to the byte; `UPDATE_EXPECT` makes it so.
fn compare(file: &Path, got: &str) -> Result<(), Failed> {
    if env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(fs::write(file, got)?);
    }
    let want = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if got == want { Ok(()) } else { Err(difference(&want, got).into()) }
}

/// The site records in the format of `expect.txt`.
fn render(jsonl: &str) -> Result<String, Failed> {
    let mut out = String::new();
    for line in jsonl.lines() {
        let record: Value = serde_json::from_str(line)?;
        if record["kind"] != "site" {
            continue;
        }
        writeln!(
            out,
            "{}:{} {} {} -> {} {}{}",
            text(&record["path"]),
            record["line"],
            text(&record["function"]),
            text(&record["api"]),
            text(&record["verdict"]),
            text(&record["reason_code"]),
            match record["case"].as_u64() {
                Some(case @ 1..) => format!(" CASE {case}"),
                _ => String::new(),
            }
        )?;
        for release in record["releases"].as_array().into_iter().flatten() {
            writeln!(
                out,
                "  release {}:{} {} {} {} {}{}",
                text(&release["path"]),
                release["line"],
                text(&release["call"]),
                text(&release["dirty"]),
                text(&release["shape"]),
                text(&release["when"]),
                if release["own"].is_null() { "" } else { " own" }
            )?;
        }
        let gaps: BTreeSet<&str> =
            record["gaps"].as_array().into_iter().flatten().map(|gap| text(&gap["code"])).collect();
        for code in gaps {
            writeln!(out, "  gap {code}")?;
        }
        for code in record["findings"].as_array().into_iter().flatten() {
            writeln!(out, "  finding {}", text(code))?;
        }
    }
    if out.is_empty() {
        out.push_str("no sites\n");
    }
    Ok(out)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Both texts line by line, those that stand in only one of them marked.
fn difference(want: &str, got: &str) -> String {
    let mut out = String::from("expected (-) and reported (+):\n");
    for change in similar::TextDiff::from_lines(want, got).iter_all_changes() {
        let _ = write!(out, "{}{}", change.tag(), change.value());
    }
    out
}

/// All C files under `roots` pass the compiler's front end.
fn compiles(roots: &[&Path], include: &Path) -> Result<(), Failed> {
    let mut files = Vec::new();
    for root in roots {
        sources(root, &mut files)?;
    }
    // What another file includes (`#include "part.c"`) is compiled there.
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<io::Result<_>>()?;
    files.retain(|f| {
        let name = f.file_name().unwrap_or_default().to_string_lossy();
        !texts.iter().any(|t| t.contains(&format!("#include \"{name}\"")))
    });
    if files.is_empty() {
        return Err("no C file".into());
    }
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut run = Command::new(compiler);
    run.args(["-std=gnu11", "-fsyntax-only", "-nostdinc", "-Wall", "-Werror", "-I"]).arg(include);
    // `ccflags-y += -I$(srctree)/…` and `-include $(srctree)/…` of the Makefile beside a file.
    let makefiles: BTreeSet<PathBuf> = files.iter().map(|f| f.with_file_name("Makefile")).collect();
    for text in makefiles.iter().filter_map(|m| fs::read_to_string(m).ok()) {
        for folder in text.split_whitespace().filter_map(|w| w.strip_prefix("-I$(srctree)/")) {
            run.arg("-I").args(roots.iter().filter_map(|r| r.parent()).map(|tree| tree.join(folder)));
        }
        for file in text.split(" -include $(srctree)/").skip(1).filter_map(|t| t.split_whitespace().next()) {
            run.arg("-include").args(roots.iter().filter_map(|r| r.parent()).map(|tree| tree.join(file)));
        }
    }
    let run = run.args(&files).output()?;
    if run.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&run.stderr).into_owned().into()) }
}

fn compiles_tree(tree: &Path) -> Result<(), Failed> {
    let roots = ["drivers", "kernel", "lib", "mm"].map(|folder| tree.join(folder));
    compiles(&roots.each_ref().map(PathBuf::as_path), &tree.join("include"))
}

fn sources(at: &Path, out: &mut Vec<PathBuf>) -> io::Result<()> {
    if !at.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "c") {
            out.push(path);
        }
    }
    out.sort();
    Ok(())
}

fn copy_to(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_to(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    fs::copy(from, to).map(|_| ())
}
