//! Manifests: the documents by which AWS says which files make up a delivery. Both forms, that of Data Exports (CUR 2.0,
//! FOCUS) and that of the legacy Cost and Usage Report, become one [`Manifest`].
//!
//! AWS publishes no schema for the newer form. `executionId`, `dataFiles` and `columns` are what real manifests hold;
//! everything else is ignored. Parsing is total: any bytes give a manifest or an error.

use std::collections::BTreeSet;

use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{Manifest, ManifestColumn};
use serde::Deserialize;
use serde_json::Value;

/// Bytes that a manifest may have. One of ten thousand files and a thousand columns has about two million.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Data files that a manifest may name.
pub const MAX_FILES: usize = 100_000;
/// Columns that a manifest may name.
pub const MAX_COLUMNS: usize = 2_000;
/// Bytes of a key, from the S3 user guide ("Naming Amazon S3 objects").
const MAX_KEY_BYTES: usize = 1_024;

/// Where a manifest was found, which decides what its keys mean.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The manifest's URI, for errors.
    pub uri: &'a str,
    /// The connected bucket; `None` for a folder.
    pub bucket: Option<&'a str>,
    /// The key below which everything of the connected location lies.
    pub base_key: &'a str,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "executionId")]
    execution_id: Option<Value>,
    #[serde(rename = "dataFiles")]
    data_files: Option<Value>,
    #[serde(rename = "assemblyId")]
    assembly_id: Option<Value>,
    #[serde(rename = "reportKeys")]
    report_keys: Option<Value>,
    #[serde(rename = "contentType")]
    content_type: Option<Value>,
    bucket: Option<Value>,
    columns: Option<Value>,
}

/// Reads a manifest. Errors: `BrokenDelivery` naming the manifest and what is wrong with it.
pub fn parse(bytes: &[u8], origin: &Origin<'_>) -> Result<Manifest> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large(origin.uri));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // serde would also take a list of values for the fields in order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(broken(origin, "it is not a JSON object"));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        broken(
            origin,
            &format!("it is not JSON (line {}, column {})", error.line(), error.column()),
        )
    })?;
    match (&document.data_files, &document.report_keys) {
        (Some(files), _) => parse_data_export(&document, files, origin),
        (None, Some(keys)) => parse_legacy(&document, keys, origin),
        (None, None) => Err(broken(
            origin,
            "it names no data files (neither dataFiles nor reportKeys)",
        )),
    }
}

/// The error for a manifest above [`MAX_BYTES`].
pub(crate) fn too_large(uri: &str) -> Error {
    Error::new(
        ErrorKind::BrokenDelivery,
        format!("the manifest {uri} is larger than {} MiB", MAX_BYTES / (1024 * 1024)),
    )
    .with_hint("Check that the object is a manifest that AWS wrote.")
}

fn parse_data_export(document: &Document, files: &Value, origin: &Origin<'_>) -> Result<Manifest> {
    let mut buckets = BTreeSet::new();
    let mut keys = Vec::new();
    for file in texts(files, "dataFiles", MAX_FILES, origin)? {
        let (bucket, key) = match file.strip_prefix("s3://") {
            Some(rest) => match rest.split_once('/') {
                Some((bucket, key)) => (Some(bucket), key),
                None => return Err(broken(origin, "an entry of dataFiles has a bucket and no key")),
            },
            None => (None, file),
        };
        buckets.extend(bucket);
        keys.push(key);
    }
    let foreign_bucket = foreign_bucket(&buckets, origin)?;
    Ok(Manifest {
        execution_id: text_of(document.execution_id.as_ref()),
        files: place(&keys, below_data, foreign_bucket.is_some(), origin)?,
        foreign_bucket,
        columns: columns_of(document, |_, name| name.to_owned(), origin)?,
        listed: false,
    })
}

fn parse_legacy(document: &Document, keys: &Value, origin: &Origin<'_>) -> Result<Manifest> {
    let keys = texts(keys, "reportKeys", MAX_FILES, origin)?;
    let bucket = document.bucket.as_ref().and_then(Value::as_str);
    let foreign_bucket = foreign_bucket(&bucket.into_iter().collect(), origin)?;
    let parquet = text_of(document.content_type.as_ref())
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("parquet"))
        || keys.iter().any(|key| key.ends_with(".parquet"));
    let named = |category: Option<&str>, name: &str| match category {
        Some(category) if parquet => format!("{}_{}", athena_name(category), athena_name(name)),
        Some(category) => format!("{category}/{name}"),
        None => name.to_owned(),
    };
    Ok(Manifest {
        execution_id: text_of(document.assembly_id.as_ref()),
        files: place(&keys, below_report, foreign_bucket.is_some(), origin)?,
        foreign_bucket,
        columns: columns_of(document, named, origin)?,
        listed: false,
    })
}

