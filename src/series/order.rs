//! The page lock where a patch takes it anew: what is known of the locks that are held there, and what is left to
//! check.
//!
//! What is known is said above `---`, what is not is a note below it. It knows nothing of how either is found.

use super::Patch;
use super::facts::Facts;
use super::text::list;
use crate::decide::Order;
use crate::run::{HandedBug, HandedFix};

/// Why the page lock may be taken: a sentence that starts with `no caller`, and perhaps another one.
pub fn locks(order: &Order) -> String {
    const LOCKED: &str = "no caller was found that is in atomic context or holds the page lock";
    match order {
        Order::Free(folder) => format!("{LOCKED}, and none in {folder} that holds another lock."),
        Order::Open => format!("{LOCKED}."),
        Order::Known(held, pin) => {
            let all: Vec<String> = held.iter().map(|l| format!("`{l}`")).collect();
            let as_it = if all.len() == 1 { "is held there, as it is" } else { "are held there, as they are" };
            format!("{LOCKED}. {} {as_it} around {pin}(), which takes page locks, too, to fault pages in.", list(&all))
        }
    }
}

/// What is known of the locks where a sentence of a conversion says that the page lock is taken.
pub fn of_note<'f>(facts: &'f Facts<'_>, note: &str) -> Option<&'f Order> {
    note.contains("set_page_dirty_lock()").then(|| facts.orders.get(note).unwrap_or(&Order::Open))
}

/// The functions, as `name()`, in which a conversion takes the page lock, and too little is known of other locks.
pub fn of_conversion(facts: &Facts<'_>) -> Vec<String> {
    let open = |n: &&String| of_note(facts, n) == Some(&Order::Open);
    once(facts.notes.iter().filter(open).filter_map(|n| Some(format!("{}()", n.split_once("()")?.0))))
}

/// The same for fixes of dirtying.
pub fn of_fixes(fixes: &[&HandedFix]) -> Vec<String> {
    let calls = |f: &&HandedFix| match &f.bug {
        HandedBug::Dirtying(calls) if f.order == Order::Open => calls.clone(),
        _ => Vec::new(),
    };
    once(fixes.iter().flat_map(calls).map(|(function, _)| format!("{function}()")))
}

/// What is left to check for these functions.
pub fn note(functions: &[String]) -> Option<String> {
    let marks = if functions.len() == 1 { "marks" } else { "mark" };
    (!functions.is_empty()).then(|| {
        format!(
            "[ To be checked before sending: whether the page lock may be taken under each lock that is held where {} {marks} \
             pages dirty. ]",
            list(functions)
        )
    })
}

/// The same for the patches of a series.
pub fn letter(patches: &[Patch], each: &[Facts<'_>]) -> Option<String> {
    let found = (1..).zip(patches).zip(each).filter_map(|((n, patch), facts): ((usize, _), _)| {
        let names = patch.fix.as_ref().map_or_else(|| of_conversion(facts), |f| f.unordered.clone());
        (!names.is_empty()).then(|| format!("{n} ({})", list(&names)))
    });
    let found: Vec<String> = found.collect();
    let patch = if found.len() == 1 { "patch" } else { "patches" };
    (!found.is_empty()).then(|| {
        format!(
            "[ To be checked before sending: whether the page lock may be taken under each lock that is held where the code of \
             {patch} {} marks pages dirty. ]",
            list(&found)
        )
    })
}

/// Each name once, in order.
fn once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut out = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}
