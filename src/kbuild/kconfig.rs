//! The symbols of Kconfig, as far as it takes to tell that one is never set without an MMU, or for an architecture.
//!
//! Every architecture is a Kconfig of its own. For one whose `MMU` is always `y` there is nothing to show. For each of
//! the others `MMU` is taken to be `n`, and a symbol can be set only where its `depends on`, with the menus, choices
//! and `if` blocks around it, can hold, or where something that selects it can be set: `select` does not ask.

use super::Cond;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

/// Where a symbol is defined.
#[derive(Clone, Debug, Default)]
struct Entry {
    symbol: String,
    depends: Vec<Cond>,
    /// A prompt, or a value it takes by itself: with which conditions.
    set: Vec<Cond>,
    /// No prompt, and `y` without a condition.
    always: bool,
    prompt: bool,
    selects: Vec<(String, Cond)>,
    implies: Vec<String>,
}

/// Entries by name, and by what they select.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, Vec<usize>>,
    /// Who selects a symbol, and when.
    selected: BTreeMap<String, Vec<(String, Cond)>>,
    /// Set by `imply` somewhere.
    implied: BTreeSet<String>,
}

/// What one architecture sees: its own files, and those of all.
struct Symbols {
    tables: Vec<Rc<Table>>,
    /// A symbol that is taken to be `n`.
    off: Option<&'static str>,
    /// Symbols that were asked about: whether they can be set.
    known: RefCell<BTreeMap<String, bool>>,
}

/// The Kconfig of all architectures: without an MMU, and as they are.
pub struct Kconfig {
    arches: BTreeMap<String, [Symbols; 2]>,
}

/// Files that a file may source through each other.
const DEPTH: usize = 16;
/// Names of the architecture in a path.
const VARIABLES: [&str; 4] = ["$(SRCARCH)", "$SRCARCH", "$(ARCH)", "$ARCH"];

impl Kconfig {
    /// Reads the Kconfig of every architecture below `root`.
    pub fn read(root: &Path) -> Self {
        let mut all = Reader::new(root, None);
        all.file("Kconfig", &[], DEPTH);
        let common = Rc::new(Table::of(all.out));
        let mut arches = BTreeMap::new();
        let found = std::fs::read_dir(root.join("arch")).into_iter().flatten().flatten();
        for arch in found.map(|e| e.file_name().to_string_lossy().into_owned()) {
            let own = format!("arch/{arch}/Kconfig");
            if root.join(&own).is_file() {
                let mut reader = Reader::new(root, Some(&arch));
                reader.file(&own, &[], DEPTH);
                for (name, outer) in &all.left {
                    let name = of_arch(name, &arch);
                    if name != own {
                        reader.file(&name, outer, DEPTH);
                    }
                }
                let tables = vec![Rc::new(Table::of(reader.out)), common.clone()];
                let symbols = |off| Symbols { tables: tables.clone(), off, known: RefCell::default() };
                arches.insert(arch, [symbols(Some("MMU")), symbols(None)]);
            }
        }
        Self { arches }
    }

    /// Whether the condition, in a file of this architecture (or of all), holds only with `CONFIG_MMU`.
    pub fn needs_mmu(&self, cond: &Cond, arch: Option<&str>) -> bool {
        let mut asked = self.arches.iter().filter(|(name, _)| arch.is_none_or(|a| a == name.as_str())).peekable();
        asked.peek().is_some() && asked.all(|(_, [s, _])| s.always("MMU") || !s.can(cond, true, &mut Vec::new()))
    }

    /// Whether a configuration of the architecture may fulfil the condition. A tree without architectures has all.
    pub fn may_hold(&self, cond: &Cond, arch: &str) -> bool {
        let can = |[_, s]: &[Symbols; 2]| s.can(cond, true, &mut Vec::new());
        self.arches.is_empty() || self.arches.get(arch).is_some_and(can)
    }
}

impl Table {
    fn of(entries: Vec<Entry>) -> Self {
        let mut all = Self { entries, ..Self::default() };
        for (i, e) in all.entries.iter().enumerate() {
            all.by_name.entry(e.symbol.clone()).or_default().push(i);
            all.implied.extend(e.implies.iter().cloned());
            for (to, when) in &e.selects {
                all.selected.entry(to.clone()).or_default().push((e.symbol.clone(), when.clone()));
            }
        }
        all
    }
    fn entries(&self, symbol: &str) -> impl Iterator<Item = &Entry> {
        self.by_name.get(symbol).into_iter().flatten().filter_map(|&i| self.entries.get(i))
    }
}

