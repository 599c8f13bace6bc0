//! Pages of the reasons: why a site got its verdict.

use super::{Kind, Page};
use std::borrow::Cow;

const fn page(code: &'static str, title: &'static str, text: &'static str) -> Page {
    Page { code, kind: Kind::Reason, title: Cow::Borrowed(title), text: Cow::Borrowed(text) }
}

pub(super) const PAGES: &[Page] = &[
    page(
        "complete",
        "every release was found, and only pinned pages reach them",
        "\
The trace is whole: each path from the pin ends in a release, on normal,
error and partial paths, and no page of another origin comes by. This is
what a rewrite needs.
",
    ),
    page(
        "no-pages",
        "the call takes no reference",
        "\
With NULL for the array, pages are faulted in and nobody gets a page to
release; a positive return value is no count of pins. get_user_pages() and
its kin then take no reference. get_user_pages_fast() does where it sets
FOLL_GET by itself (v5.7, v6.1) and its fast path does not run: the text of
the reason says so, and the call is a bug there.

follow_page() takes a reference only if its flags have FOLL_GET.
",
    ),
    page(
        "struct-page-only",
        "only struct page is looked at",
        "\
Case 4 of pin_user_pages.rst: the code reads or changes fields of struct
page and never touches the data of the page. A plain reference is right.
",
    ),
    page(
        "page-tables",
        "the code changes the page table that maps the page",
        "\
The code unmaps the page, or puts another one into its place, and tells the
MMU notifiers. The reference keeps the page for as long as that takes, and
no device gets at the data, although the processor may read or copy it. This
is work of memory management on the page itself, near to case 4 of
pin_user_pages.rst; a pin would say that somebody else uses the data.
",
    ),
    page(
        "address-taken",
        "the reference is dropped before the address of the page is used",
        "\
The code asks where a page lies, and drops its reference in the same function.
What is done by that address later, by the processor or a device, this reference
does not protect, and a pin in its place would not either: something else has to
keep the translation true, an MMU notifier for instance. Case 4 of
pin_user_pages.rst is the nearest one.
",
    ),
    page(
        "mmu-notifier",
        "an MMU notifier keeps the mapping coherent",
        "\
Case 3 of pin_user_pages.rst: the driver gives its mapping up when the
kernel asks for it. Such a page may be migrated or written back at any time
and must not be pinned. Conversions of such code were taken back in
mainline.
",
    ),
    page(
        "short-read",
        "the processor only reads the data, and drops the reference at once",
        "\
The reference lives for the time of an access by the processor: some bytes
are read, or the whole page is copied, for a dump say. No device writes to the
page, and no transfer outlives the function: there is nothing that writeback
would have to know about.
",
    ),
    page(
        "no-pin-form",
        "follow_page() is no get_user_pages*(), and has no form that pins",
        "\
follow_page() takes a plain reference to a page that is mapped already, and
no function of that kind pins. Some of its callers get at the data by the
processor, as same-page merging does to compare pages. To pin there, the call
itself would have to be another one, which is no conversion.
",
    ),
    page(
        "handed-on",
        "the reference is handed to somebody else",
        "\
The code does not release the pages: it gives its reference to another
subsystem that will drop it with put_page(), like any other reference. A pin
would have no matching unpin.
",
    ),
    page(
        "mixed-origin",
        "pages of another origin reach a release",
        "\
The release may also serve pages that come from alloc_page(), get_page(),
vmalloc_to_page(), the page cache or callers that were not seen. They are
not pinned, so releasing them as pins is wrong. Which of the objects of one
struct hold which pages is mostly not told: the reason names the field in which
both can be. Where get and put of an object are functions of one table, they
may never meet; see which ones belong together.

When a flag in the code tells the origins apart, keep both branches and
convert one of them. Never invert the flag. In a tree that counts pins apart
the reason names the flag and the other origin: see whether every function
that fills the array leaves the flag as it should be.
",
    ),
    page(
        "gap",
        "the trace is lost on the way",
        "\
At least one path from the pin could not be followed to its release. A
conversion must change all releases of a pin or none of them. The gaps are
listed with the site; `gupconv explain` has a page for each of their codes.
",
    ),
    page(
        "by-number",
        "a release gets the page by way of a number",
        "\
The page is kept as a frame number or an address, and the release makes the
page of it again: put_page(pfn_to_page(n)). The trace is whole. But numbers
carry no type, and what else is kept as one and comes to the same release is
not counted, so nothing is rewritten.

What you can do: see whether each number that comes there is one of a pinned
page.
",
    ),
    page(
        "no-release",
        "no release was found",
        "\
The pages are pinned, and nothing that drops the reference was found on any
path; or only the failures of the pinning function drop it, and what drops the
pages that a field keeps otherwise was not found. This may be a leak, or a
release that the tool does not recognise.
",
    ),
    page(
        "damaged",
        "a function of the trace could not be parsed",
        "\
The parser could not make sense of a function on the way. It is reported and
never rewritten, since an edit could land in code that means something else.
",
    ),
    page(
        "shared-release",
        "another pin with the same release cannot be converted",
        "\
Two pins share a release. This one could be converted; the other one cannot,
and the release must fit both. Look at the other site first.
",
    ),
    page(
        "no-rule",
        "the form of a release is not one that is rewritten",
        "\
All releases are known, but the code around one of them has a form for which
there is no safe rewrite: the loop does something else as well, counts in an
odd way, or dirties page by page on different conditions. Or references are
taken off the count itself (page_ref_sub()), which no release of pins does.
",
    ),
    page(
        "signed-count",
        "a negative count may reach an unsigned parameter",
        "\
The value of get_user_pages*() is an error number when nothing was pinned. A
loop over an int does nothing then; a helper that takes an unsigned long
would walk over nearly all addresses. The count must be known to be not
negative first.
",
    ),
    page(
        "differs",
        "the model found a difference",
        "\
The code before and after the rewrite was run on the model, and they do not
do the same. The shortest sequence that shows it is part of the report.
Either the rewrite is wrong for this code, or the old code has a defect that
the rewrite would hide.
",
    ),
    page(
        "unproved",
        "the proof could not run",
        "\
A rewrite is known, but the functions of the trace use something that the
model does not execute; the report names it. Without a proof nothing is
handed out. `convert --unproved` prints such rewrites: read each of them.
",
    ),
    page(
        "no-api",
        "the tree has no function to convert to",
        "\
The dialect of the tree is `none`: neither put_user_page() nor
unpin_user_page() is declared. Or the function that this place needs is missing:
one that fits the release, or a pin_user_pages*() twin of the call that takes
the same arguments.
",
    ),
    page(
        "iter-origin",
        "pages come from an iterator",
        "\
An iterator hands out pages of several origins through one call, pinned user
pages and pages of the kernel. Which of them arrive depends on the callers.
Such code needs a decision of its maintainers, not a rewrite of the release.
",
    ),
    page(
        "already-converted",
        "the release is the new call already",
        "\
Every release of this pin is put_user_page*() or unpin_user_page*(). Nothing
is left to convert. Where the trace of a pin ends in a gap, or plain
references come the same way, the sentence beside the code says so; those
releases are not judged.
",
    ),
    page(
        "extracts",
        "the call pins user memory by itself, and takes no other reference",
        "\
iov_iter_extract_pages() pins the pages of an iterator over user memory. On
the pages of any other iterator (a bvec, a kvec, a folio queue, as behind
MSG_SPLICE_PAGES) it takes no reference at all, so there may be no release.
There is no get_user_pages*() to convert in either case.
",
    ),
    page(
        "wrapper-api",
        "an API of the kernel pins and releases for this code",
        "\
The call fills an object that owns the references, and the same API drops them.
The place to convert is inside the API, once for all its users.
",
    ),
    page(
        "for-callers",
        "the function hands the page to its callers, whose calls are sites",
        "\
An inline function of a header takes the page for those who call it, and drops
it only when it has nothing to give them. Each call of it is a site of its
own, and is judged by what happens to the page there.
",
    ),
    page(
        "not-user-pages",
        "the iterator holds no user pages",
        "\
The iterator was made from pages of the kernel (a bvec, a kvec, a pipe). What
it hands out is no pin, and a plain reference is dropped rightly.
",
    ),
    page(
        "half-converted",
        "a part of the trace speaks of pins, another of references",
        "\
The tree counts pins apart, and this trace takes a pin and drops a reference,
or the other way round, on one of its paths. Each such page is left with a
wrong count for ever. That is a bug to be fixed in a patch of its own, with
a Fixes: tag.

Where the pages are pinned, other releases drop pins already, and nothing but
pins reaches the one that does not, its call is converted (verdict convert).
Two things are proved: with plain references in the place of the pins, the new
code drops pins as the old code dropped references; with the pins, the old code
leaves a part of one. Dirtying stays as it is. Whatever else is half converted
is for a person (verdict assist).
",
    ),
    page(
        "case-unknown",
        "nothing shows a use that needs a pin",
        "\
pin_user_pages.rst wants a pin where a device gets at the data (cases 1 and
2) or the processor writes it (case 5). The code of this trace shows neither,
as far as it was followed. In a tree that counts pins apart a conversion
changes what others see of the page, so it is not made on a guess.
",
    ),
    page(
        "loses-dirty",
        "pin_user_pages() does not dirty what get_user_pages() did",
        "\
get_user_pages() sets FOLL_TOUCH: a page that is taken for writing is marked
dirty on the way, if it was not dirty. pin_user_pages() does not do that (the
fast, remote and unlocked functions do it in both families). Where no release
dirties the pages, the conversion would lose that. Add the missing dirtying
at the release first, as a fix of its own; then convert.
",
    ),
    page(
        "other-mm",
        "the pin would mark an address space not shown to be the task's own",
        "\
The pages belong to an address space that is not shown to be current->mm, and
only the processor gets at the data (case 5). pin_user_pages*() sets
MMF_HAS_PINNED in that mm and never clears it (v6.12 mm/gup.c; the flag is in
include/linux/sched/coredump.h, fork() asks for it in include/linux/mm.h, as in
v6.1). From then on every fork() of that process looks for pins in each page
and copies what may be pinned. For one word written through kmap() that is a
bad trade, and mainline left such callers with get_user_pages_remote().
",
    ),
    page(
        "callers-decide",
        "the callers of the pinning function say whether the page is written",
        "\
A helper pins one page and returns it, write access depends on its argument,
and only the processor touches the data. A caller that writes is case 5 of
pin_user_pages.rst; one that only reads has no case and keeps
get_user_pages(). One name in the helper cannot be right for both: split the
helper, or judge every caller by hand.
",
    ),
    page(
        "pin-holes",
        "a pin of this tree can leave entries of the array unwritten",
        "\
follow_pfn_pte() of v5.7 and v5.10 (mm/gup.c) refuses memory without struct
page for FOLL_GET only. With FOLL_PIN it answers -EEXIST, and
__get_user_pages() goes on to the next page: the entry counts as pinned and is
never written. get_user_pages*() fails there. check_vma_flags() refuses mappings
with VM_IO or VM_PFNMAP for both, so this is about VM_MIXEDMAP alone: a driver
or file system can map memory without struct page in one, and a process that
passes such a mapping makes the caller use what was in the array before, and
unpin it. Trees in which -EEXIST ends the loop (v6.1) are not concerned. Before
a conversion here, clear the array and test each entry, or take over the fix of
mm/gup.c.
",
    ),
];
