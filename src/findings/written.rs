//! What shows that the data of pinned pages is written to. The processor does it through an address that a call makes
//! of a page of the trace, in the function of that call, or by a member of a struct that keeps the address; or the
//! condition under which write access is asked for is the direction of a transfer.
//!
//! Only stores are told whose address can be nothing else: whatever else may be in the variable or the member is no
//! answer. Whether anybody marks the pages dirty is not asked here.

use super::strip;
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::{Api, Borrow};
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::split::{ItemKind, split};
use crate::trace::{PinSite, PinTrace, Use, UseKind, Writes};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What shows that the data of pages is written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// The processor does it.
    Store {
        /// The function that writes.
        function: Name,
        /// The store, or the call that copies.
        at: Loc,
        /// The call that made the address, or the one that copies into the page.
        by: Name,
        /// `by` made an address, and does not write itself.
        mapped: bool,
    },
    /// Write access is asked for if the direction of a transfer is the one to memory.
    ToMemory,
    /// The address of a page goes to one member if write access is asked for, and to another one if not.
    Ways {
        /// The first assignment where it is asked for.
        at: Loc,
        /// What is assigned to there, of arrays without the number of the element.
        with: String,
        /// What is assigned to otherwise.
        without: String,
    },
}

/// The first of these.
pub fn written(program: &dyn Program, site: &PinSite, t: &PinTrace) -> Option<Written> {
    let store = t.uses.iter().find_map(|u| store(program, t, u));
    store.or_else(|| to_memory(site).then_some(Written::ToMemory)).or_else(|| ways(program, site, t))
}

/// The first store by the address of one use.
fn store(program: &dyn Program, t: &PinTrace, u: &Use) -> Option<Written> {
    let maps = u.kind == UseKind::Map && !u.callee.contains("unmap");
    if !maps && u.kind != UseKind::Write {
        return None;
    }
    let f = program.function_at(u.at).filter(|f| f.whole())?;
    let told = |function: &Function, file: FileId, span: Span| Written::Store {
        function: function.name.clone(),
        at: Loc { file, span },
        by: u.callee.clone(),
        mapped: maps,
    };
    let file = u.at.file;
    if !maps {
        return Some(told(&f, file, u.at.span));
    }
    let here = Addresses::of(program, file, &f, Source::Calls(t, file));
    if let Some(span) = here.store() {
        return Some(told(&f, file, span));
    }
    here.members().into_iter().find_map(|(tag, field)| {
        let all = naming(program, file, &field)?;
        let each: Vec<Addresses<'_>> =
            all.iter().map(|(file, g)| Addresses::of(program, *file, g, Source::Member(&tag, &field))).collect();
        let alone = each.iter().all(|a| a.alone(&here));
        alone.then(|| each.iter().find_map(|a| a.store().map(|span| told(a.f, a.file, span))))?
    })
}

/// `rw == READ`: the direction is the one to memory.
fn to_memory(site: &PinSite) -> bool {
    let sides = site.write_expr.split_once("==").filter(|_| site.writes == Writes::Conditional);
    sides.is_some_and(|(a, b)| Api::get().is_to_memory(b.trim()) || Api::get().is_to_memory(a.trim()))
}

/// The function of the pin asks the same condition where it hands the address of a page on.
fn ways(program: &dyn Program, site: &PinSite, t: &PinTrace) -> Option<Written> {
    let f = program.function_at(site.at).filter(|f| f.whole() && site.writes == Writes::Conditional)?;
    let text = program.text(site.at.file);
    let (asked, yes) = condition(&site.write_expr);
    // A member that gets an address of a page.
    let member = |arm: &Stmt| {
        let mut found = None;
        arm.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && matches!(to.kind, ExprKind::Field { .. })
                && t.uses
                    .iter()
                    .any(|u| u.kind == UseKind::Address && u.at.file == site.at.file && from.span.contains(u.at.span))
            {
                found.get_or_insert_with(|| (any_element(&crate::sites::one_line(to.span, &text)), e.span));
            }
        });
        found
    };
    let mut found = None;
    f.body.walk(&mut |s| {
        let StmtKind::If { cond, then, els: Some(els) } = &s.kind else { return };
        let (what, holds) = condition(&crate::sites::one_line(cond.span, &text));
        if what != asked {
            return;
        }
        let (with, without) = if holds == yes { (&**then, &**els) } else { (&**els, &**then) };
        if let (Some((with, span)), Some((without, _))) = (member(with), member(without))
            && with != without
        {
            found.get_or_insert(Written::Ways { at: Loc { file: site.at.file, span }, with, without });
        }
    });
    found
}

/// An expression without what is between brackets: other elements may be set elsewhere.
fn any_element(text: &str) -> String {
    let mut depth = 0usize;
    let kept = text.chars().filter(|c| {
        depth -= usize::from(*c == ']' && depth > 0);
        let keep = depth == 0;
        depth += usize::from(*c == '[');
        keep
    });
    kept.collect()
}

