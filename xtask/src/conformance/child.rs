//! Builds the cut functions with the harness, and talks to the process.

use super::cut::{self, Cuts};
use super::sequence::Sequence;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HARNESS: &str = include_str!("../../conformance/harness.h");
const DRIVER: &str = include_str!("../../conformance/driver.c");

/// A compiled harness. The folder is removed with it.
pub struct Built {
    program: PathBuf,
    _dir: tempfile::TempDir,
    /// Functions inside.
    pub compiled: Vec<&'static str>,
    /// Their lines.
    pub lines: usize,
    /// Functions that did not compile, with the first error.
    pub dropped: Vec<String>,
}

/// Compiles what was cut. A function that does not compile is left out, then those that need it, until the rest does.
pub fn build(cuts: &Cuts, keep: Option<&Path>) -> Result<Built> {
    let dir = tempfile::tempdir()?;
    let mut dropped: Vec<(String, String)> = vec![];
    loop {
        let inside = |name: &str| !dropped.iter().any(|(other, _)| other == name);
        let source = source(cuts, &inside);
        let file = dir.path().join("conformance.c");
        std::fs::write(&file, &source)?;
        if let Some(keep) = keep {
            std::fs::create_dir_all(keep)?;
            std::fs::write(keep.join("conformance.c"), &source)?;
        }
        let program = dir.path().join("conformance");
        // -fwrapv: the kernel is built with -fno-strict-overflow.
        let out = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-w", "-fwrapv", "-fno-strict-aliasing"])
            .args(["-Werror=implicit-function-declaration", "-o"])
            .arg(&program)
            .arg(&file)
            .output()
            .context("cc: a C compiler is needed")?;
        if out.status.success() {
            let all: Vec<_> = cuts.functions.iter().filter(|c| inside(c.name)).collect();
            return Ok(Built {
                program,
                _dir: dir,
                compiled: all.iter().map(|c| c.name).collect(),
                lines: all.iter().map(|c| c.text.lines().count()).sum(),
                dropped: dropped.iter().map(|(name, why)| format!("{name} ({why})")).collect(),
            });
        }
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        let before = dropped.len();
        for line in errors.lines().filter(|line| line.contains("error:")) {
            let Some(name) = line.strip_prefix("cut/").and_then(|rest| rest.split(':').next()) else { continue };
            if !dropped.iter().any(|(other, _)| other == name) {
                let why = line.split("error:").nth(1).unwrap_or("does not compile").trim();
                dropped.push((name.to_string(), why.to_string()));
            }
        }
        if dropped.len() == before {
            bail!("the harness does not compile with the functions of this tree:\n{errors}");
        }
    }
}

fn source(cuts: &Cuts, inside: &dyn Fn(&str) -> bool) -> String {
    let mut out = format!("#line 1 \"harness.h\"\n{HARNESS}\n");
    out.push_str("typedef int (*set_dirty_func_t)(struct page *page);\n");
    let bias = cuts.bias.as_deref().unwrap_or("0");
    let _ = writeln!(out, "#define H_BIAS ({bias})\n#define DIRTY_LOCK_ARITY {}", cut::arity(cuts));
    let functions: Vec<_> = cuts.functions.iter().filter(|c| inside(c.name)).collect();
    for cut in &functions {
        let _ = writeln!(out, "#define HAVE_{} 1", cut.name);
    }
    let text = |cut: &cut::Cut| match cut::WRAPPED.contains(&cut.name) {
        true => cut.text.replacen(&format!("{}(", cut.name), &format!("cut_{}(", cut.name), 1),
        false => cut.text.clone(),
    };
    for cut in &functions {
        let text = text(cut);
        let head = text.split("\n{").next().unwrap_or_default();
        let _ = writeln!(out, "#line 1 \"cut/{}\"\n{head};", cut.name);
    }
    for cut in &functions {
        let _ = writeln!(out, "#line 1 \"cut/{}\"\n{}", cut.name, text(cut));
    }
    let _ = writeln!(out, "#line 1 \"driver.c\"\n{DRIVER}");
    out
}

impl Built {
    /// Starts a process.
    pub fn start(&self) -> Result<Process> {
        let child = Command::new(&self.program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Process { child, buffer: Vec::new() })
    }
}

/// A running harness; ended when dropped.
pub struct Process {
    child: Child,
    buffer: Vec<u8>,
}

impl Process {
    fn send(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("stdin")?;
        stdin.write_all(&self.buffer)?;
        stdin.flush()?;
        self.buffer.clear();
        Ok(())
    }

    fn frame(&mut self, sequence: &Sequence) {
        let at = self.buffer.len();
        self.buffer.extend([0; 4]);
        sequence.encode(&mut self.buffer);
        let length = (self.buffer.len() - at - 4) as u32;
        self.buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        let stdout = self.child.stdout.as_mut().context("stdout")?;
        stdout.read_exact(&mut bytes).context("the compiled harness ended early")?;
        Ok(bytes)
    }

    /// Runs sequences; a hash for each. At most 8192 at a time, as the answers must fit into the pipe.
    pub fn hashes(&mut self, sequences: &[Sequence]) -> Result<Vec<u64>> {
        for sequence in sequences {
            self.frame(sequence);
        }
        self.buffer.extend([0; 4]);
        self.send()?;
        sequences.iter().map(|_| Ok(u64::from_le_bytes(self.read()?))).collect()
    }

    /// Runs one sequence; everything observed.
    pub fn observations(&mut self, sequence: &Sequence) -> Result<Vec<u8>> {
        self.buffer.extend([0xff; 4]);
        self.frame(sequence);
        self.buffer.extend([0; 4]);
        self.send()?;
        let length = u32::from_le_bytes(self.read()?) as usize;
        let mut bytes = vec![0; length];
        self.child.stdout.as_mut().context("stdout")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
