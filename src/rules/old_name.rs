//! Comments and messages that name the old function name the new one.
//!
//! # What it does
//! In a function that no longer calls `put_page()` (or `release_pages()`, or the `get_user_pages*()` that became its
//! twin), the name changes too in the comment above the function, in the comments of its body, and in its strings: a
//! debug message that says which call failed. When no code of the file calls the old name any more, the comments
//! of its other functions follow: those that name that very pinning call, or say that the old function is called. A
//! line `FIXME` or `TODO` directly above what was rewritten that asks for the right reference counting function goes.
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
//! origin, keeps its comments, and the plan says so, as it does of text that is quoted from elsewhere. A comparison ("as
//! put_page() does") stays. A comment line that would grow beyond 80 columns is broken.

use super::comments::{compares, quoted, renamed, says_that_it_calls, words};
use super::style::{comments, fits, identifiers, indent_to, line_end, line_start, strings, width};
use super::{Change, Form, Scene};
use crate::edit::Edit;
use crate::plan::Target;
use crate::source::{LineMap, Span};
use std::collections::BTreeSet;

/// An old name, what comes for it, and how the users of it are recognised.
struct Rename {
    old: String,
    new: String,
    /// `get_user_pages` for any of its forms: users are all names that start so, and strings keep it.
    family: bool,
}

impl Rename {
    fn is_user(&self, name: &[u8]) -> bool {
        if self.family { name.starts_with(self.old.as_bytes()) } else { name == self.old.as_bytes() }
    }
    /// The span has users of the old name, and all of them go.
    fn all_go(&self, text: &[u8], span: Span, changes: &[(Span, &[u8])]) -> bool {
        let users: Vec<Span> = identifiers(text, span).into_iter().filter(|s| self.is_user(s.of(text))).collect();
        let emitted = changes
            .iter()
            .any(|(_, with)| identifiers(with, Span::new(0, with.len())).iter().any(|s| self.is_user(s.of(with))));
        !users.is_empty() && !emitted && users.iter().all(|u| changes.iter().any(|(s, _)| s.contains(*u)))
    }
}

/// The names that the changes make old.
fn renames(target: &Target, text: &[u8], changes: &[(Span, &[u8])]) -> Vec<Rename> {
    let puts = [("put_page", target.single()), ("release_pages", target.batch())];
    let puts = puts.into_iter().filter_map(|(old, new)| Some((old.to_string(), new?.to_string())));
    let mut all: Vec<Rename> = puts.map(|(old, new)| Rename { old, new, family: false }).collect();
    for (span, with) in changes {
        let (old, new) = (span.text(text), String::from_utf8_lossy(with));
        if old.starts_with("get_user_pages") && new.starts_with("pin_user_pages") && all.iter().all(|r| r.old != old) {
            all.push(Rename { old, new: new.into_owned(), family: false });
        }
    }
    if all.iter().any(|r| r.old.starts_with("get_user_pages")) && all.iter().all(|r| r.old != "get_user_pages") {
        all.push(Rename { old: "get_user_pages".into(), new: "pin_user_pages".into(), family: true });
    }
    all
}

/// Renames the old function in the comments and strings of a function; whether anything changed.
pub fn apply(scene: &Scene, changes: &mut Vec<Change>) -> bool {
    let mut used = false;
    let text = scene.text;
    let made: Vec<Change> = changes.clone();
    let done: Vec<(Span, &[u8])> = made.iter().map(|c| (c.span, c.with.as_bytes())).collect();
    for rename in renames(scene.target, text, &done) {
        if !rename.all_go(text, scene.function.span, &done) {
            continue;
        }
        let taken = |changes: &[Change], s: Span| changes.iter().any(|c| c.span.start < s.end && s.start < c.span.end);
        for c in comments(text, scene.function.span).into_iter().chain(above(scene)) {
            for word in words(text, c, &rename.old) {
                if quoted(text, c, word) || compares(text, c, word) {
                    continue;
                }
                if let Some(change) = renamed(text, c, word, &rename.new).filter(|x| !taken(changes, x.span)) {
                    changes.push(change);
                    used = true;
                }
            }
        }
        for s in strings(text, scene.function.span).into_iter().filter(|_| !rename.family) {
            for span in words(text, s, &rename.old).into_iter().filter(|w| !taken(&made, *w)) {
                changes.push(Change { span, with: rename.new.clone(), form: Form::Part });
                changes.extend(aligned(text, s).filter(|c| !taken(changes, c.span)));
                used = true;
            }
        }
        // Comments that moved with a change.
        for c in changes.iter_mut() {
            let text = c.with.clone().into_bytes();
            let moved = comments(&text, Span::new(0, text.len()));
            for span in moved.into_iter().flat_map(|m| words(&text, m, &rename.old)).rev() {
                c.with.replace_range(span.start as usize..span.end as usize, &rename.new);
                used = true;
            }
        }
    }
    changes.sort_by_key(|c| c.span);
    used
}

