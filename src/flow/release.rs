//! The code around a release: loop or not, how the page is dirtied, on which path it lies.

use super::ways::{goes_back, way_out};
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::Api;
use crate::source::{Name, Span};
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
            StmtKind::Iterate { name, args, .. } => {
                return match api.iterate(name) {
                    Some(i) if i.sg => Shape::SgIter,
                    _ if api.runs_over(name).is_some() => Shape::ForLoop,
                    // The tree's own, which gives the page itself: one of objects has a page in each (`x->page`), and
                    // other macros with a block behind them are no loops (`scoped_guard()`).
                    None if name.contains("for_each") && gives(func, args, call) => Shape::ForLoop,
                    _ => Shape::Single,
                };
            }
            _ => {}
        }
    }
    Shape::Single
}

/// Whether what is released is one of the variables that an iterator is given.
fn gives(func: &Function, args: &[Expr], call: Span) -> bool {
    let released = crate::sites::find(func, call).and_then(Expr::call).and_then(|(_, given)| given.first()?.ident());
    released.is_some_and(|page| args.iter().any(|a| a.ident() == Some(page)))
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
    let counted = |c: &Expr| {
        result.is_some_and(|r| !r.is_empty() && mentions(&plain(c, text), r) && !taken_again(func, text, r, c.span))
    };
    let any = |c: &Expr| result.and_then(|r| any_at_all(c, text, r));
    let error = |c: &str| ["ret", "err", "error", "rc", "res", "retval"].iter().any(|w| word(c, w));
    let mut failed = false;
    // A branch further in has left already, without an error: how one around it ends tells nothing.
    let mut left = false;
    for s in around.iter().rev() {
        let StmtKind::If { cond, then, els } = &s.kind else { continue };
        if cond.span.end > call.start {
            continue;
        }
        let first = then.span.contains(call);
        let taken = if first { Some(&**then) } else { els.as_deref() };
        if counted(cond) && !single {
            match any(cond) {
                // `if (pinned > 0)`: there is something to drop, be it all or a part. A test around it may tell.
                Some(some) if some == first => {
                    failed |= taken.is_some_and(|s| fails(func, s)) || error(&beside(cond, text, result));
                    continue;
                }
                Some(_) => return When::Error,
                None => return When::Partial,
            }
        }
        if counted(cond) && single {
            let error = taken.is_some_and(|t| fails(func, t) || first && returns_negative(cond, t));
            return if error { When::Error } else { When::Normal };
        }
        let named = error(&plain(cond, text)) && !says_no_error(cond, first, els.as_deref(), &around);
        if !left && taken.is_some_and(|t| fails(func, t)) || named || first && none_allocated(&around, s, cond) {
            return When::Error;
        }
        left |= taken.is_some_and(leaves);
    }
    if failed {
        return When::Error;
    }
    // Behind `if (all of them) return pages;`, or behind a label that only jumps reach.
    let mut path = When::Normal;
    // A loop or an array function that goes by the count: where it is zero, nothing is dropped.
    let by_count = result.filter(|_| !single).is_some_and(|r| mentions(&dropping(&around, call, text), r));
    for s in &around {
        let StmtKind::Block(list) = &s.kind else { continue };
        let mut before: Option<&Stmt> = None;
        // No straight way leads here: the statements since the last label are reached by jumps only.
        let mut jumped = false;
        for s in list.iter().filter(|s| s.span.end <= call.start) {
            match &s.kind {
                StmtKind::Label(n) => {
                    let left = before.is_some_and(leaves);
                    // `pinned = 0` just before it: on the straight way there is nothing to drop.
                    let empty = by_count && zeroed_before(list, s, text, result);
                    let through = jumped && !left;
                    jumped |= left || empty;
                    let named = ["err", "fail", "unpin", "undo", "unwind", "bad"].iter().any(|w| n.contains(w));
                    path = match jumped {
                        true if !through && !single && all_jumps(func, n, &counted) => When::Partial,
                        true => When::Error,
                        // Success comes by as well, unless it has left before.
                        false if named && succeeded_before(func, text, s.span) => When::Error,
                        false => When::Normal,
                    };
                }
                StmtKind::If { cond, then, els: None }
                    if leaves(then) && !fails(func, then) && counted(cond) && any(cond).is_none() && !single =>
                {
                    path = When::Partial;
                }
                _ => {}
            }
            before = Some(s);
        }
    }
    path
}

