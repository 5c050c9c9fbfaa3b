//! Set-up that looks at, and writes to, AWS's side: exports are found, made, checked; keys are replaced.

use farthing_sandbox::aws::AccessKey;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::{Value, json};

/// A bucket that nobody has yet.
const NEW_BUCKET: &str = "example-corp-made-by-call";

/// Gives the payer's user one policy more.
fn allow(bench: &Bench, name: &str, policy: &str) {
    let payer = bench.cloud.sample.payer();
    bench
        .cloud
        .sandbox
        .put_user_policy(&payer, "farthing", name, policy)
        .unwrap();
}

/// The policy that Farthing prints for creating an export.
async fn create_policy(bench: &Bench) -> Value {
    let payer = bench.cloud.sample.payer();
    let sql = format!(
        "SELECT aws_iam_policy(mode => 'create', bucket => '{NEW_BUCKET}', prefix => 'exports', export_name => 'new-costs', \
         account_id => '{payer}')"
    );
    serde_json::from_str(bench.ask(&sql).await.single().unwrap()).unwrap()
}

fn create(bench: &Bench, more: &str) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!(
        "CALL create_aws_export(export_name => 'new-costs', bucket => '{NEW_BUCKET}', region => 'eu-west-1', {keys}{more})"
    )
}

/// Calls of AWS that change something.
fn writes(bench: &Bench) -> Vec<String> {
    let writes = |operation: &str| {
        ["Create", "Put", "Delete", "Update", "Attach"]
            .iter()
            .any(|w| operation.starts_with(w))
    };
    let records = bench
        .cloud
        .sandbox
        .requests()
        .matching(|record| writes(&record.operation));
    records.into_iter().map(|record| record.operation).collect()
}

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
            "bcm-data-exports:GetTable",
            "s3:CreateBucket",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutEncryptionConfiguration",
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
        // What each attempt made stays, and the next one goes on from there.
        allow(bench, "create", &policy.to_string());
        bench.ask(&create(bench, "")).await;
    });
}

#[test]
fn an_export_is_found_if_it_is_the_only_one_that_fits() {
    run(Start::Delivered, async |bench| {
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        let find = format!("CALL connect_aws_root({keys})");
        // With the reader's rights alone nothing can be looked through.
        let blind = bench.refused(&find).await;
        assert_eq!(blind.sqlstate, "HV000", "{blind}");
        assert!(blind.message.contains("bcm-data-exports:ListExports"), "{blind}");

        allow(
            bench,
            "all",
            &json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
                .to_string(),
        );
        let none = bench.refused(&find).await;
        assert_eq!(none.sqlstate, "42704", "{none}");
        assert!(none.message.contains("create_aws_export"), "{none}");

        let make = |name: &str, prefix: &str| {
            format!(
                "CALL create_aws_export(export_name => '{name}', bucket => '{BUCKET}', prefix => '{prefix}', connect => false, {keys})"
            )
        };
        bench.ask(&make(EXPORT, PREFIX)).await;
        bench
            .ask(&make("legacy", "legacy").replace("connect => false", "connect => false, kind => 'cur'"))
            .await;
        let found = bench.ask(&find).await;
        assert!(!found.column("status").contains(&Some("failed")), "{}", found.text());
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
        let candidates = "SELECT export_name, verdict, connected FROM system.export_candidates ORDER BY 2, 1";
        let candidates = bench.ask(candidates).await;
        let row = |name: &str, verdict: &str, connected: &str| {
            [name, verdict, connected].map(|t| Some(t.to_owned())).to_vec()
        };
        assert_eq!(
            candidates.rows[0][..2],
            row(EXPORT, "fits", "f")[..2],
            "{}",
            candidates.text()
        );
        assert_eq!(
            candidates.rows[1],
            row("legacy", "limited", "f"),
            "{}",
            candidates.text()
        );

        bench.ask(&make("second", "second")).await;
        let several = bench.refused(&find).await;
        assert_eq!(several.sqlstate, "22023", "{several}");
        for location in [
            format!("s3://{BUCKET}/{PREFIX}/{EXPORT}"),
            format!("s3://{BUCKET}/second/second"),
        ] {
            assert!(several.message.contains(&location), "{location}: {several}");
        }
        let named = format!("CALL connect_aws_root(export_name => 'second', {keys})");
        let named = bench.ask(&named).await;
        assert!(named.text().contains("exports.second"), "{}", named.text());
    });
}

