//! Types by name: what the fact extraction asks.

use super::{FnRef, Index, lock};
use crate::ast::{Base, CType, Expr, Function, StructDef};
use crate::kernel::{Acquire, Api, Roles};
use crate::lex::{self, TokKind};
use crate::parse::Parser;
use crate::source::{FileId, Name};
use crate::split::{Item, ItemKind};
use std::sync::Arc;

/// What the extraction of facts from one function asks about the rest of the tree.
pub trait Scope: Sync {
    /// The definition of `struct tag` that the file sees.
    fn structure(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>>;
    /// The type behind a typedef name.
    fn typedef(&self, from: FileId, name: &str) -> Option<CType>;
    /// A file-scope variable: the file if it is `static`, and its type.
    fn global(&self, from: FileId, name: &str) -> Option<(Option<FileId>, CType)>;
    /// Return type of a function, or the type that a `container_of` macro yields.
    fn returns(&self, from: FileId, name: &str) -> Option<CType>;
    /// The file defines a static function of this name: a call does not reach the kernel's function.
    fn shadows(&self, file: FileId, name: &str) -> bool;
    /// The folder of the file, with a slash at the end.
    fn folder(&self, file: FileId) -> &str;
    /// The file makes numbers of pages, and pages of numbers.
    fn makes_pages_of_numbers(&self, file: FileId) -> bool;
    /// The functions of the file that call one of these, all or those of that name.
    fn beside(&self, file: FileId, name: Option<&str>, calls: &dyn Fn(&str) -> bool) -> Vec<Arc<Function>>;
    /// Positional roles of an acquiring call (prototype of the tree first).
    fn roles(&self, acquire: &Acquire, api: &str, args: &[&Expr]) -> Roles;
}

impl Index {
    /// The struct or union definition that `from` sees.
    pub fn struct_def(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>> {
        let (file, item) = self.struct_item(from, tag)?;
        let key = (file, Name::from(tag));
        if let Some(s) = lock(&self.structs).get(&key) {
            return s.clone();
        }
        let items = self.items(file)?;
        let item = items.items.get(item as usize)?;
        let mut parser = Parser::new();
        let def = match outer_tag(tag) {
            t if t == tag => parser.structure(&items.text, item),
            _ => parser.nameless_structure(&items.text, item, tag),
        };
        let def = def.map(Arc::new);
        lock(&self.structs).entry(key).or_insert(def).clone()
    }

    /// Where that definition lies.
    pub fn struct_item(&self, from: FileId, tag: &str) -> Option<(FileId, u32)> {
        self.visible_item(from, outer_tag(tag), &[ItemKind::Struct, ItemKind::Union])
    }
}

/// The tag that stands in the source: of a struct without a tag (`OUTER.FIELD@START-END`), the struct around it;
/// without the folder of `TAG@/FOLDER/`.
pub fn outer_tag(tag: &str) -> &str {
    tag.split(['.', '@']).next().unwrap_or(tag)
}

impl Scope for Index {
    fn folder(&self, file: FileId) -> &str {
        Index::folder(self, file)
    }

    fn structure(&self, from: FileId, tag: &str) -> Option<Arc<StructDef>> {
        self.struct_def(from, tag)
    }

    fn typedef(&self, from: FileId, name: &str) -> Option<CType> {
        let (file, i) = self.visible_item(from, name, &[ItemKind::Typedef])?;
        let items = self.items(file)?;
        let item = items.items.get(i as usize)?;
        declared_type(item.span.of(&items.text), name)
    }

    fn global(&self, from: FileId, name: &str) -> Option<(Option<FileId>, CType)> {
        let items = self.items(from)?;
        let (file, item) = match items.named(name).find(|(_, it)| it.kind == ItemKind::Variable) {
            Some((_, it)) => (from, it.clone()),
            None => {
                let (f, i) = self.visible_item(from, name, &[ItemKind::Variable])?;
                (f, self.items(f)?.items.get(i as usize)?.clone())
            }
        };
        let text = self.items(file)?;
        let ty = declared_type(item.span.of(&text.text), name).unwrap_or_else(CType::unknown);
        Some((item.is_static.then_some(file), ty))
    }

    fn returns(&self, from: FileId, name: &str) -> Option<CType> {
        if let Some(i) = self.items(from)?.function(name) {
            return Some(self.head_type(FnRef { file: from, item: i })).flatten();
        }
        let kinds = [ItemKind::Function, ItemKind::Prototype, ItemKind::Define];
        let (file, i) = self.visible_item(from, name, &kinds)?;
        let items = self.items(file)?;
        let item: &Item = items.items.get(i as usize)?;
        if item.kind == ItemKind::Define {
            // `#define to_foo(p) container_of(p, struct foo, member)`
            let text = item.span.of(&items.text);
            if memchr::memmem::find(text, b"container_of").is_none()
                && memchr::memmem::find(text, b"list_entry").is_none()
            {
                return None;
            }
            return struct_named(text).map(|t| CType::structure(&t, 1));
        }
        self.head_type(FnRef { file, item: i })
    }

