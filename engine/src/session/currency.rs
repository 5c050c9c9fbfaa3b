//! Amounts of different currencies are never added up.
//!
//! The rule is part of a session only where its scope has costs in more than one currency. It carries the currency of every
//! amount through the plan, in hidden columns where the statement drops it, and writes beside each aggregate of amounts the
//! least and the greatest currency of the values that it takes. If those differ, the group mixes currencies, and the
//! statement fails when it meets that group: a statement whose groups are each in one currency runs, whatever its form. Where
//! the currency is lost on the way (DISTINCT, a grouping by the amount), an aggregate is refused when it is planned.
//!
//! Sums stay what they are, exact and independent of order: the check only looks on. Amounts without a currency are taken for
//! amounts of any. Counting is never refused. Amounts that are added or subtracted in one row are checked likewise.

mod aggregate;
mod expression;
mod function;
mod through;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{Column, DFSchemaRef, Result as DataFusionResult};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::optimizer::analyzer::AnalyzerRule;

use crate::error::{Error, ErrorKind};

/// The rule, for a scope with these currencies.
#[derive(Debug)]
pub(super) struct CurrencyRule {
    currencies: BTreeSet<String>,
}

impl CurrencyRule {
    /// The rule, if it is needed.
    pub fn needed(currencies: BTreeSet<&str>) -> Option<Self> {
        let currencies: BTreeSet<String> = currencies.into_iter().map(str::to_owned).collect();
        (currencies.len() > 1).then_some(Self { currencies })
    }
}

impl AnalyzerRule for CurrencyRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let carrier = Carrier {
            currencies: &self.currencies,
            hidden: AtomicUsize::new(0),
        };
        Ok(carrier.carry(plan)?.settle(&schema)?.plan)
    }

    fn name(&self) -> &str {
        "currency_rule"
    }
}

/// What currency an expression's value is in.
#[derive(Debug, Clone, PartialEq)]
enum Currency {
    /// It is no amount.
    None,
    /// In the one that this expression says.
    Of(Expr),
    /// It is an amount, and nothing says in what currency.
    Lost,
}

/// The same of a column of a plan: the place of the column that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is no amount.
    None,
    /// The column there.
    At(usize),
    /// It is an amount, and no column says in what currency.
    Lost,
}

/// A plan whose amounts have their currencies with them.
struct Carried {
    /// It has all columns of the original plan, by their names, and perhaps hidden ones.
    plan: LogicalPlan,
    /// One for each of its columns.
    places: Vec<Place>,
}

impl Carried {
    /// A plan without amounts.
    fn plain(plan: LogicalPlan) -> Self {
        let places = vec![Place::None; plan.schema().fields().len()];
        Self { plan, places }
    }

    fn has_amounts(&self) -> bool {
        self.places.iter().any(|place| *place != Place::None)
    }

    fn column(&self, at: usize) -> Expr {
        Expr::Column(Column::from(self.plan.schema().qualified_field(at)))
    }

    fn currency(&self, at: usize) -> Currency {
        match self.places.get(at) {
            Some(Place::At(place)) => Currency::Of(self.column(*place)),
            Some(Place::Lost) => Currency::Lost,
            Some(Place::None) | None => Currency::None,
        }
    }

    /// The place of a column by its name.
    fn place_of(&self, column: &Column) -> Option<usize> {
        self.plan.schema().maybe_index_of_column(column)
    }

    /// The plan with the columns of `schema` alone, in their order.
    fn settle(self, schema: &DFSchemaRef) -> DataFusionResult<Self> {
        if self.plan.schema().fields().len() == schema.fields().len() {
            return Ok(self);
        }
        let columns: Vec<Column> = schema.iter().map(Column::from).collect();
        let kept: Vec<usize> = columns
            .iter()
            .map(|column| self.place_of(column).ok_or_else(|| lacks(column)))
            .collect::<Result<_, _>>()?;
        let place = |at: &usize| match self.places[*at] {
            Place::At(currency) => match kept.iter().position(|kept| *kept == currency) {
                Some(place) => Place::At(place),
                None => Place::Lost,
            },
            other => other,
        };
        let places = kept.iter().map(place).collect();
        let columns = columns.into_iter().map(Expr::Column).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(self.plan))?);
        Ok(Self { plan, places })
    }
}

fn lacks(column: &Column) -> Error {
    Error::defect(format!("a plan with currencies lacks the column {column}"))
}

/// One run over a plan.
struct Carrier<'a> {
    currencies: &'a BTreeSet<String>,
    /// How many hidden columns there are: each has a name of its own.
    hidden: AtomicUsize,
}

impl Carrier<'_> {
    fn hidden_name(&self) -> String {
        format!("__currency_{}", self.hidden.fetch_add(1, Ordering::Relaxed))
    }

    /// The refusal of an aggregate whose amounts have lost their currency.
    fn refused(&self) -> Error {
        let currencies: Vec<&str> = self.currencies.iter().map(String::as_str).collect();
        let listed = match currencies.split_last() {
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        };
        Error::new(
            ErrorKind::MixedCurrencies,
            format!("amounts whose currency an inner query drops cannot be aggregated: there are costs in {listed}"),
        )
        .with_hint("Keep billing_currency in the inner query, by selecting it or grouping by it.")
    }
}

#[cfg(test)]
mod tests;
