//! Which plans are made, and which of them are handed out: groups of sites, answers of the proof, narrowing paths.
//!
//! The custody is written by hand, so that these decisions are tested without the analysis in front of them.

use gupconv::ast::{Function, StructDef};
use gupconv::config::Config;
use gupconv::decide::{Question, decide, unproved};
use gupconv::kernel::dialect::{Detected, of_files};
use gupconv::parse::Parser;
use gupconv::program::Program;
use gupconv::report::{Coverage, ProofRecord};
use gupconv::run::{Found, finish};
use gupconv::source::{FileId, Loc, Span};
use gupconv::split::{ItemKind, split};
use gupconv::trace::{
    Apart, Context, Custody, Dirty, Holder, HolderKind, Origin, PinSite, PinTrace, Reason, Release, ReleaseId, Shape,
    SiteId, Use, UseKind, Verdict, When, Writes,
};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Two functions that pin, and the one of another file that releases for both.
const PIN: &str = "\
int first(struct buf *b)
{
	return get_user_pages_fast(b->addr, b->n, FOLL_WRITE, b->pages);
}

int second(struct buf *b)
{
	return get_user_pages_fast(b->addr, b->n, FOLL_WRITE, b->pages);
}
";
const PUT: &str = "\
void done(struct page *page)
{
	put_page(page);
}
";

struct Files(Vec<File>);

