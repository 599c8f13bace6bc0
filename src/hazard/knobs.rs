//! The switches of the scenarios, and their settings.

use crate::error::UserError;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// A switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Knob {
    /// Name, as in `--set name=value`.
    pub name: &'static str,
    /// What it may be set to; of a number, none.
    pub values: &'static [&'static str],
    /// The numbers it may be set to.
    pub range: Option<RangeInclusive<i32>>,
    /// What it does, in one line.
    pub about: &'static str,
}

const OFF_ON: &[&str] = &["off", "on"];

const NUMBER: &[&str] = &[];

/// Most references of others. The owner drops them one by one.
const MOST_BASE: i32 = 2_000_000;
/// Most references or pins of the driver: twice what fills the count.
const MOST_TIMES: i32 = 4_194_304;

const fn range(name: &str) -> Option<RangeInclusive<i32>> {
    match name.as_bytes() {
        b"base" => Some(1..=MOST_BASE),
        b"times" => Some(1..=MOST_TIMES),
        _ => None,
    }
}

macro_rules! knobs {
    ($($name:literal: $values:expr, $about:literal;)*) => {
        /// All knobs; a scenario has some of them.
        pub const KNOBS: &[Knob] =
            &[$(Knob { name: $name, values: $values, range: range($name), about: $about },)*];
    };
}

knobs! {
    "start": &["mapped", "clean"], "the page is mapped writable and dirty, or clean and write-protected";
    "track": OFF_ON, "pins are told from other references (pin_user_pages instead of get_user_pages)";
    "fix": &["none", "bounce", "wait", "skip", "revoke"],
        "what writeback does with a pinned page: write a copy, wait, skip it; revoke: an MMU notifier stops the device";
    "redirty": OFF_ON, "after writing a copy the page is made dirty again";
    "check": &["after", "before"], "writeback looks for pins after or before it write-protects the page";
    "recheck": OFF_ON, "get_user_pages_fast() reads the PTE again after it took its reference";
    "gup-refuses-wb": OFF_ON, "GUP returns no page that is under writeback";
    "stable": OFF_ON, "a write fault waits until writeback is over (the device needs stable pages)";
    "reclaim-pin": OFF_ON, "reclaim leaves pinned pages alone";
    "bh-over-limit": OFF_ON, "too many buffers in the machine: the other path that drops buffers runs too";
    "fs": &["bug", "tolerant"], "writeback of a page without buffers hits BUG_ON(), or drops the dirty mark";
    "dirty-lock": OFF_ON, "the driver dirties with set_page_dirty_lock()";
    "release": &["yes", "never"], "the driver gives its pages back, or leaks them";
    "longterm": &["allow", "wait", "reject"],
        "long-term pins of file pages: allowed, truncation waits for them, or refused";
    "acquire": &["get", "pin"], "the driver takes a reference or a pin";
    "drop": &["put", "unpin"], "the driver drops with put_page() or unpin_user_page()";
    "kernel": &["5.7", "6.1", "6.12"],
        "whose counting: pin counts from order 2 (5.7) or 1 (6.1); zero page counted (5.7) or not";
    "page": &["order0", "order1", "order2", "zero"], "a single page, a compound page of 2 or 4, the zero page";
    "base": NUMBER, "references of others at the start";
    "times": NUMBER, "how often the driver takes the page";
    "other": OFF_ON, "another user pins the page properly";
    "access": &["write", "read"], "the device writes to the page, or reads it";
    "copy-at-fork": OFF_ON, "fork() copies a pinned page for the child at once";
    "unshare": OFF_ON, "a read pin of a shared page copies it first";
}

impl Knob {
    /// The values, for a message: `none, bounce`, or `1 to 4194304`.
    pub fn valid(&self) -> String {
        match &self.range {
            Some(r) => format!("{} to {}", r.start(), r.end()),
            None => self.values.join(", "),
        }
    }

    /// The value, as it is kept; `None` if it is not valid.
    fn value(&self, text: &str) -> Option<Cow<'static, str>> {
        match &self.range {
            Some(r) => text.parse().ok().filter(|n| r.contains(n)).map(|n: i32| Cow::Owned(n.to_string())),
            None => self.values.iter().find(|v| **v == text).map(|v| Cow::Borrowed(*v)),
        }
    }
}

/// A knob and its value.
pub type Setting = (&'static str, Cow<'static, str>);

/// The settings of one run: every knob of the scenario with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// From name and value pairs that are known to be valid.
    pub(super) fn new(pairs: &[(&'static str, &'static str)]) -> Settings {
        Settings(pairs.iter().map(|&(n, v)| (n, Cow::Borrowed(v))).collect())
    }

    /// The value of a knob that has a list of them; the first one if the scenario does not have the knob.
    pub fn get(&self, name: &str) -> &'static str {
        let values = KNOBS.iter().find(|k| k.name == name).map_or(NUMBER, |k| k.values);
        let own = self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        let set = own.and_then(|own| values.iter().find(|v| *v == own));
        set.or(values.first()).copied().unwrap_or_default()
    }

    /// The value of a knob that is a number; 1 if the scenario does not have it.
    pub fn number(&self, name: &str) -> i32 {
        self.0.iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.parse().ok()).unwrap_or(1)
    }

    /// Whether the scenario has this knob.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| *n == name)
    }

    /// Whether it is `on`.
    pub fn on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// In the order of the scenario.
    pub fn pairs(&self) -> &[Setting] {
        &self.0
    }

    /// With some values replaced.
    pub fn with(&self, pairs: &[(&'static str, &'static str)]) -> Settings {
        self.replaced(&Settings::new(pairs).0)
    }

    /// [`Self::with`], of settings that were read.
    pub(super) fn replaced(&self, pairs: &[Setting]) -> Settings {
        let new = |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        Settings(self.0.iter().map(|(n, v)| (*n, new(*n).unwrap_or(v).clone())).collect())
    }

    /// Reads `name=value`.
    ///
    /// # Errors
    /// A knob or value that this scenario does not have; the message lists the valid ones.
    pub(super) fn parse(&self, text: &str) -> Result<Setting, UserError> {
        let names: Vec<&str> = self.0.iter().map(|(n, _)| *n).collect();
        let list = format!("knobs of this scenario: {}", names.join(", "));
        let Some((name, value)) = text.split_once('=') else {
            return Err(UserError::new(
                format!("`{text}` is no setting"),
                "it has no `=`",
                format!("knob=value; {list}"),
            ));
        };
        let knob = KNOBS.iter().find(|k| k.name == name && names.contains(&k.name));
        let Some(knob) = knob else {
            return Err(UserError::new(format!("no knob `{name}`"), "the scenario does not have it", list));
        };
        match knob.value(value) {
            Some(value) => Ok((knob.name, value)),
            None => Err(UserError::new(
                format!("`{name}` cannot be `{value}`"),
                knob.about,
                format!("values of {name}: {}", knob.valid()),
            )),
        }
    }

    /// Reads several.
    ///
    /// # Errors
    /// As [`Self::parse`]; and a knob that is set twice, since one of the two would count for nothing.
    pub(super) fn parse_all(&self, texts: &[String]) -> Result<Vec<Setting>, UserError> {
        let mut out: Vec<Setting> = Vec::new();
        for text in texts {
            let (name, value) = self.parse(text)?;
            if let Some((_, other)) = out.iter().find(|(n, _)| *n == name) {
                return Err(UserError::new(
                    format!("`{name}` is set twice"),
                    format!("to `{other}` and to `{value}`"),
                    "give each knob once; explore the other value in another run",
                ));
            }
            out.push((name, value));
        }
        Ok(out)
    }
}
