//! Facts of one function: which places pages move between, and what is done to them.
//!
//! An abstract evaluation of the function over its control-flow graph. Local page pointers are tracked per definition
//! (a variable that is reused for another page does not mix the two); everything else is one place for the whole
//! function. The facts say what the code does, in terms of places; what is pinned is not known here.

// tidy: long file: one evaluator over all expressions; its cases share their state

use super::FnId;
use super::cfg::{Cfg, Elem};
use super::place::{ENTRY, Place, UNKNOWN_TAG};
use crate::ast::{Base, BinOp, CType, Designator, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::Scope;
use crate::kernel::{Api, Borrow};
use crate::source::{FileId, Name, Span};
use crate::trace::GapCode;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// One argument of a call.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Places whose pages the argument carries.
    pub places: Vec<Place>,
    /// `&page`: the callee may store a new page there; this is the definition it makes.
    pub out: Option<Place>,
    /// The argument is an array or container rather than one page.
    pub container: bool,
    /// A type that may hold pages at all (pages, containers, untyped pointers).
    pub relevant: bool,
    /// Bytes of the argument.
    pub span: Span,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Fact {
    /// Pages move from one place to another.
    Copy {
        /// To.
        to: Place,
        /// From.
        from: Place,
        /// By.
        at: Span,
    },
    /// Two places are the same array or container from here on.
    Alias {
        /// One.
        a: Place,
        /// Other.
        b: Place,
        /// By.
        at: Span,
    },
    /// A call that acquires pages.
    Pin {
        /// Where the pages go; `None` when no array is passed.
        into: Option<Place>,
        /// Name called.
        api: Name,
        /// The call.
        call: Span,
        /// Its callee.
        callee: Span,
        /// Position in `calls` order: the argument spans.
        args: Vec<Span>,
    },
    /// A page of other origin comes in.
    Origin {
        /// Where it goes.
        into: Place,
        /// The function that made it.
        what: Name,
        /// It has a reference of its own.
        counted: bool,
        /// The call.
        at: Span,
    },
    /// A reference is dropped.
    Release {
        /// Function called.
        callee: Name,
        /// Its identifier.
        callee_span: Span,
        /// The call.
        call: Span,
        /// Places whose pages are released.
        from: Vec<Place>,
    },
    /// A call of a function that the table does not know.
    Call {
        /// Name; `None` for a call through a pointer.
        callee: Option<Name>,
        /// The call.
        call: Span,
        /// Arguments.
        args: Vec<Arg>,
        /// Its value.
        result: Place,
    },
    /// A known use that neither keeps nor drops.
    Use {
        /// Of.
        of: Vec<Place>,
        /// How.
        kind: Borrow,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// A number or address of the page is taken.
    Address {
        /// Of.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// Pages are handed to somebody who owns them from then on.
    Handover {
        /// Which.
        of: Vec<Place>,
        /// The gap; `None` when only struct-page owners (`soft_offline_page`) are concerned.
        gap: Option<GapCode>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// Stored through something that is no place.
    UnknownStore {
        /// What.
        of: Vec<Place>,
        /// Where.
        at: Span,
    },
    /// Marked dirty.
    Dirty {
        /// Which.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// An extra reference is taken.
    Extra {
        /// On.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
}

impl Fact {
    /// Calls `f` on each place that the fact mentions.
    pub fn places<'a>(&'a self, f: &mut dyn FnMut(&'a Place)) {
        match self {
            Fact::Copy { to, from, .. } => {
                f(to);
                f(from);
            }
            Fact::Alias { a, b, .. } => {
                f(a);
                f(b);
            }
            Fact::Pin { into, .. } => into.iter().for_each(f),
            Fact::Origin { into, .. } => f(into),
            Fact::Release { from, .. } => from.iter().for_each(f),
            Fact::Call { args, result, .. } => {
                for a in args {
                    a.places.iter().chain(&a.out).for_each(&mut *f);
                }
                f(result);
            }
            Fact::Use { of, .. }
            | Fact::Address { of, .. }
            | Fact::Handover { of, .. }
            | Fact::UnknownStore { of, .. }
            | Fact::Dirty { of, .. }
            | Fact::Extra { of, .. } => of.iter().for_each(f),
        }
    }
}

/// Facts of a function.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The facts, in evaluation order of the graph.
    pub facts: Vec<Fact>,
    /// Parameter places, in order: what a caller's argument flows to and from.
    pub params: Vec<Param>,
}

/// A parameter as callers see it.
#[derive(Clone, Debug)]
pub struct Param {
    /// The place.
    pub place: Place,
    /// One page, passed by value.
    pub by_value: bool,
}

type Env = Vec<BTreeSet<u32>>;

struct Extract<'a> {
    f: FnId,
    file: FileId,
    func: &'a Function,
    scope: &'a dyn Scope,
    api: &'static Api,
    locals: FxHashMap<Name, CType>,
    tracked: Vec<Name>,
    emit: bool,
    facts: Vec<Fact>,
}

/// Extracts the facts of `func`.
pub fn extract(f: FnId, file: FileId, func: &Function, scope: &dyn Scope) -> Facts {
    let mut locals = FxHashMap::default();
    let mut tracked = Vec::new();
    for p in &func.params {
        locals.insert(p.name.clone(), p.ty.clone());
        if p.ty.page_depth() == Some(1) {
            tracked.push(p.name.clone());
        }
    }
    func.body.walk(&mut |s: &Stmt| {
        let StmtKind::Decl(vars) = &s.kind else { return };
        for v in vars {
            // Two variables of one name in sibling blocks are taken as one: their definitions stay apart.
            locals.insert(v.name.clone(), v.ty.clone());
            if v.ty.page_depth() == Some(1) && v.ty.ptr == 1 && !v.is_static && !tracked.contains(&v.name) {
                tracked.push(v.name.clone());
            }
        }
    });
    let mut x = Extract { f, file, func, scope, api: Api::get(), locals, tracked, emit: false, facts: Vec::new() };
    x.run();
    let params = func
        .params
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let by_value = p.ty.page_depth() == Some(1);
            let place = if by_value && x.tracked.contains(&p.name) {
                Place::Def(f, p.name.clone(), ENTRY + i as u32)
            } else {
                Place::Var(f, p.name.clone())
            };
            Param { place, by_value }
        })
        .collect();
    Facts { facts: x.facts, params }
}

/// What an expression carries.
#[derive(Clone, Debug, Default)]
struct Value {
    places: Vec<Place>,
}

impl Value {
    fn none() -> Self {
        Self::default()
    }
    fn one(p: Place) -> Self {
        Self { places: vec![p] }
    }
    fn join(mut self, other: Value) -> Self {
        for p in other.places {
            if !self.places.contains(&p) {
                self.places.push(p);
            }
        }
        self
    }
}

impl<'a> Extract<'a> {
    fn run(&mut self) {
        let func = self.func;
        let cfg = Cfg::new(func);
        let n = cfg.nodes.len();
        let mut ins: Vec<Option<Env>> = vec![None; n];
        let mut entry: Env = vec![BTreeSet::new(); self.tracked.len()];
        for (i, p) in func.params.iter().enumerate() {
            if let Some(t) = self.tracked.iter().position(|t| *t == p.name) {
                entry[t].insert(ENTRY + i as u32);
            }
        }
        ins[0] = Some(entry);
        let mut work: BTreeSet<u32> = BTreeSet::from([0]);
        while let Some(i) = work.pop_first() {
            let Some(mut env) = ins[i as usize].clone() else { continue };
            self.elem(cfg.nodes[i as usize].elem, &mut env);
            for &s in &cfg.nodes[i as usize].succ {
                let changed = match &mut ins[s as usize] {
                    slot @ None => {
                        *slot = Some(env.clone());
                        true
                    }
                    Some(old) => {
                        let mut grew = false;
                        for (o, e) in old.iter_mut().zip(&env) {
                            let before = o.len();
                            o.extend(e.iter().copied());
                            grew |= o.len() != before;
                        }
                        grew
                    }
                };
                if changed {
                    work.insert(s);
                }
            }
        }
        self.emit = true;
        for (i, node) in cfg.nodes.iter().enumerate() {
            // Unreachable code still holds facts: evaluated with no definitions reaching it.
            let mut env = ins[i].clone().unwrap_or_else(|| vec![BTreeSet::new(); self.tracked.len()]);
            self.elem(node.elem, &mut env);
        }
    }

    fn push(&mut self, f: Fact) {
        if self.emit {
            self.facts.push(f);
        }
    }

    fn elem(&mut self, elem: Elem<'a>, env: &mut Env) {
        match elem {
            Elem::Nop | Elem::Opaque(_) => {}
            Elem::Expr(e) | Elem::Cond(e) => {
                self.eval(e, env);
            }
            Elem::Decl(v) => {
                if let Some(init) = &v.init {
                    let value = self.eval(init, env);
                    self.store_var(&v.name, v.span, value, Some(init), env);
                    if let ExprKind::InitList(items) = &init.kind {
                        self.init_list(&v.ty, items, env);
                    }
                } else if let Some(t) = self.tracked.iter().position(|t| *t == v.name) {
                    env[t].clear();
                }
            }
            Elem::Iterate(name, args) => self.iterate(name, args, env),
            Elem::Return(Some(e)) => {
                let v = self.eval(e, env);
                let ret = Place::Ret(self.f);
                let alias = self.is_container(&self.func.ret.clone());
                for p in v.places {
                    self.edge(ret.clone(), p, e.span, alias);
                }
            }
            Elem::Return(None) => {}
        }
    }

    fn iterate(&mut self, name: &Name, args: &'a [Expr], env: &mut Env) {
        let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
        if let Some(it) = self.api.iterate(name) {
            if let (Some(c), Some(o)) = (values.get(it.cursor), values.get(it.over)) {
                for a in &c.places {
                    for b in &o.places {
                        self.push(Fact::Alias { a: a.clone(), b: b.clone(), at: args[it.cursor].span });
                    }
                }
            }
            return;
        }
        // A loop macro that we do not know, with a page pointer as cursor: the page comes from somewhere else.
        for a in args {
            if let Some(n) = a.ident()
                && let Some(t) = self.tracked.iter().position(|t| t == n)
            {
                env[t].insert(a.span.start);
                let into = Place::Def(self.f, n.clone(), a.span.start);
                self.push(Fact::Origin { into, what: name.clone(), counted: false, at: a.span });
            }
        }
    }

    fn init_list(&mut self, ty: &CType, items: &'a [(Option<Designator>, Expr)], env: &mut Env) {
        let Some(tag) = self.tag(ty) else { return };
        for (d, e) in items {
            if let Some(Designator::Field(field)) = d {
                let v = self.eval_quiet(e, env);
                let alias = self.is_container(&self.ty(e));
                for p in v.places {
                    self.edge(Place::Field(tag.clone(), field.clone()), p, e.span, alias);
                }
            }
        }
    }

    /// Evaluates without emitting facts again.
    fn eval_quiet(&mut self, e: &'a Expr, env: &mut Env) -> Value {
        let emit = std::mem::replace(&mut self.emit, false);
        let v = self.eval(e, env);
        self.emit = emit;
        v
    }

    fn edge(&mut self, to: Place, from: Place, at: Span, alias: bool) {
        if to == from {
            return;
        }
        if alias {
            self.push(Fact::Alias { a: to, b: from, at });
        } else {
            self.push(Fact::Copy { to, from, at });
        }
    }

    fn store_var(&mut self, name: &Name, at: Span, value: Value, rhs: Option<&'a Expr>, env: &mut Env) {
        if let Some(t) = self.tracked.iter().position(|t| t == name) {
            env[t] = BTreeSet::from([at.start]);
            let to = Place::Def(self.f, name.clone(), at.start);
            for p in value.places {
                self.edge(to.clone(), p, at, false);
            }
            return;
        }
        let to = self.variable(name);
        let Some(to) = to else { return };
        let lt = self.var_type(name);
        let alias = self.is_container(&lt) || rhs.is_some_and(|r| self.is_container(&self.ty(r)));
        for p in value.places {
            self.edge(to.clone(), p, at, alias);
        }
    }

    /// The place of a variable that is not tracked per definition.
    fn variable(&self, name: &Name) -> Option<Place> {
        if let Some(t) = self.locals.get(name) {
            return self.may_carry(t).then(|| Place::Var(self.f, name.clone()));
        }
        let (file, ty) = self.scope.global(self.file, name)?;
        self.may_carry(&ty).then(|| Place::Global(file, name.clone()))
    }

    fn var_type(&self, name: &Name) -> CType {
        if let Some(t) = self.locals.get(name) {
            return t.clone();
        }
        self.scope.global(self.file, name).map_or_else(CType::unknown, |(_, t)| t)
    }

    /// Struct tag of a type, typedefs resolved.
    fn tag(&self, ty: &CType) -> Option<Name> {
        match &ty.base {
            Base::Struct(t) | Base::Union(t) => Some(t.clone()),
            Base::Named(n) => {
                let t = self.scope.typedef(self.file, n)?;
                t.tag().cloned()
            }
            _ => None,
        }
    }

    fn is_container(&self, ty: &CType) -> bool {
        match ty.page_depth() {
            Some(d) => d >= 2,
            None => self.tag(ty).is_some_and(|t| self.api.is_container(&t)),
        }
    }

    /// A type whose values can carry pages: page pointers, containers, untyped pointers.
    fn may_carry(&self, ty: &CType) -> bool {
        if ty.page_depth().is_some_and(|d| d >= 1) {
            return true;
        }
        match &ty.base {
            Base::Void => ty.depth() >= 1,
            Base::Unknown => !ty.function,
            _ if ty.function => false,
            _ => self.tag(ty).is_some_and(|t| self.api.is_container(&t)),
        }
    }

    fn field_type(&self, tag: &str, field: &str) -> Option<CType> {
        self.scope
            .structure(self.file, tag)
            .and_then(|s| s.fields.iter().find(|f| &*f.name == field).map(|f| f.ty.clone()))
    }

    /// Static type of an expression.
    fn ty(&self, e: &Expr) -> CType {
        match &e.kind {
            ExprKind::Ident(n) => self.var_type(n),
            ExprKind::Int { ty, .. } => ty.clone(),
            ExprKind::Unary(UnOp::Deref, a) => self.ty(a).deref(),
            ExprKind::Unary(UnOp::AddrOf, a) => self.ty(a).address_of(),
            ExprKind::Unary(_, a) => self.ty(a),
            ExprKind::IncDec { operand, .. } => self.ty(operand),
            ExprKind::Binary(BinOp::Add | BinOp::Sub, a, b) => {
                let t = self.ty(a);
                if t.depth() == 0 { self.ty(b) } else { t }
            }
            ExprKind::Binary(..) => CType::int(),
            ExprKind::Assign(_, a, _) => self.ty(a),
            ExprKind::Cond(c, a, b) => {
                let t = self.ty(a.as_deref().unwrap_or(c));
                if t.depth() == 0 { self.ty(b) } else { t }
            }
            ExprKind::Comma(_, b) => self.ty(b),
            ExprKind::Index(a, _) => self.ty(a).deref(),
            ExprKind::Cast(t, _) | ExprKind::CompoundLiteral(t, _) => t.clone(),
            ExprKind::Field { base, name, .. } => {
                let bt = self.ty(base);
                let Some(tag) = self.tag(&bt) else { return CType::unknown() };
                self.field_type(&tag, name).unwrap_or_else(CType::unknown)
            }
            ExprKind::Call { callee, args } => {
                let Some(name) = callee.ident() else { return CType::unknown() };
                for a in args {
                    // container_of(p, struct foo, m) and everything built like it.
                    if let ExprKind::Type(t) = &a.kind
                        && t.ptr == 0
                        && t.tag().is_some()
                        && &**name != "sizeof"
                    {
                        let mut t = t.clone();
                        t.ptr = 1;
                        return t;
                    }
                }
                if let Some(i) = self.api.same(name)
                    && let Some(a) = args.get(i)
                {
                    let t = self.ty(a);
                    return if self.tag(&t).is_some_and(|t| self.api.is_container(&t)) && name.ends_with("_page") {
                        CType::structure("page", 1)
                    } else {
                        t
                    };
                }
                if self.api.origin(name).is_some() || self.api.acquire(name).is_some_and(|a| a.returns_page) {
                    return CType::structure("page", 1);
                }
                self.scope.returns(self.file, name).unwrap_or_else(CType::unknown)
            }
            ExprKind::StmtExpr(s) => {
                let StmtKind::Block(v) = &s.kind else { return CType::unknown() };
                match v.last().map(|s| &s.kind) {
                    Some(StmtKind::Expr(e)) => self.ty(e),
                    _ => CType::unknown(),
                }
            }
            _ => CType::unknown(),
        }
    }

    /// Evaluates an expression: emits its facts, moves definitions, returns what its value carries.
    fn eval(&mut self, e: &'a Expr, env: &mut Env) -> Value {
        match &e.kind {
            ExprKind::Ident(n) => {
                if let Some(t) = self.tracked.iter().position(|t| t == n) {
                    let f = self.f;
                    return Value { places: env[t].iter().map(|&d| Place::Def(f, n.clone(), d)).collect() };
                }
                self.variable(n).map_or_else(Value::none, Value::one)
            }
            ExprKind::Int { .. }
            | ExprKind::Str
            | ExprKind::Sizeof(_)
            | ExprKind::SizeofExpr(_)
            | ExprKind::Type(_)
            | ExprKind::Opaque => Value::none(),
            ExprKind::Unary(UnOp::Deref | UnOp::AddrOf, a) => self.eval(a, env),
            ExprKind::Unary(_, a) => {
                self.eval(a, env);
                Value::none()
            }
            ExprKind::IncDec { operand, .. } => self.eval(operand, env),
            ExprKind::Binary(op, a, b) => match op {
                BinOp::And | BinOp::Or => {
                    self.eval(a, env);
                    let mut right = env.clone();
                    self.eval(b, &mut right);
                    merge(env, &right);
                    Value::none()
                }
                BinOp::Add | BinOp::Sub => {
                    let x = self.eval(a, env);
                    let y = self.eval(b, env);
                    // Pointer arithmetic: the integer side carries nothing.
                    if self.ty(a).depth() > 0 {
                        x
                    } else if self.ty(b).depth() > 0 {
                        y
                    } else {
                        Value::none()
                    }
                }
                _ => {
                    self.eval(a, env);
                    self.eval(b, env);
                    Value::none()
                }
            },
            ExprKind::Assign(op, lhs, rhs) => {
                let value = self.eval(rhs, env);
                if op.is_some() {
                    // `p += n` keeps the place.
                    return self.eval(lhs, env);
                }
                self.assign(lhs, rhs, e.span, value, env)
            }
            ExprKind::Cond(c, a, b) => {
                let cv = self.eval(c, env);
                let mut left = env.clone();
                let av = match a {
                    Some(a) => self.eval(a, &mut left),
                    None => cv,
                };
                let bv = self.eval(b, env);
                merge(env, &left);
                av.join(bv)
            }
            ExprKind::Comma(a, b) => {
                self.eval(a, env);
                self.eval(b, env)
            }
            ExprKind::Index(a, i) => {
                self.eval(i, env);
                self.eval(a, env)
            }
            ExprKind::Field { base, name, .. } => self.field(base, name, env),
            ExprKind::Cast(t, a) => {
                let v = self.eval(a, env);
                if self.may_carry(t) || v.places.is_empty() {
                    return v;
                }
                // `(unsigned long)page`: a number from here on. A cast to another struct is a view of the same array.
                if matches!(t.base, Base::Int { .. }) && t.depth() == 0 {
                    self.push(Fact::Address { of: v.places, callee: "cast".into(), at: e.span });
                    return Value::none();
                }
                v
            }
            ExprKind::CompoundLiteral(ty, a) => {
                if let ExprKind::InitList(items) = &a.kind {
                    self.eval(a, env);
                    self.init_list(ty, items, env);
                }
                Value::none()
            }
            ExprKind::InitList(items) => {
                let mut v = Value::none();
                for (_, e) in items {
                    v = v.join(self.eval(e, env));
                }
                v
            }
            ExprKind::StmtExpr(s) => self.stmt_expr(s, env),
            ExprKind::Call { callee, args } => self.call(e.span, callee, args, env),
        }
    }

    fn stmt_expr(&mut self, s: &'a Stmt, env: &mut Env) -> Value {
        // Statement expressions are short (a macro body): evaluated in source order, branches joined.
        let mut last = Value::none();
        match &s.kind {
            StmtKind::Block(v) => {
                for s in v {
                    last = self.stmt_expr(s, env);
                }
            }
            StmtKind::Expr(e) => last = self.eval(e, env),
            StmtKind::Decl(vars) => {
                for v in vars {
                    self.elem(Elem::Decl(v), env);
                }
            }
            StmtKind::Return(r) => self.elem(Elem::Return(r.as_ref()), env),
            _ => {
                s.exprs(&mut |e| {
                    self.eval(e, env);
                });
                let before = env.clone();
                s.children(&mut |c| {
                    self.stmt_expr(c, env);
                });
                merge(env, &before);
            }
        }
        last
    }

    fn field(&mut self, base: &'a Expr, name: &Name, env: &mut Env) -> Value {
        let bv = self.eval(base, env);
        let bt = self.ty(base);
        match self.tag(&bt) {
            // Metadata of the page itself.
            Some(t) if &*t == "page" || &*t == "folio" => Value::none(),
            Some(t) if self.api.is_container(&t) => bv,
            Some(t) => {
                let ty = self.field_type(&t, name);
                if ty.as_ref().is_none_or(|ty| self.may_carry(ty)) {
                    Value::one(Place::Field(t, name.clone()))
                } else {
                    Value::none()
                }
            }
            // One tag a file: an access that we cannot type is matched with typed ones of the same file only.
            None => Value::one(Place::Field(format!("{UNKNOWN_TAG}{}", self.file.0).into(), name.clone())),
        }
    }

    fn assign(&mut self, lhs: &'a Expr, rhs: &'a Expr, at: Span, value: Value, env: &mut Env) -> Value {
        if let Some(n) = lhs.ident() {
            self.store_var(n, at, value.clone(), Some(rhs), env);
            return value;
        }
        let target = self.eval(lhs, env);
        let lt = self.ty(lhs);
        let rt = self.ty(rhs);
        let alias = self.is_container(&lt) || self.is_container(&rt);
        if target.places.is_empty() {
            if !value.places.is_empty() && (self.may_carry(&rt) || self.may_carry(&lt)) && !is_page_member(lhs) {
                self.push(Fact::UnknownStore { of: value.places.clone(), at });
            }
            return value;
        }
        for t in &target.places {
            for v in &value.places {
                self.edge(t.clone(), v.clone(), at, alias);
            }
        }
        value
    }

    fn call(&mut self, span: Span, callee: &'a Expr, args: &'a [Expr], env: &mut Env) -> Value {
        let name = callee.ident().cloned();
        let Some(name) = name.filter(|n| !self.locals.contains_key(n)) else {
            self.eval(callee, env);
            return self.plain_call(None, span, args, env);
        };
        if self.scope.shadows(self.file, &name) {
            return self.plain_call(Some(name), span, args, env);
        }
        if let Some(acq) = self.api.acquire(&name) {
            return self.pin(acq, &name, callee.span, span, args, env);
        }
        if let Some(r) = self.api.release(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            if r.wrapper {
                return self.known_wrapper(&name, span, args, values);
            }
            if let Some(v) = values.get(r.arg) {
                let f = Fact::Release { callee: name, callee_span: callee.span, call: span, from: v.places.clone() };
                self.push(f);
            }
            return Value::none();
        }
        if self.api.dirty(&name).is_some() {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            self.push(Fact::Dirty { of, callee: name, at: span });
            return Value::none();
        }
        if let Some(counted) = self.api.origin(&name) {
            for a in args {
                self.eval(a, env);
            }
            let into = Place::Call(self.f, span.start);
            self.push(Fact::Origin { into: into.clone(), what: name, counted, at: span });
            return Value::one(into);
        }
        if let Some(i) = self.api.same(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            return values.into_iter().nth(i).unwrap_or_default();
        }
        if let Some(s) = self.api.store(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            let carries = args.get(s.from).is_some_and(|a| !s.container || self.carries_pages(a))
                && args.get(s.to).is_some_and(|a| !s.container || self.carries_pages(a));
            if carries && let (Some(to), Some(from)) = (values.get(s.to), values.get(s.from)) {
                for t in &to.places {
                    for v in &from.places {
                        self.edge(t.clone(), v.clone(), span, false);
                    }
                }
            }
            return Value::none();
        }
        if let Some(gap) = self.api.handover(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            self.push(Fact::Handover { of, gap, callee: name, at: span });
            return Value::none();
        }
        if self.api.is_address(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            if self.api.borrow(&name) == Some(Borrow::Map) {
                self.push(Fact::Use { of: of.clone(), kind: Borrow::Map, callee: name.clone(), at: span });
            }
            self.push(Fact::Address { of, callee: name, at: span });
            return Value::none();
        }
        if self.api.is_extra_reference(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            self.push(Fact::Extra { of, callee: name, at: span });
            return Value::none();
        }
        if self.api.is_fresh(&name) && self.api.borrow(&name).is_none() {
            for a in args {
                self.eval(a, env);
            }
            return Value::none();
        }
        if let Some(kind) = self.api.borrow(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            self.push(Fact::Use { of, kind, callee: name, at: span });
            return Value::none();
        }
        self.plain_call(Some(name), span, args, env)
    }

    /// Whether the static type of an argument says that it may carry pages.
    fn carries_pages(&self, e: &Expr) -> bool {
        let t = self.ty(e);
        t.page_depth().is_some_and(|d| d >= 1) || self.is_container(&t) || matches!(t.base, Base::Unknown)
    }

    fn known_wrapper(&mut self, name: &Name, span: Span, args: &'a [Expr], values: Vec<Value>) -> Value {
        let args = args
            .iter()
            .zip(values)
            .map(|(a, v)| Arg { places: v.places, out: None, container: true, relevant: true, span: a.span })
            .collect();
        let result = Place::Call(self.f, span.start);
        self.push(Fact::Call { callee: Some(name.clone()), call: span, args, result: result.clone() });
        Value::one(result)
    }

    /// `&page` of a tracked local as an out argument: the definition that the call makes.
    fn out_argument(&mut self, a: &'a Expr, call: Span, env: &mut Env) -> Option<Place> {
        let ExprKind::Unary(UnOp::AddrOf, inner) = &a.kind else { return None };
        let n = inner.ident()?;
        let t = self.tracked.iter().position(|t| t == n)?;
        // Weak: the callee may also leave the variable as it was.
        env[t].insert(call.start);
        Some(Place::Def(self.f, n.clone(), call.start))
    }

    fn pin(
        &mut self,
        acq: &crate::kernel::Acquire,
        name: &Name,
        callee: Span,
        span: Span,
        args: &'a [Expr],
        env: &mut Env,
    ) -> Value {
        let roles = self.scope.roles(name, args.len()).unwrap_or_else(|| acq.roles(args.len(), None));
        let mut into = None;
        for (i, a) in args.iter().enumerate() {
            if Some(i) == roles.pages {
                if let Some(out) = self.out_argument(a, span, env) {
                    // A pin that fails leaves nothing to release: the new definition replaces the old ones.
                    if let Place::Def(_, n, _) = &out
                        && let Some(t) = self.tracked.iter().position(|t| t == n)
                    {
                        env[t] = BTreeSet::from([span.start]);
                    }
                    into = Some(out);
                    continue;
                }
                let v = self.eval(a, env);
                into = v.places.into_iter().next();
            } else {
                self.eval(a, env);
            }
        }
        let value = if acq.returns_page {
            let p = Place::Call(self.f, span.start);
            into = Some(p.clone());
            Value::one(p)
        } else {
            Value::none()
        };
        if acq.kind == crate::kernel::AcquireKind::Iter {
            // Its own body is followed too: what it stores is not only pins.
            self.plain_call(Some(name.clone()), span, args, env);
        }
        let args = args.iter().map(|a| a.span).collect();
        self.push(Fact::Pin { into, api: name.clone(), call: span, callee, args });
        value
    }

    fn plain_call(&mut self, callee: Option<Name>, span: Span, args: &'a [Expr], env: &mut Env) -> Value {
        let mut out_args = Vec::new();
        for a in args {
            let v = self.eval(a, env);
            let t = self.ty(a);
            let out = self.out_argument(a, span, env);
            out_args.push(Arg {
                places: v.places,
                container: out.is_none() && t.page_depth() != Some(1),
                relevant: out.is_some() || self.may_carry(&t),
                out,
                span: a.span,
            });
        }
        let result = Place::Call(self.f, span.start);
        let ty = callee.as_ref().and_then(|n| self.scope.returns(self.file, n));
        self.push(Fact::Call { callee, call: span, args: out_args, result: result.clone() });
        // A result whose type can hold no page ends here.
        if ty.is_some_and(|t| !self.may_carry(&t)) { Value::none() } else { Value::one(result) }
    }
}

/// `page->mapping = x`: a member of the page itself.
fn is_page_member(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Field { .. })
}

fn merge(env: &mut Env, other: &Env) {
    for (a, b) in env.iter_mut().zip(other) {
        a.extend(b.iter().copied());
    }
}
