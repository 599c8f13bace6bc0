//! Releases by which a function undoes what it has done itself: a loop stores pages of an allocator in an array, and on
//! failure the entries that it got to are dropped again. What the array held before it was called is in none of them.
//!
//! The entries are told by the variable that counts them: the index of the filling loop, or a variable that got its
//! value. Said only where every other use of array, index and count in the function is known.

use super::release::enclosing;
use super::steps::same;
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::Api;
use crate::source::{Name, Span};

/// Whether the release drops only entries that this call of the function has stored, each a new page.
pub(super) fn undone(func: &Function, call: Span) -> bool {
    let Some(dropped) = dropped(func, call).filter(|_| func.whole()) else { return false };
    let mut found = false;
    func.body.walk(&mut |s| {
        if let Some(fill) = fill(func, s, dropped.array) {
            found |= fill.only(func, dropped.array) && fill.counts(func, &dropped, call);
        }
    });
    found
}

/// The first `count` entries of an array.
struct Dropped<'a> {
    array: &'a Expr,
    count: &'a Name,
    /// The loop of the release.
    around: Span,
}

fn dropped(func: &Function, call: Span) -> Option<Dropped<'_>> {
    let mut found = None;
    func.body.walk_exprs(&mut |e| found = e.call().filter(|_| e.span == call).or(found));
    let (name, args) = found?;
    let release = Api::get().release(name)?;
    let given = args.get(release.arg)?;
    if release.batch {
        return Some(Dropped { array: given, count: args.get(release.count?)?.ident()?, around: call });
    }
    let ExprKind::Index(array, index) = &given.kind else { return None };
    let index = index.ident()?;
    let around = enclosing(&func.body, call).into_iter().rev().find(|s| is_loop(s))?;
    let count = match &around.kind {
        StmtKind::For { init: Some(init), cond: Some(cond), step: Some(step), .. } => match &cond.kind {
            ExprKind::Binary(BinOp::Lt, i, n) if i.ident() == Some(index) => {
                n.ident().filter(|_| starts_at_zero(init, index) && increments(step, index))?
            }
            _ => return None,
        },
        StmtKind::While { cond, .. } if counts_down(cond, index) => index,
        _ => return None,
    };
    Some(Dropped { array, count, around: around.span })
}

fn is_loop(s: &Stmt) -> bool {
    use StmtKind::{DoWhile, For, Iterate, While};
    matches!(s.kind, For { .. } | While { .. } | DoWhile { .. } | Iterate { .. })
}

fn starts_at_zero(init: &Stmt, index: &Name) -> bool {
    match &init.kind {
        StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, value), .. }) => {
            to.ident() == Some(index) && is_zero(value)
        }
        StmtKind::Decl(vars) => vars.iter().all(|v| v.name == *index && v.init.as_ref().is_some_and(is_zero)),
        _ => false,
    }
}

fn is_zero(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int { value: 0, .. })
}

fn increments(step: &Expr, index: &Name) -> bool {
    matches!(&step.kind, ExprKind::IncDec { inc: true, operand, .. } if operand.ident() == Some(index))
}

/// `i--`, `--i >= 0`, `i-- > 0`
fn counts_down(cond: &Expr, index: &Name) -> bool {
    let down = |e: &Expr, first: bool| match &e.kind {
        ExprKind::IncDec { inc: false, prefix, operand } => *prefix == first && operand.ident() == Some(index),
        _ => false,
    };
    match &cond.kind {
        ExprKind::Binary(BinOp::Ge, a, b) => is_zero(b) && down(a, true),
        ExprKind::Binary(BinOp::Gt, a, b) => is_zero(b) && down(a, false),
        _ => down(cond, false),
    }
}

/// `for (i = 0; …; i++) { array[i] = alloc_page(…); … }`: all entries before `i` are stored.
struct Fill<'a> {
    index: &'a Name,
    /// The loop.
    span: Span,
    body: &'a Stmt,
    /// What stands behind `i <` in its head.
    bound: Option<&'a Name>,
    store: Span,
}

