//! Small questions about one function: which type has this expression, does it have an effect, is this variable read
//! later, is this value never negative here.
//!
//! Every answer errs on one side, which the doc comment names. Nothing here knows of plans or edits, so that findings
//! can ask the same questions.

// tidy: long file: small independent questions, each a few lines

use super::cfg::{Cfg, Node};
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::program::Program;
use crate::source::{FileId, Name, Span};

/// Whether two expressions are written alike, parentheses and spaces aside.
pub fn same(a: &Expr, b: &Expr) -> bool {
    use ExprKind::*;
    match (&a.kind, &b.kind) {
        (Ident(x), Ident(y)) => x == y,
        (Int { value: x, .. }, Int { value: y, .. }) => x == y,
        (Unary(o, x), Unary(p, y)) => o == p && same(x, y),
        (Binary(o, a, b), Binary(p, c, d)) => o == p && same(a, c) && same(b, d),
        (Index(a, b), Index(c, d)) => same(a, c) && same(b, d),
        (Field { base: a, name: x, arrow: p, .. }, Field { base: b, name: y, arrow: q, .. }) => {
            x == y && p == q && same(a, b)
        }
        (Cast(t, a), Cast(u, b)) => t == u && same(a, b),
        (Sizeof(t), Sizeof(u)) => t == u,
        (SizeofExpr(a), SizeofExpr(b)) => same(a, b),
        (Cond(a, b, c), Cond(d, e, f)) => {
            same(a, d)
                && same(c, f)
                && match (b, e) {
                    (Some(b), Some(e)) => same(b, e),
                    (None, None) => true,
                    _ => false,
                }
        }
        (Call { callee: a, args: x }, Call { callee: b, args: y }) => {
            same(a, b) && x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b))
        }
        (Type(t), Type(u)) => t == u,
        _ => false,
    }
}

/// The value of an integer constant, a minus sign included.
pub fn constant(e: &Expr) -> Option<i128> {
    match &e.kind {
        ExprKind::Int { value, .. } => Some(*value),
        ExprKind::Unary(UnOp::Neg, a) => constant(a).map(|v| -v),
        _ => None,
    }
}

/// The operands of a chain of `&&`, in order.
pub fn conjuncts(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::Binary(BinOp::And, a, b) => conjuncts(a).into_iter().chain(conjuncts(b)).collect(),
        _ => vec![e],
    }
}

/// Macros and inline functions whose value depends on their arguments alone. Upper case ones are kernel-wide.
const VALUE_ONLY: [&str; 17] = [
    "min",
    "max",
    "min_t",
    "max_t",
    "ARRAY_SIZE",
    "DIV_ROUND_UP",
    "PAGE_ALIGN",
    "PFN_UP",
    "PFN_DOWN",
    "likely",
    "unlikely",
    "round_up",
    "round_down",
    "offset_in_page",
    "IS_ALIGNED",
    "BIT",
    "IS_ENABLED",
];

/// Whether evaluating the expression changes nothing and can be repeated. Unknown calls count as effects.
pub fn pure(e: &Expr) -> bool {
    let mut ok = true;
    e.walk(&mut |e| match &e.kind {
        ExprKind::IncDec { .. } | ExprKind::Assign(..) | ExprKind::StmtExpr(_) | ExprKind::Opaque => ok = false,
        ExprKind::CompoundLiteral(..) | ExprKind::Comma(..) => ok = false,
        ExprKind::Call { callee, .. } => ok &= callee.ident().is_some_and(|n| VALUE_ONLY.contains(&&**n)),
        _ => {}
    });
    ok
}

/// Whether the identifier stands anywhere in the expression (as a variable, not as a field name).
pub fn mentions(e: &Expr, name: &str) -> bool {
    let mut found = false;
    e.walk(&mut |e| found |= e.ident().is_some_and(|n| &**n == name));
    found
}

/// Whether an expression like this one stands anywhere in the expression.
pub fn mentions_expr(e: &Expr, what: &Expr) -> bool {
    let mut found = false;
    e.walk(&mut |e| found |= same(e, what));
    found
}

/// Fields that the expression reads through.
pub fn field_names(e: &Expr) -> Vec<&Name> {
    let mut names = Vec::new();
    e.walk(&mut |e| {
        if let ExprKind::Field { name, .. } = &e.kind {
            names.push(name);
        }
    });
    names
}

