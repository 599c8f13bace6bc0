//! The text of each file after each patch. Every edit is one of the original bytes, so patches never depend on each
//! other, in whatever order they come; but a conversion takes the place of the fixes of dirtying right before it.

use super::PatchFile;
use crate::edit::{Edit, EditSet};
use crate::error::UserError;
use crate::run::{FileEdits, HandedBug, HandedFix, HandedPlan, Leading};
use crate::source::{FileId, Span};
use similar::{Algorithm, DiffTag};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files as they are after the patches so far.
#[derive(Default)]
pub struct State {
    files: BTreeMap<String, FileState>,
}

/// A file after the patches so far.
struct FileState {
    text: Arc<[u8]>,
    edits: Vec<Edit>,
    /// Edits that stand until the next conversion, which makes them as well.
    passing: Vec<Edit>,
}

impl FileState {
    fn now(&self) -> Option<Vec<u8>> {
        let all = self.edits.iter().chain(&self.passing).cloned().collect();
        EditSet::new(all).ok()?.apply(FileId(0), &self.text)
    }
}

impl State {
    /// Adds a leading patch, and tells what it does to each file, by path.
    ///
    /// # Errors
    /// It changes lines that another patch changes.
    pub fn leading(&mut self, patch: &Leading) -> Result<Vec<PatchFile>, UserError> {
        let edits = patch.changes.iter().map(|c| (c.path.as_str(), &c.before, line_edits(&c.before, &c.after)));
        self.add(edits, false)
    }
    /// Adds a patch of fixes, and tells what it does to each file, by path.
    ///
    /// # Errors
    /// It changes lines that another patch changes.
    pub fn fixes(&mut self, fixes: &[&HandedFix]) -> Result<Vec<PatchFile>, UserError> {
        let passing = fixes.iter().all(|f| matches!(f.bug, HandedBug::Dirtying(_)));
        let edits = fixes
            .iter()
            .map(|f| &f.file)
            .map(|FileEdits { path, before, edits }| (path.as_str(), before, edits.clone()));
        self.add(edits, passing)
    }
    /// Adds the plans of a patch, and tells what it does to each file, by path.
    ///
    /// # Errors
    /// It changes lines that another patch changes.
    pub fn plans<'a>(&mut self, plans: impl Iterator<Item = &'a HandedPlan>) -> Result<Vec<PatchFile>, UserError> {
        self.add(plans.flat_map(|p| &p.files).map(|f| (f.path.as_str(), &f.before, f.edits.clone())), false)
    }
    fn add<'a>(
        &mut self,
        edits: impl Iterator<Item = (&'a str, &'a Arc<[u8]>, Vec<Edit>)>,
        passing: bool,
    ) -> Result<Vec<PatchFile>, UserError> {
        let clash = |path: &str| {
            UserError::new(
                "two patches of the series change the same lines",
                format!("in {path}"),
                "make series of parts of the tree, with a PATH each",
            )
        };
        let mut before: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (path, text, edits) in edits {
            let new = || FileState { text: text.clone(), edits: Vec::new(), passing: Vec::new() };
            let file = self.files.entry(path.to_string()).or_insert_with(new);
            if !before.contains_key(path) {
                before.insert(path.to_string(), file.now().ok_or_else(|| clash(path))?);
                if !passing {
                    file.passing.clear();
                }
            }
            let all = if passing { &mut file.passing } else { &mut file.edits };
            all.extend(edits.into_iter().map(|e| Edit { file: FileId(0), ..e }));
        }
        let mut out = Vec::new();
        for (path, before) in before {
            let Some(file) = self.files.get(&path) else { continue };
            let after = file.now().ok_or_else(|| clash(&path))?;
            if after != before {
                out.push(PatchFile { path, before: before.into(), after });
            }
        }
        Ok(out)
    }
}

