//! Where is it defined, who calls it, who touches the field: the questions of the custody analysis.

use super::set::FileSet;
use super::{Closure, FileItems, FnRef, Included, Index, ItemRef, lock, outer_tag};
use crate::discover::SourceTree;
use crate::lex;
use crate::source::{FileId, Name};
use crate::split::{As, ItemKind, ItemKinds};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// The architecture whose headers are read for files of none.
const X86: &str = "x86";

/// How far a name can be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The file itself.
    File,
    /// The folder of the file and what lies below it.
    Folder,
    /// The whole tree.
    Tree,
}

impl Index {
    /// Folder of a file, with a slash at the end; empty at the root.
    pub fn folder(&self, file: FileId) -> &str {
        let p = self.tree.path(file);
        p.rfind('/').map_or("", |i| &p[..=i])
    }

    /// Files in the folder of `file` and below.
    pub fn folder_files(&self, file: FileId) -> Vec<FileId> {
        self.tree.below(self.folder(file))
    }

    /// A header that other folders include by its own path.
    pub fn is_public_header(&self, file: FileId) -> bool {
        let p = self.tree.path(file);
        p.ends_with(".h") && (p.starts_with("include/") || p.contains("/include/"))
    }

    /// Headers that `file` includes, directly, in order; those that are not found are left out.
    pub fn includes(&self, file: FileId) -> &[FileId] {
        self.included(file).map_or(&[], |i| &i.headers)
    }

    fn included(&self, file: FileId) -> Option<&Included> {
        let slot = self.includes.get(file.0 as usize)?;
        Some(slot.get_or_init(|| {
            let dir = self.folder(file);
            let arch = self.arch_of(file);
            let (mut headers, mut guessed) = (Vec::new(), Vec::new());
            self.tree.includes(file, &mut |text, number| {
                let known = number.filter(|_| text.starts_with('<')).and_then(|n| self.angles.get(n as usize));
                let common = known.and_then(|slot| *slot.get_or_init(|| self.in_include(text)));
                match common.or_else(|| self.resolve_include(dir, arch, text)) {
                    Some(header) => headers.push(header),
                    None => {
                        let namesakes = self.namesakes(dir, text);
                        let Some(header) = nearest(&self.tree, dir, &namesakes) else { return };
                        headers.push(header);
                        if namesakes.len() > 1 {
                            guessed.push(header);
                        }
                    }
                }
            });
            Included { headers: headers.into(), guessed: guessed.into() }
        }))
    }

    fn arch_of(&self, file: FileId) -> &str {
        let p = self.tree.path(file);
        p.strip_prefix("arch/").and_then(|r| r.split('/').next()).unwrap_or(X86)
    }

    /// The header that stands for one of x86 in a file of another architecture; a common header that includes
    /// `<asm/page.h>` is read as x86 has it.
    fn of_arch(&self, header: FileId, arch: &str) -> Option<FileId> {
        let of_x86 = || self.tree.path(header).strip_prefix("arch/x86/include/");
        match (arch != X86).then(of_x86).flatten() {
            None => Some(header),
            Some(rest) => self.tree.lookup(&format!("arch/{arch}/include/{rest}")).or_else(|| {
                let generic = rest.strip_prefix("asm/").or_else(|| rest.strip_prefix("uapi/asm/"))?;
                self.tree.lookup(&format!("include/asm-generic/{generic}"))
            }),
        }
    }

    /// `<linux/mm.h>` as `include/linux/mm.h`.
    fn in_include(&self, text: &str) -> Option<FileId> {
        self.tree.lookup(&format!("include/{}", text.trim_matches(['<', '>'])))
    }

