//! Statements flattened to a list of operations with jumps.
//!
//! `goto`, `switch` with fall-through and the loops become jumps; expressions stay trees. A range of statements of a
//! list can be compiled alone: then leaving it by `break`, `continue` or `goto` ends the run with that exit. In a whole
//! function the changed regions can stand as one operation each. Knows nothing of values.

use super::idle::Idle;
use crate::ast::{Expr, Stmt, StmtKind, VarDecl};
use crate::source::{Name, Span};
use rustc_hash::FxHashMap;

/// A jump target; [`Code::at`] has its place.
pub type Label = usize;

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// Evaluate and forget.
    Eval(Expr),
    /// A local variable comes to life.
    Decl(VarDecl),
    /// Go on if true, else jump. With a loop number when it is the condition of a loop.
    Branch { cond: Expr, no: Label, of_loop: Option<u32> },
    /// Jump.
    Jump(Label),
    /// A jump that the source asks for; backwards, it may make a loop.
    Goto(Label),
    /// A loop is entered from above.
    Enter(u32),
    /// An iterator macro: the next element, or jump.
    Iterate { id: u32, name: Name, args: Vec<Expr>, done: Label, span: Span },
    /// Leave the function.
    Return(Option<Expr>),
    /// Jump to a case.
    Switch { value: Expr, cases: Vec<(Expr, Option<Expr>, Label)>, other: Label },
    /// `#if`: go on, or jump.
    Config { cond: Name, no: Label },
    /// A changed region: its number, and where its exits lead.
    Region { number: usize, brk: Option<Label>, cont: Option<Label> },
    /// In code that is equal in both versions, take these variables for unknown and jump; else go on.
    Forget { vars: Vec<Name>, over: Label },
    /// Leaves a range of statements.
    Exit(Way),
    /// A statement that nobody understands.
    Opaque(Span),
}

/// How a range of statements is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// At its end.
    Fall,
    /// `break` of a loop or switch around it.
    Break,
    /// `continue` of a loop around it.
    Continue,
    /// `goto` to a label outside.
    Goto(Name),
}

/// A range in a list of statements.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// The whole list.
    pub list: &'a [Stmt],
    /// First of the range.
    pub lo: usize,
    /// One past the last.
    pub hi: usize,
}

impl<'a> Range<'a> {
    /// The statements.
    pub fn stmts(&self) -> &'a [Stmt] {
        self.list.get(self.lo..self.hi).unwrap_or(&[])
    }
    fn key(&self) -> (usize, usize) {
        (self.list.as_ptr() as usize, self.lo)
    }
}

/// Flattened code.
#[derive(Debug, Default)]
pub struct Code {
    pub ops: Vec<Op>,
    /// Place of each label.
    pub at: Vec<usize>,
    /// Labels of the function by name.
    pub named: FxHashMap<Name, Label>,
    /// Place in front of statement n of a list, by address of the list.
    pub positions: FxHashMap<(usize, usize), usize>,
    /// Targets of `break` and `continue` in a list.
    pub around: FxHashMap<usize, (Option<Label>, Option<Label>)>,
}

impl Code {
    /// Code of a whole function body, with the given ranges as [`Op::Region`] and the statements that need not be run
    /// as [`Op::Forget`].
    pub fn of_body(body: &Stmt, regions: &[Range<'_>], idle: &Idle) -> Code {
        let mut b = Builder { code: Code::default(), brk: None, cont: None, regions, idle, loops: 0 };
        b.list(std::slice::from_ref(body));
        b.code.ops.push(Op::Return(None));
        b.finish()
    }
    /// Code of a range alone.
    pub fn of_range(range: Range<'_>) -> Code {
        let none = Idle::default();
        let mut b = Builder { code: Code::default(), brk: None, cont: None, regions: &[], idle: &none, loops: 0 };
        for s in range.stmts() {
            b.stmt(s);
        }
        b.code.ops.push(Op::Exit(Way::Fall));
        b.finish()
    }
    /// Where execution goes on after a range of this code was left: `None` for a return or an unknown target.
    pub fn after(&self, range: &Range<'_>, way: &Way) -> Option<usize> {
        let list = range.list.as_ptr() as usize;
        match way {
            Way::Fall => self.positions.get(&(list, range.hi)).copied(),
            Way::Break => self.around.get(&list)?.0.map(|l| self.at[l]),
            Way::Continue => self.around.get(&list)?.1.map(|l| self.at[l]),
            Way::Goto(n) => self.named.get(n).map(|&l| self.at[l]),
        }
    }
    /// Places that may follow the operation at `pc`.
    pub fn next(&self, pc: usize, f: &mut dyn FnMut(usize)) {
        match &self.ops[pc] {
            Op::Jump(l) | Op::Goto(l) => f(self.at[*l]),
            Op::Branch { no, .. } | Op::Config { no, .. } | Op::Forget { over: no, .. } => {
                f(pc + 1);
                f(self.at[*no]);
            }
            Op::Iterate { done, .. } => {
                f(pc + 1);
                f(self.at[*done]);
            }
            Op::Switch { cases, other, .. } => {
                cases.iter().for_each(|c| f(self.at[c.2]));
                f(self.at[*other]);
            }
            Op::Return(_) | Op::Exit(_) => {}
            Op::Region { brk, cont, .. } => {
                f(pc + 1);
                for l in [brk, cont].into_iter().flatten() {
                    f(self.at[*l]);
                }
                // A region may leave by any goto of the function.
                let mut all: Vec<usize> = self.named.values().map(|&l| self.at[l]).collect();
                all.sort_unstable();
                all.into_iter().for_each(f);
            }
            _ => f(pc + 1),
        }
    }
}

struct Builder<'r> {
    code: Code,
    brk: Option<Label>,
    cont: Option<Label>,
    regions: &'r [Range<'r>],
    idle: &'r Idle,
    loops: u32,
}

