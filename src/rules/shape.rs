//! The loops that walk an array from one end to the other, entry by entry.
//!
//! Recognises a loop by what it does to its index, whatever the keyword: counting up in a `for`, counting down and
//! consuming the count in a `while`. It says which entries are visited and what is left of the index afterwards. It
//! does not look at what the body does with the entry.

use super::analysis::{conjuncts, constant, mentions, pure, same};
use crate::ast::{BinOp, Expr, ExprKind, Stmt, StmtKind};
use crate::source::Name;

/// One end of the range that a loop visits.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// The value of an expression when the loop starts.
    Is(&'a Expr),
    /// One more than the value of an expression.
    OneMore(&'a Expr),
    /// A constant.
    Const(i128),
}

/// Where the index takes its step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// In the head of the loop; the body sees the index of the entry.
    Head,
    /// In the head, after the body: the body sees one more than the index of the entry.
    HeadAfter,
    /// In the body, before or within the use of the entry (down), or within or after it (up).
    Body,
}

/// A loop over the entries `from..to` of an array, each once.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    /// The index.
    pub index: &'a Name,
    /// The index as an expression, for messages and comparisons.
    pub index_expr: &'a Expr,
    /// Counting up.
    pub up: bool,
    /// First entry.
    pub from: Bound<'a>,
    /// One past the last entry.
    pub to: Bound<'a>,
    /// Where the index moves.
    pub step: Step,
    /// The loop gives the index its first value; otherwise it comes in with one.
    pub starts_index: bool,
    /// The index is declared in the head.
    pub declared: bool,
    /// Other conditions that must hold for every turn, as written.
    pub guards: Vec<&'a Expr>,
    /// A negative length makes the loop run wild, so that it needs a length that is not negative itself.
    pub needs_non_negative: bool,
    /// The test of the length, when it can stay as an `if` (`while (n > 0)`).
    pub test: Option<&'a Expr>,
    /// The two sides of the comparison that ends an upward walk.
    pub compared: Option<(&'a Expr, &'a Expr)>,
    /// The body.
    pub body: &'a Stmt,
}

/// The loop as a walk over an array; `None` when it is none.
pub fn walk(s: &Stmt) -> Option<Walk<'_>> {
    match &s.kind {
        StmtKind::For { init, cond, step, body } => for_walk(init.as_deref(), cond.as_ref()?, step.as_ref(), body),
        StmtKind::While { cond, body } => while_walk(cond, body, false),
        StmtKind::DoWhile { body, cond } => while_walk(cond, body, true),
        _ => None,
    }
}

/// The direction of a step by one: `Some(true)` up, `Some(false)` down; and the variable.
pub fn step_of(e: &Expr) -> Option<(&Expr, bool)> {
    match &e.kind {
        ExprKind::IncDec { inc, operand, .. } => Some((operand, *inc)),
        ExprKind::Assign(Some(op @ (BinOp::Add | BinOp::Sub)), to, by) if constant(by) == Some(1) => {
            Some((to, *op == BinOp::Add))
        }
        _ => None,
    }
}

