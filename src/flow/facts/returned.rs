//! Pages that go back to the caller with a reference of their own: `get_page(page); return page;`.
//!
//! The caller drops that one, and keeps the one that it had. Only of a page that nobody else can have got the new
//! reference for: all that may happen to the page behind a `get_page()` of the function is known to keep none.

use super::super::apart::after;
use super::super::place::{ENTRY, Place};
use super::extract::{Env, Extract};
use crate::ast::{Expr, ExprKind, UnOp};
use crate::source::{Name, Span};
use std::collections::BTreeSet;

/// The page has no reference of its own here.
const NONE: u32 = 0;
/// It has.
const OWN: u32 = 1;

/// A variable that the function takes a reference of the page in, what takes it, and where its state is tracked.
pub(super) struct Returned {
    name: Name,
    api: Name,
    state: usize,
}

impl Extract<'_> {
    /// Finds the variables, and tracks their state beside their definitions.
    pub(super) fn find_returned(&mut self) {
        let mut taken: Vec<(Name, Name, Vec<Span>)> = Vec::new();
        self.func.body.walk_exprs(&mut |e| {
            if let Some((api, [arg])) = e.call()
                && self.api.is_extra_reference(api)
                && let Some(n) = arg.ident()
                && self.tracked.contains(n)
            {
                match taken.iter_mut().find(|(known, ..)| known == n) {
                    Some((.., at)) => at.push(e.span),
                    None => taken.push((n.clone(), api.clone(), vec![e.span])),
                }
            }
        });
        for (name, api, at) in taken {
            if self.given_to_nobody(&name, &at) {
                self.returned.push(Returned { name: name.clone(), api, state: self.tracked.len() });
                self.tracked.push(format!("{name}+").into());
            }
        }
    }

    /// Behind these calls, the page is not stored, and only given to functions that are known to keep nothing.
    fn given_to_nobody(&self, name: &Name, taken: &[Span]) -> bool {
        let mut fine = true;
        let mut behind: Vec<Span> = Vec::new();
        for at in taken {
            let more = after(self.func, *at, &[]);
            // The order is not known: anything may be behind it.
            behind.extend(if more.is_empty() { vec![self.func.body.span] } else { more });
        }
        let late = |e: &Expr| behind.iter().any(|b| b.contains(e.span));
        let is = |e: &Expr| {
            let mut e = e;
            while let ExprKind::Cast(_, a) = &e.kind {
                e = a;
            }
            e.ident() == Some(name)
        };
        self.func.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(_, _, from) if late(e) => fine &= !is(from),
            ExprKind::Unary(UnOp::AddrOf, a) => fine &= !is(a),
            ExprKind::Call { args, .. } if late(e) && args.iter().any(is) => {
                fine &= e.call().is_some_and(|(callee, _)| {
                    self.api.is_extra_reference(callee)
                        || self.api.borrow(callee).is_some()
                        || self.api.release(callee).is_some_and(|r| !r.wrapper)
                });
            }
            _ => {}
        });
        fine
    }

    /// The variables hold what callers gave, without a reference of its own.
    pub(super) fn enter_returned(&self, env: &mut Env) {
        for r in self.returned.iter().filter(|r| self.func.params.iter().any(|p| p.name == r.name)) {
            env[r.state] = BTreeSet::from([NONE]);
        }
    }

    /// The variable has a page now, with or without a reference of its own; or none.
    pub(super) fn refer(&self, name: &Name, own: Option<bool>, env: &mut Env) {
        for r in self.returned.iter().filter(|r| r.name == *name) {
            env[r.state] = own.map(|own| if own { OWN } else { NONE }).into_iter().collect();
        }
    }

    /// What took the reference that a returned page has of its own.
    pub(super) fn returned_with_own(&self, value: &Expr, env: &Env) -> Option<Name> {
        let name = value.ident()?;
        let r = self.returned.iter().find(|r| r.name == *name)?;
        (env[r.state].len() == 1 && env[r.state].contains(&OWN)).then(|| r.api.clone())
    }

    /// `*page`, where the page pointer of an inner block has the name of a parameter that is a pointer to one: the
    /// parameter.
    pub(super) fn hidden_param(&self, pointer: &Expr) -> Option<Place> {
        let name = pointer.ident().filter(|n| self.tracked.contains(n))?;
        let k = self.func.params.iter().position(|p| p.name == *name)?;
        let deep = self.func.params[k].ty.page_depth().is_some_and(|d| d >= 2);
        deep.then(|| Place::Def(self.f, name.clone(), ENTRY + k as u32))
    }
}
