//! Fits statements that read only the catalogs to what the engine plans: PostgreSQL's names of operators, types and
//! functions, subqueries that the engine has no operator for, and queries that cannot give rows.
//!
//! Every change keeps what the statement means. No statement that names another relation comes here.

mod blank;
mod cast;
pub(super) mod references;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Array, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut,
    VisitorMut,
};

use super::{functions, shape};
use references::parts;

/// Rewrites a statement.
pub(super) fn statement(tree: &mut ast::Statement, search_path: &[String], ctes: BTreeSet<String>) {
    if let ast::Statement::Query(query) = tree {
        cast::show_names(&mut query.body);
    }
    // The visitor never breaks off.
    let _ = tree.visit(&mut Rewriter { search_path, ctes });
}

struct Rewriter<'a> {
    search_path: &'a [String],
    ctes: BTreeSet<String>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if !blank::select(select, &self.ctes) {
            distinguish(&mut select.projection);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        blank::query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args, .. } if args.is_some() => {
                unqualify(name);
                let known = parts(name).is_some_and(|parts| parts.iter().any(|name| shape::is_function(name)));
                if known {
                    *args = None;
                }
            }
            TableFactor::Function { name, .. } => unqualify(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Collate { expr: inner, .. } => *expr = take(inner),
            Expr::BinaryOp { op, .. } => operator(op),
            Expr::Cast { .. } => cast::rewrite(expr),
            Expr::Like {
                pattern, escape_char, ..
            }
            | Expr::ILike {
                pattern, escape_char, ..
            } => {
                if let Some(escape) = escape_char.as_ref().and_then(|e| e.value.clone().into_string())
                    && escape_with_backslash(pattern, &escape)
                {
                    *escape_char = None;
                }
            }
            Expr::Exists { subquery, negated } if blank::is_blank(subquery) => {
                *expr = Expr::Value(Value::Boolean(*negated).into());
            }
            Expr::Subquery(query) => {
                if blank::is_blank(query) {
                    *expr = blank::null(ast::DataType::Text);
                } else {
                    at_most_one(query);
                }
            }
            Expr::Function(_) => self.function(expr),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

impl Rewriter<'_> {
    fn function(&self, expr: &mut Expr) {
        let Expr::Function(function) = expr else { return };
        unqualify(&mut function.name);
        let name = parts(&function.name)
            .and_then(|mut parts| parts.pop())
            .unwrap_or_default();
        if name == "array"
            && let FunctionArguments::Subquery(query) = &mut function.args
        {
            *expr = array_of(query);
            return;
        }
        let arguments = arguments(function);
        let replaced = match (name.as_str(), arguments.as_slice()) {
            // Constants, so that table functions can take them.
            ("current_schemas", [Expr::Value(value)]) => match value.value {
                Value::Boolean(implicit) => Some(array(functions::search_path(self.search_path, implicit))),
                _ => None,
            },
            ("array_upper", [Expr::Array(array), _]) => Some(number(array.elem.len())),
            ("array_lower", [Expr::Array(array), _]) => Some(number(usize::from(!array.elem.is_empty()))),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
    }
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return Vec::new();
    };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

fn string(text: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.into()).into())
}

fn number(value: usize) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

fn array(texts: Vec<String>) -> Expr {
    Expr::Array(Array {
        elem: texts.into_iter().map(string).collect(),
        named: true,
    })
}

/// A call of one of the catalogs' functions or of the engine's.
fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments
        .into_iter()
        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
        .collect();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `pg_catalog.f` is `f`: functions have no schemas in the engine.
fn unqualify(name: &mut ObjectName) {
    if let Some([schema, _]) = parts(name).as_deref()
        && shape::SCHEMAS.contains(&schema.as_str())
    {
        name.0.remove(0);
    }
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(name) = op else {
        return;
    };
    let known = match name.as_slice() {
        [name] => name,
        [schema, name] if schema == shape::PG_CATALOG => name,
        _ => return,
    };
    *op = match known.as_str() {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "||" => BinaryOperator::StringConcat,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        _ => return,
    };
}

/// Writes a pattern with another escape character anew with a backslash, the only one that the engine takes.
fn escape_with_backslash(pattern: &mut Expr, escape: &str) -> bool {
    let mut escapes = escape.chars();
    let (Some(escape), None) = (escapes.next(), escapes.next()) else {
        return false;
    };
    let Expr::Value(value) = pattern else { return false };
    let Value::SingleQuotedString(text) = &value.value else {
        return false;
    };
    let mut written = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            c if c == escape => {
                written.push('\\');
                written.extend(characters.next());
            }
            '\\' => written.push_str("\\\\"),
            c => written.push(c),
        }
    }
    *pattern = string(written);
    true
}

/// The only column of a plain query, and the query, if it has no order, limit or grouping of its own.
fn plain(query: &mut Query) -> Option<&mut Expr> {
    let bounded = query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    let SetExpr::Select(select) = query.body.as_mut() else {
        return None;
    };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    if bounded || !ungrouped || select.having.is_some() || select.distinct.is_some() || select.from.is_empty() {
        return None;
    }
    match select.projection.as_mut_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
        _ => None,
    }
}

/// A scalar subquery has at most one row, so its largest value is its only one. The engine plans correlated subqueries if
/// they aggregate.
fn at_most_one(query: &mut Query) {
    if let Some(expr) = plain(query) {
        let aggregates = matches!(expr, Expr::Function(function) if parts(&function.name)
            .and_then(|mut parts| parts.pop())
            .is_some_and(|name| blank::is_aggregate(&name)));
        if !aggregates {
            let value = take(expr);
            *expr = call("max", vec![value]);
            query.order_by = None;
        }
    }
}

/// `ARRAY(SELECT x ...)` as an aggregate; without rows it is an array without elements and not NULL.
fn array_of(query: &mut Box<Query>) -> Expr {
    let empty = call(functions::EMPTY_ARRAY, Vec::new());
    if blank::is_blank(query) {
        return empty;
    }
    if let Some(expr) = plain(query) {
        let value = take(expr);
        *expr = call("array_agg", vec![value]);
    }
    query.order_by = None;
    call("coalesce", vec![Expr::Subquery(query.clone()), empty])
}

/// Gives items that are written alike different names, which the engine insists on. Results are named after the statement
/// as it was sent.
fn distinguish(items: &mut [SelectItem]) {
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if !seen.insert(expr.to_string()) {
            *item = SelectItem::ExprWithAlias {
                expr: take(expr),
                alias: Ident::with_quote('"', format!("?column{}?", at + 1)),
            };
        }
    }
}
