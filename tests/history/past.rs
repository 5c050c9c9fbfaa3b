//! Deliveries before the published one: known, asked for, missing, kept and deleted.

use std::collections::BTreeMap;

use farthing_engine::principal::{Grant, Role};
use farthing_sandbox::sample::ControlTotals;
use farthing_tests::bench::{Bench, Start, grant_of, run};
use farthing_tests::client::{Answer, Way};
use farthing_tests::cloud::{BUCKET, Sample};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{PERIOD, after, create_new, data_keys, deliver, delivered_at, seen, seen_of};

/// The changes of a month by account: what the generator counted for both deliveries.
fn changes_by_account(former: &ControlTotals, newer: &ControlTotals) -> Vec<Vec<Option<String>>> {
    let mut changes: BTreeMap<String, (i128, i128)> = BTreeMap::new();
    for (sign, totals) in [(-1, former), (1, newer)] {
        for (account, sums) in &totals.periods[PERIOD] {
            let change = changes.entry(account.clone()).or_default();
            change.0 += sign * sums.unblended.0;
            change.1 += sign * i128::from(sums.rows);
        }
    }
    let shown = |(account, (cost, rows)): (String, (i128, i128))| {
        let cost = farthing_sandbox::sample::ExactAmount(cost).to_string();
        vec![Some(account), Some(cost), Some(rows.to_string())]
    };
    changes.into_iter().map(shown).collect()
}

const CHANGES: &str = "SELECT sub_account_id, sum(delta), sum(rows_after - rows_before) FROM cost_changes('2026-06') \
                       GROUP BY 1 HAVING sum(delta) <> 0 OR sum(rows_after - rows_before) <> 0 ORDER BY 1";

async fn everywhere(bench: &Bench, user: &str, sql: &str) -> Answer {
    let mut answers = Vec::new();
    for way in Way::ALL {
        let mut client = bench.site.client(way, user).await;
        match client.run(sql).await {
            Ok(answer) => answers.push(answer.sorted()),
            Err(refusal) => panic!("{way:?}: {sql}\n{refusal}"),
        }
    }
    let first = answers[0].clone();
    for answer in answers {
        assert_eq!(answer.rows, first.rows, "{sql}");
    }
    first
}

#[test]
fn each_delivery_in_a_folder_of_its_own_can_be_asked_for() {
    run(Start::NothingDelivered, async |bench| {
        let first = Sample::generate(create_new()).await;
        deliver(bench, &first).await;
        bench.connect(&first.linked()).await;
        let newer = Sample::restated(create_new(), PERIOD).await;
        let totals = after(&first.totals, &newer);
        deliver(bench, &newer).await;
        bench.ask("CALL refresh_export()").await;
        let deliveries = bench
            .ask("SELECT billing_period, rows, readable, current FROM system.deliveries ORDER BY delivered_at, billing_period")
            .await;
        let row = |period: &str, totals: &ControlTotals, current: &str| {
            let rows = totals.of_period(period).rows.to_string();
            [period, rows.as_str(), "t", current]
                .map(|word| Some(word.to_owned()))
                .to_vec()
        };
        let expected = [
            row("2026-04", &first.totals, "t"),
            row("2026-05", &first.totals, "t"),
            row("2026-06", &first.totals, "f"),
            row("2026-06", &totals, "t"),
        ];
        assert_eq!(deliveries.rows, expected);
        let at = delivered_at(bench, PERIOD).await;
        for (instant, totals) in [(&at[0], &first.totals), (&at[1], &totals)] {
            let sql = seen_of(&format!("costs_as_of('{instant}')"));
            assert_eq!(everywhere(bench, "admin", &sql).await.rows, seen(totals));
        }
        let changes = everywhere(bench, "admin", CHANGES).await;
        let expected = changes_by_account(&first.totals, &totals);
        assert!(expected.len() > 1);
        assert_eq!(changes.rows, expected);
        // The other way round, by reading both deliveries.
        let read = format!(
            "SELECT coalesce(a.x_service_code, b.x_service_code), b.cost - a.cost FROM \
             (SELECT x_service_code, sum(billed_cost) AS cost FROM costs_as_of('{}') WHERE x_billing_period = '{PERIOD}' GROUP BY 1) a \
             FULL JOIN (SELECT x_service_code, sum(billed_cost) AS cost FROM costs WHERE x_billing_period = '{PERIOD}' GROUP BY 1) b \
             ON a.x_service_code = b.x_service_code WHERE a.cost <> b.cost ORDER BY 1",
            at[0]
        );
        let told = "SELECT x_service_code, sum(delta) FROM cost_changes('2026-06') GROUP BY 1 HAVING sum(delta) <> 0 ORDER BY 1";
        let (read, told) = (bench.ask(&read).await, bench.ask(told).await);
        assert!(!told.rows.is_empty());
        assert_eq!(read.rows, told.rows);
        // A prepared statement plans anew with each catalog version, and takes parameters beside the constant.
        let sql = format!(
            "SELECT count(*) FROM costs_as_of('{}') WHERE sub_account_id = $1",
            at[0]
        );
        let payer = first.payer();
        for way in [Way::PostgresExtended, Way::FlightSql] {
            let mut client = bench.site.client(way, "admin").await;
            let answer = client.run_with(&sql, &[payer.as_str().into()]).await.unwrap();
            let rows = first.totals.of_accounts([payer.as_str()]).rows.to_string();
            assert_eq!(answer.single(), Some(rows.as_str()), "{way:?}");
        }
    });
}

