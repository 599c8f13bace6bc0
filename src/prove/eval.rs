//! Expressions: values, places, arithmetic, truth.
//!
//! Evaluation carries the static type along, as far as declarations tell it: conversions and pointer steps depend on
//! it. What is not declared anywhere is a constant or variable of unknown value.

use super::exec::Machine;
use super::state::{Fill, Phase};
use super::story::Assumed;
use super::trail::{Stop, truth_of};
use super::value::{ITy, Obj, Ptr, Term, V, int_type};
use crate::ast::{Base, BinOp, CType, Designator, Expr, ExprKind, UnOp};
use crate::source::{Name, Span};

/// A value with its static type.
pub type Typed = (V, CType);

fn int() -> CType {
    CType::int()
}
fn ulong() -> CType {
    CType { base: Base::Int { signed: false, bits: 64 }, ptr: 0, dims: Vec::new(), function: false }
}
/// Whether values of the type live in one cell.
fn is_struct(t: &CType) -> bool {
    t.ptr == 0 && t.dims.is_empty() && matches!(t.base, Base::Struct(_) | Base::Union(_))
}

impl Machine<'_> {
    /// The place of a variable, and its type.
    pub fn variable(&mut self, name: &Name) -> (Ptr, CType) {
        let n = self.w.name(name);
        let local = self.frame().and_then(|f| f.types.get(&n).map(|t| (f.id, t.clone())));
        match local {
            Some((id, ty)) => (Ptr { obj: self.w.obj(Obj::Local(id, n)), path: 0, idx: 0 }, ty),
            None => (Ptr { obj: self.w.obj(Obj::Global(n)), path: 0, idx: 0 }, CType::unknown()),
        }
    }
    pub(super) fn is_local(&mut self, name: &Name) -> bool {
        let n = self.w.name(name);
        self.frame().is_some_and(|f| f.types.contains_key(&n))
    }

    /// Truth of a condition.
    pub fn condition(&mut self, e: &Expr) -> Result<bool, Stop> {
        let (v, _) = self.eval(e)?;
        self.truth(v)
    }
    /// Truth of a value.
    pub fn truth(&mut self, v: V) -> Result<bool, Stop> {
        match v {
            V::Term(t) => self.trail.decide(&mut self.w, t),
            V::Ptr(p) if p.path == 0 && p.idx == 0 => match self.w.what(p.obj) {
                Obj::Lazy(t) => self.trail.decide(&mut self.w, t),
                _ => Ok(true),
            },
            _ => truth_of(v).ok_or_else(|| Stop::Fault("a value that was never written decides a branch".into())),
        }
    }
    /// The value as a number; unknown ones are picked.
    pub fn number(&mut self, v: V, span: Span) -> Result<i128, Stop> {
        match v {
            V::Int(n, _) => Ok(n),
            V::Term(t) => match self.trail.eval(&self.w, t) {
                Some(V::Int(n, _)) => Ok(n),
                Some(V::Term(_)) | None => self.trail.number(&mut self.w, t),
                Some(v) => self.number(v, span),
            },
            V::Poison | V::Void => Err(Stop::Fault("a number that was never written is used".into())),
            _ => self.unsupported(span, "a pointer used as a number"),
        }
    }
    /// What a pointer points to, as a place.
    pub fn pointee(&mut self, v: V) -> Result<Ptr, Stop> {
        match v {
            V::Ptr(p) => {
                let root = Ptr { obj: p.obj, path: 0, idx: 0 };
                if self.st.freed.contains(&root) {
                    return Err(Stop::Fault(format!("{} is used after it was freed", self.w.show_ptr(p))));
                }
                Ok(p)
            }
            V::Agg(p) => Ok(p),
            V::Int(0, _) => Err(Stop::Fault("NULL is followed".into())),
            V::Int(n, _) => Err(Stop::Fault(format!("{n} is followed as a pointer"))),
            V::Poison | V::Void => Err(Stop::Fault("a pointer that was never written is followed".into())),
            V::Page(_) | V::Str => {
                let t = self.w.operand(v);
                Ok(Ptr { obj: self.w.obj(Obj::Lazy(t)), path: 0, idx: 0 })
            }
            V::Term(t) => {
                match self.trail.eval(&self.w, t) {
                    Some(V::Term(u)) if u != t => return self.pointee(V::Term(u)),
                    Some(V::Term(_)) | None | Some(V::Page(_)) => {}
                    Some(v) => return self.pointee(v),
                }
                let err = self.w.name("IS_ERR");
                let err = self.w.term(Term::Pure(err, [t].into()), Some(ITy::INT));
                if self.trail.known_truth(err) == Some(true) || self.trail.eval(&self.w, err) == Some(V::int(1)) {
                    return Err(Stop::Fault(format!("the error pointer {} is followed", self.w.show(t))));
                }
                let null = match self.trail.known_truth(t) {
                    Some(b) => !b,
                    // Followed by the old code: NULL would crash it, so there is nothing to compare.
                    None if self.phase != Phase::After => false,
                    None => !self.trail.decide(&mut self.w, t)?,
                };
                if null {
                    return Err(Stop::Fault(format!("{} is NULL and is followed", self.w.show(t))));
                }
                if self.trail.known_truth(t).is_none() {
                    self.trail.set_truth(t, true);
                }
                let p = Ptr { obj: self.w.obj(Obj::Lazy(t)), path: 0, idx: 0 };
                if self.st.freed.contains(&p) {
                    return Err(Stop::Fault(format!("{} is used after it was freed", self.w.show(t))));
                }
                Ok(p)
            }
        }
    }

    /// The value at a place. Arrays and structs give their address.
    pub fn load(&mut self, p: Ptr, ty: &CType) -> V {
        if !ty.dims.is_empty() {
            return V::Ptr(p);
        }
        if is_struct(ty) {
            return V::Agg(p);
        }
        if let Obj::Alloc(number, _) = self.w.what(p.obj)
            && p.path == 0
            && let Some(&n) = self.st.sizes.get(&number)
            && let V::Int(n, _) = self.settled(n)
            && !(0..n.max(0)).contains(&i128::from(p.idx))
        {
            // Behind the end of the allocation.
            return V::Poison;
        }
        self.reads(p);
        if let Some((up, group)) = self.union_of(p)
            && let Some(&last) = self.st.unions.get(&(up, group))
            && self.w.parent(p).is_some_and(|(_, f)| f != last)
        {
            // Another member of the union was written: these bytes mean something else.
            let written = self.w.field(up, last);
            let v = self.st.read(&mut self.w, Ptr { idx: p.idx, ..written }, &CType::unknown());
            return match v {
                V::Poison => V::Poison,
                v => {
                    let t = self.w.operand(v);
                    let n = self.w.name("bytes of");
                    V::Term(self.w.term(Term::Pure(n, [t].into()), int_type(ty)))
                }
            };
        }
        if let Some((up, f)) = self.w.parent(p)
            && let Some(&(_, first)) = self.unions.get(&f)
            && first != f
            && !self.st.cells.contains_key(&p)
        {
            let q = self.w.field(up, first);
            return self.st.read(&mut self.w, Ptr { idx: p.idx, ..q }, ty);
        }
        self.st.read(&mut self.w, p, ty)
    }
    /// Writes a place.
    pub fn store(&mut self, p: Ptr, v: V, ty: &CType) -> Result<(), Stop> {
        if let V::Agg(from) = v {
            self.copy_area(p, from);
            return Ok(());
        }
        let v = self.convert(v, ty);
        self.writes(p);
        if let Some((up, group)) = self.union_of(p)
            && let Some((_, f)) = self.w.parent(p)
        {
            self.st.unions.insert((up, group), f);
        }
        self.st.cells.insert(p, v);
        Ok(())
    }
    /// Copies the element `from` to the element `to`.
    pub fn copy_area(&mut self, to: Ptr, from: Ptr) {
        let mut cells: Vec<(Ptr, V)> =
            self.st.cells.iter().filter(|&(&p, _)| self.w.inside(p, from)).map(|(&p, &v)| (p, v)).collect();
        cells.sort();
        self.st.refill(&self.w, to, false, Fill::CopyOf(from));
        for (p, v) in cells {
            let q = super::state::rebase(&mut self.w, p, from, to);
            self.st.cells.insert(q, v);
        }
    }
    /// The union that a field place lies in: the struct, and which run of union members in it.
    fn union_of(&mut self, p: Ptr) -> Option<(Ptr, u32)> {
        let (up, f) = self.w.parent(p)?;
        self.unions.get(&f).map(|&(g, _)| (up, g))
    }

    /// A place that can be written.
    pub fn place(&mut self, e: &Expr) -> Result<(Ptr, CType), Stop> {
        match &e.kind {
            ExprKind::Ident(n) => Ok(self.variable(n)),
            ExprKind::Unary(UnOp::Deref, x) => {
                let (v, t) = self.eval(x)?;
                Ok((self.pointee(v)?, t.deref()))
            }
            ExprKind::Index(a, i) => {
                let (v, t) = self.eval(a)?;
                let (n, _) = self.eval(i)?;
                let p = self.pointee(v)?;
                let n = self.number(n, i.span)?;
                let t = t.deref();
                let p = self.step(p, n)?;
                if t.dims.is_empty() {
                    Ok((p, t))
                } else {
                    let row = self.w.name("[]");
                    Ok((self.w.field(p, row), t))
                }
            }
            ExprKind::Field { base, name, arrow, .. } => {
                let (p, t) = if *arrow {
                    let (v, t) = self.eval(base)?;
                    let v = self.same_holder(v, &t);
                    (self.pointee(v)?, t.deref())
                } else {
                    match &base.kind {
                        ExprKind::Ident(_) | ExprKind::Unary(..) | ExprKind::Index(..) | ExprKind::Field { .. } => {
                            self.place(base)?
                        }
                        _ => {
                            let (v, t) = self.eval(base)?;
                            (self.pointee(v)?, t)
                        }
                    }
                };
                let ty = self.field_type(&t, name);
                let n = self.w.name(name);
                let p = self.w.field(p, n);
                if let Some(tag) = t.tag() {
                    let tag = self.w.name(tag);
                    if self.tags.insert(p, tag).is_some_and(|old| old != tag) {
                        self.forget_saves();
                    }
                }
                Ok((p, ty))
            }
            ExprKind::Cast(t, x) => {
                let (p, _) = self.place(x)?;
                Ok((p, t.clone()))
            }
            ExprKind::CompoundLiteral(t, init) => {
                let n = self.w.name(&format!("literal at {}", e.span.start));
                let id = self.frame().map_or(0, |f| f.id);
                let p = Ptr { obj: self.w.obj(Obj::Local(id, n)), path: 0, idx: 0 };
                self.st.refill(&self.w, p, true, Fill::Zero);
                self.initialise(p, t, init)?;
                Ok((p, t.clone()))
            }
            ExprKind::Comma(a, b) => {
                self.eval(a)?;
                self.place(b)
            }
            _ => {
                let (v, t) = self.eval(e)?;
                match v {
                    V::Agg(p) => Ok((p, t)),
                    _ => self.unsupported(e.span, "an expression that is no place is written or its address taken"),
                }
            }
        }
    }
    /// Later entries work on the objects of the first one, as far as struct tags tell.
    fn same_holder(&mut self, v: V, t: &CType) -> V {
        let Some(tag) = (t.depth() == 1).then(|| t.tag()).flatten() else { return v };
        if !self.later {
            let first = self.settled(v);
            self.holders.entry(tag.clone()).or_insert(first);
            return v;
        }
        let v = self.settled(v);
        if let Some(holder) = self.part_of_holder(v, tag) {
            return holder;
        }
        let (V::Term(x), Some(&holder)) = (v, self.holders.get(tag)) else { return v };
        if holder != V::Term(x) && self.trail.value(x).is_none() {
            self.trail.set_value(x, holder);
            return holder;
        }
        v
    }
    /// A struct that lies in an object of the first entry is the one that the first entry was given by its address, if
    /// it was given one and knew of no other.
    fn part_of_holder(&mut self, v: V, tag: &Name) -> Option<V> {
        let (V::Ptr(p), &V::Term(x)) = (v, self.holders.get(tag)?) else { return None };
        let Obj::Lazy(whole) = self.w.what(p.obj) else { return None };
        let known = self.holders.values().any(|&h| h == V::Term(whole));
        if p.path == 0 || !known || x == whole || self.trail.value(x).is_some() {
            return None;
        }
        let same = format!("{} is what the code before was given as {}", self.w.show_ptr(p), self.w.show(x));
        self.assumed.insert(Assumed::Text(same));
        Some(V::Term(x))
    }
    pub(super) fn step(&mut self, p: Ptr, n: i128) -> Result<Ptr, Stop> {
        if n.abs() > 1 << 32 {
            return Err(Stop::Fault("an index runs off its array".into()));
        }
        Ok(Ptr { idx: p.idx + n as i64, ..p })
    }
    fn field_type(&mut self, of: &CType, name: &Name) -> CType {
        let tag = match &of.base {
            Base::Struct(t) | Base::Union(t) | Base::Named(t) => t.clone(),
            _ => return CType::unknown(),
        };
        let Some(def) = self.structure(&tag) else { return CType::unknown() };
        self.learn_unions(&def);
        def.fields.iter().find(|f| f.name == *name).map_or_else(CType::unknown, |f| f.ty.clone())
    }

    /// Members of one union share a number.
    fn learn_unions(&mut self, def: &crate::ast::StructDef) {
        if !self.learned.insert(def.name.clone()) {
            return;
        }
        let mut group = None;
        for f in &def.fields {
            if !f.in_union && !def.is_union {
                group = None;
                continue;
            }
            let next = self.unions.len() as u32 + 1;
            let n = self.w.name(&f.name);
            let g = *group.get_or_insert((next, n));
            self.unions.insert(n, g);
            self.forget_saves();
        }
    }

    /// Writes an initialiser.
    pub fn initialise(&mut self, p: Ptr, ty: &CType, init: &Expr) -> Result<(), Stop> {
        let ExprKind::InitList(items) = &init.kind else {
            let (v, _) = self.eval(init)?;
            if v == V::Str {
                return Ok(());
            }
            self.narrows(v, init, ty);
            return self.store(p, v, ty);
        };
        self.st.refill(&self.w, p, !ty.dims.is_empty(), Fill::Zero);
        let tag = match &ty.base {
            Base::Struct(t) | Base::Union(t) | Base::Named(t) => Some(t.clone()),
            _ => None,
        };
        let mut index = 0i128;
        for (d, e) in items {
            if !ty.dims.is_empty() {
                if let Some(Designator::Index(i)) = d {
                    let (v, _) = self.eval(i)?;
                    index = self.number(v, i.span)?;
                }
                let q = self.step(p, index)?;
                self.initialise(q, &ty.deref(), e)?;
                index += 1;
                continue;
            }
            let field = match d {
                Some(Designator::Field(n)) => Some(n.clone()),
                _ => tag
                    .as_ref()
                    .and_then(|t| self.structure(t))
                    .and_then(|s| s.fields.get(index as usize).map(|f| f.name.clone())),
            };
            index += 1;
            match field {
                Some(n) => {
                    let t = self.field_type(ty, &n);
                    let n = self.w.name(&n);
                    let q = self.w.field(p, n);
                    self.initialise(q, &t, e)?;
                }
                None => {
                    // `{ 0 }` of an unknown struct.
                    self.eval(e)?;
                }
            }
        }
        Ok(())
    }

    /// The value of an expression.
    pub fn eval(&mut self, e: &Expr) -> Result<Typed, Stop> {
        match &e.kind {
            ExprKind::Ident(n) => self.identifier(n),
            ExprKind::Int { value, ty } => {
                let t = int_type(ty).unwrap_or(ITy::INT);
                Ok((V::Int(t.wrap(*value), t), ty.clone()))
            }
            ExprKind::Str => Ok((
                V::Str,
                CType { base: Base::Int { signed: true, bits: 8 }, ptr: 1, dims: Vec::new(), function: false },
            )),
            ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..) | ExprKind::Field { .. } => {
                let (p, t) = self.place(e)?;
                Ok((self.load(p, &t), t))
            }
            ExprKind::CompoundLiteral(..) => {
                let (p, t) = self.place(e)?;
                Ok((self.load(p, &t), t))
            }
            ExprKind::Unary(UnOp::AddrOf, x) => {
                let (p, t) = self.place(x)?;
                Ok((self.address(p), t.address_of()))
            }
            ExprKind::Unary(op, x) => {
                let (v, t) = self.eval(x)?;
                self.unary(*op, v, &t)
            }
            ExprKind::IncDec { inc, prefix, operand } => {
                let (p, t) = self.place(operand)?;
                let old = self.load(p, &t);
                let op = if *inc { BinOp::Add } else { BinOp::Sub };
                let new = self.operate(op, old, &t, V::int(1), &int(), e.span)?;
                self.store(p, new, &t)?;
                let new = self.load(p, &t);
                Ok((if *prefix { new } else { old }, t))
            }
            ExprKind::Binary(op @ (BinOp::And | BinOp::Or), a, b) => {
                let x = self.condition(a)?;
                let r = if x == (*op == BinOp::And) { self.condition(b)? } else { x };
                Ok((V::bool(r), int()))
            }
            ExprKind::Binary(op, a, b) => {
                let (x, tx) = self.eval(a)?;
                let (y, ty) = self.eval(b)?;
                let v = self.operate(*op, x, &tx, y, &ty, e.span)?;
                Ok((v, self.result_type(*op, x, &tx, y, &ty)))
            }
            ExprKind::Assign(None, a, b) => {
                let (v, _) = self.eval(b)?;
                let (p, t) = self.place(a)?;
                self.narrows(v, b, &t);
                self.store(p, v, &t)?;
                Ok((self.load(p, &t), t))
            }
            ExprKind::Assign(Some(op), a, b) => {
                let (y, ty) = self.eval(b)?;
                let (p, t) = self.place(a)?;
                let x = self.load(p, &t);
                let v = self.operate(*op, x, &t, y, &ty, e.span)?;
                self.store(p, v, &t)?;
                Ok((self.load(p, &t), t))
            }
            ExprKind::Cond(c, Some(a), b) => {
                if self.condition(c)? {
                    self.eval(a)
                } else {
                    self.eval(b)
                }
            }
            ExprKind::Cond(c, None, b) => {
                let (v, t) = self.eval(c)?;
                if self.truth(v)? { Ok((v, t)) } else { self.eval(b) }
            }
            ExprKind::Comma(a, b) => {
                self.eval(a)?;
                self.eval(b)
            }
            ExprKind::Call { callee, args } => self.call(callee, args, e.span),
            ExprKind::Cast(t, x) => {
                let (v, _) = self.eval(x)?;
                self.narrows(v, x, t);
                Ok((self.convert(v, t), t.clone()))
            }
            ExprKind::Sizeof(t) => Ok((self.size_of(t, e.span), ulong())),
            ExprKind::SizeofExpr(x) => {
                // Not evaluated; only the type matters.
                let saved = (self.st.clone(), self.trail.len());
                let t = match self.place(x) {
                    Ok((_, t)) if self.trail.len() == saved.1 => t,
                    _ => CType::unknown(),
                };
                self.st = saved.0;
                Ok((self.size_of(&t, e.span), ulong()))
            }
            ExprKind::StmtExpr(s) => self.statement_expression(s, e.span),
            ExprKind::InitList(_) => self.unsupported(e.span, "an initialiser in an expression"),
            ExprKind::Type(_) => Ok((V::Void, CType::unknown())),
            ExprKind::Opaque => self.unsupported(e.span, "an expression that was not understood"),
        }
    }

    /// `&place`; the first element behind an unknown pointer is that pointer.
    pub fn address(&mut self, p: Ptr) -> V {
        if p.path == 0
            && p.idx == 0
            && let Obj::Lazy(t) = self.w.what(p.obj)
        {
            return V::Term(t);
        }
        V::Ptr(p)
    }

    pub(super) fn size_of(&mut self, t: &CType, span: Span) -> V {
        let elements: Option<u64> = t.dims.iter().copied().product::<Option<u64>>();
        let one = if t.ptr > 0 {
            Some(8)
        } else {
            let mut flat = t.clone();
            flat.dims.clear();
            int_type(&flat).map(|i| u64::from(i.bits.div_ceil(8)))
        };
        match (elements, one) {
            (Some(n), Some(s)) => V::Int(i128::from(n * s), ITy::ULONG),
            _ => {
                let name = match t.tag() {
                    Some(tag) => format!("sizeof({tag})"),
                    None => format!("sizeof at {}", span.start),
                };
                let n = self.w.name(&name);
                V::Term(self.w.term(Term::Const(n), Some(ITy::ULONG)))
            }
        }
    }

    fn statement_expression(&mut self, s: &crate::ast::Stmt, span: Span) -> Result<Typed, Stop> {
        use crate::ast::StmtKind;
        let StmtKind::Block(list) = &s.kind else { return self.unsupported(span, "a statement expression") };
        let (last, front) = match list.split_last() {
            Some((l, f)) => (l, f),
            None => return Ok((V::Void, CType::unknown())),
        };
        let whole = super::code::Range { list: front, lo: 0, hi: front.len() };
        let code = std::rc::Rc::new(super::code::Code::of_range(whole));
        match self.run(&code)? {
            super::exec::Exit::Way(super::code::Way::Fall) => {}
            _ => return self.unsupported(span, "a jump out of a statement expression"),
        }
        match &last.kind {
            StmtKind::Expr(e) => self.eval(e),
            _ => {
                let one = super::code::Range { list: std::slice::from_ref(last), lo: 0, hi: 1 };
                match self.run(&std::rc::Rc::new(super::code::Code::of_range(one)))? {
                    super::exec::Exit::Way(super::code::Way::Fall) => Ok((V::Void, CType::unknown())),
                    _ => self.unsupported(span, "a jump out of a statement expression"),
                }
            }
        }
    }

    fn identifier(&mut self, n: &Name) -> Result<Typed, Stop> {
        if self.is_local(n) {
            let (p, t) = self.variable(n);
            return Ok((self.load(p, &t), t));
        }
        if let Some(v) = super::names::constant(n) {
            return Ok(v);
        }
        let name = self.w.name(n);
        if n.chars().any(|c| c.is_ascii_uppercase()) && !n.chars().any(|c| c.is_ascii_lowercase()) {
            return Ok((V::Term(self.w.term(Term::Const(name), None)), CType::unknown()));
        }
        let (p, t) = self.variable(n);
        Ok((self.load(p, &t), t))
    }
}
