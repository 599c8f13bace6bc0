//! Who makes objects, and which table a function puts into them.

use super::super::closed::argument;
use super::super::engine::Engine;
use super::super::facts::Types;
use super::super::passed::calls;
use super::uses::{asked, functions_with};
use super::{Family, Kinds, Table, declared, keeps, macros, named_in_header};
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::{FnRef, Reach, contains_word};
use crate::kernel::Api;
use crate::lex::{self, TokKind};
use crate::source::{FileId, Name, Span};
use crate::split::ItemKind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Functions that call one another, at most.
const MAX_DEPTH: u32 = 4;

/// A function that makes an object and stores its table.
pub(super) struct Maker {
    f: FnRef,
    /// The variable.
    object: Name,
    value: Value,
}

/// The table that a function gives an object.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    /// This one.
    Of(Table),
    /// What is passed for this parameter.
    Param(usize),
}

/// All who make objects; `None` if a table is not known, or if an object may get another one later.
pub(super) fn makers(e: &Engine, family: &Family) -> Option<Vec<Maker>> {
    let mut makers = Vec::new();
    for (f, func) in functions_with(e, family, &family.ops)? {
        let types = Types::new(f.file, &func, e.index);
        let asked = asked(&func);
        let mut through: BTreeSet<Span> = BTreeSet::new();
        let mut stores: Vec<(&Expr, &Expr)> = Vec::new();
        let member = |x: &Expr| matches!(&x.kind, ExprKind::Field { name, .. } if *name == family.ops);
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Field { base, arrow: true, .. } if member(base) => {
                through.insert(base.span);
            }
            ExprKind::Assign(None, to, from) if member(to) => stores.push((to, from)),
            _ => {}
        });
        let mut known = true;
        let mut mine: Vec<(&Expr, &Name)> = Vec::new();
        func.body.walk_exprs(&mut |x| {
            let ExprKind::Field { base, arrow, .. } = &x.kind else { return };
            if !member(x) || family.is_object(&types, base) == Some(false) {
                return;
            }
            let store = stores.iter().find(|(to, _)| to.span == x.span);
            match (store, base.ident()) {
                (Some((_, from)), Some(object)) if *arrow => mine.push((from, object)),
                (Some(_), _) => known = false,
                _ => known &= through.contains(&x.span) || asked.contains(&x.span),
            }
        });
        if !known {
            return None;
        }
        match mine[..] {
            [] => {}
            [(from, object)] => {
                let value = value(e, family, f, &func, from)?;
                if !is_new(e, family, (f.file, &types), &func, object) || !constant(e, family, f, &value, 0) {
                    return None;
                }
                makers.push(Maker { f, object: object.clone(), value });
            }
            _ => return None,
        }
    }
    (!makers.is_empty()).then_some(makers)
}

/// `&table`, or a parameter that nobody changes.
fn value(e: &Engine, family: &Family, f: FnRef, func: &Function, x: &Expr) -> Option<Value> {
    match &x.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => {
            let name = a.ident()?;
            let hidden = declared(func, name) > 0 || func.params.iter().any(|p| p.name == *name);
            let table = || family.table(e, f.file, name);
            (!hidden).then(table).flatten().map(Value::Of)
        }
        ExprKind::Ident(name) => {
            let k = func.params.iter().position(|p| p.name == *name)?;
            keeps(e, f.file, func, name).then_some(Value::Param(k))
        }
        _ => None,
    }
}

/// All that is passed for the parameter is known.
fn constant(e: &Engine, family: &Family, f: FnRef, value: &Value, depth: u32) -> bool {
    let Value::Param(k) = value else { return true };
    let alone = || match e.index.reach(f) {
        Reach::File => !e.index.unit(f.file).into_iter().any(|file| named_in_header(e, file, &e.index.name(f))),
        _ => unnamed_elsewhere(e, f),
    };
    let Some(all) = callers(e, f).filter(|_| depth < MAX_DEPTH && alone()) else { return false };
    all.into_iter().all(|(by, caller, call)| {
        let value = argument(&caller, call, *k).and_then(|a| self::value(e, family, by, &caller, &a));
        value.is_some_and(|v| constant(e, family, by, &v, depth + 1))
    })
}

/// Whether no file beyond the folder of a function names it: what is linked in can be called from anywhere, by who
/// declares it himself.
fn unnamed_elsewhere(e: &Engine, f: FnRef) -> bool {
    let name = e.index.name(f);
    let folder = e.index.folder(f.file);
    let beyond = e
        .index
        .tree
        .grep(&[&*name], None)
        .into_iter()
        .filter(|(file, _)| !e.index.tree.path(*file).starts_with(folder));
    beyond.into_iter().all(|(file, _)| {
        let Some(items) = e.index.items(file) else { return false };
        // A static function of its own of that name.
        let own = items.function(&name).is_some_and(|i| items.items[i as usize].is_static);
        own || !lex::code(&items.text).any(|t| match t.kind {
            TokKind::Preproc => contains_word(t.span.of(&items.text), name.as_bytes()),
            _ => t.word(&items.text) == name.as_bytes(),
        })
    })
}

