//! The program as its users meet it: arguments, streams, exit statuses, files.

mod common;
#[path = "cli/says.rs"]
mod says;
#[path = "cli/trace.rs"]
mod trace;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A copy of a miniature tree, so that no test writes into the sources.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn of(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        common::tree(name, dir.path());
        Self { dir }
    }
    /// The smallest tree of the two-argument dialect, with one driver that pins nothing.
    fn empty() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let tree = Self { dir };
        tree.write("Kbuild", "");
        tree.write("Makefile", "");
        tree.write(
            "include/linux/mm.h",
            "static inline void put_user_page(struct page *page)\n{\n\tput_page(page);\n}\n\
             void put_user_pages_dirty_lock(struct page **pages, unsigned long npages);\n",
        );
        tree.write("mm/gup.c", "void put_user_pages_dirty_lock(struct page **pages, unsigned long npages)\n{\n}\n");
        tree.write("drivers/quiet.c", "int quiet(void)\n{\n\treturn 0;\n}\n");
        tree
    }
    fn path(&self) -> &Path {
        self.dir.path()
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, text).expect("file");
    }
    fn read(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.path().join(path)).expect("file")).expect("UTF-8")
    }
    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(program().current_dir(self.path()).args(args).output().expect("the program runs"))
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gupconv"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// What a run left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit status, no signal"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    /// Exit status 2, nothing on stdout, and an error of title, cause and remedy.
    fn fails(&self, title: &str) {
        assert_eq!(self.code, 2, "{}", self.err);
        assert_eq!(self.out, "");
        let lines: Vec<_> = self.err.lines().collect();
        assert!(lines.first().is_some_and(|l| l.starts_with("error: ") && l.contains(title)), "{}", self.err);
        assert!(lines.iter().any(|l| l.starts_with("  cause:  ") && l.len() > 12), "{}", self.err);
        assert!(lines.iter().any(|l| l.starts_with("  remedy: ") && l.len() > 12), "{}", self.err);
    }
    fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }
}

#[test]
fn a_path_must_exist() {
    Tree::empty().run(&["scan", "drivers/nowhere.c"]).fails("cannot read drivers/nowhere.c");
    Tree::empty().run(&["scan", "--tree", "nowhere"]).fails("cannot read the tree nowhere");
}

#[test]
fn a_path_must_lie_in_a_tree() {
    let (tree, other) = (Tree::empty(), Tree::empty());
    let path = other.path().join("drivers");
    tree.run(&["scan", "--tree", ".", path.to_str().expect("UTF-8")]).fails("lies outside of the tree");
    let alone = tempfile::tempdir().expect("temporary folder");
    let path = alone.path().to_str().expect("UTF-8");
    tree.run(&["scan", path]).fails("is not in a kernel tree");
    tree.run(&["scan", "--tree", path]).fails("is not a kernel tree");
}

#[test]
fn a_tree_must_have_mm_h() {
    let tree = Tree::empty();
    fs::remove_file(tree.path().join("include/linux/mm.h")).expect("removed");
    tree.run(&["scan"]).fails("has no include/linux/mm.h");
    tree.run(&["scan", "--tree", "."]).fails("has no include/linux/mm.h");
}

#[test]
fn a_dialect_must_be_one_of_the_tree() {
    let tree = Tree::empty();
    let ran = tree.run(&["scan", "--dialect", "put-user-page-3arg"]);
    ran.fails("does not have the dialect put-user-page-3arg");
    assert!(ran.err.contains("put-user-page-2arg"), "{}", ran.err);
    tree.run(&["scan", "--dialect", "put-user-page-2arg"]).succeeds();
    tree.run(&["scan", "--dialect", "none"]).succeeds();
}

