//! Makes kernel C readable for a grammar of plain C, without moving a byte.
//!
//! Every mask has the length of what it covers, so spans found in the masked bytes index the original; text is always
//! taken from the original. Measured on v5.2.1: of 81 pin calls 26 stand in a damaged function when parsed raw, 11 with
//! annotations blanked, 3 with type arguments and iterators masked as well, none with all that is here. Comments and
//! strings are never looked into; they change only inside something that is masked as a whole. It deliberately expands
//! nothing and knows no single macro, only shapes, apart from lists of annotations.

mod conditionals;

use crate::lex::{self, TokKind, Token};
use crate::source::Span;
use crate::words::{is_annotation, is_integer_typedef, is_type_word, takes_arguments};

/// Masked bytes of a piece of a file.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// As many bytes as the piece has.
    pub bytes: Vec<u8>,
    /// Offsets in the piece, ascending, of the words that were overwritten by `while`: names of iterator macros.
    pub iterators: Vec<u32>,
    /// Places in the piece, ascending, where `#if` cuts a statement in two. The first branch was kept, the others and
    /// the directives are blank: what is parsed is one of several programs, so these places count as damage.
    pub cut: Vec<Span>,
    /// `#if` lines, ascending, that take arms of an `if` out. They are blank and the arms stay: what is parsed is one
    /// of two programs, and the other one parses as well.
    pub arms: Vec<Span>,
}

/// Masks a function body, or any piece of code that starts outside comments, strings and heads of definitions.
pub fn normalise(piece: &[u8]) -> Normalised {
    let mut n = Normalised { bytes: piece.to_vec(), iterators: Vec::new(), cut: Vec::new(), arms: Vec::new() };
    continued_lines(&mut n.bytes);
    conditionals::conditionals(&mut n);
    annotations(&mut n.bytes);
    let code = Code::new(&n.bytes);
    arguments(&mut n.bytes, &code);
    statements(&mut n, &code);
    labels(&mut n.bytes);
    n
}

/// Tokens of a piece without comments and preprocessor lines.
struct Code {
    tokens: Vec<Token>,
    /// For every opening bracket the index behind the one that closes it; 0 when there is none. One pass for all
    /// brackets: looking for each one anew is quadratic in code that does not balance.
    close: Vec<usize>,
}

impl Code {
    fn new(bytes: &[u8]) -> Self {
        let tokens: Vec<Token> = lex::code(bytes).filter(|t| t.kind != TokKind::Preproc).collect();
        let mut close = vec![0; tokens.len()];
        let mut open: Vec<(usize, u8)> = Vec::new();
        for (i, t) in tokens.iter().enumerate() {
            match t.kind {
                TokKind::Punct(b'(') => open.push((i, b')')),
                TokKind::Punct(b'[') => open.push((i, b']')),
                TokKind::Punct(b'{') => open.push((i, b'}')),
                TokKind::Punct(b @ (b')' | b']' | b'}')) => {
                    if let Some((k, _)) = open.pop_if(|(_, want)| *want == b) {
                        close[k] = i + 1;
                    }
                }
                _ => {}
            }
        }
        Self { tokens, close }
    }
    fn get(&self, i: usize) -> Option<Token> {
        self.tokens.get(i).copied()
    }
    fn is(&self, i: usize, b: u8) -> bool {
        self.tokens.get(i).is_some_and(|t| t.is(b))
    }
    fn word<'b>(&self, i: usize, bytes: &'b [u8]) -> &'b [u8] {
        self.tokens.get(i).map_or(b"", |t| t.word(bytes))
    }
    /// Index behind the `)` that closes the `(` at `open`; `None` when there is none.
    fn group_end(&self, open: usize) -> Option<usize> {
        if !self.is(open, b'(') {
            return None;
        }
        self.close.get(open).copied().filter(|&e| e > 0)
    }
    /// From the first byte of one token to the last of another.
    fn cover(&self, first: usize, last: usize) -> Span {
        self.tokens[first].span.to(self.tokens[last].span)
    }
}

fn bytes_of(s: Span) -> std::ops::Range<usize> {
    s.start as usize..s.end as usize
}

/// Blanks the `\\` of a continued line outside of directives and literals: the grammar counts it into the token behind.
fn continued_lines(bytes: &mut [u8]) {
    if memchr::memchr(b'\\', bytes).is_none() {
        return;
    }
    let at: Vec<usize> = lex::code(bytes).filter(|t| t.is(b'\\')).map(|t| t.span.start as usize).collect();
    for i in at {
        if let [b'\\', b'\n', ..] | [b'\\', b'\r', b'\n', ..] = bytes[i..] {
            bytes[i] = b' ';
        }
    }
}

