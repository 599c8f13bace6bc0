//! Which hazards of the model concern a site, and what its conversion changes about them.
//!
//! Joins the facts of a record (how long the pages are held, whether they are written, how they are made dirty) and of
//! the tree (what its kernel does about pins) with the scenarios. It decides nothing and explores nothing: a scenario
//! says what can go wrong with a page of such a site, not that it does.

use crate::hazard::{Role, SCENARIOS, Scenario};
use crate::report::SiteRecord;
use serde::Serialize;
use std::collections::BTreeSet;

/// What the kernel of the tree does already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kernel {
    /// fork() copies a pinned anonymous page for the child (v6.1 include/linux/mm.h `page_needs_cow_for_dma()`).
    pub copies_at_fork: bool,
    /// A pin for reading unshares the page (v6.1 mm/gup.c `gup_must_unshare()`).
    pub unshares: bool,
    /// Reclaim leaves pinned pages of files alone (v6.1 mm/vmscan.c asks twice; once is for swap only).
    pub reclaim_asks: bool,
    /// ext4 warns of a dirty page without buffers (v6.1 fs/ext4/inode.c).
    pub ext4_tolerates: bool,
    /// ext4 stops there (v5.2 fs/ext4/inode.c, through page_buffers()).
    pub ext4_stops: bool,
    /// A writable long-term pin of a shared file mapping is refused (v6.12 mm/gup.c).
    pub refuses_files: bool,
    /// Truncation of a DAX file waits until nobody holds its pages (v5.2 fs/dax.c).
    pub dax_waits: bool,
}

impl Kernel {
    /// Looks into the sources; `read` gives the text of a path, if there is one.
    pub fn of(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Self {
        let count = |path: &str, word: &str| {
            read(path).map_or(0, |text| memchr::memmem::find_iter(&text, word.as_bytes()).count())
        };
        let ext4 = "fs/ext4/inode.c";
        let tolerates = count(ext4, "does not have buffers attached") > 0;
        Self {
            copies_at_fork: ["include/linux/mm.h", "mm/memory.c"].iter().any(|p| count(p, "needs_cow_for_dma") > 0),
            unshares: ["include/linux/mm.h", "mm/internal.h", "mm/gup.c"]
                .iter()
                .any(|p| count(p, "gup_must_unshare") > 0),
            reclaim_asks: count("mm/vmscan.c", "maybe_dma_pinned(") > 1,
            ext4_tolerates: tolerates,
            ext4_stops: !tolerates && count(ext4, "page_buffers(") > 0,
            refuses_files: count("mm/gup.c", "vma_needs_dirty_tracking") > 0,
            dax_waits: count("fs/dax.c", "dax_layout_busy_page") > 0,
        }
    }
}

/// A scenario that a page of the site can run into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Concern {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// Its title.
    pub title: &'static str,
    /// The fact of the site that makes it apply.
    pub why: String,
    /// What closes it in this tree already, or will once the site is converted; empty if nothing does.
    pub closed: String,
    /// Cures that need pins to be told from other references.
    pub with_tracking: Vec<&'static str>,
    /// Cures that do not.
    pub without: Vec<&'static str>,
}

/// What is to be said of a site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Concerns {
    /// Path of the pin.
    pub path: String,
    /// Line of the pin.
    pub line: u32,
    /// Function called.
    pub api: String,
    /// How long the pages are held.
    pub held: String,
    /// Whether they are written.
    pub written: String,
    /// How they are made dirty.
    pub dirtied: String,
    /// Case of `pin_user_pages.rst`, 0 when none was found.
    pub case: u8,
    /// Scenarios, in the order of the document.
    pub concerns: Vec<Concern>,
    /// What the conversion changes.
    pub change: String,
}

/// Whether the pin says that it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LongTerm {
    /// FOLL_LONGTERM stands in the call.
    Passed,
    /// It stands elsewhere in the function.
    Mentioned,
    /// It does not stand there.
    #[default]
    Absent,
}

/// What the source around a pin says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Around {
    /// Of FOLL_LONGTERM.
    pub longterm: LongTerm,
    /// The function looks at the file behind the mapping (`vm_file`): it may refuse pages of files.
    pub asks_for_file: bool,
}

