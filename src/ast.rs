//! The C that we understand: an owned syntax tree of one function, with the span of every node.
//!
//! Lowered once from tree-sitter ([`crate::parse`]) and read by everything behind it: custody analysis, rewriting and
//! the interpreter of the proof. It knows nothing of tree-sitter and nothing of kernel APIs. What could not be lowered
//! is an explicit `Opaque` node with its span: a reader must treat it as unknown, never skip it.

use crate::source::{Name, Span};

/// A C type, as far as declarations tell it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CType {
    /// What stands left of the stars.
    pub base: Base,
    /// Number of stars.
    pub ptr: u8,
    /// Array dimensions, outermost first; `None` for `[]` and lengths that are no literal.
    pub dims: Vec<Option<u64>>,
    /// A pointer to a function (the other members then describe its return type).
    pub function: bool,
}

/// The base of a type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Base {
    /// `void`
    Void,
    /// `bool`, `_Bool`
    Bool,
    /// An integer type of the LP64 model, kernel typedefs (`u32`, `size_t`, `loff_t`, …) resolved.
    Int {
        /// Signedness.
        signed: bool,
        /// Width: 8, 16, 32 or 64.
        bits: u8,
    },
    /// `float`, `double`.
    Float,
    /// `struct tag`
    Struct(Name),
    /// `union tag`
    Union(Name),
    /// `enum tag`
    Enum(Name),
    /// A typedef name that is not an integer type we know.
    Named(Name),
    /// Not understood.
    Unknown,
}

impl CType {
    /// An unknown type.
    pub fn unknown() -> Self {
        Self { base: Base::Unknown, ptr: 0, dims: Vec::new(), function: false }
    }
    /// `int`
    pub fn int() -> Self {
        Self { base: Base::Int { signed: true, bits: 32 }, ptr: 0, dims: Vec::new(), function: false }
    }
    /// `struct TAG` followed by `ptr` stars.
    pub fn structure(tag: &str, ptr: u8) -> Self {
        Self { base: Base::Struct(tag.into()), ptr, dims: Vec::new(), function: false }
    }
    /// Levels of indirection: stars plus array dimensions.
    pub fn depth(&self) -> usize {
        self.ptr as usize + self.dims.len()
    }
    /// Indirection above a `struct page` or `struct folio`: 1 is a page pointer, 2 an array of them; `None` for other
    /// types. One reference is meant, whatever the type it is held by.
    pub fn page_depth(&self) -> Option<usize> {
        match &self.base {
            Base::Struct(t) if matches!(&**t, "page" | "folio") && !self.function => Some(self.depth()),
            _ => None,
        }
    }
    /// The tag of the struct or union at the bottom.
    pub fn tag(&self) -> Option<&Name> {
        match &self.base {
            Base::Struct(t) | Base::Union(t) => Some(t),
            _ => None,
        }
    }
    /// The type that `*x` or `x[i]` has for an `x` of this type.
    pub fn deref(&self) -> CType {
        let mut t = self.clone();
        if !t.dims.is_empty() {
            t.dims.remove(0);
        } else if t.ptr > 0 {
            t.ptr -= 1;
        } else {
            return CType::unknown();
        }
        t
    }
    /// The type of `&x` for an `x` of this type.
    pub fn address_of(&self) -> CType {
        let mut t = self.clone();
        if t.dims.is_empty() {
            t.ptr += 1
        } else {
            t.dims.insert(0, None)
        }
        t
    }
}

/// A function definition.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// The name in the definition.
    pub name_span: Span,
    /// The whole definition, from the first specifier to the closing brace.
    pub span: Span,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Ends in `...`.
    pub variadic: bool,
    /// Return type.
    pub ret: CType,
    /// `static` (or `static inline`).
    pub is_static: bool,
    /// The body, a [`StmtKind::Block`].
    pub body: Stmt,
    /// Spans inside the definition that the parser could not make sense of. A function with damage is reported,
    /// never rewritten and never executed.
    pub damage: Vec<Span>,
    /// `#if` lines that take arms of an `if` out. The body has these arms, which is one of the two programs: every way
    /// of the other one is a way of this one, but what a test says on it is not. Never rewritten and never executed.
    pub arms: Vec<Span>,
}

