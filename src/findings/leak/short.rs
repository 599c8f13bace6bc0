//! What becomes of a short pin, of fewer pages than asked for, where the code takes it for a failure: nobody drops what
//! was pinned, or a release goes over all that was asked for.

use crate::ast::{BinOp, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::findings::strip;
use crate::flow::cfg::{Cfg, Elem};
use crate::kernel::{Api, Borrow};
use crate::program::Program;
use crate::source::{Loc, Name, Span};
use crate::trace::{Custody, PinSite, PinTrace};
use std::sync::Arc;

/// A pin of several pages into a local array, or into that of an object which nobody else has yet, may fall short, and
/// the code then returns without a call that could drop those that were pinned.
pub fn short_pin(program: &dyn Program, site: &PinSite) -> bool {
    let Some(pin) = Several::of(program, site) else { return false };
    let f = &*pin.function;
    let Some(array) = crate::sites::find(f, pin.array) else { return false };
    let own = owner(f, site.call, array);
    // Whoever else has the object finds no array in it any more.
    let Some(root) = own.or_else(|| root(array)) else { return false };
    let (array, made) = (pin.word(array), own.is_none() && pin.allocates(array));
    let cfg = Cfg::new(f);
    pin.taken_for_failure(&cfg).into_iter().any(|then| {
        let lost = reachable(&cfg, &[then], &|_, _| true);
        let again = pin.calls(&cfg).iter().any(|p| lost[*p as usize]);
        let mut way = (0..cfg.nodes.len()).filter(|n| lost[*n]).map(|n| &cfg.nodes[n].elem);
        let gone = || made && way.clone().any(|e| pin.frees(e, &array));
        !again && (own.is_some() || gone()) && !way.any(|e| helps(e, root))
    })
}

/// A release that a short pin gets to, in the function that pins, and which goes over as many entries as were asked
/// for: those behind the pinned ones were never written, or hold what was there before.
pub fn released_beyond(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Loc> {
    let site = c.sites.get(t.site.0 as usize)?;
    let pin = Several::of(program, site)?;
    let f = &*pin.function;
    let cfg = Cfg::new(f);
    let asked = |e: &Expr| pin.word(e) == pin.count;
    // The count is another one from there on, or a negative result goes that way.
    let kills = |e: &Expr| {
        let mut kill = false;
        e.walk(&mut |x| match &x.kind {
            ExprKind::Assign(_, to, _) => kill |= asked(to) || pin.word(to) == pin.result,
            ExprKind::IncDec { operand, .. } => kill |= asked(operand),
            ExprKind::Unary(UnOp::AddrOf, a) => kill |= asked(a),
            _ => {}
        });
        kill
    };
    let goes = |n: u32, way: usize| match cfg.nodes[n as usize].elem {
        Elem::Expr(e) => !kills(e),
        Elem::Cond(e) => !kills(e) && pin.some_pages(e).is_none_or(|yes| (way == 0) == yes),
        Elem::Opaque(_) => false,
        _ => true,
    };
    let mut reached = vec![false; cfg.nodes.len()];
    for then in pin.taken_for_failure(&cfg) {
        for (n, seen) in reachable(&cfg, &[then], &goes).into_iter().enumerate() {
            reached[n] |= seen;
        }
    }
    let at = |call: Span| {
        (0..cfg.nodes.len()).any(|n| {
            reached[n] && matches!(cfg.nodes[n].elem, Elem::Expr(e) if e.span.contains(call) && !pin.is_it(e.span))
        })
    };
    let array = crate::sites::find(f, pin.array).map(|e| pin.word(e))?;
    let releases = t.releases.iter().filter_map(|r| c.releases.get(r.0 as usize));
    releases
        .filter(|r| r.at.file == site.at.file && f.span.contains(r.call) && at(r.call))
        .find(|r| pin.goes_over_all(r.call, &array))
        .map(|r| r.at)
}

/// A call that pins more than one page, and what the function says of it.
struct Several {
    function: Arc<Function>,
    text: Arc<[u8]>,
    call: Span,
    array: Span,
    count: String,
    result: String,
}

impl Several {
    fn of(program: &dyn Program, site: &PinSite) -> Option<Self> {
        let function = program.function_at(site.at).filter(|f| f.damage.is_empty())?;
        let (count, result, (_, array)) = (site.count.as_ref()?.0.clone(), site.result.clone()?, site.pages.as_ref()?);
        let several = !matches!(count.as_str(), "0" | "1");
        let text = program.text(site.at.file);
        several.then_some(Self { function, text, call: site.call, array: *array, count, result })
    }

    fn word(&self, e: &Expr) -> String {
        crate::sites::one_line(strip(e).span, &self.text)
    }

    fn is_it(&self, span: Span) -> bool {
        span.contains(self.call)
    }

    /// The function itself makes the array, before the pin.
    fn allocates(&self, array: &Expr) -> bool {
        let array = self.word(array);
        let mut found = false;
        self.function.body.walk_exprs(&mut |e| {
            if let ExprKind::Assign(None, to, from) = &e.kind {
                let fresh = strip(from).call().is_some_and(|(n, _)| Api::get().is_fresh(n));
                found |= fresh && e.span.end < self.call.start && self.word(to) == array;
            }
        });
        found
    }

    /// A node frees the array.
    fn frees(&self, elem: &Elem<'_>, array: &str) -> bool {
        let Elem::Expr(e) = elem else { return false };
        let mut found = false;
        e.walk(&mut |x| {
            if let Some((name, [what])) = x.call() {
                found |= Api::get().is_free(name) && self.word(what) == array;
            }
        });
        found
    }

    /// The nodes with the call.
    fn calls(&self, cfg: &Cfg<'_>) -> Vec<u32> {
        let of = |n: u32| match cfg.nodes[n as usize].elem {
            Elem::Expr(e) | Elem::Cond(e) | Elem::Return(Some(e)) => Some(e),
            Elem::Decl(v) => v.init.as_ref(),
            _ => None,
        };
        (0..cfg.nodes.len() as u32).filter(|n| of(*n).is_some_and(|e| self.is_it(e.span))).collect()
    }

    /// `got < n`, `got != n`: true also when some pages were pinned.
    fn short(&self, e: &Expr) -> bool {
        let ExprKind::Binary(op, a, b) = &strip(e).kind else { return false };
        let (a, b) = (self.word(a), self.word(b));
        match op {
            BinOp::Lt => a == self.result && b == self.count,
            BinOp::Gt => a == self.count && b == self.result,
            BinOp::Ne => (a == self.result && b == self.count) || (a == self.count && b == self.result),
            _ => false,
        }
    }

    /// Where the code goes on when fewer were pinned than asked for.
    fn taken_for_failure(&self, cfg: &Cfg<'_>) -> Vec<u32> {
        let after = reachable(cfg, &self.calls(cfg), &|_, _| true);
        let tests = (0..cfg.nodes.len()).filter(|n| after[*n]);
        let short = tests.filter(|n| matches!(cfg.nodes[*n].elem, Elem::Cond(e) if self.short(e)));
        short.filter_map(|n| cfg.nodes[n].succ.first().copied()).collect()
    }

    /// What a condition says when some of the pages were pinned, but not all; `None` if it is about something else.
    fn some_pages(&self, e: &Expr) -> Option<bool> {
        let e = strip(e);
        if self.short(e) || self.word(e) == self.result {
            return Some(true);
        }
        let (op, a, b) = match &e.kind {
            ExprKind::Unary(UnOp::Not, a) if self.word(a) == self.result => return Some(false),
            ExprKind::Binary(op, a, b) if self.word(a) == self.result => (*op, self.word(a), self.word(b)),
            _ => return None,
        };
        match (op, b.as_str()) {
            (BinOp::Lt | BinOp::Le | BinOp::Eq, "0") => Some(false),
            (BinOp::Gt | BinOp::Ge | BinOp::Ne, "0") => Some(true),
            (BinOp::Eq, n) => (n == self.count && a != n).then_some(false),
            _ => None,
        }
    }

    /// A release of the array, or of its entries one by one, whose bound is the number that was asked for, and which
    /// asks nothing of an entry.
    fn goes_over_all(&self, release: Span, array: &str) -> bool {
        let mut found = false;
        self.function.body.walk_exprs(&mut |e| {
            if e.span == release
                && let Some((name, args)) = e.call()
                && let Some(r) = Api::get().release(name).filter(|r| r.batch)
            {
                let is =
                    |k: Option<usize>, what: &str| k.and_then(|k| args.get(k)).is_some_and(|a| self.word(a) == what);
                found |= is(r.count, &self.count) && is(Some(r.arg), array);
            }
        });
        self.function.body.walk(&mut |s| {
            let StmtKind::For { cond: Some(c), body, .. } = &s.kind else { return };
            let ExprKind::Binary(BinOp::Lt, _, bound) = &c.kind else { return };
            if body.span.contains(release) && self.word(bound) == self.count {
                let (mut entry, mut asks) = (false, false);
                body.walk_exprs(&mut |e| {
                    entry |= matches!(&e.kind, ExprKind::Index(b, _) if self.word(b) == array);
                });
                body.walk(&mut |s| asks |= matches!(s.kind, StmtKind::If { .. } | StmtKind::While { .. }));
                found |= entry && !asks;
            }
        });
        found
    }
}

/// Nodes that are reached from some, by the ways out of a node (by number) that `goes` allows.
fn reachable(cfg: &Cfg<'_>, from: &[u32], goes: &dyn Fn(u32, usize) -> bool) -> Vec<bool> {
    let mut seen = vec![false; cfg.nodes.len()];
    let mut work = from.to_vec();
    while let Some(n) = work.pop() {
        if !std::mem::replace(&mut seen[n as usize], true) {
            let next = cfg.nodes[n as usize].succ.iter().enumerate();
            work.extend(next.filter(|(way, _)| goes(n, *way)).map(|(_, to)| to));
        }
    }
    seen
}

/// Who has the array: the local variable itself, or the local pointer to the object that it is a member of, when no
/// function got that object before the pin but to clear it.
fn owner<'f>(f: &Function, pin: Span, array: &'f Expr) -> Option<&'f Name> {
    if let Some(name) = array.ident() {
        return owned(f, name, None).then_some(name);
    }
    let ExprKind::Field { base, .. } = &array.kind else { return None };
    // What is stored behind the pin is nobody's on the way out from it, unless it comes around again.
    let mut again = false;
    f.body.walk(&mut |s| again |= super::body(s).is_some_and(|b| b.span.contains(pin)));
    let object = base.ident().filter(|n| !again && owned(f, n, Some(pin)))?;
    let api = Api::get();
    let mut shared = false;
    f.body.walk_exprs(&mut |e| {
        let Some((name, args)) = e.call().filter(|_| e.span.start < pin.start) else { return };
        let harmless = api.is_fresh(name) || api.borrow(name) == Some(Borrow::None) || &**name == "memset";
        shared |= !harmless && args.iter().any(|a| names(a, object));
    });
    (!shared).then_some(object)
}

