//! A conditional dirtying of a single page takes the page lock, and the page is dropped by `put_user_page()`.
//!
//! # What it does
//! Where `set_page_dirty()` or `SetPageDirty()` under a condition stands right before the release of one page, outside
//! a loop, it becomes `set_page_dirty_lock()`; the condition stays.
//!
//! # Why
//! `SetPageDirty()` sets a flag and nothing else: the page is not tagged in its mapping and the data may never be
//! written back. `set_page_dirty()` needs the page lock, or another guarantee that the mapping stays.
//!
//! # Example
//! ```c
//! if (!PageReserved(page))
//!         SetPageDirty(page);
//! put_page(page);
//! ```
//! becomes
//! ```c
//! if (!PageReserved(page))
//!         set_page_dirty_lock(page);
//! put_user_page(page);
//! ```
//!
//! # Fix safety
//! Only where the code may sleep and does not hold the page lock; the commit message says so. Otherwise only the put
//! changes.

use super::batch::may_sleep;
use super::page_dirty_put::pair;
use super::page_put::rename;
use super::{Change, Form, Rewrite, Scene, Unit};
use crate::trace::Dirty;

/// Takes the page lock where a single page is dirtied.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let (dirty, _) = pair(unit)?;
    if dirty.when.is_empty() || unit.around().is_some() || dirty.kind == Dirty::SetPageDirtyLock {
        return None;
    }
    let lock = Change { span: dirty.callee, with: "set_page_dirty_lock".to_string(), form: Form::Part };
    let mut r = Rewrite::plain("strengthen_dirty", vec![lock, rename(scene, unit)?]);
    r.obligations.push(may_sleep(scene, unit, dirty.callee)?);
    r.strengthen(scene, dirty.callee, dirty.kind, "set_page_dirty_lock");
    Some(r)
}
