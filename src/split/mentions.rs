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
}

/// Calls `f` for each word of the bytes of `span` that stands there in the given way, with its offset in `text`, until
/// it says that it has seen enough. Preprocessor lines, comments and strings do not count.
pub fn mentions(text: &[u8], span: Span, how: As, f: &mut dyn FnMut(&[u8], u32) -> bool) {
    let body = span.of(text);
    let mut tokens = lex::code(body).filter(|t| t.kind != TokKind::Preproc).peekable();
    let (mut prev, mut prev2): (Option<Token>, Option<Token>) = (None, None);
    while let Some(t) = tokens.next() {
        let word = t.word(body);
        let fits = !word.is_empty()
            && match how {
                As::Word => true,
                As::Call => tokens.peek().is_some_and(|n| n.is(b'(')),
                As::Field => {
                    prev.is_some_and(|p| p.is(b'.'))
                        || prev.is_some_and(|p| p.is(b'>')) && prev2.is_some_and(|p| p.is(b'-'))
                }
            };
        if fits && f(word, span.start + t.span.start) {
            return;
        }
        prev2 = prev;
        prev = Some(t);
    }
}
