//! Where a jump goes: back to what comes by here once more, or ahead to the normal way out.

use super::release::{enclosing, leaves};
use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::source::{Name, Span};

/// `goto again;`: what stands at the label comes by here once more. (`out:` with a return may stand ahead as well.)
pub(super) fn goes_back(func: &Function, label: &Name, from: Span) -> bool {
    let mut back = false;
    func.body.walk(&mut |block| {
        let StmtKind::Block(list) = &block.kind else { return };
        let label = list.iter().position(|s| matches!(&s.kind, StmtKind::Label(n) if n == label));
        let Some(behind) = label.and_then(|i| list.get(i..)).filter(|_| block.span.contains(from)) else { return };
        let mut between = behind.iter().take_while(|s| s.span.start <= from.start).peekable();
        back |= between.peek().is_some() && !between.any(|s| matches!(s.kind, StmtKind::Return(_)));
    });
    back
}

/// Whether a jump ahead takes the normal way out: the statements before the label come to it as well, and what is
/// returned behind it is a constant that is no error, or a variable that was set to one and not set since.
pub(super) fn way_out(func: &Function, label: &Name, from: Span) -> bool {
    let mut normal = false;
    func.body.walk(&mut |block| {
        let StmtKind::Block(list) = &block.kind else { return };
        let Some(at) = list.iter().position(|s| matches!(&s.kind, StmtKind::Label(n) if n == label)) else { return };
        let (before, behind) = list.split_at(at);
        if before.last().is_none_or(leaves) || block.span != func.body.span {
            return;
        }
        let returned = behind.iter().find_map(|s| match &s.kind {
            StmtKind::Return(value) => value.as_ref(),
            _ => None,
        });
        normal |= returned.is_some_and(|value| match &value.kind {
            ExprKind::Int { .. } => true,
            ExprKind::Ident(name) => still_nothing(func, name, from) || never_kept(func, name, from),
            _ => false,
        });
    });
    normal
}

/// Whether a variable has a constant that is no error at a place: the last assignment before it, in a block around it.
fn still_nothing(func: &Function, name: &Name, at: Span) -> bool {
    let around = enclosing(&func.body, at);
    let holds = |b: &Stmt, s: &Stmt| matches!(&b.kind, StmtKind::Block(list) if list.iter().any(|c| c.span == s.span));
    let direct = |s: &Stmt| around.iter().any(|b| holds(b, s));
    let is_int = |e: &Expr| matches!(e.kind, ExprKind::Int { .. });
    let mut nothing = false;
    func.body.walk(&mut |s| {
        if s.span.start >= at.start {
            return;
        }
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars.iter().filter(|v| v.name == *name) {
                nothing = v.init.as_ref().is_some_and(is_int);
            }
        }
        s.exprs(&mut |e| {
            e.walk(&mut |e| match &e.kind {
                ExprKind::Assign(op, to, from) if to.ident() == Some(name) => {
                    nothing = op.is_none() && is_int(from) && direct(s);
                }
                // `get(&ret)`
                ExprKind::Unary(UnOp::AddrOf, to) if to.ident() == Some(name) => nothing = false,
                _ => {}
            });
        });
    });
    nothing
}

/// Whether a variable is nothing at a place because no error stays in it: whatever it is set to is a constant that is
/// no error, is asked for at once by an `if` that leaves, or is followed by a way out. The place is in none of these.
fn never_kept(func: &Function, name: &Name, at: Span) -> bool {
    let is_int = |e: &Expr| matches!(e.kind, ExprKind::Int { .. });
    let (mut sets, mut known) = (0, 0);
    func.body.walk(&mut |s| {
        s.exprs(&mut |e| {
            e.walk(&mut |e| match &e.kind {
                ExprKind::Assign(_, to, _) => sets += u32::from(to.ident() == Some(name)),
                ExprKind::IncDec { operand: to, .. } | ExprKind::Unary(UnOp::AddrOf, to) => {
                    sets += u32::from(to.ident() == Some(name));
                }
                _ => {}
            });
        });
        match &s.kind {
            StmtKind::Decl(vars) => {
                let other = |i: &Expr| !is_int(i);
                sets += u32::from(vars.iter().any(|v| v.name == *name && v.init.as_ref().is_none_or(other)));
            }
            StmtKind::Block(list) => {
                for (i, s) in list.iter().enumerate() {
                    let StmtKind::Expr(e) = &s.kind else { continue };
                    let ExprKind::Assign(None, to, from) = &e.kind else { continue };
                    let rest = &list[i + 1..];
                    let asked = match rest.first().map(|s| (&s.kind, s.span)) {
                        Some((StmtKind::If { cond, then, els: None }, span)) => {
                            cond.ident() == Some(name) && leaves(then) && !span.contains(at)
                        }
                        _ => false,
                    };
                    let left = || rest.last().is_some_and(leaves) && !rest.iter().any(|s| s.span.contains(at));
                    known += u32::from(to.ident() == Some(name) && (is_int(from) || asked || left()));
                }
            }
            _ => {}
        }
    });
    sets == known
}
