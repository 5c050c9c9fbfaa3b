//! `disconnect_aws_account`: what is kept or deleted here, and what is said of AWS.

use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};

use super::{EVERYTHING, NEW_BUCKET, administrator, allow, create};

/// Files of the state store below a folder.
fn files(bench: &Bench, folder: &str) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return 0;
        };
        let of = |path: std::path::PathBuf| if path.is_dir() { count(&path) } else { 1 };
        entries.map(|entry| of(entry.unwrap().path())).sum()
    }
    count(&bench.site.config.state_dir().join(folder))
}

async fn seen(bench: &Bench) -> (String, String) {
    let costs = bench.ask("SELECT count(*), sum(x_net_amortized_cost) FROM costs").await;
    let months = bench.ask("SELECT count(*) FROM system.snapshots").await;
    (costs.text(), months.single().unwrap().to_owned())
}

#[test]
fn what_is_kept_comes_back_without_an_import() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let before = seen(bench).await;
        let payer = bench.cloud.sample.payer();
        let call = |more: &str| format!("CALL disconnect_aws_account('{payer}'{more})");
        let snapshots = files(bench, "snapshots");
        assert_eq!(snapshots, 6, "the snapshot of each month, and its totals by service");

        bench.ask(&call(&format!(", confirm => '{payer}'"))).await;
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
        for table in ["accounts", "exports", "snapshots", "account_coverage", "months"] {
            let left = bench.ask(&format!("SELECT count(*) FROM system.{table}")).await;
            assert_eq!(
                left.single(),
                Some("0"),
                "system.{table} still has what was disconnected"
            );
        }
        assert_eq!(files(bench, "snapshots"), snapshots);
        bench.cloud.sandbox.requests().clear();
        bench.connect(&[]).await;
        assert!(bench.cloud.data_reads().is_empty(), "connecting again reads no data");
        assert_eq!(seen(bench).await, before);

        // The first call only plans, and says how to go on.
        let planned = bench.ask(&call(", keep_data => false")).await;
        let next = planned.column("next_sql")[0].unwrap().to_owned();
        assert!(next.contains("keep_data => false"), "{next}");
        assert_eq!(files(bench, "snapshots"), snapshots);
        bench.ask(&next).await;
        assert_eq!(files(bench, "snapshots"), 0, "what was imported is deleted");
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.imports").await.single(),
            Some("0")
        );
        bench.cloud.sandbox.requests().clear();
        bench.connect(&[]).await;
        assert!(!bench.cloud.data_reads().is_empty(), "connecting again imports");
        assert_eq!(seen(bench).await, before);
    });
}

#[test]
fn what_is_kept_can_be_deleted_later() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let payer = bench.cloud.sample.payer();
        let call = |more: &str| format!("CALL disconnect_aws_account('{payer}', confirm => '{payer}'{more})");
        bench.ask(&call("")).await;
        let refused = bench.refused(&call("")).await;
        assert_eq!(refused.sqlstate, "42704", "{refused}");
        assert!(refused.message.contains("keep_data => false"), "{refused}");
        bench.ask(&call(", keep_data => false, dry_run => true")).await;
        assert_eq!(files(bench, "snapshots"), 6, "a dry run deletes nothing");
        bench.ask(&call(", keep_data => false")).await;
        assert_eq!(files(bench, "snapshots"), 0);
        let refused = bench.refused(&call(", keep_data => false")).await;
        assert_eq!(refused.sqlstate, "42704", "nothing is left: {refused}");
    });
}

#[test]
fn what_is_kept_of_another_place_does_not_come_back() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        let payer = bench.cloud.sample.payer();
        bench
            .ask(&format!("CALL disconnect_aws_account('{payer}', confirm => '{payer}')"))
            .await;
        let elsewhere = bench.cloud.connect_root().replace(PREFIX, "nowhere");
        allow(bench, "all", EVERYTHING);
        bench.ask(&elsewhere).await;
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
    });
}