    fn resolve_include(&self, dir: &str, arch: &str, name: &str) -> Option<FileId> {
        let quoted = name.starts_with('"');
        let name = name.trim_matches(|c| matches!(c, '"' | '<' | '>'));
        // The folder of the file comes first for quotes, last for angles.
        if quoted && let Some(f) = self.tree.lookup(&join(dir, name)) {
            return Some(f);
        }
        let mut path = String::with_capacity(64);
        for front in ["include/", "arch/*/include/", "include/uapi/", "arch/*/include/uapi/"] {
            path.clear();
            match front.split_once('*') {
                Some((a, b)) => path.extend([a, arch, b, name]),
                None => path.extend([front, name]),
            }
            if let Some(f) = self.tree.lookup(&path) {
                return Some(f);
            }
        }
        if !quoted && let Some(f) = self.tree.lookup(&join(dir, name)) {
            return Some(f);
        }
        // `ccflags-y += -I…`: an ancestor folder, or its include folder.
        let mut d = dir.trim_end_matches('/');
        while let Some(i) = d.rfind('/') {
            d = &d[..i];
            for c in [join(&format!("{d}/"), name), join(&format!("{d}/include/"), name)] {
                if let Some(f) = self.tree.lookup(&c) {
                    return Some(f);
                }
            }
        }
        None
    }

    /// The headers that an include can mean which a Makefile names the folder for (`ccflags-y += -I$(srctree)/…`), by
    /// their name. Where the definition of a struct is not seen, its fields would lose what is stored in them.
    fn namesakes(&self, dir: &str, text: &str) -> Vec<FileId> {
        let name = text.trim_matches(['"', '<', '>']);
        // Each architecture has another one; what only one has is for drivers of its machines.
        let asm = name.starts_with("asm/");
        let name = ending(name);
        if asm {
            let named = self.headers_named(base(&name)).iter().copied();
            let all: Vec<FileId> = named.filter(|f| ends_with(self.tree.path(*f), &name)).collect();
            return if all.len() == 1 { all } else { Vec::new() };
        }
        // The headers of an architecture are for its own files.
        let own = arch_folder(dir);
        let fits = |f: &FileId| {
            let path = self.tree.path(*f);
            ends_with(path, &name) && arch_folder(path).is_none_or(|a| own == Some(a))
        };
        self.headers_named(base(&name)).iter().copied().filter(fits).collect()
    }

