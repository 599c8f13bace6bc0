//! Subject and body of a patch. Every sentence is made from a fact of that patch; what is not known is not said.
//!
//! Both worlds are handled by looking at the calls that come and go: `put_user_page*()` for releases alone, and
//! `pin_user_pages*()` with `unpin_user_page*()` where the acquiring call changes, too. It knows nothing of git.
//! It never writes a Signed-off-by or any other tag in the name of a person.

use super::facts::Facts;
use super::text::{self, SUBJECT, count, list, short_list};
use crate::kernel::Api;
use crate::run::FunctionChange;
use std::collections::BTreeMap;

/// What all messages of a series have in common.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The command that makes the series, as it can be repeated in the root of the tree.
    pub command: String,
    /// `commit 0123456789ab ("title")` of the change that introduced the functions, if the history has it.
    pub introduced: Option<String>,
    /// The series brings the functions itself.
    pub brings_functions: bool,
    /// The tree has Documentation/core-api/pin_user_pages.rst.
    pub has_pin_document: bool,
}

/// Functions named in a sentence before it says how many more there are.
const MOST_NAMES: usize = 4;

/// The subject, without `[PATCH]`: at most [`SUBJECT`] columns.
pub fn subject(prefix: &str, facts: &Facts<'_>) -> String {
    let (old, new) = match facts.new_acquires.is_empty() {
        true => (&facts.old_releases, &facts.new_releases),
        false => (&facts.old_acquires, &facts.new_acquires),
    };
    let exact = format!("convert {} to {}", calls(old), calls(new));
    let family = format!("convert {} to {}", family(old), family(new));
    let least = format!("convert to {}", self::family(new));
    let short = prefix.rsplit(['/', ':']).next().unwrap_or(prefix).trim();
    let wanted = if exact.contains(" and ") || exact.contains(", ") { &family } else { &exact };
    [(prefix, wanted), (prefix, &family), (prefix, &least), (short, &least)]
        .into_iter()
        .map(|(p, rest)| format!("{p}: {rest}"))
        .find(|s| s.chars().count() <= SUBJECT)
        .unwrap_or_else(|| least.chars().take(SUBJECT).collect())
}

/// The body, wrapped, with a final newline.
pub fn body(facts: &Facts<'_>, frame: &Frame) -> String {
    let mut out = vec![purpose(facts, frame)];
    changes(facts, &mut out);
    behaviour(facts, &mut out);
    clean_ups(facts, &mut out);
    out.push(disclosure(facts, frame));
    text::body(&out)
}

/// What stands below `---`: for the person who sends the patch, and gone once it is applied.
pub fn below(facts: &Facts<'_>) -> String {
    let mut out =
        vec!["[ Not tested at run time. To be filled in before sending: how this was built and tested. ]".into()];
    let mut same: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for caution in &facts.cautions {
        match caution.split_once("() ") {
            Some((name, rest)) if !name.contains(' ') => same.entry(rest).or_default().push(format!("{name}()")),
            _ => out.push(format!("[ To be checked before sending: {caution} ]")),
        }
    }
    for (rest, names) in same {
        out.push(format!("[ To be checked before sending: {} {rest} ]", list(&names)));
    }
    text::body(&out)
}

