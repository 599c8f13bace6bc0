//! The last touch on the mails, however they were made: the text of the cover letter, and headers.
//!
//! Works on bytes: a patch may hold any.

use super::facts::Facts;
use super::message::Frame;
use super::recipients::Recipients;
use super::{Mail, Options, Patch, RECIPIENTS, cover, mbox};
use crate::run::Analysis;

/// What the mails of a series have in common.
pub struct Series<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The records.
    pub analysis: &'a Analysis,
    /// The facts of all plans.
    pub facts: &'a Facts<'a>,
    /// What all messages have in common.
    pub frame: &'a Frame,
    /// The patches in their order.
    pub patches: &'a [Patch],
    /// Address of the author: the right-hand side of the Message-Ids.
    pub email: &'a str,
}

/// Gives the cover letter its subject and text, the mails their headers, and adds the list of recipients. `mails` are
/// the cover letter and one mail a patch.
pub fn finish(mails: &mut Vec<Mail>, series: &Series<'_>) {
    if let Some(letter) = mails.first_mut() {
        fill(letter, series);
    }
    mails.iter_mut().for_each(|m| unfold_subject(&mut m.bytes));
    let ids = ids(mails, series.email);
    let answered = series.options.in_reply_to.as_deref().map(|id| format!("<{}>", id.trim_matches(['<', '>'])));
    let mut list = String::new();
    for (i, (mail, id)) in mails.iter_mut().zip(&ids).enumerate() {
        let cover = ids.first().filter(|_| i > 0);
        let mut headers = format!("Message-Id: {id}\n");
        if let Some(parent) = cover.or(answered.as_ref()) {
            let above: Vec<&str> = answered.iter().chain(cover).map(String::as_str).collect();
            headers.push_str(&format!("In-Reply-To: {parent}\nReferences: {}\n", above.join("\n\t")));
        }
        let who = match i.checked_sub(1) {
            None => to_the_lists(series.patches),
            Some(p) => series.patches.get(p).map(|p| p.recipients.clone()).unwrap_or_default(),
        };
        if !who.to.is_empty() || !who.cc.is_empty() {
            list.push_str(&format!("{}\n", mail.name));
            if who.to.is_empty() {
                let names = match who.unnamed {
                    true => "nobody for these files, neither a person nor a list",
                    false => "no person for these files",
                };
                list.push_str(&format!("[ To be filled in before sending: MAINTAINERS names {names}. ]\n"));
            }
            for (role, people) in [("To", &who.to), ("Cc", &who.cc)] {
                people.iter().for_each(|p| list.push_str(&format!("{role}: {p}\n")));
            }
            list.push('\n');
            if series.options.headers {
                headers.push_str(&header("To", &who.to));
                headers.push_str(&header("Cc", &who.cc));
            }
        }
        insert_headers(&mut mail.bytes, &headers);
    }
    if !list.is_empty() {
        mails.push(Mail { name: RECIPIENTS.into(), bytes: list.into_bytes() });
        mails.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// The subject and the text of the cover letter, in the places that were left for them.
fn fill(letter: &mut Mail, series: &Series<'_>) {
    let text = String::from_utf8_lossy(&letter.bytes).into_owned();
    let body = cover::body(series.analysis, series.facts, series.patches, series.frame);
    let text = text.replacen("*** BLURB HERE ***", body.trim_end(), 1);
    let text: Vec<String> = text
        .split_inclusive('\n')
        .map(|l| match l.strip_suffix("*** SUBJECT HERE ***\n") {
            Some(head) => format!("{head}{}\n", cover::subject(series.facts)),
            None => l.to_string(),
        })
        .collect();
    let mut text = text.concat();
    // Whoever reads on finds the lists behind the diffstat, in front of the signature.
    let end = text.rfind("\n-- \n").map_or(text.len(), |i| i + 1);
    text.insert_str(end, &format!("{}\n", cover::lists(series.analysis, series.facts, series.patches, series.frame)));
    letter.bytes = text.into_bytes();
}

/// The letter goes to the lists, and to the people of a patch that others stand on; others get their own patches.
fn to_the_lists(patches: &[Patch]) -> Recipients {
    let mut who = Recipients::default();
    for list in patches.iter().flat_map(|p| &p.recipients.lists) {
        if !who.to.contains(list) {
            who.to.push(list.clone());
        }
    }
    for p in patches.iter().filter(|p| p.plans.is_empty() && p.fix.is_none()).flat_map(|p| p.recipients.people()) {
        if !who.cc.contains(p) {
            who.cc.push(p.clone());
        }
    }
    who
}

/// One Message-Id a mail, as `git format-patch --thread` would make them, but out of the content instead of the
/// clock: a rerun gives the same ones, and another version of the series gives others. b4 reads no mailbox without
/// them.
fn ids(mails: &[Mail], email: &str) -> Vec<String> {
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in mails.iter().flat_map(|m| &m.bytes) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..mails.len()).map(|n| format!("<{hash:016x}.{n}.gupconv.{email}>")).collect()
}

/// A header of addresses, one a line; empty without addresses.
fn header(name: &str, people: &[String]) -> String {
    let encoded: Vec<String> = people
        .iter()
        .map(|p| match p.rsplit_once(" <") {
            Some((n, mail)) => format!("{} <{mail}", mbox::encoded(n.trim_matches('"'))),
            None => p.clone(),
        })
        .collect();
    if encoded.is_empty() { String::new() } else { format!("{name}: {}\n", encoded.join(",\n    ")) }
}

/// Puts a subject that git folded into one line: `b4 am -m` of Debian's 0.12 stops at a folded one (it copies the
/// header as it stands), and 998 characters are allowed.
fn unfold_subject(mail: &mut Vec<u8>) {
    let end = memchr::memmem::find(mail, b"\n\n").unwrap_or(mail.len());
    let Some(start) = memchr::memmem::find(&mail[..end], b"\nSubject: ") else { return };
    let mut at = start + 1;
    while let Some(next) = memchr::memchr(b'\n', &mail[at..]).map(|n| at + n) {
        if !matches!(mail.get(next + 1), Some(b' ' | b'\t')) {
            break;
        }
        mail.remove(next);
        at = next;
    }
}

/// Puts lines at the end of the header of a mail.
fn insert_headers(mail: &mut Vec<u8>, lines: &str) {
    if let Some(end) = memchr::memmem::find(mail, b"\n\n") {
        mail.splice(end + 1..end + 1, lines.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line_and_other_headers_stay() {
        let mut mail =
            b"From: A\nSubject: [PATCH 1/2] a: b\n c\n d\nReferences: <x>\n\t<y>\n\nSubject: e\n f\n".to_vec();
        unfold_subject(&mut mail);
        let want = "From: A\nSubject: [PATCH 1/2] a: b c d\nReferences: <x>\n\t<y>\n\nSubject: e\n f\n";
        assert_eq!(String::from_utf8_lossy(&mail), want);
        let mut none = b"From: A\n\nSubject: b\n c\n".to_vec();
        unfold_subject(&mut none);
        assert_eq!(none, b"From: A\n\nSubject: b\n c\n");
    }
}
