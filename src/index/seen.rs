//! Who sees a header: the includes of the whole tree, turned round.
//!
//! An answer must not miss a file, since what is searched only there would otherwise be taken for the whole truth. So
//! an include that can mean several headers (another architecture, an unknown `-I`) means all of them, and `#if` is
//! not looked at. A declaration that is written out by hand instead of included is not seen.

use super::Index;
use super::lookup::join;
use super::set::FileSet;
use crate::source::FileId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};

/// A header that more files see is of no use to narrow a search. Of v6.12's headers either some thousand files see one
/// (`linux/dma-buf.h` 3094) or nearly all do (`linux/mm.h` 41653).
const MAX_SEEN: usize = 10_000;

/// Files by the header that they include.
pub(super) struct Seen {
    /// Ends of the parts of `list`, by header.
    ends: Vec<u32>,
    list: Vec<FileId>,
}

impl Seen {
    fn of(&self, header: FileId) -> &[FileId] {
        let i = header.0 as usize;
        let start = i.checked_sub(1).and_then(|k| self.ends.get(k)).copied().unwrap_or(0);
        let end = self.ends.get(i).copied().unwrap_or(start);
        self.list.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// C files that include C files.
#[derive(Default)]
pub(super) struct Units {
    /// Who includes it, by file.
    hosts: FxHashMap<FileId, Vec<FileId>>,
    /// What it includes, by file.
    parts: FxHashMap<FileId, Vec<FileId>>,
}

impl Units {
    fn of(index: &Index) -> Self {
        let mut units = Self::default();
        for (host, text) in index.tree.source_includes() {
            if let Some(part) = index.tree.lookup(&join(index.folder(host), text)).filter(|p| *p != host) {
                units.hosts.entry(part).or_default().push(host);
                units.parts.entry(host).or_default().push(part);
            }
        }
        units
    }
}

impl Index {
    /// The files that include the header, directly or not, and the header itself, ascending; `None` when they are too
    /// many, or nothing is known of the includes.
    pub fn seen_by(&self, header: FileId) -> Option<Arc<Vec<FileId>>> {
        if self.tree.include_texts() == 0 {
            return None;
        }
        if let Some(known) = super::lock(&self.seen_by).get(&header) {
            return known.clone();
        }
        let seen = self.seen.get_or_init(|| self.turn_includes());
        let mut known = FileSet::new(self.tree.len());
        known.insert(header);
        let mut all = vec![header];
        let mut done = 0;
        while let Some(&f) = all.get(done).filter(|_| all.len() <= MAX_SEEN) {
            done += 1;
            all.extend(seen.of(f).iter().filter(|g| known.insert(**g)));
        }
        let answer = (all.len() <= MAX_SEEN).then(|| Arc::new(known.iter().collect::<Vec<_>>()));
        super::lock(&self.seen_by).insert(header, answer.clone());
        answer
    }

    /// C files that include `file` itself (`#include "part.c"`), ascending.
    pub fn hosts(&self, file: FileId) -> &[FileId] {
        let units = self.units.get_or_init(|| Units::of(self));
        units.hosts.get(&file).map_or(&[], Vec::as_slice)
    }

    /// C files that are compiled as one with `file`: itself, those that include it, and those that it includes.
    pub fn unit(&self, file: FileId) -> Vec<FileId> {
        let units = self.units.get_or_init(|| Units::of(self));
        let mut unit = vec![file];
        unit.extend(self.hosts(file));
        unit.extend(units.parts.get(&file).into_iter().flatten());
        unit
    }

    /// Prepares the answers of [`Index::seen_by`]: half of their cost is the same for all.
    pub fn turn(&self) {
        if self.tree.include_texts() > 0 {
            self.seen.get_or_init(|| self.turn_includes());
        }
    }

    fn turn_includes(&self) -> Seen {
        let mut by_base: FxHashMap<&str, Vec<FileId>> = FxHashMap::default();
        let mut archs: Vec<&str> = Vec::new();
        for f in self.tree.files() {
            let path = self.tree.path(f);
            if path.ends_with(".h") {
                by_base.entry(base(path)).or_default().push(f);
            }
            if let Some((arch, _)) = path.strip_prefix("arch/").and_then(|p| p.split_once('/'))
                && archs.last() != Some(&arch)
            {
                archs.push(arch);
            }
        }
        // What an include means where it is no file of the folder itself: by text, for each architecture and for the
        // files of none.
        let texts = self.tree.include_texts();
        let meanings: Vec<OnceLock<Box<[FileId]>>> = (0..texts * (archs.len() + 1)).map(|_| OnceLock::new()).collect();
        let files: Vec<FileId> = self.tree.files().collect();
        let edges: Vec<(FileId, FileId)> = files
            .par_iter()
            .fold(Vec::new, |mut out, &f| {
                let of = self.tree.path(f).strip_prefix("arch/").and_then(|p| p.split_once('/')).map(|a| a.0);
                let arch = of.and_then(|a| archs.iter().position(|b| *b == a));
                let folder = self.folder(f);
                self.tree.includes(f, &mut |text, number| {
                    let name = text.trim_matches(['<', '>', '"']);
                    if text.starts_with('"')
                        && let Some(h) = self.tree.lookup(&join(folder, name))
                    {
                        out.push((h, f));
                        return;
                    }
                    let mean = || {
                        let archs = arch.map_or(&archs[..], |a| &archs[a..=a]);
                        self.meanings(archs, name, &by_base).into_boxed_slice()
                    };
                    let row = arch.map_or(0, |a| a + 1);
                    match number.and_then(|n| meanings.get(row * texts + n as usize)) {
                        Some(slot) => out.extend(slot.get_or_init(mean).iter().map(|h| (*h, f))),
                        None => out.extend(mean().iter().map(|h| (*h, f))),
                    }
                });
                out
            })
            .reduce(Vec::new, |mut a, mut b| {
                a.append(&mut b);
                a
            });
        // The files come in their order, so those of each header need only be put behind each other.
        let mut ends = vec![0u32; files.len()];
        for &(header, _) in &edges {
            ends[header.0 as usize] += 1;
        }
        let mut at = 0;
        for end in &mut ends {
            (*end, at) = (at, at + *end);
        }
        let mut list = vec![FileId(0); edges.len()];
        for (header, file) in edges {
            let end = &mut ends[header.0 as usize];
            list[*end as usize] = file;
            *end += 1;
        }
        Seen { ends, list }
    }

    /// All headers that an include can mean that is none of its folder.
    fn meanings(&self, archs: &[&str], name: &str, by_base: &FxHashMap<&str, Vec<FileId>>) -> Vec<FileId> {
        for front in ["include/", "include/uapi/"] {
            if let Some(f) = self.tree.lookup(&format!("{front}{name}")) {
                return vec![f];
            }
        }
        // Few headers have the name of the text's last part; most texts that get here mean none at all.
        let Some(namesakes) = by_base.get(base(name)) else { return Vec::new() };
        let of_arch = |f: &&FileId| {
            let path = self.tree.path(**f).strip_prefix("arch/").and_then(|p| p.split_once('/'));
            let rest = path.filter(|(arch, _)| archs.contains(arch)).and_then(|(_, p)| p.strip_prefix("include/"));
            rest.is_some_and(|p| p == name || p.strip_prefix("uapi/") == Some(name))
        };
        let mut all: Vec<FileId> = namesakes.iter().filter(of_arch).copied().collect();
        if let Some(rest) = name.strip_prefix("asm/") {
            all.extend(self.tree.lookup(&format!("include/asm-generic/{rest}")));
        }
        if !all.is_empty() {
            return all;
        }
        // A folder named by `-I`: every header with that end.
        let mut end = name;
        while let Some(rest) = end.strip_prefix("../").or_else(|| end.strip_prefix("./")) {
            end = rest;
        }
        let ends = |f: &&FileId| {
            self.tree.path(**f).strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('/'))
        };
        namesakes.iter().filter(ends).copied().collect()
    }
}

fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, b)| b)
}
