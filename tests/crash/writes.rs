//! Calls that write to AWS, killed at every one of their requests: once so that AWS does not do it any more, once so that AWS
//! does it and nobody hears the answer. The same call then completes it, and leaves in AWS what an undisturbed one leaves.

use std::collections::BTreeSet;

use farthing_sandbox::aws::{AccessKey, RequestRecord};
use farthing_tests::client::Answer;
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::{Value, json};

use super::*;

const EVERYTHING: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// What is called, and what is prepared for it in AWS.
struct Case {
    test: &'static str,
    prepare: fn(&Cloud),
    call: fn(&Cloud) -> String,
    /// Operations of AWS that the call has to reach, in this order; each is one write.
    writes: &'static [&'static str],
}

const CREATE_EXPORT: Case = Case {
    test: "crash::writes::an_export_that_was_begun_is_completed",
    prepare: |cloud| {
        let payer = cloud.sample.payer();
        cloud
            .sandbox
            .put_user_policy(&payer, "farthing", "all", EVERYTHING)
            .unwrap();
    },
    call: |cloud| {
        let keys = cloud.key_arguments(&cloud.sample.payer());
        format!(
            "CALL create_aws_export(export_name => 'new-costs', bucket => 'example-corp-begun', region => 'eu-west-1', {keys})"
        )
    },
    writes: &[
        "CreateBucket",
        "PutPublicAccessBlock",
        "PutBucketEncryption",
        "PutBucketPolicy",
        "CreateExport",
    ],
};

const SETUP_USER: Case = Case {
    test: "crash::writes::a_user_that_was_begun_is_completed",
    prepare: |cloud| {
        let payer = cloud.sample.payer();
        cloud.sandbox.create_user(&payer, "admin").unwrap();
        cloud
            .sandbox
            .put_user_policy(&payer, "admin", "all", EVERYTHING)
            .unwrap();
        cloud
            .sandbox
            .register_access_key(&payer, "admin", &admin_key())
            .unwrap();
    },
    call: |_| {
        let key = admin_key();
        format!(
            "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => 'bill-reader', \
             access_key_id => '{}', secret_access_key => '{}')",
            key.access_key_id, key.secret_access_key
        )
    },
    writes: &["CreatePolicy", "CreateUser", "AttachUserPolicy", "CreateAccessKey"],
};

const CONNECT_ROOT: Case = Case {
    test: "crash::writes::a_root_that_was_begun_is_connected",
    prepare: |_| {},
    call: Cloud::connect_root,
    writes: &[],
};

const CONNECT_LINKED: Case = Case {
    test: "crash::writes::a_linked_account_that_was_begun_is_connected",
    prepare: |_| {},
    call: |cloud| cloud.connect_linked(&cloud.sample.linked()[0]),
    writes: &[],
};

fn admin_key() -> AccessKey {
    AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPL80".to_owned(),
        secret_access_key: "not-a-real-secret-of-an-administrator-000".to_owned(),
    }
}

#[test]
fn an_export_that_was_begun_is_completed() {
    kill_everywhere(&CREATE_EXPORT);
}

#[test]
fn a_user_that_was_begun_is_completed() {
    kill_everywhere(&SETUP_USER);
}

#[test]
fn a_root_that_was_begun_is_connected() {
    kill_everywhere(&CONNECT_ROOT);
}

#[test]
fn a_linked_account_that_was_begun_is_connected() {
    kill_everywhere(&CONNECT_LINKED);
}

/// What one way of doing the call has left.
struct Left {
    requests: Vec<RequestRecord>,
    aws: Value,
    farthing: Vec<Vec<Option<String>>>,
    answer: Answer,
}

fn kill_everywhere(case: &Case) {
    if is_child() {
        return;
    }
    on_runtimes(async |runtimes| {
        let whole = undisturbed(case, runtimes).await;
        let operations: Vec<&str> = whole.requests.iter().map(|record| record.operation.as_str()).collect();
        let writes: Vec<&str> = operations.iter().copied().filter(|o| case.writes.contains(o)).collect();
        assert_eq!(writes, case.writes, "of {operations:?}");
        for (number, operation) in operations.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            killed(case, runtimes, &whole, operation, Moment::Request(number)).await;
            if case.writes.contains(operation) {
                killed(case, runtimes, &whole, operation, Moment::Unserved(number)).await;
            }
        }
    });
}

async fn undisturbed(case: &Case, runtimes: &Runtimes) -> Left {
    let cloud = Cloud::empty().await;
    (case.prepare)(&cloud);
    let folder = tempfile::Builder::new().prefix("farthing-crash-").tempdir().unwrap();
    let left = call(case, &cloud, folder.path(), runtimes, "undisturbed").await;
    cloud.sandbox.shutdown().await;
    left
}

