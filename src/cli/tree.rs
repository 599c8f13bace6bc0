//! From paths on the command line to a kernel tree and the part of it that is reported.
//!
//! The root is `--tree`, else the nearest folder above the first PATH (or the current folder) that looks like a
//! kernel tree. `include/linux/mm.h` alone does not make one: `tools/` of a kernel tree has its own.

use crate::error::UserError;
use std::path::{Component, Path, PathBuf};

/// A located tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// Absolute, symbolic links resolved.
    pub root: PathBuf,
    /// As the user would write it.
    pub name: String,
    /// Paths from the root, `/` between components, sorted, none inside another; empty means the whole tree.
    pub paths: Vec<String>,
}

const MM_H: &str = "include/linux/mm.h";

/// Finds the tree and turns the paths into paths from its root.
///
/// # Errors
/// A path that does not exist, lies outside of the tree or in no tree at all, or a tree without `include/linux/mm.h`.
pub fn locate(tree: Option<&Path>, paths: &[PathBuf]) -> Result<Located, UserError> {
    let (root, name) = match tree {
        Some(dir) => (given_root(dir)?, dir.display().to_string()),
        None => {
            let from = paths.first().map(PathBuf::as_path).unwrap_or(Path::new("."));
            let root = nearest_root(&existing(from)?, from)?;
            let name = root.display().to_string();
            (root, name)
        }
    };
    let mut inside = Vec::new();
    for path in paths {
        inside.push(from_root(&root, &name, path, tree.is_some())?);
    }
    inside.sort();
    // A path below another one adds nothing; ancestors sort before what is below them, but not always next to it.
    let mut narrowed: Vec<String> = Vec::new();
    for path in inside {
        if !narrowed.iter().any(|p| p.is_empty() || path == *p || path.starts_with(&format!("{p}/"))) {
            narrowed.push(path);
        }
    }
    if narrowed == [""] {
        narrowed.clear();
    }
    Ok(Located { root, name, paths: narrowed })
}

/// The absolute path of something that exists.
fn existing(path: &Path) -> Result<PathBuf, UserError> {
    std::fs::canonicalize(path).map_err(|e| {
        UserError::new(
            format!("cannot read {}", path.display()),
            e.to_string(),
            "check the spelling; a PATH is a file or folder of the kernel tree, seen from the current folder or from --tree",
        )
    })
}

/// Checks what was given with `--tree`.
fn given_root(dir: &Path) -> Result<PathBuf, UserError> {
    let root = std::fs::canonicalize(dir).map_err(|e| {
        UserError::new(
            format!("cannot read the tree {}", dir.display()),
            e.to_string(),
            "give --tree the top folder of a kernel source tree",
        )
    })?;
    if !root.is_dir() {
        return Err(UserError::new(
            format!("{} is no folder", dir.display()),
            "a tree is a folder",
            "give --tree the top folder of a kernel source tree",
        ));
    }
    if root.join(MM_H).is_file() {
        return Ok(root);
    }
    Err(if resembles(&root) {
        no_mm_h(dir)
    } else {
        UserError::new(
            format!("{} is not a kernel tree", dir.display()),
            format!("it has no {MM_H}, and no Kbuild or Kconfig either"),
            "give --tree the top folder of a kernel source tree",
        )
    })
}

/// The nearest folder at or above `from` that is a kernel tree.
fn nearest_root(from: &Path, as_given: &Path) -> Result<PathBuf, UserError> {
    let mut without_mm = None;
    for dir in from.ancestors().filter(|d| d.is_dir()) {
        if resembles(dir) {
            if dir.join(MM_H).is_file() {
                return Ok(dir.to_path_buf());
            }
            // Sub-folders have a Kconfig too; only the outermost can be meant as the tree.
            without_mm = Some(dir.to_path_buf());
        }
    }
    Err(match without_mm {
        Some(dir) if dir.join("Kbuild").is_file() && dir.join("Makefile").is_file() => no_mm_h(&dir),
        _ => UserError::new(
            format!("{} is not in a kernel tree", as_given.display()),
            format!("neither it nor a folder above it has {MM_H} beside a Kbuild, a Kconfig or mm/gup.c"),
            "run inside a kernel source tree, or name one with --tree DIR",
        ),
    })
}

