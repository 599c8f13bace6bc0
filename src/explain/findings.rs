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
        code: "GUP008",
        kind: Kind::Finding,
        title: Cow::Borrowed("the page lock is taken where nobody may sleep"),
        text: Cow::Borrowed(
            "\
The release marks the page dirty under the page lock, which it may have to wait
for, and on every way to it a spin lock is held (or RCU, or interrupts are off),
by the function itself or by a caller in its file. Dirty the pages before the
lock is taken, or put them on a list and release them behind it.
",
        ),
    },
    Page {
        code: "GUP009",
        kind: Kind::Finding,
        title: Cow::Borrowed("an error path leaves pinned pages behind"),
        text: Cow::Borrowed(
            "\
Three forms are told. get_user_pages*() may pin fewer pages than asked for: the
code takes that for a failure and returns, and nothing on that way could drop
the pages that were pinned, for the array is a local one, or that of an object
which is new, and no function gets it. Or one page is pinned into the slot
behind those that a counter counts, something fails before the counter is
raised, and the cleanup goes by the counter. Or an allocation fails behind the
pin, and the cleanup frees the array that the pages are in, which nobody else
has. The allocation may stand in a loop that hands the pages on in pieces: then
those are lost that it did not get to.

A rewrite of the releases changes nothing about it, and the patch says so: the
missing release wants a patch of its own.
",
        ),
    },
    Page {
        code: "GUP010",
        kind: Kind::Finding,
        title: Cow::Borrowed("a negative count becomes a huge one"),
        text: Cow::Borrowed(
            "\
get_user_pages*() returns a negative number when it fails. Here that number is
kept in an unsigned variable, or reaches an unsigned parameter, and bounds a
release; nothing looks at its sign before.

release_pages() takes an int and does nothing with a negative one: code that
hands it such a number works by luck and is no finding. It would run off the
array once its release takes an unsigned count. Where that keeps a rewrite from
being right, and the unsigned variable is a local one that keeps nothing but the
result, the tool declares it as what the function returns, first: `scan` shows
it as `fix`, `convert` makes both changes, and `series` makes a patch of its own
of it, directly before the conversion. The model has to show three things for
that: for results that are not negative nothing changes; a negative one gets to
a release in the old code; and to none in the new one. Where the declaration
cannot be changed, the reason of the site
says why: the variable is printed, shifted, changed, or its address is taken.
",
        ),
    },
    Page {
        code: "GUP011",
        kind: Kind::Finding,
        title: Cow::Borrowed("pages are written and never marked dirty"),
        text: Cow::Borrowed(
            "\
The pages are pinned for writing, the processor writes data into them, and no
function of the trace marks them dirty. The entry of the page table may have
been cleaned meanwhile: what was written is lost when the page is reclaimed.

The processor writes by a function that takes the page (memcpy_to_page()), or
by an address that kmap() or another function makes of it, in a local variable
or in a member of a struct which holds nothing else. Code that tells private
mappings from shared ones is left out: its pages may belong to no file.
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
        code: "GUP013",
        kind: Kind::Finding,
        title: Cow::Borrowed("a mapping outlives its pages"),
        text: Cow::Borrowed(
            "\
The pages are mapped into the kernel with vmap(), and a path that ends in an
error releases them without a vunmap(): the address is in a local variable that
nobody else has, and is not named any more on that path. The mapping stays for
ever, and the pages behind it will be somebody else's.

A rewrite of the release changes nothing about it, and the patch says so: the
missing vunmap() wants a patch of its own.
",
        ),
    },
    Page {
        code: "GUP014",
        kind: Kind::Finding,
        title: Cow::Borrowed("a short pin is released as a whole one"),
        text: Cow::Borrowed(
            "\
get_user_pages*() may pin fewer pages than asked for. The code takes that for a
failure and goes to a release in the same function, whose count, or whose bound,
is still the number that was asked for. The entries behind the pinned ones were
never written, or hold pages of before: the release drops references that nobody
took, or reads memory that was never set.

Or the code rolls back, leaves the pointers in the array, and pins into it once
more. If fewer pages are pinned then, the release goes over all entries that are
not NULL, and drops those of the first round a second time.

A rewrite of the release does the same as the code before it, and the patch says
so: the right count wants a patch of its own.
",
        ),
    },
    Page {
        code: "GUP016",
        kind: Kind::Finding,
        title: Cow::Borrowed("a pin that failed passes for a full one"),
        text: Cow::Borrowed(
            "\
The result of the pin is compared with an unsigned count, and nothing looks at
its sign before: `if (ret < nr_pages)`. C makes the negative result of a failure
unsigned for that, which is larger than any count. The code goes on as if it had
all pages, and its release runs over entries that nobody has written.

A test of the sign behind that comparison comes too late: a failure does not get
there. Compare with `!=`, or test `ret < 0` first and drop what a short pin got.
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
drops them: a close, an unmap, the end of a virtual machine. Nothing was seen
that bounds how long that takes. pin_user_pages.rst (case 2) asks for
FOLL_LONGTERM then.

There are two ways, and a maintainer has to choose. Add FOLL_LONGTERM to the
pin: it then refuses FS-DAX, and file-backed memory on newer kernels, and
moves pages out of CMA and ZONE_MOVABLE first, so what worked may fail. Or do
not keep the pages: pin them for each access, or let an MMU notifier take them
back. If the object is always gone soon, nothing has to be done.
",
        ),
    },
];
