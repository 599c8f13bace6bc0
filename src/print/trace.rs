//! One pin, step by step: what happens to its pages, why each step is valid, and where the trace ends.

use super::{Paint, Style, human, one_line, wrap};
use crate::report::Run;
use std::io::{self, Write};

/// Writes the sites of `run` at `chosen`, each with its steps.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, chosen: &[usize], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for (n, &i) in chosen.iter().enumerate() {
        let Some(site) = run.sites.get(i) else { continue };
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", style.paint(Paint::Bold, &site.path))?;
        human::site(site, style, out)?;
        if site.case > 0 {
            let near = if site.case_near() { "nearest to " } else { "" };
            let document = run.document.with(site.case);
            let case = format!("{near}{} of {document}: {}", site.case, site.case_why);
            human::note("case", &case, style, out)?;
        }
        let steps = run.steps.get(i).map(Vec::as_slice).unwrap_or_default();
        if steps.is_empty() {
            continue;
        }
        writeln!(out, "\n{}", style.paint(Paint::Bold, "step by step"))?;
        for (k, step) in steps.iter().enumerate() {
            writeln!(out, "{:>4}. {}", k + 1, style.paint(Paint::Cyan, &format!("{}:{}", step.path, step.line)))?;
            let follows = k == 0 || step.after + 1 == k;
            let from = if follows { String::new() } else { format!("from step {}: ", step.after + 1) };
            indented(&format!("{from}{}", one_line(&step.what)), style.width, out)?;
            for note in [&step.because, &step.doubt].into_iter().filter(|n| !n.is_empty()) {
                indented(&format!("({})", one_line(note)), style.width, out)?;
            }
        }
    }
    Ok(())
}

fn indented(text: &str, width: usize, out: &mut dyn Write) -> io::Result<()> {
    for part in wrap(text, width.saturating_sub(6)) {
        writeln!(out, "      {part}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_and_reasoned() {
        let mut out = Vec::new();
        print(&crate::print::sample::run(), &[0], &Style::default(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.ends_with(
            "step by step\n   1. drivers/foo/a.c:40\n      pinned into buf->pages\n   2. drivers/foo/a.c:72\n      \
             released by put_page\n      (buf is the parameter of foo_unpin)\n"
        ));
    }
}
