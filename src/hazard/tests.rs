//! The numbers of the independent prototype: trace lengths, their steps, and what is safe under which setting.
//!
//! Each number of SEMANTICS 5 and the test that reproduces it:
//!
//! | part | number or verdict | test |
//! |---|---|---|
//! | a | 7 steps, by name; 8 from clean; tracking alone bad; bounce, wait, skip, revoke safe | `a_unstable_page` |
//! | a | 38 states | `a_states_within_reach_of_the_violation` |
//! | a | bounce untracked, pin test before mkclean (7, by name), no recheck (7): bad | `a_negative_controls` |
//! | a, f | leaked pin: wait never ends, skip never writes, reclaim never frees | `liveness_of_a_leaked_pin` |
//! | b | 12 steps, by name; locked form 12; reclaim refuses: safe; bh_over_limit 12 | `b_dirty_page_without_buffers` |
//! | b | tolerant: no BUG, lost data in 12; bounce with redirty safe, without: BUG | `b_dirty_page_without_buffers` |
//! | c | 7 steps, by name, with a page under writeback; none with the fix; early pin 7; both needed | `c_direct_io` |
//! | d | 7 steps; skip, wait, bounce with redirty, revoke safe; bounce alone bad | `d_every_write_is_announced` |
//! | e | DAX 4; wait safe, not live; reject safe and live; page cache 4; refusal safe | `e_long_term` |
//! | f | base b and 1024-b gets: false positive, impossible with a pin count | `f_enough_references_look_like_a_pin` |
//! | f | 2097151 pins: 2147482625; one more: -2147483647, still taken for pinned | `f_the_last_pin_that_fits` |
//! | f | after that one the next is refused | `f_overflow` |
//! | f | pin and put: +1023, or pin count +1 and bad_page(); get and unpin: -1022, or freed at 1024 | `f_tracking` |
//! | f | another pin's protection gone; order 1 by bias in v5.7, by count in v6.1 and v6.12 | `f_tracking` |
//! | f | zero page: one reference less each time, freed in the end | `f_the_zero_page_loses_a_reference_each_time` |
//! | f | false positives stall a wait, and cost a copy | `f_false_positive_under_wait` |
//! | g | RW 4, by name; copy at fork safe; RO 4, by name, survives that; unshare safe | `g_fork` |

use super::explore::System;
use super::file_page::{FilePage, Owed};
use super::*;

/// Actions of the trace; `None` when the property holds.
fn actions(name: &str, set: &[&str]) -> Option<Vec<&'static str>> {
    let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
    let story = run(name, &set).expect("valid settings");
    match story.outcome.verdict {
        "violated" => Some(story.outcome.steps.iter().map(|s| s.action).collect()),
        "holds" => None,
        other => panic!("{name} {set:?}: {other}"),
    }
}

fn length(name: &str, set: &[&str]) -> Option<usize> {
    actions(name, set).map(|a| a.len())
}

fn last_words(name: &str, set: &[&str]) -> String {
    let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
    run(name, &set).expect("valid settings").outcome.steps.last().map(|s| s.long.clone()).unwrap_or_default()
}

const TRACKED: [&str; 2] = ["track=on", "fix=bounce"];

#[test]
fn a_unstable_page() {
    let trace = "GUP.readpte GUP.grab GUP.recheck WB.lock WB.mkclean WB.start DMA.write";
    assert_eq!(actions("writeback-dma", &[]).map(|a| a.join(" ")).as_deref(), Some(trace));
    assert_eq!(length("writeback-dma", &["start=clean"]), Some(8));
    assert_eq!(length("writeback-dma", &["track=on"]), Some(7), "tracking alone: nobody asks");
    for fix in ["fix=bounce", "fix=wait", "fix=skip"] {
        assert_eq!(length("writeback-dma", &["track=on", fix]), None, "{fix}");
        assert_eq!(length("writeback-dma", &["track=on", fix, "start=clean"]), None, "{fix}");
    }
    assert_eq!(length("writeback-dma", &["fix=revoke"]), None, "untracked");
}

