//! MAINTAINERS of the tree: which entry a file belongs to, and which entries are a roof over others.
//!
//! Reads titles and the `F:` and `X:` lines, which name files by glob. `N:` and `K:` (regular expressions) are not
//! read: they say who wants to hear of a file, not where it belongs. Who gets a patch is not decided here, but for the
//! lists that get_maintainer.pl cannot read (`L: Name <address>`: it prints no address for them, v6.12).

use crate::error::UserError;
use std::cmp::Reverse;

/// The entries of the file.
#[derive(Clone, Debug, Default)]
pub struct Maintainers {
    entries: Vec<Entry>,
}

/// An entry.
#[derive(Clone, Debug, Default)]
struct Entry {
    title: String,
    files: Vec<Glob>,
    excluded: Vec<Glob>,
    /// Lists that are given as `Name <address>`: the addresses.
    lists: Vec<String>,
}

/// A pattern of an `F:` or `X:` line.
#[derive(Clone, Debug)]
struct Glob {
    /// Components; each may hold `*` and `?`.
    parts: Vec<String>,
    /// Everything below the folder.
    folder: bool,
}

/// Where a file belongs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Home {
    /// Title of the entry; empty when none fits but the one for everything.
    pub entry: String,
    /// Folder of the driver or part: that of the pattern, or the sub-folder next below it when the entry is a roof.
    pub folder: String,
    /// Folder of the roof above; may be that of `folder` itself, empty if there is none.
    pub roof: String,
    /// The pattern names files, not a folder: `fs/*`, `drivers/scsi/st.*`.
    pub loose: bool,
    /// An entry names the folder in which such a file stands.
    pub named: bool,
}

impl Maintainers {
    /// Reads the file. `is_folder` tells whether a path of the tree is one, since a pattern may leave out the final
    /// slash.
    ///
    /// # Errors
    /// No entry with a file pattern: this is no MAINTAINERS file.
    pub fn parse(text: &[u8], is_folder: &dyn Fn(&str) -> bool) -> Result<Self, UserError> {
        let text = String::from_utf8_lossy(text);
        let mut entries: Vec<Entry> = Vec::new();
        let mut title = String::new();
        let mut open = false;
        for line in text.lines() {
            let tag =
                line.as_bytes().first().filter(|b| b.is_ascii_uppercase() && line.as_bytes().get(1) == Some(&b':'));
            match tag {
                Some(_) if title.is_empty() => {}
                Some(tag) => {
                    if !open {
                        entries.push(Entry { title: title.clone(), ..Entry::default() });
                        open = true;
                    }
                    let value = line.get(2..).unwrap_or_default().trim();
                    let Some(entry) = entries.last_mut().filter(|_| !value.is_empty()) else { continue };
                    match tag {
                        b'F' => entry.files.push(Glob::new(value, is_folder)),
                        b'X' => entry.excluded.push(Glob::new(value, is_folder)),
                        b'L' => entry.lists.extend(address_of_named(value)),
                        _ => {}
                    }
                }
                None => {
                    // A title is a line at the margin right above the first tag.
                    title = if line.starts_with([' ', '\t']) { String::new() } else { line.trim().to_string() };
                    open = false;
                }
            }
        }
        entries.retain(|e| !e.files.is_empty());
        if entries.is_empty() {
            return Err(UserError::new(
                "cannot read MAINTAINERS",
                "it has no entry with a line `F: pattern`",
                "restore the file, or make one patch a file with --group file",
            ));
        }
        Ok(Self { entries })
    }

    /// The lists of a file that are given with a name.
    pub fn named_lists(&self, path: &str) -> Vec<String> {
        let parts: Vec<&str> = path.split('/').collect();
        let covers = |globs: &[Glob]| globs.iter().any(|g| g.covers(&parts));
        let entries = self.entries.iter().filter(|e| covers(&e.files) && !covers(&e.excluded));
        entries.flat_map(|e| e.lists.iter().cloned()).collect()
    }

    /// Where the file belongs.
    pub fn home(&self, path: &str) -> Home {
        let parts: Vec<&str> = path.split('/').collect();
        let folders = parts.len() - 1;
        let fitting = self.entries.iter().enumerate().filter_map(|(number, entry)| {
            if entry.excluded.iter().any(|g| g.covers(&parts)) {
                return None;
            }
            let globs = entry.files.iter().filter(|g| !g.is_all() && g.covers(&parts));
            let glob = globs.max_by_key(|g| g.weight())?;
            // Of two that say the same, the entry with fewer patterns is the narrower one; then the first one.
            Some(((glob.weight(), Reverse(entry.files.len()), Reverse(number)), entry, glob))
        });
        let Some((_, entry, glob)) = fitting.max_by_key(|f| f.0) else {
            return Home { folder: parts[..folders].join("/"), ..Home::default() };
        };
        let depth = if glob.folder { glob.parts.len() } else { glob.parts.len() - 1 }.min(folders);
        // A sub-folder of a roof stands for itself; if it is a roof, too, one deeper.
        let mut own = depth;
        while own < folders && self.is_roof(&parts[..own]) {
            own += 1;
        }
        let folder = parts[..own].join("/");
        // The nearest folder above, or the one itself, that is a roof over others.
        let roof = (1..=depth).rev().map(|d| &parts[..d]).find(|p| self.covered(p) && self.is_roof(p));
        Home {
            entry: entry.title.clone(),
            folder,
            roof: roof.map(|p| p.join("/")).unwrap_or_default(),
            loose: !glob.folder,
            named: self.covered(&parts[..depth]),
        }
    }

