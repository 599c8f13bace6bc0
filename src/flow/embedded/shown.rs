//! What a function itself shows of its object: `struct mine *m = container_of(base, struct mine, base); … m->own`.
//!
//! That the pointer is made tells nothing: many ask afterwards whether the object is one of theirs. That it is read
//! through does, on every way to the statement: else the function would read what is not there.

use super::{Chain, Here, Link, MAX_DEPTH, plain, values};
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp, VarDecl};
use crate::flow::objects::{fixed, is_null};
use crate::index::FnRef;
use crate::source::{Name, Span};
use crate::split::ItemKind;
use std::collections::BTreeSet;

/// The structs around what a variable points to, the nearest first. Nothing where a function shows two of them: which
/// one it is hangs on something else.
pub(super) fn around(here: &Here, name: &Name) -> Option<Chain> {
    if !fixed(here.func, name) {
        return None;
    }
    let mut known: BTreeSet<Chain> = BTreeSet::new();
    let mut certain = false;
    here.func.body.walk(&mut |s| {
        let StmtKind::Decl(vars) = &s.kind else { return };
        for v in vars {
            let Some(chain) = outer(here, v, name) else { continue };
            let Some(Link::In(_, member, _)) = chain.last() else { continue };
            let read = |x: &Expr| through(here, x, &v.name, member);
            certain |= before(&here.func.body, here.at, &read, &Jumps::of(here.func));
            known.insert(chain);
        }
    });
    if known.len() == 1 && certain { known.pop_first() } else { None }
}

/// From the object to the struct that a variable points to, if it is made of the object alone.
fn outer(here: &Here, v: &VarDecl, name: &Name) -> Option<Chain> {
    let tag = here.types.tag(&v.ty).filter(|t| plain(t) && v.ty.depth() == 1)?;
    let object = object_tag(here, name)?;
    if tag == object {
        return None;
    }
    // Of a parameter that keeps its value, the pointer may be made anywhere.
    if !here.func.params.iter().any(|p| p.name == *name) {
        return None;
    }
    let [value] = values(here.func, &v.name)?[..] else { return None };
    match &value.kind {
        ExprKind::Cast(_, inner) => {
            let mut inner = &**inner;
            while let ExprKind::Cast(_, a) = &inner.kind {
                inner = a;
            }
            if inner.ident() != Some(name) {
                return None;
            }
            // The first member, or the first one of that.
            let mut chain = Chain::new();
            let mut around = tag;
            while chain.len() < MAX_DEPTH as usize {
                let (link, inner) = part(here, &around, None)?;
                chain.insert(0, link);
                if inner == object {
                    return Some(chain);
                }
                around = inner;
            }
            None
        }
        ExprKind::Call { .. } => {
            let member = made_of(here, value, &tag, name)?;
            let (link, inner) = part(here, &tag, Some(&member))?;
            (inner == object).then(|| vec![link])
        }
        _ => None,
    }
}

/// The member of a struct, or the first one, if that is a struct itself; and which.
fn part(here: &Here, tag: &Name, member: Option<&Name>) -> Option<(Link, Name)> {
    let def = here.e.index.struct_def(here.f.file, tag).filter(|d| !d.is_union)?;
    let field = match member {
        Some(m) => def.fields.iter().find(|f| f.name == *m)?,
        None => def.fields.first()?,
    };
    let inner = here.types.tag(&field.ty).filter(|t| plain(t) && !field.in_union && field.ty.depth() == 0)?;
    let (home, _) = here.e.index.struct_item(here.f.file, tag)?;
    Some((Link::In(tag.clone(), field.name.clone(), home), inner))
}

fn object_tag(here: &Here, name: &Name) -> Option<Name> {
    let p = here.func.params.iter().find(|p| p.name == *name)?;
    here.types.tag(&p.ty).filter(|t| plain(t) && p.ty.depth() == 1)
}

/// `container_of(name, struct TAG, member)`, or a call that gives this of its argument, or NULL.
fn made_of(here: &Here, value: &Expr, tag: &Name, name: &Name) -> Option<Name> {
    if let Some((of, member)) = container(value, tag) {
        return (of == name).then(|| member.clone());
    }
    let (callee, args) = value.call()?;
    let mut own = args.iter().enumerate().filter(|(_, a)| a.ident() == Some(name));
    let (Some((k, _)), None) = (own.next(), own.next()) else { return None };
    let to: FnRef = here.e.index.definition_near(here.f.file, callee)?;
    let func = here.e.index.parsed(to).filter(|f| f.whole())?;
    let param = &func.params.get(k)?.name;
    if !fixed(&func, param) {
        return None;
    }
    let mut found: BTreeSet<Name> = BTreeSet::new();
    let mut known = true;
    func.body.walk(&mut |s| {
        if let StmtKind::Return(value) = &s.kind {
            match value.as_ref().map(|v| (is_null(v), container(v, tag))) {
                Some((true, _)) => {}
                Some((_, Some((of, member)))) if of == param => {
                    found.insert(member.clone());
                }
                _ => known = false,
            }
        }
    });
    if known && found.len() == 1 { found.pop_first() } else { None }
}

/// `container_of(x, struct TAG, member)`, also with `typeof(*outer)`.
fn container<'x>(x: &'x Expr, tag: &Name) -> Option<(&'x Name, &'x Name)> {
    let (callee, [of, ty, member]) = x.call()? else { return None };
    if !matches!(&**callee, "container_of" | "container_of_const") {
        return None;
    }
    let fits = match &ty.kind {
        ExprKind::Type(ty) => ty.depth() == 0 && ty.tag().is_none_or(|t| t == tag),
        _ => false,
    };
    fits.then_some((of.ident()?, member.ident()?))
}

