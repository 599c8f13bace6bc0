//! From releases that belong together to the edits that convert all of them, with what must hold for the edits to be
//! right.
//!
//! A plan is all or nothing: every release of the request is in it. Which releases belong together, and whether they
//! may be converted at all, is decided before ([`crate::trace`]); whether the obligations hold is decided by the proof,
//! or here when the function itself shows it. The forms that a release may take are the rules of [`crate::rules`].

use crate::ast::Function;
use crate::edit::{Edit, EditSet, Rewritten};
use crate::parse::Parser;
use crate::program::Program;
use crate::rules::{self, Inlined, Rewrite, RuleId, Scene, Strengthened};
use crate::source::{FileId, Loc, Name};
use crate::split::{ItemKind, split};
use crate::trace::{PinSite, Release};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The functions that a tree offers to release pinned pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Parameters of the `*_dirty_lock` function: 2 (`v5.2`, `v5.3`) or 3 with `bool make_dirty` (`v5.4` and later).
    pub dirty_arity: u8,
    /// `put_user_pages_dirty()`, the form that does not take the page lock, exists (`v5.2`, `v5.3` only).
    pub has_dirty_unlocked: bool,
    /// Names that are declared and defined in the tree. Nothing else is ever emitted.
    pub available: BTreeSet<String>,
    /// `unpin_user_page*()` instead of `put_user_page*()`; the acquiring calls are a part of the plans.
    pub unpin: bool,
    /// What a pin leaves in the address space for good, by name ([`crate::kernel::dialect::Dialect::marks_mm`]).
    pub marks_mm: Option<&'static str>,
}

impl Target {
    /// The names of a two argument tree (`v5.2`, `v5.3`).
    pub fn two_arguments() -> Self {
        let names = ["put_user_page", "put_user_pages", "put_user_pages_dirty", "put_user_pages_dirty_lock"];
        Self {
            dirty_arity: 2,
            has_dirty_unlocked: true,
            available: names.iter().map(|s| s.to_string()).collect(),
            unpin: false,
            marks_mm: None,
        }
    }
    /// The names of a three argument tree (`v5.4`).
    pub fn three_arguments() -> Self {
        let mut t = Self::two_arguments();
        t.dirty_arity = 3;
        t.has_dirty_unlocked = false;
        t.available.remove("put_user_pages_dirty");
        t
    }
    /// The names of a tree that counts pins apart (`v5.7` and later), with the pinning functions that it has.
    pub fn unpin(pinning: &[&str]) -> Self {
        let names = ["unpin_user_page", "unpin_user_pages", "unpin_user_pages_dirty_lock"];
        Self {
            dirty_arity: 3,
            has_dirty_unlocked: false,
            available: names.iter().chain(pinning).map(|s| s.to_string()).collect(),
            unpin: true,
            marks_mm: None,
        }
    }
    /// The function that releases one page.
    pub fn single(&self) -> Option<&'static str> {
        self.have(if self.unpin { "unpin_user_page" } else { "put_user_page" })
    }
    /// The function that releases an array.
    pub fn batch(&self) -> Option<&'static str> {
        self.have(if self.unpin { "unpin_user_pages" } else { "put_user_pages" })
    }
    /// The function that dirties under the page lock and releases an array.
    pub fn dirty_lock(&self) -> Option<&'static str> {
        self.have(if self.unpin { "unpin_user_pages_dirty_lock" } else { "put_user_pages_dirty_lock" })
    }
    /// The function that dirties without the page lock and releases an array.
    pub fn dirty_unlocked(&self) -> Option<&'static str> {
        if self.has_dirty_unlocked && !self.unpin { self.have("put_user_pages_dirty") } else { None }
    }
    fn have(&self, name: &'static str) -> Option<&'static str> {
        self.available.contains(name).then_some(name)
    }
}

/// Releases to be rewritten together.
pub struct Request<'a> {
    /// The tree.
    pub program: &'a dyn Program,
    /// Every release of the group, on all paths and in all files.
    pub releases: Vec<&'a Release>,
    /// The pins whose pages reach them.
    pub sites: Vec<&'a PinSite>,
    /// What may be emitted.
    pub target: Target,
}

/// What must hold for an edit to be right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObligationKind {
    /// Every entry of the array below the count is a page: a NULL test went.
    NoNullEntry,
    /// The count is not negative: it becomes an unsigned parameter, where the old code ignored a negative value.
    CountNonNegative,
    /// The code may sleep here, and the page lock is not held.
    MaySleep,
    /// A condition that was evaluated for every page has one value and no effect, and may be evaluated for no page.
    PureCondition,
}

