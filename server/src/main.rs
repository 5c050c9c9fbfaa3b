//! The binary `farthing`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_server::cli::run()
}
