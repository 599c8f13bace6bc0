//! The order in which the expressions of one function are evaluated, as a graph, for questions about one variable.
//!
//! Conditions are cut at `&&`, `||` and `!`, so that an edge says which atom held. It knows no kernel API but the
//! wrappers that hand their condition through (`likely()`, `WARN_ON()`).

use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp, VarDecl};
use crate::source::{Name, Span};

/// What happens at a node.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// Nothing: a place where paths meet.
    Join,
    /// The first node of a statement.
    Enter(Span),
    /// The node that every path through the end of a statement takes.
    Leave(Span),
    /// An expression is evaluated.
    Expr(&'a Expr),
    /// An expression is evaluated and its truth decides the way.
    Cond(&'a Expr),
    /// A local variable starts to live.
    Decl(&'a VarDecl),
    /// Anything may happen (assembly, code that was not understood).
    Unknown,
}

/// An edge to a predecessor: the node, and for a condition whether it held.
pub type Edge = (usize, Option<bool>);

/// The graph of one function.
pub struct Cfg<'a> {
    /// Nodes; 0 is the entry.
    pub nodes: Vec<Node<'a>>,
    /// Edges to successors.
    pub next: Vec<Vec<usize>>,
    /// Edges to predecessors.
    pub before: Vec<Vec<Edge>>,
}

struct Builder<'a> {
    cfg: Cfg<'a>,
    here: usize,
    breaks: Vec<usize>,
    continues: Vec<usize>,
    switches: Vec<(usize, bool)>,
    labels: Vec<(Name, usize)>,
    exit: usize,
}

impl<'a> Cfg<'a> {
    /// The graph of a function.
    pub fn new(f: &'a Function) -> Self {
        let cfg = Cfg { nodes: vec![Node::Join, Node::Join], next: vec![vec![]; 2], before: vec![vec![]; 2] };
        let mut b =
            Builder { cfg, here: 0, breaks: vec![], continues: vec![], switches: vec![], labels: vec![], exit: 1 };
        b.stmt(&f.body);
        b.link(b.here, b.exit, None);
        b.cfg
    }
    /// The first node of the statement with this span.
    pub fn enter(&self, stmt: Span) -> Option<usize> {
        self.nodes.iter().position(|n| matches!(n, Node::Enter(s) if *s == stmt))
    }
    /// The last node of the statement with this span.
    pub fn leave(&self, stmt: Span) -> Option<usize> {
        self.nodes.iter().position(|n| matches!(n, Node::Leave(s) if *s == stmt))
    }
}

/// The argument of a wrapper that has the truth of its argument.
pub fn unwrap_truth(e: &Expr) -> &Expr {
    const TRANSPARENT: [&str; 6] = ["likely", "unlikely", "WARN_ON", "WARN_ON_ONCE", "__builtin_expect", "WARN"];
    match e.call() {
        Some((name, [inner, ..])) if TRANSPARENT.contains(&&**name) => unwrap_truth(inner),
        _ => e,
    }
}

