//! Types and declarators, read from tokens.
//!
//! Heads of functions, fields of structs, casts and local declarations all go through here. By hand and not by the
//! grammar, because unknown macros between the words of a declaration are the rule in the kernel, and because a type
//! as macro argument has no node of its own. It deliberately resolves no typedef but the integers of the kernel.

use super::number;
use crate::ast::{Base, CType, FieldDef, Param};
use crate::lex::{self, TokKind, Token};
use crate::source::{Name, Span};
use crate::words::{self, is_annotation, takes_arguments};

/// Nesting of declarators and of structs that is followed.
const MAX_DEPTH: usize = 32;

/// A declared name with its type.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub ty: CType,
    /// Name and place; `None` for an abstract declarator.
    pub name: Option<(Name, Span)>,
}

/// Reads declarations from the tokens of `text`. Spans of the tokens index `text`.
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    toks: &'a [Token],
    i: usize,
}

/// Tokens of a span of the file, comments and preprocessor lines left out; spans index the file.
pub(crate) fn tokens_of(text: &[u8], span: Span) -> Vec<Token> {
    tokens(text, span).collect()
}

/// The first of these.
pub(crate) fn first_of(text: &[u8], span: Span) -> Option<Token> {
    tokens(text, span).next()
}

fn tokens(text: &[u8], span: Span) -> impl Iterator<Item = Token> + '_ {
    let moved = move |t: Token| Span { start: t.span.start + span.start, end: t.span.end + span.start };
    let code = lex::code(span.of(text)).filter(|t| t.kind != TokKind::Preproc);
    code.map(move |t| Token { kind: t.kind, span: moved(t) })
}

/// The type that the span spells, as in a cast.
pub(crate) fn type_at(text: &[u8], span: Span) -> CType {
    declared(text, &tokens_of(text, span)).ty
}

/// Reads specifiers and one declarator.
pub(crate) fn declared(text: &[u8], toks: &[Token]) -> Declared {
    let mut r = Reader { text, toks, i: 0 };
    let base = r.specifiers();
    r.declarator(&base)
}

/// Reads only the declarator in `toks`; `base` is what stands left of it.
pub(crate) fn declarator(text: &[u8], toks: &[Token], base: &Base) -> Declared {
    Reader { text, toks, i: 0 }.declarator(base)
}

/// The base type that the specifiers in `toks` spell.
pub(crate) fn base(text: &[u8], toks: &[Token]) -> Base {
    Reader { text, toks, i: 0 }.specifiers()
}

