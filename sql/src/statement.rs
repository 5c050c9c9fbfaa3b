//! One parsed statement.

use datafusion::sql::sqlparser::ast;

/// A statement after parsing: its tree, and the only text of it that may be logged.
#[derive(Clone)]
pub struct Statement {
    pub(crate) tree: ast::Statement,
    pub(crate) redacted: String,
}

impl Statement {
    /// The statement with every literal replaced: the only text of it that logs, history and audit may keep.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}
