#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalog::Change;
use crate::error::ErrorKind;
use crate::limit::Limits;
use crate::principal::{Grant, Principal, Role};
use crate::session::QuerySettings;
use crate::table::fixture::{ANN, BOB, PAYER, World, parse, reader, usage};

const SUM: &str = "SELECT sub_account_id, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 1";

async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 1.0), usage(BOB, 2.0)]])
        .await;
    world
}

/// How often results were given again, and how many are kept.
async fn hits(world: &World) -> (u64, u64) {
    let watcher = Principal {
        name: "watcher".to_owned(),
        role: Role::Operator,
        grant: Grant::AllConnected,
    };
    let sql = "SELECT hits, entries FROM system.caches WHERE name = 'results'";
    let rows = world.rows(&watcher, sql).await.unwrap();
    let (hits, entries) = rows.split_once('|').unwrap();
    (hits.parse().unwrap(), entries.parse().unwrap())
}

async fn with(world: &World, sql: &str, change: impl FnOnce(&mut QuerySettings)) -> crate::error::Result<usize> {
    let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    let mut settings = QuerySettings::new(&world.limits, now);
    change(&mut settings);
    let session = world
        .builder
        .bind(world.catalog.lease(), &reader(&[]), &settings)
        .await?;
    let batches = world.run(session.plan(parse(sql)).await?).await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

#[tokio::test]
async fn a_result_is_given_again_to_those_who_see_the_same() {
    let world = world().await;
    let (all, ann) = (reader(&[]), reader(&[ANN]));
    let first = world.rows(&all, SUM).await.unwrap();
    assert_eq!(first, "000000000011|1.000000000000 000000000012|2.000000000000");
    assert_eq!(hits(&world).await, (0, 1));
    // Files that are gone would fail the statement if it were run.
    let key = Path::parse("p/main/data/BILLING_PERIOD=2026-07/main-00000.snappy.parquet").unwrap();
    let file = world.store.get(&key).await.unwrap().bytes().await.unwrap();
    world.store.delete(&key).await.unwrap();
    assert_eq!(world.rows(&all, SUM).await.unwrap(), first);
    assert_eq!(hits(&world).await, (1, 1));
    assert!(world.rows(&ann, SUM).await.is_err());
    assert!(world.rows(&all, "SELECT max(billed_cost) FROM costs").await.is_err());
    let off = with(&world, SUM, |settings| {
        settings.result_cache = crate::session::Switch::Off
    })
    .await;
    assert_eq!(off.unwrap_err().kind(), ErrorKind::SnapshotReplaced);
    world.store.put(&key, file.into()).await.unwrap();
    assert_eq!(hits(&world).await, (1, 1));
}

#[tokio::test]
async fn whatever_a_result_depends_on_is_a_part_of_its_key() {
    let world = world().await;
    let all = reader(&[]);
    let first = world.rows(&all, SUM).await.unwrap();
    assert_eq!(
        world.rows(&reader(&[ANN]), SUM).await.unwrap(),
        "000000000011|1.000000000000"
    );
    assert_eq!(world.rows(&reader(&[PAYER, ANN, BOB]), SUM).await.unwrap(), first);
    assert_eq!(
        hits(&world).await,
        (1, 2),
        "a grant of all is no other scope than a grant of each"
    );
    with(&world, SUM, |settings| settings.time_zone = "Europe/Berlin".to_owned())
        .await
        .unwrap();
    with(&world, SUM, |settings| settings.target_partitions = 7)
        .await
        .unwrap();
    with(&world, SUM, |settings| settings.rollup = crate::session::Switch::Off)
        .await
        .unwrap();
    assert_eq!(hits(&world).await, (1, 5));
    with(&world, SUM, |_| {}).await.unwrap();
    assert_eq!(hits(&world).await, (2, 5));
    // A delivery of another export leaves what does not read it.
    world.export("other", PAYER, 1).await;
    let raw = "SELECT count(*), sum(line_item_unblended_cost) FROM exports.main";
    let before = world.rows(&all, raw).await.unwrap();
    world.deliver("other", "2026-08", &[vec![usage(ANN, 4.0)]]).await;
    let (former, _) = hits(&world).await;
    assert_eq!(world.rows(&all, raw).await.unwrap(), before);
    assert_eq!(hits(&world).await.0, former + 1);
    assert_eq!(
        world.rows(&all, SUM).await.unwrap(),
        "000000000011|5.000000000000 000000000012|2.000000000000"
    );
    // A new delivery of the same.
    world.deliver("main", "2026-07", &[vec![usage(ANN, 16.0)]]).await;
    assert_eq!(world.rows(&all, SUM).await.unwrap(), "000000000011|20.000000000000");
    assert_eq!(world.rows(&all, raw).await.unwrap(), "1|16.0");
    world.publish(Change::RemoveAccount(ANN.parse().unwrap())).await;
    assert_eq!(world.rows(&all, SUM).await.unwrap(), "");
}

#[tokio::test]
async fn a_name_given_at_connection_is_a_part_of_the_key() {
    let world = world().await;
    let sql = "SELECT DISTINCT sub_account_name FROM costs WHERE sub_account_id = '000000000011'";
    let before = world.rows(&reader(&[]), sql).await.unwrap();
    let mut account = world.catalog.lease().document.accounts[&ANN.parse().unwrap()].clone();
    account.name = Some("Workshop".to_owned());
    world.publish(Change::PutAccount(account)).await;
    let after = world.rows(&reader(&[]), sql).await.unwrap();
    assert_eq!((before.as_str(), after.as_str()), ("", "Workshop"));
}

#[tokio::test]
async fn where_the_account_that_opens_an_export_is_gone_nothing_is_given_again() {
    let world = world().await;
    let ann = reader(&[ANN]);
    world.rows(&ann, SUM).await.unwrap();
    world.publish(Change::RemoveAccount(PAYER.parse().unwrap())).await;
    let error = world.rows(&ann, SUM).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
}

#[tokio::test]
async fn what_may_change_is_not_kept() {
    let world = world().await;
    let all = reader(&[]);
    for sql in [
        "SELECT random() < 2 FROM costs",
        "SELECT count(*) FROM costs WHERE random() < 2",
        "SELECT (SELECT count(*) FROM costs WHERE random() < 2) FROM costs",
        "SELECT length(uuid()::text) FROM costs LIMIT 1",
        "SELECT count(*) FROM system.caches",
        "SELECT count(*) FROM costs WHERE sub_account_id NOT IN (SELECT name FROM system.caches)",
        "SELECT count(*) FROM costs_as_of('2030-01-01')",
        "SELECT count(*) FROM costs JOIN generate_series(1, 3) s ON true",
        "EXPLAIN SELECT count(*) FROM costs",
        "SELECT 1",
    ] {
        for _ in 0..2 {
            world
                .rows(&all, sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        assert_eq!(hits(&world).await, (0, 0), "{sql}");
    }
}

#[tokio::test]
async fn now_is_a_value_in_the_key() {
    let world = world().await;
    let start: DateTime<Utc> = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    let ask = async |sql: &str, later: TimeDelta| {
        let query = world.plan(&reader(&[]), sql).await.unwrap().at(start + later);
        let batches = world.run(query).await.unwrap();
        arrow::util::pretty::pretty_format_batches(&batches)
            .unwrap()
            .to_string()
    };
    let today = "SELECT count(*), max(date_trunc('day', now())) AS today FROM costs WHERE charge_period_start IS NULL \
         OR charge_period_start < date_trunc('day', now()) + interval '1 day'";
    let first = ask(today, TimeDelta::zero()).await;
    assert!(first.contains("2026-05-28"), "{first}");
    assert_eq!(ask(today, TimeDelta::minutes(5)).await, first);
    assert_eq!(hits(&world).await, (1, 1));
    assert!(ask(today, TimeDelta::days(1)).await.contains("2026-05-29"));
    assert_eq!(hits(&world).await, (1, 2));
    let moment = "SELECT max(now()) AS at, count(*) FROM costs";
    assert_ne!(
        ask(moment, TimeDelta::zero()).await,
        ask(moment, TimeDelta::seconds(1)).await
    );
    assert_eq!(hits(&world).await, (1, 4));
    // One plan that runs at two times.
    let query = world
        .plan(&reader(&[]), "SELECT current_date AS d, current_time AS t FROM costs")
        .await
        .unwrap();
    let one = world.run(query.clone().at(start)).await.unwrap();
    let other = world.run(query.at(start + TimeDelta::days(40))).await.unwrap();
    assert_ne!(one, other);
}

#[tokio::test]
async fn what_did_not_end_well_is_not_kept() {
    let world = world().await;
    let all = reader(&[]);
    for _ in 0..2 {
        let sql = "SELECT 1 / (count(*) - 2) FROM costs";
        assert_eq!(
            world.rows(&all, sql).await.unwrap_err().kind(),
            ErrorKind::DivisionByZero
        );
    }
    assert_eq!(hits(&world).await, (0, 0));
    // Dropped after its first batch, and before its end.
    let query = world.plan(&all, SUM).await.unwrap();
    let timeout = Duration::from_secs(60);
    let mut rows = world
        .executor
        .execute(query, CancellationToken::new(), timeout)
        .await
        .unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    drop(rows);
    assert_eq!(hits(&world).await, (0, 0));
    world.rows(&all, SUM).await.unwrap();
    assert_eq!(hits(&world).await, (0, 1));
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let query = world.plan(&all, SUM).await.unwrap();
    let stopped = world.executor.execute(query, cancelled, timeout).await.err().unwrap();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.result_cache_bytes = 16 * (KEY_BYTES + 20_000);
    let world = World::limited(&[PAYER, ANN], limits).await;
    world.export("main", PAYER, 0).await;
    world.deliver("main", "2026-07", &[vec![usage(ANN, 1.0); 1_000]]).await;
    let few = "SELECT sub_account_id, billed_cost FROM costs LIMIT 100";
    let many = "SELECT sub_account_id, billed_cost FROM costs";
    for sql in [many, few, many, few] {
        world.rows(&reader(&[]), sql).await.unwrap();
    }
    assert_eq!(hits(&world).await, (1, 1));
}

#[tokio::test]
async fn a_result_does_not_keep_the_buffers_that_it_was_cut_from() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    world.deliver("main", "2026-07", &[vec![usage(ANN, 1.0); 2_000]]).await;
    let sql = "SELECT line_item_usage_account_id, line_item_unblended_cost FROM exports.main LIMIT 2";
    let first = world.rows(&reader(&[]), sql).await.unwrap();
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), first);
    let watcher = Principal {
        role: Role::Operator,
        ..reader(&[])
    };
    let bytes = world
        .rows(&watcher, "SELECT bytes FROM system.caches WHERE name = 'results'")
        .await
        .unwrap();
    assert!(bytes.parse::<u64>().unwrap() < KEY_BYTES + 4_096, "{bytes}");
}