/// The difference of two texts as edits of whole lines.
fn line_edits(before: &[u8], after: &[u8]) -> Vec<Edit> {
    let old: Vec<&[u8]> = before.split_inclusive(|&b| b == b'\n').collect();
    let new: Vec<&[u8]> = after.split_inclusive(|&b| b == b'\n').collect();
    let bytes = |lines: &[&[u8]]| lines.iter().map(|l| l.len()).sum::<usize>();
    similar::capture_diff_slices(Algorithm::Myers, &old, &new)
        .iter()
        .filter(|op| op.tag() != DiffTag::Equal)
        .map(|op| {
            let range = op.old_range();
            let start = bytes(&old[..range.start]);
            let span = Span::new(start, start + bytes(&old[range]));
            Edit { file: FileId(0), span, with: new[op.new_range()].concat() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide;
    use crate::report::FileChange;
    use crate::run::Needed;

    fn change(start: usize, end: usize, with: &str) -> FileEdits {
        let edits = vec![Edit { file: FileId(3), span: Span::new(start, end), with: with.into() }];
        FileEdits { path: "a.c".into(), before: b"mark(p); drop(p); end();".as_slice().into(), edits }
    }

    fn leading(before: &str, after: &str) -> Leading {
        let change =
            FileChange { path: "a.h".into(), before: before.as_bytes().into(), after: after.as_bytes().to_vec() };
        Leading { subject: "s".into(), body: vec![], below: vec![], needed: Needed::ByAll, changes: vec![change] }
    }

    #[test]
    fn patches_of_one_file_stand_on_each_other() {
        let text = "one\ntwo\nthree\nfour\n";
        let mut state = State::default();
        let first = state.leading(&leading(text, "one\nTWO\nthree\nfour\n")).expect("fits");
        let second = state.leading(&leading(text, "one\ntwo\nthree\nfour\nfive\n")).expect("fits");
        assert_eq!((&*first[0].before, &*first[0].after), (text.as_bytes(), &b"one\nTWO\nthree\nfour\n"[..]));
        assert_eq!(&*second[0].before, &*first[0].after);
        assert_eq!(second[0].after, b"one\nTWO\nthree\nfour\nfive\n");
        assert!(state.leading(&leading(text, "one\n2\nthree\nfour\n")).is_err());
    }

    #[test]
    fn what_is_done_already_is_no_change() {
        let mut state = State::default();
        state.leading(&leading("a\nb\n", "a\nB\n")).expect("fits");
        assert!(state.leading(&leading("a\nb\n", "a\nB\n")).expect("fits").is_empty());
    }

    #[test]
    fn a_conversion_takes_the_place_of_the_dirtying_before_it() {
        let fix = |bug, file| HandedFix {
            file,
            bug,
            lines: vec![],
            runs: 1,
            assumed: vec![],
            refinements: vec![],
            order: decide::Order::Open,
        };
        let dirtying = fix(HandedBug::Dirtying(vec![("f".into(), "mark")]), change(0, 4, "lock"));
        let mut state = State::default();
        let text = |files: &[PatchFile]| {
            files.iter().map(|f| String::from_utf8_lossy(&f.after).into_owned()).collect::<String>()
        };
        assert_eq!(text(&state.fixes(&[&dirtying]).expect("fits")), "lock(p); drop(p); end();");
        let plan = HandedPlan {
            sites: vec![],
            files: vec![change(0, 17, "both(p);")],
            functions: vec![],
            rules: vec![],
            notes: vec![],
            cautions: vec![],
            proof: None,
            fixes: vec![dirtying.clone()],
            unlinked: vec![],
            evidence: vec![],
            undirtied: vec![],
            guarded: vec![],
            weak: vec![],
            orders: vec![],
        };
        let after = state.plans([&plan].into_iter()).expect("fits");
        assert_eq!(after.first().map(|f| &*f.before), Some(&b"lock(p); drop(p); end();"[..]));
        assert_eq!(text(&after), "both(p); end();");
        // Nothing of it is left for the next patch of the file.
        let next = HandedPlan { files: vec![change(18, 21, "stop")], fixes: vec![], ..plan };
        assert_eq!(text(&state.plans([&next].into_iter()).expect("fits")), "both(p); stop();");
    }
}
