//! Where an export is, in every form in which the console shows it and people write it.

use bytes::Bytes;
use farthing_sandbox::aws::DataExportSpec;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};

use super::{Complaints, allow_everything, nothing_is_left, tried};

/// One month, so that each form can be imported.
const MONTH: &str = "BILLING_PERIOD=2026-06";

/// Delivers the month below another key than the sample's, with a manifest that names the files there.
async fn deliver_below(bench: &Bench, bucket: &str, base: &str) {
    let sample = bench.cloud.sample;
    let former = format!("{PREFIX}/{EXPORT}");
    let (former_uri, uri) = (format!("s3://{BUCKET}/{former}"), format!("s3://{bucket}/{base}"));
    for manifests in [false, true] {
        for (key, bytes) in &sample.objects {
            if !key.contains(MONTH) || key.contains("/metadata/") != manifests {
                continue;
            }
            let bytes = match manifests {
                true => Bytes::from(std::str::from_utf8(bytes).unwrap().replace(&former_uri, &uri)),
                false => bytes.clone(),
            };
            let key = key.replacen(&former, base, 1);
            bench.cloud.sandbox.put_object(bucket, &key, bytes).await.unwrap();
        }
    }
}

/// Connects through `call`, looks whether there are rows or the reason why not, and takes the connection down again. Returns
/// where the export was found.
async fn connected_at(bench: &Bench, complaints: &mut Complaints, call: &str) -> Option<String> {
    let connected = tried(bench, call).await;
    if let Err(refusal) = &connected {
        complaints.equal(call, refusal.to_string().as_str(), "connected");
        return None;
    }
    let place = bench.ask("SELECT location FROM system.exports").await;
    let found = place.single().map(str::to_owned);
    if found.as_ref().is_some_and(|uri| uri["s3://".len()..].contains("//")) {
        // AWS delivers there, and names that hold nothing between two slashes cannot be read: the import says so.
        complaints.row(
            call,
            connected,
            "warning",
            &["1 failed (2026-06)", "system.imports has the reasons"],
        );
        let why = "SELECT hint FROM system.imports ORDER BY started_at DESC LIMIT 1";
        let hint = bench.ask(why).await.single().map(str::to_owned);
        let slash = hint
            .as_ref()
            .is_some_and(|hint| hint.contains("starts or ends with a slash"));
        complaints.equal(&format!("{call}: {hint:?}"), slash, true);
    } else {
        let rows = bench.ask("SELECT count(*) > 0 FROM costs").await;
        complaints.equal(&format!("{call} has rows"), rows.single(), Some("t"));
    }
    let payer = bench.cloud.sample.payer();
    bench
        .ask(&format!(
            "CALL disconnect_aws_account(account_id => '{payer}', confirm => '{payer}')"
        ))
        .await;
    found
}

