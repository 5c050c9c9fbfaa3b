use super::*;

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
