//! The tree, as far as somebody asked for it: items, functions and structs of the files that matter.
//!
//! Demand-driven: a file is read and split when a name leads to it, a function is parsed when it holds something of
//! interest. There is no table of all symbols of the tree. Answers do not depend on the order of the questions, except
//! for cost. It knows nothing of pages.

mod homes;
mod lookup;
mod member;
mod scope;
mod seen;
mod set;

pub use lookup::Reach;
pub use lookup::contains_word;
pub use member::{Asked, Held};
pub use scope::{Scope, outer_tag};

use crate::ast::{Function, StructDef};
use crate::discover::SourceTree;
use crate::kernel::prototypes::Prototypes;
use crate::parse::Parser;
use crate::program::Program;
use crate::source::{FileId, LineMap, Loc, Name, Span};
use crate::split::{As, Item, ItemKind, ItemKinds, may_mention, may_touch, mentions, split, split_header};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use set::FileSet;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock};

/// A function of the tree: file, and position of its item in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FnRef {
    /// The file.
    pub file: FileId,
    /// Index in [`FileItems::items`].
    pub item: u32,
}

/// A file, cut into top-level items.
#[derive(Debug)]
pub struct FileItems {
    /// Its bytes.
    pub text: Arc<[u8]>,
    /// Its items, in order. Of a header, constants are left out: registers are most of the headers of some drivers.
    pub items: Vec<Item>,
    lines: OnceLock<LineMap>,
    /// Items in the order of their names, when somebody asked: of most headers nobody does.
    by_name: OnceLock<Vec<u32>>,
    /// The file makes numbers of pages, and pages of numbers.
    numbers: OnceLock<bool>,
    exports: OnceLock<FxHashSet<Box<[u8]>>>,
}

