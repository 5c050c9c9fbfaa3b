//! What stays in AWS when an account is disconnected, and the commands that remove it.
//!
//! Farthing removes nothing itself. What it made is known from the history of its writes; of what was there before, only the
//! export and the access key that the connection used are named.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::account::aws_write::{
    ATTACH_POLICY, CREATE_BUCKET, CREATE_EXPORT, CREATE_KEY, CREATE_POLICY, CREATE_USER, PUT_BUCKET_POLICY, PUT_REPORT,
    Written,
};
use crate::account::run::{Action, Status, Step};
use crate::account::{Connections, shown_key_id};
use crate::catalog::{Account, Export};
use crate::port::LocationRoot;

impl Connections {
    /// One row for each thing that stays, in the order in which the commands work.
    pub(super) fn remains(&self, account: &Account, exports: &[&Export]) -> Vec<Step> {
        let written = self.written();
        let written: Vec<Written> = written.into_iter().filter(|write| write.is_of(account.id)).collect();
        let mut steps = self.exports_that_stay(account, exports, &written);
        steps.extend(buckets_that_stay(&written));
        steps.extend(identities_that_stay(account, &written));
        steps
    }

    fn exports_that_stay(&self, account: &Account, exports: &[&Export], written: &[Written]) -> Vec<Step> {
        let mut found: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
        for write in written
            .iter()
            .filter(|w| [CREATE_EXPORT, PUT_REPORT].contains(&w.action.as_str()))
        {
            let Some(name) = write.text("export_name") else {
                continue;
            };
            let destination = &write.evidence["definition"]["destination"];
            let (bucket, prefix) = (destination["bucket"].as_str(), destination["prefix"].as_str());
            let files = bucket.map(|bucket| format!("s3://{bucket}/{}/{name}/", prefix.unwrap_or_default()));
            let arn = Some(write.object.clone()).filter(|object| object.starts_with("arn:"));
            found.insert(name.to_owned(), (arn, files));
        }
        for export in exports {
            if let LocationRoot::Bucket { .. } = export.location.root {
                let uri = export.location.uri();
                let entry = found.entry(export.location.export_name.clone()).or_default();
                entry.1 = Some(format!("{uri}/"));
                if entry.0.is_none() {
                    entry.0 = self.detected_arn(account, &uri);
                }
            }
        }
        found
            .into_iter()
            .map(|(name, (arn, files))| {
                let mut removal = match arn.as_deref() {
                    Some(arn) if arn.contains(":cur:") => {
                        vec![format!("aws cur delete-report-definition --region us-east-1 --report-name {name}")]
                    }
                    Some(arn) => {
                        vec![format!("aws bcm-data-exports delete-export --region us-east-1 --export-arn {arn}")]
                    }
                    None => vec![
                        format!(
                            "aws bcm-data-exports list-exports --region us-east-1 --query \"Exports[?ExportName=='{name}'].ExportArn\" \
                             --output text"
                        ),
                        "aws bcm-data-exports delete-export --region us-east-1 --export-arn <arn>".to_owned(),
                    ],
                };
                removal.extend(files.map(|files| format!("aws s3 rm {files} --recursive")));
                let object = arn.unwrap_or_else(|| format!("export {name}"));
                stays(object, &format!("The export {name} goes on delivering, and its files stay."), removal)
            })
            .collect()
    }

    /// The ARN of an export by what was found when the account's exports were looked through.
    fn detected_arn(&self, account: &Account, location: &str) -> Option<String> {
        let (_, detection) = self.detections.newest(|detection| detection.account == account.id)?;
        let found = detection
            .candidates
            .iter()
            .find(|candidate| candidate.location() == location);
        found.map(|candidate| candidate.export.arn.clone())
    }
}

