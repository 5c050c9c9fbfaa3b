//! Set-up of buckets, organizations and IAM against an AWS that evaluates policies.

use std::io;
use std::sync::Mutex;

use farthing_engine::error::{Error, ErrorKind};
use farthing_engine::port::{AwsAdministration, Credential, ExportLocation, ExportSource};
use farthing_sandbox::aws::{AccountState, Fault, FaultKind, SandboxSpec, WrongRegion};
use tracing_subscriber::fmt::MakeWriter;

use super::{ACCOUNT, BUCKET, LEAST, Place, access_key, at};
use crate::AwsAdmin;

const OTHER: &str = "210987654321";
const STRANGER: &str = "333344445555";
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
const DELIVERY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Deliver","Effect":"Allow",
    "Principal":{"Service":"bcm-data-exports.amazonaws.com"},"Action":"s3:PutObject",
    "Resource":"arn:aws:s3:::made-bucket/*"}]}"#;
const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
    "Resource":"arn:aws:s3:::made-bucket/*"}]}"#;
const USER: &str = "arn:aws:iam::012345678901:user/made";
const POLICY: &str = "arn:aws:iam::012345678901:policy/made";
const MADE_BUCKET: &str = "arn:aws:s3:::made-bucket";

/// Every action that set-up asks of these services, and what it is asked on.
const ACTIONS: &[(&str, &str)] = &[
    ("s3:CreateBucket", MADE_BUCKET),
    ("s3:ListBucket", MADE_BUCKET),
    ("s3:GetBucketPolicy", MADE_BUCKET),
    ("s3:PutBucketPublicAccessBlock", MADE_BUCKET),
    ("s3:PutEncryptionConfiguration", MADE_BUCKET),
    ("s3:PutBucketPolicy", MADE_BUCKET),
    ("organizations:DescribeOrganization", "*"),
    ("organizations:ListAccounts", "*"),
    ("iam:CreatePolicy", POLICY),
    ("iam:CreateUser", USER),
    ("iam:SimulatePrincipalPolicy", USER),
    ("iam:AttachUserPolicy", USER),
    ("iam:CreateAccessKey", USER),
];

impl Place {
    fn admin(&self) -> AwsAdmin {
        self.connector.administration()
    }

    /// A user with this policy in another account than the usual one.
    fn user_of(&self, account: &str, name: &str, policy: &str) -> Credential {
        self.sandbox.create_user(account, name).unwrap();
        self.sandbox.put_user_policy(account, name, "p", policy).unwrap();
        let key = self.sandbox.create_access_key(account, name).unwrap();
        Credential::Inline(access_key(&key.access_key_id, &key.secret_access_key))
    }
}

fn allowing(actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"Allow\", \"Action\": [{}], \"Resource\": \"*\"}}]}}",
        actions.join(",")
    )
}

/// Does what needs this action, and perhaps others.
async fn act(admin: &AwsAdmin, credential: &Credential, action: &str) -> Result<(), Error> {
    match action {
        "s3:CreateBucket" => admin.create_bucket(credential, "made-bucket", "us-east-1").await,
        "s3:ListBucket" | "s3:GetBucketPolicy" => admin.bucket(credential, "made-bucket").await.map(|_| ()),
        "s3:PutBucketPublicAccessBlock" | "s3:PutEncryptionConfiguration" => {
            admin.secure_bucket(credential, "made-bucket", "us-east-1").await
        }
        "s3:PutBucketPolicy" => {
            admin
                .put_bucket_policy(credential, "made-bucket", "us-east-1", DELIVERY)
                .await
        }
        "organizations:DescribeOrganization" => admin.organization(credential).await.map(|_| ()),
        "organizations:ListAccounts" => admin.organization_accounts(credential).await.map(|_| ()),
        "iam:SimulatePrincipalPolicy" => admin
            .simulate(credential, USER, &["s3:GetObject"], "*")
            .await
            .map(|_| ()),
        "iam:CreatePolicy" => admin.create_policy(credential, "made", ALL).await.map(|_| ()),
        "iam:CreateUser" => admin.create_user(credential, "made").await,
        "iam:AttachUserPolicy" => admin.attach_user_policy(credential, "made", POLICY).await,
        "iam:CreateAccessKey" => admin.create_access_key(credential, "made").await.map(|_| ()),
        other => panic!("no call for {other}"),
    }
}

