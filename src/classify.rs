//! Verdicts: which traces are pins that should be converted, which are rightly left alone, which need a human.
//!
//! The cases are those of `Documentation/core-api/pin_user_pages.rst` (v5.7): 1 direct I/O, 2 RDMA and other long-term
//! holders, 3 MMU notifier, 4 struct page only, 5 CPU access to the data. 3 and 4 keep get/put. A verdict hangs on what
//! the code does with the pages, never on who wrote it. It does not know how a rewrite looks.

use crate::ast::{Expr, ExprKind, Function, StmtKind};
use crate::config::Policy;
use crate::entries::Entries;
use crate::flow;
use crate::index::Index;
use crate::kernel::{AcquireKind, Api, Borrow};
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::trace::{Custody, Gap, GapCode, HolderKind, PinSite, PinTrace, Reason, UseKind, Verdict, Writes};
use access::{Access, cpu_access};
use rayon::prelude::*;
use std::collections::BTreeSet;

mod access;

/// Gives every trace its verdict.
pub fn classify(c: &mut Custody, index: &Index, policy: Policy) {
    let entries = Entries::new(index);
    let look = |t| match policy {
        Policy::Cases => first_look(c, t, index, &entries),
        Policy::AllGup => by_the_letter(c, t, index, &entries),
    };
    let verdicts: Vec<(Verdict, Reason, String, u8, String)> = c.traces.par_iter().map(look).collect();
    for (t, (verdict, reason, text, case, why)) in c.traces.iter_mut().zip(verdicts) {
        t.verdict = verdict;
        t.reason = reason;
        t.reason_text = text;
        t.case = case;
        t.case_why = why;
    }
    shared_releases(c);
}

/// A release that also drops the pages of a pin which is not converted must stay as it is, and with it all the pins
/// that it releases.
fn shared_releases(c: &mut Custody) {
    loop {
        let mut fall = Vec::new();
        for t in &c.traces {
            if t.verdict != Verdict::Convert {
                continue;
            }
            let other = t.releases.iter().flat_map(|r| &c.releases[r.0 as usize].pins).find(|p| {
                let o = &c.traces[p.0 as usize];
                o.verdict != Verdict::Convert && !o.reason.is_no_obstacle()
            });
            if let Some(p) = other {
                fall.push((t.site, *p));
            }
        }
        if fall.is_empty() {
            return;
        }
        for (site, other) in fall {
            let s = &c.sites[other.0 as usize];
            let text =
                format!("A release also drops the pages of {}() in {}(), which is not converted.", s.api, s.function);
            let t = &mut c.traces[site.0 as usize];
            t.verdict = Verdict::Assist;
            t.reason = Reason::SharedRelease;
            t.reason_text = text;
        }
    }
}

