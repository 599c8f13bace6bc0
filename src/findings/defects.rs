//! Defects that the function of a pin shows by itself: a short count that nobody releases, a negative one that becomes
//! a huge one, data that is written and never dirtied.
//!
//! Each is said only where nothing in the function speaks against it; what callers and callees do about it is not
//! known, so whatever could help counts as help.

use crate::ast::{Base, CType, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::flow::cfg::{Cfg, Elem};
use crate::kernel::{AcquireKind, Api, Borrow};
use crate::program::Program;
use crate::source::Name;
use crate::trace::{Custody, PinSite, PinTrace, UseKind, When, Writes};

/// A pin of several pages into a local array may fall short, and the code then returns without a call that could drop
/// those that were pinned.
pub fn leaks_short_pin(program: &dyn Program, site: &PinSite) -> bool {
    let Some(f) = program.function_at(site.at).filter(|f| f.damage.is_empty()) else { return false };
    let (Some((count, _)), Some(result), Some((_, array))) = (&site.count, &site.result, &site.pages) else {
        return false;
    };
    let text = program.text(site.at.file);
    let Some(array) = crate::sites::find(&f, *array).and_then(Expr::ident).filter(|a| owned(&f, a)) else {
        return false;
    };
    if matches!(count.as_str(), "0" | "1") {
        return false;
    }
    let word = |e: &Expr| crate::sites::one_line(strip(e).span, &text);
    // `got < n`, `got != n`: true also when some pages were pinned.
    let short = |e: &Expr| match &strip(e).kind {
        ExprKind::Binary(op, a, b) => {
            use crate::ast::BinOp::{Gt, Lt, Ne};
            let (a, b) = (word(a), word(b));
            match op {
                Lt => a == *result && b == *count,
                Gt => a == *count && b == *result,
                Ne => (a == *result && b == *count) || (a == *count && b == *result),
                _ => false,
            }
        }
        _ => false,
    };
    let cfg = Cfg::new(&f);
    let of = |n: u32| match cfg.nodes[n as usize].elem {
        Elem::Expr(e) | Elem::Cond(e) | Elem::Return(Some(e)) => Some(e),
        Elem::Decl(v) => v.init.as_ref(),
        _ => None,
    };
    let all = 0..cfg.nodes.len() as u32;
    let pin: Vec<u32> = all.clone().filter(|n| of(*n).is_some_and(|e| e.span.contains(site.call))).collect();
    let after = reachable(&cfg, &pin);
    all.filter(|n| after[*n as usize]).any(|n| {
        let Elem::Cond(e) = cfg.nodes[n as usize].elem else { return false };
        if !short(e) {
            return false;
        }
        let Some(&then) = cfg.nodes[n as usize].succ.first() else { return false };
        let lost = reachable(&cfg, &[then]);
        let again = pin.iter().any(|p| lost[*p as usize]);
        !again
            && !(0..cfg.nodes.len() as u32)
                .filter(|n| lost[*n as usize])
                .any(|n| helps(&cfg.nodes[n as usize].elem, array))
    })
}

fn reachable(cfg: &Cfg<'_>, from: &[u32]) -> Vec<bool> {
    let mut seen = vec![false; cfg.nodes.len()];
    let mut work = from.to_vec();
    while let Some(n) = work.pop() {
        if !std::mem::replace(&mut seen[n as usize], true) {
            work.extend(&cfg.nodes[n as usize].succ);
        }
    }
    seen
}

/// Whether something is done that may drop pages of the array, or hand it on.
fn helps(elem: &Elem<'_>, array: &Name) -> bool {
    let api = Api::get();
    let mut found = false;
    let mut see = |e: &Expr| {
        e.walk(&mut |x| match &x.kind {
            ExprKind::Call { .. } => {
                let Some((name, args)) = x.call() else {
                    found = true;
                    return;
                };
                let harmless = api.is_fresh(name) || api.borrow(name) == Some(Borrow::None);
                found |= api.release(name).is_some() || !harmless && args.iter().any(|a| names(a, array));
            }
            ExprKind::Assign(_, _, from) => found |= names(from, array),
            _ => {}
        });
    };
    match elem {
        Elem::Return(Some(e)) => {
            see(e);
            found |= names(e, array);
        }
        Elem::Expr(e) | Elem::Cond(e) => see(e),
        Elem::Decl(v) => v.init.iter().for_each(see),
        Elem::Iterate(_, args) => args.iter().for_each(see),
        Elem::Opaque(_) => found = true,
        _ => {}
    }
    found
}

/// A local array, or a local pointer that only ever gets memory of its own and is stored nowhere.
fn owned(f: &Function, array: &Name) -> bool {
    let api = Api::get();
    let fresh = |e: &Expr| {
        let e = strip(e);
        e.call().is_some_and(|(n, _)| api.is_fresh(n))
            || matches!(e.kind, ExprKind::Int { value: 0, .. })
            || e.ident().is_some_and(|n| &**n == "NULL")
    };
    let (mut local, mut own) = (false, true);
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars {
                if v.name == *array {
                    local = !v.is_static;
                    own &= v.init.as_ref().is_none_or(fresh) || !v.ty.dims.is_empty();
                } else if v.init.as_ref().is_some_and(|i| is_array(i, array)) {
                    own = false;
                }
            }
        }
    });
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind {
            own &= to.ident().is_none_or(|n| n != array) || fresh(from);
            own &= !is_array(from, array);
        }
    });
    local && own
}

/// `array`, `&array[i]`, `array + i`.
fn is_array(e: &Expr, array: &Name) -> bool {
    match &e.kind {
        ExprKind::Ident(n) => n == array,
        ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::Cast(_, a) => {
            is_array(a, array) || matches!(&a.kind, ExprKind::Index(b, _) if is_array(b, array))
        }
        ExprKind::Binary(_, a, _) => is_array(a, array),
        _ => false,
    }
}

