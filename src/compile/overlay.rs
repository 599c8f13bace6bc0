//! The overlay that Kbuild runs in: the tree, with the touched files as copies.
//!
//! Only folders on the way to a touched file are folders of their own; all else is a symbolic link to the tree. That is
//! some hundred links where a copy of a kernel has 70,000, and no way to write into the tree: Kbuild writes below its
//! output folder only, and the files that change are ours.

use crate::error::UserError;
use crate::report::FileChange;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The overlay and the folder that it stands in.
pub struct Overlay<'a> {
    folder: PathBuf,
    source: PathBuf,
    root: PathBuf,
    changes: &'a [FileChange],
    /// Removed when the overlay goes, unless the user named the folder.
    _temporary: Option<TempDir>,
}

/// Says that an overlay is ours, and of which tree.
const MARK: &str = ".gupconv-overlay";

impl<'a> Overlay<'a> {
    /// Lays the overlay in `folder`, or in a temporary one.
    ///
    /// # Errors
    /// A folder inside the tree, of something else or of another tree; a disk that does not take it.
    pub fn new(root: &Path, folder: Option<&Path>, changes: &'a [FileChange]) -> Result<Self, UserError> {
        let root = fs::canonicalize(root).map_err(|e| disk(root, &e))?;
        let (folder, temporary) = match folder {
            Some(folder) => (own_folder(&root, folder)?, None),
            None => {
                let made = tempfile::Builder::new().prefix("gupconv-build-").tempdir();
                let made = made.map_err(|e| disk(&std::env::temp_dir(), &e))?;
                (fs::canonicalize(made.path()).map_err(|e| disk(made.path(), &e))?, Some(made))
            }
        };
        let overlay = Self { source: folder.join("source"), folder, root, changes, _temporary: temporary };
        overlay.lay().map_err(|e| disk(&overlay.source, &e))?;
        Ok(overlay)
    }

    /// Root of the overlay.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Where the objects of an architecture go.
    pub fn output(&self, arch: &str) -> PathBuf {
        self.folder.join(arch)
    }

    /// The touched files as they are.
    ///
    /// # Errors
    /// A disk that does not take them.
    pub fn before(&self) -> Result<(), UserError> {
        self.changes.iter().try_for_each(|c| {
            let target = self.source.join(&c.path);
            // With its old time, so that what every object needs is not built again.
            let time = fs::metadata(self.root.join(&c.path)).and_then(|m| m.modified());
            let put = || {
                fs::write(&target, &c.before)?;
                File::options().write(true).open(&target)?.set_modified(time?)
            };
            put().map_err(|e| disk(&target, &e))
        })
    }

    /// The touched files as they shall be.
    ///
    /// # Errors
    /// A disk that does not take them.
    pub fn after(&self) -> Result<(), UserError> {
        self.changes.iter().try_for_each(|c| {
            let target = self.source.join(&c.path);
            fs::write(&target, &c.after).map_err(|e| disk(&target, &e))
        })
    }

    fn lay(&self) -> io::Result<()> {
        if self.source.exists() {
            // Ours, as the mark says. Links are removed, not followed.
            fs::remove_dir_all(&self.source)?;
        }
        let mut folders = BTreeSet::from([""]);
        for change in self.changes {
            folders.extend(change.path.match_indices('/').map(|(i, _)| &change.path[..i]));
        }
        let touched: BTreeSet<&str> = self.changes.iter().map(|c| c.path.as_str()).collect();
        // Ascending: a folder comes before what is in it.
        for folder in &folders {
            fs::create_dir_all(self.source.join(folder))?;
            for entry in fs::read_dir(self.root.join(folder))? {
                let name = entry?.file_name();
                let path = Path::new(folder).join(&name);
                let known = path.to_str().is_some_and(|p| folders.contains(p) || touched.contains(p));
                // A git folder would have Kbuild ask git about the overlay.
                if !known && name != ".git" {
                    link(&self.root.join(&path), &self.source.join(&path))?;
                }
            }
        }
        fs::write(self.source.join(MARK), self.root.display().to_string())
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a build check needs symbolic links"))
}

/// The folder that the user named, made or found to be for this.
fn own_folder(root: &Path, folder: &Path) -> Result<PathBuf, UserError> {
    let refuse = |cause: String| {
        let title = format!("cannot build in {}", folder.display());
        Err(UserError::new(title, cause, "name an empty folder outside the tree with --build-check=DIR"))
    };
    let absolute = std::path::absolute(folder).map_err(|e| disk(folder, &e))?;
    let there = absolute.ancestors().find_map(|a| fs::canonicalize(a).ok());
    if there.is_some_and(|a| a.starts_with(root)) {
        return refuse("it lies inside the tree, which is not written to".into());
    }
    fs::create_dir_all(folder).map_err(|e| disk(folder, &e))?;
    let folder = fs::canonicalize(folder).map_err(|e| disk(folder, &e))?;
    let source = folder.join("source");
    match fs::read_to_string(source.join(MARK)) {
        Ok(other) if other != root.display().to_string() => refuse(format!("it holds builds of {other}")),
        Err(_) if fs::symlink_metadata(&source).is_ok() => {
            refuse("its folder `source` was not made by a build check".into())
        }
        _ => Ok(folder),
    }
}

fn disk(path: &Path, error: &io::Error) -> UserError {
    UserError::new(
        format!("cannot prepare the build in {}", path.display()),
        error.to_string(),
        "check the free space and the permissions, or name another folder with --build-check=DIR",
    )
}
