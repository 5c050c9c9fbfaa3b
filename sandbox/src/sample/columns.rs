//! The columns of a CUR 2.0 export, by name and delivered type.
//!
//! Source: the CUR 2.0 table dictionary of the AWS Data Exports User Guide (`table-dictionary-cur2` and its column group
//! pages), with resource ids, split cost allocation, capacity reservation and IAM principal columns included. The order is
//! that of the dictionary; AWS promises none, so readers resolve columns by name.

/// How a column is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text, Arrow `Utf8`.
    Text,
    /// A 64-bit float.
    Double,
    /// An instant in UTC: int64 milliseconds or INT96 in the file.
    Timestamp,
    /// A map from text to text.
    TextMap,
    /// A map from text to 64-bit float.
    DoubleMap,
}

/// One column of the export.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name as delivered.
    pub name: &'static str,
    /// Type as delivered.
    pub kind: ColumnKind,
}

impl ColumnKind {
    /// The word that the manifest uses for the type.
    pub fn manifest_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Double => "double",
            Self::Timestamp => "timestamp",
            Self::TextMap | Self::DoubleMap => "map",
        }
    }
}

const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Text,
    }
}

const fn double(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Double,
    }
}

const fn timestamp(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Timestamp,
    }
}

const fn text_map(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::TextMap,
    }
}

const fn double_map(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::DoubleMap,
    }
}

/// Index of the column `name` in [`COLUMNS`]; an unknown name in a constant fails the build.
pub const fn position(name: &str) -> usize {
    let mut index = 0;
    while index < COLUMNS.len() {
        if same(COLUMNS[index].name.as_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
    }
    assert!(index < COLUMNS.len(), "no such CUR 2.0 column");
    index
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// All columns, in the order of the files.
pub const COLUMNS: [Column; 131] = [
    text("identity_line_item_id"),
    text("identity_time_interval"),
    text("bill_invoice_id"),
    text("bill_invoicing_entity"),
    text("bill_billing_entity"),
    text("bill_bill_type"),
    text("bill_payer_account_id"),
    text("bill_payer_account_name"),
    timestamp("bill_billing_period_start_date"),
    timestamp("bill_billing_period_end_date"),
    text("line_item_usage_account_id"),
    text("line_item_usage_account_name"),
    text("line_item_line_item_type"),
    timestamp("line_item_usage_start_date"),
    timestamp("line_item_usage_end_date"),
    text("line_item_product_code"),
    text("line_item_usage_type"),
    text("line_item_operation"),
    text("line_item_availability_zone"),
    text("line_item_resource_id"),
    double("line_item_usage_amount"),
    double("line_item_normalization_factor"),
    double("line_item_normalized_usage_amount"),
    text("line_item_currency_code"),
    text("line_item_unblended_rate"),
    double("line_item_unblended_cost"),
    text("line_item_user_identifier"),
    text("line_item_blended_rate"),
    double("line_item_blended_cost"),
    text("line_item_line_item_description"),
    text("line_item_tax_type"),
    text("line_item_net_unblended_rate"),
    double("line_item_net_unblended_cost"),
    text("line_item_legal_entity"),
    text("line_item_iam_principal"),
    text("product_servicecode"),
    text("product_operation"),
    text("product_usagetype"),
    text("product_sku"),
    text("product_product_family"),
    text("product_comment"),
    text("product_fee_code"),
    text("product_fee_description"),
    text("product_location"),
    text("product_location_type"),
    text("product_region_code"),
    text("product_from_location"),
    text("product_from_location_type"),
    text("product_from_region_code"),
    text("product_to_location"),
    text("product_to_location_type"),
    text("product_to_region_code"),
    text("product_instance_family"),
    text("product_instance_type"),
    text("product_instancesku"),
    text("product_pricing_unit"),
    text_map("product"),
    text("pricing_lease_contract_length"),
    text("pricing_offering_class"),
    text("pricing_purchase_option"),
    text("pricing_rate_code"),
    text("pricing_rate_id"),
    text("pricing_currency"),
    text("pricing_public_on_demand_rate"),
    double("pricing_public_on_demand_cost"),
    text("pricing_term"),
    text("pricing_unit"),
    text("reservation_availability_zone"),
    text("reservation_start_time"),
    text("reservation_end_time"),
    text("reservation_modification_status"),
    double("reservation_amortized_upfront_cost_for_usage"),
    double("reservation_amortized_upfront_fee_for_billing_period"),
    double("reservation_unused_amortized_upfront_fee_for_billing_period"),
    double("reservation_recurring_fee_for_usage"),
    double("reservation_unused_recurring_fee"),
    double("reservation_effective_cost"),
    double("reservation_upfront_value"),
    double("reservation_net_amortized_upfront_cost_for_usage"),
    double("reservation_net_amortized_upfront_fee_for_billing_period"),
    double("reservation_net_unused_amortized_upfront_fee_for_billing_period"),
    double("reservation_net_recurring_fee_for_usage"),
    double("reservation_net_unused_recurring_fee"),
    double("reservation_net_effective_cost"),
    double("reservation_net_upfront_value"),
    text("reservation_normalized_units_per_reservation"),
    text("reservation_number_of_reservations"),
    text("reservation_reservation_a_r_n"),
    text("reservation_subscription_id"),
    text("reservation_total_reserved_normalized_units"),
    text("reservation_total_reserved_units"),
    text("reservation_units_per_reservation"),
    double("reservation_unused_normalized_unit_quantity"),
    double("reservation_unused_quantity"),
    double("savings_plan_total_commitment_to_date"),
    text("savings_plan_savings_plan_a_r_n"),
    double("savings_plan_savings_plan_rate"),
    double("savings_plan_used_commitment"),
    double("savings_plan_savings_plan_effective_cost"),
    double("savings_plan_amortized_upfront_commitment_for_billing_period"),
    double("savings_plan_recurring_commitment_for_billing_period"),
    double("savings_plan_net_savings_plan_effective_cost"),
    double("savings_plan_net_amortized_upfront_commitment_for_billing_period"),
    double("savings_plan_net_recurring_commitment_for_billing_period"),
    text("savings_plan_start_time"),
    text("savings_plan_end_time"),
    text("savings_plan_instance_type_family"),
    text("savings_plan_offering_type"),
    text("savings_plan_payment_option"),
    text("savings_plan_purchase_term"),
    text("savings_plan_region"),
    double("discount_bundled_discount"),
    double("discount_total_discount"),
    double_map("discount"),
    text_map("resource_tags"),
    text_map("tags"),
    text_map("cost_category"),
    text("split_line_item_parent_resource_id"),
    double("split_line_item_reserved_usage"),
    double("split_line_item_actual_usage"),
    double("split_line_item_split_usage"),
    double("split_line_item_split_usage_ratio"),
    double("split_line_item_split_cost"),
    double("split_line_item_unused_cost"),
    double("split_line_item_net_split_cost"),
    double("split_line_item_net_unused_cost"),
    double("split_line_item_public_on_demand_split_cost"),
    double("split_line_item_public_on_demand_unused_cost"),
    text("capacity_reservation_capacity_reservation_arn"),
    text("capacity_reservation_capacity_reservation_status"),
    text("capacity_reservation_capacity_reservation_type"),
];
