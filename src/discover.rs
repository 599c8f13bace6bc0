//! Finds the C files of a kernel tree, reads them, and searches them for words.
//!
//! The only hop that touches the disk. In a git checkout the files are those of the index (tracked files; a file that
//! was never added is not seen), else those that a walk finds. It deliberately knows no C: a search compares bytes.
//! All results are sorted by path, so they do not depend on the number of threads.
//!
//! Numbers behind the choices, v5.2.1 with a warm cache: reading into a reused buffer takes 0.18 s for all 691 MB,
//! mapping the files 1.26 s; searching for one literal adds 0.01 s.

mod finder;
mod gitindex;
mod reader;
mod sketch;
mod survey;

use crate::source::FileId;
use finder::Finder;
use ignore::{WalkBuilder, WalkState};
use rayon::slice::ParallelSliceMut;
use reader::{Look, Reader, Text};
use rustc_hash::FxHashMap;
use sketch::Grams;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use survey::Survey;

/// Top-level folders of a kernel tree that hold no kernel code: their C runs in user space, or never.
pub static NOT_KERNEL: &[&str] = &["Documentation", "scripts", "tools"];

/// Bytes of hits that searches leave in the cache. The files that pin pages have 23 MB in v6.12; a search for a common
/// word must not keep half of the tree.
const KEEP: usize = 32 << 20;

/// Files that a thread takes at a time, in a search of many.
const BATCH: usize = 32;

/// The least that it takes.
const LEAST: usize = 8;

/// What is listed, and how many threads work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Also list the folders of [`NOT_KERNEL`].
    pub include_non_kernel: bool,
    /// Threads for listing and searching; 0 takes one a processor.
    pub threads: usize,
}

/// Why a tree could not be opened.
#[derive(thiserror::Error, Debug)]
pub enum DiscoverError {
    /// The root is missing or cannot be read.
    #[error("cannot read {path}: {source}")]
    Root {
        /// The path as given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The root is no folder.
    #[error("{0} is not a folder")]
    NotAFolder(String),
    /// No `.c` or `.h` file below the root.
    #[error("no C files below {0}")]
    Empty(String),
}

/// The C files of a tree.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    /// All paths behind each other, ascending. One allocation instead of 60 000.
    names: String,
    /// Ends of the paths in `names`.
    ends: Vec<u32>,
    skipped: Vec<String>,
    from_git: bool,
    threads: usize,
    unreadable: Mutex<BTreeMap<String, String>>,
    /// Tables of which only beginning and end were read.
    tables: AtomicUsize,
    cache: Mutex<Cache>,
    /// Searches of some files that were made, by files and words.
    searched: Mutex<FxHashMap<Question, Hits>>,
    /// Those that no thread reads with.
    readers: Mutex<Vec<Reader>>,
    survey: OnceLock<Survey>,
    /// Files by the hash of their path; half of it is free.
    table: OnceLock<Vec<u32>>,
}

/// Files that are searched, and the words.
type Question = (Box<[FileId]>, Box<[Box<str>]>);

/// Files, and which of the words each one has.
type Hits = Vec<(FileId, Vec<usize>)>;

/// Searches of fewer files are not worth remembering, those of more are not asked twice. One of the 1267 files that
/// see `struct ttm_tt` of v6.12 takes 4 ms, and was made eight times.
const REMEMBERED: std::ops::Range<usize> = 100..5000;

#[derive(Debug, Default)]
struct Cache {
    files: FxHashMap<FileId, Arc<[u8]>>,
    bytes: usize,
}

/// What is done with a file: notes, its index in the search, itself and its bytes; whether to keep the bytes.
type Visit<'a, T> = dyn Fn(&mut T, usize, FileId, &[u8]) -> bool + Sync + 'a;

/// What is done with the pieces of a large file: notes, itself and its lines; what else is to be read of it.
type Glance<'a, T> = dyn Fn(&mut T, FileId, &[u8]) -> Look + Sync + 'a;

