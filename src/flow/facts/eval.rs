//! Expressions: what a value carries, which definitions it makes, what is stored where.

use super::super::cfg::Elem;
use super::super::place::{Place, UNKNOWN_TAG};
use super::Fact;
use super::extract::{Env, Extract, Value, merge};
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Stmt, StmtKind, UnOp};
use crate::source::{Name, Span};

impl<'a> Extract<'a> {
    /// Evaluates an expression: emits its facts, moves definitions, returns what its value carries.
    pub(super) fn eval(&mut self, e: &'a Expr, env: &mut Env) -> Value {
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
            ExprKind::Unary(UnOp::Deref, a) if self.hidden_param(a).is_some() => {
                self.hidden_param(a).map_or_else(Value::none, Value::one)
            }
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
                    // Pointer arithmetic: the integer side carries nothing, nor does the distance of two pointers.
                    if self.ty(a).depth() > 0 && self.ty(b).depth() > 0 {
                        Value::none()
                    } else if self.ty(a).depth() > 0 {
                        x
                    } else if self.ty(b).depth() > 0 {
                        y
                    } else if self.numbers && (*op == BinOp::Add || y.places.is_empty()) {
                        // The difference of two numbers is no number of a page.
                        x.join(y)
                    } else {
                        Value::none()
                    }
                }
                BinOp::Shl | BinOp::Shr | BinOp::BitAnd | BinOp::BitOr if self.numbers => {
                    let x = self.eval(a, env);
                    self.eval(b, env);
                    x
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
                let made = value.places.is_empty() || matches!(uncast(rhs).kind, ExprKind::Cond(..));
                let value = self.assign(lhs, rhs, e.span, value, env);
                // `obj->pages = pages = kcalloc(…)`: new memory has no place of its own, it is where it was stored.
                if made && makes(rhs) { value.join(self.eval_quiet(lhs, env)) } else { value }
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
                if v.places.is_empty() {
                    return v;
                }
                if self.may_carry(t) {
                    let from = self.ty(a);
                    // `(unsigned long)page` in a file that makes pages of numbers.
                    if matches!(t.base, Base::Int { .. }) && t.depth() == 0 && from.page_depth().is_some_and(|d| d > 0)
                    {
                        return self.number(&v.places, "cast", false, e.span);
                    }
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

    pub(super) fn stmt_expr(&mut self, s: &'a Stmt, env: &mut Env) -> Value {
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

    pub(super) fn field(&mut self, base: &'a Expr, name: &Name, env: &mut Env) -> Value {
        let bv = self.eval(base, env);
        let bt = self.ty(base);
        match self.tag(&bt) {
            // Metadata of the page itself.
            Some(t) if &*t == "page" || &*t == "folio" => Value::none(),
            // What a container counts with is no page: `sg->length`, `vec->nr_frames`.
            Some(t) if self.api.is_container(&t) => {
                if self.field_type(&t, name).is_some_and(|ty| is_small(&ty)) {
                    Value::none()
                } else {
                    bv
                }
            }
            Some(t) => {
                let ty = self.field_type(&t, name);
                if ty.as_ref().is_none_or(|ty| self.may_carry(ty)) {
                    Value::one(Place::Field(self.own_tag(t), name.clone()))
                } else {
                    Value::none()
                }
            }
            // One tag a file: an access that we cannot type is matched with typed ones of the same file only.
            None => Value::one(Place::Field(format!("{UNKNOWN_TAG}{}", self.file.0).into(), name.clone())),
        }
    }

    pub(super) fn assign(&mut self, lhs: &'a Expr, rhs: &'a Expr, at: Span, value: Value, env: &mut Env) -> Value {
        self.replace_slots(lhs, env);
        if let Some(n) = lhs.ident() {
            self.store_var(n, at, value.clone(), Some(rhs), env);
            return value;
        }
        let target = self.eval(lhs, env);
        if let ExprKind::Field { base, name, .. } = &lhs.kind
            && let Some(tag) = self.tag(&self.ty(base))
            && let Some(kind) = self.api.lent(&tag, name)
        {
            self.push(Fact::Use { of: value.places, kind, callee: name.clone(), at });
            return Value::none();
        }
        let lt = self.ty(lhs);
        let rt = self.ty(rhs);
        let alias = self.is_container(&lt) || self.is_container(&rt);
        if target.places.is_empty() {
            let behind = self.is_behind(&lt, rhs);
            if !value.places.is_empty()
                && (self.may_carry(&rt) || self.may_carry(&lt))
                && !is_page_member(lhs)
                && !behind
            {
                self.push(Fact::UnknownStore { of: value.places.clone(), through: None, bytes: false, at });
            }
            return value;
        }
        if let Some(callee) = stored_through(lhs)
            && !value.places.is_empty()
        {
            let through = Some(callee.clone());
            self.push(Fact::UnknownStore { of: value.places.clone(), through, bytes: false, at });
        }
        // What is stored has a reference of its own: the one that was there stays where it was.
        if let Some(api) = self.own.kept.get(&at).cloned() {
            for into in target.places {
                self.own(&into, &value.places, &api, at);
            }
            return value;
        }
        // `*out = array`: whoever gave `out` finds the array in it.
        let outward = alias && matches!(lhs.kind, ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..));
        for t in &target.places {
            for v in &value.places {
                self.edge(t.clone(), v.clone(), at, alias);
                if outward && t != v {
                    self.push(Fact::Copy { to: t.clone(), from: v.clone(), at });
                }
            }
        }
        value
    }

    /// Pages are stored with a reference of their own. All pipes are one place, and another one of these is in each.
    pub(super) fn own(&mut self, into: &Place, from: &[Place], api: &Name, at: Span) {
        self.push(Fact::Origin { into: into.clone(), what: api.clone(), counted: true, at });
        if !matches!(into, Place::Field(tag, field) if self.api.vessel(tag, field).is_some()) {
            for from in from.iter().filter(|f| *f != into) {
                self.push(Fact::Own { to: into.clone(), from: from.clone(), api: api.clone(), at });
            }
        }
    }
}

pub(super) fn uncast(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => uncast(a),
        _ => e,
    }
}

/// A value that comes out of a call, in one case at least: memory, no constant.
fn makes(e: &Expr) -> bool {
    match &uncast(e).kind {
        ExprKind::Cond(c, a, b) => makes(a.as_deref().unwrap_or(c)) || makes(b),
        ExprKind::Comma(_, b) => makes(b),
        ExprKind::Call { callee, .. } => callee.ident().is_none_or(|n| &**n != "ERR_PTR"),
        ExprKind::StmtExpr(_) | ExprKind::Opaque => true,
        _ => false,
    }
}

/// `page->mapping = x`: a member of the page itself.
fn is_page_member(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Field { .. })
}

/// `*f(x) = …`: the function whose result is stored through.
fn stored_through(lhs: &Expr) -> Option<&Name> {
    match &lhs.kind {
        ExprKind::Unary(UnOp::Deref, a) | ExprKind::Index(a, _) | ExprKind::Cast(_, a) => stored_through(a),
        ExprKind::Call { .. } => lhs.call().map(|(n, _)| n),
        _ => None,
    }
}

/// A number that is too small for an address.
pub(super) fn is_small(ty: &CType) -> bool {
    ty.depth() == 0 && !ty.function && matches!(ty.base, Base::Bool | Base::Int { bits: 8 | 16 | 32, .. })
}
