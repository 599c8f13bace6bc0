//! What a trace shows to be wrong in the code as it is, by the rule numbers of SEMANTICS 7 (`GUP006` is L06).
//!
//! Only what the trace proves by itself is said: a false finding is worse than a missed one. Nothing here changes a
//! verdict.

use crate::ast::{Expr, ExprKind};
use crate::kernel::{AcquireKind, Api};
use crate::lex;
use crate::program::Program;
use crate::source::Loc;
use crate::trace::{Custody, Dirty, Dirtying, PinSite, PinTrace, Reason, Writes};
use std::collections::BTreeSet;

mod defects;
mod leak;
mod reads;
mod written;

/// Codes that [`of`] may give, ascending.
pub const CODES: &[&str] =
    &["GUP006", "GUP007", "GUP008", "GUP009", "GUP010", "GUP011", "GUP012", "GUP013", "GUP014", "GUP016", "GUP017"];

/// The pages outlive the call that pins them, and the pin does not ask for that ([`crate::decide`] gives it, where pins
/// are counted apart).
pub const LONG: &str = "GUP017";

/// The negative result of a pin gets to a release as a count, and nothing looks at its sign.
pub const NEGATIVE: &str = "GUP010";

pub use leak::{Leak, Stale};
pub use reads::{Reads, reads};
pub use written::Written;

/// The way out of a function of the trace that loses pages.
pub fn leak(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Leak> {
    let site = c.sites.get(t.site.0 as usize)?;
    let kind = Api::get().acquire(&site.api)?.kind;
    matches!(kind, AcquireKind::Gup | AcquireKind::Pin).then(|| leak::leak(program, c, t))?
}

/// The way out of a function of the trace that releases pages and leaves them mapped.
pub fn mapping_left(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Leak> {
    leak::mapping_left(program, c, t)
}

/// Pages that a rollback released, and that are released once more behind the next pin into their array.
pub fn released_again(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Stale> {
    leak::released_again(program, c, t)
}

/// A short pin is taken for a failure, and nobody drops what was pinned.
pub fn short_pin(program: &dyn Program, c: &Custody, t: &PinTrace) -> bool {
    c.sites.get(t.site.0 as usize).is_some_and(|site| leak::short_pin(program, site))
}

/// The negative result of a pin is taken for that of a whole one.
pub fn failure_passes(program: &dyn Program, c: &Custody, t: &PinTrace) -> bool {
    c.sites.get(t.site.0 as usize).is_some_and(|site| defects::failure_passes(program, c, t, site))
}

/// The release that goes over more entries than were pinned.
pub fn released_beyond(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Loc> {
    let site = c.sites.get(t.site.0 as usize)?;
    let kind = Api::get().acquire(&site.api)?.kind;
    matches!(kind, AcquireKind::Gup | AcquireKind::Pin).then(|| leak::released_beyond(program, c, t))?
}

/// Calls that mark the pages dirty without the page lock, in functions in which no release is that dirties. Only of
/// traces that are whole, and in the file of the pin: objects of one struct are one place, and elsewhere it is often
/// one with other pages in it.
pub fn dirtied_unlocked<'t>(c: &'t Custody, t: &'t PinTrace) -> impl Iterator<Item = &'t Dirtying> {
    let whole = matches!(t.reason, Reason::Complete | Reason::AlreadyConverted);
    let file = c.sites.get(t.site.0 as usize).map(|s| s.at.file).filter(|_| whole);
    let releases = |d: &Dirtying| {
        let all = t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize));
        all.filter(|r| r.at.file == d.at.file && r.function == d.function).any(|r| r.dirty != Dirty::None)
    };
    t.dirtied.iter().filter(move |d| file == Some(d.at.file) && !d.page_locked && !releases(d))
}

/// The pages may be written, and nobody who gets them marks them dirty.
pub fn undirtied(program: &dyn Program, c: &Custody, t: &PinTrace) -> bool {
    c.sites.get(t.site.0 as usize).is_some_and(|site| defects::undirtied(program, c, t, site))
}

/// What shows that pages are written to which nobody marks dirty.
pub fn written(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Written> {
    let site = c.sites.get(t.site.0 as usize).filter(|_| undirtied(program, c, t))?;
    // Where the code tells private mappings from shared ones, no page of a file may be among them.
    let text = program.text(site.at.file);
    let tells = lex::code(&text).any(|t| Api::get().tells_private(t.word(&text)));
    if tells { None } else { written::written(program, site, t) }
}

/// The processor writes to pages that nobody marks dirty, whatever the arguments of the call that pins.
fn stored_undirtied(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let pages_only = t.by_number.is_empty()
        && t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize)).all(|r| r.foreign.is_empty());
    site.writes == Writes::Always && pages_only && matches!(written(program, c, t), Some(Written::Store { .. }))
}

/// The findings of one trace, ascending.
pub fn of(program: &dyn Program, c: &Custody, t: &PinTrace) -> Vec<String> {
    let mut found = BTreeSet::new();
    let site = c.sites.get(t.site.0 as usize);
    if let Some(site) = site {
        if t.releases.iter().any(|r| c.asleep.contains(r)) {
            found.insert("GUP008");
        }
        if short_pin(program, c, t) || leak(program, c, t).is_some() {
            found.insert("GUP009");
        }
        if defects::negative_count(program, c, t, site) {
            found.insert(NEGATIVE);
        }
        if failure_passes(program, c, t) {
            found.insert("GUP016");
        }
        if defects::never_dirtied(program, c, t, site) || stored_undirtied(program, c, t, site) {
            found.insert("GUP011");
        }
    }
    if mapping_left(program, c, t).is_some() {
        found.insert("GUP013");
    }
    if released_beyond(program, c, t).is_some() || released_again(program, c, t).is_some() {
        found.insert("GUP014");
    }
    for d in dirtied_unlocked(c, t) {
        match d.kind {
            Dirty::SetPageDirty => found.insert("GUP006"),
            Dirty::FlagOnly => found.insert("GUP007"),
            _ => false,
        };
    }
    for r in t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize)) {
        // All bios are one place: the release may be of a bio that these pages never come to.
        if r.foreign.iter().any(|o| Api::get().vessels().iter().any(|v| *v.what == *o.what)) {
            continue;
        }
        match r.dirty {
            // The page lock may be taken by somebody that we do not see only where it is seen to be taken.
            Dirty::SetPageDirty if !r.context.page_locked => found.insert("GUP006"),
            Dirty::FlagOnly => found.insert("GUP007"),
            _ => false,
        };
        // Other pins that reach the release may be written.
        let never = site.is_some_and(|s| s.writes == Writes::Never) && r.pins.len() == 1;
        if never && r.dirty != Dirty::None && r.dirty_when.is_empty() && r.foreign.is_empty() {
            found.insert("GUP012");
        }
    }
    found.into_iter().map(String::from).collect()
}

/// Without casts and hints to the compiler.
fn strip(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => strip(a),
        ExprKind::Call { .. } => match e.call() {
            Some((n, [a])) if matches!(&**n, "unlikely" | "likely") => strip(a),
            _ => e,
        },
        _ => e,
    }
}
