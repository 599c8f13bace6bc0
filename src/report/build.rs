//! From what the hops found to a [`Run`]: places become lines, enums become their stable codes.

use super::{
    Coverage, DirtiedRecord, EditRecord, FixRecord, GapRecord, ITERATOR, OwnRecord, ProofRecord, ReleaseRecord, Run,
    RunRecord, SCHEMA, SiteRecord,
};
use super::{StepRecord, lines};
use crate::edit::Edit;
use crate::fix::{Bug, Fix, Unsigned};
use crate::kernel::document::Document;
use crate::plan::Plan;
use crate::program::Program;
use crate::prove::Defect;
use crate::source::{FileId, LineMap, Loc, Span};
use crate::trace::{
    Custody, Dirty, Dirtying, Doubt, Holder, HolderKind, PinSite, PinTrace, Reason, Release, Shape, Verdict, When,
    Writes,
};
use std::collections::BTreeMap;

/// What was decided about a site in the end: by its trace, then by planning and proof.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// One sentence.
    pub text: String,
    /// Edits of the plan, also when the verdict is assist because the proof failed.
    pub edits: Vec<Edit>,
    /// The plan of these edits, for the message of a patch.
    pub plan: Option<Plan>,
    /// The proof, if there was a plan.
    pub proof: Option<ProofRecord>,
    /// Rule ids found on the trace, ascending.
    pub findings: Vec<String>,
    /// What the plan stands on; `edits` holds these edits as well.
    pub fixes: Vec<ProvedFix>,
    /// The plan in steps, if it mends dirtying on the way.
    pub steps: Option<Steps>,
    /// Calls of the plan that a build without an MMU may not link.
    pub unlinked: Vec<Unlinked>,
}

/// A function that a plan lets call what the tree links only with `CONFIG_MMU`, in a file that is not shown to need
/// that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlinked {
    /// Path of the file.
    pub path: String,
    /// The function.
    pub function: String,
    /// The symbol that switches the object of the file, without `CONFIG_`, if it was found.
    pub symbol: Option<String>,
    /// What it calls, ascending.
    pub called: Vec<String>,
}

/// A fix that a plan stands on, with its proof.
#[derive(Clone, Debug)]
pub struct ProvedFix {
    /// The fix.
    pub fix: Fix,
    /// That it takes the defect away, and changes nothing else.
    pub proof: ProofRecord,
}

/// The change of a plan in steps, of which each is proved by itself.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Fixes of dirtying, in their order.
    pub fixes: Vec<ProvedFix>,
    /// The plan, on the text with these fixes and those that it stands on.
    pub proof: ProofRecord,
}

impl ProvedFix {
    /// What the defect of an unsigned result does in the old code: a sentence with the line.
    fn defect(&self, program: &dyn Program, bug: &Unsigned) -> String {
        let Unsigned { api, variable, .. } = bug;
        let text = program.text(self.fix.file);
        let line = |span: Span| LineMap::new(&text).line(span.start);
        let after = match &self.proof.defect {
            Some(Defect::Told { callee, at, number }) => {
                format!("{callee}() in line {} is told to release {number} pages", line(*at))
            }
            Some(Defect::Released { at }) => {
                format!("pages that nobody pinned are released in line {}", line(*at))
            }
            None => "the model shows no release".to_string(),
        };
        format!("When {api}() fails, {variable} keeps its negative result as a huge number, and {after}.")
    }
}

impl Outcome {
    /// The verdict of the trace alone.
    pub fn of_trace(trace: &PinTrace) -> Self {
        Self {
            verdict: trace.verdict,
            reason: trace.reason,
            text: trace.reason_text.clone(),
            edits: Vec::new(),
            plan: None,
            proof: None,
            findings: Vec::new(),
            fixes: Vec::new(),
            steps: None,
            unlinked: Vec::new(),
        }
    }
}

/// What a run knows besides its sites.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Root of the tree as given.
    pub tree: String,
    /// Code of the dialect.
    pub dialect: String,
    /// What the tree's `pin_user_pages.rst` has.
    pub document: Document,
    /// Files, candidates, functions, unreadable and skipped; damage and gaps are counted here.
    pub coverage: Coverage,
}

