//! Which hazards of the model concern a site, and what its conversion changes about them.
//!
//! Joins the facts of a record (how long the pages are held, whether they are written, how they are made dirty) and of
//! the tree (what its kernel does about pins) with the scenarios. It decides nothing and explores nothing: a scenario
//! says what can go wrong with a page of such a site, not that it does.

mod around;
#[cfg(test)]
mod tests;

use crate::classify::TAKEN_WITHOUT_ARRAY;
use crate::hazard::{Role, SCENARIOS, Scenario};
use crate::kernel::Api;
use crate::kernel::document::Document;
use crate::report::{DirtiedRecord, SiteRecord};
use serde::Serialize;
use std::collections::BTreeSet;

pub use around::{Around, LongTerm};

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
    /// What the tree's `pin_user_pages.rst` has.
    pub document: Document,
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
            document: Document::of(&mut |path| read(path)),
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
    /// The document that has it: that of the tree, or a newer one.
    #[serde(skip)]
    pub document: &'static str,
    /// It is the nearest one, and does not speak of such code.
    pub case_near: bool,
    /// Scenarios, in the order of the document.
    pub concerns: Vec<Concern>,
    /// What is said where there is no scenario.
    pub none: String,
    /// What the conversion changes.
    pub change: String,
}

/// Who has the references that a call takes, where that is not told by its releases alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Whoever releases them.
    Here,
    /// Nobody: the call takes none.
    None,
    /// Nobody can drop them.
    Lost,
    /// The callers of the function, which are sites of their own.
    ByCallers,
    /// A function that takes them over.
    Over,
}

impl Taken {
    fn of(site: &SiteRecord, extracts: bool) -> Self {
        match site.reason_code {
            "no-pages" if site.reason == TAKEN_WITHOUT_ARRAY => Self::Lost,
            "no-pages" => Self::None,
            "not-user-pages" if extracts => Self::None,
            "for-callers" => Self::ByCallers,
            "handed-on" => Self::Over,
            _ => Self::Here,
        }
    }
}

