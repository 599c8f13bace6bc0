//! `convert --build-check` on a miniature tree with a miniature Kbuild: what is compiled, said and written.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// A copy of the miniature tree, and a folder beside it for builds.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        common::tree("mini-5.2", &dir.path().join("linux"));
        Self { dir }
    }
    fn root(&self) -> PathBuf {
        self.dir.path().join("linux")
    }
    fn builds(&self) -> PathBuf {
        self.dir.path().join("builds")
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, text).expect("file");
    }
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect("file")
    }
    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from}");
        self.write(path, &text.replace(from, to));
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gupconv"));
        command.current_dir(self.root()).env_remove("ARCH").env_remove("CROSS_COMPILE").arg("convert").args(args);
        command
    }
    /// Runs with the builds in their own folder.
    fn check(&self, args: &[&str]) -> (i32, String, String) {
        let folder = format!("--build-check={}", self.builds().display());
        ran(&mut self.command(&[&[folder.as_str()], args].concat()))
    }
    /// Every file and link of the tree, with its bytes and time.
    fn state(&self) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
        let mut all = Vec::new();
        state(&self.root(), &mut all);
        all.sort();
        all
    }
}

fn state(at: &Path, all: &mut Vec<(PathBuf, Vec<u8>, SystemTime)>) {
    for entry in fs::read_dir(at).expect("folder") {
        let entry = entry.expect("entry");
        if entry.file_type().expect("type").is_dir() {
            state(&entry.path(), all);
        } else {
            let time = entry.metadata().expect("metadata").modified().expect("time");
            all.push((entry.path(), fs::read(entry.path()).expect("file"), time));
        }
    }
}

fn ran(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit status"), text(stdout), text(stderr))
}

/// Without make there is one thing to test: that it is said. CI has it.
fn make() -> bool {
    Command::new("make").arg("--version").output().is_ok()
}

#[test]
fn a_clean_rewrite_is_handed_out_and_the_tree_is_not_touched() {
    if !make() {
        return;
    }
    let tree = Tree::new();
    let before = tree.state();
    let (code, diff, err) = tree.check(&["-v"]);
    assert_eq!(code, 0, "{err}");
    let files = diff.lines().filter(|l| l.starts_with("+++ ")).count();
    assert!(files > 3, "{diff}");
    assert!(
        err.contains(&format!("build: {files} of {files} files compiled before and after with W=1, 0 with")),
        "{err}"
    );
    assert!(err.contains("  clean: drivers/net/quill.c ("), "{err}");
    assert!(tree.state() == before, "the tree was written to");
    // What the check kept is found again, and a run without a folder of its own leaves nothing.
    assert_eq!(tree.check(&["-v"]), (code, diff.clone(), err));
    let (code, temporary, _) = ran(&mut tree.command(&["--build-check"]));
    assert_eq!((code, temporary), (0, diff));
    assert!(tree.state() == before, "the tree was written to");
}

