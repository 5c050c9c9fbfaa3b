#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::StringViewArray;
use datafusion::physical_plan::ExecutionPlan;

use super::*;
use crate::error::ErrorKind;
use crate::principal::Role;
use crate::scope::check::ScopeCheck;
use crate::scope::exec::ScopeExec;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, row, usage};

fn scope(accounts: &[&str]) -> AccountScope {
    AccountScope(Arc::new(accounts.iter().map(|id| id.parse().unwrap()).collect()))
}

fn blank(account: &'static str, cost: f64) -> Row {
    let mut tax = usage(account, cost);
    tax.insert("line_item_line_item_type", Cell::Text("Tax"));
    tax
}

/// One month: a file of Ann alone, and one where Ann, Bob, a hidden account and rows without account lie together.
async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let mut no_account = usage(ANN, 1000.0);
    no_account.remove("line_item_usage_account_id");
    no_account.insert("bill_payer_account_id", Cell::Text(HIDDEN));
    let mixed = vec![
        usage(ANN, 4.0),
        usage(BOB, 8.0),
        usage(HIDDEN, 16.0),
        blank("", 32.0),
        no_account,
        usage(HIDDEN, -7000.0),
        usage(HIDDEN, 9000.0),
    ];
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 1.0), usage(ANN, 2.0)], mixed])
        .await;
    world
}

/// Runs, values that come back, and texts of other lengths give by views what they give by text.
#[test]
fn views_and_texts_are_seen_alike() {
    let texts = [
        Some(ANN),
        Some(BOB),
        None,
        Some(""),
        Some("  "),
        Some("123456789012345678"),
        Some(" 111122223333 "),
        Some("x"),
    ];
    let mut state: u64 = 7;
    let mut pick = |runs: bool| {
        let mut column = Vec::new();
        while column.len() < 5_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let text = texts[usize::try_from(state >> 40).unwrap() % texts.len()];
            let run = if runs {
                usize::try_from(state >> 20 & 63).unwrap()
            } else {
                1
            };
            column.extend(std::iter::repeat_n(text, run));
        }
        column.truncate(5_000);
        column
    };
    for runs in [true, false] {
        let (usage, payer) = (pick(runs), pick(runs));
        let views = |texts: &[Option<&str>]| Arc::new(StringViewArray::from(texts.to_vec())) as ArrayRef;
        let plain = |texts: &[Option<&str>]| Arc::new(arrow::array::StringArray::from(texts.to_vec())) as ArrayRef;
        for scope in [scope(&[ANN]), scope(&[BOB, PAYER]), scope(&[])] {
            let by_view = scope.mask(&views(&usage), Some(&views(&payer))).unwrap();
            assert_eq!(by_view, scope.mask(&plain(&usage), Some(&plain(&payer))).unwrap());
            assert_eq!(
                scope.mask(&views(&usage), None).unwrap(),
                scope.mask(&plain(&usage), None).unwrap()
            );
            let sliced = scope
                .mask(&views(&usage).slice(17, 900), Some(&views(&payer).slice(17, 900)))
                .unwrap();
            assert_eq!(sliced, by_view.slice(17, 900));
        }
    }
}

#[test]
fn the_usage_account_decides_and_then_the_payer() {
    let usage: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some(ANN),
        Some(BOB),
        Some(""),
        None,
        Some(" "),
        Some(""),
        None,
        Some("11"),
        Some("x"),
    ]));
    let payer: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some(PAYER),
        Some(ANN),
        Some(ANN),
        Some(ANN),
        Some(ANN),
        Some(PAYER),
        None,
        Some(ANN),
        Some(ANN),
    ]));
    let mask = scope(&[ANN]).mask(&usage, Some(&payer)).unwrap();
    let expected = [true, false, true, true, true, false, false, false, false];
    assert_eq!(mask, BooleanArray::from(expected.to_vec()));
    assert_eq!(scope(&[]).mask(&usage, Some(&payer)).unwrap().true_count(), 0);
    // Without a column of payers, a row without an account is nobody's.
    let mask = scope(&[ANN]).mask(&usage, None).unwrap();
    let expected = [true, false, false, false, false, false, false, false, false];
    assert_eq!(mask, BooleanArray::from(expected.to_vec()));
}

