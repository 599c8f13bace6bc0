//! What the terminal can do, and what the user wants of it.

use super::args::{Color, Common};
use crate::print::{Detail, Style};
use std::io::{self, IsTerminal};

/// Columns when the output is no terminal, or one that does not tell.
const WIDTH: usize = 100;
/// A report is never laid out for fewer columns.
const NARROWEST: usize = 80;

/// Styles of the two streams.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Standard output.
    pub out: Style,
    /// Standard error.
    pub err: Style,
}

impl Screen {
    /// Reads flags, environment and terminals.
    pub fn new(common: &Common) -> Self {
        let detail = match (common.quiet, common.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::Normal,
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let style = |terminal: bool| Style {
            colour: match common.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !plain,
            },
            width: if terminal { width() } else { WIDTH },
            detail,
        };
        Self { out: style(io::stdout().is_terminal()), err: style(io::stderr().is_terminal()) }
    }
}

/// Columns of the terminal: wider ones are not filled, since long lines are hard to read.
fn width() -> usize {
    let columns = terminal_size::terminal_size().map_or(WIDTH, |(w, _)| usize::from(w.0));
    columns.clamp(NARROWEST, WIDTH)
}
