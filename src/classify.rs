//! Verdicts: which traces are pins that should be converted, which are rightly left alone, which need a human.
//!
//! The cases are those of `Documentation/core-api/pin_user_pages.rst` (v5.7): 1 direct I/O, 2 RDMA and other long-term
//! holders, 3 MMU notifier, 4 struct page only, 5 CPU access to the data. 3 and 4 keep get/put. A verdict hangs on what
//! the code does with the pages, never on who wrote it. It does not know how a rewrite looks.

mod access;
mod case;
mod notifier;

use crate::config::Policy;
use crate::entries::Entries;
use crate::flow;
use crate::index::Index;
use crate::kernel::dialect::Dialect;
use crate::kernel::{AcquireKind, Api};
use crate::program::Program;
use crate::sites;
use crate::source::{LineMap, Loc, Name};
use crate::trace::{
    Custody, GapCode, HolderKind, Origin, PinSite, PinTrace, Reason, ReleaseId, SiteId, Use, UseKind, Verdict, When,
    Writes,
};
use access::{Access, cpu_access, given_away};
pub use case::GIVEN_AWAY;
use case::{asks_long_term, case_of};
use notifier::{gives_up, invalidates, kept_mapping, notifier};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The reason of a call that pins nothing and may take a reference nevertheless.
pub const TAKEN_WITHOUT_ARRAY: &str = "No array is passed: there is no page to release. get_user_pages_fast() of this \
                                       tree sets FOLL_GET by itself, so where its fast path does not run, a reference \
                                       is taken that nothing can drop.";

/// What [`classify`] decides of a trace: verdict, reason and its text, CASE and what decided it.
type Decided = (Verdict, Reason, String, u8, String);

/// Gives every trace its verdict.
pub fn classify(c: &mut Custody, index: &Index, dialect: &Dialect, policy: Policy) {
    let entries = Entries::new(index);
    let look = |c: &Custody, t: &PinTrace| match policy {
        Policy::Cases => first_look(c, t, index, dialect, &entries),
        Policy::AllGup => by_the_letter(c, t, index, dialect, &entries),
    };
    let all: Vec<SiteId> = c.traces.iter().map(|t| t.site).collect();
    decide(c, &all, &look);
    tell_apart(c, &look);
    let shown: Vec<_> = c.traces.par_iter().with_max_len(1).map(|t| case::shown(c, t, index, &entries)).collect();
    for (t, shown) in c.traces.iter_mut().zip(shown) {
        t.case_shown = shown.unwrap_or_else(|| t.case_why.clone());
    }
}

/// What is decided of a trace by itself.
type Look<'a> = dyn Fn(&Custody, &PinTrace) -> Decided + Sync + 'a;

/// Gives these traces their verdict.
fn decide(c: &mut Custody, which: &[SiteId], look: &Look) {
    let verdict = |s: &SiteId| (*s, look(c, &c.traces[s.0 as usize]));
    let verdicts: Vec<(SiteId, Decided)> = which.par_iter().with_max_len(1).map(verdict).collect();
    for (site, (verdict, reason, text, case, why)) in verdicts {
        let t = &mut c.traces[site.0 as usize];
        (t.verdict, t.reason, t.reason_text, t.case, t.case_why) = (verdict, reason, text, case, why);
        if takes_nothing(t, c.sites.get(site.0 as usize)) {
            t.gaps.retain(|g| g.code != GapCode::NoRelease);
        }
    }
    shared_releases(c);
}

