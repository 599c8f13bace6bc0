//! Conditions on the parameters of a function.
//!
//! A formula is what is understood of an expression: parameters that keep their value, small numbers, and what C makes
//! truths of. Numbers go up to 127, so they are the same in every integer type.

use super::super::engine::Engine;
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, Param, StmtKind, UnOp};
use crate::source::{FileId, Name};
use crate::split::ItemKind;
use rustc_hash::{FxHashMap, FxHashSet};

/// What is known to be true, or false, of the parameters of a function.
pub(super) type Conditions = Vec<(Formula, bool)>;

/// Conditions that are kept together, at most; the others are forgotten.
const MAX_CONDITIONS: usize = 12;
/// Parts of a formula, at most.
const MAX_PARTS: usize = 16;
/// The numbers that are understood.
const NUMBERS: std::ops::RangeInclusive<i128> = 0..=127;

/// The value of an expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Formula {
    /// Not understood.
    Unknown,
    Number(u8),
    /// The parameter of this position, which the function does not change.
    Param(usize),
    Not(Box<Formula>),
    And(Box<Formula>, Box<Formula>),
    Or(Box<Formula>, Box<Formula>),
    Same(Box<Formula>, Box<Formula>),
    /// `a & b`
    Bits(Box<Formula>, Box<Formula>),
}

use Formula::{And, Bits, Not, Number, Or, Same, Unknown};

impl Formula {
    fn not(self) -> Self {
        match self {
            Number(n) => Number(u8::from(n == 0)),
            Unknown => Unknown,
            Not(f) if f.is_truth() => *f,
            f => Not(Box::new(f)),
        }
    }
    fn truth(self) -> Self {
        if self.is_truth() { self } else { self.not().not() }
    }
    /// The value is 0 or 1.
    fn is_truth(&self) -> bool {
        matches!(self, Number(0 | 1) | Not(_) | And(..) | Or(..) | Same(..))
    }
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Number(0), _) | (_, Number(0)) => Number(0),
            (Number(_), f) | (f, Number(_)) => f.truth(),
            (Unknown, Unknown) => Unknown,
            (a, b) => And(Box::new(a), Box::new(b)).bounded(),
        }
    }
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Number(0), f) | (f, Number(0)) => f.truth(),
            (Number(_), _) | (_, Number(_)) => Number(1),
            (Unknown, Unknown) => Unknown,
            (a, b) => Or(Box::new(a), Box::new(b)).bounded(),
        }
    }
    fn equals(self, other: Self) -> Self {
        match (self, other) {
            (Number(a), Number(b)) => Number(u8::from(a == b)),
            (Unknown, _) | (_, Unknown) => Unknown,
            (a, b) => Same(Box::new(a), Box::new(b)).bounded(),
        }
    }
    fn bits(self, other: Self) -> Self {
        match (self, other) {
            (Number(0), _) | (_, Number(0)) => Number(0),
            (Number(a), Number(b)) => Number(a & b),
            (Unknown, Unknown) => Unknown,
            (a, b) => Bits(Box::new(a), Box::new(b)).bounded(),
        }
    }

    fn parts(&self) -> usize {
        match self {
            Unknown | Number(_) | Formula::Param(_) => 1,
            Not(a) => 1 + a.parts(),
            And(a, b) | Or(a, b) | Same(a, b) | Bits(a, b) => 1 + a.parts() + b.parts(),
        }
    }
    fn bounded(self) -> Self {
        if self.parts() > MAX_PARTS { Unknown } else { self }
    }
    fn any(&self, is: &dyn Fn(&Formula) -> bool) -> bool {
        is(self)
            || match self {
                Unknown | Number(_) | Formula::Param(_) => false,
                Not(a) => a.any(is),
                And(a, b) | Or(a, b) | Same(a, b) | Bits(a, b) => a.any(is) || b.any(is),
            }
    }
    /// Something may be learnt of it from the arguments of a call.
    pub(super) fn names_parameter(&self) -> bool {
        self.any(&|f| matches!(f, Formula::Param(_)))
    }

    /// The formula when the parameters are these.
    pub(super) fn with(&self, params: &[Formula]) -> Self {
        match self {
            Unknown => Unknown,
            Number(n) => Number(*n),
            Formula::Param(k) => params.get(*k).cloned().unwrap_or(Unknown),
            Not(a) => a.with(params).not(),
            And(a, b) => a.with(params).and(b.with(params)),
            Or(a, b) => a.with(params).or(b.with(params)),
            Same(a, b) => a.with(params).equals(b.with(params)),
            Bits(a, b) => a.with(params).bits(b.with(params)),
        }
    }

    /// The value in a variable of this type, made in a function with these parameters.
    pub(super) fn convert(self, ty: &CType, params: &[Param]) -> Self {
        if matches!(ty.base, Base::Bool) && ty.depth() == 0 && !ty.function {
            return self.truth();
        }
        let same = matches!(&self, Formula::Param(k) if params.get(*k).is_some_and(|p| p.ty == *ty));
        let fits = match (self.width(params), width(ty)) {
            (Some(needed), Some(room)) => needed <= room,
            // It may be a `bool`, a number or a pointer.
            (Some(needed), None) => needed == 1,
            (None, _) => false,
        };
        if same || fits { self } else { Unknown }
    }

    /// Bits that the value may need.
    fn width(&self, params: &[Param]) -> Option<u8> {
        match self {
            Unknown => None,
            Number(0 | 1) | Not(_) | And(..) | Or(..) | Same(..) => Some(1),
            Number(_) => Some(8),
            Formula::Param(k) => width(&params.get(*k)?.ty),
            Bits(a, b) => Some(a.width(params)?.max(b.width(params)?)),
        }
    }
}

