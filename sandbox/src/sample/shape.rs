//! What a file's columns are: those of CUR 2.0, those of a legacy report with Athena's names, or those of FOCUS.
//!
//! Rows are generated as CUR 2.0 has them. A legacy file says the same with other columns (AWS Data Exports user guide,
//! `cur-ate-run` and `dataexports-migrate`): one for each key of the four maps, none for account names and `tags`, and
//! blank text or 0 where CUR 2.0 has no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use serde_json::{Value, json};

use super::ExportForm;
use super::columns::{COLUMNS, ColumnKind};
use super::focus::{FOCUS_COLUMNS, project};
use super::parquet_file::{SCHEMA, Values, schema_of};

/// Columns that CUR 2.0 has and the legacy report lacks, by the start of their names.
const WITHOUT: [&str; 6] = [
    "bill_payer_account_name",
    "line_item_usage_account_name",
    "line_item_user_identifier",
    "line_item_iam_principal",
    "capacity_reservation_",
    "tags",
];

/// Categories of the legacy report, and how Athena's names of their columns begin.
const CATEGORIES: [(&str, &str); 11] = [
    ("identity", "identity_"),
    ("bill", "bill_"),
    ("lineItem", "line_item_"),
    ("product", "product_"),
    ("pricing", "pricing_"),
    ("reservation", "reservation_"),
    ("savingsPlan", "savings_plan_"),
    ("splitLineItem", "split_line_item_"),
    ("discount", "discount_"),
    ("resourceTags", "resource_tags_"),
    ("costCategory", "cost_category_"),
];

/// One column of a file.
#[derive(Debug, Clone)]
pub struct ShapeColumn {
    /// Name in the file.
    pub name: String,
    /// Type in the file.
    pub kind: ColumnKind,
    /// The column of CUR 2.0 that it is, or is a key of.
    from: usize,
    /// The key, where it is one of a map.
    key: Option<String>,
}

/// The columns of a file.
#[derive(Debug, Clone)]
pub struct Shape {
    /// In order.
    pub columns: Vec<ShapeColumn>,
    /// The same as the schema of batches.
    pub schema: SchemaRef,
    form: ExportForm,
}

impl Shape {
    /// CUR 2.0.
    pub fn cur2() -> Self {
        let columns = COLUMNS.iter().enumerate().map(|(from, column)| ShapeColumn {
            name: column.name.to_owned(),
            kind: column.kind,
            from,
            key: None,
        });
        Self {
            columns: columns.collect(),
            schema: SCHEMA.clone(),
            form: ExportForm::Cur2,
        }
    }

    /// FOCUS 1.2.
    pub fn focus() -> Self {
        let columns = FOCUS_COLUMNS.iter().map(|column| ShapeColumn {
            name: column.name.to_owned(),
            kind: column.kind,
            from: 0,
            key: None,
        });
        Self {
            columns: columns.collect(),
            schema: schema_of(&FOCUS_COLUMNS),
            form: ExportForm::Focus,
        }
    }

