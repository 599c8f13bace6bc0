//! Whose memory an iterator is over, as far as the function that asks for its pages tells. `classify` gives a verdict
//! by it, and pages that a pin inside the iterator function took do not come to such a call.
//!
//! What an iterator that comes from elsewhere is over is not asked: it may be over either.

use super::release::enclosing;
use super::steps::same;
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::{FnRef, Index};
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{Name, Span};
use crate::trace::PinSite;

/// What tells that no page of the user comes out of this call, whatever else the function does with iterators: it is
/// made here over memory of the kernel, or was asked for it just before.
pub fn not_user_iter(index: &Index, site: &PinSite) -> Option<Name> {
    made_over_kernel(index, site).or_else(|| tested(index, site))
}

/// What makes the iterator of this call one over memory of the kernel, where the function makes it itself, or has a
/// helper of its file make it: a local that is never made one over the user's.
pub fn made_over_kernel(index: &Index, site: &PinSite) -> Option<Name> {
    let func = index.function_at(site.at)?;
    let given = gets(&func, &|e| match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => a.ident().cloned(),
        _ => None,
    });
    let iter = given.iter().find(|g| g.at == site.call).map(|g| g.what.clone())?;
    // `iter = *other`
    let mut copied = false;
    func.body.walk_exprs(&mut |e| {
        copied |= matches!(&e.kind, ExprKind::Assign(_, to, _) if to.ident() == Some(&iter));
    });
    if copied {
        return None;
    }
    let mut found: Option<Name> = None;
    for g in given.iter().filter(|g| g.what == iter && g.at.start < site.call.start) {
        let helper = || {
            let items = index.items(site.at.file)?;
            let item = items.function(&g.callee)?;
            let helper = index.parsed(FnRef { file: site.at.file, item })?;
            let own = helper.params.get(g.position)?.name.clone();
            let inside = gets(&helper, &|e| e.ident().cloned());
            inside
                .into_iter()
                .filter(|g| g.what == own)
                .find_map(|g| Some((Api::get().makes_iter(&g.callee)?, g.callee)))
        };
        let made = Api::get().makes_iter(&g.callee).map(|kernel| (kernel, g.callee.clone()));
        match made.or_else(helper) {
            Some((true, by)) => found = Some(by),
            Some((false, _)) => return None,
            None => {}
        }
    }
    found
}

/// `if (iov_iter_is_pipe(i)) iov_iter_get_pages(i, …);`
fn tested(index: &Index, site: &PinSite) -> Option<Name> {
    let func = index.function_at(site.at).filter(|f| f.whole())?;
    let mut iter = None;
    func.body
        .walk_exprs(&mut |e| iter = e.call().filter(|_| e.span == site.call).and_then(|(_, a)| a.first()).or(iter));
    let asks = |cond: &Expr| match bare(cond).call() {
        Some((n, [a])) if Api::get().makes_iter(n).is_none() && iter.is_some_and(|i| same(a, i)) => {
            Some(n.clone()).filter(|n| Api::get().is_not_user_iter(n))
        }
        _ => None,
    };
    enclosing(&func.body, site.call).into_iter().find_map(|s| match &s.kind {
        StmtKind::If { cond, then, .. } if then.span.contains(site.call) => asks(cond),
        _ => None,
    })
}

/// The condition without `unlikely()`.
fn bare(cond: &Expr) -> &Expr {
    match cond.call() {
        Some((n, [a])) if matches!(&**n, "likely" | "unlikely") => a,
        _ => cond,
    }
}

/// Something that a call gets.
struct Given {
    at: Span,
    callee: Name,
    position: usize,
    what: Name,
}

fn gets(func: &Function, of: &dyn Fn(&Expr) -> Option<Name>) -> Vec<Given> {
    let mut out = Vec::new();
    func.body.walk_exprs(&mut |e| {
        let Some((callee, args)) = e.call() else { return };
        let known = args.iter().enumerate().filter_map(|(position, a)| Some((position, of(a)?)));
        out.extend(known.map(|(position, what)| Given { at: e.span, callee: callee.clone(), position, what }));
    });
    out
}