fn first_look(c: &Custody, t: &PinTrace, index: &Index, entries: &Entries) -> (Verdict, Reason, String, u8, String) {
    let site = &c.sites[t.site.0 as usize];
    let api = Api::get();
    let kind = api_kind(site);
    let say = |v, r, s: String| (v, r, s, 0, String::new());
    let direct = |v, r, s: String| (v, r, s, 1, "an iterator over the memory of one request".into());
    if site.pages.as_ref().is_some_and(|p| p.0 == "NULL" || p.0 == "0") {
        return say(Verdict::Leave, Reason::NoPages, "No array is passed: nothing is pinned.".into());
    }
    match kind {
        AcquireKind::Vector => {
            let s = format!("{}() has its own release function, which drops the references.", site.api);
            // "all current users establish long term page pinning" (v5.2 mm/frame_vector.c).
            return (Verdict::Leave, Reason::WrapperApi, s, 2, "a vector of pages is kept".into());
        }
        AcquireKind::Dump => {
            let s = format!("{}() is for a dump: the CPU reads the page and drops the reference.", site.api);
            return say(Verdict::Leave, Reason::ShortRead, s);
        }
        AcquireKind::Follow if looks_only(index, site) => {
            let s = format!("{}() takes no reference without FOLL_GET: nothing is pinned.", site.api);
            return say(Verdict::Leave, Reason::NoPages, s);
        }
        AcquireKind::Follow => {
            let s = format!("{}() takes a plain reference to look at struct page.", site.api);
            return (Verdict::Leave, Reason::StructPageOnly, s, 4, "follow_page() is for struct page users".into());
        }
        AcquireKind::Iter if api.acquire(&site.api).is_some_and(|a| a.extracts) => {
            let s = format!(
                "{}() pins what is user memory by itself and takes no reference on other pages: there is no \
                 get_user_pages*() to convert.",
                site.api
            );
            return direct(Verdict::Leave, Reason::AlreadyConverted, s);
        }
        AcquireKind::Iter => {
            if let Some(w) = not_user_iter(index, site) {
                let s = format!("The iterator holds no user pages: {w}().");
                return say(Verdict::Leave, Reason::NotUserPages, s);
            }
            let s = format!("{}() also gives pages that are not from get_user_pages().", site.api);
            return direct(Verdict::Assist, Reason::IterOrigin, s);
        }
        _ => {}
    }
    if site.damaged {
        let s = format!("{}() could not be parsed whole.", site.function);
        return say(Verdict::Assist, Reason::Damaged, s);
    }
    // A driver may have a function of such a name of its own; the API's inlines are in headers.
    if api.acquire(&site.function).is_some() && index.path(site.at.file).ends_with(".h") {
        let s = format!("{}() is a pinning function itself: its calls are sites of their own.", site.function);
        return say(Verdict::Leave, Reason::WrapperApi, s);
    }
    if let Some(iterator) = flow::serves_iterators(index, site) {
        if kind == AcquireKind::Pin {
            let s = format!("The pin of {iterator}(), whose users drop it.");
            return direct(Verdict::Leave, Reason::AlreadyConverted, s);
        }
        let s = format!("{iterator}() hands these pages out as it does the pages of the kernel: its users drop both.");
        return direct(Verdict::Assist, Reason::IterOrigin, s);
    }
    if let Some((name, at)) = notifier(t, index, site) {
        if invalidates(&name) {
            let s = format!(
                "The code changes page tables itself and tells MMU notifiers ({name}, {}): it works on struct page.",
                place(index, at)
            );
            return (Verdict::Leave, Reason::StructPageOnly, s, 4, name.to_string());
        }
        let s = format!("An MMU notifier keeps the mapping coherent ({name}, {}).", place(index, at));
        return (Verdict::Leave, Reason::MmuNotifier, s, 3, name.to_string());
    }
    if let Some(v) = data_access(c, t, index, site) {
        return v;
    }
    let (case, why) = case_of(c, t, site, index, entries);
    let (verdict, reason, text) = convertible(c, t, index);
    (verdict, reason, text, case, why)
}

/// Whether the flags of `follow_page()` are spelled out, and `FOLL_GET` is not among them.
fn looks_only(index: &Index, site: &PinSite) -> bool {
    let Some(flags) = site.flags else { return false };
    let text = index.text(site.at.file);
    let flags = flags.of(&text);
    let mut words = crate::lex::code(flags).filter(|t| t.kind == crate::lex::TokKind::Ident).map(|t| t.span.of(flags));
    words.all(|w| w.starts_with(b"FOLL_") && w != b"FOLL_GET")
}

/// The letter of the contract of 2019: every page of `get_user_pages*()` is released by `put_user_page*()`, whatever it
/// is for. What is a pin is not asked; all that a conversion needs is.
fn by_the_letter(c: &Custody, t: &PinTrace, index: &Index, entries: &Entries) -> (Verdict, Reason, String, u8, String) {
    let first = first_look(c, t, index, entries);
    let site = &c.sites[t.site.0 as usize];
    let gup = Api::get().acquire(&site.api).is_some_and(|a| a.kind == AcquireKind::Gup);
    if !gup || !matches!(first.1, Reason::StructPageOnly | Reason::MmuNotifier | Reason::ShortRead) {
        return first;
    }
    let (verdict, reason, text) = convertible(c, t, index);
    (verdict, reason, text, first.3, first.4)
}

