//! A sequence of calls on a few folios: how it is sent, how the model runs it, and how a difference is shown.

use gupconv::model::{
    Capabilities, Device, Event, Fault, FileKind, Folio, FolioId, Grab, Lock, Map, Memory, Path, Pointer, Ptr, Warning,
};
use std::fmt::Write as _;

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $name:literal needs [$($need:literal),*];)*) => {
        /// A call. The number is the `OP_` constant of `driver.c`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Op { $($(#[$doc])* $variant,)* }
        impl Op {
            /// All, in the order of their numbers.
            pub const ALL: &'static [Op] = &[$(Op::$variant,)*];
            /// As printed.
            pub fn name(self) -> &'static str {
                match self { $(Op::$variant => $name,)* }
            }
            /// Functions of which one must be compiled in; none: the harness has it.
            fn needs(self) -> &'static [&'static str] {
                match self { $(Op::$variant => &[$($need),*],)* }
            }
        }
    };
}

ops! {
    GetPage = "get_page" needs ["get_page"];
    GetSlow = "get(slow)" needs ["try_get_page", "try_grab_page", "try_grab_folio"];
    GetFast = "get(fast)" needs ["try_get_compound_head", "try_grab_compound_head", "try_grab_folio"];
    PinSlow = "pin(slow)" needs ["try_grab_page", "try_grab_folio_fast"];
    PinFast = "pin(fast)" needs ["try_grab_compound_head", "try_grab_folio"];
    PutPage = "put_page" needs ["put_page"];
    PutUserPage = "put_user_page" needs ["put_user_page"];
    PutUserPages = "put_user_pages" needs ["put_user_pages"];
    PutUserPagesDirty = "put_user_pages_dirty" needs ["put_user_pages_dirty"];
    PutUserPagesDirtyLock = "put_user_pages_dirty_lock" needs ["put_user_pages_dirty_lock"];
    UnpinUserPage = "unpin_user_page" needs ["unpin_user_page"];
    UnpinUserPages = "unpin_user_pages" needs ["unpin_user_pages"];
    UnpinUserPagesDirtyLock = "unpin_user_pages_dirty_lock" needs ["unpin_user_pages_dirty_lock"];
    UnpinRange = "unpin_user_page_range_dirty_lock" needs ["unpin_user_page_range_dirty_lock"];
    UnpinFolio = "unpin_folio" needs ["unpin_folio"];
    UnpinFolios = "unpin_folios" needs ["unpin_folios"];
    UnpinUserFolio = "unpin_user_folio" needs ["unpin_user_folio"];
    ReleasePages = "release_pages" needs ["release_pages"];
    SetPageDirty = "set_page_dirty" needs ["set_page_dirty"];
    SetPageDirtyLock = "set_page_dirty_lock" needs ["set_page_dirty_lock"];
    SetPageDirtyFlag = "SetPageDirty" needs [];
    FolioAddPin = "folio_add_pin" needs ["folio_add_pin"];
    LockPage = "lock_page" needs ["lock_page"];
    UnlockPage = "unlock_page" needs [];
    TrylockPage = "trylock_page" needs ["trylock_page"];
    MaybePinned = "maybe_dma_pinned" needs ["folio_maybe_dma_pinned", "page_maybe_dma_pinned"];
    FolioPut = "folio_put" needs ["folio_put"];
}

impl Op {
    /// The calls that these functions offer.
    pub fn available(compiled: &[&str]) -> Vec<Op> {
        let can = |op: &&Op| op.needs().is_empty() || op.needs().iter().any(|n| compiled.contains(n));
        Op::ALL.iter().filter(can).copied().collect()
    }

    /// Takes an array and a count.
    pub fn batch(self) -> bool {
        use Op::*;
        matches!(
            self,
            PutUserPages
                | PutUserPagesDirty
                | PutUserPagesDirtyLock
                | UnpinUserPages
                | UnpinUserPagesDirtyLock
                | UnpinFolios
                | ReleasePages
        )
    }

