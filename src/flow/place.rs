//! Places: the abstract holders of pages that custody analysis reasons about.
//!
//! A place stands for what is *in* it, at any depth: `pages`, `pages[i]`, `*pages` and `&pages[3]` are one place.
//! Fields are places by (struct tag, field name) whatever the object, so a page stored in one object's field reaches
//! every release that reads this field of any object. That is coarse on purpose: it follows pages through queues,
//! `void *` cookies and callbacks without tracking objects, and it can only ever add origins to a release, never hide
//! one.

use super::FnId;
use crate::source::{FileId, Name};

/// A place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A local or parameter that is not tracked per definition: arrays, containers, anything but a page pointer.
    Var(FnId, Name),
    /// One definition of a local `struct page *`; the number is the offset of the defining expression, or the
    /// parameter index for the value on entry ([`ENTRY`] added).
    Def(FnId, Name, u32),
    /// `tag.field`.
    Field(Name, Name),
    /// A file-scope variable; the file for `static` ones.
    Global(Option<FileId>, Name),
    /// What a function returns.
    Ret(FnId),
    /// The value of a call, by the offset of the call.
    Call(FnId, u32),
}

/// Marks the definition of a parameter on entry: `ENTRY + index`.
pub const ENTRY: u32 = u32::MAX - 64;

/// Tag of a field whose struct is not known.
pub const UNKNOWN_TAG: &str = "?";

/// In the tag of a field: what follows is the folder in which alone the field is joined with others.
pub const OWN: &str = "@/";

/// In the place of a tag: what follows is a function, and the member one of its parameters that it calls.
pub const PASSED: &str = "()";

impl Place {
    /// The parameter index, if this is the value of a parameter on entry.
    pub fn entry_param(&self) -> Option<u32> {
        match self {
            Place::Def(_, _, n) if *n >= ENTRY => Some(n - ENTRY),
            _ => None,
        }
    }
    /// The function whose place it is.
    pub fn function(&self) -> Option<FnId> {
        match self {
            Place::Var(f, _) | Place::Def(f, _, _) | Place::Ret(f) | Place::Call(f, _) => Some(*f),
            _ => None,
        }
    }
}
