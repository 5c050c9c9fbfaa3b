//! Which export counts for an account, month by month, where somebody has said so.
//!
//! Nothing here is needed while an account has one export, or while the order in which its exports were connected is right.
//! A migration from one export to another says from which month the new one counts.

use serde::{Deserialize, Serialize};

use crate::id::{BillingPeriod, ExportId};

/// A stretch of months for which one export counts; it ends where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// The export.
    pub export: ExportId,
    /// Its first month; `None` for all months before the next tenure.
    pub from: Option<BillingPeriod>,
}

/// The tenures of one account, in order of their months.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Authority(Vec<Tenure>);

impl Authority {
    /// The export that counts for `period` wherever it has delivered; `None` where nobody has said so.
    pub fn holder(&self, period: BillingPeriod) -> Option<&ExportId> {
        let begun = |tenure: &&Tenure| tenure.from.is_none_or(|from| from <= period);
        self.0.iter().rev().find(begun).map(|tenure| &tenure.export)
    }

    /// The tenures in order.
    pub fn tenures(&self) -> &[Tenure] {
        &self.0
    }

    /// Before `period` everything stays as it is, with `from` where nothing was said; from then on `to` counts.
    pub fn cut_over(&mut self, from: &ExportId, to: &ExportId, period: BillingPeriod) {
        self.0.retain(|tenure| tenure.from.is_none_or(|begun| begun < period));
        // Moved to a later month: until then it is the former one's.
        while self.0.last().is_some_and(|last| last.export == *to) {
            self.0.pop();
        }
        if self.0.is_empty() {
            self.0.push(Tenure {
                export: from.clone(),
                from: None,
            });
        }
        self.0.push(Tenure {
            export: to.clone(),
            from: Some(period),
        });
    }

    /// Ends the tenure of `to` that followed one of `from`, and whatever came after. Whether there was one.
    pub fn give_back(&mut self, from: &ExportId, to: &ExportId) -> bool {
        let place = self.place(from, to);
        if let Some(place) = place {
            self.0.truncate(place);
        }
        place.is_some()
    }

    /// From which month `to` followed `from`.
    pub fn cut_over_of(&self, from: &ExportId, to: &ExportId) -> Option<BillingPeriod> {
        self.0.get(self.place(from, to)?)?.from
    }

    fn place(&self, from: &ExportId, to: &ExportId) -> Option<usize> {
        let follows = |pair: &[Tenure]| matches!(pair, [one, other] if one.export == *from && other.export == *to);
        self.0.windows(2).rposition(follows).map(|place| place + 1)
    }

    /// Forgets an export that is gone. Whether anything is left.
    pub(super) fn forget(&mut self, export: &ExportId) -> bool {
        self.0.retain(|tenure| tenure.export != *export);
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(text: &str) -> ExportId {
        text.parse().unwrap()
    }

    fn month(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    fn told(authority: &Authority) -> String {
        let tenures = authority.0.iter().map(|tenure| {
            let from = tenure.from.map_or("..".to_owned(), |from| from.to_string());
            format!("{from}:{}", tenure.export)
        });
        tenures.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tenures_follow_each_other() {
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let mut authority = Authority::default();
        assert_eq!(authority.holder(month("2026-05")), None);
        let check = |authority: &Authority, expected: &str| {
            assert_eq!(told(authority), expected);
            let text = serde_json::to_string(authority).unwrap();
            assert_eq!(serde_json::from_str::<Authority>(&text).unwrap(), *authority);
        };
        authority.cut_over(&a, &b, month("2026-05"));
        check(&authority, "..:a 2026-05:b");
        for (period, holder) in [("2026-04", "a"), ("2026-05", "b"), ("2027-01", "b")] {
            assert_eq!(authority.holder(month(period)), Some(&id(holder)));
        }
        // Said again, earlier, later.
        for period in ["2026-05", "2026-04", "2026-06"] {
            authority.cut_over(&a, &b, month(period));
            check(&authority, &format!("..:a {period}:b"));
            assert_eq!(authority.cut_over_of(&a, &b), Some(month(period)));
        }
        authority.cut_over(&b, &c, month("2026-08"));
        check(&authority, "..:a 2026-06:b 2026-08:c");
        assert_eq!(authority.cut_over_of(&b, &a), None);
        assert!(!authority.give_back(&a, &c));
        assert!(authority.give_back(&b, &c));
        check(&authority, "..:a 2026-06:b");
        // There and back by another cut-over: the months between stay with the new one.
        authority.cut_over(&b, &a, month("2026-09"));
        check(&authority, "..:a 2026-06:b 2026-09:a");
        assert!(authority.give_back(&a, &b));
        check(&authority, "..:a");
        assert!(!authority.give_back(&a, &b));
        authority.cut_over(&a, &b, month("2026-05"));
        assert!(authority.forget(&a));
        check(&authority, "2026-05:b");
        assert_eq!(authority.holder(month("2026-04")), None);
        assert!(!authority.forget(&b));
    }
}
