//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with and without channel binding (RFC 5929).
//!
//! It works from StoredKey and ServerKey alone, so the password is never known to the server. pgwire's own exchange
//! needs the salted password, from which anybody could log in, and is therefore not used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::verifier::{Key, Verifier, hmac};

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism that binds the exchange to the TLS connection.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The only channel binding that PostgreSQL's clients use.
const END_POINT: &str = "p=tls-server-end-point";

/// Why an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramError {
    /// The client breaks the protocol; the text says how.
    Malformed(&'static str),
    /// The proof does not fit the verifier.
    WrongPassword,
}

/// The client's first message, understood.
#[derive(Debug)]
struct ClientFirst<'a> {
    gs2_header: &'a str,
    bare: &'a str,
    nonce: &'a str,
}

/// An exchange that waits for the client's final message.
pub struct Pending {
    verifier: Verifier,
    /// What the client's `c=` attribute must decode to.
    channel: Vec<u8>,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

/// Answers the client's first message. `end_point` is the hash of the server's certificate where the connection offers
/// channel binding; `server_nonce` must be fresh and printable.
///
/// # Errors
///
/// [`ScramError::Malformed`] for a message that breaks the protocol, downgrades included.
pub fn begin(
    verifier: &Verifier,
    mechanism: &str,
    client_first: &[u8],
    end_point: Option<&[u8]>,
    server_nonce: &str,
) -> Result<(String, Pending), ScramError> {
    let first = ClientFirst::parse(client_first)?;
    let flag = first.gs2_header.split(',').next().unwrap_or_default();
    let mut channel = first.gs2_header.as_bytes().to_vec();
    match (mechanism, flag, end_point) {
        (PLAIN, "n", _) => {}
        (PLAIN, "y", None) => {}
        (PLAIN, "y", Some(_)) => {
            return Err(ScramError::Malformed(
                "the client believes that the server offers no channel binding, which it does",
            ));
        }
        (PLUS, END_POINT, Some(hash)) => channel.extend_from_slice(hash),
        (PLUS, _, Some(_)) => {
            return Err(ScramError::Malformed(
                "the channel binding type is not tls-server-end-point",
            ));
        }
        _ => {
            return Err(ScramError::Malformed(
                "the mechanism and the channel binding do not fit",
            ));
        }
    }
    let nonce = format!("{}{server_nonce}", first.nonce);
    let server_first = format!(
        "r={nonce},s={},i={}",
        STANDARD.encode(&verifier.salt),
        verifier.iterations
    );
    let pending = Pending {
        verifier: verifier.clone(),
        channel,
        client_first_bare: first.bare.to_owned(),
        server_first: server_first.clone(),
        nonce,
    };
    Ok((server_first, pending))
}

impl Pending {
    /// Checks the client's final message and gives the server's, which proves the server to the client.
    ///
    /// # Errors
    ///
    /// [`ScramError`], by what is wrong.
    pub fn finish(self, client_final: &[u8]) -> Result<String, ScramError> {
        const FORM: ScramError = ScramError::Malformed("the final message is not c=...,r=...,p=...");
        let text = std::str::from_utf8(client_final).map_err(|_| FORM)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(FORM)?;
        let mut attributes = without_proof.split(',');
        let channel = attributes.next().and_then(|part| part.strip_prefix("c=")).ok_or(FORM)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(FORM)?;
        if STANDARD.decode(channel).map_err(|_| FORM)? != self.channel {
            return Err(ScramError::Malformed(
                "the channel binding does not fit this connection",
            ));
        }
        if nonce != self.nonce {
            return Err(ScramError::Malformed("the nonce is not the server's"));
        }
        let proof: Key = STANDARD
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(FORM)?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = hmac(&self.verifier.stored_key, &[message.as_bytes()]);
        let mut client_key = proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let stored_key: Key = Sha256::digest(client_key).into();
        if !bool::from(stored_key.ct_eq(&self.verifier.stored_key)) {
            return Err(ScramError::WrongPassword);
        }
        let server_signature = hmac(&self.verifier.server_key, &[message.as_bytes()]);
        Ok(format!("v={}", STANDARD.encode(server_signature)))
    }
}

impl<'a> ClientFirst<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, ScramError> {
        const FORM: ScramError = ScramError::Malformed("the first message is not a SCRAM client-first-message");
        let text = std::str::from_utf8(message).map_err(|_| FORM)?;
        let mut parts = text.splitn(3, ',');
        let (flag, identity, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(identity), Some(bare)) => (flag, identity, bare),
            _ => return Err(FORM),
        };
        if !identity.is_empty() {
            return Err(ScramError::Malformed("an authorization identity is not offered"));
        }
        // The user name is the start-up message's; PostgreSQL's clients leave `n=` empty.
        let mut attributes = bare.split(',');
        let user = attributes.next().ok_or(FORM)?;
        if user.starts_with("m=") {
            return Err(ScramError::Malformed("mandatory extensions are not offered"));
        }
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(FORM)?;
        let printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !user.starts_with("n=") || nonce.is_empty() || !printable {
            return Err(FORM);
        }
        Ok(Self {
            gs2_header: &text[..flag.len() + identity.len() + 2],
            bare,
            nonce,
        })
    }
}

#[cfg(test)]
mod tests;
