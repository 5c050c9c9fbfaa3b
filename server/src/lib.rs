//! Carries bytes, identities and configuration between clients and the SQL front end.

pub mod cli;
pub mod config;
pub mod runtime;
pub mod telemetry;
pub mod wiring;
