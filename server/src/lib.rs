//! Carries bytes, identities and configuration: the servers of Farthing's protocols.

pub mod flight;
