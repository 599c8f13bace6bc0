//! The search: starting points, from the narrowest to the widest, and all choices from each.
//!
//! 1. The changed statements alone, from an arbitrary state. Most plans need no more, and what holds there holds
//!    wherever the statements are reached.
//! 2. The statements around them, so that a guard in front of the change counts.
//! 3. The function from its entry.
//! 4. The functions of the trace from the pin on: the function that pins, or its callers; then, in the state that this
//!    left, every other function of the trace that gets to the change.
//!
//! A difference found from a narrow start may come from a state that never arises; it is reported only when no wider
//! start excludes it. A wider start that cannot be run leaves the difference standing.

use super::align::{self, Pair, Version};
use super::code::{Code, Op, Way};
use super::compare::Diff;
use super::exec::{Machine, Region, local_types};
use super::live::live_in;
use super::signs;
use super::state::{At, Fill};
use super::task::{ChangedFunction, HeldBy, Stopped};
use super::trail::Stop;
use super::value::{Obj, Ptr, V};
use crate::ast::Function;
use crate::source::{FileId, Name};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// What one starting point gave.
pub enum Found {
    /// No forbidden difference.
    Fine,
    /// A difference; when it is told, the shortest one, else nothing.
    Differs(String),
    /// Stopped.
    Stopped(Stopped),
}

/// Runs looked at after the first difference, for a shorter one, where the difference will be shown.
pub(super) const LOOK_ON: u64 = 200;

