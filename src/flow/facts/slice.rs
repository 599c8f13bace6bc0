//! One allocation cut into arrays: `tail = all + N`. What is pinned into the front, N pages at most, is never read
//! through the tail. Nor is what went into a table in the front that was made with N entries.
//!
//! Of an array said only where the function itself bounds the pin, and where nobody else gets the front without a
//! bound.

use super::super::apart::after;
use super::super::steps::same;
use super::extract::Extract;
use crate::ast::{BinOp, Expr, ExprKind, StmtKind, UnOp};
use crate::source::{Name, Span};

impl Extract<'_> {
    /// Whether the value of a variable is such a tail.
    pub(super) fn is_tail(&self, value: &Expr) -> bool {
        let Some((front, offset)) = cut(value) else { return false };
        if self.is_table_before(front, offset, value.span) {
            return true;
        }
        if self.locals.get(front).is_none_or(|t| t.page_depth() != Some(2)) || !constant(offset) {
            return false;
        }
        // Of the pins into the front: how many pages, and where that is kept.
        let mut counts: Vec<&Expr> = Vec::new();
        let mut results: Vec<&Name> = Vec::new();
        let mut apart = true;
        self.func.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(None, to, from) => {
                if let Some(count) = self.pinned(from, front) {
                    counts.push(count);
                    results.extend(to.ident());
                }
                apart &= bare(from) != Some(front) && cut(from).is_none_or(|(f, by)| f != front || same(by, offset));
            }
            ExprKind::Call { .. } => counts.extend(self.pinned(e, front)),
            _ => {}
        });
        if counts.is_empty() || !counts.iter().all(|c| self.at_most(c, offset)) {
            return false;
        }
        let known = |e: &Expr| counts.iter().any(|c| same(c, e)) || e.ident().is_some_and(|n| results.contains(&n));
        self.func.body.walk_exprs(&mut |e| {
            let Some((name, args)) = e.call() else { return };
            if !args.iter().any(|a| bare(a) == Some(front)) || self.api.acquire(name).is_some() {
                return;
            }
            apart &= match self.api.release(name) {
                Some(r) => r.count.and_then(|k| args.get(k)).is_some_and(known),
                None => self.api.borrow(name) == Some(crate::kernel::Borrow::None),
            };
        });
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                let values = vars.iter().filter_map(|v| v.init.as_ref());
                values.for_each(|v| apart &= bare(v) != Some(front));
            }
        });
        apart
    }

    /// The front is a table that ends where the tail begins: `sg_init_table(front, offset)`, behind the cut. Neither
    /// changes from there on, and nothing joins the two.
    fn is_table_before(&self, front: &Name, offset: &Expr, cut: Span) -> bool {
        let table = self.locals.get(front).is_some_and(|t| t.page_depth().is_none() && self.is_container(t));
        let (true, Some(n)) = (table && self.func.whole(), offset.ident()) else { return false };
        if self.func.params.iter().any(|p| p.name == *front) {
            return false;
        }
        let behind = after(self.func, cut, &[]);
        let comes = |at: Span| behind.iter().any(|l| l.contains(at));
        let (mut sized, mut stays) = (false, true);
        let is = |e: &Expr| e.ident().is_some_and(|name| name == front || name == n);
        self.func.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(_, to, _) => stays &= !(is(to) && comes(e.span)),
            ExprKind::IncDec { operand, .. } => stays &= !(is(operand) && comes(e.span)),
            ExprKind::Unary(UnOp::AddrOf, a) => stays &= !is(a),
            _ => {
                if let Some((name, args)) = e.call() {
                    stays &= !self.api.chains(name);
                    sized |= self.api.sizes(name)
                        && matches!(args, [a, by] if bare(a) == Some(front) && by.ident() == Some(n))
                        && comes(e.span);
                }
            }
        });
        sized && stays
    }

    /// The count of a pin into the array.
    fn pinned<'e>(&self, e: &'e Expr, array: &Name) -> Option<&'e Expr> {
        let (name, args) = e.call()?;
        let acquire = self.api.acquire(name)?;
        let roles = self.scope.roles(acquire, name, &args.iter().collect::<Vec<_>>());
        let pages = args.get(roles.pages?)?;
        (bare(pages) == Some(array)).then(|| args.get(roles.count?)).flatten()
    }

    /// The function gives up when the count is larger: `if (count > N || …) return …;`.
    fn at_most(&self, count: &Expr, most: &Expr) -> bool {
        let mut found = false;
        self.func.body.walk(&mut |s| {
            if let StmtKind::If { cond, then, .. } = &s.kind {
                let leaves = match &then.kind {
                    StmtKind::Block(list) => list.last().is_some_and(|s| matches!(s.kind, StmtKind::Return(_))),
                    kind => matches!(kind, StmtKind::Return(_)),
                };
                found |= leaves && more(cond, count, most);
            }
        });
        found
    }
}

fn more(cond: &Expr, count: &Expr, most: &Expr) -> bool {
    match &cond.kind {
        ExprKind::Binary(BinOp::Or, a, b) => more(a, count, most) || more(b, count, most),
        ExprKind::Binary(BinOp::Gt, a, b) => same(a, count) && same(b, most),
        ExprKind::Binary(BinOp::Lt, a, b) => same(a, most) && same(b, count),
        _ => false,
    }
}

/// `front + offset`.
fn cut(e: &Expr) -> Option<(&Name, &Expr)> {
    match &e.kind {
        ExprKind::Cast(_, a) => cut(a),
        ExprKind::Binary(BinOp::Add, a, by) => Some((bare(a)?, by)),
        _ => None,
    }
}

fn bare(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Cast(_, a) => bare(a),
        _ => e.ident(),
    }
}

/// A number that nothing changes: a literal, a macro or an enumerator, the size of an array.
fn constant(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int { .. } => true,
        ExprKind::Ident(n) => !n.contains(|c: char| c.is_ascii_lowercase()),
        ExprKind::Call { .. } => e.call().is_some_and(|(n, _)| &**n == "ARRAY_SIZE"),
        _ => false,
    }
}
