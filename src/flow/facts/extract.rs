//! An abstract evaluation of a function over its control-flow graph.
//!
//! Local page pointers are tracked per definition (a variable that is reused for another page does not mix the two);
//! everything else is one place for the whole function.

use super::super::FnId;
use super::super::cfg::{Cfg, Elem};
use super::super::place::{ENTRY, Place};
use super::eval::is_small;
use super::own::{self, Own};
use super::returned::Returned;
use super::{Fact, Facts, Param};
use crate::ast::{CType, Designator, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::index::Scope;
use crate::kernel::Api;
use crate::source::{FileId, Name, Span};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Per tracked variable, the definitions that reach a point.
pub(super) type Env = Vec<BTreeSet<u32>>;

/// The evaluator.
pub(super) struct Extract<'a> {
    pub(super) f: FnId,
    pub(super) file: FileId,
    pub(super) func: &'a Function,
    pub(super) scope: &'a dyn Scope,
    pub(super) api: &'static Api,
    pub(super) locals: FxHashMap<Name, CType>,
    pub(super) tracked: Vec<Name>,
    /// Locals that keep their value from one call to the next.
    pub(super) statics: Vec<Name>,
    /// Integers are followed too: the file makes pages of numbers.
    pub(super) numbers: bool,
    pub(super) emit: bool,
    pub(super) facts: Vec<Fact>,
    /// Pages that one more reference was taken of, in the order of the function.
    pub(super) extra: Vec<BTreeSet<Place>>,
    /// The argument of the next call that is an array which was allocated here, and its place.
    pub(super) new_array: Option<(usize, Place)>,
    /// Variables whose page may get a reference of its own before it is returned.
    pub(super) returned: Vec<Returned>,
    /// Stores and drops of references that the function takes itself.
    pub(super) own: Own,
}
/// Extracts the facts of `func`.
pub fn extract(f: FnId, file: FileId, func: &Function, scope: &dyn Scope) -> Facts {
    let mut x = Extract::new(f, file, func, scope);
    x.own = own::find(&x);
    x.find_slots();
    x.find_returned();
    for world in worlds(&func.body) {
        x.run(&world);
    }
    let params = func
        .params
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let by_value = p.ty.page_depth() == Some(1);
            let place = if by_value && x.tracked.contains(&p.name) {
                Place::Def(f, p.name.clone(), ENTRY + i as u32)
            } else {
                Place::Var(f, p.name.clone())
            };
            Param { place, by_value }
        })
        .collect();
    x.facts.shrink_to_fit();
    Facts { facts: x.facts, params }
}

/// Variables whose address goes elsewhere than straight into a call (`.out = &page`, `slot = &page`): what is stored
/// through it later is no definition that stands in the text, so such a variable is one place.
fn kept_addresses(body: &Stmt) -> Vec<Name> {
    let of = |e: &Expr| match &e.kind {
        ExprKind::Unary(UnOp::AddrOf, a) => a.ident().cloned(),
        _ => None,
    };
    let (mut all, mut handed) = (Vec::new(), Vec::new());
    body.walk_exprs(&mut |e| {
        all.extend(of(e));
        if let ExprKind::Call { args, .. } = &e.kind {
            handed.extend(args.iter().filter_map(of));
        }
    });
    let times = |list: &[Name], n: &Name| list.iter().filter(|m| *m == n).count();
    let counts: Vec<bool> = all.iter().map(|n| times(&all, n) > times(&handed, n)).collect();
    all.into_iter().zip(counts).filter_map(|(n, kept)| kept.then_some(n)).collect()
}

/// The ways to decide the `#if` conditions that stand more than once in a function: what is compiled together is
/// evaluated together. One that stands once is left open, so are all beyond the third.
fn worlds(body: &Stmt) -> Vec<Vec<(Name, bool)>> {
    let mut seen: Vec<(Name, u32)> = Vec::new();
    body.walk(&mut |s| {
        if let StmtKind::Configured { cond, .. } = &s.kind {
            let name: Name = cond.trim_start_matches('!').into();
            match seen.iter_mut().find(|(n, _)| *n == name) {
                Some((_, times)) => *times += 1,
                None => seen.push((name, 1)),
            }
        }
    });
    let mut out = vec![Vec::new()];
    for (name, _) in seen.into_iter().filter(|(_, times)| *times > 1).take(3) {
        out = out
            .into_iter()
            .flat_map(|w: Vec<(Name, bool)>| {
                [true, false].map(|v| w.iter().cloned().chain([(name.clone(), v)]).collect())
            })
            .collect();
    }
    out
}

/// What an expression carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    pub(super) places: Vec<Place>,
}

