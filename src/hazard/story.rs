//! A run as plain data, and as text for a terminal.

use super::explore::Taken;
use super::knobs::KNOBS;
use super::scenario::Role;
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
    /// Who waits for ever after it, where something can never be done.
    pub waits: Option<Taken>,
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
    /// What is so once it cannot happen any more, as a sentence without its end; empty for other properties.
    pub stuck: &'static str,
    /// Settings of the run, `knob=value`.
    pub knobs: Vec<String>,
    /// Those of them that were asked for, and are not the scenario's own.
    pub changed: Vec<String>,
    /// What came out.
    pub outcome: Outcome,
    /// The same question under other settings.
    pub variants: Vec<VariantStory>,
}

impl Story {
    /// Actors of the trace, neighbours side by side.
    pub fn actors(&self) -> Vec<&'static str> {
        let acts = |actor: &str| self.rows().any(|s| s.actor == actor);
        ACTORS.iter().copied().filter(|actor| acts(actor)).collect()
    }

    /// The steps, and who waits after them.
    pub fn rows(&self) -> impl Iterator<Item = &Taken> {
        self.outcome.steps.iter().chain(&self.outcome.waits)
    }

    /// A verdict in a few words: `violated in 7 steps`.
    pub fn verdict(&self, outcome: &Outcome) -> String {
        let steps = steps(outcome.steps.len());
        match outcome.verdict {
            "violated" if self.liveness => format!("stuck after {steps}"),
            "violated" => format!("violated in {steps}"),
            "holds" => format!("holds, {} states", outcome.states),
            _ => format!("not decided, {} states", outcome.states),
        }
    }

    /// The verdict as a sentence.
    pub fn sentence(&self) -> String {
        let steps = steps(self.outcome.steps.len());
        match self.outcome.verdict {
            "violated" if self.liveness => format!("Stuck after {steps}: from here {}.", self.stuck),
            "violated" => format!("Violated in {steps}. It should be that {}.", self.property),
            "holds" => format!("Holds in all {} states: {}.", self.outcome.states, self.property),
            _ => unfinished(self.outcome.states),
        }
    }
}

/// `1 step`, `2 steps`.
pub fn steps(n: usize) -> String {
    if n == 1 { "1 step".into() } else { format!("{n} steps") }
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
        if let Some(w) = &story.outcome.waits {
            paragraph(&mut out, "...  ", &format!("{}: {}", w.actor, w.long));
        }
    }
    let _ = writeln!(out, "\n{}", story.sentence());
    if !story.variants.is_empty() {
        out.push_str("\nThe same question with other settings\n");
        for v in &story.variants {
            let result = story.verdict(&v.outcome);
            let result = if v.outcome.verdict == "violated" { result.to_uppercase() } else { result };
            let _ = writeln!(out, "  {:<9} {:<22} {}", v.role.word(), result, v.title);
            let _ = writeln!(out, "  {:<9} {:<22}   {}", "", "", v.set.join(" "));
        }
    } else if !story.changed.is_empty() {
        let _ = writeln!(
            out,
            "\nWith {} set. The fixes are compared with the settings of the scenario: leave out --set to see them.",
            story.changed.join(" ")
        );
    }
    out.push_str("\nKnobs (--set knob=value)\n");
    for setting in &story.knobs {
        let name = setting.split('=').next().unwrap_or_default();
        if let Some(knob) = KNOBS.iter().find(|k| k.name == name) {
            paragraph(&mut out, &format!("  {setting:<20} "), &format!("{}; {}", knob.about, knob.valid()));
        }
    }
    out
}

/// The trace in columns by actor, one line a step, and a line for who waits after it; empty when nothing is violated.
pub fn diagram(story: &Story) -> String {
    let mut out = String::new();
    if story.outcome.steps.is_empty() {
        return out;
    }
    let actors = story.actors();
    let widths: Vec<usize> = actors
        .iter()
        .map(|actor| {
            let own = story.rows().filter(|s| s.actor == *actor);
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
    if let Some(w) = &story.outcome.waits {
        line("...", actors.iter().position(|a| *a == w.actor).unwrap_or(0), &w.short);
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