#[test]
fn a_negative_controls() {
    assert_eq!(length("writeback-dma", &["fix=bounce"]), Some(7), "untracked");
    let before = actions("writeback-dma", &["track=on", "fix=bounce", "check=before"]);
    let trace = "GUP.readpte WB.lock GUP.grab GUP.recheck WB.mkclean WB.start DMA.write";
    assert_eq!(before.map(|a| a.join(" ")).as_deref(), Some(trace));
    for fix in ["fix=wait", "fix=skip"] {
        assert_eq!(length("writeback-dma", &["track=on", fix, "check=before"]), Some(7), "{fix}");
    }
    assert_eq!(length("writeback-dma", &["track=on", "fix=bounce", "recheck=off"]), Some(7));
}

/// The prototype names 38 states for (a). That is the number of states at most as far away as the violation, without
/// the violating one, where write faults do not wait for writeback; from either start. See the head of the module.
#[test]
fn a_states_within_reach_of_the_violation() {
    for (start, steps) in [("mapped", 7), ("clean", 8)] {
        let base = scenario("writeback-dma").expect("exists").settings();
        let system = FilePage::new(&base.with(&[("stable", "off"), ("start", start)]), Owed::Writeback);
        let mut seen = vec![system.start()];
        let mut from = 0;
        for _ in 0..steps {
            let to = seen.len();
            for at in from..to {
                for step in system.steps(&seen[at].clone()) {
                    let new = step
                        .to
                        .filter(|s| !step.breaks.iter().any(|b| b.0 == file_page::UNSTABLE) && !seen.contains(s));
                    seen.extend(new);
                }
            }
            from = to;
        }
        assert_eq!(seen.len(), 38, "{start}");
    }
}

#[test]
fn b_dirty_page_without_buffers() {
    let trace = "CPU.mkwrite GUP.readpte GUP.grab GUP.recheck DMA.write WB.lock WB.mkclean WB.start WB.end \
                 RECLAIM.dropbufs DRV.release WB.lock";
    assert_eq!(actions("no-buffers", &[]).map(|a| a.join(" ")).as_deref(), Some(trace));
    assert_eq!(length("no-buffers", &["dirty-lock=on"]), Some(12), "the locked form does not help");
    assert_eq!(length("no-buffers", &["track=on", "reclaim-pin=on"]), None);
    let other = actions("no-buffers", &["track=on", "reclaim-pin=on", "bh-over-limit=on"]).expect("returns");
    assert_eq!((other.len(), other[9]), (12, "RECLAIM.bh_over_limit"));
    assert_eq!(length("no-buffers", &["fs=tolerant"]), None, "no BUG");
    assert_eq!(length("lost-data", &[]), Some(12), "but lost data");
    for set in [&[][..], &["reclaim-pin=on"], &["bh-over-limit=on"]] {
        assert_eq!(length("no-buffers", &[&TRACKED, set].concat()), None, "copy and dirty again: safe everywhere");
        assert_eq!(length("lost-data", &[&TRACKED, set].concat()), None);
    }
    assert_eq!(length("no-buffers", &["track=on", "fix=bounce", "redirty=off"]), Some(12));
}

#[test]
fn c_direct_io() {
    let trace = "GUP.readpte GUP.grab WB.lock WB.mkclean WB.start CPU.mkwrite GUP.recheck";
    assert_eq!(actions("direct-io", &[]).map(|a| a.join(" ")).as_deref(), Some(trace));
    assert_eq!(length("direct-io", &["gup-refuses-wb=on"]), None);
    assert_eq!(length("direct-io", &["stable=on"]), None);
    assert_eq!(length("direct-io-early-pin", &[]), Some(7), "the pin was there before");
    assert_eq!(length("direct-io-early-pin", &TRACKED), None, "both are needed");
    assert_eq!(length("direct-io-early-pin", &["gup-refuses-wb=off", "track=on", "fix=bounce"]), Some(8));
}

#[test]
fn d_every_write_is_announced() {
    assert_eq!(length("page-mkwrite", &[]), Some(7));
    for set in [&["track=on", "fix=skip"][..], &["track=on", "fix=wait"], &TRACKED, &["fix=revoke"]] {
        assert_eq!(length("page-mkwrite", set), None, "{set:?}");
    }
    assert_eq!(length("page-mkwrite", &["track=on", "fix=bounce", "redirty=off"]), Some(7), "a copy alone");
    assert_eq!(length("page-mkwrite", &["dirty-lock=on"]), Some(7), "dirtying at release comes too late");
}