#[test]
fn a_new_key_is_verified_before_the_old_one_goes() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        let versions = "SELECT name, newest_version FROM system.secrets ORDER BY 1";
        let before = bench.ask("SELECT * FROM system.secrets").await;
        let of_another = bench.cloud.key_arguments(&linked[0]);
        let refused = bench
            .refused(&format!(
                "CALL update_aws_credentials(account_id => '{payer}', {of_another})"
            ))
            .await;
        assert_eq!(refused.sqlstate, "28P01", "{refused}");
        let refused = bench
            .refused(&format!("CALL update_aws_credentials({of_another})"))
            .await;
        assert_eq!(refused.sqlstate, "42704", "{refused}");
        assert_eq!(
            bench.ask("SELECT * FROM system.secrets").await,
            before,
            "nothing changed ({versions})"
        );

        // A user without rights of the same account: its key is verified against the export.
        let sandbox = &bench.cloud.sandbox;
        sandbox.create_user(&payer, "powerless").unwrap();
        let register = |user: &str, id: &str| {
            let key = AccessKey {
                access_key_id: id.to_owned(),
                secret_access_key: "not-a-real-secret-of-a-new-key-0000000000".to_owned(),
            };
            sandbox.register_access_key(&payer, user, &key).unwrap();
            format!("{},{}", key.access_key_id, key.secret_access_key)
        };
        let update = |csv: &str| {
            format!("CALL update_aws_credentials(credentials_csv => E'Access key ID,Secret access key\\n{csv}')")
        };
        let refused = bench
            .refused(&update(&register("powerless", "AKIAFARTHINGEXAMPL90")))
            .await;
        assert_eq!(refused.sqlstate, "HV000", "{refused}");
        assert_eq!(bench.ask("SELECT * FROM system.secrets").await, before);

        let done = bench.ask(&update(&register("farthing", "AKIAFARTHINGEXAMPL91"))).await;
        assert_eq!(done.column("action").last(), Some(&Some("delete")), "{}", done.text());
        sandbox
            .deactivate_access_key(&bench.cloud.keys[&payer].access_key_id)
            .unwrap();
        bench.ask("CALL refresh_export()").await;
        let shown = bench
            .ask("SELECT access_key FROM system.accounts WHERE kind = 'root'")
            .await;
        assert_eq!(shown.single(), Some("AKIA...PL91"));
    });
}

#[test]
fn every_needed_right_is_tried_and_rights_too_many_are_named() {
    run(Start::Delivered, async |bench| {
        bench.connect(&bench.cloud.sample.linked()[..1]).await;
        let payer = bench.cloud.sample.payer();
        let checked = bench.ask("CALL check_aws_access()").await;
        assert!(
            !checked.column("status").contains(&Some("failed")),
            "{}",
            checked.text()
        );
        let outcome = |action: &str| {
            format!("SELECT outcome FROM system.permission_checks WHERE account_id = '{payer}' AND action = '{action}'")
        };
        for (action, expected) in [
            ("sts:GetCallerIdentity", "allowed"),
            ("s3:ListBucket", "allowed"),
            ("s3:GetObject", "allowed"),
            ("bcm-data-exports:ListExports", "denied"),
            ("iam:SimulatePrincipalPolicy", "unknown"),
        ] {
            assert_eq!(bench.ask(&outcome(action)).await.single(), Some(expected), "{action}");
        }
        let remedy = format!(
            "SELECT remedy FROM system.permission_checks WHERE account_id = '{payer}' AND action = 'bcm-data-exports:ListExports'"
        );
        assert!(
            bench
                .ask(&remedy)
                .await
                .single()
                .unwrap()
                .contains("\"Effect\": \"Allow\"")
        );

        // With everything allowed, what is not needed is told.
        let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
        allow(bench, "all", &all.to_string());
        bench
            .ask(&format!("CALL check_aws_access(account_id => '{payer}')"))
            .await;
        assert_eq!(bench.ask(&outcome("s3:DeleteObject")).await.single(), Some("excess"));
        assert_eq!(
            bench.ask(&outcome("ec2:DescribeInstances")).await.single(),
            Some("allowed")
        );

        // A key that AWS refuses is a finding too.
        bench
            .cloud
            .sandbox
            .deactivate_access_key(&bench.cloud.keys[&payer].access_key_id)
            .unwrap();
        let failed = bench
            .ask(&format!("CALL check_aws_access(account_id => '{payer}')"))
            .await;
        assert_eq!(failed.column("status"), [Some("failed")], "{}", failed.text());
    });
}

