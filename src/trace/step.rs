//! A trace told step by step. Which steps there are is not decided here.

use crate::source::{Loc, Name};

/// One step of a trace, for `gupconv trace`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where.
    pub at: Loc,
    /// What happens to the pages.
    pub what: String,
    /// The fact that makes the step valid (which field that is, who has a reference of its own); may be empty.
    pub because: String,
    /// The step that it continues, by its number in the list; the pin for the pin.
    pub after: usize,
    /// Why the pages of the pin may never take it.
    pub doubt: Option<Doubt>,
}

/// Why pages may not take a step, nor those behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It reads a field of all objects of a struct: others come to that field as well, first at this place. Which of
    /// the objects have the pages of the pin is not known.
    Field(Name, Loc),
    /// The same, where no statement stores the others into the field: they join the way of the pages at this place.
    Joined(Name, Loc),
    /// The pages are pinned behind a test of this parameter which fails with what is passed in this function.
    Argument(Name, Name),
    /// A pin of an iterator function is only in the pages of iterators over user memory.
    Iterator,
}
