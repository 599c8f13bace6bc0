//! A small tree: two architectures, one without an MMU, and objects of every kind.

use super::*;

/// A tree of these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let at = dir.path().join(name);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }
    dir
}

/// Whether each file is shown to need an MMU, in a tree of these files.
fn ask(files: &[(&str, &str)], paths: &[&str]) -> Vec<Build> {
    let dir = tree(files);
    let k = Kbuild::new(dir.path());
    paths.iter().map(|p| k.build(p)).collect()
}

const FIXED: [(&str, &str); 4] = [
    ("Kconfig", "source \"arch/$(SRCARCH)/Kconfig\"\nsource \"drivers/Kconfig\"\n"),
    ("arch/big/Kconfig", "config BIG\n\tdef_bool y\nconfig MMU\n\tdef_bool y\n"),
    ("arch/small/Kconfig", "config MMU\n\tbool \"use the MMU\"\n\tdefault y\nconfig SMALL\n\tdef_bool y\n"),
    ("drivers/Makefile", "obj-y += a/\nobj-$(CONFIG_B) += b/\n"),
];

fn no(symbol: &str) -> Build {
    Build::NotShown(Some(symbol.to_string()))
}

#[test]
fn dependencies_lead_to_the_mmu() {
    let kconfig = "config DIRECT\n\ttristate \"x\"\n\tdepends on MMU && OTHER\n\thelp\n\t  depends on nothing\n\n\
        config OTHER\n\tbool \"x\"\nconfig ARCHED\n\tbool \"x\"\n\tdepends on BIG || DIRECT\n\
        if DIRECT\nconfig INSIDE\n\tbool \"x\"\nendif\n\
        menu \"m\"\n\tdepends on MMU=y\nconfig MENU\n\tbool \"x\"\nchoice\n\tprompt \"c\"\nconfig CHOSEN\n\tbool \"x\"\n\
        endchoice\nendmenu\nconfig FREE\n\tbool \"x\"\n\tdepends on !MMU || SMALL\n\
        config SELECTED\n\tbool\n\tdepends on MMU\nconfig BY\n\tbool \"x\"\n\tselect SELECTED\n\
        config GOOD\n\tbool\nconfig FROM\n\tbool \"x\"\n\tdepends on MMU\n\tselect GOOD\n\
        config AFTER\n\tbool \"x\"\n";
    let symbols = ["DIRECT", "ARCHED", "INSIDE", "MENU", "CHOSEN", "FREE", "SELECTED", "AFTER", "GOOD"];
    let make: String = symbols.iter().map(|s| format!("obj-$(CONFIG_{s}) += {}.o\n", s.to_lowercase())).collect();
    let mut files = FIXED.to_vec();
    files.extend([("drivers/Kconfig", kconfig), ("drivers/a/Makefile", &make)]);
    let paths: Vec<String> = symbols.iter().map(|s| format!("drivers/a/{}.c", s.to_lowercase())).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let yes = Build::OnlyWithMmu;
    let want = [
        yes.clone(),
        yes.clone(),
        yes.clone(),
        yes.clone(),
        yes,
        no("FREE"),
        no("SELECTED"),
        no("AFTER"),
        Build::OnlyWithMmu,
    ];
    assert_eq!(ask(&files, &paths), want);
}

#[test]
fn objects_are_found_through_lists_and_folders() {
    let kconfig =
        "config B\n\tbool \"x\"\n\tdepends on MMU\nconfig C\n\tbool \"x\"\nconfig D\n\tbool \"x\"\n\tdepends on B\n";
    let make = "foo-y := one.o\nfoo-objs += \\\n\ttwo.o\nfoo-$(CONFIG_D) += three.o\nobj-$(CONFIG_C) += foo.o\n\
        mmu-$(CONFIG_MMU) := four.o\nobj-y += five.o $(mmu-y)\nifdef CONFIG_MMU\nobj-y += six.o\nelse\n\
        obj-y += seven.o\nendif\nobj-$(CONFIG_C) += deep/eight.o\nobj-$(shell echo y) += nine.o\n";
    let mut files = FIXED.to_vec();
    files.extend([
        ("drivers/Kconfig", kconfig),
        ("drivers/a/Makefile", make),
        ("drivers/b/Makefile", "obj-y := in.o\n"),
    ]);
    let paths = ["one", "two", "three", "four", "five", "six", "seven", "deep/eight", "nine", "ten"];
    let paths: Vec<String> =
        paths.iter().map(|p| format!("drivers/a/{p}.c")).chain(["drivers/b/in.c".into()]).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (yes, lost) = (Build::OnlyWithMmu, Build::NotShown(None));
    let want = [
        no("C"),
        no("C"),
        yes.clone(),
        yes.clone(),
        lost.clone(),
        yes.clone(),
        lost.clone(),
        no("C"),
        lost.clone(),
        lost.clone(),
        yes,
    ];
    assert_eq!(ask(&files, &paths), want);
}

#[test]
fn files_of_an_architecture_ask_only_that_one() {
    let mut files = FIXED.to_vec();
    files.extend([("arch/big/mm/Makefile", "obj-y += x.o\n"), ("arch/small/mm/Makefile", "obj-y += x.o\n")]);
    let got = ask(&files, &["arch/big/mm/x.c", "arch/small/mm/x.c", "arch/none/mm/x.c"]);
    assert_eq!(got, [Build::OnlyWithMmu, Build::NotShown(None), Build::NotShown(None)]);
}

