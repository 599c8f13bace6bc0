//! A bug of the old code that a rewrite stumbles over, and the small edit that mends it first. Two idioms:
//!
//! The result of a pin is kept in an unsigned variable. The function returns a signed number, negative when it fails;
//! in the variable that is a huge count, and a test such as `if (got > 0)` in front of a release lets it through.
//! `release_pages()` takes an int and does nothing with it, `put_user_pages()` takes an unsigned long and runs off the
//! array: what was harmless by luck would crash after the rewrite. The edit declares the variable as what the function
//! returns; other declarators of the declaration stay where they are. Whether the edit keeps the meaning of every other
//! use is asked here as far as the text decides ([`uses`]): what the proof does not see, such as the format of a
//! message or the width of a shift. That it changes nothing for results that are not negative, and takes the defect
//! away for those that are, is shown by the proof.
//!
//! Pages are marked dirty without the page lock, or by their flag alone ([`dirtying`]). A rewrite that calls a function
//! which takes the lock mends that on the way; the edit does so in place, and the rewrite is a rewrite then.
//!
//! [`Mended`] is the tree with the edits, for the rewrite that stands on them. It deliberately does not know plans,
//! patches, or whether the site is to be converted.

mod dirtying;
mod mended;
mod uses;

use crate::ast::{Base, CType, Function, Stmt, StmtKind, VarDecl};
use crate::edit::Edit;
use crate::program::Program;
use crate::rules::style::{identifiers, indent_of, line_end};
use crate::source::{FileId, Name, Span};
use crate::trace::{Dirty, PinSite};
use std::collections::BTreeMap;

pub use dirtying::dirtying;
pub use mended::Mended;

/// A bug of one file, and what mends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// The file.
    pub file: FileId,
    /// The bug.
    pub bug: Bug,
    /// Ascending, disjoint.
    pub edits: Vec<Edit>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A declaration that becomes signed.
    Unsigned(Unsigned),
    /// Calls that mark pages dirty and become `set_page_dirty_lock()`, in the order of the text.
    Dirtying(Vec<Dirtying>),
}

/// A call that marks a page dirty in a way that is too weak.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dirtying {
    /// The function around it.
    pub function: Name,
    /// The callee.
    pub callee: Span,
    /// What it does.
    pub kind: Dirty,
}

/// A declaration that becomes signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsigned {
    /// The function around it.
    pub function: Name,
    /// The variable.
    pub variable: Name,
    /// The function whose result it keeps.
    pub api: Name,
    /// The call of it.
    pub call: Span,
    /// The declarator.
    pub declared: Span,
    /// Its type, as written.
    pub old: String,
    /// The type that it gets.
    pub new: &'static str,
}

/// The fix of an unsigned result of a site, with what the acquiring functions return; `None` when its result is in no
/// unsigned local variable.
///
/// # Errors
/// It is in one, and the declaration cannot be changed: the reason, as the end of a sentence.
pub fn of(program: &dyn Program, returns: &BTreeMap<String, String>, site: &PinSite) -> Option<Result<Fix, String>> {
    let f = program.function_at(site.at).filter(|f| f.whole())?;
    let name = site.result.as_deref()?;
    let mut found: Vec<(&Stmt, &[VarDecl], &VarDecl)> = Vec::new();
    f.body.walk(&mut |s| {
        if let StmtKind::Decl(list) = &s.kind {
            found.extend(list.iter().filter(|d| *d.name == *name).map(|d| (s, list.as_slice(), d)));
        }
    });
    let &(statement, list, decl) = found.first()?;
    let (unsigned, bits) = width(&decl.ty)?;
    if !unsigned || bits < 32 {
        return None;
    }
    let new = match returns.get(&*site.api).map(String::as_str) {
        Some("int") => "int",
        Some("long") => "long",
        _ => return Some(Err(format!("{}() of this tree is not declared to return an int or a long", site.api))),
    };
    Some(fix(program, site, &f, statement, list, decl, new).and_then(|fix| match found.len() {
        1 => Ok(fix),
        _ => Err(format!("more than one variable of {}() has this name", f.name)),
    }))
}

