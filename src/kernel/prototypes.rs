//! What the headers of a tree declare: functions with the names and types of their parameters, macros, and bodies.
//!
//! Argument positions changed between versions while parameter names did not (SEMANTICS 1.1), so a reader asks for a
//! parameter by name. Works on items and tokens; it evaluates no `#if`: of two declarations of a name (with and
//! without CONFIG_MMU) the first one counts, and every body can be asked for.

use crate::lex::{self, TokKind, Token};
use crate::split::{self, ItemKind};
use std::collections::BTreeMap;

/// A parameter of a declared function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Name; empty when the declaration has none, or for a pointer to a function.
    pub name: String,
    /// Type, as words and punctuation separated by one blank: `struct page * *`.
    pub ty: String,
}

/// A declared function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prototype {
    /// The header, from the root of the tree.
    pub path: String,
    /// Return type, without storage class.
    pub ret: String,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// The tokens of the body, for an inline function: words, numbers and punctuation, no comments.
    pub body: Option<Vec<String>>,
}

/// The declarations of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prototypes {
    functions: BTreeMap<String, Vec<Prototype>>,
    macros: BTreeMap<String, String>,
    exports: BTreeMap<String, String>,
    words: BTreeMap<String, Vec<String>>,
}

impl Prototypes {
    /// Adds what `text`, the file at `path`, declares and defines.
    pub fn add(&mut self, path: &str, text: &[u8]) {
        for item in split::split(text) {
            let code = item.span.of(text);
            match item.kind {
                ItemKind::Function | ItemKind::Prototype => {
                    let offset = (item.name_span.start - item.span.start) as usize;
                    let body = item.body.map(|b| tokens(b.of(text)));
                    let head = item.body.map_or(code, |b| &code[..(b.start - item.span.start) as usize]);
                    if let Some(mut prototype) = prototype(path, head, offset) {
                        prototype.body = body;
                        self.functions.entry(item.name.to_string()).or_default().push(prototype);
                    }
                }
                ItemKind::Define => {
                    let rest = code.get((item.name_span.end - item.span.start) as usize..).unwrap_or_default();
                    let value = tokens(&spliced(rest)).join(" ");
                    self.macros.entry(item.name.to_string()).or_insert(value);
                }
                ItemKind::Other => {
                    if let Some(name) = exported(code) {
                        self.exports.entry(name).or_insert_with(|| path.to_string());
                    }
                }
                // Names of flags: an enum of `blk_types.h`, in some trees a list of macros.
                ItemKind::Enum => {
                    self.words.entry(path.to_string()).or_default().extend(tokens(code));
                }
                _ => {}
            }
        }
    }
    /// The first declaration of a function.
    pub fn get(&self, name: &str) -> Option<&Prototype> {
        self.functions.get(name)?.first()
    }
    /// Whether the function is declared or defined.
    pub fn declares(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }
    /// The parameters of the first declaration.
    pub fn params(&self, name: &str) -> Option<&[Param]> {
        self.get(name).map(|p| p.params.as_slice())
    }
    /// The parameter names of the first declaration that has names; this is what [`super::Acquire::roles`] reads.
    pub fn names(&self, name: &str) -> Option<Vec<String>> {
        let named = |p: &&Prototype| p.params.iter().any(|p| !p.name.is_empty());
        let prototype = self.functions.get(name)?.iter().find(named)?;
        Some(prototype.params.iter().map(|p| p.name.clone()).collect())
    }
    /// The 0-based position of the parameter called `param`.
    pub fn position(&self, name: &str, param: &str) -> Option<usize> {
        self.params(name)?.iter().position(|p| p.name == param)
    }
    /// The tokens of the longest body of a function: of two, the stub of a configuration is the shorter one.
    pub fn body(&self, name: &str) -> Option<&[String]> {
        let bodies = self.functions.get(name)?.iter().filter_map(|p| p.body.as_deref());
        bodies.max_by_key(|b| b.len())
    }
    /// The path of the file that has a body of the function.
    pub fn defined_in(&self, name: &str) -> Option<&str> {
        self.functions.get(name)?.iter().find(|p| p.body.is_some()).map(|p| p.path.as_str())
    }
    /// Whether the body of the function has the word.
    pub fn body_has(&self, name: &str, word: &str) -> bool {
        self.body(name).is_some_and(|b| b.iter().any(|t| t == word))
    }
    /// Whether the body of any function has the word.
    pub fn any_body_has(&self, word: &str) -> bool {
        let bodies = self.functions.values().flatten().filter_map(|p| p.body.as_ref());
        bodies.flatten().any(|t| t == word)
    }
    /// The value of a macro, as tokens separated by one blank, the parameters of a function-like one included.
    pub fn macro_value(&self, name: &str) -> Option<&str> {
        self.macros.get(name).map(String::as_str)
    }
    /// The file that exports the symbol to modules.
    pub fn exported_from(&self, name: &str) -> Option<&str> {
        self.exports.get(name).map(String::as_str)
    }
    /// Whether an enum of the file at `path`, or a macro, has the name.
    pub fn names_flag(&self, path: &str, flag: &str) -> bool {
        self.macros.contains_key(flag) || self.words.get(path).is_some_and(|w| w.iter().any(|t| t == flag))
    }
}

