//! Types of expressions, as far as they tell which values can hold pages.

use super::super::FnId;
use super::super::place::{OWN, Place};
use super::exchange::pointee;
use super::extract::Extract;
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::index::Scope;
use crate::source::{FileId, Name};
use crate::words::is_integer_typedef;

/// The types of the expressions of a function.
pub struct Types<'a>(Extract<'a>);

impl<'a> Types<'a> {
    /// Of this function.
    pub fn new(file: FileId, func: &'a Function, scope: &'a dyn Scope) -> Self {
        Self(Extract::new(FnId(u32::MAX), file, func, scope))
    }
    /// The type of an expression.
    pub fn of(&self, e: &Expr) -> CType {
        self.0.ty(e)
    }
    /// Struct tag of a type, typedefs resolved.
    pub fn tag(&self, ty: &CType) -> Option<Name> {
        self.0.tag(ty)
    }
    /// Whether the type is known to be no struct.
    pub fn is_plain(&self, ty: &CType) -> bool {
        let mut ty = ty.clone();
        // `__le64` is a `__u64`.
        for _ in 0..3 {
            let Base::Named(n) = &ty.base else { break };
            if is_integer_typedef(n.as_bytes()) {
                return true;
            }
            let Some(behind) = self.0.scope.typedef(self.0.file, n) else { return false };
            ty = behind;
        }
        !matches!(ty.base, Base::Unknown | Base::Named(_) | Base::Struct(_) | Base::Union(_))
    }
}

