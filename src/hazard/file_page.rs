//! Scenarios (a) to (d): one page of a file, a CPU, get_user_pages_fast(), a device, its driver, writeback and reclaim.
//!
//! The page is a [`Folio`] of the page model, and everything that takes, drops or dirties it is a call of the model.
//! Steps are atomic where the kernel's own locks or barriers make them so; finer steps add nothing, coarser ones hide
//! the race between pinning and write-protecting.

use super::explore::{Step, System, Taken};
use super::knobs::Settings;
use crate::model::{Capabilities, Event, Fault, Folio, FolioId, Grab, Kind, Lock, Memory, Path, Ptr, Stat, Warning};

/// A device wrote to a page that is on its way to the disk.
pub const UNSTABLE: &str = "unstable";
/// A device wrote to a page that the file system believes to be clean and write-protected.
pub const UNAWARE: &str = "unaware";
/// The file system hit its BUG_ON(): a dirty page without buffers.
pub const BUG: &str = "bug";
/// Data of the device was thrown away.
pub const LOST: &str = "lost";
/// GUP returned a page that is under writeback.
pub const GUP_WB: &str = "gup-returns-writeback";

const ID: FolioId = FolioId(0);

/// The system, with its knobs read once.
pub struct FilePage {
    mapped: bool,
    caps: Capabilities,
    fix: &'static str,
    redirty: bool,
    check_before: bool,
    recheck: bool,
    refuses_wb: bool,
    stable: bool,
    reclaim_pin: bool,
    bh_over_limit: bool,
    tolerant: bool,
    dirty_lock: bool,
    leaks: bool,
    /// References that others hold at the start, and keep.
    base: i32,
    /// What the liveness question waits for: `stored` or `reclaimed`.
    owed: Owed,
}

/// What a page that is never given back can block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owed {
    /// A dirty page gets to the disk, and its writeback ends.
    Writeback,
    /// The page can be reclaimed.
    Reclaim,
}

/// Where get_user_pages_fast() and its caller are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Gup {
    Idle,
    ReadPte,
    Grabbed,
    Held,
    /// Held, and the device has written: the driver may dirty and release.
    Written,
}

/// Where writeback is. The flag of the first two is what a check before write-protecting saw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wb {
    Idle,
    Locked { saw_pin: bool },
    Cleaned { saw_pin: bool },
    InFlight { from_page: bool },
}

/// One state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    memory: Memory,
    writable: bool,
    gup: Gup,
    wb: Wb,
    /// The page holds data of the device that no writeback took.
    pending: bool,
}

impl FilePage {
    /// From settings.
    pub fn new(set: &Settings, owed: Owed) -> FilePage {
        FilePage {
            mapped: set.get("start") == "mapped",
            caps: if set.on("track") { Capabilities::pincount_6_12() } else { Capabilities::placeholder_2arg() },
            fix: set.get("fix"),
            redirty: set.on("redirty"),
            check_before: set.get("check") == "before",
            recheck: set.on("recheck"),
            refuses_wb: set.on("gup-refuses-wb"),
            stable: set.on("stable"),
            reclaim_pin: set.on("reclaim-pin"),
            bh_over_limit: set.on("bh-over-limit"),
            tolerant: set.get("fs") == "tolerant",
            dirty_lock: set.on("dirty-lock"),
            leaks: set.get("release") == "never",
            base: set.number("base"),
            owed,
        }
    }

    /// The function that the driver calls.
    fn gup_name(&self) -> &'static str {
        match self.how() {
            Grab::Pin => "pin_user_pages_fast()",
            Grab::Get => "get_user_pages_fast()",
        }
    }

    fn how(&self) -> Grab {
        if self.caps.tracked { Grab::Pin } else { Grab::Get }
    }
}

/// A copy of the state, changed by `change`; the log of the model is kept for the story only.
fn next(state: &State, change: impl FnOnce(&mut State) -> Result<(), Fault>) -> (Result<State, Fault>, Vec<Event>) {
    let mut to = state.clone();
    let result = change(&mut to);
    let log = std::mem::take(&mut to.memory.log);
    // Node counters only ever grow; they are no part of the hazard.
    to.memory.stat = Stat::default();
    (result.map(|()| to), log)
}

