//! Objects of one table of functions: `obj->ops = &a_ops` when the object is new, `obj->ops->release(obj)` at its end.
//!
//! A field is one place for all objects of a struct. Where each object has one table of functions for its life, a
//! function that is only called through a member of some tables gets objects of these tables only. Pages that a
//! function of one table puts into the field are then not those that a function of another table finds in it. Asked
//! only where pages of another kind come to a release otherwise.
//!
//! Holds where all of this is in sight, and nothing else:
//!
//! * The struct is seen by one file or folder, and by who includes its header; it is nowhere a part of another one, and
//!   nobody gets at an object but by its members ([`memory`]). No other place leads to what the field holds.
//! * All that is stored to the member is the address of a `const` table with a body, once for each object, which the
//!   same function has just allocated, filled with zeros; or a parameter that only gets such addresses. Nobody does
//!   more to the member than to call through it ([`made`]).
//! * A variable keeps its value: also macros and assembly do not set it ([`macros`]).
//! * A function gets objects of a table where its name stands in the table and every call through that member passes
//!   the object whose table it is; from a direct call it gets those of the caller. Whose callers are not known, or who
//!   gets an object otherwise, may have one of any table ([`Family::given`]).
//! * No statement touches the field of two objects: from one to the other, pages go by a place of their own, or this is
//!   not asked ([`uses`]).
//!
//! Objects that are parts of several structs are told apart as well, for all sites ([`Embedded`]).
//!
//! Which object is meant is not followed otherwise: a statement of a function whose objects are not known lets pages of
//! all tables pass.

pub(super) mod macros;
mod made;
mod memory;
pub(super) mod uses;

pub(super) use macros::sets as set_by_macro;

use super::FnId;
use super::closed::argument;
use super::embedded::{Chains, Embedded, Told};
use super::engine::Engine;
use super::facts::Types;
use super::graph::{Edge, Graph, Node, Reached};
use super::passed::calls;
use super::place::{Place, UNKNOWN_TAG};
use crate::ast::{Base, Expr, ExprKind, Function, StmtKind, StructDef, UnOp};
use crate::index::{FnRef, Reach, contains_word};
use crate::kernel::Api;
use crate::lex::{self, TokKind, Token};
use crate::source::{FileId, Name, Span};
use crate::split::{Item, ItemKind};
use crate::trace::SiteId;
use made::Maker;
pub(super) use made::{callers, is_null};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A table: its file and name.
type Table = (FileId, Name);

/// The tables that an object can have; `None` for any.
type Kinds = Option<BTreeSet<Table>>;

/// A statement of a function.
pub(super) type At = (FnId, Span);

/// Functions that hand an object on, one to the other, at most.
const MAX_GIVEN: usize = 60;

/// Fields whose objects are told apart.
#[derive(Default)]
pub(super) struct Objects {
    /// By the number of the place, fields of objects with one table each.
    pub families: BTreeMap<u32, Family>,
    /// Of statements, the tables of the objects whose field they touch.
    known: Mutex<FxHashMap<(u32, At), Kinds>>,
    /// By the number of the place, fields of objects that lie in several structs.
    pub embedded: BTreeMap<u32, Embedded>,
    /// Of statements, where the objects lie whose field they touch.
    lying: Mutex<FxHashMap<(u32, At), Arc<Chains>>>,
    /// Of their structs, whether they are copied.
    told: Told,
    /// Cases and runs of functions are told apart as well.
    pub runs: bool,
}

impl Objects {
    /// Fields of objects with tables that pages reach which are `mixed`.
    pub(super) fn families(
        e: &Engine,
        g: &Graph,
        reached: &[(At, Option<&Reached>)],
        mixed: impl Iterator<Item = SiteId>,
    ) -> BTreeMap<u32, Family> {
        let mixed: BTreeMap<u32, Node> =
            mixed.filter_map(|s| reached[s.0 as usize].1).flat_map(|r| fields(g, r)).collect();
        mixed.into_iter().filter_map(|(place, n)| Some((place, Family::of(e, g, n)?))).collect()
    }

