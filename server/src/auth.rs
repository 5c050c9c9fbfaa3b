//! Who a client is: password verifiers, the SCRAM-SHA-256 exchange, and the brake on guessing.
//!
//! Both protocols ask the same [`Authenticator`], so failed attempts over one count for the other. An unknown user and a
//! wrong password cannot be told apart: the answer, the salt's stability and the work done are the same.

pub mod scram;
pub mod throttle;
pub mod verifier;

use std::net::IpAddr;
use std::time::Instant;

use farthing_engine::principal::{Login, Principal};
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;

use self::throttle::Throttle;
use self::verifier::Verifier;

/// Finds the login of a name.
type Lookup = Box<dyn Fn(&str) -> Option<Login> + Send + Sync>;

/// Checks logins against the front end's roles. One per process, shared by all listeners.
pub struct Authenticator {
    lookup: Lookup,
    mock_key: [u8; 32],
    throttle: Throttle,
}

/// What a login attempt is checked against: the user's verifier, or one that no password fits.
pub struct Candidate {
    verifier: Verifier,
    login: Option<Login>,
}

impl Candidate {
    /// The verifier that the exchange runs against.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The principal, once the verifier accepted the password; nobody for an unknown user.
    pub fn into_principal(self) -> Option<Principal> {
        self.login.map(|login| login.principal())
    }
}

impl Authenticator {
    /// An authenticator over the front end's roles.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random bytes.
    pub fn try_new(frontend: Frontend) -> Result<Self> {
        Self::over(Box::new(move |name| frontend.login(name)))
    }

    pub(crate) fn over(lookup: Lookup) -> Result<Self> {
        Ok(Self {
            lookup,
            mock_key: random_bytes()?,
            throttle: Throttle::new(),
        })
    }

    /// What a login as `user` is checked against. An unknown user, and one whose stored verifier cannot be read, get a
    /// verifier that stays the same for the name while the process lives and that no password fits.
    pub fn candidate(&self, user: &str) -> Candidate {
        let login = (self.lookup)(user);
        match login.as_ref().map(|login| Verifier::parse(&login.verifier)) {
            Some(Ok(verifier)) => Candidate { verifier, login },
            Some(Err(error)) => {
                tracing::error!(user, %error, "the stored password verifier cannot be read; the user cannot log in");
                self.mock(user)
            }
            None => self.mock(user),
        }
    }

    fn mock(&self, user: &str) -> Candidate {
        Candidate {
            verifier: Verifier::mock(&self.mock_key, user),
            login: None,
        }
    }

    /// Checks a password that arrived in clear over an encrypted or local connection (Flight's basic handshake).
    /// Waits first if the address failed often.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadCredentials`] for an unknown user and for a wrong password alike.
    pub async fn check_password(
        &self,
        user: &str,
        password: SecretString,
        address: Option<IpAddr>,
    ) -> Result<Principal> {
        self.wait(address).await;
        let candidate = self.candidate(user);
        // Thousands of hash rounds take milliseconds, which the I/O threads cannot spare.
        let (candidate, right) = tokio::task::spawn_blocking(move || {
            let right = candidate.verifier.accepts(&password);
            (candidate, right)
        })
        .await
        .map_err(|error| Error::defect("the password check did not end").with_source(error))?;
        match candidate.into_principal() {
            Some(principal) if right => {
                self.succeeded(address);
                Ok(principal)
            }
            _ => {
                self.failed(address);
                Err(Error::new(
                    ErrorKind::BadCredentials,
                    format!("password authentication failed for user \"{user}\""),
                ))
            }
        }
    }

    /// Waits as long as the address must after its failures; not at all for an address without.
    pub async fn wait(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            let delay = self.throttle.delay(address, Instant::now());
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        }
    }

    /// Counts a failed login of the address.
    pub fn failed(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.throttle.failed(address, Instant::now());
        }
    }

    /// Forgets the failures of the address after a right password.
    pub fn succeeded(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.throttle.succeeded(address);
        }
    }
}

/// Random bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::State, "the operating system gives no random bytes").with_source(error)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
