//! `corpus --build`: compile each converted file before and after, and compare the compiler's warnings.
//!
//! A file whose configuration is not enabled, or that belongs to another architecture, cannot be built here; it is
//! counted and named.

use crate::repo;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// Builds `paths` of both trees with `W=1`.
pub fn run(before: &Path, after: &Path, paths: &[String]) -> Result<()> {
    for tree in [before, after] {
        let out = output_folder(tree);
        std::fs::create_dir_all(&out)?;
        repo::run(make(tree).args(["-s", "allmodconfig"]))?;
        repo::run(make(tree).args(["-s", "prepare"]))?;
    }
    let (mut built, mut skipped) = (0, Vec::new());
    let mut worse = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".c")) {
        let object = format!("{}.o", &path[..path.len() - 2]);
        let old = compile(before, &object)?;
        if !old.0 {
            skipped.push(path.as_str());
            continue;
        }
        let new = compile(after, &object)?;
        built += 1;
        if !new.0 || new.1 > old.1 {
            worse.push(format!("{path}: {} warnings before, {} after\n{}", old.1, new.1, new.2));
        }
    }
    println!("  build: {built} files compiled before and after, {} cannot be built here: {skipped:?}", skipped.len());
    ensure!(worse.is_empty(), "converted files that no longer compile as before:\n{}", worse.join("\n"));
    Ok(())
}

fn output_folder(tree: &Path) -> std::path::PathBuf {
    tree.with_extension("build")
}

fn make(tree: &Path) -> Command {
    let mut command = Command::new("make");
    command.arg("-C").arg(tree).arg(format!("O={}", output_folder(tree).display())).args(["W=1", "-j2"]);
    command
}

/// Whether the object was built, the number of warnings, and what the compiler said.
fn compile(tree: &Path, object: &str) -> Result<(bool, usize, String)> {
    let run = make(tree).args(["-s", object]).output()?;
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    Ok((run.status.success(), said.matches("warning:").count(), said))
}
