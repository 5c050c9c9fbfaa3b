//! Names that are taken, and quotas that are used up.

use farthing_sandbox::aws::{DataExportSpec, Fault, FaultKind, ReportSpec};
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};

use super::{Complaints, EVERYTHING, allow_everything, key_arguments, location, nothing_is_left, tried, user};

fn create(bench: &Bench, more: &str) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!("CALL create_aws_export({more}, {keys})")
}

#[test]
fn the_name_of_an_export_is_taken() {
    run(Start::Delivered, async |bench| {
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        allow_everything(bench, &payer);
        let sandbox = &bench.cloud.sandbox;
        let spec = DataExportSpec::cur2("costs", BUCKET, "elsewhere");
        sandbox.register_export(&payer, &spec).unwrap();
        sandbox
            .register_report(&payer, &ReportSpec::new("report", BUCKET, "elsewhere"))
            .unwrap();
        let mut complaints = Complaints::default();
        for (more, words) in [
            (
                "export_name => 'costs', bucket => 'example-made-by-call'",
                vec![
                    "another export costs",
                    "bucket is example-corp-billing, not example-made-by-call",
                    "another export_name",
                ],
            ),
            (
                "export_name => 'costs', bucket => 'example-corp-billing', prefix => 'here'",
                vec!["prefix is elsewhere, not here", "connect_aws_root"],
            ),
            (
                "export_name => 'report', kind => 'cur', bucket => 'example-corp-billing', prefix => 'here'",
                vec!["another export report", "prefix is elsewhere, not here"],
            ),
        ] {
            complaints.refused(more, tried(bench, &create(bench, more)).await, "42710", &words);
        }
        nothing_is_left(bench, &mut complaints, "after taken names").await;

        // The table is called after the export, and another account has one of that name.
        bench.ask(&bench.cloud.connect_root()).await;
        allow_everything(bench, &linked[0]);
        sandbox
            .create_bucket(&linked[0], "example-other-bills", "us-east-1")
            .unwrap();
        let other = bench.cloud.key_arguments(&linked[0]);
        let call = format!("CALL connect_aws_root(location => 's3://example-other-bills/p/{EXPORT}', {other})");
        let place = location();
        let words = ["daily_costs", &payer, place.as_str(), "replace => true"];
        complaints.refused("table", tried(bench, &call).await, "42710", &words);
        complaints.end();
    });
}

#[test]
fn the_name_of_a_bucket_is_another_accounts() {
    run(Start::NothingDelivered, async |bench| {
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        allow_everything(bench, &payer);
        let sandbox = &bench.cloud.sandbox;
        sandbox.create_bucket(&linked[0], "example-taken", "eu-west-1").unwrap();
        let mut complaints = Complaints::default();
        let keys = bench.cloud.key_arguments(&payer);
        for call in [
            create(
                bench,
                "export_name => 'e', bucket => 'example-taken', region => 'eu-west-1'",
            ),
            format!("CALL connect_aws_root(location => 's3://example-taken/p/e', {keys})"),
        ] {
            let words = [
                "AWS refused s3:ListBucket on arn:aws:s3:::example-taken",
                "another account",
            ];
            complaints.refused(&call, tried(bench, &call).await, "HV000", &words);
        }
        // Somebody takes the name between the look and the creation.
        let take = FaultKind::TakeBucket {
            account: linked[0].clone(),
            region: "eu-west-1".to_owned(),
        };
        let fault = sandbox.inject(Fault::new(take).operation("CreateBucket").times(1));
        let call = create(
            bench,
            "export_name => 'e', bucket => 'example-late', region => 'eu-west-1'",
        );
        let words = ["example-late belongs to another AWS account", "choose another"];
        complaints.refused("late", tried(bench, &call).await, "42710", &words);
        complaints.equal("late: struck", fault.hits(), 1);
        // No bucket of that name, and names that none can have.
        for (bucket, sqlstate, words) in [
            (
                "example-nobodys",
                "42704",
                ["bucket \"example-nobodys\" does not exist", "Check the bucket name"],
            ),
            (
                "Not_A_Bucket",
                "22023",
                ["\"Not_A_Bucket\" is not a bucket name", "3 to 63 characters"],
            ),
        ] {
            let call = format!("CALL connect_aws_root(location => 's3://{bucket}/p/e', {keys})");
            complaints.refused(bucket, tried(bench, &call).await, sqlstate, &words);
        }
        nothing_is_left(bench, &mut complaints, "after others' buckets").await;
        complaints.end();
    });
}

#[test]
fn quotas_are_told_with_what_makes_room() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let sandbox = &bench.cloud.sandbox;
        for number in 0..5 {
            let spec = DataExportSpec::cur2(&format!("e{number}"), BUCKET, "p");
            sandbox.register_export(&payer, &spec).unwrap();
        }
        for number in 0..10 {
            let spec = ReportSpec::new(&format!("r{number}"), BUCKET, "p");
            sandbox.register_report(&payer, &spec).unwrap();
        }
        let mut complaints = Complaints::default();
        for (more, object) in [
            (format!("export_name => 'e5', bucket => '{BUCKET}'"), "export \"e5\""),
            (
                format!("export_name => 'r10', kind => 'cur', bucket => '{BUCKET}'"),
                "r10",
            ),
        ] {
            let words = [
                "AWS's quota leaves no room for",
                object,
                "delete one that is not needed",
            ];
            complaints.refused(&more, tried(bench, &create(bench, &more)).await, "53400", &words);
        }

        let admin = user(bench, &payer, "admin", EVERYTHING);
        let setup = |name: &str| {
            format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => '{name}', {})",
                key_arguments(&admin.access_key_id, &admin.secret_access_key)
            )
        };
        // Two keys are as many as a user may have.
        user(bench, &payer, "busy", EVERYTHING);
        sandbox.create_access_key(&payer, "busy").unwrap();
        let words = ["AccessKeysPerUser", "busy", "Delete an access key of the user"];
        complaints.refused("keys", tried(bench, &setup("busy")).await, "53400", &words);
        nothing_is_left(bench, &mut complaints, "after quotas").await;
        complaints.end();
        bench.ask(&setup("free")).await;
    });
}