    /// Whether entries have folders of their own below the folder of another one.
    fn is_roof(&self, folder: &[&str]) -> bool {
        !folder.is_empty()
            && self.entries.iter().flat_map(|e| &e.files).any(|g| {
                let named = if g.folder { g.parts.len() } else { g.parts.len() - 1 };
                named > folder.len() && g.parts.iter().zip(folder).all(|(a, b)| a == b)
            })
    }

    /// Whether an entry names exactly this folder.
    fn covered(&self, folder: &[&str]) -> bool {
        self.entries.iter().flat_map(|e| &e.files).any(|g| g.folder && g.parts == folder)
    }
}

/// `Name <address>`: the address. A bare address is nothing here, whatever stands behind it.
fn address_of_named(value: &str) -> Option<String> {
    let (name, rest) = value.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    (!name.trim().is_empty() && !name.contains('@') && address.contains('@')).then(|| address.trim().to_string())
}

impl Glob {
    fn new(pattern: &str, is_folder: &dyn Fn(&str) -> bool) -> Self {
        let bare = pattern.trim_end_matches('/');
        let folder = pattern.ends_with('/') || (!bare.contains(['*', '?']) && is_folder(bare));
        Self { parts: bare.split('/').map(str::to_string).collect(), folder }
    }
    /// Names everything there is.
    fn is_all(&self) -> bool {
        self.parts.iter().all(|p| p == "*")
    }
    fn covers(&self, path: &[&str]) -> bool {
        let long_enough = if self.folder { path.len() > self.parts.len() } else { path.len() == self.parts.len() };
        long_enough && self.parts.iter().zip(path).all(|(p, c)| matches(p.as_bytes(), c.as_bytes()))
    }
    /// How narrow it is: named components count more than those with wild cards.
    fn weight(&self) -> usize {
        self.parts.iter().map(|p| if p.contains(['*', '?']) { 1 } else { 2 }).sum()
    }
}

/// Matches a component against a pattern of `*` and `?`, without recursion.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((sp, st)) = star {
            p = sp + 1;
            t = st + 1;
            star = Some((sp, st + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"Maintainers\n===========\n\n\tM: explained\n\nM: no title above\n
BIRCH DRIVERS\nM:\tB <b@example.org>\nF:\tdrivers/birch/\nX:\tdrivers/birch/aspen/\n
OAK\nM:\tO <o@example.org>\nF:\tdrivers/birch/oak\n
ASH\nF:\tdrivers/birch/hw/ash/\n
ELM AND MORE\nF:\tdrivers/elm/\nF:\tinclude/elm/\n
ELM ALONE\nF:\tdrivers/elm/\n
FILES\nF:\tfs/*\n
THE REST\nF:\t*\nF:\t*/\n";

    fn home(path: &str) -> (String, String, String) {
        let m = Maintainers::parse(FILE, &|p| p == "drivers/birch/oak").expect("entries");
        let h = m.home(path);
        (h.entry, h.folder, h.roof)
    }

    fn is(path: &str, entry: &str, folder: &str, roof: &str) {
        assert_eq!(home(path), (entry.to_string(), folder.to_string(), roof.to_string()), "{path}");
    }

    #[test]
    fn the_narrowest_entry_is_the_home() {
        is("drivers/birch/oak/a.c", "OAK", "drivers/birch/oak", "drivers/birch");
        is("drivers/birch/a.c", "BIRCH DRIVERS", "drivers/birch", "drivers/birch");
        // A roof over others: its own sub-folders count apart.
        is("drivers/birch/pine/deep/a.c", "BIRCH DRIVERS", "drivers/birch/pine", "drivers/birch");
        // One that is a roof itself is gone through.
        is("drivers/birch/hw/willow/deep/a.c", "BIRCH DRIVERS", "drivers/birch/hw/willow", "drivers/birch");
        let m = Maintainers::parse(b"A\nF:\tfs/*\n\nB\nF:\tdrivers/fir/\n\nC\nF:\tdrivers/fir/cone*\n", &|_| false);
        let m = m.expect("entries");
        let loose = |path: &str| (m.home(path).loose, m.home(path).named);
        assert_eq!(loose("fs/exec.c"), (true, false));
        assert_eq!(loose("drivers/fir/cone-a.c"), (true, true));
        assert_eq!(loose("drivers/fir/a.c"), (false, true));
        is("drivers/elm/deep/a.c", "ELM ALONE", "drivers/elm", "");
        is("fs/a.c", "FILES", "fs", "");
    }

    #[test]
    fn excluded_and_unnamed_files_have_their_folder() {
        is("drivers/birch/aspen/a.c", "", "drivers/birch/aspen", "");
        is("fs/deep/a.c", "", "fs/deep", "");
        is("a.c", "", "", "");
    }

    #[test]
    fn what_has_no_patterns_is_refused() {
        for text in [&b""[..], b"just text\n", b"TITLE\nM:\tx\n", b"\xff\xfe\x00"] {
            assert!(Maintainers::parse(text, &|_| false).is_err());
        }
    }

    #[test]
    fn wild_cards() {
        for (pattern, text, fits) in [
            ("*", "x", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("?", "x", true),
            ("?", "", false),
            ("*a*b", "xaab", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