/// Explores all runs from one starting point; `look_on` more after the first difference.
///
/// First with pages that are plain and distinct, where nothing but references can differ. Taking and dropping
/// references adds up entry by entry: two runs that drop the same entries of an array drop the same pages whichever
/// entries are the same page, and distinct pages hide nothing. This holds as long as no run looks at a page or dirties
/// it; when one does, all is run again with pages of every kind and duplicates.
pub(super) fn explore_runs(
    m: &mut Machine<'_>,
    runs: &mut u64,
    look_on: u64,
    start: &mut dyn FnMut(&mut Machine<'_>) -> Result<(), Stop>,
) -> Found {
    if m.additive {
        m.observed = false;
        let (met, assumed, spent) = (m.refinements.clone(), m.assumed.clone(), *runs);
        let found = explore_pages(m, runs, look_on, start);
        if !m.observed {
            return found;
        }
        (m.refinements, m.assumed, *runs) = (met, assumed, spent);
        m.additive = false;
    }
    explore_pages(m, runs, look_on, start)
}

fn explore_pages(
    m: &mut Machine<'_>,
    runs: &mut u64,
    look_on: u64,
    start: &mut dyn FnMut(&mut Machine<'_>) -> Result<(), Stop>,
) -> Found {
    m.exhausted = false;
    let mut prefix = Some(Vec::new());
    let mut best: Option<Box<Diff>> = None;
    // Where narrow starts show much, a wider one mostly decides.
    let limit = if m.trusting { m.task.budget.runs } else { m.task.budget.runs / 4 };
    let mut left = limit;
    m.reached.clear();
    m.covered.clear();
    // One run may pass a region often: what is compared is bounded as well.
    let (compared, spent) = (m.compared, m.spent + m.steps);
    let met = m.refinements.clone();
    let mut stopped = None;
    while let Some(p) = prefix {
        let budget = &m.task.budget;
        let all = !m.telling && (*runs >= budget.total || m.spent > budget.all_steps);
        let far = !m.telling && m.middle && m.spent.saturating_sub(spent) > budget.middle_steps;
        if left == 0 || all || far || m.compared - compared > 4 * limit {
            if best.is_some() {
                break;
            }
            m.exhausted = true;
            let file = m.regions.first().map_or(FileId(0), |r| r.file);
            let construct = if m.spent > budget.all_steps {
                format!("more than {} operations", budget.all_steps)
            } else if far {
                format!("more than {} operations from one start", budget.middle_steps)
            } else {
                format!("more than {limit} runs")
            };
            stopped = Some(Stopped { file, span: Default::default(), after: false, construct });
            break;
        }
        left -= 1;
        *runs += 1;
        m.restart(p);
        let r = start(m);
        if m.additive && m.observed {
            break;
        }
        if let Some(d) = m.diff.take() {
            if best.as_ref().is_none_or(|b| d.size() < b.size()) {
                best = Some(d);
            }
            left = left.min(look_on);
        }
        if let Err(Stop::Unsupported(file, span, construct)) = r {
            let after = m.frame().is_some_and(|f| f.after);
            stopped = Some(Stopped { file, span, after, construct });
            break;
        }
        prefix = m.trail.next();
    }
    if let Some(d) = best {
        m.refinements = met;
        return Found::Differs(if m.telling { m.story(&d) } else { String::new() });
    }
    if let Some(s) = stopped {
        m.refinements = met;
        return Found::Stopped(s);
    }
    Found::Fine
}

fn versions<'a>(c: &'a ChangedFunction, text: &'a [u8]) -> (Version<'a>, Version<'a>) {
    (Version { function: &c.before, text }, Version { function: &c.after, text: &c.after_text })
}

/// Compiles the ranges of one function.
pub(super) fn compile_regions(m: &mut Machine<'_>, c: &ChangedFunction, pairs: &[Pair<'_>]) -> Vec<Region> {
    let types = [Rc::new(local_types(&mut m.w, &c.before)), Rc::new(local_types(&mut m.w, &c.after))];
    let whole = Code::of_body(&c.after.body, &[], &Default::default());
    let live = live_in(&mut m.w, &whole, &types[1]);
    let mut out = Vec::new();
    for p in pairs {
        let after = Code::of_range(p.after);
        let before = Code::of_range(p.before);
        let mut ways = vec![Way::Fall, Way::Break, Way::Continue];
        for code in [&before, &after] {
            for op in &code.ops {
                if let Op::Exit(w @ Way::Goto(_)) = op
                    && !ways.contains(w)
                {
                    ways.push(w.clone());
                }
            }
        }
        let live = ways
            .into_iter()
            .filter_map(|w| whole.after(&p.after, &w).map(|pc| (w, live.get(pc).cloned().unwrap_or_default())))
            .collect();
        let tail =
            whole.after(&p.after, &Way::Fall).is_some_and(|pc| matches!(whole.ops.get(pc), Some(Op::Return(None))));
        let mut releases = false;
        for s in p.before.stmts() {
            s.walk_exprs(&mut |e| {
                releases |= e
                    .call()
                    .is_some_and(|(n, _)| m.task.api.release(n).is_some() || m.task.removed(c.file, n).is_some());
            });
        }
        let mut calls = must_pass(m, c, &p.before, false);
        calls.extend(must_pass(m, c, &p.after, true));
        out.push(Region {
            releases,
            calls,
            tail,
            before: Rc::new(before),
            after: Rc::new(after),
            types: types.clone(),
            live,
            file: c.file,
        });
    }
    out
}

/// Calls of a version of a region that take, drop or dirty pages, or run a function that the plan changes.
fn must_pass(m: &Machine<'_>, c: &ChangedFunction, range: &super::code::Range<'_>, after: bool) -> Vec<At> {
    let mut out = Vec::new();
    for s in range.stmts() {
        s.walk_exprs(&mut |e| {
            if let Some((n, _)) = e.call()
                && (super::pages::PAGE_FUNCTIONS.contains(&&**n)
                    || m.task.removed(c.file, n).is_some()
                    || m.task.changed.iter().any(|o| o.file == c.file && o.before.name == *n))
            {
                out.push(At { file: c.file, span: e.span, after });
            }
        });
    }
    out
}

/// What is known of the context that a function runs in.
fn context(m: &Machine<'_>, c: &ChangedFunction) -> (bool, bool) {
    let mut all = (false, false);
    for (at, k) in &m.task.contexts {
        if at.file == c.file && c.before.span.contains(at.span) {
            all.0 |= k.may_be_atomic;
            all.1 |= k.page_locked;
        }
    }
    all
}

fn set_context(m: &mut Machine<'_>, (atomic, locked): (bool, bool)) {
    m.page_locked = false;
    if atomic && m.trail.choose(2) == 1 {
        m.st.atomic = 1;
        m.trail.notes.push(super::trail::Note::Text("the caller must not sleep".into()));
    }
    if locked && m.trail.choose(2) == 1 {
        m.page_locked = true;
        m.trail.notes.push(super::trail::Note::Text("the caller holds the page lock".into()));
    }
}

