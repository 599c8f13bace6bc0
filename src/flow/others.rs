//! Which other pages are stored where those of a pin are.
//!
//! A place is a field of all objects of a struct. Where somebody else stores pages there as well, what reads the field
//! may do so of an object that never had the pin.

use super::FnId;
use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Edge, Graph, Node, Reached, Via};
use super::place::{Place, UNKNOWN_TAG};
use super::steps::{called, field_name};
use crate::index::lock;
use crate::kernel::Api;
use crate::source::{Loc, Span};
use crate::trace::Doubt;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Mutex};

/// Nodes looked at to find where the pages of a field are made.
const MOST: usize = 3000;

/// Nodes looked at behind one store.
const MOST_BEHIND: usize = 300;

/// Of those places, the nearest ones are kept.
const KEPT: usize = 24;

/// Where pages of a field are made, with the way from there to the field: nodes, and the statements by which the pages
/// leave them.
type Maker = ((FnId, Span), Vec<(Node, (FnId, Span))>);

/// Those of a field, the nearest ones first.
type Makers = Arc<[Maker]>;

/// Pages that appear at a place without coming from another one.
pub(super) struct Appear {
    at: FxHashMap<Node, Vec<(FnId, Span)>>,
    /// Calls that give the pages of an iterator.
    of_iterators: FxHashSet<(FnId, Span)>,
    /// Pins in the functions that those are.
    serving: FxHashSet<(FnId, Span)>,
    /// What comes to a field, of those that were asked for.
    known: Mutex<FxHashMap<Node, Makers>>,
}

/// The pages that are not those of one pin.
pub(super) struct Others<'a> {
    pub e: &'a Engine<'a>,
    pub g: &'a Graph,
    appear: &'a Appear,
    pub pin: (FnId, Span),
    /// What its pages reach.
    reached: Option<&'a Reached>,
}

impl Appear {
    pub(super) fn new(
        e: &Engine,
        g: &Graph,
        of_iterators: FxHashSet<(FnId, Span)>,
        serving: FxHashSet<(FnId, Span)>,
    ) -> Self {
        let mut at: FxHashMap<Node, Vec<(FnId, Span)>> = FxHashMap::default();
        for (i, f) in e.facts.iter().enumerate() {
            // A store with a reference of its own is an edge as well, from what is stored.
            let own = |x: &Fact| if let Fact::Own { at, .. } = x { Some(*at) } else { None };
            let own: FxHashSet<Span> = f.facts.iter().filter_map(own).collect();
            for fact in &f.facts {
                let (into, span) = match fact {
                    Fact::Origin { into, at, .. } if !own.contains(at) => (into, *at),
                    Fact::Pin { into: Some(into), call, .. } => (into, *call),
                    _ => continue,
                };
                if let Some(n) = g.stored(into) {
                    at.entry(n / 2).or_default().push((FnId(i as u32), span));
                }
            }
        }
        Self { at, of_iterators, serving, known: Mutex::default() }
    }

    /// Without the pin that this call makes, whose pages reach this.
    pub(super) fn but<'a>(
        &'a self,
        e: &'a Engine<'a>,
        g: &'a Graph,
        pin: (FnId, Span),
        reached: Option<&'a Reached>,
    ) -> Others<'a> {
        Others { e, g, appear: self, pin, reached }
    }

    /// Where pages that come to a field are made.
    fn of(&self, g: &Graph, n: Node) -> Makers {
        if let Some(known) = lock(&self.known).get(&(n / 2)) {
            return known.clone();
        }
        let back = g.behind(&[n & !1, n | 1], MOST);
        let makers =
            back.order.iter().flat_map(|m| self.at.get(&(m / 2)).into_iter().flatten().map(move |at| (*at, *m)));
        let mut all: Vec<Maker> = Vec::new();
        for (at, m) in makers {
            if all.len() < KEPT && all.iter().all(|k| k.0 != at) {
                all.push((at, back.way(m).into_iter().map(|(_, from, at)| (from, at)).collect()));
            }
        }
        let all: Makers = all.into();
        lock(&self.known).insert(n / 2, all.clone());
        all
    }
}