fn for_walk<'a>(init: Option<&'a Stmt>, cond: &'a Expr, step: Option<&'a Expr>, body: &'a Stmt) -> Option<Walk<'a>> {
    let (mut start, mut start_index, mut declared): (Option<&'a Expr>, Option<&'a Name>, bool) = (None, None, false);
    let mut moved_down = None;
    match init.map(|s| &s.kind) {
        None | Some(StmtKind::Empty) => {}
        Some(StmtKind::Decl(v)) => {
            let [d] = v.as_slice() else { return None };
            (start, start_index, declared) = (Some(d.init.as_ref()?), Some(&d.name), true);
        }
        Some(StmtKind::Expr(e)) => match &e.kind {
            ExprKind::Assign(None, to, value) => (start, start_index) = (Some(&**value), Some(to.ident()?)),
            // for (i--; i >= 0; i--)
            _ => match step_of(e)? {
                (i, false) => moved_down = Some(i.ident()?),
                _ => return None,
            },
        },
        _ => return None,
    }
    let Some(step) = step else {
        // for (i = n; i--;) and for (; n > 0;)
        let mut w = while_walk(cond, body, false)?;
        match (start_index, moved_down) {
            (Some(i), None) if i == w.index && !w.up => {
                (w.starts_index, w.declared) = (true, declared);
                w.to = Bound::Is(start?);
                w.test = None;
            }
            (None, None) => {}
            _ => return None,
        }
        return Some(w);
    };
    let (moved, up) = step_of(step)?;
    let index = moved.ident()?;
    if start_index.is_some_and(|s| s != index) || start.is_some_and(|s| !pure(s) || mentions(s, index)) {
        return None;
    }
    let (test, guards) = split(cond, |c| mentions(c, index))?;
    let ExprKind::Binary(op, a, b) = &test.kind else { return None };
    let (op, limit) = if a.ident() == Some(index) { (*op, &**b) } else { (turned(*op)?, &**a) };
    if (a.ident() != Some(index) && b.ident() != Some(index)) || mentions(limit, index) || !pure(limit) {
        return None;
    }
    let mut w = Walk {
        index,
        index_expr: moved,
        up,
        from: Bound::Const(0),
        to: Bound::Is(limit),
        step: Step::Head,
        starts_index: start.is_some(),
        declared,
        guards,
        needs_non_negative: false,
        test: None,
        compared: None,
        body,
    };
    if up {
        if moved_down.is_some() {
            return None;
        }
        w.to = match op {
            BinOp::Lt => Bound::Is(limit),
            BinOp::Ne => {
                w.needs_non_negative = true;
                Bound::Is(limit)
            }
            BinOp::Le => match &limit.kind {
                ExprKind::Binary(BinOp::Sub, n, one) if constant(one) == Some(1) => Bound::Is(n),
                _ => Bound::OneMore(limit),
            },
            _ => return None,
        };
        w.from = match start {
            Some(e) => constant(e).map_or(Bound::Is(e), Bound::Const),
            None => Bound::Is(moved),
        };
        w.compared = Some((moved, limit));
        return Some(w);
    }
    // Down: the last entry is 0.
    w.step = match (op, constant(limit)?) {
        (BinOp::Ge, 0) | (BinOp::Gt, -1) => Step::Head,
        (BinOp::Gt, 0) | (BinOp::Ge, 1) => Step::HeadAfter,
        (BinOp::Ne, 0) => {
            w.needs_non_negative = true;
            Step::HeadAfter
        }
        _ => return None,
    };
    w.to = match (start, moved_down, w.step) {
        (Some(e), None, Step::HeadAfter) => Bound::Is(e),
        (Some(e), None, _) => match &e.kind {
            ExprKind::Binary(BinOp::Sub, n, one) if constant(one) == Some(1) => Bound::Is(n),
            _ => Bound::OneMore(e),
        },
        (None, Some(i), Step::Head) if i == index => Bound::Is(moved),
        (None, None, Step::HeadAfter) => Bound::Is(moved),
        (None, None, _) => Bound::OneMore(moved),
        _ => return None,
    };
    Some(w)
}

/// `while`, and `do … while` when `at_least_once`.
fn while_walk<'a>(cond: &'a Expr, body: &'a Stmt, at_least_once: bool) -> Option<Walk<'a>> {
    let (test, guards) = {
        let all = conjuncts(cond);
        match all.as_slice() {
            [one] => (*one, vec![]),
            _ => split(cond, counts)?,
        }
    };
    let (mut op, mut left, mut limit) = (BinOp::Ne, test, None);
    if let ExprKind::Binary(o, a, b) = &test.kind {
        if constant(b).is_some()
            || step_of(a).is_some()
            || a.ident().is_some() && b.ident().is_none_or(|_| *o == BinOp::Lt)
        {
            (op, left, limit) = (*o, a, Some(&**b));
        } else {
            (op, left, limit) = (turned(*o)?, b, Some(&**a));
        }
    }
    let base = |index_expr: &'a Expr| {
        Some(Walk {
            index: index_expr.ident()?,
            index_expr,
            up: false,
            from: Bound::Const(0),
            to: Bound::Is(index_expr),
            step: Step::Head,
            starts_index: false,
            declared: false,
            guards: guards.clone(),
            needs_non_negative: false,
            test: None,
            compared: None,
            body,
        })
    };
    let zero = limit.map_or(Some(0), constant);
    if let Some((moved, up)) = step_of(left) {
        // while (n--), while (n-- > 0), while (--n >= 0)
        if up || at_least_once {
            return None;
        }
        let prefix = !matches!(left.kind, ExprKind::IncDec { prefix: false, .. });
        let mut w = base(moved)?;
        match (prefix, op, zero?) {
            (false, BinOp::Ne, 0) => w.needs_non_negative = true,
            (false, BinOp::Gt, 0) | (false, BinOp::Ge, 1) | (true, BinOp::Ge, 0) | (true, BinOp::Gt, -1) => {}
            (true, BinOp::Ne, -1) => w.needs_non_negative = true,
            _ => return None,
        }
        return Some(w);
    }
    let mut w = base(left)?;
    w.step = Step::Body;
    match (op, zero) {
        (BinOp::Ne, Some(0)) => w.needs_non_negative = true,
        (BinOp::Gt, Some(0)) | (BinOp::Ge, Some(1)) => w.test = (!at_least_once).then_some(test),
        (BinOp::Lt, _) => {
            // while (i < n) put(p[i++]);
            let limit = limit?;
            if at_least_once || mentions(limit, w.index) || !pure(limit) {
                return None;
            }
            (w.up, w.from, w.to, w.compared) = (true, Bound::Is(left), Bound::Is(limit), Some((left, limit)));
        }
        _ => return None,
    }
    // A body that runs once before the test needs one entry at least, or it would touch entry -1.
    w.needs_non_negative |= at_least_once;
    Some(w)
}

