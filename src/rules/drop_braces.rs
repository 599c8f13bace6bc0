//! Braces around what has become one statement go, and braces come where one statement has become several lines.
//!
//! # What it does
//! When a block of an `if` or a loop holds nothing but one call after the rewrite, it loses its braces, if every branch
//! of the `if` can do without. Where a loop without braces around it becomes an `if`, braces are added. A line
//! `if (page != NULL) {` that loses its brace becomes `if (page)`, and `if (pages && (n > 0)) {` loses the parentheses
//! around the comparison.
//!
//! # Why
//! The kernel's coding style wants no braces around a single statement, and checkpatch says so.
//!
//! # Example
//! ```c
//! if (info->need_release) {
//!         unsigned int i;
//!
//!         for (i = 0; i < info->num_pages; i++)
//!                 put_page(info->pages[i]);
//! }
//! ```
//! becomes
//! ```c
//! if (info->need_release)
//!         put_user_pages(info->pages, info->num_pages);
//! ```
//!
//! # Fix safety
//! A block with a comment outside the loop keeps its braces. An `else` is never left to the wrong `if`.

use super::style::{comments, indent_of, indent_to, width};
use super::{Change, Form, Scene, is_loop};
use crate::ast::{BinOp, Expr, ExprKind, Stmt, StmtKind};
use crate::source::Span;

/// Adapts the braces around the changes; whether any were. `None` when that cannot be done.
pub fn apply(scene: &Scene, changes: &mut Vec<Change>) -> Option<bool> {
    let mut used = false;
    loop {
        let step = changes.iter().enumerate().find_map(|(i, c)| match c.form {
            Form::Part => None,
            _ => action(scene, changes, i),
        });
        match step {
            None => return Some(used),
            Some(Action::Impossible) => return None,
            Some(Action::Replace { gone, with }) => {
                used = true;
                changes.retain(|c| !gone.contains(c.span));
                changes.push(Change { span: gone, with, form: Form::Part });
                changes.sort_by_key(|c| c.span);
            }
        }
    }
}

enum Action {
    Replace { gone: Span, with: String },
    Impossible,
}

/// What to do about the braces around one change, if anything.
fn action(scene: &Scene, changes: &[Change], i: usize) -> Option<Action> {
    let c = &changes[i];
    let mut path = scene.path(c.span);
    if path.last()?.span == c.span {
        path.pop();
    }
    let parent = *path.last()?;
    match &parent.kind {
        StmtKind::Block(_) => {
            path.pop();
            let outer = *path.last()?;
            if c.form != Form::Single || !single(scene, changes, parent) {
                return None;
            }
            drop(scene, changes, &path, outer)
        }
        StmtKind::If { .. } => Some(wrap(scene, c, parent)).filter(|_| c.form != Form::Single),
        _ if is_loop(parent) => Some(wrap(scene, c, parent)).filter(|_| c.form != Form::Single),
        _ => None,
    }
}

/// The block holds one simple statement after the changes, and no comment outside of them.
fn single(scene: &Scene, changes: &[Change], block: &Stmt) -> bool {
    let StmtKind::Block(all) = &block.kind else { return false };
    let covered = |s: Span| changes.iter().any(|c| c.span.contains(s));
    let inside: Vec<&Change> = changes.iter().filter(|c| block.span.contains(c.span)).collect();
    let only = inside.iter().filter(|c| c.form == Form::Single).count() == 1
        && inside.iter().all(|c| c.form == Form::Single || c.with.is_empty() || c.is_space(scene.text));
    only && all.iter().all(|s| covered(s.span)) && comments(scene.text, block.span).iter().all(|s| covered(*s))
}