impl FileItems {
    fn new(text: Arc<[u8]>, header: bool) -> Self {
        let mut items = if header { split_header(&text) } else { split(&text) };
        items.shrink_to_fit();
        let (lines, by_name) = (OnceLock::new(), OnceLock::new());
        Self { text, items, lines, by_name, numbers: OnceLock::new(), exports: OnceLock::new() }
    }
    /// Items of this name, in order.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (u32, &Item)> {
        let name_of = |i: u32| &*self.items[i as usize].name;
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name: Vec<u32> = (0..self.items.len() as u32).collect();
            by_name.sort_by(|a, b| name_of(*a).cmp(name_of(*b)));
            by_name
        });
        let first = by_name.partition_point(|&i| name_of(i) < name);
        by_name[first..].iter().take_while(move |&&i| name_of(i) == name).map(|&i| (i, &self.items[i as usize]))
    }
    /// The function definition of this name.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.named(name).find(|(_, it)| it.kind == ItemKind::Function).map(|(i, _)| i)
    }
    /// Names that the file exports.
    fn exports(&self) -> &FxHashSet<Box<[u8]>> {
        self.exports.get_or_init(|| lookup::exports(self))
    }
    /// Line starts.
    pub fn lines(&self) -> &LineMap {
        self.lines.get_or_init(|| LineMap::new(&self.text))
    }
    /// Whether the body of item `i` calls a function for which `f` holds.
    pub fn calls_any(&self, i: u32, f: &dyn Fn(&str) -> bool) -> bool {
        self.holds_any(i, As::Call, f)
    }
    /// Whether the body of item `i` has a word for which `f` holds.
    pub fn names_any(&self, i: u32, f: &dyn Fn(&str) -> bool) -> bool {
        self.holds_any(i, As::Word, f)
    }
    fn holds_any(&self, i: u32, how: As, f: &dyn Fn(&str) -> bool) -> bool {
        let Some(body) = self.items.get(i as usize).filter(|it| it.kind == ItemKind::Function).and_then(|it| it.body)
        else {
            return false;
        };
        let mut found = false;
        mentions(&self.text, body, how, &mut |w, _| {
            found = std::str::from_utf8(w).is_ok_and(f);
            found
        });
        found
    }
    /// How often a word is named as a value: in functions, in initialisers and in macros.
    pub fn values(&self, word: &str) -> usize {
        let mut count = 0;
        let mut done = 0;
        for at in memchr::memmem::find_iter(&self.text, word.as_bytes()) {
            let at = at as u32;
            let Some(i) = self.items.partition_point(|it| it.span.start <= at).checked_sub(1) else { continue };
            let item = &self.items[i];
            let inside = match (item.kind, item.body) {
                (ItemKind::Function, Some(body)) => body,
                (ItemKind::Variable | ItemKind::Define, _) => Span { start: item.name_span.end, end: item.span.end },
                _ => continue,
            };
            if at < done || !inside.contains(Span { start: at, end: at }) {
                continue;
            }
            done = inside.end;
            mentions(&self.text, inside, As::Value, &mut |w, _| {
                count += usize::from(w == word.as_bytes());
                false
            });
        }
        count
    }
    /// Functions with any of the texts in their body, ascending: a quick look before their words are read.
    pub fn holding(&self, parts: &[String]) -> Vec<u32> {
        let function_at = |at: usize| {
            let at = at as u32;
            let i = self.items.partition_point(|it| it.span.start <= at).checked_sub(1)?;
            let body = self.items[i].body.filter(|_| self.items[i].kind == ItemKind::Function)?;
            body.contains(Span { start: at, end: at }).then_some(i as u32)
        };
        let places = parts.iter().flat_map(|p| memchr::memmem::find_iter(&self.text, p.as_bytes()));
        let mut functions: Vec<u32> = places.filter_map(function_at).collect();
        functions.sort_unstable();
        functions.dedup();
        functions
    }
    /// Functions whose body holds the word in the given way, in order.
    pub fn mentioning(&self, word: &str, how: As) -> Vec<u32> {
        let mut out = Vec::new();
        let mut done = 0;
        for at in memchr::memmem::find_iter(&self.text, word.as_bytes()) {
            if at < done {
                continue;
            }
            let at = at as u32;
            let Some(i) = self.items.partition_point(|it| it.span.start <= at).checked_sub(1) else { continue };
            let item = &self.items[i];
            let (ItemKind::Function, Some(body)) = (item.kind, item.body) else { continue };
            if !body.contains(Span { start: at, end: at }) || !may_mention(&self.text, at as usize, word.len(), how) {
                continue;
            }
            // One look at the tokens of the function settles all that it holds.
            done = body.end as usize;
            let mut found = false;
            mentions(&self.text, body, how, &mut |w, _| {
                found |= w == word.as_bytes();
                found
            });
            if found {
                out.push(i as u32);
            }
        }
        out
    }
    /// Whether function `i` may touch the field of a struct with this tag.
    fn may_touch(&self, i: u32, field: &str, tag: &str) -> bool {
        let item = &self.items[i as usize];
        item.body.is_none_or(|body| may_touch(&self.text, item.span, body, field.as_bytes(), tag.as_bytes()))
    }
}

/// A file, and the position of an item in it.
type ItemRef = (FileId, u32);

/// What a file includes directly.
struct Included {
    /// Headers, in order.
    headers: Box<[FileId]>,
    /// Those among them for which another header of that name may be meant.
    guessed: Box<[FileId]>,
}

/// What a file includes, directly or not.
struct Closure {
    /// Headers, ascending. A run has some thousand of these lists with up to 1500 entries.
    headers: Box<[FileId]>,
    /// The place of each in the order of the search.
    ranks: Box<[u16]>,
    /// Those that it may not include, ascending: another header of that name can be meant.
    unsure: Box<[FileId]>,
    /// All of them are split.
    split: OnceLock<()>,
}

impl Closure {
    fn headers(&self) -> impl Iterator<Item = FileId> {
        self.headers.iter().copied()
    }
    fn rank(&self, header: FileId) -> Option<u16> {
        self.headers.binary_search(&header).ok().map(|i| self.ranks[i])
    }
}

/// Items of one name. Most names have one, which needs no memory of its own.
struct Namesakes {
    first: ItemRef,
    /// Boxed, because there are hundred thousand names and few of these.
    #[allow(clippy::box_collection)]
    others: Option<Box<Vec<ItemRef>>>,
}

