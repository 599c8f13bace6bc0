//! What is done with the pages of a trace on their way: uses that neither keep nor drop them, and dirtying.
//!
//! What the uses mean is not decided here.

use super::engine::Engine;
use super::facts::Fact;
use super::graph::{Graph, Node, Reached};
use super::mentions::FactNodes;
use super::objects::Objects;
use super::place::Place;
use super::{FnId, context};
use crate::ast::Function;
use crate::kernel::{Api, Borrow};
use crate::source::{Loc, Name};
use crate::trace::{Dirty, Dirtying, PinTrace, Use, UseKind};
use std::sync::Arc;

/// A callee that takes the reference over: where the pages are that it gets, the call, and in which function.
pub(super) struct Taker {
    pub node: Node,
    pub at: (FnId, Loc),
    pub callee: Name,
}

/// Collects the uses of the pages; who takes their reference over.
pub(super) fn uses(
    e: &Engine,
    g: &Graph,
    funcs: &[Option<Arc<Function>>],
    nodes: &FactNodes,
    reached: &[usize],
    (r, objects): (&Reached, &Objects),
    t: &mut PinTrace,
) -> Vec<Taker> {
    let mut takers = Vec::new();
    let number = |of: &[Place]| of.iter().any(|p| g.node(p).is_some_and(|n| r.has_number(n)));
    for &n in &r.order {
        t.local &= !matches!(g.place(n), Place::Field(..) | Place::Global(..)) || r.by_number(n);
    }
    for &i in reached {
        let f = &e.facts[i];
        let file = e.fns[i].file;
        let mut touched = false;
        for (fact, nodes) in f.facts.iter().zip(&nodes.of[i]) {
            if !nodes.iter().any(|n| r.has(*n) || r.has_number(*n)) {
                continue;
            }
            let there = |n: Node| objects.meet(e, r, n, (FnId(i as u32), fact.at()));
            let here = |of: &[Place]| of.iter().any(|p| g.node(p).is_some_and(there));
            touched |= nodes.iter().any(|n| there(*n));
            let (kind, callee, at) = match fact {
                Fact::Use { of, kind, callee, at } if here(of) => match kind {
                    Borrow::Meta => (UseKind::Meta, callee, at),
                    Borrow::Read => (UseKind::Read, callee, at),
                    Borrow::Write => (UseKind::Write, callee, at),
                    Borrow::Map => (UseKind::Map, callee, at),
                    Borrow::Io => (UseKind::Io, callee, at),
                    Borrow::None => continue,
                },
                Fact::Address { of, callee, at } if here(of) => (UseKind::Address, callee, at),
                Fact::Handover { of, gap: None, callee, at } if here(of) || number(of) => {
                    let node = of.iter().filter_map(|p| g.node(p)).find(|n| there(*n) || r.has_number(*n));
                    let at_call = (FnId(i as u32), Loc { file, span: *at });
                    // One that gets a reference of its own leaves that of the pin where it is.
                    let takes = Api::get().handover(callee) == Some(None);
                    takers.extend(node.filter(|_| takes).map(|node| Taker {
                        node,
                        at: at_call,
                        callee: callee.clone(),
                    }));
                    (UseKind::HandedOn, callee, at)
                }
                Fact::Extra { of, callee, at } if here(of) => (UseKind::ExtraReference, callee, at),
                Fact::Call { callee: Some(callee), args, call, .. }
                    if args.iter().any(|a| a.relevant && here(&a.places)) =>
                {
                    (UseKind::Followed, callee, call)
                }
                Fact::Dirty { of, callee, at } if here(of) => {
                    if let Some(func) = &funcs[i] {
                        t.dirtied.push(Dirtying {
                            at: Loc { file, span: *at },
                            kind: Api::get().dirty(callee).unwrap_or(Dirty::None),
                            callee: callee.clone(),
                            function: func.name.clone(),
                            page_locked: context::page_lock_held(func, *at),
                            atomic: context::of(file, func, *at),
                        });
                    }
                    continue;
                }
                _ => continue,
            };
            t.uses.push(Use { at: Loc { file, span: *at }, kind, callee: callee.clone() });
        }
        if touched && let Some(func) = &funcs[i] {
            t.functions.push(Loc { file, span: func.name_span });
        }
    }
    t.uses.sort();
    t.uses.dedup();
    t.dirtied.sort_by_key(|d| d.at);
    t.dirtied.dedup();
    t.functions.sort();
    takers
}
