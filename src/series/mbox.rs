//! Mails for a tree without git: the same shape as those of `git format-patch`, byte for byte right whatever bytes the
//! files hold.
//!
//! What only git can give is absent: `index` lines and the base commit. Hunks are those of [`crate::print::diff`].

use super::text;
use super::{Identity, Mail, Patch, PatchFile};
use crate::print::{Style, diff};
use crate::report::FileChange;
use similar::{Algorithm, DiffTag};
use std::io;

/// Columns of a diffstat, as git has it in mails.
const STAT: usize = 72;
/// Room for a file name that git makes, with number, suffix and a final zero.
const NAME: usize = 64;

/// What all mails of a series share.
pub struct Envelope<'a> {
    /// The author.
    pub who: &'a Identity,
    /// Seconds since 1970.
    pub date: i64,
    /// `PATCH`, or what the user wants instead.
    pub prefix: &'a str,
    /// From 2 on it is part of subjects and names.
    pub version: u32,
    /// Patches.
    pub total: usize,
}

/// The mails, cover letter first. The cover letter has the places that git leaves for subject and text.
///
/// # Errors
/// None in practice: everything is written to memory.
pub fn mails(envelope: &Envelope<'_>, patches: &[Patch]) -> io::Result<Vec<Mail>> {
    let mut out = vec![cover(envelope, patches)];
    for (number, patch) in (1..).zip(patches) {
        let mut bytes = envelope.head(number, &patch.subject, &patch.message());
        bytes.extend_from_slice(b"---\n");
        bytes.extend_from_slice(stat(&patch.files.iter().collect::<Vec<_>>()).as_bytes());
        bytes.push(b'\n');
        for f in &patch.files {
            let (a, b) = (diff::name("a/", &f.path), diff::name("b/", &f.path));
            bytes.extend_from_slice(format!("diff --git {} {}\n", a.trim_end(), b.trim_end()).as_bytes());
            let change = FileChange { path: f.path.clone(), before: f.before.clone(), after: f.after.clone() };
            diff::print(&change, &Style::default(), &mut bytes)?;
        }
        bytes.extend_from_slice(signature().as_bytes());
        out.push(Mail { name: envelope.name(number, &patch.subject), bytes });
    }
    Ok(out)
}

/// The letter, with a list of the patches and a diffstat of all of them.
fn cover(envelope: &Envelope<'_>, patches: &[Patch]) -> Mail {
    let mut text = format!("*** BLURB HERE ***\n\n{} ({}):\n", envelope.who.name, patches.len());
    for p in patches {
        text.push_str(&text::wrap(&p.subject, STAT, "  ", "    "));
    }
    // One line a file, from before the first patch to after the last.
    let mut files: Vec<PatchFile> = Vec::new();
    for f in patches.iter().flat_map(|p| &p.files) {
        match files.iter_mut().find(|have| have.path == f.path) {
            Some(have) => have.after.clone_from(&f.after),
            None => files.push(f.clone()),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    text.push_str(&format!("\n{}\n", stat(&files.iter().collect::<Vec<_>>())));
    let mut bytes = envelope.head(0, "*** SUBJECT HERE ***", &text);
    bytes.extend_from_slice(signature().as_bytes());
    Mail { name: envelope.name(0, "cover letter"), bytes }
}

fn signature() -> String {
    format!("-- \ngupconv {}\n\n", env!("CARGO_PKG_VERSION"))
}

impl Envelope<'_> {
    /// Everything down to the end of the text.
    fn head(&self, number: usize, subject: &str, text: &str) -> Vec<u8> {
        let width = self.total.to_string().len();
        let version = if self.version > 1 { format!(" v{}", self.version) } else { String::new() };
        let tag = format!("[{}{version} {number:0width$}/{}]", self.prefix, self.total);
        let subject = format!("Subject: {tag} {subject}");
        // As git does: only a text that needs it says how it is encoded.
        let mime = match text.is_ascii() {
            true => "",
            false => "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n",
        };
        format!(
            "From {} Mon Sep 17 00:00:00 2001\nFrom: {} <{}>\nDate: {}\n{subject}\n{mime}\n{text}",
            "0".repeat(40),
            encoded(&self.who.name),
            self.who.email,
            rfc2822(self.date),
        )
        .into_bytes()
    }

    /// Name of the file, as git makes it of the subject.
    fn name(&self, number: usize, subject: &str) -> String {
        let version = if self.version > 1 { format!("v{}-", self.version) } else { String::new() };
        let mut slug = String::new();
        for c in subject.chars() {
            let kept = c.is_ascii_alphanumeric() || c == '_' || (c == '.' && !slug.ends_with('.'));
            if kept {
                slug.push(c);
            } else if c != '.' && !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let mut name = format!("{version}{number:04}-{}", slug.trim_end_matches(['-', '.']));
        name.truncate(NAME - ".patch".len() - 1);
        format!("{name}.patch")
    }
}

/// A name for a header: quoted when it holds signs with a meaning there, encoded when it is not ASCII (RFC 2047).
pub fn encoded(name: &str) -> String {
    if name.is_ascii() {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b" -_'!#$%&*+/=?^`{|}~".contains(&b));
        return if plain {
            name.to_string()
        } else {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        };
    }
    let mut out = "=?UTF-8?q?".to_string();
    for b in name.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(b as char),
            _ => out.push_str(&format!("={b:02X}")),
        }
    }
    out + "?="
}

