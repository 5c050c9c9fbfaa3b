//! The schedule: when it looks, what it leaves alone, and that nothing ends it.

use std::time::Duration;

use super::super::*;
use super::bed::*;

/// A schedule in the background, and a way to wait until it sleeps.
struct Running {
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

const HOUR: i64 = 3_600;

impl Running {
    fn start(bed: &Bed) -> Self {
        let cancel = CancellationToken::new();
        let (importer, token) = (Arc::clone(&bed.importer), cancel.clone());
        let task = tokio::spawn(async move { importer.run_schedule(Duration::from_secs(3_600), token).await });
        Self { cancel, task }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// Lets everything run that can run without the clock.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

/// Turns the clock in steps of the schedule's longest sleep, and shows how often the export was looked at.
async fn looks_after(bed: &Bed, seconds: i64) -> usize {
    bed.bucket.requests();
    for _ in 0..seconds / 60 {
        bed.clock.turn(60);
        settle().await;
    }
    let requests = bed.bucket.requests();
    requests.iter().filter(|request| *request == "probe").count()
}

#[tokio::test]
async fn exports_are_looked_at_every_hour() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    let running = Running::start(&bed);
    settle().await;
    assert!(bed.snapshot("2026-06").is_some(), "at once after the start");
    assert_eq!(looks_after(&bed, HOUR / 2).await, 0);
    assert_eq!(looks_after(&bed, HOUR).await, 1);
    bed.bucket.deliver("2026-06", &[one_row(2.0)]);
    let looks = looks_after(&bed, 10 * HOUR).await;
    assert!((9..=11).contains(&looks), "{looks}");
    assert_eq!(bed.runs.entries().len(), 2, "no news, no record");
    running.stop().await;
}

#[tokio::test]
async fn what_fails_is_tried_later_and_later_and_comes_back() {
    let bed = Bed::new().await;
    *bed.bucket.down.lock().unwrap() = Some(|| Error::new(ErrorKind::AwsUnreachable, "no route"));
    let running = Running::start(&bed);
    settle().await;
    // 1, 2, 4, 8, 16, 32 minutes, then hourly.
    assert_eq!(looks_after(&bed, 65 * 60).await, 6);
    assert_eq!(looks_after(&bed, 3 * HOUR).await, 3);
    let run = bed.run(None).unwrap();
    assert_eq!((run.state, run.attempts), (ImportState::Failed, 10));
    assert!(run.next_try_at.is_some());
    // Refused for good: twice as long each time.
    *bed.bucket.down.lock().unwrap() = Some(|| Error::new(ErrorKind::AwsRefused, "no"));
    assert!(looks_after(&bed, 24 * HOUR).await <= 2);
    // A person who has repaired it need not wait.
    *bed.bucket.down.lock().unwrap() = None;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    running.stop().await;
}

#[tokio::test]
async fn a_delivery_known_to_be_broken_is_not_read_every_hour() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[b"this is no Parquet file".to_vec()]);
    bed.bucket.deliver("2026-05", &[one_row(1.0)]);
    let running = Running::start(&bed);
    settle().await;
    assert_eq!(bed.run(Some("2026-06")).unwrap().state, ImportState::Failed);
    bed.bucket.requests();
    for _ in 0..24 * 60 {
        bed.clock.turn(60);
        settle().await;
    }
    let requests = bed.bucket.requests();
    let reads = requests.iter().filter(|request| request.starts_with("GET")).count();
    // After 1, 2, 4, 8 and 16 hours.
    assert!((3..=5).contains(&reads), "{reads} reads of a broken file in a day");
    assert!(requests.iter().filter(|request| *request == "manifest 2026-05").count() >= 20);
    // The next delivery is taken at the next look.
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    looks_after(&bed, 2 * HOUR).await;
    assert!(bed.snapshot("2026-06").is_some());
    running.stop().await;
}

#[tokio::test]
async fn a_delivery_under_way_is_looked_at_again_within_minutes() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    bed.bucket.change_manifest("2026-06", |manifest| {
        manifest.last_modified -= chrono::TimeDelta::hours(1)
    });
    let running = Running::start(&bed);
    settle().await;
    assert_eq!(bed.run(Some("2026-06")).unwrap().state, ImportState::Waiting);
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    looks_after(&bed, 6 * 60).await;
    assert!(bed.snapshot("2026-06").is_some());
    running.stop().await;
}

#[tokio::test]
async fn an_export_that_is_connected_later_is_noticed_and_a_defect_survived() {
    let bed = Bed::new().await;
    let server = bed.again().await;
    bed.catalog
        .publish(&[crate::catalog::Change::RemoveExport(export_id())])
        .await
        .unwrap();
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    bed.bucket.set_fault(|_| panic!("a defect of the store"));
    let running = Running::start(&server);
    settle().await;
    assert!(server.bucket.requests().is_empty(), "there is no export");
    // Another process connects it.
    bed.catalog
        .publish(&[crate::catalog::Change::PutExport(export(in_bucket()))])
        .await
        .unwrap();
    looks_after(&server, 2 * 60).await;
    *bed.bucket.files.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    bed.bucket.files.fault.clear_poison();
    assert!(!running.task.is_finished(), "the schedule goes on");
    looks_after(&server, 3 * HOUR).await;
    assert!(server.snapshot("2026-06").is_some());
    running.stop().await;
}
