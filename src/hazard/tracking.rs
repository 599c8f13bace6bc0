//! Scenario (f): what the count of pins can and cannot tell, and what a mixed pair of calls does to it.

use super::explore::{Step, System};
use super::knobs::Settings;
use crate::model::{Capabilities, FolioId, Grab, Kind, Memory, Path, Ptr, Stat};

/// Nobody has a pin, but the page says that somebody has.
pub const FALSE_POSITIVE: &str = "false-positive";
/// Somebody has a pin, but the page says that nobody has.
pub const FALSE_NEGATIVE: &str = "false-negative";
/// Everybody let go, but the page is never freed.
pub const NEVER_FREED: &str = "never-freed";
/// The page is freed while somebody uses it.
pub const PREMATURE: &str = "premature-free";
/// A reference was refused: the count is full.
pub const REFUSED: &str = "refused";
/// The count of references is below zero.
pub const NEGATIVE: &str = "negative";
/// The page goes back to the allocator with a pin count: v6.12 mm/page_alloc.c `bad_page("nonzero pincount")`.
pub const PIN_LEFT: &str = "freed-with-pin";

const ID: FolioId = FolioId(0);

/// How far somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Before,
    Holds,
    Done,
}

/// One state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    memory: Memory,
    driver: Phase,
    other: Phase,
    owners_gone: bool,
    more: bool,
}

/// The system.
pub struct Tracking {
    caps: Capabilities,
    kind: Kind,
    nr: u8,
    base: i32,
    times: i32,
    acquire: Grab,
    release: Grab,
    other: bool,
    asks_more: bool,
}

impl Tracking {
    /// From settings. `asks_more`: somebody takes one more pin while the driver holds its own.
    pub fn new(set: &Settings, asks_more: bool) -> Tracking {
        let (kind, nr) = match set.get("page") {
            "order1" => (Kind::Anon, 2),
            "order2" => (Kind::Anon, 4),
            "zero" => (Kind::Zero, 1),
            _ => (Kind::Anon, 1),
        };
        Tracking {
            caps: match set.get("kernel") {
                "5.7" => Capabilities::tracked_5_7(),
                "6.1" => Capabilities::pincount_6_1(),
                _ => Capabilities::pincount_6_12(),
            },
            kind,
            nr,
            base: set.number("base"),
            times: set.number("times"),
            acquire: if set.get("acquire") == "pin" { Grab::Pin } else { Grab::Get },
            release: if set.get("drop") == "unpin" { Grab::Pin } else { Grab::Get },
            other: set.on("other"),
            asks_more,
        }
    }

    /// `times` references or pins, one after the other, as a driver takes them; the first refusal ends it.
    fn take(&self, memory: &mut Memory, how: Grab, times: i32) -> bool {
        for _ in 0..times {
            if memory.grab(ID.page(0), 1, how, Path::Fast) != Ok(true) {
                return false;
            }
            memory.log.clear();
        }
        true
    }

    fn drop(&self, memory: &mut Memory, how: Grab, times: i32) {
        let ptr = Ptr::Page(ID.page(0));
        for _ in 0..times {
            let result = if how == Grab::Pin { memory.unpin_user_page(ptr) } else { memory.put_page(ptr) };
            memory.log.clear();
            if result.is_err() {
                return;
            }
        }
    }

