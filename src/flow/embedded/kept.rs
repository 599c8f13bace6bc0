//! Whether what an object holds stays in it: nobody copies one whole, none lies in a union, and no statement touches
//! the
//! fields of two of them.

use super::{Chains, Embedded, Link};
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::flow::engine::Engine;
use crate::flow::facts::Types;
use crate::flow::objects::is_of;
use crate::flow::release::plain as written;
use crate::index::{FnRef, Reach, Scope, contains_word};
use crate::kernel::Api;
use crate::lex::{self, TokKind, Token};
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::split::{Item, ItemKind};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Structs within structs that are looked at, at most.
const MAX_PARTS: usize = 200;

/// Files that see a struct, at most. In v6.12, 523 see the one where it matters most.
const MAX_FILES: usize = 1500;

/// Of structs, by definition, whether nobody copies an object whole, and none lies in a union.
#[derive(Default)]
pub(in super::super) struct Told(Mutex<FxHashMap<(FileId, u32), bool>>);

impl Told {
    fn ask(&self, of: (FileId, u32), find: impl FnOnce() -> Option<bool>) -> bool {
        let known = |m: &Mutex<FxHashMap<_, bool>>| m.lock().unwrap_or_else(PoisonError::into_inner).get(&of).copied();
        known(&self.0).unwrap_or_else(|| {
            let found = find() == Some(true);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of, found);
            found
        })
    }
}

/// The structs of the chains, and where each is defined.
fn seen(all: &Chains) -> BTreeSet<(Name, FileId)> {
    let links = all.iter().flatten();
    links.filter_map(|l| if let Link::In(tag, _, home) = l { Some((tag.clone(), *home)) } else { None }).collect()
}

/// Pairs of the structs, one of which is a part of the other; `None` if a struct is not known.
pub(super) fn parts(e: &Engine, all: &Chains) -> Option<BTreeSet<(Name, Name)>> {
    let seen = seen(all);
    let mut out = BTreeSet::new();
    for (tag, file) in &seen {
        let inner = within(e, *file, tag)?;
        for (other, _) in seen.iter().filter(|o| inner.contains(&o.0)) {
            out.extend([(tag.clone(), other.clone()), (other.clone(), tag.clone())]);
        }
    }
    Some(out)
}

/// The structs that are parts of a struct, and itself.
fn within(e: &Engine, file: FileId, tag: &Name) -> Option<BTreeSet<Name>> {
    let mut found = BTreeSet::from([tag.clone()]);
    let mut work = vec![(file, tag.clone())];
    while let Some((file, tag)) = work.pop() {
        // What a configuration leaves out, or a macro makes, has no part that anybody could name.
        let Some(def) = e.index.struct_def(file, &tag) else { continue };
        let home = e.index.struct_item(file, &tag).map_or(file, |(home, _)| home);
        for f in def.fields.iter().filter(|f| f.ty.ptr == 0 && !f.ty.function) {
            if let Some(inner) = tag_of(e, home, &f.ty)
                && found.insert(inner.clone())
            {
                work.push((home, inner));
            }
        }
        if found.len() > MAX_PARTS {
            return None;
        }
    }
    Some(found)
}

fn tag_of(e: &Engine, file: FileId, ty: &CType) -> Option<Name> {
    match &ty.base {
        Base::Named(n) => e.index.typedef(file, n).filter(|t| t.depth() == 0)?.tag().cloned(),
        _ => ty.tag().cloned(),
    }
}

/// Whether the pages stay in their objects.
pub(super) fn kept(e: &Engine, file: FileId, of: &Embedded, all: &Chains, told: &Told) -> bool {
    let known = || {
        let seen = seen(all);
        // What lies in a struct that lies in another one is told apart as well.
        let middle = all.iter().flat_map(|c| c.windows(2));
        let middle: BTreeSet<Name> =
            middle.filter_map(|w| if let Link::In(tag, ..) = &w[0] { Some(tag.clone()) } else { None }).collect();
        let mut copied: Vec<(&Name, FileId)> =
            seen.iter().filter(|s| middle.contains(&s.0)).map(|(tag, home)| (tag, *home)).collect();
        copied.push((&of.tag, file));
        for (tag, file) in copied {
            let files = seeing(e, file, tag)?;
            if !told
                .ask(e.index.struct_item(file, tag)?, || Some(!in_union(e, tag, &files)? && uncopied(e, tag, &files)?))
            {
                return None;
            }
        }
        for (tag, file) in seen.iter().filter(|s| !middle.contains(&s.0)) {
            if in_union(e, tag, &seeing(e, *file, tag)?)? {
                return None;
            }
        }
        one_at_a_time(e, of, &seeing(e, file, &of.tag)?)
    };
    known() == Some(true)
}

