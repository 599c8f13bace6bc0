//! From edits in bytes to edits in whole lines, as records show them.

use super::EditRecord;
use crate::source::{LineMap, Span};

/// The records of the edits of one file, ascending; edits that touch a common line share a record.
///
/// `edits` are spans of `text` with their replacement, ascending and disjoint. An edit that lies outside of `text` is
/// left out.
pub fn records(path: &str, text: &[u8], edits: &[(Span, &[u8])]) -> Vec<EditRecord> {
    let lines = LineMap::new(text);
    let mut regions: Vec<Region> = Vec::new();
    for (i, (span, with)) in edits.iter().enumerate() {
        let (start, end) = (span.start as usize, span.end as usize);
        if start <= end && end <= text.len() {
            regions.push(Region { edits: (i, i + 1), ..whole_lines(text, start, end, with) });
        }
    }
    // An empty `with` says that the lines go. To leave an empty line, a neighbour comes along. So does the next line
    // where the text that two edits leave together does not end its own.
    loop {
        regions = merged(regions);
        let unfit = |r: &mut Region| {
            let new = new_text(text, edits, r);
            let open = new.last().is_some_and(|&b| b != b'\n');
            (new == b"\n" && r.grow(text)) || (open && r.grow_down(text))
        };
        if !regions.iter_mut().any(unfit) {
            break;
        }
    }
    regions
        .iter()
        .map(|r| {
            let mut new = new_text(text, edits, r);
            if new.last() == Some(&b'\n') {
                new.pop();
            }
            let last = r.end.saturating_sub(1).max(r.start);
            EditRecord {
                path: path.to_string(),
                replaces: [lines.line(r.start as u32), lines.line(last as u32)],
                with: String::from_utf8_lossy(&new).into_owned(),
            }
        })
        .collect()
}

/// Joins regions that share a line.
fn merged(regions: Vec<Region>) -> Vec<Region> {
    let mut out: Vec<Region> = Vec::new();
    for mut region in regions {
        while let Some(last) = out.pop_if(|last| region.start < last.end) {
            region = Region {
                start: region.start.min(last.start),
                end: region.end.max(last.end),
                edits: (last.edits.0, region.edits.1),
            };
        }
        out.push(region);
    }
    out
}

/// Bytes of whole lines, and the range of edits in them.
#[derive(Clone, Copy)]
struct Region {
    start: usize,
    end: usize,
    edits: (usize, usize),
}

impl Region {
    /// Takes in the line before, or the line behind when it starts the file. Whether there was one.
    fn grow(&mut self, text: &[u8]) -> bool {
        if self.start > 0 {
            self.start = memchr::memrchr(b'\n', &text[..self.start - 1]).map_or(0, |i| i + 1);
            return true;
        }
        self.grow_down(text)
    }

    /// Takes in the line behind. Whether there was one.
    fn grow_down(&mut self, text: &[u8]) -> bool {
        let old = self.end;
        self.end = memchr::memchr(b'\n', &text[old..]).map_or(text.len(), |i| old + i + 1);
        self.end > old
    }
}

/// The lines that an edit of `start..end` changes: at least one.
fn whole_lines(text: &[u8], start: usize, end: usize, with: &[u8]) -> Region {
    let line_start = |at: usize| memchr::memrchr(b'\n', &text[..at]).map_or(0, |i| i + 1);
    let line_end = |at: usize| memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |i| at + i + 1);
    let first = line_start(start);
    // The edit ends between two lines, and what comes in its place ends a line as well: the next line stays as it is.
    let between = end == line_start(end) && end > start;
    let closed = with.last().map_or(start == first, |&b| b == b'\n');
    let mut region = Region { start: first, end: if between && closed { end } else { line_end(end) }, edits: (0, 0) };
    if region.start == region.end {
        // Behind the last line.
        region.start = line_start(start.saturating_sub(1));
    }
    region
}

