//! Subject and body of a patch. Every sentence is made from a fact of that patch; what is not known is not said.
//!
//! Both worlds are handled by looking at the calls that come and go: `put_user_page*()` for releases alone, and
//! `pin_user_pages*()` with `unpin_user_page*()` where the acquiring call changes, too. It knows nothing of git.
//! It never writes a Signed-off-by or any other tag in the name of a person.

use super::completed;
use super::effects::{differences, dirties};
use super::facts::Facts;
use super::known::Known;
use super::text::{self, SUBJECT, list, named, short_list};
use crate::kernel::Api;
use crate::kernel::document::Document;
use crate::run::{Evidence, FunctionChange, Leading};
use std::collections::BTreeSet;

/// What all messages of a series have in common.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The command that makes the series, as it can be repeated in the root of the tree.
    pub command: String,
    /// Where the tool can be had.
    pub tool_url: Option<String>,
    /// `commit 0123456789ab ("title")` of the change that introduced the functions, if the history has it.
    pub introduced: Option<String>,
    /// The series brings the functions itself.
    pub brings_functions: bool,
    /// Subject of the patch that brings the array functions where there is no MMU.
    pub nommu: Option<String>,
    /// What the tree's Documentation/core-api/pin_user_pages.rst has.
    pub document: Document,
    /// What the header says of put_user_page().
    pub header: Header,
    /// What the tree says of its functions.
    pub known: Known,
    /// The tree is a checkout: the mails have the date of a commit.
    pub in_git: bool,
    /// On what the series is based, where that has to be said in words.
    pub base: Vec<String>,
}

/// What include/linux/mm.h says of put_user_page().
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Its body is one call of put_page(), on the same page.
    pub is_put_page: bool,
    /// Its comment says that pages of get_user_pages*() must be released by it.
    pub demands: bool,
}

impl Header {
    /// Reads the header.
    pub fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let words: Vec<&str> = text.split_whitespace().filter(|w| *w != "*").collect();
        let text = words.join(" ");
        Self {
            is_put_page: text.contains("put_user_page(struct page *page) { put_page(page); }"),
            demands: text.contains(
                "Pages that were pinned via get_user_pages*() must be released via either put_user_page(), or one of the \
                 put_user_pages*() routines",
            ),
        }
    }
}

/// Functions named in a sentence before it says how many more there are.
const MOST_NAMES: usize = 4;

/// The subject, without `[PATCH]`: at most [`SUBJECT`] columns.
pub fn subject(prefix: &str, facts: &Facts<'_>) -> String {
    if facts.completes {
        return completed::subject(prefix, facts);
    }
    let (old, new) = renamed(facts);
    // A fix of a bug must be seen without opening the mail.
    let fix = if facts.fixes_dirtying() { ", fix dirtying" } else { "" };
    let least = format!("convert to {}{fix}", family(new));
    let short = prefix.rsplit(['/', ':']).next().unwrap_or(prefix).trim();
    let choices = [
        (prefix, format!("convert {} to {}{fix}", calls(old), calls(new))),
        (prefix, format!("convert {} to {}{fix}", family(old), family(new))),
        (prefix, format!("convert to {}{fix}", calls(new))),
        (prefix, least.clone()),
        (short, least.clone()),
    ];
    choices
        .into_iter()
        .map(|(p, rest)| format!("{p}: {rest}"))
        .find(|s| s.chars().count() <= SUBJECT)
        .unwrap_or_else(|| least.chars().take(SUBJECT).collect())
}

/// `Convert put_page() to put_user_page*()`, for all of a series.
pub fn title(facts: &Facts<'_>) -> String {
    let (old, new) = renamed(facts);
    if facts.completes {
        return format!("Drop pins with {}", family(new));
    }
    format!("Convert {} to {}", family(old), family(new))
}

/// The calls that a subject names: those that acquire where they change, else those that release.
fn renamed<'f>(facts: &'f Facts<'_>) -> (&'f [String], &'f [String]) {
    match facts.new_acquires.is_empty() {
        true => (&facts.old_releases, &facts.new_releases),
        false => (&facts.old_acquires, &facts.new_acquires),
    }
}

