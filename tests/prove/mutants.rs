//! Mutation adequacy: wrong variants of each right rewrite must be refused.
//!
//! Mutants are made of the text after the rewrite, one change each, wherever the shape occurs: count off by one or
//! constant, array shifted, release dropped, doubled or swapped with its neighbour, dirtying dropped, added or
//! inverted, a guard dropped or inverted, a loop bound off by one (F4, F5, F6, F9, F10, F12, F14 of the specification,
//! and what the others come down to). A mutant that does not change behaviour is listed with the reason in
//! `survivors.txt` of the case, one `label: reason` a line; a listed one that is refused is an error, too.

use crate::program::Case;
use gupconv::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind};
use gupconv::parse::function_from_source;
use gupconv::prove::Outcome;
use gupconv::source::Span;
use gupconv::split::{ItemKind, split};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::path::Path;

/// A change: label, bytes replaced, by what.
type Mutant = (String, Span, String);

const RELEASES: &[&str] = &[
    "put_user_page",
    "put_user_pages",
    "put_user_pages_dirty_lock",
    "unpin_user_page",
    "unpin_user_pages",
    "unpin_user_pages_dirty_lock",
];

pub fn check(dir: &Path) -> Result<(), Failed> {
    let case = Case::read(dir)?;
    if !matches!(case.prove().outcome, Outcome::Equal | Outcome::Refined) {
        return Ok(());
    }
    let text = std::fs::read_to_string(dir.join("survivors.txt")).unwrap_or_default();
    let mut argued: BTreeMap<String, bool> =
        text.lines().filter_map(|l| l.split_once(": ")).map(|(k, _)| (k.to_string(), false)).collect();
    let all = mutants(&case);
    let mut wrong = String::new();
    let mut killed = 0;
    for (label, span, with) in &all {
        let mut after = case.after.clone();
        after.splice(span.start as usize..span.end as usize, with.bytes());
        let outcome = case.prove_against(&after).outcome;
        if matches!(outcome, Outcome::Differs | Outcome::Unsupported) {
            killed += 1;
            if argued.contains_key(label) {
                wrong.push_str(&format!("{label}: listed as surviving, but refused\n"));
                argued.insert(label.clone(), true);
            }
        } else if let Some(seen) = argued.get_mut(label) {
            *seen = true;
        } else {
            wrong.push_str(&format!(
                "{label}: survives as {} ({:?} by {with:?})\n",
                outcome.code(),
                span.text(&case.after)
            ));
        }
    }
    for (label, seen) in argued {
        if !seen {
            wrong.push_str(&format!("{label}: listed, but there is no such mutant\n"));
        }
    }
    if std::env::var_os("GUPCONV_MUTANTS").is_some() {
        eprintln!("{}: {killed} of {} mutants refused", dir.display(), all.len());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

fn mutants(case: &Case) -> Vec<Mutant> {
    let mut out = Vec::new();
    for item in split(&case.after).into_iter().filter(|i| i.kind == ItemKind::Function) {
        let (Some(new), old) =
            (function_from_source(&case.after, &item.name), function_from_source(&case.before, &item.name))
        else {
            continue;
        };
        let same = old.is_some_and(|o| o.span.text(&case.before) == new.span.text(&case.after));
        if !same {
            of_function(&new, &case.after, &mut out);
        }
    }
    out
}

fn of_function(f: &Function, text: &[u8], out: &mut Vec<Mutant>) {
    let line = |s: Span| text[..s.start as usize].iter().filter(|&&b| b == b'\n').count() + 1;
    let mut add = |what: &str, at: Span, with: String| out.push((format!("{what}@{}", line(at)), at, with));
    f.body.walk(&mut |s| {
        if let StmtKind::Block(list) = &s.kind {
            neighbours(list, text, &mut add);
        }
        if let StmtKind::If { cond, then, .. } = &s.kind
            && releases(then)
        {
            let c = cond.span.text(text);
            let inner = c.trim_start_matches('(').trim_end_matches(')');
            let _ = inner;
            add("guard inverted", cond.span, format!("(!({c}))"));
            add("guard dropped", cond.span, "(1)".into());
        }
        if let StmtKind::For { init: Some(init), cond: Some(cond), body, .. } = &s.kind
            && releases(body)
        {
            if let ExprKind::Binary(BinOp::Lt, a, b) = &cond.kind {
                add("bound off by one", cond.span, format!("{} <= {}", a.span.text(text), b.span.text(text)));
            }
            if let StmtKind::Expr(Expr { kind: ExprKind::Assign(None, a, b), span }) = &init.kind {
                add("start off by one", *span, format!("{} = {} + 1", a.span.text(text), b.span.text(text)));
            }
        }
        if let StmtKind::Expr(e) = &s.kind {
            call(s, e, text, &mut add);
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

fn call(s: &Stmt, e: &Expr, text: &[u8], add: &mut dyn FnMut(&str, Span, String)) {
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
    if args.len() < 2 {
        let dirty = if name.starts_with("put") { "set_page_dirty_lock" } else { "set_page_dirty_lock" };
        add("dirtying added", s.span, format!("{{ {dirty}({array}); {name}({array}); }}"));
        return;
    }
    let third = if args.len() > 2 { format!(", {}", arg(2)) } else { String::new() };
    add("count plus one", s.span, format!("{name}({array}, ({count}) + 1{third});"));
    add("count minus one", s.span, format!("{name}({array}, ({count}) - 1{third});"));
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
