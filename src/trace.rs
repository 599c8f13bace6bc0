//! Words of the trade as types: a pin site, its trace, the releases at the end of it, and the gaps where it is lost.
//!
//! Plain data, produced by [`crate::sites`], [`crate::flow`] and [`crate::classify`]; read by planning, proving and
//! reporting. Nothing here refers to a syntax tree: places are [`Loc`]s.

mod step;

use crate::source::{FileId, Loc, Name, Span};

pub use step::{Doubt, Step};

/// Number of a site in [`Custody::sites`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SiteId(pub u32);

/// Number of a release in [`Custody::releases`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReleaseId(pub u32);

/// Whether a pin asks for write access (`FOLL_WRITE`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Writes {
    /// On every call.
    Always,
    /// On none.
    Never,
    /// Depends on an expression.
    Conditional,
    /// The flags come from somewhere we did not follow.
    Unknown,
}

/// A call that pins pages.
#[derive(Clone, Debug)]
pub struct PinSite {
    /// File and span of the callee's identifier.
    pub at: Loc,
    /// The whole call expression.
    pub call: Span,
    /// Name called.
    pub api: Name,
    /// Enclosing function.
    pub function: Name,
    /// Text and span of the argument that receives the pages; `None` when the API returns the page.
    pub pages: Option<(String, Span)>,
    /// Text and span of the count argument.
    pub count: Option<(String, Span)>,
    /// Span of the flags (or `write`) argument.
    pub flags: Option<Span>,
    /// The variable or field that takes the result, as written.
    pub result: Option<String>,
    /// Write intent.
    pub writes: Writes,
    /// The expression that decides it, as written.
    pub write_expr: String,
    /// The function around the call is damaged: reported, never rewritten.
    pub damaged: bool,
}

/// How a release dirties the page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dirty {
    /// Not at all.
    None,
    /// `set_page_dirty()`
    SetPageDirty,
    /// `set_page_dirty_lock()`
    SetPageDirtyLock,
    /// `SetPageDirty()`: the flag alone.
    FlagOnly,
}

/// The form of the code around a release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shape {
    /// One page, no loop.
    Single,
    /// In a `for` loop.
    ForLoop,
    /// In a `while` or `do` loop.
    WhileLoop,
    /// A call that takes the array (`release_pages`).
    BatchCall,
    /// In an sg iterator.
    SgIter,
}

/// The path on which a release lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum When {
    /// After use.
    Normal,
    /// After a failure, all pages pinned.
    Error,
    /// Fewer pages pinned than asked for.
    Partial,
}

/// Where a page comes from that is not a converted pin.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The call or construct (`alloc_page`, `vmalloc_to_page`, `get_page`, parameter of an unseen caller, …).
    pub what: Name,
    /// Where.
    pub at: Loc,
    /// The first field on its way to the release that pinned pages come to as well.
    pub meets: Option<Name>,
}

/// What is known of the context a release runs in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Context {
    /// May run in atomic context (interrupt, softirq, RCU callback, spinlock held): it must not start to sleep.
    pub may_be_atomic: bool,
    /// The page lock may be held by the caller.
    pub page_locked: bool,
}

/// What shows that code may run in atomic context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Atomic {
    /// It asks for its context by this call.
    Asks(Name),
    /// This call takes a lock, which its function holds there: that of the code, or one that leads to it.
    Locked {
        /// The function that holds it.
        function: Name,
        /// What takes it.
        by: Name,
        /// Where.
        at: Loc,
    },
    /// A function, that of the code or one that leads to it, is registered as a callback.
    Callback {
        /// The function.
        name: Name,
        /// The function, or the member, by which it is.
        by: Name,
        /// Where.
        at: Loc,
    },
    /// Pages of the same pin are released in a function that asks by this call.
    Like {
        /// The function.
        function: Name,
        /// The call.
        by: Name,
    },
}

/// A primitive call that drops a page reference.
#[derive(Clone, Debug)]
pub struct Release {
    /// File and span of the callee's identifier.
    pub at: Loc,
    /// The whole call expression.
    pub call: Span,
    /// Name called: `put_page`, `release_pages`, …
    pub callee: Name,
    /// Enclosing function.
    pub function: Name,
    /// Pins whose pages reach it, ascending.
    pub pins: Vec<SiteId>,
    /// Everything else that reaches it. Not empty forbids a rewrite.
    pub foreign: Vec<Origin>,
    /// A guard in the code that keeps the foreign origins out of this call, as written; then it may be rewritten.
    pub guarded_by: Option<String>,
    /// Dirtying at the release.
    pub dirty: Dirty,
    /// The condition of the dirtying, as written; empty when unconditional.
    pub dirty_when: String,
    /// Where the dirtying is, if it is a call of its own.
    pub dirtied_at: Option<Span>,
    /// Form.
    pub shape: Shape,
    /// Path.
    pub when: When,
    /// Context.
    pub context: Context,
    /// What shows that it may be atomic.
    pub atomic: Option<Atomic>,
    /// The function around it is damaged.
    pub damaged: bool,
}

