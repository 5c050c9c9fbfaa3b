#![allow(clippy::unwrap_used, clippy::panic)]

mod bed;
mod contents;
mod csv;
mod kinds;
mod outcomes;
mod past;
mod schedule;
mod stopped;