#[test]
fn hidden_accounts_are_in_no_answer_about_deliveries() {
    run(Start::NothingDelivered, async |bench| {
        let first = Sample::generate(create_new()).await;
        deliver(bench, &first).await;
        bench.connect(&first.linked()[..4]).await;
        let newer = Sample::restated(create_new(), PERIOD).await;
        let totals = after(&first.totals, &newer);
        deliver(bench, &newer).await;
        bench.ask("CALL refresh_export()").await;
        let mine = &first.linked()[1];
        let reader = grant_of([mine]);
        bench.site.put_login("reader", Role::Reader, reader.clone()).await;
        bench.site.put_login("granted", Role::Operator, reader).await;
        bench.site.put_login("all", Role::Reader, Grant::AllConnected).await;
        let connected: Vec<String> = std::iter::once(first.payer())
            .chain(first.linked()[..4].to_vec())
            .collect();
        let at = delivered_at(bench, PERIOD).await;
        let statements = [
            format!("SELECT DISTINCT sub_account_id FROM costs_as_of('{}')", at[0]),
            "SELECT DISTINCT sub_account_id FROM cost_changes('2026-06') WHERE sub_account_id IS NOT NULL".to_owned(),
            "SELECT DISTINCT account_id FROM reconcile('2026-06') WHERE level = 'account'".to_owned(),
            "SELECT DISTINCT account_id FROM system.account_coverage".to_owned(),
        ];
        for (user, visible) in [
            ("reader", std::slice::from_ref(mine)),
            ("granted", std::slice::from_ref(mine)),
            ("all", &connected),
        ] {
            for sql in &statements {
                let answer = everywhere(bench, user, sql).await;
                let mut found: Vec<&str> = answer.rows.iter().filter_map(|row| row[0].as_deref()).collect();
                found.sort_unstable();
                let mut expected: Vec<&str> = visible.iter().map(String::as_str).collect();
                expected.sort_unstable();
                if sql.contains("cost_changes") {
                    assert!(
                        found.iter().all(|account| expected.contains(account)),
                        "{user}: {sql}: {found:?}"
                    );
                    assert!(found.contains(&mine.as_str()), "{user}: {sql}: {found:?}");
                } else {
                    assert_eq!(found, expected, "{user}: {sql}");
                }
            }
        }
        // Sums are those of the visible accounts in that delivery.
        for (instant, totals) in [(&at[0], &first.totals), (&at[1], &totals)] {
            let sums = totals.of_accounts([mine.as_str()]);
            let expected = [[Some(sums.rows.to_string()), Some(sums.unblended.to_string())]];
            let sql = seen_of(&format!("costs_as_of('{instant}')"));
            assert_eq!(everywhere(bench, "reader", &sql).await.rows, expected);
        }
        let rows = "SELECT sum(rows) FROM system.deliveries WHERE billing_period = '2026-06' AND current";
        let sums = totals.periods[PERIOD][mine.as_str()];
        assert_eq!(
            everywhere(bench, "reader", rows).await.single(),
            Some(sums.rows.to_string().as_str())
        );
        // Lines and totals of reconcile: the own account's for the reader and the granted operator, everything for the admin.
        let total = "SELECT rows_delivered, cost_delivered, rows_visible, cost_visible, rows_ignored, cost_ignored, \
                     rows_difference, cost_difference FROM reconcile('2026-06') WHERE level = 'total'";
        let zero = "0.000000000000";
        let shown = |all: farthing_sandbox::sample::CostSums, visible: farthing_sandbox::sample::CostSums| {
            let ignored = farthing_sandbox::sample::ExactAmount(all.unblended.0 - visible.unblended.0);
            let (rows, seen) = (all.rows.to_string(), visible.rows.to_string());
            let words = [
                rows,
                all.unblended.to_string(),
                seen,
                visible.unblended.to_string(),
                (all.rows - visible.rows).to_string(),
                ignored.to_string(),
                "0".to_owned(),
                zero.to_owned(),
            ];
            [words.map(Some).to_vec()]
        };
        for user in ["reader", "granted"] {
            assert_eq!(everywhere(bench, user, total).await.rows, shown(sums, sums), "{user}");
        }
        let month = totals.of_period(PERIOD);
        let mut of_connected = farthing_sandbox::sample::CostSums::default();
        for account in &connected {
            of_connected.add(&totals.periods[PERIOD][account]);
        }
        assert_eq!(
            everywhere(bench, "all", total).await.rows,
            shown(of_connected, of_connected)
        );
        assert_eq!(everywhere(bench, "admin", total).await.rows, shown(month, of_connected));
        let off = "SELECT count(*) FROM reconcile('2026-06') WHERE rows_difference <> 0 OR cost_difference <> 0";
        assert_eq!(everywhere(bench, "admin", off).await.single(), Some("0"));
        // What hidden rows say of time and of imports is not told, either.
        let lag = "SELECT data_through, aws_lag_seconds, own_lag_seconds, last_import_state FROM system.exports";
        assert_eq!(everywhere(bench, "reader", lag).await.rows, [vec![None; 4]]);
    });
}

