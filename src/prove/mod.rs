//! The proof of a plan: the changed functions run before and after the edits, on the page model, over the bounded space
//! of SEMANTICS 4, and whatever others can see is compared.
//!
//! How: a deterministic interpreter of [`crate::ast::Function`]. Everything unknown is a term that both versions share
//! ([`value`]); what must be known of it is chosen and remembered ([`trail`]), and all choices are explored, each run
//! from where it differs from the one before ([`save`]). The unit of comparison is the *region*: the statements that
//! differ, both versions of which run from one state ([`region`]). A region that does the same from an arbitrary state
//! does so in every function, whatever is around it; where it does not, wider starting points are tried, up to the
//! functions of the trace from the pin on ([`explore`]).
//!
//! What it deliberately does not know: how a plan was made, and any driver. It never answers [`Outcome::Equal`] after
//! hitting a limit, and never when no run got through the changed code.
//!
//! ```text
//! let task = Task { program, changed, functions, acquires, releases, contexts, held_by, caps, api, … };
//! let proof = prove::prove(&task);
//! ```

mod alias;
mod align;
mod arith;
mod balance;
mod calls;
mod chain;
mod changed;
mod code;
mod compare;
mod eval;
mod exec;
mod explore;
mod idle;
mod live;
mod mutate;
mod names;
mod negative;
mod pages;
mod region;
mod save;
mod signs;
mod state;
mod story;
mod task;
mod trail;
mod value;
mod watch;

pub use changed::changed_functions;
pub use mutate::{Mutant, mutants};
pub use negative::{Defect, Negative, negative};
pub use task::{Budget, ChangedFunction, HeldBy, Outcome, Policy, Proof, Refinement, Stopped, Task};

use explore::Found;
use std::collections::BTreeSet;

/// Proves a plan. Never fails: what cannot be done is [`Outcome::Unsupported`] with the construct.
pub fn prove(task: &Task<'_>) -> Proof {
    let mut m = exec::Machine::new(task);
    prepare(&mut m);
    let mut runs = 0;
    let mut order: Vec<usize> = (0..task.changed.len()).collect();
    order.sort_by_key(|&i| (task.changed[i].file, task.changed[i].before.span.start));
    let mut proof = Proof {
        outcome: Outcome::Equal,
        refinements: Default::default(),
        runs: 0,
        assumed: Vec::new(),
        counterexample: None,
        stopped: None,
    };
    if let Some(story) = balance::unbalanced(task) {
        proof.outcome = Outcome::Differs;
        proof.counterexample = Some(story);
        return proof;
    }
    for i in order {
        match explore::prove_function(&mut m, i, &mut runs) {
            Found::Fine => {}
            Found::Stopped(s) => {
                if proof.outcome < Outcome::Unsupported {
                    proof.outcome = Outcome::Unsupported;
                    proof.stopped = Some(s);
                }
            }
            Found::Differs(story) => {
                proof.outcome = Outcome::Differs;
                proof.counterexample = task.tell.then_some(story);
                break;
            }
        }
    }
    if proof.outcome == Outcome::Equal && m.compared == 0 {
        proof.outcome = Outcome::Unsupported;
        proof.stopped = task.changed.first().map(|c| Stopped {
            file: c.file,
            span: c.before.name_span,
            after: false,
            construct: "nothing that runs was changed".into(),
        });
    }
    if proof.outcome == Outcome::Equal && !m.refinements.is_empty() {
        proof.outcome = Outcome::Refined;
    }
    if proof.outcome == Outcome::Refined {
        proof.refinements = m.refinements.clone();
    }
    proof.runs = m.compared;
    let told: BTreeSet<String> = m.assumed.iter().map(|a| m.tell_assumed(a)).collect();
    proof.assumed = told.into_iter().collect();
    proof
}

/// Which folios matter for what the changed functions call.
fn prepare(m: &mut exec::Machine<'_>) {
    let task = m.task;
    let mut names = BTreeSet::new();
    for c in &task.changed {
        for f in [&c.before, &c.after] {
            names.extend(explore::callees(f));
        }
    }
    names.extend(task.removed.iter().flat_map(|(_, f)| explore::callees(f)));
    let has = |f: &dyn Fn(&str) -> bool| names.iter().any(|n| f(n));
    let dirtying = has(&|n| task.api.dirty(n).is_some() || n.ends_with("_dirty_lock") || n.ends_with("_pages_dirty"));
    let zero = !task.always_write;
    let batch = has(&|n| n == "release_pages");
    m.flavours = pages::flavours(dirtying, zero, batch);
    for (file, name) in &task.functions {
        if let Some((file, f)) = task.program.function(*file, name)
            && m.matters(file, &f, 0)
        {
            m.active.insert(name.clone());
        }
    }
    m.asks = has(&|n| n.starts_with("Page"));
    // release_pages() treats some pages in its own way.
    m.additive = !dirtying && !batch && !m.asks;
}
