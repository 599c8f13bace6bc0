//! Calls that close a guard: `take(page, 0)`, where `take()` drops the page only `if (put)`.
//!
//! The flag travels beside the page as a parameter, and may be stored beside it in a struct. A call whose argument
//! closes the guard brings no page to the release: neither in this call nor, where one function stores page and flag
//! together on every way through it, later. What such a call brings must have no other way through the heap to the
//! release, and the flag may otherwise only be closed.

use super::FnId;
use super::engine::Engine;
use super::filled::{Filler, beside, flag_users};
use super::graph::{Graph, Node, Reached};
use super::guard::{Test, tests};
use super::objects::{callers, declared, macros};
use super::place::{ENTRY, OWN, Place};
use super::release::plain;
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::FnRef;
use crate::program::Program;
use crate::source::{Name, Span};
use crate::trace::Origin;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Functions that hand a flag on, one to the other, at most.
const MAX_DEPTH: u32 = 3;

/// Calls, by the function in which they stand.
pub(super) type Calls = BTreeSet<(FnId, Span)>;

/// Where the pages of the release come from when these calls bring none: what is reached, and what of it is no pin.
pub(super) type Without<'a> = dyn Fn(&Calls) -> (Reached, Vec<Origin>) + 'a;

/// The guard of a release that no origin but pins gets past, because of what calls say, as written.
pub(super) fn guard(
    e: &Engine,
    g: &Graph,
    at: (FnRef, &Function, Span),
    back: &Reached,
    without: &Without,
) -> Option<String> {
    let (release, func, _) = at;
    let here = *e.ids.get(&release)?;
    for (test, written) in tests(e, at) {
        let mut search = Search { e, wanted: test.wanted, calls: Calls::new(), chain: BTreeSet::new() };
        let kept = match &test {
            Test { param: true, field, .. } => search.handed(here, func, field, 0).then_some(None),
            Test { mask: None, .. } => search.stored(g, at, &test, back).map(Some),
            _ => None,
        };
        let Some(kept) = kept.filter(|_| !search.calls.is_empty()) else { continue };
        let (rest, foreign) = without(&search.calls);
        if !foreign.is_empty() {
            continue;
        }
        let entries: Vec<Node> = search.chain.iter().flat_map(|f| entries(e, g, *f)).collect();
        let from = g.forward(&entries);
        let escapes = rest.order.iter().any(|n| {
            let p = g.place(*n);
            matches!(p, Place::Field(..) | Place::Global(..)) && from.has(*n) && Some(p) != kept.as_ref()
        });
        if !escapes {
            return Some(written);
        }
    }
    None
}

struct Search<'a> {
    e: &'a Engine<'a>,
    /// The release happens when the flag has this truth.
    wanted: bool,
    /// Calls that close the guard.
    calls: Calls,
    /// The functions that they call.
    chain: BTreeSet<FnId>,
}

impl Search<'_> {
    /// The flag is a parameter: collects the calls that close it. False if the function may open it.
    fn handed(&mut self, f: FnId, func: &Function, flag: &Name, depth: u32) -> bool {
        let Some(k) = func.params.iter().position(|p| p.name == *flag) else { return false };
        let at = self.e.fns[f.0 as usize];
        let changed = declared(func, flag) != 0 || macros::sets(self.e, at.file, func, flag);
        // By a pointer or a macro, anything may be passed.
        if !func.whole() || changed || !self.only_closes(func, flag) || callers(self.e, at).is_none() {
            return false;
        }
        self.chain.insert(f);
        for &(caller, call) in self.e.callers_of(f) {
            let Some(by) = self.e.index.parsed(self.e.fns[caller.0 as usize]) else { continue };
            let Some(arg) = argument(&by, call, k) else { continue };
            if self.closes(&arg) {
                self.calls.insert((caller, call));
            } else if let Some(name) = arg.ident()
                && depth < MAX_DEPTH
                && caller != f
                && by.params.iter().any(|p| p.name == *name)
            {
                // What its callers say; if it may open the flag by itself, the call stays open.
                self.handed(caller, &by, name, depth + 1);
            }
        }
        true
    }

    /// The flag is a member beside the page: the place of the page, when all who fill it store the flag as well.
    fn stored(&mut self, g: &Graph, at: (FnRef, &Function, Span), test: &Test, back: &Reached) -> Option<Place> {
        let (tag, page) = &beside(self.e, at, test)?;
        let same = |n: &&Node| matches!(g.place(**n), Place::Field(t, p) if t == tag && p == page);
        let node = *back.order.iter().find(same).filter(|_| !tag.contains(OWN))?;
        let kept = g.place(node).clone();
        let incoming = [node & !1, node | 1].into_iter().flat_map(|n| g.incoming(n));
        let fillers: BTreeSet<FnId> = incoming.filter(|i| i.to / 2 != node / 2).map(|i| i.at.0).collect();
        for (user, func) in flag_users(self.e, at.0.file, tag, &test.field)? {
            let id = self.e.ids.get(&user).filter(|id| fillers.contains(id));
            let others = assigned(&func, &test.field)?;
            if id.is_none() && !others.iter().all(|(_, v)| self.closes(v)) {
                return None;
            }
        }
        for f in fillers {
            let r = self.e.fns[f.0 as usize];
            let func = self.e.index.parsed(r).filter(|f| f.whole())?;
            let value = together(self.e, r, &func, page, &test.field)?;
            callers(self.e, r)?;
            if self.closes(&value) {
                self.chain.insert(f);
                self.calls.extend(self.e.callers_of(f));
            } else if let Some(name) = value.ident() {
                if !self.handed(f, &func, name, 0) {
                    return None;
                }
            } else if truth(&value).is_none() {
                return None;
            }
        }
        Some(kept)
    }

    fn closes(&self, value: &Expr) -> bool {
        truth(value).is_some_and(|t| t != self.wanted)
    }

    /// Whether all that the function makes of its parameter closes the guard.
    fn only_closes(&self, func: &Function, flag: &Name) -> bool {
        let mut fine = true;
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(op, l, r) if l.ident() == Some(flag) => fine &= op.is_none() && self.closes(r),
            ExprKind::IncDec { operand, .. } => fine &= operand.ident() != Some(flag),
            ExprKind::Unary(UnOp::AddrOf, a) => fine &= a.ident() != Some(flag),
            _ => {}
        });
        fine
    }
}

