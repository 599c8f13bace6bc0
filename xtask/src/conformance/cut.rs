//! Finds the functions in the tree and cuts them out. Nothing of them is kept after the run.

use anyhow::{Result, bail};
use std::path::Path;

/// A function that was found.
pub struct Cut {
    /// Its name.
    pub name: &'static str,
    /// The definition, from the first word of the return type to the closing brace.
    pub text: String,
}

/// What a tree yields.
pub struct Cuts {
    /// In the order of [`WANTED`].
    pub functions: Vec<Cut>,
    /// Value of `GUP_PIN_COUNTING_BIAS`, as written.
    pub bias: Option<String>,
}

impl Cuts {
    /// The text of a function.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.functions.iter().find(|cut| cut.name == name).map(|cut| cut.text.as_str())
    }
}

const MM: &str = "include/linux/mm.h";
const REF: &str = "include/linux/page_ref.h";
const PAGEMAP: &str = "include/linux/pagemap.h";
const HUGE: &str = "include/linux/huge_mm.h";
const MEMREMAP: [&str; 2] = ["mm/memremap.c", "kernel/memremap.c"];
const GUP: &str = "mm/gup.c";
const SWAP: &str = "mm/swap.c";
const WB: &str = "mm/page-writeback.c";
const BUFFER: &str = "fs/buffer.c";

/// Kernel functions by name, and the files that define them in one version or another; the first hit counts, so a
/// body stands before the header that may hold an empty stand-in.
const WANTED: &[(&str, &[&str])] = &[
    ("page_ref_count", &[REF]),
    ("folio_ref_count", &[REF]),
    ("page_ref_add", &[REF]),
    ("folio_ref_add", &[REF]),
    ("page_ref_inc", &[REF]),
    ("folio_ref_inc", &[REF]),
    ("page_ref_sub_return", &[REF]),
    ("folio_ref_sub_return", &[REF]),
    ("page_ref_sub_and_test", &[REF]),
    ("folio_ref_sub_and_test", &[REF]),
    ("page_ref_dec_and_test", &[REF]),
    ("page_ref_dec_return", &[REF]),
    ("page_ref_add_unless", &[REF]),
    ("folio_ref_add_unless", &[REF]),
    ("folio_ref_try_add", &[REF]),
    ("folio_ref_try_add_rcu", &[REF]),
    ("__page_cache_add_speculative", &[PAGEMAP]),
    ("page_cache_add_speculative", &[PAGEMAP]),
    ("folio_trylock", &[PAGEMAP]),
    ("trylock_page", &[PAGEMAP]),
    ("folio_lock", &[PAGEMAP]),
    ("lock_page", &[PAGEMAP]),
    ("is_zero_page", &[MM]),
    ("is_zero_folio", &[MM]),
    ("is_huge_zero_page", &[HUGE]),
    ("is_huge_zero_folio", &[HUGE]),
    ("is_device_public_page", &[MM]),
    ("put_page_testzero", &[MM]),
    ("folio_put_testzero", &[MM]),
    ("free_devmap_managed_page", &MEMREMAP),
    ("page_is_devmap_managed", &[MM]),
    ("__put_devmap_managed_page", &MEMREMAP),
    ("__put_devmap_managed_page_refs", &MEMREMAP),
    ("__put_devmap_managed_folio_refs", &MEMREMAP),
    ("put_devmap_managed_page_refs", &[MM]),
    ("put_devmap_managed_folio_refs", &[MM]),
    ("put_devmap_managed_page", &[SWAP, MM]),
    ("folio_get", &[MM]),
    ("get_page", &[MM]),
    ("try_get_page", &[MM]),
    ("folio_put", &[MM]),
    ("folio_put_refs", &[MM]),
    ("put_page", &[MM]),
    ("put_user_page", &[MM, GUP, SWAP]),
    ("hpage_pincount_available", &[MM]),
    ("page_maybe_dma_pinned", &[MM]),
    ("folio_maybe_dma_pinned", &[MM]),
    ("hpage_pincount_add", &[GUP]),
    ("hpage_pincount_sub", &[GUP]),
    ("sanity_check_pinned_pages", &[GUP]),
    ("try_get_compound_head", &[GUP]),
    ("try_grab_compound_head", &[GUP]),
    ("try_get_folio", &[GUP]),
    ("gup_put_folio", &[GUP]),
    ("try_grab_folio", &[GUP]),
    ("try_grab_page", &[GUP]),
    ("try_grab_folio_fast", &[GUP]),
    ("__unpin_devmap_managed_user_page", &[GUP]),
    ("unpin_user_page", &[GUP]),
    ("unpin_folio", &[GUP]),
    ("folio_add_pin", &[GUP]),
    ("gup_folio_range_next", &[GUP]),
    ("gup_folio_next", &[GUP]),
    ("__put_user_pages_dirty", &[GUP, SWAP]),
    ("put_user_pages_dirty", &[GUP, SWAP]),
    ("put_user_pages_dirty_lock", &[GUP, SWAP]),
    ("put_user_pages", &[GUP, SWAP]),
    ("unpin_user_pages_dirty_lock", &[GUP]),
    ("unpin_user_page_range_dirty_lock", &[GUP]),
    ("unpin_user_pages", &[GUP]),
    ("unpin_user_folio", &[GUP]),
    ("unpin_folios", &[GUP]),
    ("folios_put_refs", &[SWAP]),
    ("release_pages", &[SWAP]),
    ("__set_page_dirty", &[BUFFER, WB]),
    ("__folio_mark_dirty", &[WB]),
    ("__set_page_dirty_buffers", &[BUFFER]),
    ("block_dirty_folio", &[BUFFER]),
    ("__set_page_dirty_nobuffers", &[WB]),
    ("filemap_dirty_folio", &[WB]),
    ("noop_set_page_dirty", &["fs/libfs.c"]),
    ("noop_dirty_folio", &[WB]),
    ("hugetlbfs_set_page_dirty", &["fs/hugetlbfs/inode.c"]),
    ("ext4_set_page_dirty", &["fs/ext4/inode.c"]),
    ("ext4_dirty_folio", &["fs/ext4/inode.c"]),
    ("folio_mark_dirty", &[WB]),
    ("set_page_dirty", &[WB, "mm/folio-compat.c"]),
    ("set_page_dirty_lock", &[WB]),
];

