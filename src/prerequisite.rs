//! Step 1 of the conversion for a tree that has no function to convert to: the placeholders themselves, as edits.
//!
//! v4.19 and older declare neither `put_user_page()` nor `unpin_user_page()`. What is added here, in words of our own,
//! is what v5.2 has: `put_user_page()` as an inline beside `put_page()`, and the array functions in a file that is
//! always built (v5.2 put them into mm/gup.c, which needs CONFIG_MMU). Where they are in such a file already,
//! [`always_built`] says how it is built for all. It knows nothing of sites.

mod always_built;

use crate::edit::Edit;
use crate::error::UserError;
use crate::index::Index;
use crate::kernel::dialect::Dialect;
use crate::program::Program;
use crate::source::Span;
use crate::split::{ItemKind, split};

pub use always_built::{GUP, MAKEFILE, keeps_order};

const MM_H: &str = "include/linux/mm.h";
/// Where the bodies go, the best place first: mm/swap.c is built always and has `release_pages()`.
const BODIES: [&str; 2] = ["mm/swap.c", "mm/gup.c"];

const DECLARATIONS: &str = "
/**
 * put_user_page() - drop a page that get_user_pages*() returned
 * @page: the page, not NULL
 *
 * Pages that come from get_user_pages() or one of its relatives are released
 * by this function or by put_user_pages*(), and never by put_page(), so that
 * they can be told from other references one day. Until then it is the same as
 * put_page(). A page of any other origin must not be passed.
 */
static inline void put_user_page(struct page *page)
{
\tput_page(page);
}

void put_user_pages(struct page **pages, unsigned long npages);
void put_user_pages_dirty(struct page **pages, unsigned long npages);
void put_user_pages_dirty_lock(struct page **pages, unsigned long npages);
";

const FUNCTIONS: &str = "
/**
 * put_user_pages() - drop an array of pages that get_user_pages*() returned
 * @pages: the pages, none of them NULL
 * @npages: how many; the error of a failed pin must not arrive here
 *
 * Calls put_user_page() for every entry.
 */
void put_user_pages(struct page **pages, unsigned long npages)
{
\tunsigned long i;

\tfor (i = 0; i < npages; i++)
\t\tput_user_page(pages[i]);
}
EXPORT_SYMBOL(put_user_pages);

/**
 * put_user_pages_dirty() - mark an array of user pages dirty and drop it
 * @pages: the pages, none of them NULL
 * @npages: how many
 *
 * For code that must not sleep. set_page_dirty() is called without the page
 * lock for every page that is not dirty yet, so the caller has to know that its
 * mapping stays. Everybody else calls put_user_pages_dirty_lock().
 */
void put_user_pages_dirty(struct page **pages, unsigned long npages)
{
\tunsigned long i;

\tfor (i = 0; i < npages; i++) {
\t\tstruct page *head = compound_head(pages[i]);

\t\t/*
\t\t * May race with clear_page_dirty_for_io(). Either the page is seen
\t\t * dirty: then it is yet to be written, with what is in it now, for
\t\t * its mappings are cleaned before its flag is. Or it is seen clean,
\t\t * and is written once more, which does no harm.
\t\t */
\t\tif (!PageDirty(head))
\t\t\tset_page_dirty(head);
\t\tput_user_page(pages[i]);
\t}
}
EXPORT_SYMBOL(put_user_pages_dirty);

/**
 * put_user_pages_dirty_lock() - mark an array of user pages dirty and drop it
 * @pages: the pages, none of them NULL
 * @npages: how many
 *
 * As put_user_pages_dirty(), but takes the page lock around the dirtying, and
 * so may sleep. A page that is dirty already is left alone for the same reason
 * as there.
 */
void put_user_pages_dirty_lock(struct page **pages, unsigned long npages)
{
\tunsigned long i;

\tfor (i = 0; i < npages; i++) {
\t\tstruct page *head = compound_head(pages[i]);

\t\tif (!PageDirty(head))
\t\t\tset_page_dirty_lock(head);
\t\tput_user_page(pages[i]);
\t}
}
EXPORT_SYMBOL(put_user_pages_dirty_lock);
";

/// Where the functions of builds without an MMU are.
const NOMMU: &str = "mm/nommu.c";

/// Whether mm/nommu.c has all array functions of the dialect.
pub fn nommu_has(index: &Index, dialect: &Dialect) -> bool {
    index.tree.lookup(NOMMU).is_some_and(|file| {
        let text = index.text(file);
        dialect.arrays().iter().all(|f| defines(&text, f))
    })
}

fn defines(text: &[u8], function: &str) -> bool {
    split(text).iter().any(|i| i.kind == ItemKind::Function && &*i.name == function)
}