impl Around {
    /// Looks at the call on a line (1-based) and at the function around it: from one line that starts with a brace to
    /// the next.
    pub fn at(text: &str, line: u32) -> Self {
        const FLAG: &str = "FOLL_LONGTERM";
        let lines: Vec<&str> = text.lines().collect();
        let at = (line as usize).saturating_sub(1).min(lines.len());
        let (above, below) = lines.split_at(at);
        let call: String = below.join("\n").chars().take_while(|c| *c != ';').collect();
        let start = above.iter().rposition(|l| l.starts_with('{')).unwrap_or(0);
        let end = below.iter().position(|l| l.starts_with('}')).unwrap_or(below.len());
        let inside = |word: &str| above[start..].iter().chain(&below[..end]).any(|l| l.contains(word));
        let longterm = match call.contains(FLAG) {
            true => LongTerm::Passed,
            false if inside(FLAG) => LongTerm::Mentioned,
            false => LongTerm::Absent,
        };
        Around { longterm, asks_for_file: inside("->vm_file") }
    }
}

/// The hazards of a site in a tree of that dialect (the code of the record of kind `run`).
pub fn of(site: &SiteRecord, dialect: &str, kernel: &Kernel, around: Around) -> Concerns {
    let longterm = around.longterm;
    let beyond: BTreeSet<&str> = site
        .releases
        .iter()
        .filter(|r| r.function != site.function || r.path != site.path)
        .map(|r| r.function.as_str())
        .collect();
    let lost = site.releases.is_empty() || !site.gaps.is_empty();
    let long = !beyond.is_empty();
    let held = match (site.releases.is_empty(), long) {
        (true, _) => "it is not known for how long: no release was found".to_string(),
        (_, true) => format!("beyond {}(): released in {}", site.function, list(&beyond)),
        _ => format!("until {}() releases them", site.function),
    };
    // Case 4: nobody touches the data. Case 3: whoever maps the pages gives them up in time.
    let untouched = site.reason_code == "struct-page-only" || site.reason_code == "no-pages";
    // Whoever changes the page tables tells the notifiers, and gives the page up with its mapping.
    let notified = matches!(site.reason_code, "mmu-notifier" | "page-tables");
    let writes = site.write != "never" && !untouched;
    let written = match site.write {
        _ if untouched => "no: the data of the pages is not touched".to_string(),
        "always" => "yes: the call asks for write access".to_string(),
        "conditional" => format!("if {}", site.write_expr),
        "never" => "no: the pages are only read".to_string(),
        _ => "not known: the flags come from elsewhere".to_string(),
    };
    let kinds: BTreeSet<&str> = site.releases.iter().map(|r| r.dirty).filter(|d| *d != "none").collect();
    let flag_only = kinds.iter().all(|k| *k == "SetPageDirty");
    let dirtied = match (kinds.is_empty(), writes) {
        (false, _) if flag_only => {
            "by SetPageDirty() before the release, which sets the flag only: writeback does not find the page \
             (`gupconv explain R3`)"
                .to_string()
        }
        (false, _) => format!("by {} before the release{}", list(&kinds), when(site)),
        (true, true) if notified => {
            "by no release; under an MMU notifier that may be done where the mapping is torn down".to_string()
        }
        (true, true) if lost => "by no release that was found".to_string(),
        (true, true) => "by no release: what is written to a clean page can be dropped by reclaim".to_string(),
        (true, false) => "by no release, and nothing needs it".to_string(),
    };
    let pinned = site.api.starts_with("pin_user") || (dialect == "pin-user-pages" && site.verdict == "convert");
    let tense = if site.api.starts_with("pin_user") { "this kernel" } else { "once converted, this kernel" };
    let who = match site.case {
        5 => "the processor",
        1 | 2 => "a device",
        _ => "whoever holds the pages",
    };
    let applies = |name: &str| -> Option<String> {
        let may_write = || format!("{who} may write until the release, and writeback does not know of it");
        match name {
            "writeback-dma" => (writes && !notified).then(may_write),
            "page-mkwrite" => {
                (writes && !notified).then(|| "only the pin faults; later writes are not announced".into())
            }
            "direct-io" | "direct-io-early-pin" => {
                (writes && site.case == 1).then(|| "the pages are the target of I/O of one call".into())
            }
            "no-buffers" | "lost-data" => (writes && !kinds.is_empty() && !flag_only)
                .then(|| format!("the pages are made dirty by {} at the end", list(&kinds))),
            "truncate-dax" | "truncate-cache" => (long && !notified && !untouched)
                .then(|| format!("they are held beyond {}(), so the file can change meanwhile", site.function)),
            "truncate-dax-wait" => {
                (kernel.dax_waits && longterm == LongTerm::Absent && long && !notified && !untouched)
                    .then(|| "this kernel waits for their release when a DAX file is truncated".into())
            }
            // Of a site that is left alone the reference stays one that nobody waits for.
            "leaked-pin" if site.verdict == "leave" && !site.api.starts_with("pin_user") => None,
            "leaked-pin" | "leaked-pin-reclaim" => lost.then(|| match site.gaps.first() {
                // A search that was given up has no line.
                Some(g) if g.line <= 1 => {
                    format!("the trace was given up at {}; if a path there keeps them, this follows", g.detail)
                }
                Some(g) => {
                    format!("the trace has a gap at {}:{}; if a path there keeps them, this follows", g.path, g.line)
                }
                None => "no release was found".into(),
            }),
            "fork-write" => (writes && long && !notified).then(|| "the process can fork while they are held".into()),
            "fork-read" => (!writes && long && !untouched && !notified)
                .then(|| "they are read after the call, and the process can fork".into()),
            "pin-then-put" => released_by(site, "pin_user", "put_page"),
            "get-then-unpin" => released_by(site, "get_user", "unpin_user"),
            _ => None,
        }
    };
    let closed = |name: &str| -> String {
        match name {
            "truncate-dax" if longterm == LongTerm::Passed => {
                "refused already: the call passes FOLL_LONGTERM, and FS-DAX does not take it".into()
            }
            "truncate-dax" if longterm == LongTerm::Absent && kernel.dax_waits => {
                "this kernel waits until the pages are released: see truncate-dax-wait".into()
            }
            "truncate-dax" if longterm == LongTerm::Mentioned => format!(
                "refused where the call passes FOLL_LONGTERM, which {}() mentions: FS-DAX does not take it",
                site.function
            ),
            "truncate-cache" if kernel.refuses_files && pinned && longterm != LongTerm::Absent => {
                format!("{tense} refuses a writable FOLL_LONGTERM pin of a shared file mapping (-EFAULT)")
            }
            "fork-write" if kernel.copies_at_fork && pinned => format!("{tense} copies the pinned page at fork()"),
            "fork-read" if kernel.unshares && pinned => format!("{tense} unshares the page when it is pinned"),
            "no-buffers" if kernel.reclaim_asks && pinned => {
                format!("{tense} does not reclaim a pinned page; a machine with too many buffers still strips it")
            }
            "no-buffers" if kernel.ext4_tolerates => "ext4 of this kernel warns instead: see lost-data".into(),
            "lost-data" if kernel.ext4_stops => {
                "ext4 of this kernel stops at a BUG_ON() instead: see no-buffers".into()
            }
            "lost-data" if kernel.reclaim_asks && pinned => {
                format!("{tense} does not reclaim a pinned page; a machine with too many buffers still strips it")
            }
            _ if around.asks_for_file && !name.starts_with("fork") && OF_FILES.contains(&name) => {
                format!(
                    "{}() looks at the file behind the mapping (vm_file): it may refuse pages of files",
                    site.function
                )
            }
            _ => String::new(),
        }
    };
    let concerns =
        SCENARIOS.iter().filter_map(|s| applies(s.name).map(|why| concern(s, why, closed(s.name)))).collect();
    Concerns {
        path: site.path.clone(),
        line: site.line,
        api: site.api.clone(),
        held,
        written,
        dirtied,
        case: site.case,
        concerns,
        change: change(site, dialect),
    }
}

