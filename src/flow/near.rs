//! The near searches of a round: of the folders that its demands concern, for all their words at once.
//!
//! Of a struct that a header of the folder defines, only the files that see the header are searched: `pages` stands in
//! hundreds of files of a folder of drivers. What the searches are for is in `search`.

use super::engine::{Demand, Engine};
use super::place::{OWN, UNKNOWN_TAG};
use super::search::MAX_FOLDER;
use crate::index::{Reach, outer_tag};
use crate::source::{FileId, Name};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A part of the tree that is searched: first and last file, and the header that those between them see.
pub(super) type Part = (FileId, FileId, Option<FileId>);

impl Engine<'_> {
    /// Files of a folder that name the word. Answered by [`Engine::search_near`] in most cases.
    pub(super) fn naming_files(&mut self, folder: &[FileId], word: &Name) -> Vec<FileId> {
        self.naming_of_seers(folder, None, word)
    }

    /// The same, of the files that see a header, which [`Engine::seers`] has given with it.
    pub(super) fn naming_of_seers(&mut self, folder: &[FileId], seen: Option<FileId>, word: &Name) -> Vec<FileId> {
        let (Some(&first), Some(&last)) = (folder.first(), folder.last()) else { return Vec::new() };
        let key = ((first, last, seen), word.clone());
        if let Some(v) = self.near.get(&key) {
            return v.clone();
        }
        let v: Vec<FileId> = self.index.tree.grep(&[word], Some(folder)).into_iter().map(|h| h.0).collect();
        self.near.insert(key, v.clone());
        v
    }

    /// Searches all folders that the demands concern for all their words at once, and splits what was found.
    pub(super) fn search_near(&mut self, demands: &[Demand]) {
        let mut asked: BTreeMap<Part, (Vec<FileId>, BTreeSet<Name>)> = BTreeMap::new();
        let mut ask = |(files, seen): (Vec<FileId>, Option<FileId>), word: &Name| {
            if let (Some(&a), Some(&z)) = (files.first(), files.last())
                && !self.near.contains_key(&((a, z, seen), word.clone()))
            {
                asked.entry((a, z, seen)).or_insert_with(|| (files, BTreeSet::new())).1.insert(word.clone());
            }
        };
        // Which struct a field is of, and who sees a function, is looked up on all threads; below, the answers are
        // known.
        let unseen = demands.par_iter().filter_map(|d| match d {
            Demand::Field(file, tag, ..) if joined(tag) && !self.sees(*file, tag) => Some(outer_tag(tag)),
            _ => None,
        });
        self.index.seek_tags(&unseen.collect::<Vec<_>>());
        demands.par_iter().with_max_len(1).for_each(|d| match d {
            Demand::Callers(f, _) => {
                self.index.reach(*f);
            }
            Demand::Field(file, tag, ..) => {
                self.told(*file, tag);
            }
            _ => {}
        });
        let mut folders = FxHashMap::default();
        let mut folder = |f: FileId| -> Vec<FileId> {
            folders.entry(self.index.folder(f)).or_insert_with(|| self.index.folder_files(f)).clone()
        };
        let mut definitions: Vec<(FileId, Name)> = Vec::new();
        for d in demands {
            match d {
                Demand::Callers(f, wide) => match self.index.reach(*f) {
                    Reach::File => {}
                    Reach::Tree if *wide => {}
                    _ => ask((folder(f.file), None), &self.index.name(*f)),
                },
                Demand::Definition(file, name, _) => definitions.push((*file, name.clone())),
                Demand::Field(file, tag, field, wide) => match self.struct_home(*file, tag) {
                    (_, Reach::File) => {}
                    (_, Reach::Tree) if *wide && self.told(*file, tag).is_some() => {}
                    (home, Reach::Folder) if *wide && self.told(*file, tag).is_some() => {
                        ask((folder(home), None), &Name::from(outer_tag(tag)));
                    }
                    (home, Reach::Folder) => {
                        ask(self.seers(home, folder(home)), field);
                        ask(self.seers(home, folder(*file)), field);
                    }
                    (_, Reach::Tree) => {
                        let near = folder(*file);
                        if near.len() < MAX_FOLDER {
                            ask((near, None), field);
                        }
                    }
                },
                Demand::Global(Some(_), ..) | Demand::Vessel(_) | Demand::Member(..) => {}
                Demand::Global(None, from, name) => ask((folder(*from), None), name),
            }
        }
        self.index.seek_definitions(&definitions);
        let groups: Vec<(Vec<FileId>, Vec<&str>)> =
            asked.values().map(|(files, words)| (files.clone(), words.iter().map(|w| &**w).collect())).collect();
        let mut wanted = Vec::new();
        for ((range, (_, words)), hits) in asked.iter().zip(self.index.tree.grep_groups(&groups)) {
            for (i, w) in words.iter().enumerate() {
                let found: Vec<FileId> = hits.iter().filter(|h| h.1.contains(&i)).map(|h| h.0).collect();
                wanted.extend_from_slice(&found);
                self.near.insert((*range, w.clone()), found);
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.index.load(&wanted);
    }

    /// Of a folder, the files that may see the struct which is defined in `home`; with the header that they see, if
    /// that leaves some out. What another C file includes sees what that one does.
    pub(super) fn seers(&self, home: FileId, mut folder: Vec<FileId>) -> (Vec<FileId>, Option<FileId>) {
        let header = self.index.tree.path(home).ends_with(".h");
        let Some(seen) = header.then(|| self.index.seen_by(home)).flatten() else { return (folder, None) };
        folder.retain(|f| seen.binary_search(f).is_ok() || !self.index.hosts(*f).is_empty());
        (folder, Some(home))
    }

    /// Whether a file sees the definition of a struct, and no other one can be meant.
    fn sees(&self, file: FileId, tag: &Name) -> bool {
        self.index.struct_file(file, tag).is_some_and(|home| self.index.sees_surely(file, home))
    }

    /// The file with the definition of the struct, and from how far its fields can be touched: from anywhere, where
    /// that is not seen, or by a guess.
    pub(super) fn struct_home(&self, file: FileId, tag: &Name) -> (FileId, Reach) {
        if tag.starts_with(UNKNOWN_TAG) {
            return (file, Reach::File);
        }
        if tag.contains(OWN) {
            return (file, Reach::Folder);
        }
        match self.index.struct_file(file, tag) {
            Some(home) if self.index.sees_surely(file, home) => (home, self.index.struct_reach(home)),
            Some(home) => (home, Reach::Tree),
            None => (file, Reach::Tree),
        }
    }

    /// All files that see the struct, if its header tells them; of one that is not seen for sure, any of its tag.
    fn told(&self, file: FileId, tag: &Name) -> Option<Arc<Vec<FileId>>> {
        if !joined(tag) {
            return None;
        }
        match self.index.struct_file(file, tag) {
            Some(home) if !self.index.tree.path(home).ends_with(".h") => None,
            Some(home) if self.index.sees_surely(file, home) => self.index.seen_by(home),
            _ => self.index.seen_of_tag(outer_tag(tag)),
        }
    }

    /// All files that can touch fields of the struct, if its header tells them.
    pub(super) fn all_seers(&mut self, file: FileId, tag: &Name) -> Option<Arc<Vec<FileId>>> {
        let seen = self.told(file, tag)?;
        let (home, reach) = self.struct_home(file, tag);
        if reach == Reach::Tree {
            return Some(seen);
        }
        // Who names the struct beside its header and does not see one gets it some other way (`-include`).
        let near = self.naming_files(&self.index.folder_files(home), &Name::from(outer_tag(tag)));
        let unseen = |f: &FileId| seen.binary_search(f).is_err() && self.index.struct_file(*f, tag).is_none();
        let others: Vec<FileId> = near.into_iter().filter(unseen).collect();
        if others.is_empty() {
            return Some(seen);
        }
        let mut all: Vec<FileId> = seen.iter().copied().chain(others).collect();
        all.sort_unstable();
        Some(Arc::new(all))
    }
}

/// A tag whose fields are joined in all files.
fn joined(tag: &str) -> bool {
    !tag.starts_with(UNKNOWN_TAG) && !tag.contains(OWN)
}
