//! What is in the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parquet::basic::{LogicalType, Repetition, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::super::{COLUMNS, ColumnKind, Granularity, SampleSpec, TimestampEncoding};
use super::reread::{self, Rows};
use super::{delivered, month, small};

fn large() -> SampleSpec {
    SampleSpec::new(3, 90_000, 4, month("2026-08"), "bills", "p", "org")
}

#[tokio::test]
async fn control_totals_are_what_the_files_add_up_to() {
    for spec in [
        large(),
        small().with_timestamps(TimestampEncoding::Int96),
        SampleSpec::new(5, 100_000, 1, month("2026-02"), "bills", "p", "org").with_granularity(Granularity::Hourly),
        small().with_linked_accounts(1),
        small().with_linked_accounts(40),
    ] {
        let (objects, totals) = delivered(&spec).await;
        assert_eq!(reread::totals(&objects), totals);
        assert_eq!(
            totals.grand.net_unblended, totals.grand.unblended,
            "discounts only move cost to other rows"
        );
        assert_eq!(totals.grand.net_amortized, totals.grand.amortized);
        let off = totals.grand.rows as f64 / spec.rows as f64;
        assert!(
            (0.9..1.15).contains(&off),
            "{} rows for {}",
            totals.grand.rows,
            spec.rows
        );
    }
}

#[tokio::test]
async fn columns_have_the_delivered_types() {
    for (encoding, physical) in [
        (TimestampEncoding::Int64Millis, Type::INT64),
        (TimestampEncoding::Int96, Type::INT96),
    ] {
        let (objects, _) = delivered(&small().with_timestamps(encoding)).await;
        let (_, bytes) = objects
            .iter()
            .find(|(key, _)| key.ends_with("00001.snappy.parquet"))
            .unwrap();
        let reader = SerializedFileReader::new(bytes.clone()).unwrap();
        let metadata = reader.metadata().file_metadata();
        assert!(metadata.key_value_metadata().is_none(), "no Arrow schema in the file");
        let fields = metadata.schema_descr().root_schema().get_fields();
        assert_eq!(fields.len(), 131);
        for (field, column) in fields.iter().zip(&COLUMNS) {
            assert_eq!(field.name(), column.name);
            assert_eq!(field.get_basic_info().repetition(), Repetition::OPTIONAL);
            let logical = field.get_basic_info().logical_type_ref();
            match column.kind {
                ColumnKind::Text => assert_eq!(
                    (field.get_physical_type(), logical),
                    (Type::BYTE_ARRAY, Some(&LogicalType::String))
                ),
                ColumnKind::Double => assert_eq!(field.get_physical_type(), Type::DOUBLE),
                ColumnKind::Timestamp => assert_eq!(field.get_physical_type(), physical),
                ColumnKind::TextMap | ColumnKind::DoubleMap => {
                    assert_eq!(logical, Some(&LogicalType::Map));
                    let entry = &field.get_fields()[0];
                    let (key, value) = (&entry.get_fields()[0], &entry.get_fields()[1]);
                    assert_eq!((entry.name(), key.name(), value.name()), ("key_value", "key", "value"));
                    assert_eq!(key.get_basic_info().repetition(), Repetition::REQUIRED);
                    let double = column.kind == ColumnKind::DoubleMap;
                    assert_eq!(value.get_physical_type() == Type::DOUBLE, double);
                }
            }
        }
    }
}

#[tokio::test]
async fn int96_and_int64_hold_the_same_instants() {
    let (long, _) = delivered(&small()).await;
    let (int96, _) = delivered(&small().with_timestamps(TimestampEncoding::Int96)).await;
    for (key, bytes) in long.iter().filter(|(key, _)| key.ends_with(".parquet")) {
        let (left, right) = (Rows(reread::read(bytes)), Rows(reread::read(&int96[key])));
        for row in (0..left.len()).step_by(97) {
            for column in [
                "line_item_usage_start_date",
                "line_item_usage_end_date",
                "bill_billing_period_end_date",
            ] {
                assert_eq!(left.millis(column, row), right.millis(column, row));
            }
            let start =
                chrono::DateTime::from_timestamp_millis(left.millis("line_item_usage_start_date", row)).unwrap();
            let text = start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            assert!(left.text("identity_time_interval", row).starts_with(&text));
        }
    }
}

