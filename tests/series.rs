//! `gupconv series` on miniature trees, with real git in temporary folders.

// tidy: long file: independent properties of one set of mails, each a few lines

mod common;

use gupconv::config::{Config, DirtyPolicy};
use gupconv::run::{self, HandedPlan};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const DATE: &str = "2019-07-14T08:00:00Z";

/// A copy of a miniature tree beside room for output.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn of(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        common::tree(name, &dir.path().join("tree"));
        Self { dir }
    }
    /// One that is a git checkout with a commit that has a parent.
    fn checkout(name: &str) -> Self {
        let tree = Self::of(name);
        tree.git(&["init", "-q", "-b", "main", "."]);
        tree.git(&["commit", "-q", "--allow-empty", "-m", "Linux 0.0"]);
        tree.commit("Linux 0.1");
        tree
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("tree")
    }
    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn commit(&self, subject: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
    }
    fn git(&self, args: &[&str]) -> String {
        git(&self.path(), args)
    }
    fn edit(&self, path: &str, f: impl Fn(&str) -> String) {
        let path = self.path().join(path);
        let text = fs::read_to_string(&path).expect("file");
        fs::write(path, f(&text)).expect("file");
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_gupconv"));
        program.current_dir(self.path()).arg("series").args(args).stdin(Stdio::null());
        environment(&mut program);
        program
    }
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program runs")
    }
    /// Runs the command, which must succeed, and returns the files of `out`.
    fn series(&self, out: &str, args: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let dir = self.beside(out);
        let ran = self.run(&[&["-o", dir.to_str().expect("UTF-8")], args].concat());
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        files(&dir)
    }
    /// The error of a command that must not run: title, cause and remedy.
    fn refused(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        let text = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{text}");
        assert!(text.starts_with("error: ") && text.contains("\n  cause:") && text.contains("\n  remedy:"), "{text}");
        text
    }
}

/// No configuration of this machine, and a person to write in the name of.
fn environment(command: &mut Command) {
    let empty = if cfg!(windows) { "NUL" } else { "/dev/null" };
    command
        .env("GIT_CONFIG_GLOBAL", empty)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada Writer")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada Writer")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .env("GIT_AUTHOR_DATE", DATE)
        .env("GIT_COMMITTER_DATE", DATE)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("NO_COLOR");
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    environment(git.arg("-C").arg(dir).args(args));
    let out = git.output().expect("git, which the tests need");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim_end().to_string()
}

/// Words with one blank between them, however they were wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All files below a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_string_lossy().into_owned();
                found.insert(name, fs::read(path).expect("file"));
            }
        }
    }
    found
}

/// The patches without the cover letter, in order.
fn patches(series: &BTreeMap<String, Vec<u8>>) -> Vec<(&String, String)> {
    let is_patch = |n: &str| n.ends_with(".patch") && !n.contains("0000-cover-letter");
    series.iter().filter(|(n, _)| is_patch(n)).map(|(n, b)| (n, String::from_utf8_lossy(b).into_owned())).collect()
}

fn cover(series: &BTreeMap<String, Vec<u8>>) -> String {
    let letter = series.iter().find(|(n, _)| n.contains("0000-cover-letter")).expect("a cover letter");
    String::from_utf8_lossy(letter.1).into_owned()
}

/// The subject of a mail, unfolded, without its tag.
fn subject(mail: &str) -> String {
    let start = mail.find("\nSubject: ").expect("a subject") + 10;
    let rest = &mail[start..];
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if end > 0 && !line.starts_with(' ') {
            break;
        }
        end += line.len();
    }
    let whole = rest[..end].replace('\n', "");
    whole.split_once("] ").expect("a tag").1.to_string()
}

/// The text of a mail down to the first `---`.
fn body(mail: &str) -> &str {
    let start = mail.find("\n\n").expect("a header") + 2;
    let end = mail.find("\n---\n").expect("an end");
    &mail[start..=end]
}

/// Applies the patches with `git am` in a fresh clone and returns it.
fn applied(tree: &Tree, out: &str, name: &str) -> PathBuf {
    let clone = tree.beside(name);
    git(tree.dir.path(), &["clone", "-q", "tree", name]);
    for patch in patches(&files(&tree.beside(out))) {
        git(&clone, &["am", "-q", tree.beside(out).join(patch.0).to_str().expect("UTF-8")]);
    }
    clone
}

/// The tree object of what `gupconv convert --write` makes of the tree.
fn converted(tree: &Tree) -> String {
    let copied = tree.beside("converted");
    git(tree.dir.path(), &["clone", "-q", "tree", "converted"]);
    let mut program = Command::new(env!("CARGO_BIN_EXE_gupconv"));
    let ran = program.current_dir(&copied).args(["convert", "--write"]).output().expect("the program runs");
    assert!(ran.status.success());
    git(&copied, &["add", "-A"]);
    git(&copied, &["write-tree"])
}

#[test]
fn the_series_applies_and_is_the_conversion() {
    for name in ["mini-5.2", "mini-5.4", "mini-6.1"] {
        let tree = Tree::checkout(name);
        let series = tree.series("out", &[]);
        assert!(patches(&series).len() >= 3, "{name}");
        let clone = applied(&tree, "out", "clone");
        assert_eq!(git(&clone, &["rev-parse", "HEAD^{tree}"]), converted(&tree), "{name}");
        // Applied messages carry nothing from below `---`, and no tag of a person.
        let log = git(&clone, &["log", "--format=%B", "-20"]);
        assert!(!log.contains("ran nothing on a machine"), "{log}");
        assert!(!log.contains("-by:"), "{log}");
        let base = tree.git(&["rev-parse", "HEAD"]);
        assert!(cover(&series).contains(&format!("\nbase-commit: {base}\n")));
    }
}

#[test]
fn array_functions_come_first_where_there_may_be_no_mmu() {
    let tree = Tree::checkout("mini-5.2");
    common::without_mmu(&tree.path());
    tree.commit("Builds without an MMU");
    let series = tree.series("out", &[]);
    let mails = patches(&series);
    let first = &mails[0].1;
    assert_eq!(subject(first), "mm/gup: provide put_user_pages*() without CONFIG_MMU");
    let said = flat(body(first));
    assert!(said.contains("may be built without an MMU, as far as the Makefiles and Kconfig tell"), "{said}");
    assert!(flat(first).contains("--- [ The tool compiled nothing and ran nothing on a machine."), "{first}");
    assert!(flat(first).contains("drivers/misc/kestrel.c (CONFIG_KESTREL)"), "{first}");
    assert!(!flat(first).contains("fernfb.c"), "a display needs an MMU: {first}");
    // Those that call them depend on it, the others do not, and the letter names the ones that do.
    let depends = "[ Needs \"mm/gup: provide put_user_pages*() without CONFIG_MMU\" before it (mm tree): ";
    let numbers: Vec<String> = (1..)
        .zip(&mails)
        .filter(|(_, (_, m))| flat(m).contains(depends))
        .map(|(n, _): (usize, _)| n.to_string())
        .collect();
    let of = |path: &str| &mails.iter().find(|p| p.1.contains(&format!("diff --git a/{path} "))).expect("a patch").1;
    assert!(flat(of("drivers/misc/kestrel.c")).contains(depends));
    assert!(!flat(of("drivers/video/fernfb.c")).contains(depends));
    let letter = flat(&cover(&series));
    let (last, most) = numbers.split_last().expect("more than one");
    assert!(
        letter.contains(&format!("Patches {} and {last} call them in files that may", most.join(", "))),
        "{letter}"
    );
    assert!(letter.contains("No other patch depends on another one: each of the others may go"), "{letter}");
    assert!(!mails.iter().any(|(_, m)| m.contains("would not link any more")), "{numbers:?}");
    let clone = applied(&tree, "out", "clone");
    assert_eq!(git(&clone, &["rev-parse", "HEAD^{tree}"]), converted(&tree));
    // A part of the tree brings them along, if it needs them.
    let part = tree.series("part", &["drivers/misc"]);
    assert_eq!(subject(&patches(&part)[0].1), "mm/gup: provide put_user_pages*() without CONFIG_MMU");
    let display = tree.series("display", &["drivers/video"]);
    assert!(!flat(&cover(&display)).contains("mm/gup"));
}