/// Functions that the harness wraps to write an event: the cut one is called `cut_…`.
pub const WRAPPED: [&str; 2] = ["set_page_dirty", "folio_mark_dirty"];

/// Cuts everything that the tree has.
pub fn cut(tree: &Path) -> Result<Cuts> {
    let mut functions = Vec::new();
    for &(name, files) in WANTED {
        let found = files.iter().find_map(|file| {
            let bytes = std::fs::read(tree.join(file)).ok()?;
            definition(&String::from_utf8_lossy(&bytes), name)
        });
        functions.extend(found.map(|text| Cut { name, text }));
    }
    let bias = [MM, GUP].iter().find_map(|file| {
        let text = std::fs::read(tree.join(file)).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("#define GUP_PIN_COUNTING_BIAS"))?;
        Some(line.trim().to_string())
    });
    let cuts = Cuts { functions, bias };
    if cuts.get("put_page").is_none() {
        bail!("no put_page() in {MM}: is this the root of a kernel tree?");
    }
    if cuts.get("put_user_pages").is_none() && cuts.get("unpin_user_pages").is_none() {
        bail!("the tree has neither put_user_pages() nor unpin_user_pages()");
    }
    Ok(cuts)
}

/// The definition of a function in kernel style: the name stands on a line that begins in the first column, and the
/// first `}` in the first column ends it. A declaration is passed over.
fn definition(text: &str, name: &str) -> Option<String> {
    let mut from = 0;
    while let Some(at) = text[from..].find(name).map(|i| from + i) {
        from = at + name.len();
        let line = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let before = &text[line..at];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(word) || before.starts_with([' ', '\t', '*', '/', '#']) || !text[from..].starts_with('(') {
            continue;
        }
        let rest = &text[from..];
        let mut depth = 0;
        let close = rest.char_indices().find_map(|(i, c)| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            (depth == 0).then_some(i)
        })?;
        if !rest[close + 1..].trim_start().starts_with('{') {
            continue;
        }
        let end = from + rest.find("\n}")? + 2;
        let mut start = line;
        if before.is_empty() && line > 0 {
            start = text[..line - 1].rfind('\n').map_or(0, |i| i + 1);
        }
        return Some(text[start..end].to_string());
    }
    None
}

/// Number of parameters of `put_user_pages_dirty_lock()`; 0 when there is none.
pub fn arity(cuts: &Cuts) -> usize {
    let Some(text) = cuts.get("put_user_pages_dirty_lock") else { return 0 };
    let head = text.split('{').next().unwrap_or_default();
    head.matches(',').count() + 1
}

#[cfg(test)]
mod tests {
    use super::definition;

    #[test]
    fn a_definition_is_told_from_uses_and_declarations() {
        let declared = "void g(int);\n/* f(x) */\nstatic int f(int a,\n\t\tint b);\n";
        let defined = "int\nf(int a,\n  int b)\n{\n\tg(b);\n\treturn f2(a);\n}\nint f2(int a)\n{\n\treturn a;\n}\n";
        let text = &format!("{declared}{defined}");
        assert_eq!(definition(text, "f").as_deref(), Some("int\nf(int a,\n  int b)\n{\n\tg(b);\n\treturn f2(a);\n}"));
        assert_eq!(definition(text, "f2").as_deref(), Some("int f2(int a)\n{\n\treturn a;\n}"));
        assert_eq!(definition(text, "g"), None);
    }
}
