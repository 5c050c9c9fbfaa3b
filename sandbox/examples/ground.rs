//! A sandbox for clients that are not written in Rust: starts one with an organization in it, prints where it listens and its
//! keys as one line of JSON, and serves until its standard input ends. `tests/emulators/run` starts it.

#![allow(clippy::print_stdout, reason = "the line is what it is started for")]

use std::error::Error;

use farthing_sandbox::aws::{AccessKey, ReportSpec, Sandbox, SandboxSpec};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

const PAYER: &str = "111122223333";
const LINKED: &str = "444455556666";
const STRANGER: &str = "777788889999";
/// More accounts than a page of ListAccounts holds, with the two above.
const MEMBERS: usize = 43;
/// More reports than a page of DescribeReportDefinitions holds, and fewer than an account may have.
const REPORTS: usize = 7;
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
/// The onboarding guide's policies, word for word, with the bucket's name filled in.
const OPTION_1: &str = include_str!("../src/aws/tests/guide/option-1.json");
const OPTION_2: &str = include_str!("../src/aws/tests/guide/option-2.json");
const ROLE_TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}}}]}"#;

fn key(key: &AccessKey) -> Value {
    json!({ "aws_access_key_id": key.access_key_id, "aws_secret_access_key": key.secret_access_key })
}

/// A user with a policy, or with none.
fn user(sandbox: &Sandbox, account: &str, name: &str, policy: Option<&str>) -> Result<AccessKey, Box<dyn Error>> {
    sandbox.create_user(account, name)?;
    if let Some(policy) = policy {
        sandbox.put_user_policy(account, name, "policy", policy)?;
    }
    Ok(sandbox.create_access_key(account, name)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(SandboxSpec::in_memory()).await?;
    sandbox.create_account(PAYER, "payer")?;
    sandbox.create_account(LINKED, "linked")?;
    sandbox.create_account(STRANGER, "stranger")?;
    let mut members = vec![LINKED.to_owned()];
    for number in 0..MEMBERS {
        let id = format!("2000000000{number:02}");
        sandbox.create_account(&id, &format!("member-{number}"))?;
        members.push(id);
    }
    let ids: Vec<&str> = members.iter().map(String::as_str).collect();
    sandbox.create_organization(PAYER, &ids)?;
    sandbox.create_role(LINKED, "bill-reader", ROLE_TRUST)?;
    sandbox.put_role_policy(LINKED, "bill-reader", "policy", ALL)?;
    sandbox.create_bucket(PAYER, "example-reports", "us-east-1")?;
    sandbox.create_bucket(PAYER, "example-frankfurt", "eu-central-1")?;
    for number in 0..REPORTS {
        let report = ReportSpec::new(&format!("report-{number}"), "example-reports", "reports");
        sandbox.register_report(PAYER, &report)?;
    }
    let former = user(&sandbox, PAYER, "former", Some(ALL))?;
    sandbox.deactivate_access_key(&former.access_key_id)?;
    let option_1 = OPTION_1.replace("<bucket_name>", "example-guide");
    let guide: Value = serde_json::from_str(&option_1)?;
    // The "Resource Discovery Policy" is the fourth statement of option 1.
    let discovery = json!({ "Version": guide["Version"], "Statement": [guide["Statement"][3]] }).to_string();
    let option_2 = user(&sandbox, PAYER, "option-2", Some(OPTION_2))?;
    sandbox.put_user_policy(PAYER, "option-2", "discovery", &discovery)?;
    let ground = json!({
        "endpoint": sandbox.endpoint_text(),
        "payer": PAYER,
        "linked": LINKED,
        "stranger": STRANGER,
        "accounts": MEMBERS + 2,
        "reports": REPORTS,
        "keys": {
            "payer": key(&user(&sandbox, PAYER, "admin", Some(ALL))?),
            "linked": key(&user(&sandbox, LINKED, "admin", Some(ALL))?),
            "stranger": key(&user(&sandbox, STRANGER, "admin", Some(ALL))?),
            "nobody": key(&user(&sandbox, PAYER, "nobody", None)?),
            "former": key(&former),
            "option-1": key(&user(&sandbox, PAYER, "option-1", Some(&option_1))?),
            "option-2": key(&option_2),
            "option-3": key(&user(&sandbox, PAYER, "option-3", Some(&discovery))?),
        },
    });
    println!("{ground}");
    // Whoever started it closes its end, or ends.
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    sandbox.shutdown().await;
    Ok(())
}
