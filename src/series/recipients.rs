//! Who gets a patch: what the tree's own get_maintainer.pl says. Nothing is ever sent.
//!
//! Only MAINTAINERS counts, not the history: who touched a file within the last year depends on today's date, and a
//! rerun must give the same bytes.

use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = "scripts/get_maintainer.pl";

/// Recipients of a patch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recipients {
    /// Maintainers, as `Name <address>`.
    pub to: Vec<String>,
    /// Reviewers and lists.
    pub cc: Vec<String>,
    /// The lists among `cc`.
    pub lists: Vec<String>,
    /// Those of them that an entry names, without the list for everything.
    pub topical: Vec<String>,
    /// MAINTAINERS names neither a person nor a list for the files, but the list for everything.
    pub unnamed: bool,
}

impl Recipients {
    /// Adds lists that are not there yet, before the list for everything.
    pub fn add_lists(&mut self, more: &[String]) {
        for list in more.iter().filter(|l| !self.lists.contains(l)).cloned().collect::<Vec<_>>() {
            for all in [&mut self.cc, &mut self.lists] {
                let general = |l: &String| !l.contains('<') && !self.topical.contains(l);
                let at = all.iter().position(general).unwrap_or(all.len());
                all.insert(at, list.clone());
            }
            self.topical.push(list);
        }
    }

    /// Those that are no lists.
    pub fn people(&self) -> impl Iterator<Item = &String> {
        self.to.iter().chain(&self.cc).filter(|who| !self.lists.contains(who))
    }

    /// Adds those who get another patch, people before all lists.
    pub fn add_readers(&mut self, other: &Self) {
        let mut at = self.cc.iter().position(|c| self.lists.contains(c)).unwrap_or(self.cc.len());
        for who in other.people() {
            if !self.to.contains(who) && !self.cc.contains(who) {
                self.cc.insert(at, who.clone());
                at += 1;
            }
        }
        self.add_lists(&other.topical);
    }
}

/// Asks the script about the files of a patch.
///
/// # Errors
/// Why there is no answer, in one line: no script, no perl, or its complaint.
pub fn of(root: &Path, files: &[String]) -> Result<Recipients, String> {
    if !root.join(SCRIPT).is_file() {
        return Err(format!("the tree has no {SCRIPT}"));
    }
    let out = Command::new("perl")
        .arg(SCRIPT)
        .args(["--no-git", "--no-git-fallback", "--rolestats", "--no-tree"])
        .args(files.iter().flat_map(|f| ["-f", f.as_str()]))
        .current_dir(root)
        .env("LC_ALL", "C")
        // The script walks hashes: entries of the same rank would come in another order each time.
        .env("PERL_HASH_SEED", "0")
        .env("PERL_PERTURB_KEYS", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("perl does not run: {e}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        return Err(format!("{SCRIPT} failed: {}", text.lines().next().unwrap_or("no message")));
    }
    Ok(read(&String::from_utf8_lossy(&out.stdout)))
}

/// Reads lines such as `Name <a@b> (maintainer:TITLE)` and `list@b (open list:TITLE)`.
fn read(text: &str) -> Recipients {
    let mut all = Recipients::default();
    for line in text.lines() {
        let Some((who, role)) = split_role(line) else { continue };
        if !who.contains('@') {
            continue;
        }
        let who = who.to_string();
        if role.contains("list") && !role.starts_with("maintainer") {
            // `open list:TITLE`; that for everything has no title.
            if role.contains(':') {
                all.topical.push(who.clone());
            }
            all.lists.push(who.clone());
            all.cc.push(who);
        } else if role.starts_with("reviewer") {
            all.cc.push(who);
        } else {
            all.to.push(who);
        }
    }
    all.unnamed = all.topical.is_empty() && all.people().next().is_none();
    all
}

/// Address and role: the role is the parenthesis at the end, which may hold others.
fn split_role(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_suffix(')')?;
    let mut depth = 1;
    for (i, c) in line.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((line[..i].trim_end(), &line[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_tell_to_from_cc() {
        let text = "\"B. T\u{f6}\" <b@x.org> (maintainer:XDP SOCKETS (AF_XDP))\nR <r@x.org> (reviewer:BPF (Safe programs))\n\
                    l@x.org (open list:XDP (eXpress Data))\nm@x.org (moderated list:Y)\nno address (maintainer:Z)\n\
                    S <s@x.org> (supporter:Z)\n";
        let r = read(text);
        assert_eq!(r.to, ["\"B. T\u{f6}\" <b@x.org>", "S <s@x.org>"]);
        assert_eq!(r.cc, ["R <r@x.org>", "l@x.org", "m@x.org"]);
        assert_eq!(r.lists, ["l@x.org", "m@x.org"]);
        assert_eq!(r.topical, r.lists);
    }

    #[test]
    fn lists_of_the_functions_come_before_the_list_for_everything() {
        let mut r = read("R <r@x.org> (reviewer:A)\nl@x.org (open list:A)\nall@x.org (open list)\n");
        assert_eq!(r.topical, ["l@x.org"]);
        r.add_lists(&["mm@x.org".to_string(), "l@x.org".to_string()]);
        assert_eq!(r.cc, ["R <r@x.org>", "l@x.org", "mm@x.org", "all@x.org"]);
        assert_eq!(r.lists, ["l@x.org", "mm@x.org", "all@x.org"]);
        let mut none = Recipients::default();
        none.add_lists(&["mm@x.org".to_string()]);
        assert_eq!(none.cc, ["mm@x.org"]);
    }

    #[test]
    fn readers_of_other_patches_are_added_once() {
        let mut first = read("mm@x.org (open list:MM)\nall@x.org (open list)\n");
        assert!(!first.unnamed && read("all@x.org (open list)\n").unnamed);
        let other = read(
            "B <b@x.org> (maintainer:A)\nR <r@x.org> (reviewer:A)\nl@x.org (open list:A)\nall@x.org (open list)\n",
        );
        first.add_readers(&other);
        first.add_readers(&other);
        assert_eq!(first.cc, ["B <b@x.org>", "R <r@x.org>", "mm@x.org", "l@x.org", "all@x.org"]);
        assert!(first.to.is_empty() && first.people().count() == 2);
    }

    #[test]
    fn a_tree_without_the_script_says_so() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(of(dir.path(), &[]).expect_err("no script").contains("has no scripts/get_maintainer.pl"));
    }
}
