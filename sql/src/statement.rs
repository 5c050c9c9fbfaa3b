//! Text to statements: one tree for each, and the only text of it that may be kept.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use farthing_engine::{Error, ErrorKind, Result};

use crate::redact;

/// A statement after parsing: its tree, and the only text of it that may be logged.
#[derive(Clone)]
pub struct Statement {
    pub(crate) tree: Arc<ast::Statement>,
    pub(crate) redacted: String,
}

impl Statement {
    /// The statement with every literal replaced: the only text of it that logs, history and audit may keep.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}

/// Splits and parses a text. An empty text, or one of comments only, has no statement.
pub(crate) fn parse(sql: &str, limit_bytes: usize) -> Result<Vec<Statement>> {
    if sql.len() > limit_bytes {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the statement has {} bytes, and the limit is {limit_bytes}", sql.len()),
        )
        .with_hint("Send less at once, or raise the setting statement_bytes."));
    }
    let trees = Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| syntax_error(sql, &error))?;
    Ok(trees
        .into_iter()
        .map(|tree| {
            let redacted = redact::statement(&tree);
            Statement {
                tree: Arc::new(tree),
                redacted,
            }
        })
        .collect())
}

/// The parser's message names the token it stumbled over. In a statement that may carry a secret only the place is told.
fn syntax_error(sql: &str, error: &ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Error::new(ErrorKind::Limit, "the statement is nested too deeply")
                .with_hint("Nest less, or use WITH.");
        }
    };
    if redact::may_hold_secret(sql) {
        let place = text.rfind(" at Line: ").map_or("", |at| &text[at..]);
        return Error::new(ErrorKind::Syntax, format!("syntax error{}", place.to_ascii_lowercase()))
            .with_hint("Write CALL procedure(argument => 'value', ...).");
    }
    Error::new(ErrorKind::Syntax, format!("syntax error: {text}"))
}
