#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn filters_by_type() {
    let types = xdbc_types().unwrap();
    assert_eq!(types.record_batch(None).unwrap().num_rows(), 14);
    let timestamps = types.record_batch(XdbcDataType::XdbcTimestamp as i32).unwrap();
    assert_eq!(timestamps.num_rows(), 2);
}