/// Calls that begin or end an atomic section, or take the page lock, directly in the function.
fn has_locks(m: &Machine<'_>, f: &Function) -> bool {
    let mut hit = false;
    f.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call() {
            hit |= m.task.api.context(n).is_some() || matches!(&**n, "lock_page" | "trylock_page");
        }
    });
    hit
}
fn may_sleep_on_pages(f: &Function) -> bool {
    let mut hit = false;
    f.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call() {
            hit |= n.ends_with("_dirty_lock");
        }
    });
    hit
}

/// Proves one changed function.
pub fn prove_function(m: &mut Machine<'_>, number: usize, runs: &mut u64) -> Found {
    let task = m.task;
    let c = &task.changed[number];
    for (f, text_after) in [(&c.before, false), (&c.after, true)] {
        if let Some(&span) = f.damage.first().or(f.arms.first()) {
            return Found::Stopped(Stopped {
                file: c.file,
                span,
                after: text_after,
                construct: format!("{}() could not be parsed whole", f.name),
            });
        }
    }
    let text = task.program.text(c.file);
    let (b, a) = versions(c, &text);
    let known = context(m, c);
    let local = !(has_locks(m, &c.before) && may_sleep_on_pages(&c.after));
    let mut shapes: Vec<Vec<Pair<'_>>> = Vec::new();
    for widen in 0..5 {
        let pairs = align::changed(b, a, widen);
        if pairs.is_empty() {
            return Found::Fine;
        }
        let spans = |p: &[Pair<'_>]| -> Vec<(usize, usize, usize)> {
            p.iter().map(|p| (p.before.list.as_ptr() as usize, p.before.lo, p.before.hi)).collect()
        };
        if !shapes.iter().any(|s| spans(s) == spans(&pairs)) {
            shapes.push(pairs);
        }
    }
    if let Some(h) = align::hull(b, a) {
        shapes.push(vec![h]);
    }
    // Where get becomes pin, the references of a function that pins are followed from its own call as well.
    let own = task.held_by == HeldBy::GetToPin && acquires(m, c);
    let mut tiers = Vec::new();
    let other = other_origin(m);
    if other.is_none() {
        if local {
            tiers.extend((0..shapes.len()).map(Tier::Local));
        }
        tiers.push(Tier::Entry(0));
        if shapes.len() > 1 {
            tiers.push(Tier::Entry(shapes.len() - 1));
        }
    }
    tiers.push(Tier::Pin);
    let widest = shapes.len() - 1;
    let mut run = |m: &mut Machine<'_>, tier: Tier, look_on: u64| {
        let (met, assumed) = (m.refinements.clone(), m.assumed.clone());
        m.middle = !matches!(tier, Tier::Local(0) | Tier::Pin) && !tier.is_entry(widest);
        let found = match tier {
            Tier::Local(i) => Some(locally(m, c, &shapes[i], known, own, runs, look_on)),
            Tier::Entry(i) => Some(from_entry(m, c, &shapes[i], known, runs, look_on)),
            Tier::References => {
                m.plain = true;
                let found = from_entry(m, c, &shapes[0], known, runs, look_on);
                m.plain = false;
                Some(found)
            }
            Tier::Pin => super::chain::from_pin(m, number, &shapes[0], runs, look_on),
        };
        if !matches!(found, Some(Found::Fine)) {
            (m.refinements, m.assumed) = (met, assumed);
        }
        found
    };
    // A difference beats a stop; the difference from the widest start counts.
    let mut difference = None;
    let mut stop = None;
    let mut referenced = true;
    // From an arbitrary state more statements make more runs. And the references alone, which is the first entry with
    // plain pages, may already have been too much. Where narrow starts differ and the entry is too much, so is all that
    // starts there or earlier: of 11 such functions in eight trees none was ever shown to be fine, at five times the
    // cost.
    let (mut crowded, mut too_long, mut hopeless) = (false, false, false);
    for tier in tiers {
        let skip = match tier {
            Tier::Local(_) => !referenced || crowded,
            Tier::Entry(0) => too_long,
            _ => hopeless,
        };
        if skip {
            continue;
        }
        let mut tier = tier;
        let mut found = run(m, tier, 0);
        crowded |= m.exhausted && matches!(tier, Tier::Local(_));
        hopeless |= m.exhausted && difference.is_some() && matches!(tier, Tier::Entry(0));
        if own && matches!((tier, &found), (Tier::Local(_), Some(Found::Fine))) {
            tier = Tier::References;
            found = run(m, tier, 0);
            referenced = matches!(found, Some(Found::Fine));
            too_long = matches!(found, Some(Found::Stopped(_)));
        }
        match found {
            Some(Found::Fine) => return Found::Fine,
            Some(Found::Differs(_)) => difference = Some(tier),
            Some(Found::Stopped(s)) => {
                stop.get_or_insert(s);
            }
            None => {}
        }
    }
    match (difference, stop) {
        (None, _) if other.is_some() => Found::Stopped(Stopped {
            file: c.file,
            span: c.before.name_span,
            after: false,
            construct: format!("a page of another origin in the trace, {}()", other.unwrap_or_default()),
        }),
        (Some(_), _) if !task.tell => Found::Differs(String::new()),
        (Some(tier), _) => {
            m.telling = true;
            let found = run(m, tier, LOOK_ON).unwrap_or(Found::Fine);
            m.telling = false;
            found
        }
        (None, Some(s)) => Found::Stopped(s),
        (None, None) => Found::Stopped(never_reached(m, c, usize::MAX)),
    }
}

