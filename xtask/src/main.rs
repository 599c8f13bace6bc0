//! Tasks of the house: `cargo xtask tidy | corpus | bench | bless`.
fn main() {}