/// Start and new text of the one call in a block that had braces because the other branch needed them.
fn simple(scene: &Scene, changes: &[Change], block: &Stmt) -> Option<(u32, String)> {
    let StmtKind::Block(all) = &block.kind else { return None };
    let [one] = all.as_slice() else { return None };
    if !matches!(one.kind, StmtKind::Expr(_)) || !comments(scene.text, block.span).is_empty() {
        return None;
    }
    let mut text = one.span.text(scene.text);
    for c in changes.iter().rev().filter(|c| one.span.contains(c.span)) {
        let (from, to) = (c.span.start - one.span.start, c.span.end - one.span.start);
        text.get(from as usize..to as usize)?;
        text.replace_range(from as usize..to as usize, &c.with);
    }
    Some((one.span.start, text))
}

/// All blocks of an `if` chain, or the body of a loop, lose their braces together.
fn drop(scene: &Scene, changes: &[Change], path: &[&Stmt], outer: &Stmt) -> Option<Action> {
    if is_loop(outer) {
        let mut body = None;
        outer.children(&mut |s| body = Some(s));
        return without(scene, changes, body?, outer, None);
    }
    // The head of the chain: if … else if … else …
    let mut root = path.len() - 1;
    while root > 0 {
        match &path[root - 1].kind {
            StmtKind::If { els: Some(e), .. } if e.span == path[root].span => root -= 1,
            _ => break,
        }
    }
    let mut branches: Vec<(&Stmt, Option<&Stmt>)> = Vec::new();
    let mut at = path[root];
    while let StmtKind::If { then, els, .. } = &at.kind {
        branches.push((then, els.as_deref()));
        match els.as_deref() {
            Some(e) if matches!(e.kind, StmtKind::If { .. }) => at = e,
            Some(e) => {
                branches.push((e, None));
                break;
            }
            None => break,
        }
    }
    let blocks: Vec<_> = branches.iter().filter(|(b, _)| matches!(b.kind, StmtKind::Block(_))).collect();
    if !blocks.iter().all(|(b, _)| single(scene, changes, b) || simple(scene, changes, b).is_some()) {
        return None;
    }
    let mut done: Option<(Span, String)> = None;
    for (block, els) in blocks {
        let Some(Action::Replace { gone, with }) = without(scene, changes, block, path[root], *els) else {
            return None;
        };
        done = Some(match done {
            None => (gone, with),
            Some((before, text)) => {
                let gap = Span { start: before.end, end: gone.start };
                (before.to(gone), format!("{text}{}{with}", gap.text(scene.text)))
            }
        });
    }
    done.map(|(gone, with)| Action::Replace { gone, with })
}

/// One block without its braces; `els` is what follows it behind `else`.
fn without(scene: &Scene, changes: &[Change], block: &Stmt, outer: &Stmt, els: Option<&Stmt>) -> Option<Action> {
    let (at, code) = match changes.iter().find(|c| c.form == Form::Single && block.span.contains(c.span)) {
        Some(c) => (c.span.start, c.with.clone()),
        None => simple(scene, changes, block)?,
    };
    let indent = indent_to(width(indent_of(scene.text, at)?));
    let start = trimmed(scene.text, block.span.start);
    let mut gone = Span { start, end: block.span.end };
    let mut with = format!("\n{indent}{code}");
    if let Some(end) = null_compared(scene, block, start)
        .filter(|end| !changes.iter().any(|c| c.span.end > *end && c.span.start < start))
    {
        gone.start = end;
        with.insert(0, ')');
    }
    if let Some((from, head)) = parenthesised(scene, block, start)
        .filter(|(from, _)| !changes.iter().any(|c| c.span.end > *from && c.span.start < start))
    {
        gone.start = from;
        with.insert_str(0, &head);
    }
    if let Some(e) = els {
        let gap = Span { start: block.span.end, end: e.span.start }.text(scene.text);
        if gap.trim() != "else" {
            return None;
        }
        gone.end = e.span.start - (gap.len() - gap.find("else")?) as u32;
        with.push('\n');
        with.push_str(indent_of(scene.text, outer.span.start)?);
    }
    Some(Action::Replace { gone, with })
}