    /// A legacy report whose maps have these keys, by the map's name.
    pub fn legacy(keys: &BTreeMap<&str, Vec<String>>) -> Self {
        let mut columns = Vec::new();
        for (from, column) in COLUMNS.iter().enumerate() {
            if WITHOUT.iter().any(|start| column.name.starts_with(start)) {
                continue;
            }
            let kind = match column.kind {
                ColumnKind::TextMap => ColumnKind::Text,
                ColumnKind::DoubleMap => ColumnKind::Double,
                kind => {
                    columns.push(ShapeColumn {
                        name: column.name.to_owned(),
                        kind,
                        from,
                        key: None,
                    });
                    continue;
                }
            };
            for key in keys.get(column.name).into_iter().flatten() {
                let name = format!("{}_{key}", column.name);
                // Some attributes of products are columns of CUR 2.0 as well.
                if COLUMNS.iter().all(|known| known.name != name) {
                    columns.push(ShapeColumn {
                        name,
                        kind,
                        from,
                        key: Some(key.clone()),
                    });
                }
            }
        }
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| {
                let data_type = match column.kind {
                    ColumnKind::Double => DataType::Float64,
                    ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                    _ => DataType::Utf8,
                };
                Field::new(&column.name, data_type, true)
            })
            .collect();
        Self {
            columns,
            schema: Arc::new(Schema::new(fields)),
            form: ExportForm::LegacyParquet,
        }
    }

    /// A batch as this shape has it, from the columns of CUR 2.0 and the net amortised cost after them.
    pub fn of(&self, rows: usize, mut columns: Vec<Values>) -> Result<Vec<Values>, ArrowError> {
        match self.form {
            ExportForm::Cur2 => {
                columns.truncate(COLUMNS.len());
                return Ok(columns);
            }
            ExportForm::Focus => return project(columns),
            ExportForm::LegacyParquet => {}
        }
        let mut instants: Vec<Option<Vec<i64>>> = Vec::with_capacity(columns.len());
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(columns.len());
        for values in columns {
            match values {
                Values::Instants(millis) => {
                    instants.push(Some(millis));
                    arrays.push(None);
                }
                Values::Array(array) => {
                    instants.push(None);
                    arrays.push(Some(array));
                }
            }
        }
        self.columns
            .iter()
            .map(|column| {
                if let Some(millis) = instants.get_mut(column.from).and_then(Option::take) {
                    return Ok(Values::Instants(millis));
                }
                let array = arrays
                    .get(column.from)
                    .and_then(Option::as_ref)
                    .ok_or_else(|| ArrowError::SchemaError(format!("the column {} has no values", column.name)))?;
                Ok(Values::Array(match &column.key {
                    Some(key) => entries(array, rows, key, column.kind)?,
                    None => present(array, column.kind)?,
                }))
            })
            .collect()
    }

    /// The columns as the manifest of this shape lists them.
    pub fn manifest_columns(&self) -> Vec<Value> {
        let columns = self.columns.iter().map(|column| match self.form {
            ExportForm::Cur2 | ExportForm::Focus => {
                json!({"name": column.name, "type": column.kind.manifest_type()})
            }
            ExportForm::LegacyParquet => {
                let (category, name) = legacy_name(&column.name);
                let word = match column.kind {
                    ColumnKind::Double => "OptionalBigDecimal",
                    ColumnKind::Timestamp => "DateTime",
                    _ => "OptionalString",
                };
                json!({"category": category, "name": name, "type": word})
            }
        });
        columns.collect()
    }
}

/// A column without missing values.
fn present(array: &ArrayRef, kind: ColumnKind) -> Result<ArrayRef, ArrowError> {
    Ok(match kind {
        ColumnKind::Double => {
            let doubles = array.as_primitive::<Float64Type>();
            Arc::new(Float64Array::from_iter_values(
                doubles.iter().map(Option::unwrap_or_default),
            ))
        }
        _ => {
            let texts = cast(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            Arc::new(StringArray::from_iter_values(
                texts.iter().map(Option::unwrap_or_default),
            ))
        }
    })
}

/// The values of one key of a map.
fn entries(array: &ArrayRef, rows: usize, key: &str, kind: ColumnKind) -> Result<ArrayRef, ArrowError> {
    let maps = array.as_map();
    let keys = cast(maps.keys(), &DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    let mut at: Vec<Option<usize>> = vec![None; rows];
    for (row, at) in at.iter_mut().enumerate() {
        let (Some(start), Some(end)) = (maps.value_offsets().get(row), maps.value_offsets().get(row + 1)) else {
            continue;
        };
        *at = (*start as usize..*end as usize).find(|entry| keys.value(*entry) == key);
    }
    Ok(match kind {
        ColumnKind::Double => {
            let values = maps.values().as_primitive::<Float64Type>();
            Arc::new(Float64Array::from_iter_values(
                at.iter().map(|at| at.map_or(0.0, |at| values.value(at))),
            ))
        }
        _ => {
            let values = cast(maps.values(), &DataType::Utf8)?;
            let values = values.as_string::<i32>();
            Arc::new(StringArray::from_iter_values(
                at.iter().map(|at| at.map_or("", |at| values.value(at))),
            ))
        }
    })
}

/// Category and name of a column as legacy reports write them, of which Athena's name is `name`.
fn legacy_name(name: &str) -> (&'static str, String) {
    let found = CATEGORIES
        .iter()
        .find_map(|(category, start)| Some((*category, name.strip_prefix(start)?)));
    let Some((category, rest)) = found else {
        return ("", name.to_owned());
    };
    if category == "resourceTags" {
        return (category, rest.replacen('_', ":", 1));
    }
    let words = rest.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    });
    (category, words.collect())
}
