//! A count that may be the error code of a pin that failed: why the loop over it stays a loop.

use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind};
use crate::kernel::Api;
use crate::source::{Name, Span};

/// The variable that counts (`j` of `j - i`) and the function whose negative result it may be: it is a copy of the
/// result that no test but for inequality stands in front of, and nothing is said of its sign behind that.
pub(super) fn error_code(f: &Function, count: &str) -> Option<(Name, Name)> {
    let counter = count.split(" - ").next().filter(|w| w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))?;
    // Variable, function, end of the assignment.
    let mut pins: Vec<(Name, Name, u32)> = Vec::new();
    let mut copies: Vec<(Name, Span)> = Vec::new();
    let mut sets: Vec<(Name, Span)> = Vec::new();
    f.body.walk_exprs(&mut |e| {
        let ExprKind::Assign(op, to, value) = &e.kind else { return };
        let Some(name) = to.ident() else { return };
        sets.push((name.clone(), e.span));
        match (op, &value.kind) {
            (None, ExprKind::Ident(from)) if **name == *counter => copies.push((from.clone(), e.span)),
            (None, ExprKind::Call { .. }) => {
                let api = value.call().map(|(n, _)| n).filter(|n| Api::get().acquire(n).is_some());
                pins.extend(api.map(|n| (name.clone(), n.clone(), e.span.end)));
            }
            _ => {}
        }
    });
    copies.retain(|(from, _)| pins.iter().any(|p| p.0 == *from));
    let [(from, copy)] = copies.as_slice() else { return None };
    let before = |s: &(Name, Span)| s.0 == *from && s.1.end <= copy.start;
    let last = sets.iter().filter(|s| before(s)).max_by_key(|s| s.1.end)?;
    let (_, api, pinned) = pins.iter().find(|p| p.0 == *from && p.2 == last.1.end)?;
    let between = |s: Span| *pinned <= s.start && s.end <= copy.start;
    let behind = |s: Span| copy.end <= s.start;
    let told = tests(f)
        .into_iter()
        .any(|(name, equal, at)| name == *from && between(at) && !equal || *name == *counter && behind(at) && !equal);
    let again = sets.iter().any(|s| *s.0 == *counter && behind(s.1));
    (!told && !again).then(|| (counter.into(), api.clone()))
}

/// What says something of a variable: its name, that it is only told from something, and where.
fn tests(f: &Function) -> Vec<(Name, bool, Span)> {
    let mut out = Vec::new();
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Binary(op, a, b) = &e.kind
            && matches!(op, BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::Eq | BinOp::Ne)
        {
            // Against another variable, as a loop does, it is no test of the sign.
            let number = |e: &Expr| matches!(e.kind, ExprKind::Int { .. } | ExprKind::Unary(..));
            for (side, other) in [(a, b), (b, a)] {
                let only = *op == BinOp::Ne || !number(other) && !matches!(op, BinOp::Eq);
                out.extend(side.ident().map(|n| (n.clone(), only, e.span)));
            }
        }
    });
    f.body.walk(&mut |s: &Stmt| {
        if let StmtKind::If { cond, .. } | StmtKind::While { cond, .. } = &s.kind {
            out.extend(cond.ident().map(|n| (n.clone(), false, cond.span)));
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::error_code;
    use crate::parse::function_from_source;

    fn of(test: &str, copy: &str, behind: &str) -> Option<(String, String)> {
        let text = format!(
            "int f(unsigned long a, int n, struct page **pages)\n{{\n\tint i, j, got;\n\n\tj = n;\n\
             \tgot = get_user_pages_fast(a, j, 0, pages);\n\t{test} {{\n\t\ti = 0;\n\t\t{copy}\n\
             \t\tgot = -1;\n\t\tgoto out;\n\t}}\n\
             \treturn 0;\nout:\n\t{behind}\n\twhile (i < j)\n\t\tput_page(pages[i++]);\n\treturn got;\n}}\n"
        );
        let f = function_from_source(text.as_bytes(), "f")?;
        error_code(&f, "j - i").map(|(j, api)| (j.to_string(), api.to_string()))
    }

    #[test]
    fn a_copy_of_the_result_may_be_an_error_code() {
        let told = of("if (got != j)", "j = got;", "");
        assert_eq!(told, Some(("j".to_string(), "get_user_pages_fast".to_string())));
    }

    #[test]
    fn nothing_is_told_where_its_sign_may_be_known() {
        assert_eq!(of("if (got > 0)", "j = got;", ""), None);
        assert_eq!(of("if (got)", "j = got;", ""), None);
        assert_eq!(of("if (got == j)", "j = got;", ""), None);
        assert_eq!(of("if (got != j)", "j = got;", "if (j < 0)\n\t\treturn j;"), None);
        assert_eq!(of("if (got != j)", "j = got;", "j = 3;"), None);
        assert_eq!(of("if (got != j)", "j = n;", ""), None);
        assert_eq!(of("if (got != j)", "j = got;", "j = got;"), None);
        assert_eq!(of("if (got != j)", "got = n;\n\t\tj = got;", ""), None);
    }
}
