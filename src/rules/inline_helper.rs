//! A `static` helper of which one call is left goes, and its callers make that call themselves.
//!
//! # What it does
//! When the rewrite leaves a `static void` function with one call that passes on what the function was given, the
//! function is deleted with its declaration, and each caller makes the call with its own arguments. Literals that
//! become `make_dirty` are written `true`, and with `false` it is the call that does not dirty. Where a parameter
//! chooses between two calls and every caller gives a constant for it, each makes the one that is meant; else such a
//! function stays as it is.
//!
//! # Why
//! Reviewers ask for it: a function that only calls another one hides what happens, and the reader has to look it up.
//! It stays where it says more than the call would, and the report says why:
//! - a comment explains it, or other comments and messages of the file name it: such words are not for a tool to drop;
//! - it takes fields from an object, which is then known in one place (`buf_unmap(buf)` beside `buf_map(buf)`), or it
//!   was one call before;
//! - it computes an argument and has several callers: each would repeat the computation;
//! - the call does not fit into two lines of 80 columns at one of the callers.
//!
//! # Example
//! ```c
//! static void put_buffer(struct page **pages, int n, bool dirty)
//! {
//!         int i;
//!
//!         for (i = 0; i < n; i++) {
//!                 if (dirty)
//!                         set_page_dirty_lock(pages[i]);
//!                 put_page(pages[i]);
//!         }
//! }
//! …
//!         put_buffer(buf->pages, buf->n, true);
//! ```
//! becomes
//! ```c
//!         put_user_pages_dirty_lock(buf->pages, buf->n, true);
//! ```
//!
//! # Fix safety
//! All uses in the file are calls that are statements; a function that is passed on, named in a macro, defined between
//! `#if` or called in an expression stays. Each argument is evaluated as often as before, and is converted to the type
//! of the parameter in between only where that changes no value (an `int` that becomes `bool` is not zero as before, a
//! `long` that was cut to `int` stays cut). No name of the call means something else at the caller. The callers are run
//! before and after, with the old function, in the proof.

use super::analysis::{Types, constant, pure};
use super::comments::words;
use super::style::{call, comments, fits, identifiers, indent_of, line_end, line_start, one_line, strings};
use super::{Change, Form, Rewrite, Scene, enclosing};
use crate::ast::{Base, CType, Expr, ExprKind, Function, Stmt, StmtKind, UnOp};
use crate::edit::{Edit, EditSet};
use crate::parse::Parser;
use crate::source::{Loc, Name, Span};
use crate::split::{Item, ItemKind, split};
use std::sync::Arc;

/// Lines that a call may take at a caller.
const LINES: usize = 2;

/// A helper that can go.
pub struct Inlined {
    /// Its definition and declarations.
    pub gone: Vec<Edit>,
    /// What its callers change, by place.
    pub callers: Vec<(Arc<Function>, Rewrite)>,
}

/// What to do about the function of the scene, which these edits leave with one call: its callers make it, or the
/// reason why the function stays. `None` when more is left of it, when that call takes things from an object, or when
/// the function was one call before.
pub fn inlined(scene: &Scene, edits: &[Edit]) -> Option<Result<Inlined, String>> {
    let f = scene.function;
    if !f.is_static || f.variadic || f.ret.base != Base::Void || f.ret.ptr > 0 || arms(f).is_some() {
        return None;
    }
    let own = edits.iter().filter(|e| e.file == scene.file && f.span.contains(e.span)).cloned().collect();
    let set = EditSet::new(own).ok()?;
    let after = set.apply(scene.file, scene.text)?;
    let at = set.moved(scene.file, f.name_span.start);
    let item = split(&after).into_iter().find(|i| i.kind == ItemKind::Function && i.name_span.start == at)?;
    let new = Parser::new().function(&after, &item).filter(|g| g.damage.is_empty())?;
    let (chosen_by, arms) = arms(&new)?;
    let known = |a: &Arm| scene.target.available.contains(&**a.name) && a.args.iter().all(is_given);
    if !arms.iter().all(known) {
        return None;
    }
    let helper = Helper { scene, after: &after, new: &new, chosen_by, arms };
    // A function that chooses between two calls is worth its name where the choice is not known.
    Some(helper.inlined()).filter(|r| chosen_by.is_none() || r.is_ok())
}

/// One call that a helper makes.
struct Arm<'a> {
    name: &'a Name,
    args: &'a [Expr],
}