    /// Fields of objects in several structs that pages reach.
    pub(super) fn embedded(e: &Engine, g: &Graph, reached: &[(At, Option<&Reached>)]) -> BTreeMap<u32, Embedded> {
        // By which statement the pages came there first.
        let mut came: BTreeMap<u32, (Node, BTreeSet<At>)> = BTreeMap::new();
        for (pin, r) in reached.iter().filter_map(|(pin, r)| Some((pin, (*r)?))) {
            for (place, n) in fields(g, r) {
                let at = r.from.get(&n).map_or(*pin, |(_, at)| *at);
                if at.1 != Span::default() {
                    came.entry(place).or_insert((n, BTreeSet::new())).1.insert(at);
                }
            }
        }
        let came: Vec<(u32, (Node, BTreeSet<At>))> = came.into_iter().collect();
        let embedded = |(place, (n, came)): &(u32, (Node, BTreeSet<At>))| Some((*place, Embedded::of(e, g, *n, came)?));
        came.par_iter().filter_map(embedded).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.families.is_empty() && self.embedded.is_empty()
    }

    /// Whether pages came by a field of these objects.
    pub(super) fn concern(&self, r: &Reached) -> bool {
        self.families.keys().chain(self.embedded.keys()).any(|p| r.has(2 * p) || r.has(2 * p + 1))
    }

    /// Whether no page that came to the node by the statement leaves it by this edge; or the other way round.
    pub(super) fn apart(&self, e: &Engine, n: Node, came: At, edge: &Edge) -> bool {
        edge.to / 2 != n / 2 && self.differ(e, n, came, edge.at)
    }

    /// Whether the two statements touch the field of objects that have other tables, or lie in other structs.
    fn differ(&self, e: &Engine, n: Node, a: At, b: At) -> bool {
        let by_table = self.families.get(&(n / 2)).is_some_and(|family| {
            let kinds = |at: At| self.kinds(e, n / 2, family, at);
            kinds(a).zip(kinds(b)).is_some_and(|(a, b)| a.is_disjoint(&b))
        });
        let by_struct = || {
            let embedded = self.embedded.get(&(n / 2)).filter(|_| a.1 != Span::default() && b.1 != Span::default());
            embedded
                .is_some_and(|of| of.differ(e, &self.lying(e, n / 2, of, a), &self.lying(e, n / 2, of, b), &self.told))
        };
        by_table || by_struct()
    }

    fn lying(&self, e: &Engine, place: u32, of: &Embedded, at: At) -> Arc<Chains> {
        if let Some(known) = self.lying.lock().unwrap_or_else(PoisonError::into_inner).get(&(place, at)) {
            return known.clone();
        }
        let found = Arc::new(of.touched(e, &at, false));
        self.lying.lock().unwrap_or_else(PoisonError::into_inner).insert((place, at), found.clone());
        found
    }

    /// Whether pages that the walk brought to the node can be among those that a statement finds there.
    pub(super) fn meet(&self, e: &Engine, r: &Reached, n: Node, at: At) -> bool {
        r.has(n) && r.came(n).is_none_or(|came| came.iter().any(|c| c.is_none_or(|c| !self.differ(e, n, c, at))))
    }

    fn kinds(&self, e: &Engine, place: u32, family: &Family, at: At) -> Kinds {
        if at.1 == Span::default() {
            return None;
        }
        let known = |m: &Mutex<FxHashMap<_, Kinds>>| {
            m.lock().unwrap_or_else(PoisonError::into_inner).get(&(place, at)).cloned()
        };
        known(&self.known).unwrap_or_else(|| {
            let found = family.touched(e, e.fns[at.0.0 as usize], at.1);
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert((place, at), found.clone());
            found
        })
    }
}

/// The fields among the places that pages reach, by number.
fn fields(g: &Graph, r: &Reached) -> Vec<(u32, Node)> {
    r.order.iter().filter(|n| matches!(g.place(**n), Place::Field(..))).map(|n| (n / 2, *n)).collect()
}

/// The objects of a struct with a table.
pub(super) struct Family {
    /// A file that sees the struct.
    file: FileId,
    tag: Name,
    /// The field with the pages.
    field: Name,
    /// The member that points to the table, and the struct of the table.
    ops: Name,
    table: Name,
    /// All files that see the struct.
    files: Vec<FileId>,
    /// Functions that make objects.
    makers: Vec<Maker>,
    /// Of members of the table and parameters, whether every call passes the object there.
    passing: Mutex<FxHashMap<(Name, usize), bool>>,
}

