//! What is done to objects everywhere: whether the fields of two of them are ever touched at once.

use super::super::engine::Engine;
use super::super::facts::Types;
use super::super::release::plain as written;
use super::{Family, declared, is_of, macros, memory, seeing};
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::FnRef;
use crate::kernel::Api;
use crate::lex::{self, TokKind, Token};
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::split::{Item, ItemKind};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// Functions that touch a member of this name, of the struct as far as tokens tell; `None` if one of them is not known
/// whole, or if a macro does.
pub(super) fn functions_with(e: &Engine, family: &Family, member: &Name) -> Option<Vec<(FnRef, Arc<Function>)>> {
    touching(e, &family.files, &family.tag, member)
}

pub(in super::super) fn touching(
    e: &Engine,
    files: &[FileId],
    tag: &Name,
    member: &Name,
) -> Option<Vec<(FnRef, Arc<Function>)>> {
    let files: Vec<FileId> = e.index.tree.grep(&[&**member], Some(files)).into_iter().map(|h| h.0).collect();
    e.index.load(&files);
    for file in &files {
        let items = e.index.items(*file)?;
        let macros = items.items.iter().filter(|i| matches!(i.kind, ItemKind::Define | ItemKind::Other));
        if macros.into_iter().any(|i| in_macro(i, &items.text, member)) {
            return None;
        }
        // Where the name stands behind a struct only, no macro is given it.
        let alone = |f: &FnRef| items.items.get(f.item as usize).is_some_and(|i| stands_alone(i, &items.text, member));
        for f in e.index.naming(*file, member).into_iter().filter(alone) {
            if e.index.parsed(f).is_none_or(|func| handed_to_macro(e, f.file, &func, member)) {
                return None;
            }
        }
    }
    let all = e.index.touching_of(e.index.touching_in(&files, member), tag, member);
    all.into_iter().map(|f| Some((f, e.index.parsed(f).filter(|f| f.whole())?))).collect()
}

/// Whether a macro touches the member, or is another name of it.
fn in_macro(item: &Item, text: &[u8], member: &Name) -> bool {
    // Of a macro, the text behind `#define`; a call at the top of a file has no name.
    if item.kind == ItemKind::Define {
        return macros::has_member(Span { start: item.name_span.end, end: item.span.end }.of(text), member.as_bytes());
    }
    let text = item.span.of(text);
    let toks: Vec<Token> = lex::code(text).filter(|t| t.kind != TokKind::Preproc).collect();
    toks.windows(2).any(|w| (w[0].is(b'.') || w[0].is(b'>')) && w[1].word(text) == member.as_bytes())
}

/// Whether the name stands in a function other than behind `.` or `->`.
fn stands_alone(item: &Item, text: &[u8], member: &Name) -> bool {
    let text = item.span.of(text);
    let mut behind = false;
    lex::code(text).any(|t| {
        let alone = !behind && (t.kind == TokKind::Preproc || t.word(text) == member.as_bytes());
        behind = t.is(b'.') || t.is(b'>');
        alone
    })
}

/// Whether a macro is given the name for a member: as a name that is no variable, or as one that only looks like it.
fn handed_to_macro(e: &Engine, file: FileId, func: &Function, member: &Name) -> bool {
    let variable = declared(func, member) > 0 || func.params.iter().any(|p| p.name == *member);
    let mut found = false;
    func.body.walk_exprs(&mut |x| {
        let Some((n, args)) = x.call().filter(|(n, _)| !matches!(&***n, "container_of" | "offsetof")) else { return };
        let mut given = args.iter().enumerate().filter(|(_, a)| a.ident() == Some(member)).map(|(k, _)| k);
        found = found || given.any(|k| !variable || macros::takes_member(e, file, n, k, 0));
    });
    found
}

