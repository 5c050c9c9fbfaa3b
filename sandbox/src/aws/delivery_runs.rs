//! The runs of an export or report, by the sandbox's clock.
//!
//! A run starts when the export is created and every 24 hours after: AWS promises the first delivery within a day and a
//! refresh at least once a day (AWS Data Exports User Guide, `dataexports-create`). That it takes three hours, by a fixed
//! schedule, is the sandbox's choice, so that a test can turn the clock to each state. What a run comes to is decided when
//! it is first looked at after its end, by the bucket policy of that moment. No files are written: the sample generator
//! does that.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::cloud::Cloud;

const EVERY: TimeDelta = TimeDelta::hours(24);
const QUEUED_AFTER: TimeDelta = TimeDelta::minutes(10);
const QUERY_AFTER: TimeDelta = TimeDelta::minutes(30);
const DELIVERY_AFTER: TimeDelta = TimeDelta::hours(2);
const TAKES: TimeDelta = TimeDelta::hours(3);
/// Older runs are forgotten.
const KEPT: usize = 40;

/// Why a run cannot deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    NoBucket,
    NoPermission,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) started: DateTime<Utc>,
    /// What it came to; `None` while it runs.
    pub(crate) outcome: Option<Result<(), Obstacle>>,
}

impl Run {
    pub(crate) fn ends(&self) -> DateTime<Utc> {
        self.started + TAKES
    }

    /// AWS's word for where it stands (`ExecutionStatusCode`), and since when.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> (&'static str, DateTime<Utc>) {
        match self.outcome {
            Some(Ok(())) => ("DELIVERY_SUCCESS", self.ends()),
            Some(Err(_)) => ("DELIVERY_FAILURE", self.ends()),
            None => {
                let steps = [
                    ("DELIVERY_IN_PROCESS", DELIVERY_AFTER),
                    ("QUERY_IN_PROCESS", QUERY_AFTER),
                    ("QUERY_QUEUED", QUEUED_AFTER),
                ];
                let reached = steps.into_iter().find(|(_, after)| now >= self.started + *after);
                let (word, after) = reached.unwrap_or(("INITIATION_IN_PROCESS", TimeDelta::zero()));
                (word, self.started + after)
            }
        }
    }
}

/// All runs of one export, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    /// Makes the runs' ids.
    seed: String,
    next: DateTime<Utc>,
    runs: Vec<Run>,
}

impl Runs {
    pub(crate) fn starting(seed: &str, at: DateTime<Utc>) -> Self {
        Self {
            seed: seed.to_owned(),
            next: at,
            runs: Vec::new(),
        }
    }

    /// Brings the runs up to `now`; those that ended meanwhile come to what `obstacle` says.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>, obstacle: Option<Obstacle>) {
        while self.next <= now {
            self.runs.push(Run {
                id: run_id(&self.seed, self.next),
                started: self.next,
                outcome: None,
            });
            self.next += EVERY;
        }
        let forgotten = self.runs.len().saturating_sub(KEPT);
        self.runs.drain(..forgotten);
        for run in &mut self.runs {
            if run.outcome.is_none() && run.ends() <= now {
                run.outcome = Some(obstacle.map_or(Ok(()), Err));
            }
        }
    }

    /// Newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().rev()
    }

    /// What the newest finished run came to.
    pub(crate) fn last_outcome(&self) -> Option<Result<(), Obstacle>> {
        self.newest_first().find_map(|run| run.outcome)
    }

    pub(crate) fn last_success(&self) -> Option<DateTime<Utc>> {
        self.newest_first()
            .find(|run| run.outcome == Some(Ok(())))
            .map(Run::ends)
    }
}

/// A UUID in form, the same for the same run.
fn run_id(seed: &str, started: DateTime<Utc>) -> String {
    let digest = hex::encode(Sha256::digest(format!("{seed} {}", started.timestamp())));
    format!(
        "{}-{}-4{}-a{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

/// An AWS service that delivers into customers' buckets.
pub(crate) struct Deliverer<'a> {
    /// Its service principal.
    pub(crate) principal: &'a str,
    /// What it must be allowed on the bucket itself.
    pub(crate) on_bucket: &'a [&'a str],
    /// Values of `aws:SourceArn` that it is taken to come with; one that the policy accepts is enough.
    pub(crate) source_arns: &'a [String],
}

impl Cloud {
    /// Whether something keeps a service from delivering for `account` below `prefix` in `bucket`.
    pub(crate) fn delivery_obstacle(
        &self,
        deliverer: &Deliverer<'_>,
        account: &str,
        bucket: &str,
        prefix: &str,
    ) -> Option<Obstacle> {
        let Some(bucket) = self.buckets.get(bucket) else {
            return Some(Obstacle::NoBucket);
        };
        let arn = bucket.arn();
        let object = format!("{arn}/{prefix}/data");
        let may = |action: &str, resource: &str| {
            deliverer
                .source_arns
                .iter()
                .any(|source| self.authorize_service(deliverer.principal, action, resource, &bucket, account, source))
        };
        let all = may("s3:PutObject", &object) && deliverer.on_bucket.iter().all(|action| may(action, &arn));
        (!all).then_some(Obstacle::NoPermission)
    }
}
