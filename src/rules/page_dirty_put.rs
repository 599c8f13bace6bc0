//! Dirtying and dropping one page becomes one call with `&page, 1`.
//!
//! # What it does
//! For a dirtying call directly followed by `put_page()` of the same page: without a condition both become
//! `put_user_pages_dirty_lock(&page, 1)`. With a condition, in a loop that has to stay, they become an `if`/`else` over
//! the two functions (two-argument trees), or the condition becomes the last argument (three-argument trees).
//!
//! # Why
//! The page lock is taken, and the pair of calls cannot be torn apart later.
//!
//! # Example
//! ```c
//! for_each_sg_page(sgl, &sg_iter, nents, 0) {
//!         page = sg_page_iter_page(&sg_iter);
//!         if (!PageDirty(page) && writable)
//!                 set_page_dirty_lock(page);
//!         put_page(page);
//! }
//! ```
//! becomes
//! ```c
//! for_each_sg_page(sgl, &sg_iter, nents, 0) {
//!         page = sg_page_iter_page(&sg_iter);
//!         if (writable)
//!                 put_user_pages_dirty_lock(&page, 1);
//!         else
//!                 put_user_page(page);
//! }
//! ```
//!
//! # Fix safety
//! In a loop over an array that has to stay, two unconditional calls stay two. The page must be a variable or a slot,
//! so that it has an address. The locking form is used only where the code may sleep and does not hold the page lock.
//! The condition is kept as written and evaluated once, as before.

use super::analysis::same;
use super::batch::{Dirtying, dirty_function, release_statement};
use super::body::{DirtyOp, dirty_statement};
use super::comments::lift;
use super::style::{bare, comments, indent_of, indent_to, width};
use super::{Change, Form, Rewrite, Scene, Unit};
use crate::ast::{Expr, ExprKind, StmtKind, UnOp};
use crate::source::Span;
use crate::trace::Dirty;

/// The dirtying right before the release of the same page.
pub fn pair<'a>(unit: &Unit<'a>) -> Option<(DirtyOp<'a>, &'a Expr)> {
    let (name, [page]) = unit.call.call()? else { return None };
    if &**name != "put_page" || !unit.is_statement() {
        return None;
    }
    let dirty = dirty_statement(unit.before(unit.stmt()?)?)?;
    same(dirty.page, page).then_some((dirty, page))
}

/// Joins dirtying and dropping of one page.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let (dirty, page) = pair(unit)?;
    if !dirty.when.is_empty() && unit.around().is_none() {
        return None;
    }
    // A loop over an array that stays: `(&pages[i], 1)` says no more than the two calls, and is refused in review.
    let over_array = matches!(page.kind, ExprKind::Index(..))
        && unit.around().is_some_and(|l| !matches!(l.kind, StmtKind::Iterate { .. }));
    if over_array && dirty.when.is_empty() && dirty.kind == Dirty::SetPageDirtyLock {
        return None;
    }
    let span = dirty.span.to(unit.stmt()?.span);
    let indent = indent_to(width(indent_of(scene.text, span.start)?));
    let mut r = Rewrite::plain("page_dirty_put", vec![]);
    let function = dirty_function(scene, unit, &dirty, &mut r)?;
    if dirty.kind != Dirty::SetPageDirtyLock && r.obligations.is_empty() {
        // The unlocked function for one page says nothing that the two old calls did not say.
        return None;
    }
    let dirtying =
        if dirty.when.is_empty() { Dirtying::Always(function) } else { Dirtying::When(function, dirty.when) };
    let written = bare(scene.text, page.span);
    let args = [address(scene, page, &written)?, "1".to_string()];
    let single = scene.target.single()?;
    let plain = |_: &str| Some(format!("{single}({written});"));
    let (code, form) = release_statement(scene, &indent, &args, &dirtying, &plain)?;
    let gone: Vec<Span> = comments(scene.text, span);
    let (with, form) = match lift(scene, &gone, &indent, &mut r) {
        None => (code, form),
        Some(above) => (format!("{above}\n{indent}{code}"), Form::Compound),
    };
    r.changes.push(Change { span, with, form });
    r.changes.extend(Change::indentation(scene, span.start));
    Some(r)
}

/// `&page`; a slot with a `*` in front loses that instead.
fn address(scene: &Scene, page: &Expr, written: &str) -> Option<String> {
    let ty = scene.types.of(page);
    if ty.page_depth().is_some_and(|d| d != 1) || ty.page_depth().is_none() && ty != crate::ast::CType::unknown() {
        return None;
    }
    match &page.kind {
        ExprKind::Ident(_) | ExprKind::Index(..) | ExprKind::Field { .. } => Some(format!("&{written}")),
        ExprKind::Unary(UnOp::Deref, inner) => Some(bare(scene.text, inner.span)),
        _ => None,
    }
}
