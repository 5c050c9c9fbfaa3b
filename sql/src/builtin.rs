//! Functions whose value the session knows: `version()`, `current_user`, `current_database()` ...
//!
//! They are replaced by their value before planning. Replacing happens on the tree, never on text, and only where the
//! name stands alone or in `pg_catalog`. In the same pass the named arguments of policy functions are put into order.

mod named;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Value, VisitMut, VisitorMut};
use farthing_engine::{Error, Result};

use crate::frontend::CATALOG;
use crate::setting::SERVER_VERSION;

struct Replacer<'a> {
    user: &'a str,
    schema: &'a str,
}

impl Replacer<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::SingleQuotedString(text.to_owned()));
        match name {
            "version" => text(&format!(
                "PostgreSQL {SERVER_VERSION} (Farthing {}) on {}-{}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                std::env::consts::OS
            )),
            "current_user" | "session_user" | "user" | "current_role" => text(self.user),
            "current_database" | "current_catalog" => text(CATALOG),
            "current_schema" => text(self.schema),
            "pg_is_in_recovery" => Some(Value::Boolean(false)),
            _ => None,
        }
    }
}

impl VisitorMut for Replacer<'_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let no_arguments = match &function.args {
            ast::FunctionArguments::None => true,
            ast::FunctionArguments::List(list) => list.args.is_empty(),
            ast::FunctionArguments::Subquery(_) => false,
        };
        let parts: Vec<String> = function
            .name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|name| name.value.to_ascii_lowercase())
            .collect();
        let name = match parts.as_slice() {
            [name] => name,
            [schema, name] if schema == "pg_catalog" => name,
            _ => return ControlFlow::Continue(()),
        };
        if let Some(policy) = named::find(name) {
            return match named::arrange(policy, function) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            };
        }
        if let Some(value) = self.value(name).filter(|_| no_arguments) {
            *expr = Expr::Value(value.into());
        }
        ControlFlow::Continue(())
    }
}

/// Replaces what the session knows by its value. Errors: `UnknownFunction` and `Syntax` for arguments that a policy function
/// does not take.
pub(crate) fn replace(tree: &mut ast::Statement, user: &str, schema: &str) -> Result<()> {
    match tree.visit(&mut Replacer { user, schema }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}