/// Builds the run. `outcomes` has one entry a site, in the order of [`Custody::sites`]; a site without one gets the
/// verdict of its trace. Sites whose path `reports` refuses are left out of the records and the totals.
pub fn build(
    program: &dyn Program,
    custody: &Custody,
    outcomes: &[Outcome],
    frame: Frame,
    reports: &dyn Fn(&str) -> bool,
) -> Run {
    let mut places = Places { program, maps: BTreeMap::new() };
    let mut ordinals: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
    let mut coverage = frame.coverage;
    coverage.gaps = custody.traces.iter().map(|t| t.gaps.len() as u32).sum();
    coverage.damaged =
        custody.damaged.iter().map(|(file, name, _)| format!("{}: {name}", program.path(*file))).collect();
    let mut run = Run {
        sites: Vec::new(),
        steps: Vec::new(),
        builds: Vec::new(),
        document: frame.document,
        run: RunRecord {
            schema: SCHEMA,
            kind: "run",
            version: env!("CARGO_PKG_VERSION"),
            tree: frame.tree,
            dialect: frame.dialect,
            status: if coverage.damaged.is_empty() && coverage.unreadable.is_empty() { "complete" } else { "degraded" },
            convert: 0,
            assist: 0,
            leave: 0,
            coverage,
        },
    };
    for (i, (site, trace)) in custody.sites.iter().zip(&custody.traces).enumerate() {
        let path = program.path(site.at.file);
        // Counted over all sites: an id does not depend on what is reported.
        let ordinal = ordinals.entry((path, &site.function, &site.api)).or_insert(0);
        *ordinal += 1;
        if !reports(path) {
            continue;
        }
        let id = site_id(path, &site.function, &site.api, *ordinal);
        let by_trace;
        let outcome = match outcomes.get(i) {
            Some(outcome) => outcome,
            None => {
                by_trace = Outcome::of_trace(trace);
                &by_trace
            }
        };
        match outcome.verdict {
            Verdict::Convert => run.run.convert += 1,
            Verdict::Assist => run.run.assist += 1,
            Verdict::Leave => run.run.leave += 1,
        }
        run.sites.push(site_record(&mut places, custody, site, trace, outcome, id));
        run.steps.push(
            trace
                .steps
                .iter()
                .map(|s| StepRecord {
                    path: program.path(s.at.file).to_string(),
                    line: places.line(s.at),
                    what: s.what.clone(),
                    because: s.because.clone(),
                    doubt: match &s.doubt {
                        None => String::new(),
                        Some(Doubt::Iterator) => "if that iterator is over user memory".into(),
                        Some(Doubt::Joined(field, at)) => {
                            let (path, line) = (program.path(at.file), places.line(*at));
                            format!("perhaps only others: {field} also gets pages by way of {path}:{line}")
                        }
                        Some(Doubt::Argument(name, caller)) => {
                            format!("perhaps only others: the pin is behind a test of {name}, which fails with what {caller}() passes")
                        }
                        Some(Doubt::Field(field, at)) => {
                            let (path, line) = (program.path(at.file), places.line(*at));
                            format!("perhaps only others: {field} also gets pages at {path}:{line}")
                        }
                    },
                    after: s.after,
                })
                .collect(),
        );
    }
    run
}

/// Who has the pages, for people: fields and variables of files first, as they keep them; no parameters of functions
/// that only look at them.
fn held(holders: &[Holder]) -> Vec<String> {
    let of = |keeps: bool| {
        holders.iter().filter(move |h| matches!(h.kind, HolderKind::Local | HolderKind::Caller) != keeps && !h.passes)
    };
    let named = |h: &Holder| match h.text.split_once(':') {
        Some((function, variable)) => format!("{variable} of {function}()"),
        None => h.text.clone(),
    };
    of(true).chain(of(false)).map(named).collect()
}

