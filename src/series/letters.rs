//! The last touch on the mails, however they were made: the text of the cover letter, and headers.
//!
//! Works on bytes: a patch may hold any.

use super::facts::Facts;
use super::message::Frame;
use super::recipients::Recipients;
use super::{Mail, Options, Patch, RECIPIENTS, cover, mbox};
use crate::run::Analysis;

/// Gives the cover letter its subject and text, the mails their headers, and adds the list of recipients. `mails` are
/// the cover letter and one mail a patch.
pub fn finish(
    mails: &mut Vec<Mail>,
    options: &Options,
    analysis: &Analysis,
    facts: &Facts<'_>,
    frame: &Frame,
    patches: &[Patch],
) {
    let mut list = String::new();
    for (i, mail) in mails.iter_mut().enumerate() {
        let mut who = Recipients::default();
        let mut headers = String::new();
        if i == 0 {
            let text = String::from_utf8_lossy(&mail.bytes).into_owned();
            let body = cover::body(analysis, facts, patches, frame);
            let text = text.replacen("*** BLURB HERE ***", body.trim_end(), 1);
            let text: Vec<String> = text
                .split_inclusive('\n')
                .map(|l| match l.strip_suffix("*** SUBJECT HERE ***\n") {
                    Some(head) => mbox::folded(&format!("{head}{}", cover::subject(facts))) + "\n",
                    None => l.to_string(),
                })
                .collect();
            mail.bytes = text.concat().into_bytes();
            // The letter goes to the lists; people get their own patches.
            for p in patches {
                who.to.extend(p.recipients.lists.iter().filter(|l| !who.to.contains(l)).cloned().collect::<Vec<_>>());
            }
            if let Some(id) = &options.in_reply_to {
                let id = id.trim_matches(['<', '>']);
                headers = format!("In-Reply-To: <{id}>\nReferences: <{id}>\n");
            }
        } else if let Some(p) = patches.get(i - 1) {
            who = p.recipients.clone();
        }
        if !who.to.is_empty() || !who.cc.is_empty() {
            list.push_str(&format!("{}\n", mail.name));
            for (role, people) in [("To", &who.to), ("Cc", &who.cc)] {
                people.iter().for_each(|p| list.push_str(&format!("{role}: {p}\n")));
            }
            list.push('\n');
            if options.headers {
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

/// Puts lines at the end of the header of a mail.
fn insert_headers(mail: &mut Vec<u8>, lines: &str) {
    if let Some(end) = memchr::memmem::find(mail, b"\n\n") {
        mail.splice(end + 1..end + 1, lines.bytes());
    }
}
