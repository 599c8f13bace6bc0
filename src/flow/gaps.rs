//! Where the pages of a trace get out of sight: the gaps.
//!
//! What follows from a gap is not decided here.

use super::FnId;
use super::engine::{Demand, Engine};
use super::facts::Fact;
use super::graph::{Graph, Node, Reached, Via};
use super::harmless;
use super::mentions::FactNodes;
use super::objects::Objects;
use super::place::Place;
use super::steps::field_name;
use super::unfollowed::{self, Callee};
use crate::ast::Function;
use crate::index::FnRef;
use crate::kernel::{AcquireKind, Api, Borrow};
use crate::program::Program;
use crate::sites;
use crate::source::{Loc, Span};
use crate::split::ItemKind;
use crate::trace::{Gap, GapCode};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the pages of a trace get out of sight.
pub(super) fn gaps(
    e: &Engine,
    g: &Graph,
    funcs: &[Option<Arc<Function>>],
    nodes: &FactNodes,
    reached: &[usize],
    r: &Reached,
    objects: &Objects,
) -> Vec<Gap> {
    let mut out = Vec::new();
    for &i in reached {
        let f = &e.facts[i];
        let id = FnId(i as u32);
        let file = e.fns[i].file;
        let text = || e.index.text(file);
        let mut add = |at: Span, code: GapCode, detail: String| {
            out.push(Gap { at: Loc { file, span: at }, code, detail });
        };
        for (fact, nodes) in f.facts.iter().zip(&nodes.of[i]) {
            if !nodes.iter().any(|n| r.has(*n) || r.has_number(*n)) {
                continue;
            }
            let there = |n: Node| objects.meet(e, r, n, (id, fact.at()));
            let here = |of: &[Place]| of.iter().any(|p| g.node(p).is_some_and(there));
            match fact {
                // What came out of one such object and goes into another has its gap where it went in first.
                Fact::Handover { of, gap: Some(code), callee, at } if here(of) && !out_of_vessel(g, r, of) => {
                    add(*at, *code, callee.to_string());
                }
                Fact::UnknownStore { of, through, bytes, at } if here(of) => {
                    // What the function returns is known when its body was read.
                    if through.as_ref().is_some_and(|t| e.target(id, t).is_some()) {
                        continue;
                    }
                    // `sg_dma_len(sg) = n`: a member beside the page.
                    if through.as_ref().is_some_and(|t| Api::get().borrow(t) == Some(Borrow::None)) {
                        continue;
                    }
                    let code = if *bytes { GapCode::Cast } else { GapCode::UnknownStore };
                    add(*at, code, sites::one_line(*at, &text()));
                }
                Fact::Call { callee, member, call, args, .. } => {
                    let passes = args.iter().enumerate().find(|(_, a)| {
                        a.relevant
                            && (here(&a.places)
                                || a.out
                                    .iter()
                                    .any(|p| here(std::slice::from_ref(p)) && !a.places.is_empty() && here(&a.places)))
                    });
                    let Some((k, _)) = passes else { continue };
                    match callee {
                        None => match member.as_ref().and_then(|(tag, name)| e.held(id, tag, name)) {
                            None => add(*call, GapCode::IndirectCall, sites::one_line(*call, &text())),
                            Some(held) => {
                                for f in held {
                                    let func = e.ids.get(f).and_then(|t| funcs[t.0 as usize].as_ref());
                                    if func.is_none_or(|f| !f.damage.is_empty()) {
                                        add(*call, GapCode::Damaged, e.index.name(*f).to_string());
                                    }
                                }
                            }
                        },
                        Some(name) => match e.target(id, name) {
                            None => {
                                if harmless::is_harmless(e, file, name, 0) {
                                    continue;
                                }
                                if Api::get().acquire(name).is_some_and(|a| a.kind == AcquireKind::Iter) {
                                    add(*call, GapCode::IterOrigin, name.to_string());
                                    continue;
                                }
                                match unfollowed::callee(e, file, name) {
                                    Callee::Looks => {}
                                    Callee::TooFar => add(*call, GapCode::Budget, name.to_string()),
                                    Callee::Unknown => add(*call, GapCode::UnknownCallee, name.to_string()),
                                }
                            }
                            Some(t) => match &funcs[t.0 as usize] {
                                Some(callee) if callee.damage.is_empty() => {
                                    if k >= callee.params.len() && !callee.variadic {
                                        add(*call, GapCode::UnknownCallee, name.to_string());
                                    }
                                }
                                _ => add(*call, GapCode::Damaged, name.to_string()),
                            },
                        },
                    }
                }
                _ => {}
            }
        }
        if funcs[i].as_ref().is_some_and(|f| !f.damage.is_empty()) && f.facts.iter().any(|x| touches(x, g, r)) {
            let func = funcs[i].as_ref();
            let span = func.map_or(Span::default(), |f| f.name_span);
            let name = func.map_or_else(|| "".into(), |f| f.name.to_string());
            out.push(Gap { at: Loc { file, span }, code: GapCode::Damaged, detail: name });
        }
    }
    for d in &e.refused {
        let (place, detail) = match d {
            Demand::Field(_, t, n, _) => (Place::Field(t.clone(), n.clone()), field_name(t, n)),
            Demand::Global(o, _, n) => (Place::Global(*o, n.clone()), n.to_string()),
            Demand::Callers(f, _) => {
                let Some(id) = e.ids.get(f) else { continue };
                out.extend(given_out(e, g, r, *f, *id));
                (Place::Ret(*id), e.index.name(*f).to_string())
            }
            Demand::Definition(..) | Demand::Member(..) | Demand::Vessel(_) => continue,
        };
        let returned = matches!(place, Place::Ret(_));
        if let Some(n) = g.node(&place).filter(|n| r.has(*n) && (!returned || r.leaves(*n)))
            && let Some(at) = came_in(e, g, r, n)
        {
            out.push(Gap { at, code: GapCode::Budget, detail });
        }
    }
    out.extend(frame_given(e, g, r));
    out
}