/// Whether the variable that took the count of a pin has the result of another call by the time of a test:
/// `ret = pin(…); …; ret = map(…); if (ret < 0)`. A call that is given the count (`ret = min(ret, n)`) tells one still.
fn taken_again(func: &Function, text: &[u8], result: &str, test: Span) -> bool {
    let around: Vec<Span> = enclosing(&func.body, test).iter().map(|s| s.span).collect();
    // Whether the assignment is one of another call; `None` if it is none.
    let other = |e: &Expr| {
        let ExprKind::Assign(None, to, from) = &e.kind else { return None };
        let (callee, args) = uncast(from).call().filter(|_| plain(to, text) == result)?;
        Some(Api::get().acquire(callee).is_none() && !args.iter().any(|a| mentions(&plain(a, text), result)))
    };
    let mut again = false;
    func.body.walk(&mut |s| match &s.kind {
        StmtKind::Block(list) if around.contains(&s.span) => {
            for s in list.iter().filter(|s| s.span.end <= test.start) {
                // What a branch assigns may not come to the test; a pin in one may.
                let direct = matches!(s.kind, StmtKind::Expr(_));
                s.walk_exprs(&mut |e| again = other(e).filter(|o| direct || !o).unwrap_or(again));
            }
        }
        StmtKind::If { cond, .. } if cond.span.contains(test) => {
            cond.walk(&mut |e| again = other(e).unwrap_or(again));
        }
        _ => {}
    });
    again
}

fn uncast(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => uncast(a),
        _ => e,
    }
}

/// `if (ret < 0) { …; return ret; }`
fn returns_negative(cond: &Expr, taken: &Stmt) -> bool {
    let (Some((BinOp::Lt, name)), StmtKind::Block(list)) = (against_zero(cond), &taken.kind) else { return false };
    let last = list.last().map(|s| &s.kind);
    matches!(last, Some(StmtKind::Return(Some(value))) if value.ident() == Some(name))
}

/// A test of a variable against zero.
fn against_zero(cond: &Expr) -> Option<(BinOp, &Name)> {
    match &cond.kind {
        ExprKind::Binary(op, a, b) if matches!(b.kind, ExprKind::Int { value: 0, .. }) => Some((*op, a.ident()?)),
        _ => None,
    }
}

/// Whether this branch of a test of an error code is no error: the other one of `ret`, `ret < 0`, `ret > 0`, or either
/// where both are asked, as after a comparison that gives an order.
fn says_no_error(cond: &Expr, first: bool, els: Option<&Stmt>, around: &[&Stmt]) -> bool {
    match &cond.kind {
        ExprKind::Ident(_) => return !first,
        ExprKind::Unary(UnOp::Not, a) if a.ident().is_some() => return first,
        _ => {}
    }
    let Some((op, name)) = against_zero(cond) else { return false };
    let opposite = |s: &Stmt| match &s.kind {
        StmtKind::If { cond, .. } => against_zero(cond) == Some((BinOp::Gt, name)),
        _ => false,
    };
    match op {
        BinOp::Lt => !first || els.is_some_and(opposite),
        BinOp::Eq => first,
        BinOp::Ne => !first,
        BinOp::Gt => {
            let less = |s: &&Stmt| match &s.kind {
                StmtKind::If { cond, els: Some(_), .. } => against_zero(cond) == Some((BinOp::Lt, name)),
                _ => false,
            };
            first || around.iter().any(less)
        }
        _ => false,
    }
}

/// `x = kmalloc(…); if (!x)`: what the branch is for is an allocation that failed.
fn none_allocated(around: &[&Stmt], branch: &Stmt, cond: &Expr) -> bool {
    let ExprKind::Unary(UnOp::Not, name) = &cond.kind else { return false };
    let before = around.iter().find_map(|s| match &s.kind {
        StmtKind::Block(list) => list.iter().position(|s| s.span == branch.span)?.checked_sub(1).map(|i| &list[i]),
        _ => None,
    });
    let Some(StmtKind::Expr(e)) = before.map(|s| &s.kind) else { return false };
    match &e.kind {
        ExprKind::Assign(None, to, from) => {
            to.ident().is_some() && to.ident() == name.ident() && from.call().is_some_and(|(n, _)| n.contains("alloc"))
        }
        _ => false,
    }
}

/// The innermost loop around a release, or else the call, on one line.
fn dropping(around: &[&Stmt], call: Span, text: &[u8]) -> String {
    let is_loop =
        |s: &&&Stmt| matches!(s.kind, StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::DoWhile { .. });
    around.iter().rev().find(is_loop).map_or(call, |s| s.span).text(text)
}

/// Whether a condition only asks if a count is more than nothing (`n > 0`, `n`) or is nothing (`n <= 0`, `!n`).
fn any_at_all(cond: &Expr, text: &[u8], count: &str) -> Option<bool> {
    let it = |e: &Expr| plain(e, text) == count;
    let zero = |e: &Expr| matches!(e.kind, ExprKind::Int { value: 0, .. });
    match &cond.kind {
        _ if it(cond) => Some(true),
        ExprKind::Unary(UnOp::Not, a) => any_at_all(a, text, count).map(|some| !some),
        ExprKind::Binary(BinOp::And, a, b) => {
            let named = |e: &Expr| mentions(&plain(e, text), count);
            match (named(a), named(b)) {
                (true, false) => any_at_all(a, text, count).filter(|some| *some),
                (false, true) => any_at_all(b, text, count).filter(|some| *some),
                _ => None,
            }
        }
        ExprKind::Binary(op, a, b) if it(a) && zero(b) => match op {
            BinOp::Gt | BinOp::Ge | BinOp::Ne => Some(true),
            BinOp::Lt | BinOp::Le | BinOp::Eq => Some(false),
            _ => None,
        },
        // `pinned - (i + 1) > 0`: some are left.
        ExprKind::Binary(BinOp::Gt, a, b) if zero(b) => match &a.kind {
            ExprKind::Binary(BinOp::Sub, all, _) if it(all) => Some(true),
            _ => None,
        },
        ExprKind::Call { .. } => match cond.call() {
            Some((n, [a])) if matches!(&**n, "likely" | "unlikely") => any_at_all(a, text, count),
            _ => None,
        },
        _ => None,
    }
}

