//! Past deliveries: what is kept of those that were replaced, and the import of those made before the export was connected.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::super::past::PastOutcome;
use super::super::*;
use super::bed::*;
use crate::catalog::{Archive, KnownDelivery, PastFiles};

fn june() -> BillingPeriod {
    month("2026-06")
}

/// The known deliveries of June: the cost of each, whether it can be read, and a star at the published one.
async fn known(bed: &Bed) -> String {
    let archive = Archive::new(bed.catalog.state_store());
    let mut shown = Vec::new();
    for KnownDelivery {
        snapshot,
        current,
        readable,
        ..
    } in bed.catalog.lease().deliveries(&export_id(), june())
    {
        let snapshot = archive.snapshot(&export_id(), june(), &snapshot).await.unwrap();
        let cost = snapshot.owner_totals()[0].unblended["USD"].to_string();
        let cost = cost.split('.').next().unwrap().to_owned();
        let star = if current { "*" } else { "" };
        let gone = if readable { "" } else { " gone" };
        shown.push(format!("{cost}{star}{gone}"));
    }
    shown.join(", ")
}

async fn documents(bed: &Bed) -> Vec<String> {
    let listed = bed.state.inner.list(Some(&Path::from("snapshots")));
    let mut names: Vec<String> = listed
        .map_ok(|object| object.location.to_string())
        .try_collect()
        .await
        .unwrap();
    names.sort();
    names
}

async fn import_past(bed: &Bed) -> PastOutcome {
    let never = CancellationToken::new();
    let summary = bed
        .importer
        .import_past(&export_id(), &NoProgress, &never)
        .await
        .unwrap();
    let [(period, outcome)] = <[_; 1]>::try_from(summary.periods).unwrap();
    assert_eq!(period, june());
    outcome
}

fn told(outcome: &PastOutcome) -> (u32, u32, u32) {
    assert!(outcome.failed.is_none(), "{outcome:?}");
    (outcome.imported, outcome.known, outcome.skipped)
}

#[tokio::test]
async fn what_is_written_over_is_known_to_be_gone_and_what_lies_apart_stays() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0), one_row(2.0)]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(known(&bed).await, "3*");
    bed.bucket.deliver("2026-06", &[one_row(4.0)]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(known(&bed).await, "3 gone, 4*");
    // The export gives each delivery a folder of its own from now on.
    for cost in [5.0, 6.0] {
        bed.bucket.deliver_in_folder("2026-06", &[one_row(cost)], cost as i64);
        assert_eq!(bed.outcome().await, "published");
    }
    assert_eq!(known(&bed).await, "3 gone, 4, 5, 6*");
    // The same bytes delivered again can still be read under the former ETags.
    bed.bucket.deliver_in_folder("2026-06", &[one_row(7.0)], 7);
    assert_eq!(bed.outcome().await, "published");
    let key = bed.snapshot("2026-06").unwrap().files[0].key.clone();
    bed.bucket.write_manifest("2026-06", &[&key]);
    bed.bucket.change_manifest("2026-06", |manifest| {
        manifest.last_modified += chrono::TimeDelta::seconds(8)
    });
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(known(&bed).await, "3 gone, 4, 5, 6, 7, 7*");
    assert_eq!(
        bed.again().await.catalog.lease().document,
        bed.catalog.lease().document,
        "after a restart"
    );
}

#[tokio::test]
async fn as_many_as_the_limit_says_are_kept() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.past_deliveries = 2;
    let bed = Bed::with(limits).await;
    for cost in 1..=5_i32 {
        bed.bucket
            .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
        assert_eq!(bed.outcome().await, "published");
        bed.clock.turn(60);
    }
    assert_eq!(known(&bed).await, "3, 4, 5*");
    // Two documents for each import; those of two are dropped, and removed a day after the newest import.
    assert_eq!(documents(&bed).await.len(), 10);
    bed.importer.sweep(&export_id()).await.unwrap();
    assert_eq!(documents(&bed).await.len(), 10);
    bed.clock.turn(25 * 3_600);
    bed.importer.sweep(&export_id()).await.unwrap();
    assert_eq!(documents(&bed).await.len(), 6);
    assert_eq!(known(&bed).await, "3, 4, 5*");
    // Kept with the export, back with it, and gone with a purge.
    bed.catalog.publish(&[Change::KeepExport(export_id())]).await.unwrap();
    assert_eq!(known(&bed).await, "");
    bed.importer.sweep(&export_id()).await.unwrap();
    assert_eq!(documents(&bed).await.len(), 6);
    bed.catalog
        .publish(&[Change::PutExport(export(in_bucket()))])
        .await
        .unwrap();
    assert_eq!(known(&bed).await, "3, 4, 5*");
    bed.catalog.publish(&[Change::RemoveExport(export_id())]).await.unwrap();
    assert_eq!(bed.importer.purge(&export_id()).await.unwrap(), 3);
    assert_eq!(documents(&bed).await, Vec::<String>::new());
    assert!(bed.catalog.lease().document.past.is_empty());
}

