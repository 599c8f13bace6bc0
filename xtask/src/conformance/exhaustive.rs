//! Every short sequence: one call with every array up to three entries, and up to three calls on single pages.

use super::sequence::{Call, Op, Sequence};
use gupconv::model::{Capabilities, Folio, FolioId, Kind, Lock, Ptr};

/// Folio kinds with the orders that they come in.
pub const SHAPES: [(Kind, u8); 13] = [
    (Kind::Anon, 1),
    (Kind::Anon, 2),
    (Kind::Anon, 4),
    (Kind::FileBuffer, 1),
    (Kind::FileBuffer, 2),
    (Kind::FileNoBuf, 1),
    (Kind::FileNoBuf, 4),
    (Kind::FileDax, 1),
    (Kind::Hugetlb, 2),
    (Kind::Hugetlb, 4),
    (Kind::Zero, 1),
    (Kind::HugeZero, 2),
    (Kind::HugeZero, 4),
];

/// All of them, in a fixed order. The first folio varies; the second is an anonymous page with two references.
pub fn sequences(ops: &[Op], caps: &Capabilities) -> Box<dyn Iterator<Item = Sequence>> {
    let singles = singles(ops);
    let batches = batches(ops);
    let one = singles.iter().chain(&batches).cloned().collect::<Vec<_>>();
    let short = states(caps).flat_map(move |state| one.clone().into_iter().map(move |c| state.with(vec![c])));

    let grabs: Vec<Call> = singles.iter().filter(|c| is_grab(c)).cloned().collect();
    let after: Vec<Call> = batches.iter().filter(|c| c.n == c.pages.len() as i64).cloned().collect();
    let grabbed = states(caps).filter(|s| s.plain).flat_map(move |state| {
        let after = after.clone();
        grabs.clone().into_iter().flat_map(move |grab| {
            let state = state.clone();
            after.clone().into_iter().map(move |call| state.with(vec![grab.clone(), call]))
        })
    });

    let on_first = |c: &Call| c.pages == [Ptr::Page(FolioId(0).page(0))] && c.n == 1;
    let on_first: Vec<Call> = singles.into_iter().filter(on_first).collect();
    let triples = states(caps).filter(|s| s.plain && !s.first.dirty).flat_map(move |state| {
        let calls = on_first.clone();
        (0..calls.len().pow(3)).map(move |i| {
            let n = calls.len();
            state.with(vec![calls[i / n / n].clone(), calls[i / n % n].clone(), calls[i % n].clone()])
        })
    });
    Box::new(short.chain(grabbed).chain(triples))
}

#[derive(Clone)]
struct State {
    first: Folio,
    atomic: bool,
    /// Process context, lock free: the ones that longer sequences start from.
    plain: bool,
}

impl State {
    fn with(&self, mut calls: Vec<Call>) -> Sequence {
        // Arrays name the last page of the first folio as index 255: a compound page has one of its own.
        for ptr in calls.iter_mut().flat_map(|call| &mut call.pages) {
            if let Ptr::Page(page) = ptr
                && page.idx == u8::MAX
            {
                page.idx = self.first.nr - 1;
            }
        }
        Sequence { folios: vec![self.first, Kind::Anon.order0(2)], atomic: self.atomic, calls }
    }
}

fn states(caps: &Capabilities) -> impl Iterator<Item = State> + use<> {
    let caps = *caps;
    SHAPES.into_iter().flat_map(move |(kind, nr)| {
        (0..32u8).filter_map(move |bits| {
            let bit = |i: u8| bits >> i & 1 == 1;
            let mut first = kind.folio(nr, 0);
            // One reference, or enough for a pin and one more.
            let pinned = caps.use_pincount(first.order());
            (first.refs, first.pinc) = match (bit(0), caps.tracked, pinned) {
                (false, ..) => (1, 0),
                (true, true, true) => (3, 2),
                (true, true, false) => (1025, 0),
                (true, false, _) => (3, 0),
            };
            first.dirty = bit(1);
            first.tagged = bit(1) && bit(2);
            first.lock = if bit(3) { Lock::Caller } else { Lock::Free };
            (bit(1) || !bit(2)).then_some(State { first, atomic: bit(4), plain: !bit(3) && !bit(4) })
        })
    })
}

fn is_grab(call: &Call) -> bool {
    matches!(call.op, Op::GetSlow | Op::GetFast | Op::PinSlow | Op::PinFast)
        && matches!(call.pages.first(), Some(Ptr::Page(page)) if page.folio == FolioId(0))
}

fn singles(ops: &[Op]) -> Vec<Call> {
    let head = Ptr::Page(FolioId(0).page(0));
    let last = Ptr::Page(FolioId(0).page(u8::MAX));
    let other = Ptr::Page(FolioId(1).page(0));
    let mut out = vec![];
    for &op in ops.iter().filter(|op| !op.batch()) {
        for ptr in [head, last, other, Ptr::Null, Ptr::ErrPtr(-14), Ptr::Poison] {
            if op.folios() && ptr == last {
                continue;
            }
            let counts: &[i64] = match op {
                Op::UnpinRange => &[0, 1, 2, 3, -14],
                Op::UnpinUserFolio => &[0, 1, 2],
                _ => &[1],
            };
            for &n in counts {
                for flag in [false, true] {
                    if flag && !op.flagged() {
                        continue;
                    }
                    out.push(Call { op, flag, n, pages: vec![ptr] });
                }
            }
        }
    }
    out
}

fn batches(ops: &[Op]) -> Vec<Call> {
    let head = Ptr::Page(FolioId(0).page(0));
    let entries = [head, Ptr::Page(FolioId(0).page(u8::MAX)), Ptr::Page(FolioId(1).page(0)), Ptr::Null];
    let mut arrays = vec![vec![]];
    for length in 1..=3u32 {
        for i in 0..4usize.pow(length) {
            arrays.push((0..length).map(|k| entries[i / 4usize.pow(k) % 4]).collect());
        }
    }
    arrays.push(vec![head, Ptr::ErrPtr(-14)]);
    arrays.push(vec![head, Ptr::Poison]);
    let mut out = vec![];
    for &op in ops.iter().filter(|op| op.batch()) {
        for pages in &arrays {
            if op.folios() && pages.contains(&entries[1]) {
                continue;
            }
            for n in [pages.len() as i64, pages.len() as i64 + 1, -14, i64::from((-14i32).cast_unsigned())] {
                for flag in [false, true] {
                    if flag && !op.flagged() {
                        continue;
                    }
                    out.push(Call { op, flag, n, pages: pages.clone() });
                }
            }
        }
    }
    out
}
