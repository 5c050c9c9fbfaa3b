//! Carries bytes, identities and configuration between clients and the SQL front end.

pub mod auth;
pub mod flight;
pub mod pg;
pub mod tls;
