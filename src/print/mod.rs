//! Renderers, one a file. Each reads a [`crate::report::Run`] and writes bytes; none knows how a run came about.

pub mod compile;
pub mod concern;
pub mod concise;
pub mod coverage;
pub mod diff;
pub mod github;
pub mod gitlab;
pub mod human;
pub mod jsonl;
pub mod sarif;
pub mod trace;

/// How text for people looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Terminal colours.
    pub colour: bool,
    /// Columns a line may fill.
    pub width: usize,
    /// How much to say.
    pub detail: Detail,
}

/// How much to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Detail {
    /// One line a site.
    Quiet,
    /// The usual.
    Normal,
    /// Also the new text, and what was skipped.
    Verbose,
}

impl Default for Style {
    fn default() -> Self {
        Self { colour: false, width: 100, detail: Detail::Normal }
    }
}

/// The colours of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// A heading.
    Bold,
    /// Secondary text.
    Dim,
    /// `convert`.
    Green,
    /// `assist`.
    Yellow,
    /// A line that goes, or a difference.
    Red,
    /// A hunk header, or a line number.
    Cyan,
}

impl Style {
    /// `text`, coloured when colours are on.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_string();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Red => "31",
            Paint::Cyan => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
    /// The colour of a verdict.
    pub fn verdict(&self, verdict: &str, text: &str) -> String {
        match verdict {
            "convert" => self.paint(Paint::Green, text),
            "assist" => self.paint(Paint::Yellow, text),
            _ => self.paint(Paint::Dim, text),
        }
    }
}

/// One line of text: line breaks and other control characters become blanks, runs of blanks become one.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out.trim().to_string()
}

/// Breaks `text` at blanks into lines of at most `width` columns; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_one_line_has_no_breaks() {
        assert_eq!(one_line("a\n\tb  c\x1b[0m "), "a b c [0m");
    }

    #[test]
    fn wrapping_keeps_every_word() {
        assert_eq!(wrap("aa bb cc dd", 5), ["aa bb", "cc dd"]);
        assert_eq!(wrap("averylongword b", 5), ["averylongword", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