#[test]
fn the_letter_of_2019_is_refused_where_pins_are_counted() {
    let tree = Tree::of("mini-6.1");
    let ran = tree.run(&["scan", "--policy", "all-gup"]);
    ran.fails("--policy all-gup is not for this tree");
    assert!(ran.err.contains("counts pins"), "{}", ran.err);
    // The prerequisite changes nothing where the tree needs none.
    let with = tree.run(&["convert", "--with-prerequisite"]);
    assert_eq!(with.out, tree.run(&["convert"]).out);
}

#[test]
fn nothing_becomes_a_pin_where_that_leaves_holes() {
    let tree = Tree::of("mini-6.1");
    assert!(tree.run(&["convert"]).succeeds().out.contains("pin_user_pages"));
    // Refuses memory without struct page for plain references only, as v5.7 does.
    let gup = tree.read("mm/gup.c");
    let holes = gup.replace("return flags ? -EEXIST : -EFAULT;", "return flags & FOLL_GET ? -EFAULT : -EEXIST;");
    assert_ne!(gup, holes);
    tree.write("mm/gup.c", &holes);
    // What pins already leaves its holes, whichever way the pages are dropped.
    let out = tree.run(&["convert"]).succeeds().out;
    assert!(!out.lines().any(|l| l.starts_with('+') && l.contains("= pin_user_pages")), "{out}");
    assert!(out.contains("+\t\tunpin_user_page(page);"), "{out}");
    let said = tree.run(&["scan"]).succeeds().out.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = "pin-holes: Where a page table entry of a VM_MIXEDMAP mapping has no struct page, pin_user_pages*() of \
               this tree counts it as pinned";
    assert!(said.contains(why) && said.contains("Whether this code clears and tests was not checked."), "{said}");
    let page = tree.run(&["explain", "pin-holes"]).succeeds().out;
    assert!(page.contains("refuses mappings\nwith VM_IO or VM_PFNMAP for both"), "{page}");
}

#[test]
fn wrong_arguments_are_refused() {
    let tree = Tree::empty();
    for args in [&["frobnicate"][..], &["scan", "--format", "xml"], &["scan", "-j", "0"], &["scan", "-q", "-v"], &[]] {
        let ran = tree.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(!ran.err.is_empty());
    }
    assert!(tree.run(&["--version"]).succeeds().out.starts_with("gupconv "));
    assert!(tree.run(&["--help"]).succeeds().out.contains("Exit status:"));
}

#[test]
fn a_tree_without_sites_is_clean() {
    let ran = Tree::empty().run(&["scan"]).succeeds();
    assert!(ran.out.starts_with("0 sites in "), "{}", ran.out);
    assert!(ran.err.starts_with("coverage: 3 files seen, 2 candidates"), "{}", ran.err);
    let ran = Tree::empty().run(&["convert"]).succeeds();
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("coverage: "));
}

#[test]
fn every_format_is_well_formed() {
    let tree = Tree::of("mini-5.2");
    let scan = |format: &str| tree.run(&["scan", "--format", format]).succeeds();
    let records: Vec<serde_json::Value> =
        scan("jsonl").out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let (last, sites) = records.split_last().expect("records");
    assert_eq!(last["kind"], "run");
    assert_eq!(last["dialect"], "put-user-page-2arg");
    assert!(sites.len() >= 10 && sites.iter().all(|s| s["kind"] == "site" && s["schema"] == 1));
    let count = |verdict: &str| sites.iter().filter(|s| s["verdict"] == verdict).count();
    assert_eq!(last["convert"], count("convert"));
    assert_eq!(last["leave"], count("leave"));
    for s in sites {
        // The line is that of the callee's identifier.
        let line = s["line"].as_u64().expect("a number") as usize;
        let text = tree.read(s["path"].as_str().expect("text"));
        let api = s["api"].as_str().expect("text");
        assert!(text.lines().nth(line - 1).is_some_and(|l| l.contains(api)), "{s}");
    }
    // A line a site, and one more for each of its findings.
    let findings = |s: &serde_json::Value| s["findings"].as_array().map_or(0, Vec::len);
    let places: Vec<_> = sites
        .iter()
        .flat_map(|s| vec![format!("{}:{}:{}: ", s["path"], s["line"], s["column"]); 1 + findings(s)])
        .collect();
    assert!(places.len() > sites.len(), "the tree has findings");
    let concise = scan("concise").out;
    assert_eq!(concise.lines().count(), places.len());
    assert!(concise.lines().zip(&places).all(|(l, p)| l.starts_with(&p.replace('"', ""))), "{concise}");
    let sarif: serde_json::Value = serde_json::from_str(&scan("sarif").out).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(places.len()));
    let gitlab: Vec<serde_json::Value> = serde_json::from_str(&scan("gitlab").out).expect("JSON");
    assert!(gitlab.len() >= count("convert"));
    assert!(scan("github").out.lines().all(|l| l.starts_with("::")));
    let human = scan("human").out;
    assert!(human.contains("drivers/net/quill.c\n") && human.lines().all(|l| l.chars().count() <= 110), "{human}");
}

