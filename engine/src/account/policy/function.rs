//! The policies as SQL functions: `aws_iam_policy`, `aws_bucket_policy`, `aws_trust_policy`.
//!
//! All arguments are text. Calls name them and leave out what they do not need; the SQL front end puts them into the order of
//! [`PolicyFunction::parameters`], with NULL for what is left out, which is all that the functions themselves take.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::{
    Kind, Mode, Names, Partition, bad_argument, bucket_policy, guide_bucket, iam_policy, merge_bucket_policy, needed,
    pretty, trust_policy,
};
use crate::account::location::check_bucket;
use crate::error::{Error, Result};
use crate::id::AccountId;

/// A function that gives a policy as text.
#[derive(Debug)]
pub struct PolicyFunction {
    /// Its name.
    pub name: &'static str,
    /// The names of its arguments, all of them text and optional to SQL, in order.
    pub parameters: &'static [&'static str],
    evaluate: fn(&Given<'_>) -> Result<String>,
}

/// All of them.
pub static FUNCTIONS: [PolicyFunction; 3] = [
    PolicyFunction {
        name: "aws_iam_policy",
        parameters: &[
            "mode",
            "bucket",
            "prefix",
            "export_name",
            "kind",
            "account_id",
            "region",
            "partition",
            "features",
            "user_name",
            "role_name",
            "kms_key",
        ],
        evaluate: iam,
    },
    PolicyFunction {
        name: "aws_bucket_policy",
        parameters: &["bucket", "account_id", "kind", "region", "partition", "mode", "present"],
        evaluate: bucket,
    },
    PolicyFunction {
        name: "aws_trust_policy",
        parameters: &["principal", "external_id", "region", "partition"],
        evaluate: trust,
    },
];

/// The functions as DataFusion registers them.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS
        .iter()
        .enumerate()
        .map(|(at, function)| {
            let types = vec![DataType::Utf8; function.parameters.len()];
            Arc::new(ScalarUDF::from(PolicyUdf {
                at,
                name: function.name,
                signature: Signature::exact(types, Volatility::Immutable),
            }))
        })
        .collect()
}

