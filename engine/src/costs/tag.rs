//! `tag(tags, x_tags, 'Env')` and `cost_category(x_cost_categories, x_tags, 'Team')`: a value by its key, however it is spelt.
//!
//! AWS writes one tag in several ways: `user_env` in normalised maps, `resourceTags/Env` in the map of all tags, `user:Env` in
//! reports, the key as it is in FOCUS (reference, section 5.9). A caller writes any of them, or the key alone. What is spelt as
//! written comes before what is only equal when normalised; keys that differ in nothing else are the same to AWS, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::error::{Error, ErrorKind};
use crate::table::text_map;

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A resource tag.
    Tag,
    /// A cost category.
    CostCategory,
}

impl Lookup {
    /// Both.
    pub const ALL: [Lookup; 2] = [Lookup::Tag, Lookup::CostCategory];

    /// The name of its function.
    pub fn function(self) -> &'static str {
        match self {
            Lookup::Tag => "tag",
            Lookup::CostCategory => "cost_category",
        }
    }

    /// The columns of `costs` that have it: the normalised map, and the one of all tags.
    pub fn columns(self) -> [&'static str; 2] {
        match self {
            Lookup::Tag => ["tags", "x_tags"],
            Lookup::CostCategory => ["x_cost_categories", "x_tags"],
        }
    }

    /// What comes before its keys in the map of all tags.
    fn prefix(self) -> &'static str {
        match self {
            Lookup::Tag => "resourceTags/",
            Lookup::CostCategory => "costCategory/",
        }
    }
}

/// What keys of the map of all tags begin with (AWS, Data Exports: "Tag columns").
const PREFIXES: [&str; 5] = [
    "resourceTags/",
    "costCategory/",
    "accountTag/",
    "userAttribute/",
    "iamPrincipal/",
];

/// Who gave a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Giver {
    User,
    Aws,
}

/// A key without what only says where it comes from.
fn bare_key(lookup: Lookup, key: &str) -> (Giver, &str) {
    if lookup == Lookup::CostCategory {
        return (Giver::User, key);
    }
    let without = |beginnings: [&str; 2]| beginnings.into_iter().find_map(|beginning| key.strip_prefix(beginning));
    match (without(["user:", "user_"]), without(["aws:", "aws_"])) {
        (Some(key), _) if !key.is_empty() => (Giver::User, key),
        (_, Some(key)) if !key.is_empty() => (Giver::Aws, key),
        _ => (Giver::User, key),
    }
}

/// The letters of a key as AWS normalises it: an underscore before each capital and for each other sign, none at the ends and
/// no two in a row, all lower case.
fn normal(key: &str) -> impl Iterator<Item = char> + '_ {
    let (mut begun, mut apart) = (false, false);
    key.chars()
        .flat_map(move |c| {
            if !c.is_ascii_alphanumeric() {
                apart = true;
                return [None, None];
            }
            let underscore = (begun && (apart || c.is_ascii_uppercase())).then_some('_');
            (begun, apart) = (true, false);
            [underscore, Some(c.to_ascii_lowercase())]
        })
        .flatten()
}

/// How well an entry's key fits; the smaller the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// To the letter.
    Whole,
    /// The key as written.
    Written,
    /// When both are normalised.
    Normal,
}

/// A key that is looked for.
struct Wanted<'k> {
    lookup: Lookup,
    whole: &'k str,
    giver: Giver,
    key: &'k str,
    normal: String,
}

impl<'k> Wanted<'k> {
    fn new(lookup: Lookup, whole: &'k str) -> Self {
        let (giver, key) = bare_key(lookup, whole.strip_prefix(lookup.prefix()).unwrap_or(whole));
        Self {
            lookup,
            whole,
            giver,
            key,
            normal: normal(key).collect(),
        }
    }

    fn fit(&self, entry: &str) -> Option<Fit> {
        if entry == self.whole {
            return Some(Fit::Whole);
        }
        let key = match entry.strip_prefix(self.lookup.prefix()) {
            Some(key) => key,
            None if PREFIXES.iter().any(|prefix| entry.starts_with(prefix)) => return None,
            None => entry,
        };
        let (giver, key) = bare_key(self.lookup, key);
        if giver != self.giver {
            None
        } else if key == self.key {
            Some(Fit::Written)
        } else {
            // A key of signs alone is nothing when normalised.
            let same = !self.normal.is_empty() && normal(key).eq(self.normal.chars());
            same.then_some(Fit::Normal)
        }
    }

    /// The value of the entry that fits best, in one pass. Blank values are absent ones.
    fn find<'m>(&self, maps: &'m [TextMap], row: usize) -> Option<&'m str> {
        let mut best: Option<(Fit, &str)> = None;
        for map in maps {
            for (key, value) in map.entries(row) {
                let Some(fit) = self.fit(key).filter(|_| !value.is_empty()) else {
                    continue;
                };
                if fit == Fit::Whole {
                    return Some(value);
                }
                if best.is_none_or(|(known, _)| fit < known) {
                    best = Some((fit, value));
                }
            }
        }
        best.map(|(_, value)| value)
    }
}

