//! Where the pages of a release come from, other than from pins.
//!
//! Walks back from a release to everything that brings a page in: allocators, callers that are not all seen, fields
//! that are used in places that were not searched. What the answer means for a rewrite is not decided here.

use super::FnId;
use super::damage::Hidden;
use super::engine::{Demand, Engine};
use super::facts::Fact;
use super::graph::{Graph, Node, Reached};
use super::place::{Place, UNKNOWN_TAG};
use super::steps::field_name;
use crate::kernel::Api;
use crate::source::{Loc, Name, Span};
use crate::trace::Origin;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// Everything that is no pin and that brings a page in.
pub(super) struct OriginTable<'a> {
    hidden: &'a Hidden,
    /// By node: what, and where.
    at: BTreeMap<Node, Vec<Origin>>,
    /// Results of calls, by node.
    calls: BTreeMap<Node, CallOf>,
    /// What pins store through.
    pinned: FxHashSet<Node>,
    /// What the pages of all pins reach.
    pins: &'a Reached,
}

/// A call whose result is asked for.
struct CallOf {
    from: FnId,
    callee: Option<Name>,
    member: Option<(Name, Name)>,
    at: Span,
}

impl<'a> OriginTable<'a> {
    /// `pins` is what the pages of all pins reach.
    pub(super) fn new(e: &Engine, g: &Graph, pins: &'a Reached, hidden: &'a Hidden) -> Self {
        let mut at: BTreeMap<Node, Vec<Origin>> = BTreeMap::new();
        let mut calls = BTreeMap::new();
        let mut pinned = FxHashSet::default();
        // Pages made of numbers that pins came to: those pages are the pins again.
        let mut again = FxHashSet::default();
        for fact in e.facts.iter().flat_map(|f| &f.facts) {
            match fact {
                Fact::Number { to, from, page: true, .. } if g.node(from).is_some_and(|n| pins.has_number(n)) => {
                    again.extend(g.stored(to));
                }
                Fact::Pin { into: Some(p), .. } => pinned.extend(g.stored(p)),
                _ => {}
            }
        }
        for (i, f) in e.facts.iter().enumerate() {
            let file = e.fns[i].file;
            for fact in &f.facts {
                match fact {
                    Fact::Origin { into, what, counted, at: span } => {
                        // Also a page without a reference of its own: that nobody drops one in this call is what we
                        // would have to show.
                        if let Some(n) = g.stored(into)
                            && (*counted || !again.contains(&n))
                        {
                            let at_call = Loc { file, span: *span };
                            at.entry(n).or_default().push(Origin { what: what.clone(), at: at_call, meets: None });
                        }
                    }
                    // A page with a reference of its own, or one more: dropping it is not the business of the pin.
                    Fact::Extra { of, callee, at: span } => {
                        for n in of.iter().filter_map(|p| g.node(p)) {
                            let o = Origin { what: callee.clone(), at: Loc { file, span: *span }, meets: None };
                            at.entry(n).or_default().push(o);
                        }
                    }
                    Fact::Call { callee, member, call, result, .. } => {
                        if let Some(n) = g.node(result) {
                            let from = FnId(i as u32);
                            let (callee, member) = (callee.clone(), member.clone());
                            calls.insert(n, CallOf { from, callee, member, at: *call });
                        }
                    }
                    _ => {}
                }
            }
        }
        Self { hidden, at, calls, pinned, pins }
    }

    /// The first field, or variable of a file, that what enters at a node comes by on its way to the release, and that
    /// pinned pages come to.
    fn meets(&self, g: &Graph, back: &Reached, n: Node) -> Option<Name> {
        let way = back.way(n).into_iter().map(|(from, ..)| from);
        let kept = |n: &Node| match g.place(*n) {
            Place::Field(t, _) => !t.starts_with(UNKNOWN_TAG),
            p => matches!(p, Place::Global(..)),
        };
        let pinned = |n: &Node| self.pins.has(n & !1) || self.pins.has(n | 1);
        let found = [n].into_iter().chain(way).find(|n| kept(n) && pinned(n))?;
        Some(show(g.place(found)).into())
    }

    /// A field or global that is read here and that nobody whom we see stores to: where its pages come from is unknown.
    fn never_stored(&self, g: &Graph, n: Node) -> Option<(FnId, Span)> {
        let heap = match g.place(n) {
            Place::Field(t, f) => Api::get().vessel(t, f).is_none(),
            Place::Global(..) => true,
            _ => false,
        };
        let (read, stored) = (n & !1, n | 1);
        let fed = |of: Node| g.incoming(of).iter().any(|e| e.to / 2 != n / 2);
        if !heap || self.pinned.contains(&stored) || fed(read) || fed(stored) || self.at.contains_key(&stored) {
            return None;
        }
        g.outgoing(read).iter().find(|e| e.to / 2 != n / 2).map(|e| e.at)
    }