impl Family {
    fn of(e: &Engine, g: &Graph, n: Node) -> Option<Self> {
        let Place::Field(tag, field) = g.place(n) else { return None };
        if tag.starts_with(UNKNOWN_TAG) || tag.contains(['.', '@']) || Api::get().vessel(tag, field).is_some() {
            return None;
        }
        let file = e.edge_file(g, n)?;
        let def = e.index.struct_def(file, tag).filter(|d| !d.is_union)?;
        def.fields.iter().find(|f| f.name == *field && !f.in_union)?;
        let tables =
            def.fields.iter().filter(|f| f.ty.ptr == 1 && f.ty.dims.is_empty() && !f.ty.function && !f.in_union);
        let tables = tables.filter_map(|f| match &f.ty.base {
            Base::Struct(t) if *t != *tag => Some((f.name.clone(), t.clone())),
            _ => None,
        });
        let of_functions = |t: &Name| e.index.struct_def(file, t).is_some_and(|d| functions(&d));
        let constant = |(ops, table): &(Name, Name)| points_to_const(e, file, tag, table, ops);
        let candidates: Vec<(Name, Name)> = tables.filter(|(_, t)| of_functions(t)).filter(constant).collect();
        if candidates.is_empty() || lent(g, n) {
            return None;
        }
        let files = seeing(e, file, tag)?;
        candidates.into_iter().find_map(|(ops, table)| {
            let mut family = Self {
                file,
                tag: tag.clone(),
                field: field.clone(),
                ops,
                table,
                files: files.clone(),
                makers: Vec::new(),
                passing: Mutex::default(),
            };
            family.makers = made::makers(e, &family)?;
            uses::plain(e, &family).then_some(family)
        })
    }

    /// The tables of the objects whose field a part of a function touches.
    fn touched(&self, e: &Engine, f: FnRef, at: Span) -> Kinds {
        // Another struct of that tag.
        if !self.files.contains(&f.file) {
            return None;
        }
        let func = e.index.parsed(f).filter(|f| f.whole())?;
        let types = Types::new(f.file, &func, e.index);
        let mut objects: BTreeSet<&Name> = BTreeSet::new();
        let mut known = true;
        func.body.walk_exprs(&mut |x| {
            if at.contains(x.span)
                && let ExprKind::Field { base, name, arrow, .. } = &x.kind
                && *name == self.field
                && self.is_object(&types, base) != Some(false)
            {
                match base.ident().filter(|_| *arrow && self.is_object(&types, base) == Some(true)) {
                    Some(object) => {
                        objects.insert(object);
                    }
                    None => known = false,
                }
            }
        });
        if !known || objects.is_empty() {
            return None;
        }
        let mut kinds = BTreeSet::new();
        for object in objects {
            kinds.extend(self.of_variable(e, f, &func, object)?);
        }
        Some(kinds)
    }

    /// Whether the expression is an object of the struct, or a pointer to one; `None` if its type is not known.
    fn is_object(&self, types: &Types, x: &Expr) -> Option<bool> {
        is_of(types, x, &self.tag)
    }

    /// The tables of the objects that a variable points to.
    fn of_variable(&self, e: &Engine, f: FnRef, func: &Function, name: &Name) -> Kinds {
        match func.params.iter().position(|p| p.name == *name) {
            Some(k) => keeps(e, f.file, func, name).then(|| self.given(e, f, k)).flatten(),
            None => made::of_local(e, self, f, func, name),
        }
    }

    /// The tables of the objects that a function gets for parameter `k`.
    fn given(&self, e: &Engine, f: FnRef, k: usize) -> Kinds {
        let mut found = BTreeSet::new();
        let mut work = vec![(f, k)];
        let mut seen = BTreeSet::from([(f, k)]);
        while let Some((f, k)) = work.pop() {
            if e.index.reach(f) != Reach::File || seen.len() > MAX_GIVEN {
                return None;
            }
            let name = e.index.name(f);
            for file in e.index.unit(f.file) {
                let items = e.index.items(file)?;
                if self.pasted(e, file, &name) || named_in_header(e, file, &name) {
                    return None;
                }
                for item in items.items.iter().filter(|i| contains_word(i.span.of(&items.text), name.as_bytes())) {
                    match item.kind {
                        // Its callers are asked below.
                        ItemKind::Function => {}
                        // Another one may be its alias.
                        ItemKind::Prototype if item.name == name => {}
                        ItemKind::Variable => {
                            for member in self.members_of(item, &items.text, &name)? {
                                if !uses::passes(e, self, &member, k) {
                                    return None;
                                }
                            }
                            found.insert((file, item.name.clone()));
                        }
                        _ => return None,
                    }
                }
                for by in e.index.naming(file, &name) {
                    let caller = e.index.parsed(by).filter(|c| c.whole())?;
                    for call in calls(&caller, &name)? {
                        let arg = argument(&caller, call, k)?;
                        let object = arg.ident()?;
                        match caller.params.iter().position(|p| p.name == *object) {
                            Some(_) if !keeps(e, by.file, &caller, object) => return None,
                            Some(j) if seen.insert((by, j)) => work.push((by, j)),
                            Some(_) => {}
                            None => found.extend(made::of_local(e, self, by, &caller, object)?),
                        }
                    }
                }
            }
        }
        // Who calls a function that nobody calls is not known.
        (!found.is_empty()).then_some(found)
    }

