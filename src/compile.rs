//! Compiles what a conversion touches, before and after, with the tree's own Kbuild and `W=1`, and compares what the
//! compiler says.
//!
//! The tree is never written to. Kbuild runs in an overlay ([`overlay`]) with an output folder of its own, one an
//! architecture; there the touched files are copies, first as they are, then as converted. A message that only the
//! second build prints is new; line numbers do not count. A file that cannot be built here is no failure: why is said
//! of each. It knows nothing of sites, plans or proofs: files before and after are all it sees.

mod arch;
mod inactive;
mod messages;
mod overlay;

use crate::error::UserError;
use crate::kbuild::Kbuild;
use crate::report::{BuildRecord, FileChange, SCHEMA};
use arch::Arch;
use messages::Messages;
use overlay::Overlay;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What allmodconfig is not to choose: what needs more than a compiler (plugin headers, and tools of old trees that
/// today's compilers refuse: the checker of stacks, with the unwinder and the branches that ask for it), and what turns
/// a warning into the end of the build.
const PRESET: &str = "CONFIG_UNWINDER_FRAME_POINTER=y\n# CONFIG_STACK_VALIDATION is not set\n\
    # CONFIG_GCC_PLUGINS is not set\n# CONFIG_RETPOLINE is not set\n# CONFIG_WERROR is not set\n";

/// Where and how to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keeps the build folders, one an architecture; a `.config` that lies in one is used. Without it they are
    /// temporary.
    pub folder: Option<PathBuf>,
    /// Jobs of make; 0 takes one a processor.
    pub jobs: usize,
}

/// Builds the objects of the changed files of the tree at `root`, before and after. One record a file.
///
/// # Errors
/// No `make`, a folder that is not for this, or a disk that does not take the overlay.
pub fn check(root: &Path, changes: &[FileChange], options: &Options) -> Result<Vec<BuildRecord>, UserError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    if Command::new("make").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        let remedy = "install make and a compiler, or leave --build-check out";
        return Err(UserError::new("cannot build anything", "there is no program make", remedy));
    }
    let overlay = Overlay::new(root, options.folder.as_deref(), changes)?;
    let kbuild = Kbuild::new(root);
    let mut records: BTreeMap<&str, BuildRecord> = BTreeMap::new();
    let mut by_arch: BTreeMap<Arch, Vec<&FileChange>> = BTreeMap::new();
    for change in changes {
        match arch::choose(&kbuild, &change.path) {
            Ok(arch) => by_arch.entry(arch).or_default().push(change),
            Err(why) => drop(records.insert(&change.path, not_built(&change.path, "", why))),
        }
    }
    for (arch, files) in &by_arch {
        overlay.before()?;
        for (change, record) in files.iter().zip(Builder::new(&overlay, &kbuild, arch, options).compare(files)?) {
            records.insert(&change.path, record);
        }
    }
    Ok(records.into_values().collect())
}

fn not_built(path: &str, arch: &str, why: impl Into<String>) -> BuildRecord {
    BuildRecord {
        schema: SCHEMA,
        kind: "build",
        path: path.to_string(),
        arch: arch.to_string(),
        outcome: "not-built",
        before: 0,
        after: 0,
        new: Vec::new(),
        why: why.into(),
    }
}

/// One architecture.
struct Builder<'a> {
    overlay: &'a Overlay<'a>,
    kbuild: &'a Kbuild,
    arch: &'a Arch,
    out: PathBuf,
    jobs: usize,
}

