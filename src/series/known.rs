//! What the tree at hand says of its own functions, as far as messages speak of it: facts with the names to look up.
//!
//! A fact that is not found is not told. It knows nothing of patches.

use crate::report::{ReleaseRecord, SiteRecord};
use crate::split::{Item, ItemKind, split};
use memchr::memmem;
use std::path::Path;

/// Facts of a tree.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The function with the comment that says why a page that is dirty already need not be dirtied again.
    pub not_again: Option<String>,
    /// Releases of the tree that do not dirty dirty pages again, by path and function.
    pub precedents: Vec<Precedent>,
    /// A pin leaves a flag in the address space for good, which fork() asks for.
    pub marks_mm: bool,
    /// A pin of a small page is many references in its count.
    pub pin_is_references: bool,
    /// A pin of the zero page is not counted.
    pub zero_uncounted: bool,
    /// A pin for reading ends the sharing of an anonymous page first.
    pub unshares: bool,
    /// fork() gives the child a copy of a pinned page.
    pub copies_at_fork: bool,
    /// The functions that tell whether a page may be pinned.
    pub maybe_pinned: Vec<&'static str>,
    /// The function of reclaim that puts no page into the swap cache that may be pinned, and whether it asks once more
    /// before it has a file system drop what that keeps for a page.
    pub not_swapped: Option<(String, bool)>,
    /// What `FOLL_LONGTERM` refuses or changes.
    pub long: Long,
}

/// What `FOLL_LONGTERM` does that a plain pin does not.
#[derive(Clone, Debug, Default)]
pub struct Long {
    /// The function that refuses to pin pages of a file to write to, if somebody has to be told of each write (v6.5).
    pub refuses_written: Option<&'static str>,
    /// A file on DAX is refused.
    pub refuses_dax: bool,
    /// Pages of which memory are migrated first.
    pub migrates: Option<&'static str>,
}

/// A release that does not dirty pages again that are dirty already.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Precedent {
    /// Path.
    pub path: String,
    /// Function around the release.
    pub function: String,
    /// The function that does it; `None` where the code tests `PageDirty()` itself.
    pub by: Option<String>,
}

/// The bodies of the functions.
const GUP: &str = "mm/gup.c";
/// Where the page tables' side of a pin is.
const HEADER: &str = "include/linux/mm.h";
/// Reclaim.
const RECLAIM: &str = "mm/vmscan.c";
/// What puts an anonymous page into the swap cache: v5.11 to v6.14, and later.
const SWAPS: [&[u8]; 2] = [b"add_to_swap(", b"folio_alloc_swap("];
/// What has a file system drop what it keeps for a page: v5.11 to v5.18, and later.
const DROPS: [&[u8]; 2] = [b"try_to_release_page(", b"filemap_release_folio("];
/// Files with the flags of an address space: up to v6.12, and later.
const MM_FLAGS: [&str; 2] = ["include/linux/sched/coredump.h", "include/linux/mm_types.h"];
/// v5.2 to v6.12 mm/gup.c.
const NOT_AGAIN: &[u8] = b"Checking PageDirty at this point may race with";
const MARK: &[u8] = b"#define MMF_HAS_PINNED";

