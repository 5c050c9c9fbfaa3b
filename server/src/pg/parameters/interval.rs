//! Interval texts: PostgreSQL's own output (`1 year 2 mons 3 days 04:05:06`) and ISO 8601 (`P1Y2M3DT4H5M6S`), turned into
//! the amounts with units that Arrow's parser reads.

use datafusion::arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use datafusion::arrow::datatypes::IntervalMonthDayNano;

/// Reads an interval; `None` if the text is none. A number without a unit counts seconds, as in PostgreSQL.
pub(super) fn parse(text: &str) -> Option<IntervalMonthDayNano> {
    let amounts = match text.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest)?,
        None => clock(text)?,
    };
    parse_interval_month_day_nano_config(&amounts, IntervalParseConfig::new(IntervalUnit::Second)).ok()
}

/// Replaces a time of day at the end, such as `-04:05:06.5`.
fn clock(text: &str) -> Option<String> {
    let (before, time) = match text.rsplit_once(char::is_whitespace) {
        Some((before, time)) => (before, time),
        None => ("", text),
    };
    if !time.contains(':') {
        // After a negative part PostgreSQL marks a positive one with a plus, which Arrow does not read.
        return Some(text.replace('+', ""));
    }
    let (sign, time) = match time.strip_prefix('-') {
        Some(time) => ("-", time),
        None => ("", time.strip_prefix('+').unwrap_or(time)),
    };
    let mut parts = time.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let seconds_are_one = number(&seconds.replacen('.', "", 1));
    (parts.next().is_none() && number(hours) && number(minutes) && seconds_are_one).then(|| {
        let before = before.replace('+', "");
        format!("{before} {sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds")
            .trim_start()
            .to_owned()
    })
}

/// Reads what follows the `P`: amounts with designators, those of the time after `T`.
fn iso(text: &str) -> Option<String> {
    let mut amounts = Vec::new();
    let mut amount = String::new();
    let mut in_time = false;
    for char in text.chars() {
        let unit = match (char.to_ascii_uppercase(), in_time) {
            ('T', false) if amount.is_empty() => {
                in_time = true;
                continue;
            }
            ('0'..='9' | '.' | '-', _) => {
                amount.push(char);
                continue;
            }
            ('Y', false) => "years",
            ('M', false) => "months",
            ('W', false) => "weeks",
            ('D', false) => "days",
            ('H', true) => "hours",
            ('M', true) => "minutes",
            ('S', true) => "seconds",
            _ => return None,
        };
        if amount.is_empty() {
            return None;
        }
        amounts.push(format!("{} {unit}", std::mem::take(&mut amount)));
    }
    (amount.is_empty() && !amounts.is_empty()).then(|| amounts.join(" "))
}
