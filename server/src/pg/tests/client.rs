//! A client that speaks the protocol byte by byte, to see what drivers hide.

use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;
use crate::pg::wire::tests::message;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(super) struct RawClient {
    pub(super) stream: Box<dyn Stream>,
    /// What the server told at the start.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) key: Vec<u8>,
}

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    packet(&body)
}

/// A packet without a type byte.
pub(super) fn packet(body: &[u8]) -> Vec<u8> {
    [u32::try_from(body.len() + 4).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn texts(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0)
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

impl RawClient {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            parameters: Vec::new(),
            key: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(super) async fn receive(&mut self) -> (char, Vec<u8>) {
        let kind = self.stream.read_u8().await.unwrap();
        let length = self.stream.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await.unwrap();
        (char::from(kind), body)
    }

    /// The types of the messages up to ReadyForQuery; for an error also its SQLSTATE.
    pub(super) async fn round(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let (kind, body) = self.receive().await;
            match kind {
                'E' => seen.push(format!("E {}", field(&body, 'C'))),
                'Z' => {
                    seen.push(format!("Z{}", char::from(body[0])));
                    return seen;
                }
                kind => seen.push(kind.to_string()),
            }
        }
    }

    /// Whether the server closed the connection.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.stream.read_u8().await.is_err()
    }

    /// Logs in. With a certificate's hash it binds the exchange to the TLS connection. `Err` is the SQLSTATE of a refusal.
    pub(super) async fn login(
        &mut self,
        parameters: &[(&str, &str)],
        password: &str,
        end_point: Option<&[u8]>,
    ) -> Result<(), String> {
        self.send(&startup(parameters)).await;
        let (kind, body) = self.receive().await;
        if kind == 'E' {
            return Err(field(&body, 'C'));
        }
        let mechanisms = texts(&body[4..]);
        let (mechanism, header) = match end_point {
            Some(_) => ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"),
            None => ("SCRAM-SHA-256", "n,,"),
        };
        assert!(mechanisms.iter().any(|offered| offered == mechanism), "{mechanisms:?}");
        let bare = "n=,r=clientnonce";
        let first = format!("{header}{bare}");
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        self.send(&message(
            b'p',
            &[mechanism.as_bytes(), &[0], &length, first.as_bytes()].concat(),
        ))
        .await;
        let (_, body) = self.receive().await;
        let server_first = String::from_utf8(body[4..].to_vec()).unwrap();
        let last = proof(&server_first, bare, header, password, end_point);
        self.send(&message(b'p', last.as_bytes())).await;
        loop {
            let (kind, body) = self.receive().await;
            match kind {
                'E' => return Err(field(&body, 'C')),
                'Z' => return Ok(()),
                'K' => self.key = body,
                'S' => {
                    let texts = texts(&body);
                    self.parameters.push((texts[0].clone(), texts[1].clone()));
                }
                _ => {}
            }
        }
    }
}

/// A field of an ErrorResponse.
pub(super) fn field(body: &[u8], code: char) -> String {
    let fields = texts(body);
    let field = fields.iter().find_map(|field| field.strip_prefix(code));
    field.unwrap_or_default().to_owned()
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    use hmac::Mac;
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn proof(server_first: &str, bare: &str, header: &str, password: &str, end_point: Option<&[u8]>) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let attribute = |name: &str| {
        server_first
            .split(',')
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
    };
    let salt = STANDARD.decode(attribute("s=")).unwrap();
    let mut salted = [0; 32];
    pbkdf2_hmac::<Sha256>(
        password.as_bytes(),
        &salt,
        attribute("i=").parse().unwrap(),
        &mut salted,
    );
    let channel = [header.as_bytes(), end_point.unwrap_or_default()].concat();
    let without_proof = format!("c={},r={}", STANDARD.encode(channel), attribute("r="));
    let client_key = hmac(&salted, b"Client Key");
    let auth_message = format!("{bare},{server_first},{without_proof}");
    let signature = hmac(&Sha256::digest(client_key), auth_message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}
