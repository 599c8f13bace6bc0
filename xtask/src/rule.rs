//! `new-rule NAME`: the file, the registration and the fixture folder of a rewrite rule, ready to be filled.

use crate::repo;
use anyhow::{Context, Result, bail, ensure};
use std::fs;

/// Makes the three of them; changes nothing when one exists already.
pub fn new(arguments: &[String]) -> Result<()> {
    let [name] = arguments else { bail!("usage: cargo xtask new-rule NAME") };
    ensure!(
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "the name of a rule is a Rust module name: lower case, digits, underscores"
    );
    let file = repo::root().join(format!("src/rules/{name}.rs"));
    let folder = repo::root().join(format!("fixtures/rules/{name}"));
    ensure!(!file.exists() && !folder.exists(), "rule `{name}` exists already");
    let registry = repo::root().join("src/rules/mod.rs");
    let text = fs::read_to_string(&registry).context("src/rules/mod.rs")?;
    let text = register(&text, name).context("src/rules/mod.rs has no `mod` lines or no RULES to extend")?;
    fs::create_dir_all(folder.join("first"))?;
    fs::write(folder.join("first/before.c"), BEFORE)?;
    fs::write(&file, RULE)?;
    fs::write(&registry, text)?;
    println!(
        "made src/rules/{name}.rs and fixtures/rules/{name}/first/before.c, registered last among the rewrites.\n\
         Next: write before.c, write what you expect as after.c, fill the rule until `cargo test` is green."
    );
    Ok(())
}

/// Adds the `mod` line, sorted, and the entry behind the last rewrite of `RULES`.
fn register(text: &str, name: &str) -> Option<String> {
    let declaration = format!("mod {name};");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let modules: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].starts_with("mod ")).collect();
    let at = modules.iter().find(|i| lines[**i] > declaration).copied().or(modules.last().map(|i| i + 1))?;
    lines.insert(at, declaration);
    let last = lines.iter().rposition(|line| line.contains("rule!(") && line.contains("Kind::Rewrite"))?;
    lines.insert(last + 1, format!("    rule!({name}, Kind::Rewrite({name}::rewrite)),"));
    Some(lines.join("\n") + "\n")
}

/// A rule that offers nothing: it compiles, and its fixture shows the text unchanged.
const RULE: &str = "\
//! The pattern that is found, in one line.
//!
//! # What it does
//!
//! # Why
//!
//! # Example
//! ```c
//! ```
//! becomes
//! ```c
//! ```
//!
//! # Fix safety

use super::{Rewrite, Scene, Unit};

/// Offers nothing yet.
pub fn rewrite(_scene: &Scene, _unit: &Unit) -> Option<Rewrite> {
    None
}
";

const BEFORE: &str = "\
// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
";

#[cfg(test)]
mod tests {
    use super::register;

    const REGISTRY: &str = "//! Rules.\n\npub mod shape;\n\nmod a_rule;\nmod c_rule;\n\nconst RULES: &[Rule] = &[\n    \
                            rule!(c_rule, Kind::Rewrite(c_rule::rewrite)),\n    rule!(a_rule, Kind::Cleanup),\n];\n";

    #[test]
    fn rule_is_declared_in_order_and_registered_behind_the_rewrites() {
        let text = register(REGISTRY, "b_rule").unwrap();
        assert!(text.contains("mod a_rule;\nmod b_rule;\nmod c_rule;\n"), "{text}");
        assert!(text.contains("c_rule::rewrite)),\n    rule!(b_rule, Kind::Rewrite(b_rule::rewrite)),\n    rule!(a"));
    }

    #[test]
    fn text_without_a_registry_is_refused() {
        assert_eq!(register("//! Nothing.\n", "b_rule"), None);
    }
}