impl Reader<'_> {
    fn peek(&self) -> Option<Token> {
        self.toks.get(self.i).copied()
    }
    fn word(&self, k: usize) -> &[u8] {
        self.toks.get(k).map_or(b"", |t| t.word(self.text))
    }
    fn is(&self, k: usize, b: u8) -> bool {
        self.toks.get(k).is_some_and(|t| t.is(b))
    }
    /// Passes over a bracketed group when one starts here.
    fn skip_group(&mut self) {
        let mut depth = 0usize;
        while let Some(t) = self.peek() {
            match t.kind {
                TokKind::Punct(b'(' | b'[' | b'{') => depth += 1,
                TokKind::Punct(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && !matches!(t.kind, TokKind::Punct(b')' | b']' | b'}')) {
                return;
            }
            self.i += 1;
            if depth == 0 {
                return;
            }
        }
    }
    /// Passes over qualifiers, storage classes and annotations.
    fn skip_noise(&mut self) {
        loop {
            let w = self.word(self.i);
            if w.is_empty() {
                return;
            }
            if is_noise(w) || is_annotation(w) {
                self.i += 1;
            } else if takes_arguments(w) && !w.starts_with(b"typeof") && !w.starts_with(b"__typeof") {
                self.i += 1;
                if self.is(self.i, b'(') {
                    self.skip_group();
                }
            } else {
                return;
            }
        }
    }

    fn specifiers(&mut self) -> Base {
        let mut base: Option<Base> = None;
        let mut words = Words::default();
        loop {
            self.skip_noise();
            let w = self.word(self.i);
            if w.is_empty() {
                break;
            }
            if words.take(w) {
                self.i += 1;
                continue;
            }
            match w {
                b"struct" | b"union" | b"enum" => {
                    let kind = w[0];
                    self.i += 1;
                    self.skip_noise();
                    let tag: Name = String::from_utf8_lossy(self.word(self.i)).into();
                    if !tag.is_empty() {
                        self.i += 1;
                    }
                    self.skip_noise();
                    if self.is(self.i, b'{') {
                        self.skip_group();
                    }
                    base = Some(match (kind, tag.is_empty()) {
                        (_, true) => Base::Unknown,
                        (b's', _) => Base::Struct(tag),
                        (b'u', _) => Base::Union(tag),
                        _ => Base::Enum(tag),
                    });
                }
                b"typeof" | b"__typeof__" | b"__typeof" | b"typeof_unqual" => {
                    self.i += 1;
                    self.skip_group();
                    base = Some(Base::Unknown);
                }
                _ if words.any() => break,
                _ => {
                    let next = self.toks.get(self.i + 1).copied();
                    match &base {
                        None => base = Some(plain(w)),
                        // Two plain words, and one more behind: the first was a macro that we do not know.
                        Some(Base::Named(_))
                            if next.is_some_and(|t| {
                                !is_annotation(t.word(self.text))
                                    && (t.kind == TokKind::Ident && !takes_arguments(t.word(self.text)) || t.is(b'*'))
                            }) =>
                        {
                            base = Some(plain(w));
                        }
                        Some(_) => break,
                    }
                    self.i += 1;
                }
            }
        }
        words.base().or(base).unwrap_or(Base::Unknown)
    }

    fn declarator(&mut self, base: &Base) -> Declared {
        let d = self.inner(0);
        let mut dims = d.dims;
        if d.outer_ptr_to_array {
            dims.insert(0, None);
        }
        Declared { ty: CType { base: base.clone(), ptr: d.ptr, dims, function: d.function }, name: d.name }
    }

    fn inner(&mut self, depth: usize) -> Inner {
        let mut d = Inner::default();
        loop {
            self.skip_noise();
            if !self.is(self.i, b'*') {
                break;
            }
            self.i += 1;
            d.ptr = d.ptr.saturating_add(1);
        }
        if depth > MAX_DEPTH {
            return d;
        }
        let w = self.word(self.i);
        if !w.is_empty() {
            d.name = Some((String::from_utf8_lossy(w).into(), self.toks[self.i].span));
            self.i += 1;
        } else if self.is(self.i, b'(') && (self.is(self.i + 1, b'*') || self.is(self.i + 1, b'(') || self.nested()) {
            self.i += 1;
            let n = self.inner(depth + 1);
            if self.is(self.i, b')') {
                self.i += 1;
            }
            d.name = n.name;
            if self.is(self.i, b'(') {
                // Stars inside belong to the pointer to the function, stars outside to what it returns.
                self.skip_group();
                d.function = true;
                d.dims = n.dims;
                return d;
            }
            d.dims = n.dims;
            d.function |= n.function;
            if self.is(self.i, b'[') && n.ptr > 0 {
                d.outer_ptr_to_array = true;
                d.ptr = d.ptr.saturating_add(n.ptr - 1);
            } else {
                d.ptr = d.ptr.saturating_add(n.ptr);
            }
        }
        loop {
            self.skip_noise();
            if self.is(self.i, b'[') {
                let open = self.i;
                self.skip_group();
                let inner: Vec<Token> = self.toks[open + 1..self.i.saturating_sub(1).max(open + 1)]
                    .iter()
                    .filter(|t| !is_noise(t.word(self.text)))
                    .copied()
                    .collect();
                d.dims.push(match inner.as_slice() {
                    [t] if t.kind == TokKind::Number => {
                        number::integer(t.span.of(self.text)).and_then(|(v, _)| u64::try_from(v).ok())
                    }
                    _ => None,
                });
            } else if self.is(self.i, b'(') {
                self.skip_group();
                d.function = true;
            } else {
                return d;
            }
        }
    }

    /// Whether the parenthesis that opens here holds a nested declarator with a plain name: `int (x)`.
    fn nested(&self) -> bool {
        !self.word(self.i + 1).is_empty() && self.is(self.i + 2, b')') && self.toks.len() == self.i + 3
    }
}

#[derive(Default)]
struct Inner {
    ptr: u8,
    dims: Vec<Option<u64>>,
    function: bool,
    name: Option<(Name, Span)>,
    outer_ptr_to_array: bool,
}

fn is_noise(w: &[u8]) -> bool {
    matches!(
        w,
        b"const"
            | b"volatile"
            | b"static"
            | b"extern"
            | b"inline"
            | b"register"
            | b"restrict"
            | b"auto"
            | b"typedef"
            | b"__inline"
            | b"__inline__"
            | b"__const__"
            | b"__const"
            | b"__volatile__"
            | b"__volatile"
            | b"__restrict"
            | b"__restrict__"
            | b"_Noreturn"
            | b"_Thread_local"
            | b"__thread"
    )
}

/// Counts the words of a primitive type.
#[derive(Default)]
struct Words {
    unsigned: bool,
    signed: bool,
    long: u8,
    short: bool,
    int: bool,
    other: Option<Base>,
}

impl Words {
    fn take(&mut self, w: &[u8]) -> bool {
        match w {
            b"unsigned" => self.unsigned = true,
            b"signed" | b"__signed__" | b"__signed" => self.signed = true,
            b"long" => self.long = self.long.saturating_add(1),
            b"short" => self.short = true,
            b"int" => self.int = true,
            b"char" => self.other = Some(int(true, 8)),
            b"void" => self.other = Some(Base::Void),
            b"bool" | b"_Bool" => self.other = Some(Base::Bool),
            b"float" | b"double" => self.other = Some(Base::Float),
            _ => return false,
        }
        true
    }
    fn any(&self) -> bool {
        self.unsigned || self.signed || self.long > 0 || self.short || self.int || self.other.is_some()
    }
    fn base(&self) -> Option<Base> {
        if !self.any() {
            return None;
        }
        let signed = !self.unsigned;
        Some(match &self.other {
            Some(Base::Int { bits, .. }) => int(signed, *bits),
            Some(b) => b.clone(),
            None if self.long > 0 => int(signed, 64),
            None if self.short => int(signed, 16),
            None => int(signed, 32),
        })
    }
}

fn int(signed: bool, bits: u8) -> Base {
    Base::Int { signed, bits }
}

/// A type that one word names: an integer typedef of the kernel, or `Named`.
fn plain(w: &[u8]) -> Base {
    match words::integer_typedef(w) {
        Some((signed, bits)) => int(signed, bits),
        None => Base::Named(String::from_utf8_lossy(w).into()),
    }
}

/// Splits `toks` at commas (or another byte) outside brackets; empty pieces are kept.
pub(crate) fn split_top(toks: &[Token], at: u8) -> Vec<&[Token]> {
    let mut out = Vec::new();
    let mut depth = 0usize;
    let mut start = 0;
    for (k, t) in toks.iter().enumerate() {
        match t.kind {
            TokKind::Punct(b'(' | b'[' | b'{') => depth += 1,
            TokKind::Punct(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            TokKind::Punct(b) if b == at && depth == 0 => {
                out.push(&toks[start..k]);
                start = k + 1;
            }
            _ => {}
        }
    }
    out.push(&toks[start..]);
    out
}

fn cover(toks: &[Token]) -> Span {
    match (toks.first(), toks.last()) {
        (Some(a), Some(b)) => a.span.to(b.span),
        _ => Span::default(),
    }
}

/// Parameters between the parentheses of a head; the flag says that the list ends in `...`.
pub(crate) fn parameters(text: &[u8], toks: &[Token]) -> (Vec<Param>, bool) {
    let mut out = Vec::new();
    let mut variadic = false;
    for p in split_top(toks, b',') {
        if p.is_empty() {
            continue;
        }
        if p.iter().all(|t| t.is(b'.')) {
            variadic = true;
            continue;
        }
        let d = declared(text, p);
        if d.name.is_none() && d.ty == (CType { base: Base::Void, ptr: 0, dims: Vec::new(), function: false }) {
            continue;
        }
        let name = d.name.map_or_else(|| "".into(), |(n, _)| n);
        out.push(Param { name, ty: d.ty, span: cover(p) });
    }
    (out, variadic)
}

/// Parameters of `SYSCALL_DEFINE2(name, type, a, type, b)`: type and name are arguments of their own.
pub(crate) fn macro_parameters(text: &[u8], toks: &[Token]) -> Vec<Param> {
    let parts = split_top(toks, b',');
    let mut out = Vec::new();
    for pair in parts.get(1..).unwrap_or(&[]).chunks(2) {
        let [ty, name] = pair else { break };
        let joined: Vec<Token> = ty.iter().chain(name.iter()).copied().collect();
        let d = declared(text, &joined);
        let name = d.name.map_or_else(|| "".into(), |(n, _)| n);
        out.push(Param { name, ty: d.ty, span: cover(&joined) });
    }
    out
}

/// Fields between the braces of a struct; members of anonymous structs and unions stand in the list themselves.
pub(crate) fn fields(text: &[u8], toks: &[Token], in_union: bool, depth: usize, out: &mut Vec<FieldDef>) {
    if depth > MAX_DEPTH {
        return;
    }
    for f in split_top(toks, b';') {
        let Some(open) = f.iter().position(|t| t.is(b'{')) else {
            macro_group(text, f, in_union, depth, out);
            continue;
        };
        // `struct { … } name;` keeps its own type; without a name its members are ours.
        let mut r = Reader { text, toks: f, i: open };
        r.skip_group();
        let close = r.i;
        r.skip_noise();
        if r.i < f.len() {
            let first = out.len();
            plain_fields(text, f, in_union, out);
            // A struct without a tag: known by where it stands (see `Parser::structure`).
            let union = f[..open].iter().any(|t| t.word(text) == b"union");
            let span = Span { start: f[open].span.start, end: f[close.saturating_sub(1).max(open)].span.end };
            for field in out[first..].iter_mut().filter(|d| d.ty.base == Base::Unknown) {
                let tag = Name::from(format!("{}{}-{}", nameless(&field.name), span.start, span.end));
                field.ty.base = if union { Base::Union(tag) } else { Base::Struct(tag) };
            }
            continue;
        }
        let union = f[..open].iter().any(|t| t.word(text) == b"union");
        let inner = &f[open + 1..close.saturating_sub(1).max(open + 1)];
        if f[..open].iter().any(|t| t.word(text) == b"enum") {
            continue;
        }
        fields(text, inner, in_union || union, depth + 1, out);
    }
}

/// Tag of the struct without one that is the type of field `name`, up to the place of its braces.
fn nameless(name: &str) -> String {
    format!(".{name}@")
}

/// A field declaration, or `struct_group(name, fields…)` and its like.
fn macro_group(text: &[u8], f: &[Token], in_union: bool, depth: usize, out: &mut Vec<FieldDef>) {
    let call = f.len() > 3 && f[1].is(b'(') && f.last().is_some_and(|t| t.is(b')')) && !f[0].word(text).is_empty();
    if !call || f[2].is(b'*') {
        plain_fields(text, f, in_union, out);
        return;
    }
    let inner = &f[2..f.len() - 1];
    let w = f[0].word(text);
    if w.starts_with(b"struct_group") {
        let parts = split_top(inner, b',');
        let lead = match w {
            b"struct_group_attr" | b"struct_group_tagged" => 2,
            _ => 1,
        };
        let skip: usize = parts.iter().take(lead).map(|p| p.len() + 1).sum();
        fields(text, inner.get(skip..).unwrap_or(&[]), in_union, depth + 1, out);
    } else if let Some(t) = inner.first().filter(|t| t.kind == TokKind::Ident) {
        // `DECLARE_BITMAP(name, n)`: a field whose type we do not know.
        let last = if w.starts_with(b"DECLARE_FLEX") || w.starts_with(b"DECLARE_KFIFO") {
            split_top(inner, b',').get(1).and_then(|p| p.first()).copied()
        } else {
            None
        };
        let t = last.unwrap_or(*t);
        out.push(FieldDef { name: t.span.text(text).into(), ty: CType::unknown(), in_union, span: t.span });
    }
}

fn plain_fields(text: &[u8], f: &[Token], in_union: bool, out: &mut Vec<FieldDef>) {
    let mut r = Reader { text, toks: f, i: 0 };
    let base = r.specifiers();
    for d in split_top(&f[r.i.min(f.len())..], b',') {
        // `flags : 3` is a bit field; what stands behind the colon is its width.
        let d = d.split(|t| t.is(b':')).next().unwrap_or(d);
        let got = declarator(text, d, &base);
        if let Some((name, _)) = got.name {
            out.push(FieldDef { name, ty: got.ty, in_union, span: cover(d) });
        }
    }
}
