//! Dropping the references of a whole array, with or without dirtying.
//!
//! Counts are `unsigned long` in the kernel and `u64` here: pass a negative result as the kernel would, `n as u64`.
//! A loop that runs off the end of the array is an oops; nothing loops 2^64 times.

use super::acquire::Grab;
use super::caps::HugeZeroSkip;
use super::event::{Event, Fault, Pointer, Warning};
use super::is_err_value;
use super::memory::Memory;
use super::page::{Device, Page, Ptr};

impl Memory {
    /// `put_user_pages()`: [`Memory::put_user_page`] of each entry. No guard: a negative count runs off the array.
    ///
    /// Never sleeps. Faults: bad pointer, use after free, missing. v5.2.1, v5.4 mm/gup.c.
    pub fn put_user_pages(&mut self, pages: &[Ptr], n: u64) -> Result<(), Fault> {
        self.need_put_user("put_user_pages")?;
        for i in 0..n {
            let page = self.entry(pages, i)?;
            self.put_user_page(Ptr::Page(page))?;
        }
        Ok(())
    }

    /// `put_user_pages_dirty()`: for each entry `set_page_dirty()` of a clean head, then put. v5.2.1 mm/gup.c
    /// `__put_user_pages_dirty()`. Needs what [`Memory::set_page_dirty`] needs.
    pub fn put_user_pages_dirty(&mut self, pages: &[Ptr], n: u64) -> Result<(), Fault> {
        if !self.caps().put_user_pages_dirty {
            return Err(Fault::Missing("put_user_pages_dirty"));
        }
        for i in 0..n {
            let page = self.entry(pages, i)?;
            if !self.folio(page.folio).dirty {
                self.dirty_folio(page.folio)?;
            }
            self.put_user_page(Ptr::Page(page))?;
        }
        Ok(())
    }

    /// `put_user_pages_dirty_lock()`: for each entry `set_page_dirty_lock()` of a clean head, then put.
    ///
    /// `make_dirty` is `None` for the form of two arguments (v5.2.1 mm/gup.c) and `Some` for that of three (v5.4);
    /// `Some(false)` is [`Memory::put_user_pages`]. Sleeps iff it meets a clean head: needs process context and the
    /// page locks free. Faults: sleep in atomic, self-deadlock, bad pointer, use after free, missing.
    pub fn put_user_pages_dirty_lock(&mut self, pages: &[Ptr], n: u64, make_dirty: Option<bool>) -> Result<(), Fault> {
        self.need_put_user("put_user_pages_dirty_lock")?;
        if make_dirty.is_some() != (self.caps().dirty_lock_arity == 3) {
            return Err(Fault::Missing("put_user_pages_dirty_lock with this number of arguments"));
        }
        if make_dirty == Some(false) {
            return self.put_user_pages(pages, n);
        }
        for i in 0..n {
            let page = self.entry(pages, i)?;
            if !self.folio(page.folio).dirty {
                self.set_page_dirty_lock(Ptr::Page(page.folio.page(0)))?;
            }
            self.put_user_page(Ptr::Page(page))?;
        }
        Ok(())
    }

    /// `unpin_user_pages()`: drops the pin of each entry.
    ///
    /// Since v5.10 a count that is an error value warns and does nothing. Since v6.1 consecutive entries of one folio
    /// are dropped at once, and the entry behind a run is read before the run is dropped: NULL there is an oops in
    /// every tree, while NULL at the start of a run is skipped since v6.12. Never sleeps. Faults: bad pointer, use
    /// after free, missing. v5.7, v6.1, v6.12 mm/gup.c.
    pub fn unpin_user_pages(&mut self, pages: &[Ptr], n: u64) -> Result<(), Fault> {
        self.need_tracked("unpin_user_pages")?;
        let caps = *self.caps();
        if caps.err_guard && is_err_value(n) {
            self.note(Event::Warn(Warning::ErrorCount));
            return Ok(());
        }
        let mut i = 0;
        while i < n {
            if caps.null_skip_at_run_start && usize::try_from(i).ok().and_then(|i| pages.get(i)) == Some(&Ptr::Null) {
                i += 1;
                continue;
            }
            let run = self.run(pages, n, i)?;
            self.unpin(run[0].folio, &run)?;
            i += run.len() as u64;
        }
        Ok(())
    }

    /// `unpin_user_pages_dirty_lock()`: dirties each clean folio under its lock, then drops the pins; run by run since
    /// v6.1, entry by entry before. `make_dirty` false is [`Memory::unpin_user_pages`], with its guards; true has no
    /// guard in any tree.
    ///
    /// Sleeps iff it meets a clean head. Faults: sleep in atomic, self-deadlock, bad pointer, use after free, missing.
    /// v5.7, v6.1, v6.12 mm/gup.c.
    pub fn unpin_user_pages_dirty_lock(&mut self, pages: &[Ptr], n: u64, make_dirty: bool) -> Result<(), Fault> {
        self.need_tracked("unpin_user_pages_dirty_lock")?;
        if !make_dirty {
            return self.unpin_user_pages(pages, n);
        }
        let mut i = 0;
        while i < n {
            let run = self.run(pages, n, i)?;
            self.dirty_clean(run[0])?;
            self.unpin(run[0].folio, &run)?;
            i += run.len() as u64;
        }
        Ok(())
    }

