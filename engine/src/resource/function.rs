//! The parts of a resource id as SQL functions: `resource_key(text [, service code])` and one for each other part.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{Resource, parse};
use crate::error::Error;

/// A part of a resource id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// `aws`, `aws-cn`, `aws-us-gov` ...
    Partition,
    /// The service's namespace in ARNs.
    Service,
    /// The Region's code.
    Region,
    /// The owner.
    AccountId,
    /// What it is.
    Type,
    /// The id without the rest.
    Name,
    /// The canonical key.
    Key,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 7] = [
        Part::Partition,
        Part::Service,
        Part::Region,
        Part::AccountId,
        Part::Type,
        Part::Name,
        Part::Key,
    ];

    /// The name of its function.
    pub fn function(self) -> &'static str {
        match self {
            Part::Partition => "resource_partition",
            Part::Service => "resource_service",
            Part::Region => "resource_region",
            Part::AccountId => "resource_account_id",
            Part::Type => "resource_type",
            Part::Name => "resource_name",
            Part::Key => "resource_key",
        }
    }

    fn of<'a>(self, resource: &'a Resource<'a>) -> Option<&'a str> {
        match self {
            Part::Partition => resource.partition,
            Part::Service => resource.service,
            Part::Region => resource.region,
            Part::AccountId => resource.account_id,
            Part::Type => resource.r#type,
            Part::Name => Some(resource.name),
            Part::Key => Some(resource.key.as_str()),
        }
    }
}

/// The functions as a session registers them.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    Part::ALL.into_iter().map(|part| Arc::new(function(part))).collect()
}

/// The part of the id that `resource_id` is, of a row whose service has the code `service_code`.
pub fn part_of(part: Part, resource_id: Expr, service_code: Expr) -> Expr {
    function(part).call(vec![resource_id, service_code])
}

fn function(part: Part) -> ScalarUDF {
    let text = |count: usize| TypeSignature::Exact(vec![DataType::Utf8View; count]);
    ScalarUDF::from(ResourcePart {
        part,
        signature: Signature::one_of(vec![text(1), text(2)], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ResourcePart {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for ResourcePart {
    fn name(&self) -> &str {
        self.part.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let defect = || Error::defect(format!("{} takes text", self.name()));
        let texts = |array: &ArrayRef| array.as_string_view_opt().cloned().ok_or_else(defect);
        let ids = texts(arrays.first().ok_or_else(defect)?)?;
        let codes = arrays.get(1).map(texts).transpose()?;
        let mut parts = StringViewBuilder::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate() {
            let code = codes
                .as_ref()
                .filter(|codes| codes.is_valid(row))
                .map(|codes| codes.value(row));
            let resource = id.and_then(|id| parse(id, code));
            parts.append_option(resource.as_ref().and_then(|resource| self.part.of(resource)));
        }
        let parts = parts.finish();
        // A statement that compares with a constant expects one back.
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &parts, 0,
            )?));
        }
        Ok(ColumnarValue::Array(Arc::new(parts)))
    }
}
