//! The output folder: all files of a series or none of them.
//!
//! Files are written to a folder beside it, which then takes its name in one step. A process that is killed leaves that
//! other folder at most, and the one that git works in; both carry the number of their process, and the next run takes
//! away what a process that is gone has left ([`workspace`]).

use super::Mail;
use crate::error::UserError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Refuses a folder that cannot be one of ours: it holds other things than a series. Called before the long work.
///
/// # Errors
/// Something is in the way.
pub fn check(dir: &Path) -> Result<(), UserError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = parent(dir);
            return if parent.is_dir() {
                Ok(())
            } else {
                Err(UserError::new(
                    format!("cannot make the folder {}", dir.display()),
                    format!("there is no folder {}", parent.display()),
                    "make it first, or give -o another place",
                ))
            };
        }
        Err(e) => {
            return Err(UserError::new(
                format!("cannot use {} for the series", dir.display()),
                e.to_string(),
                "give -o a folder that does not exist yet, or an empty one",
            ));
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".patch") && name != super::RECIPIENTS {
            return Err(not_empty(dir, &format!("it holds {name}")));
        }
    }
    Ok(())
}

fn not_empty(dir: &Path, cause: &str) -> UserError {
    UserError::new(
        format!("the folder {} is not empty", dir.display()),
        cause.to_string(),
        "give -o another folder, or remove this one; nothing is overwritten",
    )
}

/// Writes the files. Returns whether anything was written: a folder that holds exactly them is left alone.
///
/// # Errors
/// The folder holds something else, or the disk does not take the files; the folder is as it was then.
pub fn write(dir: &Path, files: &[Mail]) -> Result<bool, UserError> {
    if let Some(have) = contents(dir) {
        if have.iter().map(|m| (&m.name, &m.bytes)).eq(files.iter().map(|m| (&m.name, &m.bytes))) {
            return Ok(false);
        }
        if !have.is_empty() {
            return Err(not_empty(dir, "it holds another series"));
        }
    }
    let cannot = |e: io::Error| {
        UserError::new(
            format!("cannot write the series to {}", dir.display()),
            e.to_string(),
            "check the free space of the disk and the permissions of the folder above",
        )
    };
    let staged = workspace(&parent(dir), ".gupconv-series-").map_err(cannot)?;
    for f in files {
        fs::write(staged.path().join(&f.name), &f.bytes).map_err(cannot)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary folder is private; this one is meant to be read.
        fs::set_permissions(staged.path(), fs::Permissions::from_mode(0o755)).map_err(cannot)?;
    }
    // Takes the place of an empty folder, too.
    fs::rename(staged.path(), dir).map_err(cannot)?;
    // It is gone under its old name; nothing is left to be removed.
    let _ = staged.keep();
    Ok(true)
}

/// A folder of this process in `parent`, gone when it is dropped. What a process that was killed has left there goes,
/// too.
///
/// # Errors
/// The folder cannot be made.
pub fn workspace(parent: &Path, prefix: &str) -> io::Result<tempfile::TempDir> {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|n| n.strip_prefix(prefix));
        let owner = rest.and_then(|r| r.split_once('-')).and_then(|(pid, _)| pid.parse::<u32>().ok());
        // Where the system does not tell which processes there are, nothing is taken for left over.
        let gone = |pid: u32| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists();
        if owner.is_some_and(gone) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new().prefix(&format!("{prefix}{}-", std::process::id())).tempdir_in(parent)
}

/// The files of a folder by name; `None` when there is no folder.
fn contents(dir: &Path) -> Option<Vec<Mail>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        files.push(Mail { name: entry.file_name().to_string_lossy().into_owned(), bytes });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Some(files)
}

fn parent(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
