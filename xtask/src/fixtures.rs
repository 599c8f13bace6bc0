//! `bless` and `wanted`: the fixture tests in their two other moods.

use crate::repo;
use anyhow::Result;
use std::fs;
use std::process::Command;

/// Rewrites every expected output from what the program prints now.
pub fn bless(_arguments: &[String]) -> Result<()> {
    repo::run(Command::new(env!("CARGO")).args(["test", "--quiet", "--workspace"]).env("UPDATE_EXPECT", "1"))?;
    println!("blessed; read `git diff fixtures tests` before you commit");
    Ok(())
}

/// Runs `fixtures/flow-wanted`. A failing case is no error here: the list is the result. `--move` moves the cases that
/// pass to `fixtures/flow`.
pub fn wanted(arguments: &[String]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--test", "fixtures", "--", "flow-wanted/"]).env("GUPCONV_WANTED", "1");
    let output = command.current_dir(repo::root()).output()?;
    print!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8_lossy(&output.stdout);
    let passing: Vec<&str> = text.lines().filter_map(passes).collect();
    if arguments.iter().any(|argument| argument == "--move") {
        let rooms = ["fixtures/flow-wanted", "fixtures/flow"].map(|room| repo::root().join(room));
        fs::create_dir_all(&rooms[1])?;
        for case in &passing {
            fs::rename(rooms[0].join(case), rooms[1].join(case))?;
        }
        println!("moved {} cases to fixtures/flow", passing.len());
    } else {
        println!("{} cases pass; `cargo xtask wanted --move` moves them to fixtures/flow", passing.len());
    }
    Ok(())
}

/// Name of the case that this line of the test's output reports as passed.
fn passes(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test flow-wanted/")?.split_once(" ... ")?;
    (result == "ok").then_some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn only_a_passed_case_is_moved() {
        assert_eq!(passes("test flow-wanted/list      ... ok"), Some("list"));
        assert_eq!(passes("test flow-wanted/list-mixed ... FAILED"), None);
        assert_eq!(passes("test compiles/list         ... ok"), None);
    }
}
