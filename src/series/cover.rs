//! The cover letter: what the series does, where, with which proof, and what it leaves.
//!
//! Counts are counted here from the records; nothing is typed in twice. The diffstat comes from whoever writes files.

use super::Patch;
use super::below;
use super::checked;
use super::effects;
use super::facts::Facts;
use super::message::{self, Frame};
use super::order;
use super::recipients::Recipients;
use super::text::{self, SUBJECT, count, list};
use crate::decide;
use crate::explain;
use crate::kernel::{AcquireKind, Api};
use crate::report::SiteRecord;
use crate::run::{Analysis, HandedPlan};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Columns of the lists.
const LIST: usize = 74;

/// Subject of the letter.
pub fn subject(facts: &Facts<'_>) -> String {
    let short = message::title(facts);
    let long = format!("{short} for pages from get_user_pages*()");
    let gets = facts.new_acquires.is_empty() && !facts.completes;
    if gets && long.chars().count() <= SUBJECT { long } else { short }
}

/// Body of the letter, wrapped, with a final newline.
pub fn body(analysis: &Analysis, facts: &Facts<'_>, patches: &[Patch], frame: &Frame) -> String {
    let each: Vec<Facts<'_>> = patches.iter().map(|p| facts_of(analysis, p)).collect();
    let mut paragraphs = why(facts, frame);
    paragraphs.push(first(facts, patches, &each, frame));
    paragraphs.extend(without_mmu(&each, frame));
    paragraphs.push(checked::proofs(facts, patches, &each));
    if !facts.new_acquires.is_empty() {
        paragraphs.push("The main changes at run time; each patch says which of these concern it:".into());
        paragraphs.extend(effects::pinned(facts, frame).into_iter().map(|e| format!("- {e}")));
    }
    paragraphs.extend(not_again(&each));
    paragraphs.extend(negative(&each));
    paragraphs.extend(other_bugs(&each));
    paragraphs.extend([true, false].into_iter().filter_map(|seen| undirtied(&each, seen)));
    paragraphs.extend(elsewhere(&each));
    paragraphs.extend(order::letter(patches, &each));
    paragraphs.extend(fixes(patches, &each));
    paragraphs.extend(long(&each));
    paragraphs.extend(nobody(patches));
    paragraphs.extend(by_path(patches));
    paragraphs.extend(frame.base.iter().cloned());
    paragraphs.extend(repeat(frame));
    paragraphs
        .push("All call sites are listed below the diffstat, and the ones that are left out, with the reasons.".into());
    text::body(&paragraphs)
}

/// What stands below the diffstat: the call sites of each patch, and those that are left out.
pub fn lists(analysis: &Analysis, facts: &Facts<'_>, patches: &[Patch], frame: &Frame) -> String {
    let each: Vec<Facts<'_>> = patches.iter().map(|p| facts_of(analysis, p)).collect();
    let mut out = String::new();
    let calm = match facts.new_acquires.is_empty() {
        true => {
            "These patches only rename calls, or put one call in the place of a loop or a test; nothing is different at \
             run time, but for the order of releases where a message says so:"
        }
        false => {
            "These patches take pins where references were taken; nothing is different at run time but what follows from \
             that, as above:"
        }
    };
    let other = "These patches also change how pages are marked dirty or released, and say so:";
    let kind = |f: &Facts<'_>| if f.completes { 2 } else { usize::from(!f.calm()) };
    let ended = "These patches end a conversion that was begun: a release that drops a plain reference of a pinned page \
                 drops the pin:";
    for (title, wanted) in [(calm, 0), (other, 1), (ended, 2)] {
        let mut lines = String::new();
        for ((number, patch), facts) in (1..).zip(patches).zip(&each) {
            if !patch.plans.is_empty() && kind(facts) == wanted {
                for (s, met) in facts.sites.iter().zip(&facts.met) {
                    let site = format!("{}:{} {}(){}", s.path, s.line, s.function, codes(met));
                    lines.push_str(&text::wrap(&site, LIST, &format!("  {number:02} "), "       "));
                }
            }
        }
        if !lines.is_empty() {
            out.push_str(&text::wrap(title, text::BODY, "", ""));
            out.push('\n');
            out.push_str(&lines);
            out.push('\n');
        }
    }
    for (title, dirtying) in [
        ("These patches fix bugs that keep the conversion behind them from being right:", false),
        ("These patches fix how pages are marked dirty, each before the conversion that stands on it:", true),
    ] {
        let fixes = (1..).zip(patches).filter_map(|(n, p)| Some((n, p, p.fix.as_ref()?)));
        let lines = fixes.filter(|(_, _, fix)| fix.dirtying == dirtying).map(|(n, p, fix): (usize, _, _)| {
            let line = format!("{}{}", p.subject, codes(&fix.refinements));
            text::wrap(&line, LIST, &format!("  {n:02} "), "       ")
        });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            out.push_str(&text::wrap(title, text::BODY, "", ""));
            out.push('\n');
            out.push_str(&lines);
            out.push('\n');
        }
    }
    out.push_str(&granted(patches, &each));
    out.push_str(&left(analysis, facts, frame));
    out
}

