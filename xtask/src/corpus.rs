//! `corpus`: gupconv on a real kernel tree, and what must be true of every output whatever the tree.
//!
//! Invariants: every record of `scan` is complete; the number of threads, the PATH named and the way the files are
//! listed (walk or git index) change nothing; the diff applies; the converted tree gives no further diff; writing in
//! place and applying the diff give the same bytes. For the package version in [`PINNED`] the counts are fixed as
//! well, so that a change of the analysis that changes a verdict is seen. The page model is compared with the tree's
//! own functions. `--build` compiles what was converted.

use crate::repo;
use crate::tree::{self, Tree};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Sites and verdicts of one package version. Another version checks only the invariants.
struct Counts {
    version: &'static str,
    sites: usize,
    convert: usize,
    assist: usize,
    leave: usize,
}

/// Change these numbers only together with the change of the analysis that explains them.
const PINNED: &[Counts] =
    &[Counts { version: "linux-source-6.12 6.12.117-1~deb12u1", sites: 135, convert: 8, assist: 23, leave: 104 }];

/// Runs the checks.
pub fn run(arguments: &[String]) -> Result<()> {
    let tree = tree::find(arguments)?;
    let gupconv = Gupconv { binary: repo::gupconv()?, tree: tree.path.clone() };
    println!("corpus: {}", tree.version.as_deref().unwrap_or(&tree.path.display().to_string()));
    let mut done = 0;
    let mut step = |about: &str, started: Instant| {
        done += 1;
        println!("  ok  {about} ({:.1} s)", started.elapsed().as_secs_f64());
    };

    let started = Instant::now();
    let scan = gupconv.output(&["scan", "--format", "jsonl"])?;
    let sites = records(&scan, "site");
    check_records(&scan, &sites)?;
    step(&format!("scan: {}", summary(&sites)), started);

    let started = Instant::now();
    pinned(&tree, &sites)?;
    step("counts", started);

    let started = Instant::now();
    let one = gupconv.output(&["-j", "1", "scan", "--format", "jsonl"])?;
    ensure_same("scan -j 1", &one, "scan", &scan)?;
    step("scan at -j 1 prints the same bytes", started);

    let started = Instant::now();
    narrowed(&gupconv, &sites)?;
    step("naming a PATH narrows the report and changes nothing in it", started);

    let started = Instant::now();
    let diff = gupconv.output(&["convert"])?;
    let one = gupconv.output(&["-j", "1", "convert"])?;
    ensure_same("convert -j 1", &one, "convert", &diff)?;
    step(&format!("convert: {} hunks in {} files, the same at -j 1", hunks(&diff), converted(&diff).len()), started);

    let started = Instant::now();
    let applied = apply(&tree.path, &diff)?;
    step("git apply takes the diff", started);

    let started = Instant::now();
    let again = Gupconv { tree: applied.clone(), ..gupconv.clone() }.output(&["convert"])?;
    ensure!(again.is_empty(), "convert on the converted tree prints a diff:\n{}", head(&again));
    step("a second run prints nothing", started);

    let started = Instant::now();
    let written = tree::link_copy(&tree.path, "written")?;
    Gupconv { tree: written.clone(), ..gupconv.clone() }.output(&["convert", "--write"])?;
    for path in converted(&diff) {
        ensure!(
            fs::read(written.join(&path))? == fs::read(applied.join(&path))?,
            "{path}: --write and the diff give different files"
        );
    }
    step("--write and the diff give the same files", started);

    let started = Instant::now();
    let checkout = indexed(&tree.path)?;
    let from_index = Gupconv { tree: checkout, ..gupconv.clone() }.output(&["scan", "--format", "jsonl"])?;
    ensure_same("scan by the git index", &sites_only(&from_index), "scan by walking", &sites_only(&scan))?;
    step("a git checkout and an unpacked archive give the same records", started);

    // Every short sequence of calls and some long ones: the page model against the functions of this very tree.
    let started = Instant::now();
    let path = tree.path.display().to_string();
    let model = ["--tree", &path, "--sequences", "100000", "--no-self-test"].map(str::to_string);
    crate::conformance::main(&model)?;
    step("the page model does what the compiled functions of the tree do", started);

    if arguments.iter().any(|argument| argument == "--build") {
        crate::build::run(&gupconv.binary, &tree.path, &tree::builds(&tree.path))?;
    }
    println!("corpus: {done} checks passed");
    Ok(())
}

/// The program and the tree it looks at.
#[derive(Clone)]
struct Gupconv {
    binary: PathBuf,
    tree: PathBuf,
}

impl Gupconv {
    /// Runs it; anything but exit status 0 is an error.
    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        repo::capture(Command::new(&self.binary).arg("--tree").arg(&self.tree).args(arguments).current_dir(&self.tree))
    }
}

/// Records of one kind, a line each. The printer writes `"kind":"site"` without spaces.
fn records<'a>(jsonl: &'a [u8], kind: &str) -> Vec<&'a str> {
    let needle = format!("\"kind\":\"{kind}\"");
    std::str::from_utf8(jsonl).unwrap_or_default().lines().filter(|line| line.contains(&needle)).collect()
}

fn sites_only(jsonl: &[u8]) -> Vec<u8> {
    records(jsonl, "site").join("\n").into_bytes()
}

fn with<'a>(sites: &'a [&'a str], field: &'a str) -> impl Iterator<Item = &'a &'a str> {
    sites.iter().filter(move |site| site.contains(field))
}

