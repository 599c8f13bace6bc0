//! A made-up run for the tests of the renderers: one site of each verdict.

use crate::kernel::document::Document;
use crate::report::{
    Coverage, EditRecord, GapRecord, ProofRecord, ReleaseRecord, Run, RunRecord, SCHEMA, SiteRecord, StepRecord,
};

/// A site with everything left empty.
pub(crate) fn site(path: &str, line: u32, verdict: &'static str, code: &'static str) -> SiteRecord {
    SiteRecord {
        schema: SCHEMA,
        kind: "site",
        id: format!("{path}:{line}"),
        path: path.into(),
        line,
        column: 9,
        function: "foo_pin".into(),
        api: "get_user_pages_fast".into(),
        pages: "buf->pages".into(),
        count: "n".into(),
        result: "ret".into(),
        write: "always",
        write_expr: String::new(),
        case: 1,
        case_why: "dma_map_sg()".into(),
        verdict,
        reason_code: code,
        reason: "one sentence".into(),
        holders: vec!["buf->pages".into()],
        held: vec!["buf->pages".into()],
        releases: Vec::new(),
        gaps: Vec::new(),
        edits: Vec::new(),
        proof: None,
        fixes: vec![],
        findings: Vec::new(),
        dirtied: Vec::new(),
    }
}

/// A release in `path`.
pub(crate) fn release(path: &str, line: u32) -> ReleaseRecord {
    ReleaseRecord {
        path: path.into(),
        line,
        function: "foo_unpin".into(),
        call: "put_page".into(),
        dirty: "set_page_dirty_lock",
        dirty_when: "buf->write".into(),
        page_locked: false,
        shape: "for-loop",
        when: "normal",
        perhaps: None,
        own: None,
    }
}

/// Three sites in two files.
pub(crate) fn run() -> Run {
    let mut convert = site("drivers/foo/a.c", 40, "convert", "complete");
    convert.releases = vec![release("drivers/foo/a.c", 72), release("drivers/foo/b.c", 7)];
    convert.edits = vec![EditRecord {
        path: "drivers/foo/a.c".into(),
        replaces: [70, 73],
        with: "\tput_user_pages_dirty_lock(buf->pages, buf->n);".into(),
    }];
    convert.proof = Some(ProofRecord {
        outcome: "refined",
        refinements: vec!["R1".into(), "R6".into()],
        runs: 1234,
        assumed: Vec::new(),
        cautions: Vec::new(),
        counterexample: None,
        defect: None,
    });
    let mut assist = site("drivers/foo/a.c", 90, "assist", "gap");
    assist.gaps = vec![GapRecord {
        path: "drivers/foo/a.c".into(),
        line: 95,
        code: "indirect-call",
        detail: "ops->done(pages)".into(),
    }];
    assist.findings = vec!["GUP006".into()];
    let mut leave = site("mm/foo.c", 5, "leave", "struct-page-only");
    leave.holders.clear();
    leave.held.clear();
    let steps = vec![
        vec![
            StepRecord {
                path: "drivers/foo/a.c".into(),
                line: 40,
                what: "pinned into buf->pages".into(),
                because: String::new(),
                doubt: String::new(),
                after: 0,
            },
            StepRecord {
                path: "drivers/foo/a.c".into(),
                line: 72,
                what: "released by put_page".into(),
                because: "buf is the parameter of foo_unpin".into(),
                doubt: String::new(),
                after: 0,
            },
        ],
        Vec::new(),
        Vec::new(),
    ];
    Run {
        sites: vec![convert, assist, leave],
        steps,
        builds: Vec::new(),
        document: Document { cases: 5, taken_out: false },
        run: RunRecord {
            schema: SCHEMA,
            kind: "run",
            version: "0.0.0",
            tree: "linux".into(),
            dialect: "put-user-page-2arg".into(),
            status: "degraded",
            convert: 1,
            assist: 1,
            leave: 1,
            coverage: Coverage {
                files: 10,
                candidates: 3,
                functions: 20,
                damaged: vec!["drivers/foo/c.c: foo_odd".into()],
                gaps: 1,
                unreadable: vec!["drivers/bar: permission denied".into()],
                skipped: vec!["Documentation".into(), "tools".into()],
                tables: 0,
            },
        },
    }
}
