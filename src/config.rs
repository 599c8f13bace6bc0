//! What a run is asked to do, with every default decided: made once from the command line, read by every hop.
//!
//! It knows nothing of flags or of the terminal; the command line knows nothing of the hops.

use std::path::{Path, PathBuf};

/// Which API generation to convert to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DialectKind {
    /// No function to convert to (4.19 and older): sites are reported, nothing is rewritten.
    None,
    /// `put_user_pages_dirty_lock(pages, n)` beside `put_user_pages_dirty(pages, n)`: v5.2, v5.3.
    PutUserPage2,
    /// `put_user_pages_dirty_lock(pages, n, make_dirty)`: v5.4.
    PutUserPage3,
    /// `pin_user_pages*()` and `unpin_user_page*()`: v5.6 and later.
    PinUserPages,
}

impl DialectKind {
    /// All of them, oldest first.
    pub const ALL: &'static [DialectKind] =
        &[DialectKind::None, DialectKind::PutUserPage2, DialectKind::PutUserPage3, DialectKind::PinUserPages];
    /// Stable spelling, on the command line and in records.
    pub fn code(self) -> &'static str {
        match self {
            DialectKind::None => "none",
            DialectKind::PutUserPage2 => "put-user-page-2arg",
            DialectKind::PutUserPage3 => "put-user-page-3arg",
            DialectKind::PinUserPages => "pin-user-pages",
        }
    }
}

/// Which sites are worth converting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Policy {
    /// Those whose `pin_user_pages.rst` case calls for a pin (1, 2 and 5).
    #[default]
    Cases,
    /// Every site whose releases are known.
    AllGup,
}

/// How the dirty precheck of the helpers is judged (refinement R2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum DirtyPolicy {
    /// As the kernel's own maintainers do: allowed, with a note.
    #[default]
    Upstream,
    /// Refused.
    Strict,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Root of the tree, absolute, symbolic links resolved.
    pub root: PathBuf,
    /// Root of the tree as the user named it, for records and messages.
    pub tree_name: String,
    /// What is reported: paths from the root with `/` between components, sorted, none inside another. Empty means
    /// everything. They never narrow what is analysed.
    pub paths: Vec<String>,
    /// The dialect asked for; `None` leaves it to the tree.
    pub dialect: Option<DialectKind>,
    /// Which sites to convert.
    pub policy: Policy,
    /// How strict the proof is about R2.
    pub dirty_policy: DirtyPolicy,
    /// Where the tree has no function to convert to: add the placeholders, and convert on top of them.
    pub with_prerequisite: bool,
    /// What the rewrites need first is handed out wherever it lies, `paths` or not: a series makes a patch of its own
    /// of it, and nobody's files are written.
    pub leads: bool,
    /// Hand out plans that have no proof as well.
    pub unproved: bool,
    /// Threads; 0 means one a core.
    pub jobs: usize,
}

impl Config {
    /// A run over a whole tree with every default.
    pub fn of_tree(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            tree_name: root.display().to_string(),
            paths: Vec::new(),
            dialect: None,
            policy: Policy::default(),
            dirty_policy: DirtyPolicy::default(),
            with_prerequisite: false,
            leads: false,
            unproved: false,
            jobs: 0,
        }
    }
    /// Whether the file at `path` (from the root) is to be reported.
    pub fn reports(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|p| inside(p, path))
    }
}

/// Whether `path` is `folder` or lies below it.
fn inside(folder: &str, path: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_itself_and_what_is_below() {
        let mut config = Config::of_tree(Path::new("/t"));
        assert!(config.reports("net/core/dev.c"));
        config.paths = vec!["net/xdp".into(), "mm/gup.c".into()];
        assert!(config.reports("net/xdp/umem.c"));
        assert!(config.reports("mm/gup.c"));
        assert!(!config.reports("net/xdpx.c"));
        assert!(!config.reports("net/core/dev.c"));
    }
}
