#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;

use super::listing::{From, Last, Listing};
use crate::aws::object::{Content, Object, ObjectAttributes, StoredHeaders};

fn index(keys: &[&str]) -> BTreeMap<String, Arc<Object>> {
    let object = |key: &str| Object {
        key: key.to_owned(),
        content: Content::Memory(Bytes::new()),
        attributes: ObjectAttributes {
            size: 0,
            etag: String::new(),
            last_modified: DateTime::UNIX_EPOCH,
            headers: StoredHeaders::default(),
        },
    };
    keys.iter()
        .map(|key| (key.to_string(), Arc::new(object(key))))
        .collect()
}

/// All entries of a listing, gathered page by page.
fn entries(objects: &BTreeMap<String, Arc<Object>>, prefix: &str, delimiter: &str, limit: usize) -> Vec<String> {
    let mut entries = Vec::new();
    let mut last: Option<Last> = None;
    loop {
        let from = match &last {
            None => From::Start,
            Some(Last::Key(key)) => From::Key(key),
            Some(Last::Prefix(prefix)) => From::Prefix(prefix),
        };
        let page = Listing {
            prefix,
            delimiter,
            from,
            limit,
        }
        .page(objects);
        let mut of_page: Vec<String> = page.objects.iter().map(|object| object.key.clone()).collect();
        of_page.extend(page.common_prefixes);
        assert!(of_page.len() <= limit);
        of_page.sort();
        entries.extend(of_page);
        match page.last {
            Some(next) => last = Some(next),
            None => return entries,
        }
    }
}

const KEYS: &[&str] = &[
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a//d",
    "a0",
    "b/1",
    "b/2",
    "b/3/x",
    "b/3/y",
    "c",
    "d/é",
    "d/\u{D7FF}",
    "d/\u{D7FF}/1",
    "d/\u{E000}",
    "d/\u{10FFFF}/2",
    "e",
];

#[test]
fn pages_of_any_size_give_the_same_entries() {
    let objects = index(KEYS);
    for prefix in ["", "a", "a/", "b/", "b/3", "d/", "d/\u{D7FF}", "nothing"] {
        for delimiter in ["", "/", "b/"] {
            // The definition, without pages: what follows the first delimiter after the prefix is folded away.
            let mut expected = BTreeSet::new();
            for key in objects.keys().filter(|key| key.starts_with(prefix)) {
                let rest = &key[prefix.len()..];
                match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
                    Some(position) => expected.insert(key[..prefix.len() + position + delimiter.len()].to_owned()),
                    None => expected.insert(key.clone()),
                };
            }
            let expected: Vec<String> = expected.into_iter().collect();
            for limit in [1, 2, 3, 7, 1000] {
                assert_eq!(
                    entries(&objects, prefix, delimiter, limit),
                    expected,
                    "{prefix:?} {delimiter:?} {limit}"
                );
            }
        }
    }
}

#[test]
fn start_after_begins_behind_the_key() {
    let objects = index(KEYS);
    let keys = |from: From<'_>| {
        let page = Listing {
            prefix: "b/",
            delimiter: "",
            from,
            limit: 1000,
        }
        .page(&objects);
        page.objects.iter().map(|object| object.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys(From::Key("b/2")), ["b/3/x", "b/3/y"]);
    assert_eq!(keys(From::Key("a")).len(), 4);
    assert!(keys(From::Key("z")).is_empty());
}
