//! `cost_changes`: what changed in a month between two deliveries, by account and service.
//!
//! It is computed from the totals that were written at import, so it works for deliveries whose files are gone. Only
//! accounts in the scope are looked at, one by one; nothing is summed over others.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};

use super::as_of::is_by;
use super::in_costs;
use crate::catalog::{CatalogState, KnownDelivery};
use crate::error::Result;
use crate::id::{AccountId, BillingPeriod, ExportId};
use crate::scope::AccountScope;
use crate::snapshot::services::{ServiceSum, ServiceTotals};
use crate::system::tables::rows::{Cell, batch, schema};
use crate::system::tables::{COUNT, INSTANT, MONEY, TEXT};

/// The name of the table function.
pub const COST_CHANGES: &str = "cost_changes";

/// The columns.
pub(crate) fn columns() -> SchemaRef {
    const COLUMNS: [(&str, DataType); 13] = [
        ("export", TEXT),
        ("billing_period", TEXT),
        ("from_delivered_at", INSTANT),
        ("to_delivered_at", INSTANT),
        ("sub_account_id", TEXT),
        ("sub_account_name", TEXT),
        ("x_service_code", TEXT),
        ("billing_currency", TEXT),
        ("cost_before", MONEY),
        ("cost_after", MONEY),
        ("delta", MONEY),
        ("rows_before", COUNT),
        ("rows_after", COUNT),
    ];
    schema(&COLUMNS)
}

/// Two deliveries of a month of an export.
pub(crate) struct Pair {
    pub export: ExportId,
    /// `None` where AWS had delivered nothing by then.
    pub from: Option<KnownDelivery>,
    pub to: KnownDelivery,
}

/// The deliveries to compare in each export: the newest ones by these instants, or else the two newest ones. An export with
/// nothing to compare is left out.
pub(crate) fn pairs(
    lease: &CatalogState,
    period: BillingPeriod,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Vec<Pair> {
    let pair = |export: &ExportId| {
        let known = lease.deliveries(export, period);
        let newest_by = |instant| known.iter().rposition(|known| is_by(known, instant));
        let last = match to {
            Some(to) => newest_by(to)?,
            None => known.len().checked_sub(1)?,
        };
        let first = match from {
            Some(from) => newest_by(from),
            None => Some(last.checked_sub(1)?),
        };
        (first != Some(last)).then(|| Pair {
            export: export.clone(),
            from: first.and_then(|first| known.get(first).cloned()),
            to: known[last].clone(),
        })
    };
    let exports = lease.document.exports.values().filter(|export| in_costs(export));
    exports.filter_map(|export| pair(&export.id)).collect()
}

/// Account, service, currency.
type Key = (Option<AccountId>, Option<String>, Option<String>);

/// What changed in one export for the accounts in the scope; lines without change are left out.
pub(crate) fn rows_of(
    pair: &Pair,
    period: BillingPeriod,
    before: Option<&ServiceTotals>,
    after: &ServiceTotals,
    scope: &AccountScope,
) -> Vec<Vec<Cell>> {
    let mut lines: BTreeMap<Key, [ServiceSum; 2]> = BTreeMap::new();
    for (side, totals) in [before, Some(after)].into_iter().enumerate() {
        let visible = totals.into_iter().flat_map(|totals| &totals.lines);
        for line in visible.filter(|line| scope.sees(line.key.owner)) {
            let key = (
                line.key.owner.usage_account,
                line.key.service.clone(),
                line.key.currency.clone(),
            );
            let sum = &mut lines.entry(key).or_default()[side];
            sum.rows += line.sum.rows;
            sum.cost += line.sum.cost;
        }
    }
    let name = |account: AccountId| {
        let newest = after.account_names.get(&account);
        newest.or_else(|| before?.account_names.get(&account)).cloned()
    };
    let changed = lines.into_iter().filter(|(_, [before, after])| before != after);
    changed
        .map(|((account, service, currency), [one, other])| {
            vec![
                Cell::text(pair.export.as_str()),
                Cell::text(&period.to_string()),
                Cell::Instant(pair.from.as_ref().map(|from| from.delivered_at)),
                Cell::instant(pair.to.delivered_at),
                Cell::maybe_text(account.map(|account| account.to_string())),
                Cell::maybe_text(account.and_then(name)),
                Cell::maybe_text(service),
                Cell::maybe_text(currency),
                Cell::Money(Some(one.cost)),
                Cell::Money(Some(other.cost)),
                Cell::Money(Some(other.cost - one.cost)),
                Cell::count(one.rows),
                Cell::count(other.rows),
            ]
        })
        .collect()
}

/// The rows of all exports.
pub(crate) fn table(rows: Vec<Vec<Cell>>) -> Result<(SchemaRef, RecordBatch)> {
    let columns = columns();
    let batch = batch(Arc::clone(&columns), rows.into_iter())?;
    Ok((columns, batch))
}