/// Buckets that Farthing made, and in others the statements that it added to their policies.
fn buckets_that_stay(written: &[Written]) -> Vec<Step> {
    let of = |action: &'static str| written.iter().filter(move |write| write.action == action);
    let made: BTreeMap<&str, &str> = of(CREATE_BUCKET)
        .filter_map(|write| Some((write.text("bucket")?, write.object.as_str())))
        .collect();
    let mut policies: BTreeMap<&str, (BTreeSet<String>, bool)> = BTreeMap::new();
    for write in of(PUT_BUCKET_POLICY) {
        let Some(bucket) = write.text("bucket").filter(|bucket| !made.contains_key(bucket)) else {
            continue;
        };
        let sids = |member: &str| -> Vec<String> {
            let list = write.evidence[member].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|sid| sid.as_str().map(str::to_owned)).collect()
        };
        let all = write.evidence["policy"]["Statement"].as_array().map_or(0, Vec::len);
        let entry = policies.entry(bucket).or_insert((BTreeSet::new(), true));
        entry.0.extend(sids("added").into_iter().chain(sids("replaced")));
        // The newest write decides: it holds the statements of the former ones.
        entry.1 = all == entry.0.len();
    }
    let policies = policies.into_iter().map(|(bucket, (sids, alone))| {
        let removal = match alone {
            true => format!("aws s3api delete-bucket-policy --bucket {bucket}"),
            false => {
                let wanted: Vec<String> = sids.iter().map(|sid| format!(".Sid == \"{sid}\"")).collect();
                format!(
                    "aws s3api get-bucket-policy --bucket {bucket} --query Policy --output text | jq 'del(.Statement[] | select({}))' \
                     > policy.json && aws s3api put-bucket-policy --bucket {bucket} --policy file://policy.json",
                    wanted.join(" or ")
                )
            }
        };
        let sids: Vec<String> = sids.into_iter().collect();
        let detail = format!("Statements that Farthing added let AWS deliver: {}.", sids.join(", "));
        stays(format!("policy of s3://{bucket}"), &detail, vec![removal])
    });
    let made = made.iter().map(|(bucket, arn)| {
        stays(
            (*arn).to_owned(),
            "Farthing made the bucket. The command deletes it with everything in it.",
            vec![format!("aws s3 rb s3://{bucket} --force")],
        )
    });
    policies.chain(made).collect()
}

/// The user and the policies that set-up made, and the key that the connection used.
fn identities_that_stay(account: &Account, written: &[Written]) -> Vec<Step> {
    let of = |action: &'static str| written.iter().filter(move |write| write.action == action);
    let mut steps = Vec::new();
    let users: BTreeMap<&str, &str> = of(CREATE_USER)
        .filter_map(|write| Some((write.object.as_str(), write.text("user_name")?)))
        .collect();
    for (arn, name) in &users {
        let attached: BTreeSet<&str> = of(ATTACH_POLICY)
            .filter(|write| write.text("user_name") == Some(name))
            .filter_map(|write| write.text("policy_arn"))
            .collect();
        let mut keys: BTreeSet<&str> = of(CREATE_KEY)
            .filter(|write| write.text("user_name") == Some(name))
            .filter_map(|write| write.text("access_key_id"))
            .collect();
        keys.extend(
            account
                .access_key_id
                .as_deref()
                .filter(|_| account.arn.as_deref() == Some(arn)),
        );
        let detach = attached
            .iter()
            .map(|policy| format!("aws iam detach-user-policy --user-name {name} --policy-arn {policy}"));
        let delete = keys
            .iter()
            .map(|key| format!("aws iam delete-access-key --user-name {name} --access-key-id {key}"));
        let mut removal: Vec<String> = detach.chain(delete).collect();
        removal.push(format!("aws iam delete-user --user-name {name}"));
        steps.push(stays(
            (*arn).to_owned(),
            "The user of setup_aws_iam_user, with its policies and keys. If the user was there before, leave it.",
            removal,
        ));
    }
    let policies: BTreeSet<&str> = of(CREATE_POLICY).map(|write| write.object.as_str()).collect();
    steps.extend(policies.iter().map(|arn| {
        let removal = vec![format!("aws iam delete-policy --policy-arn {arn}")];
        stays((*arn).to_owned(), "The policy of that user.", removal)
    }));
    steps.extend(credential_that_stays(account, &users));
    steps
}

/// What the connection signed in with, unless it is the key of a user that is listed.
fn credential_that_stays(account: &Account, listed: &BTreeMap<&str, &str>) -> Option<Step> {
    if let Some(role) = &account.role {
        let name = role.arn.rsplit('/').next()?;
        return Some(stays(
            role.arn.clone(),
            "The role trusts Farthing's external id. Take its policies from it first.",
            vec![
                format!("aws iam list-role-policies --role-name {name}"),
                format!("aws iam list-attached-role-policies --role-name {name}"),
                format!("aws iam delete-role --role-name {name}"),
            ],
        ));
    }
    let own = account
        .secret
        .as_ref()
        .is_some_and(|secret| secret.name.starts_with("aws/"));
    let (arn, key) = (account.arn.as_deref()?, account.access_key_id.as_deref()?);
    if !own || listed.contains_key(arn) {
        return None;
    }
    // The root user has keys and no name.
    let user = arn.split_once(":user/")?.1.rsplit('/').next()?;
    Some(stays(
        format!("access key {} of {arn}", shown_key_id(key)),
        "The key that the connection used stays valid.",
        vec![format!(
            "aws iam delete-access-key --user-name {user} --access-key-id {key}"
        )],
    ))
}

fn stays(object: String, what: &str, removal: Vec<String>) -> Step {
    Step::new(Action::Skip, object, Status::Ok)
        .detail(format!("Stays in AWS. {what} To remove it: {}", removal.join(" ; ")))
        .evidence(json!({ "remains": true, "removal": removal }))
}
