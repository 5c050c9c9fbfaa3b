//! What a scheduled look at an export finds changed, in as few requests as AWS allows.
//!
//! AWS restates months of any age, and says so to nobody. A listing names the ETag of every manifest, a thousand to a request,
//! so an hour without news costs one request where asking for each manifest would cost one for every month.

use std::collections::BTreeSet;

use super::{Import, Reason};
use crate::id::BillingPeriod;

/// What is new at an export's location.
#[derive(Debug)]
pub(super) enum News {
    /// Every manifest is the one of the published snapshot, and there is no other.
    Nothing,
    /// These periods are as they were published; of others it is not known.
    Except(BTreeSet<BillingPeriod>),
}

impl News {
    /// Looks, where that can save requests: on schedule, once something was imported. Whatever goes wrong is left to the
    /// import itself to meet and to report.
    pub(super) async fn of(import: &Import<'_>) -> Self {
        let unknown = Self::Except(BTreeSet::new());
        let published = import.snapshots().count();
        if import.reason != Reason::Schedule || published == 0 {
            return unknown;
        }
        let source = &import.importer.source;
        // More requests than one for each month would save nothing.
        let listing = source.list_manifests(&import.export.location, &import.credential, published);
        let Some(Ok(Some(listed))) = import.cancel.run_until_cancelled(listing).await else {
            return unknown;
        };
        let same: BTreeSet<BillingPeriod> = import
            .snapshots()
            .filter(|(period, snapshot)| {
                listed.get(period).is_some_and(|manifest| {
                    manifest.key == snapshot.manifest_key && manifest.e_tag == snapshot.manifest_e_tag
                })
            })
            .map(|(period, _)| period)
            .collect();
        match same.len() == published && listed.len() == published {
            true => Self::Nothing,
            false => Self::Except(same),
        }
    }

    /// Whether the period is known to be as it was published.
    pub(super) fn leaves(&self, period: BillingPeriod) -> bool {
        match self {
            Self::Nothing => true,
            Self::Except(same) => same.contains(&period),
        }
    }
}
