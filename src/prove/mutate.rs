//! Wrong variants of a right rewrite: the test of the proof itself.
//!
//! One change each, made in the text after the rewrite wherever the shape occurs. By the forbidden kinds (SEMANTICS 3):
//!
//! | kind | mutant |
//! |---|---|
//! | F1 unbalanced | the acquire call is the old one again |
//! | F2 error path left, F9 double release | release dropped, doubled; the old call in place of an unpin |
//! | F4 dirty lost, F5 dirty added, F16 one bool for all | dirtying dropped, added, inverted, always, never |
//! | F6 hoisted, F7 and F8 under a lock, F18 freed first | release swapped with its neighbour |
//! | F10 count, F20 width | count plus one, minus one, one, cut to 8 bits |
//! | F11 sign, F12 hole, F3 guarded page | the guard dropped or inverted |
//! | F13 sentinel | the test for the NULL that ends a loop always holds |
//! | F14 offset | array shifted, start off by one |
//! | F15 counter | the local count is consumed behind the call |
//! | F19 step | the loop skips every other entry; bound off by one |
//!
//! F17 (an argument with side effects) needs a rewrite that evaluates one; its fixture is written by hand. A mutant may
//! happen to be equivalent; who counts survivors argues them one by one.

use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind};
use crate::parse::function_from_source;
use crate::source::Span;
use crate::split::{ItemKind, split};

/// One wrong change of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// What was done, and the line.
    pub label: String,
    /// Bytes of the text after the rewrite that go.
    pub span: Span,
    /// What comes.
    pub with: String,
}

impl Mutant {
    /// The text with the change.
    pub fn apply(&self, after: &[u8]) -> Vec<u8> {
        let mut out = after.to_vec();
        let end = (self.span.end as usize).min(out.len());
        out.splice((self.span.start as usize).min(end)..end, self.with.bytes());
        out
    }
}

const RELEASES: &[&str] = &[
    "put_user_page",
    "put_user_pages",
    "put_user_pages_dirty",
    "put_user_pages_dirty_lock",
    "unpin_user_page",
    "unpin_user_pages",
    "unpin_user_pages_dirty_lock",
];

/// The mutants of every function that differs between the two texts of a file.
pub fn mutants(before: &[u8], after: &[u8]) -> Vec<Mutant> {
    let mut out = Vec::new();
    for item in split(after).into_iter().filter(|i| i.kind == ItemKind::Function) {
        let Some(new) = function_from_source(after, &item.name) else { continue };
        let old = function_from_source(before, &item.name);
        if old.is_some_and(|o| o.span.text(before) == new.span.text(after)) {
            continue;
        }
        of_function(&new, after, &mut out);
    }
    out
}

fn of_function(f: &Function, text: &[u8], out: &mut Vec<Mutant>) {
    let line = |s: Span| text[..s.start as usize].iter().filter(|&&b| b == b'\n').count() + 1;
    let mut add =
        |what: &str, at: Span, with: String| out.push(Mutant { label: format!("{what}@{}", line(at)), span: at, with });
    f.body.walk(&mut |s| {
        if let StmtKind::Block(list) = &s.kind {
            neighbours(list, text, &mut add);
        }
        if let StmtKind::If { cond, then, .. } = &s.kind
            && releases(then)
        {
            let c = cond.span.text(text);
            add("guard inverted", cond.span, format!("(!({c}))"));
            add("guard dropped", cond.span, "(1)".into());
        }
        if let StmtKind::For { init: Some(init), cond: Some(cond), step, body } = &s.kind
            && releases(body)
        {
            if let ExprKind::Binary(BinOp::Lt, a, b) = &cond.kind {
                add("bound off by one", cond.span, format!("{} <= {}", a.span.text(text), b.span.text(text)));
            }
            if let StmtKind::Expr(Expr { kind: ExprKind::Assign(None, a, b), span }) = &init.kind {
                add("start off by one", *span, format!("{} = {} + 1", a.span.text(text), b.span.text(text)));
            }
            if let Some(Expr { kind: ExprKind::IncDec { inc: true, operand, .. }, span }) = step {
                add("every other entry", *span, format!("{} += 2", operand.span.text(text)));
            }
        }
        if let StmtKind::While { cond, body } | StmtKind::For { cond: Some(cond), body, .. } = &s.kind
            && matches!(cond.kind, ExprKind::Index(..))
            && releases(body)
        {
            add("sentinel ignored", cond.span, "(1)".into());
        }
        s.exprs(&mut |e| acquire(e, &mut add));
        if let StmtKind::Expr(e) = &s.kind {
            call(f, s, e, text, &mut add);
        }
    });
}

fn releases(s: &Stmt) -> bool {
    let mut hit = false;
    s.walk_exprs(&mut |e| hit |= e.call().is_some_and(|(n, _)| RELEASES.contains(&&**n)));
    hit
}

