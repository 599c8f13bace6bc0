//! The array functions for builds without an MMU: mm/gup.c, which is built with one only, becomes a file that is always
//! built, and everything else in it stands under CONFIG_MMU.
//!
//! v5.3 came to the same. No function is copied or moved, so comments and kernel-doc stay the only ones. An answer is
//! an edit that was seen to do just this, or nothing.

use super::line_end;
use crate::lex;
use crate::source::{Name, Span};
use crate::split::{Item, ItemKind, split};
use std::collections::BTreeSet;

/// The file with the functions.
pub const GUP: &str = "mm/gup.c";
/// Says when it is built.
pub const MAKEFILE: &str = "mm/Makefile";
const OBJECT: &str = "gup.o";

/// Where to put what into mm/gup.c, so that without an MMU `arrays` and what they call are left of it. `None` where
/// other functions stand among them, or the `#if` lines do not allow it.
pub fn guards(text: &[u8], arrays: &[&str]) -> Option<Vec<(u32, &'static str)>> {
    let items = split(text);
    let kept = kept(text, &items, arrays)?;
    let function = |i: &Item| i.kind == ItemKind::Function;
    let last = items.iter().rposition(|i| function(i) && kept.contains(&i.name))?;
    let (above, below) = items.split_at_checked(last + 1)?;
    if above.iter().any(|i| function(i) && !kept.contains(&i.name)) {
        return None;
    }
    let export = below.iter().take_while(|i| i.span.of(text).starts_with(b"EXPORT_SYMBOL")).last();
    let start = line_end(text, export.or(items.get(last))?.span.end);
    let rest = text.get(start as usize..)?;
    if depth(text.get(..start as usize)?)? != 0 || depth(rest)? != 0 || !text.ends_with(b"\n") {
        return None;
    }
    let open = if rest.starts_with(b"\n") { "\n#ifdef CONFIG_MMU\n" } else { "\n#ifdef CONFIG_MMU\n\n" };
    let behind_another = rest.trim_ascii_end().rsplit(|b| *b == b'\n').next()?.starts_with(b"#endif");
    let close = if behind_another { "#endif /* CONFIG_MMU */\n" } else { "\n#endif /* CONFIG_MMU */\n" };
    Some(vec![(start, open), (text.len() as u32, close)])
}

/// The array functions and the static ones that they call; `None` when one of the first is not here.
fn kept(text: &[u8], items: &[Item], arrays: &[&str]) -> Option<BTreeSet<Name>> {
    let functions = || items.iter().filter(|i| i.kind == ItemKind::Function);
    let mut kept = BTreeSet::new();
    let mut todo: Vec<&Item> = Vec::new();
    for name in arrays {
        todo.push(functions().find(|i| &*i.name == *name)?);
    }
    while let Some(item) = todo.pop() {
        if kept.insert(item.name.clone()) {
            let body = item.span.of(text);
            let words: BTreeSet<&[u8]> = lex::code(body).map(|t| t.word(body)).collect();
            let called = |i: &&Item| i.is_static && words.contains(i.name.as_bytes());
            todo.extend(functions().filter(called));
        }
    }
    Some(kept)
}

/// How many `#if` are open at the end; `None` when one ends that was not begun.
fn depth(text: &[u8]) -> Option<u32> {
    let mut open = 0_u32;
    for line in text.split(|b| *b == b'\n') {
        let Some(directive) = line.trim_ascii_start().strip_prefix(b"#") else { continue };
        let directive = directive.trim_ascii_start();
        if directive.starts_with(b"if") {
            open += 1;
        } else if directive.starts_with(b"endif") {
            open = open.checked_sub(1)?;
        }
    }
    Some(open)
}

/// mm/Makefile with the object in the list of what is always built. `None` where its lists are put together in another
/// way than `mmu-$(CONFIG_MMU) := gup.o …` and `obj-y := … $(mmu-y)`.
pub fn makefile(text: &str) -> Option<String> {
    let (mut list, mut continues, mut conditions) = (String::new(), false, 0_u32);
    let (mut from, mut to): (Vec<(Span, String)>, Option<usize>) = (Vec::new(), None);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        let first = code.split_whitespace().next().unwrap_or_default();
        if !continues {
            match first {
                "ifdef" | "ifndef" | "ifeq" | "ifneq" => conditions += 1,
                "endif" => conditions = conditions.checked_sub(1)?,
                _ => {}
            }
            list =
                code.split_once('=').map(|(l, _)| l.trim_end_matches([':', '+', ' ', '\t']).into()).unwrap_or_default();
        }
        continues = code.trim_end().ends_with('\\');
        if conditions == 0 {
            from.extend(word(code, OBJECT).map(|i| (Span::new(at + i, at + i + OBJECT.len()), list.clone())));
            let stem = list.strip_suffix("-y");
            if stem == Some("obj") && to.is_none() {
                to = word(code, "$(mmu-y)").map(|i| at + i);
            }
        } else if word(code, OBJECT).is_some() {
            return None;
        }
        at += line.len();
    }
    let ([(object, list)], to) = (from.as_slice(), to?) else { return None };
    if list != "mmu-$(CONFIG_MMU)" || to < object.end as usize {
        return None;
    }
    let (before, mut after) = (text.get(..object.start as usize)?, text.get(object.end as usize..to)?);
    let before = match after.strip_prefix(' ') {
        Some(rest) => {
            after = rest;
            before
        }
        None => before.trim_end_matches(' '),
    };
    Some(format!("{before}{after}{OBJECT} {}", text.get(to..)?))
}