/// Whether evaluating `e` may change the value of `place` (a variable, or a path of fields from one). A call may change
/// every field, but no local variable whose address is not taken; errs on the side of yes.
pub fn may_write(e: &Expr, place: &Expr, address_taken: bool) -> bool {
    let mut found = false;
    let local = place.ident().is_some() && !address_taken;
    e.walk(&mut |e| match &e.kind {
        ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } => found |= overlaps(to, place, local),
        ExprKind::Call { callee, .. } if !local => {
            found |= !callee.ident().is_some_and(|n| VALUE_ONLY.contains(&&**n) || LEAVES_FIELDS.contains(&&**n));
        }
        ExprKind::Call { args, .. } => {
            // A macro may assign to the variable it is given: get_user(x, p).
            found |= args.iter().any(|a| same(a, place)) && e.call().is_some_and(|(n, _)| ASSIGNS.contains(&&**n));
        }
        ExprKind::Opaque => found = true,
        _ => {}
    });
    found
}

/// Calls that change no count and no array of a driver.
const LEAVES_FIELDS: [&str; 16] = [
    "put_page",
    "put_user_page",
    "set_page_dirty",
    "set_page_dirty_lock",
    "SetPageDirty",
    "PageReserved",
    "PageDirty",
    "PageCompound",
    "flush_dcache_page",
    "kfree",
    "vfree",
    "kvfree",
    "WARN_ON",
    "WARN_ON_ONCE",
    "BUG_ON",
    "IS_ERR",
];

/// Macros that assign to their argument.
const ASSIGNS: [&str; 4] = ["get_user", "__get_user", "swap", "READ_ONCE"];

fn overlaps(to: &Expr, place: &Expr, local: bool) -> bool {
    match (&to.kind, &place.kind) {
        (ExprKind::Ident(a), _) => mentions(place, a),
        (ExprKind::Field { name, .. }, _) => field_names(place).contains(&name),
        (ExprKind::Index(..), ExprKind::Ident(_)) => false,
        (ExprKind::Index(base, _), _) => field_names(base).iter().any(|n| field_names(place).contains(n)),
        (ExprKind::Unary(UnOp::Deref, _), _) => !local,
        (ExprKind::Cast(_, a), _) => overlaps(a, place, local),
        _ => true,
    }
}

/// Whether `&name` is taken anywhere in the function.
pub fn address_taken(f: &Function, name: &str) -> bool {
    let mut found = false;
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Unary(UnOp::AddrOf, a) = &e.kind {
            found |= a.ident().is_some_and(|n| &**n == name);
        }
    });
    found
}

/// Whether the variable may be read after the statement before it is written again. Errs on the side of yes.
pub fn read_after(cfg: &Cfg, f: &Function, stmt: Span, name: &str) -> bool {
    let is_local = {
        let mut found = f.params.iter().any(|p| &*p.name == name);
        f.body.walk(&mut |s| {
            if let StmtKind::Decl(v) = &s.kind {
                found |= v.iter().any(|d| &*d.name == name && !d.is_static);
            }
        });
        found
    };
    let Some(start) = cfg.leave(stmt) else { return true };
    if !is_local || address_taken(f, name) {
        return true;
    }
    let mut seen = vec![false; cfg.nodes.len()];
    let mut todo = cfg.next[start].clone();
    while let Some(n) = todo.pop() {
        if std::mem::replace(&mut seen[n], true) {
            continue;
        }
        let stop = match cfg.nodes[n] {
            Node::Expr(e) | Node::Cond(e) => match use_of(e, name) {
                Use::None => false,
                Use::Write => true,
                Use::Read => return true,
            },
            Node::Decl(d) => {
                if d.init.as_ref().is_some_and(|e| mentions(e, name)) {
                    return true;
                }
                &*d.name == name
            }
            Node::Unknown => false,
            _ => false,
        };
        if !stop {
            todo.extend(&cfg.next[n]);
        }
    }
    false
}

enum Use {
    None,
    Write,
    Read,
}

fn use_of(e: &Expr, name: &str) -> Use {
    if !mentions(e, name) {
        return Use::None;
    }
    match &e.kind {
        ExprKind::Assign(None, to, from) if to.ident().is_some_and(|n| &**n == name) && !mentions(from, name) => {
            Use::Write
        }
        ExprKind::Comma(a, b) => match use_of(a, name) {
            Use::None => use_of(b, name),
            u => u,
        },
        _ => Use::Read,
    }
}

