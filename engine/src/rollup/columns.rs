//! Which columns of a format rollups have: dimensions, instants, maps and sums.

use crate::catalog::ExportKind;
use crate::snapshot::{ColumnType, Snapshot};

/// What rollups of one format are made of, by the names of delivered columns.
#[derive(Debug)]
pub(super) struct Columns {
    /// Dimensions of text. Those of the overview come first; see [`Self::overview`].
    pub dimensions: &'static [&'static str],
    /// How the names of further dimensions begin: the tags and cost categories of legacy reports.
    pub prefixes: &'static [&'static str],
    /// How many of the dimensions the overview has.
    pub overview: usize,
    /// Maps.
    pub maps: &'static [&'static str],
    /// Instants that are the same in many rows of a month.
    pub instants: &'static [&'static str],
    /// When the charge begins.
    pub start: &'static str,
    /// The resource id.
    pub resource: &'static str,
}

/// How the names of columns of `costs` begin that are made of the resource id: only some rollups have that, and it is read
/// fast enough.
pub(super) const OF_RESOURCES: &str = "x_resource_";

/// Columns of `costs` that are summed besides the amounts.
pub(crate) const QUANTITIES: &[&str] = &["consumed_quantity", "pricing_quantity"];

static COST_AND_USAGE: Columns = Columns {
    dimensions: &[
        "line_item_usage_account_id",
        "bill_payer_account_id",
        "line_item_usage_account_name",
        "bill_payer_account_name",
        "line_item_currency_code",
        "line_item_line_item_type",
        "line_item_product_code",
        "product_region_code",
        "product_region",
        "bill_bill_type",
        "bill_billing_entity",
        "line_item_legal_entity",
        "bill_invoicing_entity",
        "product_product_name",
        "product_servicecode",
        "line_item_tax_type",
        // Only rollups of all dimensions have the others.
        "bill_invoice_id",
        "line_item_usage_type",
        "line_item_operation",
        "line_item_availability_zone",
        "line_item_line_item_description",
        "product_product_family",
        "product_location",
        "product_from_location",
        "product_to_location",
        "product_from_region_code",
        "product_to_region_code",
        "product_instance_type",
        "product_instance_family",
        "product_operating_system",
        "product_database_engine",
        "product_operation",
        "product_usagetype",
        "product_sku",
        "product_group",
        "product_transfer_type",
        "product_volume_api_name",
        "product_pricing_unit",
        "product_servicename",
        "pricing_term",
        "pricing_unit",
        "pricing_purchase_option",
        "pricing_lease_contract_length",
        "pricing_offering_class",
        "pricing_currency",
        "pricing_rate_code",
        "reservation_reservation_a_r_n",
        "savings_plan_savings_plan_a_r_n",
        "savings_plan_offering_type",
        "savings_plan_payment_option",
        "savings_plan_purchase_term",
        "savings_plan_instance_type_family",
        "savings_plan_region",
        "savings_plan_start_time",
        "savings_plan_end_time",
        "capacity_reservation_capacity_reservation_arn",
        "capacity_reservation_capacity_reservation_status",
        "capacity_reservation_capacity_reservation_type",
        "split_line_item_parent_resource_id",
    ],
    prefixes: &["resource_tags_", "cost_category_"],
    overview: 16,
    maps: &["product", "resource_tags", "cost_category", "tags"],
    instants: &["bill_billing_period_start_date", "bill_billing_period_end_date"],
    start: "line_item_usage_start_date",
    resource: "line_item_resource_id",
};

static FOCUS: Columns = Columns {
    dimensions: &[
        "SubAccountId",
        "BillingAccountId",
        "SubAccountName",
        "BillingAccountName",
        "BillingCurrency",
        "ChargeCategory",
        "ChargeClass",
        "ServiceName",
        "ServiceCategory",
        "ServiceSubcategory",
        "x_ServiceCode",
        "RegionId",
        "RegionName",
        "ProviderName",
        "PublisherName",
        "InvoiceIssuerName",
        "PricingCategory",
        "ChargeFrequency",
        // Only rollups of all dimensions have the others.
        "BillingAccountType",
        "SubAccountType",
        "InvoiceId",
        "AvailabilityZone",
        "ChargeDescription",
        "SkuId",
        "SkuPriceId",
        "SkuMeter",
        "x_UsageType",
        "x_Operation",
        "ResourceType",
        "PricingUnit",
        "PricingCurrency",
        "ConsumedUnit",
        "CommitmentDiscountId",
        "CommitmentDiscountName",
        "CommitmentDiscountCategory",
        "CommitmentDiscountType",
        "CommitmentDiscountStatus",
        "CommitmentDiscountUnit",
        "CapacityReservationId",
        "CapacityReservationStatus",
    ],
    prefixes: &[],
    overview: 18,
    maps: &["Tags", "x_CostCategories"],
    instants: &["BillingPeriodStart", "BillingPeriodEnd"],
    start: "ChargePeriodStart",
    resource: "ResourceId",
};

impl Columns {
    /// Those of exports of a kind; `None` where rows are not costs.
    pub fn of(kind: ExportKind) -> Option<&'static Self> {
        match kind {
            ExportKind::Cur | ExportKind::Cur2 => Some(&COST_AND_USAGE),
            ExportKind::Focus => Some(&FOCUS),
            _ => None,
        }
    }

    /// Whether the overview has a delivered column.
    pub fn in_overview(&self, name: &str) -> bool {
        self.dimensions[..self.overview].contains(&name)
    }

    /// The dimensions of text that the snapshot has, and which of them the overview has.
    pub fn dimensions_of<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a str, bool)> {
        let place = |name: &str| self.dimensions.iter().position(|known| *known == name);
        let prefixed = |name: &str| self.prefixes.iter().any(|prefix| name.starts_with(prefix));
        let text = snapshot
            .columns
            .iter()
            .filter(|column| column.r#type == ColumnType::Text);
        text.filter_map(|column| match place(&column.name) {
            Some(place) => Some((column.name.as_str(), place < self.overview)),
            None => prefixed(&column.name).then_some((column.name.as_str(), false)),
        })
        .collect()
    }
}

/// The columns of numbers that can be summed: amounts and quantities, and no rates.
pub(super) fn summed(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    let numbers = snapshot.columns.iter().filter(|column| {
        let number = matches!(column.r#type, ColumnType::Double | ColumnType::Decimal);
        number && is_summed(&column.name)
    });
    numbers.map(|column| column.name.as_str())
}

/// Whether a column of numbers of this name holds amounts or quantities, and no rates.
pub(crate) fn is_summed(name: &str) -> bool {
    let rates = ["_rate", "_ratio", "_factor", "UnitPrice"];
    !rates.iter().any(|end| name.ends_with(end))
}

/// Whether the snapshot has a column of this name and type.
pub(super) fn has(snapshot: &Snapshot, name: &str, r#type: ColumnType) -> bool {
    let mut columns = snapshot.columns.iter();
    columns.any(|column| column.name == name && column.r#type == r#type)
}
