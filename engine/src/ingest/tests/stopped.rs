//! Imports that are stopped: cancelled, dropped, or cut off at any write; and what a restart makes of it.

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::super::*;
use super::bed::*;

#[tokio::test]
async fn cancelled_imports_publish_nothing_and_can_be_run_again() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    bed.bucket.set_fault(move |_| {
        trigger.cancel();
        None
    });
    let stopped = bed.importer.import_export(&export_id(), &NoProgress, &cancel).await;
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(bed.snapshot("2026-06").is_none());
    assert_eq!(
        bed.run(Some("2026-06")).unwrap().message.unwrap(),
        "the import was cancelled"
    );
    let before = bed.importer.import_export(&export_id(), &NoProgress, &cancel).await;
    assert_eq!(
        before.unwrap_err().kind(),
        ErrorKind::Cancelled,
        "cancelled before it began"
    );
    assert_eq!(bed.outcome().await, "published");
}

#[tokio::test]
async fn an_import_dropped_at_any_read_loses_nothing() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    for reads in 1..6 {
        let (never, id) = (CancellationToken::new(), export_id());
        let import = bed.importer.import_export(&id, &NoProgress, &never);
        let (send, stop) = tokio::sync::oneshot::channel::<()>();
        let (mut left, mut send) = (reads, Some(send));
        bed.bucket.set_fault(move |_| {
            left -= 1;
            if left == 0 {
                send.take();
            }
            None
        });
        tokio::select! { biased; _ = stop => {}, done = import => { done.unwrap(); } }
    }
    let restarted = bed.again().await;
    *bed.bucket.files.fault.lock().unwrap() = None;
    let outcome = restarted.outcome().await;
    assert!(["published", "unchanged"].contains(&outcome.as_str()), "{outcome}");
    assert_eq!(restarted.snapshot("2026-06").unwrap().rows(), 1);
    assert!(restarted.runs.entries().iter().all(|(_, run)| run.state.is_final()));
}

/// The server dies with its n-th write: that write and all later ones never happen. Whatever n is, a restart finds a
/// catalog that can be read, with the former or the new snapshot, and imports what is missing.
#[tokio::test]
async fn a_crash_at_any_write_loses_nothing() {
    let mut ends = std::collections::BTreeSet::new();
    for writes in 0..12 {
        let bed = Bed::new().await;
        bed.bucket.deliver("2026-06", &[one_row(1.0)]);
        assert_eq!(bed.outcome().await, "published");
        bed.bucket.deliver("2026-06", &[one_row(2.0), one_row(3.0)]);
        *bed.state.writes_left.lock().unwrap() = Some(writes);
        let never = CancellationToken::new();
        // What it says is lost with the server.
        let _ = bed.importer.import_export(&export_id(), &NoProgress, &never).await;
        *bed.state.writes_left.lock().unwrap() = None;
        let restarted = bed.again().await;
        let found = restarted.snapshot("2026-06").unwrap().rows();
        assert!(
            found == 1 || found == 2,
            "whole or not at all: {found} rows after {writes} writes"
        );
        let expected = if found == 1 { "published" } else { "unchanged" };
        assert_eq!(restarted.outcome().await, expected, "after {writes} writes");
        assert_eq!(restarted.snapshot("2026-06").unwrap().rows(), 2);
        assert!(restarted.runs.entries().iter().all(|(_, run)| run.state.is_final()));
        ends.insert(found);
    }
    assert_eq!(ends.len(), 2, "the crashes lay on both sides of the publication");
}

#[tokio::test]
async fn an_interrupted_run_is_closed_when_the_next_delivery_comes() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let (id, run) = bed.runs.entries().pop().unwrap();
    let mut open = ImportRun::clone(&run);
    open.state = ImportState::Validating;
    open.manifest_e_tag = Some("\"before\"".to_owned());
    bed.runs.put(&id, &open).await.unwrap();
    bed.bucket.deliver("2026-06", &[one_row(2.0)]);
    assert_eq!(bed.outcome().await, "published");
    let states: Vec<ImportState> = bed.runs.entries().iter().map(|(_, run)| run.state).collect();
    assert_eq!(states, [ImportState::Failed, ImportState::Published]);
}

#[tokio::test]
async fn a_state_store_that_refuses_leaves_the_former_version() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-06", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    let former = bed.catalog.lease().document.version;
    // A document that is no JSON stands where the next version would go.
    let next = Path::from(format!("catalog/{:020}.json", former + 1));
    bed.state.put(&next, PutPayload::from_static(b"{")).await.unwrap();
    bed.bucket.deliver("2026-06", &[one_row(2.0)]);
    let never = CancellationToken::new();
    let failed = bed.importer.import_export(&export_id(), &NoProgress, &never).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::State);
    assert_eq!(bed.catalog.lease().document.version, former);
}
