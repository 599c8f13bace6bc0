//! Objects of one struct that are parts of several others: `container_of(base, struct mine, base)`.
//!
//! A field is one place for all objects of a struct. A driver that embeds the object in a struct of its own works on
//! objects of its own only: pages that it puts into the field are not those that another driver finds there, whose
//! object lies in another struct. Where an object lies is told by
//!
//! * the function itself, by a pointer to the struct around it that is made of the object and then read through, on
//!   every way to the statement ([`shown`]);
//! * the expression: `outer->base`, `&outer->base`, a variable of the struct, memory of just its size;
//! * what all callers pass, when all are known.
//!
//! Whose place is not told by one of these may lie anywhere. Two objects are apart where the structs around them
//! differ, or the member, and where neither of these structs is a part of the other. Nothing of this holds for objects
//! in a union, where one is copied whole over another one, and where a statement touches the fields of two of them
//! ([`kept`]). Not all that copies is found: a copy by a helper, or by a pointer of another type, is not. So no verdict
//! to convert rests on this ([`crate::trace::Apart`]).

mod kept;
mod shown;

pub(super) use kept::Told;

use super::closed::argument;
use super::engine::Engine;
use super::facts::Types;
use super::graph::{Graph, Node};
use super::objects::{At, callers, declared, fixed, is_null, is_of, runs_over};
use super::place::{Place, UNKNOWN_TAG};
use crate::ast::{Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::FnRef;
use crate::kernel::Api;
use crate::source::{FileId, Name, Span};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Where an object lies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Link {
    /// In a struct, this member of it; and the file where the struct is defined.
    In(Name, Name, FileId),
    /// In none: it was allocated, or declared, by itself.
    Alone,
}

/// From the object to the structs around it, the nearest first, as far as they are known.
type Chain = Vec<Link>;

/// All that the object can be.
pub(super) type Chains = BTreeSet<Chain>;

/// Variables and callers that hand an object on, one to the other, at most.
const MAX_DEPTH: u32 = 3;

/// Statements that touch a field, at most. In v6.12, 29 touch the one where it matters most.
const MAX_STATEMENTS: usize = 200;

/// A field of objects that lie in several structs.
pub(super) struct Embedded {
    /// A file that sees the struct.
    file: FileId,
    tag: Name,
    field: Name,
    /// What touches the field.
    statements: Vec<At>,
    /// Whether they are told apart, where that was asked.
    checked: Mutex<Option<Option<Arc<Parts>>>>,
}

/// Pairs of structs, one of which is a part of the other.
type Parts = BTreeSet<(Name, Name)>;

/// Whether no object of the one kind is one of the other.
fn differ(a: &Chains, b: &Chains, parts: &Parts) -> bool {
    let apart = |a: &Chain, b: &Chain| match a.iter().zip(b).find(|(a, b)| a != b) {
        // Of the name alone it may be the same struct, written twice.
        Some((Link::In(a, m, _), Link::In(b, n, _))) if a == b => m != n,
        Some((Link::In(a, ..), Link::In(b, ..))) => !parts.contains(&(a.clone(), b.clone())),
        Some(_) => true,
        None => false,
    };
    a.iter().all(|a| b.iter().all(|b| apart(a, b)))
}

impl Embedded {
    /// The field of a node, where a statement touches other objects than one by which pages `came`.
    pub(super) fn of(e: &Engine, g: &Graph, n: Node, came: &BTreeSet<At>) -> Option<Self> {
        let Place::Field(tag, field) = g.place(n) else { return None };
        if tag.starts_with(UNKNOWN_TAG) || tag.contains(['.', '@']) || Api::get().vessel(tag, field).is_some() {
            return None;
        }
        let edges = [n & !1, n | 1].into_iter().flat_map(|n| g.incoming(n).iter().chain(g.outgoing(n)));
        let statements: BTreeSet<At> = edges.map(|e| e.at).filter(|at| at.1 != Span::default()).collect();
        if statements.len() < 2 || statements.len() > MAX_STATEMENTS {
            return None;
        }
        let file = e.edge_file(g, n)?;
        let def = e.index.struct_def(file, tag).filter(|d| !d.is_union)?;
        def.fields.iter().find(|f| f.name == *field && !f.in_union)?;
        let mut found =
            Self { file, tag: tag.clone(), field: field.clone(), statements: Vec::new(), checked: Mutex::default() };
        // Most fields are never touched as a part of something: then nobody else is asked.
        let near: BTreeSet<Chains> = statements.iter().map(|at| found.touched(e, at, true)).collect();
        if !near.iter().flatten().flatten().any(|l| matches!(l, Link::In(..))) {
            return None;
        }
        let none = Parts::new();
        let tells = |c: &Chains| !c.contains(&Chain::new()) && near.iter().any(|b| differ(c, b, &none));
        let known = |near: bool| came.iter().any(|at| tells(&found.touched(e, at, near)));
        if !known(true) && !known(false) {
            return None;
        }
        found.statements = statements.into_iter().collect();
        Some(found)
    }

    /// Whether no object of the one kind is one of the other. What stands in the way of this is looked for when it is
    /// asked first.
    pub(super) fn differ(&self, e: &Engine, a: &Chains, b: &Chains, told: &Told) -> bool {
        differ(a, b, &Parts::new()) && self.parts(e, told).is_some_and(|parts| differ(a, b, &parts))
    }

    /// Which of the structs are parts of others, if objects of this one are told apart at all.
    fn parts(&self, e: &Engine, told: &Told) -> Option<Arc<Parts>> {
        // Not under the lock: others may be asked on the way.
        if let Some(known) = &*self.checked.lock().unwrap_or_else(PoisonError::into_inner) {
            return known.clone();
        }
        let all: BTreeSet<Chain> = self.statements.iter().flat_map(|at| self.touched(e, at, false)).collect();
        let kept = kept::kept(e, self.file, self, &all, told);
        let found = kept.then(|| kept::parts(e, &all)).flatten().map(Arc::new);
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        found
    }

    /// Where the objects lie whose field a statement touches; of `near`, as far as its function tells.
    pub(super) fn touched(&self, e: &Engine, &(f, at): &At, near: bool) -> Chains {
        let f = e.fns[f.0 as usize];
        let Some(func) = e.index.parsed(f).filter(|f| f.whole()) else { return anywhere() };
        let here = Here { e, f, func: &func, types: Types::new(f.file, &func, e.index), at, near };
        let mut found = Chains::new();
        func.body.walk_exprs(&mut |x| {
            if at.contains(x.span)
                && let ExprKind::Field { base, name, .. } = &x.kind
                && *name == self.field
            {
                match is_of(&here.types, base, &self.tag) {
                    Some(true) => found.extend(here.object(base, 0)),
                    Some(false) => {}
                    None => found.extend(anywhere()),
                }
            }
        });
        if found.is_empty() { anywhere() } else { found }
    }
}

/// Of an object of which nothing is known.
fn anywhere() -> Chains {
    Chains::from([Chain::new()])
}

/// A tag that stands in the source, and means one struct.
fn plain(tag: &Name) -> bool {
    !tag.starts_with(UNKNOWN_TAG) && !tag.contains(['.', '@'])
}

/// A statement of a function.
struct Here<'a> {
    e: &'a Engine<'a>,
    f: FnRef,
    func: &'a Function,
    types: Types<'a>,
    at: Span,
    /// Nobody else is asked: neither callers nor what is called.
    near: bool,
}

