//! `system.export_columns`: the columns that each export delivers, and those of AWS's dictionary that it lacks (feature E7).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch};
use super::{COUNT, FLAG, TEXT, schema};
use crate::error::Result;
use crate::id::BillingPeriod;
use crate::system::{SystemTable, SystemView};

/// The columns by export: those delivered in the order of their names, then the ones that are lacking. What columns an
/// export has is told to whoever may see the export; it is nobody's row.
pub(super) struct ExportColumns;

#[derive(Default)]
struct Column {
    r#type: Option<&'static str>,
    months: BTreeSet<BillingPeriod>,
}

#[async_trait]
impl SystemTable for ExportColumns {
    fn name(&self) -> &str {
        "export_columns"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("column_name", TEXT),
            ("column_type", TEXT),
            ("delivered", FLAG),
            ("in_dictionary", FLAG),
            ("months", COUNT),
            ("first_month", TEXT),
            ("last_month", TEXT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for export in view.lease.document.exports.values() {
            let format = export.kind.format();
            let mut columns: BTreeMap<&str, Column> = BTreeMap::new();
            let snapshots = view.lease.snapshots.get(&export.id);
            for snapshot in snapshots.into_iter().flat_map(BTreeMap::values) {
                for delivered in &snapshot.columns {
                    let column = columns.entry(&delivered.name).or_default();
                    column.r#type = Some(delivered.r#type.as_str());
                    column.months.insert(snapshot.period);
                }
            }
            // Before the first delivery nothing is lacking.
            let lacking: Vec<&str> = match columns.is_empty() {
                true => Vec::new(),
                false => format.columns().filter(|name| !columns.contains_key(name)).collect(),
            };
            let month = |month: Option<&BillingPeriod>| Cell::maybe_text(month.map(ToString::to_string));
            let delivered = columns.iter().map(|(name, column)| (*name, Some(column)));
            for (name, column) in delivered.chain(lacking.into_iter().map(|name| (name, None))) {
                let known = format.column_type(name);
                let months = column.map(|column| &column.months);
                rows.push(vec![
                    Cell::text(export.id.as_str()),
                    Cell::text(name),
                    Cell::maybe_text(
                        column
                            .and_then(|column| column.r#type)
                            .or(known.map(|known| known.as_str()))
                            .map(str::to_owned),
                    ),
                    Cell::Flag(Some(column.is_some())),
                    Cell::Flag(Some(known.is_some())),
                    Cell::count(months.map_or(0, |months| months.len() as u64)),
                    month(months.and_then(BTreeSet::first)),
                    month(months.and_then(BTreeSet::last)),
                ]);
            }
        }
        batch(self.schema(), rows.into_iter())
    }
}
