//! Whose memory an iterator is over, as far as the function that asks for its pages tells.
//!
//! What an iterator that comes from elsewhere is over is not asked: it may be over either.

use crate::ast::{Expr, ExprKind, Function, UnOp};
use crate::index::{FnRef, Index};
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{Name, Span};
use crate::trace::PinSite;

/// What tells that the iterator has no pages of the user.
pub(super) fn not_user_iter(index: &Index, site: &PinSite) -> Option<Name> {
    let func = index.function_at(site.at)?;
    let api = Api::get();
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call()
            && api.is_not_user_iter(n)
            && e.span.start < site.at.span.start
        {
            found = Some(n.clone());
        }
    });
    found
}

/// What makes the iterator of this call one over memory of the kernel, where the function makes it itself, or has a
/// helper of its file make it: a local that is never made one over the user's.
pub(super) fn made_over_kernel(index: &Index, site: &PinSite) -> Option<Name> {
    let func = index.function_at(site.at)?;
    let given = gets(&func, &|e| match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => a.ident().cloned(),
        _ => None,
    });
    let iter = given.iter().find(|g| g.at == site.call).map(|g| g.what.clone())?;
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
