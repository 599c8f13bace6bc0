//! Dropping one reference or one pin: `put_page()` and its kin. The calls that take arrays are in `release_batch.rs`.

use super::acquire::Grab;
use super::event::{Event, Fault};
use super::memory::Memory;
use super::page::{Device, FolioId, Page, Ptr};

impl Memory {
    /// `put_page()`: drops one reference of the head; the last one frees the folio. An FS-DAX page wakes its waiter
    /// at 1, and at 0 is freed only where [`super::Capabilities::devmap_zero_frees`].
    ///
    /// Never sleeps. Events: release, free or idle. Warning: underflow. Faults: bad pointer, use after free.
    /// v5.2.1, v5.7, v6.1, v6.12 include/linux/mm.h; kernel/memremap.c, mm/memremap.c for device pages.
    pub fn put_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let page = self.follow(ptr)?;
        self.note(Event::Release { page, how: Grab::Get });
        self.put_refs(page.folio, 1)
    }

    /// `folio_put()`: as [`Memory::put_page`] but blind to device pages. v6.1 include/linux/mm.h.
    pub fn folio_put(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let page = self.follow(ptr)?;
        self.note(Event::Release { page, how: Grab::Get });
        self.put_plain(page.folio, 1)
    }

    /// `__free_page()`, `__free_pages()`: drops the reference that `alloc_page()` gave. v5.2.1 mm/page_alloc.c.
    pub fn free_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        self.folio_put(ptr)
    }

    /// `put_user_page()`: in this dialect the same as [`Memory::put_page`], by declaration not interchangeable with
    /// it. v5.2.1 include/linux/mm.h. Fault also: missing in other dialects.
    pub fn put_user_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        if !self.caps().put_user {
            return Err(Fault::Missing("put_user_page"));
        }
        self.put_page(ptr)
    }

    /// `unpin_user_page()`: drops one pin. Counts as [`Memory::grab`] raised them: pin count and reference, or the
    /// bias; nothing on the zero page where its pin does nothing. Freed at exactly 0.
    ///
    /// Never sleeps. Events: release, free or idle. Warning: underflow. Faults: bad pointer, use after free, missing.
    /// v5.7 mm/gup.c `unpin_user_page()`, `__unpin_devmap_managed_user_page()`; v6.1 and v6.12 `gup_put_folio()`.
    pub fn unpin_user_page(&mut self, ptr: Ptr) -> Result<(), Fault> {
        self.need_tracked("unpin_user_page")?;
        let page = self.follow(ptr)?;
        self.unpin(page.folio, &[page])
    }

    /// `unpin_folio()`: one pin of a folio. v6.12 mm/gup.c. Faults: as [`Memory::unpin_user_page`].
    pub fn unpin_folio(&mut self, folio: Ptr) -> Result<(), Fault> {
        self.need_folio_calls("unpin_folio")?;
        let page = self.follow(folio)?;
        self.unpin(page.folio, &[page])
    }

    /// `unpin_user_folio()`: `n` pins of a folio; the count is cut to an `int`. v6.12 mm/gup.c.
    pub fn unpin_user_folio(&mut self, folio: Ptr, n: u64) -> Result<(), Fault> {
        self.need_folio_calls("unpin_user_folio")?;
        let page = self.follow(folio)?;
        let logical = vec![page; usize::try_from(n.min(u64::from(u8::MAX))).unwrap_or(0)];
        self.unpin_counted(page.folio, n as i32, &logical)
    }

    /// Drops the pins of `pages`, all of this folio, at once.
    pub(super) fn unpin(&mut self, id: FolioId, pages: &[Page]) -> Result<(), Fault> {
        self.unpin_counted(id, pages.len() as i32, pages)
    }

    /// `gup_put_folio(folio, refs, FOLL_PIN)`; `pages` are for the events.
    pub(super) fn unpin_counted(&mut self, id: FolioId, refs: i32, pages: &[Page]) -> Result<(), Fault> {
        let caps = *self.caps();
        for &page in pages {
            self.note(Event::Release { page, how: Grab::Pin });
        }
        if caps.zero_pin_noop && self.folio(id).zero {
            return Ok(());
        }
        if caps.stat_before_put {
            self.stat.released += i64::from(refs);
        }
        if self.use_pincount(id) {
            self.pin_sub(id, refs)?;
            self.put_refs(id, refs)?;
        } else {
            self.put_refs(id, refs.wrapping_mul(caps.bias))?;
        }
        if !caps.stat_before_put {
            self.stat.released += i64::from(refs);
        }
        Ok(())
    }

    /// Drops `refs` references, with the device case in front.
    pub(super) fn put_refs(&mut self, id: FolioId, refs: i32) -> Result<(), Fault> {
        if self.folio(id).dev != Device::FsDax {
            return self.put_plain(id, refs);
        }
        match self.ref_sub_return(id, refs)? {
            1 => self.note(Event::Idle(id)),
            0 if self.caps().devmap_zero_frees => self.free(id)?,
            _ => {}
        }
        Ok(())
    }

    /// Drops `refs` references, without the device case.
    pub(super) fn put_plain(&mut self, id: FolioId, refs: i32) -> Result<(), Fault> {
        if self.ref_sub_return(id, refs)? == 0 {
            self.free(id)?;
        }
        Ok(())
    }

    pub(super) fn need_tracked(&self, name: &'static str) -> Result<(), Fault> {
        if self.caps().tracked { Ok(()) } else { Err(Fault::Missing(name)) }
    }

    pub(super) fn need_folio_calls(&self, name: &'static str) -> Result<(), Fault> {
        if self.caps().folio_release { Ok(()) } else { Err(Fault::Missing(name)) }
    }
}