/// The body, wrapped, with a final newline.
pub fn body(facts: &Facts<'_>, frame: &Frame) -> String {
    if facts.completes {
        return completed::body(facts, frame);
    }
    let mut out = purpose(facts, frame);
    behaviour(facts, frame, &mut out);
    out.push(disclosure(facts, frame));
    text::body(&out)
}

/// The body of a patch that comes before all conversions.
pub fn leading_body(patch: &Leading, frame: &Frame) -> String {
    let mut out = patch.body.clone();
    out.push(format!("{}.", generated(frame)));
    text::body(&out)
}

/// Why the patch is made, and which calls change where.
fn purpose(facts: &Facts<'_>, frame: &Frame) -> Vec<String> {
    let (pinning, apis) = who_pins(facts);
    let pins = !facts.new_acquires.is_empty();
    let single = facts.sites.iter().all(|s| s.count == "1");
    let verb = match (pins, pinning.len()) {
        (false, 1) => "pins",
        (false, _) => "pin",
        (true, 1) => "gets",
        (true, _) => "get",
    };
    let what = if single && pinning.len() == 1 { "a user page" } else { "user pages" };
    let mut first = format!("{} {verb} {what} with {}.", short_list(&pinning, MOST_NAMES, "function"), apis);
    let (removed, told): (Vec<&FunctionChange>, Vec<&FunctionChange>) =
        facts.functions.iter().filter(|f| !line(f).is_empty()).partition(|f| !f.made_by.is_empty());
    let same_file = told.windows(2).all(|w| w[0].path == w[1].path);
    let removes = !removed.is_empty();
    let alike = same_file && !removes && told.windows(2).all(|w| line(w[0]) == line(w[1]));
    let no_loops = told.iter().all(|f| f.loops_gone == 0);
    let names: Vec<String> = told.iter().map(|f| format!("{}()", f.name)).collect();
    let them = if what == "a user page" { "it" } else { "them" };
    let there = match (removes, pins) {
        (true, _) => "The other calls change",
        (false, true) => "The calls change",
        (false, false) if what == "a user page" => "The code that releases it is",
        (false, false) => "The code that releases them is",
    };
    let why = "pages of get_user_pages*() have to be told from those with other references before file systems and writeback \
               can deal with pinned pages";
    if pins {
        first.push_str(&case(facts, frame, what == "a user page"));
        first.push_str(&format!(
            " Get {them} with {} and release {them} with {}, so that the kernel can tell a pinned page from one that merely \
             has references.",
            named(&facts.new_acquires, "and"),
            named(&facts.new_releases, "or"),
        ));
    } else if alike && no_loops && names == pinning {
        first.truncate(first.len() - 1);
        first.push_str(&format!(
            ", and {} again. Use {} for that instead of {}: {why}.",
            match (pinning.len(), single) {
                (1, true) => "releases it",
                (1, false) => "releases them",
                _ => "release them",
            },
            named(&facts.new_releases, "or"),
            named(&facts.old_releases, "or"),
        ));
    } else if alike && no_loops {
        first.push_str(&format!(
            " The code that releases {them} is in {}. Use {} there instead of {}: {why}.",
            list(&names),
            named(&facts.new_releases, "or"),
            named(&facts.old_releases, "or"),
        ));
    } else {
        first.push_str(&format!(
            " Release {} with {} instead of {}: {why}.",
            if what == "a user page" { "it" } else { "them" },
            named(&facts.new_releases, "or"),
            named(&facts.old_releases, "or"),
        ));
    }
    if let Some(commit) = &frame.introduced {
        first.push_str(&format!(" For the background, see {commit}."));
    } else if frame.brings_functions {
        first.push_str(" The functions are added at the start of this series.");
    }
    // Patches that only rename say so in the sentence that nothing changes.
    if !pins && frame.header.is_put_page && !facts.only_renames() {
        first.push_str(" For now put_user_page() only calls put_page().");
    }
    let mut out = vec![first];
    match told.as_slice() {
        [] => {}
        _ if !pins && alike && no_loops => {}
        [one] => {
            // Of releases there may be more that nobody has to change.
            let only = if pins { " only" } else { "" };
            out.push(format!("{there} in {}(){only}: {}.", one.name, line(one)));
        }
        many => {
            out.push(format!("{there} in:"));
            for f in many {
                let alone = many.iter().filter(|o| o.name == f.name).count() == 1;
                let file = if alone { String::new() } else { format!(" ({})", f.path) };
                out.push(format!("- {}(){file}: {}", f.name, line(f)));
            }
        }
    }
    out.extend(removed.iter().map(|f| format!("{}() is removed: {}.", f.name, line(f))));
    out.extend(apart(facts));
    out.extend(long(facts, frame));
    out
}

