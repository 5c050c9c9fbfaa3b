//! Reports that an account has from before, set up without the API.

use chrono::{DateTime, Utc};

use super::definition::{KeptReport, ReportDefinition};
use super::definition_arn;
use crate::aws::SandboxError;
use crate::aws::cloud::Cloud;
use crate::aws::delivery_runs::Runs;

/// A legacy report to be registered with [`Sandbox::register_report`](crate::aws::Sandbox::register_report). All fields
/// may be changed; values are AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSpec {
    /// Its name, unique in the account.
    pub name: String,
    /// The bucket, which must exist; its Region is taken from it.
    pub bucket: String,
    /// The prefix of keys, as AWS keeps it.
    pub prefix: String,
    /// `HOURLY`, `DAILY` or `MONTHLY`.
    pub time_unit: String,
    /// `Parquet` or `textORcsv`.
    pub format: String,
    /// `Parquet`, `GZIP` or `ZIP`.
    pub compression: String,
    /// `RESOURCES`, `SPLIT_COST_ALLOCATION_DATA`, `MANUAL_DISCOUNT_COMPATIBILITY`.
    pub schema_elements: Vec<String>,
    /// `ATHENA`, `REDSHIFT`, `QUICKSIGHT`.
    pub artifacts: Vec<String>,
    /// `OVERWRITE_REPORT` or `CREATE_NEW_REPORT`.
    pub versioning: String,
    /// When it was created; `None` for now. Since then it has been delivered every day.
    pub created_at: Option<DateTime<Utc>>,
}

impl ReportSpec {
    /// An hourly report with resource ids, Parquet for Athena, overwritten.
    pub fn new(name: &str, bucket: &str, prefix: &str) -> Self {
        Self {
            name: name.to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            time_unit: "HOURLY".to_owned(),
            format: "Parquet".to_owned(),
            compression: "Parquet".to_owned(),
            schema_elements: vec!["RESOURCES".to_owned()],
            artifacts: vec!["ATHENA".to_owned()],
            versioning: "OVERWRITE_REPORT".to_owned(),
            created_at: None,
        }
    }

    /// Makes it a report of `account`. Returns its ARN.
    pub(crate) fn register(&self, cloud: &Cloud, account: &str) -> Result<String, SandboxError> {
        if !cloud.identities.has_account(account) {
            return Err(SandboxError::NotFound(format!("account {account}")));
        }
        let bucket = cloud.buckets.get(&self.bucket);
        let bucket = bucket.ok_or_else(|| SandboxError::NotFound(format!("bucket {}", self.bucket)))?;
        let definition = ReportDefinition {
            report_name: self.name.clone(),
            time_unit: self.time_unit.clone(),
            format: self.format.clone(),
            compression: self.compression.clone(),
            additional_schema_elements: self.schema_elements.clone(),
            s3_bucket: self.bucket.clone(),
            s3_prefix: self.prefix.clone(),
            s3_region: bucket.region.clone(),
            additional_artifacts: self.artifacts.clone(),
            refresh_closed_reports: Some(true),
            report_versioning: Some(self.versioning.clone()),
            billing_view_arn: None,
        };
        let arn = definition_arn(account, &self.name);
        let now = cloud.clock.now();
        let mut runs = Runs::starting(&arn, self.created_at.unwrap_or(now));
        // Whatever lies behind it went well; the policies decide over what comes.
        runs.settle(now, None);
        cloud.reports.of(account, |reports| {
            if reports.contains_key(&self.name) {
                return Err(SandboxError::AlreadyExists(format!("report {}", self.name)));
            }
            reports.insert(self.name.clone(), KeptReport { definition, runs });
            Ok(arn)
        })
    }
}
