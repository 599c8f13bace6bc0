//! A pointer that is set to another array together with the count of 0: `sg = other; n = 0;`. Behind that, a loop over
//! the first `n` entries of `sg` drops none of the other array's.
//!
//! Said of what comes into the pointer by such statements only. Whether the count fits the array otherwise is not
//! asked.

use super::FnId;
use super::cfg::{Cfg, Elem};
use super::graph::{Graph, Node, Reached};
use super::guard::span_of;
use super::release::enclosing;
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::kernel::Api;
use crate::source::{Name, Span};
use std::collections::BTreeSet;

/// The assignments to the pointer that a release reads, behind which its loop finds the count to be 0.
pub(super) fn aliases(func: &Function, call: Span) -> Vec<Span> {
    let Some(pointer) = dropped(func, call).filter(|p| func.whole() && is_of_call(func, p)) else { return Vec::new() };
    let mut set = Vec::new();
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(None, to, _) = &e.kind
            && to.ident() == Some(pointer)
        {
            set.push(e.span);
        }
    });
    let mut counts = counts(func, call);
    // What outlives the call is looked at by the next one.
    counts.retain(|n| is_of_call(func, n));
    if set.is_empty() || counts.is_empty() {
        return Vec::new();
    }
    let cfg = Cfg::new(func);
    set.retain(|at| counts.iter().any(|n| !gets_on(&cfg, *at, n, call)));
    set
}

/// A parameter, or a variable that is gone when the function returns.
fn is_of_call(func: &Function, name: &Name) -> bool {
    let (mut declared, mut stays) = (func.params.iter().any(|p| p.name == *name), false);
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            let mine = || vars.iter().filter(|v| v.name == *name);
            declared |= mine().next().is_some();
            stays |= mine().any(|v| v.is_static);
        }
    });
    declared && !stays
}

/// Whether pages come to the place of a release by these statements of its function alone.
pub(super) fn only_by(g: &Graph, r: &Reached, end: Node, f: FnId, set: &[Span]) -> bool {
    let mut ways = [end & !1, end | 1]
        .into_iter()
        .flat_map(|n| g.incoming(n))
        .filter(|e| e.to / 2 != end / 2 && (r.has(e.to) || r.has_number(e.to)))
        .peekable();
    ways.peek().is_some() && ways.all(|e| e.at.0 == f && set.contains(&e.at.1))
}

/// The pointer to the entries that a release drops: of `put_page(sg_page(&sg[i]))`, `sg`.
fn dropped(func: &Function, call: Span) -> Option<&Name> {
    let mut found = None;
    func.body.walk_exprs(&mut |e| found = e.call().filter(|_| e.span == call).or(found));
    let (name, args) = found?;
    let release = Api::get().release(name)?;
    pointer(args.get(release.arg)?)
}

fn pointer(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Ident(n) => Some(n),
        ExprKind::Index(a, _) | ExprKind::Unary(UnOp::AddrOf | UnOp::Deref, a) | ExprKind::Cast(_, a) => pointer(a),
        ExprKind::Binary(BinOp::Add, a, _) => pointer(a),
        ExprKind::Call { .. } => match e.call() {
            Some((name, [arg])) if Api::get().same(name) == Some(0) => pointer(arg),
            _ => None,
        },
        _ => None,
    }
}

/// Variables in the conditions of the loops and tests around the call.
fn counts(func: &Function, call: Span) -> BTreeSet<&Name> {
    let mut out = BTreeSet::new();
    for s in enclosing(&func.body, call) {
        let cond = match &s.kind {
            StmtKind::For { cond: Some(cond), .. } | StmtKind::While { cond, .. } | StmtKind::If { cond, .. } => cond,
            _ => continue,
        };
        cond.walk(&mut |e| out.extend(e.ident()));
    }
    // Who has its address may set it at any time.
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Unary(UnOp::AddrOf, a) = &e.kind
            && let Some(n) = a.ident()
            && !handed(func, e)
        {
            out.remove(n);
        }
    });
    out
}

/// `&n` is an argument.
fn handed(func: &Function, address: &Expr) -> bool {
    let mut found = false;
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Call { args, .. } = &e.kind {
            found |= args.iter().any(|a| a.span == address.span);
        }
    });
    found
}

/// Whether a way leads through the statement to the call on which the variable may be other than 0.
fn gets_on(cfg: &Cfg, through: Span, count: &Name, call: Span) -> bool {
    let holds = |n: u32, at: Span| span_of(&cfg.nodes[n as usize].elem).is_some_and(|s| s.contains(at));
    let mut seen: BTreeSet<(u32, bool, bool)> = BTreeSet::new();
    let mut found = false;
    let mut work = vec![(0, false, false)];
    while let Some((n, zero, behind)) = work.pop() {
        if !seen.insert((n, zero, behind)) {
            continue;
        }
        let behind = behind || holds(n, through);
        found |= behind;
        if behind && holds(n, call) {
            return true;
        }
        let node = &cfg.nodes[n as usize];
        let tested = match node.elem {
            Elem::Cond(c) if zero && node.succ.len() == 2 => at_zero(c, count),
            _ => None,
        };
        let zero = left(&node.elem, count, zero);
        let next = node.succ.iter().enumerate().filter(|(i, _)| tested.is_none_or(|t| (*i == 0) == t));
        work.extend(next.map(|(_, s)| (*s, zero, behind)));
    }
    !found
}

/// Whether the variable is 0 behind a node.
fn left(elem: &Elem, count: &Name, before: bool) -> bool {
    let sets = |e: &Expr| {
        let mut sets = false;
        e.walk(&mut |x| {
            sets |= match &x.kind {
                ExprKind::Assign(_, to, _) | ExprKind::Unary(UnOp::AddrOf, to) => to.ident() == Some(count),
                ExprKind::IncDec { operand, .. } => operand.ident() == Some(count),
                _ => false,
            };
        });
        sets
    };
    match elem {
        Elem::Decl(v) if v.name == *count => v.init.as_ref().is_some_and(is_zero),
        Elem::Decl(v) => before && !v.init.as_ref().is_some_and(sets),
        Elem::Expr(e) => match &e.kind {
            ExprKind::Assign(None, to, v) if to.ident() == Some(count) => is_zero(v),
            _ => before && !sets(e),
        },
        Elem::Cond(e) | Elem::Return(Some(e)) => before && !sets(e),
        Elem::Iterate(_, args) => before && !args.iter().any(sets),
        Elem::Opaque(_) => false,
        Elem::Nop | Elem::Return(None) => before,
    }
}

fn is_zero(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int { value: 0, .. })
}

/// The truth of a condition when the variable is 0.
fn at_zero(cond: &Expr, count: &Name) -> Option<bool> {
    let is = |e: &Expr| match &e.kind {
        ExprKind::IncDec { operand, prefix: false, .. } => operand.ident() == Some(count),
        _ => e.ident() == Some(count),
    };
    match &cond.kind {
        ExprKind::Binary(BinOp::Gt | BinOp::Ne, a, b) if is_zero(b) => is(a).then_some(false),
        ExprKind::Binary(BinOp::Lt, a, b) if is_zero(a) => is(b).then_some(false),
        ExprKind::Binary(BinOp::Eq, a, b) if is_zero(b) => is(a).then_some(true),
        ExprKind::Unary(UnOp::Not, a) => at_zero(a, count).map(|t| !t),
        ExprKind::Binary(BinOp::And, a, b) => {
            [a, b].into_iter().any(|x| at_zero(x, count) == Some(false)).then_some(false)
        }
        _ => is(cond).then_some(false),
    }
}
