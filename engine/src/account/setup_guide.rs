//! `aws_setup_guide`: the console steps that create an export by hand, with the actual names and documents filled in.
//!
//! It asks AWS nothing and changes nothing. Source of the steps: the Data Exports user guide, `dataexports-create-standard`,
//! and the IAM user guide on users and access keys.

use serde_json::json;

use super::policy::{Kind, Mode, Names, Partition, bucket_policy, iam_policy};
use super::run::{Action, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::account::location::LocationParts;
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::ExportLocation;

/// What `aws_setup_guide` is given.
#[derive(Debug, Clone)]
pub struct SetupGuide {
    /// The payer, in whose console the steps are done.
    pub account_id: AccountId,
    /// The bucket, whether it exists or not.
    pub bucket: String,
    /// The prefix of the export.
    pub prefix: Option<String>,
    /// The export's name.
    pub export_name: String,
    /// The bucket's Region.
    pub region: String,
    /// The IAM user that reads.
    pub user_name: String,
}

impl Connections {
    /// The steps, as rows that wait for a person.
    pub async fn setup_guide(&self, request: &SetupGuide, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = true;
        let steps = self.check(&mut run, steps(request)).await?;
        run.record.steps = steps;
        self.finish(run).await
    }
}

/// The steps of a guide. Errors: `BadValue` for names that AWS does not take.
fn steps(request: &SetupGuide) -> Result<Vec<Step>> {
    let parts = LocationParts {
        bucket: Some(request.bucket.clone()),
        prefix: request.prefix.clone(),
        export_name: Some(request.export_name.clone()),
        ..LocationParts::default()
    };
    let location = parts.resolve()?;
    check_data_exports_name(&request.export_name)?;
    let partition = super::policy::region_partition(&request.region)?;
    let names = Names {
        partition,
        account: Some(request.account_id),
        bucket: Some(request.bucket.clone()),
        prefix: Some(location.prefix.clone()),
        export_name: Some(request.export_name.clone()),
        kinds: [Kind::Cur2].into(),
        user_name: Some(request.user_name.clone()),
        ..Names::default()
    };
    let policy_name = format!("{}-read", request.user_name);
    let reader = iam_policy(Mode::Read, &names)?;
    let mut steps = export_steps(request, &location, partition);
    steps.extend([
        waiting(Action::Create, format!("policy {policy_name}"))
            .detail(format!(
                "{}/iam/home#/policies: Create policy, JSON, paste the document in evidence, name it {policy_name}. It reads \
                 this export and nothing else.",
                partition.console()
            ))
            .evidence(reader)
            .next_sql(policy_sql(request, &location, partition)),
        waiting(Action::Create, format!("user {}", request.user_name))
            .detail(format!(
                "{}/iam/home#/users: Create user, without access to the console; Attach policies directly, {policy_name}.",
                partition.console()
            ))
            .evidence(json!({ "user_name": request.user_name, "policies": [policy_name] })),
        waiting(Action::Create, format!("access key of {}", request.user_name)).detail(
            "The user's page, Security credentials: Create access key, Third-party service, Download .csv file. AWS shows the \
             secret only there.",
        ),
        waiting(Action::Check, location.uri()).detail(
            "AWS delivers for the first time within 24 hours. Connecting before that is allowed: the export then waits.",
        ),
        waiting(Action::Check, format!("account {}", request.account_id))
            .detail("Connect the export with the access key of the .csv file.")
            .next_sql(format!(
                "CALL connect_aws_root(location => {}, access_key_id => '<access key id>', secret_access_key => '<secret access key>');",
                quoted(&location.uri())
            )),
        waiting(Action::Check, "linked accounts".to_owned())
            .detail(
                "The rows of a linked account become visible when it is connected, with a key of its own that needs no right.",
            )
            .next_sql("SELECT account_id, account_name, status FROM system.account_coverage;"),
    ]);
    Ok(steps)
}

/// The export itself, and what its bucket must grant.
fn export_steps(request: &SetupGuide, location: &ExportLocation, partition: Partition) -> Vec<Step> {
    let account = request.account_id;
    let bucket = &request.bucket;
    let create = format!("{}/billing/home#/dataexports", partition.console());
    let policy = bucket_policy(bucket, account, &[Kind::Cur2].into(), partition);
    let prefix = match location.prefix.as_str() {
        "" => "leave the S3 path prefix empty".to_owned(),
        prefix => format!("S3 path prefix {prefix}"),
    };
    vec![
        waiting(Action::Check, format!("account {account}")).detail(format!(
            "Sign in to {} as a user of account {account} that may use billing and IAM. If billing is refused, the root user \
             switches on IAM access to billing once, in the account's settings.",
            partition.console()
        )),
        waiting(Action::Create, format!("bucket {bucket}"))
            .detail(format!(
                "If it does not exist: {}/s3: Create bucket, Region {}, Block all public access, default encryption SSE-S3.",
                partition.console(),
                request.region
            ))
            .evidence(json!({ "bucket": bucket, "region": request.region, "block_public_access": true, "encryption": "AES256" })),
        waiting(Action::Update, format!("policy of bucket {bucket}"))
            .detail(
                "The bucket, Permissions, Bucket policy: add the statements in evidence to those that are there. If the bucket \
                 has a policy, give it as present => '...' to the function in next_sql, which merges them.",
            )
            .evidence(policy)
            .next_sql(format!(
                "SELECT aws_bucket_policy(bucket => {}, account_id => '{account}'{});",
                quoted(bucket),
                partition_argument(partition)
            )),
        waiting(Action::Create, format!("export {}", request.export_name))
            .detail(format!(
                "{create}: Create; Standard data export; name {}; CUR 2.0; Include resource IDs; time granularity Hourly; all \
                 columns; Parquet; Overwrite existing data export file; S3 bucket {bucket}; {prefix}.",
                request.export_name
            ))
            .evidence(json!({
                "export_type": "Standard data export",
                "export_name": request.export_name,
                "table": "COST_AND_USAGE_REPORT",
                "table_configurations": { "TIME_GRANULARITY": "HOURLY", "INCLUDE_RESOURCES": "TRUE" },
                "format": "PARQUET",
                "compression": "PARQUET",
                "overwrite": "OVERWRITE_REPORT",
                "bucket": bucket,
                "prefix": location.prefix,
                "region": request.region,
            })),
        waiting(Action::Check, format!("policy of bucket {bucket}")).detail(
            "Look at the bucket's policy again: the console replaces it when it sets up the delivery. Put back the statements \
             that others need; a policy that lacks the one above stops the delivery.",
        ),
    ]
}

/// A step for a person.
fn waiting(action: Action, object: String) -> Step {
    Step::new(action, object, Status::Pending)
}

/// Data Exports takes fewer characters than the legacy report does (CreateExport, `Name`).
fn check_data_exports_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::BadValue, format!("\"{name}\" is not an export name"))
            .with_hint("Data Exports takes 1 to 128 characters of A-Z, a-z, 0-9, - and _."),
    )
}

fn policy_sql(request: &SetupGuide, location: &ExportLocation, partition: Partition) -> String {
    let prefix = match location.prefix.as_str() {
        "" => String::new(),
        prefix => format!(", prefix => {}", quoted(prefix)),
    };
    format!(
        "SELECT aws_iam_policy(mode => 'read', bucket => {}{prefix}, export_name => {}{});",
        quoted(&request.bucket),
        quoted(&request.export_name),
        partition_argument(partition)
    )
}

fn partition_argument(partition: Partition) -> String {
    match partition {
        Partition::Aws => String::new(),
        other => format!(", partition => '{other}'"),
    }
}

/// A text as SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