/// A condition without the words that only turn it around, and whether they do not.
fn condition(text: &str) -> (String, bool) {
    let mut words: String = text.split_whitespace().collect();
    let mut yes = true;
    loop {
        if let Some(inner) = words.strip_prefix('(').and_then(|w| w.strip_suffix(')')).filter(|w| !w.contains('(')) {
            words = inner.to_string();
        } else if let Some(rest) = words.strip_prefix('!').filter(|r| r.bytes().all(|b| b != b'&' && b != b'|')) {
            words = rest.to_string();
            yes = !yes;
        } else if words.matches("!=").count() == 1 && !words.contains("&&") && !words.contains("||") {
            words = words.replacen("!=", "==", 1);
            yes = !yes;
        } else {
            return (words, yes);
        }
    }
}

/// The words have a store to a member of that name: `->field = …`.
fn stores(text: &[u8], field: &str) -> bool {
    memchr::memmem::find_iter(text, field.as_bytes()).any(|at| {
        let behind = text[at + field.len()..].trim_ascii_start();
        let member = text[..at].ends_with(b"->") || text[..at].ends_with(b".");
        member && behind.first() == Some(&b'=') && behind.get(1) != Some(&b'=')
    })
}

/// The functions of the folder that name a member, by file and place; `None` if one that cannot be read whole stores to
/// one of that name.
fn naming(program: &dyn Program, from: FileId, field: &str) -> Option<Vec<(FileId, Arc<Function>)>> {
    let mut out = Vec::new();
    for file in program.naming_nearby(from, field) {
        let text = program.text(file);
        for item in split(&text).into_iter().filter(|i| i.kind == ItemKind::Function) {
            let body = item.span.of(&text);
            if memchr::memmem::find(body, field.as_bytes()).is_none() {
                continue;
            }
            match program.function_at(Loc { file, span: item.name_span }).filter(|f| f.whole()) {
                Some(f) => {
                    let mut named = false;
                    f.body.walk_exprs(&mut |e| {
                        named |= matches!(&e.kind, ExprKind::Field { name, .. } if **name == *field);
                    });
                    if named {
                        out.push((file, f));
                    }
                }
                None if stores(body, field) => return None,
                None => {}
            }
        }
    }
    Some(out)
}

/// Where an address comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The calls of a file that make one of a page of the trace.
    Calls(&'a PinTrace, FileId),
    /// A member of a struct, by tag and name.
    Member(&'a str, &'a str),
}

/// The local variables of a function that hold such addresses, and nothing else.
struct Addresses<'a> {
    program: &'a dyn Program,
    file: FileId,
    f: &'a Function,
    source: Source<'a>,
    names: BTreeSet<Name>,
}

