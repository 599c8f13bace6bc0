//! The rules that turn a release into what a maintainer would have written: one file a rule.
//!
//! A rule looks at one release and the statements around it ([`Unit`]) and offers at most one [`Rewrite`]. [`RULES`]
//! is ordered: what comes first is nicer, what comes last always fits. Which of the offers is taken is decided
//! outside, by the proof or by [`crate::plan::Plan::statically_safe`]. What a rewrite leaves behind (an unused
//! counter, braces around one statement) is cleaned up afterwards, over all rewrites of a function together.

pub mod analysis;
pub mod body;
pub mod callers;
pub mod cfg;
pub mod comments;
pub mod shape;
pub mod style;

mod batch;

mod adjacent_loops;
mod countdown_loop;
mod drop_braces;
mod guarded_loop;
mod inline_helper;
mod loop_dirty_put;
mod loop_put;
mod null_test;
mod old_name;
mod page_dirty_put;
mod page_put;
mod pin_call;
mod release_pages;
mod strengthen_dirty;
mod unused_locals;

use crate::ast::{Expr, ExprKind, Function, Stmt, StmtKind};
use crate::edit::Edit;
use crate::plan::{Obligation, Obstacle, Target};
use crate::program::Program;
use crate::source::{FileId, Loc, Span};
use crate::trace::{Dirty, PinSite, Release};
use analysis::Types;
use cfg::Cfg;

pub use inline_helper::{Inlined, inlined};
pub use pin_call::twin;

/// Stable name of a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleId(pub &'static str);

/// When a rule acts.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Offers a rewrite of a release.
    Rewrite(fn(&Scene, &Unit) -> Option<Rewrite>),
    /// Is a part of other rules, listed with them when it was used.
    Part,
    /// Cleans up after the rewrites of a function.
    Cleanup,
}

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// What it does, when.
    pub kind: Kind,
    /// Its source: the doc comment at the head is its page in `gupconv explain`.
    pub source: &'static str,
}

impl Rule {
    /// The page of the rule, Markdown: the `//!` lines of its source.
    pub fn page(&self) -> String {
        let lines = self.source.lines().take_while(|l| l.starts_with("//!"));
        lines.map(|l| l.trim_start_matches("//!").strip_prefix(' ').unwrap_or("")).collect::<Vec<_>>().join("\n")
    }
    /// The first line of the page.
    pub fn summary(&self) -> String {
        self.page().lines().next().unwrap_or_default().to_string()
    }
}

macro_rules! rule {
    ($name:ident, $kind:expr) => {
        Rule { id: RuleId(stringify!($name)), kind: $kind, source: include_str!(concat!(stringify!($name), ".rs")) }
    };
}

/// All rules. Of those that rewrite, the nicer ones come first.
pub const RULES: &[Rule] = &[
    rule!(release_pages, Kind::Rewrite(release_pages::rewrite)),
    rule!(adjacent_loops, Kind::Rewrite(adjacent_loops::rewrite)),
    rule!(loop_dirty_put, Kind::Rewrite(loop_dirty_put::rewrite)),
    rule!(loop_put, Kind::Rewrite(loop_put::rewrite)),
    rule!(page_dirty_put, Kind::Rewrite(page_dirty_put::rewrite)),
    rule!(strengthen_dirty, Kind::Rewrite(strengthen_dirty::rewrite)),
    rule!(page_put, Kind::Rewrite(page_put::rewrite)),
    rule!(pin_call, Kind::Part),
    rule!(null_test, Kind::Part),
    rule!(guarded_loop, Kind::Part),
    rule!(countdown_loop, Kind::Part),
    rule!(unused_locals, Kind::Cleanup),
    rule!(drop_braces, Kind::Cleanup),
    rule!(inline_helper, Kind::Cleanup),
    rule!(old_name, Kind::Cleanup),
];

/// A function in which releases are rewritten.
pub struct Scene<'a> {
    /// The tree.
    pub program: &'a dyn Program,
    /// The file.
    pub file: FileId,
    /// The function.
    pub function: &'a Function,
    /// The bytes of the file.
    pub text: &'a [u8],
    /// What may be emitted.
    pub target: &'a Target,
    /// Order of evaluation.
    pub cfg: Cfg<'a>,
    /// Types of expressions.
    pub types: Types<'a>,
}

