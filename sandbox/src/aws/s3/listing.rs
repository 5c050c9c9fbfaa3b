//! Listings: pages of at most 1,000 keys and common prefixes, in the order of the keys' UTF-8 bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Answer, Storage, error, timestamp};
use crate::aws::identity::canonical_user_id;
use crate::aws::object::Object as StoredObject;
use crate::aws::signature::uri_encode;

const LARGEST_PAGE: i32 = 1000;

/// What is listed.
pub(crate) struct Listing<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    pub(crate) from: From<'a>,
    pub(crate) limit: usize,
}

/// Where a listing starts.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    Start,
    /// After this key.
    Key(&'a str),
    /// After everything that begins so.
    Prefix(&'a str),
}

/// One page.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<StoredObject>>,
    pub(crate) common_prefixes: Vec<String>,
    /// The last entry, when there are more.
    pub(crate) last: Option<Last>,
}

/// The entry that a page ended with.
pub(crate) enum Last {
    Key(String),
    Prefix(String),
}

impl Listing<'_> {
    pub(crate) fn page(&self, objects: &BTreeMap<String, Arc<StoredObject>>) -> Page {
        let mut page = Page::default();
        let mut last = None;
        let mut start = match self.from {
            From::Start => Bound::Included(self.prefix.to_owned()),
            From::Key(key) if key < self.prefix => Bound::Included(self.prefix.to_owned()),
            From::Key(key) => Bound::Excluded(key.to_owned()),
            From::Prefix(prefix) => after_prefix(prefix),
        };
        if self.limit == 0 {
            return page;
        }
        while let Some((key, object)) = objects.range((start.clone(), Bound::Unbounded)).next() {
            if !key.starts_with(self.prefix) {
                break;
            }
            if page.objects.len() + page.common_prefixes.len() == self.limit {
                page.last = last;
                break;
            }
            let rest = &key[self.prefix.len()..];
            let folder = if self.delimiter.is_empty() {
                None
            } else {
                rest.find(self.delimiter)
            };
            match folder {
                Some(position) => {
                    let common = key[..self.prefix.len() + position + self.delimiter.len()].to_owned();
                    start = after_prefix(&common);
                    last = Some(Last::Prefix(common.clone()));
                    page.common_prefixes.push(common);
                }
                None => {
                    start = Bound::Excluded(key.clone());
                    last = Some(Last::Key(key.clone()));
                    page.objects.push(Arc::clone(object));
                }
            }
        }
        page
    }
}

/// The first place after all keys that begin with `prefix`.
fn after_prefix(prefix: &str) -> Bound<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The order of characters is that of their UTF-8 bytes; the surrogates' gap is skipped.
        let next = if last == '\u{D7FF}' {
            Some('\u{E000}')
        } else {
            char::from_u32(u32::from(last) + 1)
        };
        if let Some(next) = next {
            characters.push(next);
            return Bound::Included(characters.into_iter().collect());
        }
    }
    // Only highest characters: nothing can follow.
    Bound::Excluded("\u{10FFFF}".repeat(300))
}

/// Continuation tokens are opaque to clients; inside, they are the entry that the page ended with.
fn token(last: &Last) -> String {
    match last {
        Last::Key(key) => format!("k{}", hex::encode(key)),
        Last::Prefix(prefix) => format!("p{}", hex::encode(prefix)),
    }
}

fn read_token(token: &str) -> Option<Last> {
    let text = String::from_utf8(hex::decode(token.get(1..)?).ok()?).ok()?;
    match token.as_bytes().first()? {
        b'k' => Some(Last::Key(text)),
        b'p' => Some(Last::Prefix(text)),
        _ => None,
    }
}

fn limit(max_keys: Option<i32>) -> S3Result<i32> {
    match max_keys {
        Some(negative) if negative < 0 => Err(error(
            S3ErrorCode::InvalidArgument,
            "Argument maxKeys must be an integer between 0 and 2147483647",
        )),
        other => Ok(other.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE)),
    }
}

/// Keys as they are written into the answer.
struct Spelling(bool);

