//! The command line: `farthing demo|serve|init|sample|query|check|import`.
//!
//! Exit codes: 0 success, 1 the command failed, 2 the command line or the configuration is wrong, 130 stopped by the user.

mod check;
mod client;
mod demo;
mod import;
mod init;
mod listen;
mod output;
mod progress;
mod query;
mod sample;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use farthing_engine::{Error, ErrorKind, Result};

use self::output::Output;
use crate::config::{Config, Machine, Sources, environment};
use crate::private_file;

/// SQL over AWS cost exports.
///
/// Farthing reads the cost files that AWS delivers to S3 where they lie, keeps the rows of connected accounts, and answers
/// over the PostgreSQL protocol and Arrow Flight SQL. `farthing demo` shows it without an AWS account.
#[derive(Debug, Parser)]
#[command(name = "farthing", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Init(init::InitArgs),
    Sample(sample::SampleArgs),
    Query(query::QueryArgs),
    Check(check::CheckArgs),
    Import(import::ImportArgs),
}

/// Options of every command that works on a data directory.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Folder of the state, the master key and the certificate.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Configuration file [default: farthing.toml in the data directory].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Lowest level of log lines: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Form of log lines: text or json.
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
}

impl ConfigArgs {
    /// The configuration of this process over `defaults`, with further options of the command.
    fn load(&self, defaults: Config, more: &[(&'static str, &'static str, Option<String>)]) -> Result<Config> {
        let own = [
            (
                "--data-dir",
                "data_dir",
                self.data_dir.as_ref().map(|path| path.display().to_string()),
            ),
            ("--log-level", "log_level", self.log_level.clone()),
            ("--log-format", "log_format", self.log_format.clone()),
        ];
        let given = own.iter().chain(more);
        let sources = Sources {
            file: self.config.clone(),
            environment: environment(),
            options: given
                .filter_map(|(option, key, value)| Some((*option, *key, value.clone()?)))
                .collect(),
        };
        Config::load(&sources, defaults)
    }
}

/// The defaults of this machine for a command of a few seconds, which logs only what is out of order.
fn short_defaults() -> Config {
    let mut config = Config::defaults(Machine::detect());
    config.log_level = tracing::Level::WARN;
    config
}

/// The data directory must have been prepared, and be its owner's alone: it holds the state, and the keys to read it.
fn require_data_dir(config: &Config) -> Result<()> {
    if !config.state_dir().is_dir() {
        let folder = config.data_dir.display();
        return Err(Error::new(
            ErrorKind::State,
            format!("{folder} is not a data directory of Farthing"),
        )
        .with_hint(format!("Prepare it with: farthing init --data-dir {folder}")));
    }
    private_file::check_owner_only(&config.data_dir)
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::default();
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Serve(args) => serve::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Init(args) => init::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Sample(args) => sample::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Query(args) => query::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::run(args, &mut output),
        Command::Import(args) => import::run(args, &mut output),
    };
    done.unwrap_or_else(|error| {
        output.error(&error);
        match error.kind() {
            ErrorKind::BadValue => ExitCode::from(2),
            ErrorKind::Cancelled => ExitCode::from(130),
            _ => ExitCode::FAILURE,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
