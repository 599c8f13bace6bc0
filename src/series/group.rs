//! Which plans make one patch, in which order, and how its subject starts when history does not tell.
//!
//! A plan is never split: a site and all its releases are in one patch. What the patches say is not known here.

use super::maintainers::{Home, Maintainers};
use crate::run::HandedPlan;
use std::collections::BTreeMap;

/// How plans are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Grouping {
    /// One patch an entry of MAINTAINERS.
    Subsystem,
    /// One patch a driver: an entry inside which others have folders of their own counts each sub-folder apart.
    #[default]
    Driver,
    /// One patch a file, more files only where one plan needs them.
    File,
}

impl Grouping {
    /// As on the command line.
    pub fn code(self) -> &'static str {
        match self {
            Grouping::Subsystem => "subsystem",
            Grouping::Driver => "driver",
            Grouping::File => "file",
        }
    }
}

/// The plans of one patch: their numbers, ascending.
pub type Group = Vec<usize>;

/// Groups plans; groups come in the order of their first files.
pub fn groups(plans: &[HandedPlan], grouping: Grouping, maintainers: &Maintainers) -> Vec<Group> {
    let mut by_key: BTreeMap<Vec<String>, Group> = BTreeMap::new();
    for (i, plan) in plans.iter().enumerate() {
        // A plan that reaches over entries belongs where its first file does.
        let Some(first) = plan.files.first() else { continue };
        by_key.entry(key(&first.path, grouping, maintainers)).or_default().push(i);
    }
    let mut groups: Vec<Group> = by_key.into_values().collect();
    if grouping == Grouping::File {
        groups = joined(plans, groups);
    }
    let first = |g: &Group| g.iter().filter_map(|&i| plans.get(i)?.files.first()).map(|f| f.path.clone()).min();
    groups.sort_by_key(|g| (first(g), g.first().copied()));
    groups
}

/// What files of one patch have in common.
pub fn key(path: &str, grouping: Grouping, maintainers: &Maintainers) -> Vec<String> {
    let home = maintainers.home(path);
    match grouping {
        Grouping::Subsystem if home.entry.is_empty() => vec![home.entry, home.folder],
        Grouping::Subsystem => vec![home.entry],
        Grouping::Driver => vec![home.entry, home.folder],
        Grouping::File => vec![path.to_string()],
    }
}

/// Splits each group into plans that convert and plans that also fix how pages are marked dirty, or that only end what
/// somebody began: a fix is looked at, and taken back, by itself. Those that `later` takes come behind the others.
/// Plans never depend on each other, so any order is bisectable.
pub fn apart(groups: Vec<Group>, later: &dyn Fn(usize) -> bool) -> Vec<Group> {
    let halves = groups.into_iter().flat_map(|g| {
        let (behind, first): (Group, Group) = g.into_iter().partition(|&plan| later(plan));
        [first, behind]
    });
    halves.filter(|g| !g.is_empty()).collect()
}

/// Joins groups that have a file in common.
fn joined(plans: &[HandedPlan], groups: Vec<Group>) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    for mut group in groups {
        let files = |g: &Group| -> Vec<&str> {
            g.iter().filter_map(|&i| plans.get(i)).flat_map(|p| p.files.iter().map(|f| f.path.as_str())).collect()
        };
        while let Some(at) = out.iter().position(|o| files(o).iter().any(|f| files(&group).contains(f))) {
            group.extend(out.remove(at));
        }
        group.sort_unstable();
        out.push(group);
    }
    out
}

/// What the build files say of a file.
pub struct Parts<'a> {
    /// It is a driver of its own among others of its folder.
    pub alone: &'a dyn Fn(&str) -> bool,
    /// The object that it is a part of, where others are made below the folder as well.
    pub part: &'a dyn Fn(&str, &str) -> Option<String>,
}

