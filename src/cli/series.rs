//! `gupconv series`: options in, patches out, and what the user is told about them.

use super::Stop;
use super::args::{Common, DialectArg, GroupArg, PolicyArg, SeriesArgs};
use super::commands::{notes, output, status};
use super::screen::Screen;
use crate::config::Config;
use crate::error::ExitStatus;
use crate::print::{Detail, Paint};
use crate::run;
use crate::series::{self, Grouping, Made, Options};
use std::io::{self, Write};

/// Runs the command.
pub fn series(config: &Config, args: &SeriesArgs, common: &Common, screen: &Screen) -> Result<ExitStatus, Stop> {
    let options = options(config, args, common);
    let prepared = series::prepare(config, &options)?;
    let analysis = run::analyse(config)?;
    let made = series::make(config, &options, prepared, &analysis)?;
    if screen.out.detail != Detail::Quiet {
        output(|out| list(&made, screen, out))?;
    }
    let mut err = io::stderr().lock();
    for left in &analysis.left_out {
        writeln!(err, "{} {}:{}: {}", screen.err.paint(Paint::Yellow, "left out:"), left.path, left.line, left.why)?;
    }
    for note in &made.notes {
        writeln!(err, "{} {note}", screen.err.paint(Paint::Bold, "note:"))?;
    }
    writeln!(err, "{}", summary(&made, &options, analysis.converted, analysis.run.sites.len()))?;
    drop(err);
    notes(config, &analysis, screen)?;
    Ok(status(&analysis, common))
}

fn options(config: &Config, args: &SeriesArgs, common: &Common) -> Options {
    let grouping = match args.group {
        GroupArg::Subsystem => Grouping::Subsystem,
        GroupArg::Driver => Grouping::Driver,
        GroupArg::File => Grouping::File,
    };
    Options {
        out: args.out.clone(),
        grouping,
        easy_first: args.easy_first,
        branch: args.branch.clone(),
        version: args.version_count,
        subject_prefix: args.subject_prefix.clone(),
        in_reply_to: args.in_reply_to.clone(),
        dry_run: args.dry_run,
        headers: args.headers,
        command: command(config, args, common, grouping),
        tool_url: args.tool_url.clone(),
    }
}

/// The command as it can be repeated in the root of the tree: what changes the patches, and nothing of this machine.
fn command(config: &Config, args: &SeriesArgs, common: &Common, grouping: Grouping) -> String {
    let mut words = vec!["gupconv series".to_string()];
    words.extend(config.paths.iter().map(|p| quoted(p)));
    if common.dialect != DialectArg::Auto
        && let Some(kind) = config.dialect
    {
        words.push(format!("--dialect {}", kind.code()));
    }
    if common.policy == PolicyArg::AllGup {
        words.push("--policy all-gup".into());
    }
    if config.with_prerequisite {
        words.push("--with-prerequisite".into());
    }
    if grouping != Grouping::default() {
        words.push(format!("--group {}", grouping.code()));
    }
    if args.easy_first {
        words.push("--easy-first".into());
    }
    words.join(" ")
}

/// A path for a shell.
fn quoted(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+,@".contains(&b));
    if plain { path.to_string() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// The patches, one a line.
fn list(made: &Made, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let width = made.patches.len().to_string().len();
    for (number, p) in (1..).zip(&made.patches) {
        let files = if p.files.len() == 1 { "1 file".to_string() } else { format!("{} files", p.files.len()) };
        writeln!(out, "{number:width$}  {}  ({files})", screen.out.paint(Paint::Bold, &p.subject))?;
    }
    Ok(())
}

fn summary(made: &Made, options: &Options, converted: usize, sites: usize) -> String {
    if made.patches.is_empty() {
        return format!(
            "series: no patch, since none of {sites} sites has a rewrite with a proof; nothing was written (gupconv scan \
             tells why)"
        );
    }
    let mut places: Vec<String> = Vec::new();
    if let (Some(dir), false) = (&options.out, made.files.is_empty()) {
        places.push(format!("in {}", dir.display()));
    }
    if let (Some(branch), false) = (&options.branch, options.dry_run) {
        places.push(format!("on branch {branch}"));
    }
    let state = match () {
        () if options.dry_run => "; nothing was written".to_string(),
        () if made.unchanged => format!(" {}, unchanged", places.join(" and ")),
        () => format!(" {}", places.join(" and ")),
    };
    let n = made.patches.len();
    format!("series: {n} patch{} for {converted} of {sites} sites{state}", if n == 1 { "" } else { "es" })
}