fn page(state: &mut State) -> &mut Folio {
    &mut state.memory.folios[0]
}

impl System for FilePage {
    type State = State;

    fn start(&self) -> State {
        let mut memory = Memory::new(self.caps);
        let mut folio = Kind::FileBuffer.order0(self.base);
        if self.mapped {
            (folio.dirty, folio.tagged, folio.aware, folio.bufs) = (true, true, true, Some([true; 2]));
        }
        memory.add(folio);
        State { memory, writable: self.mapped, gup: Gup::Idle, wb: Wb::Idle, pending: false }
    }

    fn steps(&self, state: &State) -> Vec<Step<State>> {
        let mut out = vec![];
        self.cpu(state, &mut out);
        self.gup(state, &mut out);
        self.device(state, &mut out);
        self.writeback(state, &mut out);
        self.reclaim(state, &mut out);
        for step in &mut out {
            step.state = step.to.as_ref().map(words).unwrap_or_default();
        }
        out
    }

    fn owes(&self, state: &State) -> bool {
        match self.owed {
            Owed::Writeback => state.memory.folio(ID).dirty || state.wb != Wb::Idle,
            Owed::Reclaim => true,
        }
    }

    fn waits(&self) -> Option<Taken> {
        let (actor, action, short, long) = match (self.owed, self.fix) {
            (Owed::Reclaim, _) => (
                "reclaim",
                "RECLAIM.waits",
                "cannot free it",
                "Reclaim may drop the buffers, but it never frees the page: the reference stays.",
            ),
            (_, "wait") if !self.leaks => (
                "writeback",
                "WB.waits",
                "waits for a pin",
                "Writeback of the dirty page takes it for pinned and waits for as long as the references are held.",
            ),
            (_, "wait") => (
                "writeback",
                "WB.waits",
                "waits for the pin",
                "Writeback of the dirty page finds it pinned and waits. Nobody will wake it.",
            ),
            (_, "skip") => (
                "writeback",
                "WB.skips",
                "skips it each time",
                "Writeback of the dirty page finds it pinned and skips it, now and each time it comes by.",
            ),
            _ => return None,
        };
        Some(Taken { actor, action, short: short.into(), long: long.into(), state: String::new() })
    }
}

/// The page, for the picture: what the CPU may do with it, what the file system believes, and what is under way.
fn words(state: &State) -> String {
    let folio = state.memory.folio(ID);
    let mut out =
        vec![if state.writable { "writable" } else { "write-protected" }, if folio.dirty { "dirty" } else { "clean" }];
    if folio.bufs.is_none() {
        out.push("no buffers");
    }
    if folio.wb {
        out.push("under I/O");
    }
    out.join(", ")
}

/// Builds a step out of its parts.
fn step(
    who: (&'static str, &'static str),
    short: impl Into<String>,
    long: impl Into<String>,
    (result, _log): (Result<State, Fault>, Vec<Event>),
) -> Step<State> {
    let (to, breaks) = match result {
        Ok(to) => (Some(to), vec![]),
        Err(_) => (None, vec![("fault", String::new())]),
    };
    let (short, long) = (short.into(), long.into());
    Step { actor: who.0, action: who.1, short, long, state: String::new(), to, breaks, pays: false }
}

impl FilePage {
    /// A write through the mapping. Waits for writeback only where the device needs stable pages (v5.2.1
    /// mm/page-writeback.c `wait_for_stable_page()`).
    fn cpu(&self, state: &State, out: &mut Vec<Step<State>>) {
        let folio = state.memory.folio(ID);
        if state.writable || folio.lock != Lock::Free || (folio.wb && self.stable) {
            return;
        }
        let to = next(state, |s| {
            page(s).bufs.get_or_insert([false; 2]);
            s.memory.set_page_dirty_lock(Ptr::Page(ID.page(0)))?;
            page(s).aware = true;
            s.writable = true;
            Ok(())
        });
        let long = "The CPU writes to the mapped page. The write fault calls page_mkwrite(): the file system learns of \
                    the write and attaches buffers; the PTE becomes writable and the page dirty.";
        out.push(step(("CPU", "CPU.mkwrite"), "write fault", long, to));
    }