/// The text of the region after its edits.
fn new_text(text: &[u8], edits: &[(Span, &[u8])], region: &Region) -> Vec<u8> {
    let mut new = Vec::new();
    let mut done = region.start;
    for (span, with) in &edits[region.edits.0..region.edits.1] {
        new.extend_from_slice(text.get(done..span.start as usize).unwrap_or_default());
        new.extend_from_slice(with);
        done = span.end as usize;
    }
    new.extend_from_slice(text.get(done..region.end).unwrap_or_default());
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, edits: &[(usize, usize, &str)]) -> Vec<([u32; 2], String)> {
        let edits: Vec<_> = edits.iter().map(|(s, e, w)| (Span::new(*s, *e), w.as_bytes())).collect();
        records("x.c", text.as_bytes(), &edits).into_iter().map(|r| (r.replaces, r.with)).collect()
    }

    #[test]
    fn edits_grow_to_lines() {
        let text = "one\ntwo\nthree\nfour\n";
        // Inside a line, over two lines, a whole line, an insertion in front of a line.
        assert_eq!(of(text, &[(5, 6, "W")]), [([2, 2], "tWo".into())]);
        assert_eq!(of(text, &[(5, 9, "W")]), [([2, 3], "tWhree".into())]);
        assert_eq!(of(text, &[(4, 8, "")]), [([2, 2], String::new())]);
        assert_eq!(of(text, &[(4, 8, "zwei\n")]), [([2, 2], "zwei".into())]);
        assert_eq!(of(text, &[(4, 4, "new\n")]), [([2, 2], "new\ntwo".into())]);
        // The newline goes: the next line comes along.
        assert_eq!(of(text, &[(5, 8, "x")]), [([2, 3], "txthree".into())]);
        // An insertion in front of lines that go: what is left of the two ends in the next line.
        assert_eq!(of(text, &[(0, 0, "x"), (0, 4, "")]), [([1, 2], "xtwo".into())]);
        // Behind the end.
        assert_eq!(of(text, &[(19, 19, "five\n")]), [([4, 4], "four\nfive".into())]);
        // An empty line stays visible.
        assert_eq!(of(text, &[(4, 7, "")]), [([1, 2], "one\n".into())]);
    }

    #[test]
    fn edits_of_one_line_share_a_record() {
        let text = "f(a, b);\ng();\n";
        assert_eq!(
            of(text, &[(2, 3, "x"), (5, 6, "y"), (9, 10, "h")]),
            [([1, 1], "f(x, y);".into()), ([2, 2], "h();".into())]
        );
    }

    fn replace_lines(text: &str, records: &[EditRecord]) -> String {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut out = String::new();
        let mut done = 0;
        for r in records {
            out.extend(lines[done..r.replaces[0] as usize - 1].iter().copied());
            out.push_str(&r.with);
            done = r.replaces[1] as usize;
            if !r.with.is_empty() && lines[done - 1].ends_with('\n') {
                out.push('\n');
            }
        }
        out.extend(lines[done..].iter().copied());
        out
    }

    proptest! {
        /// Replacing the lines of the records is the same as applying the edits, but for the newline at the end of
        /// the file, which a record cannot tell.
        #[test]
        fn records_and_edits_agree(
            text in "([a-c]{0,3}\n){1,8}",
            cuts in proptest::collection::vec((0usize..40, 0usize..6, "[x\n]{0,3}"), 0..5),
        ) {
            let mut edits: Vec<(Span, &[u8])> = Vec::new();
            let mut at = 0;
            for (gap, len, with) in &cuts {
                let start = at + gap % 9 + usize::from(at > 0);
                let end = start + len;
                if end > text.len() { break; }
                edits.push((Span::new(start, end), with.as_bytes()));
                at = end;
            }
            let mut direct = Vec::new();
            let mut done = 0;
            for (span, with) in &edits {
                direct.extend_from_slice(&text.as_bytes()[done..span.start as usize]);
                direct.extend_from_slice(with);
                done = span.end as usize;
            }
            direct.extend_from_slice(&text.as_bytes()[done..]);
            let direct = String::from_utf8(direct).expect("UTF-8");
            let by_lines = replace_lines(&text, &records("x.c", text.as_bytes(), &edits));
            prop_assert_eq!(by_lines.trim_end_matches('\n'), direct.trim_end_matches('\n'));
        }
    }
}