    /// Headers by their name without folders.
    pub(super) fn headers_named(&self, name: &str) -> &[FileId] {
        let named = self.headers.get_or_init(|| {
            let mut named: FxHashMap<Box<str>, Vec<FileId>> = FxHashMap::default();
            for f in self.tree.files().filter(|f| self.tree.path(*f).ends_with(".h")) {
                named.entry(base(self.tree.path(f)).into()).or_default().push(f);
            }
            named
        });
        named.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether `header` is what `file` includes, whatever a Makefile says: no other header of that name could be meant
    /// on the way to it.
    pub fn sees_surely(&self, file: FileId, header: FileId) -> bool {
        let closures = || std::iter::once(file).chain(self.hosts(file).iter().copied()).map(|f| self.closure(f));
        closures().any(|c| c.rank(header).is_some() && c.unsure.binary_search(&header).is_err())
    }

    /// The first item of this name and one of these kinds that `file` sees: in itself, then breadth-first through its
    /// includes; of a C file that others include, also what those see. Bounded at 1500 headers (the largest driver of
    /// v6.12 sees about 1100).
    pub fn visible_item(&self, file: FileId, name: &str, kinds: &[ItemKind]) -> Option<(FileId, u32)> {
        let kinds = ItemKinds::of(kinds);
        let known = lock(&self.defined_in).get(&(file, kinds)).and_then(|names| names.get(name)).copied();
        known.unwrap_or_else(|| {
            let around = || self.hosts(file).iter().find_map(|&host| self.search_includes(host, name, kinds));
            let found = self.search_includes(file, name, kinds).or_else(around);
            lock(&self.defined_in).entry((file, kinds)).or_default().insert(name.into(), found);
            found
        })
    }

    fn search_includes(&self, file: FileId, name: &str, kinds: ItemKinds) -> Option<(FileId, u32)> {
        let fits = |it: &crate::split::Item| kinds.contains(it.kind) && defines(it.kind, it);
        if let Some((i, _)) = self.items(file)?.named(name).find(|(_, it)| fits(it)) {
            return Some((file, i));
        }
        let closure = self.closure(file);
        closure.split.get_or_init(|| {
            for h in closure.headers() {
                self.items(h);
            }
        });
        let candidates: Vec<ItemRef> = lock(&self.in_headers).get(name).map(|n| n.iter().collect()).unwrap_or_default();
        // The header that the search of the includes would meet first.
        let mut best: Option<(u16, FileId, u32)> = None;
        for (header, i) in candidates {
            let Some(rank) = closure.rank(header) else { continue };
            if best.is_some_and(|(r, _, k)| (r, k) <= (rank, i)) {
                continue;
            }
            if self.items(header).is_some_and(|h| h.items.get(i as usize).is_some_and(fits)) {
                best = Some((rank, header, i));
            }
        }
        best.map(|(_, header, i)| (header, i))
    }

    /// The files that a file sees by its includes, itself among them, ascending; of very many not all.
    pub fn headers_of(&self, file: FileId) -> Vec<FileId> {
        self.closure(file).headers().collect()
    }

    /// Headers that a file sees, breadth-first, with their rank.
    pub(super) fn closure(&self, file: FileId) -> Arc<Closure> {
        if let Some(c) = lock(&self.closures).get(&file) {
            return c.clone();
        }
        // Hundreds of these have up to 1500 headers each: nothing is hashed or sorted.
        let mut seen = FileSet::new(self.tree.len());
        seen.insert(file);
        let mut order = vec![file];
        let mut done = 0;
        let arch = self.arch_of(file);
        while let Some(&f) = order.get(done).filter(|_| order.len() <= 1500) {
            done += 1;
            let headers = self.includes(f).iter().filter_map(|h| self.of_arch(*h, arch));
            order.extend(headers.filter(|h| seen.insert(*h)));
        }
        let mut rank_of = vec![0u16; self.tree.len()];
        for (rank, f) in order.iter().enumerate() {
            if let Some(slot) = rank_of.get_mut(f.0 as usize) {
                *slot = rank.min(usize::from(u16::MAX)) as u16;
            }
        }
        let headers: Vec<FileId> = seen.iter().collect();
        let ranks: Vec<u16> = headers.iter().map(|h| rank_of[h.0 as usize]).collect();
        let unsure = self.unsure(file, &order);
        let closure = Closure { headers: headers.into(), ranks: ranks.into(), unsure, split: OnceLock::new() };
        let closure = Arc::new(closure);
        lock(&self.closures).entry(file).or_insert(closure).clone()
    }

    /// Of what a file includes, directly or not, the headers that are only reached by a guess, ascending.
    fn unsure(&self, file: FileId, all: &[FileId]) -> Box<[FileId]> {
        if all.iter().all(|f| self.included(*f).is_none_or(|i| i.guessed.is_empty())) {
            return Box::default();
        }
        let mut sure = FileSet::new(self.tree.len());
        sure.insert(file);
        let mut open = vec![file];
        let arch = self.arch_of(file);
        while let Some(f) = open.pop() {
            let Some(i) = self.included(f) else { continue };
            let headers = i.headers.iter().filter(|h| !i.guessed.contains(h)).filter_map(|h| self.of_arch(*h, arch));
            open.extend(headers.filter(|h| sure.insert(*h)));
        }
        let mut unsure: Vec<FileId> = all.iter().copied().filter(|h| !sure.contains(*h)).collect();
        unsure.sort_unstable();
        unsure.into()
    }

    /// Definition of a function as seen from a file, without searching the tree: the file itself, a header it includes,
    /// then files of the same folder that were loaded or can be loaded.
    pub fn definition_near(&self, from: FileId, name: &str) -> Option<FnRef> {
        if let Some(i) = self.items(from)?.function(name) {
            return Some(FnRef { file: from, item: i });
        }
        let folder = self.folder(from).to_string();
        let key = (folder.clone(), Name::from(name));
        let known = lock(&self.in_folder).get(&key).copied();
        let found = known.unwrap_or_else(|| self.exported_in(&folder, name));
        lock(&self.in_folder).insert(key, found);
        if found.is_some() {
            return found;
        }
        self.visible_item(from, name, &[ItemKind::Function]).map(|(file, item)| FnRef { file, item })
    }

    /// The function of this name in a C file that is called like the header: `lib/radix-tree.c` for
    /// `linux/radix-tree.h`.
    pub fn definition_by_header(&self, header: FileId, name: &str) -> Option<FnRef> {
        let name_of = |file| self.tree.path(file).rsplit('/').next().unwrap_or_default();
        let source = name_of(header).strip_suffix(".h")?.to_string() + ".c";
        let files: Vec<FileId> = self.tree.files().filter(|f| name_of(*f) == source).collect();
        self.first_exported(&files, name)
    }

    /// The function of this name that other files of the folder can call.
    fn exported_in(&self, folder: &str, name: &str) -> Option<FnRef> {
        let files = self.same_folder(folder);
        let naming: Vec<FileId> = self.tree.grep(&[name], Some(&files)).into_iter().map(|h| h.0).collect();
        self.first_exported(&naming, name)
    }

    /// Files with code of a folder: not what lies below, that is another module.
    pub fn same_folder(&self, folder: &str) -> Vec<FileId> {
        let mut files = self.tree.below(folder);
        files.retain(|f| self.folder(*f) == folder && self.tree.has_code(*f));
        files
    }

    /// Prepares the answers of [`Index::definition_near`] for all these questions with one search.
    pub fn seek_definitions(&self, asked: &[(FileId, Name)]) {
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (file, name) in asked {
            let folder = self.folder(*file);
            let known = lock(&self.in_folder).contains_key(&(folder.to_string(), name.clone()));
            if !known && self.items(*file).is_some_and(|it| it.function(name).is_none()) {
                wanted.entry(folder).or_default().insert(name);
            }
        }
        let groups: Vec<(Vec<FileId>, Vec<&str>)> =
            wanted.iter().map(|(folder, names)| (self.same_folder(folder), names.iter().copied().collect())).collect();
        let mut naming: FxHashMap<(&str, &str), Vec<FileId>> = FxHashMap::default();
        for ((folder, (_, names)), hits) in wanted.keys().zip(&groups).zip(self.tree.grep_groups(&groups)) {
            for (f, which) in hits {
                for w in which {
                    naming.entry((folder, names[w])).or_default().push(f);
                }
            }
        }
        let mut split: Vec<FileId> = naming.values().flatten().copied().collect();
        split.sort_unstable();
        split.dedup();
        self.load(&split);
        wanted.par_iter().flat_map_iter(|(folder, names)| names.iter().map(move |name| (*folder, *name))).for_each(
            |(folder, name)| {
                let found = self.first_exported(naming.get(&(folder, name)).map_or(&[][..], |v| v), name);
                lock(&self.in_folder).insert((folder.to_string(), name.into()), found);
            },
        );
        // What the headers define.
        let rest: Vec<&(FileId, Name)> = asked.iter().collect();
        rest.par_iter().for_each(|(file, name)| {
            self.definition_near(*file, name);
        });
    }

    /// Definitions of functions that a header declares and another folder defines: they are looked for in the files
    /// that include that header themselves, with one search for all. `Some(None)` where there is no such file, or where
    /// the name is a macro; `None` when no header that the file sees declares it.
    pub fn defined_elsewhere(&self, asked: &[(FileId, Name)]) -> Vec<Option<Option<FnRef>>> {
        let kinds = [ItemKind::Prototype, ItemKind::Define];
        let declared: Vec<Option<Option<FileId>>> = asked
            .par_iter()
            .map(|(file, name)| {
                let (header, i) = self.visible_item(*file, name, &kinds)?;
                let kind = self.items(header)?.items.get(i as usize)?.kind;
                match kind {
                    ItemKind::Prototype if header == *file => None,
                    ItemKind::Prototype => Some(Some(header)),
                    _ => Some(None),
                }
            })
            .collect();
        let mut names: BTreeMap<FileId, BTreeSet<&str>> = BTreeMap::new();
        for ((_, name), header) in asked.iter().zip(&declared) {
            if let Some(Some(h)) = header {
                names.entry(*h).or_default().insert(name);
            }
        }
        let groups: Vec<(Vec<FileId>, Vec<&str>)> = names
            .par_iter()
            .map(|(header, names)| {
                let mut files = self.tree.including(self.tree.path(*header));
                files.retain(|f| self.tree.path(*f).ends_with(".c"));
                (files, names.iter().copied().collect())
            })
            .collect();
        let mut naming: FxHashMap<(FileId, &str), Vec<FileId>> = FxHashMap::default();
        for ((header, (_, names)), hits) in names.keys().zip(&groups).zip(self.tree.grep_groups(&groups)) {
            for (f, which) in hits {
                for w in which {
                    naming.entry((*header, names[w])).or_default().push(f);
                }
            }
        }
        let define = |(asked, header): (&(FileId, Name), &Option<Option<FileId>>)| {
            let header = (*header)?;
            let files = header.and_then(|h| naming.get(&(h, &*asked.1)));
            Some(files.and_then(|files| self.first_exported(files, &asked.1)))
        };
        asked.iter().zip(&declared).map(define).collect()
    }

    /// The function of this name that other files can call, in the first of these files that has one.
    fn first_exported(&self, files: &[FileId], name: &str) -> Option<FnRef> {
        for &f in files {
            if self.tree.read(f).is_ok_and(|text| !may_define(&text, name)) {
                continue;
            }
            if let Some(items) = self.items(f)
                && let Some(i) = items.function(name)
                && (!items.items[i as usize].is_static || self.tree.path(f).ends_with(".h"))
            {
                return Some(FnRef { file: f, item: i });
            }
        }
        None
    }

    /// How far the function can be called by name.
    pub fn reach(&self, f: FnRef) -> Reach {
        let Some(items) = self.items(f.file) else { return Reach::File };
        let Some(item) = items.items.get(f.item as usize) else { return Reach::File };
        let header = self.tree.path(f.file).ends_with(".h");
        if item.is_static && !header {
            return Reach::File;
        }
        if header {
            return if self.is_public_header(f.file) { Reach::Tree } else { Reach::Folder };
        }
        let exported = items.exports().contains(item.name.as_bytes());
        let core = ["mm/", "kernel/", "fs/", "block/", "lib/", "net/core/", "virt/"]
            .iter()
            .any(|p| self.tree.path(f.file).starts_with(p));
        if exported || core { Reach::Tree } else { Reach::Folder }
    }

    /// The files that can call an exported function by its name: those that see the header which declares it, and its
    /// own folder. `None` when they are most of the tree, or nobody declares it.
    pub fn users(&self, f: FnRef) -> Option<Vec<FileId>> {
        let header = if self.tree.path(f.file).ends_with(".h") {
            f.file
        } else {
            self.visible_item(f.file, &self.name(f), &[ItemKind::Prototype]).map(|(h, _)| h).filter(|h| *h != f.file)?
        };
        let mut files = self.seen_by(header)?.as_ref().clone();
        files.extend(self.folder_files(f.file));
        files.sort_unstable();
        files.dedup();
        Some(files)
    }

    /// Functions of one file whose body names `word`.
    pub fn naming(&self, file: FileId, word: &str) -> Vec<FnRef> {
        self.mentioning(file, word, As::Word)
    }

    /// Functions of one file that touch a field of this name.
    pub fn touching(&self, file: FileId, field: &str) -> Vec<FnRef> {
        self.mentioning(file, field, As::Field)
    }

    /// Functions of several files that touch a field of this name.
    pub fn touching_in(&self, files: &[FileId], field: &str) -> Vec<FnRef> {
        files.par_iter().flat_map_iter(|f| self.touching(*f, field)).collect()
    }

    /// Of functions that touch a field of some struct, those that may touch the one of this struct. A tag that is not
    /// in the source excludes nobody.
    pub fn touching_of(&self, functions: Vec<FnRef>, tag: &str, field: &str) -> Vec<FnRef> {
        let tag = outer_tag(tag);
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return functions;
        }
        let may = |f: &FnRef| self.items(f.file).is_none_or(|items| items.may_touch(f.item, field, tag));
        functions.into_par_iter().filter(may).collect()
    }