/// A driver that keeps the result of a pin in an unsigned variable, and tests it before it releases.
const UNSIGNED: &str = "// SPDX-License-Identifier: GPL-2.0
#include <linux/hw.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

int heron_run(unsigned long uaddr, unsigned long n, struct page **pages)
{
	unsigned long got, limit = 16;

	if (n > limit)
		return -EINVAL;
	got = get_user_pages_fast(uaddr, n, FOLL_WRITE, pages);
	if (got != n)
		goto err;
	hw_run(pages, n);
	release_pages(pages, n);
	return 0;
err:
	if (got > 0)
		release_pages(pages, got);
	return -EFAULT;
}
";

#[test]
fn a_bug_is_fixed_in_a_patch_of_its_own_before_the_conversion() {
    let tree = Tree::checkout("mini-5.2");
    let path = "drivers/misc/heron.c";
    let steps = [
        UNSIGNED.replace("unsigned long got, limit = 16", "long got, limit = 8"),
        UNSIGNED.replace("limit = 16", "limit = 8"),
        UNSIGNED.to_string(),
    ];
    for (text, subject) in steps.iter().zip(["misc: heron: new", "misc: heron: tidy", "misc: heron: more"]) {
        fs::write(tree.path().join(path), text).expect("file");
        tree.commit(subject);
    }
    let series = tree.series("out", &[]);
    let mails = patches(&series);
    let at = mails.iter().position(|(_, m)| subject(m).contains("keep the result")).expect("a fix");
    let conversion = mails[at..].iter().find(|(_, m)| subject(m).contains(": convert ")).expect("a conversion");
    let (fix, conversion) = (&mails[at].1, &conversion.1);
    assert_eq!(subject(fix), "misc: heron: keep the result of get_user_pages_fast() in an int");
    assert!(fix.contains("\n-\tunsigned long got, limit = 16;\n+\tunsigned long limit = 16;\n+\tint got;\n"), "{fix}");
    assert!(
        !fix.contains("put_user_pages(") && fix.contains("1 file changed, 2 insertions(+), 1 deletion(-)"),
        "{fix}"
    );
    let said = flat(body(fix));
    assert!(said.contains("so it passes `if (got > 0)`, and release_pages() is called with an error code"), "{said}");
    assert!(conversion.contains("\n+\t\tput_user_pages(pages, got);\n"), "{conversion}");
    assert!(!conversion.contains("int got"), "{conversion}");
    // The newest commit that wrote one of the lines: the last one changed the declaration.
    let newest = tree.git(&["log", "-1", "--format=%h", "--abbrev=12"]);
    assert!(body(fix).contains(&format!("\nFixes: {newest} (\"misc: heron: more\")\n")), "{}", body(fix));
    assert!(
        flat(&cover(&series)).contains("fixes a bug that the conversion behind it needs fixed, and goes before that.")
    );
    let clone = applied(&tree, "out", "clone");
    assert_eq!(git(&clone, &["rev-parse", "HEAD^{tree}"]), converted(&tree));
}

#[test]
fn where_the_history_does_not_reach_a_fix_leaves_a_gap() {
    let tree = Tree::of("mini-5.2");
    fs::write(tree.path().join("drivers/misc/heron.c"), UNSIGNED).expect("file");
    tree.git(&["init", "-q", "-b", "main", "."]);
    tree.commit("Linux 0.1");
    let series = tree.series("out", &[]);
    let mails = patches(&series);
    let fix = mails.iter().map(|(_, m)| m).find(|m| subject(m).contains("keep the result")).expect("a fix");
    assert!(!body(fix).contains("Fixes:"), "{}", body(fix));
    assert!(flat(fix).contains("[ To be filled in before sending: a Fixes: tag."), "{fix}");
    // Nobody else has a commit without a parent: its name would say nothing.
    let letter = flat(&cover(&series));
    assert!(!letter.contains("base-commit:"), "{letter}");
    assert!(
        letter.contains("is based on a local commit, \"Linux 0.1\", which has no history. [ To be filled in"),
        "{letter}"
    );
    // Without git, the same patches.
    let plain = Tree::of("mini-5.2");
    fs::write(plain.path().join("drivers/misc/heron.c"), UNSIGNED).expect("file");
    let other = plain.series("out", &[]);
    let names = |s: &BTreeMap<String, Vec<u8>>| patches(s).iter().map(|(_, m)| subject(m)).collect::<Vec<_>>();
    assert_eq!(names(&other), names(&series));
}

#[test]
fn every_patch_holds_whole_traces() {
    // After each patch, what is left to convert shrinks, and nothing that was converted comes back as half a trace.
    let tree = Tree::checkout("mini-6.1");
    tree.series("out", &[]);
    let clone = tree.beside("clone");
    git(tree.dir.path(), &["clone", "-q", "tree", "clone"]);
    let mut left = usize::MAX;
    for patch in patches(&files(&tree.beside("out"))) {
        git(&clone, &["am", "-q", tree.beside("out").join(patch.0).to_str().expect("UTF-8")]);
        let mut program = Command::new(env!("CARGO_BIN_EXE_gupconv"));
        let ran = program.current_dir(&clone).args(["scan", "--format", "jsonl"]).output().expect("the program runs");
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        let now = text.lines().filter(|l| l.contains("\"verdict\":\"convert\"")).count();
        assert!(now < left, "{}: {now} of {left}", patch.0);
        left = now;
        assert!(!text.contains("\"outcome\":\"differs\""), "{}", patch.0);
    }
    assert_eq!(left, 0);
}

