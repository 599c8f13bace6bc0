//! The command line: arguments in, one command run, bytes and an exit status out.
//!
//! The only part of the program that knows flags, terminals and standard streams. What a command says goes to stdout;
//! coverage, notes and errors go to stderr.

pub mod args;
mod commands;
mod convert;
mod screen;
mod series;
mod tree;

use crate::error::{ExitStatus, UserError};
use args::Cli;
use clap::Parser;
use screen::Screen;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors and go to stdout; clap knows. A closed pipe is nobody's fault.
            let _ = e.print();
            let status = if e.use_stderr() { ExitStatus::CouldNotRun } else { ExitStatus::Clean };
            return ExitCode::from(status.code());
        }
    };
    let screen = Screen::new(&cli.common);
    let status = match commands::run(&cli, &screen) {
        Ok(status) => status,
        Err(Stop::User(error)) => {
            let _ = writeln!(io::stderr(), "{}", error.display(screen.err.colour));
            ExitStatus::CouldNotRun
        }
        // The reader has seen enough (`gupconv scan | head`).
        Err(Stop::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Clean,
        Err(Stop::Output(e)) => {
            let error = UserError::new("cannot write the report", e.to_string(), "check the disk that it goes to");
            let _ = writeln!(io::stderr(), "{}", error.display(screen.err.colour));
            ExitStatus::CouldNotRun
        }
    };
    ExitCode::from(status.code())
}

/// What ends a command early.
#[derive(Debug)]
enum Stop {
    /// Something that the user can put right.
    User(UserError),
    /// Standard output does not take the report.
    Output(io::Error),
}

impl From<UserError> for Stop {
    fn from(e: UserError) -> Self {
        Stop::User(e)
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Stop::Output(e)
    }
}
