//! Who may not call: every procedure, through every way in.

use farthing_engine::principal::{Grant, Role};
use farthing_sql::procedure::{ArgumentKind, Procedure, procedures};
use farthing_tests::bench::{Start, run};
use farthing_tests::client::{Param, Way};

use super::Complaints;

/// A value that the argument takes.
fn value(kind: ArgumentKind) -> &'static str {
    match kind {
        ArgumentKind::Boolean => "true",
        ArgumentKind::AccountId => "123456789012",
        ArgumentKind::Text | ArgumentKind::Secret => "not-a-real-secret",
    }
}

/// The call with every argument.
fn call(procedure: &Procedure) -> String {
    let arguments: Vec<String> = procedure
        .parameters
        .iter()
        .map(|parameter| match parameter.kind {
            ArgumentKind::Boolean => format!("{} => {}", parameter.name, value(parameter.kind)),
            kind => format!("{} => '{}'", parameter.name, value(kind)),
        })
        .collect();
    format!("CALL {}({})", procedure.name, arguments.join(", "))
}

/// The call with every argument bound.
fn bound(procedure: &Procedure) -> (String, Vec<Param>) {
    let arguments: Vec<String> = procedure
        .parameters
        .iter()
        .enumerate()
        .map(|(at, parameter)| format!("{} => ${}", parameter.name, at + 1))
        .collect();
    let values = procedure.parameters.iter().map(|parameter| match parameter.kind {
        ArgumentKind::Boolean => Param::Bool(true),
        kind => Param::Text(value(kind).to_owned()),
    });
    (
        format!("CALL {}({})", procedure.name, arguments.join(", ")),
        values.collect(),
    )
}

#[test]
fn readers_can_call_nothing_through_any_way_in() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        // A reader sees every account and may change none.
        bench.site.put_login("reader", Role::Reader, Grant::AllConnected).await;
        let before = bench.ask("SELECT * FROM system.accounts").await;
        let runs = "SELECT count(*) FROM system.procedure_runs";
        let runs_before = bench.ask(runs).await;
        bench.cloud.sandbox.requests().clear();
        let mut complaints = Complaints::default();
        assert!(procedures().len() >= 13, "the list is the procedures'");
        for way in Way::ALL {
            let mut reader = bench.site.client(way, "reader").await;
            for procedure in procedures() {
                assert_ne!(procedure.privilege, Role::Reader, "{}", procedure.name);
                let sql = call(procedure);
                let outcome = reader.run(&sql).await;
                complaints.refused(&format!("{way:?}: {sql}"), outcome, "42501", &[procedure.name]);
                // Of procedures that cannot be planned, nobody gets a plan.
                for sql in [format!("EXPLAIN {sql}"), format!("CALL {}()", procedure.name)] {
                    let refused = reader.run(&sql).await.err().map(|refusal| refusal.sqlstate);
                    let known = refused
                        .as_deref()
                        .is_some_and(|state| ["42501", "0A000", "42883"].contains(&state));
                    complaints.equal(&format!("{way:?}: {sql}: {refused:?}"), known, true);
                }
                if way != Way::PostgresSimple {
                    let (sql, values) = bound(procedure);
                    let outcome = reader.run_with(&sql, &values).await;
                    complaints.refused(&format!("{way:?}: {sql}"), outcome, "42501", &[procedure.name]);
                }
            }
        }
        let asked = bench.cloud.sandbox.requests().all();
        complaints.equal("requests to AWS", asked.len(), 0);
        complaints.equal("accounts", bench.ask("SELECT * FROM system.accounts").await, before);
        complaints.equal("runs", bench.ask(runs).await, runs_before);
        complaints.end();
    });
}

#[test]
fn what_is_about_keys_is_not_shown_to_readers() {
    run(Start::Delivered, async |bench| {
        bench.connect(&[]).await;
        bench.ask("CALL check_aws_access()").await;
        bench.site.put_login("reader", Role::Reader, Grant::AllConnected).await;
        let mut reader = bench.site.client(Way::PostgresSimple, "reader").await;
        for table in ["system.secrets", "system.permission_checks", "system.procedure_runs"] {
            let seen = reader.run(&format!("SELECT * FROM {table}")).await;
            let nothing = match &seen {
                Ok(answer) => answer.rows.is_empty(),
                Err(refusal) => refusal.sqlstate == "42501",
            };
            assert!(nothing, "{table}: {seen:?}");
        }
    });
}
