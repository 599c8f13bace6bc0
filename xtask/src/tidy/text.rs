//! Rules about the text of one file: its head, its lines, and words that may not stand in it.

use super::{File, Findings};

/// Longest line of a Rust file, in characters; as in `rustfmt.toml`.
const WIDTH: usize = 120;
/// Longest Rust file, in lines.
const LENGTH: usize = 600;
/// In the first lines of a longer file, with the reason behind it.
const LONG: &str = "// tidy: long file:";

/// Parts of the names of kernel drivers. The analysis may not know one: a special case for a driver proves nothing.
/// Comments may cite them.
const DRIVERS: &[&str] = &[
    "xdp_umem",
    "goldfish",
    "vmci",
    "fsl_hyperv",
    "ivtv",
    "orangefs",
    "scif_",
    "usnic",
    "genwqe",
    "privcmd",
    "gntdev",
    "bcm_vk",
    "tee_shm",
    "rds_",
    "hfi1",
    "qib_",
];

/// Top-level folders of a development machine.
const MACHINE: &[&str] = &["work", "farm", "tmp/k", "tmp/w", "root", "home"];

/// Checks one file.
pub fn check(file: &File, findings: &mut Findings) {
    let path = file.path.as_str();
    let ours = !path.starts_with("fixtures/");
    if !file.text.is_empty() && !file.text.ends_with('\n') && ours {
        findings.add(path, 0, "no newline at the end");
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if ours && line.ends_with([' ', '\t', '\r']) {
            findings.add(path, number, "space at the end of the line");
        }
        if path != "Cargo.lock" && names_machine(line) {
            findings.add(path, number, "path of one machine");
        }
    }
    if path.ends_with(".rs") {
        rust(file, findings);
    }
}

fn rust(file: &File, findings: &mut Findings) {
    let path = file.path.as_str();
    if !file.text.starts_with("//! ") {
        findings.add(path, 1, "a module starts with `//!` and its purpose");
    }
    let length = file.text.lines().count();
    if length > LENGTH && !file.text.lines().take(30).any(|l| l.len() > LONG.len() + 10 && l.starts_with(LONG)) {
        findings.add(path, 0, format!("{length} lines, more than {LENGTH}: split it by responsibility"));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        // A long string literal is the one thing that rustfmt leaves alone.
        if line.chars().count() > WIDTH && !line.contains('"') {
            findings.add(path, number, format!("longer than {WIDTH} characters"));
        }
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for word in unfinished() {
            if code.contains(word.as_str()) {
                findings.add(path, number, format!("`{word}` does not land"));
            }
        }
        if path.starts_with("src/")
            && let Some(driver) = DRIVERS.iter().find(|driver| names(code, driver))
        {
            findings.add(path, number, format!("`{driver}` is the name of a kernel driver"));
        }
    }
}

/// Whether an identifier of the line starts with `prefix`.
fn names(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_'))
}

/// Marks of unfinished work. Put together here so that this file does not hold them.
fn unfinished() -> [String; 6] {
    let bang = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    let [todo, unimplemented, dbg] = bang;
    [todo, unimplemented, dbg, format!("#[{}", "ignore"), format!("should{}", "_panic"), format!("un{}", "safe {")]
}

/// Whether the line names an absolute path below one of [`MACHINE`].
fn names_machine(line: &str) -> bool {
    MACHINE.iter().any(|folder| {
        let needle = format!("/{folder}/");
        line.match_indices(&needle).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-' || c == '}')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        let mut findings = Findings::default();
        check(&File { path: path.into(), text: text.into() }, &mut findings);
        findings.0.len()
    }

    #[test]
    fn path_of_a_machine_is_found_and_a_url_is_not() {
        let folder = MACHINE[0];
        assert_eq!(findings("README.md", &format!("see /{folder}/notes\n")), 1);
        assert_eq!(findings("README.md", &format!("see https://example.org/{folder}/notes\n")), 0);
    }

    #[test]
    fn driver_name_is_found_in_code_and_not_in_a_comment() {
        let driver = DRIVERS[0];
        assert_eq!(findings("src/flow.rs", &format!("//! Flow.\nlet x = \"{driver}\";\n")), 1);
        assert_eq!(findings("src/flow.rs", &format!("//! Flow.\nlet x = \"a{driver}\";\n")), 0);
        assert_eq!(findings("src/flow.rs", &format!("//! Flow.\n// seen in {driver}\n")), 0);
    }

    #[test]
    fn long_file_needs_a_reason() {
        let body = "//! Table.\n".to_owned() + &"\n".repeat(LENGTH);
        assert_eq!(findings("src/table.rs", &body), 1);
        let excused = body.replacen('\n', &format!("\n{LONG} one table of constants\n"), 1);
        assert_eq!(findings("src/table.rs", &excused), 0);
    }
}
