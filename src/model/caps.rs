//! In what the kernels differ, as far as page references are concerned.

/// Which pages of the huge zero folio `release_pages()` skips.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HugeZeroSkip {
    /// Only the head: the entry itself is compared (v5.2.1, v5.4 mm/swap.c).
    HeadOnly,
    /// Every page of it: the folio is compared (v6.1 mm/swap.c, v6.12 `folios_put_refs()`).
    WholeFolio,
}

/// What a tree's functions do. A constructor per generation that was read; the fields are the switches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Capabilities {
    /// For messages only.
    pub name: &'static str,
    /// A grab fails on a count of zero or less (v5.2.1 mm.h `try_get_page()`; v4.19 has no check).
    pub grab_checks_ref: bool,
    /// `put_user_page*()` exist (v5.2.1 to v5.4).
    pub put_user: bool,
    /// `put_user_pages_dirty()` exists: only v5.2 and v5.3.
    pub put_user_pages_dirty: bool,
    /// Number of parameters of `*_user_pages_dirty_lock()`: 2 in v5.2 and v5.3, then 3.
    pub dirty_lock_arity: u8,
    /// Pins are told from other references: `GUP_PIN_COUNTING_BIAS`, `unpin_user_page*()` (v5.7).
    pub tracked: bool,
    /// `GUP_PIN_COUNTING_BIAS`: what a pin adds to the count of a folio that has no pin count of its own.
    pub bias: i32,
    /// Smallest folio order with a pin count of its own: 2 in v5.7 (`hpage_pincount_available()`), 1 since v6.1.
    pub pincount_min_order: Option<u8>,
    /// A pin of the zero page does nothing (v6.12, v6.1.y; v5.7 and v5.10 count it).
    pub zero_pin_noop: bool,
    /// `unpin_user_pages()` skips a NULL at the start of a run (v6.12 mm/gup.c). Inside a run NULL is always an oops.
    pub null_skip_at_run_start: bool,
    /// `unpin_user_pages()` warns and returns on a count that is an error value (since v5.10).
    pub err_guard: bool,
    /// Consecutive entries of one folio are released in one go (since v6.1, `gup_folio_next()`).
    pub run_grouping: bool,
    /// `unpin_user_page_range_dirty_lock()` exists (v6.1).
    pub range_release: bool,
    /// `unpin_folio()`, `unpin_folios()`, `unpin_user_folio()`, `folio_add_pin()` exist (v6.12).
    pub folio_release: bool,
    /// The `RELEASED` counter is raised before the counts fall (v6.1 `gup_put_folio()`), not after (v5.7).
    pub stat_before_put: bool,
    /// `set_page_dirty()` sets the flag of a DAX page (v6.1 `noop_dirty_folio()`; v5.2.1 `noop_set_page_dirty()` not).
    pub dax_dirty_effect: bool,
    /// What `release_pages()` skips.
    pub huge_zero_skip: HugeZeroSkip,
    /// `release_pages()` misses the idle wake-up of an FS-DAX page (v5.2.1: device-public pages only; fixed in v5.3).
    pub release_pages_misses_devmap: bool,
    /// How many entries `release_pages()` looks at before it drops the first: 31 in v6.12 (`PAGEVEC_SIZE`), else 1.
    pub release_batch: u8,
    /// An FS-DAX page whose count falls to 0 is freed (to v5.7 `__put_page()`); later nothing happens at 0.
    pub devmap_zero_frees: bool,
    /// A successful `pin_user_pages()` can leave an entry unwritten, over a pfn mapping (v5.7 `follow_pfn_pte()`).
    pub pin_leaves_holes: bool,
    /// `get_user_pages()` with `FOLL_LONGTERM` works (v5.2 to v5.7); later it warns and fails.
    pub get_longterm: bool,
    /// A writable long-term pin of a file page that needs dirty tracking fails with `-EFAULT` (v6.12 mm/gup.c).
    pub longterm_refuses_file_write: bool,
    /// `get_user_pages_fast()` with a negative number of pages is `-EOVERFLOW` (v6.12), not 0.
    pub fast_negative_overflows: bool,
}

