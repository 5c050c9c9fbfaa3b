//! Set-up of IAM users, their policies and keys, and the policy simulator.

use std::io;
use std::sync::Mutex;

use farthing_engine::error::ErrorKind;
use farthing_engine::port::{AwsAdministration, Credential, ExportLocation, ExportSource};
use farthing_sandbox::aws::{Fault, FaultKind};
use tracing_subscriber::fmt::MakeWriter;

use super::administration_accounts::{ALL, POLICY, act, allowing};
use super::{ACCOUNT, BUCKET, LEAST, Place, at};

#[tokio::test]
async fn the_simulator_is_read_to_its_last_page() {
    let place = Place::new().await;
    let setup = place.user("setup", ALL);
    place.user(
        "reader",
        r#"{"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:Put*"], "Resource": "arn:aws:s3:::b/p/*"},
            {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}]}"#,
    );
    let reader = format!("arn:aws:iam::{ACCOUNT}:user/reader");
    let admin = place.admin();
    let actions = [
        "s3:GetObject",
        "s3:PutObject",
        "s3:List1",
        "s3:List2",
        "s3:List3",
        "s3:List4",
        "s3:PutAcl",
    ];
    let decisions = admin
        .simulate(&setup, &reader, &actions, "arn:aws:s3:::b/p/x")
        .await
        .unwrap();
    let seen: Vec<(&str, &str)> = decisions
        .iter()
        .map(|one| (one.action.as_str(), one.decision.as_str()))
        .collect();
    let implicit = "implicitDeny";
    assert_eq!(
        seen,
        [
            (actions[0], "allowed"),
            (actions[1], "explicitDeny"),
            (actions[2], implicit),
            (actions[3], implicit),
            (actions[4], implicit),
            (actions[5], implicit),
            (actions[6], "explicitDeny"),
        ]
    );
    assert!(decisions.iter().all(|one| one.resource == "arn:aws:s3:::b/p/x"));
    assert_eq!(place.sandbox.requests().count("SimulatePrincipalPolicy"), 2);
    let elsewhere = admin
        .simulate(&setup, &reader, &["s3:GetObject"], "arn:aws:s3:::b/q/x")
        .await
        .unwrap();
    assert_eq!(elsewhere[0].decision, implicit);
    assert!(admin.simulate(&setup, &reader, &[], "*").await.unwrap().is_empty());

    // Of a session, the role is asked.
    let trust =
        r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "012345678901"}, "Action": "sts:AssumeRole"}}"#;
    place.sandbox.create_role(ACCOUNT, "role", trust).unwrap();
    place.sandbox.put_role_policy(ACCOUNT, "role", "p", LEAST).unwrap();
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/role/farthing");
    let decisions = admin
        .simulate(&setup, &session, &["s3:ListBucket"], "arn:aws:s3:::b")
        .await
        .unwrap();
    assert_eq!(decisions[0].decision, "allowed");
    for (arn, kind) in [
        (format!("arn:aws:iam::{ACCOUNT}:root"), ErrorKind::BadValue),
        (format!("arn:aws:iam::{ACCOUNT}:user/nobody"), ErrorKind::Missing),
    ] {
        let error = admin.simulate(&setup, &arn, &["s3:GetObject"], "*").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    let error = admin
        .simulate(&setup, &reader, &["s3:GetObject"], "b/p/x")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
}

