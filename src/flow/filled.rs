//! Objects with pages and a flag that tells which: who fills them, and what may part the two.

use super::cfg::{Cfg, Elem};
use super::counted::{addressed, harmless, message};
use super::engine::Engine;
use super::guard::{Store, Test, span_of};
use super::objects::{declared, is_null, is_of, runs_over, uses};
use super::release::{enclosing, plain};
use crate::ast::{BinOp, Designator, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::flow::facts::Types;
use crate::index::{FnRef, Reach};
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{FileId, Name, Span};
use crate::split::ItemKind;
use crate::trace::PinSite;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The struct of the object whose flag is tested, and the member with the pages that the release drops, if it drops
/// those of the same object as nothing has changed since the test.
pub(super) fn beside(e: &Engine, at: (FnRef, &Function, Span), test: &Test) -> Option<(Name, Name)> {
    let (release, func, call) = at;
    let text = e.index.text(release.file);
    let object = test.object.as_ref()?;
    let (callee, args) = crate::sites::find(func, call)?.call()?;
    let released = args.get(Api::get().release(callee)?.arg)?;
    let ExprKind::Field { base, name: page, .. } = &entry(released).kind else { return None };
    if plain(base, &text) != plain(object, &text) || !func.whole() {
        return None;
    }
    let named = names(object)?;
    let once = |n: &Name| declared(func, n) + func.params.iter().filter(|p| p.name == *n).count() == 1;
    if !named.iter().all(|n| once(n)) || named.iter().any(|n| addressed(func, n)) {
        return None;
    }
    let in_loop = |kind: &StmtKind| {
        matches!(
            kind,
            StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::DoWhile { .. } | StmtKind::Iterate { .. }
        )
    };
    // A loop behind the test runs all of its body before the release.
    let loops = enclosing(&func.body, call).into_iter().filter(|s| in_loop(&s.kind) && s.span.start >= test.since);
    let end = loops.map(|s| s.span.end).max().unwrap_or(call.end);
    let within = |s: Span| s.start >= test.since && s.end <= end;
    let mut quiet = true;
    func.body.walk(&mut |s| {
        quiet &= !within(s.span)
            || match &s.kind {
                StmtKind::Label(_) | StmtKind::Asm | StmtKind::Opaque | StmtKind::Iterate { .. } => false,
                StmtKind::Decl(vars) => !vars.iter().any(|v| named.contains(&v.name)),
                _ => true,
            };
    });
    func.body.walk_exprs(&mut |x| {
        quiet &= !within(x.span)
            || match &x.kind {
                ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } => {
                    to.ident().is_some_and(|n| !named.contains(n))
                }
                _ => harmless(x),
            };
    });
    let types = Types::new(release.file, func, e.index);
    let ty = types.of(object);
    let tag = types.tag(&ty).filter(|_| quiet && ty.depth() <= 1)?;
    Some((tag, page.clone()))
}

/// Of an entry of an array, or the address of one, the array.
fn entry(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Index(a, _) | ExprKind::Unary(UnOp::Deref | UnOp::AddrOf, a) | ExprKind::Cast(_, a) => entry(a),
        ExprKind::Binary(BinOp::Add, a, _) => entry(a),
        _ => e,
    }
}

/// The variables of an object, which is made of variables, members and numbers only.
pub(super) fn names(object: &Expr) -> Option<BTreeSet<&Name>> {
    let mut out = BTreeSet::new();
    let mut plain = true;
    object.walk(&mut |x| match &x.kind {
        ExprKind::Ident(n) => {
            out.insert(n);
        }
        ExprKind::Field { .. } | ExprKind::Index(..) | ExprKind::Int { .. } => {}
        _ => plain = false,
    });
    plain.then_some(out)
}

