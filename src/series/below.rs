//! What stands below `---`: for the person who sends the patch and for reviewers, and gone once it is applied.
//!
//! What has to be filled in, checked or decided before sending, what the patch stands on, what a reviewer may stumble
//! over and it leaves as it is, and what the model took for granted. It knows nothing of the message above.

use super::completed;
use super::effects;
use super::facts::{self, Facts};
use super::message::Frame;
use super::order;
use super::text::{self, list, named};
use crate::decide::{self, Undirtied};
use crate::explain;
use crate::kernel::{AcquireKind, Api};
use crate::report::SiteRecord;
use crate::run::{FunctionChange, HandedFix, Leading, WeakDirtying};

/// What it means that nobody marks pages dirty which are asked for to be written to, whether anything writes not being
/// known, and of pages that are known to be written to. Each goes on by where a fix belongs.
pub const UNDIRTIED_MEANS: &str = "If something writes to them by this reference, and they may belong to a file, what was \
                                   written may be lost. A fix, if one is needed,";
pub const WRITTEN_MEANS: &str = "What is written to a page of a file may be lost. A fix";

/// The gap for the sender. It stands below `---`: once somebody has built and tested it, it is no longer true.
pub const NOT_TESTED: &str = "[ The tool compiled nothing and ran nothing on a machine. Before sending: say here or above \
                              how this was built and tested, and sign it off above. ]";

/// Sites of the driver that are told of before it is said how many more there are.
const MOST_BESIDE: usize = 8;

/// The choice that is left where pages are not dirtied again that are dirty already.
///
/// v5.2 mm/memory.c fault_dirty_shared_page() dirtied all buffers when the page was mapped for writing, and
/// page_mkclean() takes that mapping away before they are written.
const NOT_AGAIN: &str = "[ To be decided before sending: whether pages that are dirty already may be released here without \
                         dirtying them again. If one was written back while it was pinned, and write(2) then wrote to \
                         a part of it, blocks that were written after that only through the pin may not reach the disk. ]";

/// What stands below `---` of a patch that comes before all conversions.
pub fn of_leading(patch: &Leading) -> String {
    let mut out = vec![NOT_TESTED.to_string()];
    out.extend(patch.below.iter().cloned());
    text::body(&out)
}

/// What stands below `---` of a conversion; `fixes` are the subjects of the patches that it stands on, and `beside` are
/// sites of the same driver that no patch converts.
pub fn of_conversion(facts: &Facts<'_>, frame: &Frame, fixes: &[String], beside: &[&SiteRecord]) -> String {
    let mut out = vec![NOT_TESTED.to_string()];
    if !fixes.is_empty() {
        let quoted: Vec<String> = fixes.iter().map(|s| format!("\"{s}\"")).collect();
        out.push(format!("[ Needs {} before it. ]", list(&quoted)));
    }
    let files = facts.unlinked_files();
    if !files.is_empty() {
        let names = named(&facts.unlinked_calls(), "and");
        let may = match files.len() {
            1 => "may",
            2 => "may both",
            _ => "may all",
        };
        let these = list(&files);
        out.push(match &frame.nommu {
            Some(subject) => format!(
                "[ Needs \"{subject}\" before it (mm tree): this tree links {names} only with CONFIG_MMU, and {these} {may} be \
                 built without. ]"
            ),
            None => format!(
                "[ To be checked before sending: this tree links {names} only with CONFIG_MMU. A build of {these} without \
                 it would not link any more. ]"
            ),
        });
    }
    // That nobody dirties the pages is told once, by what is kept as it is, with the condition.
    let repeated = |c: &&String| c.contains(decide::UNDIRTIED) || c.contains(decide::EITHER_LONGTERM);
    for caution in facts.cautions.iter().filter(|c| !facts::is_mmu(c) && !repeated(c)) {
        if [decide::UNLOCKED, decide::KEEPS_LOOP].iter().any(|kept| caution.contains(kept)) {
            out.push(format!("[ Not changed here: {caution} ]"));
            continue;
        }
        let caution = caution.strip_prefix("The ").map_or_else(|| caution.clone(), |rest| format!("the {rest}"));
        // What the letter calls a decision is one here as well.
        let open = caution.contains(decide::OWN_PATCH);
        out.push(format!("[ To be {} before sending: {caution} ]", if open { "decided" } else { "checked" }));
    }
    out.extend(order::note(&order::of_conversion(facts)));
    out.extend(long(facts, frame));
    for f in facts.functions.iter() {
        if let Some(does) = &f.loop_does {
            out.push(format!("[ Not changed here: {}() keeps its loop, which {does}. ]", f.name));
        }
    }
    if facts.completes {
        out.push(completed::tag(facts));
    } else if facts.fixes_dirtying() {
        out.push(
            "[ To be filled in before sending: a Fixes: tag, since the subject speaks of a fix; or the fix as a patch of \
             its own before this one. ]"
                .into(),
        );
    }
    if effects::may_lose(facts) {
        out.push(NOT_AGAIN.into());
    }
    out.extend(negative(facts));
    out.extend(kept(facts));
    out.extend(left(beside));
    out.sort_by_key(|note| rank(note));
    text::body(&out)
}

