//! Parses one function or struct out of a file, into [`crate::ast`].
//!
//! The head of a definition is read from tokens ([`decl`]), so that no unknown annotation there can harm the body; the
//! body is masked ([`crate::normalise`]), parsed by tree-sitter and lowered. Nodes of tree-sitter never leave this
//! module. Nothing here fails: what is not understood becomes `Opaque`, and what the grammar stumbled over is listed
//! as damage. It deliberately knows no types beyond what a declaration spells and nothing of kernel APIs.

mod decl;
mod expr;
mod number;
mod squeeze;
mod stmt;

use crate::ast::{Base, CType, Function, Param, Stmt, StmtKind, StructDef};
use crate::lex::{self, TokKind, Token};
use crate::normalise;
use crate::source::{Name, Span};
use crate::split::{self, Item, ItemKind};
use rustc_hash::{FxHashMap, FxHashSet};
use squeeze::Squeezed;
use std::borrow::Borrow;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use tree_sitter::{Node, Query, QueryCursor, StreamingIterator};

/// Deepest nesting of statements, expressions and brackets that is followed. Deeper code is damage: readers of the
/// tree recurse, and the deepest function of v6.12 that pins pages nests 14 levels.
pub const MAX_DEPTH: usize = 200;

/// Longest body that is parsed, in bytes. The longest in v6.12 that holds a pin has less than 20 kB.
pub const MAX_BODY: usize = 4 << 20;

/// Progress calls of tree-sitter (one is 100 steps) that a body may take, besides one for four bytes. Functions of
/// v6.12 take one for 50 bytes.
const WORK: usize = 10_000;

/// `queries/damage.scm`, compiled once. `None` when the grammar does not know a node that it names, which a test rules
/// out.
fn damage_query() -> Option<&'static Query> {
    static QUERY: OnceLock<Option<Query>> = OnceLock::new();
    let text = include_str!("../queries/damage.scm");
    QUERY.get_or_init(|| Query::new(&tree_sitter_c::LANGUAGE.into(), text).ok()).as_ref()
}

/// The child of a node in a field of the grammar. The library looks for the name of the field from one to the next each
/// time, which takes longer than all else that is done with the child.
fn child<'t>(node: Node<'t>, field: &str) -> Option<Node<'t>> {
    static FIELDS: OnceLock<FxHashMap<Box<str>, u16>> = OnceLock::new();
    let fields = FIELDS.get_or_init(|| {
        let language: tree_sitter::Language = tree_sitter_c::LANGUAGE.into();
        let ids = 1..=language.field_count() as u16;
        ids.filter_map(|id| language.field_name_for_id(id).map(|name| (name.into(), id)))
            .collect::<FxHashMap<Box<str>, u16>>()
    });
    node.child_by_field_id(*fields.get(field)?)
}

/// The name of the node in the grammar. The library measures it, and looks whether it is UTF-8, each time.
fn kind_of<'t>(node: impl Borrow<Node<'t>>) -> &'t str {
    static LANGUAGE: OnceLock<tree_sitter::Language> = OnceLock::new();
    static KINDS: OnceLock<Vec<&str>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let language = LANGUAGE.get_or_init(|| tree_sitter_c::LANGUAGE.into());
        (0..language.node_kind_count() as u16).map(|id| language.node_kind_for_id(id).unwrap_or("")).collect()
    });
    let node = node.borrow();
    kinds.get(usize::from(node.kind_id())).copied().unwrap_or_else(|| node.kind())
}

/// Parses definitions. Owns a tree-sitter parser: have one a thread and reuse it.
pub struct Parser {
    inner: tree_sitter::Parser,
    /// The grammar was accepted by the library; if not, every body is damage.
    ready: bool,
    /// Bodies are squeezed. Only a test does without.
    squeezes: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser for the pinned C grammar.
    pub fn new() -> Self {
        let mut inner = tree_sitter::Parser::new();
        let ready = inner.set_language(&tree_sitter_c::LANGUAGE.into()).is_ok();
        Self { inner, ready, squeezes: true }
    }

    /// Parses the function `item` of the file `text`. Spans index `text`. `None` when the item is no function.
    pub fn function(&mut self, text: &[u8], item: &Item) -> Option<Function> {
        let body = item.body.filter(|_| item.kind == ItemKind::Function)?;
        let head = Span { start: item.span.start, end: body.start };
        let (params, variadic, ret) = read_head(text, head, item.name_span);
        let (body, damage, arms) = self.body(text, body, &params);
        Some(Function {
            name: item.name.clone(),
            name_span: item.name_span,
            span: item.span,
            params,
            variadic,
            ret,
            is_static: item.is_static,
            body,
            damage,
            arms,
        })
    }

