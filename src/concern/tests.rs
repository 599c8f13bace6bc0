//! Hazards of made-up sites: what applies, what closes it, and what is said where nothing does.

use super::*;
use crate::hazard;

fn site() -> SiteRecord {
    crate::print::sample::run().sites.remove(0)
}

/// [`super::of`] in a kernel that does nothing yet.
fn of(site: &SiteRecord, dialect: &str) -> Concerns {
    super::of(site, dialect, &Kernel::default(), Around::default())
}

fn named<'c>(c: &'c Concerns, name: &str) -> &'c Concern {
    c.concerns.iter().find(|c| c.scenario == name).expect(name)
}

fn names(c: &Concerns) -> Vec<&str> {
    c.concerns.iter().map(|c| c.scenario).collect()
}

#[test]
fn a_page_that_is_only_read_has_none_of_the_write_hazards() {
    let mut s = site();
    s.write = "never";
    let c = of(&s, "put-user-page-2arg");
    assert!(!names(&c).iter().any(|n| ["writeback-dma", "page-mkwrite", "no-buffers"].contains(n)), "{c:?}");
    s.write = "always";
    let c = of(&s, "put-user-page-2arg");
    assert!(names(&c).contains(&"writeback-dma") && names(&c).contains(&"page-mkwrite"), "{c:?}");
}

#[test]
fn every_scenario_named_exists_and_every_fix_fixes() {
    let mut s = site();
    s.write = "always";
    s.case = 1;
    for c in of(&s, "pin-user-pages").concerns {
        let story = hazard::run(c.scenario, &[]).expect("a scenario");
        assert_eq!(story.scenario, c.scenario);
        assert!(!c.why.is_empty());
    }
}

#[test]
fn a_long_pin_meets_truncation_and_fork() {
    let mut s = site();
    s.write = "always";
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    let c = of(&s, "put-user-page-2arg");
    assert!(["truncate-dax", "truncate-cache", "fork-write"].iter().all(|n| names(&c).contains(n)), "{c:?}");
    let own = s.function.clone();
    s.releases.iter_mut().for_each(|r| r.function = own.clone());
    s.releases.iter_mut().for_each(|r| r.path = s.path.clone());
    assert!(!names(&of(&s, "put-user-page-2arg")).contains(&"truncate-dax"));
}

#[test]
fn what_changes_depends_on_the_dialect() {
    let mut s = site();
    s.verdict = "convert";
    s.proof.iter_mut().for_each(|p| p.refinements = vec!["R6".into()]);
    assert!(of(&s, "put-user-page-2arg").change.starts_with("nothing yet"));
    assert!(of(&s, "pin-user-pages").change.starts_with("the pages count as pinned"));
    s.verdict = "leave";
    assert!(of(&s, "pin-user-pages").change.starts_with("nothing: the site is left alone"));
}

#[test]
fn what_the_kernel_and_the_call_close_is_said() {
    let mut s = site();
    (s.write, s.verdict, s.api) = ("always", "leave", "pin_user_pages".into());
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    let plain = of(&s, "pin-user-pages");
    assert_eq!(named(&plain, "fork-write").closed, "");
    // The cure needs pins that are tracked, although only the base of the scenario says so.
    assert_eq!(named(&plain, "fork-write").with_tracking.len(), 1);
    assert!(named(&plain, "fork-write").without.is_empty());
    let kernel = Kernel { copies_at_fork: true, refuses_files: true, ..Kernel::default() };
    let passed = Around { longterm: LongTerm::Passed, ..Around::default() };
    let c = super::of(&s, "pin-user-pages", &kernel, passed);
    assert!(named(&c, "fork-write").closed.starts_with("this kernel copies"));
    assert!(named(&c, "truncate-cache").closed.contains("-EFAULT"));
    assert!(named(&c, "truncate-dax").closed.starts_with("refused already"));
}

#[test]
fn pages_that_nobody_touches_or_a_notifier_protects_have_no_write_hazards() {
    let mut s = site();
    (s.write, s.verdict) = ("always", "leave");
    for code in ["mmu-notifier", "struct-page-only"] {
        s.reason_code = code;
        let c = of(&s, "put-user-page-2arg");
        assert!(!names(&c).contains(&"writeback-dma") && !names(&c).contains(&"page-mkwrite"), "{c:?}");
    }
}

#[test]
fn a_flag_that_writeback_does_not_find_leads_to_no_bug_there() {
    let mut s = site();
    s.write = "always";
    s.releases.iter_mut().for_each(|r| r.dirty = "SetPageDirty");
    let c = of(&s, "put-user-page-2arg");
    assert!(!names(&c).contains(&"no-buffers") && c.dirtied.contains("writeback does not find"), "{c:?}");
    s.releases.iter_mut().for_each(|r| r.dirty = "set_page_dirty_lock");
    assert!(names(&of(&s, "put-user-page-2arg")).contains(&"no-buffers"));
}

