//! Cuts a file into its top-level items without parsing it.
//!
//! Only the items that matter are parsed later, so one broken macro damages one function and not a file. Works on
//! tokens and on the shape of declarations alone; it deliberately knows nothing of what is inside a body and expands
//! no macro. Of `#if` branches that do not balance, the first one gives the braces; `#if 0` is passed over.

mod mentions;

pub use mentions::{As, may_mention, may_touch, mentions};

use crate::lex::{self, TokKind, Token};
use crate::source::{Name, Span};
use crate::words::{self, is_type_word, takes_arguments};

/// What a top-level item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// A function definition, also one whose head is a macro (`SYSCALL_DEFINE3(name, …) { … }`).
    Function,
    /// A function declaration.
    Prototype,
    /// `struct tag { … };`, also with variables behind it.
    Struct,
    /// `union tag { … };`
    Union,
    /// `enum tag { … };`
    Enum,
    /// A `typedef`; with a body when it defines a struct.
    Typedef,
    /// A variable, with or without initialiser.
    Variable,
    /// `#define`
    Define,
    /// `#include`
    Include,
    /// Any other preprocessor line.
    Preproc,
    /// A macro call at top level, or something that we cannot tell.
    Other,
}

/// Kinds of items, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ItemKinds(u16);

impl ItemKinds {
    /// The set of these.
    pub const fn of(kinds: &[ItemKind]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < kinds.len() {
            set |= 1 << kinds[i] as u16;
            i += 1;
        }
        Self(set)
    }
    /// Whether the kind is one of them.
    pub const fn contains(self, kind: ItemKind) -> bool {
        self.0 >> kind as u16 & 1 != 0
    }
}

/// A top-level item.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// What it defines: function, tag, typedef, variable or macro. Of `SYSCALL_DEFINEn(x, …)` it is `sys_x`. The path
    /// of an include, with its delimiters. Empty when there is no name.
    pub name: Name,
    /// From its first token to its last, `;` included.
    pub span: Span,
    /// Where the name is written (the first macro argument for `SYSCALL_DEFINEn`).
    pub name_span: Span,
    /// The `{ … }` of a function, struct, union or enum, braces included.
    pub body: Option<Span>,
    /// `static`
    pub is_static: bool,
}

/// Cuts `text` into items, in order.
pub fn split(text: &[u8]) -> Vec<Item> {
    run(text, false)
}

/// Like [`split`], but only what defines or declares something: registers (`#define NAME 0x1f`) are most of the headers
/// of some drivers, and nobody asks for them.
pub fn split_header(text: &[u8]) -> Vec<Item> {
    run(text, true)
}

fn run(text: &[u8], header: bool) -> Vec<Item> {
    let mut s = Splitter::new(text, false, header);
    s.run();
    if s.unbalanced {
        // The braces do not balance. Kernel style closes a top-level item in the first column: try again with that.
        s = Splitter::new(text, true, header);
        s.run();
    }
    s.items
}

/// `#define NAME 0x1f`: answers no question. A macro with parameters or one that stands for another name may.
fn is_constant(text: &[u8], name: Span, end: u32) -> bool {
    let rest = text.get(name.end as usize..end as usize).unwrap_or_default();
    if rest.first() == Some(&b'(') {
        return false;
    }
    rest.trim_ascii_start().first().is_none_or(|b| b.is_ascii_digit() || matches!(b, b'(' | b'"' | b'-' | b'/'))
}

/// A `#if` that is open.
struct Branch {
    /// An item was open when it started.
    inside: bool,
    /// Tokens of the branch that is read now are passed over.
    skip: bool,
    /// It stands in a branch that is passed over.
    outer: bool,
    /// The branch that gives the braces has been read.
    taken: bool,
}

