//! Roles: the external id that Farthing makes, the trust policy that a role needs, and who assumes it.
//!
//! The external id is made once and kept, so that the call that shows the trust policy and the one that connects afterwards
//! are the same statement. Nobody who calls chooses it (IAM user guide, "The confused deputy problem").

use uuid::Uuid;

use super::policy::{self, Partition};
use super::run::{Action, Run, Status, Step};
use super::{Connections, GivenCredential};
use crate::catalog::{Account, AccountKind, Change};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{AssumedRole, Credential, Identity};

impl Connections {
    /// The role with the external id that is kept, or a new one, which is not kept yet.
    pub(super) fn role(&self, arn: &str) -> Result<AssumedRole> {
        account_of(arn)?;
        let lease = self.catalog.lease();
        let kept = lease.document.external_id.clone();
        Ok(AssumedRole {
            arn: arn.to_owned(),
            external_id: kept.unwrap_or_else(|| format!("farthing-{}", Uuid::new_v4())),
        })
    }

    /// Who assumes a role: what is given, or the one connected root.
    pub(super) async fn resolve_base(&self, given: &GivenCredential) -> Result<(Credential, Option<String>)> {
        match given {
            GivenCredential::Role { .. } => Err(Error::new(ErrorKind::BadValue, "a role cannot assume the role")),
            GivenCredential::Absent => {
                let lease = self.catalog.lease();
                let mut roots = lease
                    .document
                    .accounts
                    .values()
                    .filter(|account| account.kind == AccountKind::Root && account.role.is_none())
                    .map(Account::base)
                    .filter(|base| !matches!(base, Credential::Absent));
                match (roots.next(), roots.next()) {
                    (Some(base), None) => Ok((base, None)),
                    (None, _) => Err(Error::new(ErrorKind::BadValue, "nobody is there to assume the role").with_hint(
                        "Give the key that assumes it: access_key_id and secret_access_key, or credential => 'secret:<name>'.",
                    )),
                    (Some(_), Some(_)) => Err(Error::new(
                        ErrorKind::BadValue,
                        "several roots are connected, and each of them could assume the role",
                    )
                    .with_hint("Give credential => 'secret:<name>', or access_key_id and secret_access_key.")),
                }
            }
            given => self.resolve(given).await,
        }
    }

    /// Who the credential is, where nothing can be done without it: the error tells the trust policy that a role lacks.
    pub(super) async fn identify_trusted(
        &self,
        credential: &Credential,
        dry_run: bool,
        run: &mut Run,
    ) -> Result<Identity> {
        if let Some(identity) = self.identify_or_ask_for_trust(credential, dry_run, run).await? {
            return Ok(identity);
        }
        let asked = run.record.steps.last();
        let arn = asked.map(|step| step.object.clone()).unwrap_or_default();
        let trust = asked
            .map(|step| step.evidence["trust_policy"].to_string())
            .unwrap_or_default();
        Err(Error::new(
            ErrorKind::AwsRefused,
            format!("AWS refused sts:AssumeRole: {arn} does not trust Farthing yet"),
        )
        .with_hint(format!("Give the role this trust policy, then call again: {trust}")))
    }

    /// Who the credential is. A role that does not trust Farthing yet gives `None`, after the run says what to do; its
    /// external id is kept then, unless the call only plans.
    pub(super) async fn identify_or_ask_for_trust(
        &self,
        credential: &Credential,
        dry_run: bool,
        run: &mut Run,
    ) -> Result<Option<Identity>> {
        let refused = match self.connector.identify(credential).await {
            Ok(identity) => {
                run.push(super::connect_root::identity_step(&identity));
                return Ok(Some(identity));
            }
            Err(error) => error,
        };
        let (Credential::Assumed { role, base }, ErrorKind::AwsRefused) = (credential, refused.kind()) else {
            return Err(refused);
        };
        let base = self.connector.identify(base).await?;
        let partition = partition_of(&role.arn);
        if !dry_run {
            self.catalog
                .publish(&[Change::PutExternalId(role.external_id.clone())])
                .await?;
        }
        // Another call may have been first; what is kept counts. A dry run keeps none.
        let kept = self.catalog.lease().document.external_id.clone();
        let external_id = kept.unwrap_or_else(|| "made-by-the-call-without-dry-run".to_owned());
        let trust = policy::trust_policy(&base.arn, &external_id, partition)?;
        run.push(
            Step::new(Action::Check, role.arn.clone(), Status::Pending)
                .detail(format!(
                    "The role does not trust {} yet. Give it the trust policy in evidence, then call again.",
                    base.arn
                ))
                .evidence(serde_json::json!({
                    "principal": base.arn, "external_id": external_id, "trust_policy": trust,
                    "aws": refused.message(), "remedy": refused.hint(),
                })),
        );
        Ok(None)
    }
}

/// The partition that an ARN names.
pub(super) fn partition_of(arn: &str) -> Partition {
    let named = arn.split(':').nth(1);
    let mut all = Partition::ALL.into_iter();
    all.find(|(name, _)| named == Some(*name))
        .map_or_else(Partition::default, |(_, partition)| partition)
}

/// The account that a role is in.
pub(super) fn account_of(arn: &str) -> Result<AccountId> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, role] if role.len() > "role/".len() && role.starts_with("role/") => {
            account.parse()
        }
        _ => {
            // Anything but an ARN may be a secret that was given in the wrong place.
            let shown = match arn.starts_with("arn:") {
                true => format!("\"{arn}\""),
                false => "what role_arn says".to_owned(),
            };
            Err(
                Error::new(ErrorKind::BadValue, format!("{shown} is not the ARN of a role"))
                    .with_hint("Write 'arn:aws:iam::<account>:role/<name>', as the IAM console shows it."),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::account_of;

    #[test]
    fn roles_are_told_from_other_arns() {
        let account = |arn: &str| account_of(arn).map(|id| id.to_string());
        assert_eq!(
            account("arn:aws:iam::111122223333:role/path/reader").unwrap(),
            "111122223333"
        );
        for wrong in [
            "reader",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:user/reader",
            "arn:aws:sts::111122223333:assumed-role/reader/x",
            "arn:aws:iam::1111:role/reader",
        ] {
            assert!(account_of(wrong).is_err(), "{wrong}");
        }
    }
}
