//! `gupconv trace`: one place or several, the steps, and what is offered where nothing is found.

use super::{Ran, Tree, program};

#[test]
fn trace_follows_a_pin_or_a_release() {
    let tree = Tree::of("mini-5.2");
    let records = tree.run(&["scan", "--format", "jsonl"]).out;
    let site: serde_json::Value = records
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
        .find(|s| s["releases"].as_array().is_some_and(|r| !r.is_empty()))
        .expect("a site with a release");
    let at = |v: &serde_json::Value| format!("{}:{}", v["path"].as_str().expect("text"), v["line"]);
    let ran = tree.run(&["trace", &at(&site)]).succeeds();
    assert!(ran.out.contains(site["api"].as_str().expect("text")), "{}", ran.out);
    assert!(ran.out.contains("step by step"), "{}", ran.out);
    let ran = tree.run(&["trace", &at(&site["releases"][0])]).succeeds();
    assert!(ran.out.contains(site["function"].as_str().expect("text")), "{}", ran.out);
    // From outside of the tree, which is found from the path.
    let elsewhere = tempfile::tempdir().expect("temporary folder");
    let place = tree.path().join(at(&site));
    let ran = program().current_dir(elsewhere.path()).arg("trace").arg(place).output().expect("the program runs");
    assert!(Ran::of(ran).succeeds().out.contains("step by step"));
}

#[test]
fn several_traces_are_the_single_ones_in_the_order_asked_for() {
    let tree = Tree::of("mini-5.2");
    let records = tree.run(&["scan", "--format", "jsonl"]).out;
    let sites: Vec<String> = records
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
        .filter(|s| s["kind"] == "site")
        .map(|s| format!("{}:{}", s["path"].as_str().expect("text"), s["line"]))
        .collect();
    let (first, last) = (sites.first().expect("a site"), sites.last().expect("a site"));
    assert_ne!(first, last);
    let single = |place: &str| tree.run(&["trace", place]).succeeds().out;
    let both = tree.run(&["trace", last, first, last]).succeeds().out;
    assert_eq!(both, format!("{}\n{}", single(last), single(first)));
    tree.run(&["trace", last, "drivers/misc/ember.c:1"]).fails("no site at drivers/misc/ember.c:1");
    let other = Tree::of("mini-4.19");
    let away = other.path().join(first);
    tree.run(&["trace", first, away.to_str().expect("UTF-8")]).fails("are two trees");
}

#[test]
fn a_step_names_the_statement_behind_the_one_before() {
    let tree = Tree::of("mini-5.2");
    let lines = [
        "#include <linux/mm.h>",
        "static int out_get(unsigned long uaddr, unsigned long *pfn)",
        "{",
        "	struct page *page;",
        "	if (get_user_pages_fast(uaddr, 1, 0, &page) != 1)",
        "		return -EFAULT;",
        "	*pfn = page_to_pfn(page);",
        "	return 0;",
        "}",
        "static unsigned long out_find(unsigned long uaddr, unsigned long known)",
        "{",
        "	unsigned long pfn = known;",
        "	if (pfn)",
        "		return pfn;",
        "	if (out_get(uaddr, &pfn))",
        "		return 0;",
        "	return pfn;",
        "}",
        "void out_touch(unsigned long uaddr)",
        "{",
        "	unsigned long pfn = out_find(uaddr, 0);",
        "	if (pfn)",
        "		put_page(pfn_to_page(pfn));",
        "}",
        "",
    ];
    tree.write("drivers/misc/out.c", &lines.join("\n"));
    let ran = tree.run(&["trace", "drivers/misc/out.c:5"]).succeeds();
    assert!(ran.out.contains("drivers/misc/out.c:17\n"), "{}", ran.out);
    assert!(!ran.out.contains("drivers/misc/out.c:14\n"), "{}", ran.out);
}

