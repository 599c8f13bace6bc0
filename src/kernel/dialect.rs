//! The API generation of a tree, read from its declarations and bodies, never from its version number.
//!
//! Distributions carry functions back: v6.1.192 leaves the zero page unpinned, v6.1 did not. So every property is
//! looked up where it is decided (SEMANTICS 1.4). This module decides what may be emitted; it knows nothing of sites.

use super::document::Document;
use super::prototypes::Prototypes;
use super::{Api, capabilities};
use crate::config::DialectKind;
use crate::error::UserError;
use crate::model::Capabilities;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The header without which nothing can be told.
const MM_H: &str = "include/linux/mm.h";
/// Where the functions of interest are declared; the first declaration of a name counts.
const HEADERS: &[&str] = &[
    MM_H,
    "include/linux/pagemap.h",
    "include/linux/bio.h",
    BLK_TYPES_H,
    "include/linux/uio.h",
    "include/linux/mm_types.h",
];
const BLK_TYPES_H: &str = "include/linux/blk_types.h";
/// Where their bodies may be: the first patches put them into mm/swap.c, what was merged is in mm/gup.c.
const BODIES: &[&str] = &["mm/gup.c", "mm/swap.c"];
const MM_MAKEFILE: &str = "mm/Makefile";

/// The functions that a rewrite may emit, by family.
const PUT: &[&str] = &["put_user_page", "put_user_pages", "put_user_pages_dirty", "put_user_pages_dirty_lock"];
const UNPIN: &[&str] = &[
    "pin_user_pages",
    "pin_user_pages_fast",
    "pin_user_pages_fast_only",
    "pin_user_pages_locked",
    "pin_user_pages_remote",
    "pin_user_pages_unlocked",
    "unpin_user_page",
    "unpin_user_page_range_dirty_lock",
    "unpin_user_pages",
    "unpin_user_pages_dirty_lock",
];

/// The third parameter of `get_user_pages_fast()`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FastThird {
    /// `int write` (v4.19).
    Write,
    /// `unsigned int gup_flags` (v5.2 and later).
    Flags,
    /// Neither, or the function is not declared.
    Unknown,
}

/// The flag of a bio that says whether its pages are released.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BioFlag {
    /// `BIO_NO_PAGE_REF`: set means do not release (v5.2 to v6.1).
    NoPageRef,
    /// `BIO_PAGE_PINNED`: set means unpin, clear means do nothing (v6.12).
    PagePinned,
    /// `BIO_PAGE_PINNED` and `BIO_PAGE_REFFED` side by side.
    PinnedAndReffed,
    /// None of them: pages are always released (v4.19).
    None,
}

/// The API generation of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialect {
    /// What to convert to.
    pub kind: DialectKind,
    /// The functions of that family that are declared and have a body. Nothing else may be emitted.
    pub available: BTreeSet<String>,
    /// Both families are declared: a backport in the middle of the rename.
    pub both: bool,
    /// Parameters of the `*_dirty_lock` function of the family; 0 when it is missing.
    pub dirty_arity: u8,
    /// `put_user_pages_dirty()`, which takes no page lock, is available (v5.2, v5.3).
    pub has_dirty_unlocked: bool,
    /// The third parameter of `get_user_pages_fast()`.
    pub fast_third: FastThird,
    /// `get_user_pages_fast()` sets `FOLL_GET` by itself and lets a missing array through (v5.7, v6.1): without an
    /// array it takes references that nobody can drop. v5.2 leaves the flag to the array, v6.12 refuses the call.
    pub fast_without_array: bool,
    /// `get_user_pages_remote()` takes a `task_struct` first (to v5.7).
    pub remote_task: bool,
    /// `get_user_pages()` has a fifth parameter `vmas` (to v6.1).
    pub gup_vmas: bool,
    /// The bio flag.
    pub bio: BioFlag,
    /// The array functions are built only with CONFIG_MMU (v5.2 mm/Makefile), while `put_user_page()` is an inline.
    pub batch_needs_mmu: bool,
    /// Functions of the family with a guard against an error value as count (`unpin_user_pages` since v5.10).
    pub guarded: BTreeSet<String>,
    /// Functions of the family that skip a NULL entry where a run starts (`unpin_user_pages` since v6.12).
    pub null_skip: BTreeSet<String>,
    /// `set_page_dirty_lock()` is declared.
    pub has_page_lock: bool,
    /// What a pin leaves in the address space for good: a flag (v6.1), before that a field (v5.10), nothing in v5.7.
    pub marks_mm: Option<&'static str>,
    /// What the acquiring functions return, as declared: `int`, `long`.
    pub returns: BTreeMap<String, String>,
    /// What a reader of the report should know: declared without a body, both families, and the like.
    pub notes: Vec<String>,
    caps: Capabilities,
}

