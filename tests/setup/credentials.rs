//! `update_aws_credentials`, and what `check_aws_access` says of a credential.

use farthing_sandbox::aws::AccessKey;
use farthing_tests::bench::{Start, run};
use serde_json::json;

use super::allow;

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