#[test]
fn colours_only_when_asked() {
    let tree = Tree::of("mini-5.2");
    assert!(!tree.run(&["scan"]).out.contains('\x1b'));
    assert!(tree.run(&["scan", "--color", "always"]).out.contains('\x1b'));
    assert!(!tree.run(&["scan", "--color", "never"]).out.contains('\x1b'));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let tree = Tree::of("mini-5.2");
    for format in ["jsonl", "human", "sarif"] {
        let one = tree.run(&["scan", "--format", format, "-j", "1"]).succeeds();
        let four = tree.run(&["scan", "--format", format, "-j", "4"]).succeeds();
        assert_eq!((one.out, one.err), (four.out, four.err));
    }
}

#[test]
fn a_path_narrows_what_is_reported_and_nothing_else() {
    let tree = Tree::of("mini-5.2");
    let sites = |ran: Ran| -> Vec<String> {
        let ran = ran.succeeds();
        ran.out.lines().filter(|l| l.contains("\"kind\":\"site\"")).map(str::to_string).collect()
    };
    let all = sites(tree.run(&["scan", "--format", "jsonl"]));
    let some = sites(tree.run(&["scan", "--format", "jsonl", "drivers/crypto", "kernel/peek.c"]));
    let want: Vec<_> = all
        .iter()
        .filter(|s| s.contains("\"path\":\"drivers/crypto/tarn/") || s.contains("\"path\":\"kernel/peek.c\",\"line\""))
        .cloned()
        .collect();
    assert!(!some.is_empty());
    assert!(some.iter().all(|s| want.contains(s)), "the same records, also with releases elsewhere");
    // Seen from a folder of the tree.
    let inside = program()
        .current_dir(tree.path().join("drivers/crypto"))
        .args(["scan", ".", "--format", "jsonl"])
        .output()
        .expect("the program runs");
    let inside = Ran::of(inside);
    let strip = |s: &String| !s.contains("kernel/peek.c");
    assert_eq!(sites(inside), some.iter().filter(|s| strip(s)).cloned().collect::<Vec<_>>());
}

#[test]
fn what_is_no_kernel_code_is_said() {
    let tree = Tree::empty();
    tree.write("tools/x.c", "int f(void)\n{\n\treturn get_user_pages(0, 1, 0, pages, NULL);\n}\n");
    let ran = tree.run(&["scan", "tools"]).succeeds();
    assert!(ran.out.starts_with("0 sites"), "{}", ran.out);
    assert!(ran.err.contains("note: tools is no kernel code and is not analysed"), "{}", ran.err);
    assert!(ran.err.contains("skipped: ") && ran.err.contains("tools"), "{}", ran.err);
}