/// The arguments of one call.
struct Given<'a> {
    names: &'static [&'static str],
    values: Vec<Option<&'a str>>,
}

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.names.iter().position(|known| *known == name)?;
        self.values.get(at).copied().flatten()
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn account(&self) -> Result<Option<AccountId>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                bad_argument("account_id", text)
                    .with_hint("An account id has twelve digits, leading zeros included, for example '012345678901'.")
            })
        };
        self.get("account_id").map(parse).transpose()
    }

    /// What the Region and the partition say; one is enough, and both must agree.
    fn partition(&self) -> Result<Partition> {
        let of_region = self.get("region").map(region_partition).transpose()?;
        let given = self
            .get("partition")
            .map(|text| chosen("partition", text, &Partition::ALL))
            .transpose()?;
        match (of_region, given) {
            (Some(of_region), Some(given)) if of_region != given => Err(bad_argument("partition", given.as_str())
                .with_hint(format!(
                    "The region {} is in the partition {of_region}; leave one of the two out.",
                    self.get("region").unwrap_or_default()
                ))),
            (of_region, given) => Ok(given.or(of_region).unwrap_or_default()),
        }
    }

    /// A list of words, separated by commas.
    fn list<T: Copy + Ord>(&self, name: &str, allowed: &[(&'static str, T)]) -> Result<BTreeSet<T>> {
        match self.get(name) {
            None => Ok(BTreeSet::new()),
            Some(text) => text.split(',').map(|word| chosen(name, word.trim(), allowed)).collect(),
        }
    }
}

/// The partition of a Region. Error: `BadValue` for a text that is no Region's name.
pub(crate) fn region_partition(region: &str) -> Result<Partition> {
    let parts: Vec<&str> = region.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    let known = match parts.as_slice() {
        [names @ .., number] => {
            (2..=4).contains(&names.len())
                && names.iter().all(letters)
                && !number.is_empty()
                && number.len() <= 2
                && number.chars().all(|c| c.is_ascii_digit())
        }
        [] => false,
    };
    if known {
        return Ok(Partition::of_region(region));
    }
    Err(bad_argument("region", region).with_hint("Give a Region's code, such as 'eu-west-1'."))
}

/// The meaning of a word. Error: `BadValue` that lists the words.
fn chosen<T: Copy>(argument: &str, word: &str, allowed: &[(&'static str, T)]) -> Result<T> {
    allowed
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| bad_argument(argument, word).with_hint(format!("Allowed: {}.", words(allowed))))
}

fn words<T>(allowed: &[(&'static str, T)]) -> String {
    let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn missing(argument: &str, function: &str, hint: String) -> Error {
    needed(argument, function).with_hint(hint)
}

fn iam(given: &Given<'_>) -> Result<String> {
    let mode = given
        .get("mode")
        .ok_or_else(|| missing("mode", "aws_iam_policy", format!("Allowed: {}.", words(&Mode::ALL))))?;
    let names = Names {
        partition: given.partition()?,
        account: given.account()?,
        bucket: given.owned("bucket"),
        prefix: given.owned("prefix"),
        export_name: given.owned("export_name"),
        kinds: given.list("kind", &Kind::ALL)?,
        features: given.list("features", &super::Feature::ALL)?,
        user_name: given.owned("user_name"),
        role_name: given.owned("role_name"),
        kms_key: given.owned("kms_key"),
    };
    Ok(pretty(&iam_policy(chosen("mode", mode, &Mode::ALL)?, &names)?))
}

/// What `aws_bucket_policy` gives.
#[derive(Clone, Copy)]
enum BucketMode {
    Deliver,
    Guide,
}

const BUCKET_MODES: [(&str, BucketMode); 2] = [("deliver", BucketMode::Deliver), ("guide_bucket", BucketMode::Guide)];

fn bucket(given: &Given<'_>) -> Result<String> {
    let mode = given
        .get("mode")
        .map(|word| chosen("mode", word, &BUCKET_MODES))
        .transpose()?;
    let (bucket, account, partition) = (given.get("bucket"), given.account()?, given.partition()?);
    if let Some(bucket) = bucket {
        check_bucket(bucket)
            .map_err(|error| bad_argument("bucket", bucket).with_hint(error.hint().unwrap_or_default().to_owned()))?;
    }
    let kinds = given.list("kind", &Kind::ALL)?;
    let wanted = match mode.unwrap_or(BucketMode::Deliver) {
        BucketMode::Guide => guide_bucket(bucket, account, partition),
        BucketMode::Deliver => {
            let needs = |argument: &str, hint: &str| missing(argument, "aws_bucket_policy", hint.to_owned());
            let bucket = bucket.ok_or_else(|| needs("bucket", "Give bucket => '<name>', without s3:// or a path."))?;
            let account = account.ok_or_else(|| {
                needs(
                    "account_id",
                    "Give account_id => '<twelve digits>' of the account whose bill it is.",
                )
            })?;
            bucket_policy(bucket, account, &kinds, partition)
        }
    };
    match given.get("present") {
        None => Ok(pretty(&wanted)),
        Some(present) => Ok(pretty(&merge_bucket_policy(Some(present), &wanted)?.policy)),
    }
}

fn trust(given: &Given<'_>) -> Result<String> {
    let principal = given.get("principal").ok_or_else(|| {
        let hint = "Give principal => the account id, or the ARN of the user or role, that Farthing signs in as.";
        missing("principal", "aws_trust_policy", hint.to_owned())
    })?;
    let external_id = given.get("external_id").ok_or_else(|| {
        let hint = "Give external_id => a text that only you and Farthing know, such as a random UUID.";
        missing("external_id", "aws_trust_policy", hint.to_owned())
    })?;
    Ok(pretty(&trust_policy(principal, external_id, given.partition()?)?))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PolicyUdf {
    /// The place in [`FUNCTIONS`].
    at: usize,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for PolicyUdf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let function = FUNCTIONS
            .get(self.at)
            .ok_or_else(|| Error::defect("an unknown policy function is called"))?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<DataFusionResult<_>>()?;
        let texts: Vec<&StringArray> = columns.iter().map(|column| column.as_string::<i32>()).collect();
        let policies = (0..rows)
            .map(|row| {
                let values = texts
                    .iter()
                    .map(|column| column.is_valid(row).then(|| column.value(row)))
                    .collect();
                let names = function.parameters;
                (function.evaluate)(&Given { names, values })
            })
            .collect::<Result<Vec<String>>>()?;
        match (constant, policies.as_slice()) {
            (true, [policy]) => Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(policy.clone())))),
            _ => Ok(ColumnarValue::Array(Arc::new(StringArray::from(policies)))),
        }
    }
}