/// Whether a conjunct of a `while` condition looks like the one that counts.
fn counts(c: &Expr) -> bool {
    match &c.kind {
        ExprKind::IncDec { .. } => true,
        ExprKind::Binary(BinOp::Lt | BinOp::Gt | BinOp::Ge | BinOp::Le | BinOp::Ne, a, _) => {
            step_of(a).is_some() || a.ident().is_some()
        }
        _ => false,
    }
}

/// The one conjunct for which `is` holds, and the others.
fn split(cond: &Expr, is: impl Fn(&Expr) -> bool) -> Option<(&Expr, Vec<&Expr>)> {
    let (tests, guards): (Vec<_>, Vec<_>) = conjuncts(cond).into_iter().partition(|c| is(c));
    match tests.as_slice() {
        [one] => Some((one, guards)),
        _ => None,
    }
}

fn turned(op: BinOp) -> Option<BinOp> {
    Some(match op {
        BinOp::Lt => BinOp::Gt,
        BinOp::Gt => BinOp::Lt,
        BinOp::Le => BinOp::Ge,
        BinOp::Ge => BinOp::Le,
        BinOp::Eq | BinOp::Ne => op,
        _ => return None,
    })
}

/// The statements of a body, without the braces.
pub fn statements(body: &Stmt) -> Vec<&Stmt> {
    match &body.kind {
        StmtKind::Block(v) => v.iter().filter(|s| !matches!(s.kind, StmtKind::Empty)).collect(),
        _ => vec![body],
    }
}

/// The array and the way in which `e` names the entry of a walk: `X[i]`, `*(X + i)`, `X[k + i]`, with the step inside
/// (`X[--i]`, `X[i++]`) where the walk has it there.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The array.
    pub array: &'a Expr,
    /// `k` in `X[k + i]`.
    pub plus: Option<&'a Expr>,
    /// The index moves in this expression.
    pub steps: bool,
}

