//! Whether pages outlive the call that pins them: from which entry points the pin and its releases are reached.
//!
//! An entry point is a function that nothing in the files of the trace calls by name: what stands in a table of
//! operations, and what other files call. It looks at names and parentheses only, and says nothing about time: a
//! release from another entry point may still be soon.

use crate::lex;
use crate::program::Program;
use crate::source::{FileId, Loc, Name};
use crate::split::{ItemKind, split};
use crate::trace::{Custody, HolderKind, PinTrace, When};
use std::collections::{BTreeMap, BTreeSet};

/// Pages that stay after the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outlives {
    /// What keeps them.
    pub holder: String,
    /// The function that drops them.
    pub release: Name,
    /// Where.
    pub at: Loc,
    /// The entry point from which it does, and from which they are not pinned.
    pub entry: String,
}

/// The release of a trace that is reached from an entry point which does not pin; `None` when all releases lie within
/// the call that pins, or run when some transfer is done.
pub fn outlives(program: &dyn Program, custody: &Custody, trace: &PinTrace) -> Option<Outlives> {
    let kept = |k| matches!(k, HolderKind::Field | HolderKind::Global);
    let holder = trace.holders.iter().find(|h| kept(h.kind)).filter(|_| !trace.local)?;
    let site = custody.sites.get(trace.site.0 as usize)?;
    let releases: Vec<_> = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)).collect();
    let mut files: BTreeSet<FileId> = trace.functions.iter().map(|l| l.file).collect();
    files.extend(releases.iter().map(|r| r.at.file).chain([site.at.file]));
    let callers = Callers::of(program, &files);
    let from = callers.entries(&site.function);
    releases.into_iter().filter(|r| r.when == When::Normal && !r.context.may_be_atomic).find_map(|r| {
        let entry = callers.entries(&r.function).into_iter().find(|e| !from.contains(e))?;
        let holder = holder.text.clone();
        Some(Outlives { holder, release: r.function.clone(), at: r.at, entry })
    })
}

/// Who calls whom in some files.
struct Callers {
    by: BTreeMap<String, BTreeSet<String>>,
    /// Functions whose address is taken.
    taken: BTreeSet<String>,
}

impl Callers {
    fn of(program: &dyn Program, files: &BTreeSet<FileId>) -> Self {
        let texts: Vec<_> = files.iter().map(|f| program.text(*f)).collect();
        let items: Vec<_> = texts.iter().map(|t| split(t)).collect();
        let functions = || items.iter().flatten().filter(|i| i.kind == ItemKind::Function);
        let known: BTreeSet<&[u8]> = functions().map(|i| i.name.as_bytes()).collect();
        let mut out = Self { by: BTreeMap::new(), taken: BTreeSet::new() };
        for (text, items) in texts.iter().zip(&items) {
            for item in items.iter().filter(|i| i.kind != ItemKind::Prototype) {
                let own = item.span.of(text);
                let words: Vec<_> = lex::code(own).map(|t| (t.span.start, t.span.of(own))).collect();
                let name_at = item.name_span.start.checked_sub(item.span.start);
                for (i, (at, name)) in words.iter().copied().enumerate() {
                    if !known.contains(name) || Some(at) == name_at {
                        continue;
                    }
                    // A label, or a field of that name.
                    let before = i.checked_sub(1).and_then(|j| words.get(j)).map_or(&b""[..], |w| w.1);
                    let after = words.get(i + 1).map_or(&b""[..], |w| w.1);
                    if matches!(before, b"goto" | b"." | b">" | b"->") || after == b":" {
                        continue;
                    }
                    let called = words.get(i + 1).is_some_and(|(_, w)| w.starts_with(b"("));
                    let name = String::from_utf8_lossy(name).into_owned();
                    if item.kind == ItemKind::Function && called {
                        out.by.entry(name).or_default().insert(item.name.to_string());
                    } else {
                        out.taken.insert(name);
                    }
                }
            }
        }
        out
    }
    /// The entry points that reach a function.
    fn entries(&self, function: &str) -> BTreeSet<String> {
        let (mut seen, mut entries) = (BTreeSet::from([function.to_string()]), BTreeSet::new());
        let mut open = vec![function.to_string()];
        while let Some(f) = open.pop() {
            let callers = self.by.get(&f).into_iter().flatten().filter(|c| **c != f);
            let mut any = false;
            for c in callers {
                any = true;
                if seen.insert(c.clone()) {
                    open.push(c.clone());
                }
            }
            if !any || self.taken.contains(&f) {
                entries.insert(f);
            }
        }
        entries
    }
}
