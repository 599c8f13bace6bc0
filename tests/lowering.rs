//! What the parser makes of each construct of kernel C: source on the left, the lowered tree, written out, right.

use gupconv::ast::{Base, BinOp, CType, Designator, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use gupconv::parse::{function_from_source, structure_from_source};
use gupconv::split::{As, ItemKind, mentions, split, split_header};

fn ty(t: &CType) -> String {
    let base = match &t.base {
        Base::Void => "void".into(),
        Base::Bool => "bool".into(),
        Base::Int { signed, bits } => format!("{}{bits}", if *signed { 's' } else { 'u' }),
        Base::Float => "float".into(),
        Base::Struct(n) => format!("struct {n}"),
        Base::Union(n) => format!("union {n}"),
        Base::Enum(n) => format!("enum {n}"),
        Base::Named(n) => n.to_string(),
        Base::Unknown => "?".into(),
    };
    let dims: String = t.dims.iter().map(|d| d.map_or("[]".into(), |n| format!("[{n}]"))).collect();
    format!("{base}{}{dims}{}", "*".repeat(t.ptr.into()), if t.function { "()" } else { "" })
}

fn op(o: BinOp) -> &'static str {
    use BinOp::*;
    match o {
        Add => "+",
        Sub => "-",
        Mul => "*",
        Div => "/",
        Rem => "%",
        Shl => "<<",
        Shr => ">>",
        BitAnd => "&",
        BitOr => "|",
        BitXor => "^",
        Eq => "==",
        Ne => "!=",
        Lt => "<",
        Le => "<=",
        Gt => ">",
        Ge => ">=",
        And => "&&",
        Or => "||",
    }
}

fn list(v: &[Expr]) -> String {
    v.iter().map(expr).collect::<Vec<_>>().join(", ")
}

fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Ident(n) => n.to_string(),
        ExprKind::Int { value, ty: t } if *t == CType::int() => value.to_string(),
        ExprKind::Int { value, ty: t } => format!("{value}:{}", ty(t)),
        ExprKind::Str => "STR".into(),
        ExprKind::Unary(o, a) => {
            let o = match o {
                UnOp::Neg => "-",
                UnOp::Plus => "+",
                UnOp::Not => "!",
                UnOp::BitNot => "~",
                UnOp::Deref => "*",
                UnOp::AddrOf => "&",
            };
            format!("({o}{})", expr(a))
        }
        ExprKind::IncDec { inc, prefix, operand } => {
            let o = if *inc { "++" } else { "--" };
            if *prefix { format!("({o}{})", expr(operand)) } else { format!("({}{o})", expr(operand)) }
        }
        ExprKind::Binary(o, a, b) => format!("({} {} {})", expr(a), op(*o), expr(b)),
        ExprKind::Assign(o, a, b) => format!("({} {}= {})", expr(a), o.map_or("", op), expr(b)),
        ExprKind::Cond(c, a, b) => {
            format!("({} ? {}: {})", expr(c), a.as_ref().map_or(String::new(), |a| expr(a) + " "), expr(b))
        }
        ExprKind::Comma(a, b) => format!("({}, {})", expr(a), expr(b)),
        ExprKind::Call { callee, args } => format!("{}({})", expr(callee), list(args)),
        ExprKind::Index(a, b) => format!("{}[{}]", expr(a), expr(b)),
        ExprKind::Field { base, name, arrow, .. } => format!("{}{}{name}", expr(base), if *arrow { "->" } else { "." }),
        ExprKind::Cast(t, a) => format!("<{}>{}", ty(t), expr(a)),
        ExprKind::Sizeof(t) => format!("sizeof<{}>", ty(t)),
        ExprKind::SizeofExpr(a) => format!("sizeof {}", expr(a)),
        ExprKind::InitList(v) => {
            let v: Vec<String> = v
                .iter()
                .map(|(d, e)| match d {
                    None => expr(e),
                    Some(Designator::Field(n)) => format!(".{n}={}", expr(e)),
                    Some(Designator::Index(i)) => format!("[{}]={}", expr(i), expr(e)),
                })
                .collect();
            format!("{{{}}}", v.join(", "))
        }
        ExprKind::CompoundLiteral(t, a) => format!("<{}>{}", ty(t), expr(a)),
        ExprKind::StmtExpr(s) => format!("({})", stmt(s)),
        ExprKind::Type(t) => format!("<{}>", ty(t)),
        ExprKind::Opaque => "OPAQUE".into(),
    }
}

