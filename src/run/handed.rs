//! Which plans are handed out, and what a patch has to know of each.
//!
//! It knows nothing of patches, groups of patches or messages: those are made of what stands here.

use super::evidence::Evidence;
use super::guarded::Guarded;
use super::weak::WeakDirtying;
use super::{LeftOut, guarded, kept};
use crate::ast::{ExprKind, Function, StmtKind, UnOp};
use crate::config::Config;
use crate::decide::{self, Touched};
use crate::edit::Edit;
use crate::fix::{Bug, Dirtying, Mended, Unsigned};
use crate::kernel::Api;
use crate::plan::Plan;
use crate::program::Program;
use crate::prove::Defect;
use crate::report::build::{Outcome, ProvedFix, Unlinked};
use crate::report::{FileChange, ProofRecord};
use crate::rules;
use crate::source::{FileId, LineMap, Loc, Name, Span};
use crate::trace::{Custody, Dirty, PinSite, PinTrace, Reason, Verdict};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A plan that is handed out.
#[derive(Clone, Debug)]
pub struct HandedPlan {
    /// Its sites: places in [`crate::report::Run::sites`], ascending.
    pub sites: Vec<usize>,
    /// What it does to each file, by path.
    pub files: Vec<FileEdits>,
    /// The functions that it changes, by path and place.
    pub functions: Vec<FunctionChange>,
    /// Rules that were used, ascending.
    pub rules: Vec<&'static str>,
    /// Sentences for the message: behaviour that is not the same as before; what `fixes` do is not among them.
    pub notes: Vec<String>,
    /// Sentences for the person who sends the patch; the proof's record has them among its assumptions.
    pub cautions: Vec<String>,
    /// What the proof said; `None` only for plans without one.
    pub proof: Option<ProofRecord>,
    /// Bugs that are fixed before it: it was proved on the fixed text.
    pub fixes: Vec<HandedFix>,
    /// Calls that a build without an MMU may not link, if nothing brings the functions there.
    pub unlinked: Vec<Unlinked>,
    /// What decided the case of its sites.
    pub evidence: Vec<Evidence>,
    /// Those of its sites whose pages may be written, and are marked dirty by nobody who gets them, each with what is
    /// known of that.
    pub undirtied: Vec<(usize, decide::Undirtied)>,
    /// What keeps pages of another origin from its releases, ascending.
    pub guarded: Vec<Guarded>,
    /// Releases of its sites beside which pages are dirtied in a weak way, before the plan.
    pub weak: Vec<WeakDirtying>,
    /// What is known of the locks that are held where `notes` say that the page lock is taken, by note.
    pub orders: Vec<(String, decide::Order)>,
}

/// A fix that stands before a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandedFix {
    /// The file, and the edits of the fix alone.
    pub file: FileEdits,
    /// What it mends.
    pub bug: HandedBug,
    /// Lines of the file that brought the bug about: the declaration, the call, the release; or the dirtying.
    pub lines: Vec<u32>,
    /// Pairs of runs, and runs that fail, of its proof.
    pub runs: u64,
    /// What its proof took for granted.
    pub assumed: Vec<String>,
    /// The permitted differences that its proof met.
    pub refinements: Vec<String>,
    /// Of dirtying: what is known of the locks that are held there.
    pub order: decide::Order,
}

/// What a fix mends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandedBug {
    /// The result of a pin in an unsigned variable.
    Unsigned(UnsignedResult),
    /// Dirtying that becomes `set_page_dirty_lock()`: function and callee of each call. The plan makes the edits of the
    /// fix as well.
    Dirtying(Vec<(String, &'static str)>),
}

/// A result of a pin that becomes signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsignedResult {
    /// The function.
    pub function: String,
    /// The variable that is declared anew.
    pub variable: String,
    /// The function whose result it keeps.
    pub api: String,
    /// Its type before.
    pub from: String,
    /// Its type after.
    pub to: &'static str,
    /// The release that a negative result gets to, if it is a call with a count.
    pub release: Option<String>,
    /// The condition in front of it that lets the result through, as written.
    pub guard: Option<String>,
}