/// What is logged at the finest level.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_user_made_from_nothing_reads_what_its_policy_allows_and_nothing_else() {
    let place = Place::new().await;
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    place.sandbox.put_object(BUCKET, "elsewhere/file", "x").await.unwrap();
    let rights = [
        "iam:CreatePolicy",
        "iam:CreateUser",
        "iam:AttachUserPolicy",
        "iam:CreateAccessKey",
    ];
    let setup = place.user("setup", &allowing(&rights));
    let admin = place.admin();
    // Other tests log on other threads at the same time, to nobody: without a subscriber for all, they switch places in the
    // code off that this one listens to.
    let everywhere = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(io::sink)
        .finish();
    let _ = tracing_subscriber::util::SubscriberInitExt::try_init(everywhere);
    let log = Log::default();
    let made = {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
        // Twice, as after a failure: only the key is made anew.
        for _ in 0..2 {
            let arn = admin.create_policy(&setup, "made", LEAST).await.unwrap();
            assert_eq!(arn, POLICY);
            admin.create_user(&setup, "made").await.unwrap();
            admin.attach_user_policy(&setup, "made", &arn).await.unwrap();
        }
        admin.create_access_key(&setup, "made").await.unwrap()
    };
    let text = log.text();
    assert!(text.contains("CreateAccessKey"), "nothing was logged");
    assert!(!text.contains(made.secret_access_key.open()), "a secret was logged");
    let Credential::Inline(own) = &setup else {
        unreachable!()
    };
    assert!(
        !text.contains(own.secret_access_key.open()),
        "the caller's secret was logged"
    );
    assert!(!format!("{made:?}").contains(made.secret_access_key.open()));

    let made = Credential::Inline(made);
    let report = place.source.probe(&at(BUCKET), &made).await.unwrap();
    assert_eq!(report.periods.len(), 1);
    for action in [
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "iam:CreateUser",
        "iam:CreateAccessKey",
    ] {
        let bucket = place.sandbox.create_bucket(ACCOUNT, "made-bucket", "us-east-1");
        bucket.unwrap();
        let error = act(&admin, &made, action).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(
            error.message().starts_with(&format!("AWS refused {action} on ")),
            "{error}"
        );
    }
    let outside = ExportLocation {
        prefix: "elsewhere".to_owned(),
        ..at(BUCKET)
    };
    let store = place.source.open(&outside, &made).await.unwrap();
    let read = object_store::ObjectStoreExt::get(&store, &"elsewhere/file".into())
        .await
        .unwrap_err();
    assert!(matches!(read, object_store::Error::PermissionDenied { .. }), "{read:?}");
}

#[tokio::test]
async fn names_that_are_taken_and_quotas_are_told() {
    let place = Place::new().await;
    let admin = place.admin();
    let setup = place.user("setup", ALL);
    let blind = place.user("blind", &allowing(&["iam:CreatePolicy"]));
    assert_eq!(admin.create_policy(&setup, "made", ALL).await.unwrap(), POLICY);
    // Whether or not the present policy may be looked at.
    assert_eq!(admin.create_policy(&setup, "made", LEAST).await.unwrap(), POLICY);
    assert_eq!(admin.create_policy(&blind, "made", LEAST).await.unwrap(), POLICY);
    for (document, kind) in [
        ("{}".to_owned(), ErrorKind::BadValue),
        (LEAST.replace("p/e", &"x".repeat(7000)), ErrorKind::Limit),
    ] {
        let error = admin.create_policy(&setup, "another", &document).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    let error = admin.create_user(&setup, "not a name").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
    for error in [
        admin.attach_user_policy(&setup, "nobody", POLICY).await.unwrap_err(),
        admin.create_access_key(&setup, "nobody").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(
            error.message().contains("The user with name nobody cannot be found"),
            "{error}"
        );
    }
    admin.create_user(&setup, "made").await.unwrap();
    for _ in 0..2 {
        admin.create_access_key(&setup, "made").await.unwrap();
    }
    let error = admin.create_access_key(&setup, "made").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.hint().unwrap().contains("Delete an access key"), "{error:?}");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_key() {
    let place = Place::new().await;
    let admin = place.admin();
    let setup = place.user("setup", ALL);
    admin.create_user(&setup, "made").await.unwrap();
    let cut = Fault::new(FaultKind::ResetMidBody { after_bytes: 10 }).operation("CreateAccessKey");
    place.sandbox.inject(cut);
    let error = admin.create_access_key(&setup, "made").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsUnreachable);
    assert!(
        error.hint().unwrap().contains("new access key that nobody knows"),
        "{error:?}"
    );
    assert_eq!(place.sandbox.requests().count("CreateAccessKey"), 1);
    place.sandbox.clear_faults();
    // Reads and writes that may be repeated are.
    place
        .sandbox
        .inject(Fault::new(FaultKind::SlowDown).operation("CreateUser").times(1));
    admin.create_user(&setup, "made").await.unwrap();
    assert_eq!(place.sandbox.requests().count("CreateUser"), 3);
    place
        .sandbox
        .inject(Fault::new(FaultKind::SlowDown).operation("DescribeOrganization"));
    let error = admin.organization(&setup).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsUnreachable);
}
