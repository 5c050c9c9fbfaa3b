//! The onboarding guide's own policies, to the letter: with them everything that the guide says works, works; and each of
//! their actions, taken away alone, is named by a call with the resource and the statement to add, or is not used by anything.
//!
//! The policies come from the guide's text as the sandbox's tests keep it, not from Farthing.

use std::collections::BTreeSet;

use farthing_sandbox::aws::DataExportSpec;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::client::{Client, Refusal};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::{Value, json};

const OPTION_1: &str = include_str!("../../sandbox/src/aws/tests/guide/option-1.json");
const OPTION_2: &str = include_str!("../../sandbox/src/aws/tests/guide/option-2.json");

fn option_1() -> Value {
    serde_json::from_str(&OPTION_1.replace("<bucket_name>", BUCKET)).unwrap()
}

fn option_2() -> Value {
    serde_json::from_str(OPTION_2).unwrap()
}

/// The "Resource Discovery Policy": the fourth statement of option 1.
fn discovery() -> Value {
    json!({"Version": "2012-10-17", "Statement": [option_1()["Statement"][3]]})
}

/// The policies without one action, wherever it stands.
fn without(policies: &[Value], action: &str) -> Vec<Value> {
    let mut policies = policies.to_vec();
    for policy in &mut policies {
        let statements = policy["Statement"].as_array_mut().unwrap();
        for statement in statements.iter_mut() {
            let actions = statement["Action"].as_array_mut().unwrap();
            actions.retain(|held| held != action);
        }
        statements.retain(|statement| !statement["Action"].as_array().unwrap().is_empty());
    }
    policies.retain(|policy| !policy["Statement"].as_array().unwrap().is_empty());
    policies
}

/// Every action that the policies name.
fn actions(policies: &[Value]) -> BTreeSet<String> {
    let statements = policies
        .iter()
        .flat_map(|policy| policy["Statement"].as_array().unwrap());
    let named = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    named.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// The account's user has these policies and no other.
fn hold(bench: &Bench, account: &str, policies: &[Value]) {
    let sandbox = &bench.cloud.sandbox;
    for name in ["read-export", "guide-0", "guide-1", "guide-2", "simulate"] {
        // Some of them it does not have.
        let _ = sandbox.delete_user_policy(account, "farthing", name);
    }
    for (number, policy) in policies.iter().enumerate() {
        let name = format!("guide-{number}");
        sandbox
            .put_user_policy(account, "farthing", &name, &policy.to_string())
            .unwrap();
    }
}

/// What shows that an action is missing.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// This call is refused, for this action and resource. `$NEW` is a bucket that nobody has.
    Refused(&'static str, &'static str, &'static str),
    /// `check_aws_access` has a row for each of these actions: `denied`, with the statement to add.
    Checked(&'static [&'static str]),
    /// Everything works without it.
    Unused,
}

const CONNECT: &str = "CALL connect_aws_root(location => '$LOCATION', $KEY)";
const CREATE: &str = "CALL create_aws_export(export_name => '$NAME', bucket => '$NEW', connect => false, $KEY)";
const CREATE_IN_PRESENT: &str =
    "CALL create_aws_export(export_name => '$NAME', bucket => '$BUCKET', connect => false, $KEY)";
const CREATE_CUR: &str =
    "CALL create_aws_export(export_name => '$NAME', kind => 'cur', bucket => '$BUCKET', connect => false, $KEY)";
const BUCKET_ARN: &str = "arn:aws:s3:::example-corp-billing";
const OBJECTS: &str = "arn:aws:s3:::example-corp-billing/cur/daily/daily-costs/";

/// What discovery shows, action by action. `s3:GetBucketLocation` is a part of `s3:GetBucket*`.
const DISCOVERY: &[(&str, Shown)] = &[
    (
        "s3:GetBucket*",
        Shown::Checked(&[
            "s3:GetBucketTagging",
            "s3:GetBucketAcl",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketPolicyStatus",
        ]),
    ),
    (
        "iam:GetAccessKeyLastUsed",
        Shown::Checked(&["iam:GetAccessKeyLastUsed"]),
    ),
    (
        "cloudwatch:GetMetricStatistics",
        Shown::Checked(&["cloudwatch:GetMetricStatistics"]),
    ),
    (
        "ec2:Describe*",
        Shown::Checked(&["ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots"]),
    ),
    ("s3:ListAllMyBuckets", Shown::Checked(&["s3:ListAllMyBuckets"])),
    ("iam:ListUsers", Shown::Checked(&["iam:ListUsers"])),
    ("s3:GetBucketLocation", Shown::Unused),
    ("iam:GetLoginProfile", Shown::Checked(&["iam:GetLoginProfile"])),
    ("iam:ListAccessKeys", Shown::Checked(&["iam:ListAccessKeys"])),
    (
        "elasticloadbalancing:Describe*",
        Shown::Checked(&["elasticloadbalancing:DescribeLoadBalancers"]),
    ),
];

