//! What the control totals of all snapshots say about the owners of rows: names of accounts, and currencies of amounts.
//!
//! It is gathered once for each catalog version, and looked at through a scope: of owners outside it nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::catalog::CatalogState;
use crate::error::Error;
use crate::id::{AccountId, CatalogVersion};
use crate::scope::AccountScope;
use crate::snapshot::{RowOwner, Snapshot};

/// What is known of all owners in one catalog version.
#[derive(Debug)]
pub(crate) struct Owners {
    version: CatalogVersion,
    /// Names: those given at connection, else those of the newest month that has one.
    names: BTreeMap<AccountId, String>,
    currencies: BTreeMap<RowOwner, BTreeSet<String>>,
}

impl Owners {
    fn of(state: &CatalogState) -> Self {
        let costs = state.snapshots.iter().filter(|(export, _)| {
            let export = state.document.exports.get(*export);
            export.is_some_and(super::in_costs)
        });
        let mut snapshots: Vec<&Snapshot> = costs.flat_map(|(_, months)| months.values()).map(Arc::as_ref).collect();
        snapshots.sort_by_key(|snapshot| (snapshot.period, snapshot.delivered_at));
        let mut names: BTreeMap<AccountId, &str> = BTreeMap::new();
        let mut currencies: BTreeMap<RowOwner, BTreeSet<String>> = BTreeMap::new();
        for totals in snapshots
            .iter()
            .flat_map(|snapshot| &snapshot.files)
            .flat_map(|file| &file.owners)
        {
            let account = totals.owner.usage_account.or(totals.owner.payer);
            if let (Some(account), Some(name)) = (account, &totals.account_name) {
                names.insert(account, name);
            }
            let known = currencies.entry(totals.owner).or_default();
            for currency in totals.unblended.keys().filter(|currency| !currency.is_empty()) {
                if !known.contains(currency) {
                    known.insert(currency.clone());
                }
            }
        }
        for account in state.document.accounts.values() {
            if let Some(name) = &account.name {
                names.insert(account.id, name);
            }
        }
        Self {
            version: state.document.version,
            names: names.into_iter().map(|(id, name)| (id, name.to_owned())).collect(),
            currencies,
        }
    }

    /// The names of the accounts in the scope.
    pub fn names(&self, scope: &AccountScope) -> AccountNames {
        let visible = self.names.iter().filter(|(id, _)| scope.accounts().contains(id));
        AccountNames(Arc::new(
            visible.map(|(id, name)| (id.to_string(), name.clone())).collect(),
        ))
    }

    /// The currencies in which visible rows have costs.
    pub fn currencies(&self, scope: &AccountScope) -> BTreeSet<&str> {
        let visible = self.currencies.iter().filter(|(owner, _)| scope.sees(**owner));
        visible.flat_map(|(_, codes)| codes).map(String::as_str).collect()
    }
}

/// The owners of the catalog version that was asked for last.
#[derive(Debug, Default)]
pub(crate) struct KnownOwners(Mutex<Option<Arc<Owners>>>);

impl KnownOwners {
    /// The owners of a catalog version.
    pub fn of(&self, state: &CatalogState) -> Arc<Owners> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some(owners) if owners.version == state.document.version => Arc::clone(owners),
            _ => Arc::clone(last.insert(Arc::new(Owners::of(state)))),
        }
    }
}

/// Names by account id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct AccountNames(Arc<BTreeMap<String, String>>);

impl AccountNames {
    /// Whether no account has a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the account whose id is the value of `account`; NULL where none is known.
    pub fn name_of(&self, account: Expr) -> Expr {
        ScalarUDF::from(AccountName {
            names: self.clone(),
            signature: Signature::exact(vec![DataType::Utf8View], Volatility::Immutable),
        })
        .call(vec![account])
    }
}

/// `account_name(id)`. It is built in the plan and registered nowhere, since it knows the names of one scope.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AccountName {
    names: AccountNames,
    signature: Signature,
}

impl ScalarUDFImpl for AccountName {
    fn name(&self) -> &str {
        "account_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let ids = arrays.first().and_then(|ids| ids.as_string_view_opt());
        let ids = ids.ok_or_else(|| Error::defect("account_name takes text"))?;
        let mut found = StringViewBuilder::with_capacity(ids.len());
        for id in ids {
            found.append_option(id.and_then(|id| self.names.0.get(id)));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}
