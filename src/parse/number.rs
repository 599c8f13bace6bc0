//! Values of integer and character constants, with the type that C gives them on LP64.

use crate::ast::{Base, CType};

/// Value and type of an integer constant; `None` for floating constants and for what does not fit 64 bits.
pub(crate) fn integer(s: &[u8]) -> Option<(i128, CType)> {
    let text = std::str::from_utf8(s).ok()?;
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(end);
    let digits = if digits.is_empty() && radix == 8 { "0" } else { digits };
    let value = u64::from_str_radix(digits, radix).ok()?;
    let suffix = suffix.to_ascii_lowercase();
    let (unsigned, long) = match suffix.as_str() {
        "" => (false, false),
        "u" => (true, false),
        "l" | "ll" => (false, true),
        "ul" | "lu" | "ull" | "llu" => (true, true),
        _ => return None,
    };
    // C11 6.4.4.1: a decimal constant without `u` is never unsigned, the others take the first type that fits.
    let decimal = radix == 10;
    let (signed, bits) = match (unsigned, long) {
        (false, false) if value <= i32::MAX as u64 => (true, 32),
        (false, false) if !decimal && value <= u64::from(u32::MAX) => (false, 32),
        (true, false) if value <= u64::from(u32::MAX) => (false, 32),
        (false, _) => (decimal || value <= i64::MAX as u64, 64),
        (true, _) => (false, 64),
    };
    Some((i128::from(value), CType { base: Base::Int { signed, bits }, ptr: 0, dims: Vec::new(), function: false }))
}

/// Value of a character constant such as `'a'`, `'\n'`, `'\x7f'`; its type is `int`.
pub(crate) fn character(s: &[u8]) -> Option<i128> {
    let open = s.iter().position(|&b| b == b'\'')?;
    let inner = s.get(open + 1..s.len().checked_sub(1)?)?;
    match inner {
        [b'\\', rest @ ..] => {
            let v = match rest {
                [b'n'] => 10,
                [b't'] => 9,
                [b'r'] => 13,
                [b'a'] => 7,
                [b'b'] => 8,
                [b'f'] => 12,
                [b'v'] => 11,
                [b'e'] => 27,
                [c @ (b'\\' | b'\'' | b'"' | b'?')] => i64::from(*c),
                [b'x', hex @ ..] => i64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?,
                oct => i64::from_str_radix(std::str::from_utf8(oct).ok()?, 8).ok()?,
            };
            // `char` is signed on most of what Linux runs on, and `-funsigned-char` since v6.2: only 7 bits are sure.
            (v < 128).then_some(i128::from(v))
        }
        [c] if c.is_ascii() => Some(i128::from(*c)),
        _ => None,
    }
}
