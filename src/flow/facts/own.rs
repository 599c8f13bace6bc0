//! References that the holder of a page has of its own: `obj->page = page; get_page(page);`.
//!
//! Whoever takes a reference and gives it to a holder, before or behind the store, keeps the one that was there; what
//! the holder drops is not that one. Nor is a reference that a function takes and drops again. Counted along all ways
//! through the function, of one page at a time. Where it cannot be told which reference went where, nothing is said:
//! a store that no reference was taken for, a callee that may keep the page, two stores and one reference.

use super::super::cfg::{Cfg, Elem};
use super::super::steps::same;
use super::extract::Extract;
use super::takers::{Helper, constant, helpers, root, uncovered};
use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp, VarDecl};
use crate::source::{Name, Span};
use rustc_hash::{FxHashMap, FxHashSet};

/// States looked at in one function, at most: three tested variables and a loop need some hundred.
const MAX_STATES: usize = 4000;
/// Variables whose tests are told apart.
const MAX_TESTED: usize = 3;

/// What a function does with references that it takes itself.
#[derive(Default)]
pub(super) struct Own {
    /// Stores and calls that give a page away together with a reference of its own, and what took that.
    pub kept: FxHashMap<Span, Name>,
    /// Calls that drop a reference which the function took itself.
    pub undone: FxHashSet<Span>,
    /// Calls that get the page together with a reference which the function took: what is dropped in them is that one.
    pub given: FxHashSet<Span>,
}

/// What happens to the page.
#[derive(Clone)]
enum Event {
    /// A reference is taken.
    Take(Name),
    /// It goes into something that keeps it.
    Keep(Span),
    /// A reference is dropped.
    Put(Span),
    /// It goes to another function, which may have the reference from there on.
    Given(Span),
    /// It goes where it may be kept, or not.
    Unknown,
    /// The variable has another page.
    Reset,
    /// A tested variable is nothing, is something, or is not known.
    Set(usize, Option<bool>),
}

/// What is known at a point.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct State {
    /// References that were taken and not given away; `None` if that is not known.
    mine: Option<u8>,
    /// A store that no reference was taken for yet.
    owed: Option<Span>,
    /// The call that may have got the last one of them.
    given: Option<Span>,
    /// Of the tested variables, whether they are something.
    tested: [Option<bool>; MAX_TESTED],
}

/// One page in one function.
struct Subject<'a, 'f> {
    x: &'a Extract<'f>,
    /// The variable or member.
    page: &'f Expr,
    /// A member that it was stored in, and that is set by nothing else.
    also: Option<&'f Expr>,
    tested: Vec<&'f Name>,
    helpers: &'a [Helper],
}

/// What is found on the ways through the function.
#[derive(Default)]
struct Found {
    kept: FxHashMap<Span, bool>,
    put: FxHashMap<Span, bool>,
    given: FxHashMap<Span, bool>,
    by: Option<Name>,
}

/// What the function does with references that it takes itself.
pub(super) fn find(x: &Extract) -> Own {
    let mut own = Own::default();
    if !x.func.whole() {
        return own;
    }
    let func = x.func;
    let helpers = helpers(x);
    let mut pages: Vec<&Expr> = Vec::new();
    let (mut pins, mut drops) = (false, false);
    func.body.walk_exprs(&mut |e| {
        let Some((name, args)) = e.call() else { return };
        pins |= x.api.acquire(name).is_some();
        drops |= x.api.release(name).is_some_and(|r| !r.wrapper);
        let taken = match args {
            [arg] if x.api.is_extra_reference(name) => Some(arg),
            _ => helpers.iter().find(|h| h.name == *name && h.takes.is_some()).and_then(|h| args.get(h.arg)),
        };
        let page = taken.map(|a| match &uncovered(x.api, a).kind {
            ExprKind::Assign(None, _, from) => uncovered(x.api, from),
            _ => uncovered(x.api, a),
        });
        if let Some(page) = page.filter(|p| root(p).is_some())
            && !pages.iter().any(|p| same(p, page))
        {
            pages.push(page);
        }
    });
    for page in pages {
        let stored = stored_from(func, page);
        let (page, also) = match stored {
            Some(from) => (from, Some(page)),
            None => (page, None),
        };
        let subject = Subject { x, page, also, tested: tested(func), helpers: &helpers };
        let Some(found) = subject.follow() else { continue };
        let Some(by) = found.by else { continue };
        // Of two holders, one may have the reference that was taken, and the other one the pin.
        if found.kept.values().all(|own| *own) && (!pins || drops) {
            own.kept.extend(found.kept.keys().map(|at| (*at, by.clone())));
        }
        // Who pinned the page himself drops one of two, and nobody can say which.
        if !pins {
            own.undone.extend(found.put.iter().filter(|(_, own)| **own).map(|(at, _)| *at));
            let alone = found.kept.is_empty();
            own.given.extend(found.given.iter().filter(|(_, own)| **own && alone).map(|(at, _)| *at));
        }
    }
    own
}