#[tokio::test]
async fn plans_are_compared_and_not_only_their_hashes() {
    let world = world().await;
    let key = async |sql: &str| {
        let plan = world.plan(&reader(&[]), sql).await.unwrap().logical_plan().clone();
        let meaning = Meaning {
            time_zone: "UTC".to_owned(),
            target_partitions: 2,
            rollup: crate::session::Switch::On,
        };
        let mut key = ResultKey::new(plan, Vec::new(), reader_scope(&world), meaning);
        key.hash = 1;
        key
    };
    let one = key("SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000011'").await;
    assert!(one == key("SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000011'").await);
    assert!(one != key("SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000012'").await);
    let mut other = key("SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000011'").await;
    other.scope = AccountScope::of(&world.catalog.lease(), &reader(&[ANN]));
    assert!(one != other);
}

fn reader_scope(world: &World) -> AccountScope {
    AccountScope::of(&world.catalog.lease(), &reader(&[]))
}

#[tokio::test]
async fn others_see_nothing_of_the_caches() {
    let world = world().await;
    for principal in [
        reader(&[]),
        Principal {
            role: Role::Admin,
            ..reader(&[ANN])
        },
    ] {
        assert_eq!(world.rows(&principal, "SELECT * FROM system.caches").await.unwrap(), "");
    }
}
