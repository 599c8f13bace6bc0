//! From plans that are handed out to patches that a maintainer applies, with a cover letter and recipients.
//!
//! Before the analysis, [`prepare`] looks at everything that could be in the way: the folder, the repository, the
//! identity, MAINTAINERS. After it, [`make`] groups the plans, writes the messages, and has the mails made by git, or
//! by [`mbox`] in a tree without git. The checkout is never changed, and nothing is ever sent. The same tree gives the
//! same bytes: dates come from the base commit, not from the clock.
//!
//! It finds and proves nothing of its own. A bug that a conversion needs fixed is fixed in a patch of its own directly
//! before it; a patch that must stand before all conversions is a [`crate::run::Leading`].

mod below;
mod checked;
mod completed;
mod compose;
mod cover;
mod effects;
mod facts;
mod fixes;
mod git;
mod group;
mod history;
mod known;
mod letters;
mod maintainers;
mod mbox;
mod message;
mod order;
mod output;
mod recipients;
mod text;

use crate::config::Config;
use crate::error::UserError;
use crate::kbuild::Kbuild;
use crate::report::SiteRecord;
use crate::run::{Analysis, HandedFix, HandedPlan, Needed};
use compose::State;
use facts::Facts;
use fixes::Fix;
use known::Known;
use letters::Series;
use maintainers::Maintainers;
use message::{Frame, Header};
use recipients::Recipients;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

pub use git::Repo;
pub use group::Grouping;

/// Name of the file with the recipients of each patch.
pub const RECIPIENTS: &str = "recipients";
/// The commit that introduced put_user_page() in mainline (v5.2): cited when the history at hand has it.
const INTRODUCED: &str = "fc1d8e7cca2daa18d2fe56b94874848adf89d7f5";
/// The header that declares put_user_page().
const HEADER: &str = "include/linux/mm.h";
/// Files with the functions that patches use, the first that exists: their lists hear of every patch.
const API_FILES: &[&str] = &["mm/gup.c", HEADER];
/// Subjects that are looked at to find the custom of a file. One walk serves all files.
const MOST_COMMITS: usize = 4000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folder for the mails.
    pub out: Option<PathBuf>,
    /// How plans are put together.
    pub grouping: Grouping,
    /// The simple patches first.
    pub easy_first: bool,
    /// Leave the commits on a new branch of this name.
    pub branch: Option<String>,
    /// Version of the series; 0 and 1 are not shown.
    pub version: u32,
    /// Instead of `PATCH`.
    pub subject_prefix: Option<String>,
    /// Message-Id that the cover letter answers.
    pub in_reply_to: Option<String>,
    /// Say what would be made, and make nothing.
    pub dry_run: bool,
    /// Put recipients into the headers as well.
    pub headers: bool,
    /// The command for the messages, as it can be repeated in the root of the tree.
    pub command: String,
    /// Where the tool can be had, for the messages.
    pub tool_url: Option<String>,
}

/// What was looked at before the analysis.
#[derive(Debug)]
pub struct Prepared {
    repo: Option<Repo>,
    who: Identity,
    maintainers: Maintainers,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Who writes the patches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// A file of the output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Name of the file.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A patch of the series.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The subject without `[PATCH]`.
    pub subject: String,
    /// The body, wrapped.
    pub body: String,
    /// What stands below `---`; may be empty.
    pub below: String,
    /// Its plans: places in [`Analysis::plans`]. None for a leading patch and for a fix.
    pub plans: Vec<usize>,
    /// It fixes a bug before the conversion that stands on the fix.
    pub fix: Option<Fixing>,
    /// The subject starts by path: the history shows no custom.
    pub by_path: bool,
    /// The files that it changes, by path.
    pub files: Vec<PatchFile>,
    /// Who gets it.
    pub recipients: Recipients,
}

/// What a patch that fixes a bug does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fixing {
    /// It mends how pages are marked dirty; else the sign of a result.
    pub dirtying: bool,
    /// It has a `Fixes:` tag.
    pub tagged: bool,
    /// The permitted differences that its proofs met, ascending.
    pub refinements: BTreeSet<String>,
    /// Runs of its proofs.
    pub runs: u64,
    /// What its proofs took for granted.
    pub assumed: Vec<String>,
    /// The functions that take the page lock under locks of which too little is known.
    pub unordered: Vec<String>,
}

/// A file before and after a patch, all patches before it applied.
#[derive(Clone, Debug)]
pub struct PatchFile {
    /// Path from the root.
    pub path: String,
    /// Before this patch.
    pub before: Arc<[u8]>,
    /// After it.
    pub after: Vec<u8>,
}

