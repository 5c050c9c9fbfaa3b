//! Exports that AWS has not delivered yet, has stopped to deliver, or delivers elsewhere.

use farthing_sandbox::aws::DataExportSpec;
use farthing_tests::bench::{Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX, TABLE};

use super::{Complaints, allow_everything, location, tried};

#[test]
fn an_export_that_is_not_delivered_yet_is_a_state_and_no_error() {
    run(Start::NothingDelivered, async |bench| {
        let place = location();
        let mut complaints = Complaints::default();
        let connect = bench.cloud.connect_root();
        for call in [connect.as_str(), connect.as_str(), "CALL refresh_export()"] {
            let words = [place.as_str(), "24 hours", "refresh_export"];
            let words = if call.starts_with("CALL refresh") {
                &words[1..2]
            } else {
                &words[..]
            };
            complaints.row(call, tried(bench, call).await, "pending", words);
        }
        for (status, words) in [
            ("pending", ["export not found", "nothing is delivered there"]),
            ("warning", ["no data", "24 hours"]),
        ] {
            complaints.row("diagnosis", tried(bench, "CALL diagnose_aws()").await, status, &words);
        }
        let state = bench
            .ask("SELECT state, connected_at IS NOT NULL FROM system.exports")
            .await;
        let expected = [["waiting_first_delivery", "t"]
            .map(|text| Some(text.to_owned()))
            .to_vec()];
        complaints.equal("state", state.rows, expected.to_vec());
        // The tables are there and empty.
        for table in ["costs", TABLE] {
            let rows = bench.ask(&format!("SELECT count(*) FROM {table}")).await;
            complaints.equal(table, rows.single(), Some("0"));
        }
        complaints.end();
        bench.cloud.deliver(bench.cloud.sample, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        let state = bench.ask("SELECT state FROM system.exports").await;
        assert_eq!(state.single(), Some("delivered"));
    });
}

#[test]
fn an_export_that_aws_cannot_deliver_is_not_taken_unseen() {
    run(Start::NothingDelivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        allow_everything(bench, &payer);
        let sandbox = &bench.cloud.sandbox;
        // The bucket has no policy, so that the first delivery fails.
        let spec = DataExportSpec {
            created_at: None,
            ..DataExportSpec::cur2(EXPORT, BUCKET, PREFIX)
        };
        sandbox.register_export(&payer, &spec).unwrap();
        sandbox.advance(std::time::Duration::from_secs(49 * 3600));
        let keys = bench.cloud.key_arguments(&payer);
        let found = tried(bench, &format!("CALL connect_aws_root({keys})")).await;
        let mut complaints = Complaints::default();
        complaints.refused(
            "detection",
            found,
            "42704",
            &[EXPORT, "bucket policy", "INSUFFICIENT_PERMISSION"],
        );
        let candidate = "SELECT verdict, reason FROM system.export_candidates";
        let candidate = bench.ask(candidate).await.text();
        complaints.equal(&candidate, candidate.contains("INSUFFICIENT_PERMISSION"), true);
        complaints.end();
    });
}
