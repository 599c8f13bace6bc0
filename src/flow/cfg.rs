//! Control-flow graph of one function.
//!
//! Nodes are evaluated expressions, declarations and conditions, in the order C evaluates them. It knows nothing of
//! pages. Loops, `switch`, `goto` and `#if` alternatives are edges; `#if` branches are both taken.

use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, VarDecl};
use crate::source::{Name, Span};
use rustc_hash::{FxHashMap, FxHashSet};

/// What a node evaluates.
#[derive(Clone, Copy, Debug)]
pub enum Elem<'a> {
    /// Nothing: a join.
    Nop,
    /// An expression statement, loop step, or `switch` value.
    Expr(&'a Expr),
    /// A condition; the first successor is taken when it is true, the second when it is false.
    Cond(&'a Expr),
    /// A declaration.
    Decl(&'a VarDecl),
    /// Head of an iterator macro: name and arguments. First successor: the body; second: the end.
    Iterate(&'a Name, &'a [Expr]),
    /// `return`.
    Return(Option<&'a Expr>),
    /// A statement that was not understood.
    Opaque(Span),
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// What it evaluates.
    pub elem: Elem<'a>,
    /// Where control goes.
    pub succ: Vec<u32>,
}

/// The graph; node 0 is the entry.
#[derive(Clone, Debug)]
pub struct Cfg<'a> {
    /// The nodes.
    pub nodes: Vec<Node<'a>>,
    /// The node reached at the end of the function and by every `return`.
    pub exit: u32,
}

struct Builder<'a> {
    world: Vec<(Name, bool)>,
    nodes: Vec<Node<'a>>,
    labels: FxHashMap<&'a str, u32>,
    gotos: Vec<(u32, &'a str)>,
    exit: u32,
    /// Targets of `break` and `continue`.
    breaks: Vec<u32>,
    continues: Vec<u32>,
    /// Per enclosing `switch`: its case nodes, and whether there is a default.
    cases: Vec<(Vec<u32>, bool)>,
}

impl<'a> Cfg<'a> {
    /// Builds the graph of a function.
    pub fn new(f: &'a Function) -> Cfg<'a> {
        Self::configured(f, &[])
    }

    /// The graph with some `#if` conditions decided: only one branch of those is in it.
    pub fn configured(f: &'a Function, world: &[(Name, bool)]) -> Cfg<'a> {
        let mut b = Builder {
            world: world.to_vec(),
            nodes: Vec::new(),
            labels: FxHashMap::default(),
            gotos: Vec::new(),
            exit: 0,
            breaks: Vec::new(),
            continues: Vec::new(),
            cases: Vec::new(),
        };
        let entry = b.node(Elem::Nop);
        b.exit = b.node(Elem::Nop);
        let end = b.stmt(&f.body, entry);
        let exit = b.exit;
        b.edge(end, exit);
        b.hidden_jumps();
        for (from, label) in std::mem::take(&mut b.gotos) {
            // A label that was not seen (damage): the jump may end anywhere, which for us is the end.
            let to = b.labels.get(label).copied().unwrap_or(exit);
            b.edge(from, to);
        }
        Cfg { nodes: b.nodes, exit }
    }

    /// Predecessors of each node.
    pub fn predecessors(&self) -> Vec<Vec<u32>> {
        let mut p = vec![Vec::new(); self.nodes.len()];
        for (i, n) in self.nodes.iter().enumerate() {
            for &s in &n.succ {
                p[s as usize].push(i as u32);
            }
        }
        p
    }
}

impl<'a> Builder<'a> {
    fn node(&mut self, elem: Elem<'a>) -> u32 {
        self.nodes.push(Node { elem, succ: Vec::new() });
        self.nodes.len() as u32 - 1
    }
    fn edge(&mut self, from: u32, to: u32) {
        let s = &mut self.nodes[from as usize].succ;
        if !s.contains(&to) {
            s.push(to);
        }
    }
    /// Jumps that macros make: to a label that they are given, and from any call to one that no `goto` names.
    fn hidden_jumps(&mut self) {
        let seen: FxHashSet<&str> = self.gotos.iter().map(|g| g.1).collect();
        let mut hidden: Vec<u32> = self.labels.iter().filter(|l| !seen.contains(*l.0)).map(|l| *l.1).collect();
        hidden.sort_unstable();
        if self.labels.is_empty() {
            return;
        }
        for n in 0..self.nodes.len() {
            let Elem::Expr(x) = self.nodes[n].elem else { continue };
            let mut to = Vec::new();
            x.walk(&mut |x| match &x.kind {
                ExprKind::Call { .. } => to.extend(&hidden),
                ExprKind::Ident(name) => to.extend(self.labels.get(&**name)),
                _ => {}
            });
            // A macro without arguments that stands alone.
            if x.ident().is_some() {
                to.extend(&hidden);
            }
            to.into_iter().for_each(|to| self.edge(n as u32, to));
        }
    }
    fn then(&mut self, from: u32, elem: Elem<'a>) -> u32 {
        let n = self.node(elem);
        self.edge(from, n);
        n
    }
    fn list(&mut self, stmts: &'a [Stmt], mut at: u32) -> u32 {
        for s in stmts {
            at = self.stmt(s, at);
        }
        at
    }
    /// Adds a statement after node `at`; returns the node where control is afterwards.
    fn stmt(&mut self, s: &'a Stmt, at: u32) -> u32 {
        match &s.kind {
            StmtKind::Block(v) => self.list(v, at),
            StmtKind::Expr(e) => self.then(at, Elem::Expr(e)),
            StmtKind::Decl(vars) => vars.iter().fold(at, |at, v| self.then(at, Elem::Decl(v))),
            StmtKind::If { cond, then, els } => {
                let c = self.then(at, Elem::Cond(cond));
                let t = self.then(c, Elem::Nop);
                let end_then = self.stmt(then, t);
                let e = self.then(c, Elem::Nop);
                let end_else = match els {
                    Some(els) => self.stmt(els, e),
                    None => e,
                };
                let join = self.then(end_then, Elem::Nop);
                self.edge(end_else, join);
                join
            }
            StmtKind::While { cond, body } => {
                let c = self.then(at, Elem::Cond(cond));
                self.looped(c, c, body)
            }
            StmtKind::DoWhile { body, cond } => {
                let head = self.then(at, Elem::Nop);
                let c = self.node(Elem::Cond(cond));
                let out = self.node(Elem::Nop);
                self.breaks.push(out);
                self.continues.push(c);
                let end = self.stmt(body, head);
                self.breaks.pop();
                self.continues.pop();
                self.edge(end, c);
                self.edge(c, head);
                self.edge(c, out);
                out
            }
            StmtKind::For { init, cond, step, body } => {
                let at = init.as_ref().map_or(at, |i| self.stmt(i, at));
                let c = self.then(at, cond.as_ref().map_or(Elem::Nop, Elem::Cond));
                let next = self.node(step.as_ref().map_or(Elem::Nop, Elem::Expr));
                let out = self.loop_body(c, next, body);
                self.edge(next, c);
                if cond.is_some() {
                    self.edge(c, out);
                }
                out
            }
            StmtKind::Iterate { name, args, body } => {
                let c = self.then(at, Elem::Iterate(name, args));
                self.looped(c, c, body)
            }
            StmtKind::Switch { value, body } => {
                let v = self.then(at, Elem::Expr(value));
                let out = self.node(Elem::Nop);
                let dead = self.node(Elem::Nop);
                self.breaks.push(out);
                self.cases.push((Vec::new(), false));
                let end = self.stmt(body, dead);
                self.breaks.pop();
                let (cases, default) = self.cases.pop().unwrap_or_default();
                for c in cases {
                    self.edge(v, c);
                }
                if !default {
                    self.edge(v, out);
                }
                self.edge(end, out);
                out
            }
            StmtKind::Case { .. } | StmtKind::Default => {
                let n = self.then(at, Elem::Nop);
                if let Some((cases, default)) = self.cases.last_mut() {
                    cases.push(n);
                    *default |= matches!(s.kind, StmtKind::Default);
                }
                n
            }
            StmtKind::Label(name) => {
                let n = self.then(at, Elem::Nop);
                self.labels.insert(name, n);
                n
            }
            StmtKind::Goto(name) => {
                self.gotos.push((at, name));
                self.node(Elem::Nop)
            }
            StmtKind::Break => {
                if let Some(&t) = self.breaks.last() {
                    self.edge(at, t);
                }
                self.node(Elem::Nop)
            }
            StmtKind::Continue => {
                if let Some(&t) = self.continues.last() {
                    self.edge(at, t);
                }
                self.node(Elem::Nop)
            }
            StmtKind::Return(value) => {
                let n = self.then(at, Elem::Return(value.as_ref()));
                let exit = self.exit;
                self.edge(n, exit);
                self.node(Elem::Nop)
            }
            StmtKind::Configured { cond, then, els } => {
                let bare = cond.trim_start_matches('!');
                if let Some((_, value)) = self.world.iter().find(|(n, _)| &**n == bare) {
                    let branch = if *value != cond.starts_with('!') { then } else { els };
                    return self.list(branch, at);
                }
                let t = self.then(at, Elem::Nop);
                let end_then = self.list(then, t);
                let e = self.then(at, Elem::Nop);
                let end_else = self.list(els, e);
                let join = self.then(end_then, Elem::Nop);
                self.edge(end_else, join);
                join
            }
            StmtKind::Empty | StmtKind::Asm => at,
            StmtKind::Opaque => self.then(at, Elem::Opaque(s.span)),
        }
    }
    fn looped(&mut self, cond: u32, next: u32, body: &'a Stmt) -> u32 {
        let out = self.loop_body(cond, next, body);
        self.edge(cond, out);
        out
    }
    /// Body of a loop whose condition is `cond` and where `continue` goes to `next`; returns the end of the loop.
    fn loop_body(&mut self, cond: u32, next: u32, body: &'a Stmt) -> u32 {
        let head = self.then(cond, Elem::Nop);
        let out = self.node(Elem::Nop);
        self.breaks.push(out);
        self.continues.push(next);
        let end = self.stmt(body, head);
        self.breaks.pop();
        self.continues.pop();
        self.edge(end, next);
        out
    }
}
