//! `farthing demo`: everything in one process, without an AWS account.
//!
//! The sandbox plays AWS: it serves S3 and STS on loopback, checks signatures and evaluates policies. A sample organisation
//! is delivered into its bucket as AWS would, and connected by the same procedures that a user calls. Nothing on Farthing's
//! side knows that it is a demo.

mod cloud;
mod connect;
mod env_file;
mod record;
mod tour;

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sandbox::aws::Sandbox;
use farthing_sandbox::sample::YearMonth;
use tokio::net::TcpListener;

use self::connect::Connected;
use self::record::{Record, Size};
use super::init::{PasswordSource, make_login};
use super::output::Output;
use super::sample::parse_count;
use super::{ConfigArgs, listen, short_defaults};
use crate::config::Config;
use crate::private_file;
use crate::runtime::Runtimes;
use crate::shutdown::{Servers, stop_signal};
use crate::telemetry;
use crate::wiring::Node;

/// The folder that is used without `--data-dir`: visible, in the working directory, easy to remove.
const DATA_DIR: &str = "farthing-demo";

/// Another port than PostgreSQL's own, since many machines run one.
const PG_PORT: u16 = 5433;

/// Try Farthing without an AWS account: a sample organisation, connected and ready to query.
///
/// Starts an AWS of its own on this machine (S3 and STS), delivers the cost export of a sample organisation into it,
/// connects the payer and nine of its twelve linked accounts, and serves both protocols on loopback. Prints what to try,
/// and writes demo.env for scripts. A second start on the same data directory finds everything again.
#[derive(Debug, Args)]
pub struct DemoArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where PostgreSQL clients connect [default: 127.0.0.1:5433, or a free port if that is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_pg: Option<String>,
    /// Where Flight SQL clients connect [default: 127.0.0.1:32010, or a free port if that is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_flight: Option<String>,
    /// Rows of the sample export, approximately [default: 1M].
    #[arg(long, value_parser = parse_count)]
    rows: Option<u64>,
    /// Months of the sample export [default: 13].
    #[arg(long, value_name = "COUNT")]
    months: Option<u32>,
    /// Last month of the sample export [default: the present one].
    #[arg(long, value_name = "YYYY-MM")]
    end: Option<YearMonth>,
}

/// What clients need to reach the running demo.
struct Running<'a> {
    pg: std::net::SocketAddr,
    flight: std::net::SocketAddr,
    endpoint: String,
    record: &'a Record,
    connected: Connected,
    config: &'a Config,
}

/// Runs the command.
pub fn run(args: &DemoArgs, output: &mut Output) -> Result<()> {
    let began = Instant::now();
    let mut defaults = short_defaults();
    defaults.data_dir = PathBuf::from(DATA_DIR);
    defaults.listen_pg.set_port(PG_PORT);
    let (pg_port, flight_port) = (defaults.listen_pg, defaults.listen_flight);
    let more = [
        ("--listen-pg", "listen_pg", args.listen_pg.clone()),
        ("--listen-flight", "listen_flight", args.listen_flight.clone()),
    ];
    let mut config = args.config.load(defaults, &more)?;
    telemetry::init(config.log_level, config.log_format)?;
    // The demo brings its own AWS; a former one's address may still be in the environment, from its demo.env.
    config.aws_endpoint_url = None;
    private_file::create_folder(&config.data_dir)?;
    config.data_dir = std::path::absolute(&config.data_dir)
        .map_err(|error| private_file::refused("found", &config.data_dir, &error))?;
    let _lock = lock(&config)?;
    private_file::remove(&env_file::path(&config))?;
    let runtimes = Runtimes::try_new(config.threads)?;
    let done = runtimes.block_on(async {
        // A default port may give way; one that was asked for may not.
        let pg = bind_or_free(config.listen_pg, pg_port, "--listen-pg").await?;
        let flight = bind_or_free(config.listen_flight, flight_port, "--listen-flight").await?;
        demo(args, &mut config, &runtimes, (pg, flight), began, output).await
    });
    let removed = private_file::remove(&env_file::path(&config));
    runtimes.shutdown(config.shutdown_grace);
    done.and(removed)
}

async fn demo(
    args: &DemoArgs,
    config: &mut Config,
    runtimes: &Runtimes,
    (pg, flight): (TcpListener, TcpListener),
    began: Instant,
    output: &mut Output,
) -> Result<()> {
    let size = Size {
        rows: args.rows,
        months: args.months,
        end: args.end,
    };
    let stop = stop_signal();
    tokio::pin!(stop);
    let sandbox = cloud::start(config).await?;
    let prepared = tokio::select! {
        prepared = prepare(&sandbox, config, runtimes, &size, output) => prepared,
        // Stopped before it was ready: what is half done is done again at the next start.
        stopped = &mut stop => stopped.and(Err(Error::new(ErrorKind::Cancelled, "stopped"))),
    };
    let (node, record, connected) = prepared?;
    let running = Running {
        pg: listen::address_of(&pg)?,
        flight: listen::address_of(&flight)?,
        endpoint: sandbox.endpoint_text(),
        record: &record,
        connected,
        config,
    };
    let mut servers = Servers::new();
    listen::start(&mut servers, config, &node.frontend(), pg, flight)?;
    node.start_schedule(config.refresh_interval);
    if config.derive {
        node.start_deriving();
    }
    env_file::write(&running)?;
    tour::print(&running, began.elapsed(), output)?;
    let served = servers.run_until(stop, config.shutdown_grace).await;
    node.close().await;
    sandbox.shutdown().await;
    output.note("stopped");
    served
}

/// Everything up to the servers: the sandbox's content, the engine over it, the login, the connections.
async fn prepare(
    sandbox: &Sandbox,
    config: &mut Config,
    runtimes: &Runtimes,
    size: &Size,
    output: &mut Output,
) -> Result<(Node, Record, Connected)> {
    let mut record = match Record::read(config)? {
        Some(record) => {
            record.check_size(size)?;
            cloud::register(sandbox, &record)?;
            record
        }
        None => {
            let record = cloud::build(sandbox, size, output).await?;
            record.write(config)?;
            record
        }
    };
    config.aws_endpoint_url = Some(sandbox.endpoint());
    let node = Node::open(config, runtimes).await?;
    let password = PasswordSource::Given(record.password());
    if !node.catalog().lease().document.logins.contains_key(&record.user) {
        make_login(node.catalog(), &record.user, password, false).await?;
    }
    if !record.connected {
        connect::all(&node, &record, output).await?;
        record.connected = true;
        record.write(config)?;
    }
    let connected = Connected::read(&node, &record);
    Ok((node, record, connected))
}

/// Two demos on one folder would take each other's data away.
fn lock(config: &Config) -> Result<File> {
    let path = config.data_dir.join("demo.lock");
    let file = File::create(&path).map_err(|error| private_file::refused("created", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(Error::new(
            ErrorKind::Locked,
            format!("another demo runs on the data directory {}", config.data_dir.display()),
        )
        .with_hint("Stop it, or choose another folder with --data-dir.")),
    }
}

async fn bind_or_free(
    wanted: std::net::SocketAddr,
    default: std::net::SocketAddr,
    option: &str,
) -> Result<TcpListener> {
    match listen::bind(wanted, option).await {
        Err(_) if wanted == default => listen::bind((default.ip(), 0).into(), option).await,
        bound => bound,
    }
}
