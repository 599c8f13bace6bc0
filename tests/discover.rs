//! Listing and searching: the same answer from a walk, from a git index, and at any number of threads.

use gupconv::discover::{DiscoverError, Options, SourceTree};
use gupconv::source::FileId;
use std::fs;
use std::path::Path;
use std::process::Command;

fn put(root: &Path, path: &str, text: &str) {
    let p = root.join(path);
    fs::create_dir_all(p.parent().unwrap()).unwrap();
    fs::write(p, text).unwrap();
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let r = dir.path();
    put(r, "mm/gup.c", "long get_user_pages(void);\n");
    put(r, "mm/util.c", "put_page(page);\n");
    put(r, "include/linux/mm.h", "void put_page_list(void); int xput_page; unpin_user_pages(a);\n");
    put(r, "drivers/a.c", "put_page_list(a); release_pages(b); put_page(c);\n");
    put(r, "drivers/a/b.c", "get_user_pages_fast\n");
    put(r, "drivers/notes.txt", "put_page\n");
    put(r, "tools/t.c", "put_page\n");
    put(r, "Documentation/d.h", "put_page\n");
    put(r, "drivers/tools/t.c", "tools\n");
    // Longer than the read buffer, with the word at its very end.
    put(r, "drivers/long.c", &format!("{}put_page", " ".repeat(3 << 20)));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("gup.c", r.join("mm/link.c")).unwrap();
        std::os::unix::fs::symlink("/", r.join("mm/root")).unwrap();
    }
    dir
}

fn open(root: &Path, threads: usize) -> SourceTree {
    SourceTree::open(root, &Options { include_non_kernel: false, threads }).unwrap()
}

fn paths(t: &SourceTree) -> Vec<String> {
    t.files().map(|f| t.path(f).to_owned()).collect()
}

fn found(t: &SourceTree, hits: &[(FileId, Vec<usize>)]) -> Vec<String> {
    hits.iter().map(|(f, n)| format!("{} {n:?}", t.path(*f))).collect()
}

const FILES: &[&str] = &[
    "drivers/a.c",
    "drivers/a/b.c",
    "drivers/long.c",
    "drivers/tools/t.c",
    "include/linux/mm.h",
    "mm/gup.c",
    "mm/util.c",
];

#[test]
fn a_walk_lists_c_files_in_order_and_says_what_it_skips() {
    let dir = tree();
    let t = open(dir.path(), 3);
    assert_eq!(paths(&t), FILES);
    assert_eq!(t.skipped(), ["Documentation", "tools"]);
    assert!(!t.from_git() && t.unreadable().is_empty());
    let all = SourceTree::open(dir.path(), &Options { include_non_kernel: true, threads: 1 }).unwrap();
    assert_eq!(all.len(), FILES.len() + 2);
    assert!(all.skipped().is_empty());
}

#[test]
fn paths_and_ids_belong_together() {
    let dir = tree();
    let t = open(dir.path(), 1);
    for f in t.files() {
        assert_eq!(t.lookup(t.path(f)), Some(f));
    }
    for none in ["", "a", "drivers", "drivers/a", "mm/gup.cc", "zz"] {
        assert_eq!(t.lookup(none), None, "{none}");
    }
    assert_eq!(t.path(FileId(99)), "");
    let below: Vec<&str> = t.below("drivers/a/").into_iter().map(|f| t.path(f)).collect();
    assert_eq!(below, ["drivers/a/b.c"]);
    assert_eq!(t.below("drivers/").len(), 4);
    assert!(t.below("sound/").is_empty());
}

#[test]
fn words_and_parts() {
    let dir = tree();
    for threads in [1, 2, 8] {
        let t = open(dir.path(), threads);
        assert_eq!(found(&t, &t.grep(&["put_page"], None)), ["drivers/a.c [0]", "drivers/long.c [0]", "mm/util.c [0]"]);
        assert_eq!(
            found(&t, &t.grep_part(&["_user_page"], None)),
            ["drivers/a/b.c [0]", "include/linux/mm.h [0]", "mm/gup.c [0]"]
        );
        // A needle that starts another one, one given twice, and one that is nowhere.
        let needles = ["put_page", "put_page_list", "nowhere", "put_page", "get_user_pages"];
        assert_eq!(
            found(&t, &t.grep(&needles, None)),
            [
                "drivers/a.c [0, 1, 3]",
                "drivers/long.c [0, 3]",
                "include/linux/mm.h [1]",
                "mm/gup.c [4]",
                "mm/util.c [0, 3]"
            ]
        );
        let within: Vec<FileId> = t.below("mm/");
        assert_eq!(found(&t, &t.grep(&needles, Some(&within))), ["mm/gup.c [4]", "mm/util.c [0, 3]"]);
        assert!(t.grep(&[], None).is_empty() && t.grep(&[""], None).is_empty() && t.grep(&["x"], Some(&[])).is_empty());
    }
}

