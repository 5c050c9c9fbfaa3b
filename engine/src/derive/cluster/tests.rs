#![allow(clippy::unwrap_used, clippy::panic)]

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;

use super::*;
use crate::snapshot::clustered::key_column;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, row, usage};

/// So small that a few rows make several runs, row groups and files.
const SMALL: Layout = Layout {
    run_rows: 8,
    run_bytes: usize::MAX,
    group_rows: 4,
    page_rows: 2,
    file_rows: 16,
};

fn clusterer(world: &World, layout: Layout) -> Clusterer {
    Clusterer::new(Arc::clone(&world.builder), Scratch::new(world.spill.clone())).with_layout(layout)
}

/// A row with what costs need.
fn spent(account: &'static str, cost: f64) -> Row {
    let mut row = usage(account, cost);
    row.insert("line_item_usage_start_date", Cell::Millis(1_782_864_000_000));
    row
}

/// Clusters a month and publishes it in place of its base.
async fn cluster(world: &World, period: &str, layout: Layout) -> Result<Snapshot> {
    let lease = world.catalog.lease();
    let (id, export) = lease.document.exports.iter().next().unwrap();
    let base = &lease.snapshots[id][&period.parse().unwrap()];
    let new = uuid::Uuid::now_v7().to_string().parse().unwrap();
    let snapshot = clusterer(world, layout).clustered(base, &lease, export, new).await?;
    world.put(snapshot.clone()).await;
    Ok(snapshot)
}

async fn batches(world: &World, file: &PinnedFile) -> (Vec<RecordBatch>, ParquetMetaData) {
    let stored = world.store.get(&Path::from(file.key.as_str())).await.unwrap();
    let bytes: Bytes = stored.bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let footer = reader.metadata().as_ref().clone();
    (reader.build().unwrap().map(|batch| batch.unwrap()).collect(), footer)
}

const ACCOUNTS: [&str; 4] = [ANN, BOB, HIDDEN, PAYER];

/// Rows of four accounts, of the payer alone and of nobody, with text that is blank, NULL and neither.
fn rows(count: u32) -> Vec<Row> {
    let row = |n: u32| {
        let mut row = usage(ACCOUNTS[n as usize % 4], f64::from(n) * 0.1);
        let start = 1_782_864_000_000 + i64::from(n % 7) * 86_400_000;
        row.extend([
            ("line_item_usage_start_date", Cell::Millis(start)),
            (
                "line_item_product_code",
                Cell::Text(["AmazonEC2", "AmazonS3", ""][n as usize % 3]),
            ),
            (
                "line_item_resource_id",
                Cell::Text(["i-1", "i-2", "i-3", "", "vol-9"][n as usize % 5]),
            ),
            (
                "resource_tags",
                Cell::Map(vec![("user_env", ["prod", "dev"][n as usize % 2])]),
            ),
            (
                "product",
                Cell::Map(vec![
                    ("product_name", ["Compute", ""][n as usize % 2]),
                    ("region", "us-east-1"),
                ]),
            ),
        ]);
        if n.is_multiple_of(9) {
            row.remove("line_item_resource_id");
            row.remove("resource_tags");
        }
        match n % 11 {
            0 => drop(row.insert("line_item_usage_account_id", Cell::Text(""))),
            1 => drop(row.remove("line_item_usage_account_id")),
            _ => {}
        }
        row
    };
    (0..count).map(row).collect()
}

async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let all = rows(50);
    world
        .deliver("main", "2026-07", &[all[..20].to_vec(), all[20..].to_vec()])
        .await;
    world
}

/// What tells rows apart, in both relations.
const QUESTIONS: [&str; 9] = [
    "SELECT count(*), sum(billed_cost), sum(effective_cost), min(list_cost), max(x_amortized_cost) FROM costs",
    "SELECT charge_category, service_name, count(*), sum(billed_cost) FROM costs GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT sub_account_id, resource_id, x_service_code, billed_cost FROM costs ORDER BY 1, 2, 3, 4",
    "SELECT tags['user_env'], tag('Env'), count(*) FROM costs GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*) FROM costs WHERE tags['user_none'] IS NULL AND service_name = 'Compute'",
    "SELECT count(*), sum(billed_cost) FROM costs WHERE resource_id = 'i-2' AND billed_cost > 1.5",
    "SELECT line_item_resource_id, line_item_product_code, resource_tags['user_env'], product['product_name'], count(*)
     FROM exports.main GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    "SELECT billing_period, count(*), max(line_item_unblended_cost) FROM exports.main WHERE product['region'] = 'us-east-1' GROUP BY 1",
    "SELECT x_resource_type, x_resource_key, count(*) FROM costs GROUP BY 1, 2 ORDER BY 1, 2",
];

