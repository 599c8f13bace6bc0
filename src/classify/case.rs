//! Which CASE of `pin_user_pages.rst` a pin that transfers data is: 1, 2 or 5, and what shows it.
//!
//! It looks at what the code does with the pages and where it drops them. It gives no verdict.

use super::access::{Access, cpu_access, given_away, only_flushes, transfer};
use super::place;
use crate::ast::{Expr, ExprKind};
use crate::entries::Entries;
use crate::index::Index;
use crate::kernel::Api;
use crate::program::Program;
use crate::sites;
use crate::source::{Name, Span};
use crate::trace::{Custody, GapCode, Holder, HolderKind, PinSite, PinTrace, ReleaseId, Use, UseKind, Writes};

/// The flag of a pin that is for long, which shows it.
const LONG_TERM: &str = "FOLL_LONGTERM";

/// What decided the case of pages that stay somewhere behind the call.
const KEPT: &str = "pages are kept in an object";

/// What decided the case of a trace whose pages are reached by their physical address ([`PinTrace::case_why`]).
pub const GIVEN_AWAY: &str = "the physical address is given away while the page is held";

/// The same for pages of which a number is kept.
const NUMBER_KEPT: &str = "the physical address is kept until the page is made of it again";

/// Whether the address of a page is only made into another number of it: `__pa(page_address(page))`.
fn only_number(index: &Index, u: &Use) -> bool {
    let Some(f) = index.function_at(u.at) else { return false };
    let mut found = false;
    f.body.walk_exprs(&mut |e| {
        let Some((name, [arg])) = e.call() else { return };
        found |= Api::get().converts_address(name) && plain_call(arg).is_some_and(|s| s.contains(u.at.span));
    });
    found
}

/// The call that an expression is, casts aside.
fn plain_call(e: &Expr) -> Option<Span> {
    match &e.kind {
        ExprKind::Cast(_, a) => plain_call(a),
        ExprKind::Call { .. } => Some(e.span),
        _ => None,
    }
}

/// CASE 1, 2 or 5, with what decided.
pub(super) fn case_of(c: &Custody, t: &PinTrace, site: &PinSite, index: &Index, entries: &Entries) -> (u8, String) {
    if asks_long_term(index, site) {
        return (2, LONG_TERM.into());
    }
    // Dropped within the call that pins, or when a transfer is done: CASE 1, wherever they were kept meanwhile.
    let long = || !t.local && (t.releases.is_empty() || entries.outlives(c, t).is_some());
    if let Some(u) = t.uses.iter().find(|u| u.kind == UseKind::Io) {
        let long = long();
        return (if long { 2 } else { 1 }, format!("{}()", u.callee));
    }
    let cpu = |u: &&Use| match u.kind {
        UseKind::Write | UseKind::Read => true,
        UseKind::Map => !only_number(index, u) && !index.function_at(u.at).is_some_and(|f| only_flushes(&f)),
        _ => false,
    };
    let here = index.function_at(site.at);
    if t.local
        && let Some(name) = here.as_deref().and_then(transfer)
    {
        return (1, format!("{name}()"));
    }
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
    // Whoever keeps the number has the page for as long; it comes back to be dropped where nothing is pinned.
    let apart = |r: &ReleaseId| c.releases.get(r.0 as usize).is_some_and(|r| r.function != site.function);
    let number = t.uses.iter().any(|u| matches!(u.kind, UseKind::Address | UseKind::Map));
    let by_number = || !t.by_number.is_empty() || t.gaps.iter().any(|g| g.code == GapCode::AddressOnly);
    if number && by_number() && t.releases.iter().all(apart) {
        return (2, NUMBER_KEPT.into());
    }
    if long() { (2, KEPT.into()) } else { (1, "pages stay with the call".into()) }
}

/// The function that copies between the pages of an iterator and other memory, where that is all that becomes of them.
fn copied_only(c: &Custody, t: &PinTrace, index: &Index, site: &PinSite) -> Option<Name> {
    let beside = |r: &ReleaseId| c.releases[r.0 as usize].at.file == site.at.file;
    if t.gaps.iter().any(|g| g.code != GapCode::IterOrigin) || t.releases.is_empty() || !t.releases.iter().all(beside) {
        return None;
    }
    if t.uses.iter().any(|u| u.kind == UseKind::Io) {
        return None;
    }
    let functions = t.functions.iter().filter(|l| l.file == site.at.file).filter_map(|l| index.function_at(*l));
    functions.into_iter().find(|f| cpu_access(f, false) == Access::Write).map(|f| f.name.clone())
}

