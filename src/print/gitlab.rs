//! Code Quality report of GitLab: one JSON array. Fingerprints are those of the sites and survive edits elsewhere.
//!
//! Sites that are rightly left alone are not printed.

use super::one_line;
use crate::report::{Run, SiteRecord};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Writes the array.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut entries = Vec::new();
    for s in &run.sites {
        if s.verdict != "leave" {
            let text = format!("{}: {}() in {}: {}", s.verdict, s.api, s.function, one_line(&s.reason));
            entries.push(entry(s, s.verdict, &text, "info"));
        }
        for finding in &s.findings {
            entries.push(entry(s, finding, &format!("{finding}: {}() in {}", s.api, s.function), "major"));
        }
    }
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    out.write_all(b"\n")
}

fn entry(s: &SiteRecord, check: &str, description: &str, severity: &str) -> Value {
    json!({
        "description": description,
        "check_name": check,
        "fingerprint": format!("{}-{check}", s.id),
        "severity": severity,
        "location": { "path": s.path, "lines": { "begin": s.line } },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn fingerprints_are_unique() {
        let mut out = Vec::new();
        super::print(&crate::print::sample::run(), &mut out).expect("written");
        let array: Vec<Value> = serde_json::from_slice(&out).expect("a JSON array");
        let prints: BTreeSet<_> = array.iter().map(|e| e["fingerprint"].as_str().expect("text")).collect();
        assert_eq!((array.len(), prints.len()), (3, 3));
        assert_eq!(array[0]["location"]["lines"]["begin"], 40);
    }
}