/// What a run of make left.
struct Built {
    messages: Messages,
    /// Lines of make itself that tell of a failure.
    failures: Vec<String>,
    /// Objects that are there.
    objects: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    fn new(overlay: &'a Overlay<'a>, kbuild: &'a Kbuild, arch: &'a Arch, options: &Options) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = if options.jobs == 0 { cores() } else { options.jobs };
        Self { overlay, kbuild, arch, out: overlay.output(&arch.name), jobs }
    }

    /// A record a file, in their order.
    fn compare(&self, files: &[&FileChange]) -> Result<Vec<BuildRecord>, UserError> {
        let all = |why: &str| files.iter().map(|f| not_built(&f.path, &self.arch.name, why)).collect();
        let set = match self.configure() {
            Ok(set) => set,
            Err(why) => return Ok(all(&why)),
        };
        let before = self.build(files);
        self.overlay.after()?;
        // A header that changed is taken in by what every object needs; its messages are none of an object.
        if let Err(why) = self.prepare() {
            return Ok(all(&format!("after the rewrite, {why}")));
        }
        let after = self.build(files);
        let has_record = |path: &str| object_of(path).is_some() && files.iter().any(|f| f.path == path);
        let elsewhere = after.messages.new_since(&before.messages, |path| !has_record(path));
        let mut records: Vec<BuildRecord> = files.iter().map(|f| self.record(f, &set, &before, &after)).collect();
        // A message in a file that was not touched belongs to all of them; the first one carries it.
        if let Some(first) = records.iter_mut().find(|r| r.outcome != "not-built").filter(|_| !elsewhere.is_empty()) {
            first.outcome = "worse";
            first.new.extend(elsewhere);
        }
        Ok(records)
    }

    fn record(&self, file: &FileChange, set: &BTreeSet<String>, before: &Built, after: &Built) -> BuildRecord {
        let path = file.path.as_str();
        let Some(object) = object_of(path) else {
            let what = if path.ends_with(".h") { "a header" } else { "a Makefile" };
            return not_built(path, &self.arch.name, format!("{what} has no object of its own"));
        };
        let missing = self.kbuild.missing(path, set).map(|symbol| format!("CONFIG_{symbol} is not set"));
        if !before.objects.contains(&object) {
            let why = missing.or_else(|| before.why_not(path, &object));
            return not_built(
                path,
                &self.arch.name,
                why.unwrap_or_else(|| "make built no object, and said nothing".into()),
            );
        }
        let mut new = after.messages.new_since(&before.messages, |p| p == path);
        let built = after.objects.contains(&object);
        if !built && new.is_empty() {
            new.push(after.why_not(path, &object).unwrap_or_else(|| "the object is no longer built".into()));
        }
        // An object without what was changed shows nothing.
        if built
            && new.is_empty()
            && let Some(why) = inactive::change(&file.before, &file.after, set)
        {
            return not_built(path, &self.arch.name, why);
        }
        BuildRecord {
            outcome: if built && new.is_empty() { "clean" } else { "worse" },
            before: before.messages.count(path),
            after: after.messages.count(path),
            new,
            ..not_built(path, &self.arch.name, missing.unwrap_or_default())
        }
    }

    /// A configuration and what every object needs; the symbols that are set.
    fn configure(&self) -> Result<BTreeSet<String>, String> {
        let config = self.out.join(".config");
        if !config.is_file() {
            let preset = self.out.join("preset.config");
            fs::create_dir_all(&self.out).and_then(|()| fs::write(&preset, PRESET)).map_err(|e| e.to_string())?;
            self.make(["allmodconfig"], Some(&preset)).map_err(|why| format!("allmodconfig fails: {why}"))?;
        } else {
            // Symbols that are new to the tree get their default; without this make would ask on a terminal.
            self.make(["olddefconfig"], None).map_err(|why| format!("the .config is refused: {why}"))?;
        }
        self.prepare()?;
        let text = fs::read_to_string(&config).map_err(|e| format!("make left no .config: {e}"))?;
        Ok(text
            .lines()
            .filter_map(|l| l.strip_prefix("CONFIG_")?.split_once('='))
            .filter(|(_, value)| matches!(*value, "y" | "m"))
            .map(|(symbol, _)| symbol.to_string())
            .collect())
    }

    fn prepare(&self) -> Result<(), String> {
        self.make(["prepare"], None).map(drop).map_err(|why| format!("make prepare fails: {why}"))
    }

    /// Builds the objects anew, each as far as it goes.
    fn build(&self, files: &[&FileChange]) -> Built {
        let objects: Vec<String> = files.iter().filter_map(|f| object_of(&f.path)).collect();
        for object in &objects {
            // One that is not there need not go.
            let _ = fs::remove_file(self.out.join(object));
        }
        let targets: BTreeSet<String> = objects.iter().map(|o| self.target(o)).collect();
        for folder in targets.iter().filter(|t| t.ends_with('/')) {
            // All that is built with it speaks in both builds, or what one of them has kept would look new.
            remove_objects(&self.out.join(folder));
        }
        let mut said = String::new();
        if !targets.is_empty() {
            let (Ok(text) | Err(text)) =
                self.make(std::iter::once("-k").chain(targets.iter().map(String::as_str)), None);
            said = text;
        }
        let source = format!("{}/", self.overlay.source().display());
        let failures = said.lines().filter(|l| is_failure(l)).map(|l| l.replace(&source, "")).collect();
        let there = objects.into_iter().filter(|o| self.out.join(o).is_file()).collect();
        Built { messages: Messages::read(&said, self.overlay.source()), failures, objects: there }
    }

    /// What make is asked for to get an object: the object, or the folder whose Makefile lists it when its own folder
    /// has none, which old trees cannot build a single object in.
    fn target(&self, object: &str) -> String {
        let has = |folder: &str| {
            ["Makefile", "Kbuild"].iter().any(|name| self.overlay.source().join(folder).join(name).is_file())
        };
        let mut folders = object.rmatch_indices('/').map(|(i, _)| &object[..i]);
        match folders.next() {
            Some(own) if !has(own) => folders.find(|f| has(f)).map_or_else(|| object.to_string(), |f| format!("{f}/")),
            _ => object.to_string(),
        }
    }

    /// Runs make. What it and the compiler say comes back, as an error with the line that tells the cause unless
    /// objects were asked for.
    fn make<'t>(&self, targets: impl IntoIterator<Item = &'t str>, preset: Option<&Path>) -> Result<String, String> {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.overlay.source())
            .args(["-s", "W=1", &format!("-j{}", self.jobs)])
            // Old trees have host programs with common symbols, which gcc 10 and later refuse by default.
            .arg("HOSTCFLAGS=-fcommon")
            .arg(assign("O", self.out.as_os_str()))
            .arg(format!("ARCH={}", self.arch.name));
        if let Some(prefix) = &self.arch.cross {
            command.arg(format!("CROSS_COMPILE={prefix}"));
        }
        if let Some(preset) = preset {
            command.env("KCONFIG_ALLCONFIG", preset);
        }
        // The settings of a make that runs us are not for this one.
        for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
            command.env_remove(name);
        }
        let targets: Vec<&str> = targets.into_iter().collect();
        let objects = targets.first() == Some(&"-k");
        let ran = command.args(targets).env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        if ran.status.success() || objects { Ok(said) } else { Err(cause(&said)) }
    }
}

