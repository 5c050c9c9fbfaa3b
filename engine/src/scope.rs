//! The accounts that a statement may see.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::CatalogState;
use crate::id::AccountId;
use crate::principal::{Grant, Principal};
use crate::snapshot::RowOwner;

/// The account ids that a statement may see: connected accounts ∩ the principal's grant. Empty shows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}
