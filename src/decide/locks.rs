//! The page lock where it was not taken before: which locks under which one may sleep are held there already.
//!
//! A fault takes the page lock as well (v5.2 mm/filemap.c `filemap_fault()`), and a pin faults pages in. So a lock that
//! is held around a pin has the page lock taken under it already. Who is looked at: the functions of the folder that
//! call by name, up to those that nobody calls so. What is not understood is no answer.

use crate::ast::{Base, Expr, ExprKind, Function, StmtKind, UnOp};
use crate::kernel::{Api, ContextFn, Lock};
use crate::program::Program;
use crate::rules::analysis::Types;
use crate::rules::cfg::{Cfg, Node};
use crate::sites::one_line;
use crate::source::{FileId, Loc, Name, Span};
use crate::split::{ItemKind, split};
use crate::trace::PinSite;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of the locks where pages are dirtied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Not enough.
    Open,
    /// None is held by the functions of this folder.
    Free(String),
    /// These are, as written, and all of them are held around a pin by this function as well.
    Known(BTreeSet<String>, Name),
}

impl Order {
    /// What is known of two places.
    #[must_use]
    pub fn and(self, other: Order) -> Order {
        match (self, other) {
            (Order::Open, _) | (_, Order::Open) => Order::Open,
            (Order::Free(a), Order::Free(b)) if a != b => Order::Open,
            (Order::Free(_), o) | (o, Order::Free(_)) => o,
            (Order::Known(mut locks, pin), Order::Known(more, _)) => {
                locks.extend(more);
                Order::Known(locks, pin)
            }
        }
    }
}

/// Levels of callers that are followed.
const DEPTH: usize = 8;

/// Levels of callees that are looked at.
const LEVELS: usize = 2;

/// The lock: a member by the tag of its struct, or a variable of a file; with its text.
type Held = BTreeMap<String, String>;

/// Looks at the locks that may be held at a place, and at those that are held around the pins.
pub fn order(program: &dyn Program, sites: &[&PinSite], at: Loc) -> Order {
    let Some(held) = around(program, at, Which::May) else { return Order::Open };
    if held.is_empty() {
        let path = program.path(at.file);
        return Order::Free(path.rsplit_once('/').map_or(path, |(folder, _)| folder).to_string());
    }
    for site in sites {
        let pinned = around(program, Loc { file: site.at.file, span: site.call }, Which::Must).unwrap_or_default();
        if held.keys().all(|lock| pinned.contains_key(lock)) {
            return Order::Known(held.into_values().collect(), site.api.clone());
        }
    }
    Order::Open
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Held on some path; everything that may be a lock must be understood.
    May,
    /// Held on all paths through a function.
    Must,
}

/// The locks that are held at a place, by its function or by those that lead to it.
fn around(program: &dyn Program, at: Loc, which: Which) -> Option<Held> {
    let f = program.function_at(at).filter(|f| f.whole())?;
    let mut all = held(program, at.file, &f, at.span, which)?;
    let mut seen = BTreeSet::from([(at.file, f.span.start)]);
    let mut level = vec![(at.file, f)];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (file, f) in &level {
            for (file, caller, calls) in callers(program, *file, f, which)? {
                for call in calls {
                    all.extend(held(program, file, &caller, call, which)?);
                }
                if seen.insert((file, caller.span.start)) {
                    next.push((file, caller));
                }
            }
        }
        if next.is_empty() {
            return Some(all);
        }
        level = next;
    }
    (which == Which::Must).then_some(all)
}

/// A function of a file, with the calls that it makes of another one.
type Caller = (FileId, Arc<Function>, Vec<Span>);

