//! Ways through one place that no run takes, although the places join them.
//!
//! A place is what is in it, whenever. Pages that came to an array in one branch of a function do not go on from
//! another branch of the same call, and a loop that fills an array piece by piece, each call behind what the last one
//! filled, hands none of the pages on to its next call. Asked only on the way forward from one pin; what is reached
//! otherwise as well stays reached.

use super::FnId;
use super::apart::after;
use super::engine::Engine;
use super::graph::{Edge, Via};
use super::place::Place;
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::source::{Name, Span};
use rustc_hash::FxHashMap;
use std::sync::{Mutex, PoisonError};

/// A statement of a function.
pub(super) type At = (FnId, Span);

/// What was found out about pairs of statements.
#[derive(Default)]
pub(super) struct Passages(Mutex<FxHashMap<(At, Span), bool>>);

impl Passages {
    /// Whether pages that came to the place by the statement `came` do not leave it by this edge.
    pub(super) fn closed(&self, e: &Engine, place: &Place, came: At, edge: &Edge) -> bool {
        let (f, by) = came;
        if edge.via != Via::In || edge.at.0 != f || by == Span::default() || edge.at.1 == Span::default() {
            return false;
        }
        let here = place.function() == Some(f);
        if !here && by != edge.at.1 {
            return false;
        }
        let key = (came, edge.at.1);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return *known;
        }
        let func = e.index.parsed(e.fns[f.0 as usize]).filter(|f| f.whole());
        let found = func.is_some_and(|func| match by == edge.at.1 {
            true => piece_by_piece(&func, by),
            false => exclusive(&func, by, edge.at.1),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found);
        found
    }
}

/// Neither statement runs after the other in one call of the function.
fn exclusive(func: &Function, a: Span, b: Span) -> bool {
    let follows = |first: Span, second: Span| {
        let later = after(func, first, &[]);
        later.is_empty() || later.iter().any(|l| l.start < second.end && second.start < l.end)
    };
    !follows(a, b) && !follows(b, a)
}

/// The call gets `&array[i]` or `array + i`, where `i` starts at 0 before the loop around it, and only grows, by as
/// much as the call was asked for or gave.
fn piece_by_piece(func: &Function, call: Span) -> bool {
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == call {
            found = e.call().map(|(_, args)| args);
        }
    });
    let Some(args) = found else { return false };
    args.iter().filter_map(|a| piece(a)).any(|(array, i)| grows(func, (array, i), args, call))
}

/// Array and index of `&array[i]` and `array + i`.
fn piece(arg: &Expr) -> Option<(&Expr, &Name)> {
    match &arg.kind {
        ExprKind::Cast(_, a) => piece(a),
        ExprKind::Unary(UnOp::AddrOf, a) => match &a.kind {
            ExprKind::Index(array, i) => Some((array, i.ident()?)),
            _ => None,
        },
        ExprKind::Binary(BinOp::Add, array, i) => Some((array, i.ident()?)),
        _ => None,
    }
}

fn grows(func: &Function, (array, index): (&Expr, &Name), args: &[Expr], call: Span) -> bool {
    let mut loops: Vec<(Span, Span)> = Vec::new();
    func.body.walk(&mut |s: &Stmt| {
        if let StmtKind::For { body, .. } | StmtKind::While { body, .. } | StmtKind::DoWhile { body, .. } = &s.kind
            && body.span.contains(call)
        {
            loops.push((s.span, body.span));
        }
    });
    let [(around, body)] = loops[..] else { return false };
    let zero = |e: &Expr| matches!(e.kind, ExprKind::Int { value: 0, .. });
    let one = |e: &Expr| matches!(e.kind, ExprKind::Int { value: 1, .. });
    // The array stays the same one.
    let mut fixed: Vec<&Name> = Vec::new();
    array.walk(&mut |e| fixed.extend(e.ident()));
    let mut results: Vec<&Name> = Vec::new();
    let (mut starts, mut added, mut known) = (0, false, !func.params.iter().any(|p| p.name == *index));
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars {
                if v.name == *index {
                    known &= !body.contains(v.span) && v.init.as_ref().is_none_or(zero) && !v.is_static;
                    starts += u32::from(v.init.is_some());
                }
                known &= !(body.contains(v.span) && fixed.contains(&&v.name));
                results.extend(v.init.as_ref().filter(|i| i.span.contains(call)).map(|_| &v.name));
            }
        }
    });
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(None, to, from) = &e.kind
            && from.span.contains(call)
        {
            results.extend(to.ident());
        }
    });
    let asked = |e: &Expr| e.ident().is_some_and(|n| results.contains(&n) || args.iter().any(|a| a.ident() == Some(n)));
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(None, to, from) if to.ident() == Some(index) => {
            known &= zero(from) && !body.contains(e.span);
            starts += 1;
        }
        ExprKind::Assign(Some(op), to, by) if to.ident() == Some(index) => {
            known &= matches!(op, BinOp::Add) && asked(by);
            added |= around.contains(e.span);
        }
        ExprKind::IncDec { operand, inc, .. } if operand.ident() == Some(index) => {
            known &= *inc && args.iter().any(one);
            added |= around.contains(e.span);
        }
        ExprKind::Assign(_, to, _) => {
            known &= !(around.contains(e.span) && to.ident().is_some_and(|n| fixed.contains(&n)))
        }
        ExprKind::IncDec { operand, .. } => {
            known &= !(around.contains(e.span) && operand.ident().is_some_and(|n| fixed.contains(&n)));
        }
        ExprKind::Unary(UnOp::AddrOf, a) => known &= a.ident().is_none_or(|n| n != index && !fixed.contains(&n)),
        _ => {}
    });
    known && added && starts == 1
}