impl ObligationKind {
    /// Stable spelling.
    pub fn code(self) -> &'static str {
        match self {
            ObligationKind::NoNullEntry => "no-null-entry",
            ObligationKind::CountNonNegative => "count-non-negative",
            ObligationKind::MaySleep => "may-sleep",
            ObligationKind::PureCondition => "pure-condition",
        }
    }
}

/// A fact that an edit needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obligation {
    /// Kind.
    pub kind: ObligationKind,
    /// The release it belongs to, in the text before the edit.
    pub at: Loc,
    /// The expression it is about, as written; empty when it is about the place.
    pub expr: String,
    /// For a human, one sentence.
    pub text: String,
    /// What in the function shows that it holds; `None`: somebody else must show it.
    pub discharged: Option<String>,
}

/// All edits for the releases of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Ascending and disjoint.
    pub edits: Vec<Edit>,
    /// Rules that were used, ascending.
    pub rules: Vec<RuleId>,
    /// What must hold.
    pub obligations: Vec<Obligation>,
    /// Sentences for the commit message: behaviour that is not the same as before.
    pub notes: Vec<String>,
    /// Sentences for the report only: what a person should look at before the patch is sent.
    pub cautions: Vec<String>,
    /// Dirtying that becomes dirtying under the page lock; the notes speak of it.
    pub strengthens: Vec<Strengthened>,
    /// The same without the helpers that this one leaves with one call: their callers make it.
    pub inlined: Option<Box<Plan>>,
}

impl Plan {
    /// A plan of these edits, of which nothing else is known.
    pub fn of(edits: Vec<Edit>) -> Self {
        Self {
            edits,
            rules: vec![],
            obligations: vec![],
            notes: vec![],
            cautions: vec![],
            strengthens: vec![],
            inlined: None,
        }
    }
    /// Whether the functions themselves show all obligations, so that the plan is right without a proof.
    pub fn statically_safe(&self) -> bool {
        self.obligations.iter().all(|o| o.discharged.is_some())
    }
    /// The obligations that are not shown by the function itself.
    pub fn open(&self) -> impl Iterator<Item = &Obligation> {
        self.obligations.iter().filter(|o| o.discharged.is_none())
    }
}

/// Why no plan can be made: the construct that stands in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// Where.
    pub at: Loc,
    /// One sentence.
    pub text: String,
}

/// At most so many plans are offered for one request before the two that are always there. Every undecided release
/// doubles the number; three of them are more than any trace of v5.2.1 has.
const MOST_PLANS: usize = 8;

/// A function that the plan touches.
struct Place<'a> {
    function: Arc<Function>,
    releases: Vec<&'a Release>,
    sites: Vec<&'a PinSite>,
}

impl Place<'_> {
    fn new(function: Arc<Function>) -> Self {
        Self { function, releases: vec![], sites: vec![] }
    }
}

/// A name that would be emitted and that the file has given to a function or macro of its own.
fn collision(req: &Request, file: FileId) -> Option<String> {
    let t = &req.target;
    let mut names: Vec<String> =
        [t.single(), t.batch(), t.dirty_lock(), t.dirty_unlocked()].into_iter().flatten().map(String::from).collect();
    if t.unpin {
        names.extend(req.sites.iter().filter_map(|s| rules::twin(t, &s.api)));
    }
    let text = req.program.text(file);
    let macros: Vec<_> = split(&text).into_iter().filter(|i| i.kind == ItemKind::Define).collect();
    names.into_iter().find(|n| {
        macros.iter().any(|i| *i.name == **n)
            || req.program.function(file, n).is_some_and(|(at, f)| at == file && f.is_static)
    })
}