impl<'f> Subject<'_, 'f> {
    /// Along all ways; `None` if there are too many, or the address of the variable is given away.
    fn follow(&self) -> Option<Found> {
        let cfg = Cfg::new(self.x.func);
        let mut given = false;
        self.x.func.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Unary(UnOp::AddrOf, a) => given |= self.is(a),
            ExprKind::StmtExpr(_) => given |= self.named_in(e),
            _ => {}
        });
        if given {
            return None;
        }
        let mut found = Found::default();
        let mut seen: FxHashSet<(u32, State)> = FxHashSet::default();
        let mut work = vec![(0u32, State { mine: Some(0), ..State::default() })];
        while let Some((n, mut state)) = work.pop() {
            if !seen.insert((n, state.clone())) {
                continue;
            }
            if seen.len() > MAX_STATES {
                return None;
            }
            let node = &cfg.nodes[n as usize];
            let mut events = Vec::new();
            let mut branch = None;
            match node.elem {
                Elem::Nop => {}
                Elem::Cond(cond) => {
                    branch = self.test(cond);
                    if !matches!(branch, Some((Test::Taken(_), _))) {
                        self.events(cond, &mut events);
                    }
                }
                Elem::Expr(e) => self.events(e, &mut events),
                Elem::Decl(v) => self.declared(v, &mut events),
                Elem::Iterate(_, args) => {
                    args.iter().for_each(|a| self.events(a, &mut events));
                    if args.iter().any(|a| self.is(a) || root(self.page) == a.ident()) {
                        events.push(Event::Reset);
                    }
                }
                Elem::Return(value) => {
                    if let Some(e) = value {
                        self.events(e, &mut events);
                        if self.is(e) {
                            events.push(Event::Unknown);
                        }
                    }
                }
                Elem::Opaque(_) => events.push(Event::Unknown),
            }
            for e in events {
                state.step(e, &mut found);
            }
            if n == cfg.exit {
                state.forgive(&mut found);
            }
            for (i, s) in node.succ.iter().enumerate() {
                let mut next = state.clone();
                let way = i == 0;
                match &branch {
                    Some((Test::Page, some)) if *some != way => continue,
                    Some((Test::Variable(v), some)) => {
                        if next.tested[*v].is_some_and(|known| known != (*some == way)) {
                            continue;
                        }
                        next.tested[*v] = Some(*some == way);
                    }
                    // `ret < 0`: nothing is known of what is not.
                    Some((Test::Below(v), _)) if way => {
                        if next.tested[*v] == Some(false) {
                            continue;
                        }
                        next.tested[*v] = Some(true);
                    }
                    Some((Test::Taken(api), some)) if *some == way => {
                        next.step(Event::Take(api.clone()), &mut found);
                    }
                    _ => {}
                }
                work.push((*s, next));
            }
        }
        Some(found)
    }

    /// The page, whatever it is called.
    fn is(&self, e: &Expr) -> bool {
        let e = uncovered(self.x.api, e);
        same(e, self.page) || self.also.is_some_and(|also| same(e, also))
    }

    fn named_in(&self, e: &Expr) -> bool {
        let mut named = false;
        e.walk(&mut |e| named |= self.is(e));
        named
    }

    /// `&page->lru`
    fn part_of(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::Cast(_, a) => self.part_of(a),
            ExprKind::Field { base, .. } => self.is(base) || self.part_of(base),
            _ => false,
        }
    }

    fn declared(&self, v: &'f VarDecl, out: &mut Vec<Event>) {
        let Some(init) = &v.init else { return };
        self.events(init, out);
        self.set(&v.name, init, out);
    }

    /// A variable gets a value.
    fn set(&self, name: &Name, value: &Expr, out: &mut Vec<Event>) {
        if root(self.page) == Some(name) {
            out.push(Event::Reset);
        } else if self.is(value) {
            // A second name for it.
            out.push(Event::Unknown);
        }
        if let Some(i) = self.tested.iter().position(|t| *t == name) {
            let nothing = match &value.kind {
                ExprKind::Int { value, .. } => Some(*value != 0),
                ExprKind::Unary(UnOp::Neg, of) => of.ident().map(|_| true),
                _ => None,
            };
            out.push(Event::Set(i, nothing));
        }
    }

    /// What happens in an expression, in order.
    fn events(&self, e: &'f Expr, out: &mut Vec<Event>) {
        match &e.kind {
            ExprKind::Assign(op, to, from) => {
                self.events(from, out);
                match to.ident() {
                    Some(name) => self.set(name, from, out),
                    None => {
                        to.children(&mut |c| self.events(c, out));
                        let replaced = same(to, self.page) || root(self.page).is_some() && is_prefix(to, self.page);
                        if self.is(from) && !self.is(to) | self.also.is_some_and(|a| same(a, to)) && op.is_none() {
                            out.push(Event::Keep(e.span));
                        } else if replaced {
                            out.push(Event::Reset);
                        }
                    }
                }
            }
            ExprKind::Call { callee, args } => {
                args.iter().for_each(|a| self.events(a, out));
                out.extend(self.called(e.span, callee, args));
            }
            ExprKind::Binary(BinOp::And | BinOp::Or, a, b) => {
                self.events(a, out);
                self.maybe(b, out);
            }
            ExprKind::Cond(c, a, b) => {
                self.events(c, out);
                a.iter().for_each(|a| self.maybe(a, out));
                self.maybe(b, out);
            }
            _ => e.children(&mut |c| self.events(c, out)),
        }
    }

    /// What may be evaluated.
    fn maybe(&self, e: &'f Expr, out: &mut Vec<Event>) {
        let mut inner = Vec::new();
        self.events(e, &mut inner);
        out.extend(inner.into_iter().map(|event| match event {
            Event::Set(i, _) => Event::Set(i, None),
            _ => Event::Unknown,
        }));
    }

    fn called(&self, call: Span, callee: &Expr, args: &[Expr]) -> Option<Event> {
        let api = self.x.api;
        let given = |a: &Expr| self.is(a) || matches!(&a.kind, ExprKind::Assign(None, _, from) if self.is(from));
        let at = args.iter().position(given);
        // The object that the page is read from may have another one behind the call.
        let holder = self.page.ident().is_none() && args.iter().any(|a| a.ident() == root(self.page));
        let Some(name) = callee.ident() else { return (at.is_some() || holder).then_some(Event::Unknown) };
        if args.iter().any(|a| self.part_of(a)) {
            return Some(Event::Unknown);
        }
        if let Some(h) = self.helpers.iter().find(|h| h.name == *name && at == Some(h.arg)) {
            let takes = h.takes.clone().map_or(Event::Put(call), Event::Take);
            return Some(if h.asked.is_some() { Event::Unknown } else { takes });
        }
        if api.acquire(name).is_some() {
            return at.is_some().then_some(Event::Unknown);
        }
        if api.is_extra_reference(name) {
            let one = args.len() == 1;
            return at.map(|_| if one { Event::Take(name.clone()) } else { Event::Unknown });
        }
        if let Some(r) = api.release(name) {
            let one = !(r.batch || r.counter && args.len() > 1);
            return at.map(|at| if at == r.arg && one { Event::Put(call) } else { Event::Unknown });
        }
        if let Some(gap) = api.handover(name) {
            return at.map(|_| if gap.is_some() { Event::Keep(call) } else { Event::Unknown });
        }
        if let Some(x) = api.exchange(name) {
            let stores = |at: usize| at == x.from && x.always && x.back.is_none();
            return at.map(|at| if stores(at) { Event::Keep(call) } else { Event::Unknown });
        }
        if let Some(s) = api.store(name) {
            return at.map(|at| if at == s.from { Event::Keep(call) } else { Event::Unknown });
        }
        let looks = api.same(name).is_some() || api.dirty(name).is_some() || api.borrow(name).is_some();
        if looks && !api.is_address(name) {
            return None;
        }
        let once = args.iter().filter(|a| self.named_in(a)).count() == 1;
        match at {
            Some(i) if once && self.is(&args[i]) => Some(Event::Given(call)),
            _ => (at.is_some() || holder).then_some(Event::Unknown),
        }
    }

    /// What a condition asks, and whether its first way is the one where there is something.
    fn test(&self, cond: &Expr) -> Option<(Test, bool)> {
        let variable = |e: &Expr| {
            let i = self.tested.iter().position(|t| Some(*t) == e.ident());
            if self.is(e) { Some(Test::Page) } else { i.map(Test::Variable) }
        };
        let zero =
            |e: &Expr| matches!(e.kind, ExprKind::Int { value: 0, .. }) || e.ident().is_some_and(|n| &**n == "NULL");
        match &cond.kind {
            ExprKind::Unary(UnOp::Not, a) => {
                self.test(a).filter(|t| !matches!(t.0, Test::Below(_))).map(|(t, s)| (t, !s))
            }
            ExprKind::Binary(BinOp::Ne, a, b) if zero(b) => variable(a).map(|t| (t, true)),
            ExprKind::Binary(BinOp::Eq, a, b) if zero(b) => variable(a).map(|t| (t, false)),
            ExprKind::Binary(BinOp::Lt, a, b) if zero(b) => match variable(a)? {
                Test::Variable(v) => Some((Test::Below(v), true)),
                _ => None,
            },
            ExprKind::Call { .. } => match cond.call()? {
                (n, [a]) if matches!(&**n, "likely" | "unlikely") => self.test(a),
                (n, [a]) if self.x.api.is_extra_reference(n) && self.is(a) => Some((Test::Taken(n.clone()), true)),
                (n, args) => {
                    let h = self.helpers.iter().find(|h| h.name == *n)?;
                    let flag = h.asked?.is_none_or(|i| args.get(i).and_then(constant) == Some(true));
                    let mine = flag && args.get(h.arg).is_some_and(|a| self.is(a));
                    mine.then(|| h.takes.clone()).flatten().map(|api| (Test::Taken(api), true))
                }
            },
            _ => variable(cond).map(|t| (t, true)),
        }
    }
}

