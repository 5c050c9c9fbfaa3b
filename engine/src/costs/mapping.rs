//! The columns of `costs` and where CUR 2.0 and legacy reports have them: one entry per column, in the order of the table.
//! Where FOCUS exports have them is in [`focus`].
//!
//! Sources and rules are those of the reference, sections 5.2, 5.3 and 5.10. Text that is blank in the files is NULL here
//! (section 2.8). Where an export lacks a source column, the column is NULL of its type.
//!
//! A legacy report in Parquet names its columns as CUR 2.0 does (section 5.9), save for the four maps: where CUR 2.0 has
//! `product`, `discount`, `resource_tags` and `cost_category`, it has one column for each key, `resource_tags_user_env` for
//! `resource_tags['user_env']`. Which of the two an export has, its columns say, so that an export whose query makes columns
//! of map entries is read as well.

mod derivation;
mod focus;
mod gather;
mod source;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::owners::AccountNames;
use crate::catalog::{Export, ExportKind};
use crate::error::Error;
use crate::money::function::MONEY;
use crate::resource::function::{Part, part_of};
use crate::table::{Stored, text_map};
pub(crate) use derivation::{Derivations, derivations};
use source::{Basis, Sources};

/// The version of the mapping. It is raised with every change of what a column holds: columns of `costs` that were stored
/// by another version are computed again.
pub const VERSION: u32 = 1;

/// The type of a column of `costs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostType {
    /// UTF-8 text.
    Text,
    /// UTC instant in milliseconds, shown without zone.
    Timestamp,
    /// `Decimal128(38, 12)` in the billing currency.
    Money,
    /// A quantity as delivered: IEEE 754 double.
    Quantity,
    /// Map of text to text.
    Map,
}

impl CostType {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            CostType::Text => DataType::Utf8View,
            CostType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            CostType::Money => MONEY,
            CostType::Quantity => DataType::Float64,
            CostType::Map => text_map(),
        }
    }
}

/// One column of `costs`.
#[derive(Debug)]
pub struct CostColumn {
    /// Its name: FOCUS 1.2 in snake_case, or `x_` and a name of Farthing's own.
    pub name: &'static str,
    /// Its type.
    pub r#type: CostType,
    /// What it holds and where it comes from, for people.
    pub description: &'static str,
    source: fn(&Sources) -> DataFusionResult<Expr>,
}

