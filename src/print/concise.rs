//! `file:line:column: message`, one site a line: what editors, `grep` and kernel scripts read.

use super::one_line;
use crate::report::Run;
use std::io::{self, Write};

/// Writes one line a site, and one a finding.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for s in &run.sites {
        writeln!(
            out,
            "{}:{}:{}: {}: {}() in {}: {}: {}",
            s.path,
            s.line,
            s.column,
            s.verdict,
            s.api,
            s.function,
            s.reason_code,
            one_line(&s.reason)
        )?;
        for finding in &s.findings {
            writeln!(out, "{}:{}:{}: {finding}: {}() in {}", s.path, s.line, s.column, s.api, s.function)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn compilers_look_like_this() {
        let mut out = Vec::new();
        super::print(&crate::print::sample::run(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "drivers/foo/a.c:40:9: convert: get_user_pages_fast() in foo_pin: complete: one sentence");
        assert_eq!(lines[2], "drivers/foo/a.c:90:9: GUP006: get_user_pages_fast() in foo_pin");
        assert_eq!(lines.len(), 4);
    }
}
