//! `mutants`: the proofs of a whole tree, and whether they can fail.
//!
//! Every plan that is made for the tree is proved as `convert` does it. Outcomes are counted; what stopped a proof is
//! listed by construct, most frequent first. Then every wrong variant ([`gupconv::prove::mutants`]) of every plan that
//! was proved is given to the same proof: each must be refused. A survivor is printed with its place and the change,
//! for a person to argue that it does the same as the right rewrite, or to find the hole.
//!
//! `--proofs-only` makes no mutants, `--only TEXT` looks at plans of sites whose path has the text, and `--stories`
//! prints the counterexamples of the proofs that failed.

use crate::{repo, tree};
use anyhow::{Result, bail};
use gupconv::config::Config;
use gupconv::parse::function_from_source;
use gupconv::prove::{self, Outcome, Proof, Task};
use gupconv::source::LineMap;
use gupconv::{proof, run};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one plan gave; plans are proved by several threads and printed in the order of their places.
struct Plan {
    place: String,
    outcome: Outcome,
    stopped: Option<String>,
    runs: u64,
    time: Duration,
    tried: usize,
    /// Refused because the model showed a difference; the others because they could not be run.
    shown: usize,
    survivors: Vec<String>,
    story: Option<String>,
}

/// Entry point.
pub fn run(arguments: &[String]) -> Result<()> {
    let Some(root) = repo::option(arguments, "--tree")? else {
        bail!("--tree DIR is needed: the root of a kernel tree")
    };
    let tree = tree::find(&["--tree".to_string(), root.to_string()])?;
    let only = repo::option(arguments, "--only")?.map(String::from);
    let stories = arguments.iter().any(|a| a == "--stories");
    let only_proofs = arguments.iter().any(|a| a == "--proofs-only");
    let config = Config::of_tree(&tree.path);
    let plans: Mutex<Vec<Plan>> = Mutex::default();
    let answer = |config: &Config, custody: &gupconv::trace::Custody, q: &gupconv::decide::Question<'_>| {
        if q.fix.is_some() {
            // No rewrite of a release: what could be wrong in one, a fix does not touch.
            return proof::answer(config, custody, q);
        }
        let task = proof::task(config, custody, q);
        let aside = |part: &String| !q.sites.iter().any(|s| q.program.path(s.at.file).contains(part.as_str()));
        if only.as_ref().is_some_and(aside) {
            return gupconv::decide::unproved(q);
        }
        let started = processor_time();
        let found = prove::prove(&task);
        let time = processor_time().saturating_sub(started);
        let site = q.sites.first().map(|s| s.at);
        let place = site.map_or_else(String::new, |at| {
            let text = q.program.text(at.file);
            format!("{}:{}", q.program.path(at.file), LineMap::new(&text).line(q.at(at).span.start))
        });
        let mut plan = Plan {
            place,
            outcome: found.outcome,
            stopped: found.stopped.as_ref().map(|s| {
                let text = q.program.text(s.file);
                let line = LineMap::new(&text).line(s.span.start);
                format!("{} ({}:{line})", s.construct, q.program.path(s.file))
            }),
            runs: found.runs,
            time,
            tried: 0,
            shown: 0,
            survivors: Vec::new(),
            story: None,
        };
        if matches!(found.outcome, Outcome::Equal | Outcome::Refined) && !only_proofs {
            mutate(&task, &mut plan);
        }
        if stories {
            plan.story = found.counterexample.clone();
        }
        let record = proof::record(q, &task, found);
        if let Ok(mut all) = plans.lock() {
            all.push(plan);
        }
        record
    };
    run::analyse_with(&config, &answer).map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut plans = plans.into_inner().unwrap_or_default();
    plans.sort_by(|a, b| (&a.place, a.outcome, a.runs).cmp(&(&b.place, b.outcome, b.runs)));
    print(&plans);
    Ok(())
}

/// What this thread has run so far, from Linux's `schedstat`: a busy machine makes the clock on the wall useless.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// Proves every mutant of the plan.
fn mutate(task: &Task<'_>, plan: &mut Plan) {
    let files: BTreeMap<_, _> = task.changed.iter().map(|c| (c.file, c.after_text.clone())).collect();
    for (file, after) in files {
        let before = task.program.text(file);
        for mutant in prove::mutants(&before, &after) {
            let text: Arc<[u8]> = mutant.apply(&after).into();
            let Some(proof) = prove_with(task, file, &text) else { continue };
            plan.tried += 1;
            match proof.outcome {
                Outcome::Differs => plan.shown += 1,
                Outcome::Unsupported => {}
                Outcome::Equal | Outcome::Refined => plan.survivors.push(format!(
                    "{} {} as {}: {:?} by {:?}",
                    task.program.path(file),
                    mutant.label,
                    proof.outcome.code(),
                    mutant.span.text(&after),
                    mutant.with
                )),
            }
        }
    }
}

/// The proof with another text of one file; `None` when a function of it does not parse any more.
fn prove_with(task: &Task<'_>, file: gupconv::source::FileId, text: &Arc<[u8]>) -> Option<Proof> {
    let mut changed = task.changed.clone();
    for c in changed.iter_mut().filter(|c| c.file == file) {
        let after = function_from_source(text, &c.before.name).filter(|f| f.damage.is_empty())?;
        (c.after, c.after_text) = (Arc::new(after), text.clone());
    }
    Some(prove::prove(&Task {
        program: task.program,
        changed,
        removed: task.removed.clone(),
        functions: task.functions.clone(),
        acquires: task.acquires.clone(),
        releases: task.releases.clone(),
        contexts: task.contexts.clone(),
        ..*task
    }))
}

fn print(plans: &[Plan]) {
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut constructs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for p in plans {
        *outcomes.entry(p.outcome.code()).or_default() += 1;
        if let Some(text) = &p.stopped {
            let construct = text.rsplit_once(" (").map_or(text.as_str(), |(c, _)| c);
            constructs.entry(construct).or_default().push(text);
        }
    }
    let time: Duration = plans.iter().map(|p| p.time).sum();
    println!("{} plans, {:.2} s of processor time for all proofs: {outcomes:?}", plans.len(), time.as_secs_f64());
    let mut constructs: Vec<_> = constructs.into_iter().collect();
    constructs.sort_by_key(|(c, places)| (std::cmp::Reverse(places.len()), *c));
    for (construct, places) in constructs {
        println!("  {} x {construct}", places.len());
        places.iter().for_each(|p| println!("      {p}"));
    }
    for p in plans {
        println!("{:>7} runs {:>7.3} s  {} {}", p.runs, p.time.as_secs_f64(), p.outcome.code(), p.place);
        p.story.iter().for_each(|s| println!("{s}"));
    }
    let tried: usize = plans.iter().map(|p| p.tried).sum();
    let survivors: Vec<&String> = plans.iter().flat_map(|p| &p.survivors).collect();
    if tried == 0 {
        return;
    }
    let killed = tried - survivors.len();
    println!(
        "mutants: {tried}, refused {killed} ({:.2} %), {} of them with a difference shown; {} survive",
        100.0 * killed as f64 / tried as f64,
        plans.iter().map(|p| p.shown).sum::<usize>(),
        survivors.len()
    );
    survivors.iter().for_each(|s| println!("  {s}"));
}
