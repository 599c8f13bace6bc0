//! Which functions a member of a struct can hold: what initialisers and assignments put into a function pointer.
//!
//! An answer must not miss a function, since the call through the pointer is taken to reach these and no other. So
//! everything that can see the struct is searched, by the name of the member alone where tokens do not tell the type of
//! the object, and one store of anything but a function that can be found means that nothing is known. Works on tokens:
//! most functions that touch a member only call it. Which object holds which table is not known here.

use super::{FnRef, Index, Reach, outer_tag};
use crate::lex::{self, TokKind, Token, is_word_byte};
use crate::source::{FileId, Name, Span};
use crate::split::{Item, ItemKind};
use std::collections::BTreeSet;

/// Functions behind one pointer at most; more is a table of another kind (`probe` of a bus).
const MAX_HELD: usize = 24;

/// Files that name the member at most. The ops tables of v5.2.1 that pages go through are named in 2 to 40.
const MAX_NAMING: usize = 120;

/// Functions that call through a member at most.
const MAX_CALLERS: usize = 40;

/// A question: the member of a struct, as seen from a file.
pub type Asked = (FileId, Name, Name);

/// What is known of a member.
#[derive(Debug)]
pub struct Held {
    /// The functions that it can hold.
    pub functions: Vec<FnRef>,
    /// The functions that call through a member of this name; `None` when they are many.
    pub callers: Option<Vec<FnRef>>,
}

impl Index {
    /// What these members can hold; `None` where a store is not understood, or where most of the tree sees the struct.
    pub fn held(&self, asked: &[Asked]) -> Vec<Option<Held>> {
        let groups: Vec<(Vec<FileId>, Vec<&str>)> = asked
            .iter()
            .map(|(file, tag, member)| (self.sharing(*file, tag), vec![&**member, outer_tag(tag)]))
            .collect();
        let hits = self.tree.grep_groups(&groups);
        asked
            .iter()
            .zip(hits)
            .map(|((_, tag, member), hits)| {
                if hits.iter().filter(|h| h.1.contains(&0)).count() > MAX_NAMING {
                    return None;
                }
                let (tag, member) = (outer_tag(tag).as_bytes(), member.as_bytes());
                let mut look = Look { index: self, tag, member, found: BTreeSet::new(), callers: Vec::new() };
                let known = hits.iter().all(|h| look.file(h.0)) && (1..=MAX_HELD).contains(&look.found.len());
                let Look { found, callers, .. } = look;
                known.then(|| Held {
                    functions: found.into_iter().collect(),
                    callers: (callers.len() <= MAX_CALLERS).then_some(callers),
                })
            })
            .collect()
    }

    /// Files that can name the members of a struct; none when they are most of the tree.
    fn sharing(&self, file: FileId, tag: &str) -> Vec<FileId> {
        let Some((home, _)) = self.struct_item(file, tag) else { return Vec::new() };
        match self.struct_reach(home) {
            Reach::File => vec![home],
            Reach::Folder => self.folder_files(home),
            Reach::Tree => self.seen_by(home).map(|v| v.to_vec()).unwrap_or_default(),
        }
    }
}

/// One search.
struct Look<'a> {
    index: &'a Index,
    tag: &'a [u8],
    member: &'a [u8],
    found: BTreeSet<FnRef>,
    callers: Vec<FnRef>,
}