#[tokio::test]
async fn negations_cancel_covered_usage_exactly() {
    for spec in [large(), small().with_granularity(Granularity::Hourly)] {
        let (objects, _) = delivered(&spec).await;
        let mut groups: HashMap<String, (i128, i128, usize, usize)> = HashMap::new();
        for rows in reread::periods(&objects).values().flatten() {
            for row in 0..rows.len() {
                let kind = rows.text("line_item_line_item_type", row);
                if kind != "SavingsPlanCoveredUsage" && kind != "SavingsPlanNegation" {
                    continue;
                }
                let key = [
                    "identity_time_interval",
                    "line_item_usage_account_id",
                    "savings_plan_savings_plan_a_r_n",
                    "line_item_operation",
                    "line_item_usage_type",
                ];
                let group = groups
                    .entry(key.map(|column| rows.text(column, row)).join("|"))
                    .or_default();
                group.0 += rows.amount("line_item_unblended_cost", row);
                group.1 += rows.amount("line_item_net_unblended_cost", row);
                group.2 += usize::from(kind == "SavingsPlanCoveredUsage");
                group.3 += usize::from(kind == "SavingsPlanNegation");
            }
        }
        assert!(groups.len() > 100);
        for (key, (unblended, net, covered, negations)) in groups {
            assert_eq!((unblended, net), (0, 0), "{key}");
            assert!(covered >= negations && negations > 0, "{key}");
        }
    }
}

#[tokio::test]
async fn fees_and_amortised_cost_agree_month_by_month() {
    for spec in [large(), SampleSpec { months: 14, ..large() }] {
        let (objects, _) = delivered(&spec).await;
        for (period, files) in reread::periods(&objects) {
            let (mut unblended, mut amortized, mut true_up, mut upfront) = (0, 0, 0, 0);
            let (mut plan_used, mut plan_spent) = (0, 0);
            for rows in files {
                for row in 0..rows.len() {
                    let cost = rows.amount("line_item_unblended_cost", row);
                    unblended += cost;
                    amortized += rows.amortized(row).0;
                    match rows.text("line_item_line_item_type", row) {
                        "SavingsPlanRecurringFee" => {
                            let column = "savings_plan_amortized_upfront_commitment_for_billing_period";
                            true_up -= rows.amount(column, row);
                            plan_used += rows.amount("savings_plan_used_commitment", row);
                            assert!(rows.amortized(row).0 > 0, "a part of a plan is always unused");
                        }
                        "RIFee" => true_up -= rows.amount("reservation_amortized_upfront_fee_for_billing_period", row),
                        "SavingsPlanUpfrontFee" => upfront += cost,
                        "Fee" if !rows.text("reservation_reservation_a_r_n", row).is_empty() => upfront += cost,
                        "SavingsPlanCoveredUsage" => {
                            plan_spent += rows.amount("savings_plan_savings_plan_effective_cost", row);
                        }
                        _ => {}
                    }
                }
            }
            assert_eq!(amortized + true_up + upfront, unblended, "{period}");
            assert_eq!(plan_used, plan_spent, "{period}");
        }
    }
}

#[tokio::test]
async fn line_item_types_are_in_proportion() {
    let (objects, totals) = delivered(&large()).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut services = BTreeSet::new();
    for rows in reread::periods(&objects).values().flatten() {
        for row in 0..rows.len() {
            *counts
                .entry(rows.text("line_item_line_item_type", row).to_owned())
                .or_default() += 1;
            services.insert(rows.text("line_item_product_code", row).to_owned());
        }
    }
    let share = |kind: &str| counts.get(kind).copied().unwrap_or_default() as f64 / totals.grand.rows as f64;
    for (kind, least, most) in [
        ("Usage", 0.72, 0.84),
        ("SavingsPlanCoveredUsage", 0.03, 0.12),
        ("SavingsPlanNegation", 0.002, 0.03),
        ("SavingsPlanRecurringFee", 0.001, 0.01),
        ("SavingsPlanUpfrontFee", 0.000_001, 0.001),
        ("DiscountedUsage", 0.02, 0.08),
        ("RIFee", 0.000_1, 0.01),
        ("Fee", 0.000_05, 0.01),
        ("EdpDiscount", 0.02, 0.09),
        ("PrivateRateDiscount", 0.000_5, 0.02),
        ("BundledDiscount", 0.000_2, 0.02),
        ("Credit", 0.000_05, 0.01),
        ("Refund", 0.000_02, 0.01),
        ("Tax", 0.000_5, 0.01),
        ("FlatRateSubscription", 0.001, 0.02),
    ] {
        assert!(
            (least..most).contains(&share(kind)),
            "{kind}: {} in {counts:?}",
            share(kind)
        );
    }
    assert_eq!(counts.len(), 15, "{counts:?}");
    assert!(services.len() >= 25, "{services:?}");
}