pub(super) fn argument(func: &Function, call: Span, k: usize) -> Option<Expr> {
    let mut found = None;
    func.body.walk_exprs(&mut |x| {
        if x.span == call
            && let Some((_, args)) = x.call()
        {
            found = args.get(k).cloned();
        }
    });
    found
}

/// What callers give a function, all parameters.
fn entries(e: &Engine, g: &Graph, f: FnId) -> Vec<Node> {
    let Some(func) = e.index.parsed(e.fns[f.0 as usize]) else { return Vec::new() };
    let place = |(k, name): (usize, &Name)| g.node(&Place::Def(f, name.clone(), ENTRY + k as u32));
    func.params.iter().map(|p| &p.name).enumerate().filter_map(place).collect()
}

fn truth(e: &Expr) -> Option<bool> {
    match &e.kind {
        ExprKind::Int { value, .. } => Some(*value != 0),
        ExprKind::Ident(n) if &**n == "true" => Some(true),
        ExprKind::Ident(n) if &**n == "false" || &**n == "NULL" => Some(false),
        _ => None,
    }
}

fn is_member(e: &Expr, field: &Name) -> bool {
    matches!(&e.kind, ExprKind::Field { name, .. } if name == field)
}

/// All that the function stores in members of this name, with the store; `None` if it does more to one than to store.
pub(super) fn assigned<'f>(func: &'f Function, field: &Name) -> Option<Vec<(&'f Expr, &'f Expr)>> {
    let mut out = Vec::new();
    let mut known = true;
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, l, r) if is_member(l, field) => out.push((&**l, &**r)),
        ExprKind::Assign(Some(_), l, _) => known &= !is_member(l, field),
        ExprKind::IncDec { operand, .. } => known &= !is_member(operand, field),
        ExprKind::Unary(UnOp::AddrOf, a) => known &= !is_member(a, field),
        ExprKind::InitList(items) => {
            known &= !items.iter().any(|(d, _)| matches!(d, Some(crate::ast::Designator::Field(n)) if n == field));
        }
        _ => {}
    });
    known.then_some(out)
}

/// What a function leaves in the flag, that stores a page which it was given and the flag once each, in the same object
/// and on every way through it.
fn together(e: &Engine, at: FnRef, func: &Arc<Function>, page: &Name, flag: &Name) -> Option<Expr> {
    let text = &*e.index.text(at.file);
    let StmtKind::Block(list) = &func.body.kind else { return None };
    let mut leaves = false;
    func.body.walk(&mut |s| leaves |= matches!(s.kind, StmtKind::Return(_) | StmtKind::Goto(_)));
    let (pages, flags) = (assigned(func, page)?, assigned(func, flag)?);
    let ([(to, given)], [(beside, value)]) = (&pages[..], &flags[..]) else { return None };
    let given = given.ident().is_some_and(|n| func.params.iter().any(|p| p.name == *n));
    let plainly = |target: &Expr| {
        list.iter().any(|s| {
            let StmtKind::Expr(x) = &s.kind else { return false };
            matches!(&x.kind, ExprKind::Assign(None, l, _) if l.span == target.span)
        })
    };
    let object = |target: &Expr| match &target.kind {
        ExprKind::Field { base, .. } => plain(base, text),
        _ => String::new(),
    };
    let same = object(to) == object(beside) && Filler::new(e, at, func.clone(), object(to), page.clone()).is_some();
    (!leaves && given && plainly(to) && plainly(beside) && same).then(|| (*value).clone())
}
