//! Calls that cannot be the ones in which a page was pinned: what they pass says so.
//!
//! `if (!write) pin(…);` has run when its page comes back, so the page comes back by no call that passes `true`. What
//! the tests around a pin say of the parameters is handed up to the callers as far as they pass on what they got, and
//! the tests around their calls are added to it. A call is out when what is known contradicts its arguments, on every
//! way from the pin to the function that it calls.
//!
//! That is known of one run of each function, the one in which the page was pinned. It ends where pages go through the
//! heap, and so does all that is said here: another run finds them there. A function with a `static` variable has a
//! heap of its own. Nothing is known of a parameter that the function may change.

use super::FnId;
use super::cfg::{Cfg, Elem};
use super::closed::Calls;
use super::engine::Engine;
use super::graph::{Graph, Node, Via};
use super::guard::span_of;
use crate::ast::{BinOp, Expr, ExprKind, Function};
use crate::source::{Name, Span};
use formula::{Conditions, Formula, Scope, add};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Mutex, PoisonError};

mod formula;

/// Places of one run that are looked at, at most.
const MAX_PLACES: usize = 400;
/// Ways from the pin to a function that are told apart; behind that, nothing is known of it.
const MAX_WAYS: usize = 6;

/// A statement of a function.
type At = (FnId, Span);

/// What was found out about statements.
#[derive(Default)]
pub(super) struct Runs(Mutex<FxHashMap<At, Arc<Known>>>);

/// What is known where a statement runs.
#[derive(Default)]
struct Known {
    /// What the parameters of its function have gone through.
    holds: Conditions,
    /// The function that it calls by name, and what it passes; a call through a pointer has nothing here.
    call: Option<(Name, Vec<Formula>)>,
}

impl Runs {
    /// The calls out of which the pages of a pin do not come, before they have been in the heap.
    pub(super) fn out(&self, e: &Engine, g: &Graph, start: Node, pin: At) -> Option<Calls> {
        let ups = ups(g, start, pin.0)?;
        if ups.is_empty() {
            return None;
        }
        let mut ways: FxHashMap<FnId, Vec<Conditions>> = FxHashMap::default();
        ways.insert(pin.0, vec![self.known(e, pin).holds.clone()]);
        let mut work = vec![pin.0];
        while let Some(f) = work.pop() {
            let here = ways.get(&f).cloned().unwrap_or_default();
            for (_, at) in ups.iter().filter(|u| u.0 == f) {
                for next in here.iter().filter_map(|c| self.above(e, f, *at, c)) {
                    let there = ways.entry(at.0).or_default();
                    // Another way with less to it says all that this one does.
                    if there.iter().any(|known| known.iter().all(|c| next.contains(c))) {
                        continue;
                    }
                    if there.len() < MAX_WAYS {
                        there.push(next)
                    } else {
                        *there = vec![Conditions::new()]
                    }
                    work.push(at.0);
                }
            }
        }
        let never =
            |f: &FnId, at: At| ways.get(f).is_some_and(|all| all.iter().all(|c| self.above(e, *f, at, c).is_none()));
        let out: Calls = ups.iter().filter(|(f, at)| never(f, *at)).map(|(_, at)| *at).collect();
        (!out.is_empty()).then_some(out)
    }

    /// What is known of the caller when the page comes back by a call; `None` if it does not.
    fn above(&self, e: &Engine, f: FnId, at: At, below: &Conditions) -> Option<Conditions> {
        let known = self.known(e, at);
        let mut holds = Conditions::new();
        for (c, wanted) in &known.holds {
            add(&mut holds, c.clone(), *wanted)?;
        }
        if below.is_empty() {
            return Some(holds);
        }
        let Some((name, args)) = &known.call else { return Some(holds) };
        let callee = e.index.parsed(e.fns[f.0 as usize]).filter(|c| c.name == *name && e.target(at.0, name) == Some(f));
        let Some(callee) = callee.filter(|c| !c.variadic && c.params.len() == args.len()) else { return Some(holds) };
        let caller = e.index.parsed(e.fns[at.0.0 as usize])?;
        let passed: Vec<Formula> =
            args.iter().zip(&callee.params).map(|(a, p)| a.clone().convert(&p.ty, &caller.params)).collect();
        for (c, wanted) in below {
            add(&mut holds, c.with(&passed), *wanted)?;
        }
        Some(holds)
    }

    fn known(&self, e: &Engine, at: At) -> Arc<Known> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&at) {
            return known.clone();
        }
        let known = Arc::new(find(e, at));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(at).or_insert(known).clone()
    }
}

