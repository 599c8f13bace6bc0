//! Scenario (e): a pin that lasts, against truncation of its file; on DAX, and in the page cache.

use super::explore::{Step, System, Taken};
use super::knobs::Settings;
use crate::model::{Capabilities, Family, FolioId, GupFlags, Kind, Map, Mapped, Memory, Ptr, Stat};

/// The device wrote into a block that belongs to another file by now.
pub const CORRUPT: &str = "other-file-corrupted";
/// The device wrote into a page that the process does not see any more.
pub const ORPHAN: &str = "orphan";

const ID: FolioId = FolioId(0);

/// Who owns the block (DAX) or the place in the page cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    /// The pinned page.
    Ours,
    /// Nobody.
    Free,
    /// Another file's data, or a new page.
    Other,
}

/// One state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    memory: Memory,
    pinned: bool,
    place: Place,
}

/// The system.
pub struct LongTerm {
    dax: bool,
    policy: &'static str,
    leaks: bool,
}

impl LongTerm {
    /// From settings.
    pub fn new(set: &Settings, dax: bool) -> LongTerm {
        LongTerm { dax, policy: set.get("longterm"), leaks: set.get("release") == "never" }
    }
}

fn step(
    who: (&'static str, &'static str),
    short: &str,
    long: &str,
    from: &State,
    change: impl FnOnce(&mut State),
) -> Step<State> {
    let mut to = from.clone();
    change(&mut to);
    to.memory.log.clear();
    to.memory.stat = Stat::default();
    Step {
        actor: who.0,
        action: who.1,
        short: short.into(),
        long: long.into(),
        state: String::new(),
        to: Some(to),
        breaks: vec![],
        pays: false,
    }
}

impl System for LongTerm {
    type State = State;

    fn start(&self) -> State {
        let mut memory = Memory::new(Capabilities::pincount_6_12());
        memory.add(if self.dax { Kind::FileDax } else { Kind::FileBuffer }.order0(1));
        State { memory, pinned: false, place: Place::Ours }
    }

    fn owes(&self, state: &State) -> bool {
        state.place == Place::Ours
    }

    fn waits(&self) -> Option<Taken> {
        (self.policy == "wait").then(|| Taken {
            actor: "truncate",
            action: "TRUNC.waits",
            short: "waits for the count".into(),
            long: "Truncation waits until the count of the page falls to 1. It never does.".into(),
            state: String::new(),
        })
    }

    fn steps(&self, state: &State) -> Vec<Step<State>> {
        let mut out = vec![];
        if !state.pinned && state.place == Place::Ours {
            out.push(self.pin(state));
        }
        if state.place == Place::Ours && !(self.policy == "wait" && state.memory.folio(ID).refs > 1) {
            let (short, long) = match self.dax {
                true => ("frees the block", "The file is truncated. Its block goes back to the file system."),
                false => {
                    ("removes the page", "A hole is punched, or the file is truncated. The page leaves the page cache.")
                }
            };
            let action = if self.dax { "TRUNC.free" } else { "TRUNC.remove" };
            let mut s = step(("truncate", action), short, long, state, |s| {
                s.place = Place::Free;
                s.memory.folios[0].map = Map::Gone;
            });
            s.pays = true;
            out.push(s);
        }
        if state.place == Place::Free {
            let (who, short, long) = match self.dax {
                true => (
                    ("other file", "B.alloc"),
                    "gets block, writes",
                    "Another file is given the same block and writes its data there.",
                ),
                false => (
                    ("CPU", "CPU.fault"),
                    "faults in a new page",
                    "The process touches the hole, or the file after it was made longer again, and gets a new page in \
                     the same place of the file.",
                ),
            };
            out.push(step(who, short, long, state, |s| s.place = Place::Other));
        }
        if state.pinned {
            let mut s = step(
                ("device", "DMA.write"),
                "writes the page",
                "The device writes to the page it was given.",
                state,
                |_| {},
            );
            if state.place == Place::Other {
                s.breaks.push(match self.dax {
                    true => (CORRUPT, "The data of the other file is overwritten.".into()),
                    false => (
                        ORPHAN,
                        "The process looks at the new page: it never sees the data, and no writeback does.".into(),
                    ),
                });
            }
            out.push(s);
            if !self.leaks {
                let long = "The driver dirties the page and drops its pin.";
                out.push(step(("driver", "DRV.release"), "dirties, unpins", long, state, |s| {
                    let ptr = Ptr::Page(ID.page(0));
                    // An orphan is only flagged; nobody writes it back.
                    let _ = s.memory.set_page_dirty_lock(ptr).and_then(|()| s.memory.unpin_user_page(ptr));
                    s.pinned = false;
                    s.memory.folios[0].dirty = false;
                    s.memory.folios[0].tagged = false;
                    s.memory.folios[0].bufs = s.memory.folios[0].bufs.map(|_| [false; 2]);
                }));
            }
        }
        out
    }
}

impl LongTerm {
    fn pin(&self, state: &State) -> Step<State> {
        // Without the flag the kernel cannot tell a long pin from a short one, and cannot refuse.
        let flags = GupFlags { write: true, longterm: self.policy == "reject", ..GupFlags::default() };
        let mut probe = state.clone();
        let range = [Mapped::Page { page: ID.page(0), shared: true }];
        let result = probe.memory.gup(Family::Pin, flags, &range, &mut [Ptr::Poison]);
        let (short, long) = match result {
            Ok(1) => ("pins for long", "The driver pins a page of the file, to keep it for the life of its buffer."),
            _ => (
                "pin is refused",
                "The driver asks for a long-term pin (FOLL_LONGTERM); the kernel refuses it for this file.",
            ),
        };
        step(("driver", "PIN"), short, long, state, |s| {
            s.pinned = result == Ok(1);
            s.memory = probe.memory;
        })
    }
}
