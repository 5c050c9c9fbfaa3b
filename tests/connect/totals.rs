//! What is shown adds up to what was generated, to the last digit.

use farthing_engine::principal::Role;
use farthing_sandbox::sample::CostSums;
use farthing_tests::bench::{Bench, Start, grant_of, run};
use farthing_tests::client::Client;

const SUMS: &str =
    "count(*), sum(x_unblended_cost), sum(x_net_unblended_cost), sum(x_amortized_cost), sum(x_net_amortized_cost)";

fn cells(sums: &CostSums) -> Vec<Option<String>> {
    let amounts = [sums.unblended, sums.net_unblended, sums.amortized, sums.net_amortized];
    let amounts = amounts.iter().map(|amount| Some(amount.to_string()));
    std::iter::once(Some(sums.rows.to_string())).chain(amounts).collect()
}

#[test]
fn the_grand_total_is_exact() {
    run(Start::AllConnected, async |bench| {
        let answer = bench.ask(&format!("SELECT {SUMS} FROM costs")).await;
        assert_eq!(answer.rows, [cells(&bench.cloud.sample.totals.grand)]);
    });
}

#[test]
fn every_account_and_month_is_exact() {
    run(Start::AllConnected, async |bench| {
        let group = "x_billing_period, coalesce(sub_account_id, billing_account_id)";
        let sql = format!("SELECT {group}, {SUMS} FROM costs GROUP BY 1, 2 ORDER BY 1, 2");
        let expected = expected_groups(bench);
        assert!(expected.len() >= 21, "three months of seven accounts");
        for threads in [1, 2] {
            let mut admin = bench.site.admin();
            admin.run(&format!("SET farthing.threads = {threads}")).await.unwrap();
            let answer = admin.run(&sql).await.unwrap();
            for (row, expected) in answer.rows.iter().zip(&expected) {
                assert_eq!(row, expected, "with {threads} threads");
            }
            assert_eq!(answer.rows.len(), expected.len());
        }
    });
}

fn expected_groups(bench: &Bench) -> Vec<Vec<Option<String>>> {
    let mut expected = Vec::new();
    for (period, accounts) in &bench.cloud.sample.totals.periods {
        for (account, sums) in accounts {
            let mut row = vec![Some(period.clone()), Some(account.clone())];
            row.extend(cells(sums));
            expected.push(row);
        }
    }
    expected
}

#[test]
fn a_reader_sees_the_accounts_of_its_grant_alone() {
    run(Start::AllConnected, async |bench| {
        let sample = bench.cloud.sample;
        let granted = [sample.linked()[0].clone(), sample.linked()[4].clone()];
        bench.site.put_login("team", Role::Reader, grant_of(&granted)).await;
        let mut reader = bench.site.in_process("team");
        let answer = reader.run(&format!("SELECT {SUMS} FROM costs")).await.unwrap();
        let expected = sample.totals.of_accounts(granted.iter().map(String::as_str));
        assert_eq!(answer.rows, [cells(&expected)]);
        let sql = "SELECT DISTINCT line_item_usage_account_id FROM exports.daily_costs ORDER BY 1";
        let seen = reader.run(sql).await.unwrap();
        let mut wanted: Vec<Option<String>> = granted.iter().cloned().map(Some).collect();
        wanted.sort();
        assert_eq!(seen.rows.concat(), wanted);
        for table in [
            "accounts",
            "account_coverage",
            "exports",
            "snapshots",
            "deliveries",
            "months",
            "imports",
            "procedure_runs",
            "secrets",
        ] {
            let text = reader
                .run(&format!("SELECT * FROM system.{table}"))
                .await
                .unwrap()
                .text();
            for hidden in sample.accounts().iter().filter(|id| !granted.contains(id)) {
                assert!(
                    !text.contains(hidden.as_str()),
                    "system.{table} names {hidden} to a reader without it:\n{text}"
                );
            }
        }
        let refused = reader
            .run("EXPLAIN ANALYZE SELECT count(*) FROM costs")
            .await
            .unwrap_err();
        assert_eq!(refused.sqlstate, "42501");
        for call in [
            "CALL refresh_export()",
            "CALL put_secret('a', 'b')",
            "CALL disconnect_aws_account('111122223333')",
        ] {
            assert_eq!(reader.run(call).await.unwrap_err().sqlstate, "42501", "{call}");
        }
    });
}

#[test]
fn nothing_connected_means_nothing_visible() {
    run(Start::AllConnected, async |bench| {
        let sample = bench.cloud.sample;
        bench.site.put_login("nobody", Role::Reader, grant_of(&[])).await;
        let mut nobody = bench.site.in_process("nobody");
        for sql in ["SELECT count(*) FROM costs", "SELECT count(*) FROM exports.daily_costs"] {
            assert_eq!(nobody.run(sql).await.unwrap().single(), Some("0"), "{sql}");
        }
        let smallest = nobody
            .run("SELECT min(billed_cost), max(charge_period_start) FROM costs")
            .await
            .unwrap();
        assert_eq!(smallest.rows, [[None, None]]);
        bench
            .ask(&format!(
                "CALL disconnect_aws_account('{0}', confirm => '{0}')",
                sample.payer()
            ))
            .await;
        assert_eq!(
            bench.ask("SELECT count(*) FROM costs").await.single(),
            Some("0"),
            "its export is gone"
        );
    });
}
