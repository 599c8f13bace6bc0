//! Values of the interpreted C: integers of the LP64 model, pointers, pages, and terms for what is unknown.
//!
//! A term is hash-consed: two expressions over the same unknowns are the same number. The [`World`] that numbers terms,
//! names, places and objects lives as long as the proof, so that the run before the rewrite and the run after it speak
//! of the same things. It knows nothing of statements, choices or pages.

use crate::ast::{Base, BinOp, CType};
use crate::model::Page;
use crate::source::Name;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::rc::Rc;

/// An integer type: width in bits (1 is `bool`) and signedness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ITy {
    pub signed: bool,
    pub bits: u8,
}

impl ITy {
    pub const BOOL: ITy = ITy { signed: false, bits: 1 };
    pub const INT: ITy = ITy { signed: true, bits: 32 };
    pub const UINT: ITy = ITy { signed: false, bits: 32 };
    pub const LONG: ITy = ITy { signed: true, bits: 64 };
    pub const ULONG: ITy = ITy { signed: false, bits: 64 };

    /// Smallest value.
    pub fn min(self) -> i128 {
        if self.signed { -(1i128 << (self.bits - 1)) } else { 0 }
    }
    /// Largest value.
    pub fn max(self) -> i128 {
        if self.signed { (1i128 << (self.bits - 1)) - 1 } else { (1i128 << self.bits) - 1 }
    }
    /// Conversion of `v` to this type, as C does it on every kernel compiler (two's complement, `bool` by `!= 0`).
    pub fn wrap(self, v: i128) -> i128 {
        if self.bits == 1 && !self.signed {
            return i128::from(v != 0);
        }
        // The low bits: the remainder by a power of two, without a division of 128 bits.
        let m = 1i128 << self.bits;
        let r = v & (m - 1);
        if self.signed && r > self.max() { r - m } else { r }
    }
    /// Integer promotion.
    pub fn promote(self) -> ITy {
        if self.bits < 32 { ITy::INT } else { self }
    }
    /// Usual arithmetic conversions.
    pub fn usual(a: ITy, b: ITy) -> ITy {
        let (a, b) = (a.promote(), b.promote());
        match a.bits.cmp(&b.bits) {
            std::cmp::Ordering::Greater => a,
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal => ITy { signed: a.signed && b.signed, bits: a.bits },
        }
    }
}

/// The integer type of a C type; `None` for pointers, structs and what we do not know.
pub fn int_type(t: &CType) -> Option<ITy> {
    if t.ptr > 0 || !t.dims.is_empty() || t.function {
        return None;
    }
    match &t.base {
        Base::Bool => Some(ITy::BOOL),
        Base::Int { signed, bits } => Some(ITy { signed: *signed, bits: *bits }),
        Base::Enum(_) => Some(ITy::UINT),
        _ => None,
    }
}

/// Number of an interned name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameId(pub u32);

/// Number of an interned term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TermId(pub u32);

/// Number of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjId(pub u32);

/// A place: element `idx` of the array that lies at `path` in the object. A scalar is an array of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ptr {
    pub obj: ObjId,
    /// 0 is the object itself; others are fields, see [`World::field`].
    pub path: u32,
    pub idx: i64,
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum V {
    /// A number; NULL and `ERR_PTR()` are numbers, too.
    Int(i128, ITy),
    /// Unknown.
    Term(TermId),
    /// Address of a place.
    Ptr(Ptr),
    /// A `struct page *` that is known.
    Page(Page),
    /// A string literal.
    Str,
    /// The value of a struct: the place where it lies.
    Agg(Ptr),
    /// Memory that was never written.
    Poison,
    /// No value.
    Void,
}

