//! A loop that dirties and drops every page of an array becomes one call of `put_user_pages_dirty_lock()`.
//!
//! # What it does
//! As `loop_put`, for a body that also calls `set_page_dirty_lock()`, `set_page_dirty()` or `SetPageDirty()` on the
//! entry before `put_page()`. A condition around the dirtying that has the same value for all pages chooses between two
//! calls (two-argument trees) or becomes the last argument (`bool make_dirty`, three-argument trees). It is kept as
//! written and evaluated once. A `!PageDirty(page)` in it goes: the new function tests that itself.
//!
//! # Why
//! One call says what happens to the pages at the end of a transfer, and the new function takes the page lock, without
//! which the file system may lose the page under the dirtying.
//!
//! # Example
//! ```c
//! for (i = 0; i < npages; i++) {
//!         if (write)
//!                 set_page_dirty_lock(pages[i]);
//!         put_page(pages[i]);
//! }
//! ```
//! becomes
//! ```c
//! if (write)
//!         put_user_pages_dirty_lock(pages, npages);
//! else
//!         put_user_pages(pages, npages);
//! ```
//!
//! # Fix safety
//! `set_page_dirty()` and `SetPageDirty()` become the locking form only where the code may sleep and does not hold the
//! page lock, and the commit message says so. Where it must not sleep, `set_page_dirty()` becomes
//! `put_user_pages_dirty()` if the tree has it, else the loop stays. A condition that depends on the page keeps the
//! loop.

use super::batch::{Fold, fold};
use super::body::page_loop;
use super::{Rewrite, Scene, Unit};

/// Folds a loop that dirties.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let pages = page_loop(unit.around().filter(|_| unit.alone)?)?;
    if pages.put.is_none_or(|p| p.span != unit.call.span) {
        return None;
    }
    let dirty = Some(pages.dirty.clone()?);
    fold(scene, unit, &Fold { rule: "loop_dirty_put", span: pages.span, pages, dirty, also: None })
}
