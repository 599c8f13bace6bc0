//! What a tree that counts pins apart demands of a group of sites, beyond what every dialect demands.
//!
//! Where `unpin_user_page()` exists it drops a pin, not a reference: the acquiring calls and all releases change
//! together, and one release that is not known leaves every page with a wrong count. So the questions here are: is it a
//! pin at all by `Documentation/core-api/pin_user_pages.rst`, is nothing of it converted yet, can anything else drop
//! the pages, and what does the pinning call do no more. It makes no plan.

use super::place;
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::classify;
use crate::entries::{Entries, Outlives};
use crate::kernel::{AcquireKind, Api};
use crate::plan::Target;
use crate::program::Program;
use crate::rules;
use crate::source::{Loc, Name};
use crate::trace::{Custody, Dirty, PinSite, PinTrace, Reason, Release, UseKind, Verdict, Writes};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why the group must not be converted in such a tree; `None` when nothing stands in the way.
pub(super) fn obstacle(
    program: &dyn Program,
    custody: &Custody,
    group: &[usize],
    target: &Target,
) -> Option<(Reason, String)> {
    let wanted = group.iter().filter(|&&i| custody.traces[i].verdict == Verdict::Convert);
    let traces: Vec<(&PinSite, &PinTrace)> =
        wanted.filter_map(|&i| Some((custody.sites.get(i)?, custody.traces.get(i)?))).collect();
    traces.iter().find_map(|(site, trace)| of_site(program, custody, site, trace, target))
}

/// Why one site of it must not be.
fn of_site(
    program: &dyn Program,
    custody: &Custody,
    site: &PinSite,
    trace: &PinTrace,
    target: &Target,
) -> Option<(Reason, String)> {
    half_converted(program, custody, site, trace)
        .or_else(|| no_case(program, custody, site, trace))
        .or_else(|| other_mm(program, site, trace, target))
        .or_else(|| callers_decide(program, custody, site, trace))
        .or_else(|| foreign(program, custody, trace))
        .or_else(|| no_twin(program, site, target))
        .or_else(|| other_drop(program, custody, site, trace))
        .or_else(|| loses_dirty(program, custody, site, trace))
}

/// What the obstacle of its group is to one site: its own, if that is one of the kind, else that of another pin. `None`
/// where the words speak of this site, or where the obstacle was not found here.
pub(super) fn as_told_to(
    program: &dyn Program,
    custody: &Custody,
    (group, me): (&[usize], usize),
    target: &Target,
    (reason, text): &(Reason, String),
) -> Option<String> {
    let of = |i: usize| {
        let (site, trace) = (custody.sites.get(i)?, custody.traces.get(i)?);
        of_site(program, custody, site, trace, target).filter(|_| trace.verdict == Verdict::Convert)
    };
    let told = |i: &usize| of(*i).is_some_and(|(r, t)| r == *reason && t == *text);
    let first = group.iter().copied().find(told)?;
    match of(me) {
        Some((own, words)) if own == *reason => Some(words),
        _ => {
            let at = place(program, custody.sites.get(first)?.at);
            Some(format!("Of the pin at {at}, which shares a release with this one: {text}"))
        }
    }
}

/// Begins what is to be decided about pages that stay pinned; what is before it says which those are.
pub const EITHER_LONGTERM: &str = ": either FOLL_LONGTERM";
/// Of pages that nobody marks dirty.
pub const UNDIRTIED: &str = "nothing was seen that marks them dirty, before or after";

/// What a person should decide before the patch is sent: changes of behaviour that the tool does not make by itself.
pub(super) fn proposals(entries: &Entries, custody: &Custody, group: &[usize], leaves_holes: bool) -> Vec<String> {
    let program = entries.program();
    let mut out = Vec::new();
    if leaves_holes {
        // follow_pfn_pte() refuses FOLL_GET alone (v5.7 and v5.10 mm/gup.c).
        out.push(
            "pin_user_pages*() of this tree counts memory without struct page as pinned and leaves its entry \
             unwritten, where get_user_pages*() fails: no such mapping is passed."
                .to_string(),
        );
    }
    for (site, trace) in group.iter().filter_map(|&i| Some((custody.sites.get(i)?, custody.traces.get(i)?))) {
        if trace.verdict != Verdict::Convert {
            continue;
        }
        if let Some(o) = long_term(entries, custody, site, trace) {
            out.push(format!(
                "The pages of {}() stay in {} until {}() drops them ({}) on another path, such as that of \
                 {}(){EITHER_LONGTERM} belongs to the pin (pin_user_pages.rst; it changes what can be pinned, so it is \
                 not added), or the pages should not be kept.",
                site.function,
                o.holder,
                o.release,
                place(program, o.at),
                o.entry
            ));
        }
        match super::Undirtied::of(program, custody, trace) {
            Some(super::Undirtied::Written(how)) => {
                out.push(format!("{}() asks for pages to write to, {how}, and {UNDIRTIED}.", site.function));
            }
            Some(super::Undirtied::Open) => {
                out.push(format!("The pages of {}() may be written, and {UNDIRTIED}.", site.function));
            }
            Some(super::Undirtied::Read(_)) | None => {}
        }
    }
    out.dedup();
    out
}

