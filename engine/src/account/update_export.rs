//! `update_aws_export`: moves an account from one export to another, from a month on: legacy CUR to CUR 2.0, for one.
//!
//! Nothing is asked of AWS and nothing is imported: both exports are connected, both tables stay, and one catalog version
//! says which of them counts in `costs` for which months. What the call tells is computed from the control totals of the
//! imported snapshots, which count every delivered row; `system.migration_check` compares what its reader sees, service by
//! service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::catalog::authority::Authority;
use crate::catalog::{CatalogState, Change, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, ExportId};
use crate::money::Amount;
use crate::port::LocationRoot;
use crate::snapshot::Snapshot;

/// What `update_aws_export` is given.
#[derive(Debug, Clone)]
pub struct UpdateExport {
    /// The export that counts until now, by its AWS name or table name.
    pub from_export: String,
    /// The export that is to count from the cut-over on.
    pub to_export: String,
    /// What is to happen.
    pub turn: Turn,
    /// Whether it only plans.
    pub dry_run: bool,
}

/// Which way authority goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From this month on to the new export.
    Over(BillingPeriod),
    /// Back to the former one.
    Back,
}

type Months = BTreeMap<BillingPeriod, std::sync::Arc<Snapshot>>;

/// Rows and unblended cost by currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sums {
    rows: u64,
    cost: BTreeMap<String, Amount>,
}

impl Connections {
    /// Says from which month on one export counts instead of the other, or takes that back. Errors: `Missing` for an export
    /// that is not connected, `NotDelivered` where the new one lacks the month, `BadValue` for exports that do not belong
    /// together.
    pub async fn update_export(&self, request: &UpdateExport, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_update_export(request, &mut run).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_update_export(&self, request: &UpdateExport, run: &mut Run) -> Result<()> {
        self.catalog.refresh().await?;
        let account = exports(&self.catalog.lease(), request)?.0.account;
        let _held = self.lock(format!("account {account}"), run)?;
        // What another call did before it gave the lock back counts.
        let lease = self.catalog.lease();
        let (from, to) = exports(&lease, request)?;
        let none = Months::new();
        let old = lease.snapshots.get(&from.id).unwrap_or(&none);
        let new = lease.snapshots.get(&to.id).unwrap_or(&none);
        let before = lease.document.authority.get(&from.account).cloned().unwrap_or_default();
        let mut after = before.clone();
        let change = match request.turn {
            Turn::Over(period) => {
                check_cut_over(&lease, (from, to), (old, new), period)?;
                after.cut_over(&from.id, &to.id, period);
                Change::CutOver {
                    account: from.account,
                    from: from.id.clone(),
                    to: to.id.clone(),
                    period,
                }
            }
            Turn::Back => {
                check_back(&before, from, to)?;
                after.give_back(&from.id, &to.id);
                Change::GiveBack {
                    account: from.account,
                    from: from.id.clone(),
                    to: to.id.clone(),
                }
            }
        };
        push_prefix_warning(from, to, run);
        push_months(from, to, (old, new), run);
        if let Turn::Over(period) = request.turn {
            push_lacking(from, to, (old, new), period, run);
            push_tags(from, to, (old, new), run);
        }
        let former = counted(&lease, [&from.id, &to.id]);
        let unchanged = before == after;
        let (version, state) = if unchanged || request.dry_run {
            let mut document = lease.document.clone();
            document.apply(&change)?;
            let (snapshots, derived) = (lease.snapshots.clone(), lease.derived.clone());
            let state = CatalogState {
                document,
                snapshots,
                derived,
            };
            (lease.document.version, state)
        } else {
            let version = self.catalog.publish(&[change]).await?;
            (version, Arc::unwrap_or_clone(self.catalog.lease()))
        };
        let later = counted(&state, [&from.id, &to.id]);
        let action = if unchanged { Action::Reuse } else { Action::Update };
        let status = match (unchanged, request.dry_run) {
            (false, true) => Status::Planned,
            _ => Status::Ok,
        };
        run.push(
            Step::new(action, format!("costs of account {}", from.account), status)
                .detail(detail(request.turn, (from, to), unchanged, (&former, &later)))
                .evidence(serde_json::json!({
                    "catalog_version": version, "before": before, "after": after,
                    "counted_before": evidence(&former), "counted_after": evidence(&later),
                }))
                .next_sql(next_sql(request.turn, (from, to))),
        );
        Ok(())
    }
}

fn next_sql(turn: Turn, (from, to): (&Export, &Export)) -> String {
    match turn {
        Turn::Over(_) => format!(
            "SELECT * FROM system.migration_check WHERE '{}' IN (from_export, to_export) AND '{}' IN (from_export, to_export) \
             AND verdict <> 'identical';",
            from.id, to.id
        ),
        Turn::Back => format!(
            "SELECT billing_period, export_id, rows FROM system.snapshots WHERE export_id IN ('{}', '{}') AND \
             counts_in_costs ORDER BY 1;",
            from.id, to.id
        ),
    }
}

/// The two exports. Errors: `Missing` with how to connect, `BadValue` for two that do not belong together.
fn exports<'a>(lease: &'a CatalogState, request: &UpdateExport) -> Result<(&'a Export, &'a Export)> {
    let find = |name: &str| -> Result<_> { Ok(lease.document.exports.get(&ExportId::of_export_name(name)?)) };
    let missing = |name: &str, hint: String| {
        Error::new(ErrorKind::Missing, format!("the export {name} is not connected")).with_hint(hint)
    };
    let Some(from) = find(&request.from_export)? else {
        let hint = "SELECT export_id FROM system.exports lists the connected ones.".to_owned();
        return Err(missing(&request.from_export, hint));
    };
    let Some(to) = find(&request.to_export)? else {
        return Err(missing(&request.to_export, how_to_connect(&request.to_export, from)));
    };
    if from.id == to.id {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!("from_export and to_export are both {}", from.id),
        )
        .with_hint("Give the export that counts until now, and the one that is to take over."));
    }
    if from.account != to.account {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!(
                "the export {} is account {}'s, and {} is account {}'s",
                from.id, from.account, to.id, to.account
            ),
        )
        .with_hint("Exports of two payers never count for each other: each payer keeps its own."));
    }
    Ok((from, to))
}