/// Whether a call of one of the functions with this key finds none of these entries, however they are spelt.
pub(crate) fn misses(function: &str, key: &str, entries: &BTreeSet<String>) -> bool {
    let lookup = Lookup::ALL.into_iter().find(|lookup| lookup.function() == function);
    lookup.is_some_and(|lookup| {
        let wanted = Wanted::new(lookup, key);
        entries.iter().all(|entry| wanted.fit(entry).is_none())
    })
}

/// A map of text to text, or none at all.
struct TextMap(Option<MapArray>);

impl TextMap {
    fn of(array: &ArrayRef) -> DataFusionResult<Self> {
        if array.data_type() == &DataType::Null {
            return Ok(Self(None));
        }
        let map = match array.data_type() {
            r#type if *r#type == text_map() => Arc::clone(array),
            _ => cast(array, &text_map())?,
        };
        Ok(Self(map.as_map_opt().cloned()))
    }

    fn entries(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let map = self.0.as_ref().filter(|map| map.is_valid(row));
        map.into_iter().flat_map(move |map| {
            let offsets = map.value_offsets();
            let range = offsets[row]..offsets[row + 1];
            let (keys, values) = (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>());
            let entries = keys.zip(values).into_iter();
            entries.flat_map(move |(keys, values)| {
                let places = range.clone().filter_map(|at| usize::try_from(at).ok());
                places
                    .filter(|at| values.is_valid(*at))
                    .map(|at| (keys.value(at), values.value(at)))
            })
        })
    }
}

/// A call with a constant key: what is looked up, in which maps, by which key.
pub(crate) type Call<'e> = (Lookup, &'e [Expr], &'e str);

/// The call that an expression is, if it is one.
pub(crate) fn call_of(expr: &Expr) -> Option<Call<'_>> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    let tag = call.func.inner().downcast_ref::<Tag>()?;
    match call.args.split_last()? {
        (Expr::Literal(key, _), maps) => Some((tag.lookup, maps, key.try_as_str().flatten()?)),
        _ => None,
    }
}

/// How well a key of a map fits the one that is looked for, if it does. Of the entries of a row that are not blank, the one
/// that fits best counts, and of equal ones the first, the maps in their order.
pub(crate) fn fit(lookup: Lookup, wanted: &str, key: &str) -> Option<Fit> {
    Wanted::new(lookup, wanted).fit(key)
}

/// The functions as a session registers them.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let function = |lookup| {
        let signature = Signature::one_of(
            vec![TypeSignature::Any(2), TypeSignature::Any(3)],
            Volatility::Immutable,
        );
        Arc::new(ScalarUDF::from(Tag { lookup, signature }))
    };
    Lookup::ALL.into_iter().map(function).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Tag {
    lookup: Lookup,
    signature: Signature,
}

impl Tag {
    fn bad_arguments(&self) -> Error {
        let name = self.lookup.function();
        let [normalised, all] = self.lookup.columns();
        Error::new(ErrorKind::WrongType, format!("{name} takes maps of text and a key")).with_hint(format!(
            "Write {name}('Key'), or {name}(c.{normalised}, c.{all}, 'Key') with the alias of costs."
        ))
    }
}

impl ScalarUDFImpl for Tag {
    fn name(&self) -> &str {
        self.lookup.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let maps = types.iter().rev().skip(1);
        let key = types.last().is_some_and(|key| {
            // A parameter has no type yet.
            key.is_null() || key.is_string() || matches!(key, DataType::Dictionary(_, value) if value.is_string())
        });
        let maps = maps.into_iter().all(|map| {
            let text = |entry: &DataType| match entry {
                DataType::Struct(fields) => fields.iter().all(|field| field.data_type().is_string()),
                _ => false,
            };
            map.is_null() || matches!(map, DataType::Map(entry, _) if text(entry.data_type()))
        });
        match key && maps {
            true => Ok(DataType::Utf8View),
            false => Err(self.bad_arguments().into()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let Some((key, maps)) = args.args.split_last() else {
            return Err(self.bad_arguments().into());
        };
        let maps = maps
            .iter()
            .map(|map| TextMap::of(&map.to_array(rows)?))
            .collect::<DataFusionResult<Vec<_>>>()?;
        let mut found = StringViewBuilder::with_capacity(rows);
        match key {
            ColumnarValue::Scalar(key) => {
                let key = match key {
                    ScalarValue::Dictionary(_, key) => key.as_ref(),
                    key => key,
                };
                let wanted = key.try_as_str().flatten().map(|key| Wanted::new(self.lookup, key));
                for row in 0..rows {
                    found.append_option(wanted.as_ref().and_then(|wanted| wanted.find(&maps, row)));
                }
            }
            ColumnarValue::Array(keys) => {
                let keys = cast(keys, &DataType::Utf8View)?;
                for (row, key) in keys.as_string_view().iter().enumerate() {
                    let wanted = key.map(|key| Wanted::new(self.lookup, key));
                    found.append_option(wanted.and_then(|wanted| wanted.find(&maps, row)));
                }
            }
        }
        let found = found.finish();
        // A statement of constants alone expects one back.
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) && rows == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

#[cfg(test)]
mod tests;
