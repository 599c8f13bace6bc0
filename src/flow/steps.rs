//! How a trace is told: the steps from a pin to a release, and the holders on the way.

use super::FnId;
use super::apart;
use super::arguments::Arguments;
use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Graph, Node, Reached};
use super::others::Others;
use super::place::{OWN, Place};
use super::uses::Taker;
use crate::ast::{Expr, ExprKind, Function};
use crate::kernel::Api;
use crate::source::{Loc, Name, Span};
use crate::trace::{Doubt, Holder, HolderKind, Release, Step};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// The way from the pin to a node, behind the step `after`; the last step of it.
pub(super) fn steps(
    others: &Others,
    r: &Reached,
    end: Node,
    (pins, late): (FnId, &[Span]),
    mut after: usize,
    out: &mut Vec<Step>,
) -> usize {
    let (e, g) = (others.e, others.g);
    let mut last: Option<(FnId, Span)> = None;
    // Where the pages were before a call that gives something of them back, and what such calls there are.
    let mut source: Option<Node> = None;
    let mut by = Vec::new();
    let mut arguments = Arguments::around(e, others.pin);
    let mut doubt = None;
    for (from, to, (f, span)) in r.way(end).into_iter().rev() {
        // Of several statements of a function that do the same, one that comes after the pin, or after the statement by
        // which the pages came into the function.
        let same: Vec<Span> = g.outgoing(from).iter().filter(|e| e.to == to && e.at.0 == f).map(|e| e.at.1).collect();
        let behind = match last.filter(|(g, _)| *g == f && f != pins) {
            Some((_, at)) if same.len() > 1 => {
                e.index.parsed(e.fns[f.0 as usize]).map(|f| apart::after(&f, at, &[])).unwrap_or_default()
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
        doubt = doubt.or_else(|| arguments.follow(e, g, (from, to), (f, span)));
        let source_of = *source.get_or_insert(from);
        // A call is no place of its own to a reader: the step ends where its value goes.
        if matches!(g.place(to), Place::Call(..)) && to != end {
            let returned = matches!(g.place(from), Place::Ret(_));
            by.extend(called(e, g, to).filter(|_| !returned));
            continue;
        }
        by.dedup();
        for end in [source_of, to].into_iter().filter_map(|n| called(e, g, n)) {
            by.retain(|name| *name != end);
        }
        // A call without a place of its own in the text stands where its value comes from.
        let at = if span == Span::default() && source_of != from { last.unwrap_or((f, span)) } else { (f, span) };
        after = step(others, r, (source_of, to), &by, at, (after, doubt.take()), out);
        source = None;
        by.clear();
    }
    after
}

/// What the function of a pin does with the pages besides: an acquiring function gives them to its callers, and any one
/// may store them where nothing drops them. With `stored` those stores are told.
pub(super) fn handed_out(others: &Others, r: &Reached, from: (FnId, &[Span]), stored: bool, out: &mut Vec<Step>) {
    let (e, g) = (others.e, others.g);
    let gives = Api::get().acquire(&e.index.name(e.fns[from.0.0 as usize])).is_some();
    // What a call gives back may be another thing than the pages: an error.
    let of_call = |n: Node| matches!(g.place(n), Place::Call(..));
    let here = |n: Node| r.way(n).iter().all(|(a, _, at)| at.0 == from.0 && !of_call(*a));
    for &n in &r.order {
        let told = match g.place(n) {
            Place::Ret(f) => gives && *f == from.0,
            _ => stored && keeps(g, n) && here(n),
        };
        if told {
            steps(others, r, n, from, 0, out);
        }
    }
}

/// Whether a place may outlive the function: a known field, or a variable of the file.
pub(super) fn keeps(g: &Graph, n: Node) -> bool {
    match g.place(n) {
        Place::Field(tag, _) => !tag.starts_with('?'),
        Place::Global(..) => true,
        _ => false,
    }
}

/// From one node to the next, by calls whose value it is, behind the step `after`; the number of the step.
pub(super) fn step(
    others: &Others,
    r: &Reached,
    (from, to): (Node, Node),
    by: &[Name],
    (f, span): (FnId, Span),
    (after, doubt): (usize, Option<Doubt>),
    out: &mut Vec<Step>,
) -> usize {
    if span == Span::default() {
        return after;
    }
    let (e, g) = (others.e, others.g);
    let file = e.fns[f.0 as usize].file;
    let by: Vec<String> = by.iter().map(|name| format!("{name}()")).collect();
    let by = if by.is_empty() { String::new() } else { format!(", by {}", by.join(" and ")) };
    let doubt = doubt.or_else(|| others.doubt(r, from, (f, span)));
    let (from, into) = (show(e, g, from), show(e, g, to));
    let by = match from == into && by.is_empty() {
        true => first_call(e, f, span).map_or(by, |name| format!(", by {name}()")),
        false => by,
    };
    let what = format!("{from} -> {into}{by}");
    let mut because = because(g, to);
    let own = e.facts[f.0 as usize].facts.iter().find_map(|x| match x {
        Fact::Own { api, at, .. } if *at == span => Some(api),
        _ => None,
    });
    if let Some(api) = own {
        because = format!("{because}, which has a reference of its own by {api}()");
    }
    let at = Loc { file, span };
    if let Some(known) = out.iter().position(|s| s.at == at && s.what == what) {
        return known;
    }
    out.push(Step { at, what, because, after, doubt });
    out.len() - 1
}

/// The last step.
pub(super) fn dropped(rel: &Release, what: &str, after: usize, doubt: Option<Doubt>, out: &mut Vec<Step>) {
    let may = if doubt.is_some() || doubted(out, after).is_some() { "may drop" } else { "drops" };
    let what = format!("{}() {may} {what} in {}()", rel.callee, rel.function);
    out.push(Step { at: rel.at, what, because: String::new(), after, doubt });
}

/// The last step, where a callee takes the reference over.
pub(super) fn taken_over(e: &Engine, taker: &Taker, after: usize, out: &mut Vec<Step>) {
    let what =
        format!("{}() takes the reference over in {}()", taker.callee, e.index.name(e.fns[taker.at.0.0 as usize]));
    out.push(Step { at: taker.at.1, what, because: String::new(), after, doubt: None });
}

/// What is in doubt on the way to a step, the last one of it.
pub(super) fn doubted(steps: &[Step], mut k: usize) -> Option<Doubt> {
    loop {
        let step = steps.get(k)?;
        if step.doubt.is_some() {
            return step.doubt.clone();
        }
        if step.after >= k {
            return None;
        }
        k = step.after;
    }
}

/// What is called first in an expression: a variable that gets what is made of itself (`page = compound_head(page)`).
fn first_call(e: &Engine, f: FnId, span: Span) -> Option<Name> {
    let mut name = None;
    e.index.parsed(e.fns[f.0 as usize])?.body.walk_exprs(&mut |x| {
        if name.is_none() && span.contains(x.span) {
            name = x.call().map(|(n, _)| n.clone());
        }
    });
    name
}

/// The call that a place is the value of, as `name()`.
/// The function whose value a node is, by the name or the member that it is called by.
pub(super) fn called(e: &Engine, g: &Graph, n: Node) -> Option<Name> {
    let Place::Call(f, start) = g.place(n) else { return None };
    let mut name = None;
    e.index.parsed(e.fns[f.0 as usize])?.body.walk_exprs(&mut |x| {
        if let ExprKind::Call { callee, .. } = &x.kind
            && x.span.start == *start
        {
            name = match &callee.kind {
                ExprKind::Ident(n) | ExprKind::Field { name: n, .. } => Some(n.clone()),
                _ => None,
            };
        }
    });
    name
}

fn because(g: &Graph, n: Node) -> String {
    match g.place(n) {
        Place::Field(t, f) if !t.starts_with('?') => {
            let folder = t.split_once(OWN).map_or(String::new(), |(_, folder)| format!(", in {folder}"));
            format!("field {f} of struct {}{folder}", bare(t))
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
        Place::Call(..) => {
            called(e, g, n).map_or_else(|| "value of a call".into(), |name| format!("value of {name}()"))
        }
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

/// Everything that has the pages on the way, in the order in which they get there; `ends` are dropped.
pub(super) fn holders(
    e: &Engine,
    g: &Graph,
    funcs: &[Option<Arc<Function>>],
    r: &Reached,
    ends: Vec<Node>,
) -> Vec<Holder> {
    let onward = onward(g, r, ends);
    let mut all: Vec<Holder> = Vec::new();
    for &n in &r.order {
        let Some(mut h) = holder(e, funcs, g.place(n)) else { continue };
        h.passes = h.kind == HolderKind::Caller && !onward.contains(&n);
        match all.iter_mut().find(|k| k.text == h.text && k.kind == h.kind) {
            Some(known) => known.passes &= h.passes,
            None => all.push(h),
        }
    }
    all
}

/// What leads to something that keeps the pages, or to a release of them (`ends`).
fn onward(g: &Graph, r: &Reached, ends: Vec<Node>) -> FxHashSet<Node> {
    let mut open = ends;
    open.extend(r.order.iter().copied().filter(|n| keeps(g, *n)));
    let mut seen: FxHashSet<Node> = open.iter().copied().collect();
    while let Some(n) = open.pop() {
        open.extend(g.incoming(n).iter().map(|e| e.to).filter(|from| r.has(*from) && seen.insert(*from)));
    }
    seen
}

pub(super) fn holder(e: &Engine, funcs: &[Option<Arc<Function>>], p: &Place) -> Option<Holder> {
    Some(match p {
        Place::Field(t, f) => {
            if t.starts_with('?') {
                return None;
            }
            Holder { text: field_name(t, f), kind: HolderKind::Field, passes: false }
        }
        Place::Global(_, n) => Holder { text: n.to_string(), kind: HolderKind::Global, passes: false },
        Place::Var(f, n) => {
            let func = funcs[f.0 as usize].as_ref()?;
            let kind = match func.params.iter().any(|q| q.name == *n) {
                true => HolderKind::Caller,
                false => HolderKind::Local,
            };
            Holder { text: format!("{}:{n}", e.index.name(e.fns[f.0 as usize])), kind, passes: false }
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
