//! Plain text as mails want it: lists in words, lines that fit.

/// Columns of a body. `git log` indents by four, and 76 still fit a terminal of 80.
pub const BODY: usize = 72;
/// Columns of a subject without `[PATCH n/m]` (submitting-patches).
pub const SUBJECT: usize = 75;

/// Stands for a blank at which no line ends; in no text that we write.
const GLUE: &str = "\u{1}";

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    joined(items, "and")
}

/// `a`, `a or b`, `a, b or c`.
pub fn joined<S: AsRef<str>>(items: &[S], word: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_string(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} {word} {}", most.join(", "), last.as_ref())
        }
    }
}

/// `a()` and `b()` in a sentence.
pub fn named(names: &[String], word: &str) -> String {
    let all: Vec<String> = names.iter().map(|n| format!("{n}()")).collect();
    joined(&all, word)
}

/// A list that stays readable: the first `most` of them, then how many more there are.
pub fn short_list<S: AsRef<str>>(items: &[S], most: usize, what: &str) -> String {
    if items.len() <= most {
        return list(items);
    }
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    format!("{} and {} more", shown.join(", "), count(items.len() - most, what))
}

/// `a() does`, `a() and b(), for instance, do`: no count of things that nobody can check at a glance.
pub fn examples(items: &[String], one: &str, many: &str) -> String {
    match items {
        [only] => format!("{only} {one}"),
        [a, b] => format!("{a} and {b} {many}"),
        _ => format!("{}, for instance, {many}", list(&items[..items.len().min(2)])),
    }
}

/// `1 thing`, `2 things`.
pub fn count(n: usize, what: &str) -> String {
    let ending = match n {
        1 => "",
        _ if what.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{n} {what}{ending}")
}

/// The words in lines of at most `width` columns: `first` before the first line, `next` before the others. A word that
/// is longer stands alone.
pub fn wrap(text: &str, width: usize, first: &str, next: &str) -> String {
    let mut out = String::new();
    let mut line = first.to_string();
    let mut empty = true;
    // No line is a closing bracket alone.
    let text = code_in_one_line(text, width).replace(" ]", &format!("{GLUE}]"));
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(line.trim_end());
            out.push('\n');
            line = next.to_string();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out.replace(GLUE, " ")
}

/// Code between backquotes in pieces that are not broken, where they fit into a line at all.
fn code_in_one_line(text: &str, width: usize) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let quoted = |i: usize| i % 2 == 1 && i + 1 < parts.len();
    let part = |(i, part): (usize, &&str)| match quoted(i) && part.chars().count() + 4 <= width {
        true => part.split_whitespace().collect::<Vec<_>>().join(GLUE),
        false => part.to_string(),
    };
    parts.iter().enumerate().map(part).collect::<Vec<_>>().join("`")
}

/// A body: paragraphs with an empty line between them. One whose lines start with a blank is kept as it is; one that
/// starts with `- ` hangs, and follows another of its kind without an empty line.
pub fn body(paragraphs: &[String]) -> String {
    let mut out = String::new();
    let mut after_item = false;
    for p in paragraphs {
        let item = p.starts_with("- ");
        let together = item && after_item;
        if !(out.is_empty() || together) {
            out.push('\n');
        }
        after_item = item;
        if p.starts_with(' ') {
            out.push_str(p.trim_end());
            out.push('\n');
        } else if let Some(rest) = p.strip_prefix("- ") {
            out.push_str(&wrap(rest, BODY, "- ", "  "));
        } else {
            out.push_str(&wrap(p, BODY, "", ""));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(list::<&str>(&[]), "");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(short_list(&["a", "b", "c"], 2, "function"), "a, b and 1 function more");
        assert_eq!(count(1, "site"), "1 site");
        assert_eq!(count(0, "site"), "0 sites");
        assert_eq!(count(2, "patch"), "2 patches");
    }

    #[test]
    fn lines_fit_and_no_word_is_lost() {
        let text = "one two three four five six seven";
        let wrapped = wrap(text, 12, "- ", "  ");
        assert!(wrapped.lines().all(|l| l.len() <= 12), "{wrapped}");
        assert_eq!(wrapped.replace("- ", "").split_whitespace().collect::<Vec<_>>().join(" "), text);
        assert_eq!(wrap("one two `three four`", 14, "", ""), "one two\n`three four`\n");
        assert_eq!(wrap("one `two three`, `four five`", 18, "", ""), "one `two three`,\n`four five`\n");
        // What fits into no line, or has no end.
        assert_eq!(wrap("`one two three four`", 12, "", ""), "`one two\nthree four`\n");
        assert_eq!(wrap("one two `three four", 14, "", ""), "one two `three\nfour\n");
        assert_eq!(wrap("averyveryverylongword b", 5, "", ""), "averyveryverylongword\nb\n");
        assert_eq!(wrap("[ one two ]", 9, "", ""), "[ one\ntwo ]\n");
    }

    #[test]
    fn items_stand_together() {
        let all =
            ["intro:".to_string(), "- a".to_string(), "- b".to_string(), " kept  as".to_string(), "end".to_string()];
        assert_eq!(body(&all), "intro:\n\n- a\n- b\n\n kept  as\n\nend\n");
    }
}
