//! The physical rule that evaluates what depends on one column of text once for each text, not for each row.
//!
//! The texts of cost data repeat: a month has some thousand usage types and descriptions in millions of rows, and files have
//! each of them once in a dictionary. The reader gives rows of one dictionary entry the same view (sixteen bytes that say where
//! the text lies), so equal views are told apart without looking at texts. Patterns, functions and lists of values are
//! evaluated on the distinct ones; the values, and errors, are those that the rows would have given.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, LikeExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use crate::error::Error;

/// Batches with fewer rows for each text than this are evaluated row by row.
const REPEATED: usize = 4;
/// Places of the table in which views that were met are found again; a power of two.
const PLACES: usize = 1024;

/// Makes conditions on text be evaluated once for each text.
#[derive(Debug)]
pub(super) struct DistinctTexts;

impl PhysicalOptimizerRule for DistinctTexts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(plan));
            };
            let schema = filter.input().schema();
            let mut changed = false;
            let mut conditions = Vec::new();
            for condition in split_conjunction(filter.predicate()) {
                let condition = Arc::clone(condition);
                // An equality says that something is constant, which the plan above may count on.
                if is_equality(&condition) {
                    conditions.push(condition);
                    continue;
                }
                let condition = condition.transform_down(|expr| wrapped(expr, &schema))?;
                changed |= condition.transformed;
                conditions.push(condition.data);
            }
            if !changed {
                return Ok(Transformed::no(plan));
            }
            let filter = FilterExecBuilder::from(filter)
                .with_predicate(conjunction(conditions))
                .build()?;
            Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &str {
        "distinct_texts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_equality(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let binary = expr.downcast_ref::<BinaryExpr>();
    binary.is_some_and(|binary| *binary.op() == Operator::Eq)
}

/// The expression to be evaluated on distinct texts, if it is worth that.
fn wrapped(expr: Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> DataFusionResult<Transformed<Arc<dyn PhysicalExpr>>> {
    if expr.is::<Distinctly>() {
        return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
    }
    let columns = collect_columns(&expr);
    let mut columns = columns.iter();
    let (Some(column), None) = (columns.next(), columns.next()) else {
        return Ok(Transformed::no(expr));
    };
    let field = schema.field(column.index());
    if *field.data_type() != DataType::Utf8View || is_volatile(&expr) || !takes_computing(&expr)? {
        return Ok(Transformed::no(expr));
    }
    let alone = Arc::new(Schema::new(vec![Field::new(field.name(), DataType::Utf8View, true)]));
    let at_first = Arc::new(Column::new(field.name(), 0)) as Arc<dyn PhysicalExpr>;
    let of_text = Arc::clone(&expr).transform_up(|expr| {
        Ok(match expr.is::<Column>() {
            true => Transformed::yes(Arc::clone(&at_first)),
            false => Transformed::no(expr),
        })
    })?;
    let distinctly = Distinctly {
        text: Arc::new(column.clone()),
        of_text: of_text.data,
        shown: expr,
        alone,
    };
    Ok(Transformed::new(Arc::new(distinctly), true, TreeNodeRecursion::Jump))
}

/// Whether evaluating it costs more than telling views apart.
fn takes_computing(expr: &Arc<dyn PhysicalExpr>) -> DataFusionResult<bool> {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    expr.exists(|expr| {
        let matches = expr
            .downcast_ref::<BinaryExpr>()
            .is_some_and(|binary| matches!(binary.op(), RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch));
        Ok(matches || expr.is::<LikeExpr>() || expr.is::<InListExpr>() || expr.is::<ScalarFunctionExpr>())
    })
}

/// An expression over one column of text, evaluated once for each text.
#[derive(Debug, Clone)]
struct Distinctly {
    /// The column of text.
    text: Arc<dyn PhysicalExpr>,
    /// The expression over rows of the text alone.
    of_text: Arc<dyn PhysicalExpr>,
    /// The expression as it was, for people.
    shown: Arc<dyn PhysicalExpr>,
    /// What rows of the text alone are.
    alone: SchemaRef,
}

impl Distinctly {
    fn of(&self, texts: ArrayRef) -> DataFusionResult<ArrayRef> {
        let rows = texts.len();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.alone), vec![texts], &options)?;
        self.of_text.evaluate(&batch)?.into_array(rows)
    }
}

