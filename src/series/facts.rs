//! What a patch has to say about itself, collected from its plans.
//!
//! No sentence is made here, and nothing is decided: sets of names in the order of the text, counts, flags.

use crate::decide::{Order, Undirtied};
use crate::findings;
use crate::kernel::{AcquireKind, Api};
use crate::report::SiteRecord;
use crate::rules;
use crate::run::{Analysis, Evidence, FunctionChange, Guarded, HandedFix, HandedPlan, Unlinked, WeakDirtying};
use std::collections::{BTreeMap, BTreeSet};

/// Facts about the plans of one patch.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// Its sites, by path and line.
    pub sites: Vec<&'a SiteRecord>,
    /// The permitted differences at run time that the proof of each site met, in the order of `sites`; what a fix
    /// before it does is not among them.
    pub met: Vec<Vec<String>>,
    /// What its plans stand on.
    pub fixes: Vec<&'a HandedFix>,
    /// Functions that it changes, by path and place; one entry a function.
    pub functions: Vec<FunctionChange>,
    /// Releasing functions of which there are fewer calls afterwards.
    pub old_releases: Vec<String>,
    /// Releasing functions of which there are more.
    pub new_releases: Vec<String>,
    /// Acquiring functions of which there are fewer.
    pub old_acquires: Vec<String>,
    /// Acquiring functions of which there are more: where pins are counted apart.
    pub new_acquires: Vec<String>,
    /// `FOLL_*` flags that go, ascending.
    pub old_flags: BTreeSet<String>,
    /// `FOLL_*` flags that come, ascending.
    pub new_flags: BTreeSet<String>,
    /// Refinements of all proofs.
    pub refinements: BTreeSet<String>,
    /// Path and name of the functions that plans with this refinement change.
    pub refined: BTreeMap<String, BTreeSet<(String, String)>>,
    /// Every plan has a proof that holds.
    pub proved: bool,
    /// Pairs of runs that were compared.
    pub runs: u64,
    /// What the proofs took for granted, without the cautions.
    pub assumed: Vec<String>,
    /// What the sender should look at.
    pub cautions: Vec<String>,
    /// Sentences of the rules on what happens at run time.
    pub notes: Vec<String>,
    /// Sentences of the rules on what is different in the text, or in the order of releases, and nowhere else.
    pub of_form: Vec<String>,
    /// Sites whose pages may be written, and are marked dirty by nobody who gets them, each with what is known of that.
    pub undirtied: Vec<(&'a SiteRecord, &'a Undirtied)>,
    /// Blanks behind casts that go on lines that change, beside the change.
    pub casts: bool,
    /// Lines below those that change are aligned anew, beside the change.
    pub aligned: bool,
    /// What its plans know of dirtying in a weak way beside their releases.
    pub weak: Vec<&'a WeakDirtying>,
    /// What is known of the locks that are held where `notes` say that the page lock is taken, by note.
    pub orders: BTreeMap<&'a str, Order>,
    /// Rules that were used.
    pub rules: BTreeSet<&'static str>,
    /// What decided the cases of its sites.
    pub evidence: BTreeSet<&'a Evidence>,
    /// Paths of the files that change, ascending.
    pub paths: Vec<String>,
    /// All its pages are pinned as it is: only releases change, which drop a plain reference of them.
    pub completes: bool,
    /// What keeps pages of another origin from its releases.
    pub guarded: BTreeSet<&'a Guarded>,
    /// Calls that a build without an MMU may not link, unless a patch before brings the functions there.
    pub unlinked: Vec<&'a Unlinked>,
}

