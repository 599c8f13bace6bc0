//! Choices that are made once, and numbers that fit what was decided before.

use super::super::value::{Obj, Ptr};
use super::*;

fn started(prefix: Vec<u16>) -> Trail {
    let mut t = Trail::default();
    t.restart(prefix);
    t
}

fn unknown(w: &mut World, name: &str, ty: ITy) -> TermId {
    let n = w.name(name);
    let obj = w.obj(Obj::Global(n));
    w.term(Term::Cell(Ptr { obj, path: 0, idx: 0 }), Some(ty))
}

#[test]
fn all_paths_of_a_loop_over_an_unknown_count_are_met_once() {
    let mut w = World::default();
    let n = unknown(&mut w, "n", ITy::INT);
    let mut met = Vec::new();
    let mut prefix = Some(Vec::new());
    while let Some(p) = prefix {
        let mut t = started(p);
        let mut i = 0;
        while i <= BOUND && t.compare(&mut w, n, BinOp::Gt, i) == Ok(true) {
            i += 1;
        }
        if i <= BOUND {
            met.push((i, t.number(&mut w, n).unwrap_or(99)));
        }
        prefix = t.next();
    }
    assert_eq!(met, [(0, 0), (0, -14), (1, 1), (2, 2), (3, 3)]);
}

#[test]
fn a_negative_number_is_huge_as_unsigned() {
    let mut w = World::default();
    let n = unknown(&mut w, "n", ITy::INT);
    let c = w.term(Term::Cast(ITy::ULONG, n), Some(ITy::ULONG));
    let mut t = started(vec![0]);
    // First choice: n < 0. Then 0 < (unsigned long)n holds.
    assert_eq!(t.compare(&mut w, c, BinOp::Gt, 0), Ok(true));
    assert_eq!(t.number(&mut w, n), Ok(-14));
}

#[test]
fn contradictions_are_pruned() {
    let mut w = World::default();
    let (a, b) = (unknown(&mut w, "a", ITy::INT), unknown(&mut w, "b", ITy::INT));
    let lt = w.term(Term::Bin(BinOp::Lt, a, b), Some(ITy::INT));
    let mut t = started(vec![1, 2]);
    assert_eq!(t.decide(&mut w, lt), Ok(true));
    assert_eq!(t.number(&mut w, b), Ok(2));
    let x = t.number(&mut w, a);
    assert!(matches!(x, Ok(n) if n < 2), "{x:?}");
}

#[test]
fn a_number_too_large_for_a_cast_is_tried() {
    let mut w = World::default();
    let n = unknown(&mut w, "n", ITy::UINT);
    let cut = w.term(Term::Cast(ITy { signed: false, bits: 8 }, n), Some(ITy { signed: false, bits: 8 }));
    let signed = w.term(Term::Cast(ITy::INT, n), Some(ITy::INT));
    // The second choice is the number that does not fit.
    let mut t = started(vec![1]);
    assert_eq!(t.compare(&mut w, cut, BinOp::Eq, 1), Ok(true));
    assert_eq!(t.number(&mut w, n), Ok(257));
    let mut t = started(vec![1]);
    assert_eq!(t.compare(&mut w, signed, BinOp::Lt, 0), Ok(true));
    assert_eq!(t.number(&mut w, n), Ok(ITy::UINT.wrap(NEGATIVE)));
    let mut t = started(vec![0]);
    assert_eq!(t.compare(&mut w, signed, BinOp::Lt, 0), Ok(false));
}
