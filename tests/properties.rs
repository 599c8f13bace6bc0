//! What must hold for any bytes: masks keep every offset, spans lie on what they claim, nothing panics or overflows.

use gupconv::ast::{ExprKind, Function, StmtKind};
use gupconv::lex::{self, TokKind};
use gupconv::normalise::normalise;
use gupconv::parse::{MAX_DEPTH, Parser, function_from_source};
use gupconv::source::Span;
use gupconv::split::{As, ItemKind, mentions, split};
use proptest::prelude::*;

/// Pieces that kernel files are made of, whole and broken: strings of them reach states that random bytes never do.
const PIECES: &[&str] = &[
    "static int f(struct page **pages, int n)\n",
    "SYSCALL_DEFINE2(g, unsigned long, a, int, b)\n",
    "int old(a, b) int a; long b;\n",
    "{",
    "}",
    "\n}\n",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\\\n",
    "#if A\n",
    "#ifdef B\r\n",
    "\n#else\n",
    "\n#elif C\n",
    "\n#endif\n",
    "#if 0\n",
    "#define M(x) do { \\\n x; } while (0)\n",
    "/* c */",
    "/*",
    "*/",
    "// x\n",
    "\"s\\n\"",
    "\"",
    "'c'",
    "'",
    "0x1fUL",
    "1 ... 2",
    "case 1 ... 5:",
    "default:",
    "out:",
    "goto out;",
    "if (n)",
    "else",
    "while (n)",
    "do",
    "for (i = 0; i < n; i++)",
    "switch (n)",
    "return",
    "break;",
    "list_for_each_entry(p, &l, lru)",
    "for_each_cpu()",
    "MACRO(a)\n",
    "put_page(pages[i]);",
    "get_user_pages_fast(a, n, 0, pages)",
    "min_t(unsigned long, a, b)",
    "container_of(p, struct t, m)",
    "(void __user *)a",
    "(gfp_t)-1",
    "sizeof(x)",
    "typeof(x) y;",
    "__attribute__((packed))",
    "asm volatile(\"nop\" ::: \"memory\");",
    "({ int t = 1; t; })",
    "struct s { int a; union { int b; }; };",
    "= { .a = 1, [2] = 3 }",
    "x",
    "page",
    "->",
    ".",
    "=",
    "*",
    "&",
    "-",
    "+",
    "?",
    "==",
    "\u{fc}",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(PIECES).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|v| v.concat())
}

/// Soup as the body of a function, so that most cases reach the parser.
fn body() -> impl Strategy<Value = Vec<u8>> {
    soup().prop_map(|s| [b"static int f(struct page **pages, int n)\n{\n\t".as_slice(), &s, b"\n}\n"].concat())
}

fn inside(s: Span, text: &[u8]) -> bool {
    s.start <= s.end && s.end as usize <= text.len()
}

/// Every span of the function lies in it, and names stand where they are said to stand.
fn check(f: &Function, text: &[u8]) {
    assert!(inside(f.span, text) && f.span.contains(f.body.span) && f.span.contains(f.name_span));
    assert!(f.name.ends_with(&f.name_span.text(text)), "{} at {:?}", f.name, f.name_span);
    for d in &f.damage {
        assert!(f.span.contains(*d), "damage {d:?} outside {:?}", f.span);
    }
    for p in &f.params {
        assert!(f.span.contains(p.span) && p.span.text(text).contains(&*p.name));
    }
    f.body.walk(&mut |s| {
        assert!(f.body.span.contains(s.span), "{s:?} outside the body");
        s.children(&mut |c| assert!(s.span.contains(c.span), "{c:?} outside {s:?}"));
        s.exprs(&mut |e| assert!(s.span.contains(e.span), "{e:?} outside {s:?}"));
        let own = s.span.text(text);
        match &s.kind {
            StmtKind::Label(n) => assert!(own.starts_with(&**n), "label {n} on {own:?}"),
            StmtKind::Goto(n) => assert!(own.contains(&**n), "goto {n} on {own:?}"),
            StmtKind::Iterate { name, .. } => assert!(own.starts_with(&**name), "{name} on {own:?}"),
            StmtKind::Case { .. } => assert!(own.starts_with("case"), "case on {own:?}"),
            StmtKind::Decl(v) => {
                for d in v {
                    assert!(s.span.contains(d.span) && d.span.text(text).contains(&*d.name), "{d:?} on {own:?}");
                }
            }
            _ => {}
        }
    });
    f.body.walk_exprs(&mut |e| {
        e.children(&mut |c| assert!(e.span.contains(c.span), "{c:?} outside {e:?}"));
        let own = e.span.text(text);
        match &e.kind {
            // Where the grammar recovers from what it cannot read, it may count what it skipped into the next name.
            ExprKind::Ident(n) if !f.damage.is_empty() => assert!(own.contains(&**n), "{n} on {own:?}"),
            ExprKind::Ident(n) => assert_eq!(own.trim_matches(|c: char| "() \t\r\n".contains(c)), &**n),
            ExprKind::Field { name, name_span, .. } => assert_eq!(name_span.text(text), **name),
            ExprKind::Str => assert!(own.contains('"'), "string on {own:?}"),
            _ => {}
        }
    });
}