#[test]
fn deliveries_made_before_the_export_was_connected_are_imported_on_request() {
    run(Start::NothingDelivered, async |bench| {
        let first = Sample::generate(create_new()).await;
        deliver(bench, &first).await;
        let newer = Sample::restated(create_new(), PERIOD).await;
        let totals = after(&first.totals, &newer);
        deliver(bench, &newer).await;
        bench.connect(&first.linked()).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(delivered_at(bench, PERIOD).await.len(), 1, "the latest alone by itself");
        let wrong = bench.refused("CALL refresh_export(deliveries => 'some')").await;
        assert_eq!(wrong.sqlstate, "22023", "{wrong}");
        let call = "CALL refresh_export(export_name => 'daily-costs', deliveries => 'all')";
        let answer = bench.ask(call).await;
        assert_eq!(answer.column("status"), [Some("ok"), Some("ok")], "{}", answer.text());
        assert!(
            answer.text().contains("1 past deliveries imported"),
            "{}",
            answer.text()
        );
        let at = delivered_at(bench, PERIOD).await;
        assert_eq!(at.len(), 2);
        let sql = seen_of(&format!("costs_as_of('{}')", at[0]));
        let first_june = [vec![
            Some(first.totals.of_period(PERIOD).rows.to_string()),
            Some(first.totals.of_period(PERIOD).unblended.to_string()),
        ]];
        let june = format!("{sql} WHERE x_billing_period = '{PERIOD}'");
        assert_eq!(bench.ask(&june).await.rows, first_june);
        assert_eq!(
            bench.ask(&seen_of("costs")).await.rows,
            seen(&totals),
            "what is published stays"
        );
        assert_eq!(
            bench.ask(CHANGES).await.rows,
            changes_by_account(&first.totals, &totals)
        );
        // Again, nothing is read.
        bench.cloud.sandbox.requests().clear();
        let answer = bench.ask(call).await;
        assert!(
            answer.text().contains("0 past deliveries imported, 1 known"),
            "{}",
            answer.text()
        );
        assert!(bench.cloud.data_reads().is_empty());
        // Disconnected and connected again, they are still there; deleted, they are gone.
        let payer = first.payer();
        bench
            .ask(&format!("CALL disconnect_aws_account('{payer}', confirm => '{payer}')"))
            .await;
        assert!(delivered_at(bench, PERIOD).await.is_empty());
        bench.ask(&bench.cloud.connect_root()).await;
        assert_eq!(bench.ask(&june).await.rows, first_june);
        bench
            .ask(&format!(
                "CALL disconnect_aws_account('{payer}', confirm => '{payer}', keep_data => false)"
            ))
            .await;
        let left = bench.site.config.state_dir().join("snapshots");
        let files = |folder: &std::path::Path| walk(folder);
        assert_eq!(files(&left), 0, "no document is left");
        bench.ask(&bench.cloud.connect_root()).await;
        assert_eq!(delivered_at(bench, PERIOD).await.len(), 1);
    });
}

fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let of = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { 1 };
    entries.map(|entry| of(entry.unwrap().path())).sum()
}

#[test]
fn a_past_delivery_whose_file_is_gone_is_skipped_and_named() {
    run(Start::NothingDelivered, async |bench| {
        let first = Sample::generate(create_new()).await;
        deliver(bench, &first).await;
        for period in ["2026-05", PERIOD] {
            deliver(bench, &Sample::restated(create_new(), period).await).await;
        }
        // A lifecycle rule has removed a file of the first delivery of June.
        let gone = data_keys(&first, PERIOD)[0].clone();
        let store = bench.cloud.sandbox.store(BUCKET).unwrap();
        store.delete(&Path::parse(&gone).unwrap()).await.unwrap();
        bench.connect(&first.linked()).await;
        for _ in 0..2 {
            let answer = bench.ask("CALL refresh_export(deliveries => 'all')").await;
            assert_eq!(
                answer.column("status"),
                [Some("ok"), Some("warning")],
                "{}",
                answer.text()
            );
        }
        assert_eq!(delivered_at(bench, PERIOD).await.len(), 1);
        assert_eq!(delivered_at(bench, "2026-05").await.len(), 2, "other months go on");
        let skipped = bench
            .ask("SELECT billing_period, state, message FROM system.imports WHERE delivery = 'past' AND state = 'failed'")
            .await;
        let [row] = skipped.rows.as_slice() else {
            panic!("one delivery is skipped: {}", skipped.text())
        };
        assert_eq!((row[0].as_deref(), row[1].as_deref()), (Some(PERIOD), Some("failed")));
        assert!(row[2].as_deref().unwrap().contains(&gone), "{row:?}");
        // The month itself is well.
        let months = bench.ask("SELECT DISTINCT state FROM system.months").await;
        assert_eq!(months.single(), Some("imported"));
    });
}