#[tokio::test]
async fn each_action_that_is_missing_is_named() {
    for (missing, resource) in ACTIONS {
        let place = Place::new().await;
        place.sandbox.create_organization(ACCOUNT, &[]).unwrap();
        // Everything is there already, so that each call works or fails by itself.
        let all = place.user("root", ALL);
        for (action, _) in ACTIONS.iter().filter(|(action, _)| *action != "iam:CreateAccessKey") {
            act(&place.admin(), &all, action).await.unwrap();
        }
        let rest: Vec<&str> = ACTIONS
            .iter()
            .map(|(action, _)| *action)
            .filter(|action| action != missing)
            .collect();
        let setup = place.user("setup", &allowing(&rest));
        let mut refused = Vec::new();
        for (action, _) in ACTIONS {
            if let Err(error) = act(&place.admin(), &setup, action).await {
                refused.push((*action, error));
            }
        }
        assert!(
            refused.iter().any(|(action, _)| action == missing),
            "{missing}: {refused:?}"
        );
        for (_, error) in &refused {
            assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
            let named = format!("AWS refused {missing} on {resource}");
            assert!(error.message().starts_with(&named), "{missing}: {error:?}");
            let statement =
                format!("{{\"Effect\": \"Allow\", \"Action\": \"{missing}\", \"Resource\": \"{resource}\"}}");
            assert!(error.hint().unwrap().contains(&statement), "{missing}: {error:?}");
            assert!(error.detail().unwrap().contains("request id"), "{error:?}");
        }
        // Adding the statement is enough.
        place
            .sandbox
            .put_user_policy(ACCOUNT, "setup", "added", &allowing(&[missing]))
            .unwrap();
        act(&place.admin(), &setup, missing).await.unwrap();
    }
}

#[tokio::test]
async fn buckets_are_made_once_in_their_region() {
    let place = Place::new().await;
    place.sandbox.create_account(OTHER, "other").unwrap();
    let setup = place.user("setup", ALL);
    let other = place.user_of(OTHER, "setup", ALL);
    let admin = place.admin();
    assert_eq!(admin.bucket(&setup, "made-bucket").await.unwrap(), None);
    for (name, region) in [("made-bucket", "us-east-1"), ("made-abroad", "eu-central-1")] {
        for _ in 0..2 {
            admin.create_bucket(&setup, name, region).await.unwrap();
            admin.secure_bucket(&setup, name, region).await.unwrap();
        }
        let found = admin.bucket(&setup, name).await.unwrap().unwrap();
        assert_eq!((found.region.as_str(), found.policy), (region, None));
        let taken = admin.create_bucket(&other, name, region).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::Duplicate);
        assert!(taken.message().contains("belongs to another AWS account"), "{taken}");
        let refused = admin.bucket(&other, name).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AwsRefused);
        assert!(
            refused.hint().unwrap().contains("bucket of another account"),
            "{refused:?}"
        );
    }
    for (name, wanted, actual) in [
        ("made-abroad", "us-east-1", "eu-central-1"),
        ("made-bucket", "eu-central-1", "us-east-1"),
    ] {
        let elsewhere = admin.create_bucket(&setup, name, wanted).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Duplicate);
        assert!(
            elsewhere.message().contains(&format!("in the Region {actual}")),
            "{elsewhere}"
        );
    }
    for (name, region) in [("Not_A_Bucket", "us-east-1"), ("made-nowhere", "moon-1")] {
        let error = admin.create_bucket(&setup, name, region).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
    }
    for _ in 0..2 {
        admin
            .put_bucket_policy(&setup, "made-bucket", "us-east-1", DELIVERY)
            .await
            .unwrap();
    }
    let found = admin.bucket(&setup, "made-bucket").await.unwrap().unwrap();
    assert_eq!(found.policy.as_deref(), Some(DELIVERY));
    let malformed = admin
        .put_bucket_policy(&setup, "made-bucket", "us-east-1", "{}")
        .await
        .unwrap_err();
    assert_eq!(malformed.kind(), ErrorKind::BadValue);
    assert!(
        malformed.message().contains("Missing required field Statement"),
        "{malformed}"
    );
    let public = admin
        .put_bucket_policy(&setup, "made-bucket", "us-east-1", PUBLIC)
        .await
        .unwrap_err();
    assert_eq!(public.kind(), ErrorKind::AwsRefused);
    assert!(public.hint().unwrap().contains("makes the bucket public"), "{public:?}");
    let absent = admin
        .put_bucket_policy(&setup, "made-nowhere", "us-east-1", DELIVERY)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn calls_follow_a_bucket_to_its_region() {
    for wrong_region in [
        WrongRegion::PermanentRedirect,
        WrongRegion::AuthorizationHeaderMalformed,
    ] {
        let spec = SandboxSpec {
            wrong_region,
            ..SandboxSpec::in_memory()
        };
        let place = Place::with(spec, |settings| settings).await;
        let setup = place.user("setup", ALL);
        place
            .sandbox
            .create_bucket(ACCOUNT, "made-bucket", "ap-south-1")
            .unwrap();
        let admin = place.admin();
        admin.secure_bucket(&setup, "made-bucket", "eu-west-1").await.unwrap();
        admin
            .put_bucket_policy(&setup, "made-bucket", "eu-west-1", DELIVERY)
            .await
            .unwrap();
        let found = admin.bucket(&setup, "made-bucket").await.unwrap().unwrap();
        assert_eq!(
            (found.region.as_str(), found.policy.as_deref()),
            ("ap-south-1", Some(DELIVERY))
        );
    }
}