/// The functions that touch the flag of a struct, if all that is done to it stands in them: it shares no memory, no
/// call or macro gets it, and no object comes to be with it set.
pub(super) fn flag_users(e: &Engine, from: FileId, tag: &Name, flag: &Name) -> Option<Vec<(FnRef, Arc<Function>)>> {
    let def = e.index.struct_def(from, tag)?;
    if def.fields.iter().filter(|f| f.name == *flag && !f.in_union).count() != 1 {
        return None;
    }
    let files = files(e, from, tag)?;
    let users = uses::touching(e, &files, tag, flag)?;
    for (_, func) in &users {
        let mut given = false;
        func.body.walk_exprs(&mut |x| {
            let ExprKind::Call { args, .. } = &x.kind else { return };
            given |= !message(args) && args.iter().any(|a| is_member(uncast(a), flag));
        });
        if given {
            return None;
        }
    }
    let word = crate::index::outer_tag(tag);
    for f in files.iter().flat_map(|f| e.index.naming(*f, word)) {
        let func = e.index.parsed(f)?;
        let types = Types::new(f.file, &func, e.index);
        let of = |ty: &crate::ast::CType| ty.ptr == 0 && types.tag(ty).is_some_and(|t| t == *tag);
        let mut set = false;
        func.body.walk(&mut |s| {
            let StmtKind::Decl(vars) = &s.kind else { return };
            set |= vars.iter().any(|v| of(&v.ty) && v.init.as_ref().is_some_and(|i| lists(i, flag)));
        });
        func.body.walk_exprs(&mut |x| {
            set |= matches!(&x.kind, ExprKind::CompoundLiteral(ty, i) if of(ty) && lists(i, flag));
        });
        if set {
            return None;
        }
    }
    Some(users)
}

/// Whether a list of values may be one of the flag.
fn lists(init: &Expr, flag: &Name) -> bool {
    let ExprKind::InitList(items) = &init.kind else { return false };
    items.iter().any(|(of, value)| match of {
        Some(Designator::Field(n)) => n == flag,
        _ => !is_null(value),
    })
}

/// The files that see a struct; `None` if that may be any.
fn files(e: &Engine, from: FileId, tag: &str) -> Option<Vec<FileId>> {
    let home = e.index.struct_item(from, tag)?.0;
    match e.index.struct_reach(home) {
        Reach::File => Some(e.index.unit(home)),
        Reach::Folder => Some(e.index.folder_files(home)),
        Reach::Tree => None,
    }
}

fn is_member(e: &Expr, field: &Name) -> bool {
    matches!(&e.kind, ExprKind::Field { name, .. } if name == field)
}

fn uncast(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(_, a) => uncast(a),
        _ => e,
    }
}

/// All that is assigned to the pages of such objects is new to them, but for what the fillers do: no page, and no array
/// of pages, gets from one object to another.
pub(super) fn stay(e: &Engine, from: FileId, tag: &Name, page: &Name, all: &[(Filler, Vec<Store>)]) -> bool {
    let here = || {
        let def = e.index.struct_def(from, tag)?;
        let alone = def.fields.iter().filter(|f| f.name == *page && !f.in_union).count() == 1;
        uses::touching(e, &files(e, from, tag)?, tag, page).filter(|_| alone)
    };
    let Some(users) = here() else { return false };
    users.into_iter().all(|(at, func)| {
        let types = Types::new(at.file, &func, e.index);
        let of_page = |x: &Expr| match &x.kind {
            ExprKind::Field { base, name, .. } => name == page && is_of(&types, base, tag) != Some(false),
            _ => false,
        };
        let filler = all.iter().any(|(f, _)| f.at == at);
        let mut stays = true;
        func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(op, to, value) if of_page(entry(to)) => {
                let value = uncast(value);
                let array = || types.of(value).page_depth().is_some_and(|d| d > 1);
                let new = is_null(value) || value.call().is_some_and(|(n, _)| !Api::get().is_copying(n));
                stays &= op.is_none()
                    && (new
                        || filler && value.ident().is_some_and(|n| local(&func, n)) && {
                            let mut own = true;
                            values(&func, value.ident()).iter().for_each(|v| {
                                v.walk(&mut |x| own &= !of_page(x));
                            });
                            own && (array() || is_param(&func, value.ident()).is_none())
                        });
            }
            ExprKind::IncDec { operand, .. } => stays &= !of_page(operand),
            ExprKind::Call { args, .. } => {
                let copies = x.call().is_none_or(|(n, _)| Api::get().is_copying(n));
                stays &= !copies || !args.iter().any(|a| of_page(entry(a)));
            }
            ExprKind::InitList(items) => {
                stays &= !items.iter().any(|(of, _)| matches!(of, Some(Designator::Field(n)) if n == page));
            }
            _ => {}
        });
        stays
    })
}

fn is_param(func: &Function, name: Option<&Name>) -> Option<()> {
    func.params.iter().any(|p| Some(&p.name) == name).then_some(())
}

