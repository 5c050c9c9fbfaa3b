//! Exports that an account has from before, set up without the API.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::export_arn;
use super::model::{
    DataQuery, DestinationConfigurations, Export, KeptExport, OutputConfigurations, RefreshCadence, S3Destination,
};
use super::table::{CUR2, FOCUS_1_2, table};
use crate::aws::SandboxError;
use crate::aws::cloud::Cloud;
use crate::aws::delivery_runs::Runs;

/// An export of AWS Data Exports to be registered with
/// [`Sandbox::register_export`](crate::aws::Sandbox::register_export). All fields may be changed; values are AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataExportSpec {
    /// Its name, unique in the account.
    pub name: String,
    /// The bucket, which must exist; its Region and owner are taken from it.
    pub bucket: String,
    /// The prefix of keys, as AWS keeps it.
    pub prefix: String,
    /// `COST_AND_USAGE_REPORT` or `FOCUS_1_2_AWS`.
    pub table: String,
    /// Table properties that are not the default, such as `INCLUDE_RESOURCES` to `TRUE`.
    pub properties: BTreeMap<String, String>,
    /// The query; `None` for all columns.
    pub query: Option<String>,
    /// `PARQUET` or `TEXT_OR_CSV`.
    pub format: String,
    /// `PARQUET`, `GZIP` or `ZIP`.
    pub compression: String,
    /// `OVERWRITE_REPORT` or `CREATE_NEW_REPORT`.
    pub overwrite: String,
    /// When it was created; `None` for now. Since then it has been delivered every day.
    pub created_at: Option<DateTime<Utc>>,
}

impl DataExportSpec {
    /// CUR 2.0 as Farthing wants it: hourly, with resource ids, Parquet, overwritten.
    pub fn cur2(name: &str, bucket: &str, prefix: &str) -> Self {
        Self {
            table: CUR2.to_owned(),
            properties: [("INCLUDE_RESOURCES".to_owned(), "TRUE".to_owned())].into(),
            ..Self::focus(name, bucket, prefix)
        }
    }

    /// FOCUS 1.2 with columns of AWS: hourly, Parquet, overwritten.
    pub fn focus(name: &str, bucket: &str, prefix: &str) -> Self {
        Self {
            name: name.to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            table: FOCUS_1_2.to_owned(),
            properties: BTreeMap::new(),
            query: None,
            format: "PARQUET".to_owned(),
            compression: "PARQUET".to_owned(),
            overwrite: "OVERWRITE_REPORT".to_owned(),
            created_at: None,
        }
    }

    /// Makes it an export of `account`. Returns its ARN.
    pub(crate) fn register(&self, cloud: &Cloud, account: &str) -> Result<String, SandboxError> {
        let missing = |what: String| SandboxError::NotFound(what);
        if !cloud.identities.has_account(account) {
            return Err(missing(format!("account {account}")));
        }
        let bucket = cloud.buckets.get(&self.bucket);
        let bucket = bucket.ok_or_else(|| missing(format!("bucket {}", self.bucket)))?;
        let table = table(&self.table).ok_or_else(|| missing(format!("table {}", self.table)))?;
        let properties = table.complete(&self.properties).map_err(missing)?;
        let names: Vec<&str> = table.columns(&properties).into_iter().map(|(name, _)| name).collect();
        let all = format!("SELECT {} FROM {}", names.join(", "), table.name);
        let arn = export_arn(account, &format!("{}-{}", self.name, uuid::Uuid::new_v4()));
        let export = Export {
            export_arn: Some(arn.clone()),
            name: self.name.clone(),
            description: None,
            data_query: DataQuery {
                query_statement: self.query.clone().unwrap_or(all),
                table_configurations: [(table.name.to_owned(), properties)].into(),
            },
            destination_configurations: DestinationConfigurations {
                s3_destination: S3Destination {
                    s3_bucket: self.bucket.clone(),
                    s3_bucket_owner: Some(bucket.owner.clone()),
                    s3_prefix: self.prefix.clone(),
                    s3_region: bucket.region.clone(),
                    s3_output_configurations: OutputConfigurations {
                        output_type: "CUSTOM".to_owned(),
                        format: self.format.clone(),
                        compression: self.compression.clone(),
                        overwrite: self.overwrite.clone(),
                    },
                },
            },
            refresh_cadence: RefreshCadence {
                frequency: "SYNCHRONOUS".to_owned(),
            },
        };
        let created = self.created_at.unwrap_or_else(|| cloud.clock.now());
        cloud.exports.of(account, |exports| {
            if exports.contains_key(&self.name) {
                return Err(SandboxError::AlreadyExists(format!("export {}", self.name)));
            }
            let mut kept = KeptExport {
                arn: arn.clone(),
                table: table.name,
                export,
                created,
                updated: created,
                runs: Runs::starting(&arn, created),
            };
            // Whatever lies behind it went well; the policies decide over what comes.
            kept.runs.settle(cloud.clock.now(), None);
            exports.insert(self.name.clone(), kept);
            Ok(arn)
        })
    }
}