fn place(index: &Index, at: Loc) -> String {
    format!("{}:{}", index.path(at.file), index.line(at))
}

/// Evidence that the mapping is watched: a function of the trace asks the notifier, the struct that keeps the pages has
/// one, or the file has one and the pages become bare page numbers.
fn notifier(t: &PinTrace, index: &Index, site: &PinSite) -> Option<(Name, Loc)> {
    let api = Api::get();
    let words = |file: FileId, span: Span, own: bool| -> Option<(Name, Loc)> {
        let items = index.items(file)?;
        let text = span.of(&items.text);
        crate::lex::code(text).find_map(|tok| {
            let w = std::str::from_utf8(tok.span.of(text)).ok()?;
            let at = Span { start: tok.span.start + span.start, end: tok.span.end + span.start };
            (api.is_notifier(w) && (own || !invalidates(w))).then(|| (Name::from(w), Loc { file, span: at }))
        })
    };
    for l in t.functions.iter().filter(|l| l.file == site.at.file) {
        let Some(f) = index.function_at(*l) else { continue };
        if let Some(hit) = words(l.file, f.span, true) {
            return Some(hit);
        }
        // What it gives away to be called (`.rmap_one = f`) runs on its behalf.
        let given = |at: Span| words(l.file, at, true);
        if let Some(hit) = named_functions(index, l.file, &f).into_iter().find_map(given) {
            return Some(hit);
        }
    }
    for h in t.holders.iter().filter(|h| h.kind == HolderKind::Field) {
        let Some((tag, _)) = h.text.split_once('.') else { continue };
        let Some((file, i)) = index.struct_item(site.at.file, tag) else { continue };
        let Some(items) = index.items(file) else { continue };
        let Some(item) = items.items.get(i as usize) else { continue };
        if let Some(s) = index.struct_def(site.at.file, tag)
            && s.fields.iter().any(|f| f.ty.tag().is_some_and(|t| api.is_notifier(t)))
        {
            return Some((tag.into(), Loc { file, span: item.name_span }));
        }
    }
    // A frame number goes to page tables, which the notifier watches. A kernel address that is kept until the page is
    // made of it again is for the CPU, which it does not watch.
    let address = |u: &crate::trace::Use| u.kind == UseKind::Address;
    let comes_back = !t.releases.is_empty() && t.gaps.iter().any(|g| g.code == GapCode::AddressOnly);
    let cpu =
        comes_back && t.uses.iter().any(|u| address(u) && api.borrow(&u.callee) == Some(crate::kernel::Borrow::Map));
    let numbers = t.local && !cpu && t.uses.iter().any(address);
    if numbers {
        let items = index.items(site.at.file)?;
        return words(site.at.file, Span::new(0, items.text.len()), false);
    }
    None
}

/// Functions of the file that a function names without calling them.
fn named_functions(index: &Index, file: FileId, f: &Function) -> Vec<Span> {
    let Some(items) = index.items(file) else { return Vec::new() };
    let mut found = Vec::new();
    let mut see = |e: &Expr| {
        if let Some(n) = e.ident()
            && let Some(i) = items.function(n)
        {
            found.extend(items.items.get(i as usize).map(|i| i.span));
        }
    };
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::InitList(all) => all.iter().for_each(|(_, e)| see(e)),
        ExprKind::Assign(_, _, from) => see(from),
        _ => {}
    });
    found
}

/// The side that changes page tables and tells the notifiers, which is not the side that is told.
fn invalidates(word: &str) -> bool {
    word.starts_with("mmu_notifier_range") || word.starts_with("mmu_notifier_invalidate")
}

fn not_user_iter(index: &Index, site: &PinSite) -> Option<Name> {
    let func = index.function_at(site.at)?;
    let api = Api::get();
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call()
            && api.is_not_user_iter(n)
            && e.span.start < site.at.span.start
        {
            found = Some(n.clone());
        }
    });
    found
}

