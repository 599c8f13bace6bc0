//! The runtime model: pages, their counts and flags, and the kernel functions that change them, for each dialect.
//!
//! One small total function per kernel function. Each says what it needs, how it can fault, which events it writes,
//! and the tree, file and function it was read from. [`Memory`] is the whole state; [`Capabilities`] says in what the
//! kernels differ, and is named by capability, never by version number. `cargo xtask conformance` compares all of it
//! with the functions of a real tree, compiled.
//!
//! The model knows nothing of C, of syntax trees, of sites or plans: [`crate::prove`] runs code on it, and
//! [`crate::hazard`] puts several actors around it. It has no concurrency of its own; `CONFIG_DEBUG_VM` is off, so
//! `VM_BUG_ON_PAGE()` does nothing, as on most machines.
//!
//! ```
//! use gupconv::model::{Capabilities, Grab, Kind, Memory, Path, Ptr};
//! let mut memory = Memory::new(Capabilities::pincount_6_12());
//! let page = memory.add(Kind::Anon.order0(3)).page(0);
//! assert_eq!(memory.grab(page, 1, Grab::Pin, Path::Slow), Ok(true));
//! assert_eq!(memory.folio(page.folio).refs, 3 + 1024);
//! assert_eq!(memory.unpin_user_pages(&[Ptr::Page(page)], 1), Ok(()));
//! assert_eq!(memory.folio(page.folio).refs, 3);
//! ```

mod acquire;
mod caps;
mod dirty;
mod event;
mod gup;
mod memory;
mod page;
mod release;
mod release_batch;
#[cfg(test)]
mod tests;

pub use acquire::{Grab, Path};
pub use caps::{Capabilities, HugeZeroSkip};
pub use event::{Event, Fault, Pointer, Warning};
pub use gup::{Family, GupFlags, Mapped};
pub use memory::{Memory, Stat};
pub use page::{Device, FileKind, Folio, FolioId, Kind, Lock, Map, Page, Ptr};

/// `-EFAULT`
pub const EFAULT: i64 = 14;
/// `-EINVAL`
pub const EINVAL: i64 = 22;
/// `-ENOMEM`
pub const ENOMEM: i64 = 12;
/// `-EOVERFLOW`
pub const EOVERFLOW: i64 = 75;
/// `-EOPNOTSUPP`
pub const EOPNOTSUPP: i64 = 95;
/// `MAX_ERRNO`: `IS_ERR_VALUE(x)` is `x >= -MAX_ERRNO` as unsigned long (include/linux/err.h).
pub const MAX_ERRNO: u64 = 4095;

/// `IS_ERR_VALUE()`, include/linux/err.h.
pub fn is_err_value(x: u64) -> bool {
    x >= MAX_ERRNO.wrapping_neg()
}
