//! What the tree's `pin_user_pages.rst` has: its cases grew with the kernel (v5.7 has four, v6.1 five, v5.2 no such
//! file), and who names a case should say whether a reader finds it in the tree.

/// Where it has been, or could have been.
const PATHS: &[&str] = &["Documentation/core-api/pin_user_pages.rst", "Documentation/vm/pin_user_pages.rst"];

/// The document of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// The highest `CASE n:` in it, 0 if there is none or no document.
    pub cases: u8,
}

impl Document {
    /// Looks into the tree; a file that is not there is `None`.
    pub fn of(read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Self {
        Self { cases: PATHS.iter().find_map(|path| read(path)).map_or(0, |text| cases(&text)) }
    }

    /// The name of the document that has the case: that of the tree, or a newer one.
    pub fn with(self, case: u8) -> &'static str {
        match case <= self.cases {
            true => "pin_user_pages.rst",
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
        let document = of(PATHS[0]);
        assert_eq!((document.cases, of(PATHS[1]).cases, of("README").cases), (4, 4, 0));
        assert_eq!(document.with(4), "pin_user_pages.rst");
        assert_eq!(document.with(5), "pin_user_pages.rst of newer kernels");
    }
}
