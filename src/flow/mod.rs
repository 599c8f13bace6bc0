//! Custody: from every pin to every release of its pages.
//!
//! Demand-driven rounds. Functions that pin are loaded first; their facts make a graph of places; where pages reach a
//! parameter, a return value, a field or an unknown callee, the functions on the other side are loaded, until nothing
//! new is asked for. The same is done backwards from each release, for the origins of what it drops. What is a faithful
//! rewrite, and whether one is wanted, is not decided here.

mod apart;
mod arguments;
mod beyond;
pub mod cfg;
mod choice;
mod closed;
mod context;
mod counted;
mod damage;
mod embedded;
mod emptied;
mod ends;
mod engine;
pub mod facts;
mod filled;
mod gaps;
pub mod graph;
mod guard;
mod harmless;
mod iterator;
mod mentions;
mod near;
mod objects;
mod origin;
mod others;
mod passage;
mod passed;
pub mod place;
mod ranges;
mod reached;
mod relayed;
mod release;
mod search;
mod steps;
mod trace;
mod undone;
mod unfollowed;
mod uses;
mod ways;
mod wiring;

pub use apart::serves_iterators;
pub use engine::{Remains, analyse};
pub use iterator::{made_over_kernel, not_user_iter};

/// Number of a loaded function, in the order of loading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FnId(pub u32);
