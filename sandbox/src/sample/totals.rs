//! Control totals: what the generated rows add up to, counted from the integers that became the files' doubles.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An exact amount in units of 1e-12 of the currency, written as decimal text with twelve places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExactAmount(pub i128);

const UNITS: i128 = 1_000_000_000_000;

impl fmt::Display for ExactAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let one = UNITS.unsigned_abs();
        write!(f, "{sign}{}.{:012}", units / one, units % one)
    }
}

impl FromStr for ExactAmount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no amount with at most twelve decimal places");
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > 12 {
            return Err(bad());
        }
        let whole: i128 = whole.parse().map_err(|_| bad())?;
        let part: i128 = format!("{part:0<12}").parse().map_err(|_| bad())?;
        let units = whole
            .checked_mul(UNITS)
            .and_then(|w| w.checked_add(part))
            .ok_or_else(bad)?;
        Ok(Self(sign * units))
    }
}

impl Serialize for ExactAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExactAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Rows and their four costs: unblended, net, amortised and net amortised, by the formulas of the AWS cost and usage
/// dashboard table (`table-dictionary-cur-dashboard`) and their net counterparts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostSums {
    /// Number of rows.
    pub rows: u64,
    /// Sum of `line_item_unblended_cost`.
    pub unblended: ExactAmount,
    /// Sum of `line_item_net_unblended_cost`.
    pub net_unblended: ExactAmount,
    /// Amortised cost.
    pub amortized: ExactAmount,
    /// Amortised cost after discounts.
    pub net_amortized: ExactAmount,
}

impl CostSums {
    /// Adds other sums to these.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.unblended.0 += other.unblended.0;
        self.net_unblended.0 += other.net_unblended.0;
        self.amortized.0 += other.amortized.0;
        self.net_amortized.0 += other.net_amortized.0;
    }
}

/// The sums of an export by billing period (`YYYY-MM`) and usage account id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlTotals {
    /// Sums of everything.
    pub grand: CostSums,
    /// Sums by billing period, then usage account id.
    pub periods: BTreeMap<String, BTreeMap<String, CostSums>>,
}

impl ControlTotals {
    /// Adds sums of one account in one billing period.
    pub fn add(&mut self, period: &str, account: &str, sums: &CostSums) {
        if sums.rows == 0 {
            return;
        }
        self.grand.add(sums);
        self.periods
            .entry(period.to_owned())
            .or_default()
            .entry(account.to_owned())
            .or_default()
            .add(sums);
    }

    /// Replaces the billing periods that `newer` has: the totals after a restated delivery.
    pub fn restate(&mut self, newer: &Self) {
        for (period, accounts) in &newer.periods {
            self.periods.insert(period.clone(), accounts.clone());
        }
        self.grand = CostSums::default();
        for sums in self.periods.values().flat_map(BTreeMap::values) {
            self.grand.add(sums);
        }
    }

    /// Sums over the given accounts in all periods.
    pub fn of_accounts<'a>(&self, accounts: impl IntoIterator<Item = &'a str>) -> CostSums {
        let mut sums = CostSums::default();
        for account in accounts {
            for month in self.periods.values() {
                if let Some(part) = month.get(account) {
                    sums.add(part);
                }
            }
        }
        sums
    }

    /// Sums of one billing period over all accounts.
    pub fn of_period(&self, period: &str) -> CostSums {
        let mut sums = CostSums::default();
        for part in self.periods.get(period).into_iter().flat_map(BTreeMap::values) {
            sums.add(part);
        }
        sums
    }
}
