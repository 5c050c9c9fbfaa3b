//! Who calls, the organization, and IAM.

use farthing_engine::error::ErrorKind;
use farthing_engine::port::{AccountConnector, AssumedRole, AwsAdministration, Credential};

use super::super::access_key;
use super::Case;
use super::ground::{ALL, Ground};

pub(super) const BAD_KEYS: &str = "sts, iam: each bad key has its own words";
pub(super) const DEACTIVATED: &str = "sts: a deactivated key is refused";
pub(super) const SIMULATION: &str = "iam: the simulator decides";
pub(super) const MEMBERS_MAY_NOT_LIST: &str = "organizations: a member may not list accounts";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "sts: a key is identified",
        calls: "GetCallerIdentity",
        run: |ground| Box::pin(identity(ground)),
    },
    Case {
        name: BAD_KEYS,
        calls: "GetCallerIdentity, CreateUser",
        run: |ground| Box::pin(bad_keys(ground)),
    },
    Case {
        name: DEACTIVATED,
        calls: "GetCallerIdentity, UpdateAccessKey",
        run: |ground| Box::pin(deactivated(ground)),
    },
    Case {
        name: "sts: a role of a member account is assumed",
        calls: "AssumeRole, GetCallerIdentity",
        run: |ground| Box::pin(assumed_role(ground)),
    },
    Case {
        name: "organizations: every account knows who pays",
        calls: "DescribeOrganization",
        run: |ground| Box::pin(organization(ground)),
    },
    Case {
        name: "organizations: accounts are listed to the last page",
        calls: "ListAccounts",
        run: |ground| Box::pin(listed_accounts(ground)),
    },
    Case {
        name: MEMBERS_MAY_NOT_LIST,
        calls: "ListAccounts",
        run: |ground| Box::pin(member_lists(ground)),
    },
    Case {
        name: "iam: what is there is used again",
        calls: "CreatePolicy, GetPolicy, CreateUser, AttachUserPolicy",
        run: |ground| Box::pin(made_twice(ground)),
    },
    Case {
        name: "iam: what is missing or malformed is told",
        calls: "CreatePolicy, AttachUserPolicy, CreateAccessKey",
        run: |ground| Box::pin(malformed(ground)),
    },
    Case {
        name: "iam: a user has two keys at most",
        calls: "CreateAccessKey",
        run: |ground| Box::pin(two_keys(ground)),
    },
    Case {
        name: "iam: a refusal names the action",
        calls: "CreateUser, CreatePolicy, CreateAccessKey",
        run: |ground| Box::pin(refused(ground)),
    },
    Case {
        name: SIMULATION,
        calls: "SimulatePrincipalPolicy",
        run: |ground| Box::pin(simulation(ground)),
    },
];

async fn identity(ground: &Ground) {
    let user = ground.user("identified", ALL).await;
    let identity = ground.connector.identify(&user).await.unwrap();
    assert_eq!(identity.account.as_str(), ground.account);
    assert_eq!(identity.arn, format!("arn:aws:iam::{}:user/identified", ground.account));
    let other = ground.connector.identify(&ground.other).await.unwrap();
    assert_eq!(other.account.as_str(), ground.other_account);
    assert_ne!(ground.account, ground.other_account);
}

async fn bad_keys(ground: &Ground) {
    let Credential::Inline(key) = &ground.owner else {
        unreachable!()
    };
    let secret = "not-a-real-secret-at-all-00000000000000";
    for (id, words) in [
        (key.access_key_id.as_str(), "secret access key does not belong"),
        ("AKIAFARTHINGEXAMPLE1", "does not know the access key id"),
    ] {
        let bad = Credential::Inline(access_key(id, secret));
        for error in [
            ground.connector.identify(&bad).await.unwrap_err(),
            ground.admin.create_user(&bad, "never-made").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
            assert!(error.message().contains(words), "{error:?}");
            assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
        }
    }
}

async fn deactivated(ground: &Ground) {
    let former = ground.user("former", ALL).await;
    ground.connector.identify(&former).await.unwrap();
    ground.deactivate("former", &former).await;
    let error = ground.connector.identify(&former).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
}

async fn assumed_role(ground: &Ground) {
    let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", ground.account)},
        "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}},
    }]});
    let trust = trust.to_string();
    let arn = ground.role("bill-reader", &trust).await;
    let credential = Credential::Assumed {
        role: AssumedRole {
            arn,
            external_id: "agreed".to_owned(),
        },
        base: Box::new(ground.owner.clone()),
    };
    let identity = ground.connector.identify(&credential).await.unwrap();
    assert_eq!(identity.account.as_str(), ground.other_account);
    let session = format!("arn:aws:sts::{}:assumed-role/bill-reader/", ground.other_account);
    assert!(identity.arn.starts_with(&session), "{}", identity.arn);
}

