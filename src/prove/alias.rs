//! Pointers that may be the same.
//!
//! Two unknown pointers are two objects here. A region that writes a field through one and reads the same field through
//! the other would do something else if both pointed to one object: such a region is not proved. A write in front of
//! the region counts when one version alone reads it. Elements of one
//! container, and entries of one array, are taken to be different objects.

use super::exec::Machine;
use super::state::{Phase, State};
use super::value::{Obj, Ptr, Term};

impl Machine<'_> {
    /// Notes that a field is written.
    pub fn writes(&mut self, p: Ptr) {
        if matches!(self.w.what(p.obj), Obj::Lazy(_))
            && p.path != 0
            && !self.st.written[self.st.written_from.min(self.st.written.len())..].contains(&p)
        {
            self.st.written.push(p);
        }
    }

    /// Notes that a field is read.
    pub fn reads(&mut self, p: Ptr) {
        if self.phase == Phase::Both || self.st.alias.is_some() || p.path == 0 {
            return;
        }
        let Some((_, field)) = self.w.parent(p) else { return };
        for i in (0..self.st.written.len()).rev() {
            let q = self.st.written[i];
            let hit = q.obj != p.obj
                && self.w.parent(q).is_some_and(|(_, f)| f == field)
                && self.tags.get(&p) == self.tags.get(&q)
                && self.may_be_one(p, q);
            if hit && i >= self.st.written_from {
                self.st.alias = Some((q, p));
                return;
            } else if hit {
                self.st.earlier.insert((q, p));
            }
        }
    }

    /// What stands in the way of a comparison with the run of the old code: a write that one version alone may read.
    pub fn aliased(&self, old: &State) -> Option<String> {
        let one = old.earlier.symmetric_difference(&self.st.earlier).next();
        let (a, b) = old.alias.or(self.st.alias).or(one.copied())?;
        Some(format!("{} and {}, which may be the same", self.w.show_ptr(a), self.w.show_ptr(b)))
    }

    fn may_be_one(&self, p: Ptr, q: Ptr) -> bool {
        let (Obj::Lazy(a), Obj::Lazy(b)) = (self.w.what(p.obj), self.w.what(q.obj)) else { return false };
        match (self.w.get(a), self.w.get(b)) {
            (Term::Elem(x, _), Term::Elem(y, _)) => x != y,
            (Term::Cell(x), Term::Cell(y)) => x.obj != y.obj || x.path != y.path,
            _ => true,
        }
    }
}
