//! Roles: their trust policy, and connecting through them.

use farthing_tests::bench::{Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::{Value, json};

use super::allow;

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
