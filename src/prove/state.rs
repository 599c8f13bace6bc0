//! The state of a run: variables and objects, pages, the log, the context.
//!
//! Objects come to life when they are first read: what a place held before anybody wrote it is a term named by the
//! place. Pages likewise: a term that is used as a page becomes a page of the model ([`Pages`]), kept with the trail so
//! that both runs mean the same one. A state carries two page memories, one for each version of the code; code that is
//! equal in both versions acts on both.

use super::trail::Stop;
use super::value::{NameId, Ptr, Term, TermId, V, World};
use crate::ast::CType;
use crate::model::{Capabilities, Event, Folio, Grab, Memory, Page};
use crate::source::{FileId, Span};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::mem::take;
use std::rc::Rc;

/// Which version of the code runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Code that the rewrite does not touch.
    Both,
    /// A changed region, as it was.
    Before,
    /// A changed region, as it shall be.
    After,
}

/// What unwritten places of an area hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Something unknown, fixed.
    Lazy,
    /// Zero.
    Zero,
    /// Garbage: reading is possible, using is a fault.
    Poison,
    /// Something unknown since the n-th opaque call.
    Havoc(u32),
    /// What this area holds.
    CopyOf(Ptr),
}

/// A place in the source, for the story.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct At {
    pub file: FileId,
    pub span: Span,
    /// In the text after the rewrite.
    pub after: bool,
}

/// Something that another part of the kernel can see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Of a page.
    Page(Event),
    /// A page that was clean was to be dirtied.
    TryDirty(Page),
    /// Pages were acquired: number of the call, result.
    Acquire(u32, i128),
    /// A call that is not interpreted: name, arguments.
    Call(NameId, Rc<[TermId]>),
    /// Memory was given back.
    Free(TermId),
    /// Something is written that others can see at once (volatile).
    Barrier(NameId),
}

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ev {
    pub what: What,
    pub at: At,
}

/// A function that runs.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Number of the call, names its locals.
    pub id: u32,
    /// Types of parameters and locals.
    pub types: Rc<FxHashMap<NameId, CType>>,
    pub file: FileId,
    /// Runs the text after the rewrite.
    pub after: bool,
    /// For each loop: turns since it was entered, those that a choice led to, choices made by the last of them, and
    /// before the first.
    pub loops: FxHashMap<u32, (u32, u32, usize, usize)>,
}

/// References that a run holds on a folio, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    pub get: i32,
    pub pin: i32,
}

/// Pages that came to life from terms, common to both runs.
#[derive(Clone, Default)]
pub struct Pages {
    /// Each folio as it was before any run, in order of creation.
    pub folios: Vec<Folio>,
    /// References that the holder has from the start, one for each term that is a page, by kind in each version.
    pub holds: Vec<(Page, [Grab; 2])>,
    /// Entries met behind the first.
    pub met: usize,
}

