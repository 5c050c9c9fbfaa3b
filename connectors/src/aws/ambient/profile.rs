//! Profiles of AWS's configuration files: from a profile's name to a key and the roles that it assumes in turn.
//!
//! The SDK parses the files; what a profile means is decided here, so that roles are assumed through Farthing's own STS client
//! and its errors. What would start a program or ask a person is refused by name.

use std::collections::HashMap;

use aws_config::profile::{Profile, ProfileFileLoadError, ProfileSet};
use aws_types::os_shim_internal::{Env, Fs};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, Ambient};
use farthing_engine::secret::SecretString;

use super::HostEnvironment;
use crate::aws::error::root_cause;

/// Settings that need more than files and AWS, and what to do in their place.
const REFUSED: [(&str, &str); 6] = [
    (
        "credential_process",
        "It starts a program, which the server does not. Let the program write its keys into another profile, or store a key with \
         put_secret.",
    ),
    ("sso_session", BROWSER),
    ("sso_start_url", BROWSER),
    ("sso_account_id", BROWSER),
    ("login_session", BROWSER),
    (
        "mfa_serial",
        "It needs a person with a device. Let the role trust a user or role that signs in without one.",
    ),
];
const BROWSER: &str = "It needs a person who signs in with a browser. Use a role: 'chain:instance', 'chain:container' or a \
                       profile with role_arn.";
/// Variables that say where the files are.
const VARIABLES: [&str; 3] = ["HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];

/// What a profile signs in with first.
#[derive(Debug)]
pub(super) enum Base {
    /// A key in the files.
    Key(AccessKey),
    /// Another source of the machine: `credential_source`.
    Source(Ambient),
    /// A role for a token in a file.
    WebIdentity {
        /// The role.
        role: String,
        /// The token's file.
        file: String,
        /// `role_session_name`
        session: Option<String>,
    },
}

/// A role that a profile assumes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProfileRole {
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
    pub(super) session_name: Option<String>,
}

/// What a profile comes down to.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) base: Base,
    /// In the order in which they are assumed.
    pub(super) roles: Vec<ProfileRole>,
}

/// Reads the files and follows the profile. Errors: `Missing` for a profile that is not there, `Unsupported` for settings that
/// need a program or a person, `BadCredentials` for profiles that do not work.
pub(super) async fn read(environment: &HostEnvironment, name: &str) -> Result<Chain> {
    let variables: HashMap<String, String> = VARIABLES
        .iter()
        .filter_map(|variable| Some(((*variable).to_owned(), environment.get(variable)?)))
        .collect();
    let selected = Some(name.to_owned().into());
    // Default files: those that the variables name, or ~/.aws/config and ~/.aws/credentials.
    let profiles = aws_config::profile::load(&Fs::real(), &Env::from(variables), &Default::default(), selected)
        .await
        .map_err(|error| unreadable(&error))?;
    resolve(&profiles, name)
}

/// Says file and line, and not what the line holds.
fn unreadable(error: &ProfileFileLoadError) -> Error {
    let cause = root_cause(error);
    let words: Vec<&str> = cause.split_whitespace().collect();
    Error::new(
        ErrorKind::BadCredentials,
        format!(
            "the AWS configuration files of the server's machine cannot be used: {}",
            words.join(" ")
        ),
    )
    .with_hint("Correct the file; `aws configure list-profiles` reads the same ones.")
}

/// Follows `source_profile` from role to role down to what needs no other profile.
pub(super) fn resolve(profiles: &ProfileSet, name: &str) -> Result<Chain> {
    let mut seen: Vec<&str> = Vec::new();
    let mut roles = Vec::new();
    let mut at = name;
    let base = loop {
        let profile = profiles
            .get_profile(at)
            .ok_or_else(|| missing(profiles, at, seen.last()))?;
        if seen.contains(&at) {
            return Err(wrong(name, &format!("its source_profile comes back to {at}")));
        }
        seen.push(at);
        // A source that has a key of its own gives that, whatever else it says.
        if seen.len() > 1 && profile.get("aws_access_key_id").is_some() {
            break key(profile)?;
        }
        let Some(role) = role(profile) else {
            break base(profile)?;
        };
        if profile.get("mfa_serial").is_some() {
            return Err(refused(at, "mfa_serial"));
        }
        roles.push(role);
        match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(source), None) if source == at => break key(profile)?,
            (Some(source), None) => at = source,
            (None, Some(source)) => break self::source(at, source)?,
            (Some(_), Some(_)) => {
                return Err(wrong(at, "it has both source_profile and credential_source"));
            }
            (None, None) => {
                return Err(wrong(at, "it has role_arn without source_profile or credential_source"));
            }
        }
    };
    roles.reverse();
    Ok(Chain { base, roles })
}

