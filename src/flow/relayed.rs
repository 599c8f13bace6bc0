//! A release behind a flag that only some objects let stand: `if (!req->args->move) state->move = 0;`, and in a callee
//! `if (state->move) put_page(…)`. What is dropped there belongs to an object whose own flag is set.
//!
//! Said where one function sets that flag, in objects that are made for it, and where nobody who calls this function
//! calls one that fills an object with the pages. The object with the flag is taken to be the one with the pages when
//! its struct is a part of the other, as `guard` does.

use super::FnId;
use super::cfg::Cfg;
use super::closed::{argument, assigned};
use super::engine::Engine;
use super::graph::{Edge, Graph, Node, Reached};
use super::guard::{span_of, tests, users};
use super::passed::calls;
use super::place::Place;
use crate::ast::{CType, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::{FnRef, Reach, contains_word};
use crate::kernel::Api;
use crate::source::{FileId, Name, Span};
use crate::split::ItemKind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Assignments from one variable or member to the next that lead to a new object, at most.
const MAX_DEPTH: u32 = 8;
/// Functions that call one another, at most.
const MAX_CALLERS: usize = 200;

/// The struct with the flag that a release needs set, the flag, and the function that sets it.
pub(super) struct Needed {
    tag: Name,
    setter: FnRef,
}

/// What a release needs, if anything.
pub(super) fn needed(e: &Engine, g: &Graph, nodes: &[Node], f: FnId, call: Span) -> Option<Needed> {
    let (file, inner) = relayed(e, f, call)?;
    heap_before(e, g, nodes, f).into_iter().find_map(|n| {
        let Place::Field(tag, _) = g.place(n) else { return None };
        let tag = holds(e, file, tag, &inner, 0)?;
        let setter = setter(e, file, &tag, &inner)?;
        Some(Needed { tag, setter })
    })
}

/// Whether no object gets to the release with the pages of `r` in it.
pub(super) fn apart(
    e: &Engine,
    g: &Graph,
    r: &Reached,
    nodes: &[Node],
    f: FnId,
    start: (FnId, Option<Node>),
    needed: &Needed,
) -> bool {
    let heap: Vec<Node> = heap_before(e, g, nodes, f).into_iter().filter(|n| r.has(n & !1) || r.has(n | 1)).collect();
    let file = e.fns[f.0 as usize].file;
    let of_object = |n: &Node| match g.place(*n) {
        Place::Field(tag, _) => inside(e, file, tag, &needed.tag, 0),
        _ => false,
    };
    let mut fill: BTreeSet<FnId> = BTreeSet::new();
    for n in &heap {
        let into = [n & !1, n | 1].into_iter().flat_map(|n| g.incoming(n));
        let brings = |i: &&Edge| i.to / 2 != n / 2 && r.has(i.to) && !of_new_array(e, i.at);
        fill.extend(into.filter(brings).map(|i| i.at.0));
        fill.extend(start.1.filter(|s| s / 2 == n / 2).map(|_| start.0));
    }
    let Some(setters) = callers(e, needed.setter) else { return false };
    !heap.is_empty()
        && heap.iter().all(of_object)
        && fill.iter().all(|f| callers(e, e.fns[f.0 as usize]).is_some_and(|all| all.is_disjoint(&setters)))
}

/// `object->pages = alloc(…)`: the array comes with nothing in it.
fn of_new_array(e: &Engine, (f, at): (FnId, Span)) -> bool {
    let f = e.fns[f.0 as usize];
    let Some(func) = e.index.parsed(f) else { return false };
    let mut new = false;
    func.body.walk_exprs(&mut |x| {
        if let ExprKind::Assign(None, _, v) = &x.kind
            && x.span == at
        {
            new = is_new(e, f, &func, v, 0);
        }
    });
    new
}

/// The flag of the other object that a release needs set, and the file where this is read.
fn relayed(e: &Engine, f: FnId, call: Span) -> Option<(FileId, Name)> {
    let at = e.fns[f.0 as usize];
    let func = e.index.parsed(at).filter(|f| f.whole())?;
    let mut flags: Vec<(FnRef, Arc<Function>, Name)> = Vec::new();
    for (by, span) in std::iter::once((f, call)).chain(e.callers_of(f).iter().copied()) {
        let by = e.fns[by.0 as usize];
        let caller = if by == at { func.clone() } else { e.index.parsed(by)? };
        let open = tests(e, (by, &caller, span)).into_iter().filter(|(t, _)| !t.param && t.wanted && t.mask.is_none());
        flags.extend(open.map(|(t, _)| (by, caller.clone(), t.field)));
    }
    flags.into_iter().find_map(|(by, caller, flag)| {
        // Of a flag that is tested by the callers: by all of them.
        let asks = |(c, span): &(FnId, Span)| {
            let c = e.fns[c.0 as usize];
            let func = e.index.parsed(c)?;
            tests(e, (c, &func, *span))
                .iter()
                .any(|(t, _)| t.field == flag && t.wanted && t.mask.is_none())
                .then_some(())
        };
        if by != at && !e.callers_of(f).iter().all(|c| asks(c).is_some()) {
            return None;
        }
        let tag = base_tag(&caller, &flag)?;
        Some((at.file, Stores::of(e, at.file, &tag, &flag)?.on_the_way(e, at)?))
    })
}

/// The struct of the object whose flag a function reads.
fn base_tag(func: &Function, flag: &Name) -> Option<Name> {
    let mut tag = None;
    func.body.walk_exprs(&mut |x| {
        if let ExprKind::Field { base, name, .. } = &x.kind
            && name == flag
        {
            tag = base.ident().and_then(|b| of_variable(func, b)).and_then(|t| t.tag().cloned()).or(tag.take());
        }
    });
    tag
}

fn of_variable<'f>(func: &'f Function, name: &Name) -> Option<&'f CType> {
    let mut found = func.params.iter().find(|p| p.name == *name).map(|p| &p.ty);
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found = vars.iter().find(|v| v.name == *name).map(|v| &v.ty).or(found);
        }
    });
    found
}