/// Whether evaluating the expression reads what the pointer points to, beside the object itself.
fn through(here: &Here, x: &Expr, pointer: &Name, member: &Name) -> bool {
    let inside = |x: &Expr| through(here, x, pointer, member);
    match &x.kind {
        ExprKind::Field { base, name, arrow: true, .. } if base.ident() == Some(pointer) => {
            name != member && here.types.of(x).dims.is_empty()
        }
        ExprKind::Field { base, .. } => inside(base),
        // `&p->a.b` reads nothing, `&p->a->b` reads `p->a`.
        ExprKind::Unary(UnOp::AddrOf, a) => {
            let mut a = &**a;
            loop {
                match &a.kind {
                    ExprKind::Field { base, arrow, .. } if *arrow => {
                        return base.ident().is_none() && inside(base);
                    }
                    ExprKind::Field { base, .. } => a = base,
                    _ => return false,
                }
            }
        }
        ExprKind::Unary(_, a) | ExprKind::Cast(_, a) => inside(a),
        ExprKind::IncDec { operand, .. } => inside(operand),
        ExprKind::Binary(BinOp::And | BinOp::Or, a, _) => inside(a),
        ExprKind::Binary(_, a, b) | ExprKind::Comma(a, b) | ExprKind::Index(a, b) => inside(a) || inside(b),
        ExprKind::Assign(_, a, b) => inside(a) || inside(b),
        ExprKind::Cond(c, ..) => inside(c),
        ExprKind::Call { args, .. } => {
            x.call().is_some_and(|(name, _)| evaluated(here, name)) && args.iter().any(inside)
        }
        _ => false,
    }
}

/// Whether a call evaluates its arguments: a macro may leave them alone.
fn evaluated(here: &Here, name: &Name) -> bool {
    let visible = |kinds: &[ItemKind]| here.e.index.visible_item(here.f.file, name, kinds).is_some();
    let function = || visible(&[ItemKind::Prototype, ItemKind::Function]) && !visible(&[ItemKind::Define]);
    matches!(&**name, "likely" | "unlikely") || function()
}

/// The jumps of a function: where they stand, and where they lead.
struct Jumps(Vec<(Span, Span)>);

impl Jumps {
    fn of(func: &Function) -> Self {
        let mut from: Vec<(&Name, Span)> = Vec::new();
        let mut to: Vec<(&Name, Span)> = Vec::new();
        let mut all = Vec::new();
        func.body.walk(&mut |s| match &s.kind {
            StmtKind::Goto(l) => from.push((l, s.span)),
            StmtKind::Label(l) => to.push((l, s.span)),
            StmtKind::Switch { value, body } => body.walk(&mut |s| {
                if matches!(s.kind, StmtKind::Case { .. } | StmtKind::Default) {
                    all.push((value.span, s.span));
                }
            }),
            _ => {}
        });
        for (label, span) in from {
            all.extend(to.iter().filter(|t| t.0 == label).map(|t| (span, t.1)));
        }
        Self(all)
    }
    /// Whether none leads there from elsewhere.
    fn none_into(&self, late: Span) -> bool {
        self.0.iter().all(|(from, to)| !late.contains(*to) || late.contains(*from))
    }
}

/// Whether every run that gets to a place has evaluated such an expression in this statement.
fn before(s: &Stmt, at: Span, hit: &dyn Fn(&Expr) -> bool, jumps: &Jumps) -> bool {
    match &s.kind {
        StmtKind::Block(list) => {
            let Some(i) = list.iter().position(|s| s.span.contains(at)) else { return false };
            // From the statement on: what jumps out of it has its head behind it.
            let late = |one: &Stmt| Span { start: one.span.start, end: s.span.end };
            let done = |one: &Stmt| evaluates(one, hit) && jumps.none_into(late(one));
            list[..i].iter().any(done) || before(&list[i], at, hit, jumps)
        }
        StmtKind::If { cond, then, els } => {
            let inside = then.span.contains(at) || els.as_ref().is_some_and(|s| s.span.contains(at));
            let entered = |s: &Stmt| s.span.contains(at) && before(s, at, hit, jumps);
            let head = inside && hit(cond) && jumps.none_into(s.span);
            head || entered(then) || els.as_ref().is_some_and(|s| entered(s))
        }
        StmtKind::While { cond, body } => {
            body.span.contains(at) && (hit(cond) && jumps.none_into(body.span) || before(body, at, hit, jumps))
        }
        StmtKind::For { init, body, .. } => {
            let first = init.as_ref().is_some_and(|i| evaluates(i, hit)) && jumps.none_into(body.span);
            body.span.contains(at) && (first || before(body, at, hit, jumps))
        }
        StmtKind::DoWhile { body, .. } | StmtKind::Switch { body, .. } | StmtKind::Iterate { body, .. } => {
            body.span.contains(at) && before(body, at, hit, jumps)
        }
        _ => false,
    }
}

/// Whether every run through the statement evaluates such an expression.
fn evaluates(s: &Stmt, hit: &dyn Fn(&Expr) -> bool) -> bool {
    match &s.kind {
        StmtKind::Expr(x) => hit(x),
        StmtKind::Decl(vars) => vars.iter().any(|v| v.init.as_ref().is_some_and(hit)),
        StmtKind::If { cond, .. } | StmtKind::While { cond, .. } => hit(cond),
        StmtKind::Switch { value, .. } => hit(value),
        StmtKind::For { init, .. } => init.as_ref().is_some_and(|s| evaluates(s, hit)),
        _ => false,
    }
}
