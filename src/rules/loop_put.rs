//! A loop that drops every page of an array becomes one call of `put_user_pages()`.
//!
//! # What it does
//! Recognises a loop that visits the entries `from..to` of an array once each and does nothing with an entry but
//! `put_page()`. It becomes `put_user_pages(array, count)`, with `&array[from]` and `to - from` when it does not start
//! at entry 0.
//!
//! # Why
//! Reviewers asked for the array function wherever there is an array: it is shorter, and the one place that later
//! learns to drop many references at once.
//!
//! # Example
//! ```c
//! for (i = 0; i < npages; i++)
//!         put_page(pages[i]);
//! ```
//! becomes
//! ```c
//! put_user_pages(pages, npages);
//! ```
//!
//! # Fix safety
//! The count becomes an `unsigned long`. A signed count that was compared as a signed number made the loop do nothing
//! when it was negative; that it is not negative must be shown, or the loop stays and only the call in it changes. The
//! index must not be read afterwards. A body with any other effect keeps its loop.

use super::batch::{Fold, fold};
use super::body::page_loop;
use super::{Rewrite, Scene, Unit};

/// Folds a loop without dirtying.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    scene.target.batch()?;
    let pages = page_loop(unit.around().filter(|_| unit.alone)?)?;
    if pages.dirty.is_some() || pages.put.is_none_or(|p| p.span != unit.call.span) {
        return None;
    }
    fold(scene, unit, &Fold { rule: "loop_put", span: pages.span, pages, dirty: None, also: None })
}