/// The pages are kept beyond the call, and the pin does not say so.
pub(super) fn long_term(entries: &Entries, custody: &Custody, site: &PinSite, trace: &PinTrace) -> Option<Outlives> {
    // Flags that are put together elsewhere may hold it.
    let asked = memchr::memmem::find(&entries.program().text(site.at.file), b"FOLL_LONGTERM").is_some();
    if asked || trace.verdict != Verdict::Convert { None } else { entries.outlives(custody, trace) }
}

fn releases<'a>(custody: &'a Custody, trace: &'a PinTrace) -> impl Iterator<Item = &'a Release> {
    trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize))
}

fn flags(program: &dyn Program, site: &PinSite) -> String {
    site.flags.map_or_else(String::new, |span| span.text(&program.text(site.at.file)))
}

/// A part of the trace speaks of pins already: what is left is a bug to be fixed, no conversion.
pub(super) fn half_converted(
    program: &dyn Program,
    custody: &Custody,
    site: &PinSite,
    trace: &PinTrace,
) -> Option<(Reason, String)> {
    let api = Api::get();
    let pins = api.acquire(&site.api).is_some_and(|a| a.kind == AcquireKind::Pin);
    let odd = releases(custody, trace).find(|r| api.release(&r.callee).is_some_and(|f| f.converted != pins))?;
    // Dropped rightly, for a site of that kind which comes the same way.
    let kind = |s: &PinSite| api.acquire(&s.api).is_some_and(|a| a.kind == AcquireKind::Pin);
    let other = odd.pins.iter().filter_map(|p| custody.sites.get(p.0 as usize)).find(|s| kind(s) != pins);
    if let Some(other) = other {
        let text = format!(
            "{}() at {} drops the pages of {}() at {}, which come the same way: what tells the two apart there is not \
             followed.",
            odd.callee,
            place(program, odd.at),
            other.api,
            place(program, other.at)
        );
        return Some((Reason::SharedRelease, text));
    }
    let should = if pins { "unpin_user_page()" } else { "put_page()" };
    let text = format!(
        "{}() takes {}, but {}() drops it at {}, where {should} would be right. If the page comes that far, it is \
         a bug to be fixed by itself.",
        site.api,
        if pins { "a pin" } else { "a plain reference" },
        odd.callee,
        place(program, odd.at)
    );
    Some((Reason::HalfConverted, text))
}

/// CASE 1, 2 and 5 need a pin. Each must be shown by what the code does with the pages.
fn no_case(program: &dyn Program, custody: &Custody, site: &PinSite, trace: &PinTrace) -> Option<(Reason, String)> {
    let shown = matches!(trace.case, 1 | 2 | 5)
        && (flags(program, site).contains("FOLL_LONGTERM")
            || trace.case_why == classify::GIVEN_AWAY
            // The release says that the data was written.
            || releases(custody, trace).any(|r| r.dirty != Dirty::None)
            || trace.uses.iter().any(|u| match u.kind {
                UseKind::Io | UseKind::Write => true,
                UseKind::Map => site.writes != Writes::Never,
                // Something else reaches the memory by its physical address for as long as the object keeps the page.
                UseKind::Address => !trace.local,
                _ => false,
            }));
    let text = "Nothing shows that a device, or the processor by writing, gets at the data through this reference: \
                pin_user_pages.rst asks for a pin in that case only.";
    if shown {
        return None;
    }
    // The trace is whole, so this is all that is done with the page.
    let reads = trace.uses.iter().any(|u| matches!(u.kind, UseKind::Map | UseKind::Read));
    let once = trace.uses.iter().all(|u| u.kind != UseKind::Address)
        && releases(custody, trace).all(|r| r.function == site.function && r.dirty == Dirty::None);
    if site.writes == Writes::Never && reads && once {
        let text = "The processor reads the page and drops it in the same function: pin_user_pages.rst asks for a pin \
                    only where the data is written, or a device gets at it.";
        return Some((Reason::ShortRead, text.to_string()));
    }
    Some((Reason::CaseUnknown, text.to_string()))
}