/// The hazards of a site in a tree of that dialect (the code of the record of kind `run`).
pub fn of(site: &SiteRecord, dialect: &str, kernel: &Kernel, around: Around) -> Concerns {
    let extracts = Api::get().acquire(&site.api).is_some_and(|a| a.extracts);
    let taken = Taken::of(site, extracts);
    let longterm = match around.longterm {
        LongTerm::Absent if site.case_why == LONG_TERM => LongTerm::FilledIn,
        found => found,
    };
    let beyond: BTreeSet<&str> = site
        .releases
        .iter()
        .filter(|r| r.function != site.function || r.path != site.path)
        .map(|r| r.function.as_str())
        .collect();
    // Of what takes a reference of user memory only, none may have been taken.
    let lost = site.releases.is_empty() && taken == Taken::Here && !extracts || !site.gaps.is_empty();
    let long = !beyond.is_empty();
    let held = match (taken, site.releases.is_empty(), long) {
        (Taken::None, ..) => "not at all: the call takes no reference".to_string(),
        (Taken::Lost, ..) => "for ever, if a reference is taken: nothing can drop it".to_string(),
        (Taken::ByCallers, ..) => format!("by the callers: {}() hands the pages to them", site.function),
        (Taken::Over, ..) => format!("until whoever takes the reference over drops it. {}", site.reason),
        (_, true, _) => "it is not known for how long: no release was found".to_string(),
        (_, _, true) => format!("beyond {}(): released in {}", site.function, list(&beyond)),
        _ => format!("until {}() releases them", site.function),
    };
    // Case 4: nobody touches the data. Case 3: whoever maps the pages gives them up in time.
    let untouched = matches!(site.reason_code, "struct-page-only" | "no-pages" | "handed-on" | "not-user-pages");
    // Whoever changes the page tables tells the notifiers, and gives the page up with its mapping.
    let notified = matches!(site.reason_code, "mmu-notifier" | "page-tables");
    let writes = site.write != "never" && !untouched;
    let written = match site.write {
        _ if site.reason_code == "not-user-pages" => "no page of a user is".to_string(),
        _ if untouched => "no: the data of the pages is not touched".to_string(),
        "always" => "yes: the call asks for write access".to_string(),
        "conditional" => format!("if {}", site.write_expr),
        "never" => "no: the pages are only read".to_string(),
        _ => "not known: the flags come from elsewhere".to_string(),
    };
    let kinds: BTreeSet<&str> = site.releases.iter().map(|r| r.dirty).filter(|d| *d != "none").collect();
    // Dirtying that stands by itself.
    let apart = site.dirtied.first().filter(|_| kinds.is_empty());
    let flag_only = kinds.iter().all(|k| *k == "SetPageDirty");
    let dirtied = match (kinds.is_empty(), writes) {
        _ if taken == Taken::ByCallers => "by the callers, if at all".to_string(),
        _ if apart.is_some() => apart.map(by_itself).unwrap_or_default(),
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
        (true, true) => "by no release, and nothing else was seen that does; if nothing does, what is written to a \
                         clean page can be dropped by reclaim"
            .to_string(),
        (true, false) => "by no release, and nothing needs it".to_string(),
    };
    // What takes pages of an iterator over user memory pins them (v6.12 lib/iov_iter.c).
    let pins = site.api.starts_with("pin_user") || extracts;
    let pinned = pins || (dialect == "pin-user-pages" && site.verdict == "convert");
    let tense = if pins { "this kernel" } else { "once converted, this kernel" };
    let who = match site.case {
        5 => "the processor",
        1 | 2 => "a device",
        _ => "whoever holds the pages",
    };
    let applies = |name: &str| -> Option<String> {
        match taken {
            Taken::None | Taken::ByCallers => return None,
            Taken::Lost => {
                return (name == "leaked-pin-reclaim").then(|| "a reference that is taken here stays for ever".into());
            }
            Taken::Here | Taken::Over => {}
        }
        let may_write = || format!("{who} may write until the release, and writeback does not know of it");
        match name {
            "writeback-dma" => (writes && !notified).then(may_write),
            "page-mkwrite" => {
                (writes && !notified).then(|| "only the pin faults; later writes are not announced".into())
            }
            "direct-io" | "direct-io-early-pin" => {
                (writes && site.case == 1).then(|| "the pages are the target of I/O of one call".into())
            }
            "no-buffers" | "lost-data" if apart.is_some() => apart
                .filter(|d| writes && d.call != "SetPageDirty")
                .map(|d| format!("the pages are made dirty by {}() ({}:{})", d.call, d.path, d.line)),
            "no-buffers" | "lost-data" => (writes && !kinds.is_empty() && !flag_only)
                .then(|| format!("the pages are made dirty by {} at the end", list(&kinds))),
            "truncate-dax" | "truncate-cache" => (long && !notified && !untouched)
                .then(|| format!("they are held beyond {}(), so the file can change meanwhile", site.function)),
            "truncate-dax-wait" => {
                (kernel.dax_waits && longterm == LongTerm::Absent && long && !notified && !untouched)
                    .then(|| "this kernel waits for their release when a DAX file is truncated".into())
            }
            // Of a site that is left alone the reference stays one that nobody waits for.
            "leaked-pin" if site.verdict == "leave" && !pins => None,
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
            "truncate-dax" if longterm == LongTerm::FilledIn => {
                "refused where the flags hold FOLL_LONGTERM, which they are given elsewhere: FS-DAX does not take it"
                    .into()
            }
            // A pin for reading is let through (v6.12 mm/gup.c).
            "truncate-cache"
                if kernel.refuses_files && pinned && longterm != LongTerm::Absent && site.write != "never" =>
            {
                let reads = if site.write == "always" { "" } else { ", none that only reads" };
                format!("{tense} refuses a writable FOLL_LONGTERM pin of a shared file mapping (-EFAULT){reads}")
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
    let concerns: Vec<Concern> =
        SCENARIOS.iter().filter_map(|s| applies(s.name).map(|why| concern(s, why, closed(s.name)))).collect();
    Concerns {
        path: site.path.clone(),
        line: site.line,
        api: site.api.clone(),
        held,
        written,
        dirtied,
        case: site.case,
        case_near: site.case_near(),
        document: kernel.document.with(site.case),
        none: match taken {
            Taken::None => "No scenario applies: there is no reference.".to_string(),
            Taken::ByCallers => {
                format!("No scenario is told of this call: those of {}() are sites of their own.", site.function)
            }
            _ => "No scenario applies.".to_string(),
        },
        concerns,
        change: change(site, dialect),
    }
}

/// [`SiteRecord::case_why`] of pages that are pinned for long.
const LONG_TERM: &str = "FOLL_LONGTERM";

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

/// Dirtying apart from the releases.
fn by_itself(d: &DirtiedRecord) -> String {
    format!("by {}() in {}(), apart from the release ({}:{})", d.call, d.function, d.path, d.line)
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