async fn organization(ground: &Ground) {
    for credential in [&ground.owner, &ground.other] {
        let organization = ground.admin.organization(credential).await.unwrap().unwrap();
        assert_eq!(organization.management_account.as_str(), ground.account);
        assert!(organization.id.starts_with("o-"), "{}", organization.id);
    }
}

async fn listed_accounts(ground: &Ground) {
    let accounts = ground.admin.organization_accounts(&ground.owner).await.unwrap();
    assert!(accounts.len() > ground.members(), "{}", accounts.len());
    for id in [&ground.account, &ground.other_account] {
        let listed = accounts.iter().find(|account| account.id.as_str() == id);
        assert_eq!(listed.map(|account| account.state.as_str()), Some("ACTIVE"), "{id}");
    }
    let mut ids: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), accounts.len(), "no account is listed twice");
}

async fn member_lists(ground: &Ground) {
    let error = ground.admin.organization_accounts(&ground.other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
}

async fn made_twice(ground: &Ground) {
    let expected = format!("arn:aws:iam::{}:policy/repeated", ground.account);
    for _ in 0..2 {
        let arn = ground
            .admin
            .create_policy(&ground.owner, "repeated", ALL)
            .await
            .unwrap();
        assert_eq!(arn, expected);
        ground.admin.create_user(&ground.owner, "repeated").await.unwrap();
        ground
            .admin
            .attach_user_policy(&ground.owner, "repeated", &arn)
            .await
            .unwrap();
    }
    let key = ground.admin.create_access_key(&ground.owner, "repeated").await.unwrap();
    assert!(key.access_key_id.starts_with("AKIA") && key.access_key_id.len() == 20);
    ground.connector.identify(&Credential::Inline(key)).await.unwrap();
}

async fn malformed(ground: &Ground) {
    let (admin, owner) = (&ground.admin, &ground.owner);
    let policy = format!("arn:aws:iam::{}:policy/nothing", ground.account);
    admin.create_user(owner, "present").await.unwrap();
    for (error, kind) in [
        (
            admin.create_policy(owner, "bad", "{}").await.unwrap_err(),
            ErrorKind::BadValue,
        ),
        (
            admin.create_policy(owner, "bad", "nonsense").await.unwrap_err(),
            ErrorKind::BadValue,
        ),
        (
            admin.attach_user_policy(owner, "present", &policy).await.unwrap_err(),
            ErrorKind::Missing,
        ),
        (
            admin.create_access_key(owner, "nobody").await.unwrap_err(),
            ErrorKind::Missing,
        ),
    ] {
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.hint().is_some() && error.detail().is_some(), "{error:?}");
    }
}

async fn two_keys(ground: &Ground) {
    let (admin, owner) = (&ground.admin, &ground.owner);
    admin.create_user(owner, "busy").await.unwrap();
    for _ in 0..2 {
        admin.create_access_key(owner, "busy").await.unwrap();
    }
    let error = admin.create_access_key(owner, "busy").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error:?}");
    assert!(error.hint().unwrap().contains("Delete an access key"), "{error:?}");
}

async fn refused(ground: &Ground) {
    let policy =
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}"#;
    let reader = ground.user("only-lists", policy).await;
    let admin = &ground.admin;
    for (action, error) in [
        (
            "iam:CreateUser",
            admin.create_user(&reader, "never-made").await.unwrap_err(),
        ),
        (
            "iam:CreatePolicy",
            admin.create_policy(&reader, "never-made", ALL).await.unwrap_err(),
        ),
        (
            "iam:CreateAccessKey",
            admin.create_access_key(&reader, "only-lists").await.unwrap_err(),
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(
            error.message().starts_with(&format!("AWS refused {action} on ")),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("\"Effect\": \"Allow\""), "{error:?}");
    }
}

async fn simulation(ground: &Ground) {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}]}"#;
    ground.user("simulated", policy).await;
    let arn = format!("arn:aws:iam::{}:user/simulated", ground.account);
    let actions = ["s3:GetObject", "s3:PutObject", "ec2:DescribeInstances"];
    let decided = ground.admin.simulate(&ground.owner, &arn, &actions, "*").await.unwrap();
    let decided: Vec<(&str, &str)> = decided
        .iter()
        .map(|one| (one.action.as_str(), one.decision.as_str()))
        .collect();
    let expected = [
        ("s3:GetObject", "allowed"),
        ("s3:PutObject", "explicitDeny"),
        ("ec2:DescribeInstances", "implicitDeny"),
    ];
    assert_eq!(decided, expected);
}