    /// Parses the struct or union `item`, also one that a `typedef` defines. `None` when the item has no fields.
    pub fn structure(&mut self, text: &[u8], item: &Item) -> Option<StructDef> {
        if !matches!(item.kind, ItemKind::Struct | ItemKind::Union | ItemKind::Typedef) {
            return None;
        }
        let body = item.body?;
        let head = decl::tokens_of(text, Span { start: item.span.start, end: body.start });
        let is_union = head.iter().any(|t| t.word(text) == b"union");
        if !is_union && !head.iter().any(|t| t.word(text) == b"struct") {
            return None;
        }
        let inner = Span { start: body.start + 1, end: body.end.saturating_sub(1).max(body.start + 1) };
        let mut fields = Vec::new();
        decl::fields(text, &decl::tokens_of(text, inner), is_union, 0, &mut fields);
        for f in &mut fields {
            if let Base::Struct(tag) | Base::Union(tag) = &mut f.ty.base
                && tag.starts_with('.')
            {
                *tag = format!("{}{tag}", item.name).into();
            }
        }
        fields.shrink_to_fit();
        Some(StructDef { name: item.name.clone(), is_union, fields, span: item.span })
    }

    /// The struct without a tag of its own that a field of `item` has as its type: `tag` is `OUTER.FIELD@START-END`,
    /// as [`Parser::structure`] names it; one in such a struct has both fields in its tag.
    pub fn nameless_structure(&mut self, text: &[u8], item: &Item, tag: &str) -> Option<StructDef> {
        let (path, place) = tag.rsplit_once('@')?;
        let (start, end) = place.split_once('-')?;
        let span = Span { start: start.parse().ok()?, end: end.parse().ok()? };
        if !item.span.contains(span) || span.end < span.start + 2 {
            return None;
        }
        let mut fields = Vec::new();
        decl::fields(
            text,
            &decl::tokens_of(text, Span { start: span.start + 1, end: span.end - 1 }),
            false,
            0,
            &mut fields,
        );
        for f in &mut fields {
            if let Base::Struct(tag) | Base::Union(tag) = &mut f.ty.base
                && tag.starts_with('.')
            {
                *tag = format!("{path}{tag}").into();
            }
        }
        fields.shrink_to_fit();
        Some(StructDef { name: tag.into(), is_union: false, fields, span })
    }

