//! Mutation adequacy: wrong variants of each right rewrite must be refused.
//!
//! A mutant that does not change behaviour is listed with the reason in `survivors.txt` of the case, one
//! `label: reason` a line; a listed one that is refused is an error, too.

use crate::program::Case;
use gupconv::prove::{Outcome, mutants};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::path::Path;

pub fn check(dir: &Path) -> Result<(), Failed> {
    let case = Case::read(dir)?;
    if !matches!(case.prove().outcome, Outcome::Equal | Outcome::Refined) {
        return Ok(());
    }
    let text = std::fs::read_to_string(dir.join("survivors.txt")).unwrap_or_default();
    let mut argued: BTreeMap<String, bool> =
        text.lines().filter_map(|l| l.split_once(": ")).map(|(k, _)| (k.to_string(), false)).collect();
    let all = mutants(&case.before, &case.after);
    let mut wrong = String::new();
    let mut killed = 0;
    for m in &all {
        let label = &m.label;
        let outcome = case.prove_against(&m.apply(&case.after)).outcome;
        if matches!(outcome, Outcome::Differs | Outcome::Unsupported) {
            killed += 1;
            if argued.contains_key(label) {
                wrong.push_str(&format!("{label}: listed as surviving, but refused\n"));
                argued.insert(label.clone(), true);
            }
        } else if let Some(seen) = argued.get_mut(label) {
            *seen = true;
        } else {
            wrong.push_str(&format!(
                "{label}: survives as {} ({:?} by {:?})\n",
                outcome.code(),
                m.span.text(&case.after),
                m.with
            ));
        }
    }
    for (label, seen) in argued {
        if !seen {
            wrong.push_str(&format!("{label}: listed, but there is no such mutant\n"));
        }
    }
    if std::env::var_os("GUPCONV_MUTANTS").is_some() {
        eprintln!("{}: {killed} of {} mutants refused", dir.display(), all.len());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}
