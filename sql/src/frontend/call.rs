//! CALL: authorise, run to the end, give the rows.

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentList, FunctionArguments, Ident,
    Value,
};
use farthing_engine::account::{Caller, Notify};
use farthing_engine::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{Control, Frontend, Notice, Response, Rows, Severity};
use crate::procedure::arguments::{self, Arguments};
use crate::procedure::{self, Procedure};
use crate::session::Session;
use crate::statement::Statement;

/// The procedure that a CALL names: alone, or in the schema `system`.
pub(super) fn procedure(call: &ast::Function) -> Result<&'static Procedure> {
    let parts: Vec<&str> = call
        .name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|name| name.value.as_str())
        .collect();
    match parts.as_slice() {
        [name] => procedure::find(name),
        [schema, name] if schema.eq_ignore_ascii_case("system") => procedure::find(name),
        _ => procedure::find(&call.name.to_string()),
    }
}

/// What a CALL takes and gives.
pub(super) fn prepare(call: &ast::Function) -> Result<(Vec<DataType>, Option<SchemaRef>)> {
    let parameters = arguments::parameter_types(procedure(call)?, call)?;
    Ok((parameters, Some(procedure::result_schema())))
}

/// `EXPLAIN CALL p(...)` is the dry run of `CALL p(...)`.
pub(super) fn explained(tree: &ast::Statement) -> Option<(&'static Procedure, ast::Function)> {
    let ast::Statement::Explain {
        statement,
        analyze: false,
        ..
    } = tree
    else {
        return None;
    };
    let ast::Statement::Call(call) = statement.as_ref() else {
        return None;
    };
    let procedure = procedure(call).ok()?;
    let mut planned = call.clone();
    if !procedure.parameters.iter().any(|parameter| parameter.name == "dry_run") {
        return None;
    }
    let dry_run = FunctionArg::Named {
        name: Ident::new("dry_run"),
        arg: FunctionArgExpr::Expr(Expr::Value(Value::Boolean(true).into())),
        operator: FunctionArgOperator::RightArrow,
    };
    match &mut planned.args {
        FunctionArguments::List(list) => {
            // An explicit dry_run gives way.
            list.args
                .retain(|argument| !matches!(argument, FunctionArg::Named { name, .. } if name.value == "dry_run"));
            list.args.retain(
                |argument| !matches!(argument, FunctionArg::ExprNamed { name: Expr::Identifier(n), .. } if n.value == "dry_run"),
            );
            list.args.push(dry_run);
        }
        args => {
            *args = FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args: vec![dry_run],
                clauses: Vec::new(),
            });
        }
    }
    Some((procedure, planned))
}

struct NoticeQueue(Option<mpsc::Sender<Notice>>);

impl NoticeQueue {
    fn send(&self, severity: Severity, message: String) {
        if let Some(queue) = &self.0 {
            // A full queue means that nobody reads; the rows of the result say everything again.
            let _ = queue.try_send(Notice {
                severity,
                message,
                detail: None,
                hint: None,
            });
        }
    }
}

impl Notify for NoticeQueue {
    fn notify(&self, message: &str) {
        self.send(Severity::Notice, message.to_owned());
    }
}

impl Frontend {
    pub(super) async fn call(
        &self,
        session: &Session,
        statement: &Statement,
        procedure: &'static Procedure,
        call: &ast::Function,
        values: Vec<ScalarValue>,
        control: Control,
    ) -> Result<Response> {
        let principal = session.principal();
        if principal.role < procedure.privilege {
            return Err(Error::new(
                ErrorKind::NoPrivilege,
                format!("permission denied for procedure {}", procedure.name),
            )
            .with_hint(format!("It needs the role {}.", procedure.privilege.as_str())));
        }
        let notices = NoticeQueue(control.notices.clone());
        self.enter_call(session, &notices)?;
        let arguments = Arguments::read(procedure, call, &values)?;
        let (connections, cancel) = (std::sync::Arc::clone(&self.0.connections), control.cancel.clone());
        let (name, redacted) = (principal.name.clone(), statement.redacted.clone());
        // In a task of its own: a client that goes away, or a future that is dropped, stops no run between two effects.
        let run = self.0.query_runtime.spawn(async move {
            let caller = Caller {
                principal: &name,
                procedure: procedure.name,
                statement: &redacted,
                notify: &notices,
                cancel,
            };
            (procedure.run)(&connections, arguments, &caller).await
        });
        let outcome = run
            .await
            .map_err(|error| Error::defect("the procedure stopped unexpectedly").with_source(error))??;
        if let Ok(mut state) = session.state()
            && let Some(transaction) = &mut state.transaction
        {
            // What the call changed is visible to the statements after it, also in this transaction.
            transaction.lease = None;
        }
        let batch = procedure::result_batch(&outcome)?;
        Ok(Response::Rows(Rows {
            schema: batch.schema(),
            tag: "CALL",
            batches: stream::iter([Ok(batch)]).boxed(),
        }))
    }

    /// Checks the transaction that a CALL runs in: read-only refuses it, and others are told that effects stay.
    fn enter_call(&self, session: &Session, notices: &NoticeQueue) -> Result<()> {
        let state = session.state()?;
        let read_only = match &state.transaction {
            Some(transaction) => transaction.read_only,
            None => state.value("default_transaction_read_only") == "on",
        };
        if read_only {
            return Err(Error::new(
                ErrorKind::ReadOnly,
                "cannot execute CALL in a read-only transaction",
            ));
        }
        if state.transaction.is_some() {
            notices.send(
                Severity::Notice,
                "what a procedure does is done at once; ROLLBACK does not undo it".to_owned(),
            );
        }
        Ok(())
    }
}
