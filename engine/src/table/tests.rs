#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, usage};
use crate::error::ErrorKind;

/// 2026-07-01T12:30:00Z.
const NOON: i64 = 1_782_909_000_000;

async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    world
}

fn timed(millis: i64) -> Row {
    let mut row = Row::from([
        ("line_item_usage_account_id", Cell::Text(ANN)),
        ("bill_payer_account_id", Cell::Text(PAYER)),
    ]);
    row.insert("line_item_usage_start_date", Cell::Millis(millis));
    row
}

/// A file as older writers make it: INT96 timestamps, no Arrow schema.
fn int96_file(millis: i64) -> Vec<u8> {
    let message = "message row {
        OPTIONAL BYTE_ARRAY line_item_usage_account_id (UTF8);
        OPTIONAL BYTE_ARRAY bill_payer_account_id (UTF8);
        OPTIONAL INT96 line_item_usage_start_date;
    }";
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for text in [ANN, PAYER] {
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&[ByteArray::from(text)], Some(&[1]), None)
            .unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    let mut value = Int96::new();
    // Nanoseconds of the day in two words, and the Julian day.
    let nanos = u64::try_from(millis % 86_400_000).unwrap() * 1_000_000;
    let day = u32::try_from(millis / 86_400_000).unwrap() + 2_440_588;
    value.set_data((nanos & u64::from(u32::MAX)) as u32, (nanos >> 32) as u32, day);
    column
        .typed::<Int96Type>()
        .write_batch(&[value], Some(&[1]), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow_file(times: arrow::array::ArrayRef) -> Vec<u8> {
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as arrow::array::ArrayRef;
    let schema = Arc::new(Schema::new(vec![
        Field::new("line_item_usage_account_id", DataType::Utf8, true),
        Field::new("bill_payer_account_id", DataType::Utf8, true),
        Field::new("line_item_usage_start_date", times.data_type().clone(), true),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![text(ANN), text(PAYER), times]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn all_forms_of_timestamps_are_the_same_instant() {
    let world = world().await;
    let rows = || vec![timed(NOON)];
    let files = vec![
        (int96_file(NOON), rows()),
        (super::fixture::parquet(&rows()), rows()),
        (
            arrow_file(Arc::new(TimestampMicrosecondArray::from(vec![NOON * 1_000]))),
            rows(),
        ),
        (
            arrow_file(Arc::new(
                TimestampNanosecondArray::from(vec![NOON * 1_000_000]).with_timezone("UTC"),
            )),
            rows(),
        ),
    ];
    world.deliver_files("main", "2026-07", files, false).await;
    for (sql, expected) in [
        (
            "SELECT DISTINCT line_item_usage_start_date FROM exports.main",
            "2026-07-01T12:30:00",
        ),
        (
            "SELECT arrow_typeof(line_item_usage_start_date) FROM exports.main LIMIT 1",
            "Timestamp(ms)",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE line_item_usage_start_date = timestamp '2026-07-01 12:30:00'",
            "4",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE line_item_usage_start_date >= '2026-07-02'",
            "0",
        ),
        (
            "SELECT date_trunc('day', charge_period_start), count(*) FROM costs GROUP BY 1",
            "2026-07-01T00:00:00|4",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn columns_are_the_union_over_files_and_periods() {
    let world = world().await;
    let mut later = usage(BOB, 2.0);
    later.insert("line_item_resource_id", Cell::Text("i-1"));
    later.insert("product", Cell::Map(vec![("region", "eu-west-1")]));
    world.deliver("main", "2026-06", &[vec![usage(ANN, 1.0)]]).await;
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 4.0)], vec![later]])
        .await;
    for (sql, expected) in [
        (
            "SELECT count(*), count(line_item_resource_id), count(product) FROM exports.main",
            "3|1|1",
        ),
        (
            "SELECT product['region'] FROM exports.main WHERE line_item_resource_id = 'i-1'",
            "eu-west-1",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE line_item_resource_id IS NULL",
            "2",
        ),
        (
            "SELECT billing_period, sum(line_item_unblended_cost) FROM exports.main GROUP BY 1 ORDER BY 1",
            "2026-06|1.0 2026-07|6.0",
        ),
        (
            "SELECT arrow_typeof(billing_period), arrow_typeof(line_item_resource_id) FROM exports.main LIMIT 1",
            "Utf8View|Utf8View",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
    let all = world.rows(&reader(&[BOB]), "SELECT * FROM exports.main").await.unwrap();
    assert!(all.ends_with("|2026-07"), "{all}");
}

#[tokio::test]
async fn a_column_that_changes_its_type_is_named() {
    let world = world().await;
    let mut changed = usage(ANN, 1.0);
    changed.insert("line_item_unblended_cost", Cell::Text("1.0"));
    world.deliver("main", "2026-06", &[vec![usage(ANN, 1.0)]]).await;
    world.deliver("main", "2026-07", &[vec![changed]]).await;
    let error = world
        .rows(&reader(&[]), "SELECT count(*) FROM exports.main")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenDelivery);
    assert!(
        error.message().contains("line_item_unblended_cost") && error.message().contains("2026-07"),
        "{error}"
    );
}

#[tokio::test]
async fn periods_files_and_row_groups_are_pruned() {
    let world = world().await;
    let many = |account: &'static str| (0..20).map(|n| usage(account, f64::from(n))).collect::<Vec<_>>();
    let sorted: Vec<Row> = [ANN, BOB, HIDDEN].into_iter().flat_map(many).collect();
    world.deliver("main", "2026-06", &[many(HIDDEN), sorted.clone()]).await;
    world.deliver("main", "2026-07", &[sorted]).await;
    let mut admin = reader(&[BOB]);
    admin.role = crate::principal::Role::Admin;
    let sql = "SELECT sum(line_item_unblended_cost) FROM exports.main WHERE billing_period >= '2026-07' AND line_item_unblended_cost < 5";
    assert_eq!(world.rows(&admin, sql).await.unwrap(), "10.0");
    let analyze = world.rows(&admin, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    assert!(analyze.contains("files_in_scope=1"), "{analyze}");
    // Of the twelve row groups of five, four are Bob's and one of those is below five.
    assert!(
        analyze.contains("row_groups_pruned_statistics=12 total → 1 matched"),
        "{analyze}"
    );
    assert!(analyze.contains("input_rows=5"), "{analyze}");
    for (filter, count) in [
        ("billing_period = '2026-06'", "20"),
        ("billing_period IN ('2026-06', '2026-07')", "40"),
        ("billing_period LIKE '2026-%'", "40"),
        ("NOT billing_period = '2026-06'", "20"),
        ("billing_period = '2026-06' OR line_item_unblended_cost = 1", "21"),
        ("billing_period > 'x'", "0"),
        ("upper(billing_period) = '2026-06'", "20"),
    ] {
        let sql = format!("SELECT count(*) FROM exports.main WHERE {filter}");
        assert_eq!(world.rows(&admin, &sql).await.unwrap(), count, "{sql}");
    }
}

#[tokio::test]
async fn limits_count_visible_rows() {
    let world = world().await;
    let mut rows: Vec<Row> = (0..30).map(|_| usage(HIDDEN, 1.0)).collect();
    rows.extend((0..6).map(|_| usage(ANN, 1.0)));
    world.deliver("main", "2026-07", &[rows, vec![usage(ANN, 2.0)]]).await;
    for (sql, expected) in [
        ("SELECT count(*) FROM (SELECT 1 FROM exports.main LIMIT 5) x", "5"),
        ("SELECT count(*) FROM (SELECT * FROM exports.main LIMIT 50) x", "7"),
        ("SELECT count(*) FROM (SELECT * FROM exports.main OFFSET 5) x", "2"),
        (
            "SELECT count(*) FROM (SELECT * FROM costs WHERE billed_cost > 1 LIMIT 5) x",
            "1",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

/// Where a resource is asked for, the reader drops rows itself: hidden ones first, so that nothing else is evaluated on them.
#[tokio::test]
async fn a_resource_is_looked_up_in_visible_rows_alone() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    let used = |account, resource, cost| {
        let mut row = usage(account, cost);
        row.insert("line_item_resource_id", Cell::Text(resource));
        row
    };
    let mut of_payer = used("", "i-1", 32.0);
    of_payer.insert("bill_payer_account_id", Cell::Text(PAYER));
    let mut of_nobody = used(" ", "i-1", 64.0);
    of_nobody.insert("bill_payer_account_id", Cell::Text(HIDDEN));
    let rows = vec![
        used(ANN, "i-1", 1.0),
        used(HIDDEN, "i-1", 2.0),
        used(ANN, "i-2", 4.0),
        of_payer,
        of_nobody,
    ];
    world
        .deliver(
            "main",
            "2026-07",
            &[rows, vec![used(ANN, "i-1", 8.0), used(ANN, "i-3", 16.0)]],
        )
        .await;
    let sum = async |condition: &str| {
        let sql = format!("SELECT count(*), sum(billed_cost) FROM costs WHERE {condition}");
        world.rows(&reader(&[]), &sql).await.unwrap()
    };
    assert_eq!(sum("resource_id = 'i-1'").await, "3|41.000000000000");
    assert_eq!(sum("resource_id IN ('i-2', 'i-3')").await, "2|20.000000000000");
    assert_eq!(
        sum("resource_id = 'i-1' AND billed_cost > 5").await,
        "2|40.000000000000"
    );
    assert_eq!(sum("resource_id <> 'i-1'").await, "2|20.000000000000");
    assert_eq!(sum("resource_id = 'i-9'").await, "0|NULL".replace("NULL", ""));
    let sql = "SELECT sum(billed_cost) FROM costs WHERE resource_id = 'i-1'";
    let plan = world.plan(&reader(&[]), sql).await.unwrap().explain().await.unwrap();
    assert!(plan.contains("predicate=account_filter["), "{plan}");
    assert!(plan.contains("rows filtered by"), "{plan}");
}