/// Who stores to the flag that the release tests.
struct Stores {
    /// Functions that set it, in an object of their own.
    open: BTreeSet<FnRef>,
    /// Where it is cleared, and the flag of another object that keeps it from being so.
    shut: Vec<(FnRef, Span, Option<Name>)>,
}

impl Stores {
    fn of(e: &Engine, file: FileId, tag: &Name, flag: &Name) -> Option<Self> {
        let mut out = Self { open: BTreeSet::new(), shut: Vec::new() };
        for user in users(e, file, tag, flag)? {
            let func = e.index.parsed(user).filter(|f| f.whole())?;
            for (to, value) in assigned(&func, flag)? {
                match truth(value)? {
                    true => {
                        let ExprKind::Field { base, .. } = &to.kind else { return None };
                        let own = of_variable(&func, base.ident()?).filter(|t| t.depth() == 0)?;
                        own.tag().filter(|t| *t == tag)?;
                        out.open.insert(user);
                    }
                    false => {
                        let (at, kept) = unless(&func, to.span).map_or((to.span, None), |(c, n)| (c, Some(n)));
                        out.shut.push((user, at, kept));
                    }
                }
            }
        }
        Some(out)
    }

    /// The one flag that all ways from who sets the first flag to the function ask for.
    fn on_the_way(&self, e: &Engine, to: FnRef) -> Option<Name> {
        let mut kept: BTreeSet<&Name> = BTreeSet::new();
        let mut work = vec![to];
        let mut seen = BTreeSet::from([to]);
        while let Some(f) = work.pop() {
            if self.open.contains(&f) {
                return None;
            }
            let name = e.index.name(f);
            for by in called_by(e, f, &name)? {
                let caller = e.index.parsed(by).filter(|c| c.whole())?;
                let shut: Vec<_> = self.shut.iter().filter(|s| s.0 == by).collect();
                let spans: Vec<Span> = shut.iter().map(|s| s.1).collect();
                let calls = calls(&caller, &name)?;
                if !self.open.contains(&by) && !spans.is_empty() && behind(&caller, &spans, &calls) {
                    kept.extend(shut.iter().filter_map(|s| s.2.as_ref()));
                } else if seen.insert(by) {
                    work.push(by);
                }
            }
        }
        let mut kept = kept.into_iter();
        kept.next().filter(|_| kept.next().is_none()).cloned()
    }
}

/// The functions that call a static function; `None` if it may be called otherwise.
fn called_by(e: &Engine, f: FnRef, name: &Name) -> Option<Vec<FnRef>> {
    if e.index.reach(f) != Reach::File {
        return None;
    }
    let mut out = Vec::new();
    let mut table = false;
    for file in e.index.unit(f.file) {
        out.extend(e.index.naming(file, name).into_iter().filter(|by| *by != f));
        let items = e.index.items(file)?;
        let other = |k| matches!(k, ItemKind::Variable | ItemKind::Define);
        table |= items.items.iter().any(|i| other(i.kind) && contains_word(i.span.of(&items.text), name.as_bytes()));
    }
    // An operation that others call, of which nobody here does.
    (!table || out.is_empty()).then_some(out)
}

