//! Control totals: what was made of a snapshot has its rows and its costs, by owner.

use std::collections::BTreeMap;

use super::off;
use crate::catalog::Export;
use crate::error::Result;
use crate::rollup::build::Built;
use crate::rollup::store::Naming;
use crate::snapshot::derived::EXACT_PREFIX;
use crate::snapshot::{RowOwner, Snapshot};

/// Compares each level with the totals of the import. Rows of nobody are in neither. Error: `Defect`.
pub(super) fn totals(built: &Built, naming: &Naming<'_>, export: &Export, snapshot: &Snapshot) -> Result<()> {
    let cost = export.kind.format().cost.map(|cost| format!("{EXACT_PREFIX}{cost}"));
    let named = |name: &str| {
        naming
            .sums
            .iter()
            .position(|sum| sum.name == name || sum.also.iter().any(|also| also == name))
    };
    let cost = cost.and_then(|cost| named(&cost));
    let mut expected: BTreeMap<RowOwner, (i64, i128)> = BTreeMap::new();
    for totals in snapshot.owner_totals() {
        if totals.rows == 0 || totals.owner.usage_account.or(totals.owner.payer).is_none() {
            continue;
        }
        let units = totals.unblended.values().map(|amount| amount.units()).sum();
        let rows = i64::try_from(totals.rows).unwrap_or(i64::MAX);
        expected.insert(totals.owner, (rows, if cost.is_some() { units } else { 0 }));
    }
    for (level, found) in built.totals(naming.accounts, cost)? {
        if found != expected {
            let owner = expected.iter().find(|(owner, totals)| found.get(owner) != Some(totals));
            let owner = owner.map_or_else(|| "another owner".to_owned(), |(owner, _)| format!("{owner:?}"));
            let (level, period) = (level.as_str(), snapshot.period);
            return Err(off(format!(
                "the rollup by {level} of {period} has other totals for {owner}"
            )));
        }
    }
    Ok(())
}
