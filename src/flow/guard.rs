//! Guards: a flag that keeps pages which are no pins away from a release.
//!
//! `if (obj->from_user) put_page(…)` drops pins only, if every place that fills `obj` with other pages leaves the flag
//! clear on all ways to its end, whatever it was before. All stores to the flag must be constants, or a parameter that
//! the filling function branches on, and must be in sight.
//! The pages and the flag are taken to be of one object when they are fields of one struct, and stores to the flag have
//! to go through the same expression in a function. Whether pins set the flag is not asked: if not, the release is dead
//! for them, before and after a rewrite.

use super::cfg::{Cfg, Elem};
use super::engine::Engine;
use super::graph::{Graph, Reached};
use super::place::{OWN, Place, UNKNOWN_TAG};
use super::release::{enclosing, plain};
use super::steps::same;
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::{FnRef, Reach};
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::trace::Origin;
use std::collections::BTreeSet;

/// A condition on a field: `obj->flag`, or `obj->flag & MASK`, true or false; or on a parameter.
pub(super) struct Test {
    pub field: Name,
    pub mask: Option<String>,
    /// It is no field but a parameter.
    pub param: bool,
    /// The release happens when the test is true.
    pub wanted: bool,
}

/// A store to the flag.
struct Store {
    at: Span,
    /// The object whose flag it is, as written.
    object: String,
    leaves: Left,
}

/// What a store leaves in the flag.
#[derive(Clone, PartialEq, Eq)]
enum Left {
    /// The release does not happen.
    Closed,
    /// The release happens.
    Open,
    /// What this variable says, which nobody changes: the release happens if its truth is the value.
    As(Name, bool),
}

/// The guard of a release that keeps all the `foreign` origins out, as written.
pub(super) fn guard(
    e: &Engine,
    g: &Graph,
    at: (FnRef, &Function, Span),
    back: &Reached,
    foreign: &[Origin],
) -> Option<String> {
    let fields = tests(e, at).into_iter().filter(|(t, _)| !t.param && !foreign.is_empty());
    fields.into_iter().find(|(t, _)| keeps_out(e, g, at.0.file, t, back, foreign)).map(|(_, written)| written)
}

/// Tests of a flag under which a call stands, as written.
pub(super) fn tests(e: &Engine, at: (FnRef, &Function, Span)) -> Vec<(Test, String)> {
    let (release, func, call) = at;
    let mut tests = Vec::new();
    if !func.whole() {
        return tests;
    }
    let text = e.index.text(release.file);
    for s in enclosing(&func.body, call) {
        if let StmtKind::If { cond, then, els } = &s.kind {
            if then.span.contains(call) {
                conjuncts(func, &text, cond, true, &mut tests);
            } else if els.as_ref().is_some_and(|e| e.span.contains(call)) {
                conjuncts(func, &text, cond, false, &mut tests);
            }
        }
    }
    tests
}

/// Whether a pin of this function lies on every way to the release, and on every way from the origin to it: then the
/// release drops what the pin stored, not what was there before.
pub(super) fn overwritten(func: &Function, origin: Span, pins: &[Span], call: Span) -> bool {
    let whole = |pin: &Span| fills_what(func, *pin, origin);
    if pins.is_empty() || !func.whole() || !func.span.contains(origin) || !pins.iter().all(whole) {
        return false;
    }
    let cfg = Cfg::new(func);
    let holds = |n: u32, at: Span| span_of(&cfg.nodes[n as usize].elem).is_some_and(|s| s.contains(at));
    let reaches = |from: Vec<u32>| {
        let mut seen = vec![false; cfg.nodes.len()];
        let mut work = from;
        while let Some(n) = work.pop() {
            if std::mem::replace(&mut seen[n as usize], true) || pins.iter().any(|p| holds(n, *p)) {
                continue;
            }
            if holds(n, call) {
                return true;
            }
            work.extend(&cfg.nodes[n as usize].succ);
        }
        false
    };
    let origins: Vec<u32> = (0..cfg.nodes.len() as u32).filter(|n| holds(*n, origin)).collect();
    !origins.is_empty() && !reaches(vec![0]) && !reaches(origins)
}

