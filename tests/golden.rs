//! Hand-made bills whose every figure was added up on paper: the sums stand in comments beside what they check.
//!
//! The bill of May has what bills are made of: a Savings Plan with an upfront payment and an unused part, a reservation with
//! an unused part, an Enterprise Discount of 10 percent, a support fee and the refund of a part of it, a credit without
//! resource, split rows of a cluster's node, a tax that no account has, a Marketplace product. June is corrected after its
//! close, and an account moves to another payer on the 10th.

mod bill;

use farthing_tests::bench::{Site, on_runtimes};
use farthing_tests::client::Client;

use self::bill::{A, B, C, Export, P, Q, corrected_june, june, june_of_q, may};

/// Opens a site with the payer's export in a folder, connected as root, and some linked accounts.
async fn site_of(runtimes: &farthing_server::runtime::Runtimes, export: &Export, linked: &[&str]) -> Site {
    let site = Site::open(None, runtimes, |_| {}).await;
    run(&site, &export.connect()).await;
    for account in linked {
        run(&site, &format!("CALL connect_aws_linked(account_id => '{account}')")).await;
    }
    site
}

async fn run(site: &Site, sql: &str) -> Vec<Vec<Option<String>>> {
    match site.admin().run(sql).await {
        Ok(answer) => answer.rows,
        Err(refusal) => panic!("{sql}\n{refusal}"),
    }
}

/// Rows as text; `-` stands for NULL. Trailing zeros of amounts are left out on both sides.
async fn check(site: &Site, sql: &str, expected: &[&str]) {
    let shown = |cell: &Option<String>| match cell {
        None => "-".to_owned(),
        Some(text) if text.contains('.') && text.parse::<f64>().is_ok() => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Some(text) => text.clone(),
    };
    let rows = run(site, sql).await;
    let rows: Vec<String> = rows
        .iter()
        .map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(rows, expected, "{sql}");
}

#[test]
fn every_metric_of_a_bill_is_as_computed_on_paper() {
    on_runtimes(async |runtimes| {
        let export = Export::of(P, "golden");
        export.deliver("2026-05", "run-1", &may());
        let site = site_of(runtimes, &export, &[A, B, C]).await;
        check(
            &site,
            "SELECT sub_account_id, sum(billed_cost), sum(x_unblended_cost), sum(x_net_unblended_cost), sum(x_amortized_cost), \
             sum(x_net_amortized_cost), sum(effective_cost), sum(list_cost) FROM costs GROUP BY 1 ORDER BY 1 NULLS LAST",
            &[
                // The payer.
                // unblended: 4380 + 372 - 37.2 + 100 - 10 - 30 = 4774.8
                // net:       4380 + 334.8 + 0 + 90 + 0 - 30 = 4774.8
                // amortised: 0 + (744 - 700) - 37.2 + 100 - 10 - 30 = 66.8
                // net:       0 + 44 x 334.8 / 372 + 0 + 90 + 0 - 30 = 39.6 + 60 = 99.6
                // list:      none has a public price: unblended
                "111111111111 4774.8 4774.8 4774.8 66.8 99.6 99.6 4774.8",
                // unblended: 1000 - 1000 + 50 - 5 - 12.34 + 8 - 0.8 + 0 + 0 + 33.3 - 1 = 72.16
                // net:       1000 - 1000 + 45 + 0 - 12.34 + 7.2 + 0 + 0 + 0 + 33.3 - 1 = 72.16
                // amortised: 700 + 0 + 50 - 5 - 12.34 + 8 - 0.8 + 33.3 - 1 = 772.16
                // net:       630 + 0 + 45 + 0 - 12.34 + 7.2 + 0 + 33.3 - 1 = 702.16
                // list:      1000 + 0 + 55 - 5 - 12.34 + 8 - 0.8 + 33.3 - 1 = 1077.16
                "222222222222 72.16 72.16 72.16 772.16 702.16 702.16 1077.16",
                // unblended: 74.4 - 7.44 + 0 + 660 = 726.96
                // net:       66.96 + 0 + 0 + 660 = 726.96
                // amortised: (5 + 10) - 7.44 + 114.4 + 0 = 121.96
                // net:       (4.5 + 9) + 0 + 102.96 + 0 = 116.46
                // list:      74.4 - 7.44 + 180 + 660 = 906.96
                "333333333333 726.96 726.96 726.96 121.96 116.46 116.46 906.96",
                "444444444444 5.55 5.55 5.55 5.55 5.55 5.55 5.55",
                // The tax of the whole bill, which is the payer's to see.
                "- 20 20 20 20 20 20 20",
            ],
        )
        .await;
        // 4774.8 + 72.16 + 726.96 + 5.55 + 20, and 66.8 + 772.16 + 121.96 + 5.55 + 20, and 99.6 + 702.16 + 116.46 + 5.55 + 20.
        check(
            &site,
            "SELECT count(*), sum(x_unblended_cost), sum(x_amortized_cost), sum(x_net_amortized_cost) FROM costs",
            &["23 5599.47 986.47 943.77"],
        )
        .await;
        // What the export's query leaves out is told, and reads as NULL.
        check(
            &site,
            "SELECT column_name, column_type, delivered, in_dictionary, months FROM system.export_columns \
             WHERE column_name IN ('pricing_unit', 'line_item_unblended_cost') ORDER BY 1",
            &["line_item_unblended_cost decimal t t 1", "pricing_unit text f t 0"],
        )
        .await;
        check(&site, "SELECT count(pricing_unit) FROM costs", &["0"]).await;
        site.close().await;
    });
}

