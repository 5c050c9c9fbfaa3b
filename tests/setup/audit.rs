//! Every write to AWS is on record before AWS is asked, and its end afterwards.

use std::path::Path;
use std::sync::{Arc, Mutex};

use farthing_sandbox::aws::{Fault, FaultKind, RequestRecord};
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::Value;

use super::{EVERYTHING, NEW_BUCKET, administrator, allow, create};

/// The steps of all runs in a state store, as they lie on disk at this moment.
fn steps_on_disk(state: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(state.join("runs/procedures")).unwrap();
    let records = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    records
        .filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .flat_map(|run| run["steps"].as_array().cloned().unwrap_or_default())
        .collect()
}

/// For each write that arrives at AWS: the operation, and the actions that are on record as pending at that moment.
type Seen = Arc<Mutex<Vec<(String, Vec<String>)>>>;

fn watch(bench: &Bench) -> Seen {
    let (seen, state) = (Seen::default(), bench.site.config.state_dir());
    let kept = Arc::clone(&seen);
    let look = move |record: &RequestRecord| {
        let pending = steps_on_disk(&state)
            .iter()
            .filter(|step| step["status"] == "pending")
            .filter_map(|step| step["evidence"]["action"].as_str().map(str::to_owned))
            .collect();
        kept.lock().unwrap().push((record.operation.clone(), pending));
    };
    let look: Arc<dyn Fn(&RequestRecord) + Send + Sync> = Arc::new(look);
    for pattern in ["Create*", "Put*", "Attach*"] {
        let fault = Fault::new(FaultKind::Before(Arc::clone(&look))).operation(pattern);
        bench.cloud.sandbox.inject(fault);
    }
    seen
}

/// The actions of writes in the history, with how they ended.
async fn recorded(bench: &Bench, procedure: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT steps FROM system.procedure_runs WHERE procedure = '{procedure}' ORDER BY started_at DESC LIMIT 1"
    );
    let steps: Value = serde_json::from_str(bench.ask(&sql).await.single().unwrap()).unwrap();
    let of = |step: &Value| {
        let action = step["evidence"]["action"].as_str()?.to_owned();
        Some((action, step["status"].as_str()?.to_owned()))
    };
    let all: Vec<_> = steps.as_array().unwrap().iter().filter_map(of).collect();
    all.into_iter()
        .filter(|(action, _)| action != "sts:GetCallerIdentity")
        .collect()
}

fn check(seen: &Seen, expected: &[(&str, &str)]) {
    let seen = seen.lock().unwrap();
    let operations: Vec<&str> = seen.iter().map(|(operation, _)| operation.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(operations, wanted);
    for ((operation, pending), (_, action)) in seen.iter().zip(expected) {
        assert_eq!(pending, &[*action], "on record when {operation} arrives");
    }
}

#[test]
fn writes_of_an_export_are_recorded_before_and_after() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        let seen = watch(bench);
        bench.ask(&create(bench, "")).await;
        let expected = [
            ("CreateBucket", "s3:CreateBucket"),
            ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
            ("PutBucketEncryption", "s3:PutBucketPublicAccessBlock"),
            ("PutBucketPolicy", "s3:PutBucketPolicy"),
            ("CreateExport", "bcm-data-exports:CreateExport"),
        ];
        check(&seen, &expected);
        let recorded = recorded(bench, "create_aws_export").await;
        let mut wanted: Vec<(String, String)> = expected
            .iter()
            .map(|(_, action)| ((*action).to_owned(), "ok".to_owned()))
            .collect();
        wanted.dedup();
        assert_eq!(recorded, wanted);
    });
}

#[test]
fn a_write_that_aws_refuses_is_recorded_as_failed() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        let fault = bench
            .cloud
            .sandbox
            .inject(Fault::new(FaultKind::Deny("s3:PutBucketPolicy".to_owned())));
        bench.refused(&create(bench, "")).await;
        let failed = recorded(bench, "create_aws_export").await.pop().unwrap();
        assert_eq!(failed, ("s3:PutBucketPolicy".to_owned(), "failed".to_owned()));
        fault.remove();
        bench.ask(&create(bench, "")).await;
        // The second call found the bucket made and secured.
        let buckets = bench.cloud.sandbox.requests();
        assert_eq!(buckets.count("PutPublicAccessBlock"), 1);
        let recorded = recorded(bench, "create_aws_export").await;
        assert_eq!(recorded[0].0, "s3:PutBucketPolicy", "{recorded:?} for {NEW_BUCKET}");
    });
}

#[test]
fn writes_of_a_user_are_recorded_before_and_after() {
    run(Start::NothingDelivered, async |bench| {
        let admin = administrator(bench, &bench.cloud.sample.payer()).await;
        let seen = watch(bench);
        bench
            .ask(&format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => 'bill-reader', {admin})"
            ))
            .await;
        let expected = [
            ("CreatePolicy", "iam:CreatePolicy"),
            ("CreateUser", "iam:CreateUser"),
            ("AttachUserPolicy", "iam:AttachUserPolicy"),
            ("CreateAccessKey", "iam:CreateAccessKey"),
        ];
        check(&seen, &expected);
        let recorded = recorded(bench, "setup_aws_iam_user").await;
        let wanted = expected.map(|(_, action)| (action.to_owned(), "ok".to_owned()));
        assert_eq!(recorded, wanted);
    });
}
