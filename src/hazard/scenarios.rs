//! The scenarios as data: what is asked, from which settings, with which fixes and half fixes.

use super::explore::{Answer, Question, explore};
use super::file_page::{self, FilePage, Owed};
use super::fork::{self, Fork};
use super::knobs::Settings;
use super::longterm::{self, LongTerm};
use super::tracking::{self, Tracking};

/// What a variant is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Closes the race.
    Fix,
    /// Looks like a fix, but does not close it.
    HalfFix,
    /// The same hazard from another side.
    Same,
    /// Neither: another setting that is worth seeing.
    Note,
}

/// Other settings of a scenario.
pub struct Variant {
    /// What it is, in a few words.
    pub title: &'static str,
    /// What for.
    pub role: Role,
    /// Settings that differ from those of the scenario.
    pub set: &'static [(&'static str, &'static str)],
}

/// The transition system behind a scenario.
#[derive(Clone, Copy)]
enum Machine {
    FilePage(Owed),
    LongTerm { dax: bool },
    Tracking { asks_more: bool },
    Fork,
}

/// A scenario.
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// The part of the hazards document it belongs to, `a` to `g`.
    pub part: char,
    /// One line.
    pub title: &'static str,
    /// What goes wrong, and where it was seen.
    pub problem: &'static str,
    /// The property that must hold, as a sentence.
    pub property: &'static str,
    /// Every knob, with the value that shows the problem.
    pub base: &'static [(&'static str, &'static str)],
    /// Fixes and half fixes.
    pub variants: &'static [Variant],
    /// What is asked of the system.
    pub question: Question,
    machine: Machine,
}

impl Scenario {
    /// The settings that show the problem.
    pub fn settings(&self) -> Settings {
        Settings::new(self.base)
    }

