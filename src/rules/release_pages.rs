//! `release_pages()` becomes `put_user_pages()`.
//!
//! # What it does
//! Changes the name; array and count stay as they are written.
//!
//! # Why
//! `release_pages()` is the array form of `put_page()`.
//!
//! # Example
//! ```c
//! release_pages(pages, pinned);
//! ```
//! becomes
//! ```c
//! put_user_pages(pages, pinned);
//! ```
//!
//! # Fix safety
//! `release_pages()` takes an `int` and does nothing when it is negative; `put_user_pages()` takes an `unsigned long`
//! and would run past the array. That the count is not negative must be shown, for an unsigned variable too: it may
//! hold the error that a pin returned.

use super::callers::never_negative;
use super::style::{bare, call, identifiers, indent_of, one_line};
use super::{Change, Form, Rewrite, Scene, Unit};
use crate::ast::{BinOp, Expr, ExprKind};
use crate::plan::{Obligation, ObligationKind};

/// Renames the call.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let (name, [array, count]) = unit.call.call()? else { return None };
    if &**name != "release_pages" {
        return None;
    }
    let new = scene.target.batch()?;
    let ty = scene.types.of(array);
    if ty.page_depth().is_some_and(|d| d != 2) {
        return None;
    }
    let args = [one_line(scene.text, array.span), one_line(scene.text, count.span)];
    let change = match indent_of(scene.text, unit.call.span.start) {
        Some(indent) if unit.is_statement() => {
            let with = call(indent, new, &args, "");
            Change { span: unit.call.span, with, form: Form::Part }
        }
        _ => {
            let span = identifiers(scene.text, unit.call.span).into_iter().next()?;
            Change { span, with: new.to_string(), form: Form::Part }
        }
    };
    let mut r = Rewrite::plain("release_pages", vec![change]);
    let text = bare(scene.text, count.span);
    r.obligations.push(Obligation {
        kind: ObligationKind::CountNonNegative,
        at: scene.loc(unit.call.span),
        expr: text.clone(),
        text: format!("`{text}` is not negative: release_pages() ignored a negative count, {new}() does not."),
        discharged: shown(scene, unit, count),
    });
    Some(r)
}

/// What shows that the count, as an `int`, is not negative. An unsigned type shows nothing.
fn shown(scene: &Scene, unit: &Unit, count: &Expr) -> Option<String> {
    if let ExprKind::Binary(BinOp::Div, a, _) = &count.kind
        && matches!(a.kind, ExprKind::SizeofExpr(_) | ExprKind::Sizeof(_))
    {
        return Some("it is the size of an array".into());
    }
    if matches!(count.call(), Some((n, _)) if &**n == "ARRAY_SIZE") {
        return Some("it is the size of an array".into());
    }
    let constant = super::analysis::constant(count).is_some();
    if !constant && scene.types.signed(count) != Some(true) {
        return None;
    }
    never_negative(scene, unit.stmt()?.span, count)
}
