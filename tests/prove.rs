//! The proof on small pairs of C: `fixtures/prove/CASE/{before.c,after.c,expect.txt}`.
//!
//! The first line of `before.c` is a comment with options (`prove: 3arg always-write atomic=f locked=f trace=f,g strict
//! tracked`). The first line of `expect.txt` is the outcome with its refinements; every further line must occur in the
//! counterexample, the assumptions or the name of the construct that stopped the proof. A line `runs <= N` bounds the
//! number of pairs compared. With `GUPCONV_STORIES` set, every proof is printed.

#[path = "prove/mutants.rs"]
mod mutants;
#[path = "prove/program.rs"]
mod program;

use libtest_mimic::{Arguments, Failed, Trial};
use program::{Case, show};
use std::path::{Path, PathBuf};

fn check(dir: &Path) -> Result<(), Failed> {
    let case = Case::read(dir)?;
    let proof = case.prove();
    let text = show(&proof, &case);
    if std::env::var_os("GUPCONV_STORIES").is_some() {
        eprintln!("--- {}\n{text}", dir.display());
    }
    let expect = std::fs::read_to_string(dir.join("expect.txt")).unwrap_or_default();
    let mut lines = expect.lines();
    let head = text.lines().next().unwrap_or_default().to_string();
    if lines.next() != Some(head.as_str()) {
        return Err(format!("got:\n{text}\nwant: {expect}").into());
    }
    for line in lines.map(str::trim).filter(|l| !l.is_empty()) {
        if let Some(n) = line.strip_prefix("runs <= ") {
            let n: u64 = n.parse().map_err(|e| format!("{line}: {e}"))?;
            if proof.runs > n {
                return Err(format!("{} runs, want at most {n}", proof.runs).into());
            }
        } else if !text.contains(line) {
            return Err(format!("missing: {line}\ngot:\n{text}").into());
        }
    }
    // The same question has the same answer, to the byte.
    if show(&case.prove(), &case) != text {
        return Err("the second proof differs from the first".into());
    }
    // A difference that is not told is the same answer, sooner.
    let untold = case.ask(&case.after, false);
    if (untold.outcome, &untold.refinements, &untold.assumed) != (proof.outcome, &proof.refinements, &proof.assumed) {
        return Err(format!("untold it is another answer:\n{}", show(&untold, &case)).into());
    }
    if untold.runs > proof.runs {
        return Err("a difference that is not told takes longer".into());
    }
    Ok(())
}

fn main() {
    let args = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prove");
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(&root)
        .map(|d| d.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect())
        .unwrap_or_default();
    dirs.sort();
    let name = |d: &Path| d.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut trials = Vec::new();
    for d in &dirs {
        let dir = d.clone();
        trials.push(Trial::test(format!("prove/{}", name(d)), move || check(&dir)));
        let dir = d.clone();
        trials.push(Trial::test(format!("mutants/{}", name(d)), move || mutants::check(&dir)));
    }
    let some = dirs.len();
    trials.push(Trial::test("prove/fixtures-found", move || {
        if some == 0 { Err("no fixtures under fixtures/prove".into()) } else { Ok(()) }
    }));
    libtest_mimic::run(&args, trials).exit();
}