#[test]
fn a_diff_applies_and_a_second_run_is_silent() {
    let tree = Tree::of("mini-5.2");
    let diff = tree.run(&["convert", "--unproved"]).succeeds();
    assert!(diff.out.starts_with("--- a/"), "{}", diff.out);
    let mut git = Command::new("git")
        .args(["apply", "-"])
        .current_dir(tree.path())
        .env("GIT_CEILING_DIRECTORIES", tree.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("git, which the tests need");
    git.stdin.take().expect("a pipe").write_all(diff.out.as_bytes()).expect("written");
    assert!(git.wait().expect("git ends").success());
    let again = tree.run(&["convert", "--unproved"]).succeeds();
    assert_eq!(again.out, "");
    // Writing in place gives the same bytes as the diff.
    let other = Tree::of("mini-5.2");
    let written = other.run(&["convert", "--unproved", "--write"]).succeeds();
    let files: Vec<_> = written.out.lines().filter_map(|l| l.strip_prefix("rewritten: ")).collect();
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(tree.read(file), other.read(file), "{file}");
    }
    assert!(temporary(other.path()).is_empty());
}

/// Files that an interrupted write would leave.
fn temporary(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("folder").map(|e| e.expect("entry").path()) {
        if entry.is_dir() {
            found.extend(temporary(&entry));
        } else if entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".gupconv-")) {
            found.push(entry);
        }
    }
    found
}

