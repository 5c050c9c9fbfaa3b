//! Regions: a bucket in another one, and one that the organization denies.

use farthing_sandbox::aws::WrongRegion;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::json;

use super::{Complaints, allow_everything, location, nothing_is_left, tried};

const REGIONS: [WrongRegion; 2] = [
    WrongRegion::PermanentRedirect,
    WrongRegion::AuthorizationHeaderMalformed,
];

#[test]
fn a_bucket_of_another_region_is_found_whichever_region_is_told() {
    // The bucket lies in eu-west-1, and the node asks in us-east-1 first.
    for answer in REGIONS {
        run(Start::Delivered, async |bench| {
            bench.cloud.sandbox.set_wrong_region(answer);
            let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
            for region in ["", "region => 'eu-west-1', ", "region => 'ap-southeast-2', "] {
                let call = format!(
                    "CALL connect_aws_root(bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => '{EXPORT}', {region}{keys})"
                );
                let connected = bench.ask(&call).await;
                let evidence: String = connected.column("evidence").into_iter().flatten().collect();
                assert!(
                    evidence.contains("\"eu-west-1\""),
                    "{answer:?} {region}: {}",
                    connected.text()
                );
            }
            bench.ask("CALL refresh_export()").await;
            assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
        });
    }
}

#[test]
fn a_present_bucket_of_another_region_is_used_where_it_lies() {
    for answer in REGIONS {
        run(Start::NothingDelivered, async |bench| {
            bench.cloud.sandbox.set_wrong_region(answer);
            let payer = bench.cloud.sample.payer();
            allow_everything(bench, &payer);
            let keys = bench.cloud.key_arguments(&payer);
            let call = format!(
                "CALL create_aws_export(export_name => 'new-costs', bucket => '{BUCKET}', region => 'us-west-2', {keys})"
            );
            let made = bench.ask(&call).await;
            let evidence: String = made.column("evidence").into_iter().flatten().collect();
            assert!(
                evidence.contains("\"region\":\"eu-west-1\""),
                "{answer:?}: {}",
                made.text()
            );
            assert_eq!(bench.cloud.sandbox.requests().count("CreateBucket"), 0);
        });
    }
}

/// A service control policy that closes all Regions but one, as organizations write it: global services stay open.
fn only_in(region: &str) -> String {
    let global = ["iam:*", "organizations:*", "sts:*", "cur:*", "bcm-data-exports:*"];
    json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "DenyOtherRegions", "Effect": "Deny", "NotAction": global, "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:RequestedRegion": [region]}},
    }]})
    .to_string()
}

fn organization(bench: &Bench) -> Vec<String> {
    let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
    let members: Vec<&str> = linked.iter().map(String::as_str).collect();
    bench.cloud.sandbox.create_organization(&payer, &members).unwrap();
    linked
}

#[test]
fn what_the_organization_denies_is_told_with_who_can_change_it() {
    run(Start::NothingDelivered, async |bench| {
        let member = organization(bench).remove(0);
        let sandbox = &bench.cloud.sandbox;
        allow_everything(bench, &member);
        sandbox
            .create_bucket(&member, "example-member-bills", "eu-west-1")
            .unwrap();
        sandbox
            .attach_service_control_policy(&member, &only_in("us-east-1"))
            .unwrap();
        let keys = bench.cloud.key_arguments(&member);
        let mut complaints = Complaints::default();
        for (call, action, object) in [
            (
                format!(
                    "CALL create_aws_export(export_name => 'e', bucket => 'example-made-by-call', region => 'eu-south-1', {keys})"
                ),
                "s3:CreateBucket",
                "arn:aws:s3:::example-made-by-call",
            ),
            (
                format!("CALL create_aws_export(export_name => 'e', bucket => 'example-member-bills', {keys})"),
                "s3:",
                "arn:aws:s3:::example-member-bills",
            ),
            (
                format!("CALL connect_aws_root(location => 's3://example-member-bills/p/e', {keys})"),
                "s3:ListBucket",
                "arn:aws:s3:::example-member-bills",
            ),
        ] {
            let outcome = tried(bench, &call).await;
            // An Allow would not help, so none may be advised.
            if let Err(refusal) = &outcome {
                let advised = refusal.message.contains("\"Effect\": \"Allow\"");
                complaints.equal(&format!("{call} advises an Allow: {refusal}"), advised, false);
            }
            let words = [
                format!("AWS refused {action}"),
                object.to_owned(),
                "with an explicit deny in a service control policy".to_owned(),
                "organization's administrator".to_owned(),
            ];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            complaints.refused(&call, outcome, "HV000", &words);
        }
        // CUR 2.0 asks for an action of the older service, which organizations like to close.
        sandbox.detach_service_control_policies(&member).unwrap();
        let no_cur = r#"{"Statement": {"Effect": "Deny", "Action": "cur:*", "Resource": "*"}}"#;
        sandbox.attach_service_control_policy(&member, no_cur).unwrap();
        let call = format!("CALL create_aws_export(export_name => 'e', bucket => 'example-member-bills', {keys})");
        let words = [
            "AWS refused cur:PutReportDefinition",
            "with an explicit deny in a service control policy",
            "organization's administrator",
        ];
        complaints.refused(&call, tried(bench, &call).await, "HV000", &words);
        nothing_is_left(bench, &mut complaints, "after denials").await;
        complaints.end();
        // Open again, the same call goes on where the other ended.
        sandbox.detach_service_control_policies(&member).unwrap();
        bench.ask(&call).await;
    });
}

#[test]
fn the_payer_is_bound_by_no_service_control_policy() {
    run(Start::Delivered, async |bench| {
        organization(bench);
        let payer = bench.cloud.sample.payer();
        bench
            .cloud
            .sandbox
            .attach_service_control_policy(&payer, &only_in("us-east-1"))
            .unwrap();
        let connected = bench.ask(&bench.cloud.connect_root()).await;
        assert!(connected.text().contains(&location()), "{}", connected.text());
    });
}
