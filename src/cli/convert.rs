//! `convert`: the diff or the files, compiled before they are handed out if that was asked for.

use super::Stop;
use super::args::{Common, Format};
use super::commands::{notes, output, report, status};
use super::screen::Screen;
use crate::compile;
use crate::config::Config;
use crate::error::ExitStatus;
use crate::print::{self, Detail, Paint};
use crate::run;
use crate::write;
use std::io::{self, Write};
use std::path::Path;

/// What was asked for.
pub struct Convert<'a> {
    /// Layout.
    pub format: Format,
    /// In place.
    pub write: bool,
    /// Compile before and after; in this folder.
    pub build_check: Option<Option<&'a Path>>,
}

/// Runs it.
pub fn convert(config: &Config, asked: &Convert, common: &Common, screen: &Screen) -> Result<ExitStatus, Stop> {
    let mut analysis = run::analyse(config)?;
    if let Some(folder) = asked.build_check {
        let options = compile::Options { folder: folder.map(Path::to_path_buf), jobs: config.jobs };
        analysis.run.builds = compile::check(&config.root, &analysis.together, &options)?;
    }
    let worse = analysis.run.builds.iter().any(|b| b.outcome == "worse");
    let (format, write) = (asked.format, asked.write && !worse);
    if write {
        write::write_all(&config.root, &analysis.together)?;
    }
    output(|out| match (format, write) {
        (Format::Human, true) if screen.out.detail == Detail::Quiet => Ok(()),
        (Format::Human, true) => analysis.together.iter().try_for_each(|c| writeln!(out, "rewritten: {}", c.path)),
        (Format::Human, false) => analysis.together.iter().try_for_each(|c| print::diff::print(c, &screen.out, out)),
        (format, _) => report(&analysis.run, format, screen, out),
    })?;
    let mut err = io::stderr().lock();
    for left in &analysis.left_out {
        writeln!(err, "{} {}:{}: {}", screen.err.paint(Paint::Yellow, "left out:"), left.path, left.line, left.why)?;
    }
    let r = &analysis.run.run;
    let unproved = if config.unproved { "" } else { "; --unproved adds rewrites without a proof" };
    writeln!(
        err,
        "{} {} of {} sites in {} files; {} need a reader (gupconv scan), {} are left as they are{unproved}",
        screen.err.paint(Paint::Bold, if write { "rewritten:" } else { "rewrites:" }),
        analysis.converted,
        analysis.run.sites.len(),
        analysis.together.len(),
        analysis.run.sites.len().saturating_sub(analysis.converted).saturating_sub(r.leave as usize),
        r.leave,
    )?;
    if asked.build_check.is_some() {
        print::compile::print(&analysis.run, &screen.err, &mut err)?;
    }
    if worse && asked.write {
        writeln!(
            err,
            "{} what compiles with new messages is not written",
            screen.err.paint(Paint::Red, "not written:")
        )?;
    }
    drop(err);
    notes(config, &analysis, screen)?;
    let all_built = analysis.run.builds.iter().all(|b| b.outcome != "not-built");
    Ok(match status(&analysis, common) {
        ExitStatus::Clean if worse => ExitStatus::Findings,
        ExitStatus::Clean if common.strict && !all_built => ExitStatus::Incomplete,
        status => status,
    })
}
