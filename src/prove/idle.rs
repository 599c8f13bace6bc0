//! Assignments under a condition that matter to nothing that a proof looks at.
//!
//! `if (c) x = …;` doubles the runs behind it. Where `x` decides nothing (no branch, no count, no index, nothing that
//! page functions or functions of the trace are given, nothing that is stored or returned), a run in code that the plan
//! does not change may as well pass over the statement and take `x` for unknown.
//!
//! This is harmless whatever `x` is used for: an unknown `x` stands for every value that either branch could have left
//! in it, so the runs that follow include those that would have been made, and more. A difference can be added by it
//! and none can be hidden. Only the choice of what to pass over is a guess, to keep what is known of counts. Changed
//! code is run as it is, in both versions: there one unknown `x` could stand for two values.
//!
//! On v5.2.1 the runs of one trace become eight times fewer (2690 to 336).

use super::exec::Machine;
use super::names::{Builtin, builtin};
use super::pages::PAGE_FUNCTIONS;
use super::state::Fill;
use super::value::int_type;
use crate::ast::{CType, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::source::Name;
use rustc_hash::{FxHashMap, FxHashSet};

/// The statements to pass over, by address, with the variables that are unknown behind them.
pub type Idle = FxHashMap<usize, Vec<Name>>;

/// Address of a statement, as the key of [`Idle`].
pub fn key(s: &Stmt) -> usize {
    std::ptr::from_ref(s) as usize
}

impl Machine<'_> {
    /// What of a function may be passed over, see above.
    pub fn idle(&self, f: &Function) -> Idle {
        let task = self.task;
        idle(f, &|n| {
            !PAGE_FUNCTIONS.contains(&n)
                && task.api.acquire(n).is_none()
                && task.api.release(n).is_none()
                && !self.active.contains(n)
                && !task.changed.iter().any(|c| *c.before.name == *n)
        })
    }
    /// Takes local variables for unknown.
    pub fn forget(&mut self, vars: &[Name]) {
        for n in vars {
            let (p, _) = self.variable(n);
            self.st.calls += 1;
            self.st.refill(&self.w, p, false, Fill::Havoc(self.st.calls));
        }
    }
}

/// The statements of a function to pass over. `inert` tells of a called function that it does nothing with its
/// arguments that is looked at.
pub fn idle(f: &Function, inert: &dyn Fn(&str) -> bool) -> Idle {
    let mut found = Idle::default();
    let locals = locals(f);
    f.body.walk(&mut |s| {
        if let Some(vars) = conditional(s, &locals) {
            found.insert(key(s), vars);
        }
    });
    while !found.is_empty() {
        let mut uses = Uses { locals: &locals, idle: &found, inert, matter: FxHashSet::default(), into: Vec::new() };
        uses.stmt(&f.body);
        let matter = uses.spread();
        let before = found.len();
        found.retain(|_, vars| !vars.iter().any(|v| matter.contains(v)));
        if found.len() == before {
            break;
        }
    }
    found
}

/// Integers of the function, declared once, whose address is never taken.
fn locals(f: &Function) -> FxHashSet<Name> {
    let mut seen: FxHashMap<Name, usize> = FxHashMap::default();
    let mut out = FxHashSet::default();
    let mut add = |name: &Name, ty: &CType, ok: bool| {
        *seen.entry(name.clone()).or_default() += 1;
        if ok && int_type(ty).is_some() {
            out.insert(name.clone());
        }
    };
    f.params.iter().for_each(|p| add(&p.name, &p.ty, true));
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(v) = &s.kind {
            v.iter().for_each(|d| add(&d.name, &d.ty, !d.is_static));
        }
    });
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Unary(UnOp::AddrOf, x) = &e.kind
            && let Some(n) = x.ident()
        {
            out.remove(n);
        }
    });
    out.retain(|n| seen.get(n) == Some(&1));
    out
}

/// The variables that the statement sets, if it is an `if` that does nothing else.
fn conditional(s: &Stmt, locals: &FxHashSet<Name>) -> Option<Vec<Name>> {
    let StmtKind::If { cond, then, els } = &s.kind else { return None };
    let mut vars = Vec::new();
    let both = plain(cond) && sets(then, locals, &mut vars) && els.as_ref().is_none_or(|e| sets(e, locals, &mut vars));
    vars.sort();
    vars.dedup();
    (both && !vars.is_empty()).then_some(vars)
}