/// Where nothing is converted, the traces are those in which objects, cases and runs are told apart. That would convert
/// a trace which stays as it is otherwise: then it stays for the same reason. Nor is anything converted where it makes
/// a difference which releases the traces have together.
fn tell_apart(c: &mut Custody, look: &Look) {
    let apart = std::mem::take(&mut c.apart);
    let less: BTreeMap<SiteId, &PinTrace> = apart.traces.iter().map(|t| (t.site, t)).collect();
    for group in converted_together(c) {
        let all: BTreeSet<ReleaseId> = group.iter().flat_map(|s| c.traces[s.0 as usize].releases.clone()).collect();
        let sure = |s: &SiteId| less.get(s).map_or(&c.traces[s.0 as usize], |t| *t).releases.clone();
        let sure: BTreeSet<ReleaseId> = group.iter().flat_map(sure).collect();
        let Some(r) = all.difference(&sure).next().map(|r| &c.releases[r.0 as usize]) else { continue };
        let text = format!(
            "{}() in {}() seems not to drop these pages, but what says so is not sure enough for a rewrite.",
            r.callee, r.function
        );
        for s in group {
            let t = &mut c.traces[s.0 as usize];
            (t.verdict, t.reason, t.reason_text) = (Verdict::Assist, Reason::MixedOrigin, text.clone());
        }
    }
    let converted = c.traces.iter().filter(|t| t.verdict == Verdict::Convert);
    let mut fixed: BTreeSet<SiteId> = converted.clone().map(|t| t.site).collect();
    fixed.extend(converted.flat_map(|t| &t.releases).flat_map(|r| c.releases[r.0 as usize].pins.clone()));
    let told: Vec<PinTrace> = apart.traces.into_iter().filter(|t| !fixed.contains(&t.site)).collect();
    if told.is_empty() {
        return;
    }
    for (r, other) in c.releases.iter_mut().zip(apart.releases) {
        if !r.pins.iter().any(|s| fixed.contains(s)) {
            *r = other;
        }
    }
    let which: Vec<SiteId> = told.iter().map(|t| t.site).collect();
    let before: Vec<PinTrace> =
        told.into_iter().map(|t| std::mem::replace(&mut c.traces[t.site.0 as usize], t)).collect();
    decide(c, &which, look);
    for old in before {
        let t = &mut c.traces[old.site.0 as usize];
        if t.verdict == Verdict::Convert {
            (t.verdict, t.reason) = (old.verdict, old.reason);
            t.reason_text = format!("{} What tells them apart is not sure enough for a rewrite.", old.reason_text);
        }
    }
}

/// The sites that are converted, those together that share a release.
fn converted_together(c: &Custody) -> Vec<BTreeSet<SiteId>> {
    let converts = |s: &SiteId| c.traces[s.0 as usize].verdict == Verdict::Convert;
    let mut groups: Vec<BTreeSet<SiteId>> = Vec::new();
    for t in c.traces.iter().filter(|t| t.verdict == Verdict::Convert) {
        let pins = t.releases.iter().flat_map(|r| c.releases[r.0 as usize].pins.clone()).filter(converts);
        let mut group: BTreeSet<SiteId> = pins.chain([t.site]).collect();
        groups.retain(|g| {
            let apart = g.is_disjoint(&group);
            if !apart {
                group.extend(g);
            }
            apart
        });
        groups.push(group);
    }
    groups
}

