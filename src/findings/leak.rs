//! Pages that an error path of the code as it is leaves behind: "a path without release".
//!
//! Three forms are told, each with all of its parts to be seen in one function; whatever is not understood is no
//! finding. The path is not run: it says nothing of releases that the trace does not know.

mod mapping;
mod short;
mod stale;

pub use mapping::mapping_left;
pub use short::{released_beyond, short_pin};
pub use stale::{Stale, released_again};

use super::strip;
use crate::ast::{BinOp, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::kernel::Api;
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::trace::{Custody, PinSite, PinTrace};

/// Ways out of a function on which the same pinned pages are lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leak {
    /// The function.
    pub function: Name,
    /// The jumps, in the order of the text; there is one at least.
    pub at: Vec<Loc>,
    /// What is lost, for a sentence.
    pub what: String,
}

/// The first path of the trace that loses pages.
pub fn leak(program: &dyn Program, c: &Custody, t: &PinTrace) -> Option<Leak> {
    let site = c.sites.get(t.site.0 as usize)?;
    let f = program.function_at(site.at)?;
    let text = program.text(site.at.file);
    let seen = Seen { c, t, text: &text };
    if !f.damage.is_empty() {
        return None;
    }
    let found = seen.uncounted(&f, site).or_else(|| {
        let array = named(&f, site.call)?
            .iter()
            .find(|a| ident(a).is_some_and(|n| site.pages.as_ref().is_some_and(|p| *p.0 == **n)))?;
        seen.array_freed(&f, site.call, ident(array)?, site.result.as_deref())
    });
    if let Some((at, what)) = found {
        return Some(Leak::of(&f, site.at.file, at, what));
    }
    // The array came from a caller, which frees it.
    let position = f.params.iter().position(|p| site.pages.as_ref().is_some_and(|s| *s.0 == *p.name))?;
    if !only_pins(&f, site, &f.params[position].name) {
        return None;
    }
    t.functions.iter().filter(|l| l.file == site.at.file).find_map(|l| {
        let caller = program.function_at(*l).filter(|g| g.name != f.name && g.damage.is_empty())?;
        let call = only_call(&caller, &f.name)?;
        let array = ident(named(&caller, call)?.get(position)?)?;
        let (at, what) = seen.array_freed(&caller, call, array, None)?;
        Some(Leak::of(&caller, l.file, at, what))
    })
}

impl Leak {
    fn of(function: &Function, file: FileId, at: Vec<Span>, what: String) -> Self {
        let at = at.into_iter().map(|span| Loc { file, span }).collect();
        Self { function: function.name.clone(), at, what }
    }
}

struct Seen<'a> {
    c: &'a Custody,
    t: &'a PinTrace,
    text: &'a [u8],
}

