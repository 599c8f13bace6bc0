//! Defects that the function of a pin shows by itself: a negative count that becomes a huge one, data that is written
//! and never dirtied.
//!
//! Each is said only where nothing in the function speaks against it; what callers and callees do about it is not
//! known, so whatever could help counts as help.

use super::strip;
use crate::ast::{Base, BinOp, CType, Expr, ExprKind, Function, StmtKind};
use crate::kernel::{AcquireKind, Api};
use crate::lex;
use crate::program::Program;
use crate::source::{FileId, Loc, Span};
use crate::trace::{Custody, Dirty, Holder, PinSite, PinTrace, Use, UseKind, When, Writes};
use std::collections::BTreeSet;

/// The count that the pin returns may be negative, and reaches an unsigned count of a release unchecked.
pub fn negative_count(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let Some(f) = program.function_at(site.at).filter(|f| f.damage.is_empty()) else { return false };
    let Some(result) = site.result.as_deref() else { return false };
    let Some(ty) = local_type(&f, result) else { return false };
    let text = program.text(site.at.file);
    let is_result = |e: &Expr| e.ident().is_some_and(|n| **n == *result);
    if sign_tested(&f, result, &ty, &text, &[]) {
        return false;
    }
    let mut found = false;
    f.body.walk_exprs(&mut |e| {
        let Some((name, args)) = e.call() else { return };
        if e.span.start < site.call.end {
            return;
        }
        let count = args.iter().position(is_result);
        let Some(k) = count else { return };
        found |= match Api::get().release(name) {
            // The count of release_pages() is an int: a negative one does nothing.
            Some(r) => r.count == Some(k) && r.converted && r.batch,
            None => {
                let ours = t.releases.iter().any(|r| c.releases[r.0 as usize].function == *name);
                let callee = program.function(site.at.file, name).filter(|_| ours);
                callee.is_some_and(|(_, f)| f.params.get(k).is_some_and(|p| unsigned(&p.ty)))
            }
        };
    });
    // An unsigned result is huge wherever it is used as a bound.
    found || unsigned(&ty) && released_up_to(&f, c, t, site, result)
}

/// A negative result passes for a full one: it is compared with an unsigned count, and by nothing else. The release
/// then runs over entries that no pin has written.
pub fn failure_passes(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let Some(f) = program.function_at(site.at).filter(|f| f.damage.is_empty()) else { return false };
    let (Some(result), Some((count, _))) = (site.result.as_deref(), &site.count) else { return false };
    let (Some(ty), Some(of)) = (local_type(&f, result), local_type(&f, count)) else { return false };
    let wide = |t: &CType| if let Base::Int { bits, .. } = t.base { bits } else { 0 };
    let signed = ty.ptr == 0 && matches!(ty.base, Base::Int { signed: true, .. });
    let text = program.text(site.at.file);
    if !signed || !unsigned(&of) || wide(&of) < wide(&ty) {
        return false;
    }
    let is = |e: &Expr, name: &str| strip(e).ident().is_some_and(|n| **n == *name);
    let fewer = |e: &Expr| match &strip(e).kind {
        ExprKind::Binary(BinOp::Lt, a, b) => is(a, result) && is(b, count),
        ExprKind::Binary(BinOp::Gt, a, b) => is(a, count) && is(b, result),
        _ => false,
    };
    // Behind the comparison the result is small and not negative: a test of the sign comes too late.
    let mut late: Vec<Span> = Vec::new();
    f.body.walk(&mut |s| match &s.kind {
        StmtKind::If { cond, then, .. } if fewer(cond) => late.push(then.span),
        _ => {}
    });
    if sign_tested(&f, result, &ty, &text, &late) {
        return false;
    }
    let (mut less, mut other) = (0, false);
    f.body.walk_exprs(&mut |e| match &e.kind {
        _ if late.iter().any(|s| s.contains(e.span)) => {}
        ExprKind::Binary(..) if fewer(e) => less += 1,
        ExprKind::Binary(_, a, b) => other |= is(a, result) || is(b, result),
        _ => {}
    });
    let mut released = t.releases.iter().map(|r| &c.releases[r.0 as usize]).filter(|r| r.at.file == site.at.file);
    less == 1 && !other && released.any(|r| r.function == f.name && bounded_by(&f, r.call, count))
}

