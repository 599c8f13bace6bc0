//! What shows that a device only reads pages: each call that maps them for one names the direction from memory, and
//! nothing else gets at their data.

use crate::kernel::Api;
use crate::program::Program;
use crate::source::{Loc, Name};
use crate::trace::{PinTrace, Use, UseKind};

/// The first of the calls that map pages for a device to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reads {
    /// The call.
    pub by: Name,
    /// The direction that it is given.
    pub direction: String,
    /// Where.
    pub at: Loc,
}

/// What maps the pages of a trace that is whole, if all of that is for a device to read.
pub fn reads(program: &dyn Program, t: &PinTrace) -> Option<Reads> {
    if !t.gaps.is_empty() || !t.by_number.is_empty() {
        return None;
    }
    let mut first: Option<Reads> = None;
    for u in &t.uses {
        match u.kind {
            UseKind::Meta | UseKind::Read | UseKind::Followed => {}
            UseKind::Io => {
                let direction = direction(program, u)?;
                let maps = !u.callee.contains("unmap");
                let earlier = first.as_ref().is_none_or(|r| u.at < r.at);
                if maps && earlier {
                    first = Some(Reads { by: u.callee.clone(), direction, at: u.at });
                }
            }
            UseKind::Write | UseKind::Map | UseKind::Address | UseKind::HandedOn | UseKind::ExtraReference => {
                return None;
            }
        }
    }
    first
}

/// The direction from memory among the arguments of the call, by its constant.
fn direction(program: &dyn Program, u: &Use) -> Option<String> {
    let f = program.function_at(u.at).filter(|f| f.whole())?;
    let text = program.text(u.at.file);
    let mut found = None;
    f.body.walk_exprs(&mut |e| {
        let Some((_, args)) = e.call().filter(|(n, _)| **n == u.callee && e.span.contains(u.at.span)) else { return };
        // Another direction, or a choice between two, is no answer.
        let told: Vec<String> = args.iter().map(|a| a.span.text(&text)).filter(|a| a.contains("DMA_")).collect();
        found = match told.as_slice() {
            [one] if Api::get().is_from_memory(one) => Some(one.clone()),
            _ => None,
        };
    });
    found
}
