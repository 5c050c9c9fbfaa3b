//! One value as it was given, and how it is read as each type.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use farthing_engine::{Error, ErrorKind, Result};
use figment::value::{Num, Value};
use url::Url;

/// Units of time, the longest name first where one is the start of another.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Units of size.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A value, which key it is for, and where it came from.
pub struct Given<'a> {
    /// The key.
    pub key: &'static str,
    /// The value.
    pub value: &'a Value,
    /// Where it was given, for messages.
    pub origin: &'a str,
    /// What relative paths are relative to; `None` for the working directory.
    pub base: Option<PathBuf>,
}

impl Given<'_> {
    /// A text.
    pub fn text(&self) -> Result<String> {
        match self.value {
            Value::String(_, text) => Ok(text.clone()),
            Value::Char(_, c) => Ok(c.to_string()),
            Value::Num(_, number) => Ok(number_text(number)),
            _ => Err(self.bad("a text", "Put the value in quotes.")),
        }
    }

    /// A path.
    pub fn path(&self) -> Result<PathBuf> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.bad("a path", "Give the path of a file or folder."));
        }
        Ok(super::below(self.base.as_deref(), &text))
    }

    /// An address and port.
    pub fn address(&self) -> Result<SocketAddr> {
        let text = self.text()?;
        let text = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"))
            .unwrap_or(text);
        text.parse().map_err(|_| {
            self.bad(
                "an address with a port",
                "Give an IP address and a port, for example '127.0.0.1:5432', '0.0.0.0:5432' or '[::1]:5432'.",
            )
        })
    }

    /// A length of time above zero, at most a year.
    pub fn duration(&self) -> Result<Duration> {
        let read = || {
            let millis = sum_of_units(&self.text().ok()?, &TIME_UNITS)?;
            (1..=366 * 86_400_000)
                .contains(&millis)
                .then(|| Duration::from_millis(millis))
        };
        read().ok_or_else(|| {
            self.bad(
                "a length of time",
                "Give a number with a unit (ms, s, m, h, d), for example '30s' or '1h'.",
            )
        })
    }

    /// A number of bytes above zero.
    pub fn bytes(&self) -> Result<u64> {
        let read = || {
            let text = self.text().ok()?;
            let bytes = match text.parse() {
                Ok(bytes) => bytes,
                Err(_) => sum_of_units(&text, &SIZE_UNITS)?,
            };
            (bytes > 0).then_some(bytes)
        };
        read().ok_or_else(|| {
            self.bad(
                "a size",
                "Give a number of bytes, or one with a unit (KiB, MiB, GiB, TiB), for example '4GiB'.",
            )
        })
    }

    /// The same, or 0 for none.
    pub fn bytes_or_none(&self) -> Result<u64> {
        if self.is_zero() { Ok(0) } else { self.bytes() }
    }

    fn is_zero(&self) -> bool {
        self.text().is_ok_and(|text| matches!(text.trim(), "0" | "0B"))
    }

    /// A number of bytes that this machine can address.
    pub fn memory(&self) -> Result<usize> {
        let bytes = self.bytes()?;
        usize::try_from(bytes).map_err(|_| self.bad("a size that this machine can address", "Give a smaller one."))
    }

    /// A whole number from 1 to `most`.
    pub fn count(&self, most: usize) -> Result<usize> {
        let read = || {
            let number: usize = self.text().ok()?.parse().ok()?;
            (1..=most).contains(&number).then_some(number)
        };
        read().ok_or_else(|| self.bad("a whole number in range", &format!("Give a number from 1 to {most}.")))
    }

    /// The same, or 0 for none.
    pub fn count_or_none(&self, most: usize) -> Result<usize> {
        if self.is_zero() { Ok(0) } else { self.count(most) }
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text()?.to_ascii_lowercase();
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("'{name}'")).collect();
            self.bad(
                "one of the words allowed",
                &format!("Give one of {}.", names.join(", ")),
            )
        })
    }

    /// The URL of an AWS endpoint: `https`, or `http` on this machine, without anything after the port. The value is not
    /// repeated in the error, since a mistyped one may hold a password.
    pub fn endpoint(&self) -> Result<Url> {
        let loopback = |url: &Url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let allowed = |url: &Url| {
            url.has_host()
                && (url.scheme() == "https" || (url.scheme() == "http" && loopback(url)))
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
                && matches!(url.path(), "" | "/")
        };
        let url = self.text().ok().and_then(|text| Url::parse(&text).ok()).filter(allowed);
        url.ok_or_else(|| {
            Error::new(
                ErrorKind::BadValue,
                format!("{} ({}) is not an endpoint that may be used", self.key, self.origin),
            )
            .with_hint(
                "Give scheme, host and port alone: 'https://host:port', or 'http://127.0.0.1:port' on this machine. \
                 Signed requests never go over the network in clear.",
            )
        })
    }

    /// The error for a value that is not `wanted`.
    pub fn bad(&self, wanted: &str, hint: &str) -> Error {
        let shown = match self.value {
            Value::String(_, text) => format!("\"{}\"", text.escape_debug()),
            Value::Num(_, number) => number_text(number),
            Value::Bool(_, value) => value.to_string(),
            Value::Char(_, c) => format!("\"{c}\""),
            Value::Array(..) => "a list".to_owned(),
            Value::Dict(..) => "a table".to_owned(),
            Value::Empty(..) => "empty".to_owned(),
        };
        Error::new(
            ErrorKind::BadValue,
            format!("{} ({}) is {shown}, which is not {wanted}", self.key, self.origin),
        )
        .with_hint(hint)
    }
}

fn number_text(number: &Num) -> String {
    match (number.to_u128(), number.to_i128(), number.to_f64()) {
        (Some(n), _, _) => n.to_string(),
        (_, Some(n), _) => n.to_string(),
        (_, _, Some(n)) => n.to_string(),
        _ => String::new(),
    }
}

/// The sum of a text such as `1h 30m`: numbers, each with a unit.
fn sum_of_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let name = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, factor) = units.iter().find(|(unit, _)| *unit == &rest[..name])?;
        sum = sum.checked_add(number.checked_mul(*factor)?)?;
        rest = rest[name..].trim_start();
    }
    Some(sum)
}

/// A length of time as it is written in the configuration.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show_in_units(
        millis,
        &[TIME_UNITS[4], TIME_UNITS[3], TIME_UNITS[2], TIME_UNITS[1]],
        "ms",
    )
}

/// A size as it is written in the configuration.
pub fn show_bytes(bytes: u64) -> String {
    show_in_units(
        bytes,
        &[SIZE_UNITS[7], SIZE_UNITS[6], SIZE_UNITS[5], SIZE_UNITS[4]],
        "B",
    )
}

fn show_in_units(number: u64, largest_first: &[(&str, u64)], smallest: &str) -> String {
    let fitting = largest_first
        .iter()
        .find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match fitting {
        Some((unit, factor)) => format!("\"{}{unit}\"", number / factor),
        None => format!("\"{number}{smallest}\""),
    }
}