/// Line maps of the files that were needed.
struct Places<'a> {
    program: &'a dyn Program,
    maps: BTreeMap<FileId, LineMap>,
}

impl Places<'_> {
    fn map(&mut self, file: FileId) -> &LineMap {
        let program = self.program;
        self.maps.entry(file).or_insert_with(|| LineMap::new(&program.text(file)))
    }
    fn line(&mut self, at: Loc) -> u32 {
        self.map(at.file).line(at.span.start)
    }
    fn path(&self, file: FileId) -> String {
        self.program.path(file).to_string()
    }
}

fn site_record(
    places: &mut Places<'_>,
    custody: &Custody,
    site: &PinSite,
    trace: &PinTrace,
    outcome: &Outcome,
    id: String,
) -> SiteRecord {
    let text = |t: &Option<(String, _)>| t.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
    let releases = trace
        .releases
        .iter()
        .filter_map(|id| {
            let mut record = release_record(places, custody.releases.get(id.0 as usize)?);
            let doubt = trace.doubted.iter().find(|d| d.0 == *id);
            record.perhaps = doubt.map(|(_, doubt)| match doubt {
                Doubt::Field(name, _) | Doubt::Joined(name, _) | Doubt::Argument(name, _) => name.to_string(),
                Doubt::Iterator => ITERATOR.into(),
            });
            Some(record)
        })
        .collect::<Vec<_>>();
    let own = trace.own.iter().filter_map(|o| {
        let mut record = release_record(places, custody.releases.get(o.release.0 as usize)?);
        let (path, line) = (places.path(o.stored.file), places.line(o.stored));
        let taken = o.taken.map_or(0, |at| places.line(at));
        record.own = Some(OwnRecord { path, line, call: o.api.to_string(), taken, holder: o.holder.clone() });
        Some(record)
    });
    let releases = releases.into_iter().chain(own.collect::<Vec<_>>()).collect();
    let gaps = trace
        .gaps
        .iter()
        .map(|g| GapRecord {
            path: places.path(g.at.file),
            line: places.line(g.at),
            code: g.code.code(),
            detail: g.detail.clone(),
        })
        .collect();
    let at_release = |d: &&Dirtying| {
        let mut all = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize));
        all.any(|r| r.at.file == d.at.file && r.dirtied_at == Some(d.at.span))
    };
    // Objects of one struct are one place: in another file it is often one with other pages in it.
    let here = trace.dirtied.iter().filter(|d| d.at.file == site.at.file && !at_release(d));
    let apart = here.map(|d| DirtiedRecord {
        path: places.path(d.at.file),
        line: places.line(d.at),
        function: d.function.to_string(),
        call: d.callee.to_string(),
    });
    let apart: Vec<DirtiedRecord> = apart.collect();
    // A short read is no case, also where the dialect decides that it is one, nor is what nothing shows.
    let shown = !matches!(outcome.reason, Reason::ShortRead | Reason::CaseUnknown);
    SiteRecord {
        schema: SCHEMA,
        kind: "site",
        id,
        path: places.path(site.at.file),
        line: places.line(site.at),
        column: places.map(site.at.file).column(site.at.span.start),
        function: site.function.to_string(),
        api: site.api.to_string(),
        pages: text(&site.pages),
        count: text(&site.count),
        result: site.result.clone().unwrap_or_default(),
        write: match site.writes {
            Writes::Always => "always",
            Writes::Never => "never",
            Writes::Conditional => "conditional",
            Writes::Unknown => "unknown",
        },
        write_expr: site.write_expr.clone(),
        case: if shown { trace.case } else { 0 },
        case_why: if shown { trace.case_shown.clone() } else { String::new() },
        verdict: match outcome.verdict {
            Verdict::Convert => "convert",
            Verdict::Assist => "assist",
            Verdict::Leave => "leave",
        },
        reason_code: outcome.reason.code(),
        reason: outcome.text.clone(),
        holders: trace.holders.iter().map(|h| h.text.clone()).collect(),
        held: held(&trace.holders),
        releases,
        gaps,
        edits: edit_records(places.program, &outcome.edits),
        proof: outcome.proof.clone(),
        findings: outcome.findings.clone(),
        dirtied: apart,
        fixes: outcome.fixes.iter().filter_map(|f| fix_record(places, f)).collect(),
    }
}

