//! The searches that answer what a round asks for.
//!
//! Near ones first: the file, the folder, the files that see a header. The whole tree is searched a few times only, for
//! all names at once. What a search brings to light is loaded; whether pages get there is not known here.

use super::engine::{Demand, Engine};
use super::passed;
use super::place::PASSED;
use crate::index::{Asked, FnRef, Reach, outer_tag};
use crate::kernel::{Api, Vessel};
use crate::source::{FileId, Name};
use crate::split::{As, ItemKind};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A field or function named in more functions than this is not followed (a gap): `struct page *page` of a generic
/// object.
const MAX_FANOUT: usize = 250;

/// Searches of the whole tree at most, after the one for the pins: each costs as much as a grep. With one, v5.2.1 loses
/// the release of a wrapper whose own wrapper is declared in a header that everybody sees.
const MAX_FAR: usize = 2;

/// A folder with more files is not searched on behalf of a name that is known everywhere.
pub(super) const MAX_FOLDER: usize = 400;

/// How a file names a function.
struct Naming {
    /// The functions that do, and whether they call it.
    functions: Vec<(FnRef, bool)>,
    /// How often it is named without being called: in a table of functions, or to store it.
    values: usize,
}

impl Engine<'_> {
    /// Answers the demands: what they ask for is loaded. Tells whether anything new is known.
    pub(super) fn satisfy(&mut self, demands: Vec<Demand>) -> bool {
        self.search_near(&demands);
        let known = self.known();
        let mut wanted: Vec<FnRef> = Vec::new();
        let mut elsewhere: Vec<(FileId, Name)> = Vec::new();
        let mut far_callers: Vec<FnRef> = Vec::new();
        let mut far_fields: Vec<(Demand, Name, Name)> = Vec::new();
        let mut wide_callers: Vec<(FnRef, Vec<FileId>)> = Vec::new();
        let mut wide_fields: Vec<(Demand, Name, Arc<Vec<FileId>>)> = Vec::new();
        let mut vessels = Vec::new();
        let mut members: Vec<Asked> = Vec::new();
        // What calls a function is known before what a name means is asked.
        let mut callers: Vec<(FnRef, Vec<FileId>)> = Vec::new();
        for d in &demands {
            let Demand::Callers(f, wide) = d else { continue };
            match self.index.reach(*f) {
                Reach::File => callers.push((*f, self.index.unit(f.file))),
                Reach::Folder => {
                    let files = self.index.folder_files(f.file);
                    let name = self.index.name(*f);
                    callers.push((*f, self.naming_files(&files, &name)));
                }
                // The first search found all files that name an acquiring function.
                Reach::Tree if self.is_api(*f) => callers.push((*f, self.seeds.clone())),
                Reach::Tree if *wide && let Some(files) = self.index.users(*f) => wide_callers.push((*f, files)),
                Reach::Tree if *wide && let Some(files) = self.with_helpers.get(&self.index.name(*f)) => {
                    callers.push((*f, files.clone()));
                }
                Reach::Tree if *wide && self.far_passes < MAX_FAR => far_callers.push(*f),
                Reach::Tree => {
                    let files = self.index.folder_files(f.file);
                    if files.len() < MAX_FOLDER {
                        let name = self.index.name(*f);
                        callers.push((*f, self.naming_files(&files, &name)));
                    }
                    self.refused.insert(Demand::Callers(*f, true));
                }
            }
        }
        self.callers_in(callers, &mut wanted);
        for d in demands {
            self.asked.insert(d.clone());
            match &d {
                Demand::Callers(..) => {}
                Demand::Definition(file, name, wide) => {
                    let key = (*file, name.clone());
                    if self.targets.get(file).is_some_and(|here| here.contains_key(name)) {
                        continue;
                    }
                    match self.index.definition_near(*file, name) {
                        Some(r) => {
                            self.aim(key, Some(r));
                            wanted.push(r);
                        }
                        None if *wide => elsewhere.push(key),
                        None => {}
                    }
                }
                Demand::Field(file, tag, field, wide) => {
                    if *wide && let Some(files) = self.all_seers(*file, tag) {
                        wide_fields.push((d.clone(), field.clone(), files));
                        continue;
                    }
                    let far = if *wide && self.far_passes < MAX_FAR { Some(&mut far_fields) } else { None };
                    self.field(*file, tag, field, &d, &mut wanted, far);
                }
                Demand::Vessel(v) => vessels.push(*v),
                Demand::Member(file, tag, name) => members.push((*file, tag.clone(), name.clone())),
                Demand::Global(owner, from, name) => {
                    let files = match owner {
                        Some(f) => self.index.unit(*f),
                        None => self.naming_files(&self.index.folder_files(*from), name),
                    };
                    let found: Vec<FnRef> = files.par_iter().flat_map_iter(|f| self.index.naming(*f, name)).collect();
                    if found.len() > MAX_FANOUT {
                        self.refused.insert(d.clone());
                    } else {
                        wanted.extend(found);
                    }
                }
            }
        }
        self.satisfy_wide(wide_callers, wide_fields, &mut wanted);
        let found = self.index.defined_elsewhere(&elsewhere);
        let mut far: Vec<(FileId, Name)> = Vec::new();
        for (key, found) in elsewhere.into_iter().zip(found) {
            match found {
                Some(found) => {
                    wanted.extend(found);
                    self.aim(key, found);
                }
                None if self.far_passes < MAX_FAR => far.push(key),
                None => {}
            }
        }
        self.satisfy_far(far, far_callers, far_fields, vessels, &mut wanted);
        self.satisfy_members(members, &mut wanted);
        self.load(wanted) || self.known() != known
    }

    /// How many names and members are known.
    fn known(&self) -> usize {
        self.targets.values().map(FxHashMap::len).sum::<usize>() + self.members.len()
    }

    /// Notes what a name means, called from a file.
    fn aim(&mut self, (file, name): (FileId, Name), at: Option<FnRef>) {
        self.targets.entry(file).or_default().insert(name, at);
    }

    /// Calls through a pointer that is a parameter or a member: what it can hold, and who else calls through it.
    fn satisfy_members(&mut self, asked: Vec<Asked>, wanted: &mut Vec<FnRef>) {
        let (passed, asked): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(|a| a.1.starts_with(PASSED));
        for asked in passed {
            if let Some(given) = passed::held(self, &asked) {
                wanted.extend(&given);
                self.members.insert(asked, given);
            }
        }
        let answers = self.index.held(&asked);
        for (asked, held) in asked.into_iter().zip(answers) {
            let Some(held) = held else { continue };
            match held.callers {
                Some(callers) => {
                    for c in &callers {
                        let there = (c.file, asked.1.clone(), asked.2.clone());
                        // The struct of that tag which is seen from there may be another one.
                        if self.index.struct_item(c.file, &asked.1) == self.index.struct_item(asked.0, &asked.1) {
                            self.members.entry(there).or_insert_with(|| held.functions.clone());
                        }
                    }
                    wanted.extend(callers);
                }
                None => self.refused.extend(held.functions.iter().map(|f| Demand::Callers(*f, true))),
            }
            wanted.extend(&held.functions);
            self.members.insert(asked, held.functions);
        }
    }

    /// Questions that concern all files which see a header.
    fn satisfy_wide(
        &mut self,
        callers: Vec<(FnRef, Vec<FileId>)>,
        fields: Vec<(Demand, Name, Arc<Vec<FileId>>)>,
        wanted: &mut Vec<FnRef>,
    ) {
        let names: Vec<Name> = callers.iter().map(|c| self.index.name(c.0)).collect();
        // Words that are looked for in the same files are looked for together.
        let mut sets: BTreeMap<&[FileId], BTreeSet<&str>> = BTreeMap::new();
        for (c, name) in callers.iter().zip(&names) {
            sets.entry(&c.1).or_default().insert(name);
        }
        for (_, field, files) in &fields {
            sets.entry(files).or_default().insert(field);
        }
        let groups: Vec<(Vec<FileId>, Vec<&str>)> =
            sets.iter().map(|(files, words)| (files.to_vec(), words.iter().copied().collect())).collect();
        let mut found: FxHashMap<(usize, &str), Vec<FileId>> = FxHashMap::default();
        for (i, ((_, words), hits)) in groups.iter().zip(self.index.tree.grep_groups(&groups)).enumerate() {
            for (f, which) in hits {
                for w in which {
                    found.entry((i, words[w])).or_default().push(f);
                }
            }
        }
        let number = |files: &[FileId]| sets.keys().position(|s| *s == files).unwrap_or(usize::MAX);
        let in_callers: Vec<Vec<FileId>> = callers
            .iter()
            .zip(&names)
            .map(|(c, name)| found.get(&(number(&c.1), &**name)).cloned().unwrap_or_default())
            .collect();
        let in_fields: Vec<Vec<FileId>> = fields
            .iter()
            .map(|(_, field, files)| found.get(&(number(files), &**field)).cloned().unwrap_or_default())
            .collect();
        self.callers_in(callers.iter().map(|c| c.0).zip(in_callers).collect(), wanted);
        for ((d, field, _), files) in fields.iter().zip(in_fields) {
            self.index.load(&files);
            let found: Vec<FnRef> = self.index.touching_in(&files, field);
            let Demand::Field(file, tag, ..) = d else { continue };
            if found.len() <= MAX_FANOUT {
                wanted.extend(self.index.touching_of(found, tag, field));
                continue;
            }
            // A field of a common name: where its struct is named as well, and in the folder of its own header.
            if self.struct_home(*file, tag).1 == Reach::Folder {
                self.field(*file, tag, field, d, wanted, None);
            }
            let mut few: Vec<FileId> =
                self.index.tree.grep(&[outer_tag(tag)], Some(&files)).iter().map(|h| h.0).collect();
            few.push(*file);
            few.sort_unstable();
            few.dedup();
            let found: Vec<FnRef> = self.index.touching_in(&few, field);
            if found.len() <= MAX_FANOUT {
                wanted.extend(self.index.touching_of(found, tag, field));
            } else {
                self.refused.insert(d.clone());
            }
        }
    }

    /// Questions that concern the whole tree: one search for all of them.
    fn satisfy_far(
        &mut self,
        far: Vec<(FileId, Name)>,
        far_callers: Vec<FnRef>,
        far_fields: Vec<(Demand, Name, Name)>,
        vessels: Vec<u32>,
        wanted: &mut Vec<FnRef>,
    ) {
        let mut needles: Vec<Name> = far.iter().map(|f| f.1.clone()).collect();
        needles.extend(far_callers.iter().map(|f| self.index.name(*f)));
        needles.extend(far_fields.iter().map(|f| Name::from(outer_tag(&f.1))));
        let mut helpers: Vec<Name> = Vec::new();
        let vessels: Vec<&Vessel> = vessels.iter().filter_map(|v| Api::get().vessels().get(*v as usize)).collect();
        if needles.is_empty() && (vessels.is_empty() || self.far_passes > 0) {
            self.open_vessels(&vessels, wanted);
            return;
        }
        if self.far_passes == 0 {
            // Few words, and known before anybody asks for them: the survey has looked for them.
            needles.extend(Api::get().vessel_words().map(Name::from));
            helpers = self.release_helpers();
            needles.extend(helpers.iter().cloned());
        }
        needles.sort();
        needles.dedup();
        self.far_passes += 1;
        let words: Vec<&str> = needles.iter().map(|n| &**n).collect();
        let hits = self.index.tree.grep(&words, None);
        let mut files: FxHashMap<&str, Vec<FileId>> = FxHashMap::default();
        for (f, which) in &hits {
            for w in which {
                files.entry(words[*w]).or_default().push(*f);
            }
        }
        for w in Api::get().vessel_words() {
            if let Some(found) = files.get(w) {
                self.with_vessels.entry(w.to_string()).or_insert_with(|| found.clone());
            }
        }
        for name in helpers {
            let found = files.get(&*name).cloned().unwrap_or_default();
            self.with_helpers.insert(name, found);
        }
        self.open_vessels(&vessels, wanted);
        let none = Vec::new();
        for (file, name) in far {
            let mut found = None;
            for f in files.get(&*name).unwrap_or(&none) {
                if let Some(items) = self.index.items(*f)
                    && let Some(i) = items.function(&name)
                    && !items.items[i as usize].is_static
                {
                    found = Some(FnRef { file: *f, item: i });
                    break;
                }
            }
            self.aim((file, name), found);
            wanted.extend(found);
        }
        let mut callers = Vec::new();
        for f in far_callers {
            let name = self.index.name(f);
            self.refused.remove(&Demand::Callers(f, true));
            callers.push((f, files.get(&*name).unwrap_or(&none).clone()));
        }
        self.callers_in(callers, wanted);
        for (d, tag, field) in far_fields {
            self.far_fields.insert((tag.clone(), field.clone()));
            let in_files = files.get(outer_tag(&tag)).unwrap_or(&none).clone();
            self.far_tags.insert(outer_tag(&tag).into(), in_files.clone());
            self.index.load(&in_files);
            let found: Vec<FnRef> = self.index.touching_in(&in_files, &field);
            self.refused.retain(|r| !matches!(r, Demand::Field(_, t, n, _) if *t == tag && *n == field));
            if found.len() > MAX_FANOUT {
                self.refused.insert(d);
            } else {
                wanted.extend(self.index.touching_of(found, &tag, &field));
            }
        }
    }

    /// Loads the functions that release what is in these vessels.
    fn open_vessels(&self, vessels: &[&Vessel], wanted: &mut Vec<FnRef>) {
        for v in vessels {
            let mut files: Vec<FileId> =
                v.words.iter().filter_map(|w| self.with_vessels.get(w)).flatten().copied().collect();
            files.sort_unstable();
            files.dedup();
            self.index.load(&files);
            wanted.par_extend(files.par_iter().flat_map_iter(|&f| {
                let touching = self.index.touching(f, &v.field);
                let naming = v.words.iter().flat_map(move |w| self.index.naming(f, w));
                naming.chain(touching).filter(|r| self.drops(*r))
            }));
        }
    }

    /// Functions beside a pin that the whole tree can call and that drop pages. Who calls one of them is asked when a
    /// trace has come to it, which may be after the last search of the tree. Not of those whose users a header tells:
    /// they are asked there.
    fn release_helpers(&self) -> Vec<Name> {
        let helpers = |&file: &FileId| {
            let mut out = Vec::new();
            let Some(items) = self.index.items(file) else { return out };
            for (i, item) in items.items.iter().enumerate() {
                let f = FnRef { file, item: i as u32 };
                if item.kind == ItemKind::Function
                    && !item.is_static
                    && self.index.reach(f) == Reach::Tree
                    && self.drops(f)
                    && self.index.users(f).is_none()
                {
                    out.push(item.name.clone());
                }
            }
            out
        };
        self.seeds.par_iter().with_max_len(1).flat_map_iter(helpers).collect()
    }

    /// Whether the function calls something that drops a page reference.
    fn drops(&self, f: FnRef) -> bool {
        let drops = |c: &str| Api::get().release(c).is_some_and(|r| !r.other && !r.wrapper);
        self.index.items(f.file).is_some_and(|items| items.calls_any(f.item, &drops))
    }

    /// Looks in files for functions that name a function, other than itself, and loads them unless they are many.
    fn callers_in(&mut self, asked: Vec<(FnRef, Vec<FileId>)>, wanted: &mut Vec<FnRef>) {
        let mut all: Vec<FileId> = asked.iter().flat_map(|a| &a.1).copied().collect();
        all.sort_unstable();
        all.dedup();
        self.index.load(&all);
        let looked: Vec<Vec<Naming>> =
            asked.par_iter().with_max_len(1).map(|(f, files)| self.naming_of(*f, files)).collect();
        for ((f, _), looked) in asked.into_iter().zip(looked) {
            let name = self.index.name(f);
            let mut found = Vec::new();
            let mut taken = 0;
            for Naming { functions, values } in looked {
                taken += values;
                for (r, calls) in functions {
                    found.push(r);
                    if calls {
                        self.targets.entry(r.file).or_default().entry(name.clone()).or_insert(Some(f));
                    }
                }
            }
            if taken > 0 {
                let known = self.taken.entry(f).or_default();
                *known = taken.max(*known);
            }
            self.callers.insert(f, found.len());
            if found.len() > MAX_FANOUT {
                self.refused.insert(Demand::Callers(f, true));
            } else {
                wanted.extend(found);
            }
        }
    }

    /// How each of these files names the function, other than in itself.
    fn naming_of(&self, f: FnRef, files: &[FileId]) -> Vec<Naming> {
        let name = self.index.name(f);
        let look = |&file: &FileId| {
            let items = self.index.items(file)?;
            // Another static function of that name: its callers are not ours.
            if file != f.file
                && let Some(i) = items.function(&name)
                && items.items[i as usize].is_static
            {
                return None;
            }
            let calling = items.mentioning(&name, As::Call);
            let naming = self.index.naming(file, &name).into_iter().filter(|r| *r != f);
            let values = items.values(&name);
            Some(Naming { functions: naming.map(|r| (r, calling.binary_search(&r.item).is_ok())).collect(), values })
        };
        files.par_iter().filter_map(look).collect()
    }

    fn field(
        &mut self,
        file: FileId,
        tag: &Name,
        field: &Name,
        d: &Demand,
        wanted: &mut Vec<FnRef>,
        far: Option<&mut Vec<(Demand, Name, Name)>>,
    ) {
        let (home, reach) = self.struct_home(file, tag);
        match reach {
            Reach::File => {
                let files = self.index.unit(home);
                wanted.extend(self.index.touching_of(self.index.touching_in(&files, field), tag, field));
            }
            Reach::Folder => {
                let mut files = Vec::new();
                for folder in [home, file] {
                    let (seers, seen) = self.seers(home, self.index.folder_files(folder));
                    files.extend(self.naming_of_seers(&seers, seen, field));
                }
                files.sort_unstable();
                files.dedup();
                let found: Vec<FnRef> = self.index.touching_in(&files, field);
                if found.len() > MAX_FANOUT {
                    self.refused.insert(d.clone());
                } else {
                    wanted.extend(self.index.touching_of(found, tag, field));
                }
            }
            Reach::Tree => {
                // Also the folder of the file that asks: it may reach the field through another struct.
                let folder = self.index.folder_files(file);
                if folder.len() < MAX_FOLDER {
                    let near = self.naming_files(&folder, field);
                    let found: Vec<FnRef> = self.index.touching_in(&near, field);
                    if found.len() <= MAX_FANOUT {
                        wanted.extend(self.index.touching_of(found, tag, field));
                    } else {
                        // A field of a common name: where its struct is named, and the file that asks.
                        let mut few = self.naming_files(&folder, &Name::from(outer_tag(tag)));
                        few.push(file);
                        few.sort();
                        few.dedup();
                        let found: Vec<FnRef> = self.index.touching_in(&few, field);
                        if found.len() <= MAX_FANOUT {
                            wanted.extend(self.index.touching_of(found, tag, field));
                        }
                    }
                }
                match far {
                    // Asked before, from another file.
                    _ if self.far_fields.contains(&(tag.clone(), field.clone())) => {}
                    _ if self.far_tags.contains_key(outer_tag(tag)) => {
                        self.far_fields.insert((tag.clone(), field.clone()));
                        let files = self.far_tags.get(outer_tag(tag)).cloned().unwrap_or_default();
                        let found: Vec<FnRef> = self.index.touching_in(&files, field);
                        if found.len() > MAX_FANOUT {
                            self.refused.insert(d.clone());
                        } else {
                            wanted.extend(self.index.touching_of(found, tag, field));
                        }
                    }
                    Some(far) => far.push((d.clone(), tag.clone(), field.clone())),
                    None => {
                        self.refused.insert(Demand::Field(file, tag.clone(), field.clone(), true));
                    }
                }
            }
        }
    }
}
