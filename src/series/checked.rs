//! The paragraph of the cover letter on how the rewrites were checked: how much the model ran, and what differs.
//!
//! Numbers and differences come from the proofs. It knows nothing of the rest of the letter.

use super::cover;
use super::facts::{self, Facts};
use super::text::count;
use super::{Fixing, Patch};
use crate::explain;
use std::collections::BTreeSet;

/// Pins of which releases drop a plain reference.
pub fn ended(facts: &Facts<'_>) -> Vec<String> {
    let ended = facts.sites.iter().filter(|_| facts.completes);
    ended.map(|s| format!("{}()", s.function)).collect()
}

/// How the rewrites were checked.
pub fn proofs(facts: &Facts<'_>, patches: &[Patch], each: &[Facts<'_>]) -> String {
    let met = || each.iter().filter(|f| !f.completes).flat_map(|f| &f.met);
    let differ = met().filter(|met| !met.is_empty()).count();
    let same = met().count() - differ;
    let only = |refinements: &BTreeSet<String>| -> String {
        let told = refinements.iter().filter(|r| !facts::is_form(r));
        let title = |r: &String| explain::pages(r).next().map_or_else(|| r.clone(), |p| format!("{} [{r}]", p.title));
        let all: Vec<String> = told.map(title).collect();
        match all.as_slice() {
            [one] => format!("the only difference is this: {one}"),
            all => format!("the only differences are these: {}", all.join("; ")),
        }
    };
    let conversions = only(&facts.refinements);
    let result = match (same, differ) {
        _ if !facts.proved => "not for every call site".to_string(),
        (0, 0) => "no difference but that a pin is dropped where a reference was".to_string(),
        (_, 0) => "no difference was found".to_string(),
        (0, _) => conversions,
        _ => format!(
            "no difference was found for {}; for {} {conversions}",
            count(same, "call site"),
            count(differ, "other"),
        ),
    };
    let dirtying: Vec<&Fixing> = patches.iter().filter_map(|p| p.fix.as_ref()).filter(|f| f.dirtying).collect();
    let met: BTreeSet<String> = dirtying.iter().flat_map(|f| f.refinements.iter().cloned()).collect();
    let fixes = match dirtying.as_slice() {
        [] => String::new(),
        all => format!(
            " The old and the new code of the fixes of dirtying ran so, too, {} of runs: {}.",
            count(all.iter().map(|f| f.runs).sum::<u64>() as usize, "pair"),
            only(&met)
        ),
    };
    let ended = match cover::with(each, ended) {
        Some(patches) if same + differ > 0 => {
            format!(" For {patches} the only difference is that a pin is dropped where a reference was.")
        }
        _ => String::new(),
    };
    format!(
        "How it was checked: the old and the new code of each call site ran on a model of the kernel's page functions, {} \
         of runs in all over a bounded set of inputs: {result}.{ended}{fixes}",
        count(facts.runs as usize, "pair"),
    )
}
