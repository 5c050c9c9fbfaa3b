//! Keys that AWS does not take: wrong, unknown, deactivated, expired, of another account, or signed by a wrong clock.

use std::time::Duration;

use chrono::TimeDelta;
use farthing_sandbox::aws::Sandbox;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::BUCKET;

use super::{
    Complaints, EVERYTHING, allow_everything, allowing, key_arguments, location, nothing_is_left, tried, user,
};

/// Every procedure that takes a key, `$KEY` in its place.
const CALLS: [&str; 8] = [
    "CALL connect_aws_root(location => '$LOCATION', $KEY)",
    "CALL connect_aws_root($KEY)",
    "CALL connect_aws_root(location => '$LOCATION', role_arn => 'arn:aws:iam::123456789012:role/reader', $KEY)",
    "CALL connect_aws_linked($KEY)",
    "CALL connect_aws_linked_all(role_name => 'reader', $KEY)",
    "CALL create_aws_export(export_name => 'new-costs', bucket => 'example-corp-made-by-call', region => 'eu-west-1', $KEY)",
    "CALL setup_aws_iam_user(location => '$LOCATION', user_name => 'bill-reader', $KEY)",
    "CALL update_aws_credentials($KEY)",
];

const WRONG: &str = "not-a-real-secret-at-all-00000000000000";

/// A bad key: what it is, its arguments, what is told, and what undoes the state of the sandbox that makes it bad.
struct BadKey {
    name: &'static str,
    arguments: String,
    words: &'static [&'static str],
    undo: fn(&Sandbox),
}

fn nothing(_: &Sandbox) {}

/// A session of a role that may do everything.
fn session(bench: &Bench, name: &str) -> (String, String, String) {
    let sandbox = &bench.cloud.sandbox;
    let opened = sandbox
        .open_session(&bench.cloud.sample.payer(), "operator", name, Duration::from_secs(3600))
        .unwrap();
    (opened.access_key_id, opened.secret_access_key, opened.session_token)
}

fn bad_key(bench: &Bench, name: &'static str) -> BadKey {
    let sandbox = &bench.cloud.sandbox;
    let payer = bench.cloud.sample.payer();
    let good = &bench.cloud.keys[&payer];
    let given = |arguments: String, words| BadKey {
        name,
        arguments,
        words,
        undo: nothing,
    };
    match name {
        "wrong secret" => given(
            key_arguments(&good.access_key_id, WRONG),
            &[
                "the secret access key does not belong to the access key id",
                "Copy the secret access key again",
            ],
        ),
        "unknown key" => given(
            key_arguments("AKIAFARTHINGEXAMPLEX", WRONG),
            &["AWS does not know the access key id", "IAM console"],
        ),
        "deactivated key" => {
            let key = user(bench, &payer, "former", EVERYTHING);
            sandbox.deactivate_access_key(&key.access_key_id).unwrap();
            given(
                key_arguments(&key.access_key_id, &key.secret_access_key),
                &["or it has been deactivated", "IAM console"],
            )
        }
        "session without its token" => {
            let (id, secret, _) = session(bench, "one");
            given(
                key_arguments(&id, &secret),
                &[
                    "a temporary access key without its session token",
                    "Give session_token too",
                ],
            )
        }
        "token of another session" => {
            let ((id, secret, _), (_, _, token)) = (session(bench, "two"), session(bench, "three"));
            let arguments = format!("{}, session_token => '{token}'", key_arguments(&id, &secret));
            given(arguments, &["AWS does not know the access key id", "session token"])
        }
        "expired session" => {
            let (id, secret, token) = session(bench, "four");
            sandbox.advance(Duration::from_secs(3601));
            let arguments = format!("{}, session_token => '{token}'", key_arguments(&id, &secret));
            given(arguments, &["the session token has expired", "give new ones"])
        }
        "clock behind" | "clock ahead" => {
            let minutes = if name == "clock behind" { 16 } else { -16 };
            sandbox.clock().set_skew(TimeDelta::minutes(minutes));
            BadKey {
                undo: |sandbox| sandbox.clock().set_skew(TimeDelta::zero()),
                ..given(
                    key_arguments(&good.access_key_id, &good.secret_access_key),
                    &["the clock of this machine differs", "NTP", "15 minutes"],
                )
            }
        }
        other => panic!("no such key: {other}"),
    }
}

