//! Asks the prover about a plan, and puts its answer into a record.
//!
//! The one place where decision and proof meet: it turns a [`Question`] into a [`Task`]. It decides nothing.

use crate::config::{Config, DialectKind, DirtyPolicy};
use crate::decide::Question;
use crate::fix::Bug;
use crate::kernel::Api;
use crate::prove::{self, Budget, ChangedFunction, HeldBy, Outcome, Policy, Proof, Refinement, Task};
use crate::report::ProofRecord;
use crate::source::{FileId, LineMap, Loc, Name};
use crate::trace::{Custody, Writes};
use std::collections::BTreeSet;

/// Proves the plan of a question. `custody` tells which functions the traces run through.
pub fn answer(config: &Config, custody: &Custody, q: &Question<'_>) -> ProofRecord {
    let task = task(config, custody, q);
    let proof = prove::prove(&task);
    if q.completes && !q.inlining && q.fix.is_none() {
        return completed(q, task, proof);
    }
    match q.fix.map(|f| &f.bug) {
        None | Some(Bug::Dirtying(_)) => record(q, &task, proof),
        Some(Bug::Unsigned(bug)) => fixed(q, &bug.variable, &task, proof),
    }
}

/// What is said of a plan for pages that are pinned already. Two things are asked: with plain references in the place
/// of the pins, the new code drops pins as the old code dropped references; and with the pins, the old code is wrong.
fn completed(q: &Question<'_>, mut task: Task<'_>, mut proof: Proof) -> ProofRecord {
    // What becomes a pin here was one.
    proof.refinements.remove(&Refinement::R9);
    if proof.outcome == Outcome::Refined && proof.refinements.is_empty() {
        proof.outcome = Outcome::Equal;
    }
    let mut record = record(q, &task, proof);
    if matches!(record.outcome, "equal" | "refined") {
        task.held_by = HeldBy::Pin;
        task.tell = false;
        // Here a difference is what is hoped for, and what the widest start does not exclude soon it never did.
        task.budget.all_steps = 40_000;
        let pinned = prove::prove(&task);
        record.runs += pinned.runs;
        if pinned.outcome != Outcome::Differs {
            record.outcome = Outcome::Unsupported.code();
            record.counterexample = Some("no run shows that the old code leaves a part of a pin".into());
        }
    }
    record
}

/// What is said of the fix of an unsigned result, given the proof that it changes nothing else: a negative result gets
/// to a release in the old code, and to none in the new one.
fn fixed(q: &Question<'_>, variable: &Name, task: &Task<'_>, proof: Proof) -> ProofRecord {
    let (outcome, runs) = (proof.outcome, proof.runs);
    let record = record(q, task, proof);
    // What says more than the story of a difference: which of the two questions has which answer.
    let refuse = |outcome: Outcome, why: String| ProofRecord {
        outcome: outcome.code(),
        counterexample: Some(why),
        ..record.clone()
    };
    let Some(changed) = task.changed.first().filter(|_| task.changed.len() == 1) else {
        return refuse(Outcome::Unsupported, "the fix changes more than one function".into());
    };
    match outcome {
        Outcome::Equal => {}
        Outcome::Unsupported => {
            let why = record.counterexample.clone().unwrap_or_default();
            return refuse(Outcome::Unsupported, format!("that it changes nothing else is not proved: {why}"));
        }
        _ => {
            return refuse(Outcome::Differs, "that would change more than what happens after a failure".into());
        }
    }
    let before = prove::negative(task, changed.file, &changed.before, variable);
    let Some(defect) = before.defect else {
        let why = "no run shows that a negative result gets to a release".to_string();
        return refuse(Outcome::Differs, why);
    };
    let after = prove::negative(task, changed.file, &changed.after, variable);
    match (after.defect, after.stopped) {
        (Some(_), _) => refuse(Outcome::Differs, "a negative result gets to a release all the same".into()),
        (None, Some(stop)) => {
            let why = format!("not all that follows a failure could be run: {}", stop.construct);
            refuse(Outcome::Unsupported, why)
        }
        (None, None) if after.failed == 0 => refuse(Outcome::Unsupported, "no run fails".to_string()),
        (None, None) => ProofRecord { runs: runs + before.failed + after.failed, defect: Some(defect), ..record },
    }
}

