//! Months that an export should have and has not, and the request to AWS that brings them.
//!
//! AWS delivers the present month and, for about two weeks, the one before. Older months come only on request to AWS Support,
//! and never from before the account existed or changed its organization (AWS Data Exports User Guide, "Troubleshooting"; AWS
//! re:Post, "backfill"). So a hole between two delivered months stays until somebody asks.

use std::collections::BTreeSet;

use serde_json::json;

use crate::account::run::{Action, Status, Step};
use crate::catalog::{CatalogState, Export};
use crate::id::{BillingPeriod, ExportId};

/// The months from the first to the last of `present`, that are not in it.
pub(crate) fn missing_between(present: &BTreeSet<BillingPeriod>) -> Vec<BillingPeriod> {
    let (Some(first), Some(last)) = (present.first(), present.last()) else {
        return Vec::new();
    };
    std::iter::successors(Some(*first), |period| Some(period.next()))
        .take_while(|period| period <= last)
        .filter(|period| !present.contains(period))
        .collect()
}

/// The months of an export that are imported.
pub(crate) fn imported(state: &CatalogState, export: &ExportId) -> BTreeSet<BillingPeriod> {
    let periods = state
        .snapshots
        .get(export)
        .into_iter()
        .flat_map(|periods| periods.keys());
    periods.copied().collect()
}

/// Which months there are and, if some are missing between the first and the last, how to get them.
pub(super) fn months_step(export: &Export, present: &BTreeSet<BillingPeriod>, object: String) -> Option<Step> {
    let (first, last) = (present.first()?, present.last()?);
    let missing = missing_between(present);
    if missing.is_empty() {
        return Some(
            Step::new(Action::Check, object, Status::Ok)
                .detail(format!(
                    "No month between {first} and {last} is missing. Months before {first} come only on request to AWS Support."
                ))
                .evidence(json!({
                    "present": present, "missing": missing,
                    "request_for_earlier_months": request(export, &format!("the months before {first}, as far back as possible")),
                })),
        );
    }
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Some(
        Step::new(Action::Check, object, Status::Warning)
            .detail(format!(
                "Between {first} and {last} AWS has not delivered {}. It does so on request only: send AWS Support the text in \
                 evidence. What was before the account existed, or before it changed its organization or management account, \
                 cannot be had.",
                names.join(", ")
            ))
            .evidence(json!({
                "present": present, "missing": missing,
                "request": request(export, &format!("the billing periods {}", names.join(", "))),
            })),
    )
}

/// What to write to AWS Support.
fn request(export: &Export, what: &str) -> String {
    format!(
        "Subject: Backfill of a data export\n\nPlease backfill {what} of the data export \"{}\" of account {}. It is delivered to {}. \
         The account has been in its present organization for these months. Keep the settings of the export as they are, and \
         overwrite what is there.",
        export.location.export_name,
        export.account,
        export.location.uri(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::missing_between;

    #[test]
    fn holes_are_found_across_years() {
        for (present, expected) in [
            ("", ""),
            ("2026-05", ""),
            ("2026-05 2026-06", ""),
            ("2025-11 2026-02", "2025-12 2026-01"),
            ("2026-01 2026-03 2026-05", "2026-02 2026-04"),
        ] {
            let present = present.split_whitespace().map(|month| month.parse().unwrap()).collect();
            let missing: Vec<String> = missing_between(&present).iter().map(ToString::to_string).collect();
            assert_eq!(missing.join(" "), expected, "{present:?}");
        }
    }
}