impl Symbols {
    fn entries(&self, symbol: &str) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(move |t| t.entries(symbol))
    }
    /// The symbol is `y` in every configuration.
    fn always(&self, symbol: &str) -> bool {
        let mut all = self.entries(symbol).peekable();
        all.peek().is_some() && all.all(|e| e.always && !e.prompt && e.depends.is_empty())
    }
    /// Whether the condition can be `wanted`. `open` are the symbols that are being asked about.
    fn can(&self, cond: &Cond, wanted: bool, open: &mut Vec<String>) -> bool {
        match cond {
            Cond::True => wanted,
            Cond::False => !wanted,
            Cond::Unknown => true,
            Cond::Not(c) => self.can(c, !wanted, open),
            Cond::And(all) if wanted => all.iter().all(|c| self.can(c, true, open)),
            Cond::And(all) => all.iter().any(|c| self.can(c, false, open)),
            Cond::Or(all) if wanted => all.iter().any(|c| self.can(c, true, open)),
            Cond::Or(all) => all.iter().all(|c| self.can(c, false, open)),
            Cond::Sym(s) if wanted => self.can_be_set(s, open),
            Cond::Sym(s) => self.off == Some(s.as_str()) || !self.always(s),
        }
    }
    fn can_be_set(&self, symbol: &str, open: &mut Vec<String>) -> bool {
        if self.off == Some(symbol) {
            return false;
        }
        if let Some(&known) = self.known.borrow().get(symbol) {
            return known;
        }
        if open.iter().any(|s| s == symbol) || open.len() > 64 {
            // Round in a circle: nothing is shown. That may only add an answer of "it can".
            return true;
        }
        open.push(symbol.to_string());
        let implied = self.tables.iter().any(|t| t.implied.contains(symbol));
        let own = self.entries(symbol).any(|e| {
            e.depends.iter().all(|d| self.can(d, true, open))
                && (implied || e.set.iter().any(|c| self.can(c, true, open)))
        });
        let by_others = self.tables.iter().filter_map(|t| t.selected.get(symbol)).flatten();
        let can =
            own || by_others.into_iter().any(|(by, when)| self.can(when, true, open) && self.can_be_set(by, open));
        open.pop();
        self.known.borrow_mut().insert(symbol.to_string(), can);
        can
    }
}

struct Reader<'a> {
    root: &'a Path,
    /// The architecture; without one its files are left, with the conditions around them.
    arch: Option<&'a str>,
    seen: BTreeSet<String>,
    left: Vec<(String, Vec<Cond>)>,
    out: Vec<Entry>,
}

/// What the lines of an entry belong to.
enum At {
    Nothing,
    Config(Entry),
    /// A menu or a choice, whose `depends on` is for everything in it.
    Block,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Path, arch: Option<&'a str>) -> Self {
        Self { root, arch, seen: BTreeSet::new(), left: vec![], out: vec![] }
    }
    fn file(&mut self, path: &str, outer: &[Cond], depth: usize) {
        // A file that is sourced twice has two conditions around it; both count.
        if depth == 0 || !self.seen.insert(format!("{path} {outer:?}")) {
            return;
        }
        let Ok(text) = std::fs::read(self.root.join(path)) else { return };
        let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
        let mut around: Vec<Vec<Cond>> = vec![outer.to_vec()];
        let mut at = At::Nothing;
        let mut help: Option<usize> = None;
        let mut in_help = false;
        for raw in text.lines() {
            let line = raw.trim();
            if in_help {
                let indent = indent_of(raw);
                match help {
                    _ if line.is_empty() => continue,
                    None if indent > 0 => {
                        help = Some(indent);
                        continue;
                    }
                    Some(first) if indent >= first => continue,
                    _ => in_help = false,
                }
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line.split_once(|c: char| c.is_whitespace() || c == '"').unwrap_or((line, ""));
            let rest = rest.trim();
            let flat = || -> Vec<Cond> { around.iter().flatten().cloned().collect() };
            match word {
                "config" | "menuconfig" => {
                    self.end(&mut at);
                    at = At::Config(Entry { symbol: rest.to_string(), depends: flat(), ..Entry::default() });
                }
                "menu" | "choice" => {
                    self.end(&mut at);
                    around.push(Vec::new());
                    at = At::Block;
                }
                "if" => {
                    self.end(&mut at);
                    around.push(vec![expression(rest)]);
                    at = At::Nothing;
                }
                "endmenu" | "endchoice" | "endif" => {
                    self.end(&mut at);
                    if around.len() > 1 {
                        around.pop();
                    }
                }
                "comment" | "mainmenu" => self.end(&mut at),
                "source" | "rsource" | "osource" | "orsource" => {
                    self.end(&mut at);
                    let name = line.split('"').nth(1).unwrap_or(rest);
                    let name = name.replace("$(srctree)/", "");
                    let name = match self.arch {
                        Some(arch) => of_arch(&name, arch),
                        None if VARIABLES.iter().any(|v| name.contains(v)) => {
                            self.left.push((name, flat()));
                            continue;
                        }
                        None => name,
                    };
                    let folder = path.rsplit_once('/').map_or("", |(f, _)| f);
                    let name = if word.contains("rsource") { format!("{folder}/{name}") } else { name };
                    let outer = flat();
                    self.file(&name, &outer, depth - 1);
                }
                "help" | "---help---" => (in_help, help) = (true, None),
                "depends" => {
                    let cond = expression(rest.strip_prefix("on").unwrap_or(rest));
                    match (&mut at, around.last_mut()) {
                        (At::Config(e), _) => e.depends.push(cond),
                        (At::Block, Some(block)) => block.push(cond),
                        _ => {}
                    }
                }
                _ => {
                    if let At::Config(e) = &mut at {
                        attribute(e, word, line);
                    }
                }
            }
        }
        self.end(&mut at);
    }
    fn end(&mut self, at: &mut At) {
        if let At::Config(e) = std::mem::replace(at, At::Nothing) {
            self.out.push(e);
        }
    }
}