/// Files that can name the members of a struct; `None` when they are most of the tree.
fn seeing(e: &Engine, file: FileId, tag: &Name) -> Option<Vec<FileId>> {
    let (home, _) = e.index.struct_item(file, tag)?;
    let mut files = match e.index.struct_reach(home) {
        Reach::File => e.index.unit(home),
        Reach::Folder => e.index.folder_files(home),
        Reach::Tree => Vec::new(),
    };
    if e.index.struct_reach(home) != Reach::File {
        files.extend(e.index.seen_by(home)?.iter());
    }
    files.sort_unstable();
    files.dedup();
    (files.len() <= MAX_FILES).then_some(files)
}

/// Whether a union has an object of the struct, or an array of them.
fn in_union(e: &Engine, tag: &Name, files: &[FileId]) -> Option<bool> {
    for (file, _) in e.index.tree.grep(&[&**tag], Some(files)) {
        let items = e.index.items(file)?;
        for item in &items.items {
            let text = item.span.of(&items.text);
            if contains_word(text, b"union") && contains_word(text, tag.as_bytes()) && lies_in_union(text, tag) {
                return Some(true);
            }
        }
    }
    Some(false)
}

fn lies_in_union(text: &[u8], tag: &Name) -> bool {
    let toks: Vec<Token> = lex::code(text).filter(|t| t.kind != TokKind::Preproc).collect();
    let mut open: Vec<bool> = Vec::new();
    for (i, t) in toks.iter().enumerate() {
        if t.is(b'{') {
            open.push(toks[..i].iter().rev().take(2).any(|t| t.word(text) == b"union"));
        } else if t.is(b'}') {
            open.pop();
        }
        let named = t.word(text) == tag.as_bytes() && i > 0 && toks[i - 1].word(text) == b"struct";
        // Its definition may stand there as well. Within a struct in the union it lies in the union, too.
        let by_value = toks.get(i + 1).is_some_and(|n| n.kind == TokKind::Ident || n.is(b'{') || n.is(b';'));
        if named && by_value && open.iter().any(|u| *u) {
            return true;
        }
    }
    false
}

/// Whether no statement touches the field of two objects.
fn one_at_a_time(e: &Engine, of: &Embedded, all: &[FileId]) -> Option<bool> {
    let (tag, member) = (&of.tag, &of.field);
    let files: Vec<FileId> = e.index.tree.grep(&[&**member], Some(all)).into_iter().map(|h| h.0).collect();
    e.index.load(&files);
    for file in &files {
        let items = e.index.items(*file)?;
        let twice = |i: &Item| {
            // With its `#` the line of a macro is one token; a call at the top of a file has no name.
            let start = if i.kind == ItemKind::Define { i.name_span.end } else { i.span.start };
            touches_twice(Span { start, end: i.span.end }.of(&items.text), member)
        };
        let macros = items.items.iter().filter(|i| matches!(i.kind, ItemKind::Define | ItemKind::Other));
        if macros.into_iter().any(twice) {
            return None;
        }
    }
    let mut names = None;
    for f in e.index.touching_of(e.index.touching_in(&files, member), tag, member) {
        let items = e.index.items(f.file)?;
        let text = items.items.get(f.item as usize)?.span.of(&items.text);
        if !touches_twice(text, member) {
            continue;
        }
        if names.is_none() {
            names = Some(Names::of(e, tag, all)?);
        }
        let names = names.as_ref()?;
        let func = e.index.parsed(f)?;
        let types = Types::new(f.file, &func, e.index);
        let text = e.index.text(f.file);
        let mut fine = true;
        func.body.walk(&mut |s| {
            let mut objects: BTreeSet<String> = BTreeSet::new();
            s.exprs(&mut |x| {
                x.walk(&mut |x| {
                    if let ExprKind::Field { base, name, .. } = &x.kind
                        && name == member
                        && is_of(&types, base, tag).unwrap_or_else(|| names.may_mean(base))
                    {
                        objects.insert(written(base, &text));
                    }
                });
            });
            fine &= objects.len() < 2;
        });
        if !fine {
            return None;
        }
    }
    Some(true)
}

/// Whether words touch the member twice between one `;` and the next.
fn touches_twice(text: &[u8], member: &Name) -> bool {
    let mut times = 0;
    let mut behind = false;
    lex::code(text).any(|t| {
        if t.is(b';') {
            times = 0;
        }
        times += u32::from(behind && t.word(text) == member.as_bytes());
        behind = t.is(b'.') || t.is(b'>');
        times > 1
    })
}

