//! Keys that end by themselves, in memory until shortly before they do: sessions of roles, and what the server's machine has.

use std::time::{Duration, SystemTime};

use farthing_engine::port::{AccessKey, Ambient, AssumedRole, SecretRef};

/// How long before its end a key is replaced: what it signed last can still be answered.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// How long a key without an end is used before its source is looked at again, which may have been changed by hand.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Sessions kept, one for each connected role.
const SESSIONS: u64 = 10_000;

/// What a key is the key of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SessionOf {
    /// A credential of the server's machine.
    Ambient(Ambient),
    /// A role that a stored key assumes.
    Stored(AssumedRole, SecretRef),
    /// A role that a credential of the server's machine assumes.
    Assumed(AssumedRole, Ambient),
}

/// A key, and how long it may be used.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) key: AccessKey,
    pub(crate) kept: Duration,
}

impl Session {
    /// A key that ends at `end`, or not at all.
    #[expect(
        clippy::disallowed_methods,
        reason = "AWS says when a key ends in the time of the day"
    )]
    pub(crate) fn until(key: AccessKey, end: Option<SystemTime>) -> Self {
        let left = end.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        Self {
            key,
            kept: left.map_or(LOOK_AGAIN, |left| left.saturating_sub(AHEAD)),
        }
    }
}

/// The sessions of a process. Concurrent askers of one session wait for one request.
pub(crate) type Sessions = moka::future::Cache<SessionOf, Session>;

pub(crate) fn sessions() -> Sessions {
    moka::future::Cache::builder()
        .max_capacity(SESSIONS)
        .expire_after(OwnLifetime)
        .build()
}

struct OwnLifetime;

impl moka::Expiry<SessionOf, Session> for OwnLifetime {
    fn expire_after_create(&self, _: &SessionOf, session: &Session, _: std::time::Instant) -> Option<Duration> {
        Some(session.kept)
    }

    fn expire_after_update(
        &self,
        _: &SessionOf,
        session: &Session,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(session.kept)
    }
}

#[cfg(test)]
mod tests {
    use farthing_engine::secret::SecretString;

    use super::*;

    #[test]
    fn a_key_is_replaced_before_it_ends() {
        let kept = |end| {
            let key = AccessKey {
                access_key_id: "ASIAFARTHINGEXAMPLE1".to_owned(),
                secret_access_key: SecretString::new("not-a-real-secret"),
                session_token: None,
            };
            Session::until(key, end).kept
        };
        let now = SystemTime::now();
        assert_eq!(kept(None), LOOK_AGAIN);
        assert_eq!(kept(Some(now)), Duration::ZERO);
        assert_eq!(kept(Some(now + Duration::from_secs(60))), Duration::ZERO);
        let hour = kept(Some(now + Duration::from_secs(3600)));
        assert!(
            hour <= Duration::from_secs(3300) && hour > Duration::from_secs(3290),
            "{hour:?}"
        );
    }
}
