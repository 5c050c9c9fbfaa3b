//! Which columns of `costs` a clustered snapshot stores: those that are more than a delivered column, and are read often or
//! are dear to compute.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::source::Sources;
use super::{COLUMNS, CostType, expression};
use crate::catalog::Export;
use crate::snapshot::clustered::costs_column;
use crate::table::Stored;

/// Columns that are as long as the resource id itself and are made of it alone: storing them would cost more than it saves.
const COMPUTED: [&str; 2] = ["x_resource_name", "x_resource_key"];

/// What is stored of `costs`.
#[derive(Debug, Default)]
pub(crate) struct Derivations {
    /// Columns of `costs`, and the columns of the files that have them.
    pub stored: BTreeMap<String, String>,
    /// Columns of `costs` that are NULL in every row.
    pub absent: BTreeSet<String>,
    /// The columns of the files, each with its name.
    pub expressions: Vec<Expr>,
}

/// What is stored of the rows of one snapshot, whose columns these are.
pub(crate) fn derivations(columns: &DFSchema, export: &Export) -> DataFusionResult<Derivations> {
    let stored = Stored::default();
    let sources = Sources::new(columns, export, &stored);
    let mut derivations = Derivations::default();
    let mut known: Vec<(Expr, String)> = Vec::new();
    for column in COLUMNS {
        if !matches!(column.r#type, CostType::Text | CostType::Money) {
            continue;
        }
        let expr = expression(column, &sources)?;
        match &expr {
            Expr::Literal(value, _) if value.is_null() => {
                derivations.absent.insert(column.name.to_owned());
                continue;
            }
            expr if is_plain(expr) || COMPUTED.contains(&column.name) => continue,
            _ => {}
        }
        let expr = expr.cast_to(&column.r#type.arrow(), columns)?;
        let name = match known.iter().find(|(other, _)| *other == expr) {
            Some((_, name)) => name.clone(),
            None => {
                let name = costs_column(column.name);
                derivations.expressions.push(expr.clone().alias(&name));
                known.push((expr, name.clone()));
                name
            }
        };
        derivations.stored.insert(column.name.to_owned(), name);
    }
    Ok(derivations)
}

/// Whether the expression is a constant or a delivered column, without its blanks or as another kind of text.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Cast(cast) => cast.field.data_type().is_string() && is_plain(&cast.expr),
        Expr::ScalarFunction(call) if call.name() == "nullif" => call.args.first().is_some_and(is_plain),
        _ => false,
    }
}
