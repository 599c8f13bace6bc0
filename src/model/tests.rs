//! The conformance table of the kernel's own self-tests (gup_test, gup_benchmark, gup_longterm), and the table of bad
//! arguments. Expectations are those of the specification, not taken from a run of this code.

use super::*;

const BASE: i32 = 3;

fn tracked() -> [Capabilities; 4] {
    [
        Capabilities::tracked_5_7(),
        Capabilities::tracked_5_10(),
        Capabilities::pincount_6_1(),
        Capabilities::pincount_6_12(),
    ]
}

fn placeholders() -> [Capabilities; 2] {
    [Capabilities::placeholder_2arg(), Capabilities::placeholder_3arg()]
}

/// A memory with one folio of `nr` pages, and pointers to its pages.
fn one(caps: Capabilities, kind: Kind, nr: u8) -> (Memory, FolioId, Vec<Ptr>) {
    let mut memory = Memory::new(caps);
    let id = memory.add(kind.folio(nr, BASE));
    let pages = (0..nr).map(|i| Ptr::Page(id.page(i))).collect();
    (memory, id, pages)
}

fn grab_all(memory: &mut Memory, pages: &[Ptr], how: Grab) {
    for &ptr in pages {
        let page = memory.follow(ptr).expect("a page");
        assert_eq!(memory.grab(page, 1, how, Path::Slow), Ok(true));
    }
}

fn warned(memory: &Memory, warning: Warning) -> bool {
    memory.log.contains(&Event::Warn(warning))
}

fn locks(memory: &Memory) -> usize {
    memory.log.iter().filter(|e| matches!(e, Event::Lock(_))).count()
}

#[test]
fn gup_basic_is_balanced_by_put_page() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        grab_all(&mut m, &pages, Grab::Get);
        assert_eq!(m.folio(id).refs, BASE + 1, "{}", caps.name);
        assert_eq!(m.put_page(pages[0]), Ok(()));
        assert_eq!((m.folio(id).refs, m.stat), (BASE, Stat::default()), "{}", caps.name);
    }
}

#[test]
fn gup_of_a_compound_page_counts_every_page_on_the_head() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::Anon, 4);
        assert_eq!(m.grab(id.page(0), 4, Grab::Get, Path::Fast), Ok(true));
        assert_eq!(m.folio(id).refs, BASE + 4);
        for &p in &pages {
            assert_eq!(m.put_page(p), Ok(()));
        }
        assert_eq!(m.folio(id).refs, BASE);
    }
}

#[test]
fn pin_is_balanced_by_unpin_and_shows_while_it_lasts() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        assert!(!m.maybe_dma_pinned(id));
        grab_all(&mut m, &pages, Grab::Pin);
        assert_eq!((m.folio(id).refs, m.maybe_dma_pinned(id)), (BASE + 1024, true), "{}", caps.name);
        assert_eq!(m.unpin_user_pages(&pages, 1), Ok(()));
        assert_eq!((m.folio(id).refs, m.maybe_dma_pinned(id)), (BASE, false));
        assert_eq!(m.stat, Stat { acquired: 1, released: 1 });
    }
}

#[test]
fn pins_of_compound_pages_by_order() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Anon, 4);
        grab_all(&mut m, &pages, Grab::Pin);
        assert_eq!((m.folio(id).refs, m.folio(id).pinc), (BASE + 4, 4));
        for &p in &pages {
            assert_eq!(m.unpin_user_page(p), Ok(()));
        }
        assert_eq!((m.folio(id).refs, m.folio(id).pinc), (BASE, 0));
        assert_eq!(m.stat, Stat { acquired: 4, released: 4 });

        let (mut m, id, pages) = one(caps, Kind::Anon, 2);
        grab_all(&mut m, &pages, Grab::Pin);
        let order1_has_count = caps.pincount_min_order == Some(1);
        let expect = if order1_has_count { (BASE + 2, 2) } else { (BASE + 2048, 0) };
        assert_eq!((m.folio(id).refs, m.folio(id).pinc), expect, "{}", caps.name);
    }
}

