//! A program that is one file of text, for tests.

use crate::ast::{Function, StructDef};
use crate::parse::function_from_source;
use crate::program::Program;
use crate::source::{FileId, Loc, Span};
use crate::split::{ItemKind, split};
use std::sync::Arc;

/// `drivers/a/b.c` with this text.
pub(super) struct Text(pub(super) String);

impl Text {
    /// The first place of these words.
    pub(super) fn at(&self, words: &str) -> Loc {
        let start = self.0.find(words).expect("the words");
        Loc { file: FileId(0), span: Span::new(start, start + words.len()) }
    }
}

impl Program for Text {
    fn path(&self, _: FileId) -> &str {
        "drivers/a/b.c"
    }
    fn text(&self, _: FileId) -> Arc<[u8]> {
        self.0.as_bytes().into()
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        let items = split(self.0.as_bytes());
        let item = items.iter().find(|i| i.span.contains(at.span) && i.kind == ItemKind::Function)?;
        function_from_source(self.0.as_bytes(), &item.name).map(Arc::new)
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        Some((from, Arc::new(function_from_source(self.0.as_bytes(), name)?)))
    }
    fn structure(&self, _: FileId, _: &str) -> Option<Arc<StructDef>> {
        None
    }
}
