//! Callees that the search did not get to: what one does with the pages is a gap, unless its body shows that it only
//! looks at them.

use super::FnId;
use super::engine::Engine;
use super::facts::{Fact, extract};
use super::place::Place;
use crate::index::FnRef;
use crate::source::{FileId, Name};
use crate::split::ItemKind;
use std::collections::BTreeSet;

/// Calls within calls that are looked at; inline helpers of iterators need three.
const MAX_DEPTH: u32 = 4;

/// What is known of a callee that was not loaded.
pub(super) enum Callee {
    /// It neither keeps, drops nor hands on what it gets.
    Looks,
    /// Its body is in sight, and was not followed.
    TooFar,
    /// Nothing.
    Unknown,
}

/// Looks at the body of `name`, called from a file.
pub(super) fn callee(e: &Engine, file: FileId, name: &Name) -> Callee {
    if traces(name) {
        return Callee::Looks;
    }
    match definition(e, file, name) {
        Some(f) if looks(e, f, 0) == Some(false) => Callee::Looks,
        Some(_) => Callee::TooFar,
        None => Callee::Unknown,
    }
}

/// Made by a macro: it writes to the trace buffer.
fn traces(name: &str) -> bool {
    name.starts_with("trace_")
}

/// The definition near the file, near the header that declares it, or in a file of the traces.
pub(super) fn definition(e: &Engine, file: FileId, name: &Name) -> Option<FnRef> {
    let by_header = || {
        let (header, _) = e.index.visible_item(file, name, &[ItemKind::Prototype])?;
        let near = e.index.definition_near(header, name).filter(|f| f.file != header);
        near.or_else(|| e.index.definition_by_header(header, name))
    };
    // Called in an inline function of a header: where its users are.
    let loaded = || {
        let files: BTreeSet<FileId> = e.fns.iter().map(|f| f.file).collect();
        files.into_iter().find_map(|file| {
            let items = e.index.items(file)?;
            let item = items.function(name).filter(|i| !items.items[*i as usize].is_static)?;
            Some(FnRef { file, item })
        })
    };
    e.index.definition_near(file, name).or_else(by_header).or_else(loaded)
}

/// Whether what the function gets is in its result; `None` if it goes elsewhere, or if that is not known.
pub(super) fn looks(e: &Engine, f: FnRef, depth: u32) -> Option<bool> {
    let func = e.index.parsed(f).filter(|f| f.damage.is_empty() && depth < MAX_DEPTH)?;
    let facts = extract(FnId(u32::MAX), f.file, &func, e.index);
    let given = |p: &Place| facts.params.iter().any(|q| q.place == *p);
    let mut returned = false;
    for fact in &facts.facts {
        match fact {
            Fact::Copy { to, .. } | Fact::Alias { a: to, .. } | Fact::Shown { to, .. } | Fact::Number { to, .. } => {
                match to {
                    Place::Ret(_) => returned = true,
                    Place::Field(..) | Place::Global(..) => return None,
                    // Through a pointer that the caller gave.
                    to if given(to) && matches!(fact, Fact::Copy { .. }) => return None,
                    _ => {}
                }
            }
            Fact::Call { callee, args, .. } => {
                let traced = callee.as_ref().is_some_and(|name| traces(name));
                if traced || !args.iter().any(|a| a.relevant && !a.places.is_empty()) {
                    continue;
                }
                looks(e, definition(e, f.file, callee.as_ref()?)?, depth + 1)?;
            }
            Fact::Pin { .. } | Fact::Release { .. } | Fact::UnknownStore { .. } | Fact::Stored { .. } => return None,
            Fact::Handover { gap, .. } => {
                if gap.is_some() {
                    return None;
                }
            }
            Fact::Origin { .. } | Fact::Given { .. } | Fact::Use { .. } | Fact::Address { .. } | Fact::Dirty { .. } => {
            }
            Fact::Extra { .. } | Fact::Own { .. } => return None,
        }
    }
    Some(returned)
}