/// What declarations say of a struct.
#[derive(Default)]
struct Names {
    /// Members and variables that are objects.
    objects: BTreeSet<Vec<u8>>,
    /// All that is an object or leads to one: also pointers, functions that return them, macros that name the struct.
    all: BTreeSet<Vec<u8>>,
    /// Variables of files that are objects.
    variables: BTreeSet<Vec<u8>>,
    /// Structs that have an object as a member.
    outer: BTreeSet<Name>,
}

impl Names {
    fn of(e: &Engine, tag: &Name, files: &[FileId]) -> Option<Self> {
        let naming: Vec<FileId> = e.index.tree.grep(&[&**tag], Some(files)).into_iter().map(|h| h.0).collect();
        e.index.load(&naming);
        let mut names = Self::default();
        names.all.insert(tag.as_bytes().to_vec());
        for file in naming {
            let items = e.index.items(file)?;
            for item in &items.items {
                let text = item.span.of(&items.text);
                if contains_word(text, tag.as_bytes()) {
                    names.add(item, text, tag)?;
                }
            }
        }
        Some(names)
    }
    /// What a part of a file declares; `None` for another name of the struct: by that nobody is found.
    fn add(&mut self, item: &Item, text: &[u8], tag: &Name) -> Option<()> {
        if item.kind == ItemKind::Define {
            self.all.insert(item.name.as_bytes().to_vec());
            return Some(());
        }
        let toks: Vec<Token> = lex::code(text).collect();
        for (i, w) in toks.windows(2).enumerate() {
            if w[0].word(text) != b"struct" || w[1].word(text) != tag.as_bytes() {
                continue;
            }
            if i > 0 && toks[i - 1].word(text) == b"typedef" {
                return None;
            }
            // `struct tag *a, b;`, but of `(struct tag *a, int b)` the first.
            let mut rest = &toks[i + 2..];
            let mut first = true;
            loop {
                let stars = rest.iter().take_while(|t| t.is(b'*') || t.word(text) == b"const").count();
                let [name, behind, ..] = &rest[stars..] else { break };
                let more = behind.is(b',') || behind.is(b';') || behind.is(b'=') || behind.is(b'[');
                if name.kind != TokKind::Ident || !first && !more {
                    break;
                }
                first = false;
                self.all.insert(name.word(text).to_vec());
                if !rest[..stars].iter().any(|t| t.is(b'*')) {
                    self.objects.insert(name.word(text).to_vec());
                    match item.kind {
                        ItemKind::Struct if *item.name != **tag => {
                            self.outer.insert(item.name.clone());
                        }
                        ItemKind::Variable | ItemKind::Struct => {
                            self.variables.insert(name.word(text).to_vec());
                        }
                        _ => {}
                    }
                }
                let ends = |t: &Token| t.is(b',') || t.is(b';') || t.is(b')') || t.is(b'{');
                let Some(comma) = rest.iter().position(ends).filter(|i| rest[*i].is(b',')) else { break };
                rest = &rest[comma + 1..];
            }
        }
        Some(())
    }
    /// Whether an expression of unknown type may be an object, or lead to one.
    fn may_mean(&self, x: &Expr) -> bool {
        match &x.kind {
            ExprKind::Ident(n) | ExprKind::Field { name: n, .. } => self.all.contains(n.as_bytes()),
            ExprKind::Unary(_, a) | ExprKind::Cast(_, a) | ExprKind::Index(a, _) => self.may_mean(a),
            ExprKind::IncDec { operand, .. } => self.may_mean(operand),
            ExprKind::Call { .. } => x.call().is_none_or(|(n, _)| self.all.contains(n.as_bytes())),
            ExprKind::Binary(BinOp::Add | BinOp::Sub, a, b) | ExprKind::Cond(_, Some(a), b) => {
                self.may_mean(a) || self.may_mean(b)
            }
            ExprKind::Cond(a, None, b) => self.may_mean(a) || self.may_mean(b),
            ExprKind::Comma(_, a) | ExprKind::Assign(_, a, _) => self.may_mean(a),
            ExprKind::StmtExpr(_) | ExprKind::Opaque => true,
            _ => false,
        }
    }
}

/// Whether no object is copied as a whole.
fn uncopied(e: &Engine, tag: &Name, files: &[FileId]) -> Option<bool> {
    let names = Names::of(e, tag, files)?;
    let words: Vec<&str> = names.outer.iter().chain([tag]).map(|n| &**n).collect();
    let files: Vec<FileId> = e.index.tree.grep(&words, Some(files)).into_iter().map(|h| h.0).collect();
    e.index.load(&files);
    for file in files {
        let items = e.index.items(file)?;
        for (i, item) in items.items.iter().enumerate() {
            if item.kind == ItemKind::Function && may_copy(item.span.of(&items.text), tag, &names) {
                let func = e.index.parsed(FnRef { file, item: i as u32 })?;
                if !func.damage.is_empty() || copies(e, file, &func, tag, &names) {
                    return Some(false);
                }
            }
        }
    }
    Some(true)
}

