//! Commits and mails of a series, made with git plumbing beside the checkout.
//!
//! Blobs, trees and commits go to a temporary object folder that borrows from the repository; the index is a temporary
//! one. So nothing of the repository changes: not the files, the index, HEAD, the configuration, nor the objects. Only
//! `--branch` moves the finished objects in, and then makes the branch in one step. A process that is killed leaves a
//! folder in the temporary directory and nothing else; the next run takes it away.

use super::{Identity, Mail, Patch};
use crate::error::UserError;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A checkout whose root is the tree.
#[derive(Clone, Debug)]
pub struct Repo {
    root: PathBuf,
    objects: PathBuf,
    /// The commit that is checked out.
    pub base: String,
    /// When it was committed, seconds since 1970: the date of everything that is made.
    pub date: i64,
    /// HEAD names no branch.
    pub detached: bool,
    /// The history is cut off.
    pub shallow: bool,
    /// The base commit has no parent: nobody else has it.
    pub alone: bool,
}

/// Settings of a user or repository that would change the patches.
const SETTINGS: &[&str] = &[
    "format.coverFromDescription=none",
    "format.useAutoBase=false",
    "format.headers=",
    "format.encodeEmailHeaders=true",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "core.quotePath=true",
    "core.abbrev=12",
    "core.attributesFile=/dev/null",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "diff.suppressBlankEmpty=false",
    "diff.ignoreSubmodules=all",
    "blame.showRoot=false",
    "blame.ignoreRevsFile=",
    "color.ui=false",
];

/// Arguments of `git format-patch` that fix the shape of a mail.
const SHAPE: &[&str] = &[
    "--quiet",
    "--cover-letter",
    "--numbered",
    "--no-attach",
    "--no-thread",
    "--no-signoff",
    "--no-from",
    "--no-add-header",
    "--no-to",
    "--no-cc",
    "--no-notes",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "-O/dev/null",
    "--no-color",
    "--no-relative",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--unified=3",
    "--inter-hunk-context=0",
    "--abbrev=12",
    "--suffix=.patch",
];

