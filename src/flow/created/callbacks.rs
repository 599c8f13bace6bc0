//! Which objects a function gets that is called through a member: `obj->done(obj)`, `INIT_WORK(&obj->work, done)`.
//!
//! These are the objects whose member was ever set to the function. That is known where all that is stored to the member
//! is a function by its name, or a parameter for which all callers pass one, of an object that the function itself has
//! made or that is handed to it; where nothing else is done to the member but to call through it, to ask for it, and to
//! have it called; and where every call passes the object whose member it is. Objects are filled with zeros when they are
//! made. The names that are stored so are kept by where they stand: a function that is named anywhere else may get other
//! objects as well.

use super::super::closed::argument;
use super::super::engine::Engine;
use super::super::facts::Types;
use super::super::objects::{asked, callers, declared, fixed, is_null, is_of, touching};
use super::{Chains, Created, MAX_DEPTH, idents, longer};
use crate::ast::{Base, Expr, ExprKind, FieldDef, Function, UnOp};
use crate::index::FnRef;
use crate::kernel::{Api, Carrier};
use crate::source::{Name, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A name of a function: where it stands.
type Named = (FnRef, Span);

/// What the members of a struct that hold functions are set to.
#[derive(Default)]
pub(super) struct Callbacks {
    /// By the name that is stored: the member, and the objects.
    stored: BTreeMap<Named, Vec<(Name, Chains)>>,
    members: BTreeMap<Name, Member>,
}

/// A member that holds a function.
struct Member {
    /// It is a struct of its own, whose address the function gets.
    carried: bool,
    functions: Vec<(FnRef, Arc<Function>)>,
}

/// What is stored.
#[derive(Clone)]
enum Value {
    /// An expression of the function in question.
    Here(Expr),
    /// These functions.
    Known(Vec<Named>),
}

impl Callbacks {
    pub(super) fn of(e: &Engine, of: &Created) -> Self {
        let mut found = Self::default();
        let Some(def) = e.index.struct_def(of.file, &of.tag) else { return found };
        for field in def.fields.iter().filter(|f| !f.in_union && f.ty.dims.is_empty()) {
            let mut search = Search { e, of, member: &field.name, stored: Vec::new() };
            let Some(member) = search.member(field) else { continue };
            for (at, chains) in search.stored {
                found.stored.entry(at).or_default().push((field.name.clone(), chains));
            }
            found.members.insert(field.name.clone(), member);
        }
        found
    }

    /// The objects that a function gets for parameter `k` because its name stands there: the object, or the address of
    /// a member.
    pub(super) fn gets(&self, e: &Engine, of: &Created, at: Named, k: usize, part: Option<&Name>) -> Option<Chains> {
        let mut found = Chains::new();
        for (name, chains) in self.stored.get(&at)? {
            let member = self.members.get(name)?;
            let fits = match part {
                Some(part) => member.carried && part == name && k == 0,
                None => !member.carried && member.functions.iter().all(|f| passes(e, of, name, f, k)),
            };
            if !fits {
                return None;
            }
            found.extend(chains.iter().cloned());
        }
        Some(found)
    }
}

/// Whether every call through the member in this function passes the object for parameter `k`.
fn passes(e: &Engine, of: &Created, member: &Name, (f, func): &(FnRef, Arc<Function>), k: usize) -> bool {
    let types = Types::new(f.file, func, e.index);
    let mut fine = true;
    func.body.walk_exprs(&mut |x| {
        let ExprKind::Call { callee, args } = &x.kind else { return };
        let ExprKind::Field { base, name, arrow, .. } = &callee.kind else { return };
        if name == member && is_of(&types, base, &of.tag) != Some(false) {
            let object = base.ident().filter(|_| *arrow);
            fine &= object.is_some_and(|o| args.get(k).and_then(Expr::ident) == Some(o));
        }
    });
    fine
}

struct Search<'a> {
    e: &'a Engine<'a>,
    of: &'a Created,
    member: &'a Name,
    stored: Vec<(Named, Chains)>,
}

