//! CSV deliveries: the same answers as Parquet ones, in files of Farthing's own, of which none stays that is not needed.

use std::io::Write;

use arrow::util::display::array_value_to_string;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::super::*;
use super::bed::*;
use crate::catalog::Change;
use crate::snapshot::{ColumnType, Form};

const KEY: &str = "p/e/data/BILLING_PERIOD=2026-06/e-00001.csv.gz";
const OTHER: &str = "p/e/data/BILLING_PERIOD=2026-06/e-00002.csv.gz";

const ROWS: Rows<'static> = &[
    (Some(ONE), Some(PAYER), "USD", Some(0.1)),
    (Some(ONE), Some(PAYER), "USD", Some(0.2)),
    (Some(TWO), Some(PAYER), "CNY", Some(-7.25)),
    (None, Some(PAYER), "USD", Some(3e-10)),
    (Some(TWO), Some(PAYER), "USD", None),
];

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The same rows as CSV, with `legacy` names or those of CUR 2.0, its columns turned around.
fn csv(rows: Rows<'_>, legacy: bool) -> String {
    let columns: Vec<_> = columns(rows).into_iter().rev().collect();
    let name = |name: &str| match (legacy, name) {
        (false, name) => name.to_owned(),
        (true, name) => {
            let (family, rest) = if let Some(rest) = name.strip_prefix("line_item_") {
                ("lineItem", rest)
            } else {
                ("bill", &name[5..])
            };
            let words = rest.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            format!("{family}/{}", words.collect::<String>())
        }
    };
    let mut text = columns.iter().map(|(n, _)| name(n)).collect::<Vec<_>>().join(",");
    text.push('\n');
    for row in 0..rows.len() {
        let cells = columns.iter().map(|(name, values)| {
            let cell = array_value_to_string(values, row).unwrap();
            if name.ends_with("_date") {
                format!("{cell}Z")
            } else {
                cell
            }
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

/// The keys of Farthing's own files.
async fn stored(bed: &Bed) -> Vec<String> {
    let found = bed.state.inner.list(Some(&Path::from("data")));
    let mut keys: Vec<String> = found
        .map_ok(|object| object.location.to_string())
        .try_collect()
        .await
        .unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn csv_comes_to_the_same_as_parquet() {
    let parquet = Bed::new().await;
    parquet.bucket.deliver("2026-06", &[file(ROWS)]);
    assert_eq!(parquet.outcome().await, "published");
    let expected = parquet.snapshot("2026-06").unwrap();
    assert!(stored(&parquet).await.is_empty());
    for (legacy, packed) in [(false, true), (true, true), (false, false)] {
        let bed = Bed::new().await;
        let text = csv(ROWS, legacy);
        bed.bucket
            .write(KEY, &if packed { gzip(&text) } else { text.into_bytes() });
        bed.bucket.write_manifest("2026-06", &[KEY]);
        assert_eq!(bed.outcome().await, "published");
        let snapshot = bed.snapshot("2026-06").unwrap();
        assert_eq!(snapshot.form, Form::Stored);
        assert_eq!(snapshot.owner_totals(), expected.owner_totals());
        assert_eq!(
            (snapshot.rows(), snapshot.data_through),
            (expected.rows(), expected.data_through)
        );
        let cost = snapshot
            .columns
            .iter()
            .find(|column| column.name == "line_item_unblended_cost");
        assert_eq!(cost.unwrap().r#type, ColumnType::Decimal);
        assert_eq!(snapshot.delivered_keys().collect::<Vec<_>>(), [KEY]);
        let source = snapshot.files[0].source.as_ref().unwrap();
        let head = bed.bucket.files.inner.head(&Path::from(KEY)).await.unwrap();
        assert_eq!((Some(&source.e_tag), source.size), (head.e_tag.as_ref(), head.size));
        assert_eq!(stored(&bed).await, [snapshot.files[0].key.clone()]);
        assert_eq!(bed.outcome().await, "unchanged");
    }
}

#[tokio::test]
async fn what_cannot_be_imported_leaves_no_file() {
    let bed = Bed::new().await;
    let whole = gzip(&csv(ROWS, false));
    bed.bucket.write(KEY, &whole);
    for (bytes, message) in [
        (whole[..whole.len() - 9].to_vec(), "cannot be unpacked"),
        (gzip(&csv(ROWS, false).replace("0.1", "a lot")), "line 2"),
        (gzip("line_item_unblended_cost\n1\n"), "lacks columns that costs need"),
    ] {
        bed.bucket.write(OTHER, &bytes);
        bed.bucket.write_manifest("2026-06", &[KEY, OTHER]);
        let outcome = bed.outcome().await;
        assert!(outcome.contains(message) && outcome.contains("e-00002"), "{outcome}");
        assert_eq!(stored(&bed).await, Vec::<String>::new(), "after: {outcome}");
    }
    bed.bucket.write(OTHER, &file(ROWS));
    bed.bucket.write("p/e/data/x.parquet", &file(ROWS));
    bed.bucket.write_manifest("2026-06", &[KEY, "p/e/data/x.parquet"]);
    let outcome = bed.outcome().await;
    assert!(outcome.contains("mixes formats"), "{outcome}");
}

#[tokio::test]
async fn files_that_aws_emptied_have_no_rows() {
    let bed = Bed::new().await;
    bed.bucket.write(KEY, &gzip(&csv(ROWS, false)));
    bed.bucket.write(OTHER, b"");
    bed.bucket.write_manifest("2026-06", &[KEY, OTHER]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(bed.snapshot("2026-06").unwrap().rows(), 5);
    // A header alone is what a month without any cost has.
    bed.bucket.write(OTHER, &gzip(csv(ROWS, false).lines().next().unwrap()));
    bed.bucket.write_manifest("2026-06", &[KEY, OTHER]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(bed.snapshot("2026-06").unwrap().rows(), 5);
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_read_is_under_way() {
    let bed = Bed::new().await;
    bed.bucket.write(KEY, &gzip(&csv(ROWS, false)));
    bed.bucket.write_manifest("2026-06", &[KEY]);
    let mut looks = 0;
    bed.bucket.set_fault(move |path| {
        looks += 1;
        // The first look is a HEAD; then the bytes are others.
        (looks > 1).then(|| object_store::Error::Precondition {
            path: path.to_string(),
            source: "If-Match".into(),
        })
    });
    assert_eq!(bed.outcome().await, "under way");
    assert!(stored(&bed).await.is_empty());
}

#[tokio::test]
async fn files_of_replaced_snapshots_stay_for_a_day() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.past_deliveries = 0;
    let bed = Bed::with(limits).await;
    bed.bucket.write(KEY, &gzip(&csv(ROWS, false)));
    bed.bucket.write_manifest("2026-06", &[KEY]);
    assert_eq!(bed.outcome().await, "published");
    let first = bed.snapshot("2026-06").unwrap().files[0].key.clone();
    bed.clock.turn(48 * 3_600);
    bed.bucket.write_manifest("2026-06", &[KEY]);
    assert_eq!(bed.outcome().await, "published");
    let second = bed.snapshot("2026-06").unwrap().files[0].key.clone();
    // Replaced just now, however old it is.
    assert_eq!(bed.importer.sweep(&export_id()).await.unwrap(), 0);
    bed.clock.turn(25 * 3_600);
    assert_eq!(bed.importer.sweep(&export_id()).await.unwrap(), 1);
    assert_eq!(stored(&bed).await, std::slice::from_ref(&second), "{first} is gone");
    assert_eq!(bed.importer.sweep(&export_id()).await.unwrap(), 0);
    // What is kept of a disconnected export stays; what is purged goes at once.
    bed.catalog.publish(&[Change::KeepExport(export_id())]).await.unwrap();
    assert_eq!(bed.importer.sweep(&export_id()).await.unwrap(), 0);
    bed.catalog.publish(&[Change::RemoveExport(export_id())]).await.unwrap();
    bed.importer.purge(&export_id()).await.unwrap();
    assert_eq!(stored(&bed).await, Vec::<String>::new());
}
