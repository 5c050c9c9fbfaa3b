//! FOCUS exports in `costs`: what is theirs as delivered, what is not there NULL, and which of two exports counts.

use crate::catalog::ExportKind;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, row, usage};

fn charged(account: &'static str, payer: &'static str, billed: f64, effective: f64) -> Row {
    row([
        ("SubAccountId", Cell::Text(account)),
        ("BillingAccountId", Cell::Text(payer)),
        ("BilledCost", Cell::Double(billed)),
        ("EffectiveCost", Cell::Double(effective)),
        ("BillingCurrency", Cell::Text("USD")),
        ("ChargeCategory", Cell::Text("Usage")),
    ])
}

#[tokio::test]
async fn columns_come_as_delivered() {
    use Cell::{Double, DoubleMap, Map, Millis, Text};
    let world = World::with(&[PAYER, ANN]).await;
    world.export_of("focused", PAYER, 0, ExportKind::Focus).await;
    let mut full = charged(ANN, PAYER, 0.1, 0.2);
    full.extend([
        ("ListCost", Double(0.4)),
        ("ContractedCost", Double(0.3)),
        ("ChargePeriodStart", Millis(1_783_000_000_000)),
        ("ResourceId", Text("i-1")),
        ("ServiceCategory", Text("Compute")),
        ("SkuPriceDetails", Map(vec![("CoreCount", "2")])),
        ("Tags", Map(vec![("team", "a"), ("env", "b")])),
        ("x_Discounts", DoubleMap(vec![("edp", -0.5)])),
        ("x_ServiceCode", Text("AmazonEC2")),
        ("x_UsageType", Text("BoxUsage")),
        ("CommitmentDiscountQuantity", Double(1.5)),
        ("InvoiceId", Text("")),
    ]);
    let mut later = charged(ANN, PAYER, 1.0, 0.0);
    later.insert("SkuMeter", Text("Meter"));
    world
        .deliver("focused", "2026-06", &[vec![full, charged(HIDDEN, PAYER, 64.0, 64.0)]])
        .await;
    world
        .deliver("focused", "2026-07", &[vec![later, charged("", HIDDEN, 64.0, 64.0)]])
        .await;
    for (sql, expected) in [
        (
            "SELECT billed_cost, effective_cost, list_cost, contracted_cost, x_net_unblended_cost, x_net_amortized_cost, \
             x_unblended_cost, x_amortized_cost FROM costs ORDER BY 1",
            "0.100000000000|0.200000000000|0.400000000000|0.300000000000|0.100000000000|0.200000000000|| \
             1.000000000000|0.000000000000|||1.000000000000|0.000000000000||",
        ),
        (
            "SELECT charge_period_start IS NULL, resource_id, service_category, sku_price_details['CoreCount'], tags['env'], \
             x_discounts['edp'], x_service_code, x_usage_type, sku_meter, commitment_discount_quantity, invoice_id, \
             x_line_item_type, x_tags IS NULL, x_billing_period, x_export FROM costs ORDER BY billed_cost",
            "false|i-1|Compute|2|b|-0.5|AmazonEC2|BoxUsage|BoxUsage|1.5|||true|2026-06|focused \
             true|||||||Meter|Meter||||true|2026-07|focused",
        ),
        (
            "SELECT count(*) FROM costs WHERE sub_account_id = 11 AND sku_meter = 'Meter'",
            "1",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

/// Of two payers in one FOCUS export, one has a report that counts for it.
#[tokio::test]
async fn each_payer_counts_once_in_either_kind() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("report", PAYER, 1).await;
    world.export_of("focused", BOB, 0, ExportKind::Focus).await;
    world.deliver("report", "2026-07", &[vec![usage(ANN, 1.0)]]).await;
    let both = vec![
        charged(ANN, PAYER, 1.0, 1.0),
        charged(ANN, BOB, 2.0, 2.0),
        charged("", BOB, 4.0, 4.0),
        charged(HIDDEN, BOB, 8.0, 8.0),
        charged("", HIDDEN, 16.0, 16.0),
    ];
    world.deliver("focused", "2026-07", &[both]).await;
    // A month that FOCUS alone has.
    world
        .deliver("focused", "2026-08", &[vec![charged(ANN, PAYER, 32.0, 32.0)]])
        .await;
    let sql = "SELECT x_billing_period, x_export, billing_account_id, sum(billed_cost), sum(x_unblended_cost), count(*) \
               FROM costs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    assert_eq!(
        world
            .rows(&reader(&[]), sql)
            .await
            .unwrap()
            .replace(".000000000000", "")
            .replace("0000000000", ""),
        "2026-07|focused|12|6||2 2026-07|report|01|1|1|1 2026-08|focused|01|32||1"
    );
    let sql = "SELECT sum(billed_cost) FROM costs";
    assert_eq!(world.rows(&reader(&[ANN]), sql).await.unwrap(), "35.000000000000");
}
