#![allow(clippy::unwrap_used, clippy::panic)]

use datafusion::common::ScalarValue;

use super::*;
use crate::port::Clock;
use crate::table::fixture::{ANN, PAYER, RealClock, World, parse, reader, usage};

async fn world() -> World {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, 0.1), usage(ANN, 0.2)]])
        .await;
    world
}

#[tokio::test]
async fn only_queries_are_planned() {
    let world = world().await;
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'",
        "COPY (SELECT 1) TO 'x.parquet'",
        "INSERT INTO costs SELECT * FROM costs",
        "DELETE FROM costs",
        "UPDATE costs SET x_export = 'y'",
        "DROP TABLE costs",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * INTO t FROM costs",
        "EXPLAIN CREATE TABLE t AS SELECT 1",
        "PREPARE p AS SELECT 1",
        "TRUNCATE costs",
    ] {
        let error = world
            .plan(&reader(&[]), sql)
            .await
            .err()
            .unwrap_or_else(|| panic!("{sql}"));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql}: {error}");
    }
}

#[tokio::test]
async fn paths_are_no_tables() {
    let world = world().await;
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM information_schema.tables",
    ] {
        let error = world.plan(&reader(&[]), sql).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownTable, "{sql}: {error}");
    }
}

#[tokio::test]
async fn names_resolve_by_the_search_path() {
    let world = world().await;
    let mut settings = QuerySettings::new(&world.limits, RealClock.now());
    let found = async |settings: &QuerySettings, sql: &str| {
        let session = world
            .builder
            .bind(world.catalog.lease(), &reader(&[]), settings)
            .await
            .unwrap();
        session.plan(parse(sql)).await.map(|_| ()).map_err(|error| error.kind())
    };
    for sql in [
        "SELECT * FROM costs",
        "SELECT * FROM public.costs",
        "SELECT * FROM farthing.exports.main",
    ] {
        assert_eq!(found(&settings, sql).await, Ok(()), "{sql}");
    }
    assert_eq!(
        found(&settings, "SELECT * FROM main").await,
        Err(ErrorKind::UnknownTable)
    );
    settings.search_path = vec!["nothing".to_owned(), "exports".to_owned(), "public".to_owned()];
    for sql in ["SELECT * FROM costs", "SELECT * FROM main"] {
        assert_eq!(found(&settings, sql).await, Ok(()), "{sql}");
    }
    settings.time_zone = "Middle/Earth".to_owned();
    let error = world
        .builder
        .bind(world.catalog.lease(), &reader(&[]), &settings)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
}

#[tokio::test]
async fn parameters_are_typed_and_set() {
    let world = world().await;
    let sql = "SELECT count(*) FROM costs WHERE sub_account_id = $1 AND billed_cost > $2";
    let query = world.plan(&reader(&[]), sql).await.unwrap();
    let types = query.parameter_types().unwrap();
    assert_eq!(types.len(), 2);
    assert!(
        types[0].1.as_ref().unwrap().is_string() && types[1].1 == Some(crate::money::function::MONEY),
        "{types:?}"
    );
    let values = vec![
        ScalarValue::from(ANN),
        ScalarValue::Decimal128(Some(150_000_000_000), 38, 12),
    ];
    let bound = query.with_parameters(values).unwrap();
    assert!(
        bound
            .logical_plan()
            .display_indent()
            .to_string()
            .contains("account_filter[")
    );
    let batches = world.run(bound).await.unwrap();
    let count = batches[0].column(0);
    assert_eq!(arrow::util::display::array_value_to_string(count, 0).unwrap(), "1");
}

#[tokio::test]
async fn money_stays_decimal_and_time_stands_still() {
    let world = world().await;
    for (sql, expected) in [
        (
            "SELECT sum(billed_cost), arrow_typeof(sum(billed_cost)) FROM costs",
            "0.300000000000|Decimal128(38, 12)",
        ),
        ("SELECT sum(billed_cost) * 1.1 FROM costs", "0.3300000000000"),
        ("SELECT arrow_typeof(0.1)", "Decimal128(1, 1)"),
        (
            "SELECT now() = now(), date_trunc('day', now())",
            "true|2026-05-28T00:00:00Z",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE x_billing_period = '2026-08'",
            "",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn a_session_sees_one_catalog_version() {
    let world = world().await;
    let session = world.session(&reader(&[])).await;
    world.deliver("main", "2026-08", &[vec![usage(ANN, 5.0)]]).await;
    let query = session.plan(parse("SELECT count(*) FROM exports.main")).await.unwrap();
    let batches = world.run(query).await.unwrap();
    assert_eq!(
        arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap(),
        "2"
    );
    assert_eq!(
        world
            .rows(&reader(&[]), "SELECT count(*) FROM exports.main")
            .await
            .unwrap(),
        "3"
    );
}

#[tokio::test]
async fn relations_are_listed_with_their_columns() {
    let world = world().await;
    let tables = world.session(&reader(&[])).await.tables();
    let names: Vec<_> = tables
        .iter()
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect();
    let expected = [
        "public.costs",
        "public.costs_daily",
        "public.costs_monthly",
        "exports.main",
        "system.caches",
        "system.migration_check",
        "system.shared_commitments",
    ];
    assert_eq!(names, expected);
    assert!(tables[0].columns.field_with_name("effective_cost").is_ok());
    assert!(tables[3].columns.field_with_name("billing_period").is_ok());
    assert!(tables[3].columns.field_with_name("farthing_has_net_costs").is_err());
}

/// Shows how many accounts are in its view's scope.
struct Seen;

#[async_trait::async_trait]
impl SystemTable for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn schema(&self) -> SchemaRef {
        use arrow::datatypes::{DataType, Field, Schema};
        Arc::new(Schema::new(vec![Field::new("accounts", DataType::Int64, false)]))
    }

    async fn rows(&self, view: &SystemView) -> Result<arrow::array::RecordBatch> {
        let count = i64::try_from(view.scope.accounts().len()).unwrap();
        let column = Arc::new(arrow::array::Int64Array::from(vec![count]));
        Ok(arrow::array::RecordBatch::try_new(self.schema(), vec![column]).unwrap())
    }
}

#[tokio::test]
async fn system_tables_are_seen_through_the_scope() {
    let mut world = world().await;
    Arc::get_mut(&mut world.builder).unwrap().system = vec![Arc::new(Seen) as Arc<dyn SystemTable>].into();
    for (principal, expected) in [
        (reader(&[]), "2|1"),
        (reader(&[ANN]), "1|1"),
        (reader(&["999999999999"]), "0|1"),
    ] {
        let sql = "SELECT s.accounts, t.n FROM system.seen s, (SELECT count(*) AS n FROM system.seen) t";
        assert_eq!(world.rows(&principal, sql).await.unwrap(), expected);
    }
}