/// Pages that stay in the function and whose data nobody transfers: struct page only, or a short read.
fn data_access(
    c: &Custody,
    t: &PinTrace,
    index: &Index,
    site: &PinSite,
) -> Option<(Verdict, Reason, String, u8, String)> {
    let keeps = t.uses.iter().any(|u| matches!(u.kind, UseKind::Io | UseKind::Write));
    // Or in a helper of the file that it calls itself.
    let pinning = api_kind(site) == AcquireKind::Pin;
    let one_function = t.releases.iter().map(|r| &c.releases[r.0 as usize]).all(|r| {
        r.function == site.function || !pinning && r.at.file == site.at.file && calls(index, site.at, &r.function)
    });
    if keeps || !t.local || !one_function {
        return None;
    }
    if t.gaps.iter().any(|g| !matches!(g.code, GapCode::NoRelease)) {
        return None;
    }
    if given_away(c, t, index, site) {
        return None;
    }
    let handed = t.uses.iter().find(|u| u.kind == UseKind::HandedOn);
    let mut access = if t.uses.iter().any(|u| u.kind == UseKind::Read) { Access::Read } else { Access::None };
    let mut seen = BTreeSet::new();
    for l in &t.functions {
        if !seen.insert(*l) {
            continue;
        }
        if let Some(f) = index.function_at(*l) {
            access = access.max(cpu_access(&f, site.writes == Writes::Never));
        }
    }
    let mapped = t.uses.iter().any(|u| matches!(u.kind, UseKind::Map | UseKind::Read));
    // A number of the page that is stored or returned can come back as a page.
    if handed.is_none() && t.releases.is_empty() {
        return None;
    }
    match access {
        Access::Write => None,
        Access::Read if mapped => Some((
            Verdict::Leave,
            Reason::ShortRead,
            "The CPU reads some bytes and drops the reference at once: nothing is transferred.".into(),
            0,
            "short read by the CPU".into(),
        )),
        _ => {
            if let Some(h) = handed {
                let s = format!("Only struct page is used; {}() takes the reference over.", h.callee);
                return Some((Verdict::Leave, Reason::HandedOn, s, 4, "struct page only".into()));
            }
            let s = "Only struct page is looked at; the data is never touched through this reference.".into();
            Some((Verdict::Leave, Reason::StructPageOnly, s, 4, "struct page only".into()))
        }
    }
}

fn api_kind(site: &PinSite) -> AcquireKind {
    Api::get().acquire(&site.api).map_or(AcquireKind::Gup, |a| a.kind)
}

/// Whether the function at a place calls a static function of its file.
fn calls(index: &Index, at: Loc, helper: &str) -> bool {
    let is_helper = |items: &crate::index::FileItems| {
        items.function(helper).and_then(|i| items.items.get(i as usize)).is_some_and(|i| i.is_static)
    };
    let mut found = false;
    if index.items(at.file).is_some_and(|items| is_helper(&items))
        && let Some(f) = index.function_at(at)
    {
        f.body.walk_exprs(&mut |e| found |= e.call().is_some_and(|(n, _)| **n == *helper));
    }
    found
}

/// The physical address of a page is stored, and something is called before the page is dropped: whoever gets that
/// address reaches the data.
fn given_away(c: &Custody, t: &PinTrace, index: &Index, site: &PinSite) -> bool {
    let api = Api::get();
    let Some(f) = index.function_at(site.at) else { return false };
    let mut stored = None;
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind
            && matches!(to.kind, ExprKind::Field { .. } | ExprKind::Index(..))
        {
            from.walk(&mut |x| {
                if x.call().is_some_and(|(n, _)| api.is_address(n) && api.borrow(n) != Some(Borrow::Map)) {
                    stored.get_or_insert(e.span.end);
                }
            });
        }
    });
    let last = t.releases.iter().map(|r| c.releases[r.0 as usize].at).filter(|at| at.file == site.at.file);
    let (Some(stored), Some(dropped)) = (stored, last.map(|at| at.span.start).max()) else { return false };
    let mut called = false;
    f.body.walk_exprs(&mut |e| {
        let Some((n, _)) = e.call() else { return };
        let known = api.borrow(n).is_some() || api.release(n).is_some() || api.is_fresh(n) || api.is_address(n);
        called |= !known && api.same(n).is_none() && e.span.start > stored && e.span.end <= dropped;
    });
    called
}

