//! `put_page()` becomes `put_user_page()` where it stands.
//!
//! # What it does
//! Changes the name of the function and nothing else; a call that was split over two lines and fits one is joined. One
//! that would only fit one tab further left, and is all that an `if` at the end of a loop does, is put behind that
//! `if`, which then skips the turn.
//!
//! # Why
//! It is right for a single page, and wherever the loop has to stay: entries that may be NULL, a condition or other
//! work for each page, code that must not sleep.
//!
//! # Example
//! ```c
//! put_page(page);
//! ```
//! becomes
//! ```c
//! put_user_page(page);
//! ```
//!
//! # Fix safety
//! Always right for a page that was pinned: every guard, count and dirtying stays.

use super::style::{bare, comments, fits, identifiers, indent_of};
use super::{Change, Form, Rewrite, Scene, Unit, is_loop};
use crate::ast::{ExprKind, StmtKind, UnOp};

/// Part of the note on a test that was turned around.
pub const TURNED: &str = "is turned around (continue), so that the call fits into a line";

/// The change of the name alone.
pub fn rename(scene: &Scene, unit: &Unit) -> Option<Change> {
    if &*unit.release.callee != "put_page" {
        return None;
    }
    let span = identifiers(scene.text, unit.call.span).into_iter().next()?;
    let new = scene.target.single()?;
    // A call that was split over two lines and fits one becomes one line.
    if let (Some((_, [page])), Some(indent), true) =
        (unit.call.call(), indent_of(scene.text, unit.call.span.start), unit.is_statement())
        && unit.call.span.of(scene.text).contains(&b'\n')
        && comments(scene.text, unit.call.span).is_empty()
    {
        let with = format!("{new}({})", bare(scene.text, page.span));
        if fits(&format!("{indent}{with};")) {
            return Some(Change { span: unit.call.span, with, form: Form::Part });
        }
    }
    (span.of(scene.text) == b"put_page").then(|| Change { span, with: new.to_string(), form: Form::Part })
}

/// A call that was split behind its parenthesis because an `if` moved it to the right: the `if` skips the turn instead.
fn unfold(scene: &Scene, unit: &Unit) -> Option<Change> {
    let [.., around, block, test, _] = unit.path.as_slice() else { return None };
    let (StmtKind::Block(all), StmtKind::If { cond, then, els: None }) = (&block.kind, &test.kind) else { return None };
    let last = all.last().is_some_and(|s| s.span == test.span);
    let split = unit.call.span.of(scene.text).split(|b| *b == b'\n').next()?.trim_ascii_end().ends_with(b"(");
    let only = then.span.contains(unit.call.span) && unit.is_statement() && matches!(then.kind, StmtKind::Expr(_));
    if !is_loop(around) || !last || !split || !only || !comments(scene.text, test.span).is_empty() {
        return None;
    }
    let (not, tested) = match &cond.kind {
        ExprKind::Unary(UnOp::Not, inner) => ("", inner.span),
        ExprKind::Ident(_) | ExprKind::Field { .. } | ExprKind::Index(..) | ExprKind::Call { .. } => ("!", cond.span),
        _ => return None,
    };
    let (Some((_, [page])), Some(indent)) = (unit.call.call(), indent_of(scene.text, test.span.start)) else {
        return None;
    };
    let new = scene.target.single()?;
    let skip = format!("if ({not}{})", bare(scene.text, tested));
    let put = format!("{new}({});", bare(scene.text, page.span));
    let fits = fits(&format!("{indent}{skip}")) && fits(&format!("{indent}{put}"));
    let with = format!("{skip}\n{indent}\tcontinue;\n{indent}{put}");
    fits.then_some(Change { span: test.span, with, form: Form::Compound })
}

/// Renames the callee.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    let renamed = rename(scene, unit)?;
    // What was joined, or never split, stays where it is.
    let joined = renamed.span == unit.call.span;
    match unfold(scene, unit).filter(|_| !joined) {
        None => Some(Rewrite::plain("page_put", vec![renamed])),
        Some(change) => {
            let mut r = Rewrite::plain("page_put", vec![change]);
            r.notes.push(format!("The test in front of the call in {}() {TURNED}.", scene.function.name));
            Some(r)
        }
    }
}
