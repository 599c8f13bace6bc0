//! Calls that store a value and give the one that was there: `old = xchg(&obj->page, page)`, `swap(a, b)`.

use super::super::place::Place;
use super::Fact;
use super::extract::{Env, Extract, Value};
use crate::ast::{CType, Expr, ExprKind, UnOp};
use crate::kernel::ExchangeFn;
use crate::source::Span;

impl<'a> Extract<'a> {
    /// Evaluates the call; its value is what was there.
    pub(super) fn exchange(&mut self, x: ExchangeFn, span: Span, args: &'a [Expr], env: &mut Env) -> Value {
        let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
        let value = |i: usize| values.get(i).cloned().unwrap_or_default();
        let was = value(x.to);
        if let Some(to) = args.get(x.to) {
            self.exchanged(to, args.get(x.from), value(x.from), x.always, span, env);
        }
        let Some(back) = x.back else { return was };
        if let Some(to) = args.get(back) {
            self.exchanged(to, args.get(x.to), was, x.always, span, env);
        }
        Value::none()
    }

    /// Stores a value at `to`, or at what it is the address of; `always`: what was there is not there any more.
    fn exchanged(
        &mut self,
        to: &'a Expr,
        from: Option<&'a Expr>,
        value: Value,
        always: bool,
        span: Span,
        env: &mut Env,
    ) {
        let into = pointee(to);
        self.replace_slots(into, env);
        if let Some(name) = into.ident()
            && let Some(t) = self.tracked.iter().position(|t| t == name)
        {
            // Two variables are exchanged at one place: the definitions differ by the variable.
            if always {
                env[t].clear();
            }
            env[t].insert(span.start);
            self.refer(name, (!value.places.is_empty()).then_some(false), env);
            let def = Place::Def(self.f, name.clone(), span.start);
            for p in value.places {
                self.edge(def.clone(), p, span, false);
            }
            return;
        }
        let there = self.eval_quiet(to, env).places;
        if let Some(api) = self.own.kept.get(&span).cloned() {
            for into in there {
                self.own(&into, &value.places, &api, span);
            }
            return;
        }
        let types = [Some(into), from.map(pointee)].map(|e| e.map_or_else(CType::unknown, |e| self.ty(e)));
        if there.is_empty() && !value.places.is_empty() && types.iter().any(|t| self.may_carry(t)) {
            self.push(Fact::UnknownStore { of: value.places, through: None, bytes: false, at: span });
            return;
        }
        let alias = types.iter().any(|t| self.is_container(t));
        for t in &there {
            for v in &value.places {
                self.edge(t.clone(), v.clone(), span, alias);
            }
        }
    }
}

/// What `&x` is the address of.
pub(super) fn pointee(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => a,
        ExprKind::Cast(_, a) => pointee(a),
        _ => e,
    }
}
