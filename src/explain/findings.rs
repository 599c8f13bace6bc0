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
];
