//! Statements: the loop that runs flattened code, and calls of interpreted functions.

use super::code::{Code, Op, Way};
use super::compare::Diff;
use super::save::{Point, Stage, Taken};
use super::state::{At, Ev, Fill, Frame, Pages, Phase, State, What};
use super::story::Assumed;
use super::task::{ChangedFunction, HeldBy, Refinement, Task};
use super::trail::{BOUND, Note, Stop, Trail};
use super::value::{NameId, Obj, Ptr, Term, V, World};
use crate::ast::{CType, Expr, Function, StructDef};
use crate::model::Folio;
use crate::source::{FileId, Name, Span};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// How code was left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Out of a range.
    Way(Way),
    /// Out of the function.
    Return(V),
}

/// A changed region, ready to run.
pub struct Region {
    pub before: Rc<Code>,
    pub after: Rc<Code>,
    /// Types of the locals in both versions.
    pub types: [Rc<FxHashMap<NameId, CType>>; 2],
    /// Locals that the code behind the region reads, by exit; `None` holds those for a return (none).
    pub live: Vec<(Way, FxHashSet<NameId>)>,
    /// The old code calls a release itself.
    pub releases: bool,
    /// Calls of both versions that a comparison must have passed, each, before the region is proved: what no run gets
    /// to was not looked at.
    pub calls: Vec<At>,
    /// Nothing but the end of the function follows.
    pub tail: bool,
    pub file: FileId,
}

/// The file and the body of a function that was looked up; `None` where it is not to be had.
type Defined = Option<(FileId, Arc<Function>)>;

/// The interpreter.
pub struct Machine<'t> {
    pub task: &'t Task<'t>,
    pub w: World,
    pub trail: Trail,
    pub pages: Pages,
    pub st: State,
    pub phase: Phase,
    pub regions: Vec<Region>,
    /// The difference that ended the last run.
    pub diff: Option<Box<Diff>>,
    pub assumed: BTreeSet<Assumed>,
    pub refinements: BTreeSet<Refinement>,
    /// Pairs compared in this proof.
    pub compared: u64,
    /// Runs in which the old code itself faults: nothing is demanded of the new code there.
    pub old_faults: u64,
    /// Where this run can be taken up again, and what is known of the next.
    pub(super) taken: Taken,
    /// Opaque calls leave structs as they are (second tier).
    pub trusting: bool,
    /// All pages are plain and distinct: only references are looked at.
    pub plain: bool,
    /// Nothing but references can differ so far: pages are plain and distinct.
    pub additive: bool,
    /// The last exploration ended at a limit.
    pub exhausted: bool,
    /// A run looked at a page, compared two, or dirtied one.
    pub observed: bool,
    /// The changed code asks for flags of pages: the second page may be odd as well.
    pub asks: bool,
    /// The code may run where sleeping is forbidden; chosen at the start of a run.
    pub steps: u64,
    /// Operations of the runs before this one.
    pub spent: u64,
    /// A difference was found and is looked at again, to be told: limits of the whole plan do not count.
    pub telling: bool,
    /// The start is neither the narrowest nor the widest.
    pub middle: bool,
    /// Functions of the trace that do something with page references.
    pub active: FxHashSet<Name>,
    /// The code of the last function of a run, and the operations from which a region can still be reached.
    pub ahead: Option<(Rc<Code>, Vec<bool>)>,
    /// Folios that the first page of a run may lie in.
    pub flavours: Vec<(Folio, u8, &'static str)>,
    /// The expression that runs, for the story.
    pub(super) now: Span,
    /// Where the new code faulted.
    pub fault_at: Option<At>,
    /// The page that is asked for is only looked at.
    pub(super) looking: bool,
    /// The page lock may be held from the start.
    pub page_locked: bool,
    /// Changed functions with their regions, for runs that get to them by a call.
    pub with_regions: FxHashMap<(FileId, Name), Rc<Code>>,
    /// Objects of the first entry by struct tag, for later entries.
    pub holders: FxHashMap<Name, V>,
    /// A later entry runs: unknown pointers to a known kind of object are that object.
    pub later: bool,
    /// Calls that the running region made, in both versions.
    pub(super) passed: BTreeSet<At>,
    /// Calls that were made in a pair of runs that was compared, since the last reset.
    pub covered: BTreeSet<At>,
    /// Fills of memory before the running region.
    pub fills_from: usize,
    /// Regions that were compared since the last reset, in a run in which the old code released a page if it has a
    /// release.
    pub reached: BTreeSet<usize>,
    /// Struct that a field place lies in.
    pub(super) tags: FxHashMap<Ptr, NameId>,
    /// Union that a field belongs to, and its first member, which names what nobody has written yet.
    pub(super) unions: FxHashMap<NameId, (u32, NameId)>,
    pub(super) learned: FxHashSet<Name>,
    codes: FxHashMap<(FileId, Name), Rc<Code>>,
    types: FxHashMap<(FileId, Name), Rc<FxHashMap<NameId, CType>>>,
    structs: FxHashMap<(FileId, Name), Option<Arc<StructDef>>>,
    /// What a name means, called from a file.
    pub(super) functions: FxHashMap<(FileId, Name), Defined>,
    pub(super) interesting: FxHashMap<(FileId, Name), bool>,
}