impl Function {
    /// The body is the only program there is, and all of it was read.
    pub fn whole(&self) -> bool {
        self.damage.is_empty() && self.arms.is_empty()
    }
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Name; empty in a prototype without names.
    pub name: Name,
    /// Type; array parameters keep their dimension (`struct page *pages[16]`).
    pub ty: CType,
    /// The whole parameter declaration.
    pub span: Span,
}

/// A struct or union definition.
#[derive(Clone, Debug)]
pub struct StructDef {
    /// Tag.
    pub name: Name,
    /// `union`
    pub is_union: bool,
    /// Fields in order; members of anonymous structs and unions stand in the list themselves.
    pub fields: Vec<FieldDef>,
    /// The definition.
    pub span: Span,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: CType,
    /// Lies in a union with other fields (an anonymous union inside the struct, or the definition is a union).
    pub in_union: bool,
    /// The declarator.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// From the first token to the last, `;` included.
    pub span: Span,
    /// What it is.
    pub kind: StmtKind,
}

/// The statements.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `{ … }`; the span includes the braces.
    Block(Vec<Stmt>),
    /// `e;`
    Expr(Expr),
    /// `T a = 1, *b;`
    Decl(Vec<VarDecl>),
    /// `if (cond) then else els`
    If {
        /// Condition.
        cond: Expr,
        /// Then branch.
        then: Box<Stmt>,
        /// Else branch.
        els: Option<Box<Stmt>>,
    },
    /// `while (cond) body`
    While {
        /// Condition.
        cond: Expr,
        /// Body.
        body: Box<Stmt>,
    },
    /// `do body while (cond);`
    DoWhile {
        /// Body.
        body: Box<Stmt>,
        /// Condition.
        cond: Expr,
    },
    /// `for (init; cond; step) body`
    For {
        /// An expression or declaration statement; its span ends in the `;`.
        init: Option<Box<Stmt>>,
        /// Condition; absent means true.
        cond: Option<Expr>,
        /// Step.
        step: Option<Expr>,
        /// Body.
        body: Box<Stmt>,
    },
    /// An iterator macro: `for_each_sg(sgl, sg, n, i) body`.
    Iterate {
        /// Name of the macro.
        name: Name,
        /// Its arguments.
        args: Vec<Expr>,
        /// Body.
        body: Box<Stmt>,
    },
    /// `switch (value) body`; the cases are statements in the body.
    Switch {
        /// Value.
        value: Expr,
        /// Body.
        body: Box<Stmt>,
    },
    /// `case value:` or `case lo ... hi:`; a statement of its own, before what it labels.
    Case {
        /// Value, or lower bound.
        value: Expr,
        /// Upper bound of a range.
        upto: Option<Expr>,
    },
    /// `default:`
    Default,
    /// `name:`; a statement of its own, before what it labels.
    Label(Name),
    /// `goto name;`
    Goto(Name),
    /// `break;`
    Break,
    /// `continue;`
    Continue,
    /// `return value;`
    Return(Option<Expr>),
    /// `;`
    Empty,
    /// `#if cond` … `#else` … `#endif` around whole statements: one of the two, fixed when the kernel is configured.
    Configured {
        /// The text of the condition as written, `CONFIG_X` for `#ifdef CONFIG_X`, `!CONFIG_X` for `#ifndef`.
        cond: Name,
        /// If it holds.
        then: Vec<Stmt>,
        /// If not (`#elif` nests here).
        els: Vec<Stmt>,
    },
    /// Inline assembly.
    Asm,
    /// Not understood.
    Opaque,
}

