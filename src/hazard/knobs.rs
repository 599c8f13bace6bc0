//! The switches of the scenarios, and their settings.

use crate::error::UserError;

/// A switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Knob {
    /// Name, as in `--set name=value`.
    pub name: &'static str,
    /// What it may be set to.
    pub values: &'static [&'static str],
    /// What it does, in one line.
    pub about: &'static str,
}

const OFF_ON: &[&str] = &["off", "on"];

macro_rules! knobs {
    ($($name:literal: $values:expr, $about:literal;)*) => {
        /// All knobs; a scenario has some of them.
        pub const KNOBS: &[Knob] = &[$(Knob { name: $name, values: $values, about: $about },)*];
    };
}

knobs! {
    "start": &["mapped", "clean"], "the page is mapped writable and dirty, or clean and write-protected";
    "track": OFF_ON, "pins are told from other references (pin_user_pages)";
    "fix": &["none", "bounce", "wait", "skip", "revoke"],
        "what writeback does with a pinned page: write a copy, wait, skip it; revoke: an MMU notifier stops the device";
    "redirty": OFF_ON, "after writing a copy the page is made dirty again";
    "check": &["after", "before"], "writeback looks for pins after or before it write-protects the page";
    "recheck": OFF_ON, "get_user_pages_fast() reads the PTE again after it took its reference";
    "gup-refuses-wb": OFF_ON, "GUP returns no page that is under writeback";
    "stable": OFF_ON, "a write fault waits until writeback is over (the device needs stable pages)";
    "reclaim-pin": OFF_ON, "reclaim leaves pinned pages alone";
    "bh-over-limit": OFF_ON, "too many buffers in the machine: the other path that drops buffers runs too";
    "fs": &["bug", "tolerant"], "writeback of a page without buffers hits BUG_ON(), or drops the dirty mark";
    "dirty-lock": OFF_ON, "the driver dirties with set_page_dirty_lock()";
    "release": &["yes", "never"], "the driver gives its pages back, or leaks them";
    "longterm": &["allow", "wait", "reject"],
        "long-term pins of file pages: allowed, truncation waits for them, or refused";
    "acquire": &["get", "pin"], "the driver takes a reference or a pin";
    "drop": &["put", "unpin"], "the driver drops with put_page() or unpin_user_page()";
    "kernel": &["5.7", "6.1", "6.12"],
        "whose counting: pin counts from order 2 (5.7) or 1 (6.1); zero page counted (5.7) or not";
    "page": &["order0", "order1", "order2", "zero"], "a single page, a compound page of 2 or 4, the zero page";
    "base": &["1", "2", "1023"], "references of others";
    "times": &["1", "1023", "2097152"], "how often the driver takes the page";
    "other": OFF_ON, "another user pins the page properly";
    "access": &["write", "read"], "the device writes to the page, or reads it";
    "copy-at-fork": OFF_ON, "fork() copies a pinned page for the child at once";
    "unshare": OFF_ON, "a read pin of a shared page copies it first";
}

/// The settings of one run: every knob of the scenario with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings(Vec<(&'static str, &'static str)>);

impl Settings {
    /// From name and value pairs that are known to be valid.
    pub(super) fn new(pairs: &[(&'static str, &'static str)]) -> Settings {
        Settings(pairs.to_vec())
    }

    /// The value; the first one of the knob if the scenario does not have it.
    pub fn get(&self, name: &str) -> &'static str {
        let own = self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let first = || KNOBS.iter().find(|k| k.name == name).map_or("", |k| k.values[0]);
        own.unwrap_or_else(first)
    }

    /// Whether it is `on`.
    pub fn on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// In the order of the scenario.
    pub fn pairs(&self) -> &[(&'static str, &'static str)] {
        &self.0
    }

    /// With some values replaced.
    pub(super) fn with(&self, pairs: &[(&'static str, &'static str)]) -> Settings {
        let replaced = |name| pairs.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| *v);
        Settings(self.0.iter().map(|&(n, v)| (n, replaced(n).unwrap_or(v))).collect())
    }

    /// Reads `name=value`.
    ///
    /// # Errors
    /// A knob or value that this scenario does not have; the message lists the valid ones.
    pub(super) fn parse(&self, text: &str) -> Result<(&'static str, &'static str), UserError> {
        let names: Vec<&str> = self.0.iter().map(|(n, _)| *n).collect();
        let list = format!("knobs of this scenario: {}", names.join(", "));
        let Some((name, value)) = text.split_once('=') else {
            return Err(UserError::new(
                format!("`{text}` is no setting"),
                "it has no `=`",
                format!("knob=value; {list}"),
            ));
        };
        let knob = KNOBS.iter().find(|k| k.name == name && names.contains(&k.name));
        let Some(knob) = knob else {
            return Err(UserError::new(format!("no knob `{name}`"), "the scenario does not have it", list));
        };
        match knob.values.iter().find(|v| **v == value) {
            Some(value) => Ok((knob.name, value)),
            None => Err(UserError::new(
                format!("`{name}` cannot be `{value}`"),
                knob.about,
                format!("values of {name}: {}", knob.values.join(", ")),
            )),
        }
    }
}
