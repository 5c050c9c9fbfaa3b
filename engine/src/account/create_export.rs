//! `create_aws_export`: makes what is missing for an export to be delivered, and nothing else.
//!
//! Each step looks first, so that a repeated call changes nothing and a call after a failure goes on where the other ended.
//! The order is bucket, bucket policy, export, connection: AWS checks at creation that it may write to the bucket. A bucket
//! that was made stays when a later step fails, and the answer says so.

mod definition;

use std::collections::BTreeSet;

use super::location::LocationParts;
use super::policy::{self, Kind};
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential, account_entry};
use crate::catalog::{AccountKind, Change, Export, ExportKind};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, ExportId};
use crate::port::{
    Credential, ExportDefinition, ExportLocation, ExportService, Identity, PresentBucket, PresentExport,
};

/// What `create_aws_export` is given.
#[derive(Debug, Clone)]
pub struct CreateExport {
    /// The key or stored secret of the payer.
    pub credential: GivenCredential,
    /// The account, where the caller wants it checked.
    pub account_id: Option<AccountId>,
    /// A name for people.
    pub account_name: Option<String>,
    /// Which kind.
    pub kind: Kind,
    /// The export's name.
    pub export_name: String,
    /// The bucket; made if there is none of that name.
    pub bucket: String,
    /// The key prefix.
    pub prefix: String,
    /// The Region of a bucket that is to be made.
    pub region: String,
    /// Whether rows are hourly instead of daily.
    pub hourly: bool,
    /// Whether costs of containers are split.
    pub split_cost: bool,
    /// Whether the account is connected as root too.
    pub connect: bool,
    /// Whether it only plans.
    pub dry_run: bool,
}

struct Plan {
    identity: Identity,
    credential: Credential,
    key_id: Option<String>,
    location: ExportLocation,
    bucket: Option<PresentBucket>,
    merged: policy::Merged,
    definition: ExportDefinition,
    present: Option<PresentExport>,
}

