//! The verdict on one export.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{Candidate, Verdict};
use crate::catalog::ExportKind;
use crate::port::{ExportService, PresentExport};

/// The table of CUR 2.0.
const CUR2_TABLE: &str = "COST_AND_USAGE_REPORT";
/// How the names of the tables of FOCUS begin, whatever its version.
const FOCUS_TABLES: &str = "FOCUS_";

/// Judges an export by what AWS says of it.
pub(super) fn judge(export: PresentExport) -> Candidate {
    let mut candidate = Candidate {
        export,
        verdict: Verdict::Fits,
        reason: String::new(),
    };
    (candidate.verdict, candidate.reason) = verdict(&candidate);
    candidate
}

fn verdict(candidate: &Candidate) -> (Verdict, String) {
    if let Some(reason) = unfit(candidate) {
        return (Verdict::Unfit, reason);
    }
    let mut missing = Vec::new();
    if candidate.export.definition.service == ExportService::Cur {
        missing.push("it is a legacy Cost and Usage Report: CUR 2.0 has account names and all tags");
    }
    let is_focus = candidate.table().is_some_and(|table| table.starts_with(FOCUS_TABLES));
    if is_focus {
        missing.push("it is FOCUS, which has no costs before discounts and no line item types");
    } else if candidate.setting("INCLUDE_RESOURCES") != Some("TRUE") {
        missing.push("it has no resource ids, so its costs cannot be joined to resources");
    }
    if candidate.setting("TIME_GRANULARITY") == Some("MONTHLY") {
        missing.push("it is monthly, so days cannot be told apart");
    }
    if !missing.is_empty() {
        return (
            Verdict::Limited,
            format!("It can be connected, but {}.", missing.join(", and ")),
        );
    }
    let granularity = candidate.setting("TIME_GRANULARITY").unwrap_or("HOURLY").to_lowercase();
    let delivery = match candidate.export.definition.destination.overwrite.as_str() {
        "CREATE_NEW_REPORT" => "a new folder for each delivery",
        _ => "overwritten in place",
    };
    (
        Verdict::Fits,
        format!(
            "CUR 2.0, {}, {granularity}, with resource ids, {delivery}.",
            format(candidate).unwrap_or_default()
        ),
    )
}

/// The format in a word, if it is one that can be read. Data Exports say `PARQUET` and `TEXT_OR_CSV`, legacy reports `Parquet`
/// and `textORcsv`.
fn format(candidate: &Candidate) -> Option<&'static str> {
    let format = &candidate.export.definition.destination.format;
    let is = |word: &str| format.eq_ignore_ascii_case(word);
    match () {
        () if is("PARQUET") => Some("Parquet"),
        () if is("TEXT_OR_CSV") || is("textORcsv") => Some("CSV"),
        () => None,
    }
}

/// Why an export cannot be connected, if so.
fn unfit(candidate: &Candidate) -> Option<String> {
    let definition = &candidate.export.definition;
    if definition.service == ExportService::Cur {
        return unfit_report(candidate);
    }
    let kind = match candidate.table() {
        Some(CUR2_TABLE) => ExportKind::Cur2,
        Some(table) if table.starts_with(FOCUS_TABLES) => ExportKind::Focus,
        Some(other) => {
            return Some(format!(
                "It delivers {other}; this version reads {CUR2_TABLE} and {FOCUS_TABLES}1_0_AWS and 1_2_AWS."
            ));
        }
        None => return Some("AWS names no table of it.".to_owned()),
    };
    if format(candidate).is_none() {
        return Some(format!(
            "It is delivered as {}; Farthing reads Parquet and CSV.",
            definition.destination.format
        ));
    }
    if candidate.export.health.status.as_deref() == Some("UNHEALTHY") {
        return Some(match candidate.export.health.reason.as_deref() {
            Some("INSUFFICIENT_PERMISSION") => {
                "AWS does not deliver it: the bucket policy does not let it write (INSUFFICIENT_PERMISSION).".to_owned()
            }
            Some("BILL_OWNER_CHANGED") => {
                "AWS does not deliver it any more: the bill has another owner (BILL_OWNER_CHANGED). Create a new export."
                    .to_owned()
            }
            reason => format!("AWS does not deliver it: {}.", reason.unwrap_or("UNHEALTHY")),
        });
    }
    let columns = delivered_columns(&definition.query)?;
    let lacking: Vec<&str> = kind
        .format()
        .required
        .iter()
        .copied()
        .filter(|required| !columns.iter().any(|column| column.eq_ignore_ascii_case(required)))
        .collect();
    (!lacking.is_empty()).then(|| format!("Its query leaves out {}.", lacking.join(", ")))
}

/// Why a legacy report cannot be connected, if so.
fn unfit_report(candidate: &Candidate) -> Option<String> {
    if format(candidate).is_none() {
        return Some(format!(
            "It is a legacy Cost and Usage Report delivered as {}; Farthing reads Parquet and CSV.",
            candidate.export.definition.destination.format
        ));
    }
    match candidate.export.health.status.as_deref() {
        Some("ERROR_PERMISSIONS") => {
            Some("AWS does not deliver it: the bucket policy does not let it write (ERROR_PERMISSIONS).".to_owned())
        }
        Some("ERROR_NO_BUCKET") => Some("AWS does not deliver it: its bucket is gone (ERROR_NO_BUCKET).".to_owned()),
        _ => None,
    }
}

/// The names of the columns that a query delivers; `None` for a query that is not understood, which the files will show.
fn delivered_columns(query: &str) -> Option<Vec<String>> {
    let statements = Parser::parse_sql(&GenericDialect {}, query).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else {
        return None;
    };
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(|name| name.value.clone()),
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect()
}
