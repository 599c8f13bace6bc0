//! What the source around a pin says of how long it lasts, and of files. It looks at the text of one function.

/// Whether the pin says that it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LongTerm {
    /// FOLL_LONGTERM stands in the call.
    Passed,
    /// It stands elsewhere in the function.
    Mentioned,
    /// The flags are a variable or a field, which other code gives it.
    FilledIn,
    /// It does not stand there.
    #[default]
    Absent,
}

/// What the source around a pin says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Around {
    /// Of FOLL_LONGTERM.
    pub longterm: LongTerm,
    /// The function looks at the file behind the mapping (`vm_file`): it may refuse pages of files.
    pub asks_for_file: bool,
}

impl Around {
    /// Looks at the call on a line (1-based) and at the function around it: from one line that starts with a brace to
    /// the next.
    pub fn at(text: &str, line: u32) -> Self {
        const FLAG: &str = "FOLL_LONGTERM";
        let lines: Vec<&str> = text.lines().collect();
        let at = (line as usize).saturating_sub(1).min(lines.len());
        let (above, below) = lines.split_at(at);
        let call: String = below.join("\n").chars().take_while(|c| *c != ';').collect();
        let start = above.iter().rposition(|l| l.starts_with('{')).unwrap_or(0);
        let end = below.iter().position(|l| l.starts_with('}')).unwrap_or(below.len());
        let inside = |word: &str| above[start..].iter().chain(&below[..end]).any(|l| l.contains(word));
        let longterm = match call.contains(FLAG) {
            true => LongTerm::Passed,
            false if inside(FLAG) => LongTerm::Mentioned,
            false => LongTerm::Absent,
        };
        Around { longterm, asks_for_file: inside("->vm_file") }
    }
}
