//! The patch that fixes a bug before the conversion that stands on the fix: subject, body, and what to look at.
//!
//! Every sentence is made from the fix and its proof. `Fixes:` is what `git blame` says of the lines that brought the
//! bug about, where the history reaches their commits; else a gap is left for the sender. It knows nothing of other
//! patches but that a conversion follows.

use super::below;
use super::message::{self, Frame};
use super::order;
use super::text::{self, SUBJECT, list};
use crate::decide::Order;
use crate::kernel::Api;
use crate::run::{HandedBug, HandedFix, UnsignedResult};
use std::collections::BTreeSet;

/// The fixes of one patch.
pub enum Fix<'a> {
    /// A result that becomes signed.
    Unsigned(&'a HandedFix, &'a UnsignedResult),
    /// All dirtying of one file that a group of plans strengthens.
    Dirtying(Vec<&'a HandedFix>),
}

impl Fix<'_> {
    /// The patches of the fixes of a group. Dirtying is one patch a file: the lines of a file mostly have one commit to
    /// name in `Fixes:`, stable trees take or leave a file, and a fix is taken back by itself.
    pub fn patches<'a>(fixes: &[&'a HandedFix]) -> Vec<Fix<'a>> {
        let mut out: Vec<Fix<'a>> = Vec::new();
        for &fix in fixes {
            if let HandedBug::Unsigned(bug) = &fix.bug {
                out.push(Fix::Unsigned(fix, bug));
            }
        }
        for &fix in fixes.iter().filter(|f| matches!(f.bug, HandedBug::Dirtying(_))) {
            let same = |p: &&mut Fix<'a>| matches!(p, Fix::Dirtying(_)) && p.path() == fix.file.path;
            match out.iter_mut().find(same) {
                Some(Fix::Dirtying(all)) => all.push(fix),
                _ => out.push(Fix::Dirtying(vec![fix])),
            }
        }
        out
    }
    /// The fixes.
    pub fn all(&self) -> &[&HandedFix] {
        match self {
            Fix::Unsigned(fix, _) => std::slice::from_ref(fix),
            Fix::Dirtying(all) => all,
        }
    }
    /// The file.
    pub fn path(&self) -> &str {
        self.all().first().map_or("", |f| &f.file.path)
    }
    /// Lines that brought the bug about.
    pub fn lines(&self) -> Vec<u32> {
        let lines: BTreeSet<u32> = self.all().iter().flat_map(|f| f.lines.iter().copied()).collect();
        lines.into_iter().collect()
    }
    /// The functions that take the page lock, and too little is known of other locks.
    pub fn unordered(&self) -> Vec<String> {
        order::of_fixes(self.all())
    }
    /// Runs of the proofs.
    pub fn runs(&self) -> u64 {
        self.all().iter().map(|f| f.runs).sum()
    }
    /// What the proofs took for granted.
    pub fn assumed(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.all().iter().flat_map(|f| &f.assumed).collect();
        all.into_iter().cloned().collect()
    }
    /// The functions, as `name()`, in the order of the text, whose dirtying by a call that `pick` takes is mended.
    fn functions(&self, pick: impl Fn(&str) -> bool) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for fix in self.all() {
            let HandedBug::Dirtying(calls) = &fix.bug else { continue };
            for (function, _) in calls.iter().filter(|(_, call)| pick(call)) {
                let name = format!("{function}()");
                if !out.contains(&name) {
                    out.push(name);
                }
            }
        }
        out
    }
}

/// The subject, without `[PATCH]`: at most [`SUBJECT`] columns.
pub fn subject(prefix: &str, fix: &Fix<'_>) -> String {
    let short = prefix.rsplit(['/', ':']).next().unwrap_or(prefix).trim();
    let choices = match fix {
        Fix::Unsigned(_, bug) => {
            let (to, api) = (kind(bug), &bug.api);
            let short_of = format!("keep the result of the pin in {to}");
            [(prefix, format!("keep the result of {api}() in {to}")), (prefix, short_of.clone()), (short, short_of)]
        }
        Fix::Dirtying(_) => {
            let functions: Vec<String> = fix.functions(|_| true);
            let short_of = "dirty user pages with set_page_dirty_lock()".to_string();
            let named = format!("use set_page_dirty_lock() in {}", list(&functions));
            [(prefix, named), (prefix, short_of.clone()), (short, short_of)]
        }
    };
    let mut all = choices.into_iter().map(|(p, rest)| format!("{p}: {rest}"));
    let fits = |s: &String| s.chars().count() <= SUBJECT;
    all.clone().find(fits).or_else(|| all.next_back()).unwrap_or_default().chars().take(SUBJECT).collect()
}

/// `an int`, `a long`
fn kind(bug: &UnsignedResult) -> String {
    if bug.to == "int" { "an int".into() } else { format!("a {}", bug.to) }
}

/// The body, wrapped, with a final newline; `blamed` is the line behind `Fixes:`.
pub fn body(fix: &Fix<'_>, frame: &Frame, blamed: Option<&str>) -> String {
    let out = match fix {
        Fix::Unsigned(_, bug) => unsigned(bug, frame),
        Fix::Dirtying(_) => dirtying(fix, frame),
    };
    let mut body = text::body(&out);
    if let Some(commit) = blamed {
        // A tag is one line, however long.
        body.push_str(&format!("\nFixes: {commit}\n"));
    }
    body
}