/// What a condition asks.
enum Test {
    /// Whether there is a page.
    Page,
    /// Whether a variable is something.
    Variable(usize),
    /// Whether a variable is negative.
    Below(usize),
    /// Whether a reference was taken.
    Taken(Name),
}

impl State {
    fn step(&mut self, event: Event, found: &mut Found) {
        match event {
            Event::Take(by) => {
                found.by.get_or_insert(by);
                if self.owed.take().is_none() {
                    self.mine = self.mine.map(|n| (n + 1).min(3));
                }
            }
            Event::Keep(at) => {
                self.in_doubt(found);
                found.kept.entry(at).or_insert(true);
                match self.mine {
                    Some(0) => {
                        if self.owed.is_some() {
                            self.forgive(found);
                            found.kept.insert(at, false);
                        } else {
                            self.owed = Some(at);
                        }
                    }
                    Some(n) => self.mine = Some(n - 1),
                    None => {
                        found.kept.insert(at, false);
                    }
                }
            }
            Event::Put(at) => {
                self.forgive(found);
                let own = self.mine.is_some_and(|n| n > 0);
                *found.put.entry(at).or_insert(true) &= own;
                self.mine = self.mine.map(|n| n.saturating_sub(1));
            }
            Event::Given(at) => {
                self.forgive(found);
                self.in_doubt(found);
                match self.mine {
                    Some(n) if n > 0 => {
                        found.given.entry(at).or_insert(true);
                        self.mine = Some(n - 1);
                        self.given = Some(at);
                    }
                    _ => {
                        found.given.insert(at, false);
                    }
                }
            }
            Event::Unknown => {
                self.in_doubt(found);
                self.forgive(found);
                if self.mine != Some(0) {
                    self.mine = None;
                }
            }
            Event::Reset => {
                self.forgive(found);
                self.given = None;
                self.mine = Some(0);
            }
            Event::Set(i, value) => self.tested[i] = value,
        }
    }

