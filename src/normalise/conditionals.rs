//! `#if` groups that the grammar cannot read: it takes directives only around whole statements.
//!
//! What is arms of an `if` stays, since the other program has no way that this one has not. Of a group that cuts a
//! statement the first branch stays and the place is damage. Of the 310,144 functions in the `.c` files of v6.12 that
//! belong to file systems, networking, memory, block devices, media and the larger drivers, some 420 have such arms,
//! and 270 are damaged by other directives.

use super::{Normalised, blank};
use crate::lex::{self, TokKind, Token};

/// A `#if` that is open, in [`conditionals`].
struct Group {
    /// Token indices of its directives: `#if`, `#elif`, `#else`.
    directives: Vec<usize>,
    /// Code before it ends a statement, so that whole statements can follow.
    clean: bool,
}

/// Blanks `#if` groups that stand inside a statement, all but the first branch: the grammar takes directives only
/// around whole statements.
pub(super) fn conditionals(n: &mut Normalised) {
    let tokens: Vec<Token> = lex::code(&n.bytes).collect();
    let mut open: Vec<Group> = Vec::new();
    // The last token of code before `i`.
    let mut last: Option<Token> = None;
    for (i, t) in tokens.iter().enumerate() {
        if t.kind != TokKind::Preproc {
            last = Some(*t);
            continue;
        }
        match directive(t.span.of(&n.bytes)) {
            b"if" | b"ifdef" | b"ifndef" => {
                let clean = last.is_none_or(|t| matches!(t.kind, TokKind::Punct(b';' | b'{' | b'}' | b':')));
                open.push(Group { directives: vec![i], clean });
            }
            b"elif" | b"else" | b"elifdef" | b"elifndef" => {
                if let Some(g) = open.last_mut() {
                    g.directives.push(i);
                }
            }
            b"endif" => {
                if let Some(g) = open.pop() {
                    close_group(n, &tokens, g, i);
                }
            }
            _ => {}
        }
    }
}

/// Blanks a group that ends in the directive at `endif`, unless all its branches are whole statements.
fn close_group(n: &mut Normalised, tokens: &[Token], g: Group, endif: usize) {
    let ends: Vec<usize> = g.directives.iter().copied().skip(1).chain([endif]).collect();
    let branches = || g.directives.iter().zip(&ends).map(|(&a, &b)| &tokens[a + 1..b]);
    if g.clean && branches().all(|b| whole(&n.bytes, b)) {
        return;
    }
    // `#if 0` is a comment, and its `#else` stands alone.
    let dead = directive_rest(tokens[g.directives[0]].span.of(&n.bytes)) == b"0";
    // One branch has code: the first, or that of `#else` behind an empty one.
    let code: Vec<&[Token]> = branches().filter(|b| !b.is_empty()).collect();
    let arms = matches!(code[..], [branch] if g.clean && arms(&n.bytes, branch));
    if arms && !dead {
        n.arms.push(tokens[g.directives[0]].span);
        n.arms.sort_unstable();
        for &d in g.directives.iter().chain([&endif]) {
            blank(&mut n.bytes, tokens[d].span);
        }
        return;
    }
    for (k, (&a, &b)) in g.directives.iter().zip(&ends).enumerate() {
        if !arms {
            n.cut.push(tokens[a].span);
        }
        blank(&mut n.bytes, tokens[a].span);
        if (k == 0) == dead && a + 1 < b {
            blank(&mut n.bytes, tokens[a + 1].span.to(tokens[b - 1].span));
        }
    }
    blank(&mut n.bytes, tokens[endif].span);
    n.cut.sort_unstable();
}

/// Whether a branch of a `#if` consists of whole statements.
fn whole(bytes: &[u8], branch: &[Token]) -> bool {
    let mut code = branch.iter().filter(|t| t.kind != TokKind::Preproc);
    let Some(first) = code.next() else { return true };
    let last = code.next_back().unwrap_or(first);
    if first.word(bytes) == b"else" || !matches!(last.kind, TokKind::Punct(b';' | b'}' | b':' | b')')) {
        return false;
    }
    let mut depth = 0i64;
    branch.iter().all(|t| {
        match t.kind {
            TokKind::Punct(b'(' | b'{' | b'[') => depth += 1,
            TokKind::Punct(b')' | b'}' | b']') => depth -= 1,
            _ => {}
        }
        depth >= 0
    }) && depth == 0
}

