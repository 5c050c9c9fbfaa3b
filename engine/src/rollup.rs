//! Rollups: the rows of a snapshot summed by month or day and by what reports group by.
//!
//! [`build`] makes them of all rows of one snapshot in one pass, [`store`] writes them, and the rule in
//! [`crate::session`] answers aggregates from them. Amounts are decimals, so a sum of sums is the sum: an answer is the same
//! with and without. Each row of a rollup is of one owner, and the account filter is applied to it as to the rows it sums.
//!
//! *Dimensions* are columns of text that take few values; one that takes too many in a month, and a tag that does, is left
//! out of that month's rollups. A statement that needs it is answered from the rows.

pub mod build;
pub mod columns;
mod intern;
mod level;
mod owner;
pub mod plan;
pub mod store;