/// The name of a file for an architecture.
fn of_arch(name: &str, arch: &str) -> String {
    VARIABLES.iter().fold(name.to_string(), |n, v| n.replace(v, arch))
}

fn indent_of(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 8 } else { 1 }).sum()
}

/// One line of a config entry.
fn attribute(e: &mut Entry, word: &str, line: &str) {
    let rest = line[word.len()..].trim();
    let (value, when) = match outside_quotes(rest, " if ") {
        Some(i) => (rest[..i].trim(), expression(&rest[i + 4..])),
        None => (rest, Cond::True),
    };
    let both = |a: Cond, b: Cond| if b == Cond::True { a } else { Cond::And(vec![a, b]) };
    match word {
        "bool" | "tristate" | "prompt" | "int" | "hex" | "string" if !value.is_empty() => {
            e.prompt = true;
            e.set.push(when);
        }
        "default" | "def_bool" | "def_tristate" => {
            let by_itself = expression(value);
            e.always |= by_itself == Cond::True && when == Cond::True;
            e.set.push(both(by_itself, when));
        }
        "imply" => e.implies.push(value.to_string()),
        "select" => e.selects.push((value.to_string(), when)),
        _ => {}
    }
}

fn outside_quotes(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(i, _)| i).find(|&i| text[..i].matches('"').count().is_multiple_of(2))
}

/// An expression of Kconfig.
pub fn expression(text: &str) -> Cond {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            _ if c.is_whitespace() => {}
            '#' => break,
            '(' | ')' => tokens.push(c.to_string()),
            '!' | '=' | '<' | '>' | '&' | '|' => {
                let mut s = c.to_string();
                if let Some(&(_, n)) = chars.peek()
                    && matches!((c, n), ('!', '=') | ('<', '=') | ('>', '=') | ('&', '&') | ('|', '|'))
                {
                    s.push(n);
                    chars.next();
                }
                tokens.push(s);
            }
            '"' | '\'' => {
                let end = text[i + 1..].find(c).map_or(text.len(), |n| i + 1 + n);
                while chars.peek().is_some_and(|(j, _)| *j <= end) {
                    chars.next();
                }
                tokens.push(text.get(i..=end).unwrap_or_default().trim_matches(c).to_string());
            }
            _ => {
                let mut s = c.to_string();
                while let Some(&(_, n)) = chars.peek() {
                    if n.is_whitespace() || "()!=<>&|\"".contains(n) {
                        break;
                    }
                    s.push(n);
                    chars.next();
                }
                tokens.push(s);
            }
        }
    }
    let mut at = 0;
    let read = any(&tokens, &mut at, 0);
    if at == tokens.len() && !tokens.is_empty() { read } else { Cond::Unknown }
}

fn any(t: &[String], at: &mut usize, depth: usize) -> Cond {
    let mut all = vec![every(t, at, depth)];
    while t.get(*at).is_some_and(|s| s == "||") {
        *at += 1;
        all.push(every(t, at, depth));
    }
    if all.len() == 1 { all.remove(0) } else { Cond::Or(all) }
}

fn every(t: &[String], at: &mut usize, depth: usize) -> Cond {
    let mut all = vec![term(t, at, depth)];
    while t.get(*at).is_some_and(|s| s == "&&") {
        *at += 1;
        all.push(term(t, at, depth));
    }
    if all.len() == 1 { all.remove(0) } else { Cond::And(all) }
}

fn term(t: &[String], at: &mut usize, depth: usize) -> Cond {
    let Some(word) = t.get(*at).filter(|_| depth < 64) else { return Cond::Unknown };
    *at += 1;
    if word == "!" {
        return Cond::Not(Box::new(term(t, at, depth + 1)));
    }
    if word == "(" {
        let inner = any(t, at, depth + 1);
        *at += usize::from(t.get(*at).is_some_and(|s| s == ")"));
        return inner;
    }
    let atom = |w: &str| match w {
        "y" | "m" => Cond::True,
        "n" => Cond::False,
        w if w.starts_with('$') || w.is_empty() => Cond::Unknown,
        w => Cond::Sym(w.to_string()),
    };
    let Some(op) = t.get(*at).filter(|s| matches!(s.as_str(), "=" | "!=" | "<" | ">" | "<=" | ">=")) else {
        return atom(word);
    };
    *at += 1;
    let Some(other) = t.get(*at) else { return Cond::Unknown };
    *at += 1;
    match (op.as_str(), other.as_str()) {
        ("=", "y" | "m") | ("!=", "n") => atom(word),
        ("=", "n") => Cond::Not(Box::new(atom(word))),
        _ => Cond::Unknown,
    }
}
