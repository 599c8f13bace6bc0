//! `get_user_pages*()` becomes `pin_user_pages*()`, in trees where pinned pages are counted apart.
//!
//! # What it does
//! Changes the name of the acquiring function to its twin in the same plan as all releases, and takes `FOLL_GET` and
//! `FOLL_TOUCH` out of the flags. White space behind a cast on that line goes, as checkpatch wants it; for the same
//! reason arguments on the lines below come to stand under the first one, where each fits there. The argument list of
//! the twin is the same in every tree that has it; a tree in which it is not has no twin for this rule.
//!
//! # Why
//! Where `unpin_user_page()` exists, it drops a pin and not a reference: acquire and release must change together, or
//! every page is left with a wrong count. `FOLL_GET` with `pin_user_pages*()` is an error at run time.
//!
//! # Example
//! ```c
//! ret = get_user_pages_unlocked(start, npages, pages, FOLL_WRITE | FOLL_GET);
//! ```
//! becomes
//! ```c
//! ret = pin_user_pages_unlocked(start, npages, pages, FOLL_WRITE);
//! ```
//!
//! # Fix safety
//! Only with all releases of the pin, and only if the tree has the twin. Flags that are put together elsewhere must not
//! hold a flag that the twin refuses. `get_user_pages()` sets `FOLL_TOUCH`, which dirties a page that is pinned for
//! writing, and `pin_user_pages()` does not; without a release that dirties there is no plan.

use super::style::{bare, comments, fits, identifiers, indent_to, line_end, line_start, one_line, width};
use super::{Change, Form, Scene};
use crate::ast::{Base, ExprKind};
use crate::plan::Target;
use crate::source::Span;
use crate::trace::PinSite;

/// Flags that a caller of `pin_user_pages*()` must not give (v5.7 and v6.12 mm/gup.c).
const REFUSED: [&str; 3] = ["FOLL_GET", "FOLL_TOUCH", "FOLL_PIN"];

/// The twin of an acquiring function, if the tree has it.
pub fn twin(target: &Target, api: &str) -> Option<String> {
    let rest = api.strip_prefix("get_user_pages")?;
    let new = format!("pin_user_pages{rest}");
    target.available.contains(&new).then_some(new)
}

/// The changes of the call.
///
/// # Errors
/// What stands in the way, one sentence.
pub fn rewrite(scene: &Scene, site: &PinSite) -> Result<Vec<Change>, String> {
    let no_twin = || format!("{}() has no pin_user_pages*() twin in this tree.", site.api);
    let with = twin(scene.target, &site.api).ok_or_else(no_twin)?;
    if site.at.span.of(scene.text) != site.api.as_bytes() {
        return Err(format!("{}() is not called by its name here.", site.api));
    }
    let mut changes = vec![Change { span: site.at.span, with, form: Form::Part }];
    changes.extend(flags(scene, site)?);
    let more: Vec<Change> = casts(scene, site).filter(|c| !changes.iter().any(|o| o.span.contains(c.span))).collect();
    changes.extend(more);
    // Where only the name changes, the lines below are as they were.
    if let [_] = changes.as_slice() {
        changes.extend(aligned(scene, site));
    }
    Ok(changes)
}

/// The white space in front of the arguments below the line of the call that do not stand under the first one; or all
/// of these arguments, where a line would be too long. None when anything but whole arguments begins there. The
/// twin's name has the length of the old one.
fn aligned(scene: &Scene, site: &PinSite) -> Vec<Change> {
    let text = scene.text;
    let mut arguments = Vec::new();
    scene.function.body.walk_exprs(&mut |call| {
        if let ExprKind::Call { callee, args } = &call.kind
            && callee.span == site.at.span
        {
            arguments.extend(args.iter().map(|a| a.span));
        }
    });
    let Some(first) = arguments.first() else { return Vec::new() };
    let head = Span { start: line_start(text, site.at.span.start), end: first.start }.text(text);
    if head.contains('\n') || !comments(text, site.call).is_empty() {
        return Vec::new();
    }
    let with = indent_to(width(&head));
    let mut out = Vec::new();
    let mut at = line_end(text, site.at.span.start);
    while at < site.call.end {
        let end = line_end(text, at);
        let line = Span { start: at, end }.text(text);
        let code = line.trim_start();
        let start = at + (line.len() - code.len()) as u32;
        if !arguments.iter().any(|a| a.start == start) {
            return Vec::new();
        }
        if !fits(&format!("{with}{}", code.trim_end())) {
            return laid_out(scene, site, &arguments, &with).into_iter().collect();
        }
        if line[..line.len() - code.len()] != with {
            out.push(Change { span: Span { start: at, end: start }, with: with.clone(), form: Form::Part });
        }
        at = end;
    }
    out
}