/// The record of a fix that the rewrite needs.
fn fix_record(places: &mut Places<'_>, proved: &ProvedFix) -> Option<FixRecord> {
    let fix = &proved.fix;
    let Bug::Unsigned(bug) = &fix.bug else { return None };
    Some(FixRecord {
        path: places.path(fix.file),
        line: places.line(Loc { file: fix.file, span: bug.declared }),
        function: bug.function.to_string(),
        variable: bug.variable.to_string(),
        from: bug.old.clone(),
        to: bug.new,
        defect: proved.defect(places.program, bug),
        edits: edit_records(places.program, &fix.edits),
        proof: proved.proof.clone(),
    })
}

fn release_record(places: &mut Places<'_>, r: &Release) -> ReleaseRecord {
    ReleaseRecord {
        path: places.path(r.at.file),
        line: places.line(r.at),
        function: r.function.to_string(),
        call: r.callee.to_string(),
        dirty: match r.dirty {
            Dirty::None => "none",
            Dirty::SetPageDirty => "set_page_dirty",
            Dirty::SetPageDirtyLock => "set_page_dirty_lock",
            Dirty::FlagOnly => "SetPageDirty",
        },
        dirty_when: r.dirty_when.clone(),
        page_locked: r.context.page_locked,
        shape: match r.shape {
            Shape::Single => "single",
            Shape::ForLoop => "for-loop",
            Shape::WhileLoop => "while-loop",
            Shape::BatchCall => "batch-call",
            Shape::SgIter => "sg-iter",
        },
        when: match r.when {
            When::Normal => "normal",
            When::Error => "error",
            When::Partial => "partial",
        },
        perhaps: None,
        own: None,
    }
}

/// The edits of one plan, in lines, by path.
fn edit_records(program: &dyn Program, edits: &[Edit]) -> Vec<EditRecord> {
    let mut by_file: BTreeMap<FileId, Vec<&Edit>> = BTreeMap::new();
    for e in edits {
        by_file.entry(e.file).or_default().push(e);
    }
    let mut out = Vec::new();
    for (file, mut edits) in by_file {
        edits.sort();
        edits.dedup();
        let spans: Vec<_> = edits.iter().map(|e| (e.span, e.with.as_slice())).collect();
        out.extend(lines::records(program.path(file), &program.text(file), &spans));
    }
    out
}