#[tokio::test]
async fn the_same_rows_are_seen_whatever_their_form() {
    let world = world().await;
    for accounts in [&[][..], &[ANN], &[BOB, PAYER]] {
        let mut before = Vec::new();
        for sql in QUESTIONS {
            before.push(world.rows(&reader(accounts), sql).await.unwrap());
        }
        let lease = world.catalog.lease();
        let (id, _) = lease.document.exports.iter().next().unwrap();
        let base = Snapshot::clone(&lease.snapshots[id][&"2026-07".parse().unwrap()]);
        for layout in [SMALL, Layout::default()] {
            cluster(&world, "2026-07", layout).await.unwrap();
            for (sql, before) in QUESTIONS.iter().zip(&before) {
                assert_eq!(&world.rows(&reader(accounts), sql).await.unwrap(), before, "{sql}");
            }
            world.put(base.clone()).await;
        }
    }
}

#[tokio::test]
async fn a_month_that_is_clustered_goes_with_months_that_are_not() {
    let world = world().await;
    let mut other = spent(ANN, 7.5);
    other.insert("product_region_code", Cell::Text("eu-west-1"));
    world.deliver("main", "2026-06", &[vec![other]]).await;
    let sql = "SELECT x_billing_period, region_id, tags['user_env'], sum(billed_cost) FROM costs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let before = world.rows(&reader(&[]), sql).await.unwrap();
    cluster(&world, "2026-07", SMALL).await.unwrap();
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), before);
    cluster(&world, "2026-06", SMALL).await.unwrap();
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), before);
}

#[tokio::test]
async fn rows_lie_in_order_and_files_and_row_groups_end_with_their_run() {
    let world = world().await;
    let snapshot = cluster(&world, "2026-07", SMALL).await.unwrap();
    // Without the rows that are nobody's: blank or no usage account, and the payer is in every row.
    assert_eq!(snapshot.rows(), 50);
    let rows: Vec<u64> = snapshot.files.iter().map(|file| file.rows).collect();
    assert!(rows.len() >= 2 && rows[0] >= SMALL.file_rows, "{rows:?}");
    let (batches, footer) = batches(&world, &snapshot.files[0]).await;
    for group in footer.row_groups() {
        assert!(group.num_rows() <= 4);
    }
    let accounts: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let column = batch.column_by_name("line_item_usage_account_id").unwrap();
            column
                .as_string::<i32>()
                .iter()
                .map(|id| id.unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(accounts[..8].is_sorted(), "{accounts:?}");
    let resource = footer.file_metadata().schema_descr().columns().iter();
    let resource = resource
        .enumerate()
        .find(|(_, column)| column.name() == "line_item_resource_id")
        .unwrap()
        .0;
    assert!(footer.row_group(0).column(resource).bloom_filter_offset().is_some());
}

#[tokio::test]
async fn amounts_are_narrow_where_they_fit_and_text_that_is_never_blank_is_noted() {
    let world = world().await;
    let snapshot = cluster(&world, "2026-07", Layout::default()).await.unwrap();
    let (read, _) = batches(&world, &snapshot.files[0]).await;
    let clustered = snapshot.clustered.as_ref().unwrap();
    let billed = clustered.costs["billed_cost"].as_str();
    assert_eq!(clustered.costs["x_unblended_cost"], billed);
    assert_eq!(
        read[0].column_by_name(billed).unwrap().data_type(),
        &DataType::Decimal128(18, 12)
    );
    assert!(clustered.never_blank.contains("line_item_currency_code"));
    assert!(!clustered.never_blank.contains("line_item_resource_id"));
    assert!(clustered.absent.contains("x_tax_type"), "{:?}", clustered.absent);
    let keys = &clustered.maps["resource_tags"];
    assert_eq!(keys.stored.iter().collect::<Vec<_>>(), ["user_env"]);
    let env = read[0]
        .column_by_name(&key_column("resource_tags", "user_env"))
        .unwrap();
    assert_eq!(env.null_count(), 6);
    // Delivered amounts stay the doubles that they were.
    let delivered = read[0].column_by_name("line_item_unblended_cost").unwrap();
    assert!(
        delivered
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .any(|cost| cost == 0.1 * 3.0)
    );

    let world = self::world().await;
    world
        .deliver("main", "2026-07", &[vec![spent(ANN, 2e6), spent(ANN, 0.5)]])
        .await;
    let snapshot = cluster(&world, "2026-07", Layout::default()).await.unwrap();
    let (read, _) = batches(&world, &snapshot.files[0]).await;
    assert_eq!(
        read[0].column_by_name(billed).unwrap().data_type(),
        &DataType::Decimal128(38, 12)
    );
    let sum = world
        .rows(&reader(&[]), "SELECT sum(billed_cost) FROM costs")
        .await
        .unwrap();
    assert_eq!(sum, "2000000.500000000000");
}

#[tokio::test]
async fn nobodys_rows_are_left_out_and_a_sum_that_is_off_is_an_error() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    let nobodys = row([
        ("line_item_unblended_cost", Cell::Double(9.0)),
        ("line_item_currency_code", Cell::Text("USD")),
    ]);
    world
        .deliver("main", "2026-07", &[vec![spent(ANN, 1.0), nobodys]])
        .await;
    let snapshot = cluster(&world, "2026-07", Layout::default()).await.unwrap();
    assert_eq!(snapshot.rows(), 1);
    assert_eq!(snapshot.delivered_keys().count(), 1);
    assert!(snapshot.delivered_keys().all(|key| key.starts_with("p/main/data/")));
    // The document says one row more than the file has.
    let mut wrong = snapshot.clone();
    wrong.id = uuid::Uuid::now_v7().to_string().parse().unwrap();
    wrong.clustered = None;
    wrong.files[0].owners[0].rows += 1;
    world.put(wrong).await;
    let error = cluster(&world, "2026-07", Layout::default()).await.unwrap_err();
    assert!(error.to_string().contains("add up to something else"), "{error}");
}

