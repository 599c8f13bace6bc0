//! Changes that a configuration does not compile: lines inside `#if` that are skipped for sure.
//!
//! An object that is built says nothing of them. Only conditions of one symbol are understood; what is not understood
//! counts as compiled. It knows nothing of Kconfig: which symbols are set is given.

use similar::{Algorithm, DiffTag};
use std::collections::BTreeSet;

/// What is known of the branch of an `#if` that a line stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Branch {
    /// Compiled, or not understood.
    Maybe,
    /// Not compiled, and why.
    Never(String),
}

/// The first line of the new text that was changed and is not compiled, and why: `line 12 is not compiled, because …`.
pub fn change(before: &[u8], after: &[u8], set: &BTreeSet<String>) -> Option<String> {
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (lines(before), lines(after));
    let skipped = skipped(&new, set);
    similar::capture_diff_slices(Algorithm::Myers, &old, &new)
        .iter()
        .filter(|op| op.tag() != DiffTag::Equal)
        .map(|op| op.new_range())
        // Where lines only went, the line behind them tells.
        .flat_map(|range| range.start..range.end.max(range.start + 1))
        .find_map(|n| Some(format!("line {} is not compiled: {}", n + 1, skipped.get(n)?.as_ref()?)))
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|b| *b == b'\n').collect()
}

/// For each line why it is not compiled.
fn skipped(lines: &[&[u8]], set: &BTreeSet<String>) -> Vec<Option<String>> {
    let mut around: Vec<Branch> = Vec::new();
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let text = String::from_utf8_lossy(line);
        if let Some(directive) = text.trim_start().strip_prefix('#') {
            let directive = directive.split("/*").next().unwrap_or_default().trim();
            let (word, test) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            match word {
                "if" | "ifdef" | "ifndef" => around.push(branch(word, test.trim(), set)),
                // What the first branch says of the others takes more than one symbol in one place.
                "elif" | "else" | "elifdef" | "elifndef" => {
                    if let Some(last) = around.last_mut() {
                        *last = Branch::Maybe;
                    }
                }
                "endif" => _ = around.pop(),
                _ => {}
            }
        }
        out.push(around.iter().find_map(|b| match b {
            Branch::Never(why) => Some(why.clone()),
            Branch::Maybe => None,
        }));
    }
    out
}

/// What is known of the first branch.
fn branch(word: &str, test: &str, set: &BTreeSet<String>) -> Branch {
    let inner = |name: &str| {
        let rest = test.strip_prefix(name)?.trim_start();
        rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).or((name == "defined").then_some(rest))
    };
    let operand = match word {
        "ifdef" => Some(test),
        "if" if test == "0" => return Branch::Never("it stands inside `#if 0`".into()),
        "if" => ["IS_ENABLED", "IS_BUILTIN", "IS_REACHABLE", "defined"].iter().find_map(|name| inner(name)),
        _ => None,
    };
    let symbol = operand.and_then(|o| o.trim().strip_prefix("CONFIG_"));
    // A module has another macro than what is built in; both come from one symbol.
    let named = |s: &&str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match symbol.map(|s| s.strip_suffix("_MODULE").unwrap_or(s)).filter(named) {
        Some(symbol) if !set.contains(symbol) => Branch::Never(format!("CONFIG_{symbol} is not set")),
        _ => Branch::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &str, after: &str) -> Option<String> {
        change(before.as_bytes(), after.as_bytes(), &BTreeSet::from(["ON".to_string()]))
    }

    #[test]
    fn a_change_behind_a_symbol_that_is_off_is_told() {
        let text = |test: &str| format!("a\n{test}\nput(p);\n#else\nput(q);\n#endif\nput(r);\n");
        let off = |test: &str| {
            let before = text(test);
            of(&before, &before.replace("put(p)", "unpin(p)"))
        };
        for test in ["#ifdef CONFIG_OFF", "# if defined(CONFIG_OFF) /* x */", "#if IS_ENABLED(CONFIG_OFF)"] {
            assert_eq!(off(test).as_deref(), Some("line 3 is not compiled: CONFIG_OFF is not set"), "{test}");
        }
        assert_eq!(off("#if 0").as_deref(), Some("line 3 is not compiled: it stands inside `#if 0`"));
        for test in ["#ifdef CONFIG_ON", "#ifndef CONFIG_OFF", "#if defined(CONFIG_OFF) || X", "#ifdef OFF", "#if 1"] {
            assert_eq!(off(test), None, "{test}");
        }
    }

    #[test]
    fn the_lines_around_do_not_count() {
        let text = "#ifdef CONFIG_OFF\nput(p);\n#else\nput(q);\n#endif\nput(r);\n";
        assert_eq!(of(text, &text.replace("put(q)", "unpin(q)")), None);
        assert_eq!(of(text, &text.replace("put(r);\n", "")), None);
        assert_eq!(of(text, text), None);
        // Nested, and only a line that goes.
        let nested = "#ifdef CONFIG_OFF\n#ifdef CONFIG_ON\na\nput(p);\nb\n#endif\n#endif\n";
        assert!(of(nested, &nested.replace("put(p);\n", "")).is_some());
    }
}
