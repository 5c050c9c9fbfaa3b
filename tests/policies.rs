//! The policies that Farthing prints, judged by the sandbox, which evaluates policies without knowing where they come from.

mod guide;

use std::collections::BTreeSet;

use farthing_engine::account::policy::{Kind, Mode, Names, Partition, bucket_policy, iam_policy, merge_bucket_policy};
use farthing_sandbox::aws::{Sandbox, SandboxSpec};
use farthing_tests::bench::{Bench, Start, on_runtimes, run};
use farthing_tests::client::{Param, Way};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// The text that a statement gives.
async fn document(bench: &Bench, sql: &str) -> String {
    bench.ask(sql).await.single().unwrap().to_owned()
}

/// The payer's user gets this policy instead of the one that it has.
fn replace_policy(bench: &Bench, policy: &str) {
    let (sandbox, payer) = (&bench.cloud.sandbox, bench.cloud.sample.payer());
    sandbox
        .put_user_policy(&payer, "farthing", "read-export", policy)
        .unwrap();
}

#[test]
fn the_printed_policy_is_enough_to_connect_and_no_more_than_that() {
    run(Start::Delivered, async |bench| {
        let sql = format!(
            "SELECT aws_iam_policy(mode => 'read', bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => '{EXPORT}')"
        );
        let printed = document(bench, &sql).await;
        let connect = bench.cloud.connect_root();
        for action in ["s3:ListBucket", "s3:GetObject"] {
            let without = printed.replace(action, "s3:GetBucketLocation");
            assert_ne!(without, printed);
            replace_policy(bench, &without);
            let refusal = bench.refused(&connect).await;
            assert!(refusal.message.contains(action), "without {action}: {refusal}");
        }
        replace_policy(bench, &printed);
        bench.ask(&connect).await;
        let rows = bench.ask("SELECT sum(rows) FROM system.exports").await;
        let expected = bench.cloud.sample.totals.grand.rows.to_string();
        assert_eq!(rows.single(), Some(expected.as_str()));
    });
}

#[test]
fn the_guides_policies_are_enough_for_what_the_guide_connects() {
    for mode in ["guide_option1", "guide_option2"] {
        run(Start::Delivered, async |bench| {
            let sql = format!("SELECT aws_iam_policy(mode => '{mode}', bucket => '{BUCKET}')");
            replace_policy(bench, &document(bench, &sql).await);
            bench.ask(&bench.cloud.connect_root()).await;
        });
    }
}

#[test]
fn arguments_may_be_bound() {
    run(Start::Delivered, async |bench| {
        let sql = "SELECT aws_iam_policy(bucket => $2, mode => $1)";
        let params = [Param::Text("read".to_owned()), Param::Text(BUCKET.to_owned())];
        let expected = document(bench, &format!("SELECT aws_iam_policy('read', '{BUCKET}')")).await;
        for way in Way::ALL {
            let mut client = bench.site.client(way, farthing_tests::bench::ADMIN).await;
            match client.run_with(sql, &params).await {
                Ok(answer) => assert_eq!(answer.single(), Some(expected.as_str()), "{way:?}"),
                Err(refusal) => panic!("{way:?}: {refusal}"),
            }
        }
    });
}

#[test]
fn the_setup_guide_asks_aws_nothing_and_its_statements_run() {
    run(Start::Delivered, async |bench| {
        bench.cloud.sandbox.requests().clear();
        let payer = bench.cloud.sample.payer();
        let call = format!(
            "CALL aws_setup_guide(account_id => '{payer}', bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => '{EXPORT}')"
        );
        let guide = bench.ask(&call).await;
        assert!(guide.column("status").iter().all(|status| *status == Some("pending")));
        let key = &bench.cloud.keys[&payer];
        let mut ran = 0;
        for sql in guide.column("next_sql").into_iter().flatten() {
            let sql = sql
                .replace("<access key id>", &key.access_key_id)
                .replace("<secret access key>", &key.secret_access_key);
            if ran == 0 {
                assert!(bench.cloud.sandbox.requests().all().is_empty());
            }
            bench.ask(&sql).await;
            ran += 1;
        }
        assert_eq!(ran, 4, "{}", guide.text());
        let state = bench.ask("SELECT state FROM system.exports").await;
        assert_eq!(state.single(), Some("delivered"));
    });
}

const PAYER: &str = "111122223333";
const BUCKET_ARN: &str = "arn:aws:s3:::example-bills";

