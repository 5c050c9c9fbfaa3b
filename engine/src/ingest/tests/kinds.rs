//! What an export is shows by the columns of what is delivered, and stays so.

use super::super::*;
use super::bed::*;
use crate::catalog::Change;
use crate::id::AccountId;
use crate::money::Amount;

const KEY: &str = "p/e/data/billing_period=2026-06/e-00001.csv";

const FOCUS: &str = "\
EffectiveCost,BilledCost,SubAccountId,SubAccountName,BillingAccountId,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,Tags,Extra
0.1,0.30000000001,111111111111,one,000000000001,USD,Usage,2026-06-01 00:00:00,2026-06-01 01:00:00,\"{\"\"a\"\": \"\"b\"\"}\",x
0.2,-0.1,111111111111,one,000000000001,USD,Usage,2026-06-02T00:00:00Z,2026-06-02T01:00:00Z,NULL,NULL
0,5,NULL,NULL,000000000001,USD,Tax,2026-06-01 00:00:00,2026-07-01 00:00:00,,
";

fn kind(bed: &Bed) -> ExportKind {
    bed.catalog.lease().document.exports[&export_id()].kind
}

#[tokio::test]
async fn focus_data_make_a_focus_export() {
    let bed = Bed::new().await;
    assert_eq!(kind(&bed), ExportKind::Cur2);
    bed.bucket.write(KEY, FOCUS.as_bytes());
    bed.bucket.write_manifest("2026-06", &[KEY]);
    assert_eq!(bed.outcome().await, "published");
    assert_eq!(kind(&bed), ExportKind::Focus);
    let snapshot = bed.snapshot("2026-06").unwrap();
    let totals: Vec<(Option<AccountId>, Option<String>, u64, Amount)> = snapshot
        .owner_totals()
        .into_iter()
        .map(|total| {
            (
                total.owner.usage_account,
                total.account_name,
                total.rows,
                total.unblended["USD"],
            )
        })
        .collect();
    // 0.30000000001 - 0.1, exactly; the tax is the payer's, for the word NULL is no account.
    assert_eq!(
        totals,
        [
            (None, None, 1, Amount::from_units(5_000_000_000_000)),
            (
                Some(ONE.parse().unwrap()),
                Some("one".to_owned()),
                2,
                Amount::from_units(200_000_000_010)
            ),
        ]
    );
    assert_eq!(snapshot.data_through.unwrap().to_rfc3339(), "2026-07-01T00:00:00+00:00");
    let names: Vec<&str> = snapshot.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names[..3], ["EffectiveCost", "BilledCost", "SubAccountId"]);
    assert_eq!(names.last(), Some(&"Extra"));
    // Connecting the same place again does not make it another kind.
    bed.catalog
        .publish(&[Change::PutExport(export(in_bucket()))])
        .await
        .unwrap();
    assert_eq!(kind(&bed), ExportKind::Focus);
    bed.catalog.publish(&[Change::KeepExport(export_id())]).await.unwrap();
    bed.catalog
        .publish(&[Change::PutExport(export(in_bucket()))])
        .await
        .unwrap();
    assert_eq!(kind(&bed), ExportKind::Focus);
    assert_eq!(bed.outcome().await, "unchanged");
}

#[tokio::test]
async fn an_export_does_not_change_its_kind_from_month_to_month() {
    let bed = Bed::new().await;
    bed.bucket.deliver("2026-05", &[one_row(1.0)]);
    assert_eq!(bed.outcome().await, "published");
    bed.bucket.write(KEY, FOCUS.as_bytes());
    bed.bucket.write_manifest("2026-06", &[KEY]);
    let outcomes = bed.outcomes().await;
    assert!(
        outcomes["2026-06"].contains("delivers FOCUS, and 2026-05 was imported as CUR 2.0"),
        "{outcomes:?}"
    );
    assert_eq!(kind(&bed), ExportKind::Cur2);
    // Two formats in one delivery are one too many.
    let report = "p/e/data/billing_period=2026-06/e-00002.csv";
    bed.bucket.write(
        report,
        b"bill_payer_account_id,line_item_usage_account_id,line_item_line_item_type,line_item_usage_start_date,\
          line_item_unblended_cost,line_item_currency_code\n000000000001,111111111111,Usage,2026-06-01T00:00:00Z,1,USD\n",
    );
    bed.bucket.write_manifest("2026-06", &[KEY, report]);
    let outcomes = bed.outcomes().await;
    assert!(
        outcomes["2026-06"].contains("the delivery mixes formats"),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn an_export_without_what_focus_requires_is_refused_as_focus() {
    let bed = Bed::new().await;
    bed.bucket.write(KEY, b"SubAccountId,BilledCost\n111111111111,1\n");
    bed.bucket.write_manifest("2026-06", &[KEY]);
    let outcome = bed.outcome().await;
    assert!(
        outcome.contains("lacks columns that costs need: BillingAccountId, ChargeCategory"),
        "{outcome}"
    );
}
