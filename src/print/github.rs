//! Workflow commands of GitHub Actions: an annotation at each site that can be converted or needs a reader.
//!
//! Sites that are rightly left alone are no news on a pull request and are not printed.

use super::one_line;
use crate::report::Run;
use std::io::{self, Write};

/// Writes one command a line.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for s in run.sites.iter().filter(|s| s.verdict != "leave" || !s.findings.is_empty()) {
        let place = format!("file={},line={},col={}", property(&s.path), s.line, s.column);
        for finding in &s.findings {
            let text = format!("{}() in {}", s.api, s.function);
            writeln!(out, "::warning {place},title={}::{}", property(finding), message(&text))?;
        }
        if s.verdict != "leave" {
            let title = format!("{}: {}", s.verdict, s.reason_code);
            let text = format!("{}() in {}: {}", s.api, s.function, one_line(&s.reason));
            writeln!(out, "::notice {place},title={}::{}", property(&title), message(&text))?;
        }
    }
    if run.run.status != "complete" {
        let c = &run.run.coverage;
        let text = format!("{} functions could not be parsed, {} not readable", c.damaged.len(), c.unreadable.len());
        writeln!(out, "::warning title=coverage::{}", message(&text))?;
    }
    Ok(())
}

/// Escapes of a message.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes of a property value: also the characters that end one.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_is_news_is_annotated() {
        let mut out = Vec::new();
        super::print(&crate::print::sample::run(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "::notice file=drivers/foo/a.c,line=40,col=9,title=convert%3A complete::\
             get_user_pages_fast() in foo_pin: one sentence"
        );
        assert!(lines[1].starts_with("::warning file=drivers/foo/a.c,line=90,col=9,title=GUP006::"));
        assert!(lines[3].starts_with("::warning title=coverage::1 functions"));
        assert!(!text.contains("mm/foo.c"));
    }

    #[test]
    fn what_ends_a_command_is_escaped() {
        assert_eq!(super::property("a,b:c\n100%"), "a%2Cb%3Ac%0A100%25");
    }
}
