//! Guards: a flag that keeps pages which are no pins away from a release.
//!
//! `if (obj->from_user) put_page(obj->page)` drops pins only, if every place that fills `obj` with other pages leaves
//! the flag clear on all ways to its end, whatever it was before, and if the flag is set only behind a pin into `obj`
//! that has not failed, so that nothing else is left in it. All stores to the flag must be constants and in sight, and
//! no page may get from one object to another.

use super::cfg::Elem;
use super::closed::assigned;
use super::engine::Engine;
use super::filled::{Filler, beside, flag_users, stay};
use super::graph::{Graph, Node, Reached};
use super::objects::declared;
use super::place::{OWN, Place};
use super::release::{enclosing, plain};
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::{FnRef, Reach};
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::trace::{Origin, PinSite};

/// The pins that a function makes.
pub(super) type PinsOf<'a> = dyn Fn(FnRef) -> Vec<&'a PinSite> + 'a;

/// A condition on a field: `obj->flag`, or `obj->flag & MASK`, true or false; or on a parameter.
pub(super) struct Test {
    pub field: Name,
    pub mask: Option<String>,
    /// It is no field but a parameter.
    pub param: bool,
    /// The release happens when the test is true.
    pub wanted: bool,
    /// The object of the field.
    pub object: Option<Expr>,
    /// Where the field is read.
    pub since: u32,
}

/// A store to the flag.
pub(super) struct Store {
    pub at: Span,
    /// The object whose flag it is, as written.
    pub object: String,
    /// The release happens.
    pub opens: bool,
}

/// The guard of a release that keeps all the `foreign` origins out, as written.
pub(super) fn guard(
    e: &Engine,
    g: &Graph,
    at: (FnRef, &Function, Span),
    back: &Reached,
    foreign: &[Origin],
    pins: &PinsOf,
) -> Option<String> {
    let fields = tests(e, at).into_iter().filter(|(t, _)| !t.param && !foreign.is_empty());
    fields.into_iter().find(|(t, _)| keeps_out(e, g, at, t, back, foreign, pins)).map(|(_, written)| written)
}

/// Tests of a flag under which a call stands, as written.
pub(super) fn tests(e: &Engine, at: (FnRef, &Function, Span)) -> Vec<(Test, String)> {
    let (release, func, call) = at;
    let mut tests = Vec::new();
    if !func.whole() {
        return tests;
    }
    let text = e.index.text(release.file);
    for s in enclosing(&func.body, call) {
        if let StmtKind::If { cond, then, els } = &s.kind {
            // A jump into the branch comes by no test.
            let branch = [Some(then), els.as_ref()].into_iter().flatten().find(|b| b.span.contains(call));
            if branch.is_some_and(|b| entered(b)) {
                continue;
            }
            if then.span.contains(call) {
                conjuncts(func, &text, cond, true, &mut tests);
            } else if els.as_ref().is_some_and(|e| e.span.contains(call)) {
                conjuncts(func, &text, cond, false, &mut tests);
            }
        }
    }
    tests
}

/// Whether a jump leads into a statement, or a `switch` around it.
fn entered(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Label(_) | StmtKind::Case { .. } | StmtKind::Default | StmtKind::Opaque => true,
        StmtKind::Switch { body, .. } => {
            let mut labels = false;
            body.walk(&mut |s| labels |= matches!(s.kind, StmtKind::Label(_) | StmtKind::Opaque));
            labels
        }
        _ => {
            let mut found = false;
            s.children(&mut |c| found |= entered(c));
            found
        }
    }
}

/// What a node evaluates.
pub(super) fn span_of(e: &Elem) -> Option<Span> {
    match e {
        Elem::Expr(x) | Elem::Cond(x) | Elem::Return(Some(x)) => Some(x.span),
        Elem::Decl(v) => v.init.as_ref().map(|x| x.span),
        Elem::Iterate(_, args) => {
            args.first().zip(args.last()).map(|(a, z)| Span { start: a.span.start, end: z.span.end })
        }
        Elem::Opaque(s) => Some(*s),
        _ => None,
    }
}

/// Splits a condition into tests that all hold when it is `value`.
fn conjuncts(func: &Function, text: &[u8], cond: &Expr, value: bool, out: &mut Vec<(Test, String)>) {
    match &cond.kind {
        ExprKind::Binary(BinOp::And, a, b) if value => {
            conjuncts(func, text, a, true, out);
            conjuncts(func, text, b, true, out);
        }
        ExprKind::Binary(BinOp::Or, a, b) if !value => {
            conjuncts(func, text, a, false, out);
            conjuncts(func, text, b, false, out);
        }
        ExprKind::Unary(UnOp::Not, a) => conjuncts(func, text, a, !value, out),
        _ => {
            let is_param = |n: &&Name| func.params.iter().any(|p| p.name == **n) && declared(func, n) == 0;
            let given = cond.ident().filter(is_param);
            let written = || if value { plain(cond, text) } else { format!("!({})", plain(cond, text)) };
            if let Some(name) = given {
                let (field, since) = (name.clone(), cond.span.start);
                out.push((Test { field, mask: None, param: true, wanted: value, object: None, since }, written()));
            } else if let Some((object, field, mask, since)) = flag(func, text, cond, 0) {
                let object = Some(object.clone());
                out.push((Test { field, mask, param: false, wanted: value, object, since }, written()));
            }
        }
    }
}

