//! Taking references: `get_page()`, and the grab functions under the get and pin calls.

use super::caps::Capabilities;
use super::event::{Event, Fault, Warning};
use super::memory::Memory;
use super::page::{FolioId, Page, Ptr};

/// Kind of a reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grab {
    /// `FOLL_GET`, `get_page()`.
    Get,
    /// `FOLL_PIN`.
    Pin,
}

/// Which of the two grab functions runs. They differ in the warning on a count of exactly zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Path {
    /// The page tables are locked, the page cannot go away: zero references are a bug.
    Slow,
    /// `get_user_pages_fast()`: it may go away under us, zero is legal and refused quietly.
    Fast,
}

impl Memory {
    /// `get_page()`: one more reference on the head. Needs that the caller holds one (`VM_BUG_ON_PAGE()` otherwise,
    /// with `CONFIG_DEBUG_VM` only). Faults: bad pointer, use after free. v5.2.1 include/linux/mm.h, v6.12 same.
    pub fn get_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let page = self.follow(ptr)?;
        self.ref_add(page.folio, 1)?;
        self.note(Event::Acquire { page, how: Grab::Get });
        Ok(())
    }

    /// `try_get_page()`: as [`Memory::get_page`], but warns and fails on a count of zero or less. v4.19 has no check.
    /// v5.2.1 include/linux/mm.h.
    pub fn try_get_page(&mut self, ptr: Ptr) -> Result<bool, Fault> {
        let page = self.follow(ptr)?;
        self.grab(page, 1, Grab::Get, Path::Slow)
    }

    /// [`Memory::grab`] of one reference for `FOLL_GET` in the slow path.
    pub fn grab_get(&mut self, page: Page) -> Result<bool, Fault> {
        self.grab(page, 1, Grab::Get, Path::Slow)
    }

    /// [`Memory::grab`] of one pin for `FOLL_PIN` in the slow path.
    pub fn grab_pin(&mut self, page: Page) -> Result<bool, Fault> {
        self.grab(page, 1, Grab::Pin, Path::Slow)
    }

    /// Takes `refs` references or pins for consecutive pages of one folio, from `page` on. `false`: refused, no change.
    ///
    /// All counts are on the head: a huge page of four taken whole gets four references. A pin adds to the pin count
    /// and as many references where the order has a pin count, else `refs` times the bias. The zero page is not
    /// pinned where [`Capabilities::zero_pin_noop`]. Warning: [`Warning::BadGrab`]. Fault: bad pointer, or
    /// [`Fault::Missing`] for a pin where pins are not tracked.
    ///
    /// v5.2.1 mm/gup.c `try_get_compound_head()`, include/linux/mm.h `try_get_page()`; v5.7 mm/gup.c
    /// `try_grab_page()`, `try_grab_compound_head()`; v6.1 mm/gup.c `try_grab_page()`, `try_grab_folio()`;
    /// v6.12 mm/gup.c `try_grab_folio()`, `try_grab_folio_fast()`.
    pub fn grab(&mut self, page: Page, refs: i32, how: Grab, path: Path) -> Result<bool, Fault> {
        self.follow(Ptr::Page(page))?;
        let caps = *self.caps();
        let id = page.folio;
        if how == Grab::Pin && !caps.tracked {
            return Err(Fault::Missing("pin_user_pages"));
        }
        let zero_noop = how == Grab::Pin && caps.zero_pin_noop && self.folio(id).zero;
        // The fast functions look at the zero page before they look at the count.
        let looks = !zero_noop || path == Path::Slow;
        if looks && !self.grab_allowed(id, &caps, path) {
            return Ok(false);
        }
        if !zero_noop {
            self.grab_counts(id, refs, how, &caps)?;
        }
        for i in 0..u64::try_from(refs).unwrap_or(0) {
            match self.nth(page, i) {
                Ok(p) if p.folio == id => self.note(Event::Acquire { page: p, how }),
                _ => break,
            }
        }
        Ok(true)
    }

    fn grab_allowed(&mut self, id: FolioId, caps: &Capabilities, path: Path) -> bool {
        let count = self.folio(id).refs;
        if !caps.grab_checks_ref || count > 0 {
            return true;
        }
        if path == Path::Slow || count < 0 {
            self.note(Event::Warn(Warning::BadGrab(id)));
        }
        false
    }

    fn grab_counts(&mut self, id: FolioId, refs: i32, how: Grab, caps: &Capabilities) -> Result<(), Fault> {
        match how {
            Grab::Get => self.ref_add(id, refs),
            Grab::Pin => {
                if self.use_pincount(id) {
                    self.ref_add(id, refs)?;
                    self.pin_add(id, refs)?;
                } else {
                    self.ref_add(id, refs.wrapping_mul(caps.bias))?;
                }
                self.stat.acquired += i64::from(refs);
                Ok(())
            }
        }
    }

    /// `folio_add_pin()`: one more pin on a folio that is pinned. Raises no node counter, while its unpin does. The
    /// count is compared as unsigned, so that one below zero does not warn (the bias is `1U << 10`).
    /// Warning: [`Warning::NotPinned`]. Faults: use after free, missing before v6.12.
    /// v6.12 mm/gup.c `folio_add_pin()`.
    pub fn folio_add_pin(&mut self, id: FolioId) -> Result<(), Fault> {
        let caps = *self.caps();
        if !caps.folio_release {
            return Err(Fault::Missing("folio_add_pin"));
        }
        let folio = self.folio(id);
        if folio.zero {
            return Ok(());
        }
        if folio.compound() {
            if folio.pinc < 1 {
                self.note(Event::Warn(Warning::NotPinned(id)));
            }
            self.ref_add(id, 1)?;
            self.pin_add(id, 1)?;
        } else {
            if folio.refs.cast_unsigned() < caps.bias.cast_unsigned() {
                self.note(Event::Warn(Warning::NotPinned(id)));
            }
            self.ref_add(id, caps.bias)?;
        }
        self.note(Event::Acquire { page: id.page(0), how: Grab::Pin });
        Ok(())
    }

    /// `page_maybe_dma_pinned()`, `folio_maybe_dma_pinned()`: exact where there is a pin count, else true from 1024
    /// references on, read as unsigned so that an overflowed count still says yes. v5.7, v6.1 include/linux/mm.h.
    /// Always false where pins are not tracked.
    pub fn maybe_dma_pinned(&self, id: FolioId) -> bool {
        let folio = self.folio(id);
        if !self.caps().tracked {
            false
        } else if self.use_pincount(id) {
            folio.pinc > 0
        } else {
            folio.refs.cast_unsigned() >= self.caps().bias.cast_unsigned()
        }
    }
}
