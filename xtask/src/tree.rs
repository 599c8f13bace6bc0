//! Real kernel trees for `corpus` and `bench`: one that the user names, or Debian's `linux-source` package, unpacked
//! under `target/corpus`. Nothing of it is ever committed.

use crate::repo;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that is fetched when no tree is named.
const PACKAGE: &str = "linux-source-6.12";

/// A kernel tree.
pub struct Tree {
    /// Top of it.
    pub path: PathBuf,
    /// Package and exact version, `linux-source-6.12 6.12.1-1`; none when the user named the tree.
    pub version: Option<String>,
}

/// The tree of `--tree`, or the unpacked package.
pub fn find(arguments: &[String]) -> Result<Tree> {
    if let Some(path) = repo::option(arguments, "--tree")? {
        let path = fs::canonicalize(path).with_context(|| format!("--tree {path}"))?;
        if !path.join("include/linux/mm.h").is_file() {
            bail!("{} has no include/linux/mm.h: it is no kernel tree", path.display());
        }
        return Ok(Tree { path, version: None });
    }
    unpacked()
}

/// A folder under `target/corpus`, empty.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let folder = store().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Where objects of a tree are kept from run to run, by the name of its folder.
pub fn builds(tree: &Path) -> PathBuf {
    store().join("builds").join(tree.file_name().unwrap_or_default())
}

/// Copies a tree by hard links: 60,000 files in about two seconds and no space. A program that replaces a file (write
/// beside, rename) leaves the original alone.
pub fn link_copy(from: &Path, name: &str) -> Result<PathBuf> {
    let folder = scratch(name)?;
    let copy = folder.join("tree");
    let linked = Command::new("cp").arg("-al").arg(from).arg(&copy).output()?;
    if !linked.status.success() {
        // Another file system: no links across it.
        fs::remove_dir_all(&copy).ok();
        repo::run(Command::new("cp").arg("-a").arg(from).arg(&copy))?;
    }
    Ok(copy)
}

fn store() -> PathBuf {
    repo::root().join("target/corpus")
}

fn unpacked() -> Result<Tree> {
    fs::create_dir_all(store())?;
    let (archive, version) = archive()?;
    let folder = store().join(version.replace([' ', '/'], "_"));
    let done = folder.join(".unpacked");
    if !done.exists() {
        eprintln!("unpacking {version}");
        fs::create_dir_all(&folder)?;
        let name = format!("--file={}", archive.display());
        repo::run(
            Command::new("tar")
                .args(["--extract", "--xz", "--strip-components=1", &name])
                .current_dir(&folder)
                .env("XZ_DEFAULTS", "-T0"),
        )?;
        fs::write(&done, "")?;
    }
    Ok(Tree { path: folder, version: Some(version) })
}

/// The source archive with its package version: the installed package, or the candidate, downloaded.
fn archive() -> Result<(PathBuf, String)> {
    let installed = PathBuf::from(format!("/usr/src/{PACKAGE}.tar.xz"));
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", PACKAGE]).output();
    if let Ok(query) = query
        && query.status.success()
        && installed.is_file()
    {
        let version = String::from_utf8(query.stdout)?;
        return Ok((installed, format!("{PACKAGE} {}", version.trim())));
    }
    let folder = store().join("download");
    fs::create_dir_all(&folder)?;
    if package(&folder)?.is_none() {
        eprintln!("downloading {PACKAGE}");
        repo::run(Command::new("apt-get").args(["download", PACKAGE]).current_dir(&folder))
            .context("the package lists may be missing or old: run `apt-get update`, or name a tree with --tree DIR")?;
    }
    let Some(package) = package(&folder)? else { bail!("apt-get download left no package") };
    let field = Command::new("dpkg-deb").arg("--field").arg(&package).arg("Version").output()?;
    let version = String::from_utf8(field.stdout)?.trim().to_owned();
    let archive = folder.join("usr/src").join(format!("{PACKAGE}.tar.xz"));
    if !archive.is_file() {
        repo::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&folder))?;
    }
    Ok((archive, format!("{PACKAGE} {version}")))
}

fn package(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
