//! Errors of the code as it is that a rewrite of the releases neither mends nor hides: sentences for the patch.

use super::{place, unlocked};
use crate::findings::{self, Written};
use crate::program::Program;
use crate::source::Loc;
use crate::trace::{Custody, Dirty, PinTrace};

/// Ends a sentence on an error of the code as it is.
pub const OWN_PATCH: &str = "before as after: that wants a patch of its own before this one.";
/// Ends a sentence on what a rewrite leaves as it is.
pub const UNLOCKED: &str = "and no page lock was found to be held there";

/// What is known of pages that may be written to and that nobody marks dirty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undirtied {
    /// Nothing.
    Open,
    /// They are written to: a clause behind one that says when write access is asked for.
    Written(String),
    /// A device reads them, and nothing was seen that writes: a clause on what maps them.
    Read(String),
}

impl Undirtied {
    /// Whether something is seen that writes; `None` where nothing does.
    pub fn seen(&self) -> Option<bool> {
        match self {
            Self::Open => Some(false),
            Self::Written(_) => Some(true),
            Self::Read(_) => None,
        }
    }
    /// Of a trace; `None` where pages may not be written, or somebody may mark them dirty.
    pub fn of(program: &dyn Program, custody: &Custody, t: &PinTrace) -> Option<Self> {
        findings::undirtied(program, custody, t).then(|| match wrote(program, custody, t) {
            Some(how) => Self::Written(how),
            None => findings::reads(program, t).map_or(Self::Open, |r| {
                let at = place(program, r.at);
                Self::Read(format!("{}() maps them with {} ({at}), for the device to read only", r.by, r.direction))
            }),
        })
    }
}

fn wrote(program: &dyn Program, custody: &Custody, t: &PinTrace) -> Option<String> {
    Some(match findings::written(program, custody, t)? {
        Written::Store { function, at, by, mapped } => {
            let how = if mapped { "by the address from" } else { "with" };
            let own = custody.sites.get(t.site.0 as usize).is_some_and(|s| s.function == function);
            let who = if own { String::new() } else { format!("{function}() ") };
            format!("{who}writes to them {how} {by}() ({})", place(program, at))
        }
        Written::ToMemory => "which is the direction of a transfer to them".to_string(),
        Written::Ways { at, with, without } => {
            format!("where their addresses go to `{with}` ({}) and not to `{without}`", place(program, at))
        }
    })
}

/// `path:3, 5 and 7` for places in one file, else each with its path.
pub(super) fn places(program: &dyn Program, at: &[Loc]) -> String {
    let all: Vec<String> = at.iter().map(|at| place(program, *at)).collect();
    let path = at.first().map(|at| format!("{}:", program.path(at.file))).unwrap_or_default();
    let same = at.windows(2).all(|w| w[0].file == w[1].file);
    let line = |(i, p): (usize, &String)| match p.strip_prefix(&path) {
        Some(line) if same && i > 0 => line.to_string(),
        _ => p.clone(),
    };
    list(&all.iter().enumerate().map(line).collect::<Vec<_>>())
}

/// `a, b and c`
pub(super) fn list(places: &[String]) -> String {
    match places {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// That the pages are dirtied in another function than those that release them.
fn released_in(custody: &Custody, t: &PinTrace) -> String {
    let mut functions: Vec<String> = Vec::new();
    for r in t.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)) {
        let name = format!("{}()", r.function);
        if !functions.contains(&name) {
            functions.push(name);
        }
    }
    format!(" The pages are released in {}; the tool mends dirtying only right before a release.", list(&functions))
}

/// What is told of the traces of a group.
pub(super) fn told(program: &dyn Program, custody: &Custody, group: &[usize]) -> Vec<String> {
    let mut out = Vec::new();
    for t in group.iter().filter_map(|&i| custody.traces.get(i)) {
        let Some(site) = custody.sites.get(t.site.0 as usize) else { continue };
        if let Some(l) = findings::leak(program, custody, t) {
            let (jumps, leave) = if l.at.len() == 1 { ("jump", "leaves") } else { ("jumps", "leave") };
            out.push(format!(
                "The {jumps} at {} {leave} {}() without a release of {}, {OWN_PATCH}",
                places(program, &l.at),
                l.function,
                l.what
            ));
        }
        if let Some(l) = findings::mapping_left(program, custody, t) {
            let (jumps, leave) = if l.at.len() == 1 { ("jump", "leaves") } else { ("jumps", "leave") };
            out.push(format!(
                "The {jumps} in {}() at {} {leave} the mapping by {} in place, while its pages are released, {OWN_PATCH}",
                l.function,
                places(program, &l.at),
                l.what
            ));
        }
        if findings::short_pin(program, custody, t) {
            out.push(format!(
                "The way out of {}() behind a short pin by {}() has no release of the pages that were pinned, {OWN_PATCH}",
                site.function, site.api
            ));
        }
        if findings::failure_passes(program, custody, t) {
            out.push(format!(
                "The negative result of {}() in {}() passes for a full one, since it is compared with an unsigned count, \
                 {OWN_PATCH}",
                site.api, site.function
            ));
        }
        if let Some(at) = findings::released_beyond(program, custody, t) {
            let count = site.count.as_ref().map_or("", |c| &c.0);
            out.push(format!(
                "The release at {} goes over all `{count}` entries also when {}() pinned fewer, and the rest were never \
                 written, {OWN_PATCH}",
                place(program, at),
                site.api
            ));
        }
        if let Some(s) = findings::released_again(program, custody, t) {
            out.push(format!(
                "The pages that are released at {} stay in `{}` when {}() pins again, and {}() releases them once more ({}) if \
                 fewer are pinned then, {OWN_PATCH}",
                place(program, s.first),
                s.array,
                site.function,
                s.function,
                place(program, s.again)
            ));
        }
        for d in findings::dirtied_unlocked(custody, t) {
            if matches!(d.kind, Dirty::SetPageDirty | Dirty::FlagOnly) {
                let (function, call, at) = (&d.function, &d.callee, place(program, d.at));
                let why = match &d.atomic {
                    Some(why) => unlocked::may_not_sleep(program, why),
                    None => released_in(custody, t),
                };
                out.push(format!("{function}() marks the pages dirty with {call}() ({at}), {UNLOCKED}.{why}"));
            }
        }
    }
    out.dedup();
    out
}
