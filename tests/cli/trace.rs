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

#[test]
fn trace_offers_the_nearest_sites() {
    let tree = Tree::of("mini-5.2");
    let ran = tree.run(&["trace", "drivers/misc/ember.c:1"]);
    ran.fails("no site at drivers/misc/ember.c:1");
    assert!(ran.err.contains("drivers/misc/ember.c:"), "{}", ran.err);
    tree.run(&["trace", "drivers/misc/ember.c"]).fails("is no FILE:LINE");
    tree.run(&["trace", "drivers/misc/nowhere.c:3"]).fails("cannot read drivers/misc/nowhere.c");
}
