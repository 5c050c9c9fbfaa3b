#![allow(clippy::unwrap_used, clippy::panic)]

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::*;
use crate::catalog::Export;
use crate::table::fixture::{ANN, PAYER, World, parquet, reader, usage};

/// A query that computes for minutes.
const ENDLESS: &str =
    "SELECT sum(a.value * b.value % 7) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";

async fn world() -> World {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 1.0)], vec![usage(ANN, 2.0)]])
        .await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_ends_a_query_and_frees_its_slot() {
    let world = world().await;
    for _ in 0..3 {
        let query = world.plan(&reader(&[]), ENDLESS).await.unwrap();
        let timeout = Duration::from_millis(100);
        let stream = world
            .executor
            .execute(query, CancellationToken::new(), timeout)
            .await
            .unwrap();
        let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_ends_a_query() {
    let world = world().await;
    let query = world.plan(&reader(&[]), ENDLESS).await.unwrap();
    let cancel = CancellationToken::new();
    let stream = world
        .executor
        .execute(query, cancel.clone(), Duration::from_secs(60))
        .await
        .unwrap();
    cancel.cancel();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_refuses_and_a_dropped_stream_makes_room() {
    let world = world().await;
    let start = async || {
        let query = world.plan(&reader(&[]), ENDLESS).await.unwrap();
        world
            .executor
            .execute(query, CancellationToken::new(), Duration::from_secs(60))
            .await
    };
    let running = (start().await.unwrap(), start().await.unwrap());
    let error = start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Admission, "{error}");
    drop(running.0);
    let third = start().await;
    assert!(third.is_ok());
}

#[tokio::test]
async fn a_replaced_or_removed_file_is_noticed() {
    let world = world().await;
    let query = async |what: &str| {
        let sql = format!("SELECT {what}(line_item_unblended_cost) FROM exports.main");
        world.plan(&reader(&[]), &sql).await.unwrap()
    };
    // Another statement each time, since a result is given again without looking at the files.
    assert!(world.run(query("sum").await).await.is_ok());
    let export: &Export = &world.catalog.lease().document.exports.values().next().unwrap().clone();
    let key = Path::parse(format!(
        "p/{0}/data/BILLING_PERIOD=2026-07/{0}-00000.snappy.parquet",
        export.id
    ))
    .unwrap();
    world.store.put(&key, parquet(&[usage(ANN, 9.0)]).into()).await.unwrap();
    let error = world.run(query("min").await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SnapshotReplaced, "{error:?}");
    world.store.delete(&key).await.unwrap();
    assert_eq!(
        world.run(query("max").await).await.unwrap_err().kind(),
        ErrorKind::SnapshotReplaced
    );
}

#[tokio::test]
async fn failures_are_told_apart() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.query_memory = 1 << 20;
    let world = World::limited(&[PAYER, ANN], limits).await;
    world.export("main", PAYER, 0).await;
    for (sql, kind) in [
        ("SELECT 1 / 0", ErrorKind::DivisionByZero),
        ("SELECT billed FROM costs", ErrorKind::UnknownColumn),
        ("SELECT billed_cost FROM costs a, costs b", ErrorKind::AmbiguousColumn),
        ("SELECT * FROM nothing", ErrorKind::UnknownTable),
        ("SELECT * FROM other.costs", ErrorKind::UnknownTable),
        ("SELECT * FROM exports.nothing", ErrorKind::UnknownTable),
        ("SELECT nonsense(1)", ErrorKind::UnknownFunction),
        ("SELECT CAST('x' AS INT)", ErrorKind::BadValue),
        ("SELECT CAST(3000000000 AS INT)", ErrorKind::OutOfRange),
        ("SELECT sum(true)", ErrorKind::UnknownFunction),
        ("SELECT input_file_name() FROM costs", ErrorKind::UnknownFunction),
        (
            "SELECT a.value FROM generate_series(1, 5000000) a JOIN generate_series(1, 5000000) b ON a.value = b.value
          ORDER BY a.value % 77",
            ErrorKind::Memory,
        ),
        ("SELECT $1 + 1", ErrorKind::BadValue),
    ] {
        let error = match world.rows(&reader(&[]), sql).await {
            Ok(rows) => panic!("{sql}: {rows}"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), kind, "{sql}: {error:?}");
        for leak in ["DataFusionError", "backtrace", "\n", "ArrowError"] {
            assert!(!error.message().contains(leak), "{sql}: {error}");
        }
    }
}
