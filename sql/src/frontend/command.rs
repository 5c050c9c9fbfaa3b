//! SET, SHOW, transactions and the session commands that drivers send.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    self, ContextModifier, Expr, Set, TransactionAccessMode, TransactionMode, Value,
};
use farthing_engine::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};

use super::{Frontend, Response, Rows};
use crate::session::{Session, Transaction, TransactionStatus};
use crate::setting;
use crate::statement::Statement;

/// What a command gives: rows for SHOW, nothing for the others. Refuses what is not offered.
pub(super) fn prepare(statement: &Statement) -> Result<Option<SchemaRef>> {
    match statement.tree.as_ref() {
        ast::Statement::ShowVariable { variable } => Ok(Some(show_schema(&show_name(variable)))),
        ast::Statement::ShowTables { .. } => Ok(Some(tables_schema())),
        ast::Statement::Set(_)
        | ast::Statement::Reset(_)
        | ast::Statement::StartTransaction { .. }
        | ast::Statement::Commit { .. }
        | ast::Statement::Rollback { .. }
        | ast::Statement::Savepoint { .. }
        | ast::Statement::ReleaseSavepoint { .. }
        | ast::Statement::Discard { .. }
        | ast::Statement::Deallocate { .. }
        | ast::Statement::Close { .. }
        | ast::Statement::UNLISTEN { .. }
        | ast::Statement::LISTEN { .. } => Ok(None),
        other => Err(not_offered(other)),
    }
}

fn not_offered(tree: &ast::Statement) -> Error {
    // The first words name the command; the rest may hold anything.
    let text = tree.to_string();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()))
        .take(2)
        .collect();
    Error::new(ErrorKind::Unsupported, format!("{} is not offered", words.join(" "))).with_hint(
        "Farthing reads: SELECT, EXPLAIN, SHOW, SET, transactions, and CALL for set-up. Data comes in through connect_aws_root.",
    )
}

/// In a failed transaction only its end is accepted.
pub(super) fn check_transaction(session: &Session, statement: &Statement) -> Result<()> {
    let ends = matches!(
        *statement.tree,
        ast::Statement::Commit { .. } | ast::Statement::Rollback { .. }
    );
    if session.state()?.status() == TransactionStatus::Failed && !ends {
        return Err(Error::new(
            ErrorKind::TransactionAborted,
            "current transaction is aborted, commands ignored until end of transaction block",
        ));
    }
    Ok(())
}

fn show_name(variable: &[ast::Ident]) -> String {
    let words: Vec<String> = variable.iter().map(|word| word.value.to_ascii_lowercase()).collect();
    match words.join(" ").as_str() {
        "time zone" => "TimeZone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}

fn show_schema(name: &str) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    if name == "all" {
        return Arc::new(Schema::new(vec![text("name"), text("setting"), text("description")]));
    }
    let known = setting::find(name).map_or(name, |setting| setting.name);
    Arc::new(Schema::new(vec![text(known)]))
}

fn tables_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("table_schema"),
        text("table_name"),
        text("table_type"),
    ]))
}

fn rows(schema: SchemaRef, columns: Vec<Vec<String>>, tag: &'static str) -> Result<Response> {
    let arrays = columns
        .into_iter()
        .map(|column| Arc::new(StringArray::from(column)) as _)
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|e| Error::defect(format!("{tag}: {e}")))?;
    Ok(Response::Rows(Rows {
        schema,
        tag,
        batches: stream::iter([Ok(batch)]).boxed(),
    }))
}

fn done(tag: &str) -> Result<Response> {
    Ok(Response::Done { tag: tag.to_owned() })
}

impl Frontend {
    pub(super) async fn command(&self, session: &Session, tree: &ast::Statement) -> Result<Response> {
        match tree {
            ast::Statement::Set(set) => {
                apply_set(session, set)?;
                done("SET")
            }
            ast::Statement::Reset(reset) => {
                let mut state = session.state()?;
                match &reset.reset {
                    ast::Reset::ALL => state.reset_all(),
                    ast::Reset::ConfigurationParameter(name) => state.set(&name.to_string(), None)?,
                }
                done("RESET")
            }
            ast::Statement::ShowVariable { variable } => show(session, &show_name(variable)),
            ast::Statement::ShowTables { .. } => self.show_tables(session).await,
            ast::Statement::StartTransaction { modes, begin, .. } => {
                start_transaction(session, modes)?;
                done(if *begin { "BEGIN" } else { "START TRANSACTION" })
            }
            ast::Statement::Commit { .. } => {
                let failed = session
                    .state()?
                    .transaction
                    .take()
                    .is_some_and(|transaction| transaction.failed);
                done(if failed { "ROLLBACK" } else { "COMMIT" })
            }
            ast::Statement::Rollback { savepoint: None, .. } => {
                session.state()?.transaction = None;
                done("ROLLBACK")
            }
            ast::Statement::Rollback {
                savepoint: Some(name), ..
            } => {
                roll_back_to(session, &name.value)?;
                done("ROLLBACK")
            }
            ast::Statement::Savepoint { name } => {
                with_transaction(session, "SAVEPOINT", |transaction| {
                    transaction.savepoints.push(name.value.clone());
                    Ok(())
                })?;
                done("SAVEPOINT")
            }
            ast::Statement::ReleaseSavepoint { name } => {
                with_transaction(session, "RELEASE SAVEPOINT", |transaction| {
                    let at = savepoint(transaction, &name.value)?;
                    transaction.savepoints.truncate(at);
                    Ok(())
                })?;
                done("RELEASE")
            }
            ast::Statement::Discard { .. } => {
                session.state()?.reset_all();
                done("DISCARD ALL")
            }
            ast::Statement::Deallocate { .. } => done("DEALLOCATE"),
            ast::Statement::Close { .. } => done("CLOSE CURSOR"),
            ast::Statement::UNLISTEN { .. } => done("UNLISTEN"),
            ast::Statement::LISTEN { .. } => done("LISTEN"),
            other => Err(not_offered(other)),
        }
    }