/// The functions that call one by name.
fn callers(program: &dyn Program, file: FileId, f: &Function, which: Which) -> Option<Vec<Caller>> {
    let mut files = if f.is_static { Vec::new() } else { program.naming_nearby(file, &f.name) };
    if !files.contains(&file) {
        files.push(file);
    }
    let mut out = Vec::new();
    for file in files {
        let text = program.text(file);
        for item in split(&text) {
            let own = item.span.of(&text);
            if memchr::memmem::find(own, f.name.as_bytes()).is_none() || item.name == f.name {
                continue;
            }
            if item.kind != ItemKind::Function {
                // Modules that are not looked at call it, or what a macro does.
                let start = own.trim_ascii_start();
                let hidden = start.starts_with(b"EXPORT_SYMBOL") || start.starts_with(b"#define");
                if hidden && which == Which::May && names(own, &f.name) {
                    return None;
                }
                continue;
            }
            let Some(caller) = program.function_at(Loc { file, span: item.name_span }).filter(|c| c.whole()) else {
                match which {
                    Which::May => return None,
                    Which::Must => continue,
                }
            };
            let mut calls = Vec::new();
            caller.body.walk_exprs(&mut |e| {
                if e.call().is_some_and(|(n, _)| *n == f.name) {
                    calls.push(e.span);
                }
            });
            if !calls.is_empty() {
                out.push((file, caller, calls));
            }
        }
    }
    Some(out)
}

/// The text has the name as a word.
fn names(text: &[u8], name: &str) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    memchr::memmem::find_iter(text, name.as_bytes()).any(|at| {
        let (before, after) = (text[..at].last(), text.get(at + name.len()));
        !before.is_some_and(word) && !after.is_some_and(word)
    })
}

