//! A counterexample as text: inputs, what each version does line by line, the first difference.

use super::compare::Diff;
use super::exec::Machine;
use super::state::{At, Ev, What};
use super::trail::Note;
use super::value::{NameId, TermId, V, World};
use crate::model::Event;
use crate::source::LineMap;

/// Events of one line, and pages, that are told; a reader needs no more of what repeats itself.
const SAME_LINE: usize = 6;

/// What a proof takes for granted. Opaque calls say theirs in every run, so these are told in words at the end only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumed {
    /// The function does not change the references of the pages it is given.
    References(NameId),
    /// The function leaves alone the members that hold the pages and their number.
    Structs(NameId),
    /// In words.
    Text(String),
}

impl Machine<'_> {
    /// `path:line` and the source line of a place.
    fn line(&self, at: At) -> (String, String) {
        let text = if at.after {
            self.task.changed.iter().find(|c| c.file == at.file).map(|c| c.after_text.clone())
        } else {
            None
        }
        .unwrap_or_else(|| self.task.program.text(at.file));
        let map = LineMap::new(&text);
        let n = map.line(at.span.start);
        let end = if n < map.count() { map.start(n + 1) as usize } else { text.len() };
        let line = text.get(map.start(n) as usize..end).unwrap_or(b"");
        let path = self.task.program.path(at.file);
        let name = path.rsplit('/').next().unwrap_or(path);
        (format!("{name}:{n}"), String::from_utf8_lossy(line).trim().to_string())
    }

    /// An event in words.
    pub fn show_event(&self, e: &Ev) -> String {
        match &e.what {
            What::Page(p) => p.to_string(),
            What::TryDirty(p) => format!("page {} is marked dirty", p.folio.0),
            What::Acquire(_, r) => format!("the pin call, which returns {r}"),
            What::Call(n, args) => format!("{}({})", self.w.spell(*n), list(&self.w, args)),
            What::Free(t) => format!("the freeing of {}", self.w.show(*t)),
            What::Barrier(n) => format!("{}()", self.w.spell(*n)),
        }
    }

    /// What the proof takes for granted.
    pub fn tell_assumed(&self, a: &Assumed) -> String {
        match a {
            Assumed::References(n) => {
                format!("{}() does not change the references of the pages it is given", self.w.spell(*n))
            }
            Assumed::Structs(n) => {
                format!("{}() does not store into the members that hold the pages and their number", self.w.spell(*n))
            }
            Assumed::Text(text) => text.clone(),
        }
    }

    /// The whole story.
    pub fn story(&self, d: &Diff) -> String {
        let mut out = String::new();
        let r = &self.regions[d.region];
        out.push_str(&format!("{}: {}\n", self.task.program.path(r.file), d.what));
        // Of a number that is known, how it compared does not matter.
        let known = |t: &TermId| d.notes.iter().any(|n| matches!(n, Note::Value(x, V::Int(..)) if x == t));
        let told = d.notes.iter().filter(|n| !matches!(n, Note::Compared(t, ..) if known(t)));
        let facts: Vec<String> = told.filter_map(|n| self.fact(n)).collect();
        if !facts.is_empty() {
            out.push_str("given\n");
            let mut said: Vec<String> = Vec::new();
            for f in facts {
                if !said.contains(&f) {
                    out.push_str(&format!("  {f}\n"));
                    said.push(f);
                }
            }
        }
        for (k, name) in ["before", "after"].iter().enumerate() {
            out.push_str(&format!("{name}\n"));
            let mut last = None;
            let mut same = 0;
            for e in &d.logs[k] {
                let text = match &e.what {
                    What::Page(Event::MightSleep | Event::Lock(_) | Event::Unlock(_)) | What::TryDirty(_) => continue,
                    _ => self.show_event(e),
                };
                let (place, line) = self.line(e.at);
                if last.as_ref() == Some(&(place.clone(), line.clone())) {
                    same += 1;
                    if same == SAME_LINE {
                        out.push_str(&format!("  {:width$}  …\n", "", width = place.len()));
                    }
                    if same >= SAME_LINE {
                        continue;
                    }
                    out.push_str(&format!("  {:width$}  -> {text}\n", "", width = place.len()));
                } else {
                    out.push_str(&format!("  {place}  {line}\n  {:width$}  -> {text}\n", "", width = place.len()));
                    last = Some((place, line));
                    same = 0;
                }
            }
            if k == 1
                && let Some(at) = d.fault_at
            {
                let (place, line) = self.line(at);
                out.push_str(&format!("  {place}  {line}\n"));
            }
            if last.is_none() && (k == 0 || d.fault_at.is_none()) {
                out.push_str("  nothing is released or dirtied\n");
            }
            out.push_str(&format!("  => {}\n", d.ends[k]));
        }
        for p in d.pages.iter().take(SAME_LINE) {
            out.push_str(&format!("{p}\n"));
        }
        out
    }

    fn fact(&self, n: &Note) -> Option<String> {
        Some(match n {
            Note::Text(s) => s.clone(),
            Note::Truth(t, b) => match self.w.get(*t) {
                super::value::Term::Bin(..) | super::value::Term::Un(..) => {
                    format!("{} is {}", self.w.show(*t), if *b { "true" } else { "false" })
                }
                _ => format!("{} is {}", self.w.show(*t), if *b { "set" } else { "NULL or 0" }),
            },
            Note::Compared(t, op, c) => format!("{} {op} {c}", self.w.show_operand(*t)),
            // Entries far behind repeat the first ones.
            Note::Value(_, V::Page(p)) if usize::from(p.folio.0) > SAME_LINE => return None,
            Note::Value(t, V::Page(p)) => format!("{} is {}", self.w.show(*t), self.w.show_value(V::Page(*p))),
            Note::Value(t, v) => format!("{} is {}", self.w.show(*t), self.w.show_value(*v)),
        })
    }
}

fn list(w: &World, args: &[TermId]) -> String {
    args.iter().map(|&t| w.show(t)).collect::<Vec<_>>().join(", ")
}
