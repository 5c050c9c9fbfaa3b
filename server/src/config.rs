//! Configuration: one TOML file, `FARTHING_*` environment variables over it, command line options over both.
//!
//! [`KEYS`] is the one table of settings: name, type, default, meaning, and how each is read and shown. A key that is not
//! in it is an error that names the nearest one, so that a typing mistake never silently means the default. This module is
//! the only one that reads the environment.

mod given;
mod keys;
mod layers;
mod machine;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use farthing_connectors::HostEnvironment;
use farthing_engine::limit::Limits;
use url::Url;

pub use self::keys::{KEYS, Key};
pub use self::layers::{Sources, aws_environment, environment};
pub use self::machine::Machine;

/// The file in the data directory that is read when no other is named.
pub const FILE_NAME: &str = "farthing.toml";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// The configuration of one process. Holds no secret: keys and passwords lie in files of their own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where state, keys and certificates lie.
    pub data_dir: PathBuf,
    /// Where PostgreSQL clients connect.
    pub listen_pg: SocketAddr,
    /// Where Flight SQL clients connect.
    pub listen_flight: SocketAddr,
    /// The PEM file of the server's certificate chain; `None` means the pair in the data directory, where one is needed.
    pub tls_certificate: Option<PathBuf>,
    /// The PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// The file of the key that all stored secrets are encrypted under; `None` means the one in the data directory.
    pub master_key_file: Option<PathBuf>,
    /// Where S3 and STS answer instead of AWS itself.
    pub aws_endpoint_url: Option<Url>,
    /// The Region of STS, and of buckets until theirs is known.
    pub aws_region: String,
    /// How often exports are asked for new deliveries.
    pub refresh_interval: Duration,
    /// Whether rollups are made of imported months.
    pub derive: bool,
    /// How long running statements may go on after a stop is asked for.
    pub shutdown_grace: Duration,
    /// Threads that run plans, and as many again for sockets.
    pub threads: usize,
    /// The lowest level of Farthing's own log lines.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The engine's bounds.
    pub limits: Limits,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Where credentials of this machine are looked up when a connection names one; not a setting.
    pub host_environment: HostEnvironment,
}

impl Config {
    /// The defaults on a machine.
    pub fn defaults(machine: Machine) -> Self {
        Self {
            data_dir: PathBuf::from("farthing-data"),
            listen_pg: SocketAddr::from((Ipv4Addr::LOCALHOST, 5432)),
            listen_flight: SocketAddr::from((Ipv4Addr::LOCALHOST, 32010)),
            tls_certificate: None,
            tls_key: None,
            master_key_file: None,
            aws_endpoint_url: None,
            aws_region: farthing_connectors::aws::DEFAULT_REGION.to_owned(),
            refresh_interval: Duration::from_secs(3600),
            derive: true,
            shutdown_grace: Duration::from_secs(10),
            threads: machine.cores,
            log_level: tracing::Level::INFO,
            log_format: LogFormat::Text,
            limits: Limits::for_machine(machine.cores, machine.memory),
            file: None,
            host_environment: HostEnvironment::new(layers::variable),
        }
    }

    /// The folder of the state store: catalog, snapshots, vault.
    pub fn state_dir(&self) -> PathBuf {
        self.data_dir.join("state")
    }

    /// The file of the master key.
    pub fn master_key_path(&self) -> PathBuf {
        self.master_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("master.key"))
    }

    /// The certificate and its key that `farthing init` makes.
    pub fn own_certificate(&self) -> (PathBuf, PathBuf) {
        (self.data_dir.join("server.crt"), self.data_dir.join("server.key"))
    }

    /// The certificate and key for a listener: the configured pair everywhere; without one, the pair of `farthing init` on
    /// listeners that other machines reach, and none on loopback.
    pub fn certificate_for(&self, listen: SocketAddr) -> Option<(PathBuf, PathBuf)> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ if listen.ip().is_loopback() => None,
            _ => Some(self.own_certificate()),
        }
    }

    /// The configuration as a commented TOML file: every key with its meaning, type, default and present value.
    pub fn reference(&self, defaults: &Self) -> String {
        let mut text = String::from(
            "# Farthing's settings. A line that is commented out has the default or no value.\n\
             # Every key may also be given as an environment variable, for example FARTHING_LISTEN_PG.\n",
        );
        for key in KEYS {
            let (value, default) = ((key.show)(self), (key.show)(defaults));
            let default_text = default.clone().unwrap_or_else(|| key.unset.to_owned());
            // The folder that a file lies in is not set in it: the file is found through it.
            let silent = value == default || key.name == "data_dir";
            let mark = if silent { "# " } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n# {}\n# Type: {}. Default: {}.\n{mark}{} = {}\n",
                key.description,
                key.kind,
                default_text,
                key.name,
                value.unwrap_or_else(|| "\"\"".to_owned())
            );
        }
        text
    }
}

/// `path`, or what it means below `base` when it is relative.
fn below(base: Option<&Path>, path: &str) -> PathBuf {
    match base {
        Some(base) => base.join(path),
        None => PathBuf::from(path),
    }
}
