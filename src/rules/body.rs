//! What the body of a walk does with each page: copy the pointer, test it, dirty it, drop it. A body that does anything
//! else is not read: the loop then stays.

use super::analysis::{conjuncts, constant, mentions, mentions_expr, pure, same};
use super::shape::{Entry, Step, Walk, statements, step_of, walk};
use crate::ast::{BinOp, Expr, ExprKind, Stmt, StmtKind, UnOp};
use crate::source::{Name, Span};
use crate::trace::Dirty;

/// Dirtying of a page, before it is dropped.
#[derive(Clone, Debug)]
pub struct DirtyOp<'a> {
    /// By which function.
    pub kind: Dirty,
    /// The callee.
    pub callee: Span,
    /// The conditions, joined by `&&`; empty when it is always done. `!PageDirty(page)` is not among them: the new
    /// functions test it themselves.
    pub when: Vec<&'a Expr>,
    /// The page, as written.
    pub page: &'a Expr,
    /// The whole statement.
    pub span: Span,
}

/// A walk over an array whose body only dirties and drops the entry.
#[derive(Clone, Debug)]
pub struct PageLoop<'a> {
    /// The loop.
    pub span: Span,
    /// The entries it visits.
    pub walk: Walk<'a>,
    /// How it names them.
    pub entry: Entry<'a>,
    /// A variable that holds the entry, and whether it is declared in the body.
    pub copy: Option<(&'a Name, bool)>,
    /// A test that the entry is not NULL.
    pub null_test: Option<&'a Expr>,
    /// Conditions around everything else in the body that are the same for every entry.
    pub guards: Vec<&'a Expr>,
    /// Dirtying.
    pub dirty: Option<DirtyOp<'a>>,
    /// The call that drops the page; `None` in a loop that only dirties.
    pub put: Option<&'a Expr>,
}

/// The dirtying function that a call names.
pub fn dirty_kind(name: &str) -> Option<Dirty> {
    match name {
        "set_page_dirty" => Some(Dirty::SetPageDirty),
        "set_page_dirty_lock" => Some(Dirty::SetPageDirtyLock),
        "SetPageDirty" => Some(Dirty::FlagOnly),
        _ => None,
    }
}