    /// Whether a macro of the family's files that this one sees may make the name.
    fn pasted(&self, e: &Engine, file: FileId, name: &Name) -> bool {
        let pastes = |f: FileId| {
            let Some(items) = e.index.items(f) else { return true };
            let mut macros = items.items.iter().filter(|i| i.kind == ItemKind::Define);
            macros.any(|i| {
                let text = Span { start: i.name_span.end, end: i.span.end };
                macros::may_paste(text.of(&items.text), name.as_bytes())
            })
        };
        let own = self.files.iter().filter(|f| **f != file && !e.index.tree.path(**f).ends_with(".c"));
        pastes(file) || own.into_iter().any(|f| pastes(*f))
    }

    /// The members of a table in which the function stands; `None` if it is no table, or if it stands there otherwise.
    fn members_of(&self, item: &Item, text: &[u8], name: &Name) -> Option<BTreeSet<Name>> {
        let text = item.span.of(text);
        let toks: Vec<Token> = lex::code(text).collect();
        let body = self.body_of_table(item, text, &toks)?;
        let mut members = BTreeSet::new();
        for (i, t) in toks.iter().enumerate() {
            if t.kind == TokKind::Preproc && contains_word(t.span.of(text), name.as_bytes()) {
                return None;
            }
            if t.word(text) != name.as_bytes() {
                continue;
            }
            let inside = i >= body + 4 && depth(&toks[body..i]) == 1;
            let [dot, member, equals] = toks.get(i.checked_sub(3)?..i)? else { return None };
            let ends = toks.get(i + 1).is_some_and(|t| t.is(b',') || t.is(b'}'));
            if !inside || !dot.is(b'.') || !equals.is(b'=') || !ends {
                return None;
            }
            members.insert(String::from_utf8_lossy(member.word(text)).as_ref().into());
        }
        (!members.is_empty()).then_some(members)
    }

    /// Where the `{` of `static const struct TABLE name = {` stands.
    fn body_of_table(&self, item: &Item, text: &[u8], toks: &[Token]) -> Option<usize> {
        let equals = toks.iter().position(|t| t.is(b'='))?;
        let head = &toks[..equals];
        let word = |t: &Token| t.word(text);
        let plain = head.iter().all(|t| t.kind == TokKind::Ident);
        let constant = head.iter().any(|t| word(t) == b"const");
        let of_tag = head.windows(3).any(|w| {
            word(&w[0]) == b"struct" && word(&w[1]) == self.table.as_bytes() && word(&w[2]) == item.name.as_bytes()
        });
        let opened = toks.get(equals + 1).is_some_and(|t| t.is(b'{'));
        (plain && constant && of_tag && opened).then_some(equals + 1)
    }

    /// The table that a name means in a file.
    fn table(&self, e: &Engine, file: FileId, name: &Name) -> Option<Table> {
        let mut found = Vec::new();
        let own = |f: FileId| {
            let items = e.index.items(f)?;
            let all = items.named(name).filter(|(_, i)| i.kind == ItemKind::Variable);
            let all: Vec<(bool, bool)> = all
                .map(|(_, i)| {
                    let text = i.span.of(&items.text);
                    let toks: Vec<Token> = lex::code(text).collect();
                    (i.is_static, self.body_of_table(i, text, &toks).is_some())
                })
                .collect();
            Some(all)
        };
        let mine = own(file)?;
        if mine.iter().any(|(is_static, _)| *is_static) {
            return mine.iter().all(|(_, fine)| *fine).then(|| (file, name.clone()));
        }
        for (f, _) in e.index.tree.grep(&[&**name], Some(&self.files)) {
            // Declarations have no body.
            found.extend(own(f)?.into_iter().filter(|(is_static, fine)| *fine && !is_static).map(|_| f));
        }
        match found[..] {
            [f] => Some((f, name.clone())),
            _ => None,
        }
    }
}

/// Whether a macro of a header that the file sees names a function.
fn named_in_header(e: &Engine, file: FileId, name: &Name) -> bool {
    let headers = e.index.headers_of(file);
    e.index.tree.grep(&[&**name], Some(&headers)).into_iter().filter(|(h, _)| *h != file).any(|(h, _)| {
        let Some(items) = e.index.items(h) else { return true };
        let named = |i: &&Item| contains_word(i.span.of(&items.text), name.as_bytes());
        items.items.iter().filter(named).any(|i| i.kind == ItemKind::Define)
    })
}

