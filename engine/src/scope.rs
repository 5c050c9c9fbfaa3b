//! The accounts that a statement may see, and the filter that keeps everything else out.
//!
//! The filter is made, shown and checked. [`exec::ScopeExec`] sits on every Parquet leaf and drops hidden rows before any
//! expression of the user meets them; [`rule::ScopeRule`] writes the same predicate into the logical plan, where
//! `EXPLAIN` prints it; [`check::ScopeCheck`] refuses a physical plan in which a file leaf lacks its `ScopeExec`.

pub mod check;
pub mod exec;
pub mod rule;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, StringArrayType, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;

use crate::catalog::CatalogState;
use crate::error::Error;
use crate::format::AccountColumns;
use crate::id::AccountId;
use crate::principal::{Grant, Principal};
use crate::snapshot::{RowOwner, Snapshot};

/// How many account ids a plan prints before it only counts them.
const PRINTED_ACCOUNTS: usize = 20;

/// The account ids that a statement may see: connected accounts ∩ the principal's grant. Empty shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountScope(Arc<BTreeSet<AccountId>>);

impl AccountScope {
    /// The scope of a principal in one catalog version.
    pub fn of(state: &CatalogState, principal: &Principal) -> Self {
        let connected = state.document.accounts.keys().copied();
        let visible = match &principal.grant {
            Grant::AllConnected => connected.collect(),
            Grant::Accounts(granted) => connected.filter(|id| granted.contains(id)).collect(),
        };
        Self(Arc::new(visible))
    }

    /// Every account that owns a row of the snapshot, connected or not: all its rows but those of nobody are seen.
    ///
    /// For files and totals that the engine makes of a whole snapshot and that keep whose each row is. It is safe because it
    /// is never given to a statement: only [`crate::session::SessionBuilder`]'s internal sessions take it, which run plans of
    /// the engine's own and have no way to a client.
    pub(crate) fn of_snapshot(snapshot: &Snapshot) -> Self {
        let owners = snapshot.files.iter().flat_map(|file| &file.owners);
        let accounts = owners.filter_map(|totals| totals.owner.usage_account.or(totals.owner.payer));
        Self(Arc::new(accounts.collect()))
    }

    /// The accounts.
    pub fn accounts(&self) -> &BTreeSet<AccountId> {
        &self.0
    }

    /// Whether rows of this owner are visible: the usage account decides, and for rows without one the payer.
    pub fn sees(&self, owner: RowOwner) -> bool {
        owner
            .usage_account
            .or(owner.payer)
            .is_some_and(|account| self.0.contains(&account))
    }

    /// Which rows are visible, from their account columns: the usage account decides, and where it is null or blank the
    /// payer; without a column of payers such rows are nobody's. Text that is no account id is visible to nobody. Never
    /// null.
    pub fn mask(&self, usage: &ArrayRef, payer: Option<&ArrayRef>) -> DataFusionResult<BooleanArray> {
        match (
            usage.data_type(),
            payer.map_or(usage.data_type(), |payer| payer.data_type()),
        ) {
            (DataType::Utf8View, DataType::Utf8View) => {
                Ok(self.mask_views(usage.as_string_view(), payer.map(AsArray::as_string_view)))
            }
            (DataType::Utf8, DataType::Utf8) => {
                Ok(self.mask_text(&usage.as_string::<i32>(), payer.map(AsArray::as_string::<i32>)))
            }
            (usage, payer) => Err(Error::defect(format!(
                "the account columns have the types {usage} and {payer}, not text"
            ))
            .into()),
        }
    }