/// Spaces over the span; newlines stay, since preprocessor lines around it depend on them.
fn blank(bytes: &mut [u8], s: Span) {
    for b in &mut bytes[bytes_of(s)] {
        if *b != b'\n' {
            *b = b' ';
        }
    }
}

/// An identifier over the span: words stay, the rest becomes `_`.
fn join(bytes: &mut [u8], s: Span) {
    let piece = &mut bytes[bytes_of(s)];
    for b in piece.iter_mut() {
        if !lex::is_word_byte(*b) {
            *b = b'_';
        }
    }
    // The result must be no keyword and no number.
    piece[0] = b'_';
}

/// Blanks annotations, makes one word of `typeof(x)`, hides the operands of inline assembly.
fn annotations(bytes: &mut [u8]) {
    let code = Code::new(bytes);
    let mut i = 0;
    while let Some(t) = code.get(i) {
        let next = i + 1;
        i = next;
        if t.kind != TokKind::Ident {
            if t.is(b'.') && case_range(bytes, &code, next - 1) {
                i = next + 2;
            }
            continue;
        }
        let w = t.word(bytes);
        match w {
            b"asm" | b"__asm__" | b"__asm" => {
                let mut open = next;
                while code.get(open).is_some_and(|t| t.kind == TokKind::Ident) {
                    open += 1;
                }
                if let Some(end) = code.group_end(open) {
                    let inner = Span { start: code.tokens[open].span.end, end: code.tokens[end - 1].span.start };
                    blank(bytes, inner);
                    join(bytes, code.cover(next - 1, open - 1));
                    i = end;
                }
            }
            b"typeof" | b"__typeof__" | b"__typeof" | b"typeof_unqual" => {
                if let Some(end) = code.group_end(next) {
                    join(bytes, code.cover(next - 1, end - 1));
                    i = end;
                }
            }
            b"uninitialized_var" => {
                if let Some(end) = code.group_end(next) {
                    blank(bytes, code.cover(next - 1, next));
                    blank(bytes, code.tokens[end - 1].span);
                }
            }
            // The grammar takes only some forms of these; as plain calls they take all.
            b"offsetof" | b"alignof" | b"_Alignof" => bytes[t.span.start as usize] = b'X',
            b"__builtin_offsetof" | b"__alignof__" | b"__alignof" => bytes[t.span.start as usize + 2] = b'X',
            // `static DEFINE_RATELIMIT_STATE(x, …);` declares through a macro.
            b"static" if is_capitals(code.word(next, bytes)) && code.is(next + 1, b'(') => blank(bytes, t.span),
            _ if is_annotation(w) => {
                // Directly before a parenthesis it is called, and no annotation.
                let called = code.get(next).is_some_and(|p| p.is(b'(') && p.span.start == t.span.end);
                if !called {
                    blank(bytes, t.span);
                }
            }
            _ if takes_arguments(w) => {
                if let Some(end) = code.group_end(next) {
                    blank(bytes, code.cover(next - 1, end - 1));
                    i = end;
                }
            }
            _ => {}
        }
    }
}