fn local(func: &Function, name: &Name) -> bool {
    declared(func, name) == 1 && is_param(func, Some(name)).is_none() && !addressed(func, name)
}

/// All that a variable is set to.
fn values<'f>(func: &'f Function, name: Option<&Name>) -> Vec<&'f Expr> {
    let mut out = Vec::new();
    func.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            out.extend(vars.iter().filter(|v| Some(&v.name) == name).filter_map(|v| v.init.as_ref()));
        }
    });
    func.body.walk_exprs(&mut |x| match &x.kind {
        ExprKind::Assign(_, to, value) if to.ident().is_some() && to.ident() == name => out.push(value),
        _ => {}
    });
    out
}

/// A function that stores the flag of one object.
pub(super) struct Filler {
    pub at: FnRef,
    pub func: Arc<Function>,
    text: Arc<[u8]>,
    /// The object, as written: always the same.
    object: String,
    /// Its member with the pages.
    page: Name,
}

impl Filler {
    /// `None` if the object may change in the function.
    pub(super) fn new(e: &Engine, at: FnRef, func: Arc<Function>, object: String, page: Name) -> Option<Self> {
        let mut found: Option<Expr> = None;
        let text = e.index.text(at.file);
        func.body.walk_exprs(&mut |x| {
            if let ExprKind::Field { base, .. } = &x.kind
                && plain(base, &text) == object
            {
                found = Some((**base).clone());
            }
        });
        let fixed = |n: &Name| {
            let set = values(&func, Some(n)).len();
            let given = is_param(&func, Some(n)).is_some();
            let mut moved = addressed(&func, n) || runs_over(&func, n);
            func.body.walk_exprs(&mut |x| {
                moved |= matches!(&x.kind, ExprKind::IncDec { operand, .. } if operand.ident() == Some(n));
            });
            !moved && if given { set == 0 && declared(&func, n) == 0 } else { set == 1 && declared(&func, n) == 1 }
        };
        let object_is_fixed = names(&found?)?.into_iter().all(fixed);
        (object_is_fixed && func.whole()).then_some(Self { at, text, object, page, func })
    }