impl V {
    pub const NULL: V = V::Int(0, ITy::ULONG);
    pub fn int(v: i128) -> V {
        V::Int(v, ITy::INT)
    }
    pub fn bool(b: bool) -> V {
        V::Int(i128::from(b), ITy::INT)
    }
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Obj {
    /// A local variable or parameter of a call.
    Local(u32, NameId),
    /// A variable of file scope.
    Global(NameId),
    /// What an unknown pointer points to.
    Lazy(TermId),
    /// The n-th allocation of a run.
    Alloc(u32, NameId),
}

/// A term.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// A value, as operand of a term.
    Val(V),
    /// What a place held before anybody wrote it.
    Cell(Ptr),
    /// What a place holds after the n-th opaque call that may have written it.
    Havoc(u32, Ptr),
    /// A constant, enumerator or macro that we do not know.
    Const(NameId),
    /// Result of an opaque call: name, occurrence, arguments.
    Call(NameId, u32, Rc<[TermId]>),
    /// Result of a call that depends on its arguments only.
    Pure(NameId, Rc<[TermId]>),
    /// The n-th element that an iterator macro meets.
    Elem(Rc<[TermId]>, u32),
    /// Number of elements that an iterator macro meets.
    Length(Rc<[TermId]>),
    /// Integer conversion.
    Cast(ITy, TermId),
    /// Unary operator: `-`, `~`, `!`.
    Un(char, TermId),
    /// Binary operator.
    Bin(BinOp, TermId, TermId),
}

/// Everything that has a number. Lives as long as the proof.
#[derive(Default)]
pub struct World {
    names: Vec<Name>,
    name_ids: FxHashMap<Name, NameId>,
    terms: Vec<(Term, Option<ITy>)>,
    term_ids: FxHashMap<Term, TermId>,
    /// A term that had no type got one.
    pub retyped: bool,
    objs: Vec<Obj>,
    obj_ids: FxHashMap<Obj, ObjId>,
    /// Path n (from 1): parent path, index in it, field.
    paths: Vec<(u32, i64, NameId)>,
    path_ids: FxHashMap<(u32, i64, NameId), u32>,
    /// How deep `show` is: terms share their parts, and their text grows with the depth as 2 to its power.
    depth: Cell<u8>,
}

/// Terms below this depth are shown as `…`.
const SHOWN_DEPTH: u8 = 8;

impl World {
    pub fn name(&mut self, n: &str) -> NameId {
        if let Some(&id) = self.name_ids.get(n) {
            return id;
        }
        let id = NameId(self.names.len() as u32);
        let n: Name = n.into();
        self.names.push(n.clone());
        self.name_ids.insert(n, id);
        id
    }
    pub fn spell(&self, n: NameId) -> &str {
        self.names.get(n.0 as usize).map_or("", |s| s)
    }
    /// Numbers a term; `ty` is its integer type, if it is an integer.
    pub fn term(&mut self, t: Term, ty: Option<ITy>) -> TermId {
        if let Some(&id) = self.term_ids.get(&t) {
            let known = &mut self.terms[id.0 as usize].1;
            if known.is_none() && ty.is_some() {
                *known = ty;
                self.retyped = true;
            }
            return id;
        }
        let id = TermId(self.terms.len() as u32);
        self.terms.push((t.clone(), ty));
        self.term_ids.insert(t, id);
        id
    }
    pub fn get(&self, t: TermId) -> &Term {
        &self.terms[t.0 as usize].0
    }
    /// Integer type of a term, if known.
    pub fn ty(&self, t: TermId) -> Option<ITy> {
        self.terms[t.0 as usize].1
    }
    /// The value as operand of a term.
    pub fn operand(&mut self, v: V) -> TermId {
        match v {
            V::Term(t) => t,
            V::Int(_, ty) => self.term(Term::Val(v), Some(ty)),
            _ => self.term(Term::Val(v), None),
        }
    }
    pub fn obj(&mut self, o: Obj) -> ObjId {
        if let Some(&id) = self.obj_ids.get(&o) {
            return id;
        }
        let id = ObjId(self.objs.len() as u32);
        self.objs.push(o);
        self.obj_ids.insert(o, id);
        id
    }
    pub fn what(&self, o: ObjId) -> Obj {
        self.objs[o.0 as usize]
    }
    /// The place of field `name` of the struct at `p`.
    pub fn field(&mut self, p: Ptr, name: NameId) -> Ptr {
        let key = (p.path, p.idx, name);
        let path = match self.path_ids.get(&key) {
            Some(&id) => id,
            None => {
                self.paths.push(key);
                let id = self.paths.len() as u32;
                self.path_ids.insert(key, id);
                id
            }
        };
        Ptr { obj: p.obj, path, idx: 0 }
    }
    /// The struct that the field place `p` lies in, and the field; `None` at the top of an object.
    pub fn parent(&self, p: Ptr) -> Option<(Ptr, NameId)> {
        let (path, idx, name) = *self.paths.get(p.path.checked_sub(1)? as usize)?;
        Some((Ptr { obj: p.obj, path, idx }, name))
    }
    /// Whether `p` is `outer` or lies inside the element `outer`.
    pub fn inside(&self, p: Ptr, outer: Ptr) -> bool {
        if p.obj != outer.obj {
            return false;
        }
        let mut at = p;
        loop {
            if at == outer {
                return true;
            }
            match self.parent(at) {
                Some((up, _)) => at = up,
                None => return false,
            }
        }
    }
    /// Whether `p` lies in the array at the path of `outer`, whatever the index.
    pub fn inside_array(&self, p: Ptr, outer: Ptr) -> bool {
        if p.obj != outer.obj {
            return false;
        }
        let mut at = p;
        loop {
            if at.path == outer.path {
                return true;
            }
            match self.parent(at) {
                Some((up, _)) => at = up,
                None => return false,
            }
        }
    }

