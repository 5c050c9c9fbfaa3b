//! The work that a node does in the background after an import: how it is seen to be done, and how it is kept from starting.

use std::time::{Duration, Instant};

use farthing_engine::ErrorKind;
use farthing_server::config::{Config, KEYS, Sources};

use crate::served::Told;
use crate::{Failure, Outcome};

/// Asks how many months are not yet rewritten and summed up.
pub const UNDONE: &str = "SELECT count(*) FROM system.snapshots WHERE form <> 'clustered'";
/// The key of the configuration that switches the work off, and the value that does.
const SWITCH: (&str, &str) = ("derive", "off");
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came of waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum Background {
    /// It was done after so many seconds.
    Done(f64),
    /// It was not done after so many seconds; so many months were left.
    Undone(f64, f64),
    /// It was kept from starting.
    Off,
    /// This build does not tell; why.
    Unknown(String),
}

impl Background {
    /// For the page.
    pub fn text(&self) -> String {
        match self {
            Self::Done(seconds) => format!("done after {seconds:.1} s"),
            Self::Undone(seconds, months) => format!("NOT done after {seconds:.1} s: {months} months are left"),
            Self::Off => "switched off".to_owned(),
            Self::Unknown(why) => format!("this build has none that can be seen ({why})"),
        }
    }
}

/// Looks until no month is undone, for at most `limit`. `count` answers [`UNDONE`].
pub async fn wait(limit: Duration, mut count: impl AsyncFnMut() -> Outcome<f64>) -> Outcome<Background> {
    let began = Instant::now();
    loop {
        let undone = match count().await {
            Ok(undone) => undone,
            Err(failure) if is_unknown(&failure) => return Ok(Background::Unknown(failure.to_string())),
            Err(failure) => return Err(failure),
        };
        let seconds = began.elapsed().as_secs_f64();
        if undone <= 0.0 {
            return Ok(Background::Done(seconds));
        }
        if began.elapsed() > limit {
            return Ok(Background::Undone(seconds, undone));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether an error, Farthing's own or one over the PostgreSQL protocol, says that a column, table or setting does not exist.
pub fn is_unknown(failure: &Failure) -> bool {
    if let Some(told) = failure.downcast_ref::<Told>() {
        return matches!(told.code(), Some("42703" | "42P01" | "42704"));
    }
    let kind = failure
        .downcast_ref::<farthing_engine::Error>()
        .map(farthing_engine::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::Missing | ErrorKind::UnknownColumn | ErrorKind::UnknownTable)
    )
}

/// The configuration with the work switched off, and whether this build has such a switch.
pub fn switched_off(config: Config) -> Outcome<(Config, bool)> {
    if !KEYS.iter().any(|key| key.name == SWITCH.0) {
        return Ok((config, false));
    }
    let sources = Sources {
        file: None,
        environment: Vec::new(),
        options: vec![("the bench", SWITCH.0, SWITCH.1.to_owned())],
    };
    Ok((Config::load(&sources, config)?, true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use farthing_engine::Error;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_until_nothing_is_left() {
        let mut left = 3.0;
        let waited = wait(Duration::from_secs(60), async || {
            left -= 1.0;
            Ok(left)
        });
        assert!(matches!(waited.await.unwrap(), Background::Done(_)));
        assert!(left.abs() < 1e-12);
    }

    #[tokio::test]
    async fn it_gives_up_and_says_what_is_left() {
        let waited = wait(Duration::ZERO, async || Ok(2.0)).await.unwrap();
        assert!(
            matches!(waited, Background::Undone(_, left) if left > 1.0),
            "{waited:?}"
        );
        assert!(waited.text().contains("NOT done"));
    }

    #[tokio::test]
    async fn a_build_that_does_not_tell_is_no_failure_and_any_other_error_is() {
        let missing = || Failure::from(Error::new(ErrorKind::Missing, "no such column"));
        let waited = wait(Duration::ZERO, async || Err(missing())).await.unwrap();
        assert_eq!(waited, Background::Unknown("no such column".to_owned()));
        let broken = || Failure::from(Error::new(ErrorKind::Defect, "broken"));
        assert!(wait(Duration::ZERO, async || Err(broken())).await.is_err());
    }
}