/// All calls of a function; `None` if it may be called otherwise, or from anywhere.
pub(in super::super) fn callers(e: &Engine, f: FnRef) -> Option<Vec<(FnRef, Arc<Function>, Span)>> {
    let files = match e.index.reach(f) {
        Reach::File => e.index.unit(f.file),
        Reach::Folder => e.index.folder_files(f.file),
        Reach::Tree => return None,
    };
    let name = e.index.name(f);
    let mut out = Vec::new();
    for (file, _) in e.index.tree.grep(&[&*name], Some(&files)) {
        let items = e.index.items(file)?;
        // Another static function of that name: its callers are not ours.
        let own = items.function(&name);
        if file != f.file && own.is_some_and(|i| items.items[i as usize].is_static) {
            continue;
        }
        let named = |i: &&crate::split::Item| contains_word(i.span.of(&items.text), name.as_bytes());
        if items.items.iter().filter(named).any(|i| !matches!(i.kind, ItemKind::Function | ItemKind::Prototype)) {
            return None;
        }
        for by in e.index.naming(file, &name) {
            let caller = e.index.parsed(by).filter(|c| c.whole())?;
            out.extend(calls(&caller, &name)?.into_iter().map(|call| (by, caller.clone(), call)));
        }
    }
    Some(out)
}

/// The variable is set once, to memory that was allocated for it and that is all zeros.
fn is_new(e: &Engine, family: &Family, (file, types): (FileId, &Types), func: &Function, object: &Name) -> bool {
    let given = func.params.iter().any(|p| p.name == *object);
    if given || declared(func, object) != 1 || macros::sets(e, file, func, object) {
        return false;
    }
    let mut typed = false;
    let mut values = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars.iter().filter(|v| v.name == *object) {
                let tag = types.tag(&v.ty);
                typed = tag.is_some_and(|t| t == family.tag) && v.ty.depth() == 1 && !v.is_static;
                values.extend(&v.init);
            }
        }
    });
    let mut known = true;
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, from) if to.ident() == Some(object) => values.push(from),
        ExprKind::Assign(Some(_), to, _) => known &= to.ident() != Some(object),
        ExprKind::IncDec { operand, .. } => known &= operand.ident() != Some(object),
        ExprKind::Unary(UnOp::AddrOf, a) => known &= a.ident() != Some(object),
        _ => {}
    });
    let zeroed = |x: &Expr| {
        let zeros = |n: &Name| Api::get().is_fresh(n) && (n.contains("zalloc") || n.contains("calloc"));
        x.call().is_some_and(|(n, _)| zeros(n))
    };
    values.retain(|v| !is_null(v));
    typed && known && matches!(values[..], [one] if zeroed(one))
}

pub(in super::super) fn is_null(x: &Expr) -> bool {
    matches!(x.kind, ExprKind::Int { value: 0, .. }) || x.ident().is_some_and(|n| &**n == "NULL")
}

/// What a variable holds: the object, or the address of this member of it.
type Part = Option<Name>;

/// The tables of the objects that a local variable is set to: what a function that makes objects gives back.
pub(super) fn of_local(e: &Engine, family: &Family, f: FnRef, func: &Function, name: &Name) -> Kinds {
    let found = made(e, family, f, func, name, 0)?;
    let mut kinds = BTreeSet::new();
    for (value, part) in found {
        match (value, part) {
            (Value::Of(table), None) => kinds.insert(table),
            _ => return None,
        };
    }
    Some(kinds)
}

/// What a local variable is set to, by calls that make objects; `None` if it may hold another one.
fn made(e: &Engine, family: &Family, f: FnRef, func: &Function, name: &Name, depth: u32) -> Option<Vec<(Value, Part)>> {
    let given = func.params.iter().any(|p| p.name == *name);
    if depth > MAX_DEPTH || given || declared(func, name) != 1 || macros::sets(e, f.file, func, name) {
        return None;
    }
    let mine = family.makers.iter().find(|m| m.f == f && m.object == *name);
    if let Some(maker) = mine {
        return Some(vec![(maker.value.clone(), None)]);
    }
    let mut known = true;
    let mut values: Vec<&Expr> = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars.iter().filter(|v| v.name == *name) {
                known &= !v.is_static;
                values.extend(&v.init);
            }
        }
    });
    let is_address = |x: &Expr| matches!(&x.kind, ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(name));
    let (mut addresses, mut handed) = (0, Vec::new());
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, from) if to.ident() == Some(name) => values.push(from),
        ExprKind::Assign(Some(_), to, _) => known &= to.ident() != Some(name),
        ExprKind::IncDec { operand, .. } => known &= operand.ident() != Some(name),
        ExprKind::Unary(..) if is_address(x) => addresses += 1,
        ExprKind::Call { args, .. } => {
            handed.extend(args.iter().enumerate().filter(|(_, a)| is_address(a)).map(|(k, _)| (x, k)));
        }
        _ => {}
    });
    if !known || addresses != handed.len() {
        return None;
    }
    let mut out = Vec::new();
    values.retain(|v| !is_null(v));
    let by_value = values.into_iter().map(|v| (v, None));
    for (call, k) in by_value.chain(handed.into_iter().map(|(x, k)| (x, Some(k)))) {
        let (callee, args) = call.call()?;
        let to = e.index.definition_near(f.file, callee)?;
        let (given, part) = gives(e, family, to, k, depth + 1)?;
        let value = match given {
            Value::Param(k) => self::value(e, family, f, func, args.get(k)?)?,
            table => table,
        };
        out.push((value, part));
    }
    (!out.is_empty()).then_some(out)
}

