//! Pages of the refinements: differences that a rewrite may make (SEMANTICS 3).

use super::{Kind, Page};
use std::borrow::Cow;

const fn page(code: &'static str, title: &'static str, text: &'static str) -> Page {
    Page { code, kind: Kind::Refinement, title: Cow::Borrowed(title), text: Cow::Borrowed(text) }
}

pub(super) const PAGES: &[Page] = &[
    page(
        "R1",
        "set_page_dirty() becomes set_page_dirty_lock()",
        "\
Without the page lock, set_page_dirty() races with truncation: the mapping
can vanish under it. The new call takes the lock. It is permitted where the
code may sleep and nobody on the path holds the lock of the page already.
",
    ),
    page(
        "R2",
        "a page that is dirty already is not dirtied again",
        "\
The helpers test PageDirty() first: such a page is written back in any case,
and their comment in mm/gup.c says why a writeback that runs meanwhile is no
exception. That is the same for a page of a single block. A page of several
blocks can be dirty because of one of them, and then the blocks that the
device wrote are not marked again. They were marked when the page was mapped
for writing; so it takes a writeback during the pin, and a write to a part of
the page by other means after it. The kernel's maintainers accept this, and
so does the default policy, with a note; the strict policy reports it as a
difference.
",
    ),
    page(
        "R3",
        "SetPageDirty() becomes set_page_dirty_lock()",
        "\
SetPageDirty() sets the flag only. The page is not marked in its mapping,
its buffers stay clean, and writeback never finds it. The new call does all
of it: data that was lost is written.
",
    ),
    page(
        "R4",
        "the head is dirtied instead of the tail",
        "\
The helpers dirty the head of a compound page, whichever sub-page is given.
A dirty flag of a compound page lives in its head anyway. A test that keeps
compound pages from being dirtied is another matter: it is dropped only for
pages of hugetlbfs and anonymous memory, with a note.
",
    ),
    page(
        "R5",
        "a test of PageReserved() goes",
        "\
The test kept the zero page and pages of the kernel from being dirtied. When
the pin always asks for write access, such pages cannot be returned, and the
test decides nothing.
",
    ),
    page(
        "R6",
        "a loop becomes one call",
        "\
The new call does for every entry what the loop did, from the first to the
last; a loop that counted down did it the other way round.
`Dirty all, then release all` may become `dirty and release, one by one`,
and the call may move past statements that neither touch the pages, the
array or the count nor change whether the code may sleep.
",
    ),
    page(
        "R7",
        "release_pages() becomes the new call",
        "\
Both drop one reference an entry. release_pages() passes over the huge zero
page (a leak after a pin), and up to v5.2 it does not wake waiters of FS-DAX
pages; the new call does the right thing in both. The count must be known to
be not negative: release_pages() takes an int, the new call an unsigned
long.
",
    ),
    page(
        "R8",
        "releasing before dirtying is put right",
        "\
The old code drops the reference first and dirties the page after that, when
it may belong to somebody else. The new call does it in the right order.
This is a bug fix and is reported as one, never made in silence.
",
    ),
    page(
        "R9",
        "get_user_pages*() becomes pin_user_pages*(), with all its releases",
        "\
Logical counts are compared: the reference count without the part that
belongs to the pin. It is permitted when the acquiring call and every
release change together and the case calls for a pin (1, 2 or 5 of
pin_user_pages.rst).
",
    ),
];
