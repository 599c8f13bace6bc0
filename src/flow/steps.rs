//! How a trace is told: the steps from a pin to a release, and the holders on the way.

use super::FnId;
use super::apart::after;
use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Graph, Node, Reached};
use super::place::{OWN, Place};
use crate::ast::{Expr, ExprKind, Function};
use crate::kernel::Api;
use crate::source::{Loc, Span};
use crate::trace::{Holder, HolderKind, Release, Step};
use std::sync::Arc;

/// The way from the pin to a node.
pub(super) fn steps(e: &Engine, g: &Graph, r: &Reached, end: Node, (pins, late): (FnId, &[Span]), out: &mut Vec<Step>) {
    let mut last: Option<(FnId, Span)> = None;
    for (from, to, (f, span)) in r.way(end).into_iter().rev() {
        // Of several statements of a function that do the same, one that comes after the pin, or after the statement by
        // which the pages came into the function.
        let same: Vec<Span> = g.outgoing(from).iter().filter(|e| e.to == to && e.at.0 == f).map(|e| e.at.1).collect();
        let behind = match last.filter(|(g, _)| *g == f && f != pins) {
            Some((_, at)) if same.len() > 1 => {
                e.index.parsed(e.fns[f.0 as usize]).map(|f| after(&f, at, &[])).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let late = if f == pins { late } else { &behind };
        let comes_after = |s: Span| late.iter().any(|l| l.contains(s));
        let later = same.into_iter().find(|s| comes_after(*s)).filter(|_| !comes_after(span));
        let span = later.unwrap_or(span);
        if span != Span::default() {
            last = Some((f, span));
        }
        step(e, g, (from, to), (f, span), out);
    }
}

/// What the function of a pin does with the pages besides: an acquiring function gives them to its callers, and any one
/// may store them where nothing drops them.
pub(super) fn handed_out(e: &Engine, g: &Graph, r: &Reached, from: (FnId, &[Span]), out: &mut Vec<Step>) {
    let gives = Api::get().acquire(&e.index.name(e.fns[from.0.0 as usize])).is_some();
    // What a call gives back may be another thing than the pages: an error.
    let of_call = |n: Node| matches!(g.place(n), Place::Call(..));
    let here = |n: Node| r.way(n).iter().all(|(a, _, at)| at.0 == from.0 && !of_call(*a));
    for &n in &r.order {
        let told = match g.place(n) {
            Place::Ret(f) => gives && *f == from.0,
            Place::Field(tag, _) => !tag.starts_with('?') && here(n),
            Place::Global(..) => here(n),
            _ => false,
        };
        if told {
            steps(e, g, r, n, from, out);
        }
    }
}

/// From one node to the next.
pub(super) fn step(e: &Engine, g: &Graph, (from, to): (Node, Node), (f, span): (FnId, Span), out: &mut Vec<Step>) {
    if span != Span::default() {
        let file = e.fns[f.0 as usize].file;
        let what = format!("{} -> {}", show(e, g, from), show(e, g, to));
        let mut because = because(g, to);
        let own = e.facts[f.0 as usize].facts.iter().find_map(|x| match x {
            Fact::Own { api, at, .. } if *at == span => Some(api),
            _ => None,
        });
        if let Some(api) = own {
            because = format!("{because}, which has a reference of its own by {api}()");
        }
        let step = Step { at: Loc { file, span }, what, because };
        if !out.iter().any(|s| s.at == step.at && s.what == step.what) {
            out.push(step);
        }
    }
}

/// The last step.
pub(super) fn dropped(rel: &Release, what: &str, out: &mut Vec<Step>) {
    out.push(Step {
        at: rel.at,
        what: format!("{} drops {what}", rel.callee),
        because: format!("in {}", rel.function),
    });
}

fn because(g: &Graph, n: Node) -> String {
    match g.place(n) {
        Place::Field(t, f) if !t.starts_with('?') => {
            let folder = t.split_once(OWN).map_or(String::new(), |(_, folder)| format!(", in {folder}"));
            format!("struct {}, field {f}{folder}", bare(t))
        }
        _ => String::new(),
    }
}

fn show(e: &Engine, g: &Graph, n: Node) -> String {
    let name = |f: &FnId| e.index.name(e.fns[f.0 as usize]);
    match g.place(n) {
        Place::Field(t, f) if t.starts_with('?') => format!("field {f}"),
        Place::Field(t, f) => field_name(t, f),
        Place::Var(f, n) | Place::Def(f, n, _) => format!("{n} of {}()", name(f)),
        Place::Global(_, n) => n.to_string(),
        Place::Ret(f) => format!("result of {}()", name(f)),
        Place::Call(..) => "value of the call".into(),
    }
}

/// A field as a reader would write it; a struct without a tag is written as the field that it is the type of.
pub(super) fn field_name(tag: &str, field: &str) -> String {
    format!("{}.{field}", bare(tag))
}

/// A tag without what keeps it apart from others of the name.
fn bare(tag: &str) -> &str {
    tag.split('@').next().unwrap_or(tag)
}

pub(super) fn holder(e: &Engine, funcs: &[Option<Arc<Function>>], p: &Place) -> Option<Holder> {
    Some(match p {
        Place::Field(t, f) => {
            if t.starts_with('?') {
                return None;
            }
            Holder { text: field_name(t, f), kind: HolderKind::Field }
        }
        Place::Global(_, n) => Holder { text: n.to_string(), kind: HolderKind::Global },
        Place::Var(f, n) => {
            let func = funcs[f.0 as usize].as_ref()?;
            let kind = match func.params.iter().any(|q| q.name == *n) {
                true => HolderKind::Caller,
                false => HolderKind::Local,
            };
            Holder { text: format!("{}:{n}", e.index.name(e.fns[f.0 as usize])), kind }
        }
        _ => return None,
    })
}

/// The same variable, member, number, or call with the same arguments.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Ident(x), ExprKind::Ident(y)) => x == y,
        (ExprKind::Int { value: x, .. }, ExprKind::Int { value: y, .. }) => x == y,
        (ExprKind::Field { base: x, name: n, .. }, ExprKind::Field { base: y, name: m, .. }) => n == m && same(x, y),
        _ => match (a.call(), b.call()) {
            (Some((f, x)), Some((g, y))) => f == g && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
            _ => false,
        },
    }
}