/// Path, text, and the functions in it.
type File = (&'static str, Arc<[u8]>, Vec<Arc<Function>>);

impl Files {
    fn new() -> Self {
        let mut parser = Parser::new();
        let mut file = |path, text: &str| {
            let items = split(text.as_bytes());
            let functions = items.iter().filter(|i| i.kind == ItemKind::Function);
            let functions = functions.filter_map(|i| parser.function(text.as_bytes(), i)).map(Arc::new).collect();
            (path, text.as_bytes().into(), functions)
        };
        Self(vec![file("a/pin.c", PIN), file("b/put.c", PUT)])
    }
}

impl Program for Files {
    fn path(&self, file: FileId) -> &str {
        self.0[file.0 as usize].0
    }
    fn text(&self, file: FileId) -> Arc<[u8]> {
        self.0[file.0 as usize].1.clone()
    }
    fn function_at(&self, at: Loc) -> Option<Arc<Function>> {
        self.0[at.file.0 as usize].2.iter().find(|f| f.span.contains(at.span)).cloned()
    }
    fn function(&self, from: FileId, name: &str) -> Option<(FileId, Arc<Function>)> {
        self.0[from.0 as usize].2.iter().find(|f| &*f.name == name).map(|f| (from, f.clone()))
    }
    fn structure(&self, _: FileId, _: &str) -> Option<Arc<StructDef>> {
        None
    }
}

/// The place of the `nth` occurrence of `word`.
fn place(file: u32, text: &str, word: &str, nth: usize) -> Loc {
    let (start, _) = text.match_indices(word).nth(nth).expect("the word is there");
    Loc { file: FileId(file), span: Span::new(start, start + word.len()) }
}

fn custody() -> Custody {
    let site = |n: usize, function: &str| {
        let at = place(0, PIN, "get_user_pages_fast", n);
        PinSite {
            at,
            call: Span { end: at.span.end + 46, ..at.span },
            api: "get_user_pages_fast".into(),
            function: function.into(),
            pages: Some(("b->pages".into(), at.span)),
            count: Some(("b->n".into(), at.span)),
            flags: None,
            result: None,
            writes: Writes::Always,
            write_expr: String::new(),
            damaged: false,
        }
    };
    let at = place(1, PUT, "put_page", 0);
    let release = Release {
        at,
        call: Span { end: at.span.end + 6, ..at.span },
        callee: "put_page".into(),
        function: "done".into(),
        pins: vec![SiteId(0), SiteId(1)],
        foreign: Vec::new(),
        guarded_by: None,
        dirty: Dirty::None,
        dirty_when: String::new(),
        dirtied_at: None,
        shape: Shape::Single,
        when: When::Normal,
        context: Context::default(),
        atomic: None,
        damaged: false,
    };
    let trace = |n: u32| PinTrace {
        site: SiteId(n),
        holders: Vec::new(),
        releases: vec![ReleaseId(0)],
        by_number: Vec::new(),
        doubted: Vec::new(),
        own: Vec::new(),
        gaps: Vec::new(),
        steps: Vec::new(),
        uses: Vec::new(),
        dirtied: vec![],
        functions: Vec::new(),
        local: false,
        case: 1,
        case_why: String::new(),
        case_shown: String::new(),
        verdict: Verdict::Convert,
        reason: Reason::Complete,
        reason_text: "whole".into(),
    };
    Custody {
        frees_others: Vec::new(),
        asleep: Vec::new(),
        sites: vec![site(0, "first"), site(1, "second")],
        releases: vec![release],
        traces: vec![trace(0), trace(1)],
        apart: Apart::default(),
        damaged: Vec::new(),
    }
}

const PUT_USER: &str = "static inline void put_user_page(struct page *page)\n{\n\tput_page(page);\n}\n\
    void put_user_pages_dirty_lock(struct page **pages, unsigned long npages);\n";
const PINS: &str = "int get_user_pages_fast(unsigned long a, int n, unsigned int gup_flags, struct page **pages);\n\
    int pin_user_pages_fast(unsigned long a, int n, unsigned int gup_flags, struct page **pages)\n{\n\treturn 0;\n}\n\
    void unpin_user_page(struct page *page)\n{\n}\n";
/// The slow call with its twin.
const SLOW_PINS: &str = "long get_user_pages(unsigned long a, unsigned long n, unsigned int gup_flags, struct page **pages);\n\
    long pin_user_pages(unsigned long a, unsigned long n, unsigned int gup_flags, struct page **pages)\n{\n\treturn 0;\n}\n";
/// A body of `mm/gup.c` that lets no pin leave a hole in the array.
const GUP_C: &str = "static int follow_pfn_pte(unsigned int flags)\n{\n\treturn flags & (FOLL_GET | FOLL_PIN) ? -EFAULT : -EEXIST;\n}\n";

fn dialect(mm_h: &str) -> Detected {
    of_files(&mut |path| match path {
        "include/linux/mm.h" => Some(mm_h.as_bytes().to_vec()),
        "mm/gup.c" => Some(GUP_C.as_bytes().to_vec()),
        _ => None,
    })
}

fn answer(outcome: &'static str) -> impl Fn(&Question<'_>) -> ProofRecord {
    move |q| {
        assert_eq!((q.sites.len(), q.releases.len()), (2, 1), "the whole group is asked about");
        assert_eq!(q.touched.changed.iter().map(|c| &*c.after.name).collect::<Vec<_>>(), ["done"]);
        ProofRecord { outcome, ..unproved(q) }
    }
}

fn verdicts(custody: &Custody, mm_h: &str, outcome: &'static str) -> Vec<(Verdict, Reason, usize)> {
    let outcomes = decide(&Files::new(), &dialect(mm_h).dialect, custody, &answer(outcome));
    outcomes.iter().map(|o| (o.verdict, o.reason, o.edits.len())).collect()
}

#[test]
fn the_proof_decides_for_the_whole_group() {
    let c = custody();
    assert_eq!(verdicts(&c, PUT_USER, "equal"), [(Verdict::Convert, Reason::Complete, 1); 2]);
    assert_eq!(verdicts(&c, PUT_USER, "refined"), [(Verdict::Convert, Reason::Complete, 1); 2]);
    assert_eq!(verdicts(&c, PUT_USER, "differs"), [(Verdict::Assist, Reason::Differs, 1); 2]);
    assert_eq!(verdicts(&c, PUT_USER, "unsupported"), [(Verdict::Assist, Reason::Unproved, 1); 2]);
}

#[test]
fn a_difference_is_told_of_the_plan_that_is_shown_only() {
    let c = custody();
    let asked = Mutex::new(Vec::new());
    let answer = |outcome: &'static str| {
        let asked = &asked;
        move |q: &Question<'_>| {
            asked.lock().unwrap().push(q.tell);
            ProofRecord { outcome, counterexample: q.tell.then(|| "a run".into()), ..unproved(q) }
        }
    };
    let shown = |outcome| {
        let outcomes = decide(&Files::new(), &dialect(PUT_USER).dialect, &c, &answer(outcome));
        let told = outcomes[0].proof.as_ref().and_then(|p| p.counterexample.clone());
        (std::mem::take(&mut *asked.lock().unwrap()), told)
    };
    assert_eq!(shown("equal"), (vec![false], None));
    assert_eq!(shown("differs"), (vec![false, true], Some("a run".into())));
}

