//! What a patch changes at run time: a sentence or two for each refinement that the proofs used, with the functions it
//! is about, and for what a pin does beside them.
//!
//! Reasons and precedents come from the tree at hand. It knows nothing of how a message is put together.

use super::facts::Facts;
use super::message::Frame;
use super::order;
use super::text::{self, list, named};
use crate::kernel::Api;
use crate::run::FunctionChange;

/// A releasing function that marks the pages dirty.
pub fn dirties(name: &str) -> bool {
    name.ends_with("_dirty_lock") || name.ends_with("_dirty")
}

/// One sentence or two for each refinement that the proofs used, with the functions it is about.
pub fn differences(facts: &Facts<'_>, frame: &Frame) -> Vec<String> {
    let api = Api::get();
    let mut out: Vec<String> = Vec::new();
    let is_dirty_release = |n: &&String| api.release(n).is_some() && dirties(n);
    let dirtying = facts.functions_where(|f| f.new.iter().any(|n| is_dirty_release(&n)));
    let has = |r: &str| facts.refinements.contains(r);
    let mut noted = facts.notes.clone();
    for n in &mut noted {
        // The reason why the page lock may be taken belongs to the sentence that says that it is.
        if let Some(order) = order::of_note(facts, n) {
            n.push_str(&format!(" {}", order::locks(order).replacen("no", "No", 1)));
        }
    }
    // What a pin does is the point of such a patch: it comes first.
    if has("R9") {
        out.extend(pinned(facts, frame));
    }
    let told = |what: &str| facts.notes.iter().any(|n| n.contains(what));
    let (told_r1, told_r3) = (told("called set_page_dirty()"), told("called SetPageDirty()"));
    out.extend(noted);
    if has("R1") && !told_r1 {
        out.push("Pages are dirtied under the page lock, which set_page_dirty() needs against truncation.".into());
    }
    if has("R2") {
        // v5.2 fs/buffer.c __set_page_dirty_buffers() dirties all buffers, also those of a page that is dirty already.
        let again = |f: &FunctionChange| {
            let old = |n: &String| n == "set_page_dirty" || n == "set_page_dirty_lock";
            f.gone.iter().any(old) && f.new.iter().any(|n| is_dirty_release(&n))
        };
        let mut places = facts.functions_with("R2", again);
        if places.is_empty() {
            places.clone_from(&dirtying);
        }
        let helpers: Vec<String> = facts.new_releases.iter().filter(is_dirty_release).cloned().collect();
        out.push(not_again(facts, frame, &helpers, &places) + not_worse(facts, &places));
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
            "The PageReserved() test of {} is removed. The pin always asks for write access, so neither the zero page nor a page \
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
            "In {}, release_pages() skipped the huge zero page; {} drops the reference of every page.",
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
    if !facts.old_flags.is_empty() {
        let all: Vec<&String> = facts.old_flags.iter().collect();
        let (is, them) = if all.len() == 1 { ("is", "it") } else { ("are", "them") };
        let callees = named(&facts.new_acquires, "and");
        out.push(format!("{} {is} removed from the flags: {callees} must not be given {them}.", list(&all)));
    }
    let unsaid = |f: &&String| !facts.notes.iter().any(|n| n.contains(f.as_str()));
    let added: Vec<&String> = facts.new_flags.iter().filter(unsaid).collect();
    if !added.is_empty() {
        out.push(format!("{} is added to the flags.", list(&added)));
    }
    out
}

/// Pages that may be written to are not dirtied again if they are dirty already: something may be lost by that.
pub fn may_lose(facts: &Facts<'_>) -> bool {
    facts.refinements.contains("R2") && facts.sites.iter().any(|s| s.write != "never")
}

/// That dirty pages are not dirtied again, what that leaves out, and who does it already.
fn not_again(facts: &Facts<'_>, frame: &Frame, helpers: &[String], places: &[String]) -> String {
    let known = &frame.known;
    let verb = if helpers.len() == 1 { "releases" } else { "release" };
    let mut out = format!(
        "{} {verb} a page that is dirty already without dirtying it again; {} dirtied it again. Such a page is still to \
         be written back",
        named(helpers, "and"),
        list(places)
    );
    if let Some(function) = &known.not_again {
        out.push_str(&format!(" (see the comment in {function}())"));
    }
    // v5.2 fs/buffer.c __set_page_dirty_buffers() dirties all buffers, fs/ext4/inode.c
    // ext4_journalled_set_page_dirty() sets PG_checked.
    if may_lose(facts) {
        let took = facts.functions_with("R2", |f| f.gone.iter().any(|n| n == "set_page_dirty_lock"));
        let lock = match took.as_slice() {
            [] => String::new(),
            all if all == places => "the page lock is not taken for it, and ".to_string(),
            some => format!("the page lock, which {} took, is not taken for it, and ", list(some)),
        };
        out.push_str(&format!(
            ", but {lock}what the file system does for a page that is dirtied, such as marking all of its buffers, is \
             not done again."
        ));
    } else {
        out.push('.');
    }
    // The precedents that are nobody's work in this patch, the nearest form first.
    let ours = |path: &str| facts.paths.iter().any(|p| p == path);
    let others = |by: &dyn Fn(Option<&String>) -> bool| -> Vec<String> {
        let fitting = known.precedents.iter().filter(|p| !ours(&p.path) && by(p.by.as_ref()));
        let mut all: Vec<String> = fitting.map(|p| format!("{}()", p.function)).collect();
        all.dedup();
        all
    };
    let same = others(&|by| by.is_some_and(|b| helpers.contains(b)));
    let tested = others(&|by| by.is_none());
    if !same.is_empty() {
        let same = text::examples(&same, "treats", "treat");
        out.push_str(&format!(" {same} such pages in the same way already, by the same call."));
    } else if !tested.is_empty() {
        // Also true once a patch of the same series has given that release the call.
        let tested = text::examples(&tested, "does", "do");
        out.push_str(&format!(" {tested} not dirty such pages again, either."));
    }
    out
}

/// That nothing is lost which was not lost before the fix that the patch stands on, where all of it is shown.
fn not_worse(facts: &Facts<'_>, places: &[String]) -> &'static str {
    let flag_only = |place: &String| {
        let mut calls = facts.fixes.iter().flat_map(|f| f.dirtying(place.trim_end_matches("()"))).peekable();
        calls.peek().is_some() && calls.all(|call| call == "SetPageDirty")
    };
    match !places.is_empty() && places.iter().all(flag_only) {
        true => " SetPageDirty(), before the fix that this patch stands on, did nothing for such a page, either.",
        false => "",
    }
}

/// What a pin does that a reference does not.
pub fn pinned(facts: &Facts<'_>, frame: &Frame) -> Vec<String> {
    let known = &frame.known;
    let reads = facts.sites.iter().any(|s| s.write != "always");
    // The zero page is only handed out to who does not ask for write access.
    let zero = if known.zero_uncounted && reads { " but the zero page" } else { "" };
    let mut out = vec![format!(
        "Each page{zero} gets a pin where it got a plain reference, from {} until {}.",
        named(&facts.new_acquires, "or"),
        named(&facts.new_releases, "or")
    )];
    if let Some((reclaim, of_files)) = &known.not_swapped {
        // v6.12 mm/vmscan.c __remove_mapping() and folio_ref_freeze(): a reference kept the page, too.
        let which = if *of_files { "a page" } else { "an anonymous page" };
        let before = match of_files {
            true => {
                "an anonymous one into the swap cache, and before it has the file system drop what that keeps for one of a \
                 file, such as its buffers"
            }
            false => "it into the swap cache",
        };
        out.push(format!(
            "In reclaim, {reclaim}() gives up earlier on {which} that may be pinned: before it puts {before}. It could not \
             free a page with a plain reference, either."
        ));
    }
    if known.copies_at_fork {
        let mut fork = "fork() copies a pinned anonymous page for the child at once instead of sharing it.".to_string();
        if known.marks_mm {
            fork.push_str(
                " The first pin marks the address space for good (MMF_HAS_PINNED): from then on fork() looks at each of its \
                 anonymous pages for that.",
            );
        }
        out.push(fork);
    }
    if known.unshares && reads {
        let mut asked: Vec<&str> = facts.sites.iter().map(|s| s.write_expr.as_str()).collect();
        asked.dedup();
        let by = match asked.as_slice() {
            [one] if !one.is_empty() && facts.sites.iter().all(|s| s.write == "conditional") => {
                format!("`{one}` is false, no write access is asked for, and")
            }
            _ => "no write access is asked for,".to_string(),
        };
        out.push(format!(
            "Where {by} an anonymous page that is shared with another process, or \
             through KSM, is copied for this one first, and the copy is pinned; if the copy cannot be made, the pin \
             fails. A plain reference takes the shared page as it is."
        ));
    }
    out
}
