//! Objects of one struct that several functions make: `obj = new_obj(pages, a_done)`, and elsewhere
//! `obj = new_obj(own, b_done)`.
//!
//! A field is one place for all objects of a struct. An object is made once, by one call: the allocation, in a function
//! that one call ran, and so on. Pages that are put into the field of an object that one call made are not those that
//! are found in an object of another one. By which calls an object may have been made is told by
//!
//! * the variable, if all that it is set to are calls that allocate, or that give back what they have allocated;
//! * what all callers pass, when all are known;
//! * the member that the function is called through: it gets objects whose member was ever set to it ([`callbacks`]).
//!
//! Two objects are apart where the calls differ, from the allocation outwards. What is not in sight may be any object.
//! Nothing of this holds where an object is a part of something else or is copied whole; what one statement may put from
//! one object into another one makes one kind of both ([`Created::of`]).

mod callbacks;

use super::closed::argument;
use super::embedded::{Told, container, told_apart, values, values_at, whole};
use super::engine::Engine;
use super::facts::Types;
use super::graph::{Graph, Node};
use super::objects::{At, alone, asked, callers, declared, fixed, is_null, is_of, named, seeing, touching, zeroed};
use super::release::plain as written;
use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::{FnRef, Reach};
use crate::kernel::Api;
use crate::lex::{self, TokKind};
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::split::ItemKind;
use callbacks::Callbacks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The calls that made an object: the allocation, the call of the function that it stands in, and so on outwards, as far
/// as they are known.
type Chain = Vec<(FnRef, Span)>;

/// All calls that may have made an object. Where nothing is known, `None` stands for them.
pub(super) type Chains = BTreeSet<Chain>;

/// Functions within functions, at most.
const MAX_DEPTH: u32 = 5;

/// Functions that hand an object on, one to the other, at most.
const MAX_GIVEN: usize = 60;

/// A field of objects that several calls make.
pub(super) struct Created {
    tag: Name,
    field: Name,
    /// A file that sees the struct, and all of them.
    file: FileId,
    files: Vec<FileId>,
    callbacks: Mutex<Option<Arc<Callbacks>>>,
    /// What one statement touches together.
    joined: Vec<Chains>,
}

/// Whether no object of the one kind is one of the other.
fn differ(a: &Chains, b: &Chains) -> bool {
    let apart = |a: &Chain, b: &Chain| a.iter().zip(b).any(|(a, b)| a != b);
    a.iter().all(|a| b.iter().all(|b| apart(a, b)))
}

impl Created {
    /// The field of a node, if pages `came` to objects that are known, and if others are touched elsewhere.
    pub(super) fn of(e: &Engine, g: &Graph, n: Node, came: &BTreeSet<At>, told: &Told) -> Option<Self> {
        let (tag, field) = told_apart(g, n)?;
        let file = e.edge_file(g, n)?;
        let (home, _) = e.index.struct_item(file, tag)?;
        if e.index.struct_reach(home) == Reach::Tree {
            return None;
        }
        let def = e.index.struct_def(file, tag).filter(|d| !d.is_union)?;
        def.fields.iter().find(|f| f.name == *field && !f.in_union)?;
        let mut found = Self {
            tag: tag.clone(),
            field: field.clone(),
            file,
            files: seeing(e, file, tag)?,
            callbacks: Mutex::default(),
            joined: Vec::new(),
        };
        let came: Vec<Chains> = came.iter().filter_map(|at| found.touched(e, at)).collect();
        if came.is_empty() {
            return None;
        }
        let (all, joined) = found.statements(e)?;
        found.joined = joined;
        if !all.iter().any(|a| came.iter().any(|b| found.differ(a, b))) || !alone(e, &found.files, tag) {
            return None;
        }
        (whole(e, file, tag, told) == Some(true)).then_some(found)
    }

    /// Whether no pages of objects of the one kind are found in one of the other.
    pub(super) fn differ(&self, a: &Chains, b: &Chains) -> bool {
        let mut all = a.clone();
        // What is put from one into the other goes on from there.
        while let Some(more) = self.joined.iter().find(|j| !j.is_subset(&all) && !differ(j, &all)) {
            all.extend(more.iter().cloned());
        }
        differ(&all, b)
    }

