//! Scenario (g): a pinned anonymous page, fork(), and copy on write.

use super::explore::{Step, System};
use super::knobs::Settings;
use crate::model::{Capabilities, FolioId, Grab, Kind, Memory, Path, Stat};

/// The device and the parent look at different pages.
pub const SPLIT: &str = "device-and-parent-split";

/// One state. Folio 0 is the page; folio 1 the copy, once there is one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    memory: Memory,
    /// The page of the parent.
    parent: FolioId,
    /// Parent and child share a page, write-protected in both.
    shared: bool,
    forked: bool,
    pinned: Option<FolioId>,
    wrote: bool,
}

/// The system.
pub struct Fork {
    reads: bool,
    copies: bool,
    unshares: bool,
    caps: Capabilities,
}

impl Fork {
    /// From settings.
    pub fn new(set: &Settings) -> Fork {
        Fork {
            reads: set.get("access") == "read",
            copies: set.on("copy-at-fork"),
            unshares: set.on("unshare"),
            caps: if set.on("track") { Capabilities::pincount_6_12() } else { Capabilities::placeholder_2arg() },
        }
    }

    /// Gives the parent a page of its own; the child keeps the old one.
    fn copy(s: &mut State) {
        s.parent = if s.memory.folios.len() > 1 { FolioId(1) } else { s.memory.add(Kind::Anon.order0(1)) };
        s.shared = false;
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

impl System for Fork {
    type State = State;

    fn start(&self) -> State {
        let mut memory = Memory::new(self.caps);
        let parent = memory.add(Kind::Anon.order0(1));
        State { memory, parent, shared: false, forked: false, pinned: None, wrote: false }
    }

    fn steps(&self, state: &State) -> Vec<Step<State>> {
        let mut out = vec![];
        if state.pinned.is_none() {
            out.push(self.pin(state));
        }
        if !state.forked {
            let copied = self.copies && state.memory.maybe_dma_pinned(state.parent);
            let (short, long) = match copied {
                true => (
                    "fork, child: copy",
                    "fork() sees the pin and copies the page for the child; the parent keeps its own.",
                ),
                false => {
                    ("fork, page shared", "fork() write-protects the page and shares it between parent and child.")
                }
            };
            out.push(step(("parent", "FORK"), short, long, state, |s| {
                (s.forked, s.shared) = (true, !copied);
                // The child maps the shared page: one more reference.
                if !copied {
                    let _ = s.memory.grab(s.parent.page(0), 1, Grab::Get, Path::Slow);
                }
            }));
        }
        if state.forked && !state.wrote {
            let (short, long) = match state.shared {
                true => (
                    "writes, new page",
                    "The parent writes. Copy on write gives the parent a new page; the old one stays with the child.",
                ),
                false => ("writes to its page", "The parent writes to its own page."),
            };
            out.push(step(("parent", "PARENT.write"), short, long, state, |s| {
                s.wrote = true;
                if s.shared {
                    Fork::copy(s);
                }
            }));
        }
        if let Some(page) = state.pinned {
            let (short, long) = match self.reads {
                true => ("reads the page", "The device reads the pinned page."),
                false => ("writes the page", "The device writes to the pinned page."),
            };
            let mut s = step(("device", "DMA"), short, long, state, |_| {});
            if page != state.parent {
                let why = match self.reads {
                    true => "It is not the parent's page any more: the device gets stale data.",
                    false => "It is not the parent's page any more: the parent never sees the data, the child does.",
                };
                s.breaks.push((SPLIT, why.into()));
            }
            out.push(s);
        }
        out
    }
}

impl Fork {
    fn pin(&self, state: &State) -> Step<State> {
        // A write pin of a shared page goes through a write fault, which breaks the sharing.
        let breaks = state.shared && (!self.reads || self.unshares);
        let (short, long) = match (breaks, self.reads) {
            (false, _) => ("pins the page", "A driver pins the private anonymous page of the parent."),
            (true, false) => (
                "faults, pins copy",
                "A driver pins for writing: the write fault gives the parent a page of its own first.",
            ),
            (true, true) => (
                "unshares, pins copy",
                "A driver pins for reading: the kernel gives the parent a page of its own first.",
            ),
        };
        let how = if self.caps.tracked { Grab::Pin } else { Grab::Get };
        step(("driver", "PIN"), short, long, state, |s| {
            if breaks {
                Fork::copy(s);
            }
            if s.memory.grab(s.parent.page(0), 1, how, Path::Slow) == Ok(true) {
                s.pinned = Some(s.parent);
            }
        })
    }
}
