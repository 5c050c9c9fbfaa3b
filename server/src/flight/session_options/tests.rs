#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn reads_the_bytes_of_other_implementations() {
    // {"catalog": "farthing"}: map entry (field 1) of key (1) and value (2), which holds a string (1).
    let mut bytes = vec![0x0A, 21, 0x0A, 7];
    bytes.extend(b"catalog");
    bytes.extend([0x12, 10, 0x0A, 8]);
    bytes.extend(b"farthing");
    let request = SetSessionOptionsRequest::decode(&*bytes).unwrap();
    let value = request.session_options[CATALOG_OPTION].value.clone().unwrap();
    assert_eq!(value, OptionValue::Text("farthing".to_owned()));
    assert_eq!(request.encode_to_vec(), bytes);
}

#[test]
fn integers_are_fixed_width_on_the_wire() {
    let value = SessionOptionValue {
        value: Some(OptionValue::Integer(1)),
    };
    assert_eq!(value.encode_to_vec(), [0x19, 1, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn finds_the_first_schema() {
    assert_eq!(first_schema("\"$user\", public"), "public");
    assert_eq!(first_schema("exports"), "exports");
    assert_eq!(first_schema(""), "");
}

#[test]
fn only_plain_names_reach_a_statement() {
    assert!(is_setting_name("statement_timeout") && is_setting_name("farthing.scope"));
    assert!(!is_setting_name("a; DROP") && !is_setting_name("") && !is_setting_name("1a"));
}

#[test]
fn a_value_without_content_resets() {
    assert_eq!(SessionOptionValue::decode(&[][..]).unwrap().value, None);
}