/// The state.
#[derive(Clone)]
pub struct State {
    pub cells: FxHashMap<Ptr, V>,
    /// Areas with their fill, latest last; the flag says that all elements of the array are meant.
    pub fills: Vec<(Ptr, bool, Fill)>,
    /// The field of a union that was written last, by place of the union.
    pub unions: FxHashMap<(Ptr, u32), NameId>,
    pub mems: [Memory; 2],
    pub held: [BTreeMap<u8, Held>; 2],
    synced: (usize, usize),
    seen: [usize; 2],
    pub log: Vec<Ev>,
    pub occurred: FxHashMap<(NameId, Rc<[TermId]>), u32>,
    pub calls: u32,
    pub allocs: u32,
    /// Number of elements of an allocation, where the call says it.
    pub sizes: FxHashMap<u32, V>,
    pub acquires: u32,
    pub frames: Vec<Frame>,
    pub next_frame: u32,
    /// Depth of atomic sections.
    pub atomic: i32,
    pub freed: FxHashSet<Ptr>,
    /// Conversions of the region to a type that holds less: width from, width to, number, of those that are no
    /// constants.
    pub narrowed: std::collections::BTreeSet<(u8, u8, TermId)>,
    /// Fields that were written through a pointer of unknown origin; from this number on by the region itself.
    pub written: Vec<Ptr>,
    pub written_from: usize,
    /// Two fields that are one if two unknown pointers are the same: the region wrote one, then read the other.
    pub alias: Option<(Ptr, Ptr)>,
    /// The same, with a write in front of the region.
    pub earlier: std::collections::BTreeSet<(Ptr, Ptr)>,
    /// Page functions called, by name.
    pub used: std::collections::BTreeSet<&'static str>,
    /// Releases of an array that were given a negative number for a count, as it stands in the type of its expression.
    pub told: Vec<(At, &'static str, V)>,
}

impl State {
    pub fn new(caps: Capabilities) -> State {
        State {
            cells: FxHashMap::default(),
            fills: Vec::new(),
            unions: FxHashMap::default(),
            mems: [Memory::new(caps), Memory::new(caps)],
            held: [BTreeMap::new(), BTreeMap::new()],
            synced: (0, 0),
            seen: [0, 0],
            log: Vec::new(),
            occurred: FxHashMap::default(),
            calls: 0,
            allocs: 0,
            sizes: FxHashMap::default(),
            acquires: 0,
            frames: Vec::new(),
            next_frame: 0,
            atomic: 0,
            freed: FxHashSet::default(),
            written: Vec::new(),
            written_from: 0,
            alias: None,
            earlier: Default::default(),
            narrowed: std::collections::BTreeSet::new(),
            used: std::collections::BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// As it was when it was new. What a proof of thousands of short runs allocates again and again is kept.
    pub fn restart(&mut self, caps: Capabilities) {
        let (mut cells, mut fills, mut log) = (take(&mut self.cells), take(&mut self.fills), take(&mut self.log));
        cells.clear();
        fills.clear();
        log.clear();
        *self = State { cells, fills, log, ..State::new(caps) };
    }

    /// Adds the pages that came to life since the last time.
    pub fn sync(&mut self, pages: &Pages) -> Result<(), Stop> {
        while self.synced.0 < pages.folios.len() {
            let f = pages.folios[self.synced.0];
            self.mems[0].add(f);
            self.mems[1].add(f);
            self.synced.0 += 1;
        }
        while self.synced.1 < pages.holds.len() {
            let (p, kinds) = pages.holds[self.synced.1];
            for (k, mem) in self.mems.iter_mut().enumerate() {
                let how = kinds[k];
                let r = mem.grab(p, 1, how, crate::model::Path::Slow);
                if r != Ok(true) {
                    return Err(Stop::Prune);
                }
                let h = self.held[k].entry(p.folio.0).or_default();
                match how {
                    Grab::Get => h.get += 1,
                    Grab::Pin => h.pin += 1,
                }
                self.seen[k] = mem.log.len();
            }
            self.synced.1 += 1;
        }
        Ok(())
    }

    /// Whether the old code holds more references than it was given.
    pub fn holds_more(&mut self, pages: &Pages) -> Result<bool, Stop> {
        self.sync(pages)?;
        let held: i64 = self.held[0].values().map(|h| i64::from(h.get) + i64::from(h.pin)).sum();
        Ok(held > pages.holds.len() as i64)
    }

    /// Moves what the memories of this phase wrote to the log.
    pub fn drain(&mut self, phase: Phase, at: At) {
        for &k in active(phase) {
            let new: Vec<Event> = self.mems[k].log[self.seen[k]..].to_vec();
            self.seen[k] = self.mems[k].log.len();
            for e in new {
                match e {
                    Event::Acquire { page, how } => {
                        let h = self.held[k].entry(page.folio.0).or_default();
                        *(if how == Grab::Get { &mut h.get } else { &mut h.pin }) += 1;
                    }
                    Event::Release { page, how } => {
                        let h = self.held[k].entry(page.folio.0).or_default();
                        *(if how == Grab::Get { &mut h.get } else { &mut h.pin }) -= 1;
                    }
                    _ => {}
                }
                if k == active(phase)[0] {
                    self.log.push(Ev { what: What::Page(e), at });
                }
            }
        }
    }

    /// What the place holds.
    pub fn read(&self, w: &mut World, p: Ptr, ty: &CType) -> V {
        match self.cells.get(&p) {
            Some(&v) => v,
            None => self.unwritten(w, p, ty, self.fills.len()),
        }
    }

    /// What the place holds by the first `upto` fills alone. A copy took over what was written to its source before, so
    /// what it holds else is what the source held when the copy was made, whatever happened to the source since.
    fn unwritten(&self, w: &mut World, p: Ptr, ty: &CType, upto: usize) -> V {
        let (at, area, fill) = self.fill_of(w, p, upto);
        match fill {
            Fill::Zero => V::Int(0, super::value::int_type(ty).unwrap_or(super::value::ITy::ULONG)),
            Fill::Poison => V::Poison,
            Fill::Lazy => V::Term(w.term(Term::Cell(p), super::value::int_type(ty))),
            Fill::Havoc(n) => V::Term(w.term(Term::Havoc(n, p), super::value::int_type(ty))),
            Fill::CopyOf(from) => {
                let q = rebase(w, p, area, from);
                self.unwritten(w, q, ty, at)
            }
        }
    }

    /// What fills the place, among the first `upto` fills, and which of them it is.
    fn fill_of(&self, w: &World, p: Ptr, upto: usize) -> (usize, Ptr, Fill) {
        for (at, &(area, array, fill)) in self.fills.iter().enumerate().take(upto).rev() {
            let hit = if array { w.inside_array(p, area) } else { w.inside(p, area) };
            if hit {
                return (at, area, fill);
            }
        }
        (0, p, Fill::Lazy)
    }

    /// Forgets what was written to an area and fills it.
    pub fn refill(&mut self, w: &World, area: Ptr, array: bool, fill: Fill) {
        self.cells.retain(|&p, _| !(if array { w.inside_array(p, area) } else { w.inside(p, area) }));
        self.fills.push((area, array, fill));
    }
}

/// The place in the array at `to` that corresponds to `p` in the array at `from`.
pub fn rebase(w: &mut World, p: Ptr, from: Ptr, to: Ptr) -> Ptr {
    if p.obj == from.obj && p.path == from.path {
        return Ptr { idx: to.idx + (p.idx - from.idx), ..to };
    }
    match w.parent(p) {
        Some((up, f)) => {
            let up = rebase(w, up, from, to);
            Ptr { idx: p.idx, ..w.field(up, f) }
        }
        None => p,
    }
}

/// Memories that a phase acts on.
pub fn active(phase: Phase) -> &'static [usize] {
    match phase {
        Phase::Both => &[0, 1],
        Phase::Before => &[0],
        Phase::After => &[1],
    }
}

impl State {
    /// Takes over the page memory of the version after from the state that it left.
    pub fn take_after(&mut self, mem: Memory, held: [BTreeMap<u8, Held>; 2]) {
        self.mems[1] = mem;
        let [_, after] = held;
        self.held[1] = after;
        self.seen[1] = self.mems[1].log.len();
    }
}