/// What decided the case of a trace whose pages are reached by their physical address ([`PinTrace::case_why`]).
pub const GIVEN_AWAY: &str = "the physical address is given away while the page is held";

/// CASE 1, 2 or 5, with what decided.
fn case_of(c: &Custody, t: &PinTrace, site: &PinSite, index: &Index, entries: &Entries) -> (u8, String) {
    if asks_long_term(index, site) {
        return (2, "FOLL_LONGTERM".into());
    }
    // Dropped within the call that pins, or when a transfer is done: CASE 1, wherever they were kept meanwhile.
    let long = || !t.local && (t.releases.is_empty() || entries.outlives(c, t).is_some());
    if let Some(u) = t.uses.iter().find(|u| u.kind == UseKind::Io) {
        let long = long();
        return (if long { 2 } else { 1 }, format!("{}()", u.callee));
    }
    let cpu = |u: &&crate::trace::Use| matches!(u.kind, UseKind::Write | UseKind::Map | UseKind::Read);
    // CASE 5 is for data that is written.
    if site.writes == Writes::Never
        && t.local
        && let Some(u) = t.uses.iter().find(cpu)
        && t.uses.iter().all(|u| u.kind != UseKind::Write)
    {
        return (0, format!("{}() reads", u.callee));
    }
    if let Some(u) = t.uses.iter().find(cpu) {
        return (5, format!("{}()", u.callee));
    }
    if t.local && given_away(c, t, index, site) {
        return (1, GIVEN_AWAY.into());
    }
    if long() { (2, "pages are kept in an object".into()) } else { (1, "pages stay with the call".into()) }
}

/// Whether the flags of a pin name `FOLL_LONGTERM`, or a variable that is set from it.
fn asks_long_term(index: &Index, site: &PinSite) -> bool {
    const LONG: &str = "FOLL_LONGTERM";
    let Some(flags) = site.flags else { return false };
    let text = index.text(site.at.file);
    if memchr::memmem::find(flags.of(&text), LONG.as_bytes()).is_some() {
        return true;
    }
    let Some(func) = index.function_at(site.at) else { return false };
    let name = flags.text(&text);
    let names_it = |e: &Expr| {
        let mut hit = false;
        e.walk(&mut |x| hit |= x.ident().is_some_and(|n| &**n == LONG));
        hit
    };
    let mut found = false;
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found |= vars.iter().any(|v| *v.name == *name && v.init.as_ref().is_some_and(names_it));
        }
    });
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind {
            found |= to.ident().is_some_and(|n| **n == *name) && names_it(from);
        }
    });
    found
}

