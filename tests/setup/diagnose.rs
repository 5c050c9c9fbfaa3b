//! `diagnose_aws`: "export not found", "access denied" and "no data", each answered with what was looked at.

use farthing_tests::bench::{Start, run};

#[test]
fn the_diagnosis_answers_the_three_questions() {
    run(Start::NothingDelivered, async |bench| {
        let answers = async |question: &str| -> Vec<(String, String)> {
            let found = bench.ask("CALL diagnose_aws()").await;
            let rows = found
                .column("object")
                .into_iter()
                .zip(found.column("status"))
                .zip(found.column("detail"));
            rows.filter(|((object, _), _)| object.unwrap().starts_with(question))
                .map(|((_, status), detail)| (status.unwrap().to_owned(), detail.unwrap().to_owned()))
                .collect()
        };
        assert_eq!(answers("no data").await[0].0, "failed", "nothing is connected");

        // Connected early: the export is there, and not delivered.
        bench.connect(&[]).await;
        let waiting = answers("export not found").await;
        assert_eq!(waiting[0].0, "pending", "{waiting:?}");
        assert_eq!(answers("access denied").await[0].0, "ok");

        // Delivered, and not imported yet.
        bench.cloud.deliver(bench.cloud.sample, |_| true).await;
        let missing = answers("no data: exports").await;
        assert!(
            missing[0].1.contains("3 months delivered and not imported"),
            "{missing:?}"
        );
        bench.ask("CALL refresh_export()").await;
        assert!(answers("no data: exports").await.is_empty());
        let ignored = answers("no data: accounts that are not connected").await;
        assert!(
            ignored[0]
                .1
                .starts_with("6 accounts occur in the data and are not connected"),
            "{ignored:?}"
        );

        // The reader loses its rights.
        let payer = bench.cloud.sample.payer();
        bench
            .cloud
            .sandbox
            .delete_user_policy(&payer, "farthing", "read-export")
            .unwrap();
        let denied = answers("access denied").await;
        assert_eq!(denied[0].0, "failed", "{denied:?}");
        assert!(denied[0].1.contains("s3:ListBucket"), "{denied:?}");
        assert_eq!(answers("export not found").await[0].0, "failed");
    });
}
