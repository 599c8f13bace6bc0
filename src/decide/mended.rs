//! A group whose rewrite is not right as the code stands, and is with a bug of the code mended first.
//!
//! Asked only when no plan holds. A fix counts when its own proof holds; then each plan is proved on the tree with the
//! fixes. Where a fix is known and cannot be made, the reason of the decision says why.

use super::{Decision, Group, holds, steps};
use crate::edit::{Edit, EditSet};
use crate::fix::{self, Bug, Fix, Mended, Unsigned};
use crate::plan::Plan;
use crate::report::build::ProvedFix;
use crate::source::FileId;
use crate::trace::Verdict;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// The decision with the fixes of the group, or `decision` with the reason why there are none.
pub(super) fn decide(group: &Group<'_>, decision: Decision, plans: Vec<Plan>) -> Decision {
    let mut seen: BTreeSet<(FileId, Option<u32>)> = BTreeSet::new();
    let mut fixes = Vec::new();
    let mut refused = None;
    for site in group.sites {
        match fix::of(group.program, &group.dialect.returns, site) {
            None => {}
            Some(Err(why)) => {
                let result = site.result.clone().unwrap_or_default();
                refused.get_or_insert(unsigned(&result, &site.api, &why));
            }
            Some(Ok(fix)) if seen.insert((fix.file, fix.edits.first().map(|e| e.span.start))) => {
                match proved(group, &fix) {
                    Ok(proof) => fixes.push(ProvedFix { fix, proof }),
                    Err(why) => refused = refused.or(open_fix(&fix, &why)),
                }
            }
            Some(Ok(_)) => {}
        }
    }
    if fixes.is_empty() {
        return told(decision, refused);
    }
    let edits: Vec<Edit> = fixes.iter().flat_map(|f| f.fix.edits.iter().cloned()).collect();
    let Some(mended) = Mended::new(group.program, edits.clone()) else {
        return told(decision, Some("The fixes of its unsigned results do not fit together.".into()));
    };
    let ask = |plan: Plan| {
        let both = plan.edits.iter().chain(&edits).cloned().collect();
        EditSet::new(both).map_err(|_| "the rewrite changes the same declaration".to_string())?;
        let edits = mended.edits(&plan.edits).ok_or("the rewrite changes the same declaration")?;
        let moved = Plan { edits, ..plan.clone() };
        let proof = group.ask(&moved, Some(&mended), None, true)?;
        Ok((plan, proof))
    };
    let answers: Vec<Result<_, String>> = plans.into_par_iter().map(ask).collect();
    let mut open = None;
    for answer in answers {
        match answer {
            Ok((plan, mut proof)) if holds(&proof) => {
                proof.tell(&plan.cautions);
                let steps = steps::steps(group, &plan, &plan, &fixes);
                return Decision { verdict: Verdict::Convert, why: None, plan: Some((plan, proof)), fixes, steps };
            }
            Ok((_, proof)) => {
                let story = proof.counterexample.unwrap_or_default();
                let first = story.lines().next().unwrap_or_default();
                open.get_or_insert(format!("the rewrite is not proved with it either ({first})"));
            }
            Err(why) => _ = open.get_or_insert(why),
        }
    }
    let why = open.unwrap_or_else(|| "no rewrite is known".into());
    let first = fixes.first().and_then(|f| open_fix(&f.fix, &why));
    told(decision, refused.or(first))
}

/// Asks whether the fix takes the defect away and changes nothing else.
fn proved(group: &Group<'_>, fix: &Fix) -> Result<crate::report::ProofRecord, String> {
    let plan = Plan::of(fix.edits.clone());
    let proof = group.ask(&plan, None, Some(fix), true)?;
    match proof.outcome {
        "equal" => Ok(proof),
        _ => Err(proof.counterexample.unwrap_or_else(|| "its proof does not hold".into())),
    }
}

/// Why a result is not made signed.
fn open_fix(fix: &Fix, why: &str) -> Option<String> {
    match &fix.bug {
        Bug::Unsigned(Unsigned { variable, api, .. }) => Some(unsigned(variable, api, why)),
        Bug::Dirtying(_) => None,
    }
}

fn unsigned(variable: &str, api: &str, why: &str) -> String {
    format!("The unsigned {variable} keeps the result of {api}(), and is not made signed: {why}.")
}

fn told(mut decision: Decision, note: Option<String>) -> Decision {
    if let (Some((_, text)), Some(note)) = (&mut decision.why, note) {
        text.push(' ');
        text.push_str(&note);
    }
    decision
}
