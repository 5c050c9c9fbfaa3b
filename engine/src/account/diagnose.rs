//! `diagnose_aws`: the three questions of the onboarding guide's troubleshooting section, answered with what was looked at:
//! "Export not found", "Access denied", "No data". Changes nothing.

pub(crate) mod months;
mod visibility;

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::check_access::{Outcome, PermissionCheck};
use super::detect::counted;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::catalog::{Account, CatalogState, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, BillingPeriod, ExportId};
use crate::port::{Credential, Execution, LocationReport, LocationRoot, PresentExport};

/// AWS refreshes an export at least once a day (AWS Data Exports User Guide, "Export delivery"); two days leave it room.
const STALE_AFTER: TimeDelta = TimeDelta::days(2);

/// What `diagnose_aws` is given.
#[derive(Debug, Clone, Default)]
pub struct Diagnose {
    /// The account; all by default.
    pub account_id: Option<AccountId>,
    /// The export by its AWS name or table name; all by default.
    pub export: Option<String>,
}

/// What is looked at.
struct Asked {
    account: Option<AccountId>,
    export: Option<ExportId>,
}

impl Asked {
    fn account(&self, id: AccountId) -> bool {
        self.account.is_none_or(|account| account == id)
    }

    fn export(&self, export: &Export) -> bool {
        self.account(export.account) && self.export.as_ref().is_none_or(|id| *id == export.id)
    }
}

impl Connections {
    /// Looks at every connected account and export, or at those that are named, and says what keeps costs from being seen.
    pub async fn diagnose(&self, request: &Diagnose, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_diagnosis(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    /// What is looked at: named things have to be connected.
    fn asked(&self, request: &Diagnose) -> Result<Asked> {
        let lease = self.catalog.lease();
        if let Some(id) = request
            .account_id
            .filter(|id| !lease.document.accounts.contains_key(id))
        {
            return Err(Error::new(ErrorKind::Missing, format!("account {id} is not connected"))
                .with_hint("SELECT account_id FROM system.accounts lists the connected ones."));
        }
        let export = request.export.as_deref().map(ExportId::of_export_name).transpose()?;
        let connected = |id: &ExportId| lease.document.exports.contains_key(id);
        match export {
            Some(id) if !connected(&id) => Err(Error::new(ErrorKind::Missing, format!("there is no export {id}"))
                .with_hint(
                    "SELECT export_id FROM system.exports lists the connected ones. CALL connect_aws_root(..., dry_run => true) \
                     looks at one that is not connected.",
                )),
            export => Ok(Asked {
                account: request.account_id,
                export,
            }),
        }
    }

    async fn run_diagnosis(&self, request: &Diagnose, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let asked = self.asked(request)?;
        let lease = self.catalog.lease();
        if lease.document.accounts.is_empty() {
            run.push(
                Step::new(Action::Check, "no data".to_owned(), Status::Failed)
                    .detail("Nothing is connected.")
                    .next_sql("CALL connect_aws_root(access_key_id => '<key>', secret_access_key => '<secret>');"),
            );
            return Ok(());
        }
        for account in lease
            .document
            .accounts
            .values()
            .filter(|account| asked.account(account.id))
        {
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the diagnosis was cancelled"));
            }
            caller.notify.notify(&format!("Looking at account {}.", account.id));
            let checks = self.checks_of(account, &lease).await?;
            push_access(account, &checks, run);
        }
        for export in lease.document.exports.values().filter(|export| asked.export(export)) {
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the diagnosis was cancelled"));
            }
            caller.notify.notify(&format!("Looking at the export {}.", export.id));
            self.diagnose_export(export, &lease, run).await?;
        }
        visibility::push_visibility(&lease, &asked, run);
        Ok(())
    }

