//! What macros do behind the back of a function: they set a variable that they are given, or that they name
//! themselves, and touch a member whose name they are given. Nothing is expanded: their text is read for it.

use super::super::engine::Engine;
use super::runs_over;
use crate::ast::{ExprKind, Function, StmtKind};
use crate::kernel::Api;
use crate::lex::{self, TokKind, Token};
use crate::source::{FileId, Name, Span};
use crate::split::ItemKind;

/// Macros within macros that are looked at; behind that anything may be.
const MAX_DEPTH: u32 = 4;

/// One definition of a macro.
pub(in super::super) struct Macro {
    pub home: FileId,
    pub text: Vec<u8>,
    pub params: Vec<Vec<u8>>,
    /// It takes arguments.
    called: bool,
    pub body: Vec<Token>,
}

impl Macro {
    /// All definitions of a name in the first file that has one.
    pub fn all(e: &Engine, file: FileId, name: &str) -> Vec<Self> {
        let Some((home, _)) = e.index.visible_item(file, name, &[ItemKind::Define]) else { return Vec::new() };
        let Some(items) = e.index.items(home) else { return Vec::new() };
        let all = items.named(name).filter(|(_, i)| i.kind == ItemKind::Define);
        // From the name on: with its `#` the line is one token.
        all.map(|(_, i)| Self::new(home, Span { start: i.name_span.end, end: i.span.end }.of(&items.text))).collect()
    }

    pub fn new(home: FileId, text: &[u8]) -> Self {
        let mut toks: Vec<Token> = lex::code(text).filter(|t| !t.is(b'\\')).collect();
        let called = toks.first().is_some_and(|t| t.is(b'(') && t.span.start == 0);
        let mut params = Vec::new();
        if called {
            let end = toks.iter().position(|t| t.is(b')')).unwrap_or(toks.len() - 1);
            let head: Vec<Token> = toks.drain(..=end).collect();
            params.extend(head.iter().filter(|t| t.kind == TokKind::Ident).map(|t| t.word(text).to_vec()));
        }
        Self { home, text: text.to_vec(), params, called, body: toks }
    }

    pub fn word(&self, i: usize) -> &[u8] {
        self.body.get(i).map_or(&[], |t| t.word(&self.text))
    }

    pub fn is(&self, i: usize, c: u8) -> bool {
        self.body.get(i).is_some_and(|t| t.is(c))
    }

    /// Where a word stands, other than as a member.
    fn places(&self, word: &[u8]) -> Vec<usize> {
        (0..self.body.len()).filter(|&i| self.word(i) == word && !self.member(i)).collect()
    }

    pub fn member(&self, i: usize) -> bool {
        i > 0 && (self.is(i - 1, b'.') || i > 1 && self.is(i - 1, b'>') && self.is(i - 2, b'-'))
    }

    pub fn called(&self) -> bool {
        self.called
    }

    /// Other names that it may stand for, or that it calls.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.body.len()).filter_map(|i| std::str::from_utf8(self.word(i)).ok()).filter(|w| !w.is_empty())
    }

    /// The call that has the tokens from `l` to `r` as an argument: its name, and which argument it is.
    fn argument(&self, l: usize, r: usize) -> Option<(&str, usize)> {
        let alone = l > 0 && (self.is(l - 1, b'(') || self.is(l - 1, b','));
        if !alone || !(self.is(r + 1, b')') || self.is(r + 1, b',')) {
            return None;
        }
        let (mut depth, mut k) = (0, 0);
        for i in (0..l).rev() {
            match self.body[i].kind {
                TokKind::Punct(b')') => depth += 1,
                TokKind::Punct(b'(') if depth == 0 => {
                    let name = std::str::from_utf8(self.word(i.checked_sub(1)?)).ok()?;
                    return (!name.is_empty()).then_some((name, k));
                }
                TokKind::Punct(b'(') => depth -= 1,
                TokKind::Punct(b',') if depth == 0 => k += 1,
                _ => {}
            }
        }
        None
    }

    /// Whether the word at a place may get another value: it is assigned to, or its address is taken.
    fn set_at(&self, e: &Engine, file: FileId, at: usize, depth: u32) -> bool {
        let (mut l, mut r) = (at, at);
        while l > 0 && self.is(l - 1, b'(') && self.is(r + 1, b')') && (l < 2 || self.word(l - 2).is_empty()) {
            (l, r) = (l - 1, r + 1);
        }
        let twice = |a: usize, b: usize| [b'+', b'-'].iter().any(|c| self.is(a, *c) && self.is(b, *c));
        if twice(r + 1, r + 2) || l > 1 && twice(l - 2, l - 1) {
            return true;
        }
        let shifts = [b'<', b'>'].iter().any(|c| self.is(r + 1, *c) && self.is(r + 2, *c)) && self.is(r + 3, b'=');
        let with = b"+-*/|&^%".iter().any(|c| self.is(r + 1, *c)) && self.is(r + 2, b'=');
        if self.is(r + 1, b'=') && !self.is(r + 2, b'=') || with || shifts {
            return true;
        }
        // An operand of assembly stands behind a string.
        let before = |n: usize| l.checked_sub(n).and_then(|i| self.body.get(i));
        if before(1).is_some_and(|t| t.kind == TokKind::Str) {
            return true;
        }
        let value =
            |t: &Token| t.is(b')') || t.is(b']') || t.is(b'&') || matches!(t.kind, TokKind::Number | TokKind::Ident);
        if before(1).is_some_and(|t| t.is(b'&')) && !before(2).is_some_and(value) {
            return true;
        }
        self.argument(l, r).is_some_and(|(name, k)| {
            Api::get().sets_variable(name) || Api::get().is_copying(name) || sets_argument(e, file, name, k, depth + 1)
        })
    }
}