#[tokio::test]
async fn a_bad_key_is_not_taken_for_a_missing_permission() {
    let place = Place::new().await;
    let setup = place.user("setup", ALL);
    let Credential::Inline(key) = &setup else {
        unreachable!()
    };
    let wrong = Credential::Inline(access_key(
        &key.access_key_id,
        "not-a-real-secret-at-all-00000000000000",
    ));
    let admin = place.admin();
    for error in [
        admin.bucket(&wrong, BUCKET).await.unwrap_err(),
        admin
            .create_bucket(&wrong, "made-bucket", "us-east-1")
            .await
            .unwrap_err(),
        admin.organization(&wrong).await.unwrap_err(),
        admin.create_user(&wrong, "made").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
        assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
    }
    place.sandbox.inject(Fault::new(FaultKind::ExpiredToken));
    for error in [
        admin.bucket(&setup, BUCKET).await.unwrap_err(),
        admin.organization_accounts(&setup).await.unwrap_err(),
        admin.create_policy(&setup, "made", ALL).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
        assert!(error.message().contains("expired"), "{error}");
    }
}

#[tokio::test]
async fn what_the_organization_denies_is_told_apart() {
    let place = Place::new().await;
    let setup = place.user("setup", ALL);
    let denied = place
        .sandbox
        .inject(Fault::new(FaultKind::Deny("s3:CreateBucket".into())));
    let error = place
        .admin()
        .create_bucket(&setup, "made-bucket", "eu-south-1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
    assert!(
        error
            .message()
            .starts_with("AWS refused s3:CreateBucket on arn:aws:s3:::made-bucket"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("service control policy"), "{error:?}");
    denied.remove();
    let own = r#"{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:CreateUser", "Resource": "*"}]}"#;
    let bound = place.user("bound", own);
    let error = place.admin().create_user(&bound, "made").await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with(&format!("AWS refused iam:CreateUser on {USER}")),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("remove that Deny"), "{error:?}");
}

#[tokio::test]
async fn an_organization_is_listed_over_short_and_empty_pages() {
    let place = Place::new().await;
    let mut ids = vec![ACCOUNT.to_owned()];
    for number in 0..44 {
        let id = format!("2000000000{number:02}");
        place.sandbox.create_account(&id, &format!("member-{number}")).unwrap();
        ids.push(id);
    }
    place.sandbox.create_account(STRANGER, "stranger").unwrap();
    let members: Vec<&str> = ids[1..].iter().map(String::as_str).collect();
    place.sandbox.create_organization(ACCOUNT, &members).unwrap();
    place
        .sandbox
        .set_account_state("200000000007", AccountState::Suspended)
        .unwrap();
    place
        .sandbox
        .set_account_state("200000000008", AccountState::Closed)
        .unwrap();
    let payer = place.user("setup", ALL);
    let member = place.user_of("200000000001", "setup", ALL);
    let stranger = place.user_of(STRANGER, "setup", ALL);
    let admin = place.admin();

    let accounts = admin.organization_accounts(&payer).await.unwrap();
    let listed: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(listed, ids);
    // 20, none, 20 and 5.
    assert_eq!(place.sandbox.requests().count("ListAccounts"), 4);
    let state = |id: &str| {
        accounts
            .iter()
            .find(|account| account.id.as_str() == id)
            .unwrap()
            .state
            .as_str()
    };
    assert_eq!(state("200000000006"), "ACTIVE");
    assert_eq!((state("200000000007"), state("200000000008")), ("SUSPENDED", "CLOSED"));
    assert_eq!(accounts[1].name, "member-0");

    let own = admin.organization(&payer).await.unwrap().unwrap();
    assert_eq!(own.management_account.as_str(), ACCOUNT);
    assert_eq!(admin.organization(&member).await.unwrap().unwrap(), own);
    assert_eq!(admin.organization(&stranger).await.unwrap(), None);
    let error = admin.organization_accounts(&member).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
    assert!(
        error
            .message()
            .starts_with("AWS refused organizations:ListAccounts on *"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("management account"), "{error:?}");
    let error = admin.organization_accounts(&stranger).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}

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
