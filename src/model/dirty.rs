//! Dirtying: `set_page_dirty()`, its locked form, and the bare flag.

use super::event::{Event, Fault, Warning};
use super::memory::Memory;
use super::page::{FileKind, FolioId, Lock, Map, Ptr};

impl Memory {
    /// `set_page_dirty()`: acts on the head, never sleeps.
    ///
    /// Needs that the mapping cannot go away: the page is locked or the inode is pinned (comment at v5.2.1
    /// mm/page-writeback.c `set_page_dirty_lock()`). Event: [`Event::Dirty`]. Faults: bad pointer, use after free.
    /// By file system:
    /// - buffers: warns when neither locked nor dirty, and when there are no buffers (v5.2.1 fs/ext4/inode.c
    ///   `ext4_set_page_dirty()`); dirties all buffers even of a page that is dirty already (fs/buffer.c
    ///   `__set_page_dirty_buffers()`, v6.1 `block_dirty_folio()`), then flag and tag;
    /// - no buffers: flag and tag (v5.2.1 mm/page-writeback.c `__set_page_dirty_nobuffers()`, v6.1
    ///   `filemap_dirty_folio()`);
    /// - DAX: nothing (v5.2.1 fs/libfs.c `noop_set_page_dirty()`), or the flag (v6.1 mm/page-writeback.c
    ///   `noop_dirty_folio()`);
    /// - hugetlbfs, anonymous, truncated: the flag (v5.2.1 fs/hugetlbfs/inode.c; mm/page-writeback.c).
    pub fn set_page_dirty(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let id = self.follow(ptr)?.folio;
        self.dirty_folio(id)
    }

    /// `folio_mark_dirty()`, v6.1 mm/page-writeback.c: [`Memory::set_page_dirty`] of a folio.
    pub(super) fn dirty_folio(&mut self, id: FolioId) -> Result<(), Fault> {
        self.change(id)?;
        self.note(Event::Dirty(id));
        let folio = self.folio(id);
        match folio.map {
            Map::File(FileKind::Buffer) => {
                if folio.lock == Lock::Free && !folio.dirty {
                    self.note(Event::Warn(Warning::DirtyUnlocked(id)));
                }
                if folio.bufs.is_none() {
                    self.note(Event::Warn(Warning::DirtyNoBuffers(id)));
                }
                let folio = self.change(id)?;
                folio.bufs = folio.bufs.map(|_| [true; 2]);
                if !folio.dirty {
                    folio.dirty = true;
                    folio.tagged = true;
                }
            }
            Map::File(FileKind::NoBuf) => {
                let folio = self.change(id)?;
                if !folio.dirty {
                    folio.dirty = true;
                    folio.tagged = true;
                }
            }
            Map::File(FileKind::Dax) => {
                let effect = self.caps().dax_dirty_effect;
                let folio = self.change(id)?;
                folio.dirty |= effect;
            }
            Map::File(FileKind::Hugetlb) | Map::Anon | Map::Gone => self.change(id)?.dirty = true,
        }
        Ok(())
    }

    /// `set_page_dirty_lock()`: the same under the page lock.
    ///
    /// Needs process context, and that the caller does not hold the lock. Events: may sleep, lock, dirty, unlock.
    /// Faults: sleep in atomic, bad pointer, self-deadlock, use after free. v5.2.1 and v6.12 mm/page-writeback.c.
    pub fn set_page_dirty_lock(&mut self, ptr: Ptr) -> Result<(), Fault> {
        self.lock_page(ptr)?;
        self.set_page_dirty(ptr)?;
        self.unlock_page(ptr)
    }

    /// `SetPageDirty()`: the flag of the head alone. No tag, no buffers, no inode; and because the flag is set, a
    /// later `set_page_dirty()` does not add the tag either: writeback never finds it. Event: [`Event::DirtyFlag`].
    /// Faults: bad pointer, use after free. v5.2.1 include/linux/page-flags.h (`PF_HEAD`).
    pub fn set_page_dirty_flag(&mut self, ptr: Ptr) -> Result<(), Fault> {
        let id = self.follow(ptr)?.folio;
        self.change(id)?.dirty = true;
        self.note(Event::DirtyFlag(id));
        Ok(())
    }
}
