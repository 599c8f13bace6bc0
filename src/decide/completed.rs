//! A trace that pins, and drops some of its pages as plain references: the releases that are left to change.
//!
//! Somebody converted it by hand and missed a release, so each page that comes there keeps the greater part of its pin
//! for ever. The rewrite is no conversion but the end of one: the call that pins stays, and so do the releases that
//! drop pins. It is right for the same reasons, and all of them are asked for: every page that reaches a release that
//! changes is from a pin, and no other drop of these pages is known.

use super::tracked;
use super::{Decision, Group, place};
use crate::kernel::{AcquireKind, Api};
use crate::plan::Plan;
use crate::program::Program;
use crate::trace::{Custody, PinSite, PinTrace, Reason, Release, Verdict};

/// Whether all pages of the group are pins, and only some of its releases say so.
pub(super) fn applies(custody: &Custody, group: &[usize]) -> bool {
    let api = Api::get();
    let pins = |s: &PinSite| api.acquire(&s.api).is_some_and(|a| a.kind == AcquireKind::Pin);
    let traces = || group.iter().filter_map(|&i| custody.traces.get(i));
    let all_pins = group.iter().all(|&i| custody.sites.get(i).is_some_and(pins));
    // One that is converted, with releases of other references beside, would have these changed as well.
    let done = |t: &PinTrace| t.verdict == Verdict::Convert || left(custody, t).next().is_none();
    let only_pins =
        |r: &Release| r.foreign.is_empty() && r.pins.iter().all(|p| custody.sites.get(p.0 as usize).is_some_and(pins));
    let mut odd = traces().flat_map(|t| left(custody, t)).peekable();
    let half = traces().any(|t| t.releases.len() > left(custody, t).count());
    all_pins && half && odd.peek().is_some() && traces().all(done) && odd.all(only_pins)
}

/// Releases of a trace that drop a plain reference.
fn left<'a>(custody: &'a Custody, trace: &'a PinTrace) -> impl Iterator<Item = &'a Release> {
    let plain = |r: &&Release| Api::get().release(&r.callee).is_some_and(|f| !f.converted);
    trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)).filter(plain)
}

/// Why the releases that are left must not be changed.
pub(super) fn obstacle(program: &dyn Program, custody: &Custody, group: &[usize]) -> Option<(Reason, String)> {
    let wanted = group.iter().filter(|&&i| custody.traces[i].verdict == Verdict::Convert);
    let mut traces = wanted.filter_map(|&i| Some((custody.sites.get(i)?, custody.traces.get(i)?)));
    traces.find_map(|(site, trace)| {
        let found = tracked::foreign(program, custody, trace);
        let (reason, why) = found.or_else(|| tracked::other_drop(program, custody, site, trace))?;
        Some(match tracked::half_converted(program, custody, site, trace) {
            Some((reason, bug)) => (reason, format!("{bug} The tool does not fix it: {why}")),
            None => (reason, why),
        })
    })
}

/// The decision, given the plans: the first that changes no more than which kind of reference is dropped.
pub(super) fn decide(group: &Group<'_>, mut plans: Vec<Plan>) -> Decision {
    plans.retain(|p| p.strengthens.is_empty());
    let mut decision = super::choose(group, plans);
    let (Some(site), Some(release)) = (group.sites.first(), group.releases.first()) else { return decision };
    let said = format!(
        "{}() takes a pin, and {}() at {} drops one plain reference of it",
        site.api,
        release.callee,
        place(group.program, release.at)
    );
    let why = match (&decision.verdict, decision.why.take()) {
        (Verdict::Convert, _) => format!("{said}: the rest of the pin is left on the page for ever."),
        (_, Some((_, text))) => format!("{said}. That is a bug to be fixed by itself. {text}"),
        (_, None) => format!("{said}. That is a bug to be fixed by itself."),
    };
    decision.why = Some((Reason::HalfConverted, why));
    decision
}
