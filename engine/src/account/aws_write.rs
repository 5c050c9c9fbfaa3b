//! Writes to AWS, on record before and after, and what the record says was made.
//!
//! Before AWS is asked the step is durable as `pending`; afterwards its end is. So whatever stops the process, the history
//! names everything that may exist in AWS because of Farthing. What a record knows of a write is in its evidence: `action`, the
//! IAM action; `account`; and what the object's name alone does not tell.

use std::future::Future;

use serde_json::{Value, json};

use super::Connections;
use super::run::{ProcedureRun, Run, Status, Step};
use crate::error::{ErrorKind, Result};
use crate::id::AccountId;

impl Connections {
    /// Does one write to AWS. `step` is how its success reads, `done` adds what only AWS's answer tells.
    ///
    /// Errors: those of the write, and `State` if the intent cannot be recorded: then AWS is not asked.
    pub(super) async fn write<T>(
        &self,
        run: &mut Run,
        step: Step,
        write: impl Future<Output = Result<T>> + Send,
        done: impl FnOnce(Step, &T) -> Step,
    ) -> Result<T> {
        run.push(Step {
            status: Status::Pending,
            detail: "AWS is being asked. If this is the end of the run, AWS may have done it: call again.".to_owned(),
            ..step.clone()
        });
        self.record_step(run).await?;
        run.record.steps.pop();
        let error = match write.await {
            Ok(value) => {
                run.push(done(step, &value));
                self.record_step(run).await?;
                return Ok(value);
            }
            Err(error) => error,
        };
        // Without an answer it is not known whether AWS did it, and the step stays open.
        let status = match error.kind() {
            ErrorKind::AwsUnreachable | ErrorKind::Cancelled => Status::Pending,
            _ => Status::Failed,
        };
        let mut evidence = step.evidence.clone();
        evidence["remedy"] = json!(error.hint());
        run.push(Step {
            status,
            detail: error.message().to_owned(),
            evidence,
            ..step
        });
        if let Err(unrecorded) = self.record_step(run).await {
            tracing::warn!(run = %run.id, error = %unrecorded, "a write that AWS refused is not recorded");
        }
        Err(error)
    }

    /// Makes what the run has done so far durable.
    pub(super) async fn record_step(&self, run: &Run) -> Result<()> {
        self.runs.put(&run.id, &run.record).await
    }

    /// The writes that AWS did, or may have done, by what the history says; oldest first.
    pub(super) fn written(&self) -> Vec<Written> {
        let runs = self.runs.entries();
        runs.iter().flat_map(|(id, run)| writes_of(id, run)).collect()
    }

    /// Whether Farthing made the bucket and there is no record that it secured it: the call was interrupted between the two.
    pub(super) fn left_unsecured(&self, bucket: &str) -> bool {
        let of_bucket = |write: &&Written| write.evidence["bucket"] == json!(bucket);
        let written = self.written();
        let mut unsecured = false;
        for write in written.iter().filter(of_bucket) {
            match write.action.as_str() {
                CREATE_BUCKET => unsecured = true,
                SECURE_BUCKET if write.confirmed => unsecured = false,
                _ => {}
            }
        }
        unsecured
    }
}

/// The action of a step that makes a bucket.
pub(super) const CREATE_BUCKET: &str = "s3:CreateBucket";
/// The action of a step that blocks public access to a bucket and has it encrypted.
pub(super) const SECURE_BUCKET: &str = "s3:PutBucketPublicAccessBlock";
/// The action of a step that replaces a bucket's policy.
pub(super) const PUT_BUCKET_POLICY: &str = "s3:PutBucketPolicy";
/// The action of a step that makes an export of AWS Data Exports.
pub(super) const CREATE_EXPORT: &str = "bcm-data-exports:CreateExport";
/// The action of a step that makes a legacy report.
pub(super) const PUT_REPORT: &str = "cur:PutReportDefinition";
/// The action of a step that makes a managed policy.
pub(super) const CREATE_POLICY: &str = "iam:CreatePolicy";
/// The action of a step that makes a user.
pub(super) const CREATE_USER: &str = "iam:CreateUser";
/// The action of a step that attaches a policy to a user.
pub(super) const ATTACH_POLICY: &str = "iam:AttachUserPolicy";
/// The action of a step that makes an access key.
pub(super) const CREATE_KEY: &str = "iam:CreateAccessKey";

/// A write that AWS did or may have done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    /// The run.
    pub(super) run_id: String,
    /// The IAM action.
    pub(super) action: String,
    /// What it was done to.
    pub(super) object: String,
    /// Whether AWS's answer came.
    pub(super) confirmed: bool,
    /// What the record knows of it.
    pub(super) evidence: Value,
}

impl Written {
    /// Whether it was done in this account.
    pub(super) fn is_of(&self, account: AccountId) -> bool {
        self.evidence["account"] == json!(account)
    }

    /// A text of the evidence.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.evidence[name].as_str()
    }
}

fn writes_of(id: &str, run: &ProcedureRun) -> Vec<Written> {
    if run.dry_run {
        return Vec::new();
    }
    let done = run
        .steps
        .iter()
        .filter(|step| matches!(step.status, Status::Ok | Status::Pending));
    done.filter_map(|step| {
        let action = step.evidence["action"].as_str().filter(|action| is_write(action))?;
        Some(Written {
            run_id: id.to_owned(),
            action: action.to_owned(),
            object: step.object.clone(),
            confirmed: step.status == Status::Ok,
            evidence: step.evidence.clone(),
        })
    })
    .collect()
}

fn is_write(action: &str) -> bool {
    [
        CREATE_BUCKET,
        SECURE_BUCKET,
        PUT_BUCKET_POLICY,
        CREATE_EXPORT,
        PUT_REPORT,
        CREATE_POLICY,
        CREATE_USER,
        ATTACH_POLICY,
        CREATE_KEY,
    ]
    .contains(&action)
}