    /// The pages of the object: `obj->pages`.
    fn is_page(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Field { base, name, .. } => *name == self.page && plain(base, &self.text) == self.object,
            _ => false,
        }
    }

    /// The place is the pages of the object, or a local variable with its array.
    fn is_place(&self, e: &Expr) -> bool {
        let e = entry(e);
        if self.is_page(e) {
            return true;
        }
        let Some(name) = e.ident().filter(|n| local(&self.func, n)) else { return false };
        let set = values(&self.func, Some(name));
        let from = matches!(set[..], [one] if self.is_page(entry(one)));
        let mut into = 0;
        let mut other = 0;
        self.func.body.walk_exprs(&mut |x| {
            if let ExprKind::Assign(_, to, value) = &x.kind
                && uncast(value).ident() == Some(name)
            {
                *if self.is_page(to) { &mut into } else { &mut other } += 1;
            }
        });
        from || set.len() == 1 && into == 1 && other == 0
    }

    /// Whether the page of another origin is stored in this object, and nowhere else.
    pub(super) fn gets(&self, origin: Span) -> bool {
        let mut direct: Option<bool> = None;
        let mut through: Option<Name> = None;
        let is = |value: &Expr| uncast(value).span == origin || value.span == origin;
        self.func.body.walk(&mut |s| {
            if let StmtKind::Decl(vars) = &s.kind {
                through =
                    vars.iter().find(|v| v.init.as_ref().is_some_and(is)).map(|v| v.name.clone()).or(through.take());
            }
        });
        let mut other = 0;
        self.func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(None, to, value) if is(value) => match to.ident() {
                Some(n) if !self.is_place(to) => through = Some(n.clone()),
                _ => direct = Some(self.is_place(to)),
            },
            // As an argument, or within another expression.
            ExprKind::Call { args, .. } => other += usize::from(args.iter().any(is)),
            _ => {}
        });
        if let Some(known) = direct {
            return known && other == 0;
        }
        let Some(name) = through.filter(|n| local(&self.func, n)) else { return false };
        let (mut stored, mut known) = (0, other == 0);
        self.func.body.walk_exprs(&mut |x| match &x.kind {
            ExprKind::Assign(_, to, value) if uncast(value).ident() == Some(&name) => {
                stored += 1;
                known &= self.is_place(to) && entry(to).span != to.span || self.is_page(to);
            }
            ExprKind::Call { args, .. } => known &= !args.iter().any(|a| uncast(a).ident() == Some(&name)),
            _ => {}
        });
        known && stored > 0
    }

    /// Whether each way through the origin ends with the flag closed.
    pub(super) fn closed_behind(&self, origin: Span, stores: &[Store]) -> bool {
        let cfg = Cfg::new(&self.func);
        // Per node, the states that are possible on entry: the origin lies behind, the flag is closed.
        let mut before: Vec<BTreeSet<(bool, bool)>> = vec![BTreeSet::new(); cfg.nodes.len()];
        let mut work = vec![(0u32, (false, false))];
        while let Some((n, state)) = work.pop() {
            if !before[n as usize].insert(state) {
                continue;
            }
            let (mut behind, mut closed) = state;
            let node = &cfg.nodes[n as usize];
            behind |= span_of(&node.elem).is_some_and(|s| s.contains(origin));
            for s in stores.iter().filter(|s| span_of(&node.elem).is_some_and(|n| n.contains(s.at))) {
                closed = !s.opens && is_statement(&node.elem, s.at);
            }
            work.extend(node.succ.iter().map(|next| (*next, (behind, closed))));
        }
        let mut ends = before[cfg.exit as usize].iter().filter(|s| s.0).peekable();
        ends.peek().is_some() && ends.all(|s| s.1)
    }

    /// Whether the flag is opened only behind a pin into the object that has not failed, or into one that this function
    /// has made, and that holds no page by then.
    pub(super) fn opened_by_pins(&self, e: &Engine, stores: &[Store], pins: &[&PinSite], origins: &[Span]) -> bool {
        let opening: Vec<Span> = stores.iter().filter(|s| s.opens).map(|s| s.at).collect();
        if opening.is_empty() {
            return true;
        }
        let array = |p: &&&PinSite| {
            let at = p.pages.as_ref().and_then(|(_, at)| crate::sites::find(&self.func, *at));
            at.is_some_and(|a| self.is_place(a))
        };
        let into: Vec<&PinSite> = pins.iter().filter(array).copied().collect();
        let cfg = Cfg::new(&self.func);
        let new = self.is_new(e);
        // What lies behind: nothing, an origin of other pages, a pin, a pin that has not failed.
        let mut seen: BTreeSet<(u32, u8)> = BTreeSet::new();
        let mut work = vec![(0u32, NOTHING)];
        while let Some((n, state)) = work.pop() {
            if !seen.insert((n, state)) {
                continue;
            }
            let node = &cfg.nodes[n as usize];
            let span = span_of(&node.elem);
            let holds = |at: Span| span.is_some_and(|s| s.contains(at));
            if opening.iter().any(|at| holds(*at)) && state != DONE && !(new && state == PINNED) {
                return false;
            }
            let mut state = if origins.iter().any(|o| holds(*o)) { OTHER } else { state };
            let pin = into.iter().find(|p| surely(&node.elem, p.call));
            if pin.is_some() && state != OTHER {
                state = PINNED;
            } else if state == PINNED && into.iter().any(|p| self.sets(&node.elem, p.result.as_deref())) {
                state = NOTHING;
            }
            let tested = match node.elem {
                Elem::Cond(c) if node.succ.len() == 2 && state == PINNED => {
                    into.iter().find_map(|p| self.fails_if(c, p))
                }
                _ => None,
            };
            for (i, next) in node.succ.iter().enumerate() {
                work.push((
                    *next,
                    match tested {
                        Some(fails) if (i == 0) == fails && !new => NOTHING,
                        Some(fails) if (i == 0) != fails => DONE,
                        _ => state,
                    },
                ));
            }
        }
        true
    }

    /// The node sets what has taken the result of a pin.
    fn sets(&self, elem: &Elem, result: Option<&str>) -> bool {
        let (Elem::Expr(x) | Elem::Cond(x)) = elem else { return false };
        let mut found = false;
        x.walk(&mut |x| {
            if let ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } = &x.kind {
                found |= Some(plain(to, &self.text).as_str()) == result;
            }
        });
        found
    }

    /// The truth of the condition with which the pin has failed, of which nothing is left then.
    fn fails_if(&self, cond: &Expr, pin: &PinSite) -> Option<bool> {
        let ExprKind::Binary(op, a, b) = &cond.kind else { return None };
        let is = |x: &Expr| x.span == pin.call || Some(plain(x, &self.text)) == pin.result;
        let zero = |x: &Expr| matches!(x.kind, ExprKind::Int { value: 0, .. });
        let (op, result, other) = match (is(a), is(b), op) {
            (true, false, op) => (*op, &**a, &**b),
            (false, true, BinOp::Ne | BinOp::Eq) => (*op, &**b, &**a),
            _ => return None,
        };
        // Some pages, not all: how many there are must be kept.
        let kept = || {
            let one = pin.count.as_ref().is_none_or(|c| &*c.0 == "1");
            let mut kept = one || !is_local(result);
            self.func.body.walk_exprs(&mut |x| {
                if let ExprKind::Assign(None, to, value) = &x.kind
                    && let ExprKind::Field { base, .. } = &to.kind
                {
                    kept |=
                        plain(base, &self.text) == self.object && plain(value, &self.text) == plain(result, &self.text);
                }
            });
            kept
        };
        match op {
            BinOp::Ne if !zero(other) => Some(true),
            BinOp::Lt if !zero(other) => Some(true),
            BinOp::Eq if !zero(other) => Some(false),
            BinOp::Ge if !zero(other) => Some(false),
            BinOp::Le if zero(other) && kept() => Some(true),
            BinOp::Gt if zero(other) && kept() => Some(false),
            _ => None,
        }
    }

    /// The object is made in the function: memory of zeros.
    fn is_new(&self, e: &Engine) -> bool {
        let name = self.func.body.clone();
        let mut object: Option<Name> = None;
        name.walk_exprs(&mut |x| {
            object = x.ident().filter(|n| ***n == *self.object).cloned().or(object.take());
        });
        object.is_some_and(|o| zeroed(e, self.at.file, &self.func, &o, 0))
    }
}

