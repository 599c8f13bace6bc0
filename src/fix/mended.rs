//! A tree with edits, for what stands on them: the files that change are parsed again, the others are those of the
//! tree.

use crate::ast::{Function, StructDef};
use crate::edit::{Edit, EditSet};
use crate::parse::Parser;
use crate::program::Program;
use crate::source::{FileId, Loc, Span};
use crate::split::{Item, ItemKind, split};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tree with edits.
pub struct Mended<'a> {
    base: &'a dyn Program,
    edits: EditSet,
    files: BTreeMap<FileId, (Arc<[u8]>, Vec<Item>)>,
}

impl<'a> Mended<'a> {
    /// Applies the edits; `None` when they do not fit.
    pub fn new(base: &'a dyn Program, edits: Vec<Edit>) -> Option<Self> {
        let edits = EditSet::new(edits).ok()?;
        let mut files = BTreeMap::new();
        for file in edits.files() {
            let text: Arc<[u8]> = edits.apply(file, &base.text(file))?.into();
            let items = split(&text).into_iter().filter(|i| i.kind == ItemKind::Function).collect();
            files.insert(file, (text, items));
        }
        Some(Self { base, edits, files })
    }

    /// Where a place of the tree is now; it must not be one that the edits take away.
    pub fn at(&self, at: Loc) -> Loc {
        let (start, end) = (self.edits.moved(at.file, at.span.start), self.edits.moved(at.file, at.span.end));
        Loc { file: at.file, span: Span { start, end } }
    }

    /// Edits of the tree as edits of this one. An edit may take the place of those that were made inside it, and is
    /// left out where it was made already; `None` when one would cut another in two.
    pub fn edits(&self, edits: &[Edit]) -> Option<Vec<Edit>> {
        let cuts = |e: &Edit, at: u32| {
            self.edits.edits().iter().any(|m| m.file == e.file && m.span.start < at && at < m.span.end)
        };
        let todo = edits.iter().filter(|e| !self.edits.edits().contains(e));
        todo.map(|e| {
            let span = self.at(Loc { file: e.file, span: e.span }).span;
            (!cuts(e, e.span.start) && !cuts(e, e.span.end)).then(|| Edit { span, ..e.clone() })
        })
        .collect()
    }
}

impl Program for Mended<'_> {
    fn path(&self, file: FileId) -> &str {
        self.base.path(file)
    }
    fn text(&self, file: FileId) -> Arc<[u8]> {
        self.files.get(&file).map_or_else(|| self.base.text(file), |(text, _)| text.clone())
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        let Some((text, items)) = self.files.get(&at.file) else { return self.base.function_at(at) };
        let item = items.iter().find(|i| i.span.contains(at.span))?;
        Parser::new().function(text, item).map(Arc::new)
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        let (file, f) = self.base.function(from, name)?;
        let Some((text, items)) = self.files.get(&file) else { return Some((file, f)) };
        let at = self.edits.moved(file, f.name_span.start);
        let item = items.iter().find(|i| i.name_span.start == at)?;
        Parser::new().function(text, item).map(|f| (file, Arc::new(f)))
    }
    fn structure(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>> {
        self.base.structure(from, tag)
    }
    fn parameters(&self, name: &str) -> Option<Vec<String>> {
        self.base.parameters(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(Arc<[u8]>);

    impl Program for Text {
        fn path(&self, _: FileId) -> &str {
            "a.c"
        }
        fn text(&self, _: FileId) -> Arc<[u8]> {
            self.0.clone()
        }
        fn function_at(&self, _: Loc) -> Option<Arc<Function>> {
            None
        }
        fn function(&self, _: FileId, _: &str) -> Option<(FileId, Arc<Function>)> {
            None
        }
        fn structure(&self, _: FileId, _: &str) -> Option<Arc<StructDef>> {
            None
        }
    }

    fn edit(start: usize, end: usize, with: &str) -> Edit {
        Edit { file: FileId(0), span: Span::new(start, end), with: with.into() }
    }

    #[test]
    fn an_edit_takes_the_place_of_those_inside_it() {
        let base = Text(b"void f(void) { mark(p); drop(p); }".as_slice().into());
        let whole = b"void f(void) { both(p); }";
        let fix = edit(15, 19, "mark_under_lock");
        let mended = Mended::new(&base, vec![fix.clone()]).expect("fits");
        let on_it = |edits: &[Edit]| {
            let text = EditSet::new(mended.edits(edits)?).ok()?.apply(FileId(0), &mended.text(FileId(0)))?;
            Some(String::from_utf8(text).expect("UTF-8"))
        };
        // Around it, from its start, to its end; and what is made already.
        assert_eq!(on_it(&[edit(15, 32, "both(p);")]).as_deref().map(str::as_bytes), Some(&whole[..]));
        assert_eq!(on_it(&[edit(15, 19, "both"), edit(22, 31, "")]).as_deref(), Some("void f(void) { both(p); }"));
        let named = edit(24, 28, "put");
        assert_eq!(on_it(&[fix, named]).as_deref(), Some("void f(void) { mark_under_lock(p); put(p); }"));
        // One that would cut it in two.
        assert_eq!(mended.edits(&[edit(17, 28, "")]), None);
        assert_eq!(mended.edits(&[edit(0, 16, "")]), None);
    }
}
