//! Pages of the verdicts, the dialects and the words of a trace.

use super::{Kind, Page};
use std::borrow::Cow;

pub(super) const VERDICTS: &[Page] = &[
    Page {
        code: "convert",
        kind: Kind::Verdict,
        title: Cow::Borrowed("the site is rewritten"),
        text: Cow::Borrowed(
            "\
Every place where the pages of this pin are released was found, on normal,
error and partial paths. Nothing but pinned pages reaches those places. A
rewrite of all of them is known, and the model found it equal to the old
code, or different only by permitted refinements (R1 to R9).

`gupconv convert` prints the rewrite.
",
        ),
    },
    Page {
        code: "assist",
        kind: Kind::Verdict,
        title: Cow::Borrowed("the site is explained, a human has to decide"),
        text: Cow::Borrowed(
            "\
The tool does not rewrite this site: the trace has a gap, pages of another
origin come along, no rewrite fits, or the proof failed or could not run.
What was found is listed, so that a human can go on from there.

`gupconv trace FILE:LINE` shows each step and the place where it stopped.
",
        ),
    },
    Page {
        code: "leave",
        kind: Kind::Verdict,
        title: Cow::Borrowed("the site is rightly not converted"),
        text: Cow::Borrowed(
            "\
Nothing is pinned here, or plain references are the right thing: the code
only looks at struct page, an MMU notifier keeps the mapping coherent, or
the reference is handed on to somebody else. The reason code says which.
",
        ),
    },
];

pub(super) const DIALECTS: &[Page] = &[
    Page {
        code: "none",
        kind: Kind::Dialect,
        title: Cow::Borrowed("the tree has no function to convert to"),
        text: Cow::Borrowed(
            "\
include/linux/mm.h declares neither put_user_page() nor unpin_user_page(),
as up to v5.1. Sites are listed; nothing can be rewritten.

With `--dialect none` any tree is treated like that.
",
        ),
    },
    Page {
        code: "put-user-page-2arg",
        kind: Kind::Dialect,
        title: Cow::Borrowed("put_user_pages_dirty_lock(pages, n): v5.2 and v5.3"),
        text: Cow::Borrowed(
            "\
put_user_page() is put_page() under another name, so that the release alone
is rewritten and the acquiring call stays. Two functions dirty and release
an array: put_user_pages_dirty() with set_page_dirty(), and
put_user_pages_dirty_lock() with set_page_dirty_lock(). Both take two
parameters; a condition on the dirtying stays an `if` around them.

In v5.2 these two and put_user_pages() live in mm/gup.c, which is built only
with CONFIG_MMU.
",
        ),
    },
    Page {
        code: "put-user-page-3arg",
        kind: Kind::Dialect,
        title: Cow::Borrowed("put_user_pages_dirty_lock(pages, n, make_dirty): v5.4"),
        text: Cow::Borrowed(
            "\
As put-user-page-2arg, but the condition of the dirtying is the third
parameter, and put_user_pages_dirty() is gone. A call with two arguments
does not compile here, nor does one with three in v5.3.
",
        ),
    },
    Page {
        code: "pin-user-pages",
        kind: Kind::Dialect,
        title: Cow::Borrowed("pin_user_pages*() and unpin_user_page*(): v5.6 and later"),
        text: Cow::Borrowed(
            "\
Pinned pages are counted apart from plain references. A pin adds 1024 to the
reference count of a page (or one to a counter of its own), so the acquiring
call and all releases must change together, or not at all: one put_page()
left behind pins the page for ever, one unpin_user_page() too many frees it
early.

Only sites whose case calls for a pin are converted: direct I/O (case 1),
long term and RDMA (case 2) and writing into the page from the CPU (case 5).
Users of an MMU notifier (case 3) and of struct page alone (case 4) keep
plain references. The use must be seen in the code; a guess is not enough
here. FOLL_GET goes, FOLL_LONGTERM is proposed where an object keeps the
pages, and never added: it changes what can be pinned.
",
        ),
    },
];

pub(super) const WORDS: &[Page] = &[
    Page {
        code: "held",
        kind: Kind::Word,
        title: Cow::Borrowed("what has the pages on the way from the pin to a release"),
        text: Cow::Borrowed(
            "\
A field is written with the tag of its struct (`buf.pages`), whatever the
object; a variable or a parameter with its function. Fields and variables of
files come first, since they keep pages. Parameters of functions that only look
at the pages are left out. A place stands for every object of its kind, so one
of the list may hold pages of other pins only.

`--format jsonl` has all of them, in the order in which the pages get there; a
variable is function:variable there.
",
        ),
    },
    Page {
        code: "own",
        kind: Kind::Word,
        title: Cow::Borrowed("the reference of a holder is dropped, not that of the pin"),
        text: Cow::Borrowed(
            "\
Somebody who keeps the page takes a reference for himself, by get_page() say,
beside the place where he stores it. What he drops later is that reference; the
pin is dropped elsewhere. Such a drop is listed, since a reader who looks for
all drops of the page comes to it, and says what takes the reference, where, and
what it is taken for.

It is no release of the pin: a conversion leaves it as it is.
",
        ),
    },
];