/// Statements that others may have put into a bucket's policy.
fn foreign() -> impl Strategy<Value = Vec<Value>> {
    let principal = select(vec![
        json!("*"),
        json!({ "AWS": "*" }),
        json!({ "AWS": "arn:aws:iam::444455556666:root" }),
        json!({ "Service": "bcm-data-exports.amazonaws.com" }),
        json!({ "Service": ["billingreports.amazonaws.com", "bcm-data-exports.amazonaws.com"] }),
    ]);
    let action = select(vec![
        json!("s3:*"),
        json!("s3:PutObject"),
        json!(["s3:GetObject", "s3:Put*"]),
        json!("s3:GetObject"),
        json!(["s3:GetBucketAcl", "s3:GetBucketPolicy"]),
    ]);
    let resource = select(vec![
        json!([BUCKET_ARN, format!("{BUCKET_ARN}/*")]),
        json!(format!("{BUCKET_ARN}/*")),
        json!(format!("{BUCKET_ARN}/logs/*")),
        json!(format!("{BUCKET_ARN}/cur/*")),
        json!(BUCKET_ARN),
    ]);
    let condition = prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({ "Bool": { "aws:SecureTransport": "false" } })),
        1 => Just(json!({ "Bool": { "aws:SecureTransport": true } })),
        1 => Just(json!({ "StringEquals": { "aws:SourceAccount": PAYER } })),
        1 => Just(json!({ "StringNotEquals": { "aws:SourceAccount": [PAYER, "444455556666"] } })),
        1 => Just(json!({ "StringLike": { "aws:SourceAccount": "1111*" }, "ArnLike": { "aws:SourceArn": "arn:aws:*" } })),
        1 => Just(json!({ "ArnLike": { "aws:SourceArn": "arn:aws:*:*:111122223333:*" } })),
        1 => Just(json!({ "ArnNotLike": { "aws:SourceArn": ["arn:aws:cur:*", "arn:aws:*:us-east-1:*:*"] } })),
        1 => Just(json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } })),
        1 => Just(json!({ "StringEquals": { "aws:SourceVpce": "vpce-1" } })),
    ];
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let sid =
        prop_oneof![4 => Just(None), 1 => Just(Some("Theirs")), 1 => Just(Some("FarthingDeliverExports111122223333"))];
    let statement = (effect, principal, action, resource, condition, sid).prop_map(
        |(effect, principal, action, resource, condition, sid)| {
            let mut statement = json!({
                "Effect": effect, "Principal": principal, "Action": action, "Resource": resource, "Condition": condition,
            });
            if let Some(sid) = sid {
                statement["Sid"] = json!(sid);
            }
            statement
        },
    );
    proptest::collection::vec(statement, 1..5)
}

#[test]
fn merging_keeps_what_is_there_and_lets_aws_deliver() {
    on_runtimes(async |_| {
        let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
        sandbox.create_account(PAYER, "payer").unwrap();
        sandbox.create_bucket(PAYER, "example-bills", "eu-west-1").unwrap();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let (mut delivered, mut recognised, mut denied) = (0, 0, 0);
        for _ in 0..3_000 {
            let present = foreign().new_tree(&mut runner).unwrap().current();
            let kinds = select(vec![vec![Kind::Cur2], vec![Kind::Cur], vec![Kind::Focus, Kind::Cur]]);
            let kinds: BTreeSet<Kind> = kinds.new_tree(&mut runner).unwrap().current().into_iter().collect();
            let wanted = bucket_policy("example-bills", PAYER.parse().unwrap(), &kinds, Partition::Aws);
            let text = json!({ "Version": "2012-10-17", "Statement": present }).to_string();
            let merged = merge_bucket_policy(Some(&text), &wanted).unwrap();

            let ours = |statement: &&Value| statement["Sid"].as_str().is_some_and(|sid| sid.starts_with("Farthing"));
            let others: Vec<&Value> = present.iter().filter(|statement| !ours(statement)).collect();
            let after = merged.policy["Statement"].as_array().unwrap();
            let kept: Vec<&Value> = after.iter().filter(|statement| !ours(statement)).collect();
            assert_eq!(kept, others, "{text}");

            let again = merge_bucket_policy(Some(&merged.text().unwrap()), &wanted).unwrap();
            assert!(again.unchanged && again.policy == merged.policy, "{text}");

            // The judge: with no Deny reported, every service that was asked for may deliver, below any prefix.
            if !merged.denied_by.is_empty() {
                denied += 1;
                continue;
            }
            sandbox
                .put_bucket_policy("example-bills", &merged.text().unwrap())
                .unwrap();
            for kind in &kinds {
                let (service, source) = match kind {
                    Kind::Cur => (
                        "billingreports.amazonaws.com",
                        "cur:us-east-1:111122223333:definition/costs",
                    ),
                    _ => (
                        "bcm-data-exports.amazonaws.com",
                        "bcm-data-exports:us-east-1:111122223333:export/costs-0",
                    ),
                };
                for prefix in ["cur/costs/data/1", "logs/1", "x"] {
                    let source = format!("arn:aws:{source}");
                    let may = sandbox.service_may_deliver(service, "example-bills", prefix, PAYER, &source);
                    assert!(may.unwrap(), "{kind:?} below {prefix}: {}", merged.policy);
                }
            }
            delivered += 1;
            recognised += usize::from(merged.unchanged);
        }
        assert!(
            delivered > 500 && recognised > 20 && denied > 200,
            "{delivered} {recognised} {denied}"
        );
        sandbox.shutdown().await;
    });
}

#[test]
fn every_mode_is_a_policy_that_iam_takes() {
    on_runtimes(async |_| {
        let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
        sandbox.create_account(PAYER, "payer").unwrap();
        sandbox.create_user(PAYER, "farthing").unwrap();
        for (name, mode) in Mode::ALL {
            for (_, partition) in Partition::ALL {
                let names = Names {
                    partition,
                    account: Some(PAYER.parse().unwrap()),
                    bucket: Some("example-bills".to_owned()),
                    role_name: Some("bill-reader".to_owned()),
                    ..Names::default()
                };
                let policy = iam_policy(mode, &names).unwrap().to_string();
                sandbox.put_user_policy(PAYER, "farthing", name, &policy).unwrap();
            }
        }
        sandbox.shutdown().await;
    });
}
