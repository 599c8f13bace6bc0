//! Rewrites that would not link without an MMU: the array functions are built with one only, and the file is not shown
//! to be. Where that can be done, mm/gup.c is made a file that is always built first.

use super::handed::HandedPlan;
use crate::config::Config;
use crate::edit::Edit;
use crate::index::Index;
use crate::kbuild::{Build, Kbuild};
use crate::kernel::dialect::Dialect;
use crate::plan::Plan;
use crate::prerequisite::{self, GUP, MAKEFILE};
use crate::program::Program;
use crate::report::FileChange;
use crate::report::build::{Outcome, Unlinked};
use crate::rules::style::identifiers;
use crate::source::{FileId, Loc, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What to do about such rewrites.
#[derive(Clone, Debug, Default)]
pub struct Nommu {
    /// What brings the functions; nothing where no way is seen.
    change: Option<Change>,
    /// It is handed out: its files are among the paths that were asked for, or do not have to be.
    handed: bool,
}

/// mm/gup.c and mm/Makefile, so that the array functions are always built.
#[derive(Clone, Debug)]
pub struct Change {
    /// To mm/gup.c.
    pub edits: Vec<Edit>,
    /// mm/Makefile.
    pub makefile: FileChange,
    /// mm/nommu.c has `get_user_pages()`.
    pub nommu_gets: bool,
}

impl Nommu {
    /// Looks at all rewrites, and says of each what it calls that may not be there.
    pub fn look(config: &Config, index: &Index, dialect: &Dialect, outcomes: &mut [Outcome]) -> Self {
        if !dialect.batch_needs_mmu || prerequisite::nommu_has(index, dialect) {
            return Self::default();
        }
        unlinked(&Kbuild::new(&config.root), index, dialect, outcomes);
        if outcomes.iter().all(|o| o.unlinked.is_empty()) {
            return Self::default();
        }
        let change = Change::of(config, index, dialect);
        let within = [GUP, MAKEFILE].iter().all(|f| config.reports(f));
        let handed = change.is_some() && (config.leads || within);
        if !handed {
            outcomes.iter_mut().for_each(warn);
        }
        Self { change, handed }
    }
    /// What to hand out before these plans.
    pub fn change(&self, plans: &[HandedPlan]) -> Option<&Change> {
        self.change.as_ref().filter(|_| self.handed && plans.iter().any(|p| !p.unlinked.is_empty()))
    }
    /// What to say of a run with these plans.
    pub fn note(&self, plans: &[HandedPlan]) -> Option<String> {
        let files = files(plans);
        let (path, one) = files.first_key_value()?;
        let like = one.symbol.as_ref().map_or_else(String::new, |s| format!(", CONFIG_{s}"));
        let (are, them) = match files.len() {
            1 => (format!("1 file that may be built without it gets them ({path}{like})"), "it is"),
            n => (format!("{n} files that may be built without it get them (such as {path}{like})"), "they are"),
        };
        let remedy = match (self.handed, self.change.is_none()) {
            (true, _) => format!("{GUP}, which has them, is made a file that is always built first"),
            (false, true) => format!("no way was seen to build {GUP} without it, so look whether {them} ever"),
            (false, false) => {
                format!(
                    "name {GUP} and {MAKEFILE} among the paths, or give --with-prerequisite, and {GUP} is made a file \
                     that is always built"
                )
            }
        };
        Some(format!("put_user_pages*() are linked only with CONFIG_MMU in this tree, and {are}: {remedy}"))
    }
}

impl Change {
    fn of(config: &Config, index: &Index, dialect: &Dialect) -> Option<Self> {
        let text = std::fs::read(config.root.join(MAKEFILE)).ok()?;
        let all = prerequisite::always_built(index, dialect, &text)?;
        let (before, after) = all.makefile;
        let makefile = FileChange { path: MAKEFILE.into(), before: before.into(), after };
        Some(Self { edits: all.edits, makefile, nommu_gets: prerequisite::nommu_gets(index) })
    }
}

/// The files that may be built without an MMU and call what is not there then: by path, one reason each.
pub fn files(plans: &[HandedPlan]) -> BTreeMap<&str, &Unlinked> {
    plans.iter().flat_map(|p| &p.unlinked).map(|u| (u.path.as_str(), u)).collect()
}

/// Finds the calls of array functions in files that are not shown to need an MMU. Reads Makefiles and Kconfig only when
/// there is a file with such a call.
fn unlinked(kbuild: &Kbuild, index: &Index, dialect: &Dialect, outcomes: &mut [Outcome]) {
    let mut known: BTreeMap<FileId, Build> = BTreeMap::new();
    let arrays = dialect.arrays();
    for outcome in outcomes {
        let Some(plan) = &outcome.plan else { continue };
        for ((file, function), called) in calls(index, &arrays, plan) {
            let path = index.path(file);
            let build = known.entry(file).or_insert_with(|| kbuild.build(path));
            let Build::NotShown(symbol) = build else { continue };
            outcome.unlinked.push(Unlinked {
                path: path.to_string(),
                function,
                symbol: symbol.clone(),
                called: called.iter().map(|f| f.to_string()).collect(),
            });
        }
    }
}

/// Puts what is not there into the cautions of a plan.
fn warn(outcome: &mut Outcome) {
    for u in &outcome.unlinked {
        let by = u.symbol.as_ref().map_or_else(|| "its object".to_string(), |s| format!("its object (CONFIG_{s})"));
        let called: Vec<String> = u.called.iter().map(|f| format!("{f}()")).collect();
        let caution = format!(
            "{}() in {} calls {}, which this tree links only with CONFIG_MMU, and {by} is not shown to need that: a build \
             without an MMU would fail.",
            u.function,
            u.path,
            called.join(" and ")
        );
        if let Some(plan) = &mut outcome.plan {
            plan.cautions.push(caution.clone());
        }
        if let Some(proof) = &mut outcome.proof {
            proof.tell(&[caution]);
        }
    }
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