struct Splitter<'a> {
    text: &'a [u8],
    items: Vec<Item>,
    /// Tokens of the open item that stand outside braces.
    head: Vec<Token>,
    paren: u32,
    depth: u32,
    /// The `{ … }` of the open item that counts as its body.
    body: Option<Span>,
    /// Start of the braces that are open.
    open: usize,
    function: bool,
    branches: Vec<Branch>,
    column0: bool,
    /// Leave out what [`split_header`] leaves out.
    header: bool,
    /// A bracket was open at the end.
    unbalanced: bool,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a [u8], column0: bool, header: bool) -> Self {
        Self {
            text,
            items: Vec::new(),
            head: Vec::new(),
            paren: 0,
            depth: 0,
            body: None,
            open: 0,
            function: false,
            branches: Vec::new(),
            column0,
            header,
            unbalanced: false,
        }
    }

    fn run(&mut self) {
        let mut tokens = lex::tokens(self.text);
        // Inside of braces only braces count.
        while let Some(t) = if self.depth > 0 { tokens.next_brace() } else { tokens.next() } {
            if t.kind == TokKind::Comment {
                continue;
            }
            if t.kind == TokKind::Preproc {
                self.preproc(t);
            } else if !self.skipping() {
                self.token(t);
            }
        }
        self.unbalanced = self.depth > 0 || self.paren > 0;
        if !self.head.is_empty() {
            let end = self.text.len().min(u32::MAX as usize);
            if self.depth > 0 && self.body.is_none() {
                self.body = Some(Span::new(self.open, end));
            }
            self.finish(end);
        }
    }

    /// Whether the branch that is read now is passed over.
    fn skipping(&self) -> bool {
        self.branches.last().is_some_and(|b| b.skip)
    }

    fn preproc(&mut self, t: Token) {
        let (directive, rest) = directive(self.text, t.span);
        let outside = self.head.is_empty();
        match directive {
            b"if" | b"ifdef" | b"ifndef" => {
                let dead = directive == b"if" && first_word(self.text, rest).is_some_and(|s| s.of(self.text) == b"0");
                let outer = self.skipping();
                self.branches.push(Branch { inside: !outside, skip: dead || outer, outer, taken: !dead });
            }
            b"elif" | b"else" | b"elifdef" | b"elifndef" => {
                if let Some(b) = self.branches.last_mut() {
                    // Whole items in every branch are all wanted; inside an item only the first branch counts.
                    b.skip = b.outer || b.taken && (b.inside || !outside);
                    b.taken = true;
                }
            }
            b"endif" => {
                self.branches.pop();
            }
            _ => {}
        }
        if outside && !self.skipping() {
            let kind = match directive {
                b"define" => ItemKind::Define,
                b"include" => ItemKind::Include,
                _ => ItemKind::Preproc,
            };
            let name_span = match kind {
                ItemKind::Define => first_word(self.text, rest).unwrap_or(rest),
                ItemKind::Include => rest,
                _ => Span::default(),
            };
            if self.header && (kind != ItemKind::Define || is_constant(self.text, name_span, t.span.end)) {
                return;
            }
            let name = name_span.text(self.text);
            let name = match kind {
                ItemKind::Include => name.trim().into(),
                ItemKind::Define => name.into(),
                _ => Name::default(),
            };
            self.items.push(Item { kind, name, span: t.span, name_span, body: None, is_static: false });
        }
    }

    fn token(&mut self, t: Token) {
        let at = t.span.start as usize;
        if self.column0 && self.depth > 0 && t.is(b'}') && (at == 0 || self.text[at - 1] == b'\n') {
            self.depth = 1;
            self.paren = 0;
        }
        if self.depth > 0 {
            match t.kind {
                TokKind::Punct(b'{') => self.depth += 1,
                TokKind::Punct(b'}') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        if self.body.is_none() {
                            self.body = Some(Span::new(self.open, at + 1));
                        }
                        self.head.push(t);
                        if self.function {
                            self.finish(at + 1);
                        }
                    }
                }
                _ => {}
            }
            return;
        }
        match t.kind {
            TokKind::Punct(b'(' | b'[') => self.paren += 1,
            TokKind::Punct(b')' | b']') => self.paren = self.paren.saturating_sub(1),
            TokKind::Punct(b'{') if self.paren == 0 || (self.column0 && line_start(self.text, at)) => {
                self.paren = 0;
                self.cut_returned_struct();
                self.function = self.body.is_none() && self.cut_and_is_function();
                self.open = at;
                self.depth = 1;
            }
            // A stray brace belongs to nothing.
            TokKind::Punct(b'}') if self.paren == 0 && self.head.is_empty() => return,
            TokKind::Punct(b';') if self.paren == 0 && !self.is_kr() => {
                self.head.push(t);
                self.finish(at + 1);
                return;
            }
            _ => {}
        }
        self.head.push(t);
    }

    /// Whether a `;` belongs to the parameter declarations of an old-style definition: `int f(a, b) int a; {`.
    fn is_kr(&self) -> bool {
        let h = &self.head;
        let Some(c) = first_candidate(self.text, h) else { return false };
        // Behind the parameter list stands a declaration, and the list holds nothing but words.
        h.get(c.close + 1).is_some_and(|t| {
            let w = t.word(self.text);
            !w.is_empty() && is_type_word(w)
        }) && c.word > 0
            && h[c.word + 2..c.close].iter().all(|t| t.kind == TokKind::Ident || t.is(b','))
            && c.close > c.word + 2
    }

    /// `static struct it { … } first(struct list *l) {`: the struct is an item of its own.
    fn cut_returned_struct(&mut self) {
        let close = self.head.iter().rposition(|t| t.is(b'}')).filter(|_| self.body.is_some());
        let Some(close) = close else { return };
        let rest = &self.head[close + 1..];
        if first_candidate(self.text, rest).is_some() && !self.head.iter().any(|t| t.is(b'=')) {
            let rest = self.head.split_off(close + 1);
            let end = self.head.last().map_or(0, |t| t.span.end as usize);
            self.finish(end);
            self.head = rest;
        }
    }

    /// Cuts macro calls without `;` off the front of the head, then says whether the head is that of a function.
    fn cut_and_is_function(&mut self) -> bool {
        loop {
            if self.head.iter().any(|t| t.is(b'=')) {
                return false;
            }
            let (mut first, mut more) = (None, false);
            candidates(self.text, &self.head, &mut |c| {
                more = first.is_some();
                first.get_or_insert(c);
                !more
            });
            let cut = match first {
                // `EXPORT_SYMBOL(x)` newline `static int f(void) {`
                Some(first) if more && first.word == 0 => first.close + 1,
                None => return pointer_function(self.text, &self.head).is_some(),
                _ => return true,
            };
            let rest = self.head.split_off(cut);
            let end = self.head.last().map_or(0, |t| t.span.end as usize);
            self.finish(end);
            self.head = rest;
        }
    }

    fn finish(&mut self, end: usize) {
        let mut head = std::mem::take(&mut self.head);
        self.item(&head, end);
        // The memory serves for the next one.
        head.clear();
        self.head = head;
    }

    fn item(&mut self, head: &[Token], end: usize) {
        let body = self.body.take();
        let function = std::mem::take(&mut self.function);
        self.paren = 0;
        self.depth = 0;
        let Some(first) = head.first() else { return };
        if head.len() == 1 && first.is(b';') {
            return;
        }
        let span = Span::new(first.span.start as usize, end);
        let is_static = head.iter().any(|t| t.word(self.text) == b"static");
        let (kind, name, name_span) = classify(self.text, head, body, function);
        self.items.push(Item { kind, name, span, name_span, body, is_static });
    }
}

