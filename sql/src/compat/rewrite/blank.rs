//! Queries that cannot give rows, because they join a catalog that is always empty.
//!
//! Farthing has no indexes, keys, defaults, sequences or extensions, and what clients ask of them is the hardest part of
//! their statements to plan. Such a query is replaced by one with the same columns and no rows; nothing else can come of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, JoinOperator, Query, Select, SelectItem,
    SetExpr, TableFactor, TableWithJoins, Value, Visit, Visitor,
};

use super::references::{catalog_relation, parts};
use crate::compat::{rows, shape};

/// Functions that give a row without any to read.
const AGGREGATES: [&str; 12] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "json_agg",
    "json_object_agg",
];

/// Columns of the catalogs that hold arrays elsewhere and are always NULL here.
const NULL_ARRAYS: [&str; 8] = [
    "reloptions",
    "relacl",
    "attacl",
    "nspacl",
    "proacl",
    "datacl",
    "attoptions",
    "spcoptions",
];

/// Whether a function of this name aggregates.
pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// Whether the query is one without rows.
pub(super) fn is_blank(query: &Query) -> bool {
    query.with.is_none() && matches!(query.body.as_ref(), SetExpr::Select(select) if is_blank_select(select))
}

fn is_blank_select(select: &Select) -> bool {
    select.from.is_empty()
        && matches!(&select.selection, Some(Expr::Value(value)) if value.value == Value::Boolean(false))
}

/// Replaces a SELECT that cannot give rows. `true` if it did.
pub(super) fn select(select: &mut Select, ctes: &BTreeSet<String>) -> bool {
    let blank = select.from.iter().any(|from| no_rows(from, ctes))
        && !aggregates(select)
        && !select.projection.iter().any(is_wildcard);
    if blank {
        let projection = std::mem::take(&mut select.projection);
        select.projection = projection
            .into_iter()
            .enumerate()
            .map(|(at, item)| null_item(at, item, &select.from, ctes))
            .collect();
        select.from.clear();
        select.selection = Some(Expr::Value(Value::Boolean(false).into()));
        select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        select.having = None;
        select.distinct = None;
        select.sort_by.clear();
    }
    blank
}

/// A query without rows needs no order, and could not be ordered by columns that are gone.
pub(super) fn query(query: &mut Query) {
    if is_blank(query) {
        query.order_by = None;
        query.limit_clause = None;
        query.fetch = None;
    }
}

fn is_wildcard(item: &SelectItem) -> bool {
    !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
}

/// Whether the SELECT gives a row for none.
fn aggregates(select: &Select) -> bool {
    /// Whether an aggregate was found, and how many subqueries deep the visitor is: theirs are not the SELECT's own.
    struct Finds(bool, usize);
    impl Visitor for Finds {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.1 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.1 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && self.1 == 0
            {
                let name = parts(&function.name).and_then(|mut parts| parts.pop());
                self.0 |= name.is_some_and(|name| is_aggregate(&name));
            }
            ControlFlow::Continue(())
        }
    }
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() && modifiers.is_empty(),
        GroupByExpr::All(_) => false,
    };
    if grouped {
        return false;
    }
    let mut finds = Finds(select.having.is_some(), 0);
    let _ = select.projection.visit(&mut finds);
    finds.0
}

fn no_rows(from: &TableWithJoins, ctes: &BTreeSet<String>) -> bool {
    let mut empty = is_empty(&from.relation, ctes);
    for join in &from.joins {
        let right = is_empty(&join.relation, ctes);
        empty = match &join.join_operator {
            JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::CrossJoin(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_) => empty || right,
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            _ => empty && right,
        };
    }
    empty
}

fn is_empty(factor: &TableFactor, ctes: &BTreeSet<String>) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => catalog_relation(name, ctes)
            .is_some_and(|(schema, name)| shape::find(&schema, &name).is_some() && !rows::is_filled(&schema, &name)),
        TableFactor::Table {
            name, args: Some(args), ..
        } => {
            let unnest = parts(name)
                .and_then(|mut p| p.pop())
                .is_some_and(|name| name == "unnest");
            unnest
                && matches!(args.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] if is_null_array(expr))
        }
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().all(is_null_array),
        TableFactor::Derived { subquery, .. } => is_blank(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => no_rows(table_with_joins, ctes),
        _ => false,
    }
}

fn is_null_array(expr: &Expr) -> bool {
    let column = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    column.is_some_and(|name| NULL_ARRAYS.contains(&name.value.as_str()))
}

/// NULL under the name and, where that can be told, in the type of the item.
fn null_item(at: usize, item: SelectItem, from: &[TableWithJoins], ctes: &BTreeSet<String>) -> SelectItem {
    let (expr, alias) = match item {
        SelectItem::ExprWithAlias { expr, alias } => (expr, alias),
        SelectItem::UnnamedExpr(expr) => {
            let alias = match &expr {
                Expr::Identifier(name) => name.clone(),
                Expr::CompoundIdentifier(names) => names.last().cloned().unwrap_or_else(|| Ident::new("column")),
                _ => Ident::with_quote('"', format!("?column{}?", at + 1)),
            };
            (expr, alias)
        }
        other => return other,
    };
    SelectItem::ExprWithAlias {
        expr: null(type_of(&expr, from, ctes)),
        alias,
    }
}

/// NULL of a type.
pub(super) fn null(data_type: ast::DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(Value::Null.into())),
        data_type,
        array: false,
        format: None,
    }
}

fn type_of(expr: &Expr, from: &[TableWithJoins], ctes: &BTreeSet<String>) -> ast::DataType {
    let column = match expr {
        Expr::Cast { data_type, .. } => return data_type.clone(),
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => match names.last() {
            Some(name) => name,
            None => return ast::DataType::Text,
        },
        _ => return ast::DataType::Text,
    };
    let factors = from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let kind = factors
        .filter_map(|factor| match factor {
            TableFactor::Table { name, args: None, .. } => catalog_relation(name, ctes),
            _ => None,
        })
        .find_map(|(schema, name)| shape::find(&schema, &name)?.column_type(&column.value));
    match kind {
        Some("bool") => ast::DataType::Boolean,
        Some("int2") => ast::DataType::SmallInt(None),
        Some("int4") => ast::DataType::Integer(None),
        Some("int8" | "oid" | "xid") => ast::DataType::BigInt(None),
        _ => ast::DataType::Text,
    }
}