impl PhysicalExpr for Distinctly {
    fn return_field(&self, _: &Schema) -> DataFusionResult<FieldRef> {
        self.of_text.return_field(&self.alone)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        let texts = self.text.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(views) = texts.as_string_view_opt() else {
            return Ok(ColumnarValue::Array(self.of(texts)?));
        };
        let Some((first_rows, numbers)) = distinct(views) else {
            return Ok(ColumnarValue::Array(self.of(texts)?));
        };
        let values = self.of(take(views, &UInt32Array::from(first_rows), None)?)?;
        Ok(ColumnarValue::Array(take(&values, &UInt32Array::from(numbers), None)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.text]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let [text] = <[_; 1]>::try_from(children).map_err(|_| Error::defect("a condition on text is of one column"))?;
        Ok(Arc::new(Self {
            text,
            ..Self::clone(&self)
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt_sql(f)
    }
}

impl fmt::Display for Distinctly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

impl PartialEq for Distinctly {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq(&other.text) && self.of_text.eq(&other.of_text)
    }
}

impl Eq for Distinctly {}

impl Hash for Distinctly {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.of_text.hash(state);
    }
}

/// The first row of each view, and for each row the number of its view; `None` where few repeat. What is forgotten between
/// two of its rows has two numbers, and the same value under both.
fn distinct(texts: &StringViewArray) -> Option<(Vec<u32>, Vec<u32>)> {
    let most = texts.len() / REPEATED;
    let mut first_rows: Vec<u32> = Vec::new();
    let mut numbers = Vec::with_capacity(texts.len());
    let mut places: Vec<(u128, u32)> = vec![(0, u32::MAX); PLACES];
    let (mut last, mut null) = (None, None);
    for (row, view) in texts.views().iter().enumerate() {
        let row_number = u32::try_from(row).ok()?;
        let mut new = || {
            first_rows.push(row_number);
            u32::try_from(first_rows.len() - 1).ok()
        };
        let number = match (texts.is_null(row), last) {
            (true, _) => match null {
                Some(number) => number,
                None => *null.insert(new()?),
            },
            (false, Some((known, number))) if known == *view => number,
            (false, _) => {
                let place = &mut places[place_of(*view)];
                if place.0 != *view || place.1 == u32::MAX {
                    *place = (*view, new()?);
                }
                last = Some(*place);
                place.1
            }
        };
        numbers.push(number);
        if first_rows.len() > most {
            return None;
        }
    }
    Some((first_rows, numbers))
}

/// A place in the table: views differ in where the text lies, or in short texts themselves.
fn place_of(view: u128) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "both halves go into the hash")]
    let (low, high) = (view as u64, (view >> 64) as u64);
    let mixed = (low ^ high.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (mixed >> 54) as usize;
    place % PLACES
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::physical_expr::expressions::{binary, like, lit};
    use proptest::prelude::*;

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("number", DataType::Int64, true),
            Field::new("text", DataType::Utf8View, true),
        ]))
    }

    /// `text LIKE '%ab%c%' OR text = 'a'`, as it is and wrapped.
    fn both() -> (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>) {
        let schema = schema();
        let text = || Arc::new(Column::new("text", 1)) as Arc<dyn PhysicalExpr>;
        let literal = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
        let pattern = like(false, false, text(), literal("%ab%c%"), &schema).unwrap();
        let equal = binary(text(), Operator::Eq, literal("a"), &schema).unwrap();
        let plain = binary(pattern, Operator::Or, equal, &schema).unwrap();
        let changed = wrapped(Arc::clone(&plain), &schema).unwrap();
        assert!(changed.data.is::<Distinctly>());
        (plain, changed.data)
    }

    proptest! {
        #[test]
        fn every_row_gets_the_value_of_its_text(
            texts in proptest::collection::vec(proptest::option::of("(a|ab xyz long enough c|b{0,20}c?|)"), 0..200),
            copies in 1_usize..20,
        ) {
            let texts: StringViewArray = texts.iter().map(|text| text.as_deref()).collect();
            // Rows of one entry of a dictionary have the same view.
            let rows: UInt32Array = (0..texts.len() * copies).map(|row| u32::try_from(row / copies).unwrap()).collect();
            let texts = take(&texts, &rows, None).unwrap();
            let numbers = arrow::array::new_null_array(&DataType::Int64, texts.len());
            let batch = RecordBatch::try_new(schema(), vec![numbers, texts]).unwrap();
            let (plain, distinctly) = both();
            let values = |expr: Arc<dyn PhysicalExpr>| expr.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
            prop_assert_eq!(&values(plain), &values(distinctly));
        }
    }

    #[test]
    fn repeated_texts_are_told_apart_by_their_views() {
        let texts = StringViewArray::from(vec![Some("one long enough to lie elsewhere"), None, Some("two")]);
        let rows: UInt32Array = (0..30).map(|row| row % 3).collect();
        let texts = take(&texts, &rows, None).unwrap();
        let (first_rows, numbers) = distinct(texts.as_string_view()).unwrap();
        assert_eq!(first_rows, [0, 1, 2]);
        assert_eq!(numbers, (0..30).map(|row| row % 3).collect::<Vec<u32>>());
        assert!(distinct(&StringViewArray::from(vec!["a", "b", "c", "d"])).is_none());
    }
}
