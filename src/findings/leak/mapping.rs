//! A mapping of pinned pages that an error path leaves behind, while it releases the pages.

use super::{Leak, ident, label_at};
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::findings::strip;
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::trace::{Custody, PinTrace, UseKind};

/// Jumps behind `virt = vmap(pages, …)` to a label behind which pages of the trace are released, and `virt` is named no
/// more: it is a local variable that nobody has got until then, so nobody can undo the mapping.
pub fn mapping_left(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Leak> {
    let api = Api::get();
    t.uses.iter().filter(|u| u.kind == UseKind::Map && api.maps_pages(&u.callee)).find_map(|u| {
        let f = program.function_at(u.at).filter(|f| f.whole())?;
        let (at, name) = jumps(&f, u.at.span, &|label| releases_behind(c, t, u.at.file, &f, label))?;
        Some(Leak::of(&f, u.at.file, at, format!("{}() in `{name}`", u.callee)))
    })
}

fn releases_behind(c: &Custody, t: &PinTrace, file: FileId, f: &Function, label: u32) -> bool {
    let all = t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize));
    all.filter(|r| r.at.file == file && f.span.contains(r.call)).any(|r| r.call.start > label)
}

/// The jumps, and the variable.
fn jumps(f: &Function, map: Span, released: &dyn Fn(u32) -> bool) -> Option<(Vec<Span>, Name)> {
    let mut found = None;
    f.body.walk(&mut |s| {
        let StmtKind::Block(list) = &s.kind else { return };
        if let Some((at, name)) = list.iter().enumerate().find_map(|(i, s)| Some((i, mapped(s, map)?)))
            && local(f, name)
        {
            let mut all = Vec::new();
            for s in list[at + 1..].iter().take_while(|s| failed(s, name) || !names(s, name)) {
                if !failed(s, name) {
                    s.walk(&mut |s| {
                        if let StmtKind::Goto(label) = &s.kind {
                            let to = label_at(f, label).filter(|to| *to > s.span.end && released(*to));
                            all.extend(to.filter(|to| !named_behind(f, *to, name)).map(|_| s.span));
                        }
                    });
                }
            }
            if !all.is_empty() {
                found = Some((all, name.clone()));
            }
        }
    });
    found
}

/// `virt = vmap(…);` with this call.
fn mapped(s: &Stmt, map: Span) -> Option<&Name> {
    let StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, from), .. }) = &s.kind else { return None };
    let call = strip(from);
    if call.call().is_some() && call.span.contains(map) { ident(to) } else { None }
}

/// `if (!virt) …`: the way on which there is no mapping.
fn failed(s: &Stmt, name: &Name) -> bool {
    let StmtKind::If { cond, els: None, .. } = &s.kind else { return false };
    let is = |e: &Expr| ident(strip(e)) == Some(name);
    let null = |e: &Expr| ident(e).is_some_and(|n| &**n == "NULL");
    match &strip(cond).kind {
        ExprKind::Unary(UnOp::Not, a) => is(a),
        ExprKind::Binary(BinOp::Eq, a, b) => is(a) && null(b),
        _ => false,
    }
}

/// A local variable of which no address is taken.
fn local(f: &Function, name: &Name) -> bool {
    let (mut declared, mut shared) = (0, f.params.iter().any(|p| p.name == *name));
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            declared += vars.iter().filter(|v| v.name == *name && !v.is_static).count();
        }
    });
    f.body.walk_exprs(&mut |e| {
        shared |= matches!(&e.kind, ExprKind::Unary(UnOp::AddrOf, a) if ident(a) == Some(name));
    });
    declared == 1 && !shared
}

fn names(s: &Stmt, name: &Name) -> bool {
    let mut hit = false;
    s.walk_exprs(&mut |e| hit |= ident(e) == Some(name));
    hit
}

fn named_behind(f: &Function, label: u32, name: &Name) -> bool {
    let mut hit = false;
    f.body.walk_exprs(&mut |e| hit |= e.span.start > label && ident(e) == Some(name));
    hit
}