    /// "Export not found" and "No data" of one export.
    async fn diagnose_export(&self, export: &Export, state: &CatalogState, run: &mut Run) -> Result<()> {
        let account = state.document.accounts.get(&export.account);
        let credential = account.map_or(Credential::Absent, Account::credential);
        let object = |question: &str| format!("{question}: exports.{}", export.id);
        let report = match self.source.probe(&export.location, &credential).await {
            Ok(report) => report,
            Err(error) => {
                run.push(
                    Step::new(Action::Check, object("export not found"), Status::Failed)
                        .detail(format!("{} cannot be read: {}", export.location.uri(), error.message()))
                        .evidence(serde_json::json!({ "remedy": error.hint(), "aws": error.detail() })),
                );
                self.push_health(export, &credential, false, run).await;
                return Ok(());
            }
        };
        run.push(found_step(export, &report, object("export not found")));
        self.push_health(export, &credential, !report.periods.is_empty(), run)
            .await;
        self.push_stale(export, state, object("no data"), run);
        let mut present: BTreeSet<BillingPeriod> = months::imported(state, &export.id);
        present.extend(&report.periods);
        run.record
            .steps
            .extend(months::months_step(export, &present, object("months")));
        let imported = state.snapshots.get(&export.id);
        let missing: Vec<BillingPeriod> = report
            .periods
            .iter()
            .copied()
            .filter(|period| imported.is_none_or(|imported| !imported.contains_key(period)))
            .collect();
        if !missing.is_empty() {
            run.push(
                Step::new(Action::Check, object("no data"), Status::Failed)
                    .detail(format!(
                        "{} delivered and not imported.",
                        counted(missing.len(), "month")
                    ))
                    .evidence(serde_json::json!({ "periods": missing }))
                    .next_sql(format!("CALL refresh_export(export_name => '{}');", export.id)),
            );
        }
        for trouble in self.importer.troubles(&export.id) {
            let period = trouble
                .period
                .map_or_else(|| "all months".to_owned(), |period| period.to_string());
            run.push(
                Step::new(Action::Check, object("no data"), Status::Warning)
                    .detail(format!(
                        "The newest import of {period} is {}: {}",
                        trouble.state.as_str(),
                        trouble.message.as_deref().unwrap_or("no reason is recorded")
                    ))
                    .evidence(serde_json::json!({
                        "period": trouble.period, "attempts": trouble.attempts, "remedy": trouble.hint,
                        "next_try_at": trouble.next_try_at,
                    })),
            );
        }
        Ok(())
    }

    /// What AWS says of the export, where it may be asked: an export that is not there or not healthy is told in any case,
    /// one that fares well only while nothing of it has been delivered.
    async fn push_health(&self, export: &Export, credential: &Credential, delivered: bool, run: &mut Run) {
        if matches!(export.location.root, LocationRoot::Folder(_)) {
            return;
        }
        let Ok(listed) = self.administration.list_exports(credential).await else {
            return;
        };
        let name = &export.location.export_name;
        let object = format!("export not found: exports.{}", export.id);
        let Some(present) = listed.iter().find(|present| present.definition.name == *name) else {
            let names: Vec<&str> = listed.iter().map(|present| present.definition.name.as_str()).collect();
            // A copy in another bucket is read just as well; AWS then delivers somewhere else, or not any more.
            let status = if delivered { Status::Warning } else { Status::Failed };
            run.push(
                Step::new(Action::Check, object, status)
                    .detail(format!(
                        "Account {} has no export {name} in AWS Data Exports{}",
                        export.account,
                        match delivered {
                            true => ": what is there was delivered before it was deleted, or is a copy.",
                            false => ". CALL create_aws_export(...) makes one.",
                        }
                    ))
                    .evidence(serde_json::json!({ "exports": names })),
            );
            return;
        };
        let executions = self.administration.list_executions(credential, &present.arn).await;
        let last = executions.ok().and_then(|executions| executions.into_iter().next());
        run.record
            .steps
            .extend(health_step(export, present, last.as_ref(), delivered, object));
    }

    /// A newest delivery that is too old: AWS refreshes an export every day.
    fn push_stale(&self, export: &Export, state: &CatalogState, object: String, run: &mut Run) {
        let snapshots = state.snapshots.get(&export.id).into_iter().flatten();
        let Some(newest) = snapshots.map(|(_, snapshot)| snapshot.delivered_at).max() else {
            return;
        };
        if matches!(export.location.root, LocationRoot::Bucket { .. }) && self.clock.now() - newest > STALE_AFTER {
            run.push(
                Step::new(Action::Check, object, Status::Warning)
                    .detail(format!(
                        "The newest delivery that is imported is of {}. AWS refreshes an export every day: look whether the \
                         export still exists and may write to its bucket.",
                        newest.to_rfc3339()
                    ))
                    .evidence(serde_json::json!({ "newest_delivery_at": newest }))
                    .next_sql(format!("CALL refresh_export(export_name => '{}');", export.id)),
            );
        }
    }
}