/// Whether something is done that may drop pages of the array, or hand it on.
fn helps(elem: &Elem<'_>, array: &Name) -> bool {
    let api = Api::get();
    let mut found = false;
    let mut see = |e: &Expr| {
        e.walk(&mut |x| match &x.kind {
            ExprKind::Call { .. } => {
                let Some((name, args)) = x.call() else {
                    found = true;
                    return;
                };
                let harmless = api.is_fresh(name) || api.borrow(name) == Some(Borrow::None);
                found |= api.release(name).is_some() || !harmless && args.iter().any(|a| names(a, array));
            }
            ExprKind::Assign(_, _, from) => found |= names(from, array),
            _ => {}
        });
    };
    match elem {
        Elem::Return(Some(e)) => {
            see(e);
            found |= names(e, array);
        }
        Elem::Expr(e) | Elem::Cond(e) => see(e),
        Elem::Decl(v) => v.init.iter().for_each(see),
        Elem::Iterate(_, args) => args.iter().for_each(see),
        Elem::Opaque(_) => found = true,
        _ => {}
    }
    found
}

/// The variable that a member is reached by.
fn root(e: &Expr) -> Option<&Name> {
    match &e.kind {
        ExprKind::Field { base, .. } => base.ident().or_else(|| root(base)),
        _ => None,
    }
}

