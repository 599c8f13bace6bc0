//! The hazards of pinned file pages as an executable model: why `put_page()` is not enough, and what closes which race.
//!
//! [`SCENARIOS`] are asked one question each ([`explore::Question`]) of a small transition system whose page is one of
//! [`crate::model`]. Everything is explored breadth first, so a trace that is shown is a shortest one, and "holds"
//! means that every reachable state was seen. A liveness question asks whether what is owed can always still be done.
//!
//! This module knows nothing of C, of sites or of plans; it explains why the conversion is worth doing. It models one
//! page, one device and one pin at a time, sequentially consistent memory, and steps that are atomic where the kernel
//! has a lock or a barrier.
//!
//! # Regression values
//! Trace lengths and verdicts agree with those of an independent prototype (see the tests), with these remarks:
//! - *States of `writeback-dma`.* The prototype names 38 and does not say what it counted. Here 32 states are seen
//!   until the violation is found. 38 is the number of states at most as far away as the violation, without the
//!   violating one, when write faults do not wait for writeback (`stable=off`); from either start, which makes this
//!   reading likely. With `stable=off` the fixes need `gup-refuses-wb=on` as well (`direct-io-early-pin`), so the
//!   scenario keeps `stable=on`, where each fix stands alone.
//! - *`no-buffers`, `lost-data`.* Twelve steps both. For `lost-data` the device has to write after writeback took the
//!   page, otherwise its data is on the disk and only the dirty mark is lost; the same length, another order.
//! - *A driver that leaks.* "Wait is not live" is shown with a pin that is never dropped (`release=never`): with one
//!   that is dropped some day the question "can it still be done" has the answer yes, however long it takes.

mod command;
pub mod explore;
mod file_page;
mod font;
mod fork;
pub mod knobs;
mod longterm;
mod scenario;
mod scenarios;
mod story;
mod svg;
#[cfg(test)]
mod tests;
mod tracking;

pub use command::{Format, ModelArgs, command, list};
pub use file_page::Owed;
pub use scenario::{Machine, Role, Scenario, Variant};
pub use scenarios::SCENARIOS;
pub use story::{Outcome, Story, VariantStory, diagram, text};
pub use svg::svg;

use crate::error::UserError;
use explore::Answer;

/// Most states of one exploration. The largest scenario has some hundred.
pub const BOUND: usize = 200_000;

/// Version of the JSON layout.
const SCHEMA: u32 = 1;

/// The scenario of this name.
///
/// # Errors
/// There is none; the message lists the names.
pub fn scenario(name: &str) -> Result<&'static Scenario, UserError> {
    SCENARIOS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
        UserError::new(
            format!("no scenario `{name}`"),
            "the name is not in the list",
            format!("scenarios: {}; `gupconv model --list` describes them", names.join(", ")),
        )
    })
}

/// Explores a scenario with some knobs set otherwise (`knob=value`). Its variants are explored only with the settings
/// of the scenario itself: their titles say what they change, and speak of nothing else.
///
/// # Errors
/// An unknown scenario, knob or value; the message lists the valid ones.
pub fn run(name: &str, overrides: &[String]) -> Result<Story, UserError> {
    run_bounded(name, overrides, BOUND)
}

/// [`run`] with another bound on the number of states.
///
/// # Errors
/// As [`run`].
pub fn run_bounded(name: &str, overrides: &[String], bound: usize) -> Result<Story, UserError> {
    let scenario = scenario(name)?;
    let base = scenario.settings();
    let own = base.parse_all(overrides)?;
    let set = base.replaced(&own);
    let pairs = |set: &[(&str, &str)]| set.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
    let variants = if own.is_empty() { scenario.variants } else { &[] };
    Ok(Story {
        schema: SCHEMA,
        scenario: scenario.name,
        title: scenario.title,
        problem: scenario.problem,
        property: scenario.property,
        liveness: scenario.question == explore::Question::CanAlwaysPay,
        stuck: scenario.stuck,
        knobs: set.pairs().iter().map(|(n, v)| format!("{n}={v}")).collect(),
        changed: own.iter().map(|(n, v)| format!("{n}={v}")).collect(),
        outcome: outcome(scenario.answer(&set, bound)),
        variants: variants
            .iter()
            .map(|v| VariantStory {
                title: v.title,
                role: v.role,
                set: pairs(v.set),
                outcome: outcome(scenario.answer(&base.with(v.set), bound)),
            })
            .collect(),
    })
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Holds { states } => Outcome { verdict: "holds", steps: vec![], waits: None, states },
        Answer::Broken { trace, waits, states } => Outcome { verdict: "violated", steps: trace, waits, states },
        Answer::Unfinished { states } => Outcome { verdict: "unfinished", steps: vec![], waits: None, states },
    }
}
