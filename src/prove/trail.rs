//! One path through everything that is unknown: choices, and what was learnt of each term.
//!
//! Exploration is depth first: a run is given a prefix of choices, takes option 0 wherever the prefix ends, and reports
//! how many options each choice had; where it begins in earnest is a matter of [`super::save`]. What was chosen is
//! remembered by term, so that a condition that is tested twice, or tested by both versions of the code, has one
//! answer. Comparisons with constants narrow an interval; other conditions are free booleans; a number that must be
//! known (an index, a count) is picked from a small set, SEMANTICS 4: 0 to 3, and a negative errno for signed types.
//! Picked numbers are checked against every condition remembered. Knows nothing of statements and pages.

mod assume;

use super::value::{ITy, Term, TermId, V, World, compute};
use crate::ast::BinOp;
use crate::source::{FileId, Span};
use rustc_hash::FxHashMap;

/// Largest number of iterations and array entries explored.
pub const BOUND: i128 = 3;
/// The negative number tried for signed unknowns: `-EFAULT`.
pub const NEGATIVE: i128 = -14;

/// Why a run ended early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The kernel would crash, hang or warn here.
    Fault(String),
    /// Outside the bounded space, or contradictory: nothing to compare.
    Prune,
    /// The interpreter does not know the construct.
    Unsupported(FileId, Span, String),
}

/// A fact for the story of a counterexample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// The condition held, or not.
    Truth(TermId, bool),
    /// The term compared so with the number.
    Compared(TermId, &'static str, i128),
    /// The term has this value.
    Value(TermId, V),
    /// Free text.
    Text(String),
}

#[derive(Clone, Debug)]
struct Dom {
    lo: i128,
    hi: i128,
    not: Vec<i128>,
}

impl Dom {
    fn tighten(&mut self) {
        while self.not.contains(&self.lo) {
            self.lo += 1;
        }
        while self.not.contains(&self.hi) {
            self.hi -= 1;
        }
    }
    fn has(&self, v: i128) -> bool {
        self.lo <= v && v <= self.hi && !self.not.contains(&v)
    }
}

/// Choices of one pair of runs, and the facts they made.
#[derive(Clone, Default)]
pub struct Trail {
    prefix: Vec<u16>,
    made: Vec<(u16, u16)>,
    truths: FxHashMap<TermId, bool>,
    doms: FxHashMap<TermId, Dom>,
    values: FxHashMap<TermId, V>,
    conds: Vec<(TermId, bool)>,
    /// Facts in the order they were made.
    pub notes: Vec<Note>,
}

impl Trail {
    /// Forgets everything, for a run that begins with these choices.
    pub fn restart(&mut self, prefix: Vec<u16>) {
        self.prefix = prefix;
        self.made.clear();
        self.truths.clear();
        self.doms.clear();
        self.values.clear();
        self.conds.clear();
        self.notes.clear();
    }
    /// Keeps everything, for a run that began with these choices.
    pub fn go_on(&mut self, prefix: Vec<u16>) {
        self.prefix = prefix;
    }
    /// Whether the prefix of the next run ends with the last option of its last choice.
    pub fn is_last(&self, prefix: &[u16]) -> bool {
        let made = prefix.len().checked_sub(1).and_then(|at| self.made.get(at));
        made.zip(prefix.last()).is_some_and(|((_, n), pick)| pick + 1 == *n)
    }
    /// Picks one of `n` options.
    pub fn choose(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        let at = self.made.len();
        let pick = self.prefix.get(at).copied().unwrap_or(0).min(n as u16 - 1);
        self.made.push((pick, n as u16));
        usize::from(pick)
    }
    /// Number of choices made.
    pub fn len(&self) -> usize {
        self.made.len()
    }
    /// The prefix of the next run in depth-first order; `None` when all were run.
    pub fn next(&self) -> Option<Vec<u16>> {
        let mut made = self.made.clone();
        while let Some((pick, n)) = made.pop() {
            if pick + 1 < n {
                let mut p: Vec<u16> = made.iter().map(|m| m.0).collect();
                p.push(pick + 1);
                return Some(p);
            }
        }
        None
    }
    /// The value picked for a term.
    pub fn value(&self, t: TermId) -> Option<V> {
        self.values.get(&t).copied()
    }
    pub fn set_value(&mut self, t: TermId, v: V) {
        self.values.insert(t, v);
    }
    /// What was decided on the truth of a pointer-like term.
    pub fn known_truth(&self, t: TermId) -> Option<bool> {
        self.truths.get(&t).copied()
    }
    pub fn set_truth(&mut self, t: TermId, b: bool) {
        self.truths.insert(t, b);
        self.conds.push((t, b));
    }

