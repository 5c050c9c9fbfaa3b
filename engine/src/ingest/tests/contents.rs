//! What is read from files: exact totals, owners, columns, and everything that breaks the contract.

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::Int32Type;
use chrono::DateTime;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::*;
use super::bed::*;
use crate::money::Amount;
use crate::snapshot::{ColumnType, OwnerTotals};

fn shown(totals: &OwnerTotals) -> String {
    let id = |account: Option<crate::id::AccountId>| account.map_or("-".to_owned(), |id| id.to_string());
    let amounts: Vec<String> = totals
        .unblended
        .iter()
        .map(|(currency, amount)| format!("{currency} {amount}"))
        .collect();
    format!(
        "{} {} {} rows {} {}",
        id(totals.owner.usage_account),
        id(totals.owner.payer),
        totals.account_name.as_deref().unwrap_or("-"),
        totals.rows,
        amounts.join(", ")
    )
}

#[tokio::test]
async fn totals_are_exact_by_owner_and_currency() {
    let bed = Bed::new().await;
    let tenths = [(Some(ONE), Some(PAYER), "USD", Some(0.1)); 10];
    bed.bucket.deliver(
        "2026-06",
        &[
            file(&tenths),
            file(&[
                (Some(TWO), Some(PAYER), "USD", Some(1e-12)),
                (Some(TWO), Some(PAYER), "CNY", Some(-7.25)),
                (Some(TWO), Some(PAYER), "USD", None),
                (None, Some(PAYER), "USD", Some(3.0)),
                (Some(""), Some(PAYER), "USD", Some(0.3)),
                (Some("  "), None, "USD", Some(5.0)),
                (Some(ONE), Some(PAYER), "USD", Some(123_456_789_012.345)),
            ]),
        ],
    );
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    let totals: Vec<String> = snapshot.owner_totals().iter().map(shown).collect();
    assert_eq!(
        totals,
        [
            "- - payer rows 1 USD 5.000000000000".to_owned(),
            format!("- {PAYER} payer rows 2 USD 3.300000000000"),
            format!("{ONE} {PAYER} one rows 11 USD 123456789013.345000000000"),
            format!("{TWO} {PAYER} two rows 3 CNY -7.250000000000, USD 0.000000000001"),
        ]
    );
    assert_eq!(snapshot.rows(), 17);
    assert_eq!(snapshot.data_through, DateTime::from_timestamp_millis(USAGE_END));
    assert!(!snapshot.has_net_costs);
    assert_eq!(snapshot.files[0].owners.len(), 1, "the owners of a file are its own");
    assert_eq!(snapshot.execution_id.as_deref(), Some("run-1"));
    let run = bed.run(Some("2026-06")).unwrap();
    assert_eq!((run.state, run.rows, run.files), (ImportState::Published, 17, 2));
    assert_eq!(run.bytes, snapshot.bytes());
    assert_eq!(run.snapshot.as_ref(), Some(&snapshot.id));
    assert_eq!(run.catalog_version, Some(2));
    let usd: Amount = "123456789021.645000000001".parse().unwrap();
    assert_eq!(run.unblended["USD"], usd);
}

#[tokio::test]
async fn more_rows_than_a_batch_and_more_values_than_a_dictionary_page() {
    let bed = Bed::new().await;
    let accounts: Vec<String> = (0..30_000).map(|n| format!("{:012}", 100_000 + n % 700)).collect();
    let rows: Vec<_> = accounts
        .iter()
        .map(|account| (Some(account.as_str()), Some(PAYER), "USD", Some(0.01)))
        .collect();
    let mut columns = columns(&rows);
    let names: Vec<String> = (0..30_000)
        .map(|n| format!("a name that differs in each row: {n}"))
        .collect();
    columns[3].1 = Arc::new(StringArray::from(names));
    let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_page_size_limit(1_000)
        .build();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bed.bucket.deliver("2026-06", &[bytes]);
    assert_eq!(bed.outcome().await, "published");
    let totals = bed.snapshot("2026-06").unwrap().owner_totals();
    assert_eq!(totals.len(), 700);
    assert_eq!(totals[0].rows, 43);
    assert_eq!(totals[0].unblended["USD"].to_string(), "0.430000000000");
    let name = totals[0].account_name.as_deref();
    assert_eq!(
        name,
        Some("a name that differs in each row: 29400"),
        "the last one seen"
    );
}

