//! Named arguments of policy functions, any of which may be left out.
//!
//! DataFusion resolves names too, but wants every argument before the last one that is given. Here each call gets all
//! arguments in order, with NULL for those that it leaves out.

use datafusion::sql::sqlparser::ast::{
    self, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Value,
};
use farthing_engine::account::policy::{FUNCTIONS, PolicyFunction};
use farthing_engine::{Error, ErrorKind, Result};

use crate::procedure::arguments::split;
use crate::procedure::nearest;

/// The policy function of a name in lower case.
pub(super) fn find(name: &str) -> Option<&'static PolicyFunction> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

fn signature(function: &PolicyFunction) -> String {
    let arguments: Vec<String> = function
        .parameters
        .iter()
        .map(|name| format!("[{name} => text]"))
        .collect();
    format!("Call {}({}).", function.name, arguments.join(", "))
}

/// Puts the arguments of a call into order.
pub(super) fn arrange(function: &PolicyFunction, call: &mut ast::Function) -> Result<()> {
    let refused = |kind: ErrorKind, what: String| Error::new(kind, what).with_hint(signature(function));
    let given: &[FunctionArg] = match &call.args {
        FunctionArguments::None => &[],
        FunctionArguments::List(list) => &list.args,
        FunctionArguments::Subquery(_) => {
            let what = format!("{} takes its arguments by name", function.name);
            return Err(refused(ErrorKind::Syntax, what));
        }
    };
    let mut values: Vec<Option<Expr>> = vec![None; function.parameters.len()];
    let mut by_name = false;
    for (position, argument) in given.iter().enumerate() {
        let (name, value) =
            split(argument).ok_or_else(|| refused(ErrorKind::Syntax, format!("{} does not take *", function.name)))?;
        by_name |= name.is_some();
        let at = match &name {
            Some(name) => function
                .parameters
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name)),
            None if by_name => {
                let what = "an argument without a name follows one with a name".to_owned();
                return Err(refused(ErrorKind::Syntax, what));
            }
            None => Some(position),
        };
        let slot = at.and_then(|at| values.get_mut(at)).ok_or_else(|| match &name {
            Some(name) => unknown(function, name),
            None => refused(
                ErrorKind::UnknownFunction,
                format!("{} has too many arguments", function.name),
            ),
        })?;
        if slot.replace(typed(value.clone())).is_some() {
            let name = name.unwrap_or_default();
            return Err(refused(
                ErrorKind::Syntax,
                format!("the argument {name} is given twice"),
            ));
        }
    }
    let args = values
        .into_iter()
        .map(|value| {
            let value = value.unwrap_or_else(|| Expr::Value(Value::Null.into()));
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        })
        .collect();
    call.args = FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args,
        clauses: Vec::new(),
    });
    Ok(())
}

fn unknown(function: &PolicyFunction, name: &str) -> Error {
    let hint = match nearest(name, function.parameters.iter().copied()) {
        Some(near) => format!("Perhaps you mean {near}. {}", signature(function)),
        None => signature(function),
    };
    Error::new(
        ErrorKind::UnknownFunction,
        format!("{} has no argument {name}", function.name),
    )
    .with_hint(hint)
}

/// A parameter of the statement is text here, which the planner cannot know.
fn typed(value: Expr) -> Expr {
    let is_parameter = matches!(&value, Expr::Value(inner) if matches!(inner.value, Value::Placeholder(_)));
    if !is_parameter {
        return value;
    }
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type: DataType::Text,
        array: false,
        format: None,
    }
}