fn summary(sites: &[&str]) -> String {
    let count = |verdict: &str| with(sites, &format!("\"verdict\":\"{verdict}\"")).count();
    format!("{} sites, {} convert, {} assist, {} leave", sites.len(), count("convert"), count("assist"), count("leave"))
}

fn check_records(scan: &[u8], sites: &[&str]) -> Result<()> {
    ensure!(!sites.is_empty(), "no site in a whole kernel tree");
    let last = std::str::from_utf8(scan)?.lines().last().unwrap_or_default();
    ensure!(last.contains("\"kind\":\"run\""), "the last record is not the run record");
    for site in sites {
        ensure!(
            !site.contains("\"releases\":[]")
                || !site.contains("\"gaps\":[]")
                || site.contains("\"verdict\":\"leave\""),
            "a site has neither a release nor a gap:\n{site}"
        );
        let proved = site.contains("\"outcome\":\"equal\"") || site.contains("\"outcome\":\"refined\"");
        ensure!(!site.contains("\"verdict\":\"convert\"") || proved, "a site is converted without a proof:\n{site}");
    }
    Ok(())
}

fn pinned(tree: &Tree, sites: &[&str]) -> Result<()> {
    let Some(pin) = PINNED.iter().find(|pin| Some(pin.version) == tree.version.as_deref()) else {
        println!("      no counts are pinned for this tree");
        return Ok(());
    };
    let want = format!("{} sites, {} convert, {} assist, {} leave", pin.sites, pin.convert, pin.assist, pin.leave);
    let got = summary(sites);
    ensure!(want == got, "pinned: {want}\n   found: {got}");
    Ok(())
}

/// Scans a few folders by name: their records are those of the whole scan.
fn narrowed(gupconv: &Gupconv, sites: &[&str]) -> Result<()> {
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for site in sites {
        let path = field(site, "path").context("a site has no path")?;
        if let Some((folder, _)) = path.rsplit_once('/') {
            folders.insert(folder.to_owned());
        }
    }
    // Each folder costs a whole analysis; three of them cross the tree from its first part to its last.
    let step = folders.len().div_ceil(3).max(1);
    for folder in folders.iter().step_by(step) {
        let inside = format!("\"path\":\"{folder}/");
        let want: Vec<&str> = sites.iter().filter(|s| own_path(s).starts_with(&inside)).copied().collect();
        let scan = gupconv.output(&["scan", "--format", "jsonl", folder])?;
        let got = records(&scan, "site");
        ensure!(got == want, "scan {folder} reports {} sites, the whole scan {} there", got.len(), want.len());
    }
    Ok(())
}

/// The record from its first `"path"` on: that of the site, not of a release.
fn own_path(site: &str) -> &str {
    site.find("\"path\":").map_or("", |at| &site[at..])
}

fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let needle = format!("\"{name}\":\"");
    let start = record.find(&needle)? + needle.len();
    record[start..].split('"').next()
}

fn hunks(diff: &[u8]) -> usize {
    lines(diff).filter(|line| line.starts_with(b"@@ ")).count()
}

/// Paths that the diff changes.
fn converted(diff: &[u8]) -> Vec<String> {
    lines(diff)
        .filter_map(|line| line.strip_prefix(b"+++ b/"))
        .map(|path| String::from_utf8_lossy(path).trim_end().to_owned())
        .collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

/// A copy of the tree with the diff applied by git.
fn apply(tree: &Path, diff: &[u8]) -> Result<PathBuf> {
    let copy = tree::link_copy(tree, "applied")?;
    if diff.is_empty() {
        return Ok(copy);
    }
    for arguments in [&["apply", "--check", "-"][..], &["apply", "--whitespace=error-all", "-"]] {
        // The copy lies inside our own repository: git must not take it for a part of that.
        let mut git = Command::new("git")
            .args(arguments)
            .current_dir(&copy)
            .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(&copy))
            .stdin(Stdio::piped())
            .spawn()
            .context("git")?;
        if let Some(input) = git.stdin.as_mut() {
            input.write_all(diff)?;
        }
        ensure!(git.wait()?.success(), "git {arguments:?} refuses the diff");
    }
    Ok(copy)
}

/// A copy of the tree with a git index that lists all its files. The blobs are named and not stored: 60,000 objects
/// would take a minute, and nothing here reads one.
fn indexed(tree: &Path) -> Result<PathBuf> {
    let copy = tree::link_copy(tree, "checkout")?;
    repo::run(Command::new("git").args(["init", "--quiet"]).current_dir(&copy))?;
    let listed = repo::capture(
        Command::new("git").args(["ls-files", "--others", "-z", "--", "*.c", "*.h", "Makefile"]).current_dir(&copy),
    )?;
    let mut input = Vec::new();
    for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        input.extend_from_slice(b"100644 1111111111111111111111111111111111111111\t");
        input.extend_from_slice(path);
        input.push(0);
    }
    let mut git = Command::new("git")
        .args(["update-index", "-z", "--index-info"])
        .current_dir(&copy)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = git.stdin.take() {
        pipe.write_all(&input)?;
    }
    ensure!(git.wait()?.success(), "git update-index failed");
    Ok(copy)
}

fn ensure_same(one: &str, left: &[u8], other: &str, right: &[u8]) -> Result<()> {
    if left == right {
        return Ok(());
    }
    let at = lines(left).zip(lines(right)).position(|(l, r)| l != r).unwrap_or_default();
    let line = |bytes: &[u8]| lines(bytes).nth(at).map(head).unwrap_or_default();
    bail!("{one} and {other} differ in line {}:\n{}\n{}", at + 1, line(left), line(right))
}

/// The first 2,000 bytes, for a message.
fn head(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}