/// A place that keeps pinned pages.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holder {
    /// As a reader would write it: `umem->pgs`, `pages`.
    pub text: String,
    /// Kind.
    pub kind: HolderKind,
    /// A parameter from which the pages go to no field, no variable of a file and no release: somebody looks at them.
    pub passes: bool,
}

/// The kinds of holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HolderKind {
    /// Local variable or array.
    Local,
    /// Parameter: an array of the caller.
    Caller,
    /// Field of a struct.
    Field,
    /// File-scope variable.
    Global,
    /// Scatterlist.
    Sg,
    /// A bio.
    Bio,
    /// An skb.
    Skb,
}

/// A place where a trace is lost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gap {
    /// Where.
    pub at: Loc,
    /// Why.
    pub code: GapCode,
    /// The construct, as written.
    pub detail: String,
}

/// Why a trace is lost. Codes are stable: scripts depend on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GapCode {
    /// The function could not be parsed.
    Damaged,
    /// Pages go to a function that was not found in the tree.
    UnknownCallee,
    /// Called through a pointer that was not resolved.
    IndirectCall,
    /// Stored through an expression that is no variable and no field.
    UnknownStore,
    /// Turned into an address, pfn or physical address that was not followed.
    AddressOnly,
    /// Handed to a bio.
    Bio,
    /// Handed to an skb.
    Skb,
    /// Handed to a pipe buffer.
    Pipe,
    /// Inserted into page tables.
    PageTable,
    /// An iterator API (`iov_iter_get_pages`) whose pages may be no user pages.
    IterOrigin,
    /// No caller of the function that receives the pages was found.
    NoCaller,
    /// Cast or union that hides the pointer.
    Cast,
    /// The search grew over its bound.
    Budget,
    /// No release was found on any path.
    NoRelease,
}

impl GapCode {
    /// All codes, for `explain`.
    pub const ALL: &'static [GapCode] = &[
        GapCode::Damaged,
        GapCode::UnknownCallee,
        GapCode::IndirectCall,
        GapCode::UnknownStore,
        GapCode::AddressOnly,
        GapCode::Bio,
        GapCode::Skb,
        GapCode::Pipe,
        GapCode::PageTable,
        GapCode::IterOrigin,
        GapCode::NoCaller,
        GapCode::Cast,
        GapCode::Budget,
        GapCode::NoRelease,
    ];
    /// Stable spelling.
    pub fn code(self) -> &'static str {
        match self {
            GapCode::Damaged => "damaged",
            GapCode::UnknownCallee => "unknown-callee",
            GapCode::IndirectCall => "indirect-call",
            GapCode::UnknownStore => "unknown-store",
            GapCode::AddressOnly => "address-only",
            GapCode::Bio => "bio",
            GapCode::Skb => "skb",
            GapCode::Pipe => "pipe",
            GapCode::PageTable => "page-table",
            GapCode::IterOrigin => "iter-origin",
            GapCode::NoCaller => "no-caller",
            GapCode::Cast => "cast",
            GapCode::Budget => "budget",
            GapCode::NoRelease => "no-release",
        }
    }
}

/// What the tool decides about a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Rewritten.
    Convert,
    /// Found and explained, not rewritten by the tool.
    Assist,
    /// Rightly not converted.
    Leave,
}

