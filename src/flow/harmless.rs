//! Macros that are handed pages: whether the text of one shows that it neither keeps, drops nor hands them on.
//!
//! Nothing is expanded. A macro that stores what it is given, that calls through a member, or a function of which
//! nothing is known, is a gap.

use super::engine::Engine;
use super::objects::macros::Macro;
use super::unfollowed::{self, Callee};
use crate::index::FnRef;
use crate::kernel::Api;
use crate::lex::{TokKind, Token};
use crate::source::{FileId, Name};
use crate::split::ItemKind;

/// Macros within macros that are looked at: `page_cache_release(x)` of v4.4 is `put_page(x)`, and drivers name it
/// again.
const MAX_MACROS: u32 = 5;

/// Words with parentheses behind them that are no call.
const WORDS: &[&[u8]] = &[
    b"if",
    b"while",
    b"for",
    b"switch",
    b"return",
    b"sizeof",
    b"typeof",
    b"__typeof__",
    b"__typeof",
    b"do",
    b"else",
    b"case",
    b"asm",
    b"__asm__",
    b"volatile",
    b"__volatile__",
    b"defined",
    b"_Generic",
    b"__attribute__",
    b"offsetof",
    b"__extension__",
    b"_Static_assert",
    b"static_assert",
    b"__alignof__",
];

/// A macro of the tree, no definition of which stores, keeps or releases anything.
pub(super) fn is_harmless(e: &Engine, file: FileId, name: &str, depth: u32) -> bool {
    let all = Macro::all(e, file, name);
    let fine = |m: &Macro| {
        let locals = locals(m);
        (0..m.body.len()).all(|i| harmless_at(e, file, (name, m, &locals), i, depth))
    };
    !all.is_empty() && depth < MAX_MACROS && all.iter().all(fine)
}

fn harmless_at(e: &Engine, file: FileId, (name, m, locals): (&str, &Macro, &[&[u8]]), i: usize, depth: u32) -> bool {
    let carries = |from: usize, to: usize| {
        let mut k = from;
        while k < to {
            let w = m.word(k);
            // Of what stands there only the type is asked.
            if matches!(w, b"sizeof" | b"typeof" | b"__typeof__" | b"__typeof") && m.is(k + 1, b'(') {
                k = closing(m, k + 1);
            } else if !w.is_empty()
                && !m.member(k)
                && (m.params.iter().any(|p| p == w) || w == b"__VA_ARGS__" || locals.contains(&w))
            {
                return true;
            }
            k += 1;
        }
        false
    };
    if is_assignment(m, i) {
        let own = i > 0 && (locals.contains(&m.word(i - 1)) && !m.member(i - 1) || is_value(m, i - 1));
        return own || !carries(i + 1, end_of_value(m, i + 1));
    }
    // `((d)->push)(page)`, `(*f)(page)`.
    if m.is(i, b')') && m.is(i + 1, b'(') {
        return !is_callee(m, i) || !carries(i + 2, closing(m, i + 1));
    }
    let word = m.word(i);
    let Ok(w) = std::str::from_utf8(word) else { return true };
    if w.is_empty() || WORDS.contains(&word) || w.starts_with("__builtin_") {
        return true;
    }
    // A macro without arguments that ends in a name: what is called is that.
    let whole = !m.called() && i + 1 == m.body.len();
    let handed = whole || m.is(i + 1, b'(') && carries(i + 2, closing(m, i + 1));
    if m.member(i) {
        return !handed;
    }
    let api = Api::get();
    if w != name && (api.release(w).is_some() || api.store(w).is_some() || api.exchange(w).is_some()) {
        return false;
    }
    if !handed {
        return true;
    }
    if api.acquire(w).is_some() || api.handover(w).is_some() || m.params.iter().any(|p| p == word) {
        return false;
    }
    let known = api.borrow(w).is_some() || api.same(w).is_some() || api.is_fresh(w) || api.dirty(w).is_some();
    if known || api.unmaps(w) || api.is_address(w) || api.is_page_of_address(w) || api.converts_address(w) {
        return true;
    }
    if w != name && e.index.visible_item(file, w, &[ItemKind::Define]).is_some() {
        return is_harmless(e, file, w, depth + 1);
    }
    match e.index.definition_near(file, w) {
        Some(FnRef { .. }) if w == name => true,
        Some(f) => unfollowed::looks(e, f, 0).is_some(),
        None => matches!(unfollowed::callee(e, file, &Name::from(w)), Callee::Looks),
    }
}