impl Value {
    pub(super) fn none() -> Self {
        Self::default()
    }
    pub(super) fn one(p: Place) -> Self {
        Self { places: vec![p] }
    }
    pub(super) fn join(mut self, other: Value) -> Self {
        for p in other.places {
            if !self.places.contains(&p) {
                self.places.push(p);
            }
        }
        self
    }
}
impl<'a> Extract<'a> {
    /// An evaluator that has evaluated nothing yet.
    pub(super) fn new(f: FnId, file: FileId, func: &'a Function, scope: &'a dyn Scope) -> Self {
        let mut locals = FxHashMap::default();
        let (mut tracked, mut statics) = (Vec::new(), Vec::new());
        for p in &func.params {
            locals.insert(p.name.clone(), p.ty.clone());
            if p.ty.page_depth() == Some(1) {
                tracked.push(p.name.clone());
            }
        }
        func.body.walk(&mut |s: &Stmt| {
            let StmtKind::Decl(vars) = &s.kind else { return };
            for v in vars {
                // Two variables of one name in sibling blocks are taken as one: their definitions stay apart.
                locals.insert(v.name.clone(), v.ty.clone());
                if v.is_static {
                    statics.push(v.name.clone());
                }
                if v.ty.page_depth() == Some(1) && v.ty.ptr == 1 && !v.is_static && !tracked.contains(&v.name) {
                    tracked.push(v.name.clone());
                }
            }
        });
        let kept = kept_addresses(&func.body);
        tracked.retain(|n| !kept.contains(n) && !statics.contains(n));
        Extract {
            f,
            file,
            func,
            scope,
            api: Api::get(),
            locals,
            tracked,
            statics,
            numbers: scope.makes_pages_of_numbers(file),
            emit: false,
            facts: Vec::new(),
            extra: Vec::new(),
            new_array: None,
            returned: Vec::new(),
            own: Own::default(),
        }
    }

    /// Evaluates the function with these `#if` conditions decided; facts that are known already are not added again.
    fn run(&mut self, world: &[(Name, bool)]) {
        let func = self.func;
        let cfg = Cfg::configured(func, world);
        let n = cfg.nodes.len();
        let mut ins: Vec<Option<Env>> = vec![None; n];
        let mut entry: Env = vec![BTreeSet::new(); self.tracked.len()];
        for (i, p) in func.params.iter().enumerate() {
            if let Some(t) = self.tracked.iter().position(|t| *t == p.name) {
                entry[t].insert(ENTRY + i as u32);
            }
        }
        self.enter_slots(&mut entry);
        self.enter_returned(&mut entry);
        ins[0] = Some(entry);
        let mut work: BTreeSet<u32> = BTreeSet::from([0]);
        while let Some(i) = work.pop_first() {
            let Some(mut env) = ins[i as usize].clone() else { continue };
            self.elem(cfg.nodes[i as usize].elem, &mut env);
            for &s in &cfg.nodes[i as usize].succ {
                let changed = match &mut ins[s as usize] {
                    slot @ None => {
                        *slot = Some(env.clone());
                        true
                    }
                    Some(old) => {
                        let mut grew = false;
                        for (o, e) in old.iter_mut().zip(&env) {
                            let before = o.len();
                            o.extend(e.iter().copied());
                            grew |= o.len() != before;
                        }
                        grew
                    }
                };
                if changed {
                    work.insert(s);
                }
            }
        }
        let known = std::mem::take(&mut self.facts);
        self.emit = true;
        for (i, node) in cfg.nodes.iter().enumerate() {
            // Unreachable code still holds facts: evaluated with no definitions reaching it.
            let mut env = ins[i].clone().unwrap_or_else(|| vec![BTreeSet::new(); self.tracked.len()]);
            self.elem(node.elem, &mut env);
        }
        self.emit = false;
        if known.is_empty() {
            return;
        }
        let found = std::mem::replace(&mut self.facts, known);
        for f in found {
            if !self.facts.contains(&f) {
                self.facts.push(f);
            }
        }
    }

    pub(super) fn push(&mut self, f: Fact) {
        if self.emit {
            self.facts.push(f);
        }
    }

    pub(super) fn elem(&mut self, elem: Elem<'a>, env: &mut Env) {
        match elem {
            Elem::Nop | Elem::Opaque(_) => {}
            Elem::Expr(e) | Elem::Cond(e) => {
                self.eval(e, env);
            }
            Elem::Decl(v) => {
                if let Some(init) = &v.init {
                    let value = self.eval(init, env);
                    self.store_var(&v.name, v.span, value, Some(init), env);
                    if let ExprKind::InitList(items) = &init.kind {
                        self.init_list(&v.ty, items, env);
                    }
                } else if let Some(t) = self.tracked.iter().position(|t| *t == v.name) {
                    env[t].clear();
                    self.refer(&v.name, None, env);
                }
            }
            Elem::Iterate(name, args) => self.iterate(name, args, env),
            Elem::Return(Some(e)) => {
                let v = self.eval(e, env);
                if is_small(&self.func.ret) {
                    return;
                }
                let ret = Place::Ret(self.f);
                if let Some(what) = self.returned_with_own(e, env) {
                    self.push(Fact::Origin { into: ret, what, counted: true, at: e.span });
                    return;
                }
                let alias = self.is_container(&self.func.ret.clone());
                for p in v.places {
                    self.edge(ret.clone(), p, e.span, alias);
                }
            }
            Elem::Return(None) => {}
        }
    }

