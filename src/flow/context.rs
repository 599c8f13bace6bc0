//! In what context a call runs: locks held around it, callbacks that run in atomic context.
//!
//! Says "may be atomic" on evidence only: a lock taken on some path before the call, registration as a callback of RCU,
//! a timer, an interrupt or a bio, or a function that asks for its context. What is called from functions that were not
//! loaded is not known, and assumed to sleep; the proof lists this.

use super::cfg::{Cfg, Elem};
use super::engine::Engine;
use crate::ast::{Expr, ExprKind, Function, StmtKind};
use crate::index::FnRef;
use crate::kernel::{Api, ContextFn};
use crate::source::{FileId, Loc, Name, Span};
use crate::trace::{Atomic, Dirty, Release, SiteId};
use std::collections::{BTreeMap, BTreeSet};

/// The call that takes a lock which forbids sleeping and may be held when `call` is reached.
pub(super) fn lock_held(func: &Function, call: Span) -> Option<(Name, Span)> {
    locked(func, call, false)
}

/// Whether a lock that forbids sleeping is held on every path to `call`.
pub(super) fn lock_always_held(func: &Function, call: Span) -> bool {
    func.damage.is_empty() && locked(func, call, true).is_some()
}

/// What shows in the function itself that a call may run in atomic context.
pub(super) fn of(file: FileId, func: &Function, call: Span) -> Option<Atomic> {
    let locked = || {
        let (by, span) = lock_held(func, call)?;
        Some(Atomic::Locked { function: func.name.clone(), by, at: Loc { file, span } })
    };
    locked().or_else(|| asks(func).map(Atomic::Asks))
}

/// Locks that are held at most, so that a loop ends.
const MOST_LOCKS: usize = 8;

fn locked(func: &Function, call: Span, always: bool) -> Option<(Name, Span)> {
    let api = Api::get();
    let cfg = Cfg::new(func);
    // The calls that took the locks held on entry of a node: the most over all paths, or the fewest.
    let mut taken: Vec<Option<Vec<(Name, Span)>>> = vec![None; cfg.nodes.len()];
    taken[0] = Some(Vec::new());
    let mut work = vec![0u32];
    // By node, so that the last look counts.
    let mut held = vec![None; cfg.nodes.len()];
    while let Some(i) = work.pop() {
        let mut locks = taken[i as usize].clone().unwrap_or_default();
        let mut see = |e: &Expr| {
            e.walk(&mut |x| {
                if x.span == call {
                    held[i as usize] = locks.last().cloned();
                }
                if let Some((name, _)) = x.call() {
                    match api.context(name) {
                        Some(ContextFn::Enter) if locks.len() < MOST_LOCKS => locks.push((name.clone(), x.span)),
                        Some(ContextFn::Leave) => _ = locks.pop(),
                        _ => {}
                    }
                }
            });
        };
        match cfg.nodes[i as usize].elem {
            Elem::Expr(e) | Elem::Cond(e) | Elem::Return(Some(e)) => see(e),
            Elem::Decl(v) => v.init.iter().for_each(see),
            Elem::Iterate(_, args) => args.iter().for_each(see),
            _ => {}
        }
        for &s in &cfg.nodes[i as usize].succ {
            let have = taken[s as usize].as_ref().map(Vec::len);
            if have.is_none_or(|old| if always { locks.len() < old } else { locks.len() > old }) {
                taken[s as usize] = Some(locks.clone());
                work.push(s);
            }
        }
    }
    held.into_iter().flatten().next()
}

/// Whether a lock that forbids sleeping is held whenever `at` in `func` is reached, by the function itself or by a
/// caller in its file. `when` is the parameter that must be true for it to sleep, if one decides that.
pub(super) fn sleeps_locked(e: &Engine, me: FnRef, func: &Function, at: Span, when: &str) -> bool {
    if lock_always_held(func, at) {
        return true;
    }
    let decides = func.params.iter().position(|p| *p.name == *when);
    let name = e.index.name(me);
    e.index.naming(me.file, &name).into_iter().filter(|c| *c != me).filter_map(|c| e.index.parsed(c)).any(|caller| {
        let mut calls = Vec::new();
        caller.body.walk_exprs(&mut |x| {
            if let Some((n, args)) = x.call()
                && *n == name
                && !decides.and_then(|k| args.get(k)).is_some_and(never)
            {
                calls.push(x.span);
            }
        });
        calls.into_iter().any(|at| lock_always_held(&caller, at))
    })
}

fn never(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int { value: 0, .. }) || e.ident().is_some_and(|n| &**n == "false")
}

/// The call by which the function asks in which context it runs: then it may be atomic.
pub(super) fn asks(func: &Function) -> Option<Name> {
    let api = Api::get();
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        let asks = e.call().map(|(n, _)| n).filter(|n| matches!(api.context(n), Some(ContextFn::Asked)));
        found = found.take().or_else(|| asks.cloned());
    });
    found
}