/// What the proofs take for granted, by patch.
fn granted(patches: &[Patch], each: &[Facts<'_>]) -> String {
    let mut out = String::new();
    for ((number, patch), facts) in (1..).zip(patches).zip(each) {
        let assumed = patch.fix.as_ref().map_or(&facts.assumed, |f| &f.assumed);
        let all = below::grouped(assumed);
        if !all.is_empty() {
            out.push_str(&text::wrap(&all.join("; "), LIST, &format!("  {number:02} "), "       "));
        }
    }
    match out.is_empty() {
        true => out,
        false => format!("The proofs take this for granted, by patch:\n\n{out}\n"),
    }
}

/// ` [R1, R2]`; nothing without any.
fn codes<'c>(met: impl IntoIterator<Item = &'c String>) -> String {
    let codes: Vec<&str> = met.into_iter().map(String::as_str).collect();
    if codes.is_empty() { String::new() } else { format!(" [{}]", codes.join(", ")) }
}

/// `patches 3 (a()) and 4 (b() and c())`: those with such sites; `None` without any.
pub(super) fn with(each: &[Facts<'_>], pick: impl Fn(&Facts<'_>) -> Vec<String>) -> Option<String> {
    let found = (1..).zip(each).filter_map(|(n, f): (usize, _)| {
        let mut names = pick(f);
        names.dedup();
        (!names.is_empty()).then(|| format!("{n} ({})", list(&names)))
    });
    let places: Vec<String> = found.collect();
    let patches = if places.len() == 1 { "patch" } else { "patches" };
    (!places.is_empty()).then(|| format!("{patches} {}", list(&places)))
}

/// Patches with pages that nobody marks dirty: those that are seen to be written to, or those that may be.
fn undirtied(each: &[Facts<'_>], seen: bool) -> Option<String> {
    let sites = |f: &Facts<'_>| -> Vec<String> {
        let these = f.undirtied.iter().filter(|(_, how)| how.seen() == Some(seen));
        these.map(|(s, _)| format!("{}()", s.function)).collect()
    };
    let patches = with(each, sites)?;
    let (said, means) = match seen {
        true => (
            format!("something writes to pages that the code of {patches} pinned, as the notes there show"),
            below::WRITTEN_MEANS,
        ),
        false => (format!("the code of {patches} asks for pages to write to"), below::UNDIRTIED_MEANS),
    };
    Some(format!(
        "[ To be decided before sending: {said}, and {}. {means} belongs in a patch of its own before the conversion. ]",
        decide::UNDIRTIED
    ))
}

