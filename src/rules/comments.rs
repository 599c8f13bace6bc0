//! Comments as text that somebody reads: which words of them may change, how a line that grew is broken, and which
//! lines have nothing to say any more.
//!
//! It does not know which names are old. That a comment speaks of the code that changed, and not of the kernel at
//! large, is told from the few words before the name; where they do not tell, nothing changes.

use super::style::{fits, indent_of, line_end, line_start};
use super::{Change, Form, Rewrite, Scene};
use crate::source::Span;

/// Words before a name with which a comment compares, or tells how the kernel behaves: it speaks of the function
/// itself, not of a call of the code at hand.
const COMPARING: [&str; 14] =
    ["as", "like", "unlike", "than", "see", "cf", "cf.", "also", "force", "forces", "forcing", "make", "makes", "let"];
/// Words before a name with which a comment says that the code calls it.
const CALLING: [&str; 14] = [
    "by", "call", "called", "calling", "calls", "from", "through", "use", "used", "uses", "using", "via", "with",
    "call to",
];
/// What starts a line that asks somebody to do something.
const WANTED: [&str; 3] = ["FIXME", "TODO", "XXX"];

/// Where the word stands in the span, as a whole identifier.
pub fn words(text: &[u8], span: Span, word: &str) -> Vec<Span> {
    let inside = span.of(text);
    let is_part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    memchr::memmem::find_iter(inside, word.as_bytes())
        .filter(|&i| !is_part(i.checked_sub(1).and_then(|j| inside.get(j))) && !is_part(inside.get(i + word.len())))
        .map(|i| Span::new(span.start as usize + i, span.start as usize + i + word.len()))
        .collect()
}

/// Words of somebody else: the comment says that its text comes from another file, or the word stands in quotation
/// marks. Such text is not ours to change.
pub fn quoted(text: &[u8], comment: Span, word: Span) -> bool {
    let all = comment.text(text);
    let lower = all.to_lowercase();
    let names_file = |line: &str| line.split_whitespace().any(|w| w.contains('/') && is_file(w));
    let attributed = lower.contains("documentation of")
        || lower.contains("quot")
        || all.lines().any(|l| l.trim_end().ends_with(':') && names_file(l));
    let before = Span { start: comment.start, end: word.start }.text(text);
    attributed || before.matches('"').count() % 2 == 1
}

fn is_file(word: &str) -> bool {
    let w = word.trim_matches(|c: char| matches!(c, ':' | ',' | '.' | '(' | ')'));
    [".c", ".h", ".rst", ".txt"].iter().any(|end| w.ends_with(end))
}

/// The last words before an offset of a comment, lower case, without the marks of the comment.
fn before(text: &[u8], comment: Span, offset: u32) -> Vec<String> {
    let lead = Span { start: comment.start, end: offset }.text(text);
    let all = lead.split_whitespace().filter(|w| !w.chars().all(|c| matches!(c, '*' | '/'))).map(str::to_lowercase);
    let mut all: Vec<String> = all.collect();
    all.split_off(all.len().saturating_sub(2))
}

/// A comparison with the function, or a word about how it works: `as put_page() does`, `to force put_page() to`.
pub fn compares(text: &[u8], comment: Span, word: Span) -> bool {
    before(text, comment, word.start).last().is_some_and(|w| COMPARING.contains(&w.as_str()))
}

/// The comment says that the code calls the function: `uses put_page()`, `the call to put_page()`.
pub fn says_that_it_calls(text: &[u8], comment: Span, word: Span) -> bool {
    let last = before(text, comment, word.start);
    last.last().is_some_and(|w| CALLING.contains(&w.as_str())) || CALLING.contains(&last.join(" ").as_str())
}

