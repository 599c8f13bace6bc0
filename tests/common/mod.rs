//! What the tests of the program share.

use std::fs;
use std::path::Path;

/// A copy of a miniature tree in a folder, so that no test writes into the sources.
pub fn tree(name: &str, to: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees").join(name), to);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("file");
        }
    }
}
