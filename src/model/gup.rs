//! The get and pin calls as a caller sees them: which flags they accept, what they return, what they write.

use super::acquire::{Grab, Path};
use super::event::{Event, Fault, Warning};
use super::memory::Memory;
use super::page::{FileKind, Map, Page, Ptr};
use super::{EFAULT, EINVAL, EOPNOTSUPP};

/// `get_user_pages*()` or `pin_user_pages*()`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// `get_user_pages*()`: `FOLL_GET` is added by the core.
    Get,
    /// `pin_user_pages*()`: `FOLL_PIN` is added by the core.
    Pin,
}

/// The `FOLL_` flags that matter here, as the caller passes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GupFlags {
    /// `FOLL_WRITE`
    pub write: bool,
    /// `FOLL_LONGTERM`
    pub longterm: bool,
    /// `FOLL_GET`, which no caller may pass to a pin call.
    pub get: bool,
    /// `FOLL_PIN`, which no caller may pass at all.
    pub pin: bool,
}

/// What lies behind one page of the user's address range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mapped {
    /// A page. `shared`: the mapping is `MAP_SHARED` and writable, so that writes reach the file.
    Page {
        /// The page.
        page: Page,
        /// A write mapping of the file itself.
        shared: bool,
    },
    /// A pfn without a `struct page` (`VM_PFNMAP`).
    PfnOnly,
    /// Nothing: `-EFAULT`.
    Nothing,
}

impl Memory {
    /// `get_user_pages()` or `pin_user_pages()` over `range`, writing to `pages`; the slow path.
    ///
    /// Returns the number of pages, or a negative errno only if none was taken: a later error is swallowed (v5.2.1
    /// mm/gup.c `return i ? i : ret`). Entries behind the count are not written; `pages` may be longer or shorter than
    /// the range (writing past its end is an oops). Refused flags warn, change nothing and return `-EINVAL`: any
    /// `FOLL_PIN` to a get call and `FOLL_GET` to a pin call (v5.7 mm/gup.c `get_user_pages()`, `pin_user_pages()`),
    /// `FOLL_LONGTERM` to a get call since v5.10 (v6.1 `is_valid_gup_flags()`, v6.12 `is_valid_gup_args()`). Long-term:
    /// `-EOPNOTSUPP` over FS-DAX (v5.2.1 `__gup_longterm_locked()`), and since v6.12 `-EFAULT` for a shared writable
    /// mapping of a file that tracks dirty pages; memfd and hugetlbfs do not (`writable_file_mapping_allowed()`). Where
    /// [`super::Capabilities::pin_leaves_holes`], a successful pin counts a pfn-only page and leaves its entry
    /// unwritten; a get fails there.
    ///
    /// Faults: as [`Memory::grab`]; missing pin calls where pins are not tracked.
    pub fn gup(&mut self, family: Family, flags: GupFlags, range: &[Mapped], pages: &mut [Ptr]) -> Result<i64, Fault> {
        let caps = *self.caps();
        let how = match family {
            Family::Get => Grab::Get,
            Family::Pin => Grab::Pin,
        };
        if how == Grab::Pin && !caps.tracked {
            return Err(Fault::Missing("pin_user_pages"));
        }
        let refused = match family {
            Family::Get => (flags.pin && caps.tracked) || (flags.longterm && !caps.get_longterm),
            Family::Pin => flags.get,
        };
        if refused {
            self.note(Event::Warn(Warning::BadFlags));
            return Ok(-EINVAL);
        }
        let mut done: i64 = 0;
        for (i, &mapped) in range.iter().enumerate() {
            let error = match mapped {
                Mapped::Nothing => Some(EFAULT),
                Mapped::PfnOnly if how == Grab::Pin && caps.pin_leaves_holes => {
                    done += 1;
                    continue;
                }
                Mapped::PfnOnly => Some(EFAULT),
                Mapped::Page { page, shared } => match self.longterm_error(flags, page, shared) {
                    Some(error) => Some(error),
                    None if !self.grab(page, 1, how, Path::Slow)? => Some(super::ENOMEM),
                    None => {
                        let Some(entry) = pages.get_mut(i) else {
                            return Err(Fault::Oops(super::Pointer::PastEnd));
                        };
                        *entry = Ptr::Page(page);
                        None
                    }
                },
            };
            match error {
                Some(error) if done == 0 => return Ok(-error),
                Some(_) => break,
                None => done += 1,
            }
        }
        Ok(done)
    }

    fn longterm_error(&self, flags: GupFlags, page: Page, shared: bool) -> Option<i64> {
        if !flags.longterm {
            return None;
        }
        match self.folio(page.folio).map {
            Map::File(FileKind::Dax) => Some(EOPNOTSUPP),
            Map::File(FileKind::Buffer | FileKind::NoBuf)
                if self.caps().longterm_refuses_file_write && flags.write && shared =>
            {
                Some(EFAULT)
            }
            _ => None,
        }
    }

    /// Takes references of `pages[0..ret]` and writes them to `into`: a get or pin call whose result was chosen by the
    /// caller (a proof tries every result). A negative or zero result does nothing. Returns `ret`.
    ///
    /// Faults: oops when `into` or `pages` is shorter than `ret`; as [`Memory::grab`].
    pub fn acquire(&mut self, pages: &[Page], into: &mut [Ptr], ret: i64, how: Grab) -> Result<i64, Fault> {
        for i in 0..usize::try_from(ret).unwrap_or(0) {
            let (Some(&page), Some(entry)) = (pages.get(i), into.get_mut(i)) else {
                return Err(Fault::Oops(super::Pointer::PastEnd));
            };
            self.grab(page, 1, how, Path::Slow)?;
            *entry = Ptr::Page(page);
        }
        Ok(ret)
    }

    /// What `get_user_pages_fast()` returns for a negative number of pages: 0, or `-EOVERFLOW` since v6.12
    /// (mm/gup.c `gup_fast_fallback()`).
    pub fn fast_negative(&self) -> i64 {
        if self.caps().fast_negative_overflows { -super::EOVERFLOW } else { 0 }
    }
}