    /// Takes folios: only heads may be passed.
    pub fn folios(self) -> bool {
        matches!(self, Op::UnpinFolio | Op::UnpinFolios | Op::UnpinUserFolio | Op::FolioAddPin)
    }

    /// Has a `make_dirty`.
    pub fn flagged(self) -> bool {
        matches!(self, Op::PutUserPagesDirtyLock | Op::UnpinUserPagesDirtyLock | Op::UnpinRange)
    }
}

/// One call with its arguments.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    pub flag: bool,
    pub n: i64,
    pub pages: Vec<Ptr>,
}

/// A start state and the calls.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub folios: Vec<Folio>,
    pub atomic: bool,
    pub calls: Vec<Call>,
}

/// How often what was reached, by the model.
#[derive(Default)]
pub struct Coverage {
    calls: Vec<u64>,
    events: [u64; 10],
    faults: [u64; 9],
}

impl Coverage {
    /// Two lines.
    pub fn print(&self) {
        let calls: Vec<String> = Op::ALL
            .iter()
            .zip(&self.calls)
            .filter(|(_, n)| **n > 0)
            .map(|(op, n)| format!("{} {n}", op.name()))
            .collect();
        println!("  calls: {}", calls.join(", "));
        const EVENTS: [&str; 10] =
            ["", "dirty", "may-sleep", "lock", "unlock", "free", "idle", "warning", "underflow", "freed-pinned"];
        const FAULTS: [&str; 9] =
            ["", "NULL", "ERR_PTR", "unwritten", "past-end", "use-after-free", "deadlock", "atomic", "bug"];
        let named = |names: &[&str], counts: &[u64]| {
            let all: Vec<String> = names.iter().zip(counts).skip(1).map(|(name, n)| format!("{name} {n}")).collect();
            all.join(", ")
        };
        println!("  events: {}; faults: {}", named(&EVENTS, &self.events), named(&FAULTS, &self.faults));
    }
}

/// Number of the first page of a folio in the harness's memory map.
fn head_index(folios: &[Folio], id: FolioId) -> u8 {
    folios.iter().take(usize::from(id.0)).map(|folio| folio.nr).sum()
}

impl Sequence {
    /// As `driver.c` reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.folios.len() as u8);
        for folio in &self.folios {
            let space = match folio.map {
                Map::File(FileKind::Buffer) => 0,
                Map::File(FileKind::NoBuf) => 1,
                Map::File(FileKind::Dax) => 2,
                Map::File(FileKind::Hugetlb) => 3,
                Map::Anon | Map::Gone => 255,
            };
            let bits = [
                folio.dirty,
                folio.tagged,
                folio.dev == Device::FsDax,
                folio.bufs.is_some(),
                folio.zero,
                folio.hugezero,
            ];
            let flags = bits.iter().enumerate().map(|(i, &bit)| u8::from(bit) << i).sum();
            out.extend([folio.order(), space, flags, locker(folio)]);
            out.extend(folio.refs.to_le_bytes());
            out.extend(folio.pinc.to_le_bytes());
        }
        out.extend([u8::from(self.atomic), self.calls.len() as u8]);
        for call in &self.calls {
            out.extend([call.op as u8, u8::from(call.flag)]);
            out.extend(call.n.to_le_bytes());
            out.push(call.pages.len() as u8);
            out.extend(call.pages.iter().map(|&ptr| match ptr {
                Ptr::Null => 0,
                Ptr::ErrPtr(_) => 1,
                Ptr::Poison => 2,
                Ptr::Page(page) => 3 + head_index(&self.folios, page.folio) + page.idx,
            }));
        }
    }

    /// Runs it on the model; the hash of what was observed, and the observations themselves if asked for.
    pub fn run(&self, caps: Capabilities, coverage: &mut Coverage, bytes: Option<&mut Vec<u8>>) -> u64 {
        coverage.calls.resize(Op::ALL.len(), 0);
        let mut memory = Memory::new(caps);
        memory.folios.clone_from(&self.folios);
        memory.atomic = self.atomic;
        let mut out = Observer { hash: 0xcbf2_9ce4_8422_2325, bytes };
        for call in &self.calls {
            coverage.calls[call.op as usize] += 1;
            memory.log.clear();
            let result = call.run(&mut memory);
            out.events(&self.folios, &memory.log, coverage);
            match result {
                Ok(value) => out.put(&[0xd0, u8::from(value)]),
                Err(fault) => out.fault(&self.folios, fault, coverage),
            }
            out.state(&memory);
            if result.is_err() {
                break;
            }
        }
        out.hash
    }
}