/// Pages of one pin are released in like contexts: where one place asks for its context, another that dirties without
/// sleeping is not taken to be free to sleep.
pub(super) fn share(releases: &mut [Release], asks: &[Option<Name>]) {
    let mut asked: BTreeMap<SiteId, (Name, Name)> = BTreeMap::new();
    for (r, by) in releases.iter().zip(asks) {
        if let Some(by) = by {
            r.pins.iter().for_each(|p| _ = asked.entry(*p).or_insert_with(|| (r.function.clone(), by.clone())));
        }
    }
    for r in releases {
        let sleeps = matches!(r.dirty, Dirty::None | Dirty::SetPageDirtyLock);
        if let Some((function, by)) = r.pins.iter().find_map(|p| asked.get(p)).filter(|_| !sleeps) {
            r.context.may_be_atomic = true;
            r.atomic.get_or_insert_with(|| Atomic::Like { function: function.clone(), by: by.clone() });
        }
    }
}

/// What registers `name` in `func` as a callback that runs in atomic context: a function, or a field.
pub(super) fn registers_atomic(func: &Function, name: &str) -> Option<(Name, Span)> {
    let api = Api::get();
    let mut found = None;
    let is_name = |e: &Expr| {
        let e = match &e.kind {
            ExprKind::Unary(_, a) => a,
            _ => e,
        };
        e.ident().is_some_and(|n| &**n == name)
    };
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Call { .. } => {
            if let Some((callee, args)) = e.call()
                && let Some(ContextFn::Callback(i)) = api.context(callee)
                && args.get(i).is_some_and(is_name)
            {
                found.get_or_insert_with(|| (callee.clone(), e.span));
            }
        }
        ExprKind::Assign(None, lhs, rhs) => {
            if let ExprKind::Field { name: field, .. } = &lhs.kind
                && api.is_atomic_field(field)
                && is_name(rhs)
            {
                found.get_or_insert_with(|| (field.clone(), e.span));
            }
        }
        _ => {}
    });
    found
}

/// What shows that a function may be called in atomic context: callers in the same file, three levels up, that hold a
/// lock around the call or register it as an atomic callback.
pub(super) fn called_atomic(e: &Engine, me: FnRef) -> Option<Atomic> {
    let mut level = vec![me];
    let mut seen = BTreeSet::from([me]);
    for _ in 0..3 {
        let mut next = Vec::new();
        for f in &level {
            let name = e.index.name(*f);
            for caller in e.index.naming(f.file, &name).into_iter().filter(|c| c != f) {
                let calls = match may_be_atomic(e, caller) {
                    // Nothing in it makes anything atomic, as in nine of ten: its words say enough.
                    false => e.index.items(f.file).is_some_and(|i| i.calls_any(caller.item, &|n| n == &*name)),
                    true => {
                        let Some(cf) = e.index.parsed(caller) else { continue };
                        let mut calls = Vec::new();
                        cf.body.walk_exprs(&mut |x| {
                            if x.call().is_some_and(|(n, _)| *n == name) {
                                calls.push(x.span);
                            }
                        });
                        let at = |span| Loc { file: caller.file, span };
                        if let Some((by, span)) = registers_atomic(&cf, &name) {
                            return Some(Atomic::Callback { name, by, at: at(span) });
                        }
                        if let Some((by, span)) = calls.iter().find_map(|s| lock_held(&cf, *s)) {
                            return Some(Atomic::Locked { function: cf.name.clone(), by, at: at(span) });
                        }
                        !calls.is_empty()
                    }
                };
                if calls && seen.insert(caller) {
                    next.push(caller);
                }
            }
        }
        level = next;
    }
    None
}

/// Whether a word of the function is one that takes a lock or registers a callback.
fn may_be_atomic(e: &Engine, f: FnRef) -> bool {
    let api = Api::get();
    let atomic =
        |w: &str| matches!(api.context(w), Some(ContextFn::Enter | ContextFn::Callback(_))) || api.is_atomic_field(w);
    e.index.items(f.file).is_some_and(|items| items.names_any(f.item, &atomic))
}

/// Whether the page lock may be held at `call`: `lock_page()` before it in the same function, not undone.
pub(super) fn page_lock_held(func: &Function, call: Span) -> bool {
    let (mut locks, mut unlocks) = (0, 0);
    func.body.walk(&mut |s| {
        if !matches!(s.kind, StmtKind::Expr(_) | StmtKind::If { .. } | StmtKind::Decl(_)) {
            return;
        }
        s.exprs(&mut |e| {
            e.walk(&mut |x| {
                if x.span.start >= call.start {
                    return;
                }
                match x.call().map(|(n, _)| &**n) {
                    Some("lock_page" | "trylock_page" | "lock_page_killable" | "folio_lock" | "folio_trylock") => {
                        locks += 1
                    }
                    Some("unlock_page" | "folio_unlock") => unlocks += 1,
                    _ => {}
                }
            });
        });
    });
    locks > unlocks
}

#[cfg(test)]
mod tests {
    use crate::parse::Parser;
    use crate::split::split;

    #[test]
    fn who_asks_may_be_atomic() {
        let asks = |text: &str| {
            let items = split(text.as_bytes());
            Parser::new().function(text.as_bytes(), &items[0]).is_some_and(|f| super::asks(&f).is_some())
        };
        assert!(asks("void f(struct page *p)\n{\n\tWARN_ON(!p->mapping && irqs_disabled());\n\tput_page(p);\n}\n"));
        assert!(!asks("void f(struct page *p)\n{\n\tWARN_ON(!p->mapping);\n\tput_page(p);\n}\n"));
    }
}
