//! Local counts of pages that are never negative: `int pinned = 0;`, and `pinned += ret;` behind `if (ret < 0) return`.
//!
//! Where a changed region runs from an arbitrary state, such a variable is one of the things that are not arbitrary:
//! wherever the region is reached, the variable has been nothing but 0 and a sum of what pins returned. Sums of more
//! than 2^31 pages are not looked at, as in [`super::trail`]. It knows nothing of what the count is used for.

use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::{AcquireKind, Api};
use crate::source::{Name, Span};

/// The variables, in the order of their declarations. `function` tells of the name of a call whether it is a function:
/// a macro may set what it is given (`get_user(n, p)`).
pub fn never_negative(f: &Function, api: &Api, function: &dyn Fn(&str) -> bool) -> Vec<Name> {
    let StmtKind::Block(list) = &f.body.kind else { return Vec::new() };
    // Behind a label the declaration may not have been passed.
    let first = list.iter().take_while(|s| !matches!(s.kind, StmtKind::Label(_)));
    let mut found = Vec::new();
    for s in first {
        let StmtKind::Decl(vars) = &s.kind else { continue };
        for v in vars {
            let from_zero = v.init.as_ref().is_some_and(is_count);
            if from_zero
                && !v.is_static
                && signed(&v.ty).is_some()
                && once(f, &v.name)
                && only_counts(f, &v.name, api, function)
            {
                found.push(v.name.clone());
            }
        }
    }
    found
}

/// The width of a signed integer.
fn signed(ty: &CType) -> Option<u8> {
    match ty.base {
        Base::Int { signed: true, bits } if ty.depth() == 0 && !ty.function => Some(bits),
        _ => None,
    }
}

fn is_count(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int { value: 0.., .. })
}

/// The type of the only variable of this name; `None` if there are several, or if it is a parameter.
fn only<'f>(f: &'f Function, name: &Name) -> Option<&'f CType> {
    let mut all = Vec::new();
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            all.extend(vars.iter().filter(|v| v.name == *name).map(|v| (&v.ty, v.is_static)));
        }
    });
    match all[..] {
        [(ty, false)] if !f.params.iter().any(|p| p.name == *name) => Some(ty),
        _ => None,
    }
}

fn once(f: &Function, name: &Name) -> bool {
    only(f, name).is_some()
}

/// All that is done to the variable adds what a pin returned, or sets it to a number.
fn only_counts(f: &Function, name: &Name, api: &Api, function: &dyn Fn(&str) -> bool) -> bool {
    let mut fine = f.whole();
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(op, to, from) if to.ident() == Some(name) => {
            fine &= match op {
                None => is_count(from),
                Some(BinOp::Add) => {
                    from.ident().is_some_and(|r| is_pinned(f, r, name, api, function) && tested(f, r, e.span))
                }
                Some(_) => false,
            };
        }
        ExprKind::IncDec { operand, .. } => fine &= operand.ident() != Some(name),
        ExprKind::Unary(UnOp::AddrOf, a) => fine &= a.ident() != Some(name),
        ExprKind::Call { args, .. } => fine &= by_value(e, args, name, function),
        ExprKind::Opaque => fine = false,
        _ => {}
    });
    f.body.walk(&mut |s| fine &= !matches!(s.kind, StmtKind::Opaque | StmtKind::Asm));
    fine
}

/// The variable is set to what pins return, and to nothing else. It is not wider than the sum.
fn is_pinned(f: &Function, result: &Name, sum: &Name, api: &Api, function: &dyn Fn(&str) -> bool) -> bool {
    let width = |n: &Name| only(f, n).and_then(signed);
    let pin = |e: &Expr| {
        e.call()
            .and_then(|(n, _)| api.acquire(n))
            .is_some_and(|a| matches!(a.kind, AcquireKind::Gup | AcquireKind::Pin))
    };
    let mut fine = width(result).is_some_and(|bits| width(sum).is_some_and(|sum| bits <= sum));
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            let init = vars.iter().filter(|v| v.name == *result).filter_map(|v| v.init.as_ref());
            fine &= init.into_iter().all(|i| pin(i) || is_count(i));
        }
    });
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(op, to, from) if to.ident() == Some(result) => {
            fine &= op.is_none() && (pin(from) || is_count(from))
        }
        ExprKind::IncDec { operand, .. } => fine &= operand.ident() != Some(result),
        ExprKind::Unary(UnOp::AddrOf, a) => fine &= a.ident() != Some(result),
        ExprKind::Call { args, .. } => fine &= by_value(e, args, result, function),
        _ => {}
    });
    fine
}

/// Whether the call leaves the variable as it is.
fn by_value(call: &Expr, args: &[Expr], name: &Name, function: &dyn Fn(&str) -> bool) -> bool {
    !args.iter().any(|a| a.ident() == Some(name)) || call.call().is_some_and(|(n, _)| function(n))
}

/// Whether every way to the statement has just left a test for a negative result behind: the test stands before it in
/// the same block, nothing between the two sets the variable, and nothing jumps there.
fn tested(f: &Function, result: &Name, at: Span) -> bool {
    let mut found = false;
    f.body.walk(&mut |block| {
        let StmtKind::Block(list) = &block.kind else { return };
        let here = |s: &Stmt| matches!(&s.kind, StmtKind::Expr(e) if e.span == at);
        let Some(i) = list.iter().position(here) else { return };
        for s in list[..i].iter().rev() {
            if let StmtKind::If { cond, then, els: None } = &s.kind
                && asks_negative(cond, result)
                && leaves(then)
                && !sets(s, result)
            {
                found = true;
                return;
            }
            if sets(s, result) || comes_from_elsewhere(s) {
                return;
            }
        }
    });
    found
}

/// `r < 0`, `r <= 0`
fn asks_negative(cond: &Expr, result: &Name) -> bool {
    match &cond.kind {
        ExprKind::Binary(BinOp::Lt | BinOp::Le, a, b) => {
            a.ident() == Some(result) && matches!(b.kind, ExprKind::Int { value: 0, .. })
        }
        _ => false,
    }
}

fn leaves(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Return(_) | StmtKind::Goto(_) | StmtKind::Break | StmtKind::Continue => true,
        StmtKind::Block(list) => list.last().is_some_and(leaves),
        _ => false,
    }
}

fn sets(s: &Stmt, name: &Name) -> bool {
    let mut found = false;
    s.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, to, _) => found |= to.ident() == Some(name),
        ExprKind::IncDec { operand, .. } => found |= operand.ident() == Some(name),
        _ => {}
    });
    found
}

fn comes_from_elsewhere(s: &Stmt) -> bool {
    let mut found = false;
    s.walk(&mut |s| found |= matches!(s.kind, StmtKind::Label(_) | StmtKind::Case { .. } | StmtKind::Default));
    found
}
