//! The patches that have to stand before the conversions, and what they say.

use super::{Leading, Needed};
use crate::prerequisite::NOMMU;
use crate::report::FileChange;
use crate::report::build::Unlinked;
use std::collections::BTreeMap;

/// Subject of the patch that adds them.
const SUBJECT: &str = "mm: add put_user_page*() placeholders";
/// Paragraphs of its body.
const BODY: [&str; 3] = [
    "Pages of get_user_pages*() are released by put_page(), as every other reference is, so nobody can tell that a \
     device or the kernel may still get at their data.",
    "Add put_user_page() and the array functions put_user_pages(), put_user_pages_dirty() and \
     put_user_pages_dirty_lock(), by which such pages are to be released from now on. They do what put_page() and the \
     set_page_dirty functions do.",
    "There is no user yet, and no change at run time.",
];

/// The patch that adds the placeholders.
pub(super) fn placeholders(changes: Vec<FileChange>) -> Leading {
    let body = BODY.iter().map(|s| s.to_string()).collect();
    Leading { subject: SUBJECT.into(), body, below: Vec::new(), needed: Needed::ByAll, changes }
}

/// The patch that adds the array functions where there is no MMU: `files` are those that call them and may be built so.
pub(super) fn without_mmu(changes: Vec<FileChange>, files: &BTreeMap<&str, &Unlinked>) -> Leading {
    let named = |(path, u): (&&str, &&Unlinked)| match &u.symbol {
        Some(s) => format!("{path} (CONFIG_{s})"),
        None => path.to_string(),
    };
    let all: Vec<String> = files.iter().map(named).collect();
    // The shortest path says the most at a glance.
    let one = files.iter().min_by_key(|(path, _)| (path.len(), **path)).map(named).unwrap_or_default();
    let these = match all.len() {
        1 => format!("A patch that follows calls them in {one}, which may be built without an MMU"),
        _ => format!("The patches that follow call them in files, such as {one}, that may be built without an MMU"),
    };
    Leading {
        subject: "mm/nommu: add put_user_pages*()".into(),
        body: vec![
            format!(
                "put_user_page() is an inline function, but the functions that release an array of pages are in \
                 mm/gup.c, which is built only with CONFIG_MMU. {NOMMU} has get_user_pages() for all other builds: \
                 code that is built for both gets pages that it cannot release in this way."
            ),
            format!(
                "{these}, as far as the Makefiles and Kconfig tell. Without the functions such a build would no longer \
                 link."
            ),
            format!(
                "Add them to {NOMMU}. They do the same as those of mm/gup.c. There is no user yet, and no change at run \
                 time."
            ),
        ],
        below: vec![format!("[ The files that need this for a build without an MMU: {}. ]", all.join(", "))],
        needed: Needed::ByUnlinked,
        changes,
    }
}
