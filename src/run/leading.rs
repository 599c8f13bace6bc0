//! The patches that have to stand before the conversions, and what they say.

use super::{HandedPlan, Leading, Needed};
use crate::prerequisite::{GUP, MAKEFILE, keeps_order};
use crate::report::FileChange;
use crate::report::build::Unlinked;
use std::collections::{BTreeMap, BTreeSet};

/// Subject of the patch that adds them.
const SUBJECT: &str = "mm: add put_user_page*() placeholders";
/// Paragraphs of its body.
const BODY: [&str; 3] = [
    "Pages of get_user_pages*() are released by put_page(), as every other reference is, so nobody can tell that a \
     device or the kernel may still get at their data.",
    "Add put_user_page() and the array functions put_user_pages(), put_user_pages_dirty() and \
     put_user_pages_dirty_lock(), by which such pages are to be released from now on. They do what put_page() and the \
     set_page_dirty functions do, except that a page that is dirty already is not dirtied again.",
    "There is no user yet, and no change at run time.",
];
/// What it adds.
const ADDED: [&str; 4] = ["put_user_page", "put_user_pages", "put_user_pages_dirty", "put_user_pages_dirty_lock"];

/// The patch that adds the placeholders that the plans are made for.
pub(super) fn placeholders(changes: Vec<FileChange>, plans: &[HandedPlan]) -> Leading {
    let called: BTreeSet<&str> = plans.iter().flat_map(|p| &p.functions).flat_map(|f| &f.new).map(|n| &**n).collect();
    let unused: Vec<String> = ADDED.iter().filter(|f| !called.contains(*f)).map(|f| format!("{f}()")).collect();
    let below = match unused.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "[ To be decided before sending: nothing in this series calls {}. The four belong together, but a function \
             without a user may have to go. ]",
            unused.join(" or ")
        )],
    };
    let body = BODY.iter().map(|s| s.to_string()).collect();
    Leading { subject: SUBJECT.into(), body, below, needed: Needed::ByAll, changes }
}

/// The patch that builds mm/gup.c in every configuration: `files` are those that call its array functions and may be
/// built without an MMU; `nommu_gets` says that mm/nommu.c has `get_user_pages()`.
pub(super) fn without_mmu(changes: Vec<FileChange>, files: &BTreeMap<&str, &Unlinked>, nommu_gets: bool) -> Leading {
    let named = |(path, u): (&&str, &&Unlinked)| match &u.symbol {
        Some(s) => format!("{path} (CONFIG_{s})"),
        None => path.to_string(),
    };
    let all: Vec<String> = files.iter().map(named).collect();
    // The shortest path says the most at a glance.
    let one = files.iter().min_by_key(|(path, _)| (path.len(), **path)).map(named).unwrap_or_default();
    let these = match all.len() {
        1 => format!("A patch of this series calls them in {one}, which may be built without an MMU"),
        _ => {
            format!("Other patches of this series call them in files, such as {one}, that may be built without an MMU")
        }
    };
    let gets = match nommu_gets {
        true => " get_user_pages() is there without an MMU as well, in mm/nommu.c.",
        false => "",
    };
    let ordered = changes.iter().any(|c| c.path == MAKEFILE && keeps_order(&c.before));
    let linked = match ordered {
        true => "nothing changes: the code is the same, and so is the order in which it is linked.",
        false => "the code is the same as before; its object is linked at another place within mm/.",
    };
    Leading {
        subject: "mm/gup: provide put_user_pages*() without CONFIG_MMU".into(),
        body: vec![
            format!(
                "{GUP} is built only with CONFIG_MMU, and with it the functions that release an array of user \
                 pages.{gets}"
            ),
            format!("{these}, as far as the Makefiles and Kconfig tell. Such a build would no longer link after that."),
            format!(
                "Build {GUP} always. Without CONFIG_MMU only put_user_pages*(), and what they call, are left of it. With \
                 CONFIG_MMU {linked}"
            ),
        ],
        below: vec![format!("[ The files that need this for a build without an MMU: {}. ]", all.join(", "))],
        needed: Needed::ByUnlinked,
        changes,
    }
}
