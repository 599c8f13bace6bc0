//! Memory that a function comes by itself: arrays that it allocates, requests that only copy.
//!
//! A field is one place for all objects. What is pinned into an array that the same function has just allocated for the
//! field is in no variable that another function once stored there: `array = virt_to_page(…); obj->pages = array`. And
//! an iterator in a local variable that is only read from takes its pages nowhere.

use super::super::cfg::Cfg;
use super::super::guard::span_of;
use super::extract::Extract;
use super::slots::{array_of, path};
use crate::ast::{Expr, ExprKind, StmtKind, UnOp};
use crate::source::{Name, Span};

impl Extract<'_> {
    /// The array that a pin gets, a field as a whole, if this function allocated it on every way to the pin.
    pub(super) fn allocated_here(&self, array: &Expr, pin: Span) -> Option<Name> {
        // Asked once, when the facts are written down.
        let (field, whole) = array_of(array).filter(|_| self.emit)?;
        if !whole || self.ty(field).page_depth().is_none_or(|d| d < 2) {
            return None;
        }
        let (whole, root) = path(field)?;
        let mut stores: Vec<(Span, bool)> = Vec::new();
        let mut moved: Option<u32> = None;
        self.func.body.walk_exprs(&mut |e| {
            let ExprKind::Assign(op, to, from) = &e.kind else { return };
            match path(to) {
                Some((p, _)) if p == whole => stores.push((e.span, op.is_none() && self.allocates(from))),
                Some((p, r)) if r == root && whole.starts_with(&p) => moved = moved.max(Some(e.span.start)),
                _ => {}
            }
        });
        let [(store, true)] = stores[..] else { return None };
        // Another object behind it would have another array.
        if !self.func.whole() || moved.is_some_and(|m| m > store.start) {
            return None;
        }
        let cfg = Cfg::new(self.func);
        let holds = |n: u32, at: Span| span_of(&cfg.nodes[n as usize].elem).is_some_and(|s| s.contains(at));
        let mut seen = vec![false; cfg.nodes.len()];
        let mut work = vec![0u32];
        while let Some(n) = work.pop() {
            if std::mem::replace(&mut seen[n as usize], true) || holds(n, store) {
                continue;
            }
            if holds(n, pin) {
                return None;
            }
            work.extend(&cfg.nodes[n as usize].succ);
        }
        Some(whole.into())
    }

    /// New memory that is empty, or holds nothing that anybody may look at.
    fn allocates(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Cast(_, a) => self.allocates(a),
            _ => e.call().is_some_and(|(n, _)| {
                self.api.is_fresh(n) && n.contains("alloc") && !n.contains("realloc") && !n.contains("memdup")
            }),
        }
    }

    /// Whether the request, `&local`, is given to nobody but to functions that copy the data of one, and leave the
    /// pages to whoever set it up.
    pub(super) fn only_copied(&self, request: &Expr, setter: Span) -> bool {
        let ExprKind::Unary(UnOp::AddrOf, local) = &request.kind else { return false };
        let Some(name) = local.ident() else { return false };
        let mut declared = false;
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                declared |= vars.iter().any(|v| v.name == *name && v.ty.ptr == 0 && !v.is_static);
            }
        });
        let (mut uses, mut known) = (0, 0);
        self.func.body.walk_exprs(&mut |e| {
            uses += u32::from(e.ident() == Some(name));
            known += match &e.kind {
                ExprKind::Call { .. } => e.call().map_or(0, |(callee, args)| {
                    let fine = e.span == setter || self.api.copies_request(callee);
                    let given = args.iter().filter(|a| fine && is_address_of(a, name)).count();
                    u32::try_from(given).unwrap_or(0)
                }),
                _ => 0,
            };
        });
        declared && self.func.whole() && uses == known
    }
}

fn is_address_of(e: &Expr, name: &Name) -> bool {
    matches!(&e.kind, ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(name))
}
