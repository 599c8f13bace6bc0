//! The commands, one function each: configuration, analysis, output.

use super::Stop;
use super::args::{Cli, Command, Common, DialectArg, Format, PolicyArg, StoryFormat};
use super::convert::{self, Convert};
use super::screen::Screen;
use super::tree::{self, Located};
use crate::concern::{self, Around};
use crate::config::{Config, DialectKind, DirtyPolicy, Policy};
use crate::error::{ExitStatus, UserError};
use crate::explain::{self, Kind, Page};
use crate::hazard::{self, ModelArgs};
use crate::kernel::dialect::text_of;
use crate::print::{self, Paint};
use crate::report::{Run, SiteRecord};
use crate::run::{self, Analysis};
use clap::CommandFactory;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Runs the command.
pub fn run(cli: &Cli, screen: &Screen) -> Result<ExitStatus, Stop> {
    match &cli.command {
        Command::Scan { paths, format } => scan(&config(&cli.common, paths)?, *format, &cli.common, screen),
        Command::Convert { paths, format, write, unproved, build_check } => {
            let config = Config { unproved: *unproved, ..config(&cli.common, paths)? };
            let asked =
                Convert { format: *format, write: *write, build_check: build_check.as_ref().map(Option::as_deref) };
            convert::convert(&config, &asked, &cli.common, screen)
        }
        Command::Series(args) => {
            let config = Config { leads: true, ..config(&cli.common, &args.paths)? };
            super::series::series(&config, args, &cli.common, screen)
        }
        Command::Trace { places, format } => trace(places, *format, &cli.common, screen),
        Command::Model { site: Some(place), format, .. } => hazards_of(place, *format, &cli.common, screen),
        Command::Model { scenario, list, set, format, site: None } => {
            let format = match format {
                StoryFormat::Text => hazard::Format::Text,
                StoryFormat::Json => hazard::Format::Json,
                StoryFormat::Svg => hazard::Format::Svg,
            };
            let asked = ModelArgs { scenario: scenario.clone(), list: *list, set: set.clone(), format };
            let story = hazard::command(&asked)?;
            output(|out| out.write_all(story.as_bytes()))?;
            Ok(ExitStatus::Clean)
        }
        Command::Explain { code } => explain(code.as_deref(), screen),
        Command::Rules => rules(screen),
        Command::Completions { shell } => completions(*shell),
    }
}

/// The flags, decided.
fn config(common: &Common, paths: &[PathBuf]) -> Result<Config, UserError> {
    Ok(configured(common, tree::locate(common.tree.as_deref(), paths)?))
}

fn configured(common: &Common, Located { root, name, paths }: Located) -> Config {
    Config {
        root,
        tree_name: name,
        paths,
        dialect: match common.dialect {
            DialectArg::Auto => None,
            DialectArg::None => Some(DialectKind::None),
            DialectArg::PutUserPage2 => Some(DialectKind::PutUserPage2),
            DialectArg::PutUserPage3 => Some(DialectKind::PutUserPage3),
            DialectArg::PinUserPages => Some(DialectKind::PinUserPages),
        },
        policy: match common.policy {
            PolicyArg::Cases => Policy::Cases,
            PolicyArg::AllGup => Policy::AllGup,
        },
        dirty_policy: DirtyPolicy::Upstream,
        with_prerequisite: common.with_prerequisite,
        leads: common.with_prerequisite,
        unproved: false,
        jobs: common.jobs.map_or(0, usize::from),
    }
}

fn scan(config: &Config, format: Format, common: &Common, screen: &Screen) -> Result<ExitStatus, Stop> {
    let analysis = run::analyse(config)?;
    output(|out| report(&analysis.run, format, screen, out))?;
    notes(config, &analysis, screen)?;
    Ok(status(&analysis, common))
}

