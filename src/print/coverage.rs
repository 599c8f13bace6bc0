//! How much of the tree a run looked at: one line for stderr, and with more detail the names.

use super::{Detail, Paint, Style, one_line};
use crate::report::Run;
use std::io::{self, Write};

/// Names listed without `-v`.
const SHOWN: usize = 5;

/// Writes the coverage.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let c = &run.run.coverage;
    let mut skipped = if c.skipped.is_empty() { "nothing".to_string() } else { c.skipped.join(", ") };
    if c.tables > 0 {
        skipped += &format!("; {} tables of constants, but for their ends", c.tables);
    }
    writeln!(
        out,
        "{} {} files seen, {} candidates, {} functions parsed, {} damaged, {} gaps, {} unreadable; skipped: {skipped}",
        style.paint(Paint::Bold, "coverage:"),
        c.files,
        c.candidates,
        c.functions,
        c.damaged.len(),
        c.gaps,
        c.unreadable.len(),
    )?;
    names(style, "unreadable", &c.unreadable, out)?;
    if style.detail == Detail::Verbose {
        names(style, "damaged", &c.damaged, out)?;
    }
    Ok(())
}

fn names(style: &Style, what: &str, list: &[String], out: &mut dyn Write) -> io::Result<()> {
    let shown = if style.detail == Detail::Verbose { list.len() } else { SHOWN.min(list.len()) };
    for name in &list[..shown] {
        writeln!(out, "  {what}: {}", one_line(name))?;
    }
    if list.len() > shown {
        writeln!(out, "  {what}: {} more, named with -v", list.len() - shown)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_passed_over_in_silence() {
        let mut out = Vec::new();
        let mut run = crate::print::sample::run();
        run.run.coverage.tables = 2;
        run.run.coverage.unreadable = (0..7).map(|i| format!("f{i}: no permission")).collect();
        print(&run, &Style::default(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.starts_with(
            "coverage: 10 files seen, 3 candidates, 20 functions parsed, 1 damaged, 1 gaps, 7 unreadable; \
             skipped: Documentation, tools; 2 tables of constants, but for their ends\n  unreadable: f0"
        ));
        assert!(text.contains("  unreadable: 2 more, named with -v\n"));
        assert!(!text.contains("foo_odd"));
        let mut out = Vec::new();
        print(&run, &Style { detail: Detail::Verbose, ..Style::default() }, &mut out).expect("written");
        assert!(String::from_utf8(out).expect("UTF-8").contains("  damaged: drivers/foo/c.c: foo_odd\n"));
    }
}