impl Spelling {
    fn of(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self(false)),
            Some("url") => Ok(Self(true)),
            Some(_) => Err(error(
                S3ErrorCode::InvalidArgument,
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    fn write(&self, text: &str) -> String {
        if self.0 {
            text.split('/').map(uri_encode).collect::<Vec<_>>().join("/")
        } else {
            text.to_owned()
        }
    }

    fn objects(&self, page: &Page, owner: Option<&Owner>) -> Vec<Object> {
        let entry = |object: &Arc<StoredObject>| Object {
            e_tag: Some(ETag::Strong(object.attributes.etag.clone())),
            key: Some(self.write(&object.key)),
            last_modified: Some(timestamp(object.attributes.last_modified)),
            owner: owner.cloned(),
            size: i64::try_from(object.attributes.size).ok(),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        };
        page.objects.iter().map(entry).collect()
    }

    fn prefixes(&self, page: &Page) -> Option<Vec<CommonPrefix>> {
        let entry = |prefix: &String| CommonPrefix {
            prefix: Some(self.write(prefix)),
        };
        (!page.common_prefixes.is_empty()).then(|| page.common_prefixes.iter().map(entry).collect())
    }
}

impl Storage {
    pub(super) fn list_version_two(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max_keys = limit(input.max_keys)?;
        let prefix = input.prefix.unwrap_or_default();
        let delimiter = input.delimiter.unwrap_or_default();
        let resumed = match &input.continuation_token {
            Some(token) => Some(read_token(token).ok_or_else(|| {
                error(
                    S3ErrorCode::InvalidArgument,
                    "The continuation token provided is incorrect",
                )
            })?),
            None => None,
        };
        let from = match (&resumed, &input.start_after) {
            (Some(Last::Key(key)), _) => From::Key(key),
            (Some(Last::Prefix(prefix)), _) => From::Prefix(prefix),
            (None, Some(key)) if !key.is_empty() => From::Key(key),
            _ => From::Start,
        };
        let listing = Listing {
            prefix: &prefix,
            delimiter: &delimiter,
            from,
            limit: usize::try_from(max_keys).unwrap_or_default(),
        };
        let page = bucket.with_objects(|objects| listing.page(objects));
        let owner = Owner {
            display_name: None,
            id: Some(canonical_user_id(&bucket.owner)),
        };
        let count = page.objects.len() + page.common_prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(bucket.name.clone()),
            prefix: Some(spelling.write(&prefix)),
            max_keys: Some(max_keys),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.last.is_some()),
            next_continuation_token: page.last.as_ref().map(token),
            contents: Some(spelling.objects(&page, input.fetch_owner.unwrap_or(false).then_some(&owner))),
            common_prefixes: spelling.prefixes(&page),
            delimiter: (!delimiter.is_empty()).then(|| spelling.write(&delimiter)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|key| spelling.write(&key)),
            request_charged: None,
        }))
    }

    pub(super) fn list_version_one(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max_keys = limit(input.max_keys)?;
        let prefix = input.prefix.unwrap_or_default();
        let delimiter = input.delimiter.unwrap_or_default();
        let marker = input.marker.unwrap_or_default();
        let from = match marker.as_str() {
            "" => From::Start,
            marker if !delimiter.is_empty() && marker.ends_with(&delimiter) => From::Prefix(marker),
            marker => From::Key(marker),
        };
        let listing = Listing {
            prefix: &prefix,
            delimiter: &delimiter,
            from,
            limit: usize::try_from(max_keys).unwrap_or_default(),
        };
        let page = bucket.with_objects(|objects| listing.page(objects));
        let owner = Owner {
            display_name: None,
            id: Some(canonical_user_id(&bucket.owner)),
        };
        // S3 names the next marker only when there is a delimiter; without one it is the last key.
        let next_marker = match &page.last {
            Some(Last::Key(entry) | Last::Prefix(entry)) if !delimiter.is_empty() => Some(spelling.write(entry)),
            _ => None,
        };
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(bucket.name.clone()),
            prefix: Some(spelling.write(&prefix)),
            marker: Some(spelling.write(&marker)),
            max_keys: Some(max_keys),
            is_truncated: Some(page.last.is_some()),
            contents: Some(spelling.objects(&page, Some(&owner))),
            common_prefixes: spelling.prefixes(&page),
            delimiter: (!delimiter.is_empty()).then(|| spelling.write(&delimiter)),
            next_marker,
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }
}
