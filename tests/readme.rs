//! What the README shows is what the program prints.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_readme_shows_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    let mut shown = 0;
    for (command, rest) in
        readme.match_indices("\n`gupconv ").map(|(at, _)| readme[at + 10..].split_once("`:\n").unwrap())
    {
        // The block behind it: the line of its fence, its text, the closing fence.
        let block =
            rest.trim_start().split_once('\n').and_then(|(_, b)| b.split_once("```")).map(|(b, _)| b).expect(command);
        let out = Command::new(env!("CARGO_BIN_EXE_gupconv"))
            .current_dir(root)
            .args(command.split_whitespace())
            .output()
            .expect("the program runs");
        // A blank line of a diff is a blank; an editor of a README takes it away.
        let printed = String::from_utf8_lossy(&out.stdout).replace("\n \n", "\n\n");
        assert_eq!(printed, block, "{command}");
        shown += 1;
    }
    assert_eq!(shown, 2);
}
