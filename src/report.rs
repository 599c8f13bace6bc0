//! What a run says, as plain data: the records of `--format jsonl`, and what every printer reads.
//!
//! Field names and order are a contract (DESIGN: scripts depend on them). Printers read a [`Run`] and nothing else.

use crate::kernel::document::Document;
use crate::prove::Defect;
use serde::Serialize;
use std::sync::Arc;

pub mod build;
pub mod lines;

/// Version of the record layout.
pub const SCHEMA: u32 = 1;

/// What a record says of a release that gets pages of an iterator, whichever that is.
pub const ITERATOR: &str = "iov_iter";

/// One pin site with its trace, plan and proof.
#[derive(Clone, Debug, Serialize)]
pub struct SiteRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `"site"`.
    pub kind: &'static str,
    /// Stable over edits elsewhere: path, function, API and ordinal, hashed.
    pub id: String,
    /// Path from the root of the tree.
    pub path: String,
    /// Line of the callee's identifier.
    pub line: u32,
    /// Column of it, 1-based, in bytes.
    pub column: u32,
    /// Enclosing function.
    pub function: String,
    /// Function called.
    pub api: String,
    /// Argument that receives the pages, as written; empty when they are returned.
    pub pages: String,
    /// Count argument, as written.
    pub count: String,
    /// Variable that takes the result.
    pub result: String,
    /// `always`, `never`, `conditional`, `unknown`.
    pub write: &'static str,
    /// What decides it.
    pub write_expr: String,
    /// `pin_user_pages.rst` case, 0 if none.
    pub case: u8,
    /// What decided it; for people only.
    #[serde(skip)]
    pub case_why: String,
    /// `convert`, `assist`, `leave`.
    pub verdict: &'static str,
    /// Stable code.
    pub reason_code: &'static str,
    /// One sentence.
    pub reason: String,
    /// Holders.
    pub holders: Vec<String>,
    /// Those that keep the pages or hand them on, in the order of what matters; for people only.
    #[serde(skip)]
    pub held: Vec<String>,
    /// Releases.
    pub releases: Vec<ReleaseRecord>,
    /// Gaps.
    pub gaps: Vec<GapRecord>,
    /// Edits of the plan.
    pub edits: Vec<EditRecord>,
    /// Proof of the plan.
    pub proof: Option<ProofRecord>,
    /// Rule ids found on the trace.
    pub findings: Vec<String>,
    /// Calls that make the pages dirty apart from any release; for people only.
    #[serde(skip)]
    pub dirtied: Vec<DirtiedRecord>,
    /// Bugs that the rewrite needs fixed before it.
    pub fixes: Vec<FixRecord>,
}

impl SiteRecord {
    /// Whether [`SiteRecord::case`] is only the nearest one: the document does not speak of such code.
    pub fn case_near(&self) -> bool {
        matches!(self.reason_code, "page-tables" | "address-taken")
    }
}

/// A release of a site.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseRecord {
    /// Path.
    pub path: String,
    /// Line of the callee's identifier.
    pub line: u32,
    /// Enclosing function.
    pub function: String,
    /// Function called.
    pub call: String,
    /// `none`, `set_page_dirty`, `set_page_dirty_lock`, `SetPageDirty`.
    pub dirty: &'static str,
    /// Condition of the dirtying.
    pub dirty_when: String,
    /// The page lock is held there; for people only.
    #[serde(skip)]
    pub page_locked: bool,
    /// `single`, `for-loop`, `while-loop`, `batch-call`, `sg-iter`.
    pub shape: &'static str,
    /// `normal`, `error`, `partial`.
    pub when: &'static str,
    /// Perhaps it never drops this pin: the field by which the pages come to it, where others come to that field as
    /// well, or `iov_iter`, where it does so for iterators over user memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perhaps: Option<String>,
    /// Of a release that drops no pin, but the reference that a holder of the page took for itself: what took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnRecord>,
}

/// A call that makes pages dirty.
#[derive(Clone, Debug)]
pub struct DirtiedRecord {
    /// Path.
    pub path: String,
    /// Line.
    pub line: u32,
    /// Function around it.
    pub function: String,
    /// Function called.
    pub call: String,
}

/// Where a holder of a page took a reference for itself.
#[derive(Clone, Debug, Serialize)]
pub struct OwnRecord {
    /// Path.
    pub path: String,
    /// Line of the store.
    pub line: u32,
    /// The function that took it.
    pub call: String,
    /// Line of that call in the file, 0 if it is not known; for people only.
    #[serde(skip)]
    pub taken: u32,
    /// What keeps the page with it; for people only.
    #[serde(skip)]
    pub holder: String,
}

/// A gap of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct GapRecord {
    /// Path.
    pub path: String,
    /// Line.
    pub line: u32,
    /// Stable code.
    pub code: &'static str,
    /// The construct, as written.
    pub detail: String,
}

/// An edit, in lines.
#[derive(Clone, Debug, Serialize)]
pub struct EditRecord {
    /// Path.
    pub path: String,
    /// First and last line replaced, as numbered before editing.
    pub replaces: [u32; 2],
    /// New text of those lines, without the final newline; empty when they go.
    pub with: String,
}