impl Namesakes {
    fn iter(&self) -> impl Iterator<Item = ItemRef> {
        std::iter::once(self.first).chain(self.others.iter().flat_map(|o| o.iter().copied()))
    }
}

/// The index.
#[allow(clippy::type_complexity)]
pub struct Index {
    /// The files.
    pub tree: SourceTree,
    prototypes: Prototypes,
    files: Vec<OnceLock<Option<Arc<FileItems>>>>,
    functions: Mutex<FxHashMap<FnRef, Option<Arc<Function>>>>,
    structs: Mutex<FxHashMap<(FileId, Name), Option<Arc<StructDef>>>>,
    defined_in: Mutex<FxHashMap<(FileId, ItemKinds), FxHashMap<Box<str>, Option<ItemRef>>>>,
    unreadable: Mutex<Vec<(String, String)>>,
    /// Headers that a file includes directly.
    includes: Vec<OnceLock<Included>>,
    /// What `<…>` means in any file, by number of the text: a header of `include/`.
    angles: Vec<OnceLock<Option<FileId>>>,
    /// Headers by their name without folders, when somebody asked.
    headers: OnceLock<FxHashMap<Box<str>, Vec<FileId>>>,
    /// C files that include C files, when somebody asked.
    units: OnceLock<seen::Units>,
    /// Includes turned round, when somebody asked.
    seen: OnceLock<seen::Seen>,
    seen_by: Mutex<FxHashMap<FileId, Option<Arc<Vec<FileId>>>>>,
    /// Homes of structs that are no items, by file and tag.
    inner: Mutex<FxHashMap<FileId, FxHashMap<Box<str>, Option<FileId>>>>,
    seen_of_tag: Mutex<FxHashMap<Box<str>, Option<Arc<Vec<FileId>>>>>,
    /// Items of all headers that were split, by name.
    in_headers: Mutex<FxHashMap<Name, Namesakes>>,
    /// What a file includes, directly or not: header and its place in the order of the search.
    closures: Mutex<FxHashMap<FileId, Arc<Closure>>>,
    /// Exported functions of a folder, by folder and name.
    in_folder: Mutex<FxHashMap<(String, Name), Option<FnRef>>>,
}

impl Index {
    /// An empty index over a tree, with the prototypes of its headers.
    pub fn new(tree: SourceTree, prototypes: Prototypes) -> Self {
        Self {
            files: (0..tree.len()).map(|_| OnceLock::new()).collect(),
            includes: (0..tree.len()).map(|_| OnceLock::new()).collect(),
            angles: (0..tree.include_texts()).map(|_| OnceLock::new()).collect(),
            tree,
            prototypes,
            functions: Mutex::default(),
            structs: Mutex::default(),
            defined_in: Mutex::default(),
            unreadable: Mutex::default(),
            headers: OnceLock::new(),
            units: OnceLock::new(),
            seen: OnceLock::new(),
            seen_by: Mutex::default(),
            inner: Mutex::default(),
            seen_of_tag: Mutex::default(),
            in_headers: Mutex::default(),
            closures: Mutex::default(),
            in_folder: Mutex::default(),
        }
    }

    /// The items of a file; `None` if it cannot be read (which is counted).
    pub fn items(&self, file: FileId) -> Option<Arc<FileItems>> {
        self.files.get(file.0 as usize)?.get_or_init(|| self.split_file(file)).clone()
    }

    fn split_file(&self, file: FileId) -> Option<Arc<FileItems>> {
        let header = self.tree.path(file).ends_with(".h");
        let items = match self.tree.read(file) {
            Ok(text) => match FileItems::new(text, header) {
                // Nothing but constants: 417 headers of v6.12, 9 MB.
                items if header && items.items.is_empty() => {
                    self.tree.forget(file);
                    FileItems { text: Arc::from(&b""[..]), ..items }
                }
                items => items,
            },
            Err(e) => {
                lock(&self.unreadable).push((self.tree.path(file).to_string(), e.to_string()));
                return None;
            }
        };
        if header {
            let mut names = lock(&self.in_headers);
            for (i, item) in items.items.iter().enumerate() {
                if !item.name.is_empty() {
                    let this = (file, i as u32);
                    match names.entry(item.name.clone()) {
                        Entry::Vacant(e) => {
                            e.insert(Namesakes { first: this, others: None });
                        }
                        Entry::Occupied(mut e) => e.get_mut().others.get_or_insert_default().push(this),
                    }
                }
            }
        }
        Some(Arc::new(items))
    }