/// Asks for the types of expressions of one function.
#[derive(Clone, Copy)]
pub struct Types<'a> {
    /// The tree, for struct definitions.
    pub program: &'a dyn Program,
    /// File of the function.
    pub file: FileId,
    /// The function.
    pub function: &'a Function,
}

impl Types<'_> {
    /// The type of a variable; unknown when it is no local, or declared twice with different types.
    pub fn variable(&self, name: &str) -> CType {
        let mut found: Vec<CType> = Vec::new();
        found.extend(self.function.params.iter().filter(|p| &*p.name == name).map(|p| p.ty.clone()));
        self.function.body.walk(&mut |s| {
            if let StmtKind::Decl(v) = &s.kind {
                found.extend(v.iter().filter(|d| &*d.name == name).map(|d| d.ty.clone()));
            }
        });
        match found.split_first() {
            Some((first, rest)) if rest.iter().all(|t| t == first) => first.clone(),
            _ => CType::unknown(),
        }
    }
    /// The type of an expression, as far as declarations in sight tell it.
    pub fn of(&self, e: &Expr) -> CType {
        match &e.kind {
            ExprKind::Ident(n) => self.variable(n),
            ExprKind::Int { ty, .. } | ExprKind::Cast(ty, _) | ExprKind::CompoundLiteral(ty, _) => ty.clone(),
            ExprKind::Unary(UnOp::Deref, a) | ExprKind::Index(a, _) => self.of(a).deref(),
            ExprKind::Unary(UnOp::AddrOf, a) => self.of(a).address_of(),
            ExprKind::Unary(UnOp::Not, _) => CType::int(),
            ExprKind::Unary(_, a) => promoted(self.of(a)),
            ExprKind::IncDec { operand, .. } => self.of(operand),
            ExprKind::Assign(_, a, _) => self.of(a),
            ExprKind::Comma(_, b) => self.of(b),
            ExprKind::Cond(a, b, c) => common(self.of(b.as_deref().unwrap_or(a)), self.of(c)),
            ExprKind::Binary(op, a, b) => match op {
                BinOp::Add | BinOp::Sub if self.of(a).depth() > 0 && self.of(b).depth() == 0 => self.of(a),
                BinOp::Add if self.of(b).depth() > 0 => self.of(b),
                BinOp::Sub if self.of(a).depth() > 0 => integer(true, 64),
                BinOp::Shl | BinOp::Shr => promoted(self.of(a)),
                BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::And | BinOp::Or => {
                    CType::int()
                }
                _ => common(self.of(a), self.of(b)),
            },
            ExprKind::Field { base, name, .. } => {
                let ty = self.of(base);
                // A typedef of a struct is looked up by its own name.
                let tag = match &ty.base {
                    Base::Struct(t) | Base::Union(t) | Base::Named(t) => t,
                    _ => return CType::unknown(),
                };
                let Some(def) = self.program.structure(self.file, tag) else { return CType::unknown() };
                def.fields.iter().find(|f| f.name == *name).map_or_else(CType::unknown, |f| f.ty.clone())
            }
            ExprKind::Sizeof(_) | ExprKind::SizeofExpr(_) => integer(false, 64),
            ExprKind::Call { .. } => match e.call() {
                Some((n, args)) if matches!(&**n, "likely" | "unlikely") && args.len() == 1 => self.of(&args[0]),
                Some((n, _)) if &**n == "ARRAY_SIZE" => integer(false, 64),
                Some((n, args)) if matches!(&**n, "min_t" | "max_t") => match args.first().map(|a| &a.kind) {
                    Some(ExprKind::Type(t)) => t.clone(),
                    _ => CType::unknown(),
                },
                Some((n, [a, b])) if matches!(&**n, "min" | "max") => common(self.of(a), self.of(b)),
                _ => CType::unknown(),
            },
            _ => CType::unknown(),
        }
    }
    /// Whether a value of this expression can be negative; `None` when the type is not known.
    pub fn signed(&self, e: &Expr) -> Option<bool> {
        sign(&self.of(e))
    }
    /// Whether `a < b` is compared as signed numbers; `None` when a type is not known.
    pub fn compared_signed(&self, a: &Expr, b: &Expr) -> Option<bool> {
        sign(&common(self.of(a), self.of(b)))
    }
}

fn integer(signed: bool, bits: u8) -> CType {
    CType { base: Base::Int { signed, bits }, ptr: 0, dims: Vec::new(), function: false }
}

