//! `bless` and `wanted`: the fixture tests in their two other moods.

use crate::repo;
use anyhow::Result;
use std::process::Command;

/// Rewrites every expected output from what the program prints now.
pub fn bless(_arguments: &[String]) -> Result<()> {
    repo::run(Command::new(env!("CARGO")).args(["test", "--quiet", "--workspace"]).env("UPDATE_EXPECT", "1"))?;
    println!("blessed; read `git diff fixtures tests` before you commit");
    Ok(())
}

/// Runs `fixtures/flow-wanted`. A failing case is no error here: the list is the result.
pub fn wanted(arguments: &[String]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--test", "fixtures", "--"]).args(arguments).env("GUPCONV_WANTED", "1");
    command.current_dir(repo::root()).status()?;
    println!("a case that passes moves to fixtures/flow");
    Ok(())
}