/// Whether a scalar is unsigned, and its width.
fn width(ty: &CType) -> Option<(bool, u8)> {
    match ty.base {
        Base::Int { signed, bits } if ty.ptr == 0 && ty.dims.is_empty() && !ty.function => Some((!signed, bits)),
        _ => None,
    }
}

fn fix(
    program: &dyn Program,
    site: &PinSite,
    f: &Function,
    statement: &Stmt,
    list: &[VarDecl],
    decl: &VarDecl,
    new: &'static str,
) -> Result<Fix, String> {
    let text = program.text(site.at.file);
    uses::check(program, site, f, decl, new)?;
    let (old, edits) = declaration(&text, f, statement, list, decl, new)?;
    let bug = Unsigned {
        function: f.name.clone(),
        variable: decl.name.clone(),
        api: site.api.clone(),
        call: site.call,
        declared: decl.span,
        old,
        new,
    };
    Ok(Fix {
        file: site.at.file,
        bug: Bug::Unsigned(bug),
        edits: edits.into_iter().map(|(span, with)| Edit { file: site.at.file, span, with: with.into() }).collect(),
    })
}

/// The old type as written, and the edits that declare the variable as `new`.
fn declaration(
    text: &[u8],
    f: &Function,
    statement: &Stmt,
    list: &[VarDecl],
    decl: &VarDecl,
    new: &str,
) -> Result<(String, Vec<(Span, String)>), String> {
    if decl.is_static {
        return Err("it is static".into());
    }
    let mut in_block = false;
    f.body.walk(&mut |s| {
        if let StmtKind::Block(all) = &s.kind {
            in_block |= all.iter().any(|o| o.span == statement.span);
        }
    });
    let indent = indent_of(text, statement.span.start).filter(|_| in_block);
    let indent = indent.ok_or("its declaration does not stand on lines of its own in a block")?;
    let first = list.first().map_or(decl.span, |d| d.span);
    let head = Span { start: statement.span.start, end: first.start };
    let old = head.text(text);
    let kept = old.trim_end().len();
    let old = old.trim_end().to_string();
    let words: Vec<&str> = old.split_whitespace().collect();
    let plain = |w: &&str| w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let qualified = words.iter().any(|w| matches!(*w, "const" | "volatile" | "register" | "static"));
    if qualified || !words.iter().all(plain) || old.contains('\n') {
        return Err(format!("its type is written as `{}`", words.join(" ")));
    }
    let old = words.join(" ");
    if list.len() == 1 {
        let span = Span { start: head.start, end: head.start + kept as u32 };
        return Ok((old, vec![(span, new.to_string())]));
    }
    // The declarator goes with the comma that belongs to it, and gets a line of its own behind the others.
    let at = list.iter().position(|d| d.span == decl.span).unwrap_or_default();
    let gone = match (at.checked_sub(1).and_then(|i| list.get(i)), list.get(at + 1)) {
        (Some(before), _) => Span { start: before.span.end, end: decl.span.end },
        (None, Some(behind)) => Span { start: decl.span.start, end: behind.span.start },
        (None, None) => decl.span,
    };
    let gap = gone.text(text).replacen(&*decl.span.text(text), "", 1);
    if gap.trim() != "," {
        return Err("a comment or macro stands beside it in the declaration".into());
    }
    // Before the end of the line: the next one may go with the rewrite.
    let end = line_end(text, statement.span.end);
    let end = if text.get(end as usize - 1) == Some(&b'\n') { end - 1 } else { end };
    let rest = Span { start: statement.span.end, end };
    if !identifiers(text, rest).is_empty() || rest.of(text).contains(&b'\\') {
        return Err("other code stands behind its declaration".into());
    }
    let line = format!("\n{indent}{new} {};", decl.span.text(text));
    Ok((old, vec![(gone, String::new()), (Span { start: end, end }, line)]))
}
