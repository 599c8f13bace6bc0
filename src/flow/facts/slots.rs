//! Arrays of an object that the function itself fills by a pin: what a release of them drops until somebody else could
//! have filled them again.
//!
//! A field is one place for all objects and all times. In a function that pins into `obj->pages` and cleans up after
//! itself, the pages of other pins into that field are not there any more. This is said only of a release whose bound
//! comes from the pin: a loop over the old count would drop the old pages.

use super::super::place::{ENTRY, Place};
use super::super::release::enclosing;
use super::Fact;
use super::extract::{Env, Extract};
use crate::ast::{BinOp, Expr, ExprKind, StmtKind, UnOp};
use crate::kernel::AcquireKind;
use crate::source::{Name, Span};
use std::collections::BTreeSet;

/// Definition of a slot: whatever was in the field when the function began.
const BEFORE: u32 = ENTRY - 1;
/// Definition of a slot: what a callee may have stored since, other than by a pin of the same kind.
const CALLEE: u32 = ENTRY - 2;

/// `obj->pages` of an argument `obj->pages`, `&obj->pages[i]`, `obj->pages + i`; and whether it is the start of it.
pub(super) fn array_of(e: &Expr) -> Option<(&Expr, bool)> {
    match &e.kind {
        ExprKind::Field { .. } => Some((e, true)),
        ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::Cast(_, a) => array_of(a),
        ExprKind::Index(a, i) => array_of(a).map(|(f, _)| (f, matches!(i.kind, ExprKind::Int { value: 0, .. }))),
        ExprKind::Binary(BinOp::Add, a, _) => array_of(a).map(|(f, _)| (f, false)),
        _ => None,
    }
}

/// `obj.a.b`, for a field of a variable; the variable.
pub(super) fn path(e: &Expr) -> Option<(String, &Name)> {
    match &e.kind {
        ExprKind::Ident(n) => Some((n.to_string(), n)),
        ExprKind::Field { base, name, .. } => path(base).map(|(p, root)| (format!("{p}.{name}"), root)),
        _ => None,
    }
}

impl<'a> Extract<'a> {
    /// Finds the slots: fields that are arrays of pages and that a pin of this function fills.
    pub(super) fn find_slots(&mut self) {
        let func = self.func;
        let mut found = Vec::new();
        func.body.walk_exprs(&mut |e| {
            let Some((name, args)) = e.call() else { return };
            let kind = self.api.acquire(name).map(|a| a.kind);
            if !matches!(kind, Some(AcquireKind::Gup | AcquireKind::Pin)) {
                return;
            }
            for a in args {
                let Some((field, _)) = array_of(a) else { continue };
                if self.ty(field).page_depth().is_some_and(|d| d >= 2)
                    && let Some((p, root)) = path(field)
                    && self.locals.contains_key(root)
                {
                    found.push(Name::from(p));
                }
            }
        });
        for name in found {
            if !self.tracked.contains(&name) {
                self.tracked.push(name);
            }
        }
    }

    /// Slots hold what was there when the function begins.
    pub(super) fn enter_slots(&self, env: &mut Env) {
        for (t, name) in self.tracked.iter().enumerate() {
            if name.contains('.') {
                env[t] = BTreeSet::from([BEFORE]);
            }
        }
    }

    fn slot(&self, e: &Expr) -> Option<(usize, bool)> {
        let (field, start) = array_of(e)?;
        let (p, _) = path(field)?;
        Some((self.tracked.iter().position(|t| **t == *p)?, start))
    }

    /// A pin into a slot: the definition that it makes, if `a` is one.
    pub(super) fn pin_into_slot(&mut self, a: &Expr, field: &Place, call: Span, env: &mut Env) -> Option<Place> {
        let (t, start) = self.slot(a)?;
        if start {
            env[t].clear();
        }
        env[t].insert(call.start);
        let def = Place::Def(self.f, self.tracked[t].clone(), call.start);
        let new = self.allocated_here(a, call).is_some();
        self.push(Fact::Shown { to: field.clone(), from: def.clone(), new, at: call });
        Some(def)
    }

    /// A call that can reach the object may store in its slots.
    pub(super) fn call_on_slots(&self, args: &[Expr], env: &mut Env) {
        for (t, name) in self.tracked.iter().enumerate() {
            let Some((root, _)) = name.split_once('.') else { continue };
            if args.iter().any(|a| names(a, root)) {
                env[t].insert(CALLEE);
            }
        }
    }

    /// The variable names another object, or the array is another one.
    pub(super) fn replace_slots(&self, lhs: &Expr, env: &mut Env) {
        let Some((p, _)) = path(lhs) else { return };
        for (t, name) in self.tracked.iter().enumerate() {
            if name.contains('.') && name.starts_with(&p) && matches!(name.as_bytes().get(p.len()), None | Some(b'.')) {
                env[t] = BTreeSet::from([BEFORE]);
            }
        }
    }

    /// What a release of `a` drops, if it is of a slot that holds only what was pinned here.
    pub(super) fn pinned_here(&mut self, a: &Expr, field: &[Place], call: Span, env: &Env) -> Option<Vec<Place>> {
        let (t, _) = self.slot(a)?;
        let defs = env[t].clone();
        let pin = defs.iter().filter(|d| **d < CALLEE).min().copied()?;
        if defs.contains(&BEFORE) || !self.bounded_by(pin, call, a) {
            return None;
        }
        let name = self.tracked[t].clone();
        let f = self.f;
        let place = |d: u32| Place::Def(f, name.clone(), d);
        if defs.contains(&CALLEE) {
            for f in field {
                self.push(Fact::Stored { to: place(CALLEE), from: f.clone(), at: call });
            }
        }
        Some(defs.into_iter().map(place).collect())
    }

    /// Whether the loop around the release, or the count given to it, is one that was set by the pin, or after it.
    fn bounded_by(&self, pin: u32, call: Span, array: &Expr) -> bool {
        let mut bound: Vec<&Name> = Vec::new();
        self.func.body.walk_exprs(&mut |e| {
            if let Some((_, args)) = e.call()
                && e.span == call
            {
                for a in args.iter().filter(|a| a.span != array.span) {
                    a.walk(&mut |e| match &e.kind {
                        ExprKind::Ident(n) | ExprKind::Field { name: n, .. } => bound.push(n),
                        _ => {}
                    });
                }
            }
        });
        let mut inside = call;
        for s in enclosing(&self.func.body, call) {
            let cond = match &s.kind {
                StmtKind::For { cond: Some(c), .. } | StmtKind::While { cond: c, .. } => c,
                _ => continue,
            };
            if inside == call {
                inside = s.span;
            }
            cond.walk(&mut |e| match &e.kind {
                ExprKind::Ident(n) | ExprKind::Field { name: n, .. } => bound.push(n),
                _ => {}
            });
        }
        let mut set = false;
        let between = |s: Span| s.end > pin && s.start < call.start && !inside.contains(s);
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                set |=
                    vars.iter().any(|v| v.init.as_ref().is_some_and(|i| between(i.span)) && bound.contains(&&v.name));
            }
        });
        self.func.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(_, lhs, _) = &e.kind
                && let ExprKind::Ident(n) | ExprKind::Field { name: n, .. } = &lhs.kind
            {
                set |= between(e.span) && bound.contains(&n);
            }
        });
        set
    }
}

fn names(e: &Expr, root: &str) -> bool {
    let mut hit = false;
    e.walk(&mut |x| hit |= x.ident().is_some_and(|n| &**n == root));
    hit
}
