//! Turns pinned billing files and a scope into Arrow streams.
//!
//! The engine knows the connected accounts, the exports, their snapshots, and how a statement may see them. It knows no
//! SQL text, no socket, no AWS client, no environment variable, and no clock but [`port::Clock`]: whatever it needs from
//! outside comes through the traits of [`port`]. ARCHITECTURE.md has the map and the invariants.

pub mod account;
pub mod cache;
pub mod catalog;
pub mod costs;
pub mod derive;
pub mod error;
pub mod execute;
pub mod format;
pub mod history;
pub mod id;
pub mod ingest;
pub mod limit;
pub mod money;
pub mod port;
pub mod principal;
pub mod resource;
pub mod rollup;
pub mod scope;
pub mod secret;
pub mod session;
pub mod snapshot;
pub mod store;
pub mod system;
pub mod table;

pub use error::{Error, ErrorKind, Result, Retry};