/// Only the processor gets at the data, as far as the trace tells.
fn processor_only(trace: &PinTrace) -> bool {
    trace.case == 5 && trace.uses.iter().all(|u| u.kind != UseKind::Io)
}

/// A pin in another process marks its whole address space (`mm_set_has_pinned_flag()`, v6.12 mm/gup.c).
fn other_mm(program: &dyn Program, site: &PinSite, trace: &PinTrace, target: &Target) -> Option<(Reason, String)> {
    let mark = target.marks_mm?;
    if !processor_only(trace) || !site.api.ends_with("_remote") {
        return None;
    }
    let function = program.function_at(site.at)?;
    let mm = address_space(program, &function, site)?;
    let own = |e: &Expr| matches!(&e.kind, ExprKind::Field { base, name, .. } if &**name == "mm" && base.ident().is_some_and(|n| &**n == "current"));
    let is_own = own(mm) || mm.ident().is_some_and(|n| values(&function, n).is_some_and(|v| v.iter().all(|e| own(e))));
    let text = mm.span.text(&program.text(site.at.file));
    let why = format!(
        "Only the processor touches the data, and `{text}` is not shown to be current->mm: a pin marks that whole \
         process ({mark}, never cleared) where fork() looks for pins."
    );
    (!is_own).then_some((Reason::OtherMm, why))
}

/// The argument with the address space: it stands before the start address, which stands before the count.
fn address_space<'a>(program: &dyn Program, function: &'a Function, site: &PinSite) -> Option<&'a Expr> {
    let mut found = None;
    function.body.walk_exprs(&mut |e| {
        if e.span == site.call {
            found = e.call();
        }
    });
    let (_, args) = found?;
    let names = program.parameters(&site.api);
    let count = Api::get().acquire(&site.api)?.roles(args.len(), names.as_deref()).count?;
    args.get(count.checked_sub(2)?)
}

/// Everything that a variable is set to; `None` when that is not all there is to see.
fn values<'a>(function: &'a Function, name: &Name) -> Option<Vec<&'a Expr>> {
    let mut found = Vec::new();
    let mut escapes = function.params.iter().any(|p| p.name == *name);
    function.body.walk(&mut |s| {
        if let StmtKind::Decl(all) = &s.kind {
            found.extend(all.iter().filter(|d| d.name == *name).filter_map(|d| d.init.as_ref()));
        }
    });
    function.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, to, value) if to.ident() == Some(name) => found.push(value),
        ExprKind::Unary(UnOp::AddrOf, of) if of.ident() == Some(name) => escapes = true,
        _ => {}
    });
    (!escapes && !found.is_empty()).then_some(found)
}

/// The function that pins gives the page to its callers, and they say whether it is written: those that only read it
/// have no case that asks for a pin.
fn callers_decide(
    program: &dyn Program,
    custody: &Custody,
    site: &PinSite,
    trace: &PinTrace,
) -> Option<(Reason, String)> {
    let beyond = releases(custody, trace).any(|r| r.function != site.function);
    // An array, or a number made of the page, is for more than a touch of the processor.
    let one = site.count.as_ref().is_some_and(|(n, _)| n == "1");
    let number = trace.uses.iter().any(|u| u.kind == UseKind::Address);
    if !processor_only(trace) || !one || number || site.writes != Writes::Conditional || !beyond {
        return None;
    }
    let function = program.function_at(site.at)?;
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let given = function.params.iter().find(|p| site.write_expr.split(word).any(|w| *w == *p.name))?;
    let text = format!(
        "Only the processor touches the data, and the callers of {}() say by `{}` whether it is written: a caller that \
         reads needs no pin (CASE 5 of pin_user_pages.rst since v5.8 is about writing), so each of them has to be judged.",
        site.function, given.name
    );
    Some((Reason::CallersDecide, text))
}

/// Pages of another origin at a release. A guard in the code is not enough here: were it wrong, the count would be. It
/// is named, with the first of the origins that it keeps out.
pub(super) fn foreign(program: &dyn Program, custody: &Custody, trace: &PinTrace) -> Option<(Reason, String)> {
    let (release, other) = releases(custody, trace).find_map(|r| Some((r, r.foreign.first()?)))?;
    let (callee, at) = (&release.callee, place(program, release.at));
    let text = match &release.guarded_by {
        Some(guard) => format!(
            "`{guard}` keeps pages of {} ({}) away from {callee}() at {at}. A pin is many references in one count: a guard \
             that is wrong for one page only would make the count wrong, so this is for a person to judge.",
            other.what,
            place(program, other.at)
        ),
        None => format!("{callee}() at {at} may also drop pages of {}.", classify::origin(program, other)),
    };
    Some((Reason::MixedOrigin, text))
}