    pub(super) fn iterate(&mut self, name: &Name, args: &'a [Expr], env: &mut Env) {
        let values: Vec<Value> = args.iter().map(|a| self.eval(a, env)).collect();
        if let Some(v) = self.api.runs_over(name) {
            let contents = Place::Field(v.tag.as_str().into(), v.field.as_str().into());
            for c in values.first().map(|v| v.places.clone()).unwrap_or_default() {
                self.push(Fact::Alias { a: c, b: contents.clone(), at: args[0].span });
            }
            return;
        }
        if let Some(it) = self.api.iterate(name) {
            if let (Some(c), Some(o)) = (values.get(it.cursor), values.get(it.over)) {
                for a in &c.places {
                    for b in &o.places {
                        self.push(Fact::Alias { a: a.clone(), b: b.clone(), at: args[it.cursor].span });
                    }
                }
            }
            return;
        }
        // A loop macro that we do not know, with a page pointer as cursor: the page comes from a container beside it,
        // or from somewhere else.
        for a in args {
            if let Some(n) = a.ident()
                && let Some(t) = self.tracked.iter().position(|t| t == n)
            {
                env[t].insert(a.span.start);
                let into = Place::Def(self.f, n.clone(), a.span.start);
                for (over, v) in args.iter().zip(&values) {
                    let from = if self.is_container(&self.ty(over)) { &v.places[..] } else { &[] };
                    for p in from {
                        self.edge(into.clone(), p.clone(), a.span, false);
                    }
                }
                self.push(Fact::Origin { into, what: name.clone(), counted: false, at: a.span });
            }
        }
    }

    pub(super) fn init_list(&mut self, ty: &CType, items: &'a [(Option<Designator>, Expr)], env: &mut Env) {
        let Some(tag) = self.tag(ty) else { return };
        // The variable itself is the place of a container.
        if self.api.is_container(&tag) {
            return;
        }
        for (d, e) in items {
            if let Some(Designator::Field(field)) = d {
                let v = self.eval_quiet(e, env);
                let alias = self.is_container(&self.ty(e));
                if let Some(kind) = self.api.lent(&tag, field) {
                    self.push(Fact::Use { of: v.places, kind, callee: field.clone(), at: e.span });
                    continue;
                }
                for p in v.places {
                    self.edge(Place::Field(self.own_tag(tag.clone()), field.clone()), p, e.span, alias);
                }
            }
        }
    }

    /// Evaluates without emitting facts again.
    pub(super) fn eval_quiet(&mut self, e: &'a Expr, env: &mut Env) -> Value {
        let emit = std::mem::replace(&mut self.emit, false);
        let v = self.eval(e, env);
        self.emit = emit;
        v
    }

    pub(super) fn edge(&mut self, to: Place, from: Place, at: Span, alias: bool) {
        if to == from {
            return;
        }
        if alias {
            self.push(Fact::Alias { a: to, b: from, at });
        } else {
            self.push(Fact::Copy { to, from, at });
        }
    }

    pub(super) fn store_var(&mut self, name: &Name, at: Span, value: Value, rhs: Option<&'a Expr>, env: &mut Env) {
        if let Some(t) = self.tracked.iter().position(|t| t == name) {
            env[t] = BTreeSet::from([at.start]);
            self.refer(name, (!value.places.is_empty()).then_some(false), env);
            let to = Place::Def(self.f, name.clone(), at.start);
            for p in value.places {
                self.edge(to.clone(), p, at, false);
            }
            return;
        }
        let to = self.variable(name);
        let Some(to) = to else { return };
        let lt = self.var_type(name);
        if rhs.is_some_and(|r| self.is_laid_over(&lt, r) || self.is_tail(r)) {
            return;
        }
        let alias = self.is_container(&lt) || rhs.is_some_and(|r| self.is_container(&self.ty(r)));
        for p in value.places {
            self.edge(to.clone(), p, at, alias);
        }
    }
}

/// Definitions that reach over either of two ways.
pub(super) fn merge(env: &mut Env, other: &Env) {
    for (a, b) in env.iter_mut().zip(other) {
        a.extend(b.iter().copied());
    }
}