impl Built {
    /// Why an object is not there: the compiler's first error in its file, or what make says of it.
    fn why_not(&self, path: &str, object: &str) -> Option<String> {
        let folder = object.rsplit_once('/').map_or(object, |(folder, _)| folder);
        let of_object = || self.failures.iter().find(|l| l.contains(folder)).or(self.failures.first());
        self.messages
            .first_error(|p| p == path)
            .or_else(|| self.messages.first_error(|p| p.starts_with(folder)))
            .or_else(|| of_object().cloned())
    }
}

fn assign(name: &str, value: &OsStr) -> std::ffi::OsString {
    let mut all = std::ffi::OsString::from(format!("{name}="));
    all.push(value);
    all
}

fn object_of(path: &str) -> Option<String> {
    path.strip_suffix(".c").map(|stem| format!("{stem}.o"))
}

/// Removes the objects in a folder of the output and below it. What is not there need not go.
fn remove_objects(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // A link is no folder of ours.
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_objects(&path);
        } else if path.extension().is_some_and(|e| e == "o") {
            let _ = fs::remove_file(path);
        }
    }
}

/// A line of make itself that tells of a failure. Kconfig draws boxes of asterisks around its own.
fn is_failure(line: &str) -> bool {
    line.contains("***") && !line.trim().trim_matches('*').trim().is_empty()
}

/// The line of a failed make that tells most: an error of a program, else its last word.
fn cause(said: &str) -> String {
    let told = |word: &str| said.lines().find(|l| l.contains(word));
    told("error:")
        .or_else(|| told("Permission denied"))
        .or_else(|| told("not found"))
        .or_else(|| said.lines().find(|l| is_failure(l)))
        .or(said.lines().last())
        .unwrap_or("no reason given")
        .trim()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_line_that_tells_most() {
        let denied = "/bin/sh: 1: scripts/check.sh: Permission denied\n\
                      make[1]: *** [Makefile:73: allmodconfig] Error 126\n";
        assert_eq!(cause(denied), "/bin/sh: 1: scripts/check.sh: Permission denied");
        let boxed = "***\n*** The source tree is not clean, please run 'make mrproper'\n*** in /k\n***\n";
        assert_eq!(cause(boxed), "*** The source tree is not clean, please run 'make mrproper'");
        assert_eq!(cause("a\nb\n"), "b");
        assert_eq!(cause(""), "no reason given");
    }

    #[test]
    fn objects_go_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let (deep, kept) = (folder.path().join("a/b.o"), folder.path().join("a/b.c"));
        fs::create_dir(folder.path().join("a")).expect("folder");
        fs::write(&deep, "").and_then(|()| fs::write(&kept, "")).expect("files");
        remove_objects(folder.path());
        assert!(!deep.exists() && kept.exists());
        remove_objects(&folder.path().join("none"));
    }
}
