//! The driver: a configuration in, an [`Analysis`] out. One function a hop, in the order of the pipeline.
//!
//! It decides which plans are handed out, since that hangs on everything before: verdict, proof, and the paths that
//! were asked for. It knows nothing of flags, formats or terminals.

mod evidence;
mod guarded;
mod handed;
mod kept;
mod leading;
pub mod mmu;
mod weak;

use crate::classify;
use crate::config::{Config, DialectKind, Policy};
use crate::decide::{self, Question};
use crate::discover::{self, SourceTree};
use crate::edit::Edit;
use crate::error::UserError;
use crate::flow;
use crate::index::Index;
use crate::kernel::Api;
use crate::kernel::dialect::{self, Detected};
use crate::prerequisite;
use crate::program::Program;
use crate::proof;
use crate::report::build::{Frame, Outcome};
use crate::report::{Coverage, FileChange, ProofRecord, Run, build};
use crate::source::FileId;
use crate::trace::Custody;
use handed::Handed;

pub use crate::report::build::Unlinked;
pub use evidence::Evidence;
pub use guarded::Guarded;
pub use handed::{FileEdits, FunctionChange, HandedBug, HandedFix, HandedPlan, Leading, Needed, UnsignedResult};
pub use weak::WeakDirtying;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The records.
    pub run: Run,
    /// Files that the handed-out plans change, by path. Empty when nothing is to be rewritten.
    pub changes: Vec<FileChange>,
    /// The plans behind `changes`, in the order of their first sites.
    pub plans: Vec<HandedPlan>,
    /// Patches that a series needs before its conversions, in their order; none of their changes is in `changes`.
    pub leading: Vec<Leading>,
    /// The files before and after `leading` and all plans together, by path: what `convert` hands out.
    pub together: Vec<FileChange>,
    /// Sites among the reported ones whose plan is in `changes`.
    pub converted: usize,
    /// Sites with a plan that is not in `changes`.
    pub left_out: Vec<LeftOut>,
    /// What a reader should know of the tree.
    pub notes: Vec<String>,
}

/// A site whose plan is not handed out although it could be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Path of the pin.
    pub path: String,
    /// Line of the pin.
    pub line: u32,
    /// Why.
    pub why: String,
}

/// What the hops from discovery to proof hand to the report.
pub struct Found {
    /// The tree, as far as it was read.
    pub program: Box<dyn Program + Send>,
    /// What the analysis has left behind.
    pub remains: flow::Remains,
    /// Sites, releases and traces.
    pub custody: Custody,
    /// One a site, in the order of the sites.
    pub outcomes: Vec<Outcome>,
    /// Files, candidates, functions, unreadable, skipped, tables.
    pub coverage: Coverage,
    /// What the tree needs before any rewrite.
    pub prerequisite: Vec<Edit>,
    /// Which rewrites would not link without an MMU.
    pub nommu: mmu::Nommu,
}

/// Runs all hops over a tree.
///
/// # Errors
/// The tree cannot be analysed: no `mm.h`, a dialect that contradicts it, no threads.
pub fn analyse(config: &Config) -> Result<Analysis, UserError> {
    analyse_with(config, &proof::answer)
}

/// Who answers for a plan; [`proof::answer`], or somebody who looks on.
pub type Answer<'a> = dyn Fn(&Config, &Custody, &Question<'_>) -> ProofRecord + Sync + 'a;

/// As [`analyse`], with every plan shown to `answer`.
///
/// # Errors
/// As [`analyse`].
pub fn analyse_with(config: &Config, answer: &Answer<'_>) -> Result<Analysis, UserError> {
    // This thread works too, if it may: what a first thread allocates comes in larger pieces from the system. It is of
    // one pool for ever, and who analyses twice gets threads of their own.
    let threads = || rayon::ThreadPoolBuilder::new().num_threads(config.jobs);
    let pool = threads().use_current_thread().build().or_else(|_| threads().build()).map_err(|e| {
        UserError::new("cannot start the worker threads", e.to_string(), "ask for fewer threads with -j")
    })?;
    pool.install(|| {
        let mut clock = Clock::start();
        let options = discover::Options { include_non_kernel: false, threads: config.jobs };
        let (detected, tree) = rayon::join(
            || dialect::detect(&config.root, config.dialect),
            || SourceTree::open(&config.root, &options),
        );
        let detected = detected?;
        if config.policy == Policy::AllGup && detected.dialect.kind == DialectKind::PinUserPages {
            return Err(UserError::new(
                "--policy all-gup is not for this tree",
                "it counts pins apart from references: unpin_user_page() on a page that must not be pinned (cases 3 and \
                 4 of pin_user_pages.rst) corrupts its count, or pins what has to stay movable",
                "leave --policy out; it is for trees with put_user_page(), where the two calls do the same",
            ));
        }
        let tree = tree.map_err(|e| {
            UserError::new("cannot list the tree", e.to_string(), "give the root of a kernel tree with --tree")
        })?;
        clock.lap("list");
        let (detected, found) = hops(config, detected, tree, clock, answer)?;
        Ok(finish(config, &detected, found))
    })
}

