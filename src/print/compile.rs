//! What a build check found, for a reader: the count, then each file that is worse or was not built.

use super::{Detail, Paint, Style};
use crate::report::{BuildRecord, Run};
use std::io::{self, Write};

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let with = |outcome: &str| run.builds.iter().filter(|b| b.outcome == outcome).count();
    writeln!(
        out,
        "{} {} of {} files compiled before and after with W=1, {} with new messages",
        style.paint(Paint::Bold, "build:"),
        run.builds.len() - with("not-built"),
        run.builds.len(),
        with("worse"),
    )?;
    for b in &run.builds {
        one(b, style, out)?;
    }
    Ok(())
}

fn one(b: &BuildRecord, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let arch = if b.arch.is_empty() { String::new() } else { format!(" ({})", b.arch) };
    match b.outcome {
        "worse" => {
            let head = style.paint(Paint::Red, "worse:");
            writeln!(out, "  {head} {}{arch}: {} messages before, {} after", b.path, b.before, b.after)?;
            b.new.iter().try_for_each(|line| writeln!(out, "    {line}"))
        }
        "not-built" => writeln!(out, "  {} {}{arch}: {}", style.paint(Paint::Yellow, "not built:"), b.path, b.why),
        _ if style.detail == Detail::Verbose => {
            let why = if b.why.is_empty() { String::new() } else { format!("; {}", b.why) };
            writeln!(out, "  clean: {}{arch}: {} messages before and after{why}", b.path, b.before)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, outcome: &'static str, why: &str) -> BuildRecord {
        BuildRecord {
            schema: crate::report::SCHEMA,
            kind: "build",
            path: path.into(),
            arch: "x86".into(),
            outcome,
            before: 1,
            after: 2,
            new: if outcome == "worse" { vec!["a.c:1: warning: new".into()] } else { Vec::new() },
            why: why.into(),
        }
    }

    #[test]
    fn what_was_not_built_is_said_file_by_file() {
        let mut run = crate::print::sample::run();
        run.builds = vec![
            record("a.c", "worse", ""),
            record("b.c", "not-built", "CONFIG_B is not set"),
            record("c.c", "clean", ""),
        ];
        let printed = |detail| {
            let mut out = Vec::new();
            print(&run, &Style { detail, ..Style::default() }, &mut out).expect("written");
            String::from_utf8(out).expect("UTF-8")
        };
        let text = "build: 2 of 3 files compiled before and after with W=1, 1 with new messages\n  worse: a.c (x86): 1 \
            messages before, 2 after\n    a.c:1: warning: new\n  not built: b.c (x86): CONFIG_B is not set\n";
        assert_eq!(printed(Detail::Normal), text);
        assert!(printed(Detail::Verbose).ends_with("  clean: c.c (x86): 1 messages before and after\n"));
    }
}
