//! Lowers expressions.

use super::{Lower, child, kind_of, number};
use crate::ast::{BinOp, CType, Designator, Expr, ExprKind, UnOp};
use crate::lex;
use crate::words;
use tree_sitter::Node;

impl Lower<'_> {
    /// Lowers an expression; an initialiser list counts as one.
    pub(super) fn expression(&mut self, n: Node) -> Expr {
        let span = self.span(n);
        if !self.enter(n) {
            return Expr { span, kind: ExprKind::Opaque };
        }
        let kind = self.expression_kind(n);
        self.depth -= 1;
        Expr { span, kind }
    }

    fn boxed(&mut self, n: Node, field: &str) -> Box<Expr> {
        Box::new(match child(n, field) {
            Some(c) => self.expression(c),
            None => Expr { span: self.span(n), kind: ExprKind::Opaque },
        })
    }

    fn operator(&self, n: Node) -> &[u8] {
        child(n, "operator").map_or(b"", |o| self.seen(o))
    }

    fn expression_kind(&mut self, n: Node) -> ExprKind {
        match kind_of(n) {
            "identifier" | "field_identifier" | "type_identifier" | "primitive_type" | "true" | "false" | "null" => {
                self.word(n)
            }
            "number_literal" => self.number(n),
            "char_literal" => match number::character(self.original(n)) {
                Some(value) => ExprKind::Int { value, ty: CType::int() },
                None => ExprKind::Opaque,
            },
            "string_literal" | "concatenated_string" => ExprKind::Str,
            "parenthesized_expression" => self.parenthesised(n),
            "extension_expression" => match first_named(n) {
                Some(c) => self.expression(c).kind,
                None => ExprKind::Opaque,
            },
            "unary_expression" | "pointer_expression" => self.unary(n),
            "update_expression" => {
                let inc = self.operator(n) == b"++";
                let operand = self.boxed(n, "argument");
                let prefix = child(n, "operator").is_some_and(|o| o.start_byte() == n.start_byte());
                ExprKind::IncDec { inc, prefix, operand }
            }
            "binary_expression" if self.typedef_in_parentheses(n, "left").is_some() => self.signed_cast(n),
            "binary_expression" => match binary(self.operator(n)) {
                Some(op) => ExprKind::Binary(op, self.boxed(n, "left"), self.boxed(n, "right")),
                None => ExprKind::Opaque,
            },
            "assignment_expression" => {
                let op = self.operator(n);
                match (op, op.strip_suffix(b"=").and_then(binary)) {
                    (b"=", _) => ExprKind::Assign(None, self.boxed(n, "left"), self.boxed(n, "right")),
                    (_, Some(op)) => ExprKind::Assign(Some(op), self.boxed(n, "left"), self.boxed(n, "right")),
                    _ => ExprKind::Opaque,
                }
            }
            "conditional_expression" => {
                let cond = self.boxed(n, "condition");
                let then = child(n, "consequence").map(|c| Box::new(self.expression(c)));
                ExprKind::Cond(cond, then, self.boxed(n, "alternative"))
            }
            "comma_expression" => ExprKind::Comma(self.boxed(n, "left"), self.boxed(n, "right")),
            "call_expression" => self.call(n),
            "subscript_expression" => ExprKind::Index(self.boxed(n, "argument"), self.boxed(n, "index")),
            "field_expression" => {
                let arrow = self.operator(n) == b"->";
                let base = self.boxed(n, "argument");
                match child(n, "field") {
                    Some(f) => ExprKind::Field { base, name: self.name(f), name_span: self.span(f), arrow },
                    None => ExprKind::Opaque,
                }
            }
            "cast_expression" => self.cast(n),
            "sizeof_expression" => self.size_of(n),
            "compound_literal_expression" => match child(n, "type") {
                Some(t) => ExprKind::CompoundLiteral(self.type_of(t), self.boxed(n, "value")),
                None => ExprKind::Opaque,
            },
            "initializer_list" => self.init_list(n),
            "type_descriptor" => ExprKind::Type(self.type_of(n)),
            "compound_statement" => ExprKind::StmtExpr(Box::new(self.statement(n))),
            _ => ExprKind::Opaque,
        }
    }

    /// A word: an identifier, unless masking made it out of a type.
    fn word(&mut self, n: Node) -> ExprKind {
        let original = self.original(n);
        if original == self.seen(n) {
            return ExprKind::Ident(self.name(n));
        }
        match original.first() {
            Some(b) if !lex::is_word_byte(*b) && *b != b'"' => ExprKind::Opaque,
            _ if original.contains(&b'"') => ExprKind::Str,
            _ => ExprKind::Type(self.type_of(n)),
        }
    }

    /// A number. The grammar takes a sign into it; C does not.
    fn number(&mut self, n: Node) -> ExprKind {
        let text = self.original(n);
        let op = match text.first() {
            Some(b'-') => Some(UnOp::Neg),
            Some(b'+') => Some(UnOp::Plus),
            _ => None,
        };
        let skip = text.iter().take_while(|b| matches!(b, b'-' | b'+') || b.is_ascii_whitespace()).count();
        let Some((value, ty)) = number::integer(&text[skip..]) else { return ExprKind::Opaque };
        let int = ExprKind::Int { value, ty };
        let Some(op) = op else { return int };
        let mut span = self.span(n);
        span.start += skip as u32;
        ExprKind::Unary(op, Box::new(Expr { span, kind: int }))
    }

    /// Parentheses leave no node; a block in them is a statement expression.
    fn parenthesised(&mut self, n: Node) -> ExprKind {
        match first_named(n) {
            Some(c) if kind_of(c) == "compound_statement" => ExprKind::StmtExpr(Box::new(self.statement(c))),
            Some(c) => self.expression(c).kind,
            None => ExprKind::Opaque,
        }
    }

    fn unary(&mut self, n: Node) -> ExprKind {
        let op = match self.operator(n) {
            b"-" => UnOp::Neg,
            b"+" => UnOp::Plus,
            b"!" => UnOp::Not,
            b"~" => UnOp::BitNot,
            b"*" => UnOp::Deref,
            b"&" => UnOp::AddrOf,
            _ => return ExprKind::Opaque,
        };
        ExprKind::Unary(op, self.boxed(n, "argument"))
    }

    /// The word, if the field holds `(word)` and the word is a type: `(u8) - 1` and `(foo_t)(x)` are casts.
    fn typedef_in_parentheses<'t>(&self, n: Node<'t>, field: &str) -> Option<Node<'t>> {
        let p = child(n, field).filter(|p| kind_of(p) == "parenthesized_expression")?;
        first_named(p).filter(|w| kind_of(w) == "identifier" && self.is_type_word(*w))
    }

    /// `(u8) - x`, which the grammar takes for a subtraction.
    fn signed_cast(&mut self, n: Node) -> ExprKind {
        let op = match self.operator(n) {
            b"-" => UnOp::Neg,
            b"+" => UnOp::Plus,
            b"*" => UnOp::Deref,
            b"&" => UnOp::AddrOf,
            _ => return ExprKind::Opaque,
        };
        let Some(ty) = self.typedef_in_parentheses(n, "left").map(|w| self.type_of(w)) else {
            return ExprKind::Opaque;
        };
        let mut span = self.span(n);
        if let Some(o) = child(n, "operator") {
            span.start = self.span(o).start;
        }
        let operand = Expr { span, kind: ExprKind::Unary(op, self.boxed(n, "right")) };
        ExprKind::Cast(ty, Box::new(operand))
    }

    fn call(&mut self, n: Node) -> ExprKind {
        if let Some(w) = self.typedef_in_parentheses(n, "function") {
            let arg = child(n, "arguments");
            if let Some(a) = arg.filter(|a| a.named_child_count() == 1)
                && let Some(inner) = first_named(a)
            {
                let mut operand = self.expression(inner);
                operand.span = self.span(a);
                return ExprKind::Cast(self.type_of(w), Box::new(operand));
            }
        }
        let callee = match child(n, "function") {
            // A name that was masked to keep the grammar from treating it specially (`offsetof`).
            Some(f) if kind_of(f) == "identifier" && self.original(f).iter().all(|&b| lex::is_word_byte(b)) => {
                Box::new(Expr { span: self.span(f), kind: ExprKind::Ident(self.name(f)) })
            }
            _ => self.boxed(n, "function"),
        };
        let mut args = Vec::new();
        if let Some(list) = child(n, "arguments") {
            args.reserve_exact(list.named_child_count());
            let mut cursor = list.walk();
            for a in list.named_children(&mut cursor) {
                if kind_of(a) != "comment" {
                    args.push(self.expression(a));
                }
            }
        }
        ExprKind::Call { callee, args }
    }

    /// A cast, unless the word in the parentheses is no type: `(a) - b`, `(f)(x)`.
    fn cast(&mut self, n: Node) -> ExprKind {
        let (Some(t), Some(v)) = (child(n, "type"), child(n, "value")) else {
            return ExprKind::Opaque;
        };
        if !self.is_variable(t) {
            return ExprKind::Cast(self.type_of(t), Box::new(self.expression(v)));
        }
        let word = self.whole_word(t);
        let mut left = Expr { span: word, kind: ExprKind::Ident(word.text(self.text).into()) };
        left.span.start = self.span(n).start;
        if let Some(close) = t.next_sibling() {
            left.span.end = self.span(close).end;
        }
        match kind_of(v) {
            "unary_expression" | "pointer_expression" => {
                let op = match self.operator(v) {
                    b"-" => BinOp::Sub,
                    b"+" => BinOp::Add,
                    b"*" => BinOp::Mul,
                    b"&" => BinOp::BitAnd,
                    _ => return ExprKind::Opaque,
                };
                ExprKind::Binary(op, Box::new(left), self.boxed(v, "argument"))
            }
            "parenthesized_expression" => {
                let arg = self.expression(v);
                ExprKind::Call { callee: Box::new(left), args: vec![arg] }
            }
            _ => ExprKind::Opaque,
        }
    }

    /// Whether a type in parentheses is in truth a declared variable or a macro constant.
    fn is_variable(&self, t: Node) -> bool {
        let w = self.whole_word(t).of(self.text);
        if !w.iter().all(|&b| lex::is_word_byte(b)) {
            return false;
        }
        let capitals = w.iter().all(|&b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        capitals && !words::is_integer_typedef(w) || self.names.contains(&*String::from_utf8_lossy(w))
    }

    fn size_of(&mut self, n: Node) -> ExprKind {
        if let Some(v) = child(n, "value") {
            let inner = if kind_of(v) == "parenthesized_expression" { first_named(v).unwrap_or(v) } else { v };
            if kind_of(inner) == "identifier" && self.is_type_word(inner) {
                return ExprKind::Sizeof(self.type_of(inner));
            }
            return ExprKind::SizeofExpr(Box::new(self.expression(v)));
        }
        let Some(t) = child(n, "type") else { return ExprKind::Opaque };
        let Some(word) = child(t, "type").filter(|w| kind_of(w) == "type_identifier") else {
            return ExprKind::Sizeof(self.type_of(t));
        };
        if self.is_type_word(word) {
            return ExprKind::Sizeof(self.type_of(t));
        }
        let ident = Expr { span: self.span(word), kind: ExprKind::Ident(self.name(word)) };
        match child(t, "declarator") {
            None => ExprKind::SizeofExpr(Box::new(ident)),
            // `sizeof(a[0])` reads as an array type to the grammar.
            Some(d) if kind_of(d) == "abstract_array_declarator" && child(d, "declarator").is_none() => {
                let index = self.boxed(d, "size");
                let span = self.span(t);
                ExprKind::SizeofExpr(Box::new(Expr { span, kind: ExprKind::Index(Box::new(ident), index) }))
            }
            Some(_) => ExprKind::Sizeof(self.type_of(t)),
        }
    }

    /// Whether a single word under `sizeof` is a type: masked, an integer typedef, or a `_t` that is no variable.
    fn is_type_word(&self, w: Node) -> bool {
        let text = self.original(w);
        text != self.seen(w)
            || words::is_integer_typedef(text)
            || text.ends_with(b"_t") && !self.names.contains(&*String::from_utf8_lossy(text))
    }

    fn init_list(&mut self, n: Node) -> ExprKind {
        let mut items = Vec::with_capacity(n.named_child_count());
        let mut cursor = n.walk();
        for c in n.named_children(&mut cursor) {
            match kind_of(c) {
                "comment" => {}
                "initializer_pair" => {
                    let mut walk = c.walk();
                    let path: Vec<Node> = c.children_by_field_name("designator", &mut walk).collect();
                    let designator = path.first().and_then(|d| self.designator(*d));
                    let mut value = *self.boxed(c, "value");
                    if path.len() != 1 || designator.is_none() {
                        // `.a.b = 1` and ranges: the value belongs to a place that we do not name.
                        value.kind = ExprKind::Opaque;
                    }
                    items.push((designator, value));
                }
                _ => items.push((None, self.expression(c))),
            }
        }
        ExprKind::InitList(items)
    }

    fn designator(&mut self, d: Node) -> Option<Designator> {
        match kind_of(d) {
            "field_designator" => first_named(d).map(|f| Designator::Field(self.name(f))),
            "field_identifier" => Some(Designator::Field(self.name(d))),
            "subscript_designator" => first_named(d).map(|i| Designator::Index(Box::new(self.expression(i)))),
            _ => None,
        }
    }
}

fn first_named(n: Node) -> Option<Node> {
    let mut cursor = n.walk();
    n.named_children(&mut cursor).find(|c| kind_of(c) != "comment")
}

fn binary(op: &[u8]) -> Option<BinOp> {
    Some(match op {
        b"+" => BinOp::Add,
        b"-" => BinOp::Sub,
        b"*" => BinOp::Mul,
        b"/" => BinOp::Div,
        b"%" => BinOp::Rem,
        b"<<" => BinOp::Shl,
        b">>" => BinOp::Shr,
        b"&" => BinOp::BitAnd,
        b"|" => BinOp::BitOr,
        b"^" => BinOp::BitXor,
        b"==" => BinOp::Eq,
        b"!=" => BinOp::Ne,
        b"<" => BinOp::Lt,
        b"<=" => BinOp::Le,
        b">" => BinOp::Gt,
        b">=" => BinOp::Ge,
        b"&&" => BinOp::And,
        b"||" => BinOp::Or,
        _ => return None,
    })
}