impl Look<'_> {
    /// Reads a file; false if something in it is not understood.
    fn file(&mut self, file: FileId) -> bool {
        let Ok(text) = self.index.tree.read(file) else { return false };
        if by_position(&text, self.tag) {
            return false;
        }
        if !touched(&text, self.member) {
            return true;
        }
        let Some(items) = self.index.items(file) else { return false };
        for (i, item) in items.items.iter().enumerate() {
            let inside = item.span.of(&items.text);
            if !touched(inside, self.member) {
                continue;
            }
            let at = FnRef { file, item: i as u32 };
            let fine = match item.kind {
                ItemKind::Define => {
                    // Of a macro, the text behind `#define`.
                    let body = Span { start: item.name_span.end, end: item.span.end };
                    let body = body.of(&items.text);
                    !tokens(body).windows(4).any(|w| is_member(body, w, self.member) && stores(&w[2..]))
                }
                _ => self.item(at, item, inside),
            };
            if !fine {
                return false;
            }
        }
        true
    }

    fn item(&mut self, at: FnRef, item: &Item, text: &[u8]) -> bool {
        let toks = tokens(text);
        let head = item.body.map_or(item.name_span.end, |b| b.start) - item.span.start;
        let other = item.kind == ItemKind::Variable && self.of_another(text, &toks);
        let mut depth = 0i32;
        let array = toks.iter().take_while(|t| !t.is(b'=')).any(|t| t.is(b'['));
        for i in 0..toks.len() {
            let t = toks[i];
            depth += i32::from(t.is(b'{')) - i32::from(t.is(b'}'));
            if i < 1 || !is_member(text, &toks[i - 1..], self.member) {
                continue;
            }
            let rest = &toks[i + 1..];
            // A field of another struct, which has one of this name.
            if other && depth == 1 + i32::from(array) && toks[i - 1].is(b'.') {
                continue;
            }
            if stores(rest) {
                let fine = match self.stored(text, &rest[1..]) {
                    Stored::Nothing => true,
                    Stored::Function(name) => {
                        let name_text = String::from_utf8_lossy(name);
                        // A parameter of the name of a function is no function.
                        let hidden = item.kind == ItemKind::Function
                            && toks.iter().any(|t| t.span.start < head && t.word(text) == name);
                        !hidden && self.take(at.file, &name_text)
                    }
                    Stored::Other => false,
                };
                if !fine {
                    return false;
                }
            } else if rest.first().is_some_and(|t| t.is(b'(')) {
                if item.kind == ItemKind::Function && self.callers.last() != Some(&at) {
                    self.callers.push(at);
                }
            } else if address_taken(text, &toks[..i]) {
                return false;
            }
        }
        true
    }

    /// Whether the type of a variable is a struct of another tag.
    fn of_another(&self, text: &[u8], toks: &[Token]) -> bool {
        let head = toks.iter().take_while(|t| !t.is(b'='));
        let words: Vec<&[u8]> = head.map(|t| t.word(text)).collect();
        words.windows(2).any(|w| w[0] == b"struct" && w[1] != self.tag && !w[1].is_empty())
    }

    fn stored<'t>(&self, text: &'t [u8], rhs: &[Token]) -> Stored<'t> {
        let ends = |t: Option<&Token>| t.is_none_or(|t| matches!(t.kind, TokKind::Punct(b',' | b';' | b'}' | b')')));
        let skip = usize::from(rhs.first().is_some_and(|t| t.is(b'&')));
        let rhs = &rhs[skip..];
        let Some(first) = rhs.first() else { return Stored::Other };
        if ends(rhs.get(1)) {
            return match first.kind {
                TokKind::Ident if first.word(text) == b"NULL" => Stored::Nothing,
                TokKind::Number if first.span.of(text) == b"0" => Stored::Nothing,
                TokKind::Ident => Stored::Function(first.word(text)),
                _ => Stored::Other,
            };
        }
        // The same member of another object.
        let chain =
            rhs.iter().take_while(|t| t.kind == TokKind::Ident || matches!(t.kind, TokKind::Punct(b'.' | b'-' | b'>')));
        let chain: Vec<Token> = chain.copied().collect();
        let last = chain.last().is_some_and(|t| t.word(text) == self.member);
        let closed = rhs.get(chain.len()).is_none_or(|t| t.is(b'=') || ends(Some(t)));
        if skip == 0 && last && closed && chain.len() > 1 { Stored::Nothing } else { Stored::Other }
    }

    fn take(&mut self, file: FileId, name: &str) -> bool {
        let near = self.index.definition_near(file, name);
        let found = near
            .or_else(|| self.index.defined_elsewhere(&[(file, name.into())]).into_iter().next().flatten().flatten());
        self.found.extend(found);
        found.is_some()
    }
}

/// What a store puts into the member.
enum Stored<'t> {
    Nothing,
    Function(&'t [u8]),
    Other,
}

fn tokens(text: &[u8]) -> Vec<Token> {
    lex::code(text).filter(|t| t.kind != TokKind::Preproc).collect()
}

/// Whether these tokens are the end of `.` or `->`, and the member.
fn is_member(text: &[u8], toks: &[Token], member: &[u8]) -> bool {
    let [dot, word, ..] = toks else { return false };
    (dot.is(b'.') || dot.is(b'>') && dot.span.start > 0 && text.get(dot.span.start as usize - 1) == Some(&b'-'))
        && word.word(text) == member
}

/// Whether `=` follows, and not `==`.
fn stores(rest: &[Token]) -> bool {
    rest.first().is_some_and(|t| t.is(b'=')) && !rest.get(1).is_some_and(|t| t.is(b'='))
}