/// The edits of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEdits {
    /// Path from the root.
    pub path: String,
    /// The bytes as read.
    pub before: Arc<[u8]>,
    /// Ascending, disjoint, in the bytes of `before`.
    pub edits: Vec<Edit>,
}

/// What a plan does to the calls of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionChange {
    /// Path of the file.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Names of calls of which there are fewer afterwards, in the order of the text.
    pub gone: Vec<String>,
    /// Names of calls of which there are more afterwards, in the order of the text.
    pub new: Vec<String>,
    /// Local variables that went, in the order of the text.
    pub locals_gone: Vec<String>,
    /// Loops that went.
    pub loops_gone: usize,
    /// Every call that goes and releases or dirties pages stood in one of these loops.
    pub only_in_loops: bool,
    /// What a loop that releases pages one by one by a call for several does with each besides: a clause behind "the
    /// loop".
    pub loop_does: Option<String>,
    /// The function goes: these make the one call that would be left of it, by caller with the functions that it calls
    /// instead (they stand in `new` of this function, too).
    pub made_by: Vec<(String, Vec<String>)>,
    /// Of such a function that has an `if`: the one parameter that its conditions are.
    pub choice: Option<String>,
}

/// A patch that has to stand before the conversions, such as one that adds the functions that they use.
#[derive(Clone, Debug)]
pub struct Leading {
    /// The whole subject, at most 75 columns, with its prefix.
    pub subject: String,
    /// Paragraphs of the body. They are wrapped; a paragraph whose lines start with a blank is kept as it is.
    pub body: Vec<String>,
    /// Paragraphs for the person who sends it, below `---`.
    pub below: Vec<String>,
    /// Which plans cannot do without it.
    pub needed: Needed,
    /// The files before and after, by path. A file that conversions change as well must be changed in other lines.
    pub changes: Vec<FileChange>,
}

/// Which plans cannot do without a leading patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needed {
    /// Each: it brings the functions.
    ByAll,
    /// Those that have [`HandedPlan::unlinked`] calls: it brings the functions where there is no MMU.
    ByUnlinked,
}

impl HandedPlan {
    /// The plan of an outcome, without sites.
    fn new(program: &dyn Program, outcome: &Outcome, pins: &[&PinSite]) -> Self {
        let mut files: BTreeMap<FileId, Vec<Edit>> = BTreeMap::new();
        let of_plan = outcome.plan.as_ref().map_or(&outcome.edits, |p| &p.edits);
        for e in of_plan {
            files.entry(e.file).or_default().push(e.clone());
        }
        let touched = outcome.plan.as_ref().and_then(|p| touched(program, outcome, p)).unwrap_or_default();
        let mut functions: Vec<FunctionChange> = Vec::new();
        for c in &touched.changed {
            let (before, after) = (calls(&c.before), calls(&c.after));
            let fewer = |a: &[Name], b: &[Name]| {
                let count = |all: &[Name], n: &Name| all.iter().filter(|x| *x == n).count();
                let mut out: Vec<String> = Vec::new();
                for n in a.iter().filter(|n| count(a, n) > count(b, n)) {
                    if !out.iter().any(|o| **o == **n) {
                        out.push(n.to_string());
                    }
                }
                out
            };
            let gone = fewer(&before, &after);
            let loops_gone = loops(&c.before).len().saturating_sub(loops(&c.after).len());
            functions.push(FunctionChange {
                path: program.path(c.file).to_string(),
                name: c.before.name.to_string(),
                only_in_loops: loops_gone > 0 && only_in_loops(&c.before, &gone, loops_gone),
                loop_does: kept::loop_does(&c.after, &c.after_text),
                gone,
                new: fewer(&after, &before),
                locals_gone: fewer(&locals(&c.before), &locals(&c.after)),
                loops_gone,
                made_by: Vec::new(),
                choice: None,
            });
        }
        for (file, f) in &touched.removed {
            let change = removed(program.path(*file), f, &mut functions);
            functions.push(change);
        }
        Self {
            sites: Vec::new(),
            files: files
                .into_iter()
                .map(|(file, edits)| FileEdits {
                    path: program.path(file).to_string(),
                    before: program.text(file),
                    edits,
                })
                .collect(),
            functions,
            rules: outcome.plan.iter().flat_map(|p| &p.rules).map(|r| r.0).collect(),
            notes: outcome.plan.iter().flat_map(|p| notes(outcome, p)).collect(),
            cautions: outcome.plan.iter().flat_map(|p| p.cautions.iter().cloned()).collect(),
            proof: outcome.steps.as_ref().map_or_else(|| outcome.proof.clone(), |s| Some(s.proof.clone())),
            fixes: fixes(outcome).map(|f| HandedFix::new(program, f, pins)).collect(),
            unlinked: outcome.unlinked.clone(),
            evidence: Vec::new(),
            undirtied: Vec::new(),
            guarded: Vec::new(),
            weak: Vec::new(),
            orders: outcome.plan.iter().flat_map(|p| orders(program, outcome, p, pins)).collect(),
        }
    }
    /// What hangs on its traces.
    fn add(&mut self, program: &dyn Program, custody: &Custody, number: usize, trace: &PinTrace) {
        self.sites.push(number);
        self.evidence.push(Evidence::of(program, trace));
        self.undirtied.extend(decide::Undirtied::of(program, custody, trace).map(|how| (number, how)));
        self.guarded.extend(guarded::of(custody, trace));
        let releases = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize));
        for weak in releases.filter_map(|r| WeakDirtying::of(program, r)) {
            if !self.weak.contains(&weak) {
                self.weak.push(weak);
            }
        }
    }
}

