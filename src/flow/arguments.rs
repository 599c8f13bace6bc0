//! Calls out of which the pages of a pin do not come, by what they pass.
//!
//! `if (!write) pin(…);` has run when its page comes back, so the page comes back by no call that passes `true`. It is
//! told as a doubt of the way that is shown, no more: a way through the heap, or one more test of the variable, may be
//! another run of the function.

use super::FnId;
use super::engine::Engine;
use super::graph::{Graph, Node};
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::source::{Name, Span};
use crate::trace::Doubt;

/// What the parameters of a function are where its pages were pinned, in the run that they come out of.
pub(super) struct Arguments {
    function: FnId,
    /// Parameters by position, and whether they are other than 0.
    known: Vec<(usize, bool)>,
}

/// What is passed.
enum Passed {
    Number(bool),
    /// A parameter of the caller; turned into its opposite.
    Own(usize, bool),
}

impl Arguments {
    /// What is tested around a statement.
    pub(super) fn around(e: &Engine, (function, at): (FnId, Span)) -> Self {
        let known = e.index.parsed(e.fns[function.0 as usize]).map(|f| tested(&f, at)).unwrap_or_default();
        Self { function, known }
    }

    /// Follows the pages from one node to the next by a statement; why they do not take it.
    pub(super) fn follow(&mut self, e: &Engine, g: &Graph, way: (Node, Node), at: (FnId, Span)) -> Option<Doubt> {
        let (from, to) = (g.place(way.0).function(), g.place(way.1).function());
        if from == to && from == Some(self.function) {
            return None;
        }
        let known = std::mem::take(&mut self.known);
        if known.is_empty() || from != Some(self.function) || to != Some(at.0) {
            return None;
        }
        let callee = e.index.parsed(e.fns[self.function.0 as usize])?;
        let caller = e.index.parsed(e.fns[at.0.0 as usize])?;
        self.function = at.0;
        let args = arguments(&caller, at.1, &callee)?;
        for (k, wanted) in known {
            match args.get(k).and_then(|x| passed(&caller, x)) {
                Some(Passed::Number(truth)) if truth != wanted => {
                    return Some(Doubt::Argument(
                        callee.params[k].name.clone(),
                        e.index.name(e.fns[self.function.0 as usize]),
                    ));
                }
                Some(Passed::Own(p, opposite)) => self.known.push((p, wanted != opposite)),
                _ => {}
            }
        }
        self.known.extend(tested(&caller, at.1));
        None
    }
}

/// The arguments of the call that stands there, if it is one of this function, by its name.
fn arguments(caller: &Function, at: Span, callee: &Function) -> Option<Vec<Expr>> {
    let mut found = None;
    caller.body.walk_exprs(&mut |x| {
        if let Some((name, args)) = x.call()
            && x.span == at
            && *name == callee.name
            && args.len() == callee.params.len()
        {
            found = Some(args.to_vec());
        }
    });
    found
}

/// Parameters that are tested around a statement, by an `if` whose arm it is in.
fn tested(f: &Function, at: Span) -> Vec<(usize, bool)> {
    let mut out = Vec::new();
    f.body.walk(&mut |s| {
        if let StmtKind::If { cond, then, els } = &s.kind {
            if then.span.contains(at) {
                literals(f, cond, true, &mut out);
            } else if els.as_ref().is_some_and(|e| e.span.contains(at)) {
                literals(f, cond, false, &mut out);
            }
        }
    });
    out
}

/// What a condition says of single parameters when it is true, or false.
fn literals(f: &Function, x: &Expr, truth: bool, out: &mut Vec<(usize, bool)>) {
    match &x.kind {
        ExprKind::Binary(BinOp::And, a, b) if truth => [a, b].into_iter().for_each(|x| literals(f, x, truth, out)),
        ExprKind::Binary(BinOp::Or, a, b) if !truth => [a, b].into_iter().for_each(|x| literals(f, x, truth, out)),
        _ => match passed(f, x) {
            Some(Passed::Own(k, opposite)) => out.push((k, truth != opposite)),
            Some(Passed::Number(_)) | None => {}
        },
    }
}

/// Whether an expression is 0, or which parameter says so.
fn passed(f: &Function, x: &Expr) -> Option<Passed> {
    match &x.kind {
        ExprKind::Int { value, .. } => Some(Passed::Number(*value != 0)),
        ExprKind::Unary(UnOp::Not, a) => Some(match passed(f, a)? {
            Passed::Number(truth) => Passed::Number(!truth),
            Passed::Own(k, opposite) => Passed::Own(k, !opposite),
        }),
        ExprKind::Call { .. } => match x.call() {
            Some((n, [a])) if matches!(&**n, "likely" | "unlikely") => passed(f, a),
            _ => None,
        },
        ExprKind::Ident(n) => match &**n {
            "true" => Some(Passed::Number(true)),
            "false" | "NULL" => Some(Passed::Number(false)),
            _ => f.params.iter().position(|p| p.name == *n).filter(|_| stays(f, n)).map(|k| Passed::Own(k, false)),
        },
        _ => None,
    }
}

/// Nothing in the function changes its parameter, nor is there another variable of its name.
fn stays(f: &Function, name: &Name) -> bool {
    let mut stays = f.whole();
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            stays &= vars.iter().all(|v| v.name != *name);
        }
    });
    f.body.walk_exprs(&mut |x| {
        if let ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } | ExprKind::Unary(UnOp::AddrOf, to) =
            &x.kind
        {
            stays &= to.ident() != Some(name);
        }
    });
    stays
}