fn role(profile: &Profile) -> Option<ProfileRole> {
    // With a token file, the token signs in to the role.
    if profile.get("web_identity_token_file").is_some() {
        return None;
    }
    Some(ProfileRole {
        arn: profile.get("role_arn")?.to_owned(),
        external_id: profile.get("external_id").map(str::to_owned),
        session_name: profile.get("role_session_name").map(str::to_owned),
    })
}

fn base(profile: &Profile) -> Result<Base> {
    let at = profile.name();
    if let Some(source) = profile.get("credential_source") {
        return self::source(at, source);
    }
    if let Some(file) = profile.get("web_identity_token_file") {
        let role = profile
            .get("role_arn")
            .ok_or_else(|| wrong(at, "it has web_identity_token_file without role_arn"))?;
        return Ok(Base::WebIdentity {
            role: role.to_owned(),
            file: file.to_owned(),
            session: profile.get("role_session_name").map(str::to_owned),
        });
    }
    if let Some((setting, _)) = REFUSED.iter().find(|(setting, _)| profile.get(setting).is_some()) {
        return Err(refused(at, setting));
    }
    key(profile)
}

fn source(at: &str, source: &str) -> Result<Base> {
    Ok(Base::Source(match source {
        "Environment" => Ambient::Environment,
        "Ec2InstanceMetadata" => Ambient::Instance,
        "EcsContainer" => Ambient::Container,
        _ => {
            return Err(wrong(
                at,
                "its credential_source is not Environment, Ec2InstanceMetadata or EcsContainer",
            ));
        }
    }))
}

fn key(profile: &Profile) -> Result<Base> {
    let id = profile.get("aws_access_key_id");
    let (Some(id), Some(secret)) = (id, profile.get("aws_secret_access_key")) else {
        return Err(wrong(
            profile.name(),
            match id {
                Some(_) => "it has aws_access_key_id without aws_secret_access_key",
                None => "it has no credentials",
            },
        ));
    };
    Ok(Base::Key(AccessKey {
        access_key_id: id.to_owned(),
        secret_access_key: SecretString::new(secret),
        session_token: profile.get("aws_session_token").map(SecretString::new),
    }))
}

fn missing(profiles: &ProfileSet, name: &str, wanted_by: Option<&&str>) -> Error {
    let mut message = format!("the AWS configuration files of the server's machine have no profile {name}");
    if let Some(by) = wanted_by {
        message.push_str(&format!(", which profile {by} names as its source_profile"));
    }
    let mut names: Vec<&str> = profiles.profiles().collect();
    names.sort_unstable();
    names.truncate(20);
    let found = match names.as_slice() {
        [] => "None was found.".to_owned(),
        names => format!("Found: {}.", names.join(", ")),
    };
    Error::new(ErrorKind::Missing, message).with_hint(format!(
        "The server reads ~/.aws/config and ~/.aws/credentials of its own user, or what AWS_CONFIG_FILE and \
         AWS_SHARED_CREDENTIALS_FILE name. {found}"
    ))
}

fn refused(at: &str, setting: &str) -> Error {
    let hint = REFUSED.iter().find(|(name, _)| *name == setting).map(|(_, hint)| *hint);
    Error::new(
        ErrorKind::Unsupported,
        format!("the profile {at} signs in with {setting}, which a server cannot use"),
    )
    .with_hint(hint.unwrap_or_default())
}

fn wrong(at: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::BadCredentials,
        format!("the profile {at} cannot be used: {why}"),
    )
    .with_hint("Correct it in the AWS configuration files of the server's machine, or give another credential.")
}
