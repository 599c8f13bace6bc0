//! Dirtying beside a release that is not by `set_page_dirty_lock()`, with the reason why a plan may leave it.

use crate::decide;
use crate::program::Program;
use crate::trace::{Dirty, Release};

/// Dirtying without the page lock, or by the flag alone, beside a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeakDirtying {
    /// Path of the release.
    pub path: String,
    /// Its function.
    pub function: String,
    /// What is called.
    pub call: &'static str,
    /// The page lock was found to be held there.
    pub page_locked: bool,
    /// Why the plan leaves it, if it does: sentences, or nothing.
    pub why: String,
}

impl WeakDirtying {
    pub(super) fn of(program: &dyn Program, r: &Release) -> Option<Self> {
        let call = match r.dirty {
            Dirty::SetPageDirty => "set_page_dirty",
            Dirty::FlagOnly => "SetPageDirty",
            Dirty::None | Dirty::SetPageDirtyLock => return None,
        };
        Some(Self {
            path: program.path(r.at.file).to_string(),
            function: r.function.to_string(),
            call,
            page_locked: r.context.page_locked,
            why: decide::why_kept(program, r),
        })
    }
}
