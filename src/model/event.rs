//! What a run of the model leaves behind besides its state: events, warnings, and the fault that ended it.

use super::acquire::Grab;
use super::page::{FolioId, Page};
use std::fmt;

/// Something that happened, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Event {
    /// A reference to this page was taken. Written also where the pin of a zero page changes no count.
    Acquire {
        /// The page.
        page: Page,
        /// Kind of reference.
        how: Grab,
    },
    /// A reference to this page was dropped; a run of three pages writes three. Written also for zero pages.
    Release {
        /// The page.
        page: Page,
        /// Kind of reference.
        how: Grab,
    },
    /// `set_page_dirty()` ran on the folio. The check in front of it that finds it dirty writes nothing.
    Dirty(FolioId),
    /// `SetPageDirty()` ran: the flag alone.
    DirtyFlag(FolioId),
    /// `might_sleep()` was reached.
    MightSleep,
    /// The page lock was taken.
    Lock(FolioId),
    /// The page lock was given back.
    Unlock(FolioId),
    /// The last reference is gone: the folio was freed.
    Free(FolioId),
    /// A device page became idle: its count fell to 1 and the waiter was woken.
    Idle(FolioId),
    /// A warning.
    Warn(Warning),
}

/// A `WARN_ON()` of the kernel, or a broken invariant that the kernel does not notice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Warning {
    /// A grab found a count of zero or less (`try_get_page()`, `try_grab_page()`, `try_get_folio()`).
    BadGrab(FolioId),
    /// `ext4_set_page_dirty()`: neither locked nor dirty.
    DirtyUnlocked(FolioId),
    /// `ext4_set_page_dirty()`: no buffers. Writing it back hits a `BUG_ON()` later (v5.2.1).
    DirtyNoBuffers(FolioId),
    /// `unpin_user_pages()`, `unpin_folios()`: the count is an error value.
    ErrorCount,
    /// `folio_add_pin()` on a folio that nobody pinned.
    NotPinned(FolioId),
    /// A count fell below zero. The kernel goes on; the page is never freed, or freed under somebody.
    Underflow(FolioId),
    /// Freed with a pin count that is not zero (`bad_page()`, "nonzero pincount").
    FreePinned(FolioId),
    /// A call that always fails: flags that the function refuses (`WARN_ON_ONCE()` in the get and pin functions).
    BadFlags,
}

/// A pointer that a function followed although it must not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pointer {
    /// NULL.
    Null,
    /// `ERR_PTR(-n)`.
    ErrPtr(i32),
    /// Memory that was never written.
    Poison,
    /// Past the end of the array (a count too large, or negative as unsigned) or of memory.
    PastEnd,
}

/// What ended a run. The state shows how far it had come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// A bad pointer was followed.
    Oops(Pointer),
    /// A freed folio was changed.
    UseAfterFree(FolioId),
    /// The page lock was taken by the code that holds it.
    SelfDeadlock(FolioId),
    /// `might_sleep()` in atomic context.
    SleepInAtomic,
    /// A `BUG_ON()`, with the condition.
    Bug(&'static str),
    /// A loop that makes no progress.
    Endless,
    /// The tree has no such function.
    Missing(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Oops(Pointer::Null) => f.write_str("oops: NULL is used as a page"),
            Fault::Oops(Pointer::ErrPtr(n)) => write!(f, "oops: ERR_PTR({n}) is used as a page"),
            Fault::Oops(Pointer::Poison) => f.write_str("oops: an entry that was never written is used as a page"),
            Fault::Oops(Pointer::PastEnd) => f.write_str("oops: the loop runs off the end of the page array"),
            Fault::UseAfterFree(id) => write!(f, "use after free of page {}", id.0),
            Fault::SelfDeadlock(id) => write!(f, "self-deadlock: page {} is already locked by this code", id.0),
            Fault::SleepInAtomic => f.write_str("sleep in atomic context"),
            Fault::Bug(what) => write!(f, "BUG: {what}"),
            Fault::Endless => f.write_str("endless loop"),
            Fault::Missing(name) => write!(f, "this tree has no {name}()"),
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::BadGrab(id) => write!(f, "reference to page {} refused: its count is zero or less", id.0),
            Warning::DirtyUnlocked(id) => write!(f, "page {} dirtied without the page lock", id.0),
            Warning::DirtyNoBuffers(id) => write!(f, "page {} dirtied without buffers", id.0),
            Warning::ErrorCount => f.write_str("an error value was passed as number of pages"),
            Warning::NotPinned(id) => write!(f, "page {} gets one more pin but has none", id.0),
            Warning::Underflow(id) => write!(f, "the count of page {} fell below zero", id.0),
            Warning::FreePinned(id) => write!(f, "page {} freed with a pin count", id.0),
            Warning::BadFlags => f.write_str("flags that this call always refuses"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = |p: &Page| if p.idx == 0 { format!("{}", p.folio.0) } else { format!("{}+{}", p.folio.0, p.idx) };
        match self {
            Event::Acquire { page: p, how: Grab::Get } => write!(f, "get page {}", page(p)),
            Event::Acquire { page: p, how: Grab::Pin } => write!(f, "pin page {}", page(p)),
            Event::Release { page: p, how: Grab::Get } => write!(f, "put page {}", page(p)),
            Event::Release { page: p, how: Grab::Pin } => write!(f, "unpin page {}", page(p)),
            Event::Dirty(id) => write!(f, "dirty page {}", id.0),
            Event::DirtyFlag(id) => write!(f, "set the dirty flag of page {} only", id.0),
            Event::MightSleep => f.write_str("may sleep"),
            Event::Lock(id) => write!(f, "lock page {}", id.0),
            Event::Unlock(id) => write!(f, "unlock page {}", id.0),
            Event::Free(id) => write!(f, "page {} freed", id.0),
            Event::Idle(id) => write!(f, "device page {} idle", id.0),
            Event::Warn(w) => write!(f, "warning: {w}"),
        }
    }
}
