//! The code around a release: loop or not, how the page is dirtied, on which path it lies.

use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
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
                return match api.iterate(name) {
                    Some(i) if i.sg => Shape::SgIter,
                    _ if api.runs_over(name).is_some() => Shape::ForLoop,
                    _ => Shape::Single,
                };
            }
            _ => {}
        }
    }
    Shape::Single
}

/// How the page is dirtied before the release, and under which condition. `dirties` are the dirty calls on the same
/// page in the function: callee and place.
pub(super) fn dirty(
    func: &Function,
    text: &[u8],
    call: Span,
    dirties: &[(Dirty, Span)],
) -> (Dirty, String, Option<Span>) {
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
    let inner = dirties.iter().rev().find(|(_, at)| region.contains(*at) && at.start < call.start);
    // One loop dirties all, the next one drops all: both stand in the same block.
    let earlier = || {
        let block = around
            .iter()
            .rev()
            .find(|s| matches!(s.kind, StmtKind::Block(_)) && s.span.contains(region) && s.span != region)?;
        let StmtKind::Block(list) = &block.kind else { return None };
        let before = |at: Span| {
            list.iter().any(|s| {
                s.span.contains(at)
                    && s.span.end <= region.start
                    && matches!(s.kind, StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::Iterate { .. })
            })
        };
        dirties.iter().rev().find(|(_, at)| before(*at))
    };
    let Some((kind, at)) = inner.or_else(earlier) else {
        return (Dirty::None, String::new(), None);
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
    (*kind, when.join(" && "), Some(*at))
}

/// The condition under which a call like `unpin_user_pages_dirty_lock(pages, n, make_dirty)` dirties: its third
/// argument; `None` if it always does.
pub(super) fn make_dirty(func: &Function, text: &[u8], call: Span) -> Option<String> {
    let mut found = None;
    func.body.walk_exprs(&mut |x| {
        if x.span == call
            && let Some((_, [_, _, make])) = x.call()
            && !matches!(make.kind, ExprKind::Int { value: 1, .. })
            && make.ident().is_none_or(|n| &**n != "true")
        {
            found = Some(plain(make, text));
        }
    });
    found
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
/// same function, and whether that is of one page only: a part of it is nothing.
pub(super) fn when(func: &Function, text: &[u8], call: Span, result: Option<&str>, single: bool) -> When {
    let around = enclosing(&func.body, call);
    let counted = |c: &Expr| result.is_some_and(|r| !r.is_empty() && plain(c, text).contains(r));
    for s in around.iter().rev() {
        let StmtKind::If { cond, then, els } = &s.kind else { continue };
        if cond.span.end > call.start {
            continue;
        }
        if counted(cond) && !single {
            return When::Partial;
        }
        let taken = if then.span.contains(call) { Some(&**then) } else { els.as_deref() };
        let c = plain(cond, text);
        if counted(cond) && single {
            return if taken.is_some_and(fails) { When::Error } else { When::Normal };
        }
        if taken.is_some_and(fails) || ["ret", "err", "error", "rc", "res", "retval"].iter().any(|w| word(&c, w)) {
            return When::Error;
        }
    }
    // Behind `if (all of them) return pages;`, or behind a label that only jumps reach.
    let mut path = When::Normal;
    for s in &around {
        let StmtKind::Block(list) = &s.kind else { continue };
        let mut before: Option<&Stmt> = None;
        for s in list.iter().filter(|s| s.span.end <= call.start) {
            match &s.kind {
                StmtKind::Label(n) => {
                    // `pinned = 0` just before it: on the straight way there is nothing to drop.
                    let empty = zeroed_before(list, s, text, result);
                    let jumps = empty || before.is_some_and(leaves);
                    if jumps && all_jumps(func, n, &counted) {
                        path = if single { When::Error } else { When::Partial };
                        before = Some(s);
                        continue;
                    }
                    let named = ["err", "fail", "unpin", "undo", "unwind", "bad"].iter().any(|w| n.contains(w));
                    path = if jumps || named { When::Error } else { When::Normal };
                }
                StmtKind::If { cond, then, els: None } if leaves(then) && !fails(then) && counted(cond) && !single => {
                    path = When::Partial;
                }
                _ => {}
            }
            before = Some(s);
        }
    }
    path
}

/// `result = 0;`
fn zeroed(s: &Stmt, text: &[u8], result: Option<&str>) -> bool {
    let StmtKind::Expr(e) = &s.kind else { return false };
    match &e.kind {
        ExprKind::Assign(None, lhs, rhs) => {
            matches!(rhs.kind, ExprKind::Int { value: 0, .. }) && result.is_some_and(|r| plain(lhs, text) == r)
        }
        _ => false,
    }
}

/// Among the last few statements before the label.
fn zeroed_before(list: &[Stmt], label: &Stmt, text: &[u8], result: Option<&str>) -> bool {
    let before: Vec<&Stmt> = list.iter().filter(|s| s.span.end <= label.span.start).collect();
    before.iter().rev().take(3).any(|s| zeroed(s, text, result))
}

/// Whether every jump to the label stands under a test of the count.
fn all_jumps(func: &Function, label: &str, counted: &dyn Fn(&Expr) -> bool) -> bool {
    let mut spans = Vec::new();
    func.body.walk(&mut |s| {
        if matches!(&s.kind, StmtKind::Goto(n) if &**n == label) {
            spans.push(s.span);
        }
    });
    !spans.is_empty()
        && spans.iter().all(|g| {
            enclosing(&func.body, *g)
                .iter()
                .rev()
                .find_map(|s| match &s.kind {
                    StmtKind::If { cond, .. } => Some(counted(cond)),
                    _ => None,
                })
                .unwrap_or(false)
        })
}

/// Ends in a jump or a return.
fn leaves(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Return(_) | StmtKind::Goto(_) => true,
        StmtKind::Block(v) => v.last().is_some_and(leaves),
        _ => false,
    }
}

/// Ends in `return -ERRNO` or in a jump.
fn fails(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Return(Some(e)) => {
            matches!(e.kind, ExprKind::Unary(UnOp::Neg, _)) || e.call().is_some_and(|(n, _)| n.starts_with("ERR_"))
        }
        StmtKind::Goto(_) => true,
        StmtKind::Block(v) => v.last().is_some_and(fails),
        _ => false,
    }
}

fn word(text: &str, w: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|p| p == w)
}
