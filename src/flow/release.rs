//! The code around a release: loop or not, how the page is dirtied, on which path it lies.

use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind};
use crate::kernel::Api;
use crate::source::Span;
use crate::trace::{Dirty, Shape, When};

/// Statements around a span, outermost first.
pub(super) fn enclosing(body: &Stmt, at: Span) -> Vec<&Stmt> {
    let mut path = Vec::new();
    let mut here = body;
    loop {
        path.push(here);
        let mut next = None;
        here.children(&mut |c| {
            if c.span.contains(at) && next.is_none() {
                next = Some(c);
            }
        });
        match next {
            Some(n) => here = n,
            None => return path,
        }
    }
}

/// The form of the release.
pub(super) fn shape(func: &Function, call: Span, batch: bool) -> Shape {
    if batch {
        return Shape::BatchCall;
    }
    let api = Api::get();
    for s in enclosing(&func.body, call).iter().rev() {
        match &s.kind {
            // The call may stand in the head of the loop (`while (put(p), …)`): still a loop.
            StmtKind::For { .. } => return Shape::ForLoop,
            StmtKind::While { .. } | StmtKind::DoWhile { .. } => return Shape::WhileLoop,
            StmtKind::Iterate { name, .. } => {
                return if api.iterate(name).is_some_and(|i| i.sg) { Shape::SgIter } else { Shape::Single };
            }
            _ => {}
        }
    }
    Shape::Single
}

/// How the page is dirtied before the release, and under which condition. `dirties` are the dirty calls on the same
/// page in the function: callee and place.
pub(super) fn dirty(func: &Function, text: &[u8], call: Span, dirties: &[(Dirty, Span)]) -> (Dirty, String) {
    let around = enclosing(&func.body, call);
    // The innermost loop body, or else the innermost block, is where "the same page" is dirtied.
    let region = around
        .iter()
        .rev()
        .find(|s| {
            matches!(
                s.kind,
                StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::DoWhile { .. } | StmtKind::Iterate { .. }
            )
        })
        .or_else(|| around.iter().rev().find(|s| matches!(s.kind, StmtKind::Block(_))))
        .map_or(func.body.span, |s| s.span);
    let Some((kind, at)) = dirties.iter().rev().find(|(_, at)| region.contains(*at) && at.start < call.start) else {
        return (Dirty::None, String::new());
    };
    let mut when = Vec::new();
    for s in enclosing(&func.body, *at) {
        if let StmtKind::If { cond, then, els } = &s.kind {
            if s.span.contains(call) && branch(then, els.as_deref(), *at) == branch(then, els.as_deref(), call) {
                continue;
            }
            let c = plain(cond, text);
            match branch(then, els.as_deref(), *at) {
                Some(true) => when.push(c),
                Some(false) => when.push(format!("!({c})")),
                None => {}
            }
        }
    }
    (*kind, when.join(" && "))
}

/// Which branch of an `if` holds a place.
fn branch(then: &Stmt, els: Option<&Stmt>, at: Span) -> Option<bool> {
    if then.span.contains(at) {
        Some(true)
    } else if els.is_some_and(|e| e.span.contains(at)) {
        Some(false)
    } else {
        None
    }
}

/// Text of an expression on one line, without outer parentheses.
pub(super) fn plain(e: &Expr, text: &[u8]) -> String {
    let t = e.span.text(text);
    let t = t.split_whitespace().collect::<Vec<_>>().join(" ");
    match &e.kind {
        ExprKind::Binary(..) | ExprKind::Unary(..) | ExprKind::Ident(_) | ExprKind::Field { .. } => {
            let mut s = t.as_str();
            while s.starts_with('(') && s.ends_with(')') && balanced(&s[1..s.len() - 1]) {
                s = s[1..s.len() - 1].trim();
            }
            s.to_string()
        }
        _ => t,
    }
}

fn balanced(s: &str) -> bool {
    let mut d = 0i32;
    for c in s.chars() {
        match c {
            '(' => d += 1,
            ')' => {
                d -= 1;
                if d < 0 {
                    return false;
                }
            }
            _ => {}
        }
    }
    d == 0
}

/// The path of the release, as a reader would name it. `result` is the variable that took the count of a pin in the
/// same function.
pub(super) fn when(func: &Function, text: &[u8], call: Span, result: Option<&str>) -> When {
    let around = enclosing(&func.body, call);
    for s in around.iter().rev() {
        let StmtKind::If { cond, .. } = &s.kind else { continue };
        let c = plain(cond, text);
        let names = |w: &str| word(&c, w);
        if result.is_some_and(|r| !r.is_empty() && c.contains(r)) && cond.span.end <= call.start {
            return When::Partial;
        }
        if ["ret", "err", "error", "rc", "res", "retval"].iter().any(|w| names(w)) {
            return When::Error;
        }
    }
    // Behind a label that failures jump to.
    let mut label = None;
    func.body.walk(&mut |s| {
        if let StmtKind::Label(n) = &s.kind
            && s.span.end <= call.start
        {
            label = Some(n.clone());
        }
    });
    let failing =
        label.is_some_and(|l| ["err", "fail", "unpin", "undo", "unwind", "bad"].iter().any(|w| l.contains(w)));
    if failing { When::Error } else { When::Normal }
}

fn word(text: &str, w: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|p| p == w)
}