/// Where the pointer ends in `if (pointer != NULL) {`: the line changes with its brace, and checkpatch wants changed
/// lines to test the pointer itself. `end` is that of the head.
fn null_compared(scene: &Scene, block: &Stmt, end: u32) -> Option<u32> {
    scene.path(block.span).into_iter().find_map(|s| match &s.kind {
        StmtKind::If { cond, then, .. } if then.span == block.span => match &cond.kind {
            ExprKind::Binary(BinOp::Ne, pointer, _) => {
                let rest = Span { start: pointer.span.end, end };
                (rest.of(scene.text) == b" != NULL)").then_some(pointer.span.end)
            }
            _ => None,
        },
        _ => None,
    })
}

/// Where the first needless parenthesis stands in `if (array && (n > 0)) {`, and the rest of the head without them: for
/// the same reason.
fn parenthesised(scene: &Scene, block: &Stmt, end: u32) -> Option<(u32, String)> {
    let mut around = Vec::new();
    for s in scene.path(block.span) {
        if let StmtKind::If { cond, then, .. } = &s.kind
            && then.span == block.span
        {
            compared(cond, scene.text, &mut around);
        }
    }
    let from = around.first()?.start;
    let rest = Span { start: from, end };
    let mut head = std::str::from_utf8(rest.of(scene.text)).ok()?.to_string();
    if head.contains('\n') {
        return None;
    }
    let mut bytes: Vec<u32> = around.iter().flat_map(|s| [s.start, s.end - 1]).collect();
    bytes.sort_unstable();
    for at in bytes.into_iter().rev() {
        head.remove((at - from) as usize);
    }
    Some((from, head))
}

/// The operands of `&&` and `||` that are comparisons in parentheses of their own.
fn compared(cond: &Expr, text: &[u8], out: &mut Vec<Span>) {
    let ExprKind::Binary(BinOp::And | BinOp::Or, a, b) = &cond.kind else { return };
    for x in [a, b] {
        match &x.kind {
            ExprKind::Binary(BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge, left, right) => {
                let open = Span { start: x.span.start, end: left.span.start };
                let close = Span { start: right.span.end, end: x.span.end };
                if open.of(text) == b"(" && close.of(text) == b")" {
                    out.push(x.span);
                }
            }
            _ => compared(x, text, out),
        }
    }
}

/// Puts braces around a statement that grew.
fn wrap(scene: &Scene, c: &Change, outer: &Stmt) -> Action {
    let inner = || {
        let mut head = outer;
        let path = scene.path(outer.span);
        for p in path.iter().rev() {
            if let StmtKind::If { els: Some(e), .. } = &p.kind
                && e.span == head.span
            {
                head = p;
            }
        }
        let indent = indent_of(scene.text, head.span.start)?;
        let start = trimmed(scene.text, c.span.start);
        let gap = Span { start, end: c.span.start };
        let head_line = Span { start: super::style::line_start(scene.text, start.saturating_sub(1)), end: start };
        if comments(scene.text, head_line).iter().any(|s| s.of(scene.text).starts_with(b"//")) {
            return None;
        }
        let mut gone = gap.to(c.span);
        let mut with = format!(" {{{}{}\n{indent}}}", gap.text(scene.text), c.with);
        if let StmtKind::If { then, els: Some(e), .. } = &outer.kind
            && then.span.contains(c.span)
        {
            let gap = Span { start: then.span.end, end: e.span.start }.text(scene.text);
            if gap.trim() != "else" {
                return None;
            }
            gone.end = e.span.start - (gap.len() - gap.find("else")?) as u32;
            with.push(' ');
        }
        Some(Action::Replace { gone, with })
    };
    inner().unwrap_or(Action::Impossible)
}

/// Where the white space before `offset` begins.
fn trimmed(text: &[u8], offset: u32) -> u32 {
    let before = &text[..(offset as usize).min(text.len())];
    before.trim_ascii_end().len() as u32
}