impl Repo {
    /// The repository whose checkout is `root`; `None` when there is none.
    ///
    /// # Errors
    /// A repository that git cannot read, or without a commit.
    pub fn open(root: &Path) -> Result<Option<Self>, UserError> {
        if !root.join(".git").exists() {
            return Ok(None);
        }
        let mut repo = Self {
            root: root.to_path_buf(),
            objects: PathBuf::new(),
            base: String::new(),
            date: 0,
            detached: false,
            shallow: false,
            alone: false,
        };
        let broken = |cause: String| {
            UserError::new(
                "cannot use the git repository",
                cause,
                "repair it, or run the command on a copy without .git",
            )
        };
        let objects = repo.text(&["rev-parse", "--git-path", "objects"]).map_err(broken)?;
        repo.objects = root.join(objects);
        repo.base = repo.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).map_err(|_| {
            UserError::new(
                "the checkout has no commit",
                "a series needs a commit that it can be based on, and HEAD names none",
                "check out the commit that the patches are for",
            )
        })?;
        let date = repo.text(&["show", "-s", "--no-show-signature", "--format=%ct", &repo.base]).map_err(broken)?;
        repo.date = date.trim().parse().map_err(|_| broken(format!("HEAD has no date: {date}")))?;
        repo.detached = repo.text(&["symbolic-ref", "--quiet", "HEAD"]).is_err();
        repo.shallow = repo.text(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|t| t == "true");
        let parents = repo.text(&["rev-list", "--parents", "--max-count=1", &repo.base]).map_err(broken)?;
        repo.alone = !repo.shallow && !parents.contains(' ');
        Ok(Some(repo))
    }

    /// For the cover letter, where the name of the base commit would say nothing to others.
    pub fn base_in_words(&self) -> Option<String> {
        if !self.alone {
            return None;
        }
        let title = self.text(&["show", "-s", "--no-show-signature", "--format=%s", &self.base]).unwrap_or_default();
        Some(format!(
            "The series is based on a local commit, \"{title}\", which has no history. [ To be filled in before sending: \
             the release or commit of a public repository that it stands for. ]"
        ))
    }

    /// A git command on this repository that never writes to it on its own.
    fn git(&self) -> Command {
        let mut git = command();
        git.arg("-C").arg(&self.root);
        git
    }

    /// Runs a command and returns what it prints, without the last newline.
    fn text(&self, args: &[&str]) -> Result<String, String> {
        let out = run(self.git().args(args), b"")?;
        Ok(String::from_utf8_lossy(&out).trim_end_matches('\n').to_string())
    }

    /// Mode and name of the blob of each path in the base commit, in the order of `paths`; `None` for what it lacks.
    fn blobs(&self, paths: &[&str]) -> Result<Vec<Option<(String, String)>>, String> {
        let out = run(self.git().args(["ls-tree", "-z", &self.base, "--"]).args(paths), b"")?;
        let text = String::from_utf8_lossy(&out);
        let mut found = vec![None; paths.len()];
        for entry in text.split('\0') {
            let Some((what, path)) = entry.split_once('\t') else { continue };
            let mut words = what.split(' ');
            let (Some(mode), Some("blob"), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            if let Some(i) = paths.iter().position(|p| *p == path) {
                found[i] = Some((mode.to_string(), name.to_string()));
            }
        }
        Ok(found)
    }

    /// Refuses a series of files that are not as they are in the base commit.
    ///
    /// # Errors
    /// Names the files.
    pub fn require_clean(&self, files: &[(&str, &[u8])]) -> Result<(), UserError> {
        let paths: Vec<&str> = files.iter().map(|f| f.0).collect();
        let blobs = self.blobs(&paths).map_err(failed)?;
        let mut dirty = Vec::new();
        for ((path, bytes), blob) in files.iter().zip(blobs) {
            let now = run(self.git().args(["hash-object", "--no-filters", "--stdin"]), bytes).map_err(failed)?;
            if blob.is_none_or(|(_, name)| name.as_bytes() != now.trim_ascii()) {
                dirty.push(*path);
            }
        }
        if dirty.is_empty() {
            return Ok(());
        }
        Err(UserError::new(
            "files that the series would change are not as in the last commit",
            format!("changed or not committed: {}", dirty.join(", ")),
            "commit or stash these changes first; the patches are made against HEAD",
        ))
    }

    /// Tracked files that are not as in the base commit.
    pub fn changed_files(&self) -> Vec<String> {
        let args =
            ["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=all"];
        let Ok(out) = run(self.git().args(args), b"") else { return Vec::new() };
        let text = String::from_utf8_lossy(&out);
        text.split('\0').filter_map(|e| e.get(3..)).map(str::to_string).collect()
    }

    /// Subjects of the newest commits that touch the files, newest first, each with the files among `paths` it touches.
    pub fn history(&self, paths: &[&str], most: usize) -> Vec<(String, Vec<String>)> {
        let most = format!("--max-count={most}");
        let args =
            ["log", "--no-merges", "--no-renames", "--no-show-signature", "--format=%x00%s", "--name-only", &most];
        let out = run(self.git().args(args).arg(&self.base).arg("--").args(paths), b"");
        let Ok(out) = out else { return Vec::new() };
        let text = String::from_utf8_lossy(&out);
        let commit = |entry: &str| {
            let (subject, files) = entry.split_once('\n')?;
            Some((subject.to_string(), files.lines().filter(|l| !l.is_empty()).map(str::to_string).collect()))
        };
        text.split('\0').filter_map(commit).collect()
    }

    /// `commit 0123456789ab ("title")`, when the history has the commit.
    pub fn cite(&self, commit: &str) -> Option<String> {
        let ancestor = ["merge-base", "--is-ancestor", commit, &self.base];
        run(self.git().args(ancestor), b"").ok()?;
        let title = self.text(&["show", "-s", "--no-show-signature", "--format=%s", commit]).ok()?;
        Some(format!("commit {} (\"{title}\")", commit.get(..12)?))
    }

    /// The newest of the commits that wrote these lines of a file, as `Fixes:` names it. `None` where the history does
    /// not reach one of them: the first commit of what is at hand says nothing about who wrote a line.
    pub fn blame(&self, path: &str, lines: &[u32]) -> Option<String> {
        let mut newest: Option<String> = None;
        for line in lines {
            let range = format!("-L{line},{line}");
            let args = ["blame", "--porcelain", "-w", &range, &self.base, "--", path];
            let told = self.text(&args).ok()?;
            if told.lines().any(|l| l == "boundary") {
                return None;
            }
            let commit = told.split(' ').next()?.to_string();
            let ancestor = |a: &str, b: &str| run(self.git().args(["merge-base", "--is-ancestor", a, b]), b"").is_ok();
            newest = match newest {
                Some(n) if ancestor(&commit, &n) => Some(n),
                Some(n) if !ancestor(&n, &commit) => return None,
                _ => Some(commit),
            };
        }
        let commit = newest?;
        let title = self.text(&["show", "-s", "--no-show-signature", "--format=%s", &commit]).ok()?;
        Some(format!("{} (\"{title}\")", commit.get(..12)?))
    }

    /// Whether the name can be given to a new branch.
    ///
    /// # Errors
    /// It is no name for a branch.
    pub fn check_branch(&self, name: &str) -> Result<(), UserError> {
        self.text(&["check-ref-format", "--branch", name]).map(drop).map_err(|_| {
            UserError::new(
                format!("{name} is no name for a branch"),
                "git does not take it",
                "choose another one, such as gup/convert",
            )
        })
    }

    /// Makes the commits of the patches on top of the base commit.
    ///
    /// # Errors
    /// What git complains of; nothing was changed then.
    pub fn commit(&self, patches: &[Patch], who: &Identity) -> Result<Commits<'_>, UserError> {
        let dir = super::output::workspace(&std::env::temp_dir(), "gupconv-series-").map_err(|e| {
            UserError::new("cannot make a temporary folder", e.to_string(), "set TMPDIR to a folder with free space")
        })?;
        for sub in ["objects", "out"] {
            std::fs::create_dir(dir.path().join(sub)).map_err(|e| failed(e.to_string()))?;
        }
        let mut commits = Commits { repo: self, dir, tip: self.base.clone(), who: who.clone() };
        commits.make(patches).map_err(failed)?;
        Ok(commits)
    }
}

