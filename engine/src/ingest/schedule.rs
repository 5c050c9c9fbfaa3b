//! When each export is looked at again.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use super::{Importer, NoProgress, Reason};
use crate::id::ExportId;

/// The longest sleep: exports that another server connected meanwhile are noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Importer {
    /// Imports all exports every `every`, with some jitter so that servers that share a store do not move in step, until
    /// cancelled. What fails is tried again later and later; nothing that goes wrong ends the schedule. Running imports are
    /// cancelled with it.
    pub async fn run_schedule(&self, every: Duration, cancel: CancellationToken) {
        let every = every.max(Duration::from_secs(1));
        self.every_seconds.store(every.as_secs(), Ordering::Relaxed);
        let mut due: HashMap<ExportId, DateTime<Utc>> = HashMap::new();
        let mut running = FuturesUnordered::new();
        let mut busy: Vec<ExportId> = Vec::new();
        while !cancel.is_cancelled() {
            if let Err(error) = self.catalog.refresh().await {
                tracing::warn!(%error, "the catalog could not be read again");
            }
            let now = self.clock.now();
            let exports: Vec<ExportId> = self.catalog.lease().document.exports.keys().cloned().collect();
            due.retain(|export, _| exports.contains(export));
            for export in exports {
                if !busy.contains(&export) && due.get(&export).is_none_or(|at| *at <= now) {
                    busy.push(export.clone());
                    running.push(self.scheduled(export, &cancel));
                }
            }
            let waiting = due.iter().filter(|(export, _)| !busy.contains(export));
            let sleep = waiting
                .filter_map(|(_, at)| (*at - now).to_std().ok())
                .fold(LONGEST_SLEEP, Duration::min);
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(export) = running.next() => {
                    busy.retain(|other| *other != export);
                    let at = self.next_look(&export, every);
                    due.insert(export, at);
                }
                () = self.clock.sleep(sleep.max(Duration::from_millis(10))) => {}
            }
        }
        // They see the same token and end at their next step.
        while running.next().await.is_some() {}
        self.every_seconds.store(0, Ordering::Relaxed);
    }

    async fn scheduled(&self, export: ExportId, cancel: &CancellationToken) -> ExportId {
        let run = self.import(&export, &NoProgress, cancel, Reason::Schedule);
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(summary)) => tracing::debug!(%export, periods = summary.periods.len(), "export looked at"),
            Ok(Err(error)) => tracing::info!(%export, %error, "the export was not imported"),
            Err(_) => tracing::error!(%export, "an import ended by a defect"),
        }
        match self.sweep(&export).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(%export, files, "files of replaced snapshots are removed"),
            Err(error) => tracing::warn!(%export, %error, "files of replaced snapshots stay"),
        }
        export
    }

    /// The schedule's own time, or earlier where a period asks for it.
    fn next_look(&self, export: &ExportId, every: Duration) -> DateTime<Utc> {
        let now = self.clock.now();
        let periods = self.recorder.open_tries(export);
        // An export that could not be looked at as a whole has nothing else to wait for.
        if let Some((None, at)) = periods.iter().find(|(period, _)| period.is_none()) {
            return *at;
        }
        let regular = now + TimeDelta::from_std(jittered(every)).unwrap_or(TimeDelta::hours(1));
        periods
            .into_iter()
            .map(|(_, at)| at)
            .filter(|at| *at > now)
            .fold(regular, DateTime::min)
    }
}

/// Up to a twentieth more or less.
fn jittered(every: Duration) -> Duration {
    // Random bits of a UUID; nothing depends on how good they are.
    let (_, bits) = uuid::Uuid::new_v4().as_u64_pair();
    let permille = u32::try_from(950 + bits % 101).unwrap_or(1_000);
    every.saturating_mul(permille) / 1_000
}