    /// What the statements everywhere touch, as far as it is known; and what one of them touches together. `None` if one
    /// touches objects that are not known.
    fn statements(&self, e: &Engine) -> Option<(Vec<Chains>, Vec<Chains>)> {
        let (mut all, mut joined) = (Vec::new(), Vec::new());
        for (f, func) in touching(e, &self.files, &self.tag, &self.field)? {
            let types = Types::new(f.file, &func, e.index);
            let text = e.index.text(f.file);
            let mut found: Vec<BTreeMap<String, (Option<Name>, Span)>> = Vec::new();
            func.body.walk(&mut |s| {
                let mut objects = BTreeMap::new();
                s.exprs(&mut |x| {
                    x.walk(&mut |x| {
                        if let Some((base, object)) = self.object_of(&types, x) {
                            objects.insert(written(base, &text), (object.cloned(), x.span));
                        }
                    });
                });
                found.push(objects);
            });
            for objects in found {
                let chains = |(object, at): &(Option<Name>, Span)| self.object(e, f, &func, object.as_ref()?, *at, 0);
                let known: Vec<Option<Chains>> = objects.values().map(chains).collect();
                if known.len() > 1 {
                    let mut together = Chains::new();
                    for chains in &known {
                        together.extend(chains.clone()?);
                    }
                    joined.push(together);
                }
                all.extend(known.into_iter().flatten());
            }
        }
        Some((all, joined))
    }

