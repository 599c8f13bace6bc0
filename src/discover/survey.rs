//! What the one search of the whole tree notes of every file besides the hits: whether it has code, and what it
//! includes.
//!
//! Both are read off the bytes: a file without a brace has no function, and an include is a line. It does not know
//! which `#if` is taken, so it sees more includes than a compiler does.

use super::SourceTree;
use super::finder::{Any, Finder};
use super::reader::Look;
use super::sketch::{At, Grams, Sketches};
use crate::source::FileId;
use memchr::memmem;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Notes of all files.
#[derive(Debug)]
pub(super) struct Survey {
    /// By file: its sketch, and whose notes have it, if it has a brace.
    code: Vec<Option<(u16, At)>>,
    /// By thread.
    sketches: Vec<Sketches>,
    /// Texts of all includes with their delimiters, in any order.
    texts: Vec<Box<str>>,
    /// Ends, by file, of its part of `list`.
    ends: Vec<u32>,
    /// Indices into `texts`.
    list: Vec<u32>,
    /// Files by the text that they include, with where the part of each text ends.
    users: (Vec<u32>, Vec<FileId>),
    /// Files with code that hold a word which was known to be asked for, ascending.
    words: FxHashMap<Box<str>, Vec<FileId>>,
}

/// Notes of one thread.
#[derive(Default)]
struct Notes {
    hits: Vec<FileId>,
    code: Vec<(FileId, At)>,
    sketches: Sketches,
    texts: FxHashMap<Box<str>, u32>,
    includes: Vec<(FileId, u32)>,
    /// Files and indices of words.
    words: Vec<(FileId, usize)>,
}

impl Notes {
    fn includes_of(&mut self, file: FileId, text: &[u8]) {
        includes_of(text, &mut |inc| {
            let id = match self.texts.get(inc) {
                Some(&id) => id,
                None => {
                    let id = self.texts.len() as u32;
                    self.texts.insert(inc.into(), id);
                    id
                }
            };
            self.includes.push((file, id));
        });
    }
    /// Takes back what a part of this file gave, if it came last.
    fn forget_includes(&mut self, file: FileId) {
        while self.includes.last().is_some_and(|i| i.0 == file) {
            self.includes.pop();
        }
    }
}

impl SourceTree {
    /// Reads every file once: returns those that have code and hold any of the needles, ascending, and notes what
    /// [`SourceTree::has_code`], [`SourceTree::includes`] and [`SourceTree::including`] answer, and which files hold
    /// each of `words`, which [`SourceTree::grep`] will be asked for: the sketches of 4000 files of v6.12 let one of
    /// them pass, which would all be read again.
    pub fn survey(&self, needles: &[&str], words: &[&str]) -> Vec<FileId> {
        let wanted = Any::new(needles);
        let grams: Vec<Grams> = needles.iter().map(|n| Grams::of(n)).collect();
        let finders: Vec<(Grams, Finder)> =
            words.iter().map(|w| (Grams::of(w), Finder::new(std::slice::from_ref(w), true))).collect();
        // Nearly half of the bytes of v6.12 are in 98 tables of registers with up to 24 MB. What has no brace is asked
        // for includes only, and that can be done where the processor has it at hand. What begins and ends without a
        // brace and without a semicolon is a list of constants, and nothing is asked of what stands between.
        let glance = |notes: &mut Notes, file, lines: &[u8]| {
            if memchr::memchr(b'{', lines).is_some() {
                return Look::Whole;
            }
            notes.includes_of(file, lines);
            if memchr::memchr(b';', lines).is_some() { Look::More } else { Look::Enough }
        };
        let visit = |notes: &mut Notes, _, file, text: &[u8]| {
            notes.forget_includes(file);
            notes.includes_of(file, text);
            if memchr::memchr(b'{', text).is_none() {
                return false;
            }
            let at = notes.sketches.add(text);
            notes.code.push((file, at));
            let hit = grams.iter().any(|g| notes.sketches.may(at, g)) && wanted.is_in(text);
            if hit {
                notes.hits.push(file);
            }
            let before = notes.words.len();
            for (i, (grams, finder)) in finders.iter().enumerate() {
                if notes.sketches.may(at, grams) && !finder.find(text, &[0]).is_empty() {
                    notes.words.push((file, i));
                }
            }
            hit || notes.words.len() > before
        };
        let all = self.each(self.len(), &|i| Some(FileId(i as u32)), &visit, &glance);
        let mut hits: Vec<FileId> = all.iter().flat_map(|n| n.hits.iter().copied()).collect();
        hits.sort_unstable();
        let _ = self.survey.set(Survey::new(self.len(), all, words));
        hits
    }