/// Where pages leave a function by a parameter (`*out = page`, `pages[i] = page`) for callers that are no longer looked
/// for. A scatterlist or a batch is lent to be filled: who keeps pages in one has a gap or a step for it.
fn given_out(e: &Engine, g: &Graph, r: &Reached, f: FnRef, id: FnId) -> Option<Gap> {
    let params = &e.facts.get(id.0 as usize)?.params;
    let func = e.index.parsed(f)?;
    let pointer = |i: usize| func.params.get(i).is_some_and(|p| p.ty.page_depth().is_some_and(|d| d >= 2));
    // The second node of a place is what its callers see.
    let out = |n: &Node| n % 2 == 1 && params.iter().position(|p| p.place == *g.place(*n)).is_some_and(pointer);
    let at = came_in(e, g, r, r.order.iter().copied().find(out)?)?;
    Some(Gap { at, code: GapCode::Budget, detail: e.index.name(f).to_string() })
}

/// A function that the whole tree can call and that gives a frame number of a page: whoever calls it can make the page
/// of it again. Not one that gives the page as well. Of several, which call one another, the first.
fn frame_given(e: &Engine, g: &Graph, r: &Reached) -> Option<Gap> {
    r.numbers.iter().find_map(|&n| {
        let Place::Ret(f) = g.place(n) else { return None };
        let f = e.fns[f.0 as usize];
        if !r.leaves(n) || r.has(n) || !e.refused.contains(&Demand::Callers(f, true)) || !gives_frame(e, f) {
            return None;
        }
        let at = came_in(e, g, r, n)?;
        Some(Gap { at, code: GapCode::Budget, detail: e.index.name(f).to_string() })
    })
}

/// Whether the type of a result is that of a frame number (`kvm_pfn_t`), and no argument takes a page out.
fn gives_frame(e: &Engine, f: FnRef) -> bool {
    let head = || {
        let items = e.index.items(f.file)?;
        let item = items.items.get(f.item as usize)?;
        let head = Span { start: item.span.start, end: item.name_span.start };
        memchr::memmem::find(head.of(&items.text), Api::get().frame_type().as_bytes())
    };
    // Declared for its own folder only, all who call it are seen.
    let open = || {
        let (header, _) = e.index.visible_item(f.file, &e.index.name(f), &[ItemKind::Prototype])?;
        Some(e.index.path(header).split('/').any(|folder| folder == "include"))
    };
    let out = |func: Arc<Function>| func.params.iter().any(|p| p.ty.page_depth() == Some(2));
    head().is_some() && open() == Some(true) && !e.index.parsed(f).is_some_and(out)
}

/// All that reaches these places came out of a vessel.
fn out_of_vessel(g: &Graph, r: &Reached, of: &[Place]) -> bool {
    of.iter().filter_map(|p| g.node(p)).filter(|n| r.has(*n)).all(|n| r.only_behind(n))
}

/// The statement by which the pages came to a place, or another one that names it.
fn came_in(e: &Engine, g: &Graph, r: &Reached, n: Node) -> Option<Loc> {
    let ways = r.way(n).into_iter().map(|(_, _, at)| at);
    let edges = [n, n | 1].into_iter().flat_map(|n| g.incoming(n).iter().chain(g.outgoing(n))).map(|e| e.at);
    let (f, span) = ways.chain(edges).find(|(_, span)| *span != Span::default())?;
    Some(Loc { file: e.fns[f.0 as usize].file, span })
}

