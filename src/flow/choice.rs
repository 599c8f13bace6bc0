//! What is chosen once for the pin and for its release: pages that one case of a `switch` pins are not released by
//! another case of the same value, in the same call of the function.
//!
//! Only where the pages stay in that call, and where nothing changes what is chosen by: a later call may choose
//! otherwise. Whether the cases are the right ones is not asked.

use super::FnId;
use super::closed::argument;
use super::engine::Engine;
use super::graph::{Graph, Node, Reached};
use super::place::Place;
use super::release::{enclosing, plain};
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::FnRef;
use crate::program::Program;
use crate::source::{Name, Span};

/// A condition under which a statement runs.
#[derive(PartialEq)]
enum Chosen {
    /// The expression has one of these values.
    OneOf(String, Vec<String>),
    /// The expression is true, or false.
    Is(String, bool),
}

impl Chosen {
    fn on(&self) -> &str {
        match self {
            Chosen::OneOf(on, _) | Chosen::Is(on, _) => on,
        }
    }
    /// The two cannot both hold, of one value.
    fn excludes(&self, other: &Chosen) -> bool {
        match (self, other) {
            (Chosen::OneOf(a, x), Chosen::OneOf(b, y)) => a == b && !x.iter().any(|v| y.contains(v)),
            (Chosen::Is(a, x), Chosen::Is(b, y)) => a == b && x != y,
            _ => false,
        }
    }
}

/// Whether the release, a call in function `to`, is not for what the call `pin` in function `from` pins.
pub(super) fn apart(
    e: &Engine,
    g: &Graph,
    r: &Reached,
    (from, pin): (FnId, Span),
    (to, release): (FnId, Span),
) -> bool {
    let at = |f: FnId| e.fns[f.0 as usize];
    let Some(func) = e.index.parsed(at(from)).filter(|f| f.whole()) else { return false };
    let text = e.index.text(at(from).file);
    let wanted = conditions(&func, &text, pin);
    if wanted.is_empty() || !stays(e, g, r, from) {
        return false;
    }
    let lasting = |c: &Chosen| lasts(e, at(from), &func, c.on());
    let differs = |there: Vec<Chosen>| there.iter().any(|c| wanted.iter().any(|w| w.excludes(c) && lasting(c)));
    if from == to {
        return differs(conditions(&func, &text, release));
    }
    let Some(callee) = e.index.parsed(at(to)).filter(|f| f.whole()) else { return false };
    let there = conditions(&callee, &e.index.text(at(to).file), release);
    if there.is_empty() || callee.params.iter().any(|p| changes(&callee, &p.name)) {
        return false;
    }
    let calls = e.callers_of(to);
    !calls.is_empty()
        && calls.iter().all(|&(by, call)| {
            let passed = || there.iter().filter_map(|c| in_caller(c, &func, &text, &callee, call)).collect();
            by == from && differs(passed())
        })
}

/// The pages are in places of this call only: nobody finds them in the next one.
fn stays(e: &Engine, g: &Graph, r: &Reached, f: FnId) -> bool {
    r.order.iter().all(|n: &Node| match g.place(*n) {
        Place::Field(..) | Place::Global(..) => false,
        Place::Ret(of) => *of != f,
        p @ Place::Def(of, ..) => *of != f || p.entry_param().is_none(),
        Place::Var(of, name) => *of != f || !params(e, f).contains(name),
        Place::Call(..) => true,
    })
}

fn params(e: &Engine, f: FnId) -> Vec<Name> {
    let func = e.index.parsed(e.fns[f.0 as usize]);
    func.map(|f| f.params.iter().map(|p| p.name.clone()).collect()).unwrap_or_default()
}

/// All that is known to hold where a call stands.
fn conditions(func: &Function, text: &[u8], at: Span) -> Vec<Chosen> {
    let mut out = Vec::new();
    for s in enclosing(&func.body, at) {
        match &s.kind {
            StmtKind::If { cond, then, .. } if then.span.contains(at) => split(cond, text, true, &mut out),
            StmtKind::If { cond, els: Some(els), .. } if els.span.contains(at) => split(cond, text, false, &mut out),
            StmtKind::Switch { value, body } => {
                if let Some(labels) = labels(body, text, at) {
                    out.push(Chosen::OneOf(plain(value, text), labels));
                }
            }
            _ => {}
        }
    }
    out
}