fn fill<'a>(func: &Function, s: &'a Stmt, array: &Expr) -> Option<Fill<'a>> {
    let StmtKind::For { init: Some(init), cond, step: Some(step), body } = &s.kind else { return None };
    let StmtKind::Block(list) = &body.kind else { return None };
    let ExprKind::IncDec { operand, .. } = &step.kind else { return None };
    let index = operand.ident().filter(|i| starts_at_zero(init, i) && increments(step, i))?;
    let mut store = None;
    for s in list {
        let evaluated = match &s.kind {
            StmtKind::Expr(e) => e,
            StmtKind::If { cond, .. } => cond,
            _ => continue,
        };
        evaluated.walk(&mut |e| {
            if let ExprKind::Assign(None, to, page) = &e.kind
                && let ExprKind::Index(a, i) = &to.kind
                && same(a, array)
                && i.ident() == Some(index)
                && is_new(func, page)
            {
                store = Some(e.span);
            }
        });
    }
    // Each turn comes by the store.
    let mut turns = true;
    body.walk(&mut |s| turns &= !matches!(s.kind, StmtKind::Continue | StmtKind::Label(_)));
    let bound = cond.as_ref().and_then(|c| match &c.kind {
        ExprKind::Binary(BinOp::Lt, i, n) if i.ident() == Some(index) => n.ident(),
        _ => None,
    });
    Some(Fill { index, span: s.span, body, bound, store: store.filter(|_| turns)? })
}

/// A page of an allocator, or a variable that nothing else is put into.
fn is_new(func: &Function, page: &Expr) -> bool {
    let allocated = |e: &Expr| e.call().is_some_and(|(n, _)| Api::get().origin(n) == Some(true) && n.contains("alloc"));
    let Some(name) = page.ident() else { return allocated(page) };
    let mut only = !func.params.iter().any(|p| p.name == *name);
    let mut any = false;
    each_value(func, name, &mut |value, _| {
        only &= value.is_some_and(allocated);
        any = true;
    });
    only && any
}

/// Calls `f` with each value that the variable gets, and where; `None` for a value that is not told.
fn each_value(func: &Function, name: &Name, f: &mut dyn FnMut(Option<&Expr>, Span)) {
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            vars.iter().filter(|v| v.name == *name && v.init.is_some()).for_each(|v| f(v.init.as_ref(), v.span));
        }
    });
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(op, to, value) if to.ident() == Some(name) => {
            f(Some(&**value).filter(|_| op.is_none()), e.span);
        }
        ExprKind::IncDec { operand: of, .. } | ExprKind::Unary(UnOp::AddrOf, of) if of.ident() == Some(name) => {
            f(None, e.span);
        }
        _ => {}
    });
}

