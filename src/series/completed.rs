//! The patch that ends a conversion somebody began: pages are pinned, and a release drops a plain reference of them.
//!
//! It is the fix of a bug and no conversion, so it says what the bug is, and nothing about why pages are pinned. It
//! knows nothing of other patches.

use super::effects;
use super::facts::Facts;
use super::message::{self, Frame};
use super::text::{self, SUBJECT, list, named};
use crate::kernel::Api;
use crate::report::ReleaseRecord;

/// The subject, without `[PATCH]`: at most [`SUBJECT`] columns.
pub fn subject(prefix: &str, facts: &Facts<'_>) -> String {
    let short = prefix.rsplit(['/', ':']).next().unwrap_or(prefix).trim();
    let pins = if one(facts) { "the pin" } else { "pins" };
    let (old, new) = (named(&facts.old_releases, "and"), named(&facts.new_releases, "and"));
    let least = format!("drop {pins} with {}", named(&facts.new_releases[..facts.new_releases.len().min(1)], "and"));
    let choices = [
        (prefix, format!("drop {pins} with {new} instead of {old}")),
        (prefix, format!("drop {pins} with {new}")),
        (prefix, least.clone()),
        (short, least.clone()),
    ];
    let mut all = choices.into_iter().map(|(p, rest)| format!("{p}: {rest}"));
    all.find(|s| s.chars().count() <= SUBJECT).unwrap_or_else(|| least.chars().take(SUBJECT).collect())
}

/// The body, wrapped, with a final newline.
pub fn body(facts: &Facts<'_>, frame: &Frame) -> String {
    let (pinning, apis) = message::who_pins(facts);
    let (what, them, are) =
        if one(facts) { ("a user page", "it", "It is") } else { ("user pages", "them", "They are") };
    let wrong: Vec<&ReleaseRecord> = wrong(facts).collect();
    let mut places: Vec<String> = Vec::new();
    for r in &wrong {
        let name = format!("{}()", r.function);
        if !places.contains(&name) {
            places.push(name);
        }
    }
    let mut others: Vec<String> = facts.sites.iter().flat_map(|s| &s.releases).map(|r| r.call.clone()).collect();
    others.retain(|call| Api::get().release(call).is_some_and(|f| f.converted));
    others.sort();
    others.dedup();
    let mut bug = format!(
        "{} {} {what} with {apis}. {are} dropped by {} in {}; the other releases are {}.",
        list(&pinning),
        if pinning.len() == 1 { "pins" } else { "pin" },
        named(&facts.old_releases, "and"),
        list(&places),
        named(&others, "and")
    );
    if frame.known.pin_is_references {
        let zero = frame.known.zero_uncounted && facts.sites.iter().any(|s| s.write != "always");
        bug.push_str(&format!(
            " A pin of a page of order 0{} is GUP_PIN_COUNTING_BIAS references, and {} drops one of them: the others \
             stay, and the page is never freed.",
            if zero { " but the zero page" } else { "" },
            named(&facts.old_releases, "or"),
        ));
    } else {
        bug.push_str(" That drops one reference and leaves the rest of what the pin added to the counts of the page.");
    }
    let mut out = vec![bug, format!("Drop {them} with {} there.", named(&facts.new_releases, "or"))];
    let differences = effects::differences(facts, frame);
    if !differences.is_empty() {
        out.push("What else changes at run time:".to_string());
        out.extend(differences.iter().map(|d| format!("- {d}")));
    }
    if !facts.of_form.is_empty() {
        out.push(facts.of_form.join(" "));
    }
    out.push(match facts.proved {
        true => format!(
            "{}, which ran the old and the new code on a model of the page functions: where the old code drops a \
             reference the new code drops a pin, and nothing{} is different.",
            message::generated(frame),
            if differences.is_empty() { " else" } else { " but this and what is said above" }
        ),
        false => format!("{}, without a proof: read it line by line.", message::generated(frame)),
    });
    text::body(&out)
}

/// The gap for the commit that made pin and release unequal.
pub fn tag(facts: &Facts<'_>) -> String {
    let mut places: Vec<String> = facts.sites.iter().map(|s| format!("{}:{}", s.path, s.line)).collect();
    for r in wrong(facts) {
        let place = format!("{}:{}", r.path, r.line);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    format!(
        "[ To be filled in before sending: a Fixes: tag. `git blame` of {} gives the commits that may have made pin and \
         release unequal. ]",
        list(&places)
    )
}

/// Whether it is about one page at a time.
fn one(facts: &Facts<'_>) -> bool {
    facts.sites.iter().all(|s| s.count == "1") && facts.sites.len() == 1
}

/// The releases that drop a plain reference.
fn wrong<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f ReleaseRecord> {
    let plain = |r: &&ReleaseRecord| Api::get().release(&r.call).is_some_and(|f| !f.converted);
    facts.sites.iter().flat_map(|s| &s.releases).filter(plain)
}