/// Writes `new` for the word of a comment. A line that would grow beyond 80 columns is broken, and what is left over
/// goes to the next line; `None` when the line cannot be broken.
pub fn renamed(text: &[u8], comment: Span, word: Span, new: &str) -> Option<Change> {
    let (start, end) = (line_start(text, word.start), line_end(text, word.start));
    let line = Span { start, end }.text(text);
    let line = line.trim_end_matches('\n');
    let at = (word.start - start) as usize;
    let grown = format!("{}{new}{}", line.get(..at)?, line.get(at + (word.end - word.start) as usize..)?);
    if fits(grown.trim_end()) {
        return Some(Change { span: word, with: new.to_string(), form: Form::Part });
    }
    let comment_text = comment.of(text);
    if !comment_text.starts_with(b"/*") {
        return None;
    }
    let body = Span { start, end: start + line.len() as u32 };
    let one_line = !comment_text.contains(&b'\n');
    if one_line {
        // A block of its own; not beside code.
        let indent = indent_of(text, comment.start)?;
        if comment.end != body.end {
            return None;
        }
        let inner = grown.trim().strip_prefix("/*")?.strip_suffix("*/")?.trim().to_string();
        let prefix = format!("{indent} * ");
        let (first, rest) = broken(&format!("{prefix}{inner}"), prefix.len())?;
        let with = format!("{indent}/*\n{first}\n{prefix}{rest}\n{indent} */");
        return fits(&format!("{prefix}{rest}")).then_some(Change { span: body, with, form: Form::Part });
    }
    let star = line.find('*')?;
    let prefix = line.get(..star + 1)?;
    if !prefix.trim_start().trim_end_matches('*').is_empty() {
        return None;
    }
    let prefix = format!("{prefix} ");
    let (first, rest) = broken(&grown, prefix.len())?;
    // What is left over stands before the text of the next line, or on a line of its own.
    let next_end = line_end(text, end);
    let next = Span { start: end, end: next_end }.text(text);
    let next = next.trim_end_matches('\n');
    let joined = next.strip_prefix(prefix.as_str()).filter(|t| t.starts_with(|c: char| c.is_alphabetic()));
    if let Some(t) = joined.filter(|_| next_end <= comment.end && !rest.ends_with(['.', ':'])) {
        let whole = format!("{prefix}{rest} {t}");
        if fits(&whole) {
            let span = Span { start, end: end + next.len() as u32 };
            return Some(Change { span, with: format!("{first}\n{whole}"), form: Form::Part });
        }
    }
    let own = format!("{prefix}{rest}");
    fits(&own).then(|| Change { span: body, with: format!("{first}\n{own}"), form: Form::Part })
}

/// The line up to the last space that keeps it within 80 columns, behind `from`, and the rest.
fn broken(line: &str, from: usize) -> Option<(String, String)> {
    let mut spaces = line.rmatch_indices(' ').map(|(i, _)| i);
    let cut = spaces.find(|&i| i > from && fits(&line[..i]))?;
    Some((line[..cut].trim_end().to_string(), line[cut..].trim().to_string()))
}

/// A line that asks for the right function to drop the reference: once it is called, nothing is left to be fixed.
fn is_done(line: &str) -> bool {
    let lower = line.to_lowercase();
    let speaks = ["reference count", "refcount", "put_page", "put_user_page"].iter().any(|w| lower.contains(w));
    let asks = ["correct", "right", "proper", "wrong", "instead", "should"].iter().any(|w| lower.contains(w));
    WANTED.iter().any(|w| line.starts_with(w)) && speaks && asks
}

/// The comment without the lines that are done with (`None`: nothing is left), and those lines; `None` when all stay.
pub fn without_done(comment: &str) -> Option<(Option<String>, Vec<String>)> {
    if let Some(line) = comment.strip_prefix("//") {
        return is_done(line.trim()).then(|| (None, vec![line.trim().to_string()]));
    }
    let inner = comment.strip_prefix("/*")?.strip_suffix("*/")?;
    let lines: Vec<&str> = inner.lines().map(|l| l.trim().trim_start_matches('*').trim()).collect();
    let alone =
        |i: usize| lines.get(i + 1).is_none_or(|l: &&str| l.is_empty() || WANTED.iter().any(|w| l.starts_with(w)));
    let (mut kept, mut done) = (Vec::new(), Vec::new());
    for (i, line) in lines.iter().enumerate() {
        if is_done(line) && alone(i) {
            done.push(line.to_string());
        } else {
            kept.push(*line);
        }
    }
    if done.is_empty() {
        return None;
    }
    let said: Vec<&str> = kept.iter().copied().filter(|l| !l.is_empty()).collect();
    let left = match said.as_slice() {
        [] => None,
        [one] => Some(format!("/* {one} */")),
        all => {
            let head = if lines.first().is_some_and(|l| l.is_empty()) { "/*\n * " } else { "/* " };
            Some(format!("{head}{}\n */", all.join("\n * ")))
        }
    };
    Some((left, done))
}

/// The comments of a stretch of code that goes, as lines at the given indent above what comes; `None` when there are
/// none. Lines that are done with go, and the note says so.
pub fn lift(scene: &Scene, comments: &[Span], indent: &str, r: &mut Rewrite) -> Option<String> {
    let mut kept = Vec::new();
    for c in comments {
        let raw = c.text(scene.text);
        match without_done(&raw) {
            None => kept.push(raw),
            Some((left, done)) => {
                kept.extend(left);
                r.notes.extend(done.iter().map(|line| note(scene, line)));
            }
        }
    }
    (!kept.is_empty()).then(|| lifted(&kept, indent))
}

