//! What connecting and disconnecting accounts shows and hides.

mod totals;
mod ways;

use farthing_tests::bench::{Start, run};
use farthing_tests::client::{Client, Param};
use farthing_tests::cloud::{BUCKET, EXPORT, PERIODS, PREFIX, Sample};

/// The rows that `costs` has, and their cost.
const SEEN: &str = "SELECT count(*), coalesce(sum(billed_cost), 0) FROM costs";

#[test]
fn one_more_account_brings_its_whole_history_without_an_import() {
    run(Start::Delivered, async |bench| {
        let (cloud, sample) = (&bench.cloud, bench.cloud.sample);
        let linked = sample.linked();
        bench.connect(&linked[..2]).await;
        let connected = [sample.payer(), linked[0].clone(), linked[1].clone()];
        let before = bench.ask(SEEN).await;
        let expected = sample.totals.of_accounts(connected.iter().map(String::as_str));
        assert_eq!(before.rows[0], row(expected));
        let snapshots = "SELECT snapshot_id FROM system.snapshots ORDER BY 1";
        let imports = "SELECT import_id, state FROM system.imports ORDER BY 1";
        let (snapshots_before, imports_before) = (bench.ask(snapshots).await, bench.ask(imports).await);

        cloud.sandbox.requests().clear();
        bench.ask(&cloud.connect_linked(&linked[2])).await;
        let asked: Vec<String> = cloud
            .sandbox
            .requests()
            .all()
            .into_iter()
            .map(|record| record.operation)
            .collect();
        assert_eq!(
            asked,
            ["GetCallerIdentity", "SimulatePrincipalPolicy"],
            "connecting asks AWS for the identity, and what the key may look up, alone"
        );

        let after = bench.ask(SEEN).await;
        let expected = sample
            .totals
            .of_accounts(connected.iter().chain([&linked[2]]).map(String::as_str));
        assert_eq!(after.rows[0], row(expected));
        let months = format!(
            "SELECT DISTINCT x_billing_period FROM costs WHERE sub_account_id = '{}' ORDER BY 1",
            linked[2]
        );
        let months = bench.ask(&months).await;
        assert_eq!(
            months.column("x_billing_period"),
            PERIODS.map(Some),
            "its whole history"
        );
        assert_eq!(bench.ask(snapshots).await, snapshots_before);
        assert_eq!(bench.ask(imports).await, imports_before);

        bench
            .ask(&format!("CALL disconnect_aws_account('{}')", linked[2]))
            .await;
        assert_eq!(bench.ask(SEEN).await, before);
        let gone = format!(
            "SELECT count(*) FROM exports.daily_costs WHERE line_item_usage_account_id = '{}'",
            linked[2]
        );
        assert_eq!(bench.ask(&gone).await.single(), Some("0"));
    });
}

fn row(sums: farthing_sandbox::sample::CostSums) -> Vec<Option<String>> {
    vec![Some(sums.rows.to_string()), Some(sums.unblended.to_string())]
}

#[test]
fn connecting_before_the_first_delivery_waits_visibly() {
    run(Start::NothingDelivered, async |bench| {
        let answer = bench.ask(&bench.cloud.connect_root()).await;
        assert_eq!(
            answer.column("status").last(),
            Some(&Some("pending")),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains("24 hours"), "{}", answer.text());
        let state = bench.ask("SELECT state, periods FROM system.exports").await;
        assert_eq!(
            state.rows,
            [[Some("waiting_first_delivery".to_owned()), Some("0".to_owned())]]
        );
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
        let waiting = bench.ask("CALL refresh_export(export_name => 'daily-costs')").await;
        assert_eq!(waiting.column("status"), [Some("pending")], "{}", waiting.text());
        assert_eq!(
            bench.ask("SELECT DISTINCT state FROM system.imports").await.single(),
            Some("waiting")
        );

        bench.cloud.deliver(bench.cloud.sample, |_| true).await;
        let refreshed = bench.ask("CALL refresh_export()").await;
        assert_eq!(refreshed.column("status"), [Some("ok")], "{}", refreshed.text());
        let payer = bench.cloud.sample.payer();
        let expected = bench.cloud.sample.totals.of_accounts([payer.as_str()]);
        assert_eq!(bench.ask(SEEN).await.rows[0], row(expected));
    });
}

