//! Prints a statement from its tree with every literal replaced: the only text that logs and audit may keep.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Value, ValueWithSpan, VisitMut, VisitorMut};

/// What stands for a literal.
const MASK: &str = "***";

struct Masker;

impl VisitorMut for Masker {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        // A placeholder names a parameter and holds nothing.
        if !matches!(value.value, Value::Placeholder(_) | Value::Null) {
            value.value = Value::SingleQuotedString(MASK.to_owned());
        }
        ControlFlow::Continue(())
    }
}

/// The statement with every literal replaced.
pub(crate) fn statement(tree: &ast::Statement) -> String {
    let mut masked = tree.clone();
    // The visitor never breaks off.
    let _ = masked.visit(&mut Masker);
    masked.to_string()
}

/// Whether a text that does not parse may hold a secret in clear, so that nothing of it may be shown or kept.
pub(crate) fn may_hold_secret(sql: &str) -> bool {
    // Looked for anywhere: comments, a former statement or a typing error may stand before it.
    let upper = sql.to_ascii_uppercase();
    ["CALL", "SECRET", "PASSWORD", "CREDENTIAL", "KEY"]
        .iter()
        .any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests;
