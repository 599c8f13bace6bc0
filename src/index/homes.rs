//! Which file defines a struct, wherever in it: at the top, as a part of another struct, or by a typedef.
//!
//! `struct_item` knows what stands at the top of a file. A struct that is defined within another one, or that has its
//! name from a typedef, is no item of its own, but who sees that file sees its fields.

use super::{Index, lock, outer_tag};
use crate::source::FileId;
use crate::split::ItemKind;
use memchr::memmem;

impl Index {
    /// The file with the definition of the struct that `from` sees.
    pub fn struct_file(&self, from: FileId, tag: &str) -> Option<FileId> {
        let tag = outer_tag(tag);
        if let Some((home, _)) = self.struct_item(from, tag) {
            return Some(home);
        }
        if let Some(known) = lock(&self.inner).get(&from).and_then(|tags| tags.get(tag)) {
            return *known;
        }
        let units = || std::iter::once(from).chain(self.hosts(from).iter().copied());
        let found = self.by_typedef(from, tag).or_else(|| units().find_map(|unit| self.inner_struct(unit, tag)));
        lock(&self.inner).entry(from).or_default().insert(tag.into(), found);
        found
    }

    /// `typedef struct { … } tag;`
    fn by_typedef(&self, from: FileId, tag: &str) -> Option<FileId> {
        let (file, i) = self.visible_item(from, tag, &[ItemKind::Typedef])?;
        let items = self.items(file)?;
        items.items.get(i as usize)?.span.of(&items.text).contains(&b'{').then_some(file)
    }

    /// Of the file and the headers that it sees, the first one with the definition.
    fn inner_struct(&self, from: FileId, tag: &str) -> Option<FileId> {
        let defines = |f: FileId| self.items(f).is_some_and(|items| defines_struct(&items.text, tag));
        if defines(from) {
            return Some(from);
        }
        let closure = self.closure(from);
        let headers: Vec<FileId> = closure.headers().collect();
        let naming = self.tree.grep(&[tag], Some(&headers));
        let homes = naming.into_iter().map(|h| h.0).filter(|f| defines(*f));
        homes.min_by_key(|f| closure.rank(*f))
    }
}

/// Whether `struct TAG` stands before a brace, in another struct as well.
pub(super) fn defines_struct(text: &[u8], tag: &str) -> bool {
    let word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    memmem::find_iter(text, tag).any(|at| {
        let (before, after) = (&text[..at], &text[at + tag.len()..]);
        let keyword = [&b"struct"[..], b"union"].iter().any(|k| {
            let front = before.trim_ascii_end().strip_suffix(*k);
            front.is_some_and(|f| !word(f.last()))
        });
        let ends = || after.iter().find(|b| matches!(b, b'{' | b';' | b'*' | b',' | b')' | b'=' | b'('));
        keyword && !word(before.last()) && !word(after.first()) && ends() == Some(&b'{')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Options, SourceTree};
    use crate::kernel::prototypes::Prototypes;
    use std::path::Path;

    /// An index over files with these texts.
    fn index(root: &Path, files: &[(&str, &str)]) -> Index {
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = SourceTree::open(root, &Options::default()).unwrap();
        tree.survey(&["none"], &[]);
        Index::new(tree, Prototypes::default())
    }

    fn home(index: &Index, from: &str, tag: &str) -> Option<String> {
        let from = index.tree.lookup(from).unwrap();
        index.struct_file(from, tag).map(|f| index.tree.path(f).to_owned())
    }

    #[test]
    fn structs_within_structs_have_a_home() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(
            dir.path(),
            &[
                (
                    "drivers/a/a.c",
                    "#include \"a.h\"\nstruct own { struct part { int n; } p; };\nint f(void) { return 0; }\n",
                ),
                (
                    "drivers/a/a.h",
                    "struct outer {\n\tstruct inner {\n\t\tint n;\n\t} i;\n};\ntypedef struct { int m; } named;\n",
                ),
                ("drivers/b/b.c", "int g(struct inner *i) { return 0; }\n"),
            ],
        );
        let home = |from, tag| home(&index, from, tag);
        assert_eq!(home("drivers/a/a.c", "inner").as_deref(), Some("drivers/a/a.h"));
        assert_eq!(home("drivers/a/a.c", "named").as_deref(), Some("drivers/a/a.h"));
        assert_eq!(home("drivers/a/a.c", "part").as_deref(), Some("drivers/a/a.c"));
        assert_eq!(home("drivers/a/a.c", "i"), None);
        assert_eq!(home("drivers/b/b.c", "inner"), None);
    }

    #[test]
    fn a_file_of_an_architecture_sees_its_headers() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(
            dir.path(),
            &[
                ("arch/powerpc/include/asm/host.h", "struct host { int ppc; };\n"),
                ("arch/powerpc/include/asm/only.h", "struct only { int ppc; };\n"),
                ("arch/powerpc/kvm/a.c", "#include <linux/host.h>\nint f(void) { return 0; }\n"),
                ("arch/riscv/kvm/a.c", "#include <linux/host.h>\nint f(void) { return 0; }\n"),
                ("arch/s390/include/asm/two.h", "struct two { int s390; };\n"),
                ("arch/sparc/include/asm/two.h", "struct two { int sparc; };\n"),
                ("arch/x86/include/asm/host.h", "struct host { int x86; };\n"),
                (
                    "drivers/a.c",
                    "#include <linux/host.h>\n#include <asm/only.h>\n#include <asm/two.h>\nint f(void) { return 0; }\n",
                ),
                ("include/asm-generic/host.h", "struct host { int generic; };\n"),
                ("include/linux/host.h", "#include <asm/host.h>\n"),
            ],
        );
        let home = |from, tag| home(&index, from, tag);
        assert_eq!(home("arch/powerpc/kvm/a.c", "host").as_deref(), Some("arch/powerpc/include/asm/host.h"));
        assert_eq!(home("arch/riscv/kvm/a.c", "host").as_deref(), Some("include/asm-generic/host.h"));
        assert_eq!(home("drivers/a.c", "host").as_deref(), Some("arch/x86/include/asm/host.h"));
        assert_eq!(home("drivers/a.c", "only").as_deref(), Some("arch/powerpc/include/asm/only.h"));
        assert_eq!(home("drivers/a.c", "two"), None);
    }
}