/// Why the patch is made.
fn purpose(facts: &Facts<'_>, frame: &Frame) -> String {
    let mut pinning: Vec<String> = Vec::new();
    let mut apis: Vec<String> = Vec::new();
    for s in &facts.sites {
        let (f, api) = (format!("{}()", s.function), format!("{}()", s.api));
        if !pinning.contains(&f) {
            pinning.push(f);
        }
        if !apis.contains(&api) {
            apis.push(api);
        }
    }
    let pins = !facts.new_acquires.is_empty();
    let verb = match (pins, pinning.len()) {
        (false, 1) => "pins",
        (false, _) => "pin",
        (true, 1) => "gets",
        (true, _) => "get",
    };
    let who = format!("{} {verb} user pages with {}.", short_list(&pinning, MOST_NAMES, "function"), list(&apis));
    let mut out = if !pins {
        format!(
            "{who} Release these pages with {} instead of {}, so that the release of a pinned page can be told from the \
             release of any other reference.",
            named(&facts.new_releases, "or"),
            named(&facts.old_releases, "or"),
        )
    } else {
        // Cases 1, 2 and 5 of pin_user_pages.rst.
        let data = facts.sites.iter().all(|s| matches!(s.case, 1 | 2 | 5));
        let why = if data { " The data of these pages is accessed, which calls for a pin." } else { "" };
        format!(
            "{who}{why} Use {} and release the pages with {}, so that the kernel can tell a pinned page from one that merely \
             has references.",
            named(&facts.new_acquires, "and"),
            named(&facts.new_releases, "or"),
        )
    };
    if pins && frame.has_pin_document {
        let mut cases: Vec<String> =
            facts.sites.iter().filter(|s| s.case > 0).map(|s| format!("CASE {}", s.case)).collect();
        cases.sort();
        cases.dedup();
        if !cases.is_empty() {
            out.push_str(&format!(" This is {} of Documentation/core-api/pin_user_pages.rst.", list(&cases)));
        }
    }
    if let Some(commit) = &frame.introduced {
        out.push_str(&format!(" For the background, see {commit}."));
    } else if frame.brings_functions {
        out.push_str(" The functions are added at the start of this series.");
    }
    out
}

/// Which calls change where.
fn changes(facts: &Facts<'_>, out: &mut Vec<String>) {
    let told: Vec<&FunctionChange> = facts.functions.iter().filter(|f| !line(f).is_empty()).collect();
    let all = match facts.new_acquires.is_empty() {
        true => "All places that release these pages change in this patch",
        false => "All places that get or release these pages change in this patch",
    };
    match told.as_slice() {
        [] => {}
        [one] => {
            let only = if facts.new_acquires.is_empty() {
                "They are released in one function only"
            } else {
                "They are got and released in one function only"
            };
            out.push(format!("{only}: in {}(), {}.", one.name, line(one)));
        }
        many => {
            let same_file = many.windows(2).all(|w| w[0].path == w[1].path);
            if many.windows(2).all(|w| line(w[0]) == line(w[1]) && w[0].loops_gone == 0) && same_file {
                let names: Vec<String> = many.iter().map(|f| format!("{}()", f.name)).collect();
                out.push(format!("{all}: in {}, {}.", list(&names), line(many[0])));
                return;
            }
            out.push(format!("{all}:"));
            for f in many {
                let file = if same_file { String::new() } else { format!(" ({})", f.path) };
                out.push(format!("- {}(){file}: {}", f.name, line(f)));
            }
        }
    }
}

/// What becomes of the calls of a function.
fn line(f: &FunctionChange) -> String {
    let api = Api::get();
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
        let (old, new) = (list(&old), list(&new));
        parts.push(match (f.loops_gone, f.only_in_loops) {
            (0, _) => format!("{old} {} {new}", becomes(f.gone.iter().filter(releases).count())),
            (1, true) => format!("the loop of {old} becomes {new}"),
            (_, true) => format!("the loops of {old} become {new}"),
            (1, false) => format!("{old} {} {new}, and a loop goes", becomes(f.gone.iter().filter(releases).count())),
            (_, false) => format!("{old} {} {new}, and loops go", becomes(f.gone.iter().filter(releases).count())),
        });
    }
    list(&parts)
}

/// What changes at run time, and what does not.
fn behaviour(facts: &Facts<'_>, out: &mut Vec<String>) {
    if !facts.proved {
        return;
    }
    let pins = !facts.new_acquires.is_empty();
    let dirtied = facts.sites.iter().flat_map(|s| &s.releases).any(|r| r.dirty != "none");
    let mut differences = differences(facts);
    let dirty = if dirtied { ", and is marked dirty under the same conditions" } else { "" };
    if facts.same_behaviour() && !pins {
        let mut p = format!("At run time nothing changes: each page is released as often as before{dirty}.");
        for d in differences.drain(..) {
            p.push(' ');
            p.push_str(&d);
        }
        out.push(p);
        return;
    }
    out.push("On each path, every page is released as often as before. What changes at run time:".to_string());
    out.extend(differences.into_iter().map(|d| format!("- {d}")));
}

