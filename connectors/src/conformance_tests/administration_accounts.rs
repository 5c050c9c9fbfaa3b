//! Set-up against an AWS that evaluates policies: which right each call needs, and bad keys.

use farthing_engine::error::{Error, ErrorKind};
use farthing_engine::port::{AwsAdministration, Credential};
use farthing_sandbox::aws::{Fault, FaultKind};

use super::{ACCOUNT, BUCKET, Place, access_key};
use crate::AwsAdmin;

pub(super) const OTHER: &str = "210987654321";
pub(super) const ALL: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
pub(super) const DELIVERY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Deliver","Effect":"Allow",
    "Principal":{"Service":"bcm-data-exports.amazonaws.com"},"Action":"s3:PutObject",
    "Resource":"arn:aws:s3:::made-bucket/*"}]}"#;
const USER: &str = "arn:aws:iam::012345678901:user/made";
pub(super) const POLICY: &str = "arn:aws:iam::012345678901:policy/made";
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
    pub(super) fn admin(&self) -> AwsAdmin {
        self.connector.administration()
    }

    /// A user with this policy in another account than the usual one.
    pub(super) fn user_of(&self, account: &str, name: &str, policy: &str) -> Credential {
        self.sandbox.create_user(account, name).unwrap();
        self.sandbox.put_user_policy(account, name, "p", policy).unwrap();
        let key = self.sandbox.create_access_key(account, name).unwrap();
        Credential::Inline(access_key(&key.access_key_id, &key.secret_access_key))
    }
}

pub(super) fn allowing(actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"Allow\", \"Action\": [{}], \"Resource\": \"*\"}}]}}",
        actions.join(",")
    )
}

/// Does what needs this action, and perhaps others.
pub(super) async fn act(admin: &AwsAdmin, credential: &Credential, action: &str) -> Result<(), Error> {
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