/// Where nothing is taken, or somebody else has it from then on, no release is missing.
fn takes_nothing(t: &PinTrace, site: Option<&PinSite>) -> bool {
    let extracts = || site.and_then(|s| Api::get().acquire(&s.api)).is_some_and(|a| a.extracts);
    match t.reason {
        Reason::NoPages | Reason::HandedOn | Reason::ForCallers | Reason::Extracts => true,
        Reason::NotUserPages => extracts(),
        _ => false,
    }
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

fn first_look(c: &Custody, t: &PinTrace, index: &Index, dialect: &Dialect, entries: &Entries) -> Decided {
    let site = &c.sites[t.site.0 as usize];
    let api = Api::get();
    let kind = api_kind(site);
    let say = |v, r, s: String| (v, r, s, 0, String::new());
    let direct = |v, r, s: String| {
        let (case, why) = case::of_iterator(c, t, index, site, entries);
        (v, r, s, case, why)
    };
    if site.pages.as_ref().is_some_and(|p| p.0 == "NULL" || p.0 == "0") {
        let s = match dialect.fast_without_array && &*site.api == "get_user_pages_fast" {
            true => TAKEN_WITHOUT_ARRAY,
            false => "No array is passed: nothing is pinned.",
        };
        return say(Verdict::Leave, Reason::NoPages, s.into());
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
        AcquireKind::Follow if asks_reference(index, site) == Some(false) => {
            let s = format!("{}() without FOLL_GET in its flags takes no reference.", site.api);
            return say(Verdict::Leave, Reason::NoPages, s);
        }
        AcquireKind::Follow => {
            let data = |u: &&Use| {
                matches!(u.kind, UseKind::Read | UseKind::Write | UseKind::Map | UseKind::Io | UseKind::Address)
            };
            if let Some(u) = t.uses.iter().find(data) {
                let how =
                    if u.kind == UseKind::Address { "makes an address or a number of it" } else { "gets the data" };
                let s = format!(
                    "{}() takes a plain reference and has no form that pins; {}() then {how}.",
                    site.api, u.callee
                );
                return say(Verdict::Leave, Reason::NoPinForm, s);
            }
            // What an architecture does to a page is not read here.
            let hook = |u: &&Use| u.kind == UseKind::Followed && u.callee.starts_with("arch_");
            if let Some(u) = t.uses.iter().find(hook) {
                let s = format!(
                    "{}() takes a plain reference and has no form that pins; {}() then gets the page.",
                    site.api, u.callee
                );
                return say(Verdict::Leave, Reason::NoPinForm, s);
            }
            let s = format!("{}() takes a plain reference to look at struct page.", site.api);
            return (Verdict::Leave, Reason::StructPageOnly, s, 4, "follow_page() is for struct page users".into());
        }
        AcquireKind::Iter if api.acquire(&site.api).is_some_and(|a| a.extracts) => {
            if let Some(w) = flow::made_over_kernel(index, site) {
                let s = format!(
                    "The iterator is over memory of the kernel ({w}()), made here: {}() takes no reference on \
                     its pages.",
                    site.api
                );
                return say(Verdict::Leave, Reason::NotUserPages, s);
            }
            let s = format!(
                "{}() pins what is user memory by itself and takes no reference on other pages: there is no \
                 get_user_pages*() to convert.",
                site.api
            );
            return direct(Verdict::Leave, Reason::Extracts, s);
        }
        AcquireKind::Iter => {
            if let Some(w) = flow::not_user_iter(index, site) {
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
        let s = format!("{}() hands the pages to its callers: its calls are sites of their own.", site.function);
        return say(Verdict::Leave, Reason::ForCallers, s);
    }
    if let Some(iterator) = flow::serves_iterators(index, site) {
        if kind == AcquireKind::Pin {
            let s = format!("The pin of {iterator}(), whose users drop it.");
            return direct(Verdict::Leave, Reason::AlreadyConverted, s);
        }
        let s = format!("{iterator}() hands these pages out as it does the pages of the kernel: its users drop both.");
        return direct(Verdict::Assist, Reason::IterOrigin, s);
    }
    let watched = notifier(t, index, site);
    // Whoever pins has decided that the data is for him. Left to be asked is whether he drops it as a pin.
    if kind == AcquireKind::Pin {
        let (verdict, reason, text) = convertible(c, t, index);
        let given_up = |name: &Name| !invalidates(name) && gives_up(c, t, index);
        let (case, why) = match watched.filter(|(name, _)| given_up(name) && !asks_long_term(index, site)) {
            Some((name, _)) => (3, name.to_string()),
            None => match data_access(c, t, index, site).filter(|_| only_looks(t) && !asks_long_term(index, site)) {
                Some((_, Reason::StructPageOnly | Reason::AddressTaken, _, case, why)) => (case, why),
                _ => case_of(c, t, site, index, entries),
            },
        };
        return (verdict, reason, text, case, why);
    }
    if let Some((name, at)) = watched {
        if invalidates(&name) {
            let s = format!(
                "The code changes page tables itself and tells MMU notifiers ({name}, {}): the reference keeps the page while \
                 it does.",
                place(index, at)
            );
            return (Verdict::Leave, Reason::PageTables, s, 4, name.to_string());
        }
        let s = match kept_mapping(t, index, site) {
            Some((kept, u)) => format!(
                "An MMU notifier keeps the mapping coherent in page tables ({name}, {}); a mapping for the processor is \
                 kept as well, in {kept} ({}(), {}).",
                place(index, at),
                u.callee,
                place(index, u.at)
            ),
            None => format!("An MMU notifier keeps the mapping coherent ({name}, {}).", place(index, at)),
        };
        return (Verdict::Leave, Reason::MmuNotifier, s, 3, name.to_string());
    }
    if let Some(v) = data_access(c, t, index, site) {
        return v;
    }
    let (case, why) = case_of(c, t, site, index, entries);
    let (verdict, reason, text) = convertible(c, t, index);
    (verdict, reason, text, case, why)
}

/// Whether the flags of a call that takes one page ask for a reference; `None` if they are put together elsewhere.
fn asks_reference(index: &Index, site: &PinSite) -> Option<bool> {
    let func = index.function_at(site.at)?;
    sites::asks(&func, sites::find(&func, site.flags?)?, "FOLL_GET")
}

/// The letter of the contract of 2019: every page of `get_user_pages*()` is released by `put_user_page*()`, whatever it
/// is for. What is a pin is not asked; all that a conversion needs is.
fn by_the_letter(c: &Custody, t: &PinTrace, index: &Index, dialect: &Dialect, entries: &Entries) -> Decided {
    let first = first_look(c, t, index, dialect, entries);
    let site = &c.sites[t.site.0 as usize];
    let gup = Api::get().acquire(&site.api).is_some_and(|a| a.kind == AcquireKind::Gup);
    let no_pin = |r| {
        use Reason::{AddressTaken, MmuNotifier, PageTables, ShortRead, StructPageOnly};
        matches!(r, StructPageOnly | AddressTaken | PageTables | MmuNotifier | ShortRead)
    };
    if !gup || !no_pin(first.1) {
        return first;
    }
    let (verdict, reason, text) = convertible(c, t, index);
    (verdict, reason, text, first.3, first.4)
}

/// Something looks at `struct page`, and nothing else is done with the pages.
fn only_looks(t: &PinTrace) -> bool {
    let looks = |u: &Use| u.kind == UseKind::Meta;
    t.uses.iter().any(looks) && t.uses.iter().all(|u| looks(u) || u.kind == UseKind::Followed)
}

/// Pages of another kind: what, where from, and where pinned ones come to them. Objects of one struct are one place, so
/// which of both an object holds is not told.
pub(crate) fn origin(program: &dyn Program, o: &Origin) -> String {
    let meets = o.meets.as_ref().map_or(String::new(), |field| format!(": {field} can hold either"));
    let path = program.path(o.at.file);
    let line = LineMap::new(&program.text(o.at.file)).line(o.at.span.start);
    format!("{} ({path}:{line}){meets}", o.what)
}

fn place(index: &Index, at: Loc) -> String {
    format!("{}:{}", index.path(at.file), index.line(at))
}

/// Pages that stay in the function and whose data nobody transfers: struct page only, or a short read.
fn data_access(c: &Custody, t: &PinTrace, index: &Index, site: &PinSite) -> Option<Decided> {
    let keeps = t.uses.iter().any(|u| matches!(u.kind, UseKind::Io | UseKind::Write));
    // Or in a helper of the file that it calls itself.
    let one_function = t
        .releases
        .iter()
        .map(|r| &c.releases[r.0 as usize])
        .all(|r| r.function == site.function || r.at.file == site.at.file && calls(index, site.at, &r.function));
    if keeps || !t.local || !one_function {
        return None;
    }
    if !t.by_number.is_empty() || t.gaps.iter().any(|g| g.code != GapCode::NoRelease) {
        return None;
    }
    if given_away(c, t, index, site) {
        return None;
    }
    let handed: Vec<&Use> = t.uses.iter().filter(|u| u.kind == UseKind::HandedOn).collect();
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
    if handed.is_empty() && t.releases.is_empty() {
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
            if !handed.is_empty() {
                let mut takers: Vec<&str> = handed.iter().map(|u| &*u.callee).collect();
                takers.dedup();
                let take = if takers.len() == 1 { "takes" } else { "take" };
                let s = format!("Only struct page is used; {}() {take} the reference over.", takers.join("() and "));
                return Some((Verdict::Leave, Reason::HandedOn, s, 4, "struct page only".into()));
            }
            // What another function makes of an address is for struct page again (`basepage_index()`).
            let own = index.function_at(site.at).map(|f| f.span);
            let here = |u: &Use| u.at.file == site.at.file && own.is_some_and(|f| f.contains(u.at.span));
            if let Some(u) = t.uses.iter().find(|u| u.kind == UseKind::Address && here(u)) {
                let s = format!(
                    "{}() gives the address of the page, and the reference is dropped in the same function: it protects \
                     nothing that is done by that address.",
                    u.callee
                );
                return Some((Verdict::Leave, Reason::AddressTaken, s, 4, "only the address is taken".into()));
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

/// Error paths drop what they do not keep. Pages that a field keeps behind them have no release then, and those that
/// were found are not all.
fn kept_for_good(c: &Custody, t: &PinTrace, index: &Index) -> Option<String> {
    let site = c.sites.get(t.site.0 as usize)?;
    let on_errors = |r: &ReleaseId| {
        let r = &c.releases[r.0 as usize];
        r.when != When::Normal && r.at.file == site.at.file && r.function == site.function
    };
    let kept = t.holders.iter().find(|h| h.kind == HolderKind::Field)?;
    if t.local || !t.releases.iter().all(on_errors) {
        return None;
    }
    let last = c.releases[t.releases.last()?.0 as usize].at;
    Some(format!(
        "What {}() drops when it fails is all that was found ({}): nothing was seen that drops the pages of {}.",
        site.function,
        place(index, last),
        kept.text
    ))
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
        let which = if all_converted {
            "every release that was found is an unpin call"
        } else {
            "some releases are unpin calls"
        };
        let s = format!("The pages are pinned, and {which}. What happens behind a gap of the trace is not known.");
        return (Verdict::Leave, Reason::AlreadyConverted, s);
    }
    // One helper for pins and plain references, which something tells apart, pages of another origin, or a
    // reference taken beside the pin: each has a release of its kind.
    let beside = t.uses.iter().any(|u| u.kind == UseKind::ExtraReference);
    let of_others = |r: &crate::trace::Release| {
        let plain = |p: &SiteId| c.sites.get(p.0 as usize).is_some_and(|s| !is_pin(&s.api));
        converted(&r.callee) || beside || !r.foreign.is_empty() || r.pins.iter().any(plain)
    };
    if pinned && some_converted && t.releases.iter().all(|r| of_others(&c.releases[r.0 as usize])) && !all_converted {
        let s = "The pages are pinned, and unpin calls release them; the other releases drop plain references that come the \
                 same way.";
        return (Verdict::Leave, Reason::AlreadyConverted, s.into());
    }
    // Whoever pins releases as a pin: other pages that come by are no matter of a conversion.
    if pinned && all_converted {
        return (
            Verdict::Leave,
            Reason::AlreadyConverted,
            "The pages are pinned, and every release is an unpin call.".into(),
        );
    }
    if let Some(r) = t.by_number.first().map(|r| &c.releases[r.0 as usize]) {
        let s = format!(
            "The page becomes a number; {}() drops the page of one, and whose numbers come there is not counted. {}",
            r.function,
            place(index, r.at)
        );
        return (Verdict::Assist, Reason::ByNumber, s);
    }
    if let Some(g) = t.gaps.iter().find(|g| g.code != GapCode::NoRelease) {
        let s = match g.code {
            GapCode::UnknownCallee => {
                format!("The pages go to {}(), a function or macro that could not be followed.", g.detail)
            }
            GapCode::IndirectCall => format!("The pages go through a function pointer: {}.", g.detail),
            GapCode::Damaged => format!("{}() could not be parsed whole.", g.detail),
            GapCode::Bio | GapCode::Skb | GapCode::Pipe | GapCode::PageTable => {
                format!("{}() takes the pages ({}).", g.detail, g.code.code())
            }
            GapCode::AddressOnly => {
                format!("The page becomes a number; {}() takes or makes the page of one.", g.detail)
            }
            GapCode::Budget => format!("The search was given up at {}.", g.detail),
            _ => format!("The trace is lost: {} ({}).", g.detail, g.code.code()),
        };
        let s = format!("{s} {}", place(index, g.at));
        let reason = if g.code == GapCode::Damaged { Reason::Damaged } else { Reason::Gap };
        return (Verdict::Assist, reason, s);
    }
    if t.releases.is_empty() {
        return (Verdict::Assist, Reason::NoRelease, "No release of the pages was found.".into());
    }
    if let Some(s) = kept_for_good(c, t, index) {
        return (Verdict::Assist, Reason::NoRelease, s);
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
            let s = format!("{}() in {}() may also drop pages of {}.", r.callee, r.function, origin(index, o));
            return (Verdict::Assist, Reason::MixedOrigin, s);
        }
        if api.release(&r.callee).is_some_and(|f| f.counter) {
            let s = format!(
                "{}() in {}() takes references off the count itself: no release of pins does that ({}).",
                r.callee,
                r.function,
                place(index, r.at)
            );
            return (Verdict::Assist, Reason::NoRule, s);
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
