//! "No data" because of the account filter: accounts without rows, costs that stay invisible, and logins that see nothing.

use std::collections::BTreeMap;

use serde_json::json;

use super::Asked;
use crate::account::coverage;
use crate::account::ignored_step;
use crate::account::run::{Action, Run, Status, Step};
use crate::catalog::CatalogState;
use crate::id::AccountId;
use crate::money::Amount;
use crate::principal::Grant;

pub(super) fn push_visibility(state: &CatalogState, asked: &Asked, run: &mut Run) {
    let covered = coverage(state);
    let connected = state.document.accounts.keys();
    for id in connected.filter(|id| asked.account(**id) && !covered.contains_key(id)) {
        run.push(
            Step::new(Action::Check, format!("no data: account {id}"), Status::Warning).detail(
                "It is connected, and no delivered row is its own: is it a member of this organization, or too new?",
            ),
        );
    }
    match ignored_step(state) {
        Some(step) => {
            let mut invisible: BTreeMap<String, Amount> = BTreeMap::new();
            for (_, found) in covered
                .iter()
                .filter(|(id, _)| !state.document.accounts.contains_key(id))
            {
                for (currency, amount) in &found.unblended {
                    *invisible.entry(currency.clone()).or_default() += *amount;
                }
            }
            let amounts: Vec<String> = invisible
                .iter()
                .map(|(currency, amount)| format!("{amount} {currency}"))
                .collect();
            let mut evidence = step.evidence.clone();
            evidence["invisible_cost"] = json!(invisible);
            run.push(Step {
                object: "no data: accounts that are not connected".to_owned(),
                detail: format!(
                    "{} Unblended cost that stays invisible: {}.",
                    step.detail,
                    amounts.join(", ")
                ),
                evidence,
                ..step
            });
        }
        None => run.push(
            Step::new(Action::Check, "no data: accounts".to_owned(), Status::Ok)
                .detail("Every account of the data is connected."),
        ),
    }
    push_logins(state, run);
}

/// Logins whose grant holds no connected account: they see empty tables.
fn push_logins(state: &CatalogState, run: &mut Run) {
    for login in state.document.logins.values() {
        let Grant::Accounts(granted) = &login.grant else {
            continue;
        };
        if granted.iter().any(|id| state.document.accounts.contains_key(id)) {
            continue;
        }
        let granted: Vec<&AccountId> = granted.iter().collect();
        run.push(
            Step::new(Action::Check, format!("no data: login {}", login.name), Status::Warning)
                .detail("None of the accounts that it is granted is connected: it sees no costs.")
                .evidence(json!({ "granted": granted })),
        );
    }
}