    fn mentioning(&self, file: FileId, word: &str, how: As) -> Vec<FnRef> {
        let Some(items) = self.items(file) else { return Vec::new() };
        items.mentioning(word, how).into_iter().map(|item| FnRef { file, item }).collect()
    }

    /// How far a struct can be seen, by where it is defined.
    pub fn struct_reach(&self, file: FileId) -> Reach {
        if !self.tree.path(file).ends_with(".h") {
            Reach::File
        } else if self.is_public_header(file) {
            Reach::Tree
        } else {
            Reach::Folder
        }
    }
}

/// Whether the name stands in a line that starts in the first column, as heads of definitions do: a quick test before
/// a file is split. Calls stand further in.
fn may_define(text: &[u8], name: &str) -> bool {
    memchr::memmem::find_iter(text, name.as_bytes()).any(|at| {
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |i| i + 1);
        !text[start].is_ascii_whitespace()
    })
}

/// A declaration without body (`struct foo;`) defines nothing.
fn defines(kind: ItemKind, item: &crate::split::Item) -> bool {
    match kind {
        ItemKind::Struct | ItemKind::Union | ItemKind::Function => item.body.is_some(),
        _ => true,
    }
}

/// Words that stand in lines such as `EXPORT_SYMBOL(name)` and `EXPORT_SYMBOL_GPL(name)`.
pub(super) fn exports(items: &FileItems) -> FxHashSet<Box<[u8]>> {
    let text = &*items.text;
    let mut out = FxHashSet::default();
    for it in &items.items {
        if it.kind != ItemKind::Function && it.name.starts_with("EXPORT_SYMBOL") {
            let line = it.span.of(text);
            out.extend(lex::tokens(line).map(|t| t.word(line)).filter(|w| !w.is_empty()).map(Box::from));
        }
    }
    for at in memchr::memmem::find_iter(text, b"EXPORT_SYMBOL") {
        let rest = &text[at..text.len().min(at + 200)];
        let Some(open) = memchr::memchr(b'(', rest) else { continue };
        let name = rest[open + 1..].split(|b| !lex::is_word_byte(*b)).next().unwrap_or_default();
        out.insert(name.into());
    }
    out
}