    /// get_user_pages_fast(): v5.2.1 mm/gup.c `gup_pte_range()`.
    fn gup(&self, state: &State, out: &mut Vec<Step<State>>) {
        let folio = state.memory.folio(ID);
        let set = |gup| {
            next(state, |s| {
                s.gup = gup;
                Ok(())
            })
        };
        match state.gup {
            Gup::Idle if state.writable => {
                let long = format!("{} reads the PTE without a lock and finds it writable.", self.gup_name());
                out.push(step(("GUP", "GUP.readpte"), "PTE is writable", long, set(Gup::ReadPte)));
            }
            Gup::ReadPte => {
                let to = next(state, |s| {
                    s.memory.grab(ID.page(0), 1, self.how(), Path::Fast)?;
                    s.gup = Gup::Grabbed;
                    Ok(())
                });
                let (short, long) = match self.how() {
                    Grab::Pin => ("pins the page", "It takes a pin: 1024 references at once, which others can see."),
                    Grab::Get => ("takes a reference", "It takes a reference; nobody can tell it from any other one."),
                };
                out.push(step(("GUP", "GUP.grab"), short, long, to));
            }
            Gup::Grabbed => {
                let keep = !self.recheck || (state.writable && !(self.refuses_wb && folio.wb));
                if keep {
                    let (short, long) = match self.recheck {
                        true => {
                            ("returns the page", "It reads the PTE again, finds it unchanged and returns the page.")
                        }
                        false => ("returns, no recheck", "It returns the page without a second look at the PTE."),
                    };
                    let mut s = step(("GUP", "GUP.recheck"), short, long, set(Gup::Held));
                    if self.leaks {
                        s.long.push_str(" The driver will never give it back.");
                    }
                    if folio.wb {
                        let why = "The page is under writeback: the device will write to a page in flight.";
                        s.breaks.push((GUP_WB, why.into()));
                    }
                    out.push(s);
                } else {
                    let to = next(state, |s| {
                        s.gup = Gup::Idle;
                        self.drop_page(s)
                    });
                    let long = "It reads the PTE again, finds that it changed, and gives the reference back.";
                    out.push(step(("GUP", "GUP.recheck"), "PTE changed: undo", long, to));
                }
            }
            Gup::Idle | Gup::Held | Gup::Written => {}
        }
    }

    fn drop_page(&self, s: &mut State) -> Result<(), Fault> {
        let ptr = Ptr::Page(ID.page(0));
        if self.caps.tracked { s.memory.unpin_user_page(ptr) } else { s.memory.put_page(ptr) }
    }

    fn device(&self, state: &State, out: &mut Vec<Step<State>>) {
        let folio = state.memory.folio(ID);
        if matches!(state.gup, Gup::Held | Gup::Written) {
            let to = next(state, |s| {
                (s.gup, s.pending) = (Gup::Written, true);
                Ok(())
            });
            let mut s = step(("device", "DMA.write"), "writes the page", "The device writes to the page.", to);
            if state.wb == (Wb::InFlight { from_page: true }) {
                // Without checksums the harm is the missing announcement.
                let why = match self.stable {
                    true => "The very same page is being written to the disk: checksum and content no longer match.",
                    false => "The very same page is being written to the disk, and the file system takes it for clean.",
                };
                s.breaks.push((UNSTABLE, why.into()));
            }
            if !folio.aware {
                s.breaks.push((UNAWARE, "The file system took it for clean and was not told.".into()));
            }
            out.push(s);
        }
        let lock_free = folio.lock == Lock::Free;
        if state.gup == Gup::Written && !self.leaks && (lock_free || !self.dirty_lock) {
            let to = next(state, |s| {
                let ptr = Ptr::Page(ID.page(0));
                if self.dirty_lock {
                    s.memory.set_page_dirty_lock(ptr)?
                } else {
                    s.memory.set_page_dirty(ptr)?
                }
                s.gup = Gup::Idle;
                self.drop_page(s)
            });
            let call = if self.dirty_lock { "set_page_dirty_lock()" } else { "set_page_dirty()" };
            let (short, drop) = match self.how() {
                Grab::Pin => ("dirties, unpins", "drops its pin"),
                Grab::Get => ("dirties, puts", "drops its reference"),
            };
            let mut long = format!("The transfer is over. The driver calls {call} and {drop}.");
            if to.1.contains(&Event::Warn(Warning::DirtyNoBuffers(ID))) {
                long.push_str(" The page has no buffers: the file system only warns.");
            }
            out.push(step(("driver", "DRV.release"), short, long, to));
        }
    }

