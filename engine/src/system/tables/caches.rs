//! `system.caches`: what is kept in memory and on disk, and how often it helped.

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch, schema};
use super::{COUNT, SystemTable, SystemView, TEXT, sees_all};
use crate::cache::{Bound, CacheInfo};
use crate::error::Result;

/// The name of the table.
pub(crate) const CACHES: &str = "caches";

/// The caches of one engine.
pub(crate) struct Caches(pub Vec<CacheInfo>);

#[async_trait]
impl SystemTable for Caches {
    fn name(&self) -> &str {
        CACHES
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("name", TEXT),
            ("entries", COUNT),
            ("limit_entries", COUNT),
            ("bytes", COUNT),
            ("limit_bytes", COUNT),
            ("hits", COUNT),
            ("misses", COUNT),
            ("evictions", COUNT),
        ])
    }

    /// Sizes of results tell of rows, so they are shown to those alone who see every account.
    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let rows = self.0.iter().filter(|_| sees_all(view)).map(|cache| {
            let counters = &cache.counters;
            let (entries, bytes) = match cache.bound {
                Bound::Entries(most) => (Some(most), None),
                Bound::Bytes(most) => (None, Some(most)),
            };
            vec![
                Cell::text(cache.name),
                Cell::count(counters.entries()),
                Cell::Count(entries),
                Cell::Count(bytes.map(|_| counters.bytes())),
                Cell::Count(bytes),
                Cell::count(counters.hits()),
                Cell::count(counters.misses()),
                Cell::count(counters.evictions()),
            ]
        });
        batch(self.schema(), rows)
    }
}
