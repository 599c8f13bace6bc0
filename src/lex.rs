//! Cuts bytes into C tokens: comments, strings, preprocessor lines, words, numbers, punctuation.
//!
//! Light on purpose: it is run over whole files, so one pass, no table of keywords, no copying, and punctuation comes
//! byte by byte (`->` is `-` then `>`). It deliberately knows no grammar and no macro. It cannot fail: a comment that
//! is not closed ends with the text, a string that is not closed ends with its line.

use crate::lanes::{self, BLOCK};
use crate::source::Span;
use memchr::{memchr, memchr_iter};

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

/// Class of every byte: one load a byte instead of a chain of comparisons.
static CLASS: [u8; 256] = {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        t[i] = match b {
            b' ' | b'\t' | b'\n' | b'\r' | 11 | 12 => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => WORD,
            b'0'..=b'9' => DIGIT,
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
        let from = self.pos;
        // End of a comment with nothing but white space and comments between the newline and it.
        let mut behind = if self.line_start { from } else { usize::MAX };
        // Whether a `#` at `i` opens a preprocessor line: the same of what is in front of it.
        let first = |i: usize, behind: usize| {
            let mut k = i;
            loop {
                if k == behind {
                    return true;
                }
                if k <= from || CLASS[t[k - 1] as usize] & SPACE == 0 {
                    return false;
                }
                if t[k - 1] == b'\n' {
                    return true;
                }
                k -= 1;
            }
        };
        // What nests, and what may hide a brace or open a line of the preprocessor.
        let mut ahead = Ahead::of(*b"{}\"'/#");
        let mut i = from;
        while let Some(at) = ahead.next(t, i) {
            i = at;
            let (kind, end) = match t[i] {
                b'"' | b'\'' => {
                    i = quoted_end(t, i);
                    continue;
                }
                b'/' if matches!(t.get(i + 1), Some(b'*' | b'/')) => {
                    let alone = first(i, behind);
                    i = if t[i + 1] == b'*' { block_comment_end(t, i) } else { line_comment_end(t, i) };
                    behind = if alone { i } else { usize::MAX };
                    continue;
                }
                b @ (b'{' | b'}') => (TokKind::Punct(b), i + 1),
                b'#' if first(i, behind) => (TokKind::Preproc, directive_end(t, i)),
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

/// Finds bytes of some values, a block at a time.
struct Ahead<const N: usize> {
    values: [u8; N],
    /// End of the block that was looked at last, and its bytes that are of interest.
    end: usize,
    found: u64,
}

impl<const N: usize> Ahead<N> {
    fn of(values: [u8; N]) -> Self {
        Self { values, end: 0, found: 0 }
    }

    /// The first one at `i` or behind it; `i` never goes back.
    fn next(&mut self, t: &[u8], mut i: usize) -> Option<usize> {
        loop {
            if i < self.end {
                let left = self.found >> (i + BLOCK - self.end);
                if left != 0 {
                    return Some(i + left.trailing_zeros() as usize);
                }
                i = self.end;
            }
            match t.get(i..).and_then(|t| t.first_chunk()) {
                Some(block) => (self.end, self.found) = (i + BLOCK, lanes::which(block, self.values)),
                None => return (i..t.len()).find(|&k| self.values.contains(&t[k])),
            }
        }
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
    // A slash is rarer than a star, and most comments are too short for a search that prepares itself.
    let inside = t.get(i + 3..).unwrap_or_default();
    memchr_iter(b'/', inside).map(|k| i + 3 + k).find(|k| t[k - 1] == b'*').map_or(t.len(), |k| k + 1)
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
    let mut ahead = Ahead::of(*b"\n\"'/");
    let mut k = i;
    while let Some(at) = ahead.next(t, k) {
        k = match t[at] {
            b'\n' if !continued(t, at) => return at,
            b'/' if t.get(at + 1) == Some(&b'*') => block_comment_end(t, at),
            b'/' if t.get(at + 1) == Some(&b'/') => return line_comment_end(t, at),
            // An apostrophe in `#error don't` ends with the line, as an open string does.
            b'"' | b'\'' => quoted_end(t, at),
            _ => at + 1,
        }
    }
    t.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Braces and preprocessor lines, as the tokens one by one give them.
    fn slowly(text: &[u8]) -> Vec<Token> {
        let wanted = |t: &Token| matches!(t.kind, TokKind::Punct(b'{' | b'}') | TokKind::Preproc);
        tokens(text).filter(wanted).collect()
    }

    /// The end of a comment, and of a preprocessor line, byte by byte.
    fn comment_end_slowly(t: &[u8], i: usize) -> usize {
        t.get(i + 2..).unwrap_or_default().windows(2).position(|w| w == b"*/").map_or(t.len(), |k| i + 4 + k)
    }

    fn directive_end_slowly(t: &[u8], mut k: usize) -> usize {
        while let Some(&b) = t.get(k) {
            match b {
                b'\n' if !continued(t, k) => return k,
                b'/' if t.get(k + 1) == Some(&b'*') => k = comment_end_slowly(t, k),
                b'/' if t.get(k + 1) == Some(&b'/') => return line_comment_end(t, k),
                b'"' | b'\'' => k = quoted_end(t, k),
                _ => k += 1,
            }
        }
        t.len()
    }

    proptest! {
        #[test]
        fn lines_and_comments_end_as_byte_by_byte(parts in proptest::collection::vec(0usize..12, 0..60)) {
            let of = ["/", "*", "/*", "*/", "\n", "\\\n", "\\\r\n", "\"", "'", "// ", "a_word_and_another ", "\\"];
            let text: Vec<u8> = parts.iter().flat_map(|p| of[*p].bytes()).collect();
            prop_assert_eq!(directive_end(&text, 0), directive_end_slowly(&text, 0));
            let comment = [b"/*", &text[..]].concat();
            prop_assert_eq!(block_comment_end(&comment, 0), comment_end_slowly(&comment, 0));
        }

        #[test]
        fn braces_are_found_as_one_by_one(parts in proptest::collection::vec(0usize..18, 0..80)) {
            let of = ["{", "}", "\n", "\n\n#if X", "#", " ", "\t", "\"a{\"", "'{'", "\"open", "/*{\n}*/", "/* */", "// {",
                "\\\n", "/", "word_of_many_bytes_so_that_blocks_are_left ", "\r\n", "'"];
            let text: String = parts.iter().map(|p| of[*p]).collect();
            let mut quick = tokens(text.as_bytes());
            let found: Vec<Token> = std::iter::from_fn(|| quick.next_brace()).collect();
            prop_assert_eq!(found, slowly(text.as_bytes()));
        }
    }
}
