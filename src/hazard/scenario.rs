//! What a scenario is: a question to a transition system, with settings under which the answer is worth telling.

use super::explore::{Answer, Question, explore};
use super::file_page::{FilePage, Owed};
use super::fork::Fork;
use super::knobs::Settings;
use super::longterm::LongTerm;
use super::tracking::Tracking;

/// What a variant is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Closes the race.
    Fix,
    /// Looks like a fix, but does not close it.
    HalfFix,
    /// The same hazard from another side.
    Same,
    /// Neither: another setting that is worth seeing.
    Note,
}

/// Other settings of a scenario.
pub struct Variant {
    /// What it is, in a few words.
    pub title: &'static str,
    /// What for.
    pub role: Role,
    /// Settings that differ from those of the scenario.
    pub set: &'static [(&'static str, &'static str)],
}

impl Role {
    /// In a word, for a table.
    pub fn word(self) -> &'static str {
        match self {
            Role::Fix => "cure",
            Role::HalfFix => "no cure",
            Role::Same => "same",
            Role::Note => "note",
        }
    }
}

/// The transition system behind a scenario.
#[derive(Clone, Copy)]
pub enum Machine {
    /// One page of a file.
    FilePage(Owed),
    /// A pin that lasts.
    LongTerm {
        /// On DAX, not in the page cache.
        dax: bool,
    },
    /// What the counts tell.
    Tracking {
        /// Somebody takes one more pin.
        asks_more: bool,
    },
    /// fork() and copy on write.
    Fork,
}

/// A scenario.
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// The part of SEMANTICS 5 it belongs to, `a` to `g`; in JSON only.
    pub part: char,
    /// One line.
    pub title: &'static str,
    /// What goes wrong, and where it was seen.
    pub problem: &'static str,
    /// The property that must hold, as a sentence.
    pub property: &'static str,
    /// Every knob, with the value that shows the problem.
    pub base: &'static [(&'static str, &'static str)],
    /// Fixes and half fixes.
    pub variants: &'static [Variant],
    /// What is so once the property cannot become true any more, behind "from here"; empty unless that is the question.
    pub stuck: &'static str,
    /// What is asked of the system.
    pub question: Question,
    /// Its system.
    pub(super) machine: Machine,
}

impl Scenario {
    /// The settings that show the problem.
    pub fn settings(&self) -> Settings {
        Settings::new(self.base)
    }

    /// Explores it.
    pub fn answer(&self, set: &Settings, bound: usize) -> Answer {
        match self.machine {
            Machine::FilePage(owed) => explore(&FilePage::new(set, owed), self.question, bound),
            Machine::LongTerm { dax } => explore(&LongTerm::new(set, dax), self.question, bound),
            Machine::Tracking { asks_more } => explore(&Tracking::new(set, asks_more), self.question, bound),
            Machine::Fork => explore(&Fork::new(set), self.question, bound),
        }
    }
}