/// The commands of the rows that say what stays.
fn removal(answer: &farthing_tests::client::Answer) -> Vec<String> {
    let rows = answer.column("action").into_iter().zip(answer.column("evidence"));
    let evidence = rows
        .filter(|(action, _)| *action == Some("skip"))
        .filter_map(|(_, evidence)| evidence);
    evidence
        .flat_map(|text| {
            let evidence: serde_json::Value = serde_json::from_str(text).unwrap();
            let list = evidence["removal"].as_array().unwrap().clone();
            list.into_iter().map(|command| command.as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn everything_that_was_made_in_aws_is_listed_with_its_removal() {
    run(Start::NothingDelivered, async |bench| {
        allow(bench, "all", EVERYTHING);
        let payer = bench.cloud.sample.payer();
        let (sandbox, keys) = (&bench.cloud.sandbox, bench.cloud.key_arguments(&payer));
        bench.ask(&create(bench, "")).await;
        // A second export, in a bucket that was there and had no policy.
        bench
            .ask(&format!(
                "CALL create_aws_export(export_name => 'focus', kind => 'focus', bucket => '{BUCKET}', {keys})"
            ))
            .await;
        let admin = administrator(bench, &payer).await;
        bench
            .ask(&format!(
                "CALL setup_aws_iam_user(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', user_name => 'bill-reader', {admin})"
            ))
            .await;
        let inventory = sandbox.inventory(&payer);
        let user = &inventory["users"]["bill-reader"];
        let (policy, key) = (user["attached"][0].as_str().unwrap(), user["keys"][0].as_str().unwrap());
        let arn = |name: &str| {
            let sql = format!(
                "SELECT steps FROM system.procedure_runs WHERE steps LIKE '%:export/{name}%' ORDER BY started_at LIMIT 1"
            );
            async move {
                let steps = bench.ask(&sql).await;
                let steps: serde_json::Value = serde_json::from_str(steps.single().unwrap()).unwrap();
                let made = steps
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|step| step["action"] == "create" && step["object"].to_string().contains(":export/"));
                made.unwrap()["object"].as_str().unwrap().to_owned()
            }
        };
        let planned = bench.ask(&format!("CALL disconnect_aws_account('{payer}')")).await;
        let done = bench
            .ask(&format!("CALL disconnect_aws_account('{payer}', confirm => '{payer}')"))
            .await;
        assert_eq!(removal(&planned), removal(&done), "the plan lists it too");
        let commands = removal(&done);
        for wanted in [
            format!(
                "aws bcm-data-exports delete-export --region us-east-1 --export-arn {}",
                arn("new-costs").await
            ),
            format!(
                "aws bcm-data-exports delete-export --region us-east-1 --export-arn {}",
                arn("focus").await
            ),
            format!("aws s3 rm s3://{NEW_BUCKET}/exports/new-costs/ --recursive"),
            format!("aws s3 rb s3://{NEW_BUCKET} --force"),
            format!("aws s3api delete-bucket-policy --bucket {BUCKET}"),
            format!("aws iam detach-user-policy --user-name bill-reader --policy-arn {policy}"),
            format!("aws iam delete-access-key --user-name bill-reader --access-key-id {key}"),
            "aws iam delete-user --user-name bill-reader".to_owned(),
            format!("aws iam delete-policy --policy-arn {policy}"),
        ] {
            assert!(
                commands.contains(&wanted),
                "{wanted} is not among\n{}",
                commands.join("\n")
            );
        }
        // A bucket that was there is not to be deleted.
        assert!(!commands.contains(&format!("aws s3 rb s3://{BUCKET} --force")));
        assert!(done.text().contains("Stays in AWS"), "{}", done.text());
    });
}

#[test]
fn of_what_was_there_before_the_export_and_the_key_are_named() {
    run(Start::Delivered, async |bench| {
        bench.connect(&bench.cloud.sample.linked()[..1]).await;
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked()[0].clone());
        let key = |account: &str| {
            let id = &bench.cloud.keys[account].access_key_id;
            format!("aws iam delete-access-key --user-name farthing --access-key-id {id}")
        };
        let of_linked = bench.ask(&format!("CALL disconnect_aws_account('{linked}')")).await;
        assert_eq!(removal(&of_linked), [key(&linked)]);
        let of_root = bench
            .ask(&format!("CALL disconnect_aws_account('{payer}', confirm => '{payer}')"))
            .await;
        let commands = removal(&of_root);
        assert!(commands.contains(&key(&payer)), "{commands:?}");
        assert!(
            commands
                .iter()
                .any(|command| command.contains(&format!("ExportName=='{EXPORT}'"))),
            "{commands:?}"
        );
    });
}
