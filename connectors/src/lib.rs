//! Speaks to AWS and keeps secrets: the engine's ports [`AccountConnector`](farthing_engine::port::AccountConnector),
//! [`ExportSource`](farthing_engine::port::ExportSource) and [`SecretVault`](farthing_engine::port::SecretVault).
//!
//! Invariants: exports are only ever read; a secret leaves the vault as an AWS signature and in no other form; no error
//! carries an AWS answer's text unless that text is known to hold neither signatures nor signed headers.
//!
//! Not in here: SQL, DataFusion, and any decision about what a user may see.

// Tests look at the secrets that they put in.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod aws;
pub mod vault;

#[cfg(test)]
mod conformance_tests;

pub use aws::AwsSettings;
pub use aws::administration::AwsAdmin;
pub use aws::ambient::HostEnvironment;
pub use aws::credential::AwsConnector;
pub use aws::export::AwsExportSource;
pub use vault::KeyFileVault;
