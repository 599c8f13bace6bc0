//! How subjects of the files start by custom: what most commits that touched them have before the summary.
//!
//! It knows nothing of git: it is given subjects.

use std::collections::BTreeMap;

/// Fewer commits with the same start make no custom.
const FEWEST: usize = 2;

/// The start for a patch of these files, without the colon; `None` when the history shows no custom. `commits` are
/// subjects with the files that each touches, newest first.
pub fn prefix(paths: &[String], commits: &[(String, Vec<String>)]) -> Option<String> {
    let mut each = Vec::new();
    for path in paths {
        each.push(of_file(path, commits)?);
    }
    each.into_iter().reduce(|a, b| shared(&a, &b)).filter(|p| !p.is_empty())
}

/// The start that most commits of the file have; of two with as many, the one used last.
fn of_file(path: &str, commits: &[(String, Vec<String>)]) -> Option<String> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (age, (subject, _)) in commits.iter().filter(|c| c.1.iter().any(|f| f == path)).enumerate() {
        if let Some(start) = start(subject) {
            counts.entry(start).or_insert((0, usize::MAX - age)).0 += 1;
        }
    }
    let (start, (count, _)) = counts.into_iter().max_by_key(|(_, rank)| *rank)?;
    (count >= FEWEST).then(|| start.to_string())
}

/// The words with colons at the start of a subject: `KVM: s390` of `KVM: s390: fix it`.
fn start(subject: &str) -> Option<&str> {
    let mut end = 0;
    while let Some(at) = subject.get(end..).and_then(|s| s.find(": ")) {
        let word = subject.get(end..end + at)?;
        let word = word.strip_prefix(if end > 0 { " " } else { "" })?;
        if word.is_empty() || word.contains([' ', '(', '"', '[']) || word.len() > 30 {
            break;
        }
        end += at + 1;
    }
    let found = subject.get(..end.checked_sub(1)?)?;
    // Sweeps over the whole tree say nothing about a file.
    (!matches!(found, "treewide" | "tree-wide" | "Revert" | "Merge")).then_some(found)
}

/// What two starts have in common, up to a colon or slash.
fn shared(a: &str, b: &str) -> String {
    if a == b {
        return a.to_string();
    }
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let whole = |s: &str| s.len() == same || s.as_bytes().get(same).is_some_and(|c| b":/".contains(c));
    let mut end = same;
    if !(whole(a) && whole(b)) {
        end = a.get(..same).and_then(|s| s.rfind([':', '/'])).unwrap_or(0);
    }
    a.get(..end).unwrap_or_default().trim_end_matches([':', '/', ' ']).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        all.iter().map(|(s, f)| (s.to_string(), f.iter().map(|f| f.to_string()).collect())).collect()
    }

    #[test]
    fn starts() {
        let is = |s: &str, want: Option<&str>| assert_eq!(start(s), want, "{s}");
        is("KVM: s390: fix: this", Some("KVM: s390: fix"));
        is("net/xdp: say no", Some("net/xdp"));
        is("IB/acme: Fix the: case", Some("IB/acme"));
        is("no start here", None);
        is("two words: here", None);
        is("treewide: sweep", None);
        is("Revert \"a: b\"", None);
        is("", None);
    }

    #[test]
    fn the_custom_is_what_most_commits_do() {
        let all =
            commits(&[("x: new", &["a.c"]), ("old: a", &["a.c"]), ("old: b", &["a.c", "b.c"]), ("x: c", &["b.c"])]);
        let of = |paths: &[&str]| prefix(&paths.iter().map(|p| p.to_string()).collect::<Vec<_>>(), &all);
        assert_eq!(of(&["a.c"]).as_deref(), Some("old"));
        // One commit each is no custom, and a file without history has none.
        assert_eq!(of(&["b.c"]), None);
        assert_eq!(of(&["a.c", "c.c"]), None);
    }

    #[test]
    fn several_files_share_what_is_common() {
        let is = |a: &str, b: &str, want: &str| assert_eq!(shared(a, b), want, "{a} {b}");
        is("xen/one", "xen/two", "xen");
        is("xen/one", "xen", "xen");
        is("KVM: PPC", "KVM: PPC: e500", "KVM: PPC");
        is("KVM: PPC", "KVM: s390", "KVM");
        is("mm", "mmc", "");
        is("abc", "xyz", "");
    }
}
