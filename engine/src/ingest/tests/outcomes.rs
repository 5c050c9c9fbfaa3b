//! How imports end: published, unchanged, waiting, under way, failed; and that a former snapshot stands meanwhile.

use std::sync::Mutex;

use super::super::*;
use super::bed::*;
use crate::catalog::Change;
use crate::port::LocationRoot;

const FIRST: &str = "p/e/data/BILLING_PERIOD=2026-06/e-00001.snappy.parquet";

#[tokio::test]
async fn without_news_a_period_costs_one_request() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0), one_row(2.0)]);
    assert_eq!(bed.outcome().await, "published");
    let first = bed.bucket.requests();
    assert_eq!(first[..3], ["probe", "manifest 2026-06", "manifest 2026-06"]);
    assert_eq!(first.iter().filter(|request| request.starts_with("HEAD")).count(), 2);
    let (version, snapshot) = (bed.catalog.lease().document.version, bed.snapshot("2026-06").unwrap());
    let runs = bed.runs.entries().len();
    assert_eq!(bed.outcome().await, "unchanged");
    assert_eq!(bed.bucket.requests(), ["probe", "manifest 2026-06"]);
    assert_eq!(
        bed.catalog.lease().document.version,
        version,
        "no version without a change"
    );
    assert_eq!(bed.snapshot("2026-06").unwrap().id, snapshot.id);
    assert_eq!(bed.runs.entries().len(), runs, "no record either");
}

#[tokio::test]
async fn a_restated_period_is_replaced_whole() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0), one_row(2.0)]);
    bed.bucket.deliver("2026-05", &[one_row(8.0)]);
    let outcomes = bed.outcomes().await;
    assert!(outcomes.values().all(|outcome| outcome == "published"), "{outcomes:?}");
    let before = bed.catalog.lease();
    // Fewer files than before: what is left over in the bucket is no data.
    bed.bucket.deliver("2026-06", &[one_row(4.0)]);
    let outcomes = bed.outcomes().await;
    assert_eq!(
        (outcomes["2026-05"].as_str(), outcomes["2026-06"].as_str()),
        ("unchanged", "published")
    );
    let sum = |snapshot: &Snapshot| snapshot.owner_totals()[0].unblended["USD"].to_string();
    assert_eq!(sum(&bed.snapshot("2026-06").unwrap()), "4.000000000000");
    assert_eq!(sum(&bed.snapshot("2026-05").unwrap()), "8.000000000000");
    let held = &before.snapshots[&export_id()][&month("2026-06")];
    assert_eq!(sum(held), "3.000000000000", "a statement keeps what it began with");
    assert_eq!(bed.runs.entries().len(), 3, "one record for each delivery");
}

#[tokio::test]
async fn torn_deliveries_wait() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let former = bed.snapshot("2026-06").unwrap();

    // A file is newer than its manifest.
    bed.bucket.deliver("2026-06", &[one_row(2.0)]);
    bed.bucket.change_manifest("2026-06", |manifest| {
        manifest.last_modified -= chrono::TimeDelta::seconds(10);
    });
    assert_eq!(bed.outcome().await, "under way");
    let run = bed.run(Some("2026-06")).unwrap();
    assert_eq!((run.state, run.attempts), (ImportState::Waiting, 1));
    assert!(
        run.message
            .unwrap()
            .contains("e-00001.snappy.parquet is newer than its manifest")
    );
    assert_eq!(bed.outcome().await, "under way");
    assert_eq!(bed.run(Some("2026-06")).unwrap().attempts, 2);
    assert_eq!(bed.runs.entries().len(), 2, "two tries of one delivery are one record");

    // The manifest changes between its two readings.
    let bucket = Arc::downgrade(&bed.bucket);
    bed.bucket.deliver("2026-06", &[one_row(3.0)]);
    bed.bucket.set_fault(move |_| {
        let bucket = bucket.upgrade()?;
        bucket.change_manifest("2026-06", |manifest| manifest.e_tag.push('x'));
        None
    });
    assert_eq!(bed.outcome().await, "under way");
    assert!(
        bed.run(Some("2026-06"))
            .unwrap()
            .message
            .unwrap()
            .contains("replaced the manifest")
    );

    // A file is overwritten between the look-up and the reading: 412 to every later read.
    let (bucket, mut reads) = (Arc::downgrade(&bed.bucket), 0);
    bed.bucket.set_fault(move |_| {
        reads += 1;
        if reads == 2 {
            bucket.upgrade()?.write(FIRST, &one_row(9.0));
        }
        None
    });
    assert_eq!(bed.outcome().await, "under way");
    let message = bed.run(Some("2026-06")).unwrap().message.unwrap();
    assert!(message.contains("AWS replaced p/e/data/"), "{message}");

    assert_eq!(bed.snapshot("2026-06").unwrap(), former, "the former snapshot stands");
    *bed.bucket.files.fault.lock().unwrap() = None;
    bed.bucket.deliver("2026-06", &[one_row(5.0)]);
    assert_eq!(bed.outcome().await, "published");
}

