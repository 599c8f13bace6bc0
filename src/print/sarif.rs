//! SARIF 2.1.0, as code scanning of GitHub and others read it.
//!
//! A rule a reason code (and a rule a finding), each listed once and referred to by index. Every site is a result
//! with a code flow pin → holders → releases; a site that can be converted is a `note`, the others carry their kind
//! instead of a level. Paths are relative to `SRCROOT`, which is not named: no record tells of the machine.

use super::one_line;
use crate::explain;
use crate::report::{Run, SiteRecord};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The version of the format, not of the program.
const VERSION: &str = "2.1.0";
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Writes the log.
///
/// # Errors
/// Those of `out`.
pub fn print(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut rules = BTreeMap::new();
    for s in &run.sites {
        rules.insert(rule_id(s), 0usize);
        for f in &s.findings {
            rules.insert(f.clone(), 0);
        }
    }
    for (i, index) in rules.values_mut().enumerate() {
        *index = i;
    }
    let mut results = Vec::new();
    for s in &run.sites {
        results.push(site_result(s, &rules));
        results.extend(s.findings.iter().map(|f| finding_result(s, f, &rules)));
    }
    let c = &run.run.coverage;
    let notices: Vec<_> = c
        .damaged
        .iter()
        .map(|d| notification(&format!("could not be parsed: {d}")))
        .chain(c.unreadable.iter().map(|u| notification(&format!("could not be read: {u}"))))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [{
            "tool": { "driver": {
                "name": "gupconv",
                "semanticVersion": run.run.version,
                "version": run.run.version,
                "rules": rules.keys().map(|id| rule(id)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": run.run.status != "failed",
                "toolExecutionNotifications": notices,
            }],
            "originalUriBaseIds": { "SRCROOT": { "description": { "text": "The root of the kernel tree." } } },
            "columnKind": "utf16CodeUnits",
            "properties": { "dialect": run.run.dialect, "status": run.run.status },
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    out.write_all(b"\n")
}

fn rule_id(s: &SiteRecord) -> String {
    format!("{}/{}", s.verdict, s.reason_code)
}

fn rule(id: &str) -> Value {
    let code = id.rsplit('/').next().unwrap_or(id);
    let text = explain::pages(code).next().map_or_else(|| id.to_string(), |p| p.title.into_owned());
    json!({ "id": id, "shortDescription": { "text": text }, "help": { "text": format!("gupconv explain {code}") } })
}

fn site_result(s: &SiteRecord, rules: &BTreeMap<String, usize>) -> Value {
    let id = rule_id(s);
    let (kind, level) = match s.verdict {
        "convert" => ("fail", "note"),
        "assist" => ("review", "none"),
        _ => ("notApplicable", "none"),
    };
    let mut flow = vec![step(&s.path, s.line, Some(s.column), &format!("pinned by {}()", s.api))];
    for holder in &s.holders {
        flow.push(step(&s.path, s.line, Some(s.column), &format!("held in {}", one_line(holder))));
    }
    for r in &s.releases {
        let what = match (&r.own, &r.perhaps) {
            (Some(_), _) => "the holder's own reference is dropped",
            (None, Some(_)) => "perhaps released",
            (None, None) => "released",
        };
        flow.push(step(&r.path, r.line, None, &format!("{what} by {}() in {}", r.call, r.function)));
    }
    for g in &s.gaps {
        flow.push(step(&g.path, g.line, None, &format!("lost: {}: {}", g.code, one_line(&g.detail))));
    }
    json!({
        "ruleId": id,
        "ruleIndex": rules.get(&id),
        "kind": kind,
        "level": level,
        "message": { "text": format!("{}() in {}: {}", s.api, s.function, one_line(&s.reason)) },
        "locations": [location(&s.path, s.line, Some(s.column))],
        "codeFlows": [{ "threadFlows": [{ "locations": flow }] }],
        "partialFingerprints": { "gupconvSite/v1": s.id },
    })
}

fn finding_result(s: &SiteRecord, finding: &str, rules: &BTreeMap<String, usize>) -> Value {
    json!({
        "ruleId": finding,
        "ruleIndex": rules.get(finding),
        "level": "warning",
        "message": { "text": format!("{finding}: {}() in {}", s.api, s.function) },
        "locations": [location(&s.path, s.line, Some(s.column))],
        "partialFingerprints": { "gupconvSite/v1": format!("{}-{finding}", s.id) },
    })
}

fn step(path: &str, line: u32, column: Option<u32>, text: &str) -> Value {
    let mut place = location(path, line, column);
    place["message"] = json!({ "text": text });
    json!({ "location": place })
}

fn location(path: &str, line: u32, column: Option<u32>) -> Value {
    // A region starts at line 1: a place without a line points to the top of its file.
    let mut region = json!({ "startLine": line.max(1) });
    if let Some(column) = column {
        region["startColumn"] = json!(column.max(1));
    }
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(path), "uriBaseId": "SRCROOT" },
        "region": region,
    }})
}

fn notification(text: &str) -> Value {
    json!({ "level": "warning", "message": { "text": one_line(text) } })
}

/// A relative URI: everything but unreserved characters and `/` is escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn log(run: &Run) -> Value {
        let mut out = Vec::new();
        print(run, &mut out).expect("written");
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn rules_are_unique_and_indexed_also_with_many_results() {
        let mut run = crate::print::sample::run();
        let sites = run.sites.clone();
        for i in 0..60 {
            run.sites.extend(sites.iter().cloned().map(|mut s| {
                s.id = format!("{}#{i}", s.id);
                s
            }));
        }
        let log = log(&run);
        let rules: Vec<_> = log["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules").clone();
        let ids: BTreeSet<_> = rules.iter().map(|r| r["id"].as_str().expect("id")).collect();
        assert_eq!(ids.len(), rules.len());
        let results = log["runs"][0]["results"].as_array().expect("results");
        assert!(results.len() > 100);
        let mut prints = BTreeSet::new();
        for r in results {
            let index = r["ruleIndex"].as_u64().expect("an index") as usize;
            assert_eq!(rules[index]["id"], r["ruleId"]);
            assert!(r["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().expect("line") >= 1);
            assert!(prints.insert(r["partialFingerprints"]["gupconvSite/v1"].as_str().expect("text")));
            // A level other than "none" belongs to results of kind "fail" alone (SARIF 3.27.10).
            if r["kind"].as_str().unwrap_or("fail") != "fail" {
                assert_eq!(r["level"], "none");
            }
        }
    }

    #[test]
    fn the_log_says_what_it_is() {
        let log = log(&crate::print::sample::run());
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["version"], "0.0.0");
        assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().expect("a list").len(), 2);
        let flow = &run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"];
        let texts: Vec<_> = (0..4).map(|i| flow[i]["location"]["message"]["text"].as_str().expect("text")).collect();
        assert_eq!(
            texts,
            [
                "pinned by get_user_pages_fast()",
                "held in buf->pages",
                "released by put_page() in foo_unpin",
                "released by put_page() in foo_unpin"
            ]
        );
    }

    #[test]
    fn odd_paths_are_escaped() {
        assert_eq!(uri("a b/c%.c"), "a%20b/c%25.c");
    }
}
