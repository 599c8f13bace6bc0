//! Pages of the findings.

use super::{Kind, Page};
use std::borrow::Cow;

pub(super) const PAGES: &[Page] = &[
    Page {
        code: "GUP006",
        kind: Kind::Finding,
        title: Cow::Borrowed("set_page_dirty() of a pinned page without the page lock"),
        text: Cow::Borrowed(
            "\
The page is marked dirty before its release by set_page_dirty(), and nothing
shows that the page lock is held. The file may be truncated meanwhile: the
mapping of the page goes away under set_page_dirty().

set_page_dirty_lock(), or the release that does both, is right where the code
may sleep.
",
        ),
    },
    Page {
        code: "GUP007",
        kind: Kind::Finding,
        title: Cow::Borrowed("SetPageDirty() of a pinned page sets only the flag"),
        text: Cow::Borrowed(
            "\
SetPageDirty() sets a flag of struct page and tells nobody: the page is not
tagged in its mapping, its buffers are not marked, its inode is on no list. What
a device wrote may never reach the disk.
",
        ),
    },
    Page {
        code: "GUP012",
        kind: Kind::Finding,
        title: Cow::Borrowed("a page that was not pinned for writing is marked dirty"),
        text: Cow::Borrowed(
            "\
The pin never asks for FOLL_WRITE, and the page is always marked dirty before
its release. The file system was not asked before, so a clean page of a file
may become dirty without a block to be written to.
",
        ),
    },
    Page {
        code: "GUP017",
        kind: Kind::Finding,
        title: Cow::Borrowed("pages stay pinned after the call, without FOLL_LONGTERM"),
        text: Cow::Borrowed(
            "\
The pages are kept in an object, and an entry point that does not pin them
drops them: a close, an unmap, the end of a virtual machine. Nothing bounds
how long that takes. pin_user_pages.rst (case 2) asks for FOLL_LONGTERM then.

There are two ways, and a maintainer has to choose. Add FOLL_LONGTERM to the
pin: it then refuses FS-DAX, and file-backed memory on newer kernels, and
moves pages out of CMA and ZONE_MOVABLE first, so what worked may fail. Or do
not keep the pages: pin them for each access, or let an MMU notifier take them
back. If the object is always gone soon, nothing has to be done.
",
        ),
    },
];
