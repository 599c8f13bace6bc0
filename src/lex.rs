//! Cuts bytes into C tokens: comments, strings, preprocessor lines, words, numbers, punctuation.
//!
//! Light on purpose: it is run over whole files, so one pass, no table of keywords, no copying, and punctuation comes
//! byte by byte (`->` is `-` then `>`). It deliberately knows no grammar and no macro. It cannot fail: a comment that
//! is not closed ends with the text, a string that is not closed ends with its line.

use crate::source::Span;
use memchr::{memchr, memmem};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokKind {
    /// A word: identifier or keyword.
    Ident,
    /// A number, as the preprocessor sees it (`0x1fUL`, `1e-3`).
    Number,
    /// A string literal, without its prefix.
    Str,
    /// A character constant, without its prefix.
    Char,
    /// One byte of punctuation, or any other byte that is no white space.
    Punct(u8),
    /// A comment of either kind; a line comment does not include its newline.
    Comment,
    /// A preprocessor line with its continuation lines, without the last newline.
    Preproc,
}

/// A token and the bytes that it covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokKind,
    /// Where, relative to the text that was handed to [`tokens`].
    pub span: Span,
}

impl Token {
    /// Whether it is the punctuation byte `b`.
    pub fn is(&self, b: u8) -> bool {
        self.kind == TokKind::Punct(b)
    }
    /// The word, or an empty slice when it is no word.
    pub fn word<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        if self.kind == TokKind::Ident { self.span.of(text) } else { b"" }
    }
}

const SPACE: u8 = 1;
const WORD: u8 = 2;
const DIGIT: u8 = 4;
/// Braces, and what may hide one or open a line of the preprocessor.
const NESTS: u8 = 8;

/// Class of every byte: one load a byte instead of a chain of comparisons.
static CLASS: [u8; 256] = {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        t[i] = match b {
            b'\n' => SPACE | NESTS,
            b' ' | b'\t' | b'\r' | 11 | 12 => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => WORD,
            b'0'..=b'9' => DIGIT,
            b'{' | b'}' | b'"' | b'\'' | b'/' | b'#' => NESTS,
            _ => 0,
        };
        i += 1;
    }
    t
};

/// Whether the byte can stand inside a word.
pub fn is_word_byte(b: u8) -> bool {
    CLASS[b as usize] & (WORD | DIGIT) != 0
}

/// The tokens of `text`, in order, comments included. Text behind 4 GiB is not seen, as spans cannot name it.
pub fn tokens(text: &[u8]) -> Tokens<'_> {
    let end = text.len().min(u32::MAX as usize);
    Tokens { text: &text[..end], pos: 0, line_start: true }
}

/// Like [`tokens`], comments left out.
pub fn code(text: &[u8]) -> impl Iterator<Item = Token> + '_ {
    tokens(text).filter(|t| t.kind != TokKind::Comment)
}

/// Iterator of [`tokens`].
pub struct Tokens<'a> {
    text: &'a [u8],
    pos: usize,
    /// Nothing but white space and comments since the last newline: a `#` opens a preprocessor line.
    line_start: bool,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let t = self.text;
        let mut i = self.pos;
        while let Some(&b) = t.get(i) {
            if CLASS[b as usize] & SPACE == 0 {
                break;
            }
            if b == b'\n' {
                self.line_start = true;
            }
            i += 1;
        }
        let &b = t.get(i)?;
        let (kind, end) = match CLASS[b as usize] {
            WORD => (TokKind::Ident, word_end(t, i + 1)),
            DIGIT => (TokKind::Number, number_end(t, i + 1)),
            _ => match b {
                b'/' if t.get(i + 1) == Some(&b'*') => (TokKind::Comment, block_comment_end(t, i)),
                b'/' if t.get(i + 1) == Some(&b'/') => (TokKind::Comment, line_comment_end(t, i)),
                b'"' => (TokKind::Str, quoted_end(t, i)),
                b'\'' => (TokKind::Char, quoted_end(t, i)),
                b'#' if self.line_start => (TokKind::Preproc, directive_end(t, i)),
                b'.' if t.get(i + 1).is_some_and(u8::is_ascii_digit) => (TokKind::Number, number_end(t, i + 1)),
                _ => (TokKind::Punct(b), i + 1),
            },
        };
        if kind != TokKind::Comment {
            self.line_start = false;
        }
        self.pos = end;
        Some(Token { kind, span: Span::new(i, end) })
    }
}