fn is_capitals(w: &[u8]) -> bool {
    w.len() > 1 && w.iter().all(|&b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// `case 1 ... 5:` becomes `case 1 ||  5:`, which the lowering recognises by the original text.
fn case_range(bytes: &mut [u8], code: &Code, i: usize) -> bool {
    let tokens = &code.tokens;
    let dots = tokens.get(i..i + 3).is_some_and(|d| d.iter().all(|t| t.is(b'.')));
    if !dots || tokens[i + 2].span.end - tokens[i].span.start != 3 {
        return false;
    }
    // A bound rarely has more than 8 tokens; 24 keep this linear.
    let before = tokens[..i].iter().rev().take(24).take_while(|t| !t.is(b';') && !t.is(b':'));
    let case = before.into_iter().any(|t| t.word(bytes) == b"case");
    if case {
        let s = tokens[i].span.start as usize;
        bytes[s..s + 3].copy_from_slice(b"|| ");
    }
    case
}

/// Masks whole arguments that are no expressions: types (`min_t(unsigned long, a, b)`, `container_of(p, struct t, m)`),
/// operators (`ASSERTCMP(a, ==, b)`), strings glued by macros (`KERN_INFO PFX "x"`). Also casts to typedefs.
fn arguments(bytes: &mut [u8], code: &Code) {
    // One entry an open bracket: the first token of the argument, when it is the argument list of a call.
    let mut open: Vec<Option<usize>> = Vec::new();
    for (i, t) in code.tokens.iter().enumerate() {
        match t.kind {
            TokKind::Punct(b'(') => {
                let w = if i > 0 { code.word(i - 1, bytes) } else { b"" };
                let call = !w.is_empty() && !is_type_word(w) && !is_statement_word(w);
                if !call && w != b"sizeof" {
                    typedef_cast(bytes, code, i);
                }
                open.push(call.then_some(i + 1));
            }
            TokKind::Punct(b'{' | b'[') => open.push(None),
            TokKind::Punct(b',' | b')' | b'}' | b']') => {
                if let Some(Some(start)) = open.last()
                    && matches!(t.kind, TokKind::Punct(b',' | b')'))
                {
                    argument(bytes, code, *start, i);
                }
                if !t.is(b',') {
                    open.pop();
                } else if let Some(Some(start)) = open.last_mut() {
                    *start = i + 1;
                }
            }
            _ => {}
        }
    }
}

/// Masks the argument of the tokens `from..to` when it is no expression.
fn argument(bytes: &mut [u8], code: &Code, from: usize, to: usize) {
    let Some(arg) = code.tokens.get(from..to).filter(|a| !a.is_empty()) else { return };
    let operator =
        arg.len() <= 2 && arg.iter().all(|t| matches!(t.kind, TokKind::Punct(b) if b"=<>!&|+-*/%^".contains(&b)));
    if operator || is_type(bytes, arg) {
        join(bytes, code.cover(from, to - 1));
        return;
    }
    // Words and strings in a row: from one word before the first string on.
    let mut k = from;
    while k < to {
        let run = code.tokens[k..to].iter().take_while(|t| matches!(t.kind, TokKind::Ident | TokKind::Str)).count();
        let words = &code.tokens[k..k + run];
        if run > 1 && words.iter().any(|t| t.kind == TokKind::Str) && words.iter().any(|t| t.kind == TokKind::Ident) {
            join(bytes, code.cover(k, k + run - 1));
        }
        k += run + 1;
    }
}

/// `(gfp_t)-1` becomes `(int  )-1`: the grammar takes a plain word in parentheses for a variable.
fn typedef_cast(bytes: &mut [u8], code: &Code, open: usize) {
    let w = code.word(open + 1, bytes);
    if w.len() < 3 || !code.is(open + 2, b')') || !(w.ends_with(b"_t") || is_integer_typedef(w)) {
        return;
    }
    let operand = code.get(open + 3).is_some_and(|t| match t.kind {
        TokKind::Punct(b) => b"(-+*&~!".contains(&b),
        _ => true,
    });
    if operand {
        let s = code.tokens[open + 1].span;
        blank(bytes, s);
        bytes[s.start as usize..s.start as usize + 3].copy_from_slice(b"int");
    }
}

/// Words behind which a parenthesis opens no argument list, or one where the grammar itself takes types.
fn is_statement_word(w: &[u8]) -> bool {
    matches!(w, b"if" | b"while" | b"for" | b"switch" | b"return" | b"sizeof" | b"case" | b"else" | b"do" | b"goto")
}

/// Whether the tokens of an argument are those of a type and cannot be an expression.
fn is_type(bytes: &[u8], arg: &[Token]) -> bool {
    let words = arg.iter().take_while(|t| t.kind == TokKind::Ident).count();
    if words == 0 {
        return false;
    }
    let stars = &arg[words..];
    if !stars.iter().all(|t| t.is(b'*') || matches!(t.word(bytes), b"const" | b"volatile")) {
        return false;
    }
    !stars.is_empty() || arg[..words].iter().any(|t| is_type_word(t.word(bytes)))
}

/// Masks macro calls that stand as statements without `;`: those that head a loop or block become `while`, the others
/// get the `;` in the white space behind them.
fn statements(n: &mut Normalised, code: &Code) {
    for (i, t) in code.tokens.iter().enumerate() {
        let w = t.word(&n.bytes);
        if w.len() < 3 || is_statement_word(w) || is_type_word(w) || !starts_statement(&n.bytes, code, i) {
            continue;
        }
        let Some(end) = code.group_end(i + 1) else { continue };
        let Some(after) = code.get(end) else { continue };
        match what_follows(&n.bytes, code, i, end, after) {
            Follows::Body => iterator(n, code, i, end),
            Follows::Statement => {
                let gap = code.tokens[end - 1].span.end as usize;
                if n.bytes[gap].is_ascii_whitespace() {
                    n.bytes[gap] = b';';
                }
            }
            Follows::Else => {}
        }
    }
}

/// What stands behind a macro call at the start of a statement.
enum Follows {
    /// The body that it heads.
    Body,
    /// The next statement: a `;` is missing.
    Statement,
    /// Anything that makes it an ordinary expression.
    Else,
}

fn what_follows(bytes: &[u8], code: &Code, name: usize, end: usize, after: Token) -> Follows {
    let w = code.word(name, bytes);
    let loops = memchr::memmem::find(w, b"for_each").is_some() || memchr::memmem::find(w, b"foreach").is_some();
    let close = code.tokens[end - 1].span.end as usize;
    let gap = &bytes[close..after.span.start as usize];
    match after.kind {
        TokKind::Punct(b'{') => Follows::Body,
        TokKind::Punct(b'}') if gap.contains(&b'\n') && !gap.contains(&b'#') => {
            indent(bytes, code.tokens[name].span.start).map_or(Follows::Else, |_| Follows::Statement)
        }
        TokKind::Ident if loops => Follows::Body,
        TokKind::Punct(b'*' | b'(' | b'+' | b'-') if loops && gap.contains(&b'\n') => Follows::Body,
        // Of an unknown macro only the layout tells whether it heads the next line. A directive between them would be
        // harmed by a `;`.
        TokKind::Ident if gap.contains(&b'\n') && !gap.contains(&b'#') && after.word(bytes) != b"else" => {
            match (indent(bytes, code.tokens[name].span.start), indent(bytes, after.span.start)) {
                (Some(a), Some(b)) if b > a => Follows::Body,
                (Some(_), Some(_)) => Follows::Statement,
                _ => Follows::Else,
            }
        }
        _ => Follows::Else,
    }
}

/// Columns of white space before the token at `at`, tabs of 8; `None` when it is not the first of its line. Words of
/// an `else` before it do not count.
fn indent(bytes: &[u8], at: u32) -> Option<usize> {
    let before = &bytes[..at as usize];
    let line = memchr::memrchr(b'\n', before).map_or(0, |k| k + 1);
    let (mut column, mut seen) = (0, 0);
    for b in &before[line..] {
        match b {
            b'\t' => column = column / 8 * 8 + 8,
            b' ' => column += 1,
            _ => break,
        }
        seen += 1;
    }
    let rest = before[line + seen..].trim_ascii_end();
    matches!(rest, b"" | b"else" | b"} else").then_some(column)
}

/// Overwrites the name of an iterator macro by `while`.
fn iterator(n: &mut Normalised, code: &Code, name: usize, end: usize) {
    let t = code.tokens[name].span;
    let all = t.start as usize..code.tokens[end - 1].span.end as usize;
    if end == name + 3 {
        // No argument: a condition is needed, and the name has to make room for it.
        if all.len() < 8 {
            return;
        }
        n.bytes[all.clone()].fill(b' ');
        n.bytes[all.start..all.start + 8].copy_from_slice(b"while(0)");
    } else {
        if t.end - t.start < 5 {
            return;
        }
        n.bytes[bytes_of(t)].fill(b' ');
        n.bytes[all.start..all.start + 5].copy_from_slice(b"while");
    }
    n.iterators.push(t.start);
}

fn starts_statement(bytes: &[u8], code: &Code, i: usize) -> bool {
    let Some(p) = i.checked_sub(1).and_then(|k| code.get(k)) else { return true };
    match p.kind {
        TokKind::Punct(b';' | b'{' | b'}' | b')' | b':') => true,
        TokKind::Ident => matches!(p.word(bytes), b"else" | b"do"),
        _ => false,
    }
}

/// A label before a preprocessor line gets a statement of its own: `out:` newline `#ifdef X` becomes `ou:;`.
fn labels(bytes: &mut [u8]) {
    let mut fixes = Vec::new();
    let mut last: [Option<Token>; 3] = [None; 3];
    for t in lex::code(bytes) {
        if t.kind == TokKind::Preproc
            && let [Some(before), Some(label), Some(colon)] = last
            && colon.is(b':')
            && label.kind == TokKind::Ident
            && label.span.end - label.span.start > 1
            && label.span.end == colon.span.start
            && matches!(before.kind, TokKind::Punct(b';' | b'}' | b'{') | TokKind::Preproc)
        {
            fixes.push(colon.span.start as usize);
        }
        last = [last[1], last[2], Some(t)];
    }
    for colon in fixes {
        bytes[colon - 1] = b':';
        bytes[colon] = b';';
    }
}
