//! What tells pages apart that the places do not: releases reached on the map of places that do not drop the pin.
//!
//! Places are coarse. The order of the statements says more (what was there before the array was filled again), and so
//! do the functions that are called, where pins are counted apart: who pinned drops by `unpin_user_page*()`, who took
//! a reference by `put_page()`. The latter is used only where nothing is converted for it: for pins, which are
//! converted already, and for what went through an object of the block or network layer, where every trace has a gap.

use super::cfg::Cfg;
use super::engine::Engine;
use super::graph::{Edge, Graph, Node, Reached};
use super::guard::span_of;
use super::place::Place;
use crate::ast::{Expr, ExprKind, Function, StmtKind};
use crate::index::Index;
use crate::kernel::{AcquireKind, Api};
use crate::sites::one_line;
use crate::source::{FileId, Name, Span};
use crate::trace::{PinSite, Release, SiteId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The site takes pins, which are counted apart from references.
pub(super) fn pins(site: &PinSite) -> bool {
    Api::get().acquire(&site.api).is_some_and(|a| a.kind == AcquireKind::Pin || a.extracts)
}

/// All bios are one place, so are all skbs and all pipes. A pin that went into one is dropped as a pin by whoever takes
/// it out, and a plain reference is not.
///
/// The same holds for the pages that an iterator hands out (`serves`): its users ask which kind they got.
pub(super) fn by_kind(site: &PinSite, serves: bool, callee: &str, g: &Graph, r: &Reached, end: Node) -> bool {
    if pins(site) == callee.starts_with("unpin_") {
        return false;
    }
    let vessel = |n: Node| match g.place(n) {
        Place::Field(tag, field) => Api::get().vessels().iter().any(|v| v.tag == **tag && v.field == **field),
        _ => false,
    };
    // Trees without `unpin_user_page()` drop all of them by `put_page()`.
    let counted = pins(site) || callee.starts_with("unpin_");
    counted && (serves || vessel(end) || r.way(end).iter().any(|(from, ..)| vessel(*from)))
}

/// The vessels that a file makes and fills, and whose pages it drops itself. Not where the functions that fill them
/// are, nor where somebody else is asked to fill them with pages of the user.
fn makes_vessels(index: &Index, file: FileId) -> BTreeSet<Name> {
    let Some(items) = index.items(file) else { return BTreeSet::new() };
    let called =
        |names: &[String]| (0..items.items.len() as u32).any(|i| items.calls_any(i, &|n| names.iter().any(|m| m == n)));
    let own = Api::get().vessels().iter().filter(|v| !v.fill.iter().any(|f| items.function(f).is_some()));
    own.filter(|v| called(&v.makes) && !called(&v.given)).map(|v| v.tag.as_str().into()).collect()
}

/// All bios are one place. Who makes bios of his own drops what he put in, not what these pages came in: a release that
/// is reached only by a vessel, through a file that makes such vessels and that did not put the pages in.
pub(super) fn of_own_vessel(e: &Engine, g: &Graph, r: &Reached, end: Node, file: FileId, known: &Makers) -> bool {
    let mut files = BTreeSet::from([file]);
    for (_, to, (f, _)) in r.way(end) {
        match g.place(to) {
            Place::Field(tag, field) if Api::get().vessel(tag, field).is_some() => {
                let entries = [to & !1, to | 1].into_iter().flat_map(|n| g.incoming(n));
                let put_in = |e: &Edge| e.to / 2 != to / 2 && r.has(e.to) && !r.only_behind(e.to);
                let here: BTreeSet<FileId> =
                    entries.filter(|e| put_in(e)).map(|i| e.fns[i.at.0.0 as usize].file).collect();
                return files.iter().any(|f| !here.contains(f) && known.of(e.index, *f).contains(tag));
            }
            _ => files.insert(e.fns[f.0 as usize].file),
        };
    }
    false
}

/// What files make of vessels, each file looked at once.
#[derive(Default)]
pub(super) struct Makers(Mutex<FxHashMap<FileId, Arc<BTreeSet<Name>>>>);

impl Makers {
    fn of(&self, index: &Index, file: FileId) -> Arc<BTreeSet<Name>> {
        // Two threads that ask at the same time find the same.
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&file) {
            return known.clone();
        }
        let found = Arc::new(makes_vessels(index, file));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(file, found.clone());
        found
    }
}

/// The iterator function that this pin is a part of: the one around it, or the only ones that its file calls it from.
pub fn serves_iterators(index: &Index, site: &PinSite) -> Option<Name> {
    let api = Api::get();
    let iterator = |n: &str| api.acquire(n).is_some_and(|a| a.kind == AcquireKind::Iter);
    let mut level = vec![site.function.clone()];
    let mut found = None;
    // Two helpers stand between the two in v6.12 (lib/iov_iter.c).
    for _ in 0..4 {
        let mut next = Vec::new();
        for name in &level {
            if iterator(name) {
                found = Some(name.clone());
                continue;
            }
            let items = index.items(site.at.file)?;
            let own = items.function(name)?;
            let helper = items.items.get(own as usize).is_some_and(|i| i.is_static);
            let callers: Vec<Name> =
                index.naming(site.at.file, name).into_iter().filter(|f| f.item != own).map(|f| index.name(f)).collect();
            if !helper || callers.is_empty() {
                return None;
            }
            next.extend(callers);
        }
        level = next;
    }
    found.filter(|_| level.is_empty())
}

