//! A loop that counts down, or consumes its count, becomes a call with the count from before the loop.
//!
//! # What it does
//! Lets the loop rules fold `while (n--)`, `while (--n >= 0)`, `while (n > 0) { n--; … }`, `while (n) put(p[--n])`,
//! `for (i = n - 1; i >= 0; i--)` and their relatives, and decides for every loop whether its length can be negative.
//!
//! # Why
//! The order in which pages are dropped does not matter, so the call replaces the loop whichever way it counts.
//!
//! # Example
//! ```c
//! while (actual_pages > 0) {
//!         actual_pages--;
//!         put_page(pages[actual_pages]);
//! }
//! ```
//! becomes
//! ```c
//! if (actual_pages > 0)
//!         put_user_pages(pages, actual_pages);
//! ```
//!
//! # Fix safety
//! The variable that the loop consumed must not be read afterwards. A test that made a negative count harmless stays
//! as an `if`; one that cannot stay asks for a proof that the count is not negative.

use super::Scene;
use super::analysis::{Known, ordered};
use super::body::PageLoop;
use super::callers::never_negative;
use super::shape::Bound;
use crate::ast::Expr;
use crate::plan::{Obligation, ObligationKind};
use crate::source::Loc;

/// The test of the length that must stay as an `if`, and what must be known of the length.
pub fn length<'a>(scene: &Scene, p: &PageLoop<'a>, count: &str, at: Loc) -> (Option<&'a Expr>, Option<Obligation>) {
    let discharged = match (p.walk.from, p.walk.to) {
        (Bound::Const(0), Bound::Is(e) | Bound::OneMore(e)) => {
            let signed = scene.types.signed(e);
            if signed == Some(false) && (p.walk.up || !p.walk.starts_index) {
                return (None, None);
            }
            if let Some(why) = never_negative(scene, p.span, e) {
                Some(why)
            } else if let Some(test) = p.walk.test {
                return (Some(test), None);
            } else if p.walk.needs_non_negative {
                Some("the old loop ran past the array with a negative count, too".to_string())
            } else if p.walk.compared.is_some_and(|(a, b)| scene.types.compared_signed(a, b) == Some(false)) {
                Some("the old loop compared it as an unsigned number, too".to_string())
            } else {
                None
            }
        }
        (Bound::Is(low), Bound::Is(high)) => match ordered(&scene.cfg, &scene.types, p.span, low, high, scene.text) {
            Known::Shown(why) => Some(why),
            _ => None,
        },
        _ => None,
    };
    let text = match p.walk.from {
        Bound::Const(0) => format!("`{count}` is not negative: it becomes an unsigned count."),
        _ => format!("`{count}` is not negative: the first entry does not lie behind the last."),
    };
    let obligation =
        Obligation { kind: ObligationKind::CountNonNegative, at, expr: count.to_string(), text, discharged };
    (None, Some(obligation))
}