/// For the commit message.
fn note(scene: &Scene, line: &str) -> String {
    let line = line.trim_end_matches('.');
    format!("The line \"{line}\" in {}() is removed: that function is called now.", scene.function.name)
}

/// Comments as lines at the given indent, without a newline after the last. Lines of a comment keep their place
/// relative to its first one.
fn lifted(comments: &[String], indent: &str) -> String {
    let mut out = String::new();
    for raw in comments {
        for (i, line) in raw.lines().enumerate() {
            if !out.is_empty() {
                out.push('\n');
                out.push_str(indent);
            }
            let line = line.trim();
            if i > 0 && line.starts_with('*') {
                out.push(' ');
            } else if i > 0 {
                out.push_str("   ");
            }
            out.push_str(line);
        }
    }
    out
}

/// Takes lines that are done with out of the comments directly above a change; what is said of it.
pub fn drop_done(scene: &Scene, changes: &mut Vec<Change>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut more: Vec<Change> = Vec::new();
    for c in super::style::comments(scene.text, scene.function.span) {
        let below = line_end(scene.text, c.end);
        let rest = Span { start: c.end, end: below };
        let directly = changes.iter().any(|x| line_start(scene.text, x.span.start) == below && !x.is_space(scene.text));
        let covered = changes.iter().any(|x| x.span.contains(c));
        let (Some(indent), true, false, true) = (
            indent_of(scene.text, c.start),
            directly,
            covered,
            rest.of(scene.text).iter().all(u8::is_ascii_whitespace),
        ) else {
            continue;
        };
        let Some((left, done)) = without_done(&c.text(scene.text)) else { continue };
        notes.extend(done.iter().map(|line| note(scene, line)));
        let with = left.map_or_else(String::new, |l| format!("{indent}{}\n", lifted(&[l], indent)));
        more.push(Change { span: Span { start: line_start(scene.text, c.start), end: below }, with, form: Form::Part });
    }
    changes.append(&mut more);
    changes.sort_by_key(|c| c.span);
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, word: &str) -> Span {
        let at = text.find(word).unwrap();
        Span::new(at, at + word.len())
    }

    fn rename(text: &str, new: &str) -> Option<String> {
        let whole = Span::new(text.find("/*").unwrap(), text.find("*/").unwrap() + 2);
        let c = renamed(text.as_bytes(), whole, span(text, "put_page"), new)?;
        let (from, to) = (c.span.start as usize, c.span.end as usize);
        Some(format!("{}{}{}", &text[..from], c.with, &text[to..]))
    }

    #[test]
    fn a_line_that_grows_too_long_is_broken() {
        let long = "\t/* this is what returns the reference that was taken above: put_page() */\n";
        let want = "\t/*\n\t * this is what returns the reference that was taken above:\n\t * put_user_page()\n\t */\n";
        assert_eq!(rename(long, "put_user_page").as_deref(), Some(want));
        let block = "\t/*\n\t * the reference that was taken above goes when put_page() is called\n\t * here.\n\t */\n";
        let want =
            "\t/*\n\t * the reference that was taken above goes when put_user_page() is\n\t * called here.\n\t */\n";
        assert_eq!(rename(block, "put_user_page").as_deref(), Some(want));
    }

    #[test]
    fn only_done_lines_go() {
        let two = "/* FIXME: flush missing\n * FIXME: call the correct reference counting function\n */";
        let (left, done) = without_done(two).unwrap();
        assert_eq!(left.as_deref(), Some("/* FIXME: flush missing */"));
        assert_eq!(done, ["FIXME: call the correct reference counting function"]);
        let one = "/* TODO: use the right put_page() */";
        assert_eq!(without_done(one).unwrap().0, None);
        for stays in [
            "/* FIXME: put_page() may be slow */",
            "/* the correct reference counting function */",
            "/* FIXME: the correct reference counting function\n * depends on the caller */",
        ] {
            assert_eq!(without_done(stays), None, "{stays}");
        }
    }

    #[test]
    fn words_of_somebody_else() {
        for (text, is) in [
            ("/* Documentation of f is in mm/gup.c: before put_page is called */", true),
            ("/*\n * From mm/gup.c:\n *\n * before put_page is called\n */", true),
            ("/* the manual says \"call put_page\" */", true),
            ("/* as mm/gup.c does, put_page() is called */", false),
        ] {
            let whole = Span::new(0, text.len());
            assert_eq!(quoted(text.as_bytes(), whole, span(text, "put_page")), is, "{text}");
        }
    }
}
