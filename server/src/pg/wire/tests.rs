#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Both ends of a connection: the server's halves and the client's socket.
pub(in crate::pg) async fn pair() -> (Reader, Writer, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let (read, write) = tokio::io::split(MaybeTls::Plain(socket));
    (Reader::new(read), Writer::new(write), client)
}

/// The next message that the client gets: its type byte and body.
pub(in crate::pg) async fn receive(client: &mut TcpStream) -> (char, Vec<u8>) {
    let kind = client.read_u8().await.unwrap();
    let length = client.read_u32().await.unwrap() as usize;
    let mut body = vec![0; length - 4];
    client.read_exact(&mut body).await.unwrap();
    (char::from(kind), body)
}

/// A message from the client.
pub(in crate::pg) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], length.to_be_bytes().as_slice(), body].concat()
}

#[tokio::test]
async fn messages_may_come_in_pieces_or_together() {
    let (mut reader, _writer, mut client) = pair().await;
    let bytes = [message(b'Q', b"SELECT 1\0"), message(b'S', b""), message(b'X', b"")].concat();
    let sending = tokio::spawn(async move {
        client.set_nodelay(true).unwrap();
        for byte in &bytes[..12] {
            client.write_all(&[*byte]).await.unwrap();
            client.flush().await.unwrap();
        }
        client.write_all(&bytes[12..]).await.unwrap();
        client
    });
    assert_eq!(
        reader.next().await.unwrap(),
        Some(FrontendMessage::Query("SELECT 1".into()))
    );
    assert_eq!(reader.next().await.unwrap(), Some(FrontendMessage::Sync));
    assert_eq!(reader.next().await.unwrap(), Some(FrontendMessage::Terminate));
    drop(sending.await.unwrap());
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn long_messages_are_refused_before_they_are_read() {
    let (mut reader, _writer, mut client) = pair().await;
    // One gigabyte announced, none sent.
    client.write_all(&[b'Q', 0x3f, 0xff, 0xff, 0xff]).await.unwrap();
    let Err(Break::Fatal(error)) = reader.next().await else {
        unreachable!("a message of a gigabyte was taken")
    };
    assert_eq!(error.code(), "54000");

    for length in [[0, 0, 0, 3], [0xff; 4]] {
        let (mut reader, _writer, mut client) = pair().await;
        client.write_all(&[[b'S'].as_slice(), &length].concat()).await.unwrap();
        let Err(Break::Fatal(error)) = reader.next().await else {
            unreachable!("a length that lies was taken")
        };
        assert_eq!(error.code(), "08P01");
    }
}

#[tokio::test]
async fn reading_ahead_is_bounded_and_loses_nothing() {
    let (mut reader, _writer, mut client) = pair().await;
    reader.set_max_message_bytes(1 << 20);
    let text = format!("{}\0", "x".repeat(READ_AHEAD_BYTES * 3));
    let bytes = message(b'Q', text.as_bytes());
    let sending = tokio::spawn(async move {
        client.write_all(&bytes).await.unwrap();
        client
    });
    assert!(
        tokio::time::timeout(Duration::from_millis(200), reader.closed())
            .await
            .is_err(),
        "the client is still there"
    );
    assert!(reader.buffer.len() < READ_AHEAD_BYTES * 2);
    let Some(FrontendMessage::Query(got)) = reader.next().await.unwrap() else {
        unreachable!("the message is lost")
    };
    assert_eq!(got.len(), READ_AHEAD_BYTES * 3);
    drop(sending.await.unwrap());
    tokio::time::timeout(Duration::from_secs(10), reader.closed())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_failed_row_leaves_no_trace() {
    let (_reader, mut writer, mut client) = pair().await;
    writer
        .put_row(1, |out| {
            out.put_i32(1);
            out.put_u8(b'a');
            Ok(())
        })
        .unwrap();
    let failed = writer.put_row(1, |out| {
        out.put_i32(1);
        Err(PgError::cancelled())
    });
    assert!(failed.is_err());
    writer.put_error(PgError::cancelled()).unwrap();
    writer.flush().await.unwrap();
    assert_eq!(receive(&mut client).await, ('D', vec![0, 1, 0, 0, 0, 1, b'a']));
    let (kind, body) = receive(&mut client).await;
    assert_eq!(kind, 'E');
    assert!(body.windows(6).any(|window| window == b"C57014"));
}
