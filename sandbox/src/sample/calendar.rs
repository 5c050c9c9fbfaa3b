//! Billing months and the time units (hours or days) of their rows.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Granularity, SampleError};

/// A billing month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct YearMonth {
    year: i32,
    month: u32,
}

impl YearMonth {
    /// The month `month` (1 to 12) of `year` (2000 to 2200).
    pub fn new(year: i32, month: u32) -> Result<Self, SampleError> {
        if !(2000..=2200).contains(&year) || !(1..=12).contains(&month) {
            return Err(SampleError::Spec(format!(
                "{year}-{month} is no billing month: give a year from 2000 to 2200 and a month from 1 to 12"
            )));
        }
        Ok(Self { year, month })
    }

    /// The month that lies `months` later (earlier if negative).
    pub fn plus(self, months: i32) -> Self {
        let index = self.year * 12 + self.month as i32 - 1 + months;
        Self {
            year: index.div_euclid(12),
            month: index.rem_euclid(12) as u32 + 1,
        }
    }

    /// First second of the month, seconds since 1970 UTC.
    pub fn start(self) -> i64 {
        NaiveDate::from_ymd_opt(self.year, self.month, 1)
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .map_or(0, |time| time.and_utc().timestamp())
    }

    /// First second after the month, seconds since 1970 UTC.
    pub fn end(self) -> i64 {
        self.plus(1).start()
    }

    /// Month of the year, 1 to 12.
    pub fn month(self) -> u32 {
        self.month
    }

    /// The year.
    pub fn year(self) -> i32 {
        self.year
    }
}

impl std::fmt::Display for YearMonth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl std::str::FromStr for YearMonth {
    type Err = SampleError;

    fn from_str(text: &str) -> Result<Self, SampleError> {
        let bad = || {
            SampleError::Spec(format!(
                "'{text}' is no billing month: write it as YYYY-MM, for example 2026-08"
            ))
        };
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        if year.len() != 4 || month.len() != 2 {
            return Err(bad());
        }
        Self::new(year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?)
    }
}

/// `seconds` since 1970 as `YYYY-MM-DDTHH:MM:SSZ`.
pub fn instant(seconds: i64) -> String {
    DateTime::<Utc>::from_timestamp(seconds, 0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `seconds` since 1970 as `YYYY-MM-DDTHH:MM:SS.000Z`.
pub fn instant_millis(seconds: i64) -> String {
    DateTime::<Utc>::from_timestamp(seconds, 0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The months of a sample and their time units, numbered from the first unit of the first month.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// All months, in order.
    pub months: Vec<YearMonth>,
    /// Length of a unit in seconds.
    pub unit_seconds: i64,
    start: i64,
}

impl Calendar {
    /// The `months` months that end with `end`.
    pub fn new(end: YearMonth, months: u32, granularity: Granularity) -> Self {
        let first = end.plus(1 - months as i32);
        let unit_seconds = match granularity {
            Granularity::Hourly => 3600,
            Granularity::Daily => 86_400,
        };
        Self {
            months: (0..months as i32).map(|n| first.plus(n)).collect(),
            unit_seconds,
            start: first.start(),
        }
    }

    /// Number of the unit that begins at or before `seconds`; negative before the first month.
    pub fn unit_of(&self, seconds: i64) -> i32 {
        ((seconds - self.start).div_euclid(self.unit_seconds)) as i32
    }

    /// First second of a unit.
    pub fn unit_start(&self, unit: i32) -> i64 {
        self.start + i64::from(unit) * self.unit_seconds
    }

    /// Units of the month with index `month`, end exclusive.
    pub fn units(&self, month: usize) -> std::ops::Range<i32> {
        self.unit_of(self.months[month].start())..self.unit_of(self.months[month].end())
    }

    /// Number of units in all months.
    pub fn unit_count(&self) -> i32 {
        self.months.last().map_or(0, |last| self.unit_of(last.end()))
    }

    /// Hours in a unit.
    pub fn unit_hours(&self) -> i64 {
        self.unit_seconds / 3600
    }

    /// Day of the week of a unit, 0 for Monday.
    pub fn weekday(&self, unit: i32) -> u32 {
        DateTime::<Utc>::from_timestamp(self.unit_start(unit), 0)
            .unwrap_or_default()
            .weekday()
            .num_days_from_monday()
    }

    /// Hour of the day of a unit.
    pub fn hour(&self, unit: i32) -> usize {
        (self.unit_start(unit).rem_euclid(86_400) / 3600) as usize
    }
}
