//! The command line as clap sees it: low-level flags only, no decision is taken here.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Finds every get_user_pages*() call site of a Linux tree, follows the pinned pages to the place that releases them,
/// and rewrites the release, with a proof, to the functions that the tree has for it.
#[derive(Parser, Debug)]
#[command(name = "gupconv", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 clean or done, 1 findings, 2 could not run, 3 incomplete under --strict.\n\
    The coverage line (what was read, what could not be parsed) goes to stderr.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the sites with their holders, releases and verdicts. Reads only.
    Scan {
        /// Report only sites in these files or folders. The whole tree is analysed all the same.
        paths: Vec<PathBuf>,
        /// Layout of the report.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print the rewrite as a unified diff, or write it in place.
    Convert {
        /// Convert only sites whose whole rewrite lies in these files or folders.
        paths: Vec<PathBuf>,
        /// Layout; `human` is the diff, the others report the sites with their edits.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Write the files instead of printing a diff: all of them or none.
        #[arg(long)]
        write: bool,
        /// Hand out rewrites that have no proof as well. Read each of them before you use it.
        #[arg(long)]
        unproved: bool,
        /// Compile the touched files before and after with the tree's own Kbuild and W=1; a new warning is exit status
        /// 1, and nothing is written. DIR keeps the build folders, one an architecture (DIR/x86, DIR/arm64); a .config
        /// in one of them is used, else allmodconfig. The tree is never written to.
        #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
        build_check: Option<Option<PathBuf>>,
    },
    /// Make a series of patches with a cover letter, ready for git am. Nothing is sent.
    Series(SeriesArgs),
    /// Follow a pin step by step, or say what stopped it.
    Trace {
        /// The line of a site, or of a release of one. Several are answered from one look at the tree, in this order.
        #[arg(value_name = "FILE:LINE", required = true)]
        places: Vec<String>,
        /// Layout of the report.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Play a hazard of pinned file pages: the shortest way to the harm, and what closes it.
    Model {
        /// Name of a scenario; without one they are listed.
        scenario: Option<String>,
        /// List the scenarios.
        #[arg(long)]
        list: bool,
        /// Play it with a knob set otherwise; each knob once.
        #[arg(long, value_name = "KNOB=VALUE")]
        set: Vec<String>,
        /// Say which hazards a site of a tree has, and what its conversion changes about them.
        #[arg(long = "for", value_name = "FILE:LINE", conflicts_with_all = ["scenario", "list", "set"])]
        site: Option<String>,
        /// Layout of the story.
        #[arg(long, value_enum, default_value_t)]
        format: StoryFormat,
    },
    /// Explain a code: a rule, reason, gap, refinement, verdict or dialect.
    Explain {
        /// The code, as printed in a report. Without one, all codes are listed.
        code: Option<String>,
    },
    /// List the rewrites that `convert` knows.
    Rules,
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Flags of `series`.
#[derive(Args, Debug)]
pub struct SeriesArgs {
    /// Convert only sites whose whole rewrite lies in these files or folders.
    pub paths: Vec<PathBuf>,
    /// Folder for the patches; it must not exist or be empty.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What makes one patch: an entry of MAINTAINERS, a driver of it, or a file.
    #[arg(long, value_enum, default_value_t)]
    pub group: GroupArg,
    /// The simple patches first.
    #[arg(long)]
    pub easy_first: bool,
    /// Leave the commits on a new branch; without -o no mails are written.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Version of the series: 2 or v2 makes [PATCH v2 1/9].
    #[arg(long, value_name = "N", default_value = "1", value_parser = version_count)]
    pub version_count: u32,
    /// Instead of PATCH between the square brackets.
    #[arg(long, value_name = "TEXT")]
    pub subject_prefix: Option<String>,
    /// Message-Id of the mail that the cover letter answers.
    #[arg(long, value_name = "MESSAGE-ID")]
    pub in_reply_to: Option<String>,
    /// Where the tool can be had: stands in each message, which has a gap to be filled in else.
    #[arg(long, value_name = "URL")]
    pub tool_url: Option<String>,
    /// Put To and Cc into the patches as well, not only into the file `recipients`.
    #[arg(long)]
    pub headers: bool,
    /// List the patches and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Go on after an interruption. Every run does: folder and branch appear whole or not at all, and the same ones
    /// are left alone.
    #[arg(long)]
    pub resume: bool,
}

/// `2` or `v2`.
fn version_count(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix('v').unwrap_or(text).parse();
    number.ok().filter(|n| (1..=999).contains(n)).ok_or_else(|| "a number from 1 on, as in 2 or v2".to_string())
}

/// `--group`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupArg {
    /// One patch an entry of MAINTAINERS.
    Subsystem,
    /// Sub-folders of an entry that covers many drivers count apart.
    #[default]
    Driver,
    /// One patch a file.
    File,
}

/// Flags of every command.
#[derive(Args, Debug, Default)]
pub struct Common {
    /// Root of the kernel tree; else the nearest folder above the first PATH that is one.
    #[arg(long, value_name = "DIR", global = true)]
    pub tree: Option<PathBuf>,
    /// API generation to convert to; else found in the declarations of the tree.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub dialect: DialectArg,
    /// Convert the sites whose case calls for a pin, or every site whose releases are known.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub policy: PolicyArg,
    /// Where the tree has no put_user_page(), or no put_user_pages*() without an MMU: add them in front, wherever the
    /// PATHs lie, and convert on top of it.
    #[arg(long, global = true)]
    pub with_prerequisite: bool,
    /// Threads; one a core if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), global = true)]
    pub jobs: Option<u16>,
    /// Colours. With `auto`, on a terminal without NO_COLOR.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub color: Color,
    /// Say only what was asked for.
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
    /// Name what was skipped or could not be parsed.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Exit 3 if something could not be read or parsed.
    #[arg(long, global = true)]
    pub strict: bool,
}

/// `--dialect`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DialectArg {
    /// What the tree declares.
    #[default]
    Auto,
    /// Report only.
    None,
    /// put_user_pages_dirty_lock() with two parameters (v5.2, v5.3).
    #[value(name = "put-user-page-2arg")]
    PutUserPage2,
    /// put_user_pages_dirty_lock() with three parameters (v5.4).
    #[value(name = "put-user-page-3arg")]
    PutUserPage3,
    /// pin_user_pages*() and unpin_user_page*() (v5.6 and later).
    PinUserPages,
}

/// `--policy`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PolicyArg {
    /// Cases 1, 2 and 5 of pin_user_pages.rst.
    #[default]
    Cases,
    /// All of them.
    AllGup,
}

/// `--format`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// A table for people.
    #[default]
    Human,
    /// One record a line, the last of kind `run`.
    Jsonl,
    /// file:line:column: message
    Concise,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
    /// Code Quality report of GitLab.
    Gitlab,
}

/// `--format` of `model`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoryFormat {
    /// For a terminal.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// A sequence diagram.
    Svg,
}

/// `--color`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}
