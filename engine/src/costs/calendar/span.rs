//! Days and months of UTC as SQL functions that conditions pass through.
//!
//! `utc_day(t) >= '2026-07-01'` holds exactly where `t >= '2026-07-01'`: the optimiser is told so (its word is preimage), and a
//! condition on a day or month becomes one on the delivered column, which files are skipped by.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use chrono::{DateTime, Datelike, Months, NaiveDate};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, ErrorKind};

const INSTANT: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);
const DAY_MILLIS: i64 = 86_400_000;

/// A stretch of the calendar of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Span {
    /// From midnight to midnight.
    Day,
    /// From the first to the first.
    Month,
}

impl Span {
    /// When the span of `instant` begins.
    pub fn start_of(self, instant: Expr) -> Expr {
        function(self, Edge::Start).call(vec![instant])
    }

    /// When the next one does.
    pub fn end_of(self, instant: Expr) -> Expr {
        function(self, Edge::End).call(vec![instant])
    }

    /// The first instant of the span that holds `millis`; `None` beyond the calendar.
    pub fn start(self, millis: i64) -> Option<i64> {
        match self {
            Span::Day => millis.checked_sub(millis.rem_euclid(DAY_MILLIS)),
            Span::Month => first_of_month(millis).map(midnight),
        }
    }

    /// The first instant after that span.
    fn end(self, millis: i64) -> Option<i64> {
        match self {
            Span::Day => self.start(millis)?.checked_add(DAY_MILLIS),
            Span::Month => first_of_month(millis)?.checked_add_months(Months::new(1)).map(midnight),
        }
    }
}

fn first_of_month(millis: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_millis(millis)?.date_naive().with_day(1)
}

fn midnight(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Edge {
    Start,
    End,
}

fn function(span: Span, edge: Edge) -> ScalarUDF {
    ScalarUDF::from(Calendar {
        span,
        edge,
        signature: Signature::exact(vec![INSTANT], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Calendar {
    span: Span,
    edge: Edge,
    signature: Signature,
}

impl Calendar {
    fn of(&self, millis: i64) -> Option<i64> {
        match self.edge {
            Edge::Start => self.span.start(millis),
            Edge::End => self.span.end(millis),
        }
    }
}

/// The names of the functions: the start of a day and of the next one, of a month and of the next one.
pub(crate) const FUNCTIONS: [&str; 4] = ["utc_day", "utc_next_day", "utc_month", "utc_next_month"];

impl ScalarUDFImpl for Calendar {
    fn name(&self) -> &str {
        let [day, next_day, month, next_month] = FUNCTIONS;
        match (self.span, self.edge) {
            (Span::Day, Edge::Start) => day,
            (Span::Day, Edge::End) => next_day,
            (Span::Month, Edge::Start) => month,
            (Span::Month, Edge::End) => next_month,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(INSTANT)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let instants = arrays
            .first()
            .and_then(|instants| instants.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| Error::defect(format!("{} takes an instant", self.name())))?;
        let spans: TimestampMillisecondArray = instants.try_unary(|millis| {
            let beyond = || Error::new(ErrorKind::OutOfRange, "an instant lies beyond the calendar");
            self.of(millis)
                .ok_or_else(|| arrow::error::ArrowError::ExternalError(Box::new(beyond())))
        })?;
        Ok(ColumnarValue::Array(Arc::new(spans)))
    }

    /// The instants that the function takes to the literal: those of one span, if the literal is one of the function's
    /// values; no interval otherwise.
    fn preimage(&self, args: &[Expr], literal: &Expr, _: &SimplifyContext) -> DataFusionResult<PreimageResult> {
        let ([instant], Expr::Literal(ScalarValue::TimestampMillisecond(Some(millis), None), _)) = (args, literal)
        else {
            return Ok(PreimageResult::None);
        };
        let first = match self.edge {
            Edge::Start => Some(*millis),
            // The last instant before is one of the span that ends there.
            Edge::End => millis.checked_sub(1).and_then(|last| self.span.start(last)),
        };
        let Some((first, after)) = first.and_then(|first| Some((first, self.span.end(first)?))) else {
            return Ok(PreimageResult::None);
        };
        if self.of(first) != Some(*millis) {
            return Ok(PreimageResult::None);
        }
        let scalar = |millis| ScalarValue::TimestampMillisecond(Some(millis), None);
        Ok(PreimageResult::Range {
            expr: instant.clone(),
            interval: Box::new(Interval::try_new(scalar(first), scalar(after))?),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis()
    }

    #[test]
    fn spans_are_those_of_the_calendar() {
        for (span, at, start, end) in [
            (
                Span::Day,
                "2026-07-01T00:00:00Z",
                "2026-07-01T00:00:00Z",
                "2026-07-02T00:00:00Z",
            ),
            (
                Span::Day,
                "2026-07-31T23:59:59.999Z",
                "2026-07-31T00:00:00Z",
                "2026-08-01T00:00:00Z",
            ),
            (
                Span::Day,
                "1969-12-31T12:00:00Z",
                "1969-12-31T00:00:00Z",
                "1970-01-01T00:00:00Z",
            ),
            (
                Span::Month,
                "2024-02-29T01:00:00Z",
                "2024-02-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            (
                Span::Month,
                "2026-12-31T23:59:59.999Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                Span::Month,
                "1969-12-01T00:00:00Z",
                "1969-12-01T00:00:00Z",
                "1970-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(span.start(millis(at)), Some(millis(start)), "{at}");
            assert_eq!(span.end(millis(at)), Some(millis(end)), "{at}");
        }
        assert_eq!(Span::Month.start(i64::MAX), None);
        assert_eq!(Span::Day.end(i64::MAX), None);
    }
}