/// The call that is all a function does; or the two, and the number of the parameter that chooses: the first where it
/// is not zero.
fn arms(f: &Function) -> Option<(Option<usize>, Vec<Arm<'_>>)> {
    let StmtKind::Block(all) = &f.body.kind else { return None };
    let [only] = all.as_slice() else { return None };
    if let StmtKind::If { cond, then, els: Some(els) } = &only.kind {
        let chosen_by = f.params.iter().position(|p| cond.ident() == Some(&p.name))?;
        return Some((Some(chosen_by), vec![arm(then)?, arm(els)?]));
    }
    Some((None, vec![arm(only)?]))
}

fn arm(s: &Stmt) -> Option<Arm<'_>> {
    match &s.kind {
        StmtKind::Expr(e) => e.call().map(|(name, args)| Arm { name, args }),
        _ => None,
    }
}

/// Variables, constants and what is computed of them.
fn is_given(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Ident(_) | ExprKind::Int { .. } => true,
        ExprKind::Unary(UnOp::Deref | UnOp::AddrOf, _) => false,
        ExprKind::Unary(..) | ExprKind::Binary(..) | ExprKind::Cond(..) => {
            let mut all = true;
            e.children(&mut |c| all &= is_given(c));
            all
        }
        _ => false,
    }
}

/// A function that is left with one call.
struct Helper<'a> {
    scene: &'a Scene<'a>,
    /// The file after the edits of the function alone.
    after: &'a [u8],
    /// The function after them.
    new: &'a Function,
    /// The parameter that chooses between two calls.
    chosen_by: Option<usize>,
    /// What it calls: one, or two.
    arms: Vec<Arm<'a>>,
}