/// `Sun, 14 Jul 2019 08:00:00 +0000`
pub fn rfc2822(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[(month - 1) as usize];
    format!("{weekday}, {day} {month} {year} {:02}:{:02}:{:02} +0000", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a number of days since 1970-01-01, by the proleptic Gregorian calendar: the year is made to
/// start in March, so that the leap day is its last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

/// Diffstat, as git writes it.
fn stat(files: &[&PatchFile]) -> String {
    let counts: Vec<(usize, usize)> = files.iter().map(|f| changed_lines(&f.before, &f.after)).collect();
    let most = counts.iter().map(|c| c.0 + c.1).max().unwrap_or(0);
    let number = most.to_string().len();
    let longest = files.iter().map(|f| f.path.chars().count()).max().unwrap_or(0);
    // git keeps room for ` | `, the number and at least six signs; a name that is longer loses its front.
    let (mut name_width, mut graph) = (longest, most);
    if name_width + number + 6 + graph > STAT {
        let room = (STAT * 3 / 8).saturating_sub(number + 6).max(6);
        graph = graph.min(room);
        name_width = name_width.min(STAT - number - 6 - graph);
        graph = most.min(STAT - number - 6 - name_width);
    }
    let mut out = String::new();
    for (f, (plus, minus)) in files.iter().zip(&counts) {
        let total = plus + minus;
        let (p, m) = scaled(*plus, *minus, most, graph);
        let name = shortened(&f.path, name_width);
        let signs = format!("{}{}", "+".repeat(p), "-".repeat(m));
        out.push_str(format!(" {name:<name_width$} | {total:>number$} {signs}").trim_end());
        out.push('\n');
    }
    let sum = counts.iter().fold((0, 0), |a, c| (a.0 + c.0, a.1 + c.1));
    out.push_str(&format!(" {} changed", text::count(files.len(), "file")));
    if sum.0 > 0 || sum.1 == 0 {
        out.push_str(&format!(", {}(+)", text::count(sum.0, "insertion")));
    }
    if sum.1 > 0 || sum.0 == 0 {
        out.push_str(&format!(", {}(-)", text::count(sum.1, "deletion")));
    }
    out.push('\n');
    out
}

/// Signs for lines that come and go, scaled down where there is no room for all.
fn scaled(plus: usize, minus: usize, most: usize, graph: usize) -> (usize, usize) {
    if most <= graph || most == 0 {
        return (plus, minus);
    }
    let scale = |n: usize| if n == 0 { 0 } else { 1 + n * graph.saturating_sub(1) / most };
    let mut total = scale(plus + minus);
    if total < 2 && plus > 0 && minus > 0 {
        total = 2;
    }
    if plus < minus {
        let p = scale(plus);
        (p, total - p)
    } else {
        let m = scale(minus);
        (total - m, m)
    }
}

/// A name that fits, its front replaced by dots.
fn shortened(path: &str, width: usize) -> String {
    let n = path.chars().count();
    if n <= width {
        return path.to_string();
    }
    let tail: String = path.chars().skip(n - width.saturating_sub(3)).collect();
    let tail = tail.find('/').and_then(|i| tail.get(i..)).unwrap_or(&tail).to_string();
    format!("...{tail}")
}

/// Lines that come and lines that go.
fn changed_lines(before: &[u8], after: &[u8]) -> (usize, usize) {
    let old: Vec<&[u8]> = before.split_inclusive(|&b| b == b'\n').collect();
    let new: Vec<&[u8]> = after.split_inclusive(|&b| b == b'\n').collect();
    let ops = similar::capture_diff_slices(Algorithm::Myers, &old, &new);
    let changed = ops.iter().filter(|op| op.tag() != DiffTag::Equal);
    changed.fold((0, 0), |a, op| (a.0 + op.new_range().len(), a.1 + op.old_range().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc2822(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc2822(1_563_091_200), "Sun, 14 Jul 2019 08:00:00 +0000");
        assert_eq!(rfc2822(951_782_399), "Mon, 28 Feb 2000 23:59:59 +0000");
        assert_eq!(rfc2822(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(rfc2822(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
    }

    #[test]
    fn names_in_headers() {
        assert_eq!(encoded("A B"), "A B");
        assert_eq!(encoded("A. B"), "\"A. B\"");
        assert_eq!(encoded("\u{d6} B"), "=?UTF-8?q?=C3=96=20B?=");
    }

    #[test]
    fn names_of_files() {
        let who = Identity { name: "A".into(), email: "a@b".into() };
        let e = Envelope { who: &who, date: 0, prefix: "PATCH", version: 1, total: 12 };
        assert_eq!(e.name(3, "net/xdp: convert put_page() to x*()"), "0003-net-xdp-convert-put_page-to-x.patch");
        let long = e.name(3, &"word ".repeat(40));
        assert_eq!(long.len(), 63);
        let e = Envelope { version: 2, ..e };
        assert_eq!(e.name(0, "cover letter"), "v2-0000-cover-letter.patch");
        assert!(String::from_utf8_lossy(&e.head(3, "x", "")).contains("\nSubject: [PATCH v2 03/12] x\n"));
    }

    #[test]
    fn long_names_and_large_changes_fit() {
        let file = |path: &str, lines: usize| PatchFile {
            path: path.into(),
            before: b"".as_slice().into(),
            after: b"x\n".repeat(lines),
        };
        let files = [file("a.c", 3), file(&format!("{}/b.c", "folder/".repeat(12)), 300)];
        let text = stat(&files.iter().collect::<Vec<_>>());
        assert!(text.lines().all(|l| l.len() <= STAT + 1), "{text}");
        assert!(text.ends_with(" 2 files changed, 303 insertions(+)\n"), "{text}");
        assert!(text.contains(" ...") && text.contains("| 300 +"), "{text}");
    }
}
