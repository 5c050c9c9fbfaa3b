//! AWS on loopback, and the sample organisation: what the demo, the tests and the benches run against.
//!
//! [`sample`] generates a believable organisation's CUR 2.0 export and delivers it as AWS would: data files first,
//! manifest last. [`aws`] serves the AWS wire protocols that Farthing's real clients speak, with signatures checked,
//! IAM policies evaluated per call, and faults that tests switch on. Neither knows the engine: nothing on Farthing's
//! side of the wire is replaced by it.

// Tests sign as clients do, at the time that it is.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod aws;
pub mod sample;