#[test]
fn e_long_term() {
    let dax = actions("truncate-dax", &[]).map(|a| a.join(" "));
    assert_eq!(dax.as_deref(), Some("PIN TRUNC.free B.alloc DMA.write"));
    assert_eq!(length("truncate-dax", &["longterm=wait"]), None, "safe");
    assert_eq!(length("truncate-dax-wait", &[]), Some(1), "not live: stuck with the pin");
    assert_eq!(length("truncate-dax", &["longterm=reject"]), None, "safe");
    assert_eq!(length("truncate-dax-wait", &["longterm=reject"]), None, "and live");
    let cache = actions("truncate-cache", &[]).map(|a| a.join(" "));
    assert_eq!(cache.as_deref(), Some("PIN TRUNC.remove CPU.fault DMA.write"));
    assert_eq!(length("truncate-cache", &["longterm=reject"]), None);
}

#[test]
fn f_tracking() {
    assert_eq!(length("pin-then-put", &[]), Some(3));
    assert!(last_words("pin-then-put", &[]).contains("Count 1023: page_maybe_dma_pinned() is false."));
    assert_eq!(length("pinned-for-ever", &[]), Some(2));
    assert!(last_words("pinned-for-ever", &[]).contains("Count 1024: page_maybe_dma_pinned() is true."));
    assert!(
        last_words("pinned-for-ever", &["page=order2"]).contains("Count 1, pins 1: page_maybe_dma_pinned() is true.")
    );
    assert_eq!(length("get-then-unpin", &[]), Some(2));
    assert!(last_words("get-then-unpin", &[]).contains("The page is freed."));
    assert_eq!(length("get-then-unpin", &["base=1"]), None, "below zero, but not freed");
    assert_eq!(length("get-then-unpin", &["base=1024"]), None, "freed too early, but not now");
    assert_eq!(length("below-zero", &[]), Some(2));
    assert!(last_words("below-zero", &[]).contains("Count -1022: "), "{}", last_words("below-zero", &[]));
    assert_eq!(length("below-zero", &["base=1023"]), None, "exactly zero: freed");
    assert_eq!(length("freed-while-pinned", &[]), Some(3));
    assert!(last_words("freed-while-pinned", &[]).contains("bad_page() reports \"nonzero pincount\""));
    assert_eq!(length("freed-while-pinned", &["page=order0"]), None, "never freed at all");
    let protection = actions("lost-protection", &[]).map(|a| a.join(" "));
    assert_eq!(protection.as_deref(), Some("OTHER.pin DRV.acquire DRV.release"));
    assert_eq!(length("zero-page", &[]), Some(2));
    assert_eq!(length("zero-page", &["kernel=5.7"]), None);
    assert_eq!(length("false-positive", &[]), Some(1), "base 1 and 1023 plain gets");
    assert_eq!(length("false-positive", &["page=order2"]), None);
    assert_eq!(length("false-positive", &["page=order1", "kernel=5.7"]), Some(1));
    for kernel in ["kernel=6.1", "kernel=6.12"] {
        assert_eq!(length("false-positive", &["page=order1", kernel]), None);
    }
}

/// Whatever others hold, it is the sum that counts.
#[test]
fn f_enough_references_look_like_a_pin() {
    for base in [1, 2, 500, 1023] {
        let set = |gets: i32| [format!("base={base}"), format!("times={gets}")];
        let verdict = |gets: i32| run("false-positive", &set(gets)).expect("valid").outcome.verdict;
        assert_eq!(verdict(1024 - base), "violated", "base {base}");
        if base < 1023 {
            assert_eq!(verdict(1023 - base), "holds", "base {base}");
        }
    }
    assert_eq!(length("false-positive", &["page=order2", "times=1000000"]), None, "never with a pin count");
}

#[test]
fn f_the_zero_page_loses_a_reference_each_time() {
    assert_eq!(length("zero-page", &["base=3", "times=2"]), None, "one is left");
    assert!(last_words("zero-page", &["base=3", "times=3"]).contains("The page is freed."));
    for kernel in ["kernel=6.1", "kernel=6.12"] {
        assert_eq!(length("zero-page", &[kernel]), Some(2), "{kernel}");
    }
}

/// Two million pins, and one less.
#[test]
fn f_the_last_pin_that_fits() {
    let story = run("pin-overflow", &["times=2097151".into()]).expect("exists");
    assert_eq!(story.outcome.verdict, "holds", "the 2097152nd pin succeeds");
    let set = scenario("pin-overflow").expect("exists").settings().with(&[("times", "2097151")]);
    let system = tracking::Tracking::new(&set, true);
    let first = system.steps(&system.start()).remove(0);
    assert!(first.long.ends_with("Count 2147482625: page_maybe_dma_pinned() is true."), "{}", first.long);
    let next = system.steps(&first.to.expect("goes on")).remove(0);
    assert!(next.breaks.is_empty() && next.long.ends_with("Count -2147483647: page_maybe_dma_pinned() is true."));
}