#[tokio::test]
async fn broken_deliveries_fail_and_the_former_snapshot_stands() {
    let whole = one_row(2.0);
    let mut corrupt = file(&[(Some(ONE), Some(PAYER), "USD", Some(1.0)); 40]);
    for byte in &mut corrupt[4..400] {
        *byte ^= 0x5a;
    }
    let cases: [(Vec<u8>, &str); 4] = [
        (whole[..whole.len() - 7].to_vec(), "cannot be read as Parquet"),
        (whole[..3].to_vec(), "cannot be read as Parquet"),
        (
            b"<html>this is no Parquet file at all</html>".to_vec(),
            "cannot be read as Parquet",
        ),
        (corrupt, "e-00001"),
    ];
    for (bytes, message) in cases {
        let bed = Bed::new().await;
        bed.bucket.deliver("2026-06", &[one_row(1.0)]);
        assert_eq!(bed.outcome().await, "published");
        let former = bed.snapshot("2026-06");
        bed.bucket.deliver("2026-06", &[bytes]);
        let outcome = bed.outcome().await;
        assert!(outcome.starts_with("BrokenDelivery"), "{outcome}");
        assert!(outcome.contains(message) && outcome.contains(FIRST), "{outcome}");
        let run = bed.run(Some("2026-06")).unwrap();
        assert_eq!(run.state, ImportState::Failed);
        assert!(outcome.contains(run.message.as_deref().unwrap()) && run.hint.is_some());
        assert_eq!(bed.snapshot("2026-06"), former);
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    bed.bucket.write_manifest("2026-06", &[FIRST, "p/e/data/gone.parquet"]);
    let outcome = bed.outcome().await;
    assert!(outcome.starts_with("BrokenDelivery: p/e/metadata/"), "{outcome}");
    assert!(
        outcome.contains("p/e/data/gone.parquet, which does not exist"),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_file_named_twice_counts_once() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.5)]);
    bed.bucket.write_manifest("2026-06", &[FIRST, FIRST]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(bed.snapshot("2026-06").unwrap().rows(), 1);
    let slashed = format!("/{FIRST}");
    let cases: [(&[&str], &str); 2] = [
        (&[FIRST, &slashed], "names one file as"),
        (&["p//e/data/x.parquet"], "no readable key"),
    ];
    for (keys, message) in cases {
        bed.bucket.write_manifest("2026-06", keys);
        let outcome = bed.outcome().await;
        assert!(outcome.contains(message), "{outcome}");
    }
    // Nor does a file count in two periods.
    bed.bucket.write_manifest("2026-07", &[FIRST]);
    let outcomes = bed.outcomes().await;
    assert!(
        outcomes["2026-07"].contains("which belongs to 2026-06 already"),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn one_bad_period_never_stops_the_others() {
    let bed = Bed::new().await;
    for period in ["2026-03", "2026-04", "2026-05", "2026-06"] {
        bed.bucket.deliver(period, &[one_row(1.0)]);
    }
    bed.bucket.deliver("2026-05", &[b"PAR1".to_vec()]);
    bed.bucket.unreadable.lock().unwrap().push(month("2026-03"));
    let outcomes = bed.outcomes().await;
    assert_eq!(outcomes["2026-04"], "published");
    assert_eq!(outcomes["2026-06"], "published");
    assert_eq!(outcomes["2026-03"], "BrokenDelivery: the manifest is not JSON");
    assert!(outcomes["2026-05"].starts_with("BrokenDelivery"));
    assert_eq!(bed.catalog.lease().document.snapshots[&export_id()].len(), 2);
    assert_eq!(bed.run(Some("2026-03")).unwrap().state, ImportState::Failed);
}

#[tokio::test]
async fn refusals_pass_through_as_they_come() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    bed.bucket.set_fault(|path| {
        let refused = Error::new(
            ErrorKind::AwsRefused,
            "AWS refused s3:GetObject on arn:aws:s3:::example-bucket/p",
        )
        .with_hint("Allow it.")
        .with_detail("request id R");
        Some(object_store::Error::PermissionDenied {
            path: path.to_string(),
            source: Box::new(refused),
        })
    });
    let mut outcomes = bed.import().await;
    let Some((_, PeriodOutcome::Failed(error))) = outcomes.pop() else {
        panic!("not failed");
    };
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
    assert_eq!(
        (error.hint(), error.detail()),
        (Some("Allow it."), Some("request id R"))
    );
    bed.bucket.set_fault(|path| {
        Some(object_store::Error::Generic {
            store: "S3",
            source: format!("authorization: secret-looking text for {path}").into(),
        })
    });
    let outcome = bed.outcome().await;
    assert!(
        outcome.starts_with("AwsUnreachable") && !outcome.contains("authorization"),
        "{outcome}"
    );
}

#[tokio::test]
async fn nothing_delivered_is_waiting_and_an_unknown_export_an_error() {
    let bed = Bed::new().await;
    assert!(bed.import().await.is_empty());
    let run = bed.run(None).unwrap();
    assert_eq!(run.state, ImportState::Waiting);
    let message = run.message.unwrap();
    assert!(
        message.contains("24 hours") && message.contains("s3://example-bucket/p/e"),
        "{message}"
    );
    assert!(message.contains("p/elsewhere"), "{message}");
    let never = CancellationToken::new();
    let unknown = bed
        .importer
        .import_export(&"nowhere".parse().unwrap(), &NoProgress, &never)
        .await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::Missing);
    // The bucket cannot be reached: nothing could be tried.
    *bed.bucket.down.lock().unwrap() = Some(|| Error::new(ErrorKind::AwsUnreachable, "no route"));
    let down = bed.importer.import_export(&export_id(), &NoProgress, &never).await;
    assert_eq!(down.unwrap_err().message(), "no route");
    assert_eq!(bed.run(None).unwrap().state, ImportState::Failed);
    // And once there is something, the export as a whole is no longer open.
    *bed.bucket.down.lock().unwrap() = None;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(bed.run(None).unwrap().state, ImportState::Unchanged);
}