/// The question on pages that are kept, and what keeps them how long.
fn long(facts: &Facts<'_>, frame: &Frame) -> Option<String> {
    let mut functions: Vec<String> = facts.kept_long().map(|s| format!("{}()", s.function)).collect();
    functions.dedup();
    let told = facts
        .cautions
        .iter()
        .filter_map(|c| Some(c.split_once(decide::EITHER_LONGTERM)?.0.replacen("The ", "the ", 1)));
    let told: Vec<String> = told.collect();
    if functions.is_empty() || told.is_empty() {
        return None;
    }
    let told = match told.as_slice() {
        // Whose they are is said right before.
        [one] => one.replacen(&format!("the pages of {} stay", functions.concat()), "its pages stay", 1),
        many => many.join("; "),
    };
    let (all, pin) = (list(&functions), if functions.len() == 1 { "pins" } else { "pin" });
    let question = match frame.known.long.refused(facts.kept_long().any(|s| s.write != "never")) {
        Some(memory) => format!(
            "can the memory that {all} {pin} be {memory}? If it can, FOLL_LONGTERM would refuse it; if it never is, add that flag"
        ),
        None => format!("whether FOLL_LONGTERM belongs to the memory that {all} {pin}"),
    };
    Some(format!("[ To be decided before sending: {question}: {told}. ]"))
}

/// A site that no patch converts is worth a word to who looks at a patch of the same file, or of the same driver: one
/// that a person has to look at, or, in a file that changes, one that takes references for good reason.
pub fn matters(site: &SiteRecord, same_file: bool, same_driver: bool) -> bool {
    let kind = Api::get().acquire(&site.api).map(|a| a.kind);
    let takes = kind == Some(AcquireKind::Gup) && !matches!(site.reason_code, "no-pages" | "for-callers");
    same_file && takes || (same_file || same_driver) && site.verdict != "leave"
}

/// Sites of the same driver that no patch converts, by reason.
fn left(beside: &[&SiteRecord]) -> Option<String> {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for s in beside.iter().take(MOST_BESIDE) {
        let place = format!("{}() at {}:{}", s.function, s.path, s.line);
        match by_reason.iter_mut().find(|(code, _)| *code == s.reason_code) {
            Some((_, places)) => places.push(place),
            None => by_reason.push((s.reason_code, vec![place])),
        }
    }
    let title = |code: &str| explain::pages(code).next().map_or_else(|| code.to_string(), |p| p.title.to_string());
    let mut told: Vec<String> =
        by_reason.iter().map(|(c, places)| format!("{} ({})", list(places), title(c))).collect();
    if let Some(more) = beside.len().checked_sub(MOST_BESIDE).filter(|n| *n > 0) {
        told.push(format!("{more} more, which the cover letter lists"));
    }
    (!told.is_empty()).then(|| format!("[ Not converted: {}. ]", told.join("; ")))
}

