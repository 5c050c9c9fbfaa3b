//! Carries bytes, identities and configuration between clients and the SQL front end.

pub mod auth;
pub mod cli;
pub mod config;
#[cfg(test)]
mod fixture;
pub mod flight;
pub mod pg;
mod private_file;
pub mod runtime;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod wiring;