/// A release changes places with the statement before or behind it.
fn neighbours(list: &[Stmt], text: &[u8], add: &mut dyn FnMut(&str, Span, String)) {
    for pair in list.windows(2) {
        let [a, b] = pair else { continue };
        let plain = |s: &Stmt| matches!(s.kind, StmtKind::Expr(_) | StmtKind::If { .. } | StmtKind::For { .. });
        let jumps = |s: &Stmt| {
            let mut hit = false;
            s.walk(&mut |s| {
                hit |= matches!(s.kind, StmtKind::Return(_) | StmtKind::Goto(_) | StmtKind::Break | StmtKind::Continue)
            });
            hit
        };
        if (releases(a) || releases(b)) && plain(a) && plain(b) && !jumps(a) && !jumps(b) {
            add("swapped", a.span.to(b.span), format!("{} {}", b.span.text(text), a.span.text(text)));
        }
    }
}

/// The pages are taken by the call that does not count pins.
fn acquire(e: &Expr, add: &mut dyn FnMut(&str, Span, String)) {
    e.walk(&mut |e| {
        if let ExprKind::Call { callee, .. } = &e.kind
            && let Some(twin) = callee.ident().and_then(|n| n.strip_prefix("pin_user_pages"))
        {
            add("acquire left", callee.span, format!("get_user_pages{twin}"));
        }
    });
}

/// Whether a local variable may still be read behind the statement.
fn read_behind(f: &Function, name: &str, at: Span) -> bool {
    let mut w = super::value::World::default();
    let types = super::exec::local_types(&mut w, f);
    let code = super::code::Code::of_body(&f.body, &[], &Default::default());
    let live = super::live::live_in(&mut w, &code, &types);
    let here = code.ops.iter().position(|op| matches!(op, super::code::Op::Eval(e) if at.contains(e.span)));
    let name = w.name(name);
    types.contains_key(&name) && here.and_then(|pc| live.get(pc + 1)).is_some_and(|l| l.contains(&name))
}

fn call(f: &Function, s: &Stmt, e: &Expr, text: &[u8], add: &mut dyn FnMut(&str, Span, String)) {
    let Some((name, args)) = e.call() else { return };
    let arg = |i: usize| args.get(i).map(|a| a.span.text(text)).unwrap_or_default();
    if name.starts_with("set_page_dirty") || &**name == "SetPageDirty" {
        add("dirtying dropped", s.span, ";".into());
        return;
    }
    if !RELEASES.contains(&&**name) {
        return;
    }
    add("release dropped", s.span, ";".into());
    add("release doubled", s.span, format!("{{ {0} {0} }}", s.span.text(text)));
    let (array, count) = (arg(0), arg(1));
    if let (Some(_), ExprKind::Call { callee, .. }) = (name.strip_prefix("unpin_user_page"), &e.kind) {
        let old = if args.len() < 2 { "put_page" } else { "release_pages" };
        if args.len() < 3 {
            add("old release left", callee.span, old.into());
        }
    }
    if args.len() < 2 {
        add("dirtying added", s.span, format!("{{ set_page_dirty_lock({array}); {name}({array}); }}"));
        return;
    }
    let third = if args.len() > 2 { format!(", {}", arg(2)) } else { String::new() };
    add("count plus one", s.span, format!("{name}({array}, ({count}) + 1{third});"));
    add("count minus one", s.span, format!("{name}({array}, ({count}) - 1{third});"));
    if !args.get(1).is_some_and(|c| matches!(c.kind, ExprKind::Int { .. })) {
        add("count cut to 8 bits", s.span, format!("{name}({array}, (u8)({count}){third});"));
    }
    if args.get(1).and_then(Expr::ident).is_some_and(|c| read_behind(f, c, s.span)) {
        add("counter consumed", s.span, format!("{{ {name}({array}, {count}{third}); {count} = 0; }}"));
    }
    add("count one", s.span, format!("{name}({array}, {}{third});", if count == "1" { "2" } else { "1" }));
    add("array shifted", s.span, format!("{name}(({array}) + 1, {count}{third});"));
    if args.len() > 2 {
        let d = arg(2);
        add("dirtying inverted", s.span, format!("{name}({array}, {count}, !({d}));"));
        add("dirtying always", s.span, format!("{name}({array}, {count}, true);"));
        add("dirtying never", s.span, format!("{name}({array}, {count}, false);"));
    } else if let Some(plain) = name.strip_suffix("_dirty_lock") {
        add("dirtying dropped", s.span, format!("{plain}({array}, {count});"));
    } else if name.starts_with("put") {
        add("dirtying added", s.span, format!("{name}_dirty_lock({array}, {count});"));
    } else {
        add("dirtying added", s.span, format!("{name}_dirty_lock({array}, {count}, true);"));
    }
}