/// Signedness of an integer type.
pub fn sign(t: &CType) -> Option<bool> {
    match t.base {
        _ if t.depth() > 0 => None,
        Base::Int { signed, .. } => Some(signed),
        Base::Bool => Some(false),
        _ => None,
    }
}

fn promoted(t: CType) -> CType {
    match t.base {
        Base::Int { bits, .. } if bits < 32 && t.depth() == 0 => CType::int(),
        Base::Bool if t.depth() == 0 => CType::int(),
        _ => t,
    }
}

/// The usual arithmetic conversions of C (LP64).
pub fn common(a: CType, b: CType) -> CType {
    let (a, b) = (promoted(a), promoted(b));
    match (&a.base, &b.base) {
        _ if a.depth() > 0 || b.depth() > 0 => CType::unknown(),
        (Base::Int { signed: s, bits: m }, Base::Int { signed: t, bits: n }) => match m.cmp(n) {
            std::cmp::Ordering::Greater => integer(*s, *m),
            std::cmp::Ordering::Less => integer(*t, *n),
            std::cmp::Ordering::Equal => integer(*s && *t, *m),
        },
        _ => CType::unknown(),
    }
}

/// What is known of a value where control reaches a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// It holds, because of this construct.
    Shown(String),
    /// It holds if it holds of the parameter when the function is called.
    OfParameter,
    /// Nothing is known.
    Nothing,
}

/// What one node means for a search backwards.
enum Step {
    /// The path shows it.
    Shown(Span),
    /// Nothing: go on.
    On,
    /// The path does not show it.
    Lost,
}

/// Follows every path backwards from the statement until it shows something. Errs on the side of `Nothing`.
fn search(cfg: &Cfg, stmt: Span, text: &[u8], look: &dyn Fn(Node, Option<bool>) -> Step) -> Known {
    let Some(start) = cfg.enter(stmt) else { return Known::Nothing };
    let mut seen = vec![false; cfg.nodes.len()];
    let mut todo: Vec<_> = cfg.before[start].clone();
    let mut shown: Vec<Span> = Vec::new();
    let mut entry = false;
    while let Some((n, truth)) = todo.pop() {
        if n == 0 {
            entry = true;
            continue;
        }
        match look(cfg.nodes[n], truth) {
            Step::Shown(span) => {
                shown.push(span);
                continue;
            }
            Step::Lost => return Known::Nothing,
            Step::On => {}
        }
        if !std::mem::replace(&mut seen[n], true) {
            todo.extend(&cfg.before[n]);
        }
    }
    match shown.iter().min() {
        _ if entry => Known::OfParameter,
        Some(first) => Known::Shown(format!("`{}` before it", super::style::bare(text, *first))),
        // No path from the entry reaches the statement.
        None => Known::Nothing,
    }
}

/// Whether the place (a variable or a path of fields) is never negative when control reaches the statement. Every path
/// from the entry must pass a test or an assignment that makes it so.
pub fn non_negative(cfg: &Cfg, types: &Types, stmt: Span, place: &Expr, text: &[u8]) -> Known {
    if let Some(v) = constant(place) {
        return if v >= 0 { Known::Shown(format!("{v} is a constant")) } else { Known::Nothing };
    }
    let Some(root) = root_of(place) else { return Known::Nothing };
    let taken = address_taken(types.function, root);
    let variable = place.ident().is_some();
    if variable && (taken || types.variable(root) == CType::unknown()) {
        return Known::Nothing;
    }
    let fits = |value: &Expr| constant(value).is_some_and(|v| v >= 0) || small_unsigned(&types.of(value));
    let known = search(cfg, stmt, text, &|node, truth| match node {
        Node::Cond(e) if truth.is_some_and(|t| implies_non_negative(e, t, place)) => Step::Shown(e.span),
        Node::Cond(e) if may_write(e, place, taken) => Step::Lost,
        Node::Expr(e) => match assigned(e, place) {
            Some(value) if fits(value) => Step::Shown(e.span),
            Some(_) => Step::Lost,
            None if is_increment(e, place) || !may_write(e, place, taken) => Step::On,
            None => Step::Lost,
        },
        Node::Decl(d) if variable && d.name == *root => match &d.init {
            Some(value) if fits(value) => Step::Shown(d.span),
            _ => Step::Lost,
        },
        Node::Decl(d) if d.name == *root || d.init.as_ref().is_some_and(|e| may_write(e, place, taken)) => Step::Lost,
        Node::Unknown => Step::Lost,
        _ => Step::On,
    });
    let parameter = variable && types.function.params.iter().any(|p| p.name == *root);
    if known == Known::OfParameter && !parameter { Known::Nothing } else { known }
}