/// A starting point; with the number of the shape of the change.
#[derive(Clone, Copy)]
enum Tier {
    Local(usize),
    Entry(usize),
    /// From the entry, with plain pages: where get becomes pin, the references of the function's own call.
    References,
    Pin,
}

impl Tier {
    /// The entry of the function, with this shape of the change.
    fn is_entry(self, shape: usize) -> bool {
        matches!(self, Tier::Entry(i) if i == shape)
    }
}

/// A call in a function of the trace that makes or takes another reference, where get becomes pin: what a function
/// drops must then be seen from the pin on.
fn other_origin(m: &Machine<'_>) -> Option<Name> {
    if m.task.held_by != HeldBy::GetToPin {
        return None;
    }
    let api = m.task.api;
    let named = m.task.functions.iter().filter_map(|(file, name)| m.task.program.function(*file, name));
    let mut all = named.map(|(_, f)| f).chain(m.task.changed.iter().map(|c| c.before.clone()));
    all.find_map(|f| callees(&f).into_iter().find(|n| api.origin(n) == Some(true) || api.is_extra_reference(n)))
}

/// The function itself calls a pin or get function, in either version.
fn acquires(m: &Machine<'_>, c: &ChangedFunction) -> bool {
    [&c.before, &c.after].iter().any(|f| callees(f).iter().any(|n| m.task.api.acquire(n).is_some()))
}