fn health_step(
    export: &Export,
    present: &PresentExport,
    last: Option<&Execution>,
    delivered: bool,
    object: String,
) -> Option<Step> {
    let destination = &present.definition.destination;
    let evidence = serde_json::json!({
        "arn": present.arn, "health": present.health, "last_execution_status": last.map(|last| &last.status),
        "last_execution_reason": last.and_then(|last| last.reason.as_ref()), "destination": destination,
    });
    let healthy = present
        .health
        .status
        .as_deref()
        .is_none_or(|status| status == "HEALTHY");
    let prefix = destination.prefix.trim_matches('/');
    let folder = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    };
    let delivers_to = format!("s3://{}/{folder}{}", destination.bucket, present.definition.name);
    if delivers_to != export.location.uri() {
        return Some(
            Step::new(Action::Check, object, Status::Warning)
                .detail(format!(
                    "AWS delivers the export of this name to {delivers_to}, and {} is connected: bucket or prefix is another.",
                    export.location.uri()
                ))
                .evidence(evidence),
        );
    }
    if !healthy {
        return Some(
            Step::new(Action::Check, object, Status::Failed)
                .detail(format!(
                    "AWS has the export and says that it is {}: {}. If it may not write, compare the bucket's policy with \
                     aws_bucket_policy(...).",
                    present.health.status.as_deref().unwrap_or("not healthy"),
                    present.health.reason.as_deref().unwrap_or("it gives no reason"),
                ))
                .evidence(evidence),
        );
    }
    (!delivered).then(|| {
        Step::new(Action::Check, object, Status::Pending)
            .detail(format!(
                "AWS has the export: {}, created {}, last execution {}. The first delivery takes up to 24 hours.",
                present.health.status.as_deref().unwrap_or("of unknown health"),
                present
                    .health
                    .created_at
                    .map_or_else(|| "at an unknown time".to_owned(), |at| at.to_rfc3339()),
                last.map_or("none yet", |last| last.status.as_str()),
            ))
            .evidence(evidence)
    })
}

/// "Access denied" of one account: one row if all is well, else one for each refusal.
fn push_access(account: &Account, checks: &[PermissionCheck], run: &mut Run) {
    let refused: Vec<&PermissionCheck> = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Denied && !check.simulated)
        .collect();
    let essential = |check: &&&PermissionCheck| check.needed_for == "import";
    let object = format!("access denied: account {}", account.id);
    if !refused.iter().any(|check| essential(&check)) {
        run.push(
            Step::new(Action::Check, object.clone(), Status::Ok).detail("The credential reads what it has to read."),
        );
    }
    for check in refused {
        let status = if essential(&&check) {
            Status::Failed
        } else {
            Status::Warning
        };
        run.push(
            Step::new(Action::Check, object.clone(), status)
                .detail(format!(
                    "{}, needed for {}: {}",
                    check.action,
                    check.needed_for,
                    check.message.as_deref().unwrap_or("refused")
                ))
                .evidence(serde_json::json!({ "remedy": check.remedy, "resource": check.resource })),
        );
    }
}

fn found_step(export: &Export, report: &LocationReport, object: String) -> Step {
    let evidence = serde_json::json!({ "periods": report.periods, "folders_nearby": report.folders_nearby });
    match (report.periods.first(), report.periods.last()) {
        (Some(first), Some(last)) => Step::new(Action::Check, object, Status::Ok).detail(format!(
            "{} delivers {}, {first} to {last}.",
            export.location.uri(),
            counted(report.periods.len(), "month")
        )),
        _ => Step::new(Action::Check, object, Status::Pending).detail(match report.folders_nearby.as_slice() {
            [] => format!("{} can be read and nothing is delivered there.", export.location.uri()),
            nearby => format!(
                "{} can be read and nothing is delivered there. If AWS delivers already, the prefix is wrong; folders there: {}.",
                export.location.uri(),
                nearby.join(", ")
            ),
        }),
    }
    .evidence(evidence)
}
