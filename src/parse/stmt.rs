//! Lowers statements and local declarations.

use super::{Lower, child, decl, kind_of};
use crate::ast::{CType, Expr, ExprKind, Stmt, StmtKind, VarDecl};
use crate::lex::{self, TokKind, Token};
use crate::source::{Name, Span};
use tree_sitter::Node;

impl Lower<'_> {
    /// Lowers a statement that stands where one is wanted; labels with what they label become a block.
    pub(super) fn statement(&mut self, n: Node) -> Stmt {
        let span = self.span(n);
        let mut out = Vec::with_capacity(1);
        self.push(n, &mut out);
        match out.len() {
            0 => Stmt { span, kind: StmtKind::Empty },
            1 => out.remove(0),
            _ => Stmt { span, kind: StmtKind::Block(out) },
        }
    }

    fn field(&mut self, n: Node, field: &str) -> Box<Stmt> {
        let s = match child(n, field) {
            Some(c) => self.statement(c),
            None => self.lost(n),
        };
        Box::new(s)
    }

    /// What the grammar left out: known as damage already when it is an error, unknown here in any case.
    fn lost(&mut self, n: Node) -> Stmt {
        Stmt { span: self.span(n), kind: StmtKind::Opaque }
    }

    /// The expression in a field, or an opaque one.
    fn value(&mut self, n: Node, field: &str) -> Expr {
        match child(n, field) {
            Some(c) => self.expression(c),
            None => Expr { span: self.span(n), kind: ExprKind::Opaque },
        }
    }

    /// Lowers the statements among the children of `n`, from the child at which `from` holds.
    fn list(&mut self, n: Node, skip: Option<Node>, out: &mut Vec<Stmt>) {
        let mut cursor = n.walk();
        for c in n.named_children(&mut cursor) {
            if Some(c) != skip && kind_of(c) != "comment" {
                self.push(c, out);
            }
        }
    }

    /// Lowers one node of a statement list. Labels and cases add a statement of their own first.
    fn push(&mut self, n: Node, out: &mut Vec<Stmt>) {
        if !self.enter(n) {
            out.push(self.lost(n));
            return;
        }
        self.push_inner(n, out);
        self.depth -= 1;
    }

    fn push_inner(&mut self, n: Node, out: &mut Vec<Stmt>) {
        let span = self.span(n);
        let kind = match kind_of(n) {
            "compound_statement" => {
                let mut v = Vec::with_capacity(n.named_child_count());
                self.list(n, None, &mut v);
                StmtKind::Block(v)
            }
            "expression_statement" => self.expression_statement(n),
            "declaration" => self.declaration(n),
            "if_statement" => StmtKind::If {
                cond: self.value(n, "condition"),
                then: self.field(n, "consequence"),
                els: child(n, "alternative").map(|e| {
                    let mut cursor = e.walk();
                    let inner = e.named_children(&mut cursor).find(|c| kind_of(c) != "comment");
                    Box::new(match inner {
                        Some(s) => self.statement(s),
                        None => self.lost(e),
                    })
                }),
            },
            "while_statement" => self.while_loop(n),
            "do_statement" => StmtKind::DoWhile { body: self.field(n, "body"), cond: self.value(n, "condition") },
            "for_statement" => self.for_loop(n),
            "switch_statement" => StmtKind::Switch { value: self.value(n, "condition"), body: self.field(n, "body") },
            "case_statement" => return self.case(n, out),
            "labeled_statement" => {
                let label = child(n, "label");
                if let Some(l) = label {
                    let at = self.whole_word(l);
                    let name = at.text(self.text).into();
                    let at = Span { start: at.start, end: self.colon_end(at.end) };
                    out.push(Stmt { span: at, kind: StmtKind::Label(name) });
                }
                return self.list(n, label, out);
            }
            "goto_statement" => match child(n, "label") {
                // A computed goto is an error to the grammar.
                Some(l) if !n.has_error() => StmtKind::Goto(self.name(l)),
                _ => StmtKind::Opaque,
            },
            "break_statement" => StmtKind::Break,
            "continue_statement" => StmtKind::Continue,
            "return_statement" => {
                let mut cursor = n.walk();
                let value = n.named_children(&mut cursor).find(|c| kind_of(c) != "comment");
                StmtKind::Return(value.map(|v| self.expression(v)))
            }
            "attributed_statement" => {
                let mut cursor = n.walk();
                let inner = n
                    .named_children(&mut cursor)
                    .filter(|c| !matches!(kind_of(c), "comment" | "attribute_declaration"));
                for c in inner.collect::<Vec<_>>() {
                    self.push(c, out);
                }
                return;
            }
            "preproc_if" | "preproc_ifdef" | "preproc_elif" | "preproc_elifdef" => self.configured(n),
            // Directives and type definitions do nothing when the function runs.
            "preproc_def"
            | "preproc_function_def"
            | "preproc_call"
            | "type_definition"
            | "struct_specifier"
            | "union_specifier"
            | "enum_specifier" => StmtKind::Empty,
            _ => {
                // A nested function definition is a loop macro or a broken statement that the grammar misread.
                self.damage.push(span);
                StmtKind::Opaque
            }
        };
        out.push(Stmt { span, kind });
    }

    fn expression_statement(&mut self, n: Node) -> StmtKind {
        let mut cursor = n.walk();
        let Some(e) = n.named_children(&mut cursor).find(|c| kind_of(c) != "comment") else { return StmtKind::Empty };
        let first = decl::first_of(self.text, self.span(e)).map_or(Span::default(), |t| t.span);
        match first.of(self.text) {
            b"asm" | b"__asm__" | b"__asm" => return StmtKind::Asm,
            b"fallthrough" if first == self.span(e) => return StmtKind::Empty,
            _ => {}
        }
        StmtKind::Expr(self.expression(e))
    }

    /// End of the `:` behind `at`.
    fn colon_end(&self, at: u32) -> u32 {
        let rest = self.text.get(at as usize..).unwrap_or(b"");
        let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if rest.get(space) == Some(&b':') { at + space as u32 + 1 } else { at }
    }

    fn case(&mut self, n: Node, out: &mut Vec<Stmt>) {
        let value = child(n, "value");
        let mut span = self.span(n);
        // The statement ends behind its colon, which is the last one before the first statement.
        let mut cursor = n.walk();
        let colon = n.children(&mut cursor).find(|c| kind_of(c) == ":");
        if let Some(c) = colon {
            span.end = self.span(c).end;
        }
        let kind = match value {
            None => StmtKind::Default,
            Some(v) => {
                let range = kind_of(v) == "binary_expression"
                    && child(v, "operator").is_some_and(|o| self.original(o) == b"..");
                if range {
                    StmtKind::Case { value: self.value(v, "left"), upto: Some(self.value(v, "right")) }
                } else {
                    StmtKind::Case { value: self.expression(v), upto: None }
                }
            }
        };
        out.push(Stmt { span, kind });
        self.list(n, value, out);
    }

    fn while_loop(&mut self, n: Node) -> StmtKind {
        if self.iterators.binary_search(&self.place(n).start).is_err() {
            return StmtKind::While { cond: self.value(n, "condition"), body: self.field(n, "body") };
        }
        let name = decl::first_of(self.text, self.span(n)).map(|t| t.span.text(self.text)).unwrap_or_default();
        let mut args = Vec::new();
        if let Some(c) = child(n, "condition") {
            let mut cursor = c.walk();
            let inner = c.named_children(&mut cursor).find(|c| kind_of(c) != "comment");
            // Without arguments the mask made up a `0`.
            if let Some(e) = inner.filter(|e| !(self.seen(*e) == b"0" && self.original(*e) != b"0")) {
                self.comma_list(e, &mut args);
            }
        }
        StmtKind::Iterate { name: name.into(), args, body: self.field(n, "body") }
    }

    /// The operands of a comma expression, in order.
    fn comma_list(&mut self, mut e: Node, out: &mut Vec<Expr>) {
        while kind_of(e) == "comma_expression" {
            out.push(self.value(e, "left"));
            match child(e, "right") {
                Some(r) => e = r,
                None => return,
            }
        }
        out.push(self.expression(e));
    }

    fn for_loop(&mut self, n: Node) -> StmtKind {
        let init = child(n, "initializer").map(|i| {
            if kind_of(i) == "declaration" {
                return Box::new(self.statement(i));
            }
            let e = self.expression(i);
            let mut span = e.span;
            let rest = self.text.get(span.end as usize..).unwrap_or(b"");
            let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            if rest.get(space) == Some(&b';') {
                span.end += space as u32 + 1;
            }
            Box::new(Stmt { span, kind: StmtKind::Expr(e) })
        });
        StmtKind::For {
            init,
            cond: child(n, "condition").map(|c| self.expression(c)),
            step: child(n, "update").map(|c| self.expression(c)),
            body: self.field(n, "body"),
        }
    }

    /// `#if` … `#endif` around statements.
    fn configured(&mut self, n: Node) -> StmtKind {
        let name = child(n, "name");
        let test = name.or_else(|| child(n, "condition"));
        let negated = name.is_some() && {
            let mut cursor = n.walk();
            n.children(&mut cursor).next().is_some_and(|d| self.original(d).ends_with(b"ndef"))
        };
        let cond: Name = match test {
            Some(t) if negated => format!("!{}", self.name(t)).into(),
            Some(t) => self.name(t),
            None => "".into(),
        };
        let alternative = child(n, "alternative");
        let (mut then, mut els) = (Vec::new(), Vec::new());
        let mut cursor = n.walk();
        for c in n.named_children(&mut cursor) {
            if Some(c) == test || Some(c) == alternative || kind_of(c) == "comment" {
                continue;
            }
            // `#if 0` is a comment.
            if &*cond != "0" {
                self.push(c, &mut then);
            }
        }
        match alternative {
            Some(a) if kind_of(a) == "preproc_else" => self.list(a, None, &mut els),
            Some(a) => self.push(a, &mut els),
            None => {}
        }
        StmtKind::Configured { cond, then, els }
    }

    fn declaration(&mut self, n: Node) -> StmtKind {
        let mut cursor = n.walk();
        let declarators: Vec<Node> = n.children_by_field_name("declarator", &mut cursor).collect();
        let Some(first) = declarators.first() else { return StmtKind::Empty };
        let head = Span { start: self.span(n).start, end: self.span(*first).start };
        let specifiers = decl::tokens_of(self.text, head);
        let base = decl::base(self.text, &specifiers);
        let is_static = specifiers.iter().any(|t| t.word(self.text) == b"static");
        let mut out = Vec::with_capacity(declarators.len());
        for d in declarators {
            let (shape, value) = match kind_of(d) {
                "init_declarator" => (child(d, "declarator"), child(d, "value")),
                "gnu_asm_expression" => continue,
                _ => (Some(d), None),
            };
            let Some(shape) = shape else { continue };
            // Read from the masked bytes, where annotations among the stars are gone already.
            let toks = self.masked_tokens(shape);
            let got = decl::declarator(self.masked, &toks, &base);
            let written = |n: &Name, at: Span| super::shifted(at, self.base).of(self.text) == n.as_bytes();
            let Some((name, _)) = got.name.filter(|(n, at)| written(n, *at)) else {
                // No name, or one that masking made up.
                self.damage.push(self.span(d));
                continue;
            };
            if kind_of(shape) == "function_declarator" && toks.first().is_some_and(|t| t.kind == TokKind::Ident) {
                // `int f(int);` inside a body declares no variable.
                continue;
            }
            self.names.insert(name.clone());
            let init = value.map(|v| self.expression(v));
            out.push(VarDecl { name, ty: got.ty, init, span: self.span(d), is_static });
        }
        if out.is_empty() { StmtKind::Empty } else { StmtKind::Decl(out) }
    }

    /// Tokens of the masked bytes of a node, with offsets in the masked body.
    fn masked_tokens(&self, n: Node) -> Vec<Token> {
        decl::tokens_of(self.masked, self.place(n))
    }

    /// The type that a `type_descriptor` spells, from the original bytes.
    pub(super) fn type_of(&self, n: Node) -> CType {
        decl::type_at(self.text, self.whole_word(n))
    }

    /// The span of a node, drawn out to the end of its last word: masking may have shortened that.
    pub(super) fn whole_word(&self, n: Node) -> Span {
        let mut at = self.span(n);
        let rest = self.text.get(at.end as usize..).unwrap_or(b"");
        at.end += rest.iter().take_while(|&&b| lex::is_word_byte(b)).count() as u32;
        at
    }
}