/// The pin fills the variable, or the array from its start, that the origin was stored in. (What went into a part of
/// it by another name, or in front of an offset, stays.) Where nothing is stored by name, that is not asked.
fn fills_what(func: &Function, pin: Span, origin: Span) -> bool {
    let mut stored = None;
    let mut args: &[Expr] = &[];
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, to, from) if from.span.contains(origin) => stored = Some(&**to),
        ExprKind::Call { .. } if e.span == pin => args = e.call().map_or(args, |(_, a)| a),
        _ => {}
    });
    let Some(stored) = stored else { return true };
    let array = match &stored.kind {
        ExprKind::Index(a, _) | ExprKind::Unary(UnOp::Deref, a) => a,
        _ => stored,
    };
    let is = |e: &Expr| same(e, stored) || same(e, array);
    args.iter().any(|a| match &a.kind {
        ExprKind::Unary(UnOp::AddrOf, inner) => is(inner),
        _ => is(a),
    })
}

/// What a node evaluates.
pub(super) fn span_of(e: &Elem) -> Option<Span> {
    match e {
        Elem::Expr(x) | Elem::Cond(x) | Elem::Return(Some(x)) => Some(x.span),
        Elem::Decl(v) => v.init.as_ref().map(|x| x.span),
        Elem::Iterate(_, args) => {
            args.first().zip(args.last()).map(|(a, z)| Span { start: a.span.start, end: z.span.end })
        }
        Elem::Opaque(s) => Some(*s),
        _ => None,
    }
}

/// Splits a condition into tests that all hold when it is `value`.
fn conjuncts(func: &Function, text: &[u8], cond: &Expr, value: bool, out: &mut Vec<(Test, String)>) {
    match &cond.kind {
        ExprKind::Binary(BinOp::And, a, b) if value => {
            conjuncts(func, text, a, true, out);
            conjuncts(func, text, b, true, out);
        }
        ExprKind::Binary(BinOp::Or, a, b) if !value => {
            conjuncts(func, text, a, false, out);
            conjuncts(func, text, b, false, out);
        }
        ExprKind::Unary(UnOp::Not, a) => conjuncts(func, text, a, !value, out),
        _ => {
            let given = cond.ident().filter(|n| func.params.iter().any(|p| p.name == **n));
            let written = || if value { plain(cond, text) } else { format!("!({})", plain(cond, text)) };
            if let Some(name) = given {
                out.push((Test { field: name.clone(), mask: None, param: true, wanted: value }, written()));
            } else if let Some((field, mask)) = flag(func, text, cond, 0) {
                out.push((Test { field, mask, param: false, wanted: value }, written()));
            }
        }
    }
}

