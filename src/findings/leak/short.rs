//! A short pin that is taken for a failure, and after which nobody drops what was pinned.

use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::flow::cfg::{Cfg, Elem};
use crate::kernel::{Api, Borrow};
use crate::program::Program;
use crate::source::Name;
use crate::trace::PinSite;

/// A pin of several pages into a local array may fall short, and the code then returns without a call that could drop
/// those that were pinned.
pub fn short_pin(program: &dyn Program, site: &PinSite) -> bool {
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