/// Whether words of a function may copy a whole object: quicker than to parse it.
fn may_copy(text: &[u8], tag: &Name, names: &Names) -> bool {
    let toks: Vec<Token> = lex::code(text).collect();
    let is = |i: usize, c: u8| toks.get(i).is_some_and(|t| t.is(c));
    let word = |i: usize| toks.get(i).map_or(&b""[..], |t| t.word(text));
    let named = |from: usize| {
        let mut rest = toks[from..].iter().take_while(|t| !t.is(b';'));
        rest.any(|t| names.all.contains(t.word(text)))
    };
    // `struct tag name(…)`
    let by_value = || {
        let head = |w: &[Token]| {
            w[0].word(text) == b"struct" && w[1].word(text) == tag.as_bytes() && w[2].kind == TokKind::Ident
        };
        toks.windows(3).any(head)
    };
    // What a call writes to: its first argument, of some all.
    let target = |from: usize, all: bool| {
        let mut depth = 0;
        let mut rest = toks[from..].iter().take_while(|t| {
            depth += i32::from(t.is(b'(')) - i32::from(t.is(b')'));
            depth > 0 && (all || depth > 1 || !t.is(b','))
        });
        rest.any(|t| names.all.contains(t.word(text)))
    };
    (0..toks.len()).any(|i| match word(i) {
        b"" => is(i, b'=') && is(i + 1, b'*') && named(i),
        b"return" => named(i) && by_value(),
        w if is(i + 1, b'(') => std::str::from_utf8(w)
            .is_ok_and(|w| Api::get().is_copying(w) && target(i + 1, w.contains("swap") || w.contains("kfifo"))),
        w if names.objects.contains(w) => {
            let member = i > 0 && (is(i - 1, b'.') || is(i - 1, b'>'));
            // What is assigned is no address, and nothing new.
            let value = is(i + 1, b'=') && !is(i + 2, b'=') && !is(i + 2, b'&') && word(i + 2) != b"NULL";
            (value || is(i + 1, b'[')) && (member || names.variables.contains(w) || by_value())
        }
        _ => false,
    })
}

/// Whether a function copies an object as a whole.
fn copies(e: &Engine, file: FileId, func: &Function, tag: &Name, names: &Names) -> bool {
    let types = Types::new(file, func, e.index);
    // An object, or a pointer to one.
    let object = |x: &Expr| is_of(&types, x, tag).unwrap_or_else(|| names.may_mean(x));
    let whole = |x: &Expr| types.of(x).depth() == 0 && object(x);
    let mut found = false;
    func.body.walk(&mut |s| match &s.kind {
        StmtKind::Decl(vars) => found |= vars.iter().filter_map(|v| v.init.as_ref()).any(whole),
        StmtKind::Return(Some(x)) => found |= whole(x),
        _ => {}
    });
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(None, to, from) => found |= whole(to) && whole(from),
        ExprKind::InitList(list) => found |= list.iter().any(|(_, x)| whole(x)),
        ExprKind::Call { .. } => {
            let Some((name, args)) = x.call().filter(|(n, _)| Api::get().is_copying(n)) else { return };
            // Of two variables, what they hold.
            if &**name == "swap" {
                found |= args.iter().any(whole);
                return;
            }
            // What is written to, or copied to new memory; of a swap both; what goes through a queue by value.
            let targets = match () {
                () if name.contains("kfifo") => args.len(),
                () if name.contains("swap") => 2,
                () => 1,
            };
            // What is declared for these objects is read itself.
            let own = |(file, i): (FileId, u32)| {
                let items = e.index.items(file)?;
                Some(contains_word(items.items.get(i as usize)?.span.of(&items.text), tag.as_bytes()))
            };
            let declared = e.index.visible_item(file, name, &[ItemKind::Function, ItemKind::Prototype]);
            if declared.and_then(own) == Some(true) {
                return;
            }
            found |= args.iter().take(targets).any(|a| match &a.kind {
                // Its first member, or another one on which it goes on.
                ExprKind::Unary(UnOp::AddrOf, a) => match &a.kind {
                    ExprKind::Field { base, .. } => object(base) || object(a),
                    _ => object(a),
                },
                _ => object(a),
            });
        }
        _ => {}
    });
    found
}