impl Tokens<'_> {
    /// The next brace or preprocessor line; all that stands before it is passed over, a good deal faster than token by
    /// token.
    pub fn next_brace(&mut self) -> Option<Token> {
        let t = self.text;
        let mut i = self.pos;
        // While nothing but white space stands between here and a `#`, that opens a preprocessor line.
        let mut fresh = if self.line_start { i } else { usize::MAX };
        let blank =
            |from: usize, to: usize| t.get(from..to).is_some_and(|b| b.iter().all(|b| CLASS[*b as usize] & SPACE != 0));
        while let Some(&b) = t.get(i) {
            if CLASS[b as usize] & NESTS == 0 {
                i += 1;
                continue;
            }
            let (kind, end) = match b {
                b'\n' => {
                    i += 1;
                    fresh = i;
                    continue;
                }
                b'"' | b'\'' => {
                    i = quoted_end(t, i);
                    fresh = usize::MAX;
                    continue;
                }
                b'/' if matches!(t.get(i + 1), Some(b'*' | b'/')) => {
                    let before = blank(fresh, i);
                    i = if t[i + 1] == b'*' { block_comment_end(t, i) } else { line_comment_end(t, i) };
                    fresh = if before { i } else { usize::MAX };
                    continue;
                }
                b'{' | b'}' => (TokKind::Punct(b), i + 1),
                b'#' if blank(fresh, i) => (TokKind::Preproc, directive_end(t, i)),
                _ => {
                    i += 1;
                    continue;
                }
            };
            self.line_start = false;
            self.pos = end;
            return Some(Token { kind, span: Span::new(i, end) });
        }
        self.pos = t.len();
        None
    }
}

fn word_end(t: &[u8], mut i: usize) -> usize {
    while t.get(i).is_some_and(|&b| is_word_byte(b)) {
        i += 1;
    }
    i
}

fn number_end(t: &[u8], mut i: usize) -> usize {
    let hex = matches!(t.get(i), Some(b'x' | b'X'));
    while let Some(&b) = t.get(i) {
        let sign = (b == b'+' || b == b'-')
            && match t[i - 1] {
                b'e' | b'E' => !hex,
                b'p' | b'P' => hex,
                _ => false,
            };
        if !(is_word_byte(b) || b == b'.' || sign) {
            break;
        }
        i += 1;
    }
    i
}

fn block_comment_end(t: &[u8], i: usize) -> usize {
    memmem::find(&t[i + 2..], b"*/").map_or(t.len(), |k| i + 2 + k + 2)
}

fn line_comment_end(t: &[u8], mut i: usize) -> usize {
    while let Some(k) = memchr(b'\n', &t[i..]) {
        let nl = i + k;
        if !continued(t, nl) {
            return nl;
        }
        i = nl + 1;
    }
    t.len()
}

/// Whether the newline at `nl` is spliced away by a backslash (a carriage return may stand between).
fn continued(t: &[u8], nl: usize) -> bool {
    let before = if nl > 0 && t[nl - 1] == b'\r' { nl - 1 } else { nl };
    before > 0 && t[before - 1] == b'\\'
}

/// End of the string or character constant that opens at `i`.
fn quoted_end(t: &[u8], i: usize) -> usize {
    let quote = t[i];
    let mut k = i + 1;
    while let Some(&b) = t.get(k) {
        match b {
            b'\\' if t.get(k + 1) == Some(&b'\r') && t.get(k + 2) == Some(&b'\n') => k += 3,
            b'\\' => k += 2,
            b'\n' => return k,
            _ if b == quote => return k + 1,
            _ => k += 1,
        }
    }
    t.len()
}

fn directive_end(t: &[u8], i: usize) -> usize {
    let mut k = i;
    while let Some(&b) = t.get(k) {
        match b {
            b'\n' if !continued(t, k) => return k,
            b'/' if t.get(k + 1) == Some(&b'*') => k = block_comment_end(t, k),
            b'/' if t.get(k + 1) == Some(&b'/') => return line_comment_end(t, k),
            // An apostrophe in `#error don't` ends with the line, as an open string does.
            b'"' | b'\'' => k = quoted_end(t, k),
            _ => k += 1,
        }
    }
    t.len()
}
