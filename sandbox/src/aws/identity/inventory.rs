//! What there is in an account, for tests that compare what two ways of doing something have left there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Identities;
use crate::aws::Sandbox;

impl Sandbox {
    /// Everything that set-up may make in an account, in an order of its own: buckets with Region, policy and encryption,
    /// exports, legacy reports, users with their policies and the ids of their keys, and managed policies.
    pub fn inventory(&self, account: &str) -> Value {
        let buckets: BTreeMap<String, Value> = self
            .cloud
            .buckets
            .owned_by(account)
            .into_iter()
            .map(|bucket| {
                let policy = bucket.policy().map(|policy| policy.text);
                let policy: Option<Value> = policy.and_then(|text| serde_json::from_str(&text).ok());
                let encryption = bucket.encryption().algorithm;
                let closed = bucket.public_access_block().is_some();
                let settings = json!({
                    "region": bucket.region, "policy": policy, "encryption": encryption, "public_access_blocked": closed,
                });
                (bucket.name.clone(), settings)
            })
            .collect();
        let exports: Vec<String> = self
            .cloud
            .exports
            .of(account, |exports| exports.keys().cloned().collect());
        let reports: Vec<String> = self
            .cloud
            .reports
            .of(account, |reports| reports.keys().cloned().collect());
        let mut inventory = self.cloud.identities.inventory(account);
        inventory["buckets"] = json!(buckets);
        inventory["exports"] = json!(exports);
        inventory["reports"] = json!(reports);
        inventory
    }
}

impl Identities {
    fn inventory(&self, account: &str) -> Value {
        let (names, policies) = self.read(|state| {
            let account = state.accounts.get(account);
            let names: Vec<String> = account
                .map(|found| found.users.keys().cloned().collect())
                .unwrap_or_default();
            let policies: Vec<String> = account
                .map(|found| found.managed.keys().cloned().collect())
                .unwrap_or_default();
            (names, policies)
        });
        let users: BTreeMap<String, Value> = names
            .into_iter()
            .map(|name| {
                let attached = self.attached_policies(account, &name).unwrap_or_default();
                let attached: Vec<String> = attached.into_iter().map(|policy| policy.arn).collect();
                let keys = self.keys_of(account, &name).unwrap_or_default();
                let keys: Vec<String> = keys.into_iter().map(|key| key.access_key_id).collect();
                (name, json!({ "attached": attached, "keys": keys }))
            })
            .collect();
        json!({ "users": users, "policies": policies })
    }
}