fn locker(folio: &Folio) -> u8 {
    match folio.lock {
        Lock::Free => 0,
        Lock::Caller => 1,
        Lock::Other => 2,
    }
}

impl Call {
    fn run(&self, m: &mut Memory) -> Result<bool, Fault> {
        let pages = self.pages.as_slice();
        let page = pages.first().copied().unwrap_or(Ptr::Null);
        let n = self.n.cast_unsigned();
        let grab = |m: &mut Memory, refs, how, path| {
            let page = m.follow(page)?;
            m.grab(page, refs, how, path)
        };
        match self.op {
            Op::GetSlow => return grab(m, 1, Grab::Get, Path::Slow),
            Op::GetFast => return grab(m, self.n as i32, Grab::Get, Path::Fast),
            Op::PinSlow => return grab(m, 1, Grab::Pin, Path::Slow),
            Op::PinFast => return grab(m, self.n as i32, Grab::Pin, Path::Fast),
            Op::TrylockPage => return m.trylock_page(page),
            Op::MaybePinned => return Ok(m.maybe_dma_pinned(m.follow(page)?.folio)),
            Op::GetPage => m.get_page(page),
            Op::PutPage => m.put_page(page),
            Op::PutUserPage => m.put_user_page(page),
            Op::PutUserPages => m.put_user_pages(pages, n),
            Op::PutUserPagesDirty => m.put_user_pages_dirty(pages, n),
            Op::PutUserPagesDirtyLock => {
                let make_dirty = (m.caps().dirty_lock_arity == 3).then_some(self.flag);
                m.put_user_pages_dirty_lock(pages, n, make_dirty)
            }
            Op::UnpinUserPage => m.unpin_user_page(page),
            Op::UnpinUserPages => m.unpin_user_pages(pages, n),
            Op::UnpinUserPagesDirtyLock => m.unpin_user_pages_dirty_lock(pages, n, self.flag),
            Op::UnpinRange => m.unpin_user_page_range_dirty_lock(page, n, self.flag),
            Op::UnpinFolio => m.unpin_folio(page),
            Op::UnpinFolios => m.unpin_folios(pages, n),
            Op::UnpinUserFolio => m.unpin_user_folio(page, n),
            Op::ReleasePages => m.release_pages(pages, self.n as i32),
            Op::SetPageDirty => m.set_page_dirty(page),
            Op::SetPageDirtyLock => m.set_page_dirty_lock(page),
            Op::SetPageDirtyFlag => m.set_page_dirty_flag(page),
            Op::FolioAddPin => m.follow(page).and_then(|page| m.folio_add_pin(page.folio)),
            Op::LockPage => m.lock_page(page),
            Op::UnlockPage => m.unlock_page(page),
            Op::FolioPut => m.folio_put(page),
        }
        .map(|()| false)
    }
}

struct Observer<'a> {
    hash: u64,
    bytes: Option<&'a mut Vec<u8>>,
}