/// The white space before the last arguments of a call, when they stand on a line of their own below a string that
/// changes and not below the parenthesis: checkpatch looks at that line with the changed one.
fn aligned(text: &[u8], string: Span) -> Option<Change> {
    let (start, below) = (line_start(text, string.start), line_end(text, string.end));
    let head = Span { start, end: string.start }.text(text);
    let next = Span { start: below, end: line_end(text, below) }.text(text);
    let code = next.trim_start_matches([' ', '\t']);
    let comma = Span { start: string.end, end: below }.of(text).trim_ascii() == b",";
    let mut depth = 0;
    let open = head.rfind(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 1
    })?;
    if !comma || !code.trim_end().ends_with(");") {
        return None;
    }
    let (old, with) = (&next[..next.len() - code.len()], indent_to(width(&head[..=open])));
    let span = Span { start: below, end: below + old.len() as u32 };
    (old != with && fits(&format!("{with}{}", code.trim_end()))).then_some(Change { span, with, form: Form::Part })
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

/// The comments of a file after the functions of a plan in it were rewritten: what follows them, and what a person
/// should read again, one sentence each.
pub fn file(scenes: &[&Scene], edits: &[Edit]) -> (Vec<Edit>, Vec<String>) {
    let Some(first) = scenes.first() else { return (vec![], vec![]) };
    let (text, whole) = (first.text, Span::new(0, first.text.len()));
    let done: Vec<(Span, &[u8])> =
        edits.iter().filter(|e| e.file == first.file).map(|e| (e.span, e.with.as_slice())).collect();
    let mut more: Vec<Edit> = Vec::new();
    let mut lines = BTreeSet::new();
    let all = comments(text, whole);
    for rename in renames(first.target, text, &done) {
        let found = all.iter().flat_map(|&c| words(text, c, &rename.old).into_iter().map(move |w| (c, w)));
        let left: Vec<(Span, Span)> = found.filter(|(_, w)| !done.iter().any(|(s, _)| s.contains(*w))).collect();
        if left.is_empty() {
            continue;
        }
        let gone = rename.all_go(text, whole, &done);
        for (comment, word) in left {
            if compares(text, comment, word) {
                continue;
            }
            let own = scenes.iter().any(|s| s.function.span.contains(comment) || above(s) == Some(comment));
            let taken = |s: Span| {
                let hit = |o: Span| o.start < s.end && s.start < o.end;
                done.iter().any(|(o, _)| hit(*o)) || more.iter().any(|e| hit(e.span))
            };
            // The name of a pinning call says which call is meant. Others name a kind of function as well.
            let exact = rename.old.starts_with("get_user_pages_");
            let ours = !quoted(text, comment, word);
            let change = (ours && gone && (own || exact || says_that_it_calls(text, comment, word)))
                .then(|| renamed(text, comment, word, &rename.new))
                .flatten()
                .filter(|c| !taken(c.span));
            match change {
                Some(c) => more.push(Edit { file: first.file, span: c.span, with: c.with.into_bytes() }),
                // It speaks of a function that changed, or stands in one.
                None if own || ours && scenes.iter().any(|s| !words(text, comment, &s.function.name).is_empty()) => {
                    lines.insert((word.start, rename.old.clone()));
                }
                None => {}
            }
        }
    }
    let map = LineMap::new(text);
    let path = first.program.path(first.file);
    let say = |(at, old): (u32, String)| {
        format!("The comment at {path}:{} names {old}() and stays: read whether it is still true.", map.line(at))
    };
    (more, lines.into_iter().map(say).collect())
}
