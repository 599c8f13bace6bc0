//! Which architecture a file is built for, and with which compiler.
//!
//! Knows the names that distributions give to cross compilers, as data; what an architecture can have, Kconfig says.

use crate::kbuild::{Kbuild, arch_of};
use std::env;
use std::process::{Command, Stdio};

/// An architecture with a compiler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arch {
    /// `ARCH` of Kbuild.
    pub name: String,
    /// `CROSS_COMPILE`; none for the machine's own compiler, or what the environment says.
    pub cross: Option<String>,
}

/// Folder of `arch/`, machine names of the same (`uname -m`), and prefixes of compilers for it, the better first.
const KNOWN: &[(&str, &[&str], &[&str])] = &[
    ("x86", &["x86_64", "x86"], &["x86_64-linux-gnu-"]),
    ("arm64", &["aarch64"], &["aarch64-linux-gnu-"]),
    ("arm", &["arm"], &["arm-linux-gnueabihf-", "arm-linux-gnueabi-"]),
    ("powerpc", &["powerpc64", "powerpc"], &["powerpc64-linux-gnu-", "powerpc64le-linux-gnu-", "powerpc-linux-gnu-"]),
    ("s390", &["s390x"], &["s390x-linux-gnu-"]),
    ("riscv", &["riscv64"], &["riscv64-linux-gnu-"]),
    ("sparc", &["sparc64"], &["sparc64-linux-gnu-"]),
    ("mips", &["mips", "mips64"], &["mips-linux-gnu-", "mips64-linux-gnuabi64-", "mipsel-linux-gnu-"]),
    ("sh", &[], &["sh4-linux-gnu-"]),
    ("m68k", &["m68k"], &["m68k-linux-gnu-"]),
    ("alpha", &[], &["alpha-linux-gnu-"]),
    ("parisc", &[], &["hppa-linux-gnu-", "hppa64-linux-gnu-"]),
    ("arc", &[], &["arc-linux-gnu-", "arc-linux-"]),
    ("loongarch", &["loongarch64"], &["loongarch64-linux-gnu-"]),
    ("ia64", &[], &["ia64-linux-gnu-"]),
];

/// The architecture that builds a file: that of the environment, of the path, the machine's own, or the first other
/// one that can have the file and has a compiler.
///
/// # Errors
/// Why there is none.
pub fn choose(kbuild: &Kbuild, path: &str) -> Result<Arch, String> {
    let own = arch_of(path);
    if let Some(asked) = env::var("ARCH").ok().filter(|a| !a.is_empty()) {
        // `x86_64` and `i386` are `x86` with a choice made.
        let folder = if matches!(asked.as_str(), "x86_64" | "i386") { "x86" } else { &asked };
        return match own {
            Some(own) if own != folder => Err(format!("it is built for {own} only, and ARCH={asked}")),
            _ => Ok(Arch { name: asked, cross: None }),
        };
    }
    let machine = KNOWN.iter().find(|(_, machines, _)| machines.contains(&env::consts::ARCH));
    let machine = machine.map_or(env::consts::ARCH, |(folder, ..)| folder);
    let others = KNOWN.iter().map(|(folder, ..)| *folder).filter(|a| *a != machine);
    let can: Vec<&str> =
        std::iter::once(machine).chain(others).filter(|arch| header(path) || kbuild.may_build(path, arch)).collect();
    if can.first() == Some(&machine) {
        return Ok(Arch { name: machine.to_string(), cross: None });
    }
    let compiler = |arch: &&str| Some(Arch { name: arch.to_string(), cross: Some(cross(arch)?) });
    if let Some(found) = can.iter().find_map(compiler) {
        return Ok(found);
    }
    let prefixes = |arch: &str| KNOWN.iter().find(|(folder, ..)| *folder == arch).map_or(&[][..], |(.., p)| p);
    match can.first() {
        Some(arch) => Err(format!(
            "it is built for {} only, and there is no compiler for it ({}gcc)",
            can.join(", "),
            prefixes(arch).first().unwrap_or(&"")
        )),
        None => Err(format!("no compiler is known for {}", own.unwrap_or("an architecture that can have it"))),
    }
}

fn header(path: &str) -> bool {
    !path.ends_with(".c")
}

/// The prefix of a cross compiler that can be started.
fn cross(arch: &str) -> Option<String> {
    let (.., prefixes) = KNOWN.iter().find(|(folder, ..)| *folder == arch)?;
    prefixes.iter().find(|prefix| starts(&format!("{prefix}gcc"))).map(|p| p.to_string())
}

fn starts(program: &str) -> bool {
    let quiet = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