#[tokio::test]
async fn accounts_resources_and_tags_look_real() {
    let spec = large();
    let organisation = spec.organisation();
    assert!(organisation.linked.iter().any(|account| account.id.starts_with('0')));
    assert!(organisation.linked.last().unwrap().owns_commitments);
    let names: HashMap<&str, &str> = organisation
        .accounts()
        .map(|account| (account.id.as_str(), account.name.as_str()))
        .collect();
    assert_eq!(names.len(), 13);
    let (objects, _) = delivered(&spec).await;
    let periods = reread::periods(&objects);
    let mut seen: Vec<BTreeSet<String>> = Vec::new();
    let (mut tagged, mut untagged, mut empty, mut pods, mut owned) = (0, 0, 0, 0, 0);
    for (number, files) in periods.values().enumerate() {
        let mut resources = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for rows in files {
            for row in 0..rows.len() {
                let account = rows.text("line_item_usage_account_id", row);
                assert_eq!(names[account], rows.text("line_item_usage_account_name", row));
                assert_eq!(rows.text("bill_payer_account_id", row), "111122223333");
                assert_eq!(
                    rows.text("bill_invoice_id", row).is_empty(),
                    number == 3,
                    "the last month is open"
                );
                assert!(ids.insert(rows.text("identity_line_item_id", row).to_owned()));
                resources.insert(rows.text("line_item_resource_id", row).to_owned());
                match rows.map("resource_tags", row) {
                    None => untagged += 1,
                    Some(tags) if tags.is_empty() => empty += 1,
                    Some(_) => tagged += 1,
                }
                if !rows.text("split_line_item_parent_resource_id", row).is_empty() {
                    pods += 1;
                    assert_eq!(rows.number("line_item_unblended_cost", row), Some(0.0));
                    assert!(rows.number("split_line_item_split_cost", row).unwrap() > 0.0);
                    assert!(rows.text("split_line_item_parent_resource_id", row).starts_with("i-0"));
                }
                let fee = rows.text("line_item_line_item_type", row) == "SavingsPlanRecurringFee";
                owned += usize::from(fee && account == organisation.linked.last().unwrap().id);
            }
        }
        seen.push(resources);
    }
    let stayed = seen[0].intersection(&seen[3]).count() as f64 / seen[0].len() as f64;
    assert!(
        (0.6..0.99).contains(&stayed),
        "{stayed} of the first month's resources are there in the last"
    );
    assert!(seen[3].len() > seen[0].len(), "the organisation grows");
    assert!(seen[3].contains(""));
    assert!(tagged > untagged && untagged > 0 && empty > 0 && pods > 0 && owned > 0);
}

#[tokio::test]
async fn services_spike_for_some_days() {
    let spec = SampleSpec {
        months: 6,
        rows: 150_000,
        ..large()
    };
    let (objects, _) = delivered(&spec).await;
    let mut days: HashMap<(String, String), BTreeMap<i64, i128>> = HashMap::new();
    for rows in reread::periods(&objects).values().flatten() {
        for row in 0..rows.len() {
            if rows.text("line_item_line_item_type", row) == "Usage" {
                let place =
                    ["line_item_usage_account_id", "line_item_product_code"].map(|c| rows.text(c, row).to_owned());
                let day = rows.millis("line_item_usage_start_date", row) / 86_400_000;
                *days.entry(place.into()).or_default().entry(day).or_default() +=
                    rows.amount("line_item_unblended_cost", row);
            }
        }
    }
    let mut spikes = 0;
    for series in days.values().filter(|series| series.len() > 150) {
        let mut amounts: Vec<i128> = series.values().copied().collect();
        amounts.sort_unstable();
        let (median, largest) = (amounts[amounts.len() / 2], amounts[amounts.len() - 1]);
        spikes += usize::from(largest > 3 * median && largest > 10_000_000_000_000);
    }
    assert!((1..=8).contains(&spikes), "{spikes} spikes");
}

#[tokio::test]
async fn amounts_have_fifteen_digits_at_most() {
    let (objects, _) = delivered(&small()).await;
    let mut seen = 0;
    for rows in reread::periods(&objects).values().flatten() {
        for row in 0..rows.len() {
            for column in COLUMNS
                .iter()
                .filter(|c| c.name.contains("cost") && c.kind == ColumnKind::Double)
            {
                let Some(value) = rows.number(column.name, row) else {
                    continue;
                };
                let text = format!("{}", value.abs());
                let (_, places) = text.split_once('.').unwrap_or((&text, ""));
                let digits = text
                    .replace('.', "")
                    .trim_start_matches('0')
                    .trim_end_matches('0')
                    .len();
                assert!(places.len() <= 10 && digits <= 15, "{}: {text}", column.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 100_000);
}