/// Plans for the releases of the request, the one that a maintainer would like best first; the proof takes the first
/// that holds. Every plan covers all releases.
///
/// # Errors
/// The construct that makes it impossible to rewrite one of the releases in any way.
pub fn plan(req: &Request) -> Result<Vec<Plan>, Obstacle> {
    let mut functions: BTreeMap<Loc, Place> = BTreeMap::new();
    let place = |at: Loc, name: &Name, damaged: bool| {
        let missing = || Obstacle { at, text: format!("The definition of {name}() was not found.") };
        let f = req.program.function_at(at).ok_or_else(missing)?;
        if damaged || !f.damage.is_empty() {
            return Err(Obstacle { at, text: format!("{}() could not be parsed whole.", f.name) });
        }
        if !f.whole() {
            return Err(Obstacle { at, text: format!("An #if takes an arm of an if out of {}().", f.name) });
        }
        Ok((Loc { file: at.file, span: f.span }, f))
    };
    for r in &req.releases {
        let (at, f) = place(r.at, &r.function, r.damaged)?;
        functions.entry(at).or_insert_with(|| Place::new(f)).releases.push(r);
    }
    // Where pins are counted apart, the acquiring calls are a part of the plan.
    for s in req.sites.iter().filter(|_| req.target.unpin) {
        let (at, f) = place(s.at, &s.function, s.damaged)?;
        functions.entry(at).or_insert_with(|| Place::new(f)).sites.push(s);
    }
    for p in functions.values_mut() {
        p.releases.sort_by_key(|r| r.at);
        p.releases.dedup_by_key(|r| r.at);
        p.sites.sort_by_key(|s| s.at);
        p.sites.dedup_by_key(|s| s.at);
    }
    for (at, p) in &functions {
        if let Some(name) = collision(req, at.file) {
            let text =
                format!("{} has a function or macro of its own that is called {name}().", req.program.path(at.file));
            return Err(Obstacle { at: Loc { file: at.file, span: p.function.name_span }, text });
        }
    }
    let texts: Vec<_> = functions.keys().map(|at| req.program.text(at.file)).collect();
    let scenes: Vec<Scene> = functions
        .iter()
        .zip(&texts)
        .map(|((at, p), text)| Scene::new(req.program, at.file, &p.function, text, &req.target))
        .collect();
    // One ladder a release: the forms it may take, the nicest first.
    let mut ladders: Vec<(usize, Vec<Rewrite>)> = Vec::new();
    for (number, (scene, p)) in scenes.iter().zip(functions.values()).enumerate() {
        if !p.sites.is_empty() {
            ladders.push((number, vec![rules::acquires(scene, &p.sites)?]));
        }
        ladders.extend(rules::ladders(scene, &p.releases)?.into_iter().map(|l| (number, l)));
    }
    let mut plans: Vec<Plan> = Vec::new();
    for choice in choices(&ladders) {
        if let Some(mut p) = assemble(&scenes, &ladders, &choice, Helpers::Stay)
            && !plans.iter().any(|old| old.edits == p.edits)
        {
            p.inlined = assemble(&scenes, &ladders, &choice, Helpers::Go).map(Box::new);
            plans.push(p);
        }
    }
    match (plans.is_empty(), req.releases.first()) {
        (true, Some(r)) => Err(Obstacle { at: r.at, text: format!("No rule rewrites this call of {}().", r.callee) }),
        _ => Ok(plans),
    }
}

/// What happens to helpers that are left with one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Helpers {
    /// Their callers make the call.
    Go,
    /// They stay, and the report says so.
    Stay,
}

/// One plan: the edits of the chosen form of every release. `None` when they do not fit together, or when no helper can
/// go that should.
fn assemble(scenes: &[Scene], ladders: &[(usize, Vec<Rewrite>)], choice: &[usize], helpers: Helpers) -> Option<Plan> {
    let mut plan = Plan::of(vec![]);
    let mut chosen: Vec<Vec<&Rewrite>> = vec![Vec::new(); scenes.len()];
    choice.iter().zip(ladders).for_each(|(c, (number, ladder))| chosen[*number].push(&ladder[*c]));
    let mut gone: Vec<(usize, Inlined)> = Vec::new();
    for (number, scene) in scenes.iter().enumerate() {
        let edits = rules::assemble(scene, &chosen[number])?.edits;
        match (rules::inlined(scene, &edits), helpers) {
            (Some(Ok(helper)), Helpers::Go) => gone.push((number, helper)),
            (Some(Ok(_)), Helpers::Stay) => plan.cautions.push(one_call_left(scene, "its callers could make it")),
            (Some(Err(why)), _) => plan.cautions.push(one_call_left(scene, &why)),
            (None, _) => {}
        }
    }
    if helpers == Helpers::Go && gone.is_empty() {
        return None;
    }
    // A caller is one of the functions, or one that changes for this alone. One that goes itself must not call another.
    let mut others: BTreeMap<Loc, (Arc<Function>, Vec<&Rewrite>)> = BTreeMap::new();
    for (number, helper) in &gone {
        let file = scenes[*number].file;
        for (caller, rewrite) in &helper.callers {
            let at = |s: &Scene| s.file == file && s.function.span == caller.span;
            match scenes.iter().position(at) {
                Some(own) if gone.iter().any(|(n, _)| *n == own) => return None,
                Some(own) => chosen[own].push(rewrite),
                None => {
                    let place = Loc { file, span: caller.span };
                    others.entry(place).or_insert_with(|| (caller.clone(), Vec::new())).1.push(rewrite);
                }
            }
        }
        plan.edits.extend(helper.gone.iter().cloned());
    }
    for (number, scene) in scenes.iter().enumerate() {
        let made = rules::assemble(scene, &chosen[number])?;
        for r in &chosen[number] {
            plan.rules.extend(&r.rules);
            plan.obligations.extend(r.obligations.iter().cloned());
            plan.notes.extend(r.notes.iter().cloned());
            plan.cautions.extend(r.cautions.iter().cloned());
            plan.strengthens.extend(r.strengthens.iter().cloned());
        }
        if gone.iter().all(|(n, _)| *n != number) {
            plan.edits.extend(made.edits);
        }
        plan.rules.extend(made.used);
        plan.notes.extend(made.notes);
    }
    for (at, (caller, rewrites)) in &others {
        let like = scenes.iter().find(|s| s.file == at.file)?;
        let made = rules::assemble(&Scene::new(like.program, at.file, caller, like.text, like.target), rewrites)?;
        plan.rules.extend(rewrites.iter().flat_map(|r| &r.rules));
        plan.rules.extend(made.used);
        plan.edits.extend(made.edits);
    }
    let files: BTreeSet<FileId> = scenes.iter().map(|s| s.file).collect();
    for file in files {
        let own: Vec<&Scene> = scenes.iter().filter(|s| s.file == file).collect();
        let (edits, cautions) = rules::file_comments(&own, &plan.edits);
        if !edits.is_empty() {
            plan.rules.push(RuleId("old_name"));
        }
        plan.edits.extend(edits);
        plan.cautions.extend(cautions);
    }
    plan.edits = EditSet::new(plan.edits).ok()?.into_edits();
    plan.rules.sort();
    plan.rules.dedup();
    for sentences in [&mut plan.notes, &mut plan.cautions] {
        let mut seen = BTreeSet::new();
        sentences.retain(|s| seen.insert(s.clone()));
    }
    Some(plan)
}

