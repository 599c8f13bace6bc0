//! When a file is built: from its object through the Makefiles to the symbols of Kconfig. Whether that is ever without
//! an MMU, whether an architecture can have it, and which symbol of a configuration is missing.
//!
//! An answer is a proof or nothing. What is not understood (a function of make, a computed name, a symbol of the shell)
//! may be true and may be false. It reads Makefiles only on the way from the file to the root, and Kconfig only when a
//! Makefile leads there. It knows nothing of sites, and of architectures only what their Kconfig says.

mod kconfig;
mod makefile;

use kconfig::Kconfig;
use makefile::Makefile;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A condition over symbols of Kconfig.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cond {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// Not understood.
    Unknown,
    /// A symbol, without `CONFIG_`; `m` counts as `y`.
    Sym(String),
    /// Not.
    Not(Box<Cond>),
    /// All.
    And(Vec<Cond>),
    /// Any.
    Or(Vec<Cond>),
}

/// What is known of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Build {
    /// Every configuration that builds it has `CONFIG_MMU`.
    OnlyWithMmu,
    /// That is not shown. The symbol that switches the object, if it was found.
    NotShown(Option<String>),
}

/// The build files of a tree.
pub struct Kbuild {
    root: PathBuf,
    makefiles: RefCell<BTreeMap<String, Rc<Makefile>>>,
    kconfig: OnceCell<Kconfig>,
}

/// Folders that are followed upwards, and lists that are followed through each other.
const DEPTH: usize = 24;

impl Kbuild {
    /// The tree at `root`. Nothing is read yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), makefiles: RefCell::default(), kconfig: OnceCell::new() }
    }

    /// Whether the C file at `path` (from the root) is built only with `CONFIG_MMU`.
    pub fn build(&self, path: &str) -> Build {
        let Some(cond) = self.cond(path) else { return Build::NotShown(None) };
        match self.kconfig().needs_mmu(&cond, arch_of(path)) {
            true => Build::OnlyWithMmu,
            false => Build::NotShown(first_symbol(&cond)),
        }
    }

    /// Whether an architecture may have a configuration that builds the C file. Not understood is a yes.
    pub fn may_build(&self, path: &str, arch: &str) -> bool {
        arch_of(path).is_none_or(|own| own == arch)
            && self.cond(path).is_some_and(|cond| self.kconfig().may_hold(&cond, arch))
    }

    /// A symbol that a configuration needs to build the C file and does not set; `set` has the symbols that it sets.
    pub fn missing(&self, path: &str, set: &BTreeSet<String>) -> Option<String> {
        self.cond(path).and_then(|cond| missing(&cond, set))
    }

    /// Whether the C file is a driver of its own among others of its folder: a symbol switches its object alone, which
    /// is made of nothing else, and others stand beside it.
    pub fn stands_alone(&self, path: &str) -> bool {
        let Some((folder, object)) = path.strip_suffix(".c").and_then(|p| p.rsplit_once('/')) else { return false };
        let Some(make) = self.makefile(folder) else { return false };
        let parts = [format!("{object}-y"), format!("{object}-objs")];
        let object = format!("{object}.o");
        let switches = |l: &&makefile::Line| l.list.starts_with("obj-$(CONFIG_");
        let Some(own) = make.lines.iter().filter(switches).find(|l| l.values.contains(&object)) else { return false };
        let with = |l: &&makefile::Line| l.list == own.list;
        make.lines.iter().filter(with).flat_map(|l| &l.values).all(|v| *v == object)
            && make.lines.iter().any(|l| l.list.starts_with("obj-") && l.list != own.list && !l.values.is_empty())
            && !make.lines.iter().any(|l| parts.contains(&l.list))
    }

    /// The object, without `.o`, of which the C file is a part, where others are made below `folder` as well; the file
    /// itself, if it is a part of several.
    pub fn part(&self, path: &str, folder: &str) -> Option<String> {
        let object = format!("{}.o", path.strip_suffix(".c")?);
        let stem = |l: &makefile::Line| {
            let (stem, _) = l.list.rsplit_once('-')?;
            // `kvm-objs-$(CONFIG_X)` takes in other lists.
            let own =
                !matches!(stem, "obj" | "lib" | "core" | "drivers") && !stem.ends_with("-objs") && !stem.contains('$');
            own.then(|| stem.to_string())
        };
        let within = |at: &str| at == folder || at.strip_prefix(folder).is_some_and(|r| r.starts_with('/'));
        let mut own: BTreeSet<String> = BTreeSet::new();
        let mut others = false;
        for (at, rest) in splits(&object).into_iter().filter(|(at, _)| within(at)) {
            let Some(make) = self.makefile(at) else { continue };
            let here = make.lines.iter().filter(|l| l.values.iter().any(|v| v == rest)).filter_map(stem);
            own.extend(here);
            let below = rest.split_once('/').map(|(sub, _)| format!("{sub}/"));
            let ours = |v: &String| own.contains(v.trim_end_matches(".o")) || Some(v) == below.as_ref() || v == rest;
            let makes = |v: &String| v.ends_with('/') || v.ends_with(".o");
            others |=
                make.lines.iter().any(|l| l.list.starts_with("obj-") && l.values.iter().any(|v| makes(v) && !ours(v)));
            others |= own.len() > 1;
        }
        let own: Vec<String> = own.into_iter().filter(|_| others).collect();
        match own.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => path.strip_suffix(".c")?.rsplit('/').next().map(str::to_string),
        }
    }

    /// When the C file is linked.
    fn cond(&self, path: &str) -> Option<Cond> {
        path.strip_suffix(".c").map(|stem| self.object(&format!("{stem}.o"), DEPTH))
    }

    fn kconfig(&self) -> &Kconfig {
        self.kconfig.get_or_init(|| Kconfig::read(&self.root))
    }

    /// When the object (path from the root) is linked.
    fn object(&self, path: &str, depth: usize) -> Cond {
        let mut any = Vec::new();
        for (folder, rest) in splits(path) {
            let Some(make) = self.makefile(folder).filter(|_| depth > 0) else { continue };
            for line in make.lines.iter().filter(|l| l.values.iter().any(|v| v == rest)) {
                any.push(Cond::And(vec![line.cond.clone(), self.list(folder, &line.list, depth - 1)]));
            }
        }
        either(any)
    }

    /// When what stands in a list of a Makefile is linked.
    fn list(&self, folder: &str, list: &str, depth: usize) -> Cond {
        if depth == 0 {
            return Cond::Unknown;
        }
        let (stem, switch) = match list.rsplit_once('-') {
            Some((stem, end)) if end.starts_with("$(CONFIG_") && end.ends_with(')') => {
                (stem, Cond::Sym(end["$(CONFIG_".len()..end.len() - 1].to_string()))
            }
            Some((stem, "y" | "m" | "objs")) => (stem, Cond::True),
            _ => (list, Cond::True),
        };
        if stem.contains('$') {
            return Cond::Unknown;
        }
        let above = if matches!(stem, "obj" | "lib" | "core" | "drivers" | "libs" | "net" | "init" | "virt") {
            self.folder(folder, depth - 1)
        } else {
            // A part of another object, or a list that another list takes in.
            let own = if folder.is_empty() { format!("{stem}.o") } else { format!("{folder}/{stem}.o") };
            let mut any = vec![self.object(&own, depth - 1)];
            let names =
                [format!("$({stem}-y)"), format!("$({stem}-m)"), format!("$({stem}-objs)"), format!("$({list})")];
            if let Some(make) = self.makefile(folder) {
                for line in make.lines.iter().filter(|l| l.list != list && l.values.iter().any(|v| names.contains(v))) {
                    any.push(Cond::And(vec![line.cond.clone(), self.list(folder, &line.list, depth - 1)]));
                }
            }
            any.retain(|c| *c != Cond::Unknown);
            either(any)
        };
        Cond::And(vec![switch, above])
    }

    /// When a folder is entered.
    fn folder(&self, path: &str, depth: usize) -> Cond {
        // The folders of the root, and those of an architecture, are always entered.
        let parts: Vec<&str> = path.split('/').collect();
        if parts.len() == 1 || parts.len() == 2 && parts[0] == "arch" {
            return Cond::True;
        }
        let mut any = Vec::new();
        for (above, rest) in splits(path) {
            let Some(make) = self.makefile(above).filter(|_| depth > 0) else { continue };
            let entered = |v: &String| v.strip_suffix('/') == Some(rest) || v == rest && !rest.ends_with(".o");
            for line in make.lines.iter().filter(|l| l.values.iter().any(entered)) {
                any.push(Cond::And(vec![line.cond.clone(), self.list(above, &line.list, depth - 1)]));
            }
        }
        either(any)
    }

    /// The Makefile of a folder, or its Kbuild.
    fn makefile(&self, folder: &str) -> Option<Rc<Makefile>> {
        if let Some(m) = self.makefiles.borrow().get(folder) {
            return Some(m.clone());
        }
        let at = self.root.join(folder);
        let text = ["Kbuild", "Makefile"].iter().find_map(|n| std::fs::read(at.join(n)).ok())?;
        let read = Rc::new(Makefile::parse(&String::from_utf8_lossy(&text)));
        self.makefiles.borrow_mut().insert(folder.to_string(), read.clone());
        Some(read)
    }
}