#[tokio::test]
async fn a_manifest_that_vanished_leaves_the_snapshot() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let former = bed.snapshot("2026-06").unwrap();
    let manifest = bed.bucket.manifests.lock().unwrap().remove(&month("2026-06")).unwrap();
    assert_eq!(bed.outcome().await, "waiting");
    assert_eq!(bed.snapshot("2026-06").unwrap(), former);
    assert!(bed.run(Some("2026-06")).unwrap().message.unwrap().contains("stays"));
    bed.bucket.manifests.lock().unwrap().insert(month("2026-06"), manifest);
    assert_eq!(bed.outcome().await, "unchanged");
    assert_eq!(bed.run(Some("2026-06")).unwrap().state, ImportState::Unchanged);
}

#[tokio::test]
async fn in_a_folder_older_copies_of_the_manifest_are_taken_once_files_have_settled() {
    let bed = Bed::new().await;
    let folder = LocationRoot::Folder("/folder".into());
    bed.catalog.publish(&[Change::PutExport(export(folder))]).await.unwrap();
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    bed.bucket.change_manifest("2026-06", |manifest| {
        manifest.last_modified -= chrono::TimeDelta::hours(1);
    });
    assert_eq!(bed.outcome().await, "under way");
    bed.clock.turn(120);
    assert_eq!(bed.outcome().await, "published");
}

#[tokio::test]
async fn two_imports_at_once_do_the_work_once() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    let (one, two) = tokio::join!(bed.outcome(), bed.outcome());
    assert_eq!((one.as_str(), two.as_str()), ("published", "unchanged"));
    let gets = bed
        .bucket
        .requests()
        .iter()
        .filter(|request| request.starts_with("GET"))
        .count();
    assert!(gets <= 2, "the file was read once: {gets}");
}

