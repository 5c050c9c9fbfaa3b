//! A statement that nobody waits for any more ends, and frees what it held.

use std::time::{Duration, Instant};

use farthing_tests::bench::{ADMIN, Bench, Start, run, run_with};
use farthing_tests::client::{Client, Way};
use tokio_postgres::NoTls;

/// Runs for hours: every row with every row with every row.
const ENDLESS: &str =
    "SELECT count(*) FROM costs a, costs b, costs c WHERE a.billed_cost + b.billed_cost > c.billed_cost + 1000000000";
/// Sends rows for hours.
const ENDLESS_ROWS: &str = "SELECT a.billed_cost, b.resource_id FROM costs a, costs b, costs c";
/// A cancelled statement must have ended by then.
const SOON: Duration = Duration::from_secs(10);

/// Nothing runs any more: as many statements as there are slots run at once.
async fn slots_are_free(bench: &Bench) {
    let slots = bench.site.config.limits.query_slots;
    let questions = (0..slots).map(|_| async {
        let mut admin = bench.site.admin();
        admin.run("SELECT count(*) FROM costs").await.unwrap();
    });
    tokio::time::timeout(SOON, futures::future::join_all(questions))
        .await
        .expect("the slots are free again");
}

#[test]
fn a_cancel_request_stops_the_statement() {
    run(Start::AllConnected, async |bench| {
        for (extended, sql) in [(false, ENDLESS), (true, ENDLESS), (false, ENDLESS_ROWS)] {
            let mut client = bench.site.postgres(ADMIN, extended).await;
            let token = client.client.cancel_token();
            let cancel = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                token.cancel_query(NoTls).await.unwrap();
                Instant::now()
            };
            let (refused, cancelled_at) = tokio::join!(client.run(sql), cancel);
            assert_eq!(refused.unwrap_err().sqlstate, "57014", "extended: {extended}");
            assert!(cancelled_at.elapsed() < SOON);
            assert_eq!(
                client.run("SELECT 1").await.unwrap().single(),
                Some("1"),
                "the session goes on"
            );
        }
        slots_are_free(bench).await;
    });
}

#[test]
fn statement_timeout_stops_the_statement() {
    run(Start::AllConnected, async |bench| {
        for way in Way::ALL {
            for sql in [ENDLESS, ENDLESS_ROWS] {
                if way != Way::PostgresSimple && sql == ENDLESS_ROWS {
                    // The client would gather the rows for as long as they come.
                    continue;
                }
                let mut client = bench.site.client(way, ADMIN).await;
                client.run("SET statement_timeout = '400ms'").await.unwrap();
                let started = Instant::now();
                let refused = client.run(sql).await.unwrap_err();
                assert_eq!(refused.sqlstate, "57014", "{way:?}: {refused}");
                assert!(started.elapsed() < SOON, "{way:?}");
                client.run("RESET statement_timeout").await.unwrap();
                assert_eq!(client.run("SELECT 1").await.unwrap().single(), Some("1"), "{way:?}");
            }
        }
        slots_are_free(bench).await;
    });
}

#[test]
fn the_servers_limit_holds_whatever_a_session_sets() {
    let limit = |config: &mut farthing_server::config::Config| {
        config.limits.statement_timeout = Duration::from_millis(400);
    };
    run_with(Start::AllConnected, limit, async |bench| {
        let mut client = bench.site.postgres(ADMIN, false).await;
        client.run("SET statement_timeout = '1h'").await.unwrap();
        assert_eq!(client.run(ENDLESS).await.unwrap_err().sqlstate, "57014");
        client.run("SET statement_timeout = 0").await.unwrap();
        assert_eq!(client.run(ENDLESS).await.unwrap_err().sqlstate, "57014");
    });
}

#[test]
fn a_client_that_goes_away_frees_its_statement() {
    run(Start::AllConnected, async |bench| {
        for _ in 0..bench.site.config.limits.query_slots + 1 {
            let client = bench.site.postgres(ADMIN, false).await;
            let asked = tokio::time::timeout(Duration::from_millis(300), client.client.simple_query(ENDLESS)).await;
            assert!(asked.is_err(), "the statement runs");
            drop(client);
            let mut client = bench.site.flight_sql(ADMIN).await;
            let asked = tokio::time::timeout(Duration::from_millis(300), client.run(ENDLESS)).await;
            assert!(asked.is_err(), "the statement runs");
        }
        slots_are_free(bench).await;
    });
}

#[test]
fn a_cancelled_statement_in_process_ends() {
    run(Start::AllConnected, async |bench| {
        let mut admin = bench.site.admin();
        let cancel = admin.cancel.clone();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cancel.cancel();
        };
        let (refused, ()) = tokio::join!(tokio::time::timeout(SOON, admin.run(ENDLESS)), stop);
        assert_eq!(refused.expect("it ends").unwrap_err().sqlstate, "57014");
        slots_are_free(bench).await;
    });
}

#[test]
fn more_statements_than_slots_wait_and_are_then_refused() {
    let narrow = |config: &mut farthing_server::config::Config| {
        config.limits.query_slots = 1;
        config.limits.admission_wait = Duration::from_millis(300);
    };
    run_with(Start::AllConnected, narrow, async |bench| {
        let mut busy = bench.site.postgres(ADMIN, false).await;
        let token = busy.client.cancel_token();
        let refused = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let refused = bench
                .site
                .postgres(ADMIN, false)
                .await
                .run("SELECT count(*) FROM costs")
                .await;
            token.cancel_query(NoTls).await.unwrap();
            refused
        };
        let (_, refused) = tokio::join!(busy.run(ENDLESS), refused);
        let refused = refused.unwrap_err();
        assert_eq!(refused.sqlstate, "53300", "{refused}");
        assert!(refused.message.contains("Hint"), "{refused}");
        assert_eq!(
            busy.run("SELECT count(*) > 0 FROM costs").await.unwrap().single(),
            Some("t")
        );
    });
}