fn split(cond: &Expr, text: &[u8], value: bool, out: &mut Vec<Chosen>) {
    match &cond.kind {
        ExprKind::Binary(BinOp::And, a, b) if value => {
            split(a, text, true, out);
            split(b, text, true, out);
        }
        ExprKind::Binary(BinOp::Or, a, b) if !value => {
            split(a, text, false, out);
            split(b, text, false, out);
        }
        ExprKind::Unary(UnOp::Not, a) => split(a, text, !value, out),
        _ => out.push(Chosen::Is(plain(cond, text), value)),
    }
}

/// The values under which a statement of a `switch` runs; `None` if that is not known.
fn labels(body: &Stmt, text: &[u8], at: Span) -> Option<Vec<String>> {
    let StmtKind::Block(list) = &body.kind else { return None };
    let (mut values, mut ended, mut known) = (Vec::new(), true, true);
    for s in list {
        let label = match &s.kind {
            StmtKind::Case { value, upto } => upto.is_none().then(|| plain(value, text)),
            StmtKind::Default => None,
            _ if s.span.contains(at) => return (known && !values.is_empty()).then_some(values),
            _ => {
                ended = ends(s);
                continue;
            }
        };
        if std::mem::replace(&mut ended, false) {
            (values, known) = (Vec::new(), true);
        }
        known &= label.is_some();
        values.extend(label);
    }
    None
}

/// What follows is not reached from here.
fn ends(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Break | StmtKind::Continue | StmtKind::Return(_) | StmtKind::Goto(_) => true,
        StmtKind::Block(list) => list.last().is_some_and(ends),
        _ => false,
    }
}

/// The condition of a callee in the words of the caller; `None` if it names more than parameters and constants.
fn in_caller(c: &Chosen, func: &Function, text: &[u8], callee: &Function, call: Span) -> Option<Chosen> {
    let mut out = String::new();
    for word in words(c.on()) {
        let member = out.ends_with("->") || out.ends_with('.');
        match callee.params.iter().position(|p| *p.name == *word) {
            Some(k) if !member => out.push_str(&plain(&argument(func, call, k)?, text)),
            None if !member && is_name(word) && !is_constant(word) => return None,
            _ => out.push_str(word),
        }
    }
    Some(match c {
        Chosen::OneOf(_, values) => Chosen::OneOf(out, values.clone()),
        Chosen::Is(_, value) => Chosen::Is(out, *value),
    })
}

/// Nothing in the function changes what the condition is made of, and nothing in its file a member of that name.
fn lasts(e: &Engine, f: FnRef, func: &Function, on: &str) -> bool {
    let mut member = false;
    for word in words(on) {
        if word.contains('(') {
            return false;
        }
        if is_name(word) && !is_constant(word) {
            let users = if member { e.index.touching(f.file, word) } else { Vec::new() };
            let touched = |u: FnRef| e.index.parsed(u).is_none_or(|u| changes(&u, word));
            if changes(func, word) || users.into_iter().any(touched) {
                return false;
            }
        }
        member = word.ends_with("->") || word.ends_with('.');
    }
    true
}

/// Whether the function stores to a variable, or a member, of this name, or takes its address.
pub(super) fn changes(func: &Function, name: &str) -> bool {
    let is = |e: &Expr| match &e.kind {
        ExprKind::Ident(n) | ExprKind::Field { name: n, .. } => **n == *name,
        _ => false,
    };
    let mut found = false;
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, l, _) => found |= is(l),
        ExprKind::IncDec { operand, .. } => found |= is(operand),
        ExprKind::Unary(UnOp::AddrOf, a) => found |= is(a),
        _ => {}
    });
    found
}

/// Names, and what stands between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| part(c) != part(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// A macro or an enumerator.
fn is_constant(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_lowercase())
}