#[test]
fn amortised_costs_are_whole_over_each_commitment() {
    on_runtimes(async |runtimes| {
        let export = Export::of(P, "golden");
        export.deliver("2026-05", "run-1", &may());
        let site = site_of(runtimes, &export, &[A, B, C]).await;
        check(
            &site,
            "SELECT commitment_discount_type, commitment_discount_status, count(*), sum(x_unblended_cost), sum(x_amortized_cost) \
             FROM costs WHERE commitment_discount_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2 NULLS LAST",
            &[
                // The reservation: 0.1 an hour and 55 of its upfront fee in May, 129.4 in all, used and unused: 114.4 + 15.
                "Reserved Instance Unused 1 74.4 15",
                "Reserved Instance Used 1 0 114.4",
                // Its upfront fee.
                "Reserved Instance - 1 660 0",
                // The plan: a commitment of 1 an hour, 744 in May: 700 used and 44 not.
                "Savings Plan Unused 1 372 44",
                "Savings Plan Used 1 1000 700",
                // Its upfront payment and the negation of the covered usage.
                "Savings Plan - 2 3380 0",
            ],
        )
        .await;
        // Amortised, less what May has of upfront fees (372 + 55), and with the upfront fees (4380 + 660): the unblended cost.
        // 986.47 - 427 + 5040 = 5599.47
        check(
            &site,
            "SELECT (SELECT sum(x_amortized_cost) FROM costs) - 427 + sum(x_unblended_cost) AS cash \
             FROM costs WHERE x_line_item_type = 'SavingsPlanUpfrontFee' \
             OR x_line_item_type = 'Fee' AND commitment_discount_id IS NOT NULL",
            &["5599.47"],
        )
        .await;
        site.close().await;
    });
}

#[test]
fn charges_have_their_category_class_and_quantity() {
    on_runtimes(async |runtimes| {
        let export = Export::of(P, "golden");
        export.deliver("2026-05", "run-1", &may());
        let site = site_of(runtimes, &export, &[A, B, C]).await;
        check(
            &site,
            "SELECT charge_category, charge_class, count(*), sum(billed_cost) FROM costs GROUP BY 1, 2 ORDER BY 1, 2",
            &[
                "Credit - 1 -12.34",
                // 4380 + 372 + 74.4 + 660 + 100
                "Purchase - 5 5586.4",
                "Tax - 1 20",
                // The refund of a part of the support fee.
                "Usage Correction 1 -30",
                // 1000 - 1000 + 50 + 8 + 33.3 + 5.55 + 0 + 0 + 0 - 1, and discounts of -37.2 - 7.44 - 5 - 10 - 0.8
                "Usage - 15 35.41",
            ],
        )
        .await;
        // Covered 1000, reserved 744, on demand 100, the node 8, the product 3, C's 1. Neither the negation's -1000, nor what
        // the pods used of the node.
        check(&site, "SELECT sum(consumed_quantity) FROM costs", &["1856"]).await;
        // What the pods cost is in the node's row already: 3.1 + 4.9.
        check(
            &site,
            "SELECT sum(x_split_cost), sum(billed_cost), count(consumed_quantity) FROM costs WHERE x_split_parent_resource_id IS NOT NULL",
            &["8 0 0"],
        )
        .await;
        check(
            &site,
            "SELECT count(*), sum(billed_cost) FROM costs WHERE resource_id IS NULL AND charge_category = 'Credit'",
            &["1 -12.34"],
        )
        .await;
        check(
            &site,
            "SELECT publisher_name, sum(billed_cost) FROM costs WHERE publisher_name <> 'Amazon Web Services, Inc.' GROUP BY 1",
            &["Example Seller GmbH 33.3"],
        )
        .await;
        site.close().await;
    });
}