    async fn show_tables(&self, session: &Session) -> Result<Response> {
        let relations = self.relations(session).await?;
        let column = |of: fn(&super::Relation) -> String| relations.iter().map(of).collect::<Vec<_>>();
        let kinds = column(|relation| relation.kind.as_str().to_owned());
        rows(
            tables_schema(),
            vec![column(|r| r.schema.clone()), column(|r| r.name.clone()), kinds],
            "SHOW",
        )
    }
}

fn show(session: &Session, name: &str) -> Result<Response> {
    let state = session.state()?;
    if name == "all" {
        let value = |of: fn(&setting::Setting) -> &str| setting::SETTINGS.iter().map(|s| of(s).to_owned()).collect();
        let values = setting::SETTINGS.iter().map(|s| state.value(s.name)).collect();
        return rows(
            show_schema(name),
            vec![value(|s| s.name), values, value(|s| s.about)],
            "SHOW",
        );
    }
    if name == "session_authorization" {
        return rows(show_schema(name), vec![vec![session.principal().name.clone()]], "SHOW");
    }
    let setting = setting::require(name)?;
    rows(show_schema(name), vec![vec![state.value(setting.name)]], "SHOW")
}

fn apply_set(session: &Session, set: &Set) -> Result<()> {
    match set {
        Set::SingleAssignment {
            scope,
            variable,
            values,
            ..
        } => {
            if matches!(scope, Some(ContextModifier::Global)) {
                return Err(Error::new(ErrorKind::Unsupported, "SET GLOBAL is not offered"));
            }
            let texts = values.iter().map(set_value).collect::<Result<Vec<_>>>()?;
            session.state()?.set(&variable.to_string(), Some(&texts.join(", ")))
        }
        Set::SetTimeZone { value, .. } => session.state()?.set("TimeZone", Some(&set_value(value)?)),
        Set::SetNames { charset_name, .. } => session.state()?.set("client_encoding", Some(&charset_name.value)),
        Set::SetTransaction {
            modes,
            session: characteristics,
            ..
        } => {
            let mut state = session.state()?;
            for mode in modes {
                if let TransactionMode::AccessMode(access) = mode {
                    let read_only = matches!(access, TransactionAccessMode::ReadOnly);
                    match (&mut state.transaction, characteristics) {
                        (_, true) => {
                            state.set(
                                "default_transaction_read_only",
                                Some(if read_only { "on" } else { "off" }),
                            )?;
                        }
                        (Some(transaction), false) => transaction.read_only = read_only,
                        (None, false) => {}
                    }
                }
            }
            Ok(())
        }
        Set::SetSessionAuthorization(_) | Set::SetRole { role_name: None, .. } => Ok(()),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{} is not offered", first_words(&other.to_string())),
        )),
    }
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn set_value(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Identifier(name) => Ok(name.value.clone()),
        Expr::CompoundIdentifier(names) => Ok(names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>().join(".")),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Ok(number.clone()),
            Value::Boolean(value) => Ok(if *value { "on" } else { "off" }.to_owned()),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Ok(text.clone()),
            _ => Err(Error::new(ErrorKind::BadValue, "SET takes a constant")),
        },
        Expr::UnaryOp { op, expr } => Ok(format!("{op}{}", set_value(expr)?)),
        Expr::Nested(inner) => set_value(inner),
        _ => Err(Error::new(ErrorKind::BadValue, "SET takes a constant")),
    }
}

fn start_transaction(session: &Session, modes: &[TransactionMode]) -> Result<()> {
    let mut state = session.state()?;
    let read_only = modes.iter().rev().find_map(|mode| match mode {
        TransactionMode::AccessMode(access) => Some(matches!(access, TransactionAccessMode::ReadOnly)),
        TransactionMode::IsolationLevel(_) => None,
    });
    let default = state.value("default_transaction_read_only") == "on";
    // BEGIN inside a transaction changes nothing, as in PostgreSQL.
    state.transaction.get_or_insert_with(Transaction::default).read_only = read_only.unwrap_or(default);
    Ok(())
}

fn with_transaction(session: &Session, what: &str, change: impl FnOnce(&mut Transaction) -> Result<()>) -> Result<()> {
    let mut state = session.state()?;
    match &mut state.transaction {
        Some(transaction) => change(transaction),
        None => Err(Error::new(
            ErrorKind::NoTransaction,
            format!("{what} can only be used in transaction blocks"),
        )),
    }
}

fn savepoint(transaction: &Transaction, name: &str) -> Result<usize> {
    transaction
        .savepoints
        .iter()
        .rposition(|known| known == name)
        .ok_or_else(|| Error::new(ErrorKind::Missing, format!("savepoint \"{name}\" does not exist")))
}

fn roll_back_to(session: &Session, name: &str) -> Result<()> {
    with_transaction(session, "ROLLBACK TO SAVEPOINT", |transaction| {
        let at = savepoint(transaction, name)?;
        transaction.savepoints.truncate(at + 1);
        transaction.failed = false;
        Ok(())
    })
}