    /// Splits files in parallel, so that later questions find them.
    pub fn load(&self, files: &[FileId]) {
        // A few large files take most of the time: none shall wait in the part of a thread that is busy.
        files.par_iter().with_max_len(1).for_each(|&f| {
            self.items(f);
        });
    }

    /// Splits files with all headers that they see, in parallel.
    pub fn load_with_headers(&self, files: &[FileId]) {
        let mut closures: Vec<_> = files.par_iter().with_max_len(1).map(|&f| self.closure(f)).collect();
        closures.retain(|c| c.split.get().is_none());
        let mut all = FileSet::new(self.tree.len());
        for header in closures.iter().flat_map(|c| c.headers()) {
            all.insert(header);
        }
        self.load(&all.iter().collect::<Vec<_>>());
        for c in closures {
            c.split.get_or_init(|| ());
        }
    }

    /// The parsed function.
    pub fn parsed(&self, f: FnRef) -> Option<Arc<Function>> {
        if let Some(p) = lock(&self.functions).get(&f) {
            return p.clone();
        }
        let items = self.items(f.file)?;
        let item = items.items.get(f.item as usize)?;
        thread_local! {
            static PARSER: std::cell::RefCell<Parser> = std::cell::RefCell::new(Parser::new());
        }
        let parsed = PARSER.with_borrow_mut(|p| p.function(&items.text, item)).map(Arc::new);
        lock(&self.functions).entry(f).or_insert(parsed).clone()
    }

    /// Number of functions parsed so far.
    pub fn parsed_count(&self) -> usize {
        lock(&self.functions).len()
    }

    /// Functions parsed so far that have damage, by path and place.
    pub fn damaged(&self) -> Vec<(FileId, Name, Span)> {
        let mut v: Vec<_> = lock(&self.functions)
            .iter()
            .filter_map(|(r, f)| f.as_ref().map(|f| (r, f)))
            .filter(|(_, f)| !f.damage.is_empty())
            .map(|(r, f)| (r.file, f.name.clone(), f.span))
            .collect();
        v.sort();
        v
    }

    /// Files that could not be read, with the error, by path.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        let mut v = lock(&self.unreadable).clone();
        v.sort();
        v
    }

    /// Parameter names of a function of the tree's headers.
    pub fn prototype(&self, name: &str) -> Option<Vec<String>> {
        self.prototypes.names(name)
    }

    /// The name of a function.
    pub fn name(&self, f: FnRef) -> Name {
        self.items(f.file)
            .and_then(|i| i.items.get(f.item as usize).map(|it| it.name.clone()))
            .unwrap_or_else(|| "".into())
    }

    /// 1-based line of a place.
    pub fn line(&self, at: Loc) -> u32 {
        self.items(at.file).map_or(0, |i| i.lines().line(at.span.start))
    }
}

/// Locks; a panic of another thread while it held the lock leaves the data usable.
pub(crate) fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Program for Index {
    fn path(&self, file: FileId) -> &str {
        self.tree.path(file)
    }
    fn text(&self, file: FileId) -> Arc<[u8]> {
        self.items(file).map_or_else(|| Arc::from(&b""[..]), |i| i.text.clone())
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        let items = self.items(at.file)?;
        let i = items.items.iter().position(|it| it.kind == ItemKind::Function && it.span.contains(at.span))?;
        self.parsed(FnRef { file: at.file, item: i as u32 })
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        let r = self.definition_near(from, name)?;
        self.parsed(r).map(|f| (r.file, f))
    }
    fn structure(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>> {
        self.struct_def(from, tag)
    }
    fn parameters(&self, name: &str) -> Option<Vec<String>> {
        self.prototype(name)
    }
    fn naming_nearby(&self, from: FileId, name: &str) -> Vec<FileId> {
        let files = self.same_folder(self.folder(from));
        self.tree.grep(&[name], Some(&files)).into_iter().map(|h| h.0).collect()
    }
}