    /// Files with code that hold the word, ascending, if the survey looked for it.
    pub(super) fn surveyed(&self, word: &str) -> Option<&[FileId]> {
        self.survey.get()?.words.get(word).map(Vec::as_slice)
    }

    /// Whether the file may hold a function: it has a brace, or nobody looked.
    pub fn has_code(&self, file: FileId) -> bool {
        self.survey.get().is_none_or(|s| s.code.get(file.0 as usize).is_some_and(Option::is_some))
    }

    /// Whether the file may hold the word: its sketch does not deny it, or there is none.
    pub(super) fn may_hold(&self, file: FileId, word: &Grams) -> bool {
        let sketch = |s: &Survey| {
            let (thread, at) = (*s.code.get(file.0 as usize)?)?;
            Some(s.sketches.get(thread as usize)?.may(at, word))
        };
        self.survey.get().and_then(sketch).unwrap_or(true)
    }

    /// Indices of the words that the file may hold, ascending.
    pub(super) fn may_be_in(&self, file: FileId, words: &[Grams]) -> Vec<usize> {
        (0..words.len()).filter(|&i| self.may_hold(file, &words[i])).collect()
    }

    /// Whether the file may hold any of the words: false is certain, true is not.
    pub fn may_name<'w>(&self, file: FileId, mut words: impl Iterator<Item = &'w str>) -> bool {
        self.survey.get().is_none() || words.any(|w| self.may_hold(file, &Grams::of(w)))
    }

    /// Calls `f` for the text of each include of a file, with its delimiters, in the order that they are written; with
    /// the number of that text if there was a survey.
    pub fn includes(&self, file: FileId, f: &mut dyn FnMut(&str, Option<u32>)) {
        match self.survey.get() {
            Some(s) => s.of(file).iter().for_each(|&i| f(&s.texts[i as usize], Some(i))),
            None => {
                if let Ok(text) = self.read(file) {
                    includes_of(&text, &mut |inc| f(inc, None));
                }
            }
        }
    }

    /// How many texts of includes there are; 0 before a survey.
    pub fn include_texts(&self) -> usize {
        self.survey.get().map_or(0, |s| s.texts.len())
    }

    /// Includes of C files (`#include "part.c"`): the file that has one, and the text between the quotes, ascending; none
    /// before a survey.
    pub fn source_includes(&self) -> Vec<(FileId, &str)> {
        let Some(s) = self.survey.get() else { return Vec::new() };
        let sources: Vec<bool> = s.texts.iter().map(|t| t.ends_with(".c\"")).collect();
        let part = |i: &u32| sources[*i as usize].then(|| s.texts[*i as usize].trim_matches('"'));
        self.files().flat_map(|f| s.of(f).iter().filter_map(part).map(move |t| (f, t))).collect()
    }

    /// Files with an include whose text names the end of the path `header`, ascending; none before a survey.
    pub fn including(&self, header: &str) -> Vec<FileId> {
        let Some(s) = self.survey.get() else { return Vec::new() };
        let base = header.rsplit('/').next().unwrap_or(header).as_bytes();
        let ends = |t: &str| t.as_bytes().split_last().is_some_and(|(_, t)| t.ends_with(base));
        let wanted = (0..s.texts.len()).filter(|&i| ends(&s.texts[i]) && names_end(header, &s.texts[i]));
        let mut files: Vec<FileId> = wanted.flat_map(|i| s.users_of(i)).copied().collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}