/// The analysis of the tree around the places, with the numbers of the sites at each, every site once.
fn sites_of(places: &[String], common: &Common) -> Result<(Config, Analysis, Vec<usize>), UserError> {
    let mut located: Option<Located> = None;
    let mut at = Vec::new();
    for place in places {
        let (file, line) = file_line(place)?;
        let here = tree::locate(common.tree.as_deref(), &[file])?;
        at.push((here.paths.first().cloned().unwrap_or_default(), line));
        match &located {
            Some(first) if first.root != here.root => return Err(two_trees(first, &here)),
            Some(_) => {}
            None => located = Some(here),
        }
    }
    let Some(located) = located else { return Err(no_place()) };
    // The whole tree is reported: the nearest sites may have to be offered.
    let config = Config { paths: Vec::new(), ..configured(common, located) };
    let analysis = run::analyse(&config)?;
    let mut chosen = Vec::new();
    for (path, line) in &at {
        let here = sites_at(&analysis.run, path, *line);
        if here.is_empty() {
            return Err(nothing_at(&analysis.run, path, *line));
        }
        chosen.extend(here.into_iter().filter(|i| !chosen.contains(i)).collect::<Vec<_>>());
    }
    Ok((config, analysis, chosen))
}

fn hazards_of(place: &str, format: StoryFormat, common: &Common, screen: &Screen) -> Result<ExitStatus, Stop> {
    if matches!(format, StoryFormat::Svg) {
        let cause = "--format svg draws one scenario";
        return Err(
            UserError::new("a site has no diagram", cause, "name a scenario instead, or use --format text").into()
        );
    }
    let (config, analysis, chosen) = sites_of(std::slice::from_ref(&place.to_owned()), common)?;
    let dialect = &analysis.run.run.dialect;
    let read = |path: &str| text_of(&config.root, path).ok();
    let kernel = concern::Kernel::of(&read);
    let of = |s: &SiteRecord| {
        let text = read(&s.path).unwrap_or_default();
        concern::of(s, dialect, &kernel, Around::at(&String::from_utf8_lossy(&text), s.line))
    };
    let all: Vec<_> = chosen.iter().filter_map(|&i| analysis.run.sites.get(i)).map(of).collect();
    output(|out| match format {
        StoryFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &all)?;
            writeln!(out)
        }
        _ => print::concern::print(&all, &screen.out, out),
    })?;
    notes(&config, &analysis, screen)?;
    Ok(status(&analysis, common))
}

fn trace(places: &[String], format: Format, common: &Common, screen: &Screen) -> Result<ExitStatus, Stop> {
    let (config, analysis, chosen) = sites_of(places, common)?;
    output(|out| match format {
        Format::Human => print::trace::print(&analysis.run, &chosen, &screen.out, out),
        format => {
            let mut run = analysis.run.clone();
            run.sites = chosen.iter().filter_map(|&i| analysis.run.sites.get(i).cloned()).collect();
            report(&run, format, screen, out)
        }
    })?;
    notes(&config, &analysis, screen)?;
    Ok(status(&analysis, common))
}

fn no_place() -> UserError {
    UserError::new("no place is given", "a trace starts at a line", "name one as in drivers/foo/bar.c:120")
}

fn two_trees(first: &Located, other: &Located) -> UserError {
    UserError::new(
        format!("{} and {} are two trees", first.name, other.name),
        "one look is at one tree",
        "run gupconv once for each of them",
    )
}

/// `FILE:LINE`, or `FILE:LINE:COLUMN` as compilers print it.
fn file_line(place: &str) -> Result<(PathBuf, u32), UserError> {
    let wrong = || {
        UserError::new(
            format!("{place} is no FILE:LINE"),
            "a file, a colon and a line number are needed",
            "write it as in drivers/foo/bar.c:120",
        )
    };
    let (rest, last) = place.rsplit_once(':').ok_or_else(wrong)?;
    let last: u32 = last.parse().map_err(|_| wrong())?;
    if let Some((file, line)) = rest.rsplit_once(':')
        && let Ok(line) = line.parse()
    {
        return Ok((file.into(), line));
    }
    if rest.is_empty() { Err(wrong()) } else { Ok((rest.into(), last)) }
}

