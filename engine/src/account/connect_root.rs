//! `connect_aws_root`: an export that exists already, in a bucket or a folder, named or found.

use std::collections::BTreeMap;

use super::location::LocationParts;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential, account_entry, ignored_step};
use crate::catalog::{Account, AccountKind, Change, Export, ExportKind, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, ExportId};
use crate::port::{Credential, DeliveryLayout, ExportLocation, Identity, LocationReport, LocationRoot};

mod payer;

/// What `connect_aws_root` is given.
#[derive(Debug, Clone)]
pub struct ConnectRoot {
    /// The key, a stored secret, or nothing for a folder.
    pub credential: GivenCredential,
    /// The account, where the caller wants it checked; needed for a folder without data.
    pub account_id: Option<AccountId>,
    /// A name for people.
    pub account_name: Option<String>,
    /// Where the export is.
    pub location: LocationParts,
    /// Whether an export of the same name at another location is replaced.
    pub replace: bool,
    /// Whether data files without a manifest are taken from a bucket, too.
    pub unverified: bool,
    /// Whether the call returns before the import is done.
    pub wait: bool,
    /// Whether it only plans.
    pub dry_run: bool,
}

struct Plan {
    lease: Lease,
    location: ExportLocation,
    report: LocationReport,
    credential: Credential,
    key_id: Option<String>,
    account: AccountId,
    arn: Option<String>,
    export: ExportId,
}