#[test]
fn unconnected_accounts_are_ignored_to_the_last_row() {
    on_runtimes(async |runtimes| {
        let export = Export::of(P, "golden");
        export.deliver("2026-05", "run-1", &may());
        let site = site_of(runtimes, &export, &[]).await;
        let sums = "SELECT count(*), sum(billed_cost), sum(x_amortized_cost) FROM costs";
        // The payer's own six rows and the tax: 4774.8 + 20, 66.8 + 20.
        check(&site, sums, &["7 4794.8 86.8"]).await;
        run(&site, "CALL connect_aws_linked(account_id => '333333333333')").await;
        // With B's four: 4794.8 + 726.96, 86.8 + 121.96.
        check(&site, sums, &["11 5521.76 208.76"]).await;
        // The plan is the payer's and its use is A's, which is not connected: the unused part shows and nothing else.
        check(
            &site,
            "SELECT commitment_discount_status, sum(x_amortized_cost) FROM costs \
             WHERE commitment_discount_type = 'Savings Plan' GROUP BY 1 ORDER BY 1 NULLS LAST",
            &["Unused 44", "- 0"],
        )
        .await;
        run(&site, "CALL disconnect_aws_account(account_id => '333333333333')").await;
        check(&site, sums, &["7 4794.8 86.8"]).await;
        site.close().await;
    });
}

#[test]
fn a_closed_month_is_corrected_whole() {
    on_runtimes(async |runtimes| {
        let export = Export::of(P, "golden");
        export.deliver("2026-05", "run-1", &may());
        export.deliver("2026-06", "run-2", &june());
        let site = site_of(runtimes, &export, &[A, C]).await;
        let sums = "SELECT sub_account_id, count(*), sum(billed_cost), sum(x_net_unblended_cost), sum(effective_cost) FROM costs \
                    WHERE x_billing_period = '2026-06' GROUP BY 1 ORDER BY 1 NULLS LAST";
        // June has no net costs at all, so net is gross.
        check(&site, sums, &["222222222222 1 10 10 10", "444444444444 1 2 2 2"]).await;
        export.deliver("2026-06", "run-3", &corrected_june());
        run(&site, "CALL refresh_export()").await;
        check(
            &site,
            sums,
            // 9.5 - 0.5; 2; the tax.
            &["222222222222 2 9 9 9", "444444444444 1 2 2 2", "- 1 2 2 2"],
        )
        .await;
        // May is as it was, without B: 5599.47 - 726.96.
        check(
            &site,
            "SELECT sum(billed_cost) FROM costs WHERE x_billing_period = '2026-05'",
            &["4872.51"],
        )
        .await;
        site.close().await;
    });
}

#[test]
fn an_account_that_moves_to_another_payer_is_billed_by_both_and_counted_once() {
    on_runtimes(async |runtimes| {
        let (ours, theirs) = (Export::of(P, "golden"), Export::of(Q, "their-costs"));
        ours.deliver("2026-05", "run-1", &may());
        ours.deliver("2026-06", "run-2", &june());
        theirs.deliver("2026-06", "run-1", &june_of_q());
        let site = site_of(runtimes, &ours, &[C]).await;
        let moved = "SELECT x_billing_period, billing_account_id, sum(billed_cost) FROM costs \
                     WHERE sub_account_id = '444444444444' GROUP BY 1, 2 ORDER BY 1, 2";
        check(&site, moved, &["2026-05 111111111111 5.55", "2026-06 111111111111 2"]).await;
        run(&site, &theirs.connect()).await;
        check(
            &site,
            moved,
            &[
                "2026-05 111111111111 5.55",
                "2026-06 111111111111 2",
                "2026-06 555555555555 3",
            ],
        )
        .await;
        // Both payers' own rows of June: P has none, Q has 1.25.
        check(
            &site,
            "SELECT sum(billed_cost) FROM costs WHERE x_billing_period = '2026-06'",
            &["6.25"],
        )
        .await;
        site.close().await;
    });
}