impl Extract<'_> {
    /// The place of a variable that is not tracked per definition.
    pub(super) fn variable(&self, name: &Name) -> Option<Place> {
        if let Some(t) = self.locals.get(name) {
            return self.may_carry(t).then(|| match self.statics.contains(name) {
                // It outlives the call, as a variable of the file does; no other function names it.
                true => Place::Global(Some(self.file), format!("{}.{name}", self.func.name).into()),
                false => Place::Var(self.f, name.clone()),
            });
        }
        let (file, ty) = self.scope.global(self.file, name)?;
        self.may_carry(&ty).then(|| Place::Global(file, name.clone()))
    }

    pub(super) fn var_type(&self, name: &Name) -> CType {
        if let Some(t) = self.locals.get(name) {
            return t.clone();
        }
        self.scope.global(self.file, name).map_or_else(CType::unknown, |(_, t)| t)
    }

    /// Struct tag of a type, typedefs resolved.
    pub(super) fn tag(&self, ty: &CType) -> Option<Name> {
        match &ty.base {
            Base::Struct(t) | Base::Union(t) => Some(t.clone()),
            Base::Named(n) => {
                let t = self.scope.typedef(self.file, n)?;
                t.tag().cloned()
            }
            _ => None,
        }
    }

    /// The tag by which a field is joined with others: of a request that each user makes for itself, with the folder.
    pub(super) fn own_tag(&self, tag: Name) -> Name {
        if self.api.is_own(&tag) { format!("{tag}{OWN}{}", self.scope.folder(self.file)).into() } else { tag }
    }

    pub(super) fn is_container(&self, ty: &CType) -> bool {
        match ty.page_depth() {
            Some(d) => d >= 2,
            None => self.tag(ty).is_some_and(|t| self.api.is_container(&t)),
        }
    }

    /// A type whose values can carry pages: page pointers, containers, untyped pointers.
    pub(super) fn may_carry(&self, ty: &CType) -> bool {
        if ty.page_depth().is_some_and(|d| d >= 1) {
            return true;
        }
        match &ty.base {
            Base::Void => ty.depth() >= 1,
            // Addresses and frame numbers: wide integers, or a typedef of one.
            Base::Int { bits: 64, .. } => self.numbers && ty.depth() <= 1,
            Base::Named(n) if self.numbers && ty.depth() <= 1 && n.ends_with("_t") => true,
            Base::Unknown => !ty.function,
            _ if ty.function => false,
            _ => self.tag(ty).is_some_and(|t| self.api.is_container(&t)),
        }
    }

    /// What lies behind an array of pages in one allocation (`(void *)(pages + n)`), taken for an array of another
    /// type.
    pub(super) fn is_behind(&self, other: &CType, rhs: &Expr) -> bool {
        let mut inner = rhs;
        while let ExprKind::Cast(_, a) = &inner.kind {
            inner = a;
        }
        let array = |e: &Expr| self.ty(e).page_depth().is_some_and(|d| d >= 2);
        let beyond = matches!(&inner.kind, ExprKind::Binary(BinOp::Add, a, _) if array(a));
        beyond && inner.span != rhs.span && self.tag(other).is_some() && !self.may_carry(other)
    }

    /// An array of page pointers in the memory of something else (`(void *)sg + size`): what is in the one is not in
    /// the other.
    pub(super) fn is_laid_over(&self, array: &CType, memory: &Expr) -> bool {
        let mut cast = false;
        let mut inner = memory;
        loop {
            inner = match &inner.kind {
                ExprKind::Cast(_, a) => {
                    cast = true;
                    a
                }
                ExprKind::Binary(BinOp::Add | BinOp::Sub, a, _) => a,
                _ => break,
            };
        }
        let of = self.ty(inner);
        cast && array.page_depth().is_some_and(|d| d >= 2)
            && of.page_depth().is_none()
            && self.tag(&of).is_some_and(|t| self.api.is_container(&t))
    }

    pub(super) fn field_type(&self, tag: &str, field: &str) -> Option<CType> {
        self.scope
            .structure(self.file, tag)
            .and_then(|s| s.fields.iter().find(|f| &*f.name == field).map(|f| f.ty.clone()))
    }

    /// Static type of an expression.
    pub(super) fn ty(&self, e: &Expr) -> CType {
        match &e.kind {
            ExprKind::Ident(n) => self.var_type(n),
            ExprKind::Int { ty, .. } => ty.clone(),
            ExprKind::Unary(UnOp::Deref, a) => self.ty(a).deref(),
            ExprKind::Unary(UnOp::AddrOf, a) => self.ty(a).address_of(),
            ExprKind::Unary(_, a) => self.ty(a),
            ExprKind::IncDec { operand, .. } => self.ty(operand),
            ExprKind::Binary(BinOp::Add | BinOp::Sub, a, b) => {
                let t = self.ty(a);
                if t.depth() == 0 { self.ty(b) } else { t }
            }
            ExprKind::Binary(..) => CType::int(),
            ExprKind::Assign(_, a, _) => self.ty(a),
            ExprKind::Cond(c, a, b) => {
                let t = self.ty(a.as_deref().unwrap_or(c));
                if t.depth() == 0 { self.ty(b) } else { t }
            }
            ExprKind::Comma(_, b) => self.ty(b),
            ExprKind::Index(a, _) => self.ty(a).deref(),
            ExprKind::Cast(t, _) | ExprKind::CompoundLiteral(t, _) => t.clone(),
            ExprKind::Field { base, name, .. } => {
                let bt = self.ty(base);
                let Some(tag) = self.tag(&bt) else { return CType::unknown() };
                self.field_type(&tag, name).unwrap_or_else(CType::unknown)
            }
            ExprKind::Call { callee, args } => {
                let Some(name) = callee.ident() else { return CType::unknown() };
                for a in args {
                    // container_of(p, struct foo, m) and everything built like it.
                    if let ExprKind::Type(t) = &a.kind
                        && t.ptr == 0
                        && t.tag().is_some()
                        && &**name != "sizeof"
                    {
                        let mut t = t.clone();
                        t.ptr = 1;
                        return t;
                    }
                }
                if let Some(i) = self.api.same(name)
                    && let Some(a) = args.get(i)
                {
                    let t = self.ty(a);
                    return if self.tag(&t).is_some_and(|t| self.api.is_container(&t)) && name.ends_with("_page") {
                        CType::structure("page", 1)
                    } else {
                        t
                    };
                }
                if let Some(x) = self.api.exchange(name)
                    && let Some(a) = args.get(x.to)
                {
                    let value = pointee(a);
                    return if value.span == a.span { self.ty(a).deref() } else { self.ty(value) };
                }
                if self.api.origin(name).is_some() || self.api.acquire(name).is_some_and(|a| a.returns_page) {
                    return CType::structure("page", 1);
                }
                self.scope.returns(self.file, name).unwrap_or_else(CType::unknown)
            }
            ExprKind::StmtExpr(s) => {
                let StmtKind::Block(v) = &s.kind else { return CType::unknown() };
                match v.last().map(|s| &s.kind) {
                    Some(StmtKind::Expr(e)) => self.ty(e),
                    _ => CType::unknown(),
                }
            }
            _ => CType::unknown(),
        }
    }
}
