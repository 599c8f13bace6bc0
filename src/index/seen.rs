//! Who sees a header: the includes of the whole tree, turned round.
//!
//! An answer must not miss a file, since what is searched only there would otherwise be taken for the whole truth. So
//! an include that can mean several headers (another architecture, an unknown `-I`) means all of them, and `#if` is
//! not looked at. A declaration that is written out by hand instead of included is not seen.

use super::Index;
use super::homes::defines_struct;
use super::lookup::{base, ending, ends_with, join};
use super::set::FileSet;
use crate::source::FileId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};

/// A header that more files see is of no use to narrow a search. Of v6.12's headers either some thousand files see one
/// (`linux/dma-buf.h` 3094) or nearly all do (`linux/mm.h` 41653).
const MAX_SEEN: usize = 10_000;

/// Includes, by file.
pub(super) struct Seen {
    /// Who includes it.
    by: Lists,
    /// What it includes from its own folder.
    own: Lists,
}

/// A list for each file, one behind the other.
struct Lists {
    /// Ends of the parts of `list`, by file.
    ends: Vec<u32>,
    list: Vec<FileId>,
}

impl Lists {
    /// From pairs; the second ones keep their order.
    fn new(files: usize, pairs: impl Iterator<Item = (FileId, FileId)> + Clone) -> Self {
        let mut ends = vec![0u32; files];
        for (of, _) in pairs.clone() {
            ends[of.0 as usize] += 1;
        }
        let mut at = 0;
        for end in &mut ends {
            (*end, at) = (at, at + *end);
        }
        let mut list = vec![FileId(0); at as usize];
        for (of, other) in pairs {
            let end = &mut ends[of.0 as usize];
            list[*end as usize] = other;
            *end += 1;
        }
        Self { ends, list }
    }
    fn of(&self, file: FileId) -> &[FileId] {
        let i = file.0 as usize;
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
    /// The files that include the header, directly or not, what they include from their own folders, and the header
    /// itself, ascending; `None` when they are too many, or nothing is known of the includes.
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
            all.extend(seen.by.of(f).iter().filter(|g| known.insert(**g)));
        }
        let answer = (all.len() <= MAX_SEEN).then(|| {
            // What stands behind the header in a file that includes it sees it as well, with no include of its own.
            while let Some(f) = all.pop() {
                all.extend(seen.own.of(f).iter().filter(|g| known.insert(**g)));
            }
            Arc::new(known.iter().collect::<Vec<_>>())
        });
        super::lock(&self.seen_by).insert(header, answer.clone());
        answer
    }

    /// The files that see a definition of a struct with this tag, in whatever header, ascending; `None` when they are
    /// too many, or there is no such header.
    pub fn seen_of_tag(&self, tag: &str) -> Option<Arc<Vec<FileId>>> {
        self.seek_tags(&[tag]);
        super::lock(&self.seen_of_tag).get(tag).cloned().flatten()
    }

    /// Prepares the answers of [`Index::seen_of_tag`] with one search.
    pub fn seek_tags(&self, tags: &[&str]) {
        let mut new = tags.to_vec();
        new.retain(|tag| !super::lock(&self.seen_of_tag).contains_key(*tag));
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return;
        }
        let headers: Vec<FileId> = self.tree.files().filter(|f| self.tree.path(*f).ends_with(".h")).collect();
        let mut homes: Vec<Vec<FileId>> = vec![Vec::new(); new.len()];
        for (f, which) in self.tree.grep(&new, Some(&headers)) {
            let text = self.tree.read(f);
            for w in which {
                if text.as_ref().is_ok_and(|text| defines_struct(text, new[w])) {
                    homes[w].push(f);
                }
            }
        }
        for (tag, homes) in new.iter().zip(homes) {
            let seen: Option<Vec<_>> = homes.iter().map(|h| self.seen_by(*h)).collect();
            let answer = seen.filter(|s| !s.is_empty()).map(|seen| {
                let mut all: Vec<FileId> = seen.iter().flat_map(|s| s.iter().copied()).collect();
                all.sort_unstable();
                all.dedup();
                Arc::new(all)
            });
            super::lock(&self.seen_of_tag).insert((*tag).into(), answer);
        }
    }

    /// C files that include `file` itself (`#include "part.c"`), ascending.
    pub fn hosts(&self, file: FileId) -> &[FileId] {
        let units = self.units.get_or_init(|| Units::of(self));
        units.hosts.get(&file).map_or(&[], Vec::as_slice)
    }

    /// C files that are compiled as one with `file`: itself, those that include it, those that it includes, and so on.
    pub fn unit(&self, file: FileId) -> Vec<FileId> {
        let units = self.units.get_or_init(|| Units::of(self));
        let mut unit = vec![file];
        let mut done = 0;
        while let Some(f) = unit.get(done).copied() {
            for near in [&units.hosts, &units.parts].into_iter().filter_map(|of| of.get(&f)).flatten() {
                if !unit.contains(near) {
                    unit.push(*near);
                }
            }
            done += 1;
        }
        unit
    }

    /// Prepares the answers of [`Index::seen_by`]: half of their cost is the same for all.
    pub fn turn(&self) {
        if self.tree.include_texts() > 0 {
            self.seen.get_or_init(|| self.turn_includes());
        }
    }

    fn turn_includes(&self) -> Seen {
        let mut archs: Vec<&str> = Vec::new();
        for f in self.tree.files() {
            let path = self.tree.path(f);
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
        let edges: Vec<(FileId, FileId, bool)> = files
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
                        out.push((h, f, true));
                        return;
                    }
                    let mean = || {
                        let archs = arch.map_or(&archs[..], |a| &archs[a..=a]);
                        self.meanings(archs, name).into_boxed_slice()
                    };
                    let row = arch.map_or(0, |a| a + 1);
                    match number.and_then(|n| meanings.get(row * texts + n as usize)) {
                        Some(slot) => out.extend(slot.get_or_init(mean).iter().map(|h| (*h, f, false))),
                        None => out.extend(mean().iter().map(|h| (*h, f, false))),
                    }
                });
                out
            })
            .reduce(Vec::new, |mut a, mut b| {
                a.append(&mut b);
                a
            });
        let by = Lists::new(files.len(), edges.iter().map(|(header, file, _)| (*header, *file)));
        let own = edges.iter().filter(|e| e.2).map(|(header, file, _)| (*file, *header));
        Seen { own: Lists::new(files.len(), own), by }
    }

    /// All headers that an include can mean that is none of its folder.
    fn meanings(&self, archs: &[&str], name: &str) -> Vec<FileId> {
        for front in ["include/", "include/uapi/"] {
            if let Some(f) = self.tree.lookup(&format!("{front}{name}")) {
                return vec![f];
            }
        }
        // Few headers have the name of the text's last part; most texts that get here mean none at all.
        let namesakes = self.headers_named(base(name));
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
        let end = ending(name);
        let ends = |f: &&FileId| ends_with(self.tree.path(**f), &end);
        namesakes.iter().filter(ends).copied().collect()
    }
}
