//! PostgreSQL's names for the columns of a result.
//!
//! The engine names an unnamed expression after its text (`count(Int64(1))`); drivers and BI tools look results up by
//! PostgreSQL's names (`count`, `sum`, `case`, `?column?`). The names are put on at the edge, so that no plan changes.

use datafusion::sql::sqlparser::ast::{self, Expr, SelectItem, SetExpr};

/// The names of the columns of a query where its select list tells all of them.
pub(crate) fn of(tree: &ast::Statement) -> Option<Vec<String>> {
    let ast::Statement::Query(query) = tree else {
        return None;
    };
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => return select.projection.iter().map(of_item).collect(),
            SetExpr::Query(inner) => body = inner.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            _ => return None,
        }
    }
}

fn of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(of_expr(expr).unwrap_or_else(|| "?column?".to_owned())),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    }
}

/// Unquoted names are folded to lower case.
fn fold(name: &ast::Ident) -> String {
    if name.quote_style.is_some() {
        name.value.clone()
    } else {
        name.value.to_ascii_lowercase()
    }
}

fn of_expr(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(names) => names.last().map(fold),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } | Expr::AtTimeZone { timestamp: inner, .. } => {
            of_expr(inner)
        }
        Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()).map(fold),
        // A cast keeps the name of what it casts, and a constant takes the type's.
        Expr::Cast { expr, data_type, .. } => of_expr(expr).or_else(|| {
            Some(
                data_type
                    .to_string()
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase(),
            )
        }),
        Expr::Case { else_result, .. } => Some(
            else_result
                .as_deref()
                .and_then(of_expr)
                .unwrap_or_else(|| "case".to_owned()),
        ),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::TypedString(typed) => Some(typed.data_type.to_string().to_ascii_lowercase()),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => select.projection.first().and_then(of_item),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