/// One sentence or two for each refinement that the proofs used, with the functions it is about.
fn differences(facts: &Facts<'_>) -> Vec<String> {
    let api = Api::get();
    let mut out: Vec<String> = Vec::new();
    let is_dirty_release = |n: &String| n.ends_with("_dirty_lock") || n.ends_with("_dirty");
    let dirtying = facts.functions_where(|f| f.new.iter().any(is_dirty_release));
    let mut helpers: Vec<String> =
        facts.new_releases.iter().filter(|n| is_dirty_release(n)).map(|n| format!("{n}()")).collect();
    helpers.sort();
    let has = |r: &str| facts.refinements.contains(r);
    let mut noted = facts.notes.clone();
    for n in &mut noted {
        // The reason why the page lock may be taken belongs to the sentence that says that it is.
        if n.contains("set_page_dirty_lock()") {
            n.push_str(
                " Taking the lock is possible: no atomic context and no held page lock was found on the way there.",
            );
        }
    }
    let told = |what: &str| facts.notes.iter().any(|n| n.contains(what));
    let (told_r1, told_r3) = (told("used set_page_dirty()"), told("used SetPageDirty()"));
    out.extend(noted);
    if has("R1") && !told_r1 {
        out.push("Pages are dirtied under the page lock, which set_page_dirty() needs against truncation.".into());
    }
    if has("R2") {
        out.push(format!(
            "{} {} pages that are dirty already. In {} they were dirtied again, which matters only for a page of several \
             blocks when only some of them were dirty.",
            list(&helpers),
            if helpers.len() == 1 { "passes over" } else { "pass over" },
            list(&dirtying)
        ));
    }
    if has("R3") && !told_r3 {
        out.push("A page that only had its dirty flag set is marked dirty in its mapping as well.".into());
    }
    if has("R4") {
        out.push(format!(
            "In {} the head of a compound page is marked dirty, whichever of its pages is given; the flag of a compound \
             page lives in its head.",
            list(&dirtying)
        ));
    }
    if has("R5") {
        let tested = facts.functions_where(|f| f.gone.iter().any(|n| n == "PageReserved"));
        out.push(format!(
            "The PageReserved() test of {} goes. The pin always asks for write access, so neither the zero page nor a page \
             of the kernel is among the pages.",
            list(&tested)
        ));
    }
    if has("R7") {
        let changed: Vec<&FunctionChange> =
            facts.functions.iter().filter(|f| f.gone.iter().any(|n| n == "release_pages")).collect();
        let old: Vec<String> = changed.iter().map(|f| format!("{}()", f.name)).collect();
        let mut new: Vec<String> = changed.iter().flat_map(|f| f.new.iter().cloned()).collect();
        new.retain(|n| api.release(n).is_some());
        new.sort();
        new.dedup();
        out.push(format!(
            "In {}, release_pages() passed over the huge zero page; {} drops the reference of every page.",
            list(&old),
            named(&new, "or")
        ));
    }
    if has("R8") {
        out.push(format!(
            "{} dropped the reference before the page was marked dirty, when it may have belonged to somebody else. The \
             order is right now; this is a bug fix.",
            list(&dirtying)
        ));
    }
    if has("R9") {
        out.push(format!(
            "Each page gets a pin where it got a plain reference, from {} until {}.",
            named(&facts.new_acquires, "or"),
            named(&facts.new_releases, "or")
        ));
    }
    if !facts.old_flags.is_empty() {
        let all: Vec<&String> = facts.old_flags.iter().collect();
        let (go, them) = if all.len() == 1 { ("goes", "it") } else { ("go", "them") };
        let callees = named(&facts.new_acquires, "and");
        out.push(format!("{} {go} from the flags: {callees} must not be given {them}.", list(&all)));
    }
    let unsaid = |f: &&String| !facts.notes.iter().any(|n| n.contains(f.as_str()));
    let added: Vec<&String> = facts.new_flags.iter().filter(unsaid).collect();
    if !added.is_empty() {
        out.push(format!("{} is added to the flags.", list(&added)));
    }
    if has("R6") {
        let is_batch = |n: &String| api.release(n).is_some_and(|r| r.batch);
        let loops = facts.functions_where(|f| f.loops_gone > 0 && f.new.iter().any(is_batch));
        if !loops.is_empty() {
            let count: usize = facts.functions.iter().map(|f| f.loops_gone).sum();
            out.push(format!(
                "One call replaces {} in {}; the order in which the pages are released makes no difference.",
                if count == 1 { "the loop" } else { "each loop" },
                list(&loops)
            ));
        }
    }
    out
}

