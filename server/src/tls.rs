//! The server's certificate: loading, making a self-signed one, and the hash that binds SCRAM to it.
//!
//! What cannot be read does not start; nothing here falls back to plain text.

use std::path::Path;
use std::sync::Arc;

use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// The protocol name that a client offers which opens TLS without asking first (PostgreSQL 17, `sslnegotiation=direct`).
pub const POSTGRESQL_ALPN: &[u8] = b"postgresql";

/// A certificate ready for use by the PostgreSQL listener.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    end_point: Option<Vec<u8>>,
}

impl ServerTls {
    /// Reads a certificate chain and its private key, both PEM.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadValue`] if one cannot be read or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::new(ErrorKind::BadValue, what.to_owned()).with_hint(HINT);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| bad("the TLS certificate is not PEM").with_detail(error.to_string()))?;
        let Some(leaf) = chain.first() else {
            return Err(bad("the TLS certificate file holds no certificate"));
        };
        let end_point = end_point_hash(leaf);
        // The key's own text never reaches a message.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad("the TLS private key is not PEM"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::defect("the TLS library offers no protocol version").with_source(error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| {
                bad("the TLS certificate and private key cannot be used together").with_detail(error.to_string())
            })?;
        config.alpn_protocols = vec![POSTGRESQL_ALPN.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            end_point,
        })
    }

    /// Reads the two PEM files.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::from_pem`]; also if a file cannot be read.
    pub fn load(chain: &Path, key: &Path) -> Result<Self> {
        let read = |what: &str, path: &Path| {
            std::fs::read(path).map_err(|error| {
                Error::new(
                    ErrorKind::BadValue,
                    format!("the TLS {what} {} cannot be read: {error}", path.display()),
                )
                .with_hint(HINT)
            })
        };
        let key = zeroize::Zeroizing::new(read("private key", key)?);
        Self::from_pem(&read("certificate", chain)?, &key)
    }

    /// The configuration for the TLS library.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The `tls-server-end-point` channel binding (RFC 5929), where the certificate's signature defines one.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }
}

const HINT: &str = "name a readable PEM certificate chain and its private key, or run `farthing init` to make a pair";

/// A new self-signed certificate for the host names and addresses, and its private key; both PEM.
///
/// # Errors
///
/// [`ErrorKind::BadValue`] if a name is neither a host name nor an address.
pub fn make_self_signed(names: Vec<String>) -> Result<(String, SecretString)> {
    let pair = rcgen::generate_simple_self_signed(names).map_err(|error| {
        Error::new(
            ErrorKind::BadValue,
            format!("no certificate can be made for these names: {error}"),
        )
    })?;
    Ok((pair.cert.pem(), SecretString::new(pair.signing_key.serialize_pem())))
}

/// RFC 5929, section 4.1: the certificate's hash under its own signature's hash function, SHA-256 in place of MD5 and
/// SHA-1. `None` for signatures without one (Ed25519), where no channel binding is offered.
fn end_point_hash(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    // Object identifiers of PKCS #1 (1.2.840.113549.1.1.x) and ECDSA (1.2.840.10045.4.x) signatures, RFC 3279 and 5758.
    const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let oid = signature_algorithm(certificate)?;
    let sha = match (oid.strip_prefix(PKCS1), oid.strip_prefix(ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => 256,
        (Some([12]), _) | (_, Some([3, 3])) => 384,
        (Some([13]), _) | (_, Some([3, 4])) => 512,
        _ => return None,
    };
    Some(match sha {
        384 => Sha384::digest(certificate).to_vec(),
        512 => Sha512::digest(certificate).to_vec(),
        _ => Sha256::digest(certificate).to_vec(),
    })
}

/// The object identifier of the certificate's signature: the first element of the second element of the outer sequence
/// (RFC 5280, section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (_to_be_signed, rest) = element(outer, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    element(algorithm, OBJECT_IDENTIFIER).map(|(oid, _)| oid)
}

/// The content of the DER element at the start, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;