/// Numbers of the sites whose pin, or one of whose releases, stands at the line.
fn sites_at(run: &Run, path: &str, line: u32) -> Vec<usize> {
    let at = |pick: &dyn Fn(&SiteRecord) -> bool| -> Vec<usize> {
        run.sites.iter().enumerate().filter(|(_, s)| pick(s)).map(|(i, _)| i).collect()
    };
    let pins = at(&|s| s.path == path && s.line == line);
    if !pins.is_empty() {
        return pins;
    }
    at(&|s| s.releases.iter().any(|r| r.path == path && r.line == line))
}

fn nothing_at(run: &Run, path: &str, line: u32) -> UserError {
    let unread = run.run.coverage.unreadable.iter().filter_map(|u| u.split_once(": "));
    let above = |part: &str| path == part || path.starts_with(&format!("{part}/"));
    if let Some((what, why)) = unread.into_iter().find(|(part, _)| above(part)) {
        let remedy = "make it readable; nothing is known of what stands there";
        return UserError::new(format!("cannot read {what}"), why.to_string(), remedy);
    }
    let mut near: Vec<&SiteRecord> = run.sites.iter().filter(|s| s.path == path).collect();
    near.sort_by_key(|s| s.line.abs_diff(line));
    if near.is_empty() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        near = run.sites.iter().filter(|s| s.path.rsplit_once('/').map_or("", |(f, _)| f) == folder).collect();
    }
    let offers: Vec<String> =
        near.iter().take(3).map(|s| format!("{}:{} {}() in {}", s.path, s.line, s.api, s.function)).collect();
    let remedy = if offers.is_empty() {
        "gupconv scan lists all sites of the tree".to_string()
    } else {
        format!("the nearest are:\n{}", offers.join("\n"))
    };
    UserError::new(
        format!("no site at {path}:{line}"),
        "no call there pins pages, and none releases pinned ones",
        remedy,
    )
}

fn explain(code: Option<&str>, screen: &Screen) -> Result<ExitStatus, Stop> {
    let Some(code) = code else {
        output(|out| {
            for &kind in Kind::ALL.iter().filter(|k| explain::all().any(|p| p.kind == **k)) {
                writeln!(out, "{}", screen.out.paint(Paint::Bold, &format!("{}s", kind.word())))?;
                for p in explain::all().filter(|p| p.kind == kind) {
                    listed(&p, screen, out)?;
                }
            }
            Ok(())
        })?;
        return Ok(ExitStatus::Clean);
    };
    let mut pages = explain::pages(code).peekable();
    if pages.peek().is_none() {
        let near = explain::nearest(code);
        let remedy = if near.is_empty() {
            "`gupconv explain` lists all codes".to_string()
        } else {
            format!("perhaps {}? `gupconv explain` lists all codes", near.join(" or "))
        };
        return Err(UserError::new(format!("no code {code}"), "no report prints this code", remedy).into());
    }
    output(|out| {
        for (i, page) in pages.enumerate() {
            if i > 0 {
                writeln!(out)?;
            }
            let head = format!("{} ({}): {}", page.code, page.kind.word(), page.title);
            writeln!(out, "{}\n\n{}", screen.out.paint(Paint::Bold, &head), page.text.trim_end())?;
        }
        Ok(())
    })?;
    Ok(ExitStatus::Clean)
}

fn rules(screen: &Screen) -> Result<ExitStatus, Stop> {
    output(|out| explain::all().filter(|p| p.kind == Kind::Rule).try_for_each(|p| listed(&p, screen, out)))?;
    Ok(ExitStatus::Clean)
}

