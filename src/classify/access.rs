//! How a function gets at the data of pages: through addresses that it makes of them, by itself or by somebody that it
//! gives the address to.
//!
//! It reads one function at a time and knows no verdict.

use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::Index;
use crate::kernel::{Api, Borrow};
use crate::program::Program;
use crate::source::{Name, Span};
use crate::trace::{Custody, PinSite, PinTrace};
use std::collections::BTreeSet;

/// CPU access through an address of the page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Access {
    None,
    Read,
    /// Written, or given to something that may write.
    Write,
}

/// The physical address of a page is stored, and something is called before the page is dropped: whoever gets that
/// address reaches the data.
pub(super) fn given_away(c: &Custody, t: &PinTrace, index: &Index, site: &PinSite) -> bool {
    let api = Api::get();
    let Some(f) = index.function_at(site.at) else { return false };
    let mut stored = None;
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind
            && matches!(to.kind, ExprKind::Field { .. } | ExprKind::Index(..))
        {
            from.walk(&mut |x| {
                if x.call().is_some_and(|(n, _)| api.is_address(n) && api.borrow(n) != Some(Borrow::Map)) {
                    stored.get_or_insert(e.span.end);
                }
            });
        }
    });
    let last = t.releases.iter().map(|r| c.releases[r.0 as usize].at).filter(|at| at.file == site.at.file);
    let (Some(stored), Some(dropped)) = (stored, last.map(|at| at.span.start).max()) else { return false };
    let mut called = false;
    f.body.walk_exprs(&mut |e| {
        let Some((n, _)) = e.call() else { return };
        let known = api.borrow(n).is_some() || api.release(n).is_some() || api.is_fresh(n) || api.is_address(n);
        called |= !known && api.same(n).is_none() && e.span.start > stored && e.span.end <= dropped;
    });
    called
}

/// What a function does through addresses that it makes of pages; `read_only`: no page may be written.
pub(super) fn cpu_access(f: &Function, read_only: bool) -> Access {
    let api = Api::get();
    let makes = |e: &Expr| {
        let mut hit = false;
        e.walk(&mut |x| {
            hit |= x.call().is_some_and(|(n, _)| api.borrow(n) == Some(Borrow::Map) && !n.starts_with("kunmap"));
        });
        hit
    };
    // Variables that hold such an address, to a fixpoint.
    let mut tainted: BTreeSet<Name> = BTreeSet::new();
    let carries = |e: &Expr, t: &BTreeSet<Name>| {
        let mut hit = makes(e);
        e.walk(&mut |x| hit |= x.ident().is_some_and(|n| t.contains(n)));
        hit
    };
    loop {
        let before = tainted.len();
        f.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                for v in vars.iter().filter(|v| v.ty.depth() > 0 || makes(v.init.as_ref().unwrap_or(&EMPTY))) {
                    if v.init.as_ref().is_some_and(|i| carries(i, &tainted)) {
                        tainted.insert(v.name.clone());
                    }
                }
            }
        });
        f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(_, lhs, rhs) = &e.kind
                && let Some(n) = lhs.ident()
                && !matches!(rhs.kind, ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..))
                && carries(rhs, &tainted)
            {
                tainted.insert(n.clone());
            }
        });
        if tainted.len() == before {
            break;
        }
    }
    let mut access = Access::None;
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, lhs, rhs) => {
            if !matches!(lhs.kind, ExprKind::Ident(_)) && root_carries(lhs, &tainted, &makes) {
                access = Access::Write;
            } else if !matches!(lhs.kind, ExprKind::Ident(_))
                && matches!(rhs.kind, ExprKind::Ident(_) | ExprKind::Cast(..))
                && carries(rhs, &tainted)
            {
                // The address is stored somewhere: who uses it is not seen here.
                access = access.max(if read_only { Access::Read } else { Access::Write });
            }
        }
        ExprKind::IncDec { operand, .. }
            if !matches!(operand.kind, ExprKind::Ident(_)) && root_carries(operand, &tainted, &makes) =>
        {
            access = Access::Write;
        }
        ExprKind::Unary(UnOp::Deref, a) if carries(a, &tainted) => {
            access = access.max(Access::Read);
        }
        ExprKind::Call { .. } => {
            let Some((name, args)) = e.call() else { return };
            for (i, a) in args.iter().enumerate() {
                if !carries(a, &tainted) {
                    continue;
                }
                let what = if api.is_copy(name) {
                    if i == 0 && &**name != "memcmp" && &**name != "copy_to_user" {
                        Access::Write
                    } else {
                        Access::Read
                    }
                } else if api.borrow(name).is_some() || api.same(name).is_some() {
                    Access::None
                } else {
                    Access::Write
                };
                access = access.max(what);
            }
        }
        _ => {}
    });
    access
}

static EMPTY: Expr = Expr { span: Span { start: 0, end: 0 }, kind: ExprKind::Opaque };

/// Whether the object written to lies behind a tainted address.
fn root_carries(e: &Expr, tainted: &BTreeSet<Name>, makes: &dyn Fn(&Expr) -> bool) -> bool {
    match &e.kind {
        ExprKind::Ident(n) => tainted.contains(n),
        ExprKind::Index(a, _) | ExprKind::Unary(_, a) | ExprKind::Cast(_, a) | ExprKind::Field { base: a, .. } => {
            root_carries(a, tainted, makes)
        }
        ExprKind::IncDec { operand, .. } => root_carries(operand, tainted, makes),
        ExprKind::Binary(_, a, b) => root_carries(a, tainted, makes) || root_carries(b, tainted, makes),
        _ => makes(e),
    }
}