#[tokio::test]
async fn deliveries_made_before_the_export_was_connected_are_imported_when_asked_for() {
    let bed = Bed::new().await;
    for cost in 1..=4_i32 {
        bed.bucket
            .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
    }
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(known(&bed).await, "4*", "the latest alone by itself");
    assert_eq!(told(&import_past(&bed).await), (3, 0, 0));
    assert_eq!(known(&bed).await, "1, 2, 3, 4*");
    assert_eq!(told(&import_past(&bed).await), (0, 3, 0), "nothing twice");
    // The next delivery makes the published one a past one, which then is known.
    bed.bucket.deliver_in_folder("2026-06", &[one_row(5.0)], 5);
    assert_eq!(told(&import_past(&bed).await), (0, 3, 0), "a newer one is no past one");
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(told(&import_past(&bed).await), (0, 4, 0));
    assert_eq!(known(&bed).await, "1, 2, 3, 4, 5*");
}

#[tokio::test]
async fn the_newest_ones_within_the_limit_are_imported() {
    let mut limits = Limits::for_machine(2, 1 << 30);
    limits.past_deliveries = 2;
    let bed = Bed::with(limits).await;
    for cost in 1..=5_i32 {
        bed.bucket
            .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
    }
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(told(&import_past(&bed).await), (2, 0, 0));
    assert_eq!(known(&bed).await, "3, 4, 5*");
    assert_eq!(told(&import_past(&bed).await), (0, 2, 0));
}

#[tokio::test]
async fn a_past_delivery_that_cannot_be_read_is_skipped_with_its_reason() {
    let bed = Bed::new().await;
    for cost in 1..=5_i32 {
        bed.bucket
            .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
    }
    // The second one's file is gone; the third one's manifest is damaged.
    let keys: Vec<String> = bed.bucket.executions.lock().unwrap().keys().cloned().collect();
    let lost = bed.bucket.executions.lock().unwrap()[&keys[1]]
        .clone()
        .unwrap()
        .manifest
        .files[0]
        .clone();
    bed.bucket
        .files
        .inner
        .delete(&Path::parse(&lost).unwrap())
        .await
        .unwrap();
    bed.bucket.executions.lock().unwrap().insert(keys[2].clone(), None);
    assert_eq!(bed.outcome().await, "published");
    for round in 0..2 {
        let outcome = import_past(&bed).await;
        assert_eq!(
            (outcome.imported + outcome.known, outcome.skipped),
            (2, 2),
            "round {round}"
        );
        assert_eq!(known(&bed).await, "1, 4, 5*");
        let past: Vec<_> = bed.runs.entries().into_iter().filter(|(_, run)| run.past).collect();
        let failed: Vec<String> = past
            .iter()
            .filter(|(_, run)| run.state == ImportState::Failed)
            .map(|(_, run)| run.message.clone().unwrap())
            .collect();
        assert_eq!(past.len(), 4, "one record for each, however often it is tried");
        assert_eq!(failed.len(), 2);
        assert!(failed.iter().any(|message| message.contains(&lost)), "{failed:?}");
        assert!(failed.iter().any(|message| message.contains("not JSON")), "{failed:?}");
    }
    // The month itself has no trouble, and stays as it is.
    assert!(bed.importer.troubles(&export_id()).is_empty());
    assert_eq!(bed.outcome().await, "unchanged");
    let failed = bed
        .runs
        .entries()
        .into_iter()
        .filter(|(_, run)| run.state == ImportState::Failed);
    assert_eq!(failed.count(), 2, "the reasons stay");
}

#[tokio::test]
async fn an_import_of_past_deliveries_that_is_stopped_goes_on_at_the_next_call() {
    for reads in 1..12 {
        let bed = Bed::new().await;
        for cost in 1..=4_i32 {
            bed.bucket
                .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
        }
        assert_eq!(bed.outcome().await, "published");
        let cancel = CancellationToken::new();
        let (trigger, mut left) = (cancel.clone(), reads);
        bed.bucket.set_fault(move |_| {
            left -= 1;
            if left == 0 {
                trigger.cancel();
            }
            None
        });
        let stopped = bed.importer.import_past(&export_id(), &NoProgress, &cancel).await;
        match (stopped, cancel.is_cancelled()) {
            (Err(error), true) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{reads}"),
            (Ok(_), false) => {}
            other => panic!("{reads}: {other:?}"),
        }
        *bed.bucket.files.fault.lock().unwrap() = None;
        let restarted = bed.again().await;
        let outcome = import_past(&restarted).await;
        assert_eq!(outcome.imported + outcome.known, 3, "{reads}");
        assert_eq!(known(&restarted).await, "1, 2, 3, 4*", "{reads}");
        assert!(restarted.runs.entries().iter().all(|(_, run)| run.state.is_final()));
    }
}