/// Scenarios that only a page of a file can run into.
const OF_FILES: &[&str] = &[
    "writeback-dma",
    "no-buffers",
    "lost-data",
    "direct-io",
    "direct-io-early-pin",
    "page-mkwrite",
    "truncate-dax",
    "truncate-dax-wait",
    "truncate-cache",
];

/// Under which condition the releases dirty, where all that do have the same one.
fn when(site: &SiteRecord) -> String {
    let conditions: BTreeSet<&str> =
        site.releases.iter().filter(|r| r.dirty != "none").map(|r| r.dirty_when.as_str()).collect();
    match conditions.iter().collect::<Vec<_>>().as_slice() {
        [one] if !one.is_empty() => format!(", if `{one}`"),
        _ => String::new(),
    }
}

/// The place of a release of the wrong kind.
fn released_by(site: &SiteRecord, acquire: &str, release: &str) -> Option<String> {
    let r = site.releases.iter().find(|r| r.call.starts_with(release)).filter(|_| site.api.starts_with(acquire))?;
    Some(format!("{}() pins them and {}() at {}:{} lets them go", site.api, r.call, r.path, r.line))
}

fn concern(s: &'static Scenario, why: String, closed: String) -> Concern {
    // What counts is the setting that a cure runs under, whoever set it.
    let tracked = |set: &[(&'static str, &'static str)]| {
        let all = s.settings().with(set);
        all.has("track") && all.on("track")
    };
    let fixes = |wanted: bool| -> Vec<&'static str> {
        let fix = s.variants.iter().filter(|v| v.role == Role::Fix && tracked(v.set) == wanted);
        fix.map(|v| v.title).collect()
    };
    Concern { scenario: s.name, title: s.title, why, closed, with_tracking: fixes(true), without: fixes(false) }
}

