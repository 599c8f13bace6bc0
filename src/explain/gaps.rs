//! Pages of the gaps: where and why a trace is lost.

use super::{Kind, Page};
use std::borrow::Cow;

const fn page(code: &'static str, title: &'static str, text: &'static str) -> Page {
    Page { code, kind: Kind::Gap, title: Cow::Borrowed(title), text: Cow::Borrowed(text) }
}

pub(super) const PAGES: &[Page] = &[
    page(
        "damaged",
        "a function on the way could not be parsed",
        "\
Macros or GNU extensions hide the structure of this function. What happens
in it is not known, so nothing that passes through it is rewritten.

What you can do: read the function, and look for releases of the pages in
it.
",
    ),
    page(
        "unknown-callee",
        "pages go to a function that was not found",
        "\
The pages, or what holds them, are an argument of a function whose
definition was not found, or of a macro that was not followed. It may keep
the pages, release them, or only look at them.

What you can do: find the definition and see whether it releases or stores
them.
",
    ),
    page(
        "indirect-call",
        "pages go through a pointer to a function",
        "\
The callee is a pointer, and what it points to could not be told from
initialisers and assignments in the tree.

What you can do: find the functions that are assigned to this pointer. All
of them must be followed.
",
    ),
    page(
        "unknown-store",
        "pages are stored where the tool cannot follow",
        "\
The target is no variable, no field of a struct and no element of an array
that is known: a computed pointer, a field of an untyped object, a tree or
list.

What you can do: search for the readers of that place.
",
    ),
    page(
        "address-only",
        "only an address or frame number is kept",
        "\
The page was turned into a kernel address, a page frame number or a bus
address, and it is released by way of that number: put_page(pfn_to_page(x)),
or by a call that takes an address. The way back to the page was not followed;
where it is, the release is listed and no gap stands there.

What you can do: search for pfn_to_page() and virt_to_page() of that value.
",
    ),
    page(
        "bio",
        "pages are put into a bio",
        "\
The block layer releases the pages when the bio ends, and it decides by a
flag of the bio whether there is something to release. Pages of several
origins may share one bio. Such sites are listed, never rewritten.
",
    ),
    page(
        "skb",
        "pages become fragments of an skb",
        "\
The network stack releases the pages when the last clone of the skb goes,
with put_page() in code that serves every driver. That release cannot be
converted for one of them.
",
    ),
    page(
        "pipe",
        "pages become pipe buffers",
        "\
The reader of the pipe releases the pages through the operations of the
buffer. Pages from the page cache take the same way.
",
    ),
    page(
        "page-table",
        "pages are entered into page tables",
        "\
From here on the page tables hold a reference of their own, and it is
dropped when the mapping goes. Which of the two references is dropped where
was not followed.
",
    ),
    page(
        "iter-origin",
        "pages come from an iterator",
        "\
iov_iter_get_pages() returns pinned user pages, or pages of a bvec, a kvec
or a pipe with a plain reference, depending on what the caller handed in.
The release serves all of them and must not be rewritten as long as they can
arrive.

What you can do: see whether every caller passes a user iterator only.
",
    ),
    page(
        "no-caller",
        "nobody was found who calls the function that receives the pages",
        "\
The pages are returned, or put into an array of the caller, and the tree has
no call of this function: it is used by address, by a macro, or not at all.

What you can do: search for the name of the function without parentheses.
",
    ),
    page(
        "cast",
        "a cast or a union hides the pointer",
        "\
The pointer to the pages is cast to another type, or is a member of a union
that is also used as something else. What comes out at the other end may be
no page.
",
    ),
    page(
        "budget",
        "the search grew over its bound",
        "\
Too many functions, callers or stores lie on the way, or what is named here is
too far from the pin. The search stopped so that a run over the tree ends; it
did not guess.

What you can do: follow the trace from the place that is named here.
",
    ),
    page(
        "no-release",
        "no release was found",
        "\
The trace ends without a call that drops the reference. Either the pages
leak, or they are released in a way the tool does not know.

What you can do: check the error paths first; a leak there is the usual
case.
",
    ),
];
