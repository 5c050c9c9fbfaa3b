//! `diagnose_aws`: the three questions of the onboarding guide's troubleshooting section, answered with what was looked at:
//! "Export not found", "Access denied", "No data". Changes nothing.

use super::check_access::{Outcome, PermissionCheck};
use super::detect::counted;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, coverage, ignored_step};
use crate::catalog::{Account, CatalogState, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::BillingPeriod;
use crate::port::{Credential, LocationReport, LocationRoot};

impl Connections {
    /// Looks at every connected account and export, and says what keeps costs from being seen.
    pub async fn diagnose(&self, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_diagnosis(&mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_diagnosis(&self, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let lease = self.catalog.lease();
        if lease.document.accounts.is_empty() {
            run.push(
                Step::new(Action::Check, "no data".to_owned(), Status::Failed)
                    .detail("Nothing is connected.")
                    .next_sql("CALL connect_aws_root(access_key_id => '<key>', secret_access_key => '<secret>');"),
            );
            return Ok(());
        }
        for account in lease.document.accounts.values() {
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the diagnosis was cancelled"));
            }
            caller.notify.notify(&format!("Looking at account {}.", account.id));
            let checks = self.checks_of(account, &lease).await?;
            push_access(account, &checks, run);
        }
        for export in lease.document.exports.values() {
            caller.notify.notify(&format!("Looking at the export {}.", export.id));
            self.diagnose_export(export, &lease, run).await?;
        }
        push_accounts(&lease, run);
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
                return Ok(());
            }
        };
        run.push(found_step(export, &report, object("export not found")));
        if report.periods.is_empty() {
            self.push_health(export, &credential, run).await;
        }
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

    /// What AWS says of an export that has not been delivered; nothing if it may not be asked.
    async fn push_health(&self, export: &Export, credential: &Credential, run: &mut Run) {
        if matches!(export.location.root, LocationRoot::Folder(_)) {
            return;
        }
        let Ok(listed) = self.administration.list_exports(credential).await else {
            return;
        };
        let name = &export.location.export_name;
        let object = format!("export not found: exports.{}", export.id);
        let step = match listed.iter().find(|present| present.definition.name == *name) {
            None => {
                let names: Vec<&str> = listed.iter().map(|present| present.definition.name.as_str()).collect();
                Step::new(Action::Check, object, Status::Failed)
                    .detail(format!(
                        "Account {} has no export {name} in AWS Data Exports.",
                        export.account
                    ))
                    .evidence(serde_json::json!({ "exports": names }))
            }
            Some(present) => {
                let executions = self.administration.list_executions(credential, &present.arn).await;
                let last = executions.ok().and_then(|executions| executions.into_iter().next());
                let status = last.as_ref().map(|last| last.status.as_str());
                Step::new(Action::Check, object, Status::Pending)
                    .detail(format!(
                        "AWS has the export: {}, created {}, last execution {}. The first delivery takes up to 24 hours.",
                        present.health.status.as_deref().unwrap_or("of unknown health"),
                        present
                            .health
                            .created_at
                            .map_or_else(|| "at an unknown time".to_owned(), |at| at.to_rfc3339()),
                        status.unwrap_or("none yet"),
                    ))
                    .evidence(serde_json::json!({
                        "arn": present.arn, "health": present.health, "last_execution_status": status,
                    }))
            }
        };
        run.push(step);
    }
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

/// "No data" because of the account filter: accounts without rows, and costs that stay invisible.
fn push_accounts(state: &CatalogState, run: &mut Run) {
    let covered = coverage(state);
    for id in state.document.accounts.keys().filter(|id| !covered.contains_key(id)) {
        run.push(
            Step::new(Action::Check, format!("no data: account {id}"), Status::Warning).detail(
                "It is connected, and no delivered row is its own: is it a member of this organization, or too new?",
            ),
        );
    }
    match ignored_step(state) {
        Some(step) => run.push(Step {
            object: "no data: accounts that are not connected".to_owned(),
            ..step
        }),
        None => run.push(
            Step::new(Action::Check, "no data: accounts".to_owned(), Status::Ok)
                .detail("Every account of the data is connected."),
        ),
    }
}