impl Known {
    /// Reads the few files that say it, and looks at the releases of all sites.
    pub fn of(root: &Path, sites: &[SiteRecord]) -> Self {
        let read = |path: &str| std::fs::read(root.join(path)).unwrap_or_default();
        let gup = read(GUP);
        let has = |files: &[&str], words: &[&str]| {
            let texts = files.iter().map(|f| read(f));
            texts.into_iter().any(|t| words.iter().any(|w| memmem::find(&t, w.as_bytes()).is_some()))
        };
        let copies_at_fork = has(&[HEADER], &["page_needs_cow_for_dma(", "folio_needs_cow_for_dma("]);
        // The flag is set by a pin, asked for by fork(), and its definition says that it stays.
        let asked = has(&[HEADER], &["MMF_HAS_PINNED"]) && memmem::find(&gup, b"MMF_HAS_PINNED").is_some();
        let stays = |path: &&str| {
            let text = read(path);
            let at = memmem::find(&text, MARK)?;
            let rest = text.get(at..)?;
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            memmem::find(rest.get(..end)?, b"never cleared")
        };
        Self {
            not_again: memmem::find(&gup, NOT_AGAIN).and_then(|at| around(&gup, at as u32)),
            precedents: precedents(sites),
            marks_mm: asked && copies_at_fork && MM_FLAGS.iter().find_map(stays).is_some(),
            pin_is_references: has(&[HEADER], &["#define GUP_PIN_COUNTING_BIAS"]),
            zero_uncounted: has(&[GUP], &["is_zero_page(", "is_zero_folio("]),
            // v6.1 include/linux/mm.h, v6.12 mm/internal.h; v5.10 and later, then with a folio.
            unshares: has(&[HEADER, "mm/internal.h"], &["gup_must_unshare("]),
            copies_at_fork,
            // v5.7 has the first, v5.18 both, v6.12 the second.
            maybe_pinned: ["page_maybe_dma_pinned", "folio_maybe_dma_pinned"]
                .into_iter()
                .filter(|name| has(&[HEADER], &[&format!("{name}(")]))
                .collect(),
            not_swapped: not_swapped(&read(RECLAIM)),
            long: Long::of(&gup),
        }
    }
}

impl Long {
    /// By the functions of mm/gup.c.
    fn of(gup: &[u8]) -> Self {
        let functions = split(gup).into_iter().filter(|i| i.kind == ItemKind::Function);
        let bodies: Vec<&[u8]> = functions.map(|i| i.span.of(gup)).collect();
        let has = |body: &&[u8], word: &str| memmem::find(body, word.as_bytes()).is_some();
        let calls = |name: &str| bodies.iter().any(|b| has(b, name) && has(b, "FOLL_LONGTERM"));
        let written = "writable_file_mapping_allowed";
        Self {
            refuses_written: calls(&format!("{written}(")).then_some(written),
            // v5.7 looks at the mappings in a function of its own, v6.1 does so itself.
            refuses_dax: calls("check_dax_vmas(") || calls("vma_is_fsdax("),
            migrates: match () {
                () if calls("check_and_migrate_movable_pages(") => Some("CMA and movable zones"),
                () if calls("check_and_migrate_cma_pages(") => Some("CMA"),
                () => None,
            },
        }
    }
}

impl Long {
    /// What the flag does, as clauses behind "it"; `written` where the pin asks for write access.
    pub fn clauses(&self, written: bool) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(function) = self.refuses_written.filter(|_| written) {
            out.push(format!(
                "refuses write access to a shared mapping of a file whose dirty pages are tracked (-EFAULT, {function}())"
            ));
        }
        if self.refuses_dax {
            out.push("refuses a file on DAX (-EOPNOTSUPP)".to_string());
        }
        if let Some(memory) = self.migrates {
            out.push(format!("migrates pages out of {memory} first"));
        }
        out
    }
    /// The memory that the flag refuses; `written` where the pin asks for write access.
    pub fn refused(&self, written: bool) -> Option<&'static str> {
        match (self.refuses_written.is_some() && written, self.refuses_dax) {
            (true, false) => Some("a shared mapping of a file that is written back"),
            (true, true) => Some("a shared mapping of a file that is written back, or a file on DAX"),
            (false, true) => Some("a file on DAX"),
            (false, false) => None,
        }
    }
}

/// The function that asks whether a page may be pinned before it puts the page into the swap cache; and whether it asks
/// once more behind that, and before a file system drops what it keeps for a page (v6.1 and later).
fn not_swapped(reclaim: &[u8]) -> Option<(String, bool)> {
    let asks = b"_maybe_dma_pinned(";
    let at = memmem::find(reclaim, asks)?;
    let function = item(reclaim, at as u32)?;
    let first = |text: &[u8], names: &[&[u8]]| names.iter().filter_map(|n| memmem::find(text, n)).min();
    let before = reclaim.get(function.span.start as usize..at)?;
    if first(before, &SWAPS).is_some() {
        return None;
    }
    let rest = reclaim.get(at..function.span.end as usize)?;
    let behind = rest.get(first(rest, &SWAPS)?..)?;
    let again = memmem::find(behind, asks);
    let drops = first(behind, &DROPS);
    let of_files = first(before, &DROPS).is_none() && again.zip(drops).is_some_and(|(again, drops)| again < drops);
    Some((function.name.to_string(), of_files))
}

