use super::*;
use crate::procedure::procedures;

async fn all_answered(file: &'static str) {
    let world = World::new().await;
    let session = world.session("ann");
    let costs = world.number("SELECT 'costs'::regclass::oid").await;
    let main = world.number("SELECT 'exports.main'::regclass::oid").await;
    let mut refused = Vec::new();
    for (name, sql) in recorded(file) {
        let sql = sql.replace("{costs}", &costs).replace("{main}", &main);
        if let Err(error) = world.answer(&session, &sql).await {
            refused.push(format!("{name}: {error}"));
        }
    }
    assert!(refused.is_empty(), "{}\n{}", refused.len(), refused.join("\n"));
}

#[tokio::test]
async fn every_recorded_statement_of_psql_is_answered() {
    all_answered(include_str!("psql.sql")).await;
}

#[tokio::test]
async fn every_recorded_statement_of_sqlalchemy_is_answered() {
    all_answered(include_str!("sqlalchemy.sql")).await;
}

#[tokio::test]
async fn every_recorded_statement_of_pgjdbc_is_answered() {
    all_answered(include_str!("pgjdbc.sql")).await;
}

async fn recorded_rows(world: &World, user: &str, name: &str) -> Vec<String> {
    let costs = world.number("SELECT 'costs'::regclass::oid").await;
    let main = world.number("SELECT 'exports.main'::regclass::oid").await;
    let (_, sql) = recorded(include_str!("psql.sql"))
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("{name} is not recorded"));
    let sql = sql.replace("{costs}", &costs).replace("{main}", &main);
    match world.answer(&world.session(user), &sql).await {
        Ok((_, rows)) => rows,
        Err(error) => panic!("{name}: {error}"),
    }
}

#[tokio::test]
async fn psql_lists_relations_by_the_search_path() {
    let world = World::new().await;
    assert!(recorded_rows(&world, "bob", "\\dt 1").await.is_empty());
    assert_eq!(
        recorded_rows(&world, "bob", "\\dv 1").await,
        [
            "public|costs|view|farthing",
            "public|costs_daily|view|farthing",
            "public|costs_monthly|view|farthing"
        ]
    );
    assert_eq!(
        recorded_rows(&world, "bob", "\\d 1").await,
        [
            "public|costs|view|farthing",
            "public|costs_daily|view|farthing",
            "public|costs_monthly|view|farthing"
        ]
    );
    assert_eq!(
        recorded_rows(&world, "bob", "\\dt exports.* 1").await,
        ["exports|main|table|farthing"]
    );
    let all = recorded_rows(&world, "bob", "\\dt *.* 1").await;
    assert_eq!(all[0], "exports|main|table|farthing");
    assert!(all.contains(&"pg_catalog|pg_class|table|farthing".to_owned()));
}

#[tokio::test]
async fn psql_lists_schemas_databases_and_roles() {
    let world = World::new().await;
    let schemas = ["exports|farthing", "public|farthing", "system|farthing"];
    assert_eq!(recorded_rows(&world, "bob", "\\dn 1").await, schemas);
    assert_eq!(
        recorded_rows(&world, "bob", "\\l 1").await,
        ["farthing|farthing|UTF8|C|C|-|libc|-"]
    );
    // Only an admin sees other roles.
    let bob = "bob|false|true|false|false|true|-1|-|[]|false|false";
    let owner = "farthing|false|true|false|false|false|-1|-|[]|false|false";
    assert_eq!(recorded_rows(&world, "bob", "\\du 1").await, [bob, owner]);
    let ann = "ann|false|true|true|false|true|-1|-|[]|false|false";
    assert_eq!(recorded_rows(&world, "ann", "\\du 1").await, [ann, bob, owner]);
}

#[tokio::test]
async fn psql_describes_costs() {
    let world = World::new().await;
    let found = recorded_rows(&world, "bob", "\\d costs 1").await;
    let oid = world.number("SELECT 'public.costs'::regclass::oid").await;
    assert_eq!(found, [format!("{oid}|public|costs")]);
    let flags = recorded_rows(&world, "bob", "\\d costs 2").await;
    assert_eq!(flags, ["0|v|false|false|false|false|false|false|false||0||p|n|-"]);
    let columns = recorded_rows(&world, "bob", "\\d costs 3").await;
    assert_eq!(columns.len(), farthing_engine::costs::columns().count());
    assert_eq!(columns[0], "billing_account_id|text|-|false|-||");
    let of = |name: &str| {
        columns
            .iter()
            .find(|c| c.split('|').next() == Some(name))
            .unwrap()
            .clone()
    };
    assert_eq!(of("billed_cost"), "billed_cost|numeric(38,12)|-|false|-||");
    assert_eq!(
        of("charge_period_start"),
        "charge_period_start|timestamp without time zone|-|false|-||"
    );
    let described = recorded_rows(&world, "bob", "\\d+ costs 3").await;
    let about = farthing_engine::costs::columns().next().unwrap().description;
    assert_eq!(described[0], format!("billing_account_id|text|-|false|-|||x|{about}"));
}