/// A proof.
#[derive(Clone, Debug, Serialize)]
pub struct ProofRecord {
    /// `equal`, `refined`, `differs`, `unsupported`.
    pub outcome: &'static str,
    /// `R1` … `R9`.
    pub refinements: Vec<String>,
    /// Pairs of runs compared.
    pub runs: u64,
    /// What was taken for granted, and after it the cautions of the plan.
    pub assumed: Vec<String>,
    /// Those of `assumed` that the proof does not stand on: what a person should know of the plan.
    #[serde(skip)]
    pub cautions: Vec<String>,
    /// The shortest counterexample, or the construct that stopped the proof.
    pub counterexample: Option<String>,
    /// Of a fix: how the defect shows in the old code. No part of the records, which have it as a sentence.
    #[serde(skip)]
    pub defect: Option<Defect>,
}

impl ProofRecord {
    /// A second proof holds as well.
    pub fn add(&mut self, second: &ProofRecord) {
        self.runs += second.runs;
        self.assumed.extend(second.assumed.iter().cloned());
        self.assumed.sort();
        self.assumed.dedup();
    }
    /// Tells the cautions of the plan with it.
    pub fn tell(&mut self, cautions: &[String]) {
        self.assumed.extend(cautions.iter().cloned());
        self.cautions.extend(cautions.iter().cloned());
    }
}

/// A fix that stands before the rewrite.
#[derive(Clone, Debug, Serialize)]
pub struct FixRecord {
    /// Path.
    pub path: String,
    /// Line of the declaration.
    pub line: u32,
    /// Function around it.
    pub function: String,
    /// Variable that is declared anew.
    pub variable: String,
    /// Its type before.
    pub from: String,
    /// Its type after.
    pub to: &'static str,
    /// What the old code does, one sentence.
    pub defect: String,
    /// Edits of the fix alone; those of the site hold them, too.
    pub edits: Vec<EditRecord>,
    /// That it takes the defect away and changes nothing else.
    pub proof: ProofRecord,
}

/// A file that was compiled before and after, or could not be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BuildRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `"build"`.
    pub kind: &'static str,
    /// Path from the root of the tree.
    pub path: String,
    /// Architecture it was built for; empty when there is none.
    pub arch: String,
    /// `clean` (nothing new), `worse` (new messages, or no longer built), `not-built`.
    pub outcome: &'static str,
    /// Warnings and errors in the file before.
    pub before: u32,
    /// And after.
    pub after: u32,
    /// The messages that are new.
    pub new: Vec<String>,
    /// Why it was not built; of a built one what its configuration lacks. May be empty.
    pub why: String,
}

/// Last record of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `"run"`.
    pub kind: &'static str,
    /// `gupconv` version.
    pub version: &'static str,
    /// Root of the tree as given.
    pub tree: String,
    /// `none`, `put-user-page-2arg`, `put-user-page-3arg`, `pin-user-pages`.
    pub dialect: String,
    /// `complete`, `degraded` (something was not read or parsed), `failed`.
    pub status: &'static str,
    /// Sites by verdict: convert, assist, leave.
    pub convert: u32,
    /// See `convert`.
    pub assist: u32,
    /// See `convert`.
    pub leave: u32,
    /// How much of the tree was looked at.
    pub coverage: Coverage,
}

/// What was looked at, and what was not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// `.c` and `.h` files read.
    pub files: u32,
    /// Of them, files that name an API of interest.
    pub candidates: u32,
    /// Functions parsed.
    pub functions: u32,
    /// Functions that could not be parsed whole.
    pub damaged: Vec<String>,
    /// Gaps over all traces.
    pub gaps: u32,
    /// Files or folders that could not be read, with the error.
    pub unreadable: Vec<String>,
    /// Top-level folders skipped because they are not kernel code.
    pub skipped: Vec<String>,
    /// Lists of constants of more than 1 MB, of which only beginning and end were searched.
    pub tables: u32,
}

/// A step of a trace, for `gupconv trace`; no part of the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepRecord {
    /// Path.
    pub path: String,
    /// Line.
    pub line: u32,
    /// What happens to the pages.
    pub what: String,
    /// The fact that makes the step valid; may be empty.
    pub because: String,
    /// Why the pages of the pin may never take it; may be empty.
    pub doubt: String,
    /// The step that it continues, by its number in the list, from 0.
    pub after: usize,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Sites, by path and offset.
    pub sites: Vec<SiteRecord>,
    /// The steps of each site's trace, in the order of `sites`.
    pub steps: Vec<Vec<StepRecord>>,
    /// What a build check compiled, by path.
    pub builds: Vec<BuildRecord>,
    /// What the tree's `pin_user_pages.rst` has; no part of the records.
    pub document: Document,
    /// Summary.
    pub run: RunRecord,
}

/// A file before and after its edits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileChange {
    /// Path from the root of the tree.
    pub path: String,
    /// The bytes as read.
    pub before: Arc<[u8]>,
    /// The bytes as they shall be.
    pub after: Vec<u8>,
}
