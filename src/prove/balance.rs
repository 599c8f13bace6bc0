//! Where get becomes pin, all of a trace must change, in every function: one page that is taken one way and dropped the
//! other is left with a wrong count (SEMANTICS 3, F1 and F2).
//!
//! The runs compare one changed function at a time, and a function that only releases takes for granted that its pages
//! arrive as pins. This is where that is made sure: every call that takes pages is counted before and after, and every
//! call that drops them.

use super::task::{HeldBy, Task};
use crate::ast::{ExprKind, Function};
use crate::kernel::AcquireKind;
use crate::source::{FileId, LineMap, Loc, Name};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Calls of one function that take or drop pages: plain ones and those of pins.
#[derive(Default)]
struct Count {
    get: usize,
    pin: usize,
    put: usize,
    unpin: usize,
}

impl Count {
    fn of(task: &Task<'_>, f: &Function) -> Self {
        let mut c = Self::default();
        f.body.walk_exprs(&mut |e| {
            let Some((name, _)) = e.call() else { return };
            match task.api.acquire(name).map(|a| a.kind) {
                Some(AcquireKind::Gup) => c.get += 1,
                Some(AcquireKind::Pin) => c.pin += 1,
                _ => {}
            }
            match task.api.release(name) {
                Some(r) if r.converted => c.unpin += 1,
                Some(_) => c.put += 1,
                None => {}
            }
        });
        c
    }
}

/// The story of a page that the plan leaves with a wrong count; `None` when all calls of the trace change together.
pub fn unbalanced(task: &Task<'_>) -> Option<String> {
    if task.held_by != HeldBy::GetToPin {
        return None;
    }
    let acquires =
        by_function(task, &task.acquires, &|n| task.api.acquire(n).is_some_and(|a| a.kind == AcquireKind::Gup));
    let releases = by_function(task, &task.releases, &|n| task.api.release(n).is_some_and(|r| !r.converted));
    for (at, (f, calls)) in &acquires {
        let kept = |k: &Count, n: &Count| n.get + calls.len() > k.get || n.pin < k.pin + calls.len();
        if let Some(name) = left(task, *at, f, calls, &kept) {
            return Some(story(
                task,
                f,
                &name,
                "still takes plain references, which the changed code drops as pins: the count of each page falls by 1023",
            ));
        }
    }
    for (at, (f, calls)) in &releases {
        let kept = |k: &Count, n: &Count| n.put + calls.len() > k.put || n.unpin == 0;
        if let Some(name) = left(task, *at, f, calls, &kept) {
            return Some(story(
                task,
                f,
                &name,
                "still drops one reference where a pin of 1024 is held: 1023 are left on each page, for ever",
            ));
        }
    }
    None
}

type Calls = BTreeMap<(FileId, u32), (Arc<Function>, Vec<(Loc, Name)>)>;

/// The calls at these places that `wanted` names, by function.
fn by_function(task: &Task<'_>, places: &[Loc], wanted: &dyn Fn(&str) -> bool) -> Calls {
    let mut out = Calls::new();
    for &at in places {
        let Some(f) = task.program.function_at(at) else { continue };
        let mut name = None;
        f.body.walk_exprs(&mut |e| {
            if let ExprKind::Call { callee, .. } = &e.kind
                && callee.span == at.span
            {
                name = callee.ident().cloned();
            }
        });
        let Some(name) = name.filter(|n| wanted(n)) else { continue };
        let calls = &mut out.entry((at.file, f.span.start)).or_insert_with(|| (f, Vec::new())).1;
        if !calls.iter().any(|(l, _)| *l == at) {
            calls.push((at, name));
        }
    }
    out
}

/// A call of the function that is as it was, if the function was not changed or `kept` says so.
fn left(
    task: &Task<'_>,
    at: (FileId, u32),
    f: &Function,
    calls: &[(Loc, Name)],
    kept: &dyn Fn(&Count, &Count) -> bool,
) -> Option<String> {
    let changed = task.changed.iter().find(|c| c.file == at.0 && c.before.span.start == at.1);
    let same = changed.is_none_or(|c| kept(&Count::of(task, f), &Count::of(task, &c.after)));
    let (place, name) = calls.first().filter(|_| same)?;
    let line = LineMap::new(&task.program.text(place.file)).line(place.span.start);
    Some(format!("{name}() at {}:{line}", task.program.path(place.file)))
}

fn story(task: &Task<'_>, f: &Function, call: &str, what: &str) -> String {
    let others: Vec<String> = task.changed.iter().map(|c| format!("{}()", c.before.name)).collect();
    let among = if task.changed.iter().any(|c| c.before.name == f.name) { "but not every call in" } else { "but not" };
    let are = if others.len() == 1 { "is" } else { "are" };
    format!(
        "not all calls of the trace change together\n  {} {are} changed, {among} {}()\n  {call} {what}\n",
        others.join(", "),
        f.name
    )
}