/// Whether the flags of a pin name `FOLL_LONGTERM`, or a variable or a field that is set from it.
pub(super) fn asks_long_term(index: &Index, site: &PinSite) -> bool {
    let (Some(func), Some(flags)) = (index.function_at(site.at), site.flags) else { return false };
    let Some(flags) = sites::find(&func, flags) else { return false };
    if sites::asks(&func, flags, LONG_TERM) == Some(true) {
        return true;
    }
    // `user->gup_flags`, which another function of the file fills.
    let ExprKind::Field { name, .. } = &flags.kind else { return false };
    index.naming(site.at.file, name).into_iter().filter_map(|f| index.parsed(f)).any(|f| {
        let mut found = false;
        f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(_, to, from) = &e.kind
                && matches!(&to.kind, ExprKind::Field { name: n, .. } if n == name)
            {
                found |= sites::asks(&f, from, LONG_TERM) == Some(true);
            }
        });
        found
    })
}

/// The case of a call that takes the pages of an iterator: mostly those of one request.
pub(super) fn of_iterator(c: &Custody, t: &PinTrace, index: &Index, site: &PinSite, entries: &Entries) -> (u8, String) {
    if let Some(name) = copied_only(c, t, index, site) {
        return (5, format!("{name}() copies by the CPU"));
    }
    // A gap may be where the transfer ends.
    let whole = t.gaps.iter().all(|g| g.code == GapCode::IterOrigin);
    match entries.until_closed(c, t).filter(|_| whole) {
        Some(_) => (2, KEPT.into()),
        None => (1, "an iterator over the memory of one request".into()),
    }
}

/// What shows the case to a reader, where that is more than what decided it.
pub(super) fn shown(c: &Custody, t: &PinTrace, index: &Index, entries: &Entries) -> Option<String> {
    let by_call = t.case_why.ends_with("()");
    // The call that begins something says more than the one that ends it.
    let begins = |u: &&Use| !["unmap", "for_cpu"].iter().any(|w| u.callee.contains(w));
    match t.case {
        1 if by_call => {
            let mut io = t.uses.iter().filter(|u| u.kind == UseKind::Io);
            let of_device = io.clone().any(|u| t.case_why == format!("{}()", u.callee));
            let begin = io.find(begins).filter(|_| of_device);
            match begin {
                Some(u) => Some(format!("{}()", u.callee)),
                None => t.case_why.contains("unmap").then(|| format!("mapped for a device until {}", t.case_why)),
            }
        }
        2 if by_call || t.case_why == KEPT => {
            if let Some(o) = entries.until_closed(c, t).or_else(|| entries.outlives(c, t)) {
                let by = if *o.entry == *o.release { String::new() } else { format!(", by way of {}()", o.entry) };
                return Some(format!(
                    "the pages stay in {} until {}() drops them ({}){by}",
                    o.holder,
                    o.release,
                    place(index, o.at)
                ));
            }
            let keeps = |h: &&Holder| matches!(h.kind, HolderKind::Field | HolderKind::Global);
            let kept = t.holders.iter().find(keeps).filter(|_| t.releases.is_empty())?;
            Some(format!("the pages are kept in {}, and no release was found", kept.text))
        }
        5 if by_call => {
            let used = |kind: UseKind| t.uses.iter().filter(move |u| u.kind == kind);
            if let Some(u) = used(UseKind::Write).find(begins) {
                return Some(format!("{}() writes to the data", u.callee));
            }
            let site = c.sites.get(t.site.0 as usize)?;
            let asked = match site.writes {
                Writes::Always => ", and they are pinned to be written to",
                Writes::Conditional => ", and may be pinned to be written to",
                Writes::Never | Writes::Unknown => "",
            };
            let u = used(UseKind::Map).find(begins)?;
            Some(format!("the processor gets at the pages by {}(){asked}", u.callee))
        }
        _ => None,
    }
}