/// What was made.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The patches in their order.
    pub patches: Vec<Patch>,
    /// Names of the files in the folder; empty when none was asked for.
    pub files: Vec<String>,
    /// The folder and the branch, if any, were there already with the same content.
    pub unchanged: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Patch {
    /// The text behind the subject: body, and what stands below `---`.
    pub fn message(&self) -> String {
        if self.below.is_empty() { self.body.clone() } else { format!("{}---\n{}", self.body, self.below) }
    }
}

/// Looks at what could be in the way, before the analysis takes its time.
///
/// # Errors
/// An option that makes no sense, a folder in use, no identity, no commit, a MAINTAINERS that cannot be read.
pub fn prepare(config: &Config, options: &Options) -> Result<Prepared, UserError> {
    if options.out.is_none() && options.branch.is_none() && !options.dry_run {
        return Err(UserError::new(
            "no place for the series is given",
            "neither -o, --branch nor --dry-run was given",
            "name a folder with -o DIR, or a branch with --branch NAME",
        ));
    }
    if let Some(text) = options.subject_prefix.iter().chain(&options.in_reply_to).find(|t| !is_header_text(t)) {
        return Err(UserError::new(
            format!("{text:?} cannot stand in a header"),
            "a subject prefix or Message-Id is one line without square brackets",
            "write it as in --subject-prefix 'RFC PATCH', --in-reply-to 20190722.1234@example.org",
        ));
    }
    if let Some(id) = options.in_reply_to.as_deref().filter(|id| !is_message_id(id)) {
        return Err(UserError::new(
            format!("{id} is no Message-Id"),
            "it needs an @ and no blanks",
            "copy it from the header of the mail, as in --in-reply-to 20190722.1234@example.org",
        ));
    }
    if let Some(url) = options.tool_url.as_deref().filter(|url| !is_url(url)) {
        return Err(UserError::new(
            format!("{url:?} is no URL for the messages"),
            "it is one word with a scheme, without brackets and backquotes",
            "write it as in --tool-url https://example.org/gupconv",
        ));
    }
    if let Some(dir) = &options.out {
        output::check(dir)?;
    }
    let mut notes = Vec::new();
    let repo = Repo::open(&config.root)?;
    match (&repo, &options.branch) {
        (Some(repo), Some(name)) => repo.check_branch(name)?,
        (None, Some(_)) => {
            return Err(UserError::new(
                "there is no git repository for the branch",
                "the root of the tree has no .git",
                "write mails with -o DIR, or use a checkout",
            ));
        }
        _ => {}
    }
    match &repo {
        None => notes.push("the tree is no git checkout: the patches have no index lines and no base commit".into()),
        Some(r) => {
            if r.detached {
                notes.push(format!("HEAD is detached: the series is based on {}", r.base.get(..12).unwrap_or(&r.base)));
            }
            if r.shallow {
                notes.push(
                    "the history is cut off (shallow clone): subjects may start by path instead of by custom".into(),
                );
            }
        }
    }
    let who = git::identity(&config.root)?;
    let maintainers = match std::fs::read(config.root.join("MAINTAINERS")) {
        Ok(text) => Maintainers::parse(&text, &|p| config.root.join(p).is_dir()),
        Err(e) => Err(UserError::new(
            "cannot read MAINTAINERS",
            e.to_string(),
            "restore the file, or make one patch a file with --group file",
        )),
    };
    let maintainers = match maintainers {
        // One patch a file needs no entries; subjects start by path then.
        Err(_) if options.grouping == Grouping::File => Maintainers::default(),
        other => other?,
    };
    Ok(Prepared { repo, who, maintainers, notes })
}