    /// The same by the sixteen bytes of each view: within one array, equal ones are equal texts. Rows of one account often lie
    /// together, and a text is looked up once for all of them; of what lies apart, the texts met last are remembered.
    fn mask_views(&self, usage: &StringViewArray, payer: Option<&StringViewArray>) -> BooleanArray {
        let (rows, views) = (usage.len(), usage.views());
        let mut known = Answers::new(&self.0);
        let mut visible = BooleanBufferBuilder::new(rows);
        let mut row = 0;
        while row < rows {
            let (view, valid) = (views[row], usage.is_valid(row));
            let mut end = row + 1;
            while end < rows && usage.is_valid(end) == valid && (!valid || views[end] == view) {
                end += 1;
            }
            let answer = valid.then(|| known.of(view, usage.value(row))).flatten();
            match (answer, payer) {
                (Some(answer), _) => visible.append_n(end - row, answer),
                (None, None) => visible.append_n(end - row, false),
                (None, Some(payer)) => {
                    // Payers of another array: their views are compared with none of the other's.
                    let mut of_payers = Answers::new(&self.0);
                    for at in row..end {
                        let answer = match payer.is_valid(at) {
                            true => of_payers.of(payer.views()[at], payer.value(at)),
                            false => None,
                        };
                        visible.append(answer.unwrap_or(false));
                    }
                }
            }
            row = end;
        }
        BooleanArray::new(visible.finish(), None)
    }

    fn mask_text<'a, T: StringArrayType<'a>>(&self, usage: &T, payer: Option<T>) -> BooleanArray {
        let rows = usage.len();
        // Rows of one account lie together, so most lookups repeat the one before.
        let mut last: Option<(&str, bool)> = None;
        let mut sees = |text: &'a str| match last {
            Some((known, answer)) if known == text => answer,
            _ => {
                let answer = AccountId::find(text).is_some_and(|account| self.0.contains(&account));
                last = Some((text, answer));
                answer
            }
        };
        (0..rows)
            .map(|row| {
                let usage = usage.is_valid(row).then(|| usage.value(row).trim());
                let payer = || {
                    let payer = payer.as_ref().filter(|payer| payer.is_valid(row));
                    payer.map(|payer| payer.value(row).trim())
                };
                let owner = usage.filter(|text| !text.is_empty()).or_else(payer);
                Some(owner.is_some_and(&mut sees))
            })
            .collect()
    }

    /// The predicate over these columns as a plan prints it. Names only accounts inside the scope.
    pub fn predicate_text(&self, columns: AccountColumns) -> String {
        if self.0.is_empty() {
            return "false: no account is visible".to_owned();
        }
        let mut list = String::new();
        for (n, account) in self.0.iter().enumerate() {
            if n == PRINTED_ACCOUNTS {
                let _ = write!(list, ", ... {} in all", self.0.len());
                break;
            }
            let _ = write!(list, "{}{}", if n == 0 { "" } else { ", " }, account.sql());
        }
        let usage = columns.usage;
        match columns.payer {
            Some(payer) => format!("{usage} IN ({list}) OR {usage} is blank AND {payer} IN ({list})"),
            None => format!("{usage} IN ({list})"),
        }
    }
}

/// Texts that are remembered with their answers; a power of two.
const REMEMBERED: usize = 64;

/// Whether accounts are in the scope, by the views of one array.
struct Answers<'s> {
    accounts: &'s BTreeSet<AccountId>,
    /// By a hash of the view. The view 0, of blank text, needs no place.
    remembered: [(u128, Option<bool>); REMEMBERED],
}

impl<'s> Answers<'s> {
    fn new(accounts: &'s BTreeSet<AccountId>) -> Self {
        Self {
            accounts,
            remembered: [(0, None); REMEMBERED],
        }
    }

    /// Whether the account of this text is in the scope; `None` for blank text, which is no account.
    fn of(&mut self, view: u128, text: &str) -> Option<bool> {
        #[expect(clippy::cast_possible_truncation, reason = "a hash of the view's bytes")]
        let hash = ((view >> 64) as u64 ^ (view as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let place = &mut self.remembered[usize::try_from(hash).unwrap_or_default() % REMEMBERED];
        if place.0 != view {
            let text = text.trim();
            let sees = || AccountId::find(text).is_some_and(|account| self.accounts.contains(&account));
            *place = (view, (!text.is_empty()).then(sees));
        }
        place.1
    }
}

#[cfg(test)]
mod tests;