/// Whether a branch of a `#if` is arms of an `if` and nothing else, so that the code around it is balanced without
/// them, and each `else` belongs to the same `if` as with them.
fn arms(bytes: &[u8], branch: &[Token]) -> bool {
    let a = Arms { bytes, branch };
    match branch.first().map(|t| t.word(bytes)) {
        Some(b"else") => a.behind(),
        Some(b"if") => a.before(),
        _ => a.between(),
    }
}

/// The tokens in a `#if`, in [`arms`].
struct Arms<'a> {
    bytes: &'a [u8],
    branch: &'a [Token],
}

impl Arms<'_> {
    fn word(&self, i: usize) -> &[u8] {
        self.branch.get(i).map_or(b"", |t| t.word(self.bytes))
    }

    /// `else if (a) x;`, any number of them, and perhaps a last `else y;`.
    fn behind(&self) -> bool {
        let mut i = 0;
        while i < self.branch.len() {
            if self.word(i) != b"else" {
                return false;
            }
            let last = self.word(i + 1) != b"if";
            let body = if last { Some(i + 1) } else { self.bracket(i + 2, b'(', b')') };
            match body.and_then(|b| self.body(b)) {
                Some(end) if !last || end == self.branch.len() => i = end,
                _ => return false,
            }
        }
        true
    }

    /// `if (a) x; else`, any number of them: what follows is an arm with them, and stands alone without.
    fn before(&self) -> bool {
        let mut i = 0;
        while i < self.branch.len() {
            let body = Some(i).filter(|_| self.word(i) == b"if").and_then(|i| self.bracket(i + 1, b'(', b')'));
            match body.and_then(|b| self.body(b)) {
                Some(end) if self.word(end) == b"else" => i = end + 1,
                _ => return false,
            }
        }
        true
    }

    /// `} else if (a) { x;`, any number of them: the block that is open before is open behind.
    fn between(&self) -> bool {
        let mut i = 0;
        while i < self.branch.len() {
            if !self.branch[i].is(b'}') || self.word(i + 1) != b"else" {
                return false;
            }
            let open = if self.word(i + 2) == b"if" { self.bracket(i + 3, b'(', b')') } else { Some(i + 2) };
            let Some(open) = open.filter(|&o| self.branch.get(o).is_some_and(|t| t.is(b'{'))) else { return false };
            match self.bracket(open, b'{', b'}') {
                Some(end) => i = end - 1,
                None => return whole(self.bytes, &self.branch[open + 1..]),
            }
        }
        false
    }

    /// Index behind a block in braces or a statement that holds no other one: an `else` behind it is not its own.
    fn body(&self, from: usize) -> Option<usize> {
        if self.branch.get(from)?.is(b'{') {
            return self.bracket(from, b'{', b'}');
        }
        let mut i = from;
        loop {
            let t = self.branch.get(i)?;
            let w = t.word(self.bytes);
            match t.kind {
                TokKind::Punct(b';') => return Some(i + 1),
                TokKind::Punct(b'(') => i = self.bracket(i, b'(', b')')?,
                TokKind::Punct(b'{' | b'}') | TokKind::Preproc => return None,
                _ if matches!(w, b"if" | b"else" | b"for" | b"while" | b"do" | b"switch") => return None,
                _ => i += 1,
            }
        }
    }

    /// Index behind the bracket that closes the one at `from`, which must be `open`.
    fn bracket(&self, from: usize, open: u8, close: u8) -> Option<usize> {
        let mut depth = 0usize;
        for (i, t) in self.branch.iter().enumerate().skip(from) {
            if t.is(open) {
                depth += 1;
            } else if t.is(close) {
                depth = depth.checked_sub(1)?;
            }
            if depth == 0 {
                return (i > from).then_some(i + 1);
            }
        }
        None
    }
}

/// The word behind the `#`.
fn directive(line: &[u8]) -> &[u8] {
    let rest = line.get(1..).unwrap_or(b"").trim_ascii_start();
    let end = rest.iter().position(|&b| !lex::is_word_byte(b)).unwrap_or(rest.len());
    &rest[..end]
}

/// What stands behind the word of a directive.
fn directive_rest(line: &[u8]) -> &[u8] {
    let rest = line.get(1..).unwrap_or(b"").trim_ascii_start();
    rest[directive(line).len()..].trim_ascii()
}