    /// Explores it.
    pub fn answer(&self, set: &Settings, bound: usize) -> Answer {
        match self.machine {
            Machine::FilePage(owed) => explore(&FilePage::new(set, owed), self.question, bound),
            Machine::LongTerm { dax } => explore(&LongTerm::new(set, dax), self.question, bound),
            Machine::Tracking { asks_more } => explore(&Tracking::new(set, asks_more), self.question, bound),
            Machine::Fork => explore(&Fork::new(set), self.question, bound),
        }
    }
}

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
            variant("pins are tracked, but nobody asks", HalfFix, TRACK),
            variant("write a copy of a pinned page", Fix, BOUNCE),
            variant("write a copy, without making the page dirty again", Fix, BOUNCE_ALONE),
            variant("wait until the pin is gone", Fix, WAIT),
            variant("skip a pinned page", Fix, SKIP),
            variant("an MMU notifier stops the device (no tracking)", Fix, REVOKE),
            variant("write a copy, but pins are not tracked", HalfFix, &[("fix", "bounce")]),
            variant(
                "look for pins before write-protecting",
                HalfFix,
                &[("track", "on"), ("fix", "bounce"), ("check", "before")],
            ),
            variant(
                "wait for pins before write-protecting",
                HalfFix,
                &[("track", "on"), ("fix", "wait"), ("check", "before")],
            ),
            variant(
                "GUP does not read the PTE again",
                HalfFix,
                &[("track", "on"), ("fix", "bounce"), ("recheck", "off")],
            ),
        ],
        question: Question::Never(file_page::UNSTABLE),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "no-buffers",
        part: 'b',
        title: "a dirty page without buffers: BUG_ON() in the file system",
        problem: "Writeback cleans the page, reclaim drops its buffers, and then the driver makes it dirty without \
                  a word to the file system. The next writeback finds a dirty page without buffers.",
        property: "writeback never finds a dirty page without buffers",
        base: file_knobs!("clean", "on"),
        variants: &[
            variant("the driver uses set_page_dirty_lock()", HalfFix, &[("dirty-lock", "on")]),
            variant("pins are tracked, but nobody asks", HalfFix, TRACK),
            variant("reclaim leaves pinned pages alone", Fix, &[("track", "on"), ("reclaim-pin", "on")]),
            variant(
                "the same, while the machine has too many buffers",
                HalfFix,
                &[("track", "on"), ("reclaim-pin", "on"), ("bh-over-limit", "on")],
            ),
            variant("a tolerant file system (but see lost-data)", Fix, &[("fs", "tolerant")]),
            variant("write a copy and make the page dirty again", Fix, BOUNCE),
            variant("write a copy only", HalfFix, BOUNCE_ALONE),
            variant("wait until the pin is gone", Fix, WAIT),
            variant("skip a pinned page", Fix, SKIP),
            variant(
                "copy, dirty again, and too many buffers",
                Fix,
                &[("track", "on"), ("fix", "bounce"), ("bh-over-limit", "on")],
            ),
        ],
        question: Question::Never(file_page::BUG),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "lost-data",
        part: 'b',
        title: "the file system tolerates a page without buffers, and drops the data",
        problem: "The BUG_ON() was replaced by a warning. The page is not written: what the device put there is \
                  gone, and no error is reported.",
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
            variant("reclaim leaves pinned pages alone", Fix, &[("track", "on"), ("reclaim-pin", "on")]),
            variant(
                "the same, while the machine has too many buffers",
                HalfFix,
                &[("track", "on"), ("reclaim-pin", "on"), ("bh-over-limit", "on")],
            ),
            variant("write a copy and make the page dirty again", Fix, BOUNCE),
            variant("write a copy only", HalfFix, BOUNCE_ALONE),
        ],
        question: Question::Never(file_page::LOST),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "direct-io",
        part: 'c',
        title: "GUP returns a page that is under writeback",
        problem: "Where the device needs no stable pages, a write fault during writeback makes the PTE writable \
                  again, and get_user_pages_fast() hands the page out. Refusing such pages closes this hole, and \
                  only this one.",
        property: "GUP returns no page that is under writeback",
        base: file_knobs!("mapped", "off"),
        variants: &[
            variant("GUP refuses pages under writeback", Fix, &[("gup-refuses-wb", "on")]),
            variant("write faults wait for writeback", Fix, &[("stable", "on")]),
            variant("pins are tracked, but nobody asks", HalfFix, TRACK),
        ],
        question: Question::Never(file_page::GUP_WB),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "direct-io-early-pin",
        part: 'c',
        title: "GUP refuses pages under writeback, but the pin was there before",
        problem: "Refusing pages under writeback does not help against a pin that was taken just before the page \
                  was write-protected. Both halves are needed: the refusal, and a writeback that looks for pins.",
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
            variant("and writeback writes a copy of a pinned page", Fix, BOUNCE),
            variant("and writeback waits for the pin", Fix, WAIT),
            variant(
                "writeback writes a copy, but GUP refuses nothing",
                HalfFix,
                &[("gup-refuses-wb", "off"), ("track", "on"), ("fix", "bounce")],
            ),
        ],
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
        property: "a device writes only to pages of which the file system knows that they are written",
        base: file_knobs!("mapped", "on"),
        variants: &[
            variant("the page starts clean", Same, &[("start", "clean")]),
            variant("write a copy only", HalfFix, BOUNCE_ALONE),
            variant("write a copy and make the page dirty again", Fix, BOUNCE),
            variant("wait until the pin is gone", Fix, WAIT),
            variant("skip a pinned page", Fix, SKIP),
            variant("an MMU notifier stops the device (no tracking)", Fix, REVOKE),
            variant("the driver uses set_page_dirty_lock()", HalfFix, &[("dirty-lock", "on")]),
        ],
        question: Question::Never(file_page::UNAWARE),
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "leaked-pin",
        part: 'f',
        title: "a pin that is never dropped blocks writeback",
        problem: "Waiting for pins is safe, but only as live as the slowest driver. One forgotten \
                  unpin_user_page(), and sync never ends.",
        property: "a dirty page can always still be written to the disk",
        base: LEAKED,
        variants: &[
            variant("skip a pinned page", HalfFix, &[("fix", "skip")]),
            variant("write a copy of a pinned page", Fix, &[("fix", "bounce")]),
            variant("the driver drops its pin some day", Fix, &[("release", "yes")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::FilePage(Owed::Writeback),
    },
    Scenario {
        name: "leaked-pin-reclaim",
        part: 'f',
        title: "a pin that is never dropped keeps the page for ever",
        problem: "Whatever writeback does, reclaim cannot free a page that somebody holds.",
        property: "the page can always still be reclaimed",
        base: LEAKED,
        variants: &[
            variant("write a copy of a pinned page", HalfFix, &[("fix", "bounce")]),
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
            variant("truncation waits until the count is 1", Fix, &[("longterm", "wait")]),
            variant("long-term pins are refused (-EOPNOTSUPP)", Fix, &[("longterm", "reject")]),
        ],
        question: Question::Never(longterm::CORRUPT),
        machine: Machine::LongTerm { dax: true },
    },
    Scenario {
        name: "truncate-dax-wait",
        part: 'e',
        title: "truncation waits for a long-term pin that never goes",
        problem: "RDMA keeps its pins for hours. Waiting for the count to fall is safe, and never ends.",
        property: "the file can always still be truncated",
        base: &[("longterm", "wait"), ("release", "never")],
        variants: &[
            variant("the driver drops its pin some day", Fix, &[("release", "yes")]),
            variant("long-term pins are refused (-EOPNOTSUPP)", Fix, &[("longterm", "reject")]),
        ],
        question: Question::CanAlwaysPay,
        machine: Machine::LongTerm { dax: true },
    },
    Scenario {
        name: "truncate-cache",
        part: 'e',
        title: "a long-term pin in the page cache, and the file is truncated",
        problem: "The page leaves the page cache, the process gets a new one, and the device writes to the old: \
                  data that nobody will see. set_page_dirty() only flags a page without a mapping.",
        property: "the device writes to the page that the process sees",
        base: &[("longterm", "allow"), ("release", "yes")],
        variants: &[variant(
            "long-term writes to file pages are refused (-EFAULT, v6.12)",
            Fix,
            &[("longterm", "reject")],
        )],
        question: Question::Never(longterm::ORPHAN),
        machine: Machine::LongTerm { dax: false },
    },
    Scenario {
        name: "pin-then-put",
        part: 'f',
        title: "a pin is dropped with put_page()",
        problem: "A pin adds 1024 references, put_page() takes one away: 1023 stay for ever.",
        property: "a page that everybody let go is freed",
        base: counts!("drop" = "put"),
        variants: &[
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
            variant("a compound page with a pin count: freed, but with a pin left", Note, &[("page", "order2")]),
        ],
        question: Question::Never(tracking::NEVER_FREED),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "pinned-for-ever",
        part: 'f',
        title: "after pin and put_page() the page says pinned, and nobody pins it",
        problem: "The same mistake, seen by writeback: the page looks pinned until the machine is switched off. \
                  With a pin count of its own the references balance, but the pin count does not.",
        property: "a page that nobody pins does not say that it is pinned",
        base: counts!("drop" = "put"),
        variants: &[
            variant("a compound page with a pin count", Same, &[("page", "order2")]),
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
        ],
        question: Question::Never(tracking::FALSE_POSITIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "get-then-unpin",
        part: 'f',
        title: "a reference of get_user_pages() is dropped with unpin_user_page()",
        problem: "One reference was taken, 1024 are dropped. If the count is exactly 1024 at that moment, the page \
                  is freed under everybody who uses it; otherwise the count goes below zero.",
        property: "no page is freed while somebody uses it",
        base: counts!("acquire" = "get", "base" = "1023"),
        variants: &[
            variant("dropped with put_page()", Fix, &[("drop", "put")]),
            variant("other count: not freed at once, but below zero", Note, &[("base", "1")]),
        ],
        question: Question::Never(tracking::PREMATURE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "lost-protection",
        part: 'f',
        title: "a wrong unpin takes the protection of somebody else",
        problem: "On a page with a pin count, get and unpin leave the references balanced and the pin count one \
                  short: the pin of another user becomes invisible.",
        property: "a page that somebody pins says that it is pinned",
        base: counts!("acquire" = "get", "page" = "order2", "other" = "on"),
        variants: &[variant("dropped with put_page()", Fix, &[("drop", "put")])],
        question: Question::Never(tracking::FALSE_NEGATIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "false-positive",
        part: 'f',
        title: "many plain references look like a pin",
        problem: "A page without a pin count says pinned from 1024 references on, whoever took them. Whoever asks \
                  must be able to live with a wrong yes: a copy only costs time, waiting may stall.",
        property: "a page that nobody pins does not say that it is pinned",
        base: counts!("acquire" = "get", "drop" = "put", "times" = "1023"),
        variants: &[
            variant("a compound page of 4 has a pin count", Fix, &[("page", "order2")]),
            variant("a compound page of 2, v5.7: no pin count", HalfFix, &[("page", "order1"), ("kernel", "5.7")]),
            variant("a compound page of 2, v6.1", Fix, &[("page", "order1"), ("kernel", "6.1")]),
        ],
        question: Question::Never(tracking::FALSE_POSITIVE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "pin-overflow",
        part: 'f',
        title: "the count is full after two million pins",
        problem: "2097152 pins of one page bring the count to the sign bit. The next one is refused, and the page \
                  still says pinned, because the question reads the count as unsigned.",
        property: "no reference is refused",
        base: counts!("times" = "2097152"),
        variants: &[variant("a compound page counts one by one", Fix, &[("page", "order2")])],
        question: Question::Never(tracking::REFUSED),
        machine: Machine::Tracking { asks_more: true },
    },
    Scenario {
        name: "zero-page",
        part: 'f',
        title: "the zero page is pinned and put",
        problem: "Newer kernels do not count a pin of the zero page. A put_page() after it takes away a reference \
                  that nobody took, until the zero page is freed.",
        property: "no page is freed while somebody uses it",
        base: counts!("page" = "zero", "drop" = "put"),
        variants: &[
            variant("dropped with unpin_user_page()", Fix, &[("drop", "unpin")]),
            variant("v5.7 counts it: never freed instead", Note, &[("kernel", "5.7")]),
        ],
        question: Question::Never(tracking::PREMATURE),
        machine: Machine::Tracking { asks_more: false },
    },
    Scenario {
        name: "fork-write",
        part: 'g',
        title: "fork() and a device that writes",
        problem: "After fork() the page is shared. The parent writes first and gets a new page by copy on write; \
                  the device writes to the old one.",
        property: "the device and the parent look at the same page",
        base: &[("access", "write"), ("track", "on"), ("copy-at-fork", "off"), ("unshare", "off")],
        variants: &[
            variant("fork() copies a pinned page for the child", Fix, &[("copy-at-fork", "on")]),
            variant("the same, but pins are not tracked", HalfFix, &[("copy-at-fork", "on"), ("track", "off")]),
        ],
        question: Question::Never(fork::SPLIT),
        machine: Machine::Fork,
    },
    Scenario {
        name: "fork-read",
        part: 'g',
        title: "fork() and a device that reads",
        problem: "A read pin needs no write fault, so it takes the shared page. When the parent writes, it gets a \
                  new page, and the device reads what was there before.",
        property: "the device and the parent look at the same page",
        base: &[("access", "read"), ("track", "on"), ("copy-at-fork", "on"), ("unshare", "off")],
        variants: &[
            variant("a read pin of a shared page copies it first", Fix, &[("unshare", "on")]),
            variant("only that, without the copy at fork()", HalfFix, &[("unshare", "on"), ("copy-at-fork", "off")]),
        ],
        question: Question::Never(fork::SPLIT),
        machine: Machine::Fork,
    },
];
