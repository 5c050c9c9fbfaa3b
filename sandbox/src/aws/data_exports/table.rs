//! The tables that exports select from: their properties and the columns under them.
//!
//! Source: AWS Data Exports User Guide, `table-dictionary-cur2` and `table-dictionary-focus-1-2-aws`; which property adds
//! which columns is in the former.

use std::collections::BTreeMap;

use crate::sample::{COLUMNS, ColumnKind, FOCUS_COLUMNS};

pub(crate) const CUR2: &str = "COST_AND_USAGE_REPORT";
pub(crate) const FOCUS_1_2: &str = "FOCUS_1_2_AWS";

/// Property names to values.
pub(crate) type Properties = BTreeMap<String, String>;

/// A property: its name, the values it may have (the first is the default), what it does.
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) values: &'static [&'static str],
    pub(crate) description: &'static str,
}

/// A table.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) properties: &'static [Property],
    /// How many exports of it an account may have (`dataexports-quotas`).
    pub(crate) quota: usize,
}

const GRANULARITY: Property = Property {
    name: "TIME_GRANULARITY",
    values: &["HOURLY", "DAILY", "MONTHLY"],
    description: "The time that a row covers.",
};

const fn switch(name: &'static str, description: &'static str) -> Property {
    Property {
        name,
        values: &["FALSE", "TRUE"],
        description,
    }
}

pub(crate) static TABLES: [Table; 2] = [
    Table {
        name: CUR2,
        description: "Cost and usage, version 2.0.",
        properties: &[
            GRANULARITY,
            switch("INCLUDE_RESOURCES", "One row for each resource, with its id."),
            switch("INCLUDE_SPLIT_COST_ALLOCATION_DATA", "Rows for containers."),
            switch(
                "INCLUDE_CAPACITY_RESERVATION_DATA",
                "Columns about capacity reservations.",
            ),
            switch("INCLUDE_IAM_PRINCIPAL_DATA", "Who called."),
            switch(
                "INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY",
                "Discounts as rows of their own.",
            ),
        ],
        quota: 5,
    },
    Table {
        name: FOCUS_1_2,
        description: "FOCUS 1.2 with columns of AWS.",
        properties: &[GRANULARITY],
        quota: 2,
    },
];

pub(crate) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

impl Table {
    /// The given properties with the defaults of the others, or the sentence about the first one that is wrong.
    pub(crate) fn complete(&self, given: &Properties) -> Result<Properties, String> {
        let mut all: Properties = self
            .properties
            .iter()
            .filter_map(|property| Some((property.name.to_owned(), (*property.values.first()?).to_owned())))
            .collect();
        for (name, value) in given {
            let property = self.properties.iter().find(|property| property.name == name);
            let known = match property {
                Some(property) => property.values.contains(&value.as_str()),
                // A billing view's ARN, which the dictionary does not list.
                None => name == "BILLING_VIEW_ARN" && value.starts_with("arn:aws:billing::"),
            };
            if !known {
                return Err(format!(
                    "The table property {name} with the value {value} is not valid for the table {}",
                    self.name
                ));
            }
            all.insert(name.clone(), value.clone());
        }
        Ok(all)
    }

    /// Name and type of each column under complete properties.
    pub(crate) fn columns(&self, properties: &Properties) -> Vec<(&'static str, &'static str)> {
        if self.name == FOCUS_1_2 {
            return focus_columns();
        }
        let on = |name: &str| properties.get(name).is_some_and(|value| value == "TRUE");
        let delivered = |column: &str| match column {
            "line_item_resource_id" => on("INCLUDE_RESOURCES"),
            "line_item_iam_principal" => on("INCLUDE_IAM_PRINCIPAL_DATA"),
            "discount" | "discount_total_discount" => !on("INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY"),
            name if name.starts_with("split_line_item_") => on("INCLUDE_SPLIT_COST_ALLOCATION_DATA"),
            name if name.starts_with("capacity_reservation_") => on("INCLUDE_CAPACITY_RESERVATION_DATA"),
            _ => true,
        };
        COLUMNS
            .iter()
            .filter(|column| delivered(column.name))
            .map(|column| (column.name, type_name(column.kind)))
            .collect()
    }
}

fn type_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "string",
        ColumnKind::Double => "double",
        ColumnKind::Timestamp => "timestamp",
        ColumnKind::TextMap => "map<string,string>",
        ColumnKind::DoubleMap => "map<string,double>",
    }
}

fn focus_columns() -> Vec<(&'static str, &'static str)> {
    let type_of = |kind| match kind {
        ColumnKind::Timestamp => "timestamp_milliseconds",
        other => type_name(other),
    };
    FOCUS_COLUMNS
        .iter()
        .map(|column| (column.name, type_of(column.kind)))
        .collect()
}
