//! `farthing check`: is everything in order, one line each.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use farthing_engine::catalog::{Account, Export, Lease};
use farthing_engine::port::Credential;
use farthing_engine::principal::Role;
use farthing_engine::{Error, ErrorKind, Result};

use super::output::Output;
use super::{ConfigArgs, listen, require_data_dir, short_defaults};
use crate::config::Config;
use crate::private_file;
use crate::runtime::Runtimes;
use crate::tls::ServerTls;
use crate::wiring::Node;

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

/// The lines that were printed.
struct Report<'a> {
    output: &'a mut Output,
    failed: bool,
}

impl Report<'_> {
    /// Prints how one check ended: a sentence, or why it failed and what to do.
    fn line(&mut self, what: &str, result: &Result<String>) -> Result<()> {
        match result {
            Ok(sentence) => self.output.line(format!("ok      {what:<16}  {sentence}")),
            Err(error) => {
                self.failed = true;
                let hint = error.hint().map(|hint| format!(" {hint}")).unwrap_or_default();
                self.output.line(format!(
                    "FAILED  {what:<16}  {}.{hint}",
                    error.message().trim_end_matches('.')
                ))
            }
        }
    }
}

/// Runs the command.
pub fn run(args: &CheckArgs, output: &mut Output) -> Result<ExitCode> {
    let defaults = short_defaults();
    let config = args.config.load(defaults.clone(), &[])?;
    if args.print_config {
        output.bytes(config.reference(&defaults).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtimes = Runtimes::try_new(config.threads)?;
    let mut report = Report { output, failed: false };
    let done = runtimes.block_on(check(&config, &runtimes, &mut report));
    let failed = report.failed;
    runtimes.shutdown(config.shutdown_grace);
    done?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn check(config: &Config, runtimes: &Runtimes, report: &mut Report<'_>) -> Result<()> {
    let file = match &config.file {
        Some(file) => format!("{} is read", file.display()),
        None => "no file; defaults, environment and options".to_owned(),
    };
    report.line("configuration", &Ok(file))?;
    let data_dir = require_data_dir(config).map(|()| format!("{} is its owner's alone", config.data_dir.display()));
    report.line("data directory", &data_dir)?;
    for (name, address, option) in [
        ("PostgreSQL port", config.listen_pg, "--listen-pg"),
        ("Flight SQL port", config.listen_flight, "--listen-flight"),
    ] {
        report.line(name, &check_port(address, option).await)?;
        if let Some(pair) = config.certificate_for(address) {
            let loaded = ServerTls::load(&pair.0, &pair.1).and_then(|_| private_file::check_owner_only(&pair.1));
            report.line(
                "certificate",
                &loaded.map(|()| format!("{} and its key can be used", pair.0.display())),
            )?;
        }
    }
    let key = config.master_key_path();
    let present = private_file::check_owner_only(&key);
    report.line(
        "master key",
        &present.map(|()| format!("{} is its owner's alone", key.display())),
    )?;
    if data_dir.is_err() || !key.exists() {
        return Ok(());
    }
    match Node::open(config, runtimes).await {
        Err(error) => report.line("catalog", &Err(error)),
        Ok(node) => {
            let checked = check_catalog(&node, report).await;
            node.close().await;
            checked
        }
    }
}

/// A port is in order when it is free, or when a server uses it already.
async fn check_port(address: SocketAddr, option: &str) -> Result<String> {
    if tokio::net::TcpStream::connect(address).await.is_ok() {
        return Ok(format!("{address} is in use, by a running server or by something else"));
    }
    listen::bind(address, option)
        .await
        .map(|_| format!("{address} is free"))
}

async fn check_catalog(node: &Node, report: &mut Report<'_>) -> Result<()> {
    let lease = node.catalog().lease();
    let document = &lease.document;
    let snapshots: usize = lease.snapshots.values().map(std::collections::BTreeMap::len).sum();
    let summary = format!(
        "version {}: {} accounts, {} exports, {snapshots} months",
        document.version,
        document.accounts.len(),
        document.exports.len()
    );
    report.line("catalog", &Ok(summary))?;
    let admins: Vec<&str> = document
        .logins
        .values()
        .filter(|l| l.role == Role::Admin)
        .map(|l| l.name.as_str())
        .collect();
    let logins = match admins.is_empty() {
        false => Ok(format!("{} may administer", admins.join(", "))),
        true => {
            Err(Error::new(ErrorKind::State, "no login has the role admin").with_hint("Make one with `farthing init`."))
        }
    };
    report.line("logins", &logins)?;
    for account in document.accounts.values() {
        report.line(account.id.as_str(), &check_account(node, account).await)?;
    }
    for export in document.exports.values() {
        report.line(export.id.as_str(), &check_export(node, &lease, export).await)?;
    }
    Ok(())
}

/// Does AWS still know the account's key, and as whom?
async fn check_account(node: &Node, account: &Account) -> Result<String> {
    let credential = account.credential();
    if matches!(credential, Credential::Absent) {
        return Ok("declared without keys".to_owned());
    }
    let identity = node.connector().identify(&credential).await?;
    if identity.account != account.id {
        return Err(Error::new(
            ErrorKind::BadCredentials,
            format!("the stored key signs in to another account, as {}", identity.arn),
        )
        .with_hint("Connect the account again with its own key."));
    }
    Ok(format!("signs in as {}", identity.arn))
}

/// Can the export's location be read with the key of the account that connected it?
async fn check_export(node: &Node, lease: &Lease, export: &Export) -> Result<String> {
    let account = lease.document.accounts.get(&export.account);
    let credential = account.map_or(Credential::Absent, Account::credential);
    let found = node.source().probe(&export.location, &credential).await?;
    Ok(match (found.periods.first(), found.periods.last()) {
        (Some(first), Some(last)) => {
            format!(
                "{} delivers {first} to {last}, {} months",
                export.location.uri(),
                found.periods.len()
            )
        }
        _ => format!("{} can be read, and AWS has not delivered yet", export.location.uri()),
    })
}