    /// The value of a term as far as this trail knows it.
    pub fn eval(&self, w: &World, t: TermId) -> Option<V> {
        if let Some(v) = self.values.get(&t) {
            return Some(*v);
        }
        if let Some(d) = self.doms.get(&t)
            && d.lo == d.hi
        {
            return Some(V::Int(d.lo, w.ty(t).unwrap_or(ITy::LONG)));
        }
        match w.get(t) {
            Term::Val(v) => Some(*v),
            Term::Cast(ty, a) => match self.eval(w, *a)? {
                V::Int(n, _) => Some(V::Int(ty.wrap(n), *ty)),
                v => Some(v),
            },
            Term::Un(o, a) => match (o, self.eval(w, *a)?) {
                ('!', v) => truth_of(v).map(|b| V::bool(!b)),
                ('-', V::Int(n, ty)) => Some(V::Int(ty.promote().wrap(-n), ty.promote())),
                ('~', V::Int(n, ty)) => Some(V::Int(ty.promote().wrap(!n), ty.promote())),
                _ => None,
            },
            Term::Bin(op, a, b) => {
                if a == b {
                    match op {
                        BinOp::Eq | BinOp::Le | BinOp::Ge => return Some(V::bool(true)),
                        BinOp::Ne | BinOp::Lt | BinOp::Gt => return Some(V::bool(false)),
                        BinOp::Sub | BinOp::BitXor => return Some(V::Int(0, w.ty(t).unwrap_or(ITy::LONG))),
                        _ => {}
                    }
                }
                binary(*op, self.eval(w, *a)?, self.eval(w, *b)?)
            }
            _ => None,
        }
    }