/// Options 1 and 2 read and create besides.
const READING: &[(&str, Shown)] = &[
    ("s3:ListBucket", Shown::Refused(CONNECT, "s3:ListBucket", BUCKET_ARN)),
    ("s3:GetObject", Shown::Refused(CONNECT, "s3:GetObject", OBJECTS)),
    (
        "cur:DescribeReportDefinitions",
        Shown::Checked(&["cur:DescribeReportDefinitions"]),
    ),
];
const CREATING: &[(&str, Shown)] = &[
    (
        "cur:DescribeReportDefinitions",
        Shown::Refused(CREATE_CUR, "cur:DescribeReportDefinitions", "*"),
    ),
    (
        "cur:PutReportDefinition",
        Shown::Refused(CREATE, "cur:PutReportDefinition", ":definition/"),
    ),
    (
        "bcm-data-exports:ListExports",
        Shown::Refused(CREATE, "bcm-data-exports:ListExports", "*"),
    ),
    (
        "bcm-data-exports:GetExport",
        Shown::Refused(CREATE, "bcm-data-exports:GetExport", ":export/"),
    ),
    (
        "bcm-data-exports:CreateExport",
        Shown::Refused(
            CREATE,
            "bcm-data-exports:CreateExport",
            "arn:aws:bcm-data-exports:us-east-1:",
        ),
    ),
    (
        "s3:CreateBucket",
        Shown::Refused(CREATE, "s3:CreateBucket", "arn:aws:s3:::$NEW"),
    ),
    (
        "s3:PutBucketPolicy",
        Shown::Refused(CREATE, "s3:PutBucketPolicy", "arn:aws:s3:::$NEW"),
    ),
    (
        "s3:ListBucket",
        Shown::Refused(CREATE_IN_PRESENT, "s3:ListBucket", BUCKET_ARN),
    ),
    ("s3:GetObject", Shown::Refused(CONNECT, "s3:GetObject", OBJECTS)),
    (
        "s3:GetBucket*",
        Shown::Refused(CREATE_IN_PRESENT, "s3:GetBucketPolicy", BUCKET_ARN),
    ),
];

/// What `create_aws_export` does beyond the guide's policies, if it may: it takes all columns of the table as it is today and
/// secures the bucket that it makes. Without these it warns.
const BEYOND_THE_GUIDE: [&str; 2] = ["bcm-data-exports:GetTable", "s3:PutBucketPublicAccessBlock"];