/// A wrong yes stalls a writeback that waits, and only that.
#[test]
fn f_false_positive_under_wait() {
    assert_eq!(length("false-positive-wait", &[]), Some(1), "stuck as soon as the page is dirty");
    assert_eq!(length("false-positive-wait", &["fix=bounce"]), None, "a copy only costs");
    assert_eq!(length("false-positive-wait", &["fix=none"]), None, "nobody asks");
    assert_eq!(length("false-positive-wait", &["base=1022"]), None);
}

#[test]
fn f_overflow() {
    assert_eq!(length("pin-overflow", &[]), Some(2));
    let story = run("pin-overflow", &[]).expect("exists");
    assert!(story.outcome.steps[0].long.ends_with("Count -2147483647: page_maybe_dma_pinned() is true."));
    assert!(
        story.outcome.steps[1]
            .long
            .contains("The count is full: refused. Count -2147483647: page_maybe_dma_pinned() is true.")
    );
}

#[test]
fn liveness_of_a_leaked_pin() {
    assert_eq!(length("leaked-pin", &[]), Some(3), "wait never ends");
    let story = run("leaked-pin", &[]).expect("exists");
    assert!(story.actors().contains(&"writeback") && diagram(&story).ends_with("waits for the pin\n"));
    assert!(story.sentence().ends_with("from here the page can never be written to the disk."), "{}", story.sentence());
    assert_eq!(length("leaked-pin", &["fix=skip"]), Some(3), "skip never writes back");
    assert_eq!(length("leaked-pin", &["fix=bounce"]), None);
    assert_eq!(length("leaked-pin", &["release=yes"]), None);
    assert_eq!(length("leaked-pin-reclaim", &["fix=bounce"]), Some(3), "reclaim never frees");
    assert_eq!(length("leaked-pin-reclaim", &["release=yes"]), None);
}

#[test]
fn g_fork() {
    let write = actions("fork-write", &[]).map(|a| a.join(" "));
    assert_eq!(write.as_deref(), Some("PIN FORK PARENT.write DMA"));
    assert_eq!(length("fork-write", &["copy-at-fork=on"]), None);
    assert_eq!(length("fork-write", &["copy-at-fork=on", "track=off"]), Some(4), "who asks must be able to see pins");
    let read = actions("fork-read", &[]).map(|a| a.join(" "));
    assert_eq!(read.as_deref(), Some("FORK PIN PARENT.write DMA"), "survives the copy at fork");
    assert_eq!(length("fork-read", &["unshare=on"]), None);
}

#[test]
fn every_fix_fixes_and_no_half_fix_does() {
    for scenario in SCENARIOS {
        let story = run(scenario.name, &[]).expect("exists");
        assert_eq!(story.outcome.verdict, "violated", "{}", scenario.name);
        for v in &story.variants {
            let expect = match v.role {
                Role::Fix => "holds",
                Role::HalfFix | Role::Same => "violated",
                Role::Note => continue,
            };
            assert_eq!(v.outcome.verdict, expect, "{}: {}", scenario.name, v.title);
        }
    }
}

#[test]
fn short_texts_fit_their_column() {
    for scenario in SCENARIOS {
        for step in run(scenario.name, &[]).expect("exists").outcome.steps {
            assert!(step.short.chars().count() <= explore::SHORT, "{}: {}", scenario.name, step.short);
            assert!(run(scenario.name, &[]).expect("exists").actors().contains(&step.actor), "{}", step.actor);
        }
    }
}

#[test]
fn scenarios_name_knobs_and_values_that_exist() {
    for scenario in SCENARIOS {
        let own = scenario.settings();
        for (name, value) in scenario.base.iter().chain(scenario.variants.iter().flat_map(|v| v.set)) {
            assert!(own.parse(&format!("{name}={value}")).is_ok(), "{}: {name}={value}", scenario.name);
            assert!(own.has(name), "{}: {name}", scenario.name);
        }
    }
}