#[test]
fn many_needles_give_what_single_ones_give() {
    let dir = tree();
    let t = open(dir.path(), 2);
    let filler: Vec<String> = (0..200).map(|i| format!("word_{i}")).collect();
    for n in [0, 1, 10, 200] {
        let mut needles: Vec<&str> = vec!["put_page", "release_pages", "put_page_list", "get_user_pages_fast"];
        needles.extend(filler.iter().take(n).map(String::as_str));
        let together = t.grep(&needles, None);
        for (i, needle) in needles.iter().enumerate() {
            let alone: Vec<FileId> = t.grep(&[needle], None).into_iter().map(|h| h.0).collect();
            let here: Vec<FileId> = together.iter().filter(|h| h.1.contains(&i)).map(|h| h.0).collect();
            assert_eq!(alone, here, "{needle} among {}", needles.len());
        }
    }
}

#[test]
fn a_file_keeps_the_bytes_that_were_read_first() {
    let dir = tree();
    let t = open(dir.path(), 1);
    let f = t.lookup("mm/util.c").unwrap();
    let before = t.read(f).unwrap();
    put(dir.path(), "mm/util.c", "changed");
    assert_eq!(t.read(f).unwrap(), before);
    assert_eq!(t.grep(&["changed"], None), []);
}

#[test]
fn a_file_that_is_let_go_is_read_again() {
    let dir = tree();
    let t = open(dir.path(), 1);
    let file = t.lookup("mm/util.c").unwrap();
    assert_eq!(&*t.read(file).unwrap(), b"put_page(page);\n");
    put(dir.path(), "mm/util.c", "other\n");
    t.forget(file);
    assert_eq!(&*t.read(file).unwrap(), b"other\n");
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = tree();
    let t = open(dir.path(), 2);
    fs::remove_file(dir.path().join("mm/gup.c")).unwrap();
    assert_eq!(t.grep_part(&["get_user_pages"], None).len(), 1);
    let said = t.unreadable();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].0, "mm/gup.c");
    assert!(t.read(t.lookup("mm/gup.c").unwrap()).is_err());
}

#[test]
fn roots_that_are_none() {
    let dir = tree();
    let open = |p: &Path| SourceTree::open(p, &Options::default());
    assert!(matches!(open(&dir.path().join("nowhere")), Err(DiscoverError::Root { .. })));
    assert!(matches!(open(&dir.path().join("mm/gup.c")), Err(DiscoverError::NotAFolder(_))));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(open(empty.path()), Err(DiscoverError::Empty(_))));
}

#[test]
fn the_git_index_gives_the_tracked_files() {
    let dir = tree();
    let git = |args: &[&str], at: &Path| {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(at)
            .output()
            .unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"], dir.path());
    git(&["add", "."], dir.path());
    put(dir.path(), "mm/untracked.c", "put_page\n");
    for version in ["2", "3", "4"] {
        git(&["update-index", "--index-version", version], dir.path());
        let t = open(dir.path(), 2);
        assert!(t.from_git());
        assert_eq!(paths(&t), FILES, "index version {version}");
        assert_eq!(t.skipped(), ["Documentation", "tools"]);
    }
    // A worktree has a `.git` file.
    git(&["commit", "-q", "-m", "x"], dir.path());
    let other = tempfile::tempdir().unwrap();
    let at = other.path().join("w");
    git(&["worktree", "add", "-q", at.to_str().unwrap()], dir.path());
    let t = open(&at, 2);
    assert!(t.from_git());
    assert_eq!(paths(&t), FILES);
    // What is no index any more is walked.
    fs::write(dir.path().join(".git/index"), b"DIRC\0\0\0\x09").unwrap();
    let t = open(dir.path(), 2);
    assert!(!t.from_git());
    assert_eq!(t.len(), FILES.len() + 1);
}
