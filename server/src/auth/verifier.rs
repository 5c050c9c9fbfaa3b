//! Password verifiers in PostgreSQL's text form: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
//!
//! The form is RFC 5803's as PostgreSQL stores it in `pg_authid.rolpassword`; the keys are RFC 5802's with SHA-256
//! (RFC 7677). A verifier lets the server check a password; it does not let anybody log in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::random_bytes;

/// Rounds for new verifiers; RFC 7677's minimum and PostgreSQL's default, which every client can afford.
pub const ITERATIONS: u32 = 4096;
/// The most rounds that a stored verifier may ask for: more would let a forged file stall every login.
const MAX_ITERATIONS: u32 = 10_000_000;
const SCHEME: &str = "SCRAM-SHA-256";
const SALT_BYTES: usize = 16;

/// A SHA-256 digest.
pub type Key = [u8; 32];

/// A parsed verifier.
#[derive(Clone)]
pub struct Verifier {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// The salt.
    pub salt: Vec<u8>,
    /// `H(ClientKey)`: checks the client's proof.
    pub stored_key: Key,
    /// Proves the server to the client.
    pub server_key: Key,
}

/// A new verifier for a password, with a random salt.
///
/// # Errors
///
/// If the operating system gives no random bytes.
pub fn make_verifier(password: &SecretString) -> Result<String> {
    let salt: [u8; SALT_BYTES] = random_bytes()?;
    Ok(Verifier::derive(password, &salt, ITERATIONS).to_text())
}

/// Whether the password fits the verifier, in time that does not depend on where they differ. A verifier that cannot be
/// read fits nothing.
pub fn verify_password(verifier: &str, password: &SecretString) -> bool {
    Verifier::parse(verifier).is_ok_and(|verifier| verifier.accepts(password))
}

impl Verifier {
    /// The verifier of a password under a salt and a number of rounds.
    pub fn derive(password: &SecretString, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = Zeroizing::new(hmac(salted.as_slice(), &[b"Client Key"]));
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(client_key.as_slice()).into(),
            server_key: hmac(salted.as_slice(), &[b"Server Key"]),
        }
    }

    /// A verifier that no password fits, always the same for one key and user: an unknown user's salt must not change
    /// from one attempt to the next, or it could be told from a real one.
    pub fn mock(key: &Key, user: &str) -> Self {
        let salt = hmac(key, &[b"salt", user.as_bytes()]);
        Self {
            iterations: ITERATIONS,
            salt: salt.iter().copied().take(SALT_BYTES).collect(),
            stored_key: hmac(key, &[b"stored", user.as_bytes()]),
            server_key: hmac(key, &[b"server", user.as_bytes()]),
        }
    }

    /// Reads PostgreSQL's text form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadValue`] for any other text; the message does not repeat it.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            Error::new(ErrorKind::BadValue, "the text is not a SCRAM-SHA-256 password verifier")
                .with_hint("set the password again: CALL alter_role(name => ..., password => ...)")
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (iterations, salt) = {
            let (_, rest) = text.split_once('$').filter(|(scheme, _)| *scheme == SCHEME)?;
            rest.split_once('$')?.0.split_once(':')?
        };
        let (stored_key, server_key) = text.rsplit_once('$')?.1.split_once(':')?;
        let iterations = iterations
            .parse()
            .ok()
            .filter(|rounds| (1..=MAX_ITERATIONS).contains(rounds))?;
        let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        (text.matches('$').count() == 2).then_some(Self {
            iterations,
            salt,
            stored_key: STANDARD.decode(stored_key).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server_key).ok()?.try_into().ok()?,
        })
    }

    /// PostgreSQL's text form.
    pub fn to_text(&self) -> String {
        format!(
            "{SCHEME}${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }

    /// Whether the password fits.
    pub fn accepts(&self, password: &SecretString) -> bool {
        let other = Self::derive(password, &self.salt, self.iterations);
        bool::from(other.stored_key.ct_eq(&self.stored_key) & other.server_key.ct_eq(&self.server_key))
    }
}

/// PBKDF2 over the prepared password. As PostgreSQL does on both sides, a password that SASLprep (RFC 4013) refuses is
/// used as it is.
#[allow(clippy::disallowed_methods, reason = "the password becomes a verifier")]
fn salted_password(password: &SecretString, salt: &[u8], iterations: u32) -> Zeroizing<Key> {
    let mut salted = Zeroizing::new([0; 32]);
    match stringprep::saslprep(password.open()) {
        Ok(prepared) => {
            pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, salted.as_mut_slice());
            if let std::borrow::Cow::Owned(text) = prepared {
                drop(Zeroizing::new(text));
            }
        }
        Err(_) => pbkdf2::pbkdf2_hmac::<Sha256>(password.open().as_bytes(), salt, iterations, salted.as_mut_slice()),
    }
    salted
}

/// HMAC-SHA-256 of the parts, one after the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes a key of any length, so the error cannot occur; an empty key keeps the code total.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