/// What goes with the releases.
fn clean_ups(facts: &Facts<'_>, out: &mut Vec<String>) {
    let mut said = Vec::new();
    let local = |f: &FunctionChange| format!("{} in {}()", list(&f.locals_gone), f.name);
    let locals: Vec<String> = facts.functions.iter().filter(|f| !f.locals_gone.is_empty()).map(local).collect();
    if facts.rules.contains("unused_locals") && !locals.is_empty() {
        let one = facts.functions.iter().map(|f| f.locals_gone.len()).sum::<usize>() == 1;
        let (the, goes) = match one {
            true => ("The variable", "is not used any more and goes"),
            false => ("The variables", "are not used any more and go"),
        };
        said.push(format!("{the} {} {goes}.", list(&locals)));
    }
    if facts.rules.contains("old_name") {
        said.push("Comments that name the old call are adapted.".to_string());
    }
    if !said.is_empty() {
        out.push(said.join(" "));
    }
}

/// What the kernel's rules for generated content ask for.
fn disclosure(facts: &Facts<'_>, frame: &Frame) -> String {
    let mut out = format!(
        "This patch was generated by gupconv {}, with {}.",
        env!("CARGO_PKG_VERSION"),
        text::unbroken(&format!("`{}`", frame.command))
    );
    if facts.proved {
        out.push_str(&format!(
            " The tool ran the changed code before and after on a model of the kernel's page functions: {}",
            count(facts.runs as usize, "pair")
        ));
        out.push_str(" of runs over a bounded set of inputs");
        out.push_str(if facts.same_behaviour() || differences(facts).is_empty() {
            ", without a difference."
        } else {
            ", without a difference but for those above."
        });
        let granted = grouped(&facts.assumed);
        if !granted.is_empty() {
            out.push_str(&format!(" It takes for granted that {}.", granted.join("; that ")));
        }
    } else {
        out.push_str(" The tool has no proof for it; read it line by line.");
    }
    out.push_str(" It compiled nothing and ran nothing on a machine.");
    out
}

/// Assumptions in fewer words: what is assumed of several functions is said once.
pub fn grouped(assumed: &[String]) -> Vec<String> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for a in assumed {
        let (names, rest) = match a.split_once("() does ") {
            Some((name, rest)) if !name.contains(' ') => (vec![format!("{name}()")], format!("do {rest}")),
            // An order of one function says nothing.
            _ if a.starts_with("the code runs in the order ") && !a.contains(", then ") => continue,
            _ => (Vec::new(), a.clone()),
        };
        match out.iter_mut().find(|(r, n)| *r == rest && !n.is_empty() && !names.is_empty()) {
            Some((_, have)) => have.extend(names),
            None => out.push((rest, names)),
        }
    }
    out.into_iter()
        .map(|(rest, names)| match names.as_slice() {
            [] => rest,
            [one] => format!("{one} {}", rest.replacen("do ", "does ", 1)),
            many => format!(
                "{} {}",
                list(many),
                rest.replace("that it is given", "that they are given")
                    .replace("pages it is given", "pages they are given")
            ),
        })
        .collect()
}

/// `a()` and `b()` in a sentence.
fn named(names: &[String], word: &str) -> String {
    let all: Vec<String> = names.iter().map(|n| format!("{n}()")).collect();
    text::joined(&all, word)
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
