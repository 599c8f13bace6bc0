//! Calls: what the table of the kernel's functions says of a callee, else a fact that asks for its body.

use super::super::place::{PASSED, Place};
use super::eval::is_small;
use super::extract::{Env, Extract, Value};
use super::{Arg, Fact};
use crate::ast::{Base, BinOp, Expr, ExprKind, UnOp};
use crate::kernel::{AcquireKind, Borrow};
use crate::source::{Name, Span};
use std::collections::BTreeSet;

impl<'a> Extract<'a> {
    pub(super) fn call(&mut self, span: Span, callee: &'a Expr, args: &'a [Expr], env: &mut Env) -> Value {
        let name = callee.ident().cloned();
        // A number cannot be called: `int len = len(sg)` is a macro.
        let Some(name) = name.filter(|n| self.locals.get(n).is_none_or(is_small)) else {
            self.eval(callee, env);
            let member = self.member(callee);
            return self.plain_call(None, member, span, args, env);
        };
        if self.scope.shadows(self.file, &name) {
            return self.plain_call(Some(name), None, span, args, env);
        }
        if let Some(acq) = self.api.acquire(&name) {
            return self.pin(acq, &name, callee.span, span, args, env);
        }
        if let Some(r) = self.api.release(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            args.iter().filter_map(|a| a.ident()).for_each(|n| self.refer(n, Some(false), env));
            if r.wrapper {
                return self.known_wrapper(&name, span, args, values);
            }
            // The function took that reference itself.
            if self.own.undone.contains(&span) {
                return Value::none();
            }
            if let (Some(v), Some(a)) = (values.get(r.arg), args.get(r.arg)) {
                let from = self.pinned_here(a, &v.places, span, env).unwrap_or_else(|| v.places.clone());
                let f = Fact::Release { callee: name, callee_span: callee.span, call: span, from };
                self.push(f);
            }
            return Value::none();
        }
        if self.api.dirty(&name).is_some() {
            let mut of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            if let Some(a) = args.first()
                && let Some(here) = self.pinned_here(a, &of, span, env)
            {
                of.extend(here);
            }
            self.push(Fact::Dirty { of, callee: name, at: span });
            return Value::none();
        }
        if let Some(v) = self.api.gives_of(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join);
            // Fragments that stand in a struct of another kind are no part of an object of this one.
            if args.first().and_then(|a| self.array_in(a)).is_some_and(|tag| *tag != *v.tag) {
                return of;
            }
            return Value::one(Place::Field(v.tag.as_str().into(), v.field.as_str().into()));
        }
        if let Some(counted) = self.api.origin(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            if self.api.is_page_of_address(&name) {
                self.number(&of, &name, true, span);
            }
            let into = Place::Call(self.f, span.start);
            self.push(Fact::Origin { into: into.clone(), what: name, counted, at: span });
            return Value::one(into);
        }
        if self.api.is_filling(&name) {
            for a in args {
                let into = self.eval(a, env).places;
                if self.ty(a).page_depth().is_some_and(|d| d >= 2) {
                    let what = || name.clone();
                    into.into_iter()
                        .for_each(|into| self.push(Fact::Origin { into, what: what(), counted: true, at: span }));
                }
            }
            return Value::none();
        }
        if let Some(i) = self.api.same(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            return values.into_iter().nth(i).unwrap_or_default();
        }
        if let Some(x) = self.api.exchange(&name) {
            return self.exchange(x, span, args, env);
        }
        // The new memory begins with what is in the old one.
        if let Some(i) = self.api.duplicate(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            let from = values.into_iter().nth(i).unwrap_or_default().places;
            if from.is_empty() {
                return Value::none();
            }
            let into = Place::Call(self.f, span.start);
            for from in from {
                self.edge(into.clone(), from, span, false);
            }
            return Value::one(into);
        }
        if let Some(s) = self.api.store(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            let carries = args.get(s.from).is_some_and(|a| !s.container || self.carries_pages(a))
                && args.get(s.to).is_some_and(|a| !s.container || self.carries_pages(a));
            if let Some(api) = self.own.kept.get(&span).cloned() {
                let from = values.get(s.from).map(|v| v.places.clone()).unwrap_or_default();
                for into in values.get(s.to).map(|v| v.places.clone()).unwrap_or_default() {
                    self.own(&into, &from, &api, span);
                }
            } else if carries && let (Some(to), Some(from)) = (values.get(s.to), values.get(s.from)) {
                for t in &to.places {
                    for v in &from.places {
                        self.edge(t.clone(), v.clone(), span, false);
                    }
                }
            } else if let (Some(a), Some(v)) = (args.get(s.from), values.get(s.from))
                && self.ty(a).page_depth().is_some_and(|d| d >= 2)
            {
                self.push(Fact::UnknownStore { of: v.places.clone(), through: None, bytes: true, at: span });
            }
            return Value::none();
        }
        if let Some((tag, fields)) = self.api.sets(&name) {
            let tag = self.own_tag(tag.into());
            let copied = args.first().is_some_and(|a| self.only_copied(a, span));
            let mut of = Vec::new();
            for (a, field) in args.iter().zip(fields) {
                let v = self.eval(a, env);
                if field.is_empty() {
                    continue;
                }
                for p in v.places.iter().filter(|_| !copied) {
                    self.edge(Place::Field(tag.clone(), field.as_str().into()), p.clone(), span, true);
                }
                of.extend(v.places);
            }
            self.push(Fact::Use { of, kind: Borrow::Io, callee: name, at: span });
            return Value::none();
        }
        if let Some(gap) = self.api.handover(&name) {
            let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
            if self.api.handover_flag(&name).is_some_and(|flag| args.last().is_some_and(|a| lacks(a, flag))) {
                let of = values.into_iter().fold(Value::none(), Value::join).places;
                self.push(Fact::Use { of, kind: Borrow::Meta, callee: name, at: span });
                return Value::none();
            }
            // A reference of its own is given away, the pin stays here.
            if self.own.kept.contains_key(&span) {
                let of = values.into_iter().fold(Value::none(), Value::join).places;
                self.push(Fact::Handover { of, gap: None, callee: name, at: span });
                return Value::none();
            }
            if let Some((v, page)) = self.api.fills(&name) {
                // The position of the page differs between kernels.
                let page = args.iter().position(|a| self.ty(a).page_depth() == Some(1)).unwrap_or(page);
                let contents = Place::Field(v.tag.as_str().into(), v.field.as_str().into());
                let pages = values.get(page).map(|v| v.places.clone()).unwrap_or_default();
                // `get_page(page)` before it: a reference of its own is given away, the pin stays here.
                if !pages.is_empty() && self.extra.contains(&pages.iter().cloned().collect()) {
                    self.push(Fact::Handover { of: pages, gap: None, callee: name, at: span });
                    return Value::none();
                }
                for p in pages {
                    self.edge(contents.clone(), p, span, false);
                }
            }
            let of = values.into_iter().fold(Value::none(), Value::join).places;
            self.push(Fact::Handover { of, gap, callee: name, at: span });
            return Value::none();
        }
        if self.api.is_address(&name) {
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            if self.api.borrow(&name) == Some(Borrow::Map) {
                self.push(Fact::Use { of: of.clone(), kind: Borrow::Map, callee: name.clone(), at: span });
            }
            return self.number(&of, &name, false, span);
        }
        if self.api.converts_address(&name) {
            return args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join);
        }
        if self.api.is_extra_reference(&name) {
            // `get_page(*pages++ = buf->page)`: what is stored has a reference of its own.
            if let [Expr { kind: ExprKind::Assign(None, to, from), .. }] = args {
                self.eval(from, env);
                for into in self.eval(to, env).places {
                    self.push(Fact::Origin { into, what: name.clone(), counted: true, at: span });
                }
                return Value::none();
            }
            let of = args.iter().map(|a| self.eval(a, env)).fold(Value::none(), Value::join).places;
            if let [page] = args
                && let Some(name) = page.ident()
            {
                self.refer(name, Some(true), env);
            }
            if of.iter().all(|p| matches!(p, Place::Def(..))) {
                self.extra.push(of.iter().cloned().collect());
            }
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
        self.plain_call(Some(name), None, span, args, env)
    }

    /// The struct and the member that a call goes through: `ops->get(…)`, `(*ops->get)(…)`. Or the function and its
    /// parameter.
    fn member(&self, callee: &Expr) -> Option<(Name, Name)> {
        match &callee.kind {
            ExprKind::Ident(n) if self.func.params.iter().any(|p| p.name == *n) => {
                Some((format!("{PASSED}{}", self.func.name).into(), n.clone()))
            }
            ExprKind::Unary(UnOp::Deref, a) => self.member(a),
            ExprKind::Field { base, name, .. } => Some((self.tag(&self.ty(base))?, name.clone())),
            _ => None,
        }
    }

    /// The struct, if it is known, that an argument `&x->array[i]` points into.
    fn array_in(&self, e: &Expr) -> Option<Name> {
        match &e.kind {
            ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::Index(a, _) => self.array_in(a),
            ExprKind::Field { base, .. } => self.tag(&self.ty(base)),
            _ => None,
        }
    }

    /// Whether the static type of an argument says that it may carry pages.
    pub(super) fn carries_pages(&self, e: &Expr) -> bool {
        let t = self.ty(e);
        t.page_depth().is_some_and(|d| d >= 1) || self.is_container(&t) || matches!(t.base, Base::Unknown)
    }

    pub(super) fn known_wrapper(&mut self, name: &Name, span: Span, args: &'a [Expr], values: Vec<Value>) -> Value {
        let args = args
            .iter()
            .zip(values)
            .map(|(a, v)| Arg { places: v.places, out: None, container: true, relevant: true, span: a.span })
            .collect();
        let result = Place::Call(self.f, span.start);
        self.push(Fact::Call { callee: Some(name.clone()), member: None, call: span, args, result: result.clone() });
        Value::one(result)
    }

    /// `&page` of a tracked local as an out argument: the definition that the call makes.
    pub(super) fn out_argument(&mut self, a: &'a Expr, call: Span, env: &mut Env) -> Option<Place> {
        let ExprKind::Unary(UnOp::AddrOf, inner) = &a.kind else { return None };
        let n = inner.ident()?;
        let t = self.tracked.iter().position(|t| t == n)?;
        // Weak: the callee may also leave the variable as it was.
        env[t].insert(call.start);
        self.refer(n, Some(false), env);
        Some(Place::Def(self.f, n.clone(), call.start))
    }

    pub(super) fn pin(
        &mut self,
        acq: &crate::kernel::Acquire,
        name: &Name,
        callee: Span,
        span: Span,
        args: &'a [Expr],
        env: &mut Env,
    ) -> Value {
        let roles = self.scope.roles(acq, name, &args.iter().collect::<Vec<_>>());
        if acq.kind == AcquireKind::Follow && roles.flags.and_then(|i| args.get(i)).is_some_and(looks_only) {
            let args = args.iter().map(|a| a.span).collect();
            self.push(Fact::Pin { into: None, api: name.clone(), call: span, callee, args });
            return Value::none();
        }
        let mut into = None;
        let mut new = None;
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
                if let Some(field @ Place::Field(..)) = &into
                    && let Some(def) = self.pin_into_slot(a, &field.clone(), span, env)
                {
                    into = Some(def);
                } else if let Some(field @ Place::Field(..)) = &into
                    && let Some(name) = self.allocated_here(a, span)
                {
                    let def = Place::Def(self.f, name, span.start);
                    self.push(Fact::Shown { to: field.clone(), from: def.clone(), new: true, at: span });
                    new = Some((i, def.clone()));
                    into = Some(def);
                }
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
        if matches!(acq.kind, AcquireKind::Iter | AcquireKind::Vector) {
            // Its own body is followed too: what it stores is not only pins.
            self.new_array = new;
            self.plain_call(Some(name.clone()), None, span, args, env);
        }
        let args = args.iter().map(|a| a.span).collect();
        self.push(Fact::Pin { into, api: name.clone(), call: span, callee, args });
        value
    }

    pub(super) fn plain_call(
        &mut self,
        callee: Option<Name>,
        member: Option<(Name, Name)>,
        span: Span,
        args: &'a [Expr],
        env: &mut Env,
    ) -> Value {
        self.call_on_slots(args, env);
        let mut out_args = Vec::new();
        let new = self.new_array.take();
        for (i, a) in args.iter().enumerate() {
            let mut v = self.eval(a, env);
            if let Some((_, array)) = new.as_ref().filter(|(k, _)| *k == i) {
                v = Value::one(array.clone());
            }
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
        if self.own.given.contains(&span) {
            let of = out_args.iter().flat_map(|a| a.places.iter().cloned()).collect();
            self.push(Fact::Given { of, call: span });
        }
        let result = Place::Call(self.f, span.start);
        let ty = callee.as_ref().and_then(|n| self.scope.returns(self.file, n));
        // `take_and_clear(&obj->pages)`, a macro: what it gives may be what was there.
        if let [Arg { places, .. }] = &out_args[..]
            && let ExprKind::Unary(UnOp::AddrOf, held) = &args[0].kind
            && callee.is_some()
            && ty.is_none()
            && self.is_container(&self.ty(held))
        {
            for from in places.clone() {
                self.edge(result.clone(), from, span, false);
            }
        }
        self.push(Fact::Call { callee, member, call: span, args: out_args, result: result.clone() });
        // A result whose type can hold no page ends here.
        if ty.is_some_and(|t| !self.may_carry(&t)) { Value::none() } else { Value::one(result) }
    }
}

/// Flags of `follow_page()` that are spelled out, without the one that asks for a reference.
fn looks_only(flags: &Expr) -> bool {
    let mut only = true;
    flags.walk(&mut |e| only &= e.ident().is_none_or(|n| n.starts_with("FOLL_") && &**n != "FOLL_GET"));
    only
}

/// The flags are constants, and this one is not among them.
fn lacks(flags: &Expr, flag: &str) -> bool {
    match &flags.kind {
        ExprKind::Int { value, .. } => *value == 0,
        ExprKind::Ident(n) => {
            &**n != flag && n.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit())
        }
        ExprKind::Binary(BinOp::BitOr, a, b) => lacks(a, flag) && lacks(b, flag),
        _ => false,
    }
}
