//! Comments and messages that name the old function name the new one.
//!
//! # What it does
//! In a function that no longer calls `put_page()` (or `release_pages()`, or the `get_user_pages*()` that became its
//! twin), the name changes too in the comment above the function, in comments beside, directly above or inside what was
//! rewritten, and in strings of the function: a debug message that says which call failed.
//!
//! # Why
//! A comment that says "before put_page() is called" is wrong afterwards, and reviewers ask for it.
//!
//! # Example
//! ```c
//! /* the matching put_page() is in unmap() */
//! ```
//! becomes
//! ```c
//! /* the matching put_user_page() is in unmap() */
//! ```
//!
//! # Fix safety
//! Comments and strings only, and only the whole name. A function that still calls the old name, for pages of another
//! origin, keeps its comments, and so does a line that would grow beyond 80 columns.

use super::style::{comments, identifiers, line_end, line_start, strings, width};
use super::{Change, Form, Scene};
use crate::source::Span;

/// Renames the old function in comments; whether anything changed.
pub fn apply(scene: &Scene, changes: &mut Vec<Change>) -> bool {
    let mut used = false;
    let puts = [("put_page", scene.target.single()), ("release_pages", scene.target.batch())];
    let mut names: Vec<(String, String)> =
        puts.into_iter().filter_map(|(old, new)| Some((old.to_string(), new?.to_string()))).collect();
    names.extend(pins(scene, changes));
    for (old, new) in &names {
        let (old, new) = (old.as_str(), new.as_str());
        let left = |text: &[u8], span: Span| identifiers(text, span).iter().any(|s| s.of(text) == old.as_bytes());
        let called = identifiers(scene.text, scene.function.span)
            .into_iter()
            .filter(|s| s.of(scene.text) == old.as_bytes())
            .collect::<Vec<_>>();
        let covered = |s: Span| changes.iter().any(|c| c.span.contains(s));
        let emitted = changes.iter().any(|c| left(c.with.as_bytes(), Span::new(0, c.with.len())));
        if called.is_empty() || emitted || !called.iter().all(|s| covered(*s)) {
            continue;
        }
        let near = |s: Span| {
            let (first, last) = (line_start(scene.text, s.start), line_end(scene.text, s.end));
            changes.iter().any(|c| {
                let (start, end) = (line_start(scene.text, c.span.start), line_end(scene.text, c.span.end));
                last == start || first < end && start < last
            })
        };
        let mut found = comments(scene.text, scene.function.span);
        found.retain(|s| near(*s));
        found.extend(above(scene));
        found.extend(strings(scene.text, scene.function.span));
        found.retain(|s| !covered(*s));
        let mut words: Vec<Change> = found
            .into_iter()
            .flat_map(|c| words(scene.text, c, old))
            .filter(|s| fits(scene.text, *s, new))
            .map(|span| Change { span, with: new.to_string(), form: Form::Part })
            .collect();
        used |= !words.is_empty();
        // Comments that moved with a change.
        for c in changes.iter_mut() {
            let text = c.with.clone().into_bytes();
            let moved = comments(&text, Span::new(0, text.len()));
            for span in moved.into_iter().flat_map(|m| self::words(&text, m, old)).rev() {
                c.with.replace_range(span.start as usize..span.end as usize, new);
                used = true;
            }
        }
        changes.append(&mut words);
    }
    changes.sort_by_key(|c| c.span);
    used
}

/// The pinning calls that became their twins, each name once.
fn pins(scene: &Scene, changes: &[Change]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for c in changes {
        let old = c.span.text(scene.text);
        if old.starts_with("get_user_pages") && c.with.starts_with("pin_user_pages") && !out.iter().any(|o| o.0 == old)
        {
            out.push((old, c.with.clone()));
        }
    }
    out
}

/// The line stays within 80 columns when the word becomes `new`.
fn fits(text: &[u8], word: Span, new: &str) -> bool {
    let line = Span { start: line_start(text, word.start), end: line_end(text, word.start) }.text(text);
    width(line.trim_end()) + new.len() <= 80 + (word.end - word.start) as usize
}

/// The comment that ends on the line above the function.
fn above(scene: &Scene) -> Option<Span> {
    let text = scene.text;
    let head = line_start(text, scene.function.span.start);
    let before = text.get(..head as usize)?;
    let before = before.strip_suffix(b"\n")?;
    if !before.ends_with(b"*/") {
        return None;
    }
    let start = memchr::memmem::rfind(before, b"/*")?;
    Some(Span::new(start, before.len()))
}

/// Where the word stands in the span.
fn words(text: &[u8], span: Span, word: &str) -> Vec<Span> {
    let inside = span.of(text);
    let is_part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    memchr::memmem::find_iter(inside, word.as_bytes())
        .filter(|&i| !is_part(i.checked_sub(1).and_then(|j| inside.get(j))) && !is_part(inside.get(i + word.len())))
        .map(|i| Span::new(span.start as usize + i, span.start as usize + i + word.len()))
        .collect()
}