impl Survey {
    fn new(files: usize, mut all: Vec<Notes>, words: &[&str]) -> Self {
        let mut named: FxHashMap<Box<str>, Vec<FileId>> = words.iter().map(|w| ((*w).into(), Vec::new())).collect();
        let mut found: Vec<(FileId, usize)> = all.iter().flat_map(|n| n.words.iter().copied()).collect();
        found.sort_unstable();
        for (file, i) in found {
            named.entry(words[i].into()).or_default().push(file);
        }
        let mut code = vec![None; files];
        let mut numbers: FxHashMap<Box<str>, u32> = FxHashMap::default();
        let mut pairs: Vec<(FileId, u32)> = Vec::new();
        for (thread, n) in all.iter_mut().enumerate() {
            for (f, at) in &n.code {
                code[f.0 as usize] = Some((thread as u16, *at));
            }
            let mut number = vec![0u32; n.texts.len()];
            for (text, i) in n.texts.drain() {
                let next = numbers.len() as u32;
                number[i as usize] = *numbers.entry(text).or_insert(next);
            }
            pairs.extend(n.includes.drain(..).map(|(f, i)| (f, number[i as usize])));
        }
        let mut texts = vec![Box::<str>::default(); numbers.len()];
        for (text, i) in numbers {
            texts[i as usize] = text;
        }
        // One thread has all includes of a file, in order.
        let (ends, list) = by_key(files, 0, pairs.iter().map(|p| (p.0.0 as usize, p.1)));
        drop(pairs);
        let part = |f: usize| f.checked_sub(1).map_or(0, |k| ends[k]) as usize..ends[f] as usize;
        let uses = (0..files).flat_map(|f| list[part(f)].iter().map(move |&t| (t as usize, FileId(f as u32))));
        let users = by_key(texts.len(), FileId(0), uses);
        let sketches = all.into_iter().map(|n| n.sketches).collect();
        Self { code, sketches, texts, ends, list, users, words: named }
    }

    /// Files that include a text, ascending.
    fn users_of(&self, text: usize) -> &[FileId] {
        let (ends, users) = &self.users;
        let start = text.checked_sub(1).map_or(0, |i| ends[i]);
        users.get(start as usize..ends[text] as usize).unwrap_or_default()
    }

    fn of(&self, file: FileId) -> &[u32] {
        let i = file.0 as usize;
        let start = i.checked_sub(1).and_then(|k| self.ends.get(k)).copied().unwrap_or(0);
        let end = self.ends.get(i).copied().unwrap_or(start);
        self.list.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Where the values of each key end, and all values, those of a key in the order in which they come. Counted, not
/// sorted: the includes of v6.12 are some hundred thousand.
fn by_key<T: Copy>(keys: usize, none: T, pairs: impl Iterator<Item = (usize, T)> + Clone) -> (Vec<u32>, Vec<T>) {
    let mut ends = vec![0u32; keys];
    pairs.clone().for_each(|(key, _)| ends[key] += 1);
    let mut all = 0;
    for end in &mut ends {
        (*end, all) = (all, all + *end);
    }
    let mut values = vec![none; all as usize];
    for (key, value) in pairs {
        values[ends[key] as usize] = value;
        ends[key] += 1;
    }
    (ends, values)
}

/// Calls `f` for each `#include` at the start of a line, with the path and its delimiters.
fn includes_of(text: &[u8], f: &mut dyn FnMut(&str)) {
    // Most files are short: to make a finder takes longer than to find in them.
    static INCLUDE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("include"));
    for at in INCLUDE.find_iter(text) {
        let mut before = text[..at].iter().rev().skip_while(|b| matches!(b, b' ' | b'\t'));
        if before.next() != Some(&b'#') {
            continue;
        }
        // A comment may stand before it.
        let mut before = before.skip_while(|b| matches!(b, b' ' | b'\t'));
        let last = before.next().is_none_or(|b| *b == b'\n' || *b == b'/' && before.next() == Some(&b'*'));
        // So near as to cost nothing in a file that has nothing else.
        let (near, defined) = (&text[at + 7..text.len().min(at + 257)], &text[at.saturating_sub(4096)..at]);
        if last && let Some(inc) = included(near, defined) {
            f(inc);
        }
    }
}

/// What stands behind `#include`, with its delimiters: a name is what the lines before define it to be.
fn included<'t>(behind: &'t [u8], defined: &'t [u8]) -> Option<&'t str> {
    let rest = blanks(behind);
    let close = match rest.first()? {
        b'<' => b'>',
        b'"' => b'"',
        c if c.is_ascii_alphabetic() || *c == b'_' => {
            let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
            let define = [b"define ", &rest[..end]].concat();
            let mut places = memmem::find_iter(defined, &define).map(|at| &defined[at + define.len()..]);
            let rest = places.find_map(|r| Some(blanks(r)).filter(|r| matches!(r.first(), Some(b'<' | b'"'))))?;
            return included(rest, &[]);
        }
        _ => return None,
    };
    let line = &rest[1..];
    let end = memchr::memchr2(close, b'\n', line).filter(|end| line[*end] == close)?;
    std::str::from_utf8(&rest[..end + 2]).ok()
}

/// What is left behind white space, comments and ends of lines that are none.
fn blanks(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        text = match text {
            [b'\\', b'\n', rest @ ..] | [b'\\', b'\r', b'\n', rest @ ..] => rest,
            [b'/', b'*', rest @ ..] => memmem::find(rest, b"*/").map_or(&[], |end| &rest[end + 2..]),
            rest => return rest,
        }
    }
}