/// Whether everything that custody can tell allows a conversion.
fn convertible(c: &Custody, t: &PinTrace, index: &Index) -> (Verdict, Reason, String) {
    let api = Api::get();
    let converted = |n: &Name| api.release(n).is_some_and(|r| r.converted);
    let all_converted =
        !t.releases.is_empty() && t.releases.iter().all(|r| converted(&c.releases[r.0 as usize].callee));
    let is_pin = |name: &str| api.acquire(name).is_some_and(|a| a.kind == AcquireKind::Pin);
    let pinned = c.sites.get(t.site.0 as usize).is_some_and(|s| is_pin(&s.api));
    let some_converted = t.releases.iter().any(|r| converted(&c.releases[r.0 as usize].callee));
    if pinned && some_converted && !t.gaps.is_empty() {
        let which = if all_converted { "every release that was found is" } else { "some releases are" };
        let s = format!("A pin, and {which} the one for pins. Where the trace ends in a gap, nothing is known.");
        return (Verdict::Leave, Reason::AlreadyConverted, s);
    }
    // One helper for pins and plain references, which something tells apart, pages of another origin, or a
    // reference taken beside the pin: each has a release of its kind.
    let beside = t.uses.iter().any(|u| u.kind == UseKind::ExtraReference);
    let of_others = |r: &crate::trace::Release| {
        let plain = |p: &crate::trace::SiteId| c.sites.get(p.0 as usize).is_some_and(|s| !is_pin(&s.api));
        converted(&r.callee) || beside || !r.foreign.is_empty() || r.pins.iter().any(plain)
    };
    if pinned && some_converted && t.releases.iter().all(|r| of_others(&c.releases[r.0 as usize])) && !all_converted {
        let s = "A pin with releases for pins; the others drop the plain references that come the same way.";
        return (Verdict::Leave, Reason::AlreadyConverted, s.into());
    }
    // Whoever pins releases as a pin: other pages that come by are no matter of a conversion.
    if pinned && all_converted {
        return (Verdict::Leave, Reason::AlreadyConverted, "A pin, and every release is the one for pins.".into());
    }
    // A gap that is a release of the trace tells more than one that may be.
    let ours = |g: &&Gap| t.releases.iter().any(|r| c.releases[r.0 as usize].at == g.at);
    let gaps = || t.gaps.iter().filter(|g| g.code != GapCode::NoRelease);
    if let Some(g) = gaps().find(ours).or_else(|| gaps().next()) {
        let s = match g.code {
            GapCode::UnknownCallee => format!("The pages go to {}(), which was not found.", g.detail),
            GapCode::IndirectCall => format!("The pages go through a function pointer: {}.", g.detail),
            GapCode::Damaged => format!("{}() could not be parsed whole.", g.detail),
            GapCode::Bio | GapCode::Skb | GapCode::Pipe | GapCode::PageTable => {
                format!("{}() takes the pages ({}).", g.detail, g.code.code())
            }
            GapCode::AddressOnly => {
                format!("The page becomes a number; {}() takes or makes the page of one.", g.detail)
            }
            GapCode::Budget => format!("{} is used in too many places to follow.", g.detail),
            _ => format!("The trace is lost: {} ({}).", g.detail, g.code.code()),
        };
        let s = format!("{s} {}", place(index, g.at));
        let reason = if g.code == GapCode::Damaged { Reason::Damaged } else { Reason::Gap };
        return (Verdict::Assist, reason, s);
    }
    if t.releases.is_empty() {
        return (Verdict::Assist, Reason::NoRelease, "No release of the pages was found.".into());
    }
    // Where pins are counted apart, a plain reference beside them is no business of theirs.
    if let Some(u) = t.uses.iter().find(|u| u.kind == UseKind::ExtraReference)
        && !all_converted
    {
        let s = format!("{}() takes another reference on a pinned page ({}).", u.callee, place(index, u.at));
        return (Verdict::Assist, Reason::MixedOrigin, s);
    }
    for r in &t.releases {
        let r = &c.releases[r.0 as usize];
        if let Some(o) = r.foreign.first()
            && r.guarded_by.is_none()
        {
            let s =
                format!("{}() in {}() also drops pages of {} ({}).", r.callee, r.function, o.what, place(index, o.at));
            return (Verdict::Assist, Reason::MixedOrigin, s);
        }
        if r.damaged {
            return (Verdict::Assist, Reason::Damaged, format!("{}() could not be parsed whole.", r.function));
        }
    }
    if all_converted {
        return (Verdict::Leave, Reason::AlreadyConverted, "The pages are already released by the new call.".into());
    }
    let n = t.releases.len();
    let s = format!("{n} release{} found, all of pinned pages only.", if n == 1 { "" } else { "s" });
    (Verdict::Convert, Reason::Complete, s)
}
