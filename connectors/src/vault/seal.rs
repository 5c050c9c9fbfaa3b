//! Envelope encryption of one version of a secret, and its document.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::SecretRef;
use farthing_engine::secret::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_file::MasterKey;

/// The version of the document's form; raised with every change, and every older form keeps a reader.
const FORMAT_VERSION: u32 = 1;
/// Bytes of a GCM nonce (NIST SP 800-38D recommends 96 bits).
const NONCE_BYTES: usize = 12;

/// What a document holds.
pub(super) enum Record {
    /// A secret.
    Sealed(Sealed),
    /// The mark that a removed secret leaves, so that its version is not given again.
    Retired { name: String, version: u32 },
}

/// A sealed secret: nothing in it is secret without the master key.
#[derive(Clone)]
pub(super) struct Sealed {
    name: String,
    version: u32,
    key_id: String,
    data_key: Ciphertext,
    secret: Ciphertext,
}

/// Nonce and ciphertext with tag, both in base64.
#[derive(Clone, Serialize, Deserialize)]
struct Ciphertext {
    nonce: String,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u32,
    name: String,
    version: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_key: Option<Ciphertext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Ciphertext>,
}

/// Encrypts `secret` as the version `reference` under a new data key.
#[expect(clippy::disallowed_methods, reason = "it is encrypted here")]
pub(super) fn seal(master: &MasterKey, reference: &SecretRef, secret: &SecretString) -> Result<Sealed> {
    let mut data_key = Zeroizing::new([0_u8; 32]);
    random(data_key.as_mut_slice())?;
    Ok(Sealed {
        name: reference.name.clone(),
        version: reference.version,
        key_id: master.id().to_owned(),
        data_key: encrypt(master.bytes(), data_key.as_slice(), &associated("data key", reference))?,
        secret: encrypt(&data_key, secret.open().as_bytes(), &associated("secret", reference))?,
    })
}

/// Decrypts the version `reference`.
pub(super) fn open(master: &MasterKey, reference: &SecretRef, sealed: &Sealed) -> Result<SecretString> {
    if sealed.key_id != master.id() {
        return Err(Error::new(
            ErrorKind::State,
            format!(
                "the secret \"{}\" was stored under the master key {}, and the key file holds {}",
                reference.name,
                sealed.key_id.escape_default(),
                master.id()
            ),
        )
        .with_hint("Put the key file back that belongs to this state store, or store the secret again."));
    }
    let data_key = decrypt(master.bytes(), &sealed.data_key, &associated("data key", reference))
        .ok_or_else(|| damaged(reference))?;
    let data_key: Zeroizing<[u8; 32]> = Zeroizing::new(data_key.as_slice().try_into().map_err(|_| damaged(reference))?);
    let secret =
        decrypt(&data_key, &sealed.secret, &associated("secret", reference)).ok_or_else(|| damaged(reference))?;
    let text = std::str::from_utf8(&secret).map_err(|_| damaged(reference))?;
    Ok(SecretString::new(text))
}

/// The mark for a removed version.
pub(super) fn retired(reference: &SecretRef) -> Record {
    Record::Retired {
        name: reference.name.clone(),
        version: reference.version,
    }
}

/// The document of a record.
pub(super) fn write(record: &Record) -> Vec<u8> {
    let document = match record {
        Record::Sealed(sealed) => Document {
            format_version: FORMAT_VERSION,
            name: sealed.name.clone(),
            version: sealed.version,
            retired: false,
            key_id: Some(sealed.key_id.clone()),
            data_key: Some(sealed.data_key.clone()),
            secret: Some(sealed.secret.clone()),
        },
        Record::Retired { name, version } => Document {
            format_version: FORMAT_VERSION,
            name: name.clone(),
            version: *version,
            retired: true,
            key_id: None,
            data_key: None,
            secret: None,
        },
    };
    // Text and numbers always have a JSON form; an empty document would be refused as damaged.
    serde_json::to_vec_pretty(&document).unwrap_or_default()
}

/// Reads the document of `reference`.
pub(super) fn parse(bytes: &[u8], reference: &SecretRef) -> Result<Record> {
    let document: Document = serde_json::from_slice(bytes).map_err(|_| damaged(reference))?;
    if document.format_version > FORMAT_VERSION {
        return Err(Error::new(
            ErrorKind::State,
            format!(
                "the secret \"{}\" was stored by a newer version of Farthing",
                reference.name
            ),
        )
        .with_hint("Run the newer version."));
    }
    if document.name != reference.name || document.version != reference.version {
        return Err(damaged(reference));
    }
    if document.retired {
        return Ok(retired(reference));
    }
    match (document.key_id, document.data_key, document.secret) {
        (Some(key_id), Some(data_key), Some(secret)) => Ok(Record::Sealed(Sealed {
            name: document.name,
            version: document.version,
            key_id,
            data_key,
            secret,
        })),
        _ => Err(damaged(reference)),
    }
}

/// The error for a document that does not open.
pub(super) fn damaged(reference: &SecretRef) -> Error {
    Error::new(
        ErrorKind::State,
        format!(
            "version {} of the secret \"{}\" was changed or is damaged",
            reference.version, reference.name
        ),
    )
    .with_hint("Store the secret again, and check who may write to the state store.")
}

/// What is authenticated with a ciphertext and not stored in it. Lengths keep neighbouring fields apart.
fn associated(purpose: &str, reference: &SecretRef) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + reference.name.len());
    bytes.extend_from_slice(b"farthing vault\0");
    bytes.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    for text in [purpose, &reference.name] {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&reference.version.to_be_bytes());
    bytes
}

fn encrypt(key: &[u8; 32], clear: &[u8], associated: &[u8]) -> Result<Ciphertext> {
    let mut nonce = [0_u8; NONCE_BYTES];
    random(&mut nonce)?;
    let payload = Payload {
        msg: clear,
        aad: associated,
    };
    let ciphertext = Aes256Gcm::new(&(*key).into())
        .encrypt(&nonce.into(), payload)
        .map_err(|_| Error::defect("a secret could not be encrypted"))?;
    Ok(Ciphertext {
        nonce: BASE64.encode(nonce),
        ciphertext: BASE64.encode(ciphertext),
    })
}

fn decrypt(key: &[u8; 32], sealed: &Ciphertext, associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; NONCE_BYTES] = BASE64.decode(&sealed.nonce).ok()?.try_into().ok()?;
    let ciphertext = BASE64.decode(&sealed.ciphertext).ok()?;
    let payload = Payload {
        msg: &ciphertext,
        aad: associated,
    };
    let clear = Aes256Gcm::new(&(*key).into()).decrypt(&nonce.into(), payload).ok()?;
    Some(Zeroizing::new(clear))
}

/// Fills `bytes` from the operating system.
pub(super) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| {
        Error::new(ErrorKind::State, "the operating system gives no random numbers").with_source(error.to_string())
    })
}