fn line_start(text: &[u8], at: usize) -> bool {
    at == 0 || text[at - 1] == b'\n'
}

/// Splits a preprocessor line into its directive and the span of what follows.
fn directive(text: &[u8], span: Span) -> (&[u8], Span) {
    let s = span.of(text);
    let skip = |mut i: usize| {
        while matches!(s.get(i), Some(b' ' | b'\t')) {
            i += 1;
        }
        i
    };
    let a = skip(1);
    let mut b = a;
    while s.get(b).is_some_and(|&c| lex::is_word_byte(c)) {
        b += 1;
    }
    let start = span.start as usize;
    (&s[a.min(s.len())..b.min(s.len())], Span::new(start + skip(b).min(s.len()), span.end as usize))
}

fn first_word(text: &[u8], span: Span) -> Option<Span> {
    let s = span.of(text);
    let end = s.iter().position(|&c| !lex::is_word_byte(c)).unwrap_or(s.len());
    (end > 0).then(|| Span::new(span.start as usize, span.start as usize + end))
}

/// `word ( … )` outside all other parentheses of a head; indices into the head.
#[derive(Clone, Copy)]
struct Candidate {
    word: usize,
    close: usize,
}

/// The first of [`candidates`].
fn first_candidate(text: &[u8], head: &[Token]) -> Option<Candidate> {
    let mut found = None;
    candidates(text, head, &mut |c| {
        found = Some(c);
        false
    });
    found
}