/// The field that an expression tests; a local that is set once stands for its value.
fn flag(func: &Function, text: &[u8], e: &Expr, depth: u32) -> Option<(Name, Option<String>)> {
    match &e.kind {
        ExprKind::Field { name, .. } => Some((name.clone(), None)),
        ExprKind::Binary(BinOp::BitAnd, a, b) => match (&a.kind, &b.kind) {
            (ExprKind::Field { name, .. }, _) if constant(b) => Some((name.clone(), Some(plain(b, text)))),
            (_, ExprKind::Field { name, .. }) if constant(a) => Some((name.clone(), Some(plain(a, text)))),
            _ => None,
        },
        ExprKind::Ident(n) if depth == 0 => {
            let mut values = Vec::new();
            let mut taken = func.params.iter().any(|p| p.name == *n);
            func.body.walk(&mut |s| {
                if let StmtKind::Decl(vars) = &s.kind {
                    values.extend(vars.iter().filter(|v| v.name == *n).filter_map(|v| v.init.as_ref()));
                }
            });
            func.body.walk_exprs(&mut |x| match &x.kind {
                ExprKind::Assign(None, l, r) if l.ident() == Some(n) => values.push(r),
                ExprKind::Assign(Some(_), l, _) if l.ident() == Some(n) => taken = true,
                ExprKind::IncDec { operand, .. } if operand.ident() == Some(n) => taken = true,
                ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(n) => taken = true,
                _ => {}
            });
            match values[..] {
                [v] if !taken => flag(func, text, v, 1),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A literal, or a name in capitals: a macro or an enumerator.
fn constant(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int { .. } => true,
        ExprKind::Ident(n) => n.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'),
        _ => false,
    }
}

/// What the store leaves: of a constant (for a test under a mask the mask itself, or 0), or of a parameter that is
/// never changed.
fn left(test: &Test, func: &Function, value: &Expr, text: &[u8]) -> Option<Left> {
    if let ExprKind::Ident(n) = &value.kind
        && test.mask.is_none()
        && func.params.iter().any(|p| p.name == *n)
    {
        let mut changed = false;
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(_, l, _) => changed |= l.ident() == Some(n),
            ExprKind::IncDec { operand, .. } => changed |= operand.ident() == Some(n),
            ExprKind::Unary(UnOp::AddrOf, a) => changed |= a.ident() == Some(n),
            _ => {}
        });
        return (!changed).then(|| Left::As(n.clone(), test.wanted));
    }
    let truth = match &value.kind {
        ExprKind::Int { value: 0, .. } => false,
        ExprKind::Int { .. } if test.mask.is_none() => true,
        ExprKind::Ident(n) if &**n == "false" => false,
        ExprKind::Ident(n) if &**n == "true" && test.mask.is_none() => true,
        _ if constant(value) && test.mask.as_deref() == Some(plain(value, text).as_str()) => true,
        _ => return None,
    };
    Some(if truth == test.wanted { Left::Open } else { Left::Closed })
}

fn keeps_out(e: &Engine, g: &Graph, from: FileId, test: &Test, back: &Reached, foreign: &[Origin]) -> bool {
    // The struct of the flag holds the pages, too.
    let home = back.order.iter().find_map(|n| match g.place(*n) {
        Place::Field(tag, _) if !tag.starts_with(UNKNOWN_TAG) && !tag.contains(OWN) => {
            let def = e.index.struct_def(from, tag)?;
            let (home, _) = e.index.struct_item(from, tag)?;
            def.fields.iter().any(|f| f.name == test.field).then_some(home)
        }
        _ => None,
    });
    let Some(users) = home.and_then(|home| users_of(e, home, &test.field)) else { return false };
    // Every store is a constant, and nobody takes the address.
    let mut stores: Vec<(FnRef, Vec<Store>)> = Vec::new();
    for user in users {
        let Some(func) = e.index.parsed(user) else { return false };
        if !func.whole() {
            return false;
        }
        let text = e.index.text(user.file);
        let mut found = Vec::new();
        let mut known = true;
        let is_flag = |x: &Expr| matches!(&x.kind, ExprKind::Field { name, .. } if *name == test.field);
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(op, l, r) if is_flag(l) => match (op, left(test, &func, r, &text), &l.kind) {
                (None, Some(v), ExprKind::Field { base, .. }) => {
                    found.push(Store { at: x.span, object: plain(base, &text), leaves: v })
                }
                _ => known = false,
            },
            ExprKind::IncDec { operand, .. } if is_flag(operand) => known = false,
            ExprKind::Unary(UnOp::AddrOf, a) if is_flag(a) => known = false,
            ExprKind::InitList(items) => {
                known &=
                    !items.iter().any(|(d, _)| matches!(d, Some(crate::ast::Designator::Field(n)) if *n == test.field));
            }
            _ => {}
        });
        if !known {
            return false;
        }
        stores.push((user, found));
    }
    foreign.iter().all(|o| closed_behind(e, o, &stores))
}

