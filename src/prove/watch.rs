//! What a region is watched for besides what it does to pages: the calls that it makes, and conversions that lose bits.

use super::exec::Machine;
use super::state::Phase;
use super::value::{ITy, V, int_type};
use crate::ast::{CType, Expr, ExprKind};
use crate::source::Span;

impl Machine<'_> {
    /// Forgets what was noted of the region before.
    pub fn begin_comparison(&mut self) {
        self.st.used.clear();
        self.st.narrowed.clear();
        self.st.written_from = self.st.written.len();
        self.st.alias = None;
        self.st.earlier.clear();
        self.passed.clear();
        self.fills_from = self.st.fills.len();
    }

    /// Notes a call that a changed region makes.
    pub fn passes(&mut self, span: Span) {
        if self.phase != Phase::Both {
            let at = self.at(span);
            self.passed.insert(at);
        }
    }

    /// Whether region `k` was compared, and every call that must be.
    pub fn is_reached(&self, k: usize) -> bool {
        self.reached.contains(&k) && self.regions[k].calls.iter().all(|c| self.covered.contains(c))
    }

    /// Notes that a number that is no constant is converted to a type that holds less of it.
    pub fn narrows(&mut self, v: V, e: &Expr, ty: &CType) {
        let from = match v {
            V::Int(_, from) => Some(from),
            // Of unknown type, as a field of a struct that was not found: it may be as wide as a number gets.
            V::Term(t) => Some(self.w.ty(t).unwrap_or(ITy::ULONG)),
            _ => None,
        };
        if let (Some(from), Some(to)) = (from, int_type(ty))
            && to.bits > 1
            && from.bits > to.bits
            && self.phase != Phase::Both
            && !matches!(e.kind, ExprKind::Int { .. })
        {
            let number = self.w.operand(v);
            self.st.narrowed.insert((from.bits, to.bits, number));
        }
    }
}
