//! The integration tests, one binary: subject by subject, against a whole node and AWS on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod caches;
mod clustered;
mod connect;
mod crash;
mod credentials;
mod currencies;
mod focus;
mod golden;
mod history;
mod import;
mod kinds;
mod leak;
mod legacy;
mod manual;
mod migration;
mod obstacles;
mod policies;
mod samples;
mod secrets;
mod setup;
mod slt;
mod tidy;
mod wire;