#[tokio::test]
async fn servers_that_share_a_state_publish_a_delivery_once_and_lose_no_change() {
    let bed = Bed::new().await;
    let other = bed.again().await;
    for period in ["2026-04", "2026-05", "2026-06"] {
        bed.bucket.deliver(period, &[one_row(1.0)]);
    }
    let (one, two) = tokio::join!(bed.outcomes(), other.outcomes());
    for period in ["2026-04", "2026-05", "2026-06"] {
        let both = [one[period].as_str(), two[period].as_str()];
        assert!(both.contains(&"published"), "{one:?} {two:?}");
    }
    let seen = bed.again().await.catalog.lease();
    assert_eq!(seen.document.snapshots[&export_id()].len(), 3);
}

#[tokio::test]
async fn an_older_delivery_never_replaces_a_newer_one() {
    let bed = Bed::new().await;
    let other = Arc::new(bed.again().await);
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    // While this server reads, the other one publishes the next delivery; the manifest then shows the old one again, as a
    // read from a lagging replica would.
    let old = bed.bucket.manifests.lock().unwrap()[&month("2026-06")].clone();
    let newer = Snapshot {
        id: "newer".parse().unwrap(),
        manifest_e_tag: "\"newer\"".to_owned(),
        delivered_at: old.last_modified + chrono::TimeDelta::hours(1),
        ..prototype(&bed).await
    };
    let (publisher, once) = (Arc::clone(&other), Mutex::new(Some(newer)));
    bed.bucket.set_fault(move |_| {
        let newer = once.lock().unwrap().take()?;
        let change = Change::PutSnapshot {
            export: export_id(),
            period: newer.period,
            snapshot: newer.id.clone(),
        };
        let catalog = Arc::clone(&publisher.catalog);
        futures::executor::block_on(async {
            catalog.write_snapshot(&newer).await.unwrap();
            catalog.publish(&[change]).await.unwrap();
        });
        None
    });
    assert_eq!(bed.outcome().await, "unchanged");
    assert_eq!(bed.snapshot("2026-06").unwrap().id.as_str(), "newer");
    assert_eq!(bed.run(Some("2026-06")).unwrap().state, ImportState::Unchanged);
}

/// A snapshot as an import would make it.
async fn prototype(bed: &Bed) -> Snapshot {
    let scratch = Bed::new().await;
    scratch.bucket.deliver("2026-06", &[one_row(6.0)]);
    assert_eq!(scratch.outcome().await, "published");
    assert!(bed.snapshot("2026-06").is_none());
    Snapshot::clone(&scratch.snapshot("2026-06").unwrap())
}

#[tokio::test]
async fn an_export_that_is_removed_or_moved_meanwhile_gets_no_snapshot() {
    let elsewhere = || {
        let mut moved = export(in_bucket());
        moved.location.prefix = "elsewhere".to_owned();
        moved
    };
    let cases = [
        (Change::RemoveExport(export_id()), "was removed meanwhile"),
        (Change::PutExport(elsewhere()), "was moved to another location"),
    ];
    for (change, message) in cases {
        let bed = Bed::new().await;
        bed.bucket.deliver("2026-06", &[one_row(1.0)]);
        let (catalog, once) = (Arc::clone(&bed.catalog), Mutex::new(Some(change)));
        bed.bucket.set_fault(move |_| {
            let change = once.lock().unwrap().take()?;
            futures::executor::block_on(catalog.publish(&[change])).unwrap();
            None
        });
        let outcome = bed.outcome().await;
        assert!(outcome.contains(message), "{outcome}");
        assert!(bed.snapshot("2026-06").is_none());
    }
}

#[tokio::test]
async fn progress_tells_each_step() {
    struct Steps(Mutex<Vec<(ImportState, u64, u64, u64)>>);
    impl ImportProgress for Steps {
        fn period(&self, event: &PeriodEvent) {
            assert_eq!((event.period, &event.export), (month("2026-06"), &export_id()));
            let step = (event.state, event.files_read, event.files, event.rows);
            self.0.lock().unwrap().push(step);
        }
    }
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0), one_row(1.0)]);
    let steps = Steps(Mutex::default());
    let never = CancellationToken::new();
    bed.importer.import_export(&export_id(), &steps, &never).await.unwrap();
    let expected = [
        (ImportState::Fetching, 0, 0, 0),
        (ImportState::Validating, 0, 2, 0),
        (ImportState::Validating, 1, 2, 1),
        (ImportState::Validating, 2, 2, 2),
        (ImportState::Publishing, 0, 2, 2),
        (ImportState::Published, 0, 2, 2),
    ];
    assert_eq!(*steps.0.lock().unwrap(), expected);
}
