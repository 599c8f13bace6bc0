//! Whether pages outlive the call that pins them: from which entry points the pin and its releases are reached.
//!
//! An entry point is a function that nothing in the files of the trace calls by name: what stands in a table of
//! operations, and what other files call. It looks at names and parentheses only, and says nothing about time: a
//! release from another entry point may still be soon.

use crate::kernel::{Api, ContextFn};
use crate::lex::{self, TokKind, Token};
use crate::program::Program;
use crate::source::{FileId, Loc, Name, Span};
use crate::split::{Item, ItemKind, split};
use crate::trace::{Custody, HolderKind, PinSite, PinTrace, Release, When};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// What is found in some files.
struct First {
    outlives: Outlives,
    /// Nothing in them calls the entry point, and other files can.
    library: bool,
}

/// The files of traces, each looked at once: traces of one driver ask about the same files again and again.
pub struct Entries<'a> {
    program: &'a dyn Program,
    files: Mutex<FxHashMap<FileId, Arc<Named>>>,
}

impl<'a> Entries<'a> {
    /// Nothing is read yet.
    pub fn new(program: &'a dyn Program) -> Self {
        Self { program, files: Mutex::default() }
    }

    /// The program that is asked.
    pub fn program(&self) -> &'a dyn Program {
        self.program
    }

    /// The release of a trace that is reached from an entry point which does not pin; `None` when all releases lie
    /// within the call that pins, or run when some transfer is done.
    pub fn outlives(&self, custody: &Custody, trace: &PinTrace) -> Option<Outlives> {
        let kept = |k| matches!(k, HolderKind::Field | HolderKind::Global);
        let holder = trace.holders.iter().find(|h| kept(h.kind)).filter(|_| !trace.local)?;
        let site = custody.sites.get(trace.site.0 as usize)?;
        let releases: Vec<_> = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)).collect();
        let mut files: BTreeSet<FileId> = trace.functions.iter().map(|l| l.file).collect();
        let pins = releases.iter().flat_map(|r| &r.pins).filter_map(|p| custody.sites.get(p.0 as usize));
        let pins: Vec<_> = pins.chain([site]).collect();
        files.extend(releases.iter().map(|r| r.at.file).chain(pins.iter().map(|s| s.at.file)));
        let awaited = self.awaited(site, &releases);
        let late: Vec<&Release> = releases.iter().filter(|r| !awaited.contains(&r.at)).copied().collect();
        let first = |files: &BTreeSet<FileId>| self.first(custody, (trace, &holder.text), site, &late, files);
        let found = first(&files)?;
        // Others call it: where they do, they may pin as well.
        if found.library {
            let near = |name: &str| self.program.naming_nearby(site.at.file, name);
            files.extend(near(&found.outlives.entry));
            files.extend(pins.iter().flat_map(|s| near(&s.function)));
            return first(&files).map(|f| f.outlives);
        }
        Some(found.outlives)
    }

    /// The same for pages that stay until the last user of an object is gone: its entry point is one that is called
    /// then, such as the release of a file. No end of a transfer is taken for it, however it is told.
    pub fn until_closed(&self, custody: &Custody, trace: &PinTrace) -> Option<Outlives> {
        let holder = trace.holders.iter().find(|h| h.kind == HolderKind::Field).filter(|_| !trace.local)?;
        let site = custody.sites.get(trace.site.0 as usize)?;
        let releases: Vec<_> = trace.releases.iter().filter_map(|r| custody.releases.get(r.0 as usize)).collect();
        let files: BTreeSet<FileId> = releases.iter().map(|r| r.at.file).chain([site.at.file]).collect();
        let files: Vec<Arc<Named>> = files.iter().map(|f| self.named(*f)).collect();
        let callers = Callers::of(&files);
        let own = callers.entries(&site.function);
        releases.iter().filter(|r| r.when == When::Normal && !r.context.may_be_atomic).find_map(|r| {
            let entries = callers.entries(&r.function);
            let entry = entries.into_iter().find(|e| callers.closing.contains(e) && !own.contains(e))?;
            let holder = nearest(trace, &files, entry).unwrap_or(&holder.text).to_string();
            let (release, entry) = (r.function.clone(), entry.to_string());
            Some(Outlives { holder, release, at: r.at, entry })
        })
    }

    /// Releases behind which the end of a transfer is told, where the function that pins waits for one. Who is
    /// interrupted there leaves early, and the pages go with the transfer nevertheless.
    fn awaited(&self, site: &PinSite, releases: &[&Release]) -> BTreeSet<Loc> {
        let api = Api::get();
        let tells = |at: Loc, waits: bool| {
            let mut found = false;
            if let Some(f) = self.program.function_at(at) {
                f.body.walk_exprs(&mut |e| {
                    let here = |n: &Name| api.context(n) == Some(ContextFn::Transfer(waits));
                    found |= e.span.start > at.span.end && e.call().is_some_and(|(n, _)| here(n));
                });
            }
            found
        };
        if !tells(site.at, true) {
            return BTreeSet::new();
        }
        releases.iter().map(|r| r.at).filter(|at| tells(*at, false)).collect()
    }

    /// The first release that these files do not show to be in a call that pins, by this site or by another one whose
    /// pages it drops as well.
    fn first(
        &self,
        custody: &Custody,
        (trace, holder): (&PinTrace, &str),
        site: &PinSite,
        releases: &[&Release],
        files: &BTreeSet<FileId>,
    ) -> Option<First> {
        let files: Vec<Arc<Named>> = files.iter().map(|f| self.named(*f)).collect();
        let callers = Callers::of(&files);
        let own = callers.entries(&site.function);
        releases.iter().filter(|r| r.when == When::Normal && !r.context.may_be_atomic).find_map(|r| {
            let others = r.pins.iter().filter_map(|p| custody.sites.get(p.0 as usize));
            let others: BTreeSet<&str> = others.flat_map(|s| callers.entries(&s.function)).collect();
            let pins = |e: &&str| own.contains(*e) || others.contains(*e);
            let found = callers.entries(&r.function).into_iter().find(|e| !pins(e))?;
            // A function that makes the object reaches the release as well, on its way out after an error, when there
            // are no pages yet: a better witness is one that gets there another way.
            let entry = callers.reaching(&r.function, false).into_iter().find(|e| !pins(e)).unwrap_or(found);
            let (release, entry) = (r.function.clone(), entry.to_string());
            let library = callers.library(&entry);
            let holder = nearest(trace, &files, &entry).unwrap_or(holder).to_string();
            Some(First { outlives: Outlives { holder, release, at: r.at, entry }, library })
        })
    }

    fn named(&self, file: FileId) -> Arc<Named> {
        if let Some(known) = lock(&self.files).get(&file) {
            return known.clone();
        }
        let named = Arc::new(Named::of(self.program.text(file)));
        lock(&self.files).entry(file).or_insert(named).clone()
    }
}

