//! Dirtying that takes the page lock where it stands: the callee changes its name and nothing else.
//!
//! `set_page_dirty()` needs the page lock, or something else that keeps the mapping; `SetPageDirty()` sets a flag and
//! tells no file system. Which calls may take the lock is known by then: a rule has found that they may sleep and do
//! not hold it, and the proof runs them. A line that comes to be longer than 80 columns stays one: what is too long is
//! a call with one argument, and broken behind its parenthesis it would be no better.

use super::{Bug, Dirtying, Fix};
use crate::edit::Edit;
use crate::program::Program;
use crate::rules::Strengthened;
use crate::source::{FileId, Loc};
use crate::trace::Dirty;
use std::collections::BTreeMap;

/// One fix a file, by file; `None` when a call does not stand in the text as it is known.
pub fn dirtying(program: &dyn Program, calls: &[Strengthened]) -> Option<Vec<Fix>> {
    let mut by_file: BTreeMap<FileId, BTreeMap<u32, &Strengthened>> = BTreeMap::new();
    for call in calls {
        by_file.entry(call.callee.file).or_default().insert(call.callee.span.start, call);
    }
    by_file.into_iter().map(|(file, calls)| fix(program, file, calls.into_values())).collect()
}

fn fix<'a>(program: &dyn Program, file: FileId, calls: impl Iterator<Item = &'a Strengthened>) -> Option<Fix> {
    let text = program.text(file);
    let (mut bug, mut edits) = (Vec::new(), Vec::new());
    for call in calls {
        let span = call.callee.span;
        let known = match call.kind {
            Dirty::SetPageDirty => "set_page_dirty",
            Dirty::FlagOnly => "SetPageDirty",
            Dirty::None | Dirty::SetPageDirtyLock => return None,
        };
        if span.of(&text) != known.as_bytes() {
            return None;
        }
        let function = program.function_at(Loc { file, span })?.name.clone();
        bug.push(Dirtying { function, callee: span, kind: call.kind });
        edits.push(Edit { file, span, with: b"set_page_dirty_lock".to_vec() });
    }
    Some(Fix { file, bug: Bug::Dirtying(bug), edits })
}