/// Whether the struct has `const struct TABLE *ops`: a table that may be written to is no constant, and to find that
/// out from all who touch the member costs a search for a word like `vm`.
fn points_to_const(e: &Engine, file: FileId, tag: &Name, table: &Name, ops: &Name) -> bool {
    let Some((home, i)) = e.index.struct_item(file, tag) else { return false };
    let Some(items) = e.index.items(home) else { return false };
    let Some(item) = items.items.get(i as usize) else { return false };
    let text = item.span.of(&items.text);
    let toks: Vec<Token> = lex::code(text).collect();
    toks.windows(5).any(|w| {
        let word = |t: &Token| t.word(text);
        let head = word(&w[0]) == b"const" && word(&w[1]) == b"struct" && word(&w[2]) == table.as_bytes();
        head && w[3].is(b'*') && word(&w[4]) == ops.as_bytes()
    })
}

/// Whether another field, or a variable of a file, leads to what the field holds: from one such to another of them
/// pages pass in a statement that does not have the field.
fn lent(g: &Graph, n: Node) -> bool {
    let mut open = vec![n | 1];
    let mut seen = BTreeSet::from([n | 1]);
    while let Some(n) = open.pop() {
        // What is stored through one place goes to another one.
        for from in g.incoming(n).iter().map(|e| e.to).filter(|from| from % 2 == 1) {
            if seen.insert(from) {
                if matches!(g.place(from), Place::Field(..) | Place::Global(..)) {
                    return true;
                }
                open.push(from);
            }
        }
    }
    false
}

/// Members that are pointers to functions.
fn functions(def: &StructDef) -> bool {
    !def.is_union && def.fields.iter().any(|f| f.ty.function)
}

/// Files that can name the members of a struct; `None` when they are most of the tree.
fn seeing(e: &Engine, file: FileId, tag: &Name) -> Option<Vec<FileId>> {
    let (home, _) = e.index.struct_item(file, tag)?;
    let mut files = match e.index.struct_reach(home) {
        Reach::File => e.index.unit(home),
        Reach::Folder => e.index.folder_files(home),
        Reach::Tree => return None,
    };
    if e.index.struct_reach(home) != Reach::File || e.index.tree.include_texts() > 0 {
        files.extend(e.index.seen_by(home)?.iter());
    }
    files.sort_unstable();
    files.dedup();
    Some(files)
}

/// Whether the expression is a struct of this tag, or a pointer to one; `None` if its type is not known.
pub(super) fn is_of(types: &Types, x: &Expr, tag: &Name) -> Option<bool> {
    let ty = types.of(x);
    match types.tag(&ty) {
        Some(t) => Some(t == *tag),
        None => types.is_plain(&ty).then_some(false),
    }
}

/// Whether a parameter keeps its value.
pub(super) fn fixed(func: &Function, name: &Name) -> bool {
    let is = |x: &Expr| x.ident() == Some(name);
    let mut kept = !runs_over(func, name) && declared(func, name) == 0;
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(_, to, _) => kept &= !is(to),
        ExprKind::IncDec { operand, .. } => kept &= !is(operand),
        ExprKind::Unary(UnOp::AddrOf, a) => kept &= !is(a),
        _ => {}
    });
    kept
}

/// Whether a parameter keeps its value, also where macros of the driver are about.
fn keeps(e: &Engine, file: FileId, func: &Function, name: &Name) -> bool {
    fixed(func, name) && !macros::sets(e, file, func, name)
}

/// Whether a macro may set the variable: an iterator, or one that takes its arguments by name.
pub(super) fn runs_over(func: &Function, name: &Name) -> bool {
    let is = |x: &Expr| x.ident() == Some(name);
    let mut found = false;
    func.body.walk(&mut |s| found |= matches!(&s.kind, StmtKind::Iterate { args, .. } if args.iter().any(is)));
    func.body.walk_exprs(&mut |x| {
        found |= x.call().is_some_and(|(n, args)| Api::get().sets_variable(n) && args.iter().any(is));
    });
    found
}

/// How often a name is declared in a function, parameters left out.
pub(super) fn declared(func: &Function, name: &Name) -> usize {
    let mut times = 0;
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            times += vars.iter().filter(|v| v.name == *name).count();
        }
    });
    times
}

/// Braces that are open behind these tokens.
fn depth(toks: &[Token]) -> i32 {
    toks.iter().map(|t| i32::from(t.is(b'{')) - i32::from(t.is(b'}'))).sum()
}
