//! The state, and the smallest steps on it that everything else is made of.

use super::caps::Capabilities;
use super::event::{Event, Fault, Pointer, Warning};
use super::page::{Folio, FolioId, Lock, Page, Ptr};

/// The node counters `NR_FOLL_PIN_ACQUIRED` and `NR_FOLL_PIN_RELEASED`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stat {
    /// Pins taken.
    pub acquired: i64,
    /// Pins dropped. Not always equal in the end: `folio_add_pin()` raises no counter (v6.12 mm/gup.c).
    pub released: i64,
}

/// All folios, the counters, the events so far, and the context that the code runs in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Memory {
    /// Folios, by number; also their order in physical memory.
    pub folios: Vec<Folio>,
    /// Node counters.
    pub stat: Stat,
    /// Events, oldest first.
    pub log: Vec<Event>,
    /// Whether sleeping is forbidden here.
    pub atomic: bool,
    caps: CapsOrd,
}

/// [`Capabilities`] that never differ between two memories that are compared; ordering skips them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct CapsOrd(Capabilities);

impl PartialOrd for CapsOrd {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CapsOrd {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name.cmp(other.0.name)
    }
}

impl Memory {
    /// No folios, process context.
    pub fn new(caps: Capabilities) -> Memory {
        Memory { folios: Vec::new(), stat: Stat::default(), log: Vec::new(), atomic: false, caps: CapsOrd(caps) }
    }

    /// What the tree's functions do.
    pub fn caps(&self) -> &Capabilities {
        &self.caps.0
    }

    /// Adds a folio behind the others. A memory holds at most 256; further ones take the last number.
    pub fn add(&mut self, folio: Folio) -> FolioId {
        self.folios.push(folio);
        FolioId((self.folios.len() - 1).min(255) as u8)
    }

    /// `alloc_page()`: an anonymous page with one reference that no pin took.
    pub fn alloc_page(&mut self) -> Page {
        self.add(super::page::Kind::Anon.order0(1)).page(0)
    }

    /// The folio. A number that was not handed out by this memory reads as a freed page.
    pub fn folio(&self, id: FolioId) -> Folio {
        const NONE: Folio = Folio {
            nr: 1,
            refs: 0,
            pinc: 0,
            dirty: false,
            tagged: false,
            wb: false,
            lock: Lock::Free,
            map: super::page::Map::Gone,
            bufs: None,
            aware: false,
            zero: false,
            hugezero: false,
            dev: super::page::Device::None,
            freed: true,
        };
        self.folios.get(usize::from(id.0)).copied().unwrap_or(NONE)
    }

    /// The page behind a pointer: what `compound_head()` or `page_folio()` can read. Reading the head of a freed page
    /// is no fault, as `struct page` is always there; changing it is.
    pub fn follow(&self, ptr: Ptr) -> Result<Page, Fault> {
        match ptr {
            Ptr::Null => Err(Fault::Oops(Pointer::Null)),
            Ptr::ErrPtr(n) => Err(Fault::Oops(Pointer::ErrPtr(n))),
            Ptr::Poison => Err(Fault::Oops(Pointer::Poison)),
            Ptr::Page(page) if usize::from(page.folio.0) < self.folios.len() => Ok(page),
            Ptr::Page(_) => Err(Fault::Oops(Pointer::PastEnd)),
        }
    }

    /// Entry `i` of an array; past its end is an oops.
    pub(super) fn entry(&self, pages: &[Ptr], i: u64) -> Result<Page, Fault> {
        match usize::try_from(i).ok().and_then(|i| pages.get(i)) {
            Some(&ptr) => self.follow(ptr),
            None => Err(Fault::Oops(Pointer::PastEnd)),
        }
    }

    /// `nth_page(page, i)`: the page `i` places behind in physical memory.
    pub(super) fn nth(&self, page: Page, i: u64) -> Result<Page, Fault> {
        let mut id = usize::from(page.folio.0);
        let mut idx = u64::from(page.idx).checked_add(i).ok_or(Fault::Oops(Pointer::PastEnd))?;
        while let Some(folio) = self.folios.get(id) {
            if idx < u64::from(folio.nr) {
                return Ok(FolioId(id as u8).page(idx as u8));
            }
            idx -= u64::from(folio.nr);
            id += 1;
        }
        Err(Fault::Oops(Pointer::PastEnd))
    }

    /// The folio, to be changed: a freed one is a use after free.
    pub(super) fn change(&mut self, id: FolioId) -> Result<&mut Folio, Fault> {
        match self.folios.get_mut(usize::from(id.0)) {
            Some(folio) if !folio.freed => Ok(folio),
            _ => Err(Fault::UseAfterFree(id)),
        }
    }

    /// Writes an event.
    pub(super) fn note(&mut self, event: Event) {
        self.log.push(event);
    }

    /// Adds to the reference count; wraps as an `atomic_t` does.
    pub(super) fn ref_add(&mut self, id: FolioId, n: i32) -> Result<(), Fault> {
        let folio = self.change(id)?;
        folio.refs = folio.refs.wrapping_add(n);
        Ok(())
    }

