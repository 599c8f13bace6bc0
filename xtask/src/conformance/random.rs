//! Long sequences by a generator with a seed: the same seed makes the same sequences on every machine.

use super::exhaustive::SHAPES;
use super::sequence::{Call, Op, Sequence};
use gupconv::model::{Capabilities, FileKind, Folio, FolioId, Kind, Lock, Map, Page, Ptr};

/// xorshift64*; good enough to pick calls with.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Three to twelve calls on one to three folios.
    pub fn sequence(&mut self, ops: &[Op], caps: &Capabilities) -> Sequence {
        let mut folios: Vec<Folio> = vec![];
        for _ in 0..1 + self.below(3) {
            let folio = self.folio(caps);
            let unique = folios.iter().all(|f| !(f.zero && folio.zero || f.hugezero && folio.hugezero));
            folios.push(if unique { folio } else { Kind::Anon.order0(2) });
        }
        let atomic = self.one_in(6);
        let calls = (0..3 + self.below(10)).map(|_| self.call(ops, &folios)).collect();
        Sequence { folios, atomic, calls }
    }

    fn folio(&mut self, caps: &Capabilities) -> Folio {
        let (kind, nr) = SHAPES[self.below(SHAPES.len())];
        const REFS: [i32; 12] = [1, 2, 3, 4, 5, 1023, 1024, 1025, 2049, i32::MAX - 1023, i32::MAX - 2, 0];
        let mut folio = kind.folio(nr, REFS[self.below(REFS.len())]);
        if caps.use_pincount(folio.order()) && self.one_in(2) {
            folio.pinc = self.below(3) as i32;
        }
        folio.dirty = self.one_in(3);
        folio.tagged = folio.dirty && self.one_in(2);
        if self.one_in(6) {
            folio.bufs = None;
        }
        if self.one_in(8) && matches!(folio.map, Map::File(FileKind::Buffer | FileKind::NoBuf | FileKind::Hugetlb)) {
            folio.map = Map::Gone;
        }
        folio.lock = match self.below(10) {
            0 => Lock::Caller,
            1 => Lock::Other,
            _ => Lock::Free,
        };
        folio
    }

    fn page(&mut self, folios: &[Folio], head: bool) -> Page {
        let at = self.below(folios.len());
        let idx = if head { 0 } else { self.below(usize::from(folios[at].nr)) };
        FolioId(at as u8).page(idx as u8)
    }

    fn ptr(&mut self, folios: &[Folio], head: bool) -> Ptr {
        match self.below(40) {
            0 => Ptr::Null,
            1 if self.one_in(2) => Ptr::ErrPtr(-14),
            1 => Ptr::Poison,
            _ => Ptr::Page(self.page(folios, head)),
        }
    }

    fn call(&mut self, ops: &[Op], folios: &[Folio]) -> Call {
        let op = ops[self.below(ops.len())];
        let flag = op.flagged() && self.one_in(2);
        if op.batch() {
            let length = if self.one_in(50) { 30 + self.below(6) } else { self.below(6) };
            let pages: Vec<Ptr> = (0..length).map(|_| self.ptr(folios, op.folios())).collect();
            let n = match self.below(16) {
                0 => length as i64 + 1,
                1 => -14,
                2 => i64::from((-14i32).cast_unsigned()),
                3 => length.saturating_sub(1) as i64,
                _ => length as i64,
            };
            return Call { op, flag, n, pages };
        }
        let ptr = self.ptr(folios, op.folios());
        let n = match (op, ptr) {
            (Op::GetFast | Op::PinFast, Ptr::Page(page)) => {
                let rest = folios[usize::from(page.folio.0)].nr - page.idx;
                1 + self.below(usize::from(rest)) as i64
            }
            (Op::UnpinRange, _) if self.one_in(10) => -14,
            (Op::UnpinRange, _) => self.below(7) as i64,
            // The count is cut to an int.
            (Op::UnpinUserFolio, _) if self.one_in(10) => (1 << 32) + 1,
            (Op::UnpinUserFolio, _) => self.below(4) as i64,
            _ => 1,
        };
        Call { op, flag, n, pages: vec![ptr] }
    }
}