/// Makes the series of an analysis. With no plan to hand out, nothing is made.
///
/// # Errors
/// Files that are not as committed, leading patches that clash with conversions, git, or the disk.
pub fn make(config: &Config, options: &Options, prepared: Prepared, analysis: &Analysis) -> Result<Made, UserError> {
    let Prepared { repo, who, maintainers, mut notes } = prepared;
    if analysis.plans.is_empty() {
        return Ok(Made { notes, ..Made::default() });
    }
    let frame = Frame {
        command: options.command.clone(),
        tool_url: options.tool_url.clone(),
        introduced: repo.as_ref().and_then(|r| r.cite(INTRODUCED)),
        brings_functions: analysis.leading.iter().any(|l| l.needed == Needed::ByAll),
        nommu: analysis.leading.iter().find(|l| l.needed == Needed::ByUnlinked).map(|l| l.subject.clone()),
        document: analysis.run.document,
        header: std::fs::read(config.root.join(HEADER)).map(|text| Header::read(&text)).unwrap_or_default(),
        in_git: repo.is_some(),
        base: repo.as_ref().and_then(Repo::base_in_words).into_iter().chain(release(config)).collect(),
        known: Known::of(&config.root, &analysis.run.sites),
    };
    let mut patches = patches(config, options, analysis, &frame, &maintainers, repo.as_ref())?;
    if let Some(repo) = &repo {
        check_files(repo, analysis, &mut notes)?;
    }
    address(config, analysis, &maintainers, &mut patches, &mut notes);
    let mut made = Made { patches, notes, ..Made::default() };
    if options.dry_run {
        return Ok(made);
    }
    let prefix = options.subject_prefix.as_deref().unwrap_or("PATCH");
    let mut fresh = false;
    let mut mails = match &repo {
        Some(repo) => {
            let commits = repo.commit(&made.patches, &who)?;
            let mails = if options.out.is_some() { commits.mails(options.version, prefix)? } else { Vec::new() };
            if let Some(name) = &options.branch {
                fresh |= commits.branch(name)?;
            }
            mails
        }
        None => {
            let date = tree_date(config);
            let envelope =
                mbox::Envelope { who: &who, date, prefix, version: options.version, total: made.patches.len() };
            mbox::mails(&envelope, &made.patches)
                .map_err(|e| UserError::new("cannot make the mails", e.to_string(), "free some memory"))?
        }
    };
    if let Some(dir) = &options.out {
        let all: Vec<&HandedPlan> = analysis.plans.iter().collect();
        let facts = Facts::of(analysis, &all);
        let (patches, email) = (&made.patches, who.email.as_str());
        letters::finish(&mut mails, &Series { options, analysis, facts: &facts, frame: &frame, patches, email });
        made.files = mails.iter().map(|m| m.name.clone()).collect();
        fresh |= output::write(dir, &mails)?;
    }
    made.unchanged = !fresh;
    Ok(made)
}

/// Gives each patch its recipients: those of its files, the lists of the functions that it uses, and, where others
/// stand on it, those who get the others.
fn address(
    config: &Config,
    analysis: &Analysis,
    maintainers: &Maintainers,
    patches: &mut [Patch],
    notes: &mut Vec<String>,
) {
    let owner = API_FILES.iter().find(|f| config.root.join(f).is_file()).map(|f| f.to_string());
    let lists = owner.and_then(|f| recipients::of(&config.root, &[f]).ok()).map(|r| r.topical).unwrap_or_default();
    let mut complaints = BTreeSet::new();
    let mut nobody = Vec::new();
    for (number, patch) in (1..).zip(patches.iter_mut()) {
        let paths: Vec<String> = patch.files.iter().map(|f| f.path.clone()).collect();
        match recipients::of(&config.root, &paths) {
            Ok(mut r) => {
                let named: Vec<String> = paths.iter().flat_map(|p| maintainers.named_lists(p)).collect();
                r.unnamed &= named.is_empty();
                r.add_lists(&named);
                r.add_lists(&lists);
                if r.to.is_empty() {
                    nobody.push(format!("{number} ({})", paths.join(", ")));
                }
                patch.recipients = r;
            }
            Err(why) => _ = complaints.insert(why),
        }
    }
    // The leading patches are the first ones.
    for (i, leading) in analysis.leading.iter().enumerate() {
        let needs = |p: &HandedPlan| leading.needed == Needed::ByAll || !p.unlinked.is_empty();
        let stands = |p: &Patch| p.plans.iter().filter_map(|&n| analysis.plans.get(n)).any(needs);
        let others: Vec<Recipients> = patches.iter().filter(|p| stands(p)).map(|p| p.recipients.clone()).collect();
        if let Some(patch) = patches.get_mut(i) {
            others.iter().for_each(|o| patch.recipients.add_readers(o));
        }
    }
    notes.extend(complaints.into_iter().map(|why| format!("no recipients: {why}")));
    if !nobody.is_empty() {
        notes.push(format!(
            "MAINTAINERS names no person for patch {}: these have no To: yet; `git log` of the files may tell whom to ask",
            text::list(&nobody)
        ));
    }
}

/// Refuses files that are not as committed; tells of others.
fn check_files(repo: &Repo, analysis: &Analysis, notes: &mut Vec<String>) -> Result<(), UserError> {
    let changes = analysis.leading.iter().flat_map(|l| &l.changes).chain(&analysis.changes);
    let files: BTreeMap<&str, &[u8]> = changes.map(|c| (c.path.as_str(), &*c.before)).collect();
    let files: Vec<(&str, &[u8])> = files.into_iter().collect();
    repo.require_clean(&files)?;
    let others = repo.changed_files();
    if !others.is_empty() {
        notes.push(format!(
            "other files are not as in the last commit, and were analysed as they are: {}",
            text::short_list(&others, 5, "file")
        ));
    }
    Ok(())
}