/// Functions that touch the flag of a struct; `None` when the whole tree may.
pub(super) fn users(e: &Engine, from: FileId, tag: &str, flag: &Name) -> Option<Vec<FnRef>> {
    users_of(e, e.index.struct_item(from, tag)?.0, flag)
}

fn users_of(e: &Engine, home: FileId, flag: &Name) -> Option<Vec<FnRef>> {
    let files = match e.index.struct_reach(home) {
        Reach::File => vec![home],
        Reach::Folder => {
            e.index.tree.grep(&[flag], Some(&e.index.folder_files(home))).into_iter().map(|h| h.0).collect()
        }
        Reach::Tree => return None,
    };
    Some(files.iter().flat_map(|f| e.index.touching(*f, flag)).collect())
}

/// Whether each way through the origin ends with the flag closed.
fn closed_behind(e: &Engine, o: &Origin, stores: &[(FnRef, Vec<Store>)]) -> bool {
    let here = stores.iter().find_map(|(f, s)| {
        let func = e.index.parsed(*f).filter(|func| f.file == o.at.file && func.span.contains(o.at.span))?;
        Some((func, s))
    });
    let Some((func, stores)) = here else { return false };
    if stores.windows(2).any(|w| w[0].object != w[1].object) {
        return false;
    }
    let variable = stores.iter().find_map(|s| match &s.leaves {
        Left::As(n, _) => Some(n.clone()),
        _ => None,
    });
    if stores.iter().any(|s| matches!(&s.leaves, Left::As(n, _) if Some(n) != variable.as_ref())) {
        return false;
    }
    let cfg = Cfg::new(&func);
    // Per node, the states that are possible on entry.
    let mut before: Vec<BTreeSet<State>> = vec![BTreeSet::new(); cfg.nodes.len()];
    let mut work = vec![(0u32, State::default())];
    while let Some((n, mut state)) = work.pop() {
        if !before[n as usize].insert(state) {
            continue;
        }
        let node = &cfg.nodes[n as usize];
        let span = span_of(&node.elem);
        state.behind |= span.is_some_and(|s| s.contains(o.at.span));
        for store in stores.iter().filter(|x| span.is_some_and(|s| s.contains(x.at))) {
            state.open = match &store.leaves {
                Left::Closed => Flag::Closed,
                Left::Open => Flag::Open,
                Left::As(_, wanted) => match state.truth {
                    Some(t) if t == *wanted => Flag::Open,
                    Some(_) => Flag::Closed,
                    None => Flag::As(*wanted),
                },
            };
        }
        let tested = match node.elem {
            Elem::Cond(c) => truth_of(c, variable.as_ref()),
            _ => None,
        };
        for (i, &next) in node.succ.iter().enumerate() {
            let mut state = state;
            if let Some(plain) = tested
                && node.succ.len() == 2
            {
                let truth = (i == 0) == plain;
                if state.truth.is_some_and(|t| t != truth) {
                    continue;
                }
                state.truth = Some(truth);
                if let Flag::As(wanted) = state.open {
                    state.open = if truth == wanted { Flag::Open } else { Flag::Closed };
                }
            }
            work.push((next, state));
        }
    }
    let mut ends = before[cfg.exit as usize].iter().filter(|s| s.behind).peekable();
    ends.peek().is_some() && ends.all(|s| s.open == Flag::Closed)
}

/// What is known on a way through a function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct State {
    /// The origin lies behind.
    behind: bool,
    /// Truth of the variable that the flag is set from.
    truth: Option<bool>,
    open: Flag,
}

/// The flag, as the release sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Flag {
    #[default]
    Unknown,
    Closed,
    Open,
    /// Open if the truth of the variable is this.
    As(bool),
}

/// Whether the condition is the variable itself (true) or its negation (false).
fn truth_of(cond: &Expr, variable: Option<&Name>) -> Option<bool> {
    match &cond.kind {
        ExprKind::Ident(n) if Some(n) == variable => Some(true),
        ExprKind::Unary(UnOp::Not, a) => truth_of(a, variable).map(|t| !t),
        _ => None,
    }
}
