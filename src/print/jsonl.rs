//! One JSON record a line: sites, then what a build check found, the last of kind `run`. The layout is
//! a contract; it is that of [`crate::report`].

use crate::report::Run;
use std::io::{self, Write};

/// Writes the records.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for site in &run.sites {
        serde_json::to_writer(&mut *out, site)?;
        out.write_all(b"\n")?;
    }
    for build in &run.builds {
        serde_json::to_writer(&mut *out, build)?;
        out.write_all(b"\n")?;
    }
    serde_json::to_writer(&mut *out, &run.run)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn the_last_record_is_the_run() {
        let mut out = Vec::new();
        super::print(&crate::print::sample::run(), &mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        let records: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let kinds: Vec<_> = records.iter().map(|r| r["kind"].as_str().expect("a kind")).collect();
        assert_eq!(kinds, ["site", "site", "site", "run"]);
        assert!(records.iter().all(|r| r["schema"] == crate::report::SCHEMA));
        assert_eq!(records[0]["releases"][1]["path"], "drivers/foo/b.c");
        assert_eq!(records[3]["coverage"]["damaged"][0], "drivers/foo/c.c: foo_odd");
    }
}