/// The patches with their messages, in order.
fn patches(
    config: &Config,
    options: &Options,
    analysis: &Analysis,
    frame: &Frame,
    maintainers: &Maintainers,
    repo: Option<&Repo>,
) -> Result<Vec<Patch>, UserError> {
    let mut state = State::default();
    let mut out = Vec::new();
    for l in &analysis.leading {
        let files = state.leading(l)?;
        let (subject, body, below) = (l.subject.clone(), message::leading_body(l, frame), below::of_leading(l));
        let (plans, recipients) = (Vec::new(), Recipients::default());
        out.push(Patch { subject, body, below, plans, fix: None, by_path: false, files, recipients });
    }
    let mut groups = group::groups(&analysis.plans, options.grouping, maintainers);
    let facts_of = |g: &group::Group| {
        let plans: Vec<&HandedPlan> = g.iter().filter_map(|&i| analysis.plans.get(i)).collect();
        Facts::of(analysis, &plans)
    };
    if options.grouping != Grouping::File {
        groups = group::apart(groups, &|plan| facts_of(&vec![plan]).fixes_dirtying());
    }
    // The fix of a bug stands by itself, and first.
    groups = group::apart(groups, &|plan| !facts_of(&vec![plan]).completes);
    if options.easy_first {
        groups.sort_by_cached_key(|g| {
            let facts = facts_of(g);
            (facts.difficulty(), facts.paths.len(), facts.paths.first().cloned())
        });
    }
    let facts: Vec<Facts<'_>> = groups.iter().map(facts_of).collect();
    let history = repo.map(|r| {
        let paths: BTreeSet<&str> = facts.iter().flat_map(|f| f.paths.iter().map(String::as_str)).collect();
        r.history(&paths.into_iter().collect::<Vec<_>>(), MOST_COMMITS)
    });
    let kbuild = Kbuild::new(&config.root);
    let (alone, part) = (|p: &str| kbuild.stands_alone(p), |p: &str, folder: &str| kbuild.part(p, folder));
    let parts = group::Parts { alone: &alone, part: &part };
    let by_path = |paths: &[String]| group::prefix(paths, options.grouping, maintainers, &parts);
    let custom = |f: &Facts<'_>| history.as_ref().and_then(|h| history::prefix(&f.paths, h));
    // Sites of the same driver that no patch converts.
    let taken: BTreeSet<usize> = analysis.plans.iter().flat_map(|p| p.sites.iter().copied()).collect();
    // A pattern of files makes no driver of what it names.
    let key = |p: &str| (!maintainers.home(p).loose).then(|| group::key(p, options.grouping, maintainers));
    let others = analysis.run.sites.iter().enumerate().filter(|(i, _)| !taken.contains(i));
    let others: Vec<(Option<Vec<String>>, &SiteRecord)> = others.map(|(_, s)| (key(&s.path), s)).collect();
    let beside = |f: &Facts<'_>| -> Vec<&SiteRecord> {
        let own: BTreeSet<Vec<String>> = f.paths.iter().filter_map(|p| key(p)).collect();
        let near = |k: &Option<Vec<String>>| k.as_ref().is_some_and(|k| own.contains(k));
        let told = |k, s: &SiteRecord| below::matters(s, f.paths.contains(&s.path), near(k));
        others.iter().filter(|(k, s)| told(k, s)).map(|(_, s)| *s).collect()
    };
    let subjects = subjects(&facts, &|f| custom(f).unwrap_or_else(|| by_path(&f.paths)));
    for ((group, facts), subject) in groups.into_iter().zip(&facts).zip(subjects) {
        let fixes: Vec<&HandedFix> =
            group.iter().filter_map(|&i| analysis.plans.get(i)).flat_map(|p| &p.fixes).collect();
        let mut stands_on = Vec::new();
        for fix in Fix::patches(&fixes) {
            let paths = [fix.path().to_string()];
            let prefix = history.as_ref().and_then(|h| history::prefix(&paths, h));
            let without = prefix.is_none();
            let first = fixes::subject(&prefix.unwrap_or_else(|| by_path(&paths)), &fix);
            let taken = |s: &String| out.iter().any(|p: &Patch| p.subject == *s);
            let subject =
                std::iter::once(first.clone()).chain(numbered(&first)).find(|s| !taken(s)).unwrap_or_default();
            let blamed = repo.and_then(|r| r.blame(fix.path(), &fix.lines()));
            let body = fixes::body(&fix, frame, blamed.as_deref());
            let below = fixes::below(&fix, blamed.is_some());
            stands_on.push(subject.clone());
            let fixing = Fixing {
                dirtying: matches!(fix, Fix::Dirtying(_)),
                tagged: blamed.is_some(),
                refinements: fix.all().iter().flat_map(|f| f.refinements.iter().cloned()).collect(),
                runs: fix.runs(),
                assumed: fix.assumed(),
                unordered: fix.unordered(),
            };
            let (files, plans, recipients) = (state.fixes(fix.all())?, Vec::new(), Recipients::default());
            out.push(Patch { subject, body, below, plans, fix: Some(fixing), by_path: without, files, recipients });
        }
        let files = state.plans(group.iter().filter_map(|&i| analysis.plans.get(i)))?;
        let (body, below) =
            (message::body(facts, frame), below::of_conversion(facts, frame, &stands_on, &beside(facts)));
        let recipients = Recipients::default();
        let by_path = custom(facts).is_none();
        out.push(Patch { subject, body, below, plans: group, fix: None, by_path, files, recipients });
    }
    Ok(out)
}