/// Whether a macro may set the variable that it is given as argument `k`.
fn sets_argument(e: &Engine, file: FileId, name: &str, k: usize, depth: u32) -> bool {
    Macro::all(e, file, name).iter().any(|m| {
        if depth > MAX_DEPTH {
            return true;
        }
        if !m.called {
            return m.names().any(|n| n != name && sets_argument(e, file, n, k, depth + 1));
        }
        match m.params.get(k) {
            Some(p) => m.places(p).into_iter().any(|i| m.set_at(e, file, i, depth)),
            // Of `...` all are one word.
            None => m.places(b"__VA_ARGS__").into_iter().any(|i| m.set_at(e, file, i, depth)),
        }
    })
}

/// Whether a macro sets a variable of this name, which it is not given. Those that the kernel has for all do not.
fn sets_by_name(e: &Engine, file: FileId, name: &str, variable: &Name, depth: u32) -> bool {
    Macro::all(e, file, name).iter().filter(|m| !e.index.is_public_header(m.home)).any(|m| {
        let own = !m.params.iter().any(|p| p == variable.as_bytes());
        let here = || m.places(variable.as_bytes()).into_iter().any(|i| m.set_at(e, file, i, depth));
        let inner = || m.names().any(|n| n != name && sets_by_name(e, file, n, variable, depth + 1));
        depth > MAX_DEPTH || own && (here() || inner())
    })
}

/// Whether a macro, or assembly, may set a variable of a function.
pub(in super::super) fn sets(e: &Engine, file: FileId, func: &Function, variable: &Name) -> bool {
    let mut found = runs_over(func, variable);
    func.body.walk(&mut |s| match &s.kind {
        StmtKind::Asm => found = true,
        StmtKind::Iterate { name, .. } => found |= sets_by_name(e, file, name, variable, 0),
        _ => {}
    });
    func.body.walk_exprs(&mut |x| {
        found = found
            || match &x.kind {
                ExprKind::Ident(n) => sets_by_name(e, file, n, variable, 0),
                ExprKind::Call { args, .. } => x.call().is_some_and(|(n, _)| {
                    let mut given = args.iter().enumerate().filter(|a| a.1.ident() == Some(variable));
                    given.any(|(k, _)| sets_argument(e, file, n, k, 0))
                }),
                _ => false,
            };
    });
    found
}

/// Whether a macro takes argument `k` for the name of a member.
pub(super) fn takes_member(e: &Engine, file: FileId, name: &str, k: usize, depth: u32) -> bool {
    Macro::all(e, file, name).iter().any(|m| {
        if depth > MAX_DEPTH {
            return true;
        }
        if !m.called {
            return m.names().any(|n| n != name && takes_member(e, file, n, k, depth + 1));
        }
        let Some(p) = m.params.get(k) else { return false };
        (0..m.body.len()).filter(|i| m.word(*i) == &p[..]).any(|i| {
            let pasted = m.is(i + 1, b'#') || i > 0 && m.is(i - 1, b'#');
            let handed = || m.argument(i, i).is_some_and(|(n, k)| takes_member(e, file, n, k, depth + 1));
            m.member(i) || pasted || handed()
        })
    })
}

/// Whether a macro makes a word by `##` that may be this one.
pub(super) fn may_paste(text: &[u8], word: &[u8]) -> bool {
    let m = Macro::new(FileId(0), text);
    let glued = |i: usize| m.is(i, b'#') && m.is(i + 1, b'#');
    // Of what is no parameter the text is known.
    let known = |i: usize| Some(m.word(i)).filter(|w| !m.params.iter().any(|p| p == w)).unwrap_or_default();
    let mut i = 0;
    while i < m.body.len() {
        let start = i;
        while glued(i + 1) {
            i += 3;
        }
        if i > start && word.starts_with(known(start)) && word.ends_with(known(i)) {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether the text of a macro has this word for a member, or other than as a parameter: another name of the member.
pub(super) fn has_member(text: &[u8], word: &[u8]) -> bool {
    let m = Macro::new(FileId(0), text);
    let param = m.params.iter().any(|p| p == word);
    let pasted = |i: usize| (m.is(i + 1, b'#') && m.is(i + 2, b'#')) || i > 1 && m.is(i - 1, b'#') && m.is(i - 2, b'#');
    (0..m.body.len()).any(|i| m.word(i) == word && (m.member(i) || !param) || m.member(i) && pasted(i))
}
