//! Where FOCUS exports have the columns of `costs`.
//!
//! `costs` speaks FOCUS 1.2, so a column of FOCUS has the same name, written `SubAccountId` instead of `sub_account_id`, and
//! comes as it was delivered. Farthing's own columns have sources where AWS delivers them besides (`x_Operation` and others)
//! and where FOCUS says the same in another word. FOCUS has no cost before discounts, so what needs one is NULL.

use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Expr;

use super::CostColumn;
use super::source::{Sources, null};

/// The expression of a column over a FOCUS export; `None` for one of Farthing's own that says the same over every export.
pub(super) fn expression(column: &CostColumn, sources: &Sources<'_>) -> Option<DataFusionResult<Expr>> {
    let s = sources;
    Some(Ok(match column.name {
        // BilledCost is after discounts, and EffectiveCost is BilledCost with commitments spread over their use.
        "x_net_unblended_cost" => s.amount("BilledCost"),
        "x_net_amortized_cost" => s.amount("EffectiveCost"),
        "x_unblended_cost"
        | "x_amortized_cost"
        | "x_blended_cost"
        | "x_public_on_demand_cost"
        | "x_discount_total"
        | "x_split_cost" => null(column.r#type),
        "x_service_code" => s.text("x_ServiceCode"),
        "x_operation" => s.text("x_Operation"),
        // FOCUS 1.0 has the column of AWS, and 1.2 its own for the same.
        "x_usage_type" => s.first(&["x_UsageType", "SkuMeter"]),
        "sku_meter" => s.first(&["SkuMeter", "x_UsageType"]),
        "x_legal_entity" => s.text("PublisherName"),
        "x_cost_categories" => s.map("x_CostCategories"),
        "x_discounts" => s.map("x_Discounts"),
        name if name.starts_with("x_") => return None,
        name => s.of_type(&pascal_case(name), column.r#type),
    }))
}

/// `sub_account_id` as FOCUS writes it: `SubAccountId`.
fn pascal_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::CostType;
    use super::*;
    use crate::catalog::ExportKind;

    /// Every column of FOCUS is one of `costs`, and every column of `costs` that is not Farthing's own is one of FOCUS.
    #[test]
    fn the_vocabulary_is_that_of_focus() {
        let format = ExportKind::Focus.format();
        let mut known: Vec<&str> = format.columns().filter(|name| !name.starts_with("x_")).collect();
        for column in super::super::COLUMNS
            .iter()
            .filter(|column| !column.name.starts_with("x_"))
        {
            let name = pascal_case(column.name);
            let place = known.iter().position(|known| *known == name);
            let place = place.unwrap_or_else(|| panic!("{} is no column of FOCUS", column.name));
            known.remove(place);
            let fits = match format.column_type(&name).unwrap() {
                crate::snapshot::ColumnType::Text => column.r#type == CostType::Text,
                crate::snapshot::ColumnType::Timestamp => column.r#type == CostType::Timestamp,
                crate::snapshot::ColumnType::Double => matches!(column.r#type, CostType::Money | CostType::Quantity),
                _ => column.r#type == CostType::Map,
            };
            assert!(fits, "{name} is {:?}", column.r#type);
        }
        assert!(known.is_empty(), "costs lacks {known:?}");
    }
}