    /// The place as a C programmer writes it.
    pub fn show_ptr(&self, p: Ptr) -> String {
        match self.parent(p) {
            Some((up, f)) => {
                let dot = if up.idx == 0 && up.path == 0 && matches!(self.what(up.obj), Obj::Lazy(_) | Obj::Alloc(..)) {
                    format!("{}->", self.show_obj(up.obj))
                } else {
                    format!("{}.", self.show_ptr(up))
                };
                let index = if p.idx == 0 { String::new() } else { format!("[{}]", p.idx) };
                format!("{dot}{}{index}", self.spell(f))
            }
            None => match self.what(p.obj) {
                Obj::Local(..) | Obj::Global(_) if p.idx == 0 => self.show_obj(p.obj),
                _ => format!("{}[{}]", self.show_obj(p.obj), p.idx),
            },
        }
    }
    fn show_obj(&self, o: ObjId) -> String {
        match self.what(o) {
            Obj::Local(_, n) | Obj::Global(n) => self.spell(n).to_string(),
            Obj::Lazy(t) => self.show(t),
            Obj::Alloc(n, name) => format!("<{} #{}>", self.spell(name), n + 1),
        }
    }
    /// The value as a C programmer writes it.
    pub fn show_value(&self, v: V) -> String {
        match v {
            V::Int(n, ty) if ty.bits == 64 && !ty.signed && n > ITy::LONG.max() => {
                format!("(unsigned long){}", ITy::LONG.wrap(n))
            }
            V::Int(n, ITy::UINT | ITy::ULONG) if n <= ITy::UINT.max() && n > ITy::UINT.max() - 4096 => {
                format!("(unsigned int){}", ITy::INT.wrap(n))
            }
            V::Int(n, _) => n.to_string(),
            V::Term(t) => self.show(t),
            V::Ptr(p) => format!("&{}", self.show_ptr(p)),
            V::Page(p) if p.idx == 0 => format!("page {}", p.folio.0),
            V::Page(p) => format!("page {}+{}", p.folio.0, p.idx),
            V::Str => "\"…\"".into(),
            V::Agg(p) => self.show_ptr(p),
            V::Poison => "<never written>".into(),
            V::Void => "<nothing>".into(),
        }
    }
    /// The term as a C programmer writes it.
    pub fn show(&self, t: TermId) -> String {
        if self.depth.get() >= SHOWN_DEPTH {
            return "…".to_string();
        }
        self.depth.set(self.depth.get() + 1);
        let text = self.show_term(t);
        self.depth.set(self.depth.get().saturating_sub(1));
        text
    }
    fn show_term(&self, t: TermId) -> String {
        let list = |a: &[TermId]| a.iter().map(|&t| self.show(t)).collect::<Vec<_>>().join(", ");
        match self.get(t) {
            Term::Val(v) => self.show_value(*v),
            Term::Cell(p) | Term::Havoc(_, p) => self.show_ptr(*p),
            Term::Const(n) => self.spell(*n).to_string(),
            Term::Call(n, _, a) | Term::Pure(n, a) => format!("{}({})", self.spell(*n), list(a)),
            Term::Elem(a, n) => format!("<element {} of {}>", n, list(a)),
            Term::Length(a) => format!("<length of {}>", list(a)),
            Term::Cast(_, a) => self.show(*a),
            Term::Un(o, a) => format!("{o}({})", self.show(*a)),
            // Constants were moved to the front to make equal terms equal.
            Term::Bin(o @ (BinOp::BitAnd | BinOp::BitOr | BinOp::Add | BinOp::Mul | BinOp::Eq | BinOp::Ne), a, b)
                if matches!(self.get(*a), Term::Val(_) | Term::Const(_)) =>
            {
                format!("{} {} {}", self.show_operand(*b), spell_op(*o), self.show_operand(*a))
            }
            Term::Bin(o, a, b) => format!("{} {} {}", self.show_operand(*a), spell_op(*o), self.show_operand(*b)),
        }
    }
    /// The same, in parentheses where it is composed.
    pub fn show_operand(&self, t: TermId) -> String {
        match self.get(t) {
            Term::Bin(..) => format!("({})", self.show(t)),
            _ => self.show(t),
        }
    }
}

