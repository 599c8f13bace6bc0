//! A run as plain data, and as text for a terminal.

use super::explore::Taken;
use super::scenarios::Role;
use serde::Serialize;
use std::fmt::Write as _;

/// Every actor, in the order of the columns.
const ACTORS: &[&str] = &[
    "CPU",
    "parent",
    "GUP",
    "driver",
    "device",
    "writeback",
    "reclaim",
    "truncate",
    "other file",
    "other user",
    "owner",
];

/// The answer of one exploration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Outcome {
    /// `violated`, `holds` or `unfinished`.
    pub verdict: &'static str,
    /// The shortest trace; empty unless violated.
    pub steps: Vec<Taken>,
    /// States seen.
    pub states: usize,
}

/// A fix or half fix, explored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VariantStory {
    /// What it is.
    pub title: &'static str,
    /// What for.
    pub role: Role,
    /// Its settings, `knob=value`.
    pub set: Vec<String>,
    /// What came out.
    pub outcome: Outcome,
}

/// A scenario, told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Story {
    /// Version of the record layout.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: &'static str,
    /// One line.
    pub title: &'static str,
    /// What goes wrong.
    pub problem: &'static str,
    /// What must hold.
    pub property: &'static str,
    /// The property says what can always still happen, not what never happens.
    pub liveness: bool,
    /// Settings of the run, `knob=value`.
    pub knobs: Vec<String>,
    /// What came out.
    pub outcome: Outcome,
    /// The same question under other settings.
    pub variants: Vec<VariantStory>,
}

impl Story {
    /// Actors of the trace, neighbours side by side.
    pub fn actors(&self) -> Vec<&'static str> {
        let acts = |actor: &str| self.outcome.steps.iter().any(|s| s.actor == actor);
        ACTORS.iter().copied().filter(|actor| acts(actor)).collect()
    }

    /// The verdict as a sentence.
    pub fn sentence(&self) -> String {
        let n = self.outcome.steps.len();
        let plural = if n == 1 { "" } else { "s" };
        match self.outcome.verdict {
            "violated" if self.liveness => {
                format!(
                    "Stuck after {n} step{plural}; nothing that can still happen makes it true that {}.",
                    self.property
                )
            }
            "violated" => format!("Violated after {n} step{plural}. It should be that {}.", self.property),
            "holds" => format!("Holds in all {} states: {}.", self.outcome.states, self.property),
            _ => unfinished(self.outcome.states),
        }
    }
}

fn unfinished(states: usize) -> String {
    format!("Not decided: stopped after {states} states. This proves nothing.")
}

/// For a terminal: the steps in columns, in words, and what each fix does.
pub fn text(story: &Story) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: {}\n", story.scenario, story.title);
    paragraph(&mut out, "", story.problem);
    let steps = &story.outcome.steps;
    if !steps.is_empty() {
        out.push('\n');
        out.push_str(&diagram(story));
        out.push_str("\nIn words\n");
        for (i, step) in steps.iter().enumerate() {
            paragraph(&mut out, &format!("{:>3}  ", i + 1), &format!("{}: {}", step.actor, step.long));
        }
    }
    let _ = writeln!(out, "\n{}", story.sentence());
    if !story.variants.is_empty() {
        out.push_str("\nThe same question with\n");
        for v in &story.variants {
            let result = match v.outcome.verdict {
                "violated" => format!("VIOLATED in {} steps", v.outcome.steps.len()),
                "holds" => format!("holds, {} states", v.outcome.states),
                _ => unfinished(v.outcome.states),
            };
            let _ = writeln!(out, "  {:<62} {result}", v.title);
            let _ = writeln!(out, "      {}", v.set.join(" "));
        }
    }
    let _ = writeln!(out, "\nKnobs (--set knob=value): {}", story.knobs.join(" "));
    out
}

/// The trace in columns by actor, one line a step; empty when nothing is violated.
pub fn diagram(story: &Story) -> String {
    let mut out = String::new();
    if story.outcome.steps.is_empty() {
        return out;
    }
    let actors = story.actors();
    let widths: Vec<usize> = actors
        .iter()
        .map(|actor| {
            let own = story.outcome.steps.iter().filter(|s| s.actor == *actor);
            own.map(|s| s.short.chars().count()).chain([actor.len()]).max().unwrap_or(0) + 2
        })
        .collect();
    let mut line = |number: &str, column: usize, text: &str| {
        let before: usize = widths[..column].iter().sum();
        let _ = writeln!(out, "{number:>3}  {}{text}", " ".repeat(before));
    };
    let head: String = actors.iter().zip(&widths).map(|(actor, &width)| format!("{actor:<width$}")).collect();
    line("", 0, head.trim_end());
    let last = story.outcome.steps.len();
    for (i, step) in story.outcome.steps.iter().enumerate() {
        let column = actors.iter().position(|a| *a == step.actor).unwrap_or(0);
        let mark = if i + 1 == last { "  <==" } else { "" };
        line(&(i + 1).to_string(), column, &format!("{}{mark}", step.short));
    }
    out
}

/// Wraps at 100 characters, with a hanging indent.
fn paragraph(out: &mut String, head: &str, text: &str) {
    let indent = " ".repeat(head.len());
    let mut line = head.to_string();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > 100 {
            let _ = writeln!(out, "{line}");
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{line}");
}