    /// The last call that got the page need not have got the reference.
    fn in_doubt(&mut self, found: &mut Found) {
        if let Some(at) = self.given.take() {
            found.given.insert(at, false);
        }
    }

    /// No reference was taken for the last store.
    fn forgive(&mut self, found: &mut Found) {
        if let Some(at) = self.owed.take() {
            found.kept.insert(at, false);
        }
    }
}

/// `a->b` of `a->b->page`
fn is_prefix(e: &Expr, path: &Expr) -> bool {
    match &path.kind {
        ExprKind::Field { base, .. } => same(e, base) || is_prefix(e, base),
        _ => false,
    }
}

/// `obj->page = page`, where nothing else sets that member: what is stored.
fn stored_from<'f>(func: &'f Function, member: &Expr) -> Option<&'f Expr> {
    if !matches!(member.kind, ExprKind::Field { .. }) {
        return None;
    }
    let mut stores = Vec::new();
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind
            && same(to, member)
        {
            stores.push(&**from);
        }
    });
    match stores[..] {
        [from] if from.ident().is_some() => Some(from),
        _ => None,
    }
}

/// Variables that the function asks for being nothing, as far as they are told apart.
fn tested(func: &Function) -> Vec<&Name> {
    let mut out: Vec<&Name> = Vec::new();
    func.body.walk(&mut |s| {
        let StmtKind::If { cond, .. } = &s.kind else { return };
        let name = match &cond.kind {
            ExprKind::Unary(UnOp::Not, a) | ExprKind::Binary(_, a, _) => a.ident(),
            _ => cond.ident(),
        };
        out.extend(name.filter(|n| out.len() < MAX_TESTED && !out.contains(n)));
    });
    // A variable whose address is given away may be set by anybody.
    func.body.walk_exprs(&mut |e| {
        if let ExprKind::Unary(UnOp::AddrOf, a) = &e.kind {
            out.retain(|n| a.ident() != Some(n));
        }
    });
    out
}