/// What a notifier watches is the page table: a mapping that is kept for the processor beside it is named.
#[test]
fn a_reason_names_the_mapping_that_is_kept_beside_a_watched_one() {
    let tree = Tree::of("mini-5.2");
    let lines = |keep: &str| {
        format!(
            "#include <linux/highmem.h>\n#include <linux/mm.h>\n#include <linux/mmu_notifier.h>\n\
             struct cove {{ struct mmu_notifier mn; unsigned long pfn; void *data; }};\n\
             static const struct mmu_notifier_ops cove_ops = {{ }};\n\
             void cove_open(struct cove *c) {{ c->mn.ops = &cove_ops; }}\n\
             static int cove_get(unsigned long uaddr, unsigned long *pfn)\n{{\n\
             \tstruct page *page;\n\
             \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &page) != 1)\n\t\treturn -EFAULT;\n\
             \t*pfn = page_to_pfn(page);\n\treturn 0;\n}}\n\
             int cove_map(struct cove *c, unsigned long uaddr)\n{{\n\
             \tunsigned long pfn;\n\tvoid *data;\n\
             \tif (cove_get(uaddr, &pfn))\n\t\treturn -EFAULT;\n\
             \tdata = kmap(pfn_to_page(pfn));\n\t{keep}\n\tc->pfn = pfn;\n\treturn 0;\n}}\n\
             void cove_unmap(struct cove *c)\n{{\n\tput_page(pfn_to_page(c->pfn));\n}}\n"
        )
    };
    let why = |keep: &str| {
        tree.write("drivers/misc/cove.c", &lines(keep));
        let out = tree.run(&["trace", "drivers/misc/cove.c:10"]).succeeds().out;
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let kept = why("c->data = data;");
    assert!(kept.contains("is kept as well, in cove.data (kmap(), drivers/misc/cove.c:21)"), "{kept}");
    let used = why("((char *)data)[0] = 0;");
    assert!(used.contains("An MMU notifier keeps the mapping coherent (mmu_notifier_ops,"), "{used}");
}

/// Objects of one struct are one place: the tool says where it cannot tell whether the pages are in this one.
#[test]
fn a_step_through_a_field_that_others_fill_is_in_doubt() {
    let tree = Tree::of("mini-5.2");
    let lines = |other: &str| {
        format!(
            "#include <linux/mm.h>\n#include <linux/pagemap.h>\n\
             struct cove {{ struct page *page; int kind; }};\n\
             int cove_get(struct cove *c, unsigned long uaddr)\n{{\n\
             \tif (get_user_pages_fast(uaddr, 1, FOLL_WRITE, &c->page) != 1)\n\t\treturn -EFAULT;\n\
             \treturn 0;\n}}\n\
             void cove_find(struct cove *c, struct address_space *m)\n{{\n\t{other}\n}}\n\
             void cove_drop(struct cove *c)\n{{\n\tstruct page *page = c->page;\n\n\tput_page(page);\n}}\n"
        )
    };
    let told = |other: &str| {
        tree.write("drivers/misc/cove.c", &lines(other));
        let out = tree.run(&["trace", "drivers/misc/cove.c:6"]).succeeds().out;
        let records = tree.run(&["scan", "--format", "jsonl"]).out;
        let site = records.lines().find(|l| l.contains("cove_get")).expect("a record").to_owned();
        (out.split_whitespace().collect::<Vec<_>>().join(" "), site)
    };
    let (out, site) = told("c->page = find_get_page(m, 0);");
    assert!(out.contains("(perhaps only others: cove.page also gets pages at drivers/misc/cove.c:12)"), "{out}");
    assert!(out.contains("put_page() may drop the reference in cove_drop()"), "{out}");
    assert!(out.contains("single, perhaps only of other pages"), "{out}");
    assert!(site.contains("\"perhaps\":\"cove.page\""), "{site}");
    let (out, _) = told("find_get_pages_range(m, NULL, 1, 1, &c->page);");
    assert!(out.contains("may also drop pages of find_get_pages_range (drivers/misc/cove.c:12)"), "{out}");
    // By way of a setter that both use.
    let lines = lines("cove_set(c, find_get_page(m, 0));").replace("&c->page) != 1", "&page) != 1");
    let lines = lines.replace("\treturn 0;", "\tcove_set(c, page);\n\treturn 0;");
    let setter = "static void cove_set(struct cove *c, struct page *p) { c->page = p; }\n";
    let lines = lines.replace("int cove_get(", &format!("{setter}int cove_get("));
    let lines = lines.replace("\tif (get_user", "\tstruct page *page;\n\tif (get_user");
    tree.write("drivers/misc/cove.c", &lines);
    let out = tree.run(&["trace", "drivers/misc/cove.c:8"]).succeeds().out;
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let joined = "(perhaps only others: cove.page also gets pages by way of drivers/misc/cove.c:15)";
    assert!(out.contains(joined), "{out}");
    // Pages of a function that nobody knows.
    let (out, _) = told("extern struct page *cove_other(void);\n\tc->page = cove_other();");
    assert!(out.contains("(perhaps only others: cove.page also gets pages at drivers/misc/cove.c:13)"), "{out}");
    // The pin alone, NULL, and memory that nothing was stored to leave no doubt.
    for none in ["c->page = NULL;", "c->page = kzalloc(64, GFP_KERNEL);", "struct page *none;\n\tc->page = none;"] {
        let (out, site) = told(none);
        assert!(!out.contains("perhaps") && out.contains("put_page() drops the reference in cove_drop()"), "{out}");
        assert!(!site.contains("perhaps"), "{site}");
    }
}

/// A page that is pinned only `if (!write)` does not come out of a call that passes `true`.
#[test]
fn a_call_that_contradicts_the_test_around_the_pin_is_in_doubt() {
    let tree = Tree::of("mini-5.2");
    let told = |test: &str, inner: &str, outer: &str| {
        let lines = format!(
            "#include <linux/mm.h>\n\
             static struct page *cove_slow(unsigned long addr, bool write, bool *asked)\n{{\n\
             \tstruct page *page = NULL;\n\n\t{test}\n\
             \t\tget_user_pages_fast(addr, 1, 0, &page);\n\treturn page;\n}}\n\
             static struct page *cove_any(unsigned long addr, bool write, bool *asked)\n{{\n\
             \t{inner}\n}}\n\
             int cove_run(unsigned long addr, bool write, bool *asked)\n{{\n\
             \tstruct page *page = cove_any(addr, {outer});\n\n\
             \tif (!page)\n\t\treturn -EFAULT;\n\tput_page(page);\n\treturn 0;\n}}\n"
        );
        tree.write("drivers/misc/cove.c", &lines);
        let pin = lines.lines().position(|l| l.contains("get_user_pages_fast")).expect("a pin") + 1;
        let out = tree.run(&["trace", &format!("drivers/misc/cove.c:{pin}")]).succeeds().out;
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let passes = "return cove_slow(addr, write, asked);";
    let doubt = |name: &str, caller: &str| {
        format!("perhaps only others: the pin is behind a test of {name}, which fails with what {caller}() passes")
    };
    let out = told("if (unlikely(!write) && asked)", passes, "true, asked");
    assert!(out.contains(&doubt("write", "cove_run")), "{out}");
    assert!(out.contains("put_page() may drop the reference in cove_run()"), "{out}");
    let out = told("if (!write && asked)", passes, "false, NULL");
    assert!(out.contains(&doubt("asked", "cove_run")), "{out}");
    let out = told("if (write)\n\t\treturn NULL;\n\telse", "return cove_slow(addr, !write, asked);", "false, asked");
    assert!(out.contains(&doubt("write", "cove_run")), "{out}");
    let out =
        told("if (!write)", "if (write)\n\t\treturn cove_slow(addr, true, asked);\n\treturn NULL;", "write, asked");
    assert!(out.contains(&doubt("write", "cove_any")), "{out}");
    // No contradiction: other values, either of two tests, a parameter that was changed before.
    for (test, inner, outer) in [
        ("if (!write && asked)", passes, "false, asked"),
        ("if (!write || asked)", passes, "true, asked"),
        ("write = false;\n\tif (!write)", passes, "true, asked"),
        ("if (!write)", "write = false;\n\treturn cove_slow(addr, write, asked);", "true, asked"),
        ("if (!write)", passes, "write, asked"),
    ] {
        let out = told(test, inner, outer);
        assert!(!out.contains("perhaps") && out.contains("put_page() drops the reference in cove_run()"), "{out}");
    }
}

/// Who takes a reference over is a step; without the flag nobody does.
#[test]
fn a_reference_that_is_handed_on_ends_a_trace() {
    let tree = Tree::of("mini-5.2");
    let told = |flags: &str| {
        let lines = format!(
            "#include <linux/mm.h>\n#define MF_COUNT_INCREASED 1\n#define MF_MUST_KILL 2\n\
             int memory_failure(unsigned long pfn, int flags);\n\
             int cove_poison(unsigned long addr, int flags)\n{{\n\tunsigned long pfn;\n\tstruct page *page;\n\n\
             \tif (get_user_pages_fast(addr, 1, 0, &page) != 1)\n\t\treturn -EFAULT;\n\
             \tpfn = page_to_pfn(page);\n\treturn memory_failure(pfn, {flags});\n}}\n"
        );
        tree.write("drivers/misc/cove.c", &lines);
        tree.run(&["trace", "drivers/misc/cove.c:10"]).succeeds().out
    };
    let step = "memory_failure() takes the reference over in cove_poison()";
    for flags in ["MF_COUNT_INCREASED", "MF_MUST_KILL | MF_COUNT_INCREASED", "flags", "3"] {
        let out = told(flags);
        assert!(out.contains("2. drivers/misc/cove.c:13") && out.contains(step), "{out}");
    }
    for flags in ["0", "MF_MUST_KILL"] {
        let out = told(flags);
        assert!(!out.contains("over"), "{out}");
    }
}

#[test]
fn trace_offers_the_nearest_sites() {
    let tree = Tree::of("mini-5.2");
    let ran = tree.run(&["trace", "drivers/misc/ember.c:1"]);
    ran.fails("no site at drivers/misc/ember.c:1");
    assert!(ran.err.contains("drivers/misc/ember.c:"), "{}", ran.err);
    tree.run(&["trace", "drivers/misc/ember.c"]).fails("is no FILE:LINE");
    tree.run(&["trace", "drivers/misc/nowhere.c:3"]).fails("cannot read drivers/misc/nowhere.c");
}
