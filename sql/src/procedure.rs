//! What can be called: names, typed arguments, the privilege each needs, which arguments are secret.
//!
//! Every procedure gives the same columns, known before it runs. Arguments are named (`name => value`); the first
//! required ones may be given by position. A missing optional argument and an explicit NULL mean the same.

pub(crate) mod arguments;
mod registry;

use std::sync::Arc;

use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use farthing_engine::account::run::{RunOutcome, Step};
use farthing_engine::account::{Caller, Connections};
use farthing_engine::principal::Role;
use farthing_engine::{Error, ErrorKind, Result};
use futures::future::BoxFuture;

use arguments::Arguments;
pub(crate) use registry::PROCEDURES;

/// What kind of value an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Text.
    Text,
    /// Text that must not be seen.
    Secret,
    /// `true` or `false`.
    Boolean,
    /// Twelve digits.
    AccountId,
}

impl ArgumentKind {
    /// The SQL type as the manual and error messages name it.
    pub fn sql_type(self) -> &'static str {
        match self {
            ArgumentKind::Boolean => "boolean",
            _ => "text",
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            ArgumentKind::Boolean => DataType::Boolean,
            _ => DataType::Utf8,
        }
    }
}

/// One argument of a procedure.
#[derive(Debug)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// What it takes.
    pub kind: ArgumentKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it is for, and the default.
    pub about: &'static str,
}

type RunProcedure = for<'a> fn(&'a Connections, Arguments, &'a Caller<'a>) -> BoxFuture<'a, Result<RunOutcome>>;

/// Something that can be called.
pub struct Procedure {
    /// The name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The least role that may call it.
    pub privilege: Role,
    /// Its arguments.
    pub parameters: &'static [Parameter],
    pub(crate) run: RunProcedure,
}

impl Procedure {
    /// How it is called, for error messages and the manual.
    pub fn signature(&self) -> String {
        let arguments: Vec<String> = self
            .parameters
            .iter()
            .map(|p| {
                let argument = format!("{} => {}", p.name, p.kind.sql_type());
                if p.required { argument } else { format!("[{argument}]") }
            })
            .collect();
        format!("{}({})", self.name, arguments.join(", "))
    }
}

/// All procedures, in order of name.
pub fn procedures() -> &'static [Procedure] {
    PROCEDURES
}

/// The procedure of a name, or an error that names the nearest one.
pub(crate) fn find(name: &str) -> Result<&'static Procedure> {
    PROCEDURES
        .iter()
        .find(|procedure| procedure.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let nearest = nearest(name, PROCEDURES.iter().map(|p| p.name));
            let hint = match nearest.and_then(|near| PROCEDURES.iter().find(|p| p.name == near)) {
                Some(near) => format!("Perhaps you mean {}.", near.signature()),
                None => format!(
                    "Procedures: {}.",
                    PROCEDURES.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
                ),
            };
            Error::new(ErrorKind::UnknownFunction, format!("procedure {name} does not exist")).with_hint(hint)
        })
}

/// The known name that is nearest to a mistyped one, if any is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    known
        .map(|candidate| {
            (
                datafusion::common::utils::datafusion_strsim::levenshtein(&name, candidate),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= candidate.len() / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The columns that every procedure gives.
pub(crate) fn result_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("step", DataType::Int32, true),
        text("action"),
        text("object"),
        text("status"),
        text("detail"),
        text("evidence"),
        text("next_sql"),
        text("run_id"),
    ]))
}

/// The rows of a run.
pub(crate) fn result_batch(outcome: &RunOutcome) -> Result<RecordBatch> {
    let steps = &outcome.steps;
    let column = |of: fn(&Step) -> Option<String>| -> Arc<StringArray> { Arc::new(steps.iter().map(of).collect()) };
    let numbers: Int32Array = (1..).take(steps.len()).collect::<Vec<i32>>().into();
    RecordBatch::try_new(
        result_schema(),
        vec![
            Arc::new(numbers),
            column(|s| Some(s.action.as_str().to_owned())),
            column(|s| Some(s.object.clone())),
            column(|s| Some(s.status.as_str().to_owned())),
            column(|s| Some(s.detail.clone())),
            column(|s| (!s.evidence.is_null()).then(|| s.evidence.to_string())),
            column(|s| s.next_sql.clone()),
            Arc::new(StringArray::from(vec![outcome.run_id.as_str(); steps.len()])),
        ],
    )
    .map_err(|error| Error::defect(format!("the result of a procedure does not fit its columns: {error}")))
}