fn stmts(v: &[Stmt]) -> String {
    v.iter().map(stmt).collect::<Vec<_>>().join(" ")
}

fn stmt(s: &Stmt) -> String {
    match &s.kind {
        StmtKind::Block(v) => format!("{{ {} }}", stmts(v)),
        StmtKind::Expr(e) => format!("{};", expr(e)),
        StmtKind::Decl(v) => {
            let one = |d: &gupconv::ast::VarDecl| {
                let init = d.init.as_ref().map_or(String::new(), |e| format!(" = {}", expr(e)));
                format!("{}{} {}{init}", if d.is_static { "static " } else { "" }, ty(&d.ty), d.name)
            };
            format!("let {};", v.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        StmtKind::If { cond, then, els } => {
            let els = els.as_ref().map_or(String::new(), |e| format!(" else {}", stmt(e)));
            format!("if {} {}{els}", expr(cond), stmt(then))
        }
        StmtKind::While { cond, body } => format!("while {} {}", expr(cond), stmt(body)),
        StmtKind::DoWhile { body, cond } => format!("do {} while {};", stmt(body), expr(cond)),
        StmtKind::For { init, cond, step, body } => format!(
            "for ({} {}; {}) {}",
            init.as_ref().map_or(";".into(), |s| stmt(s)),
            cond.as_ref().map_or(String::new(), expr),
            step.as_ref().map_or(String::new(), expr),
            stmt(body)
        ),
        StmtKind::Iterate { name, args, body } => format!("each {name}({}) {}", list(args), stmt(body)),
        StmtKind::Switch { value, body } => format!("switch {} {}", expr(value), stmt(body)),
        StmtKind::Case { value, upto: None } => format!("case {}:", expr(value)),
        StmtKind::Case { value, upto: Some(u) } => format!("case {} to {}:", expr(value), expr(u)),
        StmtKind::Default => "default:".into(),
        StmtKind::Label(n) => format!("{n}:"),
        StmtKind::Goto(n) => format!("goto {n};"),
        StmtKind::Break => "break;".into(),
        StmtKind::Continue => "continue;".into(),
        StmtKind::Return(e) => format!("return {};", e.as_ref().map_or(String::new(), expr)),
        StmtKind::Empty => ";".into(),
        StmtKind::Configured { cond, then, els } => format!("#{cond} [{}] [{}]", stmts(then), stmts(els)),
        StmtKind::Asm => "asm;".into(),
        StmtKind::Opaque => "OPAQUE;".into(),
    }
}

fn parse(body: &str) -> Function {
    let text = format!("static int f(struct page **pages, int n)\n{{\n{body}\n}}\n");
    function_from_source(text.as_bytes(), "f").unwrap_or_else(|| panic!("no function in {text}"))
}

/// The body lowers to this, without damage.
#[track_caller]
fn lowers(body: &str, want: &str) {
    let f = parse(body);
    assert_eq!(stmt(&f.body), format!("{{ {want} }}"), "for {body}");
    assert!(f.damage.is_empty(), "{body} has damage {:?}", f.damage);
}

/// The body has damage.
#[track_caller]
fn damaged(body: &str) {
    let f = parse(body);
    assert!(!f.damage.is_empty(), "{body} has no damage but is {}", stmt(&f.body));
}

#[test]
fn loops_and_jumps() {
    lowers(
        "for (i = 0, j = 1; i < n; i++) put_page(pages[i]);",
        "for (((i = 0), (j = 1)); (i < n); (i++)) put_page(pages[i]);",
    );
    lowers("for (int i = 0;;) break;", "for (let s32 i = 0; ; ) break;");
    lowers("while (n--) continue;", "while (n--) continue;");
    lowers("do { f(); } while (0);", "do { f(); } while 0;");
    lowers("again: if (!n) goto again; else return -1;", "again: if (!n) goto again; else return (-1);");
    lowers("if (n) out: f();", "if n { out: f(); }");
}

#[test]
fn switches() {
    lowers(
        "switch (n) { case 1 ... 3: case A: f(); fallthrough; default: break; }",
        "switch n { case 1 to 3: case A: f(); ; default: break; }",
    );
}

#[test]
fn iterator_macros_are_loops() {
    lowers("list_for_each_entry(p, &l, lru)\n\tput_page(p);", "each list_for_each_entry(p, (&l), lru) put_page(p);");
    lowers(
        "for_each_sg(sgl, sg, n, i) { put_page(sg_page(sg)); }",
        "each for_each_sg(sgl, sg, n, i) { put_page(sg_page(sg)); }",
    );
    lowers("for_each_thing() { f(); }", "each for_each_thing() { f(); }");
    lowers("if (n)\n\txa_for_each(&xa, i, p)\n\t\tf(p);", "if n each xa_for_each((&xa), i, p) f(p);");
    // Of an unknown macro the layout tells.
    lowers("\twalk_pages(p, n)\n\t\tput_page(p);", "each walk_pages(p, n) put_page(p);");
    // A call of a function with such a name stays a call.
    lowers("idr_for_each(&idr, fn, data);", "idr_for_each((&idr), fn, data);");
}

#[test]
fn macros_without_semicolon() {
    lowers("\titerate(i, ({ int t = 1; t; }))\n\treturn 0;", "iterate(i, ({ let s32 t = 1; t; })); return 0;");
    lowers("\tCHECK(n)\n", "CHECK(n);");
    lowers("\tn = (u64)f(n);\n", "(n = <u64>f(n));");
}

#[test]
fn types_as_arguments() {
    lowers("n = min_t(unsigned long, n, 5);", "(n = min_t(<u64>, n, 5));");
    lowers("x = container_of(p, struct foo, m);", "(x = container_of(p, <struct foo>, m));");
    lowers("x = va_arg(ap, int);", "(x = va_arg(ap, <s32>));");
    lowers("x = min_t(size_t, a, sizeof(struct page *));", "(x = min_t(size_t, a, sizeof<struct page*>));");
    lowers("x = alloc(struct page **, n);", "(x = alloc(<struct page**>, n));");
    lowers("x = offsetof(struct foo, a.b[1]);", "(x = offsetof(<struct foo>, a.b[1]));");
    lowers("x = kmalloc_array(n, sizeof(*pages), GFP_KERNEL);", "(x = kmalloc_array(n, sizeof (*pages), GFP_KERNEL));");
    lowers("ASSERT(n, ==, 1);", "ASSERT(n, OPAQUE, 1);");
    lowers("x = f(a * b, a * c);", "(x = f((a * b), (a * c)));");
}

#[test]
fn declarations() {
    lowers("struct page *page, **pp = NULL;", "let struct page* page, struct page** pp = NULL;");
    lowers("struct page *local[16], *other[N];", "let struct page*[16] local, struct page*[] other;");
    lowers("static const u8 x = 1;", "let static u8 x = 1;");
    lowers("int uninitialized_var(k), (*cb)(int);", "let s32 k, s32() cb;");
    lowers("typeof(*pages) q = 0x10UL;", "let ? q = 16:u64;");
    lowers(
        "unsigned long long a; long int b; short c; char d; bool e;",
        "let u64 a; let s64 b; let s16 c; let s8 d; let bool e;",
    );
    lowers("f(); int late = 1;", "f(); let s32 late = 1;");
    lowers("LIST_HEAD(list);", "LIST_HEAD(list);");
    lowers("static DEFINE_MUTEX(m);", "DEFINE_MUTEX(m);");
    lowers("extern int g(int); struct s { int a; }; f();", "; ; f();");
    lowers("int (*matrix)[4];", "let s32[][4] matrix;");
    lowers("foo_t x __maybe_unused = { 0 };", "let foo_t x = {0};");
    lowers("struct s x = { .a = 1, [2] = { 3, 4 }, .b.c = 5 };", "let struct s x = {.a=1, [2]={3, 4}, .b=OPAQUE};");
}

#[test]
fn casts_and_parentheses() {
    lowers("x = (struct page *)p;", "(x = <struct page*>p);");
    lowers("x = (void __user *)(uintptr_t)n;", "(x = <void*><u64>n);");
    for (c, t) in [("u8", "u8"), ("u64", "u64"), ("gfp_t", "u32"), ("foo_t", "foo_t")] {
        lowers(&format!("x = ({c})-n;"), &format!("(x = <{t}>(-n));"));
        lowers(&format!("x = ({c})(n + 1);"), &format!("(x = <{t}>(n + 1));"));
        lowers(&format!("x = ~({c})0;"), &format!("(x = (~<{t}>0));"));
    }
    // A variable in parentheses is none.
    lowers("x = (n) - 1;", "(x = (n - 1));");
    lowers("x = (n) & 1;", "(x = (n & 1));");
    lowers("x = (PAGE_SIZE) * 2;", "(x = (PAGE_SIZE * 2));");
    lowers("x = (struct s){ 1 };", "(x = <struct s>{1});");
}

#[test]
fn parentheses_widen_the_span() {
    let text = b"int f(int a)\n{\n\treturn ((a));\n}\n";
    let f = function_from_source(text, "f").unwrap();
    let mut seen = Vec::new();
    f.body.walk_exprs(&mut |e| seen.push(e.span.text(text)));
    assert_eq!(seen, ["((a))"]);
}

#[test]
fn sizes() {
    lowers("x = sizeof(n) + sizeof n;", "(x = (sizeof n + sizeof n));");
    lowers("x = sizeof(gfp_t);", "(x = sizeof<u32>);");
    lowers("x = sizeof(pages[0]);", "(x = sizeof pages[0]);");
    lowers("x = sizeof(struct page *);", "(x = sizeof<struct page*>);");
}

#[test]
fn expressions() {
    lowers("x->ops->put(p, \"a\" \"b\");", "x->ops->put(p, STR);");
    lowers("printk(KERN_INFO PFX \"n %d\\n\", n);", "printk(STR, n);");
    lowers("x = n ?: 1;", "(x = (n ? : 1));");
    lowers("x = n ? a.b : 'c';", "(x = (n ? a.b : 99));");
    lowers("n ^= 5, *p++ = 1;", "((n ^= 5), ((*(p++)) = 1));");
    lowers("x = a & b || !c;", "(x = ((a & b) || (!c)));");
    lowers("x = ({ int t = 3; t; });", "(x = ({ let s32 t = 3; t; }));");
    lowers(
        "x = 0x7fffffff + 0x80000000 + 4294967296 + 017 + 1u;",
        "(x = ((((2147483647 + 2147483648:u32) + 4294967296:s64) + 15) + 1:u32));",
    );
    lowers("x = '\\n' + '\\x41' + '\\0';", "(x = ((10 + 65) + 0));");
    lowers("(*fn)(n);", "(*fn)(n);");
    lowers("x = y = (a, b);", "(x = (y = (a, b)));");
}

#[test]
fn assembly() {
    lowers("asm volatile(\"nop\" : \"=r\"(i) : \"r\"(j) : \"memory\");", "asm;");
    lowers("asm goto(\"1:\" : : : : out); out: f();", "asm; out: f();");
}

#[test]
fn configured_statements() {
    lowers("#ifdef CONFIG_X\n\tf();\n#else\n\tg();\n#endif", "#CONFIG_X [f();] [g();]");
    lowers("#ifndef CONFIG_X\n\tf();\n#endif", "#!CONFIG_X [f();] []");
    lowers("#if defined(A) && B\n\tf();\n#elif C\n\tg();\n#endif", "#defined(A) && B [f();] [#C [g();] []]");
    lowers("#if 0\n\tf();\n#else\n\tg();\n#endif", "#0 [] [g();]");
    lowers("out:\n#ifdef CONFIG_X\n\tf();\n#endif", "out: ; #CONFIG_X [f();] []");
    lowers("#define LOCAL 1\n\tf();\n#undef LOCAL", "; f(); ;");
}

#[test]
fn directives_around_arms_leave_the_arms() {
    let arms = |body: &str, want: &str| {
        lowers(body, want);
        assert_eq!(parse(body).arms.len(), 1, "{body}");
        assert!(!parse(body).whole(), "{body}");
    };
    arms(
        "if (n)\nf();\n#ifdef X\nelse if (m)\ng();\n#endif\nelse\nh();\np(q);",
        "if n f(); else if m g(); else h(); p(q);",
    );
    arms("if (n) {\nf();\n#ifdef X\n} else if (m) {\ng();\n#else\n#endif\n}", "if n { f(); } else if m { g(); }");
    arms("if (n) {\nf();\n#ifdef X\n} else {\ng();\n#endif\n}", "if n { f(); } else { g(); }");
    arms("#ifndef X\n#else\nif (n) {\nf();\n} else\n#endif\ng();", "if n { f(); } else g();");
    // A comment, so there is one program only.
    let dead = "if (n)\nf();\n#if 0\nelse if (m)\ng();\n#endif\nelse\nh();";
    lowers(dead, "if n f(); else h();");
    assert!(parse(dead).whole());
}

#[test]
fn directives_inside_statements_are_damage_but_the_rest_is_read() {
    damaged("#ifdef A\n\tif (a) {\n#else\n\tif (b) {\n#endif\n\t}");
    let body = "f(a,\n#ifdef A\nb,\n#endif\nc);";
    damaged(body);
    assert_eq!(stmt(&parse(body).body), "{ f(a, b, c); }");
    // The last `else` belongs to another `if` without the arm.
    damaged("if (n)\nf();\n#ifdef X\nelse if (m)\nwhile (k)\nif (l)\ng();\n#endif\nelse\nh();");
    // Neither of two arms is the program of both.
    damaged("if (n)\nf();\n#ifdef X\nelse if (m)\ng();\n#else\nelse if (k)\ng();\n#endif");
    // Two closing braces.
    damaged("if (n) {\nif (m) {\nf();\n#ifdef X\n}\n} else {\ng();\n#endif\n}");
}

#[test]
fn what_is_not_understood_is_damage() {
    // The place itself, not the whole body.
    let f = parse("a = 1;\n\tx = = 1;\n\tb = 2;");
    assert!(f.damage.iter().all(|d| d.end - d.start < f.body.span.end - f.body.span.start), "{:?}", f.damage);
    damaged("goto *target;");
    damaged("if (n {");
    damaged("x = = 1;");
    damaged(&"(".repeat(100_000));
    damaged(&format!("x = {}1{};", "(".repeat(300), ")".repeat(300)));
    damaged(&format!("x = {}1;", "- ".repeat(1000)));
}

#[test]
fn heads() {
    let text = b"static noinline int __init foo(struct page *pages[16], const void __user *p,\n\tunsigned long n, \
        int (*cb)(int), ...)\n\t__releases(&lock)\n{\n}\nUNKNOWN_ATTR foo_t *bar(void)\n{\n}\n\
        SYSCALL_DEFINE2(baz, unsigned long, start, size_t, len)\n{\n}\nint old(a, b) int a; struct page *b; {\n}\n\
        void (*get(int a))(int)\n{\n}\nEXPORT_SYMBOL(foo)\nstatic inline struct page *last(void) {}\n";
    let shown = |name: &str| {
        let f = function_from_source(text, name).unwrap_or_else(|| panic!("{name} is not found"));
        assert!(f.damage.is_empty());
        let p: Vec<String> = f.params.iter().map(|p| format!("{} {}", ty(&p.ty), p.name)).collect();
        let dots = if f.variadic { ", ..." } else { "" };
        format!("{}{} {}({}{dots})", if f.is_static { "static " } else { "" }, ty(&f.ret), f.name, p.join(", "))
    };
    assert_eq!(shown("foo"), "static s32 foo(struct page*[16] pages, void* p, u64 n, s32() cb, ...)");
    assert_eq!(shown("bar"), "foo_t* bar()");
    assert_eq!(shown("sys_baz"), "s64 sys_baz(u64 start, u64 len)");
    assert_eq!(shown("old"), "s32 old(s32 a, struct page* b)");
    assert_eq!(shown("get"), "void() get(s32 a)");
    assert_eq!(shown("last"), "static struct page* last()");
}

#[test]
fn structs() {
    let text = b"struct s {\n\tint a, *b;\n\tunion {\n\t\tstruct page *page;\n\t\tstruct { u8 c:3; };\n\t};\n\
        \tstruct list_head l[4] ____cacheline_aligned;\n\tvoid (*fn)(int);\n\tDECLARE_BITMAP(bits, 4);\n\
        \tstruct { int z; } named;\n#ifdef CONFIG_X\n\tstruct page **pages;\n#endif\n\
        \tstruct_group(grp,\n\t\tint g1;\n\t\tint g2;\n\t);\n} __packed;\ntypedef struct { gfp_t q; } t_t;\n\
        union u { int i; long l; };\n";
    let shown = |tag: &str| {
        let s = structure_from_source(text, tag).unwrap_or_else(|| panic!("{tag} is not found"));
        let f: Vec<String> =
            s.fields.iter().map(|f| format!("{}{} {}", if f.in_union { "|" } else { "" }, ty(&f.ty), f.name)).collect();
        f.join("; ")
    };
    assert_eq!(
        shown("s"),
        "s32 a; s32* b; |struct page* page; |u8 c; struct list_head[4] l; void() fn; ? bits; struct s.named@177-187 named; \
         struct page** pages; s32 g1; s32 g2"
    );
    assert_eq!(shown("t_t"), "u32 q");
    assert_eq!(shown("u"), "|s32 i; |s64 l");
}

#[test]
fn items() {
    let text = b"#include <linux/mm.h>\n#define PIN(x) do { x; } while (0)\nstruct fwd;\nenum e { A };\n\
        extern int proto(int a);\nstatic struct page *global, **second;\nstatic const struct ops o = {\n\t.f = f,\n};\n\
        MODULE_LICENSE(\"GPL\");\n#if 0\nint dead(void) { }\n#endif\n#ifdef A\nint one(int a) {\n#else\nint one(void) {\n\
        #endif\n\tif (a) {\n#ifdef B\n\t}\n#else\n\t}\n#endif\n}\n#ifdef C\nint two(void) { return 1; }\n#else\n\
        int two(void) { return 2; }\n#endif\ntypedef int (*fn_t)(int);\nint three(void) { return '}'; /* } */ }\n";
    let got: Vec<String> = split(text)
        .iter()
        .filter(|i| i.kind != ItemKind::Preproc)
        .map(|i| format!("{:?} {}{}", i.kind, i.name, if i.body.is_some() { " {}" } else { "" }))
        .collect();
    let want = [
        "Include <linux/mm.h>",
        "Define PIN",
        "Variable fwd",
        "Enum e {}",
        "Prototype proto",
        "Variable global",
        "Variable o {}",
        "Other ",
        "Function one {}",
        "Function two {}",
        "Function two {}",
        "Typedef fn_t",
        "Function three {}",
    ];
    assert_eq!(got, want);
}

#[test]
fn an_unbalanced_function_does_not_swallow_the_next() {
    let text = b"int bad(void)\n{\n\tif (x) {\n}\n\nint good(void)\n{\n\treturn 0;\n}\n";
    let names: Vec<String> = split(text).iter().map(|i| i.name.to_string()).collect();
    assert_eq!(names, ["bad", "good"]);
}

#[test]
fn words_of_a_body() {
    let text = b"{ if (a->pages) put_page(b.page); // get_page(x)\n\tn = FOO(\"put(\"); }";
    let all = gupconv::source::Span::new(0, text.len());
    let words = |how| {
        let mut out = Vec::new();
        mentions(text, all, how, &mut |w, at| {
            assert!(text[at as usize..].starts_with(w));
            out.push(String::from_utf8_lossy(w).into_owned());
            false
        });
        out
    };
    assert_eq!(words(As::Call), ["if", "put_page", "FOO"]);
    assert_eq!(words(As::Field), ["pages", "page"]);
    assert_eq!(words(As::Word), ["if", "a", "pages", "put_page", "b", "page", "n", "FOO"]);
    let mut first = 0;
    mentions(text, all, As::Word, &mut |_, _| {
        first += 1;
        true
    });
    assert_eq!(first, 1, "it stops when told to");
}

#[test]
fn of_a_header_only_what_answers_questions_is_kept() {
    let text = b"#ifndef X_H\n#include <linux/mm.h>\n#define REG_A 0x10\n#define REG_B (REG_A + 4)\n#define NOTHING\n\
        #define to_x(p) container_of(p, struct x, y)\n#define get_x __get_x\nstruct x { int y; };\n\
        static inline int f(void)\n{\n\treturn REG_A;\n}\nint g(struct x *x);\n#endif\n";
    let names =
        |items: Vec<gupconv::split::Item>| -> Vec<String> { items.iter().map(|i| i.name.to_string()).collect() };
    let kept = ["to_x", "get_x", "x", "f", "g"];
    assert_eq!(names(split_header(text)), kept);
    let all = names(split(text));
    assert_eq!(all.iter().filter(|n| kept.contains(&n.as_str())).count(), kept.len());
    assert_eq!(all.len(), kept.len() + 6, "{all:?}");
}