impl Capabilities {
    /// v5.2.1, v5.3.1: placeholders over `put_page()`, `put_user_pages_dirty_lock(pages, n)`.
    pub const fn placeholder_2arg() -> Capabilities {
        Capabilities {
            name: "placeholder, 2 arguments",
            grab_checks_ref: true,
            put_user: true,
            put_user_pages_dirty: true,
            dirty_lock_arity: 2,
            tracked: false,
            bias: 1024,
            pincount_min_order: None,
            zero_pin_noop: false,
            null_skip_at_run_start: false,
            err_guard: false,
            run_grouping: false,
            range_release: false,
            folio_release: false,
            stat_before_put: false,
            dax_dirty_effect: false,
            huge_zero_skip: HugeZeroSkip::HeadOnly,
            release_pages_misses_devmap: true,
            release_batch: 1,
            devmap_zero_frees: true,
            pin_leaves_holes: false,
            get_longterm: true,
            longterm_refuses_file_write: false,
            fast_negative_overflows: false,
        }
    }

    /// v5.4.18: placeholders over `put_page()`, `put_user_pages_dirty_lock(pages, n, make_dirty)`.
    pub const fn placeholder_3arg() -> Capabilities {
        Capabilities {
            name: "placeholder, 3 arguments",
            put_user_pages_dirty: false,
            dirty_lock_arity: 3,
            release_pages_misses_devmap: false,
            ..Capabilities::placeholder_2arg()
        }
    }

    /// v5.7.14: tracked pins, pin count from order 2, no guards.
    pub const fn tracked_5_7() -> Capabilities {
        Capabilities {
            name: "tracked pins",
            put_user: false,
            tracked: true,
            pincount_min_order: Some(2),
            pin_leaves_holes: true,
            ..Capabilities::placeholder_3arg()
        }
    }

    /// v5.10.223: as v5.7, and `unpin_user_pages()` refuses an error value as count.
    pub const fn tracked_5_10() -> Capabilities {
        Capabilities {
            name: "tracked pins, guarded count",
            err_guard: true,
            get_longterm: false,
            ..Capabilities::tracked_5_7()
        }
    }

    /// v6.1.192: folios, pin count from order 1, runs, no pin of the zero page.
    pub const fn pincount_6_1() -> Capabilities {
        Capabilities {
            name: "pin counts on folios",
            pincount_min_order: Some(1),
            zero_pin_noop: true,
            run_grouping: true,
            range_release: true,
            stat_before_put: true,
            dax_dirty_effect: true,
            huge_zero_skip: HugeZeroSkip::WholeFolio,
            devmap_zero_frees: false,
            pin_leaves_holes: false,
            ..Capabilities::tracked_5_10()
        }
    }

    /// v6.12.117: as v6.1, NULL skipped at the start of a run, folio calls, long-term file writes refused.
    pub const fn pincount_6_12() -> Capabilities {
        Capabilities {
            name: "pin counts on folios, NULL skipped",
            null_skip_at_run_start: true,
            folio_release: true,
            release_batch: 31,
            longterm_refuses_file_write: true,
            fast_negative_overflows: true,
            ..Capabilities::pincount_6_1()
        }
    }

    /// Every generation, oldest first.
    pub const ALL: [Capabilities; 6] = [
        Capabilities::placeholder_2arg(),
        Capabilities::placeholder_3arg(),
        Capabilities::tracked_5_7(),
        Capabilities::tracked_5_10(),
        Capabilities::pincount_6_1(),
        Capabilities::pincount_6_12(),
    ];

    /// Whether a folio of this order (0, 1, 2, …) has a pin count of its own.
    pub fn use_pincount(&self, order: u8) -> bool {
        self.tracked && self.pincount_min_order.is_some_and(|min| order >= min)
    }
}