fn locally(
    m: &mut Machine<'_>,
    c: &ChangedFunction,
    pairs: &[Pair<'_>],
    known: (bool, bool),
    own: bool,
    runs: &mut u64,
    look_on: u64,
) -> Found {
    m.regions = compile_regions(m, c, pairs);
    m.with_regions.clear();
    let (task, api) = (m.task, m.task.api);
    let function = |n: &str| {
        let known = super::names::builtin(n).is_some_and(|b| b != super::names::Builtin::Swap);
        known || api.acquire(n).is_some() || api.release(n).is_some() || task.program.function(c.file, n).is_some()
    };
    let mut counts = signs::never_negative(&c.before, api, &function);
    if !counts.is_empty() {
        let after = signs::never_negative(&c.after, api, &function);
        counts.retain(|n| after.contains(n));
    }
    for k in 0..pairs.len() {
        // What takes pages does nothing else with them.
        m.plain = own && !m.regions[k].releases;
        let r = explore_runs(m, runs, look_on, &mut |m| {
            if m.is_taken_up() {
                return m.run_region(k).map(|_| ());
            }
            let types = m.regions[k].types[0].clone();
            m.enter(c.file, types, false);
            // A variable that only the new text has was not set.
            let fresh: BTreeSet<_> =
                m.regions[k].types[1].keys().filter(|n| !m.regions[k].types[0].contains_key(n)).copied().collect();
            for n in fresh {
                let obj = m.w.obj(Obj::Local(0, n));
                m.st.refill(&m.w, Ptr { obj, path: 0, idx: 0 }, true, Fill::Poison);
            }
            for n in &counts {
                let (p, ty) = m.variable(n);
                if let V::Term(t) = m.st.read(&mut m.w, p, &ty)
                    && !m.trail.assume_not_negative(&m.w, t)
                {
                    return Err(Stop::Prune);
                }
            }
            set_context(m, known);
            m.run_region(k).map(|_| ())
        });
        m.plain = false;
        match r {
            Found::Fine if m.is_reached(k) => {}
            Found::Fine => return Found::Stopped(never_reached(m, c, k)),
            other => return other,
        }
    }
    Found::Fine
}

pub(super) fn never_reached(m: &Machine<'_>, c: &ChangedFunction, k: usize) -> Stopped {
    let missed = m.regions.get(k).and_then(|r| r.calls.iter().find(|c| !m.covered.contains(c)));
    Stopped {
        file: c.file,
        span: missed.map_or(c.before.name_span, |at| at.span),
        after: missed.is_some_and(|at| at.after),
        construct: "no run gets through the changed code within the bounds".into(),
    }
}

fn from_entry(
    m: &mut Machine<'_>,
    c: &ChangedFunction,
    pairs: &[Pair<'_>],
    known: (bool, bool),
    runs: &mut u64,
    look_on: u64,
) -> Found {
    m.regions = compile_regions(m, c, pairs);
    m.with_regions.clear();
    let ranges: Vec<_> = pairs.iter().map(|p| p.before).collect();
    let code = Rc::new(Code::of_body(&c.before.body, &ranges, &m.idle(&c.before)));
    let ahead = reaches_region(&code);
    // References of a get-to-pin plan are followed to the end.
    let to_the_end = m.task.held_by == HeldBy::GetToPin;
    let mut through = |pc| !to_the_end && !ahead.get(pc).copied().unwrap_or(false);
    let r = explore_runs(m, runs, look_on, &mut |m| {
        if m.is_taken_up() {
            return m.run_outermost(&code, &mut through).map(|_| ());
        }
        let types = m.regions[0].types[0].clone();
        let id = m.enter(c.file, types.clone(), false);
        let params: FxHashSet<_> = c.before.params.iter().map(|p| m.w.name(&p.name)).collect();
        let mut locals: Vec<_> = types.keys().filter(|n| !params.contains(n)).copied().collect();
        locals.extend(m.regions[0].types[1].keys().filter(|n| !types.contains_key(n)));
        locals.sort();
        for n in locals {
            let obj = m.w.obj(Obj::Local(id, n));
            m.st.refill(&m.w, Ptr { obj, path: 0, idx: 0 }, true, Fill::Poison);
        }
        set_context(m, known);
        m.run_outermost(&code, &mut through).map(|_| ())
    });
    match r {
        Found::Fine => match (0..pairs.len()).find(|&k| !m.is_reached(k)) {
            Some(k) => Found::Stopped(never_reached(m, c, k)),
            None => Found::Fine,
        },
        other => other,
    }
}

/// Operations from which a region can still be reached.
pub(super) fn reaches_region(code: &Code) -> Vec<bool> {
    let mut yes: Vec<bool> = code.ops.iter().map(|o| matches!(o, Op::Region { .. })).collect();
    loop {
        let mut changed = false;
        for pc in (0..code.ops.len()).rev() {
            if yes[pc] {
                continue;
            }
            let mut hit = false;
            code.next(pc, &mut |to| hit |= yes.get(to).copied().unwrap_or(false));
            if hit {
                yes[pc] = true;
                changed = true;
            }
        }
        if !changed {
            return yes;
        }
    }
}

/// Names called directly in a function.
pub(super) fn callees(f: &Arc<Function>) -> Vec<Name> {
    let mut v = Vec::new();
    f.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call() {
            v.push(n.clone());
        }
    });
    v.sort();
    v.dedup();
    v
}