#[test]
fn a_new_warning_is_a_finding_and_keeps_the_files_as_they_are() {
    if !make() {
        return;
    }
    let tree = Tree::new();
    // The converted code compiles, with a warning that the old one had not.
    tree.replace("include/linux/mm.h", "void put_user_pages(", "__attribute__((deprecated)) void put_user_pages(");
    let before = tree.state();
    let (code, _, err) = tree.check(&["--write"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("  worse: drivers/net/quill.c ("), "{err}");
    assert!(err.contains("warning: 'put_user_pages' is deprecated"), "{err}");
    assert!(err.contains("not written:"), "{err}");
    assert!(tree.state() == before, "files were written");
    let (code, records, _) = tree.check(&["--format", "jsonl", "drivers/net/quill.c"]);
    assert_eq!(code, 1);
    let kinds: Vec<bool> = records.lines().map(|l| l.contains("\"kind\":\"build\"")).collect();
    assert_eq!(kinds.iter().filter(|k| **k).count(), 1, "{records}");
    assert!(
        records.contains("\"outcome\":\"worse\",\"before\":1,\"after\":2,\"new\":[\"drivers/net/quill.c:"),
        "{records}"
    );
}

#[test]
fn with_no_new_warning_the_files_are_written() {
    if !make() {
        return;
    }
    let tree = Tree::new();
    let (code, out, err) = tree.check(&["--write", "drivers/net/quill.c"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "rewritten: drivers/net/quill.c\n");
    assert!(tree.read("drivers/net/quill.c").contains("put_user_pages(region->pages, got)"));
}

#[test]
fn what_cannot_be_built_is_said_file_by_file() {
    if !make() {
        return;
    }
    let tree = Tree::new();
    let quill = tree.read("drivers/net/quill.c");
    // An architecture that nobody has a compiler for, an error that was there before, a driver that is off.
    tree.write("arch/ia64/Kconfig", "config IA64\n\tdef_bool y\n");
    let machine = if cfg!(target_arch = "x86_64") { "x86" } else { "arm64" };
    tree.write(&format!("arch/{machine}/Kconfig"), "config HERE\n\tdef_bool y\n");
    tree.write("arch/ia64/kernel/quill.c", &quill.replace("quill_", "far_"));
    tree.write("drivers/char/quill.c", &format!("{}\n#error no\n", quill.replace("quill_", "bad_")));
    tree.write("drivers/Makefile", "obj-y += net/ char/\n");
    tree.write("drivers/char/Makefile", "obj-y += quill.o\n");
    tree.write("drivers/net/Makefile", "obj-$(CONFIG_QUILL) += quill.o\nobj-y += half.o\n");
    // An object in which nothing of the change is.
    let half = quill.replace("quill_", "half_");
    tree.write("drivers/net/half.c", &format!("#ifdef CONFIG_HALF\n{half}\n#endif\nint half;\n"));
    tree.write("Kconfig", "mainmenu \"m\"\nconfig QUILL\n\tbool \"q\"\n");
    let makefile = tree.read("Makefile");
    tree.write("Makefile", &format!("{makefile}\ndrivers/net/quill.o:\n\t@echo '*** no rule' >&2; exit 1\n"));
    let (code, _, err) = tree.check(&["-v", "drivers/net", "drivers/char", "arch"]);
    assert_eq!(code, 0, "{err}");
    let said = |line: &str| assert!(err.contains(line), "no {line} in\n{err}");
    said("  not built: arch/ia64/kernel/quill.c: it is built for ia64 only, and there is no compiler for it (ia64-");
    said(&format!("  not built: drivers/char/quill.c ({machine}): drivers/char/quill.c:"));
    said("error: #error no");
    said(&format!("  not built: drivers/net/quill.c ({machine}): CONFIG_QUILL is not set\n"));
    said(&format!("  not built: drivers/net/half.c ({machine}): line "));
    said(" is not compiled: CONFIG_HALF is not set\n");
    // Of a strict run that is not the whole answer.
    assert_eq!(tree.check(&["--strict", "drivers/net"]).0, 3);
    // With the symbol set in a configuration of the user, what make says is the reason.
    fs::write(tree.builds().join(machine).join(".config"), "CONFIG_QUILL=m\n").expect("file");
    let (_, _, err) = tree.check(&["drivers/net"]);
    assert!(err.contains("drivers/net/quill.o] Error 1"), "{err}");
    // An architecture that was asked for builds no file of another.
    let mut asked = tree.command(&["--build-check", "arch", "drivers/net"]);
    let (_, _, err) = ran(asked.env("ARCH", "mips"));
    assert!(err.contains("arch/ia64/kernel/quill.c: it is built for ia64 only, and ARCH=mips"), "{err}");
    assert!(err.contains("drivers/net/quill.c (mips): CONFIG_QUILL is not set"), "{err}");
}

#[test]
fn folders_that_are_not_for_this_are_refused() {
    if !make() {
        return;
    }
    let tree = Tree::new();
    let refused = |folder: &Path, cause: &str| {
        let (code, out, err) = ran(&mut tree.command(&[&format!("--build-check={}", folder.display())]));
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("error: cannot build in ") && err.contains(cause), "{err}");
    };
    refused(&tree.root().join("out"), "it lies inside the tree");
    assert!(!tree.root().join("out").exists());
    let mine = tree.dir.path().join("mine");
    fs::create_dir_all(mine.join("source")).expect("folder");
    fs::write(mine.join("source/precious"), "x").expect("file");
    refused(&mine, "its folder `source` was not made by a build check");
    assert!(mine.join("source/precious").exists());
    let other = Tree::new();
    other.check(&[]);
    refused(&other.builds(), "it holds builds of ");
}

#[test]
fn without_make_nothing_is_handed_out() {
    let tree = Tree::new();
    let empty = tree.dir.path().join("empty");
    fs::create_dir(&empty).expect("folder");
    let (code, out, err) = ran(tree.command(&["--write", "--build-check"]).env("PATH", empty));
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("there is no program make"), "{err}");
    assert!(tree.read("drivers/net/quill.c").contains("put_page("));
}