fn sets(s: &Stmt, locals: &FxHashSet<Name>, vars: &mut Vec<Name>) -> bool {
    match &s.kind {
        StmtKind::Block(list) => list.iter().all(|s| sets(s, locals, vars)),
        StmtKind::Empty => true,
        StmtKind::If { cond, then, els } => {
            plain(cond) && sets(then, locals, vars) && els.as_ref().is_none_or(|e| sets(e, locals, vars))
        }
        StmtKind::Expr(e) => {
            let target = match &e.kind {
                ExprKind::Assign(_, a, b) if plain(b) => a.ident(),
                ExprKind::IncDec { operand, .. } => operand.ident(),
                _ => None,
            };
            let Some(n) = target.filter(|n| locals.contains(*n)) else { return false };
            vars.push(n.clone());
            true
        }
        _ => false,
    }
}

/// Neither calls nor sets anything.
fn plain(e: &Expr) -> bool {
    let mut yes = true;
    e.walk(&mut |e| {
        yes &= !matches!(
            e.kind,
            ExprKind::Call { .. }
                | ExprKind::Assign(..)
                | ExprKind::IncDec { .. }
                | ExprKind::StmtExpr(_)
                | ExprKind::CompoundLiteral(..)
                | ExprKind::Opaque
        );
    });
    yes
}

/// What the variables of a function are used for.
struct Uses<'a> {
    locals: &'a FxHashSet<Name>,
    idle: &'a Idle,
    inert: &'a dyn Fn(&str) -> bool,
    matter: FxHashSet<Name>,
    /// The first goes into the second.
    into: Vec<(Name, Name)>,
}

impl Uses<'_> {
    /// All that matter: what goes into a variable that matters does, too.
    fn spread(mut self) -> FxHashSet<Name> {
        loop {
            let before = self.matter.len();
            for (a, b) in &self.into {
                if self.matter.contains(b) {
                    self.matter.insert(a.clone());
                }
            }
            if self.matter.len() == before {
                return self.matter;
            }
        }
    }
    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::If { .. } if self.idle.contains_key(&key(s)) => {}
            StmtKind::Decl(v) => {
                for d in v {
                    if let Some(e) = &d.init {
                        self.expr(e, self.locals.get(&d.name).cloned().as_ref());
                    }
                }
            }
            _ => {
                let mut here = Vec::new();
                s.exprs(&mut |e| here.push(e));
                here.into_iter().for_each(|e| self.expr(e, None));
                s.children(&mut |c| self.stmt(c));
            }
        }
    }
    /// `sink` takes the value of the expression; without one, whoever takes it is looked at.
    fn expr(&mut self, e: &Expr, sink: Option<&Name>) {
        match &e.kind {
            ExprKind::Ident(n) => match sink {
                Some(to) => self.into.push((n.clone(), to.clone())),
                None => {
                    self.matter.insert(n.clone());
                }
            },
            ExprKind::Assign(_, a, b) => match a.ident().and_then(|n| self.locals.get(n)).cloned() {
                Some(to) => {
                    self.expr(b, Some(&to));
                    if let Some(up) = sink {
                        self.into.push((to, up.clone()));
                    }
                }
                None => {
                    self.expr(a, None);
                    self.expr(b, None);
                }
            },
            ExprKind::Binary(op, a, b) if !matches!(op, crate::ast::BinOp::And | crate::ast::BinOp::Or) => {
                self.expr(a, sink);
                self.expr(b, sink);
            }
            ExprKind::Unary(op, x) if !matches!(op, UnOp::Deref | UnOp::AddrOf) => self.expr(x, sink),
            ExprKind::Cast(_, x) => self.expr(x, sink),
            ExprKind::Call { callee, args } => {
                let inert = callee.ident().is_some_and(|n| {
                    (self.inert)(n) && matches!(builtin(n), None | Some(Builtin::Print | Builtin::Pure))
                });
                for a in args {
                    match a.ident() {
                        Some(_) if inert => {}
                        _ if inert && plain(a) && shallow(a) => {}
                        _ => self.expr(a, None),
                    }
                }
            }
            ExprKind::StmtExpr(s) => s.walk_exprs(&mut |e| self.matter.extend(e.ident().cloned())),
            _ => e.children(&mut |c| self.expr(c, None)),
        }
    }
}

/// Only arithmetic on variables and constants: nothing is followed or branched on.
fn shallow(e: &Expr) -> bool {
    let mut yes = true;
    e.walk(&mut |e| {
        yes &= match &e.kind {
            ExprKind::Ident(_) | ExprKind::Int { .. } | ExprKind::Cast(..) => true,
            ExprKind::Binary(op, ..) => !matches!(op, crate::ast::BinOp::And | crate::ast::BinOp::Or),
            ExprKind::Unary(op, _) => matches!(op, UnOp::Neg | UnOp::BitNot | UnOp::Plus),
            _ => false,
        };
    });
    yes
}
