//! The way of amounts and their currencies through the operators of a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result as DataFusionResult};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, Projection, SubqueryAlias, Union};

use super::expression::no_currency;
use super::{Carried, Carrier, Currency, Place};
use crate::costs::mapping::{COLUMNS, CostType};
use crate::table::is_costs_scan;

/// The column of `costs` that says in what currency its amounts are, and that of the amounts in the pricing currency.
const CURRENCY: &str = "billing_currency";
const PRICING_CURRENCY: &str = "pricing_currency";
const IN_PRICING_CURRENCY: &str = "pricing_currency_";

impl Carrier<'_> {
    /// The plan with the currencies of its amounts.
    pub(super) fn carry(&self, plan: LogicalPlan) -> DataFusionResult<Carried> {
        match plan {
            LogicalPlan::Projection(projection) if is_costs(&projection.input) => Ok(source(projection)),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::SubqueryAlias(alias) => {
                let Carried { plan, places } = self.carry(Arc::unwrap_or_clone(alias.input))?;
                let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(plan), alias.alias)?);
                Ok(Carried { plan, places })
            }
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Repartition(_) => {
                self.same_columns(plan)
            }
            LogicalPlan::Join(_) => self.join(plan),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let schema = Arc::clone(input.schema());
                let settled = self.carry(Arc::unwrap_or_clone(input))?.settle(&schema)?;
                Ok(Carried {
                    plan: LogicalPlan::Distinct(Distinct::All(Arc::new(settled.plan))),
                    places: settled.places,
                })
            }
            LogicalPlan::RecursiveQuery(_) => {
                let mut carried = self.settled(plan)?;
                // What the recursive term does to the places of columns is not followed.
                for place in carried.places.iter_mut().filter(|place| **place != Place::None) {
                    *place = Place::Lost;
                }
                Ok(carried)
            }
            other => self.settled(other),
        }
    }

    fn projection(&self, projection: Projection) -> DataFusionResult<Carried> {
        let input = self.carry(Arc::unwrap_or_clone(projection.input))?;
        let names = NamePreserver::new_for_projection();
        let (mut exprs, mut currencies) = (Vec::new(), Vec::new());
        for expr in projection.expr {
            let name = names.save(&expr);
            let (expr, currency) = self.value(expr, &input)?;
            exprs.push(name.restore(expr));
            currencies.push(currency);
        }
        let plain: Vec<Expr> = exprs.iter().map(|expr| expr.clone().unalias()).collect();
        let mut hidden: Vec<Expr> = Vec::new();
        let mut places: Vec<Place> = Vec::with_capacity(exprs.len());
        for currency in currencies {
            places.push(match currency {
                Currency::None => Place::None,
                Currency::Lost => Place::Lost,
                Currency::Of(code) => {
                    let shown = plain.iter().chain(&hidden).position(|expr| *expr == code);
                    Place::At(shown.unwrap_or_else(|| {
                        hidden.push(code);
                        plain.len() + hidden.len() - 1
                    }))
                }
            });
        }
        places.resize(exprs.len() + hidden.len(), Place::None);
        exprs.extend(hidden.into_iter().map(|code| code.alias(self.hidden_name())));
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Carried { plan, places })
    }

    /// The expressions of a node over its rewritten inputs.
    fn expressions(&self, plan: &LogicalPlan, input: &Carried) -> DataFusionResult<Vec<Expr>> {
        let exprs = plan.expressions().into_iter();
        exprs.map(|expr| Ok(self.value(expr, input)?.0)).collect()
    }

    fn same_columns(&self, plan: LogicalPlan) -> DataFusionResult<Carried> {
        let Some(input) = plan.inputs().first().copied().cloned() else {
            return Ok(Carried::plain(plan));
        };
        let input = self.carry(input)?;
        let exprs = self.expressions(&plan, &input)?;
        Ok(Carried {
            plan: plan.with_new_exprs(exprs, vec![input.plan])?,
            places: input.places,
        })
    }

    fn join(&self, plan: LogicalPlan) -> DataFusionResult<Carried> {
        let LogicalPlan::Join(join) = &plan else {
            return Ok(Carried::plain(plan));
        };
        let r#type = join.join_type;
        let left = self.carry(join.left.as_ref().clone())?;
        let right = self.carry(join.right.as_ref().clone())?;
        let offset = left.places.len();
        let moved = right.places.iter().map(|place| match place {
            Place::At(at) => Place::At(at + offset),
            other => *other,
        });
        let places: Vec<Place> = match r#type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.places.iter().copied().chain(moved).collect()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.places.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.places.clone(),
            JoinType::LeftMark => left.places.iter().copied().chain([Place::None]).collect(),
            JoinType::RightMark => right.places.iter().copied().chain([Place::None]).collect(),
        };
        // Conditions are true or false: what matters of them is their subqueries.
        let nothing = Carried::plain(LogicalPlan::default());
        let exprs = self.expressions(&plan, &nothing)?;
        let plan = plan.with_new_exprs(exprs, vec![left.plan, right.plan])?;
        Ok(Carried { plan, places })
    }

    fn union(&self, union: Union) -> DataFusionResult<Carried> {
        let width = union.schema.fields().len();
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in union.inputs {
            let columns: Vec<Column> = input.schema().iter().map(Column::from).collect();
            inputs.push((self.carry(Arc::unwrap_or_clone(input))?, columns));
        }
        // Where each input has the currency of each column: the place in its own columns, if it is one of them.
        let shown = |(input, columns): &(Carried, Vec<Column>), at: usize| -> Option<(Currency, Option<usize>)> {
            let place = input.place_of(columns.get(at)?)?;
            let code = match input.places.get(place)? {
                Place::At(code) => columns.iter().position(|column| input.place_of(column) == Some(*code)),
                _ => None,
            };
            Some((input.currency(place), code))
        };
        let mut places = vec![Place::None; width];
        let mut hidden: BTreeMap<usize, String> = BTreeMap::new();
        for (at, place) in places.iter_mut().enumerate() {
            let found: Vec<(Currency, Option<usize>)> = inputs.iter().filter_map(|input| shown(input, at)).collect();
            let mut amounts = found
                .iter()
                .filter(|(currency, _)| *currency != Currency::None)
                .peekable();
            let Some((_, first)) = amounts.peek().copied() else {
                continue;
            };
            *place = if found.iter().any(|(currency, _)| *currency == Currency::Lost) {
                Place::Lost
            } else if let (Some(code), true) = (first, amounts.all(|(_, code)| code == first)) {
                Place::At(*code)
            } else {
                hidden.insert(at, self.hidden_name());
                Place::At(width + hidden.len() - 1)
            };
        }
        let mut rewritten = Vec::with_capacity(inputs.len());
        for (input, columns) in inputs {
            if hidden.is_empty() && input.plan.schema().fields().len() == width {
                rewritten.push(Arc::new(input.plan));
                continue;
            }
            let mut exprs: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
            for (at, name) in &hidden {
                let place = columns.get(*at).and_then(|column| input.place_of(column));
                let code = match place.map(|place| input.currency(place)) {
                    Some(Currency::Of(code)) => code,
                    _ => no_currency(),
                };
                exprs.push(code.alias(name));
            }
            let plan = Projection::try_new(exprs, Arc::new(input.plan))?;
            rewritten.push(Arc::new(LogicalPlan::Projection(plan)));
        }
        let schema = match hidden.is_empty() {
            true => union.schema,
            false => {
                let more = hidden.values().map(|name| {
                    let field = arrow::datatypes::Field::new(name, DataType::Utf8View, true);
                    (None, Arc::new(field))
                });
                let fields = union
                    .schema
                    .iter()
                    .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
                let fields = fields.chain(more).collect();
                Arc::new(DFSchema::new_with_metadata(fields, union.schema.metadata().clone())?)
            }
        };
        places.resize(width + hidden.len(), Place::None);
        Ok(Carried {
            plan: LogicalPlan::Union(Union {
                inputs: rewritten,
                schema,
            }),
            places,
        })
    }

    /// A node of another kind: its inputs keep their own columns alone, and an amount is known by its name.
    fn settled(&self, plan: LogicalPlan) -> DataFusionResult<Carried> {
        let mut inputs = Vec::new();
        for input in plan.inputs() {
            let schema = Arc::clone(input.schema());
            inputs.push(self.carry(input.clone())?.settle(&schema)?);
        }
        if inputs.is_empty() {
            return Ok(Carried::plain(plan));
        }
        let nothing = Carried::plain(LogicalPlan::default());
        let exprs = self.expressions(&plan, inputs.first().filter(|_| inputs.len() == 1).unwrap_or(&nothing))?;
        let amounts = inputs.iter().any(Carried::has_amounts);
        let mut known: Vec<(Column, Option<Column>)> = Vec::new();
        for input in &inputs {
            for (at, place) in input.places.iter().enumerate() {
                let column = |at: usize| Column::from(input.plan.schema().qualified_field(at));
                match place {
                    Place::None => {}
                    Place::Lost => known.push((column(at), None)),
                    Place::At(code) => known.push((column(at), Some(column(*code)))),
                }
            }
        }
        let from_lists = inputs.iter().any(|input| {
            let fields = input.plan.schema().fields().iter().zip(&input.places);
            fields
                .into_iter()
                .any(|(field, place)| *place != Place::None && field.data_type().is_nested())
        });
        let plan = plan.with_new_exprs(exprs, inputs.into_iter().map(|input| input.plan).collect())?;
        if !amounts {
            return Ok(Carried::plain(plan));
        }
        let schema = plan.schema();
        let place = |column: Column| match known.iter().find(|(amount, _)| *amount == column) {
            Some((_, code)) => {
                let code = code.as_ref().and_then(|code| schema.maybe_index_of_column(code));
                code.map_or(Place::Lost, Place::At)
            }
            // An element of a list of amounts.
            None if from_lists => Place::Lost,
            None => Place::None,
        };
        let places = schema.iter().map(Column::from).map(place).collect();
        Ok(Carried { plan, places })
    }
}

/// Whether the plan is the rows of an export on their way into `costs`.
fn is_costs(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => is_costs(&filter.input),
        LogicalPlan::TableScan(scan) => is_costs_scan(scan),
        _ => false,
    }
}

/// The projection that makes `costs` of an export's rows.
fn source(projection: Projection) -> Carried {
    let schema = &projection.schema;
    let at = |name: &str| schema.fields().iter().position(|field| field.name() == name);
    let (billing, pricing) = (at(CURRENCY), at(PRICING_CURRENCY));
    let place = |name: &str| {
        let amount = COLUMNS
            .iter()
            .any(|column| column.name == name && column.r#type == CostType::Money);
        let currency = if name.starts_with(IN_PRICING_CURRENCY) {
            pricing
        } else {
            billing
        };
        match (amount, currency) {
            (false, _) => Place::None,
            (true, Some(place)) => Place::At(place),
            (true, None) => Place::Lost,
        }
    };
    let places = schema.fields().iter().map(|field| place(field.name())).collect();
    Carried {
        plan: LogicalPlan::Projection(projection),
        places,
    }
}
