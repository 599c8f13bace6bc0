//! Text in kernel style: tabs, 80 columns, arguments aligned to the parenthesis, and the small lexer that finds
//! comments and identifiers in the bytes that are not rewritten.

use crate::source::Span;

/// Columns of a line that checkpatch accepts without a word (`max_line_length` of the 5.x trees).
const COLUMNS: usize = 80;
/// Width of a tab.
const TAB: usize = 8;

/// Width of the text on the screen, when it starts at column 0.
pub fn width(s: &str) -> usize {
    s.chars().fold(0, |w, c| if c == '\t' { w / TAB * TAB + TAB } else { w + 1 })
}

/// Whether a line is not too long.
pub fn fits(line: &str) -> bool {
    width(line) <= COLUMNS
}

/// Tabs and at most seven spaces that reach the column.
pub fn indent_to(column: usize) -> String {
    let mut s = "\t".repeat(column / TAB);
    s.push_str(&" ".repeat(column % TAB));
    s
}

/// Start of the line that `offset` lies in.
pub fn line_start(text: &[u8], offset: u32) -> u32 {
    let end = (offset as usize).min(text.len());
    memchr::memrchr(b'\n', &text[..end]).map_or(0, |i| i as u32 + 1)
}

/// One past the newline that ends the line of `offset`; the end of the text if there is none.
pub fn line_end(text: &[u8], offset: u32) -> u32 {
    let from = (offset as usize).min(text.len());
    memchr::memchr(b'\n', &text[from..]).map_or(text.len() as u32, |i| offset + i as u32 + 1)
}

/// The white space before `offset`, when nothing else stands before it on its line.
pub fn indent_of(text: &[u8], offset: u32) -> Option<&str> {
    let start = line_start(text, offset) as usize;
    let before = text.get(start..offset as usize)?;
    before.iter().all(|b| matches!(b, b' ' | b'\t')).then(|| std::str::from_utf8(before).ok())?
}

/// The text of an expression on one line, comments and superfluous white space gone.
pub fn one_line(text: &[u8], span: Span) -> String {
    let mut kept = String::new();
    let mut at = span.start;
    for c in comments(text, span) {
        kept.push_str(&Span { start: at, end: c.start }.text(text));
        kept.push(' ');
        at = c.end;
    }
    kept.push_str(&Span { start: at, end: span.end }.text(text));
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same without the parentheses around the whole.
pub fn bare(text: &[u8], span: Span) -> String {
    let mut s = one_line(text, span);
    while let Some(inner) = unwrapped(&s) {
        s = inner;
    }
    s
}

fn unwrapped(s: &str) -> Option<String> {
    let inner = s.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0i32;
    for c in inner.chars() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return None;
        }
    }
    Some(inner.trim().to_string())
}

/// `head(arg, arg)tail` from the column of `indent` on; arguments that do not fit go to the next line, below the first.
pub fn call(indent: &str, head: &str, args: &[String], tail: &str) -> String {
    let whole = format!("{head}({}){tail}", args.join(", "));
    if width(&format!("{indent}{whole}")) <= COLUMNS || args.len() < 2 {
        return whole;
    }
    let align = indent_to(width(&format!("{indent}{head}(")));
    let mut out = format!("{head}(");
    let mut line = format!("{indent}{head}(");
    for (i, arg) in args.iter().enumerate() {
        let piece = if i + 1 < args.len() { format!("{arg},") } else { format!("{arg}){tail}") };
        if i > 0 {
            if width(&format!("{line} {piece}")) <= COLUMNS {
                out.push(' ');
                line.push(' ');
            } else {
                out.push('\n');
                out.push_str(&align);
                line = align.clone();
            }
        }
        out.push_str(&piece);
        line.push_str(&piece);
    }
    out
}

/// `if (a && b)` from the column of `indent` on, broken after `&&` where it does not fit. A conjunct with `||` in it
/// must bring its own parentheses.
pub fn condition(indent: &str, conjuncts: &[String]) -> String {
    let whole = format!("if ({})", conjuncts.join(" && "));
    if width(&format!("{indent}{whole}")) <= COLUMNS {
        return whole;
    }
    let align = indent_to(width(indent) + "if (".len());
    let mut out = "if (".to_string();
    let mut line = format!("{indent}if (");
    for (i, c) in conjuncts.iter().enumerate() {
        let piece = if i + 1 < conjuncts.len() { format!("{c} &&") } else { format!("{c})") };
        if i > 0 {
            if width(&format!("{line} {piece}")) <= COLUMNS {
                out.push(' ');
                line.push(' ');
            } else {
                out.push('\n');
                out.push_str(&align);
                line = align.clone();
            }
        }
        out.push_str(&piece);
        line.push_str(&piece);
    }
    out
}