/// The arguments below the line of the call, on as many lines as they need under the first one. None when one of them
/// does not fit on a line.
fn laid_out(scene: &Scene, site: &PinSite, arguments: &[Span], under: &str) -> Option<Change> {
    let text = scene.text;
    let start = line_end(text, site.at.span.start);
    let span = Span { start, end: site.call.end };
    let below: Vec<&Span> = arguments.iter().filter(|a| a.start >= start).collect();
    let behind = Span { start: site.call.end, end: line_end(text, site.call.end) }.text(text);
    let (mut done, mut line) = (String::new(), String::new());
    for (i, argument) in below.iter().enumerate() {
        let argument = one_line(text, **argument);
        let (piece, rest) = match i + 1 == below.len() {
            true => (format!("{argument})"), behind.trim_end()),
            false => (format!("{argument},"), ""),
        };
        if !fits(&format!("{under}{piece}{rest}")) {
            return None;
        }
        let longer = format!("{line} {piece}");
        line = match line.is_empty() {
            true => format!("{under}{piece}"),
            false if fits(&format!("{longer}{rest}")) => longer,
            false => {
                done.push_str(&line);
                done.push('\n');
                format!("{under}{piece}")
            }
        };
    }
    done.push_str(&line);
    Some(Change { span, with: done, form: Form::Part })
}

/// The white space behind the casts on the line of the call: the line changes, and checkpatch wants none there.
fn casts<'a>(scene: &'a Scene, site: &PinSite) -> impl Iterator<Item = Change> + 'a {
    let mut spaces = Vec::new();
    scene.function.body.walk_exprs(&mut |call| {
        if let ExprKind::Call { callee, args } = &call.kind
            && callee.span == site.at.span
        {
            for arg in args {
                if let ExprKind::Cast(_, inner) = &arg.kind {
                    let before = Span { start: arg.span.start, end: inner.span.start }.of(scene.text);
                    let code = before.trim_ascii_end().len() as u32;
                    spaces.push(Span { start: arg.span.start + code, end: inner.span.start });
                }
            }
        }
    });
    let line = line_end(scene.text, site.at.span.start);
    let changed = move |s: &Span| s.start < s.end && s.end < line && s.of(scene.text).iter().all(|b| *b == b' ');
    spaces.into_iter().filter(changed).map(|span| Change { span, with: String::new(), form: Form::Part })
}

/// A parameter that is an integer of more than one bit: it may hold any flag. A `bool` or a pointer does not.
fn given_flags<'a>(scene: &'a Scene, given: &'a dyn Fn(&Span) -> bool) -> impl Fn(&Span) -> bool + 'a {
    move |s| {
        let ty = scene.types.variable(&s.text(scene.text));
        given(s) && ty.depth() == 0 && matches!(ty.base, Base::Int { signed: false, .. } | Base::Unknown)
    }
}

/// The flags without those that the twin refuses.
fn flags(scene: &Scene, site: &PinSite) -> Result<Option<Change>, String> {
    let refused = |s: &Span| REFUSED.iter().any(|f| s.of(scene.text) == f.as_bytes());
    let Some(span) = site.flags else {
        return Err(format!("The flags of {}() were not found.", site.api));
    };
    // Flags that come from a variable, a parameter or a macro of the file: no refused one may be near.
    let whole = Span::new(0, scene.text.len());
    if let Some(other) = identifiers(scene.text, whole).into_iter().find(|s| refused(s) && !span.contains(*s))
        && identifiers(scene.text, span).iter().any(|s| !s.of(scene.text).starts_with(b"FOLL_"))
    {
        return Err(format!("{} may be among the flags.", other.text(scene.text)));
    }
    let given = |s: &Span| scene.function.params.iter().any(|p| p.name.as_bytes() == s.of(scene.text));
    if !scene.function.is_static && identifiers(scene.text, span).iter().any(given_flags(scene, &given)) {
        return Err(format!("The flags of {}() come from callers in other files.", site.api));
    }
    if !identifiers(scene.text, span).iter().any(refused) {
        return Ok(None);
    }
    let text = bare(scene.text, span);
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let all: Vec<&str> = text.split('|').map(str::trim).collect();
    if text.contains("FOLL_PIN") || !all.iter().all(|s| plain(s)) {
        return Err(format!("The flags `{text}` are not a plain list."));
    }
    let kept: Vec<&str> = all.into_iter().filter(|s| !REFUSED.contains(s)).collect();
    let with = if kept.is_empty() { "0".to_string() } else { kept.join(" | ") };
    Ok(Some(Change { span, with, form: Form::Part }))
}