/// What a function returns, or stores through parameter `out`: always an object that was made with this table, or none.
fn gives(e: &Engine, family: &Family, f: FnRef, out: Option<usize>, depth: u32) -> Option<(Value, Part)> {
    if !family.files.contains(&f.file) {
        return None;
    }
    let func = e.index.parsed(f).filter(|f| f.whole())?;
    let mut given: Vec<&Expr> = Vec::new();
    match out {
        Some(k) => {
            let through = &func.params.get(k)?.name;
            if declared(&func, through) > 0 || macros::sets(e, f.file, &func, through) {
                return None;
            }
            let (mut named, mut stored) = (0, 0);
            func.body.walk_exprs(&mut |x| match &x.kind {
                ExprKind::Ident(n) => named += usize::from(n == through),
                ExprKind::Assign(None, to, from) => {
                    if matches!(&to.kind, ExprKind::Unary(UnOp::Deref, a) if a.ident() == Some(through)) {
                        stored += 1;
                        given.push(from);
                    }
                }
                _ => {}
            });
            if named != stored {
                return None;
            }
        }
        None => {
            let mut plain = true;
            func.body.walk(&mut |s| {
                if let StmtKind::Return(value) = &s.kind {
                    plain &= value.is_some();
                    given.extend(value);
                }
            });
            given.retain(|x| !x.call().is_some_and(|(n, _)| matches!(&**n, "ERR_PTR" | "ERR_CAST")));
            if !plain {
                return None;
            }
        }
    }
    given.retain(|x| !is_null(x));
    let mut all = Vec::new();
    for x in given {
        let (name, turn) = part_of(e, family, f, x)?;
        for (value, part) in made(e, family, f, &func, name, depth)? {
            let part = match (&turn, part) {
                (Turn::Same, part) => part,
                (Turn::Into(m), None) => Some(m.clone()),
                (Turn::OutOf(m), Some(part)) if part == *m => None,
                _ => return None,
            };
            all.push((value, part));
        }
    }
    all.dedup();
    (all.len() == 1).then(|| all.pop()).flatten()
}

/// From a variable to an expression.
enum Turn {
    Same,
    /// `&x->member`
    Into(Name),
    /// `container_of(x, struct TAG, member)`
    OutOf(Name),
}

/// The variable that an expression is made of.
fn part_of<'x>(e: &Engine, family: &Family, f: FnRef, x: &'x Expr) -> Option<(&'x Name, Turn)> {
    match &x.kind {
        ExprKind::Ident(n) => Some((n, Turn::Same)),
        ExprKind::Unary(UnOp::AddrOf, a) => match &a.kind {
            ExprKind::Field { base, name, arrow: true, .. } => Some((base.ident()?, Turn::Into(name.clone()))),
            _ => None,
        },
        ExprKind::Call { .. } => {
            if let Some((of, member)) = around(family, x) {
                return Some((of, Turn::OutOf(member.clone())));
            }
            // `static inline struct a *to_a(struct base *b) { return container_of(b, struct a, base); }`
            let (callee, [arg]) = x.call()? else { return None };
            let to = e.index.definition_near(f.file, callee)?;
            let func = e.index.parsed(to).filter(|f| f.whole())?;
            let StmtKind::Block(list) = &func.body.kind else { return None };
            let ([one], [param]) = (&list[..], &func.params[..]) else { return None };
            let StmtKind::Return(Some(value)) = &one.kind else { return None };
            let (of, member) = around(family, value)?;
            (*of == param.name).then_some((arg.ident()?, Turn::OutOf(member.clone())))
        }
        _ => None,
    }
}

/// `container_of(x, struct TAG, member)`
fn around<'x>(family: &Family, x: &'x Expr) -> Option<(&'x Name, &'x Name)> {
    let (callee, [of, ty, member]) = x.call()? else { return None };
    let ExprKind::Type(ty) = &ty.kind else { return None };
    let fits = &**callee == "container_of" && ty.depth() == 0 && ty.tag() == Some(&family.tag);
    fits.then_some((of.ident()?, member.ident()?))
}
