//! `connect_aws_linked`: which discovery rights the credential has, and whose the account is.

use farthing_sandbox::aws::AccessKey;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::client::Answer;
use serde_json::{Value, json};

use super::{EVERYTHING, allow};

/// The outcome of each feature of discovery, in order.
fn features(answer: &Answer) -> Vec<(String, String)> {
    let rows = answer.column("object").into_iter().zip(answer.column("evidence"));
    rows.filter(|(object, _)| object.unwrap().starts_with("discovery: "))
        .map(|(_, evidence)| {
            let evidence: Value = serde_json::from_str(evidence.unwrap()).unwrap();
            let text = |name: &str| evidence[name].as_str().unwrap().to_owned();
            (text("feature"), text("outcome"))
        })
        .collect()
}

fn expected(outcomes: [&str; 5]) -> Vec<(String, String)> {
    let features = ["ec2", "elb", "s3", "iam", "cloudwatch"];
    let pairs = features.into_iter().zip(outcomes);
    pairs
        .map(|(feature, outcome)| (feature.to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn each_discovery_right_is_told_and_none_is_needed() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let linked = bench.cloud.sample.linked()[0].clone();
        let call = |more: &str| {
            let keys = bench.cloud.key_arguments(&linked);
            format!("CALL connect_aws_linked({keys}{more})")
        };
        // Without any right the simulator cannot be asked, and the account is connected all the same.
        let dry = bench.ask(&call(", dry_run => true")).await;
        assert_eq!(features(&dry), expected(["unknown"; 5]), "{}", dry.text());
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.accounts").await.single(),
            Some("1")
        );

        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Resource": "*",
            "Action": ["iam:SimulatePrincipalPolicy", "ec2:Describe*", "s3:ListAllMyBuckets", "s3:GetBucket*",
                "iam:ListUsers"],
        }]});
        bench
            .cloud
            .sandbox
            .put_user_policy(&linked, "farthing", "some", &policy.to_string())
            .unwrap();
        for more in [", dry_run => true", ""] {
            let answer = bench.ask(&call(more)).await;
            let outcomes = ["allowed", "denied", "allowed", "denied", "denied"];
            assert_eq!(features(&answer), expected(outcomes), "{}", answer.text());
            // IAM lacks some of its actions, and the statement that fixes it is at hand.
            let iam = answer
                .column("object")
                .iter()
                .position(|o| o.unwrap().starts_with("discovery: iam"));
            let iam = iam.unwrap();
            assert!(answer.column("detail")[iam].unwrap().contains("iam:ListAccessKeys"));
            let fix = bench.ask(answer.column("next_sql")[iam].unwrap()).await;
            assert!(fix.single().unwrap().contains("iam:ListAccessKeys"));
        }
        let visible = format!("SELECT count(*) > 0 FROM costs WHERE sub_account_id = '{linked}'");
        assert_eq!(bench.ask(&visible).await.single(), Some("t"));
    });
}

/// An account that no delivered row names, with a user without rights: the key's arguments.
fn new_account(bench: &Bench, id: &str) -> String {
    let sandbox = &bench.cloud.sandbox;
    sandbox.create_account(id, "brand-new").unwrap();
    sandbox.create_user(id, "farthing").unwrap();
    let key = AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPL70".to_owned(),
        secret_access_key: "not-a-real-secret-of-a-new-account-000000".to_owned(),
    };
    sandbox.register_access_key(id, "farthing", &key).unwrap();
    format!(
        "access_key_id => '{}', secret_access_key => '{}'",
        key.access_key_id, key.secret_access_key
    )
}

#[test]
fn an_account_without_data_is_looked_for_in_the_organization() {
    run(Start::Delivered, async |bench| {
        const NEW: &str = "999988887777";
        bench.connect(&[]).await;
        let (payer, sandbox) = (bench.cloud.sample.payer(), &bench.cloud.sandbox);
        let key = new_account(bench, NEW);
        let told = async || -> (String, String) {
            let answer = bench
                .ask(&format!("CALL connect_aws_linked({key}, dry_run => true)"))
                .await;
            let at = answer
                .column("object")
                .iter()
                .position(|o| *o == Some(&format!("account {NEW}")));
            let at = at.unwrap();
            (
                answer.column("status")[at].unwrap().to_owned(),
                answer.column("detail")[at].unwrap().to_owned(),
            )
        };
        // The payer's reader may not list the organization.
        let (status, detail) = told().await;
        assert_eq!(status, "warning");
        assert!(detail.contains("organizations:ListAccounts"), "{detail}");

        allow(bench, "all", EVERYTHING);
        let (status, detail) = told().await;
        assert_eq!(status, "warning", "the payer has no organization");
        assert!(detail.contains("another organization, or of none"), "{detail}");

        sandbox.create_organization(&payer, &[NEW]).unwrap();
        let (status, detail) = told().await;
        assert_eq!(status, "ok", "{detail}");
        assert!(detail.contains("brand-new") && detail.contains("ACTIVE"), "{detail}");
        bench.ask(&format!("CALL connect_aws_linked({key})")).await;
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.accounts").await.single(),
            Some("2")
        );
    });
}
