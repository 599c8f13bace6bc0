//! A test for NULL around the release of every page goes with the loop.
//!
//! # What it does
//! Lets the loop rules fold a loop that skips entries which are NULL, and asks for a proof that there are none.
//!
//! # Why
//! The array functions do not look for NULL: they would follow the pointer. Where all callers pass the number of pages
//! that were pinned, the test never did anything.
//!
//! # Example
//! ```c
//! for (i = 0; i < nr_pages; i++)
//!         if (pages[i])
//!                 put_page(pages[i]);
//! ```
//! becomes, if every caller passes the pinned count,
//! ```c
//! put_user_pages(pages, nr_pages);
//! ```
//!
//! # Fix safety
//! Never taken on trust. Without the proof the loop and its test stay, and only the call in it changes: an array that
//! is filled in parts, or a count that is set back to the requested number on an error path, leaves a NULL tail.

use super::style::bare;
use super::{RuleId, Scene};
use crate::ast::Expr;
use crate::plan::{Obligation, ObligationKind};
use crate::source::Loc;

/// Part of the note, by which it is known as one that tells of no difference at run time.
pub const DROPPED: &str = "no longer tests the page pointers for NULL";

/// What dropping the test needs, and what the commit message says of it.
pub fn drop(scene: &Scene, test: &Expr, array: &str, count: &str, at: Loc) -> (RuleId, Obligation, String) {
    let function = &scene.function.name;
    let written = bare(scene.text, test.span);
    let obligation = Obligation {
        kind: ObligationKind::NoNullEntry,
        at,
        expr: array.to_string(),
        text: format!("None of the first `{count}` entries of `{array}` is NULL: the test `{written}` is removed."),
        discharged: None,
    };
    let note = format!("{function}() {DROPPED}: all callers pass the number of pages that were pinned.");
    (RuleId("null_test"), obligation, note)
}