/// What the bug of dirtying is, and what the patch does about it.
fn dirtying(fix: &Fix<'_>, frame: &Frame) -> Vec<String> {
    let mark = |functions: &[String]| if functions.len() == 1 { "marks" } else { "mark" };
    let (unlocked, flags) =
        (fix.functions(|call| call == "set_page_dirty"), fix.functions(|call| call == "SetPageDirty"));
    let mut out = Vec::new();
    // v5.2 mm/page-writeback.c, the comment at set_page_dirty_lock().
    if !unlocked.is_empty() {
        out.push(format!(
            "{} {} user pages dirty with set_page_dirty(), without the page lock: truncation may take the page off \
             the mapping meanwhile and the mapping be freed, unless something holds the inode.",
            list(&unlocked),
            mark(&unlocked)
        ));
    }
    // v5.2 include/linux/page-flags.h sets the flag, fs/buffer.c __set_page_dirty_buffers() does all of it.
    if !flags.is_empty() {
        out.push(format!(
            "{} {} user pages dirty with SetPageDirty(), which sets only the flag of the page: neither its buffers nor its \
             mapping is marked, so what was written to a page of a file may never reach the disk.",
            list(&flags),
            mark(&flags)
        ));
    }
    let which = match (unlocked.is_empty(), flags.is_empty()) {
        (false, true) => "takes the page lock",
        (true, _) => "takes the page lock and marks both",
        (false, false) => "takes the page lock, and marks the buffers and the mapping, too",
    };
    let orders = fix.all().iter().map(|f| f.order.clone());
    let order = orders.reduce(Order::and).unwrap_or(Order::Open);
    out.push(format!(
        "Use set_page_dirty_lock() instead, which {which}. It may sleep for the lock; {}",
        order::locks(&order)
    ));
    out.push(format!(
        "{}, which ran the old and the new code on a model of the page functions: no difference but in how pages are marked \
         dirty.",
        message::generated(frame)
    ));
    out
}

/// What the bug of an unsigned result is, and what the patch does about it.
fn unsigned(fix: &UnsignedResult, frame: &Frame) -> Vec<String> {
    let UnsignedResult { function, variable, api, from, .. } = fix;
    let mut bug = format!(
        "{function}() keeps the result of {api}() in {variable}, which is unsigned. The function returns {}: the \
         number of pages that it got, or a negative error code. As {} {from}, an error code is larger than any count \
         of pages",
        kind(fix),
        if from.starts_with('u') { "an" } else { "a" },
    );
    match (&fix.guard, &fix.release) {
        (Some(guard), Some(release)) => bug.push_str(&format!(
            ", so it passes `if ({guard})`, and {release}() is called with an error code for a number of pages, and an \
             array in which the call left no page."
        )),
        (None, Some(release)) => {
            bug.push_str(&format!(", and {release}() is called with it for a number of pages."));
        }
        (Some(guard), None) => bug.push_str(&format!(
            ", so it passes `if ({guard})`, and entries of the array in which the call left no page are released."
        )),
        (None, None) => bug.push_str(", and entries of the array in which the call left no page are released."),
    }
    if fix.release.as_deref() == Some("release_pages") {
        bug.push_str(
            " That is harmless as long as release_pages() takes an int, which makes the number negative again. A \
             function that takes an unsigned count would run off the array.",
        );
    } else if let Some(release) = &fix.release
        && Api::get().release(release).is_some_and(|r| r.batch)
    {
        bug.push_str(" It runs off the array.");
    }
    let mut change = format!("Make {variable} {}. A negative result gets to no release then.", kind(fix));
    change.push_str(&format!(" For all other results of {api}() nothing changes."));
    vec![
        bug,
        change,
        format!(
            "{}, which ran the old and the new code on a model of the page functions: no difference for results that are \
             not negative, and for negative ones only the old code gets to the release.",
            message::generated(frame)
        ),
    ]
}

/// What stands below `---`.
pub fn below(fix: &Fix<'_>, blamed: bool) -> String {
    let lines: Vec<String> = fix.lines().iter().map(u32::to_string).collect();
    let of = format!("line{} {} of {}", if lines.len() == 1 { "" } else { "s" }, list(&lines), fix.path());
    let tag = match blamed {
        true => format!(
            "[ To be checked before sending: Fixes: names the newest commit that git blame gives for {of}. It may \
             only have moved them. ]"
        ),
        false => format!(
            "[ To be filled in before sending: a Fixes: tag. The history at hand does not reach the commit that \
             wrote {of}. ]"
        ),
    };
    let needed = match fix {
        Fix::Unsigned(_, bug) => format!(
            "[ The conversion behind this patch needs it: with {} unsigned, the rewrite would not do the same. ]",
            bug.variable
        ),
        Fix::Dirtying(_) => "[ The conversion behind this patch needs it. ]".into(),
    };
    let mut out = vec![below::NOT_TESTED.into(), tag];
    out.extend(order::note(&fix.unordered()));
    out.push(needed);
    text::body(&out)
}