/// Runs all of the front on the text.
fn all(text: &[u8]) {
    let mut last = 0;
    let mut parser = Parser::new();
    for item in split(text) {
        assert!(inside(item.span, text) && item.span.start >= last, "{item:?} overlaps the item before");
        last = item.span.end;
        if let Some(b) = item.body {
            assert!(item.span.contains(b) && text[b.start as usize] == b'{');
            mentions(text, b, As::Field, &mut |_, _| false);
        }
        assert!(item.name.is_empty() || item.name.ends_with(item.name_span.text(text).trim()));
        let function = parser.function(text, &item);
        assert_eq!(function.is_some(), item.kind == ItemKind::Function && item.body.is_some());
        if let Some(f) = &function {
            check(f, text);
        }
        if let Some(s) = parser.structure(text, &item) {
            for f in &s.fields {
                assert!(s.span.contains(f.span) && f.span.text(text).contains(&*f.name), "{f:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens_cover_everything_but_white_space(
        text in prop_oneof![soup(), prop::collection::vec(any::<u8>(), 0..400)],
    ) {
        let mut last = 0;
        for t in lex::tokens(&text) {
            prop_assert!(t.span.start >= last && t.span.end > t.span.start && inside(t.span, &text));
            let gap = &text[last as usize..t.span.start as usize];
            prop_assert!(gap.iter().all(|b| b.is_ascii_whitespace() || *b == 11));
            last = t.span.end;
        }
        prop_assert!(text[last as usize..].iter().all(|b| b.is_ascii_whitespace() || *b == 11));
    }

    #[test]
    fn braces_are_those_among_the_tokens(
        text in prop_oneof![
            soup(),
            prop::collection::vec(prop::sample::select(&b"{}#/*\"'\\ \n\tx1.e+"[..]), 0..60),
            prop::collection::vec(any::<u8>(), 0..200),
        ],
        after in 0usize..4,
    ) {
        let (mut slow, mut quick) = (lex::tokens(&text), lex::tokens(&text));
        for _ in 0..after {
            prop_assert_eq!(slow.next(), quick.next());
        }
        let counts = |t: &lex::Token| t.is(b'{') || t.is(b'}') || t.kind == TokKind::Preproc;
        let all: Vec<_> = slow.filter(counts).collect();
        let found: Vec<_> = std::iter::from_fn(|| quick.next_brace()).collect();
        prop_assert_eq!(all, found);
    }

    #[test]
    fn masks_keep_length_lines_and_literals(text in soup()) {
        let masked = normalise(&text);
        prop_assert_eq!(masked.bytes.len(), text.len());
        prop_assert!(masked.iterators.is_sorted());
        for &i in &masked.iterators {
            prop_assert_eq!(&masked.bytes[i as usize..i as usize + 5], b"while");
        }
        for (was, now) in text.iter().zip(&masked.bytes) {
            prop_assert!(was == now || b" _;:|X()0whileint".contains(now), "{} became {}", *was as char, *now as char);
        }
        // Outside parentheses, and where no `#if` cuts a statement, comments and strings stay.
        let untouched = masked.cut.is_empty() && masked.arms.is_empty();
        let mut depth = 0usize;
        for t in lex::tokens(&text) {
            match t.kind {
                TokKind::Punct(b'(') => depth += 1,
                TokKind::Punct(b')') => depth = depth.saturating_sub(1),
                TokKind::Comment | TokKind::Str | TokKind::Preproc if depth == 0 && untouched => {
                    prop_assert_eq!(&masked.bytes[t.span.start as usize..t.span.end as usize], t.span.of(&text));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_breaks_on_broken_code(text in soup()) {
        all(&text);
    }

    #[test]
    fn spans_lie_on_what_they_claim(text in body()) {
        all(&text);
    }

    #[test]
    fn nothing_breaks_on_any_bytes(text in prop::collection::vec(any::<u8>(), 0..600)) {
        all(&text);
    }

    #[test]
    fn line_ends_and_comments_do_not_change_the_tree(n in 0usize..6) {
        let plain = "int f(struct page **p, int n)\n{\n\tint i;\n\n\tfor_each_x(i, n)\n\t\tput_page(p[i]);\n\treturn n;\n}\n";
        let text = match n {
            0 => plain.replace('\n', "\r\n"),
            1 => plain.replace('\t', "        "),
            2 => plain.replace(";\n", "; /* } { \" */\n"),
            3 => plain.replace(";\n", "; // don't }\n"),
            4 => plain.replace("{\n", "{\n/* \u{fc} */\n"),
            _ => plain.replace("(i, n)", "(i,\n\t\t\tn)"),
        };
        let shape = |t: &str| {
            let mut out = Vec::new();
            let f = function_from_source(t.as_bytes(), "f");
            if let Some(f) = &f {
                f.body.walk(&mut |s| out.push(std::mem::discriminant(&s.kind)));
                out.push(std::mem::discriminant(&f.body.kind));
                assert!(f.damage.is_empty());
            }
            (f.is_some(), out)
        };
        prop_assert_eq!(shape(&text), shape(plain));
        all(text.as_bytes());
    }
}

/// Runs `f` on the stack that a thread gets by default.
fn on_a_thread(f: impl FnOnce() + Send + 'static) {
    let done = std::thread::spawn(f).join();
    assert!(done.is_ok());
}

#[test]
fn deep_nesting_is_damage_and_no_overflow() {
    on_a_thread(|| {
        const N: usize = 100_000;
        // Without brackets to count, these are parsed before the depth is known.
        const M: usize = 10_000;
        let bodies = [
            "{".repeat(N),
            "(".repeat(N),
            "}".repeat(N),
            format!("x = {}1{};", "(".repeat(N), ")".repeat(N)),
            format!("{}{}", "{".repeat(N), "}".repeat(N)),
            format!("x = {}1;", "!".repeat(M)),
            format!("x = {}1;", "1 + ".repeat(M)),
            format!("{}x;", "if (a) ".repeat(M)),
            format!("{}x;", "if (a) b; else ".repeat(M)),
            format!("x{};", "->y".repeat(M)),
            format!("f({}0);", "a, ".repeat(M)),
            format!("struct s {}x;", "*".repeat(M)),
            format!("for_each_x(a) {}x;", "for_each_x(a) ".repeat(M)),
            "#if A\n".repeat(N),
        ];
        for b in bodies {
            let text = format!("int f(int a)\n{{\n{b}\n}}\n");
            let start: String = b.chars().take(20).collect();
            let clock = std::time::Instant::now();
            all(text.as_bytes());
            assert!(clock.elapsed().as_secs() < 20, "{start} takes {:?}", clock.elapsed());
        }
        let open = format!("struct s {{ {} int a; {} }};", "struct {".repeat(N), "};".repeat(N));
        all(open.as_bytes());
    });
}

#[test]
fn depth_below_the_bound_is_read_in_full() {
    on_a_thread(|| {
        // Each level of parentheses is one level of nodes; the statement and the assignment are two more.
        let n = MAX_DEPTH - 20;
        let text = format!("int f(int a)\n{{\n\tx = {}1{};\n}}\n", "-(".repeat(n / 2), ")".repeat(n / 2));
        let f = function_from_source(text.as_bytes(), "f");
        assert!(f.is_some_and(|f| f.damage.is_empty()));
    });
}

#[test]
fn a_generated_header_of_5_mb_does_not_hang() {
    on_a_thread(|| {
        let mut text = String::from("#ifndef H\n#define H\n");
        for i in 0..90_000 {
            text.push_str(&format!("#define REG_{i:06}_MASK\t\t0x{i:08x}UL /* generated */\n"));
        }
        text.push_str("static const unsigned int table[] = {\n");
        for i in 0..50_000 {
            text.push_str(&format!("\t0x{i:08x},\n"));
        }
        text.push_str("};\nint f(int a)\n{\n\treturn a;\n}\n#endif\n");
        assert!(text.len() > 5 << 20);
        let items = split(text.as_bytes());
        assert_eq!(items.iter().filter(|i| i.kind == ItemKind::Define).count(), 90_001);
        assert!(function_from_source(text.as_bytes(), "f").is_some_and(|f| f.damage.is_empty()));
    });
}
