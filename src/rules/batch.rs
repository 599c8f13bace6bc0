//! One call for a whole loop: what all loop rules share. Which entries, which count, which of the three functions, and
//! what must hold for that to be the same.

use super::analysis::{constant, read_after};
use super::body::{DirtyOp, PageLoop};
use super::comments::lift;
use super::shape::{Bound, Step};
use super::style::{bare, call, comments, condition, indent_of, indent_to, line_end, line_start, one_line, width};
use super::{Change, Form, Rewrite, RuleId, Scene, Unit, guarded_loop};
use crate::ast::{BinOp, Expr, ExprKind};
use crate::plan::{Obligation, ObligationKind};
use crate::source::Span;
use crate::trace::{Context, Dirty};

/// Part of the note on a loop that counted down.
pub const LAST_FIRST: &str = "released the last page first";

/// How the new code dirties.
pub enum Dirtying<'a> {
    /// Not at all.
    Never,
    /// Always, by this function.
    Always(&'static str),
    /// Under these conditions, joined by `&&`.
    When(&'static str, Vec<&'a Expr>),
}

/// The loops that become one call.
pub struct Fold<'a> {
    /// Rule that folds.
    pub rule: &'static str,
    /// What goes: from the first loop to the last.
    pub span: Span,
    /// The loop that drops the pages.
    pub pages: PageLoop<'a>,
    /// The dirtying, from this loop or from one before it.
    pub dirty: Option<DirtyOp<'a>>,
    /// Other loops in the span, whose index must not be read later either.
    pub also: Option<PageLoop<'a>>,
}

/// Folds a loop (or a dirty loop and a put loop) into one call.
pub fn fold(scene: &Scene, unit: &Unit, f: &Fold) -> Option<Rewrite> {
    let p = &f.pages;
    let indent = indent_to(width(indent_of(scene.text, f.span.start)?));
    if f.span.of(scene.text).split(|b| *b == b'\n').any(|l| l.trim_ascii_start().starts_with(b"#")) {
        return None;
    }
    for l in std::iter::once(p).chain(&f.also) {
        let copied = l.copy.and_then(|(n, declared)| (!declared).then_some(n));
        let counted = (!l.walk.declared).then_some(l.walk.index);
        if [copied, counted].iter().flatten().any(|n| read_after(&scene.cfg, scene.function, p.span, n)) {
            return None;
        }
    }
    let ty = scene.types.of(p.entry.array);
    if ty.page_depth().is_some_and(|d| d != 2) || ty.page_depth().is_none() && ty != crate::ast::CType::unknown() {
        return None;
    }
    let at = scene.loc(unit.call.span);
    let mut r = Rewrite::plain(f.rule, vec![]);
    let dirtying = match &f.dirty {
        None => Dirtying::Never,
        Some(d) => {
            let function = dirty_function(scene, unit, d, &mut r)?;
            for c in &d.when {
                r.obligations.push(guarded_loop::pure_condition(scene, unit, c, p));
            }
            if d.when.is_empty() { Dirtying::Always(function) } else { Dirtying::When(function, d.when.clone()) }
        }
    };
    let (array, count) = range(scene, p)?;
    let mut guards: Vec<&Expr> = p.walk.guards.iter().chain(&p.guards).copied().collect();
    if !guards.is_empty() {
        r.rules.push(RuleId("guarded_loop"));
        r.obligations.extend(guards.iter().map(|c| guarded_loop::pure_condition(scene, unit, c, p)));
    }
    if !p.walk.up || p.walk.step == Step::Body {
        r.rules.push(RuleId("countdown_loop"));
    }
    if !p.walk.up {
        r.notes.push(format!(
            "{}() {LAST_FIRST}; now the first one is released first, which makes no difference.",
            scene.function.name
        ));
    }
    let (test, obligation) = super::countdown_loop::length(scene, p, &count, at);
    guards.extend(test);
    r.obligations.extend(obligation);
    if let Some(test) = p.null_test {
        let (rule, obligation, note) = super::null_test::drop(scene, test, &array, &count, at);
        r.rules.push(rule);
        r.obligations.push(obligation);
        r.notes.push(note);
    }
    let comments = comments(scene.text, f.span);
    let (code, form) = statement(scene, &indent, &[array, count], &dirtying, &guards)?;
    let (with, form) = match lift(scene, &comments, &indent, &mut r) {
        None => (code, form),
        Some(above) => (format!("{above}\n{indent}{code}"), Form::Compound),
    };
    r.changes.push(Change { span: f.span, with, form });
    r.changes.extend(Change::indentation(scene, f.span.start));
    Some(r)
}