/// A dialect with the declarations it was read from.
#[derive(Clone, Debug)]
pub struct Detected {
    /// The dialect.
    pub dialect: Dialect,
    /// Everything that the headers declare.
    pub prototypes: Prototypes,
    /// What the tree's `pin_user_pages.rst` has.
    pub document: Document,
}

/// Reads the dialect of the tree at `root`.
///
/// # Errors
/// `include/linux/mm.h` cannot be read, or `asked` contradicts what the tree has.
pub fn detect(root: &Path, asked: Option<DialectKind>) -> Result<Detected, UserError> {
    let mm_h = text_of(root, MM_H).map_err(|e| {
        UserError::new(
            format!("cannot read {MM_H}"),
            e.to_string(),
            "the declarations in that header say which functions the tree has; use a complete checkout",
        )
    })?;
    let mut unreadable = Vec::new();
    let mut detected = of_files(&mut |path| {
        if path == MM_H {
            return Some(mm_h.clone());
        }
        match text_of(root, path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                unreadable.push(format!("{path}: {e}"));
                None
            }
        }
    });
    detected.dialect.notes.extend(unreadable);
    detected.dialect = detected.dialect.chosen(asked)?;
    Ok(detected)
}

/// The text of a file of the tree at `root`. To open what is no file may wait for ever, or never end.
///
/// # Errors
/// It cannot be read, or is no file.
pub fn text_of(root: &Path, path: &str) -> io::Result<Vec<u8>> {
    let path = root.join(path);
    match std::fs::metadata(&path)?.is_file() {
        true => std::fs::read(path),
        false => Err(io::Error::other("no regular file")),
    }
}

