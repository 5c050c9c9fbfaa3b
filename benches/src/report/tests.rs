#![allow(clippy::unwrap_used)]

use super::*;

fn timed(warm: &[f64]) -> Figure {
    Figure::Timed(Times {
        cold: Some(Cold {
            seconds: 1.0,
            bytes: Some(2_000_000),
        }),
        warm: warm.to_vec(),
    })
}

fn results(lines: Vec<(&str, Vec<Figure>)>) -> Results {
    let column = |name: &str, required| Column {
        name: name.to_owned(),
        required,
        peak: None,
    };
    let line = |(name, figures): (&str, Vec<Figure>)| Line {
        name: name.to_owned(),
        title: "T".to_owned(),
        set: "dashboard".to_owned(),
        rows: 3,
        figures,
    };
    Results {
        columns: vec![
            column("DuckDB", true),
            column("Farthing", true),
            column("Polars", false),
        ],
        lines: lines.into_iter().map(line).collect(),
    }
}

#[test]
fn medians_percentiles_and_means() {
    assert!((percentile(&[3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-12);
    assert!((percentile(&[4.0, 1.0, 2.0, 3.0], 0.5) - 2.5).abs() < 1e-12);
    assert!((percentile(&[4.0, 1.0, 2.0, 3.0], 1.0) - 4.0).abs() < 1e-12);
    assert!(percentile(&[], 0.5).is_nan());
    assert!((geometric_mean([1.0, 4.0]) - 2.0).abs() < 1e-12);
}

#[test]
fn only_equal_answers_are_in_a_mean() {
    let results = results(vec![
        ("01", vec![timed(&[0.02]), timed(&[0.01]), timed(&[0.04])]),
        (
            "02",
            vec![timed(&[0.02]), timed(&[0.01]), Figure::NotRun("no maps".to_owned())],
        ),
        (
            "03",
            vec![
                timed(&[0.02]),
                timed(&[0.01]),
                Figure::Differs("it has 1 rows".to_owned()),
            ],
        ),
    ]);
    let summary = results.summary();
    assert!(
        summary.contains("| Farthing | all | 3 | 10.0 | 20.0 | 2.00 | 2.00 | 1.00 | 2.00 (01) | - |"),
        "{summary}"
    );
    assert!(
        summary.contains("| Polars | all | 1 | 40.0 | 20.0 | 0.50 |"),
        "{summary}"
    );
    let warm = results.warm();
    assert!(
        warm.contains("| 02: T | 3 | 20.0 (20.0) | 10.0 (2.00) | not run |"),
        "{warm}"
    );
    assert!(results.cold().contains("| 1000 / 2.0 |"), "{}", results.cold());
    let remarks = results.remarks();
    assert!(
        remarks.contains("- Polars, 02: not run: no maps\n") && remarks.contains("- Polars, 03: other rows"),
        "{remarks}"
    );
    assert!(results.agree());
}

#[test]
fn farthing_and_duckdb_have_to_agree() {
    for figure in [
        Figure::Differs("other".to_owned()),
        Figure::NotRun("refused".to_owned()),
    ] {
        assert!(!results(vec![("01", vec![timed(&[0.1]), figure.clone(), timed(&[0.1])])]).agree());
        assert!(!results(vec![("01", vec![figure, timed(&[0.1]), timed(&[0.1])])]).agree());
    }
}