/// A poisoned lock only says that another thread panicked; the maps behind ours are valid at any time.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SourceTree {
    /// Lists the tree at `root`.
    ///
    /// # Errors
    /// When `root` is no readable folder or holds no C file. Unreadable folders below it are listed in
    /// [`SourceTree::unreadable`] instead.
    pub fn open(root: &Path, options: &Options) -> Result<Self, DiscoverError> {
        let shown = || root.display().to_string();
        let meta = std::fs::metadata(root).map_err(|source| DiscoverError::Root { path: shown(), source })?;
        if !meta.is_dir() {
            return Err(DiscoverError::NotAFolder(shown()));
        }
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let mut listing = Listing { skip: !options.include_non_kernel, ..Listing::default() };
        let from_git = match gitindex::tracked(root) {
            Some(paths) => {
                paths.into_iter().for_each(|p| listing.add(p));
                true
            }
            None => {
                walk(root, threads, &mut listing);
                false
            }
        };
        let Listing { mut files, mut skipped, unreadable, .. } = listing;
        files.par_sort_unstable();
        skipped.sort_unstable();
        skipped.dedup();
        if files.is_empty() {
            return Err(DiscoverError::Empty(shown()));
        }
        let mut names = String::with_capacity(files.iter().map(String::len).sum());
        let mut ends = Vec::with_capacity(files.len());
        for f in files {
            names.push_str(&f);
            ends.push(names.len() as u32);
        }
        Ok(Self {
            root: root.to_path_buf(),
            names,
            ends,
            skipped,
            from_git,
            threads,
            unreadable: Mutex::new(unreadable),
            tables: AtomicUsize::new(0),
            cache: Mutex::default(),
            searched: Mutex::default(),
            readers: Mutex::default(),
            survey: OnceLock::new(),
            table: OnceLock::new(),
        })
    }

    /// The folder that was opened.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Number of files; ids run from 0 to one below.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Whether there is no file; [`SourceTree::open`] never returns such a tree.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// All files, ascending.
    pub fn files(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.ends.len() as u32).map(FileId)
    }
    /// Top-level folders that were passed over as no kernel code, ascending.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
    /// Whether the list is that of the git index: untracked files are not in it.
    pub fn from_git(&self) -> bool {
        self.from_git
    }
    /// Files and folders that could not be read so far, with what the system said, ascending. Searches add to it.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        lock(&self.unreadable).iter().map(|(a, b)| (a.clone(), b.clone())).collect()
    }
    /// Tables of constants that the survey has not read to their end.
    pub fn tables(&self) -> usize {
        self.tables.load(Ordering::Relaxed)
    }
    /// Path relative to the root, `/` between components; empty for an id that is none of this tree.
    pub fn path(&self, file: FileId) -> &str {
        let i = file.0 as usize;
        let start = i.checked_sub(1).and_then(|k| self.ends.get(k)).copied().unwrap_or(0);
        self.ends.get(i).and_then(|&end| self.names.get(start as usize..end as usize)).unwrap_or("")
    }
    /// The file with exactly this path.
    pub fn lookup(&self, path: &str) -> Option<FileId> {
        // Headers are looked up a million times a run: a table of hashes takes a tenth of the time of a search.
        let table = self.table.get_or_init(|| {
            let mut table = vec![u32::MAX; (self.ends.len() * 2).next_power_of_two()];
            for f in self.files() {
                let mut at = slot(self.path(f), table.len());
                while table[at] != u32::MAX {
                    at = (at + 1) % table.len();
                }
                table[at] = f.0;
            }
            table
        });
        let mut at = slot(path, table.len());
        while table[at] != u32::MAX {
            let file = FileId(table[at]);
            if self.path(file) == path {
                return (!path.is_empty()).then_some(file);
            }
            at = (at + 1) % table.len();
        }
        None
    }
    /// Number of paths at the front of the list for which `less` holds.
    fn bound(&self, less: impl Fn(&str) -> bool) -> u32 {
        let (mut lo, mut hi) = (0, self.ends.len() as u32);
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            if less(self.path(FileId(mid))) { lo = mid + 1 } else { hi = mid }
        }
        lo
    }
    /// The files whose path starts with `prefix`, ascending: `drivers/gpu/` gives a folder with all below it.
    pub fn below(&self, prefix: &str) -> Vec<FileId> {
        let first = self.bound(|p| p < prefix);
        (first..self.ends.len() as u32).map(FileId).take_while(|f| self.path(*f).starts_with(prefix)).collect()
    }

    /// The bytes of a file. Kept, so that every later call gives the same bytes.
    ///
    /// # Errors
    /// What the system said; the file is then also in [`SourceTree::unreadable`].
    pub fn read(&self, file: FileId) -> io::Result<Arc<[u8]>> {
        if let Some(b) = lock(&self.cache).files.get(&file) {
            return Ok(b.clone());
        }
        let mut reader = self.reader();
        let bytes: Arc<[u8]> = reader.read(&self.root, self.path(file)).map_err(|e| self.fails(file, e))?.into();
        self.put_back(reader);
        Ok(self.keep(file, bytes, usize::MAX))
    }

    fn reader(&self) -> Reader {
        lock(&self.readers).pop().unwrap_or_default()
    }

    fn put_back(&self, mut reader: Reader) {
        reader.shrink();
        lock(&self.readers).push(reader);
    }

    /// Puts bytes into the cache unless that would exceed `limit`. The first bytes of a file stay.
    fn keep(&self, file: FileId, bytes: Arc<[u8]>, limit: usize) -> Arc<[u8]> {
        let mut cache = lock(&self.cache);
        if let Some(b) = cache.files.get(&file) {
            return b.clone();
        }
        if cache.bytes.saturating_add(bytes.len()) <= limit {
            cache.bytes += bytes.len();
            cache.files.insert(file, bytes.clone());
        }
        bytes
    }

    /// Lets go of the bytes of a file, of which nobody will ask for anything.
    pub fn forget(&self, file: FileId) {
        let mut cache = lock(&self.cache);
        if let Some(bytes) = cache.files.remove(&file) {
            cache.bytes -= bytes.len();
        }
    }

    /// Notes that a file could not be read.
    fn fails(&self, file: FileId, e: io::Error) -> io::Error {
        lock(&self.unreadable).insert(self.path(file).to_owned(), e.to_string());
        e
    }

    /// The files that contain any of the needles as a whole word, with the indices of those needles, ascending.
    ///
    /// Needles are identifiers. `within` narrows the search to these files. Reads every file once, in parallel; files
    /// that cannot be read are added to [`SourceTree::unreadable`].
    pub fn grep(&self, needles: &[&str], within: Option<&[FileId]>) -> Vec<(FileId, Vec<usize>)> {
        let known = |i: &usize| within.is_none() && self.surveyed(needles[*i]).is_some();
        let (known, open): (Vec<usize>, Vec<usize>) = (0..needles.len()).partition(known);
        let words: Vec<&str> = open.iter().map(|&i| needles[i]).collect();
        let question = within
            .filter(|files| REMEMBERED.contains(&files.len()))
            .map(|files| -> Question { (files.into(), words.iter().map(|w| Box::from(*w)).collect()) });
        if let Some(hits) = question.as_ref().and_then(|q| lock(&self.searched).get(q).cloned()) {
            return hits;
        }
        let hits = self.search(&Finder::new(&words, true), within);
        if let Some(q) = question {
            lock(&self.searched).insert(q, hits.clone());
        }
        if known.is_empty() {
            return hits;
        }
        let mut pairs: Vec<(FileId, usize)> = Vec::new();
        for i in known {
            pairs.extend(self.surveyed(needles[i]).unwrap_or_default().iter().map(|f| (*f, i)));
        }
        pairs.extend(hits.iter().flat_map(|(f, which)| which.iter().map(|&w| (*f, open[w]))));
        pairs.sort_unstable();
        pairs.chunk_by(|a, b| a.0 == b.0).map(|c| (c[0].0, c.iter().map(|p| p.1).collect())).collect()
    }

    /// Like [`SourceTree::grep`], but a needle may also be part of a longer word.
    pub fn grep_part(&self, needles: &[&str], within: Option<&[FileId]>) -> Vec<(FileId, Vec<usize>)> {
        self.search(&Finder::new(needles, false), within)
    }

    fn search(&self, finder: &Finder, within: Option<&[FileId]>) -> Vec<(FileId, Vec<usize>)> {
        let count = within.map_or(self.ends.len(), <[FileId]>::len);
        if finder.needles.is_empty() || count == 0 {
            return Vec::new();
        }
        let grams: Vec<Grams> = finder.needles.iter().map(|n| Grams::of(n)).collect();
        let visit = |mine: &mut Vec<(FileId, Vec<usize>)>, _, file, text: &[u8]| {
            let hits = finder.find(text, &self.may_be_in(file, &grams));
            let found = !hits.is_empty();
            if found {
                mine.push((file, hits));
            }
            found
        };
        // What has no braces has no function: half of the bytes of v6.12 are tables of register names.
        let pick = |i: usize| {
            let file = match within {
                Some(w) => w[i],
                None => Some(FileId(i as u32)).filter(|f| self.has_code(*f))?,
            };
            grams.iter().any(|g| self.may_hold(file, g)).then_some(file)
        };
        let mut found: Vec<_> = self.each(count, &pick, &visit, &|_, _, _| Look::Whole).into_iter().flatten().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Many searches at once, each of its own files for its own words: hits as of [`SourceTree::grep`], by search. A
    /// file of several searches is read once.
    pub fn grep_groups(&self, groups: &[(Vec<FileId>, Vec<&str>)]) -> Vec<Vec<(FileId, Vec<usize>)>> {
        let finders: Vec<Finder> = groups.iter().map(|g| Finder::new(&g.1, true)).collect();
        let grams: Vec<Vec<Grams>> = groups.iter().map(|g| g.1.iter().map(|w| Grams::of(w)).collect()).collect();
        let mut pairs: Vec<(FileId, u32)> = groups
            .iter()
            .enumerate()
            .filter(|(_, g)| !g.1.is_empty())
            .flat_map(|(i, g)| {
                let grams = &grams[i];
                let may = move |f: &&FileId| self.has_code(**f) && grams.iter().any(|g| self.may_hold(**f, g));
                g.0.iter().filter(may).map(move |f| (*f, i as u32))
            })
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let by_file: Vec<&[(FileId, u32)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
        let visit = |mine: &mut Vec<(u32, FileId, Vec<usize>)>, i: usize, file, text: &[u8]| {
            let before = mine.len();
            for (_, group) in by_file[i] {
                let (finder, grams) = (&finders[*group as usize], &grams[*group as usize]);
                let hits = finder.find(text, &self.may_be_in(file, grams));
                if !hits.is_empty() {
                    mine.push((*group, file, hits));
                }
            }
            mine.len() > before
        };
        let found = self.each(by_file.len(), &|i| by_file[i].first().map(|p| p.0), &visit, &|_, _, _| Look::Whole);
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_unstable();
        let mut out = vec![Vec::new(); groups.len()];
        for (group, file, hits) in found {
            out[group as usize].push((file, hits));
        }
        out
    }

    /// Hands the bytes of files to `visit`, in parallel, with their index and something to write to; a file for which
    /// it returns true stays in the cache while there is room. Of a file that is larger than all but a few, `glance`
    /// has the lines in pieces before, and tells whether it is to be visited, or read any further. Returns what was
    /// written, in no particular order.
    fn each<T: Default + Send>(
        &self,
        count: usize,
        pick: &(dyn Fn(usize) -> Option<FileId> + Sync),
        visit: &Visit<'_, T>,
        glance: &Glance<'_, T>,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        // The last batch shall not leave the other threads without work for long: the fewer files are left, the fewer
        // are taken.
        let threads = self.threads.min(count.div_ceil(LEAST));
        let size = |start: usize| ((count - start) / (8 * threads.max(1))).clamp(LEAST, BATCH);
        let all = Mutex::new(Vec::new());
        let work = || {
            let mut reader = self.reader();
            let mut mine = T::default();
            loop {
                let take = |start: usize| (start < count).then(|| start + size(start));
                let Ok(start) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else { break };
                for i in start..(start + size(start)).min(count) {
                    let Some(file) = pick(i) else { continue };
                    let cached = lock(&self.cache).files.get(&file).cloned();
                    let text = match &cached {
                        Some(b) => &b[..],
                        None => {
                            match reader.read_pieces(&self.root, self.path(file), &mut |p| glance(&mut mine, file, p)) {
                                Ok(Text::Whole(text)) => text,
                                Ok(Text::Pieces) => continue,
                                Ok(Text::Ends) => {
                                    self.tables.fetch_add(1, Ordering::Relaxed);
                                    continue;
                                }
                                Err(e) => {
                                    self.fails(file, e);
                                    continue;
                                }
                            }
                        }
                    };
                    if visit(&mut mine, i, file, text) && cached.is_none() {
                        self.keep(file, text.into(), KEEP);
                    }
                }
            }
            self.put_back(reader);
            lock(&all).push(mine);
        };
        // The threads that are there: a run has some hundred small searches, and to start one takes longer than some.
        rayon::scope(|s| {
            // This thread works too.
            for _ in 1..threads {
                s.spawn(|_| work());
            }
            work();
        });
        all.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a path is to be looked for in a table of that length.
fn slot(path: &str, len: usize) -> usize {
    use std::hash::BuildHasher;
    // The upper half is the better mixed one.
    (rustc_hash::FxBuildHasher.hash_one(path) >> 32) as usize % len
}

/// Collects files while listing.
#[derive(Default)]
struct Listing {
    files: Vec<String>,
    skipped: Vec<String>,
    unreadable: BTreeMap<String, String>,
    skip: bool,
}

impl Listing {
    fn add(&mut self, path: String) {
        if !is_c(&path) {
            return;
        }
        if self.skip
            && let Some((top, _)) = path.split_once('/')
            && NOT_KERNEL.contains(&top)
        {
            if self.skipped.last().is_none_or(|l| l != top) {
                self.skipped.push(top.to_owned());
            }
            return;
        }
        self.files.push(path);
    }
}

fn is_c(path: &str) -> bool {
    path.ends_with(".c") || path.ends_with(".h")
}

/// Lists by walking. Hidden entries and symbolic links are passed over, ignore files are not heeded: what the index of
/// a checkout lists does not depend on them either.
fn walk(root: &Path, threads: usize, listing: &mut Listing) {
    let skip = listing.skip;
    let all = Mutex::new(std::mem::take(listing));
    let walker = WalkBuilder::new(root).standard_filters(false).hidden(true).threads(threads).build_parallel();
    walker.run(|| {
        let mut mine = Batch { all: &all, listing: Listing { skip, ..Listing::default() } };
        Box::new(move |entry| {
            let entry = match entry {
                Ok(e) => e,
                Err(e) => {
                    let (path, said) = describe(root, &e);
                    mine.listing.unreadable.insert(path, said);
                    return WalkState::Continue;
                }
            };
            let Some(kind) = entry.file_type() else { return WalkState::Continue };
            if kind.is_dir() {
                let top = entry.depth() == 1;
                if top && skip && entry.file_name().to_str().is_some_and(|n| NOT_KERNEL.contains(&n)) {
                    mine.listing.skipped.push(entry.file_name().to_string_lossy().into_owned());
                    return WalkState::Skip;
                }
                return WalkState::Continue;
            }
            if !kind.is_file() {
                return WalkState::Continue;
            }
            // Of most other files nothing more is asked.
            if !is_c(&entry.file_name().to_string_lossy()) {
                return WalkState::Continue;
            }
            let Ok(relative) = entry.path().strip_prefix(root) else { return WalkState::Continue };
            match relative.to_str() {
                Some(p) => mine.listing.add(if cfg!(windows) { p.replace('\\', "/") } else { p.to_owned() }),
                None => {
                    let shown = relative.to_string_lossy().into_owned();
                    if is_c(&shown) {
                        mine.listing.unreadable.insert(shown, "the name is not UTF-8".to_owned());
                    }
                }
            }
            WalkState::Continue
        })
    });
    *listing = all.into_inner().unwrap_or_else(PoisonError::into_inner);
}

/// What one thread of the walk found; handed over when the thread is done.
struct Batch<'a> {
    all: &'a Mutex<Listing>,
    listing: Listing,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut all = lock(self.all);
        all.files.append(&mut self.listing.files);
        all.skipped.append(&mut self.listing.skipped);
        all.unreadable.append(&mut self.listing.unreadable);
    }
}

/// Path and message of an error of the walk.
fn describe(root: &Path, e: &ignore::Error) -> (String, String) {
    match e {
        ignore::Error::WithPath { path, err } => {
            let p = path.strip_prefix(root).unwrap_or(path);
            (p.to_string_lossy().into_owned(), err.to_string())
        }
        ignore::Error::WithDepth { err, .. } => describe(root, err),
        _ => (String::new(), e.to_string()),
    }
}