/// Whether an include text, delimiters and leading dots left out, is the end of the path.
fn names_end(path: &str, inc: &str) -> bool {
    let mut t = inc.trim_matches(|c| matches!(c, '"' | '<' | '>'));
    while let Some(rest) = t.strip_prefix("../").or_else(|| t.strip_prefix("./")) {
        t = rest;
    }
    path.strip_suffix(t).is_some_and(|front| front.is_empty() || front.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_lines_and_nothing_else() {
        let text = b"#include <linux/mm.h>\n # include \"a b.h\"\n// see include <x.h>\n#include NAME\n#include <cut\n\
            int include;\nx #include <no.h>\n#include <last.h>";
        let mut got = Vec::new();
        includes_of(text, &mut |i| got.push(i.to_string()));
        assert_eq!(got, ["<linux/mm.h>", "\"a b.h\"", "<last.h>"]);
    }

    #[test]
    fn includes_in_odd_forms_are_read() {
        let text = b"/* a */ #include /* b */ <a.h>\n#include \\\n \"b.h\"\n#define C <c.h>\n#include C\n#include D\n\
            * #include <no.h>\n#define E E\n#include E\n#include /*";
        let mut got = Vec::new();
        includes_of(text, &mut |i| got.push(i.to_string()));
        assert_eq!(got, ["<a.h>", "\"b.h\"", "<c.h>"]);
    }

    #[test]
    fn of_a_large_file_the_includes_are_noted_once() {
        let dir = tempfile::tempdir().unwrap();
        let table = "#define REGISTER 1234567890 /* a; b */\n".repeat(100_000);
        std::fs::write(dir.path().join("a.h"), format!("#include <a.h>\n{table}#include <b.h>\n{table}#include <c.h>"))
            .unwrap();
        std::fs::write(dir.path().join("b.h"), format!("#include <a.h>\n{table}#include <b.h>\nint f(void)\n{{\n}}\n"))
            .unwrap();
        std::fs::write(dir.path().join("c.h"), "#include <c.h>\n").unwrap();
        let tree = SourceTree::open(dir.path(), &crate::discover::Options::default()).unwrap();
        assert_eq!(tree.survey(&["REGISTER"], &[]), [FileId(1)]);
        let of = |file| {
            let mut all = Vec::new();
            tree.includes(FileId(file), &mut |text, _| all.push(text.to_string()));
            all
        };
        assert_eq!(of(0), ["<a.h>", "<b.h>", "<c.h>"]);
        assert_eq!(of(1), ["<a.h>", "<b.h>"]);
        assert_eq!(of(2), ["<c.h>"]);
        assert_eq!([0, 1, 2].map(|f| tree.has_code(FileId(f))), [false, true, false]);
    }

    #[test]
    fn a_table_of_constants_is_read_at_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let table = "#define REGISTER 1234567890\n".repeat(100_000);
        let write = |name: &str, end: &str| {
            std::fs::write(dir.path().join(name), format!("#include <a.h>\n{table}#include <b.h>\n{table}{end}"))
                .unwrap();
        };
        write("a.h", "#include <c.h>\n#endif\n");
        // What ends in another way is read whole.
        write("b.h", "#include <c.h>\nint x;\n");
        write("c.h", "#include <c.h>\nint f(void)\n{\n}\n");
        let tree = SourceTree::open(dir.path(), &crate::discover::Options::default()).unwrap();
        assert_eq!(tree.survey(&["REGISTER"], &[]), [FileId(2)]);
        assert_eq!(tree.tables(), 1);
        let of = |file| {
            let mut all = Vec::new();
            tree.includes(FileId(file), &mut |text, _| all.push(text.to_string()));
            all
        };
        assert_eq!(of(0), ["<a.h>", "<c.h>"]);
        assert_eq!(of(1), ["<a.h>", "<b.h>", "<c.h>"]);
        assert_eq!(of(2), ["<a.h>", "<b.h>", "<c.h>"]);
    }

    #[test]
    fn an_include_names_the_end_of_a_path() {
        assert!(names_end("include/linux/mm.h", "<linux/mm.h>"));
        assert!(names_end("drivers/x/y.h", "\"../x/y.h\""));
        assert!(!names_end("include/linux/mm.h", "<m.h>"));
    }
}
