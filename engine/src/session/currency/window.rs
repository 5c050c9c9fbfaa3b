//! Window functions of amounts: aggregates are checked by frame, and what picks another row's amount picks its currency too.

use std::sync::Arc;

use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Window, WindowFunctionDefinition};

use super::aggregate::{COUNTING, Checked, Taken, checking};
use super::{Carried, Carrier, Place};

/// Where a window function's value has its currency.
enum Source {
    None,
    /// The column of the input there.
    Input(usize),
    /// The hidden column of that name.
    Hidden(String),
}

/// The window functions of one plan.
#[derive(Default)]
struct Written {
    functions: Vec<Expr>,
    /// What is written beside them.
    beside: Vec<Expr>,
    hidden: Vec<String>,
    checked: Vec<Checked>,
    sources: Vec<Source>,
}

impl Carrier<'_> {
    pub(super) fn window(&self, window: Window) -> DataFusionResult<Carried> {
        let input = self.carry(Arc::unwrap_or_clone(window.input))?;
        let names = NamePreserver::new_for_projection();
        let width = input.plan.schema().fields().len();
        let mut written = Written::default();
        for (at, expr) in (width..).zip(window.window_expr) {
            let name = names.save(&expr);
            let expr = self.window_function(expr, at, &input, &mut written)?;
            written.functions.push(name.restore(expr));
        }
        let Written {
            mut functions,
            beside,
            hidden,
            checked,
            sources,
        } = written;
        functions.extend(beside);
        let count = sources.len();
        let mut places = input.places.clone();
        places.resize(width + count, Place::None);
        let plan = LogicalPlan::Window(Window::try_new(functions, Arc::new(input.plan))?);
        let columns = plan.schema().iter().take(width + count).map(Column::from).collect();
        let mut carried = checking(plan, columns, &checked, hidden, places)?;
        for (at, source) in (width..).zip(sources) {
            carried.places[at] = match source {
                Source::None => Place::None,
                Source::Input(place) => Place::At(place),
                Source::Hidden(name) => {
                    let place = carried.place_of(&Column::new_unqualified(name));
                    place.map_or(Place::Lost, Place::At)
                }
            };
        }
        Ok(carried)
    }

    fn window_function(&self, expr: Expr, at: usize, input: &Carried, written: &mut Written) -> DataFusionResult<Expr> {
        let function = match expr {
            Expr::Alias(mut alias) => {
                let inner = self.window_function(*alias.expr, at, input, written)?;
                *alias.expr = inner;
                return Ok(Expr::Alias(alias));
            }
            Expr::WindowFunction(function) => *function,
            other => {
                written.sources.push(Source::None);
                return Ok(other);
            }
        };
        let WindowFunction { fun, mut params } = function;
        let counting = COUNTING.contains(&fun.name());
        let (args, taken) = self.taken(params.args, input, counting)?;
        params.args = args;
        params.order_by = self.sorts(params.order_by, input)?;
        let partitions = params.partition_by.into_iter();
        params.partition_by = partitions
            .map(|expr| Ok(self.value(expr, input)?.0))
            .collect::<DataFusionResult<_>>()?;
        let source = match taken.split_first() {
            None => Source::None,
            Some((first, _)) => {
                let partitioned = params.partition_by.contains(&first.currency);
                let place = match &first.currency {
                    Expr::Column(column) if partitioned && taken.len() == 1 => input.place_of(column),
                    _ => None,
                };
                match (place, &fun) {
                    (Some(place), _) => Source::Input(place),
                    (None, WindowFunctionDefinition::AggregateUDF(_)) => self.watched(&taken, &params, at, written),
                    (None, WindowFunctionDefinition::WindowUDF(_)) => {
                        let mut same = params.clone();
                        same.args[0] = first.present();
                        // The amount for rows that are not there has no currency.
                        same.args.truncate(2);
                        let name = self.hidden_name();
                        written.beside.push(call(fun.clone(), same).alias(name.clone()));
                        written.hidden.push(name.clone());
                        Source::Hidden(name)
                    }
                }
            }
        };
        written.sources.push(source);
        Ok(call(fun, params))
    }

    /// Writes the least and the greatest currency of the same frame beside an aggregate.
    fn watched(&self, taken: &[Taken], params: &WindowFunctionParams, at: usize, written: &mut Written) -> Source {
        let mut bounds = Vec::new();
        for value in taken {
            for function in [min_udaf(), max_udaf()] {
                let mut same = params.clone();
                same.args = vec![value.present()];
                same.distinct = false;
                let name = self.hidden_name();
                let beside = call(WindowFunctionDefinition::AggregateUDF(function), same);
                written.beside.push(beside.alias(name.clone()));
                bounds.push(name);
            }
        }
        let last = bounds.last().cloned();
        written.hidden.extend(last.clone());
        written.checked.push(Checked { at, bounds });
        last.map_or(Source::None, Source::Hidden)
    }
}

fn call(fun: WindowFunctionDefinition, params: WindowFunctionParams) -> Expr {
    Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
}
