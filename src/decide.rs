//! From traces to outcomes: sites whose releases hang together are planned together, and a plan is proved or not.
//!
//! All or nothing holds for a *group*: sites that share a release, and all releases of those sites. One site that must
//! not be converted keeps its whole group. This hop makes no edit and runs no proof; it asks those who do, and checks
//! that what comes back still parses.

use crate::ast::Function;
use crate::config::DialectKind;
use crate::edit::EditSet;
use crate::entries::Entries;
use crate::findings;
use crate::fix::{Fix, Mended};
use crate::kernel::Api;
use crate::kernel::dialect::Dialect;
use crate::lex::{self, TokKind};
use crate::parse::Parser;
use crate::plan::{self, ObligationKind, Obstacle, Plan, Request, Target};
use crate::program::Program;
use crate::report::ProofRecord;
use crate::report::build::{Outcome, ProvedFix, Steps};
use crate::rules::style::identifiers;
use crate::source::{FileId, LineMap, Loc, Name, Span};
use crate::split::{self, Item, ItemKind};
use crate::trace::{Custody, PinSite, Reason, Release, ReleaseId, Verdict};
use rayon::prelude::*;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod bugs;
mod completed;
mod failed;
mod locks;
mod mended;
mod sign;
mod steps;
#[cfg(test)]
mod text;
mod tracked;
mod unlocked;

pub use bugs::{OWN_PATCH, UNLOCKED, Undirtied};
pub use locks::{Order, order};
pub use tracked::{EITHER_LONGTERM, UNDIRTIED};
pub use unlocked::why_kept;

/// A function before and after a plan.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The file.
    pub file: FileId,
    /// As it is; spans index the text of the file.
    pub before: Arc<Function>,
    /// As it shall be; spans index `after_text`.
    pub after: Arc<Function>,
    /// The whole file as it shall be.
    pub after_text: Arc<[u8]>,
}

/// The functions that a plan touches.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Those that are there before and after.
    pub changed: Vec<Changed>,
    /// Those that are gone after it; nothing names them then.
    pub removed: Vec<(FileId, Arc<Function>)>,
}

/// What a proof is asked.
pub struct Question<'a> {
    /// The tree.
    pub program: &'a dyn Program,
    /// What the tree offers.
    pub dialect: &'a Dialect,
    /// The pins of the group, ascending.
    pub sites: &'a [&'a PinSite],
    /// The releases of the group, ascending.
    pub releases: &'a [&'a Release],
    /// The plan.
    pub plan: &'a Plan,
    /// Every function that it changes or removes.
    pub touched: &'a Touched,
    /// The plan stands on these edits: `program`, `plan` and `touched` are of the tree with them, sites and releases
    /// are where they lie on disk.
    pub on: Option<&'a Mended<'a>>,
    /// The plan is this fix alone: of an unsigned result, it is asked whether the fix takes the defect away and changes
    /// nothing else.
    pub fix: Option<&'a Fix>,
    /// The rest of the plan is done: what is asked is whether the calls in place of helpers do the same as these.
    pub inlining: bool,
    /// The pages are pinned before and after, and the plan is about the releases that drop a plain reference.
    pub completes: bool,
    /// If the plan is wrong, a run shall be told that shows it.
    pub tell: bool,
}

impl Question<'_> {
    /// Where a place that lies on disk is in the tree of the question.
    pub fn at(&self, at: Loc) -> Loc {
        self.on.map_or(at, |m| m.at(at))
    }
}

/// Who answers: the proof, or nobody. Asked from several threads.
pub type Prover<'a> = dyn Fn(&Question<'_>) -> ProofRecord + Sync + 'a;

/// The answer of nobody.
pub fn unproved(_: &Question<'_>) -> ProofRecord {
    ProofRecord {
        outcome: "unsupported",
        refinements: Vec::new(),
        runs: 0,
        assumed: Vec::new(),
        cautions: Vec::new(),
        counterexample: Some("no proof was made".into()),
        defect: None,
    }
}