/// What the lexer tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Comment,
    Ident,
    /// After `.`, `->` or `goto`: no variable.
    Member,
    Other,
}

/// Calls `f` with every comment, identifier and other byte run of the span.
fn lex(text: &[u8], span: Span, f: &mut dyn FnMut(Kind, Span)) {
    let end = (span.end as usize).min(text.len());
    let mut i = span.start as usize;
    let mut member = false;
    while i < end {
        let (from, b) = (i, text[i]);
        let kind = match b {
            b'/' if text.get(i + 1) == Some(&b'*') => {
                let close = memchr::memmem::find(&text[(i + 2).min(end)..end], b"*/");
                i = close.map_or(end, |n| i + 2 + n + 2);
                Kind::Comment
            }
            b'/' if text.get(i + 1) == Some(&b'/') => {
                i = memchr::memchr(b'\n', &text[i..end]).map_or(end, |n| i + n);
                Kind::Comment
            }
            b'"' | b'\'' => {
                i += 1;
                while i < end && text[i] != b && text[i] != b'\n' {
                    i += if text[i] == b'\\' { 2 } else { 1 };
                }
                i = (i + 1).min(end);
                member = false;
                Kind::Other
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                while i < end && matches!(text[i], b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') {
                    i += 1;
                }
                let kind = if member { Kind::Member } else { Kind::Ident };
                member = &text[from..i] == b"goto";
                kind
            }
            b'0'..=b'9' => {
                while i < end && matches!(text[i], b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') {
                    i += 1;
                }
                member = false;
                Kind::Other
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                i += 1;
                Kind::Other
            }
            _ => {
                // Three dots are an ellipsis, as in `case 1 ... LAST`.
                let ellipsis = text[i..end].starts_with(b"...");
                i += if ellipsis { 3 } else { 1 };
                member = !ellipsis && (b == b'.' || b == b'>' && from > 0 && text[from - 1] == b'-');
                Kind::Other
            }
        };
        f(kind, Span::new(from, i));
    }
}

/// The comments that start inside the span, in order.
pub fn comments(text: &[u8], span: Span) -> Vec<Span> {
    let mut found = Vec::new();
    lex(text, span, &mut |k, s| {
        if k == Kind::Comment {
            found.push(s);
        }
    });
    found
}

/// The strings of the span, quotes included, in order.
pub fn strings(text: &[u8], span: Span) -> Vec<Span> {
    let mut found = Vec::new();
    lex(text, span, &mut |_, s| {
        if text.get(s.start as usize) == Some(&b'"') {
            found.push(s);
        }
    });
    found
}

/// The identifiers of the span that can be variables, functions or macros: not behind `.`, `->` or `goto`, not in
/// comments and strings. Preprocessor lines are code.
pub fn identifiers(text: &[u8], span: Span) -> Vec<Span> {
    let mut found = Vec::new();
    lex(text, span, &mut |k, s| {
        if k == Kind::Ident {
            found.push(s);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_aligned_with_tabs_and_spaces() {
        let args = ["a_rather_long_name->pages".to_string(), "a_rather_long_name->number_of_pages".to_string()];
        let got = call("\t\t", "put_user_pages_dirty_lock", &args, ";");
        assert_eq!(
            got,
            "put_user_pages_dirty_lock(a_rather_long_name->pages,\n\t\t\t\t\t  a_rather_long_name->number_of_pages);"
        );
    }

    #[test]
    fn fields_labels_comments_and_strings_are_no_variables() {
        let text = br#"i = x->i + s . i; goto i; /* i */ f("i", 'i', 1i); // i"#;
        let found: Vec<_> = identifiers(text, Span::new(0, text.len())).iter().map(|s| s.text(text)).collect();
        assert_eq!(found, ["i", "x", "s", "goto", "f"]);
        assert_eq!(comments(text, Span::new(0, text.len())).len(), 2);
    }

    #[test]
    fn parentheses_around_the_whole_go() {
        let text = b"((a) && (b))";
        assert_eq!(bare(text, Span::new(0, text.len())), "(a) && (b)");
    }
}