#[tokio::test]
async fn psql_describes_an_export() {
    let world = World::new().await;
    let columns = recorded_rows(&world, "bob", "\\d exports.cur_a 3").await;
    for column in [
        "line_item_usage_start_date|timestamp without time zone|-|false|-||",
        "line_item_unblended_cost|double precision|-|false|-||",
        "resource_tags|json|-|false|-||",
        "billing_period|text|-|false|-||",
    ] {
        assert!(columns.iter().any(|known| known == column), "{column} in {columns:?}");
    }
    for at in 4..=8 {
        let none = recorded_rows(&world, "bob", &format!("\\d exports.cur_a {at}")).await;
        assert!(none.is_empty(), "{at}: {none:?}");
    }
}

#[tokio::test]
async fn psql_lists_procedures() {
    let world = World::new().await;
    let listed = recorded_rows(&world, "bob", "\\df 1").await;
    assert_eq!(listed.len(), procedures().len());
    let procedure = &procedures()[0];
    let expected = format!("public|{}|-|{}|proc", procedure.name, objects::arguments(procedure));
    assert!(listed.contains(&expected), "{expected} in {listed:?}");
}

#[tokio::test]
async fn information_schema_tells_postgres_types() {
    let world = World::new().await;
    let columns = "SELECT ordinal_position, column_name, data_type, udt_name, numeric_precision, numeric_scale, is_nullable \
                   FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'costs' \
                   AND column_name IN ('billing_account_id', 'billed_cost', 'tags') ORDER BY ordinal_position";
    let rows = world.rows(columns).await;
    assert_eq!(rows[0], "1|billing_account_id|text|text|-|-|YES");
    assert!(
        rows.iter()
            .any(|row| row.ends_with("|billed_cost|numeric|numeric|38|12|YES")),
        "{rows:?}"
    );
    assert_eq!(
        world
            .rows(
                "SELECT table_schema, table_name, table_type FROM information_schema.tables \
                   WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            .await,
        [
            "public|costs|VIEW",
            "public|costs_daily|VIEW",
            "public|costs_monthly|VIEW",
            "exports|main|BASE TABLE",
            "system|caches|VIEW",
            "system|migration_check|VIEW",
            "system|shared_commitments|VIEW"
        ]
    );
    let routines = world
        .rows(
            "SELECT r.routine_name, count(p.parameter_name) FROM information_schema.routines r \
               LEFT JOIN information_schema.parameters p ON p.specific_name = r.specific_name \
               WHERE r.routine_type = 'PROCEDURE' GROUP BY 1 ORDER BY 1",
        )
        .await;
    let expected: Vec<String> = procedures()
        .iter()
        .map(|p| format!("{}|{}", p.name, p.parameters.len()))
        .collect();
    assert_eq!(routines, expected);
}

#[tokio::test]
async fn descriptions_are_the_columns_own() {
    let world = World::new().await;
    let about = farthing_engine::costs::columns().next().unwrap().description;
    assert_eq!(
        world.number("SELECT col_description('costs'::regclass, 1)").await,
        about
    );
    let joined = "SELECT d.description FROM pg_description d JOIN pg_attribute a ON a.attrelid = d.objoid \
                  AND a.attnum = d.objsubid WHERE d.classoid = 'pg_class'::regclass AND a.attname = 'billing_account_id'";
    assert_eq!(world.number(joined).await, about);
    assert_eq!(
        world
            .number("SELECT obj_description('exports.main'::regclass, 'pg_class')")
            .await,
        "-"
    );
}

#[tokio::test]
async fn object_names_and_numbers_lead_to_each_other() {
    let world = World::new().await;
    assert_eq!(
        world.rows("SELECT 'costs'::regclass, 'exports.main'::regclass").await,
        ["costs|exports.main"]
    );
    assert_eq!(
        world
            .rows("SELECT to_regclass('nothing'), to_regtype('numeric')::oid, 25::regtype::text")
            .await,
        ["-|1700|text"]
    );
    let missing = world
        .answer(&world.session("bob"), "SELECT 'nothing'::regclass")
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::UnknownTable);
    assert_eq!(missing.to_string(), "relation \"nothing\" does not exist");
    // The same number in every process: it comes from the name alone.
    assert_eq!(world.number("SELECT 'exports.main'::regclass::oid").await, OID_OF_MAIN);
}