#[test]
fn a_page_pinned_twice_stays_pinned_after_one_unpin() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        let dup = [pages[0], pages[0]];
        grab_all(&mut m, &dup, Grab::Pin);
        assert_eq!(m.folio(id).refs, BASE + 2048);
        assert_eq!(m.unpin_user_page(pages[0]), Ok(()));
        assert!(m.maybe_dma_pinned(id));
    }
}

#[test]
fn the_zero_page_is_pinned_or_not_by_tree() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Zero, 1);
        grab_all(&mut m, &pages, Grab::Pin);
        let noop = caps.zero_pin_noop;
        assert_eq!(m.folio(id).refs, if noop { BASE } else { BASE + 1024 }, "{}", caps.name);
        assert_eq!(m.maybe_dma_pinned(id), !noop);
        assert_eq!(m.stat.acquired, i64::from(!noop));
        assert_eq!(m.unpin_user_pages(&pages, 1), Ok(()));
        assert_eq!((m.folio(id).refs, m.stat.released), (BASE, i64::from(!noop)));
    }
}

#[test]
fn a_get_does_not_hide_a_pin() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        grab_all(&mut m, &pages, Grab::Pin);
        grab_all(&mut m, &pages, Grab::Get);
        assert_eq!(m.put_page(pages[0]), Ok(()));
        assert!(m.maybe_dma_pinned(id));
        assert_eq!(m.unpin_user_page(pages[0]), Ok(()));
        assert!(!m.maybe_dma_pinned(id));
    }
}

#[test]
fn a_partial_pin_leaves_the_rest_of_the_array_alone() {
    for caps in tracked() {
        let mut m = Memory::new(caps);
        let ids = [m.add(Kind::Anon.order0(BASE)), m.add(Kind::Anon.order0(BASE))];
        let range = [
            Mapped::Page { page: ids[0].page(0), shared: false },
            Mapped::Page { page: ids[1].page(0), shared: false },
            Mapped::Nothing,
        ];
        let mut pages = [Ptr::Poison; 3];
        let ret = m.gup(Family::Pin, GupFlags::default(), &range, &mut pages);
        assert_eq!((ret, pages[2]), (Ok(2), Ptr::Poison));
        assert_eq!(m.unpin_user_pages(&pages, 2), Ok(()));
        assert_eq!((m.folio(ids[0]).refs, m.folio(ids[1]).refs), (BASE, BASE));
        // An error with nothing pinned is returned as such.
        assert_eq!(m.gup(Family::Pin, GupFlags::default(), &[Mapped::Nothing], &mut pages), Ok(-EFAULT));
    }
}

#[test]
fn a_pfn_mapping_leaves_a_hole_in_a_successful_pin_of_5_7() {
    for caps in tracked() {
        let mut m = Memory::new(caps);
        let mut pages = [Ptr::Poison];
        let ret = m.gup(Family::Pin, GupFlags::default(), &[Mapped::PfnOnly], &mut pages);
        assert_eq!(ret, Ok(if caps.pin_leaves_holes { 1 } else { -EFAULT }), "{}", caps.name);
        assert_eq!(pages[0], Ptr::Poison);
        assert_eq!(m.gup(Family::Get, GupFlags::default(), &[Mapped::PfnOnly], &mut pages), Ok(-EFAULT));
    }
}

#[test]
fn dirty_lock_locks_clean_pages_only() {
    for caps in tracked() {
        for dirty in [false, true] {
            let (mut m, id, pages) = one(caps, Kind::FileBuffer, 1);
            m.folios[0].dirty = dirty;
            m.folios[0].tagged = dirty;
            grab_all(&mut m, &pages, Grab::Pin);
            assert_eq!(m.unpin_user_pages_dirty_lock(&pages, 1, true), Ok(()));
            assert!(m.folio(id).dirty && m.folio(id).tagged);
            assert_eq!((locks(&m), m.log.contains(&Event::MightSleep)), (usize::from(!dirty), !dirty));
            assert!(!warned(&m, Warning::DirtyUnlocked(id)));
        }
    }
}