/// Reads the dialect from the files that `read` gives; a file that is not there is `None`.
pub fn of_files(read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Detected {
    let mut headers = Prototypes::default();
    for path in HEADERS {
        if let Some(text) = read(path) {
            headers.add(path, &text);
        }
    }
    let mut bodies = Prototypes::default();
    for path in BODIES {
        if let Some(text) = read(path) {
            bodies.add(path, &text);
        }
    }
    let makefile = read(MM_MAKEFILE).unwrap_or_default();
    let dialect = Dialect::of(&headers, &bodies, &String::from_utf8_lossy(&makefile));
    Detected { dialect, prototypes: headers, document: Document::of(read) }
}

impl Dialect {
    fn of(headers: &Prototypes, bodies: &Prototypes, makefile: &str) -> Self {
        let mut notes = Vec::new();
        let family = family(headers, bodies, &mut notes);
        let names = match family {
            Family::Pin => UNPIN,
            Family::Put => PUT,
            Family::None => &[],
        };
        let has_body = |f: &str| headers.body(f).is_some() || bodies.body(f).is_some();
        let mut available = BTreeSet::new();
        for f in names.iter().filter(|f| headers.declares(f)) {
            if let Some(get) = f.strip_prefix("pin_").map(|rest| format!("get_{rest}"))
                && !same_parameters(headers, &get, f)
            {
                notes.push(format!("{f}() does not take the arguments of {get}(): it is not used"));
            } else if has_body(f) {
                available.insert(f.to_string());
            } else {
                notes.push(format!("{f}() is declared, but has no body in {}", BODIES.join(" or ")));
            }
        }
        let lock = if family == Family::Pin { "unpin_user_pages_dirty_lock" } else { "put_user_pages_dirty_lock" };
        let dirty_arity = headers.params(lock).map_or(0, |p| p.len().min(255) as u8);
        let kind = match (family, dirty_arity) {
            (Family::None, _) => DialectKind::None,
            (Family::Pin, _) => DialectKind::PinUserPages,
            (Family::Put, 2) => DialectKind::PutUserPage2,
            (Family::Put, _) => DialectKind::PutUserPage3,
        };
        if family == Family::Put && !matches!(dirty_arity, 0 | 2 | 3) {
            notes.push(format!("put_user_pages_dirty_lock() has {dirty_arity} parameters; it is not used"));
            available.remove(lock);
        }
        let body_says = |f: &str, pattern: &[&str]| {
            bodies.body(f).is_some_and(|b| b.windows(pattern.len()).any(|w| w.iter().eq(pattern.iter())))
        };
        let with = |pattern: &[&str]| {
            available.iter().filter(|f| body_says(f, pattern)).cloned().collect::<BTreeSet<String>>()
        };
        let guarded = with(&["IS_ERR_VALUE"]);
        // Both spellings of the test have been in use: `if (!pages[i]) … continue` and `if (pages[i])`.
        let null_skip = with(&["!", "pages", "["]);
        let third = headers.params("get_user_pages_fast").and_then(|p| p.get(2));
        Dialect {
            kind,
            both: headers.declares("put_user_page") && headers.declares("unpin_user_page"),
            dirty_arity,
            has_dirty_unlocked: available.contains("put_user_pages_dirty"),
            fast_third: match third {
                Some(p) if p.ty == "int" && p.name == "write" => FastThird::Write,
                Some(p) if p.ty.contains("int") && p.name.contains("flags") => FastThird::Flags,
                _ => FastThird::Unknown,
            },
            fast_without_array: bodies.body_has("get_user_pages_fast", "FOLL_GET")
                && !bodies.body_has("get_user_pages_fast", "is_valid_gup_args"),
            remote_task: headers
                .params("get_user_pages_remote")
                .and_then(|p| p.first())
                .is_some_and(|p| p.ty.contains("task_struct")),
            gup_vmas: headers.params("get_user_pages").is_some_and(|p| p.len() == 5),
            bio: bio_flag(headers),
            batch_needs_mmu: needs_mmu(makefile, "gup.o"),
            caps: capabilities::of(kind, headers, bodies),
            available,
            guarded,
            null_skip,
            marks_mm: ["MMF_HAS_PINNED", "has_pinned"].into_iter().find(|mark| bodies.any_body_has(mark)),
            has_page_lock: headers.declares("set_page_dirty_lock"),
            returns: Api::get()
                .acquire_names()
                .iter()
                .filter_map(|n| Some((n.clone(), headers.get(n)?.ret.clone())))
                .collect(),
            notes,
        }
    }

    /// What the model has to know of the tree's functions.
    pub fn capabilities(&self) -> Capabilities {
        self.caps
    }

    /// Lets a tree without any function to convert to have the placeholders of v5.2, their bodies in the file at
    /// `bodies`; whether it was such a tree.
    pub fn assume_placeholders(&mut self, bodies: &str) -> bool {
        if self.kind != DialectKind::None {
            return false;
        }
        self.kind = DialectKind::PutUserPage2;
        self.available = PUT.iter().map(|f| f.to_string()).collect();
        self.dirty_arity = 2;
        self.has_dirty_unlocked = true;
        self.batch_needs_mmu &= bodies == "mm/gup.c";
        self.caps.put_user = true;
        self.caps.put_user_pages_dirty = true;
        self.caps.dirty_lock_arity = 2;
        self.notes
            .push(format!("the placeholders are added first: put_user_page() and three array functions in {bodies}"));
        true
    }

    /// The array functions, whose bodies need an MMU in this tree.
    pub fn arrays(&self) -> Vec<&str> {
        PUT.iter().copied().filter(|f| *f != "put_user_page" && self.available.contains(*f)).collect()
    }

    /// Whether a rewrite may call the function.
    pub fn has(&self, function: &str) -> bool {
        self.available.contains(function)
    }

    /// The dialect that is asked for, if the tree has it. `none` is always had: nothing is emitted then.
    fn chosen(mut self, asked: Option<DialectKind>) -> Result<Self, UserError> {
        match asked {
            None => Ok(self),
            Some(kind) if kind == self.kind => Ok(self),
            Some(DialectKind::None) => {
                self.kind = DialectKind::None;
                self.available.clear();
                self.has_dirty_unlocked = false;
                Ok(self)
            }
            Some(kind) => Err(UserError::new(
                format!("the tree does not have the dialect {}", kind.code()),
                format!("its headers declare {}: {}", self.kind.code(), self.evidence()),
                "leave --dialect out, or give --tree the tree that you mean",
            )),
        }
    }

    /// What in the tree decides the dialect, in words.
    pub fn evidence(&self) -> String {
        match self.kind {
            DialectKind::None => format!("{MM_H} has neither put_user_page() nor unpin_user_page()"),
            DialectKind::PutUserPage2 | DialectKind::PutUserPage3 => {
                format!(
                    "{MM_H} has put_user_page(), and put_user_pages_dirty_lock() takes {} arguments",
                    self.dirty_arity
                )
            }
            DialectKind::PinUserPages => format!("{MM_H} has unpin_user_page()"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    None,
    Put,
    Pin,
}

/// The family to convert to. When both are declared, the one whose bodies live in mm/: the other is a shim.
fn family(headers: &Prototypes, bodies: &Prototypes, notes: &mut Vec<String>) -> Family {
    match (headers.declares("unpin_user_page"), headers.declares("put_user_page")) {
        (false, false) => Family::None,
        (false, true) => Family::Put,
        (true, false) => Family::Pin,
        (true, true) => {
            let pin_is_shim = headers.body_has("unpin_user_page", "put_user_page");
            let pin_lives = ["unpin_user_page", "unpin_user_pages"].iter().any(|f| bodies.body(f).is_some());
            let family = if pin_lives && !pin_is_shim { Family::Pin } else { Family::Put };
            let emitted = if family == Family::Pin { "unpin_user_page()" } else { "put_user_page()" };
            notes.push(format!(
                "both put_user_page() and unpin_user_page() are declared; the bodies speak for {emitted}"
            ));
            family
        }
    }
}

/// Whether both functions are declared with parameters of the same types in the same order.
fn same_parameters(headers: &Prototypes, a: &str, b: &str) -> bool {
    let types = |f| Some(headers.params(f)?.iter().map(|p| p.ty.clone()).collect::<Vec<_>>());
    types(a).is_some_and(|t| Some(t) == types(b))
}

fn bio_flag(headers: &Prototypes) -> BioFlag {
    let has = |flag| headers.names_flag(BLK_TYPES_H, flag);
    match (has("BIO_PAGE_PINNED"), has("BIO_PAGE_REFFED"), has("BIO_NO_PAGE_REF")) {
        (true, true, _) => BioFlag::PinnedAndReffed,
        (true, false, _) => BioFlag::PagePinned,
        (false, _, true) => BioFlag::NoPageRef,
        _ => BioFlag::None,
    }
}

/// Whether the Makefile builds `object` only with CONFIG_MMU.
fn needs_mmu(makefile: &str, object: &str) -> bool {
    let joined = makefile.replace("\\\n", " ");
    let lists = |line: &&str| line.split_whitespace().any(|w| w == object);
    let mut lists = joined.lines().map(|l| l.split('#').next().unwrap_or_default()).filter(lists).peekable();
    lists.peek().is_some() && lists.all(|l| l.contains("CONFIG_MMU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of the three texts `mm.h`, `gup.c` and `mm/Makefile`.
    fn dialect(mm_h: &str, gup_c: &str, makefile: &str) -> Dialect {
        of_files(&mut |path| match path {
            MM_H => Some(mm_h.into()),
            "mm/gup.c" => Some(gup_c.into()),
            MM_MAKEFILE => Some(makefile.into()),
            BLK_TYPES_H => Some(b"enum {\n\tBIO_NO_PAGE_REF,\n};\n".to_vec()),
            _ => None,
        })
        .dialect
    }

    const PUT_H: &str = "/* unpin_user_page() comes later */\n\
        static inline void put_user_page(struct page *page)\n{\n\tput_page(page);\n}\n\
        void put_user_pages(struct page **pages, unsigned long npages);\n";
    const PUT_C: &str = "void put_user_pages(struct page **p, unsigned long n)\n{\n}\n\
        void put_user_pages_dirty(struct page **p, unsigned long n)\n{\n}\n\
        void put_user_pages_dirty_lock(struct page **p, unsigned long n)\n{\n}\n";
    const TWO: &str = "void put_user_pages_dirty(struct page **pages, unsigned long npages);\n\
        void put_user_pages_dirty_lock(struct page **pages, unsigned long npages);\n";
    const THREE: &str =
        "void put_user_pages_dirty_lock(struct page **pages, unsigned long npages,\n\t\t\t       bool make_dirty);\n";

    #[test]
    fn arity_tells_the_two_put_dialects() {
        let two = dialect(&[PUT_H, TWO].concat(), PUT_C, "");
        assert_eq!((two.kind, two.dirty_arity, two.has_dirty_unlocked), (DialectKind::PutUserPage2, 2, true));
        let three = dialect(&[PUT_H, THREE].concat(), PUT_C, "");
        assert_eq!((three.kind, three.dirty_arity, three.has_dirty_unlocked), (DialectKind::PutUserPage3, 3, false));
        assert_eq!(two.bio, BioFlag::NoPageRef);
    }

    #[test]
    fn a_comment_makes_no_dialect() {
        let none = dialect("/*\n * void put_user_page(struct page *page);\n */\nint get_it(int a);\n", "", "");
        assert_eq!((none.kind, none.both), (DialectKind::None, false));
        assert!(none.available.is_empty());
    }

    #[test]
    fn what_has_no_body_is_not_emitted() {
        let d = dialect(&[PUT_H, TWO].concat(), "void put_user_pages(struct page **p, unsigned long n)\n{\n}\n", "");
        assert!(d.has("put_user_page") && d.has("put_user_pages") && !d.has("put_user_pages_dirty_lock"));
        assert!(d.notes.iter().any(|n| n.starts_with("put_user_pages_dirty_lock() is declared, but has no body")));
    }

    #[test]
    fn a_backport_with_both_names_follows_the_bodies() {
        let both = "void unpin_user_page(struct page *page);\n\
            static inline void put_user_page(struct page *page)\n{\n\tunpin_user_page(page);\n}\n";
        let renamed = dialect(both, "void unpin_user_page(struct page *page)\n{\n\tput_page(page);\n}\n", "");
        assert_eq!((renamed.kind, renamed.both), (DialectKind::PinUserPages, true));
        assert!(!renamed.capabilities().tracked);
        let shim = [PUT_H, TWO, "static inline void unpin_user_page(struct page *p)\n{\n\tput_user_page(p);\n}\n"];
        assert_eq!(dialect(&shim.concat(), PUT_C, "").kind, DialectKind::PutUserPage2);
    }

    #[test]
    fn guards_are_read_from_bodies() {
        let h = "#define GUP_PIN_COUNTING_BIAS (1U << 10)\nvoid unpin_user_page(struct page *page);\n\
            void unpin_user_pages(struct page **pages, unsigned long npages);\n";
        let old = "void unpin_user_page(struct page *page)\n{\n}\n\
            void unpin_user_pages(struct page **pages, unsigned long npages)\n{\n\tunsigned long i;\n\n\
            \t/* not IS_ERR_VALUE */\n\tfor (i = 0; i < npages; i++)\n\t\tunpin_user_page(pages[i]);\n}\n";
        let new = old
            .replace("\tfor", "\tif (WARN_ON(IS_ERR_VALUE(npages)))\n\t\treturn;\n\tfor")
            .replace("\t\tunpin", "\t\tif (!pages[i])\n\t\t\tcontinue;\n\t\tunpin");
        let (old, new) = (dialect(h, old, ""), dialect(h, &new, ""));
        assert!(old.guarded.is_empty() && old.null_skip.is_empty());
        assert!(new.guarded.contains("unpin_user_pages") && new.null_skip.contains("unpin_user_pages"));
        assert!(old.capabilities().tracked && !old.capabilities().err_guard && new.capabilities().err_guard);
        assert!(new.capabilities().null_skip_at_run_start);
        assert_eq!(old.capabilities().bias, 1024);
    }

    #[test]
    fn the_makefile_tells_whether_the_batch_functions_need_an_mmu() {
        let d = |makefile| dialect(&[PUT_H, TWO].concat(), PUT_C, makefile).batch_needs_mmu;
        assert!(d("mmu-y := nommu.o\nmmu-$(CONFIG_MMU)\t:= gup.o memory.o \\\n\t\t mlock.o\n"));
        assert!(d("mmu-$(CONFIG_MMU) := memory.o \\\n\t gup.o\n"));
        assert!(!d("obj-y := memory.o \\\n\t gup.o $(mmu-y)\n"));
        assert!(!d("# mmu-$(CONFIG_MMU) := gup.o\nobj-y := gup.o\n"));
    }

    #[test]
    fn parameters_of_the_acquiring_functions() {
        let old = dialect(
            "long get_user_pages(unsigned long start, unsigned long nr_pages, unsigned int gup_flags,\n\
             \tstruct page **pages, struct vm_area_struct **vmas);\n\
             long get_user_pages_remote(struct task_struct *tsk, struct mm_struct *mm, unsigned long start);\n\
             int get_user_pages_fast(unsigned long start, int nr_pages, int write, struct page **pages);\n",
            "",
            "",
        );
        assert_eq!((old.fast_third, old.remote_task, old.gup_vmas), (FastThird::Write, true, true));
        let new = dialect(
            "long get_user_pages(unsigned long start, unsigned long nr_pages, unsigned int gup_flags,\n\
             \tstruct page **pages);\nlong get_user_pages_remote(struct mm_struct *mm, unsigned long start);\n\
             int get_user_pages_fast(unsigned long start, int nr_pages, unsigned int gup_flags, struct page **p);\n",
            "",
            "",
        );
        assert_eq!((new.fast_third, new.remote_task, new.gup_vmas), (FastThird::Flags, false, false));
    }

    #[test]
    fn the_body_tells_whether_the_fast_call_needs_an_array() {
        let d = |body: &str| {
            let gup = format!("int get_user_pages_fast(int n, unsigned int flags)\n{{\n\t{body}\n}}\n");
            dialect(PUT_H, &gup, "").fast_without_array
        };
        assert!(d("flags |= FOLL_GET;\n\treturn internal(n, flags);"));
        assert!(!d("return internal(n, flags);"));
        assert!(!d("/* sets FOLL_GET */\n\treturn internal(n, flags);"));
        assert!(!d("if (!is_valid_gup_args(pages, NULL, &flags, FOLL_GET))\n\t\treturn -EINVAL;\n\treturn 0;"));
    }

    #[test]
    fn a_dialect_must_be_one_of_the_tree() {
        let d = dialect(&[PUT_H, TWO].concat(), PUT_C, "");
        let error = d.clone().chosen(Some(DialectKind::PutUserPage3)).expect_err("an error");
        assert!(error.title.contains("put-user-page-3arg") && error.cause.contains("takes 2 arguments"));
        assert_eq!(d.clone().chosen(Some(DialectKind::PutUserPage2)).map(|d| d.kind), Ok(DialectKind::PutUserPage2));
        let none = d.chosen(Some(DialectKind::None)).expect("always had");
        assert!(none.available.is_empty() && none.kind == DialectKind::None);
    }
}