    /// The origins that are no pins, known and unknown ones, of a release in function `here`.
    pub(super) fn of(&self, back: &Reached, here: FnId, e: &Engine, g: &Graph) -> Vec<Origin> {
        let mut out = BTreeMap::new();
        let mut add = |at: Loc, what: Name, n: Option<Node>| {
            out.entry((at, what)).or_insert_with(|| n.and_then(|n| self.meets(g, back, n)));
        };
        // Who is damaged may take pages from where no fact tells. Of the function of the release that is known.
        let mut damaged = self.hidden.of(e, g, back, false);
        let functions = back.order.iter().filter_map(|n| g.place(*n).function());
        damaged.extend(functions.filter(|f| *f != here && self.hidden.has(*f)));
        for (at, name) in damaged.into_iter().map(|f| Hidden::place(e, f)) {
            add(at, format!("damaged code in {name}()").into(), None);
        }
        for &n in &back.order {
            for o in self.at.get(&n).into_iter().flatten() {
                add(o.at, o.what.clone(), Some(n));
            }
            if let Some(at) = self.never_stored(g, n) {
                let what = format!("unseen stores to {}", show(g.place(n)));
                add(Loc { file: e.fns[at.0.0 as usize].file, span: at.1 }, what.into(), Some(n));
            }
            if let Some(CallOf { from, callee, member, at }) = self.calls.get(&n) {
                let file = e.fns[from.0 as usize].file;
                let known = e.targets(*from, callee.as_ref(), member.as_ref());
                let loaded = !known.is_empty() && known.iter().all(|t| g.node(&Place::Ret(*t)).is_some());
                if !loaded {
                    let what: Name = callee.clone().unwrap_or_else(|| "call through a pointer".into());
                    // An allocator makes an empty array, not pages.
                    if !makes_no_page(&what) {
                        add(Loc { file, span: *at }, what, Some(n));
                    }
                }
            }
            // A helper that was entered through its result hands on what the same caller gave it.
            if back.leaves(n)
                && let Some(o) = unseen_caller(e, g, n, g.place(n))
            {
                add(o.at, o.what, Some(n));
            }
            if let Place::Field(t, f) = g.place(n) {
                if let Some(v) = Api::get().vessel(t, f)
                    && let Some((at, span)) =
                        back.way(n).first().map(|w| w.2).or_else(|| g.outgoing(n).first().map(|e| e.at))
                {
                    add(Loc { file: e.fns[at.0 as usize].file, span }, v.what.as_str().into(), Some(n));
                }
                for d in &e.refused {
                    if let Demand::Field(file, tag, field, _) = d
                        && tag == t
                        && field == f
                    {
                        let what = format!("unseen users of {}", field_name(t, f));
                        add(Loc { file: *file, span: Span::default() }, what.into(), Some(n));
                    }
                }
            }
        }
        out.into_iter().map(|((at, what), meets)| Origin { what, at, meets }).collect()
    }
}

/// The parameter of a function whose callers we do not all see.
fn unseen_caller(e: &Engine, g: &Graph, n: Node, p: &Place) -> Option<Origin> {
    p.entry_param()?;
    if n % 2 == 1 {
        return None;
    }
    let f = p.function()?;
    let r = e.fns[f.0 as usize];
    let name = e.index.name(r);
    let none = !g.incoming(n).iter().any(|e| e.via == super::graph::Via::In);
    let refused = e.refused.contains(&Demand::Callers(r, true));
    if none && !e.taken.contains_key(&r) && e.callers.get(&r).copied() == Some(0) {
        // Nobody calls it: dead code brings no pages.
        return None;
    }
    (none || refused).then(|| {
        let span = e.index.parsed(r).map_or(Span::default(), |f| f.name_span);
        Origin { what: format!("unseen caller of {name}").into(), at: Loc { file: r.file, span }, meets: None }
    })
}

fn show(p: &Place) -> String {
    match p {
        Place::Field(t, f) => field_name(t, f),
        Place::Global(_, n) => n.to_string(),
        _ => String::new(),
    }
}

fn makes_no_page(name: &str) -> bool {
    [
        "alloc",
        "zalloc",
        "calloc",
        "memdup",
        "ERR_PTR",
        "dev_get_drvdata",
        "kref",
        "NULL",
        "idr_",
        "xa_load",
        "radix_tree",
    ]
    .iter()
    .any(|w| name.contains(w))
        && !name.contains("page")
}