    /// `atomic_sub_return()` on the reference count. Warns [`Warning::Underflow`] below zero, and goes on as the
    /// kernel does.
    pub(super) fn ref_sub_return(&mut self, id: FolioId, n: i32) -> Result<i32, Fault> {
        let folio = self.change(id)?;
        let old = folio.refs;
        folio.refs = old.wrapping_sub(n);
        let new = folio.refs;
        if new < 0 {
            self.note(Event::Warn(Warning::Underflow(id)));
        }
        Ok(new)
    }

    /// Adds to the pin count.
    pub(super) fn pin_add(&mut self, id: FolioId, n: i32) -> Result<(), Fault> {
        let folio = self.change(id)?;
        folio.pinc = folio.pinc.wrapping_add(n);
        Ok(())
    }

    /// Subtracts from the pin count; warns [`Warning::Underflow`] below zero.
    pub(super) fn pin_sub(&mut self, id: FolioId, n: i32) -> Result<(), Fault> {
        let folio = self.change(id)?;
        folio.pinc = folio.pinc.wrapping_sub(n);
        if folio.pinc < 0 {
            self.note(Event::Warn(Warning::Underflow(id)));
        }
        Ok(())
    }

    /// `__put_page()`, `__folio_put()`: the last reference is gone.
    pub(super) fn free(&mut self, id: FolioId) -> Result<(), Fault> {
        let tracked = self.caps().tracked;
        let folio = self.change(id)?;
        folio.freed = true;
        let pinned = tracked && folio.compound() && folio.pinc != 0;
        self.note(Event::Free(id));
        if pinned {
            self.note(Event::Warn(Warning::FreePinned(id)));
        }
        Ok(())
    }

    /// Whether pins of this folio are counted apart.
    pub(super) fn use_pincount(&self, id: FolioId) -> bool {
        self.caps().use_pincount(self.folio(id).order())
    }

    /// `might_sleep()`. Event [`Event::MightSleep`]; fault [`Fault::SleepInAtomic`].
    pub fn might_sleep(&mut self) -> Result<(), Fault> {
        self.note(Event::MightSleep);
        if self.atomic { Err(Fault::SleepInAtomic) } else { Ok(()) }
    }

    /// `lock_page()` (v5.2.1 include/linux/pagemap.h), `folio_lock()` (v6.1): takes the lock of the head.
    ///
    /// Needs process context. Faults: sleep in atomic, bad pointer, self-deadlock, use after free. Events: may sleep,
    /// lock. A lock that somebody else holds is waited for.
    pub fn lock_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        self.might_sleep()?;
        let id = self.follow(ptr)?.folio;
        self.lock_folio(id)
    }

    /// `folio_lock()` behind its `might_sleep()`.
    pub(super) fn lock_folio(&mut self, id: FolioId) -> Result<(), Fault> {
        let folio = self.change(id)?;
        if folio.lock == Lock::Caller {
            return Err(Fault::SelfDeadlock(id));
        }
        folio.lock = Lock::Caller;
        self.note(Event::Lock(id));
        Ok(())
    }

    /// `trylock_page()`: takes the lock if it is free. Never sleeps.
    pub fn trylock_page(&mut self, ptr: Ptr) -> Result<bool, Fault> {
        let id = self.follow(ptr)?.folio;
        let folio = self.change(id)?;
        if folio.lock != Lock::Free {
            return Ok(false);
        }
        folio.lock = Lock::Caller;
        self.note(Event::Lock(id));
        Ok(true)
    }

    /// `unlock_page()` (v5.2.1 mm/filemap.c). Fault: the lock is free (`VM_BUG_ON_PAGE(!PageLocked)`, taken as a bug
    /// here although it is compiled in with `CONFIG_DEBUG_VM` only).
    pub fn unlock_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let id = self.follow(ptr)?.folio;
        let folio = self.change(id)?;
        if folio.lock == Lock::Free {
            return Err(Fault::Bug("unlock_page() on a page that is not locked"));
        }
        folio.lock = Lock::Free;
        self.note(Event::Unlock(id));
        Ok(())
    }

    /// `page_count()`: the count of the head. Fault: bad pointer, use after free.
    pub fn page_count(&self, ptr: Ptr) -> Result<i32, Fault> {
        self.read(ptr).map(|folio| folio.refs)
    }

    /// `PageDirty()` of the head. Fault: bad pointer, use after free.
    pub fn page_dirty(&self, ptr: Ptr) -> Result<bool, Fault> {
        self.read(ptr).map(|folio| folio.dirty)
    }

    /// `PageCompound()`. Fault: bad pointer, use after free.
    pub fn page_compound(&self, ptr: Ptr) -> Result<bool, Fault> {
        self.read(ptr).map(|folio| folio.compound())
    }

    /// `PageReserved()`: the zero page is. Fault: bad pointer, use after free.
    pub fn page_reserved(&self, ptr: Ptr) -> Result<bool, Fault> {
        self.read(ptr).map(|folio| folio.zero)
    }

    /// `compound_head()`. Fault: bad pointer.
    pub fn compound_head(&self, ptr: Ptr) -> Result<Page, Fault> {
        self.follow(ptr).map(|page| page.folio.page(0))
    }

    /// A driver that reads a page it no longer owns reads garbage: a use after free here.
    fn read(&self, ptr: Ptr) -> Result<Folio, Fault> {
        let page = self.follow(ptr)?;
        let folio = self.folio(page.folio);
        if folio.freed { Err(Fault::UseAfterFree(page.folio)) } else { Ok(folio) }
    }
}