/// The call is the body of a loop up to the variable, or a batch of as many.
fn bounded_by(f: &Function, call: Span, count: &str) -> bool {
    let is = |e: &Expr| e.ident().is_some_and(|n| **n == *count);
    let mut found = false;
    f.body.walk(&mut |s| {
        if let StmtKind::For { cond: Some(cond), body, .. } = &s.kind
            && body.span.contains(call)
        {
            let mut guarded = false;
            body.walk(&mut |s| {
                if let StmtKind::If { .. } = &s.kind {
                    guarded |= s.span.contains(call);
                }
            });
            found |= !guarded && matches!(&cond.kind, ExprKind::Binary(BinOp::Lt, _, n) if is(n));
        }
    });
    f.body.walk_exprs(&mut |e| {
        if e.span == call
            && let Some((name, args)) = e.call()
        {
            let count = Api::get().release(name).and_then(|r| args.get(r.count?));
            found |= count.is_some_and(is);
        }
    });
    found
}

fn unsigned(t: &CType) -> bool {
    t.ptr == 0 && matches!(t.base, Base::Int { signed: false, .. })
}

/// Something looks at the sign of the result, or makes a signed number of it, but in places where that is too late.
fn sign_tested(f: &Function, result: &str, ty: &CType, text: &[u8], late: &[Span]) -> bool {
    let is_result = |e: &Expr| e.ident().is_some_and(|n| **n == *result);
    let mut tested = false;
    f.body.walk_exprs(&mut |e| match &e.kind {
        _ if late.iter().any(|s| s.contains(e.span)) => {}
        ExprKind::Cast(_, a) => tested |= is_result(strip(a)),
        ExprKind::Call { .. } => {
            tested |= e.call().is_some_and(|(n, a)| n.starts_with("IS_ERR") && a.iter().any(is_result))
        }
        ExprKind::Binary(_, a, b) if !unsigned(ty) => {
            let small = |e: &Expr| matches!(crate::sites::one_line(strip(e).span, text).as_str(), "0" | "1" | "-1");
            tested |= is_result(strip(a)) && small(b) || is_result(strip(b)) && small(a);
        }
        _ => {}
    });
    tested || !unsigned(ty) && bare_test(f, result)
}

/// A release on an error path whose count, or whose bound, is the result.
fn released_up_to(f: &Function, c: &Custody, t: &PinTrace, site: &PinSite, result: &str) -> bool {
    let names_it = |e: &Expr| e.ident().is_some_and(|n| **n == *result);
    t.releases
        .iter()
        .map(|r| &c.releases[r.0 as usize])
        // Where all goes well the number is the one that was asked for.
        .filter(|r| r.at.file == site.at.file && r.function == f.name && r.when != When::Normal)
        // The count of release_pages() is an int: a negative one does nothing.
        .filter(|r| &*r.callee != "release_pages")
        .any(|r| {
            let mut found = false;
            f.body.walk(&mut |s| {
                if let StmtKind::For { cond: Some(cond), .. } | StmtKind::While { cond, .. } = &s.kind
                    && s.span.contains(r.call)
                {
                    cond.walk(&mut |e| found |= names_it(e));
                }
            });
            f.body.walk_exprs(&mut |e| {
                if e.span == r.call {
                    found |= e.call().is_some_and(|(_, args)| args.iter().any(names_it));
                }
            });
            found
        })
}

