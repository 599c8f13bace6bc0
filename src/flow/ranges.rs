//! Two pins that fill one array, one behind the other: `pin(&map[0])` returns `n`, the next one goes to `&map[n]`.
//!
//! A loop over the first `n` entries drops what the first pin put there, one over `map[n + i]` what the second did.
//! Said only where `n` is a variable of the call itself, and nothing else sets it.

use super::engine::Engine;
use super::objects::set_by_macro;
use super::release::{enclosing, plain};
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{Name, Span};
use crate::trace::PinSite;

/// A part of an array, as written: its name, where it begins (empty: at the start), and how many entries it has.
struct Part {
    array: String,
    start: String,
    count: String,
}

/// Whether a release goes over a part of an array that another pin of the function filled than `site`.
pub(super) fn apart(e: &Engine, func: &Function, here: &[&PinSite], site: &PinSite, call: Span) -> bool {
    let file = site.at.file;
    let text = &*e.index.text(file);
    if here.len() < 2 || !func.whole() {
        return false;
    }
    let Some(dropped) = dropped(func, text, call) else { return false };
    let Some(own) = filled(func, text, site).filter(|own| own.array == dropped.array) else { return false };
    let counted = |first: &PinSite, n: &str| {
        first.result.as_deref() == Some(n)
            && set_once(func, n, first.call)
            && !set_by_macro(e, file, func, &Name::from(n))
    };
    let starts = |n: &str, array: &str| {
        here.iter().any(|o| filled(func, text, o).is_some_and(|p| p.array == array && p.start == n))
    };
    match (dropped.start.as_str(), own.start.as_str()) {
        // As many as another pin returned, from where that one began.
        ("", start) if start == dropped.count => here.iter().any(|first| {
            counted(first, start)
                && filled(func, text, first).is_some_and(|p| p.array == own.array && p.start.is_empty())
        }),
        // From where the pages of this pin end.
        (start, "") if !start.is_empty() => counted(site, start) && starts(start, &own.array),
        _ => false,
    }
}

/// Whether this is a variable that is there once, and that only the call sets, or perhaps where it is declared.
fn set_once(func: &Function, name: &str, pin: Span) -> bool {
    let (mut declared, mut once) = (0, true);
    func.body.walk(&mut |s| match &s.kind {
        StmtKind::Decl(vars) => {
            for v in vars.iter().filter(|v| *v.name == *name) {
                declared += 1;
                once &= !v.is_static;
            }
        }
        StmtKind::Iterate { args, .. } => once &= args.iter().all(|a| a.ident().is_none_or(|n| **n != *name)),
        StmtKind::Asm | StmtKind::Opaque => once = false,
        _ => {}
    });
    let is = |e: &Expr| e.ident().is_some_and(|n| **n == *name);
    let api = Api::get();
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(op, to, from) if is(to) => once &= op.is_none() && from.span.contains(pin),
        ExprKind::IncDec { operand: to, .. } | ExprKind::Unary(UnOp::AddrOf, to) => once &= !is(to),
        ExprKind::Call { args, .. } if args.iter().any(is) => {
            once &= e.call().is_some_and(|(n, _)| !api.sets_variable(n));
        }
        _ => {}
    });
    declared == 1 && once
}

/// What a pin fills.
fn filled(func: &Function, text: &[u8], site: &PinSite) -> Option<Part> {
    let (_, span) = site.pages.as_ref()?;
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == *span && found.is_none() {
            found = Some(part(e, text));
        }
    });
    let (array, start) = found?;
    Some(Part { array, start, count: String::new() })
}

/// `a`, `&a[0]`, `&a[n]`, `a + n`.
fn part(e: &Expr, text: &[u8]) -> (String, String) {
    let zero = |e: &Expr| matches!(e.kind, ExprKind::Int { value: 0, .. });
    match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => match &a.kind {
            ExprKind::Index(a, i) if zero(i) => (plain(a, text), String::new()),
            ExprKind::Index(a, i) => (plain(a, text), plain(i, text)),
            _ => (plain(e, text), String::new()),
        },
        ExprKind::Binary(BinOp::Add, a, n) => (plain(a, text), plain(n, text)),
        _ => (plain(e, text), String::new()),
    }
}

/// What `for (i = 0; i < count; i++) put_page(a[start + i]);` drops.
fn dropped(func: &Function, text: &[u8], call: Span) -> Option<Part> {
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == call {
            found = e.call();
        }
    });
    let (name, args) = found?;
    let release = Api::get().release(name)?;
    let given = args.get(release.arg)?;
    if release.batch {
        let (array, start) = part(given, text);
        return Some(Part { array, start, count: plain(args.get(release.count?)?, text) });
    }
    let ExprKind::Index(array, index) = &given.kind else { return None };
    let loops = enclosing(&func.body, call);
    let around = loops
        .iter()
        .rev()
        .find(|s| matches!(s.kind, StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::DoWhile { .. }))?;
    let StmtKind::For { init: Some(init), cond: Some(cond), .. } = &around.kind else { return None };
    let ExprKind::Binary(BinOp::Lt, i, count) = &cond.kind else { return None };
    let i = i.ident()?;
    let mut from_zero = false;
    init.walk_exprs(&mut |e| {
        from_zero |= matches!(&e.kind, ExprKind::Assign(None, to, v)
            if to.ident() == Some(i) && matches!(v.kind, ExprKind::Int { value: 0, .. }));
    });
    let start = match &index.kind {
        _ if index.ident() == Some(i) => String::new(),
        ExprKind::Binary(BinOp::Add, a, b) if b.ident() == Some(i) => plain(a, text),
        ExprKind::Binary(BinOp::Add, a, b) if a.ident() == Some(i) => plain(b, text),
        _ => return None,
    };
    from_zero.then(|| Part { array: plain(array, text), start, count: plain(count, text) })
}