#[tokio::test]
async fn hidden_rows_influence_nothing() {
    let world = world().await;
    let all = reader(&[]);
    let ann = reader(&[ANN]);
    for (principal, sql, expected) in [
        (
            &all,
            "SELECT count(*), sum(line_item_unblended_cost) FROM exports.main",
            "5|47.0",
        ),
        (
            &ann,
            "SELECT count(*), sum(line_item_unblended_cost) FROM exports.main",
            "3|7.0",
        ),
        (&ann, "SELECT count(*) FROM exports.main", "3"),
        (
            &ann,
            "SELECT count(1), count(line_item_unblended_cost) FROM exports.main",
            "3|3",
        ),
        (
            &all,
            "SELECT min(line_item_unblended_cost), max(line_item_unblended_cost) FROM exports.main",
            "1.0|32.0",
        ),
        (
            &all,
            "SELECT min(line_item_usage_account_id), max(line_item_usage_account_id) FROM exports.main",
            "|000000000012",
        ),
        (&all, "SELECT sum(x_unblended_cost) FROM costs", "47.000000000000"),
        (&ann, "SELECT sum(x_unblended_cost) FROM costs", "7.000000000000"),
        (
            &ann,
            "SELECT a.line_item_unblended_cost FROM exports.main a JOIN exports.main b
            ON a.line_item_unblended_cost = b.line_item_unblended_cost ORDER BY 1",
            "1.0 2.0 4.0",
        ),
        (
            &ann,
            "SELECT (SELECT max(line_item_unblended_cost) FROM exports.main)",
            "4.0",
        ),
        (
            &ann,
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM exports.main WHERE line_item_unblended_cost > 5)",
            "",
        ),
        (
            &ann,
            "SELECT count(*) FROM exports.main WHERE line_item_unblended_cost IN
            (SELECT line_item_unblended_cost FROM exports.main WHERE line_item_unblended_cost > 3)",
            "1",
        ),
        (
            &ann,
            "WITH c AS (SELECT * FROM exports.main) SELECT count(*) FROM c",
            "3",
        ),
        (
            &ann,
            "WITH RECURSIVE r AS (SELECT max(line_item_unblended_cost) AS m FROM exports.main
            UNION ALL SELECT m - 1 FROM r WHERE m > 3) SELECT count(*) FROM r",
            "2",
        ),
        (
            &ann,
            "SELECT count(*) FROM (SELECT * FROM exports.main UNION ALL SELECT * FROM exports.main) u",
            "6",
        ),
        (&ann, "SELECT count(*) FROM exports.main EXCEPT SELECT 3", ""),
        (
            &ann,
            "SELECT line_item_unblended_cost FROM exports.main ORDER BY line_item_unblended_cost DESC LIMIT 1",
            "4.0",
        ),
        (
            &ann,
            "SELECT count(*) FROM (SELECT 1 FROM exports.main LIMIT 100) x",
            "3",
        ),
        (&ann, "SELECT count(*) FROM exports.main TABLESAMPLE SYSTEM (100)", "3"),
        (
            &ann,
            "SELECT rank() OVER (ORDER BY line_item_unblended_cost) FROM exports.main ORDER BY 1 DESC LIMIT 1",
            "3",
        ),
        (
            &ann,
            "SELECT count(*) FROM exports.main WHERE line_item_usage_account_id = '999999999999'",
            "0",
        ),
        (
            &ann,
            "SELECT count(DISTINCT line_item_usage_account_id) FROM exports.main",
            "1",
        ),
        (
            &ann,
            "SELECT approx_distinct(line_item_usage_account_id) FROM exports.main",
            "1",
        ),
    ] {
        match world.rows(principal, sql).await {
            Ok(rows) => assert_eq!(rows, expected, "{sql}"),
            Err(error) if sql.contains("TABLESAMPLE") => assert_ne!(error.kind(), ErrorKind::Defect, "{error}"),
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn an_expression_that_fails_on_hidden_rows_alone_does_not_fail() {
    let world = world().await;
    let ann = reader(&[ANN]);
    for (sql, expected) in [
        // Bob has 8, the hidden account 16: integer division by what is left of them would fail.
        (
            "SELECT count(*) FROM exports.main WHERE 10 / (CAST(line_item_unblended_cost AS INT) - 8) < 1000",
            "3",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE 10 / (CAST(line_item_unblended_cost AS INT) - 16) < 1000",
            "3",
        ),
        (
            "SELECT sum(1 / (CAST(line_item_unblended_cost AS INT) - 16)) FROM exports.main",
            "0",
        ),
        (
            "SELECT count(*) FROM costs WHERE 1 / (CAST(billed_cost AS INT) - 16) < 1000",
            "3",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE CAST(line_item_line_item_type || '1' AS TEXT) <> 'x'",
            "3",
        ),
    ] {
        assert_eq!(world.rows(&ann, sql).await.unwrap(), expected, "{sql}");
    }
    let error = world
        .rows(
            &reader(&[]),
            "SELECT sum(1 / (CAST(line_item_unblended_cost AS INT) - 8)) FROM exports.main",
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DivisionByZero);
}

#[tokio::test]
async fn nobody_sees_what_is_not_connected() {
    let world = world().await;
    for principal in [reader(&[HIDDEN]), reader(&["123456789012"])] {
        for sql in ["SELECT count(*) FROM exports.main", "SELECT count(*) FROM costs"] {
            assert_eq!(world.rows(&principal, sql).await.unwrap(), "0");
        }
    }
    // Rows without account follow the payer, who is connected but not granted here.
    let tax = "SELECT count(*) FROM costs WHERE x_line_item_type = 'Tax'";
    assert_eq!(world.rows(&reader(&[BOB]), tax).await.unwrap(), "0");
    assert_eq!(world.rows(&reader(&[PAYER]), tax).await.unwrap(), "1");
}

#[tokio::test]
async fn integers_are_compared_with_account_ids_as_digits() {
    let world = world().await;
    let all = reader(&[]);
    for (sql, expected) in [
        (
            "SELECT count(*) FROM exports.main WHERE line_item_usage_account_id = 11",
            "3",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE 12 = line_item_usage_account_id",
            "1",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE line_item_usage_account_id IN (11, 12)",
            "4",
        ),
        (
            "SELECT count(*) FROM exports.main WHERE line_item_usage_account_id BETWEEN 11 AND 12",
            "4",
        ),
        ("SELECT count(*) FROM costs WHERE sub_account_id = 12", "1"),
        ("SELECT count(*) FROM costs WHERE billing_account_id = 1", "5"),
        ("SELECT count(*) FROM costs WHERE sub_account_id = '000000000012'", "1"),
        (
            "SELECT count(*) FROM (SELECT sub_account_id FROM costs) c WHERE sub_account_id <> 11",
            "1",
        ),
    ] {
        assert_eq!(world.rows(&all, sql).await.unwrap(), expected, "{sql}");
    }
    let plan = world
        .plan(
            &all,
            "SELECT count(*) FROM exports.main WHERE line_item_usage_account_id = 11",
        )
        .await
        .unwrap();
    let text = plan.explain().await.unwrap();
    assert!(
        !text.contains("CAST(line_item_usage_account_id") && !text.contains("CAST(main.line_item"),
        "{text}"
    );
    assert!(text.contains("pruning_predicate"), "{text}");
}

#[tokio::test]
async fn explain_shows_the_filter_and_nothing_hidden() {
    let world = world().await;
    let explain = world
        .rows(&reader(&[ANN]), "EXPLAIN VERBOSE SELECT sum(billed_cost) FROM costs")
        .await
        .unwrap();
    assert!(
        explain.contains("account_filter[line_item_usage_account_id IN ('000000000011')"),
        "{explain}"
    );
    assert!(
        explain.contains("ScopeExec: accounts=1, files_in_scope=1, all rows in scope"),
        "{explain}"
    );
    assert!(
        explain.contains(
            "ScopeExec: accounts=1, files_in_scope=1, rows filtered by line_item_usage_account_id IN ('000000000011')"
        ),
        "{explain}"
    );
    assert!(!explain.contains(HIDDEN) && !explain.contains(BOB), "{explain}");
    let error = world
        .plan(&reader(&[ANN]), "EXPLAIN ANALYZE SELECT 1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoPrivilege);
    let admin = Principal {
        role: Role::Admin,
        ..reader(&[ANN])
    };
    let analyze = world
        .rows(&admin, "EXPLAIN ANALYZE SELECT sum(billed_cost) FROM costs")
        .await
        .unwrap();
    assert!(
        analyze.contains("bytes_scanned=") && analyze.contains("input_rows="),
        "{analyze}"
    );
}

#[tokio::test]
async fn exact_statistics_answer_for_wholly_visible_files_alone() {
    let world = world().await;
    let count = "EXPLAIN SELECT count(*) FROM exports.main";
    let partly = world.rows(&reader(&[ANN]), count).await.unwrap();
    assert!(partly.contains("ScopeExec"), "{partly}");
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 1.0), usage(ANN, 2.0)]])
        .await;
    let wholly = world.rows(&reader(&[ANN]), count).await.unwrap();
    assert!(
        !wholly.contains("ScopeExec") && wholly.contains("PlaceholderRowExec"),
        "{wholly}"
    );
    assert_eq!(
        world
            .rows(&reader(&[ANN]), "SELECT count(*) FROM exports.main")
            .await
            .unwrap(),
        "2"
    );
}