    fn beside(&self, file: FileId, name: Option<&str>, calls: &dyn Fn(&str) -> bool) -> Vec<Arc<Function>> {
        let Some(items) = self.items(file) else { return Vec::new() };
        let all = match name {
            Some(name) => items.function(name).into_iter().collect(),
            None => (0..items.items.len() as u32).collect::<Vec<_>>(),
        };
        let calling = all.into_iter().filter(|i| {
            items.items.get(*i as usize).is_some_and(|f| f.kind == ItemKind::Function) && items.calls_any(*i, calls)
        });
        calling.filter_map(|item| self.parsed(FnRef { file, item })).filter(|f| f.whole()).collect()
    }

    fn shadows(&self, file: FileId, name: &str) -> bool {
        if self.tree.path(file).ends_with(".h") {
            return false;
        }
        let Some(items) = self.items(file) else { return false };
        items.named(name).any(|(_, it)| it.kind == ItemKind::Function && it.is_static)
    }

    fn makes_pages_of_numbers(&self, file: FileId) -> bool {
        let Some(items) = self.items(file) else { return false };
        *items.numbers.get_or_init(|| {
            let api = Api::get();
            let calls = |f: &dyn Fn(&str) -> bool| (0..items.items.len() as u32).any(|i| items.calls_any(i, f));
            // Or hands the reference on by the number (`memory_failure(pfn, MF_COUNT_INCREASED)`).
            let taken = |c: &str| api.is_page_of_address(c) || api.handover(c) == Some(None);
            self.tree.may_name(file, api.pages_of_addresses())
                && self.tree.may_name(file, api.addresses())
                && calls(&taken)
                && calls(&|c| api.is_address(c))
        })
    }

    fn roles(&self, acquire: &Acquire, api: &str, args: &[&Expr]) -> Roles {
        acquire.roles_of(args, self.prototype(api).as_deref())
    }
}

impl Index {
    /// Return type read off the head of a function or prototype.
    fn head_type(&self, f: FnRef) -> Option<CType> {
        let items = self.items(f.file)?;
        let item = items.items.get(f.item as usize)?;
        let head = crate::source::Span { start: item.span.start, end: item.name_span.end };
        declared_type(head.of(&items.text), &item.name)
    }
}

/// The tag after the first `struct` of a macro body.
fn struct_named(text: &[u8]) -> Option<Name> {
    let mut after = false;
    for t in lex::code(text) {
        if t.kind == TokKind::Ident {
            let w = t.span.of(text);
            if after {
                return std::str::from_utf8(w).ok().map(Name::from);
            }
            after = w == b"struct";
        }
    }
    None
}

/// The type that a declaration gives to `name`: base, stars before it and dimensions behind it.
fn declared_type(text: &[u8], name: &str) -> Option<CType> {
    let mut base = Base::Unknown;
    let mut ptr = 0u8;
    let mut expect_tag: Option<bool> = None;
    let mut depth = 0i32;
    let mut tokens = lex::code(text).peekable();
    while let Some(t) = tokens.next() {
        let w = t.span.of(text);
        match t.kind {
            TokKind::Ident => {
                if depth > 0 {
                    continue;
                }
                let Ok(w) = std::str::from_utf8(w) else { continue };
                if let Some(is_struct) = expect_tag.take() {
                    base = if is_struct { Base::Struct(w.into()) } else { Base::Union(w.into()) };
                    continue;
                }
                match w {
                    "struct" => expect_tag = Some(true),
                    "union" => expect_tag = Some(false),
                    _ if w == name => {
                        let mut dims = Vec::new();
                        while tokens.peek().is_some_and(|t| t.span.of(text) == b"[") {
                            let mut d = 0;
                            for t in tokens.by_ref() {
                                match t.span.of(text) {
                                    b"[" => d += 1,
                                    b"]" => {
                                        d -= 1;
                                        if d == 0 {
                                            break;
                                        }
                                    }
                                    _ => {}
                                }
                            }
                            dims.push(None);
                        }
                        return Some(CType { base, ptr, dims, function: false });
                    }
                    "void" => base = Base::Void,
                    "static" | "const" | "extern" | "inline" | "volatile" | "typedef" | "__always_inline"
                    | "noinline" | "__must_check" | "__init" | "__exit" => {}
                    "int" | "long" | "unsigned" | "short" | "char" | "bool" | "size_t" | "ssize_t" | "u32" | "u64" => {
                        if base == Base::Unknown {
                            base = Base::Int { signed: true, bits: 64 };
                        }
                    }
                    w => {
                        if base == Base::Unknown {
                            base = Base::Named(w.into());
                        }
                    }
                }
            }
            _ => match w {
                b"{" => {
                    if let Some(is_struct) = expect_tag.take() {
                        // Anonymous: known by its typedef name.
                        base = if is_struct { Base::Struct(name.into()) } else { Base::Union(name.into()) };
                    }
                    depth += 1;
                }
                b"}" => depth -= 1,
                b"*" if depth == 0 => ptr += 1,
                _ => {}
            },
        }
    }
    None
}
