//! `put_page()` becomes `put_user_page()` where it stands.
//!
//! # What it does
//! Changes the name of the function and nothing else; a call that was split over two lines and fits one is joined.
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
use super::{Change, Form, Rewrite, Scene, Unit};

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

/// Renames the callee.
pub fn rewrite(scene: &Scene, unit: &Unit) -> Option<Rewrite> {
    Some(Rewrite::plain("page_put", vec![rename(scene, unit)?]))
}