    /// Parses masked bytes. `None` when that takes more work than any real function does: the recovery from errors is
    /// quadratic in the worst case. Work is counted in steps of the parser and not in time, so the answer never varies.
    fn tree(&mut self, bytes: &[u8]) -> Option<tree_sitter::Tree> {
        let limit = WORK + bytes.len() / 4;
        let mut calls = 0usize;
        let mut count = |_: &tree_sitter::ParseState| {
            calls += 1;
            if calls > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = tree_sitter::ParseOptions::new().progress_callback(&mut count);
        let mut read = |at: usize, _| bytes.get(at..).unwrap_or(b"");
        let tree = self.inner.parse_with_options(&mut read, None, Some(options));
        if tree.is_none() {
            self.inner.reset();
        }
        tree
    }

    /// Parses and lowers the body at `span`; also returns its damage and the `#if` lines around arms of an `if`.
    fn body(&mut self, text: &[u8], span: Span, params: &[Param]) -> (Stmt, Vec<Span>, Vec<Span>) {
        let piece = span.of(text);
        let unknown = || {
            let inner = Stmt { span, kind: StmtKind::Opaque };
            (Stmt { span, kind: StmtKind::Block(vec![inner]) }, vec![span], Vec::new())
        };
        if !self.ready || piece.len() > MAX_BODY || too_deep(piece) {
            return unknown();
        }
        let masked = normalise::normalise(piece);
        let squeezed = Squeezed::new(&masked.bytes);
        let short = self.tree(&squeezed.bytes).filter(|t| self.squeezes && !t.root_node().has_error());
        // How the library recovers from an error depends on how many bytes it has to pass over.
        let seen = short.map(|tree| (squeezed, tree)).or_else(|| {
            let all = Squeezed::nothing(&masked.bytes);
            self.tree(&all.bytes).map(|tree| (all, tree))
        });
        let Some((squeezed, tree)) = seen else { return unknown() };
        let root = tree.root_node();
        let mut low = Lower {
            text,
            masked: &masked.bytes,
            squeezed: &squeezed,
            iterators: &masked.iterators,
            base: span.start,
            depth: 0,
            names: params.iter().map(|p| p.name.clone()).collect(),
            spelled: FxHashMap::default(),
            damage: masked.cut.iter().map(|c| shifted(*c, span.start)).collect(),
        };
        if root.has_error() {
            low.collect_damage(root);
        }
        let mut cursor = root.walk();
        let mut tops = root.named_children(&mut cursor).filter(|n| !n.is_extra());
        let Some(block) = tops.next().filter(|n| kind_of(n) == "compound_statement") else { return unknown() };
        let rest: Vec<Span> = tops.map(|n| low.span(n)).collect();
        low.damage.extend(rest);
        let body = low.statement(block);
        let mut damage = low.damage;
        damage.sort_unstable();
        damage.dedup();
        (body, damage, masked.arms.iter().map(|a| shifted(*a, span.start)).collect())
    }
}

/// Splits `text` and parses the function `name`: for tests and small inputs.
pub fn function_from_source(text: &[u8], name: &str) -> Option<Function> {
    let items = split::split(text);
    let item = items.iter().find(|i| i.kind == ItemKind::Function && &*i.name == name)?;
    Parser::new().function(text, item)
}

/// Splits `text` and parses the struct or union `tag`: for tests and small inputs.
pub fn structure_from_source(text: &[u8], tag: &str) -> Option<StructDef> {
    let items = split::split(text);
    let mut parser = Parser::new();
    items.iter().filter(|i| &*i.name == tag).find_map(|i| parser.structure(text, i))
}

fn shifted(s: Span, by: u32) -> Span {
    Span { start: s.start + by, end: s.end + by }
}

/// Whether more brackets are open at once than are followed. Few bodies have so many brackets at all.
fn too_deep(piece: &[u8]) -> bool {
    let opens = piece.iter().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
    opens > MAX_DEPTH && nesting(piece) > MAX_DEPTH
}

/// Greatest number of brackets that are open at once.
fn nesting(piece: &[u8]) -> usize {
    let (mut depth, mut max) = (0usize, 0usize);
    for t in lex::tokens(piece) {
        match t.kind {
            TokKind::Punct(b'(' | b'[' | b'{') => {
                depth += 1;
                max = max.max(depth);
            }
            TokKind::Punct(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    max
}

/// Parameters, `...` and return type of a head.
fn read_head(text: &[u8], head: Span, name: Span) -> (Vec<Param>, bool, CType) {
    let toks = decl::tokens_of(text, head);
    let Some(k) = toks.iter().position(|t| t.span == name) else { return (Vec::new(), false, CType::unknown()) };
    if !toks.get(k + 1).is_some_and(|t| t.is(b'(')) {
        // A macro head: the name is the first argument, and types and names follow it in turn.
        let close = toks.iter().rposition(|t| t.is(b')')).unwrap_or(toks.len());
        let params = decl::macro_parameters(text, toks.get(k..close).unwrap_or(&[]));
        let system =
            toks.first().is_some_and(|t| t.word(text).ends_with(b"SYSCALL_DEFINE") || is_syscall(t.word(text)));
        let ret = if system {
            CType { base: Base::Int { signed: true, bits: 64 }, ptr: 0, dims: Vec::new(), function: false }
        } else {
            CType::unknown()
        };
        return (params, false, ret);
    }
    let close = matching(&toks, k + 1);
    let (mut params, variadic) = decl::parameters(text, toks.get(k + 2..close).unwrap_or(&[]));
    if let Some(rest) = toks.get(close + 1..).filter(|r| r.iter().any(|t| t.is(b';'))) {
        old_style(text, rest, &mut params);
    }
    (params, variadic, return_type(text, &toks[..k]))
}

fn is_syscall(w: &[u8]) -> bool {
    w.starts_with(b"SYSCALL_DEFINE") || w.starts_with(b"COMPAT_SYSCALL_DEFINE")
}

/// Types that stand behind the parameter list: `int f(a) int a; {`.
fn old_style(text: &[u8], rest: &[Token], params: &mut [Param]) {
    for d in decl::split_top(rest, b';') {
        let parts = decl::split_top(d, b',');
        let Some(first) = parts.first() else { continue };
        let base = decl::base(text, first);
        for (i, p) in parts.iter().enumerate() {
            let got = if i == 0 { decl::declared(text, p) } else { decl::declarator(text, p, &base) };
            let Some((name, _)) = got.name else { continue };
            if let Some(param) = params.iter_mut().find(|q| q.name == name || named(&q.ty) == Some(&name)) {
                param.name = name;
                param.ty = got.ty;
            }
        }
    }
}

fn named(t: &CType) -> Option<&Name> {
    match &t.base {
        Base::Named(n) => Some(n),
        _ => None,
    }
}

fn return_type(text: &[u8], before: &[Token]) -> CType {
    let open = before.iter().position(|t| t.is(b'(')).filter(|_| before.last().is_some_and(|t| t.is(b'*')));
    if let Some(open) = open {
        // `void (*get(int a))(int)`: a pointer to a function.
        let mut t = decl::declared(text, &before[..open]).ty;
        t.function = true;
        return t;
    }
    let d = decl::declared(text, before);
    match d.name {
        // `MACRO foo_t f(`: the second word is the type.
        Some((_, at)) => decl::type_at(text, at),
        None if d.ty == CType::unknown() => CType::int(),
        None => d.ty,
    }
}

/// Index of the `)` that closes the `(` at `open`, or the end.
fn matching(toks: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (k, t) in toks.iter().enumerate().skip(open) {
        match t.kind {
            TokKind::Punct(b'(') => depth += 1,
            TokKind::Punct(b')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return k;
                }
            }
            _ => {}
        }
    }
    toks.len()
}

/// Lowers nodes of one body.
struct Lower<'a> {
    /// The file.
    text: &'a [u8],
    /// The masked body.
    masked: &'a [u8],
    /// What the grammar has seen of it.
    squeezed: &'a Squeezed,
    /// Offsets in the body of `while`s that were iterator macros.
    iterators: &'a [u32],
    /// Where the body starts in the file.
    base: u32,
    depth: usize,
    /// Names declared so far: they tell a cast from a parenthesised variable.
    names: FxHashSet<Name>,
    /// Words that were met: each is stored once, and a body has most of its words many times.
    spelled: FxHashMap<&'a [u8], Name>,
    damage: Vec<Span>,
}

impl<'a> Lower<'a> {
    /// Span of the node in the file.
    fn span(&self, n: Node) -> Span {
        shifted(self.place(n), self.base)
    }
    /// Span of the node in the masked body.
    fn place(&self, n: Node) -> Span {
        let at = self.squeezed.place(n.byte_range());
        Span::new(at.start, at.end)
    }
    /// The masked bytes of the node.
    fn seen(&self, n: Node) -> &[u8] {
        self.place(n).of(self.masked)
    }
    /// The original bytes of the node.
    fn original(&self, n: Node) -> &'a [u8] {
        self.span(n).of(self.text)
    }
    fn name(&mut self, n: Node) -> Name {
        let word = self.original(n);
        self.spelled.entry(word).or_insert_with(|| String::from_utf8_lossy(word).into()).clone()
    }
    /// Goes one level down, or records damage and refuses.
    fn enter(&mut self, n: Node) -> bool {
        if self.depth >= MAX_DEPTH {
            let s = self.span(n);
            self.damage.push(s);
            return false;
        }
        self.depth += 1;
        true
    }

    /// Everything in the body that `queries/damage.scm` names. Without the query there is no telling: all of it.
    fn collect_damage(&mut self, root: Node) {
        let Some(query) = damage_query() else {
            self.damage.push(self.span(root));
            return;
        };
        let mut cursor = QueryCursor::new();
        let mut found = cursor.matches(query, root, &*self.squeezed.bytes);
        while let Some(m) = found.next() {
            for c in m.captures() {
                let span = self.span(c.node);
                self.damage.push(span);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("c" | "h") => out.push(path),
                _ if path.is_dir() => sources(&path, out),
                _ => {}
            }
        }
    }

    #[test]
    fn what_is_left_out_before_parsing_changes_nothing() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), &mut files);
        let (mut squeezing, mut whole) = (Parser::new(), Parser { squeezes: false, ..Parser::new() });
        let mut functions = 0;
        for file in files {
            let text = fs::read(&file).unwrap();
            for item in split::split(&text).iter().filter(|i| i.kind == ItemKind::Function) {
                let (a, b) = (squeezing.function(&text, item), whole.function(&text, item));
                assert_eq!(format!("{a:?}"), format!("{b:?}"), "{} {}", file.display(), item.name);
                functions += 1;
            }
        }
        assert!(functions > 1000, "{functions}");
    }
}
