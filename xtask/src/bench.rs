//! `bench`: the time of `scan` beside ripgrep and Coccinelle on the same files, in the same minutes.
//!
//! The programs run in turn (A B C A B C …), so that a busy machine slows all of them; medians are compared. Peak
//! memory comes from GNU time when it is installed. Timed is the binary that users get (profile `dist`).

use crate::repo;
use crate::tree;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs of each program when `--runs` is not given.
const RUNS: usize = 9;
/// Coccinelle takes half a minute a run.
const SLOW_RUNS: usize = 1;

/// One program of the comparison.
struct Rival {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    runs: usize,
}

/// What was measured of one program.
struct Measured {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
    peak_kib: Option<u64>,
}

/// A patch that only finds the calls: the least that Coccinelle can do, and so its fastest.
const COCCI: &str = "\
@@
expression list args;
@@
(
* get_user_pages(args)
|
* get_user_pages_fast(args)
|
* get_user_pages_remote(args)
|
* get_user_pages_unlocked(args)
|
* get_user_pages_locked(args)
)
";

/// Measures and prints the table.
pub fn run(arguments: &[String]) -> Result<()> {
    let tree = tree::find(arguments)?;
    let runs: usize = repo::option(arguments, "--runs")?.map_or(Ok(RUNS), str::parse).context("--runs")?;
    ensure!(runs > 0, "--runs must be at least 1");
    let gupconv = repo::built("dist")?;
    let rivals = rivals(&gupconv, &tree.path, runs)?;
    for rival in &rivals {
        once(rival, &tree.path)?; // warms the page cache
    }
    let mut measured: Vec<Measured> =
        rivals.iter().map(|_| Measured { seconds: vec![], cpu: vec![], peak_kib: None }).collect();
    for round in 0..runs {
        for (rival, result) in rivals.iter().zip(&mut measured).filter(|(rival, _)| round < rival.runs) {
            let (seconds, cpu, peak) = once(rival, &tree.path)?;
            result.seconds.push(seconds);
            result.cpu.extend(cpu);
            result.peak_kib = result.peak_kib.max(peak);
        }
    }
    println!("{}, warm page cache", tree.version.unwrap_or_else(|| tree.path.display().to_string()));
    println!("{:<28} {:>4} {:>9} {:>15} {:>8} {:>10} {:>7}", "", "runs", "median", "range", "cpu", "peak", "ratio");
    let base = median(&mut measured[0].seconds.clone());
    for (rival, result) in rivals.iter().zip(&mut measured) {
        let middle = median(&mut result.seconds);
        let (low, high) = (result.seconds[0], result.seconds[result.seconds.len() - 1]);
        let cpu = if result.cpu.is_empty() { "-".into() } else { format!("{:.2} s", median(&mut result.cpu)) };
        let peak = result.peak_kib.map_or("-".into(), |kib| format!("{} MiB", kib / 1024));
        println!(
            "{:<28} {:>4} {:>7.3} s {:>6.3}-{:<6.3} s {:>8} {:>10} {:>6.2}x",
            rival.name,
            rival.runs,
            middle,
            low,
            high,
            cpu,
            peak,
            middle / base
        );
    }
    hops(&gupconv, &tree.path)
}

fn rivals(gupconv: &Path, tree: &Path, runs: usize) -> Result<Vec<Rival>> {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let mut rivals = Vec::new();
    if repo::installed("rg") {
        let all = strings(&["-l", "get_user_pages", "."]);
        let sources = strings(&["-l", "-g", "*.{c,h}", "get_user_pages", "."]);
        rivals.push(Rival { name: "rg -l get_user_pages", program: "rg".into(), arguments: all, runs });
        rivals.push(Rival { name: "the same, C files", program: "rg".into(), arguments: sources, runs });
    } else {
        println!("ripgrep is not installed: ratios are to the first line");
    }
    let mut arguments = strings(&["scan", "--format", "jsonl", "--tree"]);
    arguments.push(tree.display().to_string());
    rivals.push(Rival { name: "gupconv scan", program: gupconv.into(), arguments: arguments.clone(), runs });
    arguments.extend(strings(&["-j", "1"]));
    rivals.push(Rival { name: "gupconv scan -j 1", program: gupconv.into(), arguments, runs });
    if repo::installed("spatch") {
        let script = tree::scratch("bench")?.join("gup.cocci");
        fs::write(&script, COCCI)?;
        let mut arguments = strings(&["--no-show-diff", "--very-quiet", "--use-gitgrep", "-j", "2", "--sp-file"]);
        arguments.retain(|a| a != "--use-gitgrep" || tree.join(".git").exists());
        arguments.push(script.display().to_string());
        arguments.push(tree.display().to_string());
        let runs = SLOW_RUNS.min(runs);
        rivals.push(Rival { name: "spatch, calls only", program: "spatch".into(), arguments, runs });
    } else {
        println!("Coccinelle is not installed");
    }
    Ok(rivals)
}

/// Wall time, processor time and peak memory of one run.
fn once(rival: &Rival, tree: &Path) -> Result<(f64, Option<f64>, Option<u64>)> {
    let time = Path::new("/usr/bin/time");
    let mut command = if time.exists() {
        let mut command = Command::new(time);
        command.args(["-f", "%e %U %S %M"]).arg(&rival.program);
        command
    } else {
        Command::new(&rival.program)
    };
    let started = Instant::now();
    let output = command
        .args(&rival.arguments)
        .current_dir(tree)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", rival.name))?;
    let wall = started.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}\n{said}", rival.name, output.status);
    let numbers: Vec<f64> =
        said.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [_, user, system, peak] if time.exists() => Ok((wall, Some(user + system), Some(peak as u64))),
        _ => Ok((wall, None, None)),
    }
}

/// Time of each hop, and what `scan -v` tells.
fn hops(gupconv: &Path, tree: &Path) -> Result<()> {
    let mut scan = Command::new(gupconv);
    scan.env("GUPCONV_TIMES", "1").args(["-v", "scan", "--format", "jsonl", "--tree"]).arg(tree);
    let output = scan.output()?;
    println!("\nscan -v:");
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("  {line}");
    }
    Ok(())
}

/// Sorts and takes the middle; 0 of nothing.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
