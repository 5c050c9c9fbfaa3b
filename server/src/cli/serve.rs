//! `farthing serve`: both protocols over one data directory, until a signal.

use clap::Args;
use farthing_engine::principal::Role;
use farthing_engine::{Error, ErrorKind, Result};

use super::output::Output;
use super::{ConfigArgs, listen, require_data_dir};
use crate::config::{Config, Machine};
use crate::runtime::Runtimes;
use crate::shutdown::{Servers, stop_signal};
use crate::telemetry;
use crate::wiring::Node;

/// Serve PostgreSQL and Flight SQL clients.
///
/// Needs a data directory that `farthing init` has prepared. Exports are asked for new deliveries every hour. SIGTERM or
/// Ctrl-C stops it in order: running statements may finish, for as long as shutdown_grace says.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where PostgreSQL clients connect.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_pg: Option<String>,
    /// Where Flight SQL clients connect.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_flight: Option<String>,
}

/// Runs the command.
pub fn run(args: &ServeArgs, output: &mut Output) -> Result<()> {
    let more = [
        ("--listen-pg", "listen_pg", args.listen_pg.clone()),
        ("--listen-flight", "listen_flight", args.listen_flight.clone()),
    ];
    let config = args.config.load(Config::defaults(Machine::detect()), &more)?;
    telemetry::init(config.log_level, config.log_format)?;
    require_data_dir(&config)?;
    let runtimes = Runtimes::try_new(config.threads)?;
    let served = runtimes.block_on(serve(&config, &runtimes, output));
    runtimes.shutdown(config.shutdown_grace);
    served
}

async fn serve(config: &Config, runtimes: &Runtimes, output: &mut Output) -> Result<()> {
    let pg = listen::bind(config.listen_pg, "--listen-pg").await?;
    let flight = listen::bind(config.listen_flight, "--listen-flight").await?;
    let (pg_address, flight_address) = (listen::address_of(&pg)?, listen::address_of(&flight)?);
    let node = Node::open(config, runtimes).await?;
    require_admin(&node, config)?;
    let mut servers = Servers::new();
    listen::start(&mut servers, config, &node.frontend(), pg, flight)?;
    node.start_schedule(config.refresh_interval);
    if config.derive {
        node.start_deriving();
    }
    output.note(format!(
        "Farthing is ready: PostgreSQL on {pg_address}, Flight SQL on {flight_address}"
    ));
    let served = servers.run_until(stop_signal(), config.shutdown_grace).await;
    node.close().await;
    served
}

/// A server that nobody may administer is one that nobody set up.
fn require_admin(node: &Node, config: &Config) -> Result<()> {
    let lease = node.catalog().lease();
    if lease.document.logins.values().any(|login| login.role == Role::Admin) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::State,
        format!(
            "the data directory {} has no login with the role admin",
            config.data_dir.display()
        ),
    )
    .with_hint(format!(
        "Make one with: farthing init --data-dir {}",
        config.data_dir.display()
    )))
}
