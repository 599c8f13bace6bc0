//! What the analysis of one function says of signs, orders and later uses.

use super::*;
use crate::ast::{StmtKind, StructDef};
use crate::parse::function_from_source;
use crate::source::Loc;
use std::sync::Arc;

struct Nothing;
impl Program for Nothing {
    fn path(&self, _: FileId) -> &str {
        ""
    }
    fn text(&self, _: FileId) -> Arc<[u8]> {
        Arc::from([])
    }
    fn function_at(&self, _: Loc) -> Option<Arc<Function>> {
        None
    }
    fn function(&self, _: FileId, _: &str) -> Option<(FileId, Arc<Function>)> {
        None
    }
    fn structure(&self, _: FileId, _: &str) -> Option<Arc<StructDef>> {
        None
    }
}

/// What is known of `n` at the call of `here()`.
fn sign_of_n(body: &str) -> Known {
    let text = format!("int f(int n, int m, struct s *s)\n{{\n{body}\n}}\n");
    let f = function_from_source(text.as_bytes(), "f").unwrap();
    let types = Types { program: &Nothing, file: FileId(0), function: &f };
    let cfg = Cfg::new(&f);
    let mut found = None;
    f.body.walk(&mut |s| {
        if let StmtKind::Expr(e) = &s.kind
            && let Some((n, args)) = e.call()
            && &**n == "here"
        {
            found = Some(non_negative(&cfg, &types, s.span, &args[0], text.as_bytes()));
        }
    });
    found.unwrap()
}

#[test]
fn a_count_is_shown_by_tests_on_every_path() {
    for body in [
        "if (n > 0) here(n);",
        "if (n >= 0 && m) here(n);",
        "if (!(n < 0)) here(n);",
        "if (0 > n) return n; here(n);",
        "if (n <= 0) goto out; here(n); out: return 0;",
        "if (unlikely(n < 0)) return n; n++; here(n);",
        "n = get(s); if (n < 1) n = 0; here(n);",
        "for (n = 0; n < m; n++) if (bad(n)) break; here(n);",
        "if (s->n > 0) here(s->n);",
    ] {
        assert!(matches!(sign_of_n(body), Known::Shown(_)), "{body}");
    }
}

#[test]
fn a_count_is_not_shown_by_less() {
    for body in [
        "n = get(s); here(n);",
        "if (n > 0) m = 1; n = get(s); here(n);",
        "if (n > -2) { n = m; here(n); }",
        "if (n > 0) { n--; n -= 2; here(n); }",
        "if (n != 0) { n = -n; here(n); }",
        "if (n > 0 || m) { n = m; here(n); }",
        "take(&n); if (n > 0) here(n);",
        "if (s->n > 0) { change(s); here(s->n); }",
    ] {
        assert_eq!(sign_of_n(body), Known::Nothing, "{body}");
    }
}

#[test]
fn a_parameter_is_up_to_the_callers() {
    assert_eq!(sign_of_n("if (n != 0) here(n);"), Known::OfParameter);
    assert_eq!(sign_of_n("if (m) n = 0; here(n);"), Known::OfParameter);
}

#[test]
fn a_variable_is_read_after_a_loop_on_any_path() {
    let read = |tail: &str| {
        let text = format!("int f(int n, int i)\n{{\nagain:\n\twhile (n--)\n\t\tg(n);\n\t{tail}\n}}\n");
        let f = function_from_source(text.as_bytes(), "f").unwrap();
        let cfg = Cfg::new(&f);
        let mut at = None;
        f.body.walk(&mut |s| {
            if matches!(s.kind, StmtKind::While { .. }) {
                at = Some(s.span);
            }
        });
        read_after(&cfg, &f, at.unwrap(), "n")
    };
    for tail in ["return n;", "if (i) g(n); return 0;", "goto again;", "if (i) n = 0; g(n); return 0;", "g(&n);"] {
        assert!(read(tail), "{tail}");
    }
    for tail in ["return 0;", "n = 0; return n;", "n = i; goto again;", "if (i) n = 1; else n = 2; g(n); return 0;"] {
        assert!(!read(tail), "{tail}");
    }
}

#[test]
fn comparisons_follow_the_conversions_of_c() {
    let int = |signed, bits| integer(signed, bits);
    assert_eq!(sign(&common(int(true, 32), int(false, 32))), Some(false));
    assert_eq!(sign(&common(int(true, 64), int(false, 32))), Some(true));
    assert_eq!(sign(&common(int(false, 8), int(true, 32))), Some(true));
    assert_eq!(sign(&common(CType::unknown(), int(true, 32))), None);
}
