//! Whether every use of a variable means the same when the variable becomes signed, for values that are not negative.
//!
//! Every identifier of the name in the function must be in a place that is known: assigned from the pin, compared,
//! tested, added or subtracted, an index, handed to a function whose parameter is a number, assigned to something else,
//! returned. What the text alone decides is refused here, with the line: its address or size, the format of a message,
//! the width of a shift or product, a macro that compares types. What is a matter of values is left to the proof.

use super::width;
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp, VarDecl};
use crate::kernel::Api;
use crate::program::Program;
use crate::rules::style::identifiers;
use crate::source::{LineMap, Name, Span};
use crate::trace::PinSite;
use std::collections::BTreeSet;

/// What is known so far of the uses of one variable.
struct Uses<'a> {
    program: &'a dyn Program,
    site: &'a PinSite,
    name: &'a Name,
    /// The type that it gets.
    new: &'static str,
    /// Uses that mean the same, with their parentheses.
    known: BTreeSet<Span>,
    /// The first use that is not the same, and what is wrong with it.
    wrong: Option<(Span, String)>,
}

/// Looks at every use of the variable.
///
/// # Errors
/// A use that may mean something else, as the end of a sentence.
pub fn check(
    program: &dyn Program,
    site: &PinSite,
    function: &Function,
    decl: &VarDecl,
    new: &'static str,
) -> Result<(), String> {
    let mut uses = Uses { program, site, name: &decl.name, new, known: BTreeSet::new(), wrong: None };
    if let Some(value) = &decl.init
        && !uses.source(value)
    {
        uses.refuse(value.span, "starts as something else than the result of the pin".into());
    }
    function.body.walk_exprs(&mut |e| uses.node(e));
    function.body.walk(&mut |s| match &s.kind {
        StmtKind::If { cond, .. } | StmtKind::While { cond, .. } | StmtKind::DoWhile { cond, .. } => uses.allow(cond),
        StmtKind::For { cond: Some(cond), .. } => uses.allow(cond),
        StmtKind::Return(Some(value)) if width(&function.ret).is_some() => uses.allow(value),
        // `x = v` as an initialiser.
        StmtKind::Decl(list) => {
            list.iter().filter(|d| width(&d.ty).is_some()).filter_map(|d| d.init.as_ref()).for_each(|e| uses.allow(e));
        }
        _ => {}
    });
    let text = program.text(site.at.file);
    let line = |span: Span| LineMap::new(&text).line(span.start);
    if let Some((span, what)) = uses.wrong {
        return Err(format!("it {what} (line {})", line(span)));
    }
    // What the syntax tree does not show: macros, branches of the preprocessor, statements that were not understood.
    let named = |s: &Span| s.of(&text) == decl.name.as_bytes() && !decl.span.contains(*s);
    match identifiers(&text, function.span)
        .into_iter()
        .filter(named)
        .find(|s| !uses.known.iter().any(|k| k.contains(*s)))
    {
        Some(span) => Err(format!("it is used in a way that is not known to mean the same (line {})", line(span))),
        None => Ok(()),
    }
}

impl Uses<'_> {
    fn is(&self, e: &Expr) -> bool {
        e.ident().is_some_and(|n| n == self.name)
    }
    /// The use means the same.
    fn allow(&mut self, e: &Expr) {
        if self.is(e) {
            self.known.insert(e.span);
        }
    }
    fn refuse(&mut self, at: Span, what: String) {
        self.wrong.get_or_insert((at, what));
    }
    /// What may be assigned: the result of that function, or a number that is not negative.
    fn source(&self, e: &Expr) -> bool {
        if matches!(e.kind, ExprKind::Int { value, .. } if (0..=i128::from(i32::MAX)).contains(&value)) {
            return true;
        }
        let Some((name, _)) = e.call() else { return false };
        *name == self.site.api
    }
    /// The uses directly below one node of an expression.
    fn node(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Assign(None, to, from) => {
                if self.is(to) {
                    match self.source(from) {
                        true => self.allow(to),
                        false => self.refuse(e.span, "gets something else than the result of the pin".into()),
                    }
                } else {
                    self.allow(from);
                }
            }
            ExprKind::Assign(Some(op), to, from) => {
                if self.is(to) {
                    self.refuse(e.span, "is changed behind the pin".into());
                } else if matches!(op, BinOp::Add | BinOp::Sub) {
                    self.allow(from);
                }
            }
            ExprKind::IncDec { operand, .. } if self.is(operand) => {
                self.refuse(e.span, "is changed behind the pin".into());
            }
            ExprKind::Unary(UnOp::AddrOf, a) if self.is(a) => {
                self.refuse(e.span, "has its address taken".into());
            }
            ExprKind::Unary(UnOp::Not, a) => self.allow(a),
            ExprKind::Binary(op, a, b) => match op {
                BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge => {
                    self.allow(a);
                    self.allow(b);
                }
                BinOp::And | BinOp::Or | BinOp::Add | BinOp::Sub => {
                    self.allow(a);
                    self.allow(b);
                }
                _ if self.is(a) || self.is(b) => {
                    self.refuse(
                        e.span,
                        format!("is calculated with in a way that depends on its width, as {}", self.new),
                    );
                }
                _ => {}
            },
            ExprKind::Cond(c, ..) => self.allow(c),
            ExprKind::Index(_, i) => self.allow(i),
            ExprKind::Cast(to, a) if width(to).is_some() => self.allow(a),
            ExprKind::SizeofExpr(a) if self.is(a) => self.refuse(e.span, "has its size taken".into()),
            ExprKind::Call { args, .. } => self.arguments(e, args),
            _ => {}
        }
    }
    /// An argument is converted to the type of its parameter, if there is one.
    fn arguments(&mut self, call: &Expr, args: &[Expr]) {
        for (i, a) in args.iter().enumerate().filter(|(_, a)| self.is(a)).collect::<Vec<_>>() {
            let Some((name, _)) = call.call() else {
                self.refuse(call.span, "is handed to a function that is not known".into());
                return;
            };
            let counts = Api::get().release(name).is_some_and(|r| r.count == Some(i));
            let number = || {
                let (_, f) = self.program.function(self.site.at.file, name)?;
                width(&f.params.get(i)?.ty)
            };
            match counts || number().is_some() {
                true => self.allow(a),
                false => {
                    let what = format!("is handed to {name}(), which may print it or look at its type");
                    self.refuse(call.span, what);
                }
            }
        }
    }
}