#[test]
fn differences_at_run_time_are_said_in_words() {
    let mut s = site();
    s.verdict = "convert";
    let Some(proof) = &mut s.proof else { return assert!(s.proof.is_some(), "the sample has a proof") };
    proof.refinements = vec!["R3".into(), "R6".into()];
    let change = of(&s, "put-user-page-2arg").change;
    assert!(change.starts_with("set_page_dirty_lock() is called instead of SetPageDirty(). Tracking: nothing yet"));
    assert!(!change.contains("R3") && !change.contains("R6"), "{change}");
}

#[test]
fn the_flag_is_looked_for_in_the_call_first() {
    let text = "int a(void)\n{\n\tf = FOLL_LONGTERM;\n\tx = gup(a,\n\t\tf);\n\ty();\n}\nint b(void)\n{\n\tgup(1,\n\t    \
                FOLL_LONGTERM);\n}\nint c(void)\n{\n\tgup(1);\n}\n";
    let longterm = |text: &str, line| Around::at(text, line).longterm;
    assert_eq!(longterm(text, 4), LongTerm::Mentioned);
    assert_eq!(longterm(text, 10), LongTerm::Passed);
    assert_eq!(longterm(text, 15), LongTerm::Absent);
    assert_eq!(longterm("", 9), LongTerm::Absent);
}

#[test]
fn a_function_that_looks_at_the_file_may_refuse_it() {
    let text = "int a(void)\n{\n\tgup();\n\tif (vma->vm_file)\n\t\tno();\n}\nint b(void)\n{\n\tgup();\n}\n";
    assert!(Around::at(text, 3).asks_for_file && !Around::at(text, 9).asks_for_file);
    let mut s = site();
    s.write = "always";
    let c = super::of(&s, "put-user-page-2arg", &Kernel::default(), Around::at(text, 3));
    assert!(named(&c, "writeback-dma").closed.contains("may refuse pages of files"), "{c:?}");
}

#[test]
fn a_kernel_that_waits_for_dax_pages_says_so() {
    let mut s = site();
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    let kernel = Kernel { dax_waits: true, ..Kernel::default() };
    let c = super::of(&s, "put-user-page-2arg", &kernel, Around::default());
    assert!(named(&c, "truncate-dax").closed.contains("truncate-dax-wait"));
    assert!(names(&c).contains(&"truncate-dax-wait"));
    assert!(!names(&of(&s, "put-user-page-2arg")).contains(&"truncate-dax-wait"));
}

#[test]
fn a_kernel_is_read_from_its_sources() {
    let none = Kernel::of(&|_| None);
    assert_eq!(none, Kernel::default());
    let once = Kernel::of(&|p| (p == "mm/vmscan.c").then(|| b"page_maybe_dma_pinned(p)".to_vec()));
    assert!(!once.reclaim_asks);
    let new = Kernel::of(&|p| match p {
        "mm/vmscan.c" => Some(b"folio_maybe_dma_pinned(a) || folio_maybe_dma_pinned(b)".to_vec()),
        "mm/gup.c" => Some(b"return !vma_needs_dirty_tracking(vma);".to_vec()),
        _ => None,
    });
    assert!(new.reclaim_asks && new.refuses_files && !new.copies_at_fork);
}

#[test]
fn a_call_that_takes_no_reference_holds_nothing() {
    let mut s = site();
    (s.write, s.verdict, s.reason_code) = ("always", "leave", "no-pages");
    s.releases.clear();
    let c = of(&s, "pin-user-pages");
    assert_eq!((c.held.as_str(), names(&c).len()), ("not at all: the call takes no reference", 0));
    assert_eq!(c.none, "No scenario applies: there is no reference.");
    // One that takes a reference all the same, which nobody can drop.
    s.reason = TAKEN_WITHOUT_ARRAY.into();
    let c = of(&s, "pin-user-pages");
    assert!(c.held.starts_with("for ever") && names(&c) == ["leaked-pin-reclaim"], "{c:?}");
    // Where it is only not found, a release is missing.
    s.reason_code = "no-release";
    let c = of(&s, "pin-user-pages");
    assert!(c.held.ends_with("no release was found") && names(&c).contains(&"leaked-pin-reclaim"), "{c:?}");
}

#[test]
fn who_takes_a_reference_over_or_gets_the_pages_is_not_told_by_the_releases() {
    let mut s = site();
    (s.write, s.verdict, s.reason_code) = ("always", "leave", "handed-on");
    s.releases.clear();
    let c = of(&s, "pin-user-pages");
    assert!(c.held.starts_with("until whoever takes the reference over drops it. one sentence"), "{c:?}");
    assert!(!names(&c).contains(&"leaked-pin-reclaim"), "{c:?}");
    s.reason_code = "for-callers";
    let c = of(&s, "pin-user-pages");
    assert_eq!(c.held, "by the callers: foo_pin() hands the pages to them");
    assert!(c.concerns.is_empty() && c.dirtied == "by the callers, if at all" && c.none.contains("foo_pin()"), "{c:?}");
}