/// Whether the word stands behind `.` or `->`.
fn touched(text: &[u8], member: &[u8]) -> bool {
    memchr::memmem::find_iter(text, member).any(|at| {
        let after = text.get(at + member.len()).is_some_and(|b| is_word_byte(*b));
        let before = text[..at].trim_ascii_end();
        !after && (before.ends_with(b".") || before.ends_with(b"->"))
    })
}

/// Whether a struct of this tag is initialised by position: `struct tag name = { f, g }`, `(struct tag){ f }`.
fn by_position(text: &[u8], tag: &[u8]) -> bool {
    memchr::memmem::find_iter(text, tag).any(|at| {
        let word = !text.get(at + tag.len()).is_some_and(|b| is_word_byte(*b));
        if !word || !text[..at].trim_ascii_end().ends_with(b"struct") {
            return false;
        }
        let rest = &text[at + tag.len()..text.len().min(at + tag.len() + 400)];
        let mut toks = lex::code(rest).filter(|t| t.kind != TokKind::Preproc);
        // Up to the first brace stands a name, `[…]`, attributes and `=`; a pointer or a function is another thing.
        let (mut equals, mut first, mut opened) = (false, true, false);
        for t in toks.by_ref() {
            match t.kind {
                TokKind::Punct(b';' | b'*') => return false,
                TokKind::Punct(b'(' | b',') if first || !equals => return false,
                TokKind::Punct(b')') if first => equals = true,
                TokKind::Punct(b'=') => equals = true,
                TokKind::Punct(b'{') => {
                    opened = equals;
                    break;
                }
                _ => {}
            }
            first = false;
        }
        let element = toks.find(|t| !t.is(b'{'));
        opened
            && element.is_some_and(|t| match t.kind {
                TokKind::Punct(b'.' | b'[' | b'}') => false,
                TokKind::Number => t.span.of(rest) != b"0",
                _ => true,
            })
    })
}

/// Whether the object before a member is behind a `&`.
fn address_taken(text: &[u8], before: &[Token]) -> bool {
    let mut depth = 0;
    let mut i = before.len();
    while let Some(t) = i.checked_sub(1).map(|k| before[k]) {
        i -= 1;
        match t.kind {
            TokKind::Punct(b')' | b']') => depth += 1,
            TokKind::Punct(b'(' | b'[') if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            TokKind::Punct(b'.' | b'-' | b'>') => {}
            TokKind::Ident if !matches!(t.word(text), b"return" | b"if" | b"while") => {}
            TokKind::Punct(b'&') => {
                let left = i.checked_sub(1).map(|k| before[k]);
                // `a && b`, `a & b`
                return !left.is_some_and(|l| {
                    l.is(b'&') || l.is(b')') || l.is(b']') || matches!(l.kind, TokKind::Ident | TokKind::Number)
                });
            }
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialisers_by_position() {
        assert!(by_position(b"static struct ops a = { f, g };", b"ops"));
        assert!(by_position(b"static const struct ops a[] = { { f }, { g } };", b"ops"));
        assert!(by_position(b"x = (struct ops){ f };", b"ops"));
        assert!(!by_position(b"static struct ops a = { .get = f };", b"ops"));
        assert!(!by_position(b"static struct ops a = { 0 };", b"ops"));
        assert!(!by_position(b"static struct ops a[] = { { .get = f } };", b"ops"));
        assert!(!by_position(b"struct ops { int (*get)(void); };", b"ops"));
        assert!(!by_position(b"int f(struct ops *o) { g(); }", b"ops"));
        assert!(!by_position(b"struct ops_more a = { f };", b"ops"));
    }

    #[test]
    fn addresses() {
        let taken = |s: &[u8]| {
            let t = tokens(s);
            address_taken(s, &t[..t.len() - 1])
        };
        assert!(taken(b"f(&a->b"));
        assert!(taken(b"p = &a.c[2].b"));
        assert!(!taken(b"if (x && a->b"));
        assert!(!taken(b"return a->b"));
        assert!(!taken(b"y = m & a->b"));
    }

    #[test]
    fn touching_a_member() {
        assert!(touched(b"a->get(x)", b"get"));
        assert!(touched(b"{ .get\t= f }", b"get"));
        assert!(!touched(b"a->get_page(x)", b"get"));
        assert!(!touched(b"get(x)", b"get"));
    }
}
