//! The columns of a CSV file by its header: names as Athena has them, types by the dictionary.
//!
//! A legacy report's header says `lineItem/UsageAccountId`, and its Parquet form `line_item_usage_account_id`. Both become the
//! latter, so that one statement reads either. The other formats have the same names in both forms, and keep them.

use std::collections::HashMap;

use crate::catalog::ExportKind;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::transcode::Shape;
use crate::port::ManifestColumn;
use crate::snapshot::{ColumnType, SnapshotColumn};

/// The columns that the names of a header stand for, in an export that is taken for the kind `assumed`. A name that
/// neither the dictionary nor the manifest gives a type is text. Error: `BrokenDelivery` for a name of which nothing is
/// left.
pub(in crate::ingest) fn shape(
    file: &str,
    header: &[String],
    named: &[ManifestColumn],
    assumed: ExportKind,
) -> Result<Shape> {
    let athena: Vec<String> = header.iter().map(|written| athena_name(written)).collect();
    let names = athena.iter().chain(header).map(String::as_str);
    let format = ExportKind::of_columns(names, assumed).format();
    let is_report = matches!(format.kind, ExportKind::Cur2 | ExportKind::Cur);
    let name_of = |written: &str| match is_report {
        true => athena_name(written),
        false => written.to_owned(),
    };
    let told: HashMap<String, &str> = named
        .iter()
        .map(|column| (name_of(&column.name), column.r#type.as_str()))
        .collect();
    let mut columns: Vec<SnapshotColumn> = Vec::with_capacity(header.len());
    let mut sources: Vec<Vec<usize>> = Vec::with_capacity(header.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, written) in header.iter().enumerate() {
        let name = name_of(written);
        if name.is_empty() {
            return Err(Error::new(
                ErrorKind::BrokenDelivery,
                format!("{file}: \"{written}\" in the header names no column"),
            ));
        }
        // Tags whose keys differ in case or signs alone end up in one column: the first one that has a value counts.
        if let Some(place) = places.get(&name) {
            sources[*place].push(at);
            continue;
        }
        let known = format.column_type(&name);
        let r#type = known.or_else(|| told.get(&name).and_then(|word| of_word(word)));
        places.insert(name.clone(), columns.len());
        columns.push(SnapshotColumn {
            name,
            r#type: as_text_has_it(r#type.unwrap_or(ColumnType::Text)),
        });
        sources.push(vec![at]);
    }
    Ok(Shape {
        columns,
        sources,
        null_word: format.null_word,
    })
}

/// Text has every digit, so that doubles are needed nowhere.
fn as_text_has_it(r#type: ColumnType) -> ColumnType {
    match r#type {
        ColumnType::Double => ColumnType::Decimal,
        other => other,
    }
}

/// What manifests call the types that text has to be read as. Legacy manifests say `OptionalBigDecimal`, `DateTime` and
/// `Interval` (which is text), those of Data Exports `double`, `timestamp` and `map` (reference, sections 2.3 and 2.6).
fn of_word(word: &str) -> Option<ColumnType> {
    let word = word.to_ascii_lowercase();
    match word.strip_prefix("optional").unwrap_or(&word) {
        "bigdecimal" | "double" | "decimal" => Some(ColumnType::Decimal),
        "datetime" | "timestamp" => Some(ColumnType::Timestamp),
        "string" | "interval" => Some(ColumnType::Text),
        _ => None,
    }
}

/// A name as the integration with Athena writes it: an underscore before each capital, all lower case, an underscore for
/// each other sign, and no two in a row or at an end (reference, section 5.9).
pub fn athena_name(written: &str) -> String {
    let mut name = String::with_capacity(written.len() + 8);
    for c in written.chars() {
        let apart = c.is_ascii_uppercase() || !c.is_ascii_alphanumeric();
        if apart && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{athena_name, shape};
    use crate::catalog::ExportKind;
    use crate::port::ManifestColumn;
    use crate::snapshot::ColumnType;

    #[test]
    fn names_are_those_of_the_parquet_form() {
        for (written, name) in [
            ("identity/LineItemId", "identity_line_item_id"),
            ("bill/PayerAccountId", "bill_payer_account_id"),
            ("lineItem/UsageAccountId", "line_item_usage_account_id"),
            ("lineItem/NetUnblendedCost", "line_item_net_unblended_cost"),
            ("reservation/ReservationARN", "reservation_reservation_a_r_n"),
            (
                "savingsPlan/SavingsPlanEffectiveCost",
                "savings_plan_savings_plan_effective_cost",
            ),
            ("pricing/publicOnDemandCost", "pricing_public_on_demand_cost"),
            ("resourceTags/user:Cost Center", "resource_tags_user_cost_center"),
            ("resourceTags/aws:createdBy", "resource_tags_aws_created_by"),
            ("resourceTags/user:-", "resource_tags_user"),
            ("line_item_usage_account_id", "line_item_usage_account_id"),
            ("::", ""),
        ] {
            assert_eq!(athena_name(written), name, "{written}");
        }
        // A name that is one already stays as it is.
        for name in ExportKind::Cur2.format().columns() {
            assert_eq!(athena_name(name), name);
        }
    }

    #[test]
    fn types_come_from_the_dictionary_then_from_the_manifest() {
        let header = [
            "lineItem/UnblendedCost",
            "product/shinyNewPrice",
            "product/shinyNewName",
            "lineItem/UsageStartDate",
            "resourceTags/user:Env",
            "resourceTags/user:env",
        ]
        .map(str::to_owned);
        let named = [ManifestColumn {
            name: "product/shinyNewPrice".to_owned(),
            r#type: "OptionalBigDecimal".to_owned(),
        }];
        let shape = shape("file", &header, &named, ExportKind::Cur2).unwrap();
        let found: Vec<(&str, ColumnType)> = shape.columns.iter().map(|c| (c.name.as_str(), c.r#type)).collect();
        assert_eq!(
            found,
            [
                ("line_item_unblended_cost", ColumnType::Decimal),
                ("product_shiny_new_price", ColumnType::Decimal),
                ("product_shiny_new_name", ColumnType::Text),
                ("line_item_usage_start_date", ColumnType::Timestamp),
                ("resource_tags_user_env", ColumnType::Text),
            ]
        );
        assert_eq!(shape.sources[4], [4, 5]);
        assert_eq!(shape.null_word, None);
    }

    #[test]
    fn focus_keeps_its_names() {
        let header = ["SubAccountId", "BilledCost", "x_Discounts", "Id"].map(str::to_owned);
        let shape = shape("file", &header, &[], ExportKind::Cur2).unwrap();
        let found: Vec<(&str, ColumnType)> = shape.columns.iter().map(|c| (c.name.as_str(), c.r#type)).collect();
        assert_eq!(
            found,
            [
                ("SubAccountId", ColumnType::Text),
                ("BilledCost", ColumnType::Decimal),
                ("x_Discounts", ColumnType::DoubleMap),
                ("Id", ColumnType::Text),
            ]
        );
        assert_eq!(shape.null_word, Some("NULL"));
    }
}