impl<'a> Facts<'a> {
    /// Collects the facts of the plans.
    pub fn of(analysis: &'a Analysis, plans: &[&'a HandedPlan]) -> Self {
        let mut facts = Self { proved: !plans.is_empty(), ..Self::default() };
        let mut places: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for plan in plans {
            let met = plan.proof.iter().flat_map(|p| &p.refinements).filter(|r| !is_form(r));
            let met: Vec<String> = met.cloned().collect();
            places.extend(plan.sites.iter().map(|&site| (site, met.clone())));
            facts.fixes.extend(&plan.fixes);
            for change in &plan.functions {
                facts.add(change);
            }
            facts.rules.extend(plan.rules.iter().copied());
            facts.unlinked.extend(&plan.unlinked);
            facts.weak.extend(&plan.weak);
            for (note, order) in &plan.orders {
                let known = facts.orders.remove(&**note);
                let both = known.map_or_else(|| order.clone(), |o| o.and(order.clone()));
                facts.orders.insert(note, both);
            }
            facts.evidence.extend(&plan.evidence);
            facts.guarded.extend(&plan.guarded);
            facts.paths.extend(plan.files.iter().map(|f| f.path.clone()));
            for e in plan.files.iter().flat_map(|f| f.edits.iter().map(|e| (e, &f.before))) {
                let (old, new) = (flags(e.0.span.of(e.1)), flags(&e.0.with));
                facts.old_flags.extend(old.difference(&new).cloned());
                facts.new_flags.extend(new.difference(&old).cloned());
                let (before, with) = (e.1.get(..e.0.span.start as usize).unwrap_or_default(), &*e.0.with);
                let gone = e.0.span.of(e.1);
                // Only blanks of one line on both sides.
                let blank = |b: &[u8]| b.iter().all(|c| matches!(c, b' ' | b'\t'));
                if blank(gone) && blank(with) && gone != with {
                    facts.casts |= with.is_empty() && before.ends_with(b")");
                    facts.aligned |= !with.is_empty() && before.ends_with(b",\n");
                }
            }
            let of_form = |n: &&String| rules::is_of_form(n);
            once(&mut facts.notes, plan.notes.iter().filter(|n| !of_form(n)));
            once(&mut facts.of_form, plan.notes.iter().filter(of_form));
            let site = |(i, how): &'a (usize, Undirtied)| Some((analysis.run.sites.get(*i)?, how));
            facts.undirtied.extend(plan.undirtied.iter().filter_map(site));
            once(&mut facts.cautions, &plan.cautions);
            match &plan.proof {
                Some(p) if matches!(p.outcome, "equal" | "refined") => {
                    facts.refinements.extend(p.refinements.iter().cloned());
                    for r in &p.refinements {
                        let of = plan.functions.iter().map(|f| (f.path.clone(), f.name.clone()));
                        facts.refined.entry(r.clone()).or_default().extend(of);
                    }
                    facts.runs += p.runs;
                    let granted: Vec<String> =
                        p.assumed.iter().filter(|a| !plan.cautions.contains(a)).cloned().collect();
                    once(&mut facts.assumed, &granted);
                }
                _ => facts.proved = false,
            }
        }
        facts.paths.sort();
        facts.paths.dedup();
        (facts.sites, facts.met) =
            places.into_iter().filter_map(|(i, met)| Some((analysis.run.sites.get(i)?, met))).unzip();
        let api = Api::get();
        let pins = |s: &&SiteRecord| api.acquire(&s.api).is_some_and(|a| a.kind == AcquireKind::Pin);
        facts.completes = !facts.sites.is_empty() && facts.sites.iter().all(pins);
        if facts.completes {
            // A fix does not wait for others.
            facts.undirtied.clear();
        }
        for f in &facts.functions {
            let release = |n: &&String| api.release(n).is_some_and(|r| !r.wrapper);
            let acquire = |n: &&String| api.acquire(n).is_some();
            once(&mut facts.old_releases, f.gone.iter().filter(release));
            once(&mut facts.new_releases, f.new.iter().filter(release));
            once(&mut facts.old_acquires, f.gone.iter().filter(acquire));
            once(&mut facts.new_acquires, f.new.iter().filter(acquire));
        }
        facts
    }

    /// One more change; two plans that change one function make one entry.
    fn add(&mut self, change: &FunctionChange) {
        match self.functions.iter_mut().find(|f| f.path == change.path && f.name == change.name) {
            None => self.functions.push(change.clone()),
            Some(have) => {
                once(&mut have.gone, &change.gone);
                once(&mut have.new, &change.new);
                once(&mut have.locals_gone, &change.locals_gone);
                have.loops_gone += change.loops_gone;
                have.only_in_loops &= change.only_in_loops;
                have.loop_does = have.loop_does.take().or_else(|| change.loop_does.clone());
                have.made_by
                    .extend(change.made_by.iter().filter(|m| !have.made_by.contains(m)).cloned().collect::<Vec<_>>());
            }
        }
    }

    /// Names, as `name()`, of the changed functions that `pick` takes.
    pub fn functions_where(&self, pick: impl Fn(&FunctionChange) -> bool) -> Vec<String> {
        let mut out = Vec::new();
        once(&mut out, &self.functions.iter().filter(|f| pick(f)).map(|f| format!("{}()", f.name)).collect::<Vec<_>>());
        out
    }

    /// Names of the changed functions that `pick` takes, out of plans whose proof met this refinement.
    pub fn functions_with(&self, refinement: &str, pick: impl Fn(&FunctionChange) -> bool) -> Vec<String> {
        let of = self.refined.get(refinement);
        let met = |f: &FunctionChange| of.is_some_and(|o| o.contains(&(f.path.clone(), f.name.clone())));
        self.functions_where(|f| met(f) && pick(f))
    }

    /// The sites whose pages stay pinned after the call, without `FOLL_LONGTERM`: where pins are counted.
    pub fn kept_long(&self) -> impl Iterator<Item = &'a SiteRecord> {
        let kept = |s: &&SiteRecord| !self.completes && s.findings.iter().any(|f| f == findings::LONG);
        self.sites.iter().copied().filter(kept)
    }

    /// The sites whose negative result gets to a release as a count, and no patch before this one mends that.
    pub fn negative(&self) -> impl Iterator<Item = &'a SiteRecord> {
        let negative = |s: &SiteRecord| s.findings.iter().any(|f| f == findings::NEGATIVE);
        let told = move |s: &&SiteRecord| !self.completes && negative(s) && s.fixes.is_empty();
        self.sites.iter().copied().filter(told)
    }

    /// The proofs found nothing but changes of form.
    pub fn same_behaviour(&self) -> bool {
        self.proved && self.notes.is_empty() && self.refinements.iter().all(|r| is_form(r))
    }

    /// Nothing is different at run time: only the names of calls are, or their form.
    pub fn only_renames(&self) -> bool {
        self.same_behaviour() && self.new_acquires.is_empty()
    }

    /// No more than the names of calls and the kind of reference are different.
    pub fn calm(&self) -> bool {
        self.proved && self.notes.is_empty() && self.refinements.iter().all(|r| is_form(r) || r == "R9")
    }

    /// A page that was marked dirty in a wrong way is marked in the right one.
    pub fn fixes_dirtying(&self) -> bool {
        ["R1", "R3", "R8"].iter().any(|r| self.refinements.contains(*r))
    }

    /// The files that call what the tree links only with CONFIG_MMU and may be built without, ascending.
    pub fn unlinked_files(&self) -> Vec<&str> {
        self.unlinked.iter().map(|u| u.path.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What these files call, as names, ascending.
    pub fn unlinked_calls(&self) -> Vec<String> {
        self.unlinked.iter().flat_map(|u| u.called.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How much there is to think about, for `--easy-first`: 0 only the release changes its name, 1 loops become calls,
    /// 2 a difference in behaviour that is permitted, or a fix before it, 3 the acquiring call changes, too.
    pub fn difficulty(&self) -> u8 {
        match () {
            () if self.completes => 0,
            () if !self.new_acquires.is_empty() => 3,
            () if !self.same_behaviour() || !self.fixes.is_empty() => 2,
            () if !self.refinements.is_empty() => 1,
            () => 0,
        }
    }
}

/// The refinement is one of form: nothing is different at run time but the order among distinct pages.
pub fn is_form(refinement: &str) -> bool {
    refinement == "R6"
}

/// The caution is the one of builds without an MMU.
pub fn is_mmu(caution: &str) -> bool {
    caution.contains("CONFIG_MMU")
}

/// Appends what is not there yet.
fn once<'s>(to: &mut Vec<String>, from: impl IntoIterator<Item = &'s String>) {
    for s in from {
        if !to.contains(s) {
            to.push(s.clone());
        }
    }
}

/// The words `FOLL_…` of a text.
fn flags(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|w| w.starts_with("FOLL_")).map(str::to_string).collect()
}
