//! The same costs as FOCUS 1.2 with AWS columns: a projection of the rows of CUR 2.0.
//!
//! Columns and their sources are those that AWS's dictionary (`table-dictionary-focus-1-2-aws-columns`) and the supporting
//! content of the FOCUS specification name. Rows differ: what a Savings Plan covers is billed at 0 instead of being negated
//! by a row of its own, discounts are in the rows that they are given on, and the parts of a split instance are left out.
//! Sums by account, month and service stay the same to the last digit, because each of the rows that are left out cancels
//! in one of these three what stays.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::columns::{COLUMNS, Column, ColumnKind, position};
use super::parquet_file::Values;

const fn of(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

/// All columns, in the order of the files.
pub const FOCUS_COLUMNS: [Column; 60] = {
    use ColumnKind::{Double, DoubleMap, Text, TextMap, Timestamp};
    [
        of("AvailabilityZone", Text),
        of("BilledCost", Double),
        of("BillingAccountId", Text),
        of("BillingAccountName", Text),
        of("BillingAccountType", Text),
        of("BillingCurrency", Text),
        of("BillingPeriodEnd", Timestamp),
        of("BillingPeriodStart", Timestamp),
        of("CapacityReservationId", Text),
        of("CapacityReservationStatus", Text),
        of("ChargeCategory", Text),
        of("ChargeClass", Text),
        of("ChargeDescription", Text),
        of("ChargeFrequency", Text),
        of("ChargePeriodEnd", Timestamp),
        of("ChargePeriodStart", Timestamp),
        of("CommitmentDiscountCategory", Text),
        of("CommitmentDiscountId", Text),
        of("CommitmentDiscountName", Text),
        of("CommitmentDiscountQuantity", Double),
        of("CommitmentDiscountStatus", Text),
        of("CommitmentDiscountType", Text),
        of("CommitmentDiscountUnit", Text),
        of("ConsumedQuantity", Double),
        of("ConsumedUnit", Text),
        of("ContractedCost", Double),
        of("ContractedUnitPrice", Double),
        of("EffectiveCost", Double),
        of("InvoiceId", Text),
        of("InvoiceIssuerName", Text),
        of("ListCost", Double),
        of("ListUnitPrice", Double),
        of("PricingCategory", Text),
        of("PricingCurrency", Text),
        of("PricingCurrencyContractedUnitPrice", Double),
        of("PricingCurrencyEffectiveCost", Double),
        of("PricingCurrencyListUnitPrice", Double),
        of("PricingQuantity", Double),
        of("PricingUnit", Text),
        of("ProviderName", Text),
        of("PublisherName", Text),
        of("RegionId", Text),
        of("RegionName", Text),
        of("ResourceId", Text),
        of("ResourceName", Text),
        of("ResourceType", Text),
        of("ServiceCategory", Text),
        of("ServiceName", Text),
        of("ServiceSubcategory", Text),
        of("SkuId", Text),
        of("SkuMeter", Text),
        of("SkuPriceDetails", TextMap),
        of("SkuPriceId", Text),
        of("SubAccountId", Text),
        of("SubAccountName", Text),
        of("SubAccountType", Text),
        of("Tags", TextMap),
        of("x_Discounts", DoubleMap),
        of("x_Operation", Text),
        of("x_ServiceCode", Text),
    ]
};

/// A batch of FOCUS, from the columns of CUR 2.0 and after them the net amortised cost of each row.
pub fn project(columns: Vec<Values>) -> Result<Vec<Values>, ArrowError> {
    let batch = Batch::try_new(columns)?;
    FOCUS_COLUMNS.iter().map(|column| batch.column(column)).collect()
}

/// The rows of a batch that FOCUS has.
struct Batch {
    columns: Vec<Values>,
    kept: BooleanArray,
    kinds: StringArray,
}

impl Batch {
    fn try_new(columns: Vec<Values>) -> Result<Self, ArrowError> {
        let kinds = all_text(&columns, "line_item_line_item_type")?;
        let parents = all_text(&columns, "split_line_item_parent_resource_id")?;
        let kept: BooleanArray = (0..kinds.len())
            .map(|row| {
                let kind = kinds.value(row);
                let whole = parents.is_null(row) || parents.value(row).is_empty();
                Some(whole && kind != "SavingsPlanNegation" && !kind.ends_with("Discount"))
            })
            .collect();
        let kinds = filter(&kinds, &kept)?.as_string::<i32>().clone();
        Ok(Self { columns, kept, kinds })
    }

    fn column(&self, column: &Column) -> Result<Values, ArrowError> {
        Ok(match column.kind {
            ColumnKind::Timestamp => self.instants(match column.name {
                "BillingPeriodEnd" => "bill_billing_period_end_date",
                "BillingPeriodStart" => "bill_billing_period_start_date",
                "ChargePeriodEnd" => "line_item_usage_end_date",
                _ => "line_item_usage_start_date",
            })?,
            ColumnKind::Double => Values::Array(Arc::new(self.doubles(column.name)?)),
            ColumnKind::Text => Values::Array(Arc::new(self.texts(column.name)?)),
            ColumnKind::TextMap | ColumnKind::DoubleMap => Values::Array(self.array(position(match column.name {
                "SkuPriceDetails" => "product",
                "Tags" => "resource_tags",
                _ => "discount",
            }))?),
        })
    }

    fn instants(&self, name: &str) -> Result<Values, ArrowError> {
        match self.columns.get(position(name)) {
            Some(Values::Instants(millis)) => {
                let kept = millis.iter().zip(self.kept.values()).filter(|(_, kept)| *kept);
                Ok(Values::Instants(kept.map(|(millis, _)| *millis).collect()))
            }
            _ => Err(ArrowError::SchemaError(format!("{name} has no instants"))),
        }
    }

    fn array(&self, place: usize) -> Result<ArrayRef, ArrowError> {
        match self.columns.get(place) {
            Some(Values::Array(array)) => filter(array, &self.kept),
            _ => Err(ArrowError::SchemaError(format!("column {place} has no values"))),
        }
    }

    fn text(&self, name: &str) -> Result<StringArray, ArrowError> {
        text_of(&self.array(position(name))?)
    }

    fn double(&self, name: &str) -> Result<Float64Array, ArrowError> {
        Ok(self.array(position(name))?.as_primitive::<Float64Type>().clone())
    }

    /// The rows' values, of the rows whose line item type is wanted.
    fn where_kind<T>(&self, values: impl Iterator<Item = Option<T>>, wanted: fn(&str) -> bool) -> Vec<Option<T>> {
        let kinds = self.kinds.iter().map(Option::unwrap_or_default);
        let pairs = kinds.zip(values);
        pairs.map(|(kind, value)| value.filter(|_| wanted(kind))).collect()
    }

    fn doubles(&self, name: &str) -> Result<Float64Array, ArrowError> {
        let effective = || Ok::<_, ArrowError>(self.array(COLUMNS.len())?.as_primitive::<Float64Type>().clone());
        Ok(match name {
            // The price of covered usage is paid with the plan.
            "BilledCost" => {
                let net = self.double("line_item_net_unblended_cost")?;
                let kinds = self.kinds.iter().map(Option::unwrap_or_default);
                let billed = kinds.zip(&net).map(|(kind, cost)| match kind {
                    "SavingsPlanCoveredUsage" => Some(0.0),
                    _ => cost,
                });
                billed.collect()
            }
            "EffectiveCost" | "PricingCurrencyEffectiveCost" => effective()?,
            "ListCost" | "ContractedCost" => {
                let (public, unblended) = (
                    self.double("pricing_public_on_demand_cost")?,
                    self.double("line_item_unblended_cost")?,
                );
                public
                    .iter()
                    .zip(&unblended)
                    .map(|(public, cost)| public.or(cost))
                    .collect()
            }
            "ListUnitPrice" | "PricingCurrencyListUnitPrice" => {
                let rates = self.text("pricing_public_on_demand_rate")?;
                rates
                    .iter()
                    .map(|rate| rate.and_then(|rate| rate.parse::<f64>().ok()))
                    .collect()
            }
            "PricingQuantity" => self.double("line_item_usage_amount")?,
            "ConsumedQuantity" => {
                let usage = self.double("line_item_usage_amount")?;
                self.where_kind(usage.iter(), is_usage).into_iter().collect()
            }
            _ => vec![None; self.kinds.len()].into_iter().collect(),
        })
    }

    fn texts(&self, name: &str) -> Result<StringArray, ArrowError> {
        if let Some((_, source)) = SAME.iter().find(|(focus, _)| *focus == name) {
            let text = self.text(source)?;
            return Ok(text.iter().map(|text| text.filter(|text| !text.is_empty())).collect());
        }
        let kinds = || self.kinds.iter().map(Option::unwrap_or_default);
        let constant = |text: &str| Ok(kinds().map(|_| Some(text.to_owned())).collect());
        match name {
            "ProviderName" => constant("AWS"),
            "BillingAccountType" => constant("Management account"),
            "SubAccountType" => constant("Member account"),
            "ServiceCategory" => constant("Other"),
            "ServiceSubcategory" => constant("Other (Other)"),
            "ChargeCategory" => Ok(kinds().map(|kind| Some(charge_category(kind))).collect()),
            "ChargeClass" => Ok(kinds().map(|kind| (kind == "Refund").then_some("Correction")).collect()),
            "ChargeFrequency" => Ok(kinds().map(|kind| Some(charge_frequency(kind))).collect()),
            "ConsumedUnit" => {
                let units = self.text("pricing_unit")?;
                Ok(self.where_kind(units.iter(), is_usage).into_iter().collect())
            }
            "RegionName" => self.first(["product_location", "product_from_location"]),
            "ServiceName" => self.service_names(),
            "CapacityReservationStatus" => {
                let known = |status: &&str| ["Used", "Unused"].contains(status);
                let statuses = self.text("capacity_reservation_capacity_reservation_status")?;
                Ok(statuses.iter().map(|status| status.filter(known)).collect())
            }
            "CommitmentDiscountId" => self.first([PLAN, RESERVATION]),
            "CommitmentDiscountCategory" => self.by_commitment("Spend", "Usage"),
            "CommitmentDiscountType" => self.by_commitment("Savings Plan", "Reserved Instance"),
            "CommitmentDiscountStatus" => {
                let effective = self.array(COLUMNS.len())?;
                let effective = effective.as_primitive::<Float64Type>();
                let states = kinds().zip(effective).map(|(kind, cost)| match kind {
                    "SavingsPlanCoveredUsage" | "DiscountedUsage" => Some("Used"),
                    "SavingsPlanRecurringFee" | "RIFee" if cost.is_some_and(|cost| cost != 0.0) => Some("Unused"),
                    _ => None,
                });
                Ok(states.collect())
            }
            "PricingCategory" => self.pricing_categories(),
            _ => Ok(StringArray::new_null(self.kinds.len())),
        }
    }

    /// The first of two columns that has a value.
    fn first(&self, names: [&str; 2]) -> Result<StringArray, ArrowError> {
        let [one, other] = names.map(|name| self.text(name));
        let (one, other) = (one?, other?);
        let given = |text: Option<&'_ str>| text.map(str::to_owned).filter(|text| !text.is_empty());
        Ok(one
            .iter()
            .zip(&other)
            .map(|(one, other)| given(one).or(given(other)))
            .collect())
    }

    fn by_commitment(&self, plan: &str, reservation: &str) -> Result<StringArray, ArrowError> {
        let (plans, reservations) = (self.text(PLAN)?, self.text(RESERVATION)?);
        let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let pairs = plans.iter().zip(&reservations);
        let words = pairs.map(
            |(of_plan, of_reservation)| match (given(of_plan), given(of_reservation)) {
                (true, _) => Some(plan.to_owned()),
                (false, true) => Some(reservation.to_owned()),
                (false, false) => None,
            },
        );
        Ok(words.collect())
    }

    fn pricing_categories(&self) -> Result<StringArray, ArrowError> {
        let (committed, meters) = (self.first([PLAN, RESERVATION])?, self.text("line_item_usage_type")?);
        let rows = (0..self.kinds.len()).map(|row| match self.kinds.value(row) {
            "Tax" => None,
            "Credit" => Some("Other"),
            _ if committed.is_valid(row) => Some("Committed"),
            _ if meters.is_valid(row) && meters.value(row).contains("Spot") => Some("Dynamic"),
            _ => Some("Standard"),
        });
        Ok(rows.collect())
    }

    /// `product['product_name']`, or the product's code where there is none.
    fn service_names(&self) -> Result<StringArray, ArrowError> {
        let products = self.array(position("product"))?;
        let products = products.as_map();
        let (keys, values) = (text_of(products.keys())?, text_of(products.values())?);
        let codes = self.text("line_item_product_code")?;
        let names = (0..codes.len()).map(|row| {
            let (from, to) = (
                products.value_offsets()[row] as usize,
                products.value_offsets()[row + 1] as usize,
            );
            let place = (from..to).find(|entry| products.is_valid(row) && keys.value(*entry) == "product_name");
            let name = place.map(|entry| values.value(entry)).filter(|name| !name.is_empty());
            Some(name.unwrap_or(codes.value(row)).to_owned())
        });
        Ok(names.collect())
    }
}

const PLAN: &str = "savings_plan_savings_plan_a_r_n";
const RESERVATION: &str = "reservation_reservation_a_r_n";

/// Columns that are one of CUR 2.0 under another name.
const SAME: [(&str, &str); 20] = [
    ("AvailabilityZone", "line_item_availability_zone"),
    ("BillingAccountId", "bill_payer_account_id"),
    ("BillingAccountName", "bill_payer_account_name"),
    ("BillingCurrency", "line_item_currency_code"),
    ("CapacityReservationId", "capacity_reservation_capacity_reservation_arn"),
    ("ChargeDescription", "line_item_line_item_description"),
    ("InvoiceId", "bill_invoice_id"),
    ("InvoiceIssuerName", "bill_invoicing_entity"),
    ("PricingCurrency", "pricing_currency"),
    ("PricingUnit", "pricing_unit"),
    ("PublisherName", "line_item_legal_entity"),
    ("RegionId", "product_region_code"),
    ("ResourceId", "line_item_resource_id"),
    ("SkuId", "product_sku"),
    ("SkuMeter", "line_item_usage_type"),
    ("SkuPriceId", "pricing_rate_code"),
    ("SubAccountId", "line_item_usage_account_id"),
    ("SubAccountName", "line_item_usage_account_name"),
    ("x_Operation", "line_item_operation"),
    ("x_ServiceCode", "line_item_product_code"),
];

fn is_usage(kind: &str) -> bool {
    matches!(kind, "Usage" | "DiscountedUsage" | "SavingsPlanCoveredUsage")
}

fn charge_category(kind: &str) -> &'static str {
    match kind {
        "Tax" => "Tax",
        "Credit" => "Credit",
        "Fee" | "RIFee" | "SavingsPlanUpfrontFee" | "SavingsPlanRecurringFee" | "FlatRateSubscription" => "Purchase",
        _ => "Usage",
    }
}

fn charge_frequency(kind: &str) -> &'static str {
    match kind {
        "RIFee" | "SavingsPlanRecurringFee" | "FlatRateSubscription" => "Recurring",
        "Fee" | "SavingsPlanUpfrontFee" | "Credit" | "Refund" | "Tax" => "One-Time",
        _ => "Usage-Based",
    }
}

fn all_text(columns: &[Values], name: &str) -> Result<StringArray, ArrowError> {
    match columns.get(position(name)) {
        Some(Values::Array(array)) => text_of(array),
        _ => Err(ArrowError::SchemaError(format!("{name} has no text"))),
    }
}

fn text_of(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}
