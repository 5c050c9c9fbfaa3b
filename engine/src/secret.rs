//! Text that must not be seen: it zeroes itself when dropped and prints as `***`.
//!
//! Only the vault, the AWS clients of `connectors`, and the password verifiers may call [`SecretString::open`]; clippy
//! refuses the call elsewhere (`clippy.toml`). The type implements neither `Serialize` nor `Clone` through text.

use std::fmt;

use zeroize::Zeroizing;

/// A secret in clear, in memory only.
#[derive(Clone)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes the secret text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text in clear. The caller must neither store, log nor format it.
    pub fn open(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