type Flag<'f> = (&'f Expr, Name, Option<String>, u32);

/// The field that an expression tests, and where it is read; a local that is set once stands for its value.
fn flag<'f>(func: &'f Function, text: &[u8], e: &'f Expr, depth: u32) -> Option<Flag<'f>> {
    let since = e.span.start;
    match &e.kind {
        ExprKind::Field { base, name, .. } => Some((base, name.clone(), None, since)),
        ExprKind::Binary(BinOp::BitAnd, a, b) => match (&a.kind, &b.kind) {
            (ExprKind::Field { base, name, .. }, _) if constant(b) => {
                Some((base, name.clone(), Some(plain(b, text)), since))
            }
            (_, ExprKind::Field { base, name, .. }) if constant(a) => {
                Some((base, name.clone(), Some(plain(a, text)), since))
            }
            _ => None,
        },
        ExprKind::Ident(n) if depth == 0 => {
            let mut values = Vec::new();
            let mut taken = func.params.iter().any(|p| p.name == *n) || declared(func, n) != 1;
            func.body.walk(&mut |s| {
                if let StmtKind::Decl(vars) = &s.kind {
                    values.extend(vars.iter().filter(|v| v.name == *n).filter_map(|v| v.init.as_ref()));
                }
            });
            func.body.walk_exprs(&mut |x| match &x.kind {
                ExprKind::Assign(None, l, r) if l.ident() == Some(n) => values.push(r),
                ExprKind::Assign(Some(_), l, _) if l.ident() == Some(n) => taken = true,
                ExprKind::IncDec { operand, .. } if operand.ident() == Some(n) => taken = true,
                ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(n) => taken = true,
                _ => {}
            });
            match values[..] {
                [v] if !taken => flag(func, text, v, 1),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A literal, or a name in capitals: a macro or an enumerator.
fn constant(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int { .. } => true,
        ExprKind::Ident(n) => n.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'),
        _ => false,
    }
}

/// Whether the store opens the way to the release: of a constant, for a test under a mask the mask itself, or 0.
fn opens(test: &Test, value: &Expr, text: &[u8]) -> Option<bool> {
    let truth = match &value.kind {
        ExprKind::Int { value: 0, .. } => false,
        ExprKind::Int { .. } if test.mask.is_none() => true,
        ExprKind::Ident(n) if &**n == "false" => false,
        ExprKind::Ident(n) if &**n == "true" && test.mask.is_none() => true,
        _ if constant(value) && test.mask.as_deref() == Some(plain(value, text).as_str()) => true,
        _ => return None,
    };
    Some(truth == test.wanted)
}

fn keeps_out(
    e: &Engine,
    g: &Graph,
    at: (FnRef, &Function, Span),
    test: &Test,
    back: &Reached,
    foreign: &[Origin],
    pins: &PinsOf,
) -> bool {
    let Some((tag, page)) = beside(e, at, test) else { return false };
    let known = |n: &Node| matches!(g.place(*n), Place::Field(t, p) if *t == tag && *p == page);
    if tag.contains(OWN) || !back.order.iter().any(known) {
        return false;
    }
    let Some(users) = flag_users(e, at.0.file, &tag, &test.field) else { return false };
    let mut all: Vec<(Filler, Vec<Store>)> = Vec::new();
    for (user, func) in users {
        let text = e.index.text(user.file);
        let Some(assigned) = assigned(&func, &test.field) else { return false };
        let mut stores = Vec::new();
        for (to, value) in assigned {
            let (Some(opens), ExprKind::Field { base, .. }) = (opens(test, value, &text), &to.kind) else {
                return false;
            };
            stores.push(Store { at: to.span, object: plain(base, &text), opens });
        }
        if stores.is_empty() {
            continue;
        }
        let object = stores[0].object.clone();
        if stores.iter().any(|s| s.object != object) {
            return false;
        }
        let Some(filler) = Filler::new(e, user, func, object, page.clone()) else { return false };
        all.push((filler, stores));
    }
    let closed = |o: &Origin| {
        let here = |f: &Filler| f.at.file == o.at.file && f.func.span.contains(o.at.span);
        all.iter().any(|(f, stores)| here(f) && f.gets(o.at.span) && f.closed_behind(o.at.span, stores))
    };
    let origins =
        |f: &Filler| -> Vec<Span> { foreign.iter().filter(|o| o.at.file == f.at.file).map(|o| o.at.span).collect() };
    foreign.iter().all(closed)
        && all.iter().all(|(f, stores)| f.opened_by_pins(e, stores, &pins(f.at), &origins(f)))
        && stay(e, at.0.file, &tag, &page, &all)
}

/// Functions that touch the flag of a struct; `None` when the whole tree may.
pub(super) fn users(e: &Engine, from: FileId, tag: &str, flag: &Name) -> Option<Vec<FnRef>> {
    let home = e.index.struct_item(from, tag)?.0;
    let files = match e.index.struct_reach(home) {
        Reach::File => vec![home],
        Reach::Folder => {
            e.index.tree.grep(&[flag], Some(&e.index.folder_files(home))).into_iter().map(|h| h.0).collect()
        }
        Reach::Tree => return None,
    };
    Some(files.iter().flat_map(|f| e.index.touching(*f, flag)).collect())
}
