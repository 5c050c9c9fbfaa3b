//! Signature Version 4 for the services that s3s does not speak, and the credential scope of every request.
//!
//! Source: AWS general reference, "Create a signed AWS API request".

use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, Mac};
use http::{HeaderMap, Uri, request};
use sha2::{Digest, Sha256};

use super::cloud::Cloud;
use super::identity::Principal;
use super::identity::key::TokenFailure;

/// Where a request says that it belongs: the credential and its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// In the query string instead of a header.
    pub(crate) presigned: bool,
}

impl Scope {
    /// Reads the scope of a signed request; `None` for unsigned ones and other signature versions.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        if let Some(authorization) = headers.get(http::header::AUTHORIZATION) {
            let fields = authorization.to_str().ok()?.strip_prefix("AWS4-HMAC-SHA256")?;
            let credential = fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix("Credential="))?;
            return Self::parse(credential, false);
        }
        let query = uri.query()?;
        let (_, credential) =
            url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Credential")?;
        Self::parse(&credential, true)
    }

    fn parse(credential: &str, presigned: bool) -> Option<Self> {
        // Access key ids never contain a slash.
        let mut parts = credential.split('/');
        let (access_key_id, date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (parts.next() == Some("aws4_request") && parts.next().is_none()).then(|| Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            presigned,
        })
    }
}

/// When a request says that it was signed.
pub(crate) fn signing_time(headers: &HeaderMap, uri: &Uri) -> Option<DateTime<Utc>> {
    let from_header = headers
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let text = from_header.or_else(|| {
        let query = uri.query()?;
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Date");
        found.map(|(_, value)| value.into_owned())
    })?;
    NaiveDateTime::parse_from_str(&text, "%Y%m%dT%H%M%SZ")
        .ok()
        .map(|time| time.and_utc())
}

/// The session token of a request, from its header or its query string.
pub(crate) fn session_token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    if let Some(token) = headers.get("x-amz-security-token") {
        return token.to_str().ok().map(str::to_owned);
    }
    let query = uri.query()?;
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Security-Token");
    found.map(|(_, token)| token.into_owned())
}

/// Why a signature is not accepted. Each protocol has its own codes for these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureFailure {
    /// No signature at all.
    Missing,
    /// An authorization header that cannot be read, or headers that it names are absent.
    Incomplete(String),
    /// Unknown or inactive access key.
    UnknownKey,
    WrongSecret,
    /// Signed more than 15 minutes away from the server's time.
    Skewed,
    /// Signed for a Region that does not serve the API.
    WrongRegion,
    InvalidToken,
    ExpiredToken,
}

/// Checks a request to a service other than S3 and finds its caller.
pub(crate) fn authenticate(cloud: &Cloud, head: &request::Parts, body: &[u8]) -> Result<Principal, SignatureFailure> {
    let Some(authorization) = head.headers.get(http::header::AUTHORIZATION) else {
        return Err(SignatureFailure::Missing);
    };
    let incomplete = |what: &str| SignatureFailure::Incomplete(format!("Authorization header requires {what}."));
    let authorization = authorization.to_str().map_err(|_| incomplete("printable text"))?;
    let fields = authorization
        .strip_prefix("AWS4-HMAC-SHA256")
        .ok_or_else(|| incomplete("the AWS4-HMAC-SHA256 algorithm"))?;
    let field = |name: &str| {
        fields
            .split(',')
            .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let scope = Scope::of(&head.headers, &head.uri).ok_or_else(|| incomplete("'Credential' parameter"))?;
    let signed_headers = field("SignedHeaders").ok_or_else(|| incomplete("'SignedHeaders' parameter"))?;
    let signature = field("Signature").ok_or_else(|| incomplete("'Signature' parameter"))?;
    let signed_at =
        signing_time(&head.headers, &head.uri).ok_or_else(|| incomplete("existence of an 'X-Amz-Date' header"))?;

    let credential = cloud
        .identities
        .credential(&scope.access_key_id)
        .ok_or(SignatureFailure::UnknownKey)?;
    if cloud.clock.is_skewed(signed_at) {
        return Err(SignatureFailure::Skewed);
    }
    if scope.date != signed_at.format("%Y%m%d").to_string() {
        return Err(SignatureFailure::WrongSecret);
    }
    let canonical = canonical_request(head, &signed_headers, body)?;
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{}/{}/{}/aws4_request\n{}",
        signed_at.format("%Y%m%dT%H%M%SZ"),
        scope.date,
        scope.region,
        scope.service,
        hex::encode(Sha256::digest(canonical)),
    );
    let mut mac = signing_mac(&credential.secret, &scope);
    mac.update(to_sign.as_bytes());
    let sent = hex::decode(&signature).map_err(|_| SignatureFailure::WrongSecret)?;
    mac.verify_slice(&sent).map_err(|_| SignatureFailure::WrongSecret)?;

    let token = session_token(&head.headers, &head.uri);
    credential
        .check_token(token.as_deref(), cloud.clock.now())
        .map_err(|failure| match failure {
            TokenFailure::Invalid => SignatureFailure::InvalidToken,
            TokenFailure::Expired => SignatureFailure::ExpiredToken,
        })?;
    cloud
        .identities
        .principal(&credential)
        .ok_or(SignatureFailure::UnknownKey)
}

fn canonical_request(head: &request::Parts, signed_headers: &str, body: &[u8]) -> Result<String, SignatureFailure> {
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let values: Vec<&str> = head
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::trim)
            .collect();
        if values.is_empty() {
            return Err(SignatureFailure::Incomplete(format!(
                "The signed header '{name}' is not in the request."
            )));
        }
        let value = values.join(",").split_whitespace().collect::<Vec<_>>().join(" ");
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let mut query: Vec<(String, String)> = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
        .map(|(name, value)| (uri_encode(&name), uri_encode(&value)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Every service but S3 signs the path with each segment encoded once more.
    let path: Vec<String> = head.uri.path().split('/').map(uri_encode).collect();
    Ok(format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        head.method,
        path.join("/"),
        query.join("&"),
        headers,
        signed_headers,
        hex::encode(Sha256::digest(body)),
    ))
}

fn signing_mac(secret: &str, scope: &Scope) -> Hmac<Sha256> {
    let steps = [scope.date.as_str(), &scope.region, &scope.service, "aws4_request"];
    let first = keyed(format!("AWS4{secret}").as_bytes());
    steps.into_iter().fold(first, |mut mac, step| {
        mac.update(step.as_bytes());
        keyed(&mac.finalize().into_bytes())
    })
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so this cannot fail; an empty key would only make the signature wrong.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn uri_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
