//! Numbers of pages, and pages of numbers.
//!
//! Whoever makes a page of a number and takes a reference to it drops that one: the pin stays with whoever left the
//! number. Said only where that holds on every way through the function, and for as many drops as references.

use super::super::cfg::{Cfg, Elem};
use super::super::place::Place;
use super::Fact;
use super::eval::uncast;
use super::extract::{Extract, Value};
use crate::ast::{Expr, ExprKind, StmtKind, UnOp};
use crate::source::{Name, Span};
use std::collections::BTreeSet;

/// References of one's own that are counted; more are taken in a loop.
const MAX_OWN: u32 = 3;

/// What a part of an expression does with the page.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Take,
    /// A reference is dropped, or goes elsewhere with the page.
    Give,
    Unknown,
}

impl Extract<'_> {
    /// The value of a call that makes a number of a page, or the page of a number.
    pub(super) fn number(&mut self, of: &[Place], callee: &str, page: bool, at: Span) -> Value {
        if !page {
            self.push(Fact::Address { of: of.to_vec(), callee: callee.into(), at });
        }
        let to = Place::Call(self.f, at.start);
        if page && let Some(what) = self.takes_its_own(at) {
            self.push(Fact::Origin { into: to.clone(), what, counted: true, at });
            return Value::one(to);
        }
        for from in of {
            self.push(Fact::Number { to: to.clone(), from: from.clone(), page, at });
        }
        Value::one(to)
    }

    /// `page = pfn_to_page(pfn); if (!get_page_unless_zero(page))`: whoever left the number keeps his reference, and
    /// this is another one. Only of a local that is set by nothing else.
    fn takes_its_own(&self, made: Span) -> Option<Name> {
        let page = self.only_made(made).filter(|_| self.func.whole())?;
        let mut own = None;
        self.func.body.walk_exprs(&mut |e| own = self.taken(e, page).or(own.take()));
        let own = own?;
        let cfg = Cfg::new(self.func);
        let holds = |e: Elem| match e {
            Elem::Decl(v) => v.init.as_ref().is_some_and(|i| i.span.contains(made)),
            Elem::Expr(e) | Elem::Cond(e) | Elem::Return(Some(e)) => e.span.contains(made),
            _ => false,
        };
        let start = (0..).zip(&cfg.nodes).filter(|(_, n)| holds(n.elem));
        let mut work: Vec<(u32, u32)> = start.flat_map(|(_, n)| n.succ.iter().map(|s| (*s, 0))).collect();
        let mut seen = BTreeSet::new();
        while let Some((n, count)) = work.pop() {
            let node = &cfg.nodes[n as usize];
            if !seen.insert((n, count)) || holds(node.elem) {
                continue;
            }
            let counts = self.counts(node.elem, page, count)?;
            for (i, s) in node.succ.iter().enumerate() {
                work.push((*s, counts[usize::from(i > 0)]));
            }
        }
        Some(own)
    }

    /// The variable of one declaration that is set to this value, and to nothing else but NULL.
    fn only_made(&self, made: Span) -> Option<&Name> {
        let mut page = None;
        let find = |e: &Expr, name: &'_ Name| (uncast(e).span == made).then(|| name.clone());
        let mut found: Option<Name> = None;
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                found = vars.iter().find_map(|v| find(v.init.as_ref()?, &v.name)).or(found.take());
            }
        });
        self.func.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && let Some(name) = to.ident()
            {
                found = find(from, name).or(found.take());
            }
        });
        let found = found?;
        let none = |e: &Expr| matches!(uncast(e).kind, ExprKind::Int { value: 0, .. }) || is_null(e);
        let (mut declared, mut set) = (0, 0);
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                for v in vars.iter().filter(|v| v.name == found) {
                    declared += 1;
                    set += u32::from(v.init.as_ref().is_some_and(|i| !none(i)));
                    set += u32::from(v.is_static);
                    page = Some(&v.name);
                }
            }
        });
        self.func.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(op, to, from) if to.ident() == Some(&found) => {
                set += u32::from(op.is_some() || !none(from));
            }
            ExprKind::IncDec { operand, .. } if operand.ident() == Some(&found) => set += 1,
            ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(&found) => set += 1,
            _ => {}
        });
        let param = self.func.params.iter().any(|p| p.name == found);
        page.filter(|_| declared == 1 && set == 1 && !param)
    }

    /// The function that takes a reference to the page.
    fn taken(&self, e: &Expr, page: &Name) -> Option<Name> {
        let (name, args) = e.call()?;
        let one = matches!(args, [a] if uncast(a).ident() == Some(page));
        (one && self.api.is_extra_reference(name)).then(|| name.clone())
    }

    /// How many references of its own the function has behind an element, on its first way and on the others; `None` if
    /// it gives one away that it does not have, or if nobody can say.
    fn counts(&self, elem: Elem, page: &Name, count: u32) -> Option<[u32; 2]> {
        let e = match elem {
            Elem::Nop | Elem::Return(None) => return Some([count; 2]),
            Elem::Decl(v) => match &v.init {
                Some(i) if uncast(i).ident() == Some(page) => return None,
                Some(i) => i,
                None => return Some([count; 2]),
            },
            Elem::Expr(e) => e,
            Elem::Cond(e) => {
                let (test, not) = bare(e);
                if self.taken(test, page).is_some() {
                    let more = (count < MAX_OWN).then_some(count + 1)?;
                    return Some(if not { [count, more] } else { [more, count] });
                }
                e
            }
            Elem::Return(Some(e)) => {
                if uncast(e).ident() == Some(page) {
                    return Some([count.checked_sub(1)?; 2]);
                }
                e
            }
            Elem::Iterate(_, args) => {
                let mut named = false;
                args.iter().for_each(|a| a.walk(&mut |e| named |= e.ident() == Some(page)));
                return (!named).then_some([count; 2]);
            }
            Elem::Opaque(_) => return None,
        };
        let mut steps = Vec::new();
        let mut branches = false;
        e.walk(&mut |x| {
            steps.extend(self.step(x, page));
            branches |= matches!(x.kind, ExprKind::Cond(..) | ExprKind::StmtExpr(_));
        });
        match steps[..] {
            [] => Some([count; 2]),
            _ if branches => None,
            [Step::Take] => (count < MAX_OWN).then_some([count + 1; 2]),
            [Step::Give] => Some([count.checked_sub(1)?; 2]),
            _ => None,
        }
    }

    fn step(&self, e: &Expr, page: &Name) -> Option<Step> {
        let is = |e: &Expr| uncast(e).ident() == Some(page);
        match &e.kind {
            ExprKind::Assign(_, _, from) if is(from) => Some(Step::Give),
            ExprKind::Call { callee, args } if args.iter().any(is) => {
                let Some(name) = callee.ident() else { return Some(Step::Give) };
                if self.taken(e, page).is_some() {
                    // One that may fail has to be asked.
                    let fails = name.contains("try") || name.contains("unless");
                    return Some(if fails { Step::Unknown } else { Step::Take });
                }
                if self.api.release(name).is_some() {
                    return Some(if args.len() == 1 { Step::Give } else { Step::Unknown });
                }
                // A helper of the file that drops it, or hands it on to one.
                let drops = |n: &str| self.api.release(n).is_some() || self.api.handover(n).is_some();
                let helper = |n: &str| !self.scope.beside(self.file, Some(n), &drops).is_empty();
                let gives =
                    drops(name) || !self.scope.beside(self.file, Some(name), &|n| drops(n) || helper(n)).is_empty();
                gives.then_some(Step::Give)
            }
            ExprKind::Binary(crate::ast::BinOp::And | crate::ast::BinOp::Or, a, b) => {
                let mut named = false;
                for e in [a, b] {
                    e.walk(&mut |x| named |= self.taken(x, page).is_some());
                }
                named.then_some(Step::Unknown)
            }
            _ => None,
        }
    }
}

fn is_null(e: &Expr) -> bool {
    uncast(e).ident().is_some_and(|n| &**n == "NULL")
}

/// What a condition asks, and whether it asks for the contrary.
fn bare(e: &Expr) -> (&Expr, bool) {
    match &e.kind {
        ExprKind::Unary(UnOp::Not, a) => {
            let (test, not) = bare(a);
            (test, !not)
        }
        ExprKind::Cast(_, a) => bare(a),
        ExprKind::Call { .. } => match e.call() {
            Some((n, [a])) if matches!(&**n, "likely" | "unlikely") => bare(a),
            _ => (e, false),
        },
        _ => (e, false),
    }
}
