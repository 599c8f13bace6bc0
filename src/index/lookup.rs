//! Where is it defined, who calls it, who touches the field: the questions of the custody analysis.

use super::{FileItems, FnRef, Index, lock};
use crate::source::{FileId, Name};
use crate::split::ItemKind;
use rustc_hash::FxHashMap;
use std::sync::Arc;

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
    fn is_public_header(&self, file: FileId) -> bool {
        let p = self.tree.path(file);
        p.ends_with(".h") && (p.starts_with("include/") || p.contains("/include/"))
    }

    /// Headers that `file` includes, directly, in order; those that are not found are left out.
    pub fn includes(&self, file: FileId) -> Vec<FileId> {
        let Some(items) = self.items(file) else { return Vec::new() };
        items
            .includes
            .get_or_init(|| {
                let dir = self.folder(file).to_string();
                let arch = self.arch_of(file);
                items
                    .items
                    .iter()
                    .filter(|it| it.kind == ItemKind::Include)
                    .filter_map(|it| self.resolve_include(&dir, &arch, &it.name))
                    .collect()
            })
            .clone()
    }

    fn arch_of(&self, file: FileId) -> String {
        let p = self.tree.path(file);
        p.strip_prefix("arch/").and_then(|r| r.split('/').next()).unwrap_or("x86").to_string()
    }

    fn resolve_include(&self, dir: &str, arch: &str, name: &str) -> Option<FileId> {
        let name = name.trim_matches(|c| matches!(c, '"' | '<' | '>'));
        let candidates = [
            join(dir, name),
            format!("include/{name}"),
            format!("arch/{arch}/include/{name}"),
            format!("include/uapi/{name}"),
            format!("arch/{arch}/include/uapi/{name}"),
        ];
        if let Some(f) = candidates.iter().find_map(|c| self.tree.lookup(c)) {
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

    /// The first item of this name and one of these kinds that `file` sees: in itself, then breadth-first through its
    /// includes. Bounded at 1500 headers (the largest driver of v6.12 sees about 1100).
    pub fn visible_item(&self, file: FileId, name: &str, kinds: &[ItemKind]) -> Option<(FileId, u32)> {
        let key = (file, Name::from(format!("{name}\0{kinds:?}")));
        if let Some(r) = lock(&self.defined_in).get(&key) {
            return *r;
        }
        let found = self.search_includes(file, name, kinds);
        lock(&self.defined_in).insert(key, found);
        found
    }

    fn search_includes(&self, file: FileId, name: &str, kinds: &[ItemKind]) -> Option<(FileId, u32)> {
        let fits = |it: &crate::split::Item| kinds.contains(&it.kind) && defines(it.kind, it);
        if let Some((i, _)) = self.items(file)?.named(name).find(|(_, it)| fits(it)) {
            return Some((file, i));
        }
        let closure = self.closure(file);
        let candidates = lock(&self.in_headers).get(name).cloned().unwrap_or_default();
        // The header that the search of the includes would meet first.
        let mut best: Option<(u32, FileId, u32)> = None;
        for (header, i) in candidates {
            let Some(&rank) = closure.get(&header) else { continue };
            if best.is_some_and(|(r, _, k)| (r, k) <= (rank, i)) {
                continue;
            }
            if self.items(header).is_some_and(|h| h.items.get(i as usize).is_some_and(fits)) {
                best = Some((rank, header, i));
            }
        }
        best.map(|(_, header, i)| (header, i))
    }

    /// Headers that a file sees, breadth-first, with their rank.
    fn closure(&self, file: FileId) -> Arc<FxHashMap<FileId, u32>> {
        if let Some(c) = lock(&self.closures).get(&file) {
            return c.clone();
        }
        let mut rank: FxHashMap<FileId, u32> = FxHashMap::default();
        rank.insert(file, 0);
        let mut queue = std::collections::VecDeque::from([file]);
        while let Some(f) = queue.pop_front() {
            if rank.len() > 1500 {
                break;
            }
            for h in self.includes(f) {
                let next = rank.len() as u32;
                if let std::collections::hash_map::Entry::Vacant(slot) = rank.entry(h) {
                    slot.insert(next);
                    queue.push_back(h);
                }
            }
        }
        // Split what is left, so that its names are known.
        for h in &queue {
            self.items(*h);
        }
        let rank = Arc::new(rank);
        lock(&self.closures).insert(file, rank.clone());
        rank
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

    /// The function of this name that other files of the folder can call.
    fn exported_in(&self, folder: &str, name: &str) -> Option<FnRef> {
        for f in self.tree.below(folder) {
            // The same folder only, not what lies below: that is another module.
            if self.folder(f) != folder {
                continue;
            }
            let Ok(text) = self.tree.read(f) else { continue };
            if memchr::memmem::find(&text, name.as_bytes()).is_none() {
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
        let exported = items.items.iter().any(|it| {
            it.kind != ItemKind::Function
                && it.name.starts_with("EXPORT_SYMBOL")
                && contains_word(it.span.of(&items.text), item.name.as_bytes())
        }) || export_of(&items, &item.name);
        let core = ["mm/", "kernel/", "fs/", "block/", "lib/", "net/core/", "virt/"]
            .iter()
            .any(|p| self.tree.path(f.file).starts_with(p));
        if exported || core { Reach::Tree } else { Reach::Folder }
    }

    /// Functions of one file whose body names `word`.
    pub fn naming(&self, file: FileId, word: &str) -> Vec<FnRef> {
        let Some(items) = self.items(file) else { return Vec::new() };
        items
            .bodies()
            .iter()
            .enumerate()
            .filter(|(_, b)| b.as_ref().is_some_and(|b| has(&b.idents, word)))
            .map(|(i, _)| FnRef { file, item: i as u32 })
            .collect()
    }

    /// Functions of one file that touch a field of this name.
    pub fn touching(&self, file: FileId, field: &str) -> Vec<FnRef> {
        let Some(items) = self.items(file) else { return Vec::new() };
        items
            .bodies()
            .iter()
            .enumerate()
            .filter(|(_, b)| b.as_ref().is_some_and(|b| has(&b.fields, field)))
            .map(|(i, _)| FnRef { file, item: i as u32 })
            .collect()
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

fn has(sorted: &[Name], word: &str) -> bool {
    sorted.binary_search_by(|n| (**n).cmp(word)).is_ok()
}

/// A declaration without body (`struct foo;`) defines nothing.
fn defines(kind: ItemKind, item: &crate::split::Item) -> bool {
    match kind {
        ItemKind::Struct | ItemKind::Union | ItemKind::Function => item.body.is_some(),
        _ => true,
    }
}

/// `EXPORT_SYMBOL(name)`, `EXPORT_SYMBOL_GPL(name)`, …
fn export_of(items: &Arc<FileItems>, name: &str) -> bool {
    memchr::memmem::find_iter(&items.text, b"EXPORT_SYMBOL").any(|at| {
        let rest = &items.text[at..items.text.len().min(at + 200)];
        let Some(open) = memchr::memchr(b'(', rest) else { return false };
        let arg = &rest[open + 1..];
        arg.starts_with(name.as_bytes())
            && arg.get(name.len()).is_some_and(|b| !b.is_ascii_alphanumeric() && *b != b'_')
    })
}

fn contains_word(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(text, word).any(|i| {
        let before = i.checked_sub(1).and_then(|j| text.get(j));
        let after = text.get(i + word.len());
        ![before, after].into_iter().flatten().any(|b| b.is_ascii_alphanumeric() || *b == b'_')
    })
}

/// Joins a folder and a relative name, `..` resolved.
fn join(dir: &str, name: &str) -> String {
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
