//! Edits of original bytes: sorted, disjoint, applied all at once.
//!
//! It does not know why a place changes. An [`EditSet`] is the only way from edits to bytes, so that overlapping edits
//! are refused at one place and no edit ever sees offsets that another one moved.

use crate::source::{FileId, Span};

/// Replace a span of a file by other text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Edit {
    /// The file.
    pub file: FileId,
    /// What goes.
    pub span: Span,
    /// What comes.
    pub with: Vec<u8>,
}

/// A set of edits that can be applied: ascending by file and offset, no two touching the same byte.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EditSet {
    edits: Vec<Edit>,
}

/// Two edits want the same bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("two edits overlap in file {} at bytes {}..{} and {}..{}", .first.file.0, .first.span.start, .first.span.end, .second.span.start, .second.span.end)]
pub struct Overlap {
    /// The one that starts first.
    pub first: Edit,
    /// The one that starts inside it.
    pub second: Edit,
}

impl EditSet {
    /// Sorts the edits, drops exact repetitions, and refuses the set if two of them overlap.
    ///
    /// Two insertions at one offset overlap too: nothing says which comes first.
    ///
    /// # Errors
    /// [`Overlap`] names the first pair.
    pub fn new(mut edits: Vec<Edit>) -> Result<Self, Overlap> {
        edits.sort();
        edits.dedup();
        for pair in edits.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            if a.file == b.file && (b.span.start < a.span.end || a.span.start == b.span.start) {
                return Err(Overlap { first: a.clone(), second: b.clone() });
            }
        }
        Ok(Self { edits })
    }
    /// The edits, ascending.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }
    /// The edits, ascending.
    pub fn into_edits(self) -> Vec<Edit> {
        self.edits
    }
    /// The files that are touched, ascending.
    pub fn files(&self) -> Vec<FileId> {
        let mut files: Vec<_> = self.edits.iter().map(|e| e.file).collect();
        files.dedup();
        files
    }
    /// The bytes of `file` after its edits. `None` when an edit lies outside `before`: the file is not the one that
    /// was analysed.
    pub fn apply(&self, file: FileId, before: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(before.len());
        let mut done = 0usize;
        for e in self.edits.iter().filter(|e| e.file == file) {
            let (start, end) = (e.span.start as usize, e.span.end as usize);
            out.extend_from_slice(before.get(done..start)?);
            before.get(start..end)?;
            out.extend_from_slice(&e.with);
            done = end;
        }
        out.extend_from_slice(before.get(done..)?);
        Some(out)
    }
    /// Where the byte that stood at `offset` of `file` stands after the edits; for a byte that goes, where its edit
    /// starts.
    pub fn moved(&self, file: FileId, offset: u32) -> u32 {
        let mut delta = 0i64;
        for e in self.edits.iter().filter(|e| e.file == file) {
            if e.span.end <= offset {
                delta += e.with.len() as i64 - i64::from(e.span.end - e.span.start);
            } else if e.span.start <= offset {
                return (i64::from(e.span.start) + delta) as u32;
            } else {
                break;
            }
        }
        (i64::from(offset) + delta) as u32
    }
}

/// One file before and after its edits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewritten {
    /// The file.
    pub file: FileId,
    /// As it lies on disk.
    pub before: Vec<u8>,
    /// As it should be.
    pub after: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: usize, end: usize, with: &str) -> Edit {
        Edit { file: FileId(0), span: Span::new(start, end), with: with.into() }
    }

    #[test]
    fn applies_in_order_and_moves_offsets() {
        let set = EditSet::new(vec![edit(6, 11, "there"), edit(0, 2, "HELLO, ")]).unwrap();
        assert_eq!(set.apply(FileId(0), b"hello world!").unwrap(), b"HELLO, llo there!");
        assert_eq!(set.moved(FileId(0), 3), 8);
        assert_eq!(set.moved(FileId(0), 11), 16);
        assert_eq!(set.moved(FileId(1), 11), 11);
    }

    #[test]
    fn refuses_overlap_but_not_neighbours() {
        assert!(EditSet::new(vec![edit(0, 4, "a"), edit(3, 5, "b")]).is_err());
        assert!(EditSet::new(vec![edit(2, 2, "a"), edit(2, 2, "b")]).is_err());
        assert!(EditSet::new(vec![edit(0, 3, "a"), edit(3, 5, "b")]).is_ok());
    }

    #[test]
    fn an_edit_outside_the_text_is_not_applied() {
        assert_eq!(EditSet::new(vec![edit(3, 9, "")]).unwrap().apply(FileId(0), b"short"), None);
    }
}