impl Connections {
    /// Creates the bucket, its policy and the export where they are missing, and connects the account as root.
    pub async fn create_export(&self, request: &CreateExport, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let plan = self.plan_export(request, &mut run).await;
        let plan = self.check(&mut run, plan).await?;
        let held = self.lock(format!("account {}", plan.identity.account), &run);
        let _held = self.check(&mut run, held).await?;
        let done = match request.dry_run {
            true => self.push_planned_export(request, &plan, &mut run),
            false => self.apply_export(request, &plan, &mut run, caller).await,
        };
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    /// Everything that only reads.
    async fn plan_export(&self, request: &CreateExport, run: &mut Run) -> Result<Plan> {
        let parts = LocationParts {
            export_name: Some(request.export_name.clone()),
            bucket: Some(request.bucket.clone()),
            prefix: Some(request.prefix.clone()),
            region: Some(request.region.clone()),
            location: None,
        };
        let mut location = parts.resolve()?;
        definition::check(request)?;
        let (credential, key_id) = self.resolve(&request.credential).await?;
        let identity = self.identify_trusted(&credential, request.dry_run, run).await?;
        if let Some(expected) = request.account_id.filter(|expected| *expected != identity.account) {
            return Err(Error::new(
                ErrorKind::BadCredentials,
                format!(
                    "the credential belongs to account {}, and account_id says {expected}",
                    identity.account
                ),
            )
            .with_hint("Use a key of the account that you name, or leave account_id out."));
        }
        let present = self.present_export(request, &credential, run).await?;
        let bucket = self.administration.bucket(&credential, &request.bucket).await?;
        let region = bucket.as_ref().map_or(&request.region, |bucket| &bucket.region).clone();
        location.set_region(&region);
        run.push(bucket_step(&request.bucket, bucket.as_ref()));
        let wanted = policy::bucket_policy(
            &request.bucket,
            identity.account,
            &BTreeSet::from([request.kind]),
            policy::Partition::of_region(&region),
        );
        let present_policy = bucket.as_ref().and_then(|bucket| bucket.policy.as_deref());
        let merged = policy::merge_bucket_policy(present_policy, &wanted)?;
        let definition = match &present {
            Some(present) => present.definition.clone(),
            None => self.define(request, &credential, &region).await?,
        };
        if let Some(present) = &present {
            definition::check_same(request, present)?;
        }
        Ok(Plan {
            identity,
            credential,
            key_id,
            location,
            bucket,
            merged,
            definition,
            present,
        })
    }

    /// The account's export of that name, if it has one.
    async fn present_export(
        &self,
        request: &CreateExport,
        credential: &Credential,
        run: &mut Run,
    ) -> Result<Option<PresentExport>> {
        let (action, listed) = match request.kind {
            Kind::Cur => (
                "cur:DescribeReportDefinitions",
                self.administration.list_reports(credential).await?,
            ),
            _ => (
                "bcm-data-exports:ListExports",
                self.administration.list_exports(credential).await?,
            ),
        };
        let found = listed
            .into_iter()
            .find(|export| export.definition.name == request.export_name);
        run.push(
            Step::new(Action::Check, action.to_owned(), Status::Ok).detail(match &found {
                Some(_) => format!("The export {} is there.", request.export_name),
                None => format!("There is no export {} yet.", request.export_name),
            }),
        );
        Ok(found)
    }

    async fn define(&self, request: &CreateExport, credential: &Credential, region: &str) -> Result<ExportDefinition> {
        let settings = definition::settings(request);
        let columns = match request.kind.table() {
            None => Vec::new(),
            Some(table) => self.administration.table_columns(credential, table, &settings).await?,
        };
        Ok(definition::define(request, settings, &columns, region))
    }

    /// Everything that changes something.
    async fn apply_export(
        &self,
        request: &CreateExport,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let region = plan.definition.destination.region.clone();
        if plan.bucket.is_none() {
            caller
                .notify
                .notify(&format!("Making the bucket {} in {region}.", request.bucket));
            self.administration
                .create_bucket(&plan.credential, &request.bucket, &region)
                .await?;
            run.push(made("s3:CreateBucket", &request.bucket, "The bucket is made."));
            self.record_step(run).await?;
            self.administration
                .secure_bucket(&plan.credential, &request.bucket, &region)
                .await?;
            run.push(
                Step::new(Action::Update, format!("arn:aws:s3:::{}", request.bucket), Status::Ok)
                    .detail("Public access is blocked, and objects are encrypted with S3's keys."),
            );
        }
        if !plan.merged.unchanged {
            let text = plan.merged.policy.to_string();
            self.administration
                .put_bucket_policy(&plan.credential, &request.bucket, &region, &text)
                .await?;
            run.push(
                Step::new(Action::Update, format!("policy of s3://{}", request.bucket), Status::Ok)
                    .detail("AWS may deliver to the bucket; what the policy said before still stands.")
                    .evidence(serde_json::json!({
                        "added": plan.merged.added, "replaced": plan.merged.replaced, "policy": plan.merged.policy,
                    })),
            );
            self.record_step(run).await?;
        } else {
            run.push(
                Step::new(Action::Reuse, format!("policy of s3://{}", request.bucket), Status::Ok)
                    .detail("It lets AWS deliver already."),
            );
        }
        let arn = match &plan.present {
            Some(present) => {
                run.push(
                    Step::new(Action::Reuse, present.arn.clone(), Status::Ok)
                        .detail("The export is there, as asked for."),
                );
                present.arn.clone()
            }
            None => {
                caller
                    .notify
                    .notify(&format!("Creating the export {}.", request.export_name));
                let arn = self
                    .administration
                    .create_export(&plan.credential, &plan.definition)
                    .await?;
                run.push(
                    Step::new(Action::Create, arn.clone(), Status::Ok)
                        .detail(format!("The export {} is created.", request.export_name))
                        .evidence(serde_json::json!({ "definition": plan.definition })),
                );
                arn
            }
        };
        self.record_step(run).await?;
        if request.connect && request.kind == Kind::Cur2 {
            self.connect_created(request, plan, run).await?;
        }
        run.push(self.delivery_step(plan, &arn).await);
        Ok(())
    }

    /// Publishes account and export; the import comes with the first delivery.
    async fn connect_created(&self, request: &CreateExport, plan: &Plan, run: &mut Run) -> Result<()> {
        let lease = self.catalog.lease();
        let account = plan.identity.account;
        let former = lease.document.accounts.get(&account);
        let id = ExportId::of_export_name(&request.export_name)?;
        let present = lease.document.exports.get(&id);
        if let Some(present) = present {
            super::connect_root::check_present(present, &plan.location, account, false)?;
        }
        let secret = self
            .keep(account, &plan.credential, plan.key_id.as_deref(), former, run)
            .await?;
        let now = self.clock.now();
        let entry = account_entry(
            account,
            AccountKind::Root,
            former,
            request.account_name.clone(),
            Some(plan.identity.arn.clone()),
            (plan.key_id.clone(), secret, plan.credential.role().cloned()),
            now,
        );
        let export = Export {
            id: id.clone(),
            account,
            kind: ExportKind::Cur2,
            location: plan.location.clone(),
            connected_at: present.map_or(now, |present| present.connected_at),
        };
        let version = self
            .catalog
            .publish(&[Change::PutAccount(entry), Change::PutExport(export)])
            .await?;
        run.push(
            Step::new(
                super::connect_root::change_of(present),
                format!("exports.{id}"),
                Status::Ok,
            )
            .detail(format!(
                "Account {account} is connected as root, with the export at {}.",
                plan.location.uri()
            ))
            .evidence(serde_json::json!({ "catalog_version": version })),
        );
        Ok(())
    }

    /// Whether AWS delivers yet. What cannot be asked is no error: everything is made.
    async fn delivery_step(&self, plan: &Plan, arn: &str) -> Step {
        let executions = match plan.definition.service {
            ExportService::DataExports => self.administration.list_executions(&plan.credential, arn).await,
            ExportService::Cur => Ok(Vec::new()),
        };
        let last = executions.ok().and_then(|executions| executions.into_iter().next());
        let status = last.as_ref().map(|execution| execution.status.clone());
        let detail = match status.as_deref() {
            Some("DELIVERY_SUCCESS") => "AWS has delivered; the next refresh imports it.".to_owned(),
            Some(status) => format!("Waiting for the first delivery; AWS says {status}. It takes up to 24 hours."),
            None => "Waiting for the first delivery, which AWS makes within 24 hours.".to_owned(),
        };
        Step::new(Action::Check, plan.location.uri(), Status::Pending)
            .detail(detail)
            .evidence(serde_json::json!({ "export_arn": arn, "last_execution_status": status }))
            .next_sql(format!(
                "CALL refresh_export(export_name => '{}');",
                plan.definition.name
            ))
    }

    fn push_planned_export(&self, request: &CreateExport, plan: &Plan, run: &mut Run) -> Result<()> {
        if plan.bucket.is_none() {
            run.push(
                planned(Action::Create, format!("arn:aws:s3:::{}", request.bucket))
                    .detail(format!(
                        "Would make the bucket in {}, block public access and encrypt it.",
                        plan.definition.destination.region
                    ))
                    .evidence(serde_json::json!({
                        "required_actions": ["s3:CreateBucket", "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration"],
                    })),
            );
        }
        if !plan.merged.unchanged {
            run.push(
                planned(Action::Update, format!("policy of s3://{}", request.bucket))
                    .detail("Would add the statements that let AWS deliver; the others stay.")
                    .evidence(serde_json::json!({
                        "required_actions": ["s3:PutBucketPolicy"], "added": plan.merged.added, "policy": plan.merged.policy,
                    })),
            );
        }
        match &plan.present {
            Some(present) => {
                run.push(planned(Action::Reuse, present.arn.clone()).detail("The export is there, as asked for."));
            }
            None => run.push(
                planned(Action::Create, format!("export {}", request.export_name))
                    .detail("Would create the export.")
                    .evidence(serde_json::json!({
                        "required_actions": definition::creating_actions(request.kind), "definition": plan.definition,
                    })),
            ),
        }
        if request.connect && request.kind == Kind::Cur2 {
            run.push(
                planned(Action::Create, format!("account {}", plan.identity.account))
                    .detail("Would be connected as root; its months come with AWS's first delivery."),
            );
        }
        Ok(())
    }

    /// Makes what the run has done so far durable, so that a crash leaves a record of what was made in AWS.
    async fn record_step(&self, run: &Run) -> Result<()> {
        self.runs.put(&run.id, &run.record).await
    }
}

fn planned(action: Action, object: String) -> Step {
    Step::new(action, object, Status::Planned)
}

fn made(action: &str, bucket: &str, detail: &str) -> Step {
    Step::new(Action::Create, format!("arn:aws:s3:::{bucket}"), Status::Ok)
        .detail(detail)
        .evidence(serde_json::json!({ "action": action }))
}

fn bucket_step(name: &str, bucket: Option<&PresentBucket>) -> Step {
    Step::new(Action::Check, format!("s3://{name}"), Status::Ok).detail(match bucket {
        Some(bucket) => format!("The bucket is there, in {}.", bucket.region),
        None => "There is no bucket of that name yet.".to_owned(),
    })
}