impl Search<'_> {
    /// Collects all that is stored to a member; `None` if it is none that holds a function, or if not all is known.
    fn member(&mut self, field: &FieldDef) -> Option<Member> {
        let carrier = match &field.ty.base {
            Base::Struct(tag) if field.ty.ptr == 0 && !field.ty.function => Some(Api::get().carrier(tag)?),
            _ if field.ty.function => None,
            _ => return None,
        };
        let functions = touching(self.e, &self.of.files, &self.of.tag, self.member)?;
        for (f, func) in &functions {
            for (object, value, at) in self.stores(*f, func, carrier)? {
                self.store((*f, func, at), &object, Value::Here(value), 0)?;
            }
        }
        Some(Member { carried: carrier.is_some(), functions })
    }

    /// What a function stores to the member: object, value and where; `None` if it does anything else to it.
    fn stores(&self, f: FnRef, func: &Function, carrier: Option<&Carrier>) -> Option<Vec<(Name, Expr, Span)>> {
        let types = Types::new(f.file, func, self.e.index);
        let object_of = |x: &Expr| match &x.kind {
            ExprKind::Field { base, name, arrow, .. } if name == self.member => {
                let known = is_of(&types, base, &self.of.tag);
                (known != Some(false)).then(|| base.ident().filter(|_| *arrow && known == Some(true)).cloned())
            }
            _ => None,
        };
        let (mut stores, mut fine) = (Vec::new(), BTreeSet::new());
        let mut known = true;
        func.body.walk_exprs(&mut |x| match (&x.kind, carrier) {
            (ExprKind::Assign(None, to, from), None) => {
                let (to, from): (&Expr, &Expr) = (to, from);
                if let Some(object) = object_of(to) {
                    known &= object.is_some();
                    stores.extend(object.map(|o| (o, from.clone(), x.span)));
                    fine.insert(to.span);
                }
            }
            (ExprKind::Call { callee, .. }, None) => {
                fine.insert(callee.span);
            }
            (ExprKind::Call { args, .. }, Some(carrier)) => {
                let Some((name, _)) = x.call() else { return };
                let is = |names: &[String]| names.iter().any(|n| **n == **name);
                let address = |a: &Expr| match &a.kind {
                    ExprKind::Unary(UnOp::AddrOf, a) => object_of(a).map(|o| (o, a.span)),
                    _ => None,
                };
                if is(&carrier.uses) {
                    fine.extend(args.iter().filter_map(address).map(|a| a.1));
                } else if is(&carrier.sets)
                    && let [to, value] = &args[..]
                    && let Some((object, at)) = address(to)
                {
                    known &= object.is_some();
                    stores.extend(object.map(|o| (o, value.clone(), x.span)));
                    fine.insert(at);
                }
            }
            _ => {}
        });
        if carrier.is_none() {
            fine.extend(asked(func));
        }
        // `container_of(work, struct other, delayed.work)` names a member.
        func.body.walk_exprs(&mut |x| {
            if let Some((name, args)) = x.call()
                && let Some(k) = Api::get().member_name(name)
                && let Some(member) = args.get(k)
            {
                fine.insert(member.span);
            }
        });
        func.body.walk_exprs(&mut |x| known &= object_of(x).is_none() || fine.contains(&x.span));
        known.then_some(stores)
    }

    /// Collects what a store puts into the member of an object.
    fn store(&mut self, of: (FnRef, &Function, Span), object: &Name, value: Value, depth: u32) -> Option<()> {
        let (f, func, at) = of;
        if depth > MAX_DEPTH {
            return None;
        }
        let Some(j) = func.params.iter().position(|p| p.name == *object) else {
            let chains = self.of.created(self.e, f, func, object, at, 0)?;
            return self.resolve(f, func, value, &chains, depth);
        };
        if !fixed(func, object) {
            return None;
        }
        let k = match &value {
            Value::Here(x) => parameter(func, x),
            Value::Known(_) => None,
        };
        let known = match &value {
            Value::Here(x) if k.is_none() => Value::Known(functions(f, func, x)?),
            _ => value,
        };
        for (by, caller, call) in self.callers(f)? {
            let value = match k {
                Some(k) => Value::Here(argument(&caller, call, k?)?),
                None => known.clone(),
            };
            let object = argument(&caller, call, j)?;
            self.store((by, &caller, call), object.ident()?, value, depth + 1)?;
        }
        Some(())
    }

    /// Of a function that nobody calls, the callers are not known.
    fn callers(&self, f: FnRef) -> Option<Vec<(FnRef, Arc<Function>, Span)>> {
        callers(self.e, f).filter(|c| !c.is_empty())
    }

    /// Collects which functions a value stands for that goes into objects which the function has made.
    fn resolve(&mut self, f: FnRef, func: &Function, value: Value, chains: &Chains, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match value {
            Value::Known(all) => self.stored.extend(all.into_iter().map(|at| (at, chains.clone()))),
            Value::Here(x) => match parameter(func, &x) {
                Some(k) => {
                    for (by, caller, call) in self.callers(f)? {
                        let chains = chains.iter().map(|c| longer(c, (by, call))).collect();
                        let value = Value::Here(argument(&caller, call, k?)?);
                        self.resolve(by, &caller, value, &chains, depth + 1)?;
                    }
                }
                None => {
                    let all = functions(f, func, &x)?;
                    self.stored.extend(all.into_iter().map(|at| (at, chains.clone())));
                }
            },
        }
        Some(())
    }
}

/// Which parameter the expression is; nothing in it if that is changed, or named elsewhere as well.
fn parameter(func: &Function, x: &Expr) -> Option<Option<usize>> {
    let name = x.ident()?;
    let k = func.params.iter().position(|p| p.name == *name)?;
    Some((fixed(func, name) && idents(func, name).len() == 1).then_some(k))
}

/// The functions whose names the expression gives.
fn functions(f: FnRef, func: &Function, x: &Expr) -> Option<Vec<Named>> {
    match &x.kind {
        _ if is_null(x) => Some(Vec::new()),
        ExprKind::Unary(UnOp::AddrOf, a) => functions(f, func, a),
        ExprKind::Cond(_, Some(a), b) => Some([functions(f, func, a)?, functions(f, func, b)?].concat()),
        ExprKind::Ident(name) => {
            let local = declared(func, name) > 0 || func.params.iter().any(|p| p.name == *name);
            (!local).then(|| vec![(f, x.span)])
        }
        _ => None,
    }
}
