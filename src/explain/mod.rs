//! `gupconv explain CODE`: a page for every code that a report can print.
//!
//! A code may have two pages (`damaged` is a gap and a reason); both are shown. A test keeps codes and pages in step.
//! The page of a rule is the comment at the head of its source, so that it cannot grow old.

mod findings;
mod gaps;
mod reasons;
mod refinements;
mod words;

use crate::rules::{self, RULES};
use std::borrow::Cow;

/// What a code names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A rewrite.
    Rule,
    /// What is decided about a site.
    Verdict,
    /// Why it is decided.
    Reason,
    /// Why a trace is lost.
    Gap,
    /// A permitted difference between before and after.
    Refinement,
    /// An API generation.
    Dialect,
    /// What is wrong in the code as it is.
    Finding,
    /// A word that stands beside a release.
    Word,
}

impl Kind {
    /// All kinds, in the order of the list.
    pub const ALL: &'static [Kind] = &[
        Kind::Rule,
        Kind::Verdict,
        Kind::Reason,
        Kind::Gap,
        Kind::Refinement,
        Kind::Dialect,
        Kind::Finding,
        Kind::Word,
    ];
    /// The word for a heading.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Rule => "rule",
            Kind::Verdict => "verdict",
            Kind::Reason => "reason",
            Kind::Gap => "gap",
            Kind::Refinement => "refinement",
            Kind::Dialect => "dialect",
            Kind::Finding => "finding",
            Kind::Word => "word",
        }
    }
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The code.
    pub code: &'static str,
    /// What it names.
    pub kind: Kind,
    /// One line.
    pub title: Cow<'static, str>,
    /// The page, plain text of short paragraphs.
    pub text: Cow<'static, str>,
}

/// All pages: by kind, then in the order of their tables.
pub fn all() -> impl Iterator<Item = Page> {
    let first = [words::VERDICTS, reasons::PAGES, gaps::PAGES, refinements::PAGES];
    let tables = first.into_iter().chain([words::DIALECTS, findings::PAGES, words::WORDS]);
    RULES.iter().map(rule).chain(tables.flatten().cloned())
}

/// The page of a rule: its first paragraph is the title.
fn rule(rule: &rules::Rule) -> Page {
    let page = rule.page();
    let (title, text) = page.split_once("\n\n").unwrap_or((page.as_str(), ""));
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    Page {
        code: rule.id.0,
        kind: Kind::Rule,
        title: Cow::Owned(title.trim_end_matches('.').to_string()),
        text: Cow::Owned(format!("{}\n", text.trim())),
    }
}

/// The pages of a code; upper and lower case are the same.
pub fn pages(code: &str) -> impl Iterator<Item = Page> {
    all().filter(move |p| p.code.eq_ignore_ascii_case(code))
}

/// The text of the first page of a code.
pub fn page(code: &str) -> Option<String> {
    pages(code).next().map(|p| p.text.into_owned())
}

/// Codes that a mistyped `code` may have meant, best first, at most three.
pub fn nearest(code: &str) -> Vec<&'static str> {
    let code = code.to_ascii_lowercase();
    let mut near: Vec<_> = all()
        .map(|p| (distance(&code, &p.code.to_ascii_lowercase()), p.code))
        .filter(|(d, c)| *d <= (code.len() / 3).min(2) || (code.len() >= 3 && c.contains(code.as_str())))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, c)| c).take(3).collect()
}

/// Edits of single characters between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let here = (corner + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = here;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DialectKind;
    use crate::trace::{GapCode, Reason};
    use std::collections::BTreeSet;

    fn codes(kind: Kind) -> BTreeSet<&'static str> {
        all().filter(|p| p.kind == kind).map(|p| p.code).collect()
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        assert_eq!(codes(Kind::Gap), GapCode::ALL.iter().map(|c| c.code()).collect());
        assert_eq!(codes(Kind::Reason), Reason::ALL.iter().map(|c| c.code()).collect());
        assert_eq!(codes(Kind::Dialect), DialectKind::ALL.iter().map(|c| c.code()).collect());
        assert_eq!(codes(Kind::Finding), crate::findings::CODES.iter().copied().collect());
        assert_eq!(codes(Kind::Word), BTreeSet::from(["held", "own"]));
        assert_eq!(codes(Kind::Verdict), BTreeSet::from(["assist", "convert", "leave"]));
        assert_eq!(codes(Kind::Refinement), BTreeSet::from(["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9"]));
    }

    #[test]
    fn pages_are_whole_and_fit_a_terminal() {
        let mut seen = BTreeSet::new();
        for p in all().filter(|p| p.kind != Kind::Rule) {
            assert!(seen.insert((p.kind, p.code)), "{} twice", p.code);
            assert!(p.text.len() >= 80 && p.text.ends_with('\n'), "{}", p.code);
            assert!(p.title.len() <= 75 && p.text.lines().all(|l| l.len() <= 80), "{}", p.code);
        }
    }

    #[test]
    fn rules_explain_themselves() {
        assert_eq!(codes(Kind::Rule), RULES.iter().map(|r| r.id.0).collect());
        for p in all().filter(|p| p.kind == Kind::Rule) {
            assert!(!p.title.is_empty() && p.text.len() > 80, "{}", p.code);
            assert!(page(p.code).is_some_and(|text| text == p.text));
        }
    }

    #[test]
    fn a_mistyped_code_is_recognised() {
        assert_eq!(pages("r1").count(), 1);
        assert_eq!(pages("damaged").count(), 2);
        assert_eq!(nearest("no-relase"), ["no-release"]);
        assert!(nearest("zebra").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