/// The fixes before the plan, in their order.
fn fixes(outcome: &Outcome) -> impl Iterator<Item = &ProvedFix> {
    outcome.fixes.iter().chain(outcome.steps.iter().flat_map(|s| &s.fixes))
}

/// What the plan does to functions as the steps before it leave them.
fn touched(program: &dyn Program, outcome: &Outcome, plan: &Plan) -> Option<Touched> {
    if outcome.steps.is_none() {
        return decide::reparse(program, plan).ok();
    }
    let on = Mended::new(program, fixes(outcome).flat_map(|f| f.fix.edits.iter().cloned()).collect())?;
    decide::reparse(&on, &Plan { edits: on.edits(&plan.edits)?, ..plan.clone() }).ok()
}

/// The notes of the plan that no step before it has taken over.
fn notes(outcome: &Outcome, plan: &Plan) -> Vec<String> {
    let done = |n: &String| outcome.steps.is_some() && plan.strengthens.iter().any(|s| s.note == *n);
    plan.notes.iter().filter(|n| !done(n)).cloned().collect()
}

/// What is known of the locks where the plan takes the page lock, and no step before it does.
fn orders(program: &dyn Program, outcome: &Outcome, plan: &Plan, pins: &[&PinSite]) -> Vec<(String, decide::Order)> {
    let all = plan.strengthens.iter().filter(|_| outcome.steps.is_none());
    all.map(|s| (s.note.clone(), decide::order(program, pins, s.callee))).collect()
}

/// A function that goes, and whose callers make the one call that would be left of it: that call is told of here.
fn removed(path: &str, f: &Function, functions: &mut [FunctionChange]) -> FunctionChange {
    let mut gone: Vec<String> = Vec::new();
    for n in calls(f) {
        if !gone.iter().any(|g| **g == *n) {
            gone.push(n.to_string());
        }
    }
    let (mut new, mut made_by): (Vec<String>, _) = (Vec::new(), Vec::new());
    for caller in functions.iter_mut().filter(|c| c.path == path && c.gone.iter().any(|n| **n == *f.name)) {
        let (moved, rest): (Vec<String>, Vec<String>) =
            caller.new.drain(..).partition(|n: &String| Api::get().release(n).is_some());
        caller.new = rest;
        let more: Vec<String> = moved.iter().filter(|n| !new.contains(*n)).cloned().collect();
        new.extend(more);
        made_by.push((caller.name.clone(), moved));
    }
    let loops_gone = loops(f).len();
    FunctionChange {
        path: path.to_string(),
        name: f.name.to_string(),
        only_in_loops: loops_gone > 0 && only_in_loops(f, &gone, loops_gone),
        loop_does: None,
        gone,
        new,
        locals_gone: locals(f).iter().map(|n| n.to_string()).collect(),
        loops_gone,
        made_by,
        choice: choice(f),
    }
}