/// Whether `low <= high` holds when control reaches the statement, by a test of the two on every path.
pub fn ordered(cfg: &Cfg, types: &Types, stmt: Span, low: &Expr, high: &Expr, text: &[u8]) -> Known {
    let taken = |e: &Expr| root_of(e).is_none_or(|r| address_taken(types.function, r));
    let places = [(low, taken(low)), (high, taken(high))];
    let changes = |e: &Expr| places.iter().any(|(p, t)| may_write(e, p, *t));
    let known = search(cfg, stmt, text, &|node, truth| match node {
        Node::Cond(e) if truth.is_some_and(|t| implies_order(e, t, low, high)) => Step::Shown(e.span),
        Node::Cond(e) | Node::Expr(e) if changes(e) => Step::Lost,
        Node::Decl(d) if d.init.as_ref().is_some_and(changes) => Step::Lost,
        Node::Decl(d) if places.iter().any(|(p, _)| mentions(p, &d.name)) => Step::Lost,
        Node::Unknown => Step::Lost,
        _ => Step::On,
    });
    if known == Known::OfParameter { Known::Nothing } else { known }
}

/// Whether the truth (or falsehood) of an atom shows `low <= high`.
fn implies_order(e: &Expr, truth: bool, low: &Expr, high: &Expr) -> bool {
    use BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    let ExprKind::Binary(op, a, b) = &e.kind else { return false };
    let straight = same(a, low) && same(b, high);
    let turned = same(a, high) && same(b, low);
    match (op, truth) {
        (Lt | Le, true) | (Gt, false) => straight,
        (Gt | Ge, true) | (Lt, false) => turned,
        (Ge, false) => straight,
        (Le, false) => turned,
        (Eq, true) | (Ne, false) => straight || turned,
        _ => false,
    }
}

/// A type whose every value fits a non-negative `int` or wider place: unsigned and at most 16 bits wide.
fn small_unsigned(t: &CType) -> bool {
    t.depth() == 0 && matches!(t.base, Base::Bool | Base::Int { signed: false, bits: ..=16 })
}

/// The variable that a path of fields starts from.
pub fn root_of(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Ident(n) => Some(n),
        ExprKind::Field { base, .. } => root_of(base),
        ExprKind::Index(base, _) => root_of(base),
        ExprKind::Cast(_, a) | ExprKind::Unary(UnOp::Deref | UnOp::AddrOf, a) => root_of(a),
        _ => None,
    }
}

fn assigned<'a>(e: &'a Expr, place: &Expr) -> Option<&'a Expr> {
    match &e.kind {
        ExprKind::Assign(None, to, value) if same(to, place) && pure(value) => Some(value),
        ExprKind::Comma(a, b) => match assigned(b, place) {
            Some(v) => Some(v),
            None if !mentions_expr(b, place) => assigned(a, place),
            None => None,
        },
        _ => None,
    }
}

fn is_increment(e: &Expr, place: &Expr) -> bool {
    match &e.kind {
        ExprKind::IncDec { inc: true, operand, .. } => same(operand, place),
        ExprKind::Assign(Some(BinOp::Add), to, by) => same(to, place) && constant(by).is_some_and(|v| v >= 0),
        _ => false,
    }
}

/// Whether the truth (or falsehood) of an atom shows that the place is at least 0.
fn implies_non_negative(e: &Expr, truth: bool, place: &Expr) -> bool {
    use BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    let ExprKind::Binary(op, a, b) = &e.kind else { return false };
    let unsigned = |e: &Expr| matches!(&e.kind, ExprKind::Int { ty, .. } if sign(ty) == Some(false));
    if unsigned(a) || unsigned(b) {
        return false;
    }
    let (op, c) = if same(a, place) {
        (*op, constant(b))
    } else if same(b, place) {
        let turned = match op {
            Lt => Gt,
            Gt => Lt,
            Le => Ge,
            Ge => Le,
            o => *o,
        };
        (turned, constant(a))
    } else {
        return false;
    };
    let Some(c) = c else { return false };
    match (op, truth) {
        (Gt, true) | (Le, false) => c >= -1,
        (Ge, true) | (Lt, false) | (Eq, true) | (Ne, false) => c >= 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
