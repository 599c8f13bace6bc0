//! Finds the C files of a kernel tree, reads them, and searches them for words.
//!
//! The only hop that touches the disk. In a git checkout the files are those of the index (tracked files; a file that
//! was never added is not seen), else those that a walk finds. It deliberately knows no C: a search compares bytes.
//! All results are sorted by path, so they do not depend on the number of threads.
//!
//! Numbers behind the choices, v5.2.1 with a warm cache: reading into a reused buffer takes 0.18 s for all 691 MB,
//! mapping the files 1.26 s; searching for one literal adds 0.01 s.

mod gitindex;

use crate::source::FileId;
use aho_corasick::{AhoCorasick, Match, MatchKind, packed};
use ignore::{WalkBuilder, WalkState};
use memchr::memmem;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Top-level folders of a kernel tree that hold no kernel code: their C runs in user space, or never.
pub static NOT_KERNEL: &[&str] = &["Documentation", "scripts", "tools"];

/// Size of the buffer that a thread reads files into; 99.9 % of the files of v6.12 fit.
const BUFFER: usize = 1 << 20;

/// Bytes of hits that searches leave in the cache. The files that pin pages have 23 MB in v6.12; a search for a common
/// word must not keep half of the tree.
const KEEP: usize = 64 << 20;

/// Files that a thread takes at a time.
const BATCH: usize = 32;

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
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    files: FxHashMap<FileId, Arc<[u8]>>,
    bytes: usize,
}

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
        files.sort_unstable();
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
            cache: Mutex::default(),
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
    /// Path relative to the root, `/` between components; empty for an id that is none of this tree.
    pub fn path(&self, file: FileId) -> &str {
        let i = file.0 as usize;
        let start = i.checked_sub(1).and_then(|k| self.ends.get(k)).copied().unwrap_or(0);
        self.ends.get(i).and_then(|&end| self.names.get(start as usize..end as usize)).unwrap_or("")
    }
    /// The file with exactly this path.
    pub fn lookup(&self, path: &str) -> Option<FileId> {
        let file = FileId(self.bound(|p| p < path));
        (!path.is_empty() && self.path(file) == path).then_some(file)
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
        let mut buffer = Vec::new();
        let len = self.load(file, &mut PathBuf::new(), &mut buffer)?;
        Ok(self.keep(file, buffer[..len].into(), usize::MAX))
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

    /// Reads a file to the start of `buffer` and returns its length. `path` is scratch space.
    fn load(&self, file: FileId, path: &mut PathBuf, buffer: &mut Vec<u8>) -> io::Result<usize> {
        path.clone_from(&self.root);
        path.push(self.path(file));
        let result = File::open(&*path).and_then(|mut f| read_all(&mut f, buffer));
        if let Err(e) = &result {
            lock(&self.unreadable).insert(self.path(file).to_owned(), e.to_string());
        }
        result
    }

    /// The files that contain any of the needles as a whole word, with the indices of those needles, ascending.
    ///
    /// Needles are identifiers. `within` narrows the search to these files. Reads every file once, in parallel; files
    /// that cannot be read are added to [`SourceTree::unreadable`].
    pub fn grep(&self, needles: &[&str], within: Option<&[FileId]>) -> Vec<(FileId, Vec<usize>)> {
        self.search(&Finder::new(needles, true), within)
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
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || {
            let mut path = PathBuf::new();
            let mut buffer = Vec::new();
            let mut mine = Vec::new();
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                if start >= count {
                    break;
                }
                for i in start..(start + BATCH).min(count) {
                    let file = within.map_or(FileId(i as u32), |w| w[i]);
                    let cached = lock(&self.cache).files.get(&file).cloned();
                    let text = match &cached {
                        Some(b) => &b[..],
                        None => match self.load(file, &mut path, &mut buffer) {
                            Ok(len) => &buffer[..len],
                            Err(_) => continue,
                        },
                    };
                    let hits = finder.find(text);
                    if !hits.is_empty() {
                        if cached.is_none() {
                            self.keep(file, text.into(), KEEP);
                        }
                        mine.push((file, hits));
                    }
                }
            }
            lock(&found).append(&mut mine);
        };
        let threads = self.threads.min(count.div_ceil(BATCH));
        std::thread::scope(|s| {
            // This thread works too.
            for _ in 1..threads {
                s.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Reads to the end into `buffer` from its start and returns the length, without asking for the size first (one system
/// call a file less). The buffer only grows: clearing it for every file would cost more than reading.
fn read_all(f: &mut File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize((buffer.len() * 2).max(BUFFER), 0);
        }
        match f.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(filled),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
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

/// Searches one buffer for several words.
struct Finder<'n> {
    needles: &'n [&'n str],
    word: bool,
    how: How<'n>,
}

enum How<'n> {
    /// A pass for each needle. Fastest for one, and right for needles that overlap.
    Each(Vec<memmem::Finder<'n>>),
    /// All at once, vectorised.
    Packed(packed::Searcher),
    /// All at once.
    Automaton(AhoCorasick),
}

/// More needles than this go into an automaton; fewer are searched vectorised. Measured on 97 MB of `drivers/net` of
/// v5.2.1, one busy core, words: 1 needle 5200 MB/s by itself; 2 to 20 needles 1000 to 2500 MB/s packed, 200 to 550
/// MB/s in the automaton that the library chooses for up to 10.
const PACKED: usize = 64;

impl<'n> Finder<'n> {
    fn new(needles: &'n [&'n str], word: bool) -> Self {
        let each = || How::Each(needles.iter().map(|n| memmem::Finder::new(n.as_bytes())).collect());
        if needles.len() == 1 || !word || needles.iter().any(|n| n.is_empty()) {
            return Self { needles, word, how: each() };
        }
        // A whole word starts where a word starts, so the longest match there is the only candidate.
        let packed = || {
            let config = packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).clone();
            config.builder().extend(needles.iter().map(|n| n.as_bytes())).build()
        };
        let how = match (needles.len() <= PACKED).then(packed).flatten() {
            Some(p) => How::Packed(p),
            None => match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(needles) {
                Ok(a) => How::Automaton(a),
                Err(_) => each(),
            },
        };
        Self { needles, word, how }
    }

    /// Indices of the needles that occur, ascending.
    fn find(&self, text: &[u8]) -> Vec<usize> {
        match &self.how {
            How::Each(finders) => {
                let mut out = Vec::new();
                for (i, f) in finders.iter().enumerate() {
                    let len = self.needles[i].len();
                    if len > 0 && f.find_iter(text).any(|at| self.counts(text, at, at + len)) {
                        out.push(i);
                    }
                }
                out
            }
            How::Packed(p) => self.collect(text, p.find_iter(text)),
            How::Automaton(a) => self.collect(text, a.find_iter(text)),
        }
    }

    /// Indices of the needles that the matches count for.
    fn collect(&self, text: &[u8], matches: impl Iterator<Item = Match>) -> Vec<usize> {
        let mut seen = vec![false; self.needles.len()];
        let mut left = seen.len();
        for m in matches {
            let i = m.pattern().as_usize();
            if !seen[i] && self.counts(text, m.start(), m.end()) {
                seen[i] = true;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        if left == seen.len() {
            return Vec::new();
        }
        // A needle that is given twice is found once; both indices are hits.
        let hit = |i: usize| self.needles.iter().zip(&seen).any(|(n, s)| *s && *n == self.needles[i]);
        (0..seen.len()).filter(|&i| hit(i)).collect()
    }

    /// Whether a match counts: always, or only as a whole word.
    fn counts(&self, text: &[u8], start: usize, end: usize) -> bool {
        let word = |b: Option<&u8>| b.is_some_and(|&b| crate::lex::is_word_byte(b));
        !self.word || !(start > 0 && word(text.get(start - 1)) || word(text.get(end)))
    }
}