/// The first field of the trace whose struct is named beside the entry point: pages of several users come to the
/// release of a library, and each has a field of its own.
fn nearest<'t>(trace: &'t PinTrace, files: &[Arc<Named>], entry: &str) -> Option<&'t str> {
    let defines = |f: &&Arc<Named>| f.items.iter().any(|i| i.kind == ItemKind::Function && &*i.name == entry);
    let text = &files.iter().find(defines)?.text;
    let fields = trace.holders.iter().filter(|h| h.kind == HolderKind::Field);
    let named = |tag: &str| lex::code(text).any(|t| t.kind == TokKind::Ident && t.span.of(text) == tag.as_bytes());
    fields.map(|h| h.text.as_str()).find(|field| field.split_once('.').is_some_and(|(tag, _)| named(tag)))
}

/// A word of a file.
struct Word {
    span: Span,
    /// Number of the item that names it.
    item: u32,
    /// A call.
    called: bool,
    /// Behind a label: mostly the way out after an error.
    labelled: bool,
    /// Stored as what is called when the last user of an object is gone.
    closes: bool,
}

/// What a file names, and where.
struct Named {
    text: Arc<[u8]>,
    items: Vec<Item>,
    /// Each once, where it stands first.
    words: Vec<Word>,
}

impl Named {
    fn of(text: Arc<[u8]>) -> Self {
        let items = split(&text);
        let mut words = Vec::new();
        let mut seen: FxHashSet<(&[u8], u32, bool)> = FxHashSet::default();
        for (number, item) in (0..).zip(&items) {
            let own = item.span.of(&text);
            // Neither takes the address of a function.
            if item.kind == ItemKind::Prototype || own.trim_ascii_start().starts_with(b"EXPORT_SYMBOL") {
                continue;
            }
            let tokens: Vec<Token> = lex::code(own).collect();
            let word = |i: Option<usize>| i.and_then(|i| tokens.get(i)).map_or(&b""[..], |t| t.span.of(own));
            let mut labelled = false;
            for (i, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind == TokKind::Ident) {
                let at = item.span.start + token.span.start;
                let (before, after) = (word(i.checked_sub(1)), word(Some(i + 1)));
                labelled |= after == b":" && matches!(before, b";" | b"}") && word(Some(i)) != b"default";
                // A label, or a field of that name.
                if at == item.name_span.start || matches!(before, b"goto" | b"." | b">") || after == b":" {
                    continue;
                }
                let called = item.kind == ItemKind::Function && after == b"(";
                let member = || word(i.checked_sub(2)).iter().map(|b| *b as char).collect::<String>();
                let table = Span { start: item.span.start, end: item.name_span.start };
                let closes = before == b"="
                    && word(i.checked_sub(3)) == b"."
                    && Api::get().closes(&String::from_utf8_lossy(table.of(&text)), &member());
                if seen.insert((token.span.of(own), number, called)) {
                    let span = Span { start: at, end: item.span.start + token.span.end };
                    words.push(Word { span, item: number, called, labelled, closes });
                }
            }
        }
        drop(seen);
        Self { text, items, words }
    }
}