/// The functions that the pages run through, and those of the pin and the releases.
fn functions(program: &dyn Program, custody: &Custody, site: &PinSite, trace: &PinTrace) -> Vec<(Loc, Arc<Function>)> {
    let mut seen = BTreeSet::new();
    let places = trace.functions.iter().copied().chain([site.at]).chain(releases(custody, trace).map(|r| r.at));
    places
        .filter_map(|at| program.function_at(at).map(|f| (at, f)))
        .filter(|(at, f)| seen.insert((at.file, f.span)))
        .collect()
}

/// Without a call that pins, nothing else needs to be looked at.
fn no_twin(program: &dyn Program, site: &PinSite, target: &Target) -> Option<(Reason, String)> {
    let none = rules::twin(target, &site.api).is_none();
    let text = || format!("{}() has no pin_user_pages*() twin in this tree. ({})", site.api, place(program, site.at));
    if none {
        return Some((Reason::NoApi, text()));
    }
    // Behind a `#if` for older kernels, where there is no twin of that form.
    let takes = program.parameters(&site.api)?.len();
    let mut given = takes;
    program.function_at(site.at)?.body.walk_exprs(&mut |e| {
        if let ExprKind::Call { callee, args } = &e.kind
            && callee.span == site.at.span
        {
            given = args.len();
        }
    });
    (given != takes).then(|| {
        let s = format!(
            "{}() is called with {given} arguments and has {takes} parameters in this tree. ({})",
            site.api,
            place(program, site.at)
        );
        (Reason::NoApi, s)
    })
}

/// A call in a function of the trace that drops a reference and is no known release of it. In the placeholder dialects
/// it does no harm; here it would drop one reference of the many that a pin is.
pub(super) fn other_drop(
    program: &dyn Program,
    custody: &Custody,
    site: &PinSite,
    trace: &PinTrace,
) -> Option<(Reason, String)> {
    let api = Api::get();
    let known: BTreeSet<Loc> = custody.releases.iter().map(|r| r.at).collect();
    for (at, f) in functions(program, custody, site, trace) {
        let mut found: Option<(Name, Loc)> = None;
        f.body.walk_exprs(&mut |e| {
            let ExprKind::Call { callee, .. } = &e.kind else { return };
            let Some(name) = callee.ident().filter(|n| api.release(n).is_some()) else { return };
            let here = Loc { file: at.file, span: callee.span };
            let others = custody.frees_others.binary_search(&here).is_ok();
            // The release is known by the drop in its body.
            let inside = api.release(name).is_some_and(|r| r.wrapper);
            let others = others || inside && custody.releases.iter().any(|r| r.function == *name);
            if found.is_none() && !known.contains(&here) && !others {
                found = Some((name.clone(), here));
            }
        });
        if let Some((name, here)) = found {
            let text = format!(
                "{name}() in {}() may drop one of these pages and is no release that can be rewritten ({}).",
                f.name,
                place(program, here)
            );
            return Some((Reason::NoRule, text));
        }
    }
    None
}

/// Whether anything in a function of a release dirties pages.
fn dirties(program: &dyn Program, custody: &Custody, trace: &PinTrace) -> bool {
    let api = Api::get();
    releases(custody, trace).any(|r| {
        let mut found = r.dirty != Dirty::None;
        if let Some(f) = program.function_at(r.at) {
            f.body.walk_exprs(&mut |e| found |= e.call().is_some_and(|(n, _)| api.dirty(n).is_some()));
        }
        found
    })
}

/// `get_user_pages()` sets `FOLL_TOUCH`, with which a page pinned for writing is dirtied; `pin_user_pages()` does not
/// (v5.7 and v6.12 mm/gup.c). The fast, remote and unlocked forms set it on both sides.
fn loses_dirty(program: &dyn Program, custody: &Custody, site: &PinSite, trace: &PinTrace) -> Option<(Reason, String)> {
    let touches = matches!(&*site.api, "get_user_pages" | "get_user_pages_longterm");
    if !touches || site.writes == Writes::Never || dirties(program, custody, trace) {
        return None;
    }
    let text = "get_user_pages() dirties pages that it takes for writing (FOLL_TOUCH), pin_user_pages() does not, \
                and no release does: the missing dirtying comes first.";
    Some((Reason::LosesDirty, text.to_string()))
}