#[test]
fn an_architecture_can_have_a_file_and_a_configuration_lacks_it() {
    let kconfig = "config A\n\ttristate \"x\"\n\tdepends on BIG\nconfig B\n\tbool \"x\"\n\tdepends on SMALL || TESTED\n\
        config C\n\tbool \"x\"\nconfig D\n\tdef_bool y\n\tdepends on BIG && !A\n";
    let make = "obj-$(CONFIG_A) += a.o\nobj-$(CONFIG_B) += b.o\nobj-$(CONFIG_C) += c.o\nobj-$(CONFIG_D) += c.o\n\
        obj-y += d.o\n";
    let mut files = FIXED.to_vec();
    files.extend([("drivers/Kconfig", kconfig), ("drivers/a/Makefile", make), ("arch/big/x.c", "")]);
    let dir = tree(&files);
    let k = Kbuild::new(dir.path());
    let can = |file: &str| ["big", "small", "none"].map(|arch| k.may_build(file, arch));
    assert_eq!(can("drivers/a/a.c"), [true, false, false]);
    assert_eq!(can("drivers/a/b.c"), [false, true, false]);
    assert_eq!(can("drivers/a/c.c"), [true, true, false]);
    // Of no Makefile: not understood. Of an architecture: its own only.
    assert_eq!(can("lib/e.c"), [true, true, false]);
    assert_eq!(can("arch/big/x.c"), [true, false, false]);
    let missing = |file: &str, set: &[&str]| k.missing(file, &set.iter().map(|s| s.to_string()).collect());
    assert_eq!(missing("drivers/a/a.c", &["B"]).as_deref(), Some("A"));
    assert_eq!(missing("drivers/a/a.c", &["A"]).as_deref(), None);
    assert_eq!(missing("drivers/a/c.c", &["A", "B"]).as_deref(), Some("C"));
    assert_eq!(missing("drivers/a/c.c", &["D", "B"]), None);
    assert_eq!(missing("drivers/a/d.c", &[]), None);
    assert_eq!(missing("lib/e.c", &[]), None);
}

#[test]
fn a_driver_stands_alone_if_a_symbol_is_for_it_only() {
    let make = "obj-$(CONFIG_A) += one.o\nobj-$(CONFIG_B) += two.o three.o\nobj-$(CONFIG_C) += four.o\n\
        four-y := five.o six.o\nobj-y += seven.o\n";
    let mut files = FIXED.to_vec();
    files.extend([("drivers/a/Makefile", make), ("drivers/b/Makefile", "obj-$(CONFIG_D) := one.o\n")]);
    let dir = tree(&files);
    let k = Kbuild::new(dir.path());
    let alone = |file: &str| k.stands_alone(&format!("drivers/{file}.c"));
    assert!(alone("a/one"));
    // With another one under its symbol, a part, of many parts, always built, with nobody beside it, not found.
    for file in ["a/two", "a/five", "a/four", "a/seven", "b/one", "c/one"] {
        assert!(!alone(file), "{file}");
    }
}

#[test]
fn a_file_of_an_architecture_may_be_sourced_from_anywhere() {
    let kconfig = "if HERE\nsource \"arch/$(SRCARCH)/Kconfig.debug\"\nendif\nconfig HERE\n\tdef_bool y\n\
        config U\n\tbool \"x\"\n\tdepends on TRACED\n";
    let mut files = FIXED.to_vec();
    files.extend([
        ("drivers/Kconfig", kconfig),
        ("drivers/a/Makefile", "obj-$(CONFIG_U) += u.o\n"),
        ("arch/small/Kconfig.debug", "config TRACED\n\tdef_bool y\n"),
    ]);
    let dir = tree(&files);
    let k = Kbuild::new(dir.path());
    assert_eq!(["big", "small"].map(|arch| k.may_build("drivers/a/u.c", arch)), [false, true]);
    assert_eq!(k.build("drivers/a/u.c"), no("U"));
}

#[test]
fn the_object_of_a_file_counts_where_others_are_made() {
    let dir = tree(&[
        (
            "drivers/a/Makefile",
            "obj-y += deep/ plain.o\nobj-m += flat.o\nflat-objs := one.o under/two.o both.o\nother-y := both.o\n",
        ),
        ("drivers/a/deep/Makefile", "obj-m := inner.o\ninner-objs += x.o\ninner-$(CONFIG_Y) += y.o\n"),
        ("drivers/b/Makefile", "obj-$(CONFIG_B) += b.o\nb-y := one.o lib/two.o\n"),
    ]);
    let k = Kbuild::new(dir.path());
    let part = |path: &str, folder: &str| k.part(path, folder);
    for (path, want) in [("one.c", "flat"), ("under/two.c", "flat"), ("deep/x.c", "inner"), ("deep/y.c", "inner")] {
        assert_eq!(part(&format!("drivers/a/{path}"), "drivers/a").as_deref(), Some(want), "{path}");
    }
    // A part of two objects is named itself; what is no part of another object, or of the only one, is not.
    assert_eq!(part("drivers/a/both.c", "drivers/a").as_deref(), Some("both"));
    for (path, folder) in [
        ("drivers/a/plain.c", "drivers/a"),
        ("drivers/a/deep/x.c", "drivers/a/deep"),
        ("drivers/b/one.c", "drivers/b"),
        ("drivers/b/lib/two.c", "drivers/b"),
        ("drivers/c/none.c", "drivers/c"),
    ] {
        assert_eq!(part(path, folder), None, "{path}");
    }
}