#[test]
fn errors_list_what_is_valid() {
    let error = run("writeback", &[]).expect_err("no such scenario");
    assert!(error.remedy.contains("writeback-dma") && error.remedy.contains("fork-read"));
    let error = run("truncate-dax", &["track=on".into()]).expect_err("not a knob of this one");
    assert!(error.remedy.contains("longterm, release"));
    let error = run("writeback-dma", &["fix=none!".into()]).expect_err("no such value");
    assert!(error.remedy.contains("none, bounce, wait, skip, revoke"));
    assert!(run("writeback-dma", &["fix".into()]).is_err());
    let error = run("writeback-dma", &["fix=wait".into(), "fix=skip".into()]).expect_err("which one?");
    assert!(error.title.contains("`fix` is set twice") && error.cause.contains("`wait`"));
    for number in ["0", "-1", "5000000", "many", ""] {
        let error = run("pin-overflow", &[format!("times={number}")]).expect_err("out of range");
        assert!(error.remedy.contains("values of times: 1 to 4194304"), "{}", error.remedy);
    }
}

/// The titles of the variants say what they change, so they stand beside the scenario's own settings only.
#[test]
fn no_table_where_somebody_set_a_knob() {
    let story = run("writeback-dma", &["track=on".into(), "fix=bounce".into()]).expect("valid");
    assert!(story.variants.is_empty());
    for out in [text(&story), svg(&story)] {
        assert!(out.contains("With track=on fix=bounce set."), "{out}");
        assert!(!out.contains("nobody asks") && !out.contains("does not ask"), "{out}");
    }
    assert!(!run("writeback-dma", &[]).expect("valid").variants.is_empty());
}

/// The names of the calls are those of the kernel that is meant.
#[test]
fn a_pin_is_taken_by_the_function_that_pins() {
    let first = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
        run("writeback-dma", &set).expect("valid").outcome.steps[0].long.clone()
    };
    assert!(first(&[]).starts_with("get_user_pages_fast() "));
    assert!(first(&["track=on"]).starts_with("pin_user_pages_fast() "));
    // The harm that is told is that of the question.
    assert!(
        last_words("writeback-dma", &[]).contains("checksum") && !last_words("page-mkwrite", &[]).contains("checksum")
    );
    assert!(!last_words("direct-io-early-pin", &[]).contains("checksum"), "stable=off: nobody computes one");
}

