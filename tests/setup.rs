//! Set-up that looks at, and writes to, AWS's side: exports are found, made, checked; keys are replaced.

mod audit;
mod create;
mod credentials;
mod detect;
mod diagnose;
mod disconnect;
mod linked;
mod roles;
mod standalone;
mod user;

use farthing_sandbox::aws::AccessKey;
use farthing_tests::bench::Bench;
use serde_json::Value;

/// A bucket that nobody has yet.
const NEW_BUCKET: &str = "example-corp-made-by-call";
/// A policy that allows everything.
const EVERYTHING: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// Gives the payer's user one policy more.
fn allow(bench: &Bench, name: &str, policy: &str) {
    let payer = bench.cloud.sample.payer();
    bench
        .cloud
        .sandbox
        .put_user_policy(&payer, "farthing", name, policy)
        .unwrap();
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

/// The call that makes the export `new-costs` of the payer in [`NEW_BUCKET`].
fn create(bench: &Bench, more: &str) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!(
        "CALL create_aws_export(export_name => 'new-costs', bucket => '{NEW_BUCKET}', region => 'eu-west-1', {keys}{more})"
    )
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

/// An administrator of an account who may set up the user `bill-reader`, as Farthing prints it: the key's arguments.
async fn administrator(bench: &Bench, account: &str) -> String {
    let sandbox = &bench.cloud.sandbox;
    sandbox.create_user(account, "admin").unwrap();
    let key = AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPL80".to_owned(),
        secret_access_key: "not-a-real-secret-of-an-administrator-000".to_owned(),
    };
    sandbox.register_access_key(account, "admin", &key).unwrap();
    let policy = bench
        .ask("SELECT aws_iam_policy(mode => 'setup_user', user_name => 'bill-reader')")
        .await;
    let policy = policy.single().unwrap();
    sandbox.put_user_policy(account, "admin", "setup", policy).unwrap();
    format!(
        "access_key_id => '{}', secret_access_key => '{}'",
        key.access_key_id, key.secret_access_key
    )
}
