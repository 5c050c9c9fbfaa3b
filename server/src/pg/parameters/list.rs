//! One-dimensional PostgreSQL arrays, for `= ANY($1)`.

use bytes::Buf;
use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;

use super::{Flaw, Read, item_type};

/// Reads `{1,NULL,"a b"}`.
pub(super) fn from_text(text: &str, item: &Type) -> Read<ScalarValue> {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .ok_or(Flaw::Form)?;
    let items = split(inner)?
        .into_iter()
        .map(|value| value.map(|value| super::from_text(value.as_bytes(), item)).transpose())
        .collect::<Read<Vec<_>>>()?;
    build(items, item)
}

/// Reads PostgreSQL's binary array: dimensions, whether there are NULLs, element type, and for the one dimension its
/// length and lower bound.
pub(super) fn from_binary(mut bytes: &[u8], item: &Type) -> Read<ScalarValue> {
    const SHORT: fn(bytes::TryGetError) -> Flaw = |_| Flaw::Form;
    let dimensions = bytes.try_get_i32().map_err(SHORT)?;
    let _has_nulls = bytes.try_get_i32().map_err(SHORT)?;
    if bytes.try_get_u32().map_err(SHORT)? != item.oid() {
        return Err(Flaw::Form);
    }
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = bytes.try_get_i32().map_err(SHORT)?;
            let _lower_bound = bytes.try_get_i32().map_err(SHORT)?;
            length
        }
        _ => return Err(Flaw::Type),
    };
    let items = (0..length)
        .map(|_| {
            let size = bytes.try_get_i32().map_err(SHORT)?;
            if size == -1 {
                return Ok(None);
            }
            let (value, rest) = usize::try_from(size)
                .ok()
                .and_then(|size| bytes.split_at_checked(size))
                .ok_or(Flaw::Form)?;
            bytes = rest;
            super::from_binary(value, item).map(Some)
        })
        .collect::<Read<Vec<_>>>()?;
    if !bytes.is_empty() {
        return Err(Flaw::Form);
    }
    build(items, item)
}

fn build(items: Vec<Option<ScalarValue>>, item: &Type) -> Read<ScalarValue> {
    let kind = match *item {
        Type::NUMERIC => common_decimal(&items)?,
        _ => item_type(item)?,
    };
    let null = ScalarValue::try_from(&kind).map_err(|_| Flaw::Type)?;
    let items = items
        .into_iter()
        .map(|value| match value {
            None => Ok(null.clone()),
            Some(value) if value.data_type() == kind => Ok(value),
            Some(value) => value.cast_to(&kind).map_err(|_| Flaw::Range),
        })
        .collect::<Read<Vec<_>>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list(&items, &kind, true)))
}

/// The narrowest decimal type that holds every item.
fn common_decimal(items: &[Option<ScalarValue>]) -> Read<DataType> {
    let (mut whole, mut scale) = (1, 0);
    for item in items.iter().flatten() {
        if let ScalarValue::Decimal128(_, precision, places) | ScalarValue::Decimal256(_, precision, places) = item {
            let places = places.unsigned_abs();
            whole = whole.max(precision - places);
            scale = scale.max(places);
        }
    }
    match whole + scale {
        precision @ ..=38 => Ok(DataType::Decimal128(precision, scale.cast_signed())),
        precision @ 39..=76 => Ok(DataType::Decimal256(precision, scale.cast_signed())),
        _ => Err(Flaw::Range),
    }
}

/// The items between the braces; `None` for NULL. An item in quotes is never NULL.
fn split(inner: &str) -> Read<Vec<Option<String>>> {
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Ok(items);
    }
    loop {
        while chars.next_if(|char| char.is_ascii_whitespace()).is_some() {}
        let mut value = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        if quoted {
            loop {
                match chars.next().ok_or(Flaw::Form)? {
                    '"' => break,
                    '\\' => value.push(chars.next().ok_or(Flaw::Form)?),
                    char => value.push(char),
                }
            }
            while chars.next_if(|char| char.is_ascii_whitespace()).is_some() {}
        } else {
            while let Some(char) = chars.next_if(|char| *char != ',') {
                match char {
                    // Arrays of arrays are not taken.
                    '{' | '}' => return Err(Flaw::Type),
                    '"' => return Err(Flaw::Form),
                    '\\' => value.push(chars.next().ok_or(Flaw::Form)?),
                    char => value.push(char),
                }
            }
            value.truncate(value.trim_end().len());
            if value.is_empty() {
                return Err(Flaw::Form);
            }
        }
        items.push((quoted || !value.eq_ignore_ascii_case("NULL")).then_some(value));
        match chars.next() {
            None => return Ok(items),
            Some(',') => {}
            Some(_) => return Err(Flaw::Form),
        }
    }
}
