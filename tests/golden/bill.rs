//! The rows of the hand-made bills, and an export of them in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tempfile::TempDir;

/// The payer.
pub(super) const P: &str = "111111111111";
/// Its members.
pub(super) const A: &str = "222222222222";
pub(super) const B: &str = "333333333333";
/// The member that moves to `Q`.
pub(super) const C: &str = "444444444444";
/// Another payer.
pub(super) const Q: &str = "555555555555";

const PLAN: &str = "arn:aws:savingsplans::111111111111:savingsplan/0f1e2d3c-0000-4000-8000-000000000001";
const RESERVATION: &str = "arn:aws:ec2:eu-west-1:333333333333:reserved-instances/0f1e2d3c-0000-4000-8000-000000000002";
const NODE: &str = "i-0123456789abcdef0";

/// One line item: its cells by column.
pub(super) type Row = BTreeMap<&'static str, String>;

/// A line item of an account, with its unblended and net unblended cost. `more` gives other cells.
fn row(kind: &str, account: &str, unblended: &str, net: &str, more: &[(&'static str, &str)]) -> Row {
    let mut cells: Row = more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut put = |name, value: &str| {
        cells.entry(name).or_insert_with(|| value.to_owned());
    };
    put("line_item_line_item_type", kind);
    put("line_item_usage_account_id", account);
    put("line_item_unblended_cost", unblended);
    put("line_item_net_unblended_cost", net);
    put("line_item_currency_code", "USD");
    put("line_item_product_code", "AmazonEC2");
    put("line_item_legal_entity", "Amazon Web Services, Inc.");
    put("bill_bill_type", "Anniversary");
    cells
}

/// May of the first payer: 23 rows.
pub(super) fn may() -> Vec<Row> {
    let plan = ("savings_plan_savings_plan_a_r_n", PLAN);
    let reservation = ("reservation_reservation_a_r_n", RESERVATION);
    let edp = |account, discount| row("EdpDiscount", account, discount, "0", &[]);
    vec![
        // A Savings Plan of 1 an hour for a year, half of it paid upfront: 0.5 x 8760 = 4380 at once, 0.5 x 744 = 372 in May.
        row("SavingsPlanUpfrontFee", P, "4380", "4380", &[plan]),
        row(
            "SavingsPlanRecurringFee",
            P,
            "372",
            "334.8",
            &[
                plan,
                ("savings_plan_total_commitment_to_date", "744"),
                ("savings_plan_used_commitment", "700"),
                ("savings_plan_payment_option", "Partial Upfront"),
                ("savings_plan_amortized_upfront_commitment_for_billing_period", "372"),
                (
                    "savings_plan_net_amortized_upfront_commitment_for_billing_period",
                    "372",
                ),
                ("savings_plan_recurring_commitment_for_billing_period", "372"),
                ("savings_plan_net_recurring_commitment_for_billing_period", "334.8"),
            ],
        ),
        edp(P, "-37.2"),
        row(
            "SavingsPlanCoveredUsage",
            A,
            "1000",
            "1000",
            &[
                plan,
                ("savings_plan_savings_plan_effective_cost", "700"),
                ("savings_plan_net_savings_plan_effective_cost", "630"),
                ("pricing_public_on_demand_cost", "1000"),
                ("pricing_public_on_demand_rate", "1"),
                ("line_item_usage_amount", "1000"),
            ],
        ),
        row(
            "SavingsPlanNegation",
            A,
            "-1000",
            "-1000",
            &[plan, ("line_item_usage_amount", "-1000")],
        ),
        // A reservation: 0.1 an hour and 660 upfront for a year, 55 of it in May. 114.4 of it was used, 15 was not.
        row(
            "RIFee",
            B,
            "74.4",
            "66.96",
            &[
                reservation,
                ("reservation_amortized_upfront_fee_for_billing_period", "55"),
                ("reservation_unused_amortized_upfront_fee_for_billing_period", "5"),
                ("reservation_unused_recurring_fee", "10"),
                ("reservation_net_unused_amortized_upfront_fee_for_billing_period", "4.5"),
                ("reservation_net_unused_recurring_fee", "9"),
            ],
        ),
        edp(B, "-7.44"),
        row(
            "DiscountedUsage",
            B,
            "0",
            "0",
            &[
                reservation,
                ("reservation_effective_cost", "114.4"),
                ("reservation_net_effective_cost", "102.96"),
                ("pricing_public_on_demand_cost", "180"),
                ("pricing_public_on_demand_rate", "0.24"),
                ("line_item_usage_amount", "744"),
            ],
        ),
        row("Fee", B, "660", "660", &[reservation]),
        row(
            "Usage",
            A,
            "50",
            "45",
            &[
                ("pricing_public_on_demand_cost", "55"),
                ("pricing_public_on_demand_rate", "0.55"),
                ("line_item_usage_amount", "100"),
                ("discount_total_discount", "-5"),
            ],
        ),
        edp(A, "-5"),
        row(
            "Fee",
            P,
            "100",
            "90",
            &[("line_item_product_code", "AWSSupportBusiness")],
        ),
        edp(P, "-10"),
        row(
            "Refund",
            P,
            "-30",
            "-30",
            &[
                ("line_item_product_code", "AWSSupportBusiness"),
                ("bill_bill_type", "Refund"),
            ],
        ),
        row("Credit", A, "-12.34", "-12.34", &[]),
        // A cluster's node and the two pods on it.
        row(
            "Usage",
            A,
            "8",
            "7.2",
            &[
                ("line_item_resource_id", NODE),
                ("pricing_public_on_demand_cost", "8"),
                ("pricing_public_on_demand_rate", "1"),
                ("line_item_usage_amount", "8"),
            ],
        ),
        edp(A, "-0.8"),
        pod("3.1", "4"),
        pod("4.9", "6"),
        row("Tax", "", "20", "20", &[("line_item_tax_type", "VAT")]),
        row(
            "Usage",
            A,
            "33.3",
            "33.3",
            &[
                ("bill_billing_entity", "AWS Marketplace"),
                ("line_item_legal_entity", "Example Seller GmbH"),
                ("line_item_product_code", "8u7y6t5r4e3w2q1example"),
                ("line_item_usage_amount", "3"),
            ],
        ),
        row("BundledDiscount", A, "-1", "-1", &[]),
        row("Usage", C, "5.55", "5.55", &[("line_item_usage_amount", "1")]),
    ]
}

fn pod(split_cost: &str, used: &str) -> Row {
    row(
        "Usage",
        A,
        "0",
        "0",
        &[
            (
                "line_item_resource_id",
                "arn:aws:eks:eu-west-1:222222222222:pod/example/default/web/1",
            ),
            ("split_line_item_parent_resource_id", NODE),
            ("split_line_item_split_cost", split_cost),
            ("line_item_usage_amount", used),
        ],
    )
}

/// June of the first payer, as it stood on the 1st of July. AWS delivers no net costs where there is no discount.
pub(super) fn june() -> Vec<Row> {
    vec![row("Usage", A, "10", "", &[]), row("Usage", C, "2", "", &[])]
}

/// The same after the month was closed: corrected usage, a credit and the tax.
pub(super) fn corrected_june() -> Vec<Row> {
    vec![
        row("Usage", A, "9.5", "", &[]),
        row("Credit", A, "-0.5", "", &[]),
        row("Usage", C, "2", "", &[]),
        row("Tax", "", "2", "", &[("line_item_tax_type", "VAT")]),
    ]
}

/// June of the other payer, since the 10th.
pub(super) fn june_of_q() -> Vec<Row> {
    vec![row("Usage", C, "3", "", &[]), row("Usage", Q, "1.25", "", &[])]
}

/// An export in a folder: CUR 2.0 as gzip CSV, overwritten in place.
pub(super) struct Export {
    folder: TempDir,
    payer: &'static str,
    name: &'static str,
}

impl Export {
    pub(super) fn of(payer: &'static str, name: &'static str) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            payer,
            name,
        }
    }

    /// The call that connects it.
    pub(super) fn connect(&self) -> String {
        let folder = self.folder.path().canonicalize().unwrap();
        format!(
            "CALL connect_aws_root(location => 'file://{}/{}', account_id => '{}')",
            folder.display(),
            self.name,
            self.payer
        )
    }

    /// Delivers a month: the data, then the manifest. All columns that any row has are in every file.
    pub(super) fn deliver(&self, period: &str, execution: &str, rows: &[Row]) {
        let start = format!("{period}-01T00:00:00.000Z");
        let (year, month) = period.split_once('-').unwrap();
        let next = month.parse::<u32>().unwrap() + 1;
        let end = format!("{year}-{next:02}-01T00:00:00.000Z");
        let all = may().into_iter().flat_map(BTreeMap::into_keys);
        let mut columns: Vec<&str> = all.collect();
        columns.extend([
            "bill_payer_account_id",
            "bill_billing_period_start_date",
            "bill_billing_period_end_date",
            "line_item_usage_start_date",
            "line_item_usage_end_date",
        ]);
        columns.sort_unstable();
        columns.dedup();
        let mut file = GzEncoder::new(Vec::new(), Compression::default());
        writeln!(file, "{}", columns.join(",")).unwrap();
        for row in rows {
            let cells: Vec<&str> = columns
                .iter()
                .map(|column| match *column {
                    "bill_payer_account_id" => self.payer,
                    "bill_billing_period_start_date" | "line_item_usage_start_date" => &start,
                    "bill_billing_period_end_date" | "line_item_usage_end_date" => &end,
                    column => row.get(column).map_or("", String::as_str),
                })
                .inspect(|cell| assert!(!cell.contains('"') && !cell.contains('\n'), "{cell} needs quotes"))
                .collect();
            let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{cell}\"")).collect();
            writeln!(file, "{}", quoted.join(",")).unwrap();
        }
        let key = format!("{0}/data/BILLING_PERIOD={period}/{0}-00001.csv.gz", self.name);
        self.write(&key, &file.finish().unwrap());
        let manifest = json!({
            "executionId": execution,
            "dataFiles": [format!("s3://example-bucket/{key}")],
            "columns": columns.iter().map(|name| json!({ "name": name, "type": "string" })).collect::<Vec<_>>(),
        });
        let key = format!("{0}/metadata/BILLING_PERIOD={period}/{0}-Manifest.json", self.name);
        self.write(&key, manifest.to_string().as_bytes());
    }

    fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