#[test]
fn runs_change_nothing_but_the_steps() {
    for caps in tracked() {
        for order in [[0, 0, 1], [0, 1, 0]] {
            let mut m = Memory::new(caps);
            let ids = [m.add(Kind::FileBuffer.order0(BASE)), m.add(Kind::FileBuffer.order0(BASE))];
            let pages: Vec<Ptr> = order.iter().map(|&i: &usize| Ptr::Page(ids[i].page(0))).collect();
            grab_all(&mut m, &pages, Grab::Pin);
            m.log.clear();
            // A count that falls to the pin's share of itself shows the steps: freed exactly at the last one.
            assert_eq!(m.unpin_user_pages_dirty_lock(&pages, 3, true), Ok(()));
            assert_eq!((m.folio(ids[0]).refs, m.folio(ids[1]).refs), (BASE, BASE));
            assert_eq!(locks(&m), 2);
            let second_unlock = m.log.iter().rposition(|e| matches!(e, Event::Unlock(_))).expect("two dirtied");
            let before = m.log[..second_unlock].iter().filter(|e| matches!(e, Event::Release { .. })).count();
            assert_eq!(before, if order == [0, 0, 1] { 2 } else { 1 });
        }
    }
}

#[test]
fn a_run_reads_the_entry_behind_it_before_it_is_dropped() {
    for caps in tracked() {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        grab_all(&mut m, &pages, Grab::Pin);
        let fault = m.unpin_user_pages(&[pages[0], Ptr::Null], 2);
        assert_eq!(fault, Err(Fault::Oops(Pointer::Null)), "{}", caps.name);
        assert_eq!(m.folio(id).refs, if caps.run_grouping { BASE + 1024 } else { BASE });
    }
}

#[test]
fn long_term_pins() {
    let flags = |write| GupFlags { write, longterm: true, ..GupFlags::default() };
    for caps in tracked() {
        let mut m = Memory::new(caps);
        let file = m.add(Kind::FileBuffer.order0(BASE)).page(0);
        let hugetlb = m.add(Kind::Hugetlb.folio(2, BASE)).page(0);
        let dax = m.add(Kind::FileDax.order0(BASE)).page(0);
        let mut pages = [Ptr::Poison];
        let mut pin =
            |page, shared, write| m.gup(Family::Pin, flags(write), &[Mapped::Page { page, shared }], &mut pages);
        let refused = if caps.longterm_refuses_file_write { -EFAULT } else { 1 };
        assert_eq!(pin(file, true, true), Ok(refused), "{}", caps.name);
        assert_eq!(pin(file, true, false), Ok(1));
        assert_eq!(pin(file, false, true), Ok(1));
        assert_eq!(pin(hugetlb, true, true), Ok(1));
        assert_eq!(pin(dax, true, true), Ok(-EOPNOTSUPP));
    }
}

#[test]
fn refused_flags_change_nothing() {
    for caps in Capabilities::ALL {
        let (mut m, id, mut pages) = one(caps, Kind::Anon, 1);
        let range = [Mapped::Page { page: id.page(0), shared: false }];
        if caps.tracked {
            let pin = GupFlags { pin: true, ..GupFlags::default() };
            assert_eq!(m.gup(Family::Get, pin, &range, &mut pages), Ok(-EINVAL));
            let get = GupFlags { get: true, ..GupFlags::default() };
            assert_eq!(m.gup(Family::Pin, get, &range, &mut pages), Ok(-EINVAL));
            assert_eq!(m.folio(id).refs, BASE);
            assert!(warned(&m, Warning::BadFlags));
        }
        let longterm = GupFlags { longterm: true, ..GupFlags::default() };
        let expect = if caps.get_longterm { 1 } else { -EINVAL };
        assert_eq!(m.gup(Family::Get, longterm, &range, &mut pages), Ok(expect), "{}", caps.name);
    }
}

/// A release call over an array with a count.
type Release = fn(&mut Memory, &[Ptr], u64) -> Result<(), Fault>;

