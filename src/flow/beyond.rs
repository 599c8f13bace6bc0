//! Where the pages of a pin go together with a reference of their own: what is dropped there is that reference, not the
//! pin. Told of the drops in the file that takes it, since somebody who reads them wants to know whose they are.

use super::FnId;
use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Graph, Node, Reached, Turn};
use super::others::Others;
use super::place::Place;
use super::steps::{dropped, holder, same, step, steps};
use crate::ast::ExprKind;
use crate::source::{Loc, Name, Span};
use crate::trace::{OwnDrop, PinTrace, Release, ReleaseId};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// Calls that get a page together with a reference which was taken for it.
pub(super) struct Given {
    calls: BTreeSet<(FnId, Span)>,
    nodes: FxHashSet<Node>,
}

impl Given {
    /// All of them.
    pub(super) fn new(e: &Engine, g: &Graph) -> Self {
        let mut given = Self { calls: BTreeSet::new(), nodes: FxHashSet::default() };
        for (i, f) in e.facts.iter().enumerate() {
            for fact in &f.facts {
                if let Fact::Given { of, call } = fact {
                    given.calls.insert((FnId(i as u32), *call));
                    given.nodes.extend(of.iter().filter_map(|p| g.node(p)));
                }
            }
        }
        given
    }
    /// The calls, if one of them gets something of what was reached.
    pub(super) fn touched(&self, r: &Reached) -> Option<&BTreeSet<(FnId, Span)>> {
        self.nodes.iter().any(|n| r.has(*n)).then_some(&self.calls)
    }
}

/// All that is reached from stores with a reference of their own; `None` if there is no such store.
pub(super) fn reached(g: &Graph, r: &Reached) -> Option<Reached> {
    let own = r.order.iter().flat_map(|n| g.outgoing(*n)).filter(|e| e.turn == Turn::Own);
    let from: BTreeSet<Node> = own.map(|e| e.to).collect();
    (!from.is_empty()).then(|| g.forward(&from.into_iter().collect::<Vec<_>>()))
}

/// Drops of references that holders of the pages have of their own. `r` is what the pin reaches, `all` what is reached
/// behind such a store; `nodes` gives what a release drops.
pub(super) fn drops<'n>(
    others: &Others,
    (r, all): (&Reached, &Reached),
    pin: (FnId, &[Span]),
    releases: &[Release],
    nodes: &dyn Fn(usize) -> &'n [Node],
    t: &mut PinTrace,
) {
    let (e, g) = (others.e, others.g);
    for (i, rel) in releases.iter().enumerate() {
        let id = ReleaseId(i as u32);
        let Some(&n) = nodes(i).iter().find(|n| all.has(**n)).filter(|_| !t.releases.contains(&id)) else { continue };
        let way = all.way(n);
        let first = first_store(g, r, way.last().map_or(n, |w| w.0));
        let Some((from, start, at)) = first else { continue };
        // Of several such stores, the last one gave what is dropped.
        let own = |(from, to, at): &(Node, Node, (FnId, Span))| {
            let mut edges = g.outgoing(*from).iter();
            edges.any(|e| e.turn == Turn::Own && e.to == *to && e.at == *at).then_some((*to, *at))
        };
        let (to, (f, span)) = way.iter().find_map(own).unwrap_or((start, at));
        let api = e.facts[f.0 as usize].facts.iter().find_map(|x| match x {
            Fact::Own { api, at: by, .. } if *by == span => Some(api.clone()),
            _ => None,
        });
        let file = e.fns[f.0 as usize].file;
        if let Some(api) = api.filter(|_| matches!(g.place(to), Place::Field(..)) && file == rel.at.file) {
            let holder = holder(e, &[], g.place(to)).map_or_else(String::new, |h| h.text);
            let taken = taken(e, f, span, &api).map(|span| Loc { file, span });
            t.own.push(OwnDrop { release: id, api, stored: Loc { file, span }, taken, holder });
            let mut after = steps(others, r, from, pin, 0, &mut t.steps);
            after = step(others, r, (from, start), &[], at, (after, None), &mut t.steps);
            after = steps(others, all, n, pin, after, &mut t.steps);
            dropped(rel, "that reference, not the pin,", after, others.field(all, n), &mut t.steps);
        }
    }
}

/// Where a function takes the reference for a page that it stores: the one call by that name which gets what is stored,
/// or where it is stored.
fn taken(e: &Engine, f: FnId, stored: Span, api: &Name) -> Option<Span> {
    let func = e.index.parsed(e.fns[f.0 as usize])?;
    let (mut page, mut calls) = (Vec::new(), Vec::new());
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, from) if x.span == stored => page.extend([&**to, &**from]),
        ExprKind::Call { callee, args } if callee.ident() == Some(api) => calls.push((callee.span, args)),
        _ => {}
    });
    let mut of_page = calls.iter().filter(|(_, args)| args.iter().any(|a| page.iter().any(|p| same(a, p))));
    let found = of_page.next().map(|(at, _)| *at);
    found.filter(|_| of_page.next().is_none())
}

/// The store with a reference of its own by which the pages of the pin came to a node.
fn first_store(g: &Graph, r: &Reached, to: Node) -> Option<(Node, Node, (FnId, Span))> {
    let own = g.incoming(to).iter().find(|e| e.turn == Turn::Own && r.has(e.to));
    own.map(|e| (e.to, to, e.at))
}