/// Commits in a temporary object folder.
pub struct Commits<'a> {
    repo: &'a Repo,
    dir: tempfile::TempDir,
    tip: String,
    who: Identity,
}

impl Commits<'_> {
    /// A git command that writes to the temporary folders.
    fn git(&self) -> Command {
        let mut git = self.repo.git();
        let date = format!("{} +0000", self.repo.date);
        git.env("GIT_INDEX_FILE", self.dir.path().join("index"))
            .env("GIT_OBJECT_DIRECTORY", self.dir.path().join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.repo.objects)
            .env("GIT_AUTHOR_NAME", &self.who.name)
            .env("GIT_AUTHOR_EMAIL", &self.who.email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", &self.who.name)
            .env("GIT_COMMITTER_EMAIL", &self.who.email)
            .env("GIT_COMMITTER_DATE", &date);
        git
    }

    fn make(&mut self, patches: &[Patch]) -> Result<(), String> {
        run(self.git().args(["read-tree", &self.repo.base]), b"")?;
        for patch in patches {
            let paths: Vec<&str> = patch.files.iter().map(|f| f.path.as_str()).collect();
            let mut info = Vec::new();
            for (file, blob) in patch.files.iter().zip(self.repo.blobs(&paths)?) {
                let (mode, _) = blob.ok_or_else(|| format!("{} is not in {}", file.path, self.repo.base))?;
                let name = run(self.git().args(["hash-object", "-w", "--no-filters", "--stdin"]), &file.after)?;
                info.extend_from_slice(format!("{mode} {} 0\t", String::from_utf8_lossy(name.trim_ascii())).as_bytes());
                info.extend_from_slice(file.path.as_bytes());
                info.push(0);
            }
            run(self.git().args(["update-index", "-z", "--index-info"]), &info)?;
            let tree = line(run(self.git().args(["write-tree", "--missing-ok"]), b"")?);
            let message = format!("{}\n\n{}", patch.subject, patch.message());
            let commit = ["commit-tree", "--no-gpg-sign", &tree, "-p", &self.tip, "-F", "-"];
            self.tip = line(run(self.git().args(commit), message.as_bytes())?);
        }
        Ok(())
    }

    /// The mails, cover letter first, by `git format-patch`.
    ///
    /// # Errors
    /// What git complains of.
    pub fn mails(&self, version: u32, subject_prefix: &str) -> Result<Vec<Mail>, UserError> {
        let out = self.dir.path().join("out");
        let mut git = self.git();
        git.arg("format-patch").args(SHAPE);
        git.arg(if self.repo.alone { "--no-base".into() } else { format!("--base={}", self.repo.base) })
            .arg(format!("--subject-prefix={subject_prefix}"))
            .arg(format!("--signature=gupconv {}", env!("CARGO_PKG_VERSION")))
            .arg("-o")
            .arg(&out);
        if version > 1 {
            git.arg(format!("-v{version}"));
        }
        git.arg(format!("{}..{}", self.repo.base, self.tip));
        run(&mut git, b"").map_err(failed)?;
        let mut mails = Vec::new();
        for entry in std::fs::read_dir(&out).map_err(|e| failed(e.to_string()))? {
            let entry = entry.map_err(|e| failed(e.to_string()))?;
            let bytes = std::fs::read(entry.path()).map_err(|e| failed(e.to_string()))?;
            mails.push(Mail { name: entry.file_name().to_string_lossy().into_owned(), bytes });
        }
        mails.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(mails)
    }

    /// Moves the commits into the repository and makes a branch of them. Returns whether it is new: a branch that is
    /// there already with the same commits is left alone.
    ///
    /// # Errors
    /// A branch of that name with other commits, or what git complains of.
    pub fn branch(&self, name: &str) -> Result<bool, UserError> {
        let full = format!("refs/heads/{name}");
        if let Ok(there) = self.repo.text(&["rev-parse", "--verify", "--quiet", &full]) {
            if there == self.tip {
                return Ok(false);
            }
            return Err(UserError::new(
                format!("the branch {name} exists"),
                format!("it is at {}, and the series is at {}", short(&there), short(&self.tip)),
                "choose another name, or delete the branch with git branch -D",
            ));
        }
        let range = format!("{}\n^{}\n", self.tip, self.repo.base);
        let pack = run(self.git().args(["pack-objects", "--revs", "--stdout", "--quiet"]), range.as_bytes())
            .map_err(failed)?;
        run(self.repo.git().args(["unpack-objects", "-q"]), &pack).map_err(failed)?;
        let none = "0".repeat(self.tip.len());
        let what = "gupconv series";
        run(self.repo.git().args(["update-ref", "--no-deref", "-m", what, &full, &self.tip, &none]), b"")
            .map_err(failed)?;
        Ok(true)
    }
}