impl<'a> Scene<'a> {
    /// Looks at a function.
    pub fn new(
        program: &'a dyn Program,
        file: FileId,
        function: &'a Function,
        text: &'a [u8],
        target: &'a Target,
    ) -> Self {
        let types = Types { program, file, function };
        Self { program, file, function, text, target, cfg: Cfg::new(function), types }
    }
    /// A place in the file.
    pub fn loc(&self, span: Span) -> Loc {
        Loc { file: self.file, span }
    }
    /// The statements around a span, outermost first.
    pub fn path(&self, span: Span) -> Vec<&'a Stmt> {
        enclosing(self.function, span)
    }
}

/// The statements of a function around a span, outermost first.
pub fn enclosing(f: &Function, span: Span) -> Vec<&Stmt> {
    let mut path = vec![&f.body];
    loop {
        let mut next = None;
        if let Some(s) = path.last() {
            s.children(&mut |c| {
                if c.span.contains(span) && next.is_none() {
                    next = Some(c);
                }
            });
        }
        match next {
            Some(s) => path.push(s),
            None => return path,
        }
    }
}

/// A release to rewrite, and where it stands.
pub struct Unit<'a> {
    /// The release.
    pub release: &'a Release,
    /// The statements around the call, outermost first.
    pub path: Vec<&'a Stmt>,
    /// The call.
    pub call: &'a Expr,
    /// No other release stands in the innermost loop around it.
    pub alone: bool,
}

impl<'a> Unit<'a> {
    /// The statement of the call.
    pub fn stmt(&self) -> Option<&'a Stmt> {
        self.path.last().copied()
    }
    /// The call is a statement of its own.
    pub fn is_statement(&self) -> bool {
        matches!(self.stmt().map(|s| &s.kind), Some(StmtKind::Expr(e)) if e.span == self.call.span)
    }
    /// The innermost loop around it.
    pub fn around(&self) -> Option<&'a Stmt> {
        self.path.iter().rev().copied().find(|s| is_loop(s))
    }
    /// The statement that stands before `s` in the same block, and the block.
    pub fn before(&self, s: &Stmt) -> Option<&'a Stmt> {
        let at = self.path.iter().position(|p| p.span == s.span)?;
        let StmtKind::Block(all) = &self.path.get(at.checked_sub(1)?)?.kind else { return None };
        let i = all.iter().position(|x| x.span == s.span)?;
        all.get(i.checked_sub(1)?)
    }
}

/// The note of a rule is about the text, or the order of releases, and nothing else is different at run time.
pub fn is_of_form(note: &str) -> bool {
    note.starts_with("The line \"")
        || note.contains(batch::LAST_FIRST)
        || note.contains(page_put::TURNED)
        || note.contains(null_test::DROPPED)
}

/// `for`, `while`, `do` or an iterator macro.
pub fn is_loop(s: &Stmt) -> bool {
    matches!(
        s.kind,
        StmtKind::For { .. } | StmtKind::While { .. } | StmtKind::DoWhile { .. } | StmtKind::Iterate { .. }
    )
}

/// A span of the function and the text that comes there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub with: String,
    /// Whole statements went, and what came is one statement.
    pub form: Form,
}

/// What a change leaves in place of the statements that it replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A part of a statement was changed: the shape is what it was.
    Part,
    /// One simple statement without a comment.
    Single,
    /// An `if` without `else` of single statements.
    If,
    /// Several lines that need braces around them where one statement is expected.
    Compound,
}

/// A call that dirties a page in a weaker way than what comes in its place: no page lock, or the flag alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strengthened {
    /// The callee, in the text before the edit.
    pub callee: Loc,
    /// What it does.
    pub kind: Dirty,
    /// The sentence of [`Rewrite::notes`] about it.
    pub note: String,
}

/// One way to rewrite a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrite {
    /// Disjoint changes.
    pub changes: Vec<Change>,
    /// Rules that were used.
    pub rules: Vec<RuleId>,
    /// What must hold.
    pub obligations: Vec<Obligation>,
    /// For the commit message.
    pub notes: Vec<String>,
    /// For the report.
    pub cautions: Vec<String>,
    /// Dirtying that becomes dirtying under the page lock.
    pub strengthens: Vec<Strengthened>,
}

impl Change {
    /// White space before a statement that comes to stand in tabs; `None` when it does already.
    pub fn indentation(scene: &Scene, offset: u32) -> Option<Self> {
        let old = style::indent_of(scene.text, offset)?;
        let with = style::indent_to(style::width(old));
        let span = Span { start: offset - old.len() as u32, end: offset };
        (old != with).then_some(Self { span, with, form: Form::Part })
    }
    /// Nothing but white space goes.
    pub fn is_space(&self, text: &[u8]) -> bool {
        self.span.of(text).iter().all(u8::is_ascii_whitespace)
    }
}

