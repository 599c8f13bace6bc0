//! Whether objects are got at by their members only: nobody copies the memory of one, by whatever name.
//!
//! Not what copies is looked for, but what is none: the struct by value stands before a member, under `&` or under
//! `sizeof`; its size is only taken to allocate one; and a pointer to an object stays one. Whoever copies memory by a
//! size that he writes down as a number, and by a pointer that he got from a cookie, is not found.

use super::super::engine::Engine;
use super::super::facts::Types;
use super::macros::Macro;
use super::{Family, declared, is_of};
use crate::ast::{Base, CType, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::FnRef;
use crate::kernel::Api;
use crate::lex::{self, TokKind, Token};
use crate::source::{FileId, Name, Span};
use crate::split::{Item, ItemKind};
use std::collections::BTreeSet;

/// Files that are read whole, at most.
const MAX_FILES: usize = 400;

/// Macros within macros that are looked at.
const MAX_DEPTH: u32 = 3;

/// Whether nobody copies an object; `None` where a part of the code is not read.
pub(super) fn by_members(e: &Engine, family: &Family) -> Option<bool> {
    if family.files.len() > MAX_FILES {
        return None;
    }
    e.index.load(&family.files);
    for &file in &family.files {
        let items = e.index.items(file)?;
        if !lex::code(&items.text).all(|t| t.kind != TokKind::Preproc || plain_include(t.span.of(&items.text))) {
            return None;
        }
        for (i, item) in items.items.iter().enumerate() {
            let fine = match item.kind {
                ItemKind::Function => {
                    let func = e.index.parsed(FnRef { file, item: i as u32 }).filter(|f| f.whole())?;
                    Check::new(e, family, file, &func).fine()
                }
                _ => !takes_size(item, &items.text, family),
            };
            if !fine {
                return Some(false);
            }
        }
    }
    Some(true)
}

/// What is included is a C file or a header: other text is not read.
fn plain_include(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"#").unwrap_or(line).trim_ascii_start();
    let Some(rest) = line.strip_prefix(b"include") else { return true };
    let rest = rest.trim_ascii_start();
    let end = match rest.first() {
        Some(b'"') => b'"',
        Some(b'<') => b'>',
        _ => return false,
    };
    let name = rest[1..].split(|c| *c == end).next().unwrap_or_default();
    name.ends_with(b".h") || end == b'"' && name.ends_with(b".c")
}

/// Whether a part of a file that is no function takes the size of the struct, or of what an expression points to.
fn takes_size(item: &Item, text: &[u8], family: &Family) -> bool {
    let start = if item.kind == ItemKind::Define { item.name_span.end } else { item.span.start };
    let m = Macro::new(FileId(0), Span { start, end: item.span.end }.of(text));
    let toks = &m.body;
    // A macro with parameters is read where it is called.
    (0..toks.len()).filter(|i| toks[*i].word(&m.text) == b"sizeof").any(|i| {
        let inside = toks[i + 1..].iter().take_while(|t| !t.is(b')') && !t.is(b';'));
        let mut inside = inside.filter(|t| !t.is(b'('));
        let first = inside.next();
        let of_struct = first.is_some_and(|t| t.word(&m.text) == b"struct");
        let named = of_struct && inside.next().is_some_and(|t| t.word(&m.text) == family.tag.as_bytes());
        named || item.kind == ItemKind::Define && !m.called() && first.is_some_and(|t| t.is(b'*'))
    })
}

/// A function of the files that see the struct.
struct Check<'a> {
    e: &'a Engine<'a>,
    family: &'a Family,
    file: FileId,
    func: &'a Function,
    types: Types<'a>,
    /// Calls that allocate.
    fresh: Vec<Span>,
    /// Where an object by value is none: before a member, under `&` and `sizeof`.
    parts: BTreeSet<Span>,
    /// Variables that hold the size of an object.
    sizes: BTreeSet<&'a Name>,
    /// What is stored there.
    sized: Vec<Span>,
    /// Variables that point into objects.
    inside: BTreeSet<&'a Name>,
}