/// A local variable.
#[derive(Clone, Debug)]
pub struct VarDecl {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: CType,
    /// Initialiser.
    pub init: Option<Expr>,
    /// Declarator with its initialiser (`*b = x`), without `,` or `;`.
    pub span: Span,
    /// `static` local.
    pub is_static: bool,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Bytes it covers (a parenthesised expression covers its parentheses).
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// Unary operators without side effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnOp {
    /// `-`
    Neg,
    /// `+`
    Plus,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddrOf,
}

/// Binary operators.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Shl,
    Shr,
    BitAnd,
    BitOr,
    BitXor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `&&`, short-circuit
    And,
    /// `||`, short-circuit
    Or,
}

/// The expressions. Parentheses leave no node of their own; the span of the inner node is widened.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// Identifier.
    Ident(Name),
    /// Integer or character constant, with its C type (`0` is int, `1UL` is 64-bit unsigned).
    Int {
        /// Value.
        value: i128,
        /// Type.
        ty: CType,
    },
    /// String literal (concatenations joined into one span).
    Str,
    /// Unary operator.
    Unary(UnOp, Box<Expr>),
    /// `++x`, `x--`
    IncDec {
        /// `++`, not `--`.
        inc: bool,
        /// Before the operand.
        prefix: bool,
        /// Operand.
        operand: Box<Expr>,
    },
    /// Binary operator.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `a = b`, or `a op= b`
    Assign(Option<BinOp>, Box<Expr>, Box<Expr>),
    /// `c ? a : b`; `a` is absent in the GNU form `c ?: b`.
    Cond(Box<Expr>, Option<Box<Expr>>, Box<Expr>),
    /// `a, b`
    Comma(Box<Expr>, Box<Expr>),
    /// Call of a function or function-like macro.
    Call {
        /// What is called: an [`ExprKind::Ident`] for a direct call.
        callee: Box<Expr>,
        /// Arguments. A type as macro argument is [`ExprKind::Type`].
        args: Vec<Expr>,
    },
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `a.f`, `a->f`
    Field {
        /// The object, or pointer to it.
        base: Box<Expr>,
        /// Field name.
        name: Name,
        /// Span of the field name.
        name_span: Span,
        /// `->`
        arrow: bool,
    },
    /// `(T)x`
    Cast(CType, Box<Expr>),
    /// `sizeof(T)`, also `sizeof x` when no type can be told.
    Sizeof(CType),
    /// `sizeof x`
    SizeofExpr(Box<Expr>),
    /// `{ .a = 1, [2] = x, y }`: designator path as (field or index), and value.
    InitList(Vec<(Option<Designator>, Expr)>),
    /// `(T){ … }`
    CompoundLiteral(CType, Box<Expr>),
    /// `({ … })`; the value is that of the last expression statement.
    StmtExpr(Box<Stmt>),
    /// A type where a macro takes one: `container_of(p, struct foo, m)`, `min_t(int, …)`.
    Type(CType),
    /// Not understood.
    Opaque,
}

/// The first step of a designated initialiser.
#[derive(Clone, Debug)]
pub enum Designator {
    /// `.name =`
    Field(Name),
    /// `[index] =`
    Index(Box<Expr>),
}

