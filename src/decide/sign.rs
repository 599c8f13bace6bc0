//! What is not shown of a count whose sign is not known: for the note on a loop that stays a loop.

use crate::ast::{Base, BinOp, Expr, ExprKind, Function, StmtKind};
use crate::program::Program;
use crate::rules::analysis::{Known, Types, non_negative};
use crate::rules::cfg::Cfg;
use crate::sites::one_line;
use crate::source::{FileId, Loc, Name, Span};
use crate::split::{ItemKind, split};
use std::sync::Arc;

/// Places that a note names at most.
const MOST: usize = 3;

/// Where the count is set and that no test of its sign follows, behind a sentence that says that it is not shown not to
/// be negative; empty where there is more to it than that.
pub(super) fn untested(program: &dyn Program, file: FileId, f: &Function, count: &str) -> String {
    let found = || {
        let text = program.text(file);
        let mut expr: Option<&Expr> = None;
        f.body.walk_exprs(&mut |e| {
            if one_line(e.span, &text) == count {
                expr.get_or_insert(e);
            }
        });
        let expr = expr?;
        let signed = Types { program, file, function: f }.signed(expr) == Some(true);
        if !signed || tested(f, count, &text) {
            return None;
        }
        let mut at = match &expr.kind {
            ExprKind::Ident(name) if f.params.iter().all(|p| p.name != *name) => {
                set(program, file, f, &|_, e| e.ident() == Some(name))
            }
            ExprKind::Field { base, name, .. } => {
                let tag = tag(program, file, f, base)?;
                members(program, file, &tag, name)?
            }
            _ => return None,
        };
        at.sort();
        at.dedup();
        (1..=MOST).contains(&at.len()).then(|| {
            let places = super::bugs::places(program, &at);
            format!(": it is signed, set at {places}, and {}() does not test its sign", f.name)
        })
    };
    found().unwrap_or_default()
}

/// Something compares it with a number, or asks for it alone.
fn tested(f: &Function, count: &str, text: &[u8]) -> bool {
    let is = |e: &Expr| one_line(e.span, text).trim_start_matches('(').trim_end_matches(')') == count;
    let number = |e: &Expr| matches!(e.kind, ExprKind::Int { .. } | ExprKind::Unary(..));
    let mut found = false;
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Binary(op, a, b) = &e.kind
            && matches!(op, BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::Eq | BinOp::Ne)
        {
            found |= is(a) && number(b) || is(b) && number(a);
        }
    });
    f.body.walk(&mut |s| {
        if let StmtKind::If { cond, .. } | StmtKind::While { cond, .. } = &s.kind {
            found |= is(cond);
        }
    });
    found
}

/// The assignments, but for those of what is known not to be negative.
fn set(program: &dyn Program, file: FileId, f: &Function, to: &dyn Fn(&Types<'_>, &Expr) -> bool) -> Vec<Loc> {
    let text = program.text(file);
    let types = Types { program, file, function: f };
    let cfg = Cfg::new(f);
    let mut out = Vec::new();
    let mut see = |span: Span, value: &Expr| {
        let constant = matches!(value.kind, ExprKind::Int { .. });
        let shown = || matches!(non_negative(&cfg, &types, span, value, &text), Known::Shown(_));
        if !constant && !shown() {
            out.push(Loc { file, span });
        }
    };
    f.body.walk(&mut |s| match &s.kind {
        StmtKind::Decl(all) => {
            let own = |e: &Expr| to(&types, e);
            for v in all {
                let name = Expr { kind: ExprKind::Ident(v.name.clone()), span: v.span };
                if let Some(value) = v.init.as_ref().filter(|_| own(&name)) {
                    see(s.span, value);
                }
            }
        }
        StmtKind::Expr(e) => {
            e.walk(&mut |e| match &e.kind {
                ExprKind::Assign(_, target, value) if to(&types, target) => see(s.span, value),
                _ => {}
            });
        }
        _ => {}
    });
    out
}

/// The assignments to a member in the folder; `None` if a function that names it cannot be read, or may set the member
/// of an object that is not known.
fn members(program: &dyn Program, from: FileId, tag: &Name, field: &Name) -> Option<Vec<Loc>> {
    let mut out = Vec::new();
    let mut files = program.naming_nearby(from, field);
    if !files.contains(&from) {
        files.push(from);
    }
    for file in files {
        let text = program.text(file);
        for item in split(&text).into_iter().filter(|i| i.kind == ItemKind::Function) {
            if memchr::memmem::find(item.span.of(&text), field.as_bytes()).is_none() {
                continue;
            }
            let f: Arc<Function> = program.function_at(Loc { file, span: item.name_span }).filter(|f| f.whole())?;
            let mut unknown = false;
            f.body.walk_exprs(&mut |e| {
                if let ExprKind::Assign(_, to, _) = &e.kind
                    && let ExprKind::Field { base, name, .. } = &to.kind
                {
                    unknown |= name == field && self::tag(program, file, &f, base).is_none();
                }
            });
            if unknown {
                return None;
            }
            out.extend(set(program, file, &f, &|_, e| {
                matches!(&e.kind, ExprKind::Field { base, name, .. }
                    if name == field && self::tag(program, file, &f, base).as_ref() == Some(tag))
            }));
        }
    }
    Some(out)
}

/// The struct that an object, or what a pointer points to, is of.
fn tag(program: &dyn Program, file: FileId, function: &Function, base: &Expr) -> Option<Name> {
    match (Types { program, file, function }).of(base).base {
        Base::Struct(tag) => Some(tag),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Text;
    use super::*;

    /// What is said of a count in `f()`.
    fn said(count: &str, text: &str) -> String {
        let text = Text(text.to_string());
        let file = FileId(0);
        let (_, f) = text.function(file, "f").expect("a function");
        untested(&text, file, &f, count)
    }

    #[test]
    fn the_place_that_sets_it_is_named() {
        let own = "void f(struct page **p, long m)\n{\n\tint i, n, r;\n\n\tn = m / 4 - 1;\n\tr = get(p, n);\n\tif (r < 0)\n\
                   \t\treturn;\n\tif (r != n)\n\t\tn = r;\n\tfor (i = 0; i < n; i++)\n\t\tput_page(p[i]);\n}\n";
        assert_eq!(said("n", own), ": it is signed, set at drivers/a/b.c:5, and f() does not test its sign");
        let kept = "struct box { int n; };\nvoid g(struct box *b, long m)\n{\n\tb->n = m - 1;\n}\n\
                    void h(struct other *o, long m)\n{\n\to->n = m;\n}\n\
                    void f(struct box *b)\n{\n\tint i;\n\n\tfor (i = 0; i < b->n; i++)\n\t\tput_page(b->p[i]);\n\tb->n = 0;\n}\n";
        assert_eq!(said("b->n", kept), "");
        let typed = kept.replace("struct box *b)\n{\n\tint i;", "struct box *b, int n)\n{\n\tint i;");
        assert_eq!(said("n", &typed), "", "what a caller gives");
    }

    #[test]
    fn nothing_is_said_where_the_sign_is_asked_for() {
        let asked = "void f(struct page **p, long m)\n{\n\tint i, n = m;\n\n\tif (n > 4)\n\t\treturn;\n\
                     \tfor (i = 0; i < n; i++)\n\t\tput_page(p[i]);\n}\n";
        assert_eq!(said("n", asked), "");
        let unsigned = "void f(struct page **p, long m)\n{\n\tunsigned int n = m;\n\n\tput_user_pages(p, n);\n}\n";
        assert_eq!(said("n", unsigned), "");
    }
}
