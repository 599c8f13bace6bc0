//! Which hazards of the model concern a site, and what its conversion changes about them.
//!
//! Joins the facts of a record (how long the pages are held, whether they are written, how they are made dirty) with
//! the scenarios. It decides nothing and explores nothing: a scenario says what can go wrong with a page of such a
//! site, not that it does.

use crate::hazard::{Role, SCENARIOS, Scenario};
use crate::report::SiteRecord;
use serde::Serialize;
use std::collections::BTreeSet;

/// A scenario that a page of the site can run into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Concern {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// Its title.
    pub title: &'static str,
    /// The fact of the site that makes it apply.
    pub why: String,
    /// Fixes that work only once pins are tracked, which is what the conversion is for.
    pub with_tracking: Vec<&'static str>,
    /// Fixes that need no tracking.
    pub without: Vec<&'static str>,
}

/// What is to be said of a site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Concerns {
    /// Path of the pin.
    pub path: String,
    /// Line of the pin.
    pub line: u32,
    /// Function called.
    pub api: String,
    /// How long the pages are held.
    pub held: String,
    /// Whether they are written.
    pub written: String,
    /// How they are made dirty.
    pub dirtied: String,
    /// Case of `pin_user_pages.rst`, 0 when none was found.
    pub case: u8,
    /// Scenarios, in the order of the document.
    pub concerns: Vec<Concern>,
    /// What the conversion changes.
    pub change: String,
}

/// The hazards of a site in a tree of that dialect (the code of the record of kind `run`).
pub fn of(site: &SiteRecord, dialect: &str) -> Concerns {
    let beyond: BTreeSet<&str> = site
        .releases
        .iter()
        .filter(|r| r.function != site.function || r.path != site.path)
        .map(|r| r.function.as_str())
        .collect();
    let lost = site.releases.is_empty() || !site.gaps.is_empty();
    let long = !beyond.is_empty();
    let held = match (site.releases.is_empty(), long) {
        (true, _) => "it is not known for how long: no release was found".to_string(),
        (_, true) => format!("beyond {}(): released in {}", site.function, list(&beyond)),
        _ => format!("until {}() releases them", site.function),
    };
    let writes = site.write != "never";
    let written = match site.write {
        "always" => "yes: the pin asks for write access".to_string(),
        "conditional" => format!("if {}", site.write_expr),
        "never" => "no: the pages are only read".to_string(),
        _ => "not known: the flags come from elsewhere".to_string(),
    };
    let kinds: BTreeSet<&str> = site.releases.iter().map(|r| r.dirty).filter(|d| *d != "none").collect();
    let dirtied = match (kinds.is_empty(), writes) {
        (false, _) => format!("by {} before the release", list(&kinds)),
        (true, true) => "nowhere: what is written to a clean page can be dropped by reclaim".to_string(),
        (true, false) => "nowhere, and nothing needs it".to_string(),
    };
    let device = if site.case == 5 { "the processor" } else { "a device" };
    let applies = |name: &str| -> Option<String> {
        let may_write = || format!("{device} may write until the release, and writeback does not know of it");
        match name {
            "writeback-dma" => writes.then(may_write),
            "page-mkwrite" => writes.then(|| "only the pin faults; later writes are not announced".into()),
            "direct-io" | "direct-io-early-pin" => {
                (writes && site.case == 1).then(|| "the pages are the target of I/O of one call".into())
            }
            "no-buffers" | "lost-data" => (writes && !kinds.is_empty())
                .then(|| format!("the pages are made dirty by {} at the end", list(&kinds))),
            "truncate-dax" | "truncate-cache" => {
                long.then(|| format!("they are held beyond {}(), so the file can change meanwhile", site.function))
            }
            "leaked-pin" => lost.then(|| match site.gaps.first() {
                Some(g) => {
                    format!("the trace has a gap at {}:{}; if a path there keeps them, this follows", g.path, g.line)
                }
                None => "no release was found".into(),
            }),
            "fork-write" => (writes && long).then(|| "the process can fork while they are held".into()),
            "fork-read" => (!writes && long).then(|| "they are read after the pin, and the process can fork".into()),
            "pin-then-put" => released_by(site, "pin_user", "put_page"),
            "get-then-unpin" => released_by(site, "get_user", "unpin_user"),
            _ => None,
        }
    };
    let concerns = SCENARIOS.iter().filter_map(|s| applies(s.name).map(|why| concern(s, why))).collect();
    Concerns {
        path: site.path.clone(),
        line: site.line,
        api: site.api.clone(),
        held,
        written,
        dirtied,
        case: site.case,
        concerns,
        change: change(site, dialect),
    }
}