fn how_to_connect(name: &str, from: &Export) -> String {
    let bucket = match &from.location.root {
        LocationRoot::Bucket { name, .. } => name.as_str(),
        LocationRoot::Folder(_) => "<bucket>",
    };
    format!(
        "If AWS delivers it already: CALL connect_aws_root(location => 's3://<bucket>/<prefix>/{name}', ...). If there is none \
         yet: CALL create_aws_export(export_name => '{name}', bucket => '{bucket}', prefix => '<another prefix than the old \
         export has>', ...), which makes and connects a CUR 2.0 export. Both exports stay connected while you compare them."
    )
}

fn check_cut_over(
    lease: &CatalogState,
    (from, to): (&Export, &Export),
    (old, new): (&Months, &Months),
    period: BillingPeriod,
) -> Result<()> {
    if new.is_empty() {
        return Err(Error::new(
            ErrorKind::NotDelivered,
            format!("the export {} has not delivered any month yet", to.id),
        )
        .with_hint(format!(
            "AWS makes the first delivery within 24 hours; then CALL refresh_export(export_name => '{}') and call this again.",
            to.id
        )));
    }
    if !new.contains_key(&period) {
        return Err(Error::new(
            ErrorKind::NotDelivered,
            format!("the export {} does not have the month {period}", to.id),
        )
        .with_detail(format!("It has {}; {} has {}.", listed(new), from.id, listed(old)))
        .with_hint(
            "Cut over to a month that it has. A new export begins with the month in which it was made; AWS Support delivers \
             earlier ones on request.",
        ));
    }
    // Somebody else's months are not given away by the way.
    match holder_before(lease, (from, to), (old, new), period) {
        None => Ok(()),
        Some(other) => Err(Error::new(
            ErrorKind::BadValue,
            format!("before {period} the export {other} counts, not {}", from.id),
        )
        .with_hint(format!(
            "Give from_export => '{other}', or take its cut-over back first with back => true."
        ))),
    }
}

/// The export that counts before `period`, where it is not `from`.
fn holder_before(
    lease: &CatalogState,
    (from, to): (&Export, &Export),
    (old, new): (&Months, &Months),
    period: BillingPeriod,
) -> Option<ExportId> {
    let authority = lease.document.authority.get(&from.account);
    let tenures = authority.map(Authority::tenures).unwrap_or_default();
    let begun: Vec<&ExportId> = tenures
        .iter()
        .filter(|tenure| tenure.from.is_none_or(|from| from < period))
        .map(|tenure| &tenure.export)
        .collect();
    if !begun.is_empty() {
        // The new one's own tenure may be moved to a later month.
        let last = begun
            .into_iter()
            .rev()
            .find(|export| **export != to.id)
            .unwrap_or(&to.id);
        return (*last != from.id).then(|| last.clone());
    }
    let excluded = crate::costs::excluded(lease);
    let mut both = old.range(..period).filter(|(period, _)| new.contains_key(period));
    let theirs = both.any(|(_, snapshot)| !crate::costs::counts(&excluded, snapshot));
    theirs.then(|| to.id.clone())
}