#[test]
fn one_site_that_stays_keeps_its_group() {
    let mut c = custody();
    c.traces[1].verdict = Verdict::Leave;
    c.traces[1].reason = Reason::MmuNotifier;
    assert_eq!(
        verdicts(&c, PUT_USER, "equal"),
        [(Verdict::Assist, Reason::SharedRelease, 0), (Verdict::Leave, Reason::MmuNotifier, 0)]
    );
    // Also when the trace of the other site does not list the release, but the release knows the pin.
    c.traces[1].releases.clear();
    assert_eq!(verdicts(&c, PUT_USER, "equal")[0].1, Reason::SharedRelease);
}

#[test]
fn foreign_pages_keep_a_release_as_it_is() {
    let mut c = custody();
    c.releases[0].foreign = vec![Origin { what: "alloc_page".into(), at: c.sites[0].at, meets: None }];
    assert_eq!(verdicts(&c, PUT_USER, "equal"), [(Verdict::Assist, Reason::MixedOrigin, 0); 2]);
    c.releases[0].guarded_by = Some("b->user".into());
    assert_eq!(verdicts(&c, PUT_USER, "equal")[0].0, Verdict::Convert);
}

#[test]
fn a_dialect_that_cannot_be_written_is_not() {
    let c = custody();
    assert_eq!(verdicts(&c, "int x;\n", "equal"), [(Verdict::Assist, Reason::NoApi, 0); 2]);
}

/// The first site's verdict in a tree that counts pins.
fn tracked(custody: &Custody, mm_h: &str) -> (Verdict, Reason, usize, Vec<String>) {
    let prover = |q: &Question<'_>| {
        let names: Vec<_> = q.touched.changed.iter().map(|c| c.after.name.to_string()).collect();
        assert_eq!(names, ["first", "second", "done"], "acquires and releases change together");
        ProofRecord { outcome: "refined", ..unproved(q) }
    };
    let outcomes = decide(&Files::new(), &dialect(mm_h).dialect, custody, &prover);
    let o = &outcomes[0];
    (o.verdict, o.reason, o.edits.len(), o.proof.as_ref().map(|p| p.assumed.clone()).unwrap_or_default())
}

/// The custody of a tree that counts pins: a device gets at the pages.
fn device_pages() -> Custody {
    let mut c = custody();
    for (n, site) in c.sites.iter_mut().enumerate() {
        site.flags = Some(place(0, PIN, "FOLL_WRITE", n).span);
    }
    for t in &mut c.traces {
        t.uses = vec![Use { at: c.sites[0].at, kind: UseKind::Io, callee: "dma_map_page".into() }];
        t.holders = vec![Holder { text: "buf.pages".into(), kind: HolderKind::Field, passes: false }];
    }
    c
}

#[test]
fn pins_and_releases_change_together_or_not_at_all() {
    let c = device_pages();
    let (verdict, reason, edits, said) = tracked(&c, PINS);
    assert_eq!((verdict, reason, edits), (Verdict::Convert, Reason::Complete, 3));
    assert!(said.iter().any(|s| s.contains("FOLL_LONGTERM")), "pages outlive the call: {said:?}");
    assert!(said.iter().any(|s| s.contains("nothing was seen that marks them dirty")), "{said:?}");
    // The twin is missing, or takes other arguments.
    let one = PINS.replace("pin_user_pages_fast", "pin_user_pages");
    assert_eq!(tracked(&c, &one).1, Reason::NoApi);
    let other = PINS.replace("int pin_user_pages_fast(unsigned long a, int n", "int pin_user_pages_fast(long a, int n");
    assert_eq!(tracked(&c, &other).1, Reason::NoApi);
}