/// The parameter that all conditions of a function are, true or false.
fn choice(f: &Function) -> Option<String> {
    let mut found: BTreeSet<Option<Name>> = BTreeSet::new();
    f.body.walk(&mut |s| {
        if let StmtKind::If { cond, .. } = &s.kind {
            let bare = if let ExprKind::Unary(UnOp::Not, e) = &cond.kind { e } else { cond };
            found.insert(bare.ident().filter(|n| f.params.iter().any(|p| p.name == **n)).cloned());
        }
    });
    let only = if found.len() == 1 { found.pop_first().flatten() } else { None };
    only.map(|n| n.to_string())
}

impl HandedFix {
    /// It takes the page lock where the function called this one.
    pub fn marks_dirty(&self, path: &str, function: &str, call: &str) -> bool {
        let HandedBug::Dirtying(calls) = &self.bug else { return false };
        self.file.path == path && calls.iter().any(|(f, c)| f == function && *c == call)
    }
    /// The calls in this function whose dirtying it mends.
    pub fn dirtying(&self, function: &str) -> impl Iterator<Item = &'static str> {
        let calls = if let HandedBug::Dirtying(calls) = &self.bug { calls.as_slice() } else { &[] };
        calls.iter().filter(move |(f, _)| f == function).map(|(_, call)| *call)
    }
    fn new(program: &dyn Program, proved: &ProvedFix, pins: &[&PinSite]) -> Self {
        let fix = &proved.fix;
        let text = program.text(fix.file);
        let (bug, places) = match &fix.bug {
            Bug::Unsigned(bug) => unsigned(program, proved, bug),
            Bug::Dirtying(calls) => {
                let call = |kind| if kind == Dirty::FlagOnly { "SetPageDirty" } else { "set_page_dirty" };
                let told = calls.iter().map(|c| (c.function.to_string(), call(c.kind)));
                (HandedBug::Dirtying(told.collect()), calls.iter().map(|c| c.callee).collect())
            }
        };
        let order = match &fix.bug {
            Bug::Unsigned(_) => decide::Order::Open,
            Bug::Dirtying(calls) => {
                let of = |c: &Dirtying| decide::order(program, pins, Loc { file: fix.file, span: c.callee });
                calls.iter().map(of).reduce(decide::Order::and).unwrap_or(decide::Order::Open)
            }
        };
        let map = LineMap::new(&text);
        let mut lines: Vec<u32> = places.iter().map(|s| map.line(s.start)).collect();
        lines.dedup();
        Self {
            file: FileEdits { path: program.path(fix.file).to_string(), before: text, edits: fix.edits.clone() },
            bug,
            lines,
            runs: proved.proof.runs,
            assumed: proved.proof.assumed.clone(),
            refinements: proved.proof.refinements.clone(),
            order,
        }
    }
}