impl Observer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if let Some(all) = &mut self.bytes {
            all.extend_from_slice(bytes);
        }
    }

    fn events(&mut self, folios: &[Folio], log: &[Event], coverage: &mut Coverage) {
        for event in log {
            let (code, page) = match *event {
                // The kernel has no such events: the counts show them.
                Event::Acquire { .. } | Event::Release { .. } | Event::DirtyFlag(_) => continue,
                Event::Dirty(id) => (1, head_index(folios, id)),
                Event::MightSleep => (2, 0xff),
                Event::Lock(id) => (3, head_index(folios, id)),
                Event::Unlock(id) => (4, head_index(folios, id)),
                Event::Free(id) => (5, head_index(folios, id)),
                Event::Idle(id) => (6, head_index(folios, id)),
                Event::Warn(Warning::Underflow(id)) => (8, head_index(folios, id)),
                Event::Warn(Warning::FreePinned(id)) => (9, head_index(folios, id)),
                Event::Warn(_) => (7, 0xff),
            };
            coverage.events[usize::from(code)] += 1;
            self.put(&[0xe0, code, page]);
        }
    }

    fn fault(&mut self, folios: &[Folio], fault: Fault, coverage: &mut Coverage) {
        let (code, page) = match fault {
            Fault::Oops(Pointer::Null) => (1, 0),
            Fault::Oops(Pointer::ErrPtr(_)) => (2, 0),
            Fault::Oops(Pointer::Poison) => (3, 0),
            Fault::Oops(Pointer::PastEnd) => (4, 0),
            Fault::UseAfterFree(id) => (5, head_index(folios, id)),
            Fault::SelfDeadlock(id) => (6, head_index(folios, id)),
            Fault::SleepInAtomic => (7, 0),
            Fault::Bug(_) => (8, 0),
            // No function of a tree answers these: a divergence.
            Fault::Endless | Fault::Missing(_) => (0, 0xff),
        };
        coverage.faults[usize::from(code)] += 1;
        self.put(&[0xf0, code, page]);
    }

    fn state(&mut self, memory: &Memory) {
        for folio in &memory.folios {
            self.put(&folio.refs.to_le_bytes());
            self.put(&folio.pinc.to_le_bytes());
            let [first, second] = folio.bufs.unwrap_or_default();
            let bits = [
                folio.dirty,
                folio.tagged,
                folio.bufs.is_some(),
                first,
                second,
                matches!(folio.map, Map::File(_)),
                folio.freed,
            ];
            self.put(&[bits.iter().enumerate().map(|(i, &bit)| u8::from(bit) << i).sum(), locker(folio)]);
        }
        self.put(&(memory.stat.acquired as i32).to_le_bytes());
        self.put(&(memory.stat.released as i32).to_le_bytes());
    }
}

/// A difference, for a human: the sequence, then both sides from the first byte that differs.
pub fn describe(sequence: &Sequence, caps: Capabilities, ours: &[u8], theirs: &[u8]) -> String {
    let mut out = String::from("  the model and the tree differ on\n");
    for folio in &sequence.folios {
        let _ = writeln!(out, "    {folio:?}");
    }
    let mut memory = Memory::new(caps);
    memory.folios.clone_from(&sequence.folios);
    memory.atomic = sequence.atomic;
    let _ = writeln!(out, "    atomic: {}", sequence.atomic);
    for call in &sequence.calls {
        let _ = writeln!(out, "    {}(n {}, dirty {}) {:?}", call.op.name(), call.n, call.flag, call.pages);
        memory.log.clear();
        let result = call.run(&mut memory);
        let _ = writeln!(out, "      model: {result:?} {:?}", memory.log);
        if result.is_err() {
            break;
        }
    }
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let tail =
        |bytes: &[u8]| format!("{:02x?}", &bytes[at.saturating_sub(6).min(bytes.len())..bytes.len().min(at + 40)]);
    let _ =
        writeln!(out, "    first difference at byte {at}\n      model {}\n      tree  {}", tail(ours), tail(theirs));
    out
}