/// Whether the word occurs, not as a part of another.
pub fn contains_word(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(text, word).any(|i| {
        let before = i.checked_sub(1).and_then(|j| text.get(j));
        let after = text.get(i + word.len());
        ![before, after].into_iter().flatten().any(|b| b.is_ascii_alphanumeric() || *b == b'_')
    })
}

/// The only header of these, or the only one that is nearest to the folder.
fn nearest(tree: &SourceTree, dir: &str, headers: &[FileId]) -> Option<FileId> {
    let shared = |f: &FileId| {
        let common = dir.bytes().zip(tree.path(*f).bytes()).take_while(|(a, b)| a == b).count();
        dir.as_bytes()[..common].iter().filter(|b| **b == b'/').count()
    };
    let most = headers.iter().map(shared).max()?;
    let mut near = headers.iter().filter(|f| shared(f) == most);
    near.next().copied().filter(|_| near.next().is_none())
}

/// The architecture of a path.
fn arch_folder(path: &str) -> Option<&str> {
    path.strip_prefix("arch/").and_then(|r| r.split('/').next())
}

/// A path without its folders.
pub(super) fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, b)| b)
}

/// What a path must end with to be meant by the name in an include, from whatever folder.
pub(super) fn ending(name: &str) -> String {
    join("", name)
}

/// Whether a path is that, in some folder.
pub(super) fn ends_with(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('/'))
}

/// Joins a folder and a relative name, `..` resolved.
pub(super) fn join(dir: &str, name: &str) -> String {
    let dotted = |p: &str| p.starts_with('.') || p.contains("/.") || p.contains("//");
    if !dotted(name) && !dotted(dir) && !name.starts_with('/') && (dir.is_empty() || dir.ends_with('/')) {
        return [dir, name].concat();
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|p| !p.is_empty()).collect();
    for p in name.split('/') {
        match p {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    parts.join("/")
}
