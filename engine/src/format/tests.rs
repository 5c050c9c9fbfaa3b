#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn every_description_is_of_its_dictionary() {
    for format in FORMATS {
        assert!(std::ptr::eq(format.kind.format(), format), "{}", format.name);
        let named = format
            .accounts
            .names()
            .chain(
                [format.usage_name, format.payer_name, format.currency]
                    .into_iter()
                    .flatten(),
            )
            .chain(format.required.iter().copied())
            .chain(format.recognised_by.iter().copied());
        for name in named {
            assert!(format.column_type(name).is_some(), "{}: {name}", format.name);
        }
        for account in format.accounts.names() {
            assert_eq!(format.column_type(account), Some(ColumnType::Text), "{account}");
            assert!(format.required.contains(&account), "{}: {account}", format.name);
        }
        for cost in [format.cost, format.net_cost].into_iter().flatten() {
            assert_eq!(format.column_type(cost), Some(ColumnType::Double), "{cost}");
        }
        let end = format.charge_end.and_then(|end| format.column_type(end));
        assert!(end.is_none_or(|end| end == ColumnType::Timestamp), "{}", format.name);
    }
    // As many as AWS's pages list: 131 of CUR 2.0, 60 of FOCUS 1.2 and two more of 1.0, 26 and 23.
    let counts = FORMATS.map(|format| format.columns().count());
    assert_eq!(counts, [131, 131, 62, 26, 23]);
}

#[test]
fn columns_tell_the_kind() {
    use ExportKind::{Carbon, CostOptimization, Cur, Cur2, Focus};
    let of = |kind: ExportKind| kind.format().columns().collect::<Vec<_>>();
    for (columns, assumed, expected) in [
        (of(Focus), Cur2, Focus),
        (of(Focus), Cur, Focus),
        (of(Focus), Focus, Focus),
        (of(Cur2), Focus, Cur2),
        (of(Cur2), Cur, Cur),
        (of(Cur2), Cur2, Cur2),
        (of(CostOptimization), Cur2, CostOptimization),
        (of(Carbon), Cur2, Carbon),
        // Nothing to tell it by: what it is taken for stands, and what is required is then found missing.
        (vec!["BilledCost", "line_item_unblended_cost"], Focus, Focus),
        (Vec::new(), Cur, Cur),
    ] {
        let found = ExportKind::of_columns(columns.iter().copied(), assumed);
        assert_eq!(found, expected, "{columns:?} taken for {assumed:?}");
    }
}