/// Name of the function around a byte.
fn around(text: &[u8], at: u32) -> Option<String> {
    item(text, at).map(|i| i.name.to_string())
}

/// The function around a byte.
fn item(text: &[u8], at: u32) -> Option<Item> {
    let function = |i: &Item| i.kind == ItemKind::Function && i.span.start <= at && at < i.span.end;
    split(text).into_iter().find(function)
}

/// The releases of all sites that leave a dirty page as it is.
fn precedents(sites: &[SiteRecord]) -> Vec<Precedent> {
    let of = |r: &ReleaseRecord| {
        let by = match () {
            // With a constant `false` it dirties nothing at all.
            () if r.call.ends_with("_dirty_lock") && r.dirty != "none" => Some(r.call.clone()),
            () if r.dirty_when.contains("!PageDirty(") => None,
            () => return None,
        };
        Some(Precedent { path: r.path.clone(), function: r.function.clone(), by })
    };
    let mut all: Vec<Precedent> = sites.iter().flat_map(|s| &s.releases).filter_map(of).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(flag: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("folder");
        for (path, text) in [
            (
                GUP,
                "void put(void)\n{\n\t/*\n\t * Checking PageDirty at this point may race with writeback.\n\t */\n\
                 \tset_bit(MMF_HAS_PINNED, f);\n}\n",
            ),
            (HEADER, "static inline bool page_needs_cow_for_dma(void) { return test_bit(MMF_HAS_PINNED, f); }\n"),
            ("include/linux/sched/coredump.h", flag),
        ] {
            let at = dir.path().join(path);
            std::fs::create_dir_all(at.parent().expect("folder")).expect("folder");
            std::fs::write(at, text).expect("file");
        }
        dir
    }

    #[test]
    fn facts_have_places_and_what_is_not_there_is_not_told() {
        let dir = tree("\n#define MMF_HAS_PINNED 27 /* never cleared */\n");
        let known = Known::of(dir.path(), &[]);
        assert_eq!(known.not_again.as_deref(), Some("put"));
        assert!(
            known.marks_mm
                && known.copies_at_fork
                && !known.unshares
                && !known.zero_uncounted
                && known.maybe_pinned.is_empty()
        );
        // A flag that may be cleared again, and no tree at all.
        assert!(!Known::of(tree("#define MMF_HAS_PINNED 27\n").path(), &[]).marks_mm);
        assert_eq!(Known::of(Path::new("/nowhere"), &[]).not_again, None);
    }

    #[test]
    fn reclaim_asks_of_anonymous_pages_and_of_those_of_files() {
        let reclaim = |steps: &[&str]| {
            let text = format!("int list(struct folio *f)\n{{\n\t{};\n\treturn 1;\n}}\n", steps.join(";\n\t"));
            not_swapped(text.as_bytes())
        };
        let (asks, swaps, drops) = ("ask(folio_maybe_dma_pinned(f))", "add_to_swap(f)", "filemap_release_folio(f, 0)");
        let found = |of_files: bool| Some(("list".to_string(), of_files));
        assert_eq!(reclaim(&[asks, swaps]), found(false));
        assert_eq!(reclaim(&[asks, swaps, asks, drops]), found(true));
        assert_eq!(reclaim(&[asks, "folio_alloc_swap(f)", asks, "try_to_release_page(p, 0)"]), found(true));
        // It asks too late, asks nothing more, or nothing of the file system.
        assert_eq!(reclaim(&[asks, swaps, drops, asks]), found(false));
        assert_eq!(reclaim(&[asks, swaps, drops, asks, drops]), found(false));
        assert_eq!(reclaim(&[drops, asks, swaps, asks, drops]), found(false));
        assert_eq!(reclaim(&[asks, swaps, drops]), found(false));
        assert_eq!(reclaim(&[asks, swaps, asks]), found(false));
        assert_eq!(reclaim(&[swaps, asks, drops]), None);
        assert_eq!(reclaim(&[asks, "add_to_list(f)", asks, drops]), None);
    }
}
