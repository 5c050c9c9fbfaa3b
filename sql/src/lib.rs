//! Decides what a statement means and whether it may run.
//!
//! Both wire protocols and the command line enter through [`Frontend`] alone, so they cannot differ in meaning. The
//! crate opens no socket, speaks to no AWS service and builds no DataFusion session; the engine does the last.

mod builtin;
mod compat;
mod edge;
pub mod frontend;
mod names;
pub mod procedure;
mod redact;
pub mod session;
pub mod setting;
pub mod sqlstate;
pub mod statement;

pub use frontend::{
    Control, Frontend, FrontendParts, Notice, Prepared, Relation, RelationKind, Response, Rows, Severity,
};
pub use session::{Origin, Protocol, Session, TransactionStatus};
pub use sqlstate::SqlState;
pub use statement::Statement;