impl Expr {
    /// The name, if it is an identifier.
    pub fn ident(&self) -> Option<&Name> {
        match &self.kind {
            ExprKind::Ident(n) => Some(n),
            _ => None,
        }
    }
    /// Name and arguments, if it is a direct call.
    pub fn call(&self) -> Option<(&Name, &[Expr])> {
        match &self.kind {
            ExprKind::Call { callee, args } => callee.ident().map(|n| (n, args.as_slice())),
            _ => None,
        }
    }
    /// Calls `f` on each direct subexpression, in source order. Statement expressions are not entered.
    #[inline(never)]
    pub fn children<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Ident(_)
            | ExprKind::Int { .. }
            | ExprKind::Str
            | ExprKind::Sizeof(_)
            | ExprKind::Type(_)
            | ExprKind::Opaque
            | ExprKind::StmtExpr(_) => {}
            ExprKind::Unary(_, a)
            | ExprKind::Cast(_, a)
            | ExprKind::SizeofExpr(a)
            | ExprKind::CompoundLiteral(_, a) => f(a),
            ExprKind::IncDec { operand, .. } => f(operand),
            ExprKind::Binary(_, a, b) | ExprKind::Assign(_, a, b) | ExprKind::Comma(a, b) | ExprKind::Index(a, b) => {
                f(a);
                f(b);
            }
            ExprKind::Cond(a, b, c) => {
                f(a);
                if let Some(b) = b {
                    f(b);
                }
                f(c);
            }
            ExprKind::Call { callee, args } => {
                f(callee);
                args.iter().for_each(f);
            }
            ExprKind::Field { base, .. } => f(base),
            ExprKind::InitList(items) => {
                for (d, e) in items {
                    if let Some(Designator::Index(i)) = d {
                        f(i);
                    }
                    f(e);
                }
            }
        }
    }
    /// Calls `f` on this expression and everything below it, outer before inner, statement expressions included.
    // Inlining the recursion into every caller makes functions of megabytes and a build of 10 minutes.
    #[inline(never)]
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        f(self);
        self.children(&mut |c| c.walk(f));
        if let ExprKind::StmtExpr(s) = &self.kind {
            s.walk_exprs(f);
        }
    }
}

impl Stmt {
    /// Calls `f` on each direct substatement, in source order.
    #[inline(never)]
    pub fn children<'a>(&'a self, f: &mut dyn FnMut(&'a Stmt)) {
        match &self.kind {
            StmtKind::Block(v) => v.iter().for_each(f),
            StmtKind::If { then, els, .. } => {
                f(then);
                if let Some(e) = els {
                    f(e);
                }
            }
            StmtKind::While { body, .. }
            | StmtKind::DoWhile { body, .. }
            | StmtKind::Iterate { body, .. }
            | StmtKind::Switch { body, .. } => f(body),
            StmtKind::For { init, body, .. } => {
                if let Some(i) = init {
                    f(i);
                }
                f(body);
            }
            StmtKind::Configured { then, els, .. } => then.iter().chain(els).for_each(f),
            _ => {}
        }
    }
    /// Calls `f` on this statement and everything below it, outer before inner.
    // Inlining the recursion into every caller makes functions of megabytes and a build of 10 minutes.
    #[inline(never)]
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Stmt)) {
        f(self);
        self.children(&mut |c| c.walk(f));
    }
    /// Calls `f` on the expressions that stand directly in this statement (not in substatements).
    #[inline(never)]
    pub fn exprs<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            StmtKind::Expr(e) => f(e),
            StmtKind::Decl(v) => v.iter().filter_map(|d| d.init.as_ref()).for_each(f),
            StmtKind::If { cond, .. } | StmtKind::While { cond, .. } | StmtKind::DoWhile { cond, .. } => f(cond),
            StmtKind::For { cond, step, .. } => {
                if let Some(e) = cond {
                    f(e);
                }
                if let Some(e) = step {
                    f(e);
                }
            }
            StmtKind::Iterate { args, .. } => args.iter().for_each(f),
            StmtKind::Switch { value, .. } => f(value),
            StmtKind::Case { value, upto } => {
                f(value);
                if let Some(e) = upto {
                    f(e);
                }
            }
            StmtKind::Return(Some(e)) => f(e),
            _ => {}
        }
    }
    /// Calls `f` on every expression below this statement, outer before inner.
    // Inlining the recursion into every caller makes functions of megabytes and a build of 10 minutes.
    #[inline(never)]
    pub fn walk_exprs<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        self.walk(&mut |s| s.exprs(&mut |e| e.walk(f)));
    }
}
