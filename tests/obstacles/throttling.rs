//! AWS asks to slow down: a call that passes later is made again, and one that never passes ends in one clear error.

use farthing_sandbox::aws::{Fault, FaultKind};
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::BUCKET;

use super::{Complaints, allow_everything, location, nothing_is_left, tried};

/// Operations that a call makes, and the action that the error names.
const CONNECT: [(&str, &str); 3] = [
    ("GetCallerIdentity", "sts:GetCallerIdentity"),
    ("ListObjectsV2", "s3:ListBucket"),
    ("GetObject", "s3:GetObject"),
];
const CREATE: [(&str, &str); 7] = [
    ("ListExports", "bcm-data-exports:ListExports"),
    ("GetTable", "bcm-data-exports:GetTable"),
    ("CreateBucket", "s3:CreateBucket"),
    ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("PutBucketEncryption", "s3:PutEncryptionConfiguration"),
    ("PutBucketPolicy", "s3:PutBucketPolicy"),
    ("CreateExport", "bcm-data-exports:CreateExport"),
];

fn connect(bench: &Bench) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!("CALL connect_aws_root(location => '{}', {keys})", location())
}

fn create(bench: &Bench, name: &str, bucket: &str) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!("CALL create_aws_export(export_name => '{name}', bucket => '{bucket}', region => 'eu-west-1', {keys})")
}

#[test]
fn lasting_throttling_is_one_error_and_the_same_call_completes_later() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let sandbox = &bench.cloud.sandbox;
        let mut complaints = Complaints::default();
        for (operation, action) in CONNECT {
            let fault = sandbox.inject(Fault::new(FaultKind::SlowDown).operation(operation));
            let words = ["AWS throttles", action, "Try again later"];
            complaints.refused(operation, tried(bench, &connect(bench)).await, "HV00N", &words);
            // The attempts are limited: five, as configured.
            complaints.equal(&format!("{operation}: attempts"), fault.hits(), 5);
            fault.remove();
            nothing_is_left(bench, &mut complaints, operation).await;
        }
        allow_everything(bench, &payer);
        for (number, (operation, action)) in CREATE.into_iter().enumerate() {
            let call = create(bench, &format!("new-{number}"), &format!("example-made-{number}"));
            let fault = sandbox.inject(Fault::new(FaultKind::SlowDown).operation(operation));
            let words = ["AWS throttles", action, "Try again later"];
            complaints.refused(operation, tried(bench, &call).await, "HV00N", &words);
            fault.remove();
            // Quotas leave room for five exports.
            if number < 4 {
                bench.ask(&call).await;
            }
        }
        complaints.end();
        bench.ask(&connect(bench)).await;
    });
}

#[test]
fn passing_throttling_is_outlived_without_a_word() {
    run(Start::Delivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let sandbox = &bench.cloud.sandbox;
        let throttled: Vec<_> = CONNECT
            .iter()
            .chain(&CREATE)
            .map(|(operation, _)| sandbox.inject(Fault::new(FaultKind::SlowDown).operation(*operation).times(2)))
            .collect();
        bench.ask(&connect(bench)).await;
        bench.ask(&create(bench, "new-costs", "example-made")).await;
        for fault in throttled {
            assert_eq!(fault.hits(), 2, "{fault:?}");
        }
        let writes = sandbox
            .requests()
            .matching(|record| record.operation == "CreateExport" && record.status == 200);
        assert_eq!(writes.len(), 1, "one export is made, whatever was tried again");
        assert_eq!(sandbox.requests().count("CreateBucket"), 3, "{BUCKET} is not made");
    });
}
