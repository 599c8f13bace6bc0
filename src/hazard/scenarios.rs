//! The scenarios as data: what is asked, from which settings, with which fixes and half fixes.

use super::explore::Question;
use super::file_page::{self, Owed};
use super::scenario::{Machine, Role, Scenario, Variant};
use super::{fork, longterm, tracking};

/// What most scenarios of the file page start from: pins are tracked by nobody, nothing is fixed.
macro_rules! file_knobs {
    ($start:literal, $stable:literal) => {
        &[
            ("start", $start),
            ("track", "off"),
            ("fix", "none"),
            ("redirty", "on"),
            ("check", "after"),
            ("recheck", "on"),
            ("gup-refuses-wb", "off"),
            ("stable", $stable),
            ("reclaim-pin", "off"),
            ("bh-over-limit", "off"),
            ("fs", "bug"),
            ("dirty-lock", "off"),
            ("release", "yes"),
        ]
    };
}

const LEAKED: &[(&str, &str)] = &[
    ("start", "mapped"),
    ("track", "on"),
    ("fix", "wait"),
    ("redirty", "on"),
    ("check", "after"),
    ("recheck", "on"),
    ("stable", "on"),
    ("reclaim-pin", "on"),
    ("release", "never"),
];

/// Nobody leaks a pin; only plain references are many.
const PLAIN: &[(&str, &str)] = &[
    ("start", "clean"),
    ("base", "1024"),
    ("track", "on"),
    ("fix", "wait"),
    ("redirty", "on"),
    ("check", "after"),
    ("recheck", "on"),
    ("stable", "on"),
    ("reclaim-pin", "on"),
    ("release", "yes"),
];

const COUNTS: &[(&str, &str)] = &[
    ("kernel", "6.12"),
    ("page", "order0"),
    ("base", "1"),
    ("acquire", "pin"),
    ("drop", "unpin"),
    ("times", "1"),
    ("other", "off"),
];

