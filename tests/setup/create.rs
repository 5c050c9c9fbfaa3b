//! `create_aws_export`: the plan, what is made, what is missing.

use farthing_tests::bench::{Start, run};
use serde_json::{Value, json};

use super::{EVERYTHING, NEW_BUCKET, allow, create, create_policy, writes};

#[test]
fn one_call_makes_what_is_missing_and_the_next_one_nothing() {
    run(Start::NothingDelivered, async |bench| {
        let policy = create_policy(bench).await;
        allow(bench, "create", &policy.to_string());
        bench.cloud.sandbox.requests().clear();

        let planned = bench.ask(&create(bench, ", dry_run => true")).await;
        assert!(writes(bench).is_empty(), "a dry run writes {:?}", writes(bench));
        assert!(
            planned.column("status").contains(&Some("planned")),
            "{}",
            planned.text()
        );
        let evidence: String = planned.column("evidence").into_iter().flatten().collect();
        for word in [
            "bcm-data-exports:CreateExport",
            "s3:PutBucketPolicy",
            "COST_AND_USAGE_REPORT",
            "aws:SourceArn",
        ] {
            assert!(evidence.contains(word), "{word} is not in the plan: {}", planned.text());
        }

        let done = bench.ask(&create(bench, ", granularity => 'hourly'")).await;
        assert_eq!(done.column("status").last(), Some(&Some("pending")), "{}", done.text());
        for write in ["CreateBucket", "PutBucketPolicy", "CreateExport"] {
            assert!(
                writes(bench).iter().any(|done| done == write),
                "{write}: {:?}",
                writes(bench)
            );
        }
        let exports = bench
            .ask("SELECT export_name, state, location FROM system.exports")
            .await;
        let location = format!("s3://{NEW_BUCKET}/exports/new-costs");
        let expected = ["new-costs", "waiting_first_delivery", location.as_str()];
        assert_eq!(exports.rows, [expected.map(|text| Some(text.to_owned())).to_vec()]);

        bench.cloud.sandbox.requests().clear();
        let again = bench.ask(&create(bench, ", granularity => 'hourly'")).await;
        assert!(writes(bench).is_empty(), "a repeated call writes {:?}", writes(bench));
        assert!(!again.column("action").contains(&Some("create")), "{}", again.text());

        let other = bench.refused(&create(bench, ", granularity => 'daily'")).await;
        assert_eq!(other.sqlstate, "42710", "{other}");
        assert!(
            other.message.contains("TIME_GRANULARITY is HOURLY, not DAILY"),
            "{other}"
        );
    });
}

/// The policy without one action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        if let Some(actions) = statement["Action"].as_array_mut() {
            actions.retain(|held| held != action);
        } else if statement["Action"] == action {
            statement["Action"] = json!("sts:GetCallerIdentity");
        }
    }
    let kept = policy["Statement"].as_array_mut().unwrap();
    kept.retain(|statement| statement["Action"].as_array().is_none_or(|actions| !actions.is_empty()));
    policy
}

#[test]
fn a_missing_right_is_named() {
    run(Start::NothingDelivered, async |bench| {
        let policy = create_policy(bench).await;
        let needed = [
            "bcm-data-exports:ListExports",
            "s3:CreateBucket",
            "s3:PutBucketPolicy",
            "bcm-data-exports:CreateExport",
            "cur:PutReportDefinition",
        ];
        for action in needed {
            assert_ne!(without(&policy, action), policy, "{action} is in the printed policy");
            allow(bench, "create", &without(&policy, action).to_string());
            let refusal = bench.refused(&create(bench, "")).await;
            assert_eq!(refusal.sqlstate, "HV000", "{action}: {refusal}");
            assert!(refusal.message.contains(action), "{action} is not named: {refusal}");
            assert!(refusal.message.contains("\"Effect\": \"Allow\""), "{action}: {refusal}");
        }
        // What each attempt made stays, and the next one goes on from there: the bucket is made once, and secured once the
        // right to do that is there.
        allow(bench, "create", &policy.to_string());
        bench.ask(&create(bench, "")).await;
        let requests = bench.cloud.sandbox.requests();
        let done = |operation: &str| {
            requests
                .of(operation)
                .iter()
                .filter(|request| (200..300).contains(&request.status))
                .count()
        };
        for (operation, times) in [
            ("CreateBucket", 1),
            ("PutPublicAccessBlock", 1),
            ("PutBucketEncryption", 1),
            ("PutBucketPolicy", 1),
            ("CreateExport", 1),
        ] {
            assert_eq!(done(operation), times, "{operation}");
        }
    });
}