fn check_back(before: &Authority, from: &Export, to: &Export) -> Result<()> {
    let last = before.tenures().last();
    match (before.cut_over_of(&from.id, &to.id), last) {
        (Some(_), Some(last)) if last.export != to.id => Err(Error::new(
            ErrorKind::BadValue,
            format!("the export {} has taken over from {} since", last.export, to.id),
        )
        .with_hint("Take that cut-over back first.")),
        (Some(_), _) => Ok(()),
        // Said again: it is done already.
        (None, Some(last)) if last.export == from.id => Ok(()),
        (None, _) => Err(Error::new(
            ErrorKind::Missing,
            format!("the export {} has not taken over from {}", to.id, from.id),
        )
        .with_hint(
            "SELECT billing_period, export_id, counts_in_costs FROM system.snapshots shows which export counts for which month.",
        )),
    }
}

fn listed(months: &Months) -> String {
    match months.len() {
        0 => "no month".to_owned(),
        _ => months.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn sums(snapshot: &Snapshot) -> Sums {
    let mut sums = Sums::default();
    for owner in snapshot.owner_totals() {
        sums.add(owner.rows, owner.unblended);
    }
    sums
}

impl Sums {
    fn add(&mut self, rows: u64, cost: BTreeMap<String, Amount>) {
        self.rows += rows;
        for (currency, amount) in cost {
            *self.cost.entry(currency).or_insert(Amount::ZERO) += amount;
        }
    }

    fn text(&self) -> String {
        let cost: Vec<String> = self
            .cost
            .iter()
            .map(|(currency, amount)| format!("{amount} {currency}"))
            .collect();
        match cost.as_slice() {
            [] => format!("{} rows", self.rows),
            cost => format!("{} rows, {}", self.rows, cost.join(" and ")),
        }
    }
}

/// What the two exports add to `costs`, month by month, each cost once.
fn counted(state: &CatalogState, exports: [&ExportId; 2]) -> BTreeMap<BillingPeriod, Sums> {
    let excluded = crate::costs::excluded(state);
    let mut counted: BTreeMap<BillingPeriod, Sums> = BTreeMap::new();
    for export in exports {
        for (period, snapshot) in state.snapshots.get(export).into_iter().flatten() {
            let theirs = excluded.get(export).and_then(|periods| periods.get(period));
            let entry = counted.entry(*period).or_default();
            for owner in snapshot.owner_totals() {
                if theirs.is_none_or(|theirs| !theirs.contains(&owner.owner.payer)) {
                    entry.add(owner.rows, owner.unblended);
                }
            }
        }
    }
    counted
}

fn whole(months: &BTreeMap<BillingPeriod, Sums>) -> Sums {
    let mut whole = Sums::default();
    for month in months.values() {
        whole.add(month.rows, month.cost.clone());
    }
    whole
}

fn evidence(months: &BTreeMap<BillingPeriod, Sums>) -> serde_json::Value {
    months
        .iter()
        .map(|(period, sums)| (period.to_string(), sums_evidence(sums)))
        .collect()
}

fn sums_evidence(sums: &Sums) -> serde_json::Value {
    serde_json::json!({ "rows": sums.rows, "unblended_cost": sums.cost })
}

fn detail(
    turn: Turn,
    (from, to): (&Export, &Export),
    unchanged: bool,
    (former, later): (&BTreeMap<BillingPeriod, Sums>, &BTreeMap<BillingPeriod, Sums>),
) -> String {
    let mut detail = match (turn, unchanged) {
        (Turn::Over(period), false) => format!("{} counts before {period}, {} from then on.", from.id, to.id),
        (Turn::Over(period), true) => {
            format!(
                "{} counts before {period} already, and {} from then on.",
                from.id, to.id
            )
        }
        (Turn::Back, false) => format!("{} counts again for every month that it has.", from.id),
        (Turn::Back, true) => format!("{} counts already for every month that it has.", from.id),
    };
    let (former, later) = (whole(former), whole(later));
    detail.push_str(&match former == later {
        true => format!(" Both together: {}, as before.", later.text()),
        false => format!(" Both together: {}; before: {}.", later.text(), former.text()),
    });
    detail.push_str(" Both tables stay in the schema exports.");
    detail
}

/// Exports below one prefix are told apart by their names alone, and a bucket policy or a lifecycle rule hits both.
fn push_prefix_warning(from: &Export, to: &Export, run: &mut Run) {
    let root = |export: &Export| match &export.location.root {
        LocationRoot::Bucket { name, .. } => format!("s3://{name}"),
        LocationRoot::Folder(path) => format!("file://{}", path.display()),
    };
    if root(from) != root(to) {
        return;
    }
    let (one, other) = (from.location.base_key(), to.location.base_key());
    let nested = one.starts_with(&format!("{other}/")) || other.starts_with(&format!("{one}/"));
    if from.location.prefix != to.location.prefix && !nested {
        return;
    }
    run.push(
        Step::new(Action::Check, to.location.uri(), Status::Warning)
            .detail(format!(
                "{} and {} write below one prefix, {}/{}. Rules of the bucket for that prefix hit both, and what is deleted with \
                 the old export's files may take the new ones along. AWS advises another prefix for the new export.",
                from.id,
                to.id,
                root(from),
                from.location.prefix
            ))
            .evidence(serde_json::json!({ "from": from.location.uri(), "to": to.location.uri() })),
    );
}

/// One step for each month that both have, and one for those that only one of them has.
fn push_months(from: &Export, to: &Export, (old, new): (&Months, &Months), run: &mut Run) {
    for (period, snapshot) in old {
        let Some(other) = new.get(period) else { continue };
        let (one, other) = (sums(snapshot), sums(other));
        let (status, detail) = match one == other {
            true => (Status::Ok, format!("Identical: {}.", one.text())),
            false => (
                Status::Warning,
                format!(
                    "Differs: {} has {}; {} has {}.",
                    from.id,
                    one.text(),
                    to.id,
                    other.text()
                ),
            ),
        };
        run.push(
            Step::new(Action::Check, format!("month {period}"), status)
                .detail(detail)
                .evidence(serde_json::json!({ "from": sums_evidence(&one), "to": sums_evidence(&other) })),
        );
    }
    let only = |months: &Months, others: &Months| -> Vec<String> {
        let only = months.keys().filter(|period| !others.contains_key(period));
        only.map(ToString::to_string).collect()
    };
    let sides = [(from, only(old, new)), (to, only(new, old))];
    for (export, months) in sides.into_iter().filter(|(_, months)| !months.is_empty()) {
        run.push(
            Step::new(Action::Check, format!("exports.{}", export.id), Status::Ok)
                .detail(format!(
                    "It alone has {}: these months count as it has them, whatever the cut-over.",
                    months.join(", ")
                ))
                .evidence(serde_json::json!({ "only_in": export.id, "months": months })),
        );
    }
}

/// Months from the cut-over on that only the old export has.
fn push_lacking(from: &Export, to: &Export, (old, new): (&Months, &Months), cut_over: BillingPeriod, run: &mut Run) {
    let lacking: Vec<String> = old
        .range(cut_over..)
        .filter(|(period, _)| !new.contains_key(period))
        .map(|(period, _)| period.to_string())
        .collect();
    if lacking.is_empty() {
        return;
    }
    run.push(
        Step::new(Action::Check, format!("exports.{}", to.id), Status::Warning)
            .detail(format!(
                "It lacks {}, which are after the cut-over: until it delivers them they count as {} has them.",
                lacking.join(", "),
                from.id
            ))
            .next_sql(format!("CALL refresh_export(export_name => '{}');", to.id)),
    );
}

/// How the old export's tag columns are written in the new one.
fn push_tags(from: &Export, to: &Export, (old, new): (&Months, &Months), run: &mut Run) {
    let columns = |months: &Months| -> BTreeSet<String> {
        let columns = months.values().flat_map(|snapshot| &snapshot.columns);
        columns.map(|column| column.name.clone()).collect()
    };
    let (old, new) = (columns(old), columns(new));
    let mut spellings = Vec::new();
    for (map, in_costs) in [("resource_tags", "tags"), ("cost_category", "x_cost_categories")] {
        for (has, lacks, way) in [(&old, &new, "from"), (&new, &old, "to")] {
            if has.contains(map) || !lacks.contains(map) {
                continue;
            }
            for column in has.iter() {
                if let Some(key) = column.strip_prefix(map).and_then(|rest| rest.strip_prefix('_')) {
                    let other = if way == "from" { "to" } else { "from" };
                    spellings.push(serde_json::json!({
                        way: column, other: format!("{map}['{key}']"), "costs": format!("{in_costs}['{key}']"),
                    }));
                }
            }
        }
    }
    if spellings.is_empty() {
        return;
    }
    run.push(
        Step::new(Action::Check, "tag spellings".to_owned(), Status::Ok)
            .detail(format!(
                "{} tags and cost categories are columns in one export and entries of a map in the other; costs shows both \
                 as entries of its maps, so queries over costs need no change.",
                spellings.len()
            ))
            .evidence(serde_json::json!({ "from_export": from.id, "to_export": to.id, "spellings": spellings })),
    );
}