impl<'a> Check<'a> {
    fn new(e: &'a Engine<'a>, family: &'a Family, file: FileId, func: &'a Function) -> Self {
        let types = Types::new(file, func, e.index);
        let (fresh, parts) = (Vec::new(), BTreeSet::new());
        let (sizes, sized, inside) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        let mut check = Self { e, family, file, func, types, fresh, parts, sizes, sized, inside };
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Call { .. } => {
                let allocates =
                    |n: &Name| Api::get().is_fresh(n) && !Api::get().is_copying(n) || n.contains("kmem_cache_create");
                if x.call().is_some_and(|(n, _)| allocates(n)) {
                    check.fresh.push(x.span);
                }
            }
            ExprKind::Field { base: a, .. } | ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::SizeofExpr(a) => {
                check.parts.insert(a.span);
            }
            _ => {}
        });
        let mut stores: Vec<(&'a Name, &'a Expr)> = Vec::new();
        func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                stores.extend(vars.iter().filter_map(|v| Some((&v.name, v.init.as_ref()?))));
            }
        });
        func.body.walk_exprs(&mut |x| {
            if let ExprKind::Assign(None, to, from) = &x.kind {
                stores.extend(to.ident().map(|n| (n, &**from)));
            }
        });
        for (name, from) in stores {
            let mut size = false;
            from.walk(&mut |x| size |= check.is_size(x) && !check.allocated(x.span));
            if size && declared(func, name) == 1 {
                check.sizes.insert(name);
                check.sized.push(from.span);
            }
            if check.leads_inside(from) {
                check.inside.insert(name);
            }
        }
        check
    }

    /// The struct, or a pointer to one; `None` if the type is not known.
    fn of(&self, x: &Expr) -> Option<bool> {
        is_of(&self.types, x, &self.family.tag)
    }

    fn points(&self, x: &Expr) -> bool {
        self.types.of(x).depth() > 0 && self.of(x) == Some(true)
    }

    /// A pointer to a table.
    fn is_table(&self, x: &Expr) -> bool {
        self.types.of(x).depth() > 0 && is_of(&self.types, x, &self.family.table) == Some(true)
    }

    /// `object->a.b`
    fn in_object(&self, x: &Expr) -> bool {
        match &x.kind {
            ExprKind::Field { base, .. } => self.of(base) == Some(true) || self.in_object(base),
            ExprKind::Index(a, _) => self.in_object(a),
            _ => false,
        }
    }

    /// `&object->a.b`, and what is reckoned from it.
    fn leads_inside(&self, x: &Expr) -> bool {
        match &x.kind {
            ExprKind::Unary(UnOp::AddrOf, a) => self.in_object(a),
            ExprKind::Field { .. } => self.in_object(x) && !self.types.of(x).dims.is_empty(),
            ExprKind::Cast(_, a) | ExprKind::Comma(_, a) => self.leads_inside(a),
            ExprKind::Binary(_, a, b) | ExprKind::Cond(a, None, b) | ExprKind::Cond(_, Some(a), b) => {
                self.leads_inside(a) || self.leads_inside(b)
            }
            _ => false,
        }
    }

    fn is_size(&self, x: &Expr) -> bool {
        match &x.kind {
            ExprKind::Sizeof(ty) if ty.depth() == 0 => {
                self.types.tag(ty).map_or(matches!(ty.base, Base::Unknown), |t| t == self.family.tag)
            }
            ExprKind::SizeofExpr(a) => match (self.of(a), &a.kind) {
                (Some(is), _) => is && (self.types.of(a).depth() == 0 || !self.types.of(a).dims.is_empty()),
                (None, ExprKind::Unary(..) | ExprKind::Index(..) | ExprKind::Call { .. }) => true,
                _ => false,
            },
            _ => false,
        }
    }

    fn allocated(&self, at: Span) -> bool {
        self.fresh.iter().any(|f| f.contains(at))
    }

    /// Whether a pointer stays one when it is stored in something of this type.
    fn stays(&self, ty: &CType, from: &Expr) -> bool {
        let kept = |tag: &Name| match self.types.tag(ty) {
            Some(t) => t == *tag,
            // What is not known may be an object then as well.
            None => !self.types.is_plain(ty),
        };
        (!self.points(from) || kept(&self.family.tag)) && (!self.is_table(from) || kept(&self.family.table))
    }

    fn fine(&self) -> bool {
        let (mut fine, mut assembly, mut named) = (true, false, false);
        self.func.body.walk(&mut |s| match &s.kind {
            StmtKind::Asm => assembly = true,
            StmtKind::Decl(vars) => {
                fine &= vars.iter().all(|v| v.init.as_ref().is_none_or(|i| self.stays(&v.ty, i)));
            }
            StmtKind::Return(Some(x)) => fine &= self.stays(&self.func.ret, x),
            _ => {}
        });
        self.func.body.walk_exprs(&mut |x| {
            named |= self.of(x) == Some(true);
            fine = fine && self.expression(x);
        });
        // Its operands are not read.
        let given = || self.func.params.iter().any(|p| self.types.tag(&p.ty).is_some_and(|t| t == self.family.tag));
        fine && !(assembly && (named || given()))
    }

    fn expression(&self, x: &Expr) -> bool {
        let by_value = self.types.of(x).depth() == 0 && !self.parts.contains(&x.span);
        let may_be = || match (self.of(x), &x.kind) {
            (_, ExprKind::Type(_)) => false,
            (Some(is), _) => is,
            (None, kind) => matches!(kind, ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..)),
        };
        if by_value && may_be() {
            return false;
        }
        match &x.kind {
            ExprKind::Opaque => false,
            ExprKind::Sizeof(_) | ExprKind::SizeofExpr(_) if self.is_size(x) => {
                self.allocated(x.span) || self.sized.iter().any(|s| s.contains(x.span))
            }
            ExprKind::Ident(n) if self.sizes.contains(n) => self.allocated(x.span) || self.is_target(x),
            ExprKind::Cast(ty, a) => {
                let nothing = matches!(ty.base, Base::Void) && ty.depth() == 0;
                nothing || self.stays(ty, a)
            }
            ExprKind::Assign(None, to, from) => {
                let called = matches!(to.kind, ExprKind::Call { .. }) && self.of(to) != Some(false);
                self.stays(&self.types.of(to), from) && !(called && self.of(from) != Some(false))
            }
            ExprKind::InitList(list) => !list.iter().any(|(_, x)| self.points(x)),
            ExprKind::Call { callee, args } => match x.call().filter(|(n, _)| !self.is_variable(n)) {
                Some((name, _)) => self.call(name, args),
                // What a pointer to a function takes is known of a table.
                None => {
                    let of_table = matches!(&callee.kind, ExprKind::Field { base, .. } if self.is_table(base));
                    of_table || !args.iter().any(|a| self.points(a))
                }
            },
            _ => true,
        }
    }

    fn is_variable(&self, name: &Name) -> bool {
        declared(self.func, name) > 0 || self.func.params.iter().any(|p| p.name == *name)
    }

    /// What is assigned to.
    fn is_target(&self, x: &Expr) -> bool {
        let mut found = false;
        self.func.body.walk_exprs(&mut |a| {
            found |= matches!(&a.kind, ExprKind::Assign(None, to, _) if to.span == x.span);
        });
        found
    }

    fn call(&self, name: &Name, args: &[Expr]) -> bool {
        let object = |x: &Expr| self.of(x) == Some(true) && !matches!(x.kind, ExprKind::Type(_));
        if Api::get().is_copying(name) {
            let into = |x: &Expr| x.ident().is_some_and(|n| self.inside.contains(n));
            return !args.iter().any(|a| object(a) || into(a));
        }
        if args.iter().any(|a| object(a) || self.is_table(a)) && may_copy(self.e, self.family, self.file, name, 0) {
            return false;
        }
        let Some(to) = self.e.index.definition_near(self.file, name) else { return true };
        let Some(callee) = self.e.index.parsed(to).filter(|_| self.family.files.contains(&to.file)) else {
            return true;
        };
        let types = Types::new(to.file, &callee, self.e.index);
        args.iter().zip(&callee.params).all(|(a, p)| {
            let kept = |tag: &Name| types.tag(&p.ty).is_some_and(|t| t == *tag);
            (!self.points(a) || kept(&self.family.tag)) && (!self.is_table(a) || kept(&self.family.table))
        })
    }
}

/// Whether a macro may copy what it is given. Those that the kernel has for all are known by name.
fn may_copy(e: &Engine, family: &Family, file: FileId, name: &str, depth: u32) -> bool {
    Macro::all(e, file, name).iter().filter(|m| !e.index.is_public_header(m.home)).any(|m| {
        let stores = |w: &[Token]| w[1].is(b'=') && !w[2].is(b'=') && !b"=!<>".iter().any(|c| w[0].is(*c));
        if depth > MAX_DEPTH || m.body.windows(3).any(stores) {
            return true;
        }
        m.names().filter(|n| *n != name).any(|n| {
            let untyped = || {
                let to = e.index.definition_near(file, n).filter(|f| family.files.contains(&f.file));
                let func = to.and_then(|f| e.index.parsed(f));
                func.is_some_and(|f| f.params.iter().any(|p| matches!(p.ty.base, Base::Void)))
            };
            let copies = matches!(n, "sizeof" | "asm" | "__asm__" | "xchg") || Api::get().is_copying(n);
            copies || may_copy(e, family, file, n, depth + 1) || untyped()
        })
    })
}