/// Rights that the guide's policy lacks: without them AWS's own defaults do, which is told.
#[test]
fn what_can_be_done_without_is_warned_of() {
    for action in [
        "bcm-data-exports:GetTable",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutEncryptionConfiguration",
    ] {
        run(Start::NothingDelivered, async |bench| {
            let policy = create_policy(bench).await;
            assert_ne!(without(&policy, action), policy, "{action} is in the printed policy");
            allow(bench, "create", &without(&policy, action).to_string());
            let made = bench.ask(&create(bench, "")).await;
            let at = made
                .column("status")
                .iter()
                .position(|status| *status == Some("warning"));
            let detail = made.column("detail")[at.unwrap_or_else(|| panic!("{action}: {}", made.text()))];
            for words in [action, "\"Effect\": \"Allow\""] {
                assert!(detail.unwrap().contains(words), "{words}: {detail:?}");
            }
            // With the right, the same call does what was left.
            allow(bench, "create", &policy.to_string());
            let again = bench.ask(&create(bench, "")).await;
            assert!(!again.column("status").contains(&Some("warning")), "{}", again.text());
            let encrypted = bench.cloud.sandbox.requests().of("PutBucketEncryption");
            assert!(
                encrypted.iter().any(|request| request.status == 200),
                "{action}: {encrypted:?}"
            );
        });
    }
}

#[test]
fn a_legacy_report_is_made_and_connected() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        bench.ask(&create(bench, ", kind => 'cur'")).await;
        let exports = "SELECT export_name, kind, state FROM system.exports";
        let expected = ["new-costs", "cur", "waiting_first_delivery"].map(|word| Some(word.to_owned()));
        assert_eq!(bench.ask(exports).await.rows, std::slice::from_ref(&expected));
        bench.ask(&create(bench, ", kind => 'cur'")).await;
        assert_eq!(bench.ask(exports).await.rows, [expected]);
        assert_eq!(bench.cloud.sandbox.requests().of("PutReportDefinition").len(), 1);
    });
}

#[test]
fn a_bucket_of_others_is_changed_in_its_policy_alone() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        let (payer, sandbox) = (bench.cloud.sample.payer(), &bench.cloud.sandbox);
        sandbox.create_bucket(&payer, NEW_BUCKET, "eu-central-1").unwrap();
        let theirs = json!({"Version": "2012-10-17", "Statement": [{
            "Sid": "TeamReads", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{payer}:root")},
            "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{NEW_BUCKET}/*")
        }]});
        sandbox.put_bucket_policy(NEW_BUCKET, &theirs.to_string()).unwrap();
        // A dry run that would have made it is no reason to think that Farthing did.
        sandbox.requests().clear();
        bench.ask(&create(bench, ", dry_run => true")).await;
        bench.ask(&create(bench, "")).await;
        assert_eq!(writes(bench), ["PutBucketPolicy", "CreateExport"]);
        let policy = &sandbox.inventory(&payer)["buckets"][NEW_BUCKET]["policy"];
        let sids: Vec<&Value> = policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["Sid"])
            .collect();
        assert!(sids.len() > 1 && sids[0] == "TeamReads", "{policy}");
    });
}

#[test]
fn a_policy_that_denies_delivery_is_refused_before_anything_is_written() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        let (payer, sandbox) = (bench.cloud.sample.payer(), &bench.cloud.sandbox);
        sandbox.create_bucket(&payer, NEW_BUCKET, "eu-west-1").unwrap();
        let deny = |condition: Value| {
            json!({"Version": "2012-10-17", "Statement": [{
                "Sid": "NobodyWrites", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                "Resource": format!("arn:aws:s3:::{NEW_BUCKET}/*"), "Condition": condition
            }]})
            .to_string()
        };
        let encrypted = json!({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}});
        sandbox.put_bucket_policy(NEW_BUCKET, &deny(encrypted)).unwrap();
        sandbox.requests().clear();
        for more in ["", ", dry_run => true"] {
            let refusal = bench.refused(&create(bench, more)).await;
            assert_eq!(refusal.sqlstate, "HV000", "{refusal}");
            assert!(refusal.message.contains("NobodyWrites"), "{refusal}");
            assert!(refusal.message.contains(NEW_BUCKET), "{refusal}");
        }
        // Nor does it get to S3 what S3 would not take.
        let long = |number: usize| {
            json!({
                "Sid": format!("Reader{number}"), "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{payer}:root")},
                "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{NEW_BUCKET}/{}/*", "x".repeat(800))
            })
        };
        let full = json!({"Version": "2012-10-17", "Statement": (0..21).map(long).collect::<Vec<_>>()}).to_string();
        assert!((20_000..20_480).contains(&full.len()), "{} bytes", full.len());
        sandbox.put_bucket_policy(NEW_BUCKET, &full).unwrap();
        for more in ["", ", dry_run => true"] {
            let refusal = bench.refused(&create(bench, more)).await;
            assert_eq!(refusal.sqlstate, "22023", "{refusal}");
            assert!(refusal.message.contains("20480"), "{refusal}");
        }
        assert!(writes(bench).is_empty(), "{:?}", writes(bench));
        // A Deny that AWS's deliveries do not meet is none of Farthing's business.
        let plain = json!({"Bool": {"aws:SecureTransport": "false"}});
        sandbox.put_bucket_policy(NEW_BUCKET, &deny(plain)).unwrap();
        bench.ask(&create(bench, "")).await;
    });
}

#[test]
fn a_name_that_is_connected_elsewhere_is_refused_before_anything_is_written() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        bench.connect(&[]).await;
        bench.cloud.sandbox.requests().clear();
        let refusal = bench
            .refused(&create(bench, "").replace("'new-costs'", "'daily-costs'"))
            .await;
        assert_eq!(refusal.sqlstate, "42710", "{refusal}");
        assert!(writes(bench).is_empty(), "{:?}", writes(bench));
    });
}