/// The function that dirties and drops an array, with what it needs; `None` when only the put may change.
pub fn dirty_function(scene: &Scene, unit: &Unit, d: &DirtyOp, r: &mut Rewrite) -> Option<&'static str> {
    if d.kind == Dirty::SetPageDirtyLock {
        return scene.target.dirty_lock();
    }
    if let Some(obligation) = may_sleep(scene, unit, d.callee) {
        r.obligations.push(obligation);
        let function = scene.target.dirty_lock()?;
        r.strengthen(scene, d.callee, d.kind, function);
        return Some(function);
    }
    (d.kind == Dirty::SetPageDirty).then(|| scene.target.dirty_unlocked())?
}

/// The obligation of a call that may start to sleep; `None` where it must not.
pub fn may_sleep(scene: &Scene, unit: &Unit, callee: Span) -> Option<Obligation> {
    let Context { may_be_atomic: false, page_locked: false } = unit.release.context else { return None };
    Some(Obligation {
        kind: ObligationKind::MaySleep,
        at: scene.loc(callee),
        expr: String::new(),
        text: format!(
            "{}() takes the page lock here, so it may sleep and must not hold that lock.",
            scene.function.name
        ),
        discharged: Some("no atomic context and no held page lock was found on the way to this release".into()),
    })
}

/// The sentence for the commit message when the page lock is taken where it was not.
///
/// `set_page_dirty()`: the comment at `set_page_dirty_lock()` in v5.2 mm/page-writeback.c. `SetPageDirty()`: v5.2
/// include/linux/page-flags.h sets the flag, fs/buffer.c `__set_page_dirty_buffers()` does all of it.
///
/// `function` is what is called now: the array functions do not dirty a page again that is dirty already.
pub fn strengthened(scene: &Scene, kind: Dirty, function: &str) -> String {
    let name = &scene.function.name;
    if kind == Dirty::FlagOnly {
        let marks = match function {
            "set_page_dirty_lock" => "set_page_dirty_lock() marks both.".to_string(),
            array => format!(
                "{array}() marks both, by set_page_dirty_lock(), unless the flag is set already: such a page stays as it is, \
                 as before."
            ),
        };
        format!(
            "{name}() called SetPageDirty(), which sets only the flag of the page: neither its buffers nor its mapping \
             is marked, so what was written to a page of a file may never reach the disk. {marks}"
        )
    } else {
        format!(
            "{name}() called set_page_dirty() without the page lock: truncation may free the mapping meanwhile, unless something holds the inode. set_page_dirty_lock() takes the lock."
        )
    }
}

/// The array and the count as arguments.
fn range(scene: &Scene, p: &PageLoop) -> Option<(String, String)> {
    let plain = |e: &Expr| one_line(scene.text, e.span);
    let to = match p.walk.to {
        Bound::Is(e) => operand(scene, e, p),
        Bound::OneMore(e) => match constant(e) {
            Some(n) => (n + 1).to_string(),
            None => format!("{} + 1", operand(scene, e, p)),
        },
        Bound::Const(n) => n.to_string(),
    };
    let (from, count) = match p.walk.from {
        Bound::Const(0) => {
            let whole = match p.walk.to {
                Bound::Is(e) => bare(scene.text, e.span),
                _ => to,
            };
            (None, whole)
        }
        Bound::Const(k) if k > 0 => (Some(k.to_string()), format!("{to} - {k}")),
        Bound::Const(_) => return None,
        Bound::Is(e) | Bound::OneMore(e) => {
            let more = if matches!(p.walk.from, Bound::OneMore(_)) { " + 1" } else { "" };
            let inner = format!("{}{more}", plain(e));
            let minus = if more.is_empty() && is_primary(e) { inner.clone() } else { format!("({inner})") };
            (Some(inner), format!("{to} - {minus}"))
        }
    };
    let array = plain(p.entry.array);
    let wrapped =
        if is_primary(p.entry.array) || array.starts_with('(') { array.clone() } else { format!("({array})") };
    let at = match (p.entry.plus, from) {
        (None, None) => return Some((bare(scene.text, p.entry.array.span), count)),
        (Some(k), None) => bare(scene.text, k.span),
        (None, Some(f)) => f,
        (Some(k), Some(f)) => format!("{} + {f}", operand(scene, k, p)),
    };
    Some((format!("&{wrapped}[{at}]"), count))
}

