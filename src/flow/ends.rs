//! The edges of the graph by one of their ends, kept from one round to the next.
//!
//! A round loads some functions, and calls of others reach them: only edges of these are new. The lists are those that
//! all functions together would give, in the order of the functions, since walks that are bounded hang on it.

use super::FnId;
use super::graph::{Edge, Node};
use super::wiring::{self, Places, Wiring, read, store};
use crate::source::Span;

/// Which end of an edge a list belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Where it starts.
    From,
    /// Where it goes.
    To,
}

impl End {
    /// The node whose list has the edge, and the edge as it stands there.
    fn of(self, from: Node, e: Edge) -> (Node, Edge) {
        match self {
            End::From => (from, e),
            End::To => (e.to, Edge { to: from, ..e }),
        }
    }
}

/// By function, the loaded functions that each of its calls reaches, in their order.
pub(super) type Targets = [Vec<Vec<FnId>>];

/// Edges by node.
#[derive(Default)]
pub(super) struct Ends {
    /// Of each: the edge that joins the two nodes of a place, those of the functions, ascending, then what is behind.
    lists: Vec<Vec<Edge>>,
    /// Nodes with an edge that no function has by itself, in the order in which they got it.
    behind: Vec<Node>,
}

impl std::ops::Index<Node> for Ends {
    type Output = [Edge];
    fn index(&self, n: Node) -> &[Edge] {
        &self.lists[n as usize]
    }
}

impl Ends {
    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.lists.len()
    }

    /// Adds an edge behind those of the functions: the next round takes it back.
    pub(super) fn push(&mut self, n: Node, e: Edge) {
        if add(&mut self.lists[n as usize], e) {
            self.behind.push(n);
        }
    }

    /// Brings the lists up to what these functions give. `before` are the targets of the last time.
    pub(super) fn renew(
        &mut self,
        end: End,
        places: &Places,
        functions: &[Wiring],
        before: &Targets,
        targets: &Targets,
    ) {
        for n in self.behind.drain(..).rev() {
            self.lists[n as usize].pop();
        }
        let first = self.lists.len() / 2;
        self.lists.resize_with(2 * places.list().len(), Vec::new);
        for (i, place) in (0..).zip(places.list()).skip(first) {
            let of = place.function().unwrap_or(FnId(0));
            let (n, e) = end.of(store(i), Edge::copy(read(i), (of, Span::default())));
            add(&mut self.lists[n as usize], e);
        }
        let calls = before.iter().zip(targets).enumerate();
        for (i, (old, new)) in calls.filter(|(_, (old, new))| old != new) {
            let id = FnId(i as u32);
            wiring::edges(id, functions, old, &mut |from, e| {
                let n = end.of(from, e).0;
                self.lists[n as usize].retain(|e| e.at.0 != id || joins(n, e));
            });
            wiring::edges(id, functions, new, &mut |from, e| {
                let (n, e) = end.of(from, e);
                let list = &mut self.lists[n as usize];
                if !list.iter().any(|o| same(o, &e)) {
                    let at = list.partition_point(|o| joins(n, o) || o.at.0 <= id);
                    list.insert(at, e);
                }
            });
        }
        for (i, new) in targets.iter().enumerate().skip(before.len()) {
            wiring::edges(FnId(i as u32), functions, new, &mut |from, e| {
                let (n, e) = end.of(from, e);
                add(&mut self.lists[n as usize], e);
            });
        }
    }
}

/// Whether the edge joins the two nodes of a place.
fn joins(n: Node, e: &Edge) -> bool {
    e.to == n ^ 1 && e.at.1 == Span::default()
}

/// Whether the second adds nothing to the first.
fn same(old: &Edge, e: &Edge) -> bool {
    use super::graph::Turn::Keep;
    old.to == e.to && old.at == e.at && (e.turn == Keep || old.turn == e.turn)
}