/// Where a release of the other kind has pages of its own as well (of a site of that kind, or of another origin), it is
/// not for the pages of a site that is released by its own kind elsewhere.
pub(super) fn by_kind_of_others(releases: &mut [Release], sites: &[&PinSite]) {
    let is_pin = |s: &SiteId| sites.get(s.0 as usize).is_some_and(|s| pins(s));
    // By kind: the sites that have a release of it.
    let mut matched: [BTreeSet<SiteId>; 2] = Default::default();
    for r in releases.iter() {
        let pin = r.callee.starts_with("unpin_");
        matched[usize::from(pin)].extend(r.pins.iter().filter(|s| is_pin(s) == pin).copied());
    }
    for r in releases {
        let pin = r.callee.starts_with("unpin_");
        let others = r.pins.iter().any(|s| is_pin(s) == pin) || (!pin && !r.foreign.is_empty());
        if others {
            r.pins.retain(|s| is_pin(s) == pin || !matched[usize::from(!pin)].contains(s));
        }
    }
}

/// A release of as many pages as another pin of the function returned, from where that pin put them: `site` filled
/// another part of the array.
pub(super) fn by_count(func: &Function, text: &[u8], here: &[&PinSite], site: &PinSite, call: Span) -> bool {
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == call {
            found = e.call();
        }
    });
    let Some((name, args)) = found else { return false };
    let Some(release) = Api::get().release(name).filter(|r| r.batch) else { return false };
    let count = release.count.and_then(|c| args.get(c));
    let (Some(array), Some(count)) = (args.get(release.arg), count) else { return false };
    let (array, count) = (start(&one_line(array.span, text)), one_line(count.span, text));
    let first = |s: &PinSite| s.pages.as_ref().map(|(p, _)| start(p));
    let owner = |s: &&&PinSite| {
        pins(s) && first(s).as_deref() == Some(&*array) && s.result.as_deref() == Some(&*count) && set_once(func, s)
    };
    here.iter().any(|s| owner(&s)) && pins(site) && first(site).as_deref() != Some(&*array)
}

/// `&a[0]` is `a`.
fn start(array: &str) -> String {
    let inner = array.strip_prefix('&').and_then(|a| a.strip_suffix("[0]"));
    inner.unwrap_or(array).to_string()
}

/// Whether the variable that takes the result of the pin is set by nothing else than that pin and constants.
pub(super) fn set_once(func: &Function, site: &PinSite) -> bool {
    let Some(result) = &site.result else { return false };
    let constant = |e: &Expr| matches!(e.kind, ExprKind::Int { .. } | ExprKind::Unary(..));
    let mut once = true;
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            let others = vars.iter().filter(|v| *v.name == **result).filter_map(|v| v.init.as_ref());
            once &= others.into_iter().all(|i| i.span.contains(site.call) || constant(i));
        }
    });
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(op, to, from) if to.ident().is_some_and(|n| **n == **result) => {
            once &= op.is_none() && (from.span.contains(site.call) || constant(from));
        }
        ExprKind::IncDec { operand, .. } => once &= operand.ident().is_none_or(|n| **n != **result),
        _ => {}
    });
    once
}

/// Whether two pins fill an array by the same name from its start, and with the same count.
pub(super) fn same_array(a: &PinSite, b: &PinSite) -> bool {
    let text = |p: &Option<(String, Span)>| p.as_ref().map(|p| p.0.clone());
    let plain = |p: &str| p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    text(&a.pages).is_some_and(|p| plain(&p)) && text(&a.pages) == text(&b.pages) && text(&a.count) == text(&b.count)
}

/// What a function may evaluate after a call and before the calls of `ends`, the call's own expression included; empty
/// if that is not known.
pub(super) fn after(func: &Function, call: Span, ends: &[Span]) -> Vec<Span> {
    if !func.damage.is_empty() {
        return Vec::new();
    }
    let cfg = Cfg::new(func);
    let of = |n: u32| span_of(&cfg.nodes[n as usize].elem);
    let mut work: Vec<u32> = (0..cfg.nodes.len() as u32).filter(|n| of(*n).is_some_and(|s| s.contains(call))).collect();
    let mut seen = vec![false; cfg.nodes.len()];
    let mut out = Vec::new();
    while let Some(n) = work.pop() {
        if !std::mem::replace(&mut seen[n as usize], true) {
            out.extend(of(n));
            if of(n).is_some_and(|s| !s.contains(call) && ends.iter().any(|e| s.contains(*e))) {
                continue;
            }
            work.extend(&cfg.nodes[n as usize].succ);
        }
    }
    out
}