/// Who calls whom in some files.
struct Callers<'f> {
    /// Function to its callers, each with whether all of its calls stand behind a label.
    by: FxHashMap<&'f str, BTreeMap<&'f str, bool>>,
    /// Functions whose address is taken.
    taken: FxHashSet<&'f str>,
    /// Those among them that are called when the last user of an object is gone.
    closing: FxHashSet<&'f str>,
    /// Functions that other files can call by name.
    seen: FxHashSet<&'f str>,
}

impl<'f> Callers<'f> {
    fn of(files: &'f [Arc<Named>]) -> Self {
        let functions = files.iter().flat_map(|f| &f.items).filter(|i| i.kind == ItemKind::Function);
        let seen = functions.clone().filter(|i| !i.is_static).map(|i| &*i.name).collect();
        let known: FxHashMap<&[u8], &str> = functions.map(|i| (i.name.as_bytes(), &*i.name)).collect();
        let mut out =
            Self { by: FxHashMap::default(), taken: FxHashSet::default(), closing: FxHashSet::default(), seen };
        for file in files {
            for w in &file.words {
                let Some(&name) = known.get(w.span.of(&file.text)) else { continue };
                if w.called {
                    let caller = &*file.items[w.item as usize].name;
                    *out.by.entry(name).or_default().entry(caller).or_insert(true) &= w.labelled;
                } else {
                    out.taken.insert(name);
                    if w.closes {
                        out.closing.insert(name);
                    }
                }
            }
        }
        out
    }
    /// A function that is an entry point because nobody in these files calls it, and others can.
    fn library(&self, function: &str) -> bool {
        self.seen.contains(function) && !self.taken.contains(function)
    }
    /// The entry points that reach a function.
    fn entries<'a>(&self, function: &'a str) -> BTreeSet<&'a str>
    where
        'f: 'a,
    {
        self.reaching(function, true)
    }
    /// The entry points that reach a function, by all calls or by those that stand before any label only.
    fn reaching<'a>(&self, function: &'a str, labelled: bool) -> BTreeSet<&'a str>
    where
        'f: 'a,
    {
        let (mut seen, mut entries) = (BTreeSet::from([function]), BTreeSet::new());
        let mut open = vec![function];
        while let Some(f) = open.pop() {
            let callers = self.by.get(f).into_iter().flatten().filter(|(c, _)| **c != f);
            let mut any = false;
            for (c, late) in callers {
                any = true;
                if (labelled || !late) && seen.insert(c) {
                    open.push(c);
                }
            }
            if !any || self.taken.contains(f) {
                entries.insert(f);
            }
        }
        entries
    }
}

/// The map is valid at any time, whatever another thread did.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}