/// Why. Codes are stable: scripts depend on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Every release was found, all pages reaching them are pins.
    Complete,
    /// The call passes no page array: nothing is pinned.
    NoPages,
    /// Only `struct page` is looked at (CASE 4).
    StructPageOnly,
    /// Only the address or the number of the page is taken, and the reference dropped (CASE 4).
    AddressTaken,
    /// The code changes the page tables that map the page (CASE 4).
    PageTables,
    /// Kept coherent by an MMU notifier (CASE 3).
    MmuNotifier,
    /// A short read by the CPU; the pin protects no transfer.
    ShortRead,
    /// The call takes a plain reference, and there is no form of it that pins.
    NoPinForm,
    /// The reference is handed on to somebody else.
    HandedOn,
    /// Pages of other origin reach a release.
    MixedOrigin,
    /// The trace is lost.
    Gap,
    /// A release gets the page by way of a number of it.
    ByNumber,
    /// No release was found.
    NoRelease,
    /// A function of the trace could not be parsed.
    Damaged,
    /// Another pin with the same release cannot be converted.
    SharedRelease,
    /// The rewrite of a release is not known.
    NoRule,
    /// A negative count may reach an unsigned parameter.
    SignedCount,
    /// The proof found a difference.
    Differs,
    /// The proof could not run.
    Unproved,
    /// The tree has no function to convert to.
    NoApi,
    /// An iterator API: pages of mixed origin.
    IterOrigin,
    /// Already released by the new call.
    AlreadyConverted,
    /// The call pins user memory by itself and takes no other reference.
    Extracts,
    /// A wrapper API of the kernel pins and releases: nothing to rewrite here.
    WrapperApi,
    /// A pinning function itself, in a header: its calls are sites of their own.
    ForCallers,
    /// The iterator has no user pages.
    NotUserPages,
    /// Pins are counted apart, and a part of the trace is converted already: a bug, not a conversion.
    HalfConverted,
    /// Pins are counted apart, and nothing shows a use that needs one.
    CaseUnknown,
    /// The pinning twin would no longer dirty the pages, and no release does.
    LosesDirty,
    /// Pins are counted apart, and this one would mark the address space of another process for a touch of the CPU.
    OtherMm,
    /// Pins are counted apart, and whether the CPU writes the page depends on the caller.
    CallersDecide,
    /// The pinning calls of this tree count memory without `struct page` and leave its entry unwritten.
    PinHoles,
}

impl Reason {
    /// A pin that is not converted and that keeps no release from being rewritten: it is a pin already, or the call of
    /// a function that pins, in which the site is.
    pub fn is_no_obstacle(self) -> bool {
        matches!(self, Reason::AlreadyConverted | Reason::Extracts | Reason::WrapperApi | Reason::ForCallers)
    }
    /// All codes, for `explain`.
    pub const ALL: &'static [Reason] = &[
        Reason::Complete,
        Reason::NoPages,
        Reason::StructPageOnly,
        Reason::AddressTaken,
        Reason::PageTables,
        Reason::MmuNotifier,
        Reason::ShortRead,
        Reason::NoPinForm,
        Reason::HandedOn,
        Reason::MixedOrigin,
        Reason::Gap,
        Reason::ByNumber,
        Reason::NoRelease,
        Reason::Damaged,
        Reason::SharedRelease,
        Reason::NoRule,
        Reason::SignedCount,
        Reason::Differs,
        Reason::Unproved,
        Reason::NoApi,
        Reason::IterOrigin,
        Reason::AlreadyConverted,
        Reason::Extracts,
        Reason::WrapperApi,
        Reason::ForCallers,
        Reason::NotUserPages,
        Reason::HalfConverted,
        Reason::CaseUnknown,
        Reason::LosesDirty,
        Reason::OtherMm,
        Reason::CallersDecide,
        Reason::PinHoles,
    ];
    /// Stable spelling.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Complete => "complete",
            Reason::NoPages => "no-pages",
            Reason::StructPageOnly => "struct-page-only",
            Reason::AddressTaken => "address-taken",
            Reason::PageTables => "page-tables",
            Reason::MmuNotifier => "mmu-notifier",
            Reason::ShortRead => "short-read",
            Reason::NoPinForm => "no-pin-form",
            Reason::HandedOn => "handed-on",
            Reason::MixedOrigin => "mixed-origin",
            Reason::Gap => "gap",
            Reason::ByNumber => "by-number",
            Reason::NoRelease => "no-release",
            Reason::Damaged => "damaged",
            Reason::SharedRelease => "shared-release",
            Reason::NoRule => "no-rule",
            Reason::SignedCount => "signed-count",
            Reason::Differs => "differs",
            Reason::Unproved => "unproved",
            Reason::NoApi => "no-api",
            Reason::IterOrigin => "iter-origin",
            Reason::AlreadyConverted => "already-converted",
            Reason::Extracts => "extracts",
            Reason::WrapperApi => "wrapper-api",
            Reason::ForCallers => "for-callers",
            Reason::NotUserPages => "not-user-pages",
            Reason::HalfConverted => "half-converted",
            Reason::CaseUnknown => "case-unknown",
            Reason::LosesDirty => "loses-dirty",
            Reason::OtherMm => "other-mm",
            Reason::CallersDecide => "callers-decide",
            Reason::PinHoles => "pin-holes",
        }
    }
}

