//! A plan that also strengthens dirtying, in steps: the dirtying alone, where it stands, then the plan on that text.
//!
//! All steps together are the plan, to the byte. Each is proved by itself: in the first ones pages may only be marked
//! dirty in a better way, and in the last one not even that. Where one is not proved there are no steps, and the plan
//! stays what it is.

use super::{Group, holds, reparse};
use crate::edit::Edit;
use crate::fix::{self, Mended};
use crate::plan::Plan;
use crate::report::build::{ProvedFix, Steps};

/// The refinements of a better dirtying in the same place.
const BETTER: &[&str] = &["R1", "R3"];

/// The steps of a plan whose proof holds, behind the fixes that it stands on. `whole` is what is handed out of it:
/// perhaps without the helpers that it leaves with one call.
pub(super) fn steps(group: &Group<'_>, plan: &Plan, whole: &Plan, fixes: &[ProvedFix]) -> Option<Steps> {
    if plan.strengthens.is_empty() || !group.dialect.has_page_lock {
        return None;
    }
    let mut edits: Vec<Edit> = fixes.iter().flat_map(|f| f.fix.edits.iter().cloned()).collect();
    let mut first = Vec::new();
    let better = |r: &String| BETTER.contains(&r.as_str());
    for fix in fix::dirtying(group.program, &plan.strengthens)? {
        let on = Mended::new(group.program, edits.clone())?;
        let proof = group.ask(&Plan::of(on.edits(&fix.edits)?), Some(&on), Some(&fix), false).ok()?;
        // Equal would mean that no run got to a page that is dirtied.
        if proof.outcome != "refined" || !proof.refinements.iter().all(better) {
            return None;
        }
        edits.extend(fix.edits.iter().cloned());
        first.push(ProvedFix { fix, proof });
    }
    let on = Mended::new(group.program, edits)?;
    let on_it = |p: &Plan| Some(Plan { edits: on.edits(&p.edits)?, ..p.clone() });
    let proof = group.ask(&on_it(plan)?, Some(&on), None, false).ok()?;
    reparse(&on, &on_it(whole)?).ok()?;
    (holds(&proof) && !proof.refinements.iter().any(better)).then_some(Steps { fixes: first, proof })
}
