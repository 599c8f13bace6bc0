//! The facts of a function in numbers: what the graph is built from.
//!
//! A place gets its number once, when its function is loaded, so no round after that compares or copies a name. Numbers
//! never change. A function is numbered by itself first ([`Draft`]), which all threads do; only its different places
//! are then looked up among those of all functions.

use super::FnId;
use super::facts::{Fact, Facts, Param};
use super::graph::{Edge, Node, Turn, Via};
use super::place::{ENTRY, Place};
use crate::source::{Name, Span};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;

/// All places of the loaded functions, by number.
#[derive(Clone, Default)]
pub struct Places {
    ids: FxHashMap<Place, u32>,
    list: Vec<Place>,
}

impl Places {
    /// The number of a place; a new one if it has none.
    pub(super) fn number(&mut self, p: &Place) -> u32 {
        if let Some(&i) = self.ids.get(p) {
            return i;
        }
        let i = self.list.len() as u32;
        self.ids.insert(p.clone(), i);
        self.list.push(p.clone());
        i
    }
    /// The number of a place; a new one if it has none.
    fn take(&mut self, p: Place) -> u32 {
        match self.ids.entry(p) {
            Entry::Occupied(e) => *e.get(),
            Entry::Vacant(e) => {
                let i = self.list.len() as u32;
                self.list.push(e.key().clone());
                *e.insert(i)
            }
        }
    }
    /// The number of a place that occurs.
    pub fn get(&self, p: &Place) -> Option<u32> {
        self.ids.get(p).copied()
    }
    /// All places, by number.
    pub fn list(&self) -> &[Place] {
        &self.list
    }
}

/// The node of what can be read at a place.
pub fn read(place: u32) -> Node {
    2 * place
}

/// The node of what is stored through a place.
pub fn store(place: u32) -> Node {
    2 * place + 1
}

/// What joins places.
pub enum Link {
    /// Pages pass within the function.
    Edge {
        /// From.
        from: Node,
        /// To.
        to: Node,
        /// What they become.
        turn: Turn,
        /// By.
        at: Span,
    },
    /// A call by name, or through a member.
    Call {
        /// The name.
        callee: Option<Name>,
        /// The function of that name in the same file.
        here: Option<u32>,
        /// Struct and name of the member.
        member: Option<(Name, Name)>,
        /// The call.
        at: Span,
        /// What is passed.
        args: Vec<Passed>,
        /// Place of its value.
        result: u32,
    },
}

/// An argument.
pub struct Passed {
    /// Places whose pages it carries.
    pub places: Vec<u32>,
    /// It is an array or container rather than one page.
    pub container: bool,
    /// It may hold pages at all.
    pub relevant: bool,
    /// The definition that the callee may make through it.
    pub out: Option<u32>,
}

impl Passed {
    /// Nodes of what can be read of it, before the call and behind it.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.places.iter().chain(&self.out).map(|p| read(*p))
    }
}

/// A parameter.
pub struct Parameter {
    /// The place on entry, as callers see it.
    pub place: u32,
    /// The place inside the function, if it is another one.
    pub variable: Option<u32>,
    /// One page, passed by value.
    pub by_value: bool,
}

/// One function.
pub struct Wiring {
    /// Parameters, in order.
    pub entries: Vec<Parameter>,
    /// What it returns.
    pub ret: u32,
    /// In the order of the facts.
    pub links: Vec<Link>,
    /// Fields that occur, each once.
    pub fields: Vec<u32>,
    /// What is shown at a field: the place that is shown, and the field.
    pub shown: Vec<(u32, u32)>,
}

/// A function by itself: its places are numbered from 0.
pub struct Draft {
    wiring: Wiring,
    places: Vec<Place>,
}

impl Draft {
    /// Numbers the places of a function; `here` finds the functions of its file.
    pub fn new(id: FnId, facts: &Facts, here: &dyn Fn(&str) -> Option<u32>) -> Self {
        let mut places = Places::default();
        let wiring = Wiring::new(id, facts, &mut places, here);
        Self { wiring, places: places.list }
    }

    /// The function among others, whose places are these. A place that is new to them gets its number in the order in
    /// which the places of the function come.
    pub fn among(self, places: &mut Places) -> Wiring {
        let numbers: Vec<u32> = self.places.into_iter().map(|p| places.take(p)).collect();
        let mut w = self.wiring;
        w.renumber(&numbers);
        w
    }
}

impl Wiring {
    /// Numbers the places of a function; `here` finds the functions of its file.
    fn new(id: FnId, facts: &Facts, places: &mut Places, here: &dyn Fn(&str) -> Option<u32>) -> Self {
        let mut w = Self {
            entries: Vec::new(),
            ret: places.number(&Place::Ret(id)),
            links: Vec::new(),
            fields: Vec::new(),
            shown: Vec::new(),
        };
        for (k, p) in facts.params.iter().enumerate() {
            let entry = entry(id, k, p);
            let place = places.number(&entry);
            let variable = (entry != p.place).then(|| places.number(&p.place));
            if let Some(inside) = variable {
                w.alias(inside, place, Span::default());
            }
            w.entries.push(Parameter { place, variable, by_value: p.by_value });
        }
        let mut seen = FxHashSet::default();
        for fact in &facts.facts {
            fact.places(&mut |p| {
                let n = places.number(p);
                if matches!(p, Place::Field(..)) && seen.insert(n) {
                    w.fields.push(n);
                }
            });
            w.link(fact, places, here);
        }
        w
    }

