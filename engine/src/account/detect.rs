//! Which exports an account has in AWS, and which of them Farthing can be connected to.
//!
//! Nothing is guessed silently: every export gets a verdict with its reason, kept for `system.export_candidates`, and only a
//! single one that fits is taken without being named.

mod verdict;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Connections;
use super::location::LocationParts;
use super::run::{Action, Run, Status, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{Credential, ExportService, PresentExport};

/// Whether an export can be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is there.
    Fits,
    /// It can be connected when it is named, and something is missing.
    Limited,
    /// Farthing cannot read it, or AWS does not deliver it.
    Unfit,
}

impl Verdict {
    /// The word in `system.export_candidates`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Fits => "fits",
            Verdict::Limited => "limited",
            Verdict::Unfit => "unfit",
        }
    }
}

/// An export of an account, with the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What AWS says of it.
    pub export: PresentExport,
    /// Whether it can be connected.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

impl Candidate {
    /// The table that it delivers: `COST_AND_USAGE_REPORT`, `FOCUS_1_2_AWS` and so on.
    pub fn table(&self) -> Option<&str> {
        let tables = &self.export.definition.table_configurations;
        tables.keys().next().map(String::as_str)
    }

    /// A setting of its table.
    pub fn setting(&self, key: &str) -> Option<&str> {
        let mut tables = self.export.definition.table_configurations.values();
        tables.find_map(|settings| settings.get(key)).map(String::as_str)
    }

    /// Where it is delivered, as `connect_aws_root` takes it.
    pub fn location(&self) -> String {
        let definition = &self.export.definition;
        let prefix = definition.destination.prefix.trim_matches('/');
        let folder = match prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        format!("s3://{}/{folder}{}", definition.destination.bucket, definition.name)
    }
}

/// What one look at an account found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The account.
    pub account: AccountId,
    /// When it was looked at.
    pub detected_at: DateTime<Utc>,
    /// Its exports, those that fit first.
    pub candidates: Vec<Candidate>,
}

impl Connections {
    /// Lists the account's exports, judges them and keeps the result. A service that refuses is told as a warning as long as
    /// the other one answers. Errors: those of [`AwsAdministration`](crate::port::AwsAdministration), when both refuse.
    pub(crate) async fn detect(&self, account: AccountId, credential: &Credential, run: &mut Run) -> Result<Detection> {
        let exports = self.administration.list_exports(credential).await;
        let reports = self.administration.list_reports(credential).await;
        let mut found = Vec::new();
        let mut refused = None;
        for (action, outcome) in [
            ("bcm-data-exports:ListExports", exports),
            ("cur:DescribeReportDefinitions", reports),
        ] {
            match outcome {
                Ok(listed) => {
                    run.push(
                        Step::new(Action::Check, action.to_owned(), Status::Ok)
                            .detail(format!("{} listed.", counted(listed.len(), "export"))),
                    );
                    found.extend(listed);
                }
                Err(error) if error.kind() == ErrorKind::AwsRefused => {
                    run.push(
                        Step::new(Action::Check, action.to_owned(), Status::Warning)
                            .detail(error.message())
                            .evidence(serde_json::json!({ "remedy": error.hint() })),
                    );
                    if let Some(first) = refused.replace(error) {
                        return Err(first);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let mut candidates: Vec<Candidate> = found.into_iter().map(verdict::judge).collect();
        candidates.sort_by_key(|c| (c.verdict as u8, c.export.definition.name.clone()));
        for candidate in &candidates {
            run.push(candidate_step(candidate));
        }
        let detection = Detection {
            account,
            detected_at: self.clock.now(),
            candidates,
        };
        self.detections.put(&run.id, &detection).await?;
        match (detection.candidates.is_empty(), refused) {
            // What the refused service would have listed may be the export that is looked for.
            (true, Some(error)) => Err(error),
            _ => Ok(detection),
        }
    }
}

impl Detection {
    /// The export to connect: the one of that name, or the only one that fits. Errors: `Missing` where there is none,
    /// `BadValue` where there are several, with the statements that choose.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<LocationParts> {
        let named: Vec<&Candidate> = match name {
            Some(name) => {
                let of_name = |c: &&Candidate| c.export.definition.name == name && c.verdict != Verdict::Unfit;
                self.candidates.iter().filter(of_name).collect()
            }
            None => self.candidates.iter().filter(|c| c.verdict == Verdict::Fits).collect(),
        };
        match named.as_slice() {
            [one] => Ok(LocationParts {
                export_name: Some(one.export.definition.name.clone()),
                bucket: Some(one.export.definition.destination.bucket.clone()),
                prefix: Some(one.export.definition.destination.prefix.clone()),
                region: Some(one.export.definition.destination.region.clone()),
                location: None,
            }),
            [] => Err(self.none(name)),
            several => {
                let choices: Vec<String> = several
                    .iter()
                    .map(|c| format!("location => '{}'", c.location()))
                    .collect();
                Err(Error::new(
                    ErrorKind::BadValue,
                    format!("account {} has {} exports that fit", self.account, several.len()),
                )
                .with_hint(format!(
                    "Say which: {}. system.export_candidates lists them.",
                    choices.join(", or ")
                )))
            }
        }
    }

    fn none(&self, name: Option<&str>) -> Error {
        let account = self.account;
        let what = match name {
            Some(name) => format!("account {account} has no export {name} that can be connected"),
            None => format!("account {account} has no export that can be connected"),
        };
        let reasons: Vec<String> = self
            .candidates
            .iter()
            .filter(|c| name.is_none_or(|name| c.export.definition.name == name))
            .map(|c| format!("{}: {}", c.export.definition.name, c.reason))
            .collect();
        let limited = self.candidates.iter().find(|c| c.verdict == Verdict::Limited);
        let error = Error::new(ErrorKind::Missing, what);
        match (reasons.as_slice(), limited) {
            ([], _) => error.with_hint(
                "CALL create_aws_export(...) makes one; or give location => 's3://bucket/prefix/export' of an export that \
                 another account delivers.",
            ),
            (reasons, Some(limited)) => error.with_detail(reasons.join(" ")).with_hint(format!(
                "Name it to connect it all the same: location => '{}'; or CALL create_aws_export(...).",
                limited.location()
            )),
            (reasons, None) => error
                .with_detail(reasons.join(" "))
                .with_hint("CALL create_aws_export(...) makes one that fits."),
        }
    }
}

fn candidate_step(candidate: &Candidate) -> Step {
    let health = &candidate.export.health;
    let status = match candidate.verdict {
        Verdict::Fits => Status::Ok,
        Verdict::Limited | Verdict::Unfit => Status::Warning,
    };
    Step::new(Action::Check, candidate.export.arn.clone(), status)
        .detail(candidate.reason.clone())
        .evidence(serde_json::json!({
            "verdict": candidate.verdict, "location": candidate.location(), "table": candidate.table(),
            "service": candidate.export.definition.service, "status": health.status, "last_delivery": health.last_delivery,
        }))
}

/// `1 export`, `2 exports`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

impl ExportService {
    /// The word in `system.export_candidates`.
    pub fn as_str(self) -> &'static str {
        match self {
            ExportService::DataExports => "data_exports",
            ExportService::Cur => "cur",
        }
    }
}

#[cfg(test)]
mod tests;