/// Whether the object stays where it was among all that is linked with an MMU: it was the first of what `$(mmu-y)` is
/// then, and now stands right before that.
pub fn keeps_order(makefile: &[u8]) -> bool {
    String::from_utf8_lossy(makefile).lines().any(|line| {
        let list = line.strip_prefix("mmu-$(CONFIG_MMU)").and_then(|l| l.trim_start().strip_prefix(":="));
        list.and_then(|l| l.split_whitespace().next()) == Some(OBJECT)
    })
}

/// Where a word of a list stands.
fn word(line: &str, word: &str) -> Option<usize> {
    let blank = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || c == '=');
    line.match_indices(word).map(|(i, _)| i).find(|&i| {
        blank(line.get(..i).and_then(|s| s.chars().next_back()))
            && blank(line.get(i + word.len()..).and_then(|s| s.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAYS: &[&str] = &["put_all", "put_all_dirty"];
    const HELPER: &str = "static void each(struct page **p)\n{\n\tput_page(*p);\n}\n\n";
    const FIRST: &str = "void put_all_dirty(struct page **p)\n{\n\teach(p);\n}\nEXPORT_SYMBOL(put_all_dirty);\n\n";
    const SECOND: &str = "void put_all(struct page **p)\n{\n\tput_page(*p);\n}\nEXPORT_SYMBOL(put_all);\n";
    const OTHER: &str = "\nstatic int other(void)\n{\n\treturn 0;\n}\n";

    fn guarded(parts: &[&str]) -> Option<String> {
        let text = parts.concat();
        let mut out = text.clone();
        for (at, with) in guards(text.as_bytes(), ARRAYS)?.into_iter().rev() {
            out.insert_str(at as usize, with);
        }
        Some(out)
    }

    #[test]
    fn all_but_the_functions_and_what_they_call_is_guarded() {
        let head = "#include <linux/mm.h>\n\ntypedef int (*f)(void);\n\n";
        let open = "\n#ifdef CONFIG_MMU\n";
        let want = [head, HELPER, FIRST, SECOND, open, OTHER, "\n#endif /* CONFIG_MMU */\n"].concat();
        assert_eq!(guarded(&[head, HELPER, FIRST, SECOND, OTHER]), Some(want));
        let under = "\n#ifdef CONFIG_ELM\nint elm;\n#endif /* CONFIG_ELM */\n";
        let ends = guarded(&[FIRST, SECOND, under]).expect("guards");
        assert!(ends.ends_with("#endif /* CONFIG_ELM */\n#endif /* CONFIG_MMU */\n"), "{ends}");
        // One is not there, another function stands before them, a condition is open across the place.
        assert_eq!(guarded(&[FIRST, OTHER]), None);
        assert_eq!(guarded(&[OTHER, FIRST, SECOND]), None);
        assert_eq!(guarded(&["#ifdef X\n", FIRST, SECOND, OTHER, "#endif\n"]), None);
        assert_eq!(guarded(&[FIRST, SECOND, OTHER, "#endif\n"]), None);
    }

    #[test]
    fn the_object_moves_to_what_is_always_built() {
        let text = "mmu-y\t:= nommu.o\nmmu-$(CONFIG_MMU)\t:= gup.o memory.o \\\n\t mlock.o\n\nifdef CONFIG_X\nx-y += x.o\nendif\n\
                    obj-y := a.o \\\n\t b.o $(mmu-y)\n";
        let want = text.replace("gup.o ", "").replace("$(mmu-y)", "gup.o $(mmu-y)");
        assert_eq!(makefile(text), Some(want));
        assert!(keeps_order(text.as_bytes()));
        assert!(!keeps_order(text.replace("gup.o memory.o", "memory.o gup.o").as_bytes()));
        assert_eq!(
            makefile("mmu-$(CONFIG_MMU) := gup.o\nobj-y := $(mmu-y)\n").as_deref(),
            Some("mmu-$(CONFIG_MMU) :=\nobj-y := gup.o $(mmu-y)\n")
        );
        for other in [
            "obj-$(CONFIG_MMU) := gup.o\nobj-y := $(mmu-y)\n",
            "ifdef CONFIG_Y\nmmu-$(CONFIG_MMU) := gup.o\nendif\nobj-y := $(mmu-y)\n",
            "mmu-$(CONFIG_MMU) := gup.o\nobj-$(CONFIG_Y) := $(mmu-y)\n",
            "mmu-$(CONFIG_MMU) := gup.o\nmmu-$(CONFIG_MMU) += gup.o\nobj-y := $(mmu-y)\n",
            "",
        ] {
            assert_eq!(makefile(other), None, "{other}");
        }
    }
}
