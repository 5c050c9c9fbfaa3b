//! Carrying out, or telling, what `create_aws_export` planned.

use serde_json::json;

use super::super::aws_write::{CREATE_BUCKET, CREATE_EXPORT, PUT_BUCKET_POLICY, PUT_REPORT, SECURE_BUCKET};
use super::super::run::{Action, Run, Status, Step};
use super::super::{Caller, Connections, account_entry, connect_root};
use super::{BucketWork, CreateExport, Plan, definition};
use crate::catalog::{AccountKind, Change, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ExportId;
use crate::port::ExportService;

impl Connections {
    /// Everything that changes something.
    pub(super) async fn apply_export(
        &self,
        request: &CreateExport,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<()> {
        self.apply_bucket(request, plan, run, caller).await?;
        self.apply_policy(request, plan, run).await?;
        let arn = match &plan.present {
            Some(present) => {
                run.push(
                    Step::new(Action::Reuse, present.arn.clone(), Status::Ok)
                        .detail("The export is there, as asked for."),
                );
                present.arn.clone()
            }
            None => self.apply_definition(request, plan, run, caller).await?,
        };
        if request.connects() {
            self.connect_created(request, plan, run).await?;
        }
        run.push(self.delivery_step(plan, &arn).await);
        Ok(())
    }

    /// The bucket, if it is missing, and its security, if Farthing made it and it lacks it.
    async fn apply_bucket(
        &self,
        request: &CreateExport,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let (bucket, region) = (request.bucket.as_str(), plan.definition.destination.region.as_str());
        let evidence = |action: &str| json!({ "action": action, "account": plan.identity.account, "bucket": bucket });
        if plan.bucket == BucketWork::Make {
            let making = format!("Making the bucket {bucket} in {region}.");
            caller.notify.notify(&making);
            let step = Step::new(Action::Create, plan.bucket_arn.clone(), Status::Ok)
                .detail("The bucket is made.")
                .evidence(evidence(CREATE_BUCKET));
            let made = self.administration.create_bucket(&plan.credential, bucket, region);
            self.write(run, step, made, |step, ()| step).await?;
        }
        if plan.bucket != BucketWork::Nothing {
            let step = Step::new(Action::Update, plan.bucket_arn.clone(), Status::Ok)
                .detail("Public access is blocked, and objects are encrypted with S3's keys.")
                .evidence(evidence(SECURE_BUCKET));
            let secured = self.administration.secure_bucket(&plan.credential, bucket, region);
            match self.write(run, step, secured, |step, ()| step).await {
                Err(refused) if refused.kind() == ErrorKind::AwsRefused => warn_of_security(run, &refused),
                done => done?,
            }
        }
        Ok(())
    }

    async fn apply_policy(&self, request: &CreateExport, plan: &Plan, run: &mut Run) -> Result<()> {
        let object = format!("policy of s3://{}", request.bucket);
        let Some(text) = &plan.policy_text else {
            run.push(Step::new(Action::Reuse, object, Status::Ok).detail("It lets AWS deliver already."));
            return Ok(());
        };
        let step = Step::new(Action::Update, object, Status::Ok)
            .detail("AWS may deliver to the bucket; what the policy said before still stands.")
            .evidence(json!({
                "action": PUT_BUCKET_POLICY, "account": plan.identity.account, "bucket": request.bucket,
                "added": plan.merged.added, "replaced": plan.merged.replaced, "policy": plan.merged.policy,
            }));
        let region = &plan.definition.destination.region;
        let put = self
            .administration
            .put_bucket_policy(&plan.credential, &request.bucket, region, text);
        self.write(run, step, put, |step, ()| step).await
    }

    async fn apply_definition(
        &self,
        request: &CreateExport,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<String> {
        let name = &request.export_name;
        caller.notify.notify(&format!("Creating the export {name}."));
        let action = match plan.definition.service {
            ExportService::DataExports => CREATE_EXPORT,
            ExportService::Cur => PUT_REPORT,
        };
        let step = Step::new(Action::Create, format!("export {name}"), Status::Ok)
            .detail(format!("The export {name} is created."))
            .evidence(json!({
                "action": action, "account": plan.identity.account, "export_name": name, "definition": plan.definition,
            }));
        let created = self.administration.create_export(&plan.credential, &plan.definition);
        let named = |step: Step, arn: &String| Step {
            object: arn.clone(),
            ..step
        };
        self.write(run, step, created, named).await
    }

    /// Publishes account and export; the import comes with the first delivery.
    async fn connect_created(&self, request: &CreateExport, plan: &Plan, run: &mut Run) -> Result<()> {
        let lease = self.catalog.lease();
        let account = plan.identity.account;
        let former = lease.document.accounts.get(&account);
        let id = ExportId::of_export_name(&request.export_name)?;
        let present = lease.document.exports.get(&id);
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
            kind: request.export_kind(),
            location: plan.location.clone(),
            connected_at: present.map_or(now, |present| present.connected_at),
        };
        let version = self
            .catalog
            .publish(&[Change::PutAccount(entry), Change::PutExport(export)])
            .await?;
        run.push(
            Step::new(connect_root::change_of(present), format!("exports.{id}"), Status::Ok)
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
}

/// What would be done, with the documents.
pub(super) fn push_planned(request: &CreateExport, plan: &Plan, run: &mut Run) {
    let region = &plan.definition.destination.region;
    let securing = ["s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration"];
    match plan.bucket {
        BucketWork::Make => run.push(
            planned(Action::Create, plan.bucket_arn.clone())
                .detail(format!(
                    "Would make the bucket in {region}, block public access and encrypt it."
                ))
                .evidence(json!({ "required_actions": [CREATE_BUCKET, securing[0], securing[1]] })),
        ),
        BucketWork::Secure => run.push(
            planned(Action::Update, plan.bucket_arn.clone())
                .detail("An interrupted call made the bucket: would block public access and encrypt it.")
                .evidence(json!({ "required_actions": securing })),
        ),
        BucketWork::Nothing => {}
    }
    if plan.policy_text.is_some() {
        run.push(
            planned(Action::Update, format!("policy of s3://{}", request.bucket))
                .detail("Would add the statements that let AWS deliver; the others stay.")
                .evidence(json!({
                    "required_actions": [PUT_BUCKET_POLICY], "added": plan.merged.added, "replaced": plan.merged.replaced,
                    "policy": plan.merged.policy,
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
                .evidence(json!({
                    "required_actions": definition::creating_actions(request.kind), "definition": plan.definition,
                })),
        ),
    }
    if request.connects() {
        run.push(
            planned(Action::Create, format!("account {}", plan.identity.account))
                .detail("Would be connected as root; its months come with AWS's first delivery."),
        );
    }
}

fn planned(action: Action, object: String) -> Step {
    Step::new(action, object, Status::Planned)
}

/// The guide's policy does not allow it, and AWS has done both by itself for every new bucket since 2023 (S3 user guide,
/// "Default settings for new S3 buckets FAQ"). The step stays unconfirmed, so that the next call does it.
fn warn_of_security(run: &mut Run, refused: &Error) {
    if let Some(step) = run.record.steps.last_mut() {
        step.status = Status::Warning;
        step.detail = format!(
            "{} AWS blocks public access to new buckets and encrypts them by itself; call again with the right to have both \
             set. {}",
            refused.message(),
            refused.hint().unwrap_or_default()
        );
    }
}