    /// Of an expression that is or may be the field of an object, the object; and its name, if it is a pointer that has
    /// one.
    fn object_of<'x>(&self, types: &Types, x: &'x Expr) -> Option<(&'x Expr, Option<&'x Name>)> {
        let ExprKind::Field { base, name, arrow, .. } = &x.kind else { return None };
        if *name != self.field {
            return None;
        }
        match is_of(types, base, &self.tag) {
            Some(false) => None,
            Some(true) => Some((base, base.ident().filter(|_| *arrow))),
            None => Some((base, None)),
        }
    }

    /// By which calls the objects may have been made whose field a statement touches.
    pub(super) fn touched(&self, e: &Engine, &(f, at): &At) -> Option<Chains> {
        let f = e.fns[f.0 as usize];
        // Another struct of that name has other objects, and nobody has looked at what is done to them.
        self.files.binary_search(&f.file).ok()?;
        let func = e.index.parsed(f).filter(|f| f.damage.is_empty())?;
        let types = Types::new(f.file, &func, e.index);
        let mut objects: Vec<(Option<&Name>, Span)> = Vec::new();
        let mut stores = Vec::new();
        func.body.walk_exprs(&mut |x| {
            if !at.contains(x.span) {
                return;
            }
            if let Some((_, object)) = self.object_of(&types, x) {
                objects.push((object, x.span));
            }
            if let ExprKind::Assign(None, to, from) = &x.kind
                && let Some((_, Some(object))) = self.object_of(&types, to)
            {
                stores.push((object, from, to.span));
            }
        });
        if let ([(object, from, at)], 1) = (&stores[..], objects.len())
            && let Some(value) = from.ident()
            && let Some(found) = self.filled(e, f, &func, (object, value), *at)
        {
            return Some(found);
        }
        let mut found = Chains::new();
        for (object, at) in objects {
            found.extend(self.object(e, f, &func, object?, at, 0)?);
        }
        (!found.is_empty()).then_some(found)
    }

    /// `obj->field = value`, of a new object and a parameter: the calls of the function that pass anything but memory
    /// that they have just allocated and go on to leave alone. Others fill the object later, by other statements.
    fn filled(&self, e: &Engine, f: FnRef, func: &Function, of: (&Name, &Name), at: Span) -> Option<Chains> {
        let (object, value) = of;
        let k = func.params.iter().position(|p| p.name == *value)?;
        if !fixed(func, value) || idents(func, value).len() != 1 {
            return None;
        }
        let made = self.created(e, f, func, object, at, 0)?;
        let (mut found, mut left_out) = (Chains::new(), false);
        for (by, caller, call) in callers(e, f)? {
            let arg = argument(&caller, call, k)?;
            if arg.ident().is_some_and(|name| is_empty(&caller, name, call)) {
                left_out = true;
            } else {
                found.extend(made.iter().map(|c| longer(c, (by, call))));
            }
        }
        (left_out && !found.is_empty()).then_some(found)
    }

    /// By which calls the object may have been made that a variable points to.
    fn object(&self, e: &Engine, f: FnRef, func: &Function, name: &Name, at: Span, depth: u32) -> Option<Chains> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(k) = func.params.iter().position(|p| p.name == *name) {
            return fixed(func, name).then(|| self.given(e, (f, k, None), depth)).flatten();
        }
        if let [one] = values(func, name)?[..]
            && let Some((of, member)) = container(one, &self.tag)
        {
            let k = func.params.iter().position(|p| p.name == *of)?;
            return fixed(func, of).then(|| self.given(e, (f, k, Some(member.clone())), depth)).flatten();
        }
        self.created(e, f, func, name, at, depth)
    }

    /// The same of a local variable that is only set to objects which this very run of the function has made.
    fn created(&self, e: &Engine, f: FnRef, func: &Function, name: &Name, at: Span, depth: u32) -> Option<Chains> {
        let mut all = values(func, name)?;
        if set_by_macro(e, f.file, func, name) {
            return None;
        }
        if at != Span::default()
            && let Some(value) = last(&func.body, name, at)
            && straight(&e.index.text(f.file), value.span, at)
        {
            all = vec![value];
        }
        let mut found = Chains::new();
        for value in all {
            found.extend(self.made(e, f, func, value, depth)?);
        }
        (!found.is_empty()).then_some(found)
    }

    fn made(&self, e: &Engine, f: FnRef, func: &Function, x: &Expr, depth: u32) -> Option<Chains> {
        if depth > MAX_DEPTH {
            return None;
        }
        match &x.kind {
            ExprKind::Cast(_, a) => self.made(e, f, func, a, depth),
            ExprKind::Ident(n) => self.created(e, f, func, n, Span::default(), depth + 1),
            ExprKind::Call { .. } => {
                let link = (f, x.span);
                let (callee, _) = x.call()?;
                if declared(func, callee) > 0 || func.params.iter().any(|p| p.name == *callee) {
                    return None;
                }
                if zeroed(x) {
                    return Some(Chains::from([vec![link]]));
                }
                if e.index.visible_item(f.file, callee, &[ItemKind::Define]).is_some() {
                    return None;
                }
                let inside = self.given_back(e, e.index.definition_near(f.file, callee)?, depth)?;
                Some(inside.iter().map(|c| longer(c, link)).collect())
            }
            _ => None,
        }
    }

    /// By which calls the object was made that a function gives back, if it makes one.
    fn given_back(&self, e: &Engine, f: FnRef, depth: u32) -> Option<Chains> {
        // Of two that stand under an `#if`, it may be the other one.
        let name = e.index.name(f);
        let items = e.index.items(f.file)?;
        let named = items.named(&name).filter(|(_, i)| matches!(i.kind, ItemKind::Function | ItemKind::Define));
        if !self.files.contains(&f.file) || named.count() != 1 {
            return None;
        }
        let func = e.index.parsed(f).filter(|f| f.damage.is_empty())?;
        let mut found = Chains::new();
        let mut given = Vec::new();
        func.body.walk(&mut |s| {
            if let StmtKind::Return(value) = &s.kind {
                given.push(value.as_ref());
            }
        });
        for value in given {
            let value = value?;
            if is_null(value) || value.call().is_some_and(|(n, _)| matches!(&**n, "ERR_PTR" | "ERR_CAST")) {
                continue;
            }
            found.extend(match value.ident() {
                Some(name) => self.created(e, f, &func, name, value.span, depth + 1)?,
                None => self.made(e, f, &func, value, depth + 1)?,
            });
        }
        (!found.is_empty()).then_some(found)
    }

    /// By which calls the objects were made that a function gets for a parameter: the object, or the address of a
    /// member.
    fn given(&self, e: &Engine, to: (FnRef, usize, Option<Name>), depth: u32) -> Option<Chains> {
        let mut found = Chains::new();
        let mut work = vec![to.clone()];
        let mut seen = BTreeSet::from([to]);
        while let Some((f, k, part)) = work.pop() {
            if seen.len() > MAX_GIVEN {
                return None;
            }
            let named = named(e, f)?;
            for (by, caller, call) in named.calls {
                let arg = argument(&caller, call, k)?;
                let (object, part) = match (&arg.kind, &part) {
                    (ExprKind::Ident(n), _) => (n, part.clone()),
                    (ExprKind::Unary(UnOp::AddrOf, a), Some(member)) => match &a.kind {
                        ExprKind::Field { base, name, arrow: true, .. } if name == member => {
                            let types = Types::new(by.file, &caller, e.index);
                            let object = base.ident().filter(|_| is_of(&types, base, &self.tag) == Some(true));
                            (object?, None)
                        }
                        _ => return None,
                    },
                    _ => return None,
                };
                match caller.params.iter().position(|p| p.name == *object) {
                    Some(_) if !fixed(&caller, object) => return None,
                    Some(j) => {
                        let next = (by, j, part);
                        if seen.insert(next.clone()) {
                            work.push(next);
                        }
                    }
                    None if part.is_some() => return None,
                    None => found.extend(self.object(e, by, &caller, object, call, depth + 1)?),
                }
            }
            for at in named.values {
                found.extend(self.callbacks(e).gets(e, self, at, k, part.as_ref())?);
            }
        }
        // Who calls a function that nobody calls is not known.
        (!found.is_empty()).then_some(found)
    }

    fn callbacks(&self, e: &Engine) -> Arc<Callbacks> {
        // Not under the lock: others may be asked on the way.
        if let Some(known) = &*self.callbacks.lock().unwrap_or_else(PoisonError::into_inner) {
            return known.clone();
        }
        let found = Arc::new(Callbacks::of(e, self));
        *self.callbacks.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        found
    }
}