/// Notes of a kind stand together: what is to be done before those on what stays as it is.
fn rank(note: &str) -> usize {
    const KINDS: [&str; 5] = [NOT_TESTED, "[ Needs", "[ To be filled in", "[ To be checked", "[ To be decided"];
    KINDS.iter().position(|kind| note.starts_with(kind)).unwrap_or(KINDS.len())
}

/// That the code as it is releases by the result of a pin that failed.
fn negative(facts: &Facts<'_>) -> Option<String> {
    let (mut apis, mut functions): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for s in facts.negative() {
        for (all, name) in [(&mut apis, &s.api), (&mut functions, &s.function)] {
            let name = format!("{name}()");
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    (!functions.is_empty()).then(|| {
        format!(
            "[ To be decided before sending: when {} fails in {}, its negative result gets to a release as a count of \
             pages, and nothing looks at its sign, before as after. A fix belongs in a patch of its own before this \
             one. ]",
            text::joined(&apis, "or"),
            text::joined(&functions, "or")
        )
    })
}

/// What a reviewer may stumble over, and the patch leaves as it is.
fn kept(facts: &Facts<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let asks = |s: &SiteRecord| match s.write {
        "conditional" => format!("asks for pages to write to if `{}`", s.write_expr),
        _ => "asks for pages to write to".to_string(),
    };
    let mut by_condition: Vec<(String, &str, Vec<String>)> = Vec::new();
    let mut read: Vec<String> = Vec::new();
    for (s, how) in &facts.undirtied {
        let function = format!("{}()", s.function);
        // What is known is said, and not asked.
        let (asks, means) = match how {
            Undirtied::Written(how) => (format!("{}, {how}", asks(s)), WRITTEN_MEANS),
            Undirtied::Open => (asks(s), UNDIRTIED_MEANS),
            Undirtied::Read(how) => {
                let told = format!("[ Not changed here: {function} {}, and {}; {how}. ]", asks(s), decide::UNDIRTIED);
                read.push(told);
                continue;
            }
        };
        match by_condition.iter_mut().find(|(a, ..)| *a == asks) {
            Some((.., functions)) if functions.contains(&function) => {}
            Some((.., functions)) => functions.push(function),
            None => by_condition.push((asks, means, vec![function])),
        }
    }
    for (asks, means, functions) in by_condition {
        let asks = if functions.len() == 1 { asks } else { asks.replacen("asks", "ask", 1) };
        out.push(format!(
            "[ To be decided before sending: {} {asks}, and {}. {means} belongs in a patch of its own before this one. ]",
            list(&functions),
            decide::UNDIRTIED
        ));
    }
    read.dedup();
    out.extend(read);
    out.extend(weak(facts));
    out
}

/// Dirtying in a weak way that stays, with what is known of why it does.
fn weak(facts: &Facts<'_>) -> Vec<String> {
    let mut all: Vec<(&WeakDirtying, Vec<String>)> = Vec::new();
    for w in &facts.weak {
        let gone = |f: &FunctionChange| f.path == w.path && f.name == w.function && f.gone.iter().any(|n| n == w.call);
        let mended = |f: &&HandedFix| f.marks_dirty(&w.path, &w.function, w.call);
        // Under the page lock set_page_dirty() is right.
        let right = w.page_locked && w.call == "set_page_dirty";
        if right || facts.functions.iter().any(gone) || facts.fixes.iter().any(mended) {
            continue;
        }
        let function = format!("{}()", w.function);
        let same = |o: &WeakDirtying| o.call == w.call && o.page_locked == w.page_locked && o.why == w.why;
        match all.iter_mut().find(|(o, _)| same(o)) {
            Some((_, functions)) if functions.contains(&function) => {}
            Some((_, functions)) => functions.push(function),
            None => all.push((w, vec![function])),
        }
    }
    let told = |(w, functions): (&WeakDirtying, Vec<String>)| {
        let marks = if functions.len() == 1 { "marks" } else { "mark" };
        let lock = if w.page_locked { String::new() } else { format!(", {}", decide::UNLOCKED) };
        format!("[ Not changed here: {} {marks} the pages dirty with {}(){lock}.{} ]", list(&functions), w.call, w.why)
    };
    all.into_iter().map(told).collect()
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