#[test]
fn the_diagnosis_answers_the_three_questions() {
    run(Start::NothingDelivered, async |bench| {
        let answers = async |question: &str| -> Vec<(String, String)> {
            let found = bench.ask("CALL diagnose_aws()").await;
            let rows = found
                .column("object")
                .into_iter()
                .zip(found.column("status"))
                .zip(found.column("detail"));
            rows.filter(|((object, _), _)| object.unwrap().starts_with(question))
                .map(|((_, status), detail)| (status.unwrap().to_owned(), detail.unwrap().to_owned()))
                .collect()
        };
        assert_eq!(answers("no data").await[0].0, "failed", "nothing is connected");

        // Connected early: the export is there, and not delivered.
        bench.connect(&[]).await;
        let waiting = answers("export not found").await;
        assert_eq!(waiting[0].0, "pending", "{waiting:?}");
        assert_eq!(answers("access denied").await[0].0, "ok");

        // Delivered, and not imported yet.
        bench.cloud.deliver(bench.cloud.sample, |_| true).await;
        let missing = answers("no data: exports").await;
        assert!(
            missing[0].1.contains("3 months delivered and not imported"),
            "{missing:?}"
        );
        bench.ask("CALL refresh_export()").await;
        assert!(answers("no data: exports").await.is_empty());
        let ignored = answers("no data: accounts that are not connected").await;
        assert!(
            ignored[0]
                .1
                .starts_with("6 accounts occur in the data and are not connected"),
            "{ignored:?}"
        );

        // The reader loses its rights.
        let payer = bench.cloud.sample.payer();
        bench
            .cloud
            .sandbox
            .delete_user_policy(&payer, "farthing", "read-export")
            .unwrap();
        let denied = answers("access denied").await;
        assert_eq!(denied[0].0, "failed", "{denied:?}");
        assert!(denied[0].1.contains("s3:ListBucket"), "{denied:?}");
        assert_eq!(answers("export not found").await[0].0, "failed");
    });
}

#[test]
fn one_call_makes_the_user_that_reads_the_bill() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let sandbox = &bench.cloud.sandbox;
        sandbox.create_user(&payer, "admin").unwrap();
        let key = AccessKey {
            access_key_id: "AKIAFARTHINGEXAMPL80".to_owned(),
            secret_access_key: "not-a-real-secret-of-an-administrator-000".to_owned(),
        };
        sandbox.register_access_key(&payer, "admin", &key).unwrap();
        let policy = bench
            .ask("SELECT aws_iam_policy(mode => 'setup_user', user_name => 'bill-reader')")
            .await;
        sandbox
            .put_user_policy(&payer, "admin", "setup", policy.single().unwrap())
            .unwrap();
        let call = |more: &str| {
            format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => 'bill-reader', \
                 access_key_id => '{}', secret_access_key => '{}'{more})",
                key.access_key_id, key.secret_access_key
            )
        };
        sandbox.requests().clear();
        let planned = bench.ask(&call(", dry_run => true")).await;
        assert!(writes(bench).is_empty(), "a dry run writes {:?}", writes(bench));
        assert!(planned.text().contains("s3:GetObject"), "{}", planned.text());

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

        sandbox.requests().clear();
        bench.ask(&call("")).await;
        assert!(writes(bench).is_empty(), "a repeated call writes {:?}", writes(bench));
        // The administrator's key is stored nowhere.
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.secrets").await.single(),
            Some("1")
        );
    });
}