#[test]
fn pages_of_no_user_have_no_hazards_of_pins() {
    let mut s = site();
    (s.verdict, s.reason_code, s.write) = ("leave", "not-user-pages", "unknown");
    s.releases.clear();
    s.api = "iov_iter_extract_pages".into();
    let c = of(&s, "pin-user-pages");
    assert!(c.held.starts_with("not at all") && c.concerns.is_empty() && c.written == "no page of a user is", "{c:?}");
    // What gets references of its own has to drop them.
    s.api = "iov_iter_get_pages".into();
    assert_eq!(names(&of(&s, "pin-user-pages")), ["leaked-pin-reclaim"]);
}

#[test]
fn dirtying_that_stands_by_itself_is_found() {
    let mut s = site();
    s.write = "always";
    s.releases.iter_mut().for_each(|r| r.dirty = "none");
    let c = of(&s, "put-user-page-2arg");
    assert!(c.dirtied.contains("nothing else was seen") && c.dirtied.contains("if nothing does"), "{c:?}");
    assert!(!names(&c).contains(&"no-buffers"), "{c:?}");
    let (path, function) = ("drivers/foo/a.c".into(), "foo_done".into());
    s.dirtied = vec![DirtiedRecord { path, line: 66, function, call: "set_page_dirty".into() }];
    let c = of(&s, "put-user-page-2arg");
    assert_eq!(c.dirtied, "by set_page_dirty() in foo_done(), apart from the release (drivers/foo/a.c:66)");
    assert_eq!(named(&c, "no-buffers").why, "the pages are made dirty by set_page_dirty() (drivers/foo/a.c:66)");
    s.dirtied[0].call = "SetPageDirty".into();
    assert!(!names(&of(&s, "put-user-page-2arg")).contains(&"no-buffers"));
    // A release that dirties says more.
    s.releases[0].dirty = "set_page_dirty_lock";
    assert!(of(&s, "put-user-page-2arg").dirtied.starts_with("by set_page_dirty_lock() before the release"));
}

#[test]
fn flags_that_are_filled_elsewhere_may_hold_the_long_one() {
    let mut s = site();
    (s.write, s.verdict, s.api) = ("conditional", "leave", "pin_user_pages".into());
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    let kernel = Kernel { refuses_files: true, dax_waits: true, ..Kernel::default() };
    let told = |s: &SiteRecord| super::of(s, "pin-user-pages", &kernel, Around::default());
    let c = told(&s);
    assert!(names(&c).contains(&"truncate-dax-wait") && named(&c, "truncate-cache").closed.is_empty(), "{c:?}");
    s.case_why = "FOLL_LONGTERM".into();
    let c = told(&s);
    assert!(!names(&c).contains(&"truncate-dax-wait"), "{c:?}");
    assert!(named(&c, "truncate-dax").closed.starts_with("refused where the flags hold FOLL_LONGTERM"), "{c:?}");
    assert!(named(&c, "truncate-cache").closed.ends_with("(-EFAULT), none that only reads"), "{c:?}");
    // A pin for reading is not refused.
    s.write = "never";
    assert_eq!(named(&told(&s), "truncate-cache").closed, "");
    s.write = "always";
    assert!(named(&told(&s), "truncate-cache").closed.ends_with("(-EFAULT)"));
}

#[test]
fn what_takes_pages_of_an_iterator_over_user_memory_pins_them() {
    let mut s = site();
    (s.write, s.verdict, s.reason_code) = ("always", "leave", "extracts");
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    let kernel = Kernel { copies_at_fork: true, reclaim_asks: true, ..Kernel::default() };
    let told = |s: &SiteRecord| super::of(s, "pin-user-pages", &kernel, Around::default());
    s.api = "iov_iter_extract_pages".into();
    let c = told(&s);
    assert!(named(&c, "fork-write").closed.starts_with("this kernel copies"), "{c:?}");
    assert!(named(&c, "no-buffers").closed.starts_with("this kernel does not reclaim"), "{c:?}");
    // It may have taken nothing: no release is missed then.
    s.releases.clear();
    assert!(!names(&told(&s)).contains(&"leaked-pin-reclaim"));
    // The older one takes plain references.
    let mut s = site();
    (s.write, s.verdict, s.api) = ("always", "leave", "iov_iter_get_pages".into());
    s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
    assert_eq!(named(&told(&s), "fork-write").closed, "");
}
