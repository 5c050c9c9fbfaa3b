#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray};

use super::*;

fn row(text: &str, number: f64) -> Vec<Cell> {
    vec![Cell::Text(text.to_owned()), Cell::Number(number)]
}

#[test]
fn order_and_last_digits_do_not_matter() {
    let one = [row("a", 1.0), row("b", 1e9)];
    let two = [row("b", 1e9 + 0.5), row("a", 1.0)];
    assert_eq!(difference(&one, &two), None);
}

#[test]
fn other_values_rows_and_nulls_are_differences() {
    let one = [row("a", 1.0)];
    for other in [
        vec![],
        vec![row("a", 1.0001)],
        vec![row("b", 1.0)],
        vec![vec![Cell::Null, Cell::Number(1.0)]],
        vec![vec![Cell::Text("a".to_owned()), Cell::Null]],
        vec![vec![Cell::Text("a".to_owned())]],
    ] {
        assert!(difference(&one, &other).is_some(), "{other:?}");
    }
}

#[test]
fn rows_that_occur_twice_count_twice() {
    let one = [row("a", 1.0), row("a", 1.0), row("a", 2.0)];
    let two = [row("a", 1.0), row("a", 2.0), row("a", 2.0)];
    assert!(difference(&one, &two).is_some());
}

#[test]
fn batches_become_cells() {
    let money = Decimal128Array::from(vec![Some(1_500_000_000_000), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("service", Arc::new(StringArray::from(vec![Some("AmazonEC2"), None]))),
        ("cost", Arc::new(money.with_precision_and_scale(38, 12).unwrap())),
        ("rows", Arc::new(Int64Array::from(vec![7, 8]))),
        (
            "day",
            Arc::new(TimestampMillisecondArray::from(vec![86_400_000, 86_400_500])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let rows = of_batches(&[batch]).unwrap();
    assert_eq!(line(&rows[0]), "'AmazonEC2', 1.5, 7, '1970-01-02'");
    assert_eq!(line(&rows[1]), "NULL, NULL, 8, '1970-01-02T00:00:00.500'");
}
