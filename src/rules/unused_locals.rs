//! Variables that are used no more after a rewrite go from their declarations.
//!
//! # What it does
//! Removes the loop counter and page pointer that only the old loop used: the name from a list (`int i, err;` becomes
//! `int err;`), or the whole line; with the last declaration of a block goes the empty line behind it.
//!
//! # Why
//! An unused variable is a warning, and reviewers count it as an untested patch.
//!
//! # Example
//! ```c
//! int i, err;
//! ```
//! becomes, when `i` only counted the loop,
//! ```c
//! int err;
//! ```
//!
//! # Fix safety
//! Every other use in code counts, in preprocessor branches and macro arguments too. A variable whose initial value has
//! an effect is not removed; a rewrite that would leave a variable written but never read is not offered.

use super::analysis::pure;
use super::style::{identifiers, indent_of, line_end};
use super::{Change, Form, Rewrite, Scene};
use crate::ast::{ExprKind, Stmt, StmtKind, VarDecl};
use crate::source::Span;

/// A declared variable and the statement it is visible in.
struct Local<'a> {
    decl: &'a VarDecl,
    statement: &'a Stmt,
    scope: &'a Stmt,
}

fn locals<'a>(scope: &'a Stmt, out: &mut Vec<Local<'a>>) {
    fn declared<'a>(s: &'a Stmt, scope: &'a Stmt, out: &mut Vec<Local<'a>>) {
        match &s.kind {
            StmtKind::Decl(v) => out.extend(v.iter().map(|decl| Local { decl, statement: s, scope })),
            StmtKind::Configured { then, els, .. } => then.iter().chain(els).for_each(|s| declared(s, scope, out)),
            _ => locals(s, out),
        }
    }
    match &scope.kind {
        StmtKind::Block(all) => all.iter().for_each(|s| declared(s, scope, out)),
        StmtKind::For { init: Some(i), body, .. } => {
            declared(i, scope, out);
            locals(body, out);
        }
        _ => scope.children(&mut |s| locals(s, out)),
    }
}

/// What is left of a variable.
enum Left {
    /// It is still read, or was never touched.
    Used,
    /// Nothing but its declaration.
    Nothing,
    /// It is written but never read, or its declaration has an effect.
    Stain,
}

fn left(scene: &Scene, all: &[Local], l: &Local, changes: &[Change]) -> Left {
    let name = &*l.decl.name;
    if l.decl.is_static || changes.iter().any(|c| c.span.contains(l.statement.span)) {
        return Left::Used;
    }
    let inside = |at: Span| changes.iter().any(|c| c.span.contains(at));
    let mine = |at: Span| {
        let narrowest = all
            .iter()
            .filter(|o| *o.decl.name == *name && o.scope.span.contains(at))
            .min_by_key(|o| o.scope.span.end - o.scope.span.start);
        narrowest.is_some_and(|o| o.decl.span == l.decl.span)
    };
    let uses: Vec<Span> = identifiers(scene.text, l.scope.span)
        .into_iter()
        .filter(|s| s.of(scene.text) == name.as_bytes() && mine(*s))
        .collect();
    let touched = uses.iter().any(|s| inside(*s));
    let emitted = changes.iter().any(|c| {
        let all = Span::new(0, c.with.len());
        identifiers(c.with.as_bytes(), all).iter().any(|s| s.of(c.with.as_bytes()) == name.as_bytes())
    });
    let value = l.decl.init.as_ref();
    // The first identifier of the name in the declarator is the variable itself.
    let own = uses.iter().copied().find(|s| l.decl.span.contains(*s));
    let others: Vec<Span> = uses.into_iter().filter(|s| !inside(*s) && Some(*s) != own).collect();
    if !touched || emitted {
        return Left::Used;
    }
    if others.is_empty() {
        return if value.is_none_or(pure) { Left::Nothing } else { Left::Stain };
    }
    let mut writes = 0;
    l.scope.walk(&mut |s| {
        if let StmtKind::Expr(e) = &s.kind
            && let ExprKind::Assign(None, to, _) = &e.kind
            && to.ident().is_some_and(|n| &**n == name)
            && others.contains(&to.span)
        {
            writes += 1;
        }
    });
    if writes == others.len() { Left::Stain } else { Left::Used }
}

/// Whether the rewrite leaves no variable that is written but never read.
pub fn clean(scene: &Scene, r: &Rewrite) -> bool {
    changes(scene, &r.changes).is_some()
}

/// Takes the variables that are used no more out of their declarations. `None` when one would be left behind.
pub fn changes(scene: &Scene, changes: &[Change]) -> Option<Vec<Change>> {
    let mut all = Vec::new();
    locals(&scene.function.body, &mut all);
    let mut gone: Vec<&Local> = Vec::new();
    for l in &all {
        match left(scene, &all, l, changes) {
            Left::Used => {}
            Left::Nothing => gone.push(l),
            Left::Stain => return None,
        }
    }
    let mut out = Vec::new();
    let mut done: Vec<Span> = Vec::new();
    for l in &gone {
        let StmtKind::Decl(list) = &l.statement.kind else { continue };
        if done.contains(&l.statement.span) {
            continue;
        }
        done.push(l.statement.span);
        let goes = |d: &VarDecl| gone.iter().any(|g| g.decl.span == d.span);
        if list.iter().all(goes) {
            let gone: Vec<Span> = gone.iter().map(|g| g.statement.span).collect();
            out.push(whole(scene, l.statement, l.scope, &gone));
        } else {
            out.push(part(scene, list, &goes));
        }
    }
    Some(out)
}

/// The declaration goes with its line, and with the empty line behind it when no declaration is left before that.
fn whole(scene: &Scene, s: &Stmt, scope: &Stmt, gone: &[Span]) -> Change {
    let text = scene.text;
    let mut span = s.span;
    let rest = Span { start: s.span.end, end: line_end(text, s.span.end) }.text(text);
    let rest = rest.trim();
    let alone = rest.is_empty() || rest.starts_with("/*") && rest.ends_with("*/") || rest.starts_with("//");
    if let (Some(indent), true) = (indent_of(text, s.span.start), alone) {
        span.start -= indent.len() as u32;
        span.end = line_end(text, s.span.end);
        let kept = match &scope.kind {
            StmtKind::Block(v) => v
                .iter()
                .any(|o| matches!(o.kind, StmtKind::Decl(_)) && o.span.start < s.span.start && !gone.contains(&o.span)),
            _ => true,
        };
        let next = Span { start: span.end, end: line_end(text, span.end) };
        if !kept && next.of(text).trim_ascii().is_empty() && next.end > next.start {
            span.end = next.end;
        }
    }
    Change { span, with: String::new(), form: Form::Part }
}

/// Some names of the list go, each with the comma that belongs to it.
fn part(scene: &Scene, list: &[VarDecl], goes: &dyn Fn(&VarDecl) -> bool) -> Change {
    let (first, last) = (list[0].span, list[list.len() - 1].span);
    let mut with = String::new();
    for (i, d) in list.iter().enumerate() {
        if goes(d) {
            continue;
        }
        if !with.is_empty() {
            let gap = Span { start: list[i - 1].span.end, end: d.span.start };
            with.push_str(&gap.text(scene.text));
        }
        with.push_str(&d.span.text(scene.text));
    }
    Change { span: first.to(last), with, form: Form::Part }
}