/// Reads a declaration: `head` ends before `;` or `{`, the name starts at `name_at`.
fn prototype(path: &str, head: &[u8], name_at: usize) -> Option<Prototype> {
    let code: Vec<Token> = lex::code(head).filter(|t| t.kind != TokKind::Preproc).collect();
    let name = code.iter().position(|t| t.span.start as usize >= name_at && t.kind == TokKind::Ident)?;
    if !code.get(name + 1)?.is(b'(') {
        return None;
    }
    let mut params = Vec::new();
    let mut from = name + 2;
    let mut depth = 0usize;
    for (i, t) in code.iter().enumerate().skip(name + 2) {
        let closes = t.is(b')') && depth == 0;
        if closes || (t.is(b',') && depth == 0) {
            params.extend(param(head, &code[from..i]));
            from = i + 1;
        }
        if closes {
            break;
        }
        if t.is(b'(') || t.is(b'[') {
            depth += 1;
        } else if t.is(b')') || t.is(b']') {
            depth = depth.saturating_sub(1);
        }
    }
    let storage = ["static", "extern", "inline", "__inline", "__always_inline", "__must_check", "noinline"];
    let words = code[..name].iter().map(|t| t.span.text(head));
    let ret = words.filter(|w| !storage.contains(&w.as_str())).collect::<Vec<_>>().join(" ");
    Some(Prototype { path: path.to_string(), ret, params, body: None })
}

/// Words that cannot be the name of a parameter.
const TYPE_WORDS: &[&str] = &[
    "void",
    "char",
    "short",
    "int",
    "long",
    "signed",
    "unsigned",
    "float",
    "double",
    "bool",
    "_Bool",
    "const",
    "volatile",
    "struct",
    "union",
    "enum",
    "restrict",
    "__restrict",
    "__user",
    "__iomem",
    "__percpu",
];

/// Name and type of one parameter; `None` for `(void)`.
fn param(text: &[u8], code: &[Token]) -> Option<Param> {
    let words: Vec<String> = code.iter().map(|t| t.span.text(text)).collect();
    if words.is_empty() || words == ["void"] {
        return None;
    }
    let dims = words.iter().position(|w| w == "[").unwrap_or(words.len());
    // A pointer to a function keeps its name inside parentheses; nobody asks for one.
    let plain = !words.iter().any(|w| w == "(");
    let at = (1..dims).rev().find(|&i| code[i].kind == TokKind::Ident).filter(|&i| {
        // `struct page` alone, or `unsigned long` alone, is a type without a name.
        plain && !TYPE_WORDS.contains(&words[i].as_str()) && !matches!(&*words[i - 1], "struct" | "union" | "enum")
    });
    let name = at.map(|i| words[i].clone()).unwrap_or_default();
    let ty = words.iter().enumerate().filter(|(i, _)| Some(*i) != at).map(|(_, w)| w.as_str());
    Some(Param { name, ty: ty.collect::<Vec<_>>().join(" ") })
}

