//! Pin sites: what one acquiring call asks for.
//!
//! Reads the arguments of a call by their role: array, count, and the intent to write, which may be a constant, hang on
//! an expression, come through a flags variable that was set before, or be the int `write` of old trees. It knows
//! nothing of what happens to the pages.

use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::{AcquireKind, Api, Roles};
use crate::source::{FileId, Loc, Name, Span};
use crate::trace::{PinSite, Writes};

/// The flag that asks for write access.
const WRITE: &str = "FOLL_WRITE";

/// What makes a condition of flags.
const FLAG_TEST: &str = " & FOLL_WRITE";

/// A call, as the flow analysis saw it.
pub struct Call<'a> {
    /// Its file.
    pub file: FileId,
    /// Bytes of the file.
    pub text: &'a [u8],
    /// The function around it.
    pub func: &'a Function,
    /// Name called.
    pub api: &'a Name,
    /// The call expression.
    pub call: Span,
    /// The callee's identifier.
    pub callee: Span,
    /// The arguments.
    pub args: &'a [Span],
    /// Their roles.
    pub roles: Roles,
}

/// Describes the site.
pub fn describe(c: &Call) -> PinSite {
    let arg = |i: Option<usize>| i.and_then(|i| c.args.get(i)).map(|s| (one_line(*s, c.text), *s));
    let flags = c.roles.flags.and_then(|i| c.args.get(i)).copied();
    let dump = Api::get().acquire(c.api).is_some_and(|a| a.kind == AcquireKind::Dump);
    let (writes, mut write_expr) = match flags.and_then(|s| find(c.func, s)) {
        Some(e) => intent(c.func, c.text, e, c.call, 0),
        // get_dump_page() asks for FOLL_FORCE | FOLL_DUMP | FOLL_GET (v5.2 mm/gup.c).
        None if dump => (Writes::Never, String::new()),
        None => (Writes::Unknown, String::new()),
    };
    if c.roles.write_bool
        && let Some(plain) = write_expr.strip_suffix(FLAG_TEST)
    {
        write_expr = plain.to_string();
    }
    PinSite {
        at: Loc { file: c.file, span: c.callee },
        call: c.call,
        api: c.api.clone(),
        function: c.func.name.clone(),
        pages: arg(c.roles.pages),
        count: arg(c.roles.count),
        flags,
        result: result_of(c.func, c.text, c.call),
        writes,
        write_expr,
        damaged: c.func.damage.iter().any(|d| overlaps(*d, c.call)) || !c.func.damage.is_empty(),
    }
}

fn overlaps(a: Span, b: Span) -> bool {
    a.start < b.end && b.start < a.end
}

/// Text of a span with its white space joined.
pub fn one_line(s: Span, text: &[u8]) -> String {
    s.text(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The expression of a function that covers exactly this span.
pub fn find(func: &Function, span: Span) -> Option<&Expr> {
    let mut found = None;
    func.body.walk_exprs(&mut |e| {
        if e.span == span && found.is_none() {
            found = Some(e);
        }
    });
    found
}

/// What takes the result of the call.
fn result_of(func: &Function, text: &[u8], call: Span) -> Option<String> {
    let mut found = None;
    func.body.walk(&mut |s: &Stmt| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars {
                if v.init.as_ref().is_some_and(|i| strip(i).span.contains(call) && is_value(i, call)) {
                    found = Some(v.name.to_string());
                }
            }
        }
    });
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, lhs, rhs) = &e.kind
            && is_value(rhs, call)
        {
            found = Some(one_line(lhs.span, text));
        }
    });
    found
}

/// Whether the value of `e` is that of the call: the call itself, cast or conditional.
fn is_value(e: &Expr, call: Span) -> bool {
    match &e.kind {
        _ if e.span == call => true,
        ExprKind::Call { .. } => e.span.contains(call) && e.span.end == call.end && e.span.start == call.start,
        ExprKind::Cast(_, a) => is_value(a, call),
        ExprKind::Cond(c, a, b) => {
            a.as_deref().is_some_and(|a| is_value(a, call)) || is_value(b, call) || is_value(c, call)
        }
        ExprKind::Assign(_, _, r) => is_value(r, call),
        _ => false,
    }
}

fn strip(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => strip(a),
        _ => e,
    }
}

/// Write intent of a flags expression.
fn intent(func: &Function, text: &[u8], e: &Expr, call: Span, depth: u8) -> (Writes, String) {
    match &e.kind {
        ExprKind::Int { value, .. } => (if *value & 1 != 0 { Writes::Always } else { Writes::Never }, String::new()),
        ExprKind::Ident(n) if &**n == WRITE => (Writes::Always, String::new()),
        ExprKind::Ident(n) if n.starts_with("FOLL_") => (Writes::Never, String::new()),
        ExprKind::Ident(n) => variable(func, text, n, call, depth),
        ExprKind::Cast(_, a) => intent(func, text, a, call, depth),
        ExprKind::Binary(BinOp::BitOr | BinOp::Add, a, b) => {
            let x = intent(func, text, a, call, depth);
            let y = intent(func, text, b, call, depth);
            match (x.0, y.0) {
                (Writes::Always, _) | (_, Writes::Always) => (Writes::Always, String::new()),
                (Writes::Conditional, _) => x,
                (_, Writes::Conditional) => y,
                (Writes::Unknown, _) => x,
                _ => y,
            }
        }
        ExprKind::Field { .. } => (Writes::Conditional, format!("{}{FLAG_TEST}", one_line(e.span, text))),
        ExprKind::Binary(BinOp::Mul, ..) | ExprKind::Unary(..) | ExprKind::Call { .. } => {
            (Writes::Conditional, one_line(e.span, text))
        }
        ExprKind::Binary(..) => (Writes::Conditional, one_line(e.span, text)),
        ExprKind::Cond(c, a, b) => {
            let x = a.as_ref().map_or((Writes::Unknown, String::new()), |a| intent(func, text, a, call, depth));
            let y = intent(func, text, b, call, depth);
            let cond = one_line(c.span, text);
            match (x.0, y.0) {
                (Writes::Always, Writes::Always) => (Writes::Always, String::new()),
                (Writes::Never, Writes::Never) => (Writes::Never, String::new()),
                (Writes::Always, Writes::Never) => (Writes::Conditional, cond),
                (Writes::Never, Writes::Always) => (Writes::Conditional, format!("!({cond})")),
                _ => (Writes::Conditional, one_line(e.span, text)),
            }
        }
        _ => (Writes::Unknown, one_line(e.span, text)),
    }
}

