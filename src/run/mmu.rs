//! Rewrites that would not link without an MMU: the array functions are built with one only, and the file is not shown
//! to be.

use crate::config::Config;
use crate::index::Index;
use crate::kbuild::{Build, Kbuild};
use crate::kernel::dialect::Dialect;
use crate::plan::Plan;
use crate::program::Program;
use crate::report::build::Outcome;
use crate::rules::style::identifiers;
use crate::source::{FileId, Loc, Span};
use crate::trace::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// Files that may be built without an MMU and would call a function that is not there.
#[derive(Clone, Debug, Default)]
pub struct Nommu {
    /// By file: its path, and the symbol that switches its object.
    files: BTreeMap<FileId, (String, Option<String>)>,
    /// By outcome: what to say of its plan.
    cautions: BTreeMap<usize, Vec<String>>,
    /// They are added first.
    pub added: bool,
}

impl Nommu {
    /// The functions come first, in a patch of their own.
    pub fn added() -> Self {
        Self { added: true, ..Self::default() }
    }
    /// Every rewrite links in every configuration.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
    /// Puts the cautions into the plans.
    pub fn tell(&self, outcomes: &mut [Outcome]) {
        for (i, cautions) in &self.cautions {
            let Some(outcome) = outcomes.get_mut(*i) else { continue };
            if let Some(plan) = &mut outcome.plan {
                plan.cautions.extend(cautions.iter().cloned());
            }
            if let Some(proof) = &mut outcome.proof {
                proof.assumed.extend(cautions.iter().cloned());
            }
        }
    }
    /// What to say of the whole run.
    pub fn note(&self) -> Option<String> {
        let n = self.files.len();
        let one = self.files.values().next()?;
        let like = one.1.as_ref().map_or_else(String::new, |s| format!(", CONFIG_{s}"));
        let files = match n {
            1 => format!("1 file that may be built without it gets them ({}{like})", one.0),
            _ => format!("{n} files that may be built without it get them (such as {}{like})", one.0),
        };
        Some(format!(
            "put_user_pages*() are linked only with CONFIG_MMU in this tree, and {files}: --with-prerequisite adds them to \
             mm/nommu.c"
        ))
    }
}

/// The rewrites that need array functions in files that are not shown to need an MMU. Reads Makefiles and Kconfig only
/// when there is one with such a function.
pub fn unlinked(config: &Config, index: &Index, dialect: &Dialect, outcomes: &[Outcome]) -> Nommu {
    let kbuild = Kbuild::new(&config.root);
    let mut known: BTreeMap<FileId, Build> = BTreeMap::new();
    let mut out = Nommu::default();
    let arrays = dialect.arrays();
    for (i, outcome) in outcomes.iter().enumerate() {
        let Some(plan) = &outcome.plan else { continue };
        for ((file, function), called) in calls(index, &arrays, plan) {
            let path = index.path(file);
            let build = known.entry(file).or_insert_with(|| kbuild.build(path));
            let Build::NotShown(symbol) = build else { continue };
            if outcome.verdict == Verdict::Convert && config.reports(path) {
                out.files.insert(file, (path.to_string(), symbol.clone()));
            }
            let by = symbol.as_ref().map_or_else(|| "its object".to_string(), |s| format!("its object (CONFIG_{s})"));
            let called: Vec<String> = called.iter().map(|f| format!("{f}()")).collect();
            out.cautions.entry(i).or_default().push(format!(
                "{function}() in {path} calls {}, which this tree links only with CONFIG_MMU, and {by} is not shown to need \
                 that: a build without an MMU would fail.",
                called.join(" and ")
            ));
        }
    }
    out
}

/// The array functions that a plan calls, by file and function.
fn calls<'a>(index: &Index, arrays: &[&'a str], plan: &Plan) -> BTreeMap<(FileId, String), BTreeSet<&'a str>> {
    let mut found: BTreeMap<(FileId, String), BTreeSet<&str>> = BTreeMap::new();
    for edit in &plan.edits {
        for word in identifiers(&edit.with, Span::new(0, edit.with.len())) {
            let Some(name) = arrays.iter().find(|a| a.as_bytes() == word.of(&edit.with)) else { continue };
            let Some(function) = index.function_at(Loc { file: edit.file, span: edit.span }) else { continue };
            found.entry((edit.file, function.name.to_string())).or_default().insert(name);
        }
    }
    found
}