/// An unsigned result, and the places that brought the bug about.
fn unsigned(program: &dyn Program, proved: &ProvedFix, bug: &Unsigned) -> (HandedBug, Vec<Span>) {
    let file = proved.fix.file;
    let (release, at) = match &proved.proof.defect {
        Some(Defect::Told { callee, at, .. }) => (Some(callee.to_string()), Some(*at)),
        Some(Defect::Released { at }) => (None, Some(*at)),
        None => (None, None),
    };
    let around = program.function_at(Loc { file, span: bug.call });
    // The innermost test of the variable around the release.
    let mut guard: Option<(Span, Span)> = None;
    if let (Some(f), Some(at)) = (&around, at) {
        f.body.walk(&mut |s| {
            if let StmtKind::If { cond, then, .. } = &s.kind
                && then.span.contains(at)
                && guard.is_none_or(|(outer, _)| outer.contains(s.span))
            {
                let mut named = false;
                cond.walk(&mut |e| named |= e.ident().is_some_and(|n| *n == bug.variable));
                if named {
                    guard = Some((s.span, cond.span));
                }
            }
        });
    }
    let told = UnsignedResult {
        function: bug.function.to_string(),
        variable: bug.variable.to_string(),
        api: bug.api.to_string(),
        from: bug.old.clone(),
        to: bug.new,
        release,
        guard: guard.map(|(_, cond)| rules::style::bare(&program.text(file), cond)),
    };
    (HandedBug::Unsigned(told), [Some(bug.declared), Some(bug.call), at].into_iter().flatten().collect())
}

/// Names of the direct calls of a function, in the order of the text.
fn calls(f: &Function) -> Vec<Name> {
    let mut found: Vec<(u32, Name)> = Vec::new();
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Call { callee, .. } = &e.kind
            && let Some(name) = callee.ident()
        {
            found.push((callee.span.start, name.clone()));
        }
    });
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, name)| name).collect()
}

/// Names of the local variables of a function, in the order of the text.
fn locals(f: &Function) -> Vec<Name> {
    let mut found = Vec::new();
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(all) = &s.kind {
            found.extend(all.iter().map(|d| d.name.clone()));
        }
    });
    found
}

/// Where the loops of a function stand.
fn loops(f: &Function) -> Vec<Span> {
    let mut found = Vec::new();
    f.body.walk(&mut |s| {
        if rules::is_loop(s) {
            found.push(s.span);
        }
    });
    found
}

/// Whether all calls of these names that release or dirty pages stand in loops, and in just as many as go.
fn only_in_loops(f: &Function, names: &[String], gone: usize) -> bool {
    let api = Api::get();
    let loops = loops(f);
    let mut used: BTreeSet<Span> = BTreeSet::new();
    let mut all = true;
    f.body.walk_exprs(&mut |e| {
        let Some((name, _)) = e.call() else { return };
        if names.iter().any(|n| **n == **name) && (api.release(name).is_some() || api.dirty(name).is_some()) {
            match loops.iter().filter(|l| l.contains(e.span)).min_by_key(|l| l.end - l.start) {
                Some(around) => _ = used.insert(*around),
                None => all = false,
            }
        }
    });
    all && used.len() == gone
}

/// The edits that are handed out.
pub(super) struct Handed {
    /// By file, ascending and disjoint.
    pub edits: BTreeMap<FileId, Vec<Edit>>,
    /// One a group of sites.
    pub plans: Vec<HandedPlan>,
    /// Sites.
    pub converted: usize,
    /// Sites.
    pub left_out: Vec<LeftOut>,
}