/// Types of parameters and locals by name.
pub fn local_types(w: &mut World, f: &Function) -> FxHashMap<NameId, CType> {
    let mut t = FxHashMap::default();
    for p in &f.params {
        t.insert(w.name(&p.name), decayed(&p.ty));
    }
    f.body.walk(&mut |s| {
        if let crate::ast::StmtKind::Decl(v) = &s.kind {
            for d in v {
                t.insert(w.name(&d.name), d.ty.clone());
            }
        }
    });
    t
}

/// The type of an array parameter is a pointer.
pub fn decayed(t: &CType) -> CType {
    let mut t = t.clone();
    if t.dims.len() == 1 {
        t.dims.clear();
        t.ptr += 1;
    }
    t
}

impl<'t> Machine<'t> {
    pub fn new(task: &'t Task<'t>) -> Self {
        Machine {
            task,
            w: World::default(),
            trail: Trail::default(),
            pages: Pages::default(),
            st: State::new(task.caps),
            phase: Phase::Both,
            regions: Vec::new(),
            diff: None,
            assumed: BTreeSet::new(),
            refinements: BTreeSet::new(),
            compared: 0,
            old_faults: 0,
            taken: Taken::default(),
            trusting: false,
            plain: false,
            additive: false,
            exhausted: false,
            observed: false,
            asks: false,
            steps: 0,
            spent: 0,
            telling: false,
            middle: false,
            active: FxHashSet::default(),
            ahead: None,
            flavours: super::pages::flavours(true, false, false),
            now: Span::default(),
            fault_at: None,
            looking: false,
            page_locked: false,
            with_regions: FxHashMap::default(),
            holders: FxHashMap::default(),
            later: false,
            passed: BTreeSet::new(),
            covered: BTreeSet::new(),
            fills_from: 0,
            reached: BTreeSet::new(),
            tags: FxHashMap::default(),
            unions: FxHashMap::default(),
            learned: FxHashSet::default(),
            codes: FxHashMap::default(),
            types: FxHashMap::default(),
            structs: FxHashMap::default(),
            functions: FxHashMap::default(),
            interesting: FxHashMap::default(),
        }
    }