impl Helper<'_> {
    fn inlined(&self) -> Result<Inlined, String> {
        let scene = self.scene;
        let items = split(scene.text);
        self.stands_apart(&items)?;
        let calls = self.calls(&items)?;
        let mut all = self.arms.iter().flat_map(|a| a.args);
        let computed = all.find(|a| !matches!(a.kind, ExprKind::Ident(_) | ExprKind::Int { .. }));
        if let Some(e) = computed.filter(|_| calls.len() > 1) {
            let text = one_line(self.after, e.span);
            return Err(format!("each of its {} callers would repeat `{text}`", calls.len()));
        }
        let mut callers: Vec<(Arc<Function>, Rewrite)> = Vec::new();
        for (caller, at) in calls {
            let change = self.at_caller(&caller, at)?;
            match callers.iter_mut().find(|(f, _)| f.span == caller.span) {
                Some((_, r)) => r.changes.push(change),
                None => callers.push((caller, Rewrite::plain("inline_helper", vec![change]))),
            }
        }
        let declared = items.iter().filter(|i| i.kind == ItemKind::Prototype && i.name == scene.function.name);
        let mut gone = vec![lines(scene.text, scene.function.span)?];
        for item in declared {
            gone.push(lines(scene.text, item.span)?);
        }
        let edit = |span| Edit { file: scene.file, span, with: Vec::new() };
        Ok(Inlined { gone: gone.into_iter().map(edit).collect(), callers })
    }

    /// The definition is plain and unconditional, and no words of the file are about it.
    fn stands_apart(&self, items: &[Item]) -> Result<(), String> {
        let (scene, f, text) = (self.scene, self.scene.function, self.scene.text);
        let path = scene.program.path(scene.file);
        if !path.ends_with(".c") {
            return Err(format!("{path} may be included anywhere"));
        }
        let base = path.rsplit('/').next().unwrap_or(path);
        let include = format!("{base}\"");
        for file in scene.program.naming_nearby(scene.file, &f.name) {
            let other = scene.program.text(file);
            if file != scene.file && memchr::memmem::find(&other, include.as_bytes()).is_some() {
                return Err(format!("{} names it and may include {path}", scene.program.path(file)));
            }
        }
        let head = Span { start: f.span.start, end: f.name_span.start };
        let plain = ["static", "inline", "__inline", "__always_inline", "void"];
        let words_ok = identifiers(text, head).iter().all(|s| plain.iter().any(|w| w.as_bytes() == s.of(text)));
        let parameters = Span { start: f.name_span.end, end: f.body.span.start };
        if !words_ok || !is_parenthesis(parameters.of(text).trim_ascii()) {
            return Err("its head says more than its type and parameters".into());
        }
        let defined = items.iter().filter(|i| i.name == f.name);
        let apart = |i: &Item| i.kind == ItemKind::Function && i.span != f.span || conditional(text, i.span);
        if has_directive(text, f.span) || defined.clone().any(apart) {
            return Err("it depends on preprocessor conditions".into());
        }
        let mine = defined.clone().find_map(|i| comment_above(text, i.span)).is_some();
        if mine || !comments(self.after, self.new.span).is_empty() {
            return Err("a comment explains it".into());
        }
        let whole = Span::new(0, text.len());
        let told = comments(text, whole).into_iter().chain(strings(text, whole)).filter(|c| !f.span.contains(*c));
        if told.into_iter().any(|c| !words(text, c, &f.name).is_empty()) {
            return Err("a comment or a message of the file names it".into());
        }
        Ok(())
    }

    /// Its calls by place, each with the function around it; all uses must be calls that are statements.
    fn calls(&self, items: &[Item]) -> Result<Vec<(Arc<Function>, Span)>, String> {
        let (scene, f, text) = (self.scene, self.scene.function, self.scene.text);
        let mut left: Vec<Span> = identifiers(text, Span::new(0, text.len()));
        left.retain(|s| s.of(text) == f.name.as_bytes());
        left.retain(|s| *s != f.name_span);
        left.retain(|s| !items.iter().any(|i| i.kind == ItemKind::Prototype && i.name_span == *s));
        let mut found = Vec::new();
        for use_ in left {
            let otherwise = || "not all of its uses are calls that are statements".to_string();
            let caller = scene.program.function_at(Loc { file: scene.file, span: use_ }).ok_or_else(otherwise)?;
            if !caller.whole() {
                return Err(format!("{}() could not be parsed whole", caller.name));
            }
            let stmt = enclosing(&caller, use_).last().map(|s| (s.span, &s.kind)).map(|(span, kind)| match kind {
                StmtKind::Expr(e) => match &e.kind {
                    ExprKind::Call { callee, .. } if callee.span == use_ && e.span.start == use_.start => Some(span),
                    _ => None,
                },
                _ => None,
            });
            let stmt = stmt.flatten().filter(|_| caller.span != f.span).ok_or_else(otherwise)?;
            found.push((caller, stmt));
        }
        if found.is_empty() { Err("nothing calls it".into()) } else { Ok(found) }
    }

    /// The call that a caller makes in place of its statement `at`.
    fn at_caller(&self, caller: &Function, at: Span) -> Result<Change, String> {
        let (scene, text) = (self.scene, self.scene.text);
        let stmt = enclosing(caller, at).pop().filter(|s| s.span == at);
        let given = match stmt.map(|s| &s.kind) {
            Some(StmtKind::Expr(e)) => e.call().map(|(_, args)| args).unwrap_or_default(),
            _ => &[],
        };
        let in_ = |what: &str| format!("{what} in {}()", caller.name);
        if given.len() != self.new.params.len() {
            return Err(in_("it is called with another number of arguments"));
        }
        if !comments(text, at).is_empty() || !strings(text, at).is_empty() || has_directive(text, at) {
            return Err(in_("a call has a comment, a string or a preprocessor line"));
        }
        let types = Types { program: scene.program, file: scene.file, function: caller };
        let arm = match (self.chosen_by, self.arms.as_slice()) {
            (None, [one]) => one,
            (Some(i), [first, second]) => match truth(&given[i]) {
                Some(false) => second,
                Some(true) => first,
                None => return Err(in_(&format!("`{}` is not constant", self.new.params[i].name))),
            },
            _ => return Err(in_("it is not known which call is meant")),
        };
        self.names_mean_the_same(arm, caller).map_err(|n| in_(&format!("`{n}` means something else")))?;
        let mut args = Vec::new();
        for (slot, e) in arm.args.iter().enumerate() {
            args.push(self.argument(arm, slot, e, given, &types)?.ok_or_else(|| {
                in_(&format!("the argument for `{}` cannot be passed on as it is", one_line(self.after, e.span)))
            })?);
        }
        for (p, argument) in self.new.params.iter().zip(given) {
            let named = |e: &Expr| super::analysis::mentions(e, &p.name);
            let once = arm.args.iter().filter(|a| named(a)).count() == 1
                && arm.args.iter().any(|a| a.ident() == Some(&p.name));
            if !pure(argument) && !once {
                return Err(in_("an argument with an effect would be evaluated another number of times"));
            }
        }
        // With `false` it is the function that does not dirty.
        let plain = arm.name.strip_suffix("_dirty_lock").filter(|n| scene.target.available.contains(*n));
        let name = match (args.as_slice(), plain) {
            ([_, _, dirty], Some(plain)) if dirty == "false" => {
                args.pop();
                plain
            }
            _ => arm.name,
        };
        let indent = indent_of(text, at.start).ok_or_else(|| in_("a call does not begin its line"))?;
        let with = call(indent, name, &args, ";");
        let old = at.text(text).lines().count();
        let mut lines = format!("{indent}{with}").lines().map(str::to_string).collect::<Vec<_>>();
        let many = lines.len() > LINES.max(old);
        lines.retain(|l| !fits(l));
        if many || !lines.is_empty() {
            return Err(in_("the call is too long"));
        }
        Ok(Change { span: at, with, form: Form::Part })
    }

    /// No variable of the caller hides a name that the call takes from the file; else that name.
    fn names_mean_the_same(&self, arm: &Arm, caller: &Function) -> Result<(), Name> {
        let mut free: Vec<Name> = vec![arm.name.clone()];
        for a in arm.args {
            a.walk(&mut |e| free.extend(e.ident().filter(|n| self.parameter(n).is_none()).cloned()));
        }
        let mut declared: Vec<&Name> = caller.params.iter().map(|p| &p.name).collect();
        caller.body.walk(&mut |s| {
            if let StmtKind::Decl(v) = &s.kind {
                declared.extend(v.iter().map(|d| &d.name));
            }
        });
        match free.into_iter().find(|n| declared.contains(&n)) {
            Some(n) => Err(n),
            None => Ok(()),
        }
    }

    fn parameter(&self, name: &Name) -> Option<usize> {
        self.new.params.iter().position(|p| p.name == *name)
    }

    /// The text of one argument of the call, with what the caller gives in place of the parameters; `None` when that
    /// would not have the same value, or not read well.
    fn argument(
        &self,
        arm: &Arm,
        slot: usize,
        e: &Expr,
        given: &[Expr],
        types: &Types,
    ) -> Result<Option<String>, String> {
        let text = self.scene.text;
        let Some(i) = e.ident().and_then(|n| self.parameter(n)) else {
            return Ok(self.computed(e, given, types));
        };
        let (argument, param) = (&given[i], &self.new.params[i].ty);
        let ty = types.of(argument);
        let written = one_line(text, argument.span);
        if slot == 0 {
            let wanted = if arm.args.len() == 1 { 1 } else { 2 };
            let fits =
                param.page_depth() == Some(wanted) && (ty == CType::unknown() || ty.page_depth() == Some(wanted));
            return Ok(fits.then_some(written));
        }
        let to = if slot == 1 { Int { signed: false, bits: 64 } } else { Int::BOOL };
        let literal = match (constant(argument), to == Int::BOOL) {
            (Some(0), true) => Some("false"),
            (Some(1), true) => Some("true"),
            _ => None,
        };
        let kept = match (Int::of(param), Int::of(&ty)) {
            _ if ty == *param && ty != CType::unknown() => true,
            (Some(param), Some(from)) if is_place(argument) || !may_be_narrower(argument, from) => {
                from.same_through(param, to)
            }
            // Macros and what is declared elsewhere: any integer.
            (Some(param), from) => (from.is_some() || ty == CType::unknown()) && param.keeps_all(to),
            (None, _) => false,
        };
        Ok(kept.then(|| literal.map_or(written, str::to_string)))
    }

    /// An argument that is computed from parameters: names, fields and the like come in their place, so that no
    /// parentheses are needed and no negation of a comparison arises.
    fn computed(&self, e: &Expr, given: &[Expr], types: &Types) -> Option<String> {
        let mut out = std::str::from_utf8(e.span.of(self.after)).ok()?.to_string();
        let mut found = identifiers(self.after, e.span);
        found.reverse();
        for s in found {
            let Some(i) = self.parameter(&s.text(self.after).as_str().into()) else { continue };
            let (argument, param) = (&given[i], &self.new.params[i].ty);
            let ty = types.of(argument);
            let same = match (Int::of(&ty), Int::of(param)) {
                (Some(from), Some(param)) => {
                    from.promoted() == param.promoted() && from.fits_in(param) && !may_be_narrower(argument, from)
                }
                _ => ty == *param && ty.depth() == 0 && ty != CType::unknown(),
            };
            if !is_place(argument) || !pure(argument) || !same {
                return None;
            }
            let (from, to) = (s.start - e.span.start, s.end - e.span.start);
            out.replace_range(from as usize..to as usize, &one_line(self.scene.text, argument.span));
        }
        Some(out.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Whether a constant is not zero.
fn truth(e: &Expr) -> Option<bool> {
    match e.ident().map(|n| &**n) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => constant(e).map(|v| v != 0),
    }
}

/// A variable, a field or the like: nothing is calculated.
fn is_place(e: &Expr) -> bool {
    matches!(
        e.kind,
        ExprKind::Ident(_) | ExprKind::Field { .. } | ExprKind::Index(..) | ExprKind::Unary(UnOp::Deref, _)
    )
}

/// An unsigned field may be a few bits of its type: then it is an `int` in an expression, and so is what is computed
/// with it.
fn may_be_narrower(e: &Expr, ty: Int) -> bool {
    let mut field = false;
    e.walk(&mut |e| field |= matches!(e.kind, ExprKind::Field { .. }));
    field && !ty.signed && ty.bits >= 32
}

/// An integer type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Int {
    signed: bool,
    /// 1 for `bool`.
    bits: u8,
}

