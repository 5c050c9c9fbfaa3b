//! Report definitions: their shape, what AWS checks of them, and those that accounts have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{definition_arn, invalid};
use crate::aws::cloud::Cloud;
use crate::aws::control::ApiError;
use crate::aws::delivery_runs::{Deliverer, Obstacle, Runs};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReportDefinition {
    pub(crate) report_name: String,
    pub(crate) time_unit: String,
    pub(crate) format: String,
    pub(crate) compression: String,
    pub(crate) additional_schema_elements: Vec<String>,
    pub(crate) s3_bucket: String,
    pub(crate) s3_prefix: String,
    pub(crate) s3_region: String,
    #[serde(default)]
    pub(crate) additional_artifacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_closed_reports: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) report_versioning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) billing_view_arn: Option<String>,
}

impl ReportDefinition {
    pub(super) fn overwrites(&self) -> bool {
        self.report_versioning.as_deref() == Some("OVERWRITE_REPORT")
    }

    /// Whether what cannot be changed is the same.
    pub(super) fn is_shaped_like(&self, other: &Self) -> bool {
        let resources = |definition: &Self| definition.additional_schema_elements.iter().any(|e| e == "RESOURCES");
        self.time_unit == other.time_unit
            && self.report_versioning == other.report_versioning
            && resources(self) == resources(other)
    }

    /// The combinations that AWS accepts, as the AWS provider of HashiCorp Terraform checks them beforehand.
    fn combination_is_good(&self) -> bool {
        let parquet = self.format == "Parquet";
        let has = |artifact: &str| self.additional_artifacts.iter().any(|given| given == artifact);
        let words = matches!(self.time_unit.as_str(), "HOURLY" | "DAILY" | "MONTHLY")
            && matches!(self.format.as_str(), "textORcsv" | "Parquet")
            && matches!(self.compression.as_str(), "ZIP" | "GZIP" | "Parquet")
            && matches!(
                self.report_versioning.as_deref(),
                None | Some("CREATE_NEW_REPORT" | "OVERWRITE_REPORT")
            )
            && self.additional_schema_elements.iter().all(|element| {
                matches!(
                    element.as_str(),
                    "RESOURCES" | "SPLIT_COST_ALLOCATION_DATA" | "MANUAL_DISCOUNT_COMPATIBILITY"
                )
            });
        let athena = self.additional_artifacts.len() == 1 && !self.s3_prefix.is_empty() && self.overwrites() && parquet;
        words
            && parquet == (self.compression == "Parquet")
            && (!has("ATHENA") || athena)
            && !(parquet && (has("REDSHIFT") || has("QUICKSIGHT")))
    }
}

/// Checks a definition before it is taken.
pub(super) fn check(cloud: &Cloud, account: &str, definition: &ReportDefinition) -> Result<(), ApiError> {
    let name = &definition.report_name;
    let named = (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte));
    if !named {
        return Err(invalid(format!("The report name '{name}' is not valid.")));
    }
    if !definition.combination_is_good() || definition.s3_prefix.len() > 256 {
        return Err(invalid(""));
    }
    let bucket = cloud.buckets.get(&definition.s3_bucket);
    let in_region = bucket.is_some_and(|bucket| bucket.region == definition.s3_region);
    if !in_region || obstacle(cloud, account, definition).is_some() {
        return Err(invalid("Failed to verify customer bucket permission."));
    }
    Ok(())
}

/// What keeps the service from delivering a report. The bucket must be the account's own.
pub(super) fn obstacle(cloud: &Cloud, account: &str, definition: &ReportDefinition) -> Option<Obstacle> {
    let owner = cloud
        .buckets
        .get(&definition.s3_bucket)
        .map(|bucket| bucket.owner.clone());
    if owner.is_some_and(|owner| owner != account) {
        return Some(Obstacle::NoPermission);
    }
    let deliverer = Deliverer {
        principal: "billingreports.amazonaws.com",
        // AWS's policy also grants s3:GetBucketAcl; policies without it are known to work.
        on_bucket: &["s3:GetBucketPolicy"],
        // AWS's own policy has `definition/*` under StringEquals, where the star is a plain character, and works: the
        // service must come with it.
        source_arns: &[
            definition_arn(account, &definition.report_name),
            definition_arn(account, "*"),
        ],
    };
    let prefix = format!("{}/{}", definition.s3_prefix, definition.report_name);
    cloud.delivery_obstacle(&deliverer, account, &definition.s3_bucket, &prefix)
}

/// A report that an account has.
#[derive(Clone, Debug)]
pub(crate) struct KeptReport {
    pub(crate) definition: ReportDefinition,
    pub(crate) runs: Runs,
}

impl KeptReport {
    /// The definition as it is answered, with its status once there is one.
    pub(super) fn described(&self) -> Value {
        let mut answer = json!(self.definition);
        let status = match self.runs.last_outcome() {
            None => return answer,
            Some(Ok(())) => "SUCCESS",
            Some(Err(Obstacle::NoPermission)) => "ERROR_PERMISSIONS",
            Some(Err(Obstacle::NoBucket)) => "ERROR_NO_BUCKET",
        };
        answer["ReportStatus"] = json!({"lastStatus": status});
        if let Some(delivered) = self.runs.last_success() {
            answer["ReportStatus"]["lastDelivery"] = delivered.format("%Y%m%dT%H%M%SZ").to_string().into();
        }
        answer
    }
}

/// The reports of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// By account, then by name.
    kept: Mutex<BTreeMap<String, BTreeMap<String, KeptReport>>>,
}

impl Reports {
    /// Runs `act` over the reports of an account, by name.
    pub(crate) fn of<R>(&self, account: &str, act: impl FnOnce(&mut BTreeMap<String, KeptReport>) -> R) -> R {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        act(kept.entry(account.to_owned()).or_default())
    }
}