#[test]
fn every_way_to_write_a_location_leads_to_it() {
    run(Start::NothingDelivered, async |bench| {
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        bench.cloud.deliver(bench.cloud.sample, |key| key.contains(MONTH)).await;
        let base = format!("s3://{BUCKET}/{PREFIX}/{EXPORT}");
        let manifest = format!("{base}/metadata/{MONTH}/{EXPORT}-Manifest.json");
        let forms = [
            // The folder of the export, as the S3 console copies it.
            format!("location => '{base}'"),
            format!("location => '{base}/'"),
            format!("location => 'S3://{BUCKET}/{PREFIX}/{EXPORT}/'"),
            // Something below it.
            format!("location => '{base}/data'"),
            format!("location => '{base}/data/{MONTH}/'"),
            format!("location => '{base}/metadata/'"),
            format!("location => '{manifest}'"),
            // The "S3 destination" of the Data Exports page is bucket and prefix, and the name stands elsewhere.
            format!("location => 's3://{BUCKET}/{PREFIX}', export_name => '{EXPORT}'"),
            format!("location => 's3://{BUCKET}/{PREFIX}/', export_name => '{EXPORT}'"),
            format!("location => '{base}', export_name => '{EXPORT}'"),
            // Stray slashes.
            format!("location => 's3://{BUCKET}//cur//daily///{EXPORT}//'"),
            // In parts.
            format!("bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => '{EXPORT}'"),
            format!("bucket => '{BUCKET}', prefix => '/{PREFIX}', export_name => '{EXPORT}'"),
            format!("bucket => '{BUCKET}', prefix => '{PREFIX}/', export_name => '{EXPORT}'"),
            format!("bucket => '{BUCKET}', prefix => '//{PREFIX}//', export_name => '{EXPORT}'"),
            format!("bucket => '{BUCKET}', prefix => 'cur//daily', export_name => '{EXPORT}'"),
        ];
        let mut complaints = Complaints::default();
        for form in forms {
            let call = format!("CALL connect_aws_root({form}, {keys})");
            let found = connected_at(bench, &mut complaints, &call).await;
            complaints.equal(&form, found.as_deref().unwrap_or(&base), &base);
        }
        complaints.end();
    });
}

#[test]
fn an_export_lies_below_any_prefix_that_aws_takes() {
    run(Start::NothingDelivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let keys = bench.cloud.key_arguments(&payer);
        let mut complaints = Complaints::default();
        // The prefix as AWS keeps it, and the key that it then delivers to: AWS joins with a slash, whatever is there already.
        for (number, prefix) in ["", "one", "a/b/c/d", "billing/", "in//side"].into_iter().enumerate() {
            let base = match prefix {
                "" => EXPORT.to_owned(),
                prefix => format!("{prefix}/{EXPORT}"),
            };
            // A bucket for each, so that no other prefix can be found in its place.
            let bucket = format!("example-prefix-{number}");
            bench.cloud.sandbox.create_bucket(&payer, &bucket, "eu-west-1").unwrap();
            deliver_below(bench, &bucket, &base).await;
            for form in [
                format!("bucket => '{bucket}', prefix => '{prefix}', export_name => '{EXPORT}'"),
                format!("location => 's3://{bucket}/{base}'"),
            ] {
                let call = format!("CALL connect_aws_root({form}, {keys})");
                let found = connected_at(bench, &mut complaints, &call).await;
                if let Some(found) = found {
                    complaints.equal(&form, found, format!("s3://{bucket}/{base}"));
                }
            }
        }
        complaints.end();
    });
}

#[test]
fn detection_takes_the_prefix_as_aws_keeps_it() {
    for prefix in ["", "a/b", "billing/"] {
        run(Start::NothingDelivered, async |bench| {
            let payer = bench.cloud.sample.payer();
            allow_everything(bench, &payer);
            let spec = DataExportSpec {
                created_at: Some(bench.cloud.sandbox.clock().now() - chrono::TimeDelta::days(3)),
                ..DataExportSpec::cur2(EXPORT, BUCKET, prefix)
            };
            bench.cloud.sandbox.register_export(&payer, &spec).unwrap();
            let base = match prefix {
                "" => EXPORT.to_owned(),
                prefix => format!("{prefix}/{EXPORT}"),
            };
            deliver_below(bench, BUCKET, &base).await;
            let keys = bench.cloud.key_arguments(&payer);
            let mut complaints = Complaints::default();
            let call = format!("CALL connect_aws_root({keys})");
            let found = connected_at(bench, &mut complaints, &call).await;
            complaints.equal(prefix, found, Some(format!("s3://{BUCKET}/{base}")));
            complaints.end();
        });
    }
}

