//! Edits of original bytes: sorted, disjoint, applied all at once.

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