impl Builder<'_> {
    fn label(&mut self) -> Label {
        self.code.at.push(usize::MAX);
        self.code.at.len() - 1
    }
    fn here(&mut self, l: Label) {
        self.code.at[l] = self.code.ops.len();
    }
    fn push(&mut self, op: Op) {
        self.code.ops.push(op);
    }
    fn named(&mut self, n: &Name) -> Label {
        if let Some(&l) = self.code.named.get(n) {
            return l;
        }
        let l = self.label();
        self.code.named.insert(n.clone(), l);
        l
    }
    fn finish(mut self) -> Code {
        // A label that was never placed lies outside the range.
        let mut outside: Vec<(Name, Label)> = self
            .code
            .named
            .iter()
            .filter(|&(_, &l)| self.code.at[l] == usize::MAX)
            .map(|(n, &l)| (n.clone(), l))
            .collect();
        outside.sort();
        for (n, l) in outside {
            self.code.at[l] = self.code.ops.len();
            self.code.ops.push(Op::Exit(Way::Goto(n)));
        }
        self.code
    }
    fn list(&mut self, list: &[Stmt]) {
        let key = list.as_ptr() as usize;
        self.code.around.insert(key, (self.brk, self.cont));
        let mut i = 0;
        loop {
            self.code.positions.insert((key, i), self.code.ops.len());
            if let Some(r) = self.regions.iter().position(|r| r.key() == (key, i)) {
                let end = self.regions[r].hi;
                self.push(Op::Region { number: r, brk: self.brk, cont: self.cont });
                if end > i {
                    i = end;
                    continue;
                }
            }
            match list.get(i) {
                Some(s) => self.stmt(s),
                None => break,
            }
            i += 1;
        }
    }
    fn one(&mut self, s: &Stmt) {
        self.list(std::slice::from_ref(s));
    }
    fn in_loop(&mut self, body: &Stmt, brk: Label, cont: Label) {
        let (b, c) = (self.brk.replace(brk), self.cont.replace(cont));
        self.one(body);
        (self.brk, self.cont) = (b, c);
    }
    fn number(&mut self) -> u32 {
        self.loops += 1;
        self.push(Op::Enter(self.loops));
        self.loops
    }
    fn stmt(&mut self, s: &Stmt) {
        let over = self.idle.get(&super::idle::key(s)).map(|vars| (vars.clone(), self.label()));
        if let Some((vars, over)) = &over {
            self.push(Op::Forget { vars: vars.clone(), over: *over });
        }
        self.whole(s);
        if let Some((_, over)) = over {
            self.here(over);
        }
    }
    fn whole(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Block(v) => self.list(v),
            StmtKind::Expr(e) => self.push(Op::Eval(e.clone())),
            StmtKind::Decl(v) => v.iter().for_each(|d| self.push(Op::Decl(d.clone()))),
            StmtKind::If { cond, then, els } => {
                let (no, end) = (self.label(), self.label());
                self.push(Op::Branch { cond: cond.clone(), no, of_loop: None });
                self.one(then);
                if let Some(e) = els {
                    self.push(Op::Jump(end));
                    self.here(no);
                    self.one(e);
                } else {
                    self.here(no);
                }
                self.here(end);
            }
            StmtKind::While { cond, body } => {
                let (top, end) = (self.label(), self.label());
                let id = self.number();
                self.here(top);
                self.push(Op::Branch { cond: cond.clone(), no: end, of_loop: Some(id) });
                self.in_loop(body, end, top);
                self.push(Op::Jump(top));
                self.here(end);
            }
            StmtKind::DoWhile { body, cond } => {
                let (top, test, end) = (self.label(), self.label(), self.label());
                let id = self.number();
                self.here(top);
                self.in_loop(body, end, test);
                self.here(test);
                self.push(Op::Branch { cond: cond.clone(), no: end, of_loop: Some(id) });
                self.push(Op::Jump(top));
                self.here(end);
            }
            StmtKind::For { init, cond, step, body } => {
                let (top, next, end) = (self.label(), self.label(), self.label());
                if let Some(i) = init {
                    self.one(i);
                }
                let id = self.number();
                self.here(top);
                let cond = cond.clone().unwrap_or(Expr {
                    span: s.span,
                    kind: crate::ast::ExprKind::Int { value: 1, ty: crate::ast::CType::int() },
                });
                self.push(Op::Branch { cond, no: end, of_loop: Some(id) });
                self.in_loop(body, end, next);
                self.here(next);
                if let Some(e) = step {
                    self.push(Op::Eval(e.clone()));
                }
                self.push(Op::Jump(top));
                self.here(end);
            }
            StmtKind::Iterate { name, args, body } => {
                let (top, end) = (self.label(), self.label());
                let id = self.number();
                self.here(top);
                self.push(Op::Iterate { id, name: name.clone(), args: args.clone(), done: end, span: s.span });
                self.in_loop(body, end, top);
                self.push(Op::Jump(top));
                self.here(end);
            }
            StmtKind::Switch { value, body } => self.switch(value, body),
            // Met by the switch that owns them; a case outside any switch has no effect.
            StmtKind::Case { .. } | StmtKind::Default => {
                let pc = self.code.ops.len();
                self.code.positions.insert((std::ptr::from_ref(s) as usize, usize::MAX), pc);
            }
            StmtKind::Label(n) => {
                let l = self.named(n);
                self.here(l);
            }
            StmtKind::Goto(n) => {
                let l = self.named(n);
                self.push(Op::Goto(l));
            }
            StmtKind::Break => match self.brk {
                Some(l) => self.push(Op::Jump(l)),
                None => self.push(Op::Exit(Way::Break)),
            },
            StmtKind::Continue => match self.cont {
                Some(l) => self.push(Op::Jump(l)),
                None => self.push(Op::Exit(Way::Continue)),
            },
            StmtKind::Return(e) => self.push(Op::Return(e.clone())),
            StmtKind::Empty => {}
            StmtKind::Configured { cond, then, els } => {
                let (no, end) = (self.label(), self.label());
                self.push(Op::Config { cond: cond.clone(), no });
                self.list(then);
                self.push(Op::Jump(end));
                self.here(no);
                self.list(els);
                self.here(end);
            }
            StmtKind::Asm | StmtKind::Opaque => self.push(Op::Opaque(s.span)),
        }
    }
    fn switch(&mut self, value: &Expr, body: &Stmt) {
        let end = self.label();
        let jump = self.code.ops.len();
        self.push(Op::Jump(end));
        let outer = self.brk.replace(end);
        self.one(body);
        self.brk = outer;
        self.push(Op::Jump(end));
        let mut cases = Vec::new();
        let mut other = end;
        collect_cases(body, &mut |s| {
            let Some(&pc) = self.code.positions.get(&(std::ptr::from_ref(s) as usize, usize::MAX)) else { return };
            let l = self.code.at.len();
            self.code.at.push(pc);
            match &s.kind {
                StmtKind::Case { value, upto } => cases.push((value.clone(), upto.clone(), l)),
                _ => other = l,
            }
        });
        self.code.ops[jump] = Op::Switch { value: value.clone(), cases, other };
        self.here(end);
    }
}

/// Calls `f` on the cases of the switch with this body, not on those of switches inside.
pub fn collect_cases<'a>(body: &'a Stmt, f: &mut dyn FnMut(&'a Stmt)) {
    match body.kind {
        StmtKind::Case { .. } | StmtKind::Default => f(body),
        StmtKind::Switch { .. } => {}
        _ => body.children(&mut |c| collect_cases(c, f)),
    }
}