/// From the tree to a verdict a site.
fn hops(
    config: &Config,
    mut detected: Detected,
    tree: SourceTree,
    mut clock: Clock,
    answer: &Answer<'_>,
) -> Result<(Detected, Found), UserError> {
    let parts: Vec<&str> = Api::get().search_parts().iter().map(String::as_str).collect();
    let words: Vec<&str> = Api::get().vessel_words().collect();
    let seeds: Vec<FileId> = tree.survey(&parts, &words);
    clock.lap("search");
    let files = tree.len() as u32;
    let index = Index::new(tree, detected.prototypes.clone());
    let needed = config.with_prerequisite && config.dialect.is_none();
    let prerequisite = match needed && prerequisite::assume(&mut detected.dialect, &index) {
        true => prerequisite::edits(&index)?,
        false => Vec::new(),
    };
    let (mut custody, remains) = flow::analyse(&index, &seeds);
    clock.lap("flow");
    classify::classify(&mut custody, &index, &detected.dialect, config.policy);
    clock.lap("classify");
    let mut outcomes = decide::decide(&index, &detected.dialect, &custody, &|q| answer(config, &custody, q));
    clock.lap("plan and prove");
    let nommu = mmu::Nommu::look(config, &index, &detected.dialect, &mut outcomes);
    clock.lap("without MMU");
    let coverage = Coverage {
        files,
        candidates: seeds.len() as u32,
        functions: index.parsed_count() as u32,
        unreadable: index.tree.unreadable().into_iter().map(|(p, e)| format!("{p}: {e}")).collect(),
        skipped: index.tree.skipped().to_vec(),
        tables: index.tree.tables() as u32,
        ..Coverage::default()
    };
    Ok((detected, Found { program: Box::new(index), remains, custody, outcomes, coverage, prerequisite, nommu }))
}

/// Time per hop on stderr, for `cargo xtask bench`: only when the environment asks for it.
struct Clock {
    last: std::time::Instant,
    on: bool,
}

impl Clock {
    fn start() -> Self {
        Self { last: std::time::Instant::now(), on: std::env::var_os("GUPCONV_TIMES").is_some() }
    }
    fn lap(&mut self, hop: &str) {
        if self.on {
            eprintln!("time: {hop} {:.3} s", self.last.elapsed().as_secs_f64());
        }
        self.last = std::time::Instant::now();
    }
}

/// From verdicts to records and changed files.
pub fn finish(config: &Config, detected: &Detected, found: Found) -> Analysis {
    let Found { program, remains, custody, outcomes, coverage, prerequisite, nommu } = found;
    let kept = program;
    let program = &*kept;
    let (dialect, document) = (detected.dialect.kind.code().to_string(), detected.document);
    let frame = Frame { tree: config.tree_name.clone(), dialect, document, coverage };
    let (run, handed) = rayon::join(
        || build::build(program, &custody, &outcomes, frame, &|path| config.reports(path)),
        || handed::hand_out(config, program, &custody, &outcomes),
    );
    let Handed { edits, plans, converted, left_out } = handed;
    let mut notes = detected.dialect.notes.clone();
    if detected.dialect.kind == DialectKind::None && config.dialect.is_none() {
        notes.push("the tree has neither put_user_page() nor unpin_user_page(): nothing can be rewritten".into());
    }
    notes.extend(nommu.note(&plans));
    let changes = handed::changes(program, &edits);
    let mut before = Vec::new();
    let mut first = Vec::new();
    let mut others = Vec::new();
    if converted > 0 && !prerequisite.is_empty() {
        let changes = handed::changes(program, &handed::by_file(&prerequisite));
        before.push(leading::placeholders(changes, &plans));
        first.extend(prerequisite);
    }
    if let Some(change) = nommu.change(&plans) {
        let mut changes = handed::changes(program, &handed::by_file(&change.edits));
        changes.insert(0, change.makefile.clone());
        before.push(leading::without_mmu(changes, &mmu::files(&plans), change.nommu_gets));
        first.extend_from_slice(&change.edits);
        others.push(change.makefile.clone());
    }
    let together = match handed::merged(&edits, &first) {
        Some(all) => {
            let mut all = handed::changes(program, &all);
            all.extend(others);
            all.sort_by(|a, b| a.path.cmp(&b.path));
            all
        }
        None => {
            notes.push("a rewrite overlaps the prerequisite: apply that first".into());
            changes.clone()
        }
    };
    // Taking down some 100 MB of small pieces takes 0.1 s: not for the reader to wait for.
    std::thread::spawn(move || drop((kept, remains)));
    Analysis { run, changes, plans, leading: before, together, converted, left_out, notes }
}