/// The person of the configuration or environment, never one that git guesses from the machine.
///
/// # Errors
/// There is none.
pub fn identity(root: &Path) -> Result<Identity, UserError> {
    // What git says after its first line is what the remedy says.
    let none = |cause: String| {
        UserError::new(
            "nobody to write the patches in the name of",
            cause.lines().next().unwrap_or_default().to_string(),
            "git config --global user.name \"Your Name\"; git config --global user.email you@example.org",
        )
    };
    let named = |what: &str| std::env::var(what).ok().filter(|v| !v.trim().is_empty());
    if let (Some(name), Some(email)) = (named("GIT_AUTHOR_NAME"), named("GIT_AUTHOR_EMAIL")) {
        return Ok(Identity { name, email });
    }
    let out =
        run(command().arg("-C").arg(root).args(["-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"]), b"")
            .map_err(none)?;
    let text = String::from_utf8_lossy(&out);
    let read = || {
        let (name, rest) = text.split_once(" <")?;
        let (email, _) = rest.split_once('>')?;
        Some(Identity { name: name.trim().to_string(), email: email.to_string() })
    };
    read()
        .filter(|i| !i.name.is_empty() && i.email.contains('@'))
        .ok_or_else(|| none(format!("git knows only: {}", text.trim())))
}

/// git without the variables that would point it elsewhere, and with our settings.
fn command() -> Command {
    let mut git = Command::new("git");
    for variable in
        ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PREFIX"]
    {
        git.env_remove(variable);
    }
    for s in SETTINGS {
        git.args(["-c", s]);
    }
    git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("TZ", "UTC");
    git
}

/// Runs a command with `input`; its standard output, or what it complained of.
fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let name = command_words(command).iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("git does not run: {e}"))?;
    let pipe = child.stdin.take();
    let out = std::thread::scope(|s| {
        // In a thread of its own: a child that writes before it has read all must not wait for us.
        s.spawn(move || pipe.map(|mut p| p.write_all(input)));
        child.wait_with_output()
    })
    .map_err(|e| e.to_string())?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let text = text.trim();
    Err(if text.is_empty() { format!("{name} failed") } else { format!("{name}: {text}") })
}

/// `git` and the command, for messages.
fn command_words(command: &Command) -> Vec<&OsStr> {
    let mut args = command.get_args();
    let mut words = vec![OsStr::new("git")];
    while let Some(a) = args.next() {
        if a == "-C" || a == "-c" {
            args.next();
        } else {
            words.push(a);
            break;
        }
    }
    words
}

fn failed(cause: String) -> UserError {
    UserError::new(
        "git could not make the series",
        cause,
        "the checkout is as it was; repair what git complains of and run again",
    )
}

fn line(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