/// The row of each action of the policies: there is exactly one, so that no action is forgotten.
fn table(policies: &[Value], rows: &[&[(&'static str, Shown)]]) -> Vec<(&'static str, Shown)> {
    let mut table: Vec<(&'static str, Shown)> = Vec::new();
    for (action, shown) in rows.iter().copied().flatten() {
        if !table.iter().any(|(present, _)| present == action) {
            table.push((action, *shown));
        }
    }
    let rows: BTreeSet<String> = table.iter().map(|(action, _)| (*action).to_owned()).collect();
    assert_eq!(rows, actions(policies));
    table
}

fn filled(bench: &Bench, account: &str, call: &str, number: usize) -> String {
    call.replace("$LOCATION", &format!("s3://{BUCKET}/{PREFIX}/{EXPORT}"))
        .replace("$BUCKET", BUCKET)
        .replace("$NEW", &format!("example-new-{number}"))
        .replace("$NAME", &format!("new-{number}"))
        .replace("$KEY", &bench.cloud.key_arguments(account))
}

/// What is wrong with a refusal that should name an action, a resource and the statement to add.
fn unnamed(refusal: &Refusal, action: &str, resource: &str) -> Option<String> {
    let named = refusal.message.starts_with(&format!("AWS refused {action} on "))
        && refusal.message.contains(resource)
        && refusal.message.contains("\"Effect\": \"Allow\"")
        && refusal.message.contains(&format!("\"Action\": \"{action}\""));
    (refusal.sqlstate != "HV000" || !named).then(|| format!("without {action} on {resource}: {refusal}"))
}

/// What is wrong with the check of an action that is missing.
async fn unchecked(bench: &Bench, account: &str, action: &str) -> Option<String> {
    let found = bench
        .ask(&format!(
            "SELECT outcome, remedy FROM system.permission_checks WHERE account_id = '{account}' AND action = '{action}'"
        ))
        .await;
    let named = found.rows.len() == 1
        && found.column("outcome") == [Some("denied")]
        && found.column("remedy")[0].is_some_and(|remedy| {
            remedy.contains("\"Effect\": \"Allow\"") && remedy.contains(&format!("\"Action\": \"{action}\""))
        });
    (!named).then(|| format!("without {action}: {}", found.text()))
}

/// Takes each action away alone.
async fn judge(bench: &Bench, account: &str, policies: &[Value], table: Vec<(&'static str, Shown)>, always: &[&str]) {
    let simulator = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy"], "Resource": "*"}
    ]});
    let mut wrong = Vec::new();
    for (number, (action, shown)) in table.into_iter().enumerate() {
        let left = without(policies, action);
        hold(bench, account, &left);
        match shown {
            Shown::Refused(call, names, resource) => {
                let resource = resource.replace("$NEW", &format!("example-new-{number}"));
                let call = filled(bench, account, call, number);
                match bench.site.admin().run(&call).await {
                    Ok(answer) => wrong.push(format!("{call} works without {action}\n{}", answer.text())),
                    Err(refusal) => wrong.extend(unnamed(&refusal, names, &resource)),
                }
            }
            Shown::Checked(names) => {
                let sandbox = &bench.cloud.sandbox;
                sandbox
                    .put_user_policy(account, "farthing", "simulate", &simulator.to_string())
                    .unwrap();
                bench
                    .ask(&format!("CALL check_aws_access(account_id => '{account}')"))
                    .await;
                for name in names {
                    wrong.extend(unchecked(bench, account, name).await);
                }
            }
            Shown::Unused => {
                for call in always {
                    let call = filled(bench, account, call, 100 + number);
                    if let Err(refusal) = bench.site.admin().run(&call).await {
                        wrong.push(format!("{call} needs {action}: {refusal}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn option_1_connects_an_export_that_exists() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let policies = [option_1()];
        hold(bench, &payer, &policies);
        bench.ask(&filled(bench, &payer, CONNECT, 0)).await;
        let checked = bench.ask("CALL check_aws_access()").await;
        assert!(
            !checked.column("status").contains(&Some("failed")),
            "{}",
            checked.text()
        );
        // What the guide does not allow is told, and is not needed for what it says.
        for (action, outcome) in [
            ("bcm-data-exports:ListExports", "denied"),
            ("organizations:DescribeOrganization", "denied"),
            ("iam:SimulatePrincipalPolicy", "unknown"),
            ("cur:DescribeReportDefinitions", "allowed"),
        ] {
            let found = format!("SELECT outcome FROM system.permission_checks WHERE action = '{action}'");
            assert_eq!(bench.ask(&found).await.single(), Some(outcome), "{action}");
        }
        let table = table(&policies, &[READING, DISCOVERY]);
        judge(bench, &payer, &policies, table, &[CONNECT]).await;
    });
}

#[test]
fn option_2_creates_an_export() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let policies = [option_2(), discovery()];
        hold(bench, &payer, &policies);
        // An account with an export of another kind, which is looked at.
        let present = DataExportSpec::focus("present", BUCKET, "elsewhere");
        bench.cloud.sandbox.register_export(&payer, &present).unwrap();
        let made = bench.ask(&filled(bench, &payer, CREATE, CREATE.len())).await;
        for action in BEYOND_THE_GUIDE {
            let of = |detail: &Option<&str>| detail.is_some_and(|detail| detail.contains(action));
            let at = made.column("detail").iter().position(of);
            let at = at.unwrap_or_else(|| panic!("{action} is not named: {}", made.text()));
            assert_eq!(made.column("status")[at], Some("warning"), "{action}");
        }
        for call in [CREATE_IN_PRESENT, CREATE_CUR, CONNECT] {
            let call = filled(bench, &payer, call, call.len());
            bench.ask(&call).await;
        }
        let table = table(&policies, &[CREATING, DISCOVERY]);
        judge(bench, &payer, &policies, table, &[CREATE, CONNECT]).await;
    });
}

#[test]
fn option_3_connects_a_member() {
    run(Start::AllConnected, async |bench| {
        let linked = bench.cloud.sample.linked().remove(0);
        let policies = [discovery()];
        hold(bench, &linked, &policies);
        const CONNECT_LINKED: &str = "CALL connect_aws_linked($KEY)";
        bench.ask(&filled(bench, &linked, CONNECT_LINKED, 0)).await;
        let reports: &[(&str, Shown)] = &[("cur:DescribeReportDefinitions", Shown::Unused)];
        let table = table(&policies, &[reports, DISCOVERY]);
        judge(bench, &linked, &policies, table, &[CONNECT_LINKED]).await;
    });
}

#[test]
fn the_printed_originals_are_the_guides() {
    run(Start::NothingDelivered, async |bench| {
        for (mode, guide) in [
            ("guide_option1", option_1()),
            ("guide_option2", option_2()),
            ("guide_linked", discovery()),
        ] {
            let sql = format!("SELECT aws_iam_policy(mode => '{mode}', bucket => '{BUCKET}')");
            let printed: Value = serde_json::from_str(bench.ask(&sql).await.single().unwrap()).unwrap();
            assert_eq!(printed, guide, "{mode}");
        }
    });
}
