#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashSet};

use super::*;

#[test]
fn accounts_of_aws_have_twelve_digits() {
    for text in ["012345678901", "000000000000"] {
        assert_eq!(text.parse::<AccountId>().unwrap().as_str(), text);
        assert!(AccountId::delivered(text).unwrap().is_aws());
    }
    for text in ["", "1", "1234567890123", "12345678901", "12345678901x", "١٢٣٤٥٦"] {
        let refused = text.parse::<AccountId>().unwrap_err();
        assert!(refused.message().ends_with("is not an AWS account id"), "{refused}");
    }
}

#[test]
fn deliveries_may_have_other_ids() {
    let longest = "x".repeat(128);
    for text in [
        "1234567890123",
        "11353890204",
        "/subscriptions/64e355d7",
        "a b",
        "é",
        "'; --",
        &longest,
    ] {
        let account = AccountId::delivered(text).unwrap();
        assert_eq!(account.as_str(), text);
        assert!(!account.is_aws());
        assert_eq!(account, AccountId::delivered(text).unwrap());
        let written = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<AccountId>(&written).unwrap(), account);
        assert_eq!(account.check_aws().unwrap_err().kind(), ErrorKind::BadValue);
    }
    let too_long = "x".repeat(129);
    for text in ["", " ", "\u{a0}", " 1", "1 ", "1\n2", "a\u{0}", "\u{85}", &too_long] {
        let refused = AccountId::delivered(text).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BadValue, "{text:?}");
        assert!(!refused.message().contains(char::is_control), "{refused}");
    }
    assert!(AccountId::known("1234567890123").is_ok() && AccountId::known("000000000001").is_ok());
    let refused = AccountId::known("never seen before").unwrap_err();
    assert!(refused.message().contains("a text of 17 bytes"), "{refused}");
    assert!(AccountId::known("never seen before").is_err(), "asking keeps nothing");
    assert_eq!(AccountId::delivered("o'hara").unwrap().sql(), "'o''hara'");
}

/// Pruning compares least and greatest as text.
#[test]
fn order_and_hash_are_those_of_the_text() {
    let texts = ["/sub", "1", "100000000000", "1000000000000", "999999999999", "A", "a"];
    let sorted: BTreeSet<AccountId> = texts
        .iter()
        .rev()
        .map(|text| AccountId::delivered(text).unwrap())
        .collect();
    let order: Vec<&str> = sorted.iter().map(AccountId::as_str).collect();
    assert_eq!(order, texts);
    let hashed: HashSet<AccountId> = sorted.iter().copied().collect();
    for text in texts {
        let account = AccountId::find(text).unwrap();
        assert!(sorted.contains(&account) && hashed.contains(&account), "{text}");
    }
    assert!(AccountId::find("10000000000").is_none() && AccountId::find("").is_none());
}

#[test]
fn ids_of_others_are_bounded() {
    AccountId::of_text("known-before", usize::MAX).unwrap();
    let refused = AccountId::of_text("one-too-many", 0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit);
    assert!(AccountId::of_text("known-before", 0).is_ok());
    assert!(AccountId::of_text("000000000001", 0).is_ok());
}
