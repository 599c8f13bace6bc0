//! Exhaustive breadth-first exploration: every state, the shortest way to a violation, and what never happens.
//!
//! Knows nothing of pages: a system says where it starts and which steps a state has.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// A step that a system offers in a state.
pub struct Step<S> {
    /// Who does it: a column of the story.
    pub actor: &'static str,
    /// Stable name of the step, for tests and for JSON: `WB.lock`.
    pub action: &'static str,
    /// A few words, at most [`SHORT`] characters.
    pub short: String,
    /// A sentence that a reader without the source understands.
    pub long: String,
    /// The page after it, in a few words; may be empty.
    pub state: String,
    /// Where it leads; `None` when the machine stops there.
    pub to: Option<S>,
    /// The properties that it violates, each with a sentence on why; told only to who asks for that property.
    pub breaks: Vec<(&'static str, String)>,
    /// It does what a liveness property waits for.
    pub pays: bool,
}

/// Longest [`Step::short`]: what fits into a column.
pub const SHORT: usize = 20;

/// A transition system.
pub trait System {
    /// One state.
    type State: Clone + Eq + Hash;
    /// Where it starts.
    fn start(&self) -> Self::State;
    /// All steps of a state, in a fixed order: it decides which of several shortest traces is told.
    fn steps(&self, state: &Self::State) -> Vec<Step<Self::State>>;
    /// Whether something is owed in this state, for liveness.
    fn owes(&self, _state: &Self::State) -> bool {
        false
    }
    /// Who waits for ever once nothing can pay any more, for liveness; no step of the system.
    fn waits(&self) -> Option<Taken> {
        None
    }
}

/// What is asked of a system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// No reachable step violates this property.
    Never(&'static str),
    /// From every reachable state that owes something, a step that pays can still be reached.
    CanAlwaysPay,
}

/// A step as told.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Taken {
    /// Column.
    pub actor: &'static str,
    /// Stable name.
    pub action: &'static str,
    /// A few words.
    pub short: String,
    /// A sentence.
    pub long: String,
    /// The page after it, in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
}

/// The answer, with the number of different states that were seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// All states were seen, and it holds.
    Holds {
        /// Reachable states.
        states: usize,
    },
    /// It does not; this is a shortest way there.
    Broken {
        /// The steps; the last one violates, or leads to where nothing pays any more.
        trace: Vec<Taken>,
        /// Who waits for ever after them, for liveness.
        waits: Option<Taken>,
        /// States seen until then.
        states: usize,
    },
    /// The bound was reached first. Proves nothing.
    Unfinished {
        /// The bound.
        states: usize,
    },
}

/// Explores `system`, seeing at most `bound` states.
pub fn explore<T: System>(system: &T, question: Question, bound: usize) -> Answer {
    let start = system.start();
    let mut states = vec![start.clone()];
    let mut number: FxHashMap<T::State, usize> = FxHashMap::default();
    number.insert(start, 0);
    let mut came_from: Vec<Option<(usize, Taken)>> = vec![None];
    let mut before: Vec<Vec<usize>> = vec![vec![]];
    let mut pays: Vec<usize> = vec![];
    let mut queue = VecDeque::from([0]);
    while let Some(at) = queue.pop_front() {
        let state = states[at].clone();
        for step in system.steps(&state) {
            let Step { actor, action, short, long, state, .. } = step;
            let mut taken = Taken { actor, action, short, long, state };
            if let Question::Never(property) = question
                && let Some((_, why)) = step.breaks.into_iter().find(|(p, _)| *p == property)
            {
                if !why.is_empty() {
                    taken.long = format!("{} {why}", taken.long);
                }
                let mut trace = way(&came_from, at);
                trace.push(taken);
                return Answer::Broken { trace, waits: None, states: states.len() };
            }
            if step.pays {
                pays.push(at);
            }
            let Some(next) = step.to else { continue };
            let to = *number.entry(next.clone()).or_insert_with(|| {
                states.push(next);
                came_from.push(Some((at, taken)));
                before.push(vec![]);
                queue.push_back(states.len() - 1);
                states.len() - 1
            });
            before[to].push(at);
            if states.len() > bound {
                return Answer::Unfinished { states: bound };
            }
        }
    }
    if question == Question::CanAlwaysPay {
        let can = backwards(&before, pays);
        // Numbers ascend in order of distance: the first one is a nearest one.
        if let Some(stuck) = (0..states.len()).find(|&i| !can[i] && system.owes(&states[i])) {
            return Answer::Broken { trace: way(&came_from, stuck), waits: system.waits(), states: states.len() };
        }
    }
    Answer::Holds { states: states.len() }
}

fn way(came_from: &[Option<(usize, Taken)>], mut at: usize) -> Vec<Taken> {
    let mut trace = vec![];
    while let Some((from, taken)) = &came_from[at] {
        trace.push(taken.clone());
        at = *from;
    }
    trace.reverse();
    trace
}

fn backwards(before: &[Vec<usize>], from: Vec<usize>) -> Vec<bool> {
    let mut can = vec![false; before.len()];
    let mut open = from;
    while let Some(at) = open.pop() {
        if !can[at] {
            can[at] = true;
            open.extend(&before[at]);
        }
    }
    can
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up to a limit in steps of one or two; 5 is bad, and an even number owes a step of one.
    struct Counter {
        limit: u8,
    }

    impl System for Counter {
        type State = u8;
        fn start(&self) -> u8 {
            0
        }
        fn steps(&self, state: &u8) -> Vec<Step<u8>> {
            let step = |by: u8| {
                let to = state + by;
                Step {
                    actor: "counter",
                    action: if by == 1 { "one" } else { "two" },
                    short: by.to_string(),
                    long: "by counting".into(),
                    state: String::new(),
                    to: (to <= self.limit).then_some(to),
                    breaks: if to == 5 { vec![("five", "It is five.".into())] } else { vec![] },
                    pays: by == 1,
                }
            };
            if *state < self.limit - 1 { vec![step(1), step(2)] } else { vec![] }
        }
        fn owes(&self, state: &u8) -> bool {
            state.is_multiple_of(2)
        }
    }

    #[test]
    fn the_trace_is_a_shortest_one() {
        let Answer::Broken { trace, .. } = explore(&Counter { limit: 9 }, Question::Never("five"), 100) else {
            panic!("5 is reachable");
        };
        assert_eq!(trace.len(), 3);
        assert_eq!(trace[2].long, "by counting It is five.");
        assert_eq!(explore(&Counter { limit: 4 }, Question::Never("six"), 100), Answer::Holds { states: 5 });
    }

    #[test]
    fn an_exploration_that_does_not_end_proves_nothing() {
        let answer = explore(&Counter { limit: 200 }, Question::Never("never"), 50);
        assert_eq!(answer, Answer::Unfinished { states: 50 });
    }

    #[test]
    fn liveness_finds_the_nearest_state_that_cannot_pay() {
        // 3 and 4 have no steps; only 4 owes.
        let Answer::Broken { trace, states, .. } = explore(&Counter { limit: 4 }, Question::CanAlwaysPay, 100) else {
            panic!("4 cannot pay");
        };
        assert_eq!((trace.len(), states), (2, 5));
    }
}