/// A local array, or a local pointer that only ever gets memory of its own and is stored nowhere (before a place).
fn owned(f: &Function, array: &Name, before: Option<Span>) -> bool {
    let api = Api::get();
    let fresh = |e: &Expr| {
        let e = strip(e);
        e.call().is_some_and(|(n, _)| api.is_fresh(n))
            || matches!(e.kind, ExprKind::Int { value: 0, .. })
            || e.ident().is_some_and(|n| &**n == "NULL")
    };
    let (mut local, mut own) = (false, true);
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            for v in vars {
                if v.name == *array {
                    local = !v.is_static;
                    own &= v.init.as_ref().is_none_or(fresh) || !v.ty.dims.is_empty();
                } else if v.init.as_ref().is_some_and(|i| is_array(i, array)) {
                    own = false;
                }
            }
        }
    });
    f.body.walk_exprs(&mut |e| {
        if let ExprKind::Assign(_, to, from) = &e.kind {
            own &= to.ident().is_none_or(|n| n != array) || fresh(from);
            own &= !is_array(from, array) || before.is_some_and(|b| e.span.start > b.end);
        }
    });
    local && own
}

/// `array`, `&array[i]`, `array + i`.
fn is_array(e: &Expr, array: &Name) -> bool {
    match &e.kind {
        ExprKind::Ident(n) => n == array,
        ExprKind::Unary(UnOp::AddrOf, a) | ExprKind::Cast(_, a) => {
            is_array(a, array) || matches!(&a.kind, ExprKind::Index(b, _) if is_array(b, array))
        }
        ExprKind::Binary(_, a, _) => is_array(a, array),
        _ => false,
    }
}

fn names(e: &Expr, what: &Name) -> bool {
    let mut hit = false;
    e.walk(&mut |x| hit |= x.ident().is_some_and(|n| n == what));
    hit
}