#[test]
fn nothing_outside_the_paths_is_written() {
    let tree = Tree::of("mini-5.2");
    let before = Tree::of("mini-5.2");
    let ran = tree.run(&["convert", "--unproved", "--write", "drivers/video"]).succeeds();
    let written: Vec<_> = ran.out.lines().filter_map(|l| l.strip_prefix("rewritten: ")).collect();
    assert_eq!(written, ["drivers/video/fernfb.c"]);
    for file in ["drivers/misc/ember.c", "drivers/net/quill.c", "drivers/misc/slate.c"] {
        assert_eq!(tree.read(file), before.read(file));
    }
    assert_ne!(tree.read("drivers/video/fernfb.c"), before.read("drivers/video/fernfb.c"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let tree = Tree::of("mini-5.2");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let ran = program().current_dir(tree.path()).args(["scan"]).stdout(full).output().expect("the program runs");
    let ran = Ran::of(ran);
    ran.fails("cannot write the report");
    assert!(ran.err.contains("No space left"), "{}", ran.err);
}

/// A limit on the size of files stands for a full disk: the write fails in the middle.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_leaves_every_file_as_it_was() {
    let tree = Tree::of("mini-5.2");
    let before = Tree::of("mini-5.2");
    let files = tree.run(&["convert", "--unproved", "--format", "jsonl"]).succeeds().out;
    assert!(files.contains("\"edits\":[{"), "there is something to write");
    // SIGXFSZ is ignored so that the write itself fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" convert --unproved --write";
    let ran = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_gupconv")])
        .current_dir(tree.path())
        .output()
        .expect("bash, which the tests need");
    let ran = Ran::of(ran);
    ran.fails("cannot write ");
    assert!(ran.err.contains("no file was changed"), "{}", ran.err);
    for file in ["drivers/video/fernfb.c", "drivers/net/quill.c", "drivers/misc/ember.c", "drivers/misc/slate.c"] {
        assert_eq!(tree.read(file), before.read(file), "{file}");
    }
    assert!(temporary(tree.path()).is_empty());
}

#[test]
fn strict_runs_notice_what_could_not_be_parsed() {
    let tree = Tree::of("mini-5.2");
    tree.run(&["scan", "--strict"]).succeeds();
    tree.write("drivers/misc/bad.c", "int bad(void)\n{\n\tget_user_pages_fast(0, 1, 0, &p);\n\t) ( ;\n}\n");
    let ran = tree.run(&["scan", "--strict"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains(" 1 damaged"), "{}", ran.err);
    assert!(tree.run(&["scan", "-v"]).succeeds().err.contains("damaged: drivers/misc/bad.c: bad"));
    assert_eq!(tree.run(&["scan", "--format", "jsonl"]).succeeds().out.matches("\"status\":\"degraded\"").count(), 1);
}

#[test]
fn every_code_of_a_report_is_explained() {
    let tree = Tree::of("mini-5.2");
    let records = tree.run(&["scan", "--format", "jsonl"]).succeeds().out;
    let mut codes: Vec<String> = Vec::new();
    for line in records.lines() {
        let r: serde_json::Value = serde_json::from_str(line).expect("JSON");
        codes.extend([&r["reason_code"], &r["verdict"]].into_iter().filter_map(|c| c.as_str().map(str::to_string)));
        codes.extend(r["gaps"].as_array().into_iter().flatten().filter_map(|g| g["code"].as_str().map(str::to_string)));
    }
    codes.sort();
    codes.dedup();
    assert!(codes.len() >= 5, "{codes:?}");
    for code in &codes {
        assert!(tree.run(&["explain", code]).succeeds().out.starts_with(code.as_str()), "{code}");
    }
    tree.run(&["explain", "no-relase"]).fails("no code no-relase");
    assert!(tree.run(&["explain", "no-relase"]).err.contains("perhaps no-release?"));
    let list = tree.run(&["explain"]).succeeds().out;
    assert!(codes.iter().all(|c| list.contains(c.as_str())));
    assert!(tree.run(&["rules"]).succeeds().out.contains("loop_put"));
}

#[test]
fn hazards_are_played() {
    let tree = Tree::empty();
    let list = tree.run(&["model", "--list"]).succeeds().out;
    let name = list.split_whitespace().next().expect("a scenario").to_string();
    assert!(tree.run(&["model", &name]).succeeds().out.lines().count() > 5);
    let json = tree.run(&["model", &name, "--format", "json"]).succeeds().out;
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    assert!(tree.run(&["model", &name, "--format", "svg"]).succeeds().out.contains("<svg"));
    tree.run(&["model", "nothing"]).fails("no scenario `nothing`");
    tree.run(&["model", &name, "--set", "nothing=on"]).fails("nothing");
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Tree::empty().run(&["completions", shell]).succeeds();
        assert!(ran.out.contains("gupconv") && ran.out.contains("convert"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let tree = Tree::of("mini-5.2");
    let mut child = program()
        .args(["scan", "--format", "jsonl"])
        .current_dir(tree.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    assert!(ran.code == 0 && !ran.err.contains("panicked") && !ran.err.contains("error:"), "{}", ran.err);
}

#[test]
fn array_functions_that_need_an_mmu_are_said_where_there_may_be_none() {
    let tree = Tree::of("mini-5.2");
    let ran = tree.run(&["scan", "--format", "jsonl"]);
    assert!(!ran.out.contains("CONFIG_MMU") && !ran.err.contains("CONFIG_MMU"), "{}", ran.err);

    common::without_mmu(tree.path());
    let about = |ran: &Ran, name: &str| {
        ran.out.lines().any(|l| l.contains(name) && l.contains("its object (CONFIG_KESTREL) is not shown to need that"))
    };
    // Outside of the paths nothing can be added: a rewrite that may not link says so.
    let ran = tree.run(&["scan", "--format", "jsonl", "drivers"]);
    assert!(about(&ran, "drivers/misc/kestrel.c"), "{}", ran.out);
    assert!(!ran.out.contains("in drivers/video/fernfb.c calls"), "{}", ran.out);
    assert!(
        ran.err.contains("name mm/gup.c and mm/Makefile among the paths, or give --with-prerequisite"),
        "{}",
        ran.err
    );
    let ran = tree.run(&["scan", "--format", "jsonl"]);
    assert!(
        !about(&ran, "drivers/misc/kestrel.c")
            && ran.err.contains("mm/gup.c, which has them, is made a file that is always built first"),
        "{}",
        ran.err
    );
    // The lists of the Makefile are put together in another way.
    tree.write("mm/Makefile", "obj-$(CONFIG_MMU) := gup.o\n");
    let ran = tree.run(&["scan", "--format", "jsonl"]);
    assert!(
        about(&ran, "drivers/misc/kestrel.c") && ran.err.contains("no way was seen to build mm/gup.c without it"),
        "{}",
        ran.err
    );
}

#[test]
fn the_array_functions_are_built_where_there_is_no_mmu() {
    let tree = Tree::of("mini-5.2");
    common::without_mmu(tree.path());
    let ran = tree.run(&["convert"]);
    let of = |ran: &Ran, path: &str| {
        ran.out
            .split("--- a/")
            .find(|f| f.starts_with(path))
            .unwrap_or_else(|| panic!("{path}: {}", ran.out))
            .to_string()
    };
    let made = of(&ran, "mm/Makefile");
    assert!(made.contains("\n-mmu-$(CONFIG_MMU) := gup.o\n-obj-y := $(mmu-y)\n"), "{made}");
    assert!(made.contains("\n+mmu-$(CONFIG_MMU) :=\n+obj-y := gup.o $(mmu-y)\n"), "{made}");
    // What is left without an MMU: the array functions. Nothing else in the file changes.
    let guarded = of(&ran, "mm/gup.c");
    let changed: Vec<&str> =
        guarded.lines().filter(|l| l.starts_with(['+', '-']) && !l.starts_with("+++") && l.len() > 1).collect();
    assert_eq!(changed, ["+#ifdef CONFIG_MMU", "+#endif /* CONFIG_MMU */"], "{guarded}");
    assert!(guarded.contains("\n EXPORT_SYMBOL(put_user_pages);\n \n+#ifdef CONFIG_MMU\n+\n static "), "{guarded}");
    // Nobody's file outside of the paths is written, unless that is asked for.
    let ran = tree.run(&["convert", "drivers"]);
    assert!(ran.out.contains("kestrel.c") && !ran.out.contains("mm/gup.c"), "{}", ran.out);
    assert!(
        ran.err.contains("give --with-prerequisite, and mm/gup.c is made a file that is always built"),
        "{}",
        ran.err
    );
    for args in [&["convert", "drivers", "--with-prerequisite"][..], &["convert", "drivers", "mm"]] {
        let ran = tree.run(args);
        assert!(ran.out.contains("--- a/mm/gup.c") && ran.out.contains("--- a/mm/Makefile"), "{}", ran.out);
    }
    tree.run(&["convert", "--write"]);
    let again = tree.run(&["convert"]);
    assert!(again.out.is_empty() && !again.err.contains("CONFIG_MMU"), "{}{}", again.out, again.err);
    // Nothing needs them: nothing is changed for them.
    let other = Tree::of("mini-5.2");
    common::without_mmu(other.path());
    other.write("drivers/Kconfig", "config KESTREL\n\tbool \"x\"\n\tdepends on MMU\nconfig FERNFB\n\tdef_bool WET\n");
    let ran = other.run(&["convert", "--with-prerequisite", "drivers/video"]);
    assert!(ran.out.contains("fernfb.c") && !ran.out.contains("mm/gup.c"), "{}", ran.out);
}

#[test]
fn pages_that_outlive_the_call_are_a_finding_where_pins_are_counted() {
    let tree = Tree::of("mini-6.1");
    let ran = tree.run(&["scan", "--format", "jsonl"]);
    let records: Vec<serde_json::Value> = ran.out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let site = |path: &str| records.iter().find(|r| r["kind"] == "site" && r["path"] == path).expect(path);
    let long = |path: &str| site(path)["findings"].to_string().contains("GUP017");
    // Kept by the window until it is closed.
    assert!(long("drivers/video/fernfb.c"));
    assert!(site("drivers/video/fernfb.c")["proof"]["assumed"].to_string().contains("either FOLL_LONGTERM belongs"));
    // Kept on a list, but for one request; released when the transfer is done; kept in a local array.
    for path in ["drivers/misc/stilt.c", "drivers/net/otter.c", "drivers/misc/ember.c"] {
        assert!(!long(path), "{path}");
    }
    assert_eq!(
        (site("drivers/misc/stilt.c")["case"].as_u64(), site("drivers/misc/stilt.c")["verdict"].as_str()),
        (Some(1), Some("convert"))
    );
}

#[test]
fn an_error_path_that_loses_pages_is_a_finding() {
    let fill = |name: &str, fail: &str| {
        format!(
            "int {name}(unsigned long uaddr, struct page **pages, int max)\n{{\n\tint i, rc, n = 0;\n\n\tdo {{\n\
             \t\trc = get_user_pages_fast(uaddr, 1, FOLL_WRITE, &pages[n]);\n\t\tif (rc < 0)\n\t\t\tgoto drop;\n\
             \t\trc = hw_send(pages[n]);\n\t\tif (rc)\n\t\t\t{fail}\n\t\tn++;\n\t}} while (n < max);\n\trc = 0;\n\
             drop:\n\tfor (i = 0; i < n; i++)\n\t\tput_page(pages[i]);\n\treturn rc;\n}}\n"
        )
    };
    let map = |name: &str, before: &str, label: &str| {
        format!(
            "int {name}(unsigned long uaddr, int n)\n{{\n\tstruct page **pages;\n\tint i, got = 0, rc = -ENOMEM;\n\
             \tvoid *sg;\n\n\tpages = kcalloc(n, sizeof(*pages), GFP_KERNEL);\n\tif (!pages)\n\t\treturn rc;\n\
             \tgot = get_user_pages_fast(uaddr, n, FOLL_WRITE, pages);\n\tif (got <= 0)\n\t\tgoto free;\n\t{before}\n\
             \tsg = kmalloc(n, GFP_KERNEL);\n\tif (!sg)\n\t\tgoto {label};\n\trc = hw_run(pages, got);\n\
             \tkfree(sg);\ndrop:\n\tfor (i = 0; i < got; i++)\n\t\tput_page(pages[i]);\nfree:\n\tkfree(pages);\n\
             \treturn rc;\n}}\n"
        )
    };
    let cases = [
        ("n_missed", fill("n_missed", "goto drop;"), true),
        ("n_dropped", fill("n_dropped", "{\n\t\t\tput_page(pages[n]);\n\t\t\tgoto drop;\n\t\t}"), false),
        ("array_lost", map("array_lost", "", "free"), true),
        ("array_dropped", map("array_dropped", "", "drop"), false),
        // Somebody else has the pages.
        ("array_given", map("array_given", "hw_run(pages, got);", "free"), false),
    ];
    for (name, function, expected) in &cases {
        let tree = Tree::of("mini-5.2");
        let head = "#include <linux/hw.h>\n#include <linux/mm.h>\n#include <linux/slab.h>\n\n";
        tree.write("drivers/misc/a.c", &format!("{head}{function}"));
        let ran = tree.run(&["scan", "--format", "jsonl", "drivers/misc/a.c"]);
        let first = ran.out.lines().find(|l| l.contains("\"kind\":\"site\"")).expect("a site");
        let site: serde_json::Value = serde_json::from_str(first).expect("JSON");
        assert_eq!(site["function"].as_str(), Some(*name), "{}", ran.out);
        assert_eq!(site["findings"].to_string().contains("GUP009"), *expected, "{name}: {}", ran.out);
        let said = site["proof"]["assumed"].to_string().contains("wants a patch of its own");
        assert_eq!(said, *expected && site["verdict"] == "convert", "{name}: {}", ran.out);
        assert_eq!(site["verdict"].as_str(), Some("convert"), "{name}: {}", ran.out);
    }
}
