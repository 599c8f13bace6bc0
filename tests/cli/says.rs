//! What is said of a site: no more than was found.

use super::Tree;

/// The trace of a place, white space joined.
fn told(tree: &Tree, place: &str) -> String {
    let out = tree.run(&["trace", place]).succeeds().out;
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The hazards of a place.
fn hazards(tree: &Tree, place: &str) -> String {
    let out = tree.run(&["model", "--for", place]).succeeds().out;
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn pages_of_two_kinds_meet_in_a_field() {
    let tree = Tree::of("mini-5.2");
    let said = told(&tree, "drivers/char/lantern.c:23");
    let expected = "may also drop pages of alloc_page (drivers/char/lantern.c:28): lantern.pages can hold either.";
    assert!(said.contains(expected), "{said}");
    // In a variable of the function nothing is named.
    tree.write(
        "drivers/char/wick.c",
        "#include <linux/gfp.h>\n#include <linux/highmem.h>\n#include <linux/mm.h>\n\
         #include <linux/string.h>\nint wick_one(unsigned long uaddr, int user)\n{\n\
         \tstruct page *page;\n\tif (user) {\n\
         \t\tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\t\treturn -EFAULT;\n\
         \t} else {\n\t\tpage = alloc_page(GFP_KERNEL);\n\t}\n\tmemset(kmap(page), 0, 8);\n\tkunmap(page);\n\
         \tset_page_dirty_lock(page);\n\
         \tput_page(page);\n\treturn 0;\n}\n",
    );
    let said = told(&tree, "drivers/char/wick.c:9");
    assert!(said.contains("may also drop pages of alloc_page (drivers/char/wick.c:12). "), "{said}");
}

#[test]
fn a_search_that_was_given_up_says_no_more() {
    let tree = Tree::of("mini-5.2");
    let mut text = String::from("#include <linux/mm.h>\nstruct deep { struct page *page; };\nstruct deep last;\n");
    text.push_str("static void deep_400(struct page *page)\n{\n\tlast.page = page;\n\tput_page(page);\n}\n");
    for i in (0..400).rev() {
        let next = i + 1;
        text.push_str(&format!("static void deep_{i}(struct page *page)\n{{\n\tdeep_{next}(page);\n}}\n"));
    }
    let line = text.lines().count() + 4;
    text.push_str("int deep_pin(unsigned long uaddr)\n{\n\tstruct page *page;\n");
    text.push_str("\tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\treturn -EFAULT;\n");
    text.push_str("\tdeep_0(page);\n\treturn 0;\n}\n");
    tree.write("drivers/misc/deep.c", &text);
    let said = told(&tree, &format!("drivers/misc/deep.c:{line}"));
    // The function has one caller.
    assert!(said.contains("gap budget: deep_") && !said.contains("too many places"), "{said}");
    assert!(said.contains("The search was given up at deep_"), "{said}");
}

#[test]
fn a_mark_is_spoken_of_where_a_pin_leaves_one() {
    let tree = Tree::of("mini-6.1");
    let place = "drivers/net/dotterel.c:15";
    let said = told(&tree, place);
    assert!(said.contains("why other-mm:") && said.contains("(MMF_HAS_PINNED, never cleared)"), "{said}");
    // v5.10: a field.
    let marked = tree.read("mm/gup.c");
    let field = marked.replace("mm->flags |= 1UL << MMF_HAS_PINNED", "mm->has_pinned = 1");
    assert_ne!(marked, field);
    tree.write("mm/gup.c", &field);
    assert!(told(&tree, place).contains("(has_pinned, never cleared)"));
    // v5.7: nothing.
    tree.write("mm/gup.c", &marked.replace("mm->flags |= 1UL << MMF_HAS_PINNED", "mm->flags |= 0"));
    let said = told(&tree, place);
    assert!(!said.contains("other-mm") && !said.contains("never cleared"), "{said}");
}

#[test]
fn the_reason_of_a_group_speaks_of_each_pin() {
    let tree = Tree::of("mini-6.1");
    let pin = |name: &str, call: &str| {
        format!(
            "int {name}(struct twin *t, unsigned long uaddr, int n)\n{{\n\tint got;\n\n\tgot = {call};\n\
             \tif (got != n)\n\t\treturn -EFAULT;\n\treturn 0;\n}}\n"
        )
    };
    let mut text = String::from(
        "#include <linux/mm.h>\nlong get_user_pages_locked(unsigned long start, unsigned long nr_pages, unsigned int \
         gup_flags, struct page **pages, int *locked);\nstruct twin { struct page *pages[8]; int n; };\n",
    );
    let first = "get_user_pages_fast(uaddr, n, FOLL_WRITE, t->pages)";
    let locked = "get_user_pages_locked(uaddr, n, FOLL_WRITE, t->pages, NULL)";
    let mut lines = Vec::new();
    for (name, call) in [("twin_a", locked), ("twin_b", first), ("twin_c", locked)] {
        lines.push(text.lines().count() + 5);
        text.push_str(&pin(name, call));
    }
    text.push_str(
        "void twin_put(struct twin *t)\n{\n\tint i;\n\n\tfor (i = 0; i < t->n; i++) {\n\
         \t\tset_page_dirty_lock(t->pages[i]);\n\t\tput_page(t->pages[i]);\n\t}\n}\n",
    );
    tree.write("drivers/misc/twin.c", &text);
    let said: Vec<String> = lines.iter().map(|l| told(&tree, &format!("drivers/misc/twin.c:{l}"))).collect();
    let own = |i: usize| {
        format!(
            "no-api: get_user_pages_locked() has no pin_user_pages*() twin in this tree. (drivers/misc/twin.c:{})",
            lines[i]
        )
    };
    assert!(said[0].contains(&own(0)) && said[2].contains(&own(2)), "{said:?}");
    let other = format!(
        "no-api: Of the pin at drivers/misc/twin.c:{}, which shares a release with this one: get_user",
        lines[0]
    );
    assert!(said[1].contains(&other), "{}", said[1]);
}

#[test]
fn a_struct_without_a_tag_is_written_as_its_field() {
    let tree = Tree::of("mini-5.2");
    tree.write(
        "drivers/misc/bare.c",
        "#include <linux/mm.h>\nstruct bare { struct { struct page *page; } in; };\n\
         int bare_get(struct bare *b, unsigned long uaddr)\n{\n\tstruct page *page;\n\
         \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\treturn -EFAULT;\n\
         \tb->in.page = page;\n\treturn 0;\n}\n\
         void bare_put(struct bare *b)\n{\n\tset_page_dirty_lock(b->in.page);\n\tput_page(b->in.page);\n}\n",
    );
    let said = told(&tree, "drivers/misc/bare.c:6");
    assert!(said.contains("(field page of struct bare.in)") && !said.contains('@'), "{said}");
}

#[test]
fn dirtying_under_the_page_lock_is_said_to_be() {
    let put = |dirty: &str| {
        format!(
            "#include <linux/mm.h>\n#include <linux/pagemap.h>\nint wet_one(unsigned long uaddr, int dirty)\n{{\n\
             \tstruct page *page;\n\tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\
             \t\treturn -EFAULT;\n\tif (dirty) {{\n\t\t{dirty}\n\t}}\n\tput_page(page);\n\treturn 0;\n}}\n"
        )
    };
    let tree = Tree::of("mini-5.2");
    let said = |dirty: &str| {
        tree.write("drivers/misc/wet.c", &put(dirty));
        told(&tree, "drivers/misc/wet.c:6")
    };
    let locked = said("lock_page(page); set_page_dirty(page); unlock_page(page);");
    assert!(locked.contains("set_page_dirty under the page lock if dirty"), "{locked}");
    let plain = said("set_page_dirty(page);");
    assert!(plain.contains("set_page_dirty if dirty"), "{plain}");
}

#[test]
fn a_case_that_is_only_near_is_said_to_be() {
    let case = |name: &str, line: u32| {
        let tree = Tree::of("mini-5.2");
        let file = format!("{}/fixtures/flow/{name}/drivers/misc/a.c", env!("CARGO_MANIFEST_DIR"));
        tree.write("drivers/misc/a.c", &std::fs::read_to_string(&file).expect(&file));
        let place = format!("drivers/misc/a.c:{line}");
        format!("{} {}", told(&tree, &place), hazards(&tree, &place))
    };
    let near = case("address-taken", 9);
    assert!(near.contains("case nearest to 4 of pin_user_pages.rst"), "{near}");
    assert!(near.contains("case: nearest to 4 of pin_user_pages.rst"), "{near}");
    let plain = case("struct-page-only", 10);
    assert!(plain.contains("case 4 of pin_user_pages.rst") && plain.contains("case: 4 of"), "{plain}");
}

/// An inline of the API in a header gives the page to its callers.
#[test]
fn a_function_of_the_api_hands_its_page_to_its_callers() {
    let tree = Tree::of("mini-6.1");
    let header = tree.read("include/linux/mm.h");
    let at = header.rfind("#endif").expect("a guard");
    let inline = "static inline struct page *get_user_page_vma_remote(struct mm_struct *mm, unsigned long addr,\n\
                  \tint gup_flags, struct vm_area_struct **vmap)\n{\n\tstruct page *page;\n\
                  \tif (get_user_pages_remote(mm, addr, 1, gup_flags, &page, NULL, NULL) != 1)\n\t\treturn NULL;\n\
                  \tif (!*vmap) {\n\t\tput_page(page);\n\t\treturn NULL;\n\t}\n\treturn page;\n}\n";
    let line = header[..at].lines().count() as u32 + 5;
    tree.write("include/linux/mm.h", &format!("{}{inline}{}", &header[..at], &header[at..]));
    tree.write(
        "drivers/misc/caller.c",
        "#include <linux/mm.h>\nint caller(struct mm_struct *mm, struct vm_area_struct *vma)\n{\n\
         \tstruct page *page = get_user_page_vma_remote(mm, 4096, FOLL_WRITE, &vma);\n\
         \tif (!page)\n\t\treturn -EFAULT;\n\tset_page_dirty_lock(page);\n\tput_page(page);\n\treturn 0;\n}\n",
    );
    let place = format!("include/linux/mm.h:{line}");
    let said = told(&tree, &place);
    let given = "page of get_user_page_vma_remote() -> result of get_user_page_vma_remote()";
    assert!(said.contains("for-callers") && said.contains(given), "{said}");
    let model = hazards(&tree, &place);
    assert!(model.contains("held: by the callers: get_user_page_vma_remote() hands the pages to them"), "{model}");
    assert!(model.contains("dirtied: by the callers, if at all"), "{model}");
    assert!(model.contains("those of get_user_page_vma_remote() are sites of their own."), "{model}");
    // A site of the usual kind says nothing of callers, and who returns a page to another function of its file neither.
    let model = hazards(&tree, "drivers/net/dotterel.c:15");
    assert!(!model.contains("by the callers"), "{model}");
}

/// Where the function of the pin stores a page, also if nothing is dropped there.
#[test]
fn a_store_of_the_pinning_function_is_a_step() {
    let tree = Tree::of("mini-5.2");
    tree.write(
        "drivers/misc/spare.c",
        "#include <linux/mm.h>\nstruct spare { struct page *page, *other; };\n\
         int spare_look(struct spare *s, unsigned long uaddr)\n{\n\tstruct page *page;\n\
         \tif (get_user_pages_fast(uaddr, 1, 0, &page) != 1)\n\t\treturn -EFAULT;\n\
         \ts->page = page;\n\tput_page(page);\n\ts->other = NULL;\n\treturn 0;\n}\n",
    );
    let said = told(&tree, "drivers/misc/spare.c:6");
    assert!(said.contains("drivers/misc/spare.c:8 from step 1: page of spare_look() -> spare.page"), "{said}");
    assert!(!said.contains("spare.other"), "{said}");
}

#[test]
fn a_test_of_the_sign_that_comes_too_late_is_no_contradiction() {
    let tree = Tree::empty();
    let page = tree.run(&["explain", "GUP016"]).succeeds().out;
    assert!(page.contains("comes too late") && !page.contains("nowhere"), "{page}");
}

/// What is no file is not opened: a pipe would be waited for.
#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_document_is_not_read() {
    let tree = Tree::of("mini-6.1");
    let folder = tree.path().join("Documentation/core-api");
    std::fs::create_dir_all(&folder).expect("folder");
    let made = std::process::Command::new("mkfifo").arg(folder.join("pin_user_pages.rst")).status().expect("mkfifo");
    assert!(made.success());
    assert!(told(&tree, "drivers/net/dotterel.c:15").contains("which is not in this tree"));
}

/// A case is one of the tree's document, or of a newer one.
#[test]
fn a_case_that_the_tree_does_not_have_is_said_to_be_of_newer_kernels() {
    let tree = Tree::of("mini-6.1");
    let place = "drivers/net/dotterel.c:15";
    let newer = "5 of pin_user_pages.rst of newer kernels";
    let none = "5 of pin_user_pages.rst, which is not in this tree";
    assert!(told(&tree, place).contains(&format!("case {none}: ")) && hazards(&tree, place).contains(none));
    let document = |cases: u8| {
        let all: String = (1..=cases).map(|n| format!("CASE {n}: something\n-----------------\nWords.\n\n")).collect();
        tree.write("Documentation/core-api/pin_user_pages.rst", &all);
    };
    document(4);
    assert!(told(&tree, place).contains(newer) && hazards(&tree, place).contains(newer));
    document(5);
    assert!(told(&tree, place).contains("case 5 of pin_user_pages.rst: ") && !hazards(&tree, place).contains("newer"));
}

/// What shows a case is the call that does, or who keeps the pages until when.
#[test]
fn the_evidence_of_a_case_shows_it() {
    let tree = Tree::of("mini-5.2");
    let text = |between: &str, put: &str| {
        format!(
            "#include <linux/dma-mapping.h>\n#include <linux/fs.h>\n#include <linux/highmem.h>\n\
             #include <linux/mm.h>\n#include <linux/string.h>\n\
             struct moor {{ struct page *page; struct device *dev; dma_addr_t at; }};\n\
             int moor_get(struct moor *m, unsigned long uaddr)\n{{\n\
             \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &m->page) != 1)\n\t\treturn -EFAULT;\n{between}\
             \treturn 0;\n}}\n{put}"
        )
    };
    let map = "\tm->at = dma_map_page(m->dev, m->page, 0, PAGE_SIZE, DMA_FROM_DEVICE);\n";
    let put = "static int moor_release(struct inode *inode, struct file *file)\n{\n\
               \tstruct moor *m = file->private_data;\n\
               \tdma_unmap_page(m->dev, m->at, PAGE_SIZE, DMA_FROM_DEVICE);\n\
               \tset_page_dirty_lock(m->page);\n\tput_page(m->page);\n\treturn 0;\n}\n\
               const struct file_operations moor_fops = { .release = moor_release };\n";
    tree.write("drivers/misc/moor.c", &text(map, put));
    let said = told(&tree, "drivers/misc/moor.c:9");
    let kept = "the pages stay in moor.page until moor_release() drops them (drivers/misc/moor.c:19)";
    assert!(said.contains(&format!("newer kernels: {kept}")), "{said}");
    // A mapping that ends is no evidence of a write.
    let unmaps = "\tkunmap(m->page);\n\tset_page_dirty_lock(m->page);\n\tput_page(m->page);\n";
    tree.write("drivers/misc/moor.c", &text(&format!("\tmemset(kmap(m->page), 0, 8);\n{unmaps}"), ""));
    let said = told(&tree, "drivers/misc/moor.c:9");
    let by = "the processor gets at the pages by kmap(), and they are pinned to be written to";
    assert!(said.contains(by) && !said.contains("kunmap"), "{said}");
}

#[test]
fn a_library_of_several_users_is_told_with_the_field_of_the_one_that_drops() {
    let tree = Tree::of("mini-5.2");
    let vec = "struct shoal_vec { struct page *pages[4]; int n; };\n\
               int shoal_get(struct shoal_vec *vec, unsigned long uaddr);\nvoid shoal_put(struct shoal_vec *vec);\n";
    tree.write("include/linux/shoal.h", vec);
    tree.write(
        "drivers/misc/shoal.c",
        "#include <linux/mm.h>\n#include <linux/shoal.h>\nint shoal_get(struct shoal_vec *vec, unsigned long uaddr)\n{\n\
         \tvec->n = get_user_pages_fast(uaddr, 4, FOLL_WRITE, vec->pages);\n\treturn vec->n;\n}\n\
         void shoal_put(struct shoal_vec *vec)\n{\n\tint i;\n\n\tfor (i = 0; i < vec->n; i++)\n\
         \t\tput_page(vec->pages[i]);\n}\n",
    );
    let user = |name: &str, drops: &str| {
        let text = format!(
            "#include <linux/fs.h>\n#include <linux/mm.h>\n#include <linux/shoal.h>\n\
             struct {name} {{ struct shoal_vec *vec; }};\n\
             int {name}_open(struct {name} *x, unsigned long uaddr)\n{{\n\treturn shoal_get(x->vec, uaddr);\n}}\n{drops}"
        );
        tree.write(&format!("drivers/misc/{name}.c"), &text);
    };
    user("cod", "");
    user("hake", "void hake_close(struct hake *x)\n{\n\tshoal_put(x->vec);\n}\n");
    let said = told(&tree, "drivers/misc/shoal.c:5");
    let expected = "until shoal_put() drops them (drivers/misc/shoal.c:13), by way of hake_close()";
    assert!(said.contains(expected) && !said.contains("stay in cod."), "{said}");
}

/// Behind a release, or another branch, a step says which one it continues.
#[test]
fn a_step_says_where_it_comes_from() {
    let tree = Tree::of("mini-5.2");
    tree.write(
        "drivers/misc/delta.c",
        "#include <linux/mm.h>\nstruct delta { struct page *page, *spare; };\n\
         int delta_get(struct delta *d, unsigned long uaddr, int keep)\n{\n\tstruct page *page;\n\
         \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\treturn -EFAULT;\n\
         \tif (!keep) {\n\t\tput_page(page);\n\t\treturn -EINVAL;\n\t}\n\
         \td->page = page;\n\td->spare = page;\n\treturn 0;\n}\n\
         void delta_put(struct delta *d)\n{\n\tset_page_dirty_lock(d->page);\n\tput_page(d->page);\n}\n",
    );
    let said = told(&tree, "drivers/misc/delta.c:6");
    let steps = "2. drivers/misc/delta.c:9 put_page() drops the reference in delta_get() \
                 3. drivers/misc/delta.c:12 from step 1: page of delta_get() -> delta.page \
                 (field page of struct delta) 4. drivers/misc/delta.c:19 put_page() drops the reference in delta_put()";
    assert!(said.contains(steps), "{said}");
    // Nothing is dropped behind the other store, and who keeps the page is shown without it.
    assert!(!said.contains("-> delta.spare"), "{said}");
}

/// The value of a call is told by its name, and no step ends in one.
#[test]
fn a_step_names_the_call_that_it_is_by() {
    let tree = Tree::of("mini-5.2");
    tree.write(
        "drivers/misc/pass.c",
        "#include <linux/mm.h>\nstatic unsigned long pass_get(unsigned long uaddr)\n{\n\tstruct page *page;\n\
         \tif (get_user_pages_fast(uaddr, 1, 0, &page) != 1)\n\t\treturn 0;\n\treturn page_to_pfn(page);\n}\n\
         void pass_touch(unsigned long uaddr)\n{\n\tunsigned long pfn = pass_get(uaddr);\n\
         \tif (pfn)\n\t\tput_page(pfn_to_page(pfn));\n}\n",
    );
    let said = told(&tree, "drivers/misc/pass.c:5");
    assert!(said.contains("page of pass_get() -> result of pass_get(), by page_to_pfn()"), "{said}");
    assert!(said.contains("result of pass_get() -> pfn of pass_touch() "), "{said}");
    assert!(said.contains("pfn of pass_touch() -> value of pfn_to_page()") && !said.contains("the call"), "{said}");
}

/// The reference that a holder has of its own is told with the line that takes it.
#[test]
fn a_reference_of_its_own_is_told_with_what_takes_it() {
    let tree = Tree::of("mini-5.2");
    let name = "store-own-reference";
    let file = format!("{}/fixtures/flow/{name}/drivers/misc/a.c", env!("CARGO_MANIFEST_DIR"));
    tree.write("drivers/misc/a.c", &std::fs::read_to_string(&file).expect(&file));
    let said = told(&tree, "drivers/misc/a.c:25");
    let own = "not the pin, but the reference that was taken for a_req.page (get_page() at drivers/misc/a.c:13)";
    assert!(said.contains(own), "{said}");
    assert!(said.contains("put_page() drops that reference, not the pin, in a_req_free()"), "{said}");
    // The record has the store.
    let records = tree.run(&["scan", "--format", "jsonl", "drivers/misc/a.c"]).succeeds().out;
    let line = r#""own":{"path":"drivers/misc/a.c","line":12,"call":"get_page"}"#;
    assert!(records.contains(line), "{records}");
}

/// Who keeps the pages comes first, who only looks at them is left out, and a long list is cut.
#[test]
fn the_holders_are_told_in_the_order_of_what_matters() {
    let tree = Tree::of("mini-5.2");
    let fields: Vec<String> = (0..20).map(|i| format!("p{i}")).collect();
    let mut text = format!("#include <linux/mm.h>\nstruct flock {{ struct page *{}; }};\n", fields.join(", *"));
    text.push_str(
        "static int flock_odd(struct page **seen)\n{\n\treturn page_to_nid(seen[0]);\n}\n\
         int flock_get(struct flock *f, unsigned long uaddr)\n{\n\tstruct page *pages[1];\n\
         \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, pages) != 1)\n\t\treturn -EFAULT;\n",
    );
    text.push_str(&fields.iter().map(|p| format!("\tf->{p} = pages[0];\n")).collect::<String>());
    text.push_str("\treturn flock_odd(pages);\n}\nvoid flock_put(struct flock *f)\n{\n\tput_page(f->p0);\n}\n");
    tree.write("drivers/misc/flock.c", &text);
    let said = told(&tree, "drivers/misc/flock.c:10");
    assert!(said.contains("held flock.p0, flock.p1, "), "{said}");
    assert!(said.contains(", and 9 more (--format jsonl has all)") && !said.contains("flock_odd"), "{said}");
    let records = tree.run(&["scan", "--format", "jsonl", "drivers/misc/flock.c"]).succeeds().out;
    assert!(records.contains("\"flock_odd:seen\"") && records.contains("\"flock_get:pages\""), "{records}");
    let page = tree.run(&["explain", "held"]).succeeds().out;
    assert!(page.contains("function:variable"), "{page}");
}
