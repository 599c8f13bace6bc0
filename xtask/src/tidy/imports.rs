//! The module map of `src`: a module imports only from modules that stand before it. This is what keeps the pipeline
//! straight; ARCHITECTURE.md says why each border is where it is.

use super::{File, Findings};

/// Modules of the library in the order of the pipeline. Those of one row may import each other.
const MAP: &[&[&str]] = &[
    // Types that every hop speaks.
    &["source"],
    &["ast"],
    &["edit", "trace", "program"],
    &["config", "error"],
    // From bytes to functions.
    &["lanes"],
    &["lex", "words"],
    &["split", "normalise"],
    &["parse"],
    &["discover"],
    // What the kernel's functions do, for any kernel; then which of them the tree has, and in which dialect.
    &["model"],
    &["kernel"],
    // From functions to traces.
    &["index"],
    &["sites"],
    &["flow"],
    &["entries"],
    &["classify"],
    // What a tree without any function to convert to needs first.
    &["prerequisite"],
    &["findings"],
    // From traces to proved plans.
    &["plan", "rules"],
    &["fix"],
    &["prove"],
    &["hazard"],
    // What is said, and how.
    &["report"],
    &["concern"],
    &["decide"],
    &["proof"],
    &["explain"],
    &["print"],
    &["write"],
    &["kbuild"],
    &["compile"],
    &["run"],
    &["series"],
    &["cli"],
];

/// Checks every import of every module.
pub fn check(files: &[File], findings: &mut Findings) {
    for file in files {
        let Some(inner) = file.path.strip_prefix("src/").filter(|p| p.ends_with(".rs")) else { continue };
        if inner == "lib.rs" || inner == "main.rs" {
            continue;
        }
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = rank(module) else {
            findings.add(&file.path, 0, format!("`{module}` is not in the module map (xtask/src/tidy/imports.rs)"));
            continue;
        };
        // Tests may look anywhere.
        if inner.ends_with("/tests.rs") || inner.contains("/tests/") {
            continue;
        }
        for (number, other) in imports(&file.text) {
            match rank(&other) {
                Some(there) if there <= own => {}
                Some(_) => {
                    findings.add(&file.path, number, format!("`{module}` comes before `{other}` and may not import it"))
                }
                None => findings.add(&file.path, number, format!("`{other}` is not in the module map")),
            }
        }
    }
}

fn rank(module: &str) -> Option<usize> {
    MAP.iter().position(|row| row.contains(&module))
}

/// First components of the `crate::` paths in the code, with their lines; what stands behind the first
/// `#[cfg(test)]` is left out, and so are comments.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") {
            break;
        }
        if code.starts_with("//") {
            continue;
        }
        for (at, needle) in code.match_indices("crate::") {
            let rest = &code[at + needle.len()..];
            // rustfmt keeps a nested list on one line or breaks it behind the brace; `crate::{` is not used here.
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            match name.as_str() {
                "" => found.push((number, "{".to_owned())),
                // Items of lib.rs itself.
                name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {}
                name => found.push((number, name.to_owned())),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> usize {
        let mut findings = Findings::default();
        check(&[File { path: path.into(), text: text.into() }], &mut findings);
        findings.0.len()
    }

    #[test]
    fn import_against_the_stream_is_found() {
        assert_eq!(lines("src/flow/cfg.rs", "use crate::print::Human;\n"), 1);
        assert_eq!(lines("src/flow/cfg.rs", "let x = crate::run::start();\n"), 1);
    }

    #[test]
    fn import_with_the_stream_comment_and_test_are_not() {
        assert_eq!(lines("src/flow/cfg.rs", "use crate::index::Index;\nuse crate::flow::Summary;\n"), 0);
        assert_eq!(lines("src/flow/cfg.rs", "/// See [`crate::print`].\n"), 0);
        assert_eq!(lines("src/flow/cfg.rs", "#[cfg(test)]\nmod tests {\n    use crate::print::Human;\n}\n"), 0);
    }

    #[test]
    fn module_without_a_place_is_found() {
        assert_eq!(lines("src/attic.rs", ""), 1);
    }
}