/// Takes the plans one by one in the order of their sites: those that are proved (or asked for without a proof) and
/// lie inside the asked paths as a whole. Sites that share a plan have the same edits.
pub(super) fn hand_out(config: &Config, program: &dyn Program, custody: &Custody, outcomes: &[Outcome]) -> Handed {
    let mut handed = Handed { edits: BTreeMap::new(), plans: Vec::new(), converted: 0, left_out: Vec::new() };
    let mut known: BTreeMap<&[Edit], usize> = BTreeMap::new();
    let mut of_plans: Vec<(&Outcome, Vec<(usize, &PinTrace)>)> = Vec::new();
    // Number of the next site among those that are reported.
    let mut next = 0;
    for ((site, trace), outcome) in custody.sites.iter().zip(&custody.traces).zip(outcomes) {
        let path = program.path(site.at.file);
        let number = next;
        next += usize::from(config.reports(path));
        let proved = outcome.proof.as_ref().is_some_and(|p| matches!(p.outcome, "equal" | "refined"));
        let wanted = outcome.verdict == Verdict::Convert || outcome.reason == Reason::Unproved;
        if wanted && !proved && !config.unproved && !outcome.edits.is_empty() && config.reports(path) {
            let line = LineMap::new(&program.text(site.at.file)).line(site.at.span.start);
            let why = "the rewrite is not proved; `gupconv convert --unproved` shows it".to_string();
            handed.left_out.push(LeftOut { path: path.to_string(), line, why });
            continue;
        }
        if !wanted || outcome.edits.is_empty() || !config.reports(path) {
            continue;
        }
        let mut left_out = |why: String| {
            let line = LineMap::new(&program.text(site.at.file)).line(site.at.span.start);
            handed.left_out.push(LeftOut { path: path.to_string(), line, why });
        };
        let mut outside: Vec<&str> =
            outcome.edits.iter().map(|e| program.path(e.file)).filter(|p| !config.reports(p)).collect();
        if !outside.is_empty() {
            outside.sort_unstable();
            outside.dedup();
            left_out(format!("the rewrite also changes {}; add it to the paths", outside.join(", ")));
            continue;
        }
        match merged(&handed.edits, &outcome.edits) {
            Some(edits) => {
                handed.edits = edits;
                handed.converted += 1;
                let at = *known.entry(&outcome.edits).or_insert_with(|| {
                    of_plans.push((outcome, Vec::new()));
                    of_plans.len() - 1
                });
                of_plans[at].1.push((number, trace));
            }
            None => left_out("the rewrite overlaps that of another site; convert that one first".into()),
        }
    }
    let plan = |(outcome, sites): (&Outcome, Vec<(usize, &PinTrace)>)| {
        let pins: Vec<&PinSite> = sites.iter().filter_map(|(_, t)| custody.sites.get(t.site.0 as usize)).collect();
        let mut plan = HandedPlan::new(program, outcome, &pins);
        sites.into_iter().for_each(|(number, trace)| plan.add(program, custody, number, trace));
        plan.guarded.sort();
        plan.guarded.dedup();
        plan
    };
    handed.plans = of_plans.into_par_iter().with_max_len(1).map(plan).collect();
    handed
}

/// The edits with those of one more plan; `None` when two different edits want the same bytes.
pub(super) fn merged(have: &BTreeMap<FileId, Vec<Edit>>, new: &[Edit]) -> Option<BTreeMap<FileId, Vec<Edit>>> {
    let mut all = have.clone();
    for edit in new {
        let file = all.entry(edit.file).or_default();
        let at = file.partition_point(|e| e < edit);
        if file.get(at) == Some(edit) {
            continue;
        }
        let clear = |a: &Edit, b: &Edit| a.span.end <= b.span.start && a.span.start != b.span.start;
        let before = at.checked_sub(1).and_then(|i| file.get(i)).is_none_or(|e| clear(e, edit));
        let behind = file.get(at).is_none_or(|e| clear(edit, e));
        if !(before && behind) {
            return None;
        }
        file.insert(at, edit.clone());
    }
    Some(all)
}

/// Edits by their files.
pub(super) fn by_file(edits: &[Edit]) -> BTreeMap<FileId, Vec<Edit>> {
    let mut all: BTreeMap<FileId, Vec<Edit>> = BTreeMap::new();
    for edit in edits {
        all.entry(edit.file).or_default().push(edit.clone());
    }
    all
}

/// The files before and after, by path (numbers ascend with paths).
pub(super) fn changes(program: &dyn Program, edits: &BTreeMap<FileId, Vec<Edit>>) -> Vec<FileChange> {
    let mut out = Vec::new();
    for (&file, edits) in edits {
        let before = program.text(file);
        let mut after = Vec::with_capacity(before.len());
        let mut done = 0;
        for e in edits {
            after.extend_from_slice(before.get(done..e.span.start as usize).unwrap_or_default());
            after.extend_from_slice(&e.with);
            done = e.span.end as usize;
        }
        after.extend_from_slice(before.get(done..).unwrap_or_default());
        if *after != *before {
            out.push(FileChange { path: program.path(file).to_string(), before, after });
        }
    }
    out
}
