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
    /// The function with the comment that says why a page that is dirty already may be skipped.
    pub skipped: Option<String>,
    /// Releases of the tree that skip dirty pages, by path and function.
    pub precedents: Vec<Precedent>,
    /// The file with the flag that a pin leaves in the address space for good.
    pub marks_mm: Option<String>,
    /// A pin of the zero page is not counted.
    pub zero_uncounted: bool,
    /// A pin for reading ends the sharing of an anonymous page first.
    pub unshares: bool,
    /// fork() gives the child a copy of a pinned page.
    pub copies_at_fork: bool,
    /// The functions that tell whether a page may be pinned.
    pub maybe_pinned: Vec<&'static str>,
}

/// A release that skips pages that are dirty already.
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
/// Files with the flags of an address space: up to v6.12, and later.
const MM_FLAGS: [&str; 2] = ["include/linux/sched/coredump.h", "include/linux/mm_types.h"];
/// v5.2 to v6.12 mm/gup.c.
const SKIPPED: &[u8] = b"Checking PageDirty at this point may race with";
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
            memmem::find(rest.get(..end)?, b"never cleared").map(|_| path.to_string())
        };
        Self {
            skipped: memmem::find(&gup, SKIPPED).and_then(|at| around(&gup, at as u32)),
            precedents: precedents(sites),
            marks_mm: MM_FLAGS.iter().find_map(stays).filter(|_| asked && copies_at_fork),
            zero_uncounted: has(&[GUP], &["is_zero_page(", "is_zero_folio("]),
            // v6.1 include/linux/mm.h, v6.12 mm/internal.h; v5.10 and later, then with a folio.
            unshares: has(&[HEADER, "mm/internal.h"], &["gup_must_unshare("]),
            copies_at_fork,
            // v5.7 has the first, v5.18 both, v6.12 the second.
            maybe_pinned: ["page_maybe_dma_pinned", "folio_maybe_dma_pinned"]
                .into_iter()
                .filter(|name| has(&[HEADER], &[&format!("{name}(")]))
                .collect(),
        }
    }
}

/// Name of the function around a byte.
fn around(text: &[u8], at: u32) -> Option<String> {
    let function = |i: &Item| i.kind == ItemKind::Function && i.span.start <= at && at < i.span.end;
    split(text).into_iter().find(function).map(|i| i.name.to_string())
}

/// The releases of all sites that leave a dirty page as it is.
fn precedents(sites: &[SiteRecord]) -> Vec<Precedent> {
    let of = |r: &ReleaseRecord| {
        let by = match () {
            // With a constant `false` it dirties nothing, and skips nothing.
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
        assert_eq!(known.skipped.as_deref(), Some("put"));
        assert_eq!(known.marks_mm.as_deref(), Some("include/linux/sched/coredump.h"));
        assert!(known.copies_at_fork && !known.unshares && !known.zero_uncounted && known.maybe_pinned.is_empty());
        // A flag that may be cleared again, and no tree at all.
        assert_eq!(Known::of(tree("#define MMF_HAS_PINNED 27\n").path(), &[]).marks_mm, None);
        assert_eq!(Known::of(Path::new("/nowhere"), &[]).skipped, None);
    }
}