/// Decides about every site, in the order of [`Custody::sites`].
pub fn decide(program: &dyn Program, dialect: &Dialect, custody: &Custody, prover: &Prover<'_>) -> Vec<Outcome> {
    let entries = Entries::new(program);
    let mut outcomes: Vec<Outcome> = custody.traces.iter().map(Outcome::of_trace).collect();
    outcomes.par_iter_mut().zip(&custody.traces).with_max_len(1).for_each(|(outcome, trace)| {
        outcome.findings = findings::of(program, custody, trace);
        if dialect.kind == DialectKind::PinUserPages
            && let Some(site) = custody.sites.get(trace.site.0 as usize)
            && tracked::long_term(&entries, custody, site, trace).is_some()
        {
            outcome.findings.push(findings::LONG.to_string());
        }
    });
    let groups = groups(custody);
    let decided: Vec<(Vec<usize>, Decision)> = groups
        .into_par_iter()
        .with_max_len(1)
        .map(|group| {
            let decision = decide_group(&entries, dialect, custody, &group, prover);
            (group, decision)
        })
        .collect();
    for (group, decision) in decided {
        for &i in &group {
            let Some(outcome) = outcomes.get_mut(i).filter(|o| o.verdict == Verdict::Convert) else { continue };
            outcome.verdict = decision.verdict;
            if let Some((reason, text)) = &decision.why {
                outcome.reason = *reason;
                outcome.text = text.clone();
                if dialect.kind == DialectKind::PinUserPages && group.len() > 1 {
                    let (group, why) = ((&group[..], i), (*reason, text.clone()));
                    let own = tracked::as_told_to(program, custody, group, &target(dialect), &why);
                    outcome.text = own.unwrap_or(why.1);
                }
            }
            if let Some((plan, proof)) = &decision.plan {
                let fixed = decision.fixes.iter().flat_map(|f| &f.fix.edits);
                outcome.edits = plan.edits.iter().chain(fixed).cloned().collect();
                outcome.edits.sort();
                outcome.fixes = decision.fixes.clone();
                outcome.steps = decision.steps.clone();
                outcome.plan = Some(plan.clone());
                outcome.proof = Some(proof.clone());
            }
        }
    }
    outcomes
}

/// What holds for the sites of a group that could be converted.
struct Decision {
    verdict: Verdict,
    /// Instead of the reason of the trace.
    why: Option<(Reason, String)>,
    plan: Option<(Plan, ProofRecord)>,
    /// What the plan stands on.
    fixes: Vec<ProvedFix>,
    /// The plan in steps, if it mends dirtying on the way.
    steps: Option<Steps>,
}

impl Decision {
    fn assist(reason: Reason, text: impl Into<String>) -> Self {
        Self::assisted(Some((reason, text.into())), None)
    }

    fn assisted(why: Option<(Reason, String)>, plan: Option<(Plan, ProofRecord)>) -> Self {
        Self { verdict: Verdict::Assist, why, plan, fixes: Vec::new(), steps: None }
    }
}