/// The places in a head that could be the name of a function with its parameter list, until `f` has seen enough.
fn candidates(text: &[u8], head: &[Token], f: &mut dyn FnMut(Candidate) -> bool) {
    let mut depth = 0u32;
    let mut word = None;
    for (i, t) in head.iter().enumerate() {
        match t.kind {
            TokKind::Punct(b'(' | b'[') => {
                if depth == 0 && t.is(b'(') {
                    word = i.checked_sub(1).filter(|&k| {
                        let w = head[k].word(text);
                        !w.is_empty() && !is_type_word(w) && !takes_arguments(w)
                    });
                }
                depth += 1;
            }
            TokKind::Punct(b')' | b']') => {
                depth = depth.saturating_sub(1);
                if depth == 0
                    && let Some(word) = word.take()
                    && !f(Candidate { word, close: i })
                {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// Name of a function that returns a pointer to a function: `void (*get(int a))(int) {`.
fn pointer_function(text: &[u8], head: &[Token]) -> Option<usize> {
    let k = head.windows(2).position(|w| w[0].is(b'(') && w[1].is(b'*'))?;
    let name = k + 2;
    let w = head.get(name)?.word(text);
    (!w.is_empty() && head.get(name + 1)?.is(b'(')).then_some(name)
}

fn classify(text: &[u8], head: &[Token], body: Option<Span>, function: bool) -> (ItemKind, Name, Span) {
    let none = || (ItemKind::Other, Name::default(), Span::default());
    let named = |kind, span: Span| (kind, Name::from(span.text(text)), span);
    if function {
        if let Some(c) = first_candidate(text, head) {
            return macro_function(text, head, &c).unwrap_or_else(|| named(ItemKind::Function, head[c.word].span));
        }
        return match pointer_function(text, head) {
            Some(k) => named(ItemKind::Function, head[k].span),
            None => none(),
        };
    }
    let first = head.iter().find(|t| {
        let w = t.word(text);
        !matches!(w, b"static" | b"extern" | b"const" | b"volatile" | b"inline" | b"__always_inline" | b"__extension__")
    });
    let Some(first) = first else { return none() };
    let word = first.word(text);
    if word == b"typedef" {
        let name = typedef_name(text, head);
        return name.map_or_else(none, |s| named(ItemKind::Typedef, s));
    }
    let assigned = head.iter().position(|t| t.is(b'='));
    if body.is_some() && assigned.is_none() {
        let tag_kind = match word {
            b"struct" => ItemKind::Struct,
            b"union" => ItemKind::Union,
            b"enum" => ItemKind::Enum,
            _ => return none(),
        };
        return match tag(text, head) {
            Some(s) => named(tag_kind, s),
            None => (tag_kind, Name::default(), Span::default()),
        };
    }
    let declared = &head[..assigned.unwrap_or(head.len())];
    if assigned.is_none() {
        if let Some(c) = first_candidate(text, declared) {
            // A lone `MACRO(x);` declares nothing that we know.
            return if c.word == 0 { none() } else { named(ItemKind::Prototype, head[c.word].span) };
        }
        if let Some(k) = pointer_function(text, declared) {
            return named(ItemKind::Prototype, head[k].span);
        }
    }
    variable_name(text, declared).map_or_else(none, |s| named(ItemKind::Variable, s))
}

/// A head that is one macro call in capitals: `SYSCALL_DEFINE2(name, …) {`.
fn macro_function(text: &[u8], head: &[Token], c: &Candidate) -> Option<(ItemKind, Name, Span)> {
    let w = head[c.word].word(text);
    let capitals = w.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    let bare = head[..c.word].iter().all(|t| matches!(t.word(text), b"static" | b"asmlinkage" | b"inline" | b"extern"));
    let arg = head.get(c.word + 2)?;
    if !capitals || !bare || arg.word(text).is_empty() {
        return None;
    }
    let prefix = if w.starts_with(b"SYSCALL_DEFINE") {
        "sys_"
    } else if w.starts_with(b"COMPAT_SYSCALL_DEFINE") {
        "compat_sys_"
    } else {
        ""
    };
    let name = format!("{prefix}{}", arg.span.text(text));
    Some((ItemKind::Function, name.into(), arg.span))
}

/// The tag behind `struct`, `union` or `enum`: the last plain word before the brace.
fn tag(text: &[u8], head: &[Token]) -> Option<Span> {
    let start = head.iter().position(|t| matches!(t.word(text), b"struct" | b"union" | b"enum"))?;
    let end = head.iter().position(|t| t.is(b'{')).unwrap_or(head.len());
    let mut depth = 0i32;
    let mut found = None;
    for t in head.get(start + 1..end)? {
        match t.kind {
            TokKind::Punct(b'(') => depth += 1,
            TokKind::Punct(b')') => depth -= 1,
            TokKind::Ident if depth == 0 && !takes_arguments(t.word(text)) && !words::is_annotation(t.word(text)) => {
                found = Some(t.span);
            }
            _ => {}
        }
    }
    found
}

/// The last word of a typedef outside parameter lists; the word of `(*name)(…)`.
fn typedef_name(text: &[u8], head: &[Token]) -> Option<Span> {
    if let Some(k) = head.windows(2).position(|w| w[0].is(b'(') && w[1].is(b'*')) {
        let t = head.get(k + 2)?;
        return (!t.word(text).is_empty()).then_some(t.span);
    }
    variable_name(text, head)
}

/// The first declared name: the last plain word before `[`, `,`, `:` or the end.
fn variable_name(text: &[u8], head: &[Token]) -> Option<Span> {
    let mut found = None;
    let mut depth = 0i32;
    for t in head {
        match t.kind {
            TokKind::Punct(b'(') => depth += 1,
            TokKind::Punct(b')') => depth -= 1,
            TokKind::Punct(b'[' | b',' | b';' | b':') if depth == 0 => break,
            TokKind::Ident if takes_arguments(t.word(text)) || words::is_annotation(t.word(text)) => {}
            TokKind::Ident if depth == 0 || depth == 1 && found.is_none() => found = Some(t.span),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{ItemKind, split};

    #[test]
    fn a_struct_in_a_return_type_ends_before_the_function() {
        let text = b"static inline struct it {\n\tint n;\n} first(int a) {\n\tstruct it i = { a };\n\treturn i;\n}\n\nint b(void)\n{\n\treturn 0;\n}\n";
        let items: Vec<(ItemKind, String)> = split(text).iter().map(|i| (i.kind, i.name.to_string())).collect();
        let want = [(ItemKind::Struct, "it"), (ItemKind::Function, "first"), (ItemKind::Function, "b")];
        assert_eq!(items, want.map(|(k, n)| (k, n.to_string())));
    }

    #[test]
    fn an_array_of_structs_with_an_initialiser_stays_one_item() {
        let items = split(b"struct it {\n\tint n;\n} all[] = { { 1 }, { F(2) } };\nint b(void)\n{\n}\n");
        assert_eq!(items.len(), 2);
        assert_eq!(&*items[1].name, "b");
    }
}
