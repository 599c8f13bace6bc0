//! Writing rewritten files in place: all of them or none.
//!
//! First every new file is written beside the old one, synced, and given its permissions; only when all of them are on
//! disk are they renamed. A full or read-only disk, or a file that changed since it was read, is met before anything
//! is replaced. A rename that fails after others succeeded undoes those.

use crate::error::UserError;
use crate::report::FileChange;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Replaces the files below `root`.
///
/// # Errors
/// A file that is not what was analysed, or a disk that does not take the new text. Nothing was changed then.
pub fn write_all(root: &Path, changes: &[FileChange]) -> Result<(), UserError> {
    let mut staged = Vec::new();
    for change in changes {
        staged.push(stage(root, change)?);
    }
    // Again, close to the rename: staging many files takes a while.
    for (target, change) in staged.iter().map(|s| &s.target).zip(changes) {
        unchanged(target, change)?;
    }
    let mut done: Vec<(PathBuf, &FileChange)> = Vec::new();
    for (staged, change) in staged.into_iter().zip(changes) {
        if let Err(e) = staged.file.persist(&staged.target) {
            let undone = undo(&done);
            return Err(UserError::new(
                format!("cannot replace {}", change.path),
                format!("{}; {undone}", e.error),
                "make the folder writable and run the command again",
            ));
        }
        done.push((staged.target, change));
    }
    for folder in done.iter().filter_map(|(target, _)| target.parent()) {
        // Makes the rename itself durable. A file system that cannot sync a folder has done what it can.
        let _ = fs::File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}

/// A new file beside the one that it will replace.
struct Staged {
    file: NamedTempFile,
    target: PathBuf,
}

fn stage(root: &Path, change: &FileChange) -> Result<Staged, UserError> {
    let target = root.join(&change.path);
    unchanged(&target, change)?;
    let cannot = |e: io::Error| {
        UserError::new(
            format!("cannot write {}", change.path),
            format!("{e}; no file was changed"),
            "check the free space of the disk and the permissions of the folder",
        )
    };
    let folder = target.parent().unwrap_or(root);
    let permissions = fs::metadata(&target).map_err(cannot)?.permissions();
    let mut file = tempfile::Builder::new().prefix(".gupconv-").tempfile_in(folder).map_err(cannot)?;
    file.write_all(&change.after).map_err(cannot)?;
    file.as_file().set_permissions(permissions).map_err(cannot)?;
    file.as_file().sync_all().map_err(cannot)?;
    Ok(Staged { file, target })
}

/// Refuses a target that is not the regular file with the bytes that were analysed.
fn unchanged(target: &Path, change: &FileChange) -> Result<(), UserError> {
    let cannot = |cause: String| {
        UserError::new(
            format!("{} is not written", change.path),
            format!("{cause}; no file was changed"),
            "run the command again on the files as they are now",
        )
    };
    let meta = fs::symlink_metadata(target).map_err(|e| cannot(e.to_string()))?;
    if !meta.is_file() {
        return Err(cannot("it is a symbolic link, a folder or a device by now".into()));
    }
    let now = fs::read(target).map_err(|e| cannot(e.to_string()))?;
    if now != *change.before {
        return Err(cannot("it changed since it was read".into()));
    }
    Ok(())
}

/// Puts the old text back, and says how that went.
fn undo(done: &[(PathBuf, &FileChange)]) -> String {
    let mut lost = Vec::new();
    for (target, change) in done {
        let restored = (|| {
            let permissions = fs::metadata(target)?.permissions();
            let folder = target.parent().unwrap_or(target);
            let mut file = tempfile::Builder::new().prefix(".gupconv-").tempfile_in(folder)?;
            file.write_all(&change.before)?;
            file.as_file().set_permissions(permissions)?;
            file.as_file().sync_all()?;
            file.persist(target).map_err(|e| e.error)?;
            io::Result::Ok(())
        })();
        if restored.is_err() {
            lost.push(change.path.as_str());
        }
    }
    if lost.is_empty() {
        "no file is changed".into()
    } else {
        format!("these files are rewritten and could not be restored: {}", lost.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(dir.path().join("d")).expect("folder");
        fs::write(dir.path().join("d/a.c"), "old a").expect("file");
        fs::write(dir.path().join("d/b.c"), "old b").expect("file");
        dir
    }

    fn change(path: &str, before: &str) -> FileChange {
        FileChange { path: path.into(), before: before.as_bytes().into(), after: b"new".to_vec() }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .expect("folder")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_and_nothing_is_left_behind() {
        let dir = tree();
        write_all(dir.path(), &[change("d/a.c", "old a"), change("d/b.c", "old b")]).expect("written");
        assert_eq!(fs::read(dir.path().join("d/a.c")).expect("file"), b"new");
        assert_eq!(fs::read(dir.path().join("d/b.c")).expect("file"), b"new");
        assert_eq!(names(&dir.path().join("d")), ["a.c", "b.c"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tree();
        let path = dir.path().join("d/a.c");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o754)).expect("permissions");
        write_all(dir.path(), &[change("d/a.c", "old a")]).expect("written");
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o754);
    }

    #[test]
    fn a_changed_file_stops_all() {
        let dir = tree();
        let error = write_all(dir.path(), &[change("d/a.c", "old a"), change("d/b.c", "other")]).expect_err("an error");
        assert!(error.cause.starts_with("it changed since it was read"), "{error:?}");
        assert_eq!(fs::read(dir.path().join("d/a.c")).expect("file"), b"old a");
        assert_eq!(names(&dir.path().join("d")), ["a.c", "b.c"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_folders_are_not_replaced() {
        let dir = tree();
        std::os::unix::fs::symlink("a.c", dir.path().join("d/link.c")).expect("link");
        fs::create_dir(dir.path().join("d/folder.c")).expect("folder");
        for path in ["d/link.c", "d/folder.c"] {
            let error = write_all(dir.path(), &[change(path, "old a")]).expect_err("an error");
            assert!(error.cause.starts_with("it is a symbolic link, a folder"), "{error:?}");
        }
        assert_eq!(fs::read_link(dir.path().join("d/link.c")).expect("link"), Path::new("a.c"));
    }

    #[test]
    fn a_rename_that_fails_undoes_those_before() {
        let dir = tree();
        let a = change("d/a.c", "old a");
        write_all(dir.path(), std::slice::from_ref(&a)).expect("written");
        let target = dir.path().join("d/a.c");
        assert_eq!(undo(&[(target.clone(), &a)]), "no file is changed");
        assert_eq!(fs::read(&target).expect("file"), b"old a");
        let gone = dir.path().join("gone/x.c");
        assert!(undo(&[(gone, &a)]).ends_with("could not be restored: d/a.c"));
    }
}
