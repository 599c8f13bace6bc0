//! Rules about what belongs together: a fixture folder with its expected output, a rewrite rule with its registration
//! and its fixtures, a hazard or a task with its line in the documentation.

use super::{File, Findings};
use std::collections::{BTreeMap, BTreeSet};

/// What every miniature tree has: the files by which a kernel tree and its dialect are told.
const TREE: &[&str] = &["Makefile", "Kconfig", "Kbuild", "MAINTAINERS", "include/linux/mm.h", "mm/gup.c"];

/// Top-level documents.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", ".ci/run"];

/// Checks the folders.
pub fn check(paths: &[String], files: &[File], findings: &mut Findings) {
    for document in DOCUMENTS {
        if !paths.iter().any(|path| path == document) {
            findings.add(document, 0, "is missing");
        }
    }
    for room in ["fixtures/flow", "fixtures/flow-wanted"] {
        for (case, held) in children(paths, room) {
            if !held.contains("expect.txt") {
                findings.add(&format!("{room}/{case}"), 0, "has no expect.txt");
            }
            if !held.iter().any(|path| path.starts_with("drivers/") && path.ends_with(".c")) {
                findings.add(&format!("{room}/{case}"), 0, "has no C file under drivers/");
            }
        }
    }
    let wanted = children(paths, "fixtures/flow-wanted");
    for case in children(paths, "fixtures/flow").keys().filter(|case| wanted.contains_key(*case)) {
        findings.add(&format!("fixtures/flow-wanted/{case}"), 0, "stands in fixtures/flow too");
    }
    for (tree, held) in children(paths, "fixtures/trees").into_iter().filter(|(_, held)| !held.contains("")) {
        for file in TREE.iter().filter(|file| !held.contains(**file)) {
            findings.add(&format!("fixtures/trees/{tree}"), 0, format!("has no {file}"));
        }
    }
    rules(paths, files, findings);
}

/// Every rule of `src/rules` is registered once and has a fixture folder; every fixture folder has its rule.
fn rules(paths: &[String], files: &[File], findings: &mut Findings) {
    let Some(registry) = files.iter().find(|file| file.path == "src/rules/mod.rs") else { return };
    let mut registered = BTreeSet::new();
    for line in registry.text.lines() {
        let Some((name, _)) = line.trim().strip_prefix("rule!(").and_then(|rest| rest.split_once(',')) else {
            continue;
        };
        if !registered.insert(name) {
            findings.add(&registry.path, 0, format!("rule `{name}` is registered twice"));
        }
    }
    let folders = children(paths, "fixtures/rules");
    for name in &registered {
        if !paths.contains(&format!("src/rules/{name}.rs")) {
            findings.add(&registry.path, 0, format!("rule `{name}` has no file"));
        }
        if !folders.contains_key(*name) {
            findings.add(&format!("fixtures/rules/{name}"), 0, "is missing: every rule has fixtures");
        }
    }
    for file in files {
        let name = file.path.strip_prefix("src/rules/").and_then(|p| p.strip_suffix(".rs"));
        // A rule explains itself under this heading; helpers of the rules do not have it.
        if let Some(name) = name.filter(|_| file.text.contains("//! # What it does"))
            && !registered.contains(name)
        {
            findings.add(&file.path, 0, "is a rule and is not registered in RULES");
        }
    }
    for (name, held) in &folders {
        let cases: BTreeSet<&str> = held.iter().filter_map(|path| path.split_once('/')).map(|(case, _)| case).collect();
        for case in &cases {
            for file in
                ["before.c", "report.txt"].iter().filter(|file| !held.contains(format!("{case}/{file}").as_str()))
            {
                findings.add(&format!("fixtures/rules/{name}/{case}"), 0, format!("has no {file}"));
            }
        }
    }
}

/// Folders directly under `room`, with the paths that they hold. A file directly in `room` has one empty path.
fn children<'a>(paths: &'a [String], room: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        let Some(inner) = path.strip_prefix(room).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let (child, rest) = inner.split_once('/').unwrap_or((inner, ""));
        found.entry(child).or_default().insert(rest);
    }
    found
}
