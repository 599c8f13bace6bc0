//! Why a loop that releases pages one by one stays one: what it does with each page besides.

use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::Api;
use crate::rules;
use crate::sites::one_line;

/// What the loop around a batch call for one page (`unpin_user_pages_dirty_lock(&pages[i], 1, dirty)`) does besides: a
/// clause behind "the loop", of the first such loop. `None` if there is none, or nothing that says why.
pub(super) fn loop_does(f: &Function, text: &[u8]) -> Option<String> {
    let mut found = None;
    f.body.walk(&mut |s| {
        if found.is_none() && rules::is_loop(s) {
            found = single(s).and_then(|page| reason(s, page, text));
        }
    });
    found
}

/// The page of such a call in the loop.
fn single(s: &Stmt) -> Option<&Expr> {
    let mut page = None;
    s.walk_exprs(&mut |e| {
        if let Some((name, [of, n, ..])) = e.call()
            && Api::get().release(name).is_some_and(|r| r.batch)
            && matches!(n.kind, ExprKind::Int { value: 1, .. })
            && let ExprKind::Unary(UnOp::AddrOf, of) = &of.kind
        {
            page.get_or_insert(&**of);
        }
    });
    page
}

fn reason(s: &Stmt, page: &Expr, text: &[u8]) -> Option<String> {
    let page = one_line(page.span, text);
    let (mut cleared, mut tested) = (None, Vec::new());
    s.walk_exprs(&mut |e| {
        if let ExprKind::Assign(None, to, _) = &e.kind
            && one_line(to.span, text) == page
            && !matches!(to.kind, ExprKind::Ident(_))
        {
            cleared.get_or_insert_with(|| format!("sets each entry as well (`{}`)", one_line(e.span, text)));
        }
    });
    s.walk(&mut |s| {
        if let StmtKind::If { cond, .. } = &s.kind
            && names(cond, &page, text)
        {
            tested.push(format!("`{}`", bare(cond, text)));
        }
    });
    tested.dedup();
    if tested.is_empty() { cleared } else { Some(format!("tests each page ({})", tested.join(" and "))) }
}

/// The condition has the page in it.
fn names(cond: &Expr, page: &str, text: &[u8]) -> bool {
    let mut found = false;
    cond.walk(&mut |e| found |= bare(e, text) == page);
    found
}

/// The words of a condition; its parentheses belong to the `if`.
fn bare(e: &Expr, text: &[u8]) -> String {
    let all = one_line(e.span, text);
    all.strip_prefix('(').and_then(|c| c.strip_suffix(')')).map_or_else(|| all.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::loop_does;
    use crate::parse::function_from_source;

    fn does(body: &str) -> Option<String> {
        let text =
            format!("void f(struct page **pages, struct page *page, int n, bool dirty)\n{{\n\tint i;\n\n{body}\n}}\n");
        loop_does(&function_from_source(text.as_bytes(), "f")?, text.as_bytes())
    }

    #[test]
    fn what_a_loop_does_with_each_page_is_told() {
        let clears = "\tfor (i = 0; i < n; i++) {\n\t\tunpin_user_pages_dirty_lock(&pages[i], 1, dirty);\n\t\tpages[i] = NULL;\n\t}";
        assert_eq!(does(clears).as_deref(), Some("sets each entry as well (`pages[i] = NULL`)"));
        let tests = "\tfor (i = 0; i < n; i++)\n\t\tif ((page = pages[i]))\n\t\t\tunpin_user_pages_dirty_lock(&page, 1, dirty);";
        assert_eq!(does(tests).as_deref(), Some("tests each page (`(page = pages[i])`)"));
        let nested = "\tfor (i = 0; i < n; i++) {\n\t\tint j;\n\n\t\tfor (j = 0; j < 2; j++) {\n\t\t\tstruct page *p = all[i][j];\n\n\
                      \t\t\tif (p) {\n\t\t\t\tif (j == 1)\n\t\t\t\t\tput_user_pages_dirty_lock(&p, 1);\n\t\t\t\telse\n\
                      \t\t\t\t\tput_user_page(p);\n\t\t\t\tall[i][j] = NULL;\n\t\t\t}\n\t\t}\n\t}";
        assert_eq!(does(nested).as_deref(), Some("tests each page (`p`)"));
        let two = "\tfor (i = 0; i < n; i++) {\n\t\tif ((page = pages[i])) {\n\t\t\tif (dirty && !PageReserved(page))\n\
                   \t\t\t\tput_user_pages_dirty_lock(&page, 1);\n\t\t\telse\n\t\t\t\tput_user_page(page);\n\t\t}\n\t}";
        let both = "tests each page (`(page = pages[i])` and `dirty && !PageReserved(page)`)";
        assert_eq!(does(two).as_deref(), Some(both));
    }

    #[test]
    fn nothing_is_told_without_a_reason() {
        let plain = "\tfor (i = 0; i < n; i++)\n\t\tunpin_user_pages_dirty_lock(&pages[i], 1, dirty);";
        assert_eq!(does(plain), None);
        assert_eq!(does("\tunpin_user_pages_dirty_lock(&page, 1, dirty);\n\tpage = NULL;"), None);
        let other =
            "\tfor (i = 0; i < n; i++) {\n\t\tif (dirty)\n\t\t\tunpin_user_page(pages[i]);\n\t\tpages[i] = NULL;\n\t}";
        assert_eq!(does(other), None);
    }
}
