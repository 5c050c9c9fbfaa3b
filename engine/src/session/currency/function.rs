//! `one_currency(amount, currency, currency ...)`: the amount, or an error where it stands for more than one currency.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, ErrorKind};

/// The amount where all of the currencies that are known are equal. It is registered nowhere.
pub(super) fn one_currency(amount: Expr, currencies: Vec<Expr>) -> Expr {
    let mut arguments = vec![amount];
    arguments.extend(currencies);
    ScalarUDF::from(OneCurrency {
        signature: Signature::variadic_any(Volatility::Immutable),
    })
    .call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneCurrency {
    signature: Signature,
}

impl ScalarUDFImpl for OneCurrency {
    fn name(&self) -> &str {
        "one_currency"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let amount = types.first().cloned();
        Ok(amount.ok_or_else(|| Error::defect("one_currency takes an amount"))?)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Some((amount, currencies)) = args.args.split_first() else {
            return Err(Error::defect("one_currency takes an amount").into());
        };
        let rows = args.number_rows;
        let texts = |value: &ColumnarValue| -> DataFusionResult<StringViewArray> {
            let array: ArrayRef = cast(&value.to_array(rows)?, &DataType::Utf8View)?;
            Ok(array.as_string_view().clone())
        };
        let currencies = currencies.iter().map(texts).collect::<DataFusionResult<Vec<_>>>()?;
        let amounts = amount.to_array(rows)?;
        for row in 0..rows {
            if amounts.is_null(row) {
                continue;
            }
            let known = currencies.iter().filter(|texts| texts.is_valid(row));
            let mut known = known.map(|texts| texts.value(row)).filter(|code| !code.is_empty());
            if let Some(first) = known.next()
                && let Some(other) = known.find(|other| *other != first)
            {
                return Err(mixed(first, other).into());
            }
        }
        Ok(match amount {
            ColumnarValue::Scalar(_) => amount.clone(),
            ColumnarValue::Array(_) => ColumnarValue::Array(Arc::clone(&amounts)),
        })
    }
}

fn mixed(one: &str, other: &str) -> Error {
    let (one, other) = if one <= other { (one, other) } else { (other, one) };
    Error::new(
        ErrorKind::MixedCurrencies,
        format!("amounts in {one} and in {other} cannot be put together"),
    )
    .with_hint(format!(
        "Add billing_currency to GROUP BY, or keep one of them with WHERE billing_currency = '{one}'."
    ))
}