/// A line of a list of codes, the title wrapped under itself.
fn listed(page: &Page, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let mut code = page.code;
    for line in print::wrap(&page.title, screen.out.width.saturating_sub(23)) {
        writeln!(out, "  {code:<20} {line}")?;
        code = "";
    }
    Ok(())
}

fn completions(shell: clap_complete::Shell) -> Result<ExitStatus, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gupconv", &mut script);
    output(|out| out.write_all(&script))?;
    Ok(ExitStatus::Clean)
}

/// Hands a buffered stdout to `f` and sees to it that everything arrives.
pub(super) fn output(f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    f(&mut out)?;
    out.flush()
}

pub(super) fn report(run: &Run, format: Format, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human => print::human::print(run, &screen.out, out),
        Format::Jsonl => print::jsonl::print(run, out),
        Format::Concise => print::concise::print(run, out),
        Format::Sarif => print::sarif::print(run, out),
        Format::Github => print::github::print(run, out),
        Format::Gitlab => print::gitlab::print(run, out),
    }
}

/// Notes and the coverage line, on stderr.
pub(super) fn notes(config: &Config, analysis: &Analysis, screen: &Screen) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for note in &analysis.notes {
        writeln!(err, "{} {note}", screen.err.paint(Paint::Bold, "note:"))?;
    }
    let skipped = &analysis.run.run.coverage.skipped;
    for path in &config.paths {
        let top = path.split('/').next().unwrap_or_default();
        if skipped.iter().any(|s| s.split('/').next() == Some(top)) {
            let note = screen.err.paint(Paint::Bold, "note:");
            writeln!(err, "{note} {top} is no kernel code and is not analysed; nothing is reported for {path}")?;
        }
    }
    print::coverage::print(&analysis.run, &screen.err, &mut err)
}

pub(super) fn status(analysis: &Analysis, common: &Common) -> ExitStatus {
    if common.strict && analysis.run.run.status != "complete" { ExitStatus::Incomplete } else { ExitStatus::Clean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::sample;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn places_are_read_as_compilers_print_them() {
        assert_eq!(file_line("a/b.c:12"), Ok(("a/b.c".into(), 12)));
        assert_eq!(file_line("a/b.c:12:5"), Ok(("a/b.c".into(), 12)));
        assert_eq!(file_line("a:b.c:12"), Ok(("a:b.c".into(), 12)));
        for wrong in ["a/b.c", "a/b.c:", "a/b.c:x", ":12", "a/b.c:-1"] {
            assert!(file_line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_names_a_pin_or_a_release() {
        let run = sample::run();
        assert_eq!(sites_at(&run, "drivers/foo/a.c", 90), [1]);
        assert_eq!(sites_at(&run, "drivers/foo/b.c", 7), [0]);
        assert!(sites_at(&run, "drivers/foo/a.c", 91).is_empty());
    }

    #[test]
    fn the_nearest_sites_are_offered() {
        let run = sample::run();
        let remedy = nothing_at(&run, "drivers/foo/a.c", 91).remedy;
        assert!(remedy.starts_with("the nearest are:\ndrivers/foo/a.c:90 "), "{remedy}");
        assert!(nothing_at(&run, "mm/other.c", 1).remedy.contains("mm/foo.c:5"));
        assert!(nothing_at(&run, "fs/x.c", 1).remedy.starts_with("gupconv scan"));
    }

    #[test]
    fn a_file_that_could_not_be_read_is_not_called_empty() {
        let mut run = sample::run();
        run.run.coverage.unreadable = vec!["fs/x.c: Permission denied".into(), "fs/deep: Permission denied".into()];
        for path in ["fs/x.c", "fs/deep/y.c"] {
            let error = nothing_at(&run, path, 1);
            assert!(error.title.starts_with("cannot read fs/") && error.cause.starts_with("Permission"), "{error:?}");
        }
        assert!(nothing_at(&run, "fs/deeper.c", 1).title.starts_with("no site at"));
    }
}