/// The schema of `costs`.
pub fn schema() -> SchemaRef {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .map(|column| Field::new(column.name, column.r#type.arrow(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The Arrow type of a column of `costs`.
pub(crate) fn type_of(name: &str) -> Option<DataType> {
    let column = COLUMNS.iter().find(|column| column.name == name);
    column.map(|column| column.r#type.arrow())
}

/// The projection that makes `costs` of one export's rows. Columns that all files have as `stored` are not computed.
/// `names` has the names of accounts for rows that have none.
pub(crate) fn expressions(
    export_columns: &DFSchema,
    export: &Export,
    stored: &Stored,
    names: &AccountNames,
) -> DataFusionResult<Vec<Expr>> {
    let sources = Sources::new(export_columns, export, stored);
    COLUMNS
        .iter()
        .map(|column| {
            let mut expr = match sources.stored(column.name) {
                Some(stored) => stored,
                None => expression(column, &sources)?,
            };
            if let Some((_, account)) = NAMED.iter().find(|(name, _)| *name == column.name)
                && !names.is_empty()
            {
                expr = coalesce(vec![expr, names.name_of(value_of(&sources, account)?)]);
            }
            Ok(expr.cast_to(&column.r#type.arrow(), export_columns)?.alias(column.name))
        })
        .collect()
}

/// The columns with names of accounts, and those with their ids.
const NAMED: [(&str, &str); 2] = [
    ("billing_account_name", "billing_account_id"),
    ("sub_account_name", "sub_account_id"),
];

/// A column as exports of this kind have it.
fn expression(column: &CostColumn, sources: &Sources) -> DataFusionResult<Expr> {
    let own = match sources.export.kind {
        ExportKind::Focus => focus::expression(column, sources),
        _ => None,
    };
    own.unwrap_or_else(|| (column.source)(sources))
}

/// Another column of `costs`, for columns that are derived from it.
fn value_of(sources: &Sources, name: &str) -> DataFusionResult<Expr> {
    let column = COLUMNS.iter().find(|column| column.name == name);
    expression(
        column.ok_or_else(|| Error::defect(format!("costs has no column {name}")))?,
        sources,
    )
}

/// A part of the resource id.
fn resource(sources: &Sources, part: Part) -> DataFusionResult<Expr> {
    let id = value_of(sources, "resource_id")?;
    Ok(part_of(part, id, value_of(sources, "x_service_code")?))
}

macro_rules! columns {
    ($($name:ident $type:ident $source:expr, $description:literal;)*) => {
        /// All columns, in order.
        pub static COLUMNS: &[CostColumn] = &[$(CostColumn {
            name: stringify!($name),
            r#type: CostType::$type,
            description: $description,
            source: $source,
        },)*];
    };
}

columns! {
    billing_account_id Text |s| Ok(s.text("bill_payer_account_id")),
        "The payer: the account that receives the bill. Text, as delivered: twelve digits for an account of AWS. From bill_payer_account_id.";
    billing_account_name Text |s| Ok(s.text("bill_payer_account_name")),
        "The payer's name. From bill_payer_account_name, else as other deliveries or connect_aws_root name the account.";
    billing_account_type Text |s| Ok(s.absent(CostType::Text)),
        "What kind of account the payer is. In FOCUS 1.2 exports alone.";
    billing_currency Text |s| Ok(s.text("line_item_currency_code")),
        "The currency of all amounts of the row; nothing is converted. From line_item_currency_code.";
    billing_period_start Timestamp |s| Ok(s.instant("bill_billing_period_start_date")),
        "The first instant of the billing period. From bill_billing_period_start_date.";
    billing_period_end Timestamp |s| Ok(s.instant("bill_billing_period_end_date")),
        "The first instant after the billing period. From bill_billing_period_end_date.";
    sub_account_id Text |s| Ok(s.text("line_item_usage_account_id")),
        "The account that used the service; NULL on some taxes and fees. Text, as delivered: twelve digits for an account of AWS. From line_item_usage_account_id.";
    sub_account_name Text |s| Ok(s.text("line_item_usage_account_name")),
        "That account's name. From line_item_usage_account_name, else as other deliveries or its connection name the account.";
    sub_account_type Text |s| Ok(s.absent(CostType::Text)),
        "What kind of account it is. In FOCUS 1.2 exports alone.";
    charge_category Text |s| s.charge_category(),
        "Usage, Purchase, Tax or Credit, by line item type. A refund is Tax where it has a tax type, else Usage.";
    charge_class Text |s| s.charge_class(),
        "Correction on refunds (line item type or bill type Refund), else NULL.";
    charge_description Text |s| Ok(s.text("line_item_line_item_description")),
        "From line_item_line_item_description.";
    charge_frequency Text |s| s.charge_frequency(),
        "Usage-Based, Recurring or One-Time, by line item type; NULL on taxes, for which AWS states none.";
    charge_period_start Timestamp |s| Ok(s.instant("line_item_usage_start_date")),
        "When the charge begins, inclusive. From line_item_usage_start_date.";
    charge_period_end Timestamp |s| Ok(s.instant("line_item_usage_end_date")),
        "When the charge ends, exclusive. From line_item_usage_end_date.";
    availability_zone Text |s| Ok(s.text("line_item_availability_zone")),
        "From line_item_availability_zone.";
    region_id Text |s| Ok(s.region_id()),
        "From product_region_code; in older legacy reports from product_region.";
    region_name Text |s| Ok(s.first(&["product_location", "product_from_location"])),
        "From product_location, else product_from_location.";
    service_name Text |s| s.service_name(),
        "The product's name. From product['product_name'] (legacy: product_product_name), else line_item_product_code.";
    service_category Text |s| Ok(s.absent(CostType::Text)),
        "The category of the service by FOCUS's list. In FOCUS exports alone.";
    service_subcategory Text |s| Ok(s.absent(CostType::Text)),
        "The subcategory of the service by FOCUS's list. In FOCUS 1.2 exports alone.";
    resource_id Text |s| Ok(s.text("line_item_resource_id")),
        "The id or ARN as AWS delivers it. From line_item_resource_id; needs an export with resource ids.";
    resource_name Text |s| Ok(s.absent(CostType::Text)),
        "The name that was given to the resource. In FOCUS exports alone, where AWS leaves it NULL.";
    resource_type Text |s| Ok(s.absent(CostType::Text)),
        "The kind of the resource. In FOCUS exports alone.";
    capacity_reservation_id Text |s| Ok(s.text("capacity_reservation_capacity_reservation_arn")),
        "The capacity reservation that the charge uses, its ARN. From capacity_reservation_capacity_reservation_arn.";
    capacity_reservation_status Text |s| s.capacity_status(),
        "Used or Unused; NULL for other states. From capacity_reservation_capacity_reservation_status.";
    sku_id Text |s| Ok(s.text("product_sku")),
        "From product_sku.";
    sku_price_id Text |s| Ok(s.text("pricing_rate_code")),
        "From pricing_rate_code.";
    sku_meter Text |s| Ok(s.text("line_item_usage_type")),
        "From line_item_usage_type. FOCUS 1.0: from x_UsageType.";
    sku_price_details Map |s| Ok(s.absent(CostType::Map)),
        "Attributes of the price. In FOCUS 1.2 exports alone; product has most of them in CUR 2.0.";
    pricing_category Text |s| s.pricing_category(),
        "Committed where a commitment applies, Dynamic for Spot, Other for credits, NULL for taxes, else Standard.";
    pricing_quantity Quantity |s| Ok(s.quantity("line_item_usage_amount")),
        "From line_item_usage_amount.";
    pricing_unit Text |s| Ok(s.text("pricing_unit")),
        "The unit as AWS writes it. From pricing_unit.";
    pricing_currency Text |s| Ok(s.text("pricing_currency")),
        "The currency that prices are stated in. From pricing_currency.";
    pricing_currency_list_unit_price Money |s| s.in_pricing_currency(s.amount("pricing_public_on_demand_rate")),
        "list_unit_price in pricing_currency, not in billing_currency. In CUR only where both are the same, else NULL.";
    pricing_currency_contracted_unit_price Money |s| Ok(s.absent(CostType::Money)),
        "contracted_unit_price in pricing_currency, not in billing_currency. In FOCUS 1.2 exports alone.";
    pricing_currency_effective_cost Money |s| s.in_pricing_currency(s.amortized(Basis::Net)?),
        "effective_cost in pricing_currency, not in billing_currency. In CUR only where both are the same, else NULL.";
    consumed_quantity Quantity |s| s.consumed(s.quantity("line_item_usage_amount")),
        "Usage on Usage, DiscountedUsage and SavingsPlanCoveredUsage rows that are no split rows, else NULL. From line_item_usage_amount.";
    consumed_unit Text |s| s.consumed(s.text("pricing_unit")),
        "The unit of consumed_quantity as AWS writes it. From pricing_unit.";
    commitment_discount_id Text |s| Ok(s.first(&[source::SAVINGS_PLAN, source::RESERVATION])),
        "The ARN of the Savings Plan, else of the reservation.";
    commitment_discount_category Text |s| s.by_commitment("Spend", "Usage"),
        "Spend for a Savings Plan, Usage for a reservation, else NULL.";
    commitment_discount_type Text |s| s.by_commitment("Savings Plan", "Reserved Instance"),
        "Savings Plan or Reserved Instance, by which ARN is set, else NULL.";
    commitment_discount_status Text |s| s.commitment_status(),
        "Used on covered usage, Unused on the unused part of commitment fees, else NULL.";
    commitment_discount_name Text |s| Ok(s.absent(CostType::Text)),
        "The name that was given to the commitment. In FOCUS exports alone.";
    commitment_discount_quantity Quantity |s| Ok(s.absent(CostType::Quantity)),
        "How much of the commitment the charge is, in commitment_discount_unit. In FOCUS 1.2 exports alone.";
    commitment_discount_unit Text |s| Ok(s.absent(CostType::Text)),
        "The unit of commitment_discount_quantity. In FOCUS 1.2 exports alone.";
    provider_name Text |s| Ok(s.constant("AWS")),
        "AWS; FOCUS exports name the provider themselves.";
    publisher_name Text |s| Ok(s.text("line_item_legal_entity")),
        "The seller. From line_item_legal_entity.";
    invoice_issuer_name Text |s| Ok(s.text("bill_invoicing_entity")),
        "From bill_invoicing_entity.";
    invoice_id Text |s| Ok(s.text("bill_invoice_id")),
        "NULL until the bill is final. From bill_invoice_id.";
    list_unit_price Money |s| Ok(s.amount("pricing_public_on_demand_rate")),
        "The public On-Demand price of one unit. From pricing_public_on_demand_rate.";
    list_cost Money |s| s.list_cost(),
        "The cost at public On-Demand prices; 0 on SavingsPlanNegation, the unblended cost on rows without a public price. From pricing_public_on_demand_cost.";
    contracted_unit_price Money |s| Ok(s.absent(CostType::Money)),
        "The negotiated price of one unit, before commitments. In FOCUS exports alone.";
    contracted_cost Money |s| Ok(s.absent(CostType::Money)),
        "The cost at negotiated prices, before commitments. In FOCUS exports alone.";
    billed_cost Money |s| Ok(s.amount("line_item_unblended_cost")),
        "What is charged: the unblended cost; in FOCUS exports BilledCost, which has discounts on the usage rows instead of rows of their own. Its sums equal the invoice. From line_item_unblended_cost.";
    effective_cost Money |s| s.amortized(Basis::Net),
        "The net amortised cost: commitment fees spread over the usage they cover, after discounts. The same as x_net_amortized_cost.";
    tags Map |s| Ok(s.resource_tags()),
        "Resource tags by normalised key, user_env for the tag Env. From resource_tags; legacy: from the columns resource_tags_*.";
    x_billing_period Text |s| Ok(s.billing_period()),
        "The billing period as text, YYYY-MM. A condition on it decides which files are read.";
    x_line_item_type Text |s| Ok(s.text(source::LINE_ITEM_TYPE)),
        "From line_item_line_item_type.";
    x_service_code Text |s| Ok(s.text("line_item_product_code")),
        "From line_item_product_code.";
    x_usage_type Text |s| Ok(s.text("line_item_usage_type")),
        "From line_item_usage_type.";
    x_operation Text |s| Ok(s.text("line_item_operation")),
        "From line_item_operation.";
    x_tax_type Text |s| Ok(s.text("line_item_tax_type")),
        "From line_item_tax_type.";
    x_legal_entity Text |s| Ok(s.text("line_item_legal_entity")),
        "From line_item_legal_entity.";
    x_unblended_cost Money |s| Ok(s.amount("line_item_unblended_cost")),
        "Rate times usage, on the day it is charged. NULL in FOCUS exports, which have no cost before discounts. From line_item_unblended_cost.";
    x_net_unblended_cost Money |s| s.unblended(Basis::Net),
        "The unblended cost after discounts; equal to it in periods without net costs. From line_item_net_unblended_cost; FOCUS: BilledCost.";
    x_amortized_cost Money |s| s.amortized(Basis::Gross),
        "Commitment fees spread over the usage they cover, the unused part kept on the fee rows. NULL in FOCUS exports, which have no cost before discounts.";
    x_net_amortized_cost Money |s| s.amortized(Basis::Net),
        "The amortised cost after discounts; equal to it in periods without net costs. Estimated for unused Savings Plans. FOCUS: EffectiveCost.";
    x_blended_cost Money |s| Ok(s.amount("line_item_blended_cost")),
        "From line_item_blended_cost.";
    x_public_on_demand_cost Money |s| Ok(s.amount("pricing_public_on_demand_cost")),
        "From pricing_public_on_demand_cost.";
    x_discount_total Money |s| Ok(s.amount("discount_total_discount")),
        "The discounts of the row; already part of the net costs. From discount_total_discount.";
    x_cost_categories Map |s| Ok(s.cost_categories()),
        "Cost categories by normalised name. From cost_category; legacy: from the columns cost_category_*.";
    x_discounts Map |s| Ok(s.discounts()),
        "Discounts by kind, as text. From discount; legacy: from the columns discount_*.";
    x_tags Map |s| Ok(s.map("tags")),
        "All tags, not normalised; NULL in legacy reports. From tags.";
    x_split_parent_resource_id Text |s| Ok(s.text(source::SPLIT_PARENT)),
        "The instance that a split row is part of. From split_line_item_parent_resource_id.";
    x_split_cost Money |s| s.split_cost(),
        "The part of the instance's cost that a split row stands for, NULL on other rows; never add it to other costs. From split_line_item_split_cost.";
    x_export Text |s| Ok(s.export()),
        "The export that the row comes from.";
    x_true_up Money |s| s.true_up(),
        "Minus the upfront fees that the month's amortised costs hold: on SavingsPlanRecurringFee and RIFee, else 0. With x_amortized_cost and x_upfront_fee it adds up to x_unblended_cost.";
    x_upfront_fee Money |s| s.upfront_fee(),
        "The unblended cost of SavingsPlanUpfrontFee and of Fee with a reservation, which amortised costs spread over the term, else 0.";
    x_resource_partition Text |s| resource(s, Part::Partition),
        "The partition in an ARN: aws, aws-cn, aws-us-gov. From resource_id.";
    x_resource_service Text |s| resource(s, Part::Service),
        "The service as ARNs call it: ec2, s3, elasticloadbalancing. From resource_id; bare ids of EC2 and names of buckets are known.";
    x_resource_region Text |s| resource(s, Part::Region),
        "The Region in an ARN; NULL for global resources and bare ids. From resource_id.";
    x_resource_account_id Text |s| resource(s, Part::AccountId),
        "The account in an ARN, which owns the resource. From resource_id.";
    x_resource_type Text |s| resource(s, Part::Type),
        "What the resource is, as ARNs call it: instance, volume, bucket, function. From resource_id.";
    x_resource_name Text |s| resource(s, Part::Name),
        "The id without what is in the columns before: i-0abc, the name of a bucket, app/name/hash of a load balancer. From resource_id.";
    x_resource_key Text |s| resource(s, Part::Key),
        "The canonical key, equal for an id and the ARN of the same resource: what live tables are joined by. From resource_id.";
}
