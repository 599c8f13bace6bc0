//! Calls: builtins, functions of the program that matter, and opaque calls.
//!
//! An opaque call is an event with its arguments; its result is a term of name, occurrence and arguments, so that both
//! versions of the code get the same answer for the same call. It may write through the pointers it gets, but is taken
//! not to change page counts; where it is given pages, that is said in the proof.

use super::exec::Machine;
use super::names::{Builtin, builtin};
use super::pages::PAGE_FUNCTIONS;
use super::state::{Fill, What};
use super::story::Assumed;
use super::trail::Stop;
use super::value::{ITy, Obj, Ptr, Term, TermId, V, int_type};
use crate::ast::{BinOp, CType, Expr, ExprKind, Function};
use crate::kernel::ContextFn;
use crate::source::{FileId, Name, Span};
use std::rc::Rc;
use std::sync::Arc;

type Typed = (V, CType);

fn void() -> Typed {
    (V::Void, CType::unknown())
}

impl Machine<'_> {
    /// Whether the running file defines a function of this name itself (a driver's own `pin_user_pages()`).
    pub fn defined_here(&self, name: &str) -> bool {
        self.task.changed.iter().any(|c| c.file == self.file() && &*c.before.name == name)
            || self.task.functions.iter().any(|(f, n)| *f == self.file() && &**n == name)
    }
    fn function(&mut self, name: &Name) -> Option<(FileId, Arc<Function>)> {
        let file = self.file();
        if let Some(c) = self.task.changed.iter().find(|c| c.file == file && c.before.name == *name) {
            return Some((file, c.before.clone()));
        }
        let key: (FileId, Name) = (file, name.clone());
        if let Some(f) = self.functions.get(&key) {
            return f.clone();
        }
        let f = self.task.program.function(file, name);
        self.functions.insert(key, f.clone());
        f
    }

    /// A call expression.
    pub fn call(&mut self, callee: &Expr, args: &[Expr], span: Span) -> Result<Typed, Stop> {
        let Some(name) = callee.ident().cloned() else {
            let (f, _) = self.eval(callee)?;
            let name = format!("(*{})", self.w.show_value(f));
            return self.opaque(&name, args, None, span);
        };
        self.passes(span);
        if let Some(v) = self.page_call(&name, args, span)? {
            return Ok(v);
        }
        if let Some(b) = builtin(&name)
            && !self.defined_here(&name)
        {
            return self.built_in(b, &name, args, span);
        }
        let context = self.task.api.context(&name);
        match context {
            Some(ContextFn::Enter) => self.st.atomic += 1,
            Some(ContextFn::Leave) => self.st.atomic = (self.st.atomic - 1).max(0),
            _ => {}
        }
        let local = self.is_local(&name);
        if !local
            && context.is_none()
            && let Some((file, f)) = self.function(&name)
        {
            if self.matters(file, &f, 0) {
                let mut v = Vec::with_capacity(args.len());
                for (i, a) in args.iter().enumerate() {
                    let x = self.eval(a)?.0;
                    if let Some(p) = f.params.get(i) {
                        self.narrows(x, a, &p.ty);
                    }
                    v.push(x);
                }
                let r = self.call_function(file, &f, &v, span)?;
                return Ok((r, f.ret.clone()));
            }
            return self.opaque(&name, args, Some(f.ret.clone()), span);
        }
        self.opaque(&name, args, None, span)
    }

    /// Whether a function does something with page references, itself or below.
    pub fn matters(&mut self, file: FileId, f: &Arc<Function>, depth: u32) -> bool {
        let key: (FileId, Name) = (file, f.name.clone());
        if let Some(&m) = self.interesting.get(&key) {
            return m;
        }
        if self.task.changed.iter().any(|c| c.file == file && c.before.name == f.name) {
            self.interesting.insert(key, true);
            return true;
        }
        let mut names: Vec<Name> = Vec::new();
        f.body.walk_exprs(&mut |e| {
            if let Some((n, _)) = e.call() {
                names.push(n.clone());
            }
        });
        let api = self.task.api;
        let own = |n: &str| {
            let reads = matches!(n, "PageDirty" | "PageCompound" | "PageReserved" | "compound_head" | "page_count");
            (PAGE_FUNCTIONS.contains(&n) && !reads) || api.acquire(n).is_some()
        };
        let mut m = names.iter().any(|n| own(n));
        // Provisional answer for recursion.
        self.interesting.insert(key.clone(), m);
        if !m && depth < 3 {
            names.sort();
            names.dedup();
            for n in names {
                if builtin(&n).is_some() || api.context(&n).is_some() || api.borrow(&n).is_some() {
                    continue;
                }
                if let Some((file2, f2)) = self.task.program.function(file, &n)
                    && file2 == file
                    && self.matters(file2, &f2, depth + 1)
                {
                    m = true;
                    break;
                }
            }
        }
        self.interesting.insert(key, m);
        m
    }

    fn terms(&mut self, v: &[Typed]) -> Rc<[TermId]> {
        v.iter()
            .map(|x| {
                let s = self.settled(x.0);
                self.w.operand(s)
            })
            .collect()
    }

    /// A call that is not interpreted.
    pub fn opaque(&mut self, name: &str, args: &[Expr], ret: Option<CType>, span: Span) -> Result<Typed, Stop> {
        let mut v: Vec<Typed> = Vec::with_capacity(args.len());
        for (i, a) in args.iter().enumerate() {
            // A macro may take the name of a variable to set it.
            let unset = match &a.kind {
                _ if i == 0 && self.task.api.sets_variable(name) => Some(self.place(a)?),
                ExprKind::Ident(n) => {
                    let (p, t) = self.variable(n);
                    let known = self.frame().is_some_and(|f| !f.types.is_empty());
                    (known && t.dims.is_empty() && self.st.read(&mut self.w, p, &t) == V::Poison).then_some((p, t))
                }
                _ => None,
            };
            let x = match &a.kind {
                ExprKind::Type(_) => (V::Void, CType::unknown()),
                ExprKind::Opaque => (V::Str, CType::unknown()),
                _ => self.eval(a)?,
            };
            if let Some((p, _)) = unset {
                self.st.calls += 1;
                let n = self.st.calls;
                self.st.refill(&self.w, p, false, Fill::Havoc(n));
                v.push((V::Void, CType::unknown()));
            } else {
                v.push(x);
            }
        }
        let n = self.w.name(name);
        let terms = self.terms(&v);
        let count = self.st.occurred.entry((n, terms.clone())).or_insert(0);
        *count += 1;
        let occurrence = *count;
        self.log(What::Call(n, terms.clone()), span);
        self.st.calls += 1;
        let number = self.st.calls;
        for (x, t) in &v {
            if t.page_depth().is_some() && matches!(x, V::Term(_) | V::Page(_) | V::Ptr(_)) {
                self.assumed.insert(Assumed::References(n));
                continue;
            }
            let area = match *x {
                V::Ptr(p) => p,
                V::Term(t2) if t.ptr > 0 || t.depth() > 0 => Ptr { obj: self.w.obj(Obj::Lazy(t2)), path: 0, idx: 0 },
                _ => continue,
            };
            if self.trusting && !matches!(self.w.what(area.obj), Obj::Local(..)) {
                self.assumed.insert(Assumed::Structs(n));
                continue;
            }
            self.st.refill(&self.w, area, false, Fill::Havoc(number));
        }
        let ty = ret.unwrap_or_else(CType::unknown);
        let t = self.w.term(Term::Call(n, occurrence, terms), int_type(&ty));
        Ok((V::Term(t), ty))
    }

    fn pure(&mut self, name: &str, v: &[Typed], ty: Option<ITy>) -> V {
        let terms = self.terms(v);
        let n = self.w.name(name);
        let t = self.w.term(Term::Pure(n, terms), ty);
        self.trail.eval(&self.w, t).unwrap_or(V::Term(t))
    }

    fn smaller(&mut self, a: &Typed, b: &Typed, min: bool, span: Span) -> Result<Typed, Stop> {
        let c = self.operate(BinOp::Lt, a.0, &a.1, b.0, &b.1, span)?;
        let less = self.truth(c)?;
        Ok(if less == min { a.clone() } else { b.clone() })
    }

    fn built_in(&mut self, b: Builtin, name: &str, args: &[Expr], span: Span) -> Result<Typed, Stop> {
        let mut v: Vec<Typed> = Vec::with_capacity(args.len());
        if !matches!(b, Builtin::ContainerOf | Builtin::ArraySize | Builtin::Swap | Builtin::Print | Builtin::Nothing) {
            // `kmalloc_objs(*pages, n)` takes the type of its first argument (v7.1 include/linux/slab.h).
            let named = matches!(b, Builtin::Alloc | Builtin::ZeroAlloc)
                && ["_obj", "_objs", "_flex"].iter().any(|end| name.ends_with(end));
            for (i, a) in args.iter().enumerate() {
                v.push(match &a.kind {
                    ExprKind::Type(t) => (V::Void, t.clone()),
                    _ if named && i == 0 => (V::Void, CType::unknown()),
                    _ => self.eval(a)?,
                });
            }
        }
        let arg = |i: usize| v.get(i).cloned().unwrap_or((V::Poison, CType::unknown()));
        match b {
            Builtin::Same(i) => Ok(arg(i)),
            Builtin::IsErr | Builtin::IsErrOrNull => {
                let (x, _) = arg(0);
                if b == Builtin::IsErrOrNull && !self.truth(x)? {
                    return Ok((V::bool(true), CType::int()));
                }
                Ok((
                    match self.settled(x) {
                        V::Int(n, _) => V::bool((-4095..0).contains(&ITy::LONG.wrap(n))),
                        V::Term(t) => {
                            let n = self.w.name("IS_ERR");
                            let t = self.w.term(Term::Pure(n, [t].into()), Some(ITy::INT));
                            let c = self.trail.decide(&mut self.w, t)?;
                            V::bool(c)
                        }
                        V::Poison => V::Poison,
                        _ => V::bool(false),
                    },
                    CType::int(),
                ))
            }
            Builtin::Number => {
                let (x, _) = arg(0);
                let long = CType {
                    base: crate::ast::Base::Int { signed: true, bits: 64 },
                    ptr: 0,
                    dims: Vec::new(),
                    function: false,
                };
                Ok((self.convert(x, &long), if name == "PTR_ERR" { long } else { CType::unknown() }))
            }
            Builtin::Min | Builtin::Max => self.smaller(&arg(0), &arg(1), b == Builtin::Min, span),
            Builtin::MinT | Builtin::MaxT => {
                let t = arg(0).1;
                let (a, c) = (self.convert(arg(1).0, &t), self.convert(arg(2).0, &t));
                self.smaller(&(a, t.clone()), &(c, t), b == Builtin::MinT, span)
            }
            Builtin::DivRoundUp => {
                let ((n, tn), (d, td)) = (arg(0), arg(1));
                if let (V::Int(n, t), V::Int(d, _)) = (self.settled(n), self.settled(d))
                    && d > 0
                {
                    return Ok((V::Int(t.wrap((n + d - 1) / d), t), tn));
                }
                let ty = ITy::usual(self.arithmetic_type(n, &tn), self.arithmetic_type(d, &td));
                Ok((self.pure(name, &v, Some(ty)), CType::unknown()))
            }
            Builtin::ArraySize => {
                let (_, t) = match args.first() {
                    Some(a) => self.place(a)?,
                    None => return self.unsupported(span, "ARRAY_SIZE()"),
                };
                match t.dims.first().copied().flatten() {
                    Some(n) => Ok((V::Int(i128::from(n), ITy::ULONG), CType::unknown())),
                    None => {
                        let n = self.w.name(&format!("ARRAY_SIZE at {}", span.start));
                        Ok((V::Term(self.w.term(Term::Const(n), Some(ITy::ULONG))), CType::unknown()))
                    }
                }
            }
            Builtin::BugOn => {
                if self.truth(arg(0).0)? {
                    return Err(Stop::Fault(format!("{name}() at this place")));
                }
                Ok(void())
            }
            Builtin::Bug => Err(Stop::Fault("BUG()".into())),
            Builtin::WarnOn => {
                let c = self.truth(arg(0).0)?;
                if c {
                    let n = self.w.name(name);
                    self.log(What::Barrier(n), span);
                }
                Ok((V::bool(c), CType::int()))
            }
            Builtin::ContainerOf => {
                let (p, _) = match args.first() {
                    Some(a) => self.eval(a)?,
                    None => return self.unsupported(span, "container_of()"),
                };
                let member = args.get(2).and_then(|e| e.ident().cloned());
                let ty = match args.get(1).map(|e| &e.kind) {
                    Some(ExprKind::Type(t)) => t.address_of(),
                    _ => CType::unknown(),
                };
                if let V::Ptr(q) = p
                    && let Some((up, f)) = self.w.parent(q)
                    && member.is_some_and(|m| self.w.spell(f) == &*m)
                {
                    return Ok((self.address(up), ty));
                }
                Ok((self.pure(name, &[(p, CType::unknown())], None), ty))
            }
            Builtin::Alloc | Builtin::ZeroAlloc => {
                let n = self.w.name(name);
                let number = self.st.allocs;
                self.st.allocs += 1;
                let k = self.w.operand(V::int(i128::from(number)));
                let t = self.w.term(Term::Pure(n, [k].into()), None);
                let fails = match self.trail.known_truth(t) {
                    Some(b) => !b,
                    None => {
                        let b = self.trail.choose(2) == 1;
                        self.trail.set_truth(t, !b);
                        if b {
                            self.trail.notes.push(super::trail::Note::Text(format!("{name}() fails")));
                        }
                        b
                    }
                };
                if fails {
                    return Ok((V::NULL, CType::unknown()));
                }
                let p = Ptr { obj: self.w.obj(Obj::Alloc(number, n)), path: 0, idx: 0 };
                let elements = match name {
                    "devm_kcalloc" => Some(1),
                    _ if name.contains("calloc") || name.contains("alloc_array") => Some(0),
                    _ => None,
                };
                if let Some(i) = elements {
                    self.st.sizes.insert(number, arg(i).0);
                }
                let fill = if b == Builtin::Alloc { Fill::Poison } else { Fill::Zero };
                self.st.refill(&self.w, p, true, fill);
                Ok((V::Ptr(p), CType::unknown()))
            }
            Builtin::Free(i) => {
                let (x, _) = arg(i);
                let x = self.settled(x);
                let t = self.w.operand(x);
                self.log(What::Free(t), span);
                let root = match x {
                    V::Ptr(p) => Some(Ptr { obj: p.obj, path: 0, idx: 0 }),
                    V::Term(t) => Some(Ptr { obj: self.w.obj(Obj::Lazy(t)), path: 0, idx: 0 }),
                    _ => None,
                };
                if let Some(r) = root
                    && !self.st.freed.insert(r)
                {
                    return Err(Stop::Fault(format!("{} is freed twice", self.w.show_ptr(r))));
                }
                Ok(void())
            }
            Builtin::Memset => {
                let zero = matches!(self.settled(arg(1).0), V::Int(0, _));
                let p = self.pointee(arg(0).0)?;
                self.st.calls += 1;
                let fill = if zero { Fill::Zero } else { Fill::Havoc(self.st.calls) };
                let size = match self.size_of(&arg(0).1.deref(), span) {
                    V::Int(size, _) if arg(0).1.depth() > 0 => size.max(1),
                    _ => 0,
                };
                match self.settled(arg(2).0) {
                    V::Int(n, _) if size > 0 && (0..=64 * size).contains(&n) && n % size == 0 => {
                        for i in 0..n / size {
                            let q = self.step(p, i)?;
                            self.st.refill(&self.w, q, false, fill);
                        }
                    }
                    // How much of it is not known: both versions must say the same.
                    _ => {
                        let n = self.w.name(name);
                        let terms = self.terms(&v);
                        self.log(What::Call(n, terms), span);
                        self.st.refill(&self.w, p, true, fill);
                    }
                }
                Ok(arg(0))
            }
            Builtin::Memcpy => {
                let (to, from) = (self.pointee(arg(0).0)?, self.pointee(arg(1).0)?);
                let n = self.w.name(name);
                let terms = self.terms(&v);
                self.log(What::Call(n, terms), span);
                if to.obj != from.obj {
                    let mut cells: Vec<(Ptr, V)> = self
                        .st
                        .cells
                        .iter()
                        .filter(|&(&p, _)| self.w.inside_array(p, from))
                        .map(|(&p, &v)| (p, v))
                        .collect();
                    cells.sort();
                    self.st.refill(&self.w, to, true, Fill::CopyOf(from));
                    for (p, x) in cells {
                        let q = super::state::rebase(&mut self.w, p, from, to);
                        self.st.cells.insert(q, x);
                    }
                }
                Ok(arg(0))
            }
            Builtin::Print => {
                // Arguments are looked at only for their side effects; a string of them may name anything.
                for a in args {
                    let mut effect = false;
                    a.walk(&mut |e| {
                        effect |= matches!(e.kind, ExprKind::Assign(..) | ExprKind::IncDec { .. });
                    });
                    if effect {
                        self.eval(a)?;
                    }
                }
                Ok(void())
            }
            Builtin::Pure => {
                let v = self.pure(name, &v, None);
                Ok((v, CType::unknown()))
            }
            Builtin::Nothing => Ok(void()),
            Builtin::SgSet => {
                let p = self.pointee(arg(0).0)?;
                let f = self.w.name("page");
                let q = self.w.field(p, f);
                self.store(q, arg(1).0, &CType::structure("page", 1))?;
                let n = self.w.name(name);
                let terms = self.terms(&v);
                self.log(What::Call(n, terms), span);
                Ok(void())
            }
            Builtin::SgGet => {
                let p = self.pointee(arg(0).0)?;
                let f = self.w.name("page");
                let q = self.w.field(p, f);
                let t = CType::structure("page", 1);
                Ok((self.load(q, &t), t))
            }
            Builtin::Swap => {
                let (Some(a), Some(c)) = (args.first(), args.get(1)) else { return self.unsupported(span, "swap()") };
                let ((p, tp), (q, tq)) = (self.place(a)?, self.place(c)?);
                let (x, y) = (self.load(p, &tp), self.load(q, &tq));
                self.store(p, y, &tp)?;
                self.store(q, x, &tq)?;
                Ok(void())
            }
        }
    }

    /// The next turn of an iterator macro; `false` when it is through.
    pub fn iterate(&mut self, id: u32, name: &Name, args: &[Expr], span: Span) -> Result<bool, Stop> {
        let turn = self.frame().and_then(|f| f.loops.get(&id)).map_or(0, |l| l.0);
        let cursor = match &**name {
            n if self.task.api.iterate(n).is_some() => self.task.api.iterate(n).map_or(0, |i| i.cursor),
            "idr_for_each_entry" | "list_for_each_entry_from_rcu" => 1,
            n if n.starts_with("radix_tree_for_each") => 1,
            _ => 0,
        };
        let counted = match &**name {
            "for_each_sg" => args.get(2),
            _ => None,
        };
        let mut key = Vec::new();
        let mut container = Vec::new();
        for (i, a) in args.iter().enumerate() {
            let safe = name.ends_with("_safe") && i == cursor + 1;
            let index = &**name == "for_each_sg" && i == 3;
            if i == cursor || safe || index || matches!(a.kind, ExprKind::Type(_)) {
                continue;
            }
            if let ExprKind::Ident(n) = &a.kind
                && name.starts_with("list_")
                && i + 1 == args.len()
            {
                // The member that links the list: a name, not a variable.
                let n = self.w.name(n);
                key.push(self.w.term(Term::Const(n), None));
                continue;
            }
            if let ExprKind::Unary(crate::ast::UnOp::AddrOf, x) = &a.kind {
                let (p, _) = self.place(x)?;
                let v = self.address(p);
                container.push(self.w.operand(v));
                continue;
            }
            let (v, _) = self.eval(a)?;
            let v = self.settled(v);
            container.push(self.w.operand(v));
        }
        key.append(&mut container);
        let n = self.w.name(name);
        key.insert(0, self.w.term(Term::Const(n), None));
        let key: Rc<[TermId]> = key.into();
        let more = match counted {
            Some(c) => {
                let (v, _) = self.eval(c)?;
                let n = self.number(v, span)?;
                i128::from(turn) < n
            }
            None => {
                let len = self.w.term(Term::Length(key.clone()), Some(ITy::UINT));
                let zero = V::Int(i128::from(turn), ITy::UINT);
                let limit = if name.contains("sg") { 3 } else { 2 };
                if turn >= limit {
                    // Longer sequences repeat what was seen.
                    return Ok(false);
                }
                let (k, l) = (self.w.operand(zero), len);
                let t = self.w.term(Term::Bin(BinOp::Lt, k, l), Some(ITy::INT));
                self.trail.decide(&mut self.w, t)?
            }
        };
        if !more {
            return Ok(false);
        }
        let Some(c) = args.get(cursor) else { return self.unsupported(span, format!("{name}() without a cursor")) };
        let target = match &c.kind {
            ExprKind::Unary(crate::ast::UnOp::AddrOf, x) => x,
            _ => c,
        };
        let (p, t) = self.place(target)?;
        let elem = self.w.term(Term::Elem(key.clone(), turn), None);
        if self.task.api.iterate(name).is_some_and(|i| i.sg) && name.contains("page") {
            // The iterator is a struct, or a pointer to one, that stands at a page.
            let at = if t.ptr > 0 {
                let v = self.load(p, &t);
                self.pointee(v)?
            } else {
                p
            };
            let f = self.w.name("page");
            let q = self.w.field(at, f);
            self.store(q, V::Term(elem), &CType::structure("page", 1))?;
        } else if t.depth() == 0 && int_type(&t).is_some() {
            self.store(p, V::Int(i128::from(turn), ITy::INT), &t)?;
        } else {
            self.store(p, V::Term(elem), &t)?;
            self.trail.set_truth(elem, true);
        }
        if name.ends_with("_safe")
            && let Some(a) = args.get(cursor + 1)
        {
            let (p, t) = self.place(a)?;
            let next = self.w.term(Term::Elem(key, turn + 1), None);
            self.store(p, V::Term(next), &t)?;
        }
        if &**name == "for_each_sg"
            && let Some(a) = args.get(3)
        {
            let (p, t) = self.place(a)?;
            self.store(p, V::Int(i128::from(turn), ITy::INT), &t)?;
        }
        Ok(true)
    }
}
