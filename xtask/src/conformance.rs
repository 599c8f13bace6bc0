//! `cargo xtask conformance --tree DIR`: the page model against the functions of a real kernel tree.
//!
//! The functions that take and drop page references are cut out of the tree's own files at run time, compiled with the
//! machine's C compiler against a small harness of ours (`xtask/conformance/`), and run side by side with
//! [`gupconv::model`] over every short and `--sequences N` (a million) random long sequences of calls. Compared after
//! every call: counts, pin counts, flags, locks, node counters, results, events and faults, as a hash; a sequence that
//! differs is run again and shown. No kernel text is stored here. Not compared: timing, other CPUs, and what
//! `CONFIG_DEBUG_VM` adds.

mod child;
mod cut;
mod exhaustive;
mod knobs;
mod random;
mod sequence;

use anyhow::{Context, Result, bail};
use gupconv::model::Capabilities;
use sequence::{Coverage, Op, Sequence};
use std::path::PathBuf;
use std::time::Instant;

/// Sequences sent to the child at a time. Its answers (8 bytes each) must fit into a pipe (64 KiB).
const CHUNK: usize = 4096;

struct Args {
    trees: Vec<PathBuf>,
    sequences: u64,
    seed: u64,
    break_knob: Option<String>,
    self_test: bool,
    keep: Option<PathBuf>,
}

/// Entry point; `args` are those behind `conformance`.
pub fn main(args: &[String]) -> Result<()> {
    let args = parse(args)?;
    let mut failed = 0;
    for tree in &args.trees {
        failed += u32::from(!run(tree, &args).with_context(|| format!("{}", tree.display()))?);
    }
    if failed > 0 {
        bail!("{failed} of {} trees do not conform", args.trees.len());
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Args> {
    let mut out = Args { trees: vec![], sequences: 1_000_000, seed: 1, break_knob: None, self_test: true, keep: None };
    let mut it = args.iter();
    while let Some(arg) = it.next() {
        let mut value = || it.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--tree" => out.trees.push(value()?.into()),
            "--sequences" => out.sequences = value()?.replace('_', "").parse().context("--sequences N")?,
            "--seed" => out.seed = value()?.parse().context("--seed N")?,
            "--break" => out.break_knob = Some(value()?.clone()),
            "--no-self-test" => out.self_test = false,
            "--keep" => out.keep = Some(value()?.into()),
            _ => bail!(
                "unknown argument {arg}; usage: cargo xtask conformance --tree DIR [--tree DIR …] [--sequences N] \
                 [--seed N] [--break KNOB] [--no-self-test] [--keep DIR]"
            ),
        }
    }
    if out.trees.is_empty() {
        bail!("--tree DIR is needed: the root of a kernel tree");
    }
    Ok(out)
}

/// Checks one tree; says whether it conforms and whether the comparison can fail.
fn run(tree: &std::path::Path, args: &Args) -> Result<bool> {
    let start = Instant::now();
    let cuts = cut::cut(tree)?;
    // The switches come from the program's own detection: a mistake there is a divergence here.
    let detected = gupconv::kernel::dialect::detect(tree, None).map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut caps = detected.dialect.capabilities();
    if let Some(knob) = &args.break_knob {
        caps = knobs::broken(&caps, knob)?;
    }
    println!("{}: {}", tree.display(), caps.name);
    let built = child::build(&cuts, args.keep.as_deref())?;
    println!(
        "  {} functions of the tree compiled, {} lines: {}",
        built.compiled.len(),
        built.lines,
        built.compiled.join(" ")
    );
    if !built.dropped.is_empty() {
        println!("  NOT compiled, so not checked: {}", built.dropped.join("; "));
    }
    let ops = Op::available(&built.compiled);
    let missing: Vec<&str> = Op::ALL.iter().filter(|op| !ops.contains(op)).map(|op| op.name()).collect();
    println!("  calls not in this tree: {}", missing.join(" "));

    let short = exhaustive::sequences(&ops, &caps).count() as u64;
    let (count, divergence, coverage) = compare(&built, &ops, caps, caps, args.sequences, args.seed)?;
    coverage.print();
    if let Some(text) = divergence {
        println!("{text}  DIVERGES after {count} sequences ({:.1} s)", start.elapsed().as_secs_f32());
        return Ok(false);
    }
    println!(
        "  {count} sequences ({short} short ones, exhaustive; {} random of 3 to 12 calls), no divergence ({:.1} s)",
        args.sequences,
        start.elapsed().as_secs_f32()
    );
    if !args.self_test || args.break_knob.is_some() {
        return Ok(true);
    }
    let mut blind = vec![];
    let names = knobs::applicable(&caps);
    for name in &names {
        let broken = knobs::broken(&caps, name)?;
        if compare(&built, &ops, broken, caps, args.sequences, args.seed)?.1.is_none() {
            blind.push(*name);
        }
    }
    println!(
        "  self-test: {} of {} broken models detected ({:.1} s){}",
        names.len() - blind.len(),
        names.len(),
        start.elapsed().as_secs_f32(),
        if blind.is_empty() { String::new() } else { format!("; NOT detected: {}", blind.join(" ")) }
    );
    Ok(blind.is_empty())
}

/// Runs every short sequence and `random_ones` long ones on both sides, up to the first difference. `shape` decides
/// which sequences are made, so that a broken model meets the same ones as the whole one.
fn compare(
    built: &child::Built,
    ops: &[Op],
    caps: Capabilities,
    shape: Capabilities,
    random_ones: u64,
    seed: u64,
) -> Result<(u64, Option<String>, Coverage)> {
    let mut child = built.start()?;
    let mut coverage = Coverage::default();
    let mut count = 0;
    let mut chunk: Vec<Sequence> = Vec::with_capacity(CHUNK);
    let mut random = random::Random::new(seed);
    let all = exhaustive::sequences(ops, &shape)
        .chain(std::iter::from_fn(|| Some(random.sequence(ops, &shape))).take(usize::try_from(random_ones)?));
    let mut all = all.peekable();
    while all.peek().is_some() {
        chunk.clear();
        chunk.extend(all.by_ref().take(CHUNK));
        let theirs = child.hashes(&chunk)?;
        for (sequence, hash) in chunk.iter().zip(theirs) {
            count += 1;
            if sequence.run(caps, &mut coverage, None) != hash {
                let mut ours = Vec::new();
                sequence.run(caps, &mut coverage, Some(&mut ours));
                let theirs = child.observations(sequence)?;
                return Ok((count, Some(sequence::describe(sequence, caps, &ours, &theirs)), coverage));
            }
        }
    }
    Ok((count, None, coverage))
}
