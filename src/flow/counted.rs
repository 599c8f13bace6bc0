//! Releases that go by the count of a pin: `got = pin(…, pages); while (got > 0) put_page(pages[--got]);`.
//!
//! The entries below the count are what the pin has stored, whatever was in the array before, if the pin lies on every
//! way to the release, and if nothing but reading goes on between the two. All of that is shown by the statements
//! themselves: what is not understood counts as a store.

use super::cfg::{Cfg, Elem};
use super::engine::Engine;
use super::guard::span_of;
use super::objects::{declared, macros};
use super::release::enclosing;
use super::steps::same;
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::kernel::Api;
use crate::source::{FileId, Name, Span};
use crate::trace::PinSite;

/// What a release drops.
struct Dropped<'f> {
    /// The array, a variable or a member as a whole.
    array: &'f Expr,
    count: &'f Name,
    /// The variable that runs up to the count; without it the count runs down to zero.
    index: Option<&'f Name>,
}

/// Whether the release drops what a pin of its function has stored, and nothing else.
pub(super) fn only_pinned(e: &Engine, file: FileId, func: &Function, pins: &[&PinSite], call: Span) -> bool {
    let Some(drops) = dropped(func, call).filter(|_| func.whole()) else { return false };
    let (count, Some(root)) = (drops.count, root(drops.array)) else { return false };
    let mut variables = vec![count, root];
    variables.extend(drops.index);
    let hidden = |n: &&Name| declared(func, n) + func.params.iter().filter(|p| p.name == **n).count() != 1;
    if variables.iter().any(hidden) || variables.iter().any(|v| addressed(func, v)) {
        return false;
    }
    let mut assembly = false;
    func.body.walk(&mut |s| assembly |= matches!(s.kind, StmtKind::Asm));
    if assembly || [count, root].into_iter().any(|v| macros::sets(e, file, func, v)) {
        return false;
    }
    let cfg = Cfg::new(func);
    let stores = |n: u32| pins.iter().any(|p| pinned(func, p, &cfg.nodes[n as usize].elem, &drops));
    let holds = |n: u32| span_of(&cfg.nodes[n as usize].elem).is_some_and(|s| s.contains(call));
    let nodes = 0..cfg.nodes.len() as u32;
    // From there to the release, without another pin.
    let walk = |from: Vec<u32>| {
        let mut seen = vec![false; cfg.nodes.len()];
        let mut work = from;
        while let Some(n) = work.pop() {
            if stores(n) || std::mem::replace(&mut seen[n as usize], true) {
                continue;
            }
            work.extend(&cfg.nodes[n as usize].succ);
        }
        seen
    };
    let without = walk(vec![0]);
    if nodes.clone().any(|n| without[n as usize] && holds(n)) {
        return false;
    }
    let behind: Vec<u32> = nodes.clone().filter(|n| stores(*n)).collect();
    let seen = walk(behind.iter().flat_map(|n| cfg.nodes[*n as usize].succ.clone()).collect());
    let ahead = |n: u32| walk(vec![n]).iter().zip(0..).any(|(s, n)| *s && holds(n));
    let between: Vec<u32> = nodes.filter(|n| seen[*n as usize] && ahead(*n)).collect();
    let mut down = 0;
    let quiet = between.iter().all(|n| quiet(&cfg.nodes[*n as usize].elem, &drops, &mut down));
    quiet && !between.is_empty() && down == u32::from(drops.index.is_none())
}

/// The array, the count and the index of a release in a loop that runs by a count.
fn dropped(func: &Function, call: Span) -> Option<Dropped<'_>> {
    let (name, args) = crate::sites::find(func, call)?.call()?;
    let release = Api::get().release(name).filter(|r| !r.batch)?;
    let ExprKind::Index(array, at) = &args.get(release.arg)?.kind else { return None };
    let array = &**array;
    let in_loop = |kind: &StmtKind| matches!(kind, StmtKind::For { .. } | StmtKind::While { .. });
    let around = enclosing(&func.body, call);
    let stmt = around.iter().rev().find(|s| in_loop(&s.kind) || matches!(s.kind, StmtKind::DoWhile { .. }))?;
    match &stmt.kind {
        StmtKind::For { init: Some(init), cond: Some(cond), step: Some(step), body } => {
            let ExprKind::Binary(BinOp::Lt, index, count) = &cond.kind else { return None };
            let (index, count) = (index.ident()?, count.ident()?);
            let steps = |x: &Expr| match &x.kind {
                ExprKind::IncDec { inc, operand, .. } => *inc && operand.ident() == Some(index),
                _ => false,
            };
            let mut set = false;
            body.walk_exprs(&mut |x| set |= changed(x) == Some(index));
            let fits = starts_at_zero(&init.kind, index) && steps(step) && at.ident() == Some(index) && !set;
            (fits && index != count).then_some(Dropped { array, count, index: Some(index) })
        }
        StmtKind::While { cond, body } => {
            let zero = |x: &Expr| matches!(x.kind, ExprKind::Int { value: 0, .. });
            let (op, tested) = match &cond.kind {
                ExprKind::Binary(op, a, b) if zero(b) => (*op, &**a),
                _ => return None,
            };
            let drop = Dropped { array, count: falls(tested).or(tested.ident())?, index: None };
            let first = match &body.kind {
                StmtKind::Block(list) => list.first(),
                _ => None,
            };
            let before = first.is_some_and(|s| matches!(&s.kind, StmtKind::Expr(x) if falls(x).is_some()));
            let prefix = |x: &Expr| matches!(x.kind, ExprKind::IncDec { prefix: true, .. });
            let fits = match (op, falls(tested)) {
                // `while (n > 0) { n--; put(p[n]); }`, or `put(p[--n])`
                (BinOp::Gt, None) => at.ident() == Some(drop.count) && before || falls(at).is_some() && prefix(at),
                // `while (n-- > 0) put(p[n]);`
                (BinOp::Gt, Some(_)) => !prefix(tested) && at.ident() == Some(drop.count),
                // `while (--n >= 0) put(p[n]);`
                (BinOp::Ge, Some(_)) => prefix(tested) && at.ident() == Some(drop.count),
                _ => false,
            };
            let alike = |x: &Expr| falls(x).is_none_or(|n| n == drop.count);
            let same = alike(at) && first.is_none_or(|s| !matches!(&s.kind, StmtKind::Expr(x) if !alike(x)));
            (fits && same).then_some(drop)
        }
        _ => None,
    }
}

