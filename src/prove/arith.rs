//! Operators: integers converted as C does, comparisons, and steps of pointers.

use super::eval::Typed;
use super::exec::Machine;
use super::trail::{Stop, binary, truth_of};
use super::value::{ITy, Obj, Ptr, Term, V, int_type};
use crate::ast::{Base, BinOp, CType, UnOp};
use crate::source::Span;

fn int() -> CType {
    CType::int()
}
fn of(t: ITy) -> CType {
    let base = if t.bits == 1 { Base::Bool } else { Base::Int { signed: t.signed, bits: t.bits } };
    CType { base, ptr: 0, dims: Vec::new(), function: false }
}
impl Machine<'_> {
    /// The value of a C type conversion.
    pub fn convert(&mut self, v: V, ty: &CType) -> V {
        let Some(to) = int_type(ty) else { return v };
        match v {
            V::Int(n, _) => V::Int(to.wrap(n), to),
            V::Term(t) => match self.w.ty(t) {
                Some(from) if from == to || (to.min() <= from.min() && from.max() <= to.max()) => v,
                // Of unknown type, as a macro or a field that was not found: it fits.
                None if to.bits > 1 => v,
                _ => V::Term(self.w.term(Term::Cast(to, t), Some(to))),
            },
            _ => v,
        }
    }
    /// The integer type that an operand has in arithmetic.
    pub fn arithmetic_type(&self, v: V, ty: &CType) -> ITy {
        int_type(ty).unwrap_or(match v {
            V::Int(_, t) => t,
            V::Term(t) => self.w.ty(t).unwrap_or(ITy::LONG),
            _ => ITy::ULONG,
        })
    }
    pub(super) fn unary(&mut self, op: UnOp, v: V, t: &CType) -> Result<Typed, Stop> {
        if v == V::Poison && op != UnOp::Plus {
            return Ok((V::Poison, t.clone()));
        }
        match op {
            UnOp::Not => Ok((
                match v {
                    V::Term(x) => match self.trail.eval(&self.w, x).and_then(truth_of) {
                        Some(b) => V::bool(!b),
                        None => V::Term(self.w.term(Term::Un('!', x), Some(ITy::INT))),
                    },
                    _ => V::bool(!self.truth(v)?),
                },
                int(),
            )),
            UnOp::Plus => Ok((v, t.clone())),
            _ => {
                let ty = self.arithmetic_type(v, t).promote();
                let c = if op == UnOp::Neg { '-' } else { '~' };
                let r = match v {
                    V::Int(n, _) => V::Int(ty.wrap(if c == '-' { -n } else { !n }), ty),
                    V::Term(x) => V::Term(self.w.term(Term::Un(c, x), Some(ty))),
                    _ => v,
                };
                Ok((r, of(ty)))
            }
        }
    }

    pub(super) fn result_type(&self, op: BinOp, x: V, tx: &CType, y: V, ty: &CType) -> CType {
        if matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge) {
            return int();
        }
        if tx.depth() > 0 {
            if op == BinOp::Sub && ty.depth() > 0 {
                return of(ITy::LONG);
            }
            return decay(tx);
        }
        if ty.depth() > 0 {
            return decay(ty);
        }
        match op {
            BinOp::Shl | BinOp::Shr => of(self.arithmetic_type(x, tx).promote()),
            _ => of(ITy::usual(self.arithmetic_type(x, tx), self.arithmetic_type(y, ty))),
        }
    }

    /// `x op y`, operands converted as C does; the result of a comparison is a term if it is unknown.
    pub fn operate(&mut self, op: BinOp, x: V, tx: &CType, y: V, ty: &CType, span: Span) -> Result<V, Stop> {
        if x == V::Poison || y == V::Poison {
            return Ok(V::Poison);
        }
        let (x, y) = (self.settled(x), self.settled(y));
        let order = matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge);
        let pointerish = |v: V, t: &CType| t.depth() > 0 || matches!(v, V::Ptr(_) | V::Page(_) | V::Str | V::Agg(_));
        if pointerish(x, tx) || pointerish(y, ty) {
            return self.operate_pointer(op, x, tx, y, ty, span);
        }
        let (ix, iy) = (self.arithmetic_type(x, tx), self.arithmetic_type(y, ty));
        let common = match op {
            BinOp::Shl | BinOp::Shr => ix.promote(),
            _ => ITy::usual(ix, iy),
        };
        let shift = matches!(op, BinOp::Shl | BinOp::Shr);
        let x = self.to(x, ix, common);
        let y = if shift { y } else { self.to(y, iy, common) };
        if let Some(v) = binary(op, x, y) {
            return Ok(v);
        }
        if let (V::Int(..), V::Int(..)) = (x, y) {
            return Err(Stop::Fault("a division by zero, or a shift too far".into()));
        }
        let (a, b) = (self.w.operand(x), self.w.operand(y));
        // x + 0, x * 1 and the like stay x.
        match (op, y) {
            (BinOp::Add | BinOp::Sub | BinOp::Shl | BinOp::Shr | BinOp::BitOr | BinOp::BitXor, V::Int(0, _)) => {
                return Ok(x);
            }
            (BinOp::Mul | BinOp::Div, V::Int(1, _)) => return Ok(x),
            (BinOp::Mul | BinOp::BitAnd, V::Int(0, _)) => return Ok(y),
            _ => {}
        }
        match (op, x) {
            (BinOp::Add | BinOp::BitOr, V::Int(0, _)) => return Ok(y),
            (BinOp::Mul | BinOp::BitAnd, V::Int(0, _)) => return Ok(x),
            _ => {}
        }
        let rt = if order { ITy::INT } else { common };
        let (a, b) = match op {
            BinOp::Add | BinOp::Mul | BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Eq | BinOp::Ne if a > b => {
                (b, a)
            }
            _ => (a, b),
        };
        let t = self.w.term(Term::Bin(op, a, b), Some(rt));
        Ok(match self.trail.eval(&self.w, t) {
            Some(v) => v,
            None => V::Term(t),
        })
    }
    /// A term with a known value is that value.
    pub fn settled(&mut self, v: V) -> V {
        match v {
            V::Term(t) => match self.trail.eval(&self.w, t) {
                Some(V::Poison) | None => v,
                Some(k) => k,
            },
            V::Ptr(p) => self.address(p),
            _ => v,
        }
    }
    fn to(&mut self, v: V, from: ITy, to: ITy) -> V {
        match v {
            V::Int(n, _) => V::Int(to.wrap(n), to),
            V::Term(t) if to.min() <= from.min() && from.max() <= to.max() => V::Term(t),
            V::Term(t) if self.w.ty(t).is_none() => V::Term(t),
            V::Term(t) => V::Term(self.w.term(Term::Cast(to, t), Some(to))),
            _ => v,
        }
    }
    fn operate_pointer(&mut self, op: BinOp, x: V, tx: &CType, y: V, ty: &CType, span: Span) -> Result<V, Stop> {
        // Whether two pages are the same one.
        self.observed |= [(x, tx), (y, ty)].iter().all(|(v, t)| matches!(v, V::Page(_)) || t.page_depth() == Some(1));
        if let Some(v) = binary(op, x, y) {
            return Ok(v);
        }
        match op {
            BinOp::Add | BinOp::Sub => {
                let (p, n, sign) = if ty.depth() == 0 && !matches!(y, V::Ptr(_)) {
                    (x, y, if op == BinOp::Sub { -1 } else { 1 })
                } else if op == BinOp::Add {
                    (y, x, 1)
                } else {
                    let (a, b) = (self.w.operand(x), self.w.operand(y));
                    return Ok(V::Term(self.w.term(Term::Bin(op, a, b), Some(ITy::LONG))));
                };
                match p {
                    V::Page(_) | V::Term(_) | V::Ptr(_) => {}
                    _ => {
                        let (a, b) = (self.w.operand(x), self.w.operand(y));
                        return Ok(V::Term(self.w.term(Term::Bin(op, a, b), Some(ITy::ULONG))));
                    }
                }
                // Bytes of a buffer are not told apart: an address in it stays an address in it.
                let bytes = tx.ptr.max(ty.ptr) <= 1
                    && !matches!(tx.base, Base::Struct(_))
                    && !matches!(ty.base, Base::Struct(_));
                if bytes && matches!(n, V::Term(_)) {
                    let (a, b) = (self.w.operand(x), self.w.operand(y));
                    return Ok(V::Term(self.w.term(Term::Bin(op, a, b), None)));
                }
                let n = self.number(n, span)?;
                let base = match p {
                    V::Term(t) => Ptr { obj: self.w.obj(Obj::Lazy(t)), path: 0, idx: 0 },
                    V::Page(_) => {
                        let t = self.w.operand(p);
                        Ptr { obj: self.w.obj(Obj::Lazy(t)), path: 0, idx: 0 }
                    }
                    V::Ptr(q) => q,
                    _ => return self.unsupported(span, "arithmetic on this pointer"),
                };
                let q = self.step(base, sign * n)?;
                Ok(self.address(q))
            }
            _ => {
                let (a, b) = (self.w.operand(x), self.w.operand(y));
                let order = matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge);
                let t = self.w.term(Term::Bin(op, a, b), Some(if order { ITy::INT } else { ITy::ULONG }));
                Ok(self.trail.eval(&self.w, t).unwrap_or(V::Term(t)))
            }
        }
    }
}

fn decay(t: &CType) -> CType {
    if t.dims.is_empty() {
        return t.clone();
    }
    let mut d = t.deref();
    d.ptr += 1;
    d
}