#[test]
fn each_bad_key_is_told_apart_by_every_procedure() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let trust = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}"#;
        bench.cloud.sandbox.create_role(&payer, "operator", trust).unwrap();
        let mut complaints = Complaints::default();
        for name in [
            "wrong secret",
            "unknown key",
            "deactivated key",
            "session without its token",
            "token of another session",
            "expired session",
            "clock behind",
            "clock ahead",
        ] {
            let bad = bad_key(bench, name);
            for call in CALLS {
                let sql = call.replace("$LOCATION", &location()).replace("$KEY", &bad.arguments);
                let outcome = tried(bench, &sql).await;
                let row = format!("{}: {call}", bad.name);
                if let Err(refusal) = &outcome {
                    let told = &refusal.message;
                    let secret = bench.cloud.keys[&payer].secret_access_key.as_str();
                    complaints.equal(&format!("{row}: the secret is told"), told.contains(secret), false);
                }
                // Which key it is is told too, or which role it was to assume.
                let (_, id) = bad.arguments.split_once("access_key_id => '").unwrap();
                let which = if call.contains("role_arn") {
                    "role/reader"
                } else {
                    &id[..4]
                };
                let words: Vec<&str> = match bad.name {
                    "session without its token" => bad.words.to_vec(),
                    _ => bad.words.iter().copied().chain([which]).collect(),
                };
                complaints.refused(&row, outcome, "28P01", &words);
            }
            (bad.undo)(&bench.cloud.sandbox);
        }
        nothing_is_left(bench, &mut complaints, "after bad keys").await;
        complaints.end();
        // With a good key the first call connects: nothing of the above is in its way.
        bench.ask(&bench.cloud.connect_root()).await;
    });
}

#[test]
fn a_stored_key_that_goes_bad_is_a_finding_and_the_data_stays() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let payer = bench.cloud.sample.payer();
        let sandbox = &bench.cloud.sandbox;
        let id = &bench.cloud.keys[&payer].access_key_id;
        let rows = bench.ask("SELECT count(*) FROM costs").await;
        let mut complaints = Complaints::default();
        for (name, words) in [
            ("deactivated", "or it has been deactivated"),
            ("clock", "the clock of this machine differs"),
        ] {
            match name {
                "deactivated" => sandbox.deactivate_access_key(id).unwrap(),
                _ => sandbox.clock().set_skew(TimeDelta::hours(1)),
            }
            for call in ["CALL check_aws_access()", "CALL diagnose_aws()"] {
                complaints.row(&format!("{name}: {call}"), tried(bench, call).await, "failed", &[words]);
            }
            let refresh = tried(bench, "CALL refresh_export()").await;
            complaints.refused(&format!("{name}: refresh"), refresh, "28P01", &[words]);
            match name {
                "deactivated" => sandbox.activate_access_key(id).unwrap(),
                _ => sandbox.clock().set_skew(TimeDelta::zero()),
            }
            complaints.equal(name, &bench.ask("SELECT count(*) FROM costs").await, &rows);
        }
        let checked = tried(bench, "CALL check_aws_access()").await;
        complaints.row("good again", checked, "ok", &["sts:GetCallerIdentity"]);
        complaints.end();
    });
}

#[test]
fn a_key_of_another_account_is_refused_where_the_account_matters() {
    run(Start::Delivered, async |bench| {
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        let other = bench.cloud.key_arguments(&linked[0]);
        let own = bench.cloud.key_arguments(&payer);
        let belongs = format!("the credential belongs to account {}", linked[0]);
        let belongs = belongs.as_str();
        let mut complaints = Complaints::default();
        let named = [
            format!(
                "CALL connect_aws_root(account_id => '{payer}', location => '{}', {own})",
                location()
            ),
            format!("CALL connect_aws_linked(account_id => '{}', {other})", linked[0]),
        ];
        for call in [
            format!("CALL connect_aws_linked(account_id => '{payer}', {other})"),
            format!(
                "CALL create_aws_export(account_id => '{payer}', export_name => 'e', bucket => 'made-by-call', {other})"
            ),
            format!(
                "CALL setup_aws_iam_user(account_id => '{payer}', location => '{}', user_name => 'u', {other})",
                location()
            ),
        ] {
            complaints.refused(&call, tried(bench, &call).await, "28P01", &[belongs, &payer]);
        }
        // The bucket is the payer's: the user has rights of its own, and the bucket's owner has allowed nothing.
        let reads = allowing(&["s3:ListBucket", "s3:GetObject"]);
        bench
            .cloud
            .sandbox
            .put_user_policy(&linked[0], "farthing", "reads", &reads)
            .unwrap();
        let call = format!("CALL connect_aws_root(location => '{}', {other})", location());
        let bucket = format!("s3:ListBucket on arn:aws:s3:::{BUCKET}");
        let words = [bucket.as_str(), "another account", "bucket policy"];
        complaints.refused(&call, tried(bench, &call).await, "HV000", &words);
        nothing_is_left(bench, &mut complaints, "after other accounts' keys").await;
        for call in named {
            bench.ask(&call).await;
        }
        let call = format!("CALL connect_aws_linked({own})");
        let outcome = tried(bench, &call).await;
        complaints.refused(&call, outcome, "42710", &[&payer, "connected as root"]);
        let call = format!("CALL update_aws_credentials(account_id => '{payer}', {other})");
        complaints.refused(&call, tried(bench, &call).await, "28P01", &[belongs, &payer]);
        complaints.end();
    });
}