/// The count that the pin returns may be negative, and reaches an unsigned count of a release unchecked.
pub fn negative_count(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let Some(f) = program.function_at(site.at).filter(|f| f.damage.is_empty()) else { return false };
    let Some(result) = site.result.as_deref() else { return false };
    let Some(ty) = local_type(&f, result) else { return false };
    let text = program.text(site.at.file);
    let is_result = |e: &Expr| e.ident().is_some_and(|n| **n == *result);
    let unsigned = |t: &CType| t.ptr == 0 && matches!(t.base, Base::Int { signed: false, .. });
    // Whatever looks at the sign, or makes a signed number of it.
    let mut tested = false;
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Cast(_, a) => tested |= is_result(strip(a)),
        ExprKind::Call { .. } => {
            tested |= e.call().is_some_and(|(n, a)| n.starts_with("IS_ERR") && a.iter().any(is_result))
        }
        ExprKind::Binary(_, a, b) if !unsigned(&ty) => {
            let small = |e: &Expr| matches!(crate::sites::one_line(strip(e).span, &text).as_str(), "0" | "1" | "-1");
            tested |= is_result(strip(a)) && small(b) || is_result(strip(b)) && small(a);
        }
        _ => {}
    });
    if tested || !unsigned(&ty) && bare_test(&f, result) {
        return false;
    }
    let mut found = false;
    f.body.walk_exprs(&mut |e| {
        let Some((name, args)) = e.call() else { return };
        if e.span.start < site.call.end {
            return;
        }
        let count = args.iter().position(is_result);
        let Some(k) = count else { return };
        found |= match Api::get().release(name) {
            // The count of release_pages() is an int: a negative one does nothing.
            Some(r) => r.count == Some(k) && r.converted && r.batch,
            None => {
                let ours = t.releases.iter().any(|r| c.releases[r.0 as usize].function == *name);
                let callee = program.function(site.at.file, name).filter(|_| ours);
                callee.is_some_and(|(_, f)| f.params.get(k).is_some_and(|p| unsigned(&p.ty)))
            }
        };
    });
    // An unsigned result is huge wherever it is used as a bound.
    found || unsigned(&ty) && released_up_to(&f, c, t, site, result)
}

/// A release on an error path whose count, or whose bound, is the result.
fn released_up_to(f: &Function, c: &Custody, t: &PinTrace, site: &PinSite, result: &str) -> bool {
    let names_it = |e: &Expr| e.ident().is_some_and(|n| **n == *result);
    t.releases
        .iter()
        .map(|r| &c.releases[r.0 as usize])
        // Where all goes well the number is the one that was asked for.
        .filter(|r| r.at.file == site.at.file && r.function == f.name && r.when != When::Normal)
        // The count of release_pages() is an int: a negative one does nothing.
        .filter(|r| &*r.callee != "release_pages")
        .any(|r| {
            let mut found = false;
            f.body.walk(&mut |s| {
                if let StmtKind::For { cond: Some(cond), .. } | StmtKind::While { cond, .. } = &s.kind
                    && s.span.contains(r.call)
                {
                    cond.walk(&mut |e| found |= names_it(e));
                }
            });
            f.body.walk_exprs(&mut |e| {
                if e.span == r.call {
                    found |= e.call().is_some_and(|(_, args)| args.iter().any(names_it));
                }
            });
            found
        })
}

/// `if (got)`: a test of the number alone.
fn bare_test(f: &Function, result: &str) -> bool {
    let mut found = false;
    let mut see = |e: &Expr| found |= strip(e).ident().is_some_and(|n| **n == *result);
    f.body.walk(&mut |s| match &s.kind {
        StmtKind::If { cond, .. } | StmtKind::While { cond, .. } => see(cond),
        _ => {}
    });
    found
}

fn local_type(f: &Function, name: &str) -> Option<CType> {
    let mut found = None;
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found = vars.iter().find(|v| *v.name == *name).map(|v| v.ty.clone()).or(found.take());
        }
    });
    found
}

/// The processor writes into pages that it pinned for writing, and nothing in the trace ever dirties them.
pub fn never_dirtied(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let api = Api::get();
    // What may not be written, or belongs to an iterator over whatever, is no matter of this site.
    let own = api.acquire(&site.api).is_some_and(|a| matches!(a.kind, AcquireKind::Gup | AcquireKind::Pin));
    if !own || site.writes != Writes::Always || !t.gaps.is_empty() || t.releases.is_empty() {
        return false;
    }
    let written = t.uses.iter().any(|u| u.kind == UseKind::Write);
    let released = t.releases.iter().map(|r| &c.releases[r.0 as usize]);
    let mut places: Vec<_> = t.functions.iter().copied().chain(released.map(|r| r.at)).collect();
    places.push(site.at);
    written
        && !places.into_iter().filter_map(|at| program.function_at(at)).any(|f| {
            let mut dirties = !f.damage.is_empty();
            f.body.walk_exprs(&mut |e| {
                let call = e.call().map(|(n, _)| n);
                // By name, too: `set_folio_dirty()` of a driver, a release of its own that dirties.
                dirties |= call.is_some_and(|n| api.dirty(n).is_some() || n.to_ascii_lowercase().contains("dirty"));
            });
            dirties
        })
}

fn names(e: &Expr, what: &Name) -> bool {
    let mut hit = false;
    e.walk(&mut |x| hit |= x.ident().is_some_and(|n| n == what));
    hit
}

fn strip(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => strip(a),
        ExprKind::Call { .. } => match e.call() {
            Some((n, [a])) if matches!(&**n, "unlikely" | "likely") => strip(a),
            _ => e,
        },
        _ => e,
    }
}