/// Sixteen hexadecimal digits that stay the same while the site keeps its file, function, API and rank among the calls
/// of that API in that function: the FNV-1a hash of the four.
pub fn site_id(path: &str, function: &str, api: &str, ordinal: u32) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [path, function, api, &ordinal.to_string()] {
        // A separator that no part contains.
        for b in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{Function, StructDef};
    use crate::source::{Name, Span};
    use crate::trace::{Apart, Context, Gap, GapCode, Holder, HolderKind, ReleaseId, SiteId, Step};
    use std::sync::Arc;

    /// Two files, without any syntax.
    struct Texts;

    const A: &str = "first\nget(p);\nput(p);\nput(q);\n";

    impl Program for Texts {
        fn path(&self, file: FileId) -> &str {
            if file.0 == 0 { "a.c" } else { "b.c" }
        }
        fn text(&self, _: FileId) -> Arc<[u8]> {
            A.as_bytes().into()
        }
        fn function_at(&self, _: Loc) -> Option<Arc<Function>> {
            None
        }
        fn function(&self, _: FileId, _: &str) -> Option<(FileId, Arc<Function>)> {
            None
        }
        fn structure(&self, _: FileId, _: &str) -> Option<Arc<StructDef>> {
            None
        }
    }

    fn loc(file: u32, start: usize) -> Loc {
        Loc { file: FileId(file), span: Span::new(start, start + 3) }
    }

    fn site(file: u32) -> PinSite {
        PinSite {
            at: loc(file, 6),
            call: Span::new(6, 12),
            api: "get".into(),
            function: "f".into(),
            pages: Some(("p".into(), Span::new(10, 11))),
            count: None,
            flags: None,
            result: None,
            writes: Writes::Always,
            write_expr: String::new(),
            damaged: false,
        }
    }

    fn trace(site: u32) -> PinTrace {
        PinTrace {
            site: SiteId(site),
            holders: vec![Holder { text: "p".into(), kind: HolderKind::Local, passes: false }],
            releases: vec![ReleaseId(0)],
            by_number: Vec::new(),
            doubted: Vec::new(),
            own: Vec::new(),
            gaps: vec![Gap { at: loc(1, 14), code: GapCode::Cast, detail: "(long)p".into() }],
            steps: vec![Step { at: loc(0, 6), what: "pinned".into(), because: String::new(), after: 0, doubt: None }],
            uses: Vec::new(),
            dirtied: vec![],
            functions: Vec::new(),
            local: false,
            case: 1,
            case_why: String::new(),
            case_shown: String::new(),
            verdict: Verdict::Assist,
            reason: Reason::Gap,
            reason_text: "lost".into(),
        }
    }

    fn custody() -> Custody {
        let release = Release {
            at: loc(0, 14),
            call: Span::new(14, 20),
            callee: "put".into(),
            function: "f".into(),
            pins: vec![SiteId(0)],
            foreign: Vec::new(),
            guarded_by: None,
            dirty: Dirty::FlagOnly,
            dirty_when: String::new(),
            dirtied_at: None,
            shape: Shape::Single,
            when: When::Partial,
            context: Context::default(),
            atomic: None,
            damaged: false,
        };
        Custody {
            asleep: Vec::new(),
            frees_others: Vec::new(),
            sites: vec![site(0), site(0), site(1)],
            releases: vec![release],
            traces: vec![trace(0), trace(1), trace(2)],
            apart: Apart::default(),
            damaged: vec![(FileId(1), Name::from("g"), Span::new(0, 1))],
        }
    }

    #[test]
    fn places_become_lines_and_enums_codes() {
        let mut outcome = Outcome::of_trace(&trace(0));
        outcome.verdict = Verdict::Convert;
        outcome.edits = vec![Edit { file: FileId(0), span: Span::new(14, 17), with: b"unpin".to_vec() }];
        let run = build(&Texts, &custody(), &[outcome], Frame::default(), &|_| true);
        let s = &run.sites[0];
        assert_eq!((s.line, s.column, s.write, s.verdict, s.reason_code), (2, 1, "always", "convert", "gap"));
        let r = &s.releases[0];
        assert_eq!((r.line, r.dirty, r.shape, r.when), (3, "SetPageDirty", "single", "partial"));
        assert_eq!((s.gaps[0].path.as_str(), s.gaps[0].line, s.gaps[0].code), ("b.c", 3, "cast"));
        assert_eq!((s.edits[0].replaces, s.edits[0].with.as_str()), ([3, 3], "unpin(p);"));
        assert_eq!((run.run.convert, run.run.assist, run.run.leave), (1, 2, 0));
        assert_eq!((run.run.status, run.run.coverage.gaps), ("degraded", 3));
        assert_eq!(run.run.coverage.damaged, ["b.c: g"]);
    }

    #[test]
    fn narrowing_changes_no_id() {
        let all = build(&Texts, &custody(), &[], Frame::default(), &|_| true);
        let some = build(&Texts, &custody(), &[], Frame::default(), &|p| p == "b.c");
        assert_eq!(all.sites.len(), 3);
        assert_ne!(all.sites[0].id, all.sites[1].id);
        assert_eq!(some.sites.len(), 1);
        assert_eq!((some.sites[0].id.as_str(), some.run.assist), (all.sites[2].id.as_str(), 1));
        // The spelling is a contract: baselines keep it.
        assert_eq!(site_id("a.c", "f", "get", 1), "659c211a4af8f056");
    }
}
