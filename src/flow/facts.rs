//! Facts of one function: which places pages move between, and what is done to them.
//!
//! The facts say what the code does, in terms of places; what is pinned is not known here. How they are found is in
//! [`extract`](mod@extract).

mod calls;
mod eval;
mod exchange;
mod extract;
mod fresh;
mod numbers;
mod own;
mod returned;
mod slice;
mod slots;
mod takers;
mod types;

pub use extract::extract;
pub use types::Types;

use super::place::Place;
use crate::kernel::Borrow;
use crate::source::{Name, Span};
use crate::trace::GapCode;

/// One argument of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// Places whose pages the argument carries.
    pub places: Vec<Place>,
    /// `&page`: the callee may store a new page there; this is the definition it makes.
    pub out: Option<Place>,
    /// The argument is an array or container rather than one page.
    pub container: bool,
    /// A type that may hold pages at all (pages, containers, untyped pointers).
    pub relevant: bool,
    /// Bytes of the argument.
    pub span: Span,
}

/// A fact.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    /// Pages move from one place to another.
    Copy {
        /// To.
        to: Place,
        /// From.
        from: Place,
        /// By.
        at: Span,
    },
    /// Pages that can be read at a place from now on, and that are not stored through it.
    Shown {
        /// At.
        to: Place,
        /// From.
        from: Place,
        /// The array is new memory: it is in no other place that was ever stored there.
        new: bool,
        /// By.
        at: Span,
    },
    /// What is stored through a place, without what is [`Fact::Shown`] there.
    Stored {
        /// To.
        to: Place,
        /// Through.
        from: Place,
        /// By.
        at: Span,
    },
    /// Pages are stored together with a reference of their own: the one that was there stays where it was.
    Own {
        /// To.
        to: Place,
        /// From.
        from: Place,
        /// The function that takes the reference.
        api: Name,
        /// By.
        at: Span,
    },
    /// A call gets pages together with a reference that was taken for it.
    Given {
        /// Which.
        of: Vec<Place>,
        /// The call.
        call: Span,
    },
    /// Two places are the same array or container from here on.
    Alias {
        /// One.
        a: Place,
        /// Other.
        b: Place,
        /// By.
        at: Span,
    },
    /// A number or address of the pages comes to be, or the page of one.
    Number {
        /// The result.
        to: Place,
        /// Of.
        from: Place,
        /// The result is the page.
        page: bool,
        /// By.
        at: Span,
    },
    /// A call that acquires pages.
    Pin {
        /// Where the pages go; `None` when no array is passed.
        into: Option<Place>,
        /// Name called.
        api: Name,
        /// The call.
        call: Span,
        /// Its callee.
        callee: Span,
        /// Position in `calls` order: the argument spans.
        args: Vec<Span>,
    },
    /// A page of other origin comes in.
    Origin {
        /// Where it goes.
        into: Place,
        /// The function that made it.
        what: Name,
        /// It has a reference of its own.
        counted: bool,
        /// The call.
        at: Span,
    },
    /// A reference is dropped.
    Release {
        /// Function called.
        callee: Name,
        /// Its identifier.
        callee_span: Span,
        /// The call.
        call: Span,
        /// Places whose pages are released.
        from: Vec<Place>,
    },
    /// A call of a function that the table does not know.
    Call {
        /// Name; `None` for a call through a pointer.
        callee: Option<Name>,
        /// Of a call through a member of a struct: tag and name.
        member: Option<(Name, Name)>,
        /// The call.
        call: Span,
        /// Arguments.
        args: Vec<Arg>,
        /// Its value.
        result: Place,
    },
    /// A known use that neither keeps nor drops.
    Use {
        /// Of.
        of: Vec<Place>,
        /// How.
        kind: Borrow,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// A number or address of the page is taken.
    Address {
        /// Of.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// Pages are handed to somebody who owns them from then on.
    Handover {
        /// Which.
        of: Vec<Place>,
        /// The gap; `None` when only struct-page owners (`soft_offline_page`) are concerned.
        gap: Option<GapCode>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// Stored through something that is no place.
    UnknownStore {
        /// What.
        of: Vec<Place>,
        /// The function whose result is stored through, if it is one.
        through: Option<Name>,
        /// The bytes are copied into something that is no array of pages.
        bytes: bool,
        /// Where.
        at: Span,
    },
    /// Marked dirty.
    Dirty {
        /// Which.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
    /// An extra reference is taken.
    Extra {
        /// On.
        of: Vec<Place>,
        /// By.
        callee: Name,
        /// Where.
        at: Span,
    },
}

impl Fact {
    /// By.
    pub fn at(&self) -> Span {
        match self {
            Fact::Pin { call, .. }
            | Fact::Release { call, .. }
            | Fact::Call { call, .. }
            | Fact::Given { call, .. } => *call,
            Fact::Copy { at, .. }
            | Fact::Shown { at, .. }
            | Fact::Stored { at, .. }
            | Fact::Own { at, .. }
            | Fact::Alias { at, .. }
            | Fact::Number { at, .. }
            | Fact::Origin { at, .. }
            | Fact::Use { at, .. }
            | Fact::Address { at, .. }
            | Fact::Handover { at, .. }
            | Fact::UnknownStore { at, .. }
            | Fact::Dirty { at, .. }
            | Fact::Extra { at, .. } => *at,
        }
    }
    /// Calls `f` on each place that the fact mentions.
    pub fn places<'a>(&'a self, f: &mut dyn FnMut(&'a Place)) {
        match self {
            Fact::Copy { to, from, .. } | Fact::Own { to, from, .. } => {
                f(to);
                f(from);
            }
            Fact::Number { to, from, .. } | Fact::Shown { to, from, .. } | Fact::Stored { to, from, .. } => {
                f(to);
                f(from);
            }
            Fact::Alias { a, b, .. } => {
                f(a);
                f(b);
            }
            Fact::Pin { into, .. } => into.iter().for_each(f),
            Fact::Origin { into, .. } => f(into),
            Fact::Release { from, .. } => from.iter().for_each(f),
            Fact::Call { args, result, .. } => {
                for a in args {
                    a.places.iter().chain(&a.out).for_each(&mut *f);
                }
                f(result);
            }
            Fact::Use { of, .. }
            | Fact::Address { of, .. }
            | Fact::Handover { of, .. }
            | Fact::UnknownStore { of, .. }
            | Fact::Dirty { of, .. }
            | Fact::Given { of, .. }
            | Fact::Extra { of, .. } => of.iter().for_each(f),
        }
    }
}

/// Facts of a function.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The facts, in evaluation order of the graph.
    pub facts: Vec<Fact>,
    /// Parameter places, in order: what a caller's argument flows to and from.
    pub params: Vec<Param>,
}

/// A parameter as callers see it.
#[derive(Clone, Debug)]
pub struct Param {
    /// The place.
    pub place: Place,
    /// One page, passed by value.
    pub by_value: bool,
}
