//! Functions of a file that do nothing but take a reference of one argument, or drop one.

use super::super::release::enclosing;
use super::super::steps::same;
use super::extract::Extract;
use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::Api;
use crate::source::Name;

/// A function of the file that does nothing but take a reference of one argument, or drop one.
pub(super) struct Helper {
    /// Its name.
    pub name: Name,
    /// The argument.
    pub arg: usize,
    /// What takes the reference, if it takes one.
    pub takes: Option<Name>,
    /// It does so where it returns true, and where the argument of this number is true, if there is one.
    pub asked: Option<Option<usize>>,
}

/// The functions of the file, called in this one, that only take a reference; and, where one does so under a
/// condition, those that only drop one under the same condition.
pub(super) fn helpers(x: &Extract) -> Vec<Helper> {
    let takes = |n: &str| x.api.is_extra_reference(n);
    let drops = |n: &str| x.api.release(n).is_some_and(|r| !r.batch && !r.wrapper);
    let mut asked: Vec<&Name> = Vec::new();
    x.func.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call()
            && *n != x.func.name
            && !asked.contains(&n)
        {
            asked.push(n);
        }
    });
    let mut out = Vec::new();
    for name in asked {
        for f in x.scope.beside(x.file, Some(name), &takes) {
            let Some((arg, api, cond)) = only(x.api, &f, &takes) else {
                out.extend(if_true(x.api, &f));
                continue;
            };
            if let Some(cond) = cond {
                let pair = x.scope.beside(x.file, None, &drops).into_iter().find_map(|d| {
                    let (arg, _, c) = only(x.api, &d, &drops)?;
                    c.is_some_and(|c| same(c, cond)).then(|| (d.name.clone(), arg))
                });
                let Some((name, arg)) = pair else { continue };
                out.push(Helper { name, arg, takes: None, asked: None });
            }
            out.push(Helper { name: name.clone(), arg, takes: Some(api), asked: None });
        }
    }
    out
}

/// The parameter that a function calls one of these functions with, what it calls, and under which condition, if it
/// does nothing else.
fn only<'f>(api: &Api, func: &'f Function, which: &dyn Fn(&str) -> bool) -> Option<(usize, Name, Option<&'f Expr>)> {
    let StmtKind::Block(body) = &func.body.kind else { return None };
    let [s] = body.as_slice() else { return None };
    let (s, cond) = match &s.kind {
        StmtKind::If { cond, then, els: None } => (&**then, Some(cond)),
        _ => (s, None),
    };
    let s = match &s.kind {
        StmtKind::Block(inner) => match inner.as_slice() {
            [s] => s,
            _ => return None,
        },
        _ => s,
    };
    let StmtKind::Expr(e) = &s.kind else { return None };
    let (name, args) = e.call().filter(|(n, _)| which(n))?;
    let [page] = args else { return None };
    let page = uncovered(api, page).ident()?;
    let arg = func.params.iter().position(|p| p.name == *page)?;
    Some((arg, name.clone(), cond))
}

/// A function that returns true if it took a reference of an argument, and does nothing with the page that another one
/// could have the reference by.
fn if_true(api: &Api, func: &Function) -> Option<Helper> {
    let mut taken: Vec<(Name, &Expr, &Name)> = Vec::new();
    func.body.walk_exprs(&mut |e| {
        if let Some((n, [arg])) = e.call()
            && api.is_extra_reference(n)
            && let Some(page) = uncovered(api, arg).ident()
        {
            taken.push((n.clone(), e, page));
        }
    });
    let [(takes, call, page)] = &taken[..] else { return None };
    let param = |name: &Name| func.params.iter().position(|p| p.name == *name);
    let arg = param(page)?;
    let mut known = true;
    let is = |e: &Expr| uncovered(api, e).ident() == Some(page);
    func.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::Assign(_, to, from) => known &= !is(from) && !is(to),
        ExprKind::Unary(UnOp::AddrOf, a) => known &= root(a) != Some(page),
        ExprKind::Call { args, .. } if args.iter().any(is) => {
            let looks = |n: &Name| api.borrow(n).is_some() || api.same(n).is_some() || api.is_extra_reference(n);
            known &= e.call().is_some_and(|(n, _)| looks(n));
        }
        _ => {}
    });
    // `if (get) get_page(page);` in the block that returns true.
    let mut around: Vec<&Stmt> = enclosing(&func.body, call.span).into_iter().filter(|s| !is_plain(s)).collect();
    let mut flag = None;
    if let Some(StmtKind::If { cond, els: None, .. }) = around.last().map(|s| &s.kind) {
        flag = Some(param(cond.ident()?)?);
        around.pop();
    }
    let (mut says_yes, mut fine) = (false, true);
    func.body.walk(&mut |s| {
        let StmtKind::Return(value) = &s.kind else { return };
        match value.as_ref().and_then(constant) {
            Some(true) => {
                says_yes = true;
                let inside = enclosing(&func.body, s.span);
                fine &= s.span.start > call.span.start;
                fine &= around.iter().all(|a| inside.iter().any(|i| i.span == a.span));
            }
            Some(false) => {}
            None => fine = false,
        }
    });
    let asked = Some(flag);
    (known && says_yes && fine).then(|| Helper { name: func.name.clone(), arg, takes: Some(takes.clone()), asked })
}

/// No statement that decides whether what is in it is run.
fn is_plain(s: &Stmt) -> bool {
    matches!(s.kind, StmtKind::Block(_) | StmtKind::Expr(_) | StmtKind::Decl(_))
}

/// Whether a constant is true.
pub(super) fn constant(e: &Expr) -> Option<bool> {
    match &e.kind {
        ExprKind::Int { value, .. } => Some(*value != 0),
        ExprKind::Ident(n) if &**n == "true" => Some(true),
        ExprKind::Ident(n) if &**n == "false" => Some(false),
        _ => None,
    }
}

/// The variable that a member path begins with.
pub(super) fn root(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Ident(n) => Some(n),
        ExprKind::Field { base, .. } => root(base),
        _ => None,
    }
}

/// Without casts, and without what gives the same page.
pub(super) fn uncovered<'e>(api: &Api, e: &'e Expr) -> &'e Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => uncovered(api, a),
        _ => match e.call() {
            Some((n, [a])) if api.head(n) || api.same(n) == Some(0) && a.ident().is_some() => uncovered(api, a),
            _ => e,
        },
    }
}