fn starts_at_zero(init: &StmtKind, index: &Name) -> bool {
    let zero = |x: &Expr| matches!(x.kind, ExprKind::Int { value: 0, .. });
    match init {
        StmtKind::Expr(x) => {
            matches!(&x.kind, ExprKind::Assign(None, to, from) if to.ident() == Some(index) && zero(from))
        }
        StmtKind::Decl(vars) => vars.iter().any(|v| v.name == *index && v.init.as_ref().is_some_and(zero)),
        _ => false,
    }
}

/// The variable of `n--`, `--n`.
fn falls(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::IncDec { inc: false, operand, .. } => operand.ident(),
        _ => None,
    }
}

/// The variable that an expression itself sets.
fn changed(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Assign(_, to, _) => to.ident(),
        ExprKind::IncDec { operand, .. } => operand.ident(),
        _ => None,
    }
}

/// The variable of a variable, or of members of one.
pub(super) fn root(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Ident(n) => Some(n),
        ExprKind::Field { base, .. } => root(base),
        _ => None,
    }
}

pub(super) fn addressed(func: &Function, variable: &Name) -> bool {
    let mut found = false;
    func.body.walk_exprs(&mut |x| {
        found |= matches!(&x.kind, ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(variable));
    });
    found
}

fn uncast(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => uncast(a),
        _ => e,
    }
}

/// `count = pin(…, array)`, as a statement: the pin is made whenever one comes by.
fn pinned(func: &Function, pin: &PinSite, elem: &Elem, drops: &Dropped) -> bool {
    let is_count = match elem {
        Elem::Expr(x) => match &x.kind {
            ExprKind::Assign(None, to, from) => to.ident() == Some(drops.count) && uncast(from).span == pin.call,
            _ => false,
        },
        Elem::Decl(v) => v.name == *drops.count && v.init.as_ref().is_some_and(|i| uncast(i).span == pin.call),
        _ => false,
    };
    let array = pin.pages.as_ref().and_then(|(_, at)| crate::sites::find(func, *at));
    is_count && array.is_some_and(|a| same(a, drops.array))
}

/// Whether what is evaluated there leaves the array and its entries alone; counts how often the count falls.
fn quiet(elem: &Elem, drops: &Dropped, down: &mut u32) -> bool {
    let (value, shadows) = match elem {
        Elem::Nop | Elem::Return(None) => return true,
        Elem::Expr(x) | Elem::Cond(x) | Elem::Return(Some(x)) => (*x, false),
        Elem::Decl(v) => match &v.init {
            Some(x) => (x, Some(&v.name) == root(drops.array)),
            None => return true,
        },
        Elem::Iterate(..) | Elem::Opaque(_) => return false,
    };
    let mut quiet = !shadows;
    value.walk(&mut |x| {
        if falls(x) == Some(drops.count) && drops.index.is_none() {
            *down += 1;
            return;
        }
        quiet &= match &x.kind {
            ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } => match &to.kind {
                ExprKind::Ident(n) => n != drops.count && Some(n) != root(drops.array),
                _ => false,
            },
            _ => harmless(x),
        };
    });
    quiet
}

/// Neither a store nor a call that may bring one about: releases, and messages of variables by their names.
pub(super) fn harmless(x: &Expr) -> bool {
    let api = Api::get();
    match &x.kind {
        ExprKind::Assign(..) | ExprKind::IncDec { .. } | ExprKind::StmtExpr(_) | ExprKind::Opaque => false,
        ExprKind::Call { .. } => x
            .call()
            .is_some_and(|(name, args)| api.release(name).is_some() || api.dirty(name).is_some() || message(args)),
        _ => true,
    }
}

/// Arguments of a message.
pub(super) fn message(args: &[Expr]) -> bool {
    let plain = |a: &Expr| matches!(a.kind, ExprKind::Str | ExprKind::Int { .. } | ExprKind::Ident(_));
    args.iter().any(|a| matches!(a.kind, ExprKind::Str)) && args.iter().all(plain)
}
