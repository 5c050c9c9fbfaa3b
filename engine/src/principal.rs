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

/// A user that may log in: the principal and the verifier of its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The login name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Which accounts it may see.
    pub grant: Grant,
    /// The password's verifier in PostgreSQL's text form, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`
    /// (RFC 5803, RFC 7677). It lets the server check a password; it does not let anybody log in.
    pub verifier: String,
}

impl Login {
    /// The principal that this login becomes once its password is checked.
    pub fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            role: self.role,
            grant: self.grant.clone(),
        }
    }
}
