//! What goes wrong in front of a user, and how a process ends.
//!
//! Every error that reaches a user says three things: what happened, why, and what to do. The analysis itself has no
//! errors: what it cannot read or parse is counted in the coverage and never stops a run.

use std::fmt;

/// How the process ends. Scripts depend on the numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExitStatus {
    /// Nothing to complain of, or the work is done.
    Clean = 0,
    /// Findings (of `lint` and `check`).
    Findings = 1,
    /// The command could not run; nothing was written.
    CouldNotRun = 2,
    /// Something was not read or not parsed, and `--strict` was asked for.
    Incomplete = 3,
}

impl ExitStatus {
    /// The number for the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An error a user can act on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{title}")]
pub struct UserError {
    /// What could not be done, in one line.
    pub title: String,
    /// Why.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl UserError {
    /// An error of the three texts.
    pub fn new(title: impl Into<String>, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { title: title.into(), cause: cause.into(), remedy: remedy.into() }
    }
    /// The three lines that go to stderr; `colour` adds terminal colours.
    pub fn display(&self, colour: bool) -> impl fmt::Display {
        let (red, bold, off) = if colour { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        format!(
            "{red}error:{off} {bold}{}{off}\n  cause:  {}\n  remedy: {}",
            self.title,
            indented(&self.cause),
            indented(&self.remedy)
        )
    }
}

/// Keeps the lines of a longer text under its first word.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n          ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_contract() {
        let all = [ExitStatus::Clean, ExitStatus::Findings, ExitStatus::CouldNotRun, ExitStatus::Incomplete];
        assert_eq!(all.map(ExitStatus::code), [0, 1, 2, 3]);
    }

    #[test]
    fn an_error_says_all_three() {
        let text = UserError::new("no tree", "x is missing\nand y", "give --tree").display(false).to_string();
        assert_eq!(text, "error: no tree\n  cause:  x is missing\n          and y\n  remedy: give --tree");
    }
}
