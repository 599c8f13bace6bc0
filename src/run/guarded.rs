//! What keeps pages of another origin from the releases of a plan, for its message.

use crate::trace::{Custody, PinTrace};

/// A condition of the code that lets only pins get to a release.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Guarded {
    /// The function with the release.
    pub function: String,
    /// The condition, as written.
    pub guard: String,
    /// Where pages that it keeps out come from.
    pub from: String,
}

/// What keeps pages of another origin from the releases of a trace.
pub(super) fn of<'a>(custody: &'a Custody, trace: &'a PinTrace) -> impl Iterator<Item = Guarded> {
    let releases = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize));
    releases.filter_map(|r| {
        let (guard, from) = (r.guarded_by.clone()?, r.foreign.first()?.what.to_string());
        Some(Guarded { function: r.function.to_string(), guard, from })
    })
}
