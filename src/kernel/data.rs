//! What the table says of the data of pages: who reads and writes it, and which way a transfer goes;
//! of names that are no variables; and of contexts.

use super::raw::{RawContext, RawData};
use super::{Api, ContextFn};
use rustc_hash::FxHashMap;

/// What a call does to a lock under which one may sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// Takes it.
    Taken,
    /// Takes it, or returns an error.
    TakenOrFails,
    /// Takes it and returns true, or does not.
    TakenIfFree,
    /// Drops it.
    Dropped,
}

/// The roles of names in the context analysis.
pub(super) fn context(raw: &RawContext) -> FxHashMap<String, ContextFn> {
    let mut out = FxHashMap::default();
    for (names, role) in [
        (&raw.atomic_enter, ContextFn::Enter),
        (&raw.atomic_leave, ContextFn::Leave),
        (&raw.atomic_asked, ContextFn::Asked),
        (&raw.waits, ContextFn::Transfer(true)),
        (&raw.tells, ContextFn::Transfer(false)),
    ] {
        out.extend(names.iter().map(|n| (n.clone(), role)));
    }
    for c in &raw.callback {
        out.extend(c.names.iter().map(|n| (n.clone(), ContextFn::Callback(c.arg))));
    }
    out
}

/// The locks under which one may sleep.
pub(super) fn locks(raw: &RawContext) -> FxHashMap<String, Lock> {
    let all = [
        (&raw.lock, Lock::Taken),
        (&raw.lock_or_fail, Lock::TakenOrFails),
        (&raw.lock_if_free, Lock::TakenIfFree),
        (&raw.unlock, Lock::Dropped),
    ];
    all.into_iter().flat_map(|(names, what)| names.iter().map(move |n| (n.clone(), what))).collect()
}

/// The data of pages, and names that are no variables.
#[derive(Debug)]
pub(super) struct Data {
    /// Whether the CPU writes there for sure.
    copies: FxHashMap<String, bool>,
    flushes: FxHashMap<String, ()>,
    raw: RawData,
}

impl Data {
    pub(super) fn new(mut raw: RawData) -> Self {
        let copies = std::mem::take(&mut raw.copies);
        let copies = copies.into_iter().map(|n| (n.clone(), raw.fills.contains(&n))).collect();
        Self { copies, flushes: super::set(std::mem::take(&mut raw.flushes)), raw }
    }
}

impl Api {
    /// What the call does to a lock under which one may sleep: its first argument.
    pub fn lock(&self, name: &str) -> Option<Lock> {
        self.locks.get(name).copied()
    }
    /// The CPU writes through its first argument and reads the others.
    pub fn is_copy(&self, name: &str) -> bool {
        self.data.copies.contains_key(name)
    }
    /// The CPU writes to the memory that its first argument points to.
    pub fn copies_to(&self, name: &str) -> bool {
        self.data.copies.get(name) == Some(&true)
    }
    /// The CPU reads through its arguments, and writes nothing.
    pub fn only_reads(&self, name: &str) -> bool {
        self.data.raw.reads.iter().any(|n| n == name)
    }
    /// The argument that is the name of a member, and no variable of that name.
    pub fn member_name(&self, macro_name: &str) -> Option<usize> {
        self.data.raw.member_names.iter().find(|(n, _)| n == macro_name).map(|(_, k)| *k)
    }
    /// A macro that sets a variable which it is given by its name: its first argument, `swap()` both.
    pub fn sets_variable(&self, name: &str) -> bool {
        self.data.raw.sets_variable.iter().any(|n| n == name)
    }
    /// Whether the name is that of a function which copies memory of any kind.
    pub fn is_copying(&self, name: &str) -> bool {
        self.data.raw.copying.iter().any(|part| name.contains(&**part))
    }
    /// Maps an array of pages into the kernel.
    pub fn maps_pages(&self, name: &str) -> bool {
        self.data.raw.maps_pages.iter().any(|n| n == name)
    }
    /// The direction of a transfer is one that writes to memory.
    pub fn is_to_memory(&self, name: &str) -> bool {
        self.data.raw.to_memory.iter().any(|n| n == name)
    }
    /// The direction of a mapping is the one with which a device only reads.
    pub fn is_from_memory(&self, name: &str) -> bool {
        self.data.raw.from_memory.iter().any(|n| n == name)
    }
    /// The code tells private mappings from shared ones.
    pub fn tells_private(&self, word: &[u8]) -> bool {
        self.data.raw.tells_private.iter().any(|n| n.as_bytes() == word)
    }
    /// Cleans the caches of what lies at a kernel address.
    pub fn is_flush(&self, name: &str) -> bool {
        self.data.flushes.contains_key(name)
    }
}
