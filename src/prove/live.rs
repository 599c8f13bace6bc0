//! Which locals the code behind a place still reads.
//!
//! Only the version after the rewrite is asked: a variable that it never reads again may differ. Variables whose
//! address is taken, arrays and structs count as read.

use super::code::{Code, Op};
use super::value::{NameId, World};
use crate::ast::{CType, Expr, ExprKind, UnOp};
use rustc_hash::{FxHashMap, FxHashSet};

type Set = FxHashSet<NameId>;

/// Locals that may be read from each operation on.
pub fn live_in(w: &mut World, code: &Code, types: &FxHashMap<NameId, CType>) -> Vec<Set> {
    let n = code.ops.len();
    let mut uses = Vec::with_capacity(n);
    let mut defs = Vec::with_capacity(n);
    let mut always = Set::default();
    for (&name, t) in types {
        if !t.dims.is_empty() || (t.ptr == 0 && t.tag().is_some()) {
            always.insert(name);
        }
    }
    for op in &code.ops {
        let (mut u, mut d) = (Set::default(), None);
        match op {
            Op::Eval(e) | Op::Branch { cond: e, .. } | Op::Return(Some(e)) => read(w, e, &mut u, &mut d, &mut always),
            Op::Switch { value, cases, .. } => {
                read(w, value, &mut u, &mut d, &mut always);
                for (a, b, _) in cases {
                    read(w, a, &mut u, &mut None, &mut always);
                    if let Some(b) = b {
                        read(w, b, &mut u, &mut None, &mut always);
                    }
                }
            }
            Op::Iterate { args, .. } => {
                for (i, a) in args.iter().enumerate() {
                    // The cursor is set by the macro, not read.
                    if i == 0 && a.ident().is_some() {
                        continue;
                    }
                    read(w, a, &mut u, &mut None, &mut always);
                }
            }
            Op::Decl(v) => {
                if let Some(e) = &v.init {
                    read(w, e, &mut u, &mut None, &mut always);
                }
                d = Some(w.name(&v.name));
            }
            _ => {}
        }
        uses.push(u);
        defs.push(d);
    }
    let mut live: Vec<Set> = vec![Set::default(); n + 1];
    loop {
        let mut changed = false;
        for pc in (0..n).rev() {
            let mut out = Set::default();
            code.next(pc, &mut |to| {
                if let Some(s) = live.get(to) {
                    out.extend(s.iter().copied());
                }
            });
            if let Some(d) = defs[pc] {
                out.remove(&d);
            }
            out.extend(uses[pc].iter().copied());
            if out.len() != live[pc].len() {
                live[pc] = out;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for s in &mut live {
        s.extend(always.iter().copied());
    }
    live
}

/// Names read by an expression; the one that it certainly sets as a whole.
fn read(w: &mut World, e: &Expr, uses: &mut Set, def: &mut Option<NameId>, always: &mut Set) {
    match &e.kind {
        ExprKind::Assign(None, a, b) => {
            read(w, b, uses, &mut None, always);
            match a.ident() {
                Some(n) => *def = Some(w.name(n)),
                None => read(w, a, uses, &mut None, always),
            }
        }
        ExprKind::Ident(n) => {
            uses.insert(w.name(n));
        }
        ExprKind::Unary(UnOp::AddrOf, x) => {
            if let Some(n) = x.ident() {
                always.insert(w.name(n));
            }
            read(w, x, uses, &mut None, always);
        }
        ExprKind::StmtExpr(s) => s.walk_exprs(&mut |x| {
            if let Some(n) = x.ident() {
                uses.insert(w.name(n));
            }
        }),
        _ => e.children(&mut |c| read(w, c, uses, &mut None, always)),
    }
}
