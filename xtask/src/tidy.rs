//! `tidy`: the house rules, checked on every file of the repository. All findings are listed, then it fails.
//!
//! It knows text and the module map, nothing of C and nothing of what the analysis does.

mod folders;
mod imports;
mod text;

use crate::repo;
use anyhow::{Context, Result, bail};
use std::fs;

/// What the checks found, as `path:line: message`.
#[derive(Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Adds one; `line` is 1-based, 0 speaks of the whole file.
    pub fn add(&mut self, path: &str, line: usize, message: impl AsRef<str>) {
        let message = message.as_ref();
        self.0.push(if line == 0 { format!("{path}: {message}") } else { format!("{path}:{line}: {message}") });
    }
}

/// A text file of the repository.
pub struct File {
    /// From the top of the repository.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Checks everything.
pub fn run(_arguments: &[String]) -> Result<()> {
    let paths = repo::files()?;
    let mut files = Vec::new();
    let mut findings = Findings::default();
    for path in &paths {
        let bytes = fs::read(repo::root().join(path)).with_context(|| path.clone())?;
        match String::from_utf8(bytes) {
            Ok(text) => files.push(File { path: path.clone(), text }),
            // Input that is no UTF-8 is a legitimate fixture, and nothing else is.
            Err(_) if path.starts_with("fixtures/") => {}
            Err(_) => findings.add(path, 0, "is not UTF-8"),
        }
    }
    for file in &files {
        text::check(file, &mut findings);
    }
    imports::check(&files, &mut findings);
    folders::check(&paths, &files, &mut findings);
    findings.0.sort();
    for finding in &findings.0 {
        println!("{finding}");
    }
    if !findings.0.is_empty() {
        bail!("tidy: {} finding(s) in {} files", findings.0.len(), paths.len());
    }
    println!("tidy: {} files, nothing to say", paths.len());
    Ok(())
}
