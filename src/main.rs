//! The `gupconv` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gupconv::cli::main()
}