/// Places where an expression is only asked for: `if (x)`, `!x`, `x && y`, `x == y`.
pub(super) fn asked(func: &Function) -> BTreeSet<Span> {
    let mut out = BTreeSet::new();
    func.body.walk(&mut |s| {
        if let StmtKind::If { cond, .. } | StmtKind::While { cond, .. } | StmtKind::DoWhile { cond, .. } = &s.kind {
            out.insert(cond.span);
        }
    });
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Unary(UnOp::Not, a) => {
            out.insert(a.span);
        }
        ExprKind::Binary(BinOp::And | BinOp::Or | BinOp::Eq | BinOp::Ne, a, b) => {
            out.insert(a.span);
            out.insert(b.span);
        }
        ExprKind::Cond(c, Some(_), _) => {
            out.insert(c.span);
        }
        _ => {}
    });
    out
}

/// Whether every call through this member of the table passes the object whose table it is for parameter `k`.
pub(super) fn passes(e: &Engine, family: &Family, member: &Name, k: usize) -> bool {
    let key = (member.clone(), k);
    if let Some(known) = family.passing.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return *known;
    }
    let found = all_pass(e, family, member, k) == Some(true);
    family.passing.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found);
    found
}

fn all_pass(e: &Engine, family: &Family, member: &Name, k: usize) -> Option<bool> {
    let files = seeing(e, family.file, &family.table)?;
    for (f, func) in touching(e, &files, &family.table, member)? {
        let types = Types::new(f.file, &func, e.index);
        let of_table = |x: &Expr| match &x.kind {
            ExprKind::Field { base, name, .. } if name == member => is_of(&types, base, &family.table) != Some(false),
            _ => false,
        };
        let mut fine = asked(&func);
        func.body.walk_exprs(&mut |x| {
            let ExprKind::Call { callee, args } = &x.kind else { return };
            if of_table(callee)
                && object_of(family, &types, callee).is_some_and(|o| args.get(k).and_then(Expr::ident) == Some(o))
            {
                fine.insert(callee.span);
            }
        });
        let mut known = true;
        func.body.walk_exprs(&mut |x| known &= !of_table(x) || fine.contains(&x.span));
        if !known {
            return None;
        }
    }
    Some(true)
}

/// The object of `object->ops->member`.
fn object_of<'x>(family: &Family, types: &Types, callee: &'x Expr) -> Option<&'x Name> {
    let ExprKind::Field { base, arrow: true, .. } = &callee.kind else { return None };
    let ExprKind::Field { base, name, arrow: true, .. } = &base.kind else { return None };
    base.ident().filter(|_| *name == family.ops && family.is_object(types, base) == Some(true))
}

/// Whether objects stand alone: none is a part of another struct or is copied, and no statement touches two fields.
pub(super) fn plain(e: &Engine, family: &Family) -> bool {
    apart(e, family) == Some(true)
        && alone(e, family)
        && uncopied(e, family) == Some(true)
        && memory::by_members(e, family) == Some(true)
}

/// No statement touches the field of two objects.
fn apart(e: &Engine, family: &Family) -> Option<bool> {
    let mut fine = true;
    for (f, func) in functions_with(e, family, &family.field)? {
        let types = Types::new(f.file, &func, e.index);
        let text = e.index.text(f.file);
        func.body.walk(&mut |s| {
            let mut objects: BTreeSet<String> = BTreeSet::new();
            s.exprs(&mut |x| {
                x.walk(&mut |x| {
                    if let ExprKind::Field { base, name, .. } = &x.kind
                        && *name == family.field
                        && family.is_object(&types, base) != Some(false)
                    {
                        objects.insert(written(base, &text));
                    }
                });
            });
            fine &= objects.len() < 2;
        });
    }
    Some(fine)
}

