#![allow(clippy::unwrap_used)]

use crate::statement;

#[test]
fn columns_are_named_as_postgresql_names_them() {
    for (select, expected) in [
        ("count(*), sum(a), MAX(b)", vec!["count", "sum", "max"]),
        ("a, T.b, \"C d\", a AS \"X\", a AS Y", vec!["a", "b", "C d", "X", "y"]),
        (
            "1, 'x', a + 1, NULL",
            vec!["?column?", "?column?", "?column?", "?column?"],
        ),
        (
            "a::text, cast(1 as integer), '1'::numeric(3,1)",
            vec!["a", "integer", "numeric"],
        ),
        (
            "CASE WHEN a THEN 1 END, CASE WHEN a THEN 1 ELSE b END",
            vec!["case", "b"],
        ),
        (
            "date_trunc('month', a), extract(year from a), coalesce(a, 1)",
            vec!["date_trunc", "extract", "coalesce"],
        ),
        ("(SELECT max(x) FROM u), EXISTS (SELECT 1)", vec!["max", "exists"]),
    ] {
        let statements = statement::parse(&format!("SELECT {select} FROM t"), 1 << 20).unwrap();
        assert_eq!(super::of(&statements[0].tree).unwrap(), expected, "{select}");
    }
    let star = statement::parse("SELECT *, count(*) FROM t", 1 << 20).unwrap();
    assert_eq!(super::of(&star[0].tree), None);
}