impl Connections {
    /// Connects a payer through an export that AWS delivers already, or will: connecting before the first delivery is allowed.
    pub async fn connect_root(&self, request: &ConnectRoot, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_root(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    /// The steps of a run that has begun.
    pub(super) async fn run_root(&self, request: &ConnectRoot, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let plan = self.plan_root(request, run, caller).await?;
        let _held = self.lock(format!("account {}", plan.account), run)?;
        self.apply_root(request, plan, run, caller).await
    }

    /// Everything that only reads.
    async fn plan_root(&self, request: &ConnectRoot, run: &mut Run, caller: &Caller<'_>) -> Result<Plan> {
        let (credential, key_id) = self.resolve(&request.credential).await?;
        if let (Some(account), false) = (request.account_id, matches!(credential, Credential::Absent)) {
            // Whoever signs in is an account of AWS.
            account.check_aws()?;
        }
        let (mut location, identity) = self.locate(request, &credential, run).await?;
        let mut report = self.source.probe(&location, &credential).await?;
        if let (true, Some(other)) = (report.periods.is_empty(), request.location.with_all_slashes(&location))
            && let Ok(found) = self.source.probe(&other, &credential).await
            && !found.periods.is_empty()
        {
            (location, report) = (other, found);
        }
        if let (LocationRoot::Bucket { region, .. }, Some(found)) = (&mut location.root, &report.region) {
            *region = Some(found.clone());
        }
        if report.layout == DeliveryLayout::FilesAlone {
            let in_bucket = matches!(location.root, LocationRoot::Bucket { .. });
            run.push(files_alone_step(&location, in_bucket && !request.unverified));
            if in_bucket && !request.unverified {
                report.periods.clear();
                report.layout = location.layout;
            }
        }
        location.layout = report.layout;
        run.push(location_step(&location, &report));
        if report.periods.is_empty() {
            caller
                .notify
                .notify("No manifest is there yet: the connection waits for AWS's first delivery.");
        }
        let account = match &identity {
            Some(identity) => identity.account,
            None => {
                self.folder_account(request, &location, &credential, &report, run)
                    .await?
            }
        };
        super::check_account(
            account,
            request.account_id,
            "Use a key of the account that you name, or leave account_id out.",
        )?;
        let lease = self.catalog.lease();
        let export = ExportId::of_export_name(&location.export_name)?;
        if let Some(present) = lease.document.exports.get(&export) {
            check_present(present, &location, account, request.replace)?;
            if report.periods.is_empty() && same_place(&present.location, &location) {
                // Nothing to see at present, so what was seen before stands.
                location.layout = present.location.layout;
            }
        }
        Ok(Plan {
            lease,
            location,
            report,
            credential,
            key_id,
            account,
            arn: identity.map(|i| i.arn),
            export,
        })
    }

    /// Where the export is, and who the credential is: as told, or found among the account's exports.
    async fn locate(
        &self,
        request: &ConnectRoot,
        credential: &Credential,
        run: &mut Run,
    ) -> Result<(ExportLocation, Option<Identity>)> {
        if request.location.names_a_place() || matches!(credential, Credential::Absent) {
            let location = request.location.resolve()?;
            let in_bucket = matches!(location.root, LocationRoot::Bucket { .. });
            let identity = self.identify_root(in_bucket, credential, request.dry_run, run).await?;
            return Ok((location, identity));
        }
        let identity = self.identify_trusted(credential, request.dry_run, run).await?;
        let detection = self.detect(identity.account, credential, run).await?;
        let chosen = detection.choose(request.location.export_name.as_deref())?;
        let location = chosen.resolve()?;
        // AWS names the prefix as it uses it.
        let location = chosen.with_all_slashes(&location).unwrap_or(location);
        Ok((location, Some(identity)))
    }

    async fn identify_root(
        &self,
        in_bucket: bool,
        credential: &Credential,
        dry_run: bool,
        run: &mut Run,
    ) -> Result<Option<Identity>> {
        match (in_bucket, credential) {
            (true, Credential::Absent) => Err(Error::new(ErrorKind::BadValue, "a bucket needs a credential").with_hint(
                "Give access_key_id and secret_access_key, or credential => 'secret:<name>' of a secret stored with put_secret.",
            )),
            (false, Credential::Absent) => {
                run.push(
                    Step::new(Action::Skip, "sts:GetCallerIdentity".to_owned(), Status::Ok)
                        .detail("A folder needs no credential."),
                );
                Ok(None)
            }
            (_, credential) => {
                Ok(Some(self.identify_trusted(credential, dry_run, run).await?))
            }
        }
    }

    /// Whose the export in a folder is: what the caller says, or the payer in its data.
    async fn folder_account(
        &self,
        request: &ConnectRoot,
        location: &ExportLocation,
        credential: &Credential,
        report: &LocationReport,
        run: &mut Run,
    ) -> Result<AccountId> {
        if let Some(account) = request.account_id.filter(AccountId::is_aws) {
            return Ok(account);
        }
        let Some(period) = report.periods.last() else {
            return Err(Error::new(
                ErrorKind::Missing,
                format!("{} holds no delivery, so the payer is not known", location.uri()),
            )
            .with_hint(match report.folders_nearby.as_slice() {
                [] => "Check the location, or give account_id => '<payer>' to connect before the first delivery."
                    .to_owned(),
                nearby => format!("Folders there: {}. Or give account_id => '<payer>'.", nearby.join(", ")),
            }));
        };
        let (column, account) = payer::read(
            self.source.as_ref(),
            &self.importer,
            location,
            credential,
            *period,
            request.account_id,
        )
        .await?;
        run.push(
            Step::new(Action::Check, column.to_owned(), Status::Ok)
                .detail(format!("The data names account {account} as payer.")),
        );
        Ok(account)
    }

    /// Everything that changes something, in the order that a crash leaves repairable.
    async fn apply_root(&self, request: &ConnectRoot, plan: Plan, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let former = plan.lease.document.accounts.get(&plan.account);
        let present = plan.lease.document.exports.get(&plan.export);
        if request.dry_run {
            push_planned(&plan, former, present, run);
            return Ok(());
        }
        let secret = self
            .keep(plan.account, &plan.credential, plan.key_id.as_deref(), former, run)
            .await?;
        let now = self.clock.now();
        let name = request.account_name.clone();
        let key = (plan.key_id.clone(), secret, plan.credential.role().cloned());
        let account = account_entry(
            plan.account,
            AccountKind::Root,
            former,
            name,
            plan.arn.clone(),
            key,
            now,
        );
        let export = Export {
            id: plan.export.clone(),
            account: plan.account,
            kind: ExportKind::of_layout(plan.location.layout),
            location: plan.location.clone(),
            connected_at: present.map_or(now, |present| present.connected_at),
        };
        let mut changes = Vec::new();
        if present.is_some_and(|present| !same_place(&present.location, &export.location)) {
            changes.push(Change::RemoveExport(export.id.clone()));
        }
        changes.extend([Change::PutAccount(account.clone()), Change::PutExport(export.clone())]);
        let version = self.catalog.publish(&changes).await?;
        run.push(
            Step::new(change_of(former), format!("account {}", plan.account), Status::Ok)
                .detail("Connected as root: its rows are visible."),
        );
        run.push(
            Step::new(change_of(present), format!("exports.{}", export.id), Status::Ok)
                .detail(format!("The export at {} is connected.", export.location.uri()))
                .evidence(serde_json::json!({ "catalog_version": version })),
        );
        if plan.report.periods.is_empty() {
            run.push(waiting_step(&export, &plan.report));
            return Ok(());
        }
        if !request.wait {
            run.push(
                Step::new(Action::Create, format!("exports.{}", export.id), Status::Pending)
                    .detail("The import runs with the next refresh; system.imports shows it.")
                    .next_sql(format!("CALL refresh_export(export_name => '{}');", export.id)),
            );
            return Ok(());
        }
        self.import(&export, run, caller).await?;
        self.push_findings(plan.account, &export, run);
        Ok(())
    }

    /// What the imported data says about the connection.
    fn push_findings(&self, account: AccountId, export: &Export, run: &mut Run) {
        let lease = self.catalog.lease();
        let mut payers: BTreeMap<AccountId, u64> = BTreeMap::new();
        for snapshot in lease.snapshots.get(&export.id).into_iter().flat_map(BTreeMap::values) {
            for totals in snapshot.owner_totals() {
                if let Some(payer) = totals.owner.payer {
                    *payers.entry(payer).or_default() += totals.rows;
                }
            }
        }
        if !payers.is_empty() && !payers.contains_key(&account) {
            let names: Vec<String> = payers.keys().map(ToString::to_string).collect();
            run.push(
                Step::new(Action::Check, format!("account {account}"), Status::Warning).detail(format!(
                    "The data names {} as payer, not this account: connect the payer as root too if its own costs are wanted.",
                    names.join(", ")
                )),
            );
        }
        run.record.steps.extend(ignored_step(&lease));
    }
}

pub(super) fn same_place(one: &ExportLocation, other: &ExportLocation) -> bool {
    let root = |location: &ExportLocation| match &location.root {
        LocationRoot::Bucket { name, .. } => format!("s3://{name}"),
        LocationRoot::Folder(path) => format!("file://{}", path.display()),
    };
    root(one) == root(other) && one.base_key() == other.base_key()
}

pub(super) fn check_present(
    present: &Export,
    location: &ExportLocation,
    account: AccountId,
    replace: bool,
) -> Result<()> {
    if replace || (same_place(&present.location, location) && present.account == account) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Duplicate,
        format!(
            "the export {} is connected already, by account {} at {}",
            present.id,
            present.account,
            present.location.uri()
        ),
    )
    .with_hint("Give replace => true to connect the new one in its place; its data is imported anew."))
}