#[tokio::test]
async fn owners_that_do_not_add_up_prove_nothing() {
    let world = world().await;
    let lease = world.catalog.lease();
    let mut snapshot = lease
        .snapshots
        .values()
        .next()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .as_ref()
        .clone();
    for file in &mut snapshot.files {
        file.owners
            .retain(|owner| owner.owner.usage_account == Some(ANN.parse().unwrap()));
    }
    snapshot.id = "other".parse().unwrap();
    world.put(snapshot).await;
    assert_eq!(
        world
            .rows(&reader(&[ANN]), "SELECT count(*) FROM exports.main")
            .await
            .unwrap(),
        "3"
    );
    assert_eq!(
        world
            .rows(
                &reader(&[BOB]),
                "SELECT sum(line_item_unblended_cost) FROM exports.main"
            )
            .await
            .unwrap(),
        "8.0"
    );
}

#[tokio::test]
async fn a_plan_without_the_filter_is_refused() {
    let world = world().await;
    let query = world
        .plan(
            &reader(&[ANN]),
            "SELECT line_item_unblended_cost, line_item_usage_account_id, bill_payer_account_id FROM exports.main",
        )
        .await
        .unwrap();
    let plan = query.physical_plan().await.unwrap();
    let check = ScopeCheck::new(scope(&[ANN]));
    check.verify(&plan).unwrap();
    let wider = ScopeCheck::new(scope(&[ANN, BOB])).verify(&plan).unwrap_err();
    assert_eq!(wider.kind(), ErrorKind::Defect);
    let bare = without_filter(plan);
    let error = check.verify(&bare).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Defect);
    assert!(error.message().contains("without the account filter"), "{error}");
}

