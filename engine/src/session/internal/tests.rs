#![allow(clippy::unwrap_used, clippy::panic)]

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use futures::TryStreamExt;

use super::*;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, World, usage};

/// Rows of connected and other accounts, of a payer alone, and of nobody.
async fn world() -> World {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    let mut of_payer = usage(ANN, 32.0);
    of_payer.insert("line_item_usage_account_id", Cell::Text(""));
    let mut of_nobody = of_payer.clone();
    of_nobody.insert("bill_payer_account_id", Cell::Text(""));
    world
        .deliver(
            "main",
            "2026-07",
            &[
                vec![usage(ANN, 1.0), usage(HIDDEN, 2.0)],
                vec![usage(BOB, 4.0), of_payer, of_nobody],
            ],
        )
        .await;
    world.deliver("main", "2026-06", &[vec![usage(ANN, 64.0)]]).await;
    world
}

fn scan(table: SnapshotTable) -> LogicalPlan {
    let name = TableReference::bare("whole");
    LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)
        .unwrap()
        .build()
        .unwrap()
}

async fn rows(session: &BoundSession, table: SnapshotTable) -> Result<usize> {
    let query = session.bind_plan(scan(table))?;
    let batches: Vec<_> = query.stream().await?.try_collect().await.map_err(datafusion_error)?;
    Ok(batches.iter().map(|batch| batch.num_rows()).sum())
}

#[tokio::test]
async fn all_rows_of_one_snapshot_but_nobodys_are_read_whoever_is_connected() {
    let world = world().await;
    let lease = world.catalog.lease();
    let (id, export) = lease.document.exports.iter().next().unwrap();
    let snapshot = &lease.snapshots[id][&"2026-07".parse().unwrap()];
    let whole = || {
        let builder = &world.builder;
        builder
            .whole_snapshot(&lease, export, snapshot, Audience::Statement)
            .unwrap()
    };
    let session = world
        .builder
        .internal(Arc::clone(&lease), AccountScope::of_snapshot(snapshot))
        .unwrap();
    assert_eq!(rows(&session, whole()).await.unwrap(), 4);
    // A session of another scope does not run it: the check of the account filter holds here as well.
    let other = AccountScope::of_snapshot(&lease.snapshots[id][&"2026-06".parse().unwrap()]);
    let session = world.builder.internal(Arc::clone(&lease), other).unwrap();
    let error = rows(&session, whole()).await.unwrap_err();
    assert!(error.to_string().contains("another account scope"), "{error}");
}

#[tokio::test]
async fn the_scope_of_a_snapshot_is_its_owners_payers_of_rows_without_account_included() {
    let world = world().await;
    let lease = world.catalog.lease();
    let snapshot = &lease.snapshots.values().next().unwrap()[&"2026-07".parse().unwrap()];
    let scope = AccountScope::of_snapshot(snapshot);
    let seen: Vec<&str> = scope.accounts().iter().map(|account| account.as_str()).collect();
    let mut owners = vec![PAYER, ANN, BOB, HIDDEN];
    owners.sort_unstable();
    assert_eq!(seen, owners);
}