/// What a permitted difference is at run time; nothing for a difference of form.
fn difference(refinement: &str) -> Option<&'static str> {
    match refinement {
        "R1" => Some("set_page_dirty_lock() is called instead of set_page_dirty()"),
        "R2" => Some("a page that is dirty already is not dirtied again"),
        "R3" => Some("set_page_dirty_lock() is called instead of SetPageDirty()"),
        "R4" => Some("the head of a compound page is marked dirty"),
        "R5" => Some("PageReserved() is not asked any more"),
        "R7" => Some("the huge zero page is released, which release_pages() passes over"),
        "R8" => Some("the page is marked dirty before its release, not after"),
        _ => None,
    }
}

fn change(site: &SiteRecord, dialect: &str) -> String {
    let refinements = site.proof.iter().flat_map(|p| &p.refinements);
    let differ: Vec<&str> = refinements.filter_map(|r| difference(r)).collect();
    let also = if differ.is_empty() { String::new() } else { format!("{}. ", differ.join("; ")) };
    let what = match dialect {
        "none" => return "nothing: the tree has no call to convert to".to_string(),
        "pin-user-pages" if !differ.is_empty() => {
            "From the pin to the last release the pages count as pinned: writeback, reclaim and fork can see that a pin \
             is there"
        }
        "pin-user-pages" => {
            "the pages count as pinned from the pin to the last release: writeback, reclaim and fork can see that a \
             pin is there"
        }
        _ if differ.is_empty() => {
            "nothing yet at run time: put_user_page() does what put_page() does in this tree. The release can then be \
             told from that of an ordinary reference, which is what tracking needs"
        }
        _ => {
            "Tracking: nothing yet, put_user_page() does what put_page() does in this tree; but the release can then be \
             told from that of an ordinary reference"
        }
    };
    match site.verdict {
        "convert" => format!("{also}{what}"),
        "assist" => format!("once somebody converts it ({}): {what}", site.reason_code),
        _ => format!("nothing: the site is left alone ({})", site.reason_code),
    }
}

fn list(items: &BTreeSet<&str>) -> String {
    let named: Vec<String> = items.iter().map(|i| format!("{i}()")).collect();
    match named.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

#[cfg(test)]
mod tests {
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
}