    /// `unpin_user_page_range_dirty_lock()`: as [`Memory::unpin_user_pages_dirty_lock`] over `n` pages that lie behind
    /// `page` in memory; no array, no guard. v6.1 mm/gup.c `gup_folio_range_next()`.
    ///
    /// Fault also: endless, when 2^32 more pages are asked for inside a compound page (the run is an `unsigned int`).
    pub fn unpin_user_page_range_dirty_lock(&mut self, page: Ptr, n: u64, make_dirty: bool) -> Result<(), Fault> {
        if !self.caps().range_release {
            return Err(Fault::Missing("unpin_user_page_range_dirty_lock"));
        }
        let mut i = 0;
        while i < n {
            let start = self.follow(page)?;
            let next = self.nth(start, i)?;
            let folio = self.folio(next.folio);
            let rest = (n - i) as u32;
            let len = if folio.compound() { rest.min(u32::from(folio.nr - next.idx)) } else { 1 };
            if len == 0 {
                return Err(Fault::Endless);
            }
            if make_dirty {
                self.dirty_clean(next)?;
            }
            let run: Vec<Page> = (next.idx..).take(len as usize).map(|idx| next.folio.page(idx)).collect();
            self.unpin(next.folio, &run)?;
            i += u64::from(len);
        }
        Ok(())
    }

    /// `unpin_folios()`: drops a pin of each folio; NULL is skipped everywhere, an error value as count warns and does
    /// nothing. v6.12 mm/gup.c.
    pub fn unpin_folios(&mut self, folios: &[Ptr], n: u64) -> Result<(), Fault> {
        self.need_folio_calls("unpin_folios")?;
        if is_err_value(n) {
            self.note(Event::Warn(Warning::ErrorCount));
            return Ok(());
        }
        let mut i = 0;
        while i < n {
            let Some(&first) = usize::try_from(i).ok().and_then(|at| folios.get(at)) else {
                return Err(Fault::Oops(Pointer::PastEnd));
            };
            let rest = folios.iter().skip(i as usize).take(usize::try_from(n - i).unwrap_or(usize::MAX));
            let len = rest.take_while(|&&p| p == first).count();
            if first != Ptr::Null {
                let page = self.follow(first)?;
                self.unpin(page.folio, &vec![page; len])?;
            }
            i += len as u64;
        }
        Ok(())
    }

    /// `release_pages()`: [`Memory::put_page`] of each entry, but the huge zero page is skipped although its grab
    /// counted ([`HugeZeroSkip`]), and v5.2.1 misses the idle wake-up of FS-DAX pages. A negative count does nothing.
    ///
    /// Since v6.12 the heads of up to 31 entries are read before the first is dropped. Never sleeps. Faults: bad
    /// pointer, use after free. v5.2.1, v5.4, v6.1 mm/swap.c; v6.12 `folios_put_refs()`.
    pub fn release_pages(&mut self, pages: &[Ptr], n: i32) -> Result<(), Fault> {
        let batch = u64::from(self.caps().release_batch.max(1));
        let n = u64::try_from(n).unwrap_or(0);
        let mut start = 0;
        while start < n {
            let end = n.min(start + batch);
            let heads: Vec<Page> = (start..end).map(|i| self.entry(pages, i)).collect::<Result<_, _>>()?;
            for page in heads {
                self.release_entry(page)?;
            }
            start = end;
        }
        Ok(())
    }

    fn release_entry(&mut self, page: Page) -> Result<(), Fault> {
        let caps = *self.caps();
        let folio = self.folio(page.folio);
        let skipped = match caps.huge_zero_skip {
            HugeZeroSkip::HeadOnly => page.idx == 0,
            HugeZeroSkip::WholeFolio => true,
        };
        if folio.hugezero && skipped {
            return Ok(());
        }
        self.note(Event::Release { page, how: Grab::Get });
        if folio.dev == Device::FsDax && !caps.release_pages_misses_devmap {
            self.put_refs(page.folio, 1)
        } else {
            self.put_plain(page.folio, 1)
        }
    }

    /// `if (!folio_test_dirty()) { lock; dirty; unlock }`
    fn dirty_clean(&mut self, page: Page) -> Result<(), Fault> {
        if self.folio(page.folio).dirty { Ok(()) } else { self.set_page_dirty_lock(Ptr::Page(page.folio.page(0))) }
    }

    /// The entries from `i` on that are dropped at once: one where runs are not grouped, else `gup_folio_next()`.
    /// Never empty.
    fn run(&self, pages: &[Ptr], n: u64, i: u64) -> Result<Vec<Page>, Fault> {
        let first = self.entry(pages, i)?;
        let mut run = vec![first];
        if self.caps().run_grouping {
            for k in i + 1..n {
                let page = self.entry(pages, k)?;
                if page.folio != first.folio {
                    break;
                }
                run.push(page);
            }
        }
        Ok(run)
    }

    fn need_put_user(&self, name: &'static str) -> Result<(), Fault> {
        if self.caps().put_user { Ok(()) } else { Err(Fault::Missing(name)) }
    }
}
