//! Aggregates of amounts: each group is in one currency, or the statement fails when it meets the group.

use std::sync::Arc;

use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};

use super::expression::{distinct, where_present};
use super::function::one_currency;
use super::{Carried, Carrier, Currency, Place};

/// Aggregates whose value is no amount, whatever they take.
pub(super) const COUNTING: [&str; 4] = ["count", "approx_distinct", "regr_count", "grouping"];

/// The least and the greatest currency of what an aggregate takes, by the names of their columns.
pub(super) struct Watch {
    /// What is watched: the currency of each value, and the rows that count.
    pub currency: Expr,
    pub filter: Option<Expr>,
    pub least: String,
    pub greatest: String,
}

/// An aggregate's or window's column that is checked.
pub(super) struct Checked {
    /// The place of the column in the original plan.
    pub at: usize,
    /// The names of the columns with its least and greatest currency.
    pub bounds: Vec<String>,
}

impl Carrier<'_> {
    pub(super) fn aggregate(&self, aggregate: Aggregate) -> DataFusionResult<Carried> {
        let Aggregate {
            input,
            group_expr,
            aggr_expr,
            schema,
            ..
        } = aggregate;
        let input = self.carry(Arc::unwrap_or_clone(input))?;
        let names = NamePreserver::new_for_projection();
        let sets = group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
        let (mut groups, mut places) = (Vec::new(), vec![Place::None; schema.fields().len()]);
        let mut group_currencies = Vec::new();
        for group in group_expr {
            let name = names.save(&group);
            let is_set = matches!(group, Expr::GroupingSet(_));
            let (group, currency) = self.value(group, &input)?;
            groups.push(if is_set { group } else { name.restore(group) });
            group_currencies.push(currency);
        }
        // A currency that is grouped by is one in each group; a grouping set may leave it out.
        let grouped = |currency: &Expr| -> Option<usize> {
            let plain = groups.iter().map(|group| group.clone().unalias());
            let mut plain = plain.take_while(|_| !sets);
            plain.position(|group| group == *currency)
        };
        for (at, currency) in group_currencies.iter().enumerate().filter(|_| !sets) {
            places[at] = match currency {
                Currency::None => Place::None,
                Currency::Lost => Place::Lost,
                Currency::Of(code) => grouped(code).map_or(Place::Lost, Place::At),
            };
        }
        let first = schema.fields().len() - aggr_expr.len();
        if sets && group_currencies.iter().any(|currency| *currency != Currency::None) {
            // Which columns the sets have is not followed: all of them count as amounts.
            places[..first].fill(Place::Lost);
        }
        let (mut aggregates, mut watches, mut checked): (Vec<Expr>, Vec<Watch>, Vec<Checked>) = Default::default();
        let mut greatest: Vec<(usize, String)> = Vec::new();
        for (at, expr) in (first..).zip(aggr_expr) {
            let name = names.save(&expr);
            let (expr, taken) = self.aggregated(expr, &input)?;
            aggregates.push(name.restore(expr));
            let Some((taken, filter)) = taken else { continue };
            if let [only] = taken.as_slice()
                && let Some(group) = grouped(&only.currency)
            {
                places[at] = Place::At(group);
                continue;
            }
            let mut bounds = Vec::new();
            for value in &taken {
                let watch = self.watch(&mut watches, value.present(), filter.clone());
                bounds.extend([watch.least.clone(), watch.greatest.clone()]);
                greatest.push((at, watch.greatest.clone()));
            }
            checked.push(Checked { at, bounds });
        }
        let least = |watch: &Watch| extreme(min_udaf(), watch, &watch.least);
        let most = |watch: &Watch| extreme(max_udaf(), watch, &watch.greatest);
        aggregates.extend(watches.iter().flat_map(|watch| [least(watch), most(watch)]));
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), groups, aggregates)?);
        let columns: Vec<Column> = schema.iter().map(Column::from).collect();
        let hidden = watches.iter().map(|watch| watch.greatest.clone()).collect();
        let mut carried = checking(plan, columns, &checked, hidden, places)?;
        for (at, name) in greatest {
            let place = carried.place_of(&Column::new_unqualified(name));
            carried.places[at] = place.map_or(Place::Lost, Place::At);
        }
        Ok(carried)
    }

    /// The watch of these values, which aggregates of the same values share.
    fn watch<'w>(&self, watches: &'w mut Vec<Watch>, currency: Expr, filter: Option<Expr>) -> &'w Watch {
        let known = watches
            .iter()
            .position(|watch| watch.currency == currency && watch.filter == filter);
        let at = known.unwrap_or_else(|| {
            watches.push(Watch {
                currency,
                filter,
                least: self.hidden_name(),
                greatest: self.hidden_name(),
            });
            watches.len() - 1
        });
        &watches[at]
    }

    /// The aggregate over a plan with currencies, and what amounts it takes of which rows; `None` for one that takes none.
    #[expect(clippy::type_complexity, reason = "read by one caller, which takes it apart")]
    fn aggregated(&self, expr: Expr, input: &Carried) -> DataFusionResult<(Expr, Option<(Vec<Taken>, Option<Expr>)>)> {
        match expr {
            Expr::Alias(mut alias) => {
                let (inner, taken) = self.aggregated(*alias.expr, input)?;
                *alias.expr = inner;
                Ok((Expr::Alias(alias), taken))
            }
            Expr::AggregateFunction(AggregateFunction { func, params }) => {
                let AggregateFunctionParams {
                    args,
                    distinct,
                    filter,
                    order_by,
                    null_treatment,
                } = params;
                let counting = COUNTING.contains(&func.name());
                let (args, taken) = self.taken(args, input, counting)?;
                let filter = filter
                    .map(|filter| self.value(*filter, input).map(|(filter, _)| Box::new(filter)))
                    .transpose()?;
                let order_by = self.sorts(order_by, input)?;
                let taken = (!taken.is_empty()).then(|| (taken, filter.as_deref().cloned()));
                let function = AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment);
                Ok((Expr::AggregateFunction(function), taken))
            }
            other => Ok((other, None)),
        }
    }

    /// What is sorted by may be ranked whatever its currency; only its subqueries matter.
    pub(super) fn sorts(&self, sorts: Vec<Sort>, input: &Carried) -> DataFusionResult<Vec<Sort>> {
        let sorts = sorts.into_iter();
        sorts
            .map(|sort| Ok(Sort::new(self.value(sort.expr, input)?.0, sort.asc, sort.nulls_first)))
            .collect()
    }

    /// The arguments of an aggregate, and those that are amounts.
    pub(super) fn taken(
        &self,
        args: Vec<Expr>,
        input: &Carried,
        counting: bool,
    ) -> DataFusionResult<(Vec<Expr>, Vec<Taken>)> {
        let (mut rewritten, mut taken) = (Vec::new(), Vec::new());
        for arg in args {
            let (arg, currency) = self.value(arg, input)?;
            let found = distinct(std::slice::from_ref(&currency)).ok_or_else(|| self.refused());
            if !counting {
                taken.extend(found?.into_iter().map(|currency| Taken {
                    value: arg.clone(),
                    currency,
                }));
            }
            rewritten.push(arg);
        }
        Ok((rewritten, taken))
    }
}