async fn published_with(change: impl FnOnce(&mut Vec<(&'static str, ArrayRef)>)) -> Result<Arc<Snapshot>, String> {
    let bed = Bed::new().await;
    let mut columns = columns(&[(Some(ONE), Some(PAYER), "USD", Some(2.5)); 3]);
    change(&mut columns);
    bed.bucket.deliver("2026-06", &[parquet(columns)]);
    match bed.outcome().await.as_str() {
        "published" => Ok(bed.snapshot("2026-06").unwrap()),
        other => Err(other.to_owned()),
    }
}

fn put(columns: &mut Vec<(&'static str, ArrayRef)>, name: &'static str, array: impl arrow::array::Array + 'static) {
    columns.retain(|(other, _)| *other != name);
    columns.push((name, Arc::new(array)));
}

fn tags() -> arrow::array::MapArray {
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for _ in 0..3 {
        tags.keys().append_value("team");
        tags.values().append_value("blue");
        tags.append(true).unwrap();
    }
    tags.finish()
}

#[tokio::test]
async fn instants_come_in_any_unit_and_columns_keep_their_type() {
    let snapshot = published_with(|columns| {
        put(
            columns,
            "line_item_usage_start_date",
            TimestampMicrosecondArray::from(vec![USAGE_END * 1_000; 3]),
        );
        put(
            columns,
            "line_item_usage_end_date",
            TimestampNanosecondArray::from(vec![Some(USAGE_END * 1_000_000), None, Some(0)]).with_timezone("UTC"),
        );
        put(
            columns,
            "line_item_net_unblended_cost",
            Float64Array::from(vec![Some(0.0), None, Some(-0.5)]),
        );
        put(columns, "invented_flag", BooleanArray::from(vec![true; 3]));
        put(columns, "invented_count", Int64Array::from(vec![7; 3]));
        put(columns, "invented_text", StringArray::from(vec!["x"; 3]));
        put(columns, "resource_tags", tags());
        put(columns, "discount", tags());
    })
    .await
    .unwrap();
    assert!(snapshot.has_net_costs);
    assert_eq!(snapshot.data_through, DateTime::from_timestamp_millis(USAGE_END));
    let of = |name: &str| {
        snapshot
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap()
            .r#type
    };
    assert_eq!(of("line_item_usage_start_date"), ColumnType::Timestamp);
    assert_eq!(of("invented_flag"), ColumnType::Boolean);
    assert_eq!(of("invented_count"), ColumnType::Integer);
    assert_eq!(of("invented_text"), ColumnType::Text);
    assert_eq!(of("resource_tags"), ColumnType::TextMap);
    assert_eq!(
        of("discount"),
        ColumnType::TextMap,
        "declared as a map to doubles, seen as one to text"
    );
    assert_eq!(
        snapshot.columns[0].name, "bill_payer_account_id",
        "in the order of the file"
    );
}

#[tokio::test]
async fn the_last_name_counts_whatever_the_currency() {
    let snapshot = published_with(|columns| {
        put(
            columns,
            "line_item_currency_code",
            StringArray::from(vec!["USD", "CNY", "USD"]),
        );
        put(
            columns,
            "line_item_usage_account_name",
            StringArray::from(vec!["first", "second", "third"]),
        );
    })
    .await
    .unwrap();
    let totals = snapshot.owner_totals();
    assert_eq!((totals.len(), totals[0].unblended.len()), (1, 2));
    assert_eq!(totals[0].account_name.as_deref(), Some("third"));
}

#[tokio::test]
async fn costs_that_are_whole_numbers_are_doubles_and_zero_net_costs_are_none() {
    let snapshot = published_with(|columns| {
        put(columns, "line_item_unblended_cost", Int64Array::from(vec![1, 2, 3]));
        put(
            columns,
            "line_item_net_unblended_cost",
            Float64Array::from(vec![Some(0.0), None, Some(-0.0)]),
        );
    })
    .await
    .unwrap();
    assert_eq!(
        snapshot.owner_totals()[0].unblended["USD"].to_string(),
        "6.000000000000"
    );
    assert!(!snapshot.has_net_costs);
    let cost = snapshot
        .columns
        .iter()
        .find(|column| column.name == "line_item_unblended_cost");
    assert_eq!(cost.unwrap().r#type, ColumnType::Double);
}

#[tokio::test]
async fn numbers_that_the_dictionary_calls_text_are_kept() {
    let bed = Bed::new().await;
    let mut with = columns(&[(Some(ONE), Some(PAYER), "USD", Some(1.0))]);
    let name = "reservation_normalized_units_per_reservation";
    put(&mut with, name, Float64Array::from(vec![4.0]));
    bed.bucket.deliver("2026-06", &[parquet(with)]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    let found = snapshot.columns.iter().find(|column| column.name == name);
    assert_eq!(found.unwrap().r#type, ColumnType::Double);
}

#[tokio::test]
async fn broken_contents_are_named() {
    type Change = fn(&mut Vec<(&'static str, ArrayRef)>);
    let cases: [(Change, &[&str]); 8] = [
        (
            |columns| {
                let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]); 3]);
                put(columns, "invented", lists);
            },
            &["BrokenDelivery", "e-00001.snappy.parquet", "invented", "List"],
        ),
        (
            |columns| put(columns, "line_item_unblended_cost", StringArray::from(vec!["1.0"; 3])),
            &[
                "BrokenDelivery",
                "e-00001",
                "line_item_unblended_cost",
                "holds text",
                "dictionary says doubles",
            ],
        ),
        (
            |columns| columns.retain(|(name, _)| !name.starts_with("line_item_u")),
            &[
                "BrokenDelivery",
                "lacks columns",
                "line_item_usage_account_id, line_item_usage_start_date, line_item_unblended_cost",
            ],
        ),
        (
            |columns| {
                put(
                    columns,
                    "line_item_usage_account_id",
                    StringArray::from(vec![ONE, "12345 ", ONE]),
                )
            },
            &[
                "BrokenDelivery",
                "e-00001",
                "line_item_usage_account_id",
                "\"12345 \"",
                "not an account id",
            ],
        ),
        (
            |columns| {
                put(
                    columns,
                    "bill_payer_account_id",
                    StringArray::from(vec!["AIDA\u{7}EXAMPLE"; 3]),
                )
            },
            &["BrokenDelivery", "bill_payer_account_id", "\"AIDAEXAMPLE\""],
        ),
        (
            |columns| {
                put(
                    columns,
                    "line_item_unblended_cost",
                    Float64Array::from(vec![1.0, f64::NAN, 1.0]),
                )
            },
            &["BrokenDelivery", "line_item_unblended_cost", "NaN", "not an amount"],
        ),
        (
            |columns| {
                put(
                    columns,
                    "line_item_unblended_cost",
                    Float64Array::from(vec![1.0, 1e24, 1.0]),
                )
            },
            &["BrokenDelivery", "1e24", "not an amount"],
        ),
        (
            |columns| columns.push(("line_item_currency_code", Arc::new(StringArray::from(vec!["USD"; 3])))),
            &["BrokenDelivery", "line_item_currency_code twice"],
        ),
    ];
    for (change, parts) in cases {
        let message = published_with(change).await.unwrap_err();
        for part in parts {
            assert!(message.contains(part), "\"{message}\" does not contain \"{part}\"");
        }
    }
}

#[tokio::test]
async fn amounts_that_no_decimal_can_sum_are_refused() {
    let bed = Bed::new().await;
    // 10^23.9 twice in each of 70 files: each file is fine, their sum would leave 38 digits.
    let large = file(&[
        (Some(ONE), Some(PAYER), "USD", Some(8e23)),
        (Some(ONE), Some(PAYER), "USD", Some(-8e23)),
    ]);
    bed.bucket.deliver("2026-06", &vec![large; 70]);
    let outcome = bed.outcome().await;
    assert!(outcome.contains("too large to be summed"), "{outcome}");
}

/// A file as AWS wrote them: INT96 times, plain text columns.
fn int96_file() -> Vec<u8> {
    let schema =
        "message m { optional binary bill_payer_account_id (UTF8); optional binary line_item_usage_account_id (UTF8);
        optional binary line_item_line_item_type (UTF8); optional int96 line_item_usage_start_date;
        optional int96 line_item_usage_end_date; optional double line_item_unblended_cost;
        optional binary line_item_currency_code (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = [Some(PAYER), Some(ONE), Some("Usage"), None, None, None, Some("USD")];
    for text in texts {
        let mut column = group.next_column().unwrap().unwrap();
        match text {
            Some(text) => {
                let values = vec![ByteArray::from(text); 2];
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&[1, 1]), None)
                    .unwrap();
            }
            None if matches!(
                column.untyped(),
                parquet::column::writer::ColumnWriter::DoubleColumnWriter(_)
            ) =>
            {
                column
                    .typed::<DoubleType>()
                    .write_batch(&[0.25, 0.5], Some(&[1, 1]), None)
                    .unwrap();
            }
            None => {
                // Julian day 2,440,588 is 1970-01-01; nanoseconds of the day follow in two words.
                let mut at = Int96::new();
                let nanos: u64 = 43_200_000_000_000;
                at.set_data(nanos as u32, (nanos >> 32) as u32, 2_440_588 + 20_000);
                column
                    .typed::<Int96Type>()
                    .write_batch(&[at, at], Some(&[1, 1]), None)
                    .unwrap();
            }
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn int96_instants_are_instants() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[int96_file()]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    assert_eq!(snapshot.data_through.unwrap().to_rfc3339(), "2024-10-04T12:00:00+00:00");
    assert_eq!(
        snapshot.owner_totals()[0].unblended["USD"].to_string(),
        "0.750000000000"
    );
}

#[tokio::test]
async fn files_without_rows_count_as_no_rows() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0), Vec::new(), file(&[])]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    assert_eq!(
        snapshot.files.iter().map(|file| file.rows).collect::<Vec<_>>(),
        [1, 0, 0]
    );
    // A period of which nothing is left, as after a credit of everything.
    bed.bucket.write_manifest("2026-06", &[]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    assert_eq!(
        (snapshot.rows(), snapshot.columns.len()),
        (0, 1),
        "columns as the manifest names them"
    );
}

#[tokio::test]
async fn types_widen_between_files_and_periods_and_do_not_change() {
    let text = |value: &'static str| {
        let mut columns = columns(&[(Some(ONE), Some(PAYER), "USD", Some(1.0))]);
        put(&mut columns, "invented", StringArray::from(vec![value]));
        parquet(columns)
    };
    let whole = || {
        let mut columns = columns(&[(Some(ONE), Some(PAYER), "USD", Some(1.0))]);
        put(&mut columns, "invented", Int64Array::from(vec![1]));
        parquet(columns)
    };
    let double = || {
        let mut columns = columns(&[(Some(ONE), Some(PAYER), "USD", Some(1.0))]);
        put(&mut columns, "invented", Float64Array::from(vec![1.5]));
        parquet(columns)
    };
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-05", &[whole(), double(), one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-05").unwrap();
    assert_eq!(snapshot.columns.last().unwrap().r#type, ColumnType::Double);
    bed.bucket.deliver("2026-06", &[text("x")]);
    bed.bucket.deliver("2026-07", &[whole(), text("x")]);
    bed.bucket.deliver("2026-08", &[whole()]);
    let outcomes = bed.outcomes().await;
    assert_eq!(outcomes["2026-05"], "unchanged");
    let between = "the column invented holds text in 2026-06 and doubles in 2026-05";
    assert!(outcomes["2026-06"].contains(between), "{outcomes:?}");
    assert!(outcomes["2026-07"].contains("e-00002.snappy.parquet"), "{outcomes:?}");
    assert!(outcomes["2026-07"].contains("e-00001.snappy.parquet"), "{outcomes:?}");
    assert_eq!(outcomes["2026-08"], "published", "integers go with doubles");
}

#[tokio::test]
async fn limits_name_themselves() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.columns = 8;
    limits.snapshot_files = 2;
    let bed = Bed::with(limits).await;
    bed.bucket.deliver("2026-05", &[one_row(1.0)]);
    bed.bucket
        .deliver("2026-06", &[one_row(1.0), one_row(1.0), one_row(1.0)]);
    let outcomes = bed.outcomes().await;
    assert!(
        outcomes["2026-05"].contains("has 9 columns, and the limit is 8"),
        "{outcomes:?}"
    );
    assert!(
        outcomes["2026-06"].contains("names 3 files, and the limit is 2"),
        "{outcomes:?}"
    );
    assert!(outcomes.values().all(|outcome| outcome.starts_with("Limit")));
}