/// Every way to the calls passes one of these places.
fn behind(func: &Function, places: &[Span], calls: &[Span]) -> bool {
    let cfg = Cfg::new(func);
    let holds = |n: u32, at: &Span| span_of(&cfg.nodes[n as usize].elem).is_some_and(|s| s.contains(*at));
    let mut seen = BTreeSet::new();
    let mut work = vec![0];
    while let Some(n) = work.pop() {
        if !seen.insert(n) || places.iter().any(|p| holds(n, p)) {
            continue;
        }
        if calls.iter().any(|c| holds(n, c)) {
            return false;
        }
        work.extend(&cfg.nodes[n as usize].succ);
    }
    true
}

/// `if (!x->flag) y->other = 0;`: the condition, and the flag.
fn unless(func: &Function, store: Span) -> Option<(Span, Name)> {
    let mut found = None;
    func.body.walk(&mut |s| {
        if let StmtKind::If { cond, then, els: None } = &s.kind
            && only(then).is_some_and(|x| matches!(&x.kind, ExprKind::Assign(None, to, _) if to.span == store))
            && let ExprKind::Unary(UnOp::Not, flag) = &cond.kind
            && let ExprKind::Field { name, .. } = &flag.kind
        {
            found = Some((cond.span, name.clone()));
        }
    });
    found
}

fn only(s: &Stmt) -> Option<&Expr> {
    match &s.kind {
        StmtKind::Expr(x) => Some(x),
        StmtKind::Block(list) => match &list[..] {
            [one] => only(one),
            _ => None,
        },
        _ => None,
    }
}

fn truth(e: &Expr) -> Option<bool> {
    match &e.kind {
        ExprKind::Int { value, .. } => Some(*value != 0),
        ExprKind::Ident(n) if &**n == "true" => Some(true),
        ExprKind::Ident(n) if &**n == "false" => Some(false),
        _ => None,
    }
}

