//! The tree, as far as somebody asked for it: items, functions and structs of the files that matter.
//!
//! Demand-driven: a file is read and split when a name leads to it, a function is parsed when it holds something of
//! interest. There is no table of all symbols of the tree. Answers do not depend on the order of the questions, except
//! for cost. It knows nothing of pages.

mod lookup;
mod scope;

pub use lookup::Reach;
pub use scope::{Scope, outer_tag};

use crate::ast::{Function, StructDef};
use crate::discover::SourceTree;
use crate::kernel::prototypes::Prototypes;
use crate::parse::Parser;
use crate::program::Program;
use crate::source::{FileId, LineMap, Loc, Name, Span};
use crate::split::{BodyIndex, Item, ItemKind, split};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
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
    /// Its items, in order.
    pub items: Vec<Item>,
    /// Line starts.
    pub lines: LineMap,
    by_name: FxHashMap<Name, Vec<u32>>,
    bodies: OnceLock<Vec<Option<BodyIndex>>>,
    includes: OnceLock<Vec<FileId>>,
    /// The file makes numbers of pages, and pages of numbers.
    numbers: OnceLock<bool>,
}

impl FileItems {
    fn new(text: Arc<[u8]>) -> Self {
        let items = split(&text);
        let lines = LineMap::new(&text);
        let mut by_name: FxHashMap<Name, Vec<u32>> = FxHashMap::default();
        for (i, item) in items.iter().enumerate() {
            by_name.entry(item.name.clone()).or_default().push(i as u32);
        }
        Self {
            text,
            items,
            lines,
            by_name,
            bodies: OnceLock::new(),
            includes: OnceLock::new(),
            numbers: OnceLock::new(),
        }
    }
    /// Items of this name, in order.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (u32, &Item)> {
        self.by_name.get(name).into_iter().flatten().map(|&i| (i, &self.items[i as usize]))
    }
    /// The function definition of this name.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.named(name).find(|(_, it)| it.kind == ItemKind::Function).map(|(i, _)| i)
    }
    /// Words of each function body, by item; `None` for items that are no functions.
    pub fn bodies(&self) -> &[Option<BodyIndex>] {
        self.bodies.get_or_init(|| {
            self.items
                .iter()
                .map(|it| match (it.kind, it.body) {
                    (ItemKind::Function, Some(body)) => Some(BodyIndex::new(&self.text, body)),
                    _ => None,
                })
                .collect()
        })
    }
}

/// A file, and the position of an item in it.
type ItemRef = (FileId, u32);

/// The index.
#[allow(clippy::type_complexity)]
pub struct Index {
    /// The files.
    pub tree: SourceTree,
    prototypes: Prototypes,
    files: Mutex<FxHashMap<FileId, Option<Arc<FileItems>>>>,
    functions: Mutex<FxHashMap<FnRef, Option<Arc<Function>>>>,
    structs: Mutex<FxHashMap<(FileId, Name), Option<Arc<StructDef>>>>,
    defined_in: Mutex<FxHashMap<(FileId, Name), Option<ItemRef>>>,
    unreadable: Mutex<Vec<(String, String)>>,
    /// Items of all headers that were split, by name.
    in_headers: Mutex<FxHashMap<Name, Vec<ItemRef>>>,
    /// What a file includes, directly or not: header and its place in the order of the search.
    closures: Mutex<FxHashMap<FileId, Arc<FxHashMap<FileId, u32>>>>,
    /// Exported functions of a folder, by folder and name.
    in_folder: Mutex<FxHashMap<(String, Name), Option<FnRef>>>,
}

impl Index {
    /// An empty index over a tree, with the prototypes of its headers.
    pub fn new(tree: SourceTree, prototypes: Prototypes) -> Self {
        Self {
            tree,
            prototypes,
            files: Mutex::default(),
            functions: Mutex::default(),
            structs: Mutex::default(),
            defined_in: Mutex::default(),
            unreadable: Mutex::default(),
            in_headers: Mutex::default(),
            closures: Mutex::default(),
            in_folder: Mutex::default(),
        }
    }

    /// The items of a file; `None` if it cannot be read (which is counted).
    pub fn items(&self, file: FileId) -> Option<Arc<FileItems>> {
        if let Some(f) = lock(&self.files).get(&file) {
            return f.clone();
        }
        let items = match self.tree.read(file) {
            Ok(text) => Some(Arc::new(FileItems::new(text))),
            Err(e) => {
                lock(&self.unreadable).push((self.tree.path(file).to_string(), e.to_string()));
                None
            }
        };
        let mut files = lock(&self.files);
        if let Some(have) = files.get(&file) {
            return have.clone();
        }
        if let Some(items) = &items
            && self.tree.path(file).ends_with(".h")
        {
            let mut names = lock(&self.in_headers);
            for (i, item) in items.items.iter().enumerate() {
                if !item.name.is_empty() && !matches!(item.kind, ItemKind::Include | ItemKind::Preproc) {
                    names.entry(item.name.clone()).or_default().push((file, i as u32));
                }
            }
        }
        files.insert(file, items.clone());
        items
    }

    /// Splits files in parallel, so that later questions find them.
    pub fn load(&self, files: &[FileId]) {
        let missing: Vec<FileId> = {
            let have = lock(&self.files);
            files.iter().copied().filter(|f| !have.contains_key(f)).collect()
        };
        missing.par_iter().for_each(|&f| {
            self.items(f);
        });
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
        self.items(at.file).map_or(0, |i| i.lines.line(at.span.start))
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
}