/// Column of the table of bad arguments: name, dialects, call, kind of its references.
fn columns() -> Vec<(&'static str, Vec<Capabilities>, Release, Grab)> {
    vec![
        ("put_user_pages", placeholders().to_vec(), |m, p, n| m.put_user_pages(p, n), Grab::Get),
        (
            "put_user_pages_dirty_lock",
            placeholders().to_vec(),
            |m, p, n| {
                let three = m.caps().dirty_lock_arity == 3;
                m.put_user_pages_dirty_lock(p, n, three.then_some(true))
            },
            Grab::Get,
        ),
        ("unpin_user_pages", tracked().to_vec(), |m, p, n| m.unpin_user_pages(p, n), Grab::Pin),
        (
            "unpin_user_pages_dirty_lock(true)",
            tracked().to_vec(),
            |m, p, n| m.unpin_user_pages_dirty_lock(p, n, true),
            Grab::Pin,
        ),
        (
            "unpin_user_pages_dirty_lock(false)",
            tracked().to_vec(),
            |m, p, n| m.unpin_user_pages_dirty_lock(p, n, false),
            Grab::Pin,
        ),
    ]
}

#[test]
fn bad_arguments() {
    const NULL: Result<(), Fault> = Err(Fault::Oops(Pointer::Null));
    const END: Result<(), Fault> = Err(Fault::Oops(Pointer::PastEnd));
    for (name, dialects, call, how) in columns() {
        let plain_unpin = name == "unpin_user_pages" || name.ends_with("(false)");
        for caps in dialects {
            let what = format!("{name}, {}", caps.name);
            let run = |entries: &dyn Fn(Ptr) -> Vec<Ptr>, n: u64| {
                let (mut m, _, pages) = one(caps, Kind::Anon, 1);
                grab_all(&mut m, &pages, how);
                m.log.clear();
                let result = call(&mut m, &entries(pages[0]), n);
                (result, m)
            };
            let skips_null = plain_unpin && caps.null_skip_at_run_start;
            let (result, m) = run(&|p| vec![Ptr::Null, p], 2);
            assert_eq!(result, if skips_null { Ok(()) } else { NULL }, "NULL first, {what}");
            assert_eq!(m.folio(FolioId(0)).refs == BASE, skips_null, "NULL first, {what}");
            assert_eq!(run(&|p| vec![p, Ptr::Null], 2).0, NULL, "NULL behind, {what}");
            let err = run(&|p| vec![p, Ptr::ErrPtr(-14)], 2).0;
            assert_eq!(err, Err(Fault::Oops(Pointer::ErrPtr(-14))), "ERR_PTR, {what}");
            let (result, m) = run(&|p| vec![p], 0);
            assert!(result == Ok(()) && m.log.is_empty(), "n == 0, {what}");

            let guarded = plain_unpin && caps.err_guard;
            let (result, m) = run(&|p| vec![p], (-14i64).cast_unsigned());
            assert_eq!(result, if guarded { Ok(()) } else { END }, "n == -14, {what}");
            assert_eq!(warned(&m, Warning::ErrorCount), guarded, "n == -14, {what}");
            // (unsigned int)-14 is no error value as unsigned long.
            assert_eq!(run(&|p| vec![p], u64::from((-14i32).cast_unsigned())).0, END, "n == 2^32 - 14, {what}");
        }
    }
}

#[test]
fn release_pages_takes_an_int_and_skips_the_huge_zero_page() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        assert_eq!(m.release_pages(&pages, -14), Ok(()));
        assert_eq!(m.folio(id).refs, BASE);

        let (mut m, id, pages) = one(caps, Kind::HugeZero, 2);
        grab_all(&mut m, &pages, Grab::Get);
        assert_eq!(m.release_pages(&pages, 2), Ok(()));
        let leaked = if caps.huge_zero_skip == HugeZeroSkip::HeadOnly { 1 } else { 2 };
        assert_eq!(m.folio(id).refs, BASE + leaked, "{}", caps.name);

        let (mut m, id, pages) = one(caps, Kind::FileDax, 1);
        m.folios[0].refs = 2;
        assert_eq!(m.release_pages(&pages, 1), Ok(()));
        assert_eq!(m.log.contains(&Event::Idle(id)), !caps.release_pages_misses_devmap, "{}", caps.name);
    }
}

