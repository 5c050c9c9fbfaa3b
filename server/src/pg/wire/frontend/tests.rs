#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn parse(kind: u8, body: &'static [u8]) -> Result<FrontendMessage, PgError> {
    FrontendMessage::parse(kind, Bytes::from_static(body))
}

#[test]
fn reads_messages() {
    assert_eq!(
        parse(b'Q', b"SELECT 1\0").unwrap(),
        FrontendMessage::Query("SELECT 1".into())
    );
    assert_eq!(
        parse(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17").unwrap(),
        FrontendMessage::Parse {
            name: "s".into(),
            query: "SELECT $1".into(),
            types: vec![23]
        }
    );
    assert_eq!(
        parse(b'B', b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0").unwrap(),
        FrontendMessage::Bind {
            portal: String::new(),
            statement: "s".into(),
            parameter_formats: vec![1],
            parameters: vec![Some(Bytes::from_static(b"x")), None],
            result_formats: vec![],
        }
    );
    assert_eq!(
        parse(b'E', b"\0\xff\xff\xff\xff").unwrap(),
        FrontendMessage::Execute {
            portal: String::new(),
            max_rows: 0
        }
    );
    assert_eq!(
        parse(b'Q', b"\xff\0").unwrap(),
        FrontendMessage::NotUtf8 { extended: false }
    );
}

#[test]
fn refuses_lengths_that_lie() {
    let check = |kind: u8, body: &'static [u8]| assert_eq!(parse(kind, body).unwrap_err().code(), "08P01");
    check(b'Q', b"SELECT 1");
    check(b'Q', b"SELECT 1\0more");
    check(b'P', b"\0\0\x7f\xff");
    check(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff");
    check(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe");
    check(b'D', b"X\0");
    check(b'S', b"x");
    check(b'E', b"\0\0");
    check(b'?', b"");
}

#[test]
fn reads_openings() {
    assert_eq!(Opening::parse(&80_877_103i32.to_be_bytes()).unwrap(), Opening::Tls);
    assert_eq!(
        Opening::parse(b"\0\x03\0\0user\0alice\0database\0farthing\0\0").unwrap(),
        Opening::Startup {
            minor: 0,
            parameters: vec![("user".into(), "alice".into()), ("database".into(), "farthing".into())]
        }
    );
    assert_eq!(
        Opening::parse(b"\0\x02\0\0user\0alice\0\0").unwrap_err().code(),
        "0A000"
    );
    assert_eq!(Opening::parse(b"\0\x03\0\0user\0alice").unwrap_err().code(), "08P01");
    assert_eq!(
        Opening::parse(b"\x04\xd2\x16\x2e\0\0\0\x01abc").unwrap_err().code(),
        "08P01"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Opening::parse(&body);
        let body = Bytes::from(body);
        let _ = parse_sasl_initial(body.clone());
        for kind in [kind, b'P', b'B', b'D', b'E', b'C', b'Q'] {
            let _ = FrontendMessage::parse(kind, body.clone());
        }
    }
}