macro_rules! counts {
    ($($name:literal = $value:literal),*) => {{
        const SET: [(&str, &str); COUNTS.len()] = {
            let mut set = [("", ""); COUNTS.len()];
            let mut i = 0;
            while i < COUNTS.len() {
                set[i] = COUNTS[i];
                $(if same(COUNTS[i].0, $name) { set[i].1 = $value; })*
                i += 1;
            }
            set
        };
        &SET
    }};
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn variant(title: &'static str, role: Role, set: &'static [(&'static str, &'static str)]) -> Variant {
    Variant { title, role, set }
}

use Role::{Fix, HalfFix, Note, Same};

const BOUNCE: &[(&str, &str)] = &[("track", "on"), ("fix", "bounce")];
const BOUNCE_ALONE: &[(&str, &str)] = &[("track", "on"), ("fix", "bounce"), ("redirty", "off")];
const WAIT: &[(&str, &str)] = &[("track", "on"), ("fix", "wait")];
const SKIP: &[(&str, &str)] = &[("track", "on"), ("fix", "skip")];
const REVOKE: &[(&str, &str)] = &[("fix", "revoke")];
const TRACK: &[(&str, &str)] = &[("track", "on")];

/// All scenarios, in the order of the document.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "writeback-dma",
        part: 'a',
        title: "a device writes into a page that is on its way to the disk",
        problem: "Writeback write-protects the page so that nobody changes it during I/O. A device does not look at \
                  page tables: a pin taken before keeps writing. Checksums (RAID, btrfs, DIF) do not match what \
                  lands on the disk.",
        property: "no device writes to a page while it is being written to the disk",
        base: file_knobs!("mapped", "on"),
        variants: &[
            variant("the page starts clean", Same, &[("start", "clean")]),
            variant("pins are tracked, but writeback does not ask (v5.7, v6.12)", HalfFix, TRACK),
            variant("write a copy of a pinned page (proposed)", Fix, BOUNCE),
            variant("write a copy, and let the page be clean (proposed)", Fix, BOUNCE_ALONE),
            variant("wait until the pin is gone (proposed)", Fix, WAIT),
            variant("skip a pinned page (proposed)", Fix, SKIP),
            variant("an MMU notifier stops the device (no tracking)", Fix, REVOKE),
            variant("write a copy, but pins are not tracked", HalfFix, &[("fix", "bounce")]),
            variant(
                "write a copy, but look for pins before write-protecting",
                HalfFix,
                &[("track", "on"), ("fix", "bounce"), ("check", "before")],
            ),
            variant(
                "wait, but look for pins before write-protecting",
                HalfFix,
                &[("track", "on"), ("fix", "wait"), ("check", "before")],
            ),
            variant(
                "write a copy, but GUP does not read the PTE again",
                HalfFix,
                &[("track", "on"), ("fix", "bounce"), ("recheck", "off")],
            ),
        ],
        stuck: "",
        question: Question::Never(file_page::UNSTABLE),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "no-buffers",
        part: 'b',
        title: "a dirty page without buffers: BUG_ON() in the file system (ext4 of v5.2)",
        problem: "Writeback cleans the page, reclaim drops its buffers, and then the driver makes it dirty without \
                  a word to the file system. The next writeback finds a dirty page without buffers: BUG_ON() in \
                  ext4 of \
                  v5.2 (fs/ext4/inode.c through page_buffers()). Later ext4 warns instead: see lost-data.",
        property: "writeback never finds a dirty page without buffers",
        base: file_knobs!("clean", "on"),
        variants: &[
            variant("the driver uses set_page_dirty_lock()", HalfFix, &[("dirty-lock", "on")]),
            variant("pins are tracked, but nobody asks", HalfFix, TRACK),
            variant(
                "reclaim leaves pinned pages alone (v6.12: shrink_folio_list)",
                Fix,
                &[("track", "on"), ("reclaim-pin", "on")],
            ),
            variant(
                "the same, but the machine has too many buffers",
                HalfFix,
                &[("track", "on"), ("reclaim-pin", "on"), ("bh-over-limit", "on")],
            ),
            variant("the file system tolerates it (v6.12: ext4), see lost-data", Note, &[("fs", "tolerant")]),
            variant("write a copy and make the page dirty again (proposed)", Fix, BOUNCE),
            variant("write a copy, and let the page be clean (proposed)", HalfFix, BOUNCE_ALONE),
            variant("wait until the pin is gone (proposed)", Fix, WAIT),
            variant("skip a pinned page (proposed)", Fix, SKIP),
        ],
        stuck: "",
        question: Question::Never(file_page::BUG),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "lost-data",
        part: 'b',
        title: "the file system tolerates a page without buffers, and drops the data",
        problem: "The BUG_ON() was replaced by a warning. The page is not written: what the device put there is \
                  gone, and no error reaches the process. ext4 does so by v6.1 and v6.12 (fs/ext4/inode.c).",
        property: "data that a device wrote is never dropped",
        base: &[
            ("start", "clean"),
            ("track", "off"),
            ("fix", "none"),
            ("redirty", "on"),
            ("check", "after"),
            ("recheck", "on"),
            ("gup-refuses-wb", "off"),
            ("stable", "on"),
            ("reclaim-pin", "off"),
            ("bh-over-limit", "off"),
            ("fs", "tolerant"),
            ("dirty-lock", "off"),
            ("release", "yes"),
        ],
        variants: &[
            variant("the driver uses set_page_dirty_lock()", HalfFix, &[("dirty-lock", "on")]),
            variant(
                "reclaim leaves pinned pages alone (v6.12: shrink_folio_list)",
                Fix,
                &[("track", "on"), ("reclaim-pin", "on")],
            ),
            variant(
                "the same, but the machine has too many buffers",
                HalfFix,
                &[("track", "on"), ("reclaim-pin", "on"), ("bh-over-limit", "on")],
            ),
            variant("write a copy and make the page dirty again (proposed)", Fix, BOUNCE),
            variant("write a copy, and let the page be clean (proposed)", HalfFix, BOUNCE_ALONE),
        ],
        stuck: "",
        question: Question::Never(file_page::LOST),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "direct-io",
        part: 'c',
        title: "GUP returns a page that is under writeback",
        problem: "Where the device needs no stable pages, a write fault during writeback makes the PTE writable \
                  again, and get_user_pages_fast() hands the page out: the device writes to a page in flight. Refusing \
                  such pages (proposed) closes this hole, and only this one.",
        property: "GUP returns no page that is under writeback",
        base: file_knobs!("mapped", "off"),
        variants: &[
            variant("GUP refuses pages under writeback (proposed)", Fix, &[("gup-refuses-wb", "on")]),
            variant("write faults wait for writeback", Fix, &[("stable", "on")]),
            variant("pins are tracked, but writeback does not ask (v5.7, v6.12)", HalfFix, TRACK),
        ],
        stuck: "",
        question: Question::Never(file_page::GUP_WB),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "direct-io-early-pin",
        part: 'c',
        title: "GUP refuses pages under writeback, but the pin was there before",
        problem: "Refusing pages under writeback does not help against a pin that was taken just before the page \
                  was write-protected. Both halves are needed: the refusal, and a writeback that looks for pins. No kernel has either.",
        property: "no device writes to a page while it is being written to the disk",
        base: &[
            ("start", "mapped"),
            ("track", "off"),
            ("fix", "none"),
            ("redirty", "on"),
            ("check", "after"),
            ("recheck", "on"),
            ("gup-refuses-wb", "on"),
            ("stable", "off"),
            ("reclaim-pin", "off"),
            ("bh-over-limit", "off"),
            ("fs", "bug"),
            ("dirty-lock", "off"),
            ("release", "yes"),
        ],
        variants: &[
            variant("writeback writes a copy of a pinned page, too (proposed)", Fix, BOUNCE),
            variant("writeback waits for the pin, too (proposed)", Fix, WAIT),
            variant(
                "writeback writes a copy, but GUP refuses nothing",
                HalfFix,
                &[("gup-refuses-wb", "off"), ("track", "on"), ("fix", "bounce")],
            ),
        ],
        stuck: "",
        question: Question::Never(file_page::UNSTABLE),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "page-mkwrite",
        part: 'd',
        title: "a device writes to a page that the file system takes for clean",
        problem: "A file system must hear of the first write after each writeback: it reserves a block, breaks the \
                  sharing with a snapshot, starts a journal entry. The device does not fault, so it is not told. \
                  Dirtying the page at release is too late: the write has happened.",
        property: "the file system was told before each write of a device",
        base: file_knobs!("mapped", "on"),
        variants: &[
            variant("the page starts clean", Same, &[("start", "clean")]),
            variant("write a copy, and let the page be clean (proposed)", HalfFix, BOUNCE_ALONE),
            variant("write a copy and make the page dirty again (proposed)", Fix, BOUNCE),
            variant("wait until the pin is gone (proposed)", Fix, WAIT),
            variant("skip a pinned page (proposed)", Fix, SKIP),
            variant("an MMU notifier stops the device (no tracking)", Fix, REVOKE),
            variant("the driver uses set_page_dirty_lock()", HalfFix, &[("dirty-lock", "on")]),
        ],
        stuck: "",
        question: Question::Never(file_page::UNAWARE),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "leaked-pin",
        part: 'f',
        title: "a pin that is never dropped blocks writeback",
        problem: "Waiting for pins is safe, but only as live as the slowest driver. One forgotten \
                  unpin_user_page(), and sync never ends. No kernel waits so far; this is what a kernel that does \
                  would ask of every driver.",
        property: "a dirty page can always still be written to the disk",
        stuck: "the page can never be written to the disk",
        base: LEAKED,
        variants: &[
            variant("skip a pinned page (proposed)", HalfFix, &[("fix", "skip")]),
            variant("write a copy of a pinned page (proposed)", Fix, &[("fix", "bounce")]),
            variant("the driver drops its pin some day", Fix, &[("release", "yes")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "leaked-pin-reclaim",
        part: 'f',
        title: "a reference that is never dropped keeps the page for ever",
        problem: "Whatever writeback does, reclaim cannot free a page that somebody holds. That is so for every \
                  reference, a forgotten one of get_page() as well; a pin only adds that it can be seen.",
        property: "the page can always still be reclaimed",
        stuck: "the page can never be reclaimed",
        base: LEAKED,
        variants: &[
            variant("write a copy of a pinned page (proposed)", HalfFix, &[("fix", "bounce")]),
            variant("the driver drops its pin some day", Fix, &[("release", "yes")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::FilePage(Owed::Reclaim),
    },
    Scenario {
        name: "truncate-dax",
        part: 'e',
        title: "a long-term pin on DAX, and the file is truncated",
        problem: "On DAX the page is the storage. When the block goes to another file, the device still writes to \
                  it.",
        property: "a device never writes to a block of another file",
        base: &[("longterm", "allow"), ("release", "yes")],
        variants: &[
            variant("truncation waits until the count is 1 (v5.2: fs/dax.c)", Fix, &[("longterm", "wait")]),
            variant("long-term pins of FS-DAX are refused (-EOPNOTSUPP)", Fix, &[("longterm", "reject")]),
        ],
        stuck: "",
        question: Question::Never(longterm::CORRUPT),
        machine: Machine::LongTerm { dax: true },
    },
    Scenario {
        name: "truncate-dax-wait",
        part: 'e',
        title: "truncation waits for a long-term pin that never goes",
        problem: "RDMA keeps its pins for hours. Waiting for the count to fall is safe, and never ends.",
        property: "the file can always still be truncated",
        stuck: "the file can never be truncated",
        base: &[("longterm", "wait"), ("release", "never")],
        variants: &[
            variant("the driver drops its pin some day", Fix, &[("release", "yes")]),
            variant("long-term pins of FS-DAX are refused (-EOPNOTSUPP)", Fix, &[("longterm", "reject")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::LongTerm { dax: true },
    },
    Scenario {
        name: "truncate-cache",
        part: 'e',
        title: "a long-term pin in the page cache, and a hole is punched into the file",
        problem: "The page leaves the page cache, the process gets a new one, and the device writes to the old: \
                  data that nobody will see. set_page_dirty() only flags a page without a mapping. After a plain \
                  truncation the mapping gives SIGBUS; a hole that was punched, or a file that grows again, gives \
                  a new page.",
        property: "the device writes to the page that the process sees",
        base: &[("longterm", "allow"), ("release", "yes")],
        variants: &[variant(
            "writable long-term pins of such mappings are refused (-EFAULT, v6.5)",
            Fix,
            &[("longterm", "reject")],
        )],
        stuck: "",
        question: Question::Never(longterm::ORPHAN),
        machine: Machine::LongTerm { dax: false },
    },
    Scenario {
        name: "pin-then-put",
        part: 'f',
        title: "a pin is dropped with put_page()",
        problem: "The process has 1 reference at the start. A pin adds 1024, put_page() takes one away: 1023 stay for \
                  ever.",
        property: "a page that everybody let go is freed",
        base: counts!("drop" = "put"),
        variants: &[
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
            variant("a compound page with a pin count: freed, see freed-while-pinned", Note, &[("page", "order2")]),
        ],
        stuck: "",
        question: Question::Never(tracking::NEVER_FREED),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "pinned-for-ever",
        part: 'f',
        title: "after pin and put_page() the page looks pinned, and nobody pins it",
        problem: "The same mistake, seen by writeback: page_maybe_dma_pinned() is true until the machine is switched \
                  off. With a pin count of its own the references balance, but the pin count does not.",
        property: "page_maybe_dma_pinned() is false for a page that nobody pins",
        base: counts!("drop" = "put"),
        variants: &[
            variant("a compound page with a pin count", Same, &[("page", "order2")]),
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
        ],
        stuck: "",
        question: Question::Never(tracking::FALSE_POSITIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "get-then-unpin",
        part: 'f',
        title: "a reference of get_user_pages() is dropped with unpin_user_page()",
        problem: "Others hold 1023 references. The driver takes one more and drops 1024. The count was exactly 1024 at \
                  that moment, so the page is freed under everybody who uses it. If it is smaller, it goes below \
                  zero (see below-zero); if it is larger, 1023 references of others are gone, and the page is freed \
                  too early later.",
        property: "no page is freed while somebody uses it",
        base: counts!("acquire" = "get", "base" = "1023"),
        variants: &[
            variant("dropped with put_page()", Fix, &[("drop", "put")]),
            variant("with 1 reference of others: below zero, see below-zero", Note, &[("base", "1")]),
        ],
        stuck: "",
        question: Question::Never(tracking::PREMATURE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "below-zero",
        part: 'f',
        title: "a wrong unpin takes the count below zero",
        problem: "The same mistake as in get-then-unpin, where only 1 other reference is there: 2 less 1024 is -1022. The \
                  page is not freed now, and no later put_page() brings the count to zero; a new reference is refused.",
        property: "the count of references never falls below zero",
        base: counts!("acquire" = "get"),
        variants: &[
            variant("dropped with put_page()", Fix, &[("drop", "put")]),
            variant(
                "a page with a pin count: the references balance, see lost-protection",
                Note,
                &[("page", "order2")],
            ),
        ],
        stuck: "",
        question: Question::Never(tracking::NEGATIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "freed-while-pinned",
        part: 'f',
        title: "after pin and put_page() a page with a pin count is freed with a pin left",
        problem: "An order-2 folio counts its pins apart. Dropped with put_page(), the references balance and the folio is \
                  freed, but its pin count is still 1.",
        property: "a page that is freed has no pin left",
        base: counts!("drop" = "put", "page" = "order2"),
        variants: &[variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")])],
        stuck: "",
        question: Question::Never(tracking::PIN_LEFT),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "lost-protection",
        part: 'f',
        title: "a wrong unpin takes the protection of somebody else",
        problem: "An order-2 folio has a pin count of its own. There get and unpin leave the references balanced and \
                  the pin count one short: the pin of another user becomes invisible.",
        property: "page_maybe_dma_pinned() is true for a page that somebody pins",
        base: counts!("acquire" = "get", "page" = "order2", "other" = "on"),
        variants: &[variant("dropped with put_page()", Fix, &[("drop", "put")])],
        stuck: "",
        question: Question::Never(tracking::FALSE_NEGATIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "false-positive",
        part: 'f',
        title: "many plain references look like a pin",
        problem: "Of a page without a pin count, page_maybe_dma_pinned() is true from 1024 references on, whoever took \
                  them. Whoever asks must be able to live with a wrong yes: a copy only costs time, but see \
                  false-positive-wait.",
        property: "page_maybe_dma_pinned() is false for a page that nobody pins",
        base: counts!("acquire" = "get", "drop" = "put", "times" = "1023"),
        variants: &[
            variant("order 2 has a pin count", Fix, &[("page", "order2")]),
            variant("order 1 in v5.7: no pin count", HalfFix, &[("page", "order1"), ("kernel", "5.7")]),
            variant("order 1 in v6.1: a pin count", Fix, &[("page", "order1"), ("kernel", "6.1")]),
        ],
        stuck: "",
        question: Question::Never(tracking::FALSE_POSITIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "false-positive-wait",
        part: 'f',
        title: "writeback waits for a pin that nobody has",
        problem: "Others hold 1024 plain references and keep them; nobody pins. A writeback that waits for pins cannot tell, \
                  and waits for as long as they are held.",
        property: "a dirty page can always still be written to the disk",
        stuck: "the page cannot be written to the disk while the references are held",
        base: PLAIN,
        variants: &[
            variant("1022 references, and the page is not taken for pinned", Fix, &[("base", "1022")]),
            variant("write a copy: costs time only (proposed)", Fix, &[("fix", "bounce")]),
            variant("skip it: never written (proposed)", HalfFix, &[("fix", "skip")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "pin-overflow",
        part: 'f',
        title: "the count is full after two million pins",
        problem: "2097152 pins of one page bring the count to the sign bit. The next one is refused, and \
                  page_maybe_dma_pinned() stays true, because it reads the count as unsigned.",
        property: "a pin of a page succeeds",
        base: counts!("times" = "2097152"),
        variants: &[
            variant("after one pin less, the next one still succeeds", Note, &[("times", "2097151")]),
            variant("order 2 counts pins one by one", Fix, &[("page", "order2")]),
        ],
        stuck: "",
        question: Question::Never(tracking::REFUSED),
        machine: Machine::Tracking { asks_more: true },
    },
    Scenario {
        name: "zero-page",
        part: 'f',
        title: "the zero page is pinned and put",
        problem: "Kernels since v6.5, and 6.1.y stable, do not count a pin of the zero page. A put_page() after it takes \
                  away a reference that nobody took, until the zero page is freed.",
        property: "no page is freed while somebody uses it",
        base: counts!("page" = "zero", "drop" = "put"),
        variants: &[
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
            variant("v5.7 counts it: never freed instead", Note, &[("kernel", "5.7")]),
        ],
        stuck: "",
        question: Question::Never(tracking::PREMATURE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "fork-write",
        part: 'g',
        title: "fork(), a private anonymous page, and a device that writes",
        problem: "After fork() the page is shared. The parent writes first and gets a new page by copy on write; \
                  the device writes to the old one.",
        property: "the device and the parent look at the same page",
        base: &[("access", "write"), ("track", "on"), ("copy-at-fork", "off"), ("unshare", "off")],
        variants: &[
            variant("fork() copies a pinned page for the child (v6.1, v6.12)", Fix, &[("copy-at-fork", "on")]),
            variant("the same, but pins are not tracked", HalfFix, &[("copy-at-fork", "on"), ("track", "off")]),
        ],
        stuck: "",
        question: Question::Never(fork::SPLIT),
        machine: Machine::Fork,
    },
    Scenario {
        name: "fork-read",
        part: 'g',
        title: "fork(), a private anonymous page, and a device that reads",
        problem: "A read pin needs no write fault, so it takes the shared page. When the parent writes, it gets a \
                  new page, and the device reads what was there before.",
        property: "the device and the parent look at the same page",
        base: &[("access", "read"), ("track", "on"), ("copy-at-fork", "on"), ("unshare", "off")],
        variants: &[
            variant("a read pin unshares it first (FAULT_FLAG_UNSHARE; v6.1, v6.12)", Fix, &[("unshare", "on")]),
            variant("only that, without the copy at fork()", HalfFix, &[("unshare", "on"), ("copy-at-fork", "off")]),
        ],
        stuck: "",
        question: Question::Never(fork::SPLIT),
        machine: Machine::Fork,
    },
];