/// Adds the edge, once; tells whether it did.
fn add(list: &mut Vec<Edge>, e: Edge) -> bool {
    let new = !list.iter().any(|o| same(o, &e));
    if new {
        list.push(e);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::super::graph::Turn;
    use super::super::place::Place;
    use super::super::wiring::{Link, Parameter, Passed};
    use super::*;
    use proptest::prelude::*;

    /// A function with two parameters, whose links are made of numbers: edges between places, and calls.
    fn function(id: u32, places: &mut Places, of: &[(u8, u8, u8)]) -> Wiring {
        let id = FnId(id);
        let entry = |k: u32, places: &mut Places| {
            let place = places.number(&Place::Def(id, "p".into(), k));
            Parameter { place, variable: None, by_value: k == 1 }
        };
        let entries = vec![entry(0, places), entry(1, places)];
        let ret = places.number(&Place::Ret(id));
        let any = |n: u8, places: &mut Places| match n % 4 {
            0 => entries[0].place,
            1 => places.number(&Place::Field("s".into(), format!("f{}", n / 4 % 3).into())),
            2 => ret,
            _ => places.number(&Place::Var(id, format!("v{}", n / 4 % 3).into())),
        };
        let mut links = Vec::new();
        for (k, &(a, b, how)) in of.iter().enumerate() {
            let at = match how & 8 {
                0 => Span { start: k as u32 * 2, end: k as u32 * 2 + 1 },
                _ => Span::default(),
            };
            let (from, to) = (any(a, places), any(b, places));
            links.push(match how % 4 {
                0 => Link::Edge { from: read(from), to: read(to), turn: Turn::Keep, at },
                1 => Link::Edge { from: read(from), to: store(to), turn: Turn::Number, at: Span { start: 1, end: 2 } },
                2 => Link::Edge { from: store(from), to: store(to), turn: Turn::Keep, at },
                _ => Link::Call {
                    callee: None,
                    here: None,
                    member: None,
                    at,
                    args: vec![Passed { places: vec![from], container: true, relevant: true, out: Some(to) }],
                    result: to,
                },
            });
        }
        Wiring { entries, ret, links, fields: Vec::new(), shown: Vec::new() }
    }

    proptest! {
        #[test]
        fn rounds_give_what_all_functions_give_at_once(
            links in proptest::collection::vec(
                proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..6), 1..8),
            reached in proptest::collection::vec(any::<u8>(), 64),
            rounds in proptest::collection::vec(1usize..4, 1..5),
        ) {
            let mut places = Places::default();
            let mut functions = Vec::new();
            let mut kept = [Ends::default(), Ends::default()];
            let mut before: Vec<Vec<Vec<FnId>>> = Vec::new();
            let mut known = 0;
            for more in rounds {
                known = (known + more).min(links.len());
                while functions.len() < known {
                    let i = functions.len();
                    functions.push(function(i as u32, &mut places, &links[i]));
                }
                // Calls reach the more functions the more are loaded.
                let mut some = reached.iter().cycle();
                let mut reaches = || {
                    let all = (0..2).filter_map(|_| some.next()).map(|n| FnId(u32::from(*n) % links.len() as u32));
                    all.filter(|t| (t.0 as usize) < known).collect::<Vec<_>>()
                };
                let call = |l: &&Link| matches!(l, Link::Call { .. });
                let targets: Vec<Vec<Vec<FnId>>> =
                    functions.iter().map(|f| f.links.iter().filter(call).map(|_| reaches()).collect()).collect();
                for (ends, end) in kept.iter_mut().zip([End::From, End::To]) {
                    ends.renew(end, &places, &functions, &before, &targets);
                    let mut once = Ends::default();
                    once.renew(end, &places, &functions, &[], &targets);
                    prop_assert_eq!(&ends.lists, &once.lists);
                    // What a round adds behind is gone in the next.
                    ends.push(0, Edge::copy(1, (FnId(99), Span { start: 3, end: 4 })));
                }
                before = targets;
            }
        }
    }
}
