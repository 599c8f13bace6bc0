//! Whether an MMU notifier watches the mapping that pages were taken from (CASE 3 of `pin_user_pages.rst`).
//!
//! It says what the evidence is, and not what follows from it.

use crate::ast::{Expr, ExprKind, Function, StmtKind};
use crate::index::{FnRef, Index};
use crate::kernel::{AcquireKind, Api, Borrow};
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::split::ItemKind;
use crate::trace::{Custody, GapCode, HolderKind, PinSite, PinTrace, Use, UseKind};
use std::collections::BTreeSet;

/// Evidence that the mapping is watched: a function of the trace asks the notifier, the struct that keeps the pages has
/// one, or the file has one and the pages become bare page numbers.
pub(super) fn notifier(t: &PinTrace, index: &Index, site: &PinSite) -> Option<(Name, Loc)> {
    let api = Api::get();
    let words = |file: FileId, span: Span, own: bool| -> Option<(Name, Loc)> {
        let items = index.items(file)?;
        let text = span.of(&items.text);
        let mut hits = crate::lex::code(text).filter_map(|tok| {
            let w = std::str::from_utf8(tok.span.of(text)).ok()?;
            let at = Span { start: tok.span.start + span.start, end: tok.span.end + span.start };
            (api.is_notifier(w) && (own || !invalidates(w))).then(|| (Name::from(w), Loc { file, span: at }))
        });
        // Its table of callbacks says more than a function that has the word in its name.
        let first = hits.next()?;
        let table = |hit: &(Name, Loc)| hit.0.ends_with("_ops");
        Some(if table(&first) { first } else { hits.find(table).unwrap_or(first) })
    };
    let name = |l: &Loc| index.function_at(*l).map(|f| f.name.clone());
    // Other files can call it.
    let defines = |n: &Name| {
        let items = index.items(site.at.file);
        items.is_some_and(|it| it.function(n).is_some_and(|i| !it.items[i as usize].is_static))
    };
    for l in t.functions.iter().filter(|l| l.file == site.at.file) {
        let Some(f) = index.function_at(*l) else { continue };
        if let Some(hit) = words(l.file, f.span, true) {
            return Some(hit);
        }
        // What it gives away to be called (`.rmap_one = f`) runs on its behalf.
        let given = |at: Span| words(l.file, at, true);
        if let Some(hit) = named_functions(index, l.file, &f).into_iter().find_map(given) {
            return Some(hit);
        }
    }
    // In another file only who asks a function of this trace for the pages: what else is watched there is not theirs.
    let ours: Vec<Name> = t.functions.iter().filter(|l| l.file == site.at.file).filter_map(name).collect();
    for l in t.functions.iter().filter(|l| l.file != site.at.file) {
        let Some(f) = index.function_at(*l) else { continue };
        let mut asks = false;
        f.body.walk_exprs(&mut |e| asks |= e.call().is_some_and(|(n, _)| ours.contains(n) && defines(n)));
        if let Some(hit) = words(l.file, f.span, false).filter(|_| asks) {
            return Some(hit);
        }
    }
    for h in t.holders.iter().filter(|h| h.kind == HolderKind::Field) {
        let Some((tag, _)) = h.text.split_once('.') else { continue };
        let Some((file, i)) = index.struct_item(site.at.file, tag) else { continue };
        let Some(items) = index.items(file) else { continue };
        let Some(item) = items.items.get(i as usize) else { continue };
        if let Some(s) = index.struct_def(site.at.file, tag)
            && s.fields.iter().any(|f| f.ty.tag().is_some_and(|t| api.is_notifier(t)))
        {
            return Some((tag.into(), Loc { file, span: item.name_span }));
        }
    }
    // A frame number goes to page tables, which the notifier watches. Data that the pinning function itself gets at
    // through a kernel mapping is for the CPU, which it does not watch; nor does it watch a kernel address that is kept
    // until the page is made of it again.
    let number = |u: &Use| u.kind == UseKind::Address;
    let here = index.function_at(site.at).map(|f| f.span);
    let touches = |u: &Use| {
        matches!(u.kind, UseKind::Map | UseKind::Read | UseKind::Write)
            && u.at.file == site.at.file
            && here.is_some_and(|f| f.contains(u.at.span))
    };
    let comes_back =
        !t.releases.is_empty() && (!t.by_number.is_empty() || t.gaps.iter().any(|g| g.code == GapCode::AddressOnly));
    let kept = |u: &Use| comes_back && number(u) && api.borrow(&u.callee) == Some(Borrow::Map);
    let cpu = t.uses.iter().any(|u| touches(u) || kept(u));
    let numbers = t.local && !cpu && t.uses.iter().any(number);
    if numbers {
        let items = index.items(site.at.file)?;
        return words(site.at.file, Span::new(0, items.text.len()), false);
    }
    None
}

