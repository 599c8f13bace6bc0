//! The near searches of a round: of the folders that its demands concern, for all their words at once.
//!
//! Of a struct that a header of the folder defines, only the files that see the header are searched: `pages` stands in
//! hundreds of files of a folder of drivers. What the searches are for is in `search`.

use super::engine::{Demand, Engine};
use super::search::MAX_FOLDER;
use crate::index::Reach;
use crate::source::{FileId, Name};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

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
        demands.par_iter().with_max_len(1).for_each(|d| match d {
            Demand::Callers(f, _) => {
                self.index.reach(*f);
            }
            Demand::Field(file, tag, ..) => {
                let (home, reach) = self.struct_home(*file, tag);
                if reach != Reach::File {
                    self.index.seen_by(home);
                }
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
                    (home, Reach::Folder) => {
                        ask(self.seers(home, folder(home)), field);
                        ask(self.seers(home, folder(*file)), field);
                    }
                    (home, Reach::Tree) if *wide && self.index.seen_by(home).is_some() => {}
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
}