/// The question as the prover takes it.
pub fn task<'q>(config: &Config, custody: &Custody, q: &Question<'q>) -> Task<'q> {
    let changed: Vec<ChangedFunction> = q
        .touched
        .changed
        .iter()
        .map(|c| ChangedFunction {
            file: c.file,
            before: c.before.clone(),
            after: c.after.clone(),
            after_text: c.after_text.clone(),
        })
        .collect();
    Task {
        program: q.program,
        functions: functions(custody, q),
        acquires: q.sites.iter().map(|s| q.at(s.at)).collect(),
        releases: all_releases(custody, q).into_iter().map(|at| q.at(at)).collect(),
        contexts: q.releases.iter().map(|r| (q.at(r.at), r.context)).collect(),
        always_write: q.sites.iter().all(|s| s.writes == Writes::Always),
        held_by: match q.dialect.kind {
            // The pages are pinned by now.
            DialectKind::PinUserPages if q.inlining => HeldBy::Pin,
            // A fix leaves the references as they are.
            DialectKind::PinUserPages if q.fix.is_none() => HeldBy::GetToPin,
            _ => HeldBy::Get,
        },
        caps: q.dialect.capabilities(),
        api: Api::get(),
        policy: match config.dirty_policy {
            DirtyPolicy::Upstream => Policy::Upstream,
            DirtyPolicy::Strict => Policy::StrictDirty,
        },
        // The largest proofs that hold take 2720 runs (v5.2.1) and 254 000 operations (v6.1), some 0.3 s.
        // Of the starts in between, none that shows a rewrite to be right takes more than 13 700 operations (v6.1).
        budget: Budget { runs: 3000, total: 3500, steps: 4000, all_steps: 260_000, middle_steps: 20_000 },
        tell: q.tell,
        changed,
        removed: q.touched.removed.clone(),
    }
}

/// The releases of the traces of the question's pins, those that the plan does not know of included.
fn all_releases(custody: &Custody, q: &Question<'_>) -> Vec<Loc> {
    let mut all: BTreeSet<Loc> = q.releases.iter().map(|r| r.at).collect();
    for t in &custody.traces {
        let site = custody.sites.get(t.site.0 as usize);
        if site.is_some_and(|site| q.sites.iter().any(|s| s.at == site.at)) {
            all.extend(t.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)).map(|r| r.at));
        }
    }
    all.into_iter().collect()
}

/// Functions of the traces of the question's pins, those of the pins first.
fn functions(custody: &Custody, q: &Question<'_>) -> Vec<(FileId, Name)> {
    let mut seen = BTreeSet::new();
    let mut out: Vec<(FileId, Name)> = Vec::new();
    let mut add = |file: FileId, name: Name| {
        if seen.insert((file, name.clone())) {
            out.push((file, name));
        }
    };
    for s in q.sites {
        add(s.at.file, s.function.clone());
    }
    for t in &custody.traces {
        let Some(site) = custody.sites.get(t.site.0 as usize) else { continue };
        if !q.sites.iter().any(|s| s.at == site.at) {
            continue;
        }
        for l in &t.functions {
            if let Some(f) = q.program.function_at(q.at(*l)) {
                add(l.file, f.name.clone());
            }
        }
    }
    out
}

/// The answer of the prover as a record.
pub fn record(q: &Question<'_>, task: &Task<'_>, p: Proof) -> ProofRecord {
    let stopped = p.stopped.as_ref().map(|s| {
        let after = task.changed.iter().find(|c| c.file == s.file && s.after).map(|c| c.after_text.clone());
        let text = after.unwrap_or_else(|| q.program.text(s.file));
        let line = LineMap::new(&text).line(s.span.start);
        let which = if s.after { ", after the rewrite" } else { "" };
        format!("{} ({}:{line}{which})", s.construct, q.program.path(s.file))
    });
    ProofRecord {
        outcome: p.outcome.code(),
        refinements: p.refinements.iter().map(|r| r.code().to_string()).collect(),
        runs: p.runs,
        assumed: p.assumed,
        cautions: Vec::new(),
        counterexample: if p.outcome == Outcome::Unsupported { stopped } else { p.counterexample },
        defect: None,
    }
}