impl Rewrite {
    /// A rewrite by one rule that changes nothing else about the code.
    pub fn plain(rule: &'static str, changes: Vec<Change>) -> Self {
        let rules = vec![RuleId(rule)];
        Self { changes, rules, obligations: vec![], notes: vec![], cautions: vec![], strengthens: vec![] }
    }
    /// Says that this dirtying is done by `function` now, under the page lock.
    pub fn strengthen(&mut self, scene: &Scene, callee: Span, kind: Dirty, function: &str) {
        let note = batch::strengthened(scene, kind, function);
        self.notes.push(note.clone());
        self.strengthens.push(Strengthened { callee: scene.loc(callee), kind, note });
    }
    /// Whether the function shows everything that must hold.
    pub fn safe(&self) -> bool {
        self.obligations.iter().all(|o| o.discharged.is_some())
    }
}

/// For each release of the function the forms that it may take, the nicest first.
///
/// # Errors
/// The construct that no rule can rewrite.
pub fn ladders(scene: &Scene, releases: &[&Release]) -> Result<Vec<Vec<Rewrite>>, Obstacle> {
    let mut units = Vec::new();
    for &release in releases {
        let path = scene.path(release.call);
        let mut call = None;
        scene.function.body.walk_exprs(&mut |e| {
            if e.span == release.call && matches!(e.kind, ExprKind::Call { .. }) {
                call = Some(e);
            }
        });
        let Some(call) = call else {
            let text = format!("The call of {}() stands in code that was not understood.", release.callee);
            return Err(Obstacle { at: release.at, text });
        };
        units.push(Unit { release, path, call, alone: true });
    }
    let loops: Vec<_> = units.iter().map(|u| u.around().map(|s| s.span)).collect();
    for (i, u) in units.iter_mut().enumerate() {
        u.alone = loops[i].is_none() || loops.iter().filter(|l| **l == loops[i]).count() == 1;
    }
    let mut all = Vec::new();
    for u in &units {
        let offers: Vec<Rewrite> = RULES
            .iter()
            .filter_map(|r| match r.kind {
                Kind::Rewrite(f) => f(scene, u),
                _ => None,
            })
            .filter(|r| unused_locals::clean(scene, r))
            .collect();
        if offers.is_empty() {
            let text = format!("No rule rewrites this call of {}().", u.release.callee);
            return Err(Obstacle { at: u.release.at, text });
        }
        all.push(offers);
    }
    Ok(all)
}

/// The changes of the acquiring calls of the function, for a tree with `unpin_user_page()`.
///
/// # Errors
/// A call that has no twin in the tree.
pub fn acquires(scene: &Scene, sites: &[&PinSite]) -> Result<Rewrite, Obstacle> {
    let mut r = Rewrite::plain("pin_call", vec![]);
    for site in sites {
        r.changes.extend(pin_call::rewrite(scene, site).map_err(|text| Obstacle { at: site.at, text })?);
    }
    Ok(r)
}

/// What the rewrites of one function come to.
pub struct Assembled {
    /// The edits.
    pub edits: Vec<Edit>,
    /// The clean-ups that were used.
    pub used: Vec<RuleId>,
    /// For the commit message.
    pub notes: Vec<String>,
}

/// The edits of the chosen rewrites of one function, cleaned up; `None` when they do not fit together.
pub fn assemble(scene: &Scene, chosen: &[&Rewrite]) -> Option<Assembled> {
    let mut changes: Vec<Change> = chosen.iter().flat_map(|r| r.changes.iter().cloned()).collect();
    let mut used = Vec::new();
    let dropped = unused_locals::changes(scene, &changes)?;
    if !dropped.is_empty() {
        used.push(RuleId("unused_locals"));
    }
    changes.extend(dropped);
    changes.sort_by_key(|c| c.span);
    changes.dedup();
    if drop_braces::apply(scene, &mut changes)? {
        used.push(RuleId("drop_braces"));
    }
    let notes = comments::drop_done(scene, &mut changes);
    if old_name::apply(scene, &mut changes) || !notes.is_empty() {
        used.push(RuleId("old_name"));
    }
    let edit = |c: Change| Edit { file: scene.file, span: c.span, with: c.with.into_bytes() };
    Some(Assembled { edits: changes.into_iter().map(edit).collect(), used, notes })
}

/// What the comments of a file need once the functions of a plan in it are rewritten: edits, and sentences for a
/// person.
pub fn file_comments(scenes: &[&Scene], edits: &[Edit]) -> (Vec<Edit>, Vec<String>) {
    old_name::file(scenes, edits)
}