/// The places outside of functions that the release gets its pages from, those next to it. What the function of the
/// release stores behind the statement that reads is not among them.
fn heap_before(e: &Engine, g: &Graph, nodes: &[Node], f: FnId) -> Vec<Node> {
    let func = e.index.parsed(e.fns[f.0 as usize]);
    let follows = |first: Span, then: Span| {
        let later = func.as_ref().map(|f| super::apart::after(f, first, &[])).unwrap_or_default();
        later.is_empty() || later.iter().any(|l| l.contains(then))
    };
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    let mut work: Vec<(Node, Option<Span>)> = nodes.iter().map(|n| (*n, None)).collect();
    while let Some((n, read)) = work.pop() {
        if !seen.insert((n, read)) {
            continue;
        }
        if matches!(g.place(n), Place::Field(..) | Place::Global(..)) {
            out.push(n);
            continue;
        }
        for i in g.incoming(n) {
            let (by, at) = i.at;
            let here = by == f && at != Span::default();
            if here && read.is_some_and(|read| at != read && !follows(at, read)) {
                continue;
            }
            work.push((i.to, if here { Some(at) } else { read }));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// The struct that has the flag: this one, or one that is a part of it.
fn holds(e: &Engine, file: FileId, tag: &Name, flag: &Name, depth: u32) -> Option<Name> {
    let def = e.index.struct_def(file, tag)?;
    if def.fields.iter().any(|f| f.name == *flag) {
        return Some(tag.clone());
    }
    let parts = def.fields.iter().filter(|f| f.ty.depth() == 0 && depth < 3).filter_map(|f| f.ty.tag());
    parts.into_iter().find_map(|part| holds(e, file, part, flag, depth + 1))
}

/// The struct is this one, or has it as a part.
fn inside(e: &Engine, file: FileId, tag: &Name, part: &Name, depth: u32) -> bool {
    let parts = || {
        let def = e.index.struct_def(file, tag)?;
        let parts = def.fields.iter().filter(|f| f.ty.depth() == 0).filter_map(|f| f.ty.tag());
        Some(parts.into_iter().any(|t| inside(e, file, t, part, depth + 1)))
    };
    tag == part || depth < 3 && parts() == Some(true)
}

/// The only function that sets the flag, in an object that was made for it.
fn setter(e: &Engine, file: FileId, tag: &Name, flag: &Name) -> Option<FnRef> {
    let mut found = None;
    for user in users(e, file, tag, flag)? {
        let func = e.index.parsed(user).filter(|f| f.whole())?;
        for (to, value) in assigned(&func, flag)? {
            if !truth(value)? {
                continue;
            }
            if found.is_some_and(|f| f != user) || !is_new(e, user, &func, object(to)?, 0) {
                return None;
            }
            found = Some(user);
        }
    }
    found
}

/// The object that a member is of: `o` of `o->part.flag`.
fn object(member: &Expr) -> Option<&Expr> {
    match &member.kind {
        ExprKind::Field { base, arrow: true, .. } => Some(base),
        ExprKind::Field { base, .. } if matches!(base.kind, ExprKind::Field { .. }) => object(base),
        _ => None,
    }
}

/// Whether all that the expression can be was made by an allocator for this.
fn is_new(e: &Engine, f: FnRef, func: &Function, x: &Expr, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match &x.kind {
        ExprKind::Cast(_, a) => is_new(e, f, func, a, depth),
        ExprKind::Assign(None, _, v) => is_new(e, f, func, v, depth),
        ExprKind::Int { value: 0, .. } => true,
        ExprKind::Unary(UnOp::AddrOf, a) => object(a).is_some_and(|o| is_new(e, f, func, o, depth)),
        ExprKind::Call { .. } => x.call().is_some_and(|(n, _)| makes(e, f, n, depth)),
        ExprKind::Field { base, name, .. } => {
            let tag = base.ident().and_then(|b| of_variable(func, b)).and_then(|t| t.tag().cloned());
            let of = |tag: Name| Some(e.index.touching_of(users(e, f.file, &tag, name)?, &tag, name));
            let Some(all) = tag.and_then(of) else { return false };
            all.into_iter().all(|user| {
                let Some(func) = e.index.parsed(user).filter(|f| f.whole()) else { return false };
                assigned(&func, name).is_some_and(|all| all.iter().all(|(_, v)| is_new(e, user, &func, v, depth + 1)))
            })
        }
        ExprKind::Ident(n) if &**n == "NULL" => true,
        ExprKind::Ident(n) => {
            let (mut values, mut known) = (Vec::new(), true);
            func.body.walk(&mut |s| {
                if let StmtKind::Decl(vars) = &s.kind {
                    values.extend(vars.iter().filter(|v| v.name == *n).filter_map(|v| v.init.as_ref()));
                }
            });
            func.body.walk_exprs(&mut |x| match &x.kind {
                ExprKind::Assign(None, l, r) if l.ident() == Some(n) => values.push(r),
                ExprKind::Assign(Some(_), l, _) => known &= l.ident() != Some(n),
                ExprKind::Unary(UnOp::AddrOf, a) => known &= a.ident() != Some(n),
                _ => {}
            });
            let given = func.params.iter().position(|p| p.name == *n);
            let by_callers = |k| {
                called_by(e, f, &func.name).filter(|all| !all.is_empty()).is_some_and(|all| {
                    all.into_iter().all(|by| {
                        let Some(caller) = e.index.parsed(by).filter(|c| c.whole()) else { return false };
                        calls(&caller, &func.name).is_some_and(|calls| {
                            calls.into_iter().all(|at| {
                                argument(&caller, at, k).is_some_and(|a| is_new(e, by, &caller, &a, depth + 1))
                            })
                        })
                    })
                })
            };
            known
                && (given.is_some() || !values.is_empty())
                && values.into_iter().all(|v| is_new(e, f, func, v, depth + 1))
                && given.is_none_or(by_callers)
        }
        _ => false,
    }
}

/// Whether a function returns new memory, and nothing else.
fn makes(e: &Engine, from: FnRef, name: &Name, depth: u32) -> bool {
    if Api::get().is_fresh(name) {
        return true;
    }
    let Some(f) = e.index.definition_near(from.file, name) else { return false };
    let Some(func) = e.index.parsed(f).filter(|f| f.whole()) else { return false };
    let mut returned = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::Return(Some(x)) = &s.kind {
            returned.push(x);
        }
    });
    !returned.is_empty() && returned.into_iter().all(|x| is_new(e, f, &func, x, depth + 1))
}

/// A function and all who call it, one over the other, by name; `None` if they are many or may be anywhere.
fn callers(e: &Engine, f: FnRef) -> Option<BTreeSet<FnRef>> {
    let mut all = BTreeSet::from([f]);
    let mut work = vec![f];
    while let Some(f) = work.pop() {
        let name = e.index.name(f);
        let files = match e.index.reach(f) {
            Reach::File => e.index.unit(f.file),
            _ => e.index.folder_files(f.file),
        };
        e.index.load(&files);
        for file in files {
            for by in e.index.naming(file, &name) {
                if all.insert(by) {
                    work.push(by);
                }
            }
        }
        if all.len() > MAX_CALLERS {
            return None;
        }
    }
    Some(all)
}
