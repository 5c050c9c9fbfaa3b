//! The ways in agree.

use farthing_tests::bench::{ADMIN, Start, run};
use farthing_tests::client::{Param, Way};

/// Questions whose answers hold every type that tables have.
const QUESTIONS: [&str; 7] = [
    "SELECT * FROM costs ORDER BY resource_id, charge_period_start, sku_meter, billed_cost, charge_description, x_operation, \
     x_line_item_type, sub_account_id, list_cost, x_net_unblended_cost, x_split_parent_resource_id LIMIT 200",
    "SELECT * FROM exports.daily_costs WHERE billing_period = '2026-04' ORDER BY identity_line_item_id, \
     line_item_usage_start_date, line_item_line_item_type, line_item_unblended_cost LIMIT 200",
    "SELECT service_name, x_billing_period, count(*), sum(billed_cost), min(charge_period_start), avg(billed_cost) FROM costs \
     GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT sub_account_name, array_agg(DISTINCT region_id ORDER BY region_id) FROM costs GROUP BY 1 ORDER BY 1",
    "SELECT account_id, account_name, status, months, rows, unblended_cost FROM system.account_coverage ORDER BY 1",
    "SELECT pricing_quantity, consumed_quantity FROM costs ORDER BY 1 DESC, 2 DESC LIMIT 50",
    "SELECT count(*) FROM costs WHERE false",
];

#[test]
fn the_same_question_gives_the_same_rows_everywhere() {
    run(Start::AllConnected, async |bench| {
        for sql in QUESTIONS {
            let mut first = None;
            for way in Way::ALL {
                for threads in [1, 2] {
                    let mut client = bench.site.client(way, ADMIN).await;
                    client.run(&format!("SET farthing.threads = {threads}")).await.unwrap();
                    let answer = client
                        .run(sql)
                        .await
                        .unwrap_or_else(|refusal| panic!("{way:?}: {sql}\n{refusal}"));
                    let first = first.get_or_insert_with(|| answer.clone());
                    assert_eq!(answer.columns, first.columns, "{way:?}: {sql}");
                    for (at, (row, expected)) in answer.rows.iter().zip(&first.rows).enumerate() {
                        assert_eq!(row, expected, "row {at} by {way:?} with {threads} threads: {sql}");
                    }
                    assert_eq!(
                        answer.rows.len(),
                        first.rows.len(),
                        "{way:?} with {threads} threads: {sql}"
                    );
                }
            }
        }
    });
}

#[test]
fn bound_values_mean_the_same_as_literals() {
    run(Start::AllConnected, async |bench| {
        let account = bench.cloud.sample.linked()[1].clone();
        let cases: [(&str, Vec<Param>, String); 3] = [
            (
                "SELECT sum(billed_cost) FROM costs WHERE sub_account_id = $1 AND x_billing_period = $2",
                vec![account.as_str().into(), "2026-05".into()],
                format!(
                    "SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '{account}' AND x_billing_period = '2026-05'"
                ),
            ),
            (
                "SELECT service_name, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $1",
                vec![Param::Int(3)],
                "SELECT service_name, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3".to_owned(),
            ),
            (
                "SELECT count(*) FROM costs WHERE resource_id = $1",
                vec![Param::Null],
                "SELECT count(*) FROM costs WHERE resource_id = NULL".to_owned(),
            ),
        ];
        for (sql, params, literal) in cases {
            let expected = bench.ask(&literal).await.rows;
            for way in Way::ALL {
                let mut client = bench.site.client(way, ADMIN).await;
                // Twice: the second time by a plan that exists already.
                for _ in 0..2 {
                    let answer = client.run_with(sql, &params).await;
                    let answer = answer.unwrap_or_else(|refusal| panic!("{way:?}: {sql}\n{refusal}"));
                    assert_eq!(answer.rows, expected, "{way:?}: {sql}");
                }
            }
        }
    });
}

#[test]
fn a_refusal_is_the_same_everywhere() {
    run(Start::AllConnected, async |bench| {
        let cases = [
            "SELEC 1",
            "SELECT * FROM no_such_table",
            "SELECT no_such_column FROM costs",
            "SELECT no_such_function(1)",
            "SELECT 1 / (billed_cost - billed_cost) FROM costs",
            "CALL no_such_procedure()",
            "CALL connect_aws_linked(access_key_id => 'AKIAFARTHINGEXAMPLEX', secret_access_key => 'not-a-real-secret')",
            "CREATE TABLE t (a int)",
            "SET no_such_setting = 1",
        ];
        for sql in cases {
            let mut first = None;
            for way in Way::ALL {
                let mut client = bench.site.client(way, ADMIN).await;
                let Err(mut refusal) = client.run(sql).await else {
                    panic!("{way:?} accepts {sql}")
                };
                // AWS gives every request another id.
                if let Some((before, after)) = refusal.message.split_once("request id ") {
                    let after = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
                    refusal.message = format!("{before}request id{after}");
                }
                let first = first.get_or_insert_with(|| refusal.clone());
                assert_eq!(&refusal, first, "{way:?}: {sql}");
                assert_ne!(refusal.sqlstate, "XX000", "{sql}: {}", refusal.message);
            }
        }
    });
}