/// The struct is named as what a pointer points to, or as what has a member, and in no other way.
fn alone(e: &Engine, family: &Family) -> bool {
    let tag = family.tag.as_bytes();
    e.index.tree.grep(&[&*family.tag], Some(&family.files)).into_iter().all(|(file, _)| {
        let Some(items) = e.index.items(file) else { return false };
        let text = &items.text;
        let toks: Vec<Token> = lex::code(text).collect();
        // Of each brace that is open, whether it is that of a union.
        let mut open: Vec<bool> = Vec::new();
        let inside = |t: &Token| t.kind == TokKind::Preproc && crate::index::contains_word(t.span.of(text), tag);
        let mut by_value = |i: usize| {
            let w = &toks[i..];
            if w[0].is(b'{') {
                open.push(toks[..i].iter().rev().take(2).any(|t| t.word(text) == b"union"));
            } else if w[0].is(b'}') {
                open.pop();
            }
            if w[0].word(text) != b"struct" || w[1].word(text) != tag {
                return false;
            }
            match w[2].kind {
                // What lies beside it in a union is a pointer of another type.
                TokKind::Punct(b'*') => open.contains(&true),
                TokKind::Punct(b',') => !caller(&toks[..i], text).is_some_and(gives_outer),
                // No compound literal, and no argument that is the type.
                TokKind::Punct(b')') => w[3].is(b'{') || i < 2 || toks[i - 2].word(text) != b"sizeof",
                // A declaration in a struct, a definition elsewhere than at the top.
                TokKind::Punct(b';' | b'{') => !open.is_empty(),
                _ => true,
            }
        };
        // Behind the definition stands nothing.
        let closed = items.items.iter().filter(|i| *i.name == *family.tag).all(|i| {
            i.body.is_none_or(|b| {
                let rest = Span { start: b.end, end: i.span.end }.of(text);
                let rest: Vec<Token> = lex::code(rest).collect();
                rest.iter().all(|t| t.is(b';'))
            })
        });
        closed && !(0..toks.len().saturating_sub(3)).any(&mut by_value) && !toks.iter().any(inside)
    })
}

/// What the call is named whose arguments the tokens end in.
fn caller<'t>(toks: &[Token], text: &'t [u8]) -> Option<&'t [u8]> {
    let mut depth = 0;
    let open = toks.iter().rposition(|t| {
        depth += i32::from(t.is(b')')) - i32::from(t.is(b'('));
        depth < 0
    })?;
    Some(toks.get(open.checked_sub(1)?)?.word(text))
}

/// `container_of(x, struct TAG, member)` and what is made of it: the result is a pointer.
fn gives_outer(name: &[u8]) -> bool {
    name.starts_with(b"container_of") || name.ends_with(b"_entry")
}

/// No object is copied as a whole.
fn uncopied(e: &Engine, family: &Family) -> Option<bool> {
    let mut fine = true;
    let words = [&*family.tag, &*family.ops, &*family.field];
    let files: Vec<FileId> = e.index.tree.grep(&words, Some(&family.files)).into_iter().map(|h| h.0).collect();
    e.index.load(&files);
    for file in files {
        let items = e.index.items(file)?;
        for (i, _) in items.items.iter().enumerate().filter(|(_, i)| i.kind == ItemKind::Function) {
            let func = e.index.parsed(FnRef { file, item: i as u32 })?;
            let types = Types::new(file, &func, e.index);
            let object = |x: &Expr| is_of(&types, x, &family.tag) != Some(false);
            func.body.walk_exprs(&mut |x| match &x.kind {
                ExprKind::Assign(None, to, from) => {
                    let through = matches!(to.kind, ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..));
                    let whole = |x: &Expr| types.of(x).depth() == 0 && object(x);
                    fine &= !(through && whole(to) && whole(from));
                }
                ExprKind::Call { .. } => {
                    let Some((name, args)) = x.call().filter(|(n, _)| Api::get().is_copying(n)) else {
                        return;
                    };
                    // What is written to, or copied to new memory; of a swap both.
                    let targets = if name.contains("swap") { 2 } else { 1 };
                    fine &= !args.iter().take(targets).any(|a| match &a.kind {
                        ExprKind::Unary(UnOp::AddrOf, a) => match &a.kind {
                            ExprKind::Field { base, .. } => object(base),
                            _ => object(a),
                        },
                        _ => object(a),
                    });
                }
                _ => {}
            });
        }
    }
    Some(fine)
}