/// A kernel mapping of the pages that another function of the trace stores in a struct, and where it does: no page
/// table of a device or a guest, which the notifier watches.
pub(super) fn kept_mapping<'t>(t: &'t PinTrace, index: &Index, site: &PinSite) -> Option<(String, &'t Use)> {
    let pinning = index.function_at(site.at)?;
    let here = pinning.span;
    // Who chooses between a reference and a pin that is counted apart takes the pin for what is kept.
    let mut chooses = false;
    pinning.body.walk_exprs(&mut |e| {
        let acquire = e.call().and_then(|(n, _)| Api::get().acquire(n));
        chooses |= acquire.is_some_and(|a| a.kind == AcquireKind::Pin);
    });
    if chooses {
        return None;
    }
    let lasts = |u: &&Use| u.kind == UseKind::Map && !Api::get().maps_briefly(&u.callee);
    let mapped = |u: &&Use| lasts(u) && !(u.at.file == site.at.file && here.contains(u.at.span));
    t.uses.iter().filter(mapped).find_map(|u| {
        let f = index.function_at(u.at)?;
        let made = |e: &Expr| e.call().is_some_and(|(n, _)| *n == u.callee) && e.span.contains(u.at.span);
        let mut names: Vec<&Name> = Vec::new();
        f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && made(from)
            {
                names.extend(to.ident());
            }
        });
        f.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                names.extend(vars.iter().filter(|v| v.init.as_ref().is_some_and(made)).map(|v| &v.name));
            }
        });
        let mut kept = None;
        f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && let ExprKind::Field { base, name, .. } = &to.kind
                && (made(from) || from.ident().is_some_and(|n| names.contains(&n)))
            {
                let tag = base.ident().and_then(|b| f.params.iter().find(|p| p.name == *b)).and_then(|p| p.ty.tag());
                kept = Some(tag.map_or_else(|| name.to_string(), |tag| format!("{tag}.{name}")));
            }
        });
        Some((kept?, u))
    })
}

/// Whether a callback of a notifier gives the pages up: it reaches a release of the trace by calls in its file.
pub(super) fn gives_up(c: &Custody, t: &PinTrace, index: &Index) -> bool {
    let releases: Vec<Loc> = t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize)).map(|r| r.at).collect();
    let files: BTreeSet<FileId> = releases.iter().map(|at| at.file).collect();
    files.into_iter().any(|file| {
        let Some(items) = index.items(file) else { return false };
        let is_told = |i: &u32| {
            let item = &items.items[*i as usize];
            let Some(body) = item.body.filter(|_| item.kind == ItemKind::Function) else { return false };
            let head = Span { start: item.span.start, end: body.start }.of(&items.text);
            memchr::memmem::find(head, b"notifier").is_some()
                && crate::lex::code(head)
                    .any(|t| std::str::from_utf8(t.span.of(head)).is_ok_and(|w| Api::get().is_notifier(w)))
        };
        let mut reached: Vec<u32> = (0..items.items.len() as u32).filter(is_told).collect();
        let mut seen: BTreeSet<u32> = reached.iter().copied().collect();
        while let Some(item) = reached.pop() {
            let Some(f) = index.parsed(FnRef { file, item }) else { continue };
            if releases.iter().any(|at| at.file == file && f.span.contains(at.span)) {
                return true;
            }
            f.body.walk_exprs(&mut |e| {
                let callee = e.call().and_then(|(n, _)| items.function(n));
                reached.extend(callee.filter(|i| seen.insert(*i)));
            });
        }
        false
    })
}

/// Functions of the file that a function names without calling them.
fn named_functions(index: &Index, file: FileId, f: &Function) -> Vec<Span> {
    let Some(items) = index.items(file) else { return Vec::new() };
    let mut found = Vec::new();
    let mut see = |e: &Expr| {
        if let Some(n) = e.ident()
            && let Some(i) = items.function(n)
        {
            found.extend(items.items.get(i as usize).map(|i| i.span));
        }
    };
    f.body.walk_exprs(&mut |e| match &e.kind {
        ExprKind::InitList(all) => all.iter().for_each(|(_, e)| see(e)),
        ExprKind::Assign(_, _, from) => see(from),
        _ => {}
    });
    found
}

/// The side that changes page tables and tells the notifiers, which is not the side that is told.
pub(super) fn invalidates(word: &str) -> bool {
    word.starts_with("mmu_notifier_range") || word.starts_with("mmu_notifier_invalidate")
}