/// `exports.main`, wherever it is.
const OID_OF_MAIN: &str = "333491213";

#[tokio::test]
async fn settings_are_one_registry() {
    let world = World::new().await;
    let session = world.session("bob");
    let (_, rows) = world
        .answer(
            &session,
            "SELECT set_config('TimeZone', 'Europe/Berlin', false), current_setting('max_index_keys')",
        )
        .await
        .unwrap();
    assert_eq!(rows, ["Europe/Berlin|32"]);
    let (_, rows) = world
        .answer(
            &session,
            "SELECT setting, current_setting('timezone') FROM pg_settings WHERE name = 'TimeZone'",
        )
        .await
        .unwrap();
    assert_eq!(rows, ["Europe/Berlin|Europe/Berlin"]);
    let unknown = world
        .answer(&session, "SELECT current_setting('nothing')")
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Missing);
    let (_, rows) = world
        .answer(&session, "SELECT current_setting('nothing', true)")
        .await
        .unwrap();
    assert_eq!(rows, ["-"]);
}

#[tokio::test]
async fn privileges_are_to_read_and_call() {
    let world = World::new().await;
    assert_eq!(
        world
            .rows(
                "SELECT has_table_privilege('costs', 'SELECT'), has_table_privilege('costs', 'INSERT'), \
                   has_schema_privilege('ann', 'public', 'USAGE'), has_schema_privilege('public', 'CREATE')"
            )
            .await,
        ["true|false|true|false"]
    );
}

/// The tree of a statement before and after.
async fn rewritten(sql: &str) -> (String, String) {
    let world = World::new().await;
    let session = world.session("ann");
    let settings = QuerySettings::new(&world.limits, Utc::now());
    let bound = world
        .sessions
        .bind(world.catalog.lease(), session.principal(), &settings)
        .await
        .unwrap();
    let mut tree = (*statement::parse(sql, 1 << 20).unwrap().remove(0).tree).clone();
    let before = tree.to_string();
    extend(bound, &session, &mut tree).unwrap();
    (before, tree.to_string())
}

#[tokio::test]
async fn a_statement_that_names_another_relation_is_never_changed() {
    for sql in [
        "SELECT c.x_export FROM costs c, pg_catalog.pg_class k WHERE k.relname OPERATOR(pg_catalog.~) '^costs$'",
        "SELECT (SELECT max(oid) FROM pg_class), 'a' LIKE 'b/_' ESCAPE '/' FROM costs",
        "SELECT 1 FROM pg_class WHERE EXISTS (SELECT 1 FROM exports.main)",
        "WITH pg_class AS (SELECT * FROM costs) SELECT relname::name FROM pg_class",
        "SELECT x FROM costs WHERE x IN (SELECT pg_catalog.lower(relname) FROM pg_catalog.pg_index)",
        "SELECT (SELECT billed_cost FROM costs LIMIT 1), ARRAY(SELECT 1 FROM pg_attrdef)",
        "SELECT * FROM (SELECT * FROM costs) t, pg_attrdef",
        "SELECT 1 + 1",
    ] {
        let (before, after) = rewritten(sql).await;
        assert_eq!(before, after);
    }
    let (before, after) = rewritten("SELECT d.oid FROM pg_attrdef d").await;
    assert_ne!(before, after);
}

#[tokio::test]
async fn names_in_pg_catalog_are_found_before_the_search_path_alone() {
    let world = World::new().await;
    let session = world.session("bob");
    let mixed = "SELECT count(*) FROM pg_class k, exports.main m WHERE k.relname = 'main'";
    assert!(world.answer(&session, mixed).await.is_ok());
    for sql in [
        "SELECT * FROM pg_nothing",
        "SELECT * FROM tables",
        "SELECT * FROM pg_catalog.pg_authid",
    ] {
        let error = world.answer(&session, sql).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownTable, "{sql}: {error}");
    }
}
