//! The `gupconv` program; everything is in the library.

use std::process::ExitCode;

/// With that of the C library a scan of v6.12 takes a tenth more of the processors.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gupconv::cli::main()
}
