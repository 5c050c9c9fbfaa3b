//! Who asks, what they may do, and which accounts they may see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::AccountId;

/// The three roles, each holding the rights of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Selects.
    Reader,
    /// Also connects accounts and refreshes exports.
    Operator,
    /// Also manages roles, reads the audit and sees what `EXPLAIN ANALYZE` shows of storage.
    Admin,
}

impl Role {
    /// The role's name as SQL shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// The accounts that a principal may see, before the connected accounts are intersected with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Every connected account.
    AllConnected,
    /// These, as far as they are connected.
    Accounts(BTreeSet<AccountId>),
}

/// An authenticated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The login name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Which accounts it may see.
    pub grant: Grant,
}
