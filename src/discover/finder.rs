//! Searches one buffer for several words at once.
//!
//! Compares bytes; it knows no C beyond what a word is.

use aho_corasick::{AhoCorasick, Match, MatchKind, packed};
use memchr::memmem;

/// Searches one buffer for several words.
pub(super) struct Finder<'n> {
    pub(super) needles: &'n [&'n str],
    word: bool,
    /// A pass for each needle.
    each: Vec<memmem::Finder<'n>>,
    all: Option<All>,
}

/// Searches for all needles at once.
enum All {
    /// Vectorised.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

/// More needles than this go into an automaton; fewer are searched vectorised. Measured on 97 MB of `drivers/net` of
/// v5.2.1, one busy core, words: 1 needle 5200 MB/s by itself; 2 to 20 needles 1000 to 2500 MB/s packed, 200 to 550
/// MB/s in the automaton that the library chooses for up to 10.
const PACKED: usize = 64;

/// Up to so many needles are searched one after the other, which is as fast.
const EACH: usize = 3;

impl<'n> Finder<'n> {
    pub(super) fn new(needles: &'n [&'n str], word: bool) -> Self {
        let each = needles.iter().map(|n| memmem::Finder::new(n.as_bytes())).collect();
        // Parts of words may overlap, and are searched one after the other.
        if needles.len() <= EACH || !word || needles.iter().any(|n| n.is_empty()) {
            return Self { needles, word, each, all: None };
        }
        // A whole word starts where a word starts, so the longest match there is the only candidate.
        let packed = || {
            let config = packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).clone();
            config.builder().extend(needles.iter().map(|n| n.as_bytes())).build()
        };
        let automaton = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(needles).ok();
        let packed = (needles.len() <= PACKED).then(packed).flatten().map(All::Packed);
        Self { needles, word, each, all: packed.or_else(|| automaton().map(All::Automaton)) }
    }

    /// Indices of the needles that occur, ascending; `among` has those that may, ascending.
    pub(super) fn find(&self, text: &[u8], among: &[usize]) -> Vec<usize> {
        match &self.all {
            Some(All::Packed(p)) if among.len() > EACH => self.collect(text, p.find_iter(text)),
            Some(All::Automaton(a)) if among.len() > EACH => self.collect(text, a.find_iter(text)),
            _ => {
                let mut out = Vec::new();
                for &i in among {
                    let len = self.needles[i].len();
                    if len > 0 && self.each[i].find_iter(text).any(|at| self.counts(text, at, at + len)) {
                        out.push(i);
                    }
                }
                out
            }
        }
    }

    /// Indices of the needles that the matches count for.
    fn collect(&self, text: &[u8], matches: impl Iterator<Item = Match>) -> Vec<usize> {
        let mut matches = matches.peekable();
        if matches.peek().is_none() {
            return Vec::new();
        }
        let mut seen = vec![false; self.needles.len()];
        let mut left = seen.len();
        for m in matches {
            let i = m.pattern().as_usize();
            if !seen[i] && self.counts(text, m.start(), m.end()) {
                seen[i] = true;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        if left == seen.len() {
            return Vec::new();
        }
        // A needle that is given twice is found once; both indices are hits.
        let hit = |i: usize| self.needles.iter().zip(&seen).any(|(n, s)| *s && *n == self.needles[i]);
        (0..seen.len()).filter(|&i| hit(i)).collect()
    }

    /// Whether a match counts: always, or only as a whole word.
    fn counts(&self, text: &[u8], start: usize, end: usize) -> bool {
        let word = |b: Option<&u8>| b.is_some_and(|&b| crate::lex::is_word_byte(b));
        !self.word || !(start > 0 && word(text.get(start - 1)) || word(text.get(end)))
    }
}

/// Tells whether any of some texts occurs, in words or as words.
pub(super) struct Any {
    packed: Option<packed::Searcher>,
    each: Vec<memmem::Finder<'static>>,
}

impl Any {
    pub(super) fn new(needles: &[&str]) -> Self {
        let needles = || needles.iter().filter(|n| !n.is_empty());
        let packed = packed::Config::new().builder().extend(needles().map(|n| n.as_bytes())).build();
        let each = needles().map(|n| memmem::Finder::new(n.as_bytes()).into_owned()).collect();
        Self { packed, each }
    }
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        match &self.packed {
            // Shorter texts than it can search it leaves to others.
            Some(p) if text.len() >= p.minimum_len() => p.find(text).is_some(),
            _ => self.each.iter().any(|f| f.find(text).is_some()),
        }
    }
}