/// Functions that hand pages to their callers, and of which not every caller is known: those that are called through a
/// pointer, and, where no release was found (`lost`), those that nobody calls.
pub(super) fn without_caller(e: &Engine, g: &Graph, r: &Reached, lost: bool) -> Vec<Gap> {
    let mut out = Vec::new();
    for &n in &r.order {
        let p = g.place(n);
        let leaves = matches!(p, Place::Ret(_)) && r.leaves(n) || p.entry_param().is_some() && n % 2 == 1;
        let Some(f) = p.function().filter(|_| leaves).map(|f| e.fns[f.0 as usize]) else { continue };
        // Who calls it by its name is seen; a table, or a variable, may bring others, unless it is in one member
        // only, of which all calls are seen.
        let Some(&named) = e.callers.get(&f) else { continue };
        let taken = e.taken.get(&f).copied().unwrap_or(0);
        let known = || match named {
            0 => g.outgoing(n).iter().any(|o| o.via == Via::Out),
            _ => e.members.values().any(|held| held.contains(&f)),
        };
        if named > 0 && taken == 0 || taken <= 1 && known() {
            continue;
        }
        let Some(func) = e.index.parsed(f) else { continue };
        let ty = p.entry_param().map_or(Some(&func.ret), |k| func.params.get(k as usize).map(|p| &p.ty));
        // Through a pointer, a table of pages is lent: who gets it gives it back by the next pointer.
        let pages = ty.is_some_and(|t| t.page_depth().is_some());
        let code = match taken {
            0 if lost => GapCode::NoCaller,
            1.. if pages => GapCode::IndirectCall,
            _ => continue,
        };
        out.push(Gap { at: Loc { file: f.file, span: func.name_span }, code, detail: e.index.name(f).to_string() });
    }
    out
}

pub(super) fn touches(x: &Fact, g: &Graph, r: &Reached) -> bool {
    let mut hit = false;
    x.places(&mut |p| hit |= g.node(p).is_some_and(|n| r.has(n)));
    hit
}

/// Functions that make a page of a number and drop it, where numbers of the pages got out of sight: that may be another
/// release of them. Pins that are counted apart (`pinned`) are not dropped as plain references are.
pub(super) fn numbers_come_back(
    e: &Engine,
    g: &Graph,
    reached: &[usize],
    r: &Reached,
    known: &[Loc],
    pinned: bool,
) -> Vec<Gap> {
    if r.numbers.is_empty() {
        return Vec::new();
    }
    let api = Api::get();
    let mut files = BTreeSet::new();
    // Addresses of the kernel alone: the page of a frame number is another one, unless the number is made of one.
    let mut mapped = true;
    let mut lost = r.numbers.iter().any(|n| matches!(g.place(*n), Place::Field(..) | Place::Global(..)));
    for &i in reached {
        for fact in &e.facts[i].facts {
            let number = |p: &Place| g.node(p).is_some_and(|n| r.has_number(n));
            match fact {
                Fact::Address { of, callee, .. } if of.iter().any(|p| g.node(p).is_some_and(|n| r.has(n))) => {
                    files.insert(e.fns[i].file);
                    mapped &= api.is_mapped(callee);
                }
                Fact::Call { callee, member, args, .. } if args.iter().flat_map(|a| &a.places).any(number) => {
                    lost |= e.targets(FnId(i as u32), callee.as_ref(), member.as_ref()).is_empty();
                }
                _ => {}
            }
        }
    }
    if !lost {
        return Vec::new();
    }
    let mut out = Vec::new();
    for file in files {
        let Some(items) = e.index.items(file) else { continue };
        for (i, item) in items.items.iter().enumerate() {
            let calls = |i: usize, of: &dyn Fn(&str) -> bool| items.calls_any(i as u32, of);
            let converts = || {
                let calls_it = |k: &usize| *k == i || calls(*k, &|n| *n == *item.name);
                (0..items.items.len()).filter(calls_it).any(|k| calls(k, &|n| api.converts_address(n)))
            };
            let takes = |mapped: bool| calls(i, &|n| api.is_page_of_address(n) && (!mapped || api.is_mapped(n)));
            let makes = || takes(mapped) || mapped && takes(false) && converts();
            let fits = |n: &str| !pinned || n.starts_with("unpin_");
            let drop = |n: &str| api.release(n).is_some_and(|r| !r.other && !r.wrapper);
            let drops = || items.calls_any(i as u32, &|n| fits(n) && drop(n));
            // Whoever takes a reference of his own to such a page drops that one.
            let own = || items.calls_any(i as u32, &|n| api.is_extra_reference(n));
            if item.kind == ItemKind::Function
                && makes()
                && !own()
                && drops()
                && !known.iter().any(|l| l.file == file && item.span.contains(l.span))
            {
                let at = Loc { file, span: item.name_span };
                out.push(Gap { at, code: GapCode::AddressOnly, detail: item.name.to_string() });
            }
        }
    }
    out
}
