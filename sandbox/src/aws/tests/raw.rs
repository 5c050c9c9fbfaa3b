//! A small HTTP client that signs by itself, independent of the sandbox's own signature code.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::aws::{AccessKey, Sandbox};

/// A request to be signed and sent.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) method: &'static str,
    /// Path and query, already encoded.
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) service: &'static str,
    pub(super) region: String,
    pub(super) token: Option<String>,
    pub(super) signed_at: DateTime<Utc>,
    /// Another `Host` than the endpoint's.
    pub(super) host: Option<String>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of an XML element.
    pub(super) fn element(&self, name: &str) -> String {
        let text = self.text();
        let start = text
            .find(&format!("<{name}>"))
            .unwrap_or_else(|| panic!("no <{name}> in {text}"))
            + name.len()
            + 2;
        let end = text[start..].find(&format!("</{name}>")).unwrap() + start;
        quick_xml::escape::unescape(&text[start..end]).unwrap().into_owned()
    }

    pub(super) fn code(&self) -> String {
        self.element("Code")
    }
}

impl Raw {
    pub(super) fn s3(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: BTreeMap::new(),
            body: Vec::new(),
            service: "s3",
            region: "us-east-1".to_owned(),
            token: None,
            signed_at: Utc::now(),
            host: None,
        }
    }

    pub(super) fn sts(form: &str) -> Self {
        let mut request = Self::s3("POST", "/");
        request.service = "sts";
        request.body = form.as_bytes().to_vec();
        request
            .headers
            .insert("content-type".into(), "application/x-www-form-urlencoded".into());
        request
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn region(mut self, region: &str) -> Self {
        self.region = region.into();
        self
    }

    pub(super) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    pub(super) fn signed_ago(mut self, ago: TimeDelta) -> Self {
        self.signed_at -= ago;
        self
    }

    pub(super) async fn send(self, sandbox: &Sandbox, key: &AccessKey) -> Reply {
        let host = host(sandbox);
        let signed = self.sign(&host, key);
        signed.exchange(&host).await
    }

    pub(super) async fn send_unsigned(mut self, sandbox: &Sandbox) -> Reply {
        let host = host(sandbox);
        self.headers.insert("host".into(), host.clone());
        self.exchange(&host).await
    }

    fn sign(mut self, host: &str, key: &AccessKey) -> Self {
        let date = self.signed_at.format("%Y%m%d").to_string();
        let time = self.signed_at.format("%Y%m%dT%H%M%SZ").to_string();
        let hash = hex::encode(Sha256::digest(&self.body));
        self.headers
            .insert("host".into(), self.host.clone().unwrap_or_else(|| host.into()));
        self.headers.insert("x-amz-date".into(), time.clone());
        self.headers.insert("x-amz-content-sha256".into(), hash.clone());
        if let Some(token) = &self.token {
            self.headers.insert("x-amz-security-token".into(), token.clone());
        }
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut query: Vec<String> = query
            .split('&')
            .filter(|q| !q.is_empty())
            .map(|q| if q.contains('=') { q.into() } else { format!("{q}=") })
            .collect();
        query.sort();
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let names = self.headers.keys().cloned().collect::<Vec<_>>().join(";");
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{names}\n{hash}",
            self.method,
            query.join("&")
        );
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let mut signing = format!("AWS4{}", key.secret_access_key).into_bytes();
        for part in scope.split('/') {
            signing = hmac(&signing, part);
        }
        let signature = hex::encode(hmac(&signing, &to_sign));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            key.access_key_id
        );
        self.headers.insert("authorization".into(), authorization);
        self
    }

    async fn exchange(self, host: &str) -> Reply {
        let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.write_all(&self.body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let split = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("an HTTP answer");
        let head = String::from_utf8(answer[..split].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(n, v)| (n.to_lowercase(), v.to_owned()))
            .collect();
        let mut body = answer[split + 4..].to_vec();
        let headers: BTreeMap<String, String> = headers;
        if headers
            .get("transfer-encoding")
            .is_some_and(|encoding| encoding == "chunked")
        {
            body = unchunk(&body);
        }
        Reply { status, headers, body }
    }
}

fn host(sandbox: &Sandbox) -> String {
    sandbox.endpoint_text().trim_start_matches("http://").to_owned()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}
