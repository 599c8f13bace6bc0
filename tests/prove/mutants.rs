//! placeholder until the mutations land
use std::path::Path;
pub fn check(_: &Path) -> Result<(), libtest_mimic::Failed> {
    Ok(())
}