/// Which functions pin, and with which calls.
pub(super) fn who_pins(facts: &Facts<'_>) -> (Vec<String>, String) {
    let (mut pinning, mut apis, mut pairs) = (Vec::new(), Vec::new(), BTreeSet::new());
    for s in &facts.sites {
        let (f, api) = (format!("{}()", s.function), format!("{}()", s.api));
        pairs.insert((f.clone(), api.clone()));
        for (all, name) in [(&mut pinning, f), (&mut apis, api)] {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    // Each function has one of its own, in the same order.
    let each = pairs.len() == pinning.len() && apis.len() == pinning.len() && (2..=MOST_NAMES).contains(&apis.len());
    let ending = if each { ", respectively" } else { "" };
    let apis = format!("{}{ending}", list(&apis));
    (pinning, apis)
}

/// What keeps pages of another origin from the releases.
fn apart(facts: &Facts<'_>) -> Option<String> {
    let name = |from: &str| match from.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => format!("{from}()"),
        false => from.to_string(),
    };
    let mut by_origin: Vec<(&str, Vec<String>)> = Vec::new();
    for g in &facts.guarded {
        let bare = g.guard.strip_prefix("!(").and_then(|g| g.strip_suffix(')')).filter(|g| !g.contains([' ', '(']));
        let guard = bare.map_or_else(|| g.guard.clone(), |b| format!("!{b}"));
        let told = format!("by `{guard}` in {}()", g.function);
        match by_origin.iter_mut().find(|(from, _)| *from == g.from) {
            Some((_, all)) => all.push(told),
            None => by_origin.push((&g.from, vec![told])),
        }
    }
    let told: Vec<String> =
        by_origin.iter().map(|(from, by)| format!("those of {} {}", name(from), list(by))).collect();
    (!told.is_empty()).then(|| format!("Other pages are kept from these calls, as before: {}.", told.join("; ")))
}

/// That the pages are kept, and what the flag for that, which is left out, would change in this kernel.
fn long(facts: &Facts<'_>, frame: &Frame) -> Option<String> {
    let mut kept: Vec<String> = facts.kept_long().map(|s| format!("{}()", s.function)).collect();
    kept.dedup();
    let all = facts.kept_long().count() == facts.sites.len();
    let whose = match () {
        () if kept.is_empty() => return None,
        () if all => "The pages stay".to_string(),
        () => format!("The pages of {} stay", short_list(&kept, MOST_NAMES, "function")),
    };
    let does = frame.known.long.clauses(facts.kept_long().any(|s| s.write != "never"));
    let would = match does.is_empty() {
        true => String::new(),
        false => format!(": it {}", list(&does)),
    };
    // Memory without struct page counts as pinned in v5.7, where a reference is refused.
    let same = facts.cautions.iter().any(|c| c.contains("without struct page"));
    let so = if same { "" } else { ", so that what can be pinned stays the same" };
    Some(format!(
        "{whose} pinned after the call, which FOLL_LONGTERM is for. That flag would change which memory can be \
         pinned{would}. It is not added here{so}."
    ))
}

/// What the document says of such sites.
fn case(facts: &Facts<'_>, frame: &Frame, one: bool) -> String {
    // Cases 1, 2 and 5 of pin_user_pages.rst: the data is accessed.
    if !facts.sites.iter().all(|s| matches!(s.case, 1 | 2 | 5)) {
        return String::new();
    }
    let mut cases: Vec<String> = facts.sites.iter().map(|s| format!("CASE {}", s.case)).collect();
    cases.sort();
    cases.dedup();
    // What the document is about is named: a case may fit by its reason, and not by its words.
    let of = |case: &str| {
        let about = match case {
            "CASE 1" => "direct I/O",
            "CASE 2" => "RDMA",
            _ => "writing to the data",
        };
        format!("{case} ({about})")
    };
    let as_in = match facts.sites.iter().all(|s| s.case <= frame.document.cases) {
        true => {
            let named: Vec<String> = cases.iter().map(|c| of(c)).collect();
            format!(", as in {} of Documentation/core-api/pin_user_pages.rst", list(&named))
        }
        false => String::new(),
    };
    let pages = if one { "this page" } else { "these pages" };
    let evidence: Vec<&Evidence> = facts.evidence.iter().copied().collect();
    let how = match evidence.as_slice() {
        [Evidence::Device(f)] => format!("A device gets at the data of {pages} ({f}())"),
        [Evidence::DeviceUntil(f)] => format!("A device gets at the data of {pages}, until {f}()"),
        all if !all.is_empty() && all.iter().all(|e| matches!(e, Evidence::Processor(_))) => {
            let calls: Vec<String> = all
                .iter()
                .filter_map(|e| if let Evidence::Processor(f) = e { Some(format!("{f}()")) } else { None })
                .collect();
            format!("The processor gets at the data of {pages} ({}, for instance)", list(&calls))
        }
        [Evidence::Address(f)] => {
            format!("The data of {pages} is reached by the physical address ({f}()), past the page tables")
        }
        [Evidence::Handed(f, to)] => {
            let what = if f.contains("phys") { "physical address" } else { "frame number" };
            let (of, are) = if one { ("this page", "the page is") } else { ("each of these pages", "the pages are") };
            format!(
                "The {what} of {of} ({f}()) goes to {to}(), and {are} kept: the data can be reached by it past the page \
                 tables"
            )
        }
        _ => format!("The data of {pages} is accessed"),
    };
    format!(" {how}, which calls for a pin{as_in}.")
}

/// What becomes of the calls of a function.
fn line(f: &FunctionChange) -> String {
    let api = Api::get();
    if !f.made_by.is_empty() {
        let made: Vec<String> =
            f.made_by.iter().map(|(caller, calls)| format!("{caller}() calls {}", named(calls, "and"))).collect();
        // Two calls are left of a helper only where every caller gave a constant for the choice between them.
        let chose = f.made_by.iter().any(|(_, calls)| f.made_by.first().is_some_and(|(_, first)| first != calls));
        let why = match &f.choice {
            _ if !chose => String::new(),
            Some(parameter) => format!(", as each passed a constant for `{parameter}`"),
            None => ", as each passed a constant for the choice between them".to_string(),
        };
        return format!("{} instead{why}", list(&made));
    }
    let acquires = |n: &&String| api.acquire(n).is_some();
    let releases = |n: &&String| api.release(n).is_some() || api.dirty(n).is_some();
    let becomes = |n: usize| if n == 1 { "becomes" } else { "become" };
    let pick = |names: &[String], which: &dyn Fn(&&String) -> bool| -> Vec<String> {
        names.iter().filter(which).map(|n| format!("{n}()")).collect()
    };
    let mut parts = Vec::new();
    let (old, new) = (pick(&f.gone, &acquires), pick(&f.new, &acquires));
    if !old.is_empty() && !new.is_empty() {
        parts.push(format!("{} {} {}", list(&old), becomes(old.len()), list(&new)));
    }
    let (old, new) = (pick(&f.gone, &releases), pick(&f.new, &releases));
    if !old.is_empty() && !new.is_empty() {
        let (old, new) = (list(&old), text::joined(&new, "or"));
        parts.push(match (f.loops_gone, f.only_in_loops) {
            (0, _) => format!("{old} {} {new}", becomes(f.gone.iter().filter(releases).count())),
            (1, true) => format!("the loop of {old} becomes {new}"),
            (_, true) => format!("the loops of {old} become {new}"),
            (1, false) => {
                format!("{old} {} {new}, and a loop is removed", becomes(f.gone.iter().filter(releases).count()))
            }
            (_, false) => {
                format!("{old} {} {new}, and loops are removed", becomes(f.gone.iter().filter(releases).count()))
            }
        });
    }
    list(&parts)
}

/// What changes at run time, and what does not.
fn behaviour(facts: &Facts<'_>, frame: &Frame, out: &mut Vec<String>) {
    if !facts.proved {
        return;
    }
    let mut form = forms(facts);
    if facts.only_renames() {
        form.push(unchanged(facts, frame));
        out.push(form.join(" "));
        return;
    }
    let main = facts.new_acquires.is_empty();
    match differences(facts, frame).as_slice() {
        [one] if main => out.push(format!("What changes at run time: {one}")),
        all => {
            out.push(if main { "What changes at run time:" } else { "The main changes at run time:" }.to_string());
            out.extend(all.iter().map(|d| format!("- {d}")));
        }
    }
    form.insert(0, "Every page is released as often as before, on each path.".into());
    out.push(form.join(" "));
}

/// That nothing changes, and why.
fn unchanged(facts: &Facts<'_>, frame: &Frame) -> String {
    let is_batch = |n: &&String| Api::get().release(n).is_some_and(|r| r.batch);
    let batch: Vec<String> = facts.new_releases.iter().filter(is_batch).cloned().collect();
    let same = frame.header.is_put_page || frame.brings_functions;
    match batch.len() {
        _ if !same => "No functional change: each page is released as often as before.".into(),
        0 => "No functional change: put_user_page() only calls put_page().".into(),
        n => format!(
            "No functional change: {} {} put_user_page() for each page, which only calls put_page().",
            named(&batch, "and"),
            if n == 1 { "calls" } else { "call" }
        ),
    }
}

/// Changes of form that are worth a sentence.
fn forms(facts: &Facts<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let moved = |f: &FunctionChange| f.gone.iter().any(|n| n == "PageDirty") && f.new.iter().any(|n| dirties(n));
    let tested = facts.functions_where(moved);
    if !tested.is_empty() {
        let mut helpers: Vec<String> = Vec::new();
        for n in facts.functions.iter().filter(|f| moved(f)).flat_map(|f| &f.new).filter(|n| dirties(n)) {
            if !helpers.contains(n) {
                helpers.push(n.clone());
            }
        }
        out.push(format!("The PageDirty() test of {} is done by {}.", list(&tested), named(&helpers, "and")));
    }
    out.extend(facts.of_form.iter().cloned());
    // checkpatch looks at a line that changes, and at the one below it.
    let white: Vec<&str> = [
        (facts.casts, "the blank behind a cast goes where its line changes anyway"),
        (facts.aligned, "what stands below a line that changes is aligned with the parenthesis"),
    ]
    .into_iter()
    .filter_map(|(done, said)| done.then_some(said))
    .collect();
    if !white.is_empty() {
        out.push(format!("As checkpatch asks with --strict, {}.", white.join(", and ")));
    }
    out
}

/// By what a patch was made, version, where that can be had, and command, without the full stop.
pub fn generated(frame: &Frame) -> String {
    // One gap in each message: a second run with the URL fills them all.
    let at = frame.tool_url.as_ref().map_or_else(|| "[ To be filled in: its URL ]".into(), |url| format!("({url})"));
    format!("Generated by gupconv {} {at} with `{}`", env!("CARGO_PKG_VERSION"), frame.command)
}

/// What the kernel's rules for generated content ask for.
fn disclosure(facts: &Facts<'_>, frame: &Frame) -> String {
    let by = generated(frame);
    if !facts.proved {
        return format!("{by}, without a proof: read it line by line.");
    }
    let but = if differences(facts, frame).is_empty() { "" } else { " but those above" };
    format!("{by}, which ran the old and the new code on a model of the page functions: no difference{but}.")
}

fn calls(names: &[String]) -> String {
    named(names, "and")
}

/// One name for functions that start alike: `put_user_page*()`.
fn family(names: &[String]) -> String {
    let [first, rest @ ..] = names else { return String::new() };
    if rest.is_empty() {
        return format!("{first}()");
    }
    let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let mut n = first.len();
    for r in rest {
        n = n.min(alike(first, r));
    }
    let stem = first.get(..n).unwrap_or_default().trim_end_matches('_');
    if stem.len() < 4 { calls(names) } else { format!("{stem}*()") }
}