const NOTHING: u8 = 0;
const OTHER: u8 = 1;
const PINNED: u8 = 2;
const DONE: u8 = 3;

fn is_local(e: &Expr) -> bool {
    e.ident().is_some() || e.call().is_some()
}

/// Whether a local variable is set once, to new memory of zeros: by a function whose name says so, or by one of the
/// file that returns such memory.
fn zeroed(e: &Engine, file: FileId, func: &Function, name: &Name, depth: u32) -> bool {
    let set: Vec<&Expr> = values(func, Some(name)).into_iter().filter(|v| !is_null(v)).collect();
    let [value] = set[..] else { return false };
    let Some((callee, _)) = uncast(value).call().filter(|_| local(func, name)) else { return false };
    if callee.contains("zalloc") || callee.contains("calloc") {
        return true;
    }
    let Some(items) = e.index.items(file).filter(|_| depth == 0) else { return false };
    if items.named(callee).any(|(_, i)| i.kind == ItemKind::Define) {
        return false;
    }
    let Some(item) = items.function(callee) else { return false };
    let Some(maker) = e.index.parsed(FnRef { file, item }).filter(|f| f.whole()) else { return false };
    let mut known = true;
    let mut made = 0;
    maker.body.walk(&mut |s| {
        if let StmtKind::Return(Some(x)) = &s.kind
            && !is_null(x)
        {
            made += 1;
            known &= x.ident().is_some_and(|n| zeroed(e, file, &maker, n, depth + 1));
        }
    });
    known && made == 1
}

/// The store is a statement of its own.
fn is_statement(elem: &Elem, store: Span) -> bool {
    match elem {
        Elem::Expr(x) => matches!(&x.kind, ExprKind::Assign(None, to, _) if to.span == store),
        _ => false,
    }
}

/// Whether the pin is made whenever this is evaluated: `n = pin()`, or a comparison of it.
fn surely(elem: &Elem, pin: Span) -> bool {
    let value = match elem {
        Elem::Expr(x) | Elem::Cond(x) => *x,
        Elem::Decl(v) => match &v.init {
            Some(x) => x,
            None => return false,
        },
        _ => return false,
    };
    fn holds(x: &Expr, pin: Span) -> bool {
        x.span == pin
            || match &x.kind {
                ExprKind::Assign(None, _, from) => holds(from, pin),
                ExprKind::Cast(_, a) => holds(a, pin),
                ExprKind::Binary(op, a, b) if !matches!(op, BinOp::And | BinOp::Or) => holds(a, pin) || holds(b, pin),
                _ => false,
            }
    }
    holds(value, pin)
}
