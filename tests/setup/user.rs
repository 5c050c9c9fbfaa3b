//! `setup_aws_iam_user`: one call makes the policy, the user and its key, and connects with that key alone.

use std::time::Duration;

use farthing_tests::bench::{Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::Value;

use super::{administrator, writes};

/// The user that is set up, with the policies that are attached to it and its keys, as AWS has it.
fn reader(inventory: &Value) -> (Vec<String>, usize) {
    let user = &inventory["users"]["bill-reader"];
    let texts = |member: &str| -> Vec<String> {
        let list = user[member].as_array().unwrap();
        list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    (texts("attached"), texts("keys").len())
}

#[test]
fn one_call_makes_the_user_that_reads_the_bill() {
    run(Start::Delivered, async |bench| {
        let (payer, sandbox) = (bench.cloud.sample.payer(), &bench.cloud.sandbox);
        let admin = administrator(bench, &payer).await;
        let call = |more: &str| {
            format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => 'bill-reader', {admin}{more})"
            )
        };
        sandbox.requests().clear();
        let planned = bench.ask(&call(", dry_run => true")).await;
        assert!(writes(bench).is_empty(), "a dry run writes {:?}", writes(bench));
        assert!(planned.text().contains("s3:GetObject"), "{}", planned.text());

        // AWS needs some seconds until it knows a new key.
        sandbox.delay_new_access_keys(Duration::from_secs(2));
        let done = bench.ask(&call("")).await;
        assert!(
            done.text().contains("aws iam delete-user --user-name bill-reader"),
            "{}",
            done.text()
        );
        let account = bench.ask("SELECT arn FROM system.accounts").await;
        assert_eq!(
            account.single(),
            Some(format!("arn:aws:iam::{payer}:user/bill-reader").as_str())
        );
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
        let (attached, keys) = reader(&sandbox.inventory(&payer));
        assert_eq!((attached.len(), keys), (1, 1));
        let billing = format!("arn:aws:iam::{payer}:policy/bill-reader-billing-");
        assert!(attached[0].starts_with(&billing), "{attached:?}");

        sandbox.requests().clear();
        bench.ask(&call("")).await;
        assert!(writes(bench).is_empty(), "a repeated call writes {:?}", writes(bench));
        // The administrator's key is stored nowhere.
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.secrets").await.single(),
            Some("1")
        );
        assert_eq!(
            bench.ask("SELECT version FROM system.secrets").await.single(),
            Some("1"),
            "the key is stored once"
        );
    });
}

#[test]
fn another_export_is_another_policy_of_the_same_user() {
    run(Start::Delivered, async |bench| {
        let (payer, sandbox) = (bench.cloud.sample.payer(), &bench.cloud.sandbox);
        let admin = administrator(bench, &payer).await;
        let call = |export: &str| {
            format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{export}', user_name => 'bill-reader', {admin})"
            )
        };
        bench.ask(&call("not-yet-delivered")).await;
        let (first, _) = reader(&sandbox.inventory(&payer));
        // The policy that is there names the other export alone.
        bench.ask(&call(EXPORT)).await;
        let (both, keys) = reader(&sandbox.inventory(&payer));
        assert!(both.len() == 2 && both.contains(&first[0]), "{first:?}, then {both:?}");
        assert_eq!(keys, 1, "the user's key is stored, and serves both");
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
    });
}

#[test]
fn a_linked_account_gets_a_user_that_looks_up_resources() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let linked = bench.cloud.sample.linked()[0].clone();
        let admin = administrator(bench, &linked).await;
        let done = bench
            .ask(&format!("CALL setup_aws_iam_user(user_name => 'bill-reader', {admin})"))
            .await;
        let (attached, keys) = reader(&bench.cloud.sandbox.inventory(&linked));
        assert!(attached[0].contains(":policy/bill-reader-discovery-"), "{attached:?}");
        assert_eq!(keys, 1);
        let visible = format!("SELECT count(*) > 0 FROM costs WHERE sub_account_id = '{linked}'");
        assert_eq!(bench.ask(&visible).await.single(), Some("t"), "{}", done.text());
    });
}