/// Numbers of the sites that hang together by their releases; only groups with a site to convert, by first site.
fn groups(custody: &Custody) -> Vec<Vec<usize>> {
    let mut root: Vec<usize> = (0..custody.traces.len()).collect();
    let find = |root: &mut Vec<usize>, mut i: usize| {
        while root[i] != i {
            root[i] = root[root[i]];
            i = root[i];
        }
        i
    };
    let mut owner: BTreeMap<ReleaseId, usize> = BTreeMap::new();
    let mut join = |root: &mut Vec<usize>, release: ReleaseId, site: usize| {
        if site >= root.len() {
            return;
        }
        let other = *owner.entry(release).or_insert(site);
        let (a, b) = (find(root, site), find(root, other));
        root[a.max(b)] = a.min(b);
    };
    for (i, trace) in custody.traces.iter().enumerate() {
        trace.releases.iter().for_each(|&r| join(&mut root, r, i));
    }
    for (n, release) in custody.releases.iter().enumerate() {
        release.pins.iter().for_each(|p| join(&mut root, ReleaseId(n as u32), p.0 as usize));
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..root.len() {
        groups.entry(find(&mut root, i)).or_default().push(i);
    }
    let wanted = |group: &Vec<usize>| group.iter().any(|&i| custody.traces[i].verdict == Verdict::Convert);
    groups.into_values().filter(wanted).collect()
}

fn decide_group(
    entries: &Entries,
    dialect: &Dialect,
    custody: &Custody,
    group: &[usize],
    prover: &Prover<'_>,
) -> Decision {
    let program = entries.program();
    match dialect.kind {
        DialectKind::None => return Decision::assist(Reason::NoApi, "The tree has no function to convert to."),
        DialectKind::PutUserPage2 | DialectKind::PutUserPage3 | DialectKind::PinUserPages => {}
    }
    let in_the_way = |i: usize| {
        let trace = &custody.traces[i];
        trace.verdict != Verdict::Convert && !trace.reason.is_no_obstacle()
    };
    if let Some(&other) = group.iter().find(|&&i| in_the_way(i)) {
        let site = &custody.sites[other];
        let text = format!(
            "The pin at {} shares a release with this one and cannot be converted ({}).",
            place(program, site.at),
            custody.traces[other].reason.code()
        );
        return Decision::assist(Reason::SharedRelease, text);
    }
    // Half of a conversion corrupts the counts here: see `gupconv explain pin-user-pages`.
    let counted = dialect.kind == DialectKind::PinUserPages;
    let completes = counted && completed::applies(custody, group);
    let obstacle = || match completes {
        true => completed::obstacle(program, custody, group),
        false => tracked::obstacle(program, custody, group, &target(dialect)),
    };
    if let Some((reason, text)) = counted.then(obstacle).flatten() {
        // Rightly not converted, if it stands alone.
        let verdict = match reason {
            Reason::ShortRead if group.len() == 1 => Verdict::Leave,
            _ => Verdict::Assist,
        };
        return Decision { verdict, ..Decision::assist(reason, text) };
    }
    if counted && !completes && dialect.capabilities().pin_leaves_holes {
        let text = "Where a page table entry of a VM_MIXEDMAP mapping has no struct page, pin_user_pages*() of this tree \
                    counts it as pinned and leaves its entry of the array unwritten; get_user_pages*() fails there. \
                    Code that does not clear the array before and test each entry after would use, and release, what \
                    was in the array by chance. Whether this code clears and tests was not checked.";
        return Decision::assist(Reason::PinHoles, text);
    }
    let skipped = |i: usize| match custody.traces[i].reason {
        Reason::AlreadyConverted | Reason::Extracts => counted,
        reason => matches!(reason, Reason::WrapperApi | Reason::ForCallers),
    };
    let sites: Vec<&PinSite> = group.iter().filter(|&&i| !skipped(i)).filter_map(|&i| custody.sites.get(i)).collect();
    let numbers: BTreeSet<ReleaseId> = group.iter().flat_map(|&i| custody.traces[i].releases.iter().copied()).collect();
    let releases: Vec<&Release> = numbers
        .iter()
        .filter_map(|r| custody.releases.get(r.0 as usize))
        .filter(|r| Api::get().release(&r.callee).is_none_or(|f| !f.converted && !f.wrapper))
        .collect();
    if let Some(r) = releases.iter().find(|r| !r.foreign.is_empty() && r.guarded_by.is_none()) {
        let text = format!("Other pages reach the release at {}.", place(program, r.at));
        return Decision::assist(Reason::MixedOrigin, text);
    }
    if releases.is_empty() {
        return Decision::assist(Reason::NoRelease, "No release is left to be rewritten.");
    }
    let target = target(dialect);
    // What pins already stays as it is.
    let acquires = if completes { Vec::new() } else { sites.clone() };
    let request = Request { program, releases: releases.clone(), sites: acquires, target };
    match plan::plan(&request) {
        Err(Obstacle { at, text }) => Decision::assist(Reason::NoRule, format!("{text} ({})", place(program, at))),
        Ok(plans) if completes => {
            let group = Group { program, dialect, sites: &sites, releases: &releases, prover, completes };
            completed::decide(&group, plans)
        }
        Ok(mut plans) => {
            let proposals = match counted {
                true => tracked::proposals(entries, custody, group, dialect.capabilities().pin_leaves_holes),
                false => Vec::new(),
            };
            let known = bugs::told(program, custody, group);
            plans.iter_mut().for_each(|p| p.cautions.extend(known.iter().chain(&proposals).cloned()));
            let group = Group { program, dialect, sites: &sites, releases: &releases, prover, completes };
            let decision = choose(&group, plans.clone());
            match decision.verdict {
                Verdict::Convert => decision,
                _ => mended::decide(&group, decision, plans),
            }
        }
    }
}

/// What rewrites may use of the dialect.
fn target(dialect: &Dialect) -> Target {
    Target {
        dirty_arity: dialect.dirty_arity,
        has_dirty_unlocked: dialect.has_dirty_unlocked,
        available: dialect.available.clone(),
        unpin: dialect.kind == DialectKind::PinUserPages,
        marks_mm: dialect.marks_mm,
    }
}

/// Sites and releases that are decided together, and who proves.
struct Group<'a> {
    program: &'a dyn Program,
    dialect: &'a Dialect,
    sites: &'a [&'a PinSite],
    releases: &'a [&'a Release],
    prover: &'a Prover<'a>,
    /// The pages are pinned, and not all releases drop a pin.
    completes: bool,
}

