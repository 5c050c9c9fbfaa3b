//! `tag('Env')` and `cost_category('Team')` without a column: the maps of the one relation that has them are added.
//!
//! It happens on the tree, before names are resolved. Where FROM has one relation, its columns are named plainly, and resolve
//! or fail as if the statement had named them; where it has several, `costs` is the one that is meant. Two of those are
//! ambiguous. A part of a statement that has no `costs` (a correlated subquery, ORDER BY) takes the one around it.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select, TableFactor,
    VisitMut, VisitorMut,
};

use crate::costs::COSTS;
use crate::costs::tag::Lookup;
use crate::error::{Error, ErrorKind, Result};

/// What else has the columns of `costs`.
const ALSO: &str = "costs_as_of";

/// Adds the maps to calls that name none. Error: `AmbiguousColumn` where more than one relation may be meant.
pub(super) fn name_maps(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.as_mut().visit(&mut Namer::default()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        Statement::Explain(explain) => name_maps(&mut explain.statement),
        _ => Ok(()),
    }
}

/// The relations of one SELECT.
struct Relations {
    /// How the relations with the columns of `costs` are called.
    costs: Vec<Ident>,
    count: usize,
}

/// The SELECTs around an expression, the innermost last. A query has one too, for its ORDER BY: that is visited after the
/// SELECT that it belongs to.
#[derive(Default)]
struct Namer(Vec<Option<Relations>>);

impl VisitorMut for Namer {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.0.push(match query.body.as_ref() {
            ast::SetExpr::Select(select) if query.order_by.is_some() => Some(Relations::of(select)),
            _ => None,
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.0.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.0.push(Some(Relations::of(select)));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Error> {
        self.0.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Some((lookup, key)) = call_without_maps(expr) else {
            return ControlFlow::Continue(());
        };
        match self.qualifier(lookup, &key.to_string()) {
            Ok(qualifier) => {
                add_maps(expr, lookup, qualifier);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Namer {
    /// What the columns are named with, if anything.
    fn qualifier(&self, lookup: Lookup, key: &str) -> Result<Option<Ident>> {
        let mut around = self.0.iter().rev().flatten();
        let around = around.find(|from| from.count == 1 || !from.costs.is_empty());
        let Some(from) = around else {
            return Ok(None);
        };
        match from.costs.as_slice() {
            [_] if from.count > 1 => Ok(from.costs.first().cloned()),
            [] | [_] => Ok(None),
            [first, second, ..] => {
                let name = lookup.function();
                let [normalised, all] = lookup.columns();
                Err(Error::new(
                    ErrorKind::AmbiguousColumn,
                    format!("{name}({key}) is ambiguous: {first} and {second} both have it"),
                )
                .with_hint(format!("Write {name}({first}.{normalised}, {first}.{all}, {key}).")))
            }
        }
    }
}

impl Relations {
    fn of(select: &Select) -> Self {
        let mut from = Self {
            costs: Vec::new(),
            count: 0,
        };
        for table in &select.from {
            from.add(&table.relation);
            for join in &table.joins {
                from.add(&join.relation);
            }
        }
        from
    }

    fn add(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => {
                self.add(&table_with_joins.relation);
                for join in &table_with_joins.joins {
                    self.add(&join.relation);
                }
            }
            TableFactor::Table { name, alias, .. } | TableFactor::Function { name, alias, .. } => {
                self.count += 1;
                let Some(last) = name.0.last().and_then(|part| part.as_ident()) else {
                    return;
                };
                let named = |known: &str| match last.quote_style {
                    None => last.value.eq_ignore_ascii_case(known),
                    Some(_) => last.value == known,
                };
                if named(COSTS) || named(ALSO) {
                    let alias = alias.as_ref().map(|alias| alias.name.clone());
                    self.costs.push(alias.unwrap_or_else(|| last.clone()));
                }
            }
            _ => self.count += 1,
        }
    }
}

/// Which function is called with a key alone, and the key.
fn call_without_maps(expr: &Expr) -> Option<(Lookup, &Expr)> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let [name] = function.name.0.as_slice() else {
        return None;
    };
    let name = name.as_ident()?;
    let lookup = Lookup::ALL
        .into_iter()
        .find(|lookup| name.value.eq_ignore_ascii_case(lookup.function()))?;
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(key))] => Some((lookup, key)),
        _ => None,
    }
}

fn add_maps(expr: &mut Expr, lookup: Lookup, qualifier: Option<Ident>) {
    let Expr::Function(function) = expr else { return };
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    let map = |name: &str| {
        let name = Ident::new(name);
        let column = match &qualifier {
            Some(qualifier) => Expr::CompoundIdentifier(vec![qualifier.clone(), name]),
            None => Expr::Identifier(name),
        };
        FunctionArg::Unnamed(FunctionArgExpr::Expr(column))
    };
    list.args.splice(0..0, lookup.columns().map(map));
    function.name = ObjectName::from(vec![Ident::new(lookup.function())]);
}
