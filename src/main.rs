//! The `gupconv` program; everything is in the library.

use std::process::ExitCode;

// A scan makes some ten million small allocations, most of them on two threads at once: 12 % of its time with the
// allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gupconv::cli::main()
}