#[test]
fn a_tree_that_counts_pins_asks_for_more() {
    let reason = |change: &dyn Fn(&mut Custody)| {
        let mut c = device_pages();
        change(&mut c);
        let (verdict, reason, edits, _) = tracked(&c, PINS);
        assert_eq!((verdict, edits), (Verdict::Assist, 0));
        reason
    };
    assert_eq!(reason(&|c| c.traces[1].uses.clear()), Reason::CaseUnknown);
    assert_eq!(reason(&|c| c.traces[1].case = 4), Reason::CaseUnknown);
    assert_eq!(reason(&|c| c.releases[0].callee = "unpin_user_page".into()), Reason::HalfConverted);
    assert_eq!(
        reason(&|c| c.sites.iter_mut().for_each(|s| s.api = "pin_user_pages_fast".into())),
        Reason::HalfConverted
    );
    // The release is right for one of the two, and nothing tells them apart.
    assert_eq!(reason(&|c| c.sites[1].api = "pin_user_pages_fast".into()), Reason::SharedRelease);
    // Without a twin nothing else is asked; with one, what the old call dirties by itself.
    assert_eq!(reason(&|c| c.sites[0].api = "get_user_pages".into()), Reason::NoApi);
    let mut touched = device_pages();
    touched.sites[0].api = "get_user_pages".into();
    assert_eq!(tracked(&touched, &format!("{PINS}{SLOW_PINS}")).1, Reason::LosesDirty);
    let foreign = |c: &mut Custody| {
        c.releases[0].foreign = vec![Origin { what: "alloc_page".into(), at: c.sites[0].at, meets: None }];
        c.releases[0].guarded_by = Some("b->user".into());
    };
    assert_eq!(reason(&foreign), Reason::MixedOrigin);
    // A call that drops a reference and is not among the releases.
    assert_eq!(reason(&|c| c.releases[0].at = place(1, PUT, "page", 0)), Reason::NoRule);
}

fn finished(config: &Config, outcome: &'static str) -> gupconv::run::Analysis {
    let detected = dialect(PUT_USER);
    let (program, custody) = (Files::new(), custody());
    let outcomes = decide(&program, &detected.dialect, &custody, &answer(outcome));
    let found = Found {
        program: Box::new(program),
        custody,
        outcomes,
        coverage: Coverage::default(),
        prerequisite: Vec::new(),
        remains: Default::default(),
        nommu: Default::default(),
    };
    finish(config, &detected, found)
}

#[test]
fn a_shared_plan_is_handed_out_once() {
    let a = finished(&Config::of_tree(Path::new("/t")), "equal");
    assert_eq!((a.converted, a.changes.len(), a.left_out.len()), (2, 1, 0));
    assert_eq!(a.changes[0].path, "b/put.c");
    assert_eq!(String::from_utf8_lossy(&a.changes[0].after), PUT.replace("put_page", "put_user_page"));
    assert_eq!(a.run.sites[0].edits[0].with, "\tput_user_page(page);");
}

#[test]
fn without_a_proof_only_on_demand() {
    let mut config = Config::of_tree(Path::new("/t"));
    assert!(finished(&config, "unsupported").changes.is_empty());
    config.unproved = true;
    assert_eq!(finished(&config, "unsupported").changes.len(), 1);
    assert!(finished(&config, "differs").changes.is_empty(), "what is known to be wrong is never handed out");
}

#[test]
fn nothing_is_written_outside_of_the_paths() {
    let mut config = Config::of_tree(Path::new("/t"));
    config.paths = vec!["a".into()];
    let a = finished(&config, "equal");
    assert!(a.changes.is_empty() && a.converted == 0);
    assert_eq!(a.left_out.len(), 2);
    assert_eq!((a.left_out[0].path.as_str(), a.left_out[0].line), ("a/pin.c", 3));
    assert!(a.left_out[0].why.contains("b/put.c"), "{}", a.left_out[0].why);
    config.paths = vec!["a".into(), "b/put.c".into()];
    assert_eq!(finished(&config, "equal").changes.len(), 1);
}
