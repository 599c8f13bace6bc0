//! From the finished graph to traces: sites, releases, gaps, holders and the steps between them.

use super::damage::{Hidden, hidden_pins};
use super::engine::{Engine, implements_api};
use super::facts::Fact;
use super::gaps::{gaps, numbers_come_back, without_caller};
use super::graph::{Closed, Edge, Graph, Node, Reached};
use super::mentions::FactNodes;
use super::objects::Objects;
use super::origin::OriginTable;
use super::others::{Appear, Others};
use super::steps::{doubted, dropped, handed_out, holders, keeps, steps, taken_over};
use super::uses::uses;
use super::{
    FnId, apart, beyond, choice, closed, context, counted, emptied, guard, iterator, passage, ranges, relayed, release,
    undone,
};
use crate::ast::{Expr, Function, StmtKind};
use crate::index::{FnRef, Scope};
use crate::kernel::{AcquireKind, Api, Roles};
use crate::program::Program;
use crate::sites;
use crate::source::{Loc, Name, Span};
use crate::split::ItemKind;
use crate::trace::{
    Apart, Atomic, Context, Custody, Dirty, Gap, GapCode, PinSite, PinTrace, Reason, Release, ReleaseId, SiteId, Step,
    UseKind, Verdict,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

struct Site {
    fn_id: FnId,
    node: Option<Node>,
    what: PinSite,
}

struct Drop {
    fn_id: FnId,
    nodes: Vec<Node>,
    callee: Name,
    callee_span: Span,
    call: Span,
}

/// Builds the custody of the whole tree. `forward` is what the pages of all pins reach.
pub(super) fn build(e: &Engine, g: &Graph, forward: Reached) -> Custody {
    let funcs: Vec<Option<Arc<Function>>> = e.fns.iter().map(|f| e.index.parsed(*f)).collect();
    let mut sites = collect_sites(e, g, &funcs);
    sites.sort_by_key(|s| s.what.at);
    sites.dedup_by_key(|s| s.what.at);
    let mut drops = collect_drops(e, g, &funcs, &forward);
    drops.sort_by_key(|d| (e.fns[d.fn_id.0 as usize].file, d.callee_span));
    drops.dedup_by_key(|d| (e.fns[d.fn_id.0 as usize].file, d.callee_span));

    let passages = passage::Passages::default();
    let serves: Vec<bool> = sites.par_iter().map(|s| apart::serves_iterators(e.index, &s.what).is_some()).collect();
    let iterators = sites.par_iter().filter(|s| kind(&s.what) == Some(AcquireKind::Iter));
    let of_no_user: BTreeSet<(FnId, Span)> = iterators
        .filter(|s| iterator::not_user_iter(e.index, &s.what).is_some())
        .map(|s| (s.fn_id, s.what.call))
        .collect();
    let walk = |(s, serves): (&Site, &bool), objects: &Objects, without: Option<&BTreeSet<(FnId, Span)>>| {
        let n = s.node?;
        // The same part of the same array, pinned again: what was there before is gone.
        let again: Vec<Span> = sites
            .iter()
            .filter(|o| {
                objects.runs && o.fn_id == s.fn_id && o.what.call != s.what.call && apart::same_array(&o.what, &s.what)
            })
            .map(|o| o.what.call)
            .collect();
        let func = funcs[s.fn_id.0 as usize].as_ref();
        let late = func.filter(|_| objects.runs).map(|f| apart::after(f, s.what.call, &again)).unwrap_or_default();
        let early = |at: Span| !late.is_empty() && !late.iter().any(|l| l.start < at.end && at.start < l.end);
        let closed = |n: Node, came: (FnId, Span), by: &Edge| objects.runs && passages.closed(e, g.place(n), came, by);
        let apart = |n: Node, came: (FnId, Span), by: &Edge| objects.apart(e, n, came, by);
        let objects = (!objects.is_empty()).then_some((&apart as &Closed, (s.fn_id, s.what.call)));
        Some(g.forward_after(n, (s.fn_id, &early), &closed, without, serves.then_some(&of_no_user), objects))
    };
    // What gets a page together with a reference that was taken for it drops that one.
    let given = beyond::Given::new(e, g);
    // What the pages of the sites reach; and what of it is no page with such a reference, where that is less.
    let strict = |s: (&Site, &bool), r: &Option<Reached>, objects: &Objects| -> Option<Reached> {
        walk(s, objects, Some(given.touched(r.as_ref()?)?))
    };
    let walks = |objects: &Objects| -> (Vec<Option<Reached>>, Vec<Option<Reached>>) {
        let all = || sites.par_iter().zip(&serves);
        let reached: Vec<_> = all().with_max_len(1).map(|s| walk(s, objects, None)).collect();
        let mine = all().zip(&reached).with_max_len(1).map(|(s, r)| strict(s, r, objects)).collect();
        (reached, mine)
    };
    let hidden = Hidden::new(e);
    let (origins, (nodes, frees_others)) = rayon::join(
        || OriginTable::new(e, g, &forward, &hidden),
        || rayon::join(|| FactNodes::new(e, g), || frees_others(e, g, &forward)),
    );
    let dirties = dirty_calls(e, g);
    let here_pinned = |f: FnId| -> Vec<&PinSite> { sites.iter().filter(|s| s.fn_id == f).map(|s| &s.what).collect() };
    let makers = apart::Makers::default();
    let release_of = |d: &Drop, objects: &Objects, reached: &[Option<&Reached>], mine: &[Option<&Reached>]| {
        let file = e.fns[d.fn_id.0 as usize].file;
        let func = funcs[d.fn_id.0 as usize].as_ref()?;
        let text = e.index.text(file);
        let apart = |n: Node, came: (FnId, Span), by: &Edge| objects.apart(e, n, came, by);
        let ways = (!objects.is_empty()).then_some((&apart as &Closed, (d.fn_id, d.call)));
        let back = g.backward(&d.nodes, None, ways);
        let undone = LazyCell::new(|| undone::undone(func, d.call));
        let relayed = LazyCell::new(|| relayed::needed(e, g, &d.nodes, d.fn_id, d.call));
        let emptied = LazyCell::new(|| emptied::aliases(func, d.call));
        let end_of = |i: usize| {
            let found = |r| d.nodes.iter().find(|n| objects.meet(e, r, **n, (d.fn_id, d.call)));
            mine[i].and_then(|r| found(r).map(|n| (r, *n)))
        };
        let here = || here_pinned(d.fn_id);
        let mut pins: Vec<SiteId> = sites
            .iter()
            .enumerate()
            .filter(|(i, s)| {
                end_of(*i).is_some_and(|(r, n)| {
                    let other = r.only_behind(n) && apart::of_own_vessel(e, g, r, n, file, &makers);
                    !other && !apart::by_kind(&s.what, serves[*i], &d.callee, g, r, n)
                })
            })
            .filter(|(_, s)| s.fn_id != d.fn_id || !ranges::apart(e, func, &here(), &s.what, d.call))
            .map(|(i, _)| SiteId(i as u32))
            .collect();
        let by_count = LazyCell::new(|| counted::only_pinned(e, file, func, &here_pinned(d.fn_id), d.call));
        // Pages that no run brings there.
        let never = |id: &SiteId| {
            let (i, s) = (id.0 as usize, &sites[id.0 as usize]);
            *undone
                || end_of(i).is_some_and(|(r, n)| emptied::only_by(g, r, n, d.fn_id, &emptied))
                || s.fn_id == d.fn_id && apart::by_count(func, &text, &here(), &s.what, d.call)
                || reached[i].is_some_and(|r| choice::apart(e, g, r, (s.fn_id, s.what.call), (d.fn_id, d.call)))
                || relayed
                    .as_ref()
                    .zip(mine[i])
                    .is_some_and(|(needed, r)| relayed::apart(e, g, r, &d.nodes, d.fn_id, (s.fn_id, s.node), needed))
        };
        let splits = !objects.runs && pins.iter().any(never);
        pins.retain(|id| !objects.runs || !never(id));
        let no_pins = |back: &Reached| {
            let mut found = origins.of(back, d.fn_id, e, g);
            found.retain(|o| o.at.file != file || !func.span.contains(o.at.span) || !*by_count);
            found
        };
        let foreign = no_pins(&back);
        let guarded = || {
            let at = (e.fns[d.fn_id.0 as usize], &**func, d.call);
            let without = |calls: &closed::Calls| {
                let back = g.backward(&d.nodes, Some(calls), ways);
                let foreign = no_pins(&back);
                (back, foreign)
            };
            let needed = !pins.is_empty() && !foreign.is_empty();
            let pins_of = |f: FnRef| e.ids.get(&f).map(|f| here_pinned(*f)).unwrap_or_default();
            let by_store = || guard::guard(e, g, at, &back, &foreign, &pins_of);
            needed.then(|| by_store().or_else(|| closed::guard(e, g, at, &back, &without))).flatten()
        };
        let api = Api::get().release(&d.callee);
        let same: Vec<(Dirty, Span)> = dirties
            .get(&d.fn_id)
            .into_iter()
            .flatten()
            .filter(|(nodes, ..)| nodes.iter().any(|n| d.nodes.contains(n)))
            .map(|(_, k, s)| (*k, *s))
            .collect();
        let (mut dirty, mut dirty_when, dirtied_at) = release::dirty(func, &text, d.call, &same);
        if let Some(k) = api.map(|a| a.dirty()).filter(|k| *k != Dirty::None) {
            dirty = k;
            match release::make_dirty(func, &text, d.call).as_deref() {
                Some("0" | "false") => dirty = Dirty::None,
                Some(c) => dirty_when = c.to_string(),
                None => {}
            }
        }
        let own = sites.iter().find(|s| s.fn_id == d.fn_id).map(|s| &s.what);
        let result = own.and_then(|s| s.result.clone());
        let single = own.is_some_and(|s| s.count.as_ref().is_none_or(|c| &*c.0 == "1"));
        let atomic = context::of(file, func, d.call);
        let release = Release {
            at: Loc { file, span: d.callee_span },
            call: d.call,
            callee: d.callee.clone(),
            function: func.name.clone(),
            foreign: foreign.clone(),
            guarded_by: guarded(),
            pins,
            dirty,
            dirty_when,
            dirtied_at,
            shape: release::shape(func, d.call, api.is_some_and(|a| a.batch)),
            when: release::when(func, &text, d.call, result.as_deref(), single),
            context: Context {
                may_be_atomic: atomic.is_some(),
                page_locked: context::page_lock_held(func, d.call)
                    || dirtied_at.is_some_and(|at| context::page_lock_held(func, at)),
            },
            atomic,
            damaged: !func.damage.is_empty(),
        };
        Some((release, splits))
    };
    // A drop whose function is gone has no release: positions of the two lists would differ.
    drops.retain(|d| funcs[d.fn_id.0 as usize].is_some());
    fn own<'r>(mine: &'r [Option<Reached>], reached: &'r [Option<Reached>]) -> Vec<Option<&'r Reached>> {
        mine.iter().zip(reached).map(|(m, all)| m.as_ref().or(all.as_ref())).collect()
    }
    let mut objects = Objects::default();
    let (mut reached, mut mine) = walks(&objects);
    let (mut releases, mut splits): (Vec<Release>, Vec<bool>) = {
        let mine = own(&mine, &reached);
        let all: Vec<Option<&Reached>> = reached.iter().map(Option::as_ref).collect();
        let first = |d: &Drop| release_of(d, &objects, &all, &mine);
        drops.par_iter().with_max_len(1).filter_map(first).unzip()
    };
    // Where pages of another kind come to a release as well, the objects are looked at that hold them.
    let mixed: BTreeSet<SiteId> = releases
        .iter()
        .filter(|r| !r.foreign.is_empty() && r.guarded_by.is_none())
        .flat_map(|r| r.pins.clone())
        // Of what cannot be converted, nobody asks.
        .filter(|s| kind(&sites[s.0 as usize].what) == Some(AcquireKind::Gup))
        .collect();
    let by_pin: Vec<_> = sites.iter().zip(&reached).map(|(s, r)| ((s.fn_id, s.what.call), r.as_ref())).collect();
    objects.families = Objects::families(e, g, &by_pin, mixed.into_iter());
    let embedded = Objects::embedded(e, g, &by_pin);
    // The sites whose pages come by objects, or get to less in single runs, and what they reach when these are told
    // apart. Those of others pass as they did.
    let again = |objects: &Objects, reached: &[Option<Reached>]| -> Vec<(SiteId, Option<Reached>, Option<Reached>)> {
        let walk_again = |s: usize| {
            let before = reached[s].as_ref()?;
            let (concern, site) = (objects.concern(before), (&sites[s], &serves[s]));
            let after = if concern || objects.runs { walk(site, objects, None) } else { None };
            let less = |r: &Reached| r.order.len() < before.order.len() || r.numbers.len() < before.numbers.len();
            if !concern && !after.as_ref().is_some_and(less) {
                return None;
            }
            let mine = strict(site, &after, objects);
            Some((SiteId(s as u32), after, mine))
        };
        (0..sites.len()).into_par_iter().with_max_len(1).filter_map(walk_again).collect()
    };
    let renew = |of: &(dyn Fn(usize, &Release) -> bool + Sync),
                 objects: &Objects,
                 all: &[_],
                 mine: &[_],
                 releases: &mut [Release]| {
        let renew = |(i, (r, d)): (usize, (&mut Release, &Drop))| {
            if !of(i, r) {
                return None;
            }
            let (new, splits) = release_of(d, objects, all, mine)?;
            *r = new;
            Some((ReleaseId(i as u32), splits))
        };
        releases.par_iter_mut().zip(&drops).enumerate().with_max_len(1).filter_map(renew).collect::<Vec<_>>()
    };
    let found = again(&objects, &reached);
    let concerned: BTreeSet<SiteId> = found.iter().map(|f| f.0).collect();
    for (s, r, m) in found {
        (reached[s.0 as usize], mine[s.0 as usize]) = (r, m);
    }
    let all: Vec<Option<&Reached>> = reached.iter().map(Option::as_ref).collect();
    let mine = own(&mine, &reached);
    let of = |_, r: &Release| r.pins.iter().any(|s| concerned.contains(s));
    for (r, split) in renew(&of, &objects, &all, &mine, &mut releases) {
        splits[r.0 as usize] = split;
    }
    let mut told = releases.clone();
    // Who calls a function is asked where that may decide something.
    let open = |r: &Release| !r.pins.is_empty() && !r.context.may_be_atomic;
    let mut dropping: Vec<FnId> = drops.iter().zip(&releases).filter(|d| open(d.1)).map(|d| d.0.fn_id).collect();
    dropping.sort_unstable();
    dropping.dedup();
    let called = |f: &FnId| Some((*f, context::called_atomic(e, e.fns[f.0 as usize])?));
    let atomic: BTreeMap<FnId, Atomic> = dropping.par_iter().with_max_len(1).filter_map(called).collect();
    let asks = |d: &Drop| funcs[d.fn_id.0 as usize].as_ref().and_then(|f| context::asks(f));
    let asks: Vec<Option<Name>> = drops.iter().map(asks).collect();
    let pins: Vec<&PinSite> = sites.iter().map(|s| &s.what).collect();
    // What one release says of the others.
    let share = |releases: &mut [Release]| {
        for (d, r) in drops.iter().zip(&mut *releases) {
            if let Some(why) = atomic.get(&d.fn_id) {
                r.context.may_be_atomic = true;
                r.atomic.get_or_insert_with(|| why.clone());
            }
        }
        apart::by_kind_of_others(releases, &pins);
        context::share(releases, &asks);
    };
    share(&mut releases);
    let asleep = drops.par_iter().zip(&releases).enumerate().with_max_len(1).filter(|(_, (d, r))| {
        let me = e.fns[d.fn_id.0 as usize];
        r.dirty == Dirty::SetPageDirtyLock
            && funcs[d.fn_id.0 as usize]
                .as_ref()
                .is_some_and(|f| context::sleeps_locked(e, me, f, d.call, &r.dirty_when))
    });
    let asleep = asleep.map(|(i, _)| ReleaseId(i as u32)).collect();
    let of_iterators = sites.iter().filter(|s| kind(&s.what) == Some(AcquireKind::Iter));
    let serving = sites.iter().zip(&serves).filter(|s| *s.1).map(|(s, _)| (s.fn_id, s.what.call));
    let appear = Appear::new(e, g, of_iterators.map(|s| (s.fn_id, s.what.call)).collect(), serving.collect());
    let tell =
        |i: usize, objects: &Objects, all: &[Option<&Reached>], mine: &[Option<&Reached>], releases: &[Release]| {
            let s = &sites[i];
            let others = appear.but(e, g, (s.fn_id, s.what.call), all[i]);
            let id = SiteId(i as u32);
            let ends = (releases, &drops[..], objects);
            let mut t = trace(e, g, &funcs, &nodes, &hidden, (id, s), (all[i], mine[i]), ends, &others);
            // Behind a store with a reference of its own: what is dropped there is not the pin.
            if let Some(r) = all[i]
                && let Some(beyond) = beyond::reached(g, r)
            {
                // The object gets at the page as well.
                t.local = false;
                let late = funcs[s.fn_id.0 as usize].as_ref().map(|f| apart::after(f, s.what.call, &[]));
                let from = (s.fn_id, &late.unwrap_or_default()[..]);
                beyond::drops(&others, (r, &beyond), from, releases, &|i| &drops[i].nodes, &mut t);
            }
            t
        };
    let every = (0..sites.len()).into_par_iter().with_max_len(1);
    let traces = every.map(|i| tell(i, &objects, &all, &mine, &releases)).collect();
    // Once more, with objects told apart that lie in several structs, and cases and runs of the functions: a second
    // look, which decides nothing.
    (objects.embedded, objects.runs) = (embedded, true);
    let found = again(&objects, &reached);
    let (mut less, mut own) = (all.clone(), mine.clone());
    for (s, r, m) in &found {
        (less[s.0 as usize], own[s.0 as usize]) = (r.as_ref(), m.as_ref().or(r.as_ref()));
    }
    let mut concerned: BTreeSet<SiteId> = found.iter().map(|f| f.0).collect();
    let of = |i: usize, r: &Release| splits[i] || r.pins.iter().any(|s| concerned.contains(s));
    let renewed = renew(&of, &objects, &less, &own, &mut told);
    share(&mut told);
    concerned.extend(renewed.iter().flat_map(|(r, _)| &releases[r.0 as usize].pins));
    let again = concerned.into_iter().collect::<Vec<_>>().into_par_iter().with_max_len(1);
    let apart =
        Apart { traces: again.map(|s| tell(s.0 as usize, &objects, &less, &own, &told)).collect(), releases: told };
    let sites = sites.into_iter().map(|s| s.what).collect();
    Custody { sites, releases, asleep, frees_others, traces, apart, damaged: e.index.damaged() }
}

fn collect_sites(e: &Engine, g: &Graph, funcs: &[Option<Arc<Function>>]) -> Vec<Site> {
    let mut out = Vec::new();
    for (i, f) in e.facts.iter().enumerate() {
        let Some(func) = &funcs[i] else { continue };
        if implements_api(&func.name) && !func.is_static {
            continue;
        }
        let file = e.fns[i].file;
        if func.damage.is_empty() && !f.facts.iter().any(|f| matches!(f, Fact::Pin { .. })) {
            continue;
        }
        // The file that defines the API: its helpers pin on behalf of whoever calls it.
        let implements = e.index.items(file).is_some_and(|it| {
            it.items.iter().any(|x| {
                x.kind == ItemKind::Function
                    && !x.is_static
                    && implements_api(&x.name)
                    && Api::get().acquire(&x.name).is_some()
            })
        });
        if implements {
            continue;
        }
        if !func.damage.is_empty() {
            let of_pin = |f: &Fact| if let Fact::Pin { callee, .. } = f { Some(*callee) } else { None };
            let known = f.facts.iter().filter_map(of_pin).collect();
            let text = e.index.text(file);
            for (api, at) in hidden_pins(e, file, func, &known) {
                let roles = Roles::default();
                let (api, args) = (&api, &[][..]);
                let call = sites::Call { file, text: &text, func, api, call: at, callee: at, args, roles };
                out.push(Site { fn_id: FnId(i as u32), node: None, what: sites::describe(&call) });
            }
        }
        for fact in &f.facts {
            let Fact::Pin { into, api, call, callee, args } = fact else { continue };
            let given: Vec<&Expr> = args.iter().filter_map(|a| sites::find(func, *a)).collect();
            let roles = match Api::get().acquire(api) {
                Some(a) if given.len() == args.len() => e.index.roles(a, api, &given),
                Some(a) => a.roles(args.len(), e.index.prototype(api).as_deref()),
                None => Roles::default(),
            };
            let text = e.index.text(file);
            let what = sites::describe(&sites::Call {
                file,
                text: &text,
                func,
                api,
                call: *call,
                callee: *callee,
                args,
                roles,
            });
            out.push(Site { fn_id: FnId(i as u32), node: into.as_ref().and_then(|p| g.stored(p)), what });
        }
    }
    out
}

fn collect_drops(e: &Engine, g: &Graph, funcs: &[Option<Arc<Function>>], forward: &Reached) -> Vec<Drop> {
    let mut out = Vec::new();
    for (i, f) in e.facts.iter().enumerate() {
        for fact in &f.facts {
            let Fact::Release { callee, callee_span, call, from } = fact else { continue };
            if Api::get().release(callee).is_some_and(|r| r.other) {
                continue;
            }
            let nodes: Vec<Node> = from.iter().filter_map(|p| g.node(p)).collect();
            let of_pins = nodes.iter().any(|n| forward.has(*n));
            let func = funcs[i].as_ref().filter(|_| of_pins);
            let mapping = |f: &Arc<Function>| release::of_page_table(f, &e.index.text(e.fns[i].file), *call);
            if of_pins && !func.is_some_and(mapping) {
                out.push(Drop {
                    fn_id: FnId(i as u32),
                    nodes,
                    callee: callee.clone(),
                    callee_span: *callee_span,
                    call: *call,
                });
            }
        }
    }
    out
}

/// Calls of what frees a page outright, of pages that no pin comes to.
fn frees_others(e: &Engine, g: &Graph, forward: &Reached) -> Vec<Loc> {
    let mut out = Vec::new();
    for (facts, f) in e.facts.iter().zip(&e.fns) {
        for fact in &facts.facts {
            if let Fact::Release { callee, callee_span, from, .. } = fact
                && Api::get().release(callee).is_some_and(|r| r.other)
                && !from.is_empty()
                && !from.iter().any(|p| g.node(p).is_some_and(|n| forward.has(n) || forward.has_number(n)))
            {
                out.push(Loc { file: f.file, span: *callee_span });
            }
        }
    }
    out.sort();
    out
}

type DirtyCalls = FxHashMap<FnId, Vec<(Vec<Node>, Dirty, Span)>>;

fn dirty_calls(e: &Engine, g: &Graph) -> DirtyCalls {
    let mut out = DirtyCalls::default();
    for (i, f) in e.facts.iter().enumerate() {
        for fact in &f.facts {
            let Fact::Dirty { of, callee, at } = fact else { continue };
            let nodes = of.iter().filter_map(|p| g.node(p)).collect();
            let kind = Api::get().dirty(callee).unwrap_or(Dirty::None);
            out.entry(FnId(i as u32)).or_default().push((nodes, kind, *at));
        }
    }
    for v in out.values_mut() {
        v.sort_by_key(|(_, _, s)| *s);
        v.dedup_by_key(|(_, _, s)| *s);
    }
    out
}

fn kind(site: &PinSite) -> Option<AcquireKind> {
    Api::get().acquire(&site.api).map(|a| a.kind)
}

/// Whether the call is a statement: its value is thrown away.
fn stands_alone(func: &Function, call: Span) -> bool {
    let mut alone = false;
    func.body.walk(&mut |s| alone |= matches!(&s.kind, StmtKind::Expr(e) if e.span == call));
    alone
}

#[allow(clippy::too_many_arguments)]
fn trace(
    e: &Engine,
    g: &Graph,
    funcs: &[Option<Arc<Function>>],
    nodes: &FactNodes,
    hidden: &Hidden,
    (id, s): (SiteId, &Site),
    (reached, mine): (Option<&Reached>, Option<&Reached>),
    (releases, drops, objects): (&[Release], &[Drop], &Objects),
    others: &Others,
) -> PinTrace {
    let file = s.what.at.file;
    // Only NULL holds nothing.
    let no_array = s.what.pages.as_ref().is_some_and(|(text, _)| text == "NULL" || text == "0");
    // An iterator may be over pages that nothing is taken of.
    let unused = || funcs[s.fn_id.0 as usize].as_ref().is_some_and(|f| stands_alone(f, s.what.call));
    let takes = match kind(&s.what) {
        Some(AcquireKind::Iter) => "stores the pages of an iterator in",
        _ if no_array => "gets no array to put pages into:",
        _ if s.node.is_none() && s.what.pages.is_none() && unused() => {
            "takes no reference and nothing looks at its result"
        }
        _ if s.node.is_none() && s.what.pages.is_none() => "takes no reference and looks at its result",
        _ if s.what.pages.is_none() => "returns a page with a reference",
        _ => "pins pages into",
    };
    let mut t = PinTrace {
        site: id,
        holders: Vec::new(),
        releases: Vec::new(),
        by_number: Vec::new(),
        doubted: Vec::new(),
        own: Vec::new(),
        gaps: Vec::new(),
        uses: Vec::new(),
        dirtied: Vec::new(),
        functions: Vec::new(),
        local: true,
        steps: vec![Step {
            at: s.what.at,
            what: format!("{}() {takes} {}", s.what.api, s.what.pages.as_ref().map_or("", |p| &p.0)).trim_end().into(),
            because: String::new(),
            after: 0,
            doubt: None,
        }],
        case: 0,
        case_why: String::new(),
        case_shown: String::new(),
        verdict: Verdict::Assist,
        reason: Reason::Gap,
        reason_text: String::new(),
    };
    let damaged = s.what.damaged.then(|| Gap {
        at: Loc { file, span: s.what.call },
        code: GapCode::Damaged,
        detail: s.what.function.to_string(),
    });
    let Some(r) = reached else {
        // An array of a kind that is not followed (folios) is no less lost.
        if s.what.pages.is_some() && !no_array {
            t.gaps.push(Gap { at: s.what.at, code: GapCode::NoRelease, detail: String::new() });
        }
        t.gaps.extend(damaged);
        return t;
    };
    let late = funcs[s.fn_id.0 as usize].as_ref().map(|f| apart::after(f, s.what.call, &[])).unwrap_or_default();
    let (mut kept, mut ends) = (false, Vec::new());
    for (i, rel) in releases.iter().enumerate() {
        if rel.pins.contains(&id) {
            t.releases.push(ReleaseId(i as u32));
            let from = drops.iter().find(|d| e.fns[d.fn_id.0 as usize].file == rel.at.file && d.call == rel.call);
            let r = mine.unwrap_or(r);
            let found = |d: &Drop| d.nodes.iter().copied().find(|n| objects.meet(e, r, *n, (d.fn_id, d.call)));
            if let Some(n) = from.and_then(found) {
                let last = steps(others, r, n, (s.fn_id, &late), 0, &mut t.steps);
                kept |= r.way(n).iter().any(|(_, to, _)| keeps(g, *to));
                ends.push(n);
                dropped(rel, "the reference", last, others.field(r, n), &mut t.steps);
                let doubt = doubted(&t.steps, t.steps.len() - 1);
                t.doubted.extend(doubt.map(|d| (ReleaseId(i as u32), d)));
                if r.by_number(n) {
                    t.by_number.push(ReleaseId(i as u32));
                }
            }
        }
    }
    t.holders = holders(e, g, funcs, r, ends);
    let here = nodes.functions(r);
    t.gaps = gaps(e, g, funcs, nodes, &here, r, objects);
    t.gaps.extend(hidden.of(e, g, r, true).into_iter().map(|f| {
        let (at, name) = Hidden::place(e, f);
        Gap { at, code: GapCode::Damaged, detail: name.to_string() }
    }));
    let lost = t.releases.is_empty() && t.gaps.is_empty();
    t.gaps.extend(without_caller(e, g, r, lost));
    let known: Vec<Loc> = t.releases.iter().map(|r| releases[r.0 as usize].at).collect();
    t.gaps.extend(numbers_come_back(e, g, &here, r, &known, apart::pins(&s.what)));
    for taker in uses(e, g, funcs, nodes, &here, (r, objects), &mut t) {
        let last = steps(others, r, taker.node, (s.fn_id, &late), 0, &mut t.steps);
        taken_over(e, &taker, last, &mut t.steps);
    }
    if t.releases.is_empty() && t.gaps.is_empty() && s.node.is_some() {
        // A number of the page that is taken may be all that is kept of it.
        let number = t.uses.iter().find(|u| u.kind == UseKind::Address);
        let handed = t.uses.iter().any(|u| u.kind == UseKind::HandedOn);
        t.gaps.push(match number.filter(|_| !handed) {
            Some(u) if &*u.callee == "cast" => Gap { at: u.at, code: GapCode::Cast, detail: u.callee.to_string() },
            Some(u) => Gap { at: u.at, code: GapCode::AddressOnly, detail: u.callee.to_string() },
            None => Gap { at: s.what.at, code: GapCode::NoRelease, detail: String::new() },
        });
    }
    t.gaps.extend(damaged);
    // A store that leads to no release: all that shows who keeps the pages, or a gap may be behind it.
    handed_out(others, r, (s.fn_id, &late), !kept || !t.gaps.is_empty(), &mut t.steps);
    t.gaps.sort_by(|a, b| (a.at, a.code, &a.detail).cmp(&(b.at, b.code, &b.detail)));
    t.gaps.dedup();
    t
}