#[tokio::test]
async fn a_document_without_the_form_is_still_read() {
    let world = world().await;
    let snapshot = cluster(&world, "2026-07", SMALL).await.unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old["form"] = "delivered".into();
    old.as_object_mut().unwrap().remove("clustered");
    let old: Snapshot = serde_json::from_value(old).unwrap();
    assert_eq!((old.form, old.clustered), (Form::Delivered, None));
}

#[tokio::test]
async fn look_ups_in_maps_read_columns_of_keys() {
    let world = world().await;
    cluster(&world, "2026-07", SMALL).await.unwrap();
    let explain = async |sql: &str| world.plan(&reader(&[]), sql).await.unwrap().explain().await.unwrap();
    for (sql, reads, not) in [
        (
            "SELECT tags['user_env'], sum(billed_cost) FROM costs GROUP BY 1",
            "farthing:resource_tags['user_env']",
            "get_field",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE tag('Env') = 'prod'",
            "farthing:resource_tags['user_env']",
            "tag(",
        ),
        (
            "SELECT count(*) FROM costs c WHERE c.tags['user_none'] = 'x'",
            "PlaceholderRowExec",
            "resource_tags",
        ),
        (
            "SELECT product['region'], count(*) FROM exports.main GROUP BY 1",
            "farthing:product['region']",
            "get_field",
        ),
    ] {
        let plan = explain(sql).await;
        let physical = &plan[plan.find("Exec").unwrap()..];
        assert!(physical.contains(reads), "{sql}\n{plan}");
        assert!(!physical.contains(not), "{sql}\n{plan}");
    }
    // A month that is not clustered has no such columns, and the look-up is evaluated there alone.
    world.deliver("main", "2026-06", &[vec![spent(ANN, 1.0)]]).await;
    let plan = explain("SELECT tags['user_env'], sum(billed_cost) FROM costs GROUP BY 1").await;
    assert!(plan.contains("farthing:resource_tags['user_env']"), "{plan}");
    // What files have beside the delivered columns is no column of a table.
    let shown = world
        .plan(&reader(&[]), "SELECT * FROM exports.main")
        .await
        .unwrap()
        .schema();
    assert!(shown.fields().iter().all(|field| !field.name().starts_with(OWN_COLUMN)));
}