#[test]
fn a_past_delivery_that_is_removed_later_is_named_when_it_is_read() {
    run(Start::NothingDelivered, async |bench| {
        let first = Sample::generate(create_new()).await;
        deliver(bench, &first).await;
        bench.connect(&first.linked()).await;
        deliver(bench, &Sample::restated(create_new(), PERIOD).await).await;
        bench.ask("CALL refresh_export()").await;
        let at = delivered_at(bench, PERIOD).await;
        let sql = seen_of(&format!("costs_as_of('{}')", at[0]));
        assert_eq!(bench.ask(&sql).await.rows, seen(&first.totals));
        let store = bench.cloud.sandbox.store(BUCKET).unwrap();
        for key in data_keys(&first, PERIOD) {
            store.delete(&Path::parse(&key).unwrap()).await.unwrap();
        }
        for way in Way::ALL {
            let mut client = bench.site.client(way, "admin").await;
            let refusal = client.run(&sql).await.unwrap_err();
            assert_eq!(refusal.sqlstate, "55000", "{way:?}: {refusal}");
            for word in [PERIOD, "daily_costs", &at[0][..19]] {
                assert!(refusal.message.contains(word), "{way:?}: {word}: {refusal}");
            }
            let others = format!("{sql} WHERE x_billing_period < '{PERIOD}'");
            assert!(client.run(&others).await.is_ok(), "{way:?}");
        }
    });
}

#[test]
fn who_is_late_is_told() {
    run(Start::NothingDelivered, async |bench| {
        bench.ask(&bench.cloud.connect_root()).await;
        let state = "SELECT state, waiting_since IS NOT NULL, waiting_since = connected_at, own_lag_seconds FROM system.exports";
        let row = |words: [&str; 3]| words.map(|word| Some(word.to_owned())).to_vec();
        let mut waiting = row(["waiting_first_delivery", "t", "t"]);
        waiting.push(None);
        assert_eq!(bench.ask(state).await.rows, [waiting]);
        let status = "SELECT status FROM system.accounts";
        assert_eq!(bench.ask(status).await.single(), Some("waiting_first_delivery"));
        let sample = bench.cloud.sample;
        bench.cloud.deliver(sample, |key| key.contains("2026-04")).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(status).await.single(), Some("active"));
        let lag = "SELECT state, waiting_since, own_lag_seconds, last_import_state, aws_lag_seconds > 86400 FROM system.exports";
        let cell = |word: &str| Some(word.to_owned());
        let expected = vec![cell("delivered"), None, cell("0"), cell("published"), cell("t")];
        assert_eq!(bench.ask(lag).await.rows, [expected]);
        // May is delivered, and a file of it is damaged: AWS is not late, Farthing is.
        for (key, bytes) in &sample.objects {
            if key.contains("2026-05") {
                let data = key.ends_with(".parquet");
                let bytes = if data { bytes.slice(..100) } else { bytes.clone() };
                bench.cloud.sandbox.put_object(BUCKET, key, bytes).await.unwrap();
            }
        }
        bench.ask("CALL refresh_export()").await;
        let own = "SELECT last_import_state FROM system.exports WHERE own_lag_seconds > 0";
        let mut late = Answer::default();
        for _ in 0..100 {
            late = bench.ask(own).await;
            if !late.rows.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(late.single(), Some("failed"));
    });
}

#[test]
fn accounts_without_a_bill_are_told() {
    run(Start::Delivered, async |bench| {
        let linked = bench.cloud.sample.linked();
        bench.ask(&bench.cloud.connect_linked(&linked[0])).await;
        let status = "SELECT status FROM system.accounts ORDER BY account_id";
        assert_eq!(bench.ask(status).await.single(), Some("no_billing_source"));
        bench.ask(&bench.cloud.connect_root()).await;
        let both = bench.ask(status).await;
        assert_eq!(both.column("status"), [Some("active"), Some("active")]);
        let payers = bench
            .ask("SELECT DISTINCT payer_account_ids FROM system.account_coverage")
            .await;
        assert_eq!(payers.single(), Some(bench.cloud.sample.payer().as_str()));
    });
}