impl Int {
    const BOOL: Int = Int { signed: false, bits: 1 };

    fn of(ty: &CType) -> Option<Self> {
        match ty.base {
            _ if ty.depth() > 0 || ty.function => None,
            Base::Bool => Some(Self::BOOL),
            Base::Int { signed, bits } => Some(Self { signed, bits }),
            _ => None,
        }
    }
    fn promoted(self) -> Self {
        if self.bits < 32 { Self { signed: true, bits: 32 } } else { self }
    }
    /// Every value of this type is one of `other`.
    fn fits_in(self, other: Self) -> bool {
        self == other || self.bits < other.bits && (!self.signed || other.signed)
    }
    /// A value that goes through this type arrives at `to` as any integer would without it.
    fn keeps_all(self, to: Self) -> bool {
        match to == Self::BOOL {
            true => self.bits == 64 || self == Self::BOOL,
            false => self != Self::BOOL && self.bits >= to.bits,
        }
    }
    /// A value of this type arrives at `to` through `param` as it would without it.
    fn same_through(self, param: Self, to: Self) -> bool {
        let not_zero = to == Self::BOOL && param.bits >= self.bits;
        self.fits_in(param) || param.keeps_all(to) || not_zero
    }
}

/// The text is one pair of parentheses and what is in it.
fn is_parenthesis(text: &[u8]) -> bool {
    let mut depth = 0;
    for (i, b) in text.iter().enumerate() {
        depth += match b {
            b'(' => 1,
            b')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return i > 0 && i + 1 == text.len();
        }
    }
    false
}