/// `if (got)`: a test of the number alone.
fn bare_test(f: &Function, result: &str) -> bool {
    let mut found = false;
    let mut see = |e: &Expr| found |= strip(e).ident().is_some_and(|n| **n == *result);
    f.body.walk(&mut |s| match &s.kind {
        StmtKind::If { cond, .. } | StmtKind::While { cond, .. } => see(cond),
        _ => {}
    });
    found
}

fn local_type(f: &Function, name: &str) -> Option<CType> {
    let mut found = None;
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(vars) = &s.kind {
            found = vars.iter().find(|v| *v.name == *name).map(|v| v.ty.clone()).or(found.take());
        }
    });
    found
}

/// Pages that were asked for to be written to are dirtied by no release, and by nobody else who gets them: all of them
/// are known and were looked at.
pub fn undirtied(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let api = Api::get();
    let own = api.acquire(&site.api).is_some_and(|a| matches!(a.kind, AcquireKind::Gup | AcquireKind::Pin));
    if !own || matches!(site.writes, Writes::Never | Writes::Unknown) || !t.gaps.is_empty() || t.releases.is_empty() {
        return false;
    }
    // In a bio, an iterator or another request they go to code that was not looked at.
    let request = |h: &Holder| h.text.split_once('.').is_some_and(|(tag, _)| api.is_request(tag));
    let handed_on = |u: &Use| matches!(u.kind, UseKind::HandedOn | UseKind::ExtraReference);
    if t.holders.iter().any(request) || t.uses.iter().any(handed_on) {
        return false;
    }
    let released = t.releases.iter().map(|r| &c.releases[r.0 as usize]);
    let mut places: Vec<Loc> = t.functions.clone();
    places.push(site.at);
    let mut files: BTreeSet<FileId> = places.iter().map(|at| at.file).collect();
    for r in released {
        if r.dirty != Dirty::None {
            return false;
        }
        files.insert(r.at.file);
        places.push(r.at);
    }
    // Beside the functions of the trace, their files: what a page goes to by an address of it is not in the trace.
    let marks = |word: &[u8]| {
        std::str::from_utf8(word)
            .is_ok_and(|w| api.dirty(w).is_some() || api.release(w).is_some_and(|r| r.dirty() != Dirty::None))
    };
    !dirtied(program, places)
        && files.into_iter().all(|file| {
            let text = program.text(file);
            lex::code(&text).all(|token| !marks(token.word(&text)))
        })
}

/// One of the functions at these places has a call that marks pages dirty, by its name at least, or cannot be read.
fn dirtied(program: &dyn Program, places: Vec<Loc>) -> bool {
    places.into_iter().filter_map(|at| program.function_at(at)).any(|f| {
        let mut dirties = !f.damage.is_empty();
        f.body.walk_exprs(&mut |e| {
            let call = e.call().map(|(n, _)| n);
            // By name, too: `set_folio_dirty()` of a driver, a release of its own that dirties.
            dirties |= call.is_some_and(|n| Api::get().dirty(n).is_some() || n.to_ascii_lowercase().contains("dirty"));
        });
        dirties
    })
}

/// The processor writes into pages that it pinned for writing, and nothing in the trace ever dirties them.
pub fn never_dirtied(program: &dyn Program, c: &Custody, t: &PinTrace, site: &PinSite) -> bool {
    let api = Api::get();
    // What may not be written, or belongs to an iterator over whatever, is no matter of this site.
    let own = api.acquire(&site.api).is_some_and(|a| matches!(a.kind, AcquireKind::Gup | AcquireKind::Pin));
    if !own || site.writes != Writes::Always || !t.gaps.is_empty() || !t.by_number.is_empty() || t.releases.is_empty() {
        return false;
    }
    let written = t.uses.iter().any(|u| u.kind == UseKind::Write);
    let released = t.releases.iter().map(|r| &c.releases[r.0 as usize]);
    let mut places: Vec<_> = t.functions.iter().copied().chain(released.map(|r| r.at)).collect();
    places.push(site.at);
    written && !dirtied(program, places)
}
