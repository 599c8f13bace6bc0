//! How much of a kernel tree the parser understands: `cargo run --release --example damage -- TREE [-v]`.
//!
//! Over every `.c` file that names `_user_page`: functions that pin or release pages, how many of them are damaged,
//! and which constructs become opaque. `-v` lists the damaged functions.

use gupconv::ast::{ExprKind, StmtKind};
use gupconv::parse::Parser;
use gupconv::split::{self, BodyIndex, ItemKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for e in entries.flatten() {
        let p = e.path();
        match e.file_type() {
            Ok(t) if t.is_dir() => files(&p, out),
            Ok(t) if t.is_file() && p.extension().is_some_and(|x| x == "c") => out.push(p),
            _ => {}
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(tree) = args.next() else {
        eprintln!("usage: damage TREE [-v]");
        return;
    };
    let verbose = args.next().is_some();
    let mut list = Vec::new();
    files(Path::new(&tree), &mut list);
    list.sort();
    let mut parser = Parser::new();
    let mut sets: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut opaque: BTreeMap<String, usize> = BTreeMap::new();
    let (mut opaque_pin, mut seen, mut functions, mut damaged) = (0, 0, 0, 0);
    for path in list {
        let Ok(text) = std::fs::read(&path) else { continue };
        if memchr::memmem::find(&text, b"_user_page").is_none() {
            continue;
        }
        seen += 1;
        for item in split::split(&text) {
            if item.kind != ItemKind::Function {
                continue;
            }
            let Some(f) = parser.function(&text, &item) else { continue };
            functions += 1;
            damaged += usize::from(!f.damage.is_empty());
            let index = BodyIndex::new(&text, f.body.span);
            let pin = |n: &str| n.starts_with("get_user_page") || n.starts_with("pin_user_page");
            let mut groups = Vec::new();
            if index.calls.iter().any(|c| pin(c)) {
                groups.push("pin");
            }
            for (group, prefix) in [
                ("put_page", "put_page"),
                ("release_pages", "release_pages"),
                ("unpin_user_page*", "unpin_user_page"),
                ("put_user_page*", "put_user_page"),
            ] {
                if index.calls.iter().any(|c| c.starts_with(prefix)) {
                    groups.push(group);
                }
            }
            for g in &groups {
                let e = sets.entry(g).or_default();
                e.0 += 1;
                e.1 += usize::from(!f.damage.is_empty());
            }
            if groups.is_empty() {
                continue;
            }
            if verbose && let Some(d) = f.damage.first() {
                let line = gupconv::source::LineMap::new(&text).line(d.start);
                println!("{}:{line}: {} {groups:?} {} places", path.display(), f.name, f.damage.len());
            }
            let mut note = |what: &str, s: gupconv::source::Span| {
                let t: String =
                    s.text(&text).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect();
                *opaque.entry(format!("{what} {t}")).or_default() += 1;
                opaque_pin += usize::from(groups.contains(&"pin"));
            };
            f.body.walk(&mut |s| {
                if matches!(s.kind, StmtKind::Opaque) {
                    note("stmt", s.span);
                }
            });
            f.body.walk_exprs(&mut |e| {
                if matches!(e.kind, ExprKind::Opaque) {
                    note("expr", e.span);
                }
            });
        }
    }
    println!("{seen} files, {functions} functions, {damaged} damaged");
    for (g, (n, d)) in sets {
        println!("{g}: {n} functions, {d} damaged");
    }
    println!("opaque nodes: {}, in functions that pin: {opaque_pin}", opaque.values().sum::<usize>());
    let mut top: Vec<_> = opaque.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (what, n) in top.into_iter().take(if verbose { 60 } else { 10 }) {
        println!("{n:5} {what}");
    }
}