/// Subjects, each unique in the series.
fn subjects(facts: &[Facts<'_>], prefix: &dyn Fn(&Facts<'_>) -> String) -> Vec<String> {
    let prefixes: Vec<String> = facts.iter().map(prefix).collect();
    let plain: Vec<String> = prefixes.iter().zip(facts).map(|(p, f)| message::subject(p, f)).collect();
    let mut out: Vec<String> = Vec::new();
    for ((subject, prefix), f) in plain.iter().zip(&prefixes).zip(facts) {
        let mut subject = subject.clone();
        if plain.iter().filter(|s| **s == subject).count() > 1 {
            // Two patches of one driver: the first file tells them apart.
            let file = f.paths.first().map(String::as_str).unwrap_or_default();
            let stem = file.rsplit('/').next().and_then(|n| n.split('.').next()).unwrap_or_default();
            let separator = if prefix.contains(": ") { ": " } else { "/" };
            subject = message::subject(&format!("{prefix}{separator}{stem}"), f);
        }
        let other = numbered(&subject).find(|s| !out.contains(s));
        out.push(if out.contains(&subject) { other.unwrap_or_default() } else { subject });
    }
    out
}

/// The subject with a number, for one that is taken.
fn numbered(subject: &str) -> impl Iterator<Item = String> {
    let cut: String = subject.chars().take(text::SUBJECT - 4).collect();
    (2..).map(move |n| format!("{cut} ({n})"))
}

/// One line that may stand in a subject tag or Message-Id.
fn is_header_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(['[', ']']) && !text.chars().any(char::is_control)
}

/// One word that a reader of a mail can follow.
fn is_url(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"[]()<>`\"".contains(&b));
    let sides = text.split_once("://");
    plain
        && sides.is_some_and(|(scheme, rest)| {
            scheme.bytes().all(|b| b.is_ascii_lowercase()) && !scheme.is_empty() && !rest.is_empty()
        })
}

/// What stands between the angle brackets of a Message-Id, or it with them.
fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
    let sides = inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    sides && !inner.contains(|c: char| c.is_whitespace() || "<>,;\"".contains(c))
}

/// That the tree is a release, on which nobody takes patches, by what its Makefile says.
fn release(config: &Config) -> Option<String> {
    let text = std::fs::read_to_string(config.root.join("Makefile")).ok()?;
    let value = |name: &str| {
        let of = |l: &str| l.strip_prefix(name)?.trim_start().strip_prefix('=').map(|v| v.trim().to_string());
        text.lines().find_map(of)
    };
    let (version, patch, sub) = (value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?);
    let extra = value("EXTRAVERSION").unwrap_or_default();
    let point = if sub == "0" || sub.is_empty() { String::new() } else { format!(".{sub}") };
    (extra.is_empty()).then(|| {
        format!(
            "[ To be done before sending: the Makefile calls this tree {version}.{patch}{point}, a release. Run the same \
             command on the tree that the patches are to go into. ]"
        )
    })
}

/// The date of a tree without git: that of its Makefile, which unpacking keeps; or what SOURCE_DATE_EPOCH says.
fn tree_date(config: &Config) -> i64 {
    if let Some(date) = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|d| d.parse().ok()) {
        return date;
    }
    let modified = std::fs::metadata(config.root.join("Makefile")).and_then(|m| m.modified());
    let since = modified.ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |d| d.as_secs() as i64)
}