impl Others<'_> {
    /// Why pages of the pin may not go on from a node by a statement.
    pub(super) fn doubt(&self, r: &Reached, n: Node, at: (FnId, Span)) -> Option<Doubt> {
        let of_iterator = self.appear.serving.contains(&self.pin) && self.appear.of_iterators.contains(&at);
        of_iterator.then_some(Doubt::Iterator).or_else(|| self.field(r, n))
    }

    /// Of a field, its name and the first statement that brings pages to it which are not those of the pin.
    pub(super) fn field(&self, r: &Reached, n: Node) -> Option<Doubt> {
        let (e, g) = (self.e, self.g);
        let Place::Field(tag, field) = g.place(n) else { return None };
        if tag.starts_with(UNKNOWN_TAG) {
            return None;
        }
        let place = |(f, span): (FnId, Span)| Loc { file: e.fns[f.0 as usize].file, span };
        // A number of the pages is no other page.
        let has = |r: &Reached, n: Node| r.has(n) || r.has_number(n);
        let known = |n: Node| [Some(r), self.reached].into_iter().flatten().any(|r| has(r, n & !1) || has(r, n | 1));
        let edges = [n & !1, n | 1].into_iter().flat_map(|n| g.incoming(n));
        // What a callee makes of its parameter does not come back to the caller's field.
        let given = |e: &&Edge| e.via != Via::Out || g.place(e.to).entry_param().is_none();
        let stores = edges.filter(given).filter(|e| e.to / 2 != n / 2 && !known(e.to));
        let stores = stores.filter(|e| e.at.1 != Span::default() && self.brings(e.to, n, &known)).map(|e| e.at);
        let first = stores.map(place).min();
        // The pages of an iterator are those that a pin in its function gives, whichever iterator that is.
        let file = |f: FnId| e.fns[f.0 as usize].file;
        let of_iterator = |f: FnId| self.appear.serving.iter().any(|s| file(s.0) == file(f));
        let of_pin = |(at, way): &Maker| {
            let (iterators, serving) = (&self.appear.of_iterators, &self.appear.serving);
            *at == self.pin
                || serving.contains(&self.pin) && iterators.contains(at)
                || (serving.contains(&self.pin) || iterators.contains(&self.pin))
                    && (of_iterator(at.0) || way.iter().any(|w| g.place(w.0).function().is_some_and(of_iterator)))
        };
        // Where they join the way of the pin, or where they are made.
        let joins = |(made, way): &Maker| {
            let join = way.iter().rev().find(|(from, at)| !known(*from) && at.1 != Span::default());
            place(join.map_or(*made, |j| j.1))
        };
        let made = || self.appear.of(g, n).iter().find(|m| !of_pin(m)).map(joins);
        let name = || field_name(tag, field).into();
        first.map(|at| Doubt::Field(name(), at)).or_else(|| made().map(|at| Doubt::Joined(name(), at)))
    }

    /// Whether other pages may be in a node from which a field is stored: some appear on the way to it, or somebody
    /// gives them who is not known. Memory that was just allocated, and a variable that nothing is stored to, has none.
    fn brings(&self, from: Node, field: Node, known: &dyn Fn(Node) -> bool) -> bool {
        let (e, g) = (self.e, self.g);
        let (mut open, mut seen) = (vec![from], FxHashSet::default());
        while let Some(n) = open.pop() {
            if !seen.insert(n) {
                continue;
            }
            let appears = self.appear.at.get(&(n / 2)).is_some_and(|all| all.iter().any(|at| *at != self.pin));
            if appears || seen.len() > MOST_BEHIND {
                return true;
            }
            let incoming = g.incoming(n);
            let given = match g.place(n) {
                Place::Call(..) => called(e, g, n).is_none_or(|name| !Api::get().is_fresh(&name)),
                p => p.entry_param().is_some(),
            };
            if incoming.is_empty() && given {
                return true;
            }
            open.extend(incoming.iter().map(|i| i.to).filter(|to| to / 2 != field / 2 && !known(*to)));
        }
        false
    }
}
