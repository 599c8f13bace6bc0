//! Functions that are passed: `static void each(struct vec *v, void (*f)(struct page *)) { … (*f)(page); … }`.
//!
//! A call through a parameter is asked about like one through a member, of a struct that is the function itself. Known
//! only where everybody who can call the function is in sight, calls it by its name, and passes a function by its name,
//! or what he was passed himself. Which caller passes which is not known here: of several functions, all must only look
//! at what they get.

use super::choice::changes;
use super::closed::argument;
use super::engine::Engine;
use super::place::PASSED;
use super::unfollowed::{definition, looks};
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::{Asked, FnRef, Reach, contains_word};
use crate::source::{Name, Span};
use crate::split::ItemKind;
use std::collections::BTreeSet;

/// Functions that hand the pointer on, one to the other, at most.
const MAX_DEPTH: u32 = 3;

/// The functions that a call through a parameter reaches, if all are known.
pub(super) fn held(e: &Engine, (file, tag, parameter): &Asked) -> Option<Vec<FnRef>> {
    let item = e.index.items(*file)?.function(tag.strip_prefix(PASSED)?)?;
    let f = FnRef { file: *file, item };
    let func = e.index.parsed(f).filter(|f| f.whole() && !changes(f, parameter))?;
    let k = func.params.iter().position(|p| p.name == *parameter)?;
    let mut given = BTreeSet::new();
    passed(e, f, &func, k, 0, &mut given)?;
    let known = given.len() == 1 || given.iter().all(|f| looks(e, *f, 0) == Some(false));
    (known && !given.is_empty()).then(|| given.into_iter().collect())
}

/// Collects what all callers pass for parameter `k`; `None` if that is not known.
fn passed(e: &Engine, f: FnRef, func: &Function, k: usize, depth: u32, out: &mut BTreeSet<FnRef>) -> Option<()> {
    if depth > MAX_DEPTH || e.index.reach(f) != Reach::File {
        return None;
    }
    for file in e.index.unit(f.file) {
        let items = e.index.items(file)?;
        for item in &items.items {
            let other = matches!(item.kind, ItemKind::Variable | ItemKind::Define);
            if other && contains_word(item.span.of(&items.text), func.name.as_bytes()) {
                return None;
            }
        }
        for by in e.index.naming(file, &func.name) {
            let caller = e.index.parsed(by).filter(|c| c.whole())?;
            for call in calls(&caller, &func.name)? {
                let arg = argument(&caller, call, k)?;
                let name = named(&arg)?;
                match caller.params.iter().position(|p| p.name == *name) {
                    Some(_) if changes(&caller, name) => return None,
                    // It calls itself.
                    Some(j) if by == f && j == k => {}
                    Some(j) => passed(e, by, &caller, j, depth + 1, out)?,
                    None if local(&caller, name) => return None,
                    None => {
                        out.insert(definition(e, file, name)?);
                    }
                }
            }
        }
    }
    Some(())
}

/// The calls of a name; `None` if there is none, or if it is used otherwise.
pub(super) fn calls(func: &Function, name: &str) -> Option<Vec<Span>> {
    let (mut calls, mut named) = (Vec::new(), 0);
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Ident(n) => named += usize::from(**n == *name),
        ExprKind::Call { callee, .. } if callee.ident().is_some_and(|n| **n == *name) => calls.push(e.span),
        _ => {}
    });
    (named > 0 && named == calls.len()).then_some(calls)
}

/// `f`, `&f`.
fn named(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => a.ident(),
        _ => e.ident(),
    }
}

fn local(func: &Function, name: &str) -> bool {
    let mut found = false;
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found |= vars.iter().any(|v| *v.name == *name);
        }
    });
    found
}
