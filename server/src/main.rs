//! The binary `farthing`.

use std::process::ExitCode;

/// Planning and rewriting make many small allocations on many threads, and an idle server gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    farthing_server::cli::run()
}