/// An amount that an aggregate takes.
pub(super) struct Taken {
    pub value: Expr,
    pub currency: Expr,
}

impl Taken {
    /// The currency of rows that have a value.
    pub fn present(&self) -> Expr {
        where_present(&self.value.clone().unalias(), self.currency.clone())
    }
}

fn extreme(function: Arc<datafusion::logical_expr::AggregateUDF>, watch: &Watch, name: &str) -> Expr {
    let filter = watch.filter.clone().map(Box::new);
    let aggregate = AggregateFunction::new_udf(function, vec![watch.currency.clone()], false, filter, Vec::new(), None);
    Expr::AggregateFunction(aggregate).alias(name)
}

/// The columns of the plan, with the checked ones checked, and then the hidden ones. `places` are those of the columns.
pub(super) fn checking(
    plan: LogicalPlan,
    columns: Vec<Column>,
    checked: &[Checked],
    hidden: Vec<String>,
    mut places: Vec<Place>,
) -> DataFusionResult<Carried> {
    if checked.is_empty() && hidden.is_empty() {
        return Ok(Carried { plan, places });
    }
    let unqualified = |name: &String| Expr::Column(Column::new_unqualified(name.clone()));
    let mut shown: Vec<Expr> = Vec::with_capacity(columns.len() + hidden.len());
    for (at, column) in columns.into_iter().enumerate() {
        let bounds = checked.iter().find(|checked| checked.at == at);
        shown.push(match bounds {
            None => Expr::Column(column),
            Some(checked) => {
                let (relation, name) = (column.relation.clone(), column.name.clone());
                let bounds = checked.bounds.iter().map(unqualified).collect();
                one_currency(Expr::Column(column), bounds).alias_qualified(relation, name)
            }
        });
    }
    places.resize(shown.len() + hidden.len(), Place::None);
    shown.extend(hidden.iter().map(unqualified));
    let plan = LogicalPlan::Projection(Projection::try_new(shown, Arc::new(plan))?);
    Ok(Carried { plan, places })
}