    /// Gives each place the number that stands at its own.
    fn renumber(&mut self, numbers: &[u32]) {
        let change = |place: &mut u32| *place = numbers[*place as usize];
        let node = |node: &mut Node| *node = 2 * numbers[*node as usize / 2] + *node % 2;
        for e in &mut self.entries {
            change(&mut e.place);
            e.variable.iter_mut().for_each(change);
        }
        change(&mut self.ret);
        for link in &mut self.links {
            match link {
                Link::Edge { from, to, .. } => [from, to].into_iter().for_each(node),
                Link::Call { args, result, .. } => {
                    args.iter_mut().flat_map(|a| a.places.iter_mut().chain(&mut a.out)).for_each(change);
                    change(result);
                }
            }
        }
        self.fields.iter_mut().for_each(change);
        self.shown.iter_mut().flat_map(|(shown, field)| [shown, field]).for_each(change);
    }

    fn link(&mut self, fact: &Fact, places: &mut Places, here: &dyn Fn(&str) -> Option<u32>) {
        let mut edge = |from, to, turn, at| self.links.push(Link::Edge { from, to, turn, at });
        match fact {
            Fact::Copy { to, from, at } => {
                edge(read(places.number(from)), store(places.number(to)), Turn::Keep, *at);
            }
            Fact::Own { to, from, at, .. } => {
                edge(read(places.number(from)), store(places.number(to)), Turn::Own, *at);
            }
            Fact::Shown { to, from, new, at } => {
                let (from, to) = (places.number(from), places.number(to));
                edge(read(from), read(to), Turn::Keep, *at);
                if !new {
                    self.shown.push((from, to));
                }
            }
            Fact::Stored { to, from, at } => {
                edge(store(places.number(from)), read(places.number(to)), Turn::Keep, *at);
            }
            Fact::Number { to, from, page, at } => {
                let turn = if *page { Turn::Page } else { Turn::Number };
                edge(read(places.number(from)), store(places.number(to)), turn, *at);
            }
            Fact::Alias { a, b, at } => {
                let (a, b) = (places.number(a), places.number(b));
                self.alias(a, b, *at);
            }
            Fact::Call { callee, member, call, args, result } if callee.is_some() || member.is_some() => {
                let passed = |a: &super::facts::Arg, places: &mut Places| Passed {
                    places: a.places.iter().map(|p| places.number(p)).collect(),
                    container: a.container,
                    relevant: a.relevant,
                    out: a.out.as_ref().map(|p| places.number(p)),
                };
                self.links.push(Link::Call {
                    callee: callee.clone(),
                    here: callee.as_ref().and_then(|name| here(name)),
                    member: member.clone(),
                    at: *call,
                    args: args.iter().map(|a| passed(a, places)).collect(),
                    result: places.number(result),
                });
            }
            _ => {}
        }
    }

    /// `a = b` of two arrays or containers.
    fn alias(&mut self, a: u32, b: u32, at: Span) {
        self.links.push(Link::Edge { from: read(b), to: read(a), turn: Turn::Keep, at });
        self.links.push(Link::Edge { from: store(a), to: store(b), turn: Turn::Keep, at });
    }
}

/// The place of a parameter on entry, as callers see it.
fn entry(f: FnId, k: usize, p: &Param) -> Place {
    match &p.place {
        Place::Var(_, name) => Place::Def(f, name.clone(), ENTRY + k as u32),
        other => other.clone(),
    }
}

/// The edges within a function and along its calls, in their order: where each starts, and itself. `targets` has the
/// loaded functions that each of its calls reaches, in their order.
pub fn edges(id: FnId, functions: &[Wiring], targets: &[Vec<FnId>], found: &mut impl FnMut(Node, Edge)) {
    let mut add = |from: Node, e: Edge| {
        if from != e.to {
            found(from, e);
        }
    };
    let mut targets = targets.iter();
    for link in &functions[id.0 as usize].links {
        match link {
            Link::Edge { from, to, turn, at } => add(*from, Edge { turn: *turn, ..Edge::copy(*to, (id, *at)) }),
            Link::Call { at, args, result, .. } => {
                for t in targets.next().into_iter().flatten() {
                    call((id, *at), args, *result, &functions[t.0 as usize], &mut add);
                }
            }
        }
    }
}

/// The edges of one call.
fn call(at: (FnId, Span), args: &[Passed], result: u32, target: &Wiring, add: &mut impl FnMut(Node, Edge)) {
    let enters = |to| Edge { via: Via::In, ..Edge::copy(to, at) };
    let leaves = |to| Edge { via: Via::Out, ..Edge::copy(to, at) };
    for (a, entry) in args.iter().zip(&target.entries) {
        for &place in &a.places {
            add(read(place), enters(read(entry.place)));
            if !entry.by_value && a.container {
                add(store(entry.place), leaves(store(place)));
            }
        }
        if let Some(out) = a.out {
            add(store(entry.place), leaves(store(out)));
        }
    }
    add(read(target.ret), leaves(read(result)));
    add(store(result), enters(store(target.ret)));
}