pub(super) fn change_of<T>(former: Option<T>) -> Action {
    if former.is_some() {
        Action::Reuse
    } else {
        Action::Create
    }
}

pub(super) fn identity_step(identity: &Identity) -> Step {
    Step::new(Action::Check, identity.arn.clone(), Status::Ok)
        .detail(format!(
            "AWS accepts the credential; it belongs to account {}.",
            identity.account
        ))
        .evidence(serde_json::json!({ "action": "sts:GetCallerIdentity", "account": identity.account }))
}

fn location_step(location: &ExportLocation, report: &LocationReport) -> Step {
    let evidence = serde_json::json!({
        "region": report.region, "periods": report.periods, "folders_nearby": report.folders_nearby,
    });
    match (report.periods.first(), report.periods.last()) {
        (Some(first), Some(last)) => Step::new(Action::Check, location.uri(), Status::Ok).detail(format!(
            "{} billing periods are delivered, {first} to {last}.",
            report.periods.len()
        )),
        _ => Step::new(Action::Check, location.uri(), Status::Pending).detail(match report.folders_nearby.as_slice() {
            [] => "The root can be read; nothing is delivered there yet.".to_owned(),
            nearby => format!(
                "The root can be read; nothing is delivered there yet. Folders there: {}.",
                nearby.join(", ")
            ),
        }),
    }
    .evidence(evidence)
}

/// AWS writes the files of a delivery before its manifest, so files alone may be half a delivery.
fn files_alone_step(location: &ExportLocation, left_alone: bool) -> Step {
    let step = Step::new(Action::Check, location.uri(), Status::Warning);
    match left_alone {
        true => step.detail(
            "Data files lie here, and no manifest that says which of them belong together, so they are not read. If AWS delivers \
             here, its manifest follows. If it is a copy of the data alone, connect it with unverified => true.",
        ),
        false => step.detail(
            "There is no manifest: the files of each month's folder are taken as they lie, and nothing proves that they are one \
             whole delivery. system.snapshots shows such months as not verified.",
        ),
    }
}

fn waiting_step(export: &Export, report: &LocationReport) -> Step {
    let mut detail =
        "Waiting for the first delivery, which AWS makes within 24 hours of creating an export; Farthing looks \
                      every hour."
            .to_owned();
    if !report.folders_nearby.is_empty() {
        detail.push_str(&format!(
            " If the export delivers already, the prefix is wrong: these folders are there: {}.",
            report.folders_nearby.join(", ")
        ));
    }
    Step::new(Action::Check, export.location.uri(), Status::Pending)
        .detail(detail)
        .next_sql(format!("CALL refresh_export(export_name => '{}');", export.id))
}

fn push_planned(plan: &Plan, former: Option<&Account>, present: Option<&Export>, run: &mut Run) {
    if matches!(plan.credential, Credential::Inline(_)) {
        run.push(
            Step::new(
                Action::Create,
                format!("credential of account {}", plan.account),
                Status::Planned,
            )
            .detail("The access key would be stored, encrypted."),
        );
    }
    run.push(
        Step::new(change_of(former), format!("account {}", plan.account), Status::Planned)
            .detail("Would be connected as root."),
    );
    run.push(
        Step::new(change_of(present), format!("exports.{}", plan.export), Status::Planned)
            .detail(format!(
                "{} billing periods would be imported.",
                plan.report.periods.len()
            ))
            .evidence(serde_json::json!({
                "required_actions": ["s3:ListBucket", "s3:GetObject"], "periods": plan.report.periods,
            })),
    );
}
