//! `get_user_pages*()` becomes `pin_user_pages*()`, in trees where pinned pages are counted apart.
//!
//! # What it does
//! Changes the name of the acquiring function to its twin in the same plan as all releases. The argument list of the
//! twin is the same in every tree that has it.
//!
//! # Why
//! Where `unpin_user_page()` exists, it drops a pin and not a reference: acquire and release must change together, or
//! every page is left with a wrong count.
//!
//! # Example
//! ```c
//! ret = get_user_pages_fast(start, npages, FOLL_WRITE, pages);
//! ```
//! becomes
//! ```c
//! ret = pin_user_pages_fast(start, npages, FOLL_WRITE, pages);
//! ```
//!
//! # Fix safety
//! Only with all releases of the pin, and only if the tree has the twin. `get_user_pages()` sets `FOLL_TOUCH`, which
//! dirties a page that is pinned for writing; `pin_user_pages()` does not. Where no release dirties, the report says
//! so.

use super::{Change, Form, Scene};
use crate::plan::Target;
use crate::trace::{PinSite, Writes};

/// The twin of an acquiring function, if the tree has it.
pub fn twin(target: &Target, api: &str) -> Option<String> {
    let rest = api.strip_prefix("get_user_pages")?;
    let new = format!("pin_user_pages{rest}");
    target.available.contains(&new).then_some(new)
}

/// The change of the call, and what a person should look at.
pub fn rewrite(scene: &Scene, site: &PinSite, dirtied: bool) -> Option<(Change, Option<String>)> {
    let with = twin(scene.target, &site.api)?;
    if site.at.span.of(scene.text) != site.api.as_bytes() {
        return None;
    }
    let touched = &*site.api == "get_user_pages" && site.writes != Writes::Never && !dirtied;
    let caution = touched.then(|| {
        format!(
            "{}() relied on FOLL_TOUCH of get_user_pages() to dirty the pages: no release dirties them, and {with}() does not.",
            site.function
        )
    });
    Some((Change { span: site.at.span, with, form: Form::Part }, caution))
}