impl Here<'_> {
    /// Where the object lies that the expression is, or points to.
    fn object(&self, x: &Expr, depth: u32) -> Chains {
        let by_value = self.types.of(x).depth() == 0;
        match &x.kind {
            ExprKind::Unary(UnOp::AddrOf | UnOp::Deref, a) => self.object(a, depth),
            ExprKind::Field { base, name, .. } if by_value => self.member(base, name, depth),
            // An entry of an array in a struct.
            ExprKind::Index(a, _) if by_value => match &a.kind {
                ExprKind::Field { base, name, .. } if !self.types.of(a).dims.is_empty() => {
                    self.member(base, name, depth)
                }
                _ => anywhere(),
            },
            ExprKind::Ident(name) if by_value => {
                let taken = self.func.params.iter().any(|p| p.name == *name);
                if taken { anywhere() } else { Chains::from([vec![Link::Alone]]) }
            }
            ExprKind::Ident(name) if self.types.of(x).ptr == 1 && self.types.of(x).depth() == 1 => {
                self.pointer(name, depth)
            }
            _ => anywhere(),
        }
    }

    /// `base->name`, an object of the struct itself.
    fn member(&self, base: &Expr, name: &Name, depth: u32) -> Chains {
        let ty = self.types.of(base);
        let tag = self.types.tag(&ty).filter(|t| plain(t) && ty.depth() <= 1);
        let known = tag.and_then(|tag| {
            let def = self.e.index.struct_def(self.f.file, &tag).filter(|d| !d.is_union)?;
            def.fields.iter().find(|f| f.name == *name && !f.in_union && !f.ty.function && f.ty.ptr == 0)?;
            let (home, _) = self.e.index.struct_item(self.f.file, &tag)?;
            Some(Link::In(tag, name.clone(), home))
        });
        let Some(link) = known else { return anywhere() };
        let around = if depth < MAX_DEPTH { self.object(base, depth + 1) } else { anywhere() };
        around.into_iter().map(|rest| std::iter::once(link.clone()).chain(rest).collect()).collect()
    }

    /// Where the objects lie that a variable points to.
    fn pointer(&self, name: &Name, depth: u32) -> Chains {
        if let Some(shown) = shown::around(self, name) {
            return Chains::from([shown]);
        }
        if depth >= MAX_DEPTH {
            return anywhere();
        }
        match self.func.params.iter().position(|p| p.name == *name) {
            Some(k) => self.given(name, k, depth),
            None => self.values(name, depth).unwrap_or_else(anywhere),
        }
    }

    /// What all callers pass.
    fn given(&self, name: &Name, k: usize, depth: u32) -> Chains {
        let Some(all) = (!self.near && fixed(self.func, name)).then(|| callers(self.e, self.f)).flatten() else {
            return anywhere();
        };
        let mut found = Chains::new();
        for (by, caller, call) in all {
            let Some(arg) = argument(&caller, call, k) else { return anywhere() };
            let types = Types::new(by.file, &caller, self.e.index);
            let there = Here { e: self.e, f: by, func: &caller, types, at: call, near: false };
            found.extend(there.object(&arg, depth + 1));
        }
        // Who calls a function that nobody calls is not known.
        if found.is_empty() { anywhere() } else { found }
    }

    fn is_pointer_to(&self, name: &Name, tag: &Name) -> bool {
        let mut found = false;
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                found |= vars.iter().any(|v| v.name == *name && self.types.tag(&v.ty).as_ref() == Some(tag));
            }
        });
        found
    }

    /// What a function of the file returns: NULL, or what it has in variables.
    fn returned(&self, callee: &Name, depth: u32) -> Option<Chains> {
        let item = self.e.index.items(self.f.file)?.function(callee).filter(|_| !self.near && depth < MAX_DEPTH)?;
        let f = FnRef { file: self.f.file, item };
        let func = self.e.index.parsed(f).filter(|f| f.whole())?;
        let mut given = Vec::new();
        func.body.walk(&mut |s| {
            if let StmtKind::Return(Some(x)) = &s.kind {
                given.push(x);
            }
        });
        given.retain(|x| !is_null(x));
        let mut found = Chains::new();
        for x in given {
            let types = Types::new(f.file, &func, self.e.index);
            found.extend(Here { e: self.e, f, func: &func, types, at: x.span, near: false }.object(x, depth + 1));
        }
        (!found.is_empty()).then_some(found)
    }

    /// What a local variable is set to; `None` if it may be set otherwise.
    fn values(&self, name: &Name, depth: u32) -> Option<Chains> {
        let mut found = Chains::new();
        for value in values(self.func, name)? {
            match &value.kind {
                ExprKind::Call { args, .. } => {
                    let (callee, _) = value.call()?;
                    if let Some(given) = self.returned(callee, depth) {
                        found.extend(given);
                        continue;
                    }
                    let own = Api::get().is_fresh(callee) && !Api::get().is_copying(callee);

                    let size = |x: &Expr| match &x.kind {
                        ExprKind::Sizeof(of) => {
                            of.depth() == 0 && of.tag().is_some_and(|t| self.is_pointer_to(name, t))
                        }
                        ExprKind::SizeofExpr(of) => {
                            matches!(&of.kind, ExprKind::Unary(UnOp::Deref, a) if a.ident() == Some(name))
                        }
                        _ => false,
                    };
                    if !own || !args.iter().any(size) {
                        return None;
                    }
                    found.insert(vec![Link::Alone]);
                }
                ExprKind::Ident(_) | ExprKind::Unary(UnOp::AddrOf, _) => found.extend(self.object(value, depth + 1)),
                _ => return None,
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// All that a local variable is set to, NULL left out; `None` if it may be set otherwise.
fn values<'f>(func: &'f Function, name: &Name) -> Option<Vec<&'f Expr>> {
    if func.params.iter().any(|p| p.name == *name) || declared(func, name) != 1 || runs_over(func, name) {
        return None;
    }
    let mut known = true;
    let mut values = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars.iter().filter(|v| v.name == *name) {
                known &= !v.is_static && v.ty.depth() == 1;
                values.extend(&v.init);
            }
        }
    });
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, from) if to.ident() == Some(name) => values.push(from),
        ExprKind::Assign(Some(_), to, _) => known &= to.ident() != Some(name),
        ExprKind::IncDec { operand, .. } => known &= operand.ident() != Some(name),
        ExprKind::Unary(UnOp::AddrOf, a) => known &= a.ident() != Some(name),
        _ => {}
    });
    values.retain(|v| !is_null(v));
    known.then_some(values)
}
