//! `connect_aws_root` without a place: the account's exports are looked through.

use farthing_tests::bench::{Start, run};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::json;

use super::allow;

#[test]
fn an_export_is_found_if_it_is_the_only_one_that_fits() {
    run(Start::Delivered, async |bench| {
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        let find = format!("CALL connect_aws_root({keys})");
        // With the reader's rights alone nothing can be looked through.
        let blind = bench.refused(&find).await;
        assert_eq!(blind.sqlstate, "HV000", "{blind}");
        assert!(blind.message.contains("bcm-data-exports:ListExports"), "{blind}");

        allow(
            bench,
            "all",
            &json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
                .to_string(),
        );
        let none = bench.refused(&find).await;
        assert_eq!(none.sqlstate, "42704", "{none}");
        assert!(none.message.contains("create_aws_export"), "{none}");

        let make = |name: &str, prefix: &str| {
            format!(
                "CALL create_aws_export(export_name => '{name}', bucket => '{BUCKET}', prefix => '{prefix}', connect => false, {keys})"
            )
        };
        bench.ask(&make(EXPORT, PREFIX)).await;
        bench
            .ask(&make("legacy", "legacy").replace("connect => false", "connect => false, kind => 'cur'"))
            .await;
        let found = bench.ask(&find).await;
        assert!(!found.column("status").contains(&Some("failed")), "{}", found.text());
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));
        let status = "SELECT e.aws_status LIKE c.status || '%' FROM system.exports e JOIN system.export_candidates c \
                      ON c.location = e.location";
        assert_eq!(bench.ask(status).await.single(), Some("t"));
        let candidates = "SELECT export_name, verdict, connected FROM system.export_candidates ORDER BY 2, 1";
        let candidates = bench.ask(candidates).await;
        let row = |name: &str, verdict: &str, connected: &str| {
            [name, verdict, connected].map(|t| Some(t.to_owned())).to_vec()
        };
        assert_eq!(
            candidates.rows[0][..2],
            row(EXPORT, "fits", "f")[..2],
            "{}",
            candidates.text()
        );
        assert_eq!(
            candidates.rows[1],
            row("legacy", "limited", "f"),
            "{}",
            candidates.text()
        );

        bench.ask(&make("second", "second")).await;
        let several = bench.refused(&find).await;
        assert_eq!(several.sqlstate, "22023", "{several}");
        for location in [
            format!("s3://{BUCKET}/{PREFIX}/{EXPORT}"),
            format!("s3://{BUCKET}/second/second"),
        ] {
            assert!(several.message.contains(&location), "{location}: {several}");
        }
        let named = format!("CALL connect_aws_root(export_name => 'second', {keys})");
        let named = bench.ask(&named).await;
        assert!(named.text().contains("exports.second"), "{}", named.text());
    });
}