/// The operator in C.
pub fn spell_op(o: BinOp) -> &'static str {
    match o {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::Div => "/",
        BinOp::Rem => "%",
        BinOp::Shl => "<<",
        BinOp::Shr => ">>",
        BinOp::BitAnd => "&",
        BinOp::BitOr => "|",
        BinOp::BitXor => "^",
        BinOp::Eq => "==",
        BinOp::Ne => "!=",
        BinOp::Lt => "<",
        BinOp::Le => "<=",
        BinOp::Gt => ">",
        BinOp::Ge => ">=",
        BinOp::And => "&&",
        BinOp::Or => "||",
    }
}

/// `a op b` on numbers of type `ty` (the type after the usual conversions); `None` for a division by zero or a shift
/// out of range.
pub fn compute(op: BinOp, a: i128, b: i128, ty: ITy) -> Option<V> {
    let (x, y) = (ty.wrap(a), ty.wrap(b));
    let num = |v: i128| Some(V::Int(ty.wrap(v), ty));
    let truth = |b: bool| Some(V::bool(b));
    match op {
        BinOp::Add => num(x + y),
        BinOp::Sub => num(x - y),
        BinOp::Mul => num(x.checked_mul(y)?),
        BinOp::Div => num(x.checked_div(y)?),
        BinOp::Rem => num(x.checked_rem(y)?),
        BinOp::Shl => num(x.checked_shl(u32::try_from(b).ok().filter(|&s| s < u32::from(ty.bits))?)?),
        BinOp::Shr => num(x.checked_shr(u32::try_from(b).ok().filter(|&s| s < u32::from(ty.bits))?)?),
        BinOp::BitAnd => num(x & y),
        BinOp::BitOr => num(x | y),
        BinOp::BitXor => num(x ^ y),
        BinOp::Eq => truth(x == y),
        BinOp::Ne => truth(x != y),
        BinOp::Lt => truth(x < y),
        BinOp::Le => truth(x <= y),
        BinOp::Gt => truth(x > y),
        BinOp::Ge => truth(x >= y),
        BinOp::And => truth(x != 0 && y != 0),
        BinOp::Or => truth(x != 0 || y != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_follow_lp64() {
        assert_eq!(ITy::UINT.wrap(-14), 4294967282);
        assert_eq!(ITy::INT.wrap(4294967282), -14);
        assert_eq!(ITy::ULONG.wrap(-14), (1i128 << 64) - 14);
        assert_eq!(ITy::BOOL.wrap(8), 1);
        assert_eq!(ITy::usual(ITy::INT, ITy::UINT), ITy::UINT);
        assert_eq!(ITy::usual(ITy::UINT, ITy::LONG), ITy::LONG);
        assert_eq!(ITy::usual(ITy::LONG, ITy::ULONG), ITy::ULONG);
        // -14 < 2u is false in C.
        assert_eq!(compute(BinOp::Lt, -14, 2, ITy::usual(ITy::INT, ITy::UINT)), Some(V::bool(false)));
        assert_eq!(compute(BinOp::Div, 1, 0, ITy::INT), None);
    }

    #[test]
    fn equal_terms_have_one_number() {
        let mut w = World::default();
        let n = w.name("n");
        let o = w.obj(Obj::Local(0, n));
        let p = Ptr { obj: o, path: 0, idx: 0 };
        let a = w.term(Term::Cell(p), Some(ITy::INT));
        let b = w.term(Term::Cell(p), None);
        assert_eq!(a, b);
        assert_eq!(w.ty(b), Some(ITy::INT));
        assert_eq!(w.show(a), "n");
    }
}
