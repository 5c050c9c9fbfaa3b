//! The SQL-side operation that makes one map of many columns of text: the tags of a legacy report.
//!
//! Evaluated above the account filter, as all of the mapping. It cannot be called from a statement: it is built in the plan
//! and registered nowhere.

use std::sync::Arc;

use arrow::array::{Array, AsArray, MapBuilder, MapFieldNames, StringBuilder, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::table::text_map;

/// The map of `keys` to `values`, which are of type `Utf8View`, in this order. A value that is NULL or blank has no entry; a
/// row without any has an empty map.
pub(super) fn gather_map(keys: Vec<String>, values: Vec<Expr>) -> Expr {
    ScalarUDF::from(GatherMap {
        signature: Signature::exact(vec![DataType::Utf8View; keys.len()], Volatility::Immutable),
        keys,
    })
    .call(values)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct GatherMap {
    keys: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for GatherMap {
    fn name(&self) -> &str {
        "gather_map"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(text_map())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = args
            .args
            .iter()
            .map(|value| value.to_array(args.number_rows))
            .collect::<DataFusionResult<Vec<_>>>()?;
        let mut columns: Vec<(&str, &StringViewArray)> = Vec::with_capacity(arrays.len());
        for (key, array) in self.keys.iter().zip(&arrays) {
            let texts = array
                .as_string_view_opt()
                .ok_or_else(|| Error::defect("gather_map takes text"))?;
            // Most of the many columns of tags have no value in most batches.
            if texts.null_count() < texts.len() {
                columns.push((key, texts));
            }
        }
        let names = MapFieldNames {
            entry: "key_value".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        };
        let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for row in 0..args.number_rows {
            for (key, texts) in &columns {
                if texts.is_valid(row) && !texts.value(row).is_empty() {
                    maps.keys().append_value(key);
                    maps.values().append_value(texts.value(row));
                }
            }
            maps.append(true)?;
        }
        Ok(ColumnarValue::Array(Arc::new(maps.finish())))
    }
}