#[tokio::test]
async fn a_server_that_stops_while_it_writes_a_past_delivery_leaves_what_the_next_call_completes() {
    for writes in 0..12 {
        let bed = Bed::new().await;
        for cost in 1..=2_i32 {
            bed.bucket
                .deliver_in_folder("2026-06", &[one_row(cost.into())], cost.into());
        }
        assert_eq!(bed.outcome().await, "published");
        *bed.state.writes_left.lock().unwrap() = Some(writes);
        let never = CancellationToken::new();
        let _ = bed.importer.import_past(&export_id(), &NoProgress, &never).await;
        *bed.state.writes_left.lock().unwrap() = None;
        let restarted = bed.again().await;
        assert_eq!(known(&restarted).await.split(", ").last(), Some("2*"), "{writes}");
        let outcome = import_past(&restarted).await;
        assert_eq!(outcome.imported + outcome.known, 1, "{writes}");
        assert_eq!(known(&restarted).await, "1, 2*", "{writes}");
    }
}

#[tokio::test]
async fn totals_by_service_are_those_on_paper() {
    let bed = Bed::new().await;
    let rows: Rows<'_> = &[
        (Some(ONE), Some(PAYER), "USD", Some(0.1)),
        (Some(ONE), Some(PAYER), "USD", Some(0.2)),
        (Some(ONE), Some(PAYER), "CNY", Some(7.0)),
        (Some(TWO), Some(PAYER), "USD", Some(-1.5)),
        (None, Some(PAYER), "USD", None),
    ];
    let services = ["AmazonEC2", "AmazonEC2", "AmazonEC2", "AmazonS3", ""];
    let with_services = |services: &[&str]| {
        let mut columns = columns(rows);
        let codes: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(services.to_vec()));
        columns.push(("line_item_product_code", codes));
        parquet(columns)
    };
    let other = ["AmazonS3", "AmazonEC2", "AmazonEC2", "AmazonS3", ""];
    bed.bucket
        .deliver("2026-06", &[with_services(&services), with_services(&other)]);
    assert_eq!(bed.outcome().await, "published");
    let snapshot = bed.snapshot("2026-06").unwrap();
    let archive = Archive::new(bed.catalog.state_store());
    let totals = archive
        .totals(&export_id(), june(), &snapshot.id)
        .await
        .unwrap()
        .unwrap();
    let mut shown: Vec<String> = totals
        .lines
        .iter()
        .map(|line| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let account = line.key.owner.usage_account.map_or("-".to_owned(), |id| id.to_string());
            let (service, currency) = (text(&line.key.service), text(&line.key.currency));
            format!("{account} {service} {currency} {} {}", line.sum.rows, line.sum.cost)
        })
        .collect();
    shown.sort();
    // EC2 of the first account: 0.1 + 0.2 + 0.2 in three rows; what of it is S3 in the second file: 0.1.
    assert_eq!(
        shown,
        [
            "- - USD 2 0.000000000000".to_owned(),
            format!("{ONE} AmazonEC2 CNY 2 14.000000000000"),
            format!("{ONE} AmazonEC2 USD 3 0.500000000000"),
            format!("{ONE} AmazonS3 USD 1 0.100000000000"),
            format!("{TWO} AmazonS3 USD 2 -3.000000000000"),
        ]
    );
    let names: Vec<(&str, &str)> = totals
        .account_names
        .iter()
        .map(|(id, name)| (id.as_str(), name.as_str()))
        .collect();
    assert_eq!(names, [(ONE, "one"), (TWO, "two")]);
    let again = serde_json::to_string(totals.as_ref()).unwrap();
    let again: crate::snapshot::services::ServiceTotals = serde_json::from_str(&again).unwrap();
    assert_eq!(again, *totals);
}

#[tokio::test]
async fn a_catalog_without_past_deliveries_is_read() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let text = serde_json::to_string(&bed.catalog.lease().document).unwrap();
    assert!(!text.contains("\"past\""), "nothing is kept, nothing is written");
    let document: crate::catalog::CatalogDocument = serde_json::from_str(&text).unwrap();
    assert_eq!(document, bed.catalog.lease().document);
    bed.bucket.deliver("2026-06", &[one_row(2.0)]);
    assert_eq!(bed.outcome().await, "published");
    let lease = bed.catalog.lease();
    let past = &lease.document.past[&export_id()][&june()];
    assert_eq!((past.len(), past[0].files), (1, PastFiles::Replaced));
}
