//! Tasks of the house: checks, real trees, times. Run one with `cargo xtask NAME`; without a name they are listed.
//!
//! A task may read every file of the repository and start programs. It knows nothing of the inside of the analysis:
//! where it needs gupconv, it runs the release binary as a user does. Two tasks link the library: the conformance run
//! of the page model, and the mutants of the plans.

mod bench;
mod build;
mod conformance;
mod corpus;
mod fixtures;
mod mutants;
mod repo;
mod rule;
mod tidy;
mod tree;

use anyhow::{Result, bail};
use std::process::ExitCode;

/// A task: name, what it does in one line, entry.
type Task = (&'static str, &'static str, fn(&[String]) -> Result<()>);

/// All tasks, in the order in which they are listed.
const TASKS: &[Task] = &[
    ("tidy", "check the house rules", tidy::run),
    ("bless", "rewrite the expected output of all fixtures; read the difference before you commit", fixtures::bless),
    ("wanted", "[--move]: list which custody cases still fail; move those that pass", fixtures::wanted),
    ("new-rule", "NAME: make the file, the registration and the fixture folder of a rewrite rule", rule::new),
    ("corpus", "[--tree DIR] [--build]: run on a real kernel tree and check what comes out", corpus::run),
    (
        "conformance",
        "--tree DIR [--sequences N] [--seed N] [--break KNOB] [--no-self-test] [--keep DIR]: the page model against the \
         functions of a tree",
        conformance::main,
    ),
    (
        "mutants",
        "--tree DIR [--only TEXT] [--stories] [--proofs-only]: every wrong variant of every proved plan must be refused",
        mutants::run,
    ),
    ("bench", "[--tree DIR] [--runs N]: time scan against ripgrep and Coccinelle, side by side", bench::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("usage: cargo xtask TASK [ARGUMENTS]\n");
        for (name, about, _) in TASKS {
            println!("  {name:<12} {about}");
        }
        return Ok(());
    };
    match TASKS.iter().find(|task| task.0 == name) {
        Some((_, about, _)) if rest.iter().any(|a| matches!(a.as_str(), "-h" | "--help")) => {
            println!("usage: cargo xtask {name} {about}");
            Ok(())
        }
        Some((_, about, run)) => {
            // A misspelled option would be passed over, and the task would do something else than was asked for.
            let known = |a: &str| about.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).any(|w| w == a);
            if let Some(unknown) = rest.iter().find(|a| a.starts_with("--") && !known(a)) {
                bail!("{name} has no option {unknown}; usage: cargo xtask {name} {about}");
            }
            run(rest)
        }
        None => bail!("no task `{name}`; `cargo xtask` lists them"),
    }
}
