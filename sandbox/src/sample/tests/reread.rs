//! An independent reader of deliveries: manifest, files, rows, exact decimal sums.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, TimestampMillisecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::{ControlTotals, CostSums, ExactAmount};

/// Keys of the files that a manifest lists.
pub fn files(objects: &BTreeMap<String, Bytes>, manifest: &str) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(&objects[manifest]).unwrap();
    if let Some(keys) = manifest["reportKeys"].as_array() {
        return keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    }
    let uris = manifest["dataFiles"].as_array().unwrap().iter();
    uris.map(|uri| uri.as_str().unwrap().strip_prefix("s3://bills/").unwrap().to_owned())
        .collect()
}

/// The rows of one file.
pub fn read(bytes: &Bytes) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The rows of each billing period, by the latest manifests.
pub fn periods(objects: &BTreeMap<String, Bytes>) -> BTreeMap<String, Vec<Rows>> {
    let mut all: BTreeMap<String, Vec<Rows>> = BTreeMap::new();
    for key in objects.keys() {
        let Some((_, rest)) = key.split_once("/metadata/BILLING_PERIOD=") else {
            continue;
        };
        if rest.matches('/').count() > 1 {
            continue;
        }
        for file in files(objects, key) {
            all.entry(rest[..7].to_owned())
                .or_default()
                .push(Rows(read(&objects[&file])));
        }
    }
    all
}

/// Rows with columns by name.
pub struct Rows(pub RecordBatch);

impl Rows {
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// Text, blank if null.
    pub fn text(&self, column: &str, row: usize) -> &str {
        let array = self.0.column_by_name(column).unwrap().as_string::<i32>();
        if array.is_null(row) { "" } else { array.value(row) }
    }

    pub fn number(&self, column: &str, row: usize) -> Option<f64> {
        let array = self.0.column_by_name(column).unwrap().as_primitive::<Float64Type>();
        array.is_valid(row).then(|| array.value(row))
    }

    /// The exact decimal amount that the shortest text of a double stands for; 0 if null.
    pub fn amount(&self, column: &str, row: usize) -> i128 {
        self.number(column, row)
            .map_or(0, |value| format!("{value}").parse::<ExactAmount>().unwrap().0)
    }

    pub fn millis(&self, column: &str, row: usize) -> i64 {
        let array = self.0.column_by_name(column).unwrap();
        let array = arrow::compute::cast(
            array,
            &arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into())),
        );
        array.unwrap().as_primitive::<TimestampMillisecondType>().value(row)
    }

    pub fn map(&self, column: &str, row: usize) -> Option<BTreeMap<String, String>> {
        let array = self.0.column_by_name(column).unwrap().as_map();
        array.is_valid(row).then(|| {
            let entries = array.value(row);
            let (keys, values) = (
                entries.column(0).as_string::<i32>(),
                entries.column(1).as_string::<i32>(),
            );
            (0..entries.len())
                .map(|n| (keys.value(n).to_owned(), values.value(n).to_owned()))
                .collect()
        })
    }

    /// Amortised and net amortised cost, by the formulas of the AWS dashboard table.
    pub fn amortized(&self, row: usize) -> (i128, i128) {
        let of = |column: &str| self.amount(column, row);
        match self.text("line_item_line_item_type", row) {
            "SavingsPlanCoveredUsage" => (
                of("savings_plan_savings_plan_effective_cost"),
                of("savings_plan_net_savings_plan_effective_cost"),
            ),
            "SavingsPlanRecurringFee" => {
                let unused = of("savings_plan_total_commitment_to_date") - of("savings_plan_used_commitment");
                // The net ratio is 1: the columns of the fee before and after discounts are equal.
                let kind = "commitment_for_billing_period";
                assert_eq!(
                    of(&format!("savings_plan_recurring_{kind}")),
                    of(&format!("savings_plan_net_recurring_{kind}"))
                );
                assert_eq!(
                    of(&format!("savings_plan_amortized_upfront_{kind}")),
                    of(&format!("savings_plan_net_amortized_upfront_{kind}"))
                );
                (unused, unused)
            }
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => (0, 0),
            "DiscountedUsage" => (of("reservation_effective_cost"), of("reservation_net_effective_cost")),
            "RIFee" => (
                of("reservation_unused_amortized_upfront_fee_for_billing_period")
                    + of("reservation_unused_recurring_fee"),
                of("reservation_net_unused_amortized_upfront_fee_for_billing_period")
                    + of("reservation_net_unused_recurring_fee"),
            ),
            "Fee" if !self.text("reservation_reservation_a_r_n", row).is_empty() => (0, 0),
            _ => (of("line_item_unblended_cost"), of("line_item_net_unblended_cost")),
        }
    }
}

/// Control totals counted from the files alone.
pub fn totals(objects: &BTreeMap<String, Bytes>) -> ControlTotals {
    let mut totals = ControlTotals::default();
    for (period, files) in periods(objects) {
        for rows in files {
            for row in 0..rows.len() {
                let (amortized, net_amortized) = rows.amortized(row);
                let sums = CostSums {
                    rows: 1,
                    unblended: ExactAmount(rows.amount("line_item_unblended_cost", row)),
                    net_unblended: ExactAmount(rows.amount("line_item_net_unblended_cost", row)),
                    amortized: ExactAmount(amortized),
                    net_amortized: ExactAmount(net_amortized),
                };
                totals.add(&period, rows.text("line_item_usage_account_id", row), &sums);
            }
        }
    }
    totals
}
