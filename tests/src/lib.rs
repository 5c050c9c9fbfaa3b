//! The harness of the integration tests: AWS on loopback with a delivered sample organisation, a node over a temporary
//! data directory, both servers on free ports, and one client interface over every way in.
//!
//! It runs in tests alone, so it panics where a test cannot go on. It must not fake anything between a client and the
//! engine: every request to AWS goes over a socket, and so does every statement of the two wire protocols.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a harness that cannot set a test up must stop it"
)]

pub mod bench;
pub mod client;
pub mod cloud;
pub mod csv;
pub mod files;
pub mod log;
pub mod render;