    /// The truth of a term, chosen if it is not known yet.
    pub fn decide(&mut self, w: &mut World, t: TermId) -> Result<bool, Stop> {
        if let Some(v) = self.eval(w, t) {
            return truth_of(v).ok_or_else(|| Stop::Fault("a value that was never written decides a branch".into()));
        }
        let zero = |w: &World, x: TermId| matches!(w.get(x), Term::Val(V::Int(0, _)));
        match w.get(t).clone() {
            Term::Un('!', a) => return Ok(!self.decide(w, a)?),
            Term::Cast(to, a) if to.bits == 1 || w.ty(a).is_none() => return self.decide(w, a),
            Term::Cast(..) => return Ok(!self.compare(w, t, BinOp::Eq, 0)?),
            Term::Bin(BinOp::Ne, a, b) if zero(w, b) => return self.decide(w, a),
            Term::Bin(BinOp::Eq, a, b) if zero(w, b) => return Ok(!self.decide(w, a)?),
            Term::Bin(BinOp::Ne, a, b) if zero(w, a) => return self.decide(w, b),
            Term::Bin(BinOp::Eq, a, b) if zero(w, a) => return Ok(!self.decide(w, b)?),
            Term::Bin(BinOp::Ne, a, b) => {
                let e = w.term(Term::Bin(BinOp::Eq, a, b), Some(ITy::INT));
                return Ok(!self.decide(w, e)?);
            }
            Term::Bin(BinOp::Gt, a, b) => {
                let e = w.term(Term::Bin(BinOp::Lt, b, a), Some(ITy::INT));
                return self.decide(w, e);
            }
            Term::Bin(BinOp::Ge, a, b) => {
                let e = w.term(Term::Bin(BinOp::Lt, a, b), Some(ITy::INT));
                return Ok(!self.decide(w, e)?);
            }
            Term::Bin(BinOp::Le, a, b) => {
                let e = w.term(Term::Bin(BinOp::Lt, b, a), Some(ITy::INT));
                return Ok(!self.decide(w, e)?);
            }
            Term::Bin(BinOp::Eq, a, b) if a > b => {
                let e = w.term(Term::Bin(BinOp::Eq, b, a), Some(ITy::INT));
                return self.decide(w, e);
            }
            Term::Bin(BinOp::Lt, a, b) => {
                if let Some(V::Int(c, _)) = self.eval(w, b) {
                    return self.compare(w, a, BinOp::Lt, c);
                }
                if let Some(V::Int(c, _)) = self.eval(w, a) {
                    return self.compare(w, b, BinOp::Gt, c);
                }
            }
            Term::Bin(BinOp::Eq, a, b) => {
                if let Some(V::Int(c, _)) = self.eval(w, b) {
                    return self.compare(w, a, BinOp::Eq, c);
                }
                if let Some(V::Int(c, _)) = self.eval(w, a) {
                    return self.compare(w, b, BinOp::Eq, c);
                }
            }
            _ if w.ty(t).is_some() => return Ok(!self.compare(w, t, BinOp::Eq, 0)?),
            _ => {}
        }
        if let Some(&b) = self.truths.get(&t) {
            return Ok(b);
        }
        let b = match self.implied(w, t) {
            Some(b) => b,
            None => {
                let b = self.choose(2) == 1;
                self.notes.push(Note::Truth(t, b));
                b
            }
        };
        self.set_truth(t, b);
        if !self.propagate(w) {
            return Err(Stop::Prune);
        }
        Ok(b)
    }

    /// A term as an unknown and a constant that is added to it, with all that is known by now.
    pub fn linear(&self, w: &World, t: TermId) -> (TermId, i128) {
        if let Term::Bin(op @ (BinOp::Add | BinOp::Sub), a, b) = *w.get(t) {
            let sign = if op == BinOp::Add { 1 } else { -1 };
            if let Some(V::Int(n, _)) = self.eval(w, b) {
                let (x, k) = self.linear(w, a);
                return (x, k + sign * n);
            }
            if let (BinOp::Add, Some(V::Int(n, _))) = (op, self.eval(w, a)) {
                let (x, k) = self.linear(w, b);
                return (x, k + n);
            }
        }
        (t, 0)
    }

    /// The truth of a comparison that was decided before in other words: `a < n + m` when `m` was not known, `a < n`
    /// now that it is 0.
    fn decided(&self, w: &World, t: TermId) -> Option<bool> {
        let Term::Bin(op @ (BinOp::Lt | BinOp::Eq), a, b) = *w.get(t) else { return None };
        let sides = (self.linear(w, a), self.linear(w, b));
        self.conds.iter().find_map(|&(old, truth)| match *w.get(old) {
            Term::Bin(o, x, y) if o == op && (self.linear(w, x), self.linear(w, y)) == sides => Some(truth),
            Term::Bin(BinOp::Eq, x, y) if op == BinOp::Eq && (self.linear(w, y), self.linear(w, x)) == sides => {
                Some(truth)
            }
            _ => None,
        })
    }