/// The bucket that a manifest names where it is another one than the connected bucket. A folder may hold files from
/// anywhere.
fn foreign_bucket(named: &BTreeSet<&str>, origin: &Origin<'_>) -> Result<Option<String>> {
    let Some(connected) = origin.bucket else {
        return Ok(None);
    };
    let mut named = named.iter().filter(|name| !name.is_empty());
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(broken(origin, "its files lie in more than one bucket")),
        (Some(bucket), None) => Ok((*bucket != connected).then(|| (*bucket).to_owned())),
        (None, None) => Ok(None),
    }
}

/// The keys as they are to be read. In the bucket that AWS delivers to they stand as they are. In a copy (another
/// bucket, or a folder) a key outside the connected location is taken to lie in it, with that part of the key that `below`
/// finds to be the export's own.
fn place(
    keys: &[&str],
    below: impl Fn(&str) -> Option<&str>,
    foreign: bool,
    origin: &Origin<'_>,
) -> Result<Vec<String>> {
    let copied = foreign || origin.bucket.is_none();
    let inside = match origin.base_key {
        "" => String::new(),
        base => format!("{base}/"),
    };
    keys.iter()
        .map(|key| {
            if key.is_empty() || key.ends_with('/') || key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
                return Err(broken(
                    origin,
                    "one of its keys is empty, too long, a folder, or has control characters",
                ));
            }
            if !copied || key.starts_with(&inside) {
                return Ok((*key).to_owned());
            }
            Ok(below(key).map_or_else(|| (*key).to_owned(), |below| format!("{inside}{below}")))
        })
        .collect()
}

/// The part of a Data Exports key from `data/` on.
fn below_data(key: &str) -> Option<&str> {
    match key.rfind("/data/") {
        Some(start) => key.get(start + 1..),
        None => key.starts_with("data/").then_some(key),
    }
}

/// The part of a legacy key below the report's folder: from `YYYYMMDD-YYYYMMDD/` on, or with Athena integration from the
/// folder above `year=YYYY/` on, which has the report's name again.
fn below_report(key: &str) -> Option<&str> {
    let mut start = 0;
    let mut above = 0;
    for segment in key.split_inclusive('/') {
        let name = segment.trim_end_matches('/');
        if name.starts_with("year=") {
            return key.get(above..);
        }
        let is_date = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        if name
            .split_once('-')
            .is_some_and(|(from, to)| is_date(from) && is_date(to))
        {
            return key.get(start..);
        }
        above = start;
        start += segment.len();
    }
    None
}

fn columns_of<F>(document: &Document, named: F, origin: &Origin<'_>) -> Result<Vec<ManifestColumn>>
where
    F: Fn(Option<&str>, &str) -> String,
{
    let Some(columns) = document.columns.as_ref().filter(|columns| !columns.is_null()) else {
        return Ok(Vec::new());
    };
    let columns = columns
        .as_array()
        .ok_or_else(|| broken(origin, "its columns are not a list"))?;
    if columns.len() > MAX_COLUMNS {
        return Err(broken(origin, &format!("it names more than {MAX_COLUMNS} columns")));
    }
    let mut found: Vec<ManifestColumn> = Vec::with_capacity(columns.len());
    let mut seen = BTreeSet::new();
    for column in columns {
        let field = |name: &str| column.get(name).and_then(Value::as_str);
        let name = field("name").ok_or_else(|| broken(origin, "one of its columns has no name"))?;
        let name = named(field("category"), name);
        // Where two names become one in the files, AWS merges the columns.
        if seen.insert(name.clone()) {
            let r#type = field("type").unwrap_or_default().to_owned();
            found.push(ManifestColumn { name, r#type });
        }
    }
    Ok(found)
}

/// A category or name of a legacy column as it stands in Parquet files, by the rules that the CUR user guide gives for
/// Athena: an underscore before each capital, lower case, underscores for other characters, none doubled or at the ends.
fn athena_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        let starts_word = c.is_ascii_uppercase() || !c.is_ascii_alphanumeric();
        if starts_word && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        }
    }
    name.trim_end_matches('_').to_owned()
}

fn texts<'a>(value: &'a Value, field: &str, limit: usize, origin: &Origin<'_>) -> Result<Vec<&'a str>> {
    let list = value
        .as_array()
        .ok_or_else(|| broken(origin, &format!("its {field} is not a list")))?;
    if list.len() > limit {
        return Err(broken(origin, &format!("it names more than {limit} files")));
    }
    list.iter()
        .map(|entry| {
            entry
                .as_str()
                .ok_or_else(|| broken(origin, &format!("an entry of {field} is not text")))
        })
        .collect()
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn broken(origin: &Origin<'_>, what: &str) -> Error {
    Error::new(
        ErrorKind::BrokenDelivery,
        format!("the manifest {} cannot be read: {what}", origin.uri),
    )
    .with_hint("Wait for AWS's next delivery; if it stays, ask AWS Support to deliver the period again.")
}

#[cfg(test)]
mod tests;