impl Group<'_> {
    /// Asks for the proof of a plan, which is one of the tree as it lies on disk, or of one with edits.
    fn ask(&self, plan: &Plan, on: Option<&Mended<'_>>, fix: Option<&Fix>, tell: bool) -> Result<ProofRecord, String> {
        let program = on.map_or(self.program, |m| m as &dyn Program);
        let touched = reparse(program, plan)?;
        let (dialect, sites, releases) = (self.dialect, self.sites, self.releases);
        let (inlining, completes, touched) = (false, self.completes, &touched);
        let question =
            Question { program, dialect, sites, releases, plan, touched, on, fix, inlining, completes, tell };
        Ok((self.prover)(&question))
    }

    /// The plan in which the helpers that it leaves with one call go, if that is proved as well (the last one): the
    /// functions after the plan are run against those that make the calls themselves.
    fn inlined(&self, plan: Plan, mut proof: ProofRecord) -> (Plan, ProofRecord, Option<ProofRecord>) {
        let second = |better: &Plan| {
            let done = Mended::new(self.program, plan.edits.clone())?;
            let touched = since(self.program, &done, &plan, better)?;
            let asked = Question {
                program: &done,
                dialect: self.dialect,
                sites: self.sites,
                releases: &[],
                plan: better,
                touched: &touched,
                on: Some(&done),
                fix: None,
                inlining: true,
                completes: self.completes,
                tell: false,
            };
            Some((self.prover)(&asked)).filter(|p| p.outcome == "equal")
        };
        let better = plan.inlined.as_ref().and_then(|better| Some((better, second(better)?)));
        match better {
            None => (plan, proof, None),
            Some((better, second)) => {
                proof.add(&second);
                ((**better).clone(), proof, Some(second))
            }
        }
    }
}

/// What the better plan does to the functions as the plan leaves them; `None` when it does not do all that the plan
/// does.
fn since(program: &dyn Program, done: &Mended<'_>, plan: &Plan, better: &Plan) -> Option<Touched> {
    let (first, whole) = (reparse(program, plan).ok()?, reparse(program, better).ok()?);
    let mut touched = Touched::default();
    let mut names: BTreeSet<(FileId, Name)> = whole.removed.iter().map(|(at, f)| (*at, f.name.clone())).collect();
    for c in whole.changed {
        names.insert((c.file, c.before.name.clone()));
        let (file, before) = done.function(c.file, &c.before.name).filter(|(file, _)| *file == c.file)?;
        if before.span.of(&done.text(file)) != c.after.span.of(&c.after_text) {
            touched.changed.push(Changed { before, ..c });
        }
    }
    for (at, f) in whole.removed {
        touched.removed.push(done.function(at, &f.name).filter(|(file, _)| *file == at)?);
    }
    // A function that only the first plan changes would be as it was.
    first.changed.iter().all(|c| names.contains(&(c.file, c.before.name.clone()))).then_some(touched)
}