/// A preprocessor line begins inside the span.
fn has_directive(text: &[u8], span: Span) -> bool {
    span.of(text).split(|b| *b == b'\n').skip(1).any(|l| l.trim_ascii_start().starts_with(b"#"))
}

/// The span stands between `#if` and `#endif`.
fn conditional(text: &[u8], span: Span) -> bool {
    let before = &text[..(span.start as usize).min(text.len())];
    let mut depth = 0;
    for line in before.split(|b| *b == b'\n') {
        let Some(rest) = line.trim_ascii_start().strip_prefix(b"#") else { continue };
        let rest = rest.trim_ascii_start();
        depth += i32::from(rest.starts_with(b"if")) - i32::from(rest.starts_with(b"endif"));
    }
    depth > 0
}

/// A comment ends on the line above the span, or stands in front of it.
fn comment_above(text: &[u8], span: Span) -> Option<()> {
    let head = line_start(text, span.start);
    let before = Span { start: head.saturating_sub(1), end: head.saturating_sub(1) };
    let above = Span { start: line_start(text, before.start), end: before.end };
    let line = above.of(text).trim_ascii();
    let in_front = !Span { start: head, end: span.start }.of(text).trim_ascii().is_empty();
    (head > 0 && (line.ends_with(b"*/") || line.starts_with(b"//")) || in_front).then_some(())
}

/// The lines of a span that go, with one of the blank lines around them.
fn lines(text: &[u8], span: Span) -> Result<Span, String> {
    let start = line_start(text, span.start);
    let mut end = line_end(text, span.end);
    let rest = Span { start: span.end, end };
    if !rest.of(text).trim_ascii().is_empty() || start != span.start {
        return Err("something else stands on its lines".into());
    }
    let blank = |s: u32, e: u32| Span { start: s, end: e }.of(text).trim_ascii().is_empty();
    let above = line_start(text, start.saturating_sub(1));
    let behind = line_end(text, end);
    match (start == 0 || blank(above, start), end as usize >= text.len()) {
        (true, true) if start > 0 => return Ok(Span { start: above, end }),
        (true, false) if blank(end, behind) => end = behind,
        _ => {}
    }
    Ok(Span { start, end })
}