/// How the subject of a patch of these files starts, by MAINTAINERS and path: `net/xdp`, `mm`, with `--group file`
/// `mm/memory`. A loose file of a folder that holds many things is named: `exec`, `scsi: st`; so is one that is a
/// driver of its own among others, and the one object that all files are a part of: `misc/mic: scif`.
pub fn prefix(paths: &[String], grouping: Grouping, maintainers: &Maintainers, parts: &Parts<'_>) -> String {
    let homes: Vec<Home> = paths.iter().map(|p| maintainers.home(p)).collect();
    let folder = homes.iter().map(|h| h.folder.clone()).reduce(|a, b| common(&a, &b)).unwrap_or_default();
    let roof = homes.iter().map(|h| h.roof.clone()).reduce(|a, b| common(&a, &b)).unwrap_or_default();
    let last = |p: &str| p.rsplit('/').next().unwrap_or_default().to_string();
    let stem = match paths {
        [one] => last(one).split('.').next().unwrap_or_default().to_string(),
        _ => String::new(),
    };
    let loose = homes.iter().all(|h| h.loose) && !stem.is_empty();
    // No entry names the folder itself: it is a place, not a subject.
    if loose && !homes.iter().any(|h| h.named) {
        return stem;
    }
    let loose = loose || stem != last(&folder) && matches!(paths, [one] if (parts.alone)(one));
    let mut words: Vec<String> = Vec::new();
    if !roof.is_empty() && folder.starts_with(&format!("{roof}/")) {
        words.push(last(&roof));
    }
    if !folder.is_empty() {
        words.push(last(&folder));
    }
    if loose && !words.is_empty() {
        return format!("{}: {stem}", words.join("/"));
    }
    if (grouping == Grouping::File || words.is_empty()) && !stem.is_empty() && words.last() != Some(&stem) {
        words.push(stem);
    } else if let Some(part) = part(paths, &folder, &last(&folder), parts) {
        return format!("{}: {part}", words.join("/"));
    }
    if words.is_empty() { "treewide".into() } else { words.join("/") }
}

/// The object that all files are a part of, unless it is named as the folder is.
fn part(paths: &[String], folder: &str, name: &str, parts: &Parts<'_>) -> Option<String> {
    let mut all = paths.iter().map(|p| (parts.part)(p, folder));
    let first = all.next().flatten().filter(|f| all.all(|o| o.as_ref() == Some(f)))?;
    let said = |c: char| matches!(c, '-' | '_');
    let own = first.strip_prefix(name).and_then(|r| r.strip_prefix(said)).unwrap_or(&first);
    let same = own == name || own.strip_suffix(name).is_some_and(|r| r.ends_with(said));
    (!same && !folder.is_empty()).then(|| own.to_string())
}

