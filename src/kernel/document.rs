//! What the tree's `pin_user_pages.rst` has: its cases grew with the kernel (v5.7 has four, v6.1 five, v5.2 no such
//! file), and who names a case should say whether a reader finds it in the tree.

/// Where it is.
const PATH: &str = "Documentation/core-api/pin_user_pages.rst";

/// The header of the functions that it is about.
const MM_H: &str = "include/linux/mm.h";

/// The document of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// The highest `CASE n:` in it, 0 if there is none or no document.
    pub cases: u8,
    /// The tree is new enough to have one, and has none: somebody took the documentation out.
    pub taken_out: bool,
}

impl Document {
    /// Looks into the tree; a file that is not there is `None`.
    pub fn of(read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Self {
        let cases = read(PATH).map_or(0, |text| cases(&text));
        let pins = |text: Vec<u8>| memchr::memmem::find(&text, b"pin_user_pages(").is_some();
        Self { cases, taken_out: cases == 0 && read(MM_H).is_some_and(pins) }
    }

    /// The name of the document that has the case: that of the tree, or a newer one.
    pub fn with(self, case: u8) -> &'static str {
        match case <= self.cases {
            true => "pin_user_pages.rst",
            false if self.taken_out => "pin_user_pages.rst, which is not in this tree",
            false => "pin_user_pages.rst of newer kernels",
        }
    }
}

/// The highest number of a heading `CASE n:`.
fn cases(text: &[u8]) -> u8 {
    let heading = |line: &[u8]| {
        let rest = line.strip_prefix(b"CASE ")?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        rest.get(digits).filter(|b| **b == b':')?;
        std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
    };
    text.split(|b| *b == b'\n').filter_map(heading).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_after_a_document_that_has_it() {
        let text = "Which\n=====\nCASE 1: a\n---------\nas in CASE 7 below\nCASE 4: b\nCASE 9\n";
        let of = |at: &str| Document::of(&mut |path| (path == at).then(|| text.into()));
        let document = of(PATH);
        assert_eq!((document.cases, of("README").cases), (4, 0));
        assert_eq!(document.with(4), "pin_user_pages.rst");
        assert_eq!(document.with(5), "pin_user_pages.rst of newer kernels");
    }

    #[test]
    fn a_tree_without_its_documentation_is_not_called_old() {
        let declares = |text: &str| Document::of(&mut |path| (path == MM_H).then(|| text.into()));
        assert_eq!(declares("long pin_user_pages(void);").with(2), "pin_user_pages.rst, which is not in this tree");
        assert_eq!(declares("long get_user_pages(void);").with(2), "pin_user_pages.rst of newer kernels");
    }
}