/// Patches with pages that are asked for to be written to, no release marks dirty, and others may.
fn elsewhere(each: &[Facts<'_>]) -> Option<String> {
    let sites = |f: &Facts<'_>| -> Vec<String> {
        let told = |s: &SiteRecord| f.undirtied.iter().any(|(u, _)| u.id == s.id);
        let undirtied = |s: &SiteRecord| s.releases.iter().all(|r| r.dirty == "none");
        let open =
            |s: &&&SiteRecord| !f.completes && matches!(s.write, "always" | "conditional") && undirtied(s) && !told(s);
        f.sites.iter().filter(open).map(|s| format!("{}()", s.function)).collect()
    };
    let patches = with(each, sites)?;
    Some(format!(
        "[ To be checked before sending: whether the pages that the code of {patches} asks for to write to are marked dirty \
         elsewhere: their releases do not do that, before as after. ]"
    ))
}

/// Patches that do not dirty pages again which are dirty already.
fn not_again(each: &[Facts<'_>]) -> Option<String> {
    let numbers: Vec<String> =
        (1..).zip(each).filter(|(_, f)| effects::may_lose(f)).map(|(n, _): (usize, _)| n.to_string()).collect();
    let (patch, says) = match numbers.as_slice() {
        [] => return None,
        [one] => (format!("patch {one}"), "the note there says"),
        many => (format!("patches {}", list(many)), "the notes there say"),
    };
    Some(format!(
        "[ To be decided before sending: whether {patch} may release pages that are dirty already without dirtying them \
         again; {says} what may be lost by that. ]"
    ))
}

/// Patches of code that releases by the result of a pin that failed.
fn negative(each: &[Facts<'_>]) -> Option<String> {
    let patches = with(each, |f| f.negative().map(|s| format!("{}()", s.function)).collect())?;
    Some(format!(
        "[ To be decided before sending: when the pin fails in the code of {patches}, its negative result gets to a release \
         as a count of pages, and nothing looks at its sign, before as after. A fix belongs in a patch of its own \
         before the conversion. ]"
    ))
}

/// Patches with notes on other errors of the code as it is.
fn other_bugs(each: &[Facts<'_>]) -> Option<String> {
    let told = |f: &Facts<'_>| f.cautions.iter().any(|c| c.contains(decide::OWN_PATCH));
    let patches: Vec<String> =
        (1..).zip(each).filter(|(_, f)| told(f)).map(|(n, _): (usize, _)| n.to_string()).collect();
    let (patch, has) = if patches.len() == 1 { ("patch", "has") } else { ("patches", "have") };
    (!patches.is_empty()).then(|| {
        format!(
            "[ To be decided before sending: {patch} {} {has} a note on an error of the code as it is, in what it does when \
             something fails. A fix belongs in a patch of its own before the conversion. ]",
            list(&patches)
        )
    })
}

/// Patches that fix something, and have no tag for it.
fn fixes(patches: &[Patch], each: &[Facts<'_>]) -> Option<String> {
    let numbers = |pick: &dyn Fn(&Patch, &Facts<'_>) -> bool| -> Vec<String> {
        let all = (1..).zip(patches.iter().zip(each)).filter(|(_, (p, f))| pick(p, f));
        all.map(|(n, _): (usize, _)| n.to_string()).collect()
    };
    let untagged = numbers(&|p, f| f.completes || p.fix.as_ref().is_some_and(|f| !f.tagged));
    let mixed = numbers(&|p, f| !p.plans.is_empty() && f.fixes_dirtying());
    let patch = |n: &[String]| format!("{} {}", if n.len() == 1 { "patch" } else { "patches" }, list(n));
    let mut wanted = Vec::new();
    if !untagged.is_empty() {
        wanted.push(format!("a Fixes: tag in {}", patch(&untagged)));
    }
    if !mixed.is_empty() {
        wanted
            .push(format!("a Fixes: tag in {}, or the fix as a patch of its own before the conversion", patch(&mixed)));
    }
    (!wanted.is_empty()).then(|| format!("[ To be filled in before sending: {}. ]", wanted.join("; ")))
}

/// Patches with pages that stay pinned after the call, where pins are counted.
fn long(each: &[Facts<'_>]) -> Option<String> {
    let patches = with(each, |f| f.kept_long().map(|s| format!("{}()", s.function)).collect())?;
    Some(format!(
        "[ To be decided before sending: whether FOLL_LONGTERM belongs to {patches}, whose pages stay pinned after the call. \
         The messages say what it would change, and a note there asks what decides it. ]"
    ))
}

/// Patches for which MAINTAINERS names no person.
fn nobody(patches: &[Patch]) -> Option<String> {
    if patches.iter().all(|p| p.recipients == Recipients::default()) {
        return Some(
            "[ To be filled in before sending: who gets the patches. The tree's own script did not tell. ]".into(),
        );
    }
    let numbers = |pick: &dyn Fn(&Recipients) -> bool| -> Vec<String> {
        let picked = (1..).zip(patches).filter(|(_, p)| p.recipients.to.is_empty() && pick(&p.recipients));
        picked.map(|(n, _): (usize, _)| n.to_string()).collect()
    };
    let (all, unnamed) = (numbers(&|_| true), numbers(&|r| r.unnamed));
    let patch = |n: &[String]| format!("{} {}", if n.len() == 1 { "patch" } else { "patches" }, list(n));
    let names = match unnamed.len() {
        0 => "no person for the files".to_string(),
        n if n == all.len() => "nobody for the files, neither a person nor a list".to_string(),
        _ => format!("no person for the files, and no list either for those of {}", patch(&unnamed)),
    };
    (!all.is_empty()).then(|| {
        format!(
            "[ To be filled in before sending: somebody who takes {}. MAINTAINERS names {names}; `git log` of each may \
             tell whom to ask. ]",
            patch(&all)
        )
    })
}

/// Patches whose subjects start by path.
fn by_path(patches: &[Patch]) -> Option<String> {
    let numbers: Vec<String> =
        (1..).zip(patches).filter(|(_, p)| p.by_path).map(|(n, _): (usize, _)| n.to_string()).collect();
    let all = patches.iter().filter(|p| !p.plans.is_empty() || p.fix.is_some()).count();
    let (fixes, many) = (patches.iter().any(|p| p.fix.is_some()), numbers.len());
    let which = match many {
        0 => return None,
        1 => format!("the subject of patch {} starts", numbers.concat()),
        n if n == all && fixes => "all subjects of conversions and of fixes start".to_string(),
        n if n == all => "all subjects of conversions start".to_string(),
        _ => format!("the subjects of patches {} start", list(&numbers)),
    };
    Some(format!(
        "[ To be checked before sending: {which} by path, since the history at hand shows no custom of the files. \
         `git log --oneline -- FILE` in a full clone does. ]"
    ))
}

/// The facts of one patch.
fn facts_of<'a>(analysis: &'a Analysis, patch: &Patch) -> Facts<'a> {
    let plans: Vec<&HandedPlan> = patch.plans.iter().filter_map(|&p| analysis.plans.get(p)).collect();
    Facts::of(analysis, &plans)
}

/// What the functions are, and why they are worth the trouble.
fn why(facts: &Facts<'_>, frame: &Frame) -> Vec<String> {
    let problem = "get_user_pages*() gives a driver pages that its device may write to until the driver releases \
                   them. A file system write-protects a page of a file before it writes it back, and expects a page \
                   fault before anybody writes to it again; but a device does not look at page tables. To do \
                   something about that, the kernel has to know which pages are held in this way, and put_page() \
                   does not tell: it drops references of every kind.";
    let means = if facts.new_acquires.is_empty() && !facts.completes {
        let mut means = "put_user_page() and its relatives are for such pages only.".to_string();
        if frame.header.is_put_page || frame.brings_functions {
            means.push_str(
                " So far put_user_page() only calls put_page(): the release as such changes nothing, but all callers have to be \
                 converted before these references can be counted apart.",
            );
        }
        if frame.header.demands {
            means.push_str(
                " The comment at put_user_page() in include/linux/mm.h says that the pages must be released in this way. \
                 This series does not get to all callers: what is left out is listed at the end.",
            );
        }
        means
    } else {
        let mut means =
            "A page that comes from pin_user_pages*() is counted as pinned until unpin_user_page*() releases it."
                .to_string();
        let ask: Vec<String> = frame.known.maybe_pinned.iter().map(|n| format!("{n}()")).collect();
        if !ask.is_empty() {
            means.push_str(&format!(
                " {} {} whether a page may be pinned (and may say so of one that only has very many references).",
                ask.join(" and "),
                if ask.len() == 1 { "tells" } else { "tell" }
            ));
        }
        means.push_str(" Both ends have to change together.");
        if frame.document.cases > 0 {
            means.push_str(" Documentation/core-api/pin_user_pages.rst says which callers should pin.");
        }
        means
    };
    vec![problem.into(), means]
}

/// What the series does.
fn first(facts: &Facts<'_>, patches: &[Patch], each: &[Facts<'_>], frame: &Frame) -> String {
    let converting: Vec<&Facts<'_>> =
        patches.iter().zip(each).filter(|(p, f)| !p.plans.is_empty() && !f.completes).map(|(_, f)| f).collect();
    let sites: Vec<&SiteRecord> = converting.iter().flat_map(|f| f.sites.iter().copied()).collect();
    let releases: BTreeSet<(&str, u32)> =
        sites.iter().flat_map(|s| &s.releases).map(|r| (r.path.as_str(), r.line)).collect();
    let paths: BTreeSet<&String> = converting.iter().flat_map(|f| &f.paths).collect();
    let converts = format!(
        "This series converts {} and {}, in {} and {}. A call site and all of its releases are in one patch. ",
        count(sites.len(), "call site"),
        count(releases.len(), "release"),
        count(paths.len(), "file"),
        count(converting.len(), "patch"),
    );
    let ended = match (with(each, checked::ended), converting.is_empty()) {
        (None, _) => String::new(),
        (Some(patches), true) => format!("This series ends conversions that were begun: {patches}. "),
        (Some(patches), false) => format!("Conversions that were begun end with {patches}. "),
    };
    let converts = if converting.is_empty() && facts.completes { String::new() } else { converts };
    format!("{converts}{ended}{}", order(patches, each, frame))
}

/// Which patches need another one before them.
fn order(patches: &[Patch], each: &[Facts<'_>], frame: &Frame) -> String {
    let numbers = |pick: &dyn Fn(&Patch, &Facts<'_>) -> bool| -> Vec<String> {
        let picked = (1..).zip(patches.iter().zip(each)).filter(|(_, (p, f))| pick(p, f));
        picked.map(|(n, _): (usize, _)| n.to_string()).collect()
    };
    let mut needs = Vec::new();
    if frame.brings_functions {
        needs.push(
            "Patch 1 adds the functions that all others call. [ To be decided before sending: whether all go through one \
             tree, with the acks of the maintainers, or patch 1 goes in a release before the others. ]"
                .to_string(),
        );
    }
    if let Some(subject) = &frame.nommu {
        let bringer = patches.iter().position(|p| p.subject == *subject).map_or(1, |i| i + 1);
        let callers = numbers(&|_, f| !f.unlinked.is_empty());
        let calls = match callers.as_slice() {
            [one] => format!("Patch {one} calls them in a file that may be built without an MMU, and needs it first."),
            many => {
                format!(
                    "Patches {} call them in files that may be built without an MMU, and need it first.",
                    list(many)
                )
            }
        };
        needs.push(format!(
            "Patch {bringer} builds put_user_pages*() without an MMU as well, which this tree does not. {calls} [ To be \
             decided before sending: whether patch {bringer} and these go through one tree, with the acks of the \
             maintainers, or patch {bringer} goes in a release before them. ]"
        ));
    }
    let fixing = |dirtying: bool| numbers(&|p, _| p.fix.as_ref().is_some_and(|f| f.dirtying == dirtying));
    match fixing(false).as_slice() {
        [] => {}
        [one] => {
            needs.push(format!(
                "Patch {one} fixes a bug that the conversion behind it needs fixed, and goes before that."
            ));
        }
        many => needs.push(format!(
            "Patches {} each fix a bug that the conversion behind them needs fixed, and go before that.",
            list(many)
        )),
    }
    let free = "may go through its own tree, in any order";
    match fixing(true).as_slice() {
        [] => {}
        [one] => needs
            .push(format!("Patch {one} fixes how pages are marked dirty, and goes before the conversion behind it.")),
        many => needs.push(format!(
            "Patches {} each fix how pages are marked dirty, and go before the conversions behind them.",
            list(many)
        )),
    }
    match needs.is_empty() {
        true => format!("No patch depends on another one: each of them {free}."),
        false if frame.brings_functions => format!("{} Otherwise no patch depends on another one.", needs.join(" ")),
        false => format!("{} No other patch depends on another one: each of the others {free}.", needs.join(" ")),
    }
}

/// Which patches may break a build without an MMU.
fn without_mmu(each: &[Facts<'_>], frame: &Frame) -> Option<String> {
    let breaks = |f: &Facts<'_>| frame.nommu.is_none() && !f.unlinked.is_empty();
    let numbers: Vec<String> =
        (1..).zip(each).filter(|(_, f)| breaks(f)).map(|(n, _): (usize, _)| n.to_string()).collect();
    if numbers.is_empty() {
        return None;
    }
    let (patch, uses) = if numbers.len() == 1 { ("patch", "uses") } else { ("patches", "use") };
    Some(format!(
        "[ To be checked before sending: {patch} {} {uses} functions that this tree links only with CONFIG_MMU, in files of \
         which it is not known that they need it. A configuration that builds such a file without CONFIG_MMU would \
         not link any more. Check what these files depend on in Kconfig first, or make the functions available. ]",
        list(&numbers)
    ))
}

/// How to make the same series.
fn repeat(frame: &Frame) -> [String; 2] {
    let dated = match frame.in_git {
        true => "the commit that the series is based on",
        false => "the Makefile of the tree, or that of SOURCE_DATE_EPOCH",
    };
    let (at, open) = match &frame.tool_url {
        Some(url) => (format!(" ({url})"), ""),
        None => (String::new(), "where the tool can be had (--tool-url URL puts that here and into each patch), and "),
    };
    [
        format!(
            "The patches and this letter were generated by gupconv {}{at}. In the root of the tree, `{}` makes the same patches. \
             Nothing was compiled by the tool, and nothing was run on a machine. [ To be filled in before sending: \
             {open}how this was built and tested. ]",
            env!("CARGO_PKG_VERSION"),
            frame.command
        ),
        format!(
            "The mails have the date of {dated}, so that a second run gives the same bytes; git send-email sets its own. \
             [ To be checked before sending: git am takes that date for the author's as well, unless it is told \
             --ignore-date. ]"
        ),
    ]
}

/// The sites that the series does not touch, by reason.
fn left(analysis: &Analysis, facts: &Facts<'_>, frame: &Frame) -> String {
    let taken: BTreeSet<usize> = analysis.plans.iter().flat_map(|p| p.sites.iter().copied()).collect();
    let mut by_reason: BTreeMap<(&str, &str), Vec<&SiteRecord>> = BTreeMap::new();
    let mut by_api: BTreeMap<String, usize> = BTreeMap::new();
    let mut pins: BTreeSet<String> = BTreeSet::new();
    let mut asked = 0;
    for (i, site) in analysis.run.sites.iter().enumerate() {
        if !taken.contains(&i) {
            by_reason.entry((site.verdict, site.reason_code)).or_default().push(site);
            *by_api.entry(group_of(&site.api)).or_default() += 1;
            let kind = Api::get().acquire(&site.api).map(|a| a.kind);
            asked += usize::from(kind == Some(AcquireKind::Gup));
            if kind == Some(AcquireKind::Pin) {
                pins.insert(group_of(&site.api));
            }
        }
    }
    if by_reason.is_empty() {
        return "No other call takes references to user pages.\n".into();
    }
    let total: usize = by_reason.values().map(Vec::len).sum();
    let mut apis: Vec<(String, usize)> = by_api.into_iter().collect();
    apis.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    let pins: Vec<String> = pins.into_iter().collect();
    let apis: Vec<String> = apis.into_iter().map(|(name, n)| format!("{n} of {name}")).collect();
    let pinning = if pins.is_empty() { String::new() } else { format!(" Those of {} pin already.", list(&pins)) };
    // The rule of the comment holds for these as well, whatever the reason.
    let rest = match frame.header.demands && asked > 0 {
        true => {
            " The rule of the comment holds for those of get_user_pages*() as well: they remain to be converted, or to be \
             excepted from it, before the references can be counted apart."
        }
        false => "",
    };
    let mut out = text::wrap(
        &format!(
            "Left out of this series: {} by which code may come by pages, {}.{pinning}{rest}",
            count(total, "other call"),
            list(&apis)
        ),
        text::BODY,
        "",
        "",
    );
    for (verdict, what) in [
        ("assist", "A person has to look:"),
        ("leave", "Left out:"),
        ("convert", "Could be converted, but not by this run:"),
    ] {
        for ((_, code), sites) in by_reason.iter().filter(|((v, _), _)| *v == verdict) {
            let title = explain::pages(code).next().map_or_else(|| code.to_string(), |p| p.title.to_string());
            out.push('\n');
            out.push_str(&text::wrap(&format!("{what} {title} ({}):", sites.len()), LIST, "", ""));
            let mut by_path: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for s in sites {
                by_path.entry(&s.path).or_default().push(s.line.to_string());
            }
            let places: Vec<String> =
                by_path.into_iter().map(|(p, lines)| format!("{p}:{}", lines.join(","))).collect();
            out.push_str(&text::wrap(&places.join(" "), LIST, "  ", "  "));
            if *code == "short-read" {
                let alike = facts.sites.iter().filter(|s| s.case == 5 && s.write == "never");
                let alike: Vec<String> = alike.map(|s| alike_place(s)).collect();
                if !alike.is_empty() {
                    let note = format!("(read only as well, and converted all the same: {})", alike.join(", "));
                    out.push_str(&text::wrap(&note, LIST, "  ", "  "));
                }
            }
        }
    }
    out
}

/// A site that is converted although the processor only reads, and what keeps it from those that are left.
fn alike_place(site: &SiteRecord) -> String {
    let place = format!("{}:{}", site.path, site.line);
    let kept: Vec<&str> = site.holders.iter().map(String::as_str).filter(|h| !h.contains(':')).collect();
    match kept.is_empty() {
        true => place,
        false => format!("{place}, which keeps the pointer in {}", list(&kept)),
    }
}

/// Functions that belong together, in a word.
fn group_of(api: &str) -> String {
    let kind = Api::get().acquire(api).map(|a| a.kind);
    let stem = ["get_user_pages", "pin_user_pages"].into_iter().find(|s| api.trim_start_matches('_').starts_with(s));
    match (kind, stem) {
        (Some(AcquireKind::Gup | AcquireKind::Pin), Some(stem)) => format!("{stem}*()"),
        (Some(AcquireKind::Pin), None) => format!("{api}()"),
        (Some(AcquireKind::Iter), _) => "an iov_iter".into(),
        (Some(AcquireKind::Follow), _) => "follow_page()".into(),
        _ => "other functions".into(),
    }
}