/// The folder above both.
fn common(a: &str, b: &str) -> String {
    let same: Vec<&str> = a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y).map(|(x, _)| x).collect();
    same.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::FileEdits;

    fn plan(paths: &[&str]) -> HandedPlan {
        let files =
            paths.iter().map(|p| FileEdits { path: p.to_string(), before: b"".as_slice().into(), edits: vec![] });
        HandedPlan {
            sites: vec![],
            files: files.collect(),
            functions: vec![],
            rules: vec![],
            notes: vec![],
            cautions: vec![],
            proof: None,
            fixes: vec![],
            unlinked: vec![],
            evidence: vec![],
            undirtied: vec![],
            guarded: vec![],
            weak: vec![],
            orders: vec![],
        }
    }

    fn maintainers() -> Maintainers {
        let text = b"ELM\nF:\tdrivers/elm/\n\nOAK\nF:\tdrivers/elm/oak/\n\nMM\nF:\tmm/\n\nFILES\nF:\tfs/*\n\nTAPE\nF:\tdrivers/elm/oak/tape.*\n";
        Maintainers::parse(text, &|_| false).expect("entries")
    }

    #[test]
    fn a_roof_is_split_into_its_drivers() {
        let plans = [
            plan(&["mm/b.c"]),
            plan(&["drivers/elm/x/a.c"]),
            plan(&["drivers/elm/x/b.c", "mm/a.c"]),
            plan(&["drivers/elm/y/a.c"]),
            plan(&["drivers/elm/oak/a.c"]),
        ];
        let m = maintainers();
        assert_eq!(groups(&plans, Grouping::Driver, &m), [vec![4], vec![1, 2], vec![3], vec![0]]);
        assert_eq!(groups(&plans, Grouping::Subsystem, &m), [vec![4], vec![1, 2, 3], vec![0]]);
        assert_eq!(groups(&plans, Grouping::File, &m), [vec![4], vec![1], vec![2], vec![3], vec![0]]);
    }

    #[test]
    fn fixes_stand_apart() {
        let odd = |plan: usize| !plan.is_multiple_of(2);
        assert_eq!(apart(vec![vec![0, 1, 2], vec![4], vec![3]], &odd), [vec![0, 2], vec![1], vec![4], vec![3]]);
    }

    #[test]
    fn a_file_is_never_in_two_groups_by_file() {
        let plans = [plan(&["mm/a.c", "mm/c.c"]), plan(&["mm/b.c"]), plan(&["mm/b.c", "mm/c.c"])];
        assert_eq!(groups(&plans, Grouping::File, &maintainers()), [vec![0, 1, 2]]);
    }

    #[test]
    fn prefixes() {
        let m = maintainers();
        let alone = |p: &str| p.ends_with("alone.c");
        let part = |p: &str, _: &str| {
            let of = [("x/deep/", "deep"), ("x/more", "x-more"), ("x/core", "elm_x")];
            of.iter().find(|(path, _)| p.contains(path)).map(|(_, part)| part.to_string())
        };
        let parts = Parts { alone: &alone, part: &part };
        let prefix =
            |paths: &[&str], g| super::prefix(&paths.iter().map(|p| p.to_string()).collect::<Vec<_>>(), g, &m, &parts);
        assert_eq!(prefix(&["drivers/elm/oak/deep/a.c"], Grouping::Driver), "elm/oak");
        assert_eq!(prefix(&["drivers/elm/x/a.c", "drivers/elm/x/b.c"], Grouping::Driver), "elm/x");
        assert_eq!(prefix(&["drivers/elm/x/a.c", "drivers/elm/y/b.c"], Grouping::Subsystem), "elm");
        assert_eq!(prefix(&["mm/a.c"], Grouping::Driver), "mm");
        assert_eq!(prefix(&["fs/a.c"], Grouping::Driver), "a");
        assert_eq!(prefix(&["fs/a.c", "fs/b.c"], Grouping::Driver), "fs");
        assert_eq!(prefix(&["drivers/elm/oak/tape.c"], Grouping::Driver), "elm/oak: tape");
        assert_eq!(prefix(&["drivers/elm/x/alone.c"], Grouping::Driver), "elm/x: alone");
        assert_eq!(prefix(&["drivers/elm/x/alone.c", "drivers/elm/x/b.c"], Grouping::Driver), "elm/x");
        assert_eq!(prefix(&["drivers/elm/x/deep/a.c", "drivers/elm/x/deep/b.c"], Grouping::Driver), "elm/x: deep");
        assert_eq!(prefix(&["drivers/elm/x/deep/a.c", "drivers/elm/x/b.c"], Grouping::Driver), "elm/x");
        assert_eq!(prefix(&["drivers/elm/x/more.c"], Grouping::Driver), "elm/x: more");
        assert_eq!(prefix(&["drivers/elm/x/core.c"], Grouping::Driver), "elm/x");
        assert_eq!(prefix(&["drivers/elm/x/deep/a.c"], Grouping::File), "elm/x/a");
        assert_eq!(prefix(&["drivers/virt/alone.c"], Grouping::Driver), "virt: alone");
        assert_eq!(prefix(&["drivers/alone/alone.c"], Grouping::Driver), "alone");
        assert_eq!(prefix(&["mm/a.c"], Grouping::File), "mm/a");
        assert_eq!(prefix(&["a.c"], Grouping::Driver), "a");
        assert_eq!(prefix(&["mm/a.c", "drivers/elm/a.c"], Grouping::Driver), "treewide");
    }
}
