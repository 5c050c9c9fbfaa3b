#![allow(clippy::unwrap_used, clippy::panic)]

mod bed;
mod contents;
mod outcomes;
mod schedule;
mod stopped;
