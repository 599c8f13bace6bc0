//! The widest start: from the pin, through the functions of the trace.

use super::align::Pair;
use super::code::Code;
use super::exec::{Machine, local_types};
use super::explore::{Found, callees, compile_regions, explore_runs, never_reached, reaches_region};
use super::story::Assumed;
use super::task::HeldBy;
use super::trail::Stop;
use super::value::{Obj, Ptr, V};
use crate::ast::Function;
use crate::source::{FileId, Name};
use std::rc::Rc;
use std::sync::Arc;

type Entry = (FileId, Arc<Function>);

/// Runs the functions of the trace from those that pin, with the change as regions. `None` when the trace names no
/// function from which both the pin and the change are reached.
pub fn from_pin(m: &mut Machine<'_>, number: usize, pairs: &[Pair<'_>], runs: &mut u64, look_on: u64) -> Option<Found> {
    let c = &m.task.changed[number];
    let all = functions(m);
    let reach: Vec<Vec<usize>> = all.iter().map(|f| reachable(&all, f)).collect();
    let target = all.iter().position(|(f, g)| *f == c.file && g.name == c.before.name)?;
    let pins = |i: usize| {
        let api = m.task.api;
        reach[i].iter().any(|&k| callees(&all[k].1).iter().any(|n| api.acquire(n).is_some()))
    };
    // Functions that nobody in the trace calls.
    let roots: Vec<usize> =
        (0..all.len()).filter(|&i| !(0..all.len()).any(|k| k != i && reach[k].contains(&i))).collect();
    let first: Vec<usize> = roots.iter().copied().filter(|&i| pins(i)).collect();
    let last: Vec<usize> = roots.iter().copied().filter(|&i| reach[i].contains(&target)).collect();
    let mut orders: Vec<Vec<usize>> = Vec::new();
    // What a function that pins does with its own pages it does from any state, and no other function is needed to
    // bring that about: if its run alone shows no difference, one behind another function has none.
    for &q in &last {
        if first.contains(&q) {
            orders.push(vec![q]);
        } else {
            orders.extend(first.iter().map(|&p| vec![p, q]));
        }
    }
    if orders.is_empty() {
        return None;
    }
    m.regions = compile_regions(m, c, pairs);
    m.with_regions.clear();
    let ranges: Vec<_> = pairs.iter().map(|p| p.before).collect();
    let code = Rc::new(Code::of_body(&c.before.body, &ranges, &m.idle(&c.before)));
    m.with_regions.insert((c.file, c.before.name.clone()), code);
    m.trusting = true;
    let (mut reached, mut covered) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut result = Found::Fine;
    for order in &orders {
        let entries: Vec<Entry> = order.iter().map(|&i| all[i].clone()).collect();
        let mut holds = false;
        let (before, met, assumed) = (*runs, m.refinements.clone(), m.assumed.clone());
        let mut r = explore_runs(m, runs, look_on, &mut |m| run_entries(m, &entries, false, &mut holds));
        if holds {
            // An entry that fails with pages in hand leaves them to the next one.
            (*runs, m.refinements, m.assumed) = (before, met, assumed);
            r = explore_runs(m, runs, look_on, &mut |m| run_entries(m, &entries, true, &mut false));
        }
        reached.extend(m.reached.iter().copied());
        covered.extend(m.covered.iter().copied());
        match r {
            Found::Fine => {
                let names: Vec<String> = entries.iter().map(|e| format!("{}()", e.1.name)).collect();
                let order = names.join(", then ");
                m.assumed.insert(Assumed::Text(match names.first() {
                    Some(first) if names.len() > 1 && !holds => {
                        format!("the code runs in the order {order}, and no further when {first} fails")
                    }
                    _ => format!("the code runs in the order {order}"),
                }));
            }
            other => {
                result = other;
                break;
            }
        }
    }
    m.trusting = false;
    m.with_regions.clear();
    (m.reached, m.covered) = (reached, covered);
    if let Found::Fine = result
        && let Some(k) = (0..pairs.len()).find(|&k| !m.is_reached(k))
    {
        return Some(Found::Stopped(never_reached(m, c, k)));
    }
    Some(result)
}

/// Functions of the trace, as they are, in order of place.
fn functions(m: &Machine<'_>) -> Vec<Entry> {
    let mut v: Vec<Entry> = Vec::new();
    for c in &m.task.changed {
        v.push((c.file, c.before.clone()));
    }
    for (file, name) in &m.task.functions {
        if let Some((f, g)) = m.task.program.function(*file, name)
            && !v.iter().any(|(x, y)| *x == f && y.name == g.name)
        {
            v.push((f, g));
        }
    }
    v.sort_by_key(|(f, g)| (*f, g.span.start));
    v
}

fn reachable(all: &[Entry], from: &Entry) -> Vec<usize> {
    let index = |n: &Name| all.iter().position(|(_, g)| g.name == *n);
    let start = all.iter().position(|(f, g)| *f == from.0 && g.name == from.1.name);
    let mut seen: Vec<usize> = start.into_iter().collect();
    let mut i = 0;
    while i < seen.len() {
        for n in callees(&all[seen[i]].1) {
            if let Some(k) = index(&n)
                && !seen.contains(&k)
            {
                seen.push(k);
            }
        }
        i += 1;
    }
    seen
}

/// Runs the entries one after the other. A first entry that fails with pages still held says so in `holds`; where it
/// drops what it took, nothing is left to release, and the entries behind it run after a success only, unless
/// `after_failure` says otherwise.
fn run_entries(m: &mut Machine<'_>, entries: &[Entry], after_failure: bool, holds: &mut bool) -> Result<(), Stop> {
    for (i, (file, f)) in entries.iter().enumerate() {
        m.later = i > 0;
        let mut args = Vec::new();
        let types = Rc::new(local_types(&mut m.w, f));
        let id = m.enter(*file, types, false);
        for p in &f.params {
            let ty = super::exec::decayed(&p.ty);
            let n = m.w.name(&p.name);
            let obj = m.w.obj(Obj::Local(id, n));
            let v = m.st.read(&mut m.w, Ptr { obj, path: 0, idx: 0 }, &ty);
            args.push(v);
        }
        m.st.frames.pop();
        if i + 1 == entries.len() && m.task.held_by != HeldBy::GetToPin {
            let code = m.with_regions.get(&(*file, f.name.clone())).cloned();
            m.ahead = code.map(|c| (c.clone(), reaches_region(&c)));
        }
        let r = m.call_function(*file, f, &args, f.name_span)?;
        if i == 0
            && entries.len() > 1
            && let V::Int(n, _) = r
            && n < 0
        {
            *holds |= m.st.holds_more(&m.pages)?;
            if !after_failure {
                return Err(Stop::Prune);
            }
        }
    }
    Ok(())
}