/// No text leaves the picture or its box, whatever the settings.
#[test]
fn pictures_hold_their_text() {
    for scenario in SCENARIOS {
        for set in [&[][..], &scenario.settings().pairs()[..1]] {
            let set: Vec<String> = set.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let picture = svg(&run(scenario.name, &set).expect("exists"));
            let number = |line: &str, name: &str| -> usize {
                let rest = line.split_once(&format!(" {name}=\"")).expect(name).1;
                rest.split_once('"').expect("a value").0.parse().expect("a number")
            };
            let whole = number(picture.lines().next().expect("a line"), "width");
            let mut boxes = vec![];
            for line in picture.lines() {
                if line.starts_with("<rect x") {
                    boxes.push((number(line, "x"), number(line, "width"), number(line, "y")));
                }
                if line.starts_with("<text") {
                    let content = line.split_once('>').expect("text").1.trim_end_matches("</text>");
                    let bold = line.contains("font-weight");
                    let (x, size) = (number(line, "x"), number(line, "font-size"));
                    let end = x + font::width(&content.replace("&quot;", "'"), size, bold);
                    assert!(end <= whole, "{}: {content}", scenario.name);
                    if let Some((left, wide, _)) =
                        boxes.last().filter(|b| number(line, "y") == b.2 + 30 && (b.0..b.0 + b.1).contains(&x))
                    {
                        assert!(end <= left + wide, "{}: {content} leaves its box", scenario.name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_bound_that_is_reached_is_said_and_proves_nothing() {
    let story = run_bounded("no-buffers", &[], 20).expect("exists");
    assert_eq!(story.outcome.verdict, "unfinished");
    assert!(text(&story).contains("stopped after 20 states. This proves nothing."));
    assert!(svg(&story).contains("stopped after 20 states"));
}

#[test]
fn the_same_story_every_time_in_three_formats() {
    for format in [Format::Text, Format::Json, Format::Svg] {
        let args = ModelArgs { scenario: Some("no-buffers".into()), format, ..ModelArgs::default() };
        let first = command(&args).expect("a story");
        assert_eq!(Ok(first), command(&args));
    }
    let json = ModelArgs { scenario: Some("writeback-dma".into()), format: Format::Json, ..ModelArgs::default() };
    let value: serde_json::Value = serde_json::from_str(&command(&json).expect("json")).expect("valid");
    assert_eq!(value["outcome"]["steps"][6]["action"], "DMA.write");
    let list = command(&ModelArgs::default()).expect("a list");
    assert_eq!(list.lines().count(), SCENARIOS.len());
}

/// `docs/hazards.md` shows the traces as the program prints them. After a change, paste what the test prints.
#[test]
fn the_document_shows_these_traces() {
    let document = include_str!("../../docs/hazards.md");
    let mut shown = 0;
    for part in document.split("```text\n$ gupconv model ").skip(1) {
        let (name, rest) = part.split_once('\n').expect("a name, then the trace");
        let trace = rest.split("```").next().unwrap_or_default();
        assert_eq!(trace, diagram(&run(name, &[]).expect("a scenario")), "{name}");
        shown += 1;
    }
    assert_eq!(shown, 8);
    // A command with settings is shown where it fails in spite of them.
    let mut tried = 0;
    for word in document.split('`') {
        let Some(words) = word.strip_prefix("gupconv model ") else { continue };
        let mut words = words.split_whitespace().filter(|w| *w != "--set");
        let name = words.next().unwrap_or_default();
        let set: Vec<String> = words.map(str::to_string).collect();
        assert!(name == "NAME" || scenario(name).is_ok(), "{name}");
        if !set.is_empty() {
            assert_eq!(run(name, &set).expect("valid").outcome.verdict, "violated", "{word}");
            tried += 1;
        }
    }
    assert_eq!(tried, 4);
    assert!(document.split("`--set").nth(1).is_none(), "half a command proves nothing");
}

/// The numbers that `docs/hazards.md` names outside of its traces.
#[test]
fn the_document_names_these_numbers() {
    let document = include_str!("../../docs/hazards.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let early = &["track=on", "fix=bounce", "check=before"];
    let told: [(&str, &[&str], usize, &str); 9] = [
        ("writeback-dma", early, 7, "takes seven steps again"),
        ("writeback-dma", &["track=on", "fix=bounce", "recheck=off"], 7, "seven steps are enough as well"),
        ("page-mkwrite", &[], 7, "The same seven steps break a second promise"),
        ("page-mkwrite", &["dirty-lock=on"], 7, "is too late: the write was in step 7"),
        (
            "no-buffers",
            &["track=on", "reclaim-pin=on", "bh-over-limit=on"],
            12,
            "twelve steps as well, of which the tenth",
        ),
        ("lost-data", &[], 12, "twelve steps, and what the device wrote is gone"),
        ("direct-io-early-pin", &["gup-refuses-wb=off", "track=on", "fix=bounce"], 8, "fails in eight steps"),
        ("truncate-dax-wait", &[], 1, "stuck from the first step"),
        ("no-buffers", &[], 12, "The page is clean after step 9"),
    ];
    for (name, set, steps, words) in told {
        assert!(document.contains(words), "{words}");
        assert_eq!(length(name, set), Some(steps), "{words}");
    }
    // The table of the counts: each number of a row is one that the program prints for that scenario.
    let mut rows = 0;
    for row in include_str!("../../docs/hazards.md").lines().filter(|l| l.starts_with("| `")) {
        let name = row.split('`').nth(1).unwrap_or_default();
        let mut printed = text(&run(name, &[]).expect("a scenario of the table"));
        for v in scenario(name).expect("exists").variants {
            let set: Vec<String> = v.set.iter().map(|(n, v)| format!("{n}={v}")).collect();
            printed.push_str(&text(&run(name, &set).expect("valid")));
        }
        if name == "pin-overflow" {
            let set = scenario(name).expect("exists").settings().with(&[("times", "2097151")]);
            let system = tracking::Tracking::new(&set, true);
            printed.push_str(&system.steps(&system.start()).remove(0).long);
        }
        for number in row.split(|c: char| !c.is_ascii_digit() && c != '-').filter(|n| n.len() > 2) {
            let found = printed.split(|c: char| !c.is_ascii_digit() && c != '-').any(|p| p == number);
            assert!(found || number.trim_matches('-').is_empty(), "{name}: {number}");
        }
        rows += 1;
    }
    assert_eq!(rows, 10);
}