/// What a call says of a role that does not trust Farthing yet.
fn asked_for_trust(answer: &farthing_tests::client::Answer) -> Value {
    let pending = answer
        .column("status")
        .iter()
        .position(|status| *status == Some("pending"));
    let at = pending.unwrap_or_else(|| panic!("nothing is pending: {}", answer.text()));
    serde_json::from_str(answer.column("evidence")[at].unwrap()).unwrap()
}

#[test]
fn a_role_shows_its_trust_policy_and_then_connects() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        let assume = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/bill-reader"}
        ]});
        allow(bench, "assume", &assume.to_string());
        let call = format!(
            "CALL connect_aws_linked(role_arn => 'arn:aws:iam::{}:role/bill-reader')",
            linked[0]
        );
        let first = asked_for_trust(&bench.ask(&call).await);
        assert_eq!(first["principal"], json!(format!("arn:aws:iam::{payer}:user/farthing")));
        assert_eq!(
            asked_for_trust(&bench.ask(&call).await)["external_id"],
            first["external_id"]
        );
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.accounts").await.single(),
            Some("1")
        );

        // Trust in somebody else's external id is no trust.
        let sandbox = &bench.cloud.sandbox;
        let other = first["trust_policy"]
            .to_string()
            .replace(first["external_id"].as_str().unwrap(), "chosen-by-another");
        sandbox.create_role(&linked[0], "bill-reader", &other).unwrap();
        asked_for_trust(&bench.ask(&call).await);

        // One template serves every account: the same trust policy in two others.
        let trust = first["trust_policy"].to_string();
        for account in &linked[1..3] {
            sandbox.create_role(account, "bill-reader", &trust).unwrap();
        }
        let all = bench
            .ask("CALL connect_aws_linked_all(role_name => 'bill-reader')")
            .await;
        let connected = bench
            .ask("SELECT account_id FROM system.accounts WHERE credential = 'role' ORDER BY 1")
            .await;
        let mut expected: Vec<Option<&str>> = linked[1..3].iter().map(|id| Some(id.as_str())).collect();
        expected.sort_unstable();
        assert_eq!(connected.column("account_id"), expected, "{}", all.text());
        let visible = format!("SELECT count(*) > 0 FROM costs WHERE sub_account_id = '{}'", linked[1]);
        assert_eq!(bench.ask(&visible).await.single(), Some("t"));
        let hidden = format!("SELECT count(*) FROM costs WHERE sub_account_id = '{}'", linked[0]);
        assert_eq!(bench.ask(&hidden).await.single(), Some("0"));

        // The root's key assumes their roles, so it stays when only its own account would go, and a new one takes its place.
        let checked = bench
            .ask(&format!("CALL check_aws_access(account_id => '{}')", linked[1]))
            .await;
        assert_eq!(checked.column("status")[0], Some("ok"), "{}", checked.text());
    });
}

#[test]
fn a_root_reads_its_export_through_a_role() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let key = bench.cloud.key_arguments(&bench.cloud.sample.linked()[0]);
        let call = format!(
            "CALL connect_aws_root(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', \
             role_arn => 'arn:aws:iam::{payer}:role/export-reader', {key})"
        );
        let refused = bench.refused(&call).await;
        assert_eq!(refused.sqlstate, "HV000", "{refused}");
        let trust = refused.message.split_once("then call again: ").unwrap().1.trim();
        let sandbox = &bench.cloud.sandbox;
        sandbox.create_role(&payer, "export-reader", trust).unwrap();
        let read = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
        ]});
        sandbox
            .put_role_policy(&payer, "export-reader", "read", &read.to_string())
            .unwrap();
        let linked = &bench.cloud.sample.linked()[0];
        let assume = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": format!("arn:aws:iam::{payer}:role/export-reader")}
        ]});
        sandbox
            .put_user_policy(linked, "farthing", "assume", &assume.to_string())
            .unwrap();
        bench.ask(&call).await;
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
        let account = bench.ask("SELECT account_id, credential FROM system.accounts").await;
        assert_eq!(account.rows, [[payer.clone(), "role".to_owned()].map(Some).to_vec()]);
    });
}