    /// Writeback of one page: v5.2.1 mm/page-writeback.c `write_cache_pages()`, `clear_page_dirty_for_io()`, and the
    /// file system's `->writepages()`.
    fn writeback(&self, state: &State, out: &mut Vec<Step<State>>) {
        let folio = state.memory.folio(ID);
        let pinned = state.memory.maybe_dma_pinned(ID);
        let acts = matches!(self.fix, "bounce" | "wait" | "skip");
        match state.wb {
            Wb::Idle if folio.dirty && folio.tagged && folio.lock == Lock::Free => {
                if folio.bufs.is_none() {
                    out.push(self.no_buffers(state));
                    return;
                }
                if self.fix == "wait" && self.check_before && pinned {
                    return;
                }
                let to = next(state, |s| {
                    page(s).lock = Lock::Other;
                    s.wb = Wb::Locked { saw_pin: self.check_before && pinned };
                    Ok(())
                });
                let (short, long) = match (acts && self.check_before, pinned) {
                    (false, _) => ("locks the page", "Writeback finds the dirty page and locks it."),
                    (true, false) => ("locks it; not pinned", "Writeback locks the dirty page and sees no pin."),
                    (true, true) => {
                        ("locks it; sees a pin", "Writeback locks the dirty page and sees that it is pinned.")
                    }
                };
                out.push(step(("writeback", "WB.lock"), short, long, to));
            }
            Wb::Idle => {}
            Wb::Locked { saw_pin } => out.push(self.mkclean(state, saw_pin)),
            Wb::Cleaned { saw_pin } => self.submit(state, if self.check_before { saw_pin } else { pinned }, out),
            Wb::InFlight { .. } => {
                let to = next(state, |s| {
                    page(s).wb = false;
                    s.wb = Wb::Idle;
                    Ok(())
                });
                let mut end = step(("writeback", "WB.end"), "I/O is done", "The disk is done; writeback ends.", to);
                end.pays = self.owed == Owed::Writeback;
                out.push(end);
            }
        }
    }

    /// A dirty page without buffers: v5.2.1 fs/ext4/inode.c `BUG_ON(!PagePrivate)` through `page_buffers()`; v6.1
    /// warns and drops the dirty mark.
    fn no_buffers(&self, state: &State) -> Step<State> {
        if !self.tolerant {
            return Step {
                actor: "writeback",
                action: "WB.lock",
                short: "BUG: no buffers".into(),
                long: "Writeback finds the dirty page, but it has no buffers: BUG_ON(!PagePrivate(page)).".into(),
                state: String::new(),
                to: None,
                breaks: vec![(BUG, String::new())],
                pays: false,
            };
        }
        let to = next(state, |s| {
            (page(s).dirty, page(s).tagged) = (false, false);
            s.pending = false;
            Ok(())
        });
        let long = "Writeback finds the dirty page without buffers, warns, and clears the dirty mark without writing.";
        let mut s = step(("writeback", "WB.lock"), "no buffers: gives up", long, to);
        if state.pending {
            s.breaks.push((LOST, "What the device wrote is lost.".into()));
        }
        s
    }