impl Fill<'_> {
    /// The array is a parameter or a field of one, and nothing but the fill, NULL and the release touches it.
    fn only(&self, func: &Function, array: &Expr) -> bool {
        let root = match &array.kind {
            ExprKind::Field { base, .. } => base.ident(),
            _ => array.ident(),
        };
        let Some(root) = root.filter(|r| func.params.iter().any(|p| p.name == **r)) else { return false };
        let field = array.ident().is_none();
        let (mut uses, mut entries, mut known) = (0, 0, true);
        each_value(func, root, &mut |_, _| known = false);
        func.body.walk_exprs(&mut |e| {
            uses += usize::from(same(e, array));
            match &e.kind {
                ExprKind::Index(a, _) => entries += usize::from(same(a, array)),
                ExprKind::Assign(op, to, value) => {
                    let entry = matches!(&to.kind, ExprKind::Index(a, _) if same(a, array));
                    let nothing = is_zero(value) || value.ident().is_some_and(|n| &**n == "NULL");
                    known &= !entry || e.span == self.store || op.is_none() && nothing;
                }
                ExprKind::Unary(UnOp::AddrOf, of) => {
                    known &= !matches!(&of.kind, ExprKind::Index(a, _) if same(a, array));
                }
                // Somebody else may store there.
                ExprKind::Call { args, .. } => known &= !(field && args.iter().any(|a| a.ident() == Some(root))),
                _ => {}
            }
        });
        let batch = |e: &Expr| e.call().is_some_and(|(n, _)| Api::get().release(n).is_some_and(|r| r.batch));
        func.body.walk_exprs(&mut |e| {
            entries += usize::from(batch(e) && e.call().is_some_and(|(_, args)| args.iter().any(|a| same(a, array))));
        });
        known && uses == entries
    }

    /// The count is that of entries which are stored.
    fn counts(&self, func: &Function, dropped: &Dropped, call: Span) -> bool {
        let count = dropped.count;
        if count == self.index {
            // Nothing else moves the index: what is before it was stored.
            let mut known = true;
            each_value(func, count, &mut |value, at| {
                let head = self.span.contains(at) && !self.body.span.contains(at);
                let down = dropped.around.contains(at);
                known &= head || down || value.is_some_and(is_zero);
            });
            return known;
        }
        let copies = |value: Option<&Expr>| value.is_some_and(|v| v.ident() == Some(self.index));
        let (mut known, mut first, mut last) = (true, u32::MAX, 0);
        each_value(func, count, &mut |value, at| {
            known &= copies(value) || value.is_some_and(is_zero);
            if copies(value) {
                (first, last) = (first.min(at.start), last.max(at.end));
            }
        });
        // The index is used for another loop only behind that.
        each_value(func, self.index, &mut |value, at| {
            let head = self.span.contains(at) && !self.body.span.contains(at);
            known &= head || at.start > last || value.is_some_and(is_zero) && at.end <= self.span.start;
        });
        let bound = self.bound == Some(count);
        known
            && first >= self.body.span.start
            && (!bound || self.ends_by(func, count) && self.before(func, call))
            && (bound || !func.params.iter().any(|p| p.name == *count) && first != u32::MAX)
    }

    /// Who leaves the loop early has made the index the bound of it: `n = i; break;`
    fn ends_by(&self, func: &Function, bound: &Name) -> bool {
        let mut known = true;
        self.body.walk(&mut |s| {
            let StmtKind::Block(list) = &s.kind else { return };
            for (i, s) in list.iter().enumerate().filter(|(_, s)| matches!(s.kind, StmtKind::Break)) {
                let loops = enclosing(&func.body, s.span).into_iter().rev().find(|s| is_loop(s));
                let set = list[..i].iter().any(|s| match &s.kind {
                    StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, value), .. }) => {
                        to.ident() == Some(bound) && value.ident() == Some(self.index)
                    }
                    _ => false,
                });
                known &= set || loops.is_none_or(|l| l.span != self.span);
            }
        });
        let mut bare = false;
        self.body.walk(&mut |s| {
            if let StmtKind::If { then, els, .. } = &s.kind {
                let is_break = |s: &Stmt| matches!(s.kind, StmtKind::Break);
                bare |= is_break(then) || els.as_ref().is_some_and(|e| is_break(e));
            }
        });
        known && !bare
    }

    /// The loop lies on every way to the release.
    fn before(&self, func: &Function, call: Span) -> bool {
        let mut labels = false;
        func.body.walk(&mut |s| labels |= matches!(s.kind, StmtKind::Label(_) | StmtKind::Switch { .. }));
        let first = |s: &&Stmt| match &s.kind {
            StmtKind::Block(list) => {
                let at = list.iter().position(|s| s.span == self.span);
                at.is_some_and(|at| list[at + 1..].iter().any(|s| s.span.contains(call)))
            }
            _ => false,
        };
        !labels && enclosing(&func.body, call).iter().any(first)
    }
}