/// Whether mm/nommu.c has `get_user_pages()`.
pub fn nommu_gets(index: &Index) -> bool {
    index.tree.lookup(NOMMU).is_some_and(|file| defines(&index.text(file), "get_user_pages"))
}

/// mm/gup.c built in every configuration: the edits to it, and mm/Makefile before and after.
pub struct AlwaysBuilt {
    /// To mm/gup.c.
    pub edits: Vec<Edit>,
    /// Text of mm/Makefile.
    pub makefile: (Vec<u8>, Vec<u8>),
}

/// How mm/gup.c is built in every configuration, if that can be seen; `makefile` is the text of mm/Makefile.
pub fn always_built(index: &Index, dialect: &Dialect, makefile: &[u8]) -> Option<AlwaysBuilt> {
    let file = index.tree.lookup(GUP)?;
    let guards = always_built::guards(&index.text(file), &dialect.arrays())?;
    let after = always_built::makefile(std::str::from_utf8(makefile).ok()?)?;
    Some(AlwaysBuilt {
        edits: guards.into_iter().map(|(at, with)| insertion(file, at, with)).collect(),
        makefile: (makefile.to_vec(), after.into_bytes()),
    })
}

/// Lets the dialect be what it is on top of the prerequisite; whether the tree needs it.
pub fn assume(dialect: &mut Dialect, index: &Index) -> bool {
    let Some(file) = body_file(index) else { return false };
    dialect.assume_placeholders(index.path(file))
}

/// The edits that add the placeholders.
///
/// # Errors
/// The tree has no `put_page()` in `include/linux/mm.h`, or no file for the bodies.
pub fn edits(index: &Index) -> Result<Vec<Edit>, UserError> {
    let header = index.tree.lookup(MM_H).ok_or_else(|| cannot("the tree has no include/linux/mm.h"))?;
    let text = index.text(header);
    let (at, with) =
        beside_put_page(&text).ok_or_else(|| cannot("include/linux/mm.h has no put_page() to stand beside"))?;
    let file = body_file(index).ok_or_else(|| cannot("neither mm/swap.c nor mm/gup.c exports a symbol"))?;
    let bodies = index.text(file);
    let mut out = vec![insertion(header, at, &with), insertion(file, behind_release_pages(&bodies), FUNCTIONS)];
    out.sort();
    Ok(out)
}

/// What is added to the header, and where: behind `put_page()`, which is an inline there, or declared (v4.4).
fn beside_put_page(text: &[u8]) -> Option<(u32, String)> {
    let items = split(text);
    let kind = |k: ItemKind| items.iter().find(|i| i.kind == k && &*i.name == "put_page");
    let at = line_end(text, kind(ItemKind::Function).or_else(|| kind(ItemKind::Prototype))?.span.end);
    let alone = text.get(at as usize).is_none_or(|b| *b == b'\n');
    Some((at, format!("{DECLARATIONS}{}", if alone { "" } else { "\n" })))
}

fn insertion(file: crate::source::FileId, at: u32, with: &str) -> Edit {
    Edit { file, span: Span { start: at, end: at }, with: with.as_bytes().to_vec() }
}

fn body_file(index: &Index) -> Option<crate::source::FileId> {
    let exports = |f: &crate::source::FileId| memchr::memmem::find(&index.text(*f), b"\nEXPORT_SYMBOL").is_some();
    BODIES.iter().filter_map(|p| index.tree.lookup(p)).find(exports)
}

/// Behind the export of `release_pages()`, or at the end of the file.
fn behind_release_pages(text: &[u8]) -> u32 {
    let at = memchr::memmem::find(text, b"\nEXPORT_SYMBOL(release_pages);");
    at.map_or(text.len() as u32, |i| line_end(text, i as u32 + 1))
}

fn line_end(text: &[u8], from: u32) -> u32 {
    let rest = text.get(from as usize..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(text.len() as u32, |i| from + i as u32 + 1)
}

fn cannot(why: &str) -> UserError {
    UserError::new(
        "the prerequisite patch cannot be made",
        why.to_string(),
        "leave --with-prerequisite out, or add put_user_page() to the tree by hand first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_behind_an_inline_or_a_declaration() {
        let inline = b"static inline void put_page(struct page *page)\n{\n\tdrop(page);\n}\n\nint x;\n";
        let declared = b"void put_page(struct page *page);\nvoid other(void);\n";
        let (at, with) = beside_put_page(inline).unwrap_or_default();
        assert!(inline[at as usize..].starts_with(b"\nint x;") && with == DECLARATIONS);
        let (at, with) = beside_put_page(declared).unwrap_or_default();
        assert!(declared[at as usize..].starts_with(b"void other") && with == format!("{DECLARATIONS}\n"));
        assert_eq!(beside_put_page(b"void put_page_testzero(struct page *page);\n"), None);
    }
}
