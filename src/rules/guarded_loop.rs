//! A condition that keeps a whole loop from running becomes an `if` around the one call.
//!
//! # What it does
//! Lets the loop rules fold a loop with a condition that has the same value on every turn, either beside the test of
//! the index (`pages && i < n`) or around everything in the body (`if (!kernel) …`).
//!
//! # Why
//! Such a condition is load-bearing: `pages && i < nr_pages` is what keeps a failed allocation with a non-zero count
//! from being dereferenced. It was lost by hand once, and found by a fuzzer within days.
//!
//! # Example
//! ```c
//! for (i = 0; pages && i < nr_pages; i++)
//!         put_page(pages[i]);
//! ```
//! becomes
//! ```c
//! if (pages)
//!         put_user_pages(pages, nr_pages);
//! ```
//!
//! # Fix safety
//! The condition is kept as written. It must have no effect, and must not read through a pointer that the loop did not
//! read through when there was no page.

use super::analysis::mentions_expr;
use super::body::PageLoop;
use super::shape::Bound;
use super::style::bare;
use super::{Scene, Unit};
use crate::ast::{Expr, ExprKind, UnOp};
use crate::plan::{Obligation, ObligationKind};

/// A condition that was evaluated once a page and now is evaluated once. It may be evaluated although there is no page,
/// so everything that it reads through must be read through by the loop anyway.
pub fn pure_condition(scene: &Scene, unit: &Unit, c: &Expr, p: &PageLoop) -> Obligation {
    let mut through: Vec<&Expr> = Vec::new();
    c.walk(&mut |e| match &e.kind {
        ExprKind::Field { base, arrow: true, .. } | ExprKind::Unary(UnOp::Deref, base) | ExprKind::Index(base, _) => {
            through.push(base);
        }
        _ => {}
    });
    let bounds: Vec<&Expr> = [p.walk.from, p.walk.to]
        .into_iter()
        .filter_map(|b| match b {
            Bound::Is(e) | Bound::OneMore(e) => Some(e),
            Bound::Const(_) => None,
        })
        .collect();
    let discharged = if through.is_empty() {
        Some("it reads variables only, and the loop changes none of them".to_string())
    } else if through.iter().all(|t| bounds.iter().any(|b| mentions_expr(b, t))) {
        Some("it reads through the same pointer as the count, and the loop changes nothing it reads".to_string())
    } else {
        None
    };
    Obligation {
        kind: ObligationKind::PureCondition,
        at: scene.loc(unit.call.span),
        expr: bare(scene.text, c.span),
        text: format!(
            "`{}` has one value for all pages and may be evaluated when there is none.",
            bare(scene.text, c.span)
        ),
        discharged,
    }
}