#[test]
fn a_prefix_that_begins_with_a_slash_is_told_to_be_one() {
    run(Start::NothingDelivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let spec = DataExportSpec {
            created_at: Some(bench.cloud.sandbox.clock().now() - chrono::TimeDelta::days(3)),
            ..DataExportSpec::cur2(EXPORT, BUCKET, "/lead")
        };
        bench.cloud.sandbox.register_export(&payer, &spec).unwrap();
        deliver_below(bench, BUCKET, &format!("/lead/{EXPORT}")).await;
        let keys = bench.cloud.key_arguments(&payer);
        let mut complaints = Complaints::default();
        let found = tried(bench, &format!("CALL connect_aws_root({keys})")).await;
        complaints.refused(
            "detection",
            found,
            "22023",
            &[
                "//lead/daily-costs",
                "begins with a slash",
                "change the export's prefix in AWS",
            ],
        );
        nothing_is_left(bench, &mut complaints, "after a leading slash").await;
        complaints.end();
    });
}

#[test]
fn a_place_without_the_export_names_what_is_there_instead() {
    run(Start::Delivered, async |bench| {
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        let mut complaints = Complaints::default();
        for (form, nearby) in [
            // The last folder alone, as some guides advise.
            (
                format!("bucket => '{BUCKET}', prefix => 'daily', export_name => '{EXPORT}'"),
                "cur",
            ),
            (format!("bucket => '{BUCKET}', export_name => '{EXPORT}'"), "cur"),
            // The prefix with the export's name in it.
            (
                format!("bucket => '{BUCKET}', prefix => '{PREFIX}/{EXPORT}', export_name => '{EXPORT}'"),
                "cur/daily/daily-costs/data",
            ),
            (
                format!("location => 's3://{BUCKET}/{PREFIX}/daily-cost'"),
                "cur/daily/daily-costs",
            ),
            (format!("location => 's3://{BUCKET}/{PREFIX}'"), "cur/daily"),
        ] {
            let call = format!("CALL connect_aws_root({form}, dry_run => true, {keys})");
            complaints.row(&form, tried(bench, &call).await, "pending", &["Folders there", nearby]);
        }
        for (form, words) in [
            (
                format!("location => '{BUCKET}/{PREFIX}/{EXPORT}'"),
                ["names no scheme", "s3://bucket/prefix/export"],
            ),
            (
                format!("location => 'https://{BUCKET}.s3.eu-west-1.amazonaws.com/{PREFIX}/{EXPORT}/'"),
                ["scheme https is not read", "s3://bucket/prefix/export"],
            ),
            (
                format!("location => 'arn:aws:s3:::{BUCKET}/{PREFIX}/{EXPORT}'"),
                ["names no scheme", "s3://bucket/prefix/export"],
            ),
            (
                format!("location => 's3://{BUCKET}'"),
                ["names no export", "s3://bucket/prefix/export"],
            ),
            (
                format!("location => 's3://{BUCKET}/'"),
                ["names no export", "s3://bucket/prefix/export"],
            ),
            (
                format!("bucket => 's3://{BUCKET}', export_name => '{EXPORT}'"),
                ["is not a bucket name", "without s3://"],
            ),
            (
                format!("bucket => '{BUCKET}/{PREFIX}', export_name => '{EXPORT}'"),
                ["is not a bucket name", "path"],
            ),
            (
                format!("bucket => '{BUCKET}', prefix => '{PREFIX}'"),
                ["the export's name is missing", "export_name"],
            ),
            (
                format!("prefix => '{PREFIX}', export_name => '{EXPORT}'"),
                ["the export's bucket is missing", "bucket"],
            ),
            (
                format!("location => 's3://{BUCKET}/{PREFIX}', bucket => '{BUCKET}', export_name => '{EXPORT}'"),
                ["located twice", "either location, or bucket and prefix"],
            ),
            (
                format!("bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => 'daily costs'"),
                ["is not an export name", "Export name"],
            ),
        ] {
            let call = format!("CALL connect_aws_root({form}, {keys})");
            complaints.refused(&form, tried(bench, &call).await, "22023", &words);
        }
        nothing_is_left(bench, &mut complaints, "after wrong places").await;
        complaints.end();
    });
}