impl<'a> Builder<'a> {
    fn node(&mut self, n: Node<'a>) -> usize {
        self.cfg.nodes.push(n);
        self.cfg.next.push(vec![]);
        self.cfg.before.push(vec![]);
        self.cfg.nodes.len() - 1
    }
    fn link(&mut self, from: usize, to: usize, truth: Option<bool>) {
        self.cfg.next[from].push(to);
        self.cfg.before[to].push((from, truth));
    }
    fn then(&mut self, n: Node<'a>) -> usize {
        let node = self.node(n);
        self.link(self.here, node, None);
        self.here = node;
        node
    }
    fn jump(&mut self, to: usize) {
        self.link(self.here, to, None);
        self.here = self.node(Node::Join);
    }
    fn label(&mut self, name: &Name) -> usize {
        match self.labels.iter().find(|(n, _)| n == name) {
            Some((_, node)) => *node,
            None => {
                let node = self.node(Node::Join);
                self.labels.push((name.clone(), node));
                node
            }
        }
    }
    /// Evaluates a condition at `here`; control goes on at one of the two nodes.
    fn cond(&mut self, e: &'a Expr, yes: usize, no: usize) {
        let e = unwrap_truth(e);
        match &e.kind {
            ExprKind::Binary(op @ (BinOp::And | BinOp::Or), a, b) => {
                let second = self.node(Node::Join);
                if *op == BinOp::And {
                    self.cond(a, second, no);
                } else {
                    self.cond(a, yes, second);
                }
                self.here = second;
                self.cond(b, yes, no);
            }
            ExprKind::Unary(UnOp::Not, a) => self.cond(a, no, yes),
            _ => {
                let c = self.then(Node::Cond(e));
                self.link(c, yes, Some(true));
                self.link(c, no, Some(false));
            }
        }
    }
    fn body(&mut self, body: &'a Stmt, again: usize, done: usize) {
        self.breaks.push(done);
        self.continues.push(again);
        self.stmt(body);
        self.breaks.pop();
        self.continues.pop();
        self.link(self.here, again, None);
        self.here = done;
    }
    fn stmt(&mut self, s: &'a Stmt) {
        self.then(Node::Enter(s.span));
        self.inner(s);
        self.then(Node::Leave(s.span));
    }
    fn inner(&mut self, s: &'a Stmt) {
        match &s.kind {
            StmtKind::Block(v) => v.iter().for_each(|s| self.stmt(s)),
            StmtKind::Expr(e) => {
                self.then(Node::Expr(e));
            }
            StmtKind::Decl(v) => v.iter().for_each(|d| {
                self.then(Node::Decl(d));
            }),
            StmtKind::If { cond, then, els } => {
                let (yes, no, end) = (self.node(Node::Join), self.node(Node::Join), self.node(Node::Join));
                self.cond(cond, yes, no);
                self.here = yes;
                self.stmt(then);
                self.link(self.here, end, None);
                self.here = no;
                if let Some(e) = els {
                    self.stmt(e);
                }
                self.link(self.here, end, None);
                self.here = end;
            }
            StmtKind::While { cond, body } => {
                let (head, yes, done) = (self.node(Node::Join), self.node(Node::Join), self.node(Node::Join));
                self.link(self.here, head, None);
                self.here = head;
                self.cond(cond, yes, done);
                self.here = yes;
                self.body(body, head, done);
            }
            StmtKind::DoWhile { body, cond } => {
                let (head, test, done) = (self.node(Node::Join), self.node(Node::Join), self.node(Node::Join));
                self.link(self.here, head, None);
                self.here = head;
                self.body(body, test, done);
                self.here = test;
                self.cond(cond, head, done);
                self.here = done;
            }
            StmtKind::For { init, cond, step, body } => {
                if let Some(i) = init {
                    self.stmt(i);
                }
                let (head, yes, done) = (self.node(Node::Join), self.node(Node::Join), self.node(Node::Join));
                self.link(self.here, head, None);
                self.here = head;
                match cond {
                    Some(c) => self.cond(c, yes, done),
                    None => self.link(head, yes, None),
                }
                let again = self.node(Node::Join);
                self.here = yes;
                self.body(body, again, done);
                self.here = again;
                if let Some(e) = step {
                    self.then(Node::Expr(e));
                }
                self.link(self.here, head, None);
                self.here = done;
            }
            StmtKind::Iterate { args, body, .. } => {
                args.iter().for_each(|e| {
                    self.then(Node::Expr(e));
                });
                let (head, yes, done) = (self.node(Node::Unknown), self.node(Node::Join), self.node(Node::Join));
                self.link(self.here, head, None);
                self.link(head, yes, None);
                self.link(head, done, None);
                self.here = yes;
                self.body(body, head, done);
            }
            StmtKind::Switch { value, body } => {
                let head = self.then(Node::Expr(value));
                let done = self.node(Node::Join);
                self.here = self.node(Node::Join);
                self.switches.push((head, false));
                self.breaks.push(done);
                self.stmt(body);
                self.breaks.pop();
                self.link(self.here, done, None);
                if let Some((head, false)) = self.switches.pop() {
                    self.link(head, done, None);
                }
                self.here = done;
            }
            StmtKind::Case { .. } | StmtKind::Default => {
                let node = self.then(Node::Join);
                if let Some(top) = self.switches.last_mut() {
                    top.1 |= matches!(s.kind, StmtKind::Default);
                    let head = top.0;
                    self.link(head, node, None);
                }
            }
            StmtKind::Label(name) => {
                let node = self.label(name);
                self.link(self.here, node, None);
                self.here = node;
            }
            StmtKind::Goto(name) => {
                let node = self.label(name);
                self.jump(node);
            }
            StmtKind::Break => match self.breaks.last() {
                Some(&to) => self.jump(to),
                None => self.jump(self.exit),
            },
            StmtKind::Continue => match self.continues.last() {
                Some(&to) => self.jump(to),
                None => self.jump(self.exit),
            },
            StmtKind::Return(value) => {
                if let Some(e) = value {
                    self.then(Node::Expr(e));
                }
                self.jump(self.exit);
            }
            StmtKind::Configured { then, els, .. } => {
                let (from, end) = (self.here, self.node(Node::Join));
                for part in [then, els] {
                    self.here = from;
                    part.iter().for_each(|s| self.stmt(s));
                    self.link(self.here, end, None);
                }
                self.here = end;
            }
            StmtKind::Empty => {}
            StmtKind::Asm | StmtKind::Opaque => {
                self.then(Node::Unknown);
            }
        }
    }
}