impl Seen<'_> {
    fn plain(&self, e: &Expr) -> String {
        let t: String = e.span.text(self.text).split_whitespace().collect();
        t.strip_prefix('(').and_then(|s| s.strip_suffix(')')).map_or(t.clone(), String::from)
    }

    /// One page is pinned into the slot after those that a counter counts. Something fails before it counts the page,
    /// and the releases behind the label go by the counter.
    fn uncounted(&self, f: &Function, site: &PinSite) -> Option<(Vec<Span>, String)> {
        let slot = site.pages.as_ref().filter(|_| site.count.as_ref().is_some_and(|c| c.0 == "1"))?;
        let around = enclosing(&f.body, site.call);
        let inner = around.iter().rposition(|s| body(s).is_some())?;
        let StmtKind::Block(list) = &body(around[inner])?.kind else { return None };
        let pin = list.iter().position(|s| s.span.contains(site.call))?;
        let counted = |s: &Stmt| match &s.kind {
            StmtKind::Expr(e) => match &e.kind {
                ExprKind::IncDec { inc: true, operand, .. } => Some(self.plain(operand)),
                _ => None,
            },
            _ => None,
        };
        // `pages + i` with `i = obj->n` before it in the loop, or `pages + obj->n`.
        let stands_for = |counter: &str| {
            slot.0.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| {
                w == counter
                    || list[..pin].iter().any(|s| match &s.kind {
                        StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, from), .. }) => {
                            ident(to).is_some_and(|n| **n == *w) && self.plain(from) == counter
                        }
                        _ => false,
                    })
            })
        };
        let (count, counter) =
            (pin + 1..list.len()).find_map(|j| counted(&list[j]).filter(|c| stands_for(c)).map(|c| (j, c)))?;
        let lost = list[pin + 1..count].iter().enumerate().filter_map(|(k, s)| {
            let StmtKind::If { cond, then, els: None } = &s.kind else { return None };
            let (label, at) = jump(then)?;
            // Asks something that was found out after the page was there, and drops nothing by itself.
            let late = |e: &Expr| set_by_call(&list[pin + 1..pin + 1 + k], e);
            if !late(cond) || calls_release(then) {
                return None;
            }
            let first = label_at(f, label)?;
            let mut behind = self
                .t
                .releases
                .iter()
                .filter_map(|r| self.c.releases.get(r.0 as usize))
                .filter(|r| r.at.file == site.at.file && f.span.contains(r.call) && r.call.start > first)
                .peekable();
            behind.peek()?;
            behind.all(|r| self.goes_by(f, r.call, &counter)).then_some(at)
        });
        let lost: Vec<Span> = lost.collect();
        let what = format!("the page that was pinned last, which `{counter}` does not count yet");
        (!lost.is_empty()).then_some((lost, what))
    }

    /// `for (i = 0; i < counter; i++)` around the release.
    fn goes_by(&self, f: &Function, release: Span, counter: &str) -> bool {
        enclosing(&f.body, release).iter().any(|s| match &s.kind {
            StmtKind::For { cond: Some(c), .. } => {
                matches!(&c.kind, ExprKind::Binary(BinOp::Lt, _, limit) if self.plain(limit) == counter)
            }
            _ => false,
        })
    }

    /// Behind the pin an allocation fails, and the array of the pages is freed, which nobody else has got. It may stand
    /// in a loop that hands the pages of one pin on in pieces, and counts the result down: what is lost is the rest.
    fn array_freed(&self, f: &Function, pin: Span, array: &Name, result: Option<&str>) -> Option<(Vec<Span>, String)> {
        let api = Api::get();
        // All that was said of the array until then: it was allocated, tested, and pinned into.
        let (mut mentions, mut members) = (Vec::new(), Vec::new());
        f.body.walk_exprs(&mut |e| {
            if ident(e) == Some(array) {
                mentions.push(e.span);
            }
            let member = e.call().and_then(|(n, args)| args.get(api.member_name(n)?));
            members.extend(member.map(|m| m.span));
        });
        mentions.retain(|m| !members.contains(m));
        let mut known = vec![pin];
        let mut fresh = false;
        f.body.walk_exprs(&mut |e| match &e.kind {
            ExprKind::Assign(None, to, from) if ident(to) == Some(array) => {
                let new = strip(from).call().is_some_and(|(n, _)| api.is_fresh(n));
                fresh |= new;
                if new {
                    // `pages = kcalloc(n, sizeof(*pages), …)`
                    known.push(e.span);
                }
            }
            _ => {}
        });
        let mut list_of = Vec::new();
        f.body.walk(&mut |s| match &s.kind {
            StmtKind::If { cond, .. } => known.push(cond.span),
            StmtKind::Block(list) => list_of.push(list),
            StmtKind::Decl(vars) => {
                let own = vars.iter().filter(|v| v.name == *array);
                fresh |= own.filter_map(|v| v.init.as_ref()).any(|i| i.call().is_some_and(|(n, _)| api.is_fresh(n)));
            }
            _ => {}
        });
        if !fresh || f.params.iter().any(|p| p.name == *array) {
            return None;
        }
        let untold = |from: u32, to: u32| {
            mentions.iter().filter(|m| m.start >= from && m.end <= to).all(|m| known.iter().any(|k| k.contains(*m)))
        };
        list_of.into_iter().find_map(|list| {
            let pair = list.windows(2).find(|w| w[0].span.start > pin.end && failed_allocation(&w[0], &w[1]))?;
            let StmtKind::If { then, .. } = &pair[1].kind else { return None };
            let (label, at) = jump(then)?;
            let first = label_at(f, label)?;
            let end = f.body.span.end;
            let way = reached(&f.body, pin, pair[1].span, result)?;
            untold(f.body.span.start, then.span.start).then_some(())?;
            // From the label to the end, the array is freed and nothing else happens to it.
            let mut frees = Vec::new();
            let mut drops = calls_release(then);
            f.body.walk_exprs(&mut |e| {
                let Some((n, args)) = e.call() else { return };
                if e.span.start > first || then.span.contains(e.span) {
                    drops |= api.release(n).is_some();
                    if api.is_free(n) && args.first().and_then(|a| ident(strip(a))) == Some(array) {
                        frees.push(e.span);
                    }
                }
            });
            let after = |m: &&Span| m.start > first && m.end <= end;
            let only_freed = mentions
                .iter()
                .filter(after)
                .all(|m| frees.iter().any(|s| s.contains(*m)) || known.iter().any(|k| k.contains(*m) && *k != pin));
            (!drops && !frees.is_empty() && only_freed).then(|| {
                let what = match way {
                    Way::Straight => format!("the pages in `{array}`, which is freed"),
                    Way::Loop => format!("the pages that are only in `{array}`, which is freed"),
                };
                (vec![at], what)
            })
        })
    }
}

/// `x = kmalloc(…);` and `if (!x) …`.
fn failed_allocation(alloc: &Stmt, test: &Stmt) -> bool {
    let StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, from), .. }) = &alloc.kind else { return false };
    let StmtKind::If { cond, els: None, .. } = &test.kind else { return false };
    let ExprKind::Unary(UnOp::Not, of) = &cond.kind else { return false };
    let memory = from.call().is_some_and(|(n, _)| Api::get().is_fresh(n) && n.contains("alloc"));
    memory && ident(to).is_some() && ident(to) == ident(of)
}

