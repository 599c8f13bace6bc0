//! The lists of a Makefile: which objects and folders stand in them, and under which `ifdef`.

use super::Cond;

/// An assignment to a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Name of the list: `obj-$(CONFIG_X)`, `foo-objs`.
    pub list: String,
    /// What is put into it.
    pub values: Vec<String>,
    /// The conditions around it.
    pub cond: Cond,
}

/// A Makefile, as far as it is lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Makefile {
    /// Assignments, in order.
    pub lines: Vec<Line>,
}

impl Makefile {
    /// Reads the assignments.
    pub fn parse(text: &str) -> Self {
        let mut lines = Vec::new();
        let mut around: Vec<Cond> = Vec::new();
        let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
        for raw in joined.lines() {
            let line = raw.split('#').next().unwrap_or_default().trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match word {
                "ifdef" | "ifndef" | "ifeq" | "ifneq" => around.push(condition(word, rest.trim())),
                "else" => {
                    let was = around.pop().unwrap_or(Cond::Unknown);
                    let more = rest.trim();
                    let (kind, test) = more.split_once(char::is_whitespace).unwrap_or((more, ""));
                    let not = Cond::Not(Box::new(was));
                    around.push(match kind {
                        "" => not,
                        // The `endif` of a chain ends all of it: what came before is not kept.
                        _ => Cond::And(vec![not, condition(kind, test.trim())]),
                    });
                }
                "endif" => {
                    around.pop();
                }
                _ => {
                    let Some((list, values)) = assignment(line) else { continue };
                    let cond = if around.is_empty() { Cond::True } else { Cond::And(around.clone()) };
                    let values = values.split_whitespace().map(|v| v.trim_start_matches("./").to_string());
                    lines.push(Line { list: list.to_string(), values: values.collect(), cond });
                }
            }
        }
        Self { lines }
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let at = line.find('=')?;
    let name = line[..at].trim_end_matches([':', '+', '?']).trim();
    let plain = !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains(':');
    plain.then(|| (name, &line[at + 1..]))
}

fn condition(word: &str, test: &str) -> Cond {
    let symbol = |s: &str| s.strip_prefix("CONFIG_").map(|s| Cond::Sym(s.to_string()));
    let not = |c: Cond| Cond::Not(Box::new(c));
    match word {
        "ifdef" => symbol(test).unwrap_or(Cond::Unknown),
        "ifndef" => symbol(test).map_or(Cond::Unknown, not),
        "ifeq" | "ifneq" => {
            let inner = test.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
            let Some((a, b)) = inner.and_then(|t| t.split_once(',')) else { return Cond::Unknown };
            let name = a.trim().strip_prefix("$(").and_then(|a| a.strip_suffix(')'));
            let Some(set) = name.and_then(symbol) else { return Cond::Unknown };
            match (word, b.trim()) {
                ("ifeq", "y" | "m") | ("ifneq", "" | "n") => set,
                ("ifeq", "" | "n") => not(set),
                _ => Cond::Unknown,
            }
        }
        _ => Cond::Unknown,
    }
}