    /// Builds the step and looks at the count that it leaves.
    fn step(
        &self,
        who: (&'static str, &'static str),
        short: String,
        long: &str,
        from: &State,
        change: impl FnOnce(&mut State) -> bool,
    ) -> Step<State> {
        let mut to = from.clone();
        let allowed = change(&mut to);
        to.memory.log.clear();
        to.memory.stat = Stat::default();
        let folio = to.memory.folio(ID);
        let says = to.memory.maybe_dma_pinned(ID);
        let pinned = to.other == Phase::Holds || (to.driver == Phase::Holds && self.acquire == Grab::Pin);
        let refs = folio.refs;
        let nobody = to.owners_gone && to.driver != Phase::Holds && to.other != Phase::Holds;
        let checks = [
            (REFUSED, !allowed),
            (PREMATURE, folio.freed && !nobody),
            (NEVER_FREED, !folio.freed && nobody),
            (FALSE_NEGATIVE, !folio.freed && pinned && !says),
            (FALSE_POSITIVE, !folio.freed && !pinned && says),
            // Pins are added as 1024 each and wrap on purpose; only a drop takes the count below zero otherwise.
            (NEGATIVE, refs < 0 && from.memory.folio(ID).refs >= 0 && to.driver == Phase::Done),
            (PIN_LEFT, folio.freed && folio.pinc != 0),
        ];
        let why = |property| match property {
            PIN_LEFT => format!(
                "Its pin count is still {}: where freed pages are checked, bad_page() reports \"nonzero pincount\".",
                folio.pinc
            ),
            _ => String::new(),
        };
        let breaks = checks.iter().filter(|(_, broken)| *broken).map(|(p, _)| (*p, why(*p))).collect();
        let word = if says { "true" } else { "false" };
        let count =
            if folio.compound() { format!("{}, pins {}", folio.refs, folio.pinc) } else { folio.refs.to_string() };
        let state = if folio.freed {
            "The page is freed.".into()
        } else {
            format!("Count {count}: page_maybe_dma_pinned() is {word}.")
        };
        let seen = match (folio.freed, says) {
            (true, _) => "freed".to_string(),
            (_, true) => format!("count {count}: looks pinned"),
            (_, false) => format!("count {count}: not pinned"),
        };
        let refused = if allowed { "" } else { " The count is full: refused." };
        Step {
            actor: who.0,
            action: who.1,
            short,
            long: format!("{long}{refused} {state}"),
            state: seen,
            to: (!folio.freed).then_some(to),
            breaks,
            pays: false,
        }
    }
}

/// `get_page() x 1023`
fn times(call: &str, n: i32) -> String {
    if n == 1 { call.to_string() } else { format!("{call} x {n}") }
}

impl System for Tracking {
    type State = State;

    fn start(&self) -> State {
        let mut memory = Memory::new(self.caps);
        memory.add(self.kind.folio(self.nr, self.base));
        State { memory, driver: Phase::Before, other: Phase::Before, owners_gone: false, more: false }
    }

    fn steps(&self, state: &State) -> Vec<Step<State>> {
        let mut out = vec![];
        if self.other && state.other == Phase::Before {
            let long = "Another user pins the page.";
            out.push(self.step(("other user", "OTHER.pin"), "pins".into(), long, state, |s| {
                s.other = Phase::Holds;
                self.take(&mut s.memory, Grab::Pin, 1)
            }));
        }
        if state.driver == Phase::Before {
            let (call, long) = match self.acquire {
                Grab::Pin => ("pin", "The driver calls pin_user_pages()."),
                Grab::Get => ("get", "The driver calls get_user_pages() or get_page()."),
            };
            out.push(self.step(("driver", "DRV.acquire"), times(call, self.times), long, state, |s| {
                s.driver = Phase::Holds;
                self.take(&mut s.memory, self.acquire, self.times)
            }));
        }
        if state.driver == Phase::Holds && self.asks_more && !state.more {
            let long = "One more pin of the same page.";
            out.push(self.step(("other user", "OTHER.pin"), "pins".into(), long, state, |s| {
                s.more = true;
                self.take(&mut s.memory, Grab::Pin, 1)
            }));
        }
        if state.driver == Phase::Holds && !self.asks_more {
            let (call, long) = match self.release {
                Grab::Pin => ("unpin", "The driver calls unpin_user_page()."),
                Grab::Get => ("put", "The driver calls put_page()."),
            };
            out.push(self.step(("driver", "DRV.release"), times(call, self.times), long, state, |s| {
                s.driver = Phase::Done;
                self.drop(&mut s.memory, self.release, self.times);
                true
            }));
        }
        if state.other == Phase::Holds && self.other {
            let long = "The other user drops its pin.";
            out.push(self.step(("other user", "OTHER.unpin"), "unpins".into(), long, state, |s| {
                s.other = Phase::Done;
                self.drop(&mut s.memory, Grab::Pin, 1);
                true
            }));
        }
        let idle = state.driver == Phase::Done && (!self.other || state.other == Phase::Done);
        if idle && !state.owners_gone {
            let long = "The process exits: its own references are dropped.";
            out.push(self.step(("owner", "OWNER.drop"), times("put", self.base), long, state, |s| {
                s.owners_gone = true;
                self.drop(&mut s.memory, Grab::Get, self.base);
                true
            }));
        }
        out
    }
}