/// How a pin that succeeded comes to a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Straight,
    /// In the first round of a loop that runs while the result of the pin is not 0.
    Loop,
}

/// Whether a pin that succeeded comes to a place: each `if` around the place alone is passed on its `else` side, behind
/// a test that the pin failed (`n <= 0`, `n == -EFAULT`), and a loop runs for as long as there are pages of it.
fn reached(body: &Stmt, pin: Span, place: Span, result: Option<&str>) -> Option<Way> {
    let mut way = Way::Straight;
    let own = |e: &Expr| ident(e).is_some_and(|n| result == Some(&**n));
    for s in enclosing(body, place).into_iter().filter(|s| !s.span.contains(pin) && s.span != place) {
        match &s.kind {
            StmtKind::If { cond, els: Some(els), .. } if els.span.contains(place) => match &cond.kind {
                ExprKind::Binary(BinOp::Lt | BinOp::Le, _, b) if matches!(b.kind, ExprKind::Int { value: 0, .. }) => {}
                ExprKind::Binary(BinOp::Eq, _, b) if matches!(b.kind, ExprKind::Unary(UnOp::Neg, _)) => {}
                _ => return None,
            },
            StmtKind::Block(_) => {}
            StmtKind::While { cond, .. } if own(cond) => {
                let mut set = false;
                body.walk_exprs(&mut |e| {
                    if let ExprKind::Assign(_, to, _) | ExprKind::IncDec { operand: to, .. } = &e.kind {
                        set |= own(to) && e.span.start > pin.end && e.span.end < s.span.start;
                    }
                });
                if set {
                    return None;
                }
                way = Way::Loop;
            }
            _ => return None,
        }
    }
    Some(way)
}

/// Whether a function does nothing with its array parameter but pin into it, test it and release it.
fn only_pins(f: &Function, site: &PinSite, array: &Name) -> bool {
    let mut mentions = Vec::new();
    let mut known = vec![site.call];
    f.body.walk_exprs(&mut |e| {
        if ident(e) == Some(array) {
            mentions.push(e.span);
        }
        if e.call().is_some_and(|(n, _)| Api::get().release(n).is_some()) {
            known.push(e.span);
        }
    });
    mentions.iter().all(|m| known.iter().any(|k| k.contains(*m)))
}

fn ident(e: &Expr) -> Option<&Name> {
    e.ident()
}

/// The arguments of the call at a place.
fn named(f: &Function, call: Span) -> Option<&[Expr]> {
    let mut found = None;
    f.body.walk_exprs(&mut |e| {
        if e.span == call {
            found = e.call().map(|(_, args)| args);
        }
    });
    found
}

/// The one call of a function.
fn only_call(f: &Function, name: &Name) -> Option<Span> {
    let mut found = Vec::new();
    f.body.walk_exprs(&mut |e| {
        if e.call().is_some_and(|(n, _)| n == name) {
            found.push(e.span);
        }
    });
    (found.len() == 1).then(|| found[0])
}

/// The body of a loop.
fn body(s: &Stmt) -> Option<&Stmt> {
    match &s.kind {
        StmtKind::For { body, .. } | StmtKind::While { body, .. } | StmtKind::DoWhile { body, .. } => Some(body),
        _ => None,
    }
}

/// Statements around a place, outermost first.
fn enclosing(body: &Stmt, at: Span) -> Vec<&Stmt> {
    let mut path = Vec::new();
    let mut here = Some(body);
    while let Some(s) = here {
        path.push(s);
        here = None;
        s.children(&mut |c| {
            if c.span.contains(at) && here.is_none() {
                here = Some(c);
            }
        });
    }
    path
}

/// The jump that a branch ends in.
fn jump(s: &Stmt) -> Option<(&Name, Span)> {
    match &s.kind {
        StmtKind::Goto(n) => Some((n, s.span)),
        StmtKind::Block(v) => v.last().and_then(jump),
        _ => None,
    }
}

/// Where a label of the function's own block stands.
fn label_at(f: &Function, label: &Name) -> Option<u32> {
    let StmtKind::Block(list) = &f.body.kind else { return None };
    list.iter().find(|s| matches!(&s.kind, StmtKind::Label(n) if n == label)).map(|s| s.span.start)
}

fn calls_release(s: &Stmt) -> bool {
    let mut found = false;
    s.walk_exprs(&mut |e| found |= e.call().is_some_and(|(n, _)| Api::get().release(n).is_some()));
    found
}

/// Whether a condition is about something that a call in these statements gave.
fn set_by_call(before: &[Stmt], cond: &Expr) -> bool {
    before.iter().any(|s| match &s.kind {
        StmtKind::Expr(Expr { kind: ExprKind::Assign(None, to, from), .. }) if from.call().is_some() => {
            let mut about = false;
            cond.walk(&mut |e| about |= e.ident().is_some() && e.ident() == to.ident());
            about
        }
        _ => false,
    })
}
