//! Credentials of the machine that the server runs on, by the names that users give them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Credentials that the server's machine has. Written and stored as users write it, `profile:billing` or `chain:instance`; the
/// words behind `chain:` are those of DuckDB's credential chain. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ambient {
    /// A profile of AWS's configuration files (AWS SDKs and Tools Reference Guide, "Shared config and credentials files").
    Profile(String),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// The role of the EC2 instance, from its metadata (IMDSv2).
    Instance,
    /// The role of the ECS task or the EKS pod, from the container's credential endpoint.
    Container,
    /// The role of the Kubernetes service account: `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`.
    WebIdentity,
}

/// The sources without a name of their own, and how they are written.
const CHAIN: [(&str, Ambient); 4] = [
    ("env", Ambient::Environment),
    ("instance", Ambient::Instance),
    ("container", Ambient::Container),
    ("web_identity", Ambient::WebIdentity),
];
/// Characters of a profile's name; AWS sets no bound.
const LONGEST_PROFILE: usize = 128;

impl Ambient {
    /// What a text names that begins like one: `None` for other texts. Error: `BadValue` for an unknown word and for a name
    /// that no profile has.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        if text.starts_with("profile:") || text.starts_with("chain:") {
            text.parse().map(Some)
        } else {
            Ok(None)
        }
    }
}

impl FromStr for Ambient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("profile:") {
            let plain = name.trim() == name && !name.contains(char::is_control);
            if name.is_empty() || name.chars().count() > LONGEST_PROFILE || !plain {
                return Err(
                    Error::new(ErrorKind::BadValue, "credential names no profile that can exist").with_hint(
                        "Write credential => 'profile:<name>', the name as in the section [profile <name>] of the AWS \
                         configuration file.",
                    ),
                );
            }
            return Ok(Ambient::Profile(name.to_owned()));
        }
        let word = text.strip_prefix("chain:").unwrap_or(text);
        let known = CHAIN.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, ambient)| ambient).ok_or_else(|| {
            Error::new(ErrorKind::BadValue, "credential names no source of credentials").with_hint(
                "Write 'profile:<name>', 'chain:env', 'chain:instance', 'chain:container' or 'chain:web_identity'.",
            )
        })
    }
}

impl fmt::Display for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ambient::Profile(name) => write!(f, "profile:{name}"),
            Ambient::Environment => f.write_str("chain:env"),
            Ambient::Instance => f.write_str("chain:instance"),
            Ambient::Container => f.write_str("chain:container"),
            Ambient::WebIdentity => f.write_str("chain:web_identity"),
        }
    }
}

impl TryFrom<String> for Ambient {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Ambient> for String {
    fn from(ambient: Ambient) -> Self {
        ambient.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Ambient;
    use crate::error::ErrorKind;

    #[test]
    fn sources_are_stored_as_they_are_written() {
        for text in [
            "profile:billing",
            "profile:team a/b",
            "chain:env",
            "chain:instance",
            "chain:container",
            "chain:web_identity",
        ] {
            let ambient = Ambient::parse(text).unwrap().unwrap();
            assert_eq!(ambient.to_string(), text);
            let stored = serde_json::to_string(&ambient).unwrap();
            assert_eq!(stored, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Ambient>(&stored).unwrap(), ambient);
        }
        assert_eq!(Ambient::parse("secret:billing").unwrap(), None);
        assert_eq!(Ambient::parse("billing").unwrap(), None);
        for wrong in [
            "profile:",
            "profile: a",
            "profile:a\nb",
            "chain:",
            "chain:sso",
            "chain:env;instance",
        ] {
            let error = Ambient::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadValue, "{wrong}");
            assert!(error.hint().unwrap().contains("profile:<name>"), "{wrong}");
            assert!(
                serde_json::from_str::<Ambient>(&format!("{wrong:?}")).is_err(),
                "{wrong}"
            );
        }
    }
}
