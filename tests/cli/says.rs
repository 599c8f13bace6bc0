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
            "no-rule: get_user_pages_locked() has no pin_user_pages*() twin in this tree. (drivers/misc/twin.c:{})",
            lines[i]
        )
    };
    assert!(said[0].contains(&own(0)) && said[2].contains(&own(2)), "{said:?}");
    let other = format!(
        "no-rule: Of the pin at drivers/misc/twin.c:{}, which shares a release with this one: get_user",
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
    assert!(said.contains("because struct bare.in, field page") && !said.contains('@'), "{said}");
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
    assert!(said.contains("drivers/misc/spare.c:8 page of spare_look() -> spare.page"), "{said}");
    assert!(!said.contains("spare.other"), "{said}");
}

#[test]
fn a_test_of_the_sign_that_comes_too_late_is_no_contradiction() {
    let tree = Tree::empty();
    let page = tree.run(&["explain", "GUP016"]).succeeds().out;
    assert!(page.contains("comes too late") && !page.contains("nowhere"), "{page}");
}
