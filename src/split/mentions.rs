//! Words in a body, by how they stand there: tokens only, nothing is parsed.

use crate::lex::{self, TokKind, Token};
use crate::source::Span;

/// How a body names a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum As {
    /// In any way.
    Word,
    /// With a `(` behind it.
    Call,
    /// Behind `->` or `.`.
    Field,
    /// Neither of both: of a function, its address is taken.
    Value,
}

/// Calls `f` for each word of the bytes of `span` that stands there in the given way, with its offset in `text`, until
/// it says that it has seen enough. Preprocessor lines, comments and strings do not count.
pub fn mentions(text: &[u8], span: Span, how: As, f: &mut dyn FnMut(&[u8], u32) -> bool) {
    let body = span.of(text);
    let mut tokens = lex::code(body).filter(|t| t.kind != TokKind::Preproc).peekable();
    let (mut prev, mut prev2): (Option<Token>, Option<Token>) = (None, None);
    while let Some(t) = tokens.next() {
        let word = t.word(body);
        let mut called = || tokens.peek().is_some_and(|n| n.is(b'('));
        let field =
            prev.is_some_and(|p| p.is(b'.')) || prev.is_some_and(|p| p.is(b'>')) && prev2.is_some_and(|p| p.is(b'-'));
        let fits = !word.is_empty()
            && match how {
                As::Word => true,
                As::Call => called(),
                As::Field => field,
                As::Value => !field && !called(),
            };
        if fits && f(word, span.start + t.span.start) {
            return;
        }
        prev2 = prev;
        prev = Some(t);
    }
}

/// Whether the word at `at` can stand there in the given way, by what is beside it: a quick look at a few bytes. True
/// where a comment or a continued line hides what that is.
pub fn may_mention(text: &[u8], at: usize, len: usize, how: As) -> bool {
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$';
    let (before, after) = (&text[..at], &text[at + len..]);
    if before.last().is_some_and(part) || after.first().is_some_and(part) {
        return false;
    }
    match how {
        As::Word | As::Value => true,
        As::Call => after.trim_ascii_start().first().is_some_and(|b| matches!(b, b'(' | b'/' | b'\\')),
        As::Field => before.trim_ascii_end().last().is_some_and(|b| matches!(b, b'.' | b'>' | b'/' | b'\\')),
    }
}

/// Whether the function `item` may touch the field of a struct with this tag: it does not when each object whose member
/// of that name it names is a variable that it declares, once or several times, as a pointer to another struct or as
/// one. Who is not known may be of that struct.
pub fn may_touch(text: &[u8], item: Span, body: Span, field: &[u8], tag: &[u8]) -> bool {
    let code = body.of(text);
    let mut last = [b"".as_slice(); 4];
    let mut others: Vec<&[u8]> = Vec::new();
    for t in lex::code(code).filter(|t| t.kind != TokKind::Preproc) {
        let word = t.span.of(code);
        let [before, object, a, b] = last;
        let base = match (a, b) {
            (b"-", b">") if word == field => Some((before, object)),
            (_, b".") if word == field => Some((object, a)),
            _ => None,
        };
        if let Some((before, object)) = base {
            // The member of a member, or of what a call or a cast gives: its struct is not written here.
            let plain = is_name(object) && !matches!(before, b"." | b">" | b")" | b"]");
            if !plain {
                return true;
            }
            if !others.contains(&object) {
                if !is_declared_as_other(item.of(text), object, tag) {
                    return true;
                }
                others.push(object);
            }
        }
        last = [object, a, b, word];
    }
    false
}

/// Whether the text of a function declares the variable as a struct, and never as one with this tag or of a type that
/// is not spelled out. Only the first of several declarators is seen; a variable of which no other is seen is not
/// known.
fn is_declared_as_other(function: &[u8], name: &[u8], tag: &[u8]) -> bool {
    let mut declared = false;
    // What stands in front of the name, stars and qualifiers left out.
    let mut last = [b"".as_slice(); 2];
    for t in lex::code(function).filter(|t| t.kind != TokKind::Preproc) {
        let word = t.span.of(function);
        if word == name {
            match last {
                [b"struct" | b"union", of] if is_name(of) && of == tag => return false,
                [b"struct" | b"union", of] if is_name(of) => declared = true,
                [_, of] if is_name(of) && !is_word_of_statement(of) => return false,
                _ => {}
            }
        }
        if !(t.is(b'*')
            || matches!(word, b"const" | b"volatile" | b"restrict" | b"__restrict" | b"__user" | b"__iomem"))
        {
            last = [last[1], word];
        }
    }
    declared
}

fn is_name(word: &[u8]) -> bool {
    word.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
}

/// A word behind which an expression begins.
fn is_word_of_statement(word: &[u8]) -> bool {
    matches!(word, b"return" | b"else" | b"do" | b"case" | b"goto" | b"sizeof" | b"struct" | b"union")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(code: &str) -> bool {
        let start = code.find('{').unwrap();
        may_touch(code.as_bytes(), Span::new(0, code.len()), Span::new(start, code.len()), b"page", b"box")
    }

    #[test]
    fn a_member_of_a_variable_declared_as_another_struct() {
        assert!(!touch("void f(struct bag *b) { put(b->page); }"));
        assert!(!touch("void f(void) { struct bag b = get(), *c; put(b.page); }"));
        assert!(!touch("void f(const struct bag __user *b) { x = 2 * b->page; return b->page; }"));
        assert!(!touch("void f(struct box *b) { put(b->pages); page = b->other; }"));
        assert!(!touch("void f(b) struct bag *b; { put(b->page); }"));
    }

    #[test]
    fn a_member_that_may_be_of_that_struct() {
        assert!(touch("void f(struct box *b) { put(b->page); }"));
        // By its words a declaration as well.
        assert!(touch("void f(struct bag *b) { x = y * b->page; }"));
        assert!(touch("void f(struct bag *b) { put(b->in.page); }"));
        assert!(touch("void f(struct bag *b) { put(b->page); { struct box *b = c; put(b->page); } }"));
        assert!(touch("void f(box_t *b) { put(b->page); }"));
        assert!(touch("void f(struct bag *b) { put(b->page); { box_t *b = c; } }"));
        assert!(touch("void f(struct bag *a, int n) { put(global->page); }"));
        assert!(touch("void f(struct bag *b) { put(((struct box *)b)->page); }"));
        assert!(touch("void f(struct bag *b) { put(of(b)->page); put(b[1].page); }"));
        assert!(touch("void f(struct bag *a, *b) { put(b->page); }"));
        assert!(touch("void f(void) { struct box b = { .page = p }; }"));
    }

    #[test]
    fn a_quick_look_lets_all_mentions_through() {
        let text = b"a -> page; page ( x ); a./* */page; mypage(1); page_no; a->page2; page /* */ (y);";
        let (mut looked, mut seen) = (0, 0);
        for how in [As::Call, As::Field, As::Word] {
            let hits = memchr::memmem::find_iter(text, "page").filter(|at| may_mention(text, *at, 4, how));
            looked += hits.count();
            mentions(text, Span::new(0, text.len()), how, &mut |w, at| {
                if w == b"page" {
                    seen += 1;
                    assert!(may_mention(text, at as usize, 4, how));
                }
                false
            });
        }
        assert_eq!((looked, seen), (8, 8));
    }
}