/// The text of an operand of `+` or `-`.
fn operand(scene: &Scene, e: &Expr, p: &PageLoop) -> String {
    let s = one_line(scene.text, e.span);
    let loose = match &e.kind {
        ExprKind::Binary(op, ..) => !matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Div | BinOp::Rem),
        ExprKind::Cond(..) | ExprKind::Assign(..) => true,
        _ => false,
    };
    let needed =
        !matches!(p.walk.from, Bound::Const(0)) || matches!(p.walk.to, Bound::OneMore(_)) || p.entry.plus.is_some();
    if loose && needed && !s.starts_with('(') { format!("({s})") } else { s }
}

/// Binds tighter than any operator around it.
fn is_primary(e: &Expr) -> bool {
    matches!(
        e.kind,
        ExprKind::Ident(_)
            | ExprKind::Int { .. }
            | ExprKind::Field { .. }
            | ExprKind::Index(..)
            | ExprKind::Call { .. }
    )
}

/// Conditions as the text of an `if`.
pub fn conjunct_texts(scene: &Scene, all: &[&Expr]) -> Vec<String> {
    match all {
        [one] => vec![bare(scene.text, one.span)],
        _ => all
            .iter()
            .map(|c| {
                let s = one_line(scene.text, c.span);
                let loose =
                    matches!(c.kind, ExprKind::Binary(BinOp::Or, ..) | ExprKind::Cond(..) | ExprKind::Assign(..));
                if loose && !s.starts_with('(') { format!("({s})") } else { s }
            })
            .collect(),
    }
}

/// The statement that drops `args` (array and count), dirtied as told, inside the guards. For one page the array is
/// `&page, 1`, and `plain` is what drops it without dirtying.
pub fn release_statement(
    scene: &Scene,
    indent: &str,
    args: &[String],
    dirtying: &Dirtying,
    plain: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, Form)> {
    let three = scene.target.dirty_arity == 3;
    let with = |last: &str| args.iter().cloned().chain([last.to_string()]).collect::<Vec<_>>();
    Some(match dirtying {
        Dirtying::Never => (plain(indent)?, Form::Single),
        Dirtying::Always(f) if three => (call(indent, f, &with("true"), ";"), Form::Single),
        Dirtying::Always(f) => (call(indent, f, args, ";"), Form::Single),
        Dirtying::When(f, when) if three => {
            (call(indent, f, &with(&conjunct_texts(scene, when).join(" && ")), ";"), Form::Single)
        }
        Dirtying::When(f, when) => {
            let deeper = format!("{indent}\t");
            let test = test(scene, indent, when);
            let dirty = call(&deeper, f, args, ";");
            (format!("{test}\n{deeper}{dirty}\n{indent}else\n{deeper}{}", plain(&deeper)?), Form::Compound)
        }
    })
}

/// `if (…)` over the conditions. A line that says just that stays as it is, however long.
fn test(scene: &Scene, indent: &str, conditions: &[&Expr]) -> String {
    let texts = conjunct_texts(scene, conditions);
    let whole = format!("if ({})", texts.join(" && "));
    let line = conditions.first().map(|c| {
        let (start, end) = (line_start(scene.text, c.span.start), line_end(scene.text, c.span.start));
        Span { start, end }.text(scene.text)
    });
    match line {
        Some(line) if line.trim_end() == format!("{indent}{whole}") => whole,
        _ => condition(indent, &texts),
    }
}

fn statement(
    scene: &Scene,
    indent: &str,
    args: &[String],
    dirtying: &Dirtying,
    guards: &[&Expr],
) -> Option<(String, Form)> {
    let batch = scene.target.batch();
    let plain = |indent: &str| Some(call(indent, batch?, args, ";"));
    if guards.is_empty() {
        return release_statement(scene, indent, args, dirtying, &plain);
    }
    let deeper = format!("{indent}\t");
    let test = test(scene, indent, guards);
    Some(match release_statement(scene, &deeper, args, dirtying, &plain)? {
        (code, Form::Single) => (format!("{test}\n{deeper}{code}"), Form::If),
        (code, _) => (format!("{test} {{\n{deeper}{code}\n{indent}}}"), Form::If),
    })
}
