//! What a statement names: whether it reads the catalogs, and whether it reads anything else.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, ObjectName, Query, SetExpr, TableFactor, Value, Visit, Visitor,
};

use crate::compat::{functions, shape};

/// What a statement names.
#[derive(Debug, Default)]
pub(in crate::compat) struct References {
    /// A relation of the catalogs.
    catalogs: bool,
    /// A function, operator or type that only the catalogs are read with.
    notation: bool,
    /// Any other relation.
    pub others: bool,
    /// Names that the statement itself gives to queries.
    pub ctes: BTreeSet<String>,
}

impl References {
    /// Whether the statement cannot be planned without the catalogs.
    pub(in crate::compat) fn concerns_catalogs(&self) -> bool {
        self.catalogs || self.notation
    }
}

/// The parts of a name: unquoted ones in lower case. `None` for a name with parts that are computed.
pub(in crate::compat) fn parts(name: &ObjectName) -> Option<Vec<String>> {
    name.0
        .iter()
        .map(|part| {
            let ident = part.as_ident()?;
            Some(match ident.quote_style {
                Some(_) => ident.value.clone(),
                None => ident.value.to_ascii_lowercase(),
            })
        })
        .collect()
}

/// The catalog relation that a name means, by schema and name; a schema of the catalogs is enough.
pub(in crate::compat) fn catalog_relation(name: &ObjectName, ctes: &BTreeSet<String>) -> Option<(String, String)> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [name] => (!ctes.contains(name) && shape::find(shape::PG_CATALOG, name).is_some())
            .then(|| (shape::PG_CATALOG.to_owned(), name.clone())),
        [schema, name] | [_, schema, name] => shape::SCHEMAS
            .contains(&schema.as_str())
            .then(|| (schema.clone(), name.clone())),
        _ => None,
    }
}

/// Looks a statement through.
pub(in crate::compat) fn of(tree: &ast::Statement) -> References {
    let mut names = CteNames(BTreeSet::new());
    let _ = tree.visit(&mut names);
    let mut found = References {
        ctes: names.0,
        ..References::default()
    };
    let _ = tree.visit(&mut found);
    found
}

/// How many parameters a statement takes: the highest `$n` in it.
pub(crate) fn placeholders(tree: &ast::Statement) -> usize {
    struct Highest(usize);
    impl Visitor for Highest {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Value(value) = expr
                && let Value::Placeholder(name) = &value.value
            {
                // The protocol has no more than 65535 parameters.
                let number = name.trim_start_matches('$').parse().unwrap_or(0_u16);
                self.0 = self.0.max(usize::from(number));
            }
            ControlFlow::Continue(())
        }
    }
    let mut highest = Highest(0);
    let _ = tree.visit(&mut highest);
    highest.0
}

struct CteNames(BTreeSet<String>);

impl Visitor for CteNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = &cte.alias.name;
            self.0.insert(match name.quote_style {
                Some(_) => name.value.clone(),
                None => name.value.to_ascii_lowercase(),
            });
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for References {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if matches!(query.body.as_ref(), SetExpr::Table(_)) {
            self.others = true;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                if catalog_relation(name, &self.ctes).is_some() {
                    self.catalogs = true;
                } else if !parts(name).is_some_and(|parts| matches!(parts.as_slice(), [n] if self.ctes.contains(n))) {
                    self.others = true;
                }
            }
            TableFactor::Table { name, .. } => {
                let name = parts(name).and_then(|mut parts| parts.pop());
                self.catalogs |= name.is_some_and(|name| shape::is_function(&name));
            }
            TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::Function { .. }
            | TableFactor::NestedJoin { .. } => {}
            _ => self.others = true,
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.notation |= match expr {
            Expr::Function(function) => match parts(&function.name).as_deref() {
                Some([name]) => functions::is_known(name),
                Some([schema, _]) => shape::SCHEMAS.contains(&schema.as_str()),
                _ => false,
            },
            Expr::Cast { data_type, .. } => matches!(data_type, DataType::Regclass | DataType::Custom(..)),
            Expr::BinaryOp { op, .. } => matches!(op, BinaryOperator::PGCustomBinaryOperator(_)),
            _ => false,
        };
        ControlFlow::Continue(())
    }
}