fn holds(proof: &ProofRecord) -> bool {
    matches!(proof.outcome, "equal" | "refined")
}

/// The first plan whose proof holds. Else the one to show: one that could not be proved before one that is wrong. A
/// plan without a proof is shown only when the code itself shows all its obligations.
fn choose(group: &Group<'_>, plans: Vec<Plan>) -> Decision {
    let mut open: Option<(Plan, ProofRecord)> = None;
    let mut wrong: Option<(Plan, ProofRecord)> = None;
    let mut hidden: Option<(Reason, String)> = None;
    let mut broken: Option<String> = None;
    let mut loops: Vec<String> = Vec::new();
    let ask = |plan: &Plan| group.ask(plan, None, None, false);
    // The first plan mostly holds. Where it does not, the runs of all are many, and no thread shall be left with them.
    let mut plans = plans.into_iter();
    let first = plans.next().map(|plan| (ask(&plan), plan));
    let rest = match &first {
        Some((Ok(proof), _)) if holds(proof) => Vec::new(),
        _ => plans.collect::<Vec<Plan>>().into_par_iter().with_max_len(1).map(|plan| (ask(&plan), plan)).collect(),
    };
    for (answer, plan) in first.into_iter().chain(rest) {
        let mut proof: ProofRecord = match answer {
            Ok(proof) => proof,
            Err(text) => {
                broken.get_or_insert(text);
                continue;
            }
        };
        match proof.outcome {
            _ if holds(&proof) => {
                let first = plan.clone();
                let (mut plan, mut proof, second) = group.inlined(plan, proof);
                let mut steps = steps::steps(group, &first, &plan, &[]);
                if let (Some(steps), Some(second)) = (&mut steps, &second) {
                    steps.proof.add(second);
                }
                plan.cautions.extend(loops);
                proof.tell(&plan.cautions);
                let (verdict, plan) = (Verdict::Convert, Some((plan, proof)));
                return Decision { verdict, why: None, plan, fixes: Vec::new(), steps };
            }
            "differs" => {
                loops.extend(kept_loop(group.program, &plan).filter(|s| !loops.contains(s)));
                wrong.get_or_insert((plan, proof));
            }
            _ if plan.statically_safe() => {
                proof.tell(&plan.cautions);
                open.get_or_insert((plan, proof));
            }
            _ => {
                let point = plan.open().next();
                let signed = point.is_some_and(|o| o.kind == ObligationKind::CountNonNegative);
                let reason = if signed { Reason::SignedCount } else { Reason::Unproved };
                hidden.get_or_insert((reason, point.map_or_else(String::new, |o| o.text.clone())));
            }
        }
    }
    let (why, plan) = match (open, hidden, wrong) {
        (Some((plan, proof)), _, _) => {
            let why = proof.counterexample.as_deref().unwrap_or("the proof could not run");
            let text = format!("A rewrite is known, but not proved: {why}.");
            ((Reason::Unproved, text), Some((plan, proof)))
        }
        (None, Some(why), _) => (why, None),
        (None, None, Some((plan, proof))) => {
            let wrong = (group.ask(&plan, None, None, true).unwrap_or(proof), plan);
            let text = "The code before and after the rewrite does not do the same.".to_string();
            ((Reason::Differs, text), Some((wrong.1, wrong.0)))
        }
        (None, None, None) => ((Reason::NoRule, broken.unwrap_or_else(|| "No rewrite is known.".into())), None),
    };
    Decision::assisted(Some(why), plan)
}

/// Says why a loop stays a loop in the plans behind one that differs: all that was open in it is the sign of one count.
fn kept_loop(program: &dyn Program, plan: &Plan) -> Option<String> {
    let mut open = plan.open();
    let o = open.next().filter(|o| o.kind == ObligationKind::CountNonNegative && open.next().is_none())?;
    let function = program.function_at(o.at)?;
    if let Some((counter, api)) = failed::error_code(&function, &o.expr) {
        return Some(format!(
            "{}() {KEEPS_LOOP} `{counter}` may be a negative error code of {api}() there.",
            function.name
        ));
    }
    let open = sign::untested(program, o.at.file, &function, &o.expr);
    Some(format!("{}() {KEEPS_LOOP} the tool did not show that `{}` is never negative{open}.", function.name, o.expr))
}