    /// Order and equality of two unknowns exclude each other.
    fn implied(&self, w: &mut World, t: TermId) -> Option<bool> {
        if let Some(b) = self.decided(w, t) {
            return Some(b);
        }
        let known = |trail: &Self, w: &mut World, op, a, b| {
            let t = w.term(Term::Bin(op, a, b), Some(ITy::INT));
            trail.truths.get(&t).copied()
        };
        match *w.get(t) {
            Term::Bin(BinOp::Eq, a, b) => {
                let less = known(self, w, BinOp::Lt, a, b);
                let more = known(self, w, BinOp::Lt, b, a);
                match (less, more) {
                    (Some(true), _) | (_, Some(true)) => Some(false),
                    (Some(false), Some(false)) => Some(true),
                    _ => None,
                }
            }
            Term::Bin(BinOp::Lt, a, b) => {
                let equal = known(self, w, BinOp::Eq, a.min(b), a.max(b));
                let more = known(self, w, BinOp::Lt, b, a);
                match (equal, more) {
                    (Some(true), _) | (_, Some(true)) => Some(false),
                    (Some(false), Some(false)) => Some(true),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn dom(&self, w: &World, t: TermId) -> Dom {
        self.doms.get(&t).cloned().unwrap_or_else(|| self.widest(w, t))
    }

    /// `t op c` for `<`, `>` and `==`: narrows the interval of `t`.
    fn compare(&mut self, w: &mut World, t: TermId, op: BinOp, c: i128) -> Result<bool, Stop> {
        if let Some(V::Int(v, _)) = self.eval(w, t) {
            return Ok(holds(v, op, c));
        }
        match *w.get(t) {
            Term::Cast(to, a) => {
                let signed = w.ty(a).is_some_and(|f| f.signed) || w.ty(a).is_none();
                if !to.signed && signed && self.compare(w, a, BinOp::Lt, 0)? {
                    let v = self.number(w, a)?;
                    return Ok(holds(to.wrap(v), op, c));
                }
                if let Some(v) = self.cut(w, to, a)? {
                    return Ok(holds(v, op, c));
                }
                return self.compare(w, a, op, c);
            }
            // Comparisons give 0 or 1.
            Term::Un('!', _) | Term::Bin(BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge, ..) => {
                let v = i128::from(self.decide(w, t)?);
                return Ok(holds(v, op, c));
            }
            _ => {}
        }
        let mut d = self.dom(w, t);
        let (all, none) = match op {
            BinOp::Lt => (d.hi < c, d.lo >= c),
            BinOp::Gt => (d.lo > c, d.hi <= c),
            _ => (d.lo == d.hi && d.lo == c, !d.has(c)),
        };
        if all || none {
            return Ok(all);
        }
        // The small side first: it makes the shortest counterexample the first one found.
        let yes = match op {
            BinOp::Gt => self.choose(2) == 1,
            _ => self.choose(2) == 0,
        };
        match (op, yes) {
            (BinOp::Lt, true) => d.hi = c - 1,
            (BinOp::Lt, false) => d.lo = c,
            (BinOp::Gt, true) => d.lo = c + 1,
            (BinOp::Gt, false) => d.hi = c,
            (_, true) => (d.lo, d.hi) = (c, c),
            (_, false) => d.not.push(c),
        }
        d.tighten();
        self.doms.insert(t, d);
        if !self.propagate(w) || !self.consistent(w) {
            return Err(Stop::Prune);
        }
        let word = match (op, yes) {
            (BinOp::Lt, true) => "<",
            (BinOp::Lt, false) => ">=",
            (BinOp::Gt, true) => ">",
            (BinOp::Gt, false) => "<=",
            (_, true) => "==",
            (_, false) => "!=",
        };
        self.notes.push(Note::Compared(t, word, c));
        Ok(yes)
    }

    /// Whether the conversion of `a` to a type that is too narrow for it changes the number; if so the result, for one
    /// such number: a negative one that went through an unsigned variable, or the first but one that is too large.
    fn cut(&mut self, w: &mut World, to: ITy, a: TermId) -> Result<Option<i128>, Stop> {
        let Some(from) = w.ty(a) else { return Ok(None) };
        let d = self.dom(w, a);
        if to.bits == 1 || self.values.contains_key(&a) || d.lo >= to.min() && d.hi <= to.max() {
            return Ok(None);
        }
        let cut = if to.signed && !from.signed { from.wrap(NEGATIVE) } else { (1i128 << to.bits) + 1 };
        // A count of more than 2^31 pages is 8 TB: not tried as such.
        let tried = cut < 1 << 31 || cut == from.wrap(NEGATIVE);
        let fits = Dom { lo: d.lo.max(to.min()), hi: d.hi.min(to.max()), not: d.not.clone() };
        let never = fits.lo > fits.hi;
        let cut = if never && !d.has(cut) { d.lo } else { cut };
        if never || tried && d.has(cut) && self.choose(2) == 1 {
            self.values.insert(a, V::Int(cut, from));
            if !self.propagate(w) || !self.consistent(w) {
                return Err(Stop::Prune);
            }
            self.notes.push(Note::Value(a, V::Int(cut, from)));
            return Ok(Some(to.wrap(cut)));
        }
        self.doms.insert(a, fits);
        if !self.propagate(w) || !self.consistent(w) {
            return Err(Stop::Prune);
        }
        Ok(None)
    }

    /// The term as a number, picked from the bounded set if it is not known yet.
    pub fn number(&mut self, w: &mut World, t: TermId) -> Result<i128, Stop> {
        if let Some(v) = self.eval(w, t) {
            return match v {
                V::Int(n, _) => Ok(n),
                V::Poison => Err(Stop::Fault("a number that was never written is used".into())),
                _ => Err(Stop::Prune),
            };
        }
        if !self.doms.contains_key(&t) {
            match *w.get(t) {
                Term::Cast(ty, a) => return Ok(ty.wrap(self.number(w, a)?)),
                Term::Bin(op @ (BinOp::Add | BinOp::Sub), a, b) => {
                    let (x, y) = (self.number(w, a)?, self.number(w, b)?);
                    let ty = w.ty(t).unwrap_or(ITy::LONG);
                    if let Some(V::Int(n, _)) = compute(op, x, y, ty) {
                        return Ok(n);
                    }
                }
                Term::Un('!', _)
                | Term::Bin(BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge, ..) => {
                    return Ok(i128::from(self.decide(w, t)?));
                }
                _ => {}
            }
        }
        let d = self.dom(w, t);
        let mut all: Vec<i128> = (0..=BOUND).filter(|&v| d.has(v)).collect();
        if d.has(NEGATIVE) {
            all.push(NEGATIVE);
        }
        if all.is_empty() {
            all.push(if d.lo > BOUND { d.lo } else { d.hi });
        }
        let ty = w.ty(t).unwrap_or(ITy::LONG);
        // A negative errno that went through an unsigned variable.
        let huge = ty.wrap(NEGATIVE);
        if !ty.signed && ty.bits >= 32 && d.has(huge) {
            all.push(huge);
        }
        let mut fit = Vec::new();
        for v in all {
            self.values.insert(t, V::Int(v, ty));
            if self.consistent(w) {
                fit.push(v);
            }
            self.values.remove(&t);
        }
        if fit.is_empty() {
            return Err(Stop::Prune);
        }
        let n = fit[self.choose(fit.len())];
        self.values.insert(t, V::Int(n, ty));
        if !self.propagate(w) {
            return Err(Stop::Prune);
        }
        self.notes.push(Note::Value(t, V::Int(n, ty)));
        Ok(n)
    }

    /// The range that a term is known to lie in.
    fn range(&self, w: &World, t: TermId) -> (i128, i128) {
        match self.eval(w, t) {
            Some(V::Int(n, _)) => (n, n),
            _ => {
                let d = self.dom(w, t);
                (d.lo, d.hi)
            }
        }
    }
    /// Narrows intervals by the remembered order and equality of terms; `false` when one becomes empty.
    fn propagate(&mut self, w: &World) -> bool {
        loop {
            let mut changed = false;
            for i in 0..self.conds.len() {
                let (t, truth) = self.conds[i];
                let (a, b, op) = match *w.get(t) {
                    Term::Bin(op @ (BinOp::Lt | BinOp::Eq), a, b) => (a, b, op),
                    _ => continue,
                };
                let ((la, ha), (lb, hb)) = (self.range(w, a), self.range(w, b));
                let (na, nb) = match (op, truth) {
                    (BinOp::Lt, true) => ((la, ha.min(hb - 1)), (lb.max(la + 1), hb)),
                    (BinOp::Lt, false) => ((la.max(lb), ha), (lb, hb.min(ha))),
                    (_, true) => ((la.max(lb), ha.min(hb)), (la.max(lb), ha.min(hb))),
                    (_, false) => continue,
                };
                for (x, old, new) in [(a, (la, ha), na), (b, (lb, hb), nb)] {
                    if new.0 > new.1 {
                        return false;
                    }
                    if old == new || old.0 == old.1 || !narrows(w, x) {
                        continue;
                    }
                    let mut d = self.dom(w, x);
                    (d.lo, d.hi) = new;
                    d.tighten();
                    if d.lo > d.hi {
                        return false;
                    }
                    changed |= (d.lo, d.hi) != old;
                    self.doms.insert(x, d);
                }
            }
            if !changed {
                return true;
            }
        }
    }

    /// Whether nothing known contradicts a remembered condition or interval.
    fn consistent(&self, w: &World) -> bool {
        self.conds.iter().all(|&(t, b)| match self.known(w, t) {
            Some(v) => truth_of(v) == Some(b),
            None => true,
        })
    }
    /// As [`Trail::eval`], one level down: the term itself may have been decided.
    fn known(&self, w: &World, t: TermId) -> Option<V> {
        match w.get(t) {
            Term::Bin(op, a, b) => binary(*op, self.eval(w, *a)?, self.eval(w, *b)?),
            _ => self.values.get(&t).copied(),
        }
    }
}

/// Whether a term has an interval of its own.
fn narrows(w: &World, t: TermId) -> bool {
    !matches!(w.get(t), Term::Val(_) | Term::Cast(..))
}

fn holds(v: i128, op: BinOp, c: i128) -> bool {
    match op {
        BinOp::Lt => v < c,
        BinOp::Gt => v > c,
        _ => v == c,
    }
}

/// Whether a known value is not zero; `None` for one that was never written.
pub fn truth_of(v: V) -> Option<bool> {
    match v {
        V::Int(n, _) => Some(n != 0),
        V::Ptr(_) | V::Page(_) | V::Str | V::Agg(_) => Some(true),
        V::Term(_) | V::Poison | V::Void => None,
    }
}

/// A binary operator on known values.
pub fn binary(op: BinOp, a: V, b: V) -> Option<V> {
    match (a, b) {
        (V::Int(x, tx), V::Int(y, ty2)) => {
            let common = match op {
                BinOp::Shl | BinOp::Shr => tx.promote(),
                _ => ITy::usual(tx, ty2),
            };
            compute(op, x, y, common)
        }
        (V::Term(_) | V::Poison | V::Void, _) | (_, V::Term(_) | V::Poison | V::Void) => None,
        (V::Ptr(p), V::Ptr(q)) => {
            let same = p.obj == q.obj && p.path == q.path;
            match op {
                BinOp::Eq => Some(V::bool(p == q)),
                BinOp::Ne => Some(V::bool(p != q)),
                BinOp::Sub if same => Some(V::Int(i128::from(p.idx - q.idx), ITy::LONG)),
                BinOp::Lt if same => Some(V::bool(p.idx < q.idx)),
                BinOp::Le if same => Some(V::bool(p.idx <= q.idx)),
                BinOp::Gt if same => Some(V::bool(p.idx > q.idx)),
                BinOp::Ge if same => Some(V::bool(p.idx >= q.idx)),
                _ => None,
            }
        }
        (V::Ptr(p), V::Int(n, _)) if matches!(op, BinOp::Add | BinOp::Sub) && n.abs() < 1 << 40 => {
            let n = if op == BinOp::Sub { -n } else { n };
            Some(V::Ptr(super::value::Ptr { idx: p.idx + n as i64, ..p }))
        }
        _ => match op {
            BinOp::Eq => Some(V::bool(a == b)),
            BinOp::Ne => Some(V::bool(a != b)),
            BinOp::And => Some(V::bool(truth_of(a)? && truth_of(b)?)),
            BinOp::Or => Some(V::bool(truth_of(a)? || truth_of(b)?)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