/// The plan with every `ScopeExec` cut out.
fn without_filter(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let children: Vec<_> = plan.children().into_iter().cloned().map(without_filter).collect();
    if plan.is::<ScopeExec>() {
        children.into_iter().next().unwrap()
    } else if children.is_empty() {
        plan
    } else {
        let options = datafusion::physical_plan::ReplaceChildrenOptions::new(
            datafusion::physical_plan::ChildrenPropertiesMode::Recompute,
        );
        plan.replace_children(children, options).unwrap()
    }
}

#[tokio::test]
async fn rows_without_any_account_column_belong_to_nobody() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("bare", PAYER, 0).await;
    let nobody = row([("line_item_unblended_cost", Cell::Double(5.0))]);
    world.deliver("bare", "2026-07", &[vec![nobody]]).await;
    assert_eq!(
        world
            .rows(&reader(&[]), "SELECT count(*) FROM exports.bare")
            .await
            .unwrap(),
        "0"
    );
}

/// The filter over columns of another format, and over a format without payers: what it reads, the description says.
#[tokio::test]
async fn other_formats_are_filtered_by_their_own_columns() {
    use crate::catalog::ExportKind;
    let world = World::with(&[PAYER, ANN]).await;
    world
        .export_of("recommended", PAYER, 0, ExportKind::CostOptimization)
        .await;
    let recommended = |account: &'static str, id: &'static str| {
        row([
            ("account_id", Cell::Text(account)),
            ("recommendation_id", Cell::Text(id)),
        ])
    };
    let nobody = row([("recommendation_id", Cell::Text("r4"))]);
    world
        .deliver(
            "recommended",
            "2026-07",
            &[vec![
                recommended(ANN, "r1"),
                recommended(HIDDEN, "r2"),
                recommended("", "r3"),
                nobody,
                recommended(PAYER, "r5"),
            ]],
        )
        .await;
    world.export_of("focused", PAYER, 1, ExportKind::Focus).await;
    let charged = |account: &'static str, payer: &'static str, cost: f64| {
        row([
            ("SubAccountId", Cell::Text(account)),
            ("BillingAccountId", Cell::Text(payer)),
            ("BilledCost", Cell::Double(cost)),
        ])
    };
    world
        .deliver(
            "focused",
            "2026-07",
            &[vec![
                charged(ANN, PAYER, 1.0),
                charged(HIDDEN, PAYER, 2.0),
                charged("", PAYER, 4.0),
                charged("", HIDDEN, 8.0),
                charged(PAYER, HIDDEN, 16.0),
            ]],
        )
        .await;
    let (all, ann) = (reader(&[]), reader(&[ANN]));
    for (principal, sql, expected) in [
        (
            &all,
            "SELECT recommendation_id FROM exports.recommended ORDER BY 1",
            "r1 r5",
        ),
        (
            &ann,
            "SELECT recommendation_id FROM exports.recommended ORDER BY 1",
            "r1",
        ),
        (&all, "SELECT sum(\"BilledCost\") FROM exports.focused", "21.0"),
        (&ann, "SELECT sum(\"BilledCost\") FROM exports.focused", "1.0"),
        (
            &all,
            "SELECT sum(\"BilledCost\") FROM exports.focused WHERE \"SubAccountId\" = 11",
            "1.0",
        ),
    ] {
        assert_eq!(world.rows(principal, sql).await.unwrap(), expected, "{sql}");
    }
    // Files without the columns that say whose rows are show nothing where any row is hidden.
    world.export_of("mistaken", PAYER, 2, ExportKind::Focus).await;
    world
        .deliver("mistaken", "2026-07", &[vec![usage(ANN, 1.0), usage(HIDDEN, 2.0)]])
        .await;
    assert_eq!(
        world
            .rows(
                &all,
                "SELECT count(*), count(line_item_unblended_cost) FROM exports.mistaken"
            )
            .await
            .unwrap(),
        "0|0"
    );
}
