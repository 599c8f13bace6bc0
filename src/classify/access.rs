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

/// Addresses that a function makes of pages, with the variables that hold one.
struct Addresses {
    tainted: BTreeSet<Name>,
}

/// Whether an address is made of a page here.
fn makes(e: &Expr) -> bool {
    let mut hit = false;
    e.walk(&mut |x| {
        hit |= x.call().is_some_and(|(n, _)| Api::get().borrow(n) == Some(Borrow::Map) && !n.starts_with("kunmap"));
    });
    hit
}

impl Addresses {
    fn of(f: &Function) -> Self {
        let mut all = Self { tainted: BTreeSet::new() };
        // To a fixpoint.
        loop {
            let before = all.tainted.len();
            f.body.walk(&mut |s| {
                if let StmtKind::Decl(vars) = &s.kind {
                    for v in vars.iter().filter(|v| v.ty.depth() > 0 || makes(v.init.as_ref().unwrap_or(&EMPTY))) {
                        if v.init.as_ref().is_some_and(|i| all.carries(i)) {
                            all.tainted.insert(v.name.clone());
                        }
                    }
                }
            });
            f.body.walk_exprs(&mut |e| {
                if let ExprKind::Assign(_, lhs, rhs) = &e.kind
                    && let Some(n) = lhs.ident()
                    && !matches!(rhs.kind, ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..))
                    && all.carries(rhs)
                {
                    all.tainted.insert(n.clone());
                }
            });
            if all.tainted.len() == before {
                return all;
            }
        }
    }

    fn carries(&self, e: &Expr) -> bool {
        let mut hit = makes(e);
        e.walk(&mut |x| hit |= x.ident().is_some_and(|n| self.tainted.contains(n)));
        hit
    }
}

/// The call by which a function gives the address of a page to a DMA engine: where an architecture has its own calls,
/// they are named `dma_…()` too.
pub(super) fn transfer(f: &Function) -> Option<Name> {
    let addresses = Addresses::of(f);
    let mut found = None;
    f.body.walk_exprs(&mut |e| {
        if let Some((name, args)) = e.call()
            && name.starts_with("dma_")
            && Api::get().borrow(name) != Some(Borrow::None)
            && args.iter().any(|a| addresses.carries(a))
        {
            found.get_or_insert_with(|| name.clone());
        }
    });
    found
}

/// Whether all that a function does through such addresses is to clean the caches.
pub(super) fn only_flushes(f: &Function) -> bool {
    let addresses = Addresses::of(f);
    let mut flushes = false;
    f.body.walk_exprs(&mut |e| {
        flushes |=
            e.call().is_some_and(|(n, args)| Api::get().is_flush(n) && args.iter().any(|a| addresses.carries(a)));
    });
    let mut returned = false;
    f.body.walk(&mut |s| {
        returned |= matches!(&s.kind, StmtKind::Return(Some(e)) if addresses.carries(e));
    });
    flushes && !returned && cpu_access(f, false) == Access::None
}

/// What a function does through addresses that it makes of pages; `read_only`: no page may be written.
pub(super) fn cpu_access(f: &Function, read_only: bool) -> Access {
    let api = Api::get();
    let addresses = Addresses::of(f);
    let carries = |e: &Expr| addresses.carries(e);
    let mut access = Access::None;
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, lhs, rhs) => {
            if !matches!(lhs.kind, ExprKind::Ident(_)) && root_carries(lhs, &addresses.tainted) {
                access = Access::Write;
            } else if !matches!(lhs.kind, ExprKind::Ident(_))
                && matches!(rhs.kind, ExprKind::Ident(_) | ExprKind::Cast(..))
                && carries(rhs)
            {
                // The address is stored somewhere: who uses it is not seen here.
                access = access.max(if read_only { Access::Read } else { Access::Write });
            }
        }
        ExprKind::IncDec { operand, .. }
            if !matches!(operand.kind, ExprKind::Ident(_)) && root_carries(operand, &addresses.tainted) =>
        {
            access = Access::Write;
        }
        ExprKind::Unary(UnOp::Deref, a) if carries(a) => {
            access = access.max(Access::Read);
        }
        ExprKind::Call { .. } => {
            let Some((name, args)) = e.call() else { return };
            for (i, a) in args.iter().enumerate() {
                if !carries(a) {
                    continue;
                }
                let what = if api.is_copy(name) {
                    if i == 0 && &**name != "memcmp" && &**name != "copy_to_user" {
                        Access::Write
                    } else {
                        Access::Read
                    }
                } else if api.only_reads(name) {
                    Access::Read
                } else if api.borrow(name).is_some() || api.same(name).is_some() || api.is_flush(name) {
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
fn root_carries(e: &Expr, tainted: &BTreeSet<Name>) -> bool {
    match &e.kind {
        ExprKind::Ident(n) => tainted.contains(n),
        ExprKind::Index(a, _) | ExprKind::Unary(_, a) | ExprKind::Cast(_, a) | ExprKind::Field { base: a, .. } => {
            root_carries(a, tainted)
        }
        ExprKind::IncDec { operand, .. } => root_carries(operand, tainted),
        ExprKind::Binary(_, a, b) => root_carries(a, tainted) || root_carries(b, tainted),
        _ => makes(e),
    }
}
