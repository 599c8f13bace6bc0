//! Taking a run up where it differs from the one before, instead of running everything again.
//!
//! Choices are explored depth first, so a run begins as the one before it did, up to one choice. The state behind each
//! choice is kept, and the next run goes on from the last one that both share. The interpreter recurses, so there are
//! such points only between the operations of the outermost code of a run and of the regions that stand there, not in
//! functions that are called; a choice in the middle of an operation is got to by running that operation again.
//!
//! Of the operations of the two longest proofs of v6.12, 74 % and 48 % lie in front of the choice that differs.
//!
//! **Invariant:** a run that is taken up ends as one from the start does, and counts as many operations and
//! comparisons. What lives longer than a run must not change in what both share: [`Machine::forget_saves`].

use super::code::Code;
use super::exec::{Exit, Machine};
use super::state::{At, Pages, Phase, State};
use super::trail::{Stop, Trail};
use crate::source::Span;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Which code it is that runs, and what is to be done behind it.
#[derive(Clone)]
pub(super) enum Stage {
    /// The outermost code.
    Outside,
    /// The old version of a region. `outer` is the place of the region in the outermost code.
    Before { outer: usize, log_from: usize, base: Rc<State> },
    /// The new version, after the old one left this state in this way.
    After { outer: usize, log_from: usize, old: Rc<State>, exit: Exit },
}

/// Where in a piece of code a run begins.
#[derive(Default)]
pub(super) struct Point {
    pub pc: usize,
    /// In the region that stands at `pc`: the stage of it, and the place in its code.
    pub inside: Option<(Stage, usize)>,
}

impl Point {
    pub fn at(pc: usize) -> Self {
        Self { pc, inside: None }
    }
}

/// All that a run has changed up to some place.
#[derive(Clone)]
struct Save {
    stage: Stage,
    pc: usize,
    /// Choices made.
    choices: usize,
    trail: Trail,
    pages: Pages,
    st: State,
    phase: Phase,
    now: Span,
    steps: u64,
    /// Pairs compared in this run.
    compared: u64,
    page_locked: bool,
    fills_from: usize,
    passed: BTreeSet<At>,
}

/// Where runs can be taken up.
#[derive(Default)]
pub(super) struct Taken {
    /// By the number of their choices, ascending.
    saves: Vec<Save>,
    /// Choices that are needed for another one.
    next: usize,
    /// Where this run is to go on; `None` for its start.
    from: Option<(Stage, usize)>,
    /// Pairs compared in the runs before.
    compared: u64,
    /// Something that lives longer than a run has changed.
    changed: bool,
}

impl Machine<'_> {
    /// Starts a new run with the given choices, which are those of the run before up to the last.
    pub fn restart(&mut self, prefix: Vec<u16>) {
        self.spent += self.steps;
        self.ahead = None;
        self.diff = None;
        self.later = false;
        self.holders.clear();
        let changed = std::mem::take(&mut self.taken.changed) | std::mem::take(&mut self.w.retyped);
        let shared = prefix.len().saturating_sub(1);
        let saves = &mut self.taken.saves;
        if prefix.is_empty() || changed {
            saves.clear();
        }
        while saves.last().is_some_and(|s| s.choices > shared) {
            saves.pop();
        }
        // Behind the last option of a choice, nobody comes back to it.
        let save = match saves.last() {
            Some(s) if s.choices == shared && self.trail.is_last(&prefix) => saves.pop(),
            s => s.cloned(),
        };
        self.taken.compared = self.compared;
        match save {
            Some(s) => {
                self.taken.next = s.choices + 1;
                self.taken.from = Some((s.stage, s.pc));
                self.trail = s.trail;
                self.trail.go_on(prefix);
                (self.pages, self.st, self.phase, self.now) = (s.pages, s.st, s.phase, s.now);
                (self.page_locked, self.fills_from, self.passed) = (s.page_locked, s.fills_from, s.passed);
                self.steps = s.steps;
                self.compared += s.compared;
            }
            None => {
                self.taken.next = 0;
                self.taken.from = None;
                self.trail.restart(prefix);
                self.pages = Pages::default();
                self.st.restart(self.task.caps);
                self.phase = Phase::Both;
                self.steps = 0;
            }
        }
    }

    /// This run is taken up: what it does first is done.
    pub fn is_taken_up(&self) -> bool {
        self.taken.from.is_some()
    }

    /// Runs the outermost code of a run.
    pub fn run_outermost(&mut self, code: &Rc<Code>, stop: &mut dyn FnMut(usize) -> bool) -> Result<Exit, Stop> {
        let from = match self.taken.from.take() {
            None => Point::default(),
            Some((Stage::Outside, pc)) => Point::at(pc),
            Some((stage, at)) => match stage {
                Stage::Before { outer, .. } | Stage::After { outer, .. } => {
                    Point { pc: outer, inside: Some((stage, at)) }
                }
                Stage::Outside => Point::at(at),
            },
        };
        self.run_from(code, from, stop, Some(&Stage::Outside))
    }

    /// Runs a region that is all there is of a run.
    pub fn run_region(&mut self, number: usize) -> Result<Exit, Stop> {
        let from = self.taken.from.take();
        self.region(number, Some(0), from)
    }

    /// Keeps the state, if a choice was made since it was kept last.
    pub(super) fn save(&mut self, stage: &Stage, pc: usize) {
        let choices = self.trail.len();
        if choices < self.taken.next {
            return;
        }
        self.taken.next = choices + 1;
        self.taken.saves.push(Save {
            stage: stage.clone(),
            pc,
            choices,
            trail: self.trail.clone(),
            pages: self.pages.clone(),
            st: self.st.clone(),
            phase: self.phase,
            now: self.now,
            steps: self.steps,
            compared: self.compared - self.taken.compared,
            page_locked: self.page_locked,
            fills_from: self.fills_from,
            passed: self.passed.clone(),
        });
    }

    /// What lives longer than a run has changed in a way that the same choices may lead elsewhere now: the next run
    /// begins at its start.
    pub(super) fn forget_saves(&mut self) {
        self.taken.changed = true;
    }
}