fn no_mm_h(dir: &Path) -> UserError {
    UserError::new(
        format!("the tree {} has no {MM_H}", dir.display()),
        "the declarations in that header say which functions the tree has; without them nothing can be decided",
        "use a complete checkout (a sparse one needs include/linux and mm)",
    )
}

/// Has a top-level file that a kernel tree has, apart from the header.
fn resembles(dir: &Path) -> bool {
    ["Kbuild", "Kconfig", "mm/gup.c"].iter().any(|f| dir.join(f).is_file())
}

/// `path` as seen from the root. With `--tree` a path that is not there from the current folder may be one of the tree.
fn from_root(root: &Path, name: &str, path: &Path, tree_given: bool) -> Result<String, UserError> {
    let mut candidates = vec![path.to_path_buf()];
    if tree_given && path.is_relative() {
        candidates.push(root.join(path));
    }
    let mut outside = None;
    for candidate in &candidates {
        let Ok(full) = std::fs::canonicalize(candidate) else { continue };
        match full.strip_prefix(root) {
            Ok(rest) => return Ok(slashed(rest)),
            Err(_) => outside = Some(full),
        }
    }
    match outside {
        None => existing(path).map(|_| String::new()),
        Some(full) => Err(UserError::new(
            format!("{} lies outside of the tree", path.display()),
            format!("the tree is {name}, the path is {}", full.display()),
            "name files and folders of one tree, or another tree with --tree DIR",
        )),
    }
}

fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .filter_map(|c| match c {
            Component::Normal(part) => Some(part.to_string_lossy()),
            _ => None,
        })
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary folder");
        for sub in ["include/linux", "mm", "net/xdp", "net-x", "tools/include/linux"] {
            fs::create_dir_all(dir.path().join(sub)).expect("folder");
        }
        for file in ["Kbuild", MM_H, "tools/include/linux/mm.h", "tools/Makefile", "net/xdp/a.c", "net/Kconfig"] {
            fs::write(dir.path().join(file), "").expect("file");
        }
        dir
    }

    #[test]
    fn the_nearest_tree_above_a_path() {
        let dir = tree();
        let root = dir.path().canonicalize().expect("path");
        let got = locate(None, &[dir.path().join("net/xdp/a.c")]).expect("located");
        assert_eq!((got.root.clone(), got.paths), (root.clone(), vec!["net/xdp/a.c".to_string()]));
        // tools/ has a linux/mm.h and a Makefile of its own and is no tree.
        let got = locate(None, &[dir.path().join("tools")]).expect("located");
        assert_eq!((got.root, got.paths), (root, vec!["tools".to_string()]));
    }

    #[test]
    fn paths_below_others_go() {
        let dir = tree();
        let paths: Vec<_> = ["net/xdp", "net-x", "net", "net/xdp/a.c"].iter().map(|p| dir.path().join(p)).collect();
        assert_eq!(locate(None, &paths).expect("located").paths, ["net", "net-x"]);
        assert!(locate(None, &[dir.path().to_path_buf(), paths[0].clone()]).expect("located").paths.is_empty());
    }

    #[test]
    fn with_a_tree_paths_may_be_seen_from_it() {
        let dir = tree();
        let got = locate(Some(dir.path()), &["net/xdp".into()]).expect("located");
        assert_eq!(got.paths, ["net/xdp"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let dir = tree();
        let other = tree();
        let title = |tree: Option<&Path>, path: PathBuf| locate(tree, &[path]).expect_err("an error").title;
        assert!(title(None, dir.path().join("nowhere.c")).starts_with("cannot read "));
        assert!(title(Some(dir.path()), other.path().join("net")).contains("lies outside of the tree"));
        fs::remove_file(dir.path().join(MM_H)).expect("removed");
        assert!(title(None, dir.path().join("net/xdp")).contains("is not in a kernel tree"));
        assert!(title(Some(dir.path()), dir.path().join("net")).contains("has no include/linux/mm.h"));
        fs::write(dir.path().join("Makefile"), "").expect("file");
        assert!(title(None, dir.path().join("net/xdp")).contains("has no include/linux/mm.h"));
        fs::remove_file(other.path().join(MM_H)).expect("removed");
        fs::remove_file(other.path().join("Kbuild")).expect("removed");
        assert!(title(Some(other.path()), other.path().join("net")).contains("is not a kernel tree"));
    }
}
