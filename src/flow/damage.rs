//! What damage hides: a damaged function has calls and fields in its text that are not in its syntax tree, so the facts
//! do not speak of them.
//!
//! Such a function may drop the pages of a trace, or bring other pages to a release, and nothing else would show it. It
//! is told by words only: which object a hidden field belongs to is not known.

use super::FnId;
use super::engine::Engine;
use super::graph::{Graph, Node, Reached};
use super::place::{Place, UNKNOWN_TAG};
use crate::ast::{ExprKind, Function};
use crate::index::{Scope, outer_tag};
use crate::kernel::Api;
use crate::lex::{self, TokKind};
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// What the damaged functions of a search hide.
#[derive(Default)]
pub(super) struct Hidden {
    damaged: BTreeSet<FnId>,
    fields: FxHashMap<Name, Vec<FnId>>,
    calls: FxHashMap<Name, Vec<FnId>>,
}

impl Hidden {
    pub(super) fn new(e: &Engine) -> Self {
        let mut out = Self::default();
        for (i, f) in e.fns.iter().enumerate() {
            let Some(func) = e.index.parsed(*f).filter(|f| !f.damage.is_empty()) else { continue };
            let text = e.index.text(f.file);
            out.damaged.insert(FnId(i as u32));
            for ((call, word), times) in words(func.body.span.of(&text)) {
                if times > seen(&func, call, &word) {
                    let by_word = if call { &mut out.calls } else { &mut out.fields };
                    by_word.entry(word).or_default().push(FnId(i as u32));
                }
            }
        }
        out
    }

    /// Whether the function is damaged.
    pub(super) fn has(&self, f: FnId) -> bool {
        self.damaged.contains(&f)
    }

    /// Damaged functions that may touch the pages of a walk without a fact that says so.
    pub(super) fn of(&self, e: &Engine, g: &Graph, r: &Reached, forward: bool) -> BTreeSet<FnId> {
        let mut out = BTreeSet::new();
        if self.damaged.is_empty() {
            return out;
        }
        for &n in &r.order {
            match g.place(n) {
                Place::Field(tag, field) => {
                    let sees = |f: &&FnId| {
                        let file = e.fns[f.0 as usize].file;
                        match tag.strip_prefix(UNKNOWN_TAG) {
                            Some(own) => own == file.0.to_string(),
                            None => e.index.struct_item(file, outer_tag(tag)).is_some(),
                        }
                    };
                    out.extend(self.fields.get(field).into_iter().flatten().filter(sees));
                }
                p => {
                    let Some(f) = p.function().filter(|_| !self.calls.is_empty()) else { continue };
                    if !leaves(r, n, p, forward) {
                        continue;
                    }
                    let callee = e.fns[f.0 as usize];
                    let name = e.index.name(callee);
                    let ours = |d: &&FnId| {
                        let file = e.fns[d.0 as usize].file;
                        file == callee.file || e.target(**d, &name).is_none_or(|t| t == f)
                    };
                    out.extend(self.calls.get(&name).into_iter().flatten().filter(ours));
                }
            }
        }
        out
    }

    /// Where the function is, and its name.
    pub(super) fn place(e: &Engine, f: FnId) -> (Loc, Name) {
        let r = e.fns[f.0 as usize];
        let span = e.index.parsed(r).map(|f| f.name_span).unwrap_or_default();
        (Loc { file: r.file, span }, e.index.name(r))
    }
}

/// Calls of acquiring functions in a damaged function that are not among the `known` ones: name and identifier.
pub(super) fn hidden_pins(e: &Engine, file: FileId, func: &Function, known: &BTreeSet<Span>) -> Vec<(Name, Span)> {
    let text = e.index.text(file);
    let body = func.body.span;
    let mut toks = lex::code(body.of(&text)).filter(|t| t.kind != TokKind::Preproc).peekable();
    let mut out = Vec::new();
    while let Some(t) = toks.next() {
        let at = Span { start: body.start + t.span.start, end: body.start + t.span.end };
        let open = toks.peek().is_some_and(|n| n.kind == TokKind::Punct(b'('));
        if let Ok(word) = std::str::from_utf8(at.of(&text))
            && open
            && Api::get().acquire(word).is_some()
            && !known.contains(&at)
            && !e.index.shadows(file, word)
        {
            out.push((word.into(), at));
        }
    }
    out
}

/// Whether pages pass between a function and its callers here: forward to them, backward from them.
fn leaves(r: &Reached, n: Node, p: &Place, forward: bool) -> bool {
    let entry = p.entry_param().is_some();
    match forward {
        true => (matches!(p, Place::Ret(_)) && r.leaves(n)) || (entry && n % 2 == 1),
        false => entry && n.is_multiple_of(2) && r.leaves(n),
    }
}

/// Fields and calls of a text, each with how often it occurs.
fn words(body: &[u8]) -> BTreeMap<(bool, Name), usize> {
    let toks: Vec<_> = lex::code(body).filter(|t| t.kind != TokKind::Preproc).collect();
    let mut out = BTreeMap::new();
    for (i, t) in toks.iter().enumerate().filter(|(_, t)| t.kind == TokKind::Ident) {
        let Ok(word) = std::str::from_utf8(t.span.of(body)) else { continue };
        let before = |n: usize| i.checked_sub(n).map(|k| toks[k].span.of(body));
        let arrow = before(1) == Some(b">") && before(2) == Some(b"-");
        // `.field = x` of an initialiser is a variable of its own.
        let dot = before(1) == Some(b".") && !matches!(before(2), None | Some(b"{" | b","));
        let call = toks.get(i + 1).is_some_and(|t| t.span.of(body) == b"(");
        if dot || arrow {
            *out.entry((false, word.into())).or_insert(0) += 1;
        } else if call {
            *out.entry((true, word.into())).or_insert(0) += 1;
        }
    }
    out
}

/// How often the syntax tree has the field or call.
fn seen(f: &Function, call: bool, word: &str) -> usize {
    let mut times = 0;
    f.body.walk_exprs(&mut |e| {
        times += usize::from(match &e.kind {
            ExprKind::Call { callee, .. } => call && callee.ident().is_some_and(|n| **n == *word),
            ExprKind::Field { name, .. } => !call && **name == *word,
            _ => false,
        });
    });
    times
}