/// A statement that dirties one page, perhaps under a condition: `set_page_dirty(p);`, `if (c) SetPageDirty(p);`.
pub fn dirty_statement(s: &Stmt) -> Option<DirtyOp<'_>> {
    let mut when: Vec<&Expr> = Vec::new();
    let mut inner = s;
    loop {
        match &inner.kind {
            StmtKind::Expr(e) => {
                let (name, [page]) = e.call()? else { return None };
                let ExprKind::Call { callee, .. } = &e.kind else { return None };
                let kind = dirty_kind(name)?;
                when.retain(|c| !is_not_page_dirty(c, page));
                return Some(DirtyOp { kind, callee: callee.span, when, page, span: s.span });
            }
            StmtKind::If { cond, then, els: None } => {
                when.extend(conjuncts(cond));
                inner = then;
            }
            StmtKind::Block(_) => match statements(inner).as_slice() {
                [one] => inner = one,
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// `!PageDirty(page)`
fn is_not_page_dirty(c: &Expr, page: &Expr) -> bool {
    match &c.kind {
        ExprKind::Unary(UnOp::Not, e) => {
            matches!(e.call(), Some((n, [p])) if &**n == "PageDirty" && same(p, page))
        }
        _ => false,
    }
}

/// The expression that a truth test compares with NULL, if that is all it does: `p`, `p != NULL`, `NULL != p`, `!!p`.
fn tested_for_null(c: &Expr) -> Option<&Expr> {
    let is_null = |e: &Expr| e.ident().is_some_and(|n| &**n == "NULL") || constant(e) == Some(0);
    match &c.kind {
        ExprKind::Binary(BinOp::Ne, a, b) if is_null(b) => Some(a),
        ExprKind::Binary(BinOp::Ne, a, b) if is_null(a) => Some(b),
        ExprKind::Ident(_) | ExprKind::Index(..) | ExprKind::Unary(UnOp::Deref, _) | ExprKind::Assign(None, ..) => {
            Some(c)
        }
        _ => None,
    }
}

struct Reader<'a> {
    walk: Walk<'a>,
    entry: Option<Entry<'a>>,
    copy: Option<(&'a Name, bool)>,
    stepped: bool,
    null_test: Option<&'a Expr>,
    guards: Vec<&'a Expr>,
    dirty: Option<DirtyOp<'a>>,
    put: Option<&'a Expr>,
}

/// Reads a loop; `None` when it is no walk, or its body does something else.
pub fn page_loop(s: &Stmt) -> Option<PageLoop<'_>> {
    let w = walk(s)?;
    let body = w.body;
    let mut r = Reader {
        walk: w,
        entry: None,
        copy: None,
        stepped: false,
        null_test: None,
        guards: vec![],
        dirty: None,
        put: None,
    };
    r.block(&statements(body))?;
    if r.walk.step == Step::Body && !r.stepped || r.walk.guards.iter().chain(&r.guards).any(|g| !r.invariant(g)) {
        return None;
    }
    if r.put.is_none() && r.dirty.is_none() || r.dirty.as_ref().is_some_and(|d| d.when.iter().any(|c| !r.invariant(c)))
    {
        return None;
    }
    Some(PageLoop {
        span: s.span,
        entry: r.entry?,
        walk: r.walk,
        copy: r.copy,
        null_test: r.null_test,
        guards: r.guards,
        dirty: r.dirty,
        put: r.put,
    })
}

impl<'a> Reader<'a> {
    /// A condition without effect that has the same value on every turn of a body that only dirties and drops pages.
    fn invariant(&self, c: &Expr) -> bool {
        pure(c)
            && !mentions(c, self.walk.index)
            && self.copy.is_none_or(|(n, _)| !mentions(c, n))
            && !self.reads_entry(c)
    }
    /// A condition that looks into the array: its entries are being dropped.
    fn reads_entry(&self, c: &Expr) -> bool {
        let Some(entry) = self.entry else { return false };
        let mut found = false;
        c.walk(&mut |e| {
            if let ExprKind::Index(base, _) | ExprKind::Unary(UnOp::Deref, base) = &e.kind {
                found |= mentions_expr(base, entry.array);
            }
        });
        found
    }
    /// Takes `e` as a name of the entry: the copy, or the array with the index.
    fn is_entry(&mut self, e: &'a Expr) -> bool {
        if self.copy.is_some_and(|(copy, _)| e.ident() == Some(copy)) {
            return true;
        }
        let Some(found) = Entry::of(&self.walk, e) else { return false };
        // Down, the step comes before the use; up, after it.
        let body_step = self.walk.step == Step::Body;
        if body_step && (found.steps && self.stepped || !found.steps && self.stepped == self.walk.up) {
            return false;
        }
        self.stepped |= found.steps;
        match self.entry {
            Some(old) => old.alike(&found),
            None => {
                self.entry = Some(found);
                true
            }
        }
    }
    fn copied(&mut self, name: &'a Name, value: &'a Expr, declared: bool) -> Option<()> {
        if self.copy.is_some() || self.entry.is_some() || !self.is_entry(value) {
            return None;
        }
        self.copy = Some((name, declared));
        Some(())
    }
    fn block(&mut self, all: &[&'a Stmt]) -> Option<()> {
        for (i, s) in all.iter().enumerate() {
            let rest = &all[i + 1..];
            match &s.kind {
                StmtKind::Decl(v) => {
                    let [d] = v.as_slice() else { return None };
                    if d.ty.page_depth() != Some(1) || d.is_static {
                        return None;
                    }
                    match &d.init {
                        Some(value) => self.copied(&d.name, value, true)?,
                        // struct page *page; page = pages[i];
                        None => {
                            let StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, value), .. }) =
                                &rest.first()?.kind
                            else {
                                return None;
                            };
                            if to.ident() != Some(&d.name) {
                                return None;
                            }
                            self.copied(&d.name, value, true)?;
                            return self.block(&rest[1..]);
                        }
                    }
                }
                StmtKind::Expr(e) => self.expression(e)?,
                StmtKind::If { cond, then, els: None } => {
                    if let (None, Some(d)) = (&self.dirty, dirty_statement(s)) {
                        // The conditions of the dirtying may hold tests for NULL and guards, if nothing else follows.
                        self.dirtied(d, rest.is_empty())?;
                    } else if matches!(statements(then).as_slice(), [one] if matches!(one.kind, StmtKind::Continue)) {
                        // if (!page) continue;
                        let ExprKind::Unary(UnOp::Not, tested) = &cond.kind else {
                            let ExprKind::Binary(BinOp::Eq, a, b) = &cond.kind else { return None };
                            if b.ident().is_none_or(|n| &**n != "NULL") || self.walk.step == Step::Body {
                                return None;
                            }
                            self.not_null(a, cond)?;
                            continue;
                        };
                        if self.walk.step == Step::Body {
                            return None;
                        }
                        self.not_null(tested, cond)?;
                    } else {
                        // Everything else stands inside.
                        if !rest.is_empty() {
                            return None;
                        }
                        for c in conjuncts(cond) {
                            self.around(c)?;
                        }
                        self.block(&statements(then))?;
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }
    /// A condition around the whole rest of the body.
    fn around(&mut self, c: &'a Expr) -> Option<()> {
        if let Some(tested) = tested_for_null(c) {
            if let ExprKind::Assign(None, to, value) = &tested.kind {
                self.copied(to.ident()?, value, false)?;
                self.null_test = Some(c);
                return Some(());
            }
            if self.is_entry(tested) {
                self.null_test = Some(c);
                return Some(());
            }
        }
        if !self.invariant(c) {
            return None;
        }
        self.guards.push(c);
        Some(())
    }
    fn not_null(&mut self, tested: &'a Expr, whole: &'a Expr) -> Option<()> {
        if !self.is_entry(tested) || self.dirty.is_some() || self.put.is_some() {
            return None;
        }
        self.null_test = Some(whole);
        Some(())
    }
    fn dirtied(&mut self, mut d: DirtyOp<'a>, last: bool) -> Option<()> {
        if self.dirty.is_some() || self.put.is_some() || !self.is_entry(d.page) {
            return None;
        }
        if last && self.null_test.is_none() {
            // if (page) set_page_dirty(page); with nothing behind it
            let mut kept = Vec::new();
            for c in std::mem::take(&mut d.when) {
                match tested_for_null(c) {
                    Some(t) if self.is_entry(t) => self.null_test = Some(c),
                    _ => kept.push(c),
                }
            }
            d.when = kept;
        }
        self.dirty = Some(d);
        Some(())
    }
    fn expression(&mut self, e: &'a Expr) -> Option<()> {
        if let Some((moved, up)) = step_of(e) {
            // Down: before any use of the entry. Up: after the last.
            let fits = self.walk.step == Step::Body
                && !self.stepped
                && up == self.walk.up
                && moved.ident() == Some(self.walk.index)
                && (up || self.entry.is_none());
            self.stepped = true;
            return fits.then_some(());
        }
        if let ExprKind::Assign(None, to, value) = &e.kind {
            return self.copied(to.ident()?, value, false);
        }
        let (name, [page]) = e.call()? else { return None };
        if let Some(kind) = dirty_kind(name) {
            let ExprKind::Call { callee, .. } = &e.kind else { return None };
            return self.dirtied(DirtyOp { kind, callee: callee.span, when: vec![], page, span: e.span }, false);
        }
        if &**name != "put_page" || self.put.is_some() || !self.is_entry(page) {
            return None;
        }
        self.put = Some(e);
        Some(())
    }
}
