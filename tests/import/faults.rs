//! AWS having a bad day: what passes is retried, what stays is recorded.

use std::time::Duration;

use farthing_sandbox::aws::{Fault, FaultKind};
use farthing_tests::bench::{Start, run, run_with};
use farthing_tests::client::Client;
use farthing_tests::cloud::PERIODS;

use super::{SEEN, newest_import, seen, without_caches};

#[test]
fn passing_faults_are_retried() {
    let passing = [
        ("SlowDown", FaultKind::SlowDown),
        ("InternalError", FaultKind::InternalError),
        ("a reset in the body", FaultKind::ResetMidBody { after_bytes: 1_000 }),
        ("a short body", FaultKind::Truncate { after_bytes: 1_000 }),
        ("a slow answer", FaultKind::Slow(Duration::from_millis(300))),
    ];
    for (what, kind) in passing {
        run(Start::Delivered, async |bench| {
            let of_data = Fault::new(kind.clone())
                .operation("GetObject")
                .key("*/data/*")
                .after(2)
                .times(2);
            let of_manifests = Fault::new(kind.clone())
                .operation("GetObject")
                .key("*Manifest.json")
                .times(1);
            let of_lists = Fault::new(kind).operation("ListObjectsV2").times(1);
            let handles = [of_data, of_manifests, of_lists].map(|fault| bench.cloud.sandbox.inject(fault));
            bench.connect(&bench.cloud.sample.linked()).await;
            assert_eq!(bench.ask(SEEN).await.rows, [seen(&bench.cloud.sample.totals)], "{what}");
            assert!(handles[0].hits() > 0 && handles[1].hits() > 0, "{what} did not happen");
        });
    }
}

#[test]
fn lasting_faults_fail_the_month_with_a_reason() {
    let lasting = [
        (FaultKind::Deny("s3:GetObject".to_owned()), "s3:GetObject"),
        (FaultKind::ExpiredToken, "expired"),
    ];
    for (kind, word) in lasting {
        run(Start::Delivered, async |bench| {
            let fault = Fault::new(kind)
                .operation("GetObject")
                .key("*/data/BILLING_PERIOD=2026-05/*");
            let handle = bench.cloud.sandbox.inject(fault);
            bench.connect(&bench.cloud.sample.linked()).await;
            assert!(handle.hits() > 0);
            let (state, message) = newest_import(bench, "2026-05").await;
            assert_eq!(state, "failed", "{message}");
            assert!(message.contains(word), "\"{word}\" is not in: {message}");
            let months = bench
                .ask("SELECT DISTINCT x_billing_period FROM costs ORDER BY 1")
                .await;
            assert_eq!(months.column("x_billing_period"), [Some(PERIODS[0]), Some(PERIODS[2])]);
            handle.remove();
            bench.ask("CALL refresh_export()").await;
            assert_eq!(bench.ask(SEEN).await.rows, [seen(&bench.cloud.sample.totals)]);
        });
    }
}

#[test]
fn an_export_that_cannot_be_listed_any_more_keeps_its_snapshots() {
    run(Start::AllConnected, async |bench| {
        let payer = bench.cloud.sample.payer();
        bench
            .cloud
            .sandbox
            .delete_user_policy(&payer, "farthing", "read-export")
            .unwrap();
        let refusal = bench.refused("CALL refresh_export()").await;
        assert_eq!(refusal.sqlstate, "HV000", "{refusal}");
        assert!(
            refusal.message.contains("s3:ListBucket"),
            "the missing action is named: {refusal}"
        );
        assert_eq!(
            bench.ask("SELECT count(*) FROM system.snapshots").await.single(),
            Some("3")
        );
        let refusal = bench.refused(SEEN).await;
        assert_eq!(refusal.sqlstate, "HV000", "{refusal}");
        assert!(
            refusal.message.contains("s3:GetObject"),
            "the missing action is named: {refusal}"
        );
    });
}

#[test]
fn a_deactivated_key_is_told_as_such() {
    run(Start::AllConnected, async |bench| {
        let key = &bench.cloud.keys[&bench.cloud.sample.payer()];
        bench.cloud.sandbox.deactivate_access_key(&key.access_key_id).unwrap();
        let refusal = bench.refused("CALL refresh_export()").await;
        assert_eq!(refusal.sqlstate, "28P01", "{refusal}");
        bench.cloud.sandbox.activate_access_key(&key.access_key_id).unwrap();
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&bench.cloud.sample.totals)]);
    });
}

#[test]
fn a_query_survives_passing_faults() {
    run_with(Start::AllConnected, without_caches, async |bench| {
        for kind in [
            FaultKind::SlowDown,
            FaultKind::InternalError,
            FaultKind::ResetMidBody { after_bytes: 500 },
            FaultKind::Truncate { after_bytes: 500 },
        ] {
            let fault = Fault::new(kind.clone())
                .operation("GetObject")
                .key("*/data/*")
                .after(1)
                .times(3);
            let handle = bench.cloud.sandbox.inject(fault);
            let mut admin = bench.site.admin();
            let answer = admin
                .run(SEEN)
                .await
                .unwrap_or_else(|refusal| panic!("{kind:?}: {refusal}"));
            assert_eq!(answer.rows, [seen(&bench.cloud.sample.totals)], "{kind:?}");
            assert!(handle.hits() > 0, "{kind:?} did not happen");
            handle.remove();
        }
    });
}
