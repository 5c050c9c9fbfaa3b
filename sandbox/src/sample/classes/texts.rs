//! The text columns of a class.

use super::super::calendar::instant;
use super::super::catalogue::{Bundle, Line, Meter};
use super::super::columns::{COLUMNS, position};
use super::super::model::Facts;
use super::super::organisation::{REGIONS, Region};
use super::super::random::{DIGITS, UPPER, at, text as letters};
use super::{Class, TAXED, Way};

/// Text of a class by column; `None` is null.
#[derive(Debug)]
pub struct ClassText {
    /// By position in the table of columns.
    pub columns: Vec<Option<String>>,
    /// The `product` map; `None` is null.
    pub product: Option<Vec<(&'static str, String)>>,
}

const AWS: &str = "Amazon Web Services, Inc.";

/// Services whose usage types in us-east-1 have no Region prefix.
const WITHOUT_PREFIX: [&str; 7] = [
    "AmazonEC2",
    "AmazonS3",
    "AmazonRDS",
    "AmazonElastiCache",
    "AmazonDynamoDB",
    "AWSELB",
    "awskms",
];

/// Sets columns by name; the names are checked when the program is compiled.
macro_rules! set {
    ($text:expr, $($column:literal: $value:expr),+ $(,)?) => {{
        $({
            const COLUMN: usize = position($column);
            $text.columns[COLUMN] = Some($value.to_string());
        })+
    }};
}

impl ClassText {
    fn new(facts: &Facts<'_>, kind: &str) -> Self {
        let mut text = Self {
            columns: vec![None; COLUMNS.len()],
            product: None,
        };
        set!(text,
            "bill_invoicing_entity": AWS,
            "bill_billing_entity": "AWS",
            "bill_bill_type": "Anniversary",
            "bill_payer_account_id": facts.accounts[0].id,
            "bill_payer_account_name": facts.accounts[0].name,
            "line_item_line_item_type": kind,
            "line_item_currency_code": "USD",
            "line_item_legal_entity": AWS,
            // Absent values come as blank text in some columns and as null in others, as in real deliveries.
            "line_item_usage_type": "",
            "line_item_operation": "",
            "line_item_tax_type": "",
            "line_item_unblended_rate": "",
            "line_item_blended_rate": "",
            "product_comment": "",
            "product_location": "",
            "product_to_location": "",
            "reservation_availability_zone": "",
            "pricing_currency": "USD",
        );
        text
    }
}

/// A rate in 1e-10 dollars as text with ten places.
fn rate(units: i64) -> String {
    format!("{}.{:010}", units / 10_000_000_000, units % 10_000_000_000)
}

/// The usage type of a meter in a Region.
fn usage_type(bundle: &Bundle, meter: &Meter, region: &Region) -> String {
    let bare = !bundle.regional
        || matches!(bundle.line, Line::Marketplace(_))
        || (region.code == "us-east-1" && WITHOUT_PREFIX.contains(&bundle.code));
    if bare {
        meter.usage_type.to_owned()
    } else {
        format!("{}{}", region.prefix, meter.usage_type)
    }
}

/// The texts of a class.
pub fn describe(facts: &Facts<'_>, class: Class) -> ClassText {
    match class {
        Class::Metered {
            bundle,
            meter,
            region,
            way,
        } => metered(facts, bundle, meter, region, way),
        Class::PlanFee(plan) => {
            let mut text = ClassText::new(facts, "SavingsPlanRecurringFee");
            plan_texts(facts, &mut text, plan);
            let paid = facts.plans[plan].payment.text();
            set!(text, "line_item_line_item_description": format!("3 year {paid} {} Savings Plan", offering(facts, plan)));
            text
        }
        Class::PlanUpfront(plan) => {
            let mut text = ClassText::new(facts, "SavingsPlanUpfrontFee");
            plan_texts(facts, &mut text, plan);
            set!(text,
                "bill_bill_type": "Purchase",
                "line_item_line_item_description": format!("Upfront payment of a 3 year {} Savings Plan", offering(facts, plan)),
            );
            text
        }
        Class::ReservationFee(_) | Class::ReservationUpfront(_) | Class::ReservationDiscount(_) => {
            reservation_charge(facts, class)
        }
        _ => account_charge(facts, class),
    }
}

fn offering(facts: &Facts<'_>, plan: usize) -> &'static str {
    if facts.plans[plan].offering.starts_with("EC2") {
        "EC2 Instance"
    } else {
        "Compute"
    }
}

/// What all rows of a plan have.
fn plan_texts(facts: &Facts<'_>, text: &mut ClassText, number: usize) {
    let plan = &facts.plans[number];
    set!(text,
        "line_item_product_code": "ComputeSavingsPlans",
        "line_item_usage_type": format!("{}SP:3yr{}", offering(facts, number).replace(' ', ""), plan.payment.text().replace(' ', "")),
        "line_item_operation": "None",
        "product_servicecode": "ComputeSavingsPlans",
        "product_product_family": offering(facts, number).replace(' ', "") + "SavingsPlans",
    );
    text.product = Some(vec![("product_name", "Savings Plans for AWS Compute usage".to_owned())]);
    plan_agreement(facts, text, number);
}

/// The columns that name a plan.
fn plan_agreement(facts: &Facts<'_>, text: &mut ClassText, number: usize) {
    let plan = &facts.plans[number];
    set!(text,
        "savings_plan_savings_plan_a_r_n": plan.arn,
        "savings_plan_start_time": instant(plan.term.start),
        "savings_plan_end_time": instant(plan.term.end),
        "savings_plan_offering_type": plan.offering,
        "savings_plan_payment_option": plan.payment.text(),
        "savings_plan_purchase_term": "3yr",
        "savings_plan_instance_type_family": plan.family,
        "savings_plan_region": if plan.family.is_empty() { "Any" } else { REGIONS[0].name },
    );
}

fn metered(facts: &Facts<'_>, number: usize, meter_number: usize, region: u8, way: Way) -> ClassText {
    let bundle = &facts.bundles[number];
    let meter = &bundle.meters[meter_number];
    let region = &REGIONS[usize::from(region)];
    let kind = match way {
        Way::OnDemand if bundle.line == Line::Flat => "FlatRateSubscription",
        Way::OnDemand => "Usage",
        Way::Covered(_) => "SavingsPlanCoveredUsage",
        Way::Negation(_) => "SavingsPlanNegation",
        Way::Reserved(_) => "DiscountedUsage",
        Way::Bundled => "BundledDiscount",
        Way::Private => "PrivateRateDiscount",
        Way::Enterprise => "EdpDiscount",
    };
    let mut text = ClassText::new(facts, kind);
    let usage = usage_type(bundle, meter, region);
    set!(text,
        "line_item_product_code": bundle.code,
        "line_item_usage_type": usage,
        "line_item_operation": meter.operation,
    );
    if let Line::Marketplace(seller) = bundle.line {
        set!(text,
            "bill_billing_entity": "AWS Marketplace",
            "line_item_legal_entity": seller,
            "pricing_unit": meter.unit,
            "line_item_unblended_rate": rate(meter.rate),
            "line_item_line_item_description": format!("AWS Marketplace hourly usage|{}", region.name),
        );
        text.product = Some(vec![("product_name", bundle.name.to_owned())]);
        return text;
    }
    match way {
        Way::Bundled | Way::Private | Way::Enterprise => {
            let words = match way {
                Way::Bundled => "Bundled discount",
                Way::Private => "Private rate discount",
                _ => "Enterprise Discount Program discount",
            };
            set!(text, "line_item_line_item_description": format!("{words} on {} {usage}", bundle.name));
            text.product = Some(vec![("product_name", bundle.name.to_owned())]);
            return text;
        }
        Way::Negation(plan) => {
            set!(text, "line_item_line_item_description":
                format!("SavingsPlanNegation used by AccountId : {}", facts.accounts[facts.plans[plan].owner].id));
            plan_agreement(facts, &mut text, plan);
        }
        Way::Covered(plan) => {
            plan_agreement(facts, &mut text, plan);
            let name = bundle.instance.map_or("", |instance| instance.name);
            set!(text,
                "savings_plan_instance_type_family": name.split('.').next().unwrap_or_default(),
                "line_item_line_item_description": format!("{usage} covered by Compute Savings Plans"),
            );
        }
        Way::Reserved(reservation) => {
            reservation_texts(facts, &mut text, reservation);
            set!(text, "line_item_line_item_description": format!("{}, {} reserved instance applied", bundle.name, usage));
        }
        Way::OnDemand => {
            set!(text, "line_item_line_item_description":
                format!("${} per {} for {usage} in {}", rate(meter.rate).trim_end_matches('0').trim_end_matches('.'), meter.unit, region.name));
        }
    }
    price_texts(&mut text, bundle, meter, way);
    product_texts(facts, &mut text, (number, meter_number), region, &usage);
    text
}

fn price_texts(text: &mut ClassText, bundle: &Bundle, meter: &Meter, way: Way) {
    let zero = matches!(way, Way::Reserved(_));
    let discounts = bundle.discounts;
    let rest = 1000 - discounts.bundled;
    let rest = rest * (1000 - discounts.private) / 1000;
    let net = meter.rate * rest / 1000 * (1000 - discounts.edp) / 1000;
    let net = if matches!(way, Way::OnDemand) { net } else { meter.rate };
    set!(text,
        "line_item_unblended_rate": rate(if zero { 0 } else { meter.rate }),
        "line_item_blended_rate": rate(if zero { 0 } else { meter.rate }),
        "line_item_net_unblended_rate": rate(if zero { 0 } else { net }),
        "pricing_public_on_demand_rate": rate(meter.rate),
        "pricing_unit": meter.unit,
        "pricing_term": if zero { "Reserved" } else { "OnDemand" },
    );
}

fn product_texts(facts: &Facts<'_>, text: &mut ClassText, place: (usize, usize), region: &Region, usage: &str) {
    let bundle = &facts.bundles[place.0];
    let meter = &bundle.meters[place.1];
    let sku = sku(facts, meter, bundle, region);
    set!(text,
        "product_servicecode": bundle.code,
        "product_operation": meter.operation,
        "product_usagetype": usage,
        "product_sku": sku,
        "product_product_family": meter.family,
        "product_pricing_unit": meter.unit,
        "pricing_rate_code": format!("{sku}.JRTCKXETXF.6YS6EN2CT7"),
        "pricing_rate_id": letters(at(facts.seed, &[52, hash(&sku)]), 10, DIGITS),
    );
    let mut product = vec![
        ("product_name", bundle.name.to_owned()),
        ("servicename", bundle.name.to_owned()),
    ];
    if bundle.regional {
        set!(text,
            "product_location": region.name,
            "product_location_type": "AWS Region",
            "product_region_code": region.code,
        );
        product.push(("region", region.code.to_owned()));
    } else {
        set!(text, "product_region_code": "", "product_location_type": "AWS Edge Location");
    }
    if meter.family == "Data Transfer" {
        transfer_texts(text, meter, region);
        product.push(("transfer_type", meter.operation.to_owned()));
    }
    // Instances have attributes on the rows of their hours alone.
    if let Some(instance) = bundle.instance.filter(|_| place.1 == 0) {
        set!(text,
            "product_instance_type": instance.name,
            "product_instance_family": instance.family,
            "product_instancesku": sku,
        );
        product.push(("instance_type", instance.name.to_owned()));
        product.push(("vcpu", instance.vcpu.to_string()));
        product.push(("memory", format!("{} GiB", instance.memory)));
        let key = if bundle.code == "AmazonEC2" {
            "operating_system"
        } else {
            "database_engine"
        };
        if !bundle.engine.is_empty() {
            product.push((key, bundle.engine.to_owned()));
        }
        if bundle.code == "AmazonEC2" {
            product.push(("tenancy", "Shared".to_owned()));
        }
    }
    if meter.family == "Storage" {
        product.push(("volume_type", meter.operation.to_owned()));
    }
    product.sort_unstable();
    text.product = Some(product);
}

/// The ends of a transfer.
fn transfer_texts(text: &mut ClassText, meter: &Meter, region: &Region) {
    let here = (region.name, "AWS Region", region.code);
    let outside = ("External", "Other", "");
    let (from, to) = if meter.usage_type.contains("-In-") {
        (outside, here)
    } else if meter.usage_type.contains("Regional") {
        (here, here)
    } else {
        (here, outside)
    };
    set!(text,
        "product_from_location": from.0,
        "product_from_location_type": from.1,
        "product_from_region_code": from.2,
        "product_to_location": to.0,
        "product_to_location_type": to.1,
        "product_to_region_code": to.2,
    );
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0, |word, byte| at(word, &[u64::from(byte)]))
}

fn sku(facts: &Facts<'_>, meter: &Meter, bundle: &Bundle, region: &Region) -> String {
    let word = at(
        facts.seed,
        &[
            51,
            hash(bundle.code),
            hash(meter.usage_type),
            hash(bundle.engine),
            hash(region.code),
        ],
    );
    letters(word, 16, UPPER)
}

/// The columns that name a reservation.
fn reservation_texts(facts: &Facts<'_>, text: &mut ClassText, number: usize) {
    let reservation = &facts.reservations[number];
    let years = if reservation.hours > 10_000 { "3yr" } else { "1yr" };
    set!(text,
        "reservation_reservation_a_r_n": reservation.arn,
        "reservation_subscription_id": reservation.subscription,
        "pricing_lease_contract_length": years,
        "pricing_offering_class": "standard",
        "pricing_purchase_option": reservation.payment.text(),
    );
}

fn reservation_charge(facts: &Facts<'_>, class: Class) -> ClassText {
    let (number, kind, words) = match class {
        Class::ReservationUpfront(number) => (number, "Fee", "upfront fee of a reservation"),
        Class::ReservationDiscount(number) => (number, "EdpDiscount", "Enterprise Discount Program discount on"),
        Class::ReservationFee(number) => (number, "RIFee", "monthly fee of a reservation"),
        _ => (0, "RIFee", ""),
    };
    let reservation = &facts.reservations[number];
    let block = &facts.blocks[reservation.block];
    let bundle = &facts.bundles[block.bundle];
    let region = &REGIONS[usize::from(block.region)];
    let meter = &bundle.meters[0];
    let usage = usage_type(bundle, meter, region).replace("BoxUsage", "HeavyUsage");
    let mut text = ClassText::new(facts, kind);
    set!(text,
        "line_item_product_code": bundle.code,
        "line_item_usage_type": usage,
        "line_item_operation": meter.operation,
        "line_item_line_item_description": format!("{words}, {} {}", reservation.count, usage),
    );
    text.product = Some(vec![
        ("product_name", bundle.name.to_owned()),
        ("region", region.code.to_owned()),
    ]);
    if kind == "EdpDiscount" {
        return text;
    }
    reservation_texts(facts, &mut text, number);
    let units = reservation.count * reservation.hours;
    let factor = bundle.instance.map_or(0.0, |instance| instance.factor);
    set!(text,
        "product_region_code": region.code,
        "pricing_unit": "Hrs",
        "pricing_term": "Reserved",
        "reservation_number_of_reservations": reservation.count,
        "reservation_total_reserved_units": units,
        "reservation_units_per_reservation": reservation.hours,
    );
    if kind == "RIFee" {
        set!(text,
            "reservation_start_time": instant(reservation.term.start),
            "reservation_end_time": instant(reservation.term.end),
            "reservation_modification_status": "Original",
            "reservation_normalized_units_per_reservation": factor,
            "reservation_total_reserved_normalized_units": units as f64 * factor,
        );
    } else {
        set!(text, "bill_bill_type": "Purchase");
    }
    text
}

fn account_charge(facts: &Facts<'_>, class: Class) -> ClassText {
    let (kind, code, name, words) = match class {
        Class::Tax(service) => ("Tax", TAXED[service].0, TAXED[service].1, "Tax for product code"),
        Class::Credit => (
            "Credit",
            "AmazonEC2",
            "Amazon Elastic Compute Cloud",
            "AWS Activate credit",
        ),
        Class::LateCredit => (
            "Credit",
            "AmazonS3",
            "Amazon Simple Storage Service",
            "Service level agreement credit",
        ),
        Class::Refund => ("Refund", "AWSLambda", "AWS Lambda", "Refund of mistaken charges"),
        Class::Contract => (
            "Fee",
            "c0z8n4w1r7t5y2u9i6o3p0a1s2",
            "Northwind Key Vault",
            "AWS Marketplace contract, monthly payment",
        ),
        _ => (
            "Fee",
            "AWSSupportBusiness",
            "AWS Support (Business)",
            "AWS Support (Business), percentage of usage",
        ),
    };
    let mut text = ClassText::new(facts, kind);
    set!(text, "line_item_product_code": code, "line_item_line_item_description": words);
    text.product = Some(vec![("product_name", name.to_owned())]);
    match class {
        Class::Tax(_) => set!(text,
            "line_item_tax_type": "USSalesTax",
            "line_item_line_item_description": format!("{words} {code}"),
        ),
        Class::Refund => set!(text, "bill_bill_type": "Refund", "line_item_usage_type": "Lambda-GB-Second"),
        Class::Contract => set!(text,
            "bill_billing_entity": "AWS Marketplace",
            "line_item_legal_entity": "Northwind Security, Inc.",
            // A fee that is no reservation: the ARN is blank, not null.
            "reservation_reservation_a_r_n": "",
        ),
        Class::Support => set!(text,
            "line_item_usage_type": "Dollar",
            "product_product_family": "AWSSupportBusiness",
            "reservation_reservation_a_r_n": "",
        ),
        _ => {}
    }
    text
}