fn longer(chain: &Chain, link: (FnRef, Span)) -> Chain {
    chain.iter().copied().chain([link]).collect()
}

/// Where a name stands in a function, but for `sizeof`.
fn idents(func: &Function, name: &Name) -> Vec<Span> {
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Ident(n) if n == name => found.push(x.span),
        ExprKind::SizeofExpr(_) => sizes.push(x.span),
        _ => {}
    });
    found.retain(|at| !sizes.iter().any(|s| s.contains(*at)));
    found
}

/// Whether a variable is memory that was just allocated, is passed by this call, and is only given back otherwise.
fn is_empty(func: &Function, name: &Name, call: Span) -> bool {
    let new = |depth| values_at(func, name, depth).is_some_and(|v| v.iter().all(|v| zeroed(v)));
    if !new(2) && !new(1) {
        return false;
    }
    let mut fine = asked(func);
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, _) => {
            fine.insert(to.span);
        }
        ExprKind::Call { args, .. } if x.span == call || x.call().is_some_and(|(n, _)| Api::get().is_free(n)) => {
            fine.extend(args.iter().filter(|a| a.ident() == Some(name)).map(|a| a.span));
        }
        _ => {}
    });
    idents(func, name).iter().all(|at| fine.contains(at))
}

/// What a variable was set to last on every way to a place, if that shows in the blocks around it.
fn last<'f>(body: &'f Stmt, name: &Name, at: Span) -> Option<&'f Expr> {
    let mut found = None;
    body.walk(&mut |s| {
        let StmtKind::Block(list) = &s.kind else { return };
        let Some(i) = list.iter().position(|s| s.span.contains(at)) else { return };
        for before in list[..=i].iter().rev() {
            // Nobody gets between the two by a jump, and nobody sets it there.
            let set = match &before.kind {
                StmtKind::Expr(x) if before.span != list[i].span => match &x.kind {
                    ExprKind::Assign(None, to, from) if to.ident() == Some(name) => Some(&**from),
                    _ => None,
                },
                _ => None,
            };
            if let Some(value) = set.filter(|v| !is_null(v)) {
                found = Some(value);
                return;
            }
            if enters(before) || sets(before, name) {
                return;
            }
        }
    });
    found
}

/// Whether a macro that is given the variable assigns anything.
fn set_by_macro(e: &Engine, file: FileId, func: &Function, name: &Name) -> bool {
    let assigns = |callee: &Name| {
        let (home, i) = e.index.visible_item(file, callee, &[ItemKind::Define])?;
        let items = e.index.items(home)?;
        let text = items.items.get(i as usize)?.span.of(&items.text);
        let compared = |c: Option<&u8>| matches!(c, Some(b'=' | b'!' | b'<' | b'>'));
        let alone = |i: usize| !compared(text[..i].last()) && text.get(i + 1) != Some(&b'=');
        Some((0..text.len()).any(|i| text[i] == b'=' && alone(i)))
    };
    let mut callees: BTreeSet<&Name> = BTreeSet::new();
    func.body.walk_exprs(&mut |x| {
        if let Some((callee, args)) = x.call()
            && args.iter().any(|a| a.ident() == Some(name))
        {
            callees.insert(callee);
        }
    });
    callees.into_iter().any(|c| assigns(c) == Some(true))
}

/// Whether no `#if` divides the text between the two.
fn straight(text: &[u8], from: Span, to: Span) -> bool {
    let between = Span { start: from.end, end: to.start.max(from.end) };
    lex::code(between.of(text)).all(|t| t.kind != TokKind::Preproc)
}

/// Whether a jump may lead into the statement.
fn enters(s: &Stmt) -> bool {
    let mut found = false;
    s.walk(&mut |s| found |= matches!(s.kind, StmtKind::Label(_) | StmtKind::Case { .. } | StmtKind::Default));
    found
}

/// Whether the statement may set the variable.
fn sets(s: &Stmt, name: &Name) -> bool {
    let mut found = false;
    s.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found |= vars.iter().any(|v| v.name == *name);
        }
        s.exprs(&mut |x| {
            x.walk(&mut |x| found |= matches!(&x.kind, ExprKind::Assign(_, to, _) if to.ident() == Some(name)));
        });
    });
    found
}
