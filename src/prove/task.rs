//! What a proof is asked, and what it answers.

use crate::ast::Function;
use crate::kernel::Api;
use crate::model::Capabilities;
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::trace::Context;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A function that a plan changes.
#[derive(Clone)]
pub struct ChangedFunction {
    /// The file.
    pub file: FileId,
    /// As it is; spans index the text of the file.
    pub before: Arc<Function>,
    /// As it shall be; spans index `after_text`.
    pub after: Arc<Function>,
    /// The whole file as it shall be.
    pub after_text: Arc<[u8]>,
}

/// How strictly dirtying is compared (refinement R2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// As upstream: a page that is dirty already need not be dirtied again.
    #[default]
    Upstream,
    /// It must: a block of the page that was clean would be lost.
    StrictDirty,
}

/// The kind of reference that pins the pages of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HeldBy {
    /// A plain reference, before and after: the placeholder dialects.
    #[default]
    Get,
    /// A plain reference before, a tracked pin after: the plan changes the acquire calls as well.
    GetToPin,
    /// A tracked pin, before and after.
    Pin,
}

/// Limits of one proof. When one is hit the outcome is unsupported, never equal.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Pairs of runs for one region from one starting point.
    pub runs: u64,
    /// Pairs of runs for the whole plan, from all starting points.
    pub total: u64,
    /// Operations of one run.
    pub steps: u64,
    /// Operations of all runs of the plan.
    pub all_steps: u64,
    /// Operations of all runs from one start that is neither the narrowest nor the widest.
    pub middle_steps: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { runs: 6_000, total: 12_000, steps: 20_000, all_steps: 1_000_000, middle_steps: 1_000_000 }
    }
}

/// A plan to be proved.
pub struct Task<'a> {
    /// Functions and structs by name.
    pub program: &'a dyn Program,
    /// Every function that the plan changes, in any order.
    pub changed: Vec<ChangedFunction>,
    /// Functions that the plan removes. What called one of them is changed, and runs it in the old version only.
    pub removed: Vec<(FileId, Arc<Function>)>,
    /// Functions of the trace, from the pin to the releases: file and name. Starting points of the second tier.
    pub functions: Vec<(FileId, Name)>,
    /// Every call of the trace that takes pages, by the place of its callee. Asked for where get becomes pin.
    pub acquires: Vec<Loc>,
    /// Every call of the trace that drops pages, in all functions, changed or not. Asked for where get becomes pin.
    pub releases: Vec<Loc>,
    /// What is known of the context of each release.
    pub contexts: Vec<(Loc, Context)>,
    /// Every pin asks for write access, always: the zero page cannot be among the pages.
    pub always_write: bool,
    /// What kind of reference the pages of the trace are held by.
    pub held_by: HeldBy,
    /// What the tree's page functions do.
    pub caps: Capabilities,
    /// What kernel functions do with pages.
    pub api: &'a Api,
    /// Comparison of dirtying.
    pub policy: Policy,
    /// Limits.
    pub budget: Budget,
    /// A difference is to be told: the shortest one is looked for, which takes many times the runs that find one.
    pub tell: bool,
}

impl Task<'_> {
    /// The function that the plan removes, as a call of this name in the file means it.
    pub fn removed(&self, file: FileId, name: &str) -> Option<&Arc<Function>> {
        self.removed.iter().find(|(f, g)| *f == file && *g.name == *name).map(|(_, g)| g)
    }
}

/// A permitted difference, SEMANTICS 3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refinement {
    /// `set_page_dirty()` becomes `set_page_dirty_lock()`, where sleeping is allowed.
    R1,
    /// A page that is dirty already is not dirtied again.
    R2,
    /// `SetPageDirty()` becomes `set_page_dirty_lock()`: tag and buffers as well.
    R3,
    /// The head of a compound page is dirtied where the tail was, or compound pages are no longer left out.
    R4,
    /// A `PageReserved()` test goes: a write pin never returns such a page.
    R5,
    /// A loop becomes one call; the order among distinct entries changes.
    R6,
    /// `release_pages()` becomes the user-page call.
    R7,
    /// Dirtying after the put becomes dirtying before it: a fix, to be said.
    R8,
    /// get becomes pin with all its releases.
    R9,
}

impl Refinement {
    /// All of them.
    pub const ALL: [Refinement; 9] = [
        Refinement::R1,
        Refinement::R2,
        Refinement::R3,
        Refinement::R4,
        Refinement::R5,
        Refinement::R6,
        Refinement::R7,
        Refinement::R8,
        Refinement::R9,
    ];
    /// Stable spelling, `R1` to `R9`.
    pub fn code(self) -> &'static str {
        ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9"][self as usize]
    }
}

/// What the proof found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// No difference at all.
    Equal,
    /// Permitted differences only.
    Refined,
    /// The interpreter could not do it, or a budget was hit.
    Unsupported,
    /// A difference that is not permitted.
    Differs,
}

impl Outcome {
    /// Stable spelling.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Equal => "equal",
            Outcome::Refined => "refined",
            Outcome::Unsupported => "unsupported",
            Outcome::Differs => "differs",
        }
    }
}

/// A proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// What was found.
    pub outcome: Outcome,
    /// Permitted differences that were met.
    pub refinements: BTreeSet<Refinement>,
    /// Pairs of runs compared.
    pub runs: u64,
    /// What was taken for granted.
    pub assumed: Vec<String>,
    /// The shortest counterexample: inputs, both runs side by side, first difference. With [`Outcome::Differs`], where
    /// it is to be told or needs no run.
    pub counterexample: Option<String>,
    /// Where and at what the interpreter stopped. With [`Outcome::Unsupported`].
    pub stopped: Option<Stopped>,
}

/// Where the interpreter stopped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stopped {
    /// The file.
    pub file: FileId,
    /// The construct; in the text after the rewrite when `after`.
    pub span: Span,
    /// See `span`.
    pub after: bool,
    /// What it is.
    pub construct: String,
}
