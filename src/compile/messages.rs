//! What compilers and checkers say: `path:line:column: warning: text`, and the like.

use std::collections::BTreeMap;
use std::path::Path;

/// Warnings and errors of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages(Vec<Message>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    /// The file, from the root of the tree.
    path: String,
    /// Kind and text, without places.
    text: String,
    error: bool,
    /// The line as printed, from the root of the tree.
    line: String,
}

/// What stands between the place and the text.
const KINDS: [(&str, bool); 4] =
    [(": warning: ", false), (": error: ", true), (": fatal error: ", true), (": Error: ", true)];

impl Messages {
    /// Reads what a build said in the tree at `root`.
    pub fn read(said: &str, root: &Path) -> Self {
        let root = format!("{}/", root.display());
        Self(said.lines().filter_map(|line| message(&line.replace(&root, ""))).collect())
    }

    /// Number of messages in a file.
    pub fn count(&self, path: &str) -> u32 {
        self.0.iter().filter(|m| m.path == path).count() as u32
    }

    /// The first error in a file that `of` picks.
    pub fn first_error(&self, of: impl Fn(&str) -> bool) -> Option<String> {
        self.0.iter().find(|m| m.error && of(&m.path)).map(|m| m.line.clone())
    }

    /// Messages in the files that `of` picks which `before` does not have, or has less often.
    pub fn new_since(&self, before: &Self, of: impl Fn(&str) -> bool) -> Vec<String> {
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for m in &before.0 {
            *known.entry((&m.path, &m.text)).or_default() += 1;
        }
        let mut new = Vec::new();
        for m in self.0.iter().filter(|m| of(&m.path)) {
            match known.get_mut(&(m.path.as_str(), m.text.as_str())) {
                Some(n) if *n > 0 => *n -= 1,
                _ => new.push(m.line.clone()),
            }
        }
        // Objects are built side by side: the order of their messages is by chance.
        new.sort();
        new
    }
}

fn message(line: &str) -> Option<Message> {
    let (at, (kind, error)) = KINDS.iter().filter_map(|k| Some((line.find(k.0)?, *k))).min_by_key(|(at, _)| *at)?;
    let place = &line[..at];
    let path = place.split(':').next().unwrap_or_default().trim_start_matches("../").trim_start_matches("./");
    let text = format!("{}{}", kind.trim_matches([':', ' ']), without_offsets(&line[at + kind.len()..]));
    Some(Message { path: path.to_string(), text, error, line: line.trim_end().to_string() })
}

/// The text without what moves with the code: the hexadecimal offsets of object checkers, and quoted line numbers.
fn without_offsets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        out.push_str(&rest[..at + 2]);
        rest = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "/o/src/d/a.c: In function 'f':\n\
        /o/src/d/a.c:12:6: warning: variable 'x' set but not used [-Wunused-but-set-variable]\n\
        /o/src/d/a.c:30: warning: Function parameter or member 'n' not described in 'f'\n\
        make[1]: *** [scripts/Makefile.build:1: d/b.o] Error 1\n\
        /o/src/d/b.c:3:10: fatal error: asm/none.h: No such file or directory\n\
        d/c.o: warning: objtool: f()+0x1c: call without frame pointer save/setup\n";

    fn read(said: &str) -> Messages {
        Messages::read(said, Path::new("/o/src"))
    }

    #[test]
    fn places_do_not_count() {
        let after = BEFORE.replace(":12:6:", ":11:6:").replace("0x1c", "0x2e");
        assert!(read(&after).new_since(&read(BEFORE), |_| true).is_empty());
        assert_eq!(read(BEFORE).count("d/a.c"), 2);
        assert_eq!(
            read(BEFORE).first_error(|p| p == "d/b.c").as_deref(),
            Some("d/b.c:3:10: fatal error: asm/none.h: No such file or directory")
        );
    }

    #[test]
    fn one_more_of_the_same_is_new() {
        let again =
            format!("{BEFORE}/o/src/d/a.c:40:6: warning: variable 'x' set but not used [-Wunused-but-set-variable]\n");
        let new = read(&again).new_since(&read(BEFORE), |p| p == "d/a.c");
        assert_eq!(new, ["d/a.c:40:6: warning: variable 'x' set but not used [-Wunused-but-set-variable]"]);
        assert!(read(BEFORE).new_since(&read(&again), |_| true).is_empty());
        assert!(read(&again).new_since(&read(BEFORE), |p| p != "d/a.c").is_empty());
    }

    #[test]
    fn a_warning_that_is_an_error_now_is_new() {
        let after = BEFORE.replace("warning: variable", "error: variable");
        assert_eq!(read(&after).new_since(&read(BEFORE), |_| true).len(), 1);
    }
}