/// The locks that a function holds when it gets to a call; `None` if it may hold one that is not understood.
fn held(program: &dyn Program, file: FileId, f: &Function, call: Span, which: Which) -> Option<Held> {
    let cfg = Cfg::new(f);
    let types = Types { program, file, function: f };
    let text = program.text(file);
    let mut at: Vec<Option<Held>> = vec![None; cfg.nodes.len()];
    at[0] = Some(Held::new());
    let mut work = vec![0usize];
    let mut odd = false;
    while let Some(i) = work.pop() {
        let Some(before) = at[i].clone() else { continue };
        for &next in &cfg.next[i] {
            for truth in cfg.before[next].iter().filter(|(p, _)| *p == i).map(|(_, t)| *t) {
                let mut after = before.clone();
                odd |= !step(&cfg.nodes[i], truth, which, &types, &text, &mut after);
                let joined = match (&at[next], which) {
                    (None, _) => after,
                    (Some(have), Which::May) => {
                        have.iter().chain(&after).map(|(k, v)| (k.clone(), v.clone())).collect()
                    }
                    (Some(have), Which::Must) => have
                        .iter()
                        .filter(|(k, _)| after.contains_key(*k))
                        .map(|(k, v)| (k.clone(), v.clone()))
                        .collect(),
                };
                if at[next].as_ref() != Some(&joined) {
                    at[next] = Some(joined);
                    work.push(next);
                }
            }
        }
    }
    if odd && which == Which::May {
        return None;
    }
    let mut found: Option<Held> = None;
    for (node, held) in cfg.nodes.iter().zip(&at) {
        let within = match node {
            Node::Expr(e) | Node::Cond(e) => e.span.contains(call),
            Node::Decl(d) => d.init.as_ref().is_some_and(|e| e.span.contains(call)),
            _ => false,
        };
        if let Some(held) = held.as_ref().filter(|_| within) {
            found.get_or_insert_with(Held::new).extend(held.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    found
}

/// What a node does to the locks that are held; false if that is not known.
fn step(node: &Node<'_>, truth: Option<bool>, which: Which, types: &Types<'_>, text: &[u8], held: &mut Held) -> bool {
    let mut known = true;
    let mut see = |e: &Expr, whole: bool| {
        e.walk(&mut |x| {
            let Some((name, args)) = x.call() else { return };
            let Some(what) = Api::get().lock(name) else {
                known &= !may_lock(types, name, LEVELS);
                return;
            };
            let Some((key, told)) = args.first().and_then(|a| key(a, types, text)) else {
                known &= what == Lock::Dropped;
                return;
            };
            let decides = truth.filter(|_| whole && x.span == e.span);
            match (what, decides) {
                (Lock::Dropped, _) => _ = held.remove(&key),
                (Lock::TakenOrFails, Some(true)) | (Lock::TakenIfFree, Some(false)) => {}
                (Lock::TakenIfFree, None) if which == Which::Must => {}
                _ => _ = held.insert(key, told),
            }
        });
    };
    match node {
        Node::Expr(e) => see(e, false),
        Node::Cond(e) => see(e, true),
        Node::Decl(d) => d.init.iter().for_each(|e| see(e, false)),
        _ => {}
    }
    known
}

/// By its name the call may take a lock of some kind: what it does is looked at, as far as that can be seen. What makes
/// a region atomic is looked at elsewhere.
fn may_lock(types: &Types<'_>, name: &str, levels: usize) -> bool {
    let api = Api::get();
    if api.context(name).is_some() || api.dirty(name).is_some() || api.release(name).is_some() {
        return false;
    }
    let mut words = name.split('_');
    let takes = words.clone().any(|w| matches!(w, "lock" | "trylock" | "mutex" | "guard")) || name.starts_with("down_");
    if !takes || words.any(|w| matches!(w, "init" | "destroy" | "held" | "assert" | "unlock" | "clk")) {
        return false;
    }
    let body = types.program.function(types.file, name).filter(|(_, f)| levels > 0 && f.whole());
    let Some((file, function)) = body else { return true };
    let inner = Types { program: types.program, file, function: &function };
    let mut locks = false;
    function.body.walk_exprs(&mut |e| {
        if let Some((n, _)) = e.call() {
            let taken = api.lock(n).is_some_and(|l| l != Lock::Dropped);
            locks |= taken || api.context(n) == Some(ContextFn::Enter) || may_lock(&inner, n, levels - 1);
        }
    });
    locks
}

/// What a lock is known by everywhere, and its text here.
fn key(e: &Expr, types: &Types<'_>, text: &[u8]) -> Option<(String, String)> {
    let ExprKind::Unary(UnOp::AddrOf, e) = &e.kind else { return None };
    let told = one_line(e.span, text);
    match &e.kind {
        ExprKind::Field { base, name, .. } => match types.of(base).base {
            Base::Struct(tag) => Some((format!("{tag}.{name}"), told)),
            _ => global(base, types).map(|g| (format!("{g}.{name}"), told)),
        },
        ExprKind::Ident(_) => global(e, types).map(|g| (g, told)),
        _ => None,
    }
}

/// A variable of the file, and none of the function.
fn global(e: &Expr, types: &Types<'_>) -> Option<String> {
    let name = e.ident()?;
    let mut local = types.function.params.iter().any(|p| p.name == *name);
    types.function.body.walk(&mut |s| {
        if let StmtKind::Decl(all) = &s.kind {
            local |= all.iter().any(|d| d.name == *name);
        }
    });
    (!local).then(|| format!("{:?}:{name}", types.file))
}

#[cfg(test)]
mod tests {
    use super::super::text::Text;
    use super::*;
    use crate::trace::Writes;

    /// What is known of the lock where `release()` dirties, in a file with these functions that lead to it.
    fn known(callers: &str) -> Order {
        let text = Text(format!(
            "struct box {{ struct mutex lock, other; int n; }};\n\
             static int take(struct box *b)\n{{\n\treturn get_user_pages_fast(1, 1, 1, b->pages);\n}}\n\
             static void release(struct box *b)\n{{\n\tset_page_dirty(b->page);\n\tput_page(b->page);\n}}\n{callers}"
        ));
        let site = PinSite {
            at: text.at("get_user_pages_fast"),
            call: text.at("get_user_pages_fast(1, 1, 1, b->pages)").span,
            api: "get_user_pages_fast".into(),
            function: "take".into(),
            pages: None,
            count: None,
            flags: None,
            result: None,
            writes: Writes::Always,
            write_expr: String::new(),
            damaged: false,
        };
        order(&text, &[&site], text.at("set_page_dirty"))
    }

    fn held(lock: &str) -> Order {
        Order::Known(BTreeSet::from([lock.to_string()]), "get_user_pages_fast".into())
    }

    #[test]
    fn a_lock_around_the_pin_as_well_is_known() {
        let both = "static int f(struct box *b)\n{\n\tif (mutex_lock_interruptible(&b->lock))\n\t\treturn 1;\n\ttake(b);\n\
                    \trelease(b);\n\tmutex_unlock(&b->lock);\n\treturn 0;\n}\n";
        assert_eq!(known(both), held("b->lock"));
        let apart = "static void in(struct box *x)\n{\n\tmutex_lock(&x->lock);\n\ttake(x);\n\tmutex_unlock(&x->lock);\n}\n\
                     static void out(struct box *y)\n{\n\tmutex_lock(&y->lock);\n\trelease(y);\n\tmutex_unlock(&y->lock);\n}\n";
        assert_eq!(known(apart), held("y->lock"));
    }

    #[test]
    fn a_lock_that_the_pin_does_not_see_is_not() {
        let behind = "static void f(struct box *b)\n{\n\ttake(b);\n\tmutex_lock(&b->lock);\n\trelease(b);\n\
                      \tmutex_unlock(&b->lock);\n}\n";
        assert_eq!(known(behind), Order::Open);
        let other = "static void f(struct box *b)\n{\n\tmutex_lock(&b->other);\n\ttake(b);\n\tmutex_unlock(&b->other);\n\
                     \tmutex_lock(&b->lock);\n\trelease(b);\n\tmutex_unlock(&b->lock);\n}\n";
        assert_eq!(known(other), Order::Open);
        let perhaps = "static void f(struct box *b)\n{\n\tif (b->n)\n\t\tmutex_lock(&b->lock);\n\ttake(b);\n\
                       \tmutex_lock(&b->lock);\n\trelease(b);\n}\n";
        assert_eq!(known(perhaps), Order::Open);
        let tried = "static void f(struct box *b)\n{\n\tint got = mutex_trylock(&b->lock);\n\n\ttake(b);\n\tif (!got)\n\
                     \t\tmutex_lock(&b->lock);\n\trelease(b);\n}\n";
        assert_eq!(known(tried), Order::Open);
    }

    #[test]
    fn no_lock_is_told_only_where_all_is_understood() {
        let free = Order::Free("drivers/a".into());
        let none = "static void f(struct box *b)\n{\n\tmutex_lock(&b->lock);\n\tb->n = 0;\n\tmutex_unlock(&b->lock);\n\
                    \ttake(b);\n\trelease(b);\n}\n";
        assert_eq!(known(none), free);
        let own = "static void grab_lock_pages(struct box *b)\n{\n\tb->n = 0;\n}\n\
                   static void f(struct box *b)\n{\n\tgrab_lock_pages(b);\n\trelease(b);\n}\n";
        assert_eq!(known(own), free);
        for odd in [
            "static void f(struct box *b)\n{\n\tlock_box(b);\n\trelease(b);\n\tunlock_box(b);\n}\n",
            "static void box_lock(struct box *b)\n{\n\tmutex_lock(&b->lock);\n}\n\
             static void f(struct box *b)\n{\n\tbox_lock(b);\n\trelease(b);\n}\n",
            "static void f(struct mutex *m, struct box *b)\n{\n\tmutex_lock(m);\n\trelease(b);\n}\n",
            "#define drop(b) release(b)\n",
            "void f(struct box *b)\n{\n\trelease(b);\n}\nEXPORT_SYMBOL(f);\n",
        ] {
            assert_eq!(known(odd), Order::Open, "{odd}");
        }
    }
}