fn width(ty: &CType) -> Option<u8> {
    if ty.function || ty.depth() > 0 {
        return Some(64);
    }
    match ty.base {
        Base::Bool => Some(1),
        Base::Int { bits, .. } => Some(bits),
        Base::Enum(_) => Some(32),
        _ => None,
    }
}

/// Adds a condition to others that hold together with it; `None` if it cannot.
pub(super) fn add(to: &mut Conditions, f: Formula, wanted: bool) -> Option<()> {
    match f {
        Number(n) => return ((n != 0) == wanted).then_some(()),
        Not(a) => return add(to, *a, !wanted),
        And(a, b) if wanted => {
            add(to, *a, true)?;
            return add(to, *b, true);
        }
        Or(a, b) if !wanted => {
            add(to, *a, false)?;
            return add(to, *b, false);
        }
        _ => {}
    }
    if !f.names_parameter() {
        return Some(());
    }
    // Two masks that are not known are two masks.
    if to.contains(&(f.clone(), !wanted)) && !f.any(&|f| *f == Unknown) {
        return None;
    }
    let c = (f, wanted);
    if !to.contains(&c) && to.len() < MAX_CONDITIONS {
        to.push(c);
    }
    Some(())
}

/// The names of a function that stand for the same value wherever they are read.
pub(super) struct Scope<'a> {
    e: &'a Engine<'a>,
    file: FileId,
    func: &'a Function,
    /// Locals that are set where they are declared.
    locals: FxHashMap<&'a Name, (&'a CType, &'a Expr)>,
    /// Names that are set elsewhere, or may be.
    moved: FxHashSet<&'a Name>,
    /// Names that are passed to something, which may be a macro that sets them.
    passed: Vec<(&'a Name, &'a Name)>,
    /// Nothing may be said of the values.
    blind: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(e: &'a Engine<'a>, file: FileId, func: &'a Function) -> Self {
        let mut s = Scope {
            e,
            file,
            func,
            locals: FxHashMap::default(),
            moved: FxHashSet::default(),
            passed: Vec::new(),
            blind: !func.whole(),
        };
        let mut declared: FxHashSet<&Name> = FxHashSet::default();
        let mut labels: FxHashSet<&Name> = FxHashSet::default();
        func.body.walk(&mut |stmt| match &stmt.kind {
            StmtKind::Decl(vars) => {
                for v in vars {
                    s.blind |= v.is_static;
                    match &v.init {
                        Some(init) if declared.insert(&v.name) => _ = s.locals.insert(&v.name, (&v.ty, init)),
                        _ => _ = s.moved.insert(&v.name),
                    }
                    declared.insert(&v.name);
                }
            }
            StmtKind::Iterate { args, .. } => s.moved.extend(args.iter().filter_map(Expr::ident)),
            StmtKind::Label(name) => _ = labels.insert(name),
            StmtKind::Asm | StmtKind::Opaque => s.blind = true,
            // A macro that stands for a statement.
            StmtKind::Expr(Expr { kind: ExprKind::Ident(_), .. }) => s.blind = true,
            _ => {}
        });
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } | ExprKind::Unary(UnOp::AddrOf, to) => {
                s.moved.extend(to.ident());
            }
            ExprKind::Call { callee, args } => {
                let names = args.iter().filter_map(Expr::ident);
                match callee.ident() {
                    Some(callee) if matches!(&**callee, "likely" | "unlikely") => {}
                    Some(callee) => s.passed.extend(names.map(|n| (n, callee))),
                    // A pointer to a function is no macro.
                    None => {}
                }
            }
            // A macro that jumps there.
            ExprKind::Ident(n) => s.blind |= labels.contains(n),
            ExprKind::Opaque => s.blind = true,
            // A block of its own, with names of its own.
            ExprKind::StmtExpr(block) => block.walk(&mut |stmt| {
                s.blind |=
                    matches!(stmt.kind, StmtKind::Decl(_) | StmtKind::Label(_) | StmtKind::Asm | StmtKind::Opaque);
            }),
            _ => {}
        });
        s.moved.extend(func.params.iter().map(|p| &p.name).filter(|n| declared.contains(n)));
        s
    }

    /// Whether it says anything of names at all.
    pub(super) fn sees(&self) -> bool {
        !self.blind
    }

    /// What an expression is.
    pub(super) fn formula(&self, x: &Expr) -> Formula {
        self.read(x, 0)
    }

    fn read(&self, x: &Expr, depth: u32) -> Formula {
        let f = |x: &Expr| self.read(x, depth);
        match &x.kind {
            ExprKind::Int { value, .. } if NUMBERS.contains(value) => Number(*value as u8),
            ExprKind::Ident(n) => self.name(n, depth),
            ExprKind::Unary(UnOp::Not, a) => f(a).not(),
            ExprKind::Binary(BinOp::And, a, b) => f(a).and(f(b)),
            ExprKind::Binary(BinOp::Or, a, b) => f(a).or(f(b)),
            ExprKind::Binary(BinOp::Eq, a, b) => f(a).equals(f(b)),
            ExprKind::Binary(BinOp::Ne, a, b) => f(a).equals(f(b)).not(),
            ExprKind::Binary(BinOp::BitAnd, a, b) => f(a).bits(f(b)),
            ExprKind::Cast(ty, a) => f(a).convert(ty, &self.func.params),
            ExprKind::Call { .. } => match x.call() {
                Some((n, [a])) if matches!(&**n, "likely" | "unlikely") => f(a).truth(),
                _ => Unknown,
            },
            _ => Unknown,
        }
    }

    fn name(&self, n: &Name, depth: u32) -> Formula {
        match &**n {
            "true" => return Number(1),
            "false" | "NULL" => return Number(0),
            _ => {}
        }
        if self.blind || self.moved.contains(n) {
            return Unknown;
        }
        let param = self.func.params.iter().position(|p| p.name == *n);
        let local = self.locals.get(n).filter(|_| depth < 3);
        if param.is_none() && local.is_none() || !self.kept(n) {
            return Unknown;
        }
        match (param, local) {
            (Some(k), _) => Formula::Param(k),
            (None, Some((ty, init))) => self.read(init, depth + 1).convert(ty, &self.func.params),
            (None, None) => Unknown,
        }
    }

    /// Whatever gets the name is a function, not a macro that could set it.
    fn kept(&self, n: &Name) -> bool {
        self.passed.iter().filter(|(name, _)| *name == n).all(|(_, callee)| {
            let seen = |kinds: &[ItemKind]| self.e.index.visible_item(self.file, callee, kinds).is_some();
            !seen(&[ItemKind::Define]) && seen(&[ItemKind::Function, ItemKind::Prototype])
        })
    }
}