impl<'a> Entry<'a> {
    /// The entry of `w` that `e` names.
    pub fn of(w: &Walk, e: &'a Expr) -> Option<Entry<'a>> {
        let (array, at) = match &e.kind {
            ExprKind::Index(a, i) => (&**a, &**i),
            ExprKind::Unary(crate::ast::UnOp::Deref, inner) => match &inner.kind {
                ExprKind::Binary(BinOp::Add, a, i) => (&**a, &**i),
                _ => return None,
            },
            _ => return None,
        };
        if mentions(array, w.index) || !pure(array) {
            return None;
        }
        let plain = |e: &Expr| match w.step {
            Step::Head | Step::Body => e.ident() == Some(w.index),
            Step::HeadAfter => {
                matches!(&e.kind, ExprKind::Binary(BinOp::Sub, i, one)
                    if i.ident() == Some(w.index) && constant(one) == Some(1))
            }
        };
        if plain(at) {
            return Some(Entry { array, plus: None, steps: false });
        }
        if let ExprKind::IncDec { inc, prefix, operand } = &at.kind {
            let fits = w.step == Step::Body && operand.ident() == Some(w.index) && *inc == w.up && *prefix != w.up;
            return fits.then_some(Entry { array, plus: None, steps: true });
        }
        if let ExprKind::Binary(BinOp::Add, a, b) = &at.kind {
            let plus = match (plain(a), plain(b)) {
                (true, false) => &**b,
                (false, true) => &**a,
                _ => return None,
            };
            return (pure(plus) && !mentions(plus, w.index)).then_some(Entry { array, plus: Some(plus), steps: false });
        }
        None
    }
    /// Whether two entries are in the same array at the same offset.
    pub fn alike(&self, other: &Entry) -> bool {
        same(self.array, other.array)
            && match (self.plus, other.plus) {
                (None, None) => true,
                (Some(a), Some(b)) => same(a, b),
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::function_from_source;

    fn ends(w: &Walk, text: &str) -> String {
        let bound = |b: &Bound| match b {
            Bound::Is(e) => super::super::style::bare(text.as_bytes(), e.span),
            Bound::OneMore(e) => format!("{}+1", e.span.text(text.as_bytes())),
            Bound::Const(n) => n.to_string(),
        };
        let wild = if w.needs_non_negative { " wild" } else { "" };
        format!("{} {}..{} {:?}{wild}", w.index, bound(&w.from), bound(&w.to), w.step)
    }

    /// The walk of the one loop `head body` in a function.
    fn read(code: &str) -> Option<String> {
        let text = format!("void f(int n, int k, struct page **p)\n{{\n\tint i;\n\n\t{code}\n}}\n");
        let f = function_from_source(text.as_bytes(), "f").unwrap();
        let mut found = None;
        f.body.walk(&mut |s| {
            if super::super::is_loop(s) && found.is_none() {
                found = Some(walk(s).map(|w| ends(&w, &text)));
            }
        });
        found.unwrap()
    }

    #[test]
    fn loops_by_what_they_visit() {
        let cases = [
            ("for (i = 0; i < n; i++) g(p[i]);", "i 0..n Head"),
            ("for (i = 0; n > i; ++i) g(p[i]);", "i 0..n Head"),
            ("for (i = 0; i != n; i += 1) g(p[i]);", "i 0..n Head wild"),
            ("for (i = 0; i <= n - 1; i++) g(p[i]);", "i 0..n Head"),
            ("for (i = 0; i <= n; i++) g(p[i]);", "i 0..n+1 Head"),
            ("for (i = k; i < n; i++) g(p[i]);", "i k..n Head"),
            ("for (; k < n; k++) g(p[k]);", "k k..n Head"),
            ("for (i = n - 1; i >= 0; i--) g(p[i]);", "i 0..n Head"),
            ("for (i = n; i > 0; i--) g(p[i - 1]);", "i 0..n HeadAfter"),
            ("for (i--; i >= 0; i--) g(p[i]);", "i 0..i Head"),
            ("for (i = n; i--;) g(p[i]);", "i 0..n Head wild"),
            ("while (n--) g(p[n]);", "n 0..n Head wild"),
            ("while (n-- > 0) g(p[n]);", "n 0..n Head"),
            ("while (--n >= 0) g(p[n]);", "n 0..n Head"),
            ("while (n > 0) { n--; g(p[n]); }", "n 0..n Body"),
            ("while (n) g(p[--n]);", "n 0..n Body wild"),
            ("while (k < n) g(p[k++]);", "k k..n Body"),
            ("do { n--; g(p[n]); } while (n > 0);", "n 0..n Body wild"),
        ];
        for (code, want) in cases {
            assert_eq!(read(code).as_deref(), Some(want), "{code}");
        }
    }

    #[test]
    fn loops_that_are_no_walk() {
        for code in [
            "for (i = 0; i < n; i += 2) g(p[i]);",
            "for (i = 0; p[i]; i++) g(p[i]);",
            "for (i = 0; i < next(); i++) g(p[i]);",
            "for (i = 0; i < n; k++) g(p[i]);",
            "for (i = n; i >= 0; k--) g(p[i]);",
            "for (i = n - 1; i > 1; i--) g(p[i]);",
            "while (n++) g(p[n]);",
            "while (--n > 0) g(p[n]);",
            "for (;;) g(p[0]);",
        ] {
            assert_eq!(read(code), None, "{code}");
        }
    }
}