    /// `page_mkclean()` and the clearing of the dirty flag. With a notifier, every device mapping is torn down here.
    fn mkclean(&self, state: &State, saw_pin: bool) -> Step<State> {
        let revoked = self.fix == "revoke" && matches!(state.gup, Gup::Held | Gup::Written);
        let to = next(state, |s| {
            if revoked {
                s.gup = Gup::Idle;
                self.drop_page(s)?;
            }
            s.writable = false;
            page(s).dirty = false;
            page(s).bufs = page(s).bufs.map(|_| [false; 2]);
            s.wb = Wb::Cleaned { saw_pin };
            Ok(())
        });
        let (short, long) = match revoked {
            true => (
                "stops the device",
                "Writeback write-protects the PTE. The notifier stops the device, whose driver lets go of the page.",
            ),
            false => (
                "write-protects",
                "page_mkclean() write-protects the PTE, and the dirty flag is cleared. The next write should fault.",
            ),
        };
        step(("writeback", "WB.mkclean"), short, long, to)
    }

    /// The decision, and the start of the I/O.
    fn submit(&self, state: &State, pinned: bool, out: &mut Vec<Step<State>>) {
        let redirty = |s: &mut State| -> Result<(), Fault> { s.memory.set_page_dirty(Ptr::Page(ID.page(0))) };
        if pinned && self.fix == "wait" {
            return;
        }
        if pinned && self.fix == "skip" {
            let to = next(state, |s| {
                redirty(s)?;
                page(s).lock = Lock::Free;
                s.wb = Wb::Idle;
                Ok(())
            });
            let long = "The page is pinned: writeback makes it dirty again and leaves it for later.";
            out.push(step(("writeback", "WB.start"), "skips, dirty again", long, to));
            return;
        }
        let bounce = pinned && self.fix == "bounce";
        let again = bounce && self.redirty;
        let to = next(state, |s| {
            // The mark goes only if nobody made the page dirty again since (v5.2.1 __test_set_page_writeback()).
            page(s).tagged = page(s).dirty;
            if again {
                redirty(s)?;
            } else {
                page(s).aware = false;
            }
            page(s).wb = true;
            page(s).lock = Lock::Free;
            s.pending = false;
            s.wb = Wb::InFlight { from_page: !bounce };
            Ok(())
        });
        let (short, long) = match (bounce, again) {
            (false, _) => (
                "submits the page",
                "Writeback computes the checksum, starts the I/O from the page itself and unlocks it. For the file \
                 system the page is clean now.",
            ),
            (true, false) => (
                "submits a copy",
                "The page is pinned: writeback starts the I/O from a copy. For the file system the page is clean now.",
            ),
            (true, true) => (
                "copy, dirty again",
                "The page is pinned: writeback starts the I/O from a copy and makes the page dirty again.",
            ),
        };
        out.push(step(("writeback", "WB.start"), short, long, to));
    }

    /// Buffers of a clean page are dropped without a look at its references: v5.2.1 mm/vmscan.c
    /// `shrink_page_list()`, `try_to_release_page()`.
    fn reclaim(&self, state: &State, out: &mut Vec<Step<State>>) {
        let folio = state.memory.folio(ID);
        if folio.dirty || folio.wb || folio.lock != Lock::Free || folio.bufs.is_none() {
            return;
        }
        let drop = || {
            next(state, |s| {
                (page(s).bufs, page(s).tagged) = (None, false);
                Ok(())
            })
        };
        if !(self.reclaim_pin && state.memory.maybe_dma_pinned(ID)) {
            let long = "Reclaim finds the page clean and drops its buffers. It does not look at the references.";
            let mut s = step(("reclaim", "RECLAIM.dropbufs"), "drops buffers", long, drop());
            // The page itself goes only if nobody but the page cache holds it.
            s.pays = self.owed == Owed::Reclaim && folio.refs == 1;
            out.push(s);
        }
        if self.bh_over_limit {
            let long = "The machine has too many buffers: the page is stripped of its own, pinned or not.";
            out.push(step(("reclaim", "RECLAIM.bh_over_limit"), "strips buffers", long, drop()));
        }
    }
}
