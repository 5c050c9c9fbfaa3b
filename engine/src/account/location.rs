//! Export locations as people write them.

use std::path::PathBuf;

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::port::{DeliveryLayout, ExportLocation, LocationRoot};

/// The parts of a location as a call gives them; any of them may be missing.
#[derive(Debug, Clone, Default)]
pub struct LocationParts {
    /// `s3://bucket/prefix/export` or `file:///folder/export`.
    pub location: Option<String>,
    /// The export's name.
    pub export_name: Option<String>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The prefix between bucket and export name.
    pub prefix: Option<String>,
    /// The bucket's Region.
    pub region: Option<String>,
}

impl LocationParts {
    /// Whether more than a name is given, so that nothing has to be looked for.
    pub(crate) fn names_a_place(&self) -> bool {
        self.location.is_some() || self.bucket.is_some() || self.prefix.is_some()
    }

    /// The location that the parts name. A URI may end with the export's folder, with something below it
    /// (`data`, `metadata`, a period of a legacy report), or, if the export is named apart, with the prefix alone, as the AWS console shows it.
    pub fn resolve(&self) -> Result<ExportLocation> {
        match &self.location {
            Some(location) => self.resolve_uri(location),
            None => self.resolve_parts(),
        }
    }

    fn resolve_parts(&self) -> Result<ExportLocation> {
        let missing = |what: &str| {
            Error::new(ErrorKind::BadValue, format!("the export's {what} is missing"))
                .with_hint("Give location => 's3://bucket/prefix/export', or bucket, prefix and export_name.")
        };
        let bucket = self.bucket.as_deref().ok_or_else(|| missing("bucket"))?;
        let export_name = self.export_name.clone().ok_or_else(|| missing("name"))?;
        let prefix = self.prefix.as_deref().unwrap_or("");
        let segments: Vec<&str> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
        self.at_bucket(bucket, segments.join("/"), export_name)
    }

    fn resolve_uri(&self, location: &str) -> Result<ExportLocation> {
        if self.bucket.is_some() || self.prefix.is_some() {
            return Err(Error::new(ErrorKind::BadValue, "the export is located twice")
                .with_hint("Give either location, or bucket and prefix."));
        }
        let bad = |why: &str| {
            Error::new(
                ErrorKind::BadValue,
                format!("\"{location}\" is not an export's location: {why}"),
            )
            .with_hint("Write 's3://bucket/prefix/export' or 'file:///folder/export'.")
        };
        let (scheme, rest) = location.split_once("://").ok_or_else(|| bad("it names no scheme"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => {
                let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (prefix, name) = self.split_path(path).ok_or_else(|| bad("it names no export"))?;
                self.at_bucket(bucket, prefix, name)
            }
            "file" => {
                let url = Url::parse(location).map_err(|e| bad(&e.to_string()))?;
                let path = url.to_file_path().map_err(|()| bad("it names no absolute folder"))?;
                let text = path.to_str().ok_or_else(|| bad("it is not UTF-8"))?;
                let (folder, name) = self.split_path(text).ok_or_else(|| bad("it names no export"))?;
                check_export_name(&name)?;
                Ok(ExportLocation {
                    root: LocationRoot::Folder(PathBuf::from(format!("/{folder}"))),
                    prefix: String::new(),
                    export_name: name,
                    layout: DeliveryLayout::default(),
                })
            }
            other => Err(bad(&format!("the scheme {other} is not read"))),
        }
    }

    /// The other place that the same text may mean: with the slashes that [`LocationParts::resolve`] leaves out as stray ones.
    /// AWS joins a prefix and an export's name with a slash, whatever the prefix begins or ends with.
    pub(crate) fn with_all_slashes(&self, resolved: &ExportLocation) -> Option<ExportLocation> {
        if !matches!(resolved.root, LocationRoot::Bucket { .. }) {
            return None;
        }
        let prefix = match &self.location {
            None => self.prefix.clone().unwrap_or_default(),
            Some(uri) => {
                let (_, rest) = uri.split_once("://")?;
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                let folder = format!("/{}", resolved.export_name);
                let whole = |at: &usize| path[at + folder.len()..].starts_with('/') || path.ends_with(&folder);
                let end = path.rmatch_indices(&folder).map(|(at, _)| at).find(whole);
                path[..end.unwrap_or(path.len())].chars().skip(1).collect()
            }
        };
        (prefix != resolved.prefix).then(|| ExportLocation {
            prefix,
            ..resolved.clone()
        })
    }

    /// Splits a path into what is before the export's folder and the export's name.
    fn split_path(&self, path: &str) -> Option<(String, String)> {
        let mut segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        if let Some(at) = (1..segments.len()).find(|at| is_below_export(&segments[*at..])) {
            let of_athena = segments[at].starts_with("year=");
            segments.truncate(at);
            // A legacy report with Athena integration has its name twice in the keys of its data.
            if of_athena && segments.len() > 1 && segments.last() == segments.get(segments.len() - 2) {
                segments.pop();
            }
        }
        match &self.export_name {
            Some(name) => {
                if segments.last() == Some(&name.as_str()) {
                    segments.pop();
                }
                Some((segments.join("/"), name.clone()))
            }
            None => {
                let name = segments.pop()?.to_owned();
                Some((segments.join("/"), name))
            }
        }
    }

    fn at_bucket(&self, bucket: &str, prefix: String, export_name: String) -> Result<ExportLocation> {
        check_bucket(bucket)?;
        check_export_name(&export_name)?;
        let root = LocationRoot::Bucket {
            name: bucket.to_owned(),
            region: self.region.clone(),
        };
        Ok(ExportLocation {
            root,
            prefix,
            export_name,
            layout: DeliveryLayout::default(),
        })
    }
}

/// Whether these last segments of a path are what AWS makes below an export's folder. A folder of the user's own may have
/// such a name too; what follows tells.
fn is_below_export(segments: &[&str]) -> bool {
    let is_date = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    match segments {
        ["data" | "metadata"] => true,
        ["data" | "metadata", partition, ..] => partition.contains('='),
        [year, ..] if year.starts_with("year=") => true,
        [period] | [period, _] => period
            .split_once('-')
            .is_some_and(|(from, to)| is_date(from) && is_date(to)),
        _ => false,
    }
}

/// S3's rule for bucket names: 3 to 63 characters of a-z, 0-9, point and hyphen.
pub(crate) fn check_bucket(bucket: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if (3..=63).contains(&bucket.len()) && bucket.chars().all(allowed) {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::BadValue, format!("\"{bucket}\" is not a bucket name"))
            .with_hint("A bucket name has 3 to 63 characters of a-z, 0-9, point and hyphen, without s3:// or a path."),
    )
}

/// The wider of the two rules for names, the one of legacy reports.
pub(crate) fn check_export_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
    if (1..=256).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::BadValue, format!("\"{name}\" is not an export name"))
            .with_hint("Copy the name from the column \"Export name\" of the Data Exports page."),
    )
}

#[cfg(test)]
mod tests;