/// Where the pages of a pin come back from a function before they have been in the heap: the function, and the call.
/// `None` if that is not simply told.
fn ups(g: &Graph, start: Node, f: FnId) -> Option<Vec<(FnId, At)>> {
    let inside = |n: Node| g.place(n).function();
    let mut ups = Vec::new();
    let mut seen = FxHashSet::default();
    seen.insert(start);
    let mut work = vec![start];
    if inside(start) != Some(f) {
        return None;
    }
    while let Some(n) = work.pop() {
        let here = inside(n)?;
        // What goes into a callee comes back by the call, which has an edge of its own.
        for e in g.outgoing(n).iter().filter(|e| e.via != Via::In) {
            if e.via == Via::Out && !ups.contains(&(here, e.at)) {
                ups.push((here, e.at));
            }
            let Some(there) = inside(e.to) else { continue };
            if there != if e.via == Via::Out { e.at.0 } else { here } {
                return None;
            }
            if seen.insert(e.to) {
                work.push(e.to);
            }
        }
        if seen.len() > MAX_PLACES {
            return None;
        }
    }
    Some(ups)
}

fn find(e: &Engine, (f, at): At) -> Known {
    let r = e.fns[f.0 as usize];
    let Some(func) = e.index.parsed(r).filter(|f| f.whole()) else { return Known::default() };
    let scope = Scope::new(e, r.file, &func);
    let mut call = None;
    func.body.walk_exprs(&mut |x| {
        if x.span == at
            && let Some((name, args)) = x.call()
        {
            call = Some((name.clone(), args.iter().map(|a| scope.formula(a)).collect()));
        }
    });
    Known { holds: holds(&scope, &func, at), call }
}

/// What holds of the parameters whenever a statement runs.
fn holds(scope: &Scope, func: &Function, at: Span) -> Conditions {
    let mut out = Conditions::new();
    if !scope.sees() {
        return out;
    }
    let cfg = Cfg::new(func);
    let within = |n: usize| span_of(&cfg.nodes[n].elem).filter(|s| s.contains(at));
    let ends: Vec<u32> = (0..cfg.nodes.len()).filter(|n| within(*n).is_some()).map(|n| n as u32).collect();
    // Whether it is reached without going from one node on to another.
    let reached = |from: u32, to: Option<u32>| {
        let mut seen = vec![false; cfg.nodes.len()];
        let mut work = vec![0u32];
        while let Some(n) = work.pop() {
            if std::mem::replace(&mut seen[n as usize], true) {
                continue;
            }
            if ends.contains(&n) {
                return true;
            }
            work.extend(cfg.nodes[n as usize].succ.iter().filter(|s| n != from || Some(**s) != to));
        }
        false
    };
    if !reached(0, None) {
        return out;
    }
    let mut found: Vec<(Formula, bool)> = Vec::new();
    for (i, n) in cfg.nodes.iter().enumerate() {
        let (Elem::Cond(c), [yes, no]) = (n.elem, &n.succ[..]) else { continue };
        let f = scope.formula(c);
        if f.names_parameter() {
            // Not reached without this branch.
            let branches = [(*yes, true), (*no, false)];
            found.extend(branches.iter().filter(|b| !reached(i as u32, Some(b.0))).map(|b| (f.clone(), b.1)));
        }
    }
    for n in &ends {
        let (Elem::Expr(x) | Elem::Cond(x) | Elem::Return(Some(x))) = cfg.nodes[*n as usize].elem else { continue };
        if ends.len() == 1 {
            beside(scope, x, at, &mut found);
        }
    }
    for (f, wanted) in found {
        // A contradiction is dead code, of which nothing is known.
        if add(&mut out, f, wanted).is_none() {
            return Conditions::new();
        }
    }
    out
}

/// `write && pin(…)`: what holds where a part of an expression is evaluated.
fn beside(scope: &Scope, x: &Expr, at: Span, found: &mut Vec<(Formula, bool)>) {
    x.walk(&mut |x| match &x.kind {
        ExprKind::Binary(op @ (BinOp::And | BinOp::Or), a, b) if b.span.contains(at) => {
            found.push((scope.formula(a), *op == BinOp::And));
        }
        ExprKind::Cond(c, Some(a), b) if a.span.contains(at) || b.span.contains(at) => {
            found.push((scope.formula(c), a.span.contains(at)));
        }
        _ => {}
    });
}