/// Runs the call in this process, in the state that is left in the folder.
async fn call(case: &Case, cloud: &Cloud, folder: &Path, runtimes: &Runtimes, context: &str) -> Left {
    let config = config(folder.join("data"), Some(cloud.sandbox.endpoint()));
    let node = Node::open(&config, runtimes)
        .await
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut admin = InProcess::open(node.frontend(), principal("admin", Role::Admin, Grant::AllConnected));
    let answer = match admin.run(&(case.call)(cloud)).await {
        Ok(answer) => answer,
        Err(refusal) => panic!("{context}: the call is refused: {refusal}"),
    };
    let mut farthing = Vec::new();
    for sql in [
        "SELECT account_id, kind, arn, credential FROM system.accounts ORDER BY 1",
        "SELECT export_id, location, state FROM system.exports ORDER BY 1",
        "SELECT count(*) FROM system.accounts a WHERE NOT EXISTS \
         (SELECT 1 FROM system.secrets s WHERE s.used_by_account = a.account_id)",
        "SELECT count(*) FROM system.secrets",
    ] {
        farthing.extend(ask(&mut admin, context, sql).await);
    }
    let requests = cloud.sandbox.requests().all();
    let again = admin.run(&(case.call)(cloud)).await;
    if let Err(refusal) = again {
        panic!("{context}: once more: {refusal}");
    }
    node.close().await;
    Left {
        requests,
        aws: cloud.sandbox.inventory(&cloud.sample.payer()),
        farthing,
        answer,
    }
}

async fn killed(case: &Case, runtimes: &Runtimes, whole: &Left, operation: &str, moment: Moment) {
    let context = format!("{operation}, {moment:?}");
    let cloud = Cloud::empty().await;
    (case.prepare)(&cloud);
    let (folder, outcome) = one(case.test, &[(case.call)(&cloud)], &cloud, runtimes, moment).await;
    assert!(
        outcome.answered == 0 && !outcome.status.success(),
        "{context}: the child was not killed"
    );
    // The child is gone, and AWS may still be at work on what it asked.
    let mut struck = cloud.sandbox.requests().all().pop().unwrap();
    for _ in 0..500 {
        if struck.status != 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        struck = cloud.sandbox.requests().all().pop().unwrap();
    }
    assert_eq!(struck.operation, operation, "{context}");
    let served = (200..500).contains(&struck.status);
    assert_eq!(
        served,
        matches!(moment, Moment::Request(_)),
        "{context}: status {}",
        struck.status
    );
    let left = call(case, &cloud, folder.path(), runtimes, &context).await;
    cloud.sandbox.shutdown().await;
    assert_eq!(left.farthing, whole.farthing, "{context}\n{}", left.answer.text());
    let (one, two) = (comparable(&left.aws), comparable(&whole.aws));
    assert_eq!(one.0, two.0, "{context}\n{}", left.answer.text());
    // A key whose secret nobody has stays, and is named.
    let lost = one.1 - two.1;
    let told = left.answer.text();
    assert_eq!(
        told.contains("aws iam list-access-keys --user-name bill-reader"),
        lost == 1 || (operation == "CreateAccessKey"),
        "{context}: {lost} keys are lost\n{told}"
    );
    for write in case.writes {
        // Of both runs: the log goes on.
        let done = left
            .requests
            .iter()
            .filter(|record| record.operation == *write && (200..300).contains(&record.status))
            .count();
        let most = if *write == "CreateAccessKey" { 1 + lost } else { 2 };
        assert!((1..=most).contains(&done), "{context}: {write} was done {done} times");
    }
}

/// The account without the ids of its keys, and the number of keys.
fn comparable(aws: &Value) -> (Value, usize) {
    let (mut aws, mut keys) = (aws.clone(), BTreeSet::new());
    for user in aws["users"].as_object_mut().unwrap().values_mut() {
        keys.extend(user["keys"].as_array().unwrap().iter().map(ToString::to_string));
        user["keys"] = json!(null);
    }
    (aws, keys.len())
}

/// A crash between AWS's answer and the vault: the id of the lost key is on record.
#[test]
fn a_key_whose_secret_was_lost_is_named() {
    const CASE: Case = Case {
        test: "crash::writes::a_key_whose_secret_was_lost_is_named",
        ..SETUP_USER
    };
    if is_child() {
        return;
    }
    on_runtimes(async |runtimes| {
        let whole = undisturbed(&CASE, runtimes).await;
        let made = whole
            .requests
            .iter()
            .position(|record| record.operation == "CreateAccessKey");
        let next = Moment::Request(u32::try_from(made.unwrap() + 1).unwrap());
        let cloud = Cloud::empty().await;
        (CASE.prepare)(&cloud);
        let (folder, _) = one(CASE.test, &[(CASE.call)(&cloud)], &cloud, runtimes, next).await;
        let payer = cloud.sample.payer();
        let keys = |cloud: &Cloud| -> Vec<String> {
            let aws = cloud.sandbox.inventory(&payer);
            let keys = aws["users"]["bill-reader"]["keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
        };
        let lost = keys(&cloud).concat();
        // As if the process had ended before the secret was written.
        let vault = folder.path().join("data/state/vault");
        assert!(count_files(&vault) > 0, "no secret is stored in {}", vault.display());
        std::fs::remove_dir_all(&vault).unwrap();
        let left = call(&CASE, &cloud, folder.path(), runtimes, "the secret is lost").await;
        let command = format!("aws iam delete-access-key --user-name bill-reader --access-key-id {lost}");
        assert!(left.answer.text().contains(&command), "{}", left.answer.text());
        assert_eq!(keys(&cloud).len(), 2);
        cloud.sandbox.shutdown().await;
    });
}
