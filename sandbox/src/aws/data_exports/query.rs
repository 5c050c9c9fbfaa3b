//! `QueryStatement`: `SELECT columns FROM table [WHERE ...] [LIMIT n]`.
//!
//! Source: AWS Data Exports User Guide, `dataexports-data-query`. The conditions of WHERE are not looked into.

use super::table::Table;

/// Characters that a statement may have (model of bcm-data-exports).
const LONGEST: usize = 36_000;

/// A statement that has the form of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) table: &'a str,
    selected: Vec<&'a str>,
}

const INVALID: &str = "Invalid QueryStatement";

impl<'a> Query<'a> {
    /// Reads a statement, or says what AWS says about it.
    pub(crate) fn parse(statement: &'a str) -> Result<Self, String> {
        let invalid = || INVALID.to_owned();
        let statement = statement.trim();
        if statement.is_empty() || statement.len() > LONGEST {
            return Err(invalid());
        }
        let select = keyword(statement, "SELECT").filter(|(start, _)| *start == 0);
        let (_, after_select) = select.ok_or_else(invalid)?;
        let (from, after_from) = keyword(statement, "FROM").ok_or_else(invalid)?;
        let list = statement.get(after_select..from).ok_or_else(invalid)?;
        let rest = statement.get(after_from..).ok_or_else(invalid)?.trim_start();
        let (table, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let first = tail.split_whitespace().next();
        if !first.is_none_or(|word| word.eq_ignore_ascii_case("WHERE") || word.eq_ignore_ascii_case("LIMIT")) {
            return Err(invalid());
        }
        let mut selected = Vec::new();
        for item in list.split(',') {
            let words: Vec<&str> = item.split_whitespace().collect();
            let column = match words.as_slice() {
                ["*"] => return Err("SELECT * is not supported".to_owned()),
                [column] => column,
                [column, word, alias] if word.eq_ignore_ascii_case("AS") && is_name(alias) => column,
                _ => return Err(invalid()),
            };
            if !column.split('.').all(is_name) {
                return Err(invalid());
            }
            selected.push(*column);
        }
        Ok(Self { table, selected })
    }

    /// Checks that the table has the columns.
    pub(crate) fn check(&self, table: &Table, columns: &[(&'static str, &'static str)]) -> Result<(), String> {
        let has = |selected: &str| match selected.split_once('.') {
            None => columns.iter().any(|(name, _)| *name == selected),
            Some((map, _)) => columns
                .iter()
                .any(|(name, kind)| *name == map && kind.starts_with("map")),
        };
        if self.selected.iter().all(|selected| has(selected)) {
            Ok(())
        } else {
            Err(format!(
                "The columns in the query provided are not a subset of the table {}",
                table.name
            ))
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Start and end of the first occurrence of a keyword that stands by itself.
fn keyword(statement: &str, word: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for part in statement.split(char::is_whitespace) {
        if part.eq_ignore_ascii_case(word) {
            return Some((start, start + part.len()));
        }
        // White space is of one byte in what is accepted; another kind only makes the range invalid.
        start += part.len() + 1;
    }
    None
}