/// The sentence about a helper that stays.
fn one_call_left(scene: &Scene, why: &str) -> String {
    format!("{}() is left with one call and stays: {why}.", scene.function.name)
}

/// The files after the edits of a plan, ascending. Every function that was touched is parsed again.
///
/// # Errors
/// An edit that does not fit its file, or a function that no longer parses.
pub fn rewritten(program: &dyn Program, plan: &Plan) -> Result<Vec<Rewritten>, Obstacle> {
    let Some(first) = plan.edits.first() else { return Ok(vec![]) };
    let at = Loc { file: first.file, span: first.span };
    let set = EditSet::new(plan.edits.clone()).map_err(|e| Obstacle { at, text: e.to_string() })?;
    let mut files = Vec::new();
    let mut parser = Parser::new();
    for file in set.files() {
        let before = program.text(file);
        let outside = || Obstacle { at, text: format!("An edit lies outside {}.", program.path(file)) };
        let after = set.apply(file, &before).ok_or_else(outside)?;
        let items = split(&after);
        for e in set.edits().iter().filter(|e| e.file == file) {
            let at = Loc { file, span: e.span };
            let Some(old) = program.function_at(at) else { continue };
            let name = set.moved(file, old.name_span.start);
            let new = items.iter().find(|i| i.name_span.start == name).and_then(|i| parser.function(&after, i));
            if new.is_none_or(|f| f.name != old.name || f.damage.len() > old.damage.len()) {
                return Err(Obstacle { at, text: format!("{}() would not parse after the edit.", old.name) });
            }
        }
        files.push(Rewritten { file, before: before.to_vec(), after });
    }
    Ok(files)
}

/// Which form each release takes, plan by plan: first the nicest of all, then those with ever more releases stepping
/// down to a form that needs less, then the one that needs no proof, last the change in place of all.
fn choices(ladders: &[(usize, Vec<Rewrite>)]) -> Vec<Vec<usize>> {
    let safe: Vec<usize> =
        ladders.iter().map(|(_, l)| l.iter().position(Rewrite::safe).unwrap_or(l.len() - 1)).collect();
    let mut found = vec![vec![0; ladders.len()]];
    let mut next = 0;
    while next < found.len() && found.len() < MOST_PLANS {
        for i in 0..ladders.len() {
            let mut down = found[next].clone();
            if down[i] < safe[i] {
                down[i] += 1;
                if !found.contains(&down) && found.len() < MOST_PLANS {
                    found.push(down);
                }
            }
        }
        next += 1;
    }
    let last = ladders.iter().map(|(_, l)| l.len() - 1).collect();
    for extra in [safe, last] {
        if !found.contains(&extra) {
            found.push(extra);
        }
    }
    found
}