/// `x` of `EXPORT_SYMBOL(x)`, `EXPORT_SYMBOL_GPL(x)`, `EXPORT_SYMBOL_NS…(x, …)`.
fn exported(code: &[u8]) -> Option<String> {
    let words = tokens(code);
    match words.as_slice() {
        [macro_name, open, name, ..] if macro_name.starts_with("EXPORT_SYMBOL") && open == "(" => Some(name.clone()),
        _ => None,
    }
}

/// Words, numbers, strings and punctuation of some code.
fn tokens(code: &[u8]) -> Vec<String> {
    lex::code(code).filter(|t| t.kind != TokKind::Preproc).map(|t| t.span.text(code)).collect()
}

/// The text without backslashes at line ends.
fn spliced(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&b| b == b'\n') {
        let body = line.trim_ascii_end();
        match body.strip_suffix(b"\\") {
            Some(body) => out.extend_from_slice(body),
            None => out.extend_from_slice(line),
        }
        out.push(b' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Prototypes {
        let mut p = Prototypes::default();
        p.add("include/linux/mm.h", text.as_bytes());
        p
    }

    #[test]
    fn parameters_are_found_by_name() {
        let p = of("long pin_it(unsigned long start, /* how many, at most */ unsigned long nr_pages,\n\
                    \t    unsigned int gup_flags, struct page **pages,\n\t    int *locked);\n\
                    extern int none(void);\nint odd(struct page **, unsigned long, int (*done)(int, int), char b[]);\n");
        assert_eq!(p.position("pin_it", "pages"), Some(3));
        assert_eq!(p.position("pin_it", "nr_pages"), Some(1));
        assert_eq!(p.position("pin_it", "write"), None);
        assert_eq!(p.get("pin_it").map(|p| p.ret.as_str()), Some("long"));
        assert_eq!(p.params("pin_it").map(|p| p[3].ty.as_str()), Some("struct page * *"));
        assert_eq!(p.params("none").map(<[_]>::len), Some(0));
        assert_eq!(p.names("odd"), Some(vec!["".into(), "".into(), "".into(), "b".into()]));
        assert_eq!(p.names("none"), None);
    }

    #[test]
    fn comments_declare_nothing() {
        let p = of("/* void put_it(struct page *page); */\n// void put_it(void);\nint x;\n");
        assert!(!p.declares("put_it"));
    }

    #[test]
    fn bodies_and_macros() {
        let p = of("#define BIAS (1U << \\\n\t10)\n#define has(x) big(x)\n\
                    #ifdef CONFIG_X\nstatic inline bool big(struct page *page)\n{\n\treturn order(page) > 1;\n}\n\
                    #else\nstatic inline bool big(struct page *page)\n{\n\treturn false;\n}\n#endif\n");
        assert_eq!(p.macro_value("BIAS"), Some("( 1U << 10 )".replace("<<", "< <").as_str()));
        assert_eq!(p.macro_value("has"), Some("( x ) big ( x )"));
        assert!(p.body_has("big", "order"));
        assert_eq!(p.get("big").map(|p| p.ret.as_str()), Some("bool"));
        assert_eq!(p.defined_in("big"), Some("include/linux/mm.h"));
    }

    #[test]
    fn exports_and_flags() {
        let p = of("void f(void)\n{\n}\nEXPORT_SYMBOL(f);\nvoid g(void) { }\nEXPORT_SYMBOL_GPL(g);\n\
                    enum {\n\tBIO_A,\t/* not BIO_B */\n};\n");
        assert_eq!(p.exported_from("f"), Some("include/linux/mm.h"));
        assert_eq!(p.exported_from("g"), Some("include/linux/mm.h"));
        assert_eq!(p.exported_from("h"), None);
        assert!(p.names_flag("include/linux/mm.h", "BIO_A"));
        assert!(!p.names_flag("include/linux/mm.h", "BIO_B"));
    }
}
