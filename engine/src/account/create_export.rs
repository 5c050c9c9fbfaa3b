//! `create_aws_export`: makes what is missing for an export to be delivered, and nothing else.
//!
//! Everything is looked at first, and what cannot succeed is refused before anything is written. The order of the writes is
//! bucket, its security, its policy, export, connection: AWS checks at creation that it may write to the bucket. Each write is
//! on record before and after. A bucket that was made stays when a later step fails, and a repeated call goes on from there:
//! it also secures the bucket that an interrupted call made. A bucket that Farthing did not make is changed in nothing but
//! its policy, and there only by what delivery lacks.

mod apply;
mod definition;

use std::collections::BTreeSet;

use super::location::LocationParts;
use super::policy::{self, Kind, Partition};
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential};
use crate::catalog::ExportKind;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, ExportId};
use crate::port::{
    Credential, DeliveryLayout, ExportDefinition, ExportLocation, Identity, PresentBucket, PresentExport,
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

impl CreateExport {
    /// Whether the account is connected with it.
    fn connects(&self) -> bool {
        self.connect
    }

    /// What the export is connected as.
    fn export_kind(&self) -> ExportKind {
        match self.kind {
            Kind::Cur2 => ExportKind::Cur2,
            Kind::Focus => ExportKind::Focus,
            Kind::Cur => ExportKind::Cur,
        }
    }

    /// How its deliveries will lie.
    fn layout(&self) -> DeliveryLayout {
        match self.kind {
            Kind::Cur => DeliveryLayout::LegacyReport,
            Kind::Cur2 | Kind::Focus => DeliveryLayout::DataExports,
        }
    }
}

struct Plan {
    identity: Identity,
    credential: Credential,
    key_id: Option<String>,
    location: ExportLocation,
    bucket: BucketWork,
    bucket_arn: String,
    merged: policy::Merged,
    /// The policy to put, where one has to be put.
    policy_text: Option<String>,
    definition: ExportDefinition,
    present: Option<PresentExport>,
}

/// What is left to do for the bucket itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BucketWork {
    /// It is not there.
    Make,
    /// An interrupted call made it and did not come to secure it.
    Secure,
    /// It is there.
    Nothing,
}

impl Connections {
    /// Creates the bucket, its policy and the export where they are missing, and connects the account as root.
    pub async fn create_export(&self, request: &CreateExport, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_create(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_create(&self, request: &CreateExport, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        // Held from the first look on: a plan must not grow old while another call carries out its own.
        let _bucket = self.lock(format!("bucket {}", request.bucket), run)?;
        let plan = self.plan_export(request, run).await?;
        let _account = self.lock(format!("account {}", plan.identity.account), run)?;
        match request.dry_run {
            true => {
                apply::push_planned(request, &plan, run);
                Ok(())
            }
            false => self.apply_export(request, &plan, run, caller).await,
        }
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
        location.layout = request.layout();
        definition::check(request)?;
        let (credential, key_id) = self.resolve(&request.credential).await?;
        let identity = self.identify_trusted(&credential, request.dry_run, run).await?;
        super::check_account(
            identity.account,
            request.account_id,
            "Use a key of the account that you name, or leave account_id out.",
        )?;
        let present = self.present_export(request, &credential, run).await?;
        let bucket = self.administration.bucket(&credential, &request.bucket).await?;
        let region = bucket.as_ref().map_or(&request.region, |bucket| &bucket.region).clone();
        location.set_region(&region);
        run.push(bucket_step(&request.bucket, bucket.as_ref()));
        if request.connects() {
            self.check_connectable(request, &location, identity.account)?;
        }
        let partition = Partition::of_region(&region);
        let (merged, policy_text) = plan_policy(request, identity.account, partition, bucket.as_ref())?;
        let definition = match &present {
            Some(present) => present.definition.clone(),
            None => self.define(request, &credential, &region, run).await?,
        };
        if let Some(present) = &present {
            definition::check_same(request, present)?;
        }
        Ok(Plan {
            bucket: match &bucket {
                None => BucketWork::Make,
                Some(_) if self.left_unsecured(&request.bucket) => BucketWork::Secure,
                Some(_) => BucketWork::Nothing,
            },
            bucket_arn: format!("arn:{}:s3:::{}", partition.as_str(), request.bucket),
            identity,
            credential,
            key_id,
            location,
            merged,
            policy_text,
            definition,
            present,
        })
    }

    /// That the export's name is free here, or this export's: found out before anything is made in AWS.
    fn check_connectable(&self, request: &CreateExport, location: &ExportLocation, account: AccountId) -> Result<()> {
        let id = ExportId::of_export_name(&request.export_name)?;
        match self.catalog.lease().document.exports.get(&id) {
            Some(present) => super::connect_root::check_present(present, location, account, false),
            None => Ok(()),
        }
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

    async fn define(
        &self,
        request: &CreateExport,
        credential: &Credential,
        region: &str,
        run: &mut Run,
    ) -> Result<ExportDefinition> {
        let settings = definition::settings(request);
        let columns = match request.kind.table() {
            None => Vec::new(),
            Some(table) => match self.administration.table_columns(credential, table, &settings).await {
                Ok(columns) => columns,
                // The guide's policy does not allow it, and the export can be made without it.
                Err(refused) if refused.kind() == ErrorKind::AwsRefused => {
                    run.push(definition::columns_step(table, &refused));
                    definition::known_columns(request)
                }
                Err(error) => return Err(error),
            },
        };
        Ok(definition::define(request, settings, &columns, region))
    }
}

/// The bucket's policy with what delivery needs, and its text if it has to be put.
///
/// A Deny wins over every grant, so a policy that denies delivery is refused here: AWS would refuse the export, or deliver
/// nothing.
fn plan_policy(
    request: &CreateExport,
    account: AccountId,
    partition: Partition,
    bucket: Option<&PresentBucket>,
) -> Result<(policy::Merged, Option<String>)> {
    let wanted = policy::bucket_policy(&request.bucket, account, &BTreeSet::from([request.kind]), partition);
    let present = bucket.and_then(|bucket| bucket.policy.as_deref());
    let merged = policy::merge_bucket_policy(present, &wanted)?;
    if !merged.denied_by.is_empty() {
        return Err(Error::new(
            ErrorKind::AwsRefused,
            format!(
                "the policy of s3://{} denies what AWS needs to deliver: {}",
                request.bucket,
                merged.denied_by.join(", ")
            ),
        )
        .with_hint(
            "A Deny wins over every grant. Change these statements in the S3 console, tab Permissions, so that they spare \
             billingreports.amazonaws.com and bcm-data-exports.amazonaws.com, or deliver to another bucket. Nothing was written.",
        ));
    }
    let text = match merged.unchanged {
        true => None,
        false => Some(merged.text()?),
    };
    Ok((merged, text))
}

fn bucket_step(name: &str, bucket: Option<&PresentBucket>) -> Step {
    Step::new(Action::Check, format!("s3://{name}"), Status::Ok).detail(match bucket {
        Some(bucket) => format!("The bucket is there, in {}.", bucket.region),
        None => "There is no bucket of that name yet.".to_owned(),
    })
}
