//! The hazards of a site, for a reader or as JSON.

use super::{Paint, Style, wrap};
use crate::concern::Concerns;
use std::io::{self, Write};

/// Writes the hazards of each site.
///
/// # Errors
/// Those of `out`.
pub fn print(all: &[Concerns], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for (n, c) in all.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", style.paint(Paint::Bold, &format!("{}:{} {}()", c.path, c.line, c.api)))?;
        fact("held", &c.held, style, out)?;
        fact("written", &c.written, style, out)?;
        fact("dirtied", &c.dirtied, style, out)?;
        let near = if c.case_near { "nearest to " } else { "" };
        let case = match c.case {
            0 => "none was found".into(),
            case => format!("{near}{case} of {}", c.document),
        };
        fact("case", &case, style, out)?;
        if c.concerns.is_empty() {
            writeln!(out)?;
            for line in wrap(&c.none, style.width) {
                writeln!(out, "{line}")?;
            }
        } else {
            writeln!(
                out,
                "\n{}",
                style.paint(
                    Paint::Bold,
                    "what can happen to a page of this site, if it is one of a file (fork-*: private memory)"
                )
            )?;
        }
        for k in &c.concerns {
            writeln!(out, "  {}", style.paint(Paint::Cyan, &format!("{}: {}", k.scenario, k.title)))?;
            fact("  why", &k.why, style, out)?;
            if !k.closed.is_empty() {
                fact("  but", &k.closed, style, out)?;
            }
            // Cures that are there already need no others.
            let cures = [("with pins tracked", &k.with_tracking), ("without tracking", &k.without)];
            for (how, cures) in cures.iter().filter(|(_, c)| !c.is_empty() && k.closed.is_empty()) {
                fact("  would be closed by", &format!("{how}: {}", cures.join("; ")), style, out)?;
            }
        }
        writeln!(out)?;
        fact("the conversion changes", &c.change, style, out)?;
        if let Some(k) = c.concerns.first() {
            writeln!(out, "`gupconv model {}` tells the first of these stories.", k.scenario)?;
        }
    }
    Ok(())
}

fn fact(name: &str, text: &str, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let lead = format!("  {name}: ");
    let width = style.width.saturating_sub(lead.len()).max(20);
    for (i, line) in wrap(text, width).iter().enumerate() {
        if i == 0 {
            writeln!(out, "{lead}{line}")?;
        } else {
            writeln!(out, "{:indent$}{line}", "", indent = lead.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concern::{Around, Kernel};

    #[test]
    fn facts_come_first_and_a_story_last() {
        let mut run = crate::print::sample::run();
        run.sites[0].write = "always";
        let (kernel, around) = (Kernel::default(), Around::default());
        let all = [crate::concern::of(&run.sites[0], "put-user-page-2arg", &kernel, around)];
        let mut out = Vec::new();
        print(&all, &Style::default(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.lines().nth(1).is_some_and(|l| l.starts_with("  held: ")), "{text}");
        assert!(
            text.contains("  writeback-dma: a device writes into a page that is on its way to the disk\n"),
            "{text}"
        );
        assert!(text.ends_with("`gupconv model writeback-dma` tells the first of these stories.\n"), "{text}");
    }
}