/// Of a loop that is no single call for want of the sign of its count.
pub const KEEPS_LOOP: &str = "keeps its loop: a call for all the pages takes an unsigned count, and";

/// Applies the plan and parses every function that it changes.
///
/// # Errors
/// An edit that lies in no function, a function that is not whole any more, or one that is gone and still named: the
/// plan must not be used.
pub fn reparse(program: &dyn Program, plan: &Plan) -> Result<Touched, String> {
    let edits = EditSet::new(plan.edits.clone()).map_err(|e| format!("The edits do not fit together: {e}."))?;
    let mut parser = Parser::new();
    let mut out = Touched::default();
    for file in edits.files() {
        let text = program.text(file);
        let lost = || format!("An edit lies outside of {}.", program.path(file));
        let after_text: Arc<[u8]> = edits.apply(file, &text).ok_or_else(lost)?.into();
        let items = split::split(&after_text);
        let mut seen = BTreeSet::new();
        let comments = LazyCell::new(|| lex::tokens(&text).filter(|t| t.kind == TokKind::Comment).collect::<Vec<_>>());
        for edit in edits.edits().iter().filter(|e| e.file == file) {
            let at = Loc { file, span: edit.span };
            if comments.iter().any(|c| c.span.contains(edit.span)) {
                // A comment above a function that names the old call: nothing to run.
                continue;
            }
            if edit.with.is_empty()
                && let Some(gone) = whole_items(program, file, &text, edit.span)
            {
                out.removed.extend(gone.into_iter().map(|f| (file, f)));
                continue;
            }
            let outside = || format!("An edit of {} lies in no function.", place(program, at));
            let before = program.function_at(at).ok_or_else(outside)?;
            if !seen.insert(before.span) {
                continue;
            }
            let name_at = edits.moved(file, before.name_span.start);
            let item = items
                .iter()
                .find(|i| i.kind == ItemKind::Function && i.name_span.start == name_at && i.name == before.name);
            let after = item.and_then(|i| parser.function(&after_text, i)).filter(|f| f.whole());
            let after = after.ok_or_else(|| format!("{}() does not parse after the rewrite.", before.name))?;
            out.changed.push(Changed { file, before, after: Arc::new(after), after_text: after_text.clone() });
        }
        let names = LazyCell::new(|| identifiers(&after_text, Span::new(0, after_text.len())));
        let mut gone = out.removed.iter().filter(|(f, _)| *f == file).map(|(_, g)| &g.name);
        if let Some(name) = gone.find(|n| names.iter().any(|s| s.of(&after_text) == n.as_bytes())) {
            return Err(format!("{name}() is named in {} where it is no more.", program.path(file)));
        }
    }
    Ok(out)
}

/// The functions that go with a span that covers whole functions, with their declarations, and nothing else.
fn whole_items(program: &dyn Program, file: FileId, text: &[u8], span: Span) -> Option<Vec<Arc<Function>>> {
    let touched = |i: &Item| i.span.start < span.end && span.start < i.span.end;
    let items: Vec<Item> = split::split(text).into_iter().filter(touched).collect();
    let whole = |i: &Item| span.contains(i.span) && matches!(i.kind, ItemKind::Function | ItemKind::Prototype);
    if items.is_empty() || !items.iter().all(whole) {
        return None;
    }
    let functions = items.iter().filter(|i| i.kind == ItemKind::Function);
    functions.map(|i| program.function_at(Loc { file, span: i.span })).collect()
}

/// `path:line` of a place.
fn place(program: &dyn Program, at: Loc) -> String {
    let line = LineMap::new(&program.text(at.file)).line(at.span.start);
    format!("{}:{line}", program.path(at.file))
}