/// Whether flags name one flag, by themselves or through a local variable: `Some(true)` if they may, `Some(false)` if
/// they are all to be seen and do not, `None` if a part of them comes from elsewhere.
pub fn asks(func: &Function, flags: &Expr, flag: &str) -> Option<bool> {
    flag_in(func, flags, flag, 0)
}

fn flag_in(func: &Function, e: &Expr, flag: &str, depth: u8) -> Option<bool> {
    // One that names it is enough; one that is not understood hides it.
    let both = |a: Option<bool>, b: Option<bool>| match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    match &e.kind {
        ExprKind::Int { value, .. } => (*value == 0).then_some(false),
        ExprKind::Ident(n) if n.starts_with("FOLL_") => Some(**n == *flag),
        ExprKind::Ident(n) if depth < 4 && func.params.iter().all(|p| p.name != *n) => {
            let mut found: Vec<Option<bool>> = Vec::new();
            func.body.walk(&mut |s| {
                if let StmtKind::Decl(vars) = &s.kind {
                    let inits = vars.iter().filter(|v| v.name == *n).filter_map(|v| v.init.as_ref());
                    found.extend(inits.map(|i| flag_in(func, i, flag, depth + 1)));
                }
            });
            func.body.walk_exprs(&mut |e| match &e.kind {
                // `flags &= ~FOLL_WRITE` adds nothing.
                ExprKind::Assign(op, to, from) if to.ident() == Some(n) && *op != Some(BinOp::BitAnd) => {
                    found.push(flag_in(func, from, flag, depth + 1));
                }
                ExprKind::Unary(UnOp::AddrOf, of) if of.ident() == Some(n) => found.push(None),
                _ => {}
            });
            let first = found.pop()?;
            found.into_iter().fold(first, both)
        }
        // What else is set in a parameter is to be seen, what came with it is not.
        ExprKind::Ident(n) if depth < 4 => {
            let mut named = false;
            func.body.walk_exprs(&mut |e| {
                if let ExprKind::Assign(op, to, from) = &e.kind
                    && to.ident() == Some(n)
                    && *op != Some(BinOp::BitAnd)
                {
                    named |= flag_in(func, from, flag, depth + 1) == Some(true);
                }
            });
            named.then_some(true)
        }
        ExprKind::Cast(_, a) => flag_in(func, a, flag, depth),
        ExprKind::Binary(BinOp::BitOr | BinOp::Add, a, b) => {
            both(flag_in(func, a, flag, depth), flag_in(func, b, flag, depth))
        }
        ExprKind::Cond(c, a, b) => {
            both(flag_in(func, a.as_deref().unwrap_or(c), flag, depth), flag_in(func, b, flag, depth))
        }
        _ => None,
    }
}

/// Write intent that a variable carries: from all that is assigned to it before the call.
fn variable(func: &Function, text: &[u8], name: &Name, call: Span, depth: u8) -> (Writes, String) {
    if depth > 4 {
        return (Writes::Unknown, name.to_string());
    }
    let mut values: Vec<(Writes, String, Option<String>)> = Vec::new();
    let mut set = false;
    let mut conds: Vec<(Span, String)> = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::If { cond, then, .. } = &s.kind {
            conds.push((then.span, one_line(cond.span, text)));
        }
    });
    let guard = |at: Span| conds.iter().rev().find(|(s, _)| s.contains(at)).map(|(_, c)| c.clone());
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars.iter().filter(|v| v.name == *name) {
                if let Some(i) = &v.init {
                    set = true;
                    let (w, e) = intent(func, text, i, call, depth + 1);
                    values.push((w, e, None));
                }
            }
        }
    });
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(op, lhs, rhs) = &e.kind
            && lhs.ident() == Some(name)
        {
            if *op == Some(BinOp::BitAnd) {
                return;
            }
            set |= op.is_none();
            let (w, x) = intent(func, text, rhs, call, depth + 1);
            values.push((w, x, guard(e.span)));
        }
    });
    let parameter = func.params.iter().any(|p| p.name == *name);
    // One that writes without a condition decides.
    if values.iter().any(|(w, _, g)| *w == Writes::Always && g.is_none()) {
        return (Writes::Always, String::new());
    }
    for (w, e, g) in &values {
        match (w, g) {
            (Writes::Always, Some(g)) => return (Writes::Conditional, strip_parens(g)),
            (Writes::Conditional, _) => return (Writes::Conditional, e.clone()),
            _ => {}
        }
    }
    if parameter {
        return (Writes::Unknown, format!("{name}{FLAG_TEST}"));
    }
    if !set || values.iter().any(|(w, ..)| *w == Writes::Unknown) {
        return (Writes::Unknown, name.to_string());
    }
    (Writes::Never, String::new())
}

fn strip_parens(s: &str) -> String {
    s.strip_prefix('(').and_then(|s| s.strip_suffix(')')).unwrap_or(s).to_string()
}
