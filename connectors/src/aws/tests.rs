#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

#[test]
fn endpoints_in_clear_are_for_this_machine_alone() {
    for (url, allowed) in [
        ("https://s3.example.com", true),
        ("https://s3.example.com:9000/", true),
        ("http://127.0.0.1:4566", true),
        ("http://127.8.0.1:4566", true),
        ("http://localhost:4566/", true),
        ("http://[::1]:4566", true),
        ("http://s3.example.com", false),
        ("http://10.0.0.1:9000", false),
        ("http://localhost.example.com", false),
        ("ftp://127.0.0.1", false),
        ("http://user:not-a-real-secret@127.0.0.1:1", false),
        ("https://s3.example.com/path", false),
        ("https://s3.example.com?x=1", false),
        ("unix:/run/socket", false),
    ] {
        let answer = check_endpoint(&url.parse().unwrap());
        assert_eq!(answer.is_ok(), allowed, "{url}");
        if let Err(error) = answer {
            assert_eq!(error.kind(), ErrorKind::BadValue);
            assert!(!format!("{error:?}").contains("not-a-real-secret"), "{error:?}");
        }
    }
}

#[test]
fn settings_are_checked() {
    let good = AwsSettings::new(None);
    assert!(good.check().is_ok());
    for bad in [
        AwsSettings {
            region: "us-east-1.evil.example".to_owned(),
            ..good.clone()
        },
        AwsSettings {
            region: String::new(),
            ..good.clone()
        },
        AwsSettings {
            max_attempts: 0,
            ..good.clone()
        },
        AwsSettings {
            call_timeout: Duration::ZERO,
            ..good.clone()
        },
    ] {
        assert_eq!(bad.check().unwrap_err().kind(), ErrorKind::BadValue, "{bad:?}");
    }
}