impl<'a> Addresses<'a> {
    fn of(program: &'a dyn Program, file: FileId, f: &'a Function, source: Source<'a>) -> Self {
        let mut all = Self { program, file, f, source, names: BTreeSet::new() };
        let mut locals: BTreeSet<Name> = BTreeSet::new();
        f.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                locals.extend(vars.iter().filter(|v| !v.is_static && v.ty.depth() == 1).map(|v| v.name.clone()));
            }
        });
        // To a fixpoint: who gets an address from a variable that has one.
        loop {
            let more: Vec<Name> = locals
                .iter()
                .filter(|n| !all.names.contains(*n) && all.given(n).iter().any(|e| all.carries(e)))
                .cloned()
                .collect();
            if more.is_empty() {
                break;
            }
            all.names.extend(more);
        }
        // Whoever gets something else as well is none, nor who gets it from him.
        loop {
            let mixed: Vec<Name> = all.names.iter().filter(|n| !all.nothing_else(n)).cloned().collect();
            if mixed.is_empty() {
                return all;
            }
            all.names.retain(|n| !mixed.contains(n));
        }
    }

    /// What a variable is set to.
    fn given(&self, name: &str) -> Vec<&'a Expr> {
        let mut out = Vec::new();
        self.f.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                out.extend(vars.iter().filter(|v| *v.name == *name).filter_map(|v| v.init.as_ref()));
            }
        });
        self.f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && to.ident().is_some_and(|n| **n == *name)
            {
                out.push(&**from);
            }
        });
        out
    }

    fn nothing_else(&self, name: &Name) -> bool {
        let mut shared = self.f.params.iter().any(|p| p.name == *name);
        self.f.body.walk_exprs(&mut |e| {
            shared |= matches!(&e.kind, ExprKind::Unary(UnOp::AddrOf, a) if a.ident() == Some(name));
        });
        !shared && self.given(name).iter().all(|e| is_null(e) || self.carries(e))
    }

    /// The value is an address in the page.
    fn carries(&self, e: &Expr) -> bool {
        let e = strip(e);
        match &e.kind {
            ExprKind::Ident(n) => self.names.contains(n),
            ExprKind::Binary(BinOp::Add, a, b) => self.carries(a) || self.carries(b),
            ExprKind::Binary(BinOp::Sub, a, _) => self.carries(a),
            ExprKind::Call { .. } => {
                let maps = e.call().is_some_and(|(n, _)| Api::get().borrow(n) == Some(Borrow::Map));
                maps && matches!(self.source, Source::Calls(t, file) if t.uses.iter().any(|u| {
                    u.kind == UseKind::Map && u.at.file == file && e.span.contains(u.at.span)
                }))
            }
            ExprKind::Field { .. } => self.is_member(e),
            _ => false,
        }
    }

    fn is_member(&self, e: &Expr) -> bool {
        let (Source::Member(tag, field), ExprKind::Field { base, name, .. }) = (self.source, &e.kind) else {
            return false;
        };
        **name == *field && self.tag(base).is_some_and(|t| *t == *tag)
    }

    fn may_be_member(&self, e: &Expr) -> bool {
        let (Source::Member(_, field), ExprKind::Field { base, name, .. }) = (self.source, &e.kind) else {
            return false;
        };
        **name == *field && self.tag(base).is_none()
    }

    fn tag(&self, e: &Expr) -> Option<Name> {
        match self.type_of(e)?.base {
            Base::Struct(t) => Some(t),
            _ => None,
        }
    }

    fn type_of(&self, e: &Expr) -> Option<CType> {
        match &e.kind {
            ExprKind::Ident(n) => {
                let mut found = self.f.params.iter().find(|p| p.name == *n).map(|p| p.ty.clone());
                self.f.body.walk(&mut |s| {
                    if let StmtKind::Decl(vars) = &s.kind
                        && let Some(v) = vars.iter().find(|v| v.name == *n)
                    {
                        found = Some(v.ty.clone());
                    }
                });
                found
            }
            ExprKind::Field { base, name, .. } => {
                let s = self.program.structure(self.file, &self.tag(base)?)?;
                s.fields.iter().find(|f| f.name == *name).map(|f| f.ty.clone())
            }
            ExprKind::Index(a, _) | ExprKind::Unary(UnOp::Deref, a) => Some(self.type_of(a)?.deref()),
            ExprKind::Unary(UnOp::AddrOf, a) => Some(self.type_of(a)?.address_of()),
            _ => None,
        }
    }

    /// The first store through an address: `*p = …`, `p->x = …`, `memcpy(p + n, …)`.
    fn store(&self) -> Option<Span> {
        let mut found: Option<Span> = None;
        self.f.body.walk_exprs(&mut |e| {
            let hit = match &e.kind {
                ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } => self.inside(to),
                ExprKind::Call { .. } => e
                    .call()
                    .is_some_and(|(n, args)| Api::get().copies_to(n) && args.first().is_some_and(|a| self.carries(a))),
                _ => false,
            };
            if hit && found.is_none_or(|f| e.span.start < f.start) {
                found = Some(e.span);
            }
        });
        found
    }

    /// What is assigned to lies in the page: one step from the address, and no pointer that the page holds.
    fn inside(&self, to: &Expr) -> bool {
        match &to.kind {
            ExprKind::Unary(UnOp::Deref, a) | ExprKind::Index(a, _) => self.carries(a),
            ExprKind::Field { base, arrow: true, .. } => self.carries(base),
            ExprKind::Field { base, arrow: false, .. } => self.inside(base),
            _ => false,
        }
    }

    /// The members that keep an address.
    fn members(&self) -> Vec<(Name, Name)> {
        let mut out = Vec::new();
        self.f.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind
                && let ExprKind::Field { base, name, .. } = &to.kind
                && self.carries(from)
                && let Some(tag) = self.tag(base)
            {
                out.push((tag, name.clone()));
            }
        });
        out
    }

    /// Beside the address that a function makes of a page, this one puts nothing into the member but the address of a
    /// variable that stands for it where there is no page, and gives the member to nobody to be set.
    fn alone(&self, maker: &Addresses<'_>) -> bool {
        let mut alone = true;
        self.f.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(None, to, from) if self.is_member(to) => {
                let dummy = matches!(&strip(from).kind, ExprKind::Unary(UnOp::AddrOf, a) if a.ident().is_some());
                let made = self.file == maker.file && self.f.span == maker.f.span && maker.carries(from);
                alone &= dummy || made || is_null(from) || self.carries(from);
            }
            // An object of which the type is not known may be one.
            ExprKind::Assign(None, to, from) if self.may_be_member(to) => alone &= is_null(from),
            ExprKind::Unary(UnOp::AddrOf, a) => alone &= !self.is_member(a) && !self.may_be_member(a),
            _ => {}
        });
        alone
    }
}

fn is_null(e: &Expr) -> bool {
    let e = strip(e);
    matches!(e.kind, ExprKind::Int { value: 0, .. }) || e.ident().is_some_and(|n| &**n == "NULL")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_element_is_told_without_its_number() {
        assert_eq!(super::any_element("list[0].target"), "list[].target");
        assert_eq!(super::any_element("a[b[i] + 1]->c[2]"), "a[]->c[]");
        assert_eq!(super::any_element("x]->y"), "x]->y");
    }
}
