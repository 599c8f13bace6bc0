//! `corpus --build`: what `convert --build-check` says of a tree. No file may compile with new messages; what cannot be
//! built here is named with the reason.

use crate::repo;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Compiles what the program converts in the tree, before and after. Objects are kept in `folder`.
pub fn run(gupconv: &Path, tree: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(gupconv);
    command.args(["convert", "--format", "jsonl", "--jobs", "2", "--tree"]).arg(tree);
    command.arg(format!("--build-check={}", folder.display())).current_dir(repo::root());
    let ran = command.output().with_context(|| format!("cannot start {}", gupconv.display()))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    // 1: something is worse, which the records say better.
    ensure!(matches!(ran.status.code(), Some(0 | 1)), "{command:?} failed: {}\n{said}", ran.status);
    let out = String::from_utf8(ran.stdout)?;
    let records: Vec<serde_json::Value> =
        out.lines().filter(|l| l.contains("\"kind\":\"build\"")).map(serde_json::from_str).collect::<Result<_, _>>()?;
    let with = |outcome: &str| records.iter().filter(|r| r["outcome"] == outcome).collect::<Vec<_>>();
    let (clean, worse, not_built) = (with("clean"), with("worse"), with("not-built"));
    println!("  build: {} files compiled before and after with W=1, {} not built here", clean.len(), not_built.len());
    for record in not_built {
        println!("      {}: {}", text(record, "path"), text(record, "why"));
    }
    ensure!(!clean.is_empty() || records.is_empty(), "no file could be built");
    let lines: Vec<String> = worse.iter().map(|r| format!("{}: {}", text(r, "path"), r["new"])).collect();
    ensure!(lines.is_empty(), "converted files that no longer compile as before:\n{}", lines.join("\n"));
    Ok(())
}

fn text<'a>(record: &'a serde_json::Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}
