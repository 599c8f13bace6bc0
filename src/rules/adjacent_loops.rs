//! A loop that dirties an array, directly followed by a loop that drops the same array, becomes one call.
//!
//! # What it does
//! Merges two neighbouring loops over the same entries of the same array, the first of which only dirties and the
//! second only drops, into `put_user_pages_dirty_lock()`. The first may stand inside an `if` whose condition then
//! chooses the variant, as in `loop_dirty_put`.
//!
//! # Why
//! It is the same work in one place. The new function dirties and drops page by page, which nobody can tell from first
//! all, then all: the pages are distinct, and a page that stands in the array twice stays dirty.
//!
//! # Example
//! ```c
//! if (write)
//!         for (i = 0; i < n; i++)
//!                 set_page_dirty_lock(pages[i]);
//! for (i = 0; i < n; i++)
//!         put_page(pages[i]);
//! ```
//! becomes
//! ```c
//! if (write)
//!         put_user_pages_dirty_lock(pages, n);
//! else
//!         put_user_pages(pages, n);
//! ```
//!
//! # Fix safety
//! Only with nothing between the loops and identical bounds. With anything between them (a `dma_unmap_sg()`, say) the
//! first loop stays: moving the dirtying is a separate change.

use super::analysis::{conjuncts, pure, same};
use super::batch::{Fold, fold};
use super::body::{PageLoop, page_loop};
use super::shape::{Bound, statements};
use super::{Rewrite, Scene, Unit};
use crate::ast::{Expr, Stmt, StmtKind};

/// Folds two loops.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let put_loop = unit.around().filter(|_| unit.alone)?;
    let pages = page_loop(put_loop)?;
    if pages.dirty.is_some() || pages.put.is_none_or(|p| p.span != unit.call.span) || pages.null_test.is_some() {
        return None;
    }
    let first = unit.before(put_loop)?;
    let (when, dirty_loop) = dirty_loop(first)?;
    if dirty_loop.put.is_some() || dirty_loop.null_test.is_some() || !alike(&pages, &dirty_loop) {
        return None;
    }
    if !dirty_loop.guards.is_empty() || !dirty_loop.walk.guards.is_empty() || !pages.walk.guards.is_empty() {
        return None;
    }
    let mut dirty = dirty_loop.dirty.clone()?;
    dirty.when.splice(0..0, when);
    let span = first.span.to(pages.span);
    fold(scene, unit, &Fold { rule: "adjacent_loops", span, pages, dirty: Some(dirty), also: Some(dirty_loop) })
}

fn dirty_loop(s: &Stmt) -> Option<(Vec<&Expr>, PageLoop<'_>)> {
    match &s.kind {
        StmtKind::If { cond, then, els: None } if pure(cond) => {
            let inner = statements(then);
            let [inner] = inner.as_slice() else { return None };
            Some((conjuncts(cond), page_loop(inner)?))
        }
        _ => Some((vec![], page_loop(s)?)),
    }
}

/// Both visit the same entries of the same array.
fn alike(a: &PageLoop, b: &PageLoop) -> bool {
    let bound = |x: &Bound, y: &Bound| match (x, y) {
        (Bound::Const(m), Bound::Const(n)) => m == n,
        (Bound::Is(e), Bound::Is(f)) | (Bound::OneMore(e), Bound::OneMore(f)) => same(e, f),
        _ => false,
    };
    a.entry.alike(&b.entry)
        && a.walk.starts_index
        && b.walk.starts_index
        && bound(&a.walk.from, &b.walk.from)
        && bound(&a.walk.to, &b.walk.to)
}