#[test]
fn a_release_that_was_forgotten_is_a_fix_of_its_own() {
    let tree = Tree::checkout("mini-6.1");
    let series = tree.series("out", &[]);
    let mails = patches(&series);
    let of = |path: &str| &mails.iter().find(|p| p.1.contains(&format!("diff --git a/{path} "))).expect("a patch").1;
    let gadwall = of("drivers/net/gadwall_stop.c");
    assert!(subject(gadwall).ends_with(": drop pins with unpin_user_page() instead of put_page()"), "{gadwall}");
    let said = flat(gadwall);
    for told in [
        "gadwall_create() pins user pages with pin_user_pages_fast(). They are dropped by put_page() in gadwall_destroy(); the \
         other releases are unpin_user_pages(). A pin of a page of order 0 is GUP_PIN_COUNTING_BIAS references, and \
         put_page() drops one of them",
        "a Fixes: tag. `git blame` of drivers/net/gadwall.c:19 and drivers/net/gadwall_stop.c:16 gives",
        "[ Not changed here: gadwall_destroy() marks the pages dirty with set_page_dirty(), and no page lock",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(!said.contains("get_user_pages") && !said.contains("FOLL_LONGTERM"), "{said}");
    // Apart from the conversions of the same drivers.
    let grebe = of("drivers/misc/grebe.c");
    assert_eq!(grebe.matches("diff --git").count(), 1, "{grebe}");
    assert!(flat(grebe).contains("dropped by put_page() in grebe_once(); the other releases are unpin_user_page()."));
    for path in ["drivers/misc/heron.c", "drivers/misc/bittern.c", "drivers/misc/egret.c", "drivers/net/gadwall.c"] {
        assert!(!mails.iter().any(|m| m.1.contains(&format!("diff --git a/{path} "))), "{path}");
    }
    let letter = flat(&cover(&series));
    assert!(letter.contains("Conversions that were begun end with patches"), "{letter}");
    assert!(letter.contains("These patches end a conversion that was begun"), "{letter}");
    // Nothing else in the series.
    let alone = tree.series("alone", &["drivers/net/gadwall.c", "drivers/net/gadwall_stop.c"]);
    let letter = cover(&alone);
    assert_eq!(subject(&letter), "Drop pins with unpin_user_page()");
    let letter = flat(&letter);
    assert!(letter.contains("This series ends conversions that were begun: patch 1 (gadwall_create())."), "{letter}");
    assert!(letter.contains("no difference but that a pin is dropped where a reference was"), "{letter}");
    assert!(!letter.contains("This series converts") && !letter.contains("put_user_page"), "{letter}");
}

#[test]
fn messages_fit_and_are_unique() {
    for (name, grouping) in [("mini-5.2", "driver"), ("mini-5.2", "file"), ("mini-6.1", "subsystem")] {
        let tree = Tree::checkout(name);
        let series = tree.series("out", &["--group", grouping]);
        let mut seen: Vec<String> = Vec::new();
        for (file, mail) in patches(&series) {
            let subject = subject(&mail);
            assert!(subject.chars().count() <= 75, "{file}: {subject}");
            let fixes = subject.contains(": use set_page_dirty_lock() in ");
            let ends = subject.contains(": drop the pin with ") || subject.contains(": drop pins with ");
            assert!(subject.contains(": convert ") || fixes || ends, "{subject}");
            assert!(mail.contains(&format!("] {subject}\n")), "in one line, which b4 needs: {mail}");
            assert!(!seen.contains(&subject), "twice: {subject}");
            seen.push(subject);
            let body = body(&mail);
            assert!(body.lines().all(|l| l.chars().count() <= 75), "{body}");
            assert!(flat(body).contains("gupconv series"), "{body}");
            assert!(mail.contains("\n---\n[ The tool compiled nothing and ran nothing"), "{mail}");
            assert!(!mail.contains("Signed-off-by"), "{mail}");
            if fixes || ends {
                continue;
            }
            // What the body says is released with is what the hunks bring.
            let plus: Vec<&str> = mail.lines().filter(|l| l.starts_with('+') && !l.starts_with("+++")).collect();
            let calls = match name {
                "mini-6.1" => ["unpin_user_page", "unpin_user_pages", "unpin_user_pages_dirty_lock"],
                _ => ["put_user_page", "put_user_pages", "put_user_pages_dirty_lock"],
            };
            for call in calls {
                // Later paragraphs also explain what such a call does.
                let purpose = body.split("\n\n").next().unwrap_or_default();
                let purpose = flat(purpose);
                let said = purpose.split(": pages of").next().is_some_and(|p| p.contains(&format!("{call}()")));
                let done = plus.iter().any(|l| l.contains(&format!("{call}(")));
                assert_eq!(said, done, "{call} in {file}:\n{mail}");
            }
        }
    }
}

#[test]
fn refinements_are_told_with_their_functions() {
    let tree = Tree::checkout("mini-5.2");
    let series = tree.series("out", &["--group", "file"]);
    let told = |path: &str, what: &[&str]| {
        let all = patches(&series);
        let of_file = |m: &str| m.contains(&format!("diff --git a/{path} ")) && subject(m).contains(": convert ");
        let mail = &all.iter().find(|p| of_file(&p.1)).expect("a conversion of the file").1;
        let body = flat(body(mail));
        for w in what {
            assert!(body.contains(w), "{path}: no {w:?} in\n{body}");
        }
    };
    // R2, R6 in a loop that counts down, R7: named functions, and nothing about the others.
    told(
        "drivers/misc/moth.c",
        &[
            "releases a page that is dirty already without dirtying it again; unpin_user_pages() dirtied it again. Such a page is still to be written back",
            // It takes the page lock since the fix before.
            "but the page lock is not taken for it, and what the file system does for a page that is dirtied",
        ],
    );
    // What may be lost is a choice of the maintainer: it stands once, and marked.
    let mails = patches(&series);
    let skipping = |m: &&(&String, String)| flat(body(&m.1)).contains("is not done again");
    assert!(mails.iter().any(|m| skipping(&m)));
    for (_, mail) in mails.iter().filter(skipping) {
        let mail = flat(mail);
        let choice = "[ To be decided before sending: whether pages that are dirty already may be released here without dirtying them again.";
        assert_eq!(mail.matches(choice).count(), 1, "{mail}");
        assert_eq!(mail.matches("only through the pin may not reach the disk. ]").count(), 1, "{mail}");
    }
    told("drivers/misc/sieve.c", &["No functional change: put_user_pages() calls put_user_page() for each page"]);
    told("drivers/misc/kestrel.c", &["In kestrel_write(), release_pages() skipped the huge zero page"]);
}

#[test]
fn what_a_pin_does_in_the_tree_is_told() {
    let tree = Tree::checkout("mini-6.1");
    let told = |out: &str| {
        let all = patches(&tree.series(out, &[])).into_iter().map(|p| p.1).collect::<Vec<_>>();
        let says = |w: &str| all.iter().filter(|m| flat(m).contains(w)).count();
        // That nobody dirties the pages is told once.
        for mail in &all {
            let mail = flat(mail);
            assert!(mail.matches("nothing was seen that marks them dirty").count() < 2, "{mail}");
        }
        [
            "if the copy cannot be made",
            "fork() copies a pinned anonymous page",
            "marks the address space for good (MMF_HAS_PINNED)",
            "In reclaim, shrink_list() gives up earlier on an anonymous page that may be pinned: before it puts it into the swap cache. It could",
            "That flag would change which memory can be pinned. It is not added here",
            "it refuses a file on DAX (-EOPNOTSUPP) and migrates pages out of CMA and movable zones first. It is not",
            "it refuses write access to a shared mapping of a file whose dirty pages are tracked (-EFAULT, ",
            "of a file that is written back, or a file on DAX? If it can, FOLL_LONGTERM would refuse it; if it never is, ",
        ]
        .map(says)
    };
    let before = told("before");
    let kept = before[4];
    assert!(kept > 0, "pages are kept, and nothing is known of the flag");
    assert_eq!(before, [0, 0, 0, 0, kept, 0, 0, 0], "the tree does none of it");
    tree.edit("include/linux/mm.h", |text| {
        let functions = "bool gup_must_unshare(unsigned int flags, struct page *page);\n\
                         bool page_needs_cow_for_dma(struct page *page); /* MMF_HAS_PINNED */\n";
        let end = text.rfind("#endif").expect("a guard");
        [&text[..end], functions, &text[end..]].concat()
    });
    let flag = tree.path().join("include/linux/sched/coredump.h");
    fs::create_dir_all(flag.parent().expect("a folder")).expect("folder");
    fs::write(flag, "#define MMF_HAS_PINNED 27 /* never cleared */\n").expect("file");
    tree.edit("mm/gup.c", |text| format!("{text}/* sets MMF_HAS_PINNED */\n"));
    let reclaim = "int shrink_list(struct folio *f)\n{\n\tif (folio_maybe_dma_pinned(f))\n\t\treturn 0;\n\treturn add_to_swap(f);\n}\n";
    fs::write(tree.path().join("mm/vmscan.c"), reclaim).expect("file");
    tree.commit("Pins and forks");
    let [shared, forks, marks, swap, plain, ..] = told("after");
    // Whoever asks for write access has a page of its own.
    assert!(shared > 0 && shared < forks && forks == marks && forks == swap, "{shared} of {forks}, {marks}, {swap}");
    assert_eq!(plain, kept);
    // The letter says the same as the patches.
    let letter = flat(&cover(&files(&tree.beside("after"))));
    assert!(letter.contains("fork() copies a pinned") && letter.contains("MMF_HAS_PINNED"), "{letter}");
    assert!(!letter.contains("change nothing else at run time"), "{letter}");
    let flag = "int check_flags(int vma, unsigned int flags)\n{\n\tif ((flags & FOLL_LONGTERM) && vma_is_fsdax(vma))\n\t\treturn 1;\n\treturn 0;\n}\n\
                int migrate(unsigned int flags)\n{\n\treturn flags & FOLL_LONGTERM ? check_and_migrate_movable_pages() : 0;\n}\n";
    tree.edit("mm/gup.c", |text| format!("{text}{flag}"));
    tree.commit("Looks at the flag");
    let [.., plain, other, write, asked] = told("flag");
    assert_eq!((plain, other, write, asked), (0, kept, 0, 0));
    let write = "int check_write(int vma, unsigned int flags)\n{\n\treturn !writable_file_mapping_allowed(vma, flags & FOLL_LONGTERM);\n}\n";
    tree.edit("mm/gup.c", |text| format!("{text}{write}"));
    tree.commit("Refuses files");
    // Only where write access is asked for.
    let [.., other, write, asked] = told("files");
    assert!(write > 0 && other + write == kept && asked == write, "{other}, {write}, {asked} of {kept}");
}

#[test]
fn the_cover_letter_counts_right() {
    let tree = Tree::checkout("mini-5.2");
    let series = tree.series("out", &[]);
    let letter = cover(&series);
    let n = patches(&series).len();
    let converting = patches(&series).iter().filter(|p| subject(&p.1).contains(": convert ")).count();
    let site =
        |l: &str| l.starts_with("  0") && l.contains(".c:") && l.get(2..4).is_some_and(|n| n.parse::<usize>().is_ok());
    let converted = letter.lines().filter(|l| site(l)).count();
    let flat = flat(&letter);
    assert!(flat.contains(&format!("converts {converted} call sites and ")), "{flat}");
    assert!(converting < n && flat.contains(&format!("files and {converting} patches.")), "{flat}");
    assert!(flat.contains("Left out of this series: 3 other calls by which code may come by pages, "), "{flat}");
    assert!(
        flat.contains("Left out: an MMU notifier keeps the mapping coherent (1): drivers/iommu/brook.c:46"),
        "{flat}"
    );
    // R6 is no difference at run time.
    assert!(!flat.contains("a loop becomes one call") && !flat.contains("R6"), "{flat}");
    assert!(letter.contains(&format!("[PATCH 0/{n}] ")), "{letter}");
    // The lists stand behind the diffstat, and no more is missing than the signature.
    let at = |what: &str| letter.find(what).unwrap_or_else(|| panic!("no {what:?} in\n{letter}"));
    assert!(
        at("How it was checked") < at(" files changed, ") && at(" files changed, ") < at("Left out of this"),
        "{letter}"
    );
    assert!(at("Left out of this") < at("\n-- \n"), "{letter}");
    // Not every driver of the tree has somebody, or a custom; nobody sends patches for a release.
    assert!(flat.contains("All call sites are listed below the diffstat"), "{flat}");
    assert!(
        flat.contains("subjects of conversions and of fixes start by path, since the history at hand shows no custom"),
        "{flat}"
    );
    assert!(flat.contains("[ To be filled in before sending: who gets the patches."), "{flat}");
    assert!(flat.contains("[ To be done before sending: the Makefile calls this tree "), "{flat}");
    assert!(!letter.contains("***"), "{letter}");
}

/// Everything that the command must leave alone: files, index, HEAD, refs, configuration and objects.
fn snapshot(tree: &Tree) -> BTreeMap<String, Vec<u8>> {
    files(&tree.path())
}

#[test]
fn the_checkout_stays_as_it_was() {
    let tree = Tree::checkout("mini-5.2");
    let before = snapshot(&tree);
    tree.series("out", &[]);
    tree.run(&["--dry-run"]);
    assert!(snapshot(&tree) == before, "something in the checkout changed");
}

#[test]
fn killed_at_any_point_it_leaves_the_checkout_alone() {
    let tree = Tree::checkout("mini-5.2");
    let before = snapshot(&tree);
    let out = tree.beside("out");
    let mut killed = 0;
    for i in 0..24_u64 {
        let mut child = tree
            .command(&["-o", out.to_str().expect("UTF-8")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("TMPDIR", tree.dir.path())
            .spawn()
            .expect("the program runs");
        std::thread::sleep(Duration::from_millis(i * i));
        killed += usize::from(child.try_wait().expect("state").is_none());
        let _ = child.kill();
        child.wait().expect("ended");
        // A git that it had started may still be at work, on its own temporary files.
        assert!(snapshot(&tree) == before, "killed after {} ms", i * i);
        if out.exists() {
            let all = files(&out);
            assert_eq!(patches(&all).len(), 6, "an output folder is complete or not there");
            fs::remove_dir_all(&out).expect("removed");
        }
    }
    assert!(killed >= 5, "only {killed} runs were killed");
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    // The next run takes away what the killed ones have left, here and in the temporary folder.
    let mut last = tree.command(&["-o", out.to_str().expect("UTF-8")]);
    assert!(last.env("TMPDIR", tree.dir.path()).output().expect("the program runs").status.success());
    let left: Vec<String> = fs::read_dir(tree.dir.path())
        .expect("folder")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|n| n.contains("gupconv-series-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_runs_give_the_same_bytes() {
    for tree in [Tree::checkout("mini-5.4"), Tree::of("mini-5.4")] {
        let first = tree.series("one", &["-j", "1"]);
        std::thread::sleep(Duration::from_millis(1100));
        let second = tree.series("two", &["-j", "4"]);
        assert!(first == second);
        // A rerun into the same folder finds its own work.
        let again = tree.run(&["-o", tree.beside("two").to_str().expect("UTF-8")]);
        assert!(String::from_utf8_lossy(&again.stderr).contains(", unchanged"));
        assert!(files(&tree.beside("two")) == first);
    }
}

#[test]
fn settings_of_the_user_change_nothing() {
    let tree = Tree::checkout("mini-5.2");
    let plain = tree.series("plain", &[]);
    for (key, value) in [
        ("format.signOff", "true"),
        ("format.subjectPrefix", "OTHER"),
        ("format.thread", "deep"),
        ("format.to", "everybody@example.org"),
        ("format.headers", "X-Mine: yes"),
        ("format.attach", "true"),
        ("format.numbered", "false"),
        ("format.signature", "mine"),
        ("format.outputDirectory", "elsewhere"),
        ("format.from", "true"),
        ("format.notes", "true"),
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.context", "7"),
        ("diff.algorithm", "patience"),
        ("diff.renames", "copies"),
        ("color.ui", "always"),
        ("core.abbrev", "40"),
        ("commit.gpgSign", "true"),
        ("i18n.commitEncoding", "ISO-8859-1"),
        ("log.showSignature", "true"),
    ] {
        tree.git(&["config", key, value]);
    }
    assert!(tree.series("odd", &[]) == plain);
}

#[test]
fn a_branch_has_the_commits_of_the_mails() {
    let tree = Tree::checkout("mini-5.2");
    let series = tree.series("out", &["--branch", "gup/convert"]);
    let commits = tree.git(&["log", "--reverse", "--format=%H", "main..gup/convert"]);
    let from: Vec<String> = patches(&series).iter().map(|p| p.1[5..45].to_string()).collect();
    assert_eq!(commits.lines().collect::<Vec<_>>(), from);
    assert_eq!(tree.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    tree.git(&["fsck", "--strict"]);
    // Again: the same branch. With other commits: refused, and not moved.
    assert!(tree.run(&["--branch", "gup/convert"]).status.success());
    let text = tree.refused(&["--branch", "gup/convert", "--group", "file"]);
    assert!(text.contains("the branch gup/convert exists"), "{text}");
    assert_eq!(tree.git(&["log", "--reverse", "--format=%H", "main..gup/convert"]), commits);
    assert!(tree.refused(&["--branch", "..bad"]).contains("is no name for a branch"));
}

#[test]
fn what_all_patches_call_is_added_first() {
    let tree = Tree::checkout("mini-4.19");
    let series = tree.series("out", &["--with-prerequisite"]);
    let first = &patches(&series)[0].1;
    assert_eq!(subject(first), "mm: add put_user_page*() placeholders");
    // A function that nobody calls is exported with a mark, and the comment on the race stands where it belongs.
    assert!(flat(first).contains("nothing in this series calls put_user_pages_dirty()"), "{first}");
    assert!(first.contains("+\t\t * May race with clear_page_dirty_for_io(). Either the page is seen\n"), "{first}");
    // All others stand on it, so none of them may go in any order with it.
    let letter = flat(&cover(&series));
    assert!(letter.contains("Patch 1 adds the functions that all others call. [ To be decided before"), "{letter}");
    assert!(!letter.contains("in any order"), "{letter}");
    applied(&tree, "out", "clone");
}

#[test]
fn without_git_the_mails_have_the_same_shape() {
    let tree = Tree::checkout("mini-5.2");
    let by_git = tree.series("git", &[]);
    fs::rename(tree.path().join(".git"), tree.beside("git-dir")).expect("moved");
    let by_hand = tree.series("hand", &[]);
    assert_eq!(by_git.keys().collect::<Vec<_>>(), by_hand.keys().collect::<Vec<_>>());
    // Equal but for what only git has: object names, dates, base commit.
    let git_only = [
        "The mails have the date of ",
        "[ To be filled in before sending: a Fixes: tag",
        "[ To be checked before sending: Fixes: ",
    ];
    let bare = |mail: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(mail)
            .split("\n\n")
            .filter(|p| !git_only.iter().any(|start| p.starts_with(start)))
            .flat_map(str::lines)
            .filter(|l| {
                let by_content = ["Message-Id: ", "In-Reply-To: ", "References: "];
                !["From ", "Date: ", "index ", "base-commit: ", "Fixes: "]
                    .iter()
                    .chain(&by_content)
                    .any(|p| l.starts_with(p))
                    && !l.is_empty()
            })
            .map(str::to_string)
            .collect()
    };
    for (name, mail) in &by_git {
        assert_eq!(bare(mail), bare(&by_hand[name]), "{name}");
    }
    for (series, date) in
        [(&by_git, "the commit that the series is based on,"), (&by_hand, "the Makefile of the tree,")]
    {
        assert!(flat(&cover(series)).contains(&format!("The mails have the date of {date}")), "{date}");
    }
    fs::rename(tree.beside("git-dir"), tree.path().join(".git")).expect("moved back");
    let clone = applied(&tree, "hand", "clone");
    assert_eq!(git(&clone, &["rev-parse", "HEAD^{tree}"]), converted(&tree));
}

#[test]
fn bytes_that_are_no_utf8_survive() {
    let tree = Tree::of("mini-5.2");
    let path = tree.path().join("drivers/net/quill.c");
    let mut text = fs::read(&path).expect("file");
    let at = text.windows(18).position(|w| w == b"int quill_register").expect("the function below the release");
    // A comment in Latin-1, and a carriage return, in the context of the hunk.
    text.splice(at..at, b"/* gez\xe4hlt \xff */\r\n".iter().copied());
    fs::write(&path, &text).expect("file");
    tree.git(&["init", "-q", "-b", "main", "."]);
    tree.git(&["config", "core.autocrlf", "false"]);
    tree.commit("Latin");
    tree.series("git", &[]);
    fs::rename(tree.path().join(".git"), tree.beside("git-dir")).expect("moved");
    tree.series("hand", &[]);
    fs::rename(tree.beside("git-dir"), tree.path().join(".git")).expect("moved back");
    let want = converted(&tree);
    for out in ["git", "hand"] {
        let clone = tree.beside(&format!("clone-{out}"));
        git(tree.dir.path(), &["clone", "-q", "tree", clone.to_str().expect("UTF-8")]);
        for patch in patches(&files(&tree.beside(out))) {
            git(&clone, &["am", "-q", "--keep-cr", tree.beside(out).join(patch.0).to_str().expect("UTF-8")]);
        }
        assert_eq!(git(&clone, &["rev-parse", "HEAD^{tree}"]), want, "{out}");
    }
}

#[test]
fn subjects_start_as_the_history_does() {
    let tree = Tree::checkout("mini-5.2");
    for (n, subject) in ["quill: add a thing", "quill: mend it: now", "net: drop one"].iter().enumerate() {
        tree.edit("drivers/net/quill.c", |t| format!("{t}/* {n} */\n"));
        tree.commit(subject);
    }
    let series = tree.series("out", &["drivers/net/quill.c"]);
    let all = patches(&series);
    assert_eq!(all.len(), 1);
    assert!(subject(&all[0].1).starts_with("quill: convert "), "{}", all[0].1);
    assert!(body(&all[0].1).contains("`gupconv series drivers/net/quill.c`"));
}

/// A driver that copies data into the pages that it pins; `beside` stands behind it, `dirty` before the release.
fn writer(name: &str, dirty: &str, beside: &str) -> String {
    format!(
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/hw.h>\n#include <linux/mm.h>\n#include <linux/pagemap.h>\n\n\
         int {name}_run(unsigned long uaddr)\n{{\n\tstruct page *page;\n\tint got;\n\n\
         \tgot = get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page);\n\tif (got != 1)\n\t\treturn -EFAULT;\n\
         \tmemset(kmap(page), 0, 8);\n\tkunmap(page);\n{dirty}\tput_page(page);\n\treturn 0;\n}}\n{beside}"
    )
}

#[test]
fn a_missing_dirtying_is_told_where_nobody_can_do_it() {
    let tree = Tree::checkout("mini-5.2");
    let marks = "\nvoid heron_mark(struct page *page)\n{\n\tset_page_dirty_lock(page);\n}\n";
    for (name, beside) in [("wren", ""), ("heron", marks)] {
        fs::write(tree.path().join(format!("drivers/net/{name}.c")), writer(name, "", beside)).expect("file");
    }
    tree.commit("Two writers");
    let series = tree.series("out", &["drivers/net/wren.c", "drivers/net/heron.c", "--group", "file"]);
    let of = |name: &str| {
        let all = patches(&series);
        flat(&all.iter().find(|p| p.1.contains(&format!("diff --git a/drivers/net/{name}.c "))).expect("a patch").1)
    };
    let told = "wren_run() asks for pages to write to, writes to them by the address from kmap() (drivers/net/wren.c:14), and \
                nothing was seen that marks them dirty, before or after.";
    assert!(of("wren").contains(told), "{}", of("wren"));
    // Something beside it dirties pages: it may be these.
    assert!(!of("heron").contains("marks them dirty"), "{}", of("heron"));
    let letter = flat(&cover(&series));
    let written = "(wren_run()) pinned, as the notes there show, and";
    assert!(letter.contains(written) && !letter.contains("heron_run()) pinned"), "{letter}");
    let elsewhere =
        "whether the pages that the code of patch 1 (heron_run()) asks for to write to are marked dirty elsewhere";
    assert!(letter.contains(elsewhere), "{letter}");
}

#[test]
fn what_the_driver_keeps_is_told_with_its_patch() {
    let tree = Tree::checkout("mini-5.2");
    // A page of another origin at a release, and a look at struct page, each in a driver of one and of another folder.
    let mixed = |name: &str| {
        writer(name, "", "")
            .replace("\tif (got != 1)\n\t\treturn -EFAULT;\n", "\tif (got != 1)\n\t\tpage = alloc_page(GFP_KERNEL);\n")
    };
    let looks = |name: &str| writer(name, "", "").replace("\tmemset(kmap(page), 0, 8);\n\tkunmap(page);\n", "");
    for (path, text) in [
        ("drivers/net/wren.c", writer("wren", "", "")),
        ("drivers/net/heron.c", mixed("heron")),
        ("drivers/net/finch.c", looks("finch")),
        ("drivers/dma/stork.c", mixed("stork")),
    ] {
        fs::write(tree.path().join(path), text).expect("file");
    }
    tree.commit("Four drivers");
    let series = tree.series("out", &[]);
    let of = |path: &str| {
        let all = patches(&series);
        flat(&all.iter().find(|p| p.1.contains(&format!("diff --git a/{path} "))).expect("a patch").1)
    };
    let net = of("drivers/net/wren.c");
    let told = "[ Not converted: heron_run() at drivers/net/heron.c:11 (pages of another origin reach a release). ]";
    assert!(net.contains(told), "{net}");
    assert!(!of("drivers/misc/moth.c").contains("Not converted"));
    assert!(!of("drivers/dma/opal.c").contains("Not converted"), "a file with an entry of its own");
}

#[test]
fn pages_that_are_seen_to_be_written_are_no_question() {
    let tree = Tree::checkout("mini-5.2");
    let text = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/dma-mapping.h>\n#include <linux/highmem.h>\n#include <linux/mm.h>\n\n\
                int lark_run(unsigned long uaddr)\n{\n\tstruct page *page;\n\tchar *p;\n\n\
                \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\treturn -EFAULT;\n\
                \tp = kmap(page);\n\t*p = 1;\n\tkunmap(page);\n\tput_page(page);\n\treturn 0;\n}\n\n\
                int lark_move(struct device *dev, unsigned long uaddr, int dir)\n{\n\tstruct page *page;\n\
                \tdma_addr_t at;\n\n\
                \tif (get_user_pages_fast(uaddr, 1, dir == DMA_FROM_DEVICE ? FOLL_WRITE : 0, &page) != 1)\n\
                \t\treturn -EFAULT;\n\tat = dma_map_page(dev, page, 0, 8, dir);\n\tdma_unmap_page(dev, at, 8, dir);\n\tput_page(page);\n\treturn 0;\n}\n";
    fs::write(tree.path().join("drivers/net/lark.c"), text).expect("file");
    tree.commit("Lark");
    let series = tree.series("out", &["drivers/net/lark.c"]);
    let patch = flat(&patches(&series)[0].1);
    for told in [
        "lark_run() asks for pages to write to, writes to them by the address from kmap() (drivers/net/lark.c:14), \
         and nothing was seen that marks them dirty, before or after. What is written to a page of a file may be lost. \
         A fix belongs in a patch of its own",
        "lark_move() asks for pages to write to if `dir == DMA_FROM_DEVICE`, which is the direction of a transfer to them, \
         and nothing was seen",
    ] {
        assert!(patch.contains(told), "{patch}");
    }
    let letter = flat(&cover(&series));
    let told = "(lark_run() and lark_move()) pinned, as the notes there show, and";
    assert!(letter.contains(told) && !letter.contains("If something writes"), "{letter}");
}

#[test]
fn an_error_of_the_code_is_a_decision_in_the_patch_as_in_the_letter() {
    let tree = Tree::checkout("mini-5.2");
    let text = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/hw.h>\n#include <linux/mm.h>\n#include <linux/slab.h>\n\n\
                int finch_run(unsigned long uaddr, int n)\n{\n\tstruct page **pages;\n\tint got, i;\n\n\
                \tpages = kmalloc_array(n, sizeof(*pages), GFP_KERNEL);\n\tif (!pages)\n\t\treturn -ENOMEM;\n\
                \tgot = get_user_pages_fast(uaddr, n, 0, pages);\n\tif (got != n) {\n\t\tkfree(pages);\n\
                \t\treturn -EFAULT;\n\t}\n\thw_run(pages, n);\n\tfor (i = 0; i < n; i++)\n\t\tput_page(pages[i]);\n\
                \tkfree(pages);\n\treturn 0;\n}\n";
    fs::write(tree.path().join("drivers/net/finch.c"), text).expect("file");
    tree.commit("A short pin");
    let series = tree.series("out", &["drivers/net/finch.c"]);
    let mail = flat(&patches(&series)[0].1);
    assert!(
        mail.contains("[ To be decided before sending: the way out of finch_run() behind a short pin by"),
        "{mail}"
    );
    let letter = flat(&cover(&series));
    assert!(letter.contains("[ To be decided before sending: patch 1 has a note on an error of the code"), "{letter}");
    // Code stands in one line.
    assert!(cover(&series).contains("\n`git log --oneline -- FILE`"), "{letter}");
}

#[test]
fn a_negative_count_that_stays_is_told() {
    let tree = Tree::checkout("mini-5.2");
    let text = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/hw.h>\n#include <linux/mm.h>\n#include <linux/pagemap.h>\n\n\
                static void finch_drop(struct page **pages, unsigned long n)\n{\n\tunsigned long i;\n\n\
                \tfor (i = 0; i < n; i++)\n\t\tput_page(pages[i]);\n}\n\n\
                int finch_run(unsigned long uaddr)\n{\n\tstruct page *pages[4];\n\tint got;\n\n\
                \tgot = get_user_pages_fast(uaddr, 4, FOLL_WRITE, pages);\n\tif (got < 4) {\n\
                \t\tfinch_drop(pages, got);\n\t\treturn -EFAULT;\n\t}\n\
                \tmemset(kmap(pages[0]), 0, 8);\n\tkunmap(pages[0]);\n\tset_page_dirty_lock(pages[0]);\n\
                \tfinch_drop(pages, 4);\n\treturn 0;\n}\n";
    fs::write(tree.path().join("drivers/net/finch.c"), text).expect("file");
    tree.commit("A negative count");
    let series = tree.series("out", &["drivers/net/finch.c"]);
    let mail = flat(&patches(&series)[0].1);
    let told = "when get_user_pages_fast() fails in finch_run(), its negative result gets to a release as a count";
    assert!(mail.contains(told), "{mail}");
    let letter = flat(&cover(&series));
    assert!(
        letter.contains("when the pin fails in the code of patch 1 (finch_run()), its negative result"),
        "{letter}"
    );
}

#[test]
fn one_driver_is_one_patch_behind_its_fixes() {
    let tree = Tree::checkout("mini-5.2");
    let files = [
        ("wren", ""),
        // Under the lock already: only what is skipped differs.
        ("heron", "\tset_page_dirty_lock(page);\n"),
        // Without the lock, and the flag alone: two fixes.
        ("stork", "\tset_page_dirty(page);\n"),
        ("finch", "\tSetPageDirty(page);\n"),
    ];
    for (name, dirty) in files {
        fs::write(tree.path().join(format!("drivers/net/{name}.c")), writer(name, dirty, "")).expect("file");
    }
    tree.commit("Four writers");
    let paths = files.map(|(name, _)| ["drivers/net/", name, ".c"].concat());
    let series = tree.series("out", &paths.each_ref().map(|p| &**p));
    let all = patches(&series);
    let subjects: Vec<String> = all.iter().map(|p| subject(&p.1)).collect();
    assert_eq!(
        subjects,
        [
            "net: use set_page_dirty_lock() in finch_run()",
            "net: use set_page_dirty_lock() in stork_run()",
            "net: convert put_page() to put_user_pages_dirty_lock() and put_user_page()"
        ]
    );
    let [flag, unlocked, conversion] = [0, 1, 2].map(|i: usize| all[i].1.as_str());
    // A fix is the name of one call, and says what is wrong with it and nothing about releases.
    for (fix, old) in [(flag, "SetPageDirty"), (unlocked, "set_page_dirty")] {
        let changed: Vec<&str> =
            fix.lines().filter(|l| l.starts_with(['+', '-']) && !l[1..].starts_with(['+', '-'])).collect();
        assert_eq!(changed, [&format!("-\t{old}(page);"), "+\tset_page_dirty_lock(page);"], "{fix}");
        let said = flat(body(fix));
        assert!(said.contains(&format!("marks user pages dirty with {old}(), ")), "{said}");
        assert!(said.contains("It may sleep for the lock; no caller was found that is in atomic context"), "{said}");
        assert!(!said.contains("put_user_page"), "{said}");
        assert!(flat(fix).contains("a Fixes: tag. The history") || flat(fix).contains("Fixes: names"), "{fix}");
    }
    assert!(flat(body(flag)).contains("sets only the flag of the page") && !flat(body(flag)).contains("truncation"));
    assert!(flat(body(unlocked)).contains("truncation may take the page off the mapping"));
    // The conversion speaks of no fix: all dirtying is under the lock when it comes.
    let said = flat(conversion);
    assert!(!said.contains("called set_page_dirty() without") && !said.contains("called SetPageDirty()"), "{said}");
    assert!(!said.contains("a Fixes: tag") && !said.contains("Not changed here"), "{said}");
    assert!(said.contains("the page lock is not taken for it"), "{said}");
    assert!(said.contains(&format!("[ Needs \"{}\" and \"{}\" before it. ]", subjects[0], subjects[1])), "{said}");
    let letter = flat(&cover(&series));
    assert!(letter.contains("in 4 files and 1 patch."), "{letter}");
    assert!(
        letter.contains("Patches 1 and 2 each fix how pages are marked dirty, and go before the conversions"),
        "{letter}"
    );
    assert!(letter.contains("01 net: use set_page_dirty_lock() in finch_run() [R3] 02 net: "), "{letter}");
    assert!(letter.contains("drivers/net/stork.c:11 stork_run() [R2]"), "{letter}");
    // By file, each conversion stands right behind its fix.
    let by_file = tree.series("files", &[&paths.each_ref().map(|p| &**p)[..], &["--group", "file"]].concat());
    let subjects: Vec<String> = patches(&by_file).iter().map(|p| subject(&p.1)).collect();
    assert_eq!(subjects.len(), 6, "{subjects:?}");
    // What the flag alone did was no more for a page that was dirty already; set_page_dirty() did more.
    let no_worse = "SetPageDirty(), before the fix that this patch stands on, did nothing for such a page";
    let told: Vec<bool> = patches(&by_file).iter().map(|p| flat(body(&p.1)).contains(no_worse)).collect();
    let finch: Vec<bool> = subjects.iter().map(|s| s.starts_with("net/finch: convert")).collect();
    assert_eq!(told, finch, "{subjects:?}");
    assert!(!said.contains(no_worse), "{said}");
    for (i, s) in subjects.iter().enumerate().filter(|(_, s)| s.contains("use set_page_dirty_lock")) {
        let name = s.split(':').next().expect("a prefix");
        assert!(subjects[i + 1].contains(name) && subjects[i + 1].contains(": convert "), "{subjects:?}");
    }
    converted(&tree);
    for (out, name) in [("out", "clone"), ("files", "other")] {
        let clone = applied(&tree, out, name);
        let texts = |dir: &Path| paths.each_ref().map(|p| fs::read_to_string(dir.join(p)).expect("file"));
        assert_eq!(texts(&clone), texts(&tree.beside("converted")), "{out}");
    }
}

/// Two ways out that dirty the pages: in process context, and under a spinlock.
const TWO_WAYS: &str = "// SPDX-License-Identifier: GPL-2.0
#include <linux/hw.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>

static spinlock_t heron_lock;

int heron_calm(unsigned long uaddr)
{
	struct page *page;
	int got;

	got = get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page);
	if (got != 1)
		return -EFAULT;
	memset(kmap(page), 0, 8);
	kunmap(page);
	set_page_dirty(page);
	put_page(page);
	return 0;
}

int heron_hasty(unsigned long uaddr)
{
	struct page *page;
	int got;

	got = get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page);
	if (got != 1)
		return -EFAULT;
	memset(kmap(page), 0, 8);
	kunmap(page);
	spin_lock(&heron_lock);
	set_page_dirty(page);
	put_page(page);
	spin_unlock(&heron_lock);
	return 0;
}
";

#[test]
fn what_must_not_sleep_is_not_fixed() {
    let tree = Tree::checkout("mini-5.2");
    let path = "drivers/net/heron.c";
    fs::write(tree.path().join(path), TWO_WAYS).expect("file");
    tree.commit("Two ways");
    let series = tree.series("out", &[path]);
    let all = patches(&series);
    let subjects: Vec<String> = all.iter().map(|p| subject(&p.1)).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert_eq!(subjects[0], "net: use set_page_dirty_lock() in heron_calm()");
    assert!(!body(&all[0].1).contains("heron_hasty"), "{}", all[0].1);
    let said = flat(&all[1].1);
    assert!(
        said.contains("[ Not changed here: heron_hasty() marks the pages dirty with set_page_dirty(), and no"),
        "{said}"
    );
    assert!(!said.contains("heron_calm() marks"), "{said}");
    // Alone, nothing is strengthened, and nothing fixed.
    let hasty =
        TWO_WAYS.replace("\tset_page_dirty(page);\n\tput_page(page);\n\treturn 0;", "\tput_page(page);\n\treturn 0;");
    fs::write(tree.path().join(path), hasty).expect("file");
    tree.commit("One way");
    let series = tree.series("hasty", &[path]);
    let all = patches(&series);
    assert_eq!(all.len(), 1, "{:?}", all.iter().map(|p| subject(&p.1)).collect::<Vec<_>>());
    assert!(!cover(&series).contains("set_page_dirty_lock() in"), "{}", cover(&series));
}

#[test]
fn what_is_not_right_in_two_steps_stays_one_patch() {
    let tree = Tree::checkout("mini-5.2");
    let path = "drivers/net/finch.c";
    fs::write(tree.path().join(path), writer("finch", "\tSetPageDirty(page);\n", "")).expect("file");
    tree.commit("A writer");
    // The strict policy lets no page be skipped that is dirty already. The flag alone is not set twice either, but once
    // a page is marked under the lock the second step would skip it: only the whole holds.
    let plan = |dirty_policy| {
        let paths = vec![path.to_string()];
        let config = Config { paths, dirty_policy, jobs: 1, ..Config::of_tree(&tree.path()) };
        let mut analysis = run::analyse(&config).expect("a kernel tree");
        analysis.plans.remove(0)
    };
    let (two, one) = (plan(DirtyPolicy::Upstream), plan(DirtyPolicy::Strict));
    assert_eq!((two.fixes.len(), one.fixes.len()), (1, 0));
    let told = |p: &HandedPlan| p.notes.iter().any(|n| n.contains("finch_run() called SetPageDirty()"));
    assert_eq!((told(&two), told(&one)), (false, true));
    let met = |p: &HandedPlan, r: &str| p.proof.iter().flat_map(|p| &p.refinements).any(|m| m == r);
    assert_eq!(["R2", "R3"].map(|r| (met(&two, r), met(&one, r))), [(true, false), (false, true)]);
    assert_eq!(two.files, one.files, "what is done in the end is the same");
    // A tree that does not have the function for one page.
    tree.edit("include/linux/mm.h", |text| text.replace("int set_page_dirty_lock(struct page *page);\n", ""));
    tree.commit("One function less");
    let series = tree.series("out", &[path]);
    let all = patches(&series);
    assert_eq!(all.len(), 1);
    let (said, mail) = (flat(&all[0].1), &all[0].1);
    assert!(subject(mail).ends_with(", fix dirtying"), "{mail}");
    assert!(said.contains("finch_run() called SetPageDirty(), which sets only the flag"), "{said}");
    assert!(
        said.contains("a Fixes: tag, since the subject speaks of a fix; or the fix as a patch of its own"),
        "{said}"
    );
    let letter = flat(&cover(&series));
    assert!(
        letter.contains("a Fixes: tag in patch 1, or the fix as a patch of its own before the conversion"),
        "{letter}"
    );
}

#[test]
fn a_file_has_one_patch_for_its_dirtying() {
    let tree = Tree::checkout("mini-5.2");
    let path = "drivers/net/heron.c";
    let head = "// SPDX-License-Identifier: GPL-2.0\n";
    let (one, two) = (writer("heron", "\tset_page_dirty(page);\n", ""), writer("stork", "\tSetPageDirty(page);\n", ""));
    let steps = [
        one.replace("set_page_dirty(page)", "set_page_dirty_lock(page)"),
        one.clone(),
        one + two.replace(head, "").as_str(),
    ];
    for (text, subject) in steps.iter().zip(["heron: new", "heron: no lock", "heron: flags"]) {
        fs::write(tree.path().join(path), text).expect("file");
        tree.commit(subject);
    }
    let series = tree.series("out", &[path]);
    let all = patches(&series);
    let subjects: Vec<String> = all.iter().map(|p| subject(&p.1)).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    let fix = &all[0].1;
    assert_eq!(subjects[0], "heron: use set_page_dirty_lock() in heron_run() and stork_run()");
    let said = flat(body(fix));
    assert!(said.contains("heron_run() marks user pages dirty with set_page_dirty(), without the page lock"), "{said}");
    assert!(
        said.contains("stork_run() marks user pages dirty with SetPageDirty(), which sets only the flag"),
        "{said}"
    );
    assert!(said.contains("takes the page lock, and marks the buffers and the mapping, too. It may sleep"), "{said}");
    // The newest commit that wrote one of the lines.
    let newest = tree.git(&["log", "-1", "--format=%h", "--abbrev=12"]);
    assert!(body(fix).contains(&format!("\nFixes: {newest} (\"heron: flags\")\n")), "{}", body(fix));
    assert!(!flat(&cover(&series)).contains("a Fixes: tag in"), "{}", cover(&series));
    // Without git, the same patches, with a gap for the tag.
    let plain = Tree::of("mini-5.2");
    fs::write(plain.path().join(path), &steps[2]).expect("file");
    let other = plain.series("out", &[path]);
    let mails = patches(&other);
    let rest = |s: &str| s.split_once(": ").expect("a prefix").1.to_string();
    assert_eq!(
        mails.iter().map(|p| rest(&subject(&p.1))).collect::<Vec<_>>(),
        subjects.iter().map(|s| rest(s)).collect::<Vec<_>>()
    );
    assert!(flat(&mails[0].1).contains("[ To be filled in before sending: a Fixes: tag."), "{}", mails[0].1);
    let hunks = |mail: &str| -> Vec<String> {
        mail.lines().filter(|l| l.starts_with(['+', '-', '@'])).map(str::to_string).collect()
    };
    for (a, b) in all.iter().zip(&mails) {
        assert_eq!(hunks(&a.1), hunks(&b.1));
    }
}

#[test]
fn a_plan_may_stand_on_two_kinds_of_fixes() {
    let tree = Tree::checkout("mini-5.2");
    let text = UNSIGNED.replace(
        "\trelease_pages(pages, n);\n\treturn 0;",
        "\tfor (i = 0; i < n; i++) {\n\t\tset_page_dirty(pages[i]);\n\t\tput_page(pages[i]);\n\t}\n\treturn 0;",
    );
    let text = text.replace("unsigned long got, limit = 16;", "unsigned long got, limit = 16;\n\tunsigned long i;");
    fs::write(tree.path().join("drivers/misc/heron.c"), text).expect("file");
    tree.commit("Two bugs");
    let series = tree.series("out", &["drivers/misc/heron.c"]);
    let subjects: Vec<String> = patches(&series).iter().map(|p| subject(&p.1)).collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert_eq!(subjects[0], "misc: keep the result of get_user_pages_fast() in an int");
    assert_eq!(subjects[1], "misc: use set_page_dirty_lock() in heron_run()");
    let letter = flat(&cover(&series));
    assert!(
        letter.contains("Patch 1 fixes a bug that the conversion behind it needs fixed, and goes before that."),
        "{letter}"
    );
    assert!(
        letter.contains("Patch 2 fixes how pages are marked dirty, and goes before the conversion behind it."),
        "{letter}"
    );
    let clone = applied(&tree, "out", "clone");
    converted(&tree);
    let text = |dir: &Path| fs::read_to_string(dir.join("drivers/misc/heron.c")).expect("file");
    assert_eq!(text(&clone), text(&tree.beside("converted")));
}

#[test]
fn groups_and_order() {
    let tree = Tree::checkout("mini-5.2");
    let count = |args: &[&str], out: &str| patches(&tree.series(out, args)).len();
    let (subsystem, driver, file) =
        (count(&["--group", "subsystem"], "s"), count(&[], "d"), count(&["--group", "file"], "f"));
    assert!(subsystem <= driver && driver < file, "{subsystem} {driver} {file}");
    let easy = tree.series("e", &["--group", "file", "--easy-first"]);
    let hard = |mail: &str| {
        flat(mail).contains("What changes at run time:") || subject(mail).contains(": use set_page_dirty_lock()")
    };
    let order: Vec<bool> = patches(&easy).iter().map(|p| hard(&p.1)).collect();
    assert!(order.is_sorted() && order.contains(&true) && order.contains(&false), "{order:?}");
    applied(&tree, "e", "clone");
}

#[test]
fn headers_on_request() {
    let tree = Tree::checkout("mini-5.2");
    fs::create_dir_all(tree.path().join("scripts")).expect("folder");
    let script = "#!/usr/bin/perl\nprint \"Quentin Lake <q\\@example.org> (maintainer:A (B))\\n\";\n\
                  print \"netdev\\@example.org (open list:A)\\n\";\n";
    fs::write(tree.path().join("scripts/get_maintainer.pl"), script).expect("file");
    tree.commit("scripts");
    let args = ["--version-count", "v3", "--subject-prefix", "RFC PATCH", "--in-reply-to", "<a.1@example.org>"];
    let series = tree.series("out", &args);
    let letter = cover(&series);
    assert!(letter.contains("\nIn-Reply-To: <a.1@example.org>\nReferences: <a.1@example.org>\n"), "{letter}");
    assert!(letter.contains("\nSubject: [RFC PATCH v3 0/6] "), "{letter}");
    assert!(series.keys().all(|n| n == "recipients" || n.starts_with("v3-000")), "{:?}", series.keys());
    let list = String::from_utf8_lossy(&series["recipients"]).into_owned();
    assert!(list.starts_with("v3-0000-cover-letter.patch\nTo: netdev@example.org\n\nv3-0001-"), "{list}");
    // The patches answer the letter, which answers what it was told to; each mail has a name of its own.
    let id = |mail: &str| {
        let rest = mail.split_once("\nMessage-Id: ").expect("a Message-Id").1;
        rest.split_once('\n').expect("a line").0.to_string()
    };
    let cover_id = id(&letter);
    for (name, mail) in patches(&series) {
        assert!(id(&mail) != cover_id, "{name}");
        assert!(
            mail.contains(&format!("\nIn-Reply-To: {cover_id}\nReferences: <a.1@example.org>\n\t{cover_id}\n")),
            "{mail}"
        );
    }
    assert!(list.contains("\nTo: Quentin Lake <q@example.org>\nCc: netdev@example.org\n"), "{list}");
    assert!(patches(&series).iter().all(|p| !p.1.contains("\nTo: ")));
    let series = tree.series("headers", &["--headers"]);
    for (name, mail) in patches(&series) {
        assert!(mail.contains("\nTo: Quentin Lake <q@example.org>\nCc: netdev@example.org\n\n"), "{name}: {mail}");
    }
    applied(&tree, "headers", "clone");
}

#[test]
fn nothing_to_convert_is_no_error() {
    let tree = Tree::checkout("mini-4.19");
    let out = tree.beside("out");
    let ran = tree.run(&["-o", out.to_str().expect("UTF-8"), "--branch", "x"]);
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{text}");
    assert!(text.contains("series: no patch, since none of "), "{text}");
    assert!(!out.exists() && tree.git(&["branch", "--list"]) == "* main");
}

#[test]
fn what_is_in_the_way_is_said() {
    let tree = Tree::checkout("mini-5.2");
    let out = tree.beside("out");
    let out = out.to_str().expect("UTF-8");
    assert!(tree.refused(&[]).contains("no place for the series"));
    assert!(tree.refused(&["-o", out, "--subject-prefix", "A]"]).contains("cannot stand in a header"));
    for id in ["nonsense", "a@", "@b", "a b@c", "<a@b", "a@b>c"] {
        assert!(tree.refused(&["-o", out, "--in-reply-to", id]).contains("is no Message-Id"), "{id}");
    }
    assert!(tree.refused(&["-o", "no/such/folder"]).contains("there is no folder no/such"));

    let full = tree.beside("full");
    fs::create_dir(&full).expect("folder");
    fs::write(full.join("letter.txt"), "mine").expect("file");
    assert!(tree.refused(&["-o", full.to_str().expect("UTF-8")]).contains("it holds letter.txt"));
    fs::remove_file(full.join("letter.txt")).expect("removed");
    fs::write(full.join("0001-other.patch"), "mine").expect("file");
    assert!(tree.refused(&["-o", full.to_str().expect("UTF-8")]).contains("it holds another series"));
    assert_eq!(fs::read(full.join("0001-other.patch")).expect("file"), b"mine");

    let mut nobody = tree.command(&["-o", out]);
    for variable in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"] {
        nobody.env_remove(variable);
    }
    let ran = nobody.output().expect("the program runs");
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.code() == Some(2) && text.contains("nobody to write the patches in the name of"), "{text}");

    // A file that the series does not touch may be dirty, and is told; one that it touches may not.
    tree.edit("kernel/peek.c", |t| format!("{t}/* mine */\n"));
    let ran = tree.run(&["--dry-run"]);
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success() && text.contains("other files are not as in the last commit"), "{text}");
    tree.edit("drivers/net/quill.c", |t| format!("{t}/* mine */\n"));
    let text = tree.refused(&["-o", out]);
    assert!(text.contains("changed or not committed: drivers/net/quill.c"), "{text}");
    assert!(!Path::new(out).exists());
    tree.git(&["checkout", "-q", "--", "."]);

    fs::write(tree.path().join("MAINTAINERS"), "to be written\n").expect("file");
    assert!(tree.refused(&["-o", out]).contains("cannot read MAINTAINERS"));
    tree.commit("no maintainers");
    assert!(tree.run(&["-o", out, "--group", "file"]).status.success());

    let fresh = Tree::of("mini-5.2");
    fresh.git(&["init", "-q", "."]);
    assert!(fresh.refused(&["--dry-run"]).contains("the checkout has no commit"));
    let bare = Tree::of("mini-5.2");
    assert!(bare.refused(&["--branch", "x"]).contains("there is no git repository for the branch"));
}

#[test]
fn detached_and_shallow_checkouts_are_told() {
    let tree = Tree::checkout("mini-5.2");
    tree.commit("another");
    tree.git(&["checkout", "-q", "--detach"]);
    let text = String::from_utf8_lossy(&tree.run(&["--dry-run"]).stderr).into_owned();
    assert!(text.contains("HEAD is detached: the series is based on "), "{text}");
    let url = format!("file://{}", tree.path().display());
    git(tree.dir.path(), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    let mut program = tree.command(&["-o", tree.beside("out").to_str().expect("UTF-8")]);
    let ran = program.current_dir(tree.beside("shallow")).output().expect("the program runs");
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success() && text.contains("shallow clone"), "{text}");
}