/// The place of a release of the wrong kind.
fn released_by(site: &SiteRecord, acquire: &str, release: &str) -> Option<String> {
    let r = site.releases.iter().find(|r| r.call.starts_with(release)).filter(|_| site.api.starts_with(acquire))?;
    Some(format!("{}() pins them and {}() at {}:{} lets them go", site.api, r.call, r.path, r.line))
}

fn concern(s: &'static Scenario, why: String) -> Concern {
    let tracked = |set: &[(&str, &str)]| set.contains(&("track", "on"));
    let fixes = |wanted: bool| -> Vec<&'static str> {
        let fix = s.variants.iter().filter(|v| v.role == Role::Fix && tracked(v.set) == wanted);
        fix.map(|v| v.title).collect()
    };
    Concern { scenario: s.name, title: s.title, why, with_tracking: fixes(true), without: fixes(false) }
}

fn change(site: &SiteRecord, dialect: &str) -> String {
    let what = match dialect {
        "none" => return "nothing: the tree has no call to convert to".to_string(),
        "pin-user-pages" => {
            "the pages count as pinned from the pin to the last release: writeback, reclaim and fork can see that a \
             pin is there"
        }
        _ => {
            "nothing yet: put_user_page() does what put_page() does in this tree. The release can then be told from \
             that of an ordinary reference, which is what tracking needs"
        }
    };
    let refined = site.proof.as_ref().filter(|p| !p.refinements.is_empty());
    let refined = refined.map(|p| format!("; the rewrite also makes use of {}", p.refinements.join(", ")));
    match site.verdict {
        "convert" => format!("{what}{}", refined.unwrap_or_default()),
        "assist" => format!("once somebody converts it ({}): {what}", site.reason_code),
        _ => format!("nothing: the site is left alone ({})", site.reason_code),
    }
}

fn list(items: &BTreeSet<&str>) -> String {
    let named: Vec<String> = items.iter().map(|i| format!("{i}()")).collect();
    match named.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hazard;

    fn site() -> SiteRecord {
        crate::print::sample::run().sites.remove(0)
    }

    fn names(c: &Concerns) -> Vec<&str> {
        c.concerns.iter().map(|c| c.scenario).collect()
    }

    #[test]
    fn a_page_that_is_only_read_has_none_of_the_write_hazards() {
        let mut s = site();
        s.write = "never";
        let c = of(&s, "put-user-page-2arg");
        assert!(!names(&c).iter().any(|n| ["writeback-dma", "page-mkwrite", "no-buffers"].contains(n)), "{c:?}");
        s.write = "always";
        let c = of(&s, "put-user-page-2arg");
        assert!(names(&c).contains(&"writeback-dma") && names(&c).contains(&"page-mkwrite"), "{c:?}");
    }

    #[test]
    fn every_scenario_named_exists_and_every_fix_fixes() {
        let mut s = site();
        s.write = "always";
        s.case = 1;
        for c in of(&s, "pin-user-pages").concerns {
            let story = hazard::run(c.scenario, &[]).expect("a scenario");
            assert_eq!(story.scenario, c.scenario);
            assert!(!c.why.is_empty());
        }
    }

    #[test]
    fn a_long_pin_meets_truncation_and_fork() {
        let mut s = site();
        s.write = "always";
        s.releases.iter_mut().for_each(|r| r.function = "foo_close".into());
        let c = of(&s, "put-user-page-2arg");
        assert!(["truncate-dax", "truncate-cache", "fork-write"].iter().all(|n| names(&c).contains(n)), "{c:?}");
        let own = s.function.clone();
        s.releases.iter_mut().for_each(|r| r.function = own.clone());
        s.releases.iter_mut().for_each(|r| r.path = s.path.clone());
        assert!(!names(&of(&s, "put-user-page-2arg")).contains(&"truncate-dax"));
    }

    #[test]
    fn what_changes_depends_on_the_dialect() {
        let mut s = site();
        s.verdict = "convert";
        assert!(of(&s, "put-user-page-2arg").change.starts_with("nothing yet"));
        assert!(of(&s, "pin-user-pages").change.starts_with("the pages count as pinned"));
        s.verdict = "leave";
        assert!(of(&s, "pin-user-pages").change.starts_with("nothing: the site is left alone"));
    }
}