#[test]
fn folio_calls_of_6_12() {
    let caps = Capabilities::pincount_6_12();
    let (mut m, id, pages) = one(caps, Kind::Anon, 1);
    grab_all(&mut m, &pages, Grab::Pin);
    assert_eq!(m.folio_add_pin(id), Ok(()));
    assert_eq!((m.folio(id).refs, m.stat.acquired), (BASE + 2048, 1));
    assert_eq!(m.unpin_folios(&[Ptr::Null, pages[0], Ptr::Null, pages[0]], 4), Ok(()));
    assert_eq!((m.folio(id).refs, m.stat.released), (BASE, 2));
    assert_eq!(m.unpin_folios(&pages, (-14i64).cast_unsigned()), Ok(()));
    assert!(warned(&m, Warning::ErrorCount));
    // Found by the conformance run: the count is compared as unsigned.
    m.folios[0].refs = -1;
    m.log.clear();
    assert_eq!(m.folio_add_pin(id), Ok(()));
    assert!(!warned(&m, Warning::NotPinned(id)));
    let mut old = Memory::new(Capabilities::pincount_6_1());
    assert_eq!(old.unpin_folios(&[], 0), Err(Fault::Missing("unpin_folios")));
}

#[test]
fn ranges_walk_memory_not_an_array() {
    let mut m = Memory::new(Capabilities::pincount_6_1());
    let ids = [m.add(Kind::Anon.folio(2, BASE)), m.add(Kind::FileBuffer.order0(BASE))];
    for page in [ids[0].page(1), ids[1].page(0)] {
        assert_eq!(m.grab(page, 1, Grab::Pin, Path::Slow), Ok(true));
    }
    assert_eq!(m.unpin_user_page_range_dirty_lock(Ptr::Page(ids[0].page(1)), 2, true), Ok(()));
    assert_eq!((m.folio(ids[0]).refs, m.folio(ids[0]).pinc, m.folio(ids[1]).refs), (BASE, 0, BASE));
    assert!(m.folio(ids[0]).dirty && m.folio(ids[1]).tagged);
    let endless = m.unpin_user_page_range_dirty_lock(Ptr::Page(ids[0].page(0)), 1 << 32, false);
    assert_eq!(endless, Err(Fault::Endless));
}

#[test]
fn the_page_lock() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::FileBuffer, 1);
        m.folios[0].lock = Lock::Caller;
        assert_eq!(m.set_page_dirty_lock(pages[0]), Err(Fault::SelfDeadlock(id)));
        m.folios[0].lock = Lock::Free;
        m.atomic = true;
        assert_eq!(m.set_page_dirty_lock(pages[0]), Err(Fault::SleepInAtomic));
        m.log.clear();
        assert_eq!(m.set_page_dirty(pages[0]), Ok(()));
        assert!(warned(&m, Warning::DirtyUnlocked(id)));
        assert!(m.unlock_page(pages[0]).is_err());
    }
}

#[test]
fn the_bare_flag_keeps_the_page_from_writeback() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::FileBuffer, 1);
        assert_eq!(m.set_page_dirty_flag(pages[0]), Ok(()));
        assert_eq!(m.set_page_dirty_lock(pages[0]), Ok(()));
        assert!(m.folio(id).dirty && !m.folio(id).tagged, "a later call does not add the tag");
        let (mut m, id, pages) = one(caps, Kind::FileDax, 1);
        assert_eq!(m.set_page_dirty(pages[0]), Ok(()));
        assert_eq!(m.folio(id).dirty, caps.dax_dirty_effect);
    }
}

#[test]
fn changing_a_freed_page_is_a_use_after_free() {
    for caps in Capabilities::ALL {
        let (mut m, id, pages) = one(caps, Kind::Anon, 1);
        m.folios[0].refs = 1;
        assert_eq!(m.put_page(pages[0]), Ok(()));
        assert_eq!(m.log.last(), Some(&Event::Free(id)));
        assert_eq!(m.put_page(pages[0]), Err(Fault::UseAfterFree(id)));
        assert_eq!(m.page_dirty(pages[0]), Err(Fault::UseAfterFree(id)));
        assert_eq!(m.grab_get(id.page(0)), Ok(false), "a grab is refused, not a fault");
    }
}