/// The conjuncts of a condition that do not name the count.
fn beside(cond: &Expr, text: &[u8], result: Option<&str>) -> String {
    match &cond.kind {
        ExprKind::Binary(BinOp::And, a, b) => format!("{} {}", beside(a, text, result), beside(b, text, result)),
        _ => Some(plain(cond, text)).filter(|c| result.is_none_or(|r| !mentions(c, r))).unwrap_or_default(),
    }
}

/// Whether the function may return without an error before a place, under a condition.
fn succeeded_before(func: &Function, text: &[u8], place: Span) -> bool {
    let mut found = false;
    func.body.walk(&mut |s| {
        let StmtKind::Return(Some(value)) = &s.kind else { return };
        if s.span.end > place.start || fails(func, s) {
            return;
        }
        let value = plain(value, text);
        let cond = enclosing(&func.body, s.span).into_iter().rev().find_map(|s| match &s.kind {
            StmtKind::If { cond, .. } => Some(plain(cond, text)),
            _ => None,
        });
        // `if (err) return err;`, but `if (!err) return err;`
        found |= cond.is_some_and(|c| !mentions(&c, &value) || c == format!("!{value}"));
    });
    found
}

/// Whether a release drops the reference of a page table: the first put of the page behind what took it out of one.
pub(super) fn of_page_table(func: &Function, text: &[u8], call: Span) -> bool {
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == call {
            found = e.call();
        }
    });
    let Some((name, args)) = found else { return false };
    let Some(page) = Api::get().release(name).filter(|r| !r.batch).and_then(|r| args.get(r.arg)) else { return false };
    let page = plain(page, text);
    let Some(StmtKind::Block(list)) =
        enclosing(&func.body, call).iter().rev().map(|s| &s.kind).find(|k| matches!(k, StmtKind::Block(_)))
    else {
        return false;
    };
    let names = |e: &Expr| e.call().is_some_and(|(_, args)| args.iter().any(|a| plain(a, text) == page));
    let mut before = list.iter().rev().skip_while(|s| s.span.end > call.start);
    before.find_map(|s| {
        let mut again = matches!(s.kind, StmtKind::Label(_));
        s.walk_exprs(&mut |e| {
            again |= e.call().is_some_and(|(n, _)| Api::get().release(n).is_some()) && names(e);
        });
        if again { Some(false) } else { unmaps(s, &names).then_some(true) }
    }) == Some(true)
}

/// Whether each way through the statement takes the page out of a page table.
fn unmaps(s: &Stmt, names: &dyn Fn(&Expr) -> bool) -> bool {
    match &s.kind {
        StmtKind::Expr(e) => names(e) && e.call().is_some_and(|(n, _)| Api::get().unmaps(n)),
        StmtKind::Block(list) => list.iter().any(|s| unmaps(s, names)),
        StmtKind::If { then, els: Some(els), .. } => unmaps(then, names) && unmaps(els, names),
        _ => false,
    }
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
pub(super) fn leaves(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Return(_) | StmtKind::Goto(_) => true,
        StmtKind::Block(v) => v.last().is_some_and(leaves),
        _ => false,
    }
}

/// Ends in `return -ERRNO` or in a jump ahead, or sets an error and leaves the loop.
fn fails(func: &Function, s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Return(Some(e)) => {
            matches!(e.kind, ExprKind::Unary(UnOp::Neg, _)) || e.call().is_some_and(|(n, _)| n.starts_with("ERR_"))
        }
        StmtKind::Goto(label) => !goes_back(func, label, s.span) && !way_out(func, label, s.span),
        StmtKind::Block(v) => match v.last() {
            Some(Stmt { kind: StmtKind::Break, .. }) => v.iter().any(sets_error),
            last => last.is_some_and(|s| fails(func, s)),
        },
        _ => false,
    }
}

/// `err = -EINVAL;`
fn sets_error(s: &Stmt) -> bool {
    let StmtKind::Expr(e) = &s.kind else { return false };
    let ExprKind::Assign(None, _, value) = &e.kind else { return false };
    matches!(&value.kind, ExprKind::Unary(UnOp::Neg, of) if of.ident().is_some_and(|n| n.starts_with('E')))
}

/// Whether a text names a variable, or a field as it is written.
fn mentions(text: &str, what: &str) -> bool {
    if what.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') { word(text, what) } else { text.contains(what) }
}

fn word(text: &str, w: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|p| p == w)
}