    pub fn frame(&self) -> Option<&Frame> {
        self.st.frames.last()
    }
    pub fn file(&self) -> FileId {
        self.frame().map_or(FileId(0), |f| f.file)
    }
    pub fn at(&self, span: Span) -> At {
        let f = self.frame();
        At { file: f.map_or(FileId(0), |f| f.file), span, after: f.is_some_and(|f| f.after) }
    }
    pub fn unsupported<T>(&self, span: Span, what: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::Unsupported(self.file(), span, what.into()))
    }
    pub fn log(&mut self, what: What, span: Span) {
        let at = self.at(span);
        self.st.log.push(Ev { what, at });
    }
    /// The definition of a struct that the running function sees.
    pub fn structure(&mut self, tag: &Name) -> Option<Arc<StructDef>> {
        let key = (self.file(), tag.clone());
        if let Some(s) = self.structs.get(&key) {
            return s.clone();
        }
        let s = self.task.program.structure(key.0, tag);
        self.structs.insert(key, s.clone());
        s
    }
    /// Opens a frame; its locals hold `fill`.
    pub fn enter(&mut self, file: FileId, types: Rc<FxHashMap<NameId, CType>>, after: bool) -> u32 {
        let id = self.st.next_frame;
        self.st.next_frame += 1;
        self.st.frames.push(Frame { id, types, file, after, loops: FxHashMap::default() });
        id
    }

    /// Runs a function of the program with these arguments.
    pub fn call_function(&mut self, file: FileId, f: &Arc<Function>, args: &[V], span: Span) -> Result<V, Stop> {
        if self.st.frames.len() > 8 {
            return self.unsupported(span, format!("call of {}() nested too deep", f.name));
        }
        if !f.whole() {
            return Err(Stop::Unsupported(file, f.name_span, format!("{}() could not be parsed whole", f.name)));
        }
        // A changed function called from changed code runs in the version of the caller.
        let changed = self.task.changed.iter().find(|c| c.file == file && c.before.name == f.name);
        if let Some(c) = changed
            && self.phase == Phase::Both
            && self.task.held_by == HeldBy::GetToPin
            && !self.with_regions.contains_key(&(file, f.name.clone()))
        {
            return self.call_both(file, c, args, span);
        }
        let (f, after) = match changed {
            Some(c) if self.phase == Phase::After => (c.after.clone(), true),
            _ => (f.clone(), false),
        };
        let key: (FileId, Name) = (file, if after { format!("{}'", f.name).into() } else { f.name.clone() });
        let marked = if self.phase == Phase::Both { self.with_regions.get(&key).cloned() } else { None };
        let code = match marked.as_ref().or(self.codes.get(&key)) {
            Some(c) => c.clone(),
            None => {
                let idle = if after { Default::default() } else { self.idle(&f) };
                let c = Rc::new(Code::of_body(&f.body, &[], &idle));
                self.codes.insert(key.clone(), c.clone());
                c
            }
        };
        let types = match self.types.get(&key) {
            Some(t) => t.clone(),
            None => {
                let t = Rc::new(local_types(&mut self.w, &f));
                self.types.insert(key, t.clone());
                t
            }
        };
        let id = self.enter(file, types, after);
        for (i, p) in f.params.iter().enumerate() {
            let v = args.get(i).copied().unwrap_or(V::Poison);
            let ty = decayed(&p.ty);
            let v = self.convert(v, &ty);
            let n = self.w.name(&p.name);
            let obj = self.w.obj(Obj::Local(id, n));
            self.st.cells.insert(Ptr { obj, path: 0, idx: 0 }, v);
        }
        // Behind the last region of the last function nothing is compared any more.
        let ahead = self.ahead.take_if(|(last, _)| Rc::ptr_eq(last, &code));
        let r = match &ahead {
            Some((_, ahead)) => self.run_until(&code, &mut |pc| !ahead.get(pc).copied().unwrap_or(false)),
            None => self.run(&code),
        };
        // A run that stops inside keeps the frame: the story needs the file.
        let exit = r?;
        self.st.frames.pop();
        match exit {
            Exit::Return(v) => Ok(self.convert(v, &f.ret)),
            Exit::Way(_) => Ok(V::Void),
        }
    }

    /// Runs a changed function that unchanged code calls, in both versions: the pages it is given are held by a plain
    /// reference in one memory and by a pin in the other, so neither version fits both.
    fn call_both(&mut self, file: FileId, c: &ChangedFunction, args: &[V], span: Span) -> Result<V, Stop> {
        let log_from = self.st.log.len();
        self.begin_comparison();
        let snapshot = self.st.clone();
        self.phase = Phase::Before;
        let old_value = match self.call_function(file, &c.before, args, span) {
            Err(Stop::Fault(_)) => {
                self.old_faults += 1;
                return Err(Stop::Prune);
            }
            other => other?,
        };
        let mut old = std::mem::replace(&mut self.st, snapshot);
        self.phase = Phase::After;
        let new_exit = match self.call_function(file, &c.before, args, span) {
            Err(Stop::Fault(what)) => Err(what),
            other => Ok(Exit::Return(other?)),
        };
        self.fault_at = new_exit.is_err().then(|| self.at(self.now));
        self.phase = Phase::Both;
        old.sync(&self.pages)?;
        self.st.sync(&self.pages)?;
        let new = std::mem::replace(&mut self.st, old);
        match super::compare::compare(self, 0, log_from, &Exit::Return(old_value), &new, &new_exit) {
            Ok(met) => self.refinements.extend(met),
            Err(diff) => {
                self.diff = Some(diff);
                return Err(Stop::Prune);
            }
        }
        let [_, mem] = new.mems;
        self.st.take_after(mem, new.held);
        Ok(old_value)
    }

    /// Runs code from its start.
    pub fn run(&mut self, code: &Rc<Code>) -> Result<Exit, Stop> {
        self.run_until(code, &mut |_| false)
    }

    /// Runs code from its start; ends early, as if by return, before an operation where `stop` says so.
    pub fn run_until(&mut self, code: &Rc<Code>, stop: &mut dyn FnMut(usize) -> bool) -> Result<Exit, Stop> {
        self.run_from(code, Point::default(), stop, None)
    }

    /// As [`Machine::run_until`], from a point of the code; with a stage, the run can be taken up again before each
    /// operation of it.
    pub(super) fn run_from(
        &mut self,
        code: &Rc<Code>,
        from: Point,
        stop: &mut dyn FnMut(usize) -> bool,
        stage: Option<&Stage>,
    ) -> Result<Exit, Stop> {
        let Point { mut pc, mut inside } = from;
        loop {
            if inside.is_none() {
                if let Some(stage) = stage {
                    self.save(stage, pc);
                }
                if stop(pc) {
                    return Ok(Exit::Return(V::Void));
                }
                self.steps += 1;
                if self.steps > self.task.budget.steps {
                    return self.unsupported(Span::default(), "a run longer than the budget");
                }
            }
            let Some(op) = code.ops.get(pc) else { return Ok(Exit::Return(V::Void)) };
            pc += 1;
            match op {
                Op::Eval(e) => {
                    self.now = e.span;
                    self.eval(e)?;
                }
                Op::Decl(d) => {
                    self.now = d.span;
                    self.declare(d)?;
                }
                Op::Branch { cond, no, of_loop } => {
                    let made = self.trail.len();
                    self.now = cond.span;
                    let yes = self.condition(cond)?;
                    // An endless loop is kept going by what its body asks.
                    let endless = matches!(cond.kind, crate::ast::ExprKind::Int { .. });
                    if !yes {
                        pc = code.at[*no];
                    } else if let Some(id) = of_loop {
                        self.turn(*id, endless || self.trail.len() > made, cond.span)?;
                    }
                }
                Op::Jump(l) => pc = code.at[*l],
                Op::Goto(l) => {
                    let to = code.at[*l];
                    if to < pc {
                        self.turn(u32::MAX - to as u32, true, Span::default())?;
                    }
                    pc = to;
                }
                Op::Enter(id) => {
                    let made = self.trail.len();
                    if let Some(f) = self.st.frames.last_mut() {
                        f.loops.insert(*id, (0, 0, made, made));
                    }
                }
                Op::Iterate { id, name, args, done, span } => {
                    if self.iterate(*id, name, args, *span)? {
                        self.turn(*id, false, *span)?;
                    } else {
                        pc = code.at[*done];
                    }
                }
                Op::Return(e) => {
                    let v = match e {
                        Some(e) => {
                            self.now = e.span;
                            self.eval(e)?.0
                        }
                        None => V::Void,
                    };
                    return Ok(Exit::Return(v));
                }
                Op::Switch { value, cases, other } => {
                    let (v, t) = self.eval(value)?;
                    let mut to = *other;
                    for (lo, hi, l) in cases {
                        if self.matches_case(v, &t, lo, hi.as_ref())? {
                            to = *l;
                            break;
                        }
                    }
                    pc = code.at[to];
                }
                Op::Config { cond, no } => {
                    let n = self.w.name(cond.trim_start_matches('!'));
                    let t = self.w.term(Term::Const(n), None);
                    let on = match self.trail.known_truth(t) {
                        Some(b) => b,
                        None => {
                            let b = self.trail.choose(2) == 0;
                            self.trail.set_truth(t, b);
                            let word = if b { "set" } else { "not set" };
                            self.trail.notes.push(Note::Text(format!("{} is {word}", cond.trim_start_matches('!'))));
                            b
                        }
                    };
                    if on == cond.starts_with('!') {
                        pc = code.at[*no];
                    }
                }
                Op::Region { number, brk, cont } => match self.region(*number, stage.map(|_| pc - 1), inside.take())? {
                    Exit::Return(v) => return Ok(Exit::Return(v)),
                    Exit::Way(Way::Fall) => {}
                    Exit::Way(Way::Break) => pc = brk.map_or(code.ops.len(), |l| code.at[l]),
                    Exit::Way(Way::Continue) => pc = cont.map_or(code.ops.len(), |l| code.at[l]),
                    Exit::Way(Way::Goto(n)) => match code.named.get(&n) {
                        Some(&l) => pc = code.at[l],
                        None => return self.unsupported(Span::default(), format!("goto {n} out of a region")),
                    },
                },
                Op::Forget { vars, over } => {
                    if self.phase == Phase::Both {
                        self.forget(vars);
                        pc = code.at[*over];
                    }
                }
                Op::Exit(way) => return Ok(Exit::Way(way.clone())),
                Op::Opaque(span) => return self.unsupported(*span, "a statement that was not understood"),
            }
        }
    }

    /// Counts the turns of a loop: those that unknowns keep going are bounded, the others must end.
    fn turn(&mut self, id: u32, unknown: bool, span: Span) -> Result<(), Stop> {
        let made = self.trail.len();
        let most = if self.phase == Phase::Both { BOUND + 2 } else { BOUND };
        let Some(f) = self.st.frames.last_mut() else { return Ok(()) };
        let (turns, guessed, last, start) = f.loops.entry(id).or_insert((0, 0, made, made));
        let start = *start;
        *turns += 1;
        let most_of_all = if made > start { 20 } else { 400 };
        if unknown && made > *last {
            *guessed += 1;
            *last = made;
        }
        if i128::from(*guessed) > most || (made > start && *turns > most_of_all) {
            // The old code came to its end: that the new one does not is no reason to look away.
            if self.phase == Phase::After {
                return self.unsupported(span, "a loop that goes on where the old code was through");
            }
            return Err(Stop::Prune);
        }
        if *turns > 400 {
            return self.unsupported(span, "a loop with more than 400 turns");
        }
        Ok(())
    }

    fn declare(&mut self, d: &crate::ast::VarDecl) -> Result<(), Stop> {
        let (p, ty) = self.variable(&d.name);
        if d.is_static {
            return Ok(());
        }
        self.st.refill(&self.w, p, true, Fill::Poison);
        if let Some(init) = &d.init {
            self.initialise(p, &ty, init)?;
        }
        Ok(())
    }

    fn matches_case(&mut self, v: V, t: &CType, lo: &Expr, hi: Option<&Expr>) -> Result<bool, Stop> {
        use crate::ast::BinOp;
        let (a, ta) = self.eval(lo)?;
        match hi {
            None => {
                let r = self.operate(BinOp::Eq, v, t, a, &ta, lo.span)?;
                self.truth(r)
            }
            Some(hi) => {
                let ge = self.operate(BinOp::Ge, v, t, a, &ta, lo.span)?;
                if !self.truth(ge)? {
                    return Ok(false);
                }
                let (b, tb) = self.eval(hi)?;
                let le = self.operate(BinOp::Le, v, t, b, &tb, hi.span)?;
                self.truth(le)
            }
        }
    }
}