/// `(struct bio_vec) { .bv_page = page }`: a member of a container that is the value of the macro, or one that only
/// lends the page.
fn is_value(m: &Macro, member: usize) -> bool {
    let mut depth = 0;
    let brace = (0..member).rev().find(|&i| {
        depth += turn(&m.body[i]);
        depth > 0
    });
    let Some(brace) = brace.filter(|b| m.is(*b, b'{') && m.member(member)) else { return false };
    let literal = brace > 0 && m.is(brace - 1, b')');
    let head = if literal { brace.checked_sub(2) } else { brace.checked_sub(3) };
    let text = |w| std::str::from_utf8(w).unwrap_or_default();
    let (Some(tag), field) = (head.map(|i| text(m.word(i))), text(m.word(member))) else { return false };
    Api::get().lent(tag, field).is_some() || literal && Api::get().is_container(tag)
}

/// Variables that the macro declares.
fn locals(m: &Macro) -> Vec<&[u8]> {
    let is = |i: &usize| {
        let behind = [b'=', b';', b'['].iter().any(|c| m.is(i + 1, *c));
        !m.word(*i).is_empty() && !m.member(*i) && behind && !m.is(i + 2, b'=') && is_declared(m, *i)
    };
    (0..m.body.len()).filter(is).map(|i| m.word(i)).collect()
}

/// Whether a type stands before the word.
fn is_declared(m: &Macro, i: usize) -> bool {
    let Some(before) = (0..i).rev().find(|k| !m.is(*k, b'*')) else { return false };
    if m.is(before, b')') {
        let open = opening(m, before);
        return open > 0 && matches!(m.word(open - 1), b"typeof" | b"__typeof__" | b"__typeof");
    }
    let word = m.word(before);
    !word.is_empty() && !m.member(before) && !WORDS.contains(&word) && word != b"goto"
}

/// A plain `=`.
fn is_assignment(m: &Macro, i: usize) -> bool {
    m.is(i, b'=') && !m.is(i + 1, b'=') && !(i > 0 && b"=!<>+-*/%&|^".iter().any(|c| m.is(i - 1, *c)))
}

/// Whether the parenthesis that ends here holds what is called, and no type.
fn is_callee(m: &Macro, end: usize) -> bool {
    let open = opening(m, end);
    let call = open > 0 && !m.word(open - 1).is_empty() && !WORDS.contains(&m.word(open - 1));
    let member = (open..end).any(|k| !m.word(k).is_empty() && m.member(k));
    let value = m.is(open + 1, b'*') || m.is(open + 1, b'(') || m.params.iter().any(|p| p == m.word(open + 1));
    !call && value && (member || m.is(open + 1, b'*'))
}

/// The token that ends the value which begins here.
fn end_of_value(m: &Macro, from: usize) -> usize {
    let mut depth = 0;
    for (i, t) in m.body.iter().enumerate().skip(from) {
        match turn(t) {
            0 if depth == 0 && (t.is(b';') || t.is(b',')) => return i,
            -1 if depth == 0 => return i,
            by => depth += by,
        }
    }
    m.body.len()
}

fn turn(t: &Token) -> i32 {
    match t.kind {
        TokKind::Punct(b'(' | b'[' | b'{') => 1,
        TokKind::Punct(b')' | b']' | b'}') => -1,
        _ => 0,
    }
}

/// The parenthesis that closes the one at `open`.
fn closing(m: &Macro, open: usize) -> usize {
    end_of(m, open, (open..m.body.len()).collect())
}

/// The parenthesis that opens the one at `close`.
fn opening(m: &Macro, close: usize) -> usize {
    end_of(m, close, (0..=close).rev().collect())
}

fn end_of(m: &Macro, from: usize, tokens: Vec<usize>) -> usize {
    let mut depth = 0;
    for &i in &tokens {
        depth += turn(&m.body[i]);
        if depth == 0 {
            return i;
        }
    }
    tokens.last().copied().unwrap_or(from)
}
