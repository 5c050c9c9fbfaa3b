#![allow(clippy::unwrap_used)]

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;

use super::*;

fn ids(info: &SqlInfoData, asked: &[u32]) -> Vec<u32> {
    let batch = info.record_batch(asked.iter().copied()).unwrap();
    batch.column(0).as_primitive::<UInt32Type>().values().to_vec()
}

#[test]
fn has_every_id_but_substrait_versions() {
    let info = sql_info(&FlightLimits::default()).unwrap();
    let all: Vec<u32> = (0..=5).chain(8..=11).chain(100..=101).chain(500..=576).collect();
    assert_eq!(ids(&info, &[]), all);
}

#[test]
fn unknown_ids_give_nothing() {
    let info = sql_info(&FlightLimits::default()).unwrap();
    assert_eq!(ids(&info, &[6, 7, 999, 10_001]), Vec::<u32>::new());
    assert_eq!(ids(&info, &[504, 999, 0]), vec![0, 504]);
}

#[test]
fn lists_functions_by_subject() {
    let functions = functions();
    assert!(functions.numeric.iter().any(|name| name == "abs"));
    assert!(functions.string.iter().any(|name| name == "upper"));
    assert!(functions.datetime.iter().any(|name| name == "date_trunc"));
}
