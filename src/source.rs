//! Where things are: files of the tree by number, byte ranges of the original text.
//!
//! Everything the analysis says is pinned to a [`Loc`]: a file and a byte range of the file *as it lies on disk*.
//! No hop ever moves an offset (masking keeps lengths), so a span can always be shown, edited and quoted.

use std::sync::Arc;

/// A shared, immutable identifier or short text.
pub type Name = Arc<str>;

/// Number of a file in its [`crate::discover::SourceTree`]; ascending numbers are ascending paths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

/// Half-open byte range in the original bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span of the two offsets.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }
    /// The bytes of `text` that the span covers; empty when it does not lie inside.
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or(b"")
    }
    /// The covered text, invalid UTF-8 replaced.
    pub fn text(&self, text: &[u8]) -> String {
        String::from_utf8_lossy(self.of(text)).into_owned()
    }
    /// Whether `other` lies inside this span.
    pub fn contains(&self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
    /// The smallest span that covers both.
    pub fn to(&self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A byte range in a file of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Loc {
    /// The file.
    pub file: FileId,
    /// The bytes.
    pub span: Span,
}

/// Line starts of one file: turns offsets into the line and column numbers that people read.
#[derive(Clone, Debug)]
pub struct LineMap {
    starts: Vec<u32>,
}

impl LineMap {
    /// Indexes the line starts of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text).map(|i| i as u32 + 1));
        Self { starts }
    }
    /// 1-based line of the byte at `offset`.
    pub fn line(&self, offset: u32) -> u32 {
        self.starts.partition_point(|&s| s <= offset) as u32
    }
    /// 1-based column, in bytes, of the byte at `offset`.
    pub fn column(&self, offset: u32) -> u32 {
        let line = self.line(offset) as usize;
        offset - self.starts[line - 1] + 1
    }
    /// Offset of the first byte of the 1-based `line`; the last line start when there are fewer lines.
    pub fn start(&self, line: u32) -> u32 {
        let i = (line.max(1) as usize - 1).min(self.starts.len() - 1);
        self.starts[i]
    }
    /// Number of lines.
    pub fn count(&self) -> u32 {
        self.starts.len() as u32
    }
}
