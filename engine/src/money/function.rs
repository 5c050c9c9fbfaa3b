//! The two SQL-side operations on money: a source amount becomes exact, and an amount is taken in proportion.
//!
//! Both are expressions of the `costs` mapping and are evaluated above the account filter. Neither can be called from a
//! statement: they are built in the plan and registered nowhere.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, PrimitiveArray, StringArrayType, new_null_array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::Result as DataFusionResult;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{PRECISION, SCALE, UNIT, exact_all, of_exact, parse_decimal};
use crate::error::{Error, ErrorKind};
use crate::snapshot::EXACT_SCALE;

/// The Arrow type of all money.
pub const MONEY: DataType = DataType::Decimal128(PRECISION, SCALE);

/// The name of [`exact_amount`] in plans.
pub const EXACT_AMOUNT: &str = "exact_amount";

/// `exact_amount(x)`: the decimal that the double, integer or decimal text `x` means. NULL and blank text are NULL.
pub fn exact_amount(source: Expr) -> Expr {
    ScalarUDF::from(ExactAmount {
        signature: Signature::any(1, Volatility::Immutable),
    })
    .call(vec![source])
}

/// `prorated_amount(amount, part, whole)`: `amount * part / whole`, rounded half-even once. The amount itself where the
/// proportion is not known (`part` or `whole` NULL, or `whole` 0).
pub fn prorated_amount(amount: Expr, part: Expr, whole: Expr) -> Expr {
    ScalarUDF::from(ProratedAmount {
        signature: Signature::exact(vec![MONEY, MONEY, MONEY], Volatility::Immutable),
    })
    .call(vec![amount, part, whole])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactAmount {
    signature: Signature,
}

impl ScalarUDFImpl for ExactAmount {
    fn name(&self) -> &str {
        EXACT_AMOUNT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(MONEY)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [source] = args.args.as_slice() else {
            return Err(Error::defect("exact_amount takes one argument").into());
        };
        Ok(ColumnarValue::Array(exact_array(&source.to_array(args.number_rows)?)?))
    }
}

/// Converts a column of source amounts. Errors: `BrokenDelivery` for what is no amount.
pub fn exact_array(source: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let amounts: Decimal128Array = match source.data_type() {
        DataType::Null => return Ok(new_null_array(&MONEY, source.len())),
        DataType::Float64 => {
            let doubles = source.as_primitive::<Float64Type>();
            let units = exact_all(doubles.values(), doubles.nulls()).map_err(|value| no_amount(&value))?;
            Decimal128Array::new(units.into(), doubles.nulls().cloned())
        }
        DataType::Decimal128(_, scale) if *scale == EXACT_SCALE => {
            source.as_primitive::<Decimal128Type>().unary(of_exact)
        }
        DataType::Int64 => source
            .as_primitive::<Int64Type>()
            .unary(|value| i128::from(value) * UNIT),
        DataType::Utf8View => parse_text(&source.as_string_view())?,
        DataType::Utf8 => parse_text(&source.as_string::<i32>())?,
        other => return Err(Error::defect(format!("no amount can be made of {other}")).into()),
    };
    Ok(Arc::new(amounts.with_precision_and_scale(PRECISION, SCALE)?))
}

fn parse_text<'a>(texts: &impl StringArrayType<'a>) -> Result<Decimal128Array, ArrowError> {
    texts
        .iter()
        .map(|text| match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => parse_decimal(text).map(Some).ok_or_else(|| no_amount(&text)),
        })
        .collect::<Result<PrimitiveArray<Decimal128Type>, _>>()
}

fn no_amount(value: &dyn std::fmt::Display) -> ArrowError {
    let error = Error::new(
        ErrorKind::BrokenDelivery,
        format!("the delivered value {value} is not an amount of money"),
    )
    .with_hint("Look at the row in the export's table in the schema exports, and refresh the export.");
    ArrowError::ExternalError(Box::new(error))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ProratedAmount {
    signature: Signature,
}

impl ScalarUDFImpl for ProratedAmount {
    fn name(&self) -> &str {
        "prorated_amount"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(MONEY)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [amount, part, whole] = arrays.as_slice() else {
            return Err(Error::defect("prorated_amount takes three arguments").into());
        };
        let (amount, part, whole) = (
            amount.as_primitive::<Decimal128Type>(),
            part.as_primitive::<Decimal128Type>(),
            whole.as_primitive::<Decimal128Type>(),
        );
        let rows = amount
            .iter()
            .zip(part)
            .zip(whole)
            .map(|row| match row {
                ((Some(amount), Some(part)), Some(whole)) if whole != 0 => prorate(amount, part, whole).map(Some),
                ((amount, _), _) => Ok(amount),
            })
            .collect::<DataFusionResult<Decimal128Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(
            rows.with_precision_and_scale(PRECISION, SCALE)?,
        )))
    }
}

fn prorate(amount: i128, part: i128, whole: i128) -> DataFusionResult<i128> {
    let overflow = || -> DataFusionError {
        Error::new(ErrorKind::OutOfRange, "an amortised amount does not fit 38 digits").into()
    };
    // 128 by 128 bits never overflow 256.
    let product = i256::from_i128(amount).wrapping_mul(i256::from_i128(part));
    let whole = i256::from_i128(whole);
    let (quotient, remainder) = (
        product.checked_div(whole).ok_or_else(overflow)?,
        product.checked_rem(whole).ok_or_else(overflow)?,
    );
    let twice = remainder.wrapping_abs().wrapping_mul(i256::from_i128(2));
    let odd = quotient.checked_rem(i256::from_i128(2)).ok_or_else(overflow)? != i256::ZERO;
    let away = match twice.cmp(&whole.wrapping_abs()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => odd,
        std::cmp::Ordering::Greater => true,
    };
    let step = match (away, product.is_negative() == whole.is_negative()) {
        (false, _) => i256::ZERO,
        (true, true) => i256::ONE,
        (true, false) => i256::MINUS_ONE,
    };
    quotient.wrapping_add(step).to_i128().ok_or_else(overflow)
}

#[cfg(test)]
mod tests;