/// Folders above a path and the rest of it, the nearest first.
fn splits(path: &str) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = path.match_indices('/').map(|(i, _)| (&path[..i], &path[i + 1..])).collect();
    all.reverse();
    all
}

/// Any of these; when there is none, nobody knows.
fn either(mut any: Vec<Cond>) -> Cond {
    match any.len() {
        0 => Cond::Unknown,
        1 => any.remove(0),
        _ => Cond::Or(any),
    }
}

/// The symbol that stands nearest to the object.
fn first_symbol(cond: &Cond) -> Option<String> {
    match cond {
        Cond::Sym(s) => Some(s.clone()),
        Cond::And(all) | Cond::Or(all) => all.iter().find_map(first_symbol),
        Cond::Not(_) | Cond::True | Cond::False | Cond::Unknown => None,
    }
}

/// The architecture of a path below `arch/`.
pub fn arch_of(path: &str) -> Option<&str> {
    path.strip_prefix("arch/").and_then(|p| p.split_once('/')).map(|(arch, _)| arch)
}

/// A symbol that would have to be set. Of several ways the first is named.
fn missing(cond: &Cond, set: &BTreeSet<String>) -> Option<String> {
    match cond {
        Cond::Sym(s) => (!set.contains(s)).then(|| s.clone()),
        Cond::And(all) => all.iter().find_map(|c| missing(c, set)),
        Cond::Or(all) => {
            let mut ways = all.iter().map(|c| missing(c, set));
            let first = ways.next().flatten()?;
            ways.all(|way| way.is_some()).then_some(first)
        }
        Cond::Not(_) | Cond::True | Cond::False | Cond::Unknown => None,
    }
}

#[cfg(test)]
mod tests;
