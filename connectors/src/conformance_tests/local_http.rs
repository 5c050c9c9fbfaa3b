//! A small HTTP server on loopback, for endpoints of AWS that are no service: instance metadata, container credentials.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came: method, path, head in lower case, body.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: String,
}

/// Status, further header lines, body.
pub(super) type Answer = (u16, &'static str, String);

pub(super) struct LocalHttp {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl LocalHttp {
    pub(super) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    let request = loop {
                        let mut chunk = [0; 4096];
                        let length = stream.read(&mut chunk).await.unwrap_or(0);
                        if length == 0 {
                            return;
                        }
                        received.extend_from_slice(&chunk[..length]);
                        if let Some(request) = parse(&String::from_utf8_lossy(&received)) {
                            break request;
                        }
                    };
                    let (status, headers, body) = answer(&request);
                    log.lock().unwrap().push(request);
                    let text = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for LocalHttp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The request, once all of it is there.
fn parse(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut first = head.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let head = head.to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.trim().parse().ok())
        .unwrap_or(0);
    (body.len() >= length).then(|| Asked {
        method,
        path,
        head,
        body: body.to_owned(),
    })
}
