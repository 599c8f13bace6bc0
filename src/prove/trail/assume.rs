//! What is known of a number before anything is asked of it.

use super::{Dom, Trail, narrows};
use crate::ast::BinOp;
use crate::prove::value::{ITy, Term, TermId, V, World};

impl Trail {
    /// Takes for granted that a term is no negative number; `false` if that cannot be.
    pub fn assume_not_negative(&mut self, w: &World, t: TermId) -> bool {
        if let Some(V::Int(n, _)) = self.eval(w, t) {
            return n >= 0;
        }
        if !narrows(w, t) {
            return true;
        }
        let mut d = self.dom(w, t);
        d.lo = d.lo.max(0);
        d.tighten();
        let possible = d.lo <= d.hi;
        self.doms.insert(t, d);
        possible && self.propagate(w) && self.consistent(w)
    }

    /// All numbers of the type; of `size >> 12`, those whose first bits are no others than the sign.
    pub(super) fn widest(&self, w: &World, t: TermId) -> Dom {
        let ty = w.ty(t).unwrap_or(ITy::LONG);
        let by = match *w.get(t) {
            Term::Bin(BinOp::Shr, _, by) => self.eval(w, by),
            _ => None,
        };
        let by = match by {
            Some(V::Int(by, _)) if (0..i128::from(ty.bits)).contains(&by) => by,
            _ => 0,
        };
        Dom { lo: ty.min() >> by, hi: ty.max() >> by, not: Vec::new() }
    }
}
