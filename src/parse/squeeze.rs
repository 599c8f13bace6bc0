//! Leaves out of a masked body what the grammar need not see, and knows where each byte of the rest stood.
//!
//! A parser looks at every byte, and half of a body of the kernel is white space, comments and the letters of long
//! names: of a run of white space and comments one byte stays, of a long name one letter. Which tokens follow each
//! other is the same, and so is the tree; spans are turned back into those of the masked body. It deliberately knows
//! no node, and nothing of the grammar but that its own words are not among those which are shortened.

use crate::lex::{self, TokKind};
use std::ops::Range;

/// What the grammar sees of a masked body.
pub(super) struct Squeezed {
    /// The bytes to parse.
    pub bytes: Vec<u8>,
    /// Where what each of them stands for begins and ends. Empty when nothing was left out.
    places: Vec<(u32, u32)>,
    /// Length of the body.
    len: usize,
}

impl Squeezed {
    /// Squeezes a masked body of less than 4 GiB.
    pub(super) fn new(masked: &[u8]) -> Self {
        let room = masked.len() / 2;
        let mut s = Self { bytes: Vec::with_capacity(room), places: Vec::with_capacity(room), len: masked.len() };
        let mut done = 0;
        for t in lex::tokens(masked) {
            let (start, end) = (t.span.start as usize, t.span.end as usize);
            match t.kind {
                TokKind::Comment => continue,
                // Behind a string prefix the word and the quote are one token to the grammar.
                TokKind::Ident
                    if is_long_name(&masked[start..end]) && !matches!(masked.get(end), Some(b'"' | b'\'')) =>
                {
                    s.gap(masked, done..start);
                    s.push(b'n', start..end);
                }
                _ => {
                    s.gap(masked, done..start);
                    (start..end).for_each(|i| s.push(masked[i], i..i + 1));
                }
            }
            done = end;
            // The newline is the end of the directive, and no white space.
            if t.kind == TokKind::Preproc && masked.get(end) == Some(&b'\n') {
                s.push(b'\n', end..end + 1);
                done = end + 1;
            }
        }
        s.gap(masked, done..masked.len());
        s
    }

    /// All of a masked body.
    pub(super) fn nothing(masked: &[u8]) -> Self {
        Self { bytes: masked.to_vec(), places: Vec::new(), len: masked.len() }
    }

    fn push(&mut self, byte: u8, at: Range<usize>) {
        self.bytes.push(byte);
        self.places.push((at.start as u32, at.end as u32));
    }

    fn gap(&mut self, masked: &[u8], at: Range<usize>) {
        if !at.is_empty() {
            let byte = if masked[at.clone()].contains(&b'\n') { b'\n' } else { b' ' };
            self.push(byte, at);
        }
    }

    /// Where in the masked body these bytes stood. A place without bytes, as that of a token that is missing, is in
    /// front of the next byte.
    pub(super) fn place(&self, bytes: Range<usize>) -> Range<usize> {
        if self.places.is_empty() {
            return bytes;
        }
        let start = self.places.get(bytes.start).map_or(self.len, |p| p.0 as usize);
        let last = bytes.end.checked_sub(1).filter(|last| *last >= bytes.start);
        start..last.and_then(|last| self.places.get(last)).map_or(start, |p| p.1 as usize)
    }
}

/// A name with an underscore in it that is no word of the grammar: those begin with an underscore, or end as names of
/// types do, or are one of two.
fn is_long_name(word: &[u8]) -> bool {
    let [first, inner @ .., _] = word else { return false };
    *first != b'_'
        && inner.contains(&b'_')
        && !word.ends_with(b"_t")
        && !matches!(word, b"static_assert" | b"thread_local")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_word_of_the_grammar_is_shortened() {
        let language: tree_sitter::Language = tree_sitter_c::LANGUAGE.into();
        let mut words = 0;
        for id in 0..language.node_kind_count() as u16 {
            let word = language.node_kind_for_id(id).unwrap_or_default().as_bytes();
            let token = language.node_kind_is_visible(id) && !language.node_kind_is_named(id);
            if token && word.iter().all(|b| lex::is_word_byte(*b)) {
                words += 1;
                assert!(!is_long_name(word), "{}", String::from_utf8_lossy(word));
            }
        }
        assert!(words > 40, "{words}");
        // What it reads as `primitive_type`.
        for word in ["size_t", "uintptr_t", "uint8_t", "max_align_t", "nullptr_t", "char32_t"] {
            assert!(!is_long_name(word.as_bytes()), "{word}");
        }
        assert!(
            is_long_name(b"put_page") && is_long_name(b"a_b") && !is_long_name(b"page_") && !is_long_name(b"pages")
        );
    }

    #[test]
    fn bytes_know_where_they_stood() {
        let text = b"{\n\t/* why */ put_page( p );  // so\n\treturn;\n#ifdef A\n\n\tb_c = L_x\"s\";\n#endif\n}";
        let s = Squeezed::new(text);
        assert_eq!(String::from_utf8_lossy(&s.bytes), "{\nn( p );\nreturn;\n#ifdef A\n\nn = L_x\"s\";\n#endif\n}");
        let at = |part: &str| {
            let start = s.bytes.windows(part.len()).position(|w| w == part.as_bytes()).unwrap();
            String::from_utf8_lossy(&text[s.place(start..start + part.len())]).into_owned()
        };
        assert_eq!(at("n( p )"), "put_page( p )");
        assert_eq!(at("n = L"), "b_c = L");
        assert_eq!(at("#ifdef A\n"), "#ifdef A\n");
        assert_eq!(at("return;"), "return;");
        assert_eq!(s.place(2..2), 13..13);
        assert_eq!(s.place(s.bytes.len()..s.bytes.len()), text.len()..text.len());
    }

    proptest! {
        #[test]
        fn places_are_in_order_and_in_the_body(text in "[a-z_ /*\"'#\\\\\n\r(){};]{0,80}") {
            let text = text.as_bytes();
            let s = Squeezed::new(text);
            prop_assert_eq!(s.bytes.len(), s.places.len());
            let mut end = 0;
            for (k, (from, to)) in s.places.iter().enumerate() {
                prop_assert!(end <= *from && from < to && *to as usize <= text.len());
                prop_assert_eq!(s.place(k..k + 1), *from as usize..*to as usize);
                end = *to;
            }
        }
    }
}