#[test]
fn an_export_in_a_folder_needs_no_keys() {
    run(Start::NothingDelivered, async |bench| {
        let sample = bench.cloud.sample;
        let folder = tempfile::tempdir().unwrap();
        for (key, bytes) in &sample.objects {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let location = format!("file://{}/{PREFIX}/{EXPORT}", folder.path().display());
        let answer = bench
            .ask(&format!("CALL connect_aws_root(location => '{location}')"))
            .await;
        assert!(
            answer.text().contains(&sample.payer()),
            "the payer is read from the data: {}",
            answer.text()
        );
        let linked = sample.linked();
        for account in &linked {
            bench
                .ask(&format!("CALL connect_aws_linked(account_id => '{account}')"))
                .await;
        }
        let totals = bench.ask(SEEN).await;
        assert_eq!(totals.rows[0], row(sample.totals.grand));
        assert_eq!(bench.cloud.sandbox.requests().all(), [], "AWS is not asked");
        bench
            .ask(&format!("CALL disconnect_aws_account('{}')", linked[0]))
            .await;
        let hidden = format!("SELECT count(*) FROM costs WHERE sub_account_id = '{}'", linked[0]);
        assert_eq!(bench.ask(&hidden).await.single(), Some("0"));
    });
}

#[test]
fn keys_can_be_bound_as_parameters() {
    run(Start::Delivered, async |bench| {
        let sample = bench.cloud.sample;
        let accounts = sample.accounts();
        for (number, way) in farthing_tests::client::Way::ALL.into_iter().enumerate() {
            let mut client = bench.site.client(way, "admin").await;
            let key = |account: &str| -> Vec<Param> {
                let key = &bench.cloud.keys[account];
                vec![key.access_key_id.as_str().into(), key.secret_access_key.as_str().into()]
            };
            let root =
                "CALL connect_aws_root(location => $3, access_key_id => $1, secret_access_key => $2, dry_run => $4)";
            let mut params = key(&accounts[0]);
            params.push(Param::Text(format!("s3://{BUCKET}/{PREFIX}/{EXPORT}")));
            params.push(Param::Bool(false));
            let answer = client.run_with(root, &params).await.unwrap();
            assert_eq!(answer.columns[0], "step", "{way:?}");
            let linked = "CALL connect_aws_linked(access_key_id => $1, secret_access_key => $2, account_name => $3)";
            let mut params = key(&accounts[number + 1]);
            params.push(Param::Null);
            client.run_with(linked, &params).await.unwrap();
        }
        let accounts = bench.ask("SELECT count(*) FROM system.accounts").await;
        assert_eq!(accounts.single(), Some("5"));
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    run(Start::Delivered, async |bench| {
        let version = bench.site.node.catalog().lease().document.version;
        let planned = bench.cloud.connect_root().replace(')', ", dry_run => true)");
        let answer = bench.ask(&planned).await;
        let statuses = answer.column("status");
        assert!(statuses.contains(&Some("planned")), "{}", answer.text());
        assert!(bench.cloud.data_reads().is_empty(), "a plan reads no data");
        assert_eq!(bench.site.node.catalog().lease().document.version, version);
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.secrets").await.single(),
            Some("0")
        );
        let runs = bench.ask("SELECT state, dry_run FROM system.procedure_runs").await;
        assert_eq!(runs.rows, [[Some("planned".to_owned()), Some("t".to_owned())]]);
    });
}

#[test]
fn each_step_of_a_call_is_told_as_it_is_done() {
    run(Start::Delivered, async |bench| {
        let mut admin = bench.site.admin();
        let answer = admin.run(&bench.cloud.connect_root()).await.unwrap();
        let columns = [
            "step", "action", "object", "status", "detail", "evidence", "next_sql", "run_id",
        ];
        assert_eq!(answer.columns, columns);
        assert!(
            !admin.notices.is_empty(),
            "the import of three months is told by notices"
        );
        let steps: Vec<Option<&str>> = answer.column("step");
        let numbers: Vec<String> = (1..=steps.len()).map(|number| number.to_string()).collect();
        assert_eq!(
            steps,
            numbers.iter().map(|number| Some(number.as_str())).collect::<Vec<_>>()
        );
        let last = answer.rows.last().unwrap();
        assert_eq!(
            last[3].as_deref(),
            Some("warning"),
            "linked accounts are not connected yet: {}",
            answer.text()
        );
        let ignored: serde_json::Value = serde_json::from_str(last[5].as_deref().unwrap()).unwrap();
        let ignored = ignored["ignored_accounts"].as_array().unwrap();
        assert_eq!(ignored.len(), bench.cloud.sample.linked().len());
        let run_id = answer.column("run_id")[0].unwrap().to_owned();
        let found = bench
            .ask(&format!(
                "SELECT state FROM system.procedure_runs WHERE run_id = '{run_id}'"
            ))
            .await;
        assert_eq!(found.single(), Some("succeeded"));
    });
}

/// Two months of two files with many rows each: in files of some kilobytes, footers and gaps between columns outweigh the
/// columns.
#[test]
fn one_month_of_one_account_reads_only_what_it_needs() {
    run(Start::NothingDelivered, async |bench| {
        let cloud = &bench.cloud;
        let mut spec = Sample::spec();
        (spec.months, spec.rows, spec.rows_per_file) = (2, 240_000, 60_000);
        let sample = Sample::generate(spec).await;
        cloud.deliver(&sample, |_| true).await;
        bench.connect(&sample.linked()).await;
        let account = &sample.linked()[3];
        let condition = format!("sub_account_id = '{account}' AND x_billing_period = '2026-05'");
        let sql = format!("SELECT sum(billed_cost) FROM costs WHERE {condition}");
        cloud.sandbox.requests().clear();
        let answer = bench.ask(&sql).await;
        let expected = sample.totals.periods["2026-05"][account].unblended;
        assert_eq!(answer.single(), Some(expected.to_string().as_str()));
        let reads = cloud.data_reads();
        let all_keys = sample.data_keys("2026-05");
        assert!(!reads.is_empty());
        for read in &reads {
            let key = read.key.as_ref().unwrap();
            assert!(all_keys.contains(key), "{key} is of another month");
            assert!(read.if_match.is_some(), "every read is pinned to an ETag: {read:?}");
        }
        let read: u64 = reads.iter().map(|record| record.bytes_sent).sum();
        let month: usize = all_keys.iter().map(|key| sample.objects[key].len()).sum();
        println!(
            "{read} of the month's {month} bytes are read, in {} requests",
            reads.len()
        );
        assert!(read * 5 < month as u64, "{read} of the month's {month} bytes are read");

        let plan = bench.ask(&format!("EXPLAIN ANALYZE {sql}")).await.text();
        for wanted in ["bytes_scanned", "files_in_scope", "ScopeExec"] {
            assert!(plan.contains(wanted), "{wanted} is not in\n{plan}");
        }
    });
}
