//! What the tests of the program share.

use std::fs;
use std::path::Path;

/// A copy of a miniature tree in a folder, so that no test writes into the sources.
pub fn tree(name: &str, to: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees").join(name), to);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("file");
        }
    }
}

/// The build files of a tree with one architecture that has an MMU, one that may have none, and drivers of each kind.
#[allow(dead_code)]
pub fn without_mmu(root: &Path) {
    for (path, text) in [
        ("Kconfig", "source \"arch/$(SRCARCH)/Kconfig\"\nsource \"drivers/Kconfig\"\n"),
        ("arch/wet/Kconfig", "config WET\n\tdef_bool y\n\nconfig MMU\n\tdef_bool y\n"),
        ("arch/dry/Kconfig", "config MMU\n\tbool \"Paged memory\"\n\tdefault y\n"),
        (
            "drivers/Kconfig",
            "config KESTREL\n\ttristate \"Kestrel\"\n\nmenu \"Displays\"\n\tdepends on WET || MMU\n\n\
             config FERNFB\n\ttristate \"Fern\"\n\nendmenu\n",
        ),
        ("drivers/Makefile", "obj-y += misc/ video/ net/\n"),
        ("drivers/misc/Makefile", "obj-$(CONFIG_KESTREL) += kestrels.o\nkestrels-y := kestrel.o\n"),
        ("drivers/video/Makefile", "obj-$(CONFIG_FERNFB) += fernfb.o\n"),
        ("mm/Makefile", "mmu-y := nommu.o\nmmu-$(CONFIG_MMU) := gup.o\nobj-y := $(mmu-y)\n"),
        (
            "mm/nommu.c",
            "#include <linux/mm.h>\n\nlong get_user_pages(unsigned long start)\n{\n\treturn 0;\n}\n\
             EXPORT_SYMBOL(get_user_pages);\n\nint last;\n",
        ),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, text).expect("file");
    }
}