/// How a callee that neither keeps nor drops a page uses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UseKind {
    /// Looks at `struct page`.
    Meta,
    /// The CPU reads the data.
    Read,
    /// The CPU writes the data.
    Write,
    /// Maps the data for the CPU.
    Map,
    /// Makes the data reachable by a device.
    Io,
    /// Takes a number or address of the page.
    Address,
    /// Hands the reference to an owner of `struct page` (`soft_offline_page`).
    HandedOn,
    /// Takes an extra reference.
    ExtraReference,
    /// Passes it to a function of the tree that was followed.
    Followed,
}

/// A use of the pages of a trace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Use {
    /// Where.
    pub at: Loc,
    /// How.
    pub kind: UseKind,
    /// By.
    pub callee: Name,
}

/// A call that marks pages of a trace dirty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dirtying {
    /// Where.
    pub at: Loc,
    /// How.
    pub kind: Dirty,
    /// What is called.
    pub callee: Name,
    /// In which function.
    pub function: Name,
    /// The function is seen to hold the page lock there.
    pub page_locked: bool,
    /// What shows in its function that it may run in atomic context.
    pub atomic: Option<Atomic>,
}

/// The way of one pin's pages.
#[derive(Clone, Debug)]
pub struct PinTrace {
    /// The pin.
    pub site: SiteId,
    /// Places that keep the pages, in the order they were reached.
    pub holders: Vec<Holder>,
    /// Releases that the pages reach, ascending by place.
    pub releases: Vec<ReleaseId>,
    /// Those among them that get a page by way of a number of it (`put_page(pfn_to_page(n))`).
    pub by_number: Vec<ReleaseId>,
    /// Those among them that the way which is told comes to by a step in doubt.
    pub doubted: Vec<(ReleaseId, Doubt)>,
    /// Releases that drop no reference of the pin, but the one that a holder of the page took for itself.
    pub own: Vec<OwnDrop>,
    /// Where it is lost, ascending by place.
    pub gaps: Vec<Gap>,
    /// Step by step.
    pub steps: Vec<Step>,
    /// Uses on the way, ascending by place.
    pub uses: Vec<Use>,
    /// Calls that mark the pages dirty, ascending by place.
    pub dirtied: Vec<Dirtying>,
    /// Functions that touch the pages, by the place of their name.
    pub functions: Vec<Loc>,
    /// The pages stay in local variables: they are stored in no field and no global.
    pub local: bool,
    /// The `pin_user_pages.rst` CASE 1 to 5; 0 when none applies.
    pub case: u8,
    /// What decided the case.
    pub case_why: String,
    /// What shows it to a reader.
    pub case_shown: String,
    /// Verdict before planning and proof.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// One sentence for a human.
    pub reason_text: String,
}

/// A drop of a reference that a holder took for itself: `obj->page = page; get_page(page);`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnDrop {
    /// The drop.
    pub release: ReleaseId,
    /// What took the reference.
    pub api: Name,
    /// The store that it was taken for.
    pub stored: Loc,
    /// The call that took it, if it is the only one.
    pub taken: Option<Loc>,
    /// What has it, as a reader would write it.
    pub holder: String,
}

/// What is left of traces when objects are told apart by the structs around them, and the runs of a function by what
/// was chosen, counted and done before.
///
/// It is shown where nothing is converted. What these analyses miss leaves a release out: no verdict to convert may
/// rest on them.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    /// Traces that may be others, ascending by site.
    pub traces: Vec<PinTrace>,
    /// All releases, in the order of [`Custody::releases`].
    pub releases: Vec<Release>,
}

/// Everything that custody analysis hands on.
#[derive(Clone, Debug, Default)]
pub struct Custody {
    /// Pin sites, ascending by path and offset.
    pub sites: Vec<PinSite>,
    /// Releases, ascending by path and offset.
    pub releases: Vec<Release>,
    /// Releases that may sleep, by locking the page to dirty it, and that are reached with a lock held under which
    /// nobody may, ascending.
    pub asleep: Vec<ReleaseId>,
    /// Calls that free a page outright (`__free_page()`) and that no pinned page comes to, ascending.
    pub frees_others: Vec<Loc>,
    /// One trace a site, same order as `sites`.
    pub traces: Vec<PinTrace>,
    /// Another look at some of them.
    pub apart: Apart,
    /// Functions that could not be parsed in files that matter, ascending.
    pub damaged: Vec<(FileId, Name, Span)>,
}
